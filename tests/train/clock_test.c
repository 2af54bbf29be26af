/* Changes of the number of steps while time passes: by a clock set by hand. */
#include "train/train_support.h"

#include "train/train_internal.h"

static struct run make_run(const struct place *place)
{
    struct error error = {0};
    struct run run = {.path = place->run, .lock = -1, .recipe = tiny_recipe(place)};
    run.recipe.steps = 100000;
    make_texts(place, 1);
    assert_ok(folder_make(place->run, &error), error);
    return run;
}

/* `left_s` of the budget are left, and the last step came `step_s` after the mark. */
static struct run_clock clock_with(struct run *run, double left_s, double step_s)
{
    double now = time_monotonic_s();
    return (struct run_clock){.budget_s = 1000,
                              .outside_s = 1000 - left_s,
                              .run = run,
                              .started_s = now,
                              .steps_began_s = now,
                              .mark_s = now - step_s,
                              .mark_left_s = 1e12,
                              .looked = true};
}

static bool look(struct run *run, int64_t step, int64_t settled, double left_s)
{
    struct error error = {0};
    bool changed;
    struct run_clock clock = clock_with(run, left_s, 1);
    clock.mark_step = step - 1;
    assert_ok(clock_keep(&changed, &clock, step, settled, 0, &error), error);
    assert_ok(recipe_check(&run->recipe, &error), error);
    return changed;
}

static void time_that_is_used_up_ends_the_run_at_the_next_step(void **state)
{
    (void)state;
    struct place place;
    place_create(&place);
    struct run run = make_run(&place);
    assert_true(look(&run, 50, 0, -30));
    assert_int_equal(run.recipe.steps, 51);
    assert_string_equal(run.recipe.revisions, "50:100000");
    place_destroy(&place);
}

static void steps_follow_the_pace(void **state)
{
    (void)state;
    struct place place;
    place_create(&place);
    struct run run = make_run(&place);
    assert_true(look(&run, 50, 0, 200)); /* a second a step */
    assert_in_range(run.recipe.steps, 248, 252);
    place_destroy(&place);
}

static void steps_done_again_change_nothing(void **state)
{
    (void)state;
    struct place place;
    place_create(&place);
    struct run run = make_run(&place);
    assert_false(look(&run, 50, 50, 200)); /* the ledger has a line for them */
    assert_false(look(&run, 50, 96, 200));
    assert_true(look(&run, 50, 48, 200));
    assert_false(look(&run, 49, 48, 500)); /* before the change that stands */
    assert_false(look(&run, 50, 48, 500));
    assert_true(look(&run, 51, 48, 500));
    place_destroy(&place);
}

static void every_recipe_on_the_way_can_be_read_again(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    struct recipe again;
    char path[500];
    place_create(&place);
    struct run run = make_run(&place);
    run.recipe.steps = 900000000;
    snprintf(path, sizeof path, "%s/recipe.ini", place.run);
    int changes = 0;
    for (int64_t i = 1; i <= 40; i++) {
        changes += look(&run, 10000000 * i, 0, i % 2 ? 4e8 : 5e8);
        assert_ok(recipe_read(&again, path, &error), error);
        assert_string_equal(again.revisions, run.recipe.revisions);
        assert_true(again.steps == run.recipe.steps);
    }
    assert_in_range(changes, 5, REVISIONS_MAX);
    place_destroy(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_that_is_used_up_ends_the_run_at_the_next_step),
        cmocka_unit_test(steps_follow_the_pace),
        cmocka_unit_test(steps_done_again_change_nothing),
        cmocka_unit_test(every_recipe_on_the_way_can_be_read_again),
    };
    quiet_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
