/* A corpus as tokens, made once and mapped from then on.
 *
 * Layout (little-endian): 64 bytes that begin with MAGIC; tokens, u16 when the vocabulary fits,
 * else
 * u32; zeros to a multiple of 8; u64 start[documents + 1]; u64 text_bytes[documents]; the trailer.
 * The tables follow the tokens, so that a corpus of any size is written in one pass. */
#include "train/train_internal.h"

#include <stdio.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "token files are mapped as they are");

#define MAGIC "rodnik tokens 1\n"

enum {
    MAGIC_BYTES = 16,
    HEADER_BYTES = 64,
    GROUP_BYTES = 32 << 20, /* of text, encoded together */
    GROUP_DOCUMENTS = 4096,
    SMALL_VOCABULARY = 65536
};
static const size_t DOCUMENTS_MAX = UINT32_MAX;

struct trailer {
    uint64_t documents, count;
    uint32_t token_bytes, vocabulary;
    struct sha256 corpus, tokenizer;
    struct sha256 content; /* SHA-256 of every byte before this field */
    char magic[MAGIC_BYTES];
};
_Static_assert(sizeof(struct trailer) == 136, "the trailer has no padding");

/* ---- writing ---- */

struct group_document {
    size_t offset, len; /* in the group's text */
    struct tokens tokens;
};

struct token_writer {
    const struct token_source *source;
    struct file_writer file;
    struct sha256_state hash;
    struct buffer text; /* of one group */
    struct group_document *group;
    size_t group_count;
    struct buffer start, text_bytes; /* u64 tables */
    struct tokenizer_encoder **encoders;
    struct error *thread_errors; /* one a thread */
    struct trailer trailer;
    uint32_t document_token;
};

static status add(struct token_writer *writer, const void *data, size_t len, struct error *error)
{
    if (!len)
        return OK;
    sha256_add(&writer->hash, data, len);
    return file_writer_add(&writer->file, data, len, error);
}

static void encode_documents(void *context, size_t begin, size_t end, int thread)
{
    struct token_writer *writer = context;
    struct error *error = &writer->thread_errors[thread];
    for (size_t i = begin; i < end && error->code == OK; i++) {
        struct group_document *document = &writer->group[i];
        tokens_clear(&document->tokens);
        const struct view text = {writer->text.data + document->offset, document->len};
        status result = tokens_append(&document->tokens, &writer->document_token, 1, error);
        if (result == OK)
            result =
                tokenizer_encode(&document->tokens, writer->encoders[thread], text, false, error);
        ASSERT(result == error->code);
    }
}

static status add_tokens(struct token_writer *writer, const struct tokens *tokens,
                         struct error *error)
{
    uint16_t narrow[1024];
    if (writer->trailer.token_bytes == 4)
        return add(writer, tokens->ids, tokens->count * sizeof *tokens->ids, error);
    for (size_t at = 0; at < tokens->count;) {
        size_t count = 0;
        while (count < sizeof narrow / sizeof *narrow && at < tokens->count)
            narrow[count++] = (uint16_t)tokens->ids[at++];
        TRY(add(writer, narrow, count * sizeof *narrow, error));
    }
    return OK;
}

/* Encodes the group on all threads and writes it in order. */
static status flush_group(struct token_writer *writer, struct error *error)
{
    struct thread_pool *pool = writer->source->pool;
    parallel_for(pool, writer->group_count, 1, encode_documents, writer);
    for (int i = 0; i < thread_pool_count(pool); i++)
        if (writer->thread_errors[i].code != OK)
            return fail(error, writer->thread_errors[i].code, "%s", writer->thread_errors[i].text);
    for (size_t i = 0; i < writer->group_count; i++) {
        const struct group_document *document = &writer->group[i];
        uint64_t bytes = document->len;
        TRY(add_tokens(writer, &document->tokens, error));
        TRY(buffer_append(&writer->start, &writer->trailer.count, sizeof bytes, error));
        TRY(buffer_append(&writer->text_bytes, &bytes, sizeof bytes, error));
        writer->trailer.count += document->tokens.count;
        writer->trailer.documents++;
    }
    writer->group_count = 0;
    buffer_clear(&writer->text);
    if (interrupt_requested())
        return fail(error, ERR_INTERRUPTED, "%s: stopped while texts were made into tokens",
                    writer->file.path);
    return OK;
}

static status add_documents(struct token_writer *writer, struct error *error)
{
    const struct token_source *source = writer->source;
    for (;;) {
        struct view text = {0};
        TRY(source->next(source->context, &text, error));
        if (!text.data)
            break;
        struct group_document *document = &writer->group[writer->group_count++];
        document->offset = writer->text.len;
        document->len = text.len;
        TRY(buffer_append(&writer->text, text.data, text.len, error));
        if (writer->group_count == GROUP_DOCUMENTS || writer->text.len >= GROUP_BYTES)
            TRY(flush_group(writer, error));
    }
    return flush_group(writer, error);
}

static status add_tables(struct token_writer *writer, struct error *error)
{
    static const char zeros[8];
    struct trailer *trailer = &writer->trailer;
    TRY(add(writer, zeros, (8 - writer->file.written % 8) % 8, error));
    TRY(buffer_append(&writer->start, &trailer->count, sizeof trailer->count, error));
    TRY(add(writer, writer->start.data, writer->start.len, error));
    TRY(add(writer, writer->text_bytes.data, writer->text_bytes.len, error));
    return add(writer, trailer, offsetof(struct trailer, content), error);
}

static status write_all(struct token_writer *writer, const char *path, struct error *error)
{
    char header[HEADER_BYTES] = MAGIC;
    TRY(file_writer_open(&writer->file, path, error));
    TRY(add(writer, header, sizeof header, error));
    TRY(add_documents(writer, error));
    TRY(add_tables(writer, error));
    struct trailer *trailer = &writer->trailer;
    trailer->content = sha256_end(&writer->hash);
    memcpy(trailer->magic, MAGIC, MAGIC_BYTES);
    TRY(file_writer_add(&writer->file, &trailer->content,
                        sizeof *trailer - offsetof(struct trailer, content), error));
    return file_writer_commit(&writer->file, error);
}

static status writer_create(struct token_writer *out, const struct token_source *source,
                            struct arena *arena, struct error *error)
{
    const struct tokenizer *tokenizer = source->tokenizer;
    size_t threads = (size_t)thread_pool_count(source->pool);
    uint32_t vocabulary = tokenizer_vocabulary(tokenizer);
    out->source = source;
    out->document_token = tokenizer_special(tokenizer, TOKEN_DOCUMENT);
    if (out->document_token == TOKEN_NONE)
        return fail(error, ERR_FORMAT, "the tokenizer has no token <|endoftext|>");
    out->trailer = (struct trailer){.token_bytes = vocabulary <= SMALL_VOCABULARY ? 2 : 4,
                                    .vocabulary = vocabulary,
                                    .corpus = source->corpus_root,
                                    .tokenizer = source->tokenizer_file};
    buffer_create(&out->text, (size_t)GROUP_BYTES + TOKENIZER_TEXT_BYTES_MAX);
    buffer_create(&out->start, (DOCUMENTS_MAX + 1) * sizeof(uint64_t));
    buffer_create(&out->text_bytes, DOCUMENTS_MAX * sizeof(uint64_t));
    TRY_ALLOC(out->encoders, arena, threads, error);
    TRY_ALLOC(out->thread_errors, arena, threads, error);
    TRY_ALLOC(out->group, arena, GROUP_DOCUMENTS, error);
    for (size_t i = 0; i < GROUP_DOCUMENTS; i++)
        tokens_create(&out->group[i].tokens, TOKENIZER_TEXT_BYTES_MAX);
    for (size_t i = 0; i < threads; i++)
        TRY(tokenizer_encoder_create(&out->encoders[i], tokenizer, arena, error));
    return sha256_begin(&out->hash, error);
}

static void writer_destroy(struct token_writer *writer)
{
    file_writer_abort(&writer->file);
    if (writer->hash.context)
        sha256_end(&writer->hash);
    buffer_destroy(&writer->text);
    buffer_destroy(&writer->start);
    buffer_destroy(&writer->text_bytes);
    for (size_t i = 0; writer->group && i < GROUP_DOCUMENTS; i++)
        tokens_destroy(&writer->group[i].tokens);
    for (int i = 0; writer->encoders && i < thread_pool_count(writer->source->pool); i++)
        tokenizer_encoder_destroy(writer->encoders[i]);
}

status token_file_write(const char *path, const struct token_source *source, struct error *error)
{
    ASSERT(path && source && source->next && source->tokenizer && source->pool && error);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct token_writer writer = {.source = source};
    status result = writer_create(&writer, source, arena, error);
    if (result == OK)
        result = write_all(&writer, path, error);
    writer_destroy(&writer);
    arena_destroy(arena);
    return result;
}

/* ---- reading ---- */

static status check_sizes(const struct trailer *trailer, size_t len, const char *path,
                          struct error *error)
{
    if (memcmp(trailer->magic, MAGIC, MAGIC_BYTES) ||
        (trailer->token_bytes != 2 && trailer->token_bytes != 4) ||
        trailer->documents > DOCUMENTS_MAX || trailer->count > len)
        return fail(error, ERR_FORMAT, "%s: is not a file of tokens, or a truncated one", path);
    uint64_t expected = HEADER_BYTES + trailer->count * trailer->token_bytes;
    expected = (expected + 7) / 8 * 8;
    expected += (2 * trailer->documents + 1) * sizeof(uint64_t) + sizeof *trailer;
    if (expected != len)
        return fail(error, ERR_FORMAT, "%s: has %zu bytes, its trailer needs %llu", path, len,
                    (unsigned long long)expected);
    return OK;
}

static status check_contents(const struct token_file *file, const char *path, struct error *error)
{
    size_t hashed = file->mapping.len - sizeof(struct trailer) + offsetof(struct trailer, content);
    struct sha256 content = sha256_of(file->mapping.data, hashed);
    if (!sha256_equal(&content, &file->content))
        return fail(error, ERR_FORMAT, "%s: its contents do not have the SHA-256 it states", path);
    bool fine = file->start[0] == 0 && file->start[file->documents] == file->count;
    for (size_t i = 0; i < file->documents; i++)
        fine = fine && file->start[i] < file->start[i + 1];
    uint32_t largest = 0;
    for (size_t i = 0; i < file->count; i++)
        largest = token_at(file, i) > largest ? token_at(file, i) : largest;
    if (!fine || (file->count && largest >= file->vocabulary))
        return fail(error, ERR_FORMAT, "%s: has documents or tokens that can't be", path);
    return OK;
}

status token_file_open(struct token_file *out, const char *path, struct error *error)
{
    ASSERT(out && path && error);
    struct token_file file = {0};
    struct trailer trailer;
    TRY(file_map(&file.mapping, path, error));
    size_t len = file.mapping.len;
    status result = OK;
    if (len < HEADER_BYTES + sizeof trailer)
        result = fail(error, ERR_FORMAT, "%s: has %zu bytes, a file of tokens has at least %zu",
                      path, len, HEADER_BYTES + sizeof trailer);
    if (result == OK) {
        memcpy(&trailer, file.mapping.data + len - sizeof trailer, sizeof trailer);
        result = check_sizes(&trailer, len, path, error);
    }
    if (result == OK) {
        const uint8_t *tables = file.mapping.data + len - sizeof trailer;
        file.documents = trailer.documents;
        file.count = trailer.count;
        file.token_bytes = trailer.token_bytes;
        file.vocabulary = trailer.vocabulary;
        file.corpus = trailer.corpus;
        file.tokenizer = trailer.tokenizer;
        file.content = trailer.content;
        file.tokens = file.mapping.data + HEADER_BYTES;
        file.text_bytes = (const uint64_t *)(const void *)tables - file.documents;
        file.start = file.text_bytes - file.documents - 1;
        result = check_contents(&file, path, error);
    }
    if (result == OK)
        *out = file;
    else
        file_unmap(&file.mapping);
    return result;
}

void token_file_close(struct token_file *file)
{
    ASSERT(file);
    file_unmap(&file->mapping);
    *file = (struct token_file){0};
}
