#include "tokenizer/tokenizer_internal.h"

#include <stdlib.h>

#include "base/hash.h"
#include "text/utf8.h"

/* Documents are cut into pieces, and those of the smallest hashes are learnt from, as many as fit.
 * So the choice depends on the bytes of the documents alone, not on their order, and every part of
 * every document has the same chance.  The documents are gone through twice: once for the hashes,
 * of which sixteen bytes a piece are kept, once to count. */
enum {
    PIECE_BYTES = 32 << 10, /* at least, except the last of a document */
    PIECE_BYTES_MAX = 64 << 10,
    SAMPLE_BYTES = 500 * 1000 * 1000 /* if the caller states none */
};

struct piece_hash {
    uint64_t hash;
    uint32_t len, index;
};

size_t sample_piece_end(struct view document, size_t from)
{
    size_t left = document.len - from;
    if (left <= PIECE_BYTES)
        return document.len;
    struct view near = {document.data + from, left < PIECE_BYTES_MAX ? left : PIECE_BYTES_MAX};
    size_t end = split_cut(near, PIECE_BYTES);
    if (end == near.len && near.len < left)
        end = utf8_floor(near, near.len - 1); /* a line without end is cut anywhere */
    return from + end;
}

static status hash_pieces(struct sample *sample, struct buffer *hashes, struct view document,
                          struct error *error)
{
    for (size_t at = 0, end; at < document.len; at = end) {
        size_t index = hashes->len / sizeof(struct piece_hash);
        end = sample_piece_end(document, at);
        if (index >= UINT32_MAX)
            return fail(error, ERR_LIMIT, "more than %u pieces of documents", UINT32_MAX);
        struct piece_hash piece = {hash64(document.data + at, end - at, 0), (uint32_t)(end - at),
                                   (uint32_t)index};
        TRY(buffer_append(hashes, &piece, sizeof piece, error));
        sample->bytes += piece.len;
    }
    return OK;
}

static int by_hash(const void *a, const void *b)
{
    const struct piece_hash *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->len > y->len) - (x->len < y->len); /* equal pieces may change places */
}

/* Takes pieces in the order of their hashes until `left` bytes are used up. */
static void take_pieces(struct sample *sample, const struct buffer *hashes, uint64_t left)
{
    const struct piece_hash *pieces = (const struct piece_hash *)(void *)hashes->data;
    uint32_t *takes = (uint32_t *)(void *)sample->takes.data;
    for (size_t i = 0; i < hashes->len / sizeof *pieces; i++) {
        uint32_t take = pieces[i].len < left ? pieces[i].len : (uint32_t)left;
        takes[pieces[i].index] = take;
        left -= take;
    }
}

static status choose(struct sample *sample, struct buffer *hashes,
                     const struct tokenizer_training *training, struct error *error)
{
    struct view document;
    for (;;) {
        document = (struct view){0};
        TRY(training->next(training->context, &document, error));
        if (!document.data)
            break;
        TRY(hash_pieces(sample, hashes, document, error));
        if (interrupt_requested())
            return fail(error, ERR_INTERRUPTED,
                        "stopped while choosing the sample; nothing was written");
    }
    uint64_t limit = training->sample_max_bytes ? training->sample_max_bytes : SAMPLE_BYTES;
    size_t pieces = hashes->len / sizeof(struct piece_hash);
    if (sample->bytes > limit)
        qsort(hashes->data, pieces, sizeof(struct piece_hash), by_hash);
    TRY(buffer_reserve(&sample->takes, pieces * sizeof(uint32_t), error));
    sample->takes.len = pieces * sizeof(uint32_t);
    take_pieces(sample, hashes, limit);
    return OK;
}

void sample_create(struct sample *out)
{
    *out = (struct sample){0};
    buffer_create(&out->takes, SIZE_MAX / 4);
}

void sample_destroy(struct sample *sample)
{
    buffer_destroy(&sample->takes);
}

status sample_choose(struct sample *sample, const struct tokenizer_training *training,
                     struct error *error)
{
    ASSERT(sample && training && training->next && error);
    struct buffer hashes;
    buffer_create(&hashes, SIZE_MAX / 4);
    status result = choose(sample, &hashes, training, error);
    buffer_destroy(&hashes);
    return result;
}

size_t sample_take(const struct sample *sample, size_t index)
{
    return index < sample->takes.len / sizeof(uint32_t)
               ? ((const uint32_t *)(void *)sample->takes.data)[index]
               : 0;
}
