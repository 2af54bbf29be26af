/* modules: base text tokenizer */
#include <stdlib.h>

#include "tokenizer/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

/* The 256 single bytes in base64, which every table must have. */
static void append_bytes(struct buffer *out, struct error *error)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (unsigned byte = 0; byte < 256; byte++)
        must(buffer_format(out, error, " %c%c==", digits[byte >> 2], digits[(byte & 3) << 4]) ==
             OK);
}

/* Input that does not begin with a brace ends a table of all bytes: its first line is tokens, the
 * second more lines of the table as JSON has them. */
static bool in_frame(struct buffer *out, struct view text, struct error *error)
{
    struct view tokens;
    if (text.len == 0 || text.data[0] == '{' || !view_line(&tokens, &text))
        return false;
    must(buffer_string(out, "{\"pat_str\":\"", error) == OK);
    for (const char *c = tokenizer_pattern; *c; c++)
        must(buffer_string(out, *c == '\\' ? "\\\\" : (char[]){*c, 0}, error) == OK);
    must(buffer_string(out, "\",\"bpe_ranks\":\"! 0", error) == OK);
    append_bytes(out, error);
    must(buffer_string(out, " ", error) == OK);
    must(buffer_append(out, tokens.data, tokens.len, error) == OK);
    must(buffer_append(out, text.data, text.len, error) == OK);
    must(buffer_string(out, "\"}", error) == OK);
    return true;
}

/* What is accepted encodes any bytes without loss. */
static void use(const struct tokenizer *tokenizer, struct view text, struct arena *arena)
{
    struct error error = {0};
    struct tokenizer_encoder *encoder;
    struct tokens tokens;
    struct buffer back;
    tokens_create(&tokens, 1 << 20);
    buffer_create(&back, 1 << 22);
    must(tokenizer_encoder_create(&encoder, tokenizer, arena, &error) == OK);
    must(tokenizer_encode(&tokens, encoder, text, true, &error) == OK);
    must(tokenizer_decode(&back, tokenizer, tokens.ids, tokens.count, &error) == OK);
    must(view_equal(text, (struct view){back.data, back.len}));
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
    struct view json =
        in_frame(&framed, text, &error) ? (struct view){framed.data, framed.len} : text;
    if (tokenizer_parse(&tokenizer, json, "fuzz", arena, &error) == OK)
        use(tokenizer, text, arena);
    else
        must(error.text[0] != 0);
    arena_destroy(arena);
    buffer_destroy(&framed);
    return 0;
}
