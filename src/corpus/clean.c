/* A text becomes clean: UTF-8, NFC, one kind of line end, no control characters. */
#include "corpus/corpus_internal.h"

#include <string.h>

#include "text/unicode.h"

enum { TEXT_BYTES_MAX = 1 << 30 };

/* ---- lines and control characters ---- */

static bool is_kept(unsigned char c)
{
    return (c >= 0x20 || c == '\n' || c == '\t') && c != 0x7f && c != 0xEF;
}

/* How many bytes from `at` on are kept as they are, or fewer: whole blocks that vectors look at. */
static size_t count_kept(struct view text, size_t at)
{
    enum { BLOCK = 64 };
    size_t from = at;
    for (; text.len - at >= BLOCK; at += BLOCK) {
        uint8_t other = 0;
        for (size_t i = 0; i < BLOCK; i++)
            other |= !is_kept((unsigned char)text.data[at + i]);
        if (other)
            break;
    }
    return at - from;
}

static bool is_plain(struct view text)
{
    for (size_t i = count_kept(text, 0); i < text.len; i++)
        if (!is_kept((unsigned char)text.data[i]))
            return false;
    return true;
}

/* Reads one character of what is not kept as it is, writes what becomes of it. */
static size_t strip_one(char **to, struct view text, size_t at)
{
    unsigned char c = (unsigned char)text.data[at];
    bool bom = c == 0xEF && text.len - at > 2 && memcmp(text.data + at, "\xEF\xBB\xBF", 3) == 0;
    if (c == '\r' && (at + 1 == text.len || text.data[at + 1] != '\n'))
        *(*to)++ = '\n';
    else if (is_kept(c) || (c == 0xEF && !bom))
        *(*to)++ = (char)c;
    return bom ? 3 : 1;
}

/* \r\n and \r become \n; other control characters and U+FEFF go. */
static status strip(struct buffer *out, struct view text, struct error *error)
{
    TRY(buffer_reserve(out, text.len, error));
    char *to = out->data + out->len, *start = to;
    for (size_t i = 0, look = 0; i < text.len;) {
        if (i >= look) {
            size_t kept = count_kept(text, i);
            memcpy(to, text.data + i, kept);
            to += kept;
            i += kept;
            look = i + 64;
            continue;
        }
        i += strip_one(&to, text, i);
    }
    out->len += (size_t)(to - start);
    out->data[out->len] = 0;
    return OK;
}

status clean_text(struct view *out, const char **refused, struct buffer buffers[2],
                  struct view text, struct error *error)
{
    ASSERT(out && refused && buffers && error);
    *refused = NULL;
    if (text.len > TEXT_BYTES_MAX)
        *refused = "is larger than allowed";
    else if (!utf8_valid(text))
        *refused = "is not valid UTF-8";
    if (*refused)
        return OK;
    if (!is_plain(text)) {
        TRY(strip(&buffers[0], text, error));
        text = (struct view){buffers[0].data, buffers[0].len};
    }
    if (unicode_nfc_prefix(text) < text.len) {
        TRY(unicode_nfc(&buffers[1], text, error));
        text = (struct view){buffers[1].data, buffers[1].len};
    }
    *out = view_trim(text);
    return OK;
}
