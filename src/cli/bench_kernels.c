/* Matrix products of the shapes that training meets, beside the multiply-add peak of the same
 * moment. */
#include "cli/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

static const struct {
    size_t tokens, width, outputs;
} shapes[] = {
    {512, 384, 384},    {512, 384, 1536},   {512, 768, 768},   {512, 768, 2304},
    {512, 768, 3072},   {512, 384, 16384},  {512, 768, 32000}, {2048, 384, 384},
    {2048, 384, 1536},  {2048, 768, 768},   {2048, 768, 2304}, {2048, 768, 3072},
    {2048, 384, 16384}, {1024, 768, 32000}, {4096, 768, 768},  {4096, 768, 3072},
};
enum { SHAPE_COUNT = sizeof shapes / sizeof *shapes, RUNS = 7, KINDS = 3 };
static const double RUN_OPERATIONS = 4e9; /* of a timed run, in small products repeated */
static const char *const kinds[KINDS] = {"forward", "grad x", "grad weight"};
static const size_t LARGEST = (size_t)2048 * 32000;

struct operands {
    void *a, *b;
    float *out;
    enum dtype type;
};

/* Y = X W^T, dX = dY W, dW = dY^T X */
static struct product product_of(size_t shape, int kind, const struct operands *in)
{
    size_t t = shapes[shape].tokens, w = shapes[shape].width, f = shapes[shape].outputs;
    struct product forward = {.rows = t,
                              .columns = f,
                              .depth = w,
                              .a = {in->a, in->type, w, false},
                              .b = {in->b, in->type, w, true}};
    struct product grad_x = {.rows = t,
                             .columns = w,
                             .depth = f,
                             .a = {in->a, in->type, f, false},
                             .b = {in->b, in->type, w, false}};
    struct product grad_weight = {.rows = f,
                                  .columns = w,
                                  .depth = t,
                                  .a = {in->a, in->type, f, true},
                                  .b = {in->b, in->type, w, false}};
    struct product product = kind == 0 ? forward : kind == 1 ? grad_x : grad_weight;
    product.out = in->out;
    product.out_stride = product.columns;
    return product;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_print(const struct bench_row *row, bool json)
{
    if (json)
        printf(
            "{\"bench\": \"%s\", \"case\": \"%s\", \"value\": %.4g, \"unit\": \"%s\", \"limit\": "
            "%.4g, \"fraction\": %.3f%s}\n",
            row->bench, row->name, row->value, row->unit, row->limit, row->fraction,
            row->more ? row->more : "");
    else
        printf("%-44s %9.1f %-9s %5.1f %% of %.1f%s\n", row->name, row->value, row->unit,
               100 * row->fraction, row->limit, row->more ? row->more : "");
    fflush(stdout);
}

static double product_gflops(struct compute *compute, const struct product *product)
{
    double operations =
        2.0 * (double)product->rows * (double)product->columns * (double)product->depth;
    int repeats = operations < RUN_OPERATIONS ? (int)(RUN_OPERATIONS / operations) : 1;
    double start = time_monotonic_s();
    for (int i = 0; i < repeats; i++)
        matrix_product(compute, product);
    return operations * repeats / (time_monotonic_s() - start) * 1e-9;
}

double bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return values[count / 2];
}

/* Clocks fall under load and neighbours come and go, so the limit is measured after every run and
 * the fraction is the median of ratios. */
static struct bench_row bench_product(struct compute *compute, const struct product *product)
{
    double value[RUNS], limit[RUNS], fraction[RUNS];
    matrix_product(compute, product);
    for (int run = 0; run < RUNS; run++) {
        value[run] = product_gflops(compute, product);
        limit[run] = compute_multiply_add_gflops(compute, product->a.type);
        fraction[run] = value[run] / limit[run];
    }
    return (struct bench_row){.bench = "kernels",
                              .unit = "GFLOP/s",
                              .value = bench_median(value, RUNS),
                              .limit = bench_median(limit, RUNS),
                              .fraction = bench_median(fraction, RUNS)};
}

/* How many cases there were. */
static int bench_type(struct compute *compute, const struct operands *in,
                      const struct bench_kernels *bench)
{
    const char *type = in->type == DTYPE_BF16 ? "bf16" : "f32";
    double log_value = 0, log_limit = 0, log_fraction = 0;
    int count = 0;
    char name[96];
    for (size_t shape = 0; shape < SHAPE_COUNT; shape++)
        for (int kind = 0; kind < KINDS; kind++) {
            struct product product = product_of(shape, kind, in);
            snprintf(name, sizeof name, "%s %zux%zux%zu %s", type, shapes[shape].tokens,
                     shapes[shape].width, shapes[shape].outputs, kinds[kind]);
            if (bench->only && !strstr(name, bench->only))
                continue;
            struct bench_row row = bench_product(compute, &product);
            row.name = name;
            bench_print(&row, bench->json);
            count++;
            log_value += log(row.value);
            log_limit += log(row.limit);
            log_fraction += log(row.fraction);
        }
    if (!count)
        return 0;
    snprintf(name, sizeof name, "%s geometric mean of %d", type, count);
    struct bench_row mean = {.bench = "kernels",
                             .name = name,
                             .unit = "GFLOP/s",
                             .value = exp(log_value / count),
                             .limit = exp(log_limit / count),
                             .fraction = exp(log_fraction / count)};
    bench_print(&mean, bench->json);
    return count;
}

static void fill(struct operands *f32, struct operands *bf16)
{
    struct random_key key = {1, RANDOM_TEST, 0};
    float *const outs[] = {f32->a, f32->b};
    uint16_t *const halves[] = {bf16->a, bf16->b};
    for (size_t i = 0; i < LARGEST; i += 4) {
        struct random_block block = random_philox(key, i);
        for (size_t j = 0; j < 4; j++)
            for (int k = 0; k < 2; k++) {
                float value = (float)(int32_t)(block.word[j] << (7 * k)) * 0x1p-31f;
                outs[k][i + j] = value;
                halves[k][i + j] = bf16_from_f32(value);
            }
    }
}

static status bench_with(struct compute *compute, struct arena *arena,
                         const struct bench_kernels *bench, struct error *error)
{
    struct operands f32 = {.type = DTYPE_F32}, bf16 = {.type = DTYPE_BF16};
    void **const blocks[] = {&f32.a, &f32.b, (void **)&f32.out, &bf16.a, &bf16.b};
    const size_t sizes[] = {4, 4, 4, 2, 2};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        *blocks[i] = arena_alloc(arena, LARGEST, sizes[i], error);
        if (!*blocks[i])
            return error->code;
    }
    bf16.out = f32.out;
    fill(&f32, &bf16);
    int cases = bench_type(compute, &f32, bench);
    cases += bench_type(compute, &bf16, bench);
    if (!cases)
        return fail(error, ERR_USAGE,
                    "--only is '%s', which no case's name holds; they are like 'bf16 512x384x1536 "
                    "grad x'",
                    bench->only);
    return OK;
}

status bench_kernels(const struct bench_kernels *bench, struct error *error)
{
    ASSERT(bench && error);
    struct arena *arena = NULL;
    struct compute *compute = NULL;
    TRY(arena_create(&arena, 0, error));
    status result = compute_create(&compute, bench->threads, error);
    if (result == OK)
        result = bench_with(compute, arena, bench, error);
    compute_destroy(compute);
    arena_destroy(arena);
    return result;
}
