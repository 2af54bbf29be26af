/* Training of the language model: softmax regression on snippets, one label after the other. */
#include "text/language.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/random.h"
#include "base/thread.h"
#include "text/language_internal.h"

enum {
    SNIPPET_LETTERS_MIN = 20,
    SNIPPET_LETTERS_MAX = 200,
    SNIPPET_BYTES_MAX = 2048, /* with what is no letter */
    SNIPPET_FEATURES_MAX = 8192,
    SNIPPETS_PER_REPORT = 1024
};
static const float RATE = 2.f;          /* falls to 0 over the training */
static const float WEIGHT_LIMIT = 40.f; /* so that a step of one byte stays small */
static const size_t TEXTS_BYTES_MAX = (size_t)64 << 30;

struct language_training language_training_default(void)
{
    return (struct language_training){.buckets = 61440, .snippets = 300000, .seed = 1};
}

/* ---- texts by label ---- */

struct label {
    const char *name;
    const struct language_text **texts;
    size_t count;
};

struct trainer {
    const struct language_training *training;
    const struct language_text **sorted;
    struct label label[LANGUAGES_MAX];
    int count;
    float (*weights)[LANGUAGES_MAX];
    uint32_t folds[LANGUAGE_FOLDS];
};

static int by_label_and_text(const void *a, const void *b)
{
    const struct language_text *left = *(const struct language_text *const *)a;
    const struct language_text *right = *(const struct language_text *const *)b;
    int order = strcmp(left->label, right->label);
    if (order)
        return order;
    size_t least = left->text.len < right->text.len ? left->text.len : right->text.len;
    order = least ? memcmp(left->text.data, right->text.data, least) : 0;
    return order ? order : (left->text.len > right->text.len) - (left->text.len < right->text.len);
}

static status sort_texts(struct trainer *trainer, struct arena *arena, struct error *error)
{
    const struct language_training *training = trainer->training;
    uint64_t total = 0;
    TRY_ALLOC(trainer->sorted, arena, training->count + 1, error);
    for (size_t i = 0; i < training->count; i++) {
        trainer->sorted[i] = &training->texts[i];
        total += training->texts[i].text.len;
    }
    if (total > TEXTS_BYTES_MAX)
        return fail(error, ERR_LIMIT, "the texts have %llu bytes, allowed are %zu",
                    (unsigned long long)total, TEXTS_BYTES_MAX);
    qsort(trainer->sorted, training->count, sizeof *trainer->sorted, by_label_and_text);
    for (size_t i = 0; i < training->count; i++) {
        const struct language_text *text = trainer->sorted[i];
        struct label *label = trainer->count ? &trainer->label[trainer->count - 1] : NULL;
        if (!label || strcmp(label->name, text->label) != 0) {
            if (trainer->count == LANGUAGES_MAX)
                return fail(error, ERR_USAGE, "more than %d languages were named", LANGUAGES_MAX);
            label = &trainer->label[trainer->count++];
            *label = (struct label){.name = text->label, .texts = &trainer->sorted[i]};
        }
        if (text->text.len < SNIPPET_BYTES_MAX)
            return fail(error, ERR_USAGE, "a text of %s has %zu bytes, needed are %d", text->label,
                        text->text.len, SNIPPET_BYTES_MAX);
        label->count++;
    }
    return OK;
}

static status check_labels(const struct trainer *trainer, struct error *error)
{
    if (trainer->count < 2)
        return fail(error, ERR_USAGE, "%d languages were named, needed are 2 to %d", trainer->count,
                    LANGUAGES_MAX);
    for (int l = 0; l < trainer->count; l++) {
        const char *name = trainer->label[l].name;
        if (!*name || name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")])
            return fail(error, ERR_USAGE,
                        "'%s' is no name of a language; allowed are 1 to %d of a-z, 0-9 and -",
                        name, LANGUAGE_LABEL_BYTES - 1);
    }
    return OK;
}

/* ---- snippets ---- */

/* Running text from the beginning of the next word on, for as many letters. */
static struct view snippet_at(struct view text, size_t begin, size_t letters)
{
    while (begin > 0 && begin < text.len && text.data[begin] != ' ' && text.data[begin] != '\n')
        begin++;
    size_t end = begin;
    for (size_t seen = 0; end < text.len && end - begin < SNIPPET_BYTES_MAX && seen < letters;) {
        uint32_t c;
        end += utf8_decode(&c, text.data + end, text.len - end);
        seen += c != UTF8_BAD && unicode_kind(c) == UNICODE_LETTER;
    }
    return (struct view){text.data + begin, end - begin};
}

static struct view draw_snippet(const struct trainer *trainer, int language, uint64_t number)
{
    enum { SPAN = SNIPPET_LETTERS_MAX - SNIPPET_LETTERS_MIN + 1 };
    const struct label *label = &trainer->label[language];
    struct random_key key = {trainer->training->seed, RANDOM_LANGUAGE, (uint64_t)language};
    struct view text = label->texts[random_below(key, 3 * number, label->count)]->text;
    size_t begin = (size_t)random_below(key, 3 * number + 1, text.len);
    size_t letters = SNIPPET_LETTERS_MIN + (size_t)random_below(key, 3 * number + 2, SPAN);
    return snippet_at(text, begin, letters);
}

struct snippet_features {
    uint32_t bucket[LANGUAGE_SCRIPTS][SNIPPET_FEATURES_MAX];
    size_t count[LANGUAGE_SCRIPTS];
};

static void keep_features(void *context, int script, const uint32_t *bucket, size_t count)
{
    struct snippet_features *features = context;
    size_t room = SNIPPET_FEATURES_MAX - features->count[script];
    count = count < room ? count : room;
    memcpy(features->bucket[script] + features->count[script], bucket, count * sizeof *bucket);
    features->count[script] += count;
}

/* ---- descent ---- */

/* A step of normalised least mean squares: the rate is for the snippet's score, whatever the number
 * of its features, so each feature moves by it. */
static void learn(struct trainer *trainer, const uint32_t *bucket, size_t count, int language,
                  float rate)
{
    float sum[LANGUAGES_MAX] = {0}, move[LANGUAGES_MAX] = {0};
    double shares[LANGUAGES_MAX];
    for (size_t i = 0; i < count; i++)
        for (int l = 0; l < LANGUAGES_MAX; l++)
            sum[l] += trainer->weights[bucket[i]][l];
    for (int l = 0; l < trainer->count; l++)
        shares[l] = (double)sum[l] / (double)count;
    language_softmax(shares, trainer->count);
    for (int l = 0; l < trainer->count; l++)
        move[l] = rate * (float)((l == language) - shares[l]);
    for (size_t i = 0; i < count; i++)
        for (int l = 0; l < LANGUAGES_MAX; l++)
            trainer->weights[bucket[i]][l] += move[l];
}

struct report {
    language_progress *progress;
    void *context;
};

static status learn_all(struct trainer *trainer, struct snippet_features *features,
                        const struct report *report, struct error *error)
{
    double total = (double)trainer->training->snippets;
    for (int64_t n = 0; n < trainer->training->snippets; n++) {
        float rate = RATE * (float)(1 - (double)n / total);
        for (int language = 0; language < trainer->count; language++) {
            struct language_words words = {.folds = trainer->folds,
                                           .buckets = (uint32_t)trainer->training->buckets};
            features->count[0] = features->count[1] = 0;
            language_walk(&words, draw_snippet(trainer, language, (uint64_t)n), keep_features,
                          features);
            int script = language_script(words.letters);
            if (script >= 0 && features->count[script])
                learn(trainer, features->bucket[script], features->count[script], language, rate);
        }
        if (n % SNIPPETS_PER_REPORT)
            continue;
        if (interrupt_requested())
            return fail(error, ERR_INTERRUPTED, "stopped while learning languages");
        if (report->progress)
            report->progress(report->context, (double)n, total);
    }
    return OK;
}

/* ---- the file ---- */

/* What is added to all languages of a bucket alike changes no share. */
static void centre(struct trainer *trainer)
{
    for (int64_t b = 0; b < trainer->training->buckets; b++) {
        float mean = 0;
        for (int l = 0; l < trainer->count; l++)
            mean += trainer->weights[b][l];
        mean /= (float)trainer->count;
        for (int l = 0; l < trainer->count; l++)
            trainer->weights[b][l] -= mean;
    }
}

static int8_t to_byte(float weight, double scale)
{
    if (weight > WEIGHT_LIMIT)
        weight = WEIGHT_LIMIT;
    if (weight < -WEIGHT_LIMIT)
        weight = -WEIGHT_LIMIT;
    double steps = (double)weight / scale;
    return (int8_t)(steps + (steps < 0 ? -0.5 : 0.5));
}

static status write_model(struct buffer *out, const struct trainer *trainer, struct error *error)
{
    char header[LANGUAGE_HEADER_BYTES] = LANGUAGE_MAGIC;
    const uint32_t version = 1, count = (uint32_t)trainer->count;
    const uint32_t buckets = (uint32_t)trainer->training->buckets;
    const double scale = (double)WEIGHT_LIMIT / 127;
    const uint64_t bytes = LANGUAGE_HEADER_BYTES + (uint64_t)count * LANGUAGE_LABEL_BYTES +
                           (uint64_t)buckets * count + SHA256_BYTES;
    memcpy(header + 16, &version, 4);
    memcpy(header + 20, &count, 4);
    memcpy(header + 24, &buckets, 4);
    memcpy(header + 32, &scale, 8);
    memcpy(header + 40, &bytes, 8);
    size_t start = out->len;
    TRY(buffer_append(out, header, sizeof header, error));
    for (uint32_t l = 0; l < count; l++) {
        char label[LANGUAGE_LABEL_BYTES] = "";
        memcpy(label, trainer->label[l].name, strlen(trainer->label[l].name));
        TRY(buffer_append(out, label, sizeof label, error));
    }
    for (uint32_t b = 0; b < buckets; b++) {
        int8_t row[LANGUAGES_MAX];
        for (uint32_t l = 0; l < count; l++)
            row[l] = to_byte(trainer->weights[b][l], scale);
        TRY(buffer_append(out, row, count, error));
    }
    struct sha256 hash = sha256_of(out->data + start, out->len - start);
    return buffer_append(out, hash.byte, sizeof hash.byte, error);
}

static status train_in(struct buffer *out, const struct language_training *training,
                       const struct report *report, struct arena *arena, struct error *error)
{
    struct trainer *trainer;
    struct snippet_features *features;
    TRY_ALLOC(trainer, arena, 1, error);
    TRY_ALLOC(features, arena, 1, error);
    trainer->training = training;
    TRY(sort_texts(trainer, arena, error));
    TRY(check_labels(trainer, error));
    TRY_ALLOC(trainer->weights, arena, (size_t)training->buckets, error);
    for (uint32_t c = 0; c < LANGUAGE_FOLDS; c++)
        trainer->folds[c] = language_fold(c);
    TRY(learn_all(trainer, features, report, error));
    centre(trainer);
    return write_model(out, trainer, error);
}

status language_train(struct buffer *out, const struct language_training *training,
                      language_progress *progress, void *context, struct error *error)
{
    ASSERT(out && training && training->buckets >= LANGUAGE_BUCKETS_MIN &&
           training->buckets <= LANGUAGE_BUCKETS_MAX && training->snippets > 0 && error);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    const struct report report = {progress, context};
    status result = train_in(out, training, &report, arena, error);
    arena_destroy(arena);
    return result;
}
