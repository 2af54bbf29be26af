/* Words in the form in which texts are compared: for finding duplicates and overlaps, never for
 * output.
 *
 * A word is a stretch of letters and numbers (Unicode categories L and N).  Marks (M) and the
 * invisible U+00AD, U+200B to U+200D, U+2060 and U+FEFF stand for nothing: they neither appear in
 * a word nor end it.  All else separates words, bytes that are no UTF-8 too.  In a word letters
 * are in lower case (simple mapping) and ё is е; й stays й.  With WORDS_NUMBERS_FOLDED every
 * stretch of numbers in a word is one 0; with WORDS_EXACT numbers stay as they are.  The normal
 * form of a text is its words, each followed by one space.
 *
 * A reader owns its buffers and belongs to one thread; the text is borrowed. */
#ifndef RODNIK_TEXT_WORDS_H
#define RODNIK_TEXT_WORDS_H

#include "text/utf8.h"

enum words_form { WORDS_EXACT, WORDS_NUMBERS_FOLDED };

struct words {
    enum words_form form;
    char ascii[128];       /* what a character becomes; a space separates */
    char cyrillic[128][2]; /* U+0400 to U+047F */
    struct view rest;
    bool numbers; /* in the piece */
    struct buffer normal, hashes;
};

/* A piece of a text: whole words. */
struct words_piece {
    struct view text;     /* as it stands */
    bool numbers;         /* any there?  If not, both forms are the same */
    struct view normal;   /* each word followed by a space */
    const uint64_t *hash; /* [count], word_hash of each */
    size_t count;
};

void words_open(struct words *out, enum words_form form);
void words_close(struct words *words);
/* Another text; buffers are used again. */
void words_begin(struct words *words, struct view text);
/* The next piece, valid until the next call; normal.len is 0 after the last.  Pieces have some
 * kilobytes, or one longer stretch without white space; where they end says nothing.  `hash` is
 * NULL in the first form. */
MUST_USE status words_read_normal(struct words_piece *out, struct words *words,
                                  struct error *error);
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
enum { GRAM_WORDS_MAX = 16 };

struct gram {
    uint64_t last[GRAM_WORDS_MAX]; /* a ring */
    uint64_t sum, power;           /* GRAM_FACTOR^n */
    uint32_t n, at;
    uint64_t seen;
};

void gram_begin(struct gram *out, size_t n);

static inline uint64_t gram_mix(uint64_t sum)
{
    sum ^= sum >> 32;
    sum *= WORD_FACTOR;
    return sum ^ sum >> 29;
}

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
