#include "tokenizer/tokenizer_internal.h"

#include "base/file.h"

/* The file's fixed parts.  docs/tokenizer.md says why each value is what it is. */
static const char head[] = "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n"
                           "\"added_tokens\":[";
static const char middle[] = "],\n\"normalizer\":null,\n"
                             "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[\n"
                             "{\"type\":\"Split\",\"pattern\":{\"Regex\":";
static const char steps[] =
    "},\"behavior\":\"Isolated\",\"invert\":false},\n"
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false}]"
    "},\n"
    "\"post_processor\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":false,"
    "\"use_regex\":true},\n"
    "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
    "\"use_regex\":true},\n"
    "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
    "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
    "\"byte_fallback\":false,\"ignore_merges\":";

/* Appends text, which must be UTF-8, with what JSON must escape escaped. */
static status append_escaped(struct buffer *out, struct view text, struct error *error)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte == '"' || byte == '\\')
            TRY(buffer_append(out, "\\", 1, error));
        if (byte < ' ')
            TRY(buffer_format(out, error, "\\u%04x", byte));
        else
            TRY(buffer_append(out, &byte, 1, error));
    }
    return OK;
}

static status append_quoted(struct buffer *out, struct view text, struct error *error)
{
    TRY(buffer_append(out, "\"", 1, error));
    TRY(append_escaped(out, text, error));
    return buffer_append(out, "\"", 1, error);
}

/* A token in the printable alphabet, escaped, without quotation marks. */
static status append_token(struct buffer *out, const struct tokenizer *tokenizer, uint32_t id,
                           struct error *error)
{
    struct buffer printable;
    buffer_create(&printable, 2 * TOKENIZER_TOKEN_BYTES_MAX);
    status result;
    TRY_DONE(tokenizer_printable(&printable, tokenizer, id, error));
    TRY_DONE(append_escaped(out, (struct view){printable.data, printable.len}, error));
done:
    buffer_destroy(&printable);
    return result;
}

static const char *separator(uint32_t index)
{
    return index == 0 ? "\n" : ",\n";
}

static status append_specials(struct buffer *out, const struct tokenizer *tokenizer,
                              struct error *error)
{
    for (uint32_t id = tokenizer->special_first; id < tokenizer->vocabulary; id++) {
        TRY(buffer_format(
            out, error, "%s{\"id\":%u,\"content\":", separator(id - tokenizer->special_first), id));
        TRY(append_quoted(out, tokenizer->tokens[id], error));
        TRY(buffer_string(out,
                          ",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                          "\"normalized\":false,\"special\":true}",
                          error));
    }
    return OK;
}

static status append_vocabulary(struct buffer *out, const struct tokenizer *tokenizer,
                                struct error *error)
{
    for (uint32_t id = 0; id < tokenizer->special_first; id++) {
        TRY(buffer_format(out, error, "%s\"", separator(id)));
        TRY(append_token(out, tokenizer, id, error));
        TRY(buffer_format(out, error, "\":%u", id));
    }
    return OK;
}

static status append_merges(struct buffer *out, const struct tokenizer *tokenizer,
                            struct error *error)
{
    for (uint32_t rank = 0; rank < tokenizer->merge_count; rank++) {
        TRY(buffer_format(out, error, "%s\"", separator(rank)));
        TRY(append_token(out, tokenizer, tokenizer->merges[rank].left, error));
        TRY(buffer_append(out, " ", 1, error));
        TRY(append_token(out, tokenizer, tokenizer->merges[rank].right, error));
        TRY(buffer_append(out, "\"", 1, error));
    }
    return OK;
}

status tokenizer_write(struct buffer *out, const struct tokenizer *tokenizer, struct error *error)
{
    ASSERT(out && tokenizer && error);
    if (tokenizer->is_rank_table)
        return fail(error, ERR_FORMAT,
                    "a table of ranks has no list of merges and can't be a tokenizer.json");
    TRY(buffer_string(out, head, error));
    TRY(append_specials(out, tokenizer, error));
    TRY(buffer_string(out, middle, error));
    TRY(append_quoted(out, view_of(tokenizer->pattern->regex), error));
    TRY(buffer_string(out, steps, error));
    TRY(buffer_string(out, tokenizer->whole_words ? "true,\"vocab\":{" : "false,\"vocab\":{",
                      error));
    TRY(append_vocabulary(out, tokenizer, error));
    TRY(buffer_string(out, "},\"merges\":[", error));
    TRY(append_merges(out, tokenizer, error));
    return buffer_string(out, "]}}\n", error);
}

status tokenizer_save(const struct tokenizer *tokenizer, const char *path, struct error *error)
{
    ASSERT(tokenizer && path && error);
    struct buffer text;
    buffer_create(&text, TOKENIZER_FILE_BYTES_MAX);
    status result;
    TRY_DONE(tokenizer_write(&text, tokenizer, error));
    TRY_DONE(file_write_atomic(path, text.data, text.len, error));
done:
    buffer_destroy(&text);
    return result;
}
