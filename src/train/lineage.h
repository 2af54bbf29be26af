/* Where a document of a corpus went in a run: token range, rows and steps that read it, checkpoints
 * that hold it.  Computed from the run's files alone, since the order of rows is a function of seed
 * and row (docs/numerics.md).  Not for what a model remembers.  Lives in the arena it was opened
 * in; one thread. */
#ifndef RODNIK_TRAIN_LINEAGE_H
#define RODNIK_TRAIN_LINEAGE_H

#include "corpus/corpus.h"

struct lineage;
/* ERR_USAGE when the folder is no run or has no tokens yet. */
MUST_USE status lineage_open(struct lineage **out, const char *run, struct arena *arena,
                             struct error *error);
void lineage_close(struct lineage *lineage);
/* Of all its documents, held-out ones too. */
uint64_t lineage_tokens(const struct lineage *lineage);

struct lineage_found {
    const char *shard;               /* file in the run; NULL: an empty text, nowhere */
    size_t document;                 /* its number there, from 0 */
    uint64_t token_begin, token_end; /* its tokens there */
    int64_t steps_done, steps;       /* of the run: up to its newest checkpoint; planned */
    int64_t *read_steps;             /* ascending, each once: done and planned ones */
    size_t read_count, rows;         /* of read_steps; rows that hold tokens of it */
    int64_t *checkpoints;            /* steps of checkpoints in the run that come after a reading */
    size_t checkpoint_count;
};
/* The document `index` of the corpus, which must have the run's root, or have had
 * it before something was forgotten (ERR_CONFLICT).  A held-out
 * document is read by no step. */
MUST_USE status lineage_find(struct lineage_found *out, struct lineage *lineage,
                             const struct corpus *corpus, size_t index, struct arena *arena,
                             struct error *error);

#endif
