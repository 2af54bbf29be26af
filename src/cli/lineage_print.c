#include "cli/lineage_print.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "corpus/store_lines.h"
#include "train/lineage.h"

enum { STEPS_SHOWN = 20 };

static void print_steps(const char *name, const int64_t *steps, size_t count, size_t shown)
{
    printf("%s", name);
    for (size_t i = 0; i < count && i < shown; i++)
        printf("%s%" PRId64, i ? ", " : " ", steps[i]);
    if (count > shown)
        printf(" and %zu more, the last %" PRId64, count - shown, steps[count - 1]);
    if (!count)
        printf(" none");
}

static void print_text(const char *run, const struct lineage_found *found)
{
    size_t done = 0;
    while (done < found->read_count && found->read_steps[done] <= found->steps_done)
        done++;
    if (!found->shard) {
        printf("  %s: nowhere, its text is empty\n", run);
        return;
    }
    printf("  %s: %s, document %zu, tokens [%" PRIu64 ", %" PRIu64 ")\n", run, found->shard,
           found->document, found->token_begin, found->token_end);
    printf("    %zu rows;", found->rows);
    print_steps(" steps that read it, of those done:", found->read_steps, done, STEPS_SHOWN);
    printf("; %zu steps to come\n", found->read_count - done);
    print_steps("    checkpoints that hold it: step", found->checkpoints, found->checkpoint_count,
                STEPS_SHOWN);
    printf("\n");
}

static void print_list(const char *name, const int64_t *list, size_t count)
{
    printf(", \"%s\": [", name);
    for (size_t i = 0; i < count; i++)
        printf("%s%" PRId64, i ? ", " : "", list[i]);
    printf("]");
}

static void print_json(const char *run, const struct document *document,
                       const struct lineage_found *found)
{
    printf("{\"run\": ");
    cli_print_json_string(run);
    printf(", \"id\": ");
    cli_print_json_string(document->id);
    if (found->shard)
        printf(", \"shard\": \"%s\", \"document\": %zu, \"tokens\": [%" PRIu64 ", %" PRIu64 "]",
               found->shard, found->document, found->token_begin, found->token_end);
    printf(", \"rows\": %zu, \"steps_done\": %" PRId64, found->rows, found->steps_done);
    print_list("steps", found->read_steps, found->read_count);
    print_list("checkpoints", found->checkpoints, found->checkpoint_count);
    printf("}\n");
}

static status print_run(const struct corpus *corpus, size_t index, const char *run, bool json,
                        struct arena *arena, struct error *error)
{
    struct lineage *lineage;
    struct lineage_found found;
    TRY(lineage_open(&lineage, run, arena, error));
    status result = lineage_find(&found, lineage, corpus, index, arena, error);
    if (result == OK && json)
        print_json(run, corpus_document(corpus, index), &found);
    else if (result == OK)
        print_text(run, &found);
    lineage_close(lineage);
    return result;
}

static status print_line(const struct document *document, uint64_t offset, struct error *error)
{
    struct buffer line;
    buffer_create(&line, STORE_LINE_BYTES_MAX);
    status result = document_line_write(&line, document, offset, error);
    if (result == OK)
        fputs(line.data, stdout);
    buffer_destroy(&line);
    return result;
}

status lineage_print(const struct corpus *corpus, size_t index, const struct option_list *runs,
                     bool json, struct arena *arena, struct error *error)
{
    const struct document *document = corpus_document(corpus, index);
    uint64_t offset = 0;
    for (size_t i = 0; i < index; i++)
        offset += corpus_document(corpus, i)->text.len;
    if (json)
        TRY(print_line(document, offset, error));
    else {
        char read[SHA256_HEX_BYTES];
        sha256_hex(read, &document->read);
        printf("%s: SHA-256 as read %s\n  %s, %s, %s, %s; %zu bytes at %" PRIu64
               " of the texts; cluster of %" PRIu64 "\n",
               document->id, read, document->source, document->license, document->language,
               document->held_out ? "held out" : "for training", document->text.len, offset,
               document->cluster);
    }
    for (size_t i = 0; i < runs->count; i++)
        TRY(print_run(corpus, index, runs->items[i], json, arena, error));
    return OK;
}
