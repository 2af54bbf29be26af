/* Roots beside naive trees of the same definition; proofs of every document and every gap between
 * keys, for every size of a corpus; every change to a proof is noticed. */
#include "support.h"

#include "base/external_sort.h"
#include "base/file.h"
#include "base/random.h"
#include "corpus/corpus.h"
#include "corpus/membership_proof.h"

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
    uint8_t three[113] = {2};
    memcpy(three + 1, &roots.documents, 32);
    memcpy(three + 33, &roots.keys, 32);
    memcpy(three + 65, &roots.salt, 32);
    memcpy(three + 97, &roots.document_count, 8); /* the tests' machines are little-endian */
    memcpy(three + 105, &roots.key_count, 8);
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

/* ---- proofs ---- */

struct place {
    char folder[64], in[96], out[96];
    struct thread_pool *pool;
    struct arena *arena;
    struct corpus *corpus;
    struct corpus_prover *prover;
    struct error error;
};

/* A corpus of `count` lines of JSON, no text a duplicate of another. */
static void place_create(struct place *out, size_t count)
{
    struct buffer lines;
    struct corpus_counts counts;
    struct place place = {.folder = "/tmp/rodnik-membership-XXXXXX"};
    assert_non_null(mkdtemp(place.folder));
    snprintf(place.in, sizeof place.in, "%s/in.jsonl", place.folder);
    snprintf(place.out, sizeof place.out, "%s/out", place.folder);
    buffer_create(&lines, 1 << 20);
    for (size_t i = 0; i < count; i++) {
        struct sha256 hash = hash_of("word", i);
        char hex[SHA256_HEX_BYTES];
        sha256_hex(hex, &hash);
        assert_ok(buffer_format(&lines, &place.error,
                                "{\"text\":\"%s stands in a line of its own, %s\",\"license\":"
                                "\"CC0\",\"source\":\"test %zu\"}\n",
                                hex, hex + 7, i),
                  place.error);
    }
    assert_ok(file_write_atomic(place.in, lines.data, lines.len, &place.error), place.error);
    buffer_destroy(&lines);
    assert_ok(thread_pool_create(&place.pool, 1, &place.error), place.error);
    const char *inputs[] = {place.in};
    struct corpus_job job = {.settings = corpus_settings_default(),
                             .inputs = inputs,
                             .input_count = 1,
                             .out = place.out,
                             .pool = place.pool};
    job.settings.duplicates = "exact"; /* the texts differ in a number only */
    job.settings.line_documents = 0;
    assert_ok(corpus_build(&counts, &job, &place.error), place.error);
    assert_int_equal(counts.documents, count);
    assert_ok(arena_create(&place.arena, 0, &place.error), place.error);
    assert_ok(corpus_open(&place.corpus, place.out, place.arena, &place.error), place.error);
    assert_ok(corpus_verify(place.corpus, place.pool, &place.error), place.error);
    assert_ok(corpus_prover_create(&place.prover, place.corpus, place.arena, &place.error),
              place.error);
    *out = place;
}

static void place_destroy(struct place *place)
{
    corpus_close(place->corpus);
    arena_destroy(place->arena);
    thread_pool_destroy(place->pool);
    assert_ok(path_remove_tree(place->folder, &place->error), place->error);
}

/* Proves, writes, reads back, checks. */
static void prove_and_check(struct corpus_proof *out, struct place *place,
                            const struct sha256 *read, struct view stored, bool *checked)
{
    struct buffer line;
    struct corpus_proof proof;
    buffer_create(&line, PROOF_BYTES_MAX);
    assert_ok(corpus_prove(&proof, place->prover, read, &place->error), place->error);
    assert_ok(corpus_proof_write(&line, &proof, &place->error), place->error);
    assert_ok(corpus_proof_parse(out, (struct view){line.data, line.len}, "proof", place->arena,
                                 &place->error),
              place->error);
    assert_ok(corpus_proof_check(checked, out, stored, &place->error), place->error);
    assert_true(out->member == proof.member);
    buffer_destroy(&line);
}

static void check_members(struct place *place)
{
    for (size_t i = 0; i < corpus_count(place->corpus); i++) {
        const struct document *document = corpus_document(place->corpus, i);
        struct corpus_proof proof;
        bool checked;
        prove_and_check(&proof, place, &document->read, document->text, &checked);
        assert_true(proof.member && checked);
        assert_string_equal(proof.document.id, document->id);
        prove_and_check(&proof, place, &document->read, (struct view){0}, &checked);
        assert_true(proof.member && !checked);
        prove_and_check(&proof, place, &document->read, view_of("another text"), &checked);
        assert_true(proof.member && !checked);
    }
}

/* Texts that are not there, until one fell into each gap: before the first key, between each two,
 * behind the last. */
static void check_gaps(struct place *place, size_t count)
{
    bool met[SIZE_MAX_TRIED + 1] = {0}, checked;
    size_t left = count + 1;
    for (size_t i = 0; left && i < 100000; i++) {
        struct sha256 read = hash_of("absent", i);
        struct corpus_proof proof;
        prove_and_check(&proof, place, &read, (struct view){0}, &checked);
        assert_false(proof.member || checked);
        assert_true(proof.has_before || proof.has_after);
        size_t gap = proof.has_before ? proof.before.path.index + 1 : 0;
        assert_true(proof.has_after == (gap < count));
        left -= !met[gap];
        met[gap] = true;
    }
    assert_int_equal(left, 0);
}

static void every_document_and_every_gap_is_proven(void **state)
{
    (void)state;
    bool all = getenv("RODNIK_TEST_LONG") != NULL;
    for (size_t count = 1; count <= SIZE_MAX_TRIED; count++) {
        struct place place;
        if (!all && count > 5 && (count + 1) % 16 > 2) /* those around whole trees */
            continue;
        place_create(&place, count);
        check_members(&place);
        check_gaps(&place, count);
        place_destroy(&place);
    }
}

static void nothing_is_in_a_corpus_without_documents(void **state)
{
    (void)state;
    struct error error = {0};
    struct corpus_roots_maker *maker;
    struct corpus_proof proof = {.read = hash_of("absent", 0)};
    const struct corpus_roots_settings settings = {1 << 16, "/tmp", NULL};
    bool checked;
    assert_ok(corpus_roots_create(&maker, &settings, &error), error);
    assert_ok(corpus_roots_finish(&proof.roots, maker, &error), error);
    corpus_roots_destroy(maker);
    assert_ok(corpus_proof_check(&checked, &proof, (struct view){0}, &error), error);
    proof.roots.keys.byte[0] ^= 1;
    proof.roots.root = corpus_root_of(&proof.roots);
    assert_int_equal(corpus_proof_check(&checked, &proof, (struct view){0}, &error), ERR_CONFLICT);
}

/* Whether the line proves something about this text. */
static bool holds(struct view line, const struct sha256 *read, struct view stored,
                  struct arena *arena)
{
    struct error error = {0};
    struct corpus_proof proof;
    bool checked, holds;
    struct arena_mark mark = arena_mark(arena);
    holds = corpus_proof_parse(&proof, line, "proof", arena, &error) == OK &&
            sha256_equal(&proof.read, read) &&
            corpus_proof_check(&checked, &proof, stored, &error) == OK &&
            (checked || !proof.member);
    arena_rewind(arena, mark);
    return holds;
}

/* Characters become other ones, one at a time (in the short form each seventh). */
static void check_changes(struct place *place, const struct sha256 *read, struct view stored)
{
    struct buffer line;
    struct corpus_proof proof;
    size_t noticed = 0;
    buffer_create(&line, PROOF_BYTES_MAX);
    assert_ok(corpus_prove(&proof, place->prover, read, &place->error), place->error);
    assert_ok(corpus_proof_write(&line, &proof, &place->error), place->error);
    assert_true(holds((struct view){line.data, line.len}, read, stored, place->arena));
    size_t stride = getenv("RODNIK_TEST_LONG") ? 1 : 7, offset = read->byte[0] % stride;
    for (size_t i = offset; i + 1 < line.len; i += stride) { /* all but the line's end */
        char was = line.data[i];
        line.data[i] = was == '1' ? '2' : '1';
        if (holds((struct view){line.data, line.len}, read, stored, place->arena))
            fail_msg("character %zu of %s may be changed", i, line.data);
        noticed++;
        line.data[i] = was;
    }
    for (size_t len = offset; len + 1 < line.len; len += stride)
        assert_false(holds((struct view){line.data, len}, read, stored, place->arena));
    assert_true(noticed * stride > 500);
    buffer_destroy(&line);
}

static void every_change_to_a_proof_is_noticed(void **state)
{
    (void)state;
    const size_t sizes[] = {1, 2, 3, 7};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct place place;
        place_create(&place, sizes[s]);
        for (size_t i = 0; i < sizes[s]; i++)
            check_changes(&place, &corpus_document(place.corpus, i)->read,
                          corpus_document(place.corpus, i)->text);
        for (size_t i = 0; i < 4; i++) {
            struct sha256 absent = hash_of("absent", i);
            check_changes(&place, &absent, (struct view){0});
        }
        place_destroy(&place);
    }
}

/* What a cheat would try: a salt of his own, neighbours that are none, a member's gap. */
static void absence_is_not_proven_of_what_is_there(void **state)
{
    (void)state;
    struct place place;
    struct corpus_proof own, left, right;
    bool checked;
    place_create(&place, 9);
    for (size_t i = 0; i < 9; i++) {
        const struct sha256 *read = &corpus_document(place.corpus, i)->read;
        prove_and_check(&own, &place, read, (struct view){0}, &checked);
        struct corpus_proof cheat = own;
        cheat.member = false; /* the own key as the neighbour before */
        assert_int_equal(corpus_proof_check(&checked, &cheat, (struct view){0}, &place.error),
                         ERR_CONFLICT);
        for (size_t k = 0; k < 200; k++) { /* any two keys as if they were neighbours */
            struct sha256 one = hash_of("absent", k), two = hash_of("absent", k * 31 + 7);
            prove_and_check(&left, &place, &one, (struct view){0}, &checked);
            prove_and_check(&right, &place, &two, (struct view){0}, &checked);
            cheat = left;
            cheat.read = *read;
            cheat.after = right.after;
            cheat.has_after = right.has_after;
            assert_int_not_equal(
                corpus_proof_check(&checked, &cheat, (struct view){0}, &place.error), OK);
        }
        for (uint8_t salt = 1; salt < 100; salt++) {
            struct sha256 absent = hash_of("absent", salt);
            prove_and_check(&cheat, &place, &absent, (struct view){0}, &checked);
            cheat.read = *read;
            cheat.roots.salt.byte[0] ^= salt;
            assert_int_not_equal(
                corpus_proof_check(&checked, &cheat, (struct view){0}, &place.error), OK);
        }
    }
    place_destroy(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_are_those_of_naive_trees),
        cmocka_unit_test(each_hash_changes_the_root),
        cmocka_unit_test(a_maker_may_be_left_unfinished),
        cmocka_unit_test(every_document_and_every_gap_is_proven),
        cmocka_unit_test(nothing_is_in_a_corpus_without_documents),
        cmocka_unit_test(every_change_to_a_proof_is_noticed),
        cmocka_unit_test(absence_is_not_proven_of_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
