/* Signals: one record of counts per document, from which every decision about quality is made
 * later, without the text.  Ratios are quotients of counts, so a record is the same on every
 * machine.  What each count is stands in docs/signals.md; decisions are corpus/profile.h.
 *
 * Two linear passes over clean UTF-8; memory is bounded whatever the text.  A work area belongs to
 * one thread; records are plain values. */
#ifndef RODNIK_CORPUS_SIGNALS_H
#define RODNIK_CORPUS_SIGNALS_H

#include "base/file.h"
#include "base/hash.h"
#include "text/language.h"

/* name, meaning.  The order is that of the file: append only, with a new version of the file. */
#define SIGNALS(X)                                                                                 \
    X(bytes, "bytes of the text")                                                                  \
    X(characters, "code points")                                                                   \
    X(letters, "code points of general category L")                                                \
    X(upper, "letters Lu and Lt")                                                                  \
    X(digits, "code points of general category N")                                                 \
    X(spaces, "White_Space, newlines included")                                                    \
    X(damaged, "U+FFFD, control and private-use characters except tab and newline")                \
    X(hashes, "number signs")                                                                      \
    X(braces, "{ and }")                                                                           \
    X(newlines, "line feeds")                                                                      \
    X(tokens, "words and symbols")                                                                 \
    X(words, "runs of letters, marks and numbers, joined by apostrophes and hyphens")              \
    X(word_characters, "code points of words")                                                     \
    X(word_longest, "code points of the longest word")                                             \
    X(words_alphabetic, "words with a letter")                                                     \
    X(ellipses, "\xE2\x80\xA6 and runs of three or more full stops")                               \
    X(stop_ru, "distinct Russian stop words, of 22")                                               \
    X(stop_en, "distinct English stop words, of 8")                                                \
    X(stop_hits, "words that are a stop word of either list")                                      \
    X(lines, "lines that are not blank")                                                           \
    X(lines_short, "lines of at most 30 code points")                                              \
    X(lines_end_narrow, "lines that end with a full stop, ! or ?")                                 \
    X(lines_end, "lines that end with any mark that ends a line of prose, or a closing quote")     \
    X(lines_bullet, "lines that begin with a bullet or a hyphen")                                  \
    X(lines_dash, "lines that begin with a dash, as speech does")                                  \
    X(lines_ellipsis, "lines that end with an ellipsis")                                           \
    X(lines_again, "lines that stood before")                                                      \
    X(lines_again_characters, "their code points")                                                 \
    X(paragraphs, "runs of lines between empty lines")                                             \
    X(paragraphs_again, "paragraphs that stood before")                                            \
    X(paragraphs_again_characters, "their code points")                                            \
    X(measured_characters, "code points in which repeated words were looked for")                  \
    X(top_2, "code points of the commonest pair of tokens, times its count")                       \
    X(top_3, "the same of three tokens")                                                           \
    X(top_4, "the same of four tokens")                                                            \
    X(again_5, "code points of five tokens that stood before, not overlapping")                    \
    X(again_6, "the same of six tokens")                                                           \
    X(again_7, "the same of seven tokens")                                                         \
    X(again_8, "the same of eight tokens")                                                         \
    X(again_9, "the same of nine tokens")                                                          \
    X(again_10, "the same of ten tokens")                                                          \
    X(language, "1 + number of the language, 0 for none")                                          \
    X(language_score, "its share, in ten-thousandths")

#define SIGNALS_FIELD(name, meaning) uint64_t name;
struct signals {
    SIGNALS(SIGNALS_FIELD)
};
#define SIGNALS_ONE(name, meaning) +1
enum { SIGNAL_COUNT = 0 SIGNALS(SIGNALS_ONE), SIGNAL_TEN_THOUSAND = 10000 };

/* index < SIGNAL_COUNT, in the order above */
const char *signals_name(int index);
uint64_t signals_value(const struct signals *signals, int index);

/* ---- measuring ---- */

enum {
    /* Repeated lines and words are looked for in as many; that is more than a long novel has. */
    SIGNAL_TOKENS_MAX = 1 << 21,
    SIGNAL_LINES_MAX = 1 << 20,
    SIGNAL_TEXT_BYTES_MAX = 1 << 30
};

struct signals_work;
/* The work area lies in the arena and grows to what the largest document needs; model may be NULL
 * (no language is told) and must outlive it. */
MUST_USE status signals_work_create(struct signals_work **out, const struct language_model *model,
                                    struct arena *arena, struct error *error);
void signals_work_destroy(struct signals_work *work); /* NULL is allowed */

/* Valid UTF-8 without control characters is measured as docs/signals.md says; in other bytes each
 * bad one counts as a damaged character.  ERR_LIMIT above SIGNAL_TEXT_BYTES_MAX. */
MUST_USE status signals_measure(struct signals *out, struct signals_work *work, struct view text,
                                struct error *error);

/* ---- the file (docs/formats.md) ---- */

struct corpus;
struct thread_pool;
struct signals_job {
    const struct corpus *corpus; /* open */
    const struct language_model *model;
    struct thread_pool *pool;
    const char *path;                                   /* of the file to write */
    void (*progress)(void *context, double done_bytes); /* may be NULL */
    void *context;
};
/* Measures all documents of a corpus and writes their signals in its order; the same bytes for any
 * number of threads. */
MUST_USE status signals_of_corpus(const struct signals_job *job, struct error *error);

struct signals_writer {
    struct file_writer file;
    struct sha256_state hash;
    uint64_t records;
};
/* The labels are those of the model that told the languages; NULL: none. */
MUST_USE status signals_writer_open(struct signals_writer *out, const char *path,
                                    const struct language_model *model, struct error *error);
MUST_USE status signals_writer_add(struct signals_writer *writer, const struct sha256 *text,
                                   const struct signals *signals, struct error *error);
/* One of these ends the writer. */
MUST_USE status signals_writer_commit(struct signals_writer *writer, struct error *error);
void signals_writer_abort(struct signals_writer *writer);

struct signals_reader {
    struct view rest; /* of the records */
    uint64_t records; /* of the whole file */
    int labels;
    char label[LANGUAGES_MAX][LANGUAGE_LABEL_BYTES];
    const char *name;
};
/* Checks form, length and hash of a whole file; the reader borrows it and the name. */
MUST_USE status signals_reader_open(struct signals_reader *out, struct view file, const char *name,
                                    struct error *error);
/* *more is false at the end. */
MUST_USE status signals_reader_next(bool *more, struct sha256 *text, struct signals *signals,
                                    struct signals_reader *reader, struct error *error);
/* The label of a record's language, "none" for none. */
const char *signals_language(const struct signals_reader *reader, const struct signals *signals);

#endif
