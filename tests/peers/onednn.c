/* The matrix products of `rodnik bench kernels` by oneDNN, as a peer beside ours: prints a line a
 * case, "TYPE ROWSxINxOUT KIND GFLOP/s", then the geometric mean of each type.
 * usage: onednn [f32|bf16]      ONEDNN_MAX_CPU_ISA and OMP_NUM_THREADS say how. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <dnnl.h>

static const int shapes[][3] = {
    {512, 384, 384},    {512, 384, 1536},   {512, 768, 768},   {512, 768, 2304},
    {512, 768, 3072},   {512, 384, 16384},  {512, 768, 32000}, {2048, 384, 384},
    {2048, 384, 1536},  {2048, 768, 768},   {2048, 768, 2304}, {2048, 768, 3072},
    {2048, 384, 16384}, {1024, 768, 32000}, {4096, 768, 768},  {4096, 768, 3072}};
enum { SHAPES = sizeof shapes / sizeof *shapes, KINDS = 3, REPEATS = 5 };
static const char *const kinds[KINDS] = {"forward", "grad x", "grad weight"};

static void check(dnnl_status_t status)
{
    if (status != dnnl_success) {
        fprintf(stderr, "oneDNN: status %d\n", (int)status);
        exit(1);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *filled(size_t bytes, dnnl_data_type_t type)
{
    void *data = aligned_alloc(64, (bytes + 63) / 64 * 64);
    for (size_t i = 0; data && type == dnnl_f32 && i < bytes / 4; i++)
        ((float *)data)[i] = (float)(i % 97) * 0.01f - 0.5f;
    for (size_t i = 0; data && type == dnnl_bf16 && i < bytes / 2; i++)
        ((uint16_t *)data)[i] = (uint16_t)(0x3f00 + i % 97); /* 0.5 to 0.9 */
    return data;
}

struct matrix {
    dnnl_memory_desc_t desc;
    dnnl_memory_t memory;
    void *data;
};

/* [rows, columns]; transposed: stored as [columns, rows]. */
static struct matrix matrix(dnnl_engine_t engine, int rows, int columns, int transposed,
                            dnnl_data_type_t type)
{
    struct matrix out;
    dnnl_dims_t dims = {rows, columns};
    dnnl_dims_t strides = {transposed ? 1 : columns, transposed ? rows : 1};
    check(dnnl_memory_desc_init_by_strides(&out.desc, 2, dims, type, strides));
    out.data = filled((size_t)rows * (size_t)columns * (type == dnnl_f32 ? 4 : 2), type);
    check(dnnl_memory_create(&out.memory, &out.desc, engine, out.data));
    return out;
}

static void forget(struct matrix *x)
{
    dnnl_memory_destroy(x->memory);
    free(x->data);
}

/* The fastest of some runs, as our benchmark's median is of quiet ones. */
static double gflops(dnnl_engine_t engine, dnnl_stream_t stream, int m, int n, int k, int a_turned,
                     int b_turned, dnnl_data_type_t type)
{
    struct matrix a = matrix(engine, m, k, a_turned, type),
                  b = matrix(engine, k, n, b_turned, type);
    struct matrix c = matrix(engine, m, n, 0, dnnl_f32);
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t primitive_desc;
    dnnl_primitive_t primitive;
    check(dnnl_matmul_desc_init(&desc, &a.desc, &b.desc, NULL, &c.desc));
    check(dnnl_primitive_desc_create(&primitive_desc, &desc, NULL, engine, NULL));
    check(dnnl_primitive_create(&primitive, primitive_desc));
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, a.memory}, {DNNL_ARG_WEIGHTS, b.memory}, {DNNL_ARG_DST, c.memory}};
    double seconds[REPEATS], operations = 2.0 * m * n * k;
    for (int i = -1; i < REPEATS; i++) {
        double started = now();
        int rounds = 0;
        do {
            check(dnnl_primitive_execute(primitive, stream, 3, arguments));
            check(dnnl_stream_wait(stream));
            rounds++;
        } while (now() - started < 0.02);
        if (i >= 0)
            seconds[i] = (now() - started) / rounds;
    }
    for (int i = 1; i < REPEATS; i++) /* sorted, for the median */
        for (int j = i; j && seconds[j] < seconds[j - 1]; j--) {
            double swap = seconds[j];
            seconds[j] = seconds[j - 1];
            seconds[j - 1] = swap;
        }
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(primitive_desc);
    forget(&a), forget(&b), forget(&c);
    return operations / seconds[REPEATS / 2] * 1e-9;
}

static void measure(const char *name, dnnl_data_type_t type)
{
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    double logs = 0;
    check(dnnl_engine_create(&engine, dnnl_cpu, 0));
    check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
    for (int i = 0; i < SHAPES; i++)
        for (int kind = 0; kind < KINDS; kind++) {
            int rows = shapes[i][0], in = shapes[i][1], out = shapes[i][2];
            double rate = kind == 0   ? gflops(engine, stream, rows, out, in, 0, 1, type)
                          : kind == 1 ? gflops(engine, stream, rows, in, out, 0, 0, type)
                                      : gflops(engine, stream, out, in, rows, 1, 0, type);
            printf("%s %dx%dx%d %s %.1f\n", name, rows, in, out, kinds[kind], rate);
            logs += log(rate);
        }
    printf("%s geometric mean of %d: %.1f GFLOP/s\n", name, SHAPES * KINDS,
           exp(logs / (SHAPES * KINDS)));
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : "";
    if (strcmp(only, "bf16") != 0)
        measure("f32", dnnl_f32);
    if (strcmp(only, "f32") != 0)
        measure("bf16", dnnl_bf16);
    return 0;
}
