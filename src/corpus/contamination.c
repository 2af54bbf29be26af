#include "corpus/contamination.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/thread.h"
#include "corpus/comparisons_internal.h"

enum { EVIDENCE_WORDS = 5 };

/* Where words stand that an index seems to hold. */
struct suspicion {
    uint64_t which;    /* the hash */
    uint64_t position; /* of the first word << 1 | 1 when from the index of wholes */
};

struct finding {
    uint64_t item, from, to;
};

struct searcher {
    struct words slice;
    struct buffer suspects;             /* of a stretch: which words */
    struct buffer suspicions, findings; /* of a document */
    struct buffer normal;               /* of a stretch of it */
    struct buffer evidence;             /* of a batch: records of EVIDENCE_WORDS */
};

struct contamination {
    struct contamination_settings settings;
    struct arena *arena;
    struct text_readers texts;
    struct searcher *searchers;     /* [threads] */
    struct external_sort *evidence; /* {document, item, from, to, grams} */
};

static status create_in(struct contamination *contamination, struct error *error)
{
    const struct contamination_settings *settings = &contamination->settings;
    size_t threads = (size_t)thread_pool_count(settings->pool);
    struct external_sort_settings sort = {EVIDENCE_WORDS, settings->memory_bytes, settings->folder,
                                          settings->pool};
    TRY(text_readers_open(&contamination->texts, settings->pool, contamination->arena, error));
    TRY_ALLOC(contamination->searchers, contamination->arena, threads, error);
    for (size_t i = 0; i < threads; i++) {
        struct searcher *searcher = &contamination->searchers[i];
        words_open(&searcher->slice);
        buffer_create(&searcher->suspects, SIZE_MAX / 4);
        buffer_create(&searcher->suspicions, SIZE_MAX / 4);
        buffer_create(&searcher->findings, SIZE_MAX / 4);
        buffer_create(&searcher->normal, SIZE_MAX / 4);
        buffer_create(&searcher->evidence, SIZE_MAX / 4);
    }
    return external_sort_create(&contamination->evidence, &sort, error);
}

status contamination_create(struct contamination **out,
                            const struct contamination_settings *settings, struct error *error)
{
    ASSERT(out && settings && settings->items && settings->folder && settings->pool && error);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct contamination *contamination = arena_alloc(arena, 1, sizeof *contamination, error);
    if (!contamination) {
        arena_destroy(arena);
        return error->code;
    }
    contamination->settings = *settings;
    contamination->arena = arena;
    status result = create_in(contamination, error);
    if (result != OK) {
        contamination_destroy(contamination);
        return result;
    }
    *out = contamination;
    return OK;
}

void contamination_destroy(struct contamination *contamination)
{
    if (!contamination)
        return;
    int threads = thread_pool_count(contamination->settings.pool);
    for (int i = 0; contamination->searchers && i < threads; i++) {
        struct searcher *searcher = &contamination->searchers[i];
        words_close(&searcher->slice);
        buffer_destroy(&searcher->suspects);
        buffer_destroy(&searcher->suspicions);
        buffer_destroy(&searcher->findings);
        buffer_destroy(&searcher->normal);
        buffer_destroy(&searcher->evidence);
    }
    text_readers_close(&contamination->texts);
    external_sort_destroy(contamination->evidence);
    arena_destroy(contamination->arena);
}

/* ---- suspicions: hashes that an index holds ---- */

struct text_readers *contamination_readers(struct contamination *contamination)
{
    return &contamination->texts;
}

void contamination_begin(struct contamination *contamination, int thread)
{
    buffer_clear(&contamination->searchers[thread].suspicions);
}

/* Looks for the hashes of n words that end with each word.  Most are in no index and are put aside
 * by its filter, all of a stretch in a row: so the processor fetches many of its bits at once. */
static status collect_suspicions(struct searcher *searcher, const struct gram_index *index,
                                 size_t n, const struct words_piece *words, const uint64_t *hash,
                                 struct error *error)
{
    buffer_clear(&searcher->suspects);
    TRY(buffer_reserve(&searcher->suspects, (words->count + 1) * sizeof(size_t), error));
    size_t *suspects = (size_t *)(void *)searcher->suspects.data, count = 0;
    for (size_t i = words->before < n - 1 ? n - 1 - words->before : 0; i < words->count; i++) {
        suspects[count] = i;
        count += gram_index_may_hold(index, hash[i]);
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t which = hash[suspects[i]], first = words->before + suspects[i] + 1 - n;
        if (!gram_index_find(index, which).count)
            continue;
        struct suspicion suspicion = {which, first << 1 | (n == ITEM_WHOLE_WORDS)};
        TRY(buffer_append(&searcher->suspicions, &suspicion, sizeof suspicion, error));
    }
    return OK;
}

status contamination_take(struct contamination *contamination, int thread,
                          const struct text_stretch *stretch, struct error *error)
{
    struct searcher *searcher = &contamination->searchers[thread];
    const struct evaluation_items *items = contamination->settings.items;
    TRY(collect_suspicions(searcher, &items->grams, ITEM_GRAM_WORDS, &stretch->words,
                           stretch->thirteens, error));
    return collect_suspicions(searcher, &items->wholes, ITEM_WHOLE_WORDS, &stretch->words,
                              stretch->fives, error);
}

/* ---- findings: the same words ---- */

/* The words around a place of the document, as it is walked through. */
struct walk {
    struct view text, place[GRAM_WORDS_MAX]; /* a ring */
    size_t at;
    uint64_t words; /* how many were passed */
};

static struct view place_of(const struct walk *walk, uint64_t word)
{
    return walk->place[word % GRAM_WORDS_MAX];
}

/* Walks on until `count` words from `first` on are in the ring, or to the end; returns how many
 * there are. */
static size_t walk_to(struct walk *walk, uint64_t first, size_t count)
{
    struct view place;
    while (walk->words < first + count && words_next_place(&place, walk->text, &walk->at))
        walk->place[walk->words++ % GRAM_WORDS_MAX] = place;
    return walk->words - first < count ? (size_t)(walk->words - first) : count;
}

/* The normal form of the words from `first` on. */
static status normal_of(struct view *out, struct searcher *searcher, const struct walk *walk,
                        uint64_t first, size_t count, struct error *error)
{
    struct words_piece piece;
    const char *begin = place_of(walk, first).data;
    struct view last = place_of(walk, first + count - 1);
    buffer_clear(&searcher->normal);
    words_begin(&searcher->slice, (struct view){begin, (size_t)(last.data + last.len - begin)});
    for (;;) {
        TRY(words_read(&piece, &searcher->slice, error));
        if (piece.count == 0)
            break;
        TRY(buffer_append(&searcher->normal, piece.normal.data, piece.normal.len, error));
    }
    *out = (struct view){searcher->normal.data, searcher->normal.len};
    return OK;
}

static size_t count_words(struct view normal)
{
    size_t count = 0;
    for (size_t i = 0; i < normal.len; i++)
        count += normal.data[i] == ' ';
    return count;
}

/* How many words of `normal`, from its beginning, the entry is; 0 if it is something else. */
static size_t same_words(const struct evaluation_items *items, const struct gram_entry *entry,
                         bool whole, struct view normal)
{
    const struct evaluation_item *item = &items->list[entry->value >> 32];
    struct view wanted = {items->normal.data + (entry->value & UINT32_MAX), normal.len};
    if (whole)
        wanted = (struct view){items->normal.data + item->whole, item->whole_len};
    else if (normal.len > items->normal.len - (entry->value & UINT32_MAX))
        return 0;
    if (wanted.len > normal.len || memcmp(wanted.data, normal.data, wanted.len) != 0)
        return 0;
    return whole ? count_words(wanted) : ITEM_GRAM_WORDS;
}

static status check_suspicion(struct searcher *searcher, const struct evaluation_items *items,
                              struct walk *walk, const struct suspicion *suspicion,
                              struct error *error)
{
    bool whole = suspicion->position & 1;
    uint64_t first = suspicion->position >> 1;
    struct view normal;
    size_t count = walk_to(walk, first, ITEM_GRAM_WORDS);
    TRY(normal_of(&normal, searcher, walk, first, count, error));
    struct gram_range range =
        gram_index_find(whole ? &items->wholes : &items->grams, suspicion->which);
    const char *begin = place_of(walk, first).data;
    for (size_t i = 0; i < range.count; i++) {
        size_t words = same_words(items, &range.entries[i], whole, normal);
        if (words == 0)
            continue;
        struct view last = place_of(walk, first + words - 1);
        struct finding finding = {range.entries[i].value >> 32, (uint64_t)(begin - walk->text.data),
                                  (uint64_t)(last.data + last.len - walk->text.data)};
        TRY(buffer_append(&searcher->findings, &finding, sizeof finding, error));
    }
    return OK;
}

/* Of each hash the first place counts.  Sorted by hash and place first, then by place, in which
 * order the document is walked through once. */
static size_t keep_first_places(struct suspicion *list, size_t count)
{
    size_t kept = 0;
    records_sort((uint64_t *)(void *)list, count, 2, NULL);
    for (size_t i = 0; i < count; i++) {
        bool same = kept && list[i].which == list[kept - 1].which &&
                    (list[i].position & 1) == (list[kept - 1].position & 1);
        if (!same)
            list[kept++] = list[i];
    }
    for (size_t i = 0; i < kept; i++)
        list[i] = (struct suspicion){list[i].position, list[i].which};
    records_sort((uint64_t *)(void *)list, kept, 2, NULL);
    for (size_t i = 0; i < kept; i++)
        list[i] = (struct suspicion){list[i].position, list[i].which};
    return kept;
}

static status collect_findings(struct searcher *searcher, const struct evaluation_items *items,
                               struct view text, struct error *error)
{
    struct walk walk = {.text = text};
    struct suspicion *list = (struct suspicion *)(void *)searcher->suspicions.data;
    size_t count = keep_first_places(list, searcher->suspicions.len / sizeof *list);
    buffer_clear(&searcher->findings);
    for (size_t i = 0; i < count; i++)
        TRY(check_suspicion(searcher, items, &walk, &list[i], error));
    return OK;
}

/* ---- evidence ---- */

/* Findings of an item become one record: the first place, and how many. */
static status add_evidence(struct overlap *out, struct searcher *searcher,
                           const struct evaluation_items *items, uint64_t document,
                           struct error *error)
{
    struct finding *list = (struct finding *)(void *)searcher->findings.data;
    size_t count = searcher->findings.len / sizeof *list;
    records_sort((uint64_t *)(void *)list, count, 3, NULL);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && list[end].item == list[i].item;)
            end++;
        bool whole = items->list[list[i].item].search == ITEM_AS_A_WHOLE;
        uint64_t record[EVIDENCE_WORDS] = {document, list[i].item, list[i].from, list[i].to,
                                           whole ? 1 : end - i};
        TRY(buffer_append(&searcher->evidence, record, sizeof record, error));
        out->by_grams += !whole;
        out->as_a_whole += whole;
    }
    return OK;
}

status contamination_end(struct overlap *out, struct contamination *contamination, int thread,
                         const struct numbered_text *document, struct error *error)
{
    struct searcher *searcher = &contamination->searchers[thread];
    const struct evaluation_items *items = contamination->settings.items;
    *out = (struct overlap){0, 0};
    if (searcher->suspicions.len == 0)
        return OK;
    TRY(collect_findings(searcher, items, document->text, error));
    return add_evidence(out, searcher, items, document->number, error);
}

status contamination_keep(struct contamination *contamination, struct error *error)
{
    for (int i = 0; i < thread_pool_count(contamination->settings.pool); i++) {
        struct buffer *records = &contamination->searchers[i].evidence;
        if (records->len)
            TRY(external_sort_add(contamination->evidence,
                                  (const uint64_t *)(const void *)records->data,
                                  records->len / (EVIDENCE_WORDS * sizeof(uint64_t)), error));
        buffer_clear(records);
    }
    return OK;
}

status contamination_add(struct overlap *out, struct contamination *contamination,
                         const struct numbered_text *documents, size_t count, struct error *error)
{
    ASSERT(contamination);
    return comparisons_add(out, &(struct comparisons){.contamination = contamination}, documents,
                           count, error);
}

status contamination_finish(struct contamination *contamination, struct error *error)
{
    ASSERT(contamination && error);
    return external_sort_finish(contamination->evidence, error);
}

status contamination_next(bool *found, struct evidence *out, struct contamination *contamination,
                          struct error *error)
{
    ASSERT(found && out && contamination && error);
    const uint64_t *record;
    TRY(external_sort_next(&record, contamination->evidence, error));
    *found = record != NULL;
    if (record)
        *out = (struct evidence){record[0], &contamination->settings.items->list[record[1]],
                                 record[2], record[3], record[4]};
    return OK;
}

static status write_line(struct file_writer *writer, const struct evidence *evidence,
                         const char *document, struct error *error)
{
    const struct evaluation_item *item = evidence->item;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "document", document);
    cJSON_AddStringToObject(json, "item", item->id);
    cJSON_AddStringToObject(json, "task", item->task);
    cJSON_AddStringToObject(json, "match", item_search_name(item->search));
    cJSON_AddNumberToObject(json, "from", (double)evidence->from);
    cJSON_AddNumberToObject(json, "to", (double)evidence->to);
    cJSON_AddNumberToObject(json, "grams", (double)evidence->grams);
    cJSON_AddNumberToObject(json, "item_grams", item->grams);
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    if (!text)
        return fail(error, ERR_MEMORY, "no memory for a line of evidence");
    status result = file_writer_add(writer, text, strlen(text), error);
    cJSON_free(text);
    return result == OK ? file_writer_add(writer, "\n", 1, error) : result;
}

status contamination_write(struct contamination *contamination, const char *path,
                           document_name *name, void *context, struct error *error)
{
    ASSERT(contamination && path && name && error);
    struct file_writer writer = {0};
    struct evidence evidence;
    bool found = true;
    TRY(file_writer_open(&writer, path, error));
    status result = external_sort_rewind(contamination->evidence, error);
    while (result == OK && found) {
        result = contamination_next(&found, &evidence, contamination, error);
        if (result == OK && found)
            result = write_line(&writer, &evidence, name(context, evidence.document), error);
    }
    if (result == OK)
        return file_writer_commit(&writer, error);
    file_writer_abort(&writer);
    return result;
}
