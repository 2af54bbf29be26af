#include "text/language.h"

#include <string.h>

#include "base/hash.h"
#include "text/language_internal.h"

struct language_model {
    int count;
    uint32_t buckets;
    double scale; /* of one step of a weight */
    char label[LANGUAGES_MAX][LANGUAGE_LABEL_BYTES];
    int8_t (*weights)[LANGUAGES_MAX]; /* [buckets]; columns beyond count are 0 */
    uint32_t folds[LANGUAGE_FOLDS];
};

/* ---- numbers ---- */

double language_exp(double x)
{
    if (x < -700)
        return 0;
    if (x > 700)
        x = 700;
    /* exp(x) = 2^k exp(r), |r| <= log(2)/2, by the Taylor series: its 13th term is below 1e-17 */
    double k = (double)(int)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
    double r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
    double sum = 1;
    for (int i = 13; i > 0; i--)
        sum = 1 + r * sum / i;
    uint64_t bits = (uint64_t)((int64_t)k + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

void language_softmax(double *values, int count)
{
    double highest = values[0], sum = 0;
    for (int i = 1; i < count; i++)
        highest = values[i] > highest ? values[i] : highest;
    for (int i = 0; i < count; i++) {
        values[i] = language_exp(values[i] - highest);
        sum += values[i];
    }
    for (int i = 0; i < count; i++)
        values[i] /= sum;
}

/* ---- features ---- */

uint32_t language_fold(uint32_t code_point)
{
    enum unicode_kind kind = unicode_kind(code_point);
    if (kind != UNICODE_LETTER && kind != UNICODE_MARK)
        return 0;
    enum unicode_script script = unicode_script(code_point);
    uint32_t flag = script == SCRIPT_CYRILLIC ? LANGUAGE_FOLD_CYRILLIC
                    : script == SCRIPT_LATIN  ? LANGUAGE_FOLD_LATIN
                    : kind == UNICODE_LETTER  ? LANGUAGE_FOLD_OTHER
                                              : 0;
    uint32_t lower = unicode_to_lower(code_point);
    /* none of the two scripts lies above U+FFFF except for rarities, which may share a symbol */
    return flag | ((lower & 0xFFFF) > 1 ? lower & 0xFFFF : 2);
}

int language_script(const uint64_t letters[LANGUAGE_SCRIPTS + 1])
{
    uint64_t known = letters[LANGUAGE_CYRILLIC] + letters[LANGUAGE_LATIN];
    uint64_t other = letters[LANGUAGE_SCRIPTS];
    if (known == 0 || other > known)
        return -1;
    return letters[LANGUAGE_CYRILLIC] * 10 >= (known + other) * 3 ? LANGUAGE_CYRILLIC
                                                                  : LANGUAGE_LATIN;
}

struct walk {
    struct language_words *words;
    struct language_features features;
    language_sink *sink;
    void *context;
};

enum { WORD_BOUNDARY = 1 };
#define FEATURE_MIX 0x9E3779B97F4A7C15u
#define WORD_MIX    0xD6E8FEB86659FD93u

static inline uint32_t bucket_of(uint64_t key, uint32_t buckets)
{
    uint64_t mixed = (key ^ key >> 29) * FEATURE_MIX;
    mixed ^= mixed >> 32;
    return (uint32_t)((mixed * FEATURE_MIX >> 32) * buckets >> 32);
}

static void flush(struct walk *walk, int script)
{
    if (walk->features.count[script])
        walk->sink(walk->context, script, walk->features.bucket[script],
                   walk->features.count[script]);
    walk->features.count[script] = 0;
}

/* The last four symbols of a word, the newest lowest, 16 bits each; n-grams are its low ends. */
static inline void add_grams(struct walk *walk, int script, uint64_t last_four, int from, int to)
{
    uint32_t *out = walk->features.bucket[script] + walk->features.count[script];
    for (int n = from; n <= to; n++)
        *out++ = bucket_of(n == 4 ? last_four : last_four & ((1ull << 16 * n) - 1),
                           walk->words->buckets);
    walk->features.count[script] += (size_t)(to - from + 1);
    if (walk->features.count[script] > LANGUAGE_FEATURES_MAX - 8)
        flush(walk, script);
}

struct word {
    uint64_t last_four, hash;
    int length, script; /* length: symbols with the boundary before it, at most 4 count */
};

static inline void word_letter(struct walk *walk, struct word *word, uint32_t fold)
{
    if (word->length == 0) {
        word->script = fold & LANGUAGE_FOLD_CYRILLIC ? LANGUAGE_CYRILLIC : LANGUAGE_LATIN;
        word->last_four = WORD_BOUNDARY;
        word->hash = 0;
        word->length = 1;
    }
    uint64_t symbol = fold & LANGUAGE_FOLD_LETTER;
    word->last_four = word->last_four << 16 | symbol;
    word->hash = (word->hash ^ symbol) * WORD_MIX;
    word->length += word->length < 4;
    add_grams(walk, word->script, word->last_four, 1, word->length);
}

static inline void word_end(struct walk *walk, struct word *word)
{
    if (word->length == 0)
        return;
    word->last_four = word->last_four << 16 | WORD_BOUNDARY;
    word->length += word->length < 4;
    add_grams(walk, word->script, word->last_four, 2, word->length);
    /* the highest bit tells words from n-grams */
    uint32_t bucket = bucket_of(word->hash | 1ull << 63, walk->words->buckets);
    walk->features.bucket[word->script][walk->features.count[word->script]++] = bucket;
    word->length = 0;
}

void language_walk(struct language_words *words, struct view text, language_sink *sink,
                   void *context)
{
    struct walk walk = {.words = words, .sink = sink, .context = context};
    struct word word = {0};
    uint64_t *letters = words->letters;
    for (size_t at = 0; at < text.len;) {
        uint32_t c;
        at += utf8_decode(&c, text.data + at, text.len - at);
        uint32_t fold = c < LANGUAGE_FOLDS ? words->folds[c] : c == UTF8_BAD ? 0 : language_fold(c);
        letters[LANGUAGE_CYRILLIC] += (fold & LANGUAGE_FOLD_CYRILLIC) != 0;
        letters[LANGUAGE_LATIN] += (fold & LANGUAGE_FOLD_LATIN) != 0;
        letters[LANGUAGE_SCRIPTS] += (fold & LANGUAGE_FOLD_OTHER) != 0;
        if (fold == 0 || fold & LANGUAGE_FOLD_OTHER)
            word_end(&walk, &word);
        else
            word_letter(&walk, &word, fold);
    }
    word_end(&walk, &word);
    for (int script = 0; script < LANGUAGE_SCRIPTS; script++)
        flush(&walk, script);
}

/* ---- recognising ---- */

struct tally {
    const struct language_model *model;
    int64_t sum[LANGUAGE_SCRIPTS][LANGUAGES_MAX];
    uint64_t count[LANGUAGE_SCRIPTS];
};

/* At most LANGUAGE_FEATURES_MAX weights of at most 127 fit into 16 bits. */
_Static_assert(LANGUAGE_FEATURES_MAX * 127 <= INT16_MAX, "sums of a list must fit");

static void add_weights(void *context, int script, const uint32_t *bucket, size_t count)
{
    struct tally *tally = context;
    int8_t(*weights)[LANGUAGES_MAX] = tally->model->weights;
    int16_t sum[LANGUAGES_MAX] = {0};
    for (size_t i = 0; i < count; i++)
        for (int l = 0; l < LANGUAGES_MAX; l++)
            sum[l] = (int16_t)(sum[l] + weights[bucket[i]][l]);
    for (int l = 0; l < LANGUAGES_MAX; l++)
        tally->sum[script][l] += sum[l];
    tally->count[script] += count;
}

static struct language_guess decide(const struct tally *tally, const uint64_t *letters,
                                    double shares[LANGUAGES_MAX])
{
    const struct language_model *model = tally->model;
    struct language_guess guess = {.language = -1};
    int script = language_script(letters);
    memset(shares, 0, LANGUAGES_MAX * sizeof *shares);
    if (script < 0 || tally->count[script] == 0)
        return guess;
    double step = model->scale / (double)tally->count[script];
    for (int l = 0; l < model->count; l++)
        shares[l] = (double)tally->sum[script][l] * step;
    language_softmax(shares, model->count);
    guess.language = 0;
    for (int l = 1; l < model->count; l++)
        if (shares[l] > shares[guess.language])
            guess.language = l;
    guess.score = shares[guess.language];
    return guess;
}

struct language_guess language_detect_all(const struct language_model *model, struct view text,
                                          double shares[LANGUAGES_MAX])
{
    ASSERT(model && (text.data || text.len == 0));
    double own[LANGUAGES_MAX];
    struct tally tally = {.model = model};
    struct language_words words = {.folds = model->folds, .buckets = model->buckets};
    language_walk(&words, text, add_weights, &tally);
    return decide(&tally, words.letters, shares ? shares : own);
}

/* The next word's beginning, so that no piece begins inside of one. */
static size_t skip_word(struct view text, size_t at)
{
    enum { WORD_BYTES_MAX = 64 };
    for (size_t i = at; i < text.len && i < at + WORD_BYTES_MAX; i++)
        if (text.data[i] == ' ' || text.data[i] == '\n')
            return i;
    return utf8_floor(text, at);
}

/* Calls for each piece of the sample of a text that is longer than it. */
static void each_piece(struct view text, void (*look)(void *context, struct view piece),
                       void *context)
{
    enum { PIECES = 8, PIECE_BYTES = LANGUAGE_SAMPLE_BYTES / PIECES };
    for (size_t i = 0; i < PIECES; i++) {
        size_t begin = text.len / PIECES * i;
        begin = i ? skip_word(text, begin) : begin;
        size_t end = skip_word(text, begin + PIECE_BYTES - 64);
        look(context, (struct view){text.data + begin, end - begin});
    }
}

struct looking {
    struct language_words words;
    struct tally tally;
};

static void walk_piece(void *context, struct view piece)
{
    struct looking *looking = context;
    language_walk(&looking->words, piece, add_weights, &looking->tally);
}

struct language_guess language_detect(const struct language_model *model, struct view text)
{
    ASSERT(model && (text.data || text.len == 0));
    if (text.len <= LANGUAGE_SAMPLE_BYTES)
        return language_detect_all(model, text, NULL);
    double shares[LANGUAGES_MAX];
    struct looking looking = {.words = {.folds = model->folds, .buckets = model->buckets},
                              .tally = {.model = model}};
    each_piece(text, walk_piece, &looking);
    return decide(&looking.tally, looking.words.letters, shares);
}

/* ---- recognising with a memory of words ---- */

enum { MEMORY_BITS = 14, MEMORY_LETTERS = 13 };

/* A word and the sum of its features' weights, 64 bytes. */
struct known_word {
    struct known_key {
        uint16_t symbol[MEMORY_LETTERS]; /* zeros after the last */
        uint16_t kind;                   /* letters * LANGUAGE_SCRIPTS + script; 0: free */
    } key;
    uint16_t features, unused;
    int16_t sum[LANGUAGES_MAX];
};
_Static_assert(sizeof(struct known_word) == 64, "a line of the cache");

struct language_memory {
    const struct language_model *model;
    _Alignas(ARENA_ALIGN) struct known_word words[1 << MEMORY_BITS];
};

status language_memory_create(struct language_memory **out, const struct language_model *model,
                              struct arena *arena, struct error *error)
{
    ASSERT(out && model && arena && error);
    struct language_memory *memory;
    TRY_ALLOC(memory, arena, 1, error);
    memory->model = model;
    *out = memory;
    return OK;
}

/* Words that are looked up a little later, when their place has come from memory. */
enum { WAITING = 8 };
struct waiting_word {
    struct known_word *place;
    struct known_key key; /* of kind 0: none */
};

struct recalling {
    struct language_memory *memory;
    struct waiting_word waiting[WAITING];
    size_t turn;
    struct tally tally;
    struct language_words words;
    struct walk walk; /* for words that are too long to remember */
    struct word word;
    struct known_key key;
    uint64_t hash;
    uint32_t letters; /* of the word so far */
};

/* The folded letter as word_letter wants it. */
static inline uint32_t unfold(const struct known_key *key, size_t letter, int script)
{
    return key->symbol[letter] |
           (uint32_t)(script == LANGUAGE_CYRILLIC ? LANGUAGE_FOLD_CYRILLIC : LANGUAGE_FOLD_LATIN);
}

static void learn_word(struct known_word *out, struct recalling *recalling,
                       const struct known_key *key)
{
    int script = key->kind % LANGUAGE_SCRIPTS;
    size_t letters = key->kind / LANGUAGE_SCRIPTS;
    struct walk *walk = &recalling->walk;
    struct tally tally = {.model = recalling->memory->model};
    struct word word = {0};
    flush(walk, script); /* nothing of other words is left there */
    walk->context = &tally;
    for (size_t i = 0; i < letters; i++)
        word_letter(walk, &word, unfold(key, i, script));
    word_end(walk, &word);
    flush(walk, script);
    walk->context = &recalling->tally;
    *out = (struct known_word){.key = *key, .features = (uint16_t)tally.count[script]};
    for (int l = 0; l < LANGUAGES_MAX; l++)
        out->sum[l] = (int16_t)tally.sum[script][l];
}

static void recall_word(struct recalling *recalling, const struct waiting_word *word)
{
    int script = word->key.kind % LANGUAGE_SCRIPTS;
    struct known_word *known = word->place;
    if (word->key.kind == 0)
        return;
    if (memcmp(&known->key, &word->key, sizeof word->key) != 0)
        learn_word(known, recalling, &word->key);
    for (int l = 0; l < LANGUAGES_MAX; l++)
        recalling->tally.sum[script][l] += known->sum[l];
    recalling->tally.count[script] += known->features;
}

static void recall_end(struct recalling *recalling)
{
    struct known_key *key = &recalling->key;
    if (recalling->letters > MEMORY_LETTERS)
        word_end(&recalling->walk, &recalling->word);
    else if (recalling->letters > 0) {
        key->kind = (uint16_t)(key->kind + recalling->letters * LANGUAGE_SCRIPTS);
        struct waiting_word *waiting = &recalling->waiting[recalling->turn++ % WAITING];
        recall_word(recalling, waiting);
        waiting->place = &recalling->memory->words[recalling->hash >> (64 - MEMORY_BITS)];
        waiting->key = *key;
        __builtin_prefetch(waiting->place);
    }
    recalling->letters = 0;
}

static void recall_letter(struct recalling *recalling, uint32_t fold)
{
    struct known_key *key = &recalling->key;
    if (recalling->letters == 0) {
        *key = (struct known_key){.kind = fold & LANGUAGE_FOLD_CYRILLIC ? LANGUAGE_CYRILLIC
                                                                        : LANGUAGE_LATIN};
        recalling->hash = 0;
    }
    size_t letter = recalling->letters++;
    if (letter < MEMORY_LETTERS) {
        key->symbol[letter] = (uint16_t)(fold & LANGUAGE_FOLD_LETTER);
        recalling->hash = (recalling->hash ^ key->symbol[letter]) * WORD_MIX;
        return;
    }
    for (size_t i = 0; letter == MEMORY_LETTERS && i < MEMORY_LETTERS; i++)
        word_letter(&recalling->walk, &recalling->word, unfold(key, i, key->kind));
    word_letter(&recalling->walk, &recalling->word, fold);
}

static void recall_piece(void *context, struct view piece)
{
    struct recalling *recalling = context;
    const uint32_t *folds = recalling->memory->model->folds;
    const unsigned char *byte = (const unsigned char *)piece.data;
    uint64_t cyrillic = 0, latin = 0, other = 0;
    for (size_t at = 0; at < piece.len;) {
        uint32_t c = byte[at], fold;
        if (c < 0x80)
            at++;
        else if (c >= 0xC2 && c < 0xD4 && piece.len - at > 1 && (byte[at + 1] & 0xC0) == 0x80) {
            c = (c & 0x1F) << 6 | (byte[at + 1] & 0x3F);
            at += 2;
        } else
            at += utf8_decode(&c, piece.data + at, piece.len - at);
        fold = c < LANGUAGE_FOLDS ? folds[c] : c == UTF8_BAD ? 0 : language_fold(c);
        cyrillic += (fold & LANGUAGE_FOLD_CYRILLIC) != 0;
        latin += (fold & LANGUAGE_FOLD_LATIN) != 0;
        other += (fold & LANGUAGE_FOLD_OTHER) != 0;
        if (fold == 0 || fold & LANGUAGE_FOLD_OTHER)
            recall_end(recalling);
        else
            recall_letter(recalling, fold);
    }
    recall_end(recalling);
    for (int script = 0; script < LANGUAGE_SCRIPTS; script++)
        flush(&recalling->walk, script);
    recalling->words.letters[LANGUAGE_CYRILLIC] += cyrillic;
    recalling->words.letters[LANGUAGE_LATIN] += latin;
    recalling->words.letters[LANGUAGE_SCRIPTS] += other;
}

/* The lists of features stay as they are: they have counts. */
static void begin_recalling(struct recalling *out, struct language_memory *memory)
{
    out->memory = memory;
    out->tally = (struct tally){.model = memory->model};
    out->words = (struct language_words){.buckets = memory->model->buckets};
    out->walk.words = &out->words;
    out->walk.sink = add_weights;
    out->walk.context = &out->tally;
    memset(out->walk.features.count, 0, sizeof out->walk.features.count);
    out->word = (struct word){0};
    out->letters = 0;
    out->turn = 0;
    memset(out->waiting, 0, sizeof out->waiting);
}

struct language_guess language_recall(struct language_memory *memory, struct view text)
{
    ASSERT(memory && (text.data || text.len == 0));
    double shares[LANGUAGES_MAX];
    struct recalling recalling;
    begin_recalling(&recalling, memory);
    if (text.len <= LANGUAGE_SAMPLE_BYTES)
        recall_piece(&recalling, text);
    else
        each_piece(text, recall_piece, &recalling);
    for (size_t i = 0; i < WAITING; i++)
        recall_word(&recalling, &recalling.waiting[i]);
    return decide(&recalling.tally, recalling.words.letters, shares);
}

int language_count(const struct language_model *model)
{
    return model->count;
}

const char *language_label(const struct language_model *model, int language)
{
    ASSERT(language >= 0 && language < model->count);
    return model->label[language];
}

/* ---- the file -------------------------------------------------------------------------------
 * 64 bytes: magic (16), u32 version, u32 labels, u32 buckets, u32 zero, f64 scale, u64 bytes of
 * the file, zeros; labels of 8 bytes; int8 weights [buckets][labels]; SHA-256 of all before it. */

static status bad(const char *name, const char *what, struct error *error)
{
    return fail(error, ERR_FORMAT, "%s: %s; allowed is a file of `rodnik corpus language train`",
                name, what);
}

struct header {
    uint32_t version, count, buckets;
    double scale;
    uint64_t bytes;
};

static bool header_read(struct header *out, struct view file)
{
    if (file.len < LANGUAGE_HEADER_BYTES || memcmp(file.data, LANGUAGE_MAGIC, 15) != 0)
        return false;
    memcpy(&out->version, file.data + 16, 4);
    memcpy(&out->count, file.data + 20, 4);
    memcpy(&out->buckets, file.data + 24, 4);
    memcpy(&out->scale, file.data + 32, 8);
    memcpy(&out->bytes, file.data + 40, 8);
    return true;
}

static bool label_is_good(const char label[LANGUAGE_LABEL_BYTES])
{
    size_t len = strnlen(label, LANGUAGE_LABEL_BYTES);
    if (len == 0 || len == LANGUAGE_LABEL_BYTES)
        return false;
    for (size_t i = 0; i < LANGUAGE_LABEL_BYTES; i++)
        if (i < len ? !strchr("abcdefghijklmnopqrstuvwxyz0123456789-", label[i]) : label[i] != 0)
            return false;
    return true;
}

static status check(const struct header *header, struct view file, const char *name,
                    struct error *error)
{
    if (header->version != 1)
        return bad(name, "is of another version than 1", error);
    if (header->count < 2 || header->count > LANGUAGES_MAX)
        return bad(name, "does not have 2 to 16 languages", error);
    if (header->buckets < LANGUAGE_BUCKETS_MIN || header->buckets > LANGUAGE_BUCKETS_MAX)
        return bad(name, "has a table of a size that is not allowed", error);
    if (!(header->scale > 0 && header->scale < 1e6))
        return bad(name, "has a scale that is not allowed", error);
    uint64_t want = LANGUAGE_HEADER_BYTES + (uint64_t)header->count * LANGUAGE_LABEL_BYTES +
                    (uint64_t)header->buckets * header->count + SHA256_BYTES;
    if (header->bytes != want || file.len != want)
        return bad(name, "is cut off or too long", error);
    struct sha256 hash = sha256_of(file.data, file.len - SHA256_BYTES);
    if (memcmp(hash.byte, file.data + file.len - SHA256_BYTES, SHA256_BYTES) != 0)
        return bad(name, "is damaged (its hash differs)", error);
    for (uint32_t l = 0; l < header->count; l++)
        if (!label_is_good(file.data + LANGUAGE_HEADER_BYTES + l * LANGUAGE_LABEL_BYTES))
            return bad(name, "has a label that is not allowed", error);
    return OK;
}

status language_open(struct language_model **out, struct view file, const char *name,
                     struct arena *arena, struct error *error)
{
    ASSERT(out && name && arena && error);
    struct header header = {0};
    if (!header_read(&header, file))
        return bad(name, "is no language model", error);
    TRY(check(&header, file, name, error));
    struct language_model *model;
    int8_t(*weights)[LANGUAGES_MAX];
    TRY_ALLOC(model, arena, 1, error);
    TRY_ALLOC(weights, arena, header.buckets, error);
    model->count = (int)header.count;
    model->buckets = header.buckets;
    model->scale = header.scale;
    model->weights = weights;
    const char *at = file.data + LANGUAGE_HEADER_BYTES;
    memcpy(model->label, at, header.count * LANGUAGE_LABEL_BYTES);
    at += header.count * LANGUAGE_LABEL_BYTES;
    for (uint32_t b = 0; b < header.buckets; b++, at += header.count)
        memcpy(weights[b], at, header.count);
    for (uint32_t c = 0; c < LANGUAGE_FOLDS; c++)
        model->folds[c] = language_fold(c);
    *out = model;
    return OK;
}

extern const unsigned char embedded_language_bin[];
extern const unsigned long embedded_language_bin_len;

status language_open_own(struct language_model **out, struct arena *arena, struct error *error)
{
    struct view file = {(const char *)embedded_language_bin, embedded_language_bin_len};
    return language_open(out, file, "the program's own language model", arena, error);
}
