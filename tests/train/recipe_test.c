/* Recipes: what is refused and how it is said, what the hash notices; the schedule's values. */
#include "train_support.h"

#include <glob.h>
#include <math.h>

static struct recipe defaults(void)
{
    struct recipe recipe;
    memset(&recipe, 0, sizeof recipe);
    config_defaults(&recipe, recipe_table);
    return recipe;
}

static void the_defaults_are_a_recipe(void **state)
{
    (void)state;
    struct error error = {0};
    struct recipe recipe = defaults();
    assert_ok(recipe_check(&recipe, &error), error);
}

static void every_recipe_of_the_project_is_one(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob("recipes/*.ini", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 3);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct error error = {0};
        struct recipe recipe;
        assert_ok(recipe_read(&recipe, found.gl_pathv[i], &error), error);
        assert_ok(recipe_check(&recipe, &error), error);
    }
    globfree(&found);
}

static void wrong_files_are_refused_with_line_and_allowed_values(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"[train]\nstepz = 4\n", "stepz"},
        {"[trian]\nsteps = 4\n", "trian"},
        {"[train]\nsteps = 0\n", "from 1 to"},
        {"[train]\nsteps = many\n", "many"},
        {"[train]\nprecision = f64\n", "f32|bf16"},
        {"[optimizer]\nbeta2 = 1\n", "beta2"},
        {"[optimizer]\nlearning_rate = nan\n", "learning_rate"},
        {"[model]\nlayers = 1000\n", "layers"},
        {"[train]\nwhat is this\n", ":2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {0};
        struct recipe recipe = defaults();
        assert_int_equal(
            config_parse(&recipe, recipe_table, view_of(cases[i].text), "some.ini", &error),
            ERR_USAGE);
        if (!strstr(error.text, cases[i].said) || !strstr(error.text, "some.ini"))
            fail_msg("%s: %s", cases[i].text, error.text);
    }
}

static void values_that_do_not_fit_together_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *said;
    } cases[] = {
        {"train.sequence", "513", "train.sequence"}, {"train.sequence", "1024", "model.context"},
        {"train.shards", "3", "power of two"},       {"train.shards", "64", "must divide"},
        {"train.micro_batch", "5", "micro_batch"},   {"model.kv_heads", "4", "kv_heads"},
        {"model.head_size", "96", "64 and 128"},     {"model.width", "100", "multiple"},
        {"train.batch", "1048576", "train.batch"},   {"train.batch_start", "3", "power of two"},
        {"train.batch_start", "64", "batch_start"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {0};
        struct recipe recipe = defaults();
        recipe.micro_batch = 1;
        recipe.ramp = 0.5;
        assert_ok(config_set(&recipe, recipe_table, cases[i].key, cases[i].value, &error), error);
        if (i == 8)
            recipe.sequence = 512;
        assert_int_equal(recipe_check(&recipe, &error), ERR_USAGE);
        if (!strstr(error.text, cases[i].said))
            fail_msg("%s = %s: %s", cases[i].key, cases[i].value, error.text);
    }
}

static void the_hash_notices_what_decides_about_numbers_and_only_that(void **state)
{
    (void)state;
    static const char *const silent[][2] = {{"data.corpus", "/somewhere"},
                                            {"data.tokenizer", "t.json"},
                                            {"train.keep", "9"},
                                            {"train.micro_batch", "4"},
                                            {"train.recompute", "true"}};
    static const char *const loud[][2] = {{"train.seed", "2"},
                                          {"optimizer.epsilon", "1e-9"},
                                          {"train.checkpoint_every", "7"},
                                          {"train.batch_start", "16"},
                                          {"train.ramp", "0.1"},
                                          {"optimizer.decay_shape", "cosine"},
                                          {"data.document_mask", "false"}};
    struct error error = {0};
    struct recipe recipe = defaults();
    struct sha256 expected, hash;
    assert_ok(recipe_hash(&expected, &recipe, &error), error);
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
        assert_ok(config_set(&recipe, recipe_table, silent[i][0], silent[i][1], &error), error);
        assert_ok(recipe_hash(&hash, &recipe, &error), error);
        assert_true(sha256_equal(&hash, &expected));
    }
    for (size_t i = 0; i < sizeof loud / sizeof *loud; i++) {
        struct recipe other = recipe;
        assert_ok(config_set(&other, recipe_table, loud[i][0], loud[i][1], &error), error);
        assert_ok(recipe_hash(&hash, &other, &error), error);
        assert_false(sha256_equal(&hash, &expected));
    }
}

/* Runs begun before keys were added go on: their identity is still this one. */
static void keys_added_later_leave_the_hash_as_it_was(void **state)
{
    (void)state;
    struct error error = {0};
    struct recipe recipe = defaults();
    struct sha256 hash;
    char hex[SHA256_HEX_BYTES];
    assert_ok(recipe_hash(&hash, &recipe, &error), error);
    sha256_hex(hex, &hash);
    assert_string_equal(hex, "66bc822afbf57fd7a28b7c59372f5af7b93e3daf1095868970c927ebfaa1dbeb");
}

static void a_ramp_must_divide_at_its_first_stage(void **state)
{
    (void)state;
    struct error error = {0};
    struct recipe recipe = defaults();
    recipe.batch_start = 4;
    recipe.shards = 4;
    recipe.micro_batch = 1;
    assert_int_equal(recipe_check(&recipe, &error), ERR_USAGE);
    assert_non_null(strstr(error.text, "train.ramp"));
    error = (struct error){0};
    recipe.ramp = 0.5;
    recipe.shards = 8;
    assert_int_equal(recipe_check(&recipe, &error), ERR_USAGE);
    assert_non_null(strstr(error.text, "smallest batch"));
    recipe.shards = 2;
    recipe.micro_batch = 4;
    error = (struct error){0};
    assert_int_equal(recipe_check(&recipe, &error), ERR_USAGE);
    assert_non_null(strstr(error.text, "micro_batch"));
    recipe.micro_batch = 2;
    error = (struct error){0};
    assert_ok(recipe_check(&recipe, &error), error);
}

static void relative_paths_are_taken_from_the_recipes_folder(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    struct recipe recipe;
    char path[200], expected[220];
    static const char text[] = "[data]\ncorpus = ../docs\ntokenizer = /abs/t.json\n";
    place_create(&place);
    snprintf(path, sizeof path, "%s/r.ini", place.folder);
    snprintf(expected, sizeof expected, "%s/../docs", place.folder);
    assert_ok(file_write_atomic(path, text, sizeof text - 1, &error), error);
    assert_ok(recipe_read(&recipe, path, &error), error);
    assert_string_equal(recipe.corpus, expected);
    assert_string_equal(recipe.tokenizer, "/abs/t.json");
    place_destroy(&place);
}

static void the_schedule_rises_stays_and_falls(void **state)
{
    (void)state;
    struct recipe recipe = defaults();
    recipe.steps = 100;
    recipe.warmup = 0.1;
    recipe.decay = 0.4;
    recipe.final_rate = 0.2;
    assert_true(schedule_share(&recipe, 1) == 0.1);
    assert_true(schedule_share(&recipe, 5) == 0.5);
    for (int64_t step = 10; step <= 60; step++)
        assert_true(schedule_share(&recipe, step) == 1);
    assert_true(fabs(schedule_share(&recipe, 80) - 0.6) < 1e-12);
    assert_true(schedule_share(&recipe, 100) == 0.2);
    for (int64_t step = 62; step <= 100; step++)
        assert_true(schedule_share(&recipe, step) < schedule_share(&recipe, step - 1));
}

static void a_cosine_falls_slowly_at_both_ends(void **state)
{
    (void)state;
    struct recipe recipe = defaults();
    recipe.steps = 100;
    recipe.warmup = 0.2;
    recipe.decay = 0.8;
    recipe.decay_shape = DECAY_COSINE;
    recipe.final_rate = 0.1;
    for (int64_t step = 21; step <= 100; step++) { /* as nanoGPT writes it */
        double ratio = (double)(step - 20) / 80;
        double expected = 0.1 + 0.5 * (1 + cos(3.14159265358979312 * ratio)) * 0.9;
        assert_true(fabs(schedule_share(&recipe, step) - expected) < 1e-14);
    }
    assert_true(schedule_share(&recipe, 20) == 1);
    assert_true(schedule_share(&recipe, 100) == 0.1);
}

static void the_batch_doubles_in_equal_stages(void **state)
{
    (void)state;
    struct recipe recipe = defaults();
    recipe.batch = 32;
    recipe.batch_start = 4;
    recipe.steps = 100;
    recipe.ramp = 0.3;
    assert_int_equal(schedule_batch(&recipe, 1), 4);
    assert_int_equal(schedule_batch(&recipe, 10), 4);
    assert_int_equal(schedule_batch(&recipe, 11), 8);
    assert_int_equal(schedule_batch(&recipe, 21), 16);
    assert_int_equal(schedule_batch(&recipe, 30), 16);
    assert_int_equal(schedule_batch(&recipe, 31), 32);
    assert_int_equal(schedule_rows(&recipe, 100), 10 * (4 + 8 + 16) + 70 * 32);
}

static void rows_of_steps_follow_one_another(void **state)
{
    (void)state;
    static const double ramps[] = {0, 0.001, 0.37, 1};
    for (int i = 0; i < 16; i++) {
        struct recipe recipe = defaults();
        recipe.batch = 48;
        recipe.batch_start = (const int64_t[]){0, 48, 24, 3}[i / 4];
        recipe.ramp = ramps[i % 4];
        recipe.steps = 101;
        int64_t rows = 0;
        assert_int_equal(schedule_rows(&recipe, 0), 0);
        for (int64_t step = 1; step <= recipe.steps; step++) {
            int64_t batch = schedule_batch(&recipe, step);
            assert_true(step == 1 || batch >= schedule_batch(&recipe, step - 1));
            rows += batch;
            assert_int_equal(schedule_rows(&recipe, step), rows);
        }
    }
}

static void extreme_schedules_stay_in_range(void **state)
{
    (void)state;
    static const double shares[] = {0, 0.3, 1};
    for (int i = 0; i < 9; i++) {
        struct recipe recipe = defaults();
        recipe.steps = 7;
        recipe.warmup = shares[i / 3];
        recipe.decay = shares[i % 3];
        recipe.final_rate = 0;
        recipe.decay_shape = i % 2 ? DECAY_COSINE : DECAY_LINEAR;
        for (int64_t step = 1; step <= 7; step++) {
            double share = schedule_share(&recipe, step);
            assert_true(share >= 0 && share <= 1);
        }
        recipe.steps = 1;
        assert_true(schedule_share(&recipe, 1) >= 0);
    }
}

/* ---- steps changed on the way ---- */

static void revise(struct recipe *recipe, const char *revisions, int64_t steps)
{
    snprintf(recipe->revisions, sizeof recipe->revisions, "%s", revisions);
    recipe->steps = steps;
}

static void revisions_of_another_form_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "x",     "10",           "10:",    ":100",  "10:100,", "10:100  20:90", "20:100 10:90",
        "10:10", "10:100 20:15", "60:100", "0:100", "10:100 "};
    struct recipe recipe = defaults();
    struct revisions list;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error error = {0};
        revise(&recipe, wrong[i], 50);
        assert_false(revisions_parse(&list, &recipe));
        assert_int_equal(recipe_check(&recipe, &error), ERR_USAGE);
        assert_non_null(strstr(error.text, "train.revisions"));
    }
    revise(&recipe, "10:100 20:90", 50);
    assert_true(revisions_parse(&list, &recipe));
    assert_int_equal(list.count, 2);
    assert_true(list.items[1].step == 20 && list.items[1].before == 90);
}

static void what_was_done_keeps_its_rate_when_steps_change(void **state)
{
    (void)state;
    struct recipe recipe = defaults(), later = recipe;
    recipe.warmup = 0.1;
    recipe.decay = 0.6;
    revise(&recipe, "", 100);
    revise(&later, "70:100", 140);
    later.warmup = recipe.warmup;
    later.decay = recipe.decay;
    for (int64_t step = 1; step <= 70; step++)
        assert_true(schedule_share(&later, step) == schedule_share(&recipe, step));
    /* 30 steps of the course over 70 steps: 35 steps on, half of them are over. */
    assert_true(fabs(schedule_share(&later, 105) - schedule_share(&recipe, 85)) < 1e-12);
    struct recipe third = later;
    revise(&third, "70:100 105:140", 110);
    for (int64_t step = 1; step <= 105; step++)
        assert_true(schedule_share(&third, step) == schedule_share(&later, step));
    assert_true(schedule_share(&later, 140) == later.final_rate);
    assert_true(schedule_share(&third, 110) == third.final_rate);
    for (int64_t step = 61; step <= 110; step++)
        assert_true(schedule_share(&third, step) < schedule_share(&third, step - 1));
}

static void the_hash_names_the_steps_first_chosen(void **state)
{
    (void)state;
    struct error error = {0};
    struct sha256 first, later, other;
    struct recipe recipe = defaults();
    revise(&recipe, "", 100);
    assert_ok(recipe_hash(&first, &recipe, &error), error);
    revise(&recipe, "70:100 80:130", 120);
    assert_ok(recipe_hash(&later, &recipe, &error), error);
    revise(&recipe, "", 120);
    assert_ok(recipe_hash(&other, &recipe, &error), error);
    assert_true(sha256_equal(&first, &later));
    assert_false(sha256_equal(&first, &other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_a_recipe),
        cmocka_unit_test(every_recipe_of_the_project_is_one),
        cmocka_unit_test(wrong_files_are_refused_with_line_and_allowed_values),
        cmocka_unit_test(values_that_do_not_fit_together_are_refused),
        cmocka_unit_test(the_hash_notices_what_decides_about_numbers_and_only_that),
        cmocka_unit_test(keys_added_later_leave_the_hash_as_it_was),
        cmocka_unit_test(a_ramp_must_divide_at_its_first_stage),
        cmocka_unit_test(relative_paths_are_taken_from_the_recipes_folder),
        cmocka_unit_test(the_schedule_rises_stays_and_falls),
        cmocka_unit_test(a_cosine_falls_slowly_at_both_ends),
        cmocka_unit_test(the_batch_doubles_in_equal_stages),
        cmocka_unit_test(rows_of_steps_follow_one_another),
        cmocka_unit_test(extreme_schedules_stay_in_range),
        cmocka_unit_test(revisions_of_another_form_are_refused),
        cmocka_unit_test(what_was_done_keeps_its_rate_when_steps_change),
        cmocka_unit_test(the_hash_names_the_steps_first_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
