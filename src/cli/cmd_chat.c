/* rodnik chat: a conversation on the terminal. */
#include "cli/cli.h"

#include <editline/readline.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/thread.h"
#include "cli/cli_engine.h"

enum { TURNS_MAX = 1000 };

struct chat {
    struct cli_engine engine;
    struct session *session;
    struct sampling sampling;
    struct message messages[2 * TURNS_MAX];
    size_t count;
    struct buffer reply;
};

static bool on_text(void *context, struct view piece)
{
    struct chat *chat = context;
    struct error error = {0};
    fwrite(piece.data, 1, piece.len, stdout);
    fflush(stdout);
    return buffer_append(&chat->reply, piece.data, piece.len, &error) == OK &&
           !interrupt_requested();
}

static status add_message(struct chat *chat, const char *role, const char *text,
                          struct error *error)
{
    const char *copy = arena_string(chat->engine.arena, text, error);
    if (!copy)
        return error->code;
    chat->messages[chat->count++] = (struct message){role, view_of(copy)};
    return OK;
}

static status answer(struct chat *chat, const char *line, struct error *error)
{
    struct tokens prompt;
    struct generation generation;
    TRY(add_message(chat, "user", line, error));
    tokens_create(&prompt, 1 << 24);
    buffer_clear(&chat->reply);
    interrupt_clear();
    interrupt_install(); /* Ctrl-C ends the answer, not the program */
    status result = prompt_chat(&prompt, chat->engine.engine, chat->messages, chat->count, error);
    if (result == OK)
        result =
            generate(&generation, chat->session, &prompt, &chat->sampling, on_text, chat, error);
    tokens_destroy(&prompt);
    putchar('\n');
    interrupt_clear();
    chat->sampling.seed++;
    if (result == OK)
        result = add_message(chat, "assistant", chat->reply.len ? chat->reply.data : "", error);
    return result;
}

static char *next_line(void)
{
    if (isatty(STDIN_FILENO))
        return readline("> ");
    char *line = NULL;
    size_t size = 0;
    if (getline(&line, &size, stdin) >= 0) {
        line[strcspn(line, "\r\n")] = 0;
        return line;
    }
    free(line);
    return NULL;
}

static status converse(struct chat *chat, struct error *error)
{
    char *line;
    status result = OK;
    const struct engine_info *info = engine_info(chat->engine.engine);
    printf("%s, %.1f M parameters.  %s  Ctrl-C stops an answer, Ctrl-D ends.\n", info->name,
           (double)info->parameters * 1e-6,
           info->chat ? "" : "It continues texts; it was not trained for conversation.");
    while (result == OK && chat->count + 2 <= 2 * TURNS_MAX && (line = next_line())) {
        if (*line) {
            add_history(line);
            result = answer(chat, line, error);
        }
        free(line);
    }
    return result;
}

int command_chat(int argc, char **argv)
{
    struct option_list stops = {0};
    int64_t seed = 1, threads = 0;
    struct sampling sampling = sampling_default();
    const struct option table[] = {
        CLI_SAMPLING_OPTIONS(sampling, seed, stops),
        {"threads", OPTION_INT, &threads, 1, THREAD_COUNT_MAX, "N", "threads (default all)"},
    };
    const struct command_help help = {"rodnik chat RUN [options]",
                                      "A conversation with a model on the terminal.",
                                      "  rodnik chat out/run", NULL};
    struct options_result options;
    struct error error = {0};
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    struct cli_engine engine;
    if (options.positional_count != 1)
        (void)!fail(&error, ERR_USAGE, "%zu models were named, needed is one run folder",
                    options.positional_count);
    else if (cli_engine_open(&engine, options.positional[0], cli_threads(threads), &error) == OK) {
        struct chat *chat = arena_alloc(engine.arena, 1, sizeof *chat, &error);
        sampling.seed = (uint64_t)seed;
        sampling.stop = stops.items;
        sampling.stop_count = stops.count;
        if (chat) {
            *chat = (struct chat){.engine = engine, .sampling = sampling};
            buffer_create(&chat->reply, 64 << 20);
            if (session_create(&chat->session, engine.engine, 0, &error) == OK)
                (void)!converse(chat, &error);
            session_destroy(chat->session);
            buffer_destroy(&chat->reply);
        }
        cli_engine_close(&engine);
    }
    return error.code ? cli_fail("chat", &error) : 0;
}
