/* rodnik corpus: build; what has files of its own is in cmd_corpus.h. */
#include "cli/cmd_corpus.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "cli/corpus_config.h"
#include "corpus/corpus.h"

/* ---- build ---- */

struct stages {
    struct progress progress;
    const char *stage; /* NULL: none begun */
};

static void on_progress(void *context, const char *stage, double done_bytes, double bytes)
{
    struct stages *stages = context;
    if (!stages->stage || strcmp(stages->stage, stage) != 0) {
        if (stages->stage)
            progress_end(&stages->progress, stages->progress.total);
        progress_begin(&stages->progress, stage, "bytes", bytes, false);
        stages->stage = stage;
    }
    progress_update(&stages->progress, done_bytes, NULL);
}

static void print_counts(const struct corpus_counts *counts, const char *out, bool json)
{
    if (json) {
        printf("{\"corpus\": ");
        cli_print_json_string(out);
        printf(", \"documents\": %zu, \"bytes\": %llu, \"held_out_documents\": %zu, "
               "\"held_out_bytes\": %llu, \"refused\": %zu, \"lines_lost\": %zu, \"masked\": %zu",
               counts->documents, (unsigned long long)counts->bytes, counts->held_out,
               (unsigned long long)counts->held_out_bytes, counts->refused, counts->lines_lost,
               counts->masked);
        for (int i = CORPUS_KEPT + 1; i < CORPUS_LEFT_REASONS; i++)
            printf(", \"%s\": %zu", corpus_left_name((enum corpus_left)i), counts->left[i]);
        printf("}\n");
        return;
    }
    printf("%s: %zu documents, %.2f MB (%zu held out, %.2f MB)", out, counts->documents,
           (double)counts->bytes * 1e-6, counts->held_out, (double)counts->held_out_bytes * 1e-6);
    printf("; left out: %zu refused", counts->refused);
    for (int i = CORPUS_KEPT + 1; i < CORPUS_LEFT_REASONS; i++)
        if (counts->left[i])
            printf(", %zu %s", counts->left[i], corpus_left_name((enum corpus_left)i));
    printf("; taken out: %zu lines, %zu personal data", counts->lines_lost, counts->masked);
    if (counts->resumed_files)
        printf("; %zu files had been read before", counts->resumed_files);
    printf("\n");
}

static status run_build(struct corpus_counts *counts, struct corpus_job *job, int threads,
                        struct error *error)
{
    struct stages stages = {0};
    TRY(thread_pool_create(&job->pool, threads, error));
    interrupt_install();
    if (corpus_sandbox_notice())
        log_warning("%s", corpus_sandbox_notice());
    job->progress = on_progress;
    job->context = &stages;
    status result = corpus_build(counts, job, error);
    if (stages.stage)
        progress_end(&stages.progress, stages.progress.total);
    thread_pool_destroy(job->pool);
    return result;
}

/* Nothing stays when the end came before anything was read. */
static void say_what_stays(const char *out)
{
    char folder[PATH_BYTES];
    int len = (int)strlen(out);
    while (len > 1 && out[len - 1] == '/')
        len--;
    if (snprintf(folder, sizeof folder, "%.*s.building", len, out) < PATH_BYTES &&
        folder_exists(folder))
        fprintf(stderr, "what was read stays in %s; the same command goes on\n", folder);
}

static int build_with(struct corpus_job *job, int threads, bool json, struct error *error)
{
    struct corpus_counts counts;
    if (!job->out)
        (void)!fail(error, ERR_USAGE, "--out DIR is needed");
    else if (run_build(&counts, job, threads, error) == OK) {
        print_counts(&counts, job->out, json);
        return 0;
    }
    int code = cli_fail("corpus build", error);
    if (error->code == ERR_INTERRUPTED || error->code == ERR_IO || error->code == ERR_MEMORY)
        say_what_stays(job->out);
    return code;
}

static int build(int argc, char **argv)
{
    struct corpus_job job = {0};
    struct corpus_config config;
    struct error error = {0};
    const char *config_path = NULL; /* read before the other options, which go over it */
    int64_t threads = 0;
    bool json = false;
    if (corpus_config_read(&job.settings, &config, argc, argv, &error) != OK)
        return cli_fail("corpus build", &error);
    const struct option table[] = {
        {"out", OPTION_STRING, &job.out, 0, 0, "DIR", "folder of the corpus (needed)"},
        {"config", OPTION_STRING, &config_path, 0, 0, "FILE",
         "settings of section [corpus], named as the options below; options go before them"},
        {"field", OPTION_STRING, &job.settings.text_field, 0, 0, "NAME",
         "field of JSON lines, and column of tables, that holds the text (default text)"},
        {"source", OPTION_STRING, &job.settings.source, 0, 0, "TEXT",
         "source of documents that don't say (default unknown)"},
        {"license", OPTION_STRING, &job.settings.license, 0, 0, "TEXT",
         "licence of documents that don't say (default unknown)"},
        {"held-out", OPTION_DOUBLE, &job.settings.held_out, 0, 0.5, "SHARE",
         "share of documents kept for evaluation (default 0.02)"},
        {"minimum", OPTION_INT, &job.settings.minimum_bytes, 1, 1e9, "BYTES",
         "shorter documents are left out (default 64)"},
        {"whole-pages", OPTION_FLAG, &job.settings.whole_pages, 0, 0, NULL,
         "of HTML all text with navigation, not the main text alone"},
        {"profile", OPTION_STRING, &job.settings.profile, 0, 0, "NAME|FILE",
         "leave out what this profile does not allow; auto: by kind and language; none (default "
         "auto)"},
        {"duplicates", OPTION_STRING, &job.settings.duplicates, 0, 0, "near|exact|none",
         "of documents that are alike the first stays (default near)"},
        {"repeated-lines", OPTION_INT, &job.settings.line_documents, 0, 1000000, "N",
         "lines in more documents stay in the first only; 0: all stay (default 10)"},
        {"personal", OPTION_STRING, &job.settings.personal, 0, 0, "POLICY",
         "corpus, guard, none, or changes such as phone=drop,person=replace (default corpus)"},
        {"opt-out", OPTION_STRING, &job.settings.opt_out, 0, 0, "FILE",
         "list of hashes, addresses and domains to leave out"},
        {"evaluations", OPTION_STRING, &job.settings.evaluations, 0, 0, "DIR",
         "leave out what shares 13 words with items of evaluations (.jsonl)"},
        {"report-overlaps", OPTION_FLAG, &job.settings.report_overlaps, 0, 0, NULL,
         "only report it, in contamination.jsonl"},
        {"threads", OPTION_INT, &threads, 1, THREAD_COUNT_MAX, "N", "threads (default all)"},
        {"json", OPTION_FLAG, &json, 0, 0, NULL, "print the result as JSON"},
    };
    const struct command_help help = {
        "rodnik corpus build --out DIR [options] INPUT...",
        "Reads files and folders, makes texts of them in clean UTF-8, leaves out what a profile\n"
        "does not allow, duplicates and what is on the opt-out list, takes out repeated lines and\n"
        "personal data, holds some documents out for evaluation and writes documents, decisions\n"
        "and manifest.  Kinds: txt, md, jsonl, csv, tsv, html, warc, wet, fb2, epub, docx, odt,\n"
        "tei, mbox, eml, pdf (needs pdftotext), and tar, zip, 7z, gz, zst, xz, bz2 around them.\n"
        "Readers run in a sandbox: a file that makes one crash costs one document.  After an\n"
        "interrupt the same command goes on.",
        "  rodnik corpus build --out out/corpus texts/ more.jsonl.zst", NULL};
    struct options_result options;
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    job.inputs = (const char *const *)options.positional;
    job.input_count = options.positional_count;
    return build_with(&job, cli_threads(threads), json, &error);
}

int command_corpus(int argc, char **argv)
{
    static const struct {
        const char *verb;
        int (*run)(int argc, char **argv);
    } commands[] = {{"build", build},
                    {"show", command_corpus_show},
                    {"card", command_corpus_card},
                    {"signals", command_corpus_signals},
                    {"decide", command_corpus_decide},
                    {"language", command_corpus_language},
                    {"prove", command_corpus_prove},
                    {"check-proof", command_corpus_check_proof},
                    {"forget", command_corpus_forget}};
    const char *verb = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(verb, commands[i].verb) == 0) {
            char name[64]; /* for messages */
            snprintf(name, sizeof name, "corpus %s", verb);
            argv[1] = name;
            return commands[i].run(argc - 1, argv + 1);
        }
    bool help = strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0;
    fprintf(help ? stdout : stderr, "usage: rodnik corpus build --out DIR [options] INPUT...\n"
                                    "       rodnik corpus show DIR [--document ID] [--html FILE]\n"
                                    "       rodnik corpus card DIR [--out FILE]\n"
                                    "       rodnik corpus signals DIR\n"
                                    "       rodnik corpus decide DIR --profile NAME|FILE\n"
                                    "       rodnik corpus language train|test|tell ...\n"
                                    "       rodnik corpus prove DIR --document FILE|ID|-\n"
                                    "       rodnik corpus check-proof PROOF [--document FILE]\n"
                                    "       rodnik corpus forget DIR --document ID|SHA256|FILE\n\n"
                                    "rodnik corpus build --help tells more.\nexample:\n"
                                    "  rodnik corpus build --out out/corpus texts/\n");
    return help ? 0 : 2;
}
