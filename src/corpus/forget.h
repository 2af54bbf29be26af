/* Takes documents out of a finished corpus: the folder is written anew without them, beside, and
 * changes places with the old one in one step, so that at any instant one or the other stands
 * there.  What is left says that they were there: a tombstone and a decision each.  What was for
 * training stays so, even when nothing is held out any more: a run may have learnt from it.  Not
 * for runs that learnt from them (train/lineage.h).  No state; one process at a time in a folder.
 */
#ifndef RODNIK_CORPUS_FORGET_H
#define RODNIK_CORPUS_FORGET_H

#include "corpus/membership.h"

struct forget_job {
    const char *folder;
    const struct sha256 *texts; /* of the documents: as read or as stored */
    size_t count;
    const char *reason; /* free text for the tombstones */
    bool without_id;    /* tombstones and decisions don't name them */
};
struct forget_result {
    struct corpus_roots before, after;
    size_t documents;
    uint64_t bytes;
    size_t relatives; /* left out earlier as duplicates of them, and still left out */
};
/* ERR_USAGE when no document has one of the hashes, or all have. */
MUST_USE status corpus_forget(struct forget_result *out, const struct forget_job *job,
                              struct error *error);

#endif
