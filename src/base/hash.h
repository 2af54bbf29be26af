/* SHA-256 (OpenSSL) for whatever is proven, xxHash (XXH3, 64 bits, the same on every machine) for
 * tables and for choosing samples. */
#ifndef RODNIK_BASE_HASH_H
#define RODNIK_BASE_HASH_H

#include "base/error.h"

enum { SHA256_BYTES = 32, SHA256_HEX_BYTES = 65 };

struct sha256 {
    uint8_t byte[SHA256_BYTES];
};
struct sha256_state {
    void *context;
};

struct sha256 sha256_of(const void *data, size_t len);
MUST_USE status sha256_begin(struct sha256_state *out, struct error *error);
void sha256_add(struct sha256_state *state, const void *data, size_t len);
struct sha256 sha256_end(struct sha256_state *state);  /* releases the state */
struct sha256 sha256_take(struct sha256_state *state); /* the state begins anew: cheaper */
void sha256_abandon(struct sha256_state *state);       /* releases it; zeros are allowed */
MUST_USE status sha256_of_file(struct sha256 *out, const char *path, struct error *error);
void sha256_hex(char out[SHA256_HEX_BYTES], const struct sha256 *hash);
bool sha256_parse(struct sha256 *out, const char *hex); /* exactly 64 hex digits, lower case */
bool sha256_equal(const struct sha256 *a, const struct sha256 *b);

uint64_t hash64(const void *data, size_t len, uint64_t seed);

#endif
