/* Finds what stands both in documents and in the items of evaluations (corpus/evaluation_items.h):
 * 13 words in a row, or short items as a whole, compared word for word in normal form.
 *
 * Memory: settings.memory_bytes, and for each thread some bytes for each place of a document that
 * an item shares.  Disk: 40 bytes for each document and item that share something. */
#ifndef RODNIK_CORPUS_CONTAMINATION_H
#define RODNIK_CORPUS_CONTAMINATION_H

#include "corpus/duplicates.h"
#include "corpus/evaluation_items.h"

struct contamination;

struct contamination_settings {
    const struct evaluation_items *items; /* outlive the search */
    size_t memory_bytes;                  /* at least SORT_MEMORY_BYTES_MIN; for the evidence */
    const char *folder;                   /* for temporary files; kept as a pointer */
    struct thread_pool *pool;
};

MUST_USE status contamination_create(struct contamination **out,
                                     const struct contamination_settings *settings,
                                     struct error *error);
void contamination_destroy(struct contamination *contamination); /* NULL is allowed */

/* With how many items a document shares 13 words, and how many it holds as a whole.  Whether it is
 * dropped or reported is the caller's policy. */
struct overlap {
    uint32_t by_grams, as_a_whole;
};
/* Searches some documents on all threads; out[i] is for documents[i].  Any order, any number at a
 * time. */
MUST_USE status contamination_add(struct overlap *out, struct contamination *contamination,
                                  const struct numbered_text *documents, size_t count,
                                  struct error *error);
MUST_USE status contamination_finish(struct contamination *contamination, struct error *error);

struct evidence {
    uint64_t document;
    const struct evaluation_item *item;
    uint64_t from, to; /* bytes of the text: the first stretch that they share */
    uint64_t grams;    /* how many of the item's grams the document holds; of a whole item 1 */
};
/* The next evidence, in the order of documents, then of items; *found is false after the last. */
MUST_USE status contamination_next(bool *found, struct evidence *out,
                                   struct contamination *contamination, struct error *error);

/* The id of a document; valid until the next call. */
typedef const char *document_name(void *context, uint64_t document);
/* Writes all evidence as JSON lines: document, item, task, match, from, to, grams, item_grams. */
MUST_USE status contamination_write(struct contamination *contamination, const char *path,
                                    document_name *name, void *context, struct error *error);

#endif
