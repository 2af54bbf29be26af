/* What the files of infer/ share. */
#ifndef RODNIK_INFER_INFER_INTERNAL_H
#define RODNIK_INFER_INFER_INTERNAL_H

#include "infer/infer.h"

struct engine {
    struct engine_info info;
    struct model *model;
    const struct tokenizer *tokenizer;
};

struct session {
    struct arena *arena;
    const struct engine *engine;
    size_t context, position;
    float *keys, *values; /* [layers][context, kv width] */
    struct block block;   /* scratch of one chunk */
    float *x[2];          /* [FEED_ROWS, width] */
    void *operands;       /* [FEED_ROWS, width] */
    uint32_t *positions;  /* [FEED_ROWS] */
    float *logits;        /* [vocabulary] */
    struct sampler *sampler;
};

#endif
