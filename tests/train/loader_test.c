/* The stream of rows: pure, complete, every token of an epoch once; document starts;
 * token files. */
#include "train_support.h"

#include "base/thread.h"

enum { DOCUMENTS = 37, SEQUENCE = 16 };

struct stream { /* token files in memory, token value = its index, so that each is told apart */
    uint32_t tokens[4000];
    uint64_t start[DOCUMENTS + 1];
    struct token_file file;
    struct arena *arena;
    struct error error;
};

static void stream_create(struct stream *out)
{
    *out = (struct stream){0};
    uint64_t at = 0;
    for (size_t d = 0; d < DOCUMENTS; d++) {
        out->start[d] = at;
        at += 1 + random_below((struct random_key){4, RANDOM_TEST, 0}, d, 70);
    }
    out->start[DOCUMENTS] = at;
    for (size_t i = 0; i < at; i++)
        out->tokens[i] = (uint32_t)i;
    out->file = (struct token_file){.documents = DOCUMENTS,
                                    .count = at,
                                    .token_bytes = 4,
                                    .tokens = out->tokens,
                                    .start = out->start};
    assert_ok(arena_create(&out->arena, 0, &out->error), out->error);
}

static struct loader *make_loader(struct stream *stream, uint64_t seed)
{
    struct loader *loader;
    const struct loader_settings settings = {seed, SEQUENCE};
    assert_ok(loader_create(&loader, &stream->file, &settings, stream->arena, &stream->error),
              stream->error);
    return loader;
}

static struct rows make_rows(struct stream *stream, size_t count)
{
    struct rows rows;
    assert_ok(rows_create(&rows, count, SEQUENCE, stream->arena, &stream->error), stream->error);
    return rows;
}

/* The first rows of the stream in its own order: whole epochs are given out, then sorted by place.
 * */
static struct rows make_stream(struct stream *stream, struct loader *loader, size_t count)
{
    struct rows rows = make_rows(stream, count), one = make_rows(stream, 1);
    uint8_t *seen = calloc(count, 1);
    assert_non_null(seen);
    for (uint64_t row = 0; row < 2 * count; row++) {
        uint64_t place = loader_place(loader, row);
        if (place >= count)
            continue;
        assert_int_equal(seen[place]++, 0);
        loader_rows(loader, row, &one);
        memcpy(rows.tokens + place * SEQUENCE, one.tokens, SEQUENCE * sizeof *one.tokens);
        memcpy(rows.targets + place * SEQUENCE, one.targets, SEQUENCE * sizeof *one.targets);
    }
    for (size_t i = 0; i < count; i++)
        assert_int_equal(seen[i], 1);
    free(seen);
    return rows;
}

static void every_token_of_an_epoch_comes_exactly_once(void **state)
{
    (void)state;
    struct stream stream;
    stream_create(&stream);
    size_t count = stream.file.count, epochs = 5;
    struct rows rows = make_stream(&stream, make_loader(&stream, 1), count * epochs / SEQUENCE);
    for (size_t epoch = 0; (epoch + 1) * count <= rows.count * SEQUENCE; epoch++) {
        uint8_t seen[4000] = {0};
        for (size_t i = 0; i < count; i++)
            seen[rows.tokens[epoch * count + i]]++;
        for (size_t i = 0; i < count; i++)
            assert_int_equal(seen[i], 1);
    }
    assert_memory_not_equal(rows.tokens, rows.tokens + count, count * sizeof *rows.tokens);
    arena_destroy(stream.arena);
}

static void the_target_is_the_next_token_across_rows_documents_and_epochs(void **state)
{
    (void)state;
    struct stream stream;
    stream_create(&stream);
    struct rows rows = make_stream(&stream, make_loader(&stream, 1), 400);
    for (size_t i = 0; i + 1 < rows.count * SEQUENCE; i++)
        assert_int_equal(rows.targets[i], rows.tokens[i + 1]);
    arena_destroy(stream.arena);
}

static void a_row_depends_on_seed_and_number_only(void **state)
{
    (void)state;
    struct stream stream;
    stream_create(&stream);
    struct rows all = make_rows(&stream, 300), one = make_rows(&stream, 1);
    loader_rows(make_loader(&stream, 1), 0, &all);
    struct loader *loader = make_loader(&stream, 1);
    for (size_t i = 0; i < 300; i++) { /* in a scattered order, epochs back and forth */
        size_t row = i * 179 % 300;
        loader_rows(loader, row, &one);
        assert_memory_equal(one.tokens, all.tokens + row * SEQUENCE, SEQUENCE * 4);
        assert_memory_equal(one.targets, all.targets + row * SEQUENCE, SEQUENCE * 4);
        assert_memory_equal(one.first_key, all.first_key + row * SEQUENCE, SEQUENCE * 4);
    }
    loader_rows(make_loader(&stream, 2), 0, &one);
    assert_memory_not_equal(one.tokens, all.tokens, SEQUENCE * 4);
    arena_destroy(stream.arena);
}

static void first_keys_are_where_documents_begin(void **state)
{
    (void)state;
    struct stream stream;
    stream_create(&stream);
    struct rows rows = make_rows(&stream, 200);
    loader_rows(make_loader(&stream, 1), 0, &rows);
    for (size_t row = 0; row < rows.count; row++) {
        uint32_t begin = 0;
        for (uint32_t i = 0; i < SEQUENCE; i++) {
            uint32_t token = rows.tokens[row * SEQUENCE + i];
            for (size_t d = 0; d < DOCUMENTS; d++)
                if (stream.start[d] == token)
                    begin = i;
            assert_int_equal(rows.first_key[row * SEQUENCE + i], begin);
        }
    }
    arena_destroy(stream.arena);
}

static void an_empty_corpus_is_refused(void **state)
{
    (void)state;
    struct stream stream;
    struct loader *loader;
    stream_create(&stream);
    stream.file.documents = 0;
    const struct loader_settings settings = {1, SEQUENCE};
    assert_int_equal(loader_create(&loader, &stream.file, &settings, stream.arena, &stream.error),
                     ERR_CONFLICT);
    arena_destroy(stream.arena);
}

/* ---- token files ---- */

static const char *const texts[] = {"one river", "two rivers run", "и ещё река", "", "four"};
enum { TEXTS = sizeof texts / sizeof *texts };

static status next_text(void *context, struct view *text, struct error *error)
{
    size_t *at = context;
    (void)error;
    *text = *at < TEXTS ? view_of(texts[*at]) : (struct view){0};
    *at = *at < TEXTS ? *at + 1 : 0;
    return OK;
}

static void write_tokens(const char *path, int threads, struct tokenizer **tokenizer,
                         struct arena *arena)
{
    struct error error = {0};
    struct thread_pool *pool;
    size_t at = 0, again = 0;
    assert_ok(thread_pool_create(&pool, threads, &error), error);
    const struct tokenizer_training training = {
        .vocabulary = 280, .next = next_text, .context = &at};
    assert_ok(tokenizer_train(tokenizer, &training, arena, &error), error);
    const struct token_source source = {
        .next = next_text, .context = &again, .tokenizer = *tokenizer, .pool = pool};
    assert_ok(token_file_write(path, &source, &error), error);
    thread_pool_destroy(pool);
}

static void token_files_hold_the_texts_whatever_the_threads(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    struct arena *arena;
    struct tokenizer *tokenizer;
    struct token_file file;
    char path[200], other[200];
    place_create(&place);
    assert_ok(arena_create(&arena, 0, &error), error);
    snprintf(path, sizeof path, "%s/a.bin", place.folder);
    snprintf(other, sizeof other, "%s/b.bin", place.folder);
    write_tokens(path, 1, &tokenizer, arena);
    write_tokens(other, 3, &tokenizer, arena);
    assert_true(same_files(path, other));
    assert_ok(token_file_open(&file, path, &error), error);
    assert_int_equal(file.documents, TEXTS);
    for (size_t d = 0; d < TEXTS; d++) {
        uint32_t ids[64];
        size_t count = 0;
        struct buffer text;
        for (uint64_t i = file.start[d]; i < file.start[d + 1]; i++)
            ids[count++] = token_at(&file, i);
        assert_int_equal(ids[0], tokenizer_special(tokenizer, TOKEN_DOCUMENT));
        buffer_create(&text, 4096);
        assert_ok(tokenizer_decode(&text, tokenizer, ids + 1, count - 1, &error), error);
        assert_int_equal(text.len, strlen(texts[d]));
        assert_int_equal(file.text_bytes[d], strlen(texts[d]));
        if (text.len)
            assert_memory_equal(text.data, texts[d], text.len);
        buffer_destroy(&text);
    }
    token_file_close(&file);
    arena_destroy(arena);
    place_destroy(&place);
}

static void token_files_damaged_anywhere_are_refused(void **state)
{
    (void)state;
    struct place place;
    struct error error = {0};
    struct arena *arena;
    struct tokenizer *tokenizer;
    struct view whole;
    char path[200];
    place_create(&place);
    assert_ok(arena_create(&arena, 0, &error), error);
    snprintf(path, sizeof path, "%s/a.bin", place.folder);
    write_tokens(path, 1, &tokenizer, arena);
    assert_ok(file_read(&whole, path, 1 << 20, arena, &error), error);
    char *bytes = (char *)(uintptr_t)whole.data;
    for (size_t i = 0; i < 2 * whole.len; i += 3) {
        struct token_file file;
        struct error why = {0};
        size_t at = i % whole.len, len = i < whole.len ? whole.len : at;
        bytes[at] ^= i < whole.len ? 4 : 0;
        assert_ok(file_write_atomic(path, bytes, len, &error), error);
        if (token_file_open(&file, path, &why) != ERR_FORMAT)
            fail_msg("damage at byte %zu of %zu is not noticed", at, len);
        bytes[at] ^= i < whole.len ? 4 : 0;
    }
    arena_destroy(arena);
    place_destroy(&place);
}

/* In three epochs: each document's place in the stream, and the row that gives it out. */
static void rows_of_a_document_are_found_again(void **state)
{
    (void)state;
    struct stream stream;
    stream_create(&stream);
    struct loader *loader = make_loader(&stream, 5);
    struct rows one = make_rows(&stream, 1);
    uint64_t rows = 3 * stream.file.count / SEQUENCE;
    for (uint64_t row = 0; row < rows; row++) {
        loader_rows(loader, row, &one);
        assert_int_equal(loader_row_of(loader, loader_place(loader, row)), row);
    }
    for (uint64_t epoch = 0; epoch < 3; epoch++)
        for (size_t d = 0; d < DOCUMENTS; d++) {
            uint64_t begin = loader_document_at(loader, epoch, d);
            uint64_t row = loader_row_of(loader, begin / SEQUENCE);
            loader_rows(loader, row, &one);
            assert_int_equal(one.tokens[begin % SEQUENCE], stream.start[d]);
        }
    arena_destroy(stream.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_token_of_an_epoch_comes_exactly_once),
        cmocka_unit_test(the_target_is_the_next_token_across_rows_documents_and_epochs),
        cmocka_unit_test(a_row_depends_on_seed_and_number_only),
        cmocka_unit_test(first_keys_are_where_documents_begin),
        cmocka_unit_test(an_empty_corpus_is_refused),
        cmocka_unit_test(token_files_hold_the_texts_whatever_the_threads),
        cmocka_unit_test(token_files_damaged_anywhere_are_refused),
        cmocka_unit_test(rows_of_a_document_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
