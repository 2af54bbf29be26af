/* MinHash signatures: small summaries of texts by which near-duplicates are found (Broder 1997).
 *
 * A shingle is five folded words of text/words.h in a row, as the upper
 * 32 bits of their gram hash; a text of one to four words has one shingle, of them all.  The i-th
 * number of a signature is the smallest (factor[i] * shingle + addend[i]) modulo 2^32 over all
 * shingles.  Of two texts that share a part J of their shingles (Jaccard) each number is the same
 * with probability J; a band of 8 is with J^8, one of 14 bands with 1 - (1 - J^8)^14: 0.92 for
 * J = 0.8, 0.999 for 0.9, 0.053 for 0.5.
 * Numbers of 32 bits suffice: two unlike texts of n shingles each agree in one by accident with
 * about n / 2^33, in a band with the eighth power of that.
 *
 * A minhasher belongs to one thread. */
#ifndef RODNIK_CORPUS_MINHASH_H
#define RODNIK_CORPUS_MINHASH_H

#include "text/words.h"

enum {
    SHINGLE_WORDS = 5,
    MINHASH_BANDS = 14,
    MINHASH_ROWS = 8,
    MINHASH_NUMBERS = MINHASH_BANDS * MINHASH_ROWS
};

/* With s(k) the k-th output, from 0, of SplitMix64 seeded with 0: factor[i] is the upper 32 bits of
 * s(2i), made odd, addend[i] those of s(2i + 1). */
struct minhash_family {
    uint32_t factor[MINHASH_NUMBERS], addend[MINHASH_NUMBERS];
};
void minhash_family(struct minhash_family *out);

struct minhash {
    uint32_t number[MINHASH_NUMBERS];
    uint64_t shingles; /* how many went in; 0: the text has no words and is like no other */
};

enum { MINHASH_BLOCK = 1024 };
struct minhasher {
    struct minhash_family family;
    struct words words;
    struct buffer fives;
    uint32_t shingle[MINHASH_BLOCK];
    uint64_t words_seen, few; /* the hash of all words while they are fewer than SHINGLE_WORDS */
};
void minhasher_open(struct minhasher *out);
void minhasher_close(struct minhasher *hasher);
MUST_USE status minhash_of(struct minhash *out, struct minhasher *hasher, struct view text,
                           struct error *error);

/* The same piece by piece, for who reads words anyway: folded_fives[i] is the hash of the folded
 * words that end with word i of the piece (grams_of). */
void minhash_begin(struct minhash *out, struct minhasher *hasher);
void minhash_add(struct minhash *minhash, struct minhasher *hasher, const struct words_piece *words,
                 const uint64_t *folded_fives);
void minhash_end(struct minhash *minhash, struct minhasher *hasher);

/* The share of equal numbers: an estimate of J. */
double minhash_likeness(const struct minhash *a, const struct minhash *b);

/* A key for each band: equal bands of equal place have equal keys.  From h = WORD_SEED + band, for
 * each pair of numbers (a first) h = (h ^ (a | b << 32)) * WORD_FACTOR, h ^= h >> 32. */
void minhash_keys(uint64_t out[MINHASH_BANDS], const struct minhash *minhash);

/* The loop that all time goes into, for the benchmark: numbers become the smallest over these
 * shingles too. */
void minhash_update(uint32_t number[MINHASH_NUMBERS], const struct minhash_family *family,
                    const uint32_t *shingle, size_t count);

#endif
