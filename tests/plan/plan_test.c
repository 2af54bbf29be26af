/* The plan and the dial: parts against the program and against numbers computed by hand; what more
 * time, texts, memory and machines do. */
#include "train/train_support.h"

#include <math.h>

#include "plan/dial.h"

static struct recipe small_recipe(void)
{
    struct recipe recipe;
    memset(&recipe, 0, sizeof recipe);
    config_defaults(&recipe, recipe_table);
    recipe.model = (struct model_config){.layers = 2,
                                         .width = 128,
                                         .heads = 2,
                                         .kv_heads = 1,
                                         .head_size = 64,
                                         .ffn_width = 320,
                                         .vocabulary = 1000,
                                         .context = 64,
                                         .rope_theta = 10000,
                                         .norm_epsilon = 1e-5,
                                         .tied = true,
                                         .qk_norm = true};
    recipe.sequence = 64;
    recipe.batch = 32;
    recipe.micro_batch = 4;
    recipe.shards = 8;
    recipe.steps = 10;
    return recipe;
}

static struct plan_cluster one_node(void)
{
    return (struct plan_cluster){.nodes = 1,
                                 .processes = 1,
                                 .rates = {1e11, 2e11, 5e10, 4e10, 5e10},
                                 .link_bytes = 1e9,
                                 .link_latency_s = 1e-4,
                                 .node_hour_price = 2};
}

static struct plan planned(const struct recipe *recipe, double tokens,
                           const struct plan_cluster *cluster)
{
    struct error error = {0};
    struct plan plan;
    assert_ok(plan_make(&plan, recipe, tokens, cluster, &error), error);
    return plan;
}

static void near(double value, double expected, double share)
{
    if (fabs(value - expected) > share * fabs(expected))
        fail_msg("%.9g, expected %.9g", value, expected);
}

/* ---- the plan ---- */

static void work_is_that_of_the_model(void **state)
{
    (void)state;
    struct recipe recipe = small_recipe();
    struct plan_work work = plan_work_of(&recipe);
    /* 2 layers of 128 * (128 q + 64 k + 64 v) + 128 * 128 + 3 * 128 * 320 weights */
    assert_true(work.blocks == 6.0 * 2 * (128 * 256 + 128 * 128 + 3 * 128 * 320));
    assert_true(work.head == 6.0 * 1000 * 128);
    assert_true(work.attention == 6.0 * 2 * 128 * 64);
    assert_true(work.blocks + work.head + work.attention ==
                model_flops_per_token(&recipe.model, 64));
}

static void parts_add_up(void **state)
{
    (void)state;
    struct recipe recipe = small_recipe();
    struct plan_cluster cluster = one_node();
    cluster.nodes = 4;
    struct plan plan = planned(&recipe, 1e6, &cluster);
    const struct plan_memory *memory = &plan.memory;
    const struct plan_time *time = &plan.time;
    near(memory->weights + memory->copy + memory->gradients + memory->exchange + memory->moments +
             memory->scratch + memory->activations + memory->logits + memory->tables +
             memory->program,
         memory->total, 1e-12);
    near(time->blocks + time->head + time->attention + time->muon, time->arithmetic, 1e-12);
    near(time->rows + time->parameters, time->memory, 1e-12);
    near(time->reduce + time->gather - time->hidden, time->network, 1e-12);
    near(time->arithmetic + time->memory + time->network, time->step, 1e-12);
    assert_true(memory->exchange == 4.0 * (8 << 20));
    assert_int_equal(plan.steps, 489); /* of 2,048 tokens */
    near(plan.run_s, 489 * time->step, 1e-12);
    near(plan.cost, plan.run_s / 3600 * 4 * 2, 1e-12);
}

static void a_step_is_what_one_computes_by_hand(void **state)
{
    (void)state;
    struct recipe recipe = small_recipe();
    recipe.matrix_optimizer = MATRIX_ADAMW;
    struct plan_cluster cluster = one_node();
    struct plan plan = planned(&recipe, 0, &cluster);
    double tokens = 32 * 64, weights = (double)model_parameters(&recipe.model);
    near(plan.time.blocks, tokens * 6 * 344064 / 1e11, 1e-12);
    near(plan.time.head, tokens * 768000 / 2e11, 1e-12);
    near(plan.time.attention, tokens * 98304 / 5e10, 1e-12);
    assert_true(plan.time.muon == 0 && plan.time.network == 0);
    /* norm 4, seven sums 84, AdamW 30 bytes */
    near(plan.time.parameters, weights * (4 + 84 + 30) / 5e10, 1e-12);
    assert_true(plan.memory.exchange == 0);
    assert_int_equal(plan.steps, 10);
    near(plan.checkpoint_bytes, weights * 12, 1e-12);
}

static void memory_is_what_the_program_takes(void **state)
{
    (void)state;
    struct error error = {0};
    for (int muon = 0; muon < 2; muon++)
        for (int recompute = 0; recompute < 2; recompute++) {
            struct recipe recipe = small_recipe();
            struct compute *compute;
            struct arena *arena;
            struct model *model;
            struct optimizer *optimizer;
            struct training *training;
            recipe.matrix_optimizer = muon ? MATRIX_MUON : MATRIX_ADAMW;
            recipe.recompute = recompute;
            assert_ok(compute_create(&compute, 1, &error), error);
            assert_ok(arena_create(&arena, 0, &error), error);
            assert_ok(model_create(&model, &recipe.model, DTYPE_BF16, compute, arena, &error),
                      error);
            assert_ok(optimizer_create(&optimizer, model, &recipe, only_process(), arena, &error),
                      error);
            const struct training_shape shape = {4, 64, recompute, 1};
            assert_ok(training_create(&training, model, &shape, arena, &error), error);
            struct plan_cluster cluster = one_node();
            struct plan_memory memory = planned(&recipe, 0, &cluster).memory;
            double tables = 4.0 * 64 * 64; /* of these the rotary one */
            near((double)arena_used_bytes(arena),
                 memory.weights + memory.copy + memory.moments + memory.scratch +
                     memory.activations + memory.logits + tables,
                 0.01);
            assert_true(memory.gradients == 4.0 * (double)model->table.total * 4); /* 8 shards */
            arena_destroy(arena);
            compute_destroy(compute);
        }
}

static void more_nodes_take_less_time_and_more_network(void **state)
{
    (void)state;
    struct recipe recipe = small_recipe();
    struct plan_cluster cluster = one_node();
    struct plan before = planned(&recipe, 1e8, &cluster);
    for (cluster.nodes = 2; cluster.nodes <= 8; cluster.nodes *= 2) {
        struct plan plan = planned(&recipe, 1e8, &cluster);
        assert_true(plan.runs);
        assert_true(plan.time.arithmetic < before.time.arithmetic);
        assert_true(plan.time.reduce > before.time.reduce);
        assert_true(plan.memory.moments < before.memory.moments);
        assert_true(plan.time.hidden <= plan.time.reduce + plan.time.gather);
        before = plan;
    }
    /* of 4 bytes a parameter a half leaves each of two nodes, and one message a bucket */
    cluster.nodes = 2;
    near(planned(&recipe, 0, &cluster).time.reduce,
         4 * (double)model_parameters(&recipe.model) / 2 / 1e9 + 1e-4, 1e-12);
    assert_true(planned(&recipe, 2e8, &cluster).run_s > planned(&recipe, 1e8, &cluster).run_s);
}

static void what_limits_is_named(void **state)
{
    (void)state;
    struct recipe recipe = small_recipe();
    struct plan_cluster cluster = one_node();
    struct error error = {0};
    struct plan plan;
    assert_int_equal(planned(&recipe, 0, &cluster).limit, PLAN_LIMIT_ARITHMETIC);
    cluster.rates.row_bytes = 1e8;
    assert_int_equal(planned(&recipe, 0, &cluster).limit, PLAN_LIMIT_MEMORY);
    cluster.nodes = 3;
    cluster.link_bytes = 1e3;
    plan = planned(&recipe, 0, &cluster);
    assert_int_equal(plan.limit, PLAN_LIMIT_NETWORK);
    assert_false(plan.runs); /* three do not divide eight shards */
    cluster.process_bytes = 1e6;
    assert_int_equal(planned(&recipe, 0, &cluster).limit, PLAN_LIMIT_CAPACITY);
    cluster.nodes = 33;
    assert_int_equal(plan_make(&plan, &recipe, 0, &cluster, &error), ERR_USAGE);
    assert_non_null(strstr(error.text, "train.batch = 32"));
}

/* ---- the dial ---- */

static struct dial_machine two_cores(void)
{
    return (struct dial_machine){
        .rates = {{3e11, 2.5e11, 1e11, 3e10, 5e10}, {3.8e11, 3.5e11, 1.1e11, 3e10, 5e10}},
        .widths = {128, 768},
        .count = 2,
        .memory_bytes = 16e9,
        .processes = 1};
}

static struct dial_candidate chosen(double hours, double text_bytes,
                                    const struct dial_machine *machine)
{
    struct error error = {0};
    struct dial_candidate candidates[DIAL_SHAPES];
    const struct dial_question question = {hours * 3600, text_bytes};
    size_t best;
    assert_ok(dial_choose(candidates, &best, &question, machine, &error), error);
    for (size_t i = 0; i < DIAL_SHAPES; i++)
        if (candidates[i].verdict == DIAL_FITS && candidates[best].verdict == DIAL_FITS)
            assert_true(candidates[best].bits_per_byte <= candidates[i].bits_per_byte);
    assert_ok(recipe_check(&candidates[best].recipe, &error), error);
    return candidates[best];
}

static void more_hours_never_choose_a_smaller_model(void **state)
{
    (void)state;
    struct dial_machine machine = two_cores();
    static const double texts[] = {2e6, 3e7, 3e8, 1e11};
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
        size_t before = 0;
        for (double hours = 0.05; hours < 3000; hours *= 1.3) {
            struct dial_candidate candidate = chosen(hours, texts[t], &machine);
            assert_true(candidate.parameters >= before);
            /* The smallest stands in where there is no text for any. */
            assert_true((double)candidate.parameters < 1e6 ||
                        candidate.tokens <= 40.0 * (double)candidate.parameters);
            before = candidate.parameters;
        }
    }
}

static void tokens_are_what_the_time_allows(void **state)
{
    (void)state;
    struct dial_machine machine = two_cores();
    for (double hours = 0.1; hours < 100; hours *= 3) {
        struct dial_candidate candidate = chosen(hours, 1e12, &machine);
        double seconds = candidate.tokens / candidate.tokens_per_second;
        assert_false(candidate.text_ends);
        assert_true(seconds > 0.9 * hours * 3600 && seconds <= hours * 3600);
        near(candidate.recipe.minutes, hours * 60, 1e-9);
        near((double)(candidate.recipe.steps * candidate.recipe.batch * candidate.recipe.sequence),
             candidate.tokens, 0.05);
    }
}

static void memory_is_respected(void **state)
{
    (void)state;
    struct dial_machine machine = two_cores();
    struct dial_candidate rich = chosen(1000, 1e12, &machine);
    machine.memory_bytes = 0.4e9;
    struct dial_candidate poor = chosen(1000, 1e12, &machine);
    assert_true(poor.parameters < rich.parameters);
    assert_true(poor.parameters >
                (size_t)3000000); /* what fits, though the time would do for more */
    struct plan_cluster cluster = {
        .nodes = 1, .processes = 1, .rates = machine.rates[0], .process_bytes = 0.4e9};
    assert_true(planned(&poor.recipe, 0, &cluster).memory.total <= 0.4e9);
    machine.memory_bytes = 1e6;
    struct error error = {0};
    struct dial_candidate candidates[DIAL_SHAPES];
    const struct dial_question question = {3600, 1e9};
    size_t best;
    assert_int_equal(dial_choose(candidates, &best, &question, &machine, &error), ERR_LIMIT);
}

static void little_text_is_read_four_times_by_a_model_that_fits_it(void **state)
{
    (void)state;
    struct dial_machine machine = two_cores();
    struct error error = {0};
    struct dial_candidate candidates[DIAL_SHAPES];
    struct dial_question question = {8 * 3600, 2e6};
    size_t best;
    struct dial_candidate candidate = chosen(8, 2e6, &machine);
    assert_true(candidate.text_ends);
    near(candidate.epochs, DIAL_EPOCHS_MAX, 1e-9);
    assert_true(candidate.recipe.minutes == 0); /* steps count, not the clock */
    assert_true((double)candidate.parameters <= 2e6 / 2);
    question.text_bytes = 99999;
    assert_int_equal(dial_choose(candidates, &best, &question, &machine, &error), ERR_USAGE);
    assert_non_null(strstr(error.text, "99999"));
    error = (struct error){0};
    question = (struct dial_question){0.2, 1e9};
    assert_int_equal(dial_choose(candidates, &best, &question, &machine, &error), ERR_USAGE);
}

static void repeated_text_is_worth_less(void **state)
{
    (void)state;
    assert_true(dial_worth(500, 1000) == 500);
    assert_true(dial_worth(1000, 1000) == 1000);
    near(dial_worth(4000, 1000), 1000 * (1 + 15.4 * (1 - exp(-3 / 15.4))), 1e-12);
    assert_true(dial_worth(4000, 1000) < 4000 && dial_worth(4000, 1000) > 3500);
    assert_true(dial_worth(1e9, 1000) < 17000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_is_that_of_the_model),
        cmocka_unit_test(parts_add_up),
        cmocka_unit_test(a_step_is_what_one_computes_by_hand),
        cmocka_unit_test(memory_is_what_the_program_takes),
        cmocka_unit_test(more_nodes_take_less_time_and_more_network),
        cmocka_unit_test(what_limits_is_named),
        cmocka_unit_test(more_hours_never_choose_a_smaller_model),
        cmocka_unit_test(tokens_are_what_the_time_allows),
        cmocka_unit_test(memory_is_respected),
        cmocka_unit_test(little_text_is_read_four_times_by_a_model_that_fits_it),
        cmocka_unit_test(repeated_text_is_worth_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
