#include "tokenizer/tokenizer_internal.h"

#include <string.h>

#include "base/hash.h"

enum { SLOTS_FIRST = 1 << 10 };
static const size_t table_bytes_max = SIZE_MAX / 4;

void word_table_create(struct word_table *out)
{
    *out = (struct word_table){0};
    buffer_create(&out->words, table_bytes_max);
    buffer_create(&out->bytes, table_bytes_max);
    buffer_create(&out->slots, table_bytes_max);
}

void word_table_destroy(struct word_table *table)
{
    buffer_destroy(&table->words);
    buffer_destroy(&table->bytes);
    buffer_destroy(&table->slots);
    table->count = 0;
}

struct word *word_table_at(const struct word_table *table, size_t index)
{
    ASSERT(index < table->count);
    return (struct word *)(void *)table->words.data + index;
}

struct view word_table_view(const struct word_table *table, size_t index)
{
    const struct word *word = word_table_at(table, index);
    return (struct view){table->bytes.data + word->start, word->len};
}

static uint32_t *slots_of(const struct word_table *table)
{
    return (uint32_t *)(void *)table->slots.data;
}

/* Doubles the slots and enters all words anew. */
static status grow(struct word_table *table, struct error *error)
{
    size_t slots = table->slots.data ? (table->slot_mask + 1) * 2 : SLOTS_FIRST;
    if (slots > UINT32_MAX)
        return fail(error, ERR_LIMIT, "more than %u different pre-tokens", UINT32_MAX / 2);
    buffer_clear(&table->slots);
    TRY(buffer_reserve(&table->slots, slots * sizeof(uint32_t), error));
    memset(table->slots.data, 0xFF, slots * sizeof(uint32_t));
    table->slot_mask = slots - 1;
    for (size_t i = 0; i < table->count; i++) {
        size_t slot = word_table_at(table, i)->hash & table->slot_mask;
        while (slots_of(table)[slot] != TOKEN_NONE)
            slot = (slot + 1) & table->slot_mask;
        slots_of(table)[slot] = (uint32_t)i;
    }
    return OK;
}

static status append(struct word_table *table, struct view bytes, uint64_t hash, int64_t count,
                     struct error *error)
{
    struct word word = {
        .hash = hash, .start = table->bytes.len, .count = count, .len = (uint32_t)bytes.len};
    TRY(buffer_append(&table->bytes, bytes.data, bytes.len, error));
    TRY(buffer_append(&table->words, &word, sizeof word, error));
    table->count++;
    return OK;
}

status word_table_add(size_t *index, struct word_table *table, struct view bytes, int64_t count,
                      struct error *error)
{
    ASSERT(index && table && bytes.len <= UINT32_MAX);
    if (!table->slots.data || table->count * 2 > table->slot_mask)
        TRY(grow(table, error));
    uint64_t hash = hash64(bytes.data, bytes.len, 0);
    size_t slot = hash & table->slot_mask;
    for (uint32_t found; (found = slots_of(table)[slot]) != TOKEN_NONE;) {
        struct word *word = word_table_at(table, found);
        if (word->hash == hash && view_equal(word_table_view(table, found), bytes)) {
            word->count += count;
            *index = found;
            return OK;
        }
        slot = (slot + 1) & table->slot_mask;
    }
    TRY(append(table, bytes, hash, count, error));
    slots_of(table)[slot] = (uint32_t)(table->count - 1);
    *index = table->count - 1;
    return OK;
}
