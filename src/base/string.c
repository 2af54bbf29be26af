#include "base/string.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct view view_of(const char *text)
{
    return (struct view){text, strlen(text)};
}

bool view_equal(struct view a, struct view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool view_is(struct view a, const char *text)
{
    return view_equal(a, view_of(text));
}

bool view_starts(struct view a, const char *prefix)
{
    size_t len = strlen(prefix);
    return a.len >= len && memcmp(a.data, prefix, len) == 0;
}

bool view_ends(struct view a, const char *suffix)
{
    size_t len = strlen(suffix);
    return a.len >= len && memcmp(a.data + a.len - len, suffix, len) == 0;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct view view_trim(struct view a)
{
    while (a.len && is_space(a.data[0])) {
        a.data++;
        a.len--;
    }
    while (a.len && is_space(a.data[a.len - 1]))
        a.len--;
    return a;
}

bool view_line(struct view *line, struct view *rest)
{
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->data, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    *line = (struct view){rest->data, len};
    size_t taken = end ? len + 1 : len;
    rest->data += taken;
    rest->len -= taken;
    if (line->len && line->data[line->len - 1] == '\r')
        line->len--;
    return true;
}

/* ---- numbers ---- */

enum { NUMBER_BYTES = 64 };

static bool copy_number(char out[NUMBER_BYTES], struct view text)
{
    if (text.len == 0 || text.len >= NUMBER_BYTES || is_space(text.data[0]) ||
        memchr(text.data, 0, text.len))
        return false;
    memcpy(out, text.data, text.len);
    out[text.len] = 0;
    return true;
}

bool parse_i64(int64_t *out, struct view text)
{
    char copy[NUMBER_BYTES], *end;
    if (!copy_number(copy, text))
        return false;
    errno = 0;
    long long value = strtoll(copy, &end, 10);
    if (errno || *end || end == copy)
        return false;
    *out = value;
    return true;
}

bool parse_u64(uint64_t *out, struct view text)
{
    char copy[NUMBER_BYTES], *end;
    if (!copy_number(copy, text) || copy[0] == '-')
        return false;
    errno = 0;
    unsigned long long value = strtoull(copy, &end, 10);
    if (errno || *end || end == copy)
        return false;
    *out = value;
    return true;
}

bool parse_double(double *out, struct view text)
{
    char copy[NUMBER_BYTES], *end;
    if (!copy_number(copy, text))
        return false;
    double value = strtod(copy, &end);
    if (*end || end == copy || !isfinite(value))
        return false;
    *out = value;
    return true;
}

bool parse_bool(bool *out, struct view text)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (text.len == strlen(words[i]) && strncasecmp(text.data, words[i], text.len) == 0) {
            *out = i % 2;
            return true;
        }
    return false;
}

status path_join(char *out, size_t out_bytes, const char *folder, const char *name,
                 struct error *error)
{
    ASSERT(out && folder && name && error);
    size_t len = strlen(folder);
    const char *slash = len && folder[len - 1] != '/' ? "/" : "";
    int needed = snprintf(out, out_bytes, "%s%s%s", folder, slash, name);
    if (needed < 0 || (size_t)needed >= out_bytes)
        return fail(error, ERR_LIMIT, "%s: its path has %d bytes, allowed are %zu", name, needed,
                    out_bytes - 1);
    return OK;
}

size_t json_escape(char *out, size_t out_bytes, const char *text)
{
    size_t len = 0;
    for (; *text && len + 8 < out_bytes; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            len += (size_t)snprintf(out + len, out_bytes - len, "\\%c", c);
        else if (c < 0x20)
            len += (size_t)snprintf(out + len, out_bytes - len, "\\u%04x", c);
        else
            out[len++] = (char)c;
    }
    out[len] = 0;
    return len;
}
