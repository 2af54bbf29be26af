/* Settings files and command-line options: what is right is taken, what is wrong is named. */
#include "base/config.h"

#include "base/options.h"
#include "support.h"

struct settings {
    int64_t steps;
    double rate;
    bool tied;
    int optimizer;
    char corpus[CONFIG_STRING_BYTES];
};

#define AT(field) offsetof(struct settings, field)
static const struct config_key keys[] = {
    {"train", "steps", CONFIG_INT, AT(steps), 1, 1000, NULL, "10", "steps", "how many"},
    {"train", "rate", CONFIG_DOUBLE, AT(rate), 0, 10, NULL, "0.1", "", "how fast"},
    {"train", "optimizer", CONFIG_CHOICE, AT(optimizer), 0, 0, "adamw|muon", "muon", "", "which"},
    {"model", "tied", CONFIG_BOOL, AT(tied), 0, 0, NULL, "true", "", "one table"},
    {"data", "corpus", CONFIG_STRING, AT(corpus), 0, 0, NULL, "", "", "folder"},
};
static const struct config_table table = {keys, sizeof keys / sizeof *keys};

static void values_are_read_over_the_defaults(void **state)
{
    (void)state;
    struct settings settings;
    struct error error = {0};
    memset(&settings, 0xee, sizeof settings);
    config_defaults(&settings, table);
    assert_int_equal(settings.steps, 10);
    assert_true(settings.tied && settings.optimizer == 1 && settings.corpus[0] == 0);
    assert_ok(config_parse(&settings, table,
                           view_of("; words\n[train]\nsteps = 77\noptimizer=adamw\n"
                                   "[data]\ncorpus = a b/c\n"),
                           "x.ini", &error),
              error);
    assert_int_equal(settings.steps, 77);
    assert_int_equal(settings.optimizer, 0);
    assert_string_equal(settings.corpus, "a b/c");
    assert_ok(config_set(&settings, table, "train.rate", "0.25", &error), error);
    assert_true(settings.rate == 0.25);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *words[4];
    } cases[] = {
        {"[train]\nstep = 3\n", {"x.ini", "2", "step"}},
        {"[train]\nsteps = 0\n", {"steps", "0", "1", "1000"}},
        {"[train]\nsteps = many\n", {"steps", "many"}},
        {"[train]\nrate = nan\n", {"rate", "nan"}},
        {"[train]\noptimizer = sgd\n", {"optimizer", "sgd", "adamw"}},
        {"[model]\ntied = perhaps\n", {"tied", "perhaps"}},
        {"[nothing]\nsteps = 3\n", {"nothing"}},
        {"[train\nsteps = 3\n", {"x.ini", "steps", "[train]"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings settings;
        struct error error = {0};
        config_defaults(&settings, table);
        assert_int_not_equal(
            config_parse(&settings, table, view_of(cases[i].text), "x.ini", &error), OK);
        for (size_t w = 0; w < 4 && cases[i].words[w]; w++)
            if (!strstr(error.text, cases[i].words[w]))
                fail_msg("'%s' does not name '%s'", error.text, cases[i].words[w]);
        assert_null(strchr(error.text, '\n'));
    }
}

static void what_is_written_reads_back_to_the_same_bits(void **state)
{
    (void)state;
    struct settings settings, again;
    struct error error = {0};
    struct buffer text;
    memset(&settings, 0, sizeof settings);
    config_defaults(&settings, table);
    again = settings;
    settings.rate = 0.1 + 0.2;
    settings.tied = false;
    settings.steps = 999;
    strcpy(settings.corpus, "texts/of the ministry");
    buffer_create(&text, 1 << 16);
    assert_ok(config_write(&text, &settings, table, &error), error);
    assert_ok(config_parse(&again, table, (struct view){text.data, text.len}, "y.ini", &error),
              error);
    assert_memory_equal(&settings.rate, &again.rate, sizeof again.rate);
    assert_int_equal(settings.steps, again.steps);
    assert_true(settings.tied == again.tied && settings.optimizer == again.optimizer);
    assert_string_equal(settings.corpus, again.corpus);
    /* The longest path that is written can be read; longer ones are refused, not written. */
    size_t written = 0;
    for (size_t len = 150; len < sizeof settings.corpus; len++) {
        memset(settings.corpus, 'x', len);
        settings.corpus[len] = 0;
        buffer_clear(&text);
        error = (struct error){0};
        if (config_write(&text, &settings, table, &error) != OK)
            break;
        assert_ok(config_parse(&again, table, (struct view){text.data, text.len}, "y.ini", &error),
                  error);
        assert_string_equal(settings.corpus, again.corpus);
        written = len;
    }
    assert_in_range(written, 180, 199);
    assert_int_equal(error.code, ERR_LIMIT);
    buffer_destroy(&text);
}

static void options_are_taken_in_both_spellings_and_files_kept(void **state)
{
    (void)state;
    int64_t steps = 0;
    bool json = false;
    const char *out = NULL;
    double rate = 0;
    static struct option_list sets;
    const struct option options[] = {
        {"steps", OPTION_INT, &steps, 1, 100, "N", "steps"},
        {"json", OPTION_FLAG, &json, 0, 0, NULL, "as JSON"},
        {"out", OPTION_STRING, &out, 0, 0, "DIR", "where"},
        {"rate", OPTION_DOUBLE, &rate, 0, 1, "X", "rate"},
        {"set", OPTION_LIST, &sets, 0, 0, "K=V", "over"},
    };
    char *argv[] = {(char *)"rodnik",      (char *)"a.ini",
                    (char *)"--steps=5",   (char *)"--json",
                    (char *)"--out",       (char *)"there",
                    (char *)"--rate",      (char *)"0.5",
                    (char *)"--set",       (char *)"x.y=1",
                    (char *)"--set=z.w=2", (char *)"--",
                    (char *)"--steps",     NULL};
    struct options_result result;
    struct error error = {0};
    sets.count = 0;
    assert_ok(options_parse(&result, options, 5, 13, argv, &error), error);
    assert_int_equal(steps, 5);
    assert_true(json && rate == 0.5);
    assert_string_equal(out, "there");
    assert_int_equal(sets.count, 2);
    assert_string_equal(sets.items[1], "z.w=2");
    assert_int_equal(result.positional_count, 2);
    assert_string_equal(result.positional[0], "a.ini");
    assert_string_equal(result.positional[1], "--steps");
}

static void wrong_options_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second, *word;
    } cases[] = {
        {"--stepps", "3", "stepps"}, {"--steps", "x", "x"},        {"--steps", "101", "100"},
        {"--steps", NULL, "steps"},  {"--json=yes", NULL, "json"}, {"--steps=", NULL, "steps"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t steps = 0;
        bool json = false;
        const struct option options[] = {
            {"steps", OPTION_INT, &steps, 1, 100, "N", "steps"},
            {"json", OPTION_FLAG, &json, 0, 0, NULL, "as JSON"},
        };
        char *argv[] = {(char *)"rodnik", (char *)cases[i].first, (char *)cases[i].second, NULL};
        struct options_result result;
        struct error error = {0};
        assert_int_equal(options_parse(&result, options, 2, cases[i].second ? 3 : 2, argv, &error),
                         ERR_USAGE);
        if (!strstr(error.text, cases[i].word))
            fail_msg("'%s' does not name '%s'", error.text, cases[i].word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_over_the_defaults),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(what_is_written_reads_back_to_the_same_bits),
        cmocka_unit_test(options_are_taken_in_both_spellings_and_files_kept),
        cmocka_unit_test(wrong_options_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
