#include "tokenizer/tokenizer_internal.h"

#include <string.h>

#include "text/unicode.h"

const char *const tokenizer_pattern = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
                                      "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
                                      "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

enum split_class {
    SPLIT_SYMBOL,
    SPLIT_LETTER,
    SPLIT_NUMBER,
    SPLIT_SPACE,
    SPLIT_NEWLINE,
    SPLIT_END
};

static inline enum split_class class_of_point(uint32_t code_point)
{
    static const uint8_t classes[8] = {
        [UNICODE_LETTER] = SPLIT_LETTER,
        [UNICODE_NUMBER] = SPLIT_NUMBER,
        [UNICODE_SPACE] = SPLIT_SPACE,
    };
    if (code_point == '\n' || code_point == '\r')
        return SPLIT_NEWLINE;
    return (enum split_class)classes[unicode_kind(code_point)];
}

/* The class of the character at `at` and its length.  ASCII and two-byte characters, which is
 * nearly all text, are decoded here; a bad byte is a symbol one byte long, so nothing is lost. */
static inline enum split_class class_at(size_t *taken, struct view text, size_t at)
{
    *taken = 1;
    if (at >= text.len)
        return SPLIT_END;
    unsigned char first = (unsigned char)text.data[at];
    if (first < 0x80)
        return class_of_point(first);
    if (first >= 0xC2 && first < 0xE0 && at + 1 < text.len &&
        ((unsigned char)text.data[at + 1] & 0xC0) == 0x80) {
        *taken = 2;
        return class_of_point((first & 0x1Fu) << 6 | ((unsigned char)text.data[at + 1] & 0x3Fu));
    }
    uint32_t code_point;
    size_t len = utf8_decode(&code_point, text.data + at, text.len - at);
    if (code_point == UTF8_BAD)
        return SPLIT_SYMBOL;
    *taken = len;
    return class_of_point(code_point);
}

/* The end of a run of one class that starts at `at`. */
static inline size_t run_end(struct view text, size_t at, enum split_class wanted)
{
    size_t taken;
    while (class_at(&taken, text, at) == wanted)
        at += taken;
    return at;
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d) at the start, or 0.  Case folding makes U+017F an s too. */
static size_t contraction(struct view text)
{
    if (text.len < 2 || text.data[0] != '\'')
        return 0;
    if (text.len >= 3 && memcmp(text.data + 1, "\xC5\xBF", 2) == 0)
        return 3;
    char first = (char)(text.data[1] | 0x20);
    char second = text.len > 2 ? (char)(text.data[2] | 0x20) : 0;
    if (first == 's' || first == 't' || first == 'm' || first == 'd')
        return 2;
    if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
        (first == 'l' && second == 'l'))
        return 3;
    return 0;
}

/*  ?[^\s\p{L}\p{N}]+[\r\n]*  whose first symbol stands at `at`. */
static size_t symbols_end(struct view text, size_t at)
{
    at = run_end(text, at, SPLIT_SYMBOL);
    while (at < text.len && (text.data[at] == '\r' || text.data[at] == '\n'))
        at++;
    return at;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ : a run of white space ends after its last newline; without one it
 * leaves its last character to what follows, if anything follows and something remains. */
static size_t spaces_end(struct view text)
{
    size_t at = 0, last = 0, after_newline = 0, taken;
    enum split_class here;
    while ((here = class_at(&taken, text, at)) == SPLIT_SPACE || here == SPLIT_NEWLINE) {
        last = at;
        at += taken;
        if (here == SPLIT_NEWLINE)
            after_newline = at;
    }
    if (after_newline)
        return after_newline;
    return here == SPLIT_END || last == 0 ? at : last;
}

size_t split_next(struct view text)
{
    size_t taken, next_taken;
    enum split_class here = class_at(&taken, text, 0);
    if (here == SPLIT_LETTER)
        return run_end(text, taken, SPLIT_LETTER);
    if (here == SPLIT_NUMBER)
        return taken;
    if (here == SPLIT_NEWLINE)
        return spaces_end(text);
    size_t short_form = contraction(text);
    if (short_form)
        return short_form;
    enum split_class next = class_at(&next_taken, text, taken);
    if (next == SPLIT_LETTER)
        return run_end(text, taken + next_taken, SPLIT_LETTER);
    if (here == SPLIT_SYMBOL)
        return symbols_end(text, taken);
    if (next == SPLIT_SYMBOL && text.data[0] == ' ')
        return symbols_end(text, taken);
    return spaces_end(text);
}

/* Whether the character before `at` is surely a letter: of ASCII, or U+0400 to U+047F. */
static bool letter_before(struct view text, size_t at)
{
    unsigned char last = (unsigned char)text.data[at - 1];
    if (last < 0x80)
        return (last | 0x20) >= 'a' && (last | 0x20) <= 'z';
    return at >= 2 && last < 0xC0 && ((unsigned char)text.data[at - 2] & 0xFE) == 0xD0;
}

/* Whether what follows a newline can't be white space: the leads C2, E1, E2 and E3 may begin it. */
static bool text_begins(unsigned char next)
{
    return next > ' ' && next != 0xC2 && (next < 0xE1 || next > 0xE3);
}

/* Letters end before a space, whatever comes behind it, and after a newline only more white space
 * belongs to the same pre-token. */
size_t split_cut(struct view text, size_t from)
{
    for (size_t at = from ? from : 1; at < text.len; at++) {
        if (text.data[at] == ' ' && letter_before(text, at))
            return at;
        if (text.data[at - 1] == '\n' && text_begins((unsigned char)text.data[at]))
            return at;
    }
    return text.len;
}
