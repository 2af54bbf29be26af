/* Counts by name beside a list that is searched through. */
#include "corpus/tally.h"

#include "base/random.h"
#include "support.h"

enum { NAMES = 3000, COUNTS = 20000 };

static uint64_t member(const cJSON *tally, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(tally, name);
    assert_true(cJSON_IsNumber(item));
    return (uint64_t)item->valuedouble;
}

static void counts_are_those_of_a_list(void **state)
{
    (void)state;
    static uint64_t documents[NAMES], bytes[NAMES];
    struct error error = {0};
    struct tally tally = {0};
    struct random_key key = {9, RANDOM_TEST, 0};
    char name[32];
    assert_ok(arena_create(&tally.arena, 0, &error), error);
    memset(documents, 0, sizeof documents);
    memset(bytes, 0, sizeof bytes);
    for (uint64_t i = 0; i < COUNTS; i++) {
        size_t chosen = (size_t)random_below(key, 2 * i, NAMES);
        uint64_t size = random_below(key, 2 * i + 1, 1000);
        snprintf(name, sizeof name, "name %zu", chosen);
        assert_ok(tally_add(&tally, name, size, &error), error);
        documents[chosen]++;
        bytes[chosen] += size;
    }
    cJSON *json = cJSON_CreateObject();
    tally_write(json, "sources", &tally);
    const cJSON *entry, *sources = cJSON_GetObjectItemCaseSensitive(json, "sources");
    uint64_t listed = 0, listed_bytes = 0, before = UINT64_MAX, rest = 0;
    cJSON_ArrayForEach(entry, sources)
    {
        if (strcmp(entry->string, "(others)") == 0) {
            rest = member(entry, "bytes");
            continue;
        }
        size_t at = (size_t)atoi(entry->string + 5);
        assert_int_equal(member(entry, "documents"), documents[at]);
        assert_int_equal(member(entry, "bytes"), bytes[at]);
        assert_true(bytes[at] <= before); /* those with most bytes come first */
        before = bytes[at];
        listed_bytes += bytes[at];
        listed++;
    }
    uint64_t all = 0;
    for (size_t i = 0; i < NAMES; i++)
        all += bytes[i];
    assert_int_equal(listed, TALLY_LISTED_MAX);
    assert_int_equal(listed_bytes + rest, all);
    cJSON_Delete(json);
    arena_destroy(tally.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts_are_those_of_a_list)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
