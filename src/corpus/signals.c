#include "corpus/signals.h"

#include <string.h>

#include "corpus/signals_internal.h"
#include "text/utf8.h"

/* ---- names ---- */

#define SIGNALS_NAME(name, meaning) {#name, offsetof(struct signals, name)},
static const struct {
    const char *name;
    size_t offset;
} fields[] = {SIGNALS(SIGNALS_NAME)};

const char *signals_name(int index)
{
    ASSERT(index >= 0 && index < SIGNAL_COUNT);
    return fields[index].name;
}

uint64_t signals_value(const struct signals *signals, int index)
{
    ASSERT(index >= 0 && index < SIGNAL_COUNT);
    uint64_t value;
    memcpy(&value, (const char *)signals + fields[index].offset, sizeof value);
    return value;
}

/* ---- the work area ---- */

status signals_work_create(struct signals_work **out, const struct language_model *model,
                           struct arena *arena, struct error *error)
{
    ASSERT(out && arena && error);
    struct signals_work *work;
    TRY_ALLOC(work, arena, 1, error);
    if (model)
        TRY(language_memory_create(&work->language, model, arena, error));
    signals_stop_words(&work->stop);
    memset(work->chunk.bytes, ' ', sizeof work->chunk.bytes);
    struct buffer *buffers[] = {&work->hashes, &work->ends,  &work->live,   &work->grams,
                                &work->slots,  &work->table, &work->shorts, &work->filter};
    const size_t most = (size_t)SIGNAL_TOKENS_MAX * 4 * sizeof(struct repeat_entry);
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        buffer_create(buffers[i], most);
    *out = work;
    return OK;
}

void signals_work_destroy(struct signals_work *work)
{
    if (!work)
        return;
    struct buffer *buffers[] = {&work->hashes, &work->ends,  &work->live,   &work->grams,
                                &work->slots,  &work->table, &work->shorts, &work->filter};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        buffer_destroy(buffers[i]);
}

/* ---- lines ---- */

static uint32_t first_character(struct view text)
{
    uint32_t c = 0;
    if (text.len)
        utf8_decode(&c, text.data, text.len);
    return c;
}

static uint32_t last_character(struct view text)
{
    if (text.len == 0)
        return 0;
    size_t at = text.len - 1;
    while (at > 0 && ((unsigned char)text.data[at] & 0xC0) == 0x80 && text.len - at < 4)
        at--;
    return first_character((struct view){text.data + at, text.len - at});
}

/* White space of any kind off both ends; at its left end only what was no part of a line. */
static struct view trim_line(struct view line)
{
    line = view_trim(line);
    while (line.len >= 2 && memcmp(line.data, "\xC2\xA0", 2) == 0)
        line = view_trim((struct view){line.data + 2, line.len - 2});
    while (line.len >= 2 && memcmp(line.data + line.len - 2, "\xC2\xA0", 2) == 0)
        line = view_trim((struct view){line.data, line.len - 2});
    return line;
}

static bool ends_narrow(uint32_t c)
{
    switch (c) {
    case '.':
    case '!':
    case '?':
    case 0x061F: /* Arabic ? */
    case 0x06D4: /* Arabic full stop */
    case 0x0964: /* danda */
    case 0x3002: /* ideographic full stop */
    case 0xFF01: /* fullwidth ! */
    case 0xFF0E: /* fullwidth full stop */
    case 0xFF1F: /* fullwidth ? */
        return true;
    default:
        return false;
    }
}

static bool ends_wide(uint32_t c)
{
    switch (c) {
    case 0x2026: /* … */
    case ':':
    case ';':
    case 0xBB: /* » */
    case '"':
    case 0x201D: /* ” */
    case 0x201C: /* “ closes in Russian and German */
    case ')':
        return true;
    default:
        return ends_narrow(c);
    }
}

static void measure_line(struct signals *out, struct view line)
{
    static const struct view dots = {"...", 3};
    uint32_t first = first_character(line), last = last_character(line);
    out->lines++;
    out->lines_short += utf8_count(line) <= 30;
    out->lines_end_narrow += ends_narrow(last);
    out->lines_end += ends_wide(last);
    out->lines_bullet += first == 0x2022 || first == '-';
    out->lines_dash += first == 0x2014 || first == 0x2013 || first == 0x2015 || first == '-';
    out->lines_ellipsis += last == 0x2026 || view_ends(line, dots.data);
}

/* Whether the piece stood before; if so its code points are added. */
static bool stood_before(uint64_t *characters, struct repeat_entry *table, int bits,
                         struct view piece)
{
    uint64_t hash = hash64(piece.data, piece.len, 0);
    uint32_t slot = repeat_slot(table, bits, hash);
    table[slot].tag = (uint32_t)hash;
    if (table[slot].count++ == 0)
        return false;
    *characters += utf8_count(piece);
    return true;
}

static size_t count_newlines(struct view text)
{
    enum { BLOCK = 128 }; /* counted in a byte, so that vectors hold as many as can be */
    size_t count = 0, at = 0;
    for (; text.len - at >= BLOCK; at += BLOCK) {
        uint8_t some = 0;
        for (size_t i = 0; i < BLOCK; i++)
            some = (uint8_t)(some + (text.data[at + i] == '\n'));
        count += some;
    }
    for (; at < text.len; at++)
        count += text.data[at] == '\n';
    return count;
}

static status measure_lines(struct signals *out, struct signals_work *work, struct view text,
                            struct error *error)
{
    struct repeat_entry *table;
    int bits;
    out->newlines = count_newlines(text);
    size_t most = out->newlines + 1 < SIGNAL_LINES_MAX ? out->newlines + 1 : SIGNAL_LINES_MAX;
    TRY(repeat_table(&table, &bits, work, most, error));
    struct view rest = text, line;
    while (view_line(&line, &rest)) {
        struct view trimmed = trim_line(line);
        if (trimmed.len == 0)
            continue;
        measure_line(out, trimmed);
        if (out->lines <= most)
            out->lines_again += stood_before(&out->lines_again_characters, table, bits, trimmed);
    }
    return OK;
}

/* ---- paragraphs ---- */

/* Takes the text up to the next empty line off `rest`; false at the end. */
static bool next_paragraph(struct view *out, struct view *rest)
{
    size_t from = 0;
    while (from < rest->len && rest->data[from] == '\n')
        from++;
    size_t to = from;
    while (to < rest->len) {
        const char *newline = memchr(rest->data + to, '\n', rest->len - to);
        to = newline ? (size_t)(newline - rest->data) : rest->len;
        if (!newline || to + 1 >= rest->len || rest->data[to + 1] == '\n')
            break;
        to++;
    }
    *out = (struct view){rest->data + from, to - from};
    *rest = (struct view){rest->data + to, rest->len - to};
    return out->len > 0;
}

static status measure_paragraphs(struct signals *out, struct signals_work *work, struct view text,
                                 struct error *error)
{
    struct repeat_entry *table;
    int bits;
    size_t most = out->lines < SIGNAL_LINES_MAX ? out->lines : SIGNAL_LINES_MAX;
    TRY(repeat_table(&table, &bits, work, most + 1, error));
    struct view paragraph, rest = text;
    while (next_paragraph(&paragraph, &rest)) {
        if (trim_line(paragraph).len == 0)
            continue;
        if (++out->paragraphs <= most)
            out->paragraphs_again +=
                stood_before(&out->paragraphs_again_characters, table, bits, paragraph);
    }
    return OK;
}

/* ---- the whole ---- */

static void measure_language(struct signals *out, struct language_memory *memory, struct view text)
{
    if (!memory)
        return;
    struct language_guess guess = language_recall(memory, text);
    out->language = (uint64_t)(guess.language + 1);
    out->language_score = (uint64_t)(guess.score * SIGNAL_TEN_THOUSAND);
}

status signals_measure(struct signals *out, struct signals_work *work, struct view text,
                       struct error *error)
{
    ASSERT(out && work && (text.data || text.len == 0) && error);
    if (text.len > SIGNAL_TEXT_BYTES_MAX)
        return fail(error, ERR_LIMIT, "a text of %zu bytes, allowed are %zu", text.len,
                    (size_t)SIGNAL_TEXT_BYTES_MAX);
    struct signals signals = {.bytes = text.len};
    TRY(measure_lines(&signals, work, text, error));
    TRY(measure_paragraphs(&signals, work, text, error));
    TRY(signals_tokens(&signals, work, text, error));
    TRY(signals_repetition(&signals, work, error));
    measure_language(&signals, work->language, text);
    *out = signals;
    return OK;
}
