/* The reader of HTML pages. */
#include "corpus/html.h"
#include "corpus/reader_internal.h"
#include "text/utf8.h"

enum { CONTENTS_LINES = 3 }; /* so many links one after the other are a table of contents */

static void page_create(struct page *out)
{
    *out = (struct page){.count = 0};
    buffer_create(&out->text, DOCUMENT_BYTES_MAX);
    buffer_create(&out->scratch, DOCUMENT_BYTES_MAX);
}

static void page_destroy(struct page *page)
{
    buffer_destroy(&page->text);
    buffer_destroy(&page->scratch);
}

static bool is_link(const struct page *page, size_t index)
{
    const struct paragraph *each = &page->list[index];
    struct view text = {page->text.data + each->at, each->len};
    return 10 * (size_t)each->link_characters >= 9 * utf8_count(text);
}

/* How many paragraphs from this one on are nothing but links. */
static size_t links_from(const struct page *page, size_t index)
{
    size_t end = index;
    while (end < page->count && is_link(page, end))
        end++;
    return end - index;
}

/* Everything; of books not the tables of contents. */
static status whole_text(struct buffer *out, const struct page *page, bool book,
                         struct error *error)
{
    for (size_t i = 0; i < page->count; i++) {
        size_t links = book ? links_from(page, i) : 0;
        if (links >= CONTENTS_LINES)
            i += links;
        if (i == page->count)
            break;
        TRY(buffer_append(out, page->text.data + page->list[i].at, page->list[i].len, error));
        TRY(buffer_append(out, "\n", 1, error));
    }
    return OK;
}

static status text_of_page(struct reading *reading, struct page *page, struct view bytes,
                           struct error *error)
{
    TRY(html_take_apart(page, bytes, reading->arena, error));
    if (reading->options->whole_pages)
        TRY(whole_text(&reading->text, page, false, error));
    else
        TRY(html_main_text(&reading->text, page, reading->words, error));
    if (reading->text.len == 0)
        return fail(error, ERR_FORMAT, "is a page without main text (%zu other paragraphs)",
                    page->count);
    return OK;
}

status read_html(struct reading *reading, const struct item *item, struct error *error)
{
    struct item decoded = *item;
    struct page page;
    if (!decoded.charset.len)
        decoded.charset = html_charset(item->bytes);
    TRY(reading_decode(&decoded.bytes, reading, &decoded, error));
    page_create(&page);
    status result = text_of_page(reading, &page, decoded.bytes, error);
    if (page.title.len)
        decoded.title = page.title;
    if (page.license.len)
        decoded.license = page.license;
    if (result == OK)
        result = reading_emit(reading, &decoded,
                              (struct view){reading->text.data, reading->text.len}, error);
    page_destroy(&page);
    return result;
}

static status text_of_bytes(struct buffer *out, struct view *title, struct arena *arena,
                            struct view bytes, bool book, struct error *error)
{
    struct page page;
    page_create(&page);
    status result = html_take_apart(&page, bytes, arena, error);
    if (result == OK)
        result = whole_text(out, &page, book, error);
    *title = page.title;
    page_destroy(&page);
    return result;
}

status html_whole_text(struct buffer *out, struct view *title, struct reading *reading,
                       struct view page, struct error *error)
{
    return text_of_bytes(out, title, reading->arena, page, false, error);
}

status html_chapter_text(struct buffer *out, struct view *title, struct reading *reading,
                         struct view page, struct error *error)
{
    return text_of_bytes(out, title, reading->arena, page, true, error);
}
