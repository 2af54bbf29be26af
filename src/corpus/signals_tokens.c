/* Words and symbols of a text: counts of characters and words, and a hash and the length of every
 * token for signals_repetition.
 *
 * Most of any text is made of ASCII and of U+0400 to U+047F, all of which are letters: it is plain.
 * A chunk of text is classified byte by byte without branches; what comes out is where runs of
 * plain letters and digits begin and end, and where anything else stands.  A plain word costs a
 * hash then; everything else (other scripts, marks, hyphens and apostrophes inside words) is read
 * one code point after the other.  Chunks end with white space, so that no token lies in two of
 * them; a piece without any that is too long for a chunk is read by code points altogether. */
#include "corpus/signals_internal.h"

#include <endian.h>
#include <string.h>

#include "text/unicode.h"

/* ---- hashes ---- */

enum { HALF_BYTES = 16, SHORT_BYTES = 2 * HALF_BYTES };

/* Sixteen bytes. */
static inline uint64_t mix_half(const uint64_t half[2], size_t len)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)(half[0] ^ 0x8BB84B93962EACC9u ^ len) * (half[1] ^ 0x2D358DCCAA6C78A5u);
    return (uint64_t)product ^ (uint64_t)(product >> 64) ^ half[0] ^
           (half[1] << 32 | half[1] >> 32);
}

/* Of what has more than sixteen bytes, with zeros up to 32. */
static inline uint64_t mix_halves(const uint64_t halves[4], size_t len)
{
    return repeat_mix(mix_half(halves, len), mix_half(halves + 2, len));
}

static uint64_t token_hash(const char *at, size_t len)
{
    if (len > SHORT_BYTES)
        return hash64(at, len, 0);
    uint64_t halves[4] = {0};
    memcpy(halves, at, len);
    return len <= HALF_BYTES ? mix_half(halves, len) : mix_halves(halves, len);
}

/* ---- stop words ---- */

/* FineWeb-2's lists for Russian and English; upper case is another word, as there. */
static const char *const stop_words[2][23] = {
    {"в",   "и",  "на",  "с",   "года", "по", "году", "из",    "был", "к",     "не", "от",
     "что", "за", "для", "его", "как",  "а",  "он",   "также", "до",  "после", NULL},
    {"the", "be", "to", "of", "and", "that", "have", "with", NULL}};

static inline size_t stop_slot(const struct stop_words *words, uint64_t hash)
{
    return (size_t)(hash * words->factor >> (64 - STOP_BITS));
}

static bool place_stop_words(struct stop_words *out, uint64_t factor)
{
    *out = (struct stop_words){.factor = factor};
    for (int list = 0, bit = 0; list < 2; list++)
        for (int i = 0; stop_words[list][i]; i++, bit++) {
            uint64_t hash = token_hash(stop_words[list][i], strlen(stop_words[list][i]));
            size_t slot = stop_slot(out, hash);
            if (out->hash[slot])
                return false;
            out->hash[slot] = hash;
            out->bit[slot] = (uint8_t)bit;
            out->list[list] |= 1u << bit;
        }
    return true;
}

/* The bit of a stop word, 0 for others. */
static inline uint32_t stop_bit(const struct stop_words *words, uint64_t hash)
{
    size_t slot = stop_slot(words, hash);
    return (uint32_t)(words->hash[slot] == hash) << words->bit[slot];
}

/* Tries factors until no two words want one slot: soon, with 30 words in 1,024 slots. */
void signals_stop_words(struct stop_words *out)
{
    uint64_t factor = 0x9E3779B97F4A7C15u;
    while (!place_stop_words(out, factor))
        factor = factor * 0xD6E8FEB86659FD93u | 1;
}

/* ---- one chunk: what each byte is ---- */

enum {
    BYTE_WORD = 1,  /* of a plain letter or digit */
    BYTE_OTHER = 2, /* of anything but those and ASCII white space */
    BYTE_LETTER = 4,
    BYTE_UPPER = 8,
    BYTE_DIGIT = 16,
    BYTE_SPACE = 32,
    BYTE_CONTROL = 64 /* white space that is damage: \v, \f, \r */
};
enum { BLOCK = 64, FEW = 8, LANES = 128 };
#define ONES 0x0101010101010101u

static void classify(uint8_t *restrict flags, const uint8_t *restrict byte, size_t blocks)
{
    for (ptrdiff_t i = 0; i < (ptrdiff_t)(blocks * BLOCK); i++) { /* it looks back */
        uint8_t here = byte[i], before = byte[i - 1], after = byte[i + 1];
        uint8_t digit = (uint8_t)(here - '0') < 10;
        uint8_t latin = (uint8_t)((here | 0x20) - 'a') < 26;
        uint8_t space = (here == ' ') | ((uint8_t)(here - '\t') < 5);
        uint8_t control = (uint8_t)(here - '\v') < 3;
        uint8_t lead = ((here | 1) == 0xD1) & ((after & 0xC0) == 0x80);
        uint8_t second = ((before | 1) == 0xD1) & ((here & 0xC0) == 0x80);
        /* U+0400 to U+042F, and the even ones from U+0460 on */
        uint8_t upper_0 = (before == 0xD0) & ((uint8_t)(here - 0x80) < 0x30);
        uint8_t upper_1 = (before == 0xD1) & ((here & 0xE1) == 0xA0);
        uint8_t upper = ((uint8_t)(here - 'A') < 26) | upper_0 | upper_1;
        uint8_t word = digit | latin | lead | second;
        uint8_t other = !(word | space);
        flags[i] = (uint8_t)(word * BYTE_WORD | other * BYTE_OTHER | (latin | lead) * BYTE_LETTER |
                             upper * BYTE_UPPER | digit * BYTE_DIGIT | space * BYTE_SPACE |
                             control * BYTE_CONTROL);
    }
}

struct plain_counts {
    uint64_t letters, upper, digits, spaces, controls;
};

/* Sums of eight lanes of bytes. */
static inline uint64_t lanes_sum(uint64_t lanes)
{
    const uint64_t even = 0x00FF00FF00FF00FFu;
    uint64_t pairs = (lanes & even) + (lanes >> 8 & even);
    return pairs * 0x0001000100010001u >> 48;
}

static void count_plain(struct plain_counts *out, const uint8_t *flags, size_t blocks)
{
    for (size_t from = 0; from < blocks * BLOCK; from += LANES * 8) {
        size_t left = blocks * BLOCK - from, words = left < LANES * 8 ? left / 8 : LANES;
        uint64_t letters = 0, upper = 0, digits = 0, spaces = 0, controls = 0;
        for (size_t i = 0; i < words; i++) {
            uint64_t eight;
            memcpy(&eight, flags + from + 8 * i, 8);
            letters += eight >> 2 & ONES;
            upper += eight >> 3 & ONES;
            digits += eight >> 4 & ONES;
            spaces += eight >> 5 & ONES;
            controls += eight >> 6 & ONES;
        }
        out->letters += lanes_sum(letters);
        out->upper += lanes_sum(upper);
        out->digits += lanes_sum(digits);
        out->spaces += lanes_sum(spaces);
        out->controls += lanes_sum(controls);
    }
}

/* Bit i: whether byte i of the block has the flag 1 << shift. */
static inline uint64_t mask_of(const uint8_t *flags, int shift)
{
    uint64_t mask = 0;
    for (int i = 0; i < BLOCK / 8; i++) {
        uint64_t eight;
        memcpy(&eight, flags + 8 * i, 8);
        eight = le64toh(eight) >> shift & ONES;
        mask |= (eight * 0x0102040810204080u >> 56) << 8 * i;
    }
    return mask;
}

/* Appends the places of the bits; eight at a time whether they are there or not, since a loop that
 * ends where the bits do is guessed wrong at almost every block. */
static inline size_t add_places(uint16_t *out, size_t count, uint64_t mask, size_t first)
{
    size_t total = count + (size_t)__builtin_popcountll(mask);
    while (mask) {
        for (int i = 0; i < FEW; i++) {
            out[count + (size_t)i] =
                (uint16_t)(first + (size_t)(__builtin_ctzll(mask | 1ull << 63)));
            mask &= mask - 1;
        }
        count += FEW;
    }
    return total;
}

/* Where tokens may begin (a run of plain letters and digits, or any other byte), and where those
 * runs end. */
static void find_places(struct signals_chunk *chunk, size_t blocks)
{
    uint64_t last = 0;
    size_t begins = 0, ends = 0;
    for (size_t block = 0; block < blocks; block++) {
        const uint8_t *flags = chunk->flags + block * BLOCK;
        uint64_t word = mask_of(flags, 0), other = mask_of(flags, 1);
        uint64_t shifted = word << 1 | last;
        begins = add_places(chunk->begin, begins, (word & ~shifted) | other, block * BLOCK);
        ends = add_places(chunk->end, ends, ~word & shifted, block * BLOCK);
        last = word >> 63;
    }
    chunk->end[ends] = (uint16_t)(blocks * BLOCK); /* of a run up to the end */
    chunk->begins = begins;
}

/* ---- code point by code point ---- */

struct scan {
    struct signals *out;
    struct signals_work *work;
    uint64_t *hashes;
    uint32_t *ends;
    size_t room;        /* tokens that are looked at */
    uint32_t stop_seen; /* bits of the stop words */
    bool plain_counted; /* the plain characters of what is read are counted already */
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
    if (byte[0] > 0xE0 && byte[0] < 0xED && scan->len - at > 2 && (byte[1] & 0xC0) == 0x80 &&
        (byte[2] & 0xC0) == 0x80) {
        *c = (byte[0] & 0xFu) << 12 | (byte[1] & 0x3Fu) << 6 | (byte[2] & 0x3Fu);
        return 3;
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

static inline bool is_plain(uint32_t c, enum unicode_kind kind)
{
    return c < 0x80 ? in_word(kind) || kind == UNICODE_SPACE : c >= 0x400 && c < 0x480;
}

static void add_token(struct scan *scan, uint64_t hash, size_t characters)
{
    struct signals_work *work = scan->work;
    scan->out->tokens++;
    if (work->tokens < scan->room) {
        scan->hashes[work->tokens] = hash;
        scan->ends[work->tokens + 1] = scan->ends[work->tokens] + (uint32_t)characters + 1;
        work->tokens++;
        scan->out->measured_characters = scan->out->characters;
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

/* Counts what has not been counted of the word's characters.  Returns their number. */
static size_t read_word(struct scan *scan, bool *letter)
{
    struct signals *out = scan->out;
    size_t characters = 0;
    while (scan->at < scan->len) {
        uint32_t c;
        size_t taken = read_character(&c, scan, scan->at);
        uint8_t properties = unicode_properties(c);
        enum unicode_kind kind = (enum unicode_kind)(properties & UNICODE_KIND_MASK);
        if (!in_word(kind) && !joins_at(scan, scan->at, c, taken))
            break;
        *letter |= kind == UNICODE_LETTER;
        if (!scan->plain_counted || !is_plain(c, kind)) {
            out->characters++;
            out->letters += kind == UNICODE_LETTER;
            out->digits += kind == UNICODE_NUMBER;
            out->upper += kind == UNICODE_LETTER && (properties & UNICODE_UPPER);
        }
        characters++;
        scan->at += taken;
    }
    return characters;
}

static void scan_word(struct scan *scan)
{
    struct signals *out = scan->out;
    size_t begin = scan->at;
    bool letter = false;
    size_t characters = read_word(scan, &letter);
    out->words++;
    out->word_characters += characters;
    if (characters > out->word_longest)
        out->word_longest = characters;
    out->words_alphabetic += letter;
    uint64_t hash = token_hash(scan->data + begin, scan->at - begin);
    add_token(scan, hash, characters);
    uint32_t stop = stop_bit(&scan->work->stop, hash);
    scan->stop_seen |= stop;
    out->stop_hits += stop != 0;
}

static bool is_damaged(uint32_t c, enum unicode_kind kind)
{
    bool control = (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0);
    return control || c == UTF8_REPLACEMENT || (kind == UNICODE_OTHER && c >= 0xE000 && c < 0xF900);
}

/* A run of one symbol is one token. */
static void scan_symbol(struct scan *scan, uint32_t symbol, enum unicode_kind kind)
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
    out->damaged += is_damaged(symbol, kind) ? characters : 0;
    add_token(scan, token_hash(scan->data + begin, scan->at - begin), characters);
}

/* The token or the white space at scan->at. */
static void scan_one(struct scan *scan)
{
    uint32_t c;
    size_t taken = read_character(&c, scan, scan->at);
    enum unicode_kind kind = unicode_kind(c);
    if (kind == UNICODE_SPACE) {
        scan->at += taken;
        scan->out->characters++;
        scan->out->spaces++;
        scan->out->damaged += is_damaged(c, kind);
    } else if (in_word(kind))
        scan_word(scan);
    else
        scan_symbol(scan, c, kind);
}

/* ---- chunk by chunk ---- */

/* Whether a word may go on after its plain characters where this byte stands. */
static inline bool may_go_on(uint8_t byte)
{
    return byte >= 0x80 || byte == '\'' || byte == '-';
}

/* What is counted of plain words, in registers. */
struct tally {
    uint64_t words, characters, longest, alphabetic, stop_hits, symbols;
    uint32_t stop_seen;
};

static inline void tally_token(const struct scan *scan, size_t token, uint64_t hash,
                               size_t characters)
{
    scan->hashes[token] = hash;
    scan->ends[token + 1] = scan->ends[token] + (uint32_t)characters + 1;
}

/* Reads `len` bytes, at most 16, of 16 that may be read; the others are zeros. */
static inline void read_half(uint64_t half[2], const uint8_t *at, size_t len)
{
    static const uint8_t kept[2 * HALF_BYTES] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                                 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    uint64_t mask[2];
    memcpy(half, at, HALF_BYTES);
    memcpy(mask, kept + HALF_BYTES - len, HALF_BYTES);
    half[0] &= mask[0];
    half[1] &= mask[1];
}

/* Bytes beyond ASCII. */
static inline size_t count_beyond(const uint64_t half[2])
{
    return (size_t)__builtin_popcountll((half[0] & ONES * 0x80) >> 1 | (half[1] & ONES * 0x80));
}

/* A word of plain characters alone, with at most SHORT_BYTES; as many may be read. */
static inline void scan_plain_word(struct tally *tally, const struct scan *scan, size_t token,
                                   const uint8_t *at, size_t len)
{
    uint64_t halves[4], hash;
    size_t beyond, first = len < HALF_BYTES ? len : HALF_BYTES;
    read_half(halves, at, first);
    beyond = count_beyond(halves);
    if (len <= HALF_BYTES)
        hash = mix_half(halves, len);
    else {
        read_half(halves + 2, at + HALF_BYTES, len - HALF_BYTES);
        beyond += count_beyond(halves + 2);
        hash = mix_halves(halves, len);
    }
    size_t characters = len - beyond / 2; /* both bytes of a letter are beyond ASCII */
    tally->words++;
    tally->characters += characters;
    tally->longest = characters > tally->longest ? characters : tally->longest;
    /* digits alone have no byte from 64 on; words of more than sixteen are no numbers mostly */
    bool letter = ((halves[0] | halves[1]) & ONES * 0xC0) != 0;
    if (len > HALF_BYTES)
        letter |= ((halves[2] | halves[3]) & ONES * 0xC0) != 0;
    tally->alphabetic += letter;
    uint32_t stop = stop_bit(&scan->work->stop, hash);
    tally->stop_seen |= stop;
    tally->stop_hits += stop != 0;
    tally_token(scan, token, hash, characters);
}

/* A symbol that stands alone and of which nothing else is counted. */
static inline bool is_simple_symbol(const uint8_t *at)
{
    return at[0] > ' ' && at[0] < 0x7F && at[0] != '#' && at[0] != '{' && at[0] != '}' &&
           at[0] != at[1];
}

static void count_chunk(struct signals *out, const uint8_t *flags, size_t len, size_t blocks)
{
    struct plain_counts counts = {0};
    count_plain(&counts, flags, blocks);
    counts.spaces -= blocks * BLOCK - len; /* what the chunk was filled up with */
    out->letters += counts.letters;
    out->upper += counts.upper;
    out->digits += counts.digits;
    out->spaces += counts.spaces;
    out->damaged += counts.controls;
    out->characters += counts.letters + counts.digits + counts.spaces;
}

/* Tokens at the places of a chunk; scan->data are the chunk's bytes. */
static void scan_places(struct scan *scan, const struct signals_chunk *chunk)
{
    struct signals *out = scan->out;
    struct tally tally = {0};
    const uint8_t *bytes = (const uint8_t *)scan->data;
    size_t words = 0, token = scan->work->tokens;
    for (size_t i = 0; i < chunk->begins; i++) {
        size_t begin = chunk->begin[i];
        if (chunk->flags[begin] & BYTE_WORD) {
            size_t end = chunk->end[words++];
            if (end - begin <= SHORT_BYTES && !may_go_on(bytes[end]) && begin >= scan->at) {
                scan_plain_word(&tally, scan, token++, bytes + begin, end - begin);
                continue;
            }
        } else if (is_simple_symbol(bytes + begin) && begin >= scan->at) {
            uint64_t half[2] = {htole64(bytes[begin]), 0};
            tally.symbols++;
            tally_token(scan, token++, mix_half(half, 1), 1);
            continue;
        }
        if (begin < scan->at)
            continue;
        scan->at = begin;
        scan->work->tokens = token;
        scan_one(scan);
        token = scan->work->tokens;
    }
    scan->work->tokens = token;
    scan->stop_seen |= tally.stop_seen;
    out->stop_hits += tally.stop_hits;
    out->tokens = token;
    out->words += tally.words;
    out->word_characters += tally.characters;
    out->characters += tally.symbols;
    out->words_alphabetic += tally.alphabetic;
    out->word_longest = tally.longest > out->word_longest ? tally.longest : out->word_longest;
}

/* Ends with white space or the text; has room for its tokens. */
static void scan_chunk(struct scan *scan, struct view text)
{
    struct signals_chunk *chunk = &scan->work->chunk;
    uint8_t *bytes = chunk->bytes + SIGNAL_CHUNK_MARGIN;
    size_t blocks = (text.len + BLOCK - 1) / BLOCK;
    memcpy(bytes, text.data, text.len);
    memset(bytes + text.len, ' ', SIGNAL_CHUNK_MARGIN);
    classify(chunk->flags, bytes, blocks);
    count_chunk(scan->out, chunk->flags, text.len, blocks);
    find_places(chunk, blocks);
    scan->plain_counted = true;
    scan->data = (const char *)bytes;
    scan->len = text.len;
    scan->at = 0;
    scan_places(scan, chunk);
}

static void scan_by_characters(struct scan *scan, struct view text)
{
    scan->plain_counted = false;
    scan->data = text.data;
    scan->len = text.len;
    scan->at = 0;
    while (scan->at < scan->len)
        scan_one(scan);
}

/* ---- the whole ---- */

static bool is_white(char c)
{
    return c == ' ' || c == '\n';
}

/* Takes a piece off the rest: what fits into a chunk up to its last white space, or all up to the
 * next one. */
static struct view next_piece(struct view *rest)
{
    size_t len = rest->len;
    if (len > SIGNAL_CHUNK_BYTES) {
        len = SIGNAL_CHUNK_BYTES;
        while (len > 0 && !is_white(rest->data[len - 1]))
            len--;
        if (len == 0) {
            len = SIGNAL_CHUNK_BYTES;
            while (len < rest->len && !is_white(rest->data[len - 1]))
                len++;
        }
    }
    struct view piece = {rest->data, len};
    *rest = (struct view){rest->data + len, rest->len - len};
    return piece;
}

/* Room for the tokens of a text, as far as they are looked at. */
static status begin_scan(struct scan *scan, size_t bytes, struct error *error)
{
    struct signals_work *work = scan->work;
    scan->room = bytes < SIGNAL_TOKENS_MAX ? bytes : SIGNAL_TOKENS_MAX;
    TRY(buffer_reserve(&work->hashes, scan->room * sizeof(uint64_t), error));
    TRY(buffer_reserve(&work->ends, (scan->room + 1) * sizeof(uint32_t), error));
    scan->hashes = (uint64_t *)(void *)work->hashes.data;
    scan->ends = (uint32_t *)(void *)work->ends.data;
    scan->ends[0] = 0;
    work->tokens = 0;
    return OK;
}

status signals_tokens(struct signals *out, struct signals_work *work, struct view text,
                      struct error *error)
{
    struct scan scan = {.out = out, .work = work};
    struct view rest = text;
    TRY(begin_scan(&scan, text.len, error));
    while (rest.len > 0) {
        struct view piece = next_piece(&rest);
        if (piece.len <= SIGNAL_CHUNK_BYTES && piece.len <= scan.room - work->tokens)
            scan_chunk(&scan, piece);
        else
            scan_by_characters(&scan, piece);
    }
    if (work->tokens < SIGNAL_TOKENS_MAX)
        out->measured_characters = out->characters;
    out->stop_ru = (uint64_t)__builtin_popcount(scan.stop_seen & work->stop.list[0]);
    out->stop_en = (uint64_t)__builtin_popcount(scan.stop_seen & work->stop.list[1]);
    return OK;
}
