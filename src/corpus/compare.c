/* All documents, in the order of their ids: which are too much alike, which lines stand in many,
 * what overlaps with evaluations.  Texts are read once, in batches, from the spool. */
#include <string.h>

#include "corpus/comparisons.h"
#include "corpus/corpus_internal.h"

enum {
    ORDER_MEMORY_BYTES = 64 << 20,
    DUPLICATES_MEMORY_BYTES = 256 << 20,
    LINES_MEMORY_BYTES = 64 << 20,
    EVIDENCE_MEMORY_BYTES = 16 << 20,
    LINE_WORDS_MIN = 4,
    BATCH_BYTES = 8 << 20,
    BATCH_DOCUMENTS = 4096
};
static const size_t BATCH_BYTES_MAX = (size_t)BATCH_BYTES + DOCUMENT_BYTES_MAX;
static const size_t CONTAMINATED_BYTES_MAX = (size_t)DOCUMENTS_MAX * 16;

struct contaminated {
    uint64_t number, items;
};

struct batch {
    struct buffer texts;
    struct numbered_text documents[BATCH_DOCUMENTS];
    struct overlap overlaps[BATCH_DOCUMENTS];
    size_t count;
};

struct comparison {
    struct arena *arena;
    const struct corpus_settings *settings;
    struct spool *spool;
    struct thread_pool *pool;
    struct record_sort *order;
    struct duplicates *duplicates; /* NULL: not looked for; here and below */
    struct repeated_lines *lines;
    struct evaluation_items *items;
    struct contamination *contamination;
    struct buffer contaminated; /* in rising order of numbers */
    struct file_scratch places; /* u64: of the record, by number */
    struct batch *batch;
    uint64_t next_number, done_bytes;
    /* the second reading: what comes next */
    struct duplicate duplicate;
    struct line_losses losses;
    bool has_duplicate, has_losses;
    size_t contaminated_at;
};

/* ---- beginning and end ---- */

static status create_duplicates(struct comparison *comparison, struct error *error)
{
    struct duplicates_settings settings = {.near =
                                               !strcmp(comparison->settings->duplicates, "near"),
                                           .memory_bytes = DUPLICATES_MEMORY_BYTES,
                                           .folder = comparison->spool->folder,
                                           .pool = comparison->pool};
    if (strcmp(comparison->settings->duplicates, "none") == 0)
        return OK;
    return duplicates_create(&comparison->duplicates, &settings, error);
}

static status create_lines(struct comparison *comparison, struct error *error)
{
    struct repeated_lines_settings settings = {.documents_max =
                                                   (uint64_t)comparison->settings->line_documents,
                                               .words_min = LINE_WORDS_MIN,
                                               .memory_bytes = LINES_MEMORY_BYTES,
                                               .folder = comparison->spool->folder,
                                               .pool = comparison->pool};
    if (settings.documents_max == 0)
        return OK;
    return repeated_lines_create(&comparison->lines, &settings, error);
}

static status create_contamination(struct comparison *comparison, struct error *error)
{
    if (!comparison->settings->evaluations)
        return OK;
    TRY(evaluation_items_read(&comparison->items, comparison->settings->evaluations, error));
    struct contamination_settings settings = {.items = comparison->items,
                                              .memory_bytes = EVIDENCE_MEMORY_BYTES,
                                              .folder = comparison->spool->folder,
                                              .pool = comparison->pool};
    return contamination_create(&comparison->contamination, &settings, error);
}

static status create_parts(struct comparison *comparison, struct error *error)
{
    TRY_ALLOC(comparison->batch, comparison->arena, 1, error);
    buffer_create(&comparison->batch->texts, BATCH_BYTES_MAX);
    buffer_create(&comparison->contaminated, CONTAMINATED_BYTES_MAX);
    TRY(file_scratch_open(&comparison->places, comparison->spool->folder, error));
    TRY(record_sort_create(&comparison->order, ORDER_MEMORY_BYTES, comparison->spool->folder,
                           error));
    TRY(create_duplicates(comparison, error));
    TRY(create_lines(comparison, error));
    return create_contamination(comparison, error);
}

status comparison_create(struct comparison **out, const struct corpus_settings *settings,
                         struct spool *spool, struct thread_pool *pool, struct error *error)
{
    ASSERT(out && settings && spool && pool && error);
    struct arena *arena;
    struct comparison *comparison;
    TRY(arena_create(&arena, 0, error));
    comparison = arena_alloc(arena, 1, sizeof *comparison, error);
    if (!comparison) {
        arena_destroy(arena);
        return error->code;
    }
    comparison->arena = arena;
    comparison->settings = settings;
    comparison->spool = spool;
    comparison->pool = pool;
    status result = create_parts(comparison, error);
    if (result == OK)
        *out = comparison;
    else
        comparison_destroy(comparison);
    return result;
}

void comparison_destroy(struct comparison *comparison)
{
    if (!comparison)
        return;
    duplicates_destroy(comparison->duplicates);
    repeated_lines_destroy(comparison->lines);
    contamination_destroy(comparison->contamination);
    evaluation_items_destroy(comparison->items);
    record_sort_destroy(comparison->order);
    file_scratch_close(&comparison->places);
    buffer_destroy(&comparison->contaminated);
    if (comparison->batch)
        buffer_destroy(&comparison->batch->texts);
    arena_destroy(comparison->arena);
}

/* ---- the first reading ---- */

/* The next document that is kept so far; false after the last. */
static status next_kept(bool *found, struct spool_record *out, struct comparison *comparison,
                        struct error *error)
{
    struct view record;
    *found = true;
    do {
        TRY(record_sort_next(&record, comparison->order, error));
        if (!record.data) {
            *found = false;
            return OK;
        }
        TRY(spool_parse(out, comparison->spool, record, error));
    } while (out->facts.left != CORPUS_KEPT);
    return OK;
}

static status add_to_batch(struct comparison *comparison, const struct spool_record *record,
                           struct error *error)
{
    struct batch *batch = comparison->batch;
    size_t len = (size_t)record->facts.len;
    TRY(buffer_reserve(&batch->texts, len, error));
    TRY(file_scratch_read(batch->texts.data + batch->texts.len, &comparison->spool->texts,
                          record->facts.offset, len, error));
    batch->texts.len += len;
    batch->documents[batch->count++] =
        (struct numbered_text){comparison->next_number++, {NULL, len}};
    comparison->done_bytes += len;
    return file_scratch_add(&comparison->places, &record->facts.place, sizeof record->facts.place,
                            error);
}

static status fill_batch(struct comparison *comparison, struct error *error)
{
    struct batch *batch = comparison->batch;
    struct spool_record record;
    bool found = true;
    batch->count = 0;
    buffer_clear(&batch->texts);
    while (batch->count < BATCH_DOCUMENTS && batch->texts.len < BATCH_BYTES) {
        TRY(next_kept(&found, &record, comparison, error));
        if (!found)
            break;
        TRY(add_to_batch(comparison, &record, error));
    }
    const char *text = batch->texts.data ? batch->texts.data : "";
    for (size_t i = 0; i < batch->count; i++) { /* only now the buffer stands still */
        batch->documents[i].text.data = text;
        text += batch->documents[i].text.len;
    }
    return OK;
}

/* What shares 13 words with an evaluation goes, and its duplicates with it; a short item that
 * stands there as a whole is only reported: five common words are no reason. */
static status note_contaminated(struct comparison *comparison, struct error *error)
{
    const struct batch *batch = comparison->batch;
    for (size_t i = 0; i < batch->count; i++) {
        struct contaminated found = {batch->documents[i].number, batch->overlaps[i].by_grams};
        if (found.items)
            TRY(buffer_append(&comparison->contaminated, &found, sizeof found, error));
    }
    return OK;
}

static status compare_batch(struct comparison *comparison, struct error *error)
{
    struct batch *batch = comparison->batch;
    const struct comparisons finders = {comparison->duplicates, comparison->lines,
                                        comparison->contamination};
    if (!finders.duplicates && !finders.lines && !finders.contamination)
        return OK;
    TRY(comparisons_add(batch->overlaps, &finders, batch->documents, batch->count, error));
    bool drops = finders.contamination && !comparison->settings->report_overlaps;
    return drops ? note_contaminated(comparison, error) : OK;
}

static status finish(struct comparison *comparison, struct error *error)
{
    if (comparison->duplicates) {
        TRY(duplicates_finish(comparison->duplicates, error));
        TRY(duplicates_next(&comparison->has_duplicate, &comparison->duplicate,
                            comparison->duplicates, error));
    }
    if (comparison->lines) {
        TRY(repeated_lines_finish(comparison->lines, error));
        TRY(repeated_lines_next(&comparison->has_losses, &comparison->losses, comparison->lines,
                                error));
    }
    if (comparison->contamination)
        TRY(contamination_finish(comparison->contamination, error));
    comparison->next_number = 0;
    return record_sort_rewind(comparison->order, error);
}

status comparison_run(struct comparison *comparison, corpus_progress *progress, void *context,
                      struct error *error)
{
    ASSERT(comparison && error);
    double total = (double)comparison->spool->texts.len;
    TRY(spool_sort(comparison->order, comparison->spool, error));
    do {
        TRY(fill_batch(comparison, error));
        TRY(compare_batch(comparison, error));
        if (progress)
            progress(context, "comparing", (double)comparison->done_bytes, total);
        if (interrupt_requested())
            return fail(error, ERR_INTERRUPTED, "stopped while comparing documents");
    } while (comparison->batch->count);
    buffer_destroy(&comparison->batch->texts);
    return finish(comparison, error);
}

/* ---- the second reading ---- */

static status say_duplicate(struct verdict *verdict, struct comparison *comparison,
                            struct error *error)
{
    const struct duplicate *duplicate = &comparison->duplicate;
    verdict->cluster_size = duplicate->size;
    if (duplicate->kind != DUPLICATE_FIRST) {
        verdict->left =
            duplicate->kind == DUPLICATE_EXACT ? CORPUS_DUPLICATE : CORPUS_NEAR_DUPLICATE;
        TRY(file_scratch_read(&verdict->first, &comparison->places, duplicate->cluster * 8, 8,
                              error));
    }
    return duplicates_next(&comparison->has_duplicate, &comparison->duplicate,
                           comparison->duplicates, error);
}

static void say_contaminated(struct verdict *verdict, struct comparison *comparison,
                             uint64_t number)
{
    struct contaminated found;
    if (comparison->contaminated_at == comparison->contaminated.len)
        return; /* none is left */
    memcpy(&found, comparison->contaminated.data + comparison->contaminated_at, sizeof found);
    if (found.number != number)
        return;
    comparison->contaminated_at += sizeof found;
    verdict->left = CORPUS_CONTAMINATED;
    verdict->detail = found.items;
}

status comparison_next(struct spool_record *record, struct verdict *verdict,
                       struct comparison *comparison, struct error *error)
{
    ASSERT(record && verdict && comparison && error);
    struct view bytes;
    *verdict = (struct verdict){0};
    /* the keys of the last losses are given back only now */
    if (comparison->has_losses && comparison->losses.document < comparison->next_number)
        TRY(repeated_lines_next(&comparison->has_losses, &comparison->losses, comparison->lines,
                                error));
    TRY(record_sort_next(&bytes, comparison->order, error));
    if (!bytes.data) {
        record->id.data = NULL;
        return OK;
    }
    TRY(spool_parse(record, comparison->spool, bytes, error));
    verdict->left = (enum corpus_left)record->facts.left;
    verdict->detail = record->facts.detail;
    if (verdict->left != CORPUS_KEPT)
        return OK;
    uint64_t number = comparison->next_number++;
    if (comparison->has_duplicate && comparison->duplicate.document == number)
        TRY(say_duplicate(verdict, comparison, error));
    say_contaminated(verdict, comparison, number);
    if (comparison->has_losses && comparison->losses.document == number) {
        verdict->line_keys = comparison->losses.keys;
        verdict->line_count = comparison->losses.count;
    }
    return OK;
}

/* ---- evidence ---- */

struct naming {
    struct comparison *comparison;
    struct spool_record record;
    uint64_t next;
    struct error error;
};

/* Evidence comes in the order of documents. */
static const char *name_document(void *context, uint64_t document)
{
    struct naming *naming = context;
    bool found = naming->error.code == OK;
    while (found && naming->next <= document) {
        if (next_kept(&found, &naming->record, naming->comparison, &naming->error) != OK)
            break;
        naming->next++;
    }
    return found && naming->error.code == OK ? naming->record.id.data : "?";
}

status comparison_write_evidence(struct comparison *comparison, const char *path,
                                 struct error *error)
{
    ASSERT(comparison && path && error);
    struct naming naming = {.comparison = comparison};
    if (!comparison->contamination)
        return OK;
    TRY(record_sort_rewind(comparison->order, error));
    TRY(contamination_write(comparison->contamination, path, name_document, &naming, error));
    return naming.error.code == OK ? OK : fail(error, naming.error.code, "%s", naming.error.text);
}
