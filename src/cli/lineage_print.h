/* Prints where a document of a corpus went: its line, and in each run its tokens, steps and
 * checkpoints. */
#ifndef RODNIK_CLI_LINEAGE_PRINT_H
#define RODNIK_CLI_LINEAGE_PRINT_H

#include "base/options.h"
#include "corpus/corpus.h"

MUST_USE status lineage_print(const struct corpus *corpus, size_t index,
                              const struct option_list *runs, bool json, struct arena *arena,
                              struct error *error);

#endif
