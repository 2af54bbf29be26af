#include "cli/cli_texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "corpus/store_lines.h"

enum { INPUT_BYTES_MAX = 1 << 30 };

static status make_folder(char out[PATH_BYTES], struct error *error)
{
    const char *place = getenv("TMPDIR");
    if (snprintf(out, PATH_BYTES, "%s/rodnik-texts-XXXXXX", place && *place ? place : "/tmp") >=
        PATH_BYTES)
        return fail(error, ERR_LIMIT, "TMPDIR: the path is longer than %d bytes", PATH_BYTES);
    if (!mkdtemp(out)) {
        status result = fail_errno(error, "%s: a temporary folder can't be made", out);
        *out = 0;
        return result;
    }
    return OK;
}

/* Standard input becomes a file. */
static status take_input(char out[PATH_BYTES], const char *folder, struct error *error)
{
    char block[1 << 16];
    struct file_writer writer;
    TRY(path_join(out, PATH_BYTES, folder, "stdin.txt", error));
    TRY(file_writer_open(&writer, out, error));
    status result = OK;
    for (size_t len; result == OK && (len = fread(block, 1, sizeof block, stdin)) > 0;)
        result =
            writer.written > INPUT_BYTES_MAX
                ? fail(error, ERR_LIMIT, "standard input: has more than %d bytes", INPUT_BYTES_MAX)
                : file_writer_add(&writer, block, len, error);
    if (result == OK)
        return file_writer_commit(&writer, error);
    file_writer_abort(&writer);
    return result;
}

static status add(struct cli_texts *texts, struct cli_text text, struct error *error)
{
    if (texts->count == texts->capacity) {
        size_t capacity = texts->capacity ? 2 * texts->capacity : 64;
        struct cli_text *list = arena_alloc(texts->arena, capacity, sizeof *list, error);
        if (!list)
            return error->code;
        if (texts->count)
            memcpy(list, texts->list, texts->count * sizeof *list);
        texts->list = list;
        texts->capacity = capacity;
    }
    texts->list[texts->count++] = text;
    return OK;
}

static status add_decision(void *context, struct view line, size_t number, struct error *error)
{
    struct cli_texts *texts = context;
    struct decision decision;
    if (!decision_parse(&decision, line, texts->arena))
        return fail(error, ERR_FORMAT, "%s/decisions.jsonl: line %zu is no decision", texts->folder,
                    number);
    return add(texts, (struct cli_text){.id = decision.id, .read = decision.read}, error);
}

static status read_file(struct cli_texts *texts, const char *path,
                        const struct corpus_settings *settings, struct error *error)
{
    char input[PATH_BYTES], out[PATH_BYTES];
    struct corpus_counts counts;
    struct corpus_job job = {.settings = corpus_settings_default(), .input_count = 1, .out = out};
    job.settings.text_field = settings->text_field;
    job.settings.whole_pages = settings->whole_pages;
    job.settings.held_out = 0;
    job.settings.minimum_bytes = 1;
    TRY(path_join(out, sizeof out, texts->folder, "corpus", error));
    if (strcmp(path, "-") == 0) {
        TRY(take_input(input, texts->folder, error));
        path = input;
    }
    job.inputs = &path;
    TRY(thread_pool_create(&job.pool, 1, error));
    status result = corpus_build(&counts, &job, error);
    thread_pool_destroy(job.pool);
    TRY(result);
    TRY(corpus_open(&texts->corpus, out, texts->arena, error));
    for (size_t i = 0; i < corpus_count(texts->corpus); i++) {
        const struct document *document = corpus_document(texts->corpus, i);
        const struct cli_text text = {document->id, document->read, document->text};
        TRY(add(texts, text, error));
    }
    return corpus_lines(texts->corpus, "decisions.jsonl", add_decision, texts, error);
}

status cli_texts_open(struct cli_texts *out, const char *path,
                      const struct corpus_settings *settings, struct arena *arena,
                      struct error *error)
{
    *out = (struct cli_texts){.arena = arena};
    status result = make_folder(out->folder, error);
    if (result == OK)
        result = read_file(out, path, settings, error);
    if (result != OK)
        cli_texts_close(out);
    return result;
}

void cli_texts_close(struct cli_texts *texts)
{
    struct error error = {0};
    if (texts->corpus)
        corpus_close(texts->corpus);
    texts->corpus = NULL;
    if (*texts->folder && path_remove_tree(texts->folder, &error) != OK)
        log_warning("%s", error.text);
    *texts->folder = 0;
}
