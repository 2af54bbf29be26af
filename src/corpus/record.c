/* A line of JSON becomes a record. */
#include "corpus/corpus.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "text/utf8.h"

/* ---- by cJSON ---- */

static const char *text_member(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsString(item) && *item->valuestring ? item->valuestring : NULL;
}

static bool copy_member(const char **out, const cJSON *json, const char *name, struct arena *arena)
{
    struct error error = {0};
    const char *text = text_member(json, name);
    *out = text ? arena_string(arena, text, &error) : NULL;
    return !text || *out;
}

static bool fill(struct record *out, const char **reason, const cJSON *json, const char *text_field,
                 struct arena *arena)
{
    struct error error = {0};
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(json, text_field);
    if (!cJSON_IsObject(json)) {
        *reason = "a line is not a JSON object";
        return false;
    }
    if (!cJSON_IsString(text)) {
        *reason = "a line has no text in the field asked for";
        return false;
    }
    const char *copy = arena_string(arena, text->valuestring, &error);
    struct record record = {.text = {copy, copy ? strlen(copy) : 0}};
    *reason = "no memory";
    if (!copy || !copy_member(&record.id, json, "id", arena) ||
        !copy_member(&record.source, json, "source", arena) ||
        !copy_member(&record.license, json, "license", arena) ||
        !copy_member(&record.url, json, "url", arena) ||
        !copy_member(&record.title, json, "title", arena))
        return false;
    *out = record;
    return true;
}

bool record_parse_slowly(struct record *out, const char **reason, struct view line,
                         const char *text_field, struct arena *arena)
{
    ASSERT(out && reason && text_field && arena);
    cJSON *json = cJSON_ParseWithLength(line.data, line.len);
    bool filled = fill(out, reason, json, text_field, arena);
    cJSON_Delete(json);
    return filled;
}

/* ---- in one go ----
 * An object as RFC 8259 has it, whose wanted strings are unescaped straight to where they stay.
 * Whatever is not quite usual (a raw NUL, U+0000, lone surrogates, deep nesting, any fault) is left
 * to cJSON, so that there is one opinion on it. */

enum member { TEXT, ID, SOURCE, LICENSE, URL, TITLE, MEMBERS };
enum { DEPTH_MAX = 16 };

struct fast {
    const char *at, *end; /* what is left of the line */
    char *to;             /* where the next string goes: never more bytes than were taken */
    const char *names[MEMBERS];
    struct view values[MEMBERS]; /* data is NULL where there is no string */
    bool seen[MEMBERS];
};

static char peek(const struct fast *fast)
{
    return fast->at < fast->end ? *fast->at : 0;
}

static bool take(struct fast *fast, char c)
{
    bool is = peek(fast) == c;
    fast->at += is;
    return is;
}

static void skip_space(struct fast *fast)
{
    while (fast->at < fast->end &&
           (*fast->at == ' ' || *fast->at == '\t' || *fast->at == '\n' || *fast->at == '\r'))
        fast->at++;
}

/* Four digits behind \u; 0: there are none, or it is U+0000. */
static uint32_t hex_four(const char *at, const char *end)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at + i < end ? at[i] : 0, lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value << 4 | (uint32_t)(lower - 'a' + 10);
        else
            return 0;
    }
    return value;
}

/* The character behind \u, with its second half if it has two. */
static bool take_code(struct fast *fast)
{
    uint32_t c = hex_four(fast->at, fast->end);
    if (c == 0 || (c >= 0xDC00 && c < 0xE000))
        return false;
    fast->at += 4;
    if (c >= 0xD800 && c < 0xDC00) {
        if (fast->end - fast->at < 6 || fast->at[0] != '\\' || fast->at[1] != 'u')
            return false;
        uint32_t low = hex_four(fast->at + 2, fast->end);
        if (low < 0xDC00 || low >= 0xE000)
            return false;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        fast->at += 6;
    }
    char bytes[UTF8_BYTES_MAX];
    size_t len = utf8_encode(bytes, c);
    memcpy(fast->to, bytes, len);
    fast->to += len;
    return true;
}

/* What stands behind a backslash. */
static bool take_escape(struct fast *fast)
{
    static const char plain[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    char c = peek(fast);
    fast->at++;
    if (c == 'u')
        return take_code(fast);
    const char *found = c ? strchr(plain, c) : NULL;
    if (!found)
        return false;
    *fast->to++ = means[found - plain];
    return true;
}

static void take_run(struct fast *fast, const char *end)
{
    size_t len = (size_t)(end - fast->at);
    memcpy(fast->to, fast->at, len);
    fast->to += len;
    fast->at = end;
}

/* A string with a NUL behind it. */
static bool take_string(struct view *out, struct fast *fast)
{
    char *begin = fast->to;
    const char *quote = NULL;
    if (!take(fast, '"'))
        return false;
    for (;;) {
        if (!quote || quote < fast->at)
            quote = memchr(fast->at, '"', (size_t)(fast->end - fast->at));
        if (!quote)
            return false;
        const char *escape = memchr(fast->at, '\\', (size_t)(quote - fast->at));
        take_run(fast, escape ? escape : quote);
        fast->at++;
        if (!escape)
            break;
        if (!take_escape(fast))
            return false;
    }
    *out = (struct view){begin, (size_t)(fast->to - begin)};
    *fast->to++ = 0;
    return true;
}

static bool take_digits(struct fast *fast)
{
    const char *begin = fast->at;
    while (peek(fast) >= '0' && peek(fast) <= '9')
        fast->at++;
    return fast->at > begin;
}

/* cJSON reads no more than 63 characters of a number. */
static bool take_number(struct fast *fast)
{
    const char *begin = fast->at;
    (void)take(fast, '-');
    if (!take(fast, '0') && !take_digits(fast))
        return false;
    if (take(fast, '.') && !take_digits(fast))
        return false;
    if (take(fast, 'e') || take(fast, 'E')) {
        if (!take(fast, '+'))
            (void)take(fast, '-');
        if (!take_digits(fast))
            return false;
    }
    return fast->at - begin < 60;
}

static bool take_word(struct fast *fast, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(fast->end - fast->at) < len || memcmp(fast->at, word, len) != 0)
        return false;
    fast->at += len;
    return true;
}

static bool take_object(struct fast *fast, int depth);
static bool take_array(struct fast *fast, int depth);

/* *out keeps its NULL when it is no string. */
static bool take_value(struct view *out, struct fast *fast, int depth)
{
    switch (peek(fast)) {
    case '"':
        return take_string(out, fast);
    case '{':
        return take_object(fast, depth + 1);
    case '[':
        return take_array(fast, depth + 1);
    case 't':
        return take_word(fast, "true");
    case 'f':
        return take_word(fast, "false");
    case 'n':
        return take_word(fast, "null");
    default:
        return take_number(fast);
    }
}

static bool take_array(struct fast *fast, int depth)
{
    struct view value;
    char *to = fast->to;
    if (depth > DEPTH_MAX || !take(fast, '['))
        return false;
    skip_space(fast);
    if (take(fast, ']'))
        return true;
    do {
        skip_space(fast);
        if (!take_value(&value, fast, depth))
            return false;
        fast->to = to;
        skip_space(fast);
    } while (take(fast, ','));
    return take(fast, ']');
}

/* A member of the outermost object is kept if it is wanted and the first of its name. */
static bool keep(struct fast *fast, const char *name, struct view value)
{
    bool kept = false;
    for (int i = 0; i < MEMBERS; i++) {
        if (fast->seen[i] || strcmp(fast->names[i], name) != 0)
            continue;
        fast->seen[i] = kept = true;
        fast->values[i] = value;
    }
    return kept;
}

static bool take_member(struct fast *fast, int depth)
{
    struct view name, value = {NULL, 0};
    char *to = fast->to;
    skip_space(fast);
    if (!take_string(&name, fast))
        return false;
    skip_space(fast);
    if (!take(fast, ':'))
        return false;
    skip_space(fast);
    if (!take_value(&value, fast, depth))
        return false;
    if (depth > 0 || !keep(fast, name.data, value) || !value.data)
        fast->to = to;
    return true;
}

static bool take_object(struct fast *fast, int depth)
{
    if (depth > DEPTH_MAX || !take(fast, '{'))
        return false;
    skip_space(fast);
    if (take(fast, '}'))
        return true;
    do {
        if (!take_member(fast, depth))
            return false;
        skip_space(fast);
    } while (take(fast, ','));
    return take(fast, '}');
}

static const char *or_null(struct view value)
{
    return value.len ? value.data : NULL;
}

static bool parse_fast(struct record *out, struct view line, const char *text_field,
                       struct buffer *room)
{
    struct error error = {0};
    struct fast fast = {
        .at = line.data,
        .end = line.data + line.len,
        .names = {text_field, "id", "source", "license", "url", "title"},
    };
    buffer_clear(room);
    if (line.len == 0 || memchr(line.data, 0, line.len) ||
        buffer_reserve(room, line.len, &error) != OK)
        return false;
    fast.to = room->data;
    skip_space(&fast);
    if (!take_object(&fast, 0) || !fast.values[TEXT].data)
        return false;
    room->len = (size_t)(fast.to - room->data);
    *out = (struct record){.text = fast.values[TEXT],
                           .id = or_null(fast.values[ID]),
                           .source = or_null(fast.values[SOURCE]),
                           .license = or_null(fast.values[LICENSE]),
                           .url = or_null(fast.values[URL]),
                           .title = or_null(fast.values[TITLE])};
    return true;
}

bool record_parse(struct record *out, const char **reason, struct view line, const char *text_field,
                  struct buffer *room, struct arena *arena)
{
    ASSERT(out && reason && text_field && room && arena);
    return parse_fast(out, line, text_field, room) ||
           record_parse_slowly(out, reason, line, text_field, arena);
}
