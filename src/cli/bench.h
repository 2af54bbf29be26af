/* What the benchmarks print: a row as JSON or for people. */
#ifndef RODNIK_CLI_BENCH_H
#define RODNIK_CLI_BENCH_H

#include "tensor/ops.h"

struct bench_row {
    const char *bench, *name, *unit;
    double value, limit; /* limit 0: there is none */
};
void bench_print(const struct bench_row *row, bool json);
int bench_compare_doubles(const void *a, const void *b); /* for qsort */

MUST_USE status bench_kernels(bool json, int threads, struct error *error);

#endif
