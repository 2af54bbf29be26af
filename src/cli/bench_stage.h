/* A model, random tokens and an optimizer, for benchmarks of whole training steps.  Lives in the
 * arena given, borrows the compute. */
#ifndef RODNIK_CLI_BENCH_STAGE_H
#define RODNIK_CLI_BENCH_STAGE_H

#include "cli/bench_train.h"
#include "train/train.h"

struct bench_stage { /* everything one step works on */
    struct recipe recipe;
    const struct comm *comm; /* processes, each with its share of the batch */
    struct compute *compute;
    struct model *model;
    struct training *training;
    struct optimizer *optimizer;
    struct batch batch; /* the first micro-batch */
    float *gradients, *loss;
    size_t tokens, own_tokens; /* of the batch; of this process */
    size_t pending;            /* gradients from here on are on their way to their owners */
    int64_t steps;             /* taken */
};

/* ERR_USAGE names a shape, optimizer or size that can't be. */
MUST_USE status bench_stage_create(struct bench_stage *stage, const struct bench_train *bench,
                                   struct compute *compute, struct arena *arena,
                                   struct error *error);

struct bench_step { /* seconds: of the whole, of them in the optimizer */
    double whole_s, optimizer_s;
};
/* Forward, backward, clipping, update. */
struct bench_step bench_stage_step(struct bench_stage *stage);

/* Memory of this process by the plan's formulas. */
MUST_USE status bench_stage_bytes(double *out, const struct bench_stage *stage,
                                  struct error *error);

#endif
