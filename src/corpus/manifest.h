/* What the manifest of a corpus says: counted while its folder is written, then put into
 * manifest.json (docs/formats.md).  One thread. */
#ifndef RODNIK_CORPUS_MANIFEST_H
#define RODNIK_CORPUS_MANIFEST_H

#include "corpus/corpus_internal.h"
#include "corpus/membership.h"
#include "corpus/tally.h"
#include "text/personal.h"

enum { HISTOGRAM_BINS = 40 };

struct manifest {
    struct tally sources, licenses, languages, kinds; /* of documents that stay */
    struct tally filtered;                            /* by rule */
    struct tally left;                                /* by reason */
    uint64_t personal[PERSONAL_TYPES];                /* found in documents that stay */
    uint64_t clusters, in_clusters;                   /* of duplicates, and documents in them */
    uint64_t kept_bytes[HISTOGRAM_BINS];              /* documents by log2 of their bytes */
    uint64_t left_bytes[HISTOGRAM_BINS];
};

void manifest_create(struct manifest *out, struct arena *arena);
/* A document that stays: source may be an address, of which the site counts. */
MUST_USE status manifest_count(struct manifest *manifest, const struct spool_record *record,
                               const char *language, uint64_t bytes, struct error *error);
/* One that does not; the rule of the profile may be NULL. */
MUST_USE status manifest_count_left(struct manifest *manifest, enum corpus_left left,
                                    const char *rule, uint64_t bytes, struct error *error);

struct manifest_facts {
    const struct corpus_settings *settings;
    const struct corpus_counts *counts;
    const struct corpus_roots *roots;
    const struct spool *spool; /* for what was refused */
    const char *folder;        /* whose files are hashed and where it is written */
};
MUST_USE status manifest_write(struct manifest *manifest, const struct manifest_facts *facts,
                               struct error *error);
/* Writes a manifest's JSON text with its check: SHA-256 of all before `,"check"`. */
MUST_USE status manifest_seal(const char *path, char *text, struct error *error);

#endif
