/* Counts of a manifest that follow from its documents: tables by source, licence, language and
 * kind, histograms of sizes.  A document is counted in or out, so that a corpus from which one was
 * taken has the counts of one that never had it.  No state. */
#ifndef RODNIK_CORPUS_TALLIES_H
#define RODNIK_CORPUS_TALLIES_H

#include <cjson/cJSON.h>

#include "corpus/corpus.h"

/* sources (pages by site), licenses, languages, kinds: {NAME: {"documents": n, "bytes": n}}.
 * histograms: {NAME: [n, ...]}, item k counts values from 2^k to 2^(k+1) - 1 of document_bytes, and
 * of cluster_documents (documents in clusters), lines_lost and masked where they are not zero. */
void tallies_count(cJSON *manifest, const struct document *document, int by /* 1 or -1 */);

/* One table: adds `documents` and `bytes` to the entry; one that comes to nothing goes. */
void tally_count(cJSON *table, const char *name, double documents, double bytes);

enum { TALLY_NAME_BYTES = 300 };
/* What a source is counted as: of an address the scheme and host, else itself. */
const char *tally_source(char out[TALLY_NAME_BYTES], const char *source);
/* The item of a histogram that counts a value. */
int histogram_item(uint64_t value);

#endif
