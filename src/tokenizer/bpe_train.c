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

enum { PAIR_COUNT_MIN = 2, PAIR_SLOTS_FIRST = 1 << 16 };

struct pair {
    int64_t count;
    uint32_t left, right;
    uint32_t places;  /* newest entry of its list of words, TOKEN_NONE at its end */
    uint32_t touched; /* the last step that raised the count */
};

struct place {
    uint32_t word, next;
};

struct candidate {
    int64_t count;
    uint32_t pair;
};

struct sequence {
    size_t start; /* in `symbols` */
    uint32_t len;
};

struct trainer {
    const struct word_table *words;
    struct word_table tokens; /* index = id */
    struct sequence *sequences;
    uint32_t *symbols;
    struct buffer pairs, pair_slots, places, heap, touched, merges;
    size_t pair_mask;
    uint32_t step;
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

/* One more place, in `word`, where the pair stands. */
static status pair_raise(struct trainer *trainer, uint32_t left, uint32_t right, uint32_t word,
                         struct error *error)
{
    uint32_t index;
    TRY(pair_find(&index, trainer, left, right, error));
    struct pair *pair = pair_at(trainer, index);
    pair->count += word_table_at(trainer->words, word)->count;
    if (pair->touched != trainer->step) {
        pair->touched = trainer->step;
        TRY(buffer_append(&trainer->touched, &index, sizeof index, error));
    }
    const struct place *places = (const struct place *)(void *)trainer->places.data;
    if (pair->places != TOKEN_NONE && places[pair->places].word == word)
        return OK;
    struct place place = {word, pair->places};
    size_t count = trainer->places.len / sizeof place;
    if (count >= TOKEN_NONE)
        return fail(error, ERR_LIMIT, "more than %u places of pairs", TOKEN_NONE);
    pair->places = (uint32_t)count;
    return buffer_append(&trainer->places, &place, sizeof place, error);
}

static status pair_lower(struct trainer *trainer, uint32_t left, uint32_t right, uint32_t word,
                         struct error *error)
{
    uint32_t index;
    TRY(pair_find(&index, trainer, left, right, error));
    pair_at(trainer, index)->count -= word_table_at(trainer->words, word)->count;
    ASSERT(pair_at(trainer, index)->count >= 0);
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

/* Enters every pair whose count the step has raised. */
static status touched_push(struct trainer *trainer, struct error *error)
{
    const uint32_t *touched = (const uint32_t *)(void *)trainer->touched.data;
    for (size_t i = 0; i < trainer->touched.len / sizeof *touched; i++)
        TRY(candidate_push(trainer, touched[i], error));
    buffer_clear(&trainer->touched);
    return OK;
}

/* ---- steps -------------------------------------------------------------- */

/* Replaces the pair by `merge.result` from left to right in one word, and corrects the counts of
 * what stood beside it. */
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
        TRY(pair_lower(trainer, merge.left, merge.right, word, error));
        if (kept > 0) {
            TRY(pair_lower(trainer, symbols[kept - 1], merge.left, word, error));
            TRY(pair_raise(trainer, symbols[kept - 1], merge.result, word, error));
        }
        if (at + 2 < sequence->len) {
            TRY(pair_lower(trainer, merge.right, symbols[at + 2], word, error));
            TRY(pair_raise(trainer, merge.result, symbols[at + 2], word, error));
        }
        symbols[kept++] = merge.result;
        at++;
    }
    sequence->len = kept;
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
    for (uint32_t at = pair.places; at != TOKEN_NONE;) {
        struct place place = ((const struct place *)(void *)trainer->places.data)[at];
        TRY(merge_in_word(trainer, merge, place.word, error));
        at = place.next;
    }
    ASSERT(pair_at(trainer, best)->count == 0);
    return touched_push(trainer, error);
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

static status words_begin(struct trainer *trainer, struct arena *arena, struct error *error)
{
    const struct word_table *words = trainer->words;
    TRY_ALLOC(trainer->sequences, arena, words->count, error);
    TRY_ALLOC(trainer->symbols, arena, words->bytes.len, error);
    trainer->step = 1;
    for (uint32_t i = 0; i < words->count; i++) {
        struct view word = word_table_view(words, i);
        size_t start = word_table_at(words, i)->start;
        trainer->sequences[i] = (struct sequence){start, (uint32_t)word.len};
        for (size_t at = 0; at < word.len; at++)
            trainer->symbols[start + at] = (unsigned char)word.data[at];
        for (size_t at = 0; at + 1 < word.len; at++)
            TRY(pair_raise(trainer, (unsigned char)word.data[at], (unsigned char)word.data[at + 1],
                           i, error));
    }
    return touched_push(trainer, error);
}

static status trainer_begin(struct trainer *trainer, struct arena *arena, struct error *error)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char text = (char)byte;
        size_t index;
        TRY(word_table_add(&index, &trainer->tokens, (struct view){&text, 1}, 0, error));
        ASSERT(index == byte);
    }
    return words_begin(trainer, arena, error);
}

enum { TRAINER_BUFFERS = 6 };

static void trainer_buffers(struct buffer *out[TRAINER_BUFFERS], struct trainer *trainer)
{
    struct buffer *all[TRAINER_BUFFERS] = {&trainer->pairs, &trainer->pair_slots, &trainer->places,
                                           &trainer->heap,  &trainer->touched,    &trainer->merges};
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
    TRY_DONE(trainer_begin(&trainer, scratch, error));
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
