/* What recognising and training share: features. */
#ifndef RODNIK_TEXT_LANGUAGE_INTERNAL_H
#define RODNIK_TEXT_LANGUAGE_INTERNAL_H

#include "text/language.h"
#include "text/unicode.h"

#define LANGUAGE_MAGIC "rodnik lang 1\n"
enum {
    LANGUAGE_HEADER_BYTES = 64,
    LANGUAGE_FOLDS = 0x530, /* Latin and Cyrillic, as far as they are common */
    LANGUAGE_CYRILLIC = 0,  /* the two scripts, as indices */
    LANGUAGE_LATIN = 1,
    LANGUAGE_SCRIPTS = 2
};

/* A code point as features see it: lower case in the low bits, or 0 when it ends a word; the
 * script of letters of their own in the high bits. */
enum {
    LANGUAGE_FOLD_LETTER = 0xFFFF,
    LANGUAGE_FOLD_CYRILLIC = 1 << 16,
    LANGUAGE_FOLD_LATIN = 1 << 17,
    LANGUAGE_FOLD_OTHER = 1 << 18
};

uint32_t language_fold(uint32_t code_point);

/* Walks over words.  Features of words that begin in either script are gathered apart. */
struct language_words {
    const uint32_t *folds; /* [LANGUAGE_FOLDS] */
    uint32_t buckets;
    uint64_t letters[LANGUAGE_SCRIPTS + 1]; /* Cyrillic, Latin, other */
};

enum { LANGUAGE_FEATURES_MAX = 256 };
struct language_features {
    uint32_t bucket[LANGUAGE_SCRIPTS][LANGUAGE_FEATURES_MAX];
    size_t count[LANGUAGE_SCRIPTS];
};

/* Called with a list that is full, and with what is left at the end of a text. */
typedef void language_sink(void *context, int script, const uint32_t *bucket, size_t count);

void language_walk(struct language_words *words, struct view text, language_sink *sink,
                   void *context);

/* Which script's words decide, or -1. */
int language_script(const uint64_t letters[LANGUAGE_SCRIPTS + 1]);

/* exp and softmax without the C library's, whose last bits differ between its versions. */
double language_exp(double x);
void language_softmax(double *values, int count);

#endif
