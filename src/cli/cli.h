/* The command line: one table of commands in main.c, one cmd_*.c per command.  Only here is
 * anything printed to standard output
 * or the process ended.  A command returns its exit status: 0, 1 (the work failed), 2 (wrong
 * usage). */
#ifndef RODNIK_CLI_CLI_H
#define RODNIK_CLI_CLI_H

#include <stdio.h>

#include "base/error.h"
#include "base/options.h"

/* argv[0] is the command's name. */
int command_corpus(int argc, char **argv);
int command_tokenizer(int argc, char **argv);
int command_train(int argc, char **argv);
int command_plan(int argc, char **argv);
int command_eval(int argc, char **argv);
int command_generate(int argc, char **argv);
int command_chat(int argc, char **argv);
int command_serve(int argc, char **argv);
int command_bench(int argc, char **argv);
int command_guard(int argc, char **argv);
int command_report(int argc, char **argv);
int command_demo(int argc, char **argv);

/* Prints the sentence to standard error as "rodnik COMMAND: sentence" and returns the exit status
 * of its code. */
int cli_fail(const char *command, const struct error *error);
/* Parses options; prints help or the error.  Returns true to go on, else *exit_status is what the
 * command returns. */
bool cli_options(struct options_result *out, int *exit_status, const struct command_help *help,
                 const struct option *table, size_t count, int argc, char **argv);

/* Prints text that holds names from files: what a terminal would obey (control characters but line
 * ends) becomes question marks.  What is longer than 16 KiB is cut. */
void cli_say(FILE *stream, const char *format, ...) PRINTF_LIKE(2, 3);

/* Prints a path as a JSON string, quotes included. */
void cli_print_json_string(const char *text);

/* The number of threads: option, else RODNIK_THREADS, else 0 (all). */
int cli_threads(int64_t option);

#endif
