/* Duplicates, repeated lines and overlaps: speed of one core (in seconds of CPU time), and memory
 * on a corpus that is made up as it goes. */
#include "cli/bench_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/file.h"
#include "base/random.h"
#include "corpus/comparisons.h"
#include "corpus/minhash.h"

enum {
    RUNS = 5,
    SAMPLE_BYTES = 32 << 20,
    DICTIONARY = 20000,
    SENTENCES = 65536,
    ITEMS = 20000,
    SORTED = 16 << 20 /* records */
};

/* Of all threads: what a core would take that does nothing else. */
static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- made-up text ---- */

enum language { RUSSIAN, ENGLISH };

/* A third of all words; without them no page looks like prose. */
enum { COMMON = 16 };
static const char *const common_words[2][COMMON] = {
    {"и", "в", "на", "с", "не", "что", "он", "как", "по", "из", "за", "к", "от", "для", "его",
     "был"},
    {"the", "of", "and", "to", "in", "that", "with", "was", "for", "he", "it", "on", "as", "his",
     "be", "have"}};

struct dictionary {
    const char *const *common;
    char word[DICTIONARY][32];
    uint8_t len[DICTIONARY];
};

/* Words as long as those of prose: 5.3 letters in Russian, 4.2 in English, on average over use. */
static void make_dictionary(struct dictionary *out, enum language language, uint64_t seed)
{
    out->common = common_words[language];
    for (uint64_t i = 0; i < DICTIONARY; i++) {
        struct random_key key = {seed, RANDOM_TEST, i};
        uint64_t letters = 1 + random_below(key, 0, language == RUSSIAN ? 10 : 8);
        size_t len = 0;
        for (uint64_t k = 1; k <= letters; k++) {
            uint32_t c = (uint32_t)random_below(key, k, language == RUSSIAN ? 32 : 26);
            len += utf8_encode(out->word[i] + len, language == RUSSIAN ? 0x430 + c : 'a' + c);
        }
        out->len[i] = (uint8_t)len;
    }
}

/* A sentence of 4 to 23 words: small numbers of the dictionary are common. */
static status add_sentence(struct buffer *out, const struct dictionary *dictionary, uint64_t seed,
                           struct error *error)
{
    struct random_key key = {seed, RANDOM_TEST, 0};
    uint64_t words = 4 + random_below(key, 0, 20);
    for (uint64_t i = 1; i <= words; i++) {
        uint64_t draw = random_u64(key, i);
        size_t word = (size_t)(draw >> 32) % (1 + (size_t)(uint32_t)draw % DICTIONARY);
        if (word % 3 == 0)
            TRY(buffer_string(out, dictionary->common[word / 3 % COMMON], error));
        else
            TRY(buffer_append(out, dictionary->word[word], dictionary->len[word], error));
        TRY(buffer_string(out, i == words ? ". " : draw % 9 == 0 ? ", " : " ", error));
    }
    return OK;
}

static status make_sample(struct buffer *out, enum language language, struct arena *arena,
                          struct error *error)
{
    struct dictionary *dictionary;
    TRY_ALLOC(dictionary, arena, 1, error);
    make_dictionary(dictionary, language, 1);
    for (uint64_t seed = 0; out->len < SAMPLE_BYTES; seed++) {
        TRY(add_sentence(out, dictionary, seed, error));
        if (seed % 5 == 4)
            TRY(buffer_string(out, "\n", error));
    }
    return OK;
}

/* ---- signatures ---- */

static double update_seconds(const struct minhash_family *family, uint64_t shingles)
{
    uint32_t number[MINHASH_NUMBERS], shingle[MINHASH_BLOCK];
    memset(number, 0xFF, sizeof number);
    for (uint32_t i = 0; i < MINHASH_BLOCK; i++)
        shingle[i] = i * UINT32_C(0x9E3779B9);
    double start = cpu_seconds();
    for (uint64_t done = 0; done < shingles; done += MINHASH_BLOCK)
        minhash_update(number, family, shingle, MINHASH_BLOCK);
    return cpu_seconds() - start;
}

static status bench_minhash(const char *name, struct view text, bool json, struct arena *arena,
                            struct error *error)
{
    struct minhasher *hasher;
    struct minhash minhash = {.shingles = 1};
    double rates[RUNS], limits[RUNS], shares[RUNS], megabytes = (double)text.len * 1e-6;
    char label[64], more[64];
    status result = OK;
    TRY_ALLOC(hasher, arena, 1, error);
    minhasher_open(hasher);
    for (int i = 0; i < RUNS && result == OK; i++) {
        double start = cpu_seconds();
        result = minhash_of(&minhash, hasher, text, error);
        rates[i] = megabytes / (cpu_seconds() - start);
        limits[i] = megabytes / update_seconds(&hasher->family, minhash.shingles);
        shares[i] = rates[i] / limits[i];
    }
    minhasher_close(hasher);
    TRY(result);
    double value = bench_median(rates, RUNS);
    snprintf(label, sizeof label, "minhash %s", name);
    snprintf(more, sizeof more, json ? ", \"bytes_per_word\": %.2f" : ", %.2f bytes a word",
             (double)text.len / (double)minhash.shingles);
    bench_print(&(struct bench_row){"corpus", label, "MB/s", value, bench_median(limits, RUNS),
                                    bench_median(shares, RUNS), more},
                json);
    return OK;
}

/* ---- sorting ---- */

static status sort_once(double *seconds, struct external_sort *sort, const uint64_t *records,
                        struct error *error)
{
    const uint64_t *record;
    double start = cpu_seconds();
    TRY(external_sort_add(sort, records, SORTED, error));
    TRY(external_sort_finish(sort, error));
    do
        TRY(external_sort_next(&record, sort, error));
    while (record);
    *seconds = cpu_seconds() - start;
    return OK;
}

/* 256 MB of records with 32 MB of memory, beside sorting them all in memory. */
static status bench_sort(struct thread_pool *pool, const char *folder, bool json,
                         struct arena *arena, struct error *error)
{
    struct external_sort_settings settings = {2, 32 << 20, folder, pool};
    struct external_sort *sort;
    uint64_t *records;
    double seconds = 1;
    TRY_ALLOC(records, arena, 2 * (size_t)SORTED, error);
    for (uint64_t i = 0; i < 2 * (uint64_t)SORTED; i++)
        records[i] = (i + 1) * GRAM_FACTOR;
    TRY(external_sort_create(&sort, &settings, error));
    status result = sort_once(&seconds, sort, records, error);
    external_sort_destroy(sort);
    TRY(result);
    double start = cpu_seconds();
    records_sort(records, SORTED, 2, pool);
    double value = SORTED * 1e-6 / seconds;
    double limit = SORTED * 1e-6 / (cpu_seconds() - start);
    bench_print(&(struct bench_row){"corpus", "sort on disk, 16 bytes", "M/s", value, limit,
                                    value / limit, NULL},
                json);
    return OK;
}

/* ---- a whole corpus, made up ---- */

/* Documents of some paragraphs of five sentences.  One in ten is another once more, one in ten
 * another with a sentence changed, and each fifth begins with a notice. */
struct stream {
    struct buffer sentences;
    size_t *ends; /* [SENTENCES] */
    struct numbered_text *documents;
    struct buffer texts;
    uint64_t number, bytes;
};

enum { STREAM_DOCUMENTS = 4096, STREAM_BYTES = 16 << 20, DOCUMENT_BYTES_MAX = 64 << 10 };

static status make_stream(struct stream *out, struct arena *arena, struct error *error)
{
    struct dictionary *dictionary;
    TRY_ALLOC(dictionary, arena, 1, error);
    TRY_ALLOC(out->ends, arena, SENTENCES, error);
    TRY_ALLOC(out->documents, arena, STREAM_DOCUMENTS, error);
    make_dictionary(dictionary, RUSSIAN, 2);
    for (uint64_t i = 0; i < SENTENCES; i++) {
        TRY(add_sentence(&out->sentences, dictionary, i + ((uint64_t)1 << 32), error));
        out->ends[i] = out->sentences.len;
    }
    return buffer_reserve(&out->texts, STREAM_BYTES + DOCUMENT_BYTES_MAX, error);
}

static status add_document(struct stream *stream, struct error *error)
{
    uint64_t number = stream->number++, seed = number % 10 < 2 ? number / 10 * 10 + 5 : number;
    struct random_key key = {seed, RANDOM_TEST, 1};
    uint64_t sentences = 5 + random_below(key, 0, 30);
    size_t begin = stream->texts.len;
    if (seed % 5 == 0)
        TRY(buffer_string(&stream->texts, "Читайте также другие статьи нашего сайта\n", error));
    for (uint64_t i = 1; i <= sentences; i++) {
        uint64_t which = random_below(key, i, SENTENCES);
        which = number % 10 == 1 && i == 7 ? (which + 1) % SENTENCES : which;
        size_t from = which ? stream->ends[which - 1] : 0;
        TRY(buffer_append(&stream->texts, stream->sentences.data + from, stream->ends[which] - from,
                          error));
        if (i % 5 == 0)
            TRY(buffer_string(&stream->texts, "\n", error));
    }
    size_t len = stream->texts.len - begin;
    stream->documents[number % STREAM_DOCUMENTS] =
        (struct numbered_text){number, {stream->texts.data + begin, len}};
    stream->bytes += len;
    return OK;
}

/* A batch of documents, up to a round number of them. */
static status fill_batch(const struct numbered_text **out, size_t *count, struct stream *stream,
                         struct error *error)
{
    size_t first = stream->number % STREAM_DOCUMENTS;
    buffer_clear(&stream->texts);
    do
        TRY(add_document(stream, error));
    while (stream->number % STREAM_DOCUMENTS && stream->texts.len < STREAM_BYTES);
    *out = stream->documents + first;
    *count = (stream->number - 1) % STREAM_DOCUMENTS + 1 - first;
    return OK;
}

struct stages {
    struct duplicates *duplicates;
    struct repeated_lines *lines;
    struct evaluation_items *items;
    struct contamination *contamination;
    struct overlap *overlaps; /* [STREAM_DOCUMENTS] */
    double reading, closing;  /* seconds: adding documents, and what follows the last one */
    uint64_t dropped, lost_lines, overlapped;
};

static status make_items(struct evaluation_items **out, struct arena *arena, struct error *error)
{
    struct dictionary *dictionary;
    struct buffer lines;
    TRY_ALLOC(dictionary, arena, 1, error);
    make_dictionary(dictionary, RUSSIAN, 3);
    buffer_create(&lines, 1 << 28);
    status result = OK;
    for (uint64_t i = 0; i < ITEMS && result == OK; i++) {
        result = buffer_string(&lines, "{\"prompt\":\"", error);
        result = result == OK ? add_sentence(&lines, dictionary, i, error) : result;
        result = result == OK ? buffer_string(&lines, "\"}\n", error) : result;
    }
    if (result == OK)
        result = evaluation_items_parse(out, (struct view){lines.data, lines.len}, "bench", error);
    buffer_destroy(&lines);
    return result;
}

static status open_stages(struct stages *out, struct thread_pool *pool, const char *folder,
                          struct arena *arena, struct error *error)
{
    struct duplicates_settings duplicates = {true, 64 << 20, folder, pool};
    struct repeated_lines_settings lines = {10, 4, 64 << 20, folder, pool};
    TRY_ALLOC(out->overlaps, arena, STREAM_DOCUMENTS, error);
    TRY(make_items(&out->items, arena, error));
    struct contamination_settings contamination = {out->items, 16 << 20, folder, pool};
    TRY(duplicates_create(&out->duplicates, &duplicates, error));
    TRY(repeated_lines_create(&out->lines, &lines, error));
    return contamination_create(&out->contamination, &contamination, error);
}

static void close_stages(struct stages *stages)
{
    duplicates_destroy(stages->duplicates);
    repeated_lines_destroy(stages->lines);
    contamination_destroy(stages->contamination);
    evaluation_items_destroy(stages->items);
}

static status run_batch(struct stages *stages, const struct numbered_text *documents, size_t count,
                        struct error *error)
{
    const struct comparisons finders = {stages->duplicates, stages->lines, stages->contamination};
    double start = cpu_seconds();
    TRY(comparisons_add(stages->overlaps, &finders, documents, count, error));
    stages->reading += cpu_seconds() - start;
    for (size_t i = 0; i < count; i++)
        stages->overlapped += stages->overlaps[i].by_grams > 0;
    return OK;
}

static status finish_stages(struct stages *stages, struct error *error)
{
    struct duplicate duplicate;
    struct line_losses losses;
    bool found = true;
    double start = cpu_seconds();
    TRY(duplicates_finish(stages->duplicates, error));
    while (found) {
        TRY(duplicates_next(&found, &duplicate, stages->duplicates, error));
        stages->dropped += found && duplicate.kind != DUPLICATE_FIRST;
    }
    TRY(repeated_lines_finish(stages->lines, error));
    for (found = true; found;) {
        TRY(repeated_lines_next(&found, &losses, stages->lines, error));
        stages->lost_lines += found ? losses.count : 0;
    }
    TRY(contamination_finish(stages->contamination, error));
    stages->closing = cpu_seconds() - start;
    return OK;
}

static status run_stream(struct stages *stages, struct stream *stream, uint64_t bytes,
                         struct error *error)
{
    while (stream->bytes < bytes) {
        const struct numbered_text *documents;
        size_t count;
        TRY(fill_batch(&documents, &count, stream, error));
        TRY(run_batch(stages, documents, count, error));
        if (interrupt_requested())
            return fail(error, ERR_INTERRUPTED, "stopped after %.0f MB",
                        (double)stream->bytes * 1e-6);
    }
    return finish_stages(stages, error);
}

static void print_part(const char *name, double rate, double limit, bool json)
{
    bench_print(&(struct bench_row){"corpus", name, "MB/s", rate, limit, rate / limit, NULL}, json);
}

static void print_stream(const struct stages *stages, const struct stream *stream, bool json)
{
    double megabytes = (double)stream->bytes * 1e-6, all = stages->reading + stages->closing;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    print_part("comparisons", megabytes / stages->reading, megabytes / all, json);
    print_part("closing", megabytes / stages->closing, megabytes / all, json);
    char more[256];
    snprintf(more, sizeof more,
             json ? ", \"megabytes\": %.0f, \"documents\": %llu, \"dropped\": %llu, "
                    "\"lost_lines\": %llu, \"overlapped\": %llu, \"rss_bytes\": %.0f"
                  : ", %.0f MB, %llu documents: %llu dropped, %llu lines lost, %llu overlaps; peak "
                    "memory %.0f bytes",
             megabytes, (unsigned long long)stream->number, (unsigned long long)stages->dropped,
             (unsigned long long)stages->lost_lines, (unsigned long long)stages->overlapped,
             (double)usage.ru_maxrss * 1024);
    bench_print(&(struct bench_row){"corpus", "all of these, a core", "MB/s", megabytes / all,
                                    megabytes / all, 1, more},
                json);
}

static status bench_stream(uint64_t bytes, struct thread_pool *pool, const char *folder, bool json,
                           struct arena *arena, struct error *error)
{
    struct stream stream = {0};
    struct stages stages = {0};
    buffer_create(&stream.sentences, 1 << 28);
    buffer_create(&stream.texts, 1 << 28);
    status result = make_stream(&stream, arena, error);
    if (result == OK)
        result = open_stages(&stages, pool, folder, arena, error);
    if (result == OK)
        result = run_stream(&stages, &stream, bytes, error);
    if (result == OK)
        print_stream(&stages, &stream, json);
    close_stages(&stages);
    buffer_destroy(&stream.sentences);
    buffer_destroy(&stream.texts);
    return result;
}

/* ---- the whole ---- */

static status bench_sample(const struct bench_corpus *bench, const struct bench_build *build,
                           const char *name, struct view text, struct error *error)
{
    struct arena *arena;
    TRY(arena_create(&arena, 0, error));
    status result = bench_minhash(name, text, bench->json, arena, error);
    arena_destroy(arena);
    return result == OK ? bench_build(build, name, text, error) : result;
}

static status bench_samples(const struct bench_corpus *bench, const struct bench_build *build,
                            struct arena *arena, struct error *error)
{
    static const char *const names[] = {"ru", "en"};
    if (bench->text) {
        struct file_bytes bytes;
        TRY(file_map(&bytes, bench->text, error));
        struct view text = {(const char *)bytes.data, bytes.len};
        status result = text.len ? bench_sample(bench, build, "of the text", text, error)
                                 : fail(error, ERR_FORMAT, "%s: is empty", bench->text);
        file_unmap(&bytes);
        return result;
    }
    for (int i = 0; i < 2; i++) {
        struct buffer sample;
        buffer_create(&sample, 2 * (size_t)SAMPLE_BYTES);
        status result = make_sample(&sample, (enum language)i, arena, error);
        if (result == OK)
            result =
                bench_sample(bench, build, names[i], (struct view){sample.data, sample.len}, error);
        buffer_destroy(&sample);
        TRY(result);
    }
    return OK;
}

static status bench_in(const struct bench_corpus *bench, struct thread_pool *pool,
                       struct arena *arena, struct error *error)
{
    const char *folder = getenv("TMPDIR");
    folder = folder && *folder ? folder : "/tmp";
    if (bench->megabytes == 0) {
        const struct bench_build build = {pool, folder, bench->json};
        TRY(bench_samples(bench, &build, arena, error));
        return bench->text ? OK : bench_sort(pool, folder, bench->json, arena, error);
    }
    return bench_stream((uint64_t)bench->megabytes * 1000000, pool, folder, bench->json, arena,
                        error);
}

status bench_corpus(const struct bench_corpus *bench, struct error *error)
{
    ASSERT(bench && error);
    struct thread_pool *pool;
    struct arena *arena = NULL;
    TRY(thread_pool_create(&pool, bench->threads, error));
    status result = arena_create(&arena, 0, error);
    if (result == OK)
        result = bench_in(bench, pool, arena, error);
    arena_destroy(arena);
    thread_pool_destroy(pool);
    return result;
}
