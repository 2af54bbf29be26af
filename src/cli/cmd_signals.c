/* rodnik corpus signals, rodnik corpus decide. */
#include "cli/cmd_corpus.h"

#include <stdio.h>
#include <string.h>

#include "base/progress.h"
#include "base/thread.h"
#include "cli/cli.h"
#include "corpus/corpus.h"
#include "corpus/manifest.h"
#include "corpus/profile.h"

#define SIGNALS_FILE "signals.bin"

static status signals_path(char out[PATH_BYTES], const char *path, struct error *error)
{
    if (folder_exists(path))
        return path_join(out, PATH_BYTES, path, SIGNALS_FILE, error);
    if (strlen(path) >= PATH_BYTES)
        return fail(error, ERR_USAGE, "%s: is too long a path", path);
    snprintf(out, PATH_BYTES, "%s", path);
    return OK;
}

/* ---- signals ---- */

static void on_progress(void *context, double done_bytes)
{
    progress_update(context, done_bytes, NULL);
}

static void print_record(const struct document *document, const struct signals *signals,
                         const struct language_model *model)
{
    printf("{\"id\": ");
    cli_print_json_string(document->id);
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (strcmp(signals_name(i), "language") != 0)
            printf(", \"%s\": %llu", signals_name(i),
                   (unsigned long long)signals_value(signals, i));
    printf(", \"language\": \"%s\"}\n",
           signals->language ? language_label(model, (int)signals->language - 1) : "none");
}

static status print_all(const struct corpus *corpus, const struct language_model *model,
                        struct arena *arena, struct error *error)
{
    struct signals_work *work;
    TRY(signals_work_create(&work, model, arena, error));
    status result = OK;
    for (size_t i = 0; i < corpus_count(corpus) && result == OK; i++) {
        struct signals signals;
        const struct document *document = corpus_document(corpus, i);
        result = signals_measure(&signals, work, document->text, error);
        if (result == OK)
            print_record(document, &signals, model);
    }
    signals_work_destroy(work);
    return result;
}

static status write_all(const struct corpus *corpus, const struct language_model *model,
                        const char *folder, int threads, struct error *error)
{
    char path[PATH_BYTES];
    struct progress progress;
    struct signals_job job = {
        .corpus = corpus, .model = model, .path = path, .progress = on_progress};
    TRY(path_join(path, sizeof path, folder, SIGNALS_FILE, error));
    TRY(thread_pool_create(&job.pool, threads, error));
    interrupt_install();
    double total = 0;
    for (size_t i = 0; i < corpus_count(corpus); i++)
        total += (double)corpus_document(corpus, i)->text.len;
    progress_begin(&progress, "measuring", "bytes", total, false);
    job.context = &progress;
    double start_s = time_monotonic_s();
    status result = signals_of_corpus(&job, error);
    double seconds = time_monotonic_s() - start_s;
    progress_end(&progress, total);
    thread_pool_destroy(job.pool);
    if (result == OK)
        result = manifest_refresh(folder, SIGNALS_FILE, error);
    if (result == OK)
        printf("%s: signals of %zu documents, %.2f MB in %.2f s\n", path, corpus_count(corpus),
               total * 1e-6, seconds);
    return result;
}

static status signals_in(const char *folder, int threads, bool json, struct arena *arena,
                         struct error *error)
{
    struct corpus *corpus;
    struct language_model *model;
    TRY(language_open_own(&model, arena, error));
    TRY(corpus_open(&corpus, folder, arena, error));
    status result = json ? print_all(corpus, model, arena, error)
                         : write_all(corpus, model, folder, threads, error);
    corpus_close(corpus);
    return result;
}

int command_corpus_signals(int argc, char **argv)
{
    int64_t threads = 0;
    bool json = false;
    const struct option table[] = {
        {"threads", OPTION_INT, &threads, 1, THREAD_COUNT_MAX, "N", "threads (default all)"},
        {"json", OPTION_FLAG, &json, 0, 0, NULL, "print an object a document, write nothing"},
    };
    const struct command_help help = {
        "rodnik corpus signals DIR",
        "Measures every document of a corpus (lengths, repetition, lines, words, language) and "
        "writes the numbers to\nDIR/signals.bin, from which `rodnik corpus decide` tells what a "
        "profile would keep.",
        "  rodnik corpus signals out/corpus", NULL};
    struct options_result options;
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    struct error error = {0};
    struct arena *arena = NULL;
    status result = options.positional_count == 1
                        ? arena_create(&arena, 0, &error)
                        : fail(&error, ERR_USAGE, "%zu folders were named, needed is one",
                               options.positional_count);
    if (result == OK)
        result = signals_in(options.positional[0], cli_threads(threads), json, arena, &error);
    arena_destroy(arena);
    return result == OK ? 0 : cli_fail("corpus signals", &error);
}

/* ---- decide ---- */

struct decisions {
    struct profile profile;
    uint64_t documents, bytes, kept, kept_bytes;
    uint64_t by_rule[PROFILE_RULES_MAX + 1];
    bool each;
};

static void print_decision(const struct sha256 *text, int rule, const struct signals *signals,
                           const char *language)
{
    char hex[SHA256_HEX_BYTES];
    sha256_hex(hex, text);
    if (rule == PROFILE_KEPT)
        printf("%s keep\n", hex);
    else
        printf("%s %s %.4g\n", hex, profile_rule_name(rule),
               profile_rule_value(rule, signals, language));
}

static status decide_all(struct decisions *out, struct view file, const char *name,
                         struct error *error)
{
    struct signals_reader reader;
    struct signals signals;
    struct sha256 text;
    TRY(signals_reader_open(&reader, file, name, error));
    for (bool more;;) {
        TRY(signals_reader_next(&more, &text, &signals, &reader, error));
        if (!more)
            return OK;
        const char *language = signals_language(&reader, &signals);
        int rule = profile_decide(&out->profile, &signals, language);
        out->documents++;
        out->bytes += signals.bytes;
        if (rule == PROFILE_KEPT) {
            out->kept++;
            out->kept_bytes += signals.bytes;
        } else
            out->by_rule[rule]++;
        if (out->each)
            print_decision(&text, rule, &signals, language);
    }
}

static void print_decisions(const struct decisions *decisions)
{
    double documents = decisions->documents ? (double)decisions->documents : 1;
    printf("%-32s %9s %7s\n%-32s %9llu %6.1f%%\n", "", "documents", "share", "kept",
           (unsigned long long)decisions->kept, 100 * (double)decisions->kept / documents);
    for (int rule = 0; rule < profile_rules(); rule++)
        if (decisions->by_rule[rule])
            printf("%-32s %9llu %6.1f%%\n", profile_rule_name(rule),
                   (unsigned long long)decisions->by_rule[rule],
                   100 * (double)decisions->by_rule[rule] / documents);
}

static void print_decisions_json(const struct decisions *decisions, const char *profile)
{
    printf("{\"profile\": ");
    cli_print_json_string(profile);
    printf(", \"documents\": %llu, \"bytes\": %llu, \"kept\": %llu, \"kept_bytes\": %llu, "
           "\"dropped\": {",
           (unsigned long long)decisions->documents, (unsigned long long)decisions->bytes,
           (unsigned long long)decisions->kept, (unsigned long long)decisions->kept_bytes);
    const char *comma = "";
    for (int rule = 0; rule < profile_rules(); rule++)
        if (decisions->by_rule[rule]) {
            printf("%s\"%s\": %llu", comma, profile_rule_name(rule),
                   (unsigned long long)decisions->by_rule[rule]);
            comma = ", ";
        }
    printf("}}\n");
}

static status decide(struct decisions *out, const char *profile, const char *corpus,
                     struct error *error)
{
    char path[PATH_BYTES];
    struct file_bytes bytes;
    TRY(profile_open(&out->profile, profile, error));
    TRY(signals_path(path, corpus, error));
    if (!file_exists(path))
        return fail(error, ERR_USAGE,
                    "%s: there is no such file; `rodnik corpus signals DIR` makes it", path);
    TRY(file_map(&bytes, path, error));
    struct view file = {bytes.data ? (const char *)bytes.data : "", bytes.len};
    status result = decide_all(out, file, path, error);
    file_unmap(&bytes);
    return result;
}

static status print_profile(const char *name, struct error *error)
{
    enum { TEXT_BYTES_MAX = 1 << 20 };
    struct profile profile;
    struct buffer text;
    TRY(profile_open(&profile, name, error));
    buffer_create(&text, TEXT_BYTES_MAX);
    status result = profile_write(&text, &profile, error);
    if (result == OK)
        fputs(text.data, stdout);
    buffer_destroy(&text);
    return result;
}

/* Keys of a profile, for --help. */
static const char *keys_help(struct buffer *out)
{
    struct error error = {0};
    if (buffer_string(out,
                      "Keys of a profile; the quotient named must lie within the limits. "
                      "Profiles: web-ru web-en fiction verse\nlaw dialogue plain.\n",
                      &error) != OK ||
        profile_help(out, &error) != OK)
        return NULL;
    return out->data;
}

int command_corpus_decide(int argc, char **argv)
{
    enum { HELP_BYTES_MAX = 1 << 16 };
    const char *profile = NULL;
    bool json = false, each = false, show = false;
    const struct option table[] = {
        {"profile", OPTION_STRING, &profile, 0, 0, "NAME|FILE", "thresholds (needed)"},
        {"each", OPTION_FLAG, &each, 0, 0, NULL,
         "a line a document before: SHA-256 of its text, keep or the first rule broken, its value"},
        {"show", OPTION_FLAG, &show, 0, 0, NULL, "print the profile with all its keys instead"},
        {"json", OPTION_FLAG, &json, 0, 0, NULL, "print the result as JSON"},
    };
    struct buffer keys;
    buffer_create(&keys, HELP_BYTES_MAX);
    const struct command_help help = {
        "rodnik corpus decide DIR|FILE --profile NAME|FILE",
        "Tells which documents a profile keeps and for which reason it drops the others, from the "
        "signals alone.",
        "  rodnik corpus decide out/corpus --profile web-ru", keys_help(&keys)};
    struct options_result options;
    int exit_status;
    bool go_on =
        cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc, argv);
    buffer_destroy(&keys);
    if (!go_on)
        return exit_status;
    struct error error = {0};
    struct decisions decisions = {.each = each};
    status result = OK;
    if (!profile)
        result = fail(&error, ERR_USAGE, "--profile NAME|FILE is needed");
    else if (show)
        result = print_profile(profile, &error);
    else if (options.positional_count != 1)
        result = fail(&error, ERR_USAGE, "%zu folders were named, needed is one",
                      options.positional_count);
    else
        result = decide(&decisions, profile, options.positional[0], &error);
    if (result == OK && !show) {
        if (json)
            print_decisions_json(&decisions, profile);
        else
            print_decisions(&decisions);
    }
    return result == OK ? 0 : cli_fail("corpus decide", &error);
}
