/* The reader of EPUB: the chapters in the order of the spine.  Source: EPUB 3.3, sections 4 to
 * 6. */
#include "corpus/markup.h"
#include "corpus/reader_internal.h"
#include "corpus/xml_text.h"

#include <string.h>

enum { CHAPTERS_MAX = 20000 };

struct chapter {
    struct view id, href;
    bool contents; /* the table of contents */
};

struct book {
    struct member *members;
    struct view folder; /* of the package document, with its slash */
    struct chapter *chapters;
    size_t count;
};

static bool is_wanted(struct view name)
{
    return view_ends(name, ".xml") || view_ends(name, ".opf") || view_ends(name, ".xhtml") ||
           view_ends(name, ".html") || view_ends(name, ".htm");
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* folder/../name%20of.xhtml#part as a member's name. */
static status resolve(struct view *out, struct view folder, struct view href, struct arena *arena,
                      struct error *error)
{
    char *name = arena_alloc(arena, folder.len + href.len + 1, 1, error);
    size_t len = folder.len;
    if (!name)
        return error->code;
    if (len)
        memcpy(name, folder.data, len);
    while (view_starts(href, "../")) {
        href.data += 3;
        href.len -= 3;
        len -= len > 0;
        while (len > 0 && name[len - 1] != '/')
            len--;
    }
    for (size_t i = 0; i < href.len && href.data[i] != '#'; i++) {
        int high = -1, low = -1;
        if (href.data[i] == '%' && i + 2 < href.len) {
            high = hex_digit(href.data[i + 1]);
            low = hex_digit(href.data[i + 2]);
        }
        bool coded = high >= 0 && low >= 0;
        name[len++] = coded ? (char)(high * 16 + low) : href.data[i];
        i += coded ? 2 : 0;
    }
    *out = (struct view){name, len};
    return OK;
}

static status add_chapter(struct book *book, const struct markup_token *token, struct error *error)
{
    struct chapter chapter = {{"", 0}, {"", 0}, false};
    struct view type, properties;
    if (book->count == CHAPTERS_MAX)
        return fail(error, ERR_LIMIT, "has more than %d chapters", CHAPTERS_MAX);
    if (!markup_attribute(&chapter.id, token->attributes, "id") ||
        !markup_attribute(&chapter.href, token->attributes, "href") ||
        !markup_attribute(&type, token->attributes, "media-type") ||
        !memmem(type.data, type.len, "html", 4))
        return OK;
    chapter.contents = markup_attribute(&properties, token->attributes, "properties") &&
                       memmem(properties.data, properties.len, "nav", 3);
    book->chapters[book->count++] = chapter;
    return OK;
}

static status add_text(struct reading *reading, const struct book *book,
                       const struct chapter *chapter, struct error *error)
{
    struct view name, title;
    TRY(resolve(&name, book->folder, chapter->href, reading->arena, error));
    const struct member *member = member_named(book->members, name);
    if (!member || chapter->contents)
        return OK;
    struct item page = {.bytes = member->bytes};
    TRY(reading_decode(&page.bytes, reading, &page, error));
    TRY(html_chapter_text(&reading->text, &title, reading, page.bytes, error));
    return buffer_append(&reading->text, "\n", 1, error);
}

static const struct chapter *chapter_of(const struct book *book, struct view id)
{
    for (size_t i = 0; i < book->count; i++)
        if (view_equal(book->chapters[i].id, id))
            return &book->chapters[i];
    return NULL;
}

/* First the manifest, then the spine that names its entries. */
static status read_package(struct reading *reading, struct book *book, struct view package,
                           struct error *error)
{
    struct markup markup = markup_of(package, true);
    struct markup_token token;
    size_t spine = 0;
    TRY_ALLOC(book->chapters, reading->arena, CHAPTERS_MAX, error);
    while (markup_next(&token, &markup)) {
        struct view id;
        if (token.kind != MARKUP_OPEN)
            continue;
        if (view_is(token.name, "item"))
            TRY(add_chapter(book, &token, error));
        if (!view_is(token.name, "itemref") || !markup_attribute(&id, token.attributes, "idref"))
            continue;
        if (spine++ == CHAPTERS_MAX)
            return fail(error, ERR_LIMIT, "has more than %d chapters", CHAPTERS_MAX);
        const struct chapter *chapter = chapter_of(book, id);
        if (chapter)
            TRY(add_text(reading, book, chapter, error));
    }
    return OK;
}

static bool find_package(struct view *path, struct view container)
{
    struct markup markup = markup_of(container, true);
    struct markup_token token;
    while (markup_next(&token, &markup))
        if (token.kind == MARKUP_OPEN && view_is(token.name, "rootfile") &&
            markup_attribute(path, token.attributes, "full-path"))
            return true;
    return false;
}

status read_epub(struct reading *reading, const struct item *item, struct error *error)
{
    static const struct xml_rule rules[] = {{"title", XML_TITLE}, {NULL, XML_SKIP}};
    struct book book = {.members = NULL};
    struct view path;
    struct item found = *item;
    struct xml_said said;
    TRY(archive_members(&book.members, reading, item->bytes, is_wanted, error));
    const struct member *container = member_named(book.members, view_of("META-INF/container.xml"));
    if (!container || !find_package(&path, container->bytes))
        return fail(error, ERR_FORMAT, "has no META-INF/container.xml that names its package");
    const struct member *package = member_named(book.members, path);
    if (!package)
        return fail(error, ERR_FORMAT, "lacks its package %.*s",
                    (int)(path.len < 200 ? path.len : 200), path.data);
    const char *slash = memrchr(path.data, '/', path.len);
    book.folder = (struct view){path.data, slash ? (size_t)(slash - path.data) + 1 : 0};
    TRY(xml_text(&reading->text, &said, package->bytes, rules, reading->arena, error));
    buffer_clear(&reading->text);
    found.title = said.title;
    TRY(read_package(reading, &book, package->bytes, error));
    return reading_emit(reading, &found, (struct view){reading->text.data, reading->text.len},
                        error);
}
