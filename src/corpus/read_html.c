/* The reader of HTML pages. */
#include "corpus/html.h"
#include "corpus/reader_internal.h"

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

static status whole_text(struct buffer *out, const struct page *page, struct error *error)
{
    for (size_t i = 0; i < page->count; i++) {
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
        TRY(whole_text(&reading->text, page, error));
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

status html_whole_text(struct buffer *out, struct view *title, struct reading *reading,
                       struct view bytes, struct error *error)
{
    struct page page;
    page_create(&page);
    status result = html_take_apart(&page, bytes, reading->arena, error);
    if (result == OK)
        result = whole_text(out, &page, error);
    *title = page.title;
    page_destroy(&page);
    return result;
}
