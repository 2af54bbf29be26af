/* Repeated n-grams of tokens.  An n-gram can only occur twice where both (n-1)-grams in it do, so
 * each length looks only at what the shorter one left: in natural text almost nothing from n = 4
 * on.  The counts are those of the plain definitions (docs/signals.md). */
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

/* All pairs. */
static void begin_pairs(struct grams *grams, const struct signals_work *work)
{
    const uint64_t *token = (const uint64_t *)(const void *)work->hashes.data;
    grams->count = work->tokens > 1 ? work->tokens - 1 : 0;
    for (size_t i = 0; i < grams->count; i++) {
        grams->position[i] = (uint32_t)i;
        grams->hash[i] = repeat_mix(token[i], token[i + 1]);
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

/* Of equally common ones the first counts; where none occurs twice that is the text's first. */
static uint64_t top(const struct grams *grams, const struct signals_work *work, size_t n)
{
    if (work->tokens < n)
        return 0;
    uint32_t most = 1;
    size_t position = 0;
    for (size_t i = 0; i < grams->count; i++) {
        uint32_t count = grams->table[grams->slot[i]].count;
        if (count > most) {
            most = count;
            position = grams->position[i];
        }
    }
    return most * characters_of(work, position, n);
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

status signals_repetition(struct signals *out, struct signals_work *work, struct error *error)
{
    struct grams grams = {0};
    TRY(buffer_reserve(&work->live, work->tokens * sizeof(uint32_t), error));
    TRY(buffer_reserve(&work->slots, work->tokens * sizeof(uint32_t), error));
    TRY(buffer_reserve(&work->grams, work->tokens * sizeof(uint64_t), error));
    grams.position = (uint32_t *)(void *)work->live.data;
    grams.slot = (uint32_t *)(void *)work->slots.data;
    grams.hash = (uint64_t *)(void *)work->grams.data;
    uint64_t *tops[] = {&out->top_2, &out->top_3, &out->top_4};
    uint64_t *agains[] = {&out->again_5, &out->again_6, &out->again_7,
                          &out->again_8, &out->again_9, &out->again_10};
    begin_pairs(&grams, work);
    for (size_t n = TOP_FIRST; n <= AGAIN_LAST; n++) {
        if (n > TOP_FIRST)
            lengthen(&grams, work, n);
        TRY(count_all(&grams, work, error));
        drop_single(&grams);
        if (n <= TOP_LAST)
            *tops[n - TOP_FIRST] = top(&grams, work, n);
        else
            *agains[n - AGAIN_FIRST] = again(&grams, work, n);
    }
    return OK;
}
