/* What must have the same bits everywhere.  Each emitter writes one kind of results to standard
 * output; scripts/exact.sh hashes and compares them. */
#ifndef RODNIK_TESTS_EXACT_H
#define RODNIK_TESTS_EXACT_H

#include "model/model.h"
#include "tensor/tensor_internal.h"

/* Ways to the same bits, beside instruction sets, threads and builds. */
/* Of tokens to sessions: each prefix at once (weights unpacked, else packed), token by token, in
 * pieces, eight sessions in one step, a step beside another's prompt in another order. */
enum feeding { FEED_WHOLE, FEED_SINGLE, FEED_PIECES, FEED_TOGETHER, FEED_NEIGHBOURS };
struct ways {
    size_t micro_rows; /* of a micro-batch: 1 or 2 */
    bool recompute;    /* activations on the way back */
    enum feeding feeding;
};

struct exact {
    struct compute *compute;
    struct arena *arena;
    struct ways ways;
};

/* Vectors and every operation of tensor/ops.h, forward and backward, on easy and hard numbers; the
 * watch over steps and the schedule of rates. */
void emit_operations(const struct exact *exact);
/* Weights and moments of models after some steps, one of them skipped. */
void emit_training(const struct exact *exact);
/* The same of two models so small that a slow second implementation can do it (second.py). */
void emit_small(const struct exact *exact);
/* Logits of eight sessions at several positions. */
void emit_inference(const struct exact *exact);

/* ---- shared ---- */

void must(status result, const struct error *error);
void *take(struct arena *arena, size_t count, size_t size);
/* A name for what follows, on standard error: the first that differs between two runs is wrong. */
void section(const char *name);
/* Little-endian words; all that are no numbers are one. */
void emit(const float *x, size_t count);
void emit_halves(const uint16_t *x, size_t count);
void emit_as(const void *x, enum dtype type, size_t count);

enum numbers {
    NUMBERS_EVEN, /* in [-1, 1) */
    NUMBERS_TIES, /* also denormals, numbers around the smallest normal one, and such whose sums and
                     products lie in the middle between two floats or two bf16 */
    NUMBERS_ODD,  /* also infinities and what is not a number */
    NUMBERS_HARD, /* any bits */
    NUMBERS_COUNT
};
/* Nothing may begin as 0 or 1, or whole paths would have no gradient. */
void wake(struct model *model);
void fill(float *x, size_t count, enum numbers numbers, uint64_t stream);

#endif
