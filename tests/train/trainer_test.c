/* The tree of shards, the watch, the state file, a poisoned step. */
#include "train_support.h"

#include <math.h>

enum { ELEMENTS = 3 << 19, SHARDS_MAX = 4 }; /* more than is added up at once */

static float value_of(size_t shard, size_t i)
{
    return random_unit((struct random_key){6, RANDOM_TEST, shard}, i) - 0.5f;
}

struct made { /* what was done, in order */
    size_t calls, ready;
};

/* The last shard is told to be final from its end to its beginning, in uneven steps. */
static float make_shard(void *context, size_t shard, float *out, struct shard_tree *last)
{
    struct made *made = context;
    made->calls++;
    for (size_t i = ELEMENTS; i-- > 0;) {
        out[i] = value_of(shard, i);
        if (last && i % (ELEMENTS / 3) == 0)
            shard_tree_final(last, i);
    }
    return value_of(shard, ELEMENTS);
}

static void take_ready(void *context, size_t begin, size_t end)
{
    struct made *made = context;
    assert_int_equal(end, made->ready);
    assert_true(begin < end);
    made->ready = begin;
}

/* The meaning: neighbours are added, then neighbours of these, until one is left. */
static float tree_reference(size_t shards, size_t i)
{
    float values[SHARDS_MAX];
    for (size_t shard = 0; shard < shards; shard++)
        values[shard] = value_of(shard, i);
    for (; shards > 1; shards /= 2)
        for (size_t j = 0; j < shards / 2; j++)
            values[j] = values[2 * j] + values[2 * j + 1];
    return values[0];
}

static void shards_are_summed_by_the_balanced_tree_wherever_they_are_computed(void **state)
{
    (void)state;
    const size_t levels = 3; /* of SHARDS_MAX shards */
    float *level = malloc(levels * ELEMENTS * sizeof *level);
    float(*parts)[ELEMENTS] = malloc(SHARDS_MAX * sizeof *parts);
    struct error error = {0};
    struct made made = {0};
    struct shard_tree tree = {
        .count = ELEMENTS, .shard = make_shard, .ready = take_ready, .context = &made};
    assert_ok(compute_create(&tree.compute, 2, &error), error);
    for (size_t i = 0; i < levels; i++)
        tree.level[i] = level + i * ELEMENTS;
    for (size_t shards = 1; shards <= SHARDS_MAX; shards *= 2) {
        made = (struct made){.ready = ELEMENTS};
        memset(level, 0x55, levels * ELEMENTS * sizeof *level);
        float loss = shard_tree_sum(&tree, 0, shards);
        assert_int_equal(made.calls, shards);
        assert_int_equal(made.ready, 0);
        assert_true(loss == tree_reference(shards, ELEMENTS));
        for (size_t i = 0; i < ELEMENTS; i++)
            assert_true(level[i] == tree_reference(shards, i));
        /* As processes would: each its own shards, then pairs of processes. */
        for (size_t each = 1; each < shards; each *= 2) {
            for (size_t at = 0; at < shards; at += each) {
                made.ready = ELEMENTS;
                shard_tree_sum(&tree, at, each);
                memcpy(parts[at / each], level, sizeof parts[0]);
            }
            for (size_t left = shards / each; left > 1; left /= 2)
                for (size_t j = 0; j < left / 2; j++)
                    for (size_t i = 0; i < ELEMENTS; i++)
                        parts[j][i] = parts[2 * j][i] + parts[2 * j + 1][i];
            for (size_t i = 0; i < ELEMENTS; i++)
                assert_true(parts[0][i] == tree_reference(shards, i));
        }
    }
    compute_destroy(tree.compute);
    free(level);
    free(parts);
}

/* ---- the watch ---- */

static float noisy(int64_t step)
{
    return 3 + 0.1f * (random_unit((struct random_key){8, RANDOM_TEST, 0}, (uint64_t)step) - 0.5f);
}

static void the_watch_lets_noise_and_slow_change_pass(void **state)
{
    (void)state;
    struct watch watch = {0};
    for (int64_t step = 0; step < 1000; step++) {
        float drift = 1 - (float)step * 0.0005f;
        assert_int_equal(watch_judge(&watch, noisy(step) * drift, noisy(step + 5000)), WATCH_FINE);
    }
    assert_int_equal(watch.skips, 0);
}

static void the_watch_stops_spikes_and_what_is_not_a_number(void **state)
{
    (void)state;
    struct watch watch = {0};
    for (int64_t step = 0; step < WATCH_MINIMUM; step++) /* anything finite passes at first */
        assert_int_equal(watch_judge(&watch, noisy(step), noisy(step)), WATCH_FINE);
    assert_int_equal(watch_judge(&watch, 4.5f, 3), WATCH_LOSS_SPIKE);
    assert_int_equal(watch_judge(&watch, 3, 9), WATCH_NORM_SPIKE);
    int64_t seen = watch.seen;
    assert_int_equal(watch_judge(&watch, NAN, 3), WATCH_NOT_FINITE);
    assert_int_equal(watch_judge(&watch, 3, INFINITY), WATCH_NOT_FINITE);
    assert_int_equal(watch.seen, seen);
    assert_int_equal(watch.skips_in_row, 4);
    assert_int_equal(watch_judge(&watch, 3, 3), WATCH_FINE);
    assert_int_equal(watch.skips_in_row, 0);
    assert_int_equal(watch.skips, 4);
}

static void a_lasting_change_is_learnt_before_ten_skips(void **state)
{
    (void)state;
    struct watch watch = {0};
    for (int64_t step = 0; step < 300; step++)
        assert_int_equal(watch_judge(&watch, noisy(step), noisy(step)), WATCH_FINE);
    for (int i = 0; i < 40; i++)
        watch_judge(&watch, 3.6f, 3);
    assert_true(watch.skips > 0 && watch.skips < WATCH_SKIPS_MAX);
    assert_int_equal(watch.skips_in_row, 0);
}

/* ---- the state file ---- */

static struct state some_state(void)
{
    struct state state;
    memset(&state, 0, sizeof state);
    state.position = (struct position){.step = 77, .updates = 70, .watch = {.seen = 75}};
    for (int i = 0; i < WATCH_WINDOW; i++)
        state.position.watch.loss[i] = noisy(i);
    state.segment = (struct segment){.from = 50, .loss = NAN};
    state.hashes.weights = sha256_of("w", 1);
    state.identity.recipe = sha256_of("r", 1);
    return state;
}

static void states_survive_a_round_trip_and_notice_every_edit(void **state)
{
    (void)state;
    struct error error = {0};
    struct state written = some_state(), read;
    struct buffer text;
    buffer_create(&text, STATE_BYTES_MAX);
    assert_ok(state_write(&text, &written, &error), error);
    assert_ok(state_parse(&read, (struct view){text.data, text.len}, "state.json", &error), error);
    assert_int_equal(read.position.step, 77);
    assert_int_equal(read.segment.from, 50);
    assert_memory_equal(read.position.watch.loss, written.position.watch.loss,
                        sizeof read.position.watch.loss);
    assert_memory_equal(&read.segment.loss, &written.segment.loss, sizeof(float));
    assert_memory_equal(&read.hashes, &written.hashes, sizeof read.hashes);
    assert_memory_equal(&read.identity, &written.identity, sizeof read.identity);
    for (size_t i = 0; i + 3 < text.len; i += 7) {
        struct error why = {0};
        text.data[i] ^= 1;
        assert_int_equal(state_parse(&read, (struct view){text.data, text.len}, "state.json", &why),
                         ERR_FORMAT);
        text.data[i] ^= 1;
        why = (struct error){0};
        assert_int_equal(state_parse(&read, (struct view){text.data, i}, "state.json", &why),
                         ERR_FORMAT);
    }
    buffer_destroy(&text);
}

static void the_state_hash_notices_every_part_of_the_position(void **state)
{
    (void)state;
    struct error error = {0};
    struct state base = some_state();
    assert_ok(state_hash(&base.hashes, &base.position, &error), error);
    for (int part = 0; part < 7; part++) {
        struct state other = some_state();
        struct watch *watch = &other.position.watch;
        other.position.step += part == 0;
        other.position.updates += part == 1;
        watch->seen += part == 2;
        watch->skips += part == 3;
        watch->skips_in_row += part == 4;
        watch->loss[WATCH_WINDOW - 1] += part == 5 ? 1.0f : 0.0f;
        watch->norm[0] += part == 6 ? 1.0f : 0.0f;
        assert_ok(state_hash(&other.hashes, &other.position, &error), error);
        assert_false(sha256_equal(&other.hashes.state, &base.hashes.state));
    }
}

/* ---- a poisoned step ---- */

static void a_step_with_a_nan_changes_no_weight_and_the_next_goes_on(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    struct run run;
    struct trainer trainer;
    struct arena *arena;
    struct hashes before, after;
    place_create(&place);
    make_texts(&place, 60);
    struct recipe recipe = tiny_recipe(&place);
    struct train_settings settings = {.recipe = &recipe, .run = place.run, .comm = only_process()};
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(compute_create(&settings.compute, 2, &error), error);
    assert_ok(run_open(&run, &settings, arena, &error), error);
    assert_ok(trainer_create(&trainer, &run, &settings, arena, &error), error);
    assert_ok(trainer_reset(&trainer, &error), error);
    assert_int_equal(trainer_step(&trainer).verdict, WATCH_FINE);
    struct checkpoint checkpoint = trainer_checkpoint(&trainer);
    assert_ok(checkpoint_hash(&before, &checkpoint, &error), error);

    float *norm = trainer.model->weights +
                  trainer.model->table.weights[trainer.model->table.count - 2].offset;
    float kept = *norm;
    *norm = NAN;
    assert_int_equal(trainer_step(&trainer).verdict, WATCH_NOT_FINITE);
    *norm = kept;
    assert_ok(checkpoint_hash(&after, &checkpoint, &error), error);
    assert_true(sha256_equal(&before.weights, &after.weights));
    assert_true(sha256_equal(&before.first, &after.first));
    assert_true(sha256_equal(&before.second, &after.second));
    assert_false(sha256_equal(&before.state, &after.state)); /* the step counts */
    assert_int_equal(trainer.position.updates, 1);
    assert_int_equal(trainer_step(&trainer).verdict, WATCH_FINE);
    assert_int_equal(trainer.position.updates, 2);
    run_close(&run);
    compute_destroy(settings.compute);
    arena_destroy(arena);
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
        cmocka_unit_test(shards_are_summed_by_the_balanced_tree_wherever_they_are_computed),
        cmocka_unit_test(the_watch_lets_noise_and_slow_change_pass),
        cmocka_unit_test(the_watch_stops_spikes_and_what_is_not_a_number),
        cmocka_unit_test(a_lasting_change_is_learnt_before_ten_skips),
        cmocka_unit_test(states_survive_a_round_trip_and_notice_every_edit),
        cmocka_unit_test(the_state_hash_notices_every_part_of_the_position),
        cmocka_unit_test(a_step_with_a_nan_changes_no_weight_and_the_next_goes_on),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
