/* Arenas, buffers, strings, hashes and random numbers. */
#include <math.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/string.h"
#include "support.h"

static void blocks_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 63, 64, 65, 4096, 300000, 3 << 20};
    struct error error = {0};
    struct arena *arena;
    assert_ok(arena_create(&arena, 0, &error), error);
    for (int round = 0; round < 2; round++) {
        unsigned char *blocks[sizeof sizes / sizeof *sizes];
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            blocks[i] = arena_alloc(arena, sizes[i], 1, &error);
            assert_non_null(blocks[i]);
            assert_int_equal((uintptr_t)blocks[i] % ARENA_ALIGN, 0);
            for (size_t j = 0; j < sizes[i]; j++)
                assert_int_equal(blocks[i][j], 0);
            memset(blocks[i], (int)i + 1, sizes[i]);
        }
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (size_t j = 0; j < sizes[i]; j += 61)
                assert_int_equal(blocks[i][j], i + 1);
        arena_reset(arena);
        assert_int_equal(arena_used_bytes(arena), 0);
    }
    arena_destroy(arena);
}

static void a_rewound_scope_is_used_again_and_zeroed(void **state)
{
    (void)state;
    struct error error = {0};
    struct arena *arena;
    assert_ok(arena_create(&arena, 0, &error), error);
    char *kept = arena_string(arena, "kept", &error);
    for (int round = 0; round < 50; round++) {
        struct arena_mark mark = arena_mark(arena);
        size_t used = arena_used_bytes(arena);
        for (int i = 0; i < 20; i++) {
            char *block = arena_alloc(arena, 30000, 1, &error);
            assert_non_null(block);
            assert_int_equal(block[29999], 0);
            memset(block, 1, 30000);
        }
        arena_rewind(arena, mark);
        assert_int_equal(arena_used_bytes(arena), used);
    }
    assert_string_equal(kept, "kept");
    arena_destroy(arena);
}

static void limits_and_overflows_are_errors(void **state)
{
    (void)state;
    struct error error = {0}, limit = {0};
    struct arena *arena;
    assert_ok(arena_create(&arena, 1000, &error), error);
    assert_non_null(arena_alloc(arena, 500, 1, &error));
    assert_null(arena_alloc(arena, 900, 1, &limit));
    assert_int_equal(limit.code, ERR_LIMIT);
    memset(&limit, 0, sizeof limit);
    assert_null(arena_alloc(arena, SIZE_MAX / 2, 3, &limit));
    assert_int_equal(limit.code, ERR_LIMIT);
    arena_destroy(arena);
    arena_destroy(NULL);
}

static void a_limit_holds_after_a_block_that_fills_it(void **state)
{
    (void)state;
    struct error error = {0}, limit = {0};
    struct arena *arena;
    assert_ok(arena_create(&arena, 100, &error), error);
    assert_non_null(arena_alloc(arena, 100, 1, &error));
    assert_null(arena_alloc(arena, 100, 1, &limit));
    assert_int_equal(limit.code, ERR_LIMIT);
    arena_destroy(arena);
}

static void a_failed_allocation_is_an_error_and_nothing_leaks(void **state)
{
    (void)state;
    for (size_t nth = 1; nth <= 6; nth++) {
        struct error error = {0};
        struct arena *arena = NULL;
        memory_fail_after(nth);
        bool failed = arena_create(&arena, 0, &error) != OK;
        for (int i = 0; !failed && i < 8; i++)
            failed = !arena_alloc(arena, i % 2 ? 3 << 20 : 200000, 1, &error);
        memory_fail_after(0);
        assert_true(failed);
        assert_int_equal(error.code, ERR_MEMORY);
        arena_destroy(arena);
    }
}

static void a_buffer_grows_to_its_limit_and_no_further(void **state)
{
    (void)state;
    struct error error = {0};
    struct buffer buffer;
    buffer_create(&buffer, 10);
    assert_ok(buffer_string(&buffer, "12345", &error), error);
    assert_ok(buffer_format(&buffer, &error, "%d", 6789), error);
    assert_string_equal(buffer.data, "123456789");
    assert_int_equal(buffer_append(&buffer, "ab", 2, &error), ERR_LIMIT);
    assert_string_equal(buffer.data, "123456789");
    buffer_clear(&buffer);
    assert_int_equal(buffer.len, 0);
    memory_fail_after(1);
    struct buffer other;
    struct error memory = {0};
    buffer_create(&other, 100);
    assert_int_equal(buffer_string(&other, "x", &memory), ERR_MEMORY);
    memory_fail_after(0);
    buffer_destroy(&other);
    buffer_destroy(&buffer);
}

static void numbers_are_read_strictly(void **state)
{
    (void)state;
    int64_t i;
    uint64_t u;
    double d;
    bool b;
    assert_true(parse_i64(&i, view_of("-9223372036854775808")) && i == INT64_MIN);
    assert_true(parse_u64(&u, view_of("18446744073709551615")) && u == UINT64_MAX);
    assert_true(parse_double(&d, view_of("-1.5e-3")) && d == -1.5e-3);
    assert_true(parse_bool(&b, view_of("off")) && !b);
    static const char *const wrong[] = {"",    " 1",    "1 ",  "1x",  "0x",
                                        "--1", "1e999", "nan", "inf", "9223372036854775808x"};
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        assert_false(parse_i64(&i, view_of(wrong[k])));
        assert_false(parse_u64(&u, view_of(wrong[k])));
        assert_false(parse_double(&d, view_of(wrong[k])));
    }
    assert_false(parse_i64(&i, view_of("9223372036854775808")));
    assert_false(parse_u64(&u, view_of("-1")));
    assert_false(parse_bool(&b, view_of("maybe")));
}

static void lines_are_taken_one_by_one(void **state)
{
    (void)state;
    struct view rest = view_of("a\r\n\nlast"), line;
    assert_true(view_line(&line, &rest) && view_is(line, "a"));
    assert_true(view_line(&line, &rest) && line.len == 0);
    assert_true(view_line(&line, &rest) && view_is(line, "last"));
    assert_false(view_line(&line, &rest));
    assert_true(view_is(view_trim(view_of(" \t x y \n")), "x y"));
}

static void paths_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    char out[8];
    struct error error = {0};
    assert_ok(path_join(out, sizeof out, "ab/", "cde", &error), error);
    assert_string_equal(out, "ab/cde");
    assert_int_equal(path_join(out, sizeof out, "abcd", "efgh", &error), ERR_LIMIT);
}

/* The examples of FIPS 180-2. */
static void hashes_are_those_of_the_standard(void **state)
{
    (void)state;
    char hex[SHA256_HEX_BYTES];
    struct error error = {0};
    struct sha256 whole = sha256_of("abc", 3), read;
    sha256_hex(hex, &whole);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    struct sha256_state running;
    assert_ok(sha256_begin(&running, &error), error);
    sha256_add(&running, "a", 1);
    sha256_add(&running, "bc", 2);
    struct sha256 pieces = sha256_end(&running);
    assert_true(sha256_equal(&whole, &pieces));
    assert_true(sha256_parse(&read, hex) && sha256_equal(&whole, &read));
    hex[0] = 'B';
    assert_false(sha256_parse(&read, hex));
    assert_false(sha256_parse(&read, "ba78"));
}

/* The known answers that its authors publish with Philox4x32-10. */
static void random_numbers_are_those_of_philox(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct random_block block = random_philox_raw(cases[i].counter, cases[i].key);
        assert_memory_equal(block.word, cases[i].want, sizeof block.word);
    }
}

static void draws_stay_in_their_range_and_differ_by_purpose(void **state)
{
    (void)state;
    struct random_key key = {7, RANDOM_TEST, 3}, other = {7, RANDOM_INIT, 3};
    double sum = 0;
    size_t same = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        float x = random_unit(key, i);
        assert_true(x >= 0 && x < 1);
        sum += (double)x;
        assert_true(random_below(key, i, 7) < 7);
        same += random_u64(key, i) == random_u64(other, i);
    }
    assert_true(fabs(sum / 20000 - 0.5) < 0.01);
    assert_int_equal(same, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_zeroed_aligned_and_apart),
        cmocka_unit_test(a_rewound_scope_is_used_again_and_zeroed),
        cmocka_unit_test(limits_and_overflows_are_errors),
        cmocka_unit_test(a_limit_holds_after_a_block_that_fills_it),
        cmocka_unit_test(a_failed_allocation_is_an_error_and_nothing_leaks),
        cmocka_unit_test(a_buffer_grows_to_its_limit_and_no_further),
        cmocka_unit_test(numbers_are_read_strictly),
        cmocka_unit_test(lines_are_taken_one_by_one),
        cmocka_unit_test(paths_that_do_not_fit_are_refused),
        cmocka_unit_test(hashes_are_those_of_the_standard),
        cmocka_unit_test(random_numbers_are_those_of_philox),
        cmocka_unit_test(draws_stay_in_their_range_and_differ_by_purpose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
