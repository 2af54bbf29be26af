#include "corpus/corpus.h"

#include <stdio.h>
#include <string.h>

#include "corpus/corpus_internal.h"
#include "corpus/evaluation_items.h"
#include "corpus/repeated_lines.h"
#include "proof/merkle.h"
#include "text/personal.h"

struct corpus_settings corpus_settings_default(void)
{
    return (struct corpus_settings){.text_field = "text",
                                    .source = "unknown",
                                    .license = "unknown",
                                    .held_out = 0.02,
                                    .minimum_bytes = 64,
                                    .profile = "auto",
                                    .personal = "corpus",
                                    .duplicates = "near",
                                    .line_documents = 10};
}

const char *corpus_left_name(enum corpus_left left)
{
    static const char *const names[] = {"kept",         "short",     "opt-out",        "filtered",
                                        "contaminated", "duplicate", "near-duplicate", "personal"};
    ASSERT(left < CORPUS_LEFT_REASONS);
    return names[left];
}

status document_leaf(struct sha256 *out, const struct document *document, struct error *error)
{
    struct sha256_state state;
    TRY(sha256_begin(&state, error));
    sha256_add(&state, "rodnik salt", 12);
    sha256_add(&state, document->id, strlen(document->id) + 1);
    sha256_add(&state, &document->hash, sizeof document->hash);
    struct sha256 salt = sha256_end(&state);
    const struct view pieces[] = {{(const char *)salt.byte, sizeof salt.byte},
                                  document->text,
                                  {"", 1},
                                  {document->license, strlen(document->license) + 1},
                                  {document->source, strlen(document->source) + 1},
                                  view_of("human")};
    return merkle_leaf(out, pieces, sizeof pieces / sizeof *pieces, error);
}

/* ---- reading ---- */

enum {
    BATCH_BYTES = 8 << 20,
    BATCH_DOCUMENTS = 4096,
    MARK_BYTES = 64 << 20, /* of input between marks */
    MARK_S = 5
};
static const size_t BATCH_BYTES_MAX = (size_t)BATCH_BYTES + 2 * (size_t)DOCUMENT_BYTES_MAX;

struct building {
    const struct corpus_job *job;
    struct arena *arena;
    struct input_files files;
    struct preparer *preparer;
    struct spool spool;
    struct prepared *batch; /* strings and texts as offsets into `bytes` until it stands still */
    size_t count;
    struct buffer bytes;
    char folder[PATH_BYTES]; /* of the spool */
    double done_bytes, marked_bytes, marked_s;
};

static struct view *found_field(struct found *found, size_t field)
{
    struct view *const fields[] = {&found->id,   &found->text, &found->source, &found->license,
                                   &found->kind, &found->url,  &found->title};
    return field < sizeof fields / sizeof *fields ? fields[field] : NULL;
}

static status flush_batch(struct building *building, struct error *error)
{
    const char *bytes = building->bytes.data;
    for (size_t i = 0; i < building->count; i++)
        for (size_t f = 0; found_field(&building->batch[i].found, f); f++) {
            found_field(&building->batch[i].found, f)->data = bytes;
            bytes += found_field(&building->batch[i].found, f)->len;
        }
    TRY(prepare(building->preparer, building->batch, building->count, error));
    for (size_t i = 0; i < building->count; i++) {
        const struct prepared *document = &building->batch[i];
        if (!document->refused) {
            TRY(spool_add(&building->spool, document, error));
            continue;
        }
        struct arena_mark mark = arena_mark(building->arena);
        char *id = arena_format(building->arena, error, "%.*s", (int)document->found.id.len,
                                document->found.id.data);
        TRY(id ? spool_refuse(&building->spool, id, document->refused, error) : error->code);
        arena_rewind(building->arena, mark);
    }
    building->count = 0;
    buffer_clear(&building->bytes);
    return OK;
}

static status take(void *context, const struct found *found, struct error *error)
{
    struct building *building = context;
    const struct corpus_settings *settings = &building->job->settings;
    struct prepared *document = &building->batch[building->count++];
    *document = (struct prepared){.found = *found};
    if (!found->id.len)
        document->found.id = view_of("?");
    if (!found->source.len)
        document->found.source = view_of(settings->source);
    if (!found->license.len)
        document->found.license = view_of(settings->license);
    for (size_t f = 0; found_field(&document->found, f); f++) {
        const struct view *field = found_field(&document->found, f);
        TRY(buffer_append(&building->bytes, field->data, field->len, error));
    }
    if (building->count == BATCH_DOCUMENTS || building->bytes.len >= BATCH_BYTES)
        return flush_batch(building, error);
    return OK;
}

static status refuse(void *context, const char *what, const char *reason, struct error *error)
{
    struct building *building = context;
    return spool_refuse(&building->spool, what, reason, error);
}

static status mark(struct building *building, struct error *error)
{
    TRY(flush_batch(building, error));
    building->marked_bytes = building->done_bytes;
    building->marked_s = time_monotonic_s();
    return spool_mark(&building->spool, error);
}

static status end_file(void *context, size_t file, bool was_read, struct error *error)
{
    struct building *building = context;
    const struct corpus_job *job = building->job;
    building->spool.state.files_done = file + 1;
    building->spool.state.files_read += was_read;
    building->done_bytes += (double)building->files.list[file].size;
    if (job->progress)
        job->progress(job->context, "reading", building->done_bytes, (double)building->files.bytes);
    double mark_bytes = job->mark_bytes > 0 ? job->mark_bytes : MARK_BYTES;
    if (building->done_bytes - building->marked_bytes < mark_bytes &&
        time_monotonic_s() - building->marked_s < MARK_S)
        return OK;
    return mark(building, error);
}

static status read_files(struct building *building, struct error *error)
{
    struct spool_state *state = &building->spool.state;
    if (state->complete)
        return OK;
    const struct gathering gathering = {.settings = &building->job->settings,
                                        .files = &building->files,
                                        .first = (size_t)state->files_done,
                                        .readers = thread_pool_count(building->job->pool),
                                        .context = building,
                                        .take = take,
                                        .refuse = refuse,
                                        .end = end_file};
    for (size_t i = 0; i < state->files_done; i++)
        building->done_bytes += (double)building->files.list[i].size;
    building->marked_bytes = building->done_bytes;
    building->marked_s = time_monotonic_s();
    TRY_ALLOC(building->batch, building->arena, BATCH_DOCUMENTS, error);
    buffer_create(&building->bytes, BATCH_BYTES_MAX);
    status result = gather(&gathering, error);
    if (result == OK) {
        state->complete = 1;
        result = mark(building, error);
    }
    buffer_destroy(&building->bytes);
    return result;
}

/* ---- the whole ---- */

static const char *found_nothing(const struct spool *spool, struct arena *arena,
                                 struct error *error)
{
    size_t len = (size_t)spool->refusals.len;
    char *text = arena_alloc(arena, len + 1, 1, error);
    if (!text || file_scratch_read(text, &spool->refusals, 0, len, error) != OK || len == 0)
        return "";
    return arena_format(arena, error, "; first: %s %s", text, text + strlen(text) + 1);
}

static status no_documents(const struct building *building, const struct corpus_counts *counts,
                           struct error *error)
{
    size_t left = 0;
    int most = CORPUS_OPT_OUT;
    for (int i = CORPUS_OPT_OUT; i < CORPUS_LEFT_REASONS; i++) {
        left += counts->left[i];
        most = counts->left[i] > counts->left[most] ? i : most;
    }
    const char *first = found_nothing(&building->spool, building->arena, error);
    if (left)
        return fail(error, ERR_FORMAT, "%s: all %zu documents are left out, %zu of them as %s%s",
                    building->job->inputs[0], left + counts->left[CORPUS_SHORT], counts->left[most],
                    corpus_left_name((enum corpus_left)most),
                    most == CORPUS_FILTERED ? " (--profile none keeps them)" : "");
    return fail(error, ERR_FORMAT,
                "%s: holds no readable text of at least %lld bytes (%zu shorter, %llu refused%s)",
                building->job->inputs[0], (long long)building->job->settings.minimum_bytes,
                counts->left[CORPUS_SHORT], (unsigned long long)building->spool.state.refused,
                first ? first : "");
}

static status compare_and_write(struct building *building, struct corpus_counts *counts,
                                struct error *error)
{
    const struct corpus_job *job = building->job;
    struct comparison *comparison;
    counts->files = (size_t)building->spool.state.files_read;
    counts->refused = (size_t)building->spool.state.refused;
    TRY(comparison_create(&comparison, &job->settings, &building->spool, job->pool, error));
    const struct store_job store = {job, &building->spool, comparison, building->preparer, counts};
    status result = comparison_run(comparison, job->progress, job->context, error);
    if (result == OK)
        result = store_write(&store, error);
    comparison_destroy(comparison);
    if (result == OK && counts->documents == 0)
        result = no_documents(building, counts, error);
    return result;
}

/* What decides about the result of reading: a spool of another program, settings or files is of no
 * use. */
static status key_of(struct sha256 *out, const struct building *building, struct error *error)
{
    const struct corpus_settings *settings = &building->job->settings;
    struct sha256_state state;
    struct sha256 program;
    TRY(sha256_of_file(&program, "/proc/self/exe", error));
    TRY(sha256_begin(&state, error));
    sha256_add(&state, &program, sizeof program);
    const char *const strings[] = {"rodnik reading 1", settings->text_field, settings->source,
                                   settings->license, settings->profile};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        sha256_add(&state, strings[i], strlen(strings[i]) + 1);
    const int64_t numbers[2] = {settings->minimum_bytes, settings->whole_pages};
    sha256_add(&state, numbers, sizeof numbers);
    sha256_add(&state, &building->files.identity, sizeof building->files.identity);
    status result = preparer_identify(building->preparer, &state, error);
    *out = sha256_end(&state);
    return result;
}

static status build_in_folder(struct building *building, struct corpus_counts *counts,
                              struct error *error)
{
    const char *folder = building->folder;
    struct sha256 key;
    TRY(key_of(&key, building, error));
    TRY(spool_open(&building->spool, folder, &key, error));
    counts->resumed_files = (size_t)building->spool.state.files_done;
    status result = read_files(building, error);
    if (result == OK)
        result = compare_and_write(building, counts, error);
    /* What was read is worth keeping when the next try may succeed. */
    bool keep = result == ERR_INTERRUPTED || result == ERR_IO || result == ERR_MEMORY ||
                result == ERR_CONFLICT;
    struct error removing = {0};
    status removed = keep ? OK : spool_remove(&building->spool, &removing);
    if (result == OK && removed != OK)
        result = fail(error, removed, "%s", removing.text);
    spool_close(&building->spool);
    return result;
}

/* Hours of reading should not come before it is found that these can't be read. */
static status check_evaluations(const struct corpus_settings *settings, struct error *error)
{
    struct evaluation_items *items;
    if (!settings->evaluations)
        return OK;
    TRY(evaluation_items_read(&items, settings->evaluations, error));
    evaluation_items_destroy(items);
    return OK;
}

/* What was forgotten must not come back unnoticed, nor what is remembered of it be lost. */
static status check_forgotten(const struct corpus_job *job, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, sizeof path, job->out, "forgotten.jsonl", error));
    if (job->settings.opt_out || !file_exists(path))
        return OK;
    return fail(error, ERR_CONFLICT,
                "%s: documents were forgotten there, and would come back; write "
                "`rodnik corpus forget %s --tombstones > FILE` and build with --opt-out FILE, or "
                "name a new folder",
                job->out, job->out);
}

static status build(struct building *building, struct corpus_counts *counts, struct error *error)
{
    const struct corpus_job *job = building->job;
    const struct input_request request = {
        job->inputs, job->input_count, {job->out, building->folder}};
    TRY(place_check(job->out, error));
    TRY(check_forgotten(job, error));
    TRY(place_name(building->folder, job->out, ".building", error));
    TRY(check_evaluations(&job->settings, error));
    TRY(preparer_create(&building->preparer, &job->settings, job->pool, building->arena, error));
    status result = input_files_find(&building->files, &request, building->arena, error);
    if (result == OK)
        result = build_in_folder(building, counts, error);
    preparer_destroy(building->preparer);
    return result;
}

static status check_settings(const struct corpus_settings *settings, struct error *error)
{
    static const char *const kinds[] = {"near", "exact", "none"};
    struct personal_policy policy = personal_policy_corpus();
    bool known = false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        known |= strcmp(settings->duplicates, kinds[i]) == 0;
    if (!known)
        return fail(error, ERR_USAGE, "duplicates: '%s', allowed are near, exact and none",
                    settings->duplicates);
    if (settings->line_documents < 0 || settings->line_documents > LINE_DOCUMENTS_MAX)
        return fail(error, ERR_USAGE, "line documents: %lld, allowed are 0 to %d",
                    (long long)settings->line_documents, LINE_DOCUMENTS_MAX);
    if (strcmp(settings->personal, "none") == 0)
        return OK;
    return personal_policy_change(&policy, view_of(settings->personal), error);
}

status corpus_build(struct corpus_counts *out, const struct corpus_job *job, struct error *error)
{
    ASSERT(out && job && job->inputs && job->out && job->pool && error);
    if (job->input_count == 0)
        return fail(error, ERR_USAGE, "no input was named: give files or folders");
    TRY(check_settings(&job->settings, error));
    struct building building = {.job = job};
    struct corpus_counts counts = {0};
    TRY(arena_create(&building.arena, 0, error));
    status result = build(&building, &counts, error);
    arena_destroy(building.arena);
    if (result == OK)
        *out = counts;
    return result;
}
