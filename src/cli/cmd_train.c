/* rodnik train: starts a run or goes on with one. */
#include "cli/cli.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/progress.h"
#include "cli/cli_run.h"
#include "cli/train_dial.h"
#include "tensor/comm.h"
#include "train/train.h"

enum { MORE_BYTES_MAX = 64 << 10, NOTE_BYTES = 128 };

struct view_of_training { /* what the callbacks share */
    struct progress progress;
    bool begun;
    double bits_per_byte;
};

static void on_stage(void *context, const char *what)
{
    (void)context;
    log_info("%s", what);
}

static void on_step(void *context, const struct train_report *report)
{
    struct view_of_training *shown = context;
    char note[NOTE_BYTES], bits[48] = "";
    double tokens_a_step = (double)report->tokens / (double)report->step;
    if (!shown->begun) {
        progress_begin(&shown->progress, "training", "tokens", (double)report->tokens_total, false);
        shown->progress.done_at_start = (double)report->tokens - tokens_a_step;
        shown->progress.start_s -= report->elapsed_s;
        shown->begun = true;
    }
    shown->progress.total = (double)report->tokens_total; /* may change on the way */
    if (report->validation_bits_per_byte >= 0)
        shown->bits_per_byte = report->validation_bits_per_byte;
    if (shown->bits_per_byte >= 0)
        snprintf(bits, sizeof bits, ", %.3f bits per byte", shown->bits_per_byte);
    snprintf(note, sizeof note, "step %lld/%lld, loss %.3f%s%s", (long long)report->step,
             (long long)report->steps, report->loss, bits, report->skipped ? ", skipped" : "");
    progress_update(&shown->progress, (double)report->tokens, note);
}

static void print_number(const char *name, double value, bool known)
{
    if (known && isfinite(value))
        printf(", \"%s\": %.9g", name, value);
    else
        printf(", \"%s\": null", name);
}

static void print_result(const struct train_result *result, const char *run, bool json)
{
    char hex[SHA256_HEX_BYTES];
    bool validated = result->validation_bits_per_byte >= 0;
    sha256_hex(hex, &result->state);
    if (json) {
        printf("{\"run\": ");
        cli_print_json_string(run);
        printf(", \"step\": %lld, \"steps\": %lld, \"interrupted\": %s",
               (long long)result->steps_done, (long long)result->steps,
               result->interrupted ? "true" : "false");
        print_number("loss", result->loss, true);
        print_number("bits_per_byte", result->validation_bits_per_byte, validated);
        printf(", \"state_sha256\": \"%s\"}\n", hex);
    } else {
        printf("run %s\nstep %lld of %lld\n", run, (long long)result->steps_done,
               (long long)result->steps);
        if (isfinite(result->loss))
            printf("loss %.4f\n", result->loss);
        if (validated)
            printf("held-out bits per byte %.4f\n", result->validation_bits_per_byte);
    }
    printf("state sha256 %s\n", hex);
}

/* The recipe named, or the run's own when there are settings to lay over it. */
static status read_recipe(struct recipe *out, bool *any, const struct train_settings *settings,
                          const struct option_list *sets, struct error *error)
{
    char path[PATH_BYTES];
    const char *name = settings->recipe_path;
    *any = name || sets->count;
    if (!*any)
        return OK;
    if (!name) {
        TRY(path_join(path, sizeof path, settings->run, "recipe.ini", error));
        name = path;
    }
    TRY(recipe_read(out, name, error));
    return cli_recipe_set(out, sets, error);
}

/* What the command line says besides struct train_settings. */
struct train_options {
    struct option_list sets;
    int64_t threads;
    bool json;
    struct train_dial dial;
};

/* The recipe to begin with: named, or chosen by the dial; none when the run shall go on. */
static status find_recipe(struct recipe *out, bool *any, const struct train_settings *settings,
                          const struct train_options *options, struct error *error)
{
    struct train_dial dial = options->dial;
    if (!dial.corpus)
        return read_recipe(out, any, settings, &options->sets, error);
    dial.run = settings->run;
    dial.compute = settings->compute;
    dial.comm = settings->comm;
    dial.started_s = settings->started_s;
    *any = comm_rank(settings->comm) == 0;
    if (!*any)
        return OK;
    TRY(train_dial(out, &dial, error));
    return cli_recipe_set(out, &options->sets, error);
}

static status train(struct train_settings *settings, const struct train_options *options,
                    struct error *error)
{
    struct recipe recipe;
    bool any;
    struct view_of_training shown = {.bits_per_byte = -1};
    struct train_result result;
    TRY(compute_create(&settings->compute, (int)options->threads, error));
    if (comm_count(settings->comm) > 1)
        thread_pool_pin(compute_pool(settings->compute));
    interrupt_install();
    status done = find_recipe(&recipe, &any, settings, options, error);
    settings->recipe = any ? &recipe : NULL;
    settings->recipe_path = NULL;
    settings->report = on_step;
    settings->stage = on_stage;
    settings->context = &shown;
    if (done == OK)
        done = train_run(&result, settings, error);
    if (shown.begun)
        progress_end(&shown.progress, shown.progress.total);
    compute_destroy(settings->compute);
    TRY(done);
    if (comm_rank(settings->comm) > 0)
        return OK;
    if (result.interrupted && result.steps_done < result.steps)
        log_info("stopped after step %lld; `rodnik train --out %s` goes on",
                 (long long)result.steps_done, settings->run);
    print_result(&result, settings->run, options->json);
    return OK;
}

static status start_processes(const struct comm **out, const char *run, struct error *error)
{
    char advice[PATH_BYTES + 128];
    snprintf(advice, sizeof advice,
             "`rodnik train --out %s` goes on from its last checkpoint, with any number of "
             "processes",
             run);
    return comm_start(out, advice, error);
}

/* The recipe's keys, from the table that reads them. */
static status recipe_keys(struct buffer *out, struct error *error)
{
    buffer_create(out, MORE_BYTES_MAX);
    TRY(buffer_string(out, "keys of a recipe:\n", error));
    return config_help(out, recipe_table, error);
}

static status check_dial(const struct train_dial *dial, const struct options_result *given,
                         struct error *error)
{
    if (!dial->corpus && !(dial->hours > 0))
        return OK;
    if (!dial->corpus || !(dial->hours > 0))
        return fail(error, ERR_USAGE, "--corpus and --hours are given together");
    if (given->positional_count)
        return fail(error, ERR_USAGE,
                    "%s: a recipe says what to train; --corpus and --hours choose one",
                    given->positional[0]);
    return OK;
}

static status check_arguments(struct train_settings *settings, const struct train_dial *dial,
                              const struct options_result *given, struct error *error)
{
    TRY(check_dial(dial, given, error));
    if (!settings->run)
        return fail(error, ERR_USAGE, "--out RUN is needed");
    if (given->positional_count > 1)
        return fail(error, ERR_USAGE, "'%s' is one recipe too many", given->positional[1]);
    if (given->positional_count)
        settings->recipe_path = given->positional[0];
    return OK;
}

int command_train(int argc, char **argv)
{
    struct train_settings settings = {.started_s = time_monotonic_s()};
    struct train_options options = {0};
    const struct option table[] = {
        {"out", OPTION_STRING, &settings.run, 0, 0, "RUN", "folder of the run (needed)"},
        {"corpus", OPTION_STRING, &options.dial.corpus, 0, 0, "DIR",
         "instead of a recipe, with --hours: folder of `rodnik corpus build` or of texts"},
        {"hours", OPTION_DOUBLE, &options.dial.hours, 0.005, 10000, "N",
         "time for everything; model, tokens and schedule are chosen for this machine"},
        {"steps", OPTION_INT, &settings.steps_limit, 1, 1e9, "N",
         "stop after step N; the schedule stays the recipe's"},
        {"set", OPTION_LIST, &options.sets, 0, 0, "KEY=VALUE",
         "section.key=value over the recipe's"},
        {"threads", OPTION_INT, &options.threads, 1, THREAD_COUNT_MAX, "N",
         "threads (default all)"},
        {"json", OPTION_FLAG, &options.json, 0, 0, NULL, "print the result as JSON"},
    };
    struct error error = {0};
    struct buffer keys;
    if (recipe_keys(&keys, &error) != OK) {
        buffer_destroy(&keys);
        return cli_fail("train", &error);
    }
    const struct command_help help = {
        "rodnik train RECIPE.ini --out RUN [options]\n       rodnik train --corpus DIR --hours N "
        "--out RUN [options]",
        "Grows a model from random weights.  Goes on by itself when RUN exists (the recipe may "
        "then "
        "be left\nout); Ctrl-C stops after the step and writes a checkpoint.  Built with MPI=1 and "
        "started by mpirun,\nprocesses share the shards of each batch; the state is the same "
        "with any number of them.",
        "  rodnik train recipes/tiny.ini --out out/tiny --steps 20\n"
        "  rodnik train --corpus texts --hours 8 --out out/ours",
        keys.data};
    struct options_result given;
    int exit_status;
    bool go_on =
        cli_options(&given, &exit_status, &help, table, sizeof table / sizeof *table, argc, argv);
    buffer_destroy(&keys);
    if (!go_on)
        return exit_status;
    const struct comm *comm = NULL;
    status result = check_arguments(&settings, &options.dial, &given, &error);
    if (result == OK)
        result = start_processes(&comm, settings.run, &error);
    settings.comm = comm;
    options.threads = cli_threads(options.threads);
    if (result == OK)
        result = train(&settings, &options, &error);
    exit_status = result == OK ? 0 : cli_fail("train", &error);
    if (exit_status)
        comm_abort(comm, exit_status);
    comm_stop(comm);
    return exit_status;
}
