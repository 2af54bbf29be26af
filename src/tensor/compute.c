#include "tensor/ops.h"

#include <stdlib.h>
#include <string.h>

#include "tensor/tensor_internal.h"

extern const struct gemm_kernels gemm_kernels_scalar, gemm_kernels_avx2, gemm_kernels_avx512,
    gemm_kernels_avx512bf16;
extern const struct row_kernels row_kernels_scalar, row_kernels_avx2, row_kernels_avx512,
    row_kernels_avx512bf16;
extern const struct attention_kernels attention_kernels_scalar, attention_kernels_avx2,
    attention_kernels_avx512, attention_kernels_avx512bf16;
extern const struct vector_kernels vector_kernels_scalar, vector_kernels_avx2,
    vector_kernels_avx512, vector_kernels_avx512bf16;

struct kernels {
    const char *name;
    const struct gemm_kernels *gemm;
    const struct row_kernels *row;
    const struct attention_kernels *attention;
    const struct vector_kernels *vector;
};

/* clang-format off */
#define KERNELS(isa)                                                                               \
    {.name = #isa, .gemm = &gemm_kernels_##isa, .row = &row_kernels_##isa,                         \
     .attention = &attention_kernels_##isa, .vector = &vector_kernels_##isa}
/* clang-format on */
static const struct kernels all_kernels[ISA_COUNT] = {
    [ISA_SCALAR] = KERNELS(scalar),
#if defined(__x86_64__)
    [ISA_AVX2] = KERNELS(avx2),
    [ISA_AVX512] = KERNELS(avx512),
    [ISA_AVX512BF16] = KERNELS(avx512bf16),
#else
    [ISA_AVX2] = {.name = "avx2"},
    [ISA_AVX512] = {.name = "avx512"},
    [ISA_AVX512BF16] = {.name = "avx512bf16"},
#endif
};

const char *isa_name(enum isa isa)
{
    ASSERT(isa < ISA_COUNT);
    return all_kernels[isa].name;
}

static enum isa best_isa(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return ISA_SCALAR;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return ISA_AVX2;
    return __builtin_cpu_supports("avx512bf16") ? ISA_AVX512BF16 : ISA_AVX512;
#else
    return ISA_SCALAR;
#endif
}

static status choose_isa(enum isa *out, struct error *error)
{
    enum isa best = best_isa();
    const char *wanted = getenv("RODNIK_ISA");
    *out = best;
    if (!wanted || !*wanted)
        return OK;
    for (int isa = 0; isa < ISA_COUNT; isa++)
        if (strcmp(wanted, isa_name((enum isa)isa)) == 0) {
            *out = (enum isa)isa < best ? (enum isa)isa : best;
            return OK;
        }
    return fail(error, ERR_USAGE,
                "RODNIK_ISA is '%s', allowed are scalar, avx2, avx512 and avx512bf16", wanted);
}

/* ---- rates ---- */

static double rate_of(double (*loop)(size_t rounds), size_t rounds)
{
    double best = 0;
    for (int i = 0; i < 5; i++) {
        double start = time_monotonic_s();
        double rate = loop(rounds) / (time_monotonic_s() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

/* Some processors run the bf16 dot instruction at half the rate of multiply-adds, some at twice the
 * rate.  The result has the same bits either way, so a millisecond of measuring decides. */
static bool measure_dot(const struct gemm_kernels *gemm)
{
    enum { ROUNDS = 4000 };
    return gemm->dot_loop && rate_of(gemm->dot_loop, ROUNDS) > rate_of(gemm->fma_loop, ROUNDS);
}

struct peak_job {
    double (*loop)(size_t rounds);
    size_t rounds;
};

static void run_peak(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct peak_job *job = context;
    for (size_t i = begin; i < end; i++)
        (void)job->loop(job->rounds);
}

double compute_multiply_add_gflops(struct compute *compute, enum dtype type)
{
    enum { CHUNKS = 64, ROUNDS = 20000 };
    ASSERT(compute);
    bool dot = type == DTYPE_BF16 && compute->dot_is_faster;
    struct peak_job job = {dot ? compute->gemm->dot_loop : compute->gemm->fma_loop, ROUNDS};
    double operations = job.loop(job.rounds);
    double start = time_monotonic_s();
    parallel_for(compute->pool, CHUNKS, 1, run_peak, &job);
    return operations * CHUNKS / (time_monotonic_s() - start) * 1e-9;
}

/* ---- life ---- */

static status take_scratch(struct compute *compute, struct error *error)
{
    size_t threads = (size_t)thread_pool_count(compute->pool);
    compute->shared = arena_alloc(compute->arena, SCRATCH_SHARED_BYTES, 1, error);
    if (!compute->shared)
        return error->code;
    TRY_ALLOC(compute->thread, compute->arena, threads, error);
    TRY_ALLOC(compute->packed_job, compute->arena, threads, error);
    char *scratch = arena_alloc(compute->arena, threads, SCRATCH_THREAD_BYTES, error);
    if (!scratch)
        return error->code;
    for (size_t i = 0; i < threads; i++)
        compute->thread[i] = scratch + i * SCRATCH_THREAD_BYTES;
    return OK;
}

static status compute_fill(struct compute *compute, int threads, struct error *error)
{
    TRY(choose_isa(&compute->isa, error));
    const struct kernels *kernels = &all_kernels[compute->isa];
    compute->gemm = kernels->gemm;
    compute->row = kernels->row;
    compute->attention = kernels->attention;
    compute->vector = kernels->vector;
    TRY(thread_pool_create(&compute->pool, threads, error));
    TRY(take_scratch(compute, error));
    compute->block_bytes = BLOCK_BYTES_MAX;
    compute->dot_is_faster = measure_dot(compute->gemm);
    return OK;
}

status compute_create(struct compute **out, int threads, struct error *error)
{
    ASSERT(out && error);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct compute *compute = arena_alloc(arena, 1, sizeof *compute, error);
    if (!compute) {
        arena_destroy(arena);
        return error->code;
    }
    compute->arena = arena;
    status result = compute_fill(compute, threads, error);
    if (result == OK)
        *out = compute;
    else
        compute_destroy(compute);
    return result;
}

void compute_destroy(struct compute *compute)
{
    if (!compute)
        return;
    thread_pool_destroy(compute->pool);
    arena_destroy(compute->arena);
}

enum isa compute_isa(const struct compute *compute)
{
    return compute->isa;
}

int compute_threads(const struct compute *compute)
{
    return thread_pool_count(compute->pool);
}

struct thread_pool *compute_pool(struct compute *compute)
{
    return compute->pool;
}

/* About 64 KiB of work a chunk. */
size_t chunk_of(size_t items, size_t bytes_per_item)
{
    size_t chunk = (64 << 10) / (bytes_per_item ? bytes_per_item : 1);
    chunk = chunk < 1 ? 1 : chunk;
    return items && chunk > items ? items : chunk;
}
