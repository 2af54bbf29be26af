#include "tokenizer/tokenizer_internal.h"

#include <string.h>

#include "text/unicode.h"

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

/* The length of 's, 't, 're, 've, 'm, 'll or 'd at the start, or 0.  `fold` is what capitals differ
 * in: 0x20, or 0 if they don't count. */
static inline size_t contraction(struct view text, char fold)
{
    if (text.len < 2 || text.data[0] != '\'')
        return 0;
    char first = (char)(text.data[1] | fold);
    char second = text.len > 2 ? (char)(text.data[2] | fold) : 0;
    if (first == 's' || first == 't' || first == 'm' || first == 'd')
        return 2;
    if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
        (first == 'l' && second == 'l'))
        return 3;
    return 0;
}

/* Under (?i:) U+017F is an s, too. */
static size_t contraction_folded(struct view text)
{
    if (text.len >= 3 && memcmp(text.data, "'\xC5\xBF", 3) == 0)
        return 3;
    return contraction(text, 0x20);
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
 * leaves its last character to what follows, if anything follows and something remains.  With
 * `whole_at_end` the run that ends the text stays whole: \s++$ goes first. */
static size_t spaces_end(struct view text, bool whole_at_end)
{
    size_t at = 0, last = 0, after_newline = 0, taken;
    enum split_class here;
    while ((here = class_at(&taken, text, at)) == SPLIT_SPACE || here == SPLIT_NEWLINE) {
        last = at;
        at += taken;
        if (here == SPLIT_NEWLINE)
            after_newline = at;
    }
    if (here == SPLIT_END && whole_at_end)
        return at;
    if (after_newline)
        return after_newline;
    return here == SPLIT_END || last == 0 ? at : last;
}

/* ---- cl100k, and what came of it ---------------------------------------- */

enum number_rule { DIGITS_ONE, DIGITS_THREE };

struct cl100k_rules { /* constants, so that each pattern is a function of its own */
    size_t (*contraction)(struct view text);
    enum number_rule numbers;
    bool whole_at_end;
};

static size_t contraction_plain(struct view text)
{
    return contraction(text, 0x20);
}

/* \p{N}{1,3} whose first digit took `taken` bytes. */
static size_t three_digits(struct view text, size_t taken)
{
    size_t end = taken;
    for (int i = 1; i < 3 && class_at(&taken, text, end) == SPLIT_NUMBER; i++)
        end += taken;
    return end;
}

static inline __attribute__((always_inline)) size_t cl100k_next(struct view text,
                                                                struct cl100k_rules rules)
{
    size_t taken, next_taken;
    enum split_class here = class_at(&taken, text, 0);
    if (here == SPLIT_LETTER)
        return run_end(text, taken, SPLIT_LETTER);
    if (here == SPLIT_NUMBER)
        return rules.numbers == DIGITS_ONE ? taken : three_digits(text, taken);
    if (here == SPLIT_NEWLINE)
        return spaces_end(text, rules.whole_at_end);
    size_t short_form = rules.contraction(text);
    if (short_form)
        return short_form;
    enum split_class next = class_at(&next_taken, text, taken);
    if (next == SPLIT_LETTER)
        return run_end(text, taken + next_taken, SPLIT_LETTER);
    if (here == SPLIT_SYMBOL)
        return symbols_end(text, taken);
    if (next == SPLIT_SYMBOL && text.data[0] == ' ')
        return symbols_end(text, taken);
    return spaces_end(text, rules.whole_at_end);
}

size_t split_next(struct view text)
{
    return cl100k_next(text, (struct cl100k_rules){contraction_plain, DIGITS_ONE, false});
}

static size_t next_qwen2(struct view text)
{
    return cl100k_next(text, (struct cl100k_rules){contraction_folded, DIGITS_ONE, false});
}

static size_t next_cl100k(struct view text)
{
    return cl100k_next(text, (struct cl100k_rules){contraction_folded, DIGITS_THREE, false});
}

static size_t next_cl100k_end(struct view text)
{
    return cl100k_next(text, (struct cl100k_rules){contraction_folded, DIGITS_THREE, true});
}

/* ---- GPT-2 --------------------------------------------------------------- */

static size_t next_gpt2(struct view text)
{
    size_t taken, next_taken, at = 0, last = 0;
    size_t short_form = contraction(text, 0);
    if (short_form)
        return short_form;
    enum split_class here = class_at(&taken, text, 0);
    enum split_class next = class_at(&next_taken, text, taken);
    if (here == SPLIT_LETTER || here == SPLIT_NUMBER || here == SPLIT_SYMBOL)
        return run_end(text, taken, here);
    if (text.data[0] == ' ' &&
        (next == SPLIT_LETTER || next == SPLIT_NUMBER || next == SPLIT_SYMBOL))
        return run_end(text, taken + next_taken, next);
    while ((here = class_at(&taken, text, at)) == SPLIT_SPACE || here == SPLIT_NEWLINE) {
        last = at;
        at += taken;
    }
    return here == SPLIT_END || last == 0 ? at : last;
}

/* ---- o200k: words begin with capitals and end with small letters --------- */

enum letter_class {
    LETTER_NONE,
    LETTER_UPPER, /* Lu, Lt: only at the beginning */
    LETTER_LOWER, /* Ll: only at the end */
    LETTER_BOTH   /* Lm, Lo, M: at either */
};

static enum letter_class letter_at(size_t *taken, struct view text, size_t at)
{
    uint32_t code_point;
    *taken = 0;
    if (at >= text.len)
        return LETTER_NONE;
    *taken = utf8_decode(&code_point, text.data + at, text.len - at);
    if (code_point == UTF8_BAD) {
        *taken = 1;
        return LETTER_NONE;
    }
    uint8_t properties = unicode_properties(code_point);
    enum unicode_kind kind = (enum unicode_kind)(properties & UNICODE_KIND_MASK);
    if (kind != UNICODE_LETTER && kind != UNICODE_MARK)
        return LETTER_NONE;
    if (kind == UNICODE_MARK || !(properties & (UNICODE_UPPER | UNICODE_LOWER)))
        return LETTER_BOTH;
    return properties & UNICODE_UPPER ? LETTER_UPPER : LETTER_LOWER;
}

/* [Lu Lt Lm Lo M]*[Ll Lm Lo M]+ from `at`, or 0.  A run of capitals without a small letter behind
 * it gives back what stands after its last letter of both kinds. */
static size_t word_with_ending(struct view text, size_t at)
{
    size_t taken, after_both = 0;
    enum letter_class here;
    while ((here = letter_at(&taken, text, at)) == LETTER_UPPER || here == LETTER_BOTH) {
        at += taken;
        if (here == LETTER_BOTH)
            after_both = at;
    }
    if (here != LETTER_LOWER)
        return after_both;
    while ((here = letter_at(&taken, text, at)) == LETTER_LOWER || here == LETTER_BOTH)
        at += taken;
    return at;
}

static size_t capitals_end(struct view text, size_t at)
{
    size_t taken;
    while (letter_at(&taken, text, at) == LETTER_UPPER)
        at += taken;
    return at;
}

/* The first two alternatives, or 0: a character that is no letter, number or newline may stand
 * before a word, a short form may end it.  A mark may be either, and is tried as what stands before
 * first. */
static size_t o200k_word(struct view text, enum split_class here, size_t taken)
{
    size_t before = here == SPLIT_SYMBOL || here == SPLIT_SPACE ? taken : 0;
    size_t end = word_with_ending(text, before);
    if (!end && before)
        end = word_with_ending(text, 0);
    if (!end) {
        size_t capitals = capitals_end(text, before);
        end = capitals > before ? capitals : 0;
    }
    if (!end)
        return 0;
    return end + contraction_folded((struct view){text.data + end, text.len - end});
}

static size_t next_o200k(struct view text)
{
    size_t taken, next_taken;
    enum split_class here = class_at(&taken, text, 0);
    if (here == SPLIT_NUMBER)
        return three_digits(text, taken);
    size_t word = here == SPLIT_NEWLINE ? 0 : o200k_word(text, here, taken);
    if (word)
        return word;
    bool spaced = text.data[0] == ' ' && class_at(&next_taken, text, taken) == SPLIT_SYMBOL;
    if (here != SPLIT_SYMBOL && !spaced)
        return spaces_end(text, false);
    size_t at = run_end(text, taken, SPLIT_SYMBOL);
    while (at < text.len && memchr("\r\n/", text.data[at], 3))
        at++;
    return at;
}

/* ---- patterns by name ---------------------------------------------------- */

#define AFTER_NUMBERS  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define FOLDED         "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define PLAIN          "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"
#define BEFORE_NUMBERS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define O200K_UPPER    "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}"
#define O200K_LOWER    "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"

const char *const tokenizer_pattern = PLAIN BEFORE_NUMBERS "\\p{N}" AFTER_NUMBERS;

static const struct split_pattern patterns[] = {
    {"rodnik", PLAIN BEFORE_NUMBERS "\\p{N}" AFTER_NUMBERS, split_next},
    {"qwen2", FOLDED BEFORE_NUMBERS "\\p{N}" AFTER_NUMBERS, next_qwen2},
    {"cl100k", FOLDED BEFORE_NUMBERS "\\p{N}{1,3}" AFTER_NUMBERS, next_cl100k},
    {"cl100k",
     "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| "
     "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s",
     next_cl100k_end},
    {"o200k",
     "[^\\r\\n\\p{L}\\p{N}]?[" O200K_UPPER "]*[" O200K_LOWER "]+" FOLDED "?|"
     "[^\\r\\n\\p{L}\\p{N}]?[" O200K_UPPER "]+[" O200K_LOWER "]*" FOLDED "?|"
     "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     next_o200k},
    {"gpt2", "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
     next_gpt2},
    {"gpt2",
     "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s",
     next_gpt2},
};

const struct split_pattern *split_pattern_find(const char *regex)
{
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (strcmp(patterns[i].regex, regex) == 0)
            return &patterns[i];
    return NULL;
}

const struct split_pattern *split_pattern_at(size_t index)
{
    return index < sizeof patterns / sizeof *patterns ? &patterns[index] : NULL;
}

/* ---- where a text may be cut ---------------------------------------------- */

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
