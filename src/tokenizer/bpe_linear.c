#include "tokenizer/tokenizer_internal.h"

#include <string.h>

/* Exact byte-pair encoding in linear time (Hendrik van Antwerpen and Alexander Neubeck, "So many
 * tokens, so little time", github.blog 2024).  A sequence of tokens is what merging gives if each
 * two neighbours are: undoing their merges, the latest first, never shows a merge across the border
 * that would have gone before.  So tokens are taken from the left, the longest first; where none
 * fits behind its neighbour, the neighbour is taken back and its end never tried again.
 *
 * This holds where each token is made by one merge, of parts that are made before it, and where its
 * own bytes become it; other vocabularies are left to the heap. */
enum { TRIE_BYTES_MAX = 1 << 24 /* nodes fit a key of 32 bits with a byte */ };

struct edge {
    uint32_t key; /* parent << 8 | byte, TOKEN_NONE: empty */
    uint32_t child;
};

static uint32_t *numbers(const struct buffer *buffer)
{
    return (uint32_t *)(void *)buffer->data;
}

void linear_create(struct linear *out)
{
    *out = (struct linear){0};
    struct buffer *buffers[] = {&out->order,   &out->edges, &out->ends,
                                &out->shorter, &out->dead,  &out->taken};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        buffer_create(buffers[i], SIZE_MAX / 4);
}

void linear_destroy(struct linear *linear)
{
    struct buffer *buffers[] = {&linear->order,   &linear->edges, &linear->ends,
                                &linear->shorter, &linear->dead,  &linear->taken};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        buffer_destroy(buffers[i]);
}

/* `count` numbers, all of whose bytes are `byte`. */
static status fill(struct buffer *out, size_t count, int byte, struct error *error)
{
    buffer_clear(out);
    TRY(buffer_reserve(out, count * sizeof(uint32_t), error));
    memset(out->data, byte, count * sizeof(uint32_t));
    out->len = count * sizeof(uint32_t);
    return OK;
}

/* ---- preparation --------------------------------------------------------- */

/* order[id]: 0 for a byte, else 1 + the rank of its merge; false if the vocabulary is another kind.
 */
static bool find_order(uint32_t *order, const struct tokenizer *tokenizer)
{
    size_t bytes = 0;
    for (uint32_t rank = 0; rank < tokenizer->merge_count; rank++) {
        const struct merge *merge = &tokenizer->merges[rank];
        struct view left = tokenizer->tokens[merge->left], right = tokenizer->tokens[merge->right];
        if (order[merge->result] || (left.len > 1 && !order[merge->left]) ||
            (right.len > 1 && !order[merge->right]))
            return false;
        order[merge->result] = rank + 1;
    }
    for (uint32_t id = 0; id < tokenizer->special_first; id++)
        bytes += tokenizer->tokens[id].len;
    return bytes < TRIE_BYTES_MAX && !tokenizer->is_rank_table;
}

/* The slot of the edge, or the empty one where it belongs. */
static inline struct edge *edge_slot(const struct linear *linear, uint32_t node, unsigned char byte)
{
    struct edge *edges = (struct edge *)(void *)linear->edges.data;
    uint32_t key = node << 8 | byte;
    uint32_t i = (uint32_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32);
    for (;; i++) {
        struct edge *edge = &edges[i & linear->edge_mask];
        if (edge->key == key || edge->key == TOKEN_NONE)
            return edge;
    }
}

static status add_token(struct linear *linear, uint32_t id, struct view bytes, struct error *error)
{
    uint32_t node = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        struct edge *edge = edge_slot(linear, node, (unsigned char)bytes.data[i]);
        if (edge->key == TOKEN_NONE) {
            *edge = (struct edge){node << 8 | (unsigned char)bytes.data[i],
                                  (uint32_t)(linear->ends.len / sizeof(uint32_t))};
            TRY(buffer_append(&linear->ends, &(uint32_t){TOKEN_NONE}, sizeof(uint32_t), error));
        }
        node = edge->child;
    }
    numbers(&linear->ends)[node] = id;
    return OK;
}

/* The longest token at the start of `text` that has fewer than `below` bytes, or TOKEN_NONE. */
static inline uint32_t longest(const struct linear *linear, struct view text, size_t below)
{
    uint32_t node = 0, found = TOKEN_NONE;
    for (size_t i = 0; i < text.len && i + 1 < below; i++) {
        const struct edge *edge = edge_slot(linear, node, (unsigned char)text.data[i]);
        if (edge->key == TOKEN_NONE)
            break;
        node = edge->child;
        uint32_t id = numbers(&linear->ends)[node];
        found = id == TOKEN_NONE ? found : id;
    }
    return found;
}

/* Whether two tokens that stand side by side stay two. */
static bool pair_holds(const struct linear *linear, const struct tokenizer *tokenizer,
                       uint32_t left, uint32_t right, uint32_t limit)
{
    const uint32_t *order = numbers(&linear->order);
    for (;;) {
        const struct merge_slot *slot = merge_find(tokenizer, left, right);
        if (slot && slot->rank + 1 < limit)
            return false;
        if (order[left] > order[right]) {
            limit = order[left];
            left = tokenizer->merges[limit - 1].right;
        } else if (order[right]) { /* of equal merges the left one went first */
            limit = order[right] + 1;
            right = tokenizer->merges[limit - 2].left;
        } else {
            return true;
        }
    }
}

/* Tokens whose own bytes become them: bytes, and those of two such parts that stay two until their
 * merge.  Parts come before the whole in the order of merges. */
static status add_tokens(struct linear *linear, const struct tokenizer *tokenizer,
                         struct error *error)
{
    for (unsigned byte = 0; byte < 256; byte++)
        TRY(add_token(linear, tokenizer->byte_ids[byte],
                      tokenizer->tokens[tokenizer->byte_ids[byte]], error));
    for (uint32_t rank = 0; rank < tokenizer->merge_count; rank++) {
        const struct merge *merge = &tokenizer->merges[rank];
        struct view left = tokenizer->tokens[merge->left], right = tokenizer->tokens[merge->right];
        if (longest(linear, left, left.len + 1) == merge->left &&
            longest(linear, right, right.len + 1) == merge->right &&
            pair_holds(linear, tokenizer, merge->left, merge->right, rank + 1))
            TRY(add_token(linear, merge->result, tokenizer->tokens[merge->result], error));
    }
    uint32_t *shorter = numbers(&linear->shorter);
    for (uint32_t id = 0; id < tokenizer->special_first; id++)
        shorter[id] = longest(linear, tokenizer->tokens[id], tokenizer->tokens[id].len);
    return OK;
}

static status prepare(struct linear *linear, const struct tokenizer *tokenizer, struct error *error)
{
    size_t bytes = 0, slots = 1024;
    TRY(fill(&linear->order, tokenizer->vocabulary, 0, error));
    TRY(fill(&linear->shorter, tokenizer->vocabulary, 0xFF, error));
    if (!find_order(numbers(&linear->order), tokenizer)) {
        linear->state = LINEAR_NOT;
        return OK;
    }
    for (uint32_t id = 0; id < tokenizer->special_first; id++)
        bytes += tokenizer->tokens[id].len;
    while (slots < 2 * bytes)
        slots *= 2;
    TRY(fill(&linear->edges, slots * sizeof(struct edge) / sizeof(uint32_t), 0xFF, error));
    linear->edge_mask = (uint32_t)slots - 1;
    TRY(fill(&linear->ends, 1, 0xFF, error));
    TRY(add_tokens(linear, tokenizer, error));
    linear->state = LINEAR_READY;
    return OK;
}

/* ---- encoding ------------------------------------------------------------- */

struct walk {
    struct linear *linear;
    const struct tokenizer *tokenizer;
    struct view text;
    size_t at, count; /* bytes and tokens taken */
};

static bool is_dead(const struct linear *linear, size_t at)
{
    return numbers(&linear->dead)[at / 32] >> at % 32 & 1;
}

/* Takes the longest token that fits, trying `id` and then shorter ones; false: none does. */
static bool take(struct walk *walk, uint32_t id)
{
    struct linear *linear = walk->linear;
    uint32_t *taken = numbers(&linear->taken);
    for (; id != TOKEN_NONE; id = numbers(&linear->shorter)[id]) {
        size_t end = walk->at + walk->tokenizer->tokens[id].len;
        if (is_dead(linear, end) ||
            (walk->count &&
             !pair_holds(linear, walk->tokenizer, taken[walk->count - 1], id, UINT32_MAX)))
            continue;
        taken[walk->count++] = id;
        walk->at = end;
        return true;
    }
    return false;
}

/* The start of the text is never dead, since there is an encoding. */
static uint32_t take_back(struct walk *walk)
{
    ASSERT(walk->count > 0);
    uint32_t id = numbers(&walk->linear->taken)[--walk->count];
    numbers(&walk->linear->dead)[walk->at / 32] |= UINT32_C(1) << walk->at % 32;
    walk->at -= walk->tokenizer->tokens[id].len;
    return id;
}

status linear_encode(const uint32_t **ids, size_t *count, struct linear *linear,
                     const struct tokenizer *tokenizer, struct view text, struct error *error)
{
    *ids = NULL;
    *count = 0;
    if (linear->state == LINEAR_UNKNOWN)
        TRY(prepare(linear, tokenizer, error));
    if (linear->state == LINEAR_NOT)
        return OK;
    TRY(fill(&linear->dead, text.len / 32 + 1, 0, error));
    buffer_clear(&linear->taken);
    TRY(buffer_reserve(&linear->taken, text.len * sizeof(uint32_t), error));
    struct walk walk = {linear, tokenizer, text, 0, 0};
    while (walk.at < text.len) {
        struct view rest = {text.data + walk.at, text.len - walk.at};
        uint32_t id = longest(linear, rest, SIZE_MAX);
        while (!take(&walk, id))
            id = take_back(&walk);
    }
    *ids = numbers(&linear->taken);
    *count = walk.count;
    return OK;
}
