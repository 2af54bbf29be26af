/* UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing above U+10FFFF.  Not for the
 * properties of characters: text/unicode.h.  Views are borrowed; no state, any thread. */
#ifndef RODNIK_TEXT_UTF8_H
#define RODNIK_TEXT_UTF8_H

#include "base/buffer.h"
#include "base/string.h"

enum {
    UTF8_BYTES_MAX = 4,
    UNICODE_MAX = 0x10FFFF,
    UTF8_REPLACEMENT = 0xFFFD /* stands for bytes that are no UTF-8 */
};
#define UTF8_BAD UINT32_MAX

bool utf8_valid(struct view text);

/* Whether the next eight bytes are eight ASCII characters (1), four of U+0400 to U+047F (2), the
 * two runs that most text is made of, or anything else (0): what loops may skip at once. */
int utf8_plain_eight(const char *at);

/* Whether the next UTF8_BLOCK bytes go on as valid UTF-8 after the two bytes before them, which
 * must be there: a character may reach into the block and another out of it.  False does not say
 * that the text is bad: rare characters are not looked into. */
enum { UTF8_BLOCK = 64 };
bool utf8_block_fits(const char *block);

/* Reads the code point at `at` (len >= 1 bytes left) and returns how many bytes it took, 1 to 4.
 * On bad bytes *out is UTF8_BAD and the result is the length of the maximal subpart that could have
 * begun a character (Unicode 15, section 3.9, "U+FFFD Substitution of Maximal Subparts"). */
size_t utf8_decode(uint32_t *out, const char *at, size_t len);

/* Writes a code point (a scalar value: not a surrogate, at most UNICODE_MAX); returns its bytes. */
size_t utf8_encode(char out[UTF8_BYTES_MAX], uint32_t code_point);

/* Appends the text with every maximal bad subpart replaced by U+FFFD. */
MUST_USE status utf8_lossy(struct buffer *out, struct view text, struct error *error);

/* Code points in valid text; in other text the bytes that are not continuation bytes. */
size_t utf8_count(struct view text);

/* The last position <= `at` that does not lie inside a character of `text`; at most text.len. */
size_t utf8_floor(struct view text, size_t at);

#endif
