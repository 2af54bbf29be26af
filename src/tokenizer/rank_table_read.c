#include "tokenizer/tokenizer_internal.h"

#include <cjson/cJSON.h>

/* A table of ranks as js-tiktoken packs it:
 *     {"pat_str": REGEX, "special_tokens": {...}, "bpe_ranks": "! 0 IQ== Ig== ...\n! 1000 ..."}
 * A line of bpe_ranks is an exclamation mark, the first token's id and the tokens in base64.  The
 * special tokens, whose ids may leave gaps, are passed over. */
enum { TOKEN_BYTES_MAX = 256 }; /* every cut of every token is looked up */

struct rank_reader {
    const char *name;
    struct view *tokens;
    uint32_t count, count_max;
    struct arena *arena;
    struct error *error;
};

bool is_rank_table(const struct cJSON *root)
{
    return cJSON_HasObjectItem(root, "bpe_ranks");
}

/* The six bits of a character of base64, or -1. */
static int six_bits(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648 with padding; false on anything else.  `out` has room for 3 bytes for each 4. */
static bool base64_decode(char *out, size_t *out_len, struct view text)
{
    *out_len = 0;
    if (text.len == 0 || text.len % 4 != 0)
        return false;
    for (size_t at = 0; at < text.len; at += 4) {
        bool last = at + 4 == text.len;
        int padding = !last || text.data[at + 3] != '=' ? 0 : text.data[at + 2] == '=' ? 2 : 1;
        uint32_t bits = 0;
        for (size_t i = 0; i < 4; i++) {
            int six = i >= 4 - (size_t)padding ? 0 : six_bits(text.data[at + i]);
            if (six < 0)
                return false;
            bits = bits << 6 | (uint32_t)six;
        }
        for (int i = 0; i < 3 - padding; i++)
            out[(*out_len)++] = (char)(bits >> (16 - 8 * i));
    }
    return true;
}

static bool next_word(struct view *word, struct view *line)
{
    while (line->len > 0 && line->data[0] == ' ')
        *line = (struct view){line->data + 1, line->len - 1};
    *word = (struct view){line->data, 0};
    while (word->len < line->len && line->data[word->len] != ' ')
        word->len++;
    *line = (struct view){line->data + word->len, line->len - word->len};
    return word->len > 0;
}

static status read_token(struct rank_reader *reader, struct view word)
{
    char *bytes;
    size_t len;
    if (reader->count == reader->count_max)
        return fail(reader->error, ERR_LIMIT, "%s: more than %u tokens", reader->name,
                    reader->count_max);
    if (word.len > (TOKEN_BYTES_MAX + 2) / 3 * 4)
        return fail(reader->error, ERR_FORMAT, "%s: token %u is longer than %d bytes", reader->name,
                    reader->count, TOKEN_BYTES_MAX);
    TRY_ALLOC(bytes, reader->arena, word.len, reader->error);
    if (!base64_decode(bytes, &len, word))
        return fail(reader->error, ERR_FORMAT, "%s: token %u, \"%.*s\", is no base64", reader->name,
                    reader->count, (int)(word.len < 40 ? word.len : 40), word.data);
    reader->tokens[reader->count++] = (struct view){bytes, len};
    return OK;
}

/* Lines must give the ids in order, without gaps. */
static status read_line(struct rank_reader *reader, struct view line)
{
    struct view word;
    uint64_t first;
    if (!next_word(&word, &line) || !view_is(word, "!") || !next_word(&word, &line) ||
        !parse_u64(&first, word) || first != reader->count)
        return fail(reader->error, ERR_FORMAT,
                    "%s: a line of field bpe_ranks must begin with \"! %u\"", reader->name,
                    reader->count);
    while (next_word(&word, &line))
        TRY(read_token(reader, word));
    return OK;
}

status rank_table_read(struct tokenizer **out, const char *name, const struct cJSON *root,
                       struct arena *arena, struct error *error)
{
    const cJSON *pattern = cJSON_GetObjectItemCaseSensitive(root, "pat_str");
    const cJSON *ranks = cJSON_GetObjectItemCaseSensitive(root, "bpe_ranks");
    if (!cJSON_IsString(pattern) || !cJSON_IsString(ranks))
        return fail(error, ERR_FORMAT, "%s: fields pat_str and bpe_ranks must be strings", name);
    const struct split_pattern *split = split_pattern_find(pattern->valuestring);
    if (!split)
        return fail(error, ERR_FORMAT,
                    "%s: field pat_str is \"%.64s\", supported are the patterns of cl100k, o200k "
                    "and r50k",
                    name, pattern->valuestring);
    struct rank_reader reader = {.name = name, .arena = arena, .error = error};
    struct view rest = view_of(ranks->valuestring), line;
    size_t most = rest.len / 5 + 1; /* four characters and a space a token */
    reader.count_max = most < TOKENIZER_VOCABULARY_MAX ? (uint32_t)most : TOKENIZER_VOCABULARY_MAX;
    TRY_ALLOC(reader.tokens, arena, reader.count_max, error);
    while (view_line(&line, &rest))
        TRY(read_line(&reader, line));
    struct tokenizer *tokenizer;
    struct token_list list = {reader.tokens, reader.count, 0};
    TRY(tokenizer_assemble(&tokenizer, name, list, arena, error));
    TRY(tokenizer_assemble_ranks(tokenizer, name, arena, error));
    tokenizer->pattern = split;
    *out = tokenizer;
    return OK;
}
