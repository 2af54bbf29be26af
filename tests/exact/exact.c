/* What must have the same bits everywhere, written to standard output: every vector operation on
 * hard numbers, matrix products, and weights and moments of small models after some steps of
 * training. It needs nothing but the C library, so that it can be built for any processor and run
 * by an emulator; scripts/exact.sh compares the hashes.
 *
 * usage: exact operations|train [THREADS]      $RODNIK_ISA caps the instruction set */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "tensor/tensor_internal.h"
#include "train/train_internal.h"

static void must(status result, const struct error *error)
{
    if (result == OK)
        return;
    fprintf(stderr, "exact: %s\n", error->text);
    exit(1);
}

/* Little-endian words; all that are no numbers are one. */
static void emit(const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        if ((bits & 0x7fffffffu) > 0x7f800000u)
            bits = 0x7fc00000u;
        const unsigned char bytes[] = {(unsigned char)bits, (unsigned char)(bits >> 8),
                                       (unsigned char)(bits >> 16), (unsigned char)(bits >> 24)};
        if (fwrite(bytes, 1, sizeof bytes, stdout) != sizeof bytes)
            exit(1);
    }
}

/* Numbers of all sizes, among them denormals, zeros, infinities, numbers around the smallest normal
 * one, and halves of a unit in the last place. */
static void fill_hard(float *x, size_t count, uint64_t stream)
{
    static const uint32_t hard[] = {0x00000000, 0x80000000, 0x00000001, 0x807fffff,
                                    0x00400000, 0x00800000, 0x80800001, 0x00ffffff,
                                    0x3f800000, 0x3f7fffff, 0xbf800001, 0x7f800000,
                                    0xff800000, 0x7f7fffff, 0x33800000, 0x5f000000};
    const struct random_key key = {11, RANDOM_TEST, stream};
    for (size_t i = 0; i < count; i++) {
        uint64_t draw = random_u64(key, i);
        uint32_t bits = (uint32_t)draw;
        if (draw >> 60 == 0)
            bits = hard[draw >> 32 & 15];
        else if (draw >> 60 < 6) /* products near the smallest normal number */
            bits = (bits & 0x80ffffffu) | (uint32_t)(0x20 + (draw >> 40 & 0x3f) / 32) << 24;
        else if ((bits & 0x7f800000u) == 0x7f800000u)
            bits &= 0xbfffffffu;
        memcpy(x + i, &bits, sizeof bits);
    }
}

static void fill_even(float *x, size_t count, uint64_t stream)
{
    const struct random_key key = {12, RANDOM_TEST, stream};
    for (size_t i = 0; i < count; i++)
        x[i] = random_unit(key, i) * 2 - 1;
}

static void *take(struct arena *arena, size_t count, size_t size)
{
    struct error error = {0};
    void *block = arena_alloc(arena, count, size, &error);
    must(error.code, &error);
    return block;
}

/* ---- operations ---- */

static void emit_vectors(struct compute *compute, struct arena *arena)
{
    enum { COUNT = 1 << 16 };
    float *in[3], *out = take(arena, 2 * COUNT, sizeof *out);
    for (int i = 0; i < 3; i++) {
        in[i] = take(arena, COUNT, sizeof *in[i]);
        fill_hard(in[i], COUNT, (uint64_t)i);
    }
    for (int i = 0; i < VECTOR_OPERATIONS; i++) {
        if (!compute->vector->operation[i].apply)
            continue;
        memset(out, 0, 2 * COUNT * sizeof *out);
        compute->vector->operation[i].apply(out, in[0], in[1], in[2], COUNT);
        emit(out, COUNT);
    }
}

static void emit_products(struct compute *compute, struct arena *arena)
{
    static const size_t shapes[][3] = {{33, 70, 129}, {100, 17, 400}, {9, 500, 64}};
    enum { COUNT = 65536 };
    float *a = take(arena, COUNT, sizeof *a), *b = take(arena, COUNT, sizeof *b);
    float *out = take(arena, COUNT, sizeof *out);
    uint16_t *halves[] = {take(arena, COUNT, 2), take(arena, COUNT, 2)};
    fill_even(a, COUNT, 1);
    fill_even(b, COUNT, 2);
    for (size_t i = 0; i < COUNT; i += 97)
        a[i] *= 0x1p-120f;
    for (size_t i = 0; i < COUNT; i++) {
        halves[0][i] = bf16_from_f32(a[i]);
        halves[1][i] = bf16_from_f32(b[i]);
    }
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
            const size_t rows = shapes[s][0], columns = shapes[s][1], depth = shapes[s][2];
            bool half = type == DTYPE_BF16;
            struct product product = {
                .rows = rows,
                .columns = columns,
                .depth = depth,
                .a = {half ? (void *)halves[0] : a, (enum dtype)type, depth, false},
                .b = {half ? (void *)halves[1] : b, (enum dtype)type, depth, true},
                .out = out,
                .out_stride = columns};
            matrix_product(compute, &product);
            emit(out, rows * columns);
        }
}

/* ---- training ---- */

enum { STEPS = 3, SHARDS = 2, SHARD_ROWS = 1, LENGTH = 70, VOCABULARY = 150 };

struct variant {
    bool qk_norm, tied, muon;
    enum dtype type;
};

struct trial {
    struct model *model;
    struct training *training;
    struct optimizer *optimizer;
    float *loss;
    uint32_t tokens[SHARDS * SHARD_ROWS][LENGTH + 1], first_key[SHARD_ROWS][LENGTH];
};

static void make_tokens(struct trial *trial, int64_t step)
{
    const struct random_key key = {13, RANDOM_TEST, (uint64_t)step};
    for (size_t row = 0; row < SHARDS * SHARD_ROWS; row++)
        for (size_t i = 0; i <= LENGTH; i++) {
            uint64_t draw = random_below(key, row * (LENGTH + 1) + i, VOCABULARY);
            trial->tokens[row][i] =
                (uint32_t)(i % 3 ? (trial->tokens[row][i - 1] * 7 + 1) % VOCABULARY : draw);
        }
    for (size_t row = 0; row < SHARD_ROWS; row++)
        for (uint32_t i = 0; i < LENGTH; i++)
            trial->first_key[row][i] = i >= 33 ? 33 : 0; /* a document begins in the row */
}

static float shard(struct trial *trial, size_t index, float *gradients)
{
    uint32_t tokens[SHARD_ROWS * LENGTH], targets[SHARD_ROWS * LENGTH];
    for (size_t row = 0; row < SHARD_ROWS; row++) {
        const uint32_t *from = trial->tokens[index * SHARD_ROWS + row];
        memcpy(tokens + row * LENGTH, from, LENGTH * sizeof *tokens);
        memcpy(targets + row * LENGTH, from + 1, LENGTH * sizeof *targets);
    }
    struct batch batch = {.sequences = SHARD_ROWS,
                          .length = LENGTH,
                          .tokens = tokens,
                          .targets = targets,
                          .first_key = &trial->first_key[0][0]};
    model_gradients(trial->training, &batch, 1.0f / (SHARDS * SHARD_ROWS * LENGTH), gradients,
                    trial->loss);
    return sum_of_values(trial->model->compute, trial->loss, SHARD_ROWS * LENGTH);
}

static void emit_training(const struct variant *variant, struct compute *compute,
                          struct arena *arena)
{
    struct trial *trial = take(arena, 1, sizeof *trial);
    struct recipe *recipe = take(arena, 1, sizeof *recipe);
    struct error error = {0};
    float *gradients[SHARDS];
    *recipe = (struct recipe){.model = {.layers = 2,
                                        .width = 64,
                                        .heads = 2,
                                        .kv_heads = 1,
                                        .head_size = 64,
                                        .ffn_width = 128,
                                        .vocabulary = VOCABULARY,
                                        .context = LENGTH,
                                        .rope_theta = 10000,
                                        .norm_epsilon = 1e-5,
                                        .tied = variant->tied,
                                        .qk_norm = variant->qk_norm},
                              .matrix_optimizer = variant->muon ? MATRIX_MUON : MATRIX_ADAMW,
                              .learning_rate = 0.02,
                              .embedding_rate = 0.01,
                              .head_rate = 0.005,
                              .vector_rate = 0.005,
                              .beta1 = 0.9,
                              .beta2 = 0.95,
                              .epsilon = 1e-10,
                              .weight_decay = 0.05,
                              .momentum = 0.95,
                              .clip = 1};
    must(model_create(&trial->model, &recipe->model, variant->type, compute, arena, &error),
         &error);
    model_init(trial->model, 7);
    must(training_create(&trial->training, trial->model,
                         &(struct training_shape){SHARD_ROWS, LENGTH, variant->tied}, arena,
                         &error),
         &error);
    must(optimizer_create(&trial->optimizer, trial->model, recipe, arena, &error), &error);
    trial->loss = take(arena, SHARD_ROWS * LENGTH, sizeof *trial->loss);
    const size_t count = trial->model->table.total;
    for (size_t i = 0; i < SHARDS; i++)
        gradients[i] = take(arena, count, sizeof(float));
    for (int64_t step = 1; step <= STEPS; step++) {
        make_tokens(trial, step);
        float loss = 0;
        for (size_t i = 0; i < SHARDS; i++)
            loss += shard(trial, i, gradients[i]);
        add_arrays(compute, gradients[0], gradients[0], gradients[1], count);
        double norm = gradient_norm(trial->model, gradients[0]);
        const struct optimizer_update update = {
            .rate_share = 1, .grad_scale = norm > 1 ? (float)(1 / norm) : 1, .count = step};
        optimizer_step(trial->optimizer, gradients[0], &update);
        emit(&loss, 1);
    }
    emit(trial->model->weights, count);
    emit(trial->optimizer->first, count);
    emit(trial->optimizer->second, trial->optimizer->seconds.total);
}

int main(int argc, char **argv)
{
    static const struct variant variants[] = {{true, false, true, DTYPE_BF16},
                                              {false, true, false, DTYPE_F32},
                                              {true, true, true, DTYPE_F32}};
    struct error error = {0};
    struct compute *compute;
    struct arena *arena;
    int threads = argc > 2 ? atoi(argv[2]) : 1;
    must(arena_create(&arena, 0, &error), &error);
    must(compute_create(&compute, threads, &error), &error);
    const char *wanted = getenv("RODNIK_ISA");
    if (wanted && *wanted && strcmp(isa_name(compute_isa(compute)), wanted) != 0)
        return 77; /* this processor lacks it */
    if (argc > 1 && strcmp(argv[1], "operations") == 0) {
        emit_vectors(compute, arena);
        emit_products(compute, arena);
    } else
        for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
            emit_training(&variants[i], compute, arena);
    compute_destroy(compute);
    arena_destroy(arena);
    return fflush(stdout) == 0 ? 0 : 1;
}
