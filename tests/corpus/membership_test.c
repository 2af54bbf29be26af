/* Roots beside naive trees of the same definition. */
#include "corpus/membership.h"

#include "base/external_sort.h"
#include "base/file.h"
#include "support.h"

enum { SIZE_MAX_TRIED = 40 };

static struct sha256 hash_of(const char *what, size_t index)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%s %zu", what, index);
    return sha256_of(text, (size_t)len);
}

/* ---- the definition, written naively ---- */

static struct sha256 naive_tree(const struct sha256 *leaves, size_t count)
{
    struct sha256 half[2];
    uint8_t bytes[1 + 2 * SHA256_BYTES] = {1};
    if (count == 0)
        return sha256_of(NULL, 0);
    if (count == 1)
        return leaves[0];
    size_t left = 1;
    while (left * 2 < count)
        left *= 2;
    half[0] = naive_tree(leaves, left);
    half[1] = naive_tree(leaves + left, count - left);
    memcpy(bytes + 1, half, sizeof half);
    return sha256_of(bytes, sizeof bytes);
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, SHA256_BYTES);
}

static size_t naive_keys(struct sha256 *keys, const struct sha256 *salt,
                         const struct document_hashes *documents, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t bytes[10 + 64];
        memcpy(bytes, "rodnik key", 10);
        memcpy(bytes + 10, salt, 32);
        memcpy(bytes + 42, &documents[i].read, 32);
        keys[i] = sha256_of(bytes, sizeof bytes);
    }
    qsort(keys, count, sizeof *keys, by_bytes);
    size_t unique = 0;
    for (size_t i = 0; i < count; i++)
        if (!unique || memcmp(&keys[unique - 1], &keys[i], sizeof *keys) != 0)
            keys[unique++] = keys[i];
    return unique;
}

static struct corpus_roots naive_roots(const struct document_hashes *documents, size_t count)
{
    static uint8_t all[18 + 10000 * 32];
    static struct sha256 leaves[10000], keys[10000];
    struct corpus_roots roots = {.document_count = count};
    memcpy(all, "rodnik corpus salt", 18);
    for (size_t i = 0; i < count; i++) {
        memcpy(all + 18 + 32 * i, &documents[i].text, 32);
        leaves[i] = documents[i].leaf;
    }
    roots.salt = sha256_of(all, 18 + 32 * count);
    roots.documents = naive_tree(leaves, count);
    roots.key_count = naive_keys(keys, &roots.salt, documents, count);
    for (size_t i = 0; i < roots.key_count; i++) {
        uint8_t bytes[33] = {0};
        memcpy(bytes + 1, &keys[i], 32);
        leaves[i] = sha256_of(bytes, sizeof bytes);
    }
    roots.keys = naive_tree(leaves, roots.key_count);
    uint8_t three[97] = {2};
    memcpy(three + 1, &roots.documents, 32);
    memcpy(three + 33, &roots.keys, 32);
    memcpy(three + 65, &roots.salt, 32);
    roots.root = sha256_of(three, sizeof three);
    return roots;
}

/* ---- roots ---- */

/* Some texts were read twice: their keys are equal. */
static void make_documents(struct document_hashes *documents, size_t count)
{
    for (size_t i = 0; i < count; i++)
        documents[i] = (struct document_hashes){hash_of("leaf", i), hash_of("text", i),
                                                hash_of("read", i % 7 == 6 ? i - 3 : i)};
}

static void check_roots(const struct document_hashes *documents, size_t count, size_t memory_bytes)
{
    struct error error = {0};
    struct corpus_roots_maker *maker;
    struct corpus_roots roots;
    const struct corpus_roots_settings settings = {memory_bytes, "/tmp", NULL};
    assert_ok(corpus_roots_create(&maker, &settings, &error), error);
    for (size_t i = 0; i < count; i++)
        assert_ok(corpus_roots_add(maker, &documents[i], &error), error);
    assert_ok(corpus_roots_finish(&roots, maker, &error), error);
    corpus_roots_destroy(maker);
    struct corpus_roots expected = naive_roots(documents, count);
    assert_memory_equal(&roots, &expected, sizeof roots);
}

static void roots_are_those_of_naive_trees(void **state)
{
    (void)state;
    static struct document_hashes documents[10000];
    make_documents(documents, 10000);
    for (size_t count = 0; count <= SIZE_MAX_TRIED; count++)
        check_roots(documents, count, 1 << 16);
    check_roots(documents, 2047, 1 << 16);
    check_roots(documents, 2048, 1 << 16);
    check_roots(documents, 10000, SORT_MEMORY_BYTES_MIN);
}

static void each_hash_changes_the_root(void **state)
{
    (void)state;
    struct document_hashes documents[5];
    make_documents(documents, 5);
    struct corpus_roots before = naive_roots(documents, 5);
    for (size_t i = 0; i < sizeof documents; i += 32) {
        ((uint8_t *)documents)[i] ^= 1;
        struct corpus_roots after = naive_roots(documents, 5);
        assert_memory_not_equal(&before.root, &after.root, sizeof after.root);
        ((uint8_t *)documents)[i] ^= 1;
    }
    check_roots(documents, 5, 1 << 16);
}

static void a_maker_may_be_left_unfinished(void **state)
{
    (void)state;
    struct error error = {0};
    struct corpus_roots_maker *maker;
    const struct corpus_roots_settings settings = {1 << 16, "/tmp", NULL};
    assert_ok(corpus_roots_create(&maker, &settings, &error), error);
    corpus_roots_destroy(maker);
    const struct corpus_roots_settings nowhere = {1 << 16, "/nowhere/at/all", NULL};
    assert_int_not_equal(corpus_roots_create(&maker, &nowhere, &error), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_are_those_of_naive_trees),
        cmocka_unit_test(each_hash_changes_the_root),
        cmocka_unit_test(a_maker_may_be_left_unfinished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
