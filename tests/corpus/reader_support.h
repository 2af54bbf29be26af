/* Reads bytes in this process and writes down what came: a line a document or refusal. */
#ifndef RODNIK_TESTS_READER_SUPPORT_H
#define RODNIK_TESTS_READER_SUPPORT_H

#include "support.h"

#include "corpus/reader.h"

struct notes {
    char text[1 << 16];
    size_t documents, refusals, bytes;
    bool quiet; /* count only */
};

static void note(struct notes *notes, const char *format, ...) PRINTF_LIKE(2, 3);
static void note(struct notes *notes, const char *format, ...)
{
    size_t len = strlen(notes->text);
    va_list list;
    va_start(list, format);
    if (!notes->quiet)
        vsnprintf(notes->text + len, sizeof notes->text - len, format, list);
    va_end(list);
}

static bool note_begin(void *context, const char **reason)
{
    (void)context, (void)reason;
    return true;
}

static status note_end(void *context, struct error *error)
{
    (void)context, (void)error;
    return OK;
}

static void note_field(struct notes *notes, const char *name, struct view value)
{
    if (value.len)
        note(notes, " %s=%.*s", name, (int)value.len, value.data);
}

static status note_document(void *context, const struct found *found, struct error *error)
{
    (void)error;
    struct notes *notes = context;
    notes->documents++;
    notes->bytes += found->text.len;
    note(notes, "%.*s [%.*s]", (int)found->id.len, found->id.data, (int)found->kind.len,
         found->kind.data);
    note_field(notes, "source", found->source);
    note_field(notes, "license", found->license);
    note_field(notes, "title", found->title);
    note(notes, ": %.*s\n", (int)found->text.len, found->text.data);
    return OK;
}

static status note_refusal(void *context, struct view what, const char *reason, struct error *error)
{
    (void)error;
    struct notes *notes = context;
    notes->refusals++;
    note(notes, "%.*s refused: %s\n", (int)what.len, what.data, reason);
    return OK;
}

static status note_file(void *context, const struct found *found, struct error *error)
{
    (void)error;
    note(context, "%.*s handed over: %zu bytes\n", (int)found->id.len, found->id.data,
         found->text.len);
    return OK;
}

/* The sentence of a reading that fails as a whole is written down too. */
static void read_into(struct notes *notes, const char *name, struct view bytes)
{
    struct error error = {0};
    struct reading_options options = {.text_field = "text", .whole_pages = true};
    struct reading_sink sink = {notes,         note_begin,   note_end,
                                note_document, note_refusal, note_file};
    if (reading_run(&options, &sink, view_of(name), bytes, &error) != OK)
        note(notes, "%s failed: %s\n", name, error.text);
}

static inline void expect_reading(const char *name, struct view bytes, const char *expected)
{
    static struct notes notes;
    notes = (struct notes){.documents = 0};
    read_into(&notes, name, bytes);
    assert_string_equal(notes.text, expected);
}

#endif
