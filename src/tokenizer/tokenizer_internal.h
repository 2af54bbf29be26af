/* What the files of the tokenizer share; nothing here is for other modules. */
#ifndef RODNIK_TOKENIZER_TOKENIZER_INTERNAL_H
#define RODNIK_TOKENIZER_TOKENIZER_INTERNAL_H

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
 * The length of the pre-token at the start of `text` (len >= 1), exactly as tokenizer_pattern
 * matches there; a byte that is not UTF-8 counts as a symbol of its own.  Amortised linear. */
size_t split_next(struct view text);
/* A position >= `from` at which text may be cut without changing its pre-tokens, or text.len. */
size_t split_cut(struct view text, size_t from);

/* ---- alphabet.c: GPT-2's printable code point for every byte ------------ */
uint32_t alphabet_code_point(uint8_t byte);
/* The byte that a code point stands for, or -1. */
int alphabet_byte(uint32_t code_point);
MUST_USE status alphabet_append(struct buffer *out, struct view bytes, struct error *error);
/* Writes the bytes that `printable` stands for into `out` (printable.len bytes suffice). */
bool alphabet_decode(char *out, size_t *out_len, struct view printable);

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

/* ---- word_count.c: counts the pre-tokens of all documents into `out` (created by the caller).  */
enum { TRAINING_WORD_BYTES_MAX = 256 }; /* longer pre-tokens teach nothing and are passed over */
MUST_USE status words_count(struct word_table *out, const struct tokenizer_training *training,
                            struct error *error);

#endif
