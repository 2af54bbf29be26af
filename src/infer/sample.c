#include "infer/infer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "tensor/math.h"

struct sampler {
    size_t vocabulary;
    uint32_t *order;    /* candidates */
    float *probability; /* by candidate */
    uint8_t *penalised; /* by token */
};

struct sampling sampling_default(void)
{
    return (struct sampling){.temperature = 0.8,
                             .top_k = 0,
                             .top_p = 0.95,
                             .min_p = 0.02,
                             .repetition_penalty = 1.1,
                             .repetition_window = 64,
                             .seed = 1,
                             .max_tokens = 200};
}

static status check(const char *field, double value, double minimum, double maximum,
                    struct error *error)
{
    if (!(value >= minimum && value <= maximum))
        return fail(error, ERR_USAGE, "%s is %g, allowed are %g to %g", field, value, minimum,
                    maximum);
    return OK;
}

status sampling_check(const struct sampling *sampling, struct error *error)
{
    ASSERT(sampling && error);
    TRY(check("temperature", sampling->temperature, 0, 10, error));
    TRY(check("top_k", (double)sampling->top_k, 0, TOKENIZER_VOCABULARY_MAX, error));
    TRY(check("top_p", sampling->top_p, 0, 1, error));
    TRY(check("min_p", sampling->min_p, 0, 1, error));
    TRY(check("repetition_penalty", sampling->repetition_penalty, 0.1, 10, error));
    TRY(check("repetition_window", (double)sampling->repetition_window, 0, SAMPLING_TOKENS_MAX,
              error));
    TRY(check("max_tokens", (double)sampling->max_tokens, 1, SAMPLING_TOKENS_MAX, error));
    if (sampling->stop_count > SAMPLING_STOPS_MAX)
        return fail(error, ERR_USAGE, "stop holds %zu texts, allowed are %d", sampling->stop_count,
                    SAMPLING_STOPS_MAX);
    for (size_t i = 0; i < sampling->stop_count; i++)
        if (!*sampling->stop[i] || strlen(sampling->stop[i]) > SAMPLING_STOP_BYTES_MAX)
            return fail(error, ERR_USAGE, "stop text %zu has %zu bytes, allowed are 1 to %d", i + 1,
                        strlen(sampling->stop[i]), SAMPLING_STOP_BYTES_MAX);
    return OK;
}

status sampler_create(struct sampler **out, size_t vocabulary, struct arena *arena,
                      struct error *error)
{
    ASSERT(out && vocabulary && arena && error);
    struct sampler *sampler;
    TRY_ALLOC(sampler, arena, 1, error);
    sampler->vocabulary = vocabulary;
    TRY_ALLOC(sampler->order, arena, vocabulary, error);
    TRY_ALLOC(sampler->probability, arena, vocabulary, error);
    TRY_ALLOC(sampler->penalised, arena, vocabulary, error);
    *out = sampler;
    return OK;
}

/* Keskar et al. 2019: positive logits are divided, negative ones multiplied, once for each token
 * that occurred. */
static void penalise(struct sampler *sampler, float *logits, const uint32_t *history, size_t count,
                     const struct sampling *sampling)
{
    size_t window = (size_t)sampling->repetition_window;
    size_t first = count > window ? count - window : 0;
    float penalty = (float)sampling->repetition_penalty;
    if (sampling->repetition_penalty == 1)
        return;
    memset(sampler->penalised, 0, sampler->vocabulary);
    for (size_t i = first; i < count; i++) {
        uint32_t token = history[i];
        if (token >= sampler->vocabulary || sampler->penalised[token]++)
            continue;
        logits[token] = logits[token] > 0 ? logits[token] / penalty : logits[token] * penalty;
    }
}

static uint32_t likeliest(const float *logits, size_t vocabulary)
{
    size_t best = 0;
    for (size_t i = 1; i < vocabulary; i++)
        if (logits[i] > logits[best])
            best = i;
    return (uint32_t)best;
}

static int by_probability(const void *a, const void *b, void *context)
{
    const float *p = context;
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    if (p[left] != p[right])
        return p[left] > p[right] ? -1 : 1;
    return left < right ? -1 : 1;
}

/* Candidates in falling order of weight; weights far below the best can't be drawn and are left out
 * before sorting. */
static size_t sort_candidates(struct sampler *sampler, const float *logits, float maximum,
                              float inverse_temperature)
{
    static const float LEAST = -20; /* e^-20: all of a vocabulary of a million is 0.2 % */
    size_t count = 0;
    for (size_t i = 0; i < sampler->vocabulary; i++) {
        float z = (logits[i] - maximum) * inverse_temperature;
        if (!(z >= LEAST))
            continue;
        sampler->probability[i] = math_exp(z);
        sampler->order[count++] = (uint32_t)i;
    }
    qsort_r(sampler->order, count, sizeof *sampler->order, by_probability, sampler->probability);
    return count;
}

static size_t cut(const struct sampler *sampler, size_t count, const struct sampling *sampling)
{
    double total = 0, sum = 0;
    if (sampling->top_k > 0 && (size_t)sampling->top_k < count)
        count = (size_t)sampling->top_k;
    for (size_t i = 0; i < count; i++)
        total = total + (double)sampler->probability[sampler->order[i]];
    size_t kept = 0;
    while (kept < count && (kept == 0 || sum < sampling->top_p * total))
        sum = sum + (double)sampler->probability[sampler->order[kept++]];
    double least = sampling->min_p * (double)sampler->probability[sampler->order[0]];
    while (kept > 1 && (double)sampler->probability[sampler->order[kept - 1]] < least)
        kept--;
    return kept;
}

uint32_t sampler_pick(struct sampler *sampler, float *logits, const uint32_t *history,
                      size_t history_count, const struct sampling *sampling, uint64_t draw)
{
    ASSERT(sampler && logits && sampling);
    penalise(sampler, logits, history, history_count, sampling);
    uint32_t best = likeliest(logits, sampler->vocabulary);
    if (sampling->temperature == 0)
        return best;
    size_t count =
        sort_candidates(sampler, logits, logits[best], 1.0f / (float)sampling->temperature);
    if (count == 0) /* nothing but NaN */
        return best;
    count = cut(sampler, count, sampling);
    double total = 0, sum = 0;
    for (size_t i = 0; i < count; i++)
        total = total + (double)sampler->probability[sampler->order[i]];
    struct random_key key = {sampling->seed, RANDOM_SAMPLE, 0};
    double mark = (double)random_unit(key, draw) * total;
    for (size_t i = 0; i < count; i++) {
        sum = sum + (double)sampler->probability[sampler->order[i]];
        if (mark < sum)
            return sampler->order[i];
    }
    return sampler->order[count - 1];
}
