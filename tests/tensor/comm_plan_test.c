/* Rounds of an exchange, played through for all processes at once. */
#include "support.h"

#include "base/random.h"
#include "tensor/comm_plan.h"

enum { RANKS_MAX = 16, ITEMS = 700, PARTS_MAX = 200 };

struct plan {
    size_t start[PARTS_MAX + 1];
    int owner[PARTS_MAX];
    struct comm_map map;
};

static uint64_t draw(uint64_t seed, uint64_t index, uint64_t limit)
{
    return random_below((struct random_key){seed, RANDOM_TEST, 3}, index, limit);
}

/* Parts of any length, owned by anybody. */
static void plan_create(struct plan *out, int ranks, uint64_t seed)
{
    size_t parts = 0;
    out->start[0] = 0;
    while (out->start[parts] < ITEMS) {
        size_t left = ITEMS - out->start[parts], length = 1 + (size_t)draw(seed, parts, 40);
        out->owner[parts] = (int)draw(seed + 1000, parts, (uint64_t)ranks);
        out->start[parts + 1] = out->start[parts] + (length < left ? length : left);
        parts++;
    }
    out->map = (struct comm_map){parts, out->start, out->owner};
}

static int owner_of(const struct plan *plan, size_t item)
{
    for (size_t p = 0;; p++)
        if (item < plan->start[p + 1])
            return plan->owner[p];
}

static float value_of(int rank, size_t item)
{
    return random_unit((struct random_key){6, RANDOM_TEST, (uint64_t)rank}, item) - 0.5f;
}

static float tree_of(int ranks, size_t item)
{
    float values[RANKS_MAX];
    for (int rank = 0; rank < ranks; rank++)
        values[rank] = value_of(rank, item);
    for (; ranks > 1; ranks /= 2)
        for (int i = 0; i < ranks / 2; i++)
            values[i] = values[2 * i] + values[2 * i + 1];
    return values[0];
}

/* One round of one bucket for everybody: all send what they have before anybody receives. */
static void play_round(float (*data)[ITEMS], const struct plan *plan, struct comm_round round,
                       int ranks)
{
    static const size_t most = BUCKET_PARTS_MAX;
    float(*before)[ITEMS] = malloc((size_t)ranks * sizeof *before);
    memcpy(before, data, (size_t)ranks * sizeof *before);
    for (int rank = 0; rank < ranks; rank++) {
        struct comm_span own[BUCKET_PARTS_MAX], theirs[BUCKET_PARTS_MAX];
        struct comm_round other = round;
        round.rank = rank;
        other.rank = rank ^ round.distance;
        size_t count = comm_round_spans(own, &plan->map, &round);
        assert_int_equal(comm_round_spans(theirs, &plan->map, &other), count);
        assert_true(count <= most);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(own[i].begin, theirs[i].begin);
            assert_int_equal(own[i].end, theirs[i].end);
            assert_true(own[i].send != theirs[i].send);
            for (size_t at = own[i].begin; at < own[i].end && !own[i].send; at++)
                data[rank][at] = round.kind == EXCHANGE_SUM
                                     ? before[rank][at] + before[other.rank][at]
                                     : before[other.rank][at];
        }
    }
    free(before);
}

static void play(float (*data)[ITEMS], const struct plan *plan, enum exchange kind, int ranks)
{
    for (size_t begin = 0, end; begin < ITEMS; begin = end) {
        end = comm_bucket_end(&plan->map, begin, ITEMS, BUCKET_BYTES_MAX / 256);
        assert_true(end > begin && end <= ITEMS && end - begin <= 256);
        int distance;
        for (int i = 0; (distance = comm_round_distance(kind, ranks, i)) != 0; i++)
            play_round(data, plan, (struct comm_round){kind, 0, distance, begin, end}, ranks);
    }
}

static void owners_end_with_the_sum_by_the_balanced_tree_and_then_everybody_has_it(void **state)
{
    (void)state;
    float(*data)[ITEMS] = malloc(RANKS_MAX * sizeof *data);
    struct plan plan;
    for (int ranks = 1; ranks <= RANKS_MAX; ranks *= 2)
        for (uint64_t seed = 1; seed <= 5; seed++) {
            plan_create(&plan, ranks, seed);
            for (int rank = 0; rank < ranks; rank++)
                for (size_t i = 0; i < ITEMS; i++)
                    data[rank][i] = value_of(rank, i);
            play(data, &plan, EXCHANGE_SUM, ranks);
            for (size_t i = 0; i < ITEMS; i++)
                assert_true(data[owner_of(&plan, i)][i] == tree_of(ranks, i));
            play(data, &plan, EXCHANGE_SHARE, ranks);
            for (int rank = 0; rank < ranks; rank++)
                for (size_t i = 0; i < ITEMS; i++)
                    assert_true(data[rank][i] == tree_of(ranks, i));
        }
    free(data);
}

static void a_bucket_holds_no_more_parts_or_bytes_than_it_may(void **state)
{
    (void)state;
    struct plan plan;
    for (size_t i = 0; i <= PARTS_MAX; i++)
        plan.start[i] = i;
    plan.map = (struct comm_map){PARTS_MAX, plan.start, plan.owner};
    assert_int_equal(comm_bucket_end(&plan.map, 0, PARTS_MAX, 1), BUCKET_PARTS_MAX);
    assert_int_equal(comm_bucket_end(&plan.map, 190, PARTS_MAX, 1), PARTS_MAX);
    assert_int_equal(comm_bucket_end(&plan.map, 10, 15, 1), 15);
    assert_int_equal(comm_bucket_end(&plan.map, 10, 150, BUCKET_BYTES_MAX / 7), 17);
    assert_int_equal(comm_bucket_end(&plan.map, 10, 150, 3 * BUCKET_BYTES_MAX), 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(owners_end_with_the_sum_by_the_balanced_tree_and_then_everybody_has_it),
        cmocka_unit_test(a_bucket_holds_no_more_parts_or_bytes_than_it_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
