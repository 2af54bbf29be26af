#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sentences are one line: control characters from paths or data become spaces. */
static void one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
}

static void record(struct error *error, status code, const char *format, va_list arguments)
{
    if (!error || error->code != OK)
        return;
    error->code = code;
    vsnprintf(error->text, sizeof error->text, format, arguments);
    one_line(error->text);
}

status fail(struct error *error, status code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    record(error, code, format, arguments);
    va_end(arguments);
    return code;
}

status fail_errno(struct error *error, const char *format, ...)
{
    int number = errno;
    status code = number == ENOMEM ? ERR_MEMORY : ERR_IO;
    bool first = error && error->code == OK;
    va_list arguments;
    va_start(arguments, format);
    record(error, code, format, arguments);
    va_end(arguments);
    if (first) {
        size_t len = strlen(error->text);
        snprintf(error->text + len, sizeof error->text - len, ": %s", strerror(number));
    }
    return code;
}

void assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: a condition that must hold does not: %s\n", file, line, condition);
    abort();
}
