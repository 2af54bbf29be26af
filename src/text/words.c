#include "text/words.h"

#include <string.h>

#include "text/unicode.h"
#include "text/words_internal.h"

enum {
    PIECE_BYTES = 4 << 10,
    BLOCK = 64,       /* a bit of a number for each byte */
    AT_ONCE = 4,      /* places written */
    SHORT_BYTES = 31, /* words up to this length are read without branches */
};

/* ---- hashes ---- */

static uint64_t little_endian(uint64_t number)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    number = __builtin_bswap64(number);
#endif
    return number;
}

static uint64_t load(const char *at)
{
    uint64_t number;
    memcpy(&number, at, sizeof number);
    return little_endian(number);
}

static uint64_t hash_step(uint64_t hash, uint64_t number)
{
    hash = (hash ^ number) * WORD_FACTOR;
    return hash ^ hash >> 32;
}

uint64_t word_hash(struct view word)
{
    uint64_t hash = WORD_SEED;
    for (size_t at = 0; at <= word.len; at += 8) {
        char bytes[8] = {0};
        if (word.len > at)
            memcpy(bytes, word.data + at, word.len - at < 8 ? word.len - at : 8);
        hash = hash_step(hash, load(bytes));
    }
    return hash;
}

/* The same of up to SHORT_BYTES bytes, behind which others can be read: how long words are can't be
 * foretold, so four steps are made always, and one of their results is taken. */
static uint64_t short_hash(const char *at, size_t len)
{
    uint64_t hash[4], last = len >> 3, kept = ((uint64_t)1 << 8 * (len & 7)) - 1;
    hash[0] = hash_step(WORD_SEED, load(at) & (kept | -(uint64_t)(last > 0)));
    hash[1] = hash_step(hash[0], load(at + 8) & (kept | -(uint64_t)(last > 1)));
    hash[2] = hash_step(hash[1], load(at + 16) & (kept | -(uint64_t)(last > 2)));
    hash[3] = hash_step(hash[2], load(at + 24) & kept);
    return hash[last];
}

/* ---- words in loose form ---- */

/* Places of what the loose form holds. */
struct place {
    const char *begin, *end;
};

static inline uint64_t lowest_bits(uint64_t eight_bytes)
{
    return (eight_bytes * UINT64_C(0x0102040810204080)) >> 56;
}

typedef uint8_t lanes __attribute__((vector_size(BLOCK / 2)));

/* A block, or a condition for each of its bytes: all ones or zeros. */
struct block {
    lanes half[2];
};

/* Bit i: is the condition for byte i true? */
static inline uint64_t bits_of(const struct block *condition)
{
    uint64_t bits = 0;
    for (size_t h = 0; h < 2; h++) {
        uint64_t part[BLOCK / 2 / 8];
        lanes ones = condition->half[h] & 1;
        memcpy(part, &ones, sizeof part);
        for (size_t i = 0; i < BLOCK / 2 / 8; i++)
            bits |= lowest_bits(little_endian(part[i])) << (BLOCK / 2 * h + 8 * i);
    }
    return bits;
}

static inline bool any(const struct block *condition)
{
    uint64_t part[BLOCK / 2 / 8], found = 0;
    lanes either = condition->half[0] | condition->half[1];
    memcpy(part, &either, sizeof part);
    for (size_t i = 0; i < BLOCK / 2 / 8; i++)
        found |= part[i];
    return found;
}

struct finding {
    struct place *places; /* what stands behind both counts is yet to come */
    size_t begun, ended;
    uint64_t inside; /* 1: the last byte belonged to a word */
};

/* How many bits stand up to and with the lowest one of `bit`. */
static inline size_t count_to(uint64_t bits, uint64_t bit)
{
    return (size_t)__builtin_popcountll(bits & (bit ^ (bit - 1)));
}

/* Appends `index` unless it is the last already. */
static status append_new(struct buffer *out, size_t index, struct error *error)
{
    size_t count = out->len / sizeof index;
    if (count && ((const size_t *)(const void *)out->data)[count - 1] == index)
        return OK;
    return buffer_append(out, &index, sizeof index, error);
}

static status note_lines(struct words *words, uint64_t newlines, uint64_t ends, size_t ended,
                         struct error *error)
{
    for (; newlines; newlines &= newlines - 1)
        TRY(append_new(&words->line_ends, ended + count_to(ends, newlines), error));
    return OK;
}

static status note_numbers(struct words *words, uint64_t digits, uint64_t begins, size_t begun,
                           struct error *error)
{
    for (digits &= ~(digits << 1); digits; digits &= digits - 1)
        TRY(append_new(&words->with_numbers, begun + count_to(begins, digits) - 1, error));
    return OK;
}

static inline void write_places(struct finding *finding, const char *at, uint64_t begins,
                                uint64_t ends)
{
    const uint64_t top = (uint64_t)1 << 63; /* with it there is always a lowest bit */
    size_t begun = (size_t)__builtin_popcountll(begins);
    size_t ended = (size_t)__builtin_popcountll(ends), most = begun > ended ? begun : ended;
    struct place *to_begin = finding->places + finding->begun;
    struct place *to_end = finding->places + finding->ended;
    for (size_t done = 0; done < most; done += AT_ONCE)
        for (size_t i = done; i < done + AT_ONCE; i++) {
            to_begin[i].begin = at + __builtin_ctzll(begins | top);
            to_end[i].end = at + __builtin_ctzll(ends | top);
            begins &= begins - 1;
            ends &= ends - 1;
        }
    finding->begun += begun;
    finding->ended += ended;
}

static inline status find_in_block(struct finding *finding, struct words *words, const char *at,
                                   struct error *error)
{
    struct block newline, digit, letter;
    for (size_t h = 0; h < 2; h++) {
        lanes bytes;
        memcpy(&bytes, at + BLOCK / 2 * h, sizeof bytes);
        newline.half[h] = (lanes)(bytes == (lanes){0} + '\n');
        digit.half[h] = (lanes)(bytes - '0' < (lanes){0} + 10);
        letter.half[h] = (lanes)(bytes > (lanes){0} + WORD_SEPARATOR); /* or digit */
    }
    uint64_t word = bits_of(&letter), before = word << 1 | finding->inside;
    uint64_t begins = word & ~before, ends = ~word & before;
    if (any(&newline))
        TRY(note_lines(words, bits_of(&newline), ends, finding->ended, error));
    if (any(&digit))
        TRY(note_numbers(words, bits_of(&digit), begins, finding->begun, error));
    write_places(finding, at, begins, ends);
    finding->inside = word >> 63;
    return OK;
}

/* Room for the words of another block. */
static inline status make_room(struct finding *finding, struct words *words, struct error *error)
{
    words->places.len = finding->begun * sizeof(struct place);
    TRY(buffer_reserve(&words->places, (BLOCK / 2 + AT_ONCE) * sizeof(struct place), error));
    finding->places = (struct place *)(void *)words->places.data;
    return OK;
}

static status find_words(struct finding *out, struct words *words, struct view loose,
                         struct error *error)
{
    *out = (struct finding){0};
    buffer_clear(&words->line_ends);
    buffer_clear(&words->with_numbers);
    if (words->line_ended)
        TRY(append_new(&words->line_ends, 0, error));
    for (size_t at = 0; at <= loose.len; at += BLOCK) {
        TRY(make_room(out, words, error));
        TRY(find_in_block(out, words, loose.data + at, error));
    }
    ASSERT(out->begun == out->ended);
    return OK;
}

/* ---- pieces ---- */

void words_open(struct words *out)
{
    ASSERT(out);
    *out = (struct words){0};
    struct buffer *buffers[] = {&out->loose,  &out->places,    &out->normal,       &out->hashes,
                                &out->folded, &out->line_ends, &out->with_numbers, &out->scratch};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        buffer_create(buffers[i], SIZE_MAX / 4);
}

void words_close(struct words *words)
{
    struct buffer *buffers[] = {&words->loose,        &words->places, &words->normal,
                                &words->hashes,       &words->folded, &words->line_ends,
                                &words->with_numbers, &words->scratch};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        buffer_destroy(buffers[i]);
}

void words_begin(struct words *words, struct view text)
{
    ASSERT(words && (text.data || !text.len));
    words->rest = text;
    words->passed = words->count = 0;
    words->line_ended = false;
    memset(words->exact, 0, sizeof words->exact);
    memset(words->fold, 0, sizeof words->fold);
}

static bool is_separator(char byte)
{
    unsigned char c = (unsigned char)byte, lower = c | 0x20;
    return c < 0x80 && !(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9');
}

/* Takes a piece off the rest: it ends after a separator that is one byte. */
static struct view take_piece(struct view *rest)
{
    size_t len = rest->len < PIECE_BYTES ? rest->len : PIECE_BYTES;
    if (len < rest->len) {
        while (len > 0 && !is_separator(rest->data[len - 1]))
            len--;
        if (len == 0)
            for (len = PIECE_BYTES; len < rest->len && !is_separator(rest->data[len - 1]);)
                len++;
    }
    struct view piece = {rest->data, len};
    rest->data += len;
    rest->len -= len;
    return piece;
}

/* A word's bytes with a space behind them; short ones with more than that. */
static inline uint64_t write_word(char **to, const struct place *place)
{
    const char *begin = place->begin;
    size_t len = (size_t)(place->end - begin);
    uint64_t hash;
    if (len <= SHORT_BYTES) {
        hash = short_hash(begin, len);
        memcpy(*to, begin, SHORT_BYTES + 1);
    } else {
        hash = word_hash((struct view){begin, len});
        memcpy(*to, begin, len);
    }
    (*to)[len] = WORD_SEPARATOR;
    *to += len + 1;
    return hash;
}

/* The normal form and the hashes, with those before. */
static status write_words(struct words_piece *out, struct words *words,
                          const struct finding *finding, size_t loose_len, struct error *error)
{
    size_t count = finding->ended;
    buffer_clear(&words->normal);
    buffer_clear(&words->hashes);
    TRY(buffer_reserve(&words->normal, loose_len + 1 + SHORT_BYTES + 1, error));
    TRY(buffer_reserve(&words->hashes, (WORDS_BEFORE + count) * sizeof(uint64_t), error));
    char *to = words->normal.data;
    uint64_t *hash = (uint64_t *)(void *)words->hashes.data;
    memcpy(hash, words->exact, sizeof words->exact);
    hash += WORDS_BEFORE;
    for (size_t i = 0; i < count; i++)
        hash[i] = write_word(&to, &finding->places[i]);
    memcpy(words->exact, hash + count - WORDS_BEFORE, sizeof words->exact);
    out->hash = hash;
    out->normal = (struct view){words->normal.data, (size_t)(to - words->normal.data)};
    out->count = count;
    return OK;
}

/* ---- folded words ---- */

/* The hash of a word in normal form with every stretch of numbers as one 0. */
static status folded_hash(uint64_t *out, struct buffer *scratch, const struct place *place,
                          struct error *error)
{
    const char *begin = place->begin, *end = place->end;
    size_t len = 0;
    bool zero = false;
    buffer_clear(scratch);
    TRY(buffer_reserve(scratch, (size_t)(end - begin), error));
    while (begin < end) {
        uint32_t c;
        size_t taken = utf8_decode(&c, begin, (size_t)(end - begin));
        bool number = unicode_kind(c) == UNICODE_NUMBER;
        if (!number) {
            memcpy(scratch->data + len, begin, taken);
            len += taken;
        } else if (!zero)
            scratch->data[len++] = '0';
        zero = number;
        begin += taken;
    }
    *out = word_hash((struct view){scratch->data, len});
    return OK;
}

/* Where no word was folded lately, both kinds of hashes are the same. */
static status fold_words(struct words_piece *out, struct words *words,
                         const struct finding *finding, bool other_numbers, struct error *error)
{
    const size_t *list = (const size_t *)(const void *)words->with_numbers.data;
    size_t count = other_numbers ? out->count : words->with_numbers.len / sizeof *list;
    size_t bytes = (WORDS_BEFORE + out->count) * sizeof(uint64_t);
    const uint64_t *before = out->hash - WORDS_BEFORE;
    out->folded = out->hash;
    if (count || memcmp(words->fold, before, sizeof words->fold) != 0) {
        buffer_clear(&words->folded);
        TRY(buffer_reserve(&words->folded, bytes, error));
        memcpy(words->folded.data, before, bytes);
        memcpy(words->folded.data, words->fold, sizeof words->fold);
        uint64_t *folded = (uint64_t *)(void *)words->folded.data + WORDS_BEFORE;
        for (size_t i = 0; i < count; i++) {
            size_t word = other_numbers ? i : list[i];
            TRY(folded_hash(&folded[word], &words->scratch, &finding->places[word], error));
        }
        out->folded = folded;
    }
    memcpy(words->fold, out->folded + out->count - WORDS_BEFORE, sizeof words->fold);
    return OK;
}

static status read_piece(struct words_piece *out, struct words *words, struct view piece,
                         struct error *error)
{
    struct finding finding;
    bool other_numbers;
    buffer_clear(&words->loose);
    TRY(buffer_reserve(&words->loose, words_loose_bytes_max(piece.len), error));
    struct view loose = {words->loose.data, 0};
    loose.len = words_loosen(words->loose.data, &other_numbers, piece);
    TRY(find_words(&finding, words, loose, error));
    words->line_ended = words->line_ends.len > 0;
    if (finding.ended == 0)
        return OK;
    words->line_ended = false;
    TRY(write_words(out, words, &finding, loose.len, error));
    TRY(fold_words(out, words, &finding, other_numbers, error));
    out->line_ends = (const size_t *)(const void *)words->line_ends.data;
    out->line_count = words->line_ends.len / sizeof *out->line_ends;
    return OK;
}

status words_read(struct words_piece *out, struct words *words, struct error *error)
{
    ASSERT(out && words && error);
    words->passed += words->count;
    *out = (struct words_piece){.normal = {"", 0}, .before = words->passed};
    while (words->rest.len && !out->count)
        TRY(read_piece(out, words, take_piece(&words->rest), error));
    words->count = out->count;
    return OK;
}

/* ---- words in a row ---- */

static uint64_t power_of(size_t n)
{
    uint64_t power = 1;
    for (size_t i = 0; i < n; i++)
        power *= GRAM_FACTOR;
    return power;
}

void grams_of(uint64_t *out, size_t n, const uint64_t *hash, size_t count)
{
    ASSERT(n >= 1 && n <= GRAM_WORDS_MAX && (count == 0 || (out && hash)));
    uint64_t power = power_of(n), sum = 0;
    for (size_t i = 0; count && i < n; i++)
        sum = sum * GRAM_FACTOR + *(hash - n + i);
    for (size_t i = 0; i < count; i++) {
        sum = sum * GRAM_FACTOR + (hash[i] - *(hash + i - n) * power);
        out[i] = gram_mix(sum);
    }
}

void gram_begin(struct gram *out, size_t n)
{
    ASSERT(out && n >= 1 && n <= GRAM_WORDS_MAX);
    *out = (struct gram){.n = (uint32_t)n, .power = power_of(n)};
}

/* ---- places ---- */

bool words_next_place(struct view *out, struct view text, size_t *at)
{
    ASSERT(out && at && *at <= text.len);
    size_t begin = 0, end = 0;
    bool inside = false;
    while (*at < text.len) {
        uint32_t c;
        size_t taken = utf8_decode(&c, text.data + *at, text.len - *at);
        c = words_code_point(c);
        if (c == WORD_SEPARATOR && inside)
            break;
        if (c != WORD_SEPARATOR && c != WORD_NOTHING) {
            begin = inside ? begin : *at;
            end = *at + taken;
            inside = true;
        }
        *at += taken;
    }
    *out = (struct view){text.data + begin, end - begin};
    return inside;
}
