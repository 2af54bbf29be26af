/* Signatures beside the Jaccard coefficient, components beside a plain search, clusters beside all
 * pairs, and the same clusters for any order, threads and memory. */
#include "corpus/duplicates.h"

#include <errno.h>
#include <math.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/random.h"
#include "base/thread.h"
#include "corpus/components.h"
#include "corpus/minhash.h"
#include "support.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/rodnik_duplicates_XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    struct error error = {0};
    return path_remove_tree(folder, &error) == OK ? 0 : -1;
}

/* ---- texts of random words ---- */

enum { TEXT_WORDS = 200, TEXT_BYTES = TEXT_WORDS * 16 };

static size_t put_word(char *out, uint64_t draw)
{
    static const char *const letters[] = {"а", "о", "е", "и", "н", "т", "р", "с", "k", "x"};
    size_t len = 0;
    for (uint64_t left = draw % 1000003 + 7; left; left /= 10) {
        size_t bytes = strlen(letters[left % 10]);
        memcpy(out + len, letters[left % 10], bytes);
        len += bytes;
    }
    out[len++] = ' ';
    return len;
}

/* Text `index`, with `changed` words of TEXT_WORDS drawn anew for this `copy`. */
static struct view make_text(char *out, uint64_t index, uint64_t copy, size_t changed)
{
    struct random_key words = {index, RANDOM_TEST, 0}, other = {index, RANDOM_TEST, copy + 1};
    size_t len = 0;
    for (uint64_t i = 0; i < TEXT_WORDS; i++) {
        bool change = random_below(other, i, TEXT_WORDS) < changed;
        len += put_word(out + len, random_u64(change ? other : words, 1000 + i));
    }
    return (struct view){out, len};
}

/* ---- the Jaccard coefficient, word for word ---- */

struct shingles {
    struct view list[TEXT_WORDS];
    size_t count;
};

static int compare_views(const void *a, const void *b)
{
    const struct view *left = a, *right = b;
    size_t len = left->len < right->len ? left->len : right->len;
    int order = memcmp(left->data, right->data, len);
    return order ? order : left->len < right->len ? -1 : left->len > right->len;
}

/* The texts are in normal form already. */
static void shingles_of(struct shingles *out, struct view text)
{
    size_t begin[TEXT_WORDS + 1], count = 0;
    for (size_t i = 0; i < text.len; i++)
        if (i == 0 || text.data[i - 1] == ' ')
            begin[count++] = i;
    begin[count] = text.len;
    out->count = 0;
    for (size_t i = 0; i + SHINGLE_WORDS <= count; i++)
        out->list[out->count++] =
            (struct view){text.data + begin[i], begin[i + SHINGLE_WORDS] - begin[i]};
    qsort(out->list, out->count, sizeof *out->list, compare_views);
}

static double jaccard(const struct shingles *a, const struct shingles *b)
{
    size_t i = 0, k = 0, both = 0;
    while (i < a->count && k < b->count) {
        int order = compare_views(&a->list[i], &b->list[k]);
        both += order == 0;
        i += order <= 0;
        k += order >= 0;
    }
    return (double)both / (double)(a->count + b->count - both);
}

static double jaccard_of(struct view a, struct view b)
{
    static struct shingles left, right;
    shingles_of(&left, a);
    shingles_of(&right, b);
    return jaccard(&left, &right);
}

/* ---- signatures ---- */

static void numbers_are_the_minima_that_the_header_says(void **state)
{
    (void)state;
    static struct minhasher hasher;
    static char bytes[40 * TEXT_BYTES];
    struct error error = {0};
    struct minhash minhash;
    for (size_t round = 0; round < 40; round++) {
        size_t len = 0, words = 0;
        uint64_t hash[40 * TEXT_WORDS];
        for (size_t i = 0; i <= round; i++)
            len += make_text(bytes + len, i, round, 50).len;
        if (round < 20) /* some very short ones */
            len = utf8_floor((struct view){bytes, len}, round * 10);
        for (size_t at = 0, end; at < len; at = end + 1) {
            const char *space = memchr(bytes + at, ' ', len - at);
            end = space ? (size_t)(space - bytes) : len;
            hash[words++] = word_hash((struct view){bytes + at, end - at});
        }
        minhasher_open(&hasher);
        assert_ok(minhash_of(&minhash, &hasher, (struct view){bytes, len}, &error), error);
        size_t n = words < SHINGLE_WORDS ? words : SHINGLE_WORDS;
        assert_int_equal(minhash.shingles, words ? words - n + 1 : 0);
        for (size_t i = 0; i < MINHASH_NUMBERS; i++) {
            uint32_t least = UINT32_MAX;
            for (size_t s = 0; s < minhash.shingles; s++) {
                uint64_t sum = 0;
                for (size_t k = s; k < s + n; k++)
                    sum = sum * GRAM_FACTOR + hash[k];
                uint32_t shingle = (uint32_t)(gram_mix(sum) >> 32);
                uint32_t value = hasher.family.factor[i] * shingle + hasher.family.addend[i];
                least = value < least ? value : least;
            }
            assert_true(minhash.number[i] == least);
        }
        minhasher_close(&hasher);
    }
}

/* Whatever numbers stand in a text, in some stretches or in all, zeros would do. */
static void numbers_are_folded_in_signatures(void **state)
{
    (void)state;
    static struct minhasher hasher;
    static char text[200000], zeros[sizeof text];
    struct error error = {0};
    for (uint64_t round = 0; round < 20; round++) {
        struct minhash with_numbers, with_zeros;
        size_t len = 0, zeros_len = 0;
        for (uint64_t i = 0; len < sizeof text - 100; i++) {
            uint64_t draw = random_u64((struct random_key){round, RANDOM_TEST, 5}, i);
            char word[100];
            size_t word_len = put_word(word, draw);
            if (i / 2000 % 2 == round % 2 && draw % 5 == 0) {
                len += (size_t)sprintf(text + len, "a%d-%d\xC2\xB2 ", (int)(draw >> 20 & 4095), 7);
                zeros_len += (size_t)sprintf(zeros + zeros_len, "a0 0 ");
                continue;
            }
            memcpy(text + len, word, word_len);
            memcpy(zeros + zeros_len, word, word_len);
            len += word_len;
            zeros_len += word_len;
            if (!round && i == 1) /* two words */
                break;
        }
        minhasher_open(&hasher);
        assert_ok(minhash_of(&with_numbers, &hasher, (struct view){text, len}, &error), error);
        assert_ok(minhash_of(&with_zeros, &hasher, (struct view){zeros, zeros_len}, &error), error);
        assert_true(with_numbers.shingles > 0);
        assert_int_equal(with_numbers.shingles, with_zeros.shingles);
        assert_memory_equal(with_numbers.number, with_zeros.number, sizeof with_zeros.number);
        minhasher_close(&hasher);
    }
}

static void the_family_is_split_mix(void **state)
{
    (void)state;
    struct minhash_family family; /* SplitMix64 from 0 begins e220a8397b1dcdaf 6e789e6aa1b965f4 */
    minhash_family(&family);
    assert_int_equal(family.factor[0], 0xe220a839);
    assert_int_equal(family.addend[0], 0x6e789e6a);
    assert_int_equal(family.factor[1], 0x06c45d18 | 1);
    assert_int_equal(family.addend[1], 0xf88bb8a8);
    for (size_t i = 0; i < MINHASH_NUMBERS; i++)
        assert_true(family.factor[i] & 1);
}

/* The estimate is free of bias and its error is that of 112 independent coins: a family whose
 * members resembled each other would show here. */
static void likeness_estimates_the_jaccard_coefficient(void **state)
{
    (void)state;
    enum { PAIRS = 1500 };
    static char a[TEXT_BYTES], b[TEXT_BYTES];
    static struct minhasher hasher;
    struct error error = {0};
    struct minhash left, right;
    double bias = 0, squares = 0;
    minhasher_open(&hasher);
    for (uint64_t i = 0; i < PAIRS; i++) {
        struct view first = make_text(a, i, 0, 0), second = make_text(b, i, 1, i % 40);
        assert_ok(minhash_of(&left, &hasher, first, &error), error);
        assert_ok(minhash_of(&right, &hasher, second, &error), error);
        double wanted = jaccard_of(first, second), found = minhash_likeness(&left, &right);
        double deviation = sqrt(wanted * (1 - wanted) / MINHASH_NUMBERS) + 1e-9;
        assert_true(fabs(found - wanted) < 6 * deviation + 1e-6);
        bias += (found - wanted) / deviation / PAIRS;
        squares += pow((found - wanted) / deviation, 2) / PAIRS;
    }
    minhasher_close(&hasher);
    print_message("  error over that of independent hashes: mean %.3f, square %.3f\n", bias,
                  squares);
    assert_true(fabs(bias) < 0.12); /* four standard errors */
    assert_true(squares > 0.8 && squares < 1.2);
}

/* ---- components ---- */

static uint64_t root_of(uint64_t *parent, uint64_t node)
{
    while (parent[node] != node)
        node = parent[node];
    return node;
}

enum { NODES = 2000 };

static uint64_t edge_end(struct random_key key, uint64_t index, int shape, int end)
{
    uint64_t draw = random_below(key, 2 * index + (uint64_t)end, NODES);
    switch (shape) {
    case 0: /* anything */
        return draw;
    case 1: /* a chain, which takes the most turns */
        return (index + (uint64_t)end) * 7919 % NODES;
    case 2: /* stars around few nodes */
        return end ? draw : draw % 7 * 100 + 50;
    default: /* small groups */
        return end ? draw : draw / 8 * 8;
    }
}

static void components_are_those_of_a_plain_search(void **state)
{
    (void)state;
    static uint64_t parent[NODES];
    struct external_sort_settings settings = {2, SORT_MEMORY_BYTES_MIN, folder, NULL};
    for (int shape = 0; shape < 4; shape++)
        for (uint64_t count = 0; count <= NODES; count += 499) {
            struct error error = {0};
            struct external_sort *edges, *nodes;
            const uint64_t *record;
            for (uint64_t i = 0; i < NODES; i++)
                parent[i] = i;
            assert_ok(external_sort_create(&edges, &settings, &error), error);
            for (uint64_t i = 0; i < count; i++) {
                struct random_key key = {count, RANDOM_TEST, (uint64_t)shape};
                uint64_t edge[] = {edge_end(key, i, shape, 0), edge_end(key, i, shape, 1)};
                uint64_t a = root_of(parent, edge[0]), b = root_of(parent, edge[1]);
                parent[a > b ? a : b] = a > b ? b : a;
                assert_ok(external_sort_add(edges, edge, 1, &error), error);
            }
            assert_ok(external_sort_finish(edges, &error), error);
            assert_ok(components_find(&nodes, edges, &settings, &error), error);
            for (uint64_t i = 0; i < NODES; i++) {
                if (parent[i] == i)
                    continue;
                assert_ok(external_sort_next(&record, nodes, &error), error);
                assert_non_null(record);
                assert_int_equal(record[0], i);
                assert_int_equal(record[1], root_of(parent, i));
            }
            assert_ok(external_sort_next(&record, nodes, &error), error);
            assert_null(record);
            external_sort_destroy(nodes);
            external_sort_destroy(edges);
        }
}

/* ---- clusters ---- */

enum { FAMILIES = 60, COPIES = 6, TEXTS = FAMILIES * COPIES };

struct texts {
    char bytes[TEXTS][TEXT_BYTES];
    struct numbered_text list[TEXTS];
};

/* Families of texts, from equal in all but case to nothing but the name in common. */
static struct texts *make_texts(void)
{
    struct texts *texts = calloc(1, sizeof *texts);
    assert_non_null(texts);
    for (size_t i = 0; i < TEXTS; i++) {
        size_t family = i % FAMILIES, copy = i / FAMILIES;
        struct view text = make_text(texts->bytes[i], family, copy == 1 ? 0 : copy,
                                     copy < 2 ? 0 : family * copy / 8);
        if (copy == 1)
            texts->bytes[i][text.len - 1] = '!'; /* an exact duplicate still */
        texts->list[i] = (struct numbered_text){i * 3 + 1, text};
    }
    return texts;
}

struct found {
    struct duplicate list[TEXTS];
    size_t count;
};

static status find(struct found *out, const struct numbered_text *list, size_t count,
                   struct duplicates_settings settings, struct error *error)
{
    struct duplicates *duplicates = NULL;
    bool more = true;
    *out = (struct found){0};
    status result = duplicates_create(&duplicates, &settings, error);
    for (size_t i = 0; i < count && result == OK; i += 100)
        result = duplicates_add(duplicates, list + i, count - i < 100 ? count - i : 100, error);
    if (result == OK)
        result = duplicates_finish(duplicates, error);
    while (result == OK && more) {
        struct duplicate duplicate;
        result = duplicates_next(&more, &duplicate, duplicates, error);
        if (result == OK && more) {
            assert_true(out->count < TEXTS);
            out->list[out->count++] = duplicate;
        }
    }
    duplicates_destroy(duplicates);
    return result;
}

static const struct duplicate *duplicate_of(const struct found *found, uint64_t number)
{
    for (size_t i = 0; i < found->count; i++)
        if (found->list[i].document == number)
            return &found->list[i];
    return NULL;
}

static bool together(const struct found *found, uint64_t a, uint64_t b)
{
    const struct duplicate *left = duplicate_of(found, a), *right = duplicate_of(found, b);
    return left && right && left->cluster == right->cluster;
}

static void near_pairs_are_found_and_far_ones_are_not(void **state)
{
    (void)state;
    struct error error = {0};
    struct thread_pool *pool;
    struct found found;
    struct texts *texts = make_texts();
    size_t near = 0, near_found = 0, far = 0, far_found = 0, middle = 0;
    assert_ok(thread_pool_create(&pool, 2, &error), error);
    struct duplicates_settings settings = {true, 1 << 20, folder, pool};
    assert_ok(find(&found, texts->list, TEXTS, settings, &error), error);
    for (size_t i = 0; i < TEXTS; i++)
        for (size_t k = i + 1; k < TEXTS; k++) {
            double likeness = jaccard_of(texts->list[i].text, texts->list[k].text);
            bool same = together(&found, texts->list[i].number, texts->list[k].number);
            near += likeness >= 0.9;
            near_found += likeness >= 0.9 && same;
            far += likeness < 0.5;
            far_found += likeness < 0.5 && same;
            middle += likeness >= 0.5 && likeness < 0.9;
        }
    print_message("  J >= 0.9: %zu of %zu pairs found; J < 0.5: %zu of %zu; between: %zu pairs\n",
                  near_found, near, far_found, far, middle);
    assert_true(near > 150 && middle > 100 && far > 10000);
    assert_true((double)near_found >= 0.995 * (double)near);
    assert_true((double)far_found <= 0.003 * (double)far); /* by way of a third text, too */
    thread_pool_destroy(pool);
    free(texts);
}

static void expect_same(const struct duplicate *found, const struct duplicate *wanted)
{
    assert_int_equal(found->document, wanted->document);
    assert_int_equal(found->cluster, wanted->cluster);
    assert_int_equal(found->size, wanted->size);
    assert_string_equal(duplicate_kind_name(found->kind), duplicate_kind_name(wanted->kind));
}

static void clusters_name_the_first_the_size_and_the_kind(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "Один два три четыре пять шесть семь восемь девять десять!",
        "Совсем другой текст, который ни на что не похож вообще.",
        "один ДВА три; четыре пять шёсть семь восемь девять десять",
        "Приложение 15 к постановлению 2024 года о порядке учёта.",
        "Приложение 16 к постановлению 2025 года о порядке учёта.",
        "один два три четыре пять шесть семь восемь девять десять",
        "!!!",
        "???",
        "!!!",
        "",
        "Слово",
        "слово.",
    };
    enum { LINES = sizeof lines / sizeof *lines };
    static const struct duplicate wanted[] = {
        {0, 0, 3, DUPLICATE_FIRST}, {2, 0, 3, DUPLICATE_EXACT},   {3, 3, 2, DUPLICATE_FIRST},
        {4, 3, 2, DUPLICATE_NEAR},  {5, 0, 3, DUPLICATE_EXACT},   {6, 6, 2, DUPLICATE_FIRST},
        {8, 6, 2, DUPLICATE_EXACT}, {10, 10, 2, DUPLICATE_FIRST}, {11, 10, 2, DUPLICATE_EXACT},
    };
    struct numbered_text list[LINES];
    struct error error = {0};
    struct thread_pool *pool;
    struct found found;
    for (size_t i = 0; i < LINES; i++)
        list[i] = (struct numbered_text){i, view_of(lines[i])};
    assert_ok(thread_pool_create(&pool, 1, &error), error);
    struct duplicates_settings settings = {true, DUPLICATES_MEMORY_BYTES_MIN, folder, pool};
    assert_ok(find(&found, list, LINES, settings, &error), error);
    assert_int_equal(found.count, sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < found.count; i++)
        expect_same(&found.list[i], &wanted[i]);
    settings.near = false; /* numbers count then */
    assert_ok(find(&found, list, LINES, settings, &error), error);
    assert_int_equal(found.count, sizeof wanted / sizeof *wanted - 2);
    assert_null(duplicate_of(&found, 3));
    thread_pool_destroy(pool);
}

static void shuffle(struct numbered_text *list, size_t count, uint64_t seed)
{
    for (size_t i = count; i > 1; i--) {
        size_t k = random_below((struct random_key){seed, RANDOM_TEST, 9}, i, i);
        struct numbered_text moved = list[k];
        list[k] = list[i - 1];
        list[i - 1] = moved;
    }
}

static void order_threads_and_memory_change_nothing(void **state)
{
    (void)state;
    struct error error = {0};
    struct texts *texts = make_texts();
    struct found *first = calloc(1, sizeof *first), *found = calloc(1, sizeof *found);
    for (int round = 0; round < 6; round++) {
        struct thread_pool *pool;
        assert_ok(thread_pool_create(&pool, 1 + round % 3, &error), error);
        size_t memory = round % 2 ? DUPLICATES_MEMORY_BYTES_MIN : 4 << 20;
        struct duplicates_settings settings = {true, memory, folder, pool};
        if (round)
            shuffle(texts->list, TEXTS, (uint64_t)round);
        assert_ok(find(round ? found : first, texts->list, TEXTS, settings, &error), error);
        if (round) {
            assert_int_equal(found->count, first->count);
            for (size_t i = 0; i < first->count; i++)
                expect_same(&found->list[i], &first->list[i]);
        }
        thread_pool_destroy(pool);
    }
    assert_true(first->count > TEXTS / 4);
    free(first);
    free(found);
    free(texts);
}

static void faults_are_errors_and_leave_nothing(void **state)
{
    (void)state;
    struct error error = {0};
    struct thread_pool *pool;
    struct found found;
    struct texts *texts = make_texts();
    size_t full_disks = 0, no_memory = 0;
    assert_ok(thread_pool_create(&pool, 1, &error), error);
    struct duplicates_settings settings = {true, DUPLICATES_MEMORY_BYTES_MIN, folder, pool};
    for (size_t nth = 1;; nth += 1 + nth / 8) {
        error = (struct error){0};
        file_fail_after(nth, ENOSPC);
        status result = find(&found, texts->list, TEXTS, settings, &error);
        file_fail_after(0, 0);
        if (result == OK)
            break;
        assert_int_equal(result, ERR_IO);
        assert_non_null(strstr(error.text, "No space left"));
        full_disks++;
    }
    for (size_t nth = 1;; nth += 1 + nth / 8) {
        error = (struct error){0};
        memory_fail_after(nth);
        status result = find(&found, texts->list, TEXTS, settings, &error);
        memory_fail_after(0);
        if (result == OK)
            break;
        assert_int_equal(result, ERR_MEMORY);
        no_memory++;
    }
    assert_true(full_disks > 3 && no_memory > 10);
    settings.memory_bytes = DUPLICATES_MEMORY_BYTES_MIN - 1;
    error = (struct error){0};
    assert_int_equal(find(&found, texts->list, TEXTS, settings, &error), ERR_USAGE);
    thread_pool_destroy(pool);
    free(texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_family_is_split_mix),
        cmocka_unit_test(numbers_are_the_minima_that_the_header_says),
        cmocka_unit_test(numbers_are_folded_in_signatures),
        cmocka_unit_test(likeness_estimates_the_jaccard_coefficient),
        cmocka_unit_test(components_are_those_of_a_plain_search),
        cmocka_unit_test(near_pairs_are_found_and_far_ones_are_not),
        cmocka_unit_test(clusters_name_the_first_the_size_and_the_kind),
        cmocka_unit_test(order_threads_and_memory_change_nothing),
        cmocka_unit_test(faults_are_errors_and_leave_nothing),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
