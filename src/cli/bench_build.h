#ifndef RODNIK_CLI_BENCH_BUILD_H
#define RODNIK_CLI_BENCH_BUILD_H

#include "base/string.h"
#include "base/thread.h"
#include "cli/bench.h"

struct bench_build {
    struct thread_pool *pool;
    const char *folder; /* for temporary files: ten times the text */
    bool json;
};
/* Builds corpora of the text as files of 16 KiB, and as pages of that length in a WARC file, and
 * prints a row for each. */
MUST_USE status bench_build(const struct bench_build *bench, const char *name, struct view text,
                            struct error *error);

#endif
