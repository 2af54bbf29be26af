#include "corpus/opt_out.h"

#include <idn2.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "text/utf8.h"

enum {
    LIST_BYTES_MAX = 1 << 30,
    LIST_LINES_MAX = 50000000,
    URL_BYTES_MAX = 8192, /* of the comparable form */
    HOST_BYTES_MAX = 1024,
    URL_COMPARED_BYTES = URL_BYTES_MAX - HOST_BYTES_MAX
};

/* An entry is the hash of its comparable form; what it was is part of that. */
struct entry {
    struct sha256 key;
    uint64_t line;
};

struct opt_out {
    struct entry *entries; /* in the order of keys, then lines */
    size_t count;
};

const char *opt_out_reason_name(enum opt_out_reason reason)
{
    static const char *const names[] = {"no", "text", "url", "domain"};
    ASSERT(reason < sizeof names / sizeof *names);
    return names[reason];
}

/* ---- comparable forms ---- */

static struct sha256 key_of(enum opt_out_reason kind, const void *data, size_t len)
{
    char bytes[1 + URL_BYTES_MAX];
    ASSERT(len <= URL_BYTES_MAX);
    bytes[0] = (char)kind;
    if (len)
        memcpy(bytes + 1, data, len);
    return sha256_of(bytes, 1 + len);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* What no registry would give, but what is a name all the same, such as xn-- names of emoji. */
static size_t ascii_host_form(char out[HOST_BYTES_MAX], struct view host)
{
    for (size_t i = 0; i < host.len; i++) {
        if ((unsigned char)host.data[i] >= 0x80)
            return 0;
        out[i] = lower(host.data[i]);
    }
    return host.len;
}

/* The host in the form in which names are looked up, at most HOST_BYTES_MAX - 1 bytes; 0 if it is
 * none. */
static size_t host_form(char out[HOST_BYTES_MAX], struct view host)
{
    char copy[HOST_BYTES_MAX];
    while (host.len && host.data[host.len - 1] == '.')
        host.len--;
    if (host.len == 0 || host.len >= sizeof copy || memchr(host.data, 0, host.len) ||
        !utf8_valid(host))
        return 0;
    memcpy(copy, host.data, host.len);
    copy[host.len] = 0;
    char *found = NULL;
    size_t len = 0;
    int failed = idn2_to_ascii_8z(copy, &found, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (failed == IDN2_OK && strlen(found) < HOST_BYTES_MAX) {
        len = strlen(found);
        memcpy(out, found, len);
    }
    idn2_free(found);
    return len ? len : ascii_host_form(out, host);
}

static bool is_host_byte(char c)
{
    return (unsigned char)c >= 0x80 || (lower(c) >= 'a' && lower(c) <= 'z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

static bool starts_without_case(struct view text, const char *prefix)
{
    size_t len = strlen(prefix);
    for (size_t i = 0; i < len; i++)
        if (i >= text.len || lower(text.data[i]) != prefix[i])
            return false;
    return true;
}

struct url {
    struct view host, rest; /* rest: path and query */
};

/* Takes a URL apart; false if it has no http scheme or no host. */
static bool take_apart(struct url *out, struct view text)
{
    size_t scheme = starts_without_case(text, "https://")  ? 8
                    : starts_without_case(text, "http://") ? 7
                                                           : 0;
    if (!scheme)
        return false;
    text.data += scheme;
    text.len -= scheme;
    size_t end = 0, begin = 0;
    while (end < text.len && !strchr("/?#", text.data[end]))
        end++;
    for (size_t i = 0; i < end; i++)
        if (text.data[i] == '@')
            begin = i + 1;
    size_t host_end = begin;
    while (host_end < end && text.data[host_end] != ':')
        host_end++;
    struct view port = {text.data + host_end, end - host_end};
    bool usual = port.len <= 1 || view_is(port, ":80") || view_is(port, ":443");
    const char *mark = memchr(text.data + end, '#', text.len - end);
    size_t rest_end = mark ? (size_t)(mark - text.data) : text.len;
    out->host = (struct view){text.data + begin, (usual ? host_end : end) - begin};
    out->rest = (struct view){text.data + end, rest_end - end};
    return out->host.len > 0;
}

static int hex_digit(char c)
{
    c = lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_plain_byte(int c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';
}

/* Path and query with escapes decoded where that changes no meaning, other escapes in capitals. */
static size_t rest_form(char *out, struct view rest)
{
    size_t len = 0;
    if (rest.len == 0 || rest.data[0] != '/')
        out[len++] = '/';
    for (size_t i = 0; i < rest.len; i++) {
        char c = rest.data[i];
        int high = c == '%' && i + 2 < rest.len ? hex_digit(rest.data[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(rest.data[i + 2]) : -1;
        if (low < 0) {
            out[len++] = c;
            continue;
        }
        i += 2;
        if (is_plain_byte(high * 16 + low))
            out[len++] = (char)(high * 16 + low);
        else {
            static const char digits[] = "0123456789ABCDEF";
            out[len++] = '%';
            out[len++] = digits[high];
            out[len++] = digits[low];
        }
    }
    return len;
}

/* The host and, behind it, the rest; 0 if the text is no URL. */
static size_t url_form(char out[URL_BYTES_MAX], size_t *host_len, struct view text)
{
    struct url url;
    char host[HOST_BYTES_MAX];
    text.len = text.len < URL_COMPARED_BYTES ? text.len : URL_COMPARED_BYTES;
    if (!take_apart(&url, text))
        return 0;
    struct view name = url.host, port = {NULL, 0};
    const char *colon = memchr(name.data, ':', name.len);
    if (colon) {
        port = (struct view){colon, name.len - (size_t)(colon - name.data)};
        name.len -= port.len;
    }
    *host_len = host_form(host, name);
    if (!*host_len)
        return 0;
    memcpy(out, host, *host_len);
    if (port.len)
        memcpy(out + *host_len, port.data, port.len);
    return *host_len + port.len + rest_form(out + *host_len + port.len, url.rest);
}

/* ---- reading a list ---- */

static struct view without_remark(struct view line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] == '#' && (i == 0 || line.data[i - 1] == ' ' || line.data[i - 1] == '\t'))
            line.len = i;
    return view_trim(line);
}

static bool parse_hash(struct sha256 *out, struct view text)
{
    char digits[SHA256_HEX_BYTES];
    if (starts_without_case(text, "sha256:")) {
        text.data += 7;
        text.len -= 7;
    }
    if (text.len != sizeof digits - 1)
        return false;
    for (size_t i = 0; i < text.len; i++)
        digits[i] = lower(text.data[i]);
    digits[text.len] = 0;
    return memchr(digits, 0, text.len) == NULL && sha256_parse(out, digits);
}

static bool is_domain(struct view text)
{
    const char *dot = memchr(text.data, '.', text.len);
    bool beyond = false;
    for (size_t i = 0; i < text.len; i++) {
        beyond |= (unsigned char)text.data[i] >= 0x80;
        if (!is_host_byte(text.data[i]))
            return false;
    }
    return dot ||
           beyond; /* other dots than . exist, and the top domains are in the reader's hand */
}

static bool parse_entry(struct entry *out, struct view text)
{
    struct sha256 hash;
    char url[URL_BYTES_MAX], host[HOST_BYTES_MAX];
    size_t host_len, len;
    if (parse_hash(&hash, text)) {
        out->key = key_of(OPT_OUT_TEXT, hash.byte, sizeof hash.byte);
        return true;
    }
    if ((len = url_form(url, &host_len, text)) != 0) {
        out->key = key_of(OPT_OUT_URL, url, len);
        return true;
    }
    if (is_domain(text) && (len = host_form(host, text)) != 0) {
        out->key = key_of(OPT_OUT_DOMAIN, host, len);
        return true;
    }
    return false;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    int order = memcmp(left->key.byte, right->key.byte, sizeof left->key.byte);
    return order ? order : left->line < right->line ? -1 : left->line > right->line;
}

static size_t count_lines(struct view text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '\n';
    return count;
}

status opt_out_parse(struct opt_out **out, struct view list, const char *path, struct arena *arena,
                     struct error *error)
{
    ASSERT(out && (list.data || !list.len) && path && arena && error);
    struct opt_out *read;
    struct view line;
    size_t lines = count_lines(list);
    if (lines > LIST_LINES_MAX)
        return fail(error, ERR_LIMIT, "%s: has %zu lines, allowed are %d", path, lines,
                    LIST_LINES_MAX);
    TRY_ALLOC(read, arena, 1, error);
    TRY_ALLOC(read->entries, arena, lines, error);
    if (view_starts(list, "\xEF\xBB\xBF"))
        list = (struct view){list.data + 3, list.len - 3};
    for (uint64_t number = 1; view_line(&line, &list); number++) {
        struct view text = without_remark(line);
        struct entry *entry = &read->entries[read->count];
        entry->line = number;
        if (text.len == 0)
            continue;
        if (!parse_entry(entry, text)) {
            size_t shown = utf8_floor(text, text.len < 80 ? text.len : 80);
            return fail(error, ERR_FORMAT,
                        "%s: line %llu is '%.*s', allowed are 64 hexadecimal digits of a SHA-256, "
                        "a URL with http:// or https://, and a domain",
                        path, (unsigned long long)number, (int)shown, text.data);
        }
        read->count++;
    }
    if (read->count)
        qsort(read->entries, read->count, sizeof *read->entries, compare_entries);
    *out = read;
    return OK;
}

status opt_out_read(struct opt_out **out, const char *path, struct arena *arena,
                    struct error *error)
{
    ASSERT(out && path && arena && error);
    struct file_bytes bytes;
    TRY(file_map(&bytes, path, error));
    status result = bytes.len > LIST_BYTES_MAX
                        ? fail(error, ERR_LIMIT, "%s: has %zu bytes, allowed are %d", path,
                               bytes.len, LIST_BYTES_MAX)
                        : opt_out_parse(out, (struct view){(const char *)bytes.data, bytes.len},
                                        path, arena, error);
    file_unmap(&bytes);
    return result;
}

size_t opt_out_count(const struct opt_out *list)
{
    return list->count;
}

/* ---- looking up ---- */

/* The line of the first entry with this key; 0: none. */
static uint64_t find(const struct opt_out *list, enum opt_out_reason kind, const void *data,
                     size_t len)
{
    struct sha256 key = key_of(kind, data, len);
    size_t begin = 0, end = list->count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (memcmp(list->entries[middle].key.byte, key.byte, sizeof key.byte) < 0)
            begin = middle + 1;
        else
            end = middle;
    }
    bool found = begin < list->count && sha256_equal(&list->entries[begin].key, &key);
    return found ? list->entries[begin].line : 0;
}

struct opt_out_match opt_out_match(const struct opt_out *list, const struct sha256 *text,
                                   struct view url)
{
    ASSERT(list && (url.data || !url.len));
    char form[URL_BYTES_MAX];
    size_t host_len = 0;
    uint64_t line = text ? find(list, OPT_OUT_TEXT, text->byte, sizeof text->byte) : 0;
    if (line)
        return (struct opt_out_match){OPT_OUT_TEXT, line};
    size_t len = list->count ? url_form(form, &host_len, url) : 0;
    if (!len)
        return (struct opt_out_match){OPT_OUT_NO, 0};
    line = find(list, OPT_OUT_URL, form, len);
    if (line)
        return (struct opt_out_match){OPT_OUT_URL, line};
    for (size_t at = 0; at < host_len; at++) {
        if (at && form[at - 1] != '.')
            continue;
        line = find(list, OPT_OUT_DOMAIN, form + at, host_len - at);
        if (line)
            return (struct opt_out_match){OPT_OUT_DOMAIN, line};
    }
    return (struct opt_out_match){OPT_OUT_NO, 0};
}
