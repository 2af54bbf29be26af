/* Sorts more records than fit into memory: runs that are sorted in memory go to one nameless
 * temporary file and are merged when they are read.  A record is `words` 64-bit numbers; records
 * are ordered by their first number, then by the second, and so on.  Since every number counts,
 * what comes out depends only on which records were added, not on their order, the memory or the
 * threads.  Equal records all come out.
 * Memory: what the settings say and about 100 KB.  One thread at a time; the pool is used for
 * sorting. */
#ifndef RODNIK_BASE_EXTERNAL_SORT_H
#define RODNIK_BASE_EXTERNAL_SORT_H

#include "base/error.h"

struct thread_pool;
struct external_sort;

enum { SORT_WORDS_MAX = 8, SORT_MEMORY_BYTES_MIN = 4096 };

struct external_sort_settings {
    size_t words;             /* of a record, 1 to SORT_WORDS_MAX */
    size_t memory_bytes;      /* at least SORT_MEMORY_BYTES_MIN */
    const char *folder;       /* where the temporary file lies; kept as a pointer */
    struct thread_pool *pool; /* NULL: the calling thread alone */
};

MUST_USE status external_sort_create(struct external_sort **out,
                                     const struct external_sort_settings *settings,
                                     struct error *error);
/* Gives back memory and disk; NULL is allowed. */
void external_sort_destroy(struct external_sort *sort);

/* Adds `count` records, one after the other; not after external_sort_finish.  A full disk is
 * ERR_IO, a request to stop (base/thread.h) ERR_INTERRUPTED here and below; after a failure only
 * external_sort_destroy is allowed. */
MUST_USE status external_sort_add(struct external_sort *sort, const uint64_t *records, size_t count,
                                  struct error *error);
/* Nothing more will be added; reading begins. */
MUST_USE status external_sort_finish(struct external_sort *sort, struct error *error);
/* *out is the next record, valid until the next call, or NULL after the last. */
MUST_USE status external_sort_next(const uint64_t **out, struct external_sort *sort,
                                   struct error *error);
/* Reading begins again. */
MUST_USE status external_sort_rewind(struct external_sort *sort, struct error *error);
uint64_t external_sort_count(const struct external_sort *sort);

/* The same order in memory and in place, by most significant bytes first: linear in count and
 * words, whatever the records. */
void records_sort(uint64_t *records, size_t count, size_t words, struct thread_pool *pool);

#endif
