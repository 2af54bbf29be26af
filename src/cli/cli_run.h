/* What commands do with a run folder. */
#ifndef RODNIK_CLI_CLI_RUN_H
#define RODNIK_CLI_CLI_RUN_H

#include "base/options.h"
#include "train/train.h"

/* The corpus folder of a run: the one inside it, else the one its recipe names. */
MUST_USE status cli_run_corpus(char out[CONFIG_STRING_BYTES], const char *run, struct error *error);

/* Lays --set section.key=value over a recipe. */
MUST_USE status cli_recipe_set(struct recipe *recipe, const struct option_list *sets,
                               struct error *error);

/* The texts that samples begin with. */
enum { CLI_PROMPT_COUNT = 4 };
extern const char *const cli_prompts[CLI_PROMPT_COUNT];

#endif
