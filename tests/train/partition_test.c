/* Who keeps which moments, seen from every process. */
#include "train_support.h"

#include <math.h>

enum { PROCESSES_MAX = 8 };

static const struct model_config config = {.layers = 3,
                                           .width = 256,
                                           .heads = 4,
                                           .kv_heads = 2,
                                           .head_size = 64,
                                           .ffn_width = 704,
                                           .vocabulary = 20000,
                                           .context = 64,
                                           .rope_theta = 10000,
                                           .norm_epsilon = 1e-5,
                                           .qk_norm = true};

struct seen { /* by all processes together */
    size_t first, second, first_most;
};

/* Parts cover every weight in order, whole where Muon steps, and everybody sees the same. */
static void check_parts(const struct partition *partition, const struct weight_table *table,
                        const struct partition *rank0)
{
    size_t at = 0;
    assert_int_equal(partition->count, rank0->count);
    for (size_t i = 0; i < partition->count; i++) {
        const struct part *part = &partition->parts[i];
        const struct weight *weight = &table->weights[part->weight];
        size_t inside = part->begin - weight->offset, all = weight->rows * weight->columns;
        assert_int_equal(part->begin, at);
        assert_int_equal(part->owner, rank0->parts[i].owner);
        assert_int_equal(partition->elements.start[i], at);
        assert_int_equal(partition->elements.owner[i], part->owner);
        assert_true(inside + part->count <= all && inside % PART_CUT == 0);
        assert_true(inside + part->count == all || part->count % PART_CUT == 0);
        if (part->muon)
            assert_int_equal(part->count, all);
        at += part->count;
    }
    assert_int_equal(at, table->total);
    assert_int_equal(partition->elements.start[partition->count], at);
}

static void add_own(struct seen *seen, const struct partition *partition)
{
    size_t first = 0, second = 0;
    for (size_t i = 0; i < partition->count; i++) {
        const struct part *part = &partition->parts[i];
        if (!part->own)
            continue;
        assert_int_equal(part->first_at, first);
        first += part->count;
        if (part->muon)
            continue;
        assert_int_equal(part->second_at, second);
        second += part->count;
    }
    assert_int_equal(partition->first_count, first);
    assert_int_equal(partition->second_count, second);
    seen->first += first;
    seen->second += second;
    seen->first_most = first > seen->first_most ? first : seen->first_most;
}

static void every_moment_has_one_keeper_and_all_processes_agree(void **state)
{
    (void)state;
    struct error error = {0};
    struct arena *arena;
    struct weight_table table;
    struct recipe recipe;
    memset(&recipe, 0, sizeof recipe);
    config_defaults(&recipe, recipe_table);
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(weight_table_create(&table, &config, arena, &error), error);
    for (int optimizer = MATRIX_ADAMW; optimizer <= MATRIX_MUON; optimizer++)
        for (int count = 1; count <= PROCESSES_MAX; count *= 2) {
            struct seen seen = {0};
            struct partition rank0 = {0}, partition;
            recipe.matrix_optimizer = optimizer;
            for (int rank = 0; rank < count; rank++) {
                assert_ok(partition_create(&partition, &table, &recipe, (struct seat){rank, count},
                                           arena, &error),
                          error);
                rank0 = rank ? rank0 : partition;
                check_parts(&partition, &table, &rank0);
                add_own(&seen, &partition);
            }
            assert_int_equal(seen.first, table.total);
            assert_true(optimizer == MATRIX_MUON ? seen.second < seen.first
                                                 : seen.second == seen.first);
            if (optimizer == MATRIX_ADAMW) /* balanced up to one piece */
                assert_true(seen.first_most <= table.total / (size_t)count + PART_CUT);
        }
    arena_destroy(arena);
}

static void one_process_keeps_every_weight_whole(void **state)
{
    (void)state;
    struct error error = {0};
    struct arena *arena;
    struct weight_table table;
    struct partition partition;
    struct recipe recipe;
    memset(&recipe, 0, sizeof recipe);
    config_defaults(&recipe, recipe_table);
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(weight_table_create(&table, &config, arena, &error), error);
    assert_ok(partition_create(&partition, &table, &recipe, (struct seat){0, 1}, arena, &error),
              error);
    assert_int_equal(partition.count, table.count);
    arena_destroy(arena);
}

/* Cut weights need several blocks and pieces of hashes; with one process nothing is exchanged, so
 * the sums must be those of whole tensors. */
static void the_norm_is_that_of_whole_tensors(void **state)
{
    (void)state;
    struct error error = {0};
    struct arena *arena;
    struct model *model;
    struct optimizer *optimizer;
    struct compute *compute;
    struct recipe recipe;
    memset(&recipe, 0, sizeof recipe);
    config_defaults(&recipe, recipe_table);
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(compute_create(&compute, 2, &error), error);
    assert_ok(model_create(&model, &config, DTYPE_F32, compute, arena, &error), error);
    assert_ok(optimizer_create(&optimizer, model, &recipe, only_process(), arena, &error), error);
    model_init(model, 3);
    double sum = 0;
    for (size_t i = 0; i < model->table.count; i++) {
        const struct weight *weight = &model->table.weights[i];
        sum += (double)sum_of_squares(compute, model->weights + weight->offset,
                                      weight->rows * weight->columns);
    }
    assert_true(optimizer_norm(optimizer, model->weights) == sqrt(sum));
    compute_destroy(compute);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_moment_has_one_keeper_and_all_processes_agree),
        cmocka_unit_test(one_process_keeps_every_weight_whole),
        cmocka_unit_test(the_norm_is_that_of_whole_tensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
