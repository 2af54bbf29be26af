/* Texts that the tokenizer's tests share: made-up prose, awkward characters, and the first part of
 * each file of real text when there is any. */
#ifndef RODNIK_TESTS_TOKENIZER_SAMPLES_H
#define RODNIK_TESTS_TOKENIZER_SAMPLES_H

#include <cjson/cJSON.h>
#include <zstd.h>

#include "base/file.h"
#include "base/random.h"
#include "text/utf8.h"
#include "tokenizer/tokenizer_internal.h"

#include "support.h"

/* Whatever the pattern treats in its own way, and what looks like it. */
static const char *const awkward[] = {
    " ",      " ",          "  ",     "\n",     "\r",     "\r\n", "\t",      "\v",      "\xC2\x85",
    "\u00A0", "\u2028",     "\u2003", "\u3000", "'",      "'",    "s",       "S",       "t",
    "re",     "R",          "E",      "ve",     "m",      "ll",   "L",       "d",       "\u017F",
    "\u212A", "a",          "Z",      "ж",      "Ё",      "é",    "e\u0301", "и\u0306", "漢",
    "ا",      "1",          "٣",      "²",      "Ⅷ",      "½",    ".",       ",",       "!",
    "-",      "—",          "«",      "_",      "^",      "😀",    "\u200D",  "\u200B",  "\uFEFF",
    "\u180F", "\U000E0061", "<|",     "|>",     "im_end", "\x01"};

enum { AWKWARD_COUNT = sizeof awkward / sizeof *awkward };

static inline void must_append(struct buffer *out, const char *data, size_t len)
{
    struct error error = {0};
    assert_ok(buffer_append(out, data, len, &error), error);
}

static inline void append_awkward(struct buffer *out, struct random_key key, size_t pieces)
{
    for (uint64_t i = 0; i < pieces; i++) {
        const char *piece = awkward[random_below(key, i, AWKWARD_COUNT)];
        must_append(out, piece, strlen(piece));
    }
}

/* Words of syllables, common ones far more often than rare ones, with capitals and punctuation. */
static inline void append_prose(struct buffer *out, uint64_t seed, size_t words)
{
    static const char *const syllables[] = {"ка", "по", "ни", "сто", "ра",  "ль",  "ем", "ов",
                                            "че", "ё",  "th", "er",  "ing", "con", "a",  "st"};
    struct random_key key = {seed, RANDOM_TEST, 1};
    for (uint64_t i = 0; i < words; i++) {
        uint64_t rank = random_below(key, 2 * i, 1 + random_below(key, 2 * i + 1, 4000));
        struct random_key word = {7, RANDOM_TEST, rank}; /* a word is a function of its rank */
        uint64_t count = 1 + random_below(word, 0, 5);
        for (uint64_t s = 1; s <= count; s++) {
            const char *syllable = syllables[random_below(word, s, 16)];
            must_append(out, syllable, strlen(syllable));
        }
        const char *end = rank % 11 == 0 ? ",\n" : rank % 13 == 0 ? ". 19" : " ";
        must_append(out, end, strlen(end));
    }
}

/* An iterator over one text as documents of some 10,000 bytes each. */
struct sample_documents {
    struct view text;
    size_t document_bytes;
    size_t at;
};

static inline status sample_next(void *context, struct view *text, struct error *error)
{
    (void)error;
    struct sample_documents *documents = context;
    size_t left = documents->text.len - documents->at;
    if (left == 0) {
        documents->at = 0;
        *text = (struct view){0};
        return OK;
    }
    size_t len = left < documents->document_bytes ? left : documents->document_bytes;
    *text = (struct view){documents->text.data + documents->at, len};
    documents->at += len;
    return OK;
}

static inline struct tokenizer *sample_tokenizer(struct arena *arena, struct view text,
                                                 uint32_t vocabulary)
{
    struct error error = {0};
    struct tokenizer *tokenizer = NULL;
    struct sample_documents documents = {text, 10000, 0};
    struct tokenizer_training training = {
        .vocabulary = vocabulary, .next = sample_next, .context = &documents};
    assert_ok(tokenizer_train(&tokenizer, &training, arena, &error), error);
    return tokenizer;
}

/* The texts in the first `bytes_max` bytes of a file of JSON lines under zstd, joined. */
static inline void append_real(struct buffer *out, const char *path, size_t bytes_max)
{
    struct error error = {0};
    struct file_bytes file;
    assert_ok(file_map(&file, path, &error), error);
    char *plain = malloc(bytes_max);
    assert_non_null(plain);
    ZSTD_DStream *stream = ZSTD_createDStream();
    ZSTD_inBuffer in = {file.data, file.len, 0};
    ZSTD_outBuffer got = {plain, bytes_max, 0};
    while (in.pos < in.size && got.pos < got.size)
        assert_false(ZSTD_isError(ZSTD_decompressStream(stream, &got, &in)));
    ZSTD_freeDStream(stream);
    file_unmap(&file);
    /* The end may lie within a character. */
    struct view rest = {plain, utf8_floor((struct view){plain, got.pos}, got.pos - 1)}, line;
    while (view_line(&line, &rest)) {
        cJSON *root = cJSON_ParseWithLength(line.data, line.len);
        const cJSON *text = cJSON_GetObjectItemCaseSensitive(root, "text");
        if (cJSON_IsString(text))
            must_append(out, text->valuestring, strlen(text->valuestring));
        else if (!root) /* the last line is cut: its raw bytes are text too */
            must_append(out, line.data, line.len);
        cJSON_Delete(root);
    }
    free(plain);
}

static const char samples_folder[] = "../shared/data/pretrain";

static inline bool test_is_long(void)
{
    const char *value = getenv("RODNIK_TEST_LONG");
    return value && strcmp(value, "1") == 0;
}

#endif
