#include "text/utf8.h"

#include <string.h>

/* Masks and patterns are written in memory order, so that the byte order of the machine does not
 * matter. */
static bool eight_match(const char *at, const unsigned char mask[8], const unsigned char want[8])
{
    uint64_t bytes, mask_word, want_word;
    memcpy(&bytes, at, 8);
    memcpy(&mask_word, mask, 8);
    memcpy(&want_word, want, 8);
    return (bytes & mask_word) == want_word;
}

int utf8_plain_eight(const char *at)
{
    static const unsigned char high[8] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};
    static const unsigned char zero[8] = {0};
    static const unsigned char mask[8] = {0xFE, 0xC0, 0xFE, 0xC0, 0xFE, 0xC0, 0xFE, 0xC0};
    static const unsigned char want[8] = {0xD0, 0x80, 0xD0, 0x80, 0xD0, 0x80, 0xD0, 0x80};
    if (eight_match(at, high, zero))
        return 1;
    return eight_match(at, mask, want) ? 2 : 0;
}

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

bool utf8_block_fits(const char *block)
{
    const unsigned char *at = (const unsigned char *)block;
    uint8_t wrong = 0;
    for (ptrdiff_t i = 0; i < UTF8_BLOCK; i++) { /* it looks back */
        unsigned char here = at[i], one = at[i - 1], two = at[i - 2];
        uint8_t next = (here & 0xC0) == 0x80;
        uint8_t wanted = (one >= 0xC2) | (two >= 0xE0);
        /* whose second byte has a range of its own, what has four bytes, what nothing has */
        uint8_t rare = ((here & 0xFE) == 0xC0) | (here == 0xE0) | (here == 0xED) | (here >= 0xF0);
        wrong |= (next ^ wanted) | rare;
    }
    return !wrong;
}

/* Reads characters from *at on up to `end` or beyond it; false at bad bytes. */
static bool valid_up_to(size_t *at, struct view text, size_t end)
{
    while (*at < end) {
        uint32_t code_point;
        *at += utf8_decode(&code_point, text.data + *at, text.len - *at);
        if (code_point == UTF8_BAD)
            return false;
    }
    return true;
}

/* Where the last character before `at`, which is not 0, begins: it may go on after it. */
static size_t last_start(struct view text, size_t at)
{
    at--;
    while (at > 0 && is_continuation(text.data[at]))
        at--;
    return at;
}

bool utf8_valid(struct view text)
{
    enum { BEFORE = 2 }; /* bytes that blocks look back */
    size_t at = 0;
    if (!valid_up_to(&at, text, text.len < BEFORE ? text.len : BEFORE))
        return false;
    while (text.len - at >= UTF8_BLOCK) {
        if (utf8_block_fits(text.data + at)) {
            at += UTF8_BLOCK;
            continue;
        }
        size_t end = at + UTF8_BLOCK;
        at = last_start(text, at);
        if (!valid_up_to(&at, text, end))
            return false;
    }
    at = at ? last_start(text, at) : 0;
    return valid_up_to(&at, text, text.len);
}

/* Table 3-7 of the Unicode standard: what may follow a lead byte, as the range of the second byte.
 */
struct lead {
    uint8_t bytes, second_min, second_max;
};

static struct lead lead_of(unsigned char byte)
{
    if (byte < 0x80)
        return (struct lead){1, 0, 0};
    if (byte < 0xC2 || byte > 0xF4)
        return (struct lead){0, 0, 0};
    if (byte < 0xE0)
        return (struct lead){2, 0x80, 0xBF};
    if (byte < 0xF0)
        return (struct lead){3, byte == 0xE0 ? 0xA0 : 0x80, byte == 0xED ? 0x9F : 0xBF};
    return (struct lead){4, byte == 0xF0 ? 0x90 : 0x80, byte == 0xF4 ? 0x8F : 0xBF};
}

size_t utf8_decode(uint32_t *out, const char *at, size_t len)
{
    ASSERT(out && at && len > 0);
    unsigned char first = (unsigned char)at[0];
    if (first < 0x80) {
        *out = first;
        return 1;
    }
    *out = UTF8_BAD;
    struct lead lead = lead_of(first);
    if (lead.bytes == 0 || len < 2)
        return 1;
    unsigned char second = (unsigned char)at[1];
    if (second < lead.second_min || second > lead.second_max)
        return 1;
    uint32_t code_point = first & (0x7Fu >> lead.bytes);
    code_point = code_point << 6 | (second & 0x3Fu);
    for (size_t i = 2; i < lead.bytes; i++) {
        if (i >= len || !is_continuation(at[i]))
            return i;
        code_point = code_point << 6 | ((unsigned char)at[i] & 0x3Fu);
    }
    *out = code_point;
    return lead.bytes;
}

size_t utf8_encode(char out[UTF8_BYTES_MAX], uint32_t code_point)
{
    ASSERT(out && code_point <= UNICODE_MAX && (code_point < 0xD800 || code_point > 0xDFFF));
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    size_t bytes = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = bytes - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code_point & 0x3F));
        code_point >>= 6;
    }
    out[0] = (char)((0xF00u >> bytes & 0xFF) | code_point);
    return bytes;
}

status utf8_lossy(struct buffer *out, struct view text, struct error *error)
{
    ASSERT(out && error && (text.data || text.len == 0));
    size_t good_from = 0, at = 0;
    while (at < text.len) {
        uint32_t code_point;
        size_t taken = utf8_decode(&code_point, text.data + at, text.len - at);
        if (code_point == UTF8_BAD) {
            TRY(buffer_append(out, text.data + good_from, at - good_from, error));
            TRY(buffer_append(out, "\xEF\xBF\xBD", 3, error));
            good_from = at + taken;
        }
        at += taken;
    }
    return buffer_append(out, text.data + good_from, at - good_from, error);
}

size_t utf8_count(struct view text)
{
    enum { BLOCK = 128 }; /* counted in a byte, so that vectors hold as many as can be */
    size_t count = 0, at = 0;
    for (; text.len - at >= BLOCK; at += BLOCK) {
        uint8_t some = 0;
        for (size_t i = 0; i < BLOCK; i++)
            some = (uint8_t)(some + !is_continuation(text.data[at + i]));
        count += some;
    }
    for (; at < text.len; at++)
        count += !is_continuation(text.data[at]);
    return count;
}

size_t utf8_floor(struct view text, size_t at)
{
    if (at >= text.len)
        return text.len;
    if (!is_continuation(text.data[at]))
        return at;
    for (size_t back = 1; back < UTF8_BYTES_MAX && back <= at; back++) {
        size_t from = at - back;
        if (is_continuation(text.data[from]))
            continue;
        uint32_t code_point;
        size_t taken = utf8_decode(&code_point, text.data + from, text.len - from);
        return code_point != UTF8_BAD && taken > back ? from : at;
    }
    return at;
}
