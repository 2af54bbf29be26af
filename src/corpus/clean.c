/* Candidates become clean texts: UTF-8, NFC, one kind of line end, no control characters. */
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

/* ---- language, by script ---- */

enum { LANGUAGE_SAMPLE_BYTES = 64 << 10 };

static enum corpus_language language_of(struct view text)
{
    uint64_t counts[4];
    size_t end = text.len < LANGUAGE_SAMPLE_BYTES ? text.len : LANGUAGE_SAMPLE_BYTES;
    while (end < text.len && ((unsigned char)text.data[end] & 0xC0) == 0x80)
        end++;
    unicode_count_scripts(counts, (struct view){text.data, end});
    uint64_t cyrillic = counts[SCRIPT_CYRILLIC], latin = counts[SCRIPT_LATIN];
    uint64_t other = counts[SCRIPT_OTHER];
    uint64_t letters = cyrillic + latin + other;
    if (letters == 0 || other * 2 > letters)
        return CORPUS_OTHER;
    /* Russian technical prose is full of Latin names, English prose holds no Cyrillic */
    if (cyrillic * 10 >= letters * 3)
        return CORPUS_RU;
    return latin * 10 >= letters * 9 ? CORPUS_EN : CORPUS_OTHER;
}

/* ---- one candidate ---- */

struct cleaning {
    struct gathering *gathering;
    struct arena **arenas; /* [threads] */
    struct error *errors;  /* [threads] */
};

static status measure(struct candidate *candidate, struct view text, int64_t minimum_bytes,
                      struct arena *arena, struct error *error)
{
    text = view_trim(text);
    if (text.len < (size_t)minimum_bytes) {
        candidate->dropped = "is shorter than the minimum";
        return OK;
    }
    bool same = text.data >= candidate->bytes.data &&
                text.data + text.len <= candidate->bytes.data + candidate->bytes.len;
    if (!same) {
        char *copy = arena_alloc(arena, text.len + 1, 1, error);
        if (!copy)
            return error->code;
        text.data = memcpy(copy, text.data, text.len);
    }
    candidate->text = text;
    candidate->hash = sha256_of(text.data, text.len);
    candidate->language = language_of(text);
    struct document document = {.text = text,
                                .id = candidate->id,
                                .source = candidate->source,
                                .license = candidate->license,
                                .hash = candidate->hash};
    return document_leaf(&candidate->leaf, &document, error);
}

static status clean_into(struct buffer buffers[2], struct candidate *candidate,
                         int64_t minimum_bytes, struct arena *arena, struct error *error)
{
    struct view text = candidate->bytes;
    if (!utf8_valid(text)) {
        candidate->dropped = "is not valid UTF-8";
        return OK;
    }
    if (!is_plain(text)) {
        TRY(strip(&buffers[0], text, error));
        text = (struct view){buffers[0].data, buffers[0].len};
    }
    if (unicode_nfc_prefix(text) < text.len) {
        TRY(unicode_nfc(&buffers[1], text, error));
        text = (struct view){buffers[1].data, buffers[1].len};
    }
    return measure(candidate, text, minimum_bytes, arena, error);
}

static void clean_some(void *context, size_t begin, size_t end, int thread)
{
    struct cleaning *cleaning = context;
    struct error *error = &cleaning->errors[thread];
    for (size_t i = begin; i < end && error->code == OK && !interrupt_requested(); i++) {
        struct candidate *candidate = &cleaning->gathering->list[i];
        struct buffer buffers[2];
        for (int b = 0; b < 2; b++)
            buffer_create(&buffers[b], 3 * (size_t)TEXT_BYTES_MAX);
        if (candidate->bytes.len > TEXT_BYTES_MAX)
            candidate->dropped = "is larger than allowed";
        else
            (void)!clean_into(buffers, candidate, cleaning->gathering->settings->minimum_bytes,
                              cleaning->arenas[thread], error);
        for (int b = 0; b < 2; b++)
            buffer_destroy(&buffers[b]);
    }
}

status clean(struct gathering *gathering, struct thread_pool *pool, struct arena **arenas,
             struct error *error)
{
    size_t threads = (size_t)thread_pool_count(pool);
    struct cleaning cleaning = {gathering, arenas, NULL};
    TRY_ALLOC(cleaning.errors, gathering->arena, threads, error);
    parallel_for(pool, gathering->count, 8, clean_some, &cleaning);
    if (interrupt_requested())
        return fail(error, ERR_INTERRUPTED, "stopped while cleaning documents");
    for (size_t i = 0; i < threads; i++)
        if (cleaning.errors[i].code != OK)
            return fail(error, cleaning.errors[i].code, "%s", cleaning.errors[i].text);
    return OK;
}
