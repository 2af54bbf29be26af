/* Encodings, duplicates, broken inputs, and the same bytes whatever the order and the threads. */
#include "support.h"

#include <errno.h>

#include "base/arena.h"
#include "corpus/corpus.h"
#include "corpus/signals.h"

static const char russian[] =
    "Пошла муха на базар и купила самовар. Приходите, тараканы, я вас чаем угощу! Ёлки и подъезды.";

struct place {
    char folder[64], in[96], out[96];
    struct thread_pool *pool;
    struct error error;
};

static void place_create(struct place *out, int threads)
{
    *out = (struct place){0};
    snprintf(out->folder, sizeof out->folder, "/tmp/rodnik-corpus-XXXXXX");
    assert_non_null(mkdtemp(out->folder));
    snprintf(out->in, sizeof out->in, "%s/in", out->folder);
    snprintf(out->out, sizeof out->out, "%s/out", out->folder);
    assert_ok(folder_make(out->in, &out->error), out->error);
    assert_ok(thread_pool_create(&out->pool, threads, &out->error), out->error);
}

static void place_destroy(struct place *place)
{
    thread_pool_destroy(place->pool);
    assert_ok(path_remove_tree(place->folder, &place->error), place->error);
}

static void put(struct place *place, const char *name, const void *data, size_t len)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", place->in, name);
    assert_ok(file_write_atomic(path, data, len, &place->error), place->error);
}

static status build(struct corpus_counts *counts, struct place *place)
{
    const char *inputs[] = {place->in};
    struct corpus_job job = {.settings = corpus_settings_default(),
                             .inputs = inputs,
                             .input_count = 1,
                             .out = place->out,
                             .pool = place->pool};
    job.settings.duplicates = "exact"; /* the texts differ in a number only */
    return corpus_build(counts, &job, &place->error);
}

static void expect_encoding(const char *bytes, size_t len, enum text_encoding encoding)
{
    struct view view = {bytes, len};
    assert_string_equal(encoding_name(encoding_detect(view)), encoding_name(encoding));
}

static void encodings_are_told_apart(void **state)
{
    (void)state;
    static const char cp1251[] =
        "\xcf\xf0\xe8\xe2\xe5\xf2, \xf5\xee\xf0\xee\xf8\xee \xe6\xe8\xf2\xfc";
    static const char koi8[] =
        "\xf0\xd2\xc9\xd7\xc5\xd4, \xc8\xcf\xd2\xcf\xdb\xcf \xd6\xc9\xd4\xd8";
    struct buffer text;
    struct error error = {0};
    expect_encoding(russian, sizeof russian - 1, ENCODING_UTF8);
    expect_encoding(cp1251, sizeof cp1251 - 1, ENCODING_CP1251);
    expect_encoding(koi8, sizeof koi8 - 1, ENCODING_KOI8_R);
    expect_encoding("a\0b", 3, ENCODING_BINARY);
    expect_encoding("\xff\xfe\x1f\x04", 4, ENCODING_UTF16);
    buffer_create(&text, 1000);
    assert_ok(
        encoding_decode(&text, (struct view){cp1251, sizeof cp1251 - 1}, ENCODING_CP1251, &error),
        error);
    assert_string_equal(text.data, "Привет, хорошо жить");
    buffer_clear(&text);
    assert_ok(encoding_decode(&text, (struct view){koi8, sizeof koi8 - 1}, ENCODING_KOI8_R, &error),
              error);
    assert_string_equal(text.data, "Привет, хорошо жить");
    buffer_destroy(&text);
}

static void fill(struct place *place)
{
    char text[400], name[32];
    for (int i = 0; i < 30; i++) {
        snprintf(text, sizeof text, "%s Документ номер %d.\r\nВторая строка.", russian, i / 2);
        snprintf(name, sizeof name, "text-%02d.txt", i);
        put(place, name, text, strlen(text));
    }
    static const char lines[] = "{\"text\":\"Короткий, но достаточно длинный для правила о "
                                "наименьшей длине документ.\",\"license\":\"CC0\"}\n"
                                "{\"text\":7}\nno json at all\n";
    put(place, "lines.jsonl", lines, sizeof lines - 1);
    put(place, "broken.txt.gz", "\x1f\x8b\x08 not really", 13);
    put(place, "unknown.xyz", "?", 1);
    put(place, "empty.txt", "", 0);
}

static void what_is_kept_and_left_out_is_counted(void **state)
{
    (void)state;
    struct place place;
    struct corpus_counts counts;
    struct arena *arena;
    struct corpus *corpus;
    place_create(&place, 2);
    fill(&place);
    assert_ok(build(&counts, &place), place.error);
    assert_int_equal(counts.documents, 16);
    assert_int_equal(counts.left[CORPUS_DUPLICATE], 15);
    assert_int_equal(counts.refused, 5);
    assert_true(counts.held_out >= 1);
    assert_ok(arena_create(&arena, 0, &place.error), place.error);
    assert_ok(corpus_open(&corpus, place.out, arena, &place.error), place.error);
    assert_ok(corpus_verify(corpus, place.pool, &place.error), place.error);
    assert_string_equal(corpus_document(corpus, 0)->license, "CC0");
    assert_string_equal(corpus_document(corpus, 1)->id, "text-00.txt"); /* the smaller id stays */
    assert_null(
        memchr(corpus_document(corpus, 1)->text.data, '\r', corpus_document(corpus, 1)->text.len));
    assert_string_equal(corpus_document(corpus, 1)->language, "ru");
    corpus_close(corpus);
    arena_destroy(arena);
    place_destroy(&place);
}

static struct sha256 folder_hash(int threads)
{
    struct place place;
    struct corpus_counts counts;
    struct sha256 hashes[3];
    static const char *const names[] = {"texts.bin", "documents.jsonl", "manifest.json"};
    place_create(&place, threads);
    fill(&place);
    assert_ok(build(&counts, &place), place.error);
    assert_ok(build(&counts, &place), place.error); /* again, over the old one */
    for (int i = 0; i < 3; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", place.out, names[i]);
        assert_ok(sha256_of_file(&hashes[i], path, &place.error), place.error);
    }
    /* the manifest names the refused files with their folders, which differ */
    struct sha256 hash = sha256_of(hashes, 2 * sizeof *hashes);
    place_destroy(&place);
    return hash;
}

static void the_same_bytes_for_any_number_of_threads(void **state)
{
    (void)state;
    struct sha256 one = folder_hash(1);
    for (int threads = 2; threads <= 4; threads++) {
        struct sha256 more = folder_hash(threads);
        assert_true(sha256_equal(&one, &more));
    }
}

static void a_full_disk_leaves_the_old_corpus(void **state)
{
    (void)state;
    struct place place;
    struct corpus_counts counts;
    struct arena *arena;
    struct corpus *corpus;
    place_create(&place, 1);
    fill(&place);
    assert_ok(build(&counts, &place), place.error);
    for (size_t nth = 1; nth <= 3; nth++) {
        file_fail_after(nth, ENOSPC);
        assert_int_equal(build(&counts, &place), ERR_IO);
        file_fail_after(0, 0);
        assert_non_null(strstr(place.error.text, strerror(ENOSPC)));
        place.error = (struct error){0};
    }
    assert_ok(arena_create(&arena, 0, &place.error), place.error);
    assert_ok(corpus_open(&corpus, place.out, arena, &place.error), place.error);
    assert_ok(corpus_verify(corpus, place.pool, &place.error), place.error);
    corpus_close(corpus);
    arena_destroy(arena);
    place_destroy(&place);
}

static void a_folder_without_text_is_an_error_with_a_reason(void **state)
{
    (void)state;
    struct place place;
    struct corpus_counts counts;
    place_create(&place, 1);
    put(&place, "picture.png", "\x89PNG", 4);
    assert_int_equal(build(&counts, &place), ERR_FORMAT);
    assert_non_null(strstr(place.error.text, "no readable text"));
    place.error = (struct error){0};
    place_destroy(&place);
}

static void what_a_profile_drops_is_counted_with_its_reason(void **state)
{
    (void)state;
    struct place place;
    struct corpus_counts counts;
    static const char menu[] = "Главная\nО нас\nКонтакты\nКорзина\nВойти\nГлавная\nО нас\n"
                               "Контакты\nКорзина\nВойти\nГлавная\nО нас\nКонтакты\n";
    static const char tale[] =
        "Жил в деревне у реки старик, который умел чинить часы. К нему приходили и соседи, и люди "
        "из города, потому что он никому не отказывал. Однажды зимой пришла девочка и принесла "
        "будильник, доставшийся ей от бабушки. Старик долго смотрел на него, потом снял крышку и "
        "сказал, что пружина цела, а колесо надо заменить. К вечеру будильник пошёл, и девочка "
        "побежала домой по снегу.";
    struct signals_reader reader;
    struct view file;
    struct arena *arena;
    char path[160];
    place_create(&place, 2);
    put(&place, "menu.txt", menu, sizeof menu - 1);
    put(&place, "tale.txt", tale, sizeof tale - 1);
    const char *inputs[] = {place.in};
    struct corpus_job job = {.settings = corpus_settings_default(),
                             .inputs = inputs,
                             .input_count = 1,
                             .out = place.out,
                             .pool = place.pool};
    job.settings.profile = "fiction";
    assert_ok(corpus_build(&counts, &job, &place.error), place.error);
    assert_int_equal(counts.documents, 1);
    assert_int_equal(counts.left[CORPUS_FILTERED], 1);
    assert_int_equal(counts.refused, 0);
    assert_ok(arena_create(&arena, 0, &place.error), place.error);
    snprintf(path, sizeof path, "%s/manifest.json", place.out);
    assert_ok(file_read(&file, path, 1 << 20, arena, &place.error), place.error);
    assert_non_null(strstr(file.data, "repetition.lines_max"));
    snprintf(path, sizeof path, "%s/signals.bin", place.out);
    assert_ok(file_read(&file, path, 1 << 20, arena, &place.error), place.error);
    assert_ok(signals_reader_open(&reader, file, path, &place.error), place.error);
    assert_int_equal(reader.records, 2); /* dropped ones can be decided about again */
    job.settings.profile = "no-such-profile";
    assert_int_equal(corpus_build(&counts, &job, &place.error), ERR_USAGE);
    place.error = (struct error){0};
    arena_destroy(arena);
    place_destroy(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodings_are_told_apart),
        cmocka_unit_test(what_is_kept_and_left_out_is_counted),
        cmocka_unit_test(the_same_bytes_for_any_number_of_threads),
        cmocka_unit_test(a_full_disk_leaves_the_old_corpus),
        cmocka_unit_test(what_a_profile_drops_is_counted_with_its_reason),
        cmocka_unit_test(a_folder_without_text_is_an_error_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
