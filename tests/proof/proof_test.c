/* Merkle trees against a plain recursion; ledgers that were torn, edited, shortened, reordered. */
#include "support.h"

#include "base/file.h"
#include "proof/ledger.h"
#include "proof/merkle.h"

/* RFC 9162: split at the largest power of two below the count. */
static struct sha256 plain_root(const struct sha256 *leaves, size_t count)
{
    if (count == 1)
        return leaves[0];
    size_t split = 1;
    while (2 * split < count)
        split *= 2;
    struct sha256 left = plain_root(leaves, split);
    struct sha256 right = plain_root(leaves + split, count - split);
    uint8_t bytes[65] = {1};
    memcpy(bytes + 1, left.byte, 32);
    memcpy(bytes + 33, right.byte, 32);
    return sha256_of(bytes, sizeof bytes);
}

static void roots_and_proofs_hold_for_every_size(void **state)
{
    (void)state;
    struct sha256 leaves[40], root, plain;
    struct merkle_stream stream = {0};
    struct error error = {0};
    for (size_t i = 0; i < 40; i++)
        assert_ok(merkle_leaf(&leaves[i], &(struct view){(const char *)&i, sizeof i}, 1, &error),
                  error);
    for (size_t count = 1; count <= 40; count++) {
        assert_ok(merkle_root(&root, leaves, count, &error), error);
        plain = plain_root(leaves, count);
        assert_true(sha256_equal(&root, &plain));
        merkle_stream_add(&stream, &leaves[count - 1]);
        root = merkle_stream_root(&stream);
        assert_true(sha256_equal(&root, &plain));
        for (size_t i = 0; i < count; i++) {
            struct merkle_proof proof;
            assert_ok(merkle_prove(&proof, leaves, count, i, &error), error);
            assert_true(merkle_check(&proof, &leaves[i], &root));
            assert_false(merkle_check(&proof, &leaves[(i + 1) % 40], &root));
            if (proof.count) {
                proof.siblings[proof.count - 1].byte[7] ^= 1;
                assert_false(merkle_check(&proof, &leaves[i], &root));
            }
        }
    }
}

static char path[64];

static void write_ledger(size_t lines)
{
    struct error error = {0};
    struct ledger ledger;
    char member[32];
    snprintf(path, sizeof path, "/tmp/rodnik-ledger-%d", (int)getpid());
    unlink(path);
    assert_ok(ledger_open(&ledger, path, NULL, NULL, &error), error);
    for (size_t i = 0; i < lines; i++) {
        snprintf(member, sizeof member, "\"step\":%zu", i);
        assert_ok(ledger_append(&ledger, member, &error), error);
    }
    assert_int_equal(ledger.lines, lines);
}

static void a_torn_line_is_noticed_and_cut_off(void **state)
{
    (void)state;
    struct error error = {0};
    struct ledger ledger;
    write_ledger(3);
    assert_ok(file_append(path, "{\"index\":3,\"prev", 16, &error), error);
    assert_ok(ledger_open(&ledger, path, NULL, NULL, &error), error);
    assert_true(ledger.torn && ledger.lines == 3);
    assert_ok(ledger_mend(&ledger, &error), error);
    assert_ok(ledger_append(&ledger, "\"step\":3", &error), error);
    assert_ok(ledger_open(&ledger, path, NULL, NULL, &error), error);
    assert_true(!ledger.torn && ledger.lines == 4);
    assert_ok(ledger_cut(&ledger, 2, &error), error);
    assert_int_equal(ledger.lines, 2);
    unlink(path);
}

/* Changes the file's text and expects the line to be named. */
static void expect_refusal(const char *line, void (*change)(char *text))
{
    struct error error = {0};
    struct arena *arena;
    struct view text;
    struct ledger ledger;
    write_ledger(4);
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(file_read(&text, path, 1 << 20, arena, &error), error);
    change((char *)(uintptr_t)text.data);
    assert_ok(file_write_atomic(path, text.data, strlen(text.data), &error), error);
    assert_int_equal(ledger_open(&ledger, path, NULL, NULL, &error), ERR_FORMAT);
    assert_non_null(strstr(error.text, line));
    arena_destroy(arena);
    unlink(path);
}

static void edit(char *text)
{
    *strstr(text, "\"step\":1") = ' ';
}

static void edit_value(char *text)
{
    strstr(text, "\"step\":1")[7] = '9';
}

static void remove_second(char *text)
{
    char *second = strchr(text, '\n') + 1, *third = strchr(second, '\n') + 1;
    memmove(second, third, strlen(third) + 1);
}

static void changed_lines_are_refused_by_number(void **state)
{
    (void)state;
    expect_refusal("line 2", edit);
    expect_refusal("line 3", edit_value);
    expect_refusal("line 2", remove_second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_and_proofs_hold_for_every_size),
        cmocka_unit_test(a_torn_line_is_noticed_and_cut_off),
        cmocka_unit_test(changed_lines_are_refused_by_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
