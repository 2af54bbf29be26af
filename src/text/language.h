/* Which language a text is in: a linear model over hashed n-grams of letters (Joulin et al. 2016,
 * "Bag of Tricks for Efficient Text Classification", without its hidden layer), with weights of one
 * byte.  Tells apart what it was trained for, nothing else; scripts other than Cyrillic and Latin
 * are none.  Not for single words.
 *
 * Letters of the sample are folded to lower case and cut into words; features are the n-grams of 1
 * to 4 letters of a word with its boundaries, and the whole word.  Words in the script that
 * dominates (Cyrillic from 30 % of the letters on, since Russian technical prose is full of Latin
 * names) decide; the weights of their features are averaged and become shares by softmax.
 *
 * A model is read-only once opened and may be shared by threads. */
#ifndef RODNIK_TEXT_LANGUAGE_H
#define RODNIK_TEXT_LANGUAGE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/string.h"

enum {
    LANGUAGES_MAX = 16,
    LANGUAGE_LABEL_BYTES = 8, /* with its NUL: a-z, 0-9 and -, such as "ru" */
    LANGUAGE_BUCKETS_MIN = 16,
    LANGUAGE_BUCKETS_MAX = 1 << 20,
    LANGUAGE_SAMPLE_BYTES = 4096 /* of a longer text as much is looked at, in eight pieces */
};

struct language_model;

struct language_guess {
    int language; /* 0 to language_count - 1, or -1: no words in a script that the model knows */
    double score; /* share of the language among all that the model knows, 0 to 1 */
};

/* Reads a model file; it is copied into the arena.  ERR_FORMAT, with `name`, for anything that is
 * not a whole model. */
MUST_USE status language_open(struct language_model **out, struct view file, const char *name,
                              struct arena *arena, struct error *error);
/* The model that the program carries: languages and texts are listed in docs/corpus.md. */
MUST_USE status language_open_own(struct language_model **out, struct arena *arena,
                                  struct error *error);

int language_count(const struct language_model *model);
/* 0 <= language < language_count */
const char *language_label(const struct language_model *model, int language);

/* Looks at a sample of the text (any bytes; those that are no UTF-8 end a word).  The same text
 * gives the same guess, bit for bit, on every machine. */
struct language_guess language_detect(const struct language_model *model, struct view text);
/* The same on the whole text, with the share of every language; shares may be NULL. */
struct language_guess language_detect_all(const struct language_model *model, struct view text,
                                          double shares[LANGUAGES_MAX]);

/* Of many texts: remembers what the weights of words add up to, since most words of a text have
 * been seen before.  Guesses are those of language_detect, bit for bit, whatever was seen.  Belongs
 * to one thread; the model must outlive it. */
struct language_memory;
MUST_USE status language_memory_create(struct language_memory **out,
                                       const struct language_model *model, struct arena *arena,
                                       struct error *error);
struct language_guess language_recall(struct language_memory *memory, struct view text);

/* ---- training ---- */

struct language_text {
    char label[LANGUAGE_LABEL_BYTES];
    struct view text; /* UTF-8, one piece of running text a line */
};

struct language_training {
    const struct language_text *texts; /* any order; those of one label are drawn from alike */
    size_t count;
    int64_t buckets;  /* rows of the weight table */
    int64_t snippets; /* pieces of 20 to 200 letters to learn from, for each label */
    uint64_t seed;
};
struct language_training language_training_default(void);

typedef void language_progress(void *context, double done, double total);

/* Appends a model file, made by stochastic gradient descent on the cross entropy of snippets drawn
 * from each label alike.  One thread; the same texts in any order give the same bytes.  ERR_USAGE
 * for more than LANGUAGES_MAX labels, fewer than two, or a label without letters. */
MUST_USE status language_train(struct buffer *out, const struct language_training *training,
                               language_progress *progress, void *context, struct error *error);

#endif
