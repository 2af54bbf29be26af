/* Mail: messages as documents, with the subject as title; text/plain rather than text/html, no
 * attachments.  Senders and receivers are not taken over.  Source: RFC 5322, 2045 to 2047, 4155. */
#include "corpus/reader_internal.h"

#include <stdio.h>
#include <string.h>

enum { PARTS_DEPTH_MAX = 10, SUBJECT_BYTES_MAX = 4096 };

/* ---- transfer encodings ---- */

static int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* Anything that is no digit is skipped, as RFC 2045 asks. */
static size_t decode_base64(char *out, struct view text)
{
    uint32_t bits = 0;
    int count = 0;
    size_t len = 0;
    for (size_t i = 0; i < text.len && text.data[i] != '='; i++) {
        int digit = base64_digit(text.data[i]);
        if (digit < 0)
            continue;
        bits = bits << 6 | (uint32_t)digit;
        if (++count == 4) {
            out[len++] = (char)(bits >> 16);
            out[len++] = (char)(bits >> 8);
            out[len++] = (char)bits;
            count = 0;
            bits = 0;
        }
    }
    if (count >= 2)
        out[len++] = (char)(bits >> (count == 2 ? 4 : 10));
    if (count == 3)
        out[len++] = (char)(bits >> 2);
    return len;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static size_t decode_quoted(char *out, struct view text, bool header)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '=' && i + 2 < text.len && hex_digit(text.data[i + 1]) >= 0 &&
            hex_digit(text.data[i + 2]) >= 0) {
            out[len++] = (char)(hex_digit(text.data[i + 1]) * 16 + hex_digit(text.data[i + 2]));
            i += 2;
        } else if (c == '=' && i + 1 < text.len && text.data[i + 1] == '\n')
            i++;
        else if (c == '=' && i + 2 < text.len && text.data[i + 1] == '\r' &&
                 text.data[i + 2] == '\n')
            i += 2;
        else
            out[len++] = header && c == '_' ? ' ' : c;
    }
    return len;
}

/* ---- headers ---- */

struct part {
    struct view type, encoding, disposition, subject; /* values, folded lines and all */
    struct view body;
};

static bool next_field(struct view *name, struct view *value, struct view *rest)
{
    size_t end = 0;
    for (;;) {
        const char *line_end =
            end < rest->len ? memchr(rest->data + end, '\n', rest->len - end) : NULL;
        end = line_end ? (size_t)(line_end - rest->data) + 1 : rest->len;
        if (end >= rest->len || (rest->data[end] != ' ' && rest->data[end] != '\t'))
            break;
    }
    struct view field = {rest->data, end};
    rest->data += end;
    rest->len -= end;
    if (view_trim(field).len == 0)
        return false;
    const char *colon = memchr(field.data, ':', field.len);
    size_t at = colon ? (size_t)(colon - field.data) : field.len;
    *name = (struct view){field.data, at};
    *value = colon ? view_trim((struct view){colon + 1, field.len - at - 1}) : (struct view){"", 0};
    return true;
}

static struct part part_of(struct view bytes)
{
    struct part part = {.body = bytes};
    struct view name, value;
    while (part.body.len && next_field(&name, &value, &part.body))
        if (view_is_caseless(name, "Content-Type"))
            part.type = value;
        else if (view_is_caseless(name, "Content-Transfer-Encoding"))
            part.encoding = value;
        else if (view_is_caseless(name, "Content-Disposition"))
            part.disposition = value;
        else if (view_is_caseless(name, "Subject"))
            part.subject = value;
    return part;
}

/* ; name="value" of a header. */
static struct view parameter(struct view header, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i + len < header.len; i++) {
        if (strncasecmp(header.data + i, name, len) != 0 || header.data[i + len] != '=' ||
            (i > 0 && !strchr("; \t\r\n", header.data[i - 1])))
            continue;
        struct view value = {header.data + i + len + 1, header.len - i - len - 1};
        bool quoted = value.len && *value.data == '"';
        value.data += quoted;
        value.len -= quoted;
        size_t end = 0;
        while (end < value.len && !strchr(quoted ? "\"" : "; \t\r\n", value.data[end]))
            end++;
        value.len = end;
        return value;
    }
    return (struct view){"", 0};
}

/* One =?charset?B?...?= off the text; false when it is none. */
static bool decode_word(struct buffer *out, struct view *text, struct error *error)
{
    struct view rest = *text, part[3];
    if (!view_starts(rest, "=?"))
        return false;
    rest.data += 2;
    rest.len -= 2;
    for (int i = 0; i < 3; i++) {
        const char *end = rest.len ? memchr(rest.data, '?', rest.len) : NULL;
        if (!end)
            return false;
        part[i] = (struct view){rest.data, (size_t)(end - rest.data)};
        rest.data += part[i].len + 1;
        rest.len -= part[i].len + 1;
    }
    char bytes[1024];
    if (!rest.len || *rest.data != '=' || part[2].len > sizeof bytes)
        return false;
    bool base64 = view_is_caseless(part[1], "B");
    size_t len = base64 ? decode_base64(bytes, part[2]) : decode_quoted(bytes, part[2], true);
    enum text_encoding encoding = encoding_of_label(part[0]);
    struct view decoded = {bytes, len};
    if (encoding <= ENCODING_BINARY || encoding_decode(out, decoded, encoding, error) != OK)
        return false;
    *text = (struct view){rest.data + 1, rest.len - 1};
    struct view next = view_trim(*text); /* space between two such words is none */
    if (view_starts(next, "=?"))
        *text = next;
    return true;
}

static status decode_subject(struct view *out, struct view subject, struct arena *arena,
                             struct error *error)
{
    struct buffer text;
    struct error own = {0};
    buffer_create(&text, SUBJECT_BYTES_MAX);
    while (subject.len && text.len + 8 < SUBJECT_BYTES_MAX) {
        if (decode_word(&text, &subject, &own))
            continue;
        char c = *subject.data;
        if (c != '\r' && c != '\n' && buffer_append(&text, &c, 1, &own) != OK)
            break;
        subject.data++;
        subject.len--;
    }
    struct view said = {text.data ? text.data : "", text.len};
    struct buffer valid;
    buffer_create(&valid, 4 * SUBJECT_BYTES_MAX);
    enum text_encoding encoding = encoding_detect(said);
    status result = encoding_decode(&valid, said,
                                    encoding > ENCODING_BINARY ? encoding : ENCODING_CP1251, error);
    if (result == OK)
        result =
            view_copy(out, (struct view){valid.data ? valid.data : "", valid.len}, arena, error);
    buffer_destroy(&text);
    buffer_destroy(&valid);
    return result;
}

/* ---- parts ---- */

enum part_kind { PART_NONE, PART_HTML, PART_PLAIN };

static status unwrap(struct view *out, struct reading *reading, const struct part *part,
                     struct error *error)
{
    bool base64 = view_is_caseless(part->encoding, "base64");
    *out = part->body;
    if (part->body.len == 0 || (!base64 && !view_is_caseless(part->encoding, "quoted-printable")))
        return OK;
    char *bytes = arena_alloc(reading->arena, part->body.len + 4, 1, error);
    if (!bytes)
        return error->code;
    *out = (struct view){bytes, base64 ? decode_base64(bytes, part->body)
                                       : decode_quoted(bytes, part->body, false)};
    return OK;
}

static status take_text(enum part_kind *out, struct reading *reading, const struct part *part,
                        struct error *error)
{
    struct item item = {.charset = parameter(part->type, "charset")};
    bool html = view_starts_caseless(part->type, "text/html");
    struct view title;
    TRY(unwrap(&item.bytes, reading, part, error));
    if (view_trim(item.bytes).len == 0)
        return OK;
    TRY(reading_decode(&item.bytes, reading, &item, error));
    if (reading->text.len)
        TRY(buffer_append(&reading->text, "\n", 1, error));
    if (html)
        TRY(html_whole_text(&reading->text, &title, reading, item.bytes, error));
    else
        TRY(buffer_append(&reading->text, item.bytes.data, item.bytes.len, error));
    *out = html ? PART_HTML : PART_PLAIN;
    return OK;
}

static status take_part(enum part_kind *out, struct reading *reading, struct view bytes, int depth,
                        struct error *error);

/* The next piece between two lines of the boundary; false behind the last. */
static bool next_piece(struct view *out, struct view *rest, struct view boundary)
{
    struct view line, whole = *rest;
    bool inside = false;
    const char *begin = NULL;
    while (view_line(&line, rest)) {
        bool mark = line.len >= boundary.len + 2 && line.data[0] == '-' && line.data[1] == '-' &&
                    memcmp(line.data + 2, boundary.data, boundary.len) == 0;
        if (!mark)
            continue;
        if (inside) {
            *out = (struct view){begin, (size_t)(line.data - begin)};
            *rest = (struct view){line.data, (size_t)(whole.data + whole.len - line.data)};
            return true;
        }
        inside = true;
        begin = rest->data;
    }
    if (inside && begin < whole.data + whole.len) { /* cut off: what there is */
        *out = (struct view){begin, (size_t)(whole.data + whole.len - begin)};
        return true;
    }
    return false;
}

/* Of alternatives the best stays, other parts all stay. */
static status take_parts(enum part_kind *out, struct reading *reading, const struct part *part,
                         int depth, struct error *error)
{
    struct view boundary = parameter(part->type, "boundary"), rest = part->body, piece;
    bool alternative = view_starts_caseless(part->type, "multipart/alternative");
    size_t begin = reading->text.len;
    if (boundary.len == 0)
        return fail(error, ERR_FORMAT, "is a mail of parts without a boundary");
    while (next_piece(&piece, &rest, boundary)) {
        enum part_kind kind = PART_NONE;
        size_t before = reading->text.len;
        TRY(take_part(&kind, reading, piece, depth + 1, error));
        if (alternative && kind > *out && before > begin) {
            before += begin == 0 && reading->text.data[before] == '\n'; /* it stood between them */
            size_t len = reading->text.len - before;
            memmove(reading->text.data + begin, reading->text.data + before, len);
            reading->text.len = begin + len;
        } else if (alternative && kind <= *out)
            reading->text.len = before;
        *out = kind > *out ? kind : *out;
    }
    return OK;
}

static status take_part(enum part_kind *out, struct reading *reading, struct view bytes, int depth,
                        struct error *error)
{
    struct part part = part_of(bytes);
    if (depth > PARTS_DEPTH_MAX)
        return fail(error, ERR_LIMIT, "has parts in parts, deeper than %d", PARTS_DEPTH_MAX);
    if (view_starts_caseless(part.disposition, "attachment"))
        return OK;
    if (view_starts_caseless(part.type, "multipart/"))
        return take_parts(out, reading, &part, depth, error);
    if (view_starts_caseless(part.type, "message/rfc822"))
        return take_part(out, reading, part.body, depth + 1, error);
    bool text = part.type.len == 0 || view_starts_caseless(part.type, "text/plain") ||
                view_starts_caseless(part.type, "text/html") ||
                view_starts_caseless(part.type, "text ");
    return text ? take_text(out, reading, &part, error) : OK;
}

status read_mail(struct reading *reading, const struct item *item, struct error *error)
{
    struct item found = *item;
    enum part_kind kind = PART_NONE;
    struct part head = part_of(item->bytes);
    if (head.subject.len)
        TRY(decode_subject(&found.title, head.subject, reading->arena, error));
    TRY(take_part(&kind, reading, item->bytes, 0, error));
    return reading_emit(reading, &found, (struct view){reading->text.data, reading->text.len},
                        error);
}

/* ---- mbox ---- */

/* Where the next message begins behind `from`; text.len when there is none. */
static size_t next_message(struct view text, size_t from)
{
    while (from + 5 < text.len) {
        const char *at = memmem(text.data + from, text.len - from, "\nFrom ", 6);
        if (!at)
            break;
        size_t begin = (size_t)(at - text.data) + 1;
        bool after_empty =
            begin >= 2 &&
            (text.data[begin - 2] == '\n' ||
             (begin >= 3 && text.data[begin - 2] == '\r' && text.data[begin - 3] == '\n'));
        if (after_empty)
            return begin;
        from = begin;
    }
    return text.len;
}

static status take_message(struct view *out, struct source *source, struct error *error)
{
    enum { STEP_BYTES = 1 << 20, OVERLAP = 8 };
    size_t seen = 0;
    for (;;) {
        size_t len = next_message(source->left, seen);
        *out = (struct view){source->left.data, len};
        if (len < source->left.len || source->complete)
            return OK;
        if (len > LINE_BYTES_MAX)
            return fail(error, ERR_LIMIT, "has a message of more than %d bytes", LINE_BYTES_MAX);
        seen = len > OVERLAP ? len - OVERLAP : 0;
        TRY(source_want(source, 2 * len + STEP_BYTES, error));
    }
}

status read_mbox(struct reading *reading, struct source *source, struct view id,
                 struct error *error)
{
    for (size_t number = 1;; number++) {
        char room[PATH_BYTES];
        struct item item = {.kind = "mbox"};
        TRY(source_want(source, 1, error));
        if (source->left.len == 0)
            return source->fault ? reading_refuse(reading, id, source->fault, error) : OK;
        TRY(take_message(&item.bytes, source, error));
        size_t len = item.bytes.len;
        struct view line;
        if (view_starts(item.bytes, "From "))
            (void)view_line(&line, &item.bytes);
        int id_len = snprintf(room, sizeof room, "%.*s#%09zu", (int)id.len, id.data, number);
        if (id_len >= (int)sizeof room)
            return fail(error, ERR_LIMIT, "has a name that is too long");
        item.id = (struct view){room, (size_t)id_len};
        TRY(reading_item(reading, &item, read_mail, error));
        source_take(source, len);
    }
}

/* ---- PDF: an external program reads it, outside of this process ---- */

status read_pdf(struct reading *reading, const struct item *item, struct error *error)
{
    struct found found = {.id = item->id,
                          .text = item->bytes,
                          .kind = view_of(item->kind),
                          .source = item->source,
                          .license = item->license};
    return reading->sink->hand_over(reading->sink->context, &found, error);
}
