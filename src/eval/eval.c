#include "eval/eval.h"

#include <string.h>

static const double LN_2 = 0.6931471805599453;
enum { BATCH_TOKENS = 2048, DOCUMENT_TOKENS_MAX = 1 << 30 };

double score_bits_per_byte(const struct text_score *score)
{
    return score->bytes ? score->bits / (double)score->bytes : 0;
}

struct scoring {
    const struct eval_job *job;
    struct training *training;
    struct tokenizer_encoder *encoder;
    struct tokens tokens;
    size_t sequences, length, used; /* rows of the batch that hold a window */
    uint32_t *inputs, *targets;     /* [sequences, length] */
    size_t *language;               /* [sequences] of the window's document */
    float *loss;
    struct eval_scores scores;
};

static status scoring_create(struct scoring *out, const struct eval_job *job, struct arena *arena,
                             struct error *error)
{
    const struct model *model = engine_model(job->engine);
    size_t context = (size_t)model->config.context;
    struct scoring scoring = {.job = job, .length = job->length ? job->length : context};
    if (scoring.length > context)
        return fail(error, ERR_USAGE, "a window is %zu tokens, this model has at most %zu",
                    scoring.length, context);
    scoring.sequences = BATCH_TOKENS / scoring.length;
    scoring.sequences = scoring.sequences ? scoring.sequences : 1;
    size_t count = scoring.sequences * scoring.length;
    const struct training_shape shape = {scoring.sequences, scoring.length, true, 1};
    TRY(training_create(&scoring.training, model, &shape, arena, error));
    TRY_ALLOC(scoring.inputs, arena, count, error);
    TRY_ALLOC(scoring.targets, arena, count, error);
    TRY_ALLOC(scoring.loss, arena, count, error);
    TRY_ALLOC(scoring.language, arena, scoring.sequences, error);
    TRY(tokenizer_encoder_create(&scoring.encoder, engine_tokenizer(job->engine), arena, error));
    tokens_create(&scoring.tokens, DOCUMENT_TOKENS_MAX);
    *out = scoring;
    return OK;
}

/* Scores the batch; windows are added in the order in which they came. */
static void score_batch(struct scoring *scoring)
{
    size_t length = scoring->length;
    for (size_t i = scoring->used * length; i < scoring->sequences * length; i++) {
        scoring->inputs[i] = 0;
        scoring->targets[i] = TARGET_NONE;
    }
    struct batch batch = {.sequences = scoring->sequences,
                          .length = length,
                          .tokens = scoring->inputs,
                          .targets = scoring->targets};
    model_loss(scoring->training, &batch, scoring->loss);
    for (size_t row = 0; row < scoring->used; row++) {
        double bits = 0;
        for (size_t i = 0; i < length; i++)
            bits += (double)scoring->loss[row * length + i] / LN_2;
        scoring->scores.all.bits += bits;
        if (scoring->language[row] < EVAL_LANGUAGES_MAX)
            scoring->scores.language[scoring->language[row]].bits += bits;
    }
    scoring->used = 0;
}

/* The window of the document's tokens that begins at `first`. */
static void add_window(struct scoring *scoring, size_t first, size_t language)
{
    size_t left = scoring->tokens.count - 1 - first, row = scoring->used++;
    uint32_t *inputs = scoring->inputs + row * scoring->length;
    uint32_t *targets = scoring->targets + row * scoring->length;
    for (size_t i = 0; i < scoring->length; i++) {
        inputs[i] = i < left ? scoring->tokens.ids[first + i] : 0;
        targets[i] = i < left ? scoring->tokens.ids[first + i + 1] : TARGET_NONE;
    }
    scoring->language[row] = language;
    if (scoring->used == scoring->sequences)
        score_batch(scoring);
}

/* The place of a language's score; EVAL_LANGUAGES_MAX: there are too many. */
static size_t language_of(struct eval_scores *scores, const char *label)
{
    for (size_t i = 0; i < scores->languages; i++)
        if (strcmp(scores->label[i], label) == 0)
            return i;
    if (scores->languages == EVAL_LANGUAGES_MAX)
        return EVAL_LANGUAGES_MAX;
    scores->label[scores->languages] = label;
    return scores->languages++;
}

static void count_document(struct text_score *score, const struct document *document,
                           uint64_t tokens)
{
    score->bytes += document->text.len;
    score->tokens += tokens;
    score->documents++;
}

static status add_document(struct scoring *scoring, const struct document *document,
                           struct error *error)
{
    uint32_t start = tokenizer_special(engine_tokenizer(scoring->job->engine), TOKEN_DOCUMENT);
    if (start == TOKEN_NONE)
        return fail(error, ERR_CONFLICT, "the tokenizer has no token that starts a document");
    size_t language = language_of(&scoring->scores, document->language);
    tokens_clear(&scoring->tokens);
    TRY(tokens_append(&scoring->tokens, &start, 1, error));
    TRY(tokenizer_encode(&scoring->tokens, scoring->encoder, document->text, false, error));
    for (size_t first = 0; first + 1 < scoring->tokens.count; first += scoring->length) {
        if (interrupt_requested())
            return fail(error, ERR_INTERRUPTED, "stopped");
        add_window(scoring, first, language);
    }
    count_document(&scoring->scores.all, document, scoring->tokens.count - 1);
    if (language < EVAL_LANGUAGES_MAX)
        count_document(&scoring->scores.language[language], document, scoring->tokens.count - 1);
    return OK;
}

static bool is_wanted(const struct eval_job *job, const struct document *document)
{
    return job->everything || document->held_out;
}

static status score_all(struct eval_scores *out, struct scoring *scoring, struct error *error)
{
    const struct eval_job *job = scoring->job;
    double total = 0;
    for (size_t i = 0; i < corpus_count(job->corpus); i++)
        if (is_wanted(job, corpus_document(job->corpus, i)))
            total += (double)corpus_document(job->corpus, i)->text.len;
    for (size_t i = 0; i < corpus_count(job->corpus); i++) {
        const struct document *document = corpus_document(job->corpus, i);
        if (!is_wanted(job, document))
            continue;
        TRY(add_document(scoring, document, error));
        if (job->progress)
            job->progress(job->context, (double)scoring->scores.all.bytes, total);
    }
    if (scoring->used)
        score_batch(scoring);
    if (scoring->scores.all.documents == 0)
        return fail(error, ERR_CONFLICT,
                    "the corpus holds no document out: build it from more texts, or with a "
                    "larger --held-out, or name another one with --corpus");
    *out = scoring->scores;
    return OK;
}

status eval_corpus(struct eval_scores *out, const struct eval_job *job, struct error *error)
{
    ASSERT(out && job && job->engine && job->corpus && error);
    struct arena *arena = NULL;
    struct scoring scoring = {0};
    TRY(arena_create(&arena, 0, error));
    status result = scoring_create(&scoring, job, arena, error);
    if (result == OK)
        result = score_all(out, &scoring, error);
    if (scoring.encoder) {
        tokenizer_encoder_destroy(scoring.encoder);
        tokens_destroy(&scoring.tokens);
    }
    arena_destroy(arena);
    return result;
}
