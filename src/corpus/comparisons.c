#include "corpus/comparisons.h"

#include <string.h>

#include "corpus/comparisons_internal.h"
#include "corpus/minhash.h"

/* ---- readers ---- */

status text_readers_open(struct text_readers *out, struct thread_pool *pool, struct arena *arena,
                         struct error *error)
{
    size_t threads = (size_t)thread_pool_count(pool);
    out->pool = pool;
    TRY_ALLOC(out->of_thread, arena, threads, error);
    for (size_t i = 0; i < threads; i++) {
        struct text_reader *reader = &out->of_thread[i];
        words_open(&reader->words);
        buffer_create(&reader->fives, SIZE_MAX / 4);
        buffer_create(&reader->folded_fives, SIZE_MAX / 4);
        buffer_create(&reader->thirteens, SIZE_MAX / 4);
    }
    return OK;
}

void text_readers_close(struct text_readers *readers)
{
    for (int i = 0; readers->of_thread && i < thread_pool_count(readers->pool); i++) {
        struct text_reader *reader = &readers->of_thread[i];
        words_close(&reader->words);
        buffer_destroy(&reader->fives);
        buffer_destroy(&reader->folded_fives);
        buffer_destroy(&reader->thirteens);
    }
}

/* ---- a document ---- */

static status add_grams(const uint64_t **out, struct buffer *buffer, size_t n, const uint64_t *hash,
                        size_t count, struct error *error)
{
    buffer_clear(buffer);
    TRY(buffer_reserve(buffer, count * sizeof *hash, error));
    uint64_t *grams = (uint64_t *)(void *)buffer->data;
    grams_of(grams, n, hash, count);
    *out = grams;
    return OK;
}

static status read_stretch(struct text_stretch *out, struct text_reader *reader,
                           const struct comparisons *finders, struct error *error)
{
    struct words_piece *words = &out->words;
    TRY(words_read(words, &reader->words, error));
    size_t count = words->count;
    if (finders->contamination) {
        TRY(add_grams(&out->thirteens, &reader->thirteens, ITEM_GRAM_WORDS, words->hash, count,
                      error));
        TRY(add_grams(&out->fives, &reader->fives, ITEM_WHOLE_WORDS, words->hash, count, error));
    }
    if (finders->contamination && words->folded == words->hash)
        out->folded_fives = out->fives;
    else if (finders->duplicates)
        TRY(add_grams(&out->folded_fives, &reader->folded_fives, SHINGLE_WORDS, words->folded,
                      count, error));
    return OK;
}
_Static_assert((int)ITEM_WHOLE_WORDS == (int)SHINGLE_WORDS, "shingles are read with whole items");

struct batch {
    const struct comparisons *finders;
    struct text_readers *readers;
    const struct numbered_text *documents;
    struct overlap *out;
};

static void begin_document(const struct comparisons *finders, int thread)
{
    if (finders->duplicates)
        duplicates_begin(finders->duplicates, thread);
    if (finders->lines)
        repeated_lines_begin(finders->lines, thread);
    if (finders->contamination)
        contamination_begin(finders->contamination, thread);
}

static status take_words(const struct comparisons *finders, int thread,
                         const struct text_stretch *stretch, struct error *error)
{
    if (finders->duplicates)
        duplicates_take(finders->duplicates, thread, stretch);
    if (finders->lines)
        TRY(repeated_lines_take(finders->lines, thread, stretch, error));
    if (finders->contamination)
        TRY(contamination_take(finders->contamination, thread, stretch, error));
    return OK;
}

static status end_document(const struct batch *batch, int thread, size_t index, struct error *error)
{
    const struct comparisons *finders = batch->finders;
    const struct numbered_text *document = &batch->documents[index];
    if (finders->duplicates)
        duplicates_end(finders->duplicates, thread, index, document->text);
    if (finders->lines)
        TRY(repeated_lines_end(finders->lines, thread, document->number, error));
    if (finders->contamination)
        TRY(contamination_end(&batch->out[index], finders->contamination, thread, document, error));
    return OK;
}

static status read_document(const struct batch *batch, int thread, size_t index,
                            struct error *error)
{
    struct text_reader *reader = &batch->readers->of_thread[thread];
    struct text_stretch stretch = {0};
    begin_document(batch->finders, thread);
    words_begin(&reader->words, batch->documents[index].text);
    for (;;) {
        TRY(read_stretch(&stretch, reader, batch->finders, error));
        if (stretch.words.count == 0)
            return end_document(batch, thread, index, error);
        TRY(take_words(batch->finders, thread, &stretch, error));
    }
}

static void read_some(void *context, size_t begin, size_t end, int thread)
{
    const struct batch *batch = context;
    struct error *error = &batch->readers->of_thread[thread].error;
    for (size_t i = begin; i < end; i++)
        if (!error->code)
            (void)!read_document(batch, thread, i, error);
}

/* ---- batches ---- */

static struct text_readers *readers_of(const struct comparisons *finders)
{
    if (finders->duplicates)
        return duplicates_readers(finders->duplicates);
    return finders->lines ? repeated_lines_readers(finders->lines)
                          : contamination_readers(finders->contamination);
}

static status keep_batch(const struct batch *batch, size_t count, struct error *error)
{
    const struct comparisons *finders = batch->finders;
    for (int i = 0; i < thread_pool_count(batch->readers->pool); i++) {
        const struct error *failure = &batch->readers->of_thread[i].error;
        if (failure->code)
            return fail(error, failure->code, "%s", failure->text);
    }
    if (finders->duplicates)
        TRY(duplicates_keep(finders->duplicates, batch->documents, count, error));
    if (finders->lines)
        TRY(repeated_lines_keep(finders->lines, error));
    return finders->contamination ? contamination_keep(finders->contamination, error) : OK;
}

status comparisons_add(struct overlap *out, const struct comparisons *finders,
                       const struct numbered_text *documents, size_t count, struct error *error)
{
    ASSERT(finders && (finders->duplicates || finders->lines || finders->contamination));
    ASSERT((out || !count || !finders->contamination) && (documents || !count) && error);
    struct batch batch = {finders, readers_of(finders), documents, out};
    while (count) {
        size_t some = 0, bytes = 0;
        while (some < count && some < BATCH_DOCUMENTS && bytes < BATCH_BYTES)
            bytes += batch.documents[some++].text.len;
        parallel_for(batch.readers->pool, some, 1, read_some, &batch);
        TRY(keep_batch(&batch, some, error));
        batch.documents += some;
        batch.out = batch.out ? batch.out + some : NULL;
        count -= some;
    }
    return OK;
}
