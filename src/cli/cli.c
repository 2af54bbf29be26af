#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/string.h"

enum { HELP_BYTES_MAX = 1 << 20 };

static void make_visible(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at; at++) {
        bool c1 = at[0] == 0xC2 && at[1] >= 0x80 && at[1] < 0xA0; /* U+0080 to U+009F */
        if (c1)
            *at = '?';
        if (c1 || (*at < ' ' && *at != '\n') || *at == 0x7F)
            at[c1] = '?';
    }
}

void cli_say(FILE *stream, const char *format, ...)
{
    char text[16 << 10];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    make_visible(text);
    fputs(text, stream);
}

int cli_fail(const char *command, const struct error *error)
{
    cli_say(stderr, "rodnik %s: %s\n", command, error->text);
    return error->code == ERR_USAGE ? 2 : 1;
}

static int print_help(const struct command_help *help, const struct option *table, size_t count)
{
    struct error error = {0};
    struct buffer text;
    buffer_create(&text, HELP_BYTES_MAX);
    status result = options_help(&text, help, table, count, &error);
    if (result == OK)
        fputs(text.data, stdout);
    buffer_destroy(&text);
    return result == OK ? 0 : cli_fail("help", &error);
}

bool cli_options(struct options_result *out, int *exit_status, const struct command_help *help,
                 const struct option *table, size_t count, int argc, char **argv)
{
    struct error error = {0};
    if (options_parse(out, table, count, argc, argv, &error) != OK) {
        *exit_status = cli_fail(argv[0], &error);
        fprintf(stderr, "usage: %s\n       rodnik %s --help tells more\n", help->usage, argv[0]);
        return false;
    }
    if (out->help) {
        *exit_status = print_help(help, table, count);
        return false;
    }
    return true;
}

void cli_print_json_string(const char *text)
{
    char escaped[6 * PATH_BYTES];
    json_escape(escaped, sizeof escaped, text);
    printf("\"%s\"", escaped);
}

int cli_threads(int64_t option)
{
    if (option > 0)
        return (int)option;
    const char *text = getenv("RODNIK_THREADS");
    int64_t value = 0;
    if (text && parse_i64(&value, view_of(text)) && value > 0 && value <= 1024)
        return (int)value;
    return 0;
}
