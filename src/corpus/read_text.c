/* Readers of plain text, JSON lines and tables. */
#include "corpus/reader_internal.h"

#include <stdio.h>
#include <string.h>

#include "text/utf8.h"

enum { COLUMNS_MAX = 4096, HEADER_BYTES_MAX = 1 << 20 };

status read_text(struct reading *reading, const struct item *item, struct error *error)
{
    struct view text;
    TRY(reading_decode(&text, reading, item, error));
    return reading_emit(reading, item, text, error);
}

/* ---- JSON lines ---- */

static struct view view_or_empty(const char *text)
{
    return text ? view_of(text) : (struct view){"", 0};
}

static status read_record(struct reading *reading, const struct item *item, struct error *error)
{
    struct record record;
    const char *reason;
    if (!record_parse(&record, &reason, item->bytes, reading->options->text_field, &reading->text,
                      reading->arena))
        return fail(error, ERR_FORMAT, "%s", reason);
    struct item found = *item;
    found.bytes = record.text;
    found.decoded = true;
    found.source = view_or_empty(record.source);
    found.license = view_or_empty(record.license);
    found.url = view_or_empty(record.url);
    found.title = view_or_empty(record.title);
    const char *hash = memrchr(item->id.data, '#', item->id.len);
    if (record.id && hash) /* the line's own name instead of its number */
        TRY(view_format(&found.id, reading->arena, error, "%.*s#%s", (int)(hash - item->id.data),
                        item->id.data, record.id));
    return read_text(reading, &found, error);
}

/* The part of an input with a number. */
static status part_id(struct view *out, char room[PATH_BYTES], struct view id, size_t number,
                      struct error *error)
{
    int len = snprintf(room, PATH_BYTES, "%.*s#%09zu", (int)id.len, id.data, number);
    if (len >= PATH_BYTES)
        return fail(error, ERR_LIMIT, "has a name that is too long");
    *out = (struct view){room, (size_t)len};
    return OK;
}

static status end_of_lines(struct reading *reading, const struct source *source, struct view id,
                           struct error *error)
{
    return source->fault ? reading_refuse(reading, id, source->fault, error) : OK;
}

status read_json_lines(struct reading *reading, struct source *source, struct view id,
                       struct error *error)
{
    char room[PATH_BYTES];
    bool found = true, too_long;
    for (size_t number = 1;; number++) {
        struct item item = {.kind = "jsonl"};
        TRY(source_line(&found, &item.bytes, &too_long, source, error));
        if (!found)
            return end_of_lines(reading, source, id, error);
        if (view_trim(item.bytes).len == 0 && !too_long)
            continue;
        TRY(part_id(&item.id, room, id, number, error));
        if (too_long)
            TRY(reading_refuse(reading, item.id, "is a line that is too long", error));
        else if (!(source->fault && source->left.len == 0)) /* the last one is cut off */
            TRY(reading_item(reading, &item, read_record, error));
    }
}

/* ---- tables: RFC 4180, with any of three separators ---- */

struct table {
    char separator;
    int text, id, source, license; /* columns; -1: none */
};

/* The length of the next row with its end, quoted line ends included; 0: it does not end here. */
static size_t row_length(struct view text, bool complete)
{
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '"')
            quoted = !quoted;
        else if (c == '\n' && !quoted)
            return i + 1;
    }
    return complete ? text.len : 0;
}

/* Takes the next field off the row; `out` may borrow the row or lie in the arena. */
static status next_field(struct view *out, bool *more, struct view *row, char separator,
                         struct arena *arena, struct error *error)
{
    if (row->len == 0 || row->data[0] != '"') {
        const char *end = row->len ? memchr(row->data, separator, row->len) : NULL;
        size_t len = end ? (size_t)(end - row->data) : row->len;
        *out = (struct view){row->data, len};
        row->data += len + (end != NULL);
        row->len -= len + (end != NULL);
        *more = end != NULL;
        return OK;
    }
    char *to = arena_alloc(arena, row->len, 1, error);
    if (!to)
        return error->code;
    size_t at = 1, len = 0;
    for (; at < row->len; at++) {
        if (row->data[at] == '"' && !(at + 1 < row->len && row->data[at + 1] == '"'))
            break;
        at += row->data[at] == '"';
        to[len++] = row->data[at];
    }
    while (at < row->len && row->data[at] != separator)
        at++; /* what stands behind the closing quote is no part of any field */
    *more = at < row->len;
    *out = (struct view){to, len};
    row->data += at + *more;
    row->len -= at + *more;
    return OK;
}

static struct view without_line_end(struct view row)
{
    while (row.len && (row.data[row.len - 1] == '\n' || row.data[row.len - 1] == '\r'))
        row.len--;
    return row;
}

static size_t count_of(struct view row, char c)
{
    size_t count = 0;
    for (size_t i = 0; i < row.len; i++)
        count += row.data[i] == c;
    return count;
}

/* Russian spreadsheets write semicolons, since the comma is in their numbers. */
static char separator_of(struct view header, char usual)
{
    if (usual == '\t')
        return usual;
    size_t commas = count_of(header, ','), semicolons = count_of(header, ';');
    size_t tabs = count_of(header, '\t');
    return tabs > commas && tabs > semicolons ? '\t' : semicolons > commas ? ';' : ',';
}

static status read_header(struct table *out, struct reading *reading, struct view header,
                          char usual, struct error *error)
{
    bool more = true;
    header = without_line_end(header);
    if (view_starts(header, "\xEF\xBB\xBF")) {
        header.data += 3;
        header.len -= 3;
    }
    struct view rest = header, field;
    *out = (struct table){separator_of(header, usual), -1, -1, -1, -1};
    for (int column = 0; more; column++) {
        if (column == COLUMNS_MAX)
            return fail(error, ERR_LIMIT, "has more than %d columns", COLUMNS_MAX);
        TRY(next_field(&field, &more, &rest, out->separator, reading->arena, error));
        field = view_trim(field);
        if (view_is_caseless(field, reading->options->text_field) && out->text < 0)
            out->text = column;
        else if (view_is_caseless(field, "id"))
            out->id = column;
        else if (view_is_caseless(field, "source"))
            out->source = column;
        else if (view_is_caseless(field, "license"))
            out->license = column;
    }
    if (out->text < 0)
        return fail(error, ERR_FORMAT,
                    "has no column named %s in its first row (%.*s); the option --field names it",
                    reading->options->text_field, (int)(header.len < 200 ? header.len : 200),
                    header.data);
    return OK;
}

/* A row as an item: the bytes are the row, the table lies behind. */
static status fields_of(struct item *out, struct reading *reading, const struct table *table,
                        struct error *error)
{
    struct view row = without_line_end(out->bytes), field, id = {NULL, 0};
    bool more = true;
    out->bytes = (struct view){"", 0};
    for (int column = 0; more; column++) {
        TRY(next_field(&field, &more, &row, table->separator, reading->arena, error));
        if (column == table->text)
            out->bytes = field;
        else if (column == table->id)
            id = field;
        else if (column == table->source)
            out->source = field;
        else if (column == table->license)
            out->license = field;
    }
    const char *hash = memrchr(out->id.data, '#', out->id.len);
    if (id.len && hash)
        TRY(view_format(&out->id, reading->arena, error, "%.*s#%.*s", (int)(hash - out->id.data),
                        out->id.data, (int)id.len, id.data));
    return OK;
}

static status read_row(struct reading *reading, struct item *item, const struct table *table,
                       struct error *error)
{
    /* taking a row apart is safe for any bytes; only then the item is known */
    struct arena_mark mark = arena_mark(reading->arena);
    TRY(fields_of(item, reading, table, error));
    status result = reading_item(reading, item, read_text, error);
    arena_rewind(reading->arena, mark);
    return result;
}

static status next_row(struct view *out, struct source *source, struct error *error)
{
    for (;;) {
        size_t len = row_length(source->left, source->complete);
        *out = (struct view){source->left.data, len};
        if (len <= LINE_BYTES_MAX && (len || source->complete))
            return OK;
        if (source->left.len > LINE_BYTES_MAX)
            return fail(error, ERR_LIMIT, "has a row that is too long (an open quote?)");
        TRY(source_want(source, 2 * source->left.len + HEADER_BYTES_MAX, error));
    }
}

/* A table in another encoding than UTF-8 is read as a whole. */
static status table_as_utf8(struct source *out, struct reading *reading, struct source *source,
                            struct error *error)
{
    struct view head = {source->left.data,
                        utf8_floor(source->left, source->left.len < HEADER_BYTES_MAX
                                                     ? source->left.len
                                                     : HEADER_BYTES_MAX)};
    *out = (struct source){.archive = NULL};
    if (encoding_detect(head) == ENCODING_UTF8) {
        *out = *source;
        return OK;
    }
    struct item item = {.kind = "csv"};
    TRY(source_all(&item.bytes, source, DOCUMENT_BYTES_MAX, error));
    TRY(reading_decode(&item.bytes, reading, &item, error));
    *out = source_of(item.bytes);
    return OK;
}

static status read_rows(struct reading *reading, struct source *source, struct view id, char usual,
                        struct error *error)
{
    struct table table;
    struct view row;
    char room[PATH_BYTES];
    TRY(next_row(&row, source, error));
    TRY(read_header(&table, reading, row, usual, error));
    source_take(source, row.len);
    for (size_t number = 2;; number++) {
        struct item item = {.kind = usual == '\t' ? "tsv" : "csv", .decoded = true};
        TRY(next_row(&item.bytes, source, error));
        if (item.bytes.len == 0)
            return end_of_lines(reading, source, id, error);
        size_t len = item.bytes.len;
        TRY(part_id(&item.id, room, id, number, error));
        if (without_line_end(item.bytes).len)
            TRY(read_row(reading, &item, &table, error));
        source_take(source, len);
    }
}

static status read_table(struct reading *reading, struct source *source, struct view id, char usual,
                         struct error *error)
{
    struct source decoded;
    struct error own = {0};
    TRY(source_want(source, HEADER_BYTES_MAX, error));
    status result = table_as_utf8(&decoded, reading, source, &own);
    if (result == OK)
        result = read_rows(reading, &decoded, id, usual, &own);
    if (decoded.archive)
        *source = decoded; /* it owns the buffer */
    if (result == ERR_FORMAT || (result == ERR_LIMIT && reading->unpacked <= reading->unpacked_max))
        return reading_refuse(reading, id, own.text, error);
    return result == OK ? OK : fail(error, result, "%s", own.text);
}

status read_comma_table(struct reading *reading, struct source *source, struct view id,
                        struct error *error)
{
    return read_table(reading, source, id, ',', error);
}

status read_tab_table(struct reading *reading, struct source *source, struct view id,
                      struct error *error)
{
    return read_table(reading, source, id, '\t', error);
}
