/* rodnik corpus language: train, test, tell. */
#include "cli/cmd_corpus.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/progress.h"
#include "base/thread.h"
#include "cli/cli.h"
#include "text/language.h"
#include "text/utf8.h"

static const size_t TEXT_BYTES_MAX = (size_t)4 << 30;

/* ---- LABEL=FILE ---- */

static status read_pair(struct language_text *out, const char *pair, struct arena *arena,
                        struct error *error)
{
    const char *equals = strchr(pair, '=');
    size_t len = equals ? (size_t)(equals - pair) : 0;
    if (len == 0 || len >= LANGUAGE_LABEL_BYTES || !equals[1])
        return fail(error, ERR_USAGE,
                    "'%s' is not of the form LABEL=FILE, with a label of 1 to %d letters", pair,
                    LANGUAGE_LABEL_BYTES - 1);
    memcpy(out->label, pair, len);
    return file_read(&out->text, equals + 1, TEXT_BYTES_MAX, arena, error);
}

static status read_pairs(struct language_text **out, char **pairs, size_t count,
                         struct arena *arena, struct error *error)
{
    if (count == 0)
        return fail(error, ERR_USAGE, "no text was named: give LABEL=FILE for each language");
    TRY_ALLOC(*out, arena, count, error);
    for (size_t i = 0; i < count; i++)
        TRY(read_pair(&(*out)[i], pairs[i], arena, error));
    return OK;
}

static status open_model(struct language_model **out, const char *path, struct arena *arena,
                         struct error *error)
{
    enum { MODEL_BYTES_MAX = 64 << 20 };
    struct view file;
    if (!path)
        return language_open_own(out, arena, error);
    TRY(file_read(&file, path, MODEL_BYTES_MAX, arena, error));
    return language_open(out, file, path, arena, error);
}

/* ---- train ---- */

static void on_progress(void *context, double done, double total)
{
    (void)total;
    progress_update(context, done, NULL);
}

static status train_to(const char *path, struct language_training *training, char **pairs,
                       size_t count, struct arena *arena, struct error *error)
{
    enum { MODEL_BYTES_MAX = 64 << 20 };
    struct language_text *texts;
    struct progress progress;
    struct buffer model;
    TRY(read_pairs(&texts, pairs, count, arena, error));
    training->texts = texts;
    training->count = count;
    interrupt_install();
    buffer_create(&model, MODEL_BYTES_MAX);
    progress_begin(&progress, "learning languages", "snippets", (double)training->snippets, false);
    status result = language_train(&model, training, on_progress, &progress, error);
    progress_end(&progress, 0);
    if (result == OK)
        result = file_write_atomic(path, model.data, model.len, error);
    if (result == OK)
        printf("%s: %zu bytes\n", path, model.len);
    buffer_destroy(&model);
    return result;
}

static int train(int argc, char **argv)
{
    struct language_training training = language_training_default();
    const char *out = NULL;
    int64_t seed = 1;
    const struct option table[] = {
        {"out", OPTION_STRING, &out, 0, 0, "FILE", "the model (needed)"},
        {"buckets", OPTION_INT, &training.buckets, LANGUAGE_BUCKETS_MIN, LANGUAGE_BUCKETS_MAX, "N",
         "rows of the table, a byte each for every language (default 61440)"},
        {"snippets", OPTION_INT, &training.snippets, 1, 1e9, "N",
         "pieces of text to learn from, for each language (default 300000)"},
        {"seed", OPTION_INT, &seed, 0, 9e15, "N", "which pieces are drawn (default 1)"},
    };
    const struct command_help help = {
        "rodnik corpus language train --out FILE LABEL=FILE...",
        "Learns to tell languages apart from UTF-8 texts, at least 2 KB each; the same texts in "
        "any order give the same\nfile.  2 to 16 labels; several files may have one label.",
        "  rodnik corpus language train --out language.bin ru=ru.txt uk=uk.txt en=en.txt", NULL};
    struct options_result options;
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    struct error error = {0};
    struct arena *arena = NULL;
    training.seed = (uint64_t)seed;
    status result =
        out ? arena_create(&arena, 0, &error) : fail(&error, ERR_USAGE, "--out FILE is needed");
    if (result == OK)
        result =
            train_to(out, &training, options.positional, options.positional_count, arena, &error);
    arena_destroy(arena);
    return result == OK ? 0 : cli_fail("corpus language train", &error);
}

/* ---- test ---- */

enum { NOWHERE = LANGUAGES_MAX }; /* guesses of no language */

struct confusion {
    const struct language_model *model;
    size_t count[LANGUAGES_MAX][LANGUAGES_MAX + 1]; /* [truth][guess] */
    size_t pieces, right;
};

static void test_piece(struct confusion *confusion, int truth, struct view piece)
{
    struct language_guess guess = language_detect(confusion->model, piece);
    confusion->count[truth][guess.language < 0 ? NOWHERE : guess.language]++;
    confusion->pieces++;
    confusion->right += guess.language == truth;
}

/* Pieces of at least so many characters, cut after the word that reaches them; what is left at the
 * end of a line is not looked at. */
static void test_line(struct confusion *confusion, int truth, struct view line, int64_t characters)
{
    size_t begin = 0;
    int64_t seen = 0;
    for (size_t at = 0; at < line.len;) {
        uint32_t c;
        at += utf8_decode(&c, line.data + at, line.len - at);
        if (++seen < characters || (at < line.len && line.data[at] != ' '))
            continue;
        test_piece(confusion, truth, (struct view){line.data + begin, at - begin});
        begin = at;
        seen = 0;
    }
}

static void test_text(struct confusion *confusion, int truth, struct view text, int64_t characters)
{
    struct view line, rest = text;
    const char *document = text.data;
    while (view_line(&line, &rest)) {
        if (characters)
            test_line(confusion, truth, line, characters);
        else if (line.len == 0 || rest.len == 0) {
            size_t len = (size_t)(line.data + line.len - document);
            struct view piece = view_trim((struct view){document, len});
            if (piece.len)
                test_piece(confusion, truth, piece);
            document = rest.data;
        }
    }
}

static void print_confusion(const struct confusion *confusion)
{
    const struct language_model *model = confusion->model;
    int count = language_count(model);
    printf("%-6s %8s %8s ", "", "pieces", "right");
    for (int guess = 0; guess < count; guess++)
        printf("%6s", language_label(model, guess));
    printf("  none\n");
    for (int truth = 0; truth < count; truth++) {
        size_t pieces = 0;
        for (int guess = 0; guess <= NOWHERE; guess++)
            pieces += confusion->count[truth][guess];
        if (pieces == 0)
            continue;
        printf("%-6s %8zu %7.2f%% ", language_label(model, truth), pieces,
               100.0 * (double)confusion->count[truth][truth] / (double)pieces);
        for (int guess = 0; guess < count; guess++)
            printf("%6zu", confusion->count[truth][guess]);
        printf("%6zu\n", confusion->count[truth][NOWHERE]);
    }
    printf("%-6s %8zu %7.2f%%\n", "all", confusion->pieces,
           100.0 * (double)confusion->right / (double)confusion->pieces);
}

static void print_json(const struct confusion *confusion)
{
    int count = language_count(confusion->model);
    for (int truth = 0; truth < count; truth++) {
        size_t pieces = 0;
        for (int guess = 0; guess <= NOWHERE; guess++)
            pieces += confusion->count[truth][guess];
        if (pieces == 0)
            continue;
        printf("{\"language\": \"%s\", \"pieces\": %zu, \"right\": %zu, \"guesses\": {",
               language_label(confusion->model, truth), pieces, confusion->count[truth][truth]);
        for (int guess = 0; guess < count; guess++)
            printf("\"%s\": %zu, ", language_label(confusion->model, guess),
                   confusion->count[truth][guess]);
        printf("\"none\": %zu}}\n", confusion->count[truth][NOWHERE]);
    }
}

static status test_all(struct confusion *confusion, const struct language_text *texts, size_t count,
                       int64_t characters, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        int truth = 0;
        while (truth < language_count(confusion->model) &&
               strcmp(language_label(confusion->model, truth), texts[i].label) != 0)
            truth++;
        if (truth == language_count(confusion->model))
            return fail(error, ERR_USAGE, "the model does not know the language '%s'",
                        texts[i].label);
        test_text(confusion, truth, texts[i].text, characters);
    }
    return confusion->pieces
               ? OK
               : fail(error, ERR_USAGE, "the texts hold no piece of the length asked for");
}

static int test(int argc, char **argv)
{
    const char *path = NULL;
    int64_t characters = 50;
    bool json = false;
    const struct option table[] = {
        {"model", OPTION_STRING, &path, 0, 0, "FILE", "model (default the program's own)"},
        {"characters", OPTION_INT, &characters, 0, 1e6, "N",
         "length of the pieces; 0: documents, which empty lines part (default 50)"},
        {"json", OPTION_FLAG, &json, 0, 0, NULL, "an object a line for each language"},
    };
    const struct command_help help = {
        "rodnik corpus language test [options] LABEL=FILE...",
        "Tells the languages of pieces of texts whose language is known: the share of right "
        "answers and what was taken\nfor what.",
        "  rodnik corpus language test --characters 0 ru=ru.txt uk=uk.txt", NULL};
    struct options_result options;
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    struct error error = {0};
    struct arena *arena = NULL;
    struct language_model *model;
    struct language_text *texts;
    struct confusion confusion = {0};
    status result = arena_create(&arena, 0, &error);
    if (result == OK)
        result = open_model(&model, path, arena, &error);
    if (result == OK)
        result = read_pairs(&texts, options.positional, options.positional_count, arena, &error);
    if (result == OK) {
        confusion.model = model;
        result = test_all(&confusion, texts, options.positional_count, characters, &error);
    }
    if (result == OK)
        (json ? print_json : print_confusion)(&confusion);
    arena_destroy(arena);
    return result == OK ? 0 : cli_fail("corpus language test", &error);
}

/* ---- tell ---- */

static status tell_file(const struct language_model *model, const char *path, bool json,
                        struct error *error)
{
    struct file_bytes bytes;
    TRY(file_map(&bytes, path, error));
    struct view text = {bytes.data ? (const char *)bytes.data : "", bytes.len};
    struct language_guess guess = language_detect(model, text);
    const char *label = guess.language < 0 ? "none" : language_label(model, guess.language);
    if (json) {
        printf("{\"file\": ");
        cli_print_json_string(path);
        printf(", \"language\": \"%s\", \"score\": %.4f}\n", label, guess.score);
    } else
        printf("%-5s %.4f  %s\n", label, guess.score, path);
    file_unmap(&bytes);
    return OK;
}

static int tell(int argc, char **argv)
{
    const char *path = NULL;
    bool json = false;
    const struct option table[] = {
        {"model", OPTION_STRING, &path, 0, 0, "FILE", "model (default the program's own)"},
        {"json", OPTION_FLAG, &json, 0, 0, NULL, "an object a line for each file"},
    };
    const struct command_help help = {
        "rodnik corpus language tell [options] FILE...",
        "Says in which language UTF-8 texts are, and the share of that language among all that "
        "the model knows.",
        "  rodnik corpus language tell letter.txt", NULL};
    struct options_result options;
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    struct error error = {0};
    struct arena *arena = NULL;
    struct language_model *model;
    status result = options.positional_count ? arena_create(&arena, 0, &error)
                                             : fail(&error, ERR_USAGE, "no file was named");
    if (result == OK)
        result = open_model(&model, path, arena, &error);
    for (size_t i = 0; i < options.positional_count && result == OK; i++)
        result = tell_file(model, options.positional[i], json, &error);
    arena_destroy(arena);
    return result == OK ? 0 : cli_fail("corpus language tell", &error);
}

int command_corpus_language(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } verbs[] = {{"train", train}, {"test", test}, {"tell", tell}};
    const char *verb = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verb, verbs[i].name) == 0) {
            char name[64];
            snprintf(name, sizeof name, "corpus language %s", verb);
            argv[1] = name;
            return verbs[i].run(argc - 1, argv + 1);
        }
    bool help = strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0;
    fprintf(help ? stdout : stderr, "usage: rodnik corpus language train --out FILE LABEL=FILE...\n"
                                    "       rodnik corpus language test [options] LABEL=FILE...\n"
                                    "       rodnik corpus language tell [options] FILE...\n\n"
                                    "example:\n  rodnik corpus language tell letter.txt\n");
    return help ? 0 : 2;
}
