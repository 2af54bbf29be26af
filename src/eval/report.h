/* A run on one self-contained page: curves, samples, corpus, recipe, hashes.  Reads
 * the run folder's files; what isn't there is left
 * out.  Not for measuring (eval.h): samples and scores are given. */
#ifndef RODNIK_EVAL_REPORT_H
#define RODNIK_EVAL_REPORT_H

#include "eval/eval.h"

struct report_sample {
    const char *prompt, *text;
};

struct report {
    const char *run;    /* folder */
    const char *corpus; /* folder of the corpus, or NULL */
    const struct engine_info *info;
    const struct report_sample *samples;
    size_t sample_count;
};

/* Writes the page atomically. */
MUST_USE status report_write(const char *path, const struct report *report, struct error *error);

#endif
