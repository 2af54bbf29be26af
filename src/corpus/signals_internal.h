/* What the files of the signals share: the work area and repetition. */
#ifndef RODNIK_CORPUS_SIGNALS_INTERNAL_H
#define RODNIK_CORPUS_SIGNALS_INTERNAL_H

#include "corpus/signals.h"

/* Equality is that of the hash's lowest 32 bits and of its place in a table twice as large as the
 * number of pieces: among a million different pieces two are taken for equal with a probability of
 * less than 0.01 %, and then a count is off by one.  Eight bytes each, since the tables of long
 * texts leave the cache. */
struct repeat_entry {
    uint32_t tag;
    uint32_t count; /* 0: free; REPEAT_SEEN beside it */
};
#define REPEAT_SEEN  0x80000000u
#define REPEAT_COUNT 0x7FFFFFFFu

enum { STOP_BITS = 10 };
/* Each word has a slot to itself. */
struct stop_words {
    uint64_t hash[1 << STOP_BITS]; /* 0: free */
    uint8_t bit[1 << STOP_BITS];
    uint32_t list[2]; /* bits of the Russian words, of the English ones */
    uint64_t factor;
};
void signals_stop_words(struct stop_words *out);

enum { SIGNAL_CHUNK_BYTES = 4096, SIGNAL_CHUNK_MARGIN = 64 };
/* What is known of a piece of text; the margins hold spaces. */
struct signals_chunk {
    uint8_t bytes[SIGNAL_CHUNK_MARGIN + SIGNAL_CHUNK_BYTES + SIGNAL_CHUNK_MARGIN];
    uint8_t flags[SIGNAL_CHUNK_BYTES];
    uint16_t begin[SIGNAL_CHUNK_BYTES + SIGNAL_CHUNK_MARGIN]; /* of what may be a token */
    uint16_t end[SIGNAL_CHUNK_BYTES + SIGNAL_CHUNK_MARGIN];   /* of plain words */
    size_t begins;
};

struct signals_work {
    struct language_memory *language; /* NULL: none is told */
    struct stop_words stop;
    struct signals_chunk chunk;
    struct buffer hashes; /* uint64_t [tokens] */
    struct buffer ends;   /* uint32_t [tokens + 1]: code points of the tokens before, each +1 */
    struct buffer live;   /* uint32_t: positions of n-grams that occur again */
    struct buffer grams;  /* uint64_t: their hashes */
    struct buffer slots;  /* uint32_t: where they are in the table */
    struct buffer table;  /* struct repeat_entry */
    struct buffer shorts; /* uint32_t: the tokens' hashes again, shorter */
    struct buffer filter; /* counts or marks by slots */
    size_t tokens;        /* in hashes */
};

static inline uint64_t repeat_mix(uint64_t gram, uint64_t token)
{
    uint64_t mixed = (gram << 23 | gram >> 41) ^ token;
    mixed *= 0x9E3779B97F4A7C15u;
    return mixed ^ mixed >> 29;
}

/* A table of free entries for `count` keys; *bits is the logarithm of its size. */
MUST_USE status repeat_table(struct repeat_entry **out, int *bits, struct signals_work *work,
                             size_t count, struct error *error);

static inline uint32_t repeat_home(int bits, uint64_t key)
{
    return (uint32_t)((key * 0xD6E8FEB86659FD93u) >> (64 - bits));
}

/* The entry of the key or the free one where it belongs. */
static inline uint32_t repeat_slot(const struct repeat_entry *table, int bits, uint64_t key)
{
    uint32_t mask = (uint32_t)((1ull << bits) - 1);
    uint32_t slot = repeat_home(bits, key);
    while (table[slot].count && table[slot].tag != (uint32_t)key)
        slot = (slot + 1) & mask;
    return slot;
}

/* Fills the counts of characters, words and symbols, and the tokens of the work area. */
MUST_USE status signals_tokens(struct signals *out, struct signals_work *work, struct view text,
                               struct error *error);

/* Fills top_* and again_* from the tokens of the work area. */
MUST_USE status signals_repetition(struct signals *out, struct signals_work *work,
                                   struct error *error);

#endif
