/* What a corpus is made of, counted while its folder is written, then put into manifest.json
 * (docs/formats.md).  One thread. */
#ifndef RODNIK_CORPUS_CENSUS_H
#define RODNIK_CORPUS_CENSUS_H

#include "corpus/corpus_internal.h"
#include "corpus/membership.h"
#include "corpus/tally.h"
#include "text/personal.h"

enum { HISTOGRAM_BINS = 40 };

struct census {
    struct tally sources, licenses, languages, kinds; /* of documents that stay */
    struct tally filtered;                            /* by rule */
    struct tally left;                                /* by reason */
    uint64_t personal[PERSONAL_TYPES];                /* found in documents that stay */
    uint64_t clusters, in_clusters;                   /* of duplicates, and documents in them */
    /* documents that stay, by log2 of */
    uint64_t document_bytes[HISTOGRAM_BINS], cluster_documents[HISTOGRAM_BINS];
    uint64_t lines_lost[HISTOGRAM_BINS], masked[HISTOGRAM_BINS];
};

void census_create(struct census *out, struct arena *arena);
/* A document that stays: source may be an address, of which the site counts. */
MUST_USE status census_count(struct census *census, const struct document *document,
                             struct error *error);
/* One that does not; the rule of the profile may be NULL. */
MUST_USE status census_count_left(struct census *census, enum corpus_left left, const char *rule,
                                  uint64_t bytes, struct error *error);

struct census_facts {
    const struct corpus_settings *settings;
    const struct corpus_counts *counts;
    const struct corpus_roots *roots;
    const struct spool *spool; /* for what was refused */
    const char *folder;        /* whose files are hashed and where it is written */
};
MUST_USE status census_write(struct census *census, const struct census_facts *facts,
                             struct error *error);
#endif
