/* Finds lines that stand in many documents (menus, footers, notices) and takes them out of all
 * documents but the first, in bounded memory.
 *
 * A line is what stands between two \n; its key is the hash of its words in normal form
 * (text/words.h): from h = WORD_SEED, for each word h = (h ^ word_hash) *
 * WORD_FACTOR, h ^= h >> 32.  Lines of fewer than words_min words are left alone, as are empty
 * ones.  A line whose key stands in more than documents_max documents stays in the document with
 * the smallest number, as often as it stands there, and goes from all others.  What is found
 * depends on numbers and texts alone.
 *
 * Memory: settings.memory_bytes, 8 bytes for each of documents_max, and for each thread 16 bytes
 * for each line of what it reads at once (16 MiB of text, or one document).  Disk: 16 bytes for
 * each line that is new in its document. */
#ifndef RODNIK_CORPUS_REPEATED_LINES_H
#define RODNIK_CORPUS_REPEATED_LINES_H

#include "corpus/duplicates.h"
#include "text/words.h"

struct repeated_lines;

enum { LINE_DOCUMENTS_MAX = 1000000, LINES_MEMORY_BYTES_MIN = 16 << 10 };

struct repeated_lines_settings {
    uint64_t documents_max; /* 1 to LINE_DOCUMENTS_MAX; 10 is the default of the corpus */
    size_t words_min;       /* 1 or more; 4 is the default */
    size_t memory_bytes;    /* at least LINES_MEMORY_BYTES_MIN */
    const char *folder;     /* for temporary files; kept as a pointer */
    struct thread_pool *pool;
};

MUST_USE status repeated_lines_create(struct repeated_lines **out,
                                      const struct repeated_lines_settings *settings,
                                      struct error *error);
void repeated_lines_destroy(struct repeated_lines *lines); /* NULL is allowed */
/* Reads some documents on all threads; any order, any number at a time. */
MUST_USE status repeated_lines_add(struct repeated_lines *lines,
                                   const struct numbered_text *documents, size_t count,
                                   struct error *error);
MUST_USE status repeated_lines_finish(struct repeated_lines *lines, struct error *error);

/* What a document loses: lines with these keys, in rising order. */
struct line_losses {
    uint64_t document;
    const uint64_t *keys; /* valid until the next call */
    size_t count;
};
/* The next document that loses lines, in the order of numbers; *found is false after the last. */
MUST_USE status repeated_lines_next(bool *found, struct line_losses *out,
                                    struct repeated_lines *lines, struct error *error);

/* Appends the text without the lines that it loses; *lost is their number.  `words` is open. */
MUST_USE status repeated_lines_drop(struct buffer *out, size_t *lost, struct words *words,
                                    struct view text, const struct line_losses *losses,
                                    struct error *error);

/* The key of a line and the number of its words. */
MUST_USE status line_key(uint64_t *out, size_t *word_count, struct words *words, struct view line,
                         struct error *error);

#endif
