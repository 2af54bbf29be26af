/* Profiles: every rule decides, the first one names the reason; good prose and verse stay, rubbish
 * goes. */
#include "support.h"

#include <cjson/cJSON.h>
#include <zstd.h>

#include "base/file.h"
#include "corpus/profile.h"

static const char real_folder[] = "../shared/data/pretrain";

struct place {
    struct arena *arena;
    struct language_model *model;
    struct signals_work *work;
    struct error error;
};

static void place_create(struct place *out)
{
    *out = (struct place){0};
    assert_ok(arena_create(&out->arena, 0, &out->error), out->error);
    assert_ok(language_open_own(&out->model, out->arena, &out->error), out->error);
    assert_ok(signals_work_create(&out->work, out->model, out->arena, &out->error), out->error);
}

static void place_destroy(struct place *place)
{
    signals_work_destroy(place->work);
    arena_destroy(place->arena);
}

static struct profile opened(const char *name)
{
    struct profile profile;
    struct error error = {0};
    assert_ok(profile_open(&profile, name, &error), error);
    return profile;
}

static const char *reason_of(struct place *place, const struct profile *profile, struct view text)
{
    struct signals signals;
    assert_ok(signals_measure(&signals, place->work, text, &place->error), place->error);
    const char *language =
        signals.language ? language_label(place->model, (int)signals.language - 1) : "none";
    int rule = profile_decide(profile, &signals, language);
    return rule == PROFILE_KEPT ? "keep" : profile_rule_name(rule);
}

/* ---- the files ---- */

static void own_profiles_are_read_and_come_back_from_their_text(void **state)
{
    (void)state;
    size_t count = 0;
    for (const char *name; (name = profile_name(count)); count++) {
        struct profile profile = opened(name), back;
        struct error error = {0};
        struct buffer text;
        buffer_create(&text, 1 << 16);
        assert_ok(profile_write(&text, &profile, &error), error);
        assert_ok(profile_parse(&back, (struct view){text.data, text.len}, name, &error), error);
        assert_memory_equal(&profile, &back, sizeof profile);
        buffer_destroy(&text);
    }
    assert_int_equal(count, 7);
}

static void what_a_profile_does_not_allow_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } bad[] = {{"[words]\nfoo = 1\n", "p.ini:2: there is no key 'foo' in [words]"},
               {"[words]\ncount_min = many\n", "p.ini:2: words.count_min is 'many'"},
               {"[words]\ncount_min = -1\n", "allowed are numbers from 0"},
               {"[word]\n", NULL},
               {"words\n", "p.ini:1"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct profile profile;
        struct error error = {0};
        status result = profile_parse(&profile, view_of(bad[i].text), "p.ini", &error);
        if (!bad[i].said) {
            assert_int_equal(result, OK); /* an empty section sets nothing */
            continue;
        }
        assert_int_equal(result, ERR_USAGE);
        assert_non_null(strstr(error.text, bad[i].said));
    }
    struct profile profile;
    struct error error = {0};
    assert_int_equal(profile_open(&profile, "no-such-profile", &error), ERR_USAGE);
    assert_non_null(strstr(error.text, "web-ru"));
}

/* ---- rules ---- */

static struct profile with(const char *key, const char *value)
{
    char text[256];
    struct profile profile;
    struct error error = {0};
    const char *dot = strchr(key, '.');
    assert_non_null(dot);
    snprintf(text, sizeof text, "[%.*s]\n%s = %s\n", (int)(dot - key), key, dot + 1, value);
    assert_ok(profile_parse(&profile, view_of(text), "test", &error), error);
    return profile;
}

/* Each rule alone, with its limit just at, below and above what a text has. */
static void each_rule_decides_at_its_limit(void **state)
{
    (void)state;
    static const char text[] =
        "— И он не был там…\n- Да, в # доме {12} и на 7 HTTP…\nАга?\nАга?\n\n\nАга?\n\nв на и с "
        "в на и с в на и с в на и с в на и с в на и с в на и с\n\nАга?\n\n• конец \uFFFD";
    struct place place;
    place_create(&place);
    struct signals signals;
    assert_ok(signals_measure(&signals, place.work, view_of(text), &place.error), place.error);
    int decided = 0;
    for (int rule = 1; rule < profile_rules(); rule++) {
        const char *key = profile_rule_name(rule);
        bool most = strstr(key, "_max") != NULL;
        double value = profile_rule_value(rule, &signals, "ru");
        char limit[3][64];
        const double limits[3] = {value * 0.999, value, value * 1.001};
        if (value <= 0)
            fail_msg("the text gives %s nothing to look at", key);
        for (int i = 0; i < 3; i++) {
            snprintf(limit[i], sizeof limit[i], "%.17g", limits[i]);
            struct profile profile = with(key, limit[i]);
            bool drops = most ? i == 0 : i == 2;
            assert_int_equal(profile_decide(&profile, &signals, "ru"), drops ? rule : PROFILE_KEPT);
        }
        decided++;
    }
    assert_int_equal(decided, profile_rules() - 1);
    place_destroy(&place);
}

static void the_first_broken_rule_is_the_reason(void **state)
{
    (void)state;
    struct place place;
    struct profile profile;
    static const char limits[] = "[words]\ncount_min = 1000\n[repetition]\ntop_2_max = 0\n"
                                 "[language]\nallowed = en de\n";
    place_create(&place);
    assert_ok(profile_parse(&profile, view_of(limits), "test", &place.error), place.error);
    struct signals signals = {.words = 5, .top_2 = 3, .measured_characters = 10};
    assert_string_equal(profile_rule_name(profile_decide(&profile, &signals, "ru")),
                        "language.allowed");
    assert_string_equal(profile_rule_name(profile_decide(&profile, &signals, "d")),
                        "language.allowed");
    assert_string_equal(profile_rule_name(profile_decide(&profile, &signals, "de")),
                        "repetition.top_2_max");
    signals.top_2 = 0;
    assert_string_equal(profile_rule_name(profile_decide(&profile, &signals, "en")),
                        "words.count_min");
    signals.words = 1000;
    assert_int_equal(profile_decide(&profile, &signals, "en"), PROFILE_KEPT);
    place_destroy(&place);
}

/* ---- rubbish ---- */

static struct view repeated(struct place *place, const char *text, size_t times)
{
    size_t len = strlen(text);
    char *out = arena_alloc(place->arena, times * len + 1, 1, &place->error);
    assert_non_null(out);
    for (size_t i = 0; i < times; i++)
        memcpy(out + i * len, text, len);
    return (struct view){out, times * len};
}

static void rubbish_is_dropped_by_every_profile_but_plain(void **state)
{
    (void)state;
    static const char *const rubbish[] = {
        "Купить дешево телефон в Москве с доставкой по городу. ",
        "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26\n",
        "Главная\nО нас\nКонтакты\nКорзина\nВойти\n",
        "if (x) { y[i] = z->w + 1; } else { return 0; }\n", "РќР° С\uFFFDС‚РѕР»Рµ \uFFFD\uFFFD "};
    struct place place;
    place_create(&place);
    for (size_t i = 0; i < sizeof rubbish / sizeof *rubbish; i++)
        for (size_t p = 0; strcmp(profile_name(p), "plain") != 0; p++) {
            struct profile profile = opened(profile_name(p));
            const char *reason = reason_of(&place, &profile, repeated(&place, rubbish[i], 40));
            if (strcmp(reason, "keep") == 0)
                fail_msg("%s keeps: %s", profile_name(p), rubbish[i]);
        }
    struct profile plain = opened("plain");
    assert_string_not_equal(reason_of(&place, &plain, repeated(&place, rubbish[0], 200)), "keep");
    assert_string_not_equal(reason_of(&place, &plain, view_of("")), "keep");
    place_destroy(&place);
}

/* ---- real texts ---- */

enum { CUT_CHARACTERS = 300000, REAL_MAX = 2000 };

/* The texts of a file of the shared data, each cut at 300,000 characters; skips when absent. */
static size_t read_real(struct view *out, struct place *place, const char *name)
{
    char path[256];
    struct view packed;
    snprintf(path, sizeof path, "%s/%s.jsonl.zst", real_folder, name);
    if (!file_exists(path))
        skip_because("there is no %s", path);
    assert_ok(file_read(&packed, path, (size_t)1 << 30, place->arena, &place->error), place->error);
    enum { SIZE_MAX_BYTES = 200 << 20 };
    char *lines = arena_alloc(place->arena, SIZE_MAX_BYTES, 1, &place->error);
    assert_non_null(lines);
    size_t size = ZSTD_decompress(lines, SIZE_MAX_BYTES, packed.data, packed.len);
    assert_false(ZSTD_isError(size));
    struct view line, rest = {lines, size};
    size_t count = 0;
    while (count < REAL_MAX && view_line(&line, &rest)) {
        cJSON *json = cJSON_ParseWithLength(line.data, line.len);
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(json, "text"));
        assert_non_null(text);
        size_t end = 0;
        for (size_t n = 0; text[end] && n < CUT_CHARACTERS; n++)
            do
                end++;
            while (((unsigned char)text[end] & 0xC0) == 0x80);
        char *copy = arena_alloc(place->arena, end + 1, 1, &place->error);
        assert_non_null(copy);
        out[count++] = (struct view){memcpy(copy, text, end), end};
        cJSON_Delete(json);
    }
    return count;
}

static double share_dropped(struct place *place, const char *name, const struct profile *profiles,
                            size_t profile_count, double shares[])
{
    static struct view texts[REAL_MAX];
    size_t count = read_real(texts, place, name);
    for (size_t p = 0; p < profile_count; p++)
        shares[p] = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t p = 0; p < profile_count; p++)
            shares[p] += strcmp(reason_of(place, &profiles[p], texts[i]), "keep") != 0;
    for (size_t p = 0; p < profile_count; p++)
        shares[p] /= (double)count;
    return shares[0];
}

/* FineWeb-2's rules as published: without the two corrections. */
static struct profile as_published(void)
{
    struct profile profile = opened("web-ru");
    for (int rule = 1; rule < profile_rules(); rule++) {
        const char *key = profile_rule_name(rule);
        double *limit = &profile.limit[rule - 1];
        if (strcmp(key, "lines.end_min") == 0 || strcmp(key, "words.alphabetic_min") == 0)
            *limit = 0;
        if (strcmp(key, "lines.end_narrow_min") == 0)
            *limit = 0.231;
        if (strcmp(key, "words.alphabetic_of_tokens_min") == 0)
            *limit = 0.713;
    }
    return profile;
}

static void real_prose_is_kept(void **state)
{
    (void)state;
    struct place place;
    double shares[3];
    place_create(&place);
    const struct profile profiles[] = {opened("web-ru"), opened("fiction"), as_published()};
    share_dropped(&place, "ru_classics", profiles, 3, shares);
    print_message("classics dropped: web-ru %.1f %%, fiction %.1f %%, as published %.1f %%\n",
                  100 * shares[0], 100 * shares[1], 100 * shares[2]);
    assert_true(shares[0] <= 0.06 && shares[1] <= 0.06);
    assert_true(shares[2] >= 0.10); /* what the corrections are for */
    place_destroy(&place);
}

static void real_tolstoy_is_kept_as_fiction(void **state)
{
    (void)state;
    struct place place;
    double shares[1];
    place_create(&place);
    const struct profile profiles[] = {opened("fiction")};
    share_dropped(&place, "ru_tolstoy", profiles, 1, shares);
    print_message("Tolstoy dropped: fiction %.1f %%\n", 100 * shares[0]);
    assert_true(shares[0] <= 0.06);
    place_destroy(&place);
}

static void real_verse_is_kept(void **state)
{
    (void)state;
    struct place place;
    double shares[2];
    place_create(&place);
    const struct profile profiles[] = {opened("verse"), opened("web-ru")};
    share_dropped(&place, "ru_poetry", profiles, 2, shares);
    print_message("verse dropped: verse %.1f %%, web-ru %.1f %%\n", 100 * shares[0],
                  100 * shares[1]);
    assert_true(shares[0] <= 0.10);
    assert_true(shares[1] >= 0.80); /* it is no page of prose */
    place_destroy(&place);
}

static void real_laws_and_plays_are_kept(void **state)
{
    (void)state;
    struct place place;
    double shares[1];
    place_create(&place);
    const struct profile law = opened("law"), dialogue = opened("dialogue");
    assert_true(share_dropped(&place, "ru_law", &law, 1, shares) <= 0.06);
    print_message("laws dropped: law %.1f %%\n", 100 * shares[0]);
    assert_true(share_dropped(&place, "ru_drama", &dialogue, 1, shares) <= 0.06);
    print_message("plays dropped: dialogue %.1f %%\n", 100 * shares[0]);
    place_destroy(&place);
}

static void real_documents_are_told_by_language(void **state)
{
    (void)state;
    static const struct {
        const char *file, *language;
    } sets[] = {{"ru_classics", "ru"}, {"ru_news", "ru"}, {"ru_techdocs", "ru"}, {"en_misc", "en"}};
    static struct view texts[REAL_MAX];
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct place place;
        place_create(&place);
        size_t count = read_real(texts, &place, sets[i].file), right = 0;
        for (size_t t = 0; t < count; t++) {
            struct language_guess guess = language_detect(place.model, texts[t]);
            right += guess.language >= 0 &&
                     !strcmp(language_label(place.model, guess.language), sets[i].language);
        }
        print_message("%s: %zu of %zu are told as %s\n", sets[i].file, right, count,
                      sets[i].language);
        assert_true((double)right >= 0.99 * (double)count);
        place_destroy(&place);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_profiles_are_read_and_come_back_from_their_text),
        cmocka_unit_test(what_a_profile_does_not_allow_is_said),
        cmocka_unit_test(each_rule_decides_at_its_limit),
        cmocka_unit_test(the_first_broken_rule_is_the_reason),
        cmocka_unit_test(rubbish_is_dropped_by_every_profile_but_plain),
        cmocka_unit_test(real_prose_is_kept),
        cmocka_unit_test(real_tolstoy_is_kept_as_fiction),
        cmocka_unit_test(real_verse_is_kept),
        cmocka_unit_test(real_laws_and_plays_are_kept),
        cmocka_unit_test(real_documents_are_told_by_language),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
