/* The model family: decoder-only transformer with RMSNorm before each block, rotary embeddings
 * (half-rotation layout),
 * grouped-query attention, SwiGLU, tied or untied head, optional RMSNorm on queries and keys.
 * Loads elsewhere as
 * architecture `llama`, with qk_norm as `qwen3`.
 *
 * Here: configuration, the ONE weight table, forward and backward as mirrors, weights in and out as
 * safetensors.
 * Not here: data, schedules, optimizer settings (train/), caches and sampling (infer/).
 * A model borrows its compute and lives in the arena given; one thread at a time runs it (compute
 * spreads the work). */
#ifndef RODNIK_MODEL_MODEL_H
#define RODNIK_MODEL_MODEL_H

#include "base/file.h"
#include "base/hash.h"
#include "tensor/ops.h"

/* ---- configuration ---- */

struct model_config {
    int64_t layers, width, heads, kv_heads, head_size, ffn_width, vocabulary, context;
    double rope_theta, norm_epsilon;
    bool tied, qk_norm;
};

enum {
    MODEL_LAYERS_MAX = 512,
    MODEL_WIDTH_MAX = 65536,
    MODEL_VOCABULARY_MAX = 1 << 20,
    MODEL_CONTEXT_MAX = 1 << 20
};

/* Refuses what the family can't be, with one sentence: key, value found, value allowed. */
MUST_USE status model_config_check(const struct model_config *config, struct error *error);
/* All parameters; and those that stand in matrix products (for arithmetic: 6 per token each). */
size_t model_parameters(const struct model_config *config);
size_t model_product_parameters(const struct model_config *config);
/* Multiply-adds counted as two, forward and backward, for one token in a row of `length` tokens:
 * 6 * product parameters + attention 6 * layers * heads * head_size * length (causal half of 12).
 * */
double model_flops_per_token(const struct model_config *config, size_t length);

/* ---- the weight table ---- */

enum weight_group { WEIGHT_EMBEDDING, WEIGHT_HEAD, WEIGHT_MATRIX, WEIGHT_VECTOR };
enum { WEIGHT_NAME_BYTES = 96 };

struct weight {
    char name[WEIGHT_NAME_BYTES]; /* Hugging Face's name */
    size_t offset;                /* in elements, from the start of every flat buffer */
    size_t rows, columns;         /* a vector has rows 1 */
    enum weight_group group;      /* chooses the optimizer and its rate */
    bool vector;                  /* written with one dimension */
    bool decay;                   /* weight decay applies */
    float deviation;              /* initial standard deviation; vectors start at 1 */
};

struct weight_table {
    struct weight *weights;
    size_t count, total;
};

/* Order: embedding, per layer (input norm, q, k, v, [q norm, k norm,] o, post-attention norm, gate,
 * up, down), final norm,
 * head if untied.  q k v and gate up are adjacent, so that each group is one matrix product. */
MUST_USE status weight_table_create(struct weight_table *out, const struct model_config *config,
                                    struct arena *arena, struct error *error);

/* ---- the model ---- */

struct model {
    struct model_config config;
    struct weight_table table;
    struct compute *compute;
    enum dtype type;     /* of the operands of matrix products */
    float *weights;      /* flat, master values */
    uint16_t *copy;      /* flat bf16 working copy when type is DTYPE_BF16, else NULL */
    const float *rotary; /* [context, head_size] */
    struct packed_matrix
        *packed; /* one per product for few rows (decoding), NULL until model_pack */
};

/* Takes memory for weights (zero); fill them by model_init or model_load. */
MUST_USE status model_create(struct model **out, const struct model_config *config, enum dtype type,
                             struct compute *compute, struct arena *arena, struct error *error);
/* Random initial weights as a function of the seed; refreshes the copy. */
void model_init(struct model *model, uint64_t seed);
/* Refreshes the bf16 copy from the master weights. */
void model_refresh(struct model *model);
/* Packs all products' weights for decoding (more memory, much faster with few rows). */
MUST_USE status model_pack(struct model *model, struct arena *arena, struct error *error);

/* ---- one block, shared by training and inference ---- */

/* In inference: rows that go on one sequence, whose keys and values lie in its cache. */
struct cached_rows {
    struct attention attention; /* of one sequence; its queries are the rows */
    float *keys, *values;       /* [keys, kv width]; the rows' own go to query_first */
};

/* Where the values of one block's forward pass go.  rows = positions fed. */
struct block {
    size_t rows;
    const float *x;      /* [rows, width] input of the block */
    float *middle, *out; /* [rows, width] after attention; after the feed-forward part */
    void *norm1, *attended, *norm2, *activated; /* operands of products, of the model's type */
    float *qkv;                                 /* [rows, (heads + 2 kv_heads) * head_size] */
    float *qk;      /* with qk_norm: queries and keys after norm and rotation, rows as of qkv */
    float *gate_up; /* [rows, 2 * ffn_width] */
    float *scale1, *scale2, *scale_qk, *log_sum; /* for backward; all NULL in inference */
    const uint32_t *positions;                   /* [rows] */
    struct attention attention;                  /* training */
    const struct cached_rows *cached;            /* inference: whose the rows are, in order */
    size_t cached_count;
};
void model_block_forward(const struct model *model, size_t layer, const struct block *block);
/* out f32 [rows, vocabulary] from the last block's output x [rows, width]; scratch: rows * width
 * operands */
void model_logits(const struct model *model, float *out, const float *x, size_t rows,
                  void *scratch);

/* ---- training ---- */

struct training_shape { /* of a micro-batch */
    size_t sequences, length;
    bool recompute; /* keep only the blocks' outputs; the way back computes the rest again */
    size_t batches; /* micro-batches at most whose gradients make one chain */
};
/* Activations of one micro-batch; lives in the arena given. */
struct training;
MUST_USE status training_create(struct training **out, const struct model *model,
                                const struct training_shape *shape, struct arena *arena,
                                struct error *error);
size_t training_bytes(const struct model *model, const struct training_shape *shape);

struct batch {
    size_t sequences, length;
    const uint32_t *tokens;    /* [sequences, length] */
    const uint32_t *targets;   /* [sequences, length], TARGET_NONE where nothing is learnt */
    const uint32_t *first_key; /* [sequences, length]: first position that may be seen, or NULL */
    bool accumulate;           /* gradients go on from what stands there, else from 0 */
    bool more;                 /* further micro-batches of the same chain follow */
};

/* Told while the way back goes on: gradients from element `from` of the flat buffer on are final;
 * `from` falls to 0. */
struct gradients_watcher {
    void (*final)(void *context, size_t from);
    void *context;
};
/* Forward and backward: the flat gradients become d(sum of losses * grad_scale), or are added to;
 * writes loss [sequences * length].  The embedding's part of a tied table's gradient follows the
 * head's of all micro-batches of a chain, so that their size changes no bit: it is added with the
 * last of them, the only one that may have a watcher.  watcher: NULL for none. */
void model_gradients(struct training *training, const struct batch *batch, float grad_scale,
                     float *gradients, float *loss, const struct gradients_watcher *watcher);
/* Forward only. */
void model_loss(struct training *training, const struct batch *batch, float *loss);

/* ---- safetensors and hashes ---- */

struct safetensor {
    const char *name;
    const char *dtype /* "F32", "BF16" */;
    size_t shape[4];
    size_t dimensions;
    const void *data;
    size_t bytes;
};
struct safetensors {
    struct safetensor *tensors;
    size_t count;
    const char *metadata_json;
    struct file_bytes mapping;
};
/* Writes atomically; metadata_json is a JSON object of strings or NULL. */
MUST_USE status safetensors_write(const char *path, const struct safetensor *tensors, size_t count,
                                  const char *metadata_json, struct error *error);
/* The same for data that do not stand in memory: `next` gives the bytes of all tensors piece by
 * piece, in order. */
struct safetensors_source {
    status (*next)(void *context, struct view *piece, struct error *error);
    void *context;
};
MUST_USE status safetensors_write_from(const char *path, const struct safetensor *tensors,
                                       size_t count, const struct safetensors_source *source,
                                       struct error *error);
/* Maps and checks everything (header, types, shapes, offsets without holes or overlaps, ending at
 * the end of the file). */
MUST_USE status safetensors_open(struct safetensors *out, const char *path, struct arena *arena,
                                 struct error *error);
MUST_USE status safetensors_parse(struct safetensors *out, const void *data, size_t len,
                                  const char *name, struct arena *arena, struct error *error);
void safetensors_close(struct safetensors *file);
const struct safetensor *safetensors_find(const struct safetensors *file, const char *name);

/* A flat buffer in weight-table order as safetensors with names prefixed ("" for the weights), and
 * back: the set and shapes of
 * tensors must be exactly those of the table. */
MUST_USE status weights_save(const char *path, const struct weight_table *table, const float *flat,
                             const char *metadata_json, struct error *error);
MUST_USE status weights_load(float *flat, const struct weight_table *table, const char *path,
                             struct error *error);

/* SHA-256 over one flat buffer: each tensor in pieces of 4 MiB hashed in parallel, the concatenated
 * piece hashes hashed with the
 * tensor's name, the tensor hashes hashed in table order. */
MUST_USE status weights_hash(struct sha256 *out, const struct weight_table *table,
                             const float *flat, struct compute *compute, struct error *error);
/* The same in two steps, for values that stand in several places: the hashes of pieces (all full
 * but a tensor's last), then of all of them in the table's order. */
enum { WEIGHTS_HASH_PIECE = 1 << 20 /* elements */ };
struct weights_piece {
    const float *values;
    size_t count;
    struct sha256 *hash;
};
void weights_hash_pieces(const struct weights_piece *pieces, size_t count, struct compute *compute);
MUST_USE status weights_hash_join(struct sha256 *out, const struct weight_table *table,
                                  const struct sha256 *hashes, struct error *error);

/* config.json as Hugging Face writes it (llama or qwen3). */
MUST_USE status model_config_save(const struct model_config *config, const char *path,
                                  struct error *error);
MUST_USE status model_config_load(struct model_config *out, const char *path, struct error *error);

#endif
