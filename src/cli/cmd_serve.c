/* rodnik serve: a model behind OpenAI's protocol and a page. */
#include "cli/cli.h"

#include <stdio.h>

#include "base/thread.h"
#include "cli/cli_engine.h"
#include "serve/serve.h"

struct place {
    const char *host, *model;
    bool keys;
};

static void on_ready(void *context, uint16_t port)
{
    const struct place *place = context;
    printf("serving %s at http://%s:%u\n\n  curl http://%s:%u/v1/chat/completions%s \\\n    -H "
           "'Content-Type: application/json' \\\n    -d '{\"messages\": [{\"role\": \"user\", "
           "\"content\": \"Для установки пакета\"}], \"max_tokens\": 60}'\n\nCtrl-C ends.\n",
           place->model, place->host, port, place->host, port,
           place->keys ? " -H 'Authorization: Bearer KEY'" : "");
    fflush(stdout);
}

int command_serve(int argc, char **argv)
{
    struct serve_settings settings = {.host = "127.0.0.1", .ready = on_ready};
    const char *model = NULL;
    int64_t port = 8080, context = 0, threads = 0;
    const struct option table[] = {
        {"model", OPTION_STRING, &model, 0, 0, "RUN", "run folder or model folder (needed)"},
        {"host", OPTION_STRING, &settings.host, 0, 0, "ADDRESS",
         "address to listen on (default 127.0.0.1: this machine only)"},
        {"port", OPTION_INT, &port, 0, 65535, "N", "port, 0 for any (default 8080)"},
        {"keys", OPTION_STRING, &settings.keys_path, 0, 0, "FILE",
         "file with an access key a line, readable by its owner only"},
        {"context", OPTION_INT, &context, 16, MODEL_CONTEXT_MAX, "N",
         "tokens of a conversation (default: the model's)"},
        {"threads", OPTION_INT, &threads, 1, THREAD_COUNT_MAX, "N", "threads (default all)"},
    };
    const struct command_help help = {"rodnik serve --model RUN [options]",
                                      "Serves a model: /v1/models, /v1/chat/completions, "
                                      "/v1/completions, /health and a web page.",
                                      "  rodnik serve --model out/run --port 8080 --keys keys.txt",
                                      NULL};
    struct options_result options;
    struct error error = {0};
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    if (!model && options.positional_count == 1)
        model = options.positional[0];
    struct cli_engine engine;
    struct place place = {settings.host, model, settings.keys_path != NULL};
    settings.port = (uint16_t)port;
    settings.context = (size_t)context;
    settings.ready_context = &place;
    interrupt_install();
    if (!model)
        (void)!fail(&error, ERR_USAGE, "--model RUN is needed");
    else if (cli_engine_open(&engine, model, cli_threads(threads), &error) == OK) {
        (void)!serve_run(&settings, engine.engine, &error);
        cli_engine_close(&engine);
    }
    return error.code ? cli_fail("serve", &error) : 0;
}
