#include "tokenizer/tokenizer_internal.h"

#include <string.h>

/* Training: every different pre-token is a word, a sequence of ids with a count.  Each step merges
 * the most frequent pair of neighbours in all words where it stands, and corrects the counts of the
 * pairs around it.  A heap gives the most frequent pair: its entries may overstate a count (then
 * they are put back with the true one), never understate, because each pair whose count grew in a
 * step is entered anew.
 *
 * A count is the number of places where the two stand side by side, overlaps included ("aaa" has
 * two of aa), times the word's count.  Equal counts: the smaller (left id, right id) first. */

enum { PAIR_COUNT_MIN = 2, PAIR_SLOTS_FIRST = 1 << 16, BYTE_PAIRS = 256 * 256 };

/* Places lie in chunks, each twice as long as the one before: length, previous chunk, words. */
enum { CHUNK_HEAD = 2, CHUNK_FIRST = 2, CHUNK_MAX = 4096, AHEAD = 8 };

struct pair {
    int64_t count;
    uint32_t left, right;
    uint32_t chunk, filled; /* the newest chunk of its list of words, TOKEN_NONE: none */
};

struct candidate {
    int64_t count;
    uint32_t pair;
};

struct sequence {
    size_t start; /* in `symbols` */
    int64_t count;
    uint32_t len;
};

/* What stood on one side of the pair that a step merges: a token, and the pair that it now makes
 * with the new one.  Counts are gathered over the step, so that each pair is looked up once. */
struct neighbour {
    int64_t count;
    uint32_t pair, step; /* the step that this is of */
};

struct side {
    struct neighbour *of; /* [tokens_max] by id */
    struct buffer met;    /* ids, of this step */
};

struct trainer {
    const struct word_table *words;
    struct word_table tokens; /* index = id */
    struct sequence *sequences;
    uint32_t *symbols;
    struct buffer pairs, pair_slots, places, heap, merges;
    struct side left, right;
    size_t pair_mask;
    uint32_t step;
    int64_t merged; /* places of the step's pair that became the new token */
};

/* ---- pairs -------------------------------------------------------------- */

static size_t pair_count(const struct trainer *trainer)
{
    return trainer->pairs.len / sizeof(struct pair);
}

static struct pair *pair_at(const struct trainer *trainer, uint32_t index)
{
    return (struct pair *)(void *)trainer->pairs.data + index;
}

static uint32_t *pair_slots(const struct trainer *trainer)
{
    return (uint32_t *)(void *)trainer->pair_slots.data;
}

static status pair_slots_grow(struct trainer *trainer, struct error *error)
{
    size_t slots = trainer->pair_slots.data ? 2 * (trainer->pair_mask + 1) : PAIR_SLOTS_FIRST;
    if (slots > UINT32_MAX)
        return fail(error, ERR_LIMIT, "more than %u different pairs", UINT32_MAX / 2);
    TRY(buffer_reserve(&trainer->pair_slots, slots * sizeof(uint32_t), error));
    memset(trainer->pair_slots.data, 0xFF, slots * sizeof(uint32_t));
    trainer->pair_mask = slots - 1;
    for (uint32_t i = 0; i < pair_count(trainer); i++) {
        size_t slot = pair_hash(pair_at(trainer, i)->left, pair_at(trainer, i)->right);
        while (pair_slots(trainer)[slot & trainer->pair_mask] != TOKEN_NONE)
            slot++;
        pair_slots(trainer)[slot & trainer->pair_mask] = i;
    }
    return OK;
}

/* The index of a pair, which is entered with count 0 if it is new. */
static status pair_find(uint32_t *index, struct trainer *trainer, uint32_t left, uint32_t right,
                        struct error *error)
{
    if (!trainer->pair_slots.data || 2 * pair_count(trainer) > trainer->pair_mask)
        TRY(pair_slots_grow(trainer, error));
    size_t slot = pair_hash(left, right);
    for (;; slot++) {
        *index = pair_slots(trainer)[slot & trainer->pair_mask];
        if (*index == TOKEN_NONE)
            break;
        const struct pair *pair = pair_at(trainer, *index);
        if (pair->left == left && pair->right == right)
            return OK;
    }
    struct pair pair = {0, left, right, TOKEN_NONE, 0};
    *index = (uint32_t)pair_count(trainer);
    pair_slots(trainer)[slot & trainer->pair_mask] = *index;
    return buffer_append(&trainer->pairs, &pair, sizeof pair, error);
}

static uint32_t *place_at(const struct trainer *trainer, uint32_t at)
{
    return (uint32_t *)(void *)trainer->places.data + at;
}

static status chunk_begin(struct trainer *trainer, struct pair *pair, struct error *error)
{
    size_t start = trainer->places.len / sizeof(uint32_t);
    uint32_t before = pair->chunk == TOKEN_NONE ? CHUNK_FIRST / 2 : *place_at(trainer, pair->chunk);
    uint32_t length = before < CHUNK_MAX ? 2 * before : CHUNK_MAX;
    if (start + CHUNK_HEAD + length >= TOKEN_NONE)
        return fail(error, ERR_LIMIT, "more than %u places of pairs", TOKEN_NONE);
    size_t bytes = (CHUNK_HEAD + length) * sizeof(uint32_t);
    TRY(buffer_reserve(&trainer->places, bytes, error));
    trainer->places.len += bytes;
    uint32_t *chunk = place_at(trainer, (uint32_t)start);
    chunk[0] = length;
    chunk[1] = pair->chunk;
    pair->chunk = (uint32_t)start;
    pair->filled = 0;
    return OK;
}

/* Notes that the pair stands in this word; words come one after another. */
static inline status place_add(struct trainer *trainer, uint32_t index, uint32_t word,
                               struct error *error)
{
    struct pair *pair = pair_at(trainer, index);
    uint32_t *chunk = pair->chunk == TOKEN_NONE ? NULL : place_at(trainer, pair->chunk);
    if (chunk && chunk[CHUNK_HEAD + pair->filled - 1] == word)
        return OK;
    if (!chunk || pair->filled == chunk[0]) {
        TRY(chunk_begin(trainer, pair, error));
        chunk = place_at(trainer, pair->chunk);
    }
    chunk[CHUNK_HEAD + pair->filled++] = word;
    return OK;
}

/* ---- the heap of candidates --------------------------------------------- */

static bool goes_first(const struct trainer *trainer, struct candidate a, struct candidate b)
{
    if (a.count != b.count)
        return a.count > b.count;
    const struct pair *p = pair_at(trainer, a.pair), *q = pair_at(trainer, b.pair);
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static status candidate_push(struct trainer *trainer, uint32_t pair, struct error *error)
{
    struct candidate candidate = {pair_at(trainer, pair)->count, pair};
    if (candidate.count < PAIR_COUNT_MIN)
        return OK;
    TRY(buffer_append(&trainer->heap, &candidate, sizeof candidate, error));
    struct candidate *heap = (struct candidate *)(void *)trainer->heap.data;
    size_t at = trainer->heap.len / sizeof candidate - 1;
    for (size_t parent; at > 0; at = parent) {
        parent = (at - 1) / 2;
        if (!goes_first(trainer, candidate, heap[parent]))
            break;
        heap[at] = heap[parent];
    }
    heap[at] = candidate;
    return OK;
}

static struct candidate candidate_pop(struct trainer *trainer)
{
    struct candidate *heap = (struct candidate *)(void *)trainer->heap.data;
    struct candidate first = heap[0];
    trainer->heap.len -= sizeof first;
    size_t count = trainer->heap.len / sizeof first, at = 0;
    struct candidate moved = heap[count];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && goes_first(trainer, heap[child + 1], heap[child]);
        if (!goes_first(trainer, heap[child], moved))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
    return first;
}

/* The most frequent pair, or TOKEN_NONE when none stands in two places any more. */
static status best_pair(uint32_t *out, struct trainer *trainer, struct error *error)
{
    while (trainer->heap.len > 0) {
        struct candidate candidate = candidate_pop(trainer);
        if (candidate.count == pair_at(trainer, candidate.pair)->count) {
            *out = candidate.pair;
            return OK;
        }
        TRY(candidate_push(trainer, candidate.pair, error));
    }
    *out = TOKEN_NONE;
    return OK;
}

/* ---- steps -------------------------------------------------------------- */

/* The token `id` stands beside the new token in this word. */
static inline status beside(struct trainer *trainer, struct side *side, uint32_t id, uint32_t made,
                            uint32_t word, struct error *error)
{
    struct neighbour *neighbour = &side->of[id];
    if (neighbour->step != trainer->step) {
        bool left = side == &trainer->left;
        TRY(pair_find(&neighbour->pair, trainer, left ? id : made, left ? made : id, error));
        TRY(buffer_append(&side->met, &id, sizeof id, error));
        neighbour->step = trainer->step;
        neighbour->count = 0;
    }
    neighbour->count += trainer->sequences[word].count;
    return place_add(trainer, neighbour->pair, word, error);
}

/* Replaces the pair by `merge.result` from left to right in one word, and notes what stood beside
 * it. */
static status merge_in_word(struct trainer *trainer, struct merge merge, uint32_t word,
                            struct error *error)
{
    struct sequence *sequence = &trainer->sequences[word];
    uint32_t *symbols = trainer->symbols + sequence->start;
    uint32_t kept = 0;
    for (uint32_t at = 0; at < sequence->len; at++) {
        if (at + 1 == sequence->len || symbols[at] != merge.left ||
            symbols[at + 1] != merge.right) {
            symbols[kept++] = symbols[at];
            continue;
        }
        trainer->merged += sequence->count;
        if (kept > 0)
            TRY(beside(trainer, &trainer->left, symbols[kept - 1], merge.result, word, error));
        if (at + 2 < sequence->len)
            TRY(beside(trainer, &trainer->right, symbols[at + 2], merge.result, word, error));
        symbols[kept++] = merge.result;
        at++;
    }
    sequence->len = kept;
    return OK;
}

/* In all words of the pair's list.  Words are scattered over memory: they are fetched ahead. */
static status merge_everywhere(struct trainer *trainer, struct merge merge, const struct pair *pair,
                               struct error *error)
{
    uint32_t filled = pair->filled;
    for (uint32_t at = pair->chunk; at != TOKEN_NONE;) {
        for (uint32_t i = filled; i-- > 0;) {
            const uint32_t *words = place_at(trainer, at) + CHUNK_HEAD; /* places may move */
            if (i >= 2 * AHEAD)
                __builtin_prefetch(&trainer->sequences[words[i - 2 * AHEAD]]);
            if (i >= AHEAD)
                __builtin_prefetch(trainer->symbols + trainer->sequences[words[i - AHEAD]].start);
            TRY(merge_in_word(trainer, merge, words[i], error));
        }
        at = place_at(trainer, at)[1];
        filled = at == TOKEN_NONE ? 0 : *place_at(trainer, at);
    }
    return OK;
}

/* The pair (left, right) stood in `count` places where the new token now is. */
static status pair_lower(struct trainer *trainer, uint32_t left, uint32_t right, int64_t count,
                         struct error *error)
{
    uint32_t index;
    TRY(pair_find(&index, trainer, left, right, error));
    pair_at(trainer, index)->count -= count;
    return OK;
}

/* Corrects the counts of the pairs on one side; those that grew come last, when all is counted. */
static status side_count(struct trainer *trainer, struct side *side, struct merge merge,
                         struct error *error)
{
    const uint32_t *met = (const uint32_t *)(void *)side->met.data;
    for (size_t i = 0; i < side->met.len / sizeof *met; i++) {
        const struct neighbour *neighbour = &side->of[met[i]];
        pair_at(trainer, neighbour->pair)->count += neighbour->count;
        if (side == &trainer->left)
            TRY(pair_lower(trainer, met[i], merge.left, neighbour->count, error));
        else
            TRY(pair_lower(trainer, merge.right, met[i], neighbour->count, error));
    }
    return OK;
}

static status side_push(struct trainer *trainer, struct side *side, struct error *error)
{
    const uint32_t *met = (const uint32_t *)(void *)side->met.data;
    for (size_t i = 0; i < side->met.len / sizeof *met; i++) {
        ASSERT(pair_at(trainer, side->of[met[i]].pair)->count >= 0);
        TRY(candidate_push(trainer, side->of[met[i]].pair, error));
    }
    buffer_clear(&side->met);
    return OK;
}

/* Makes the token of a pair.  No earlier pair can have made the same bytes: as long as no merge
 * crosses the ends of a stretch of a word, its pieces depend on its bytes alone, so once one place
 * has become a token, every place has. */
static status token_make(uint32_t *out, struct trainer *trainer, const struct pair *pair,
                         struct error *error)
{
    char joined[2 * TRAINING_WORD_BYTES_MAX];
    struct view left = word_table_view(&trainer->tokens, pair->left);
    struct view right = word_table_view(&trainer->tokens, pair->right);
    ASSERT(left.len + right.len <= TRAINING_WORD_BYTES_MAX);
    memcpy(joined, left.data, left.len);
    memcpy(joined + left.len, right.data, right.len);
    size_t index, made = trainer->tokens.count;
    TRY(word_table_add(&index, &trainer->tokens, (struct view){joined, left.len + right.len}, 0,
                       error));
    ASSERT(index == made);
    *out = (uint32_t)index;
    return OK;
}

static status train_step(struct trainer *trainer, uint32_t best, struct error *error)
{
    struct pair pair = *pair_at(trainer, best);
    struct merge merge = {pair.left, pair.right, 0};
    TRY(token_make(&merge.result, trainer, &pair, error));
    TRY(buffer_append(&trainer->merges, &merge, sizeof merge, error));
    trainer->step++;
    trainer->merged = 0;
    TRY(merge_everywhere(trainer, merge, &pair, error));
    TRY(side_count(trainer, &trainer->left, merge, error));
    TRY(side_count(trainer, &trainer->right, merge, error));
    pair_at(trainer, best)->count -= trainer->merged;
    ASSERT(pair_at(trainer, best)->count == 0);
    TRY(side_push(trainer, &trainer->left, error));
    return side_push(trainer, &trainer->right, error);
}

static uint32_t merge_count(const struct trainer *trainer)
{
    return (uint32_t)(trainer->merges.len / sizeof(struct merge));
}

static status train_steps(struct trainer *trainer, uint32_t tokens_max, struct error *error)
{
    while (trainer->tokens.count < tokens_max) {
        uint32_t best;
        TRY(best_pair(&best, trainer, error));
        if (best == TOKEN_NONE)
            break;
        TRY(train_step(trainer, best, error));
        if (interrupt_requested())
            return fail(error, ERR_INTERRUPTED, "stopped after %u merges; nothing was written",
                        merge_count(trainer));
    }
    return OK;
}

/* ---- beginning and end -------------------------------------------------- */

/* Pairs of bytes are few and met millions of times: a table gives their indices. */
static status byte_pair_add(struct trainer *trainer, uint32_t *table, const uint32_t *symbols,
                            uint32_t word, struct error *error)
{
    uint32_t *index = &table[symbols[0] << 8 | symbols[1]];
    if (*index == TOKEN_NONE)
        TRY(pair_find(index, trainer, symbols[0], symbols[1], error));
    pair_at(trainer, *index)->count += trainer->sequences[word].count;
    return place_add(trainer, *index, word, error);
}

static status words_begin(struct trainer *trainer, struct arena *arena, struct error *error)
{
    const struct word_table *words = trainer->words;
    uint32_t *table;
    TRY_ALLOC(trainer->sequences, arena, words->count, error);
    TRY_ALLOC(trainer->symbols, arena, words->bytes.len, error);
    TRY_ALLOC(table, arena, BYTE_PAIRS, error);
    memset(table, 0xFF, BYTE_PAIRS * sizeof *table);
    for (uint32_t i = 0; i < words->count; i++) {
        struct view bytes = word_table_view(words, i);
        const struct word *word = word_table_at(words, i);
        trainer->sequences[i] = (struct sequence){word->start, word->count, word->len};
        uint32_t *symbols = trainer->symbols + word->start;
        for (size_t at = 0; at < bytes.len; at++)
            symbols[at] = (unsigned char)bytes.data[at];
        for (size_t at = 0; at + 1 < bytes.len; at++)
            TRY(byte_pair_add(trainer, table, symbols + at, i, error));
    }
    for (uint32_t pair = 0; pair < pair_count(trainer); pair++)
        TRY(candidate_push(trainer, pair, error));
    return OK;
}

static status trainer_begin(struct trainer *trainer, uint32_t tokens_max, struct arena *arena,
                            struct error *error)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char text = (char)byte;
        size_t index;
        TRY(word_table_add(&index, &trainer->tokens, (struct view){&text, 1}, 0, error));
        ASSERT(index == byte);
    }
    TRY_ALLOC(trainer->left.of, arena, tokens_max, error);
    TRY_ALLOC(trainer->right.of, arena, tokens_max, error);
    return words_begin(trainer, arena, error);
}

enum { TRAINER_BUFFERS = 7 };

static void trainer_buffers(struct buffer *out[TRAINER_BUFFERS], struct trainer *trainer)
{
    struct buffer *all[TRAINER_BUFFERS] = {
        &trainer->pairs,  &trainer->pair_slots, &trainer->places,   &trainer->heap,
        &trainer->merges, &trainer->left.met,   &trainer->right.met};
    memcpy(out, all, sizeof all);
}

static void trainer_create(struct trainer *out, const struct word_table *words)
{
    struct buffer *buffers[TRAINER_BUFFERS];
    *out = (struct trainer){.words = words};
    word_table_create(&out->tokens);
    trainer_buffers(buffers, out);
    for (size_t i = 0; i < TRAINER_BUFFERS; i++)
        buffer_create(buffers[i], SIZE_MAX / 4);
}

static void trainer_destroy(struct trainer *trainer)
{
    struct buffer *buffers[TRAINER_BUFFERS];
    word_table_destroy(&trainer->tokens);
    trainer_buffers(buffers, trainer);
    for (size_t i = 0; i < TRAINER_BUFFERS; i++)
        buffer_destroy(buffers[i]);
}

static status bytes_copy(struct view *out, const void *bytes, size_t len, struct arena *arena,
                         struct error *error)
{
    char *copy;
    TRY_ALLOC(copy, arena, len, error);
    if (len)
        memcpy(copy, bytes, len);
    *out = (struct view){copy, len};
    return OK;
}

/* Copies what was learnt to where the tokenizer lives. */
static status trained(struct tokenizer **out, const struct trainer *trainer, struct arena *arena,
                      struct error *error)
{
    static const char name[] = "the trained tokenizer";
    uint32_t learnt = (uint32_t)trainer->tokens.count;
    struct view *tokens, bytes, merges;
    TRY_ALLOC(tokens, arena, learnt + TOKEN_SPECIAL_COUNT, error);
    const struct buffer *from = &trainer->tokens.bytes;
    TRY(bytes_copy(&bytes, from->data, from->len, arena, error));
    TRY(bytes_copy(&merges, trainer->merges.data, trainer->merges.len, arena, error));
    for (uint32_t id = 0; id < learnt; id++) {
        const struct word *word = word_table_at(&trainer->tokens, id);
        tokens[id] = (struct view){bytes.data + word->start, word->len};
    }
    for (uint32_t i = 0; i < TOKEN_SPECIAL_COUNT; i++)
        tokens[learnt + i] = view_of(tokenizer_special_texts[i]);
    struct tokenizer *tokenizer;
    struct token_list list = {tokens, learnt + TOKEN_SPECIAL_COUNT, TOKEN_SPECIAL_COUNT};
    TRY(tokenizer_assemble(&tokenizer, name, list, arena, error));
    TRY(tokenizer_assemble_merges(tokenizer, name, (struct merge *)(void *)(uintptr_t)merges.data,
                                  merge_count(trainer), arena, error));
    *out = tokenizer;
    return OK;
}

/* Everything that only training needs lies in `scratch` and in the trainer's buffers. */
static status train_from_words(struct tokenizer **out, const struct word_table *words,
                               uint32_t tokens_max, struct arena *arena, struct error *error)
{
    struct arena *scratch;
    TRY(arena_create(&scratch, 0, error));
    struct trainer trainer;
    trainer_create(&trainer, words);
    status result;
    TRY_DONE(trainer_begin(&trainer, tokens_max, scratch, error));
    TRY_DONE(train_steps(&trainer, tokens_max, error));
    TRY_DONE(trained(out, &trainer, arena, error));
done:
    trainer_destroy(&trainer);
    arena_destroy(scratch);
    return result;
}

status tokenizer_train(struct tokenizer **out, const struct tokenizer_training *training,
                       struct arena *arena, struct error *error)
{
    ASSERT(out && training && arena && error);
    if (training->vocabulary < TOKENIZER_VOCABULARY_MIN ||
        training->vocabulary > TOKENIZER_VOCABULARY_MAX)
        return fail(error, ERR_USAGE, "a vocabulary of %u tokens; allowed are %d to %d",
                    training->vocabulary, TOKENIZER_VOCABULARY_MIN, TOKENIZER_VOCABULARY_MAX);
    struct word_table words;
    word_table_create(&words);
    status result = words_count(&words, training, error);
    if (result == OK)
        result =
            train_from_words(out, &words, training->vocabulary - TOKEN_SPECIAL_COUNT, arena, error);
    word_table_destroy(&words);
    return result;
}
