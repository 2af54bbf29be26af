/* Which encoding bytes are in, and how they become UTF-8. */
#include "corpus/corpus.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "text/unicode.h"

enum { SAMPLE_BYTES = 64 << 10 };

const char *encoding_name(enum text_encoding encoding)
{
    static const char *const names[] = {"unknown", "binary", "UTF-8", "UTF-16", "CP1251", "KOI8-R"};
    ASSERT(encoding < sizeof names / sizeof *names);
    return names[encoding];
}

static bool starts_with(struct view bytes, const char *mark, size_t len)
{
    return bytes.len >= len && memcmp(bytes.data, mark, len) == 0;
}

/* Text has no NUL and hardly any control characters besides tab, line ends and form feed. */
static bool looks_binary(struct view bytes)
{
    size_t control = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        if (c == 0)
            return true;
        control += (c < 0x20 && !(c >= '\t' && c <= '\r') && c != 0x1b) || c == 0x7f;
    }
    return control * 100 > bytes.len;
}

static const char *iconv_name(enum text_encoding encoding)
{
    return encoding == ENCODING_CP1251   ? "CP1251"
           : encoding == ENCODING_KOI8_R ? "KOI8-R"
                                         : "UTF-16";
}

/* Bytes that the encoding does not have become U+FFFD. */
static status convert(struct buffer *out, struct view bytes, enum text_encoding encoding,
                      struct error *error)
{
    iconv_t state = iconv_open("UTF-8", iconv_name(encoding));
    if (state == (iconv_t)-1)
        return fail_errno(error, "%s can't be converted here", encoding_name(encoding));
    char *from = (char *)(uintptr_t)bytes.data, chunk[4096];
    size_t left = bytes.len;
    status result = OK;
    while (result == OK && left) {
        char *to = chunk;
        size_t room = sizeof chunk;
        size_t done = iconv(state, &from, &left, &to, &room);
        result = buffer_append(out, chunk, (size_t)(to - chunk), error);
        if (done == (size_t)-1 && errno != E2BIG && left && result == OK) {
            from++;
            left--;
            result = buffer_append(out, "\xEF\xBF\xBD", 3, error);
        }
    }
    iconv_close(state);
    return result;
}

/* How often each small letter from а to я stands in Russian prose, in thousandths. */
static const uint8_t frequency[32] = {80, 16, 45, 17,  30, 85, 9,  17, 74, 12, 35,
                                      44, 32, 67, 110, 28, 47, 55, 63, 26, 3,  10,
                                      5,  14, 7,  4,   1,  19, 17, 3,  6,  20};

/* Mean score of the code points beyond ASCII: common letters count for the
 * reading; capitals inside words, other letters and
 * symbols against it. */
static double russian_score(struct view text)
{
    double score = 0, count = 0;
    bool after_letter = false;
    for (size_t at = 0; at < text.len;) {
        uint32_t c;
        at += utf8_decode(&c, text.data + at, text.len - at);
        if (c >= 0x80) {
            count++;
            if (c >= 0x430 && c <= 0x44f)
                score += frequency[c - 0x430];
            else if (c == 0x451)
                score += 3;
            else if (c >= 0x410 && c <= 0x42f)
                score += after_letter ? -60 : frequency[c - 0x410] / 2.0;
            else
                score +=
                    c == 0xab || c == 0xbb || (c >= 0x2010 && c <= 0x2026) || c == 0xa0 ? 0 : -60;
        }
        after_letter = c != UTF8_BAD && c <= UNICODE_MAX && unicode_kind(c) == UNICODE_LETTER;
    }
    return count > 0 ? score / count : 0;
}

static double encoding_score(struct view sample, enum text_encoding encoding)
{
    struct buffer text;
    struct error error = {0};
    buffer_create(&text, 4 * (size_t)SAMPLE_BYTES);
    double score = -1e9;
    if (convert(&text, sample, encoding, &error) == OK && text.len)
        score = russian_score((struct view){text.data, text.len});
    buffer_destroy(&text);
    return score;
}

/* Russian in its own encoding scores about 55; in the wrong one, below zero. */
static const double SCORE_MIN = 20;

enum text_encoding encoding_detect(struct view bytes)
{
    if (starts_with(bytes, "\xFF\xFE", 2) || starts_with(bytes, "\xFE\xFF", 2))
        return ENCODING_UTF16;
    if (looks_binary(bytes))
        return ENCODING_BINARY;
    if (utf8_valid(bytes))
        return ENCODING_UTF8;
    struct view sample = {bytes.data, bytes.len < SAMPLE_BYTES ? bytes.len : SAMPLE_BYTES};
    double cp1251 = encoding_score(sample, ENCODING_CP1251);
    double koi8 = encoding_score(sample, ENCODING_KOI8_R);
    if (cp1251 < SCORE_MIN && koi8 < SCORE_MIN)
        return ENCODING_UNKNOWN;
    return cp1251 >= koi8 ? ENCODING_CP1251 : ENCODING_KOI8_R;
}

status encoding_decode(struct buffer *out, struct view bytes, enum text_encoding encoding,
                       struct error *error)
{
    ASSERT(out && error && encoding > ENCODING_BINARY);
    if (encoding != ENCODING_UTF8)
        return convert(out, bytes, encoding, error);
    size_t mark = starts_with(bytes, "\xEF\xBB\xBF", 3) ? 3 : 0;
    return buffer_append(out, bytes.data + mark, bytes.len - mark, error);
}
