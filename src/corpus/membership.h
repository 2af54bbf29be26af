/* The roots of a corpus, and proofs that a text was or was not in it, which are checked without it.
 *
 * A corpus has two Merkle trees (proof/merkle.h).  The tree of documents stands over their leaves,
 * in their order.  The tree of keys stands over one key for each text that was read and kept, in
 * ascending order, so that two neighbours prove that nothing lies between them:
 *   salt = SHA-256("rodnik corpus salt" | SHA-256 of each document's stored text, in order)
 *   key  = SHA-256("rodnik key" | salt | SHA-256 of the text as it was read)
 *   root = SHA-256(byte 2 | root of documents | root of keys | salt | u64 documents | u64 keys)
 * with numbers little-endian.  A leaf of the tree of keys is merkle_leaf(key); equal keys stand
 * there once.  The salt is part of the root: else a prover could choose one under which any text
 * seems to be missing.
 * Not here: what a text is (corpus/corpus.h).  One thread at a time for each maker; checking has no
 * state. */
#ifndef RODNIK_CORPUS_MEMBERSHIP_H
#define RODNIK_CORPUS_MEMBERSHIP_H

#include "base/buffer.h"
#include "base/hash.h"
#include "base/string.h"
#include "proof/merkle.h"

struct thread_pool;

/* ---- roots ---- */

struct corpus_roots {
    struct sha256 root, documents, keys, salt;
    uint64_t document_count, key_count;
};

#define CORPUS_SALT_DOMAIN "rodnik corpus salt"

/* The root of all other members. */
struct sha256 corpus_root_of(const struct corpus_roots *roots);
struct sha256 corpus_key(const struct sha256 *salt, const struct sha256 *read);
/* The leaf of a key in the tree of keys. */
MUST_USE status corpus_key_leaf(struct sha256 *out, const struct sha256 *key, struct error *error);
/* Below zero, zero or above it, as memcmp. */
int sha256_compare(const struct sha256 *a, const struct sha256 *b);

struct corpus_roots_maker;
struct corpus_roots_settings {
    size_t memory_bytes;      /* for sorting keys, at least SORT_MEMORY_BYTES_MIN */
    const char *folder;       /* for temporary files; kept as a pointer */
    struct thread_pool *pool; /* NULL: the calling thread alone */
};
/* Memory: the settings' and some hundred kilobytes, whatever is added.  Disk: 64 bytes a document.
 */
MUST_USE status corpus_roots_create(struct corpus_roots_maker **out,
                                    const struct corpus_roots_settings *settings,
                                    struct error *error);
void corpus_roots_destroy(struct corpus_roots_maker *maker); /* NULL is allowed */
struct document_hashes {
    struct sha256 leaf;
    struct sha256 text; /* as it is stored */
    struct sha256 read; /* as it was read */
};
/* The kept documents one after the other, in their order. */
MUST_USE status corpus_roots_add(struct corpus_roots_maker *maker,
                                 const struct document_hashes *document, struct error *error);
/* Once, after all were added; then the maker can only be destroyed. */
MUST_USE status corpus_roots_finish(struct corpus_roots *out, struct corpus_roots_maker *maker,
                                    struct error *error);

#endif
