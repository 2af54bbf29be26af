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
    words_open(&out->words);
    buffer_create(&out->fives, SIZE_MAX / 4);
}

void minhasher_close(struct minhasher *hasher)
{
    words_close(&hasher->words);
    buffer_destroy(&hasher->fives);
}

enum { AT_ONCE = 16 };
_Static_assert(MINHASH_NUMBERS % AT_ONCE == 0, "no number is left over");

/* Compilers make vectors of the inner loop and keep `least` in registers; being integers, the
 * result is the same with any. */
void minhash_update(uint32_t number[MINHASH_NUMBERS], const struct minhash_family *family,
                    const uint32_t *shingle, size_t count)
{
    for (size_t i = 0; i < MINHASH_NUMBERS; i += AT_ONCE) {
        uint32_t least[AT_ONCE];
        memcpy(least, number + i, sizeof least);
        for (size_t s = 0; s < count; s++)
            for (size_t k = 0; k < AT_ONCE; k++) {
                uint32_t value = family->factor[i + k] * shingle[s] + family->addend[i + k];
                least[k] = value < least[k] ? value : least[k];
            }
        memcpy(number + i, least, sizeof least);
    }
}

void minhash_begin(struct minhash *out, struct minhasher *hasher)
{
    ASSERT(out && hasher);
    memset(out->number, 0xFF, sizeof out->number);
    out->shingles = 0;
    hasher->words_seen = 0;
}

void minhash_add(struct minhash *minhash, struct minhasher *hasher, const struct words_piece *words,
                 const uint64_t *folded_fives)
{
    ASSERT(minhash && hasher && words && (folded_fives || !words->count));
    size_t first = words->before < SHINGLE_WORDS - 1 ? SHINGLE_WORDS - 1 - words->before : 0;
    hasher->words_seen = words->before + words->count;
    if (hasher->words_seen < SHINGLE_WORDS && words->count)
        hasher->few = folded_fives[words->count - 1];
    for (size_t count; first < words->count; first += count) {
        count = words->count - first < MINHASH_BLOCK ? words->count - first : MINHASH_BLOCK;
        for (size_t i = 0; i < count; i++)
            hasher->shingle[i] = (uint32_t)(folded_fives[first + i] >> 32);
        minhash_update(minhash->number, &hasher->family, hasher->shingle, count);
        minhash->shingles += count;
    }
}

void minhash_end(struct minhash *minhash, struct minhasher *hasher)
{
    if (minhash->shingles || !hasher->words_seen)
        return;
    uint32_t shingle = (uint32_t)(hasher->few >> 32);
    minhash_update(minhash->number, &hasher->family, &shingle, 1);
    minhash->shingles = 1;
}

status minhash_of(struct minhash *out, struct minhasher *hasher, struct view text,
                  struct error *error)
{
    ASSERT(out && hasher && error);
    struct words_piece piece;
    minhash_begin(out, hasher);
    words_begin(&hasher->words, text);
    for (;;) {
        TRY(words_read(&piece, &hasher->words, error));
        if (piece.count == 0)
            break;
        buffer_clear(&hasher->fives);
        TRY(buffer_reserve(&hasher->fives, piece.count * sizeof(uint64_t), error));
        uint64_t *fives = (uint64_t *)(void *)hasher->fives.data;
        grams_of(fives, SHINGLE_WORDS, piece.folded, piece.count);
        minhash_add(out, hasher, &piece, fives);
    }
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
