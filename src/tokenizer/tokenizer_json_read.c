#include "tokenizer/tokenizer_internal.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/utf8.h"

/* Reads a tokenizer.json.  Whatever would change the ids must be there as this program means it:
 * every field is checked, and one that is unknown to be harmless is refused, not passed over. */
struct reader {
    const char *name; /* of the file, for errors */
    struct view *tokens;
    uint32_t vocabulary, specials;
    const struct split_pattern *pattern;
    struct arena *arena;
    struct error *error;
};

enum { JSON_NAME_BYTES = 64 }; /* how much of a found value an error shows */

/* ---- fields ------------------------------------------------------------- */

static status field_wrong(struct reader *reader, const char *field, const char *wanted)
{
    return fail(reader->error, ERR_FORMAT, "%s: field %s must be %s", reader->name, field, wanted);
}

static status want_object(const cJSON **out, struct reader *reader, const cJSON *parent,
                          const char *field)
{
    *out = cJSON_GetObjectItemCaseSensitive(parent, field);
    return cJSON_IsObject(*out) ? OK : field_wrong(reader, field, "an object");
}

static status want_array(const cJSON **out, struct reader *reader, const cJSON *parent,
                         const char *field)
{
    *out = cJSON_GetObjectItemCaseSensitive(parent, field);
    return cJSON_IsArray(*out) ? OK : field_wrong(reader, field, "an array");
}

static status want_text(struct reader *reader, const cJSON *parent, const char *field,
                        const char *wanted)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(parent, field);
    if (!cJSON_IsString(item))
        return field_wrong(reader, field, "a string");
    if (strcmp(item->valuestring, wanted) != 0)
        return fail(reader->error, ERR_FORMAT, "%s: field %s is \"%.*s\", supported is \"%s\"",
                    reader->name, field, JSON_NAME_BYTES, item->valuestring, wanted);
    return OK;
}

static status want_bool(struct reader *reader, const cJSON *parent, const char *field, bool wanted)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(parent, field);
    bool right = cJSON_IsBool(item) && cJSON_IsTrue(item) == wanted;
    return right ? OK : field_wrong(reader, field, wanted ? "true" : "false");
}

/* Absent, null, false and the empty string all say that a feature is not used. */
static status want_unused(struct reader *reader, const cJSON *parent, const char *field)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(parent, field);
    if (!item || cJSON_IsNull(item) || cJSON_IsFalse(item))
        return OK;
    if (cJSON_IsString(item) && item->valuestring[0] == 0)
        return OK;
    return field_wrong(reader, field, "null or absent");
}

static status want_all_unused(struct reader *reader, const cJSON *parent, const char *const *fields)
{
    for (; *fields; fields++)
        TRY(want_unused(reader, parent, *fields));
    return OK;
}

/* ---- how text is cut ---------------------------------------------------- */

static status want_pattern(struct reader *reader, const cJSON *parent)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(parent, "Regex");
    if (!cJSON_IsString(item))
        return field_wrong(reader, "Regex", "a string");
    reader->pattern = split_pattern_find(item->valuestring);
    if (!reader->pattern)
        return fail(reader->error, ERR_FORMAT,
                    "%s: field Regex is \"%.*s\", supported are the patterns of rodnik, qwen2, "
                    "cl100k, o200k and gpt2",
                    reader->name, JSON_NAME_BYTES, item->valuestring);
    return OK;
}

static status check_pre_tokenizer(struct reader *reader, const cJSON *root)
{
    const cJSON *sequence, *list, *pattern;
    TRY(want_object(&sequence, reader, root, "pre_tokenizer"));
    TRY(want_text(reader, sequence, "type", "Sequence"));
    TRY(want_array(&list, reader, sequence, "pretokenizers"));
    if (cJSON_GetArraySize(list) != 2)
        return field_wrong(reader, "pretokenizers", "Split and ByteLevel");
    const cJSON *split = list->child, *bytes = list->child->next;
    TRY(want_text(reader, split, "type", "Split"));
    TRY(want_object(&pattern, reader, split, "pattern"));
    TRY(want_pattern(reader, pattern));
    TRY(want_text(reader, split, "behavior", "Isolated"));
    TRY(want_bool(reader, split, "invert", false));
    TRY(want_text(reader, bytes, "type", "ByteLevel"));
    TRY(want_bool(reader, bytes, "add_prefix_space", false));
    return want_bool(reader, bytes, "use_regex", false);
}

/* A ByteLevel post-processor only moves offsets; any other may add tokens. */
static status check_post_processor(struct reader *reader, const cJSON *root)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, "post_processor");
    if (!item || cJSON_IsNull(item))
        return OK;
    return want_text(reader, item, "type", "ByteLevel");
}

static status check_settings(struct reader *reader, const cJSON *root, const cJSON *model)
{
    static const char *const outside[] = {"truncation", "padding", "normalizer", NULL};
    static const char *const inside[] = {
        "dropout",       "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
        "byte_fallback", NULL};
    TRY(want_text(reader, root, "version", "1.0"));
    TRY(want_all_unused(reader, root, outside));
    TRY(want_all_unused(reader, model, inside));
    TRY(want_text(reader, model, "type", "BPE"));
    TRY(check_pre_tokenizer(reader, root));
    TRY(check_post_processor(reader, root));
    const cJSON *decoder;
    TRY(want_object(&decoder, reader, root, "decoder"));
    return want_text(reader, decoder, "type", "ByteLevel");
}

/* ---- tokens ------------------------------------------------------------- */

static status token_place(struct reader *reader, const cJSON *id, const char *text,
                          struct view bytes)
{
    if (!cJSON_IsNumber(id) || id->valuedouble < 0 || id->valuedouble >= reader->vocabulary ||
        id->valuedouble != (double)(uint32_t)id->valuedouble)
        return fail(reader->error, ERR_FORMAT,
                    "%s: the id of token \"%.*s\" must be a whole number below %u", reader->name,
                    JSON_NAME_BYTES, text, reader->vocabulary);
    struct view *place = &reader->tokens[(uint32_t)id->valuedouble];
    if (place->data)
        return fail(reader->error, ERR_FORMAT, "%s: two tokens have id %u", reader->name,
                    (uint32_t)id->valuedouble);
    *place = bytes;
    return OK;
}

/* The bytes of a token in the printable alphabet, in the arena. */
static status token_bytes(struct view *out, struct reader *reader, struct view printable)
{
    char *bytes;
    size_t len;
    if (printable.len > 2 * TOKENIZER_TOKEN_BYTES_MAX)
        return fail(reader->error, ERR_FORMAT, "%s: a token of %zu bytes, allowed are %d",
                    reader->name, printable.len, 2 * TOKENIZER_TOKEN_BYTES_MAX);
    TRY_ALLOC(bytes, reader->arena, printable.len + 1, reader->error);
    if (!alphabet_decode(bytes, &len, printable))
        return fail(reader->error, ERR_FORMAT,
                    "%s: token \"%.*s\" has a character outside the byte alphabet", reader->name,
                    JSON_NAME_BYTES, printable.data);
    *out = (struct view){bytes, len};
    return OK;
}

static status read_vocabulary(struct reader *reader, const cJSON *vocabulary)
{
    uint32_t ordinary = reader->vocabulary - reader->specials;
    for (const cJSON *item = vocabulary->child; item; item = item->next) {
        struct view bytes;
        TRY(token_bytes(&bytes, reader, view_of(item->string)));
        TRY(token_place(reader, item, item->string, bytes));
        if (item->valuedouble >= ordinary)
            return fail(
                reader->error, ERR_FORMAT,
                "%s: token \"%.*s\" has id %.0f, but ids from %u on belong to special tokens",
                reader->name, JSON_NAME_BYTES, item->string, item->valuedouble, ordinary);
    }
    return OK;
}

static status read_special(struct reader *reader, const cJSON *item)
{
    static const char *const switches[] = {"single_word", "lstrip", "rstrip", "normalized"};
    if (!cJSON_IsObject(item))
        return field_wrong(reader, "added_tokens", "a list of objects");
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        TRY(want_bool(reader, item, switches[i], false));
    TRY(want_bool(reader, item, "special", true));
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(item, "content");
    if (!cJSON_IsString(content) || !utf8_valid(view_of(content->valuestring)))
        return field_wrong(reader, "content", "a string of UTF-8");
    char *text = arena_string(reader->arena, content->valuestring, reader->error);
    if (!text)
        return ERR_MEMORY;
    return token_place(reader, cJSON_GetObjectItemCaseSensitive(item, "id"), text, view_of(text));
}

/* Ids must be 0 to vocabulary - 1, the special tokens' last. Counting both and finding no id twice
 * and none too large shows that none is missing. */
static status read_tokens(struct tokenizer **out, struct reader *reader, const cJSON *root,
                          const cJSON *model)
{
    const cJSON *vocabulary, *added;
    TRY(want_object(&vocabulary, reader, model, "vocab"));
    TRY(want_array(&added, reader, root, "added_tokens"));
    int ordinary = cJSON_GetArraySize(vocabulary), specials = cJSON_GetArraySize(added);
    if (specials > TOKENIZER_SPECIALS_MAX)
        return fail(reader->error, ERR_LIMIT, "%s: %d special tokens, allowed are %d", reader->name,
                    specials, TOKENIZER_SPECIALS_MAX);
    if (ordinary > TOKENIZER_VOCABULARY_MAX - specials)
        return fail(reader->error, ERR_LIMIT, "%s: a vocabulary of %d tokens, allowed are %d",
                    reader->name, ordinary + specials, TOKENIZER_VOCABULARY_MAX);
    reader->specials = (uint32_t)specials;
    reader->vocabulary = (uint32_t)(ordinary + specials);
    TRY_ALLOC(reader->tokens, reader->arena, reader->vocabulary, reader->error);
    TRY(read_vocabulary(reader, vocabulary));
    for (const cJSON *item = added->child; item; item = item->next)
        TRY(read_special(reader, item));
    struct token_list list = {reader->tokens, reader->vocabulary, reader->specials};
    return tokenizer_assemble(out, reader->name, list, reader->arena, reader->error);
}

/* ---- merges ------------------------------------------------------------- */

static status merge_part(uint32_t *out, struct reader *reader, const struct tokenizer *tokenizer,
                         struct view printable)
{
    char bytes[2 * TOKENIZER_TOKEN_BYTES_MAX];
    size_t len = 0;
    uint32_t id = TOKEN_NONE;
    if (printable.len <= sizeof bytes && alphabet_decode(bytes, &len, printable))
        id = tokenizer_find(tokenizer, (struct view){bytes, len});
    if (id == TOKEN_NONE || tokenizer_is_special(tokenizer, id))
        return fail(reader->error, ERR_FORMAT, "%s: a merge of \"%.*s\", which is no token",
                    reader->name,
                    (int)(printable.len < JSON_NAME_BYTES ? printable.len : JSON_NAME_BYTES),
                    printable.data);
    *out = id;
    return OK;
}

/* "left right", or ["left", "right"]. */
static status read_merge(struct merge *out, struct reader *reader,
                         const struct tokenizer *tokenizer, const cJSON *item)
{
    struct view left, right;
    if (cJSON_IsString(item)) {
        const char *space = strchr(item->valuestring, ' ');
        if (!space)
            return field_wrong(reader, "merges", "pairs with a space between");
        left = (struct view){item->valuestring, (size_t)(space - item->valuestring)};
        right = view_of(space + 1);
    } else if (cJSON_IsArray(item) && cJSON_IsString(item->child) &&
               cJSON_IsString(item->child->next) && !item->child->next->next) {
        left = view_of(item->child->valuestring);
        right = view_of(item->child->next->valuestring);
    } else {
        return field_wrong(reader, "merges", "a list of pairs");
    }
    TRY(merge_part(&out->left, reader, tokenizer, left));
    return merge_part(&out->right, reader, tokenizer, right);
}

static status read_merges(struct tokenizer *tokenizer, struct reader *reader, const cJSON *model)
{
    const cJSON *list;
    struct merge *merges;
    TRY(want_array(&list, reader, model, "merges"));
    int count = cJSON_GetArraySize(list);
    if (count > TOKENIZER_VOCABULARY_MAX)
        return fail(reader->error, ERR_LIMIT, "%s: %d merges, allowed are %d", reader->name, count,
                    TOKENIZER_VOCABULARY_MAX);
    TRY_ALLOC(merges, reader->arena, (size_t)count, reader->error);
    struct merge *next = merges;
    for (const cJSON *item = list->child; item; item = item->next)
        TRY(read_merge(next++, reader, tokenizer, item));
    return tokenizer_assemble_merges(tokenizer, reader->name, merges, (uint32_t)count,
                                     reader->arena, reader->error);
}

/* ---- the whole ---------------------------------------------------------- */

static status read_root(struct tokenizer **out, struct reader *reader, const cJSON *root)
{
    const cJSON *model;
    struct tokenizer *tokenizer;
    if (!cJSON_IsObject(root))
        return fail(reader->error, ERR_FORMAT, "%s: not a JSON object", reader->name);
    if (is_rank_table(root))
        return rank_table_read(out, reader->name, root, reader->arena, reader->error);
    TRY(want_object(&model, reader, root, "model"));
    TRY(check_settings(reader, root, model));
    TRY(read_tokens(&tokenizer, reader, root, model));
    TRY(read_merges(tokenizer, reader, model));
    tokenizer->pattern = reader->pattern;
    tokenizer->whole_words = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(model, "ignore_merges"));
    *out = tokenizer;
    return OK;
}

status tokenizer_parse(struct tokenizer **out, struct view json, const char *name,
                       struct arena *arena, struct error *error)
{
    ASSERT(out && (json.data || json.len == 0) && name && arena && error);
    if (json.len > TOKENIZER_FILE_BYTES_MAX)
        return fail(error, ERR_LIMIT, "%s: %zu bytes, allowed are %d", name, json.len,
                    TOKENIZER_FILE_BYTES_MAX);
    struct reader reader = {.name = name, .arena = arena, .error = error};
    cJSON *root = cJSON_ParseWithLength(json.data ? json.data : "", json.len);
    status result =
        root ? read_root(out, &reader, root) : fail(error, ERR_FORMAT, "%s: not valid JSON", name);
    cJSON_Delete(root);
    return result;
}

status tokenizer_load(struct tokenizer **out, const char *path, struct arena *arena,
                      struct error *error)
{
    ASSERT(out && path && arena && error);
    struct file_bytes bytes;
    TRY(file_map(&bytes, path, error));
    struct view json = {(const char *)bytes.data, bytes.len};
    status result = tokenizer_parse(out, json, path, arena, error);
    file_unmap(&bytes);
    return result;
}
