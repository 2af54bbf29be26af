/* modules: base text tokenizer */
#include <stdlib.h>

#include "tokenizer/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

/* The single bytes that every vocabulary must have, in the printable alphabet. */
static void append_bytes(struct buffer *out, struct error *error)
{
    unsigned hidden = 0;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
        unsigned code_point = prints ? byte : 0x100 + hidden++;
        must(buffer_format(out, error, "\"\\u%04x\":%u,", code_point, byte) == OK);
    }
}

static const char head[] =
    "],\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
    "\"behavior\":\"Isolated\",\"invert\":false,\"pattern\":{\"Regex\":\"";
static const char middle[] =
    "\"}},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]},"
    "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{";

/* A whole file has thousands of bytes, which a fuzzer rarely keeps right.  So an input of three
 * lines or more is put into one: its first line ends the vocabulary, the second is the merges, the
 * third the special tokens.  Any other input is read as a file of its own. */
static bool in_frame(struct buffer *out, struct view text, struct error *error)
{
    struct view vocabulary, merges, specials;
    if (!view_line(&vocabulary, &text) || !view_line(&merges, &text) ||
        !view_line(&specials, &text))
        return false;
    must(buffer_string(out, "{\"version\":\"1.0\",\"added_tokens\":[", error) == OK);
    must(buffer_append(out, specials.data, specials.len, error) == OK);
    must(buffer_string(out, head, error) == OK);
    for (const char *c = tokenizer_pattern; *c; c++)
        must(buffer_string(out, *c == '\\' ? "\\\\" : (char[]){*c, 0}, error) == OK);
    must(buffer_string(out, middle, error) == OK);
    append_bytes(out, error);
    must(buffer_append(out, vocabulary.data, vocabulary.len, error) == OK);
    must(buffer_string(out, "},\"merges\":[", error) == OK);
    must(buffer_append(out, merges.data, merges.len, error) == OK);
    must(buffer_string(out, "]}}", error) == OK);
    return true;
}

/* What is accepted encodes any bytes without loss, and is written so that it reads back. */
static void use(const struct tokenizer *tokenizer, struct view text, struct arena *arena)
{
    struct error error = {0};
    struct tokenizer_encoder *encoder;
    struct tokenizer *again;
    struct tokens tokens;
    struct buffer back;
    tokens_create(&tokens, 1 << 20);
    buffer_create(&back, 1 << 22);
    must(tokenizer_encoder_create(&encoder, tokenizer, arena, &error) == OK);
    for (int specials = 0; specials < 2; specials++) {
        tokens_clear(&tokens);
        buffer_clear(&back);
        must(tokenizer_encode(&tokens, encoder, text, specials, &error) == OK);
        must(tokenizer_decode(&back, tokenizer, tokens.ids, tokens.count, &error) == OK);
        must(view_equal(text, (struct view){back.data, back.len}));
    }
    buffer_clear(&back);
    must(tokenizer_write(&back, tokenizer, &error) == OK);
    must(tokenizer_parse(&again, (struct view){back.data, back.len}, "again", arena, &error) == OK);
    must(tokenizer_vocabulary(again) == tokenizer_vocabulary(tokenizer));
    must(tokenizer_merge_count(again) == tokenizer_merge_count(tokenizer));
    tokenizer_encoder_destroy(encoder);
    buffer_destroy(&back);
    tokens_destroy(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct arena *arena;
    struct buffer framed;
    struct tokenizer *tokenizer;
    struct view text = {(const char *)data, size};
    buffer_create(&framed, 1 << 22);
    must(arena_create(&arena, 0, &error) == OK);
    struct view json = text;
    if (in_frame(&framed, text, &error))
        json = (struct view){framed.data, framed.len};
    if (tokenizer_parse(&tokenizer, json, "fuzz", arena, &error) == OK)
        use(tokenizer, text, arena);
    else
        must(error.text[0] != 0);
    arena_destroy(arena);
    buffer_destroy(&framed);
    return 0;
}
