/* A text becomes clean: UTF-8, NFC, one kind of line end, no control characters. */
#include "corpus/corpus_internal.h"

#include <string.h>

#include "text/unicode.h"

enum { TEXT_BYTES_MAX = 1 << 30 };

/* ---- lines and control characters ---- */

static bool is_plain(struct view text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || c == 0xEF)
            return false;
    }
    return true;
}

/* \r\n and \r become \n; other control characters and U+FEFF go. */
static status strip(struct buffer *out, struct view text, struct error *error)
{
    TRY(buffer_reserve(out, text.len, error));
    char *to = out->data + out->len, *start = to;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '\r') {
            if (i + 1 < text.len && text.data[i + 1] == '\n')
                continue;
            c = '\n';
        } else if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            continue;
        else if (c == 0xEF && i + 2 < text.len && (unsigned char)text.data[i + 1] == 0xBB &&
                 (unsigned char)text.data[i + 2] == 0xBF) {
            i += 2;
            continue;
        }
        *to++ = (char)c;
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
