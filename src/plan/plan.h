/* What a training run needs before it is begun: memory of a process, time of a step, days, cost and
 * what limits.  Pure functions of a recipe and a machine; docs/scale.md states the formulas.
 * Measuring a machine is here too (plan_measure); choosing a recipe is in plan/dial.h.
 * Not here: training (train/), printing (cli/). */
#ifndef RODNIK_PLAN_PLAN_H
#define RODNIK_PLAN_PLAN_H

#include "train/train.h"

/* What one process does in a second. */
struct plan_rates {
    double block_flops;     /* matrix products of the blocks */
    double head_flops;      /* products of the head, its softmax included */
    double attention_flops; /* forward and backward, causal half counted */
    double row_bytes;       /* read and written by row-wise operations between products */
    double stream_bytes;    /* read and written by passes over all parameters */
};

struct plan_cluster {
    int64_t nodes, processes; /* processes: of one node */
    struct plan_rates rates;
    double process_bytes;   /* memory that one process may take; 0: not known */
    double link_bytes;      /* a second between nodes, each way */
    double link_latency_s;  /* of a message */
    double node_hour_price; /* in whatever money; 0: not known */
};

/* Bytes of one process, by part. */
struct plan_memory {
    double weights;     /* f32 */
    double copy;        /* bf16, for products */
    double gradients;   /* f32, one buffer a level of the tree of shards */
    double exchange;    /* buckets that arrive from other processes */
    double moments;     /* first and second, the part this process keeps */
    double scratch;     /* Muon's */
    double activations; /* of a micro-batch, kept or recomputed, and the way back's scratch */
    double logits;      /* chunks of them */
    double tables;      /* rotary angles, rows of tokens, losses */
    double program;     /* code, threads, packed panels */
    double total;
};

/* Seconds of one step. */
struct plan_time {
    double blocks, head, attention, muon; /* arithmetic */
    double rows, parameters;              /* memory traffic: row-wise operations; optimizer, sums */
    double reduce, gather;                /* network: gradients; weights */
    double hidden;                        /* of the reduction, beside the backward pass */
    double arithmetic, memory, network;   /* sums of the above; network without what is hidden */
    double step;
};

enum plan_limit {
    PLAN_LIMIT_CAPACITY, /* the memory of a process does not suffice */
    PLAN_LIMIT_ARITHMETIC,
    PLAN_LIMIT_MEMORY,
    PLAN_LIMIT_NETWORK
};
const char *plan_limit_name(enum plan_limit limit);

struct plan {
    size_t parameters, product_parameters;
    int64_t processes, steps;
    double tokens, step_tokens;
    struct plan_memory memory;
    struct plan_time time;
    double run_s, cost; /* of all steps; validation and checkpoints are not in it */
    double checkpoint_bytes;
    double tokens_per_second;
    enum plan_limit limit;
    bool runs; /* this program can share the recipe among so many processes */
};

/* tokens 0: the recipe's own steps.  ERR_USAGE when the batch has fewer rows than there are
 * processes or the recipe's model can't be. */
MUST_USE status plan_make(struct plan *out, const struct recipe *recipe, double tokens,
                          const struct plan_cluster *cluster, struct error *error);

/* Floating-point operations of one token, forward and backward, without recomputing. */
struct plan_work {
    double blocks, head, attention;
};
struct plan_work plan_work_of(const struct recipe *recipe);

/* Times products, attention, row-wise operations and the optimizer in the recipe's shapes (large
 * ones cut down) for about so many seconds, on all threads of `compute`. */
MUST_USE status plan_measure(struct plan_rates *out, const struct recipe *recipe, double seconds,
                             struct compute *compute, struct error *error);
/* All rates times a factor: more or fewer processors of the same kind. */
struct plan_rates plan_rates_scaled(const struct plan_rates *rates, double factor);

#endif
