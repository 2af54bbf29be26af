/* The whole way of building: every reason to leave a document out, what is taken out of texts, the
 * same bytes for any threads and order of inputs, and after every failure and kill in between. */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/random.h"
#include "corpus/corpus.h"
#include "text/utf8.h"

struct place {
    char folder[64], one[96], two[96], out[96], list[96], items[96];
    struct thread_pool *pool;
    struct error error;
};

static const char *const files[] = {"texts.bin",   "documents.jsonl",     "decisions.jsonl",
                                    "signals.bin", "contamination.jsonl", "manifest.json"};
enum { FILES = sizeof files / sizeof *files };

/* ---- inputs ---- */

static void put(struct place *place, const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(file_write_atomic(path, text, strlen(text), &place->error), place->error);
}

/* Sentences of made-up words; the same seed gives the same. */
static void make_text(char *out, size_t bytes, uint64_t seed)
{
    size_t len = 0;
    for (uint64_t i = 0; len + 64 < bytes; i++) {
        struct random_key key = {seed, RANDOM_TEST, i};
        size_t letters = 3 + (size_t)random_below(key, 0, 6);
        for (size_t k = 0; k < letters; k++)
            len += (size_t)sprintf(out + len, "%c", 'a' + (int)random_below(key, 1 + k, 26));
        len += (size_t)sprintf(out + len, "%s", i % 12 == 11 ? ". The end of it. " : " ");
    }
    sprintf(out + len, "that was all.");
}

static const char item[] =
    "{\"id\":\"item-1\",\"task\":\"riddles\",\"text\":\"why did the old clock on the tower of our "
    "town stop exactly when the last train had left\"}\n";

static void fill(struct place *place)
{
    char text[4000], more[8000], name[32];
    for (uint64_t i = 0; i < 24; i++) {
        make_text(text, 1500, i);
        snprintf(more, sizeof more, "Subscribe to our letter and read it every morning\n%s", text);
        snprintf(name, sizeof name, "doc-%02d.txt", (int)i);
        put(place, i % 2 ? place->one : place->two, name, more);
    }
    make_text(text, 1500, 3);
    snprintf(more, sizeof more, "SUBSCRIBE to our letter, and read it: every morning!\n%s", text);
    put(place, place->one, "x-exact.txt", more); /* the words of doc-03 */
    make_text(text, 3000, 5);
    put(place, place->one, "y-long.txt", text);
    strcpy(text + strlen(text) - 30, " some other words to end with.");
    put(place, place->two, "y-near.txt", text);
    put(place, place->one, "short.txt", "too short");
    put(place, place->one, "menu.txt",
        "a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a "
        "a a a a a a a a a a a a a a a a a a a a a a a a a a");
    make_text(text, 900, 100);
    snprintf(more, sizeof more,
             "%s Why did the old clock on the tower of our town stop exactly when the last train "
             "had left? %s",
             text, text + 200);
    put(place, place->two, "leak.txt", more);
    make_text(text, 900, 101);
    snprintf(more, sizeof more, "%s Write to ivan.petrov@example.org about it.", text);
    put(place, place->two, "letter.txt", more);
    make_text(text, 900, 102);
    snprintf(more, sizeof more, "%s His card is 4111 1111 1111 1111, he said.", text);
    put(place, place->two, "card.txt", more);
    make_text(text, 900, 103);
    snprintf(more, sizeof more,
             "{\"id\":\"page\",\"url\":\"https://www.example.net/a?b\",\"text\":\"%s\"}\n", text);
    put(place, place->two, "pages.jsonl", more);
    put(place, place->two, "picture.png", "\x89PNG");
    put(place, place->items, "riddles.jsonl", item);
    put(place, place->folder, "list.txt", "example.net # asked for it\n");
}

static void place_create(struct place *out, int threads)
{
    *out = (struct place){0};
    snprintf(out->folder, sizeof out->folder, "/tmp/rodnik-build-XXXXXX");
    assert_non_null(mkdtemp(out->folder));
    snprintf(out->one, sizeof out->one, "%s/one", out->folder);
    snprintf(out->two, sizeof out->two, "%s/two", out->folder);
    snprintf(out->out, sizeof out->out, "%s/out", out->folder);
    snprintf(out->items, sizeof out->items, "%s/items", out->folder);
    snprintf(out->list, sizeof out->list, "%s/list.txt", out->folder);
    assert_ok(folder_make(out->one, &out->error), out->error);
    assert_ok(folder_make(out->two, &out->error), out->error);
    assert_ok(folder_make(out->items, &out->error), out->error);
    fill(out);
    assert_ok(thread_pool_create(&out->pool, threads, &out->error), out->error);
}

static void place_destroy(struct place *place)
{
    thread_pool_destroy(place->pool);
    assert_ok(path_remove_tree(place->folder, &place->error), place->error);
}

static status build(struct corpus_counts *counts, struct place *place, bool swapped)
{
    const char *inputs[] = {swapped ? place->two : place->one, swapped ? place->one : place->two};
    struct corpus_job job = {.settings = corpus_settings_default(),
                             .inputs = inputs,
                             .input_count = 2,
                             .out = place->out,
                             .pool = place->pool,
                             .mark_bytes = 1};
    job.settings.opt_out = place->list;
    job.settings.evaluations = place->items;
    job.settings.personal = "card=drop";
    return corpus_build(counts, &job, &place->error);
}

struct result {
    struct sha256 hash[FILES];
};

static struct result result_of(struct place *place)
{
    struct result result;
    char path[256];
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/%s", place->out, files[i]);
        assert_ok(sha256_of_file(&result.hash[i], path, &place->error), place->error);
    }
    return result;
}

static void expect_same(const struct result *a, const struct result *b)
{
    for (int i = 0; i < FILES; i++)
        if (!sha256_equal(&a->hash[i], &b->hash[i]))
            fail_msg("%s differs", files[i]);
}

/* ---- what is in it ---- */

static void expect_line(struct place *place, const char *file, const char *id, const char *part)
{
    struct arena *arena;
    struct view text, line;
    char path[256], start[128];
    bool found = false;
    snprintf(path, sizeof path, "%s/%s", place->out, file);
    snprintf(start, sizeof start, "{\"id\":\"%s\"", id);
    assert_ok(arena_create(&arena, 0, &place->error), place->error);
    assert_ok(file_read(&text, path, 1 << 20, arena, &place->error), place->error);
    while (view_line(&line, &text))
        if (view_starts(line, start)) {
            char *copy = arena_alloc(arena, line.len + 1, 1, &place->error);
            memcpy(copy, line.data, line.len);
            found = true;
            if (!strstr(copy, part))
                fail_msg("%s: %s does not say %s", file, copy, part);
        }
    if (!found)
        fail_msg("%s: says nothing of %s", file, id);
    arena_destroy(arena);
}

static void every_reason_is_found(void **state)
{
    (void)state;
    struct place place;
    struct corpus_counts counts;
    struct arena *arena;
    struct corpus *corpus;
    place_create(&place, 2);
    assert_ok(build(&counts, &place, false), place.error);
    for (int i = CORPUS_KEPT + 1; i < CORPUS_LEFT_REASONS; i++)
        if (i != CORPUS_NEAR_DUPLICATE && counts.left[i] != 1)
            fail_msg("%zu documents are %s", counts.left[i], corpus_left_name((enum corpus_left)i));
    assert_int_equal(counts.left[CORPUS_NEAR_DUPLICATE], 1);
    assert_int_equal(counts.documents, 26);
    assert_int_equal(counts.refused, 1);
    assert_int_equal(counts.masked, 1);
    assert_int_equal(counts.lines_lost, 23); /* of 24 documents the first keeps it */
    expect_line(&place, "decisions.jsonl", "short.txt", "\"reason\":\"short\"");
    expect_line(&place, "decisions.jsonl", "pages.jsonl#page", "\"detail\":\"line 1 of the list\"");
    expect_line(&place, "decisions.jsonl", "menu.txt", "\"reason\":\"filtered\"");
    expect_line(&place, "decisions.jsonl", "leak.txt", "\"reason\":\"contaminated\"");
    expect_line(&place, "decisions.jsonl", "x-exact.txt", "\"of\":\"doc-03.txt\",\"cluster\":2");
    expect_line(&place, "decisions.jsonl", "y-near.txt", "\"of\":\"y-long.txt\",\"cluster\":2");
    expect_line(&place, "decisions.jsonl", "card.txt", "\"detail\":\"card\"");
    expect_line(&place, "documents.jsonl", "letter.txt", "\"masked\":1");
    expect_line(&place, "documents.jsonl", "doc-02.txt", "\"lines_lost\":1");
    expect_line(&place, "documents.jsonl", "y-long.txt", "\"cluster\":2");
    assert_ok(arena_create(&arena, 0, &place.error), place.error);
    assert_ok(corpus_open(&corpus, place.out, arena, &place.error), place.error);
    for (size_t i = 0; i < corpus_count(corpus); i++) {
        const struct document *document = corpus_document(corpus, i);
        char *text = arena_alloc(arena, document->text.len + 1, 1, &place.error);
        memcpy(text, document->text.data, document->text.len);
        assert_null(strstr(text, "ivan.petrov"));
        assert_true((strstr(text, "Subscribe") != NULL) ==
                    (strcmp(document->id, "doc-00.txt") == 0));
    }
    corpus_close(corpus);
    arena_destroy(arena);
    place_destroy(&place);
}

static void overlaps_may_only_be_reported(void **state)
{
    (void)state;
    struct place place;
    struct corpus_counts counts;
    place_create(&place, 1);
    const char *inputs[] = {place.two};
    struct corpus_job job = {.settings = corpus_settings_default(),
                             .inputs = inputs,
                             .input_count = 1,
                             .out = place.out,
                             .pool = place.pool};
    job.settings.evaluations = place.items;
    job.settings.report_overlaps = true;
    assert_ok(corpus_build(&counts, &job, &place.error), place.error);
    assert_int_equal(counts.left[CORPUS_CONTAMINATED], 0);
    expect_line(&place, "documents.jsonl", "leak.txt", "\"kind\":\"txt\"");
    char path[256];
    uint64_t bytes;
    snprintf(path, sizeof path, "%s/contamination.jsonl", place.out);
    assert_ok(file_size(&bytes, path, &place.error), place.error);
    assert_true(bytes > 0);
    place_destroy(&place);
}

static void any_threads_and_order_give_the_same(void **state)
{
    (void)state;
    struct place place;
    struct corpus_counts counts;
    place_create(&place, 1);
    assert_ok(build(&counts, &place, false), place.error);
    struct result one = result_of(&place);
    for (int threads = 1; threads <= 3; threads++) {
        thread_pool_destroy(place.pool);
        assert_ok(thread_pool_create(&place.pool, threads, &place.error), place.error);
        assert_ok(build(&counts, &place, true), place.error);
        struct result other = result_of(&place);
        expect_same(&one, &other);
    }
    place_destroy(&place);
}

/* ---- failures ---- */

/* The nth write fails, then all do until the next try: each goes on from what the last one kept. */
static void a_failed_write_anywhere_is_mended(void **state)
{
    (void)state;
    struct place place;
    struct corpus_counts counts;
    place_create(&place, 2);
    assert_ok(build(&counts, &place, false), place.error);
    struct result whole = result_of(&place);
    size_t failures = 0, resumed = 0;
    size_t stride = getenv("RODNIK_TEST_LONG") ? 1 : 4;
    for (size_t nth = 1;; nth += stride) {
        assert_ok(path_remove_tree(place.out, &place.error), place.error);
        file_fail_after(nth, ENOSPC);
        status result = build(&counts, &place, false);
        file_fail_after(0, 0);
        if (result == OK)
            break;
        assert_int_equal(result, ERR_IO);
        assert_false(folder_exists(place.out));
        place.error = (struct error){0};
        assert_ok(build(&counts, &place, false), place.error);
        failures++;
        resumed += counts.resumed_files > 0;
        struct result after = result_of(&place);
        expect_same(&whole, &after);
    }
    assert_true(failures > 20 && resumed > 8);
    place_destroy(&place);
}

static void a_kill_at_any_time_is_mended(void **state)
{
    (void)state;
    struct place place;
    struct corpus_counts counts;
    int tries = getenv("RODNIK_TEST_LONG") ? 60 : 12, killed = 0;
    place_create(&place, 1);
    assert_ok(build(&counts, &place, false), place.error);
    struct result whole = result_of(&place);
    for (int i = 0; i < tries; i++) {
        assert_ok(path_remove_tree(place.out, &place.error), place.error);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct error error = {0};
            if (thread_pool_create(&place.pool, 1, &error) != OK)
                _exit(2);
            _exit(build(&counts, &place, false) == OK ? 0 : 1);
        }
        usleep((useconds_t)(2000 + 5000 * i));
        kill(child, SIGKILL);
        int how;
        assert_int_equal(waitpid(child, &how, 0), child);
        killed += WIFSIGNALED(how);
        assert_ok(build(&counts, &place, false), place.error);
        struct result after = result_of(&place);
        expect_same(&whole, &after);
    }
    assert_true(killed > 0);
    place_destroy(&place);
}

static void other_files_or_settings_begin_anew(void **state)
{
    (void)state;
    struct place place;
    struct corpus_counts counts;
    place_create(&place, 2);
    file_fail_after(30, ENOSPC);
    assert_int_equal(build(&counts, &place, false), ERR_IO);
    file_fail_after(0, 0);
    place.error = (struct error){0};
    put(&place, place.one, "doc-01.txt",
        "Now it is another text, and it is long enough to be kept as "
        "a document of its own in this corpus.");
    assert_ok(build(&counts, &place, false), place.error);
    assert_int_equal(counts.resumed_files, 0);
    expect_line(&place, "documents.jsonl", "doc-01.txt", "\"length\":97");
    place_destroy(&place);
}

static void wrong_settings_are_refused(void **state)
{
    (void)state;
    struct place place;
    struct corpus_counts counts;
    place_create(&place, 1);
    const char *inputs[] = {place.one};
    struct corpus_job job = {.settings = corpus_settings_default(),
                             .inputs = inputs,
                             .input_count = 1,
                             .out = place.out,
                             .pool = place.pool};
    job.settings.duplicates = "some";
    assert_int_equal(corpus_build(&counts, &job, &place.error), ERR_USAGE);
    job.settings = corpus_settings_default();
    job.settings.personal = "phone=burn";
    place.error = (struct error){0};
    assert_int_equal(corpus_build(&counts, &job, &place.error), ERR_USAGE);
    job.settings = corpus_settings_default();
    job.settings.evaluations = "nowhere";
    place.error = (struct error){0};
    assert_int_equal(corpus_build(&counts, &job, &place.error), ERR_IO);
    char building[160];
    snprintf(building, sizeof building, "%s.building", place.out);
    assert_false(folder_exists(building)); /* nothing was read yet */
    job.settings.evaluations = place.two;  /* pages.jsonl only, whose items are none */
    job.settings.profile = "nowhere.ini";
    place.error = (struct error){0};
    assert_int_equal(corpus_build(&counts, &job, &place.error), ERR_USAGE);
    assert_false(folder_exists(place.out));
    place.error = (struct error){0};
    place_destroy(&place);
}

static void expect_refused(struct place *place, const char *const *inputs, const char *out,
                           status wanted, const char *part)
{
    struct corpus_counts counts;
    struct corpus_job job = {.settings = corpus_settings_default(),
                             .inputs = inputs,
                             .input_count = 1,
                             .out = out,
                             .pool = place->pool};
    assert_int_equal(corpus_build(&counts, &job, &place->error), wanted);
    if (!strstr(place->error.text, part))
        fail_msg("no '%s' in: %s", part, place->error.text);
    place->error = (struct error){0};
}

/* What stands in the way is told before anything is read, and stays. */
static void only_a_corpus_is_replaced(void **state)
{
    (void)state;
    struct place place;
    struct corpus_counts counts;
    char path[160];
    place_create(&place, 1);
    const char *inputs[] = {place.one};
    expect_refused(&place, inputs, place.two, ERR_CONFLICT, "holds other files than a corpus");
    expect_refused(&place, inputs, place.list, ERR_CONFLICT, "is there and is no folder");
    expect_refused(&place, inputs, ".", ERR_USAGE, "name a folder in it");
    expect_refused(&place, inputs, "", ERR_USAGE, "name a folder in it");
    assert_ok(build(&counts, &place, false), place.error);
    const char *itself[] = {place.out};
    expect_refused(&place, itself, place.out, ERR_USAGE, "is an input and the folder");
    snprintf(path, sizeof path, "%s/link", place.folder);
    assert_int_equal(symlink(place.out, path), 0);
    expect_refused(&place, inputs, path, ERR_CONFLICT, "a link");
    int lock;
    assert_ok(folder_lock(&lock, place.out, &place.error), place.error);
    assert_int_equal(build(&counts, &place, false),
                     ERR_CONFLICT); /* as if it were forgotten from */
    folder_unlock(lock);
    place.error = (struct error){0};
    assert_ok(build(&counts, &place, false), place.error);
    assert_true(counts.resumed_files > 0); /* what was read stayed */
    put(&place, place.out, "forgotten.jsonl", "");
    expect_refused(&place, inputs, place.out, ERR_CONFLICT, "would come back");
    put(&place, place.out, "card.md", "written by hand");
    assert_int_equal(build(&counts, &place, false), ERR_CONFLICT);
    assert_non_null(strstr(place.error.text, "card.md"));
    place.error = (struct error){0};
    snprintf(path, sizeof path, "%s/card.md", place.out);
    assert_true(file_exists(path));
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s.building", place.out);
    assert_false(folder_exists(path));
    assert_ok(folder_make(path, &place.error), place.error);
    put(&place, path, "notes", "of someone else");
    assert_int_equal(build(&counts, &place, false), ERR_CONFLICT);
    assert_non_null(strstr(place.error.text, "notes"));
    place.error = (struct error){0};
    snprintf(path, sizeof path, "%s.building/notes", place.out);
    assert_true(file_exists(path));
    assert_int_equal(unlink(path), 0);
    assert_ok(build(&counts, &place, false), place.error);
    snprintf(path, sizeof path, "%s.building", place.out);
    assert_false(folder_exists(path));
    place_destroy(&place);
}

/* A corpus that is made inside of its input is none of it, finished or not. */
static void what_is_made_is_no_input(void **state)
{
    (void)state;
    struct place place;
    struct corpus_counts counts;
    place_create(&place, 2);
    assert_ok(build(&counts, &place, false), place.error);
    struct result outside = result_of(&place);
    assert_ok(path_remove_tree(place.out, &place.error), place.error);
    snprintf(place.out, sizeof place.out, "%s/one/corpus", place.folder);
    assert_ok(build(&counts, &place, false), place.error);
    struct result inside = result_of(&place);
    expect_same(&outside, &inside);
    assert_ok(build(&counts, &place, false), place.error);
    struct result again = result_of(&place);
    expect_same(&outside, &again);
    file_fail_after(30, ENOSPC);
    assert_int_equal(build(&counts, &place, false), ERR_IO);
    file_fail_after(0, 0);
    place.error = (struct error){0};
    assert_ok(build(&counts, &place, false), place.error);
    assert_true(counts.resumed_files > 0);
    again = result_of(&place);
    expect_same(&outside, &again);
    place_destroy(&place);
}

/* Names of files may be any bytes, ids of any length; what is told of them is JSON all the same. */
static void any_name_becomes_json(void **state)
{
    (void)state;
    struct place place;
    struct corpus_counts counts;
    struct arena *arena;
    struct corpus *corpus;
    struct view bytes;
    char path[160], text[1600], *line = malloc(20000);
    assert_non_null(line);
    place_create(&place, 1);
    make_text(text, 1500, 500);
    put(&place, place.one, "a\xff\xfe-\xd1.txt", text);
    put(&place, place.one, "b\xff.xyz", "\1\2\3");
    make_text(text, 1500, 501);
    memset(line, 0, 20000);
    strcpy(line, "{\"id\":\"x");
    for (int i = 0; i < 3000; i++)
        memcpy(line + 8 + 2 * i, "я", 2);
    sprintf(line + strlen(line), "\",\"source\":\"\xff\",\"text\":\"%s\"}\n", text);
    put(&place, place.one, "long.jsonl", line);
    assert_ok(build(&counts, &place, false), place.error);
    assert_ok(arena_create(&arena, 0, &place.error), place.error);
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/%s", place.out, files[i]);
        assert_ok(file_read(&bytes, path, 1 << 20, arena, &place.error), place.error);
        if (strstr(files[i], ".json") && !utf8_valid(bytes))
            fail_msg("%s is no UTF-8", files[i]);
    }
    assert_ok(corpus_open(&corpus, place.out, arena, &place.error), place.error);
    expect_line(&place, "documents.jsonl", "a\xEF\xBF\xBD\xEF\xBF\xBD-\xEF\xBF\xBD.txt",
                "\"length\"");
    corpus_close(corpus);
    arena_destroy(arena);
    free(line);
    place_destroy(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_is_found),
        cmocka_unit_test(overlaps_may_only_be_reported),
        cmocka_unit_test(any_threads_and_order_give_the_same),
        cmocka_unit_test(a_failed_write_anywhere_is_mended),
        cmocka_unit_test(a_kill_at_any_time_is_mended),
        cmocka_unit_test(other_files_or_settings_begin_anew),
        cmocka_unit_test(wrong_settings_are_refused),
        cmocka_unit_test(only_a_corpus_is_replaced),
        cmocka_unit_test(what_is_made_is_no_input),
        cmocka_unit_test(any_name_becomes_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
