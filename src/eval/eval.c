#include "eval/eval.h"

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
    size_t sequences, length;
    uint32_t *inputs, *targets; /* [sequences, length] */
    float *loss;
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
    TRY(training_create(&scoring.training, model, scoring.sequences, scoring.length, arena, error));
    TRY_ALLOC(scoring.inputs, arena, count, error);
    TRY_ALLOC(scoring.targets, arena, count, error);
    TRY_ALLOC(scoring.loss, arena, count, error);
    TRY(tokenizer_encoder_create(&scoring.encoder, engine_tokenizer(job->engine), arena, error));
    tokens_create(&scoring.tokens, DOCUMENT_TOKENS_MAX);
    *out = scoring;
    return OK;
}

/* Windows from `first` on, as many as fit; the rest of the batch learns nothing. */
static void fill(const struct scoring *scoring, size_t first)
{
    size_t left = scoring->tokens.count - 1 - first;
    for (size_t i = 0; i < scoring->sequences * scoring->length; i++) {
        scoring->inputs[i] = i < left ? scoring->tokens.ids[first + i] : 0;
        scoring->targets[i] = i < left ? scoring->tokens.ids[first + i + 1] : TARGET_NONE;
    }
}

static status score_document(struct text_score *out, struct scoring *scoring,
                             const struct document *document, struct error *error)
{
    uint32_t start = tokenizer_special(engine_tokenizer(scoring->job->engine), TOKEN_DOCUMENT);
    if (start == TOKEN_NONE)
        return fail(error, ERR_CONFLICT, "the tokenizer has no token that starts a document");
    tokens_clear(&scoring->tokens);
    TRY(tokens_append(&scoring->tokens, &start, 1, error));
    TRY(tokenizer_encode(&scoring->tokens, scoring->encoder, document->text, false, error));
    struct text_score score = {
        .bytes = document->text.len, .tokens = scoring->tokens.count - 1, .documents = 1};
    size_t batch_tokens = scoring->sequences * scoring->length;
    for (size_t first = 0; first + 1 < scoring->tokens.count; first += batch_tokens) {
        if (interrupt_requested())
            return fail(error, ERR_INTERRUPTED, "stopped");
        fill(scoring, first);
        struct batch batch = {scoring->sequences, scoring->length, scoring->inputs,
                              scoring->targets, NULL};
        model_loss(scoring->training, &batch, scoring->loss);
        for (size_t i = 0; i < batch_tokens; i++)
            score.bits += (double)scoring->loss[i] / LN_2;
    }
    *out = score;
    return OK;
}

static void add(struct text_score *sum, const struct text_score *score)
{
    sum->bits += score->bits;
    sum->bytes += score->bytes;
    sum->tokens += score->tokens;
    sum->documents += score->documents;
}

static bool is_wanted(const struct eval_job *job, const struct document *document)
{
    return job->everything || document->held_out;
}

static status score_all(struct eval_scores *out, struct scoring *scoring, struct error *error)
{
    const struct eval_job *job = scoring->job;
    struct eval_scores scores = {0};
    double total = 0;
    for (size_t i = 0; i < corpus_count(job->corpus); i++)
        if (is_wanted(job, corpus_document(job->corpus, i)))
            total += (double)corpus_document(job->corpus, i)->text.len;
    for (size_t i = 0; i < corpus_count(job->corpus); i++) {
        const struct document *document = corpus_document(job->corpus, i);
        struct text_score score = {0};
        if (!is_wanted(job, document))
            continue;
        TRY(score_document(&score, scoring, document, error));
        add(&scores.all, &score);
        add(&scores.language[document->language], &score);
        if (job->progress)
            job->progress(job->context, (double)scores.all.bytes, total);
    }
    if (scores.all.documents == 0)
        return fail(error, ERR_CONFLICT, "the corpus holds no held-out document");
    *out = scores;
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
