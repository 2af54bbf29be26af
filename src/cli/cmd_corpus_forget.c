/* rodnik corpus forget. */
#include "cli/cmd_corpus.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_texts.h"
#include "cli/lineage_print.h"
#include "corpus/forget.h"
#include "corpus/store_lines.h"

struct forgetting {
    struct option_list documents, runs;
    const char *folder, *reason;
    bool dry_run, without_id, json, tombstones;
    struct corpus_settings settings;
    struct corpus *corpus;
    struct arena *arena;
    struct sha256 *hashes; /* of texts as read */
    size_t count;
};

/* ---- which documents ---- */

static status add_hash(struct forgetting *job, const struct sha256 *hash, struct error *error)
{
    struct sha256 *list;
    TRY_ALLOC(list, job->arena, job->count + 1, error); /* few are named */
    if (job->count)
        memcpy(list, job->hashes, job->count * sizeof *list);
    list[job->count++] = *hash;
    job->hashes = list;
    return OK;
}

static bool is_chosen(const struct forgetting *job, const struct document *document)
{
    for (size_t i = 0; i < job->count; i++)
        if (sha256_equal(&job->hashes[i], &document->read) ||
            sha256_equal(&job->hashes[i], &document->hash))
            return true;
    return false;
}

static status name_file(struct forgetting *job, const char *path, struct error *error)
{
    struct cli_texts texts;
    TRY(cli_texts_open(&texts, path, &job->settings, job->arena, error));
    status result = OK;
    for (size_t i = 0; i < texts.count && result == OK; i++)
        result = add_hash(job, &texts.list[i].read, error);
    cli_texts_close(&texts);
    return result;
}

static status name_document(struct forgetting *job, const char *name, struct error *error)
{
    struct sha256 hash;
    if (strcmp(name, "-") == 0 || path_exists(name))
        return name_file(job, name, error);
    if (sha256_parse(&hash, name))
        return add_hash(job, &hash, error);
    for (size_t i = 0; i < corpus_count(job->corpus); i++)
        if (strcmp(corpus_document(job->corpus, i)->id, name) == 0)
            return add_hash(job, &corpus_document(job->corpus, i)->read, error);
    return fail(error, ERR_USAGE,
                "--document is '%s', which is neither a file, nor a SHA-256, nor the id of a "
                "document of %s",
                name, job->folder);
}

/* ---- tombstones as an opt-out list ---- */

static status print_tombstone(void *context, struct view line, size_t number, struct error *error)
{
    struct forgetting *job = context;
    struct tombstone tombstone;
    char read[SHA256_HEX_BYTES], text[SHA256_HEX_BYTES];
    if (!tombstone_parse(&tombstone, line, job->arena))
        return fail(error, ERR_FORMAT, "%s/forgotten.jsonl: line %zu is no tombstone", job->folder,
                    number);
    sha256_hex(read, &tombstone.read);
    sha256_hex(text, &tombstone.text);
    printf("sha256:%s\n", read);
    if (!sha256_equal(&tombstone.read, &tombstone.text))
        printf("sha256:%s\n", text);
    return OK;
}

/* ---- what holds them ---- */

static status print_holders(struct forgetting *job, struct error *error)
{
    size_t found = 0;
    for (size_t i = 0; i < corpus_count(job->corpus); i++)
        if (is_chosen(job, corpus_document(job->corpus, i))) {
            found++;
            TRY(lineage_print(job->corpus, i, &job->runs, job->json, job->arena, error));
        }
    if (!found)
        return fail(error, ERR_USAGE, "%s: has no document with this text", job->folder);
    return OK;
}

static void print_result(const struct forgetting *job, const struct forget_result *result)
{
    char before[SHA256_HEX_BYTES], after[SHA256_HEX_BYTES];
    sha256_hex(before, &result->before.root);
    sha256_hex(after, &result->after.root);
    if (job->json) {
        printf("{\"forgotten\": %zu, \"bytes\": %" PRIu64
               ", \"relatives\": %zu, \"root_before\": \"%s\", \"root\": \"%s\"}\n",
               result->documents, result->bytes, result->relatives, before, after);
        return;
    }
    printf("%s: forgot %zu documents, %" PRIu64 " bytes; the root was %s and is %s\n", job->folder,
           result->documents, result->bytes, before, after);
    if (result->relatives)
        printf("%zu documents had been left out as duplicates of them and stay left out: a new "
               "build would keep the first that is not on its opt-out list, and have another "
               "root\n",
               result->relatives);
}

static status forget(struct forgetting *job, struct error *error)
{
    struct forget_result result;
    TRY(corpus_open(&job->corpus, job->folder, job->arena, error));
    status done = OK;
    if (job->tombstones)
        done = corpus_lines(job->corpus, "forgotten.jsonl", print_tombstone, job, error);
    for (size_t i = 0; i < job->documents.count && done == OK; i++)
        done = name_document(job, job->documents.items[i], error);
    if (done == OK && !job->tombstones)
        done = print_holders(job, error);
    corpus_close(job->corpus);
    TRY(done);
    if (job->dry_run || job->tombstones)
        return OK;
    const struct forget_job work = {job->folder, job->hashes, job->count, job->reason,
                                    job->without_id};
    TRY(corpus_forget(&result, &work, error));
    print_result(job, &result);
    return OK;
}

int command_corpus_forget(int argc, char **argv)
{
    struct forgetting job = {.settings = corpus_settings_default(), .reason = "asked for"};
    const struct option table[] = {
        {"document", OPTION_LIST, &job.documents, 0, 0, "ID|SHA256|FILE",
         "what to forget; may be given again (needed)"},
        {"run", OPTION_LIST, &job.runs, 0, 0, "RUN",
         "say where this run holds it: tokens, steps, checkpoints; may be given again"},
        {"reason", OPTION_STRING, &job.reason, 0, 0, "TEXT",
         "kept in the tombstone (default \"asked for\")"},
        {"without-id", OPTION_FLAG, &job.without_id, 0, 0, NULL,
         "the tombstone names the hashes alone"},
        {"dry-run", OPTION_FLAG, &job.dry_run, 0, 0, NULL, "say what holds it, change nothing"},
        {"tombstones", OPTION_FLAG, &job.tombstones, 0, 0, NULL,
         "print what was forgotten so far as an opt-out list, change nothing"},
        {"field", OPTION_STRING, &job.settings.text_field, 0, 0, "NAME",
         "of a FILE of JSON lines or a table: what holds the text (default text)"},
        {"whole-pages", OPTION_FLAG, &job.settings.whole_pages, 0, 0, NULL,
         "of a FILE in HTML all text, as the corpus was built"},
        {"json", OPTION_FLAG, &job.json, 0, 0, NULL, "print an object a line"},
    };
    const struct command_help help = {
        "rodnik corpus forget DIR --document ID|SHA256|FILE [--run RUN] [--dry-run]",
        "Takes documents out of a corpus and leaves a tombstone for each: the folder is written "
        "anew without them\nand changes places in one step.  Runs are not changed: it says which "
        "of their steps read the text and\nwhich checkpoints hold it.",
        "  rodnik corpus forget out/corpus --document letter.txt --run out/run --reason \"request "
        "17\"",
        NULL};
    struct options_result options;
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    struct error error = {0};
    status result = OK;
    if (options.positional_count != 1)
        result = fail(&error, ERR_USAGE, "%zu folders were named, needed is one",
                      options.positional_count);
    else if (!job.documents.count && !job.tombstones)
        result = fail(&error, ERR_USAGE, "--document ID|SHA256|FILE is needed");
    else
        result = arena_create(&job.arena, 0, &error);
    if (result == OK) {
        job.folder = options.positional[0];
        result = forget(&job, &error);
    }
    arena_destroy(job.arena);
    return result == OK ? 0 : cli_fail("corpus forget", &error);
}
