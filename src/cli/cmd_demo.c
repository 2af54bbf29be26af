/* rodnik demo: the whole way, by the same commands a person would give. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/thread.h"
#include "cli/cli_run.h"

struct demo {
    const char *texts, *out, *recipe;
    double minutes;
    int64_t serve, port;
    char corpus[PATH_BYTES], run[PATH_BYTES];
};

enum { ARGUMENTS_MAX = 16 };

/* Says the command, then does it in this process. */
static int say_and_do(int (*command)(int, char **), const char *const *words)
{
    char *arguments[ARGUMENTS_MAX];
    int count = 0;
    printf("\n$ rodnik");
    for (; words[count] && count + 1 < ARGUMENTS_MAX; count++) {
        arguments[count] = (char *)(uintptr_t)words[count];
        bool quote = strchr(words[count], ' ') != NULL;
        printf(quote ? " \"%s\"" : " %s", words[count]);
    }
    arguments[count] = NULL;
    printf("\n");
    fflush(stdout);
    return command(count, arguments);
}

static int build_corpus(const struct demo *demo)
{
    char manifest[PATH_BYTES];
    struct error error = {0};
    if (path_join(manifest, sizeof manifest, demo->corpus, "manifest.json", &error) != OK)
        return cli_fail("demo", &error);
    if (file_exists(manifest)) {
        printf("\nthe corpus %s is there already\n", demo->corpus);
        return 0;
    }
    const char *const words[] = {"corpus", "build", "--out", demo->corpus, demo->texts, NULL};
    return say_and_do(command_corpus, words);
}

static int train(const struct demo *demo)
{
    char minutes[64], corpus[PATH_BYTES + 16], recipe[PATH_BYTES];
    struct error error = {0};
    snprintf(minutes, sizeof minutes, "train.minutes=%g", demo->minutes);
    snprintf(corpus, sizeof corpus, "data.corpus=%s", demo->corpus);
    if (path_join(recipe, sizeof recipe, demo->run, "recipe.ini", &error) != OK)
        return cli_fail("demo", &error);
    const char *const fresh[] = {"train", demo->recipe, "--out", demo->run, "--set",
                                 corpus,  "--set",      minutes, NULL};
    const char *const again[] = {"train", "--out", demo->run, NULL};
    return say_and_do(command_train, file_exists(recipe) ? again : fresh);
}

static int show_samples(const struct demo *demo)
{
    for (int i = 0; i < CLI_PROMPT_COUNT; i++) {
        const char *const words[] = {
            "generate", demo->run, "--prompt", cli_prompts[i], "--max-tokens", "50",
            "--seed",   "1",       NULL};
        int code = say_and_do(command_generate, words);
        if (code)
            return code;
    }
    return 0;
}

static int whole_way(const struct demo *demo)
{
    char port[32];
    snprintf(port, sizeof port, "%lld", (long long)demo->port);
    const char *const evaluate[] = {"eval", demo->run, NULL};
    const char *const report[] = {"report", demo->run, NULL};
    const char *const serve[] = {"serve", "--model", demo->run, "--port", port, NULL};
    int code = build_corpus(demo);
    code = code ? code : train(demo);
    if (code == 0 && interrupt_requested()) {
        printf("\nstopped; the same command goes on from here\n");
        return 0;
    }
    code = code ? code : say_and_do(command_eval, evaluate);
    code = code ? code : show_samples(demo);
    code = code ? code : say_and_do(command_report, report);
    if (code)
        return code;
    printf("\nthe run is in %s\n", demo->run);
    return demo->serve ? say_and_do(command_serve, serve) : 0;
}

static status check(struct demo *demo, struct error *error)
{
    if (!folder_exists(demo->texts) && !file_exists(demo->texts))
        return fail(error, ERR_USAGE,
                    "%s: there are no texts; `make demo` fetches default ones, --corpus DIR names "
                    "your own",
                    demo->texts);
    if (!file_exists(demo->recipe))
        return fail(error, ERR_USAGE, "%s: there is no such recipe", demo->recipe);
    TRY(folder_make(demo->out, error));
    TRY(path_join(demo->corpus, sizeof demo->corpus, demo->out, "corpus", error));
    return path_join(demo->run, sizeof demo->run, demo->out, "run", error);
}

int command_demo(int argc, char **argv)
{
    struct demo demo;
    demo = (struct demo){.texts = "out/demo/default/texts",
                         .out = "out/demo",
                         .recipe = "recipes/demo.ini",
                         .minutes = 10,
                         .serve = 1,
                         .port = 8080};
    const struct option table[] = {
        {"corpus", OPTION_STRING, &demo.texts, 0, 0, "DIR",
         "folder with texts (default: what `make demo` fetched)"},
        {"out", OPTION_STRING, &demo.out, 0, 0, "DIR", "where everything goes (default out/demo)"},
        {"recipe", OPTION_STRING, &demo.recipe, 0, 0, "FILE",
         "recipe of the model (default recipes/demo.ini)"},
        {"minutes", OPTION_DOUBLE, &demo.minutes, 0.1, 100000, "N",
         "time for training (default 10)"},
        {"serve", OPTION_INT, &demo.serve, 0, 1, "0|1", "serve the model at the end (default 1)"},
        {"port", OPTION_INT, &demo.port, 0, 65535, "N", "port of the server (default 8080)"},
    };
    const struct command_help help = {
        "rodnik demo [options]",
        "The whole way from texts to a served model; run again, it goes on from what is there.",
        "  rodnik demo --corpus my-texts --minutes 30", NULL};
    struct options_result options;
    struct error error = {0};
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    if (options.positional_count)
        (void)!fail(&error, ERR_USAGE, "'%s' is not an option; texts are named with --corpus",
                    options.positional[0]);
    else if (check(&demo, &error) == OK)
        return whole_way(&demo);
    return cli_fail("demo", &error);
}
