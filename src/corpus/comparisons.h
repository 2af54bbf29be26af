/* Reads documents once for all that compares their words: duplicates, repeated lines and overlaps
 * with evaluations.  What is found is what each finder would find that reads for itself
 * (duplicates_add, repeated_lines_add, contamination_add), at a third of the cost; finders are
 * created, finished and asked by their own doors. */
#ifndef RODNIK_CORPUS_COMPARISONS_H
#define RODNIK_CORPUS_COMPARISONS_H

#include "corpus/contamination.h"
#include "corpus/duplicates.h"
#include "corpus/repeated_lines.h"

/* Those that read together; at least one, others NULL.  All have the same pool. */
struct comparisons {
    struct duplicates *duplicates;
    struct repeated_lines *lines;
    struct contamination *contamination;
};

/* Reads some documents on all threads; the texts are not kept.  Any order, any number at a time;
 * large batches keep all threads busy.  out[i] is for documents[i]; without contamination it is
 * not touched and may be NULL. */
MUST_USE status comparisons_add(struct overlap *out, const struct comparisons *finders,
                                const struct numbered_text *documents, size_t count,
                                struct error *error);

#endif
