/* What readers share: bytes that come in pieces, items, and the way out. */
#ifndef RODNIK_CORPUS_READER_INTERNAL_H
#define RODNIK_CORPUS_READER_INTERNAL_H

#include "corpus/corpus.h"
#include "corpus/reader.h"

/* ---- bytes that come in pieces ---- */

struct archive;
struct source {
    struct view left;        /* at hand and not taken */
    bool complete;           /* nothing comes behind */
    struct archive *archive; /* where more comes from */
    struct buffer buffer;    /* holds `left` when it comes from an archive */
    struct reading *reading;
    const char *fault; /* why the bytes end early; NULL: they don't */
};
struct source source_of(struct view bytes);
void source_close(struct source *source);
/* Makes at least `bytes` be at hand, unless the source ends before. */
MUST_USE status source_want(struct source *source, size_t bytes, struct error *error);
void source_take(struct source *source, size_t bytes);
/* The next line without its end; false at the end.  A line of more than LINE_BYTES_MAX is cut and
 * *too_long. */
MUST_USE status source_line(bool *found, struct view *line, bool *too_long, struct source *source,
                            struct error *error);
/* Everything that is left; ERR_LIMIT beyond `bytes_max`, ERR_FORMAT when the bytes end early. */
MUST_USE status source_all(struct view *out, struct source *source, size_t bytes_max,
                           struct error *error);

/* ---- items ---- */

/* A file or a part of one that becomes documents as a whole. */
struct item {
    struct view id, bytes;
    const char *kind;
    struct view charset; /* as said outside of the bytes */
    struct view url, source, license, title;
    bool decoded; /* the bytes are UTF-8 */
};
typedef status item_reader(struct reading *reading, const struct item *item, struct error *error);

/* Reads one item; what fails for its bytes is refused by name, and the result is OK. */
MUST_USE status reading_item(struct reading *reading, const struct item *item, item_reader *read,
                             struct error *error);
/* An item that can't be read at all. */
MUST_USE status reading_refuse(struct reading *reading, struct view what, const char *reason,
                               struct error *error);
/* A document of the item: its text, else as the item says. */
MUST_USE status reading_emit(struct reading *reading, const struct item *item, struct view text,
                             struct error *error);
/* The item's bytes as UTF-8, repaired if they were encoded twice; ERR_FORMAT with the reason. */
MUST_USE status reading_decode(struct view *out, struct reading *reading, const struct item *item,
                               struct error *error);
MUST_USE status view_format(struct view *out, struct arena *arena, struct error *error,
                            const char *format, ...) PRINTF_LIKE(4, 5);
/* The same bytes in the arena. */
MUST_USE status view_copy(struct view *out, struct view from, struct arena *arena,
                          struct error *error);

/* ---- readers ---- */

/* Reads a source of any kind; the name decides where bytes don't. */
MUST_USE status read_source(struct reading *reading, struct source *source, struct view id,
                            struct error *error);

typedef status source_reader(struct reading *reading, struct source *source, struct view id,
                             struct error *error);
source_reader read_json_lines, read_comma_table, read_tab_table, read_archive, read_warc, read_mbox;
item_reader read_text, read_html, read_fb2, read_tei, read_docx, read_odt, read_epub, read_mail,
    read_pdf;

/* ---- members of packed documents ---- */

struct member {
    struct view name, bytes;
    struct member *next;
};
/* All members of a zip whose names `wanted` accepts, at most DOCUMENT_BYTES_MAX together. */
MUST_USE status archive_members(struct member **out, struct reading *reading, struct view bytes,
                                bool (*wanted)(struct view name), struct error *error);
const struct member *member_named(const struct member *members, struct view name);
/* Unpacks gzip or zlib bytes (Content-Encoding) into the arena. */
MUST_USE status unpack_body(struct view *out, struct reading *reading, struct view bytes,
                            struct error *error);

/* ---- text out of markup ---- */

/* Whole text of a page, without what is never shown; *title as the page says it. */
MUST_USE status html_whole_text(struct buffer *out, struct view *title, struct reading *reading,
                                struct view page, struct error *error);

/* The same of a book's chapter, without tables of contents: three and more links in a row. */
MUST_USE status html_chapter_text(struct buffer *out, struct view *title, struct reading *reading,
                                  struct view page, struct error *error);

/* Case of ASCII does not matter. */
bool view_is_caseless(struct view a, const char *text);
bool view_starts_caseless(struct view a, const char *prefix);

#endif
