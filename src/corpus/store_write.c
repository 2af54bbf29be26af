/* What stays becomes the folder: all documents once more, in the order of their ids; texts lose the
 * lines that stand in many documents and personal data, and are written one after the other. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "corpus/census.h"
#include "corpus/profile.h"
#include "corpus/repeated_lines.h"
#include "corpus/store_lines.h"

enum {
    BATCH_BYTES = 32 << 20,
    BATCH_DOCUMENTS = 4096,
    KEYS_MEMORY_BYTES = 64 << 20,
    LINE_BYTES_MAX_OUT = 1 << 20,
    HELD_OUT_NEEDED = 10 /* a corpus of as many documents holds out at least one */
};
static const size_t TEXT_BYTES_MAX = (size_t)3 << 30;

struct item {
    struct spool_record record;
    struct verdict verdict;
    struct view text;
    struct sha256 hash, leaf;
    struct personal_counts personal;
    size_t lines_lost;
};

struct finisher { /* of a thread */
    struct arena *arena;
    struct words words;
    struct personal_findings findings;
    struct buffer buffers[2];
    struct error error;
};

struct writing {
    const struct store_job *job;
    struct arena *arena, *batch_arena;
    struct thread_pool *pool;
    struct finisher *finishers; /* [threads] */
    struct item *items;
    size_t count;
    bool masks, more;
    struct personal_policy policy;
    struct file_writer texts, documents, decisions;
    struct signals_writer signals;
    struct corpus_roots_maker *roots;
    struct census census;
    struct buffer line, record;
    struct sha256
        smallest; /* hash of a document, and where its line says that it is not held out */
    uint64_t smallest_place, smallest_bytes;
    double done_bytes;
};

/* ---- a document, on any thread ---- */

static status lose_lines(struct item *item, struct finisher *finisher, size_t minimum_bytes,
                         struct error *error)
{
    struct line_losses losses = {.keys = item->verdict.line_keys,
                                 .count = item->verdict.line_count};
    struct buffer *out = &finisher->buffers[0];
    buffer_clear(out);
    TRY(repeated_lines_drop(out, &item->lines_lost, &finisher->words, item->text, &losses, error));
    item->text = view_trim((struct view){out->data ? out->data : "", out->len});
    if (item->text.len < minimum_bytes)
        item->verdict.left = CORPUS_SHORT;
    return OK;
}

static status mask(struct item *item, struct finisher *finisher,
                   const struct personal_policy *policy, struct error *error)
{
    struct buffer *out = &finisher->buffers[1];
    buffer_clear(out);
    TRY(personal_apply(out, &item->personal, &finisher->findings, item->text, policy, error));
    if (item->personal.drop) {
        item->verdict.left = CORPUS_PERSONAL;
        item->verdict.detail = item->personal.drop_for;
    } else if (item->personal.replaced)
        item->text = view_trim((struct view){out->data, out->len});
    return OK;
}

static status finish_item(const struct writing *writing, struct finisher *finisher,
                          struct item *item, struct error *error)
{
    struct view whole = item->text;
    const struct corpus_settings *settings = &writing->job->job->settings;
    if (item->verdict.left == CORPUS_KEPT && item->verdict.line_count)
        TRY(lose_lines(item, finisher, (size_t)settings->minimum_bytes, error));
    if (item->verdict.left == CORPUS_KEPT && writing->masks)
        TRY(mask(item, finisher, &writing->policy, error));
    if (item->verdict.left != CORPUS_KEPT)
        return OK;
    if (item->text.data < whole.data || item->text.data > whole.data + whole.len) {
        char *copy = arena_alloc(finisher->arena, item->text.len + 1, 1, error);
        if (!copy)
            return error->code;
        item->text.data = memcpy(copy, item->text.data, item->text.len);
    }
    bool changed = item->text.data != whole.data || item->text.len != whole.len;
    item->hash = changed ? sha256_of(item->text.data, item->text.len) : item->record.read;
    struct document document = {.text = item->text,
                                .id = item->record.id.data,
                                .source = item->record.source.data,
                                .license = item->record.license.data,
                                .hash = item->hash};
    return document_leaf(&item->leaf, &document, error);
}

static void finish_some(void *context, size_t begin, size_t end, int thread)
{
    struct writing *writing = context;
    struct finisher *finisher = &writing->finishers[thread];
    for (size_t i = begin; i < end && finisher->error.code == OK; i++)
        (void)!finish_item(writing, finisher, &writing->items[i], &finisher->error);
}

static status finish_batch(struct writing *writing, struct error *error)
{
    int threads = thread_pool_count(writing->pool);
    for (int i = 0; i < threads; i++)
        arena_reset(writing->finishers[i].arena);
    parallel_for(writing->pool, writing->count, 4, finish_some, writing);
    for (int i = 0; i < threads; i++)
        if (writing->finishers[i].error.code != OK)
            return fail(error, writing->finishers[i].error.code, "%s",
                        writing->finishers[i].error.text);
    return OK;
}

/* ---- a batch ---- */

/* Records and keys live until the next call; so they are copied. */
static status copy_item(struct item *item, struct arena *arena, struct error *error)
{
    struct spool_record *record = &item->record;
    struct view *const strings[] = {&record->id,   &record->source, &record->license,
                                    &record->kind, &record->url,    &record->title};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        strings[i]->data = arena_string(arena, strings[i]->data, error);
        if (!strings[i]->data)
            return error->code;
    }
    if (item->verdict.line_count == 0)
        return OK;
    uint64_t *keys;
    TRY_ALLOC(keys, arena, item->verdict.line_count, error);
    memcpy(keys, item->verdict.line_keys, item->verdict.line_count * sizeof *keys);
    item->verdict.line_keys = keys;
    return OK;
}

static status read_text(struct item *item, const struct spool *spool, struct arena *arena,
                        struct error *error)
{
    char *text = arena_alloc(arena, (size_t)item->record.facts.len + 1, 1, error);
    if (!text)
        return error->code;
    item->text = (struct view){text, (size_t)item->record.facts.len};
    return file_scratch_read(text, &spool->texts, item->record.facts.offset, item->text.len, error);
}

static status fill_batch(struct writing *writing, struct error *error)
{
    size_t bytes = 0;
    writing->count = 0;
    arena_reset(writing->batch_arena);
    while (writing->count < BATCH_DOCUMENTS && bytes < BATCH_BYTES) {
        struct item *item = &writing->items[writing->count];
        *item = (struct item){0};
        TRY(comparison_next(&item->record, &item->verdict, writing->job->comparison, error));
        writing->more = item->record.id.data != NULL;
        if (!writing->more)
            return OK;
        TRY(copy_item(item, writing->batch_arena, error));
        if (item->verdict.left == CORPUS_KEPT) {
            TRY(read_text(item, writing->job->spool, writing->batch_arena, error));
            bytes += item->text.len;
        }
        writing->count++;
    }
    return OK;
}

/* ---- lines ---- */

static const char *language_of(const struct writing *writing, const struct item *item)
{
    uint64_t language = item->record.facts.language;
    return language ? language_label(preparer_model(writing->job->preparer), (int)language - 1)
                    : "other";
}

static const char *said(struct view value)
{
    return value.len ? value.data : NULL;
}

static status end_line(struct writing *writing, struct file_writer *file, struct error *error)
{
    TRY(file_writer_add(file, writing->line.data, writing->line.len, error));
    buffer_clear(&writing->line);
    return OK;
}

/* ---- what stays ---- */

static bool chosen(const struct sha256 *hash, double share)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | hash->byte[i];
    return (double)value < share * 0x1p64;
}

static struct document document_of(const struct writing *writing, const struct item *item)
{
    const struct spool_record *record = &item->record;
    return (struct document){.text = item->text,
                             .id = record->id.data,
                             .source = record->source.data,
                             .license = record->license.data,
                             .language = language_of(writing, item),
                             .kind = said(record->kind),
                             .url = said(record->url),
                             .title = said(record->title),
                             .hash = item->hash,
                             .leaf = item->leaf,
                             .read = record->read,
                             .cluster = item->verdict.cluster_size ? item->verdict.cluster_size : 1,
                             .lines_lost = item->lines_lost,
                             .masked = item->personal.replaced,
                             .held_out = chosen(&item->hash, writing->job->job->settings.held_out)};
}

/* Where the line that is about to be written says whether the document is held out. */
static uint64_t held_out_place(const struct writing *writing)
{
    static const char name[] = "\"held_out\":";
    const struct buffer *line = &writing->line;
    const char *at = memmem(line->data, line->len, name, sizeof name - 1);
    ASSERT(at); /* no string holds it: quotation marks are escaped there */
    return writing->documents.written + (uint64_t)(at - line->data) + sizeof name - 1;
}

static void count_kept(struct writing *writing, const struct item *item,
                       const struct document *document)
{
    struct corpus_counts *counts = writing->job->counts;
    if (counts->documents == 0 || sha256_compare(&item->hash, &writing->smallest) < 0) {
        writing->smallest = item->hash;
        writing->smallest_place = held_out_place(writing);
        writing->smallest_bytes = item->text.len;
    }
    if (document->held_out) {
        counts->held_out++;
        counts->held_out_bytes += item->text.len;
    }
    counts->documents++;
    counts->bytes += item->text.len;
    counts->lines_lost += item->lines_lost;
    counts->masked += item->personal.replaced;
    for (int i = 0; i < PERSONAL_TYPES; i++)
        writing->census.personal[i] += item->personal.found[i];
}

static status write_kept(struct writing *writing, const struct item *item, struct error *error)
{
    struct document document = document_of(writing, item);
    struct document_hashes hashes = {item->leaf, item->hash, item->record.read};
    TRY(file_writer_add(&writing->texts, item->text.data, item->text.len, error));
    TRY(document_line_write(&writing->line, &document, writing->job->counts->bytes, error));
    count_kept(writing, item, &document);
    TRY(end_line(writing, &writing->documents, error));
    TRY(corpus_roots_add(writing->roots, &hashes, error));
    return census_count(&writing->census, &document, error);
}

/* ---- what does not ---- */

enum { DETAIL_BYTES = 64 };

static const char *detail_of(char out[DETAIL_BYTES], const struct item *item)
{
    unsigned long long detail = item->verdict.detail;
    switch (item->verdict.left) {
    case CORPUS_SHORT:
        snprintf(out, DETAIL_BYTES, "%zu lines lost", item->lines_lost);
        return item->lines_lost ? out : NULL;
    case CORPUS_OPT_OUT:
        snprintf(out, DETAIL_BYTES, "line %llu of the list", detail);
        return out;
    case CORPUS_FILTERED:
        return profile_rule_name((int)detail);
    case CORPUS_CONTAMINATED:
        snprintf(out, DETAIL_BYTES, "%llu evaluation items", detail);
        return out;
    case CORPUS_PERSONAL:
        return personal_type_name((enum personal_type)detail);
    default:
        return NULL;
    }
}

static bool is_duplicate(const struct item *item)
{
    return item->verdict.left == CORPUS_DUPLICATE || item->verdict.left == CORPUS_NEAR_DUPLICATE;
}

static status first_of(const char **out, struct writing *writing, const struct item *item,
                       struct error *error)
{
    struct view bytes;
    struct spool_record first;
    TRY(spool_record_at(&bytes, &writing->record, writing->job->spool, item->verdict.first, error));
    TRY(spool_parse(&first, writing->job->spool, bytes, error));
    *out = first.id.data;
    return OK;
}

static status write_left(struct writing *writing, const struct item *item, struct error *error)
{
    char detail[DETAIL_BYTES];
    enum corpus_left left = item->verdict.left;
    struct decision decision = {.id = item->record.id.data,
                                .source = item->record.source.data,
                                .license = item->record.license.data,
                                .language = language_of(writing, item),
                                .reason = corpus_left_name(left),
                                .detail = detail_of(detail, item),
                                .read = item->record.read,
                                .bytes = item->record.facts.len,
                                .cluster = is_duplicate(item) ? item->verdict.cluster_size : 1};
    if (is_duplicate(item))
        TRY(first_of(&decision.of, writing, item, error));
    TRY(decision_write(&writing->line, &decision, error));
    TRY(end_line(writing, &writing->decisions, error));
    writing->job->counts->left[left]++;
    return census_count_left(&writing->census, left,
                             left == CORPUS_FILTERED ? decision.detail : NULL, decision.bytes,
                             error);
}

/* ---- all of them ---- */

static status write_item(struct writing *writing, const struct item *item, struct error *error)
{
    struct signals signals;
    if (item->record.facts.signals) {
        TRY(spool_signals(&signals, writing->job->spool, &item->record, error));
        TRY(signals_writer_add(&writing->signals, &item->record.read, &signals, error));
    }
    writing->done_bytes += (double)item->record.facts.len;
    return item->verdict.left == CORPUS_KEPT ? write_kept(writing, item, error)
                                             : write_left(writing, item, error);
}

static status write_items(struct writing *writing, struct error *error)
{
    const struct corpus_job *job = writing->job->job;
    do {
        TRY(fill_batch(writing, error));
        TRY(finish_batch(writing, error));
        for (size_t i = 0; i < writing->count; i++)
            TRY(write_item(writing, &writing->items[i], error));
        if (job->progress)
            job->progress(job->context, "writing", writing->done_bytes,
                          (double)writing->job->spool->texts.len);
        if (interrupt_requested())
            return fail(error, ERR_INTERRUPTED, "stopped while writing documents");
    } while (writing->more);
    return OK;
}

/* Sorted by hash, the first document is also the likeliest to be held out. */
static status rewrite_line(const struct writing *writing, const char *path, struct file_bytes bytes,
                           struct error *error)
{
    struct file_writer writer = {0};
    static const char was[] = "false";
    uint64_t at = writing->smallest_place, behind = at + sizeof was - 1;
    ASSERT(behind <= bytes.len && memcmp(bytes.data + at, was, sizeof was - 1) == 0);
    TRY(file_writer_open(&writer, path, error));
    status result = file_writer_add(&writer, bytes.data, (size_t)at, error);
    if (result == OK)
        result = file_writer_add(&writer, "true", 4, error);
    if (result == OK)
        result = file_writer_add(&writer, bytes.data + behind, bytes.len - (size_t)behind, error);
    if (result == OK)
        return file_writer_commit(&writer, error);
    file_writer_abort(&writer);
    return result;
}

static status hold_one_out(struct writing *writing, const char *folder, struct error *error)
{
    char path[PATH_BYTES];
    struct file_bytes bytes;
    struct corpus_counts *counts = writing->job->counts;
    if (counts->held_out || counts->documents < HELD_OUT_NEEDED ||
        writing->job->job->settings.held_out <= 0)
        return OK;
    counts->held_out = 1;
    counts->held_out_bytes = writing->smallest_bytes;
    TRY(path_join(path, sizeof path, folder, "documents.jsonl", error));
    TRY(file_map(&bytes, path, error));
    status result = rewrite_line(writing, path, bytes, error);
    file_unmap(&bytes);
    return result;
}

/* ---- files ---- */

static status open_file(struct file_writer *out, const char *folder, const char *name,
                        struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, sizeof path, folder, name, error));
    return file_writer_open(out, path, error);
}

static status open_files(struct writing *writing, const char *folder, struct error *error)
{
    char path[PATH_BYTES];
    static const char header[TEXTS_HEADER_BYTES] = TEXTS_MAGIC;
    TRY(open_file(&writing->texts, folder, "texts.bin", error));
    TRY(file_writer_add(&writing->texts, header, sizeof header, error));
    TRY(open_file(&writing->documents, folder, "documents.jsonl", error));
    TRY(open_file(&writing->decisions, folder, "decisions.jsonl", error));
    TRY(path_join(path, sizeof path, folder, "signals.bin", error));
    return signals_writer_open(&writing->signals, path, preparer_model(writing->job->preparer),
                               error);
}

static status commit_files(struct writing *writing, struct error *error)
{
    uint64_t bytes = writing->job->counts->bytes;
    TRY(file_writer_patch(&writing->texts, 16, &bytes, sizeof bytes, error));
    TRY(file_writer_commit(&writing->texts, error));
    TRY(file_writer_commit(&writing->documents, error));
    TRY(file_writer_commit(&writing->decisions, error));
    return signals_writer_commit(&writing->signals, error);
}

static status write_folder(struct writing *writing, const char *folder, struct error *error)
{
    char evidence[PATH_BYTES];
    struct corpus_roots roots;
    const struct store_job *job = writing->job;
    TRY(folder_make(folder, error));
    TRY(open_files(writing, folder, error));
    TRY(write_items(writing, error));
    if (job->counts->documents == 0)
        return OK; /* the caller says so */
    TRY(commit_files(writing, error));
    TRY(hold_one_out(writing, folder, error));
    TRY(corpus_roots_finish(&roots, writing->roots, error));
    TRY(path_join(evidence, sizeof evidence, folder, "contamination.jsonl", error));
    TRY(comparison_write_evidence(job->comparison, evidence, error));
    const struct census_facts facts = {&job->job->settings, job->counts, &roots, job->spool,
                                       folder};
    return census_write(&writing->census, &facts, error);
}

/* ---- beginning and end ---- */

static status create(struct writing *writing, struct error *error)
{
    const struct corpus_job *job = writing->job->job;
    size_t threads = (size_t)thread_pool_count(writing->pool);
    struct corpus_roots_settings roots = {KEYS_MEMORY_BYTES, writing->job->spool->folder,
                                          writing->pool};
    buffer_create(&writing->line, LINE_BYTES_MAX_OUT);
    buffer_create(&writing->record, LINE_BYTES_MAX_OUT);
    census_create(&writing->census, writing->arena);
    TRY_ALLOC(writing->items, writing->arena, BATCH_DOCUMENTS, error);
    TRY_ALLOC(writing->finishers, writing->arena, threads, error);
    for (size_t i = 0; i < threads; i++) {
        struct finisher *finisher = &writing->finishers[i];
        words_open(&finisher->words);
        personal_findings_create(&finisher->findings);
        for (int b = 0; b < 2; b++)
            buffer_create(&finisher->buffers[b], TEXT_BYTES_MAX);
        TRY(arena_create(&finisher->arena, 0, error));
    }
    TRY(arena_create(&writing->batch_arena, 0, error));
    TRY(corpus_roots_create(&writing->roots, &roots, error));
    writing->policy = personal_policy_corpus();
    writing->masks = strcmp(job->settings.personal, "none") != 0;
    return writing->masks
               ? personal_policy_change(&writing->policy, view_of(job->settings.personal), error)
               : OK;
}

static void destroy(struct writing *writing)
{
    for (int i = 0; writing->finishers && i < thread_pool_count(writing->pool); i++) {
        struct finisher *finisher = &writing->finishers[i];
        words_close(&finisher->words);
        personal_findings_destroy(&finisher->findings);
        for (int b = 0; b < 2; b++)
            buffer_destroy(&finisher->buffers[b]);
        arena_destroy(finisher->arena);
    }
    struct file_writer *const files[] = {&writing->texts, &writing->documents, &writing->decisions};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i]->pending)
            file_writer_abort(files[i]);
    if (writing->signals.file.pending)
        signals_writer_abort(&writing->signals);
    corpus_roots_destroy(writing->roots);
    buffer_destroy(&writing->line);
    buffer_destroy(&writing->record);
    arena_destroy(writing->batch_arena);
    arena_destroy(writing->arena);
}

/* An older corpus changes places with the new one in one step; anything else that stands there is
 * not touched. */
static status put_in_place(const char *part, const char *out, struct error *error)
{
    struct store_paths paths;
    TRY(store_paths_of(&paths, out, error));
    if (!folder_exists(out))
        return path_rename(part, out, error);
    if (!file_exists(paths.manifest) && rmdir(out) != 0)
        return fail(error, ERR_CONFLICT, "%s: holds other files than a corpus; name a new folder",
                    out);
    if (!folder_exists(out))
        return path_rename(part, out, error);
    if (renameat2(AT_FDCWD, part, AT_FDCWD, out, RENAME_EXCHANGE) != 0)
        return fail_errno(error, "%s: can't be replaced", out);
    return path_remove_tree(part, error);
}

status store_write(const struct store_job *job, struct error *error)
{
    ASSERT(job && error);
    char part[PATH_BYTES];
    struct writing writing = {.job = job, .pool = job->job->pool};
    TRY(path_join(part, sizeof part, job->spool->folder, "corpus", error));
    TRY(path_remove_tree(part, error));
    TRY(arena_create(&writing.arena, 0, error));
    status result = create(&writing, error);
    if (result == OK)
        result = write_folder(&writing, part, error);
    destroy(&writing);
    if (result == OK && job->counts->documents)
        result = put_in_place(part, job->job->out, error);
    return result;
}
