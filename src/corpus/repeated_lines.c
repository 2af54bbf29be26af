#include "corpus/repeated_lines.h"

#include <string.h>

#include "base/arena.h"
#include "base/thread.h"
#include "corpus/comparisons_internal.h"

/* A line while its words are read. */
struct line {
    uint64_t key;
    size_t words;
};

struct reader {
    struct buffer records; /* {key, document} of the batch */
    struct buffer keys;    /* of the document that is read */
    struct line line;
};

struct repeated_lines {
    struct repeated_lines_settings settings;
    struct arena *arena;
    struct text_readers texts;
    struct reader *readers;       /* [threads] */
    struct external_sort *lines;  /* {key, document} */
    struct external_sort *losses; /* {document, key} */
    uint64_t *group;              /* [documents_max + 1]: first documents of a key */
    const uint64_t *next;         /* of losses */
    struct buffer keys;           /* of the document that was given out */
};

static status create_in(struct repeated_lines *lines, struct error *error)
{
    const struct repeated_lines_settings *settings = &lines->settings;
    size_t threads = (size_t)thread_pool_count(settings->pool);
    struct external_sort_settings sort = {2, settings->memory_bytes / 4 * 3, settings->folder,
                                          settings->pool};
    buffer_create(&lines->keys, SIZE_MAX / 4);
    TRY_ALLOC(lines->group, lines->arena, settings->documents_max + 1, error);
    TRY(text_readers_open(&lines->texts, settings->pool, lines->arena, error));
    TRY_ALLOC(lines->readers, lines->arena, threads, error);
    for (size_t i = 0; i < threads; i++) {
        buffer_create(&lines->readers[i].records, SIZE_MAX / 4);
        buffer_create(&lines->readers[i].keys, SIZE_MAX / 4);
    }
    TRY(external_sort_create(&lines->lines, &sort, error));
    sort.memory_bytes = settings->memory_bytes / 4;
    return external_sort_create(&lines->losses, &sort, error);
}

status repeated_lines_create(struct repeated_lines **out,
                             const struct repeated_lines_settings *settings, struct error *error)
{
    ASSERT(out && settings && settings->folder && settings->pool && error);
    if (settings->documents_max < 1 || settings->documents_max > LINE_DOCUMENTS_MAX)
        return fail(error, ERR_USAGE,
                    "a line may stand in %llu documents, allowed are limits from 1 to %d",
                    (unsigned long long)settings->documents_max, LINE_DOCUMENTS_MAX);
    if (settings->memory_bytes < LINES_MEMORY_BYTES_MIN)
        return fail(error, ERR_USAGE, "finding lines has %zu bytes of memory, needed are %d",
                    settings->memory_bytes, LINES_MEMORY_BYTES_MIN);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct repeated_lines *lines = arena_alloc(arena, 1, sizeof *lines, error);
    if (!lines) {
        arena_destroy(arena);
        return error->code;
    }
    lines->settings = *settings;
    lines->arena = arena;
    status result = create_in(lines, error);
    if (result != OK) {
        repeated_lines_destroy(lines);
        return result;
    }
    *out = lines;
    return OK;
}

void repeated_lines_destroy(struct repeated_lines *lines)
{
    if (!lines)
        return;
    for (int i = 0; lines->readers && i < thread_pool_count(lines->settings.pool); i++) {
        buffer_destroy(&lines->readers[i].records);
        buffer_destroy(&lines->readers[i].keys);
    }
    text_readers_close(&lines->texts);
    external_sort_destroy(lines->lines);
    external_sort_destroy(lines->losses);
    buffer_destroy(&lines->keys);
    arena_destroy(lines->arena);
}

/* ---- reading documents ---- */

static void begin_line(struct line *out)
{
    *out = (struct line){WORD_SEED, 0};
}

static void add_words(struct line *line, const uint64_t *hash, size_t count)
{
    uint64_t key = line->key;
    for (size_t i = 0; i < count; i++) {
        key = (key ^ hash[i]) * WORD_FACTOR;
        key ^= key >> 32;
    }
    line->key = key;
    line->words += count;
}

status line_key(uint64_t *out, size_t *word_count, struct words *words, struct view text,
                struct error *error)
{
    struct words_piece piece;
    struct line line;
    begin_line(&line);
    words_begin(words, text);
    for (;;) {
        TRY(words_read(&piece, words, error));
        if (piece.count == 0)
            break;
        add_words(&line, piece.hash, piece.count);
    }
    *out = line.key;
    *word_count = line.words;
    return OK;
}

struct text_readers *repeated_lines_readers(struct repeated_lines *lines)
{
    return &lines->texts;
}

void repeated_lines_begin(struct repeated_lines *lines, int thread)
{
    struct reader *reader = &lines->readers[thread];
    buffer_clear(&reader->keys);
    begin_line(&reader->line);
}

static status end_line(struct reader *reader, size_t words_min, struct error *error)
{
    struct line line = reader->line;
    begin_line(&reader->line);
    return line.words >= words_min ? buffer_append(&reader->keys, &line.key, sizeof line.key, error)
                                   : OK;
}

status repeated_lines_take(struct repeated_lines *lines, int thread,
                           const struct text_stretch *stretch, struct error *error)
{
    struct reader *reader = &lines->readers[thread];
    const struct words_piece *words = &stretch->words;
    size_t begin = 0;
    for (size_t i = 0; i < words->line_count; i++) {
        add_words(&reader->line, words->hash + begin, words->line_ends[i] - begin);
        TRY(end_line(reader, lines->settings.words_min, error));
        begin = words->line_ends[i];
    }
    add_words(&reader->line, words->hash + begin, words->count - begin);
    return OK;
}

/* Adds {key, document} for each line that is new in the document. */
status repeated_lines_end(struct repeated_lines *lines, int thread, uint64_t document,
                          struct error *error)
{
    struct reader *reader = &lines->readers[thread];
    TRY(end_line(reader, lines->settings.words_min, error));
    uint64_t *keys = (uint64_t *)(void *)reader->keys.data;
    size_t count = reader->keys.len / sizeof *keys;
    records_sort(keys, count, 1, NULL);
    for (size_t i = 0; i < count; i++) {
        uint64_t record[2] = {keys[i], document};
        if (i == 0 || keys[i] != keys[i - 1])
            TRY(buffer_append(&reader->records, record, sizeof record, error));
    }
    return OK;
}

status repeated_lines_keep(struct repeated_lines *lines, struct error *error)
{
    ASSERT(lines->lines);
    for (int i = 0; i < thread_pool_count(lines->settings.pool); i++) {
        struct buffer *records = &lines->readers[i].records;
        if (records->len)
            TRY(external_sort_add(lines->lines, (const uint64_t *)(const void *)records->data,
                                  records->len / (2 * sizeof(uint64_t)), error));
        buffer_clear(records);
    }
    return OK;
}

status repeated_lines_add(struct repeated_lines *lines, const struct numbered_text *documents,
                          size_t count, struct error *error)
{
    ASSERT(lines && lines->lines);
    return comparisons_add(NULL, &(struct comparisons){.lines = lines}, documents, count, error);
}

/* ---- who loses what ---- */

static status add_loss(struct repeated_lines *lines, uint64_t document, uint64_t key,
                       struct error *error)
{
    return external_sort_add(lines->losses, (const uint64_t[]){document, key}, 1, error);
}

/* The documents of a key come in the order of numbers, each once.  Until there are too many it is
 * open whether anybody loses the line, so that many are kept. */
static status collect_losses(struct repeated_lines *lines, struct error *error)
{
    const uint64_t *record;
    uint64_t key = 0, count = 0, limit = lines->settings.documents_max;
    for (;;) {
        TRY(external_sort_next(&record, lines->lines, error));
        if (!record)
            return OK;
        count = count && record[0] == key ? count + 1 : 1;
        key = record[0];
        if (count <= limit)
            lines->group[count - 1] = record[1];
        else
            TRY(add_loss(lines, record[1], key, error));
        for (uint64_t i = 1; count == limit + 1 && i < limit; i++)
            TRY(add_loss(lines, lines->group[i], key, error));
    }
}

status repeated_lines_finish(struct repeated_lines *lines, struct error *error)
{
    ASSERT(lines && lines->lines && error);
    TRY(external_sort_finish(lines->lines, error));
    TRY(collect_losses(lines, error));
    external_sort_destroy(lines->lines);
    lines->lines = NULL;
    TRY(external_sort_finish(lines->losses, error));
    return external_sort_next(&lines->next, lines->losses, error);
}

status repeated_lines_next(bool *found, struct line_losses *out, struct repeated_lines *lines,
                           struct error *error)
{
    ASSERT(found && out && lines && !lines->lines && error);
    *found = lines->next != NULL;
    if (!lines->next)
        return OK;
    uint64_t document = lines->next[0];
    buffer_clear(&lines->keys);
    while (lines->next && lines->next[0] == document) {
        TRY(buffer_append(&lines->keys, &lines->next[1], sizeof lines->next[1], error));
        TRY(external_sort_next(&lines->next, lines->losses, error));
    }
    *out = (struct line_losses){document, (const uint64_t *)(const void *)lines->keys.data,
                                lines->keys.len / sizeof(uint64_t)};
    return OK;
}

static bool is_lost(const struct line_losses *losses, uint64_t key)
{
    size_t begin = 0, end = losses->count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (losses->keys[middle] < key)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin < losses->count && losses->keys[begin] == key;
}

status repeated_lines_drop(struct buffer *out, size_t *lost, struct words *words, struct view text,
                           const struct line_losses *losses, struct error *error)
{
    ASSERT(out && lost && words && losses && error);
    struct view rest = text, line;
    *lost = 0;
    for (const char *begin = text.data; view_line(&line, &rest); begin = rest.data) {
        uint64_t key;
        size_t count;
        TRY(line_key(&key, &count, words, line, error));
        if (count && is_lost(losses, key))
            ++*lost;
        else
            TRY(buffer_append(out, begin, (size_t)(rest.data - begin), error));
    }
    return OK;
}
