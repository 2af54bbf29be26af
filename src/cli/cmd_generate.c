/* rodnik generate: continues a text. */
#include "cli/cli.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "base/thread.h"
#include "cli/cli_engine.h"

struct output {
    struct buffer text;
    bool json;
    struct error error;
};

static bool on_text(void *context, struct view piece)
{
    struct output *output = context;
    if (!output->json) {
        fwrite(piece.data, 1, piece.len, stdout);
        fflush(stdout);
    }
    return buffer_append(&output->text, piece.data, piece.len, &output->error) == OK &&
           !interrupt_requested();
}

static void print_json(const char *prompt, const struct output *output,
                       const struct generation *generation)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "prompt", prompt);
    cJSON_AddStringToObject(json, "text", output->text.len ? output->text.data : "");
    cJSON_AddStringToObject(json, "finish", finish_name(generation->finish));
    cJSON_AddNumberToObject(json, "prompt_tokens", (double)generation->prompt_tokens);
    cJSON_AddNumberToObject(json, "completion_tokens", (double)generation->completion_tokens);
    cJSON_AddNumberToObject(json, "prefill_s", generation->prefill_s);
    cJSON_AddNumberToObject(json, "decode_s", generation->decode_s);
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    if (text)
        puts(text);
    cJSON_free(text);
}

static status run(const char *path, const char *prompt, const struct sampling *sampling,
                  int threads, struct output *output)
{
    struct error *error = &output->error;
    struct cli_engine engine;
    struct session *session = NULL;
    struct tokens tokens;
    struct generation generation;
    TRY(sampling_check(sampling, error));
    TRY(cli_engine_open(&engine, path, threads, error));
    tokens_create(&tokens, 1 << 24);
    interrupt_install();
    status result = session_create(&session, engine.engine, 0, error);
    if (result == OK)
        result = prompt_text(&tokens, engine.engine, view_of(prompt), error);
    if (result == OK && !output->json)
        fputs(prompt, stdout);
    if (result == OK)
        result = generate(&generation, session, &tokens, sampling, on_text, output, error);
    if (result == OK && output->json)
        print_json(prompt, output, &generation);
    else if (result == OK)
        putchar('\n');
    session_destroy(session);
    tokens_destroy(&tokens);
    cli_engine_close(&engine);
    return result;
}

int command_generate(int argc, char **argv)
{
    struct sampling sampling = sampling_default();
    struct option_list stops = {0};
    const char *prompt = "";
    int64_t seed = 1, threads = 0;
    struct output output = {0};
    const struct option table[] = {
        {"prompt", OPTION_STRING, &prompt, 0, 0, "TEXT",
         "the text to continue (default: a new one)"},
        CLI_SAMPLING_OPTIONS(sampling, seed, stops),
        {"threads", OPTION_INT, &threads, 1, THREAD_COUNT_MAX, "N", "threads (default all)"},
        {"json", OPTION_FLAG, &output.json, 0, 0, NULL, "print the result as JSON"},
    };
    const struct command_help help = {
        "rodnik generate RUN --prompt TEXT [options]", "Continues a text with a model.",
        "  rodnik generate out/run --prompt \"Для установки пакета\" --max-tokens 100 --seed 7",
        NULL};
    struct options_result options;
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    sampling.seed = (uint64_t)seed;
    sampling.stop = stops.items;
    sampling.stop_count = stops.count;
    buffer_create(&output.text, 64 << 20);
    if (options.positional_count != 1)
        (void)!fail(&output.error, ERR_USAGE, "%zu models were named, needed is one run folder",
                    options.positional_count);
    else
        (void)!run(options.positional[0], prompt, &sampling, cli_threads(threads), &output);
    buffer_destroy(&output.text);
    return output.error.code ? cli_fail("generate", &output.error) : 0;
}
