/* How well a model predicts texts: bits per byte of documents it has not seen.
 * Windows as of lm-evaluation-harness's loglikelihood_rolling: disjoint, the first after
 * <|endoftext|>, each later one after the last token of the one before.  The same bits for any
 * number of threads and any batch.
 * Not for generating (infer/) or for tables on paper (report.h). */
#ifndef RODNIK_EVAL_EVAL_H
#define RODNIK_EVAL_EVAL_H

#include "corpus/corpus.h"
#include "infer/infer.h"

struct text_score {
    double bits;
    uint64_t bytes, tokens;
    size_t documents;
};
/* bits / bytes, or 0 of nothing */
double score_bits_per_byte(const struct text_score *score);

enum { EVAL_LANGUAGES_MAX = 32 };
struct eval_scores {
    struct text_score all;
    struct text_score language[EVAL_LANGUAGES_MAX]; /* in the order in which they came */
    const char *label[EVAL_LANGUAGES_MAX];          /* the corpus's; further languages count in
                                                       `all` alone */
    size_t languages;
};

typedef void eval_progress(void *context, double done_bytes, double total_bytes);

struct eval_job {
    const struct engine *engine;
    const struct corpus *corpus;
    size_t length;           /* tokens of a window; 0: the model's context */
    bool everything;         /* all documents, not only the held-out ones */
    eval_progress *progress; /* may be NULL */
    void *context;
};
/* ERR_CONFLICT when there are no held-out documents. */
MUST_USE status eval_corpus(struct eval_scores *out, const struct eval_job *job,
                            struct error *error);

#endif
