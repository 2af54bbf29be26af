#include "base/external_sort.h"

#include <string.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/thread.h"

enum {
    FAN_IN_MAX = 1024,        /* runs merged at once */
    SLOT_BYTES = 64 << 10,    /* read at once from a run, where the memory allows it */
    RUNS_BYTES_MAX = 16 << 20 /* the list of runs: a million */
};

/* ---- sorting in memory ---- */

enum { SMALL = 24, DIGITS = 256, PARALLEL_MIN = 1 << 14 };

static bool is_less(const uint64_t *a, const uint64_t *b, size_t words)
{
    for (size_t i = 0; i < words; i++)
        if (a[i] != b[i])
            return a[i] < b[i];
    return false;
}

static void sort_small(uint64_t *records, size_t count, size_t words)
{
    uint64_t moved[SORT_WORDS_MAX];
    for (size_t i = 1; i < count; i++) {
        size_t to = i;
        memcpy(moved, records + i * words, words * sizeof *records);
        while (to > 0 && is_less(moved, records + (to - 1) * words, words))
            to--;
        memmove(records + (to + 1) * words, records + to * words,
                (i - to) * words * sizeof *records);
        memcpy(records + to * words, moved, words * sizeof *records);
    }
}

static size_t digit_of(const uint64_t *record, size_t digit)
{
    return record[digit / 8] >> (56 - 8 * (digit % 8)) & 255;
}

static void swap(uint64_t *a, uint64_t *b, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        uint64_t kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

/* Puts the records in order of one byte; bucket d is then [end[d - 1], end[d]).  False, with
 * nothing moved, if the byte is the same in all. */
static bool partition(size_t end[DIGITS], uint64_t *records, size_t count, size_t words,
                      size_t digit)
{
    size_t next[DIGITS], total = 0;
    memset(end, 0, DIGITS * sizeof *end);
    for (size_t i = 0; i < count; i++)
        end[digit_of(records + i * words, digit)]++;
    if (end[digit_of(records, digit)] == count)
        return false;
    for (size_t d = 0; d < DIGITS; d++) {
        next[d] = total;
        total += end[d];
        end[d] = total;
    }
    for (size_t d = 0; d < DIGITS; d++)
        while (next[d] < end[d]) {
            uint64_t *record = records + next[d] * words;
            size_t to = digit_of(record, digit);
            if (to != d)
                swap(record, records + next[to] * words, words);
            next[to]++;
        }
    return true;
}

static void sort_from(uint64_t *records, size_t count, size_t words, size_t digit)
{
    size_t end[DIGITS];
    for (; digit < 8 * words; digit++) {
        if (count <= SMALL) {
            sort_small(records, count, words);
            return;
        }
        if (partition(end, records, count, words, digit))
            break;
    }
    for (size_t d = 0; digit < 8 * words && d < DIGITS; d++) {
        size_t begin = d ? end[d - 1] : 0;
        if (end[d] - begin > 1)
            sort_from(records + begin * words, end[d] - begin, words, digit + 1);
    }
}

struct bucket_job {
    uint64_t *records;
    const size_t *end;
    size_t words, digit;
};

static void sort_buckets(void *context, size_t first, size_t last, int thread)
{
    (void)thread;
    const struct bucket_job *job = context;
    for (size_t d = first; d < last; d++) {
        size_t begin = d ? job->end[d - 1] : 0;
        if (job->end[d] - begin > 1)
            sort_from(job->records + begin * job->words, job->end[d] - begin, job->words,
                      job->digit + 1);
    }
}

void records_sort(uint64_t *records, size_t count, size_t words, struct thread_pool *pool)
{
    ASSERT((records || !count) && words >= 1 && words <= SORT_WORDS_MAX);
    if (!pool || thread_pool_count(pool) == 1 || count < PARALLEL_MIN) {
        sort_from(records, count, words, 0);
        return;
    }
    size_t end[DIGITS], digit = 0;
    while (digit < 8 * words && !partition(end, records, count, words, digit))
        digit++;
    struct bucket_job job = {records, end, words, digit};
    if (digit < 8 * words)
        parallel_for(pool, DIGITS, 1, sort_buckets, &job);
}

/* ---- runs ---- */

struct run {
    uint64_t offset, count; /* in bytes; in records */
};

/* A run while it is merged: a slot of memory with the records that come next. */
struct source {
    uint64_t *slot;
    const uint64_t *head; /* NULL: exhausted */
    size_t held, at;      /* records */
    uint64_t offset, left;
};

struct external_sort {
    struct external_sort_settings settings;
    uint64_t *records; /* [capacity]: the run that grows; while merging, the slots */
    size_t capacity, held;
    uint64_t count;
    bool finished;
    struct file_scratch file;
    struct buffer runs; /* of struct run */
    /* while reading */
    size_t at;         /* without runs: the next record in memory */
    bool started;      /* with runs: the winner was given out */
    size_t fan_in;     /* how many runs are merged at once */
    size_t slot_count; /* records of a slot */
    size_t sources_count;
    struct source sources[FAN_IN_MAX];
    uint32_t loser[FAN_IN_MAX]; /* a tournament: node n has children 2n and 2n + 1, leaf s is node
                                   sources_count + s; loser[0] is the winner of all */
};

status external_sort_create(struct external_sort **out,
                            const struct external_sort_settings *settings, struct error *error)
{
    ASSERT(out && settings && settings->folder && error);
    ASSERT(settings->words >= 1 && settings->words <= SORT_WORDS_MAX);
    if (settings->memory_bytes < SORT_MEMORY_BYTES_MIN)
        return fail(error, ERR_USAGE, "sorting has %zu bytes of memory, needed are %d",
                    settings->memory_bytes, SORT_MEMORY_BYTES_MIN);
    struct external_sort *sort = memory_take(sizeof *sort);
    if (!sort)
        return fail(error, ERR_MEMORY, "no memory for sorting");
    memset(sort, 0, sizeof *sort);
    sort->settings = *settings;
    sort->capacity = settings->memory_bytes / (settings->words * sizeof(uint64_t));
    sort->fan_in = settings->memory_bytes / SLOT_BYTES;
    sort->fan_in = sort->fan_in < 3 ? 2 : sort->fan_in - 1; /* one slot is for the output */
    sort->fan_in = sort->fan_in > FAN_IN_MAX ? FAN_IN_MAX : sort->fan_in;
    buffer_create(&sort->runs, RUNS_BYTES_MAX);
    sort->records = memory_take(sort->capacity * settings->words * sizeof(uint64_t));
    if (!sort->records) {
        memory_give(sort);
        return fail(error, ERR_MEMORY, "the system has no %zu bytes of memory for sorting",
                    settings->memory_bytes);
    }
    *out = sort;
    return OK;
}

void external_sort_destroy(struct external_sort *sort)
{
    if (!sort)
        return;
    file_scratch_close(&sort->file);
    buffer_destroy(&sort->runs);
    memory_give(sort->records);
    memory_give(sort);
}

uint64_t external_sort_count(const struct external_sort *sort)
{
    return sort->count;
}

static size_t record_bytes(const struct external_sort *sort)
{
    return sort->settings.words * sizeof(uint64_t);
}

static size_t run_count(const struct external_sort *sort)
{
    return sort->runs.len / sizeof(struct run);
}

static struct run run_at(const struct external_sort *sort, size_t index)
{
    struct run run;
    memcpy(&run, sort->runs.data + index * sizeof run, sizeof run);
    return run;
}

/* Asked whenever the disk is. */
static status check_interrupt(struct error *error)
{
    return interrupt_requested() ? fail(error, ERR_INTERRUPTED, "stopped while sorting") : OK;
}

static status write_run(struct external_sort *sort, struct error *error)
{
    if (sort->held == 0)
        return OK;
    TRY(check_interrupt(error));
    if (run_count(sort) == 0)
        TRY(file_scratch_open(&sort->file, sort->settings.folder, error));
    struct run run = {sort->file.len, sort->held};
    records_sort(sort->records, sort->held, sort->settings.words, sort->settings.pool);
    TRY(file_scratch_add(&sort->file, sort->records, sort->held * record_bytes(sort), error));
    sort->held = 0;
    return buffer_append(&sort->runs, &run, sizeof run, error);
}

status external_sort_add(struct external_sort *sort, const uint64_t *records, size_t count,
                         struct error *error)
{
    ASSERT(sort && !sort->finished && (records || !count) && error);
    size_t words = sort->settings.words;
    while (count) {
        if (sort->held == sort->capacity)
            TRY(write_run(sort, error));
        size_t taken = sort->capacity - sort->held;
        taken = count < taken ? count : taken;
        memcpy(sort->records + sort->held * words, records, taken * record_bytes(sort));
        records += taken * words;
        count -= taken;
        sort->held += taken;
        sort->count += taken;
    }
    return OK;
}

/* ---- merging ---- */

static status source_fill(struct external_sort *sort, struct source *source, struct error *error)
{
    source->at = 0;
    source->held = source->left < sort->slot_count ? (size_t)source->left : sort->slot_count;
    source->head = source->held ? source->slot : NULL;
    if (!source->held)
        return OK;
    size_t bytes = source->held * record_bytes(sort);
    TRY(check_interrupt(error));
    TRY(file_scratch_read(source->slot, &sort->file, source->offset, bytes, error));
    source->offset += bytes;
    source->left -= source->held;
    return OK;
}

static bool source_wins(const struct external_sort *sort, uint32_t a, uint32_t b)
{
    const uint64_t *left = sort->sources[a].head, *right = sort->sources[b].head;
    if (!left || !right)
        return left != NULL;
    return is_less(left, right, sort->settings.words);
}

static void tournament(struct external_sort *sort)
{
    uint32_t winner[2 * FAN_IN_MAX];
    size_t count = sort->sources_count;
    for (size_t s = 0; s < count; s++)
        winner[count + s] = (uint32_t)s;
    for (size_t node = count - 1; node > 0; node--) {
        uint32_t left = winner[2 * node], right = winner[2 * node + 1];
        bool right_wins = source_wins(sort, right, left);
        winner[node] = right_wins ? right : left;
        sort->loser[node] = right_wins ? left : right;
    }
    sort->loser[0] = winner[1]; /* of one source: its leaf is node 1 */
}

/* Begins to merge the runs [first, first + count). */
static status merge_begin(struct external_sort *sort, size_t first, size_t count,
                          struct error *error)
{
    ASSERT(count >= 1 && count <= sort->fan_in);
    sort->slot_count = sort->capacity / (count + 1);
    sort->sources_count = count;
    sort->started = false;
    for (size_t s = 0; s < count; s++) {
        struct run run = run_at(sort, first + s);
        sort->sources[s] =
            (struct source){.slot = sort->records + s * sort->slot_count * sort->settings.words,
                            .offset = run.offset,
                            .left = run.count};
        TRY(source_fill(sort, &sort->sources[s], error));
    }
    tournament(sort);
    return OK;
}

static status merge_next(const uint64_t **out, struct external_sort *sort, struct error *error)
{
    uint32_t winner = sort->loser[0];
    if (sort->started && sort->sources[winner].head) {
        struct source *source = &sort->sources[winner];
        source->head += sort->settings.words;
        if (++source->at == source->held)
            TRY(source_fill(sort, source, error));
        for (size_t node = (sort->sources_count + winner) / 2; node > 0; node /= 2)
            if (source_wins(sort, sort->loser[node], winner)) {
                uint32_t other = sort->loser[node];
                sort->loser[node] = winner;
                winner = other;
            }
        sort->loser[0] = winner;
    }
    sort->started = true;
    *out = sort->sources[winner].head;
    return OK;
}

/* Merges the runs [first, first + count) to the end of `file`, through the last slot. */
static status merge_to_file(struct file_scratch *file, struct run *out, struct external_sort *sort,
                            size_t first, size_t count, struct error *error)
{
    const uint64_t *record;
    *out = (struct run){.offset = file->len};
    TRY(merge_begin(sort, first, count, error));
    uint64_t *slot = sort->records + count * sort->slot_count * sort->settings.words;
    size_t held = 0;
    for (;;) {
        TRY(merge_next(&record, sort, error));
        if (held == sort->slot_count || (!record && held)) {
            TRY(file_scratch_add(file, slot, held * record_bytes(sort), error));
            held = 0;
        }
        if (!record)
            return OK;
        memcpy(slot + held++ * sort->settings.words, record, record_bytes(sort));
        out->count++;
    }
}

static status merge_pass_into(struct file_scratch *file, struct buffer *runs,
                              struct external_sort *sort, struct error *error)
{
    size_t count = run_count(sort);
    for (size_t first = 0; first < count; first += sort->fan_in) {
        struct run merged;
        size_t some = count - first < sort->fan_in ? count - first : sort->fan_in;
        TRY(merge_to_file(file, &merged, sort, first, some, error));
        TRY(buffer_append(runs, &merged, sizeof merged, error));
    }
    return OK;
}

/* So many runs that they can't be merged at once become fewer and longer ones in a new file. */
static status merge_pass(struct external_sort *sort, struct error *error)
{
    struct file_scratch file = {0};
    struct buffer runs;
    TRY(file_scratch_open(&file, sort->settings.folder, error));
    buffer_create(&runs, RUNS_BYTES_MAX);
    status result = merge_pass_into(&file, &runs, sort, error);
    if (result != OK) {
        file_scratch_close(&file);
        buffer_destroy(&runs);
        return result;
    }
    file_scratch_close(&sort->file);
    buffer_destroy(&sort->runs);
    sort->file = file;
    sort->runs = runs;
    return OK;
}

/* ---- reading ---- */

status external_sort_rewind(struct external_sort *sort, struct error *error)
{
    ASSERT(sort && sort->finished && error);
    sort->at = 0;
    return run_count(sort) ? merge_begin(sort, 0, run_count(sort), error) : OK;
}

status external_sort_finish(struct external_sort *sort, struct error *error)
{
    ASSERT(sort && !sort->finished && error);
    sort->finished = true;
    if (run_count(sort) == 0)
        records_sort(sort->records, sort->held, sort->settings.words, sort->settings.pool);
    else
        TRY(write_run(sort, error));
    while (run_count(sort) > sort->fan_in)
        TRY(merge_pass(sort, error));
    return external_sort_rewind(sort, error);
}

status external_sort_next(const uint64_t **out, struct external_sort *sort, struct error *error)
{
    ASSERT(out && sort && sort->finished && error);
    if (run_count(sort))
        return merge_next(out, sort, error);
    *out = sort->at < sort->held ? sort->records + sort->at++ * sort->settings.words : NULL;
    return OK;
}
