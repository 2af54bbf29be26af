#include "corpus/membership.h"

#include <string.h>

#include "base/external_sort.h"
#include "base/file.h"

enum { KEY_WORDS = SHA256_BYTES / 8, HELD = 2048 };

static const char KEY_DOMAIN[] = "rodnik key";

struct sha256 corpus_root_of(const struct corpus_roots *roots)
{
    ASSERT(roots);
    uint8_t bytes[1 + 3 * SHA256_BYTES + 16] = {2}, *at = bytes + 1;
    const struct sha256 *const hashes[] = {&roots->documents, &roots->keys, &roots->salt};
    const uint64_t counts[] = {roots->document_count, roots->key_count};
    for (size_t i = 0; i < 3; i++, at += SHA256_BYTES)
        memcpy(at, hashes[i]->byte, SHA256_BYTES);
    for (size_t i = 0; i < 2; i++)
        for (int shift = 0; shift < 64; shift += 8)
            *at++ = (uint8_t)(counts[i] >> shift);
    return sha256_of(bytes, sizeof bytes);
}

struct sha256 corpus_key(const struct sha256 *salt, const struct sha256 *read)
{
    ASSERT(salt && read);
    enum { DOMAIN_BYTES = sizeof KEY_DOMAIN - 1 };
    uint8_t bytes[DOMAIN_BYTES + 2 * SHA256_BYTES];
    memcpy(bytes, KEY_DOMAIN, DOMAIN_BYTES);
    memcpy(bytes + DOMAIN_BYTES, salt->byte, SHA256_BYTES);
    memcpy(bytes + DOMAIN_BYTES + SHA256_BYTES, read->byte, SHA256_BYTES);
    return sha256_of(bytes, sizeof bytes);
}

status corpus_key_leaf(struct sha256 *out, const struct sha256 *key, struct error *error)
{
    const struct view bytes = {(const char *)key->byte, SHA256_BYTES};
    return merkle_leaf(out, &bytes, 1, error);
}

int sha256_compare(const struct sha256 *a, const struct sha256 *b)
{
    return memcmp(a->byte, b->byte, SHA256_BYTES);
}

/* ---- roots of documents that come one by one ---- */

struct corpus_roots_maker {
    struct arena *arena;
    struct corpus_roots_settings settings;
    struct merkle_stream documents;
    struct sha256_state salt;
    bool salted;               /* the salt's state is to be ended */
    struct file_scratch reads; /* hashes of texts as read: the salt is known only at the end */
    struct sha256 *held;       /* [HELD] of these, not yet written */
    size_t held_count;
    struct external_sort *keys;
};

static status create_in(struct corpus_roots_maker *maker, struct error *error)
{
    const struct external_sort_settings keys = {KEY_WORDS, maker->settings.memory_bytes,
                                                maker->settings.folder, maker->settings.pool};
    TRY_ALLOC(maker->held, maker->arena, HELD, error);
    TRY(external_sort_create(&maker->keys, &keys, error));
    TRY(file_scratch_open(&maker->reads, maker->settings.folder, error));
    TRY(sha256_begin(&maker->salt, error));
    maker->salted = true;
    sha256_add(&maker->salt, CORPUS_SALT_DOMAIN, sizeof CORPUS_SALT_DOMAIN - 1);
    return OK;
}

status corpus_roots_create(struct corpus_roots_maker **out,
                           const struct corpus_roots_settings *settings, struct error *error)
{
    ASSERT(out && settings && settings->folder && error);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct corpus_roots_maker *maker = arena_alloc(arena, 1, sizeof *maker, error);
    if (!maker) {
        arena_destroy(arena);
        return error->code;
    }
    maker->arena = arena;
    maker->settings = *settings;
    status result = create_in(maker, error);
    if (result != OK) {
        corpus_roots_destroy(maker);
        return result;
    }
    *out = maker;
    return OK;
}

void corpus_roots_destroy(struct corpus_roots_maker *maker)
{
    if (!maker)
        return;
    if (maker->salted)
        (void)sha256_end(&maker->salt);
    file_scratch_close(&maker->reads);
    external_sort_destroy(maker->keys);
    arena_destroy(maker->arena);
}

static status write_held(struct corpus_roots_maker *maker, struct error *error)
{
    TRY(file_scratch_add(&maker->reads, maker->held, maker->held_count * sizeof *maker->held,
                         error));
    maker->held_count = 0;
    return OK;
}

status corpus_roots_add(struct corpus_roots_maker *maker, const struct document_hashes *document,
                        struct error *error)
{
    ASSERT(maker && document && maker->salted && error);
    merkle_stream_add(&maker->documents, &document->leaf);
    sha256_add(&maker->salt, document->text.byte, SHA256_BYTES);
    maker->held[maker->held_count++] = document->read;
    return maker->held_count == HELD ? write_held(maker, error) : OK;
}

/* As numbers, so that the order of numbers is that of bytes. */
static void key_words(uint64_t words[KEY_WORDS], const struct sha256 *key)
{
    for (size_t i = 0; i < KEY_WORDS; i++) {
        memcpy(&words[i], key->byte + 8 * i, 8);
        words[i] = __builtin_bswap64(words[i]);
    }
}

static void key_of_words(struct sha256 *key, const uint64_t words[KEY_WORDS])
{
    for (size_t i = 0; i < KEY_WORDS; i++) {
        uint64_t word = __builtin_bswap64(words[i]);
        memcpy(key->byte + 8 * i, &word, 8);
    }
}

static status sort_keys(struct corpus_roots_maker *maker, const struct sha256 *salt,
                        struct error *error)
{
    TRY(write_held(maker, error));
    for (uint64_t at = 0; at < maker->reads.len;) {
        size_t len = HELD * sizeof *maker->held;
        if (len > maker->reads.len - at)
            len = (size_t)(maker->reads.len - at);
        TRY(file_scratch_read(maker->held, &maker->reads, at, len, error));
        for (size_t i = 0; i < len / sizeof *maker->held; i++) {
            uint64_t words[KEY_WORDS];
            struct sha256 key = corpus_key(salt, &maker->held[i]);
            key_words(words, &key);
            TRY(external_sort_add(maker->keys, words, 1, error));
        }
        at += len;
    }
    return external_sort_finish(maker->keys, error);
}

static status add_sorted(struct merkle_stream *tree, struct external_sort *keys,
                         struct error *error)
{
    struct sha256 last = {{0}}, key, leaf;
    for (;;) {
        const uint64_t *words;
        TRY(external_sort_next(&words, keys, error));
        if (!words)
            return OK;
        key_of_words(&key, words);
        if (tree->count && sha256_equal(&key, &last))
            continue;
        last = key;
        TRY(corpus_key_leaf(&leaf, &key, error));
        merkle_stream_add(tree, &leaf);
    }
}

status corpus_roots_finish(struct corpus_roots *out, struct corpus_roots_maker *maker,
                           struct error *error)
{
    ASSERT(out && maker && maker->salted && error);
    struct merkle_stream tree = {0};
    struct corpus_roots roots = {.salt = sha256_end(&maker->salt)};
    maker->salted = false;
    TRY(sort_keys(maker, &roots.salt, error));
    TRY(add_sorted(&tree, maker->keys, error));
    roots.documents = merkle_stream_root(&maker->documents);
    roots.document_count = maker->documents.count;
    roots.keys = merkle_stream_root(&tree);
    roots.key_count = tree.count;
    roots.root = corpus_root_of(&roots);
    *out = roots;
    return OK;
}
