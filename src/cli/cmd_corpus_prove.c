/* rodnik corpus prove, rodnik corpus check-proof. */
#include "cli/cmd_corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_texts.h"
#include "corpus/membership_proof.h"
#include "corpus/store_lines.h"

enum { PROOFS_BYTES_MAX = 256 << 20 };

/* ---- prove ---- */

struct proving {
    const char *folder, *document, *out;
    struct corpus_settings settings;
    const struct corpus *corpus;
    const struct corpus_prover *prover;
    struct arena *arena;
    struct buffer lines, absent; /* absent: SHA-256 of each text that is not there */
    size_t members, others;
};

static status prove_text(struct proving *job, const struct sha256 *read, const char *name,
                         struct error *error)
{
    struct corpus_proof proof;
    TRY(corpus_prove(&proof, job->prover, read, error));
    *(proof.member ? &job->members : &job->others) += 1;
    cli_say(stderr, "%s: %s of the corpus\n", name, proof.member ? "a member" : "not a member");
    if (!proof.member)
        TRY(buffer_append(&job->absent, read, sizeof *read, error));
    return corpus_proof_write(&job->lines, &proof, error);
}

static int compare_hashes(const void *a, const void *b)
{
    return sha256_compare(a, b);
}

/* A text that is not there may have been read and left out; then the decision says why. */
static status tell_decision(void *context, struct view line, size_t number, struct error *error)
{
    struct proving *job = context;
    struct decision decision;
    struct arena_mark mark = arena_mark(job->arena);
    if (!decision_parse(&decision, line, job->arena))
        return fail(error, ERR_FORMAT, "%s/decisions.jsonl: line %zu is no decision", job->folder,
                    number);
    if (bsearch(&decision.read, job->absent.data, job->absent.len / SHA256_BYTES, SHA256_BYTES,
                compare_hashes))
        cli_say(stderr, "%s: was read and left out: %s%s%s%s%s\n", decision.id, decision.reason,
                decision.detail ? ", " : "", decision.detail ? decision.detail : "",
                decision.of ? " of " : "", decision.of ? decision.of : "");
    arena_rewind(job->arena, mark);
    return OK;
}

static status tell_decisions(struct proving *job, struct error *error)
{
    if (!job->absent.len)
        return OK;
    qsort(job->absent.data, job->absent.len / SHA256_BYTES, SHA256_BYTES, compare_hashes);
    return corpus_lines(job->corpus, "decisions.jsonl", tell_decision, job, error);
}

/* A document by its id or one of its hashes; a hash that is no document's may be of a text that is
 * not there. */
static status prove_named(struct proving *job, struct error *error)
{
    struct sha256 hash;
    bool is_hash = sha256_parse(&hash, job->document);
    for (size_t i = 0; i < corpus_count(job->corpus); i++) {
        const struct document *document = corpus_document(job->corpus, i);
        if (is_hash ? sha256_equal(&hash, &document->read) || sha256_equal(&hash, &document->hash)
                    : strcmp(document->id, job->document) == 0)
            return prove_text(job, &document->read, document->id, error);
    }
    if (is_hash)
        return prove_text(job, &hash, job->document, error);
    return fail(error, ERR_USAGE,
                "--document is '%s', which is neither a file nor the id of a document of %s; that "
                "a text is absent is proven from its file or its SHA-256",
                job->document, job->folder);
}

static status prove_file(struct proving *job, struct arena *arena, struct error *error)
{
    struct cli_texts texts;
    TRY(cli_texts_open(&texts, job->document, &job->settings, arena, error));
    status result = OK;
    for (size_t i = 0; i < texts.count && result == OK; i++)
        result = prove_text(job, &texts.list[i].read, texts.list[i].id, error);
    cli_texts_close(&texts);
    return result;
}

static status prove_in(struct proving *job, struct arena *arena, struct error *error)
{
    struct corpus *corpus;
    struct corpus_prover *prover;
    TRY(corpus_open(&corpus, job->folder, arena, error));
    job->corpus = corpus;
    job->arena = arena;
    status result = corpus_prover_create(&prover, corpus, arena, error);
    if (result == OK) {
        job->prover = prover;
        bool is_file = strcmp(job->document, "-") == 0 || path_exists(job->document);
        result = is_file ? prove_file(job, arena, error) : prove_named(job, error);
    }
    if (result == OK)
        result = tell_decisions(job, error);
    if (result == OK && job->out)
        result = file_write_atomic(job->out, job->lines.data, job->lines.len, error);
    else if (result == OK)
        fwrite(job->lines.data, 1, job->lines.len, stdout);
    corpus_close(corpus);
    return result;
}

int command_corpus_prove(int argc, char **argv)
{
    struct proving job = {.settings = corpus_settings_default()};
    const struct option table[] = {
        {"document", OPTION_STRING, &job.document, 0, 0, "FILE|ID|-",
         "the text: a file, an id, a SHA-256, or - for standard input (needed)"},
        {"out", OPTION_STRING, &job.out, 0, 0, "FILE", "the proof (default standard output)"},
        {"field", OPTION_STRING, &job.settings.text_field, 0, 0, "NAME",
         "field of JSON lines, and column of tables, that holds the text (default text)"},
        {"whole-pages", OPTION_FLAG, &job.settings.whole_pages, 0, 0, NULL,
         "of HTML all text with navigation, as the corpus was built"},
    };
    const struct command_help help = {
        "rodnik corpus prove DIR --document FILE|ID|-",
        "Proves that a text was read into a corpus, or that it was not.  The proof is a line of "
        "JSON for each text\nof the file and is checked without the corpus by `rodnik corpus "
        "check-proof`.  Texts are compared as they\nare after reading and cleaning, before lines "
        "and personal data are taken out.",
        "  rodnik corpus prove out/corpus --document letter.txt > proof.json", NULL};
    struct options_result options;
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    struct error error = {0};
    struct arena *arena = NULL;
    buffer_create(&job.lines, PROOFS_BYTES_MAX);
    buffer_create(&job.absent, PROOFS_BYTES_MAX);
    status result = OK;
    if (options.positional_count != 1)
        result = fail(&error, ERR_USAGE, "%zu folders were named, needed is one",
                      options.positional_count);
    else if (!job.document)
        result = fail(&error, ERR_USAGE, "--document FILE|ID|- is needed");
    else
        result = arena_create(&arena, 0, &error);
    if (result == OK) {
        job.folder = options.positional[0];
        result = prove_in(&job, arena, &error);
    }
    buffer_destroy(&job.lines);
    buffer_destroy(&job.absent);
    arena_destroy(arena);
    return result == OK ? 0 : cli_fail("corpus prove", &error);
}

/* ---- check-proof ---- */

struct checking {
    const char *path, *document;
    struct sha256 root; /* that must be it */
    bool has_root, json;
    struct corpus_settings settings;
    struct cli_texts texts;
    size_t proofs, members;
};

static const struct cli_text *text_of(const struct checking *job, const struct sha256 *read)
{
    for (size_t i = 0; i < job->texts.count; i++)
        if (sha256_equal(&job->texts.list[i].read, read))
            return &job->texts.list[i];
    return NULL;
}

static void print_proven(const struct corpus_proof *proof, bool document_checked, bool json)
{
    char read[SHA256_HEX_BYTES], root[SHA256_HEX_BYTES];
    sha256_hex(read, &proof->read);
    sha256_hex(root, &proof->roots.root);
    if (json) {
        printf("{\"proven\": \"%s\", \"read\": \"%s\", \"root\": \"%s\"",
               proof->member ? "member" : "not a member", read, root);
        if (document_checked) {
            printf(", \"id\": ");
            cli_print_json_string(proof->document.id);
            printf(", \"source\": ");
            cli_print_json_string(proof->document.source);
            printf(", \"license\": ");
            cli_print_json_string(proof->document.license);
        }
        printf("}\n");
    } else if (!proof->member)
        printf(
            "proven: the text with SHA-256 %s is not among the texts that are in the corpus with "
            "root %s (a text that differs in a letter has another SHA-256)\n",
            read, root);
    else if (document_checked)
        cli_say(stdout,
                "proven: the text with SHA-256 %s was read into the corpus with root %s and stands "
                "there as document %s, source %s, licence %s\n",
                read, root, proof->document.id, proof->document.source, proof->document.license);
    else
        printf("proven: the text with SHA-256 %s was read into the corpus with root %s (what the "
               "proof says of its id, source and licence is not proven without the stored text)\n",
               read, root);
}

static status check_line(struct checking *job, struct view line, struct arena *arena,
                         struct error *error)
{
    struct corpus_proof proof;
    struct view stored = {0};
    bool document_checked;
    TRY(corpus_proof_parse(&proof, line, job->path, arena, error));
    if (job->document) {
        const struct cli_text *text = text_of(job, &proof.read);
        if (!text)
            return fail(error, ERR_CONFLICT, "%s: is about another text than %s holds", job->path,
                        job->document);
        stored = text->stored;
    }
    if (job->has_root && !sha256_equal(&job->root, &proof.roots.root))
        return fail(error, ERR_CONFLICT, "%s: is about the corpus with another root than --root",
                    job->path);
    struct error why = {0};
    if (corpus_proof_check(&document_checked, &proof, stored, &why) != OK)
        return fail(error, why.code, "%s: %s", job->path, why.text);
    print_proven(&proof, document_checked, job->json);
    job->proofs++;
    job->members += proof.member;
    return OK;
}

static status check_all(struct checking *job, struct arena *arena, struct error *error)
{
    struct view rest, line;
    TRY(file_read(&rest, job->path, PROOFS_BYTES_MAX, arena, error));
    while (view_line(&line, &rest))
        TRY(check_line(job, line, arena, error));
    if (!job->proofs)
        return fail(error, ERR_FORMAT, "%s: is empty, needed is a line a proof", job->path);
    return OK;
}

static status check(struct checking *job, const char *root, struct arena *arena,
                    struct error *error)
{
    if (root && !sha256_parse(&job->root, root))
        return fail(error, ERR_USAGE, "--root is '%s', it must be 64 hexadecimal digits", root);
    job->has_root = root != NULL;
    if (!job->document)
        return check_all(job, arena, error);
    TRY(cli_texts_open(&job->texts, job->document, &job->settings, arena, error));
    status result = check_all(job, arena, error);
    cli_texts_close(&job->texts);
    return result;
}

int command_corpus_check_proof(int argc, char **argv)
{
    struct checking job = {.settings = corpus_settings_default()};
    const char *root = NULL;
    const struct option table[] = {
        {"document", OPTION_STRING, &job.document, 0, 0, "FILE",
         "the proof must be about a text of this file"},
        {"root", OPTION_STRING, &root, 0, 0, "HEX", "the root must be this one"},
        {"field", OPTION_STRING, &job.settings.text_field, 0, 0, "NAME",
         "as for `rodnik corpus prove`"},
        {"whole-pages", OPTION_FLAG, &job.settings.whole_pages, 0, 0, NULL,
         "as for `rodnik corpus prove`"},
        {"json", OPTION_FLAG, &job.json, 0, 0, NULL, "print what is proven as JSON"},
    };
    const struct command_help help = {
        "rodnik corpus check-proof PROOF [--document FILE] [--root HEX]",
        "Checks proofs of `rodnik corpus prove` without the corpus and says what each proves, "
        "about which root.\nExit status 1 when one does not hold.",
        "  rodnik corpus check-proof proof.json --document letter.txt", NULL};
    struct options_result options;
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    struct error error = {0};
    struct arena *arena = NULL;
    status result = options.positional_count == 1
                        ? arena_create(&arena, 0, &error)
                        : fail(&error, ERR_USAGE, "%zu proofs were named, needed is one",
                               options.positional_count);
    if (result == OK) {
        job.path = options.positional[0];
        result = check(&job, root, arena, &error);
    }
    arena_destroy(arena);
    return result == OK ? 0 : cli_fail("corpus check-proof", &error);
}
