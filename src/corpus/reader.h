/* Readers: bytes of any known kind become documents, in the order in which they stand there.
 * What a reader says of a document is its text as UTF-8 and what the file tells about it; cleaning,
 * filters and duplicates come later.  Readers see hostile bytes: they are run in a sandbox by
 * gather.c, and everything they take has a limit.  Memory is the reading's; one thread. */
#ifndef RODNIK_CORPUS_READER_H
#define RODNIK_CORPUS_READER_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/string.h"

enum {
    DOCUMENT_BYTES_MAX = 1 << 30, /* of a file that becomes one document, and of its text */
    LINE_BYTES_MAX = 256 << 20,
    NESTING_MAX = 4,         /* archives in archives */
    UNPACKED_RATIO = 256,    /* all that comes out of one file, to its own size */
    UNPACKED_FREE = 64 << 20 /* beside that */
};

/* A document on its way out; views live until the callback returns.  Empty: not said. */
struct found {
    struct view id, text, source, license, kind, url, title;
};

/* Where documents go.  `begin` opens an item (sandbox_item_begin): false when nothing is to be
 * done for it; *reason is set when it is to be refused unread. */
struct reading_sink {
    void *context;
    bool (*begin)(void *context, const char **reason);
    status (*end)(void *context, struct error *error);
    status (*document)(void *context, const struct found *found, struct error *error);
    status (*refuse)(void *context, struct view what, const char *reason, struct error *error);
    /* `found->text` is a file that an external program reads. */
    status (*hand_over)(void *context, const struct found *found, struct error *error);
};

struct html_words;
struct reading_options {
    const char *text_field;         /* of JSON lines and of tables */
    bool whole_pages;               /* all text of HTML, not the main text alone */
    const struct html_words *words; /* NULL: each reading makes its own, which takes time */
};

struct reading {
    const struct reading_options *options;
    const struct reading_sink *sink;
    struct arena *arena;             /* rewound after each item */
    struct buffer text;              /* scratch of an item, empty when it begins */
    const struct html_words *words;  /* for pages */
    uint64_t unpacked, unpacked_max; /* bytes that came out of archives */
    int depth;
};

/* Reads all of it.  A failure is the file's: a sentence without the file's name.  ERR_MEMORY also
 * means a file that needs more than its limit. */
MUST_USE status reading_run(const struct reading_options *options, const struct reading_sink *sink,
                            struct view id, struct view bytes, struct error *error);

#endif
