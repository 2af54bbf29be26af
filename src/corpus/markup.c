#include "corpus/markup.h"

#include <string.h>

#include "corpus/markup_names.h"
#include "text/utf8.h"

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

struct markup markup_of(struct view bytes, bool xml)
{
    return (struct markup){.left = bytes, .xml = xml};
}

static void skip_bytes(struct markup *markup, size_t count)
{
    if (count > markup->left.len)
        count = markup->left.len;
    markup->left.data += count;
    markup->left.len -= count;
}

static bool starts(struct view text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && memcmp(text.data, prefix, len) == 0;
}

/* Where `end` begins, or the length when it is not there. */
static size_t find(struct view text, const char *end)
{
    const char *at = memmem(text.data, text.len, end, strlen(end));
    return at ? (size_t)(at - text.data) : text.len;
}

/* ---- what is skipped ---- */

/* <!DOCTYPE x [ ... ]>: nothing that it declares is used. */
static void skip_declaration(struct markup *markup)
{
    int depth = 0;
    char quote = 0;
    for (size_t i = 0; i < markup->left.len; i++) {
        char c = markup->left.data[i];
        if (quote)
            quote = c == quote ? 0 : quote;
        else if (depth && (c == '"' || c == '\''))
            quote = c;
        else if (c == '[')
            depth = 1;
        else if (c == ']')
            depth = 0;
        else if (c == '>' && !depth) {
            skip_bytes(markup, i + 1);
            return;
        }
    }
    skip_bytes(markup, markup->left.len);
}

/* Comments, declarations, instructions; false: it is none of them. */
static bool skip_other(struct markup *markup)
{
    if (starts(markup->left, "<!--"))
        skip_bytes(markup, find(markup->left, "-->") + 3);
    else if (starts(markup->left, "<?"))
        skip_bytes(markup, find(markup->left, markup->xml ? "?>" : ">") + (markup->xml ? 2 : 1));
    else if (starts(markup->left, "<!"))
        skip_declaration(markup);
    else
        return false;
    return true;
}

/* ---- tags ---- */

/* Where the tag's > stands; quotes count where a value begins. */
static size_t tag_end(struct view text, size_t at)
{
    char before = 0;
    while (at < text.len) {
        char c = text.data[at];
        if (c == '>')
            return at;
        if ((c == '"' || c == '\'') && before == '=') {
            const char *close = memchr(text.data + at + 1, c, text.len - at - 1);
            if (!close)
                return text.len;
            at = (size_t)(close - text.data);
        }
        if (!is_space(c))
            before = c;
        at++;
    }
    return text.len;
}

static bool is_raw(struct view name)
{
    static const char *const names[] = {"script", "style",  "textarea", "title",
                                        "xmp",    "iframe", "noembed",  "noframes"};
    if (name.len < 3 || name.len > 8)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (lower(*name.data) == *names[i] && strlen(names[i]) == name.len &&
            strncasecmp(name.data, names[i], name.len) == 0)
            return true;
    return false;
}

static struct view without_prefix(struct view name)
{
    const char *colon = memchr(name.data, ':', name.len);
    if (!colon || (size_t)(colon - name.data) + 1 == name.len)
        return name;
    size_t skipped = (size_t)(colon - name.data) + 1;
    return (struct view){name.data + skipped, name.len - skipped};
}

static void take_tag(struct markup_token *out, struct markup *markup, bool closes)
{
    size_t begin = closes ? 2 : 1, at = begin;
    struct view text = markup->left;
    while (at < text.len && !is_space(text.data[at]) && text.data[at] != '>' &&
           !(text.data[at] == '/' && !closes))
        at++;
    struct view name = {text.data + begin, at - begin};
    size_t end = tag_end(text, at);
    out->kind = closes ? MARKUP_CLOSE : MARKUP_OPEN;
    out->attributes = (struct view){text.data + at, end - at};
    out->empty = !closes && end > at && text.data[end - 1] == '/';
    out->name = markup->xml ? without_prefix(name) : name;
    skip_bytes(markup, end + 1);
    if (!markup->xml && !closes && !out->empty && is_raw(name))
        markup->raw = name;
}

/* Content of a script: until its own closing tag. */
static bool take_raw(struct markup_token *out, struct markup *markup)
{
    struct view text = markup->left, name = markup->raw;
    size_t at = 0;
    markup->raw = (struct view){NULL, 0};
    while (at < text.len) {
        const char *less = memchr(text.data + at, '<', text.len - at);
        if (!less) {
            at = text.len;
            break;
        }
        at = (size_t)(less - text.data);
        if (text.len - at > name.len + 2 && less[1] == '/' &&
            strncasecmp(less + 2, name.data, name.len) == 0 && !is_letter(less[2 + name.len]))
            break;
        at++;
    }
    if (at == 0)
        return false;
    /* a title has references, a script has none */
    *out = (struct markup_token){
        .kind = MARKUP_TEXT, .text = {text.data, at}, .literal = lower(*name.data) != 't'};
    skip_bytes(markup, at);
    return true;
}

static bool is_tag(struct view text, bool xml)
{
    if (text.len < 2)
        return false;
    char c = text.data[1] == '/' && text.len > 2 ? text.data[2] : text.data[1];
    return is_letter(c) || (xml && (c == '_' || (unsigned char)c >= 0x80));
}

static void take_text(struct markup_token *out, struct markup *markup)
{
    size_t from = markup->left.data[0] == '<'; /* one that begins no tag */
    const char *less = memchr(markup->left.data + from, '<', markup->left.len - from);
    size_t len = less ? (size_t)(less - markup->left.data) : markup->left.len;
    out->kind = MARKUP_TEXT;
    out->text = (struct view){markup->left.data, len};
    skip_bytes(markup, len);
}

bool markup_next(struct markup_token *out, struct markup *markup)
{
    *out = (struct markup_token){0};
    if (markup->raw.data && take_raw(out, markup))
        return true;
    while (markup->left.len) {
        if (markup->left.data[0] != '<') {
            take_text(out, markup);
            return true;
        }
        if (starts(markup->left, "<![CDATA[")) {
            skip_bytes(markup, 9);
            size_t len = find(markup->left, "]]>");
            *out = (struct markup_token){.text = {markup->left.data, len}, .literal = true};
            skip_bytes(markup, len + 3);
            return true;
        }
        if (skip_other(markup))
            continue;
        if (is_tag(markup->left, markup->xml))
            take_tag(out, markup, markup->left.data[1] == '/');
        else
            take_text(out, markup);
        return true;
    }
    return false;
}

/* ---- attributes ---- */

/* The next attribute off the rest. */
static bool next_attribute(struct view *name, struct view *value, struct view *rest)
{
    size_t at = 0;
    const char *text = rest->data;
    while (at < rest->len && (is_space(text[at]) || text[at] == '/'))
        at++;
    size_t begin = at;
    while (at < rest->len && !is_space(text[at]) && (text[at] != '=' || at == begin))
        at++;
    *name = without_prefix((struct view){text + begin, at - begin});
    *value = (struct view){text + at, 0};
    while (at < rest->len && is_space(text[at]))
        at++;
    if (at < rest->len && text[at] == '=') {
        at++;
        while (at < rest->len && is_space(text[at]))
            at++;
        char quote = at < rest->len && (text[at] == '"' || text[at] == '\'') ? text[at] : 0;
        begin = at += quote != 0;
        while (at < rest->len && (quote ? text[at] != quote : !is_space(text[at])))
            at++;
        *value = (struct view){text + begin, at - begin};
        at += quote && at < rest->len;
    }
    rest->data += at;
    rest->len -= at;
    return name->len > 0;
}

bool markup_attribute(struct view *value, struct view attributes, const char *name)
{
    struct view found_name, found_value;
    size_t len = strlen(name);
    while (next_attribute(&found_name, &found_value, &attributes))
        if (found_name.len == len && strncasecmp(found_name.data, name, len) == 0) {
            *value = found_value;
            return true;
        }
    return false;
}

/* ---- references ---- */

/* Code points 0x80 to 0x9f are meant as in CP1252. */
static uint32_t sane_character(uint32_t code_point)
{
    static const uint16_t cp1252[32] = {
        0x20AC, 0x81,   0x201A, 0x192,  0x201E, 0x2026, 0x2020, 0x2021, 0x2C6,  0x2030, 0x160,
        0x2039, 0x152,  0x8D,   0x17D,  0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x2DC,  0x2122, 0x161,  0x203A, 0x153,  0x9D,   0x17E,  0x178};
    if (code_point >= 0x80 && code_point < 0xA0)
        return cp1252[code_point - 0x80];
    bool bad = code_point == 0 || code_point > UNICODE_MAX ||
               (code_point >= 0xD800 && code_point < 0xE000);
    return bad ? UTF8_REPLACEMENT : code_point;
}

/* &#1234; and &#x4d2; return their length, 0 when they are none. */
static size_t numbered(uint32_t *out, struct view text)
{
    bool hex = text.len > 2 && lower(text.data[2]) == 'x';
    size_t at = hex ? 3 : 2, begin = at;
    uint32_t value = 0;
    for (; at < text.len; at++) {
        char c = lower(text.data[at]);
        uint32_t digit = c >= '0' && c <= '9'          ? (uint32_t)(c - '0')
                         : hex && c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                                                       : 16;
        if (digit == 16)
            break;
        if (value <= UNICODE_MAX)
            value = value * (hex ? 16 : 10) + digit;
    }
    if (at == begin)
        return 0;
    *out = sane_character(value);
    return at + (at < text.len && text.data[at] == ';');
}

/* &laquo; also without its semicolon for the old names, as browsers read it. */
static size_t named(uint32_t *out, struct view text)
{
    size_t at = 1;
    while (at < text.len && at <= MARKUP_NAME_BYTES_MAX &&
           (is_letter(text.data[at]) || (text.data[at] >= '0' && text.data[at] <= '9')))
        at++;
    uint32_t code_point = markup_named_character((struct view){text.data + 1, at - 1});
    bool closed = at < text.len && text.data[at] == ';';
    if (!code_point || (!closed && code_point > 0xFF))
        return 0;
    *out = code_point;
    return at + closed;
}

status markup_unescape(struct buffer *out, struct view text, struct error *error)
{
    while (text.len) {
        const char *mark = memchr(text.data, '&', text.len);
        size_t plain = mark ? (size_t)(mark - text.data) : text.len;
        if (plain)
            TRY(buffer_append(out, text.data, plain, error));
        text.data += plain;
        text.len -= plain;
        if (!text.len)
            break;
        uint32_t code_point = 0;
        size_t len = text.len > 1 && text.data[1] == '#' ? numbered(&code_point, text)
                                                         : named(&code_point, text);
        char bytes[UTF8_BYTES_MAX] = "&";
        size_t count = len ? utf8_encode(bytes, code_point) : 1;
        TRY(buffer_append(out, bytes, count, error));
        text.data += len ? len : 1;
        text.len -= len ? len : 1;
    }
    return OK;
}
