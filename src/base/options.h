/* Command-line options from one table that also prints --help.  Wrong input is ERR_USAGE with one
 * sentence that names the option, what was found and what is allowed. */
#ifndef RODNIK_BASE_OPTIONS_H
#define RODNIK_BASE_OPTIONS_H

#include "base/buffer.h"
#include "base/string.h"

enum option_type { OPTION_FLAG, OPTION_INT, OPTION_DOUBLE, OPTION_STRING, OPTION_LIST };

enum { OPTION_LIST_MAX = 64 };
struct option_list {
    const char *items[OPTION_LIST_MAX];
    size_t count;
}; /* repeatable option; borrows argv */

struct option {
    const char *name; /* long name without dashes; accepted as --name VALUE and --name=VALUE */
    enum option_type type;
    void *target;            /* bool, int64_t, double, const char *, struct option_list */
    double minimum, maximum; /* for numbers; both 0: any */
    const char *value_name;  /* "DIR", "N" */
    const char *help;        /* one line, with the default */
};

struct command_help {
    const char *usage;   /* "rodnik train RECIPE.ini --out RUN [options]" */
    const char *summary; /* one or two sentences */
    const char *example; /* one or more complete command lines */
    const char *more;    /* further text after the options, or NULL */
};

struct options_result {
    char **positional; /* a slice of argv, which is permuted */
    size_t positional_count;
    bool help; /* --help was met: print and leave with 0 */
};

/* Parses argv[1..argc); "--" ends the options. */
MUST_USE status options_parse(struct options_result *out, const struct option *table, size_t count,
                              int argc, char **argv, struct error *error);
MUST_USE status options_help(struct buffer *out, const struct command_help *help,
                             const struct option *table, size_t count, struct error *error);

#endif
