#include "text/words.h"

#include <string.h>

#include "text/unicode.h"

enum {
    PIECE_BYTES = 8 << 10,
    PADDING_BYTES = 8, /* words are read eight bytes at a time */
    /* A code point of two bytes may become one of three: U+023A. */
    GROWN_NUMERATOR = 3,
    GROWN_DENOMINATOR = 2
};

/* ---- characters ---- */

enum { SEPARATOR = ' ', NOTHING = 0 };

static bool is_invisible(uint32_t c)
{
    return c == 0xAD || (c >= 0x200B && c <= 0x200D) || c == 0x2060 || c == 0xFEFF;
}

/* What a code point becomes: another, SEPARATOR or NOTHING. */
static uint32_t normal_of(uint32_t c, enum words_form form)
{
    if (c == UTF8_BAD)
        return SEPARATOR;
    switch (unicode_kind(c)) {
    case UNICODE_LETTER:
        c = unicode_to_lower(c);
        return c == 0x451 ? 0x435 : c;
    case UNICODE_NUMBER:
        return form == WORDS_NUMBERS_FOLDED ? '0' : c;
    case UNICODE_MARK:
        return NOTHING;
    default:
        return is_invisible(c) ? NOTHING : SEPARATOR;
    }
}

void words_open(struct words *out, enum words_form form)
{
    ASSERT(out);
    *out = (struct words){.form = form};
    buffer_create(&out->normal, SIZE_MAX / 4);
    buffer_create(&out->hashes, SIZE_MAX / 4);
    for (uint32_t c = 0; c < 128; c++) {
        char bytes[UTF8_BYTES_MAX];
        out->ascii[c] = (char)normal_of(c, form);
        size_t len = utf8_encode(bytes, normal_of(0x400 + c, form));
        ASSERT(len == 2 && out->ascii[c] != NOTHING);
        memcpy(out->cyrillic[c], bytes, 2);
    }
}

void words_close(struct words *words)
{
    buffer_destroy(&words->normal);
    buffer_destroy(&words->hashes);
}

void words_begin(struct words *words, struct view text)
{
    ASSERT(words && (text.data || !text.len));
    words->rest = text;
}

/* ---- the normal form ---- */

struct writer {
    char *to;
    unsigned char previous;
    unsigned char collapses; /* bytes up to this one don't stand twice in a row */
    bool numbers;            /* any passed? */
};

static size_t write_other(struct writer *writer, const char *at, size_t len, enum words_form form)
{
    uint32_t c;
    size_t taken = utf8_decode(&c, at, len);
    writer->numbers |= c != UTF8_BAD && unicode_kind(c) == UNICODE_NUMBER;
    c = normal_of(c, form);
    if (c == NOTHING || (c == writer->previous && c <= writer->collapses))
        return taken;
    writer->to += utf8_encode(writer->to, c);
    writer->previous = c < 0x80 ? (unsigned char)c : 0xFF;
    return taken;
}

/* Writes ASCII and common Cyrillic, of which most text is, up to the first other character, and
 * returns where that stands.  Local variables, since a byte written might be one of *writer. */
static const unsigned char *write_common(struct writer *writer, const struct words *words,
                                         const unsigned char *at, const unsigned char *end)
{
    char *to = writer->to;
    unsigned char previous = writer->previous, collapses = writer->collapses;
    while (at < end) {
        if (*at < 0x80) { /* without branches on what stands there */
            unsigned char c = (unsigned char)words->ascii[*at++];
            *to = (char)c;
            to += !((c == previous) & (c <= collapses));
            previous = c;
        } else if ((*at & 0xFE) == 0xD0 && end - at > 1 && (at[1] & 0xC0) == 0x80) {
            memcpy(to, words->cyrillic[(*at & 1) << 6 | (at[1] & 63)], 2);
            to += 2;
            previous = 0xFF;
            at += 2;
        } else
            break;
    }
    writer->to = to;
    writer->previous = previous;
    return at;
}

/* In normal form: no byte of a longer character is a digit. */
static bool has_digit(struct view normal)
{
    unsigned char any = 0;
    for (size_t i = 0; i < normal.len; i++)
        any |= (unsigned char)(normal.data[i] - '0') < 10;
    return any;
}

/* Writes the normal form of the text; returns its end. */
static char *normalise(char *out, struct words *words, struct view text)
{
    const unsigned char *at = (const unsigned char *)text.data, *end = at + text.len;
    struct writer writer = {out, SEPARATOR, words->form == WORDS_EXACT ? ' ' : '0', false};
    while ((at = write_common(&writer, words, at, end)) < end)
        at += write_other(&writer, (const char *)at, (size_t)(end - at), words->form);
    if (writer.previous != SEPARATOR)
        *writer.to++ = SEPARATOR;
    memset(writer.to, SEPARATOR, PADDING_BYTES);
    words->numbers = writer.numbers || has_digit((struct view){out, (size_t)(writer.to - out)});
    return writer.to;
}

/* Takes a piece off the rest: it ends after white space, which no word holds. */
static struct view take_piece(struct view *rest)
{
    size_t len = rest->len < PIECE_BYTES ? rest->len : PIECE_BYTES;
    if (len < rest->len) {
        while (len > 0 && (unsigned char)rest->data[len - 1] > ' ')
            len--;
        if (len == 0)
            for (len = PIECE_BYTES; len < rest->len && (unsigned char)rest->data[len - 1] > ' ';)
                len++;
    }
    struct view piece = {rest->data, len};
    rest->data += len;
    rest->len -= len;
    return piece;
}

status words_read_normal(struct words_piece *out, struct words *words, struct error *error)
{
    ASSERT(out && words && error);
    struct view normal = {"", 0}, piece = words->rest;
    while (words->rest.len && !normal.len) {
        piece = take_piece(&words->rest);
        buffer_clear(&words->normal);
        TRY(buffer_reserve(&words->normal,
                           piece.len / GROWN_DENOMINATOR * GROWN_NUMERATOR + 2 * PADDING_BYTES,
                           error));
        char *end = normalise(words->normal.data, words, piece);
        normal = (struct view){words->normal.data, (size_t)(end - words->normal.data)};
    }
    *out = (struct words_piece){.text = piece, .numbers = words->numbers, .normal = normal};
    return OK;
}

/* ---- hashes ---- */

static uint64_t load(const char *at)
{
    uint64_t number;
    memcpy(&number, at, sizeof number);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    number = __builtin_bswap64(number);
#endif
    return number;
}

static uint64_t hash_step(uint64_t hash, uint64_t number)
{
    hash = (hash ^ number) * WORD_FACTOR;
    return hash ^ hash >> 32;
}

/* The word at *at, which ends before a space; behind that eight bytes can be read. */
static uint64_t take_word(const char **at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), spaces = ones * ' ';
    uint64_t hash = WORD_SEED;
    for (;; *at += 8) {
        uint64_t number = load(*at), other = number ^ spaces;
        uint64_t zero = (other - ones) & ~other & ones << 7; /* the lowest one is exact */
        if (zero) {
            int bits = __builtin_ctzll(zero) & ~7;
            *at += bits / 8 + 1;
            return hash_step(hash, bits ? number & ~UINT64_C(0) >> (64 - bits) : 0);
        }
        hash = hash_step(hash, number);
    }
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

status words_read(struct words_piece *out, struct words *words, struct error *error)
{
    TRY(words_read_normal(out, words, error));
    buffer_clear(&words->hashes);
    TRY(buffer_reserve(&words->hashes, (out->normal.len / 2 + 1) * sizeof(uint64_t), error));
    uint64_t *hash = (uint64_t *)(void *)words->hashes.data;
    const char *at = out->normal.data, *end = at + out->normal.len;
    while (at < end)
        hash[out->count++] = take_word(&at);
    out->hash = hash;
    return OK;
}

void gram_begin(struct gram *out, size_t n)
{
    ASSERT(out && n >= 1 && n <= GRAM_WORDS_MAX);
    *out = (struct gram){.n = (uint32_t)n, .power = 1};
    for (size_t i = 0; i < n; i++)
        out->power *= GRAM_FACTOR;
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
        c = normal_of(c, WORDS_EXACT);
        if (c == SEPARATOR && inside)
            break;
        if (c != SEPARATOR && c != NOTHING) {
            begin = inside ? begin : *at;
            end = *at + taken;
            inside = true;
        }
        *at += taken;
    }
    *out = (struct view){text.data + begin, end - begin};
    return inside;
}
