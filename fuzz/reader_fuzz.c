/* modules: base text proof corpus */
#include <string.h>

#include "corpus/pdf.h"
#include "corpus/reader.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool begin(void *context, const char **reason)
{
    (void)reason;
    ++*(size_t *)context;
    return true;
}

static status end(void *context, struct error *error)
{
    (void)error;
    --*(size_t *)context;
    return OK;
}

static status document(void *context, const struct found *found, struct error *error)
{
    (void)error;
    ASSERT(*(size_t *)context == 1); /* items are not nested */
    ASSERT(found->id.len && found->text.len);
    ASSERT(utf8_valid(found->text));
    return OK;
}

static status refuse(void *context, struct view what, const char *reason, struct error *error)
{
    (void)error;
    ASSERT(*(size_t *)context == 1 && what.data && *reason);
    return OK;
}

static status hand_over(void *context, const struct found *found, struct error *error)
{
    (void)error;
    ASSERT(*(size_t *)context == 1 && found->text.len);
    return OK;
}

/* The first byte names the kind, the next says how; the rest is the file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.txt",  "a.jsonl", "a.csv", "a.tsv",  "a.html", "a.warc",
                                        "a.fb2",  "a.tei",   "a.xml", "a.epub", "a.docx", "a.odt",
                                        "a.mbox", "a.eml",   "a.pdf", "a.zip",  "a.gz",   "a"};
    struct error error = {0};
    size_t open = 0;
    if (size < 2)
        return 0;
    struct view bytes = {(const char *)data + 2, size - 2};
    struct reading_options options = {.text_field = "text", .whole_pages = data[1] & 1};
    struct reading_sink sink = {&open, begin, end, document, refuse, hand_over};
    const char *name = names[data[0] % (sizeof names / sizeof *names)];
    if (reading_run(&options, &sink, view_of(name), bytes, &error) != OK)
        ASSERT(error.text[0]);
    struct buffer joined;
    buffer_create(&joined, 16 << 20);
    if (pdf_join_lines(&joined, bytes, &error) == OK && utf8_valid(bytes))
        ASSERT(utf8_valid((struct view){joined.data ? joined.data : "", joined.len}));
    buffer_destroy(&joined);
    return 0;
}
