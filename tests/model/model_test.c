/* The model: gradients against finite differences, the same bits on every path, training against
 * cached inference. */
#include "support.h"

#include <math.h>

#include "base/random.h"
#include "model/model.h"

static struct model_config tiny_config(bool tied, bool qk_norm)
{
    return (struct model_config){.layers = 2,
                                 .width = 64,
                                 .heads = 2,
                                 .kv_heads = 1,
                                 .head_size = 64,
                                 .ffn_width = 128,
                                 .vocabulary = 150,
                                 .context = 96,
                                 .rope_theta = 10000,
                                 .norm_epsilon = 1e-5,
                                 .tied = tied,
                                 .qk_norm = qk_norm};
}

struct fixture {
    struct arena *arena;
    struct compute *compute;
    struct model *model;
    struct error error;
};

static void fixture_create(struct fixture *out, const struct model_config *config, enum dtype type,
                           int threads)
{
    *out = (struct fixture){0};
    assert_ok(arena_create(&out->arena, 0, &out->error), out->error);
    assert_ok(compute_create(&out->compute, threads, &out->error), out->error);
    assert_ok(model_create(&out->model, config, type, out->compute, out->arena, &out->error),
              out->error);
    model_init(out->model, 7);
    /* Nothing may be zero, or whole paths would have no gradient. */
    for (size_t i = 0; i < out->model->table.count; i++) {
        const struct weight *weight = &out->model->table.weights[i];
        size_t count = weight->rows * weight->columns;
        float *values = out->model->weights + weight->offset;
        random_normal(out->compute, values, count, weight->vector ? 0.3f : 0.1f, 11, i);
        for (size_t j = 0; weight->vector && j < count; j++)
            values[j] += 1;
    }
    model_refresh(out->model);
}

static void fixture_destroy(struct fixture *fixture)
{
    compute_destroy(fixture->compute);
    arena_destroy(fixture->arena);
}

enum { SEQUENCES = 2, LENGTH = 70, ROWS = SEQUENCES * LENGTH };

struct data {
    uint32_t tokens[ROWS], targets[ROWS], first_key[ROWS];
};

static struct batch make_batch(struct data *data, int64_t vocabulary)
{
    struct random_key key = {5, RANDOM_TEST, 0};
    for (size_t i = 0; i < ROWS; i++) {
        data->tokens[i] = (uint32_t)random_below(key, i, (uint64_t)vocabulary);
        data->targets[i] = (uint32_t)random_below(key, 10000 + i, (uint64_t)vocabulary);
        data->first_key[i] = i % LENGTH < 20 ? 0 : 20; /* two documents in a row */
    }
    data->targets[3] = TARGET_NONE;
    return (struct batch){SEQUENCES,       LENGTH, data->tokens, data->targets,
                          data->first_key, false,  false};
}

static double total_loss(struct training *training, const struct batch *batch)
{
    float loss[ROWS];
    double sum = 0;
    model_loss(training, batch, loss);
    for (size_t i = 0; i < ROWS; i++)
        sum += (double)loss[i];
    return sum;
}

/* Along a random direction in one tensor, the loss must change as the gradient says. */
static void check_direction(struct fixture *fixture, struct training *training,
                            const struct batch *batch, const float *gradients, size_t tensor)
{
    const struct weight *weight = &fixture->model->table.weights[tensor];
    size_t count = weight->rows * weight->columns;
    float *values = fixture->model->weights + weight->offset;
    float *saved = malloc(count * sizeof *saved), *direction = malloc(count * sizeof *direction);
    assert_non_null(saved);
    assert_non_null(direction);
    memcpy(saved, values, count * sizeof *saved);
    random_normal(fixture->compute, direction, count, 1, 99, tensor);
    double expected = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        /* half along the gradient, so that the change stands out from rounding */
        direction[i] +=
            4 * gradients[weight->offset + i] / (1e-6f + fabsf(gradients[weight->offset + i]));
        expected += (double)direction[i] * (double)gradients[weight->offset + i];
        norm += (double)direction[i] * (double)direction[i];
    }
    double step = 0.02 / sqrt(norm) * sqrt((double)count > 4096 ? 4 : 1);
    double loss[2];
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < count; i++)
            values[i] = saved[i] + (float)((side ? -step : step) * (double)direction[i]);
        loss[side] = total_loss(training, batch);
    }
    memcpy(values, saved, count * sizeof *saved);
    free(saved);
    free(direction);
    double measured = (loss[0] - loss[1]) / (2 * step);
    if (fabs(measured - expected) > 0.02 * fabs(expected) + 0.02)
        fail_msg("%s: gradient says %g, differences say %g", weight->name, expected, measured);
}

static void check_gradients(bool tied, bool qk_norm)
{
    struct fixture fixture;
    struct model_config config = tiny_config(tied, qk_norm);
    fixture_create(&fixture, &config, DTYPE_F32, 2);
    struct training *training;
    assert_ok(training_create(&training, fixture.model,
                              &(struct training_shape){SEQUENCES, LENGTH, false, 1}, fixture.arena,
                              &fixture.error),
              fixture.error);
    static struct data data;
    struct batch batch = make_batch(&data, config.vocabulary);
    float *gradients = calloc(fixture.model->table.total, sizeof *gradients), loss[ROWS];
    assert_non_null(gradients);
    model_gradients(training, &batch, 1, gradients, loss, NULL);
    assert_true(loss[3] == 0);
    for (size_t i = 0; i < fixture.model->table.count; i++)
        check_direction(&fixture, training, &batch, gradients, i);
    free(gradients);
    fixture_destroy(&fixture);
}

static void gradients_agree_with_finite_differences(void **state)
{
    (void)state;
    check_gradients(false, false);
    check_gradients(true, false);
    check_gradients(false, true);
}

/* ---- the same bits ---- */

static struct sha256 gradient_hash(enum dtype type, int threads)
{
    struct fixture fixture;
    struct model_config config = tiny_config(false, true);
    fixture_create(&fixture, &config, type, threads);
    struct training *training;
    assert_ok(training_create(&training, fixture.model,
                              &(struct training_shape){SEQUENCES, LENGTH, false, 1}, fixture.arena,
                              &fixture.error),
              fixture.error);
    static struct data data;
    struct batch batch = make_batch(&data, config.vocabulary);
    size_t total = fixture.model->table.total;
    float *gradients = calloc(total, sizeof *gradients), loss[ROWS];
    assert_non_null(gradients);
    for (size_t i = 0; i < total; i++)
        gradients[i] = NAN; /* overwritten */
    model_gradients(training, &batch, 0.01f, gradients, loss, NULL);
    batch.accumulate = true;
    model_gradients(training, &batch, 0.01f, gradients, loss, NULL);
    struct sha256 hash;
    assert_ok(
        weights_hash(&hash, &fixture.model->table, gradients, fixture.compute, &fixture.error),
        fixture.error);
    free(gradients);
    fixture_destroy(&fixture);
    return hash;
}

static void gradients_have_the_same_bits_on_every_path(void **state)
{
    (void)state;
    static const char *const isas[] = {"scalar", "avx2", "avx512", "avx512bf16"};
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        struct sha256 expected = gradient_hash((enum dtype)type, 1);
        for (int threads = 2; threads <= 3; threads++) {
            struct sha256 hash = gradient_hash((enum dtype)type, threads);
            assert_true(sha256_equal(&hash, &expected));
        }
        for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
            setenv("RODNIK_ISA", isas[i], 1);
            struct sha256 hash = gradient_hash((enum dtype)type, 2);
            unsetenv("RODNIK_ISA");
            if (!sha256_equal(&hash, &expected))
                fail_msg("RODNIK_ISA=%s gives other bits", isas[i]);
        }
    }
}

/* ---- inference with a cache ---- */

struct cached {
    struct block block;
    float *keys, *values; /* [layers][context, kv width] */
    float *x[2];
    void *operands;
    size_t position;
    uint32_t positions[LENGTH];
};

static void *take(struct fixture *fixture, size_t count, size_t size)
{
    void *block = arena_alloc(fixture->arena, count, size, &fixture->error);
    assert_non_null(block);
    return block;
}

static void cached_create(struct cached *out, struct fixture *fixture)
{
    const struct model_config *c = &fixture->model->config;
    size_t width = (size_t)c->width, ffn = (size_t)c->ffn_width, hs = (size_t)c->head_size;
    size_t heads = (size_t)c->heads, kv = (size_t)c->kv_heads * hs, qkv = heads * hs + 2 * kv;
    *out = (struct cached){0};
    struct block *block = &out->block;
    block->middle = take(fixture, LENGTH * width, 4);
    block->norm1 = take(fixture, LENGTH * width, 4);
    block->attended = take(fixture, LENGTH * heads * hs, 4);
    block->norm2 = take(fixture, LENGTH * width, 4);
    block->activated = take(fixture, LENGTH * ffn, 4);
    block->qkv = take(fixture, LENGTH * qkv, 4);
    block->qk = c->qk_norm ? take(fixture, LENGTH * qkv, 4) : NULL;
    block->gate_up = take(fixture, LENGTH * 2 * ffn, 4);
    out->keys = take(fixture, (size_t)c->layers * LENGTH * kv, 4);
    out->values = take(fixture, (size_t)c->layers * LENGTH * kv, 4);
    out->x[0] = take(fixture, LENGTH * width, 4);
    out->x[1] = take(fixture, LENGTH * width, 4);
    out->operands = take(fixture, LENGTH * width, 4);
    block->positions = out->positions;
}

static void cached_feed(struct cached *cached, struct fixture *fixture, const uint32_t *tokens,
                        size_t count, float *logits)
{
    const struct model_config *c = &fixture->model->config;
    size_t width = (size_t)c->width, hs = (size_t)c->head_size, kv = (size_t)c->kv_heads * hs;
    size_t qkv = (size_t)c->heads * hs + 2 * kv;
    embedding_forward(fixture->compute, cached->x[0], fixture->model->weights, tokens, count,
                      width);
    for (size_t i = 0; i < count; i++)
        cached->positions[i] = (uint32_t)(cached->position + i);
    struct block *block = &cached->block;
    block->rows = count;
    struct cached_rows rows = {.attention = {.sequences = 1,
                                             .queries = count,
                                             .keys = cached->position + count,
                                             .query_first = cached->position,
                                             .heads = (size_t)c->heads,
                                             .kv_heads = (size_t)c->kv_heads,
                                             .head_size = hs,
                                             .query_stride = qkv,
                                             .kv_stride = kv,
                                             .kv_sequence_stride = LENGTH * kv}};
    block->cached = &rows;
    block->cached_count = 1;
    for (size_t layer = 0; layer < (size_t)c->layers; layer++) {
        block->x = cached->x[layer % 2];
        block->out = cached->x[(layer + 1) % 2];
        rows.keys = cached->keys + layer * LENGTH * kv;
        rows.values = cached->values + layer * LENGTH * kv;
        model_block_forward(fixture->model, layer, block);
    }
    model_logits(fixture->model, logits, cached->x[c->layers % 2], count, cached->operands);
    cached->position += count;
}

/* -log p from logits, in double: near the loss that training computes for the same row. */
static double loss_from_logits(const float *logits, size_t vocabulary, uint32_t target)
{
    double maximum = -1e30, sum = 0;
    for (size_t i = 0; i < vocabulary; i++)
        maximum = fmax(maximum, (double)logits[i]);
    for (size_t i = 0; i < vocabulary; i++)
        sum += exp((double)logits[i] - maximum);
    return log(sum) + maximum - (double)logits[target];
}

static void cached_inference_equals_training_and_any_cut(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        struct fixture fixture;
        struct model_config config = tiny_config(variant & 1, variant & 2);
        fixture_create(&fixture, &config, variant & 1 ? DTYPE_BF16 : DTYPE_F32, 2);
        size_t vocabulary = (size_t)config.vocabulary;
        static struct data data;
        make_batch(&data, config.vocabulary);
        float *whole = take(&fixture, LENGTH * vocabulary, 4);
        float *cut = take(&fixture, LENGTH * vocabulary, 4);
        struct cached cached;
        cached_create(&cached, &fixture);
        cached_feed(&cached, &fixture, data.tokens, LENGTH, whole);
        assert_ok(model_pack(fixture.model, fixture.arena, &fixture.error), fixture.error);
        static const size_t cuts[] = {1, 1, 2, 7, 30, 1, 8, 20};
        cached.position = 0;
        for (size_t i = 0, at = 0; i < sizeof cuts / sizeof *cuts; at += cuts[i++])
            cached_feed(&cached, &fixture, data.tokens + at, cuts[i], cut + at * vocabulary);
        assert_memory_equal(whole, cut, LENGTH * vocabulary * sizeof *whole);

        struct training *training;
        assert_ok(training_create(&training, fixture.model,
                                  &(struct training_shape){1, LENGTH, false, 1}, fixture.arena,
                                  &fixture.error),
                  fixture.error);
        struct batch batch = {1, LENGTH, data.tokens, data.targets, NULL, false, false};
        float loss[LENGTH];
        model_loss(training, &batch, loss);
        for (size_t i = 0; i < LENGTH; i++)
            if (data.targets[i] != TARGET_NONE)
                assert_float_equal(
                    loss[i], loss_from_logits(whole + i * vocabulary, vocabulary, data.targets[i]),
                    2e-5);
        fixture_destroy(&fixture);
    }
}

/* ---- configuration, counts, files ---- */

static void counts_of_parameters_and_memory_agree(void **state)
{
    (void)state;
    struct model_config gpt2 = {.layers = 12,
                                .width = 768,
                                .heads = 12,
                                .kv_heads = 12,
                                .head_size = 64,
                                .ffn_width = 2048,
                                .vocabulary = 50304,
                                .context = 1024,
                                .rope_theta = 10000,
                                .norm_epsilon = 1e-5,
                                .tied = true};
    assert_int_equal(model_product_parameters(&gpt2),
                     12 * (4 * 768 * 768 + 3 * 768 * 2048) + 50304 * 768);
    assert_int_equal(model_parameters(&gpt2), model_product_parameters(&gpt2) + 25 * 768);
    struct fixture fixture;
    struct model_config config = tiny_config(false, true);
    fixture_create(&fixture, &config, DTYPE_BF16, 1);
    size_t bytes[2];
    for (int recompute = 0; recompute < 2; recompute++) {
        const struct training_shape shape = {2, 32, recompute, 1};
        size_t before = arena_used_bytes(fixture.arena);
        struct training *training;
        assert_ok(training_create(&training, fixture.model, &shape, fixture.arena, &fixture.error),
                  fixture.error);
        size_t taken = arena_used_bytes(fixture.arena) - before;
        bytes[recompute] = training_bytes(fixture.model, &shape);
        assert_true(taken >= bytes[recompute] && taken < bytes[recompute] + 4096);
    }
    assert_true(bytes[1] < bytes[0]);
    fixture_destroy(&fixture);
}

static void impossible_configurations_are_named(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        int64_t value;
        const char *word;
    } cases[] = {{offsetof(struct model_config, layers), 0, "layers"},
                 {offsetof(struct model_config, width), 100, "width"},
                 {offsetof(struct model_config, heads), -1, "heads"},
                 {offsetof(struct model_config, kv_heads), 3, "kv_heads"},
                 {offsetof(struct model_config, head_size), 48, "head_size"},
                 {offsetof(struct model_config, ffn_width), 65, "ffn_width"},
                 {offsetof(struct model_config, vocabulary), INT64_MAX, "vocabulary"},
                 {offsetof(struct model_config, context), 1, "context"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model_config config = tiny_config(false, false);
        struct error error = {0};
        memcpy((char *)&config + cases[i].offset, &cases[i].value, sizeof cases[i].value);
        assert_int_equal(model_config_check(&config, &error), ERR_USAGE);
        assert_non_null(strstr(error.text, cases[i].word));
    }
}

static void configuration_and_weights_survive_a_round_trip(void **state)
{
    (void)state;
    char folder[] = "/tmp/rodnik-model-XXXXXX", path[128];
    assert_non_null(mkdtemp(folder));
    struct fixture fixture;
    struct model_config config = tiny_config(true, true), read = {0};
    fixture_create(&fixture, &config, DTYPE_F32, 2);
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_ok(model_config_save(&config, path, &fixture.error), fixture.error);
    assert_ok(model_config_load(&read, path, &fixture.error), fixture.error);
    assert_int_equal(read.width, config.width);
    assert_int_equal(read.kv_heads, config.kv_heads);
    assert_true(read.tied && read.qk_norm && read.norm_epsilon == config.norm_epsilon);

    const struct weight_table *table = &fixture.model->table;
    float *copy = take(&fixture, table->total, sizeof *copy);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_ok(weights_save(path, table, fixture.model->weights, NULL, &fixture.error),
              fixture.error);
    assert_ok(weights_load(copy, table, path, &fixture.error), fixture.error);
    assert_memory_equal(copy, fixture.model->weights, table->total * sizeof *copy);

    struct weight_table other;
    config.ffn_width = 192;
    assert_ok(weight_table_create(&other, &config, fixture.arena, &fixture.error), fixture.error);
    assert_int_equal(weights_load(copy, &other, path, &fixture.error), ERR_FORMAT);
    assert_non_null(strstr(fixture.error.text, "gate_proj"));
    assert_ok(path_remove_tree(folder, &(struct error){0}), fixture.error);
    fixture_destroy(&fixture);
}

static void the_hash_of_weights_notices_one_bit(void **state)
{
    (void)state;
    struct fixture fixture;
    struct model_config config = tiny_config(false, false);
    fixture_create(&fixture, &config, DTYPE_F32, 3);
    struct sha256 before, after;
    const struct weight_table *table = &fixture.model->table;
    float *weights = fixture.model->weights;
    assert_ok(weights_hash(&before, table, weights, fixture.compute, &fixture.error),
              fixture.error);
    weights[table->total - 1] = nextafterf(weights[table->total - 1], 10);
    assert_ok(weights_hash(&after, table, weights, fixture.compute, &fixture.error), fixture.error);
    assert_false(sha256_equal(&before, &after));
    fixture_destroy(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_agree_with_finite_differences),
        cmocka_unit_test(gradients_have_the_same_bits_on_every_path),
        cmocka_unit_test(cached_inference_equals_training_and_any_cut),
        cmocka_unit_test(counts_of_parameters_and_memory_agree),
        cmocka_unit_test(impossible_configurations_are_named),
        cmocka_unit_test(configuration_and_weights_survive_a_round_trip),
        cmocka_unit_test(the_hash_of_weights_notices_one_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
