#include "tokenizer/tokenizer_internal.h"

#include "text/unicode.h"

/* Pieces of the sample are gathered into batches and counted by all threads, each into a table of
 * its own behind a small cache.  Sums do not depend on who counted what, and merging looks only at
 * counts, so the result is the same for any number of threads. */
enum {
    BATCH_BYTES = 16 << 20, /* at least, except the last */
    CACHE_BITS = 14,
    UPPER_CASE_EVERY = 24 /* if the caller states none */
};

struct piece {
    size_t start, len;
};

/* A word that was met lately, and how often since it came into the cache. */
struct recent {
    uint64_t key[4];
    int64_t count; /* 0: empty */
};

struct counter {
    struct word_table words;
    struct recent *recent; /* [1 << CACHE_BITS] */
    status result;
    struct error error;
};

struct batch {
    struct buffer text, pieces;
    struct counter *counters;
    struct thread_pool *pool;
    size_t threads;
};

static status recent_count(struct counter *counter, struct recent *recent, struct error *error)
{
    size_t index, len = ((const unsigned char *)recent->key)[WORD_KEY_BYTES];
    struct view word = {(const char *)recent->key, len};
    return recent->count ? word_table_add(&index, &counter->words, word, recent->count, error) : OK;
}

/* Most words are those of the last thousands: the cache counts them without looking for them in a
 * table that no processor's cache holds. */
static inline status count_short(struct counter *counter, struct view word, bool readable,
                                 struct error *error)
{
    uint64_t key[4];
    word_key(key, word, readable);
    struct recent *recent = &counter->recent[word_key_hash(key) >> (64 - CACHE_BITS)];
    if (!word_key_equal(recent->key, key)) {
        TRY(recent_count(counter, recent, error));
        memcpy(recent->key, key, sizeof key);
        recent->count = 0;
    }
    recent->count++;
    return OK;
}

static status count_piece(struct counter *counter, struct view piece, struct error *error)
{
    while (piece.len > 0) {
        size_t len = split_next(piece), index;
        ASSERT(len > 0 && len <= piece.len);
        struct view word = {piece.data, len};
        if (len <= WORD_KEY_BYTES)
            TRY(count_short(counter, word, piece.len > WORD_KEY_BYTES, error));
        else if (len <= TRAINING_WORD_BYTES_MAX)
            TRY(word_table_add(&index, &counter->words, word, 1, error));
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
        counter->result = count_piece(counter, piece, &counter->error);
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

/* The pieces of a document, of which the first is the piece_index-th of all. */
static status batch_add_document(struct batch *batch, struct view document, size_t *piece_index,
                                 const struct sample *sample, struct error *error)
{
    for (size_t at = 0, end; at < document.len; at = end) {
        end = sample_piece_end(document, at);
        size_t len = sample_take(sample, (*piece_index)++);
        if (len < end - at)
            len = utf8_floor((struct view){document.data + at, end - at}, len);
        else
            len = end - at;
        if (!len)
            continue;
        struct piece piece = {batch->text.len, len};
        TRY(buffer_append(&batch->text, document.data + at, len, error));
        TRY(buffer_append(&batch->pieces, &piece, sizeof piece, error));
        if (batch->text.len >= BATCH_BYTES)
            TRY(batch_count(batch, error));
    }
    return OK;
}

static status count_documents(struct batch *batch, const struct tokenizer_training *training,
                              const struct sample *sample, struct error *error)
{
    size_t piece_index = 0;
    for (;;) {
        struct view document = {0};
        TRY(training->next(training->context, &document, error));
        if (!document.data)
            break;
        TRY(batch_add_document(batch, document, &piece_index, sample, error));
    }
    TRY(batch_count(batch, error));
    for (size_t i = 0; i < batch->threads; i++)
        for (size_t k = 0; k < (size_t)1 << CACHE_BITS; k++)
            TRY(recent_count(&batch->counters[i], &batch->counters[i].recent[k], error));
    return OK;
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

/* ---- upper case --------------------------------------------------------- */

size_t upper_case(char *out, struct view text)
{
    size_t len = 0;
    for (size_t at = 0, taken; at < text.len; at += taken) {
        uint32_t code_point;
        taken = utf8_decode(&code_point, text.data + at, text.len - at);
        if (code_point != UTF8_BAD) {
            len += utf8_encode(out + len, unicode_to_upper(code_point));
            continue;
        }
        memcpy(out + len, text.data + at, taken);
        len += taken;
    }
    return len;
}

/* A pre-token in upper case is the pre-token of the text in upper case, so that counts suffice
 * (but for U+017F after an apostrophe, whose capital is the S of ASCII). */
static status add_upper_case(struct word_table *words, uint32_t every, struct error *error)
{
    char upper[2 * TRAINING_WORD_BYTES_MAX];
    size_t count = words->count, index;
    for (size_t i = 0; i < count && every != TOKENIZER_NEVER; i++) {
        int64_t times = (word_table_at(words, i)->count + every / 2) / every; /* rounded */
        struct view word = word_table_view(words, i);
        if (!times)
            continue;
        struct view raised = {upper, upper_case(upper, word)};
        if (raised.len <= TRAINING_WORD_BYTES_MAX && !view_equal(raised, word))
            TRY(word_table_add(&index, words, raised, times, error));
    }
    return OK;
}

/* ---- the whole ---------------------------------------------------------- */

static status counters_create(struct batch *batch, struct arena *arena, struct error *error)
{
    struct counter *counters;
    TRY_ALLOC(counters, arena, batch->threads, error);
    for (size_t i = 0; i < batch->threads; i++)
        TRY_ALLOC(counters[i].recent, arena, (size_t)1 << CACHE_BITS, error);
    for (size_t i = 0; i < batch->threads; i++)
        word_table_create(&counters[i].words);
    batch->counters = counters;
    return OK;
}

static void batch_destroy(struct batch *batch)
{
    for (size_t i = 0; batch->counters && i < batch->threads; i++)
        word_table_destroy(&batch->counters[i].words);
    buffer_destroy(&batch->pieces);
    buffer_destroy(&batch->text);
}

status words_count(struct word_table *out, const struct tokenizer_training *training,
                   struct error *error)
{
    ASSERT(out && out->count == 0 && training->next && error);
    struct arena *arena;
    TRY(arena_create(&arena, 0, error));
    struct sample sample;
    struct batch batch = {.pool = training->pool};
    uint32_t every = training->upper_case_every ? training->upper_case_every : UPPER_CASE_EVERY;
    batch.threads = batch.pool ? (size_t)thread_pool_count(batch.pool) : 1;
    sample_create(&sample);
    buffer_create(&batch.text, SIZE_MAX / 4);
    buffer_create(&batch.pieces, SIZE_MAX / 4);
    status result;
    TRY_DONE(counters_create(&batch, arena, error));
    TRY_DONE(sample_choose(&sample, training, error));
    TRY_DONE(count_documents(&batch, training, &sample, error));
    TRY_DONE(tables_join(out, &batch, error));
    TRY_DONE(add_upper_case(out, every, error));
done:
    batch_destroy(&batch);
    sample_destroy(&sample);
    arena_destroy(arena);
    return result;
}
