#include "corpus/tally.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

static size_t slot_of(const struct tally *tally, const char *name)
{
    size_t mask = 2 * tally->capacity - 1;
    size_t slot = (size_t)hash64(name, strlen(name), 0) & mask;
    while (tally->slots[slot] && strcmp(tally->entries[tally->slots[slot] - 1].name, name) != 0)
        slot = (slot + 1) & mask;
    return slot;
}

static status grow(struct tally *tally, struct error *error)
{
    size_t capacity = tally->capacity ? 2 * tally->capacity : 64;
    struct tally_entry *entries;
    TRY_ALLOC(entries, tally->arena, capacity, error);
    TRY_ALLOC(tally->slots, tally->arena, 2 * capacity, error);
    if (tally->count)
        memcpy(entries, tally->entries, tally->count * sizeof *entries);
    tally->entries = entries;
    tally->capacity = capacity;
    for (size_t i = 0; i < tally->count; i++)
        tally->slots[slot_of(tally, entries[i].name)] = (uint32_t)i + 1;
    return OK;
}

static status entry_of(struct tally_entry **out, struct tally *tally, const char *name,
                       struct error *error)
{
    if (tally->count == tally->capacity && tally->count < TALLY_NAMES_MAX)
        TRY(grow(tally, error));
    size_t slot = slot_of(tally, name);
    if (!tally->slots[slot] && tally->count == TALLY_NAMES_MAX) {
        *out = &tally->rest;
        return OK;
    }
    if (!tally->slots[slot]) {
        struct tally_entry entry = {.name = arena_string(tally->arena, name, error)};
        if (!entry.name)
            return error->code;
        tally->entries[tally->count++] = entry;
        tally->slots[slot] = (uint32_t)tally->count;
    }
    *out = &tally->entries[tally->slots[slot] - 1];
    return OK;
}

status tally_add(struct tally *tally, const char *name, uint64_t bytes, struct error *error)
{
    ASSERT(tally && tally->arena && name && error);
    struct tally_entry *entry = NULL;
    TRY(entry_of(&entry, tally, name, error));
    entry->documents++;
    entry->bytes += bytes;
    return OK;
}

static int larger_first(const void *a, const void *b)
{
    const struct tally_entry *left = a, *right = b;
    if (left->bytes != right->bytes)
        return left->bytes > right->bytes ? -1 : 1;
    return strcmp(left->name, right->name);
}

static void write_entry(cJSON *json, const struct tally_entry *entry)
{
    cJSON *object = cJSON_AddObjectToObject(json, entry->name);
    cJSON_AddNumberToObject(object, "documents", (double)entry->documents);
    cJSON_AddNumberToObject(object, "bytes", (double)entry->bytes);
}

void tally_write(cJSON *json, const char *name, struct tally *tally)
{
    ASSERT(json && name && tally);
    cJSON *object = cJSON_AddObjectToObject(json, name);
    if (tally->count) /* the slots are of no use from here on */
        qsort(tally->entries, tally->count, sizeof *tally->entries, larger_first);
    tally->rest.name = "(others)";
    for (size_t i = 0; i < tally->count; i++) {
        if (i < TALLY_LISTED_MAX) {
            write_entry(object, &tally->entries[i]);
            continue;
        }
        tally->rest.documents += tally->entries[i].documents;
        tally->rest.bytes += tally->entries[i].bytes;
    }
    if (tally->rest.documents)
        write_entry(object, &tally->rest);
}
