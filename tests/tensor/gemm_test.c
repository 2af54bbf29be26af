/* Matrix products against plain loops, bit for bit, on every path of this machine. */
#include "tensor/reference.h"
#include "tensor/tensor_internal.h"
#include "tensor_support.h"

enum { SIDE_MAX = 1100, ELEMENTS = SIDE_MAX * SIDE_MAX };

struct arrays {
    float *a, *b, *out, *expected;
    uint16_t *a_half, *b_half;
};

static struct arrays make_arrays(void)
{
    struct arrays x = {malloc(ELEMENTS * 4), malloc(ELEMENTS * 4), malloc(ELEMENTS * 4),
                       malloc(ELEMENTS * 4), malloc(ELEMENTS * 2), malloc(ELEMENTS * 2)};
    struct random_key key = {3, RANDOM_TEST, 1};
    assert_true(x.a && x.b && x.out && x.expected && x.a_half && x.b_half);
    for (size_t i = 0; i < ELEMENTS; i++) {
        struct random_block block = random_philox(key, i);
        x.a[i] = (float)(int32_t)block.word[0] * 0x1p-31f;
        x.b[i] = (float)(int32_t)block.word[1] * 0x1p-31f;
        if (block.word[2] % 64 == 0) /* tiny: products underflow; and denormals, which are zero */
            x.a[i] = float_of(block.word[0] & 0x80ffffffu);
        x.a_half[i] = bf16_from_f32(x.a[i]);
        x.b_half[i] = bf16_from_f32(x.b[i]);
    }
    return x;
}

static void free_arrays(struct arrays *x)
{
    void *const blocks[] = {x->a, x->b, x->out, x->expected, x->a_half, x->b_half};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
}

struct shape {
    size_t rows, columns, depth;
};

static struct product make_product(const struct arrays *x, struct shape shape, int variant,
                                   enum dtype type)
{
    bool a_turned = variant & 1, b_turned = variant & 2;
    const void *a = type == DTYPE_BF16 ? (const void *)x->a_half : x->a;
    const void *b = type == DTYPE_BF16 ? (const void *)x->b_half : x->b;
    size_t gap = variant & 8 ? 5 : 0; /* rows further apart than they are long */
    return (struct product){
        .rows = shape.rows,
        .columns = shape.columns,
        .depth = shape.depth,
        .a = {a, type, (a_turned ? shape.rows : shape.depth) + gap, a_turned},
        .b = {b, type, (b_turned ? shape.depth : shape.columns) + gap, b_turned},
        .out_stride = shape.columns + gap,
        .accumulate = variant & 4};
}

static void compare(const struct machines *machines, const struct arrays *x, struct product product,
                    const char *what)
{
    size_t count = product.rows * product.out_stride;
    for (size_t i = 0; i < count; i++)
        x->expected[i] = x->b[ELEMENTS - 1 - i];
    product.out = x->expected;
    reference_product(&product);
    for (size_t m = 0; m < machines->count; m++) {
        for (size_t i = 0; i < count; i++)
            x->out[i] = x->b[ELEMENTS - 1 - i];
        product.out = x->out;
        matrix_product(machines->list[m], &product);
        if (memcmp(x->out, x->expected, count * sizeof *x->out))
            fail_msg("%s: %zu x %zu x %zu differs on %s with %d threads", what, product.rows,
                     product.columns, product.depth, isa_name(compute_isa(machines->list[m])),
                     compute_threads(machines->list[m]));
    }
}

static void every_shape_and_arrangement_gives_the_bits_of_plain_loops(void **state)
{
    (void)state;
    static const struct shape shapes[] = {
        {1, 1, 1},   {1, 33, 7},  {14, 32, 64},   {15, 31, 65},   {13, 64, 2},   {3, 100, 129},
        {70, 5, 40}, {29, 97, 3}, {28, 96, 300},  {100, 40, 513}, {2, 200, 600}, {64, 64, 0},
        {8, 48, 16}, {9, 49, 17}, {40, 150, 800}, {144, 48, 802}};
    struct machines machines;
    struct arrays x = make_arrays();
    machines_create(&machines);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int variant = 0; variant < 16; variant++)
            for (int type = DTYPE_F32; type <= DTYPE_BF16; type++)
                compare(&machines, &x, make_product(&x, shapes[s], variant, (enum dtype)type),
                        type == DTYPE_BF16 ? "bf16" : "f32");
    machines_destroy(&machines);
    free_arrays(&x);
}

static void infinities_stay_where_they_belong(void **state)
{
    (void)state;
    struct machines machines;
    struct arrays x = make_arrays();
    machines_create(&machines);
    x.a_half[5] = 0x7f80;
    x.a[5] = INFINITY;
    x.b[40] = -INFINITY;
    x.b_half[40] = 0xff80;
    compare(&machines, &x, make_product(&x, (struct shape){20, 40, 30}, 0, DTYPE_F32), "f32");
    compare(&machines, &x, make_product(&x, (struct shape){20, 40, 30}, 0, DTYPE_BF16), "bf16");
    machines_destroy(&machines);
    free_arrays(&x);
}

/* Slabs of the depth, and more shared lanes than make a block, must not show.  Small blocks let
 * small products have many. */
static void long_chains_do_not_depend_on_blocks(void **state)
{
    (void)state;
    static const struct shape shapes[] = {{40, 33, 9001},  {3, 9000, 50},  {9000, 3, 50},
                                          {200, 150, 390}, {73, 201, 771}, {120, 121, 1600}};
    static const size_t block_bytes[] = {BLOCK_BYTES_MAX, 96 << 10, 200 << 10};
    struct machines machines;
    struct arrays x = make_arrays();
    machines_create(&machines);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t b = 0; b < sizeof block_bytes / sizeof *block_bytes; b++) {
            for (size_t m = 0; m < machines.count; m++)
                machines.list[m]->block_bytes = block_bytes[b];
            for (int type = DTYPE_F32; type <= DTYPE_BF16; type++)
                compare(&machines, &x, make_product(&x, shapes[s], 2, (enum dtype)type), "long");
        }
    machines_destroy(&machines);
    free_arrays(&x);
}

/* x x^T: half of it is copied; the bits are those of all of it. */
static void symmetric_results_have_the_bits_of_whole_ones(void **state)
{
    (void)state;
    static const struct shape shapes[] = {{1, 1, 5}, {47, 47, 30}, {130, 130, 64}, {300, 300, 65}};
    struct machines machines;
    struct arrays x = make_arrays();
    machines_create(&machines);
    for (size_t m = 0; m < machines.count; m++)
        machines.list[m]->block_bytes = 24 << 10; /* the largest has several blocks */
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
            struct product product = make_product(&x, shapes[s], 0, (enum dtype)type);
            product.b = product.a;
            product.b.transposed = true;
            product.symmetric = true;
            compare(&machines, &x, product, "symmetric");
        }
    machines_destroy(&machines);
    free_arrays(&x);
}

static void packed_products_have_the_same_bits(void **state)
{
    (void)state;
    static const struct shape shapes[] = {{1, 64, 128}, {4, 33, 65}, {5, 31, 3}, {9, 100, 200}};
    struct machines machines;
    struct arrays x = make_arrays();
    machines_create(&machines);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
            struct product product = make_product(&x, shapes[s], 2, (enum dtype)type);
            product.out = x.expected;
            reference_product(&product);
            for (size_t m = 0; m < machines.count; m++) {
                struct error error = {0};
                struct arena *arena;
                struct packed_matrix packed;
                assert_ok(arena_create(&arena, 0, &error), error);
                assert_ok(matrix_pack(&packed, machines.list[m], product.b, product.depth,
                                      product.columns, arena, &error),
                          error);
                matrix_product_packed(machines.list[m], x.out, product.columns, product.a.data,
                                      product.rows, &packed);
                assert_memory_equal(x.out, x.expected, product.rows * product.columns * 4);
                arena_destroy(arena);
            }
        }
    machines_destroy(&machines);
    free_arrays(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_and_arrangement_gives_the_bits_of_plain_loops),
        cmocka_unit_test(infinities_stay_where_they_belong),
        cmocka_unit_test(long_chains_do_not_depend_on_blocks),
        cmocka_unit_test(symmetric_results_have_the_bits_of_whole_ones),
        cmocka_unit_test(packed_products_have_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
