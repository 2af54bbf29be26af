/* From hashes to what has them: built once, then asked very often, mostly in vain.  Thread-safe
 * once built. */
#ifndef RODNIK_CORPUS_GRAM_INDEX_H
#define RODNIK_CORPUS_GRAM_INDEX_H

#include "base/buffer.h"

struct gram_entry {
    uint64_t hash, value;
};

struct gram_index {
    struct buffer entries;       /* of struct gram_entry; once built in rising order */
    struct buffer slots, filter; /* an open table of first entries; a bit for each hash */
    uint64_t slot_mask;
    int filter_shift;
};

void gram_index_open(struct gram_index *out);
void gram_index_close(struct gram_index *index);
MUST_USE status gram_index_add(struct gram_index *index, uint64_t hash, uint64_t value,
                               struct error *error);
/* Nothing more will be added.  Equal entries become one; at most 2^31 may stay. */
MUST_USE status gram_index_build(struct gram_index *index, struct error *error);

/* False: surely nothing has this hash. */
static inline bool gram_index_may_hold(const struct gram_index *index, uint64_t hash)
{
    const uint64_t *filter = (const uint64_t *)(const void *)index->filter.data;
    uint64_t bit = hash >> index->filter_shift;
    return filter[bit / 64] >> (bit % 64) & 1;
}

/* What has the hash: entries one after the other, in the order of values. */
struct gram_range {
    const struct gram_entry *entries;
    size_t count;
};
struct gram_range gram_index_find(const struct gram_index *index, uint64_t hash);

#endif
