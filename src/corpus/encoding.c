/* Which encoding bytes are in, and how they become UTF-8. */
#include "corpus/corpus.h"

#include <string.h>

#include "corpus/encoding_tables.h"
#include "text/unicode.h"

enum {
    SAMPLE_BYTES = 64 << 10,
    BAD_SHARE = 1000 /* text may have one byte in so many that is no UTF-8 */
};

const char *encoding_name(enum text_encoding encoding)
{
    static const char *const names[] = {"unknown",  "binary",     "UTF-8",  "UTF-16",
                                        "UTF-16LE", "UTF-16BE",   "CP1251", "KOI8-R",
                                        "CP866",    "ISO-8859-5", "CP1252"};
    ASSERT(encoding < sizeof names / sizeof *names);
    return names[encoding];
}

static bool starts_with(struct view bytes, const char *mark, size_t len)
{
    return bytes.len >= len && memcmp(bytes.data, mark, len) == 0;
}

/* Counts that fit a byte, so that vectors hold as many as can be. */
static size_t control_count(const char *text, size_t len)
{
    uint8_t count = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        uint8_t low = c < 0x20 && c != 0x1b && (uint8_t)(c - '\t') > '\r' - '\t';
        count = (uint8_t)(count + (low | (c == 0x7f)));
    }
    return count;
}

/* Text has no NUL and hardly any control characters besides tab, line ends and form feed. */
static bool looks_binary(struct view bytes)
{
    enum { BLOCK = 128 };
    size_t control = 0, at = 0;
    if (bytes.len && memchr(bytes.data, 0, bytes.len))
        return true;
    for (; bytes.len - at >= BLOCK; at += BLOCK)
        control += control_count(bytes.data + at, BLOCK);
    control += control_count(bytes.data + at, bytes.len - at);
    return control * 100 > bytes.len;
}

/* ---- encodings of one byte ---- */

static bool is_single(enum text_encoding encoding)
{
    return encoding >= ENCODING_CP1251;
}

static const uint16_t *upper_half(enum text_encoding encoding)
{
    return single_byte_characters[encoding - ENCODING_CP1251];
}

/* Three bytes of UTF-8 are the most that a byte becomes. */
static status decode_single(struct buffer *out, struct view bytes, const uint16_t *upper,
                            struct error *error)
{
    enum { PIECE = 64 << 10 };
    while (bytes.len) {
        size_t count = bytes.len < PIECE ? bytes.len : PIECE;
        TRY(buffer_reserve(out, 3 * count, error));
        char *to = out->data + out->len;
        for (size_t i = 0; i < count; i++) {
            unsigned char c = (unsigned char)bytes.data[i];
            if (c < 0x80)
                *to++ = (char)c;
            else
                to += utf8_encode(to, upper[c - 0x80]);
        }
        out->len = (size_t)(to - out->data);
        out->data[out->len] = 0;
        bytes.data += count;
        bytes.len -= count;
    }
    return OK;
}

/* How often each small letter from а to я stands in Russian prose, in thousandths. */
static const uint8_t frequency[32] = {80, 16, 45, 17,  30, 85, 9,  17, 74, 12, 35,
                                      44, 32, 67, 110, 28, 47, 55, 63, 26, 3,  10,
                                      5,  14, 7,  4,   1,  19, 17, 3,  6,  20};

/* What a character beyond ASCII says for the reading: common letters for it; capitals inside words,
 * other letters and symbols against it. */
static double character_score(uint32_t c, bool after_letter)
{
    if (c >= 0x430 && c <= 0x44f)
        return frequency[c - 0x430];
    if (c == 0x451)
        return 3;
    if (c >= 0x410 && c <= 0x42f)
        return after_letter ? -60 : frequency[c - 0x410] / 2.0;
    bool neutral = c == 0xab || c == 0xbb || (c >= 0x2010 && c <= 0x2026) || c == 0xa0 ||
                   c == 0x2116 || c == 0xa7 || (c >= 0x2500 && c < 0x25A0);
    return neutral ? 0 : -60;
}

/* Mean score of the bytes beyond ASCII; 0 when there are none. */
static double russian_score(struct view sample, const uint16_t *upper)
{
    double score = 0, count = 0;
    bool after_letter = false;
    for (size_t i = 0; i < sample.len; i++) {
        unsigned char byte = (unsigned char)sample.data[i];
        uint32_t c = byte < 0x80 ? byte : upper[byte - 0x80];
        if (c >= 0x80) {
            count++;
            score += character_score(c, after_letter);
        }
        after_letter = unicode_kind(c) == UNICODE_LETTER;
    }
    return count > 0 ? score / count : 0;
}

/* Russian in its own encoding scores about 55; in the wrong one, below zero. */
static const double SCORE_MIN = 20;

static struct view sample_of(struct view bytes)
{
    return (struct view){bytes.data, bytes.len < SAMPLE_BYTES ? bytes.len : SAMPLE_BYTES};
}

static enum text_encoding best_single(double *score, struct view bytes)
{
    enum text_encoding best = ENCODING_CP1251;
    struct view sample = sample_of(bytes);
    *score = -1e9;
    for (enum text_encoding each = ENCODING_CP1251; each <= ENCODING_ISO8859_5; each++) {
        double own = russian_score(sample, upper_half(each));
        if (own > *score) {
            *score = own;
            best = each;
        }
    }
    return best;
}

/* ---- UTF-16 ---- */

/* Without its mark: in one half of the pairs stand only the high bytes of Latin, Cyrillic and
 * punctuation, and zeros among them. */
static enum text_encoding guess_utf16(struct view bytes)
{
    struct view sample = sample_of(bytes);
    size_t high[2] = {0}, zero[2] = {0}, pairs = sample.len / 2;
    for (size_t i = 0; i + 1 < sample.len; i += 2)
        for (size_t half = 0; half < 2; half++) {
            unsigned char c = (unsigned char)sample.data[i + half];
            high[half] += c == 0 || c == 4 || c == 0x20;
            zero[half] += c == 0;
        }
    for (int half = 0; half < 2 && pairs >= 4; half++)
        if (high[half] * 20 >= pairs * 19 && zero[half] * 20 >= pairs && zero[!half] == 0)
            return half ? ENCODING_UTF16LE : ENCODING_UTF16BE;
    return ENCODING_BINARY;
}

static uint32_t unit_at(struct view bytes, size_t at, bool little)
{
    uint32_t first = (unsigned char)bytes.data[at], second = (unsigned char)bytes.data[at + 1];
    return little ? second << 8 | first : first << 8 | second;
}

/* Halves of pairs that stand alone become U+FFFD. */
static status decode_utf16(struct buffer *out, struct view bytes, bool little, struct error *error)
{
    TRY(buffer_reserve(out, bytes.len / 2 * 3 + UTF8_BYTES_MAX, error));
    char *to = out->data + out->len;
    for (size_t at = 0; at + 1 < bytes.len; at += 2) {
        uint32_t c = unit_at(bytes, at, little);
        if (c == 0xFEFF && at == 0)
            continue;
        if (c >= 0xD800 && c < 0xE000) {
            uint32_t low = at + 3 < bytes.len ? unit_at(bytes, at + 2, little) : 0;
            bool pair = c < 0xDC00 && low >= 0xDC00 && low < 0xE000;
            c = pair ? 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00) : UTF8_REPLACEMENT;
            at += pair ? 2 : 0;
        }
        to += utf8_encode(to, c);
    }
    out->len = (size_t)(to - out->data);
    out->data[out->len] = 0;
    return OK;
}

/* ---- choosing ---- */

/* UTF-8 with a few spoilt bytes is still UTF-8, if there is more of it than of them. */
static bool nearly_utf8(struct view bytes)
{
    size_t bad = 0, good = 0;
    for (size_t at = 0; at < bytes.len;) {
        if (bytes.len - at >= 8 && utf8_plain_eight(bytes.data + at)) {
            good += (unsigned char)bytes.data[at] >= 0x80;
            at += 8;
            continue;
        }
        uint32_t c;
        at += utf8_decode(&c, bytes.data + at, bytes.len - at);
        bad += c == UTF8_BAD;
        good += c != UTF8_BAD && c >= 0x80;
        if (bad * BAD_SHARE > bytes.len + BAD_SHARE)
            return false;
    }
    return bad == 0 || good > 4 * bad;
}

static enum text_encoding detect_marked(struct view bytes)
{
    if (starts_with(bytes, "\xFF\xFE", 2) || starts_with(bytes, "\xFE\xFF", 2))
        return ENCODING_UTF16;
    if (looks_binary(bytes))
        return guess_utf16(bytes);
    return utf8_valid(bytes) || nearly_utf8(bytes) ? ENCODING_UTF8 : ENCODING_UNKNOWN;
}

enum text_encoding encoding_detect(struct view bytes)
{
    enum text_encoding marked = detect_marked(bytes);
    double score;
    if (marked != ENCODING_UNKNOWN)
        return marked;
    enum text_encoding best = best_single(&score, bytes);
    return score < SCORE_MIN ? ENCODING_UNKNOWN : best;
}

bool encoding_is_plain(struct view bytes)
{
    return !starts_with(bytes, "\xEF\xBB\xBF", 3) && !looks_binary(bytes) && utf8_valid(bytes);
}

static bool is_label(struct view label, const char *name)
{
    return label.len == strlen(name) && strncasecmp(label.data, name, label.len) == 0;
}

enum text_encoding encoding_of_label(struct view label)
{
    static const struct {
        const char *name;
        enum text_encoding encoding;
    } labels[] = {{"utf-8", ENCODING_UTF8},          {"utf8", ENCODING_UTF8},
                  {"windows-1251", ENCODING_CP1251}, {"cp1251", ENCODING_CP1251},
                  {"cp-1251", ENCODING_CP1251},      {"win-1251", ENCODING_CP1251},
                  {"x-cp1251", ENCODING_CP1251},     {"koi8-r", ENCODING_KOI8_R},
                  {"koi8r", ENCODING_KOI8_R},        {"koi8", ENCODING_KOI8_R},
                  {"ibm866", ENCODING_CP866},        {"cp866", ENCODING_CP866},
                  {"866", ENCODING_CP866},           {"iso-8859-5", ENCODING_ISO8859_5},
                  {"iso8859-5", ENCODING_ISO8859_5}, {"windows-1252", ENCODING_CP1252},
                  {"cp1252", ENCODING_CP1252},       {"iso-8859-1", ENCODING_CP1252},
                  {"iso8859-1", ENCODING_CP1252},    {"iso-8859-15", ENCODING_CP1252},
                  {"latin1", ENCODING_CP1252},       {"us-ascii", ENCODING_CP1252},
                  {"ascii", ENCODING_CP1252},        {"utf-16", ENCODING_UTF16},
                  {"utf-16le", ENCODING_UTF16LE},    {"utf-16be", ENCODING_UTF16BE}};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        if (is_label(label, labels[i].name))
            return labels[i].encoding;
    return ENCODING_UNKNOWN;
}

enum text_encoding encoding_choose(struct view bytes, struct view label)
{
    enum text_encoding marked = detect_marked(bytes), said = encoding_of_label(label);
    double score;
    if (marked != ENCODING_UNKNOWN && marked != ENCODING_BINARY)
        return marked;
    if (marked == ENCODING_BINARY)
        return said == ENCODING_UTF16LE || said == ENCODING_UTF16BE ? said : marked;
    enum text_encoding best = best_single(&score, bytes);
    if (!is_single(said))
        return score < SCORE_MIN ? ENCODING_UNKNOWN : best;
    /* what is said holds unless the bytes are good Russian in another encoding, and not in this */
    double own = russian_score(sample_of(bytes), upper_half(said));
    return own >= SCORE_MIN || score < SCORE_MIN || own >= score ? said : best;
}

status encoding_decode(struct buffer *out, struct view bytes, enum text_encoding encoding,
                       struct error *error)
{
    ASSERT(out && error && encoding > ENCODING_BINARY);
    if (is_single(encoding))
        return decode_single(out, bytes, upper_half(encoding), error);
    if (encoding != ENCODING_UTF8) {
        bool little = encoding == ENCODING_UTF16LE ||
                      (encoding == ENCODING_UTF16 && !starts_with(bytes, "\xFE\xFF", 2));
        return decode_utf16(out, bytes, little, error);
    }
    size_t mark = starts_with(bytes, "\xEF\xBB\xBF", 3) ? 3 : 0;
    struct view text = {bytes.data + mark, bytes.len - mark};
    return utf8_valid(text) ? buffer_append(out, text.data, text.len, error)
                            : utf8_lossy(out, text, error);
}
