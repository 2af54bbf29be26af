#include "cli/cli_run.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"

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

status cli_recipe_set(struct recipe *recipe, const struct option_list *sets, struct error *error)
{
    for (size_t i = 0; i < sets->count; i++) {
        char key[CONFIG_STRING_BYTES];
        const char *sign = strchr(sets->items[i], '=');
        if (!sign || (size_t)(sign - sets->items[i]) >= sizeof key)
            return fail(error, ERR_USAGE, "--set is '%s', it must be section.key=value",
                        sets->items[i]);
        snprintf(key, sizeof key, "%.*s", (int)(sign - sets->items[i]), sets->items[i]);
        TRY(config_set(recipe, recipe_table, key, sign + 1, error));
    }
    return OK;
}
