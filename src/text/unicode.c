#include "text/unicode.h"

#include <string.h>
#include <utf8proc.h>

static const struct unicode_case *case_of(uint32_t code_point)
{
    ASSERT(code_point <= UNICODE_MAX);
    return &unicode_cases[unicode_case_index[unicode_case_block[code_point >> 8] * 256u +
                                             (code_point & 255)]];
}

uint32_t unicode_to_lower(uint32_t code_point)
{
    return (uint32_t)((int32_t)code_point + case_of(code_point)->lower);
}

uint32_t unicode_to_upper(uint32_t code_point)
{
    return (uint32_t)((int32_t)code_point + case_of(code_point)->upper);
}

/* ---- normal form C ---------------------------------------------------------------------------
 * A code point without UNICODE_COMPOSES neither combines with anything before it nor moves, so text
 * may be normalised in pieces that start at such code points.  Almost every piece of real text is
 * one such code point; only longer ones are decomposed, put in canonical order and composed. */

static bool composes(uint32_t code_point)
{
    return code_point != UTF8_BAD && unicode_properties(code_point) & UNICODE_COMPOSES;
}

/* Whether the block holds no code point that composes: ASCII, U+0080 to U+02FF, U+0400 to U+047F,
 * U+2010 to U+203F (dashes, quotes, the ellipsis) and the number sign U+2116 do not. */
static bool block_stands_alone(const char *block)
{
    const unsigned char *at = (const unsigned char *)block;
    uint8_t other = 0;
    for (size_t i = 0; i < UTF8_BLOCK; i++) {
        unsigned char here = at[i], next = at[i + 1], last = at[i + 2];
        uint8_t common = (here < 0xCC) | ((here | 1) == 0xD1);
        uint8_t mark = (here == 0xE2) &
                       (((next == 0x80) & (last >= 0x90)) | ((next == 0x84) & (last == 0x96)));
        other |= !(common | mark);
    }
    return !other;
}

/* Where the last character before `at`, which is not 0, begins: it may go on after it. */
static size_t last_start(struct view text, size_t at)
{
    at--;
    while (at > 0 && ((unsigned char)text.data[at] & 0xC0) == 0x80)
        at--;
    return at;
}

/* Passes over code points that stand alone.  Returns where the first one stands that the next code
 * point may change or join, or that is bad, or the end. */
static size_t skip_alone(struct view text, size_t from)
{
    enum { AROUND = 2 }; /* bytes that blocks look back and ahead */
    size_t at = from, last = from, block = from + AROUND;
    while (at < text.len) {
        if (at >= block && text.len - at >= UTF8_BLOCK + AROUND) {
            if (utf8_block_fits(text.data + at) && block_stands_alone(text.data + at)) {
                at = last_start(text, at + UTF8_BLOCK);
                last = last_start(text, at);
                continue;
            }
            block = at + UTF8_BLOCK;
        }
        uint32_t code_point;
        size_t taken = utf8_decode(&code_point, text.data + at, text.len - at);
        if (code_point == UTF8_BAD)
            return at;
        if (composes(code_point))
            return last;
        last = at;
        at += taken;
    }
    return at;
}

size_t unicode_nfc_prefix(struct view text)
{
    return skip_alone(text, 0);
}

/* The end of the piece that starts at `at`: one code point of any kind, then all that compose. */
static size_t piece_end(struct view text, size_t at)
{
    uint32_t code_point;
    at += utf8_decode(&code_point, text.data + at, text.len - at);
    while (at < text.len) {
        size_t taken = utf8_decode(&code_point, text.data + at, text.len - at);
        if (!composes(code_point))
            break;
        at += taken;
    }
    return at;
}

/* Puts a run of combining marks in the canonical order, stable by class: counting by class, since
 * a hostile run may be long. */
static void run_order(int32_t *run, size_t count, int32_t *scratch)
{
    size_t start[257] = {0};
    for (size_t i = 0; i < count; i++)
        start[utf8proc_get_property(run[i])->combining_class + 1]++;
    for (size_t class = 0; class < 256; class ++)
        start[class + 1] += start[class];
    for (size_t i = 0; i < count; i++)
        scratch[start[utf8proc_get_property(run[i])->combining_class]++] = run[i];
    memcpy(run, scratch, count * sizeof *run);
}

static void canonical_order(int32_t *code_points, size_t count, int32_t *scratch)
{
    size_t run_from = 0;
    for (size_t i = 0; i <= count; i++) {
        if (i < count && utf8proc_get_property(code_points[i])->combining_class != 0)
            continue;
        if (i - run_from > 1)
            run_order(code_points + run_from, i - run_from, scratch);
        run_from = i + 1;
    }
}

/* Fully decomposes the piece; room for DECOMPOSED_MAX code points for each byte of it. */
enum { DECOMPOSED_MAX = 2 }; /* at worst U+0390: two bytes become three code points */

static size_t decompose(int32_t *out, struct view piece)
{
    size_t count = 0, at = 0;
    while (at < piece.len) {
        uint32_t code_point;
        at += utf8_decode(&code_point, piece.data + at, piece.len - at);
        ASSERT(code_point != UTF8_BAD);
        utf8proc_ssize_t added =
            utf8proc_decompose_char((int32_t)code_point, out + count,
                                    (utf8proc_ssize_t)(DECOMPOSED_MAX * piece.len - count),
                                    UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, NULL);
        ASSERT(added > 0);
        count += (size_t)added;
        ASSERT(count <= DECOMPOSED_MAX * piece.len);
    }
    return count;
}

static status append_encoded(struct buffer *out, const int32_t *code_points, size_t count,
                             struct error *error)
{
    TRY(buffer_reserve(out, count * UTF8_BYTES_MAX, error));
    for (size_t i = 0; i < count; i++) {
        char bytes[UTF8_BYTES_MAX];
        TRY(buffer_append(out, bytes, utf8_encode(bytes, (uint32_t)code_points[i]), error));
    }
    return OK;
}

static status append_piece(struct buffer *out, struct view piece, struct buffer *work,
                           struct error *error)
{
    size_t room = DECOMPOSED_MAX * piece.len;
    buffer_clear(work);
    TRY(buffer_reserve(work, 2 * room * sizeof(int32_t), error));
    int32_t *code_points = (int32_t *)(void *)work->data;
    size_t count = decompose(code_points, piece);
    canonical_order(code_points, count, code_points + room);
    utf8proc_ssize_t composed = utf8proc_normalize_utf32(code_points, (utf8proc_ssize_t)count,
                                                         UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    ASSERT(composed > 0 && (size_t)composed <= count);
    return append_encoded(out, code_points, (size_t)composed, error);
}

static status nfc_append(struct buffer *out, struct view text, struct buffer *work,
                         struct error *error)
{
    size_t at = 0;
    for (;;) {
        size_t end = skip_alone(text, at);
        TRY(buffer_append(out, text.data + at, end - at, error));
        if (end == text.len)
            return OK;
        uint32_t code_point;
        (void)utf8_decode(&code_point, text.data + end, text.len - end);
        if (code_point == UTF8_BAD)
            return fail(error, ERR_FORMAT, "byte 0x%02x at position %zu is not UTF-8",
                        (unsigned char)text.data[end], end);
        at = piece_end(text, end);
        TRY(append_piece(out, (struct view){text.data + end, at - end}, work, error));
    }
}

status unicode_nfc(struct buffer *out, struct view text, struct error *error)
{
    ASSERT(out && error && (text.data || text.len == 0));
    struct buffer work;
    buffer_create(&work, SIZE_MAX / 4);
    status result = nfc_append(out, text, &work, error);
    buffer_destroy(&work);
    return result;
}
