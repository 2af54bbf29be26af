/* Text in blocks of 32 bytes: what most text is made of (ASCII, Cyrillic, Latin-1, quotes, dashes)
 * becomes normal in place, byte by byte, without a branch for each; the rest character by
 * character. */
#include "text/words_internal.h"

#include <string.h>

#include "text/unicode.h"

static bool is_invisible(uint32_t c)
{
    return c == 0xAD || (c >= 0x200B && c <= 0x200D) || c == 0x2060 || c == 0xFEFF;
}

uint32_t words_code_point(uint32_t c)
{
    if (c == UTF8_BAD)
        return WORD_SEPARATOR;
    switch (unicode_kind(c)) {
    case UNICODE_LETTER:
        c = unicode_to_lower(c);
        return c == 0x451 ? 0x435 : c;
    case UNICODE_NUMBER:
        return c;
    case UNICODE_MARK:
        return WORD_NOTHING;
    default:
        return is_invisible(c) ? WORD_NOTHING : WORD_SEPARATOR;
    }
}

/* ---- blocks ---- */

enum { BLOCK = 32, REACH = 2 }; /* so many bytes before and after one decide what it becomes */

typedef uint8_t lanes __attribute__((vector_size(BLOCK)));

static inline lanes load(const unsigned char *at)
{
    lanes bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

static inline bool any(lanes bytes)
{
    uint64_t part[BLOCK / 8];
    memcpy(part, &bytes, sizeof bytes);
    return part[0] | part[1] | part[2] | part[3];
}

static inline size_t first_of(lanes bytes)
{
    uint8_t byte[BLOCK];
    size_t i = 0;
    memcpy(byte, &bytes, sizeof bytes);
    while (i < BLOCK && !byte[i])
        i++;
    return i;
}

/* Conditions are lanes of all ones or zeros. */
static inline lanes choose(lanes condition, lanes yes, lanes no)
{
    return (yes & condition) | (no & ~condition);
}

static inline lanes within(lanes bytes, uint8_t first, uint8_t last)
{
    return (lanes)(bytes - first <= (lanes){0} + (uint8_t)(last - first));
}

static inline lanes equal(lanes bytes, uint8_t byte)
{
    return (lanes)(bytes == (lanes){0} + byte);
}

static inline lanes all(uint8_t byte)
{
    return (lanes){0} + byte;
}

static inline lanes is_continuation(lanes bytes)
{
    return equal(bytes & 0xC0, 0x80);
}

static inline lanes map_ascii(lanes here)
{
    lanes lower = here | 0x20, letter = within(lower, 'a', 'z');
    lanes kept = within(here, '0', '9') | equal(here, '\n');
    return choose(letter, lower, choose(kept, here, all(WORD_SEPARATOR)));
}

/* U+0400 to U+047F, all of them letters: D0 80 to D1 BF.  Capitals: D0 80 to 8F become D1 90 to 9F,
 * D0 90 to 9F D0 B0 to BF, D0 A0 to AF D1 80 to 8F, even ones from D1 A0 on the next one. */
static inline lanes cyrillic_first(lanes here, lanes next)
{
    lanes to_d1 = within(next, 0x80, 0x8F) | within(next, 0xA0, 0xAF);
    lanes d1 = choose(equal(here, 0xD1), ~equal(next, 0x91), to_d1 & ~equal(next, 0x81));
    return (d1 & 1) | 0xD0;
}

static inline lanes cyrillic_second(lanes before, lanes here)
{
    lanes d1 = equal(before, 0xD1);
    lanes add = (within(here, 0x80, 0x8F) & 0x10) | (within(here, 0x90, 0x9F) & 0x20) |
                (within(here, 0xA0, 0xAF) & 0xE0);
    lanes mapped = choose(d1, here | (within(here, 0xA0, 0xBF) & 1), here + add);
    lanes yo = choose(d1, equal(here, 0x91), equal(here, 0x81));
    return choose(yo, all(0xB5), mapped);
}

/* What begins with C2, C3, D2 or D3, in its first and its second byte.  A block knows those. */
struct pairs {
    lanes separator, letter; /* conditions */
    lanes second;            /* what the second byte of a letter becomes */
};

static inline struct pairs map_pairs(lanes first, lanes second)
{
    lanes c2 = equal(first, 0xC2), c3 = equal(first, 0xC3);
    lanes continues = is_continuation(second);
    lanes sign = equal(second, 0x97) | equal(second, 0xB7); /* × and ÷ */
    lanes symbol = (within(second, 0xA0, 0xB1) & ~equal(second, 0xAA) & ~equal(second, 0xAD)) |
                   equal(second, 0xBB);
    lanes pair = (equal(first, 0xD2) & within(second, 0x8A, 0xBF)) |
                 (equal(first, 0xD3) & within(second, 0x90, 0xBF));
    lanes latin = c3 & continues & ~sign;
    return (struct pairs){
        .separator = (c2 & symbol) | (c3 & sign),
        .letter = latin | pair,
        .second = second | (latin & within(second, 0x80, 0x9E) & 0x20) | (pair & 1),
    };
}

/* E2 80: U+2000 to U+203F but for those that stand for nothing: spaces, dashes, quotes. */
static inline lanes is_punctuation(lanes first, lanes second, lanes third)
{
    return equal(first, 0xE2) & equal(second, 0x80) & is_continuation(third) &
           ~within(third, 0x8B, 0x8D);
}

/* The rest of a block of which `odd` bytes remain; returns those that still do. */
static inline lanes map_more(lanes *out, lanes odd, const unsigned char *at)
{
    lanes here = load(at), before = load(at - 1), next = load(at + 1);
    struct pairs first = map_pairs(here, next), second = map_pairs(before, here);
    lanes separator =
        first.separator | second.separator | is_punctuation(here, next, load(at + 2)) |
        is_punctuation(before, here, next) | is_punctuation(load(at - 2), before, here);
    *out = choose(odd & separator, all(WORD_SEPARATOR), *out);
    *out = choose(odd & first.letter, here, *out);
    *out = choose(odd & second.letter, second.second, *out);
    return odd & ~(separator | first.letter | second.letter);
}

/* Writes BLOCK bytes; returns how many of them count: those before the first that is none of the
 * above.  REACH bytes on both sides are read, and BLOCK. */
static inline size_t map_block(char *to, const unsigned char *at)
{
    lanes here = load(at), out = map_ascii(here), high = here & 0x80;
    size_t good = BLOCK;
    if (any(high)) {
        lanes before = load(at - 1), next = load(at + 1);
        lanes first = equal(here & 0xFE, 0xD0) & is_continuation(next);
        lanes second = equal(before & 0xFE, 0xD0) & is_continuation(here);
        lanes odd = (lanes)(here >= all(0x80)) & ~(first | second);
        out = choose(first, cyrillic_first(here, next), out);
        out = choose(second, cyrillic_second(before, here), out);
        if (any(odd)) {
            odd = map_more(&out, odd, at);
            good = any(odd) ? first_of(odd) : BLOCK;
        }
    }
    memcpy(to, &out, sizeof out);
    return good;
}

/* The same near the ends of the text, behind which nothing may be read. */
static size_t map_edge(char *to, const unsigned char *at, struct view text)
{
    unsigned char around[REACH + BLOCK + REACH];
    size_t before = (size_t)((const char *)at - text.data), left = text.len - before;
    size_t reach = before < REACH ? before : REACH;
    size_t ahead = left < BLOCK + REACH ? left : BLOCK + REACH;
    memset(around, WORD_SEPARATOR, sizeof around);
    memcpy(around + REACH - reach, at - reach, reach + ahead);
    size_t good = map_block(to, around + REACH);
    return good < left ? good : left;
}

/* ---- character by character ---- */

/* Blocks know what begins so. */
static bool is_common(unsigned char first)
{
    return first < 0x80 || (first & 0xFE) == 0xC2 || (first & 0xFC) == 0xD0 || first == 0xE2;
}

/* The character at `at`, and what follows that blocks don't know either; returns what it took. */
static size_t map_rare(char **to, bool *numbers, const unsigned char *at, size_t len)
{
    size_t taken = 0;
    do {
        uint32_t c;
        taken += utf8_decode(&c, (const char *)at + taken, len - taken);
        *numbers |= c != UTF8_BAD && unicode_kind(c) == UNICODE_NUMBER;
        c = words_code_point(c);
        if (c != WORD_NOTHING)
            *to += utf8_encode(*to, c);
    } while (taken < len && !is_common(at[taken]));
    return taken;
}

size_t words_loosen(char *out, bool *numbers, struct view text)
{
    const unsigned char *begin = (const unsigned char *)text.data, *at = begin;
    char *to = out;
    *numbers = false;
    for (size_t left = text.len; left > 0; left = text.len - (size_t)(at - begin)) {
        bool inside = at - begin >= REACH && left >= BLOCK + REACH;
        size_t good = inside ? map_block(to, at) : map_edge(to, at, text);
        at += good;
        to += good;
        if (good < BLOCK && good < left)
            at += map_rare(&to, numbers, at, left - good);
    }
    memset(to, WORD_SEPARATOR, LOOSE_PADDING);
    return (size_t)(to - out);
}
