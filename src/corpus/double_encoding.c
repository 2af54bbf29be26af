/* Text whose bytes were read in the wrong encoding and encoded again: "РџСЂРёРІРµС‚". */
#include "corpus/corpus.h"

#include <string.h>

#include "corpus/encoding_tables.h"
#include "text/utf8.h"

enum {
    SAMPLE_BYTES = 64 << 10,
    REVERSE_CHARACTERS = 0x2600, /* all that single-byte encodings have lie below */
    PAIRS_MIN = 8
};

/* From characters back to bytes beyond ASCII; 0: it has no such character. */
struct reverse {
    uint8_t byte[REVERSE_CHARACTERS];
};

static void reverse_of(struct reverse *out, enum single_byte encoding)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < 128; i++)
        if (single_byte_characters[encoding][i] < REVERSE_CHARACTERS)
            out->byte[single_byte_characters[encoding][i]] = (uint8_t)(128 + i);
    for (int i = 0x80; i < 0xA0; i++) /* Latin-1 has control characters there */
        if (!out->byte[i])
            out->byte[i] = (uint8_t)i;
}

static uint8_t byte_of(const struct reverse *reverse, uint32_t c)
{
    return c < REVERSE_CHARACTERS ? reverse->byte[c] : 0;
}

struct tally {
    size_t pairs, others; /* two characters that make one of UTF-8; the rest beyond ASCII */
};

static struct tally tally_of(struct view text, const struct reverse *reverse)
{
    struct tally tally = {0};
    uint8_t before = 0;
    for (size_t at = 0; at < text.len;) {
        if ((unsigned char)text.data[at] < 0x80) {
            at++;
            before = 0;
            continue;
        }
        uint32_t c;
        at += utf8_decode(&c, text.data + at, text.len - at);
        uint8_t byte = byte_of(reverse, c);
        tally.others++;
        if (before >= 0xC3 && before <= 0xDF && byte >= 0x80 && byte < 0xC0) {
            tally.pairs++;
            tally.others -= 2;
            byte = 0;
        }
        before = byte;
    }
    return tally;
}

/* A line goes back when all its characters do and the bytes are UTF-8. */
static bool undo_line(struct buffer *out, struct view line, const struct reverse *reverse,
                      struct error *error)
{
    if (buffer_reserve(out, line.len, error) != OK)
        return false;
    size_t begin = out->len;
    char *to = out->data + begin;
    for (size_t at = 0; at < line.len;) {
        uint32_t c;
        at += utf8_decode(&c, line.data + at, line.len - at);
        uint8_t byte = c < 0x80 ? (uint8_t)c : byte_of(reverse, c);
        if (byte == 0)
            return false;
        *to++ = (char)byte;
    }
    struct view undone = {out->data + begin, (size_t)(to - out->data) - begin};
    if (!utf8_valid(undone))
        return false;
    out->len += undone.len;
    out->data[out->len] = 0;
    return true;
}

/* Lines that were right stay; one that was not and can't go back spoils the text. */
static status undo_lines(struct buffer *out, enum double_encoding *result, struct view text,
                         const struct reverse *reverse, struct error *error)
{
    struct view rest = text;
    while (rest.len) {
        const char *end = memchr(rest.data, '\n', rest.len);
        struct view line = {rest.data, end ? (size_t)(end - rest.data) + 1 : rest.len};
        struct tally tally = tally_of(line, reverse);
        if (tally.pairs == 0 || !undo_line(out, line, reverse, error)) {
            TRY(error->code);
            if (tally.pairs > tally.others) {
                *result = DOUBLE_ENCODED;
                return OK;
            }
            TRY(buffer_append(out, line.data, line.len, error));
        }
        rest.data += line.len;
        rest.len -= line.len;
    }
    *result = DOUBLE_REPAIRED;
    return OK;
}

/* ---- whether a text can be one at all ---- */

/* Bytes of a sample that begin characters beyond ASCII; of those from а to я and А to Я; of those
 * that every reading has where the first character of a pair stands: А to ѿ, Ã to ß, frames. */
struct lead_counts {
    size_t all, letters, firsts;
};

/* Counts that fit a byte, so that vectors hold as many as can be. */
static void count_block(struct lead_counts *counts, const char *text, size_t len)
{
    uint8_t all = 0, letters = 0, firsts = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t lead = (uint8_t)text[i], next = (uint8_t)text[i + 1];
        uint8_t capital = lead == 0xD0 && next >= 0x90, small = lead == 0xD1 && next < 0x90;
        uint8_t latin = lead == 0xC3 && next >= 0x83 && next < 0xA0;
        uint8_t frame = lead == 0xE2 && next >= 0x94 && next < 0x97;
        all = (uint8_t)(all + (lead >= 0xC0));
        letters = (uint8_t)(letters + (capital | small));
        firsts = (uint8_t)(firsts + ((lead & 0xFE) == 0xD0 || latin || frame));
    }
    counts->all += all;
    counts->letters += letters;
    counts->firsts += firsts;
}

static struct lead_counts count_leads(struct view text)
{
    enum { BLOCK = 128 };
    struct lead_counts counts = {0};
    char last[2] = {0};
    size_t at = 0;
    for (; at + BLOCK < text.len; at += BLOCK)
        count_block(&counts, text.data + at, BLOCK);
    if (at + 1 < text.len)
        count_block(&counts, text.data + at, text.len - at - 1);
    if (text.len) {
        last[0] = text.data[text.len - 1];
        count_block(&counts, last, 1);
    }
    return counts;
}

/* False: no reading finds enough pairs, which is so for nearly all texts.  With `pairs >= 2 *
 * others` four of five characters beyond ASCII stand in pairs, so that two of five are first in
 * one and two of five second.  Letters from А to я are second ones in CP866 alone, which has frames
 * for the first. */
static bool may_be_double(struct view text)
{
    struct lead_counts counts = count_leads(text);
    return counts.firsts >= PAIRS_MIN && 5 * counts.firsts >= 2 * counts.all &&
           5 * (counts.all - counts.letters) >= 2 * counts.all;
}

status encoding_undouble(struct buffer *out, enum double_encoding *result, struct view text,
                         struct error *error)
{
    ASSERT(out && result && error);
    struct reverse reverse;
    struct view sample = {text.data, text.len < SAMPLE_BYTES ? text.len : SAMPLE_BYTES};
    static const enum single_byte readings[] = {SINGLE_CP1251, SINGLE_CP1252, SINGLE_KOI8_R,
                                                SINGLE_CP866};
    *result = DOUBLE_NONE;
    if (!may_be_double(sample))
        return OK;
    size_t before = out->len;
    for (size_t i = 0; i < sizeof readings / sizeof *readings; i++) {
        reverse_of(&reverse, readings[i]);
        struct tally tally = tally_of(sample, &reverse);
        if (tally.pairs < PAIRS_MIN || tally.pairs < 2 * tally.others)
            continue;
        TRY(undo_lines(out, result, text, &reverse, error));
        if (*result == DOUBLE_REPAIRED)
            return OK;
        out->len = before;
    }
    return OK;
}
