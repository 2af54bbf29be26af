/* Finds documents whose texts are equal or nearly so, in bounded memory, and says of each cluster
 * which document stays: that with the smallest number.
 *
 * Exact duplicates have the same SHA-256 of their words in normal form (WORDS_EXACT of
 * text/words.h), or, without any word, of their bytes.  Near-duplicates have the same key in one of
 * the 14 bands of their MinHash signatures (corpus/minhash.h).  Clusters are what hangs together by
 * either.  What is found depends on numbers and texts alone, not on the order in which documents
 * are added, the threads or the memory.
 *
 * Memory: settings.memory_bytes, about 1 MB, and for each thread some hundred kilobytes; a stretch
 * of text without ASCII separators is read as a whole, in up to 35 times its length if its words
 * are short.  Disk: 264 bytes a document and temporary copies. */
#ifndef RODNIK_CORPUS_DUPLICATES_H
#define RODNIK_CORPUS_DUPLICATES_H

#include "base/external_sort.h"
#include "base/string.h"

struct thread_pool;
struct duplicates;

enum { DUPLICATES_MEMORY_BYTES_MIN = 64 << 10 };

struct duplicates_settings {
    bool near;                /* else exact duplicates only */
    size_t memory_bytes;      /* at least DUPLICATES_MEMORY_BYTES_MIN; 256 MiB are plenty */
    const char *folder;       /* for temporary files; kept as a pointer */
    struct thread_pool *pool; /* kept */
};

struct numbered_text {
    uint64_t number; /* of the document: each number once, in the order of ids */
    struct view text;
};

MUST_USE status duplicates_create(struct duplicates **out,
                                  const struct duplicates_settings *settings, struct error *error);
void duplicates_destroy(struct duplicates *duplicates); /* NULL is allowed */

/* Reads some documents on all threads; the texts are not kept.  Any order, any number at a time;
 * large batches keep all threads busy. */
MUST_USE status duplicates_add(struct duplicates *duplicates, const struct numbered_text *documents,
                               size_t count, struct error *error);
/* All documents were added.  Takes a while; one thread but for the sorting. */
MUST_USE status duplicates_finish(struct duplicates *duplicates, struct error *error);

enum duplicate_kind {
    DUPLICATE_FIRST, /* the one that stays */
    DUPLICATE_EXACT, /* of a document with a smaller number */
    DUPLICATE_NEAR
};
const char *duplicate_kind_name(enum duplicate_kind kind); /* first, exact, near */

struct duplicate {
    uint64_t document;
    uint64_t cluster; /* the number of the document that stays */
    uint64_t size;    /* documents in the cluster, this and the one that stays included: >= 2 */
    enum duplicate_kind kind;
};
/* The next document that is in a cluster, in the order of numbers; *found is false after the last.
 * Documents that don't come are like no other. */
MUST_USE status duplicates_next(bool *found, struct duplicate *out, struct duplicates *duplicates,
                                struct error *error);

#endif
