/* What the files of tensor/ share: the machine, scratch memory, and the tables of kernels that
 * every instruction set fills. */
#ifndef RODNIK_TENSOR_TENSOR_INTERNAL_H
#define RODNIK_TENSOR_TENSOR_INTERNAL_H

#include "tensor/ops.h"

/* Kernel sources name their table KERNEL_NAME(gemm_kernels) and the like. */
#define KERNEL_PASTE2(name, isa) name##_##isa
#define KERNEL_PASTE(name, isa)  KERNEL_PASTE2(name, isa)
#if !defined(KERNEL_ISA) || KERNEL_ISA == 0
#define KERNEL_SUFFIX scalar
#elif KERNEL_ISA == 1
#define KERNEL_SUFFIX avx2
#elif KERNEL_ISA == 2
#define KERNEL_SUFFIX avx512
#else
#define KERNEL_SUFFIX avx512bf16
#endif
#define KERNEL_NAME(name) KERNEL_PASTE(name, KERNEL_SUFFIX)

/* ---- matrix products ---- */

/* A panel is `width` lanes (rows of a or columns of b) of 32-bit slots along the depth, slot by
 * slot.  A slot holds an f32; or a widened bf16, the odd one of each pair first; or, for the dot
 * instruction, a pair of bf16. */
enum slot_form { SLOT_F32, SLOT_WIDENED, SLOT_PAIR };

struct panel_source {
    const void *data;
    size_t stride;
    bool depth_runs;    /* neighbours in memory are neighbours in depth */
    size_t lane, lanes; /* the first and how many; zeros fill the last panel */
    size_t depth,
        count; /* first element along the depth (even) and how many (the odd last is padded) */
};

struct tile {
    size_t slots;
    const uint32_t *a, *b;
    float *c;
    size_t c_stride, rows, columns;
    bool load;                /* chains go on from c; else from 0 */
    const float *next_c;      /* the results of the tile after this one: a hint */
    const void *const *fetch; /* lines of memory that will be wanted soon: a hint */
    size_t fetches;
};

struct packed_rows { /* decoding: few rows times panels of PACKED_COLUMNS columns */
    const void *x;
    size_t rows, depth;
    const uint32_t *panel;
    float *out;
    size_t out_stride, columns;
};
enum { PACKED_COLUMNS = 32, PACKED_ROWS = 4 };

struct gemm_kernels {
    size_t tile_rows, tile_columns;
    size_t slab_slots_max; /* of the depth that is multiplied before the next part of it */
    void (*pack[3])(uint32_t *out, size_t width,
                    const struct panel_source *source); /* by slot_form */
    void (*tile)(const struct tile *tile);
    void (*tile_dot)(const struct tile *tile);         /* NULL without the instruction */
    void (*packed[2])(const struct packed_rows *work); /* by dtype */
    double (*fma_loop)(size_t rounds); /* arithmetic in registers: returns operations done */
    double (*dot_loop)(size_t rounds); /* NULL without the instruction */
};
size_t slots_of(enum slot_form form, size_t depth);

/* ---- rows and elements ---- */

struct rmsnorm_row {
    float *grad_x;
    const float *grad_out, *x, *weight;
    float scale;
    bool accumulate;
};
struct rmsnorm_columns {
    float *grad_weight;
    const float *grad_out, *x, *scale;
};
struct swiglu_row {
    size_t out_at;
    const float *grad, *gate, *up;
};
struct adamw_run {
    const struct adamw *settings;
    const struct adamw_state *state;
    const float *gradient;
    float correction1, correction2; /* 1 / (1 - beta^step) */
};
struct muon_run {
    float *weight, *momentum, *update;
    uint16_t *copy;
    const float *gradient;
    float momentum_factor, grad_scale, factor, keep;
};
struct softmax_row {
    const float *exponentials;
    size_t vocabulary, out_at;
    uint32_t target;
    float grad_scale, total;
};

/* SUM_ZEROS adds x * 0: 0 if all are finite, else not a number. */
enum sum_kind { SUM_VALUES, SUM_SQUARES, SUM_ZEROS, SUM_KINDS };
enum { SUM_BLOCK = 4096 };

struct row_kernels {
    void (*convert)(struct array out, struct const_array x, size_t begin, size_t end);
    void (*add)(float *out, const float *a, const float *b, size_t count);
    void (*scale)(float *x, float factor, size_t count);
    void (*combine)(float *out, const float *a, float alpha, const float *b, float beta,
                    size_t count);              /* alpha a + beta b */
    float (*sum)(const float *x, size_t count); /* by the lane rule */
    /* out[i] = sum by the lane rule of block i of SUM_BLOCK elements; the last may be shorter */
    void (*sums[SUM_KINDS])(float *out, const float *x, size_t count);
    float (*rmsnorm)(const struct rmsnorm *shape, struct array out, size_t out_at, const float *x,
                     const float *weight);
    void (*rmsnorm_grad)(const struct rmsnorm *shape, const struct rmsnorm_row *row);
    void (*rmsnorm_weight)(const struct rmsnorm *shape, const struct rmsnorm_columns *in,
                           size_t begin, size_t end);
    void (*rotary)(float *head, const float *table, size_t head_size, bool inverse);
    void (*swiglu)(struct array out, size_t out_at, const float *gate, const float *up,
                   size_t width);
    void (*swiglu_grad)(struct array out, const struct swiglu_row *row, size_t width);
    void (*adamw)(const struct adamw_run *run, size_t begin, size_t end);
    void (*stream)(const struct adamw_run *run, size_t begin, size_t end);
    void (*muon_momentum)(const struct muon_run *run, size_t begin, size_t end);
    void (*muon_apply)(const struct muon_run *run, size_t begin, size_t end);
    void (*normal)(float *out, const uint32_t *words, float deviation);
    float (*softmax_loss)(float *logits, size_t vocabulary, uint32_t target, float *loss);
    void (*softmax_grad)(struct array out, const struct softmax_row *row);
};

/* ---- the vectors themselves, for tests ---- */

enum { VECTOR_OPERATIONS = 25 };
struct vector_kernels {
    struct {
        const char *name;
        void (*apply)(float *out, const float *x, const float *y, const float *z, size_t count);
    } operation[VECTOR_OPERATIONS];
};

/* ---- attention ---- */

enum { KEY_BLOCK = 64, QUERY_TILE = 64, HEAD_SIZE_MAX = 256 };

struct attention_task {
    const struct attention *shape;
    struct attention_inputs in;
    struct array out;                /* forward */
    float *log_sum;                  /* forward; NULL: not kept */
    struct attention_gradients grad; /* backward */
    const float *grad_out, *log_sum_in;
    struct const_array out_in;
    size_t sequence, head; /* forward: a query head; backward: a key-value head */
    size_t query, queries; /* forward: the tile, indices of queries */
    void *scratch;
};

struct attention_kernels {
    void (*forward)(const struct attention_task *task);
    void (*backward)(const struct attention_task *task);
};

/* ---- the machine ---- */

enum { SCRATCH_SHARED_BYTES = 16 << 20, SCRATCH_THREAD_BYTES = 1 << 20 };
enum { BLOCK_BYTES_MAX = 3 << 18 }; /* measured: docs/notebook.md */
_Static_assert(2 * (int)BLOCK_BYTES_MAX <= (int)SCRATCH_SHARED_BYTES, "two blocks fit");

struct compute {
    struct thread_pool *pool;
    struct arena *arena;
    enum isa isa;
    bool dot_is_faster; /* bf16 products by the dot instruction */
    size_t block_bytes; /* of a matrix product's shared side; tests make it smaller */
    const struct gemm_kernels *gemm;
    const struct row_kernels *row;
    const struct attention_kernels *attention;
    const struct vector_kernels *vector;
    void *shared;       /* SCRATCH_SHARED_BYTES, for the operation in progress */
    void **thread;      /* [threads] SCRATCH_THREAD_BYTES each */
    size_t *packed_job; /* [threads] whose panels lie in the thread's scratch; SIZE_MAX: none */
};

/* Rows or elements that make a chunk of work worth handing out. */
size_t chunk_of(size_t items, size_t bytes_per_item);

#endif
