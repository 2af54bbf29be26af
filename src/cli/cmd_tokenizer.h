/* The verbs of `rodnik tokenizer` that have files of their own. */
#ifndef RODNIK_CLI_CMD_TOKENIZER_H
#define RODNIK_CLI_CMD_TOKENIZER_H

#include "base/arena.h"

/* rodnik tokenizer report */
int tokenizer_report(int argc, char **argv, struct arena *arena);

#endif
