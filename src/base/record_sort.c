#include "base/record_sort.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/file.h"

/* A record in memory and on disk is its length (u32) and its bytes. */
enum {
    HEAD_BYTES = 4,
    CURSOR_BYTES = 2 * (HEAD_BYTES + RECORD_BYTES_MAX), /* a run's window when merging */
    RUNS_BYTES_MAX = 64 << 20
};

struct run {
    uint64_t begin, end; /* in the scratch file */
};

/* Reads a run from its beginning, a window at a time. */
struct cursor {
    uint64_t next, end; /* of what was not read yet */
    uint8_t *window;
    size_t at, len;
};

struct record_sort {
    struct arena *arena;
    const char *folder;
    uint8_t *memory; /* records from the front while adding; cursors' windows when merging */
    size_t memory_bytes, used;
    struct buffer places; /* of the records in memory: u32 */
    struct file_scratch scratch;
    struct buffer runs;
    size_t first_run; /* those before it were merged into later ones */
    struct cursor *cursors;
    size_t *heap, heap_len; /* cursors, the smallest record first */
    size_t fan_in, next;    /* place of the next record, when all are in memory */
    uint64_t count;
    bool open_scratch, advance; /* the top of the heap was handed out */
};

/* ---- records in memory ---- */

static struct view record_at(const uint8_t *bytes)
{
    uint32_t len;
    memcpy(&len, bytes, sizeof len);
    return (struct view){(const char *)bytes + HEAD_BYTES, len};
}

static int compare_views(struct view a, struct view b)
{
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order ? order : a.len < b.len ? -1 : a.len > b.len;
}

static int compare_places(const void *a, const void *b, void *memory)
{
    uint32_t left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    return compare_views(record_at((const uint8_t *)memory + left),
                         record_at((const uint8_t *)memory + right));
}

static size_t place_count(const struct record_sort *sort)
{
    return sort->places.len / sizeof(uint32_t);
}

static const uint8_t *placed(const struct record_sort *sort, size_t index)
{
    uint32_t place;
    memcpy(&place, sort->places.data + index * sizeof place, sizeof place);
    return sort->memory + place;
}

static void sort_memory(struct record_sort *sort)
{
    if (sort->places.len)
        qsort_r(sort->places.data, place_count(sort), sizeof(uint32_t), compare_places,
                sort->memory);
}

/* ---- runs ---- */

static size_t run_count(const struct record_sort *sort)
{
    return sort->runs.len / sizeof(struct run) - sort->first_run;
}

static struct run run_at(const struct record_sort *sort, size_t index)
{
    struct run run;
    memcpy(&run, sort->runs.data + (sort->first_run + index) * sizeof run, sizeof run);
    return run;
}

static status add_run(struct record_sort *sort, uint64_t begin, struct error *error)
{
    struct run run = {begin, sort->scratch.len};
    return buffer_append(&sort->runs, &run, sizeof run, error);
}

static status write_record(struct record_sort *sort, struct buffer *pending, struct view record,
                           struct error *error)
{
    TRY(buffer_append(pending, record.data - HEAD_BYTES, HEAD_BYTES + record.len, error));
    if (pending->len < (1 << 20))
        return OK;
    TRY(file_scratch_add(&sort->scratch, pending->data, pending->len, error));
    buffer_clear(pending);
    return OK;
}

static status write_memory(struct record_sort *sort, struct buffer *pending, struct error *error)
{
    for (size_t i = 0; i < place_count(sort); i++)
        TRY(write_record(sort, pending, record_at(placed(sort, i)), error));
    return file_scratch_add(&sort->scratch, pending->data, pending->len, error);
}

/* What is in memory becomes a run. */
static status spill(struct record_sort *sort, struct error *error)
{
    struct buffer pending;
    if (!sort->open_scratch)
        TRY(file_scratch_open(&sort->scratch, sort->folder, error));
    sort->open_scratch = true;
    uint64_t begin = sort->scratch.len;
    sort_memory(sort);
    buffer_create(&pending, 2 << 20);
    status result = write_memory(sort, &pending, error);
    buffer_destroy(&pending);
    if (result == OK)
        result = add_run(sort, begin, error);
    buffer_clear(&sort->places);
    sort->used = 0;
    return result;
}

/* ---- merging ---- */

/* The window holds the next record whole, unless the run is at its end. */
static status fill_window(struct record_sort *sort, struct cursor *cursor, struct error *error)
{
    size_t left = cursor->len - cursor->at;
    if (left >= HEAD_BYTES + RECORD_BYTES_MAX || cursor->next == cursor->end)
        return OK;
    memmove(cursor->window, cursor->window + cursor->at, left);
    uint64_t rest = cursor->end - cursor->next;
    size_t more = rest < CURSOR_BYTES - left ? (size_t)rest : CURSOR_BYTES - left;
    TRY(file_scratch_read(cursor->window + left, &sort->scratch, cursor->next, more, error));
    cursor->next += more;
    cursor->at = 0;
    cursor->len = left + more;
    return OK;
}

static struct view cursor_record(const struct record_sort *sort, size_t cursor)
{
    const struct cursor *at = &sort->cursors[cursor];
    return record_at(at->window + at->at);
}

static bool comes_before(const struct record_sort *sort, size_t a, size_t b)
{
    int order = compare_views(cursor_record(sort, a), cursor_record(sort, b));
    return order ? order < 0 : a < b;
}

static void sift_down(struct record_sort *sort, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1, moving = sort->heap[at];
        if (child >= sort->heap_len)
            return;
        if (child + 1 < sort->heap_len &&
            comes_before(sort, sort->heap[child + 1], sort->heap[child]))
            child++;
        if (!comes_before(sort, sort->heap[child], moving))
            return;
        sort->heap[at] = sort->heap[child];
        sort->heap[child] = moving;
        at = child;
    }
}

static status open_cursors(struct record_sort *sort, size_t count, struct error *error)
{
    sort->heap_len = 0;
    sort->advance = false;
    for (size_t i = 0; i < count; i++) {
        struct run run = run_at(sort, i);
        sort->cursors[i] = (struct cursor){
            .next = run.begin, .end = run.end, .window = sort->memory + i * (size_t)CURSOR_BYTES};
        TRY(fill_window(sort, &sort->cursors[i], error));
        sort->heap[sort->heap_len++] = i; /* no run is empty */
    }
    for (size_t i = sort->heap_len / 2; i-- > 0;)
        sift_down(sort, i);
    return OK;
}

static status next_merged(struct view *out, struct record_sort *sort, struct error *error)
{
    if (sort->advance && sort->heap_len) {
        struct cursor *cursor = &sort->cursors[sort->heap[0]];
        cursor->at += HEAD_BYTES + record_at(cursor->window + cursor->at).len;
        TRY(fill_window(sort, cursor, error));
        if (cursor->at == cursor->len)
            sort->heap[0] = sort->heap[--sort->heap_len];
        sift_down(sort, 0);
    }
    sort->advance = true;
    *out = sort->heap_len ? cursor_record(sort, sort->heap[0]) : (struct view){NULL, 0};
    return OK;
}

static status merge_into(struct record_sort *sort, struct buffer *pending, struct error *error)
{
    struct view record;
    for (;;) {
        TRY(next_merged(&record, sort, error));
        if (!record.data)
            return file_scratch_add(&sort->scratch, pending->data, pending->len, error);
        TRY(write_record(sort, pending, record, error));
    }
}

/* The oldest runs become one, at the end of the file. */
static status merge_oldest(struct record_sort *sort, struct error *error)
{
    struct buffer pending;
    uint64_t begin = sort->scratch.len;
    TRY(open_cursors(sort, sort->fan_in, error));
    buffer_create(&pending, 2 << 20);
    status result = merge_into(sort, &pending, error);
    buffer_destroy(&pending);
    TRY(result);
    TRY(add_run(sort, begin, error));
    sort->first_run += sort->fan_in;
    return OK;
}

/* ---- the door ---- */

static status create_in(struct record_sort **out, size_t memory_bytes, const char *folder,
                        struct arena *arena, struct error *error)
{
    struct record_sort *sort;
    TRY_ALLOC(sort, arena, 1, error);
    sort->arena = arena;
    sort->folder = folder;
    sort->memory_bytes = memory_bytes;
    sort->fan_in = memory_bytes / CURSOR_BYTES;
    TRY_ALLOC(sort->memory, arena, memory_bytes, error);
    TRY_ALLOC(sort->cursors, arena, sort->fan_in, error);
    TRY_ALLOC(sort->heap, arena, sort->fan_in, error);
    buffer_create(&sort->places, memory_bytes);
    buffer_create(&sort->runs, RUNS_BYTES_MAX);
    *out = sort;
    return OK;
}

status record_sort_create(struct record_sort **out, size_t memory_bytes, const char *folder,
                          struct error *error)
{
    ASSERT(out && folder && error);
    ASSERT(memory_bytes >= RECORD_SORT_MEMORY_BYTES_MIN && memory_bytes <= (size_t)2 << 30);
    struct arena *arena;
    TRY(arena_create(&arena, 0, error));
    status result = create_in(out, memory_bytes, folder, arena, error);
    if (result != OK)
        arena_destroy(arena);
    return result;
}

void record_sort_destroy(struct record_sort *sort)
{
    if (!sort)
        return;
    if (sort->open_scratch)
        file_scratch_close(&sort->scratch);
    buffer_destroy(&sort->places);
    buffer_destroy(&sort->runs);
    arena_destroy(sort->arena);
}

status record_sort_add(struct record_sort *sort, struct view record, struct error *error)
{
    ASSERT(sort && (record.data || !record.len) && error);
    if (record.len > RECORD_BYTES_MAX)
        return fail(error, ERR_LIMIT, "a record of %zu bytes, allowed are %d", record.len,
                    RECORD_BYTES_MAX);
    size_t needed = HEAD_BYTES + record.len;
    if (needed > sort->memory_bytes - sort->used)
        TRY(spill(sort, error));
    uint32_t len = (uint32_t)record.len, place = (uint32_t)sort->used;
    TRY(buffer_append(&sort->places, &place, sizeof place, error));
    memcpy(sort->memory + sort->used, &len, sizeof len);
    if (record.len)
        memcpy(sort->memory + sort->used + HEAD_BYTES, record.data, record.len);
    sort->used += needed;
    sort->count++;
    return OK;
}

status record_sort_finish(struct record_sort *sort, struct error *error)
{
    ASSERT(sort && error);
    if (sort->runs.len && sort->used)
        TRY(spill(sort, error));
    if (!sort->runs.len)
        sort_memory(sort);
    while (run_count(sort) > sort->fan_in)
        TRY(merge_oldest(sort, error));
    return record_sort_rewind(sort, error);
}

status record_sort_rewind(struct record_sort *sort, struct error *error)
{
    ASSERT(sort && error);
    sort->next = 0;
    return sort->runs.len ? open_cursors(sort, run_count(sort), error) : OK;
}

status record_sort_next(struct view *out, struct record_sort *sort, struct error *error)
{
    ASSERT(out && sort && error);
    if (sort->runs.len)
        return next_merged(out, sort, error);
    *out = sort->next < place_count(sort) ? record_at(placed(sort, sort->next++))
                                          : (struct view){NULL, 0};
    return OK;
}

uint64_t record_sort_count(const struct record_sort *sort)
{
    return sort->count;
}
