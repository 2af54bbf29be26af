/* How comparisons_add gives finders what it reads.  For each document, on one thread: begin, take
 * for one stretch of words after the other, end; after each batch, on the calling thread: keep. */
#ifndef RODNIK_CORPUS_COMPARISONS_INTERNAL_H
#define RODNIK_CORPUS_COMPARISONS_INTERNAL_H

#include "base/arena.h"
#include "base/thread.h"
#include "corpus/comparisons.h"
#include "text/words.h"

/* A batch ends with the document that reaches either. */
enum { BATCH_DOCUMENTS = 1024, BATCH_BYTES = 16 << 20 };

/* Words of a document, and what ends with each: hashes of 5 and 13 words in a row. */
struct text_stretch {
    struct words_piece words;
    const uint64_t *fives, *folded_fives, *thirteens; /* [words.count] */
};

/* Reads for whoever it belongs to; of several finders one lends its own. */
struct text_reader {
    struct words words;
    struct buffer fives, folded_fives, thirteens;
    struct error error;
};
struct text_readers {
    struct thread_pool *pool;
    struct text_reader *of_thread; /* [threads] */
};
MUST_USE status text_readers_open(struct text_readers *out, struct thread_pool *pool,
                                  struct arena *arena, struct error *error);
void text_readers_close(struct text_readers *readers);

struct text_readers *duplicates_readers(struct duplicates *duplicates);
void duplicates_begin(struct duplicates *duplicates, int thread);
void duplicates_take(struct duplicates *duplicates, int thread, const struct text_stretch *stretch);
/* `index`: of the document in the batch. */
void duplicates_end(struct duplicates *duplicates, int thread, size_t index, struct view text);
MUST_USE status duplicates_keep(struct duplicates *duplicates,
                                const struct numbered_text *documents, size_t count,
                                struct error *error);

struct text_readers *repeated_lines_readers(struct repeated_lines *lines);
void repeated_lines_begin(struct repeated_lines *lines, int thread);
MUST_USE status repeated_lines_take(struct repeated_lines *lines, int thread,
                                    const struct text_stretch *stretch, struct error *error);
MUST_USE status repeated_lines_end(struct repeated_lines *lines, int thread, uint64_t document,
                                   struct error *error);
MUST_USE status repeated_lines_keep(struct repeated_lines *lines, struct error *error);

struct text_readers *contamination_readers(struct contamination *contamination);
void contamination_begin(struct contamination *contamination, int thread);
MUST_USE status contamination_take(struct contamination *contamination, int thread,
                                   const struct text_stretch *stretch, struct error *error);
MUST_USE status contamination_end(struct overlap *out, struct contamination *contamination,
                                  int thread, const struct numbered_text *document,
                                  struct error *error);
MUST_USE status contamination_keep(struct contamination *contamination, struct error *error);

#endif
