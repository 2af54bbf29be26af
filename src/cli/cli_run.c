#include "cli/cli_run.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "train/train.h"

const char *const cli_prompts[CLI_PROMPT_COUNT] = {"Для установки пакета", "Эта команда",
                                                   "В начале", "The following options"};

status cli_run_corpus(char out[CONFIG_STRING_BYTES], const char *run, struct error *error)
{
    char path[PATH_BYTES];
    struct recipe recipe;
    TRY(path_join(path, sizeof path, run, "recipe.ini", error));
    if (!file_exists(path))
        return fail(error, ERR_USAGE, "%s: is no run folder (it has no recipe.ini)", run);
    TRY(recipe_read(&recipe, path, error));
    memcpy(out, recipe.corpus, CONFIG_STRING_BYTES);
    TRY(path_join(path, sizeof path, run, "corpus/manifest.json", error));
    if (!file_exists(path))
        return OK;
    if (snprintf(out, CONFIG_STRING_BYTES, "%s/corpus", run) >= CONFIG_STRING_BYTES)
        return fail(error, ERR_LIMIT, "%s: the path is longer than %d bytes", run,
                    CONFIG_STRING_BYTES);
    return OK;
}
