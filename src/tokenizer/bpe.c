#include "tokenizer/tokenizer_internal.h"

#include <string.h>

/* Exact byte-pair encoding: again and again, of all neighbours in a pre-token that have a merge,
 * the pair of lowest rank, leftmost first, becomes one token.  Four ways to the same result: a
 * cache of short pre-tokens, a plain scan up to NAIVE_BYTES_MAX, a heap over a linked list above,
 * and bpe_linear.c from LINEAR_BYTES_MIN on, for vocabularies that allow it. */
enum {
    CACHE_BITS = 17,
    CACHE_IDS = 7,
    NAIVE_BYTES_MAX = 64,
    LINEAR_BYTES_MIN = 1024,
    PENDING_IDS = 1024, /* gathered before they go to the caller's list */
    SCRATCH_KEPT_BYTES = 1 << 20
};

/* One cache line. */
struct cache_entry {
    uint64_t key[4]; /* the bytes, zeros behind them, their number in the last byte */
    uint32_t ids[CACHE_IDS];
    uint32_t count; /* 0: empty */
};
_Static_assert(sizeof(struct cache_entry) == 64, "a cache entry fills one cache line");

struct tokenizer_encoder {
    const struct tokenizer *tokenizer;
    struct cache_entry *cache;
    struct buffer nodes, heap;
    struct linear linear;
    bool special_starts[256]; /* first bytes of special tokens */
    size_t pending;
    uint32_t ids[PENDING_IDS];
};

status tokenizer_encoder_create(struct tokenizer_encoder **out, const struct tokenizer *tokenizer,
                                struct arena *arena, struct error *error)
{
    ASSERT(out && tokenizer && arena && error);
    struct tokenizer_encoder *encoder;
    TRY_ALLOC(encoder, arena, 1, error);
    TRY_ALLOC(encoder->cache, arena, (size_t)1 << CACHE_BITS, error);
    encoder->tokenizer = tokenizer;
    buffer_create(&encoder->nodes, SIZE_MAX / 4);
    buffer_create(&encoder->heap, SIZE_MAX / 4);
    linear_create(&encoder->linear);
    for (uint32_t id = tokenizer->special_first; id < tokenizer->vocabulary; id++)
        encoder->special_starts[(unsigned char)tokenizer->tokens[id].data[0]] = true;
    *out = encoder;
    return OK;
}

void tokenizer_encoder_destroy(struct tokenizer_encoder *encoder)
{
    if (!encoder)
        return;
    buffer_destroy(&encoder->nodes);
    buffer_destroy(&encoder->heap);
    linear_destroy(&encoder->linear);
}

/* ---- short pre-tokens: a scan ------------------------------------------- */

static inline uint32_t rank_of(const struct tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    const struct merge_slot *slot = merge_find(tokenizer, left, right);
    return slot ? slot->rank : TOKEN_NONE;
}

/* The token that a pre-token is as a whole, where that goes before merges, or TOKEN_NONE. */
static inline uint32_t whole_word(const struct tokenizer *tokenizer, struct view word)
{
    if (!tokenizer->whole_words || word.len > TOKENIZER_TOKEN_BYTES_MAX)
        return TOKEN_NONE;
    uint32_t id = tokenizer_find(tokenizer, word);
    return id < tokenizer->special_first ? id : TOKEN_NONE;
}

/* Encodes in place of `ids` (room for word.len); returns how many remain. */
static size_t encode_naive(uint32_t *ids, const struct tokenizer *tokenizer, struct view word)
{
    ids[0] = whole_word(tokenizer, word);
    if (ids[0] != TOKEN_NONE)
        return 1;
    uint32_t ranks[NAIVE_BYTES_MAX]; /* of the pair (i, i + 1) */
    size_t count = word.len;
    ASSERT(count > 0 && count <= NAIVE_BYTES_MAX);
    for (size_t i = 0; i < count; i++)
        ids[i] = tokenizer->byte_ids[(unsigned char)word.data[i]];
    for (size_t i = 0; i + 1 < count; i++)
        ranks[i] = rank_of(tokenizer, ids[i], ids[i + 1]);
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (ranks[i] < ranks[best])
                best = i;
        if (ranks[best] == TOKEN_NONE)
            break;
        ids[best] = tokenizer->results[ranks[best]];
        count--;
        memmove(ids + best + 1, ids + best + 2, (count - best - 1) * sizeof *ids);
        memmove(ranks + best, ranks + best + 1, (count - best) * sizeof *ranks);
        if (best > 0)
            ranks[best - 1] = rank_of(tokenizer, ids[best - 1], ids[best]);
        if (best + 1 < count)
            ranks[best] = rank_of(tokenizer, ids[best], ids[best + 1]);
    }
    return count;
}

/* ---- long pre-tokens: a heap of pairs over a linked list ---------------- */

struct node {
    uint32_t id, previous, next; /* TOKEN_NONE at the ends */
    uint32_t rank;               /* of the pair that starts here; TOKEN_NONE: none, or node gone */
};

/* A pair as one number that sorts by rank, then by position.  It is stale when its node's rank has
 * changed since. */
static inline uint64_t pair_entry(uint32_t rank, uint32_t position)
{
    return (uint64_t)rank << 32 | position;
}

static void heap_sift_down(uint64_t *heap, size_t count, size_t at)
{
    uint64_t entry = heap[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && heap[child + 1] < heap[child];
        if (heap[child] >= entry)
            break;
        heap[at] = heap[child];
    }
    heap[at] = entry;
}

static void heap_sift_up(uint64_t *heap, size_t at)
{
    uint64_t entry = heap[at];
    for (size_t parent; at > 0 && heap[parent = (at - 1) / 2] > entry; at = parent)
        heap[at] = heap[parent];
    heap[at] = entry;
}

struct long_word {
    const struct tokenizer *tokenizer;
    struct node *nodes;
    uint64_t *heap;
    size_t heap_count;
};

/* Notes the rank of the pair that starts at this node, and its entry in the heap. */
static void pair_renew(struct long_word *word, uint32_t at)
{
    struct node *node = &word->nodes[at];
    node->rank = node->next == TOKEN_NONE
                     ? TOKEN_NONE
                     : rank_of(word->tokenizer, node->id, word->nodes[node->next].id);
    if (node->rank == TOKEN_NONE)
        return;
    word->heap[word->heap_count] = pair_entry(node->rank, at);
    heap_sift_up(word->heap, word->heap_count++);
}

static void pair_merge(struct long_word *word, uint32_t at)
{
    struct node *node = &word->nodes[at];
    struct node *gone = &word->nodes[node->next];
    node->id = word->tokenizer->results[node->rank];
    node->next = gone->next;
    gone->rank = TOKEN_NONE;
    if (node->next != TOKEN_NONE)
        word->nodes[node->next].previous = at;
    if (node->previous != TOKEN_NONE)
        pair_renew(word, node->previous);
    pair_renew(word, at);
}

static void long_word_begin(struct long_word *word, struct view text)
{
    uint32_t count = (uint32_t)text.len;
    for (uint32_t i = 0; i < count; i++)
        word->nodes[i] = (struct node){word->tokenizer->byte_ids[(unsigned char)text.data[i]],
                                       i - 1, i + 1 < count ? i + 1 : TOKEN_NONE, TOKEN_NONE};
    for (uint32_t i = 0; i + 1 < count; i++) {
        struct node *node = &word->nodes[i];
        node->rank = rank_of(word->tokenizer, node->id, word->nodes[i + 1].id);
        if (node->rank != TOKEN_NONE)
            word->heap[word->heap_count++] = pair_entry(node->rank, i);
    }
    for (size_t i = word->heap_count / 2; i-- > 0;)
        heap_sift_down(word->heap, word->heap_count, i);
}

static status flush(struct tokens *out, struct tokenizer_encoder *encoder, struct error *error)
{
    size_t pending = encoder->pending;
    encoder->pending = 0;
    return tokens_append(out, encoder->ids, pending, error);
}

static status long_word_emit(struct tokens *out, struct tokenizer_encoder *encoder,
                             const struct node *nodes, struct error *error)
{
    for (uint32_t at = 0; at != TOKEN_NONE; at = nodes[at].next) {
        if (encoder->pending == PENDING_IDS)
            TRY(flush(out, encoder, error));
        encoder->ids[encoder->pending++] = nodes[at].id;
    }
    return OK;
}

/* In linear time, where the vocabulary allows it; *done says so. */
static status encode_linear(struct tokens *out, struct tokenizer_encoder *encoder, struct view text,
                            bool *done, struct error *error)
{
    const uint32_t *ids;
    size_t count;
    TRY(linear_encode(&ids, &count, &encoder->linear, encoder->tokenizer, text, error));
    *done = ids != NULL;
    if (!ids)
        return OK;
    TRY(flush(out, encoder, error));
    status result = tokens_append(out, ids, count, error);
    if (encoder->linear.taken.capacity > SCRATCH_KEPT_BYTES)
        buffer_destroy(&encoder->linear.taken);
    return result;
}

/* Every merge takes one pair out and puts at most two in, so that the heap never holds more than
 * twice as many pairs as there are bytes. */
static status encode_long(struct tokens *out, struct tokenizer_encoder *encoder, struct view text,
                          struct error *error)
{
    ASSERT(text.len < TOKEN_NONE);
    uint32_t whole = whole_word(encoder->tokenizer, text);
    if (whole != TOKEN_NONE) {
        encoder->ids[encoder->pending++] = whole;
        return OK;
    }
    bool done = false;
    if (text.len >= LINEAR_BYTES_MIN)
        TRY(encode_linear(out, encoder, text, &done, error));
    if (done)
        return OK;
    buffer_clear(&encoder->nodes);
    buffer_clear(&encoder->heap);
    TRY(buffer_reserve(&encoder->nodes, text.len * sizeof(struct node), error));
    TRY(buffer_reserve(&encoder->heap, 2 * text.len * sizeof(uint64_t), error));
    struct long_word word = {.tokenizer = encoder->tokenizer,
                             .nodes = (struct node *)(void *)encoder->nodes.data,
                             .heap = (uint64_t *)(void *)encoder->heap.data};
    long_word_begin(&word, text);
    while (word.heap_count > 0) {
        uint64_t entry = word.heap[0];
        word.heap[0] = word.heap[--word.heap_count];
        if (word.heap_count > 0)
            heap_sift_down(word.heap, word.heap_count, 0);
        uint32_t at = (uint32_t)entry;
        if (word.nodes[at].rank == entry >> 32)
            pair_merge(&word, at);
    }
    status result = long_word_emit(out, encoder, word.nodes, error);
    if (encoder->nodes.capacity > SCRATCH_KEPT_BYTES) {
        buffer_destroy(&encoder->nodes);
        buffer_destroy(&encoder->heap);
    }
    return result;
}

/* ---- the cache ---------------------------------------------------------- */

static inline bool cache_holds(const struct cache_entry *entry, const uint64_t key[4])
{
    return entry->count > 0 && word_key_equal(entry->key, key);
}

/* Writes the ids of a word of at most WORD_KEY_BYTES; returns how many. */
static inline size_t encode_cached(uint32_t *ids, struct tokenizer_encoder *encoder,
                                   struct view word, bool readable)
{
    uint64_t key[4];
    word_key(key, word, readable);
    struct cache_entry *entry = &encoder->cache[word_key_hash(key) >> (64 - CACHE_BITS)];
    if (cache_holds(entry, key)) {
        memcpy(ids, entry->ids, sizeof entry->ids); /* a fixed size is faster than the count */
        return entry->count;
    }
    size_t count = encode_naive(ids, encoder->tokenizer, word);
    if (count <= CACHE_IDS) {
        memcpy(entry->key, key, sizeof key);
        memcpy(entry->ids, ids, count * sizeof *ids);
        entry->count = (uint32_t)count;
    }
    return count;
}

static status encode_plain(struct tokens *out, struct tokenizer_encoder *encoder, struct view text,
                           struct error *error)
{
    split_function *next = encoder->tokenizer->pattern->next;
    while (text.len > 0) {
        struct view word = {text.data, next(text)};
        if (PENDING_IDS - encoder->pending < NAIVE_BYTES_MAX)
            TRY(flush(out, encoder, error));
        uint32_t *ids = encoder->ids + encoder->pending;
        if (word.len <= WORD_KEY_BYTES)
            encoder->pending += encode_cached(ids, encoder, word, text.len >= 32);
        else if (word.len <= NAIVE_BYTES_MAX)
            encoder->pending += encode_naive(ids, encoder->tokenizer, word);
        else
            TRY(encode_long(out, encoder, word, error));
        text.data += word.len;
        text.len -= word.len;
    }
    return flush(out, encoder, error);
}

/* ---- special tokens ----------------------------------------------------- */

/* The longest special token at the start of `text`, or TOKEN_NONE. */
static uint32_t special_at(const struct tokenizer *tokenizer, struct view text)
{
    uint32_t best = TOKEN_NONE;
    size_t best_len = 0;
    for (uint32_t id = tokenizer->special_first; id < tokenizer->vocabulary; id++) {
        struct view special = tokenizer->tokens[id];
        if (special.len > best_len && special.len <= text.len &&
            memcmp(special.data, text.data, special.len) == 0) {
            best = id;
            best_len = special.len;
        }
    }
    return best;
}

static status encode_with_specials(struct tokens *out, struct tokenizer_encoder *encoder,
                                   struct view text, struct error *error)
{
    size_t plain_from = 0;
    for (size_t at = 0; at < text.len; at++) {
        if (!encoder->special_starts[(unsigned char)text.data[at]])
            continue;
        uint32_t id = special_at(encoder->tokenizer, (struct view){text.data + at, text.len - at});
        if (id == TOKEN_NONE)
            continue;
        TRY(encode_plain(out, encoder, (struct view){text.data + plain_from, at - plain_from},
                         error));
        TRY(tokens_append(out, &id, 1, error));
        plain_from = at + encoder->tokenizer->tokens[id].len;
        at = plain_from - 1;
    }
    return encode_plain(out, encoder, (struct view){text.data + plain_from, text.len - plain_from},
                        error);
}

status tokenizer_encode(struct tokens *out, struct tokenizer_encoder *encoder, struct view text,
                        bool allow_specials, struct error *error)
{
    ASSERT(out && encoder && error && (text.data || text.len == 0));
    if (text.len > TOKENIZER_TEXT_BYTES_MAX)
        return fail(error, ERR_LIMIT, "a text of %zu bytes; at most %d are encoded at once",
                    text.len, TOKENIZER_TEXT_BYTES_MAX);
    return allow_specials ? encode_with_specials(out, encoder, text, error)
                          : encode_plain(out, encoder, text, error);
}
