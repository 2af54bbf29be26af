#include "train/lineage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/store_lines.h"
#include "train/train_internal.h"

struct lineage {
    const char *run;
    struct recipe recipe;
    struct token_file train, heldout;
    struct loader *loader; /* NULL: nothing to train on */
    int64_t *checkpoints;  /* ascending */
    size_t checkpoint_count;
};

static int by_number(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static status list_checkpoints(struct lineage *lineage, struct arena *arena, struct error *error)
{
    char folder[PATH_BYTES], **names;
    size_t count;
    TRY(path_join(folder, sizeof folder, lineage->run, "checkpoints", error));
    if (!folder_exists(folder))
        return OK;
    TRY(folder_list(&names, &count, folder, arena, error));
    TRY_ALLOC(lineage->checkpoints, arena, count + 1, error);
    for (size_t i = 0; i < count; i++) {
        int64_t step;
        if (strncmp(names[i], "step-", 5) == 0 && parse_i64(&step, view_of(names[i] + 5)))
            lineage->checkpoints[lineage->checkpoint_count++] = step;
    }
    if (lineage->checkpoint_count)
        qsort(lineage->checkpoints, lineage->checkpoint_count, sizeof *lineage->checkpoints,
              by_number);
    return OK;
}

static status open_files(struct lineage *lineage, struct arena *arena, struct error *error)
{
    char recipe[PATH_BYTES], train[PATH_BYTES], heldout[PATH_BYTES];
    TRY(path_join(recipe, sizeof recipe, lineage->run, "recipe.ini", error));
    TRY(path_join(train, sizeof train, lineage->run, "shards/train.bin", error));
    TRY(path_join(heldout, sizeof heldout, lineage->run, "shards/heldout.bin", error));
    if (!file_exists(recipe) || !file_exists(train) || !file_exists(heldout))
        return fail(error, ERR_USAGE,
                    "%s: is no run with tokens (needed are recipe.ini and shards/*.bin)",
                    lineage->run);
    TRY(recipe_read(&lineage->recipe, recipe, error));
    TRY(recipe_check(&lineage->recipe, error));
    TRY(token_file_open(&lineage->train, train, error));
    TRY(token_file_open(&lineage->heldout, heldout, error));
    const struct loader_settings settings = {(uint64_t)lineage->recipe.seed,
                                             (size_t)lineage->recipe.sequence};
    if (lineage->train.documents)
        TRY(loader_create(&lineage->loader, &lineage->train, &settings, arena, error));
    return list_checkpoints(lineage, arena, error);
}

status lineage_open(struct lineage **out, const char *run, struct arena *arena, struct error *error)
{
    ASSERT(out && run && arena && error);
    struct lineage *lineage;
    TRY_ALLOC(lineage, arena, 1, error);
    lineage->run = run;
    status result = open_files(lineage, arena, error);
    if (result == OK)
        *out = lineage;
    else
        lineage_close(lineage);
    return result;
}

void lineage_close(struct lineage *lineage)
{
    ASSERT(lineage);
    token_file_close(&lineage->train);
    token_file_close(&lineage->heldout);
}

uint64_t lineage_tokens(const struct lineage *lineage)
{
    return lineage->train.count + lineage->heldout.count;
}

/* ---- steps ---- */

/* The step whose batch holds a row: the first after which more rows than this are done. */
static int64_t step_of(const struct recipe *recipe, uint64_t row)
{
    int64_t low = 0, high = recipe->steps; /* rows(low) <= row < rows(high) */
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if ((uint64_t)schedule_rows(recipe, middle) <= row)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* The steps that read it in one epoch, as they come. */
static status add_epoch(struct buffer *out, const struct lineage *lineage, uint64_t epoch,
                        const struct lineage_found *found, struct error *error)
{
    uint64_t length = (uint64_t)lineage->recipe.sequence;
    uint64_t rows = (uint64_t)schedule_rows(&lineage->recipe, lineage->recipe.steps);
    uint64_t begin = loader_document_at(lineage->loader, epoch, found->document);
    uint64_t end = begin + (found->token_end - found->token_begin);
    for (uint64_t place = begin / length; place * length < end; place++) {
        uint64_t row = loader_row_of(lineage->loader, place);
        if (row >= rows)
            continue;
        int64_t step = step_of(&lineage->recipe, row);
        TRY(buffer_append(out, &step, sizeof step, error));
    }
    return OK;
}

static status find_steps(struct lineage_found *out, const struct lineage *lineage,
                         struct buffer *steps, struct arena *arena, struct error *error)
{
    uint64_t rows = (uint64_t)schedule_rows(&lineage->recipe, lineage->recipe.steps);
    uint64_t tokens = rows * (uint64_t)lineage->recipe.sequence;
    for (uint64_t epoch = 0; epoch * lineage->train.count < tokens; epoch++)
        TRY(add_epoch(steps, lineage, epoch, out, error));
    out->rows = steps->len / sizeof(int64_t);
    TRY_ALLOC(out->read_steps, arena, out->rows + 1, error);
    if (!out->rows)
        return OK;
    memcpy(out->read_steps, steps->data, steps->len);
    qsort(out->read_steps, out->rows, sizeof *out->read_steps, by_number);
    for (size_t i = 0; i < out->rows; i++)
        if (!out->read_count || out->read_steps[out->read_count - 1] != out->read_steps[i])
            out->read_steps[out->read_count++] = out->read_steps[i];
    return OK;
}

static status find_checkpoints(struct lineage_found *out, const struct lineage *lineage,
                               struct arena *arena, struct error *error)
{
    size_t count = lineage->checkpoint_count;
    TRY_ALLOC(out->checkpoints, arena, count + 1, error);
    out->steps = lineage->recipe.steps;
    out->steps_done = count ? lineage->checkpoints[count - 1] : 0;
    for (size_t i = 0; i < count && out->read_count; i++)
        if (lineage->checkpoints[i] >= out->read_steps[0])
            out->checkpoints[out->checkpoint_count++] = lineage->checkpoints[i];
    return OK;
}

/* Its number among the documents of its side, as run.c gives them to the token files. */
static size_t number_of(const struct corpus *corpus, size_t index)
{
    size_t number = 0;
    for (size_t i = 0; i < index; i++) {
        const struct document *before = corpus_document(corpus, i);
        number += before->held_out == corpus_document(corpus, index)->held_out && before->text.len;
    }
    return number;
}

/* ---- corpora from which something was forgotten since ---- */

struct forgotten {
    struct sha256 root; /* of the corpus that still held it */
    uint64_t place;
    bool held_out;
};
struct past {
    struct buffer list; /* struct forgotten, as the tombstones stand: the latest last */
    struct arena *arena;
};

static status add_forgotten(void *context, struct view line, size_t number, struct error *error)
{
    struct past *past = context;
    struct tombstone tombstone;
    struct arena_mark mark = arena_mark(past->arena);
    if (!tombstone_parse(&tombstone, line, past->arena))
        return fail(error, ERR_FORMAT, "forgotten.jsonl: line %zu is no tombstone", number);
    const struct forgotten forgotten = {tombstone.root, tombstone.place, tombstone.held_out};
    arena_rewind(past->arena, mark);
    return buffer_append(&past->list, &forgotten, sizeof forgotten, error);
}

/* Puts back what was forgotten, the latest first, until the corpus has the root.  Those forgotten
 * together stand in the order of their places. */
static bool put_back(size_t *number, const struct past *past, size_t index, bool held_out,
                     const struct sha256 *root)
{
    const struct forgotten *list = (const struct forgotten *)(const void *)past->list.data;
    size_t first = past->list.len / sizeof *list;
    while (first > 0) {
        size_t end = first--;
        while (first > 0 && sha256_equal(&list[first - 1].root, &list[end - 1].root))
            first--;
        for (size_t i = first; i < end; i++)
            if (list[i].place <= index) {
                index++;
                *number += list[i].held_out == held_out;
            }
        if (sha256_equal(&list[first].root, root))
            return true;
    }
    return false;
}

static status trace_in(size_t *number, struct past *past, const struct lineage *lineage,
                       const struct corpus *corpus, size_t index, struct error *error)
{
    char hex[2][SHA256_HEX_BYTES];
    struct sha256 root = corpus_root(corpus);
    TRY(corpus_lines(corpus, "forgotten.jsonl", add_forgotten, past, error));
    if (put_back(number, past, index, corpus_document(corpus, index)->held_out,
                 &lineage->train.corpus))
        return OK;
    sha256_hex(hex[0], &lineage->train.corpus);
    sha256_hex(hex[1], &root);
    return fail(error, ERR_CONFLICT,
                "%s: was made from the corpus with root %s, this one has root %s and never had "
                "that one",
                lineage->run, hex[0], hex[1]);
}

/* The document's number on its side of the corpus that the run was made from. */
static status trace_back(size_t *number, const struct lineage *lineage, const struct corpus *corpus,
                         size_t index, struct error *error)
{
    enum { PAST_BYTES_MAX = 1 << 30 };
    struct sha256 root = corpus_root(corpus);
    struct past past = {0};
    *number = number_of(corpus, index);
    if (sha256_equal(&root, &lineage->train.corpus))
        return OK;
    TRY(arena_create(&past.arena, 0, error));
    buffer_create(&past.list, PAST_BYTES_MAX);
    status result = trace_in(number, &past, lineage, corpus, index, error);
    buffer_destroy(&past.list);
    arena_destroy(past.arena);
    return result;
}

status lineage_find(struct lineage_found *out, struct lineage *lineage, const struct corpus *corpus,
                    size_t index, struct arena *arena, struct error *error)
{
    ASSERT(out && lineage && corpus && arena && error);
    enum { STEPS_BYTES_MAX = 1 << 30 };
    const struct document *document = corpus_document(corpus, index);
    const struct token_file *file = document->held_out ? &lineage->heldout : &lineage->train;
    struct lineage_found found = {0};
    TRY(trace_back(&found.document, lineage, corpus, index, error));
    if (document->text.len) {
        found.shard = document->held_out ? "shards/heldout.bin" : "shards/train.bin";
        if (found.document >= file->documents ||
            file->text_bytes[found.document] != document->text.len)
            return fail(error, ERR_FORMAT, "%s/%s: does not hold the documents of its corpus",
                        lineage->run, found.shard);
        found.token_begin = file->start[found.document];
        found.token_end = file->start[found.document + 1];
    }
    struct buffer steps;
    buffer_create(&steps, STEPS_BYTES_MAX);
    status result = OK;
    if (found.shard && !document->held_out)
        result = find_steps(&found, lineage, &steps, arena, error);
    buffer_destroy(&steps);
    if (result == OK)
        result = find_checkpoints(&found, lineage, arena, error);
    if (result == OK)
        *out = found;
    return result;
}
