/* Byte strings in rising order (as memcmp orders them, a prefix first), however many: what does not
 * fit into memory goes to a nameless scratch file as sorted runs, which are merged.  For numbers in
 * records of one size base/external_sort.h is faster.  One thread at a time. */
#ifndef RODNIK_BASE_RECORD_SORT_H
#define RODNIK_BASE_RECORD_SORT_H

#include "base/error.h"
#include "base/string.h"

struct record_sort;

enum { RECORD_BYTES_MAX = 64 << 10, RECORD_SORT_MEMORY_BYTES_MIN = 512 << 10 };

/* memory_bytes: RECORD_SORT_MEMORY_BYTES_MIN to 2 GiB; the folder is for the scratch file and is
 * kept as a pointer. */
MUST_USE status record_sort_create(struct record_sort **out, size_t memory_bytes,
                                   const char *folder, struct error *error);
void record_sort_destroy(struct record_sort *sort); /* NULL is allowed */

/* Not after record_sort_finish.  A record of more than RECORD_BYTES_MAX is ERR_LIMIT, a full disk
 * ERR_IO; after a failure only record_sort_destroy is allowed, here and below. */
MUST_USE status record_sort_add(struct record_sort *sort, struct view record, struct error *error);
/* Nothing more will be added; reading begins. */
MUST_USE status record_sort_finish(struct record_sort *sort, struct error *error);
/* The next record, valid until the next call; data is NULL after the last. */
MUST_USE status record_sort_next(struct view *out, struct record_sort *sort, struct error *error);
/* Reading begins again. */
MUST_USE status record_sort_rewind(struct record_sort *sort, struct error *error);
uint64_t record_sort_count(const struct record_sort *sort);

#endif
