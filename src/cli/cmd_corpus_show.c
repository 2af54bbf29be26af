/* rodnik corpus show, rodnik corpus card. */
#include "cli/cmd_corpus.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/lineage_print.h"
#include "corpus/manifest.h"
#include "corpus/store_lines.h"
#include "eval/corpus_page.h"
#include "train/lineage.h"

/* ---- tables ---- */

static double documents_of(const cJSON *entry)
{
    return cJSON_IsNumber(entry) ? entry->valuedouble : manifest_number(entry, "documents");
}

static void print_table(const cJSON *manifest, const char *name)
{
    const cJSON *table = cJSON_GetObjectItemCaseSensitive(manifest, name), *entry;
    double bytes = manifest_number(manifest, "bytes");
    if (!table || !table->child)
        return;
    printf("\n%-52s %9s %10s %7s\n", name, "documents", "MB", "share");
    cJSON_ArrayForEach(entry, table)
    {
        double own = manifest_number(entry, "bytes");
        cli_say(stdout, "%-52.52s %9.0f %10.2f %6.1f%%\n", entry->string, documents_of(entry),
                own * 1e-6, bytes > 0 ? 100 * own / bytes : 0);
    }
}

static void print_histogram(const cJSON *manifest, const char *name, const char *title)
{
    enum { WIDTH = 40 };
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(manifest, "histograms"), *item;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(all, name);
    double most = 1, from = 1;
    if (!list || !list->child)
        return;
    printf("\n%s\n", title);
    cJSON_ArrayForEach(item, list) most = item->valuedouble > most ? item->valuedouble : most;
    cJSON_ArrayForEach(item, list)
    {
        if (item->valuedouble > 0) {
            printf("%12.0f to %12.0f %9.0f ", from, 2 * from - 1, item->valuedouble);
            for (int i = 0; i < (int)(WIDTH * item->valuedouble / most); i++)
                putchar('#');
            putchar('\n');
        }
        from *= 2;
    }
}

static void print_refused(const cJSON *manifest)
{
    enum { SHOWN = 20 };
    int shown = 0;
    const cJSON *entry, *refused = cJSON_GetObjectItemCaseSensitive(manifest, "refused");
    if (refused && refused->child)
        printf("\nnot readable\n");
    cJSON_ArrayForEach(entry, refused)
    {
        if (shown++ < SHOWN)
            cli_say(stdout, "  %s %s\n", manifest_text(entry, "what"),
                    manifest_text(entry, "reason"));
    }
    if (shown > SHOWN)
        printf("  and %d more, listed in manifest.json\n", shown - SHOWN);
}

static void print_manifest(const char *folder, const cJSON *manifest)
{
    printf("%s: %.0f documents, %.2f MB, held out %.0f documents, %.2f MB\nroot sha256 %s\n",
           folder, manifest_number(manifest, "documents"),
           manifest_number(manifest, "bytes") * 1e-6,
           manifest_number(manifest, "held_out_documents"),
           manifest_number(manifest, "held_out_bytes") * 1e-6, manifest_text(manifest, "root"));
    static const char *const tables[] = {"languages", "licenses", "kinds",   "sources",
                                         "left_out",  "filtered", "personal"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        print_table(manifest, tables[i]);
    print_histogram(manifest, "document_bytes", "documents by bytes");
    print_histogram(manifest, "cluster_documents", "documents by size of their cluster");
    print_histogram(manifest, "lines_lost", "documents by repeated lines taken out");
    print_histogram(manifest, "masked", "documents by personal data masked");
    print_refused(manifest);
}

/* ---- one document ---- */

struct lookup {
    const char *folder, *id;
    struct sha256 hash;
    bool is_hash, json;
    struct arena *arena;
    const char *cluster; /* id of the document that stays */
    size_t found;
};

static void print_decision(const struct lookup *lookup, const struct decision *decision,
                           struct view line)
{
    if (lookup->json)
        printf("%.*s\n", (int)line.len, line.data);
    else
        cli_say(stdout, "%s: left out, %s%s%s%s%s (%zu bytes, %s, %s, %s)\n", decision->id,
                decision->reason, decision->detail ? " " : "",
                decision->detail ? decision->detail : "", decision->of ? " of " : "",
                decision->of ? decision->of : "", (size_t)decision->bytes, decision->source,
                decision->license, decision->language);
}

static status look_at_decision(void *context, struct view line, size_t number, struct error *error)
{
    struct lookup *lookup = context;
    struct decision decision;
    struct arena_mark mark = arena_mark(lookup->arena);
    if (!decision_parse(&decision, line, lookup->arena))
        return fail(error, ERR_FORMAT, "%s/decisions.jsonl: line %zu is no decision",
                    lookup->folder, number);
    bool own = lookup->is_hash ? sha256_equal(&decision.read, &lookup->hash)
                               : strcmp(decision.id, lookup->id) == 0;
    bool relative = lookup->cluster && decision.of && strcmp(decision.of, lookup->cluster) == 0;
    if (own || relative) {
        print_decision(lookup, &decision, line);
        lookup->found++;
    }
    arena_rewind(lookup->arena, mark);
    return OK;
}

static status show_document(const struct corpus *corpus, struct lookup *lookup,
                            const struct option_list *runs, struct error *error)
{
    lookup->is_hash = sha256_parse(&lookup->hash, lookup->id);
    for (size_t i = 0; i < corpus_count(corpus); i++) {
        const struct document *document = corpus_document(corpus, i);
        bool own = lookup->is_hash ? sha256_equal(&document->read, &lookup->hash) ||
                                         sha256_equal(&document->hash, &lookup->hash)
                                   : strcmp(document->id, lookup->id) == 0;
        if (!own)
            continue;
        TRY(lineage_print(corpus, i, runs, lookup->json, lookup->arena, error));
        lookup->cluster = document->id;
        lookup->found++;
    }
    TRY(corpus_lines(corpus, "decisions.jsonl", look_at_decision, lookup, error));
    if (!lookup->found)
        return fail(error, ERR_USAGE,
                    "--document is '%s', which is neither id nor SHA-256 of a document that %s "
                    "kept or left out",
                    lookup->id, lookup->folder);
    return OK;
}

/* ---- show ---- */

struct showing {
    const char *folder, *document, *html;
    struct option_list runs;
    bool json, verify;
};

static status show_manifest(const struct showing *job, struct error *error)
{
    cJSON *manifest;
    TRY(manifest_read(&manifest, job->folder, error));
    status result = OK;
    if (job->html) {
        const struct corpus_card card = {.manifest = manifest};
        result = corpus_page_write(job->html, job->folder, &card, error);
    } else if (job->json) {
        char *text = cJSON_PrintUnformatted(manifest);
        printf("%s\n", text ? text : "{}");
        cJSON_free(text);
    } else
        print_manifest(job->folder, manifest);
    cJSON_Delete(manifest);
    return result;
}

static status verify(const struct corpus *corpus, struct error *error)
{
    struct thread_pool *pool;
    TRY(thread_pool_create(&pool, cli_threads(0), error));
    status result = corpus_verify(corpus, pool, error);
    thread_pool_destroy(pool);
    return result;
}

static status show_in(const struct showing *job, struct arena *arena, struct error *error)
{
    struct corpus *corpus;
    TRY(corpus_open(&corpus, job->folder, arena, error)); /* says what is wrong, if anything is */
    struct lookup lookup = {
        .folder = job->folder, .id = job->document, .json = job->json, .arena = arena};
    status result = job->verify ? verify(corpus, error) : OK;
    if (result == OK)
        result = job->document ? show_document(corpus, &lookup, &job->runs, error)
                               : show_manifest(job, error);
    corpus_close(corpus);
    return result;
}

int command_corpus_show(int argc, char **argv)
{
    struct showing job = {0};
    const struct option table[] = {
        {"document", OPTION_STRING, &job.document, 0, 0, "ID|SHA256",
         "one document: its line, decision and cluster"},
        {"run", OPTION_LIST, &job.runs, 0, 0, "RUN",
         "and where this run holds it: tokens, steps, checkpoints; may be given again"},
        {"html", OPTION_STRING, &job.html, 0, 0, "FILE",
         "write a page with tables, histograms and data card instead"},
        {"verify", OPTION_FLAG, &job.verify, 0, 0, NULL,
         "first check every text, leaf, key and file against the root"},
        {"json", OPTION_FLAG, &job.json, 0, 0, NULL, "print the manifest, or lines, as JSON"}};
    const struct command_help help = {
        "rodnik corpus show DIR [--document ID] [--html FILE]",
        "Shows what is in a corpus: languages, licences, kinds, sources, lengths, what was left "
        "out and why.",
        "  rodnik corpus show out/corpus --html corpus.html", NULL};
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
    if (result == OK) {
        job.folder = options.positional[0];
        result = show_in(&job, arena, &error);
    }
    arena_destroy(arena);
    return result == OK ? 0 : cli_fail("corpus show", &error);
}

/* ---- card ---- */

static status count_tokens(uint64_t *out, const char *run, struct arena *arena, struct error *error)
{
    struct lineage *lineage;
    TRY(lineage_open(&lineage, run, arena, error));
    *out = lineage_tokens(lineage);
    lineage_close(lineage);
    return OK;
}

static status write_card(struct corpus_card *card, const char *folder, const char *run,
                         const char *out, struct error *error)
{
    enum { CARD_BYTES_MAX = 16 << 20 };
    struct arena *arena = NULL;
    struct buffer text;
    cJSON *manifest;
    TRY(manifest_read(&manifest, folder, error));
    card->manifest = manifest;
    buffer_create(&text, CARD_BYTES_MAX);
    status result = arena_create(&arena, 0, error);
    if (result == OK && run)
        result = count_tokens(&card->tokens, run, arena, error);
    if (result == OK)
        result = corpus_card_write(&text, card, CARD_MARKDOWN, error);
    if (result == OK && out)
        result = file_write_atomic(out, text.data, text.len, error);
    else if (result == OK)
        fputs(text.data, stdout);
    buffer_destroy(&text);
    arena_destroy(arena);
    cJSON_Delete(manifest);
    return result;
}

int command_corpus_card(int argc, char **argv)
{
    struct corpus_card card = {0};
    const char *out = NULL, *run = NULL;
    const struct option table[] = {
        {"out", OPTION_STRING, &out, 0, 0, "FILE", "the card (default standard output)"},
        {"run", OPTION_STRING, &run, 0, 0, "RUN", "count the tokens that this run made of it"},
        {"provider", OPTION_STRING, &card.provider, 0, 0, "TEXT", "who provides the model"},
        {"contact", OPTION_STRING, &card.contact, 0, 0, "TEXT", "address of the provider"},
        {"model", OPTION_STRING, &card.model, 0, 0, "TEXT", "name and version of the model"},
        {"released", OPTION_STRING, &card.released, 0, 0, "DATE", "when it is placed on a market"},
        {"acquired", OPTION_STRING, &card.acquired, 0, 0, "DATE", "when data were last acquired"},
        {"illegal", OPTION_STRING, &card.illegal, 0, 0, "TEXT",
         "what was done against illegal content"},
    };
    const struct command_help help = {
        "rodnik corpus card DIR [--out FILE]",
        "Writes the data card of a corpus in Markdown, with the fields of the European Union's "
        "public summary of\ntraining content.  What only the provider knows is an option, or "
        "stays to be filled in.",
        "  rodnik corpus card out/corpus --run out/run --provider \"Town archive\" --out card.md",
        NULL};
    struct options_result options;
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    struct error error = {0};
    if (options.positional_count != 1)
        (void)!fail(&error, ERR_USAGE, "%zu folders were named, needed is one",
                    options.positional_count);
    else
        (void)!write_card(&card, options.positional[0], run, out, &error);
    return error.code ? cli_fail("corpus card", &error) : 0;
}
