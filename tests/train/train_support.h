/* What tests of training need: a temporary folder, a folder of texts, a tiny recipe. */
#ifndef RODNIK_TESTS_TRAIN_SUPPORT_H
#define RODNIK_TESTS_TRAIN_SUPPORT_H

#include "support.h"

#include <signal.h>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "train/train_internal.h"

struct place {
    char folder[128]; /* removed by place_destroy */
    char texts[160], run[160];
};

static inline void place_create(struct place *out)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; /* many fsyncs */
    snprintf(out->folder, sizeof out->folder, "%s/rodnik-train-XXXXXX", base);
    assert_non_null(mkdtemp(out->folder));
    snprintf(out->texts, sizeof out->texts, "%s/texts", out->folder);
    snprintf(out->run, sizeof out->run, "%s/run", out->folder);
}

static inline void place_destroy(const struct place *place)
{
    struct error error = {0};
    assert_ok(path_remove_tree(place->folder, &error), error);
}

/* Sentences of a small grammar: easy to learn, never the same. */
static inline void make_texts(const struct place *place, size_t documents)
{
    static const char *const words[] = {
        "the ",   "river ", "runs ",  "under ", "a ",     "stone ",  "bridge ", "and ",   "nobody ",
        "hears ", "its ",   "quiet ", "song ",  "until ", "spring ", "comes ",  "again. "};
    struct error error = {0};
    assert_ok(folder_make(place->texts, &error), error);
    for (size_t d = 0; d < documents; d++) {
        char path[400], text[4096];
        size_t len = 0, count = 20 + random_below((struct random_key){9, RANDOM_TEST, d}, 0, 150);
        for (size_t w = 0; w < count; w++) {
            size_t draw = (size_t)random_below((struct random_key){9, RANDOM_TEST, d}, w + 1, 3);
            const char *word = words[(w + draw * 5) % (sizeof words / sizeof *words)];
            len += (size_t)snprintf(text + len, sizeof text - len, "%s", word);
        }
        snprintf(path, sizeof path, "%s/%04zu.txt", place->texts, d);
        assert_ok(file_write_atomic(path, text, len, &error), error);
    }
}

static inline struct recipe tiny_recipe(const struct place *place)
{
    struct recipe recipe;
    memset(&recipe, 0, sizeof recipe);
    config_defaults(&recipe, recipe_table);
    recipe.model = (struct model_config){.layers = 1,
                                         .width = 64,
                                         .heads = 2,
                                         .kv_heads = 1,
                                         .head_size = 64,
                                         .ffn_width = 64,
                                         .context = 64,
                                         .rope_theta = 10000,
                                         .norm_epsilon = 1e-5,
                                         .qk_norm = true};
    snprintf(recipe.corpus, sizeof recipe.corpus, "%s", place->texts);
    recipe.vocabulary = 300;
    recipe.sequence = 32;
    recipe.batch = 8;
    recipe.micro_batch = 2;
    recipe.shards = 2;
    recipe.steps = 12;
    recipe.checkpoint_every = 4;
    recipe.validate_every = 6;
    recipe.keep = 2;
    recipe.learning_rate = 0.02;
    recipe.embedding_rate = 0.02;
    return recipe;
}

struct counted { /* interrupts after this many steps of this call; 0: never */
    int64_t interrupt_after, steps;
    double first_loss, last_loss, bits_per_byte;
    int64_t skipped;
};

static inline void count_step(void *context, const struct train_report *report)
{
    struct counted *counted = context;
    if (counted->steps == 0)
        counted->first_loss = report->loss;
    counted->last_loss = report->loss;
    counted->skipped += report->skipped;
    if (report->validation_bits_per_byte >= 0)
        counted->bits_per_byte = report->validation_bits_per_byte;
    if (++counted->steps == counted->interrupt_after)
        raise(SIGTERM);
}

static inline const struct comm *only_process(void)
{
    struct error error = {0};
    const struct comm *comm;
    assert_ok(comm_start(&comm, "", &error), error);
    return comm;
}

static inline status run_training(struct train_result *out, const char *run,
                                  const struct recipe *recipe, int threads, struct counted *counted,
                                  struct error *error)
{
    struct train_settings settings = {.recipe = recipe,
                                      .run = run,
                                      .report = count_step,
                                      .context = counted,
                                      .comm = only_process()};
    TRY(compute_create(&settings.compute, threads, error));
    interrupt_clear();
    status result = train_run(out, &settings, error);
    compute_destroy(settings.compute);
    interrupt_clear();
    return result;
}

static inline struct sha256 trained_state(const char *run, const struct recipe *recipe, int threads)
{
    struct error error = {0};
    struct train_result result;
    struct counted counted = {0};
    assert_ok(run_training(&result, run, recipe, threads, &counted, &error), error);
    assert_false(result.interrupted);
    return result.state;
}

static inline void quiet_setup(void)
{
    log_setup((struct log_settings){.level = LOG_ERROR});
    interrupt_install();
}

static inline bool same_files(const char *a, const char *b)
{
    struct error error = {0};
    struct sha256 hash[2];
    assert_ok(sha256_of_file(&hash[0], a, &error), error);
    assert_ok(sha256_of_file(&hash[1], b, &error), error);
    return sha256_equal(&hash[0], &hash[1]);
}

#endif
