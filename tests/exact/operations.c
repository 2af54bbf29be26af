/* Vectors and every operation of tensor/ops.h, forward and backward. */
#include <stdio.h>
#include <string.h>

#include "exact.h"
#include "train/train_internal.h"

enum { VECTOR_COUNT = 1 << 15 };

/* A buffer of fresh numbers. */
struct source {
    const struct exact *exact;
    enum numbers numbers;
    uint64_t stream;
};

static float *draw(struct source *source, size_t count)
{
    float *x = take(source->exact->arena, count, sizeof *x);
    fill(x, count, source->numbers, source->stream++);
    return x;
}

static void *draw_as(struct source *source, enum dtype type, size_t count)
{
    float *x = draw(source, count);
    uint16_t *half = take(source->exact->arena, count, sizeof *half);
    for (size_t i = 0; i < count; i++)
        half[i] = bf16_from_f32(x[i]);
    return type == DTYPE_BF16 ? (void *)half : (void *)x;
}

static void *room(struct source *source, size_t count)
{
    return take(source->exact->arena, count, sizeof(float));
}

/* ---- vectors ---- */

static void emit_vectors(struct source *source)
{
    struct compute *compute = source->exact->compute;
    float *in[3], *out = room(source, 2 * VECTOR_COUNT);
    for (int i = 0; i < 3; i++)
        in[i] = draw(source, VECTOR_COUNT);
    for (int i = 0; i < VECTOR_OPERATIONS; i++) {
        if (!compute->vector->operation[i].apply)
            continue;
        section(compute->vector->operation[i].name);
        memset(out, 0, 2 * VECTOR_COUNT * sizeof *out);
        compute->vector->operation[i].apply(out, in[0], in[1], in[2], VECTOR_COUNT);
        emit(out, VECTOR_COUNT);
    }
}

/* ---- matrix products ---- */

static void emit_product(struct source *source, const size_t *shape, enum dtype type, int form)
{
    size_t rows = shape[0], columns = shape[1], depth = shape[2], stride = columns + 3;
    bool a_turned = form & 1, b_turned = form & 2;
    struct product product = {
        .rows = rows,
        .columns = columns,
        .depth = depth,
        .a = {draw_as(source, type, rows * depth), type, a_turned ? rows : depth, a_turned},
        .b = {draw_as(source, type, columns * depth), type, b_turned ? depth : columns, b_turned},
        .out = draw(source, rows * stride),
        .out_stride = stride,
        .accumulate = form & 4};
    matrix_product(source->exact->compute, &product);
    emit(product.out, rows * stride);
}

static void emit_gram(struct source *source, enum dtype type, size_t side, size_t depth)
{
    void *x = draw_as(source, type, side * depth);
    struct product product = {.rows = side,
                              .columns = side,
                              .depth = depth,
                              .a = {x, type, depth, false},
                              .b = {x, type, depth, true},
                              .out = room(source, side * side),
                              .out_stride = side,
                              .symmetric = true};
    matrix_product(source->exact->compute, &product);
    emit(product.out, side * side);
}

static void emit_packed(struct source *source, enum dtype type, size_t depth, size_t columns)
{
    struct compute *compute = source->exact->compute;
    struct error error = {0};
    struct packed_matrix packed;
    struct operand b = {draw_as(source, type, columns * depth), type, depth, true};
    must(matrix_pack(&packed, compute, b, depth, columns, source->exact->arena, &error), &error);
    for (size_t rows = 1; rows <= 9; rows += 2) {
        float *out = room(source, rows * columns);
        matrix_product_packed(compute, out, columns, draw_as(source, type, rows * depth), rows,
                              &packed);
        emit(out, rows * columns);
    }
}

static void emit_products(struct source *source)
{
    static const size_t shapes[][3] = {{33, 70, 129}, {100, 17, 400}, {9, 130, 64},
                                       {1, 47, 31},   {50, 1, 77},    {7, 7, 1}};
    section("products");
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int form = 0; form < 8; form += s < 1 ? 1 : 3)
                emit_product(source, shapes[s], (enum dtype)type, form);
        emit_gram(source, (enum dtype)type, 45, 66);
        emit_packed(source, (enum dtype)type, 71, 49);
    }
}

/* ---- rows and elements ---- */

static void emit_elements(struct source *source)
{
    enum { COUNT = 4096 * 5 + 37 };
    struct compute *compute = source->exact->compute;
    float *a = draw(source, COUNT), *b = draw(source, COUNT);
    uint16_t *half = room(source, COUNT);
    section("elements");
    convert_array(compute, (struct array){half, DTYPE_BF16}, (struct const_array){a, DTYPE_F32},
                  COUNT);
    emit_halves(half, COUNT);
    float sums[] = {sum_of_squares(compute, a, COUNT), sum_of_values(compute, a, COUNT),
                    all_finite(compute, a, COUNT), sum_of_values(compute, a, 19)};
    emit(sums, 4);
    residual_add(compute, a, b, COUNT);
    emit(a, COUNT);
    scale_array(compute, b, 0.3f, COUNT);
    emit(b, COUNT);
    convert_array(compute, (struct array){a, DTYPE_F32}, (struct const_array){half, DTYPE_BF16},
                  COUNT);
    emit(a, COUNT);
    random_normal(compute, a, 1000, 0.02f, 5, source->stream);
    emit(a, 1000);
}

static void emit_embedding(struct source *source)
{
    enum { VOCABULARY = 23, COUNT = 61, WIDTH = 37 };
    struct compute *compute = source->exact->compute;
    uint32_t tokens[COUNT];
    for (uint32_t i = 0; i < COUNT; i++)
        tokens[i] = i * i % VOCABULARY;
    float *table = draw(source, VOCABULARY * WIDTH), *out = room(source, COUNT * WIDTH);
    section("embedding");
    embedding_forward(compute, out, table, tokens, COUNT, WIDTH);
    emit(out, COUNT * WIDTH);
    embedding_backward(compute, table, draw(source, COUNT * WIDTH), tokens, COUNT, WIDTH);
    emit(table, VOCABULARY * WIDTH);
}

static void emit_norm(struct source *source, const struct rmsnorm *shape, enum dtype type,
                      bool accumulate)
{
    struct compute *compute = source->exact->compute;
    size_t parts = shape->parts ? shape->parts : 1;
    size_t in = shape->rows * shape->x_stride, out = shape->rows * shape->out_stride;
    float *x = draw(source, in), *weight = draw(source, shape->width);
    float *scale = room(source, shape->rows * parts), *y = room(source, out);
    rmsnorm_forward(compute, shape, (struct array){y, type}, scale, x, weight);
    emit_as(y, type, out);
    emit(scale, shape->rows * parts);
    const struct rmsnorm_gradients gradients = {draw(source, in), draw(source, shape->width),
                                                accumulate};
    rmsnorm_backward(compute, shape, &gradients, draw(source, out), x, weight, scale);
    emit(gradients.grad_x, in);
    emit(gradients.grad_weight, shape->width);
}

static void emit_norms(struct source *source)
{
    const struct rmsnorm wide = {
        .rows = 13, .width = 149, .x_stride = 151, .out_stride = 150, .epsilon = 1e-5f};
    const struct rmsnorm heads = {
        .rows = 9, .width = 48, .x_stride = 161, .out_stride = 161, .epsilon = 1e-5f, .parts = 3};
    const struct rmsnorm narrow = {.rows = 5, .width = 7, .x_stride = 7, .out_stride = 7};
    section("norms");
    emit_norm(source, &wide, DTYPE_F32, true);
    emit_norm(source, &wide, DTYPE_BF16, false);
    emit_norm(source, &heads, DTYPE_F32, false);
    emit_norm(source, &narrow, DTYPE_F32, true);
}

static void emit_rotary(struct source *source)
{
    enum { POSITIONS = 130, ROWS = 11, HEADS = 3, SIZE = 48, STRIDE = HEADS * SIZE + 5 };
    struct error error = {0};
    float *table = NULL, *x = draw(source, ROWS * STRIDE);
    uint32_t positions[ROWS];
    for (uint32_t i = 0; i < ROWS; i++)
        positions[i] = (i * 37 + 1) % POSITIONS;
    section("rotary");
    must(rotary_table(&table, POSITIONS, SIZE, 10000, source->exact->arena, &error), &error);
    emit(table, POSITIONS * SIZE);
    struct rotary rotary = {ROWS, HEADS, SIZE, STRIDE, table, positions, false};
    rotary_apply(source->exact->compute, x, &rotary);
    emit(x, ROWS * STRIDE);
    rotary.inverse = true;
    fill(x, ROWS * STRIDE, source->numbers, source->stream++);
    rotary_apply(source->exact->compute, x, &rotary);
    emit(x, ROWS * STRIDE);
}

static void emit_gating(struct source *source)
{
    enum { ROWS = 9, WIDTH = 117 };
    struct compute *compute = source->exact->compute;
    float *gate_up = draw(source, ROWS * 2 * WIDTH), *out = room(source, ROWS * 2 * WIDTH);
    for (size_t i = 0; i < ROWS * 2 * WIDTH && source->numbers == NUMBERS_EVEN; i++)
        gate_up[i] *= 12; /* where the sigmoid bends */
    section("swiglu");
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        swiglu_forward(compute, (struct array){out, (enum dtype)type}, gate_up, ROWS, WIDTH);
        emit_as(out, (enum dtype)type, ROWS * WIDTH);
        swiglu_backward(compute, (struct array){out, (enum dtype)type}, draw(source, ROWS * WIDTH),
                        gate_up, ROWS, WIDTH);
        emit_as(out, (enum dtype)type, ROWS * 2 * WIDTH);
    }
}

/* ---- attention ---- */

enum { HEADS = 4, KV_HEADS = 2 };

/* Queries at the end of the keys, as in inference. */
static void emit_cached_attention(struct source *source, size_t queries, size_t keys)
{
    enum { SIZE = 48, STRIDE = (HEADS + 2 * KV_HEADS) * SIZE, KV = KV_HEADS * SIZE };
    struct attention shape = {.sequences = 1,
                              .queries = queries,
                              .keys = keys,
                              .query_first = keys - queries,
                              .heads = HEADS,
                              .kv_heads = KV_HEADS,
                              .head_size = SIZE,
                              .query_stride = STRIDE,
                              .kv_stride = KV,
                              .kv_sequence_stride = keys * KV};
    struct attention_inputs in = {draw(source, queries * STRIDE), draw(source, keys * KV),
                                  draw(source, keys * KV)};
    float *out = room(source, queries * HEADS * SIZE);
    attention_forward(source->exact->compute, &shape, (struct array){out, DTYPE_F32}, NULL, &in);
    emit(out, queries * HEADS * SIZE);
}

static void emit_trained_attention(struct source *source, size_t head_size, enum dtype type,
                                   bool documents)
{
    enum { SEQUENCES = 2, LENGTH = 131 };
    struct compute *compute = source->exact->compute;
    size_t stride = (HEADS + 2 * KV_HEADS) * head_size, rows = SEQUENCES * LENGTH;
    size_t count = rows * stride, width = HEADS * head_size;
    uint32_t first_key[SEQUENCES * LENGTH];
    for (uint32_t i = 0; i < SEQUENCES * LENGTH; i++)
        first_key[i] = i % LENGTH < 17 ? 0 : i % LENGTH < 90 ? 17 : 90;
    struct attention shape = {.sequences = SEQUENCES,
                              .queries = LENGTH,
                              .keys = LENGTH,
                              .heads = HEADS,
                              .kv_heads = KV_HEADS,
                              .head_size = head_size,
                              .query_stride = stride,
                              .kv_stride = stride,
                              .kv_sequence_stride = LENGTH * stride,
                              .first_key = documents ? first_key : NULL};
    float *x = draw(source, count), *log_sum = room(source, rows * HEADS);
    struct attention_inputs in = {x, x + width, x + width + KV_HEADS * head_size};
    float *out = room(source, rows * width), *grad = room(source, count);
    attention_forward(compute, &shape, (struct array){out, type}, log_sum, &in);
    emit_as(out, type, rows * width);
    emit(log_sum, rows * HEADS);
    struct attention_gradients gradients = {grad, grad + width,
                                            grad + width + KV_HEADS * head_size};
    attention_backward(compute, &shape, &gradients, draw(source, rows * width),
                       (struct const_array){out, type}, log_sum, &in);
    emit(grad, count);
}

static void emit_attention(struct source *source)
{
    section("attention, forward");
    emit_cached_attention(source, 1, 1);
    emit_cached_attention(source, 1, 130);
    emit_cached_attention(source, 35, 99);
    section("attention, both ways");
    emit_trained_attention(source, 16, DTYPE_F32, true);
    emit_trained_attention(source, 32, DTYPE_BF16, false);
}

/* ---- loss ---- */

static void emit_loss(struct source *source)
{
    enum { ROWS = 261, WIDTH = 19, VOCABULARY = 53 }; /* more rows than a chunk */
    struct compute *compute = source->exact->compute;
    uint32_t target[ROWS];
    for (uint32_t i = 0; i < ROWS; i++)
        target[i] = i % 11 == 3 ? TARGET_NONE : i * 7 % VOCABULARY;
    section("loss");
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        struct cross_entropy in = {
            .rows = ROWS,
            .width = WIDTH,
            .vocabulary = VOCABULARY,
            .x = {draw_as(source, (enum dtype)type, ROWS * WIDTH), (enum dtype)type},
            .head = {draw_as(source, (enum dtype)type, VOCABULARY * WIDTH), (enum dtype)type},
            .target = target,
            .grad_scale = 0.01f,
            .accumulate = true,
            .scratch =
                take(source->exact->arena, cross_entropy_scratch_bytes(ROWS, VOCABULARY), 1)};
        float *loss = room(source, ROWS), *grad_x = room(source, ROWS * WIDTH);
        float *grad_head = draw(source, VOCABULARY * WIDTH);
        cross_entropy(compute, &in, loss, grad_x, grad_head);
        emit(loss, ROWS);
        emit(grad_x, ROWS * WIDTH);
        emit(grad_head, VOCABULARY * WIDTH);
        cross_entropy(compute, &in, loss, NULL, NULL);
        emit(loss, ROWS);
    }
}

/* ---- optimizers ---- */

static void emit_adamw(struct source *source)
{
    enum { COUNT = 1237 };
    struct adamw settings = {.learning_rate = 0.01f,
                             .beta1 = 0.9f,
                             .beta2 = 0.95f,
                             .epsilon = 1e-10f,
                             .weight_decay = 0.1f,
                             .grad_scale = 0.7f};
    struct adamw_state state = {draw(source, COUNT), draw(source, COUNT), draw(source, COUNT),
                                room(source, COUNT)};
    section("adamw");
    for (settings.step = 1; settings.step <= 3; settings.step++)
        adamw_step(source->exact->compute, &settings, &state, draw(source, COUNT), COUNT);
    emit(state.weight, COUNT);
    emit(state.first, COUNT);
    emit(state.second, COUNT);
    emit_halves(state.copy, COUNT);
}

static void emit_muon(struct source *source, size_t rows, size_t columns)
{
    size_t count = rows * columns;
    const struct muon settings = {
        .learning_rate = 0.02f,
        .momentum = 0.95f,
        .weight_decay = 0.1f,
        .grad_scale = 0.7f,
        .rows = rows,
        .columns = columns,
        .scratch = take(source->exact->arena, muon_scratch_bytes(rows, columns), 1)};
    const struct muon_state state = {draw(source, count), draw(source, count), room(source, count)};
    muon_step(source->exact->compute, &settings, &state, draw(source, count));
    emit(state.weight, count);
    emit(state.momentum, count);
    emit_halves(state.copy, count);
}

static void emit_muons(struct source *source)
{
    section("muon");
    emit_muon(source, 24, 77);
    emit_muon(source, 49, 16);
    emit_muon(source, 32, 32);
}

/* ---- which steps are taken, at what rate ---- */

/* A falling loss with noise, spikes and what is not a number: verdicts and windows. */
static void emit_watch(const struct exact *exact)
{
    enum { COUNT = 400 };
    struct watch *watch = take(exact->arena, 1, sizeof *watch);
    float *noise = take(exact->arena, 2 * COUNT, sizeof *noise), verdicts[COUNT];
    fill(noise, 2 * COUNT, NUMBERS_EVEN, 77);
    section("watch");
    for (int i = 0; i < COUNT; i++) {
        float loss = 2 + 3 / (float)(i + 1) + 0.05f * noise[2 * i];
        float norm = 0.5f + 0.2f * noise[2 * i + 1];
        if (i % 90 == 89)
            loss = i % 180 == 89 ? 9 : __builtin_nanf("");
        if (i % 70 == 69)
            norm = 7;
        verdicts[i] = (float)watch_judge(watch, loss, norm);
    }
    emit(verdicts, COUNT);
    emit(watch->loss, WATCH_WINDOW);
    emit(watch->norm, WATCH_WINDOW);
}

static void emit_schedule(const struct exact *exact)
{
    const struct recipe recipe = {.steps = 101, .warmup = 0.123, .decay = 0.4, .final_rate = 0.07};
    (void)exact;
    section("schedule");
    for (int64_t step = 1; step <= recipe.steps; step++) {
        double share = schedule_share(&recipe, step);
        float high = (float)share, rest = (float)(share - (double)high);
        emit(&high, 1);
        emit(&rest, 1);
    }
}

void emit_operations(const struct exact *exact)
{
    static const char *const names[] = {"even", "ties", "odd", "hard"};
    for (int numbers = 0; numbers < NUMBERS_COUNT; numbers++) {
        struct source source = {exact, (enum numbers)numbers, 0};
        section(names[numbers]);
        emit_vectors(&source);
        emit_products(&source);
        emit_elements(&source);
        emit_embedding(&source);
        emit_norms(&source);
        emit_rotary(&source);
        emit_gating(&source);
        emit_attention(&source);
        emit_loss(&source);
        emit_adamw(&source);
        emit_muons(&source);
    }
    emit_watch(exact);
    emit_schedule(exact);
}
