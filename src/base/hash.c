#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"

struct sha256 sha256_of(const void *data, size_t len)
{
    struct sha256 hash;
    SHA256(data ? data : "", len, hash.byte);
    return hash;
}

status sha256_begin(struct sha256_state *out, struct error *error)
{
    ASSERT(out && error);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!context || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(context);
        return fail(error, ERR_MEMORY, "no memory for SHA-256");
    }
    out->context = context;
    return OK;
}

void sha256_add(struct sha256_state *state, const void *data, size_t len)
{
    int done = EVP_DigestUpdate(state->context, data, len);
    ASSERT(done == 1);
}

static struct sha256 final_hash(struct sha256_state *state)
{
    struct sha256 hash;
    int done = EVP_DigestFinal_ex(state->context, hash.byte, NULL);
    ASSERT(done == 1);
    return hash;
}

struct sha256 sha256_end(struct sha256_state *state)
{
    struct sha256 hash = final_hash(state);
    sha256_abandon(state);
    return hash;
}

struct sha256 sha256_take(struct sha256_state *state)
{
    struct sha256 hash = final_hash(state);
    int done = EVP_DigestInit_ex(state->context, NULL, NULL);
    ASSERT(done == 1);
    return hash;
}

void sha256_abandon(struct sha256_state *state)
{
    EVP_MD_CTX_free(state->context);
    state->context = NULL;
}

/* Pages of a mapping would stay in memory until its end. */
static status hash_pieces(struct sha256_state *state, int descriptor, const char *path,
                          struct error *error)
{
    static const size_t piece_bytes = 256 << 10;
    uint8_t *piece = memory_take(piece_bytes);
    if (!piece)
        return fail(error, ERR_MEMORY, "%s: no memory to read it", path);
    status result = OK;
    for (ssize_t got = 1; got > 0 && result == OK;) {
        got = read(descriptor, piece, piece_bytes);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got < 0)
            result = fail_errno(error, "%s: can't be read", path);
        else
            sha256_add(state, piece, (size_t)got);
    }
    memory_give(piece);
    return result;
}

status sha256_of_file(struct sha256 *out, const char *path, struct error *error)
{
    ASSERT(out && path && error);
    struct sha256_state state = {0};
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return fail_errno(error, "%s: can't be opened", path);
    status result = sha256_begin(&state, error);
    if (result == OK) {
        result = hash_pieces(&state, descriptor, path, error);
        *out = sha256_end(&state);
    }
    close(descriptor);
    return result;
}

void sha256_hex(char out[SHA256_HEX_BYTES], const struct sha256 *hash)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        out[2 * i] = digits[hash->byte[i] >> 4];
        out[2 * i + 1] = digits[hash->byte[i] & 15];
    }
    out[2 * SHA256_BYTES] = 0;
}

bool sha256_parse(struct sha256 *out, const char *hex)
{
    static const char digits[] = "0123456789abcdef";
    if (strlen(hex) != 2 * SHA256_BYTES)
        return false;
    struct sha256 hash = {{0}};
    for (size_t i = 0; i < 2 * SHA256_BYTES; i++) {
        const char *digit = strchr(digits, hex[i]);
        if (!digit)
            return false;
        hash.byte[i / 2] = (uint8_t)(hash.byte[i / 2] << 4 | (digit - digits));
    }
    *out = hash;
    return true;
}

bool sha256_equal(const struct sha256 *a, const struct sha256 *b)
{
    return memcmp(a->byte, b->byte, SHA256_BYTES) == 0;
}

uint64_t hash64(const void *data, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, len, seed);
}
