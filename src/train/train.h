/* Pre-training: recipe, shards of tokens, (seed, step) -> batch, gradients, optimizer, checkpoints, ledger, one loop.
 * A run folder resumes by itself; resuming equals the uninterrupted run bit for bit.
 * Not here: what a model computes (model/), how a corpus is made (corpus/), printing (cli/ gives callbacks). */
#ifndef RODNIK_TRAIN_TRAIN_H
#define RODNIK_TRAIN_TRAIN_H

#include "base/config.h"
#include "model/model.h"

/* ---- recipe: every key stands in one table with unit and range ---- */

struct recipe {
    struct model_config model; /* [model]; vocabulary 0: the tokenizer's */
    char corpus
        [CONFIG_STRING_BYTES]; /* [data] corpus folder, relative to the recipe file or absolute */
    char tokenizer
        [CONFIG_STRING_BYTES]; /* [data] tokenizer.json; empty: trained from the corpus with `vocabulary` entries */
    int64_t vocabulary;      /* [data] of a tokenizer trained here */
    bool document_mask;      /* [data] attention stays inside a document */
    int64_t sequence, batch; /* [train] tokens in a row; rows in a global batch */
    int64_t micro_batch,
        shards; /* [train] rows at once (memory); logical shards, a power of two that divides batch */
    int64_t steps; /* [train] optimizer steps in all */
    double
        minutes; /* [train] 0: by steps; else steps are chosen at the start so that the run takes about this long,
                                       and written into the run's recipe (steps, minutes = 0): replay needs no clock */
    int64_t seed;
    int precision;                                  /* enum dtype: f32|bf16 */
    int64_t validate_every, checkpoint_every, keep; /* steps; checkpoints kept (last ones) */
    int matrix_optimizer;                           /* [optimizer] adamw|muon */
    double learning_rate, embedding_rate, head_rate, vector_rate; /* peak rates by weight group */
    double warmup, decay; /* shares of steps: linear warm-up, linear decay at the end */
    double final_rate;    /* share of the peak at the end */
    double beta1, beta2, epsilon, weight_decay, momentum, clip;
};

extern const struct config_table recipe_table;
MUST_USE status recipe_read(struct recipe *out, const char *path, struct error *error);
/* Checks what single ranges can't (divisibility, model family). */
MUST_USE status recipe_check(const struct recipe *recipe, struct error *error);

/* ---- the loop ---- */

struct train_report { /* given to the callback after every step */
    int64_t step, steps;
    double loss, bits_per_byte_validation /* < 0: none at this step */, tokens_per_second,
        gradient_norm, learning_rate;
    double elapsed_s, left_s;
    bool skipped;
};

struct train_settings {
    const char *recipe_path;     /* NULL when the run exists and shall go on */
    const struct recipe *recipe; /* instead of a path (benchmarks, tests, demo), or NULL */
    const char *run;             /* folder */
    int64_t
        steps_limit; /* > 0: stop after this many steps in all, as if the recipe ended its process there (the schedule stays) */
    void (*report)(void *context, const struct train_report *report);
    void *context;
    struct compute *compute;
};

struct train_result {
    int64_t steps_done;
    bool interrupted;
    struct sha256 state;
    double validation_bits_per_byte;
};

/* Starts or resumes; returns OK also when stopped by interrupt_requested() (then result->interrupted, checkpoint written). */
MUST_USE status train_run(struct train_result *out, const struct train_settings *settings,
                          struct error *error);

/* Bits per byte on the corpus's held-out documents with rows of the run's length (sum of -log2 p over tokens / bytes). */
/* Newest complete checkpoint folder of a run ("RUN/checkpoints/step-000100"); ERR_STATE with a sentence when there is none. */
MUST_USE status run_checkpoint_path(char *out, size_t out_bytes, const char *run,
                                    int64_t step /* < 0: newest */, struct error *error);

#endif
