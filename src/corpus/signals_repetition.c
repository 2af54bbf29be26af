/* Repeated n-grams of tokens.  The counts are those of the plain definitions (docs/signals.md).
 *
 * Almost all n-grams of a text are neither the commonest one nor do they stand there twice, so each
 * length first counts in a small table by a hash of 32 bits, in which different n-grams share
 * slots: a slot's count is never below that of an n-gram in it.  What is left is counted
 * exactly.  Of five tokens on, an n-gram can only occur twice where both shorter ones in it do, so
 * each length looks only at what the one before left. */
#include "corpus/signals_internal.h"

#include <string.h>

enum { TOP_FIRST = 2, TOP_LAST = 4, AGAIN_FIRST = 5, AGAIN_LAST = 10, TABLE_BITS_MIN = 4 };
enum { AHEAD = 16 }; /* entries fetched before their turn: tables of long texts leave the cache */

status repeat_table(struct repeat_entry **out, int *bits, struct signals_work *work, size_t count,
                    struct error *error)
{
    *bits = TABLE_BITS_MIN;
    while ((size_t)1 << *bits < 2 * count)
        ++*bits;
    size_t bytes = sizeof **out << *bits;
    buffer_clear(&work->table);
    TRY(buffer_reserve(&work->table, bytes, error));
    *out = (struct repeat_entry *)(void *)work->table.data;
    memset(*out, 0, bytes);
    return OK;
}

/* What is looked at: n-grams that may occur again, in the order of the text. */
struct grams {
    uint32_t *token; /* of the whole text */
    uint32_t *position, *slot;
    uint64_t *hash;
    size_t count;
    struct repeat_entry *table;
};

static uint64_t characters_of(const struct signals_work *work, size_t position, size_t n)
{
    const uint32_t *ends = (const uint32_t *)(const void *)work->ends.data;
    return (uint64_t)(ends[position + n] - ends[position]) - 1; /* n - 1 spaces between */
}

/* ---- the filter ---- */

enum {
    SWEEP = 512,            /* n-grams hashed at once */
    SLOT_BITS_MAX = 13,     /* and one more for each token of the n-grams */
    CELL_SLOTS_LOG = 5,     /* a cell has 32 bits for "once", 32 for "twice" */
    TOKENS_PER_CELL_LOG = 2 /* so that 16 slots or more stand for a token */
};
#define SWEEP_FACTOR UINT32_C(0x9E3779B1)

/* Hashes of the n-grams at `token` and the ones after it; n - 1 tokens more are read. */
static void sweep_hashes(uint32_t *restrict out, const uint32_t *restrict token, size_t count,
                         size_t n)
{
    memcpy(out, token, count * sizeof *out);
    for (size_t k = 1; k < n; k++)
        for (size_t i = 0; i < count; i++)
            out[i] = out[i] * SWEEP_FACTOR + token[i + k];
}

static size_t sweep_count(size_t from, size_t count)
{
    return count - from < SWEEP ? count - from : SWEEP;
}

static int log_up(size_t count)
{
    int bits = 0;
    while ((size_t)1 << bits < count)
        bits++;
    return bits;
}

/* Hashes of tokens in 32 bits, which is what the sweeps read. */
static status shorten(struct grams *grams, struct signals_work *work, struct error *error)
{
    const uint64_t *token = (const uint64_t *)(const void *)work->hashes.data;
    size_t bytes = (work->tokens + AGAIN_FIRST) * sizeof(uint32_t);
    buffer_clear(&work->shorts);
    TRY(buffer_reserve(&work->shorts, bytes, error));
    grams->token = (uint32_t *)(void *)work->shorts.data;
    for (size_t i = 0; i < work->tokens; i++)
        grams->token[i] = (uint32_t)(token[i] >> 32);
    return OK;
}

/* Counts n-grams by slots.  Returns the highest count. */
static uint32_t count_slots(uint32_t *slots, int bits, const struct grams *grams, size_t count,
                            size_t n)
{
    uint32_t hash[SWEEP], highest = 0;
    memset(slots, 0, sizeof *slots << bits);
    for (size_t from = 0; from < count; from += SWEEP) {
        size_t some = sweep_count(from, count);
        sweep_hashes(hash, grams->token + from, some, n);
        for (size_t i = 0; i < some; i++)
            slots[hash[i] >> (32 - bits)]++;
    }
    for (size_t i = 0; i < (size_t)1 << bits; i++)
        highest = slots[i] > highest ? slots[i] : highest;
    return highest;
}

/* Takes the n-grams whose slot has been met `least` times. */
static void take_common(struct grams *grams, const uint32_t *slots, int bits, size_t count,
                        size_t n, uint32_t least)
{
    uint32_t hash[SWEEP];
    size_t kept = 0;
    for (size_t from = 0; from < count; from += SWEEP) {
        size_t some = sweep_count(from, count);
        sweep_hashes(hash, grams->token + from, some, n);
        for (size_t i = 0; i < some; i++) {
            grams->position[kept] = (uint32_t)(from + i);
            kept += slots[hash[i] >> (32 - bits)] >= least;
        }
    }
    grams->count = kept;
}

/* Marks slots that n-grams meet once and twice.  Returns whether any is met twice. */
static bool mark_cells(uint64_t *cells, int bits, const struct grams *grams, size_t count, size_t n)
{
    uint32_t hash[SWEEP];
    uint64_t any = 0;
    memset(cells, 0, sizeof *cells << bits);
    for (size_t from = 0; from < count; from += SWEEP) {
        size_t some = sweep_count(from, count);
        sweep_hashes(hash, grams->token + from, some, n);
        for (size_t i = 0; i < some; i++) {
            uint32_t slot = hash[i] >> (32 - CELL_SLOTS_LOG - bits);
            uint64_t *cell = &cells[slot >> CELL_SLOTS_LOG], once = 1ull << (slot & 31);
            uint64_t twice = (*cell & once) << 32;
            any |= twice;
            *cell |= once | twice;
        }
    }
    return any;
}

static void take_marked(struct grams *grams, const uint64_t *cells, int bits, size_t count,
                        size_t n)
{
    uint32_t hash[SWEEP];
    size_t kept = 0;
    for (size_t from = 0; from < count; from += SWEEP) {
        size_t some = sweep_count(from, count);
        sweep_hashes(hash, grams->token + from, some, n);
        for (size_t i = 0; i < some; i++) {
            uint32_t slot = hash[i] >> (32 - CELL_SLOTS_LOG - bits);
            grams->position[kept] = (uint32_t)(from + i);
            kept += cells[slot >> CELL_SLOTS_LOG] >> (32 + (slot & 31)) & 1;
        }
    }
    grams->count = kept;
}

/* ---- exact counts ---- */

/* The n-grams at the positions. */
static void hash_grams(struct grams *grams, const struct signals_work *work, size_t n)
{
    const uint64_t *token = (const uint64_t *)(const void *)work->hashes.data;
    for (size_t i = 0; i < grams->count; i++) {
        const uint64_t *first = token + grams->position[i];
        uint64_t hash = first[0];
        for (size_t k = 1; k < n; k++)
            hash = repeat_mix(hash, first[k]);
        grams->hash[i] = hash;
    }
}

/* n-grams whose first and last n - 1 tokens both stand in the list. */
static void lengthen(struct grams *grams, const struct signals_work *work, size_t n)
{
    const uint64_t *token = (const uint64_t *)(const void *)work->hashes.data;
    size_t kept = 0;
    for (size_t i = 0; i + 1 < grams->count; i++) {
        if (grams->position[i + 1] != grams->position[i] + 1)
            continue;
        uint32_t position = grams->position[i];
        grams->hash[kept] = repeat_mix(grams->hash[i], token[position + n - 1]);
        grams->position[kept++] = position;
    }
    grams->count = kept;
}

static status count_all(struct grams *grams, struct signals_work *work, struct error *error)
{
    int bits;
    TRY(repeat_table(&grams->table, &bits, work, grams->count, error));
    for (size_t i = 0; i < grams->count; i++) {
        if (i + AHEAD < grams->count)
            __builtin_prefetch(&grams->table[repeat_home(bits, grams->hash[i + AHEAD])], 1);
        uint32_t slot = repeat_slot(grams->table, bits, grams->hash[i]);
        grams->table[slot].tag = (uint32_t)grams->hash[i];
        grams->table[slot].count++;
        grams->slot[i] = slot;
    }
    return OK;
}

static void drop_single(struct grams *grams)
{
    size_t kept = 0;
    for (size_t i = 0; i < grams->count; i++) {
        if (i + AHEAD < grams->count)
            __builtin_prefetch(&grams->table[grams->slot[i + AHEAD]]);
        if (grams->table[grams->slot[i]].count < 2)
            continue;
        grams->position[kept] = grams->position[i];
        grams->hash[kept] = grams->hash[i];
        grams->slot[kept++] = grams->slot[i];
    }
    grams->count = kept;
}

struct commonest {
    uint32_t count;
    size_t position; /* the first of equally common ones */
};

static struct commonest commonest_of(const struct grams *grams)
{
    struct commonest most = {.count = 1};
    for (size_t i = 0; i < grams->count; i++) {
        uint32_t count = grams->table[grams->slot[i]].count;
        if (count > most.count)
            most = (struct commonest){count, grams->position[i]};
    }
    return most;
}

/* Counts what may be half as common as the fullest slot says; if nothing is, all that may be as
 * common as what was found.  Where no n-gram occurs twice the text's first one counts. */
static status top(uint64_t *out, struct grams *grams, struct signals_work *work, size_t n,
                  struct error *error)
{
    struct commonest most = {.count = 1};
    *out = 0;
    if (work->tokens < n)
        return OK;
    size_t count = work->tokens - n + 1;
    int bits = log_up(count) + 1, bits_max = SLOT_BITS_MAX + (int)n - TOP_FIRST;
    bits = bits < bits_max ? bits : bits_max;
    uint32_t *slots = (uint32_t *)(void *)work->filter.data;
    uint32_t highest = count_slots(slots, bits, grams, count, n), least = highest - highest / 2;
    while (highest > 1) {
        least = least > 2 ? least : 2;
        take_common(grams, slots, bits, count, n, least);
        hash_grams(grams, work, n);
        TRY(count_all(grams, work, error));
        most = commonest_of(grams);
        if (most.count >= least || least == 2)
            break;
        least = most.count;
    }
    *out = most.count * characters_of(work, most.position, n);
    return OK;
}

/* From left to right: what stood before counts and is passed over, what did not is remembered. */
static uint64_t again(const struct grams *grams, const struct signals_work *work, size_t n)
{
    uint64_t characters = 0;
    size_t next = 0;
    for (size_t i = 0; i < grams->count; i++) {
        struct repeat_entry *entry = &grams->table[grams->slot[i]];
        if (grams->position[i] < next)
            continue;
        if (entry->count & REPEAT_SEEN) {
            characters += characters_of(work, grams->position[i], n);
            next = grams->position[i] + n;
        }
        entry->count |= REPEAT_SEEN;
    }
    return characters;
}

/* All that may stand there twice. */
static void begin_again(struct grams *grams, struct signals_work *work)
{
    const size_t n = AGAIN_FIRST;
    grams->count = 0;
    if (work->tokens < n)
        return;
    size_t count = work->tokens - n + 1;
    int bits = log_up(count) - TOKENS_PER_CELL_LOG;
    bits = bits > 1 ? bits : 1;
    uint64_t *cells = (uint64_t *)(void *)work->filter.data;
    if (mark_cells(cells, bits, grams, count, n))
        take_marked(grams, cells, bits, count, n);
    hash_grams(grams, work, n);
}

static status reserve(struct grams *out, struct signals_work *work, struct error *error)
{
    size_t places = work->tokens + 1; /* sweeps write one more than they keep */
    size_t slots = sizeof(uint32_t) << (SLOT_BITS_MAX + TOP_LAST - TOP_FIRST);
    size_t cells = (work->tokens + 4) * sizeof(uint64_t);
    TRY(buffer_reserve(&work->live, places * sizeof(uint32_t), error));
    TRY(buffer_reserve(&work->slots, places * sizeof(uint32_t), error));
    TRY(buffer_reserve(&work->grams, places * sizeof(uint64_t), error));
    TRY(buffer_reserve(&work->filter, slots > cells ? slots : cells, error));
    out->position = (uint32_t *)(void *)work->live.data;
    out->slot = (uint32_t *)(void *)work->slots.data;
    out->hash = (uint64_t *)(void *)work->grams.data;
    return shorten(out, work, error);
}

status signals_repetition(struct signals *out, struct signals_work *work, struct error *error)
{
    struct grams grams = {0};
    uint64_t *tops[] = {&out->top_2, &out->top_3, &out->top_4};
    uint64_t *agains[] = {&out->again_5, &out->again_6, &out->again_7,
                          &out->again_8, &out->again_9, &out->again_10};
    TRY(reserve(&grams, work, error));
    for (size_t n = TOP_FIRST; n <= TOP_LAST; n++)
        TRY(top(tops[n - TOP_FIRST], &grams, work, n, error));
    begin_again(&grams, work);
    for (size_t n = AGAIN_FIRST; n <= AGAIN_LAST && grams.count > 0; n++) {
        if (n > AGAIN_FIRST)
            lengthen(&grams, work, n);
        TRY(count_all(&grams, work, error));
        drop_single(&grams);
        *agains[n - AGAIN_FIRST] = again(&grams, work, n);
    }
    return OK;
}
