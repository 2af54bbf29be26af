#include "tokenizer/samples.h"

/* Encoding in linear time beside the definition, on vocabularies drawn at random: tokens that their
 * own bytes do not become, ties, overlaps and merges in any causal order come up all the time. */

enum { DRAWN_MERGES = 40, WORD_BYTES_MAX = 120 };

/* All bytes, then joins of two tokens of few letters; the arena owns it. */
static struct tokenizer *drawn(uint64_t seed, struct arena *arena)
{
    struct error error = {0};
    struct random_key key = {seed, RANDOM_TEST, 0};
    struct tokenizer *tokenizer;
    uint32_t letters = 1 + (uint32_t)random_below(key, 0, 4), count = 256, merge_count = 0;
    struct view *tokens = arena_alloc(arena, 256 + DRAWN_MERGES, sizeof *tokens, &error);
    struct merge *merges = arena_alloc(arena, DRAWN_MERGES, sizeof *merges, &error);
    assert_true(tokens && merges);
    for (uint32_t byte = 0; byte < 256; byte++) {
        char *one = arena_alloc(arena, 1, 1, &error);
        assert_non_null(one);
        *one = (char)byte;
        tokens[byte] = (struct view){one, 1};
    }
    for (uint64_t draw = 1; draw < 400 && merge_count < DRAWN_MERGES; draw++) {
        uint32_t parts[2];
        for (uint64_t i = 0; i < 2; i++) {
            uint64_t pick = random_below(key, 2 * draw + i, letters + merge_count);
            parts[i] = (uint32_t)(pick < letters ? 'a' + pick : 256 + pick - letters);
        }
        size_t left_len = tokens[parts[0]].len, len = left_len + tokens[parts[1]].len;
        char *joined = arena_alloc(arena, len, 1, &error);
        assert_non_null(joined);
        memcpy(joined, tokens[parts[0]].data, left_len);
        memcpy(joined + left_len, tokens[parts[1]].data, len - left_len);
        bool known = len > 40;
        for (uint32_t id = 0; id < count && !known; id++)
            known = view_equal(tokens[id], (struct view){joined, len});
        if (known)
            continue;
        merges[merge_count++] = (struct merge){parts[0], parts[1], 0};
        tokens[count++] = (struct view){joined, len};
    }
    struct token_list list = {tokens, count, 0};
    assert_ok(tokenizer_assemble(&tokenizer, "drawn", list, arena, &error), error);
    assert_ok(tokenizer_assemble_merges(tokenizer, "drawn", merges, merge_count, arena, &error),
              error);
    return tokenizer;
}

static size_t by_definition(uint32_t *ids, const struct tokenizer *tokenizer, struct view word)
{
    size_t count = word.len;
    for (size_t i = 0; i < count; i++)
        ids[i] = tokenizer->byte_ids[(unsigned char)word.data[i]];
    for (;;) {
        const struct merge_slot *best = NULL;
        size_t at = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            const struct merge_slot *slot = merge_find(tokenizer, ids[i], ids[i + 1]);
            if (slot && (!best || slot->rank < best->rank)) {
                best = slot;
                at = i;
            }
        }
        if (!best)
            return count;
        ids[at] = best->result;
        count--;
        memmove(ids + at + 1, ids + at + 2, (count - at - 1) * sizeof *ids);
    }
}

static void any_causal_vocabulary_gives_what_the_definition_gives(void **state)
{
    (void)state;
    uint64_t rounds = test_is_long() ? 200000 : 3000;
    for (uint64_t seed = 1; seed <= rounds; seed++) {
        struct error error = {0};
        struct arena *arena;
        struct linear linear;
        assert_ok(arena_create(&arena, 0, &error), error);
        linear_create(&linear);
        const struct tokenizer *tokenizer = drawn(seed, arena);
        for (uint64_t round = 0; round < 20; round++) {
            struct random_key key = {seed, RANDOM_TEST, 1 + round};
            char word[WORD_BYTES_MAX];
            uint32_t expected[WORD_BYTES_MAX];
            const uint32_t *got;
            size_t count, len = 1 + random_below(key, 999, WORD_BYTES_MAX);
            for (size_t i = 0; i < len; i++)
                word[i] = (char)('a' + random_below(key, i, 1 + seed % 5));
            struct view view = {word, len};
            size_t expected_count = by_definition(expected, tokenizer, view);
            assert_ok(linear_encode(&got, &count, &linear, tokenizer, view, &error), error);
            assert_non_null(got);
            assert_int_equal(count, expected_count);
            assert_memory_equal(got, expected, count * sizeof *expected);
        }
        linear_destroy(&linear);
        arena_destroy(arena);
    }
}

/* A token that two merges make, or a merge before those of its parts, is for the heap. */
static void other_vocabularies_are_left_to_the_heap(void **state)
{
    (void)state;
    struct error error = {0};
    struct arena *arena;
    assert_ok(arena_create(&arena, 0, &error), error);
    static const struct merge lists[2][4] = {
        {{'a', 'b', 0}, {'b', 'c', 0}, {256, 'c', 0}, {'a', 257, 0}},
        {{256, 'c', 0}, {'a', 'b', 0}, {'b', 'c', 0}, {0}}};
    static const uint32_t counts[2] = {4, 3};
    for (size_t i = 0; i < 2; i++) {
        struct tokenizer *tokenizer;
        struct linear linear;
        const uint32_t *got;
        size_t count;
        struct view *tokens = arena_alloc(arena, 259, sizeof *tokens, &error);
        struct merge *merges = arena_alloc(arena, 4, sizeof *merges, &error);
        char *bytes = arena_alloc(arena, 256, 1, &error);
        assert_true(tokens && merges && bytes);
        for (uint32_t byte = 0; byte < 256; byte++) {
            bytes[byte] = (char)byte;
            tokens[byte] = (struct view){bytes + byte, 1};
        }
        tokens[256] = view_of("ab");
        tokens[257] = view_of("bc");
        tokens[258] = view_of("abc");
        memcpy(merges, lists[i], sizeof lists[i]);
        struct token_list list = {tokens, 259, 0};
        assert_ok(tokenizer_assemble(&tokenizer, "other", list, arena, &error), error);
        assert_ok(tokenizer_assemble_merges(tokenizer, "other", merges, counts[i], arena, &error),
                  error);
        linear_create(&linear);
        assert_ok(linear_encode(&got, &count, &linear, tokenizer, view_of("abcabc"), &error),
                  error);
        assert_null(got);
        linear_destroy(&linear);
    }
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_causal_vocabulary_gives_what_the_definition_gives),
        cmocka_unit_test(other_vocabularies_are_left_to_the_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
