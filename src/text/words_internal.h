/* The loose form of a text: that of text/words.h, but with one or more separators between words,
 * each a space or, where the text has one, a \n. */
#ifndef RODNIK_TEXT_WORDS_INTERNAL_H
#define RODNIK_TEXT_WORDS_INTERNAL_H

#include "text/utf8.h"

/* As many bytes are written behind the end as a block has. */
enum { LOOSE_PADDING = 64 };

/* A code point of two bytes may become one of three: U+023A. */
static inline size_t words_loose_bytes_max(size_t text_bytes)
{
    return text_bytes / 2 * 3 + 1 + LOOSE_PADDING;
}

/* Writes at most words_loose_bytes_max bytes, of which the last LOOSE_PADDING are separators that
 * the result, the length, does not count.  *numbers: are there any but 0 to 9? */
size_t words_loosen(char *out, bool *numbers, struct view text);

/* What a code point becomes in a word. */
enum { WORD_SEPARATOR = ' ', WORD_NOTHING = 0 };
uint32_t words_code_point(uint32_t code_point);

#endif
