/* Pre-training: recipe, shards of tokens, (seed, step) -> batch, gradients, optimizer, checkpoints,
 * ledger, one loop.  A run folder resumes by itself; resuming equals the uninterrupted run bit for
 * bit.
 * Not here: what a model computes (model/), how a corpus is cleaned (corpus/), printing (cli/ gives
 * callbacks).  One thread calls; the work is spread by the compute given. */
#ifndef RODNIK_TRAIN_TRAIN_H
#define RODNIK_TRAIN_TRAIN_H

#include "base/config.h"
#include "model/model.h"

/* ---- recipe: every key stands in one table with unit and range ---- */

struct recipe {
    struct model_config model;           /* [model] vocabulary 0: the tokenizer's */
    char corpus[CONFIG_STRING_BYTES];    /* [data] folder; see recipe_read for relative paths */
    char tokenizer[CONFIG_STRING_BYTES]; /* [data] tokenizer.json; empty: trained from the corpus */
    int64_t vocabulary;                  /* [data] tokens of a tokenizer trained here */
    bool document_mask;                  /* [data] attention stays inside a document */
    int64_t sequence, batch;             /* [train] tokens in a row; rows in a global batch */
    int64_t batch_start;                 /* rows of the first steps' batch; 0: batch */
    double ramp;                         /* share of steps in which it doubles up to batch */
    bool recompute;                      /* the backward pass computes activations again */
    int64_t micro_batch;                 /* rows at once: memory */
    int64_t shards;                      /* logical shards, a power of two that divides batch */
    int64_t steps;                       /* optimizer steps in all */
    double minutes;                      /* 0: by steps; else the run ends after this time */
    char revisions[CONFIG_STRING_BYTES]; /* how steps were changed: "STEP:STEPS_BEFORE ..." */
    int64_t seed;
    int precision;                        /* enum dtype */
    int64_t validate_every;               /* steps; 0: at the end only */
    int64_t validate_tokens;              /* held-out tokens looked at; 0: all */
    int64_t checkpoint_every, keep;       /* steps; checkpoints kept (last ones) */
    int matrix_optimizer;                 /* [optimizer] enum matrix_optimizer */
    double learning_rate, embedding_rate; /* peak rates by weight group */
    double head_rate, vector_rate;
    double warmup, decay; /* shares of steps: linear rise, fall at the end */
    int decay_shape;      /* enum decay_shape */
    double final_rate;    /* share of the peak at the end */
    double beta1, beta2, epsilon, weight_decay, momentum, clip;
};

enum matrix_optimizer { MATRIX_ADAMW, MATRIX_MUON };
enum decay_shape { DECAY_LINEAR, DECAY_COSINE };

extern const struct config_table recipe_table;

/* Reads a recipe over the defaults.  Relative paths in it are taken from the recipe's folder and
 * come out relative to the working folder.  Ranges are checked, recipe_check is not called. */
MUST_USE status recipe_read(struct recipe *out, const char *path, struct error *error);
/* Checks what single ranges can't (divisibility, model family; model.vocabulary may be 0). */
MUST_USE status recipe_check(const struct recipe *recipe, struct error *error);
/* SHA-256 of the keys that decide about numbers: paths, minutes and keep left out.  Of steps that
 * were changed on the way the first number counts; the ledger's lines then hash the rates. */
MUST_USE status recipe_hash(struct sha256 *out, const struct recipe *recipe, struct error *error);

/* ---- schedule and optimizer: also what benchmarks time ---- */

/* Where steps were changed while time passed: until after `step` there were to be `before`. */
enum { REVISIONS_MAX = 16 };
struct revisions {
    size_t count;
    struct revision {
        int64_t step, before;
    } items[REVISIONS_MAX];
};
/* False when the recipe's text has another form, or steps do not ascend. */
bool revisions_parse(struct revisions *out, const struct recipe *recipe);

/* The share of the peak rate at step 1 .. steps: linear warm-up, constant, linear or cosine decay,
 * drawn over the steps first chosen.  After a revision what is left of the course is stretched or
 * shrunk over the steps that are left; what was done stays as it was. */
double schedule_share(const struct recipe *recipe, int64_t step);
/* Rows of the batch of step 1 .. steps: batch_start, doubled in equal stages of the ramp. */
int64_t schedule_batch(const struct recipe *recipe, int64_t step);
/* Rows of all steps before and with `step`, 0 .. steps. */
int64_t schedule_rows(const struct recipe *recipe, int64_t step);
/* Rows of a step of a long run, over the ramp and what follows. */
double schedule_mean_batch(const struct recipe *recipe);
/* The step after which about `rows` more than after `step` are done, at most 10^9. */
int64_t schedule_steps(const struct recipe *recipe, int64_t step, double rows);

struct comm;
struct optimizer;
/* Moments (zero) and scratch for the weights that this process steps; second moments only where
 * AdamW works. */
MUST_USE status optimizer_create(struct optimizer **out, struct model *model,
                                 const struct recipe *recipe, const struct comm *comm,
                                 struct arena *arena, struct error *error);

/* The flat gradients [begin, end) of this process are final: begins to sum them over processes. */
void optimizer_sum(struct optimizer *optimizer, float *gradients, size_t begin, size_t end);
/* Euclidean norm of the summed gradients: sum of squares of each tensor in f32, tensors added in
 * table order in double.  Not finite if any gradient isn't.  Waits for the sums. */
double optimizer_norm(struct optimizer *optimizer, const float *gradients);

struct optimizer_update {
    double rate_share; /* of the peak rates */
    float grad_scale;  /* clipping */
    int64_t count;     /* updates done with this one: 1, 2, ... */
};
/* Steps every weight, those of other processes by these, and refreshes the bf16 copy.  After
 * optimizer_norm. */
void optimizer_step(struct optimizer *optimizer, const float *gradients,
                    const struct optimizer_update *update);

/* ---- the loop ---- */

struct train_report { /* given to the callback after every step */
    int64_t step, steps;
    double loss, gradient_norm, learning_rate;
    double validation_bits_per_byte; /* < 0: none at this step */
    double tokens_per_second, elapsed_s, left_s;
    int64_t tokens;       /* seen since step 1 */
    int64_t tokens_total; /* of all steps */
    bool skipped;
};

struct train_settings {
    const char *recipe_path;     /* NULL when the run exists and shall go on */
    const struct recipe *recipe; /* instead of a path, or NULL */
    const char *run;             /* folder */
    int64_t steps_limit;         /* > 0: end the process after this step, the schedule stays */
    double started_s;            /* time_monotonic_s() from which minutes count; 0: the call */
    void (*report)(void *context, const struct train_report *report);
    void (*stage)(void *context, const char *what); /* before long preparations; may be NULL */
    void *context;
    struct compute *compute;
    const struct comm *comm;
};

struct train_result {
    int64_t steps_done, steps;
    bool interrupted;
    struct sha256 state;
    double loss;                     /* of the last step done in this call; NaN: none */
    double validation_bits_per_byte; /* < 0: no held-out documents, or not at the end */
};

/* Starts or resumes; returns OK also when stopped by interrupt_requested() (then
 * result->interrupted, checkpoint written).  ERR_NUMERIC after ten skipped steps in a row,
 * ERR_CONFLICT when the run folder was made by another recipe or another process works in it. */
MUST_USE status train_run(struct train_result *out, const struct train_settings *settings,
                          struct error *error);

/* How long a run may take in all, by the minutes it was begun with; 0: as long as it does. */
MUST_USE status run_budget_s(double *out, const char *run, struct error *error);

/* Newest complete checkpoint folder of a run ("RUN/checkpoints/step-000100"), or that of one step;
 * ERR_CONFLICT with a sentence when there is none. */
MUST_USE status run_checkpoint_path(char *out, size_t out_bytes, const char *run,
                                    int64_t step /* < 0: newest */, struct error *error);

#endif
