/* What the benchmarks print: a row as JSON or for people. */
#ifndef RODNIK_CLI_BENCH_H
#define RODNIK_CLI_BENCH_H

#include "tensor/ops.h"

struct bench_row {
    const char *bench, *name, *unit;
    double value, limit, fraction; /* medians; the fraction is one of ratios */
    const char *more;              /* further JSON fields or words; NULL: none */
};
void bench_print(const struct bench_row *row, bool json);
double bench_median(double *values, size_t count); /* sorts them */

struct bench_kernels {
    int threads;
    bool json;
    const char *only; /* cases whose names hold this; NULL: all */
};
MUST_USE status bench_kernels(const struct bench_kernels *bench, struct error *error);
/* A step of AdamW beside the memory's speed. */
MUST_USE status bench_optimizer(bool json, int threads, struct error *error);

struct bench_corpus {
    int threads;
    bool json;
    const char *text;  /* a file instead of made-up texts; NULL: none */
    int64_t megabytes; /* of a made-up corpus that goes through all stages; 0: none */
};
/* Signatures for duplicates on one core beside their inner loop alone, the whole way of building
 * beside SHA-256, sorting on disk beside sorting in memory; or duplicates, repeated lines and
 * overlaps over a corpus, and memory. */
MUST_USE status bench_corpus(const struct bench_corpus *bench, struct error *error);

struct bench_tokenizer {
    int threads;
    bool json;
    const char *text; /* a file instead of made-up text; NULL: none */
};
/* Training in seconds of CPU time, encoding on a core and on all threads beside cutting the same
 * text into pre-tokens, and words of ten megabytes beside words of one. */
MUST_USE status bench_tokenizer(const struct bench_tokenizer *bench, struct error *error);

struct bench_train;
/* Training and decoding beside busy processes of normal priority.  Uses json, threads and comm; of
 * more than one process ERR_USAGE. */
MUST_USE status bench_fair(const struct bench_train *bench, struct error *error);

#endif
