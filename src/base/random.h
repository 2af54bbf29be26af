/* Random numbers as a function of (seed, stream, index): Philox4x32-10 (Salmon et al. 2011).  No
 * state, no order to keep. */
#ifndef RODNIK_BASE_RANDOM_H
#define RODNIK_BASE_RANDOM_H

#include "base/error.h"

/* What a draw is for; part of the key, so that no two purposes share numbers.  Append only: the
 * numbers are in formats. */
enum random_purpose {
    RANDOM_INIT = 1,   /* stream: tensor index in the weight table; index: element */
    RANDOM_ORDER = 2,  /* stream: epoch; index: document */
    RANDOM_SAMPLE = 3, /* stream: 0; index: position */
    RANDOM_SPLIT = 4,
    RANDOM_TEST = 5,
    RANDOM_LANGUAGE = 6 /* stream: language; index: snippet */
};

struct random_key {
    uint64_t seed;
    uint32_t purpose;
    uint64_t stream;
};

struct random_block {
    uint32_t word[4];
};

/* The block at `index`: counter = (index, stream), key = (seed), purpose mixed into the key's high
 * word as key[1] = seed >> 32 ^ purpose * 0x9E3779B9. */
struct random_block random_philox(struct random_key key, uint64_t index);
/* The bare cipher, for other uses of the counter and for its published test vectors. */
struct random_block random_philox_raw(const uint32_t counter[4], const uint32_t key[2]);
uint64_t random_u64(struct random_key key, uint64_t index);
/* Uniform in [0, 1) with 24 bits. */
float random_unit(struct random_key key, uint64_t index);
/* Integer below `limit`: the high word of a 64-bit draw times the limit (bias below limit / 2^64).
 * */
uint64_t random_below(struct random_key key, uint64_t index, uint64_t limit);

#endif
