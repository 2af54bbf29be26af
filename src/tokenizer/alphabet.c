#include "tokenizer/tokenizer_internal.h"

#include "text/utf8.h"

/* Bytes that print stand for themselves; the other 68 follow U+0100 in order. */
static bool prints(unsigned byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

/* How many bytes below this one do not print: 0-32, 127-160, 173. */
static unsigned hidden_below(unsigned byte)
{
    return byte <= 33    ? byte
           : byte <= 127 ? 33
           : byte <= 161 ? byte - 127 + 33
           : byte <= 173 ? 67
                         : 68;
}

uint32_t alphabet_code_point(uint8_t byte)
{
    return prints(byte) ? byte : 0x100 + hidden_below(byte);
}

int alphabet_byte(uint32_t code_point)
{
    if (code_point < 0x100)
        return prints(code_point) ? (int)code_point : -1;
    uint32_t hidden = code_point - 0x100;
    if (hidden >= 68)
        return -1;
    return (int)(hidden < 33 ? hidden : hidden < 67 ? hidden - 33 + 127 : 173);
}

status alphabet_append(struct buffer *out, struct view bytes, struct error *error)
{
    for (size_t i = 0; i < bytes.len; i++) {
        char text[UTF8_BYTES_MAX];
        size_t len = utf8_encode(text, alphabet_code_point((uint8_t)bytes.data[i]));
        TRY(buffer_append(out, text, len, error));
    }
    return OK;
}

bool alphabet_decode(char *out, size_t *out_len, struct view printable)
{
    size_t len = 0;
    for (size_t at = 0; at < printable.len;) {
        uint32_t code_point;
        at += utf8_decode(&code_point, printable.data + at, printable.len - at);
        int byte = code_point == UTF8_BAD ? -1 : alphabet_byte(code_point);
        if (byte < 0)
            return false;
        out[len++] = (char)byte;
    }
    *out_len = len;
    return true;
}
