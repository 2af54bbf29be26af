/* Properties of code points that text work needs, from the Unicode Character Database 15.0 with the
 * ideographs of 15.1, and the canonical composed form (NFC).  The tables are
 * src/text/unicode_tables.c, written by scripts/unicode_tables.py.  Not for locales, collation or
 * full case mapping.  No state, any thread. */
#ifndef RODNIK_TEXT_UNICODE_H
#define RODNIK_TEXT_UNICODE_H

#include "text/utf8.h"

/* General category by its first letter (Z, C: other), except that White_Space goes before it. */
enum unicode_kind {
    UNICODE_OTHER,
    UNICODE_LETTER,
    UNICODE_MARK,
    UNICODE_NUMBER,
    UNICODE_SPACE, /* White_Space: \s of regular expressions, no-break and ideographic included */
    UNICODE_PUNCTUATION,
    UNICODE_SYMBOL
};

/* Of letters only; everything else is SCRIPT_NONE. */
enum unicode_script { SCRIPT_NONE, SCRIPT_CYRILLIC, SCRIPT_LATIN, SCRIPT_OTHER };

/* One byte for every code point, in blocks of 256 of which equal ones are stored once:
 * bits 0-2 kind, 3-4 script, 5 upper case (Lu, Lt), 6 lower case (Ll), 7 not a safe NFC boundary
 * (combining class other than 0, or NFC_Quick_Check other than Yes). */
enum {
    UNICODE_KIND_MASK = 7,
    UNICODE_SCRIPT_SHIFT = 3,
    UNICODE_UPPER = 1 << 5,
    UNICODE_LOWER = 1 << 6,
    UNICODE_COMPOSES = 1 << 7
};
enum { UNICODE_BLOCKS = (UNICODE_MAX + 1) / 256 };
struct unicode_case {
    int32_t lower, upper; /* what to add to the code point */
};
extern const uint8_t unicode_property_block[UNICODE_BLOCKS];
extern const uint8_t unicode_property_bytes[];
extern const uint8_t unicode_case_block[UNICODE_BLOCKS];
extern const uint8_t unicode_case_index[];
extern const struct unicode_case unicode_cases[];

/* code_point <= UNICODE_MAX in all of these. */
static inline uint8_t unicode_properties(uint32_t code_point)
{
    return unicode_property_bytes[unicode_property_block[code_point >> 8] * 256u +
                                  (code_point & 255)];
}

static inline enum unicode_kind unicode_kind(uint32_t code_point)
{
    return (enum unicode_kind)(unicode_properties(code_point) & UNICODE_KIND_MASK);
}

static inline enum unicode_script unicode_script(uint32_t code_point)
{
    return (enum unicode_script)(unicode_properties(code_point) >> UNICODE_SCRIPT_SHIFT & 3);
}

static inline bool unicode_is_upper(uint32_t code_point)
{
    return unicode_properties(code_point) & UNICODE_UPPER;
}

/* Simple case mapping (one code point to one), without locales. */
uint32_t unicode_to_lower(uint32_t code_point);
uint32_t unicode_to_upper(uint32_t code_point);

/* Where valid UTF-8 stops being certainly in NFC: text.len if the whole is. Conservative: what it
 * stops at may still turn out to be in NFC. */
size_t unicode_nfc_prefix(struct view text);

/* Appends the canonical composed form of the text, which costs one pass over text that is in it
 * already; linear in any case.  ERR_FORMAT with the position if the text is not UTF-8; `out` then
 * holds a part.  Source: UAX #15. */
MUST_USE status unicode_nfc(struct buffer *out, struct view text, struct error *error);

#endif
