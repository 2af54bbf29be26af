/* Proofs that a text was or was not read into a corpus, and that a document stands in it: made with
 * the corpus, checked without it (corpus/membership.h has the trees).  One proof is one line of
 * JSON (docs/formats.md).  A prover lives in its arena; checking has no state. */
#ifndef RODNIK_CORPUS_MEMBERSHIP_PROOF_H
#define RODNIK_CORPUS_MEMBERSHIP_PROOF_H

#include "corpus/membership.h"

enum { PROOF_BYTES_MAX = 1 << 20 }; /* of one line */

struct key_place {
    struct sha256 key;
    struct merkle_proof path;
};

struct corpus_proof {
    struct corpus_roots roots;
    struct sha256 read; /* SHA-256 of the clean text that the proof is about */
    bool member;
    /* A member's key is `before`.  Else its key lies between these neighbours; before the first or
     * behind the last key one is missing, in a corpus without documents both. */
    bool has_before, has_after;
    struct key_place before, after;
    /* A member's document: the first one that was read so. */
    struct proof_document {
        const char *id, *source, *license;
        struct sha256 text, leaf;
        struct merkle_proof path;
    } document;
};

struct corpus;
struct corpus_prover;
/* The corpus must stay open. */
MUST_USE status corpus_prover_create(struct corpus_prover **out, const struct corpus *corpus,
                                     struct arena *arena, struct error *error);
MUST_USE status corpus_prove(struct corpus_proof *out, const struct corpus_prover *prover,
                             const struct sha256 *read, struct error *error);

/* Appends the line. */
MUST_USE status corpus_proof_write(struct buffer *out, const struct corpus_proof *proof,
                                   struct error *error);
/* ERR_FORMAT for anything that is no proof; `name` is for messages.  Texts lie in the arena. */
MUST_USE status corpus_proof_parse(struct corpus_proof *out, struct view line, const char *name,
                                   struct arena *arena, struct error *error);

/* Whether everything in it holds; ERR_CONFLICT says what does not.  `stored` (data NULL: not known)
 * is a text: when it is the one that the document is said to be stored as, *document_checked
 * becomes true and id, source and licence are proven too. */
MUST_USE status corpus_proof_check(bool *document_checked, const struct corpus_proof *proof,
                                   struct view stored, struct error *error);

#endif
