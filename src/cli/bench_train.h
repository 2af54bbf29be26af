/* Whole training steps on random tokens, timed beside the machine's limit of the same moment. */
#ifndef RODNIK_CLI_BENCH_TRAIN_H
#define RODNIK_CLI_BENCH_TRAIN_H

#include "tensor/comm.h"

struct bench_train {
    bool json;
    const char *shape; /* gpt2-small, 14m or 350m */
    int64_t batch, sequence;
    int64_t micro_batch;     /* rows at once, a divisor of a process's rows; 0: all */
    const char *optimizer;   /* adamw (of all weights) or muon (of matrices) */
    bool recompute;          /* activations are computed again on the way back */
    int threads;             /* 0: all */
    const struct comm *comm; /* processes that share the batch */
};

/* Rank 0 prints one row: the median of several steps (forward, backward, clipping, update) after
 * warm-up.  ERR_USAGE names a shape, optimizer or size that can't be. */
MUST_USE status bench_train(const struct bench_train *bench, struct error *error);

#endif
