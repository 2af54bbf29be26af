#include "train/train.h"

#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "train/train_internal.h"

#define WHOLE(section_, field_, name_, low, high, initial_, unit_, help_)                          \
    {                                                                                              \
        .section = section_, .name = name_, .type = CONFIG_INT,                                    \
        .offset = offsetof(struct recipe, field_), .minimum = low, .maximum = high,                \
        .initial = initial_, .unit = unit_, .help = help_                                          \
    }
#define REAL(section_, field_, low, high, initial_, unit_, help_)                                  \
    {                                                                                              \
        .section = section_, .name = #field_, .type = CONFIG_DOUBLE,                               \
        .offset = offsetof(struct recipe, field_), .minimum = low, .maximum = high,                \
        .initial = initial_, .unit = unit_, .help = help_                                          \
    }
#define MODEL(field_, low, high, initial_, unit_, help_)                                           \
    WHOLE("model", model.field_, #field_, low, high, initial_, unit_, help_)
#define TRAIN(field_, low, high, initial_, unit_, help_)                                           \
    WHOLE("train", field_, #field_, low, high, initial_, unit_, help_)

static const struct config_key keys[] = {
    MODEL(layers, 1, MODEL_LAYERS_MAX, "6", "blocks", "depth"),
    MODEL(width, 64, MODEL_WIDTH_MAX, "384", "", "of the residual stream, a multiple of 64"),
    MODEL(heads, 1, 1024, "6", "heads", "of queries"),
    MODEL(kv_heads, 1, 1024, "6", "heads", "of keys and values; divides heads"),
    MODEL(head_size, 64, 128, "64", "", "64 or 128"),
    MODEL(ffn_width, 64, 4 * MODEL_WIDTH_MAX, "1024", "", "of gate and up, a multiple of 64"),
    MODEL(vocabulary, 0, MODEL_VOCABULARY_MAX, "0", "tokens", "0: the tokenizer's"),
    MODEL(context, 2, MODEL_CONTEXT_MAX, "512", "tokens", "longest input; at least train.sequence"),
    {"model", "rope_theta", CONFIG_DOUBLE, offsetof(struct recipe, model.rope_theta), 1, 1e9, NULL,
     "10000", "", "base of the rotary angles"},
    {"model", "norm_epsilon", CONFIG_DOUBLE, offsetof(struct recipe, model.norm_epsilon), 1e-12,
     1e-2, NULL, "1e-5", "", "added to the mean square in norms"},
    {"model", "tied", CONFIG_BOOL, offsetof(struct recipe, model.tied), 0, 0, NULL, "false", "",
     "one table for embedding and head"},
    {"model", "qk_norm", CONFIG_BOOL, offsetof(struct recipe, model.qk_norm), 0, 0, NULL, "true",
     "", "norms on queries and keys (exports as qwen3, else as llama)"},
    {"data", "corpus", CONFIG_STRING, offsetof(struct recipe, corpus), 0, 0, NULL, "", "",
     "folder of `rodnik corpus build`, or of texts, from which one is built into the run"},
    {"data", "tokenizer", CONFIG_STRING, offsetof(struct recipe, tokenizer), 0, 0, NULL, "", "",
     "tokenizer.json; empty: trained from the corpus"},
    WHOLE("data", vocabulary, "vocabulary", 261, MODEL_VOCABULARY_MAX, "8192", "tokens",
          "of the tokenizer trained here"),
    {"data", "document_mask", CONFIG_BOOL, offsetof(struct recipe, document_mask), 0, 0, NULL,
     "true", "", "attention stays inside a document"},
    TRAIN(sequence, 2, MODEL_CONTEXT_MAX, "256", "tokens", "in a row, even"),
    TRAIN(batch, 1, 1 << 20, "32", "rows", "in a global batch"),
    TRAIN(batch_start, 0, 1 << 20, "0", "rows", "in the first steps' batches; 0: batch"),
    REAL("train", ramp, 0, 1, "0", "share of steps", "in which batch_start doubles up to batch"),
    TRAIN(micro_batch, 1, 1 << 20, "8", "rows", "at once; decides about memory, changes no number"),
    {"train", "recompute", CONFIG_BOOL, offsetof(struct recipe, recompute), 0, 0, NULL, "false", "",
     "keep less for the backward pass and compute it again: less memory, more time, same numbers"},
    TRAIN(shards, 1, 1024, "1", "shards", "of a batch, a power of two that divides it"),
    TRAIN(steps, 1, 1e9, "1000", "steps", "optimizer steps in all"),
    REAL("train", minutes, 0, 1e6, "0", "minutes",
         "above 0: steps are chosen, and changed on the way, so that the run ends after this time, "
         "preparations and all"),
    {"train", "revisions", CONFIG_STRING, offsetof(struct recipe, revisions), 0, 0, NULL, "", "",
     "written by runs that had minutes: STEP:STEPS_BEFORE where steps were changed on the way"},
    TRAIN(seed, 0, 9007199254740992.0, "1", "", "of initial weights and of the order of documents"),
    {"train", "precision", CONFIG_CHOICE, offsetof(struct recipe, precision), 0, 0, "f32|bf16",
     "bf16", "", "of the operands of matrix products; sums and weights are f32"},
    TRAIN(validate_every, 0, 1e9, "100", "steps", "between looks at held-out text; 0: at the end"),
    TRAIN(validate_tokens, 0, 1e12, "65536", "tokens", "of held-out text looked at; 0: all"),
    TRAIN(checkpoint_every, 1, 1e9, "100", "steps", "between checkpoints"),
    TRAIN(keep, 1, 1000, "2", "checkpoints", "the last ones stay"),
    {"optimizer", "matrix_optimizer", CONFIG_CHOICE, offsetof(struct recipe, matrix_optimizer), 0,
     0, "adamw|muon", "muon", "", "for the blocks' matrices; all else has AdamW"},
    REAL("optimizer", learning_rate, 0, 10, "0.01", "", "peak rate of the blocks' matrices"),
    REAL("optimizer", embedding_rate, 0, 10, "0.01", "", "peak rate of the embedding"),
    REAL("optimizer", head_rate, 0, 10, "0.004", "", "peak rate of an untied head"),
    REAL("optimizer", vector_rate, 0, 10, "0.004", "", "peak rate of the norms' weights"),
    REAL("optimizer", warmup, 0, 1, "0.02", "share of steps", "linear rise at the start"),
    REAL("optimizer", decay, 0, 1, "0.5", "share of steps", "fall at the end"),
    {"optimizer", "decay_shape", CONFIG_CHOICE, offsetof(struct recipe, decay_shape), 0, 0,
     "linear|cosine", "linear", "", "of the fall"},
    REAL("optimizer", final_rate, 0, 1, "0.05", "share of peak", "rate at the last step"),
    REAL("optimizer", beta1, 0, 0.9999, "0.9", "", "AdamW: decay of the mean of gradients"),
    REAL("optimizer", beta2, 0, 0.999999, "0.95", "", "AdamW: decay of the mean of squares"),
    REAL("optimizer", epsilon, 1e-20, 1, "1e-10", "", "AdamW: added to the root"),
    REAL("optimizer", weight_decay, 0, 10, "0.05", "", "of matrices, times the rate"),
    REAL("optimizer", momentum, 0, 0.9999, "0.95", "", "Muon"),
    REAL("optimizer", clip, 0, 1e9, "1", "", "largest norm of a gradient; 0: any"),
};

#undef WHOLE
#undef REAL
#undef MODEL
#undef TRAIN

const struct config_table recipe_table = {keys, sizeof keys / sizeof *keys};

/* ---- reading ---- */

static status resolve(char path[CONFIG_STRING_BYTES], const char *recipe_path, struct error *error)
{
    if (!*path || *path == '/')
        return OK;
    char copy[PATH_BYTES], joined[PATH_BYTES];
    if (snprintf(copy, sizeof copy, "%s", recipe_path) >= (int)sizeof copy)
        return fail(error, ERR_LIMIT, "%s: the path is longer than %d bytes", recipe_path,
                    PATH_BYTES);
    TRY(path_join(joined, sizeof joined, dirname(copy), path, error));
    if (snprintf(path, CONFIG_STRING_BYTES, "%s", joined) >= CONFIG_STRING_BYTES)
        return fail(error, ERR_LIMIT, "%s: the path %s is longer than %d bytes", recipe_path,
                    joined, CONFIG_STRING_BYTES - 1);
    return OK;
}

status recipe_read(struct recipe *out, const char *path, struct error *error)
{
    ASSERT(out && path && error);
    struct recipe recipe;
    memset(&recipe, 0, sizeof recipe);
    config_defaults(&recipe, recipe_table);
    TRY(config_read(&recipe, recipe_table, path, error));
    TRY(resolve(recipe.corpus, path, error));
    TRY(resolve(recipe.tokenizer, path, error));
    *out = recipe;
    return OK;
}

/* ---- checking ---- */

static status check_divides(const char *name, int64_t value, const char *of, int64_t whole,
                            struct error *error)
{
    if (whole % value)
        return fail(error, ERR_USAGE, "train.%s is %lld, it must divide %s, which is %lld", name,
                    (long long)value, of, (long long)whole);
    return OK;
}

/* Every stage's batch is cut into the same shards, so what divides the first divides all. */
static status check_ramp(const struct recipe *recipe, struct error *error)
{
    if (!recipe->batch_start)
        return OK;
    int64_t factor = recipe->batch / recipe->batch_start;
    if (!(recipe->ramp > 0))
        return fail(error, ERR_USAGE,
                    "train.batch_start is %lld, then train.ramp must say over which share of steps "
                    "the batch grows",
                    (long long)recipe->batch_start);
    if (recipe->batch % recipe->batch_start || factor & (factor - 1))
        return fail(error, ERR_USAGE,
                    "train.batch_start is %lld, train.batch, which is %lld, must be that times a "
                    "power of two",
                    (long long)recipe->batch_start, (long long)recipe->batch);
    return OK;
}

status recipe_check(const struct recipe *recipe, struct error *error)
{
    ASSERT(recipe && error);
    struct model_config model = recipe->model;
    if (!model.vocabulary)
        model.vocabulary = recipe->vocabulary;
    TRY(model_config_check(&model, error));
    if (recipe->sequence > model.context || recipe->sequence % 2)
        return fail(error, ERR_USAGE,
                    "train.sequence is %lld, it must be even and at most model.context, which is "
                    "%lld",
                    (long long)recipe->sequence, (long long)model.context);
    if (recipe->shards & (recipe->shards - 1))
        return fail(error, ERR_USAGE, "train.shards is %lld, it must be a power of two",
                    (long long)recipe->shards);
    struct revisions revisions;
    if (!revisions_parse(&revisions, recipe))
        return fail(error, ERR_USAGE,
                    "train.revisions is '%s', it must be at most %d pairs STEP:STEPS_BEFORE, each "
                    "step above the one before and below steps",
                    recipe->revisions, REVISIONS_MAX);
    TRY(check_ramp(recipe, error));
    int64_t smallest = recipe->batch_start ? recipe->batch_start : recipe->batch;
    TRY(check_divides("shards", recipe->shards, "the rows of the smallest batch", smallest, error));
    TRY(check_divides("micro_batch", recipe->micro_batch, "the rows of a shard",
                      smallest / recipe->shards, error));
    if (recipe->batch > BATCH_TOKENS_MAX / recipe->sequence)
        return fail(error, ERR_USAGE, "train.batch is %lld, at most %lld rows of %lld tokens fit",
                    (long long)recipe->batch, (long long)(BATCH_TOKENS_MAX / recipe->sequence),
                    (long long)recipe->sequence);
    return OK;
}

/* ---- identity ---- */

/* Keys added since the first runs: the hash leaves them out at their defaults, so that runs begun
 * before keep their identity. */
static bool is_addition(const struct config_key *key)
{
    static const char *const additions[] = {"batch_start", "ramp", "decay_shape", "revisions"};
    for (size_t i = 0; i < sizeof additions / sizeof *additions; i++)
        if (strcmp(key->name, additions[i]) == 0)
            return true;
    return false;
}

/* Of additions, which are numbers, choices or texts. */
static bool same_value(const struct recipe *a, const struct recipe *b, const struct config_key *key)
{
    const char *left = (const char *)a + key->offset, *right = (const char *)b + key->offset;
    if (key->type == CONFIG_STRING)
        return strcmp(left, right) == 0;
    return memcmp(left, right, key->type == CONFIG_CHOICE ? sizeof(int) : sizeof(int64_t)) == 0;
}

/* Keys that never change a number of the run: where files lie, how much disk and memory is used. */
static void forget_circumstances(struct recipe *recipe)
{
    memset(recipe->corpus, 0, sizeof recipe->corpus);
    memset(recipe->tokenizer, 0, sizeof recipe->tokenizer);
    recipe->minutes = 0;
    recipe->steps = revisions_first_steps(recipe);
    memset(recipe->revisions, 0, sizeof recipe->revisions);
    recipe->keep = 1;
    recipe->micro_batch = 1;
    recipe->recompute = false;
}

status recipe_hash(struct sha256 *out, const struct recipe *recipe, struct error *error)
{
    ASSERT(out && recipe && error);
    struct recipe essential = *recipe;
    forget_circumstances(&essential);
    struct recipe initial = essential;
    config_defaults(&initial, recipe_table);
    struct config_key known[sizeof keys / sizeof *keys];
    struct config_table table = {known, 0};
    for (size_t i = 0; i < recipe_table.count; i++)
        if (!is_addition(&keys[i]) || !same_value(&essential, &initial, &keys[i]))
            known[table.count++] = keys[i];
    struct buffer text;
    buffer_create(&text, RECIPE_BYTES_MAX);
    status result = config_write(&text, &essential, table, error);
    if (result == OK)
        *out = sha256_of(text.data, text.len);
    buffer_destroy(&text);
    return result;
}

/* One key's value as text, by writing a table of that key alone. */
static status write_key(struct buffer *out, const struct recipe *recipe,
                        const struct config_key *key, struct error *error)
{
    buffer_clear(out);
    return config_write(out, recipe, (struct config_table){key, 1}, error);
}

static status compare_keys(const struct recipe *run, const struct recipe *wanted, const char *name,
                           struct buffer text[2], struct error *error)
{
    for (size_t i = 0; i < recipe_table.count; i++) {
        TRY(write_key(&text[0], run, &keys[i], error));
        TRY(write_key(&text[1], wanted, &keys[i], error));
        if (text[0].len == text[1].len && memcmp(text[0].data, text[1].data, text[0].len) == 0)
            continue;
        struct view value[2];
        for (int side = 0; side < 2; side++) {
            struct view all = view_trim((struct view){text[side].data, text[side].len});
            const char *sign = memrchr(all.data, '=', all.len);
            size_t skip = sign ? (size_t)(sign + 1 - all.data) : 0;
            value[side] = view_trim((struct view){all.data + skip, all.len - skip});
        }
        return fail(error, ERR_CONFLICT,
                    "%s: was begun with %s.%s = %.*s, the recipe now says %.*s; choose another "
                    "folder or the old value",
                    name, keys[i].section, keys[i].name, (int)value[0].len, value[0].data,
                    (int)value[1].len, value[1].data);
    }
    return OK;
}

status recipe_compare(const struct recipe *run, const struct recipe *wanted, const char *name,
                      struct error *error)
{
    ASSERT(run && wanted && name && error);
    struct recipe pair[2] = {*run, *wanted};
    if (wanted->minutes > 0) { /* chosen when the run began, and since */
        pair[1].steps = run->steps;
        memcpy(pair[1].revisions, run->revisions, sizeof run->revisions);
    }
    for (int i = 0; i < 2; i++) {
        const struct recipe whole = pair[i];
        forget_circumstances(&pair[i]);
        pair[i].steps = whole.steps;
        memcpy(pair[i].revisions, whole.revisions, sizeof whole.revisions);
    }
    if (!pair[1].model.vocabulary)
        pair[1].model.vocabulary = pair[0].model.vocabulary;
    struct buffer text[2];
    buffer_create(&text[0], RECIPE_BYTES_MAX);
    buffer_create(&text[1], RECIPE_BYTES_MAX);
    status result = compare_keys(&pair[0], &pair[1], name, text, error);
    buffer_destroy(&text[0]);
    buffer_destroy(&text[1]);
    return result;
}

status recipe_save(const struct recipe *recipe, const char *path, struct error *error)
{
    ASSERT(recipe && path && error);
    struct buffer text;
    buffer_create(&text, RECIPE_BYTES_MAX);
    status result = config_write(&text, recipe, recipe_table, error);
    if (result == OK)
        result = file_write_atomic(path, text.data, text.len, error);
    buffer_destroy(&text);
    return result;
}
