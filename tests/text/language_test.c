/* Languages: features beside a naive walk, training in any order, damaged files, real sentences. */
#include "support.h"

#include <math.h>

#include "base/hash.h"
#include "base/random.h"
#include "text/language_internal.h"

/* Article 1 of the Universal Declaration of Human Rights. */
static const struct {
    const char *label, *text;
} articles[] = {
    {"ru", "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены "
           "разумом и совестью и должны поступать в отношении друг друга в духе братства."},
    {"uk", "Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені "
           "розумом і совістю і повинні діяти у відношенні один до одного в дусі братерства."},
    {"be", "Усе людзі нараджаюцца свабоднымі і роўнымі ў сваёй годнасці і правах. Яны надзелены "
           "розумам і сумленнем і павінны ставіцца адзін да аднаго ў духу брацтва."},
    {"bg", "Всички хора се раждат свободни и равни по достойнство и права. Те са надарени с разум "
           "и съвест и следва да се отнасят помежду си в дух на братство."},
    {"sr", "Сва људска бића рађају се слободна и једнака у достојанству и правима. Она су обдарена "
           "разумом и свешћу и треба једни према другима да поступају у духу братства."},
    {"sr", "Sva ljudska bića rađaju se slobodna i jednaka u dostojanstvu i pravima. Ona su "
           "obdarena razumom i svešću i treba jedni prema drugima da postupaju u duhu bratstva."},
    {"kk", "Барлық адамдар тумысынан азат және қадір-қасиеті мен құқықтары тең болып дүниеге "
           "келеді. Адамдарға ақыл-парасат, ар-ождан берілген, сондықтан олар бір-бірімен туыстық, "
           "бауырмалдық қарым-қатынас жасаулары тиіс."},
    {"en", "All human beings are born free and equal in dignity and rights. They are endowed with "
           "reason and conscience and should act towards one another in a spirit of brotherhood."},
    {"de", "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft "
           "und Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen."},
    {"fr", "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont "
           "doués de raison et de conscience et doivent agir les uns envers les autres dans un "
           "esprit de fraternité."},
    {"es", "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como "
           "están de razón y conciencia, deben comportarse fraternalmente los unos con los otros."},
};
enum { ARTICLES = sizeof articles / sizeof *articles };

static struct language_model *own_model(struct arena *arena)
{
    struct error error = {0};
    struct language_model *model;
    assert_ok(language_open_own(&model, arena, &error), error);
    return model;
}

static struct arena *new_arena(void)
{
    struct error error = {0};
    struct arena *arena;
    assert_ok(arena_create(&arena, 0, &error), error);
    return arena;
}

static const char *told(const struct language_model *model, struct view text)
{
    struct language_guess guess = language_detect(model, text);
    return guess.language < 0 ? "none" : language_label(model, guess.language);
}

static void sentences_of_ten_languages_are_told(void **state)
{
    (void)state;
    struct arena *arena = new_arena();
    struct language_model *model = own_model(arena);
    for (size_t i = 0; i < ARTICLES; i++) {
        assert_string_equal(told(model, view_of(articles[i].text)), articles[i].label);
        const char *stop = strchr(articles[i].text, '.');
        struct view first = {articles[i].text, stop ? (size_t)(stop - articles[i].text) : 60};
        assert_string_equal(told(model, first), articles[i].label);
    }
    arena_destroy(arena);
}

static void what_is_no_language_is_none(void **state)
{
    (void)state;
    struct arena *arena = new_arena();
    struct language_model *model = own_model(arena);
    static const char *const texts[] = {"", "1234 567 +-*/ ...", "\xFF\xFE\x80",
                                        "全ての人間は、生まれながらにして自由であり",
                                        "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct language_guess guess = language_detect(model, view_of(texts[i]));
        assert_int_equal(guess.language, -1);
        assert_true(guess.score == 0);
    }
    arena_destroy(arena);
}

/* Twice each, known and unknown, whole, cut into pieces, and with words too long to remember. */
static void a_memory_of_words_changes_no_guess(void **state)
{
    (void)state;
    struct arena *arena = new_arena();
    struct language_model *model = own_model(arena);
    struct language_memory *memory;
    struct error error = {0};
    assert_ok(language_memory_create(&memory, model, arena, &error), error);
    for (size_t i = 0; i < 2 * ARTICLES; i++) {
        struct view whole = view_of(articles[i % ARTICLES].text);
        for (size_t cut = 0; cut <= whole.len; cut++) {
            struct view text = {whole.data + whole.len - cut, cut};
            struct language_guess want = language_detect(model, text);
            struct language_guess got = language_recall(memory, text);
            assert_int_equal(got.language, want.language);
            assert_memory_equal(&got.score, &want.score, sizeof want.score);
        }
    }
    struct view endless =
        view_of("Достопримечательностейиещёодногослова antidisestablishmentarianism");
    assert_int_equal(language_recall(memory, endless).language,
                     language_detect(model, endless).language);
    arena_destroy(arena);
}

/* ---- a naive walk ---- */

enum { NAIVE_FEATURES_MAX = 1 << 16 };
struct naive {
    uint32_t bucket[LANGUAGE_SCRIPTS][NAIVE_FEATURES_MAX];
    size_t count[LANGUAGE_SCRIPTS];
};

static void collect(void *context, int script, const uint32_t *bucket, size_t count)
{
    struct naive *out = context;
    assert_true(count > 0 && count <= LANGUAGE_FEATURES_MAX);
    for (size_t i = 0; i < count; i++)
        out->bucket[script][out->count[script]++] = bucket[i];
}

static uint32_t naive_bucket(uint64_t key, uint32_t buckets)
{
    uint64_t mixed = (key ^ key >> 29) * 0x9E3779B97F4A7C15u;
    mixed ^= mixed >> 32;
    return (uint32_t)((mixed * 0x9E3779B97F4A7C15u >> 32) * buckets >> 32);
}

/* A word as an array with both boundaries: all its pieces of 1 to 4 symbols but lone boundaries,
 * then the whole. */
static void naive_word(struct naive *out, const uint32_t *word, size_t len, uint32_t buckets)
{
    uint64_t symbol[300], hash = 0;
    int script = word[0] & LANGUAGE_FOLD_CYRILLIC ? LANGUAGE_CYRILLIC : LANGUAGE_LATIN;
    symbol[0] = symbol[len + 1] = 1;
    for (size_t i = 0; i < len; i++) {
        symbol[i + 1] = word[i] & 0xFFFF;
        hash = (hash ^ symbol[i + 1]) * 0xD6E8FEB86659FD93u;
    }
    for (size_t end = 1; end <= len + 1; end++)
        for (size_t n = end == len + 1 ? 2 : 1; n <= 4 && n <= end + 1; n++) {
            uint64_t key = 0;
            for (size_t i = end + 1 - n; i <= end; i++)
                key = key << 16 | symbol[i];
            out->bucket[script][out->count[script]++] = naive_bucket(key, buckets);
        }
    out->bucket[script][out->count[script]++] = naive_bucket(hash | 1ull << 63, buckets);
}

static void naive_walk(struct naive *out, struct view text, uint32_t buckets)
{
    uint32_t word[256];
    size_t len = 0;
    for (size_t at = 0; at <= text.len;) {
        uint32_t c = ' ';
        at += at < text.len ? utf8_decode(&c, text.data + at, text.len - at) : 1;
        uint32_t fold = c == UTF8_BAD ? 0 : language_fold(c);
        if (fold && !(fold & LANGUAGE_FOLD_OTHER))
            word[len++] = fold;
        else if (len) {
            naive_word(out, word, len, buckets);
            len = 0;
        }
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* Words of mixed scripts, lengths and marks; at most 200 letters each. */
static size_t random_text(char *out, uint64_t seed, size_t characters)
{
    static const char *const alphabet[] = {"а", "б",  "Ж", "ё",  "ї",    "қ", "a",
                                           "Z", "é",  "ß", " ",  " ",    "-", "\u0301",
                                           "ω", "漢", "1", "\n", "\xFF", "’"};
    struct random_key key = {seed, RANDOM_TEST, 3};
    size_t len = 0;
    for (size_t i = 0; i < characters; i++) {
        const char *c = alphabet[random_below(key, i, sizeof alphabet / sizeof *alphabet)];
        memcpy(out + len, c, strlen(c));
        len += strlen(c);
        if (i % 200 == 199)
            out[len++] = ' ';
    }
    return len;
}

static void features_are_those_of_a_naive_walk(void **state)
{
    (void)state;
    static struct naive fast, slow;
    static uint32_t folds[LANGUAGE_FOLDS];
    char text[20000];
    for (uint32_t c = 0; c < LANGUAGE_FOLDS; c++)
        folds[c] = language_fold(c);
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct view view = {text, random_text(text, seed, 20 + 15 * (size_t)seed)};
        struct language_words words = {.folds = folds, .buckets = 1000 + (uint32_t)seed};
        memset(fast.count, 0, sizeof fast.count);
        memset(slow.count, 0, sizeof slow.count);
        language_walk(&words, view, collect, &fast);
        naive_walk(&slow, view, words.buckets);
        for (int s = 0; s < LANGUAGE_SCRIPTS; s++) {
            assert_int_equal(fast.count[s], slow.count[s]);
            qsort(fast.bucket[s], fast.count[s], sizeof(uint32_t), compare);
            qsort(slow.bucket[s], slow.count[s], sizeof(uint32_t), compare);
            assert_memory_equal(fast.bucket[s], slow.bucket[s], slow.count[s] * sizeof(uint32_t));
        }
    }
}

static void the_exponential_is_that_of_the_library(void **state)
{
    (void)state;
    for (double x = -690; x < 690; x += 0.37) {
        double want = exp(x), got = language_exp(x);
        assert_true(fabs(got - want) <= 4e-16 * want);
    }
    assert_true(language_exp(-1e9) == 0 && language_exp(0) == 1);
}

/* ---- training ---- */

enum { LESSON_BYTES = 6000 };
static char lessons[3][LESSON_BYTES];

static void make_lessons(struct language_text texts[3])
{
    static const char *const labels[] = {"ru", "en", "uk"};
    for (size_t t = 0; t < 3; t++) {
        size_t len = 0;
        for (size_t i = 0; len + 1000 < LESSON_BYTES; i = (i + 1) % ARTICLES)
            if (strcmp(articles[i].label, labels[t]) == 0) {
                memcpy(lessons[t] + len, articles[i].text, strlen(articles[i].text));
                len += strlen(articles[i].text);
                lessons[t][len++] = '\n';
            }
        texts[t] = (struct language_text){.text = {lessons[t], len}};
        memcpy(texts[t].label, labels[t], 3);
    }
}

static void train_small(struct buffer *out, const struct language_text *texts, size_t count)
{
    struct error error = {0};
    struct language_training training = language_training_default();
    training.texts = texts;
    training.count = count;
    training.buckets = 512;
    training.snippets = 300;
    buffer_create(out, 1 << 20);
    assert_ok(language_train(out, &training, NULL, NULL, &error), error);
}

static void the_order_of_texts_does_not_matter_and_what_was_learnt_is_told(void **state)
{
    (void)state;
    struct language_text texts[3], turned[3];
    struct buffer one, two;
    struct error error = {0};
    make_lessons(texts);
    for (int i = 0; i < 3; i++)
        turned[i] = texts[(i + 1) % 3];
    train_small(&one, texts, 3);
    train_small(&two, turned, 3);
    assert_int_equal(one.len, two.len);
    assert_memory_equal(one.data, two.data, one.len);
    struct arena *arena = new_arena();
    struct language_model *model;
    assert_ok(language_open(&model, (struct view){one.data, one.len}, "m", arena, &error), error);
    assert_int_equal(language_count(model), 3);
    assert_string_equal(told(model, view_of("Все люди рождаются свободными и равными")), "ru");
    assert_string_equal(told(model, view_of("All human beings are born free and equal")), "en");
    assert_string_equal(told(model, view_of("Всі люди народжуються вільними і рівними")), "uk");
    arena_destroy(arena);
    buffer_destroy(&one);
    buffer_destroy(&two);
}

static void every_cut_and_every_changed_byte_of_a_model_is_refused(void **state)
{
    (void)state;
    struct language_text texts[3];
    struct buffer file;
    make_lessons(texts);
    train_small(&file, texts, 3);
    struct arena *arena = new_arena();
    for (size_t i = 0; i < file.len; i++) {
        struct error error = {0};
        struct language_model *model;
        struct view cut = {file.data, i};
        assert_int_equal(language_open(&model, cut, "m", arena, &error), ERR_FORMAT);
        error = (struct error){0};
        file.data[i] ^= 0x10;
        struct view whole = {file.data, file.len};
        assert_int_equal(language_open(&model, whole, "m", arena, &error), ERR_FORMAT);
        file.data[i] ^= 0x10;
    }
    arena_destroy(arena);
    buffer_destroy(&file);
}

static void lessons_that_cannot_be_learnt_are_refused(void **state)
{
    (void)state;
    struct language_text texts[3];
    struct buffer out;
    struct language_training training = language_training_default();
    make_lessons(texts);
    training.texts = texts;
    training.snippets = 1;
    training.buckets = 64;
    buffer_create(&out, 1 << 20);
    struct error error = {0};
    training.count = 1;
    assert_int_equal(language_train(&out, &training, NULL, NULL, &error), ERR_USAGE);
    error = (struct error){0};
    training.count = 3;
    texts[1].text.len = 100;
    assert_int_equal(language_train(&out, &training, NULL, NULL, &error), ERR_USAGE);
    assert_non_null(strstr(error.text, "en"));
    assert_int_equal(out.len, 0);
    buffer_destroy(&out);
}

static void a_long_text_is_judged_by_its_sample(void **state)
{
    (void)state;
    struct arena *arena = new_arena();
    struct language_model *model = own_model(arena);
    enum { BYTES = 1 << 20 };
    char *text = arena_alloc(arena, BYTES, 1, &(struct error){0});
    size_t len = 0, article = strlen(articles[0].text);
    assert_non_null(text);
    while (len + article + 1 < BYTES) {
        memcpy(text + len, articles[0].text, article);
        len += article;
        text[len++] = ' ';
    }
    assert_string_equal(told(model, (struct view){text, len}), "ru");
    /* each length: no piece may leave the text */
    for (size_t cut = LANGUAGE_SAMPLE_BYTES - 3; cut < LANGUAGE_SAMPLE_BYTES + 1200; cut++) {
        char *exact = test_malloc(cut);
        memcpy(exact, text, cut);
        assert_string_equal(told(model, (struct view){exact, cut}), "ru");
        test_free(exact);
    }
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_of_ten_languages_are_told),
        cmocka_unit_test(what_is_no_language_is_none),
        cmocka_unit_test(a_memory_of_words_changes_no_guess),
        cmocka_unit_test(features_are_those_of_a_naive_walk),
        cmocka_unit_test(the_exponential_is_that_of_the_library),
        cmocka_unit_test(the_order_of_texts_does_not_matter_and_what_was_learnt_is_told),
        cmocka_unit_test(every_cut_and_every_changed_byte_of_a_model_is_refused),
        cmocka_unit_test(lessons_that_cannot_be_learnt_are_refused),
        cmocka_unit_test(a_long_text_is_judged_by_its_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
