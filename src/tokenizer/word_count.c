#include "tokenizer/tokenizer_internal.h"

#include "text/utf8.h"

/* Documents are gathered into batches, cut where pre-tokens end, and the pieces are counted by all
 * threads, each into a table of its own.  Sums do not depend on who counted what, and merging looks
 * only at counts, so the result is the same for any number of threads. */
enum {
    PIECE_BYTES = 256 << 10, /* at least, except the last of a document */
    BATCH_BYTES = 16 << 20,  /* at least, except the last */
    SAMPLE_BYTES = 1 << 30   /* if the caller states none */
};

struct piece {
    size_t start, len;
};

struct counter {
    struct word_table words;
    status result;
    struct error error;
};

struct batch {
    struct buffer text, pieces;
    struct counter *counters;
    struct thread_pool *pool;
    size_t threads;
};

static status count_piece(struct word_table *words, struct view piece, struct error *error)
{
    while (piece.len > 0) {
        size_t len = split_next(piece), index;
        ASSERT(len > 0 && len <= piece.len);
        if (len <= TRAINING_WORD_BYTES_MAX)
            TRY(word_table_add(&index, words, (struct view){piece.data, len}, 1, error));
        piece.data += len;
        piece.len -= len;
    }
    return OK;
}

static void count_body(void *context, size_t begin, size_t end, int thread)
{
    struct batch *batch = context;
    struct counter *counter = &batch->counters[thread];
    const struct piece *pieces = (const struct piece *)(void *)batch->pieces.data;
    for (size_t i = begin; i < end && counter->result == OK; i++) {
        struct view piece = {batch->text.data + pieces[i].start, pieces[i].len};
        counter->result = count_piece(&counter->words, piece, &counter->error);
    }
}

static status batch_count(struct batch *batch, struct error *error)
{
    size_t pieces = batch->pieces.len / sizeof(struct piece);
    if (batch->pool)
        parallel_for(batch->pool, pieces, 1, count_body, batch);
    else
        count_body(batch, 0, pieces, 0);
    buffer_clear(&batch->text);
    buffer_clear(&batch->pieces);
    for (size_t i = 0; i < batch->threads; i++) {
        const struct counter *counter = &batch->counters[i];
        if (counter->result != OK)
            return fail(error, counter->result, "%s", counter->error.text);
    }
    return interrupt_requested()
               ? fail(error, ERR_INTERRUPTED, "stopped while counting words; nothing was written")
               : OK;
}

static status batch_add_document(struct batch *batch, struct view document, struct error *error)
{
    for (size_t at = 0; at < document.len;) {
        size_t end =
            split_cut(document, at + PIECE_BYTES < document.len ? at + PIECE_BYTES : document.len);
        struct piece piece = {batch->text.len, end - at};
        TRY(buffer_append(&batch->text, document.data + at, end - at, error));
        TRY(buffer_append(&batch->pieces, &piece, sizeof piece, error));
        at = end;
        if (batch->text.len >= BATCH_BYTES)
            TRY(batch_count(batch, error));
    }
    return OK;
}

static status count_documents(struct batch *batch, const struct tokenizer_training *training,
                              struct error *error)
{
    size_t left = training->sample_max_bytes ? training->sample_max_bytes : SAMPLE_BYTES;
    while (left > 0) {
        struct view document = {0};
        TRY(training->next(training->context, &document, error));
        if (!document.data)
            break;
        bool last = document.len >= left;
        if (last)
            document.len = utf8_floor(document, left);
        TRY(batch_add_document(batch, document, error));
        left = last ? 0 : left - document.len;
    }
    return batch_count(batch, error);
}

static status tables_join(struct word_table *out, const struct batch *batch, struct error *error)
{
    for (size_t i = 0; i < batch->threads; i++) {
        const struct word_table *words = &batch->counters[i].words;
        for (size_t word = 0; word < words->count; word++) {
            size_t index;
            TRY(word_table_add(&index, out, word_table_view(words, word),
                               word_table_at(words, word)->count, error));
        }
    }
    return OK;
}

status words_count(struct word_table *out, const struct tokenizer_training *training,
                   struct error *error)
{
    ASSERT(out && out->count == 0 && training->next && error);
    struct arena *arena;
    TRY(arena_create(&arena, 0, error));
    struct batch batch = {.pool = training->pool};
    batch.threads = batch.pool ? (size_t)thread_pool_count(batch.pool) : 1;
    buffer_create(&batch.text, SIZE_MAX / 4);
    buffer_create(&batch.pieces, SIZE_MAX / 4);
    status result = OK;
    batch.counters = arena_alloc(arena, batch.threads, sizeof *batch.counters, error);
    if (!batch.counters) {
        result = ERR_MEMORY;
        goto done;
    }
    for (size_t i = 0; i < batch.threads; i++)
        word_table_create(&batch.counters[i].words);
    TRY_DONE(count_documents(&batch, training, error));
    TRY_DONE(tables_join(out, &batch, error));
done:
    for (size_t i = 0; batch.counters && i < batch.threads; i++)
        word_table_destroy(&batch.counters[i].words);
    buffer_destroy(&batch.pieces);
    buffer_destroy(&batch.text);
    arena_destroy(arena);
    return result;
}
