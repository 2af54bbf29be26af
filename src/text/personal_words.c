/* Words in one case, sorted lists of stems, and what the words beside a place speak of. */
#include "text/personal_internal.h"

#include <string.h>

#include "text/unicode.h"

/* Bytes of the letter at `at`, 0 if none stands there. */
static size_t letter_bytes(const struct scanner *scanner, size_t at)
{
    unsigned char lead = byte_at(scanner, at), next = byte_at(scanner, at + 1);
    if (is_latin(lead))
        return 1;
    if (lead < 0xC3 || lead > 0xD3 || (next & 0xC0) != 0x80)
        return 0;
    bool sign = lead == 0xC3 && (next == 0x97 || next == 0xB7); /* times, divided by */
    bool other = lead >= 0xCA && lead <= 0xCF;                  /* Greek, modifiers, marks */
    return sign || other ? 0 : 2;
}

bool letter_at(const struct scanner *scanner, size_t at)
{
    return letter_bytes(scanner, at) > 0;
}

static size_t letter_bytes_before(const struct scanner *scanner, size_t at)
{
    if (at >= 1 && is_latin(byte_at(scanner, at - 1)))
        return 1;
    return at >= 2 && letter_bytes(scanner, at - 2) == 2 ? 2 : 0;
}

bool letter_before(const struct scanner *scanner, size_t at)
{
    return letter_bytes_before(scanner, at) > 0;
}

bool text_at(const struct scanner *scanner, size_t at, const char *what)
{
    size_t len = strlen(what);
    return at <= scanner->len && len <= scanner->len - at &&
           memcmp(scanner->text + at, what, len) == 0;
}

size_t blank_at(const struct scanner *scanner, size_t at)
{
    unsigned char byte = byte_at(scanner, at);
    if (byte == ' ' || byte == '\t')
        return 1;
    if (byte == 0xC2)
        return text_at(scanner, at, "\u00A0") ? 2 : 0;
    if (byte == 0xE2)
        return text_at(scanner, at, "\u202F") || text_at(scanner, at, "\u2009") ? 3 : 0;
    return 0;
}

size_t blank_before(const struct scanner *scanner, size_t at)
{
    for (size_t bytes = 1; bytes <= 3 && bytes <= at; bytes++) {
        if (blank_at(scanner, at - bytes) == bytes)
            return bytes;
    }
    return 0;
}

/* ---- words ---- */

/* Writes the letter in lower case, ё as е; returns whether it was a capital. */
static bool fold_letter(char *out, size_t *out_len, const unsigned char *at, size_t bytes)
{
    *out_len = bytes;
    if (bytes == 1) {
        *out = (char)(at[0] | 0x20);
        return is_latin_upper(at[0]);
    }
    memcpy(out, at, 2);
    if (at[0] == 0xD0 && at[1] >= 0x90) {
        bool upper = at[1] < 0xB0;
        if (upper && at[1] < 0xA0)
            out[1] = (char)(at[1] + 0x20);
        else if (upper) {
            out[0] = (char)0xD1;
            out[1] = (char)(at[1] - 0x20);
        }
        return upper;
    }
    if (at[0] == 0xD1 && at[1] < 0x90)
        return false;
    bool yo_upper = at[0] == 0xD0 && at[1] == 0x81;
    if (yo_upper || (at[0] == 0xD1 && at[1] == 0x91)) {
        memcpy(out, "е", 2);
        return yo_upper;
    }
    uint32_t code_point = (uint32_t)((at[0] & 0x1F) << 6 | (at[1] & 0x3F));
    char lower[UTF8_BYTES_MAX];
    *out_len = utf8_encode(lower, unicode_to_lower(code_point));
    memcpy(out, lower, *out_len);
    return unicode_is_upper(code_point);
}

/* Bytes of what joins the letters of one word at `at`: a hyphen, or the apostrophe of O'Neill. */
static size_t joint_bytes(const struct scanner *scanner, size_t at, bool latin)
{
    unsigned char byte = byte_at(scanner, at);
    if (byte == '-' && letter_at(scanner, at + 1))
        return 1;
    if (byte == '\'' && latin && is_latin_upper(byte_at(scanner, at + 1)))
        return 1;
    return 0;
}

void word_read(struct word *out, const struct scanner *scanner, size_t at)
{
    *out = (struct word){.start = at, .end = at};
    uint32_t capitals = 0, letters = 0;
    for (;;) {
        size_t bytes = letter_bytes(scanner, at);
        if (!bytes) {
            bytes = letters ? joint_bytes(scanner, at, out->latin) : 0;
            if (!bytes)
                break;
            if (out->len < WORD_BYTES_MAX)
                out->fold[out->len++] = (char)byte_at(scanner, at);
            at += bytes;
            continue;
        }
        if (out->len > WORD_BYTES_MAX - 4) {
            out->too_long = true;
            out->len = 0;
        }
        size_t len;
        bool upper = fold_letter(out->fold + out->len, &len, scanner->text + at, bytes);
        if (!letters)
            out->upper_first = upper;
        capitals += upper;
        letters++;
        out->len = (uint8_t)(out->len + len);
        *(scanner->text[at] >= 0xD0 ? &out->cyrillic : &out->latin) = true;
        at += bytes;
    }
    out->fold[out->len] = 0;
    out->end = at;
    out->letters = (uint8_t)(letters < 255 ? letters : 255);
    out->upper_all = letters > 1 && capitals == letters;
    out->too_long |= letters > WORD_BYTES_MAX;
}

size_t word_start(const struct scanner *scanner, size_t at)
{
    size_t start = at;
    while (at - start < WORD_BYTES_MAX) {
        size_t bytes = letter_bytes_before(scanner, start);
        if (!bytes)
            break;
        start -= bytes;
    }
    return start;
}

/* ---- stems ---- */

static int stem_compare(const struct stem *stem, const char *fold, size_t len)
{
    size_t stem_len = stem->len, shorter = stem_len < len ? stem_len : len;
    for (size_t i = 0; i < shorter; i++) {
        if (stem->text[i] != fold[i])
            return (unsigned char)stem->text[i] < (unsigned char)fold[i] ? -1 : 1;
    }
    return (stem_len > len) - (stem_len < len);
}

/* Index of the last stem that is not after the word, -1 if all are. */
static ptrdiff_t stem_floor(struct stem_list list, const char *fold, size_t len)
{
    size_t low = 0, high = list.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stem_compare(&list.items[middle], fold, len) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return (ptrdiff_t)low - 1;
}

/* Every stem that begins the word is, itself or by its beginning, before the word; so each step
 * goes to the last stem that is not after what the word and the stem just seen have in common. */
uint32_t stem_find(struct stem_list list, const char *fold, size_t len)
{
    size_t common = len;
    while (common > 0) {
        ptrdiff_t index = stem_floor(list, fold, common);
        if (index < 0)
            return 0;
        const struct stem *stem = &list.items[index];
        size_t stem_len = stem->len, same = 0;
        while (same < stem_len && same < common && stem->text[same] == fold[same])
            same++;
        if (same == stem_len && (!stem->whole || same == len))
            return stem->value;
        common = same == stem_len ? same - 1 : same;
    }
    return 0;
}

uint32_t stem_exact(struct stem_list list, const char *fold, size_t len)
{
    ptrdiff_t index = stem_floor(list, fold, len);
    if (index < 0 || stem_compare(&list.items[index], fold, len) != 0)
        return 0;
    return list.items[index].value;
}

/* ---- context ---- */

enum { CONTEXT_BYTES = 144, CONTEXT_AFTER_BYTES = 40 };

/* Whether five digits or more stand there. */
static bool long_number_between(const struct scanner *scanner, size_t start, size_t end)
{
    int digits = 0;
    for (size_t at = start; at < end && digits < 5; at++)
        digits += is_digit(byte_at(scanner, at));
    return digits == 5;
}

/* Reads on to `at`; what lies more than a view before it is left out, and so is what a blank line
 * parts from it. */
static void context_read(struct context *context, const struct scanner *scanner, size_t at)
{
    size_t limit = at > CONTEXT_BYTES ? at - CONTEXT_BYTES : 0, here = context->read;
    if (here < limit) {
        here = limit;
        context->count = 0;
        bool within = letter_before(scanner, here) || (byte_at(scanner, here) & 0xC0) == 0x80;
        while (within && here < at &&
               (byte_at(scanner, here) >= 0x80 || is_latin(byte_at(scanner, here))))
            here++;
    }
    while (here < at) {
        unsigned char byte = scanner->text[here];
        if (!(byte >= 0xC3 || is_latin(byte)) || !letter_at(scanner, here)) {
            if (byte == '\n' && byte_at(scanner, here + 1) == '\n')
                context->count = 0;
            here++;
            continue;
        }
        struct word word;
        word_read(&word, scanner, here);
        uint32_t value = word.too_long ? 0 : stem_find(personal_context_stems, word.fold, word.len);
        if (value)
            context->words[context->count++ % TELLING_WORDS_MAX] =
                (struct telling_word){word.start, word.end, value};
        here = word.end;
    }
    context->read = here;
}

struct about about_before(const struct scanner *scanner, size_t at)
{
    struct about about = {0};
    struct context *context = scanner->context;
    context_read(context, scanner, at);
    size_t least = context->count > TELLING_WORDS_MAX ? context->count - TELLING_WORDS_MAX : 0;
    for (size_t i = context->count; i > least; i--) {
        const struct telling_word *word = &context->words[(i - 1) % TELLING_WORDS_MAX];
        if (word->end > at)
            continue;
        if (at - word->start > CONTEXT_BYTES)
            break;
        about.any |= word->value;
        if (!about.near && (word->value & ~(uint32_t)ABOUT_CALL)) {
            about.near = word->value;
            about.gap = at - word->end;
            about.spent = long_number_between(scanner, word->end, at);
        }
    }
    return about;
}

uint32_t about_after(const struct scanner *scanner, size_t at)
{
    size_t limit = at + CONTEXT_AFTER_BYTES;
    uint32_t value = 0;
    for (int words = 0; words < 2 && at < limit && at < scanner->len && !value;) {
        if (byte_at(scanner, at) == '\n' || is_digit(byte_at(scanner, at)))
            break;
        if (!letter_at(scanner, at)) {
            at++;
            continue;
        }
        struct word word;
        word_read(&word, scanner, at);
        value = word.too_long ? 0 : stem_find(personal_context_stems, word.fold, word.len);
        at = word.end;
        words++;
    }
    return value;
}
