/* rodnik report: a run on one page. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/thread.h"
#include "cli/cli_engine.h"
#include "cli/cli_run.h"
#include "eval/report.h"

static bool on_text(void *context, struct view piece)
{
    struct error error = {0};
    return buffer_append(context, piece.data, piece.len, &error) == OK;
}

static status make_sample(struct report_sample *out, struct session *session,
                          const struct cli_engine *engine, const char *prompt, struct error *error)
{
    struct sampling sampling = sampling_default();
    struct generation generation;
    struct tokens tokens;
    struct buffer text;
    sampling.max_tokens = 80;
    tokens_create(&tokens, 1 << 20);
    buffer_create(&text, 1 << 20);
    status result = prompt_text(&tokens, engine->engine, view_of(prompt), error);
    if (result == OK)
        result = generate(&generation, session, &tokens, &sampling, on_text, &text, error);
    if (result == OK) {
        out->prompt = prompt;
        out->text = arena_string(engine->arena, text.len ? text.data : "", error);
        result = out->text ? OK : error->code;
    }
    tokens_destroy(&tokens);
    buffer_destroy(&text);
    return result;
}

static status make_samples(struct report_sample out[CLI_PROMPT_COUNT],
                           const struct cli_engine *engine, struct error *error)
{
    struct session *session;
    TRY(session_create(&session, engine->engine, 0, error));
    status result = OK;
    for (size_t i = 0; i < CLI_PROMPT_COUNT && result == OK; i++)
        result = make_sample(&out[i], session, engine, cli_prompts[i], error);
    session_destroy(session);
    return result;
}

static status run(const char *run, const char *out, int threads, struct error *error)
{
    char corpus[CONFIG_STRING_BYTES], path[PATH_BYTES];
    struct cli_engine engine;
    struct report_sample samples[CLI_PROMPT_COUNT] = {{0}};
    TRY(cli_run_corpus(corpus, run, error));
    TRY(path_join(path, sizeof path, run, "report.html", error));
    TRY(cli_engine_open(&engine, run, threads, error));
    status result = make_samples(samples, &engine, error);
    struct report report = {.run = run,
                            .corpus = corpus,
                            .info = engine_info(engine.engine),
                            .samples = samples,
                            .sample_count = CLI_PROMPT_COUNT};
    if (result == OK)
        result = report_write(out ? out : path, &report, error);
    cli_engine_close(&engine);
    if (result == OK)
        printf("%s\n", out ? out : path);
    return result;
}

int command_report(int argc, char **argv)
{
    const char *out = NULL;
    int64_t threads = 0;
    const struct option table[] = {
        {"out", OPTION_STRING, &out, 0, 0, "FILE", "the page (default RUN/report.html)"},
        {"threads", OPTION_INT, &threads, 1, THREAD_COUNT_MAX, "N", "threads (default all)"},
    };
    const struct command_help help = {
        "rodnik report RUN [--out FILE]",
        "Writes one self-contained HTML page: curves, samples, corpus, recipe, hashes.",
        "  rodnik report out/run --out report.html", NULL};
    struct options_result options;
    struct error error = {0};
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    if (options.positional_count != 1)
        (void)!fail(&error, ERR_USAGE, "%zu runs were named, needed is one run folder",
                    options.positional_count);
    else
        (void)!run(options.positional[0], out, cli_threads(threads), &error);
    return error.code ? cli_fail("report", &error) : 0;
}
