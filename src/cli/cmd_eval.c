/* rodnik eval: bits per byte on held-out documents, beside general compressors on the same bytes.
 * */
#include "cli/cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/thread.h"
#include "cli/cli_engine.h"
#include "cli/cli_run.h"
#include "eval/eval.h"

/* ---- compressors ---- */

static const struct compressor {
    const char *name;
    const char *const arguments[12]; /* "@" stands for the text, "%" for the packed file */
} compressors[] = {
    {"xz -9e", {"xz", "-9e", "-k", "-f", "-q", "@", NULL}},
    {"7z PPMd", {"7z", "a", "-m0=PPMd:o=16:mem=256m", "-bso0", "-bsp0", "-y", "%", "@", NULL}},
};
enum { COMPRESSOR_COUNT = sizeof compressors / sizeof *compressors };

static bool run_quietly(const char *const *arguments, const char *text, const char *packed)
{
    const char *list[12] = {0};
    for (int i = 0; arguments[i]; i++)
        list[i] = strcmp(arguments[i], "@") == 0   ? text
                  : strcmp(arguments[i], "%") == 0 ? packed
                                                   : arguments[i];
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(126);
        execvp(list[0], (char *const *)(uintptr_t)list);
        _exit(127);
    }
    int state = -1;
    return child > 0 && waitpid(child, &state, 0) == child && WIFEXITED(state) &&
           WEXITSTATUS(state) == 0;
}

/* Bits per byte of the text file, or NaN when the program isn't there. */
static double compress(const struct compressor *compressor, const char *text, double bytes)
{
    char packed[PATH_BYTES + 8];
    uint64_t size = 0;
    struct error error = {0};
    bool xz = strcmp(compressor->arguments[0], "xz") == 0;
    snprintf(packed, sizeof packed, "%s.%s", text, xz ? "xz" : "7z");
    bool done =
        run_quietly(compressor->arguments, text, packed) && file_size(&size, packed, &error) == OK;
    unlink(packed);
    return done ? 8.0 * (double)size / bytes : NAN;
}

static status write_held_out(const char *path, const struct corpus *corpus, struct error *error)
{
    struct file_writer writer;
    TRY(file_writer_open(&writer, path, error));
    status result = OK;
    for (size_t i = 0; i < corpus_count(corpus) && result == OK; i++) {
        const struct document *document = corpus_document(corpus, i);
        if (document->held_out)
            result = file_writer_add(&writer, document->text.data, document->text.len, error);
    }
    if (result == OK)
        return file_writer_commit(&writer, error);
    file_writer_abort(&writer);
    return result;
}

/* The texts stand in a folder inside the run for as long as this takes: nothing is written
 * elsewhere. */
static status compress_all(double out[COMPRESSOR_COUNT], const char *run,
                           const struct corpus *corpus, double bytes, struct error *error)
{
    char folder[PATH_BYTES], path[PATH_BYTES];
    TRY(path_join(folder, sizeof folder, run, "held-out.tmp", error));
    TRY(folder_make(folder, error));
    TRY(path_join(path, sizeof path, folder, "held-out.txt", error));
    status result = write_held_out(path, corpus, error);
    for (size_t i = 0; i < COMPRESSOR_COUNT && result == OK; i++)
        out[i] = compress(&compressors[i], path, bytes);
    (void)!path_remove_tree(folder, &(struct error){0});
    return result;
}

/* ---- results ---- */

static void print_json(const char *run, const struct eval_scores *scores,
                       const double packed[COMPRESSOR_COUNT])
{
    printf("{\"eval\": \"bits_per_byte\", \"run\": ");
    cli_print_json_string(run);
    printf(", \"documents\": %zu, \"bytes\": %llu, \"tokens\": %llu, \"value\": %.17g",
           scores->all.documents, (unsigned long long)scores->all.bytes,
           (unsigned long long)scores->all.tokens, score_bits_per_byte(&scores->all));
    for (size_t i = 0; i < scores->languages; i++) {
        printf(", ");
        cli_print_json_string(scores->label[i]);
        printf(": %.17g", score_bits_per_byte(&scores->language[i]));
    }
    if (isfinite(packed[0]))
        printf(", \"xz_9e\": %.6g", packed[0]);
    if (isfinite(packed[1]))
        printf(", \"ppmd\": %.6g", packed[1]);
    printf("}\n");
}

static void print_table(const struct eval_scores *scores, const double packed[COMPRESSOR_COUNT])
{
    printf("bits per byte on %zu held-out documents (%.2f MB)\n", scores->all.documents,
           (double)scores->all.bytes * 1e-6);
    printf("  %-12s %.4f\n", "this model", score_bits_per_byte(&scores->all));
    for (size_t i = 0; i < scores->languages; i++)
        printf("    %-10s %.4f  (%zu documents, %.2f MB)\n", scores->label[i],
               score_bits_per_byte(&scores->language[i]), scores->language[i].documents,
               (double)scores->language[i].bytes * 1e-6);
    for (size_t i = 0; i < COMPRESSOR_COUNT; i++) {
        if (isfinite(packed[i]))
            printf("  %-12s %.4f\n", compressors[i].name, packed[i]);
        else
            printf("  %-12s not measured (is %s installed?)\n", compressors[i].name,
                   compressors[i].arguments[0]);
    }
}

/* ---- the command ---- */

static void on_progress(void *context, double done_bytes, double total_bytes)
{
    struct progress *progress = context;
    progress->total = total_bytes;
    progress_update(progress, done_bytes, NULL);
}

struct eval_settings {
    const char *run, *corpus;
    int64_t length;
    int threads;
    bool json;
};

static status run_eval(const struct eval_settings *settings, struct error *error)
{
    char folder[CONFIG_STRING_BYTES];
    struct cli_engine engine;
    struct corpus *corpus = NULL;
    struct eval_scores scores;
    struct progress progress;
    double packed[COMPRESSOR_COUNT] = {NAN, NAN};
    if (!settings->corpus)
        TRY(cli_run_corpus(folder, settings->run, error));
    TRY(cli_engine_open(&engine, settings->run, settings->threads, error));
    status result =
        corpus_open(&corpus, settings->corpus ? settings->corpus : folder, engine.arena, error);
    if (result == OK) {
        progress_begin(&progress, "reading held-out texts", "bytes", 0, false);
        struct eval_job job = {.engine = engine.engine,
                               .corpus = corpus,
                               .length = (size_t)settings->length,
                               .progress = on_progress,
                               .context = &progress};
        result = eval_corpus(&scores, &job, error);
        progress_end(&progress, result == OK ? (double)scores.all.bytes : 0);
    }
    struct error packing = {0}; /* must not lose what was measured */
    if (result == OK &&
        compress_all(packed, settings->run, corpus, (double)scores.all.bytes, &packing) != OK)
        log_warning("no comparison with compressors: %s", packing.text);
    if (result == OK && settings->json)
        print_json(settings->run, &scores, packed);
    else if (result == OK)
        print_table(&scores, packed);
    if (corpus)
        corpus_close(corpus);
    cli_engine_close(&engine);
    return result;
}

int command_eval(int argc, char **argv)
{
    struct eval_settings settings = {0};
    int64_t threads = 0;
    const struct option table[] = {
        {"corpus", OPTION_STRING, &settings.corpus, 0, 0, "DIR",
         "corpus folder (default: that of the run)"},
        {"length", OPTION_INT, &settings.length, 1, MODEL_CONTEXT_MAX, "N",
         "tokens of a window (default: the model's context)"},
        {"threads", OPTION_INT, &threads, 1, THREAD_COUNT_MAX, "N", "threads (default all)"},
        {"json", OPTION_FLAG, &settings.json, 0, 0, NULL, "print the result as JSON"},
    };
    const struct command_help help = {
        "rodnik eval RUN [options]",
        "Measures bits per byte on documents the model has not seen, beside what xz -9e and PPMd "
        "need on the same bytes.",
        "  rodnik eval out/run --json", NULL};
    struct options_result options;
    struct error error = {0};
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    settings.threads = cli_threads(threads);
    interrupt_install();
    if (options.positional_count != 1)
        (void)!fail(&error, ERR_USAGE, "%zu models were named, needed is one run folder",
                    options.positional_count);
    else {
        settings.run = options.positional[0];
        (void)!run_eval(&settings, &error);
    }
    return error.code ? cli_fail("eval", &error) : 0;
}
