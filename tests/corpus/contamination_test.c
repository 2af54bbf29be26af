/* Overlaps with evaluation items beside a search word for word; the rules of items; evidence that
 * does not depend on order and threads; the real evaluations when they are there. */
#include "corpus/contamination.h"

#include <cjson/cJSON.h>
#include <errno.h>

#include "base/file.h"
#include "base/random.h"
#include "base/thread.h"
#include "corpus/corpus.h"
#include "support.h"
#include "text/unicode.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/rodnik_overlap_XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    struct error error = {0};
    return path_remove_tree(folder, &error) == OK ? 0 : -1;
}

/* ---- a search word for word ---- */

enum { WORDS_MAX = 600 };

struct plain_words {
    struct view list[WORDS_MAX]; /* as they stand in the text */
    char normal[WORDS_MAX][64];
    bool lettered[WORDS_MAX];
    size_t count;
};

static void plain_read(struct plain_words *out, struct view text)
{
    size_t at = 0;
    out->count = 0;
    while (out->count < WORDS_MAX && words_next_place(&out->list[out->count], text, &at)) {
        struct view word = out->list[out->count];
        char *to = out->normal[out->count];
        out->lettered[out->count] = false;
        for (size_t i = 0; i < word.len;) {
            uint32_t c;
            i += utf8_decode(&c, word.data + i, word.len - i);
            assert_true(c != UTF8_BAD && to < out->normal[out->count] + 58);
            bool letter = unicode_kind(c) == UNICODE_LETTER;
            out->lettered[out->count] |= letter;
            c = letter ? unicode_to_lower(c) : c;
            to += utf8_encode(to, c == 0x451 ? 0x435 : c);
        }
        *to = 0;
        out->count++;
    }
}

static bool same_stretch(const struct plain_words *a, size_t i, const struct plain_words *b,
                         size_t k, size_t n)
{
    if (i + n > a->count || k + n > b->count)
        return false;
    for (size_t at = 0; at < n; at++)
        if (strcmp(a->normal[i + at], b->normal[k + at]) != 0)
            return false;
    return true;
}

static size_t letters_in(const struct plain_words *words, size_t from, size_t n)
{
    size_t count = 0;
    for (size_t i = from; i < from + n; i++)
        count += words->lettered[i];
    return count;
}

struct plain_match {
    uint64_t grams, from, to; /* grams 0: none */
};

/* How many of the grams of n words of a passage a document holds. */
static struct plain_match plain_search(const struct plain_words *document,
                                       const struct plain_words *passage, size_t n)
{
    struct plain_match match = {0, UINT64_MAX, 0};
    const char *text = document->list[0].data;
    for (size_t k = 0; k + n <= passage->count; k++) {
        if (letters_in(passage, k, n) < ITEM_LETTER_WORDS)
            continue;
        for (size_t i = 0; i + n <= document->count; i++) {
            if (!same_stretch(document, i, passage, k, n))
                continue;
            struct view last = document->list[i + n - 1];
            uint64_t from = (uint64_t)(document->list[i].data - text);
            match.grams++;
            if (from < match.from) {
                match.from = from;
                match.to = (uint64_t)(last.data + last.len - text);
            }
            break; /* of each gram the first place */
        }
    }
    return match;
}

/* ---- items and documents of few words, so that much overlaps ---- */

enum { ITEMS = 40, DOCUMENTS = 200, TEXT_BYTES = 8192 };

struct scene {
    char item[ITEMS][TEXT_BYTES], text[DOCUMENTS][TEXT_BYTES];
    struct numbered_text documents[DOCUMENTS];
    struct evaluation_items *items;
};

static size_t put_word(char *out, struct random_key key, uint64_t index)
{
    static const char *const words[] = {"дом",  "Ёлка",    "river", "в",   "42",   "и",
                                        "tree", "подъезд", "7",     "the", "снег", "Окно"};
    static const char *const gaps[] = {" ", ", ", "\n", " — ", ". ", "  "};
    uint64_t draw = random_u64(key, index);
    return (size_t)sprintf(out, "%s%s", words[draw % 12], gaps[(draw >> 32) % 6]);
}

static size_t put_words(char *out, struct random_key key, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += put_word(out + len, key, i);
    return len;
}

/* Item i has 1 to 30 words; documents hold random words with parts of items between them. */
static struct scene *make_scene(void)
{
    struct scene *scene = calloc(1, sizeof *scene);
    struct buffer lines;
    struct error error = {0};
    assert_non_null(scene);
    buffer_create(&lines, 1 << 20);
    for (uint64_t i = 0; i < ITEMS; i++) {
        put_words(scene->item[i], (struct random_key){i, RANDOM_TEST, 1}, 1 + i % 30);
        assert_ok(buffer_string(&lines, "{\"prompt\":\"", &error), error);
        for (const char *at = scene->item[i]; *at; at++)
            assert_ok(*at == '\n' ? buffer_string(&lines, "\\n", &error)
                                  : buffer_append(&lines, at, 1, &error),
                      error);
        assert_ok(buffer_format(&lines, &error, "\",\"id\":\"item-%02d\"}\n", (int)i), error);
    }
    assert_ok(
        evaluation_items_parse(&scene->items, (struct view){lines.data, lines.len}, "few", &error),
        error);
    buffer_destroy(&lines);
    for (uint64_t i = 0; i < DOCUMENTS; i++) {
        struct random_key key = {i, RANDOM_TEST, 2};
        size_t len = 0;
        for (uint64_t part = 0; part < 5; part++) {
            const char *item = scene->item[random_below(key, 3 * part, ITEMS)];
            size_t item_len = strlen(item);
            size_t cut = part % 2 ? random_below(key, 3 * part + 1, item_len / 3 + 1) : 0;
            size_t from = utf8_floor((struct view){item, item_len}, cut);
            len += put_words(scene->text[i] + len, (struct random_key){i, RANDOM_TEST, 3 + part},
                             random_below(key, 3 * part + 2, 20));
            if (i % 4 != 3)
                len += (size_t)sprintf(scene->text[i] + len, "%s", item + from);
        }
        scene->documents[i] = (struct numbered_text){5 * i, {scene->text[i], len}};
    }
    return scene;
}

static void scene_destroy(struct scene *scene)
{
    evaluation_items_destroy(scene->items);
    free(scene);
}

static void overlaps_are_those_of_a_search_word_for_word(void **state)
{
    (void)state;
    static struct plain_words document, passage;
    struct scene *scene = make_scene();
    struct error error = {0};
    struct thread_pool *pool;
    struct contamination *search;
    struct overlap overlap[DOCUMENTS];
    struct evidence evidence;
    bool found;
    size_t total = 0, wholes = 0;
    assert_ok(thread_pool_create(&pool, 2, &error), error);
    struct contamination_settings settings = {scene->items, SORT_MEMORY_BYTES_MIN, folder, pool};
    assert_ok(contamination_create(&search, &settings, &error), error);
    assert_ok(contamination_add(overlap, search, scene->documents, DOCUMENTS, &error), error);
    assert_ok(contamination_finish(search, &error), error);
    for (size_t d = 0; d < DOCUMENTS; d++) {
        struct overlap wanted = {0, 0};
        plain_read(&document, scene->documents[d].text);
        for (size_t i = 0; i < ITEMS; i++) {
            plain_read(&passage, view_of(scene->item[i]));
            bool whole = passage.count < ITEM_GRAM_WORDS;
            size_t n = whole ? passage.count : ITEM_GRAM_WORDS;
            if (n < ITEM_WHOLE_WORDS)
                continue;
            struct plain_match match = plain_search(&document, &passage, n);
            if (!match.grams)
                continue;
            assert_ok(contamination_next(&found, &evidence, search, &error), error);
            assert_true(found);
            size_t skipped = (size_t)(document.list[0].data - scene->documents[d].text.data);
            assert_int_equal(evidence.document, scene->documents[d].number);
            assert_ptr_equal(evidence.item, &scene->items->list[i]);
            assert_int_equal(evidence.grams, match.grams);
            assert_int_equal(evidence.from, match.from + skipped);
            assert_int_equal(evidence.to, match.to + skipped);
            wanted.by_grams += !whole;
            wanted.as_a_whole += whole;
            total++;
            wholes += whole;
        }
        assert_int_equal(overlap[d].by_grams, wanted.by_grams);
        assert_int_equal(overlap[d].as_a_whole, wanted.as_a_whole);
    }
    assert_ok(contamination_next(&found, &evidence, search, &error), error);
    assert_false(found);
    print_message("  %zu overlaps of %d documents with %d items, %zu with short ones\n", total,
                  DOCUMENTS, ITEMS, wholes);
    assert_true(total - wholes > 50 && wholes > 20);
    contamination_destroy(search);
    thread_pool_destroy(pool);
    scene_destroy(scene);
}

/* ---- the rules of items ---- */

static void items_are_searched_for_as_the_header_says(void **state)
{
    (void)state;
    static const char lines[] =
        "{\"id\":\"a\",\"prompt\":\"one two three four five six seven eight nine ten eleven twelve "
        "thirteen fourteen\",\"source\":\"these words are of the source and count for nothing at "
        "all so they are not searched\"}\n"
        "{\"task\":\"t\",\"prompt\":\"short\",\"choices\":[\"five words and no more\",\"four words "
        "no more\",null,7]}\n"
        "{\"id\":\"c\",\"prompt\":\"8920 + 2043 =\",\"answer\":\"10963\"}\n"
        "\n"
        "{\"id\":\"d\",\"prompt\":\"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 "
        "16\",\"answer\":[[\"да\"]]}\n"
        "{\"id\":\"e\",\"premise\":\"a b c d 1 2 3 4 5 6 7 8 9 e f\",\"hypothesis\":{\"x\":1}}\n";
    static const enum item_search wanted[] = {ITEM_BY_GRAMS, ITEM_AS_A_WHOLE, ITEM_NOT_SEARCHED,
                                              ITEM_NOT_SEARCHED, ITEM_NOT_SEARCHED};
    struct error error = {0};
    struct evaluation_items *items;
    assert_ok(evaluation_items_parse(&items, view_of(lines), "file", &error), error);
    assert_int_equal(items->count, 5);
    for (size_t i = 0; i < items->count; i++)
        assert_string_equal(item_search_name(items->list[i].search), item_search_name(wanted[i]));
    assert_int_equal(items->list[0].grams, 2);
    assert_int_equal(items->list[1].grams, 1);
    assert_string_equal(items->list[0].task, "file");
    assert_string_equal(items->list[1].task, "t");
    assert_string_equal(items->list[1].id, "file:2");
    assert_memory_equal(items->normal.data + items->list[1].whole, "five words and no more ",
                        items->list[1].whole_len);
    assert_int_equal(items->searched[ITEM_NOT_SEARCHED], 3);
    evaluation_items_destroy(items);
    assert_int_equal(evaluation_items_parse(&items, view_of("{}\n[1]\n"), "file", &error),
                     ERR_FORMAT);
    assert_string_equal(error.text, "file: line 2 is not a JSON object");
    error = (struct error){0};
    assert_int_equal(evaluation_items_read(&items, folder, &error), ERR_FORMAT);
    assert_non_null(strstr(error.text, folder));
}

static void a_damaged_file_of_items_is_refused(void **state)
{
    (void)state;
    char path[PATH_BYTES];
    struct error error = {0};
    struct evaluation_items *items;
    snprintf(path, sizeof path, "%s/x.jsonl.gz", folder);
    assert_ok(file_write_atomic(path, "\x1f\x8b\x08 not really", 13, &error), error);
    assert_int_equal(evaluation_items_read(&items, folder, &error), ERR_FORMAT);
    assert_non_null(strstr(error.text, "x.jsonl.gz"));
    assert_int_equal(unlink(path), 0);
}

/* ---- evidence ---- */

static const char *name_document(void *context, uint64_t document)
{
    snprintf(context, 64, "text \"%d\"", (int)document);
    return context;
}

static status write_evidence(const struct scene *scene, const char *path, int threads, int step,
                             struct error *error)
{
    struct thread_pool *pool;
    struct contamination *search = NULL;
    char name[64];
    TRY(thread_pool_create(&pool, threads, error));
    struct contamination_settings settings = {
        scene->items, step == 1 ? 1 << 20 : SORT_MEMORY_BYTES_MIN, folder, pool};
    status result = contamination_create(&search, &settings, error);
    for (int i = 0; i < DOCUMENTS && result == OK; i++) {
        struct overlap overlap;
        result =
            contamination_add(&overlap, search, &scene->documents[i * step % DOCUMENTS], 1, error);
    }
    if (result == OK)
        result = contamination_finish(search, error);
    if (result == OK)
        result = contamination_write(search, path, name_document, name, error);
    contamination_destroy(search);
    thread_pool_destroy(pool);
    return result;
}

static void evidence_is_the_same_for_any_order_threads_and_memory(void **state)
{
    (void)state;
    struct scene *scene = make_scene();
    struct error error = {0};
    struct arena *arena;
    struct view first, found;
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/evidence.jsonl", folder);
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(write_evidence(scene, path, 1, 1, &error), error);
    assert_ok(file_read(&first, path, 1 << 24, arena, &error), error);
    assert_ok(write_evidence(scene, path, 3, 7, &error), error);
    assert_ok(file_read(&found, path, 1 << 24, arena, &error), error);
    assert_true(first.len > 5000 && view_equal(first, found));
    assert_non_null(strstr(first.data, "{\"document\":\"text \\\"0\\\"\",\"item\":\"item-"));
    assert_non_null(strstr(first.data, "\"match\":\"13 words\",\"from\":"));
    arena_destroy(arena);
    scene_destroy(scene);
}

static void faults_are_errors(void **state)
{
    (void)state;
    struct scene *scene = make_scene();
    char path[PATH_BYTES];
    size_t full_disks = 0, no_memory = 0;
    snprintf(path, sizeof path, "%s/faults.jsonl", folder);
    for (size_t nth = 1;; nth++) {
        struct error error = {0};
        file_fail_after(nth, ENOSPC);
        status result = write_evidence(scene, path, 1, 7, &error);
        file_fail_after(0, 0);
        assert_true(file_exists(path) == (result == OK));
        if (result == OK)
            break;
        assert_int_equal(result, ERR_IO);
        full_disks++;
    }
    for (size_t nth = 1;; nth++) {
        struct error error = {0};
        memory_fail_after(nth);
        status result = write_evidence(scene, path, 1, 1, &error);
        memory_fail_after(0);
        if (result == OK)
            break;
        assert_int_equal(result, ERR_MEMORY);
        no_memory++;
    }
    print_message("  %zu full disks, %zu times no memory\n", full_disks, no_memory);
    assert_true(full_disks >= 4 && no_memory > 8);
    scene_destroy(scene);
}

static void the_real_evaluations_are_read(void **state)
{
    (void)state;
    static const char path[] = "../shared/data/bench";
    struct error error = {0};
    struct evaluation_items *items;
    if (!folder_exists(path))
        skip_because("no folder %s", path);
    assert_ok(evaluation_items_read(&items, path, &error), error);
    print_message("  %zu items: %zu by 13 words, %zu as a whole, %zu can't be searched for\n",
                  items->count, items->searched[ITEM_BY_GRAMS], items->searched[ITEM_AS_A_WHOLE],
                  items->searched[ITEM_NOT_SEARCHED]);
    assert_true(items->count > 100000);
    assert_true(items->searched[ITEM_NOT_SEARCHED] * 20 < items->count);
    evaluation_items_destroy(items);
}

/* The data came with a list of what another program found: shared/data/bench/CONTAMINATION.json. */
static const cJSON *listed_items(const char *task, struct arena *arena, cJSON **owner)
{
    struct error error = {0};
    struct view text;
    assert_ok(file_read(&text, "../shared/data/bench/CONTAMINATION.json", 1 << 24, arena, &error),
              error);
    *owner = cJSON_ParseWithLength(text.data, text.len);
    assert_non_null(*owner);
    const cJSON *hits = cJSON_GetObjectItemCaseSensitive(*owner, "hits");
    return cJSON_GetObjectItemCaseSensitive(hits, task);
}

/* Searches a corpus; found[i] tells whether some document shares 13 words with item i. */
static void search_corpus(bool *found, const struct evaluation_items *items, struct corpus *corpus,
                          struct thread_pool *pool)
{
    struct error error = {0};
    struct contamination *search;
    struct contamination_settings settings = {items, 1 << 20, folder, pool};
    struct evidence evidence;
    bool more = true;
    assert_ok(contamination_create(&search, &settings, &error), error);
    for (size_t i = 0; i < corpus_count(corpus); i++) {
        struct numbered_text document = {i, corpus_document(corpus, i)->text};
        struct overlap overlap;
        assert_ok(contamination_add(&overlap, search, &document, 1, &error), error);
    }
    assert_ok(contamination_finish(search, &error), error);
    while (more) {
        assert_ok(contamination_next(&more, &evidence, search, &error), error);
        if (more)
            found[evidence.item - items->list] |= evidence.item->search == ITEM_BY_GRAMS;
    }
    contamination_destroy(search);
}

static struct corpus *build_corpus(struct arena *arena, struct thread_pool *pool)
{
    static const char *const inputs[] = {"../shared/data/pretrain/en_misc.jsonl.zst",
                                         "../shared/data/pretrain/en_novels.jsonl.zst"};
    char out[PATH_BYTES];
    struct error error = {0};
    struct corpus_counts counts;
    struct corpus *corpus;
    snprintf(out, sizeof out, "%s/corpus", folder);
    struct corpus_job job = {.settings = corpus_settings_default(),
                             .inputs = inputs,
                             .input_count = 2,
                             .out = out,
                             .pool = pool};
    assert_ok(corpus_build(&counts, &job, &error), error);
    assert_ok(corpus_open(&corpus, out, arena, &error), error);
    return corpus;
}

static void what_another_program_found_is_found(void **state)
{
    (void)state;
    struct error error = {0};
    struct evaluation_items *items;
    struct thread_pool *pool;
    struct arena *arena;
    const cJSON *id;
    cJSON *owner;
    size_t listed = 0, found_too = 0;
    if (!folder_exists("../shared/data/bench") || !folder_exists("../shared/data/pretrain"))
        skip_because("no folders bench and pretrain in ../shared/data");
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(thread_pool_create(&pool, 2, &error), error);
    assert_ok(evaluation_items_read(&items, "../shared/data/bench", &error), error);
    bool *found = arena_alloc(arena, items->count, sizeof *found, &error);
    assert_non_null(found);
    struct corpus *corpus = build_corpus(arena, pool);
    search_corpus(found, items, corpus, pool);
    const cJSON *list = listed_items("opentriviaqa", arena, &owner);
    cJSON_ArrayForEach(id, list)
    {
        for (size_t i = 0; i < items->count; i++)
            if (strcmp(items->list[i].id, id->valuestring) == 0) {
                listed++;
                found_too += found[i];
            }
    }
    print_message("  found %zu of %zu items that are listed\n", found_too, listed);
    assert_true(listed > 0);
    assert_int_equal(found_too, listed);
    cJSON_Delete(owner);
    corpus_close(corpus);
    evaluation_items_destroy(items);
    thread_pool_destroy(pool);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overlaps_are_those_of_a_search_word_for_word),
        cmocka_unit_test(items_are_searched_for_as_the_header_says),
        cmocka_unit_test(a_damaged_file_of_items_is_refused),
        cmocka_unit_test(evidence_is_the_same_for_any_order_threads_and_memory),
        cmocka_unit_test(faults_are_errors),
        cmocka_unit_test(the_real_evaluations_are_read),
        cmocka_unit_test(what_another_program_found_is_found),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
