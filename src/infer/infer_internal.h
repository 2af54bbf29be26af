/* What the files of infer/ share. */
#ifndef RODNIK_INFER_INFER_INTERNAL_H
#define RODNIK_INFER_INFER_INTERNAL_H

#include "infer/infer.h"

struct engine {
    struct engine_info info;
    struct model *model;
    const struct tokenizer *tokenizer;
};

/* Rows fed at once, of all sessions together: long prompts go in pieces, so that scratch memory
 * stays small. */
enum { FEED_ROWS = 256 };

struct session {
    struct arena *arena;
    const struct engine *engine;
    size_t context, position;
    float *keys, *values; /* [layers][context, kv width] */
    float *logits;        /* [vocabulary] */
    struct sampler *sampler;

    /* Scratch of one piece; sessions fed together use the first one's. */
    struct block block;
    struct cached_rows *cached; /* [FEED_ROWS] */
    float *x[2];                /* [FEED_ROWS, width] */
    void *operands;             /* [FEED_ROWS, width] */
    uint32_t *tokens;           /* [FEED_ROWS] */
    uint32_t *positions;        /* [FEED_ROWS] */
};

#endif
