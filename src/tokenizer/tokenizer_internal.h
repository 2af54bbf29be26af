/* What the files of the tokenizer share; nothing here is for other modules. */
#ifndef RODNIK_TOKENIZER_TOKENIZER_INTERNAL_H
#define RODNIK_TOKENIZER_TOKENIZER_INTERNAL_H

#include <string.h>

#include "tokenizer/tokenizer.h"

/* ---- the tokenizer: arrays in one arena, never written after assembly --- */

struct merge {
    uint32_t left, right, result;
};

/* Open addressing, at most half full; an empty slot has rank TOKEN_NONE. */
struct merge_slot {
    uint32_t left, right, rank, result;
};

struct tokenizer {
    uint32_t vocabulary, special_first; /* ids from special_first on are special tokens */
    struct view *tokens;                /* [vocabulary] raw bytes */
    struct merge *merges;               /* [merge_count], rank order */
    uint32_t merge_count;
    uint32_t merge_mask, token_mask; /* slots - 1, powers of two less one */
    struct merge_slot *merge_slots;
    uint32_t *token_slots; /* ids hashed by their bytes, TOKEN_NONE where empty */
    uint32_t byte_ids[256];
    uint32_t specials[TOKEN_SPECIAL_COUNT];
    const struct split_pattern *pattern;
    uint32_t *results;  /* [ranks] the token that a merge of this rank makes */
    bool whole_words;   /* a pre-token that is a token is taken as it is, whatever its merges */
    bool is_rank_table; /* pairs come from a table of ranks: there is no list of merges to write */
};

extern const char *const tokenizer_special_texts[TOKEN_SPECIAL_COUNT];

struct token_list {
    struct view *tokens;      /* [count] in the arena, by id */
    uint32_t count, specials; /* of which the last are special */
};

/* Makes a tokenizer without merges of a list, which is taken as it is, after checking it for empty,
 * too long and equal tokens and for single bytes that are missing.  `name` is what errors call it.
 */
MUST_USE status tokenizer_assemble(struct tokenizer **out, const char *name, struct token_list list,
                                   struct arena *arena, struct error *error);
/* Gives it its merges, whose results are looked up by their bytes; `merges` is taken. */
MUST_USE status tokenizer_assemble_merges(struct tokenizer *tokenizer, const char *name,
                                          struct merge *merges, uint32_t count, struct arena *arena,
                                          struct error *error);
/* Or makes pairs of a table of ranks: any two neighbours that together are a token may become it,
 * the smallest id first, as tiktoken has it. */
MUST_USE status tokenizer_assemble_ranks(struct tokenizer *tokenizer, const char *name,
                                         struct arena *arena, struct error *error);

/* ---- rank_table_read.c: a table of ranks as js-tiktoken packs it, in parsed JSON --- */
struct cJSON;
bool is_rank_table(const struct cJSON *root);
MUST_USE status rank_table_read(struct tokenizer **out, const char *name, const struct cJSON *root,
                                struct arena *arena, struct error *error);

static inline uint32_t pair_hash(uint32_t left, uint32_t right)
{
    uint64_t mixed = (left * UINT64_C(0x9E3779B97F4A7C15)) ^ (right * UINT64_C(0xC2B2AE3D27D4EB4F));
    return (uint32_t)((mixed ^ mixed >> 29) * UINT64_C(0x94D049BB133111EB) >> 32);
}

/* The merge of two neighbours, or NULL. */
static inline const struct merge_slot *merge_find(const struct tokenizer *tokenizer, uint32_t left,
                                                  uint32_t right)
{
    for (uint32_t i = pair_hash(left, right);; i++) {
        const struct merge_slot *slot = &tokenizer->merge_slots[i & tokenizer->merge_mask];
        if (slot->rank == TOKEN_NONE)
            return NULL;
        if (slot->left == left && slot->right == right)
            return slot;
    }
}

/* ---- split.c ---------------------------------------------------------------
 * The length of the pre-token at the start of `text` (len >= 1), exactly as the pattern matches
 * there; a byte that is not UTF-8 counts as a symbol of its own.  Amortised linear. */
typedef size_t split_function(struct view text);
struct split_pattern {
    const char *name, *regex;
    split_function *next;
};
/* The pattern with exactly this text, or NULL. */
const struct split_pattern *split_pattern_find(const char *regex);
/* All patterns in turn, then NULL. */
const struct split_pattern *split_pattern_at(size_t index);
split_function split_next; /* as tokenizer_pattern */
/* The first position >= `from` and > 0 found at which text may be cut without changing its
 * pre-tokens, or text.len. */
size_t split_cut(struct view text, size_t from);

/* ---- bpe_linear.c: one long word in linear time ---------------------------- */
struct linear { /* made when it is first needed, from one tokenizer; one thread */
    enum { LINEAR_UNKNOWN, LINEAR_READY, LINEAR_NOT } state;
    struct buffer order, edges, ends, shorter; /* of the vocabulary */
    struct buffer dead, taken;                 /* of the word */
    uint32_t edge_mask;
};
void linear_create(struct linear *out);
void linear_destroy(struct linear *linear);
/* The ids of a word, valid until the next call; *ids is NULL if the vocabulary is none for which
 * this works. */
MUST_USE status linear_encode(const uint32_t **ids, size_t *count, struct linear *linear,
                              const struct tokenizer *tokenizer, struct view text,
                              struct error *error);

/* ---- alphabet.c: GPT-2's printable code point for every byte ------------ */
uint32_t alphabet_code_point(uint8_t byte);
/* The byte that a code point stands for, or -1. */
int alphabet_byte(uint32_t code_point);
MUST_USE status alphabet_append(struct buffer *out, struct view bytes, struct error *error);
/* Writes the bytes that `printable` stands for into `out` (printable.len bytes suffice). */
bool alphabet_decode(char *out, size_t *out_len, struct view printable);

/* ---- short pre-tokens as four words that compare at once: the bytes, zeros behind them, and their
 * number in the last byte --- */

enum { WORD_KEY_BYTES = 31 };

/* The first `len` bytes of a word of eight, the others zero; len 0 to 8, in memory order. */
static inline uint64_t bytes_masked(const char *at, size_t len)
{
    static const unsigned char ones_then_zeros[16] = {255, 255, 255, 255, 255, 255, 255, 255};
    uint64_t bytes, mask;
    memcpy(&bytes, at, 8);
    memcpy(&mask, ones_then_zeros + 8 - len, 8);
    return bytes & mask;
}

static inline size_t part_len(size_t len, size_t before)
{
    return len <= before ? 0 : len - before >= 8 ? 8 : len - before;
}

/* Reads 32 bytes at word.data if `readable`, so that no call of memcpy with a variable length is
 * needed, which costs more than all the rest. */
static inline void word_key(uint64_t key[4], struct view word, bool readable)
{
    char copy[32];
    const char *from = word.data;
    if (!readable) {
        memset(copy, 0, sizeof copy);
        memcpy(copy, word.data, word.len);
        from = copy;
    }
    for (size_t i = 0; i < 4; i++)
        key[i] = bytes_masked(from + 8 * i, part_len(word.len, 8 * i));
    /* Key bytes end before the last one, which distinguishes words that end in zeros. */
    memcpy((char *)key + WORD_KEY_BYTES, &(unsigned char){(unsigned char)word.len}, 1);
}

/* The upper bits are the best mixed. */
static inline uint64_t word_key_hash(const uint64_t key[4])
{
    uint64_t mixed =
        (key[0] ^ key[1] * UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0xC2B2AE3D27D4EB4F);
    mixed = (mixed ^ mixed >> 32 ^ key[2]) * UINT64_C(0x94D049BB133111EB);
    return (mixed ^ mixed >> 29 ^ key[3]) * UINT64_C(0xBF58476D1CE4E5B9);
}

static inline bool word_key_equal(const uint64_t a[4], const uint64_t b[4])
{
    return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3])) == 0;
}

/* ---- word_table.c: byte strings, each with an index in order of arrival and a count  */
struct word {
    uint64_t hash, start; /* where its bytes begin in `bytes` */
    int64_t count;
    uint32_t len;
};

struct word_table {
    struct buffer words, bytes, slots;
    size_t count, slot_mask;
};

void word_table_create(struct word_table *out);
void word_table_destroy(struct word_table *table);
/* Adds `count` to the word's count and gives its index; a new word gets the next one. */
MUST_USE status word_table_add(size_t *index, struct word_table *table, struct view word,
                               int64_t count, struct error *error);
struct word *word_table_at(const struct word_table *table, size_t index);
struct view word_table_view(const struct word_table *table, size_t index);

/* ---- sample.c: which pieces of the documents are learnt from --------------- */

struct sample {
    struct buffer takes; /* uint32_t, by the number of the piece: how many of its bytes */
    uint64_t bytes;      /* of all documents */
};

void sample_create(struct sample *out);
void sample_destroy(struct sample *sample);
/* Goes through all documents and chooses. */
MUST_USE status sample_choose(struct sample *sample, const struct tokenizer_training *training,
                              struct error *error);
/* Bytes to take of the index-th piece, counted over all documents; 0: pass it over. */
size_t sample_take(const struct sample *sample, size_t index);
/* Where the piece of `document` that begins at `from` ends. */
size_t sample_piece_end(struct view document, size_t from);

/* ---- word_count.c: counts the pre-tokens of the sample into `out` (created by the caller), and
 * adds those in upper case that training->upper_case_every asks for. */
enum { TRAINING_WORD_BYTES_MAX = 256 }; /* longer pre-tokens teach nothing and are passed over */
MUST_USE status words_count(struct word_table *out, const struct tokenizer_training *training,
                            struct error *error);
/* The text in upper case, letter by letter, into `out` (room for 2 * text.len); its length. */
size_t upper_case(char *out, struct view text);

#endif
