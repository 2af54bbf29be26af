/* Forgetting: the corpus that is left is the one that never had the document; at any instant of a
 * kill -9 the old or the new one stands there. */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/hash.h"
#include "corpus/corpus.h"
#include "corpus/forget.h"
#include "corpus/manifest.h"
#include "corpus/store_lines.h"

enum { DOCUMENTS = 14 };

struct place {
    char folder[64], in[96], out[96];
    struct thread_pool *pool;
    struct arena *arena;
    struct error error;
};

static void place_create(struct place *out)
{
    *out = (struct place){.folder = "/tmp/rodnik-forget-XXXXXX"};
    assert_non_null(mkdtemp(out->folder));
    snprintf(out->in, sizeof out->in, "%s/in.jsonl", out->folder);
    snprintf(out->out, sizeof out->out, "%s/out", out->folder);
    assert_ok(thread_pool_create(&out->pool, 1, &out->error), out->error);
    assert_ok(arena_create(&out->arena, 0, &out->error), out->error);
}

static void place_destroy(struct place *place)
{
    arena_destroy(place->arena);
    thread_pool_destroy(place->pool);
    assert_ok(path_remove_tree(place->folder, &place->error), place->error);
}

/* A sentence whose words no other number's has, so that nothing is nearly a duplicate. */
static void make_text(char out[400], size_t number)
{
    static const char *const parts[] = {"ka", "lo", "mi", "ner", "tu", "sa", "vor", "el"};
    size_t len = 0;
    for (size_t word = 0; word < 30; word++) {
        uint64_t draw = hash64(&word, sizeof word, number);
        for (int part = 0; part < 3; part++, draw >>= 3)
            len += (size_t)snprintf(out + len, 400 - len, "%s", parts[draw % 8]);
        len += (size_t)snprintf(out + len, 400 - len, "%s", word == 29 ? "." : " ");
    }
}

/* A line a document, with an id of its own; document `without` is left out; number 3 stands there
 * twice. */
static void build(struct place *place, size_t without)
{
    struct buffer lines;
    struct corpus_counts counts;
    buffer_create(&lines, 1 << 20);
    for (size_t i = 0; i <= DOCUMENTS; i++) { /* the last is number 3 again */
        size_t number = i < DOCUMENTS ? i : 3;
        char text[400], id[8] = "again";
        make_text(text, number);
        if (i < DOCUMENTS)
            snprintf(id, sizeof id, "%02zu", i);
        if (i != without)
            assert_ok(buffer_format(&lines, &place->error,
                                    "{\"id\":\"%s\",\"text\":\"%s\",\"license\":\"CC%zu\"}\n", id,
                                    text, number % 3),
                      place->error);
    }
    assert_ok(file_write_atomic(place->in, lines.data, lines.len, &place->error), place->error);
    buffer_destroy(&lines);
    const char *inputs[] = {place->in};
    struct corpus_job job = {.settings = corpus_settings_default(),
                             .inputs = inputs,
                             .input_count = 1,
                             .out = place->out,
                             .pool = place->pool};
    job.settings.profile = "plain";
    job.settings.duplicates = "exact"; /* the texts differ in a number only */
    job.settings.line_documents = 0;
    assert_ok(corpus_build(&counts, &job, &place->error), place->error);
}

static struct corpus *open_corpus(struct place *place)
{
    struct corpus *corpus;
    assert_ok(corpus_open(&corpus, place->out, place->arena, &place->error), place->error);
    assert_ok(corpus_verify(corpus, place->pool, &place->error), place->error);
    return corpus;
}

static size_t index_of(const struct corpus *corpus, const char *end)
{
    for (size_t i = 0; i < corpus_count(corpus); i++) {
        const char *id = corpus_document(corpus, i)->id;
        if (strlen(id) >= strlen(end) && strcmp(id + strlen(id) - strlen(end), end) == 0)
            return i;
    }
    return SIZE_MAX;
}

static struct sha256 read_of(struct place *place, const char *end)
{
    struct corpus *corpus = open_corpus(place);
    size_t index = index_of(corpus, end);
    assert_true(index < SIZE_MAX);
    struct sha256 read = corpus_document(corpus, index)->read;
    corpus_close(corpus);
    return read;
}

static bool is_held_out(struct place *place, const char *end)
{
    struct corpus *corpus = open_corpus(place);
    bool held_out = corpus_document(corpus, index_of(corpus, end))->held_out;
    corpus_close(corpus);
    return held_out;
}

static struct sha256 root_of(struct place *place)
{
    struct corpus *corpus = open_corpus(place);
    struct sha256 root = corpus_root(corpus);
    corpus_close(corpus);
    return root;
}

static status forget(struct forget_result *out, struct place *place, const struct sha256 *text,
                     bool without_id)
{
    const struct forget_job job = {place->out, text, 1, "a test", without_id};
    return corpus_forget(out, &job, &place->error);
}

static const char *read_text(struct place *place, const char *name)
{
    char path[200];
    struct view text;
    snprintf(path, sizeof path, "%s/%s", place->out, name);
    assert_ok(file_read(&text, path, 1 << 20, place->arena, &place->error), place->error);
    return text.data;
}

/* Those members of the manifest that say what is in the corpus. */
static char *contents_of(struct place *place)
{
    static const char *const names[] = {
        "root",  "documents",          "bytes",     "keys", "sources", "licenses", "languages",
        "kinds", "held_out_documents", "histograms"};
    cJSON *manifest, *some = cJSON_CreateObject();
    assert_ok(manifest_read(&manifest, place->out, &place->error), place->error);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cJSON_AddItemToObject(
            some, names[i],
            cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(manifest, names[i]), true));
    char *text = cJSON_PrintUnformatted(some);
    cJSON_Delete(some);
    cJSON_Delete(manifest);
    return text;
}

static bool same_members(const char *a, const char *b)
{
    cJSON *left = cJSON_Parse(a), *right = cJSON_Parse(b);
    bool same = cJSON_Compare(left, right, true);
    cJSON_Delete(left);
    cJSON_Delete(right);
    return same;
}

static void what_is_left_is_a_corpus_that_never_had_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < DOCUMENTS; i++) {
        struct place place;
        struct forget_result result;
        char id[8];
        if (i == 3) /* the one that stands there twice: a build would keep the other */
            continue;
        place_create(&place);
        build(&place, i);
        char *wanted = contents_of(&place);
        const char *lines = read_text(&place, "documents.jsonl");
        struct sha256 root = root_of(&place);
        build(&place, SIZE_MAX);
        snprintf(id, sizeof id, "%02zu", i);
        struct sha256 text = read_of(&place, id);
        bool held_out = is_held_out(&place, id);
        assert_ok(forget(&result, &place, &text, false), place.error);
        assert_int_equal(result.documents, 1);
        assert_int_equal(result.relatives, 0);
        char *found = contents_of(&place);
        assert_memory_equal(&result.after.root, &root, sizeof root);
        if (!held_out && !same_members(wanted, found)) /* a build would hold out another */
            fail_msg("without %zu: %s\nis not %s", i, found, wanted);
        if (!held_out)
            assert_string_equal(read_text(&place, "documents.jsonl"), lines);
        struct corpus *corpus = open_corpus(&place);
        assert_true(index_of(corpus, id) == SIZE_MAX);
        corpus_close(corpus);
        assert_non_null(strstr(read_text(&place, "decisions.jsonl"), "\"forgotten\""));
        cJSON_free(wanted);
        cJSON_free(found);
        place_destroy(&place);
    }
}

static void a_tombstone_says_what_was_there(void **state)
{
    (void)state;
    struct place place;
    struct forget_result result;
    struct tombstone tombstone;
    place_create(&place);
    build(&place, SIZE_MAX);
    struct sha256 three = read_of(&place, "03"), five = read_of(&place, "05");
    assert_ok(forget(&result, &place, &five, false), place.error);
    struct view rest = view_of(read_text(&place, "forgotten.jsonl")), line;
    assert_true(view_line(&line, &rest));
    assert_true(tombstone_parse(&tombstone, line, place.arena));
    assert_memory_equal(&tombstone.read, &five, sizeof five);
    assert_memory_equal(&tombstone.root, &result.before.root, sizeof five);
    assert_string_equal(tombstone.reason, "a test");
    assert_non_null(strstr(tombstone.id, "05"));
    /* the next one without its name, which its duplicate's line had, too */
    assert_ok(forget(&result, &place, &three, true), place.error);
    assert_int_equal(result.relatives, 1);
    assert_true(view_line(&line, &rest) == false);
    rest = view_of(read_text(&place, "forgotten.jsonl"));
    assert_true(view_line(&line, &rest) && view_line(&line, &rest));
    assert_true(tombstone_parse(&tombstone, line, place.arena));
    assert_null(tombstone.id);
    assert_null(strstr(read_text(&place, "decisions.jsonl"), "03\""));
    assert_null(strstr(read_text(&place, "documents.jsonl"), "03\""));
    assert_int_equal(forget(&result, &place, &three, true), ERR_USAGE);
    place.error = (struct error){0};
    place_destroy(&place);
}

static void a_full_disk_leaves_the_corpus_as_it_was(void **state)
{
    (void)state;
    struct place place;
    struct forget_result result;
    place_create(&place);
    build(&place, SIZE_MAX);
    struct sha256 text = read_of(&place, "07");
    char *before = contents_of(&place);
    size_t nth = 1;
    for (;; nth++) {
        file_fail_after(nth, ENOSPC);
        status done = forget(&result, &place, &text, false);
        file_fail_after(0, 0);
        if (done == OK)
            break;
        assert_int_equal(done, ERR_IO);
        place.error = (struct error){0};
        char *after = contents_of(&place);
        assert_string_equal(before, after);
        cJSON_free(after);
        struct corpus *corpus = open_corpus(&place);
        assert_true(index_of(corpus, "07") < SIZE_MAX);
        corpus_close(corpus);
    }
    assert_true(nth > 5);
    cJSON_free(before);
    place_destroy(&place);
}

static size_t names_beside(struct place *place)
{
    char **names;
    size_t count;
    assert_ok(folder_list(&names, &count, place->folder, place->arena, &place->error),
              place->error);
    return count;
}

/* A child forgets and is killed after a while that grows until it gets through. */
static void a_killed_process_leaves_the_old_or_the_new_corpus(void **state)
{
    (void)state;
    struct place place;
    place_create(&place);
    bool through = false;
    size_t killed = 0;
    build(&place, SIZE_MAX);
    for (useconds_t wait_us = 0; !through && wait_us < 2000000; wait_us += 200 + wait_us / 8) {
        struct sha256 text = read_of(&place, "07");
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct forget_result result;
            _exit(forget(&result, &place, &text, false) == OK ? 0 : 1);
        }
        usleep(wait_us);
        kill(child, SIGKILL);
        int ended;
        assert_int_equal(waitpid(child, &ended, 0), child);
        killed += WIFSIGNALED(ended);
        struct corpus *corpus = open_corpus(&place);
        through = index_of(corpus, "07") == SIZE_MAX;
        assert_int_equal(corpus_count(corpus), DOCUMENTS - through);
        corpus_close(corpus);
    }
    assert_true(through && killed > 0);
    struct forget_result result;
    struct sha256 next = read_of(&place, "08");
    assert_ok(forget(&result, &place, &next, false), place.error);
    assert_int_equal(names_beside(&place), 2); /* nothing of killed processes is left */
    place_destroy(&place);
}

static void cut_and_changed_files_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"texts.bin", "documents.jsonl", "decisions.jsonl",
                                        "manifest.json", "forgotten.jsonl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct place place;
        struct forget_result result;
        struct corpus *corpus;
        struct view text;
        char path[200];
        place_create(&place);
        build(&place, SIZE_MAX);
        struct sha256 five = read_of(&place, "05");
        assert_ok(forget(&result, &place, &five, false), place.error);
        snprintf(path, sizeof path, "%s/%s", place.out, names[i]);
        assert_ok(file_read(&text, path, 1 << 20, place.arena, &place.error), place.error);
        char *copy = malloc(text.len);
        assert_non_null(copy);
        for (size_t cut = 1; cut <= text.len; cut += 1 + text.len / 23) {
            assert_ok(file_write_atomic(path, text.data, text.len - cut, &place.error),
                      place.error);
            if (cut == 1 && i == 3) /* the manifest's last newline */
                continue;
            assert_int_equal(corpus_open(&corpus, place.out, place.arena, &place.error),
                             ERR_FORMAT);
            assert_non_null(strstr(place.error.text, place.out));
            place.error = (struct error){0};
            memcpy(copy, text.data, text.len);
            copy[text.len - cut] ^= 1;
            assert_ok(file_write_atomic(path, copy, text.len, &place.error), place.error);
            status opened = corpus_open(&corpus, place.out, place.arena, &place.error);
            if (opened == OK) {
                opened = corpus_verify(corpus, place.pool, &place.error);
                corpus_close(corpus);
            }
            assert_int_equal(opened, ERR_FORMAT);
            place.error = (struct error){0};
        }
        free(copy);
        place_destroy(&place);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_is_a_corpus_that_never_had_it),
        cmocka_unit_test(a_tombstone_says_what_was_there),
        cmocka_unit_test(a_full_disk_leaves_the_corpus_as_it_was),
        cmocka_unit_test(a_killed_process_leaves_the_old_or_the_new_corpus),
        cmocka_unit_test(cut_and_changed_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
