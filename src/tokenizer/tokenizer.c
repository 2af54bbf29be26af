#include "tokenizer/tokenizer.h"

#include <string.h>

#include "base/hash.h"
#include "tokenizer/tokenizer_internal.h"

const char *const tokenizer_special_texts[TOKEN_SPECIAL_COUNT] = {"<|endoftext|>", "<|im_start|>",
                                                                  "<|im_end|>", "<|pad|>"};

/* ---- assembly ----------------------------------------------------------- */

enum { PAIRS_MAX = 1 << 26 };

/* A power of two of which `count` entries fill at most half. */
static size_t slots_for(size_t count)
{
    size_t slots = 16;
    while (slots < 2 * count)
        slots *= 2;
    return slots;
}

/* The slot of the token with these bytes, or the empty slot where it belongs. */
static uint32_t *token_slot(const struct tokenizer *tokenizer, struct view bytes)
{
    for (uint64_t i = hash64(bytes.data, bytes.len, 0);; i++) {
        uint32_t *slot = &tokenizer->token_slots[i & tokenizer->token_mask];
        if (*slot == TOKEN_NONE || view_equal(tokenizer->tokens[*slot], bytes))
            return slot;
    }
}

static status index_tokens(struct tokenizer *tokenizer, const char *name, struct error *error)
{
    for (uint32_t id = 0; id < tokenizer->vocabulary; id++) {
        struct view bytes = tokenizer->tokens[id];
        if (bytes.len == 0 || bytes.len > TOKENIZER_TOKEN_BYTES_MAX)
            return fail(error, ERR_FORMAT, "%s: token %u has %zu bytes, allowed are 1 to %d", name,
                        id, bytes.len, TOKENIZER_TOKEN_BYTES_MAX);
        uint32_t *slot = token_slot(tokenizer, bytes);
        if (*slot != TOKEN_NONE)
            return fail(error, ERR_FORMAT, "%s: tokens %u and %u are the same text", name, *slot,
                        id);
        *slot = id;
    }
    return OK;
}

static status index_bytes(struct tokenizer *tokenizer, const char *name, struct error *error)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char text = (char)byte;
        uint32_t id = tokenizer_find(tokenizer, (struct view){&text, 1});
        if (id == TOKEN_NONE || tokenizer_is_special(tokenizer, id))
            return fail(error, ERR_FORMAT,
                        "%s: the vocabulary lacks byte 0x%02x, and all 256 single bytes are needed",
                        name, byte);
        tokenizer->byte_ids[byte] = id;
    }
    return OK;
}

static void index_specials(struct tokenizer *tokenizer)
{
    for (int i = 0; i < TOKEN_SPECIAL_COUNT; i++) {
        uint32_t id = tokenizer_find(tokenizer, view_of(tokenizer_special_texts[i]));
        bool special = id != TOKEN_NONE && tokenizer_is_special(tokenizer, id);
        tokenizer->specials[i] = special ? id : TOKEN_NONE;
    }
}

status tokenizer_assemble(struct tokenizer **out, const char *name, struct token_list list,
                          struct arena *arena, struct error *error)
{
    ASSERT(out && name && list.tokens && list.specials <= list.count);
    ASSERT(list.count <= TOKENIZER_VOCABULARY_MAX);
    struct tokenizer *tokenizer;
    TRY_ALLOC(tokenizer, arena, 1, error);
    size_t slots = slots_for(list.count);
    TRY_ALLOC(tokenizer->token_slots, arena, slots, error);
    memset(tokenizer->token_slots, 0xFF, slots * sizeof *tokenizer->token_slots);
    tokenizer->token_mask = (uint32_t)slots - 1;
    tokenizer->tokens = list.tokens;
    tokenizer->vocabulary = list.count;
    tokenizer->special_first = list.count - list.specials;
    tokenizer->pattern = split_pattern_find(tokenizer_pattern);
    TRY(index_tokens(tokenizer, name, error));
    TRY(index_bytes(tokenizer, name, error));
    index_specials(tokenizer);
    TRY(tokenizer_assemble_merges(tokenizer, name, NULL, 0, arena, error));
    *out = tokenizer;
    return OK;
}

/* Finds the token that a merge makes. */
static status merge_resolve(struct merge *merge, const struct tokenizer *tokenizer,
                            const char *name, struct error *error)
{
    char joined[2 * TOKENIZER_TOKEN_BYTES_MAX];
    struct view left = tokenizer->tokens[merge->left], right = tokenizer->tokens[merge->right];
    memcpy(joined, left.data, left.len);
    memcpy(joined + left.len, right.data, right.len);
    merge->result = tokenizer_find(tokenizer, (struct view){joined, left.len + right.len});
    if (merge->result == TOKEN_NONE || tokenizer_is_special(tokenizer, merge->result))
        return fail(error, ERR_FORMAT,
                    "%s: tokens %u and %u are merged into none of the vocabulary", name,
                    merge->left, merge->right);
    return OK;
}

status tokenizer_assemble_merges(struct tokenizer *tokenizer, const char *name,
                                 struct merge *merges, uint32_t count, struct arena *arena,
                                 struct error *error)
{
    ASSERT(tokenizer && (merges || count == 0) && count <= TOKENIZER_VOCABULARY_MAX);
    size_t slots = slots_for(count);
    TRY_ALLOC(tokenizer->merge_slots, arena, slots, error);
    TRY_ALLOC(tokenizer->results, arena, count, error);
    memset(tokenizer->merge_slots, 0xFF, slots * sizeof *tokenizer->merge_slots);
    tokenizer->merge_mask = (uint32_t)slots - 1;
    tokenizer->merges = merges;
    tokenizer->merge_count = count;
    for (uint32_t rank = 0; rank < count; rank++) {
        struct merge *merge = &merges[rank];
        ASSERT(merge->left < tokenizer->special_first && merge->right < tokenizer->special_first);
        TRY(merge_resolve(merge, tokenizer, name, error));
        uint32_t i = pair_hash(merge->left, merge->right);
        while (tokenizer->merge_slots[i & tokenizer->merge_mask].rank != TOKEN_NONE)
            i++;
        if (merge_find(tokenizer, merge->left, merge->right))
            return fail(error, ERR_FORMAT, "%s: merge %u repeats an earlier one", name, rank);
        tokenizer->merge_slots[i & tokenizer->merge_mask] =
            (struct merge_slot){merge->left, merge->right, rank, merge->result};
        tokenizer->results[rank] = merge->result;
    }
    return OK;
}

/* Every way of cutting a token in two: how many of them are two tokens, which are entered if the
 * table has slots. */
static size_t rank_pairs(struct tokenizer *tokenizer, uint32_t id, bool enter)
{
    struct view token = tokenizer->tokens[id];
    size_t pairs = 0;
    for (size_t cut = 1; cut < token.len; cut++) {
        uint32_t left = tokenizer_find(tokenizer, (struct view){token.data, cut});
        if (left == TOKEN_NONE)
            continue;
        struct view rest = {token.data + cut, token.len - cut};
        uint32_t right = tokenizer_find(tokenizer, rest);
        if (right == TOKEN_NONE)
            continue;
        pairs++;
        if (!enter)
            continue;
        uint32_t i = pair_hash(left, right);
        while (tokenizer->merge_slots[i & tokenizer->merge_mask].rank != TOKEN_NONE)
            i++;
        tokenizer->merge_slots[i & tokenizer->merge_mask] =
            (struct merge_slot){left, right, id, id};
    }
    return pairs;
}

status tokenizer_assemble_ranks(struct tokenizer *tokenizer, const char *name, struct arena *arena,
                                struct error *error)
{
    ASSERT(tokenizer && tokenizer->special_first == tokenizer->vocabulary);
    size_t pairs = 0;
    for (uint32_t id = 0; id < tokenizer->vocabulary; id++)
        pairs += rank_pairs(tokenizer, id, false);
    if (pairs > PAIRS_MAX)
        return fail(error, ERR_LIMIT, "%s: %zu pairs of tokens make tokens, allowed are %d", name,
                    pairs, PAIRS_MAX);
    size_t slots = slots_for(pairs);
    TRY_ALLOC(tokenizer->merge_slots, arena, slots, error);
    TRY_ALLOC(tokenizer->results, arena, tokenizer->vocabulary, error);
    memset(tokenizer->merge_slots, 0xFF, slots * sizeof *tokenizer->merge_slots);
    tokenizer->merge_mask = (uint32_t)slots - 1;
    for (uint32_t id = 0; id < tokenizer->vocabulary; id++) {
        tokenizer->results[id] = id;
        rank_pairs(tokenizer, id, true);
    }
    tokenizer->whole_words = tokenizer->is_rank_table = true;
    return OK;
}

/* ---- questions ---------------------------------------------------------- */

uint32_t tokenizer_vocabulary(const struct tokenizer *tokenizer)
{
    return tokenizer->vocabulary;
}

uint32_t tokenizer_special(const struct tokenizer *tokenizer, enum token_special special)
{
    ASSERT(special < TOKEN_SPECIAL_COUNT);
    return tokenizer->specials[special];
}

bool tokenizer_is_special(const struct tokenizer *tokenizer, uint32_t id)
{
    ASSERT(id < tokenizer->vocabulary);
    return id >= tokenizer->special_first;
}

struct view tokenizer_bytes(const struct tokenizer *tokenizer, uint32_t id)
{
    ASSERT(id < tokenizer->vocabulary);
    return tokenizer->tokens[id];
}

uint32_t tokenizer_find(const struct tokenizer *tokenizer, struct view bytes)
{
    ASSERT(tokenizer && (bytes.data || bytes.len == 0));
    return *token_slot(tokenizer, bytes);
}

uint32_t tokenizer_merge_count(const struct tokenizer *tokenizer)
{
    return tokenizer->merge_count;
}

void tokenizer_merge(uint32_t *left, uint32_t *right, const struct tokenizer *tokenizer,
                     uint32_t index)
{
    ASSERT(index < tokenizer->merge_count);
    *left = tokenizer->merges[index].left;
    *right = tokenizer->merges[index].right;
}

size_t tokenizer_pre_token(const struct tokenizer *tokenizer, struct view text)
{
    ASSERT(tokenizer && text.data && text.len > 0);
    return tokenizer->pattern->next(text);
}

status tokenizer_printable(struct buffer *out, const struct tokenizer *tokenizer, uint32_t id,
                           struct error *error)
{
    struct view bytes = tokenizer_bytes(tokenizer, id);
    if (tokenizer_is_special(tokenizer, id))
        return buffer_append(out, bytes.data, bytes.len, error);
    return alphabet_append(out, bytes, error);
}

status tokenizer_decode(struct buffer *out, const struct tokenizer *tokenizer, const uint32_t *ids,
                        size_t count, struct error *error)
{
    ASSERT(out && tokenizer && (ids || count == 0) && error);
    for (size_t i = 0; i < count; i++) {
        if (ids[i] >= tokenizer->vocabulary)
            return fail(error, ERR_FORMAT, "token %u at position %zu: the vocabulary ends at %u",
                        ids[i], i, tokenizer->vocabulary - 1);
        struct view bytes = tokenizer->tokens[ids[i]];
        TRY(buffer_append(out, bytes.data, bytes.len, error));
    }
    return OK;
}

/* ---- lists of tokens ---------------------------------------------------- */

void tokens_create(struct tokens *out, size_t count_max)
{
    ASSERT(out && count_max < SIZE_MAX / 16);
    *out = (struct tokens){0};
    buffer_create(&out->storage, count_max * sizeof(uint32_t));
}

void tokens_destroy(struct tokens *tokens)
{
    buffer_destroy(&tokens->storage);
    tokens->ids = NULL;
    tokens->count = 0;
}

void tokens_clear(struct tokens *tokens)
{
    buffer_clear(&tokens->storage);
    tokens->count = 0;
}

status tokens_append(struct tokens *tokens, const uint32_t *ids, size_t count, struct error *error)
{
    ASSERT(tokens && (ids || count == 0) && error);
    size_t count_max = tokens->storage.len_max / sizeof(uint32_t);
    if (count > count_max - tokens->count)
        return fail(error, ERR_LIMIT, "more than %zu tokens", count_max);
    TRY(buffer_append(&tokens->storage, ids, count * sizeof *ids, error));
    tokens->ids = (uint32_t *)(void *)tokens->storage.data;
    tokens->count += count;
    return OK;
}
