#include "proof/merkle.h"

#include <string.h>

static status hash_pieces(struct sha256 *out, uint8_t domain, const struct view *pieces,
                          size_t count, struct error *error)
{
    struct sha256_state state;
    TRY(sha256_begin(&state, error));
    sha256_add(&state, &domain, 1);
    for (size_t i = 0; i < count; i++)
        if (pieces[i].len)
            sha256_add(&state, pieces[i].data, pieces[i].len);
    *out = sha256_end(&state);
    return OK;
}

status merkle_leaf(struct sha256 *out, const struct view *pieces, size_t count, struct error *error)
{
    ASSERT(out && (pieces || !count) && error);
    return hash_pieces(out, 0, pieces, count, error);
}

static struct sha256 node(const struct sha256 *left, const struct sha256 *right)
{
    uint8_t bytes[1 + 2 * SHA256_BYTES] = {1};
    memcpy(bytes + 1, left->byte, SHA256_BYTES);
    memcpy(bytes + 1 + SHA256_BYTES, right->byte, SHA256_BYTES);
    return sha256_of(bytes, sizeof bytes);
}

/* One level up, in place: a node without a sibling moves up as it is. */
static size_t level_up(struct sha256 *hashes, size_t count)
{
    for (size_t i = 0; i + 1 < count; i += 2)
        hashes[i / 2] = node(&hashes[i], &hashes[i + 1]);
    if (count % 2)
        hashes[count / 2] = hashes[count - 1];
    return (count + 1) / 2;
}

static status copy_leaves(struct sha256 **out, const struct sha256 *leaves, size_t count,
                          struct arena *arena, struct error *error)
{
    TRY_ALLOC(*out, arena, count, error);
    memcpy(*out, leaves, count * sizeof *leaves);
    return OK;
}

/* Walks up from all leaves; with a proof, notes the siblings of its leaf's path. */
static status climb(struct sha256 *root, struct merkle_proof *proof, const struct sha256 *leaves,
                    size_t count, struct error *error)
{
    if (count == 0) {
        *root = sha256_of(NULL, 0);
        return OK;
    }
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct sha256 *level = NULL;
    status result = copy_leaves(&level, leaves, count, arena, error);
    size_t at = proof ? proof->index : 0;
    while (result == OK && count > 1) {
        if (proof && (at ^ 1) < count)
            proof->siblings[proof->count++] = level[at ^ 1];
        count = level_up(level, count);
        at /= 2;
    }
    if (result == OK)
        *root = level[0];
    arena_destroy(arena);
    return result;
}

status merkle_root(struct sha256 *out, const struct sha256 *leaves, size_t count,
                   struct error *error)
{
    ASSERT(out && (leaves || !count) && error);
    return climb(out, NULL, leaves, count, error);
}

status merkle_prove(struct merkle_proof *out, const struct sha256 *leaves, size_t count,
                    size_t index, struct error *error)
{
    ASSERT(out && leaves && index < count && error);
    struct merkle_proof proof = {.index = index, .leaves = count};
    struct sha256 root;
    TRY(climb(&root, &proof, leaves, count, error));
    *out = proof;
    return OK;
}

bool merkle_check(const struct merkle_proof *proof, const struct sha256 *leaf,
                  const struct sha256 *root)
{
    ASSERT(proof && leaf && root);
    if (proof->index >= proof->leaves || proof->count > MERKLE_LEVELS_MAX)
        return false;
    struct sha256 hash = *leaf;
    size_t at = proof->index, count = proof->leaves, used = 0;
    for (; count > 1; count = (count + 1) / 2, at /= 2) {
        if ((at ^ 1) >= count)
            continue;
        if (used == proof->count)
            return false;
        const struct sha256 *sibling = &proof->siblings[used++];
        hash = at % 2 ? node(sibling, &hash) : node(&hash, sibling);
    }
    return used == proof->count && sha256_equal(&hash, root);
}

void merkle_stream_add(struct merkle_stream *stream, const struct sha256 *leaf)
{
    ASSERT(stream && leaf);
    struct sha256 hash = *leaf;
    int level = 0;
    for (; stream->count >> level & 1; level++)
        hash = node(&stream->whole[level], &hash);
    stream->whole[level] = hash;
    stream->count++;
}

struct sha256 merkle_stream_root(const struct merkle_stream *stream)
{
    ASSERT(stream);
    if (stream->count == 0)
        return sha256_of(NULL, 0);
    int level = 0;
    while (!(stream->count >> level & 1))
        level++;
    struct sha256 hash = stream->whole[level];
    while (++level < MERKLE_LEVELS_MAX)
        if (stream->count >> level & 1)
            hash = node(&stream->whole[level], &hash);
    return hash;
}
