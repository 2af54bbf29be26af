/* Words in the form in which texts are compared: for finding duplicates and overlaps, never for
 * output.
 *
 * A word is a stretch of letters and numbers (Unicode categories L and N).  Marks (M) and the
 * invisible U+00AD, U+200B to U+200D, U+2060 and U+FEFF stand for nothing: they neither appear in
 * a word nor end it.  All else separates words, bytes that are no UTF-8 too.  In a word letters
 * are in lower case (simple mapping) and ё is е; й stays й.  In a folded word every stretch of
 * numbers is one 0; in an exact one numbers stay as they are.  The normal form of a text is its
 * exact words, each followed by one space.
 *
 * A text is read once, in pieces, for whoever needs its normal form, its words' hashes and its
 * lines.  A reader owns its buffers and belongs to one thread; the text is borrowed. */
#ifndef RODNIK_TEXT_WORDS_H
#define RODNIK_TEXT_WORDS_H

#include "text/utf8.h"

enum { WORDS_BEFORE = 16 }; /* hashes of so many words before a piece can be read */

struct words {
    struct view rest;
    uint64_t passed;                                  /* words before the piece */
    size_t count;                                     /* in the piece */
    bool line_ended;                                  /* since the last word? */
    uint64_t exact[WORDS_BEFORE], fold[WORDS_BEFORE]; /* hashes of the last words */
    struct buffer loose, places, normal, hashes, folded, line_ends, with_numbers, scratch;
};

/* A piece of a text: whole words. */
struct words_piece {
    struct view normal;   /* each word followed by a space */
    size_t count;         /* words */
    uint64_t before;      /* words of the text before the piece */
    const uint64_t *hash; /* [-WORDS_BEFORE, count): word_hash of each; 0 before the first word */
    const uint64_t
        *folded; /* the same of the folded words; equal to `hash` if there are no others */
    const size_t
        *line_ends; /* [line_count], rising: before which words, 0 to count, a line ended */
    size_t line_count;
};

void words_open(struct words *out);
void words_close(struct words *words);
/* Another text; buffers are used again. */
void words_begin(struct words *words, struct view text);
/* The next piece, valid until the next call; count is 0 after the last.  Pieces have some kilobytes
 * or one longer stretch without ASCII separators; where they end says nothing. */
MUST_USE status words_read(struct words_piece *out, struct words *words, struct error *error);

/* Takes the next word off `text` from *at on: its bytes as they stand there.  False after the last.
 * Slower than reading pieces, but it tells places. */
bool words_next_place(struct view *out, struct view text, size_t *at);

/* ---- hashes ----
 * Of a word of n bytes in normal form: its bytes in groups of eight as little-endian numbers, the
 * last one filled up with zeros, and one zero number more if n is a multiple of eight; from
 * h = WORD_SEED, for each h = (h ^ number) * WORD_FACTOR, h ^= h >> 32. */
#define WORD_SEED   UINT64_C(0x2545F4914F6CDD1D)
#define WORD_FACTOR UINT64_C(0xD6E8FEB86659FD93)
uint64_t word_hash(struct view normal_word);

/* Of n words in a row: the sum of hash[i] * GRAM_FACTOR^(n - 1 - i) modulo 2^64, mixed:
 * s ^= s >> 32, s *= WORD_FACTOR, s ^= s >> 29. */
#define GRAM_FACTOR UINT64_C(0x9E3779B97F4A7C15)
enum { GRAM_WORDS_MAX = WORDS_BEFORE };

static inline uint64_t gram_mix(uint64_t sum)
{
    sum ^= sum >> 32;
    sum *= WORD_FACTOR;
    return sum ^ sum >> 29;
}

/* out[i], for i < count, is the hash of the n words that end with word i.  hash[-n] to hash[-1] are
 * read too; a word of hash 0 is as none. */
void grams_of(uint64_t *out, size_t n, const uint64_t *hash, size_t count);

/* The same, a word at a time. */
struct gram {
    uint64_t last[GRAM_WORDS_MAX]; /* a ring */
    uint64_t sum, power;           /* GRAM_FACTOR^n */
    uint32_t n, at;
    uint64_t seen;
};

void gram_begin(struct gram *out, size_t n);

/* The next word.  The hash is that of the last n words, once so many were seen. */
static inline uint64_t gram_add(struct gram *gram, uint64_t word)
{
    gram->sum = gram->sum * GRAM_FACTOR + word - gram->last[gram->at] * gram->power;
    gram->last[gram->at] = word;
    gram->at = gram->at + 1 == gram->n ? 0 : gram->at + 1;
    gram->seen++;
    return gram_mix(gram->sum);
}

#endif
