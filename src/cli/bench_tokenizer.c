/* Training a tokenizer and encoding with it: speed of one core in seconds of its CPU time, of all
 * threads, and of the texts that are worst for byte-pair encoding. */
#include "cli/bench.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/random.h"
#include "text/utf8.h"
#include "tokenizer/tokenizer.h"

enum {
    RUNS = 5,
    TRAINING_RUNS = 3,
    VOCABULARY = 16384,
    RUSSIAN_BYTES = 50 * 1000 * 1000, /* of made-up text to train on */
    ENGLISH_BYTES = 25 * 1000 * 1000,
    TEXT_BYTES = 75 * 1000 * 1000, /* at most, of a file */
    ENCODED_BYTES = 16 << 20,      /* at most, of each kind of text */
    BLOCK_BYTES = 1 << 20,         /* a file's blocks are Russian, English or passed over */
    SLICE_BYTES = 256 << 10,       /* what a thread encodes at once */
    STEMS = 40000,
    ENDINGS = 60,
    WORST_BYTES = 10 * 1000 * 1000
};

struct tokenizer_bench {
    const struct bench_tokenizer *settings;
    struct thread_pool *pool;
    struct tokenizer *tokenizer;
    struct tokenizer_encoder **encoders; /* one a thread */
    struct tokens *tokens;               /* likewise */
    struct error *errors;                /* likewise */
    struct view text;                    /* what the threads encode */
    struct arena *arena;
};

/* Of all threads: what a core would take that does nothing else. */
static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void print_row(const struct tokenizer_bench *bench, struct bench_row row)
{
    row.bench = "tokenizer";
    bench_print(&row, bench->settings->json);
}

/* ---- texts ---- */

/* Small numbers are common: the k-th is drawn as often as 1/k, as words are. */
static uint64_t common_below(struct random_key key, uint64_t index, uint64_t end)
{
    double share = (double)(random_u64(key, index) >> 11) * 0x1p-53;
    uint64_t drawn = (uint64_t)exp(share * log((double)end + 1)) - 1;
    return drawn < end ? drawn : end - 1;
}

/* A part of a word, always the same for its number. */
static size_t append_part(char *out, bool russian, uint64_t kind, uint64_t number)
{
    struct random_key key = {kind, RANDOM_TEST, number};
    size_t len = 0;
    uint64_t syllables = kind == 1 ? 1 + random_below(key, 0, 3) : random_below(key, 0, 2);
    for (uint64_t i = 0; i < syllables; i++) {
        static const char *const english[] = {"b", "c", "d", "f", "g", "h", "l",  "m",
                                              "n", "p", "r", "s", "t", "w", "th", "st"};
        static const char *const vowels[] = {"a", "e", "i", "o", "u"};
        static const char *const russian_letters[] = {"б", "в", "г", "д", "к", "л", "м",  "н",
                                                      "п", "р", "с", "т", "ж", "ш", "ст", "пр"};
        static const char *const russian_vowels[] = {"а", "е", "и", "о", "я"};
        uint64_t first = common_below(key, 2 * i + 1, 16), second = common_below(key, 2 * i + 2, 5);
        const char *parts[] = {russian ? russian_letters[first] : english[first],
                               russian ? russian_vowels[second] : vowels[second]};
        for (int k = 0; k < 2; k++) {
            memcpy(out + len, parts[k], strlen(parts[k]));
            len += strlen(parts[k]);
        }
    }
    return len;
}

/* Stems and endings by Zipf's law, so that new forms keep coming as they do in prose. */
static status make_text(struct buffer *out, bool russian, size_t bytes, struct error *error)
{
    struct random_key key = {russian ? 11 : 12, RANDOM_TEST, 0};
    size_t end = out->len + bytes;
    for (uint64_t i = 0; out->len < end; i++) {
        char word[128];
        uint64_t stem = common_below(key, 3 * i, STEMS),
                 ending = common_below(key, 3 * i + 1, ENDINGS);
        uint64_t mark = random_below(key, 3 * i + 2, 100);
        size_t len = append_part(word, russian, 1, stem);
        len += append_part(word + len, russian, 2, ending);
        TRY(buffer_append(out, word, len, error));
        TRY(buffer_string(out,
                          mark < 85   ? " "
                          : mark < 92 ? ", "
                          : mark < 97 ? ". "
                          : mark < 98 ? " 19"
                                      : ".\n",
                          error));
    }
    return OK;
}

/* More than half of the bytes that are no ASCII: Russian; fewer than a twentieth: English. */
static int language_of(struct view block)
{
    size_t wide = 0;
    for (size_t i = 0; i < block.len; i++)
        wide += (unsigned char)block.data[i] >= 0x80;
    return 2 * wide > block.len ? 0 : 20 * wide < block.len ? 1 : 2;
}

struct texts {
    struct buffer all, kinds[2]; /* Russian, English */
};

static status split_kinds(struct texts *texts, struct error *error)
{
    struct view all = {texts->all.data, texts->all.len};
    for (size_t at = 0, end; at < all.len; at = end) {
        end = all.len - at > BLOCK_BYTES ? utf8_floor(all, at + BLOCK_BYTES) : all.len;
        int kind = language_of((struct view){all.data + at, end - at});
        if (kind < 2 && texts->kinds[kind].len + BLOCK_BYTES <= ENCODED_BYTES)
            TRY(buffer_append(&texts->kinds[kind], all.data + at, end - at, error));
    }
    return OK;
}

static status get_texts(struct texts *texts, const char *path, struct error *error)
{
    if (!path) {
        TRY(make_text(&texts->all, true, RUSSIAN_BYTES, error));
        TRY(make_text(&texts->all, false, ENGLISH_BYTES, error));
        return split_kinds(texts, error);
    }
    struct file_bytes bytes;
    TRY(file_map(&bytes, path, error));
    struct view all = {(const char *)bytes.data, bytes.len};
    size_t len = all.len > TEXT_BYTES ? utf8_floor(all, TEXT_BYTES) : all.len;
    status result = len ? buffer_append(&texts->all, all.data, len, error)
                        : fail(error, ERR_USAGE, "%s: an empty text can't be measured", path);
    file_unmap(&bytes);
    return result == OK ? split_kinds(texts, error) : result;
}

/* ---- training ---- */

struct one_document {
    struct view text;
    bool given;
};

static status next_document(void *context, struct view *text, struct error *error)
{
    struct one_document *document = context;
    (void)error;
    *text = document->given ? (struct view){0} : document->text;
    document->given = !document->given;
    return OK;
}

/* Seconds to cut the text into pre-tokens and do nothing with them. */
static double cut_seconds(const struct tokenizer *tokenizer, struct view text)
{
    double start = cpu_seconds();
    while (text.len > 0) {
        size_t len = tokenizer_pre_token(tokenizer, text);
        text = (struct view){text.data + len, text.len - len};
    }
    return cpu_seconds() - start;
}

static status bench_training(struct tokenizer_bench *bench, struct view text, struct error *error)
{
    double seconds[TRAINING_RUNS], limits[TRAINING_RUNS], shares[TRAINING_RUNS];
    char name[96], more[96];
    double megabytes = (double)text.len * 1e-6;
    for (int i = 0; i < TRAINING_RUNS; i++) {
        struct one_document document = {text, false};
        double start = cpu_seconds();
        TRY(tokenizer_train(&bench->tokenizer,
                            &(struct tokenizer_training){.vocabulary = VOCABULARY,
                                                         .pool = bench->pool,
                                                         .next = next_document,
                                                         .context = &document},
                            bench->arena, error));
        seconds[i] = cpu_seconds() - start;
        limits[i] = cut_seconds(bench->tokenizer, text);
        shares[i] = limits[i] / seconds[i];
    }
    double value = bench_median(seconds, TRAINING_RUNS);
    snprintf(name, sizeof name, "train %d tokens on %.1f MB%s", (int)VOCABULARY, megabytes,
             bench->settings->text ? "" : " of made-up text");
    snprintf(more, sizeof more,
             bench->settings->json ? ", \"megabytes_per_second\": %.2f, \"vocabulary\": %u"
                                   : ", %.1f MB/s, %u tokens",
             megabytes / value, tokenizer_vocabulary(bench->tokenizer));
    print_row(bench, (struct bench_row){.name = name,
                                        .unit = "CPU s",
                                        .value = value,
                                        .limit = bench_median(limits, TRAINING_RUNS),
                                        .fraction = bench_median(shares, TRAINING_RUNS),
                                        .more = more});
    return OK;
}

/* ---- encoding ---- */

static status encode_once(double *seconds, struct tokenizer_bench *bench, struct view text,
                          struct error *error)
{
    tokens_clear(&bench->tokens[0]);
    double start = cpu_seconds();
    TRY(tokenizer_encode(&bench->tokens[0], bench->encoders[0], text, false, error));
    *seconds = cpu_seconds() - start;
    return OK;
}

static status bench_encoding(double *value, struct tokenizer_bench *bench, const char *name,
                             struct view text, struct error *error)
{
    double rates[RUNS], limits[RUNS], shares[RUNS], megabytes = (double)text.len * 1e-6, seconds;
    char label[64], more[96];
    TRY(encode_once(&seconds, bench, text, error)); /* touches memory and fills the cache */
    for (int i = 0; i < RUNS; i++) {
        TRY(encode_once(&seconds, bench, text, error));
        rates[i] = megabytes / seconds;
        limits[i] = megabytes / cut_seconds(bench->tokenizer, text);
        shares[i] = rates[i] / limits[i];
    }
    *value = bench_median(rates, RUNS);
    snprintf(label, sizeof label, "encode %s, one core", name);
    snprintf(more, sizeof more,
             bench->settings->json ? ", \"characters_per_token\": %.3f"
                                   : ", %.2f characters a token",
             (double)utf8_count(text) / (double)bench->tokens[0].count);
    print_row(bench, (struct bench_row){.name = label,
                                        .unit = "MB/s",
                                        .value = *value,
                                        .limit = bench_median(limits, RUNS),
                                        .fraction = bench_median(shares, RUNS),
                                        .more = more});
    return OK;
}

static void encode_slices(void *context, size_t begin, size_t end, int thread)
{
    struct tokenizer_bench *bench = context;
    for (size_t i = begin; i < end && bench->errors[thread].code == OK; i++) {
        size_t start = utf8_floor(bench->text, i * SLICE_BYTES);
        size_t stop = (i + 1) * SLICE_BYTES < bench->text.len
                          ? utf8_floor(bench->text, (i + 1) * SLICE_BYTES)
                          : bench->text.len;
        tokens_clear(&bench->tokens[thread]);
        (void)!tokenizer_encode(&bench->tokens[thread], bench->encoders[thread],
                                (struct view){bench->text.data + start, stop - start}, false,
                                &bench->errors[thread]);
    }
}

/* All threads by the clock, beside as many times one core. */
static status bench_threads(struct tokenizer_bench *bench, struct view text, double one_core,
                            struct error *error)
{
    int threads = thread_pool_count(bench->pool);
    double rates[RUNS], cpu[RUNS];
    char name[64], more[96];
    bench->text = text;
    for (int i = -1; i < RUNS; i++) { /* the first fills the caches */
        double start = time_monotonic_s(), cpu_start = cpu_seconds();
        parallel_for(bench->pool, (text.len + SLICE_BYTES - 1) / SLICE_BYTES, 1, encode_slices,
                     bench);
        if (i < 0)
            continue;
        rates[i] = (double)text.len * 1e-6 / (time_monotonic_s() - start);
        cpu[i] = (double)text.len * 1e-6 / (cpu_seconds() - cpu_start);
    }
    for (int i = 0; i < threads; i++)
        if (bench->errors[i].code)
            return fail(error, bench->errors[i].code, "%s", bench->errors[i].text);
    double value = bench_median(rates, RUNS), limit = one_core * threads;
    snprintf(name, sizeof name, "encode mixed, %d threads", threads);
    snprintf(more, sizeof more,
             bench->settings->json ? ", \"megabytes_per_cpu_second\": %.2f"
                                   : ", %.1f MB a second of CPU time",
             bench_median(cpu, RUNS));
    print_row(bench, (struct bench_row){.name = name,
                                        .unit = "MB/s",
                                        .value = value,
                                        .limit = limit,
                                        .fraction = value / limit,
                                        .more = more});
    return OK;
}

/* ---- what is worst ---- */

static const struct {
    const char *name, *letters;
    size_t bytes;
} worst[] = {
    {"a million ^", "^", 1000000},
    {"10 MB of one letter", "a", WORST_BYTES},
    {"10 MB of random letters", "abcdefghijklmnopqrstuvwxyz", WORST_BYTES},
    {"10 MB of spaces", " ", WORST_BYTES},
    {"10 MB of digits", "0123456789", WORST_BYTES},
    {"10 MB of dashes", "-", WORST_BYTES},
};

/* Beside the same at a tenth of its length: a fraction near one says that time is linear. */
static status bench_worst(struct tokenizer_bench *bench, size_t which, struct error *error)
{
    double rates[TRAINING_RUNS], limits[TRAINING_RUNS], shares[TRAINING_RUNS], seconds;
    size_t bytes = worst[which].bytes, letters = strlen(worst[which].letters);
    struct random_key key = {13, RANDOM_TEST, which};
    struct arena_mark mark = arena_mark(bench->arena);
    char *text;
    TRY_ALLOC(text, bench->arena, bytes, error);
    for (size_t i = 0; i < bytes; i++)
        text[i] = worst[which].letters[random_below(key, i, letters)];
    for (int i = 0; i < TRAINING_RUNS; i++) {
        double tenth = 0;
        TRY(encode_once(&seconds, bench, (struct view){text, bytes}, error));
        rates[i] = (double)bytes * 1e-6 / seconds;
        for (size_t k = 0; k < 10; k++) {
            struct view part = {text + k * (bytes / 10), bytes / 10};
            TRY(encode_once(&seconds, bench, part, error));
            tenth += seconds;
        }
        limits[i] = (double)bytes * 1e-6 / tenth;
        shares[i] = rates[i] / limits[i];
    }
    print_row(bench, (struct bench_row){.name = worst[which].name,
                                        .unit = "MB/s",
                                        .value = bench_median(rates, TRAINING_RUNS),
                                        .limit = bench_median(limits, TRAINING_RUNS),
                                        .fraction = bench_median(shares, TRAINING_RUNS)});
    arena_rewind(bench->arena, mark);
    return OK;
}

/* ---- the whole ---- */

static status encoders_create(struct tokenizer_bench *bench, struct error *error)
{
    size_t threads = (size_t)thread_pool_count(bench->pool);
    TRY_ALLOC(bench->encoders, bench->arena, threads, error);
    TRY_ALLOC(bench->tokens, bench->arena, threads, error);
    TRY_ALLOC(bench->errors, bench->arena, threads, error);
    for (size_t i = 0; i < threads; i++)
        tokens_create(&bench->tokens[i], TOKENIZER_TEXT_BYTES_MAX);
    for (size_t i = 0; i < threads; i++)
        TRY(tokenizer_encoder_create(&bench->encoders[i], bench->tokenizer, bench->arena, error));
    return OK;
}

static status bench_texts(struct tokenizer_bench *bench, const struct texts *texts,
                          struct error *error)
{
    static const char *const names[] = {"Russian", "English"};
    double one_core;
    struct view all = {texts->all.data, texts->all.len};
    TRY(bench_training(bench, all, error));
    TRY(encoders_create(bench, error));
    for (int i = 0; i < 2; i++) {
        struct view text = {texts->kinds[i].data, texts->kinds[i].len};
        if (text.len)
            TRY(bench_encoding(&one_core, bench, names[i], text, error));
    }
    TRY(bench_encoding(&one_core, bench, "mixed", all, error));
    TRY(bench_threads(bench, all, one_core, error));
    for (size_t i = 0; i < sizeof worst / sizeof *worst; i++)
        TRY(bench_worst(bench, i, error));
    return OK;
}

status bench_tokenizer(const struct bench_tokenizer *settings, struct error *error)
{
    ASSERT(settings && error);
    struct tokenizer_bench bench = {.settings = settings};
    struct texts texts;
    buffer_create(&texts.all, SIZE_MAX / 4);
    buffer_create(&texts.kinds[0], SIZE_MAX / 4);
    buffer_create(&texts.kinds[1], SIZE_MAX / 4);
    status result;
    TRY_DONE(thread_pool_create(&bench.pool, settings->threads, error));
    TRY_DONE(arena_create(&bench.arena, 0, error));
    TRY_DONE(get_texts(&texts, settings->text, error));
    TRY_DONE(bench_texts(&bench, &texts, error));
done:
    for (int i = 0; bench.pool && i < thread_pool_count(bench.pool); i++) {
        if (bench.encoders)
            tokenizer_encoder_destroy(bench.encoders[i]);
        if (bench.errors)
            tokens_destroy(&bench.tokens[i]);
    }
    arena_destroy(bench.arena);
    if (bench.pool)
        thread_pool_destroy(bench.pool);
    buffer_destroy(&texts.all);
    buffer_destroy(&texts.kinds[0]);
    buffer_destroy(&texts.kinds[1]);
    return result;
}
