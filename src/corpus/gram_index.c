#include "corpus/gram_index.h"

#include <string.h>

#include "base/external_sort.h"

enum { FILTER_BITS_AN_ENTRY = 16, FILTER_BITS_LOG_MIN = 6 };
static const size_t ENTRIES_MAX = (size_t)1 << 31;

void gram_index_open(struct gram_index *out)
{
    *out = (struct gram_index){0};
    buffer_create(&out->entries, SIZE_MAX / 4);
    buffer_create(&out->slots, SIZE_MAX / 4);
    buffer_create(&out->filter, SIZE_MAX / 4);
}

void gram_index_close(struct gram_index *index)
{
    buffer_destroy(&index->entries);
    buffer_destroy(&index->slots);
    buffer_destroy(&index->filter);
}

status gram_index_add(struct gram_index *index, uint64_t hash, uint64_t value, struct error *error)
{
    struct gram_entry entry = {hash, value};
    return buffer_append(&index->entries, &entry, sizeof entry, error);
}

static size_t entry_count(const struct gram_index *index)
{
    return index->entries.len / sizeof(struct gram_entry);
}

static struct gram_entry *entries_of(const struct gram_index *index)
{
    return (struct gram_entry *)(void *)index->entries.data;
}

static void sort_entries(struct gram_index *index)
{
    struct gram_entry *entries = entries_of(index);
    size_t count = entry_count(index), kept = 0;
    records_sort((uint64_t *)(void *)index->entries.data, count, 2, NULL);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || entries[i].hash != entries[kept - 1].hash ||
            entries[i].value != entries[kept - 1].value)
            entries[kept++] = entries[i];
    index->entries.len = kept * sizeof *entries;
}

/* Makes `buffer` 2^bits_log bits of zeros. */
static status make_zeros(struct buffer *buffer, size_t bytes, struct error *error)
{
    TRY(buffer_reserve(buffer, bytes, error));
    memset(buffer->data, 0, bytes);
    buffer->len = bytes;
    return OK;
}

static void put_in_tables(struct gram_index *index, uint64_t hash, size_t first)
{
    uint64_t *filter = (uint64_t *)(void *)index->filter.data;
    uint32_t *slots = (uint32_t *)(void *)index->slots.data;
    uint64_t bit = hash >> index->filter_shift, slot = hash & index->slot_mask;
    filter[bit / 64] |= UINT64_C(1) << bit % 64;
    while (slots[slot])
        slot = (slot + 1) & index->slot_mask;
    slots[slot] = (uint32_t)first + 1;
}

status gram_index_build(struct gram_index *index, struct error *error)
{
    ASSERT(index && error);
    sort_entries(index);
    size_t count = entry_count(index), slots = 16;
    int bits_log = FILTER_BITS_LOG_MIN;
    if (count >= ENTRIES_MAX)
        return fail(error, ERR_LIMIT, "an index has %zu entries, allowed are %zu", count,
                    ENTRIES_MAX - 1);
    while (slots < 2 * count)
        slots *= 2;
    while ((size_t)1 << bits_log < FILTER_BITS_AN_ENTRY * count)
        bits_log++;
    index->slot_mask = slots - 1;
    index->filter_shift = 64 - bits_log;
    TRY(make_zeros(&index->slots, slots * sizeof(uint32_t), error));
    TRY(make_zeros(&index->filter, ((size_t)1 << bits_log) / 8, error));
    const struct gram_entry *entries = entries_of(index);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || entries[i].hash != entries[i - 1].hash)
            put_in_tables(index, entries[i].hash, i);
    return OK;
}

struct gram_range gram_index_find(const struct gram_index *index, uint64_t hash)
{
    const uint32_t *slots = (const uint32_t *)(const void *)index->slots.data;
    const struct gram_entry *entries = entries_of(index);
    size_t count = entry_count(index), end;
    for (uint64_t slot = hash & index->slot_mask; slots[slot];
         slot = (slot + 1) & index->slot_mask) {
        size_t first = slots[slot] - 1;
        if (entries[first].hash != hash)
            continue;
        for (end = first + 1; end < count && entries[end].hash == hash;)
            end++;
        return (struct gram_range){entries + first, end - first};
    }
    return (struct gram_range){NULL, 0};
}
