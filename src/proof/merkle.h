/* Merkle trees over SHA-256: a root for many leaves, and proofs that a leaf stands under a root.
 * Leaf = H(0x00 | data), node = H(0x01 | left | right); a node without a sibling moves up as it is
 * (RFC 9162, section 2.1).  No state, any thread. */
#ifndef RODNIK_PROOF_MERKLE_H
#define RODNIK_PROOF_MERKLE_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/string.h"

/* The hash of a leaf's data, given in pieces that are hashed one after the other. */
MUST_USE status merkle_leaf(struct sha256 *out, const struct view *pieces, size_t count,
                            struct error *error);
/* The root of `count` leaf hashes, in order; of none: H of nothing. */
MUST_USE status merkle_root(struct sha256 *out, const struct sha256 *leaves, size_t count,
                            struct error *error);

enum { MERKLE_LEVELS_MAX = 64 };
struct merkle_proof {
    size_t index, leaves; /* which leaf of how many */
    size_t count;
    struct sha256 siblings[MERKLE_LEVELS_MAX]; /* from the leaf upwards */
};
MUST_USE status merkle_prove(struct merkle_proof *out, const struct sha256 *leaves, size_t count,
                             size_t index, struct error *error);
/* Whether the leaf hash, at the proof's place, leads to the root. */
bool merkle_check(const struct merkle_proof *proof, const struct sha256 *leaf,
                  const struct sha256 *root);

/* The same root from leaf hashes that come one after the other; zeroed to begin. */
struct merkle_stream {
    uint64_t count;
    struct sha256 whole[MERKLE_LEVELS_MAX]; /* [k]: of 2^k leaves, where count has that bit */
};
void merkle_stream_add(struct merkle_stream *stream, const struct sha256 *leaf);
struct sha256 merkle_stream_root(const struct merkle_stream *stream);

#endif
