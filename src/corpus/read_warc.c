/* WARC and WET: each record with a page or text becomes a document with its address as source.
 * Source: ISO 28500:2017 (WARC/1.1), RFC 9112 (HTTP/1.1 messages). */
#include "corpus/reader_internal.h"

#include <stdio.h>
#include <string.h>

#include "corpus/html.h"

enum { HEADER_BYTES_MAX = 256 << 10, RECORDS_MAX = 2000000000 };

struct header {
    struct view type, address, length, content_type, encoding, transfer;
};

/* "Name: value" lines up to an empty one; *used is their length with it.  False: no end. */
static bool parse_header(struct header *out, size_t *used, struct view text)
{
    struct view rest = text, line;
    *out = (struct header){.type = {"", 0}};
    while (view_line(&line, &rest)) {
        if (line.len == 0) {
            *used = (size_t)(rest.data - text.data);
            return true;
        }
        const char *colon = memchr(line.data, ':', line.len);
        if (!colon)
            continue;
        size_t at = (size_t)(colon - line.data);
        struct view name = {line.data, at}, value = {colon + 1, line.len - at - 1};
        struct view *field = view_is_caseless(name, "WARC-Type")           ? &out->type
                             : view_is_caseless(name, "WARC-Target-URI")   ? &out->address
                             : view_is_caseless(name, "Content-Length")    ? &out->length
                             : view_is_caseless(name, "Content-Type")      ? &out->content_type
                             : view_is_caseless(name, "Content-Encoding")  ? &out->encoding
                             : view_is_caseless(name, "Transfer-Encoding") ? &out->transfer
                                                                           : NULL;
        if (field)
            *field = view_trim(value);
    }
    *used = text.len;
    return false;
}

/* ---- bodies ---- */

static bool chunk_size(size_t *out, struct view line)
{
    uint64_t value = 0;
    size_t at = 0;
    for (; at < line.len; at++) {
        char c = line.data[at];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            break;
        value = value * 16 + (uint64_t)digit;
        if (value > DOCUMENT_BYTES_MAX)
            return false;
    }
    *out = (size_t)value;
    return at > 0;
}

/* Chunks put together; bodies that say "chunked" and are not stay as they are, as crawlers leave
 * them. */
static status join_chunks(struct view *body, struct arena *arena, struct error *error)
{
    struct view rest = *body, line;
    char *joined = arena_alloc(arena, body->len + 1, 1, error);
    size_t len = 0, size = 0;
    if (!joined)
        return error->code;
    for (;;) {
        if (!view_line(&line, &rest) || !chunk_size(&size, line))
            return OK;
        if (size == 0)
            break;
        if (size > rest.len)
            size = rest.len; /* cut off: as much as there is */
        memcpy(joined + len, rest.data, size);
        len += size;
        rest.data += size;
        rest.len -= size;
        if (rest.len == 0)
            break;
        (void)view_line(&line, &rest);
    }
    *body = (struct view){joined, len};
    return OK;
}

static struct view charset_of(struct view content_type)
{
    for (size_t i = 0; i + 8 < content_type.len; i++)
        if (strncasecmp(content_type.data + i, "charset=", 8) == 0) {
            struct view label = {content_type.data + i + 8, content_type.len - i - 8};
            size_t len = 0;
            while (len < label.len && !strchr("; \"'", label.data[len]))
                len++;
            if (len == 0 && label.len > 2) { /* quoted */
                label.data++;
                label.len--;
                while (len < label.len && !strchr("; \"'", label.data[len]))
                    len++;
            }
            return (struct view){label.data, len};
        }
    return (struct view){"", 0};
}

static bool looks_like_page(struct view body)
{
    struct view text = view_trim(body);
    return view_starts_caseless(text, "<!doctype html") || view_starts_caseless(text, "<html");
}

/* The body by its type; kinds that hold no text are left alone. */
static status read_body(struct reading *reading, struct item *item, struct view content_type,
                        struct error *error)
{
    item->charset = charset_of(content_type);
    if (view_starts_caseless(content_type, "text/html") ||
        view_starts_caseless(content_type, "application/xhtml") ||
        (content_type.len == 0 && looks_like_page(item->bytes))) {
        item->kind = "html";
        return read_html(reading, item, error);
    }
    if (view_starts_caseless(content_type, "text/plain")) {
        item->kind = "txt";
        return read_text(reading, item, error);
    }
    return fail(error, ERR_FORMAT, "has content of the type %.*s",
                content_type.len ? (int)(content_type.len < 60 ? content_type.len : 60) : 7,
                content_type.len ? content_type.data : "unknown");
}

static status read_response(struct reading *reading, const struct item *item, struct error *error)
{
    struct header http;
    struct item body = *item;
    size_t used;
    struct view head = {item->bytes.data,
                        item->bytes.len < HEADER_BYTES_MAX ? item->bytes.len : HEADER_BYTES_MAX};
    if (!view_starts(head, "HTTP/"))
        return fail(error, ERR_FORMAT, "is no answer of a web server");
    const char *code = memchr(head.data, ' ', head.len);
    if (!code || head.len - (size_t)(code - head.data) < 4 || code[1] != '2')
        return fail(error, ERR_FORMAT, "is an answer other than 200 (%.*s)",
                    code && head.len - (size_t)(code - head.data) >= 4 ? 3 : 0,
                    code ? code + 1 : "");
    (void)parse_header(&http, &used, head);
    body.bytes.data += used;
    body.bytes.len -= used;
    if (view_is_caseless(http.transfer, "chunked"))
        TRY(join_chunks(&body.bytes, reading->arena, error));
    if (view_is_caseless(http.encoding, "gzip") || view_is_caseless(http.encoding, "x-gzip")) {
        if (body.bytes.len > 2 && (unsigned char)body.bytes.data[0] == 0x1f)
            TRY(unpack_body(&body.bytes, reading, body.bytes, error));
    } else if (http.encoding.len && !view_is_caseless(http.encoding, "identity"))
        return fail(error, ERR_FORMAT, "is packed with %.*s", (int)http.encoding.len,
                    http.encoding.data);
    return read_body(reading, &body, http.content_type, error);
}

static status read_resource(struct reading *reading, const struct item *item, struct error *error)
{
    struct item body = *item;
    return read_body(reading, &body, item->charset, error);
}

/* ---- records ---- */

static status read_record(struct reading *reading, const struct header *header, struct view id,
                          struct view bytes, struct error *error)
{
    struct item item = {.id = id, .bytes = bytes, .kind = "warc", .url = header->address};
    if (item.url.len > 1 && item.url.data[0] == '<') { /* as old versions write it */
        item.url.data++;
        item.url.len -= 2;
    }
    bool response = view_is(header->type, "response");
    bool other = view_is(header->type, "resource") || view_is(header->type, "conversion");
    item.charset = header->content_type;
    /* requests, descriptions and repetitions are no documents */
    return response ? reading_item(reading, &item, read_response, error)
           : other  ? reading_item(reading, &item, read_resource, error)
                    : OK;
}

static void skip_line_ends(struct source *source)
{
    size_t at = 0;
    while (at < source->left.len &&
           (source->left.data[at] == '\r' || source->left.data[at] == '\n'))
        at++;
    source_take(source, at);
}

/* Where the next record begins behind a fault. */
static status seek_record(struct source *source, struct error *error)
{
    source_take(source, source->left.len > 0);
    for (;;) {
        const char *at = memmem(source->left.data, source->left.len, "\nWARC/", 6);
        if (at) {
            source_take(source, (size_t)(at - source->left.data) + 1);
            return OK;
        }
        source_take(source, source->left.len > 5 ? source->left.len - 5 : 0);
        if (source->complete) {
            source_take(source, source->left.len);
            return OK;
        }
        TRY(source_want(source, HEADER_BYTES_MAX, error));
    }
}

/* One record off the source; *reason says why it is none. */
static status take_record(const char **reason, struct reading *reading, struct source *source,
                          struct view id, struct error *error)
{
    struct header header;
    uint64_t length;
    size_t used;
    struct view head = {source->left.data,
                        source->left.len < HEADER_BYTES_MAX ? source->left.len : HEADER_BYTES_MAX};
    bool whole = parse_header(&header, &used, head);
    if (!view_starts(head, "WARC/"))
        *reason = "is not the beginning of a record";
    else if (!whole || !parse_u64(&length, header.length))
        *reason = "has a header without its end or length";
    else if (length > DOCUMENT_BYTES_MAX)
        *reason = "is larger than allowed";
    if (*reason)
        return OK;
    TRY(source_want(source, used + (size_t)length, error));
    /* the header moved with the bytes */
    head = (struct view){source->left.data, used};
    (void)parse_header(&header, &used, head);
    if (source->left.len < used + length) {
        *reason = "is cut off";
        return OK;
    }
    TRY(read_record(reading, &header, id, (struct view){head.data + used, (size_t)length}, error));
    source_take(source, used + (size_t)length);
    return OK;
}

status read_warc(struct reading *reading, struct source *source, struct view id,
                 struct error *error)
{
    for (size_t number = 1; number < RECORDS_MAX; number++) {
        char room[PATH_BYTES];
        const char *reason = NULL;
        TRY(source_want(source, HEADER_BYTES_MAX, error));
        skip_line_ends(source);
        if (source->left.len == 0)
            break;
        int len = snprintf(room, sizeof room, "%.*s#%09zu", (int)id.len, id.data, number);
        if (len >= (int)sizeof room)
            return fail(error, ERR_LIMIT, "has a name that is too long");
        struct view record = {room, (size_t)len};
        TRY(take_record(&reason, reading, source, record, error));
        if (reason) {
            TRY(reading_refuse(reading, record, reason, error));
            TRY(seek_record(source, error));
        }
    }
    return source->fault ? reading_refuse(reading, id, source->fault, error) : OK;
}
