#include "corpus/minhash.h"

#include <string.h>

static uint64_t split_mix(uint64_t k)
{
    uint64_t z = (k + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

void minhash_family(struct minhash_family *out)
{
    for (uint64_t i = 0; i < MINHASH_NUMBERS; i++) {
        out->factor[i] = (uint32_t)(split_mix(2 * i) >> 32) | 1;
        out->addend[i] = (uint32_t)(split_mix(2 * i + 1) >> 32);
    }
}

void minhasher_open(struct minhasher *out)
{
    ASSERT(out);
    minhash_family(&out->family);
    words_open(&out->words, WORDS_NUMBERS_FOLDED);
    out->held = 0;
}

void minhasher_close(struct minhasher *hasher)
{
    words_close(&hasher->words);
}

/* Compilers make vectors of the inner loop; being integers, the result is the same with any. */
void minhash_update(uint32_t number[MINHASH_NUMBERS], const struct minhash_family *family,
                    const uint32_t *shingle, size_t count)
{
    for (size_t i = 0; i < MINHASH_NUMBERS; i++) {
        uint32_t factor = family->factor[i], addend = family->addend[i], least = number[i];
        for (size_t s = 0; s < count; s++) {
            uint32_t value = factor * shingle[s] + addend;
            least = value < least ? value : least;
        }
        number[i] = least;
    }
}

static void add_shingle(struct minhash *minhash, struct minhasher *hasher, uint64_t hash)
{
    if (hasher->held == MINHASH_BLOCK) {
        minhash_update(minhash->number, &hasher->family, hasher->shingle, MINHASH_BLOCK);
        hasher->held = 0;
    }
    hasher->shingle[hasher->held++] = (uint32_t)(hash >> 32);
    minhash->shingles++;
}

static void add_words(struct minhash *minhash, struct minhasher *hasher,
                      const struct words_piece *piece)
{
    for (size_t i = 0; i < piece->count; i++) {
        uint64_t hash = gram_add(&hasher->gram, piece->hash[i]);
        if (hasher->gram.seen >= SHINGLE_WORDS)
            add_shingle(minhash, hasher, hash);
    }
}

static status add_text(struct minhash *minhash, struct minhasher *hasher, struct view text,
                       struct error *error)
{
    struct words_piece piece;
    words_begin(&hasher->words, text);
    for (;;) {
        TRY(words_read(&piece, &hasher->words, error));
        if (!piece.normal.len)
            return OK;
        add_words(minhash, hasher, &piece);
    }
}

void minhash_begin(struct minhash *out, struct minhasher *hasher)
{
    ASSERT(out && hasher);
    gram_begin(&hasher->gram, SHINGLE_WORDS);
    memset(out->number, 0xFF, sizeof out->number);
    out->shingles = 0;
    hasher->held = 0;
}

status minhash_add(struct minhash *minhash, struct minhasher *hasher,
                   const struct words_piece *exact, struct error *error)
{
    ASSERT(minhash && hasher && exact && (exact->hash || !exact->normal.len) && error);
    if (exact->numbers)
        return add_text(minhash, hasher, exact->text, error);
    add_words(minhash, hasher, exact);
    return OK;
}

void minhash_end(struct minhash *minhash, struct minhasher *hasher)
{
    if (hasher->gram.seen > 0 && hasher->gram.seen < SHINGLE_WORDS)
        add_shingle(minhash, hasher, gram_mix(hasher->gram.sum));
    minhash_update(minhash->number, &hasher->family, hasher->shingle, hasher->held);
}

status minhash_of(struct minhash *out, struct minhasher *hasher, struct view text,
                  struct error *error)
{
    ASSERT(out && hasher && error);
    minhash_begin(out, hasher);
    TRY(add_text(out, hasher, text, error));
    minhash_end(out, hasher);
    return OK;
}

double minhash_likeness(const struct minhash *a, const struct minhash *b)
{
    size_t equal = 0;
    for (size_t i = 0; i < MINHASH_NUMBERS; i++)
        equal += a->number[i] == b->number[i];
    return a->shingles && b->shingles ? (double)equal / MINHASH_NUMBERS : 0;
}

void minhash_keys(uint64_t out[MINHASH_BANDS], const struct minhash *minhash)
{
    for (size_t band = 0; band < MINHASH_BANDS; band++) {
        const uint32_t *number = minhash->number + band * MINHASH_ROWS;
        uint64_t hash = WORD_SEED + band;
        for (size_t row = 0; row < MINHASH_ROWS; row += 2) {
            hash = (hash ^ (number[row] | (uint64_t)number[row + 1] << 32)) * WORD_FACTOR;
            hash ^= hash >> 32;
        }
        out[band] = hash;
    }
}
