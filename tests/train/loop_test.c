/* Whole runs: learning, the same bits everywhere, interrupts, kills, damage, skipped steps. */
#include "train_support.h"

#include <errno.h>
#include <math.h>
#include <sys/wait.h>

static void a_tiny_model_learns(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    struct train_result result;
    struct counted counted = {0};
    place_create(&place);
    make_texts(&place, 150);
    struct recipe recipe = tiny_recipe(&place);
    recipe.steps = 60;
    assert_ok(run_training(&result, place.run, &recipe, 2, &counted, &error), error);
    assert_int_equal(counted.steps, 60);
    assert_true(fabs(counted.first_loss - log(300)) < 0.7);
    if (counted.last_loss > counted.first_loss - 2)
        fail_msg("the loss fell from %g to %g only", counted.first_loss, counted.last_loss);
    assert_true(result.validation_bits_per_byte > 0 && result.validation_bits_per_byte < 2);
    assert_true(result.loss == counted.last_loss);
    place_destroy(&place);
}

static void threads_and_instruction_sets_change_no_bit(void **state)
{
    (void)state;
    static const char *const isas[] = {"scalar", "avx2", "avx512", "avx512bf16"};
    struct place place;
    char run[400];
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = tiny_recipe(&place);
    recipe.steps = 4;
    struct sha256 expected = trained_state(place.run, &recipe, 1);
    for (int threads = 2; threads <= 3; threads++) {
        snprintf(run, sizeof run, "%s/threads-%d", place.folder, threads);
        struct sha256 hash = trained_state(run, &recipe, threads);
        assert_true(sha256_equal(&hash, &expected));
    }
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        setenv("RODNIK_ISA", isas[i], 1);
        snprintf(run, sizeof run, "%s/%s", place.folder, isas[i]);
        struct sha256 hash = trained_state(run, &recipe, 2);
        unsetenv("RODNIK_ISA");
        if (!sha256_equal(&hash, &expected))
            fail_msg("RODNIK_ISA=%s gives another state", isas[i]);
    }
    recipe.seed = 2;
    snprintf(run, sizeof run, "%s/seed", place.folder);
    struct sha256 other = trained_state(run, &recipe, 2);
    assert_false(sha256_equal(&other, &expected));
    place_destroy(&place);
}

static void check_micro_batches(struct place *place, struct recipe recipe, bool tied)
{
    char run[400];
    recipe.steps = 4;
    recipe.model.tied = tied;
    snprintf(run, sizeof run, "%s/tied-%d", place->folder, tied);
    struct sha256 expected = trained_state(run, &recipe, 2);
    for (int64_t rows = 1; rows <= 4; rows *= 4) {
        snprintf(run, sizeof run, "%s/tied-%d-micro-%d", place->folder, tied, (int)rows);
        recipe.micro_batch = rows;
        recipe.recompute = rows == 1;
        struct sha256 hash = trained_state(run, &recipe, 2);
        assert_true(sha256_equal(&hash, &expected));
    }
}

static void micro_batches_and_recomputing_change_no_weight(void **state)
{
    (void)state;
    struct place place;
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = tiny_recipe(&place);
    check_micro_batches(&place, recipe, false);
    check_micro_batches(&place, recipe, true);
    place_destroy(&place);
}

static void assert_same_ledgers(const char *a, const char *b)
{
    char path[2][500];
    snprintf(path[0], sizeof path[0], "%s/ledger.jsonl", a);
    snprintf(path[1], sizeof path[1], "%s/ledger.jsonl", b);
    assert_true(same_files(path[0], path[1]));
}

static size_t count_lines(const char *folder, const char *name)
{
    char path[500];
    struct error error = {0};
    struct file_bytes bytes;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(file_map(&bytes, path, &error), error);
    size_t lines = 0;
    for (size_t i = 0; i < bytes.len; i++)
        lines += bytes.data[i] == '\n';
    file_unmap(&bytes);
    return lines;
}

static void interrupted_runs_end_as_the_uninterrupted_one(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = tiny_recipe(&place);
    struct sha256 expected = trained_state(place.run, &recipe, 2);
    for (int64_t after = 1; after <= 5; after += 2) {
        char run[400];
        struct train_result result = {.interrupted = true};
        int64_t steps = 0;
        snprintf(run, sizeof run, "%s/interrupted-%d", place.folder, (int)after);
        while (result.interrupted) {
            struct counted counted = {.interrupt_after = after};
            const struct recipe *named = steps % 2 ? NULL : &recipe;
            assert_ok(run_training(&result, run, named, 2, &counted, &error), error);
            assert_true(counted.steps > 0);
            steps += counted.steps;
        }
        assert_int_equal(steps, recipe.steps); /* no step was lost or done twice */
        assert_true(sha256_equal(&result.state, &expected));
        assert_same_ledgers(place.run, run);
        assert_int_equal(count_lines(run, "metrics.jsonl"), recipe.steps);
    }
    place_destroy(&place);
}

static void a_finished_run_opened_again_changes_nothing(void **state)
{
    (void)state;
    struct place place;
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = tiny_recipe(&place);
    struct sha256 expected = trained_state(place.run, &recipe, 2);
    size_t lines = count_lines(place.run, "ledger.jsonl");
    assert_int_equal(lines, 4); /* begin, 4, 8, 12 */
    struct sha256 again = trained_state(place.run, NULL, 1);
    assert_true(sha256_equal(&again, &expected));
    assert_int_equal(count_lines(place.run, "ledger.jsonl"), lines);
    place_destroy(&place);
}

static struct recipe ramp_recipe(const struct place *place, bool tied)
{
    struct recipe recipe = tiny_recipe(place);
    recipe.model.tied = tied; /* then the embedding's gradient waits for the last micro-batch */
    recipe.batch_start = 2;
    recipe.batch = 8;
    recipe.micro_batch = 1;
    recipe.ramp = 0.6; /* 12 steps: 3 of 2 rows, 4 of 4 rows, 5 of 8 rows */
    recipe.decay_shape = DECAY_COSINE;
    return recipe;
}

static void a_growing_batch_goes_on_where_it_stopped(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    place_create(&place);
    make_texts(&place, 60);
    for (int64_t after = 1; after <= 4; after++) {
        char whole[400], run[400];
        struct train_result result = {.interrupted = true};
        struct recipe recipe = ramp_recipe(&place, after % 2);
        recipe.batch_start = 4;
        recipe.batch = 16;
        snprintf(whole, sizeof whole, "%s/whole-%d", place.folder, (int)after % 2);
        struct sha256 expected = trained_state(whole, &recipe, 2);
        snprintf(run, sizeof run, "%s/interrupted-%d", place.folder, (int)after);
        recipe.micro_batch = 2; /* memory alone */
        while (result.interrupted) {
            struct counted counted = {.interrupt_after = after};
            assert_ok(run_training(&result, run, &recipe, 2, &counted, &error), error);
        }
        assert_true(sha256_equal(&result.state, &expected));
        assert_same_ledgers(whole, run);
    }
    place_destroy(&place);
}

static void a_growing_batch_takes_each_row_once(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    char path[400];
    struct file_bytes ledger;
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = ramp_recipe(&place, false);
    (void)trained_state(place.run, &recipe, 2);
    snprintf(path, sizeof path, "%s/ledger.jsonl", place.run);
    assert_ok(file_map(&ledger, path, &error), error);
    const char *text = (const char *)ledger.data;
    assert_non_null(memmem(text, ledger.len, "\"rows\":[0,10]", 13));
    assert_non_null(memmem(text, ledger.len, "\"rows\":[10,30]", 14));
    assert_non_null(memmem(text, ledger.len, "\"rows\":[30,62]", 14));
    file_unmap(&ledger);
    place_destroy(&place);
}

static void a_limit_of_steps_keeps_the_schedule(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    struct train_result result;
    char run[400];
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = tiny_recipe(&place);
    struct sha256 expected = trained_state(place.run, &recipe, 2);
    snprintf(run, sizeof run, "%s/limited", place.folder);
    struct train_settings settings = {
        .recipe = &recipe, .run = run, .steps_limit = 5, .comm = only_process()};
    assert_ok(compute_create(&settings.compute, 2, &error), error);
    assert_ok(train_run(&result, &settings, &error), error);
    assert_int_equal(result.steps_done, 5);
    assert_int_equal(result.steps, recipe.steps);
    settings.steps_limit = 0;
    assert_ok(train_run(&result, &settings, &error), error);
    compute_destroy(settings.compute);
    assert_true(sha256_equal(&result.state, &expected));
    assert_same_ledgers(place.run, run);
    place_destroy(&place);
}

/* ---- kill -9 ---- */

static bool train_in_child(const char *run, const struct recipe *recipe, useconds_t kill_after_us)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct error error = {0};
        struct train_result result;
        struct counted counted = {0};
        _exit(run_training(&result, run, recipe, 1, &counted, &error) == OK ? 0 : 1);
    }
    int how = 0;
    if (kill_after_us) {
        usleep(kill_after_us);
        kill(child, SIGKILL);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    if (WIFEXITED(how) && WEXITSTATUS(how) != 0)
        fail_msg("%s: a run that was killed before did not go on", run);
    return WIFEXITED(how);
}

static void a_run_killed_at_any_moment_ends_in_the_same_state(void **state)
{
    (void)state;
    struct place place;
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = tiny_recipe(&place);
    recipe.checkpoint_every = 1; /* many moments fall into writing */
    double started = time_monotonic_s();
    struct sha256 expected = trained_state(place.run, &recipe, 1);
    double whole_s = time_monotonic_s() - started;
    int kills = getenv("RODNIK_TEST_LONG") ? 30 : 6;
    char run[400];
    snprintf(run, sizeof run, "%s/killed", place.folder);
    for (int i = 0; i < kills; i++) {
        float share = random_unit((struct random_key){3, RANDOM_TEST, 1}, (uint64_t)i);
        useconds_t after = 1 + (useconds_t)((double)share * whole_s * 0.5e6);
        if (train_in_child(run, &recipe, after) || i % 6 == 5) {
            struct sha256 hash = trained_state(run, &recipe, 1);
            assert_true(sha256_equal(&hash, &expected));
            assert_same_ledgers(place.run, run);
            assert_int_equal(count_lines(run, "metrics.jsonl"), recipe.steps);
            snprintf(run, sizeof run, "%s/killed-%d", place.folder, i);
        }
    }
    place_destroy(&place);
}

/* ---- damage ---- */

static void damage(const char *run, int64_t step, const char *name, bool truncate_it)
{
    char path[500];
    struct error error = {0};
    uint64_t size;
    snprintf(path, sizeof path, "%s/checkpoints/step-%06d/%s", run, (int)step, name);
    assert_ok(file_size(&size, path, &error), error);
    if (truncate_it) {
        assert_int_equal(truncate(path, (off_t)(size / 2)), 0);
        return;
    }
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, (long)(size - size / 4), SEEK_SET);
    int byte = fgetc(file);
    fseek(file, -1, SEEK_CUR);
    fputc(byte ^ 1, file);
    fclose(file);
}

static void damaged_checkpoints_give_way_to_older_ones(void **state)
{
    (void)state;
    static const char *const names[] = {"model.safetensors", "optimizer.safetensors", "state.json",
                                        "config.json", "tokenizer.json"};
    struct place place;
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = tiny_recipe(&place);
    struct sha256 expected = trained_state(place.run, &recipe, 2);
    log_setup((struct log_settings){.level = LOG_ERROR});
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int truncated = 0; truncated < 2; truncated++) {
            damage(place.run, 12, names[i], truncated);
            struct sha256 hash = trained_state(place.run, &recipe, 2);
            assert_true(sha256_equal(&hash, &expected));
        }
    place_destroy(&place);
}

static void without_a_valid_checkpoint_the_run_stops_with_a_sentence(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    struct train_result result;
    struct counted counted = {0};
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = tiny_recipe(&place);
    trained_state(place.run, &recipe, 2);
    damage(place.run, 8, "state.json", true);
    damage(place.run, 12, "model.safetensors", false);
    assert_int_equal(run_training(&result, place.run, NULL, 2, &counted, &error), ERR_FORMAT);
    assert_non_null(strstr(error.text, "step-000012"));
    place_destroy(&place);
}

static void a_full_disk_leaves_old_checkpoints_and_the_run_goes_on_later(void **state)
{
    (void)state;
    struct place place;
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = tiny_recipe(&place);
    struct sha256 expected = trained_state(place.run, &recipe, 2);
    int step = getenv("RODNIK_TEST_LONG") ? 1 : 5;
    char run[400];
    for (int nth = 1; nth < 200; nth += step) {
        struct error error = {0};
        struct train_result result;
        struct counted counted = {0};
        snprintf(run, sizeof run, "%s/full-%d", place.folder, nth);
        file_fail_after((size_t)nth, ENOSPC);
        status first = run_training(&result, run, &recipe, 2, &counted, &error);
        file_fail_after(0, 0);
        if (first == OK) /* the whole run needs fewer writes */
            break;
        if (first != ERR_IO || !strstr(error.text, "No space left"))
            fail_msg("write %d failed and the error is: %s", nth, error.text);
        struct sha256 hash = trained_state(run, &recipe, 2);
        assert_true(sha256_equal(&hash, &expected));
        assert_same_ledgers(place.run, run);
    }
    place_destroy(&place);
}

/* ---- recipes and runs that don't fit ---- */

static void a_run_of_another_recipe_names_the_key(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    struct train_result result;
    struct counted counted = {0};
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = tiny_recipe(&place);
    recipe.steps = 2;
    trained_state(place.run, &recipe, 2);
    recipe.beta2 = 0.97;
    assert_int_equal(run_training(&result, place.run, &recipe, 2, &counted, &error), ERR_CONFLICT);
    assert_non_null(strstr(error.text, "optimizer.beta2 = 0.95"));
    assert_non_null(strstr(error.text, "0.97"));
    recipe.beta2 = 0.95;
    recipe.keep = 7; /* changes no number */
    trained_state(place.run, &recipe, 2);
    place_destroy(&place);
}

static void a_moved_run_goes_on(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    struct train_result result;
    struct counted counted = {.interrupt_after = 5};
    char moved[400];
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = tiny_recipe(&place);
    struct sha256 expected = trained_state(place.run, &recipe, 2);
    snprintf(moved, sizeof moved, "%s/before", place.folder);
    assert_ok(run_training(&result, moved, &recipe, 2, &counted, &error), error);
    assert_true(result.interrupted);
    char after[400], shards[500];
    snprintf(after, sizeof after, "%s/after", place.folder);
    assert_ok(path_rename(moved, after, &error), error);
    snprintf(shards, sizeof shards, "%s/shards", after);
    assert_ok(path_remove_tree(shards, &error), error); /* made again from the run's own corpus */
    struct sha256 hash = trained_state(after, NULL, 2);
    assert_true(sha256_equal(&hash, &expected));
    place_destroy(&place);
}

static void only_one_process_works_in_a_run(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    struct train_result result;
    struct counted counted = {0};
    int lock;
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = tiny_recipe(&place);
    assert_ok(folder_make(place.run, &error), error);
    assert_ok(folder_lock(&lock, place.run, &error), error);
    assert_int_equal(run_training(&result, place.run, &recipe, 2, &counted, &error), ERR_CONFLICT);
    folder_unlock(lock);
    place_destroy(&place);
}

static void minutes_become_steps_before_the_first_step_counts(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    struct recipe used;
    char path[500], run[400];
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = tiny_recipe(&place);
    recipe.minutes = 0.02;
    struct sha256 expected = trained_state(place.run, &recipe, 2);
    snprintf(path, sizeof path, "%s/recipe.ini", place.run);
    assert_ok(recipe_read(&used, path, &error), error);
    assert_true(used.minutes == 0);
    assert_true(used.steps >= 1);
    assert_int_equal(count_lines(place.run, "metrics.jsonl"), used.steps);
    /* A run by steps ends in the same state, with the same ledger: measuring left nothing behind,
     * and where steps were changed on the way stands in the recipe. */
    recipe.minutes = 0;
    recipe.steps = used.steps;
    memcpy(recipe.revisions, used.revisions, sizeof used.revisions);
    snprintf(run, sizeof run, "%s/by-steps", place.folder);
    struct sha256 hash = trained_state(run, &recipe, 2);
    assert_true(sha256_equal(&hash, &expected));
    char ledgers[2][500];
    snprintf(ledgers[0], sizeof ledgers[0], "%s/ledger.jsonl", place.run);
    snprintf(ledgers[1], sizeof ledgers[1], "%s/ledger.jsonl", run);
    assert_true(same_files(ledgers[0], ledgers[1]));
    /* The recipe with minutes still fits the run. */
    recipe.minutes = 0.02;
    recipe.steps = 12;
    memset(recipe.revisions, 0, sizeof recipe.revisions);
    trained_state(place.run, &recipe, 2);
    place_destroy(&place);
}

/* Time, a batch that grows, a tied embedding and interruptions together. */
static void the_recipe_alone_says_what_an_interrupted_run_by_minutes_did(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    struct recipe used;
    struct train_result result = {.interrupted = true};
    char path[500], run[400];
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = ramp_recipe(&place, true);
    recipe.minutes = 0.03;
    for (int64_t after = 3; result.interrupted; after += 20) {
        struct counted counted = {.interrupt_after = after};
        assert_ok(run_training(&result, place.run, &recipe, 2, &counted, &error), error);
    }
    snprintf(path, sizeof path, "%s/recipe.ini", place.run);
    assert_ok(recipe_read(&used, path, &error), error);
    memcpy(used.corpus, recipe.corpus, sizeof used.corpus);
    memset(used.tokenizer, 0, sizeof used.tokenizer);
    snprintf(run, sizeof run, "%s/by-steps", place.folder);
    struct sha256 hash = trained_state(run, &used, 1);
    assert_true(sha256_equal(&hash, &result.state));
    assert_same_ledgers(place.run, run);
    /* Another number of steps is another run. */
    struct counted counted = {0};
    used.steps += 5;
    assert_int_equal(run_training(&result, place.run, &used, 2, &counted, &error), ERR_CONFLICT);
    assert_non_null(strstr(error.text, "train.steps"));
    place_destroy(&place);
}

static void ten_skipped_steps_in_a_row_stop_the_run_with_advice(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    struct train_result result;
    struct counted counted = {0};
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = tiny_recipe(&place);
    recipe.steps = 30;
    recipe.warmup = 0;
    recipe.clip = 0;
    recipe.embedding_rate = recipe.vector_rate = 1e38; /* weights overflow at once */
    assert_int_equal(run_training(&result, place.run, &recipe, 2, &counted, &error), ERR_NUMERIC);
    assert_non_null(strstr(error.text, "learning_rate"));
    assert_int_equal(counted.skipped, WATCH_SKIPS_MAX);
    place_destroy(&place);
}

static int setup(void **state)
{
    (void)state;
    quiet_setup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tiny_model_learns),
        cmocka_unit_test(threads_and_instruction_sets_change_no_bit),
        cmocka_unit_test(micro_batches_and_recomputing_change_no_weight),
        cmocka_unit_test(interrupted_runs_end_as_the_uninterrupted_one),
        cmocka_unit_test(a_finished_run_opened_again_changes_nothing),
        cmocka_unit_test(a_growing_batch_goes_on_where_it_stopped),
        cmocka_unit_test(a_growing_batch_takes_each_row_once),
        cmocka_unit_test(a_limit_of_steps_keeps_the_schedule),
        cmocka_unit_test(a_run_killed_at_any_moment_ends_in_the_same_state),
        cmocka_unit_test(damaged_checkpoints_give_way_to_older_ones),
        cmocka_unit_test(without_a_valid_checkpoint_the_run_stops_with_a_sentence),
        cmocka_unit_test(a_full_disk_leaves_old_checkpoints_and_the_run_goes_on_later),
        cmocka_unit_test(a_run_of_another_recipe_names_the_key),
        cmocka_unit_test(a_moved_run_goes_on),
        cmocka_unit_test(only_one_process_works_in_a_run),
        cmocka_unit_test(minutes_become_steps_before_the_first_step_counts),
        cmocka_unit_test(the_recipe_alone_says_what_an_interrupted_run_by_minutes_did),
        cmocka_unit_test(ten_skipped_steps_in_a_row_stop_the_run_with_advice),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
