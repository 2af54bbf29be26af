/* The table of readers: which one reads what, and what all of them share. */
#include "corpus/reader.h"

#include <stdio.h>
#include <string.h>

#include "corpus/html.h"
#include "corpus/reader_internal.h"
#include "text/utf8.h"

/* ---- views ---- */

status view_format(struct view *out, struct arena *arena, struct error *error, const char *format,
                   ...)
{
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    int len = vsnprintf(NULL, 0, format, list);
    va_end(list);
    char *text = len < 0 ? NULL : arena_alloc(arena, (size_t)len + 1, 1, error);
    if (text)
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    if (!text)
        return fail(error, ERR_MEMORY, "no memory for a name");
    *out = (struct view){text, (size_t)len};
    return OK;
}

status view_copy(struct view *out, struct view from, struct arena *arena, struct error *error)
{
    char *copy = arena_alloc(arena, from.len + 1, 1, error);
    if (!copy)
        return error->code;
    if (from.len)
        memcpy(copy, from.data, from.len);
    *out = (struct view){copy, from.len};
    return OK;
}

bool view_starts_caseless(struct view a, const char *prefix)
{
    size_t len = strlen(prefix);
    return a.len >= len && strncasecmp(a.data, prefix, len) == 0;
}

bool view_is_caseless(struct view a, const char *text)
{
    return a.len == strlen(text) && view_starts_caseless(a, text);
}

static bool ends_caseless(struct view a, const char *suffix)
{
    size_t len = strlen(suffix);
    return a.len >= len && strncasecmp(a.data + a.len - len, suffix, len) == 0;
}

/* ---- detection by content ---- */

enum { HEAD_BYTES = 4096 }; /* as much as a decision may look at */

static bool starts_bytes(struct view head, const char *mark, size_t len)
{
    return head.len >= len && memcmp(head.data, mark, len) == 0;
}

static struct view text_begin(struct view head)
{
    if (starts_bytes(head, "\xEF\xBB\xBF", 3)) {
        head.data += 3;
        head.len -= 3;
    }
    return view_trim(head);
}

static bool contains(struct view head, const char *text)
{
    return head.len && memmem(head.data, head.len, text, strlen(text)) != NULL;
}

static bool is_packed(struct view head)
{
    return starts_bytes(head, "\x1f\x8b", 2) || starts_bytes(head, "\x28\xb5\x2f\xfd", 4) ||
           starts_bytes(head,
                        "\xfd"
                        "7zXZ\0",
                        6) ||
           starts_bytes(head, "PK\3\4", 4) || starts_bytes(head, "PK\5\6", 4) ||
           starts_bytes(head, "BZh", 3) || starts_bytes(head, "7z\xbc\xaf\x27\x1c", 6) ||
           (head.len > 265 && memcmp(head.data + 257, "ustar", 5) == 0);
}

static bool is_warc(struct view head)
{
    return view_starts(head, "WARC/1.") || view_starts(head, "WARC/0.");
}

static bool is_pdf(struct view head)
{
    head.len = head.len < 1024 ? head.len : 1024;
    return contains(head, "%PDF-");
}

/* The first member is "mimetype", not packed; some programs put an extra field behind its name. */
static bool is_packed_as(struct view head, const char *type)
{
    head.len = head.len < 200 ? head.len : 200;
    return starts_bytes(head, "PK\3\4", 4) && contains(head, "mimetype") && contains(head, type);
}

static bool is_epub(struct view head)
{
    return is_packed_as(head, "application/epub+zip") ||
           (starts_bytes(head, "PK\3\4", 4) && contains(head, "META-INF/container.xml"));
}

static bool is_odt(struct view head)
{
    return is_packed_as(head, "application/vnd.oasis.opendocument.text");
}

/* The first members of a zip are named in its first bytes. */
static bool is_docx(struct view head)
{
    return starts_bytes(head, "PK\3\4", 4) &&
           (contains(head, "word/") || contains(head, "[Content_Types].xml"));
}

static bool is_html(struct view head)
{
    struct view text = text_begin(head);
    if (view_starts_caseless(text, "<!doctype html") || view_starts_caseless(text, "<html"))
        return true;
    return view_starts(text, "<?xml") &&
           (contains(text, "<!DOCTYPE html") || contains(text, "<html"));
}

static bool is_fb2(struct view head)
{
    return view_starts(text_begin(head), "<") && contains(head, "<FictionBook");
}

static bool is_tei(struct view head)
{
    return view_starts(text_begin(head), "<") &&
           (contains(head, "<TEI ") || contains(head, "<TEI>") || contains(head, "<TEI.2") ||
            contains(head, "<tei:TEI") || contains(head, "<teiCorpus"));
}

/* ---- the table ---- */

enum kind_flag {
    BY_CONTENT = 1, /* the content alone decides, whatever the name */
    NAMED = 2,      /* the name alone decides */
    PACKED = 4      /* a zip of that name is one, whatever its first members are */
};

static const struct kind {
    const char *name;
    const char *suffixes; /* each with a space behind it */
    bool (*detect)(struct view head);
    source_reader *read_source; /* of bytes that may hold many documents */
    item_reader *read_item;     /* else of one as a whole */
    int flags;
} kinds[] = {
    {"epub", ".epub ", is_epub, NULL, read_epub, BY_CONTENT | PACKED},
    {"odt", ".odt ", is_odt, NULL, read_odt, BY_CONTENT | PACKED},
    {"docx", ".docx ", is_docx, NULL, read_docx, BY_CONTENT | PACKED},
    {"archive", ".zip .tar .tgz .txz .tzst .gz .zst .xz .bz2 .7z ", is_packed, read_archive, NULL,
     BY_CONTENT},
    {"warc", ".warc .wet ", is_warc, read_warc, NULL, BY_CONTENT},
    {"pdf", ".pdf ", is_pdf, NULL, read_pdf, BY_CONTENT},
    {"txt", ".txt .text ", NULL, NULL, read_text, NAMED},
    {"md", ".md .markdown ", NULL, NULL, read_text, NAMED},
    {"jsonl", ".jsonl .ndjson ", NULL, read_json_lines, NULL, NAMED},
    {"csv", ".csv ", NULL, read_comma_table, NULL, NAMED},
    {"tsv", ".tsv .tab ", NULL, read_tab_table, NULL, NAMED},
    {"mbox", ".mbox .mbx ", NULL, read_mbox, NULL, NAMED},
    {"eml", ".eml ", NULL, NULL, read_mail, NAMED},
    {"fb2", ".fb2 ", is_fb2, NULL, read_fb2, 0},
    {"tei", ".tei ", is_tei, NULL, read_tei, 0},
    {"html", ".html .htm .xhtml .shtml ", is_html, NULL, read_html, NAMED},
};

static struct view base_name(struct view id)
{
    for (size_t i = id.len; i > 0; i--)
        if (id.data[i - 1] == '/' || id.data[i - 1] == '#')
            return (struct view){id.data + i, id.len - i};
    return id;
}

static struct view suffix_of(struct view name)
{
    for (size_t i = name.len; i > 1; i--)
        if (name.data[i - 1] == '.')
            return (struct view){name.data + i - 1, name.len - i + 1};
    return (struct view){"", 0};
}

/* What a packed file holds is named by what stands before .gz. */
static struct view unpacked_name(struct view name)
{
    static const char *const packings[] = {".gz", ".zst", ".xz", ".bz2"};
    for (size_t i = 0; i < sizeof packings / sizeof *packings; i++)
        if (ends_caseless(name, packings[i]) && name.len > strlen(packings[i])) {
            name.len -= strlen(packings[i]);
            return name;
        }
    return name;
}

static bool has_suffix(const struct kind *kind, struct view suffix)
{
    size_t at = 0;
    for (const char *each = kind->suffixes; *each; each += at + 1) {
        at = strcspn(each, " ");
        if (at == suffix.len && strncasecmp(each, suffix.data, at) == 0)
            return true;
    }
    return false;
}

/* NULL: unknown.  Files without any suffix are text if they look like it. */
static const struct kind *find_kind(struct view name, struct view head)
{
    size_t count = sizeof kinds / sizeof *kinds;
    struct view suffix = suffix_of(unpacked_name(name));
    for (size_t i = 0; i < count; i++)
        if (kinds[i].flags & BY_CONTENT &&
            (kinds[i].detect(head) || (kinds[i].flags & PACKED && has_suffix(&kinds[i], suffix) &&
                                       starts_bytes(head, "PK\3\4", 4))))
            return &kinds[i];
    for (size_t i = 0; i < count; i++)
        if (kinds[i].flags & NAMED && has_suffix(&kinds[i], suffix))
            return &kinds[i];
    for (size_t i = 0; i < count; i++)
        if (kinds[i].detect && kinds[i].detect(head))
            return &kinds[i];
    for (size_t i = 0; suffix.len == 0 && i < count; i++)
        if (kinds[i].read_item == read_text && encoding_detect(head) > ENCODING_BINARY)
            return &kinds[i];
    return NULL;
}

/* ---- items ---- */

static void sentence_of(char *out, size_t out_bytes, const struct error *error)
{
    if (error->code == ERR_MEMORY)
        snprintf(out, out_bytes, "needs more memory than a reader may have");
    else
        snprintf(out, out_bytes, "%s", error->text);
}

/* Faults of the bytes are the item's, anything else the reading's. */
static bool is_of_bytes(status code)
{
    return code == ERR_FORMAT || code == ERR_LIMIT || code == ERR_MEMORY;
}

static status refuse_now(struct reading *reading, struct view what, const char *reason,
                         struct error *error)
{
    return reading->sink->refuse(reading->sink->context, what, reason, error);
}

status reading_item(struct reading *reading, const struct item *item, item_reader *read,
                    struct error *error)
{
    const struct reading_sink *sink = reading->sink;
    const char *reason = NULL;
    if (!sink->begin(sink->context, &reason))
        return sink->end(sink->context, error);
    struct arena_mark mark = arena_mark(reading->arena);
    struct error own = {0};
    char text[ERROR_TEXT_BYTES];
    buffer_clear(&reading->text);
    if (!reason && read(reading, item, &own) != OK) {
        if (!is_of_bytes(own.code))
            return fail(error, own.code, "%s", own.text);
        sentence_of(text, sizeof text, &own);
        reason = text;
    }
    arena_rewind(reading->arena, mark);
    if (reason)
        TRY(refuse_now(reading, item->id, reason, error));
    return sink->end(sink->context, error);
}

status reading_refuse(struct reading *reading, struct view what, const char *reason,
                      struct error *error)
{
    const struct reading_sink *sink = reading->sink;
    const char *other = NULL;
    if (sink->begin(sink->context, &other))
        TRY(refuse_now(reading, what, other ? other : reason, error));
    return sink->end(sink->context, error);
}

status reading_emit(struct reading *reading, const struct item *item, struct view text,
                    struct error *error)
{
    if (view_trim(text).len == 0)
        return fail(error, ERR_FORMAT, "holds no text");
    struct found found = {.id = item->id,
                          .text = text,
                          .source = item->source.len ? item->source : item->url,
                          .license = item->license,
                          .kind = view_of(item->kind),
                          .url = item->url,
                          .title = item->title};
    return reading->sink->document(reading->sink->context, &found, error);
}

static status repair(struct view *text, struct reading *reading, struct error *error)
{
    struct buffer fixed;
    enum double_encoding found;
    buffer_create(&fixed, DOCUMENT_BYTES_MAX);
    status result = encoding_undouble(&fixed, &found, *text, error);
    if (result == OK && found == DOUBLE_ENCODED)
        result = fail(error, ERR_FORMAT, "was encoded twice and can't be brought back");
    if (result == OK && found == DOUBLE_REPAIRED)
        result = view_copy(text, (struct view){fixed.data, fixed.len}, reading->arena, error);
    buffer_destroy(&fixed);
    return result;
}

static status decode(struct view *out, struct reading *reading, const struct item *item,
                     struct error *error)
{
    struct buffer decoded;
    enum text_encoding encoding = encoding_choose(item->bytes, item->charset);
    if (encoding == ENCODING_BINARY)
        return fail(error, ERR_FORMAT, "is binary, not text");
    if (encoding == ENCODING_UNKNOWN)
        return fail(error, ERR_FORMAT,
                    "is in an unknown encoding (known: UTF-8, UTF-16, CP1251, KOI8-R, CP866, "
                    "ISO-8859-5)");
    buffer_create(&decoded, 3 * (size_t)DOCUMENT_BYTES_MAX);
    status result = encoding_decode(&decoded, item->bytes, encoding, error);
    if (result == OK)
        result = view_copy(out, (struct view){decoded.data, decoded.len}, reading->arena, error);
    buffer_destroy(&decoded);
    return result;
}

status reading_decode(struct view *out, struct reading *reading, const struct item *item,
                      struct error *error)
{
    *out = item->bytes;
    if (item->decoded && !utf8_valid(*out))
        return fail(error, ERR_FORMAT, "is not valid UTF-8");
    if (!item->decoded && !encoding_is_plain(*out))
        TRY(decode(out, reading, item, error));
    return repair(out, reading, error);
}

/* ---- any source ---- */

static status refuse_unknown(struct reading *reading, struct source *source, struct view id,
                             struct error *error)
{
    struct view text = text_begin(source->left);
    const char *reason = "is of an unknown kind";
    if (view_starts(text, "<?xml"))
        reason = "is XML of an unknown kind (known: TEI, FictionBook, XHTML)";
    else if (encoding_detect((struct view){source->left.data, source->left.len < HEAD_BYTES
                                                                  ? source->left.len
                                                                  : HEAD_BYTES}) == ENCODING_BINARY)
        reason = "is of an unknown kind, and binary";
    return reading_refuse(reading, id, reason, error);
}

static status read_whole(struct reading *reading, const struct kind *kind, struct source *source,
                         struct view id, struct error *error)
{
    struct item item = {.id = id, .kind = kind->name};
    struct error own = {0};
    status result = source_all(&item.bytes, source, DOCUMENT_BYTES_MAX, &own);
    if (result == OK)
        return reading_item(reading, &item, kind->read_item, error);
    if (reading->unpacked > reading->unpacked_max || !is_of_bytes(result))
        return fail(error, result, "%s", own.text);
    char text[ERROR_TEXT_BYTES];
    sentence_of(text, sizeof text, &own);
    return reading_refuse(reading, id, text, error);
}

status read_source(struct reading *reading, struct source *source, struct view id,
                   struct error *error)
{
    TRY(source_want(source, HEAD_BYTES, error));
    if (source->left.len == 0)
        return reading_refuse(reading, id, source->fault ? source->fault : "is empty", error);
    struct view head = {source->left.data,
                        source->left.len < HEAD_BYTES ? source->left.len : HEAD_BYTES};
    const struct kind *kind = find_kind(base_name(id), head);
    if (!kind)
        return refuse_unknown(reading, source, id, error);
    return kind->read_source ? kind->read_source(reading, source, id, error)
                             : read_whole(reading, kind, source, id, error);
}

status reading_run(const struct reading_options *options, const struct reading_sink *sink,
                   struct view id, struct view bytes, struct error *error)
{
    ASSERT(options && options->text_field && sink && error);
    struct reading reading = {.options = options,
                              .sink = sink,
                              .words = options->words,
                              .unpacked_max = UNPACKED_FREE + UNPACKED_RATIO * (uint64_t)bytes.len};
    struct source source = source_of(bytes);
    TRY(arena_create(&reading.arena, 0, error));
    buffer_create(&reading.text, DOCUMENT_BYTES_MAX);
    status result = OK;
    if (!reading.words)
        result = html_words_create(&reading.words, reading.arena, error);
    if (result == OK)
        result = read_source(&reading, &source, id, error);
    buffer_destroy(&reading.text);
    source_close(&source);
    arena_destroy(reading.arena);
    return result;
}
