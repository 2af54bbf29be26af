/* Counts by name: documents and bytes of each source, licence, language.  What is beyond
 * TALLY_NAMES_MAX different names is counted together.  One thread. */
#ifndef RODNIK_CORPUS_TALLY_H
#define RODNIK_CORPUS_TALLY_H

#include <cjson/cJSON.h>

#include "base/arena.h"

enum { TALLY_NAMES_MAX = 1 << 20, TALLY_LISTED_MAX = 1000 };

struct tally_entry {
    const char *name;
    uint64_t documents, bytes;
};
struct tally {
    struct arena *arena;
    struct tally_entry *entries;
    uint32_t *slots; /* 1 + index into entries, by hash */
    size_t count, capacity;
    struct tally_entry rest;
};

/* Zeroed but for the arena. */
MUST_USE status tally_add(struct tally *tally, const char *name, uint64_t bytes,
                          struct error *error);
/* An object: the TALLY_LISTED_MAX names with most bytes (of equal ones in the order of names), then
 * all others as "(others)". */
void tally_write(cJSON *json, const char *name, struct tally *tally);

#endif
