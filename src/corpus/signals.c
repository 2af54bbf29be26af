#include "corpus/signals.h"

#include <string.h>

#include "corpus/signals_internal.h"
#include "text/unicode.h"

/* ---- names ---- */

#define SIGNALS_NAME(name, meaning) {#name, meaning, offsetof(struct signals, name)},
static const struct {
    const char *name, *meaning;
    size_t offset;
} fields[] = {SIGNALS(SIGNALS_NAME)};

const char *signals_name(int index)
{
    ASSERT(index >= 0 && index < SIGNAL_COUNT);
    return fields[index].name;
}

const char *signals_meaning(int index)
{
    ASSERT(index >= 0 && index < SIGNAL_COUNT);
    return fields[index].meaning;
}

uint64_t signals_value(const struct signals *signals, int index)
{
    ASSERT(index >= 0 && index < SIGNAL_COUNT);
    uint64_t value;
    memcpy(&value, (const char *)signals + fields[index].offset, sizeof value);
    return value;
}

/* ---- the work area ---- */

/* FineWeb-2's lists for Russian and English; upper case is another word, as there. */
static const char *const stop_words[2][23] = {
    {"в",   "и",  "на",  "с",   "года", "по", "году", "из",    "был", "к",     "не", "от",
     "что", "за", "для", "его", "как",  "а",  "он",   "также", "до",  "после", NULL},
    {"the", "be", "to", "of", "and", "that", "have", "with", NULL}};
enum { STOP_WORD_CHARACTERS_MAX = 5 };

static void add_stop_words(struct stop_word *table)
{
    for (uint32_t list = 0; list < 2; list++)
        for (uint32_t i = 0; stop_words[list][i]; i++) {
            uint64_t hash = hash64(stop_words[list][i], strlen(stop_words[list][i]), 0);
            size_t slot = hash % STOP_SLOTS;
            while (table[slot].list)
                slot = (slot + 1) % STOP_SLOTS;
            table[slot] = (struct stop_word){hash, list + 1, i};
        }
}

status signals_work_create(struct signals_work **out, const struct language_model *model,
                           struct arena *arena, struct error *error)
{
    ASSERT(out && arena && error);
    struct signals_work *work;
    TRY_ALLOC(work, arena, 1, error);
    work->model = model;
    add_stop_words(work->stop);
    struct buffer *buffers[] = {&work->hashes, &work->ends,  &work->live,
                                &work->grams,  &work->slots, &work->table};
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
    struct buffer *buffers[] = {&work->hashes, &work->ends,  &work->live,
                                &work->grams,  &work->slots, &work->table};
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
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '\n';
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

/* ---- tokens ---- */

struct scan {
    struct signals *out;
    struct signals_work *work;
    uint64_t *hashes;
    uint32_t *ends;
    uint32_t stop_seen[2]; /* bits by list */
    const char *data;
    size_t len, at;
};

/* The code point at `at`, and how far it reaches; bad bytes are U+FFFD. */
static inline size_t read_character(uint32_t *c, const struct scan *scan, size_t at)
{
    const unsigned char *byte = (const unsigned char *)scan->data + at;
    if (byte[0] < 0x80) {
        *c = byte[0];
        return 1;
    }
    if (byte[0] >= 0xC2 && byte[0] < 0xE0 && scan->len - at > 1 && (byte[1] & 0xC0) == 0x80) {
        *c = (byte[0] & 0x1Fu) << 6 | (byte[1] & 0x3Fu);
        return 2;
    }
    size_t taken = utf8_decode(c, scan->data + at, scan->len - at);
    if (*c == UTF8_BAD)
        *c = UTF8_REPLACEMENT;
    return taken;
}

static inline bool in_word(enum unicode_kind kind)
{
    return kind == UNICODE_LETTER || kind == UNICODE_MARK || kind == UNICODE_NUMBER;
}

static inline bool joins(uint32_t c)
{
    return c == '\'' || c == '-' || c == 0x2019 || c == 0x2010 || c == 0x2011;
}

/* Room for the tokens of a text, as far as they are looked at. */
static status begin_scan(struct scan *scan, struct error *error)
{
    size_t most = scan->len < SIGNAL_TOKENS_MAX ? scan->len : SIGNAL_TOKENS_MAX;
    struct signals_work *work = scan->work;
    TRY(buffer_reserve(&work->hashes, most * sizeof(uint64_t), error));
    TRY(buffer_reserve(&work->ends, (most + 1) * sizeof(uint32_t), error));
    scan->hashes = (uint64_t *)(void *)work->hashes.data;
    scan->ends = (uint32_t *)(void *)work->ends.data;
    scan->ends[0] = 0;
    work->tokens = 0;
    return OK;
}

static inline uint64_t add_token(struct scan *scan, size_t begin, size_t characters)
{
    uint64_t hash = hash64(scan->data + begin, scan->at - begin, 0);
    struct signals_work *work = scan->work;
    scan->out->tokens++;
    if (work->tokens < SIGNAL_TOKENS_MAX) {
        scan->hashes[work->tokens] = hash;
        scan->ends[work->tokens + 1] = scan->ends[work->tokens] + (uint32_t)characters + 1;
        work->tokens++;
        scan->out->measured_characters = scan->out->characters;
    }
    return hash;
}

static void find_stop_word(struct scan *scan, uint64_t hash)
{
    const struct stop_word *table = scan->work->stop;
    for (size_t slot = hash % STOP_SLOTS; table[slot].list; slot = (slot + 1) % STOP_SLOTS)
        if (table[slot].hash == hash) {
            scan->stop_seen[table[slot].list - 1] |= 1u << table[slot].bit;
            scan->out->stop_hits++;
            return;
        }
}

/* A code point at `at` that joins two others of a word. */
static bool joins_at(const struct scan *scan, size_t at, uint32_t c, size_t taken)
{
    uint32_t next;
    if (!joins(c) || at + taken >= scan->len)
        return false;
    read_character(&next, scan, at + taken);
    return in_word(unicode_kind(next));
}

struct word_counts {
    size_t characters, letters, upper, digits;
};

/* From a first character that belongs to a word to its end, in local variables: this is where most
 * of the time goes. */
static size_t scan_letters(struct word_counts *out, const struct scan *scan)
{
    const uint8_t *ascii = &unicode_property_bytes[unicode_property_block[0] * 256u];
    struct word_counts counts = {0};
    size_t at = scan->at;
    while (at < scan->len) {
        unsigned char byte = (unsigned char)scan->data[at];
        uint32_t c = byte;
        size_t taken = 1;
        if (byte >= 0x80)
            taken = read_character(&c, scan, at);
        uint8_t properties = byte < 0x80 ? ascii[byte] : unicode_properties(c);
        enum unicode_kind kind = (enum unicode_kind)(properties & UNICODE_KIND_MASK);
        if (kind == UNICODE_LETTER) {
            counts.letters++;
            counts.upper += (properties & UNICODE_UPPER) != 0;
        } else if (kind == UNICODE_NUMBER)
            counts.digits++;
        else if (kind != UNICODE_MARK && !joins_at(scan, at, c, taken))
            break;
        counts.characters++;
        at += taken;
    }
    *out = counts;
    return at;
}

static void scan_word(struct scan *scan)
{
    struct signals *out = scan->out;
    struct word_counts counts;
    size_t begin = scan->at;
    scan->at = scan_letters(&counts, scan);
    out->characters += counts.characters;
    out->letters += counts.letters;
    out->upper += counts.upper;
    out->digits += counts.digits;
    out->words++;
    out->word_characters += counts.characters;
    if (counts.characters > out->word_longest)
        out->word_longest = counts.characters;
    out->words_alphabetic += counts.letters > 0;
    uint64_t hash = add_token(scan, begin, counts.characters);
    if (counts.characters <= STOP_WORD_CHARACTERS_MAX)
        find_stop_word(scan, hash);
}

static bool is_damaged(uint32_t c, enum unicode_kind kind)
{
    bool control = (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0);
    return control || c == UTF8_REPLACEMENT || (kind == UNICODE_OTHER && c >= 0xE000 && c < 0xF900);
}

/* A run of one symbol is one token. */
static void scan_symbol(struct scan *scan, uint32_t symbol)
{
    struct signals *out = scan->out;
    size_t begin = scan->at, characters = 0;
    while (scan->at < scan->len) {
        uint32_t c;
        size_t taken = read_character(&c, scan, scan->at);
        if (c != symbol)
            break;
        characters++;
        scan->at += taken;
    }
    out->characters += characters;
    out->hashes += symbol == '#' ? characters : 0;
    out->braces += symbol == '{' || symbol == '}' ? characters : 0;
    out->ellipses += symbol == 0x2026 ? characters : 0;
    out->ellipses += symbol == '.' && characters >= 3;
    out->damaged += is_damaged(symbol, unicode_kind(symbol)) ? characters : 0;
    add_token(scan, begin, characters);
}

static status measure_tokens(struct signals *out, struct signals_work *work, struct view text,
                             struct error *error)
{
    struct scan scan = {.out = out, .work = work, .data = text.data, .len = text.len};
    TRY(begin_scan(&scan, error));
    while (scan.at < scan.len) {
        uint32_t c;
        size_t taken = read_character(&c, &scan, scan.at);
        enum unicode_kind kind = unicode_kind(c);
        if (kind == UNICODE_SPACE) {
            scan.at += taken;
            out->characters++;
            out->spaces++;
            out->damaged += is_damaged(c, kind);
        } else if (in_word(kind))
            scan_word(&scan);
        else
            scan_symbol(&scan, c);
    }
    if (work->tokens < SIGNAL_TOKENS_MAX)
        out->measured_characters = out->characters;
    out->stop_ru = (uint64_t)__builtin_popcount(scan.stop_seen[0]);
    out->stop_en = (uint64_t)__builtin_popcount(scan.stop_seen[1]);
    return OK;
}

/* ---- the whole ---- */

static void measure_language(struct signals *out, const struct language_model *model,
                             struct view text)
{
    if (!model)
        return;
    struct language_guess guess = language_detect(model, text);
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
    TRY(measure_tokens(&signals, work, text, error));
    TRY(signals_repetition(&signals, work, error));
    measure_language(&signals, work->model, text);
    *out = signals;
    return OK;
}
