#include "base/options.h"

#include <stdio.h>
#include <string.h>

static const struct option *find(const struct option *table, size_t count, struct view name)
{
    for (size_t i = 0; i < count; i++)
        if (view_is(name, table[i].name))
            return &table[i];
    return NULL;
}

static size_t distance_at_most_3(struct view a, const char *b)
{
    size_t row[64], length = strlen(b);
    if (a.len >= 60 || length >= 60)
        return 99;
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t above = row[j], change = diagonal + (a.data[i - 1] != b[j - 1]);
            size_t best = above + 1 < row[j - 1] + 1 ? above + 1 : row[j - 1] + 1;
            row[j] = change < best ? change : best;
            diagonal = above;
        }
    }
    return row[length];
}

static status unknown_option(const struct option *table, size_t count, struct view name,
                             struct error *error)
{
    const char *nearest = NULL;
    size_t best = 4;
    for (size_t i = 0; i < count; i++) {
        size_t distance = distance_at_most_3(name, table[i].name);
        if (distance < best) {
            best = distance;
            nearest = table[i].name;
        }
    }
    return fail(error, ERR_USAGE, "there is no option --%.*s%s%s%s", (int)name.len, name.data,
                nearest ? "; did you mean --" : "", nearest ? nearest : "", nearest ? "?" : "");
}

static status refuse_number(const struct option *option, const char *value, struct error *error)
{
    const char *kind = option->type == OPTION_INT ? "whole numbers" : "numbers";
    if (option->minimum == 0 && option->maximum == 0)
        return fail(error, ERR_USAGE, "--%s is '%s', allowed are %s", option->name, value, kind);
    return fail(error, ERR_USAGE, "--%s is '%s', allowed are %s from %.15g to %.15g", option->name,
                value, kind, option->minimum, option->maximum);
}

static bool in_range(const struct option *option, double value)
{
    bool any = option->minimum == 0 && option->maximum == 0;
    return any || (value >= option->minimum && value <= option->maximum);
}

static status store(const struct option *option, const char *value, struct error *error)
{
    int64_t integer;
    double real;
    struct option_list *list;
    switch (option->type) {
    case OPTION_FLAG:
        *(bool *)option->target = true;
        return OK;
    case OPTION_INT:
        if (!parse_i64(&integer, view_of(value)) || !in_range(option, (double)integer))
            return refuse_number(option, value, error);
        *(int64_t *)option->target = integer;
        return OK;
    case OPTION_DOUBLE:
        if (!parse_double(&real, view_of(value)) || !in_range(option, real))
            return refuse_number(option, value, error);
        *(double *)option->target = real;
        return OK;
    case OPTION_STRING:
        *(const char **)option->target = value;
        return OK;
    case OPTION_LIST:
        list = option->target;
        if (list->count == OPTION_LIST_MAX)
            return fail(error, ERR_USAGE, "--%s stands more than %d times", option->name,
                        OPTION_LIST_MAX);
        list->items[list->count++] = value;
        return OK;
    }
    return OK;
}

struct parser {
    const struct option *table;
    size_t count;
    int argc, at;
    char **argv;
    bool help;
};

static status parse_option(struct parser *parser, const char *text, struct error *error)
{
    const char *equals = strchr(text, '=');
    struct view name = {text, equals ? (size_t)(equals - text) : strlen(text)};
    if (view_is(name, "help")) {
        parser->help = true;
        return OK;
    }
    const struct option *option = find(parser->table, parser->count, name);
    if (!option)
        return unknown_option(parser->table, parser->count, name, error);
    if (option->type == OPTION_FLAG) {
        if (equals)
            return fail(error, ERR_USAGE, "--%s takes no value, found '%s'", option->name,
                        equals + 1);
        return store(option, NULL, error);
    }
    if (equals)
        return store(option, equals + 1, error);
    if (parser->at >= parser->argc)
        return fail(error, ERR_USAGE, "--%s needs a value (%s)", option->name, option->value_name);
    return store(option, parser->argv[parser->at++], error);
}

status options_parse(struct options_result *out, const struct option *table, size_t count, int argc,
                     char **argv, struct error *error)
{
    ASSERT(out && (table || !count) && argc > 0 && argv && error);
    struct parser parser = {.table = table, .count = count, .argc = argc, .at = 1, .argv = argv};
    size_t kept = 1; /* positional arguments gather behind argv[0] */
    bool options = true;
    while (parser.at < argc) {
        char *text = argv[parser.at++];
        if (options && strcmp(text, "--") == 0)
            options = false;
        else if (options && strncmp(text, "--", 2) == 0)
            TRY(parse_option(&parser, text + 2, error));
        else if (options && strcmp(text, "-h") == 0)
            parser.help = true;
        else if (options && text[0] == '-' && text[1])
            return fail(error, ERR_USAGE, "there is no option %s; options begin with two dashes",
                        text);
        else
            argv[kept++] = text;
    }
    *out = (struct options_result){argv + 1, kept - 1, parser.help};
    return OK;
}

status options_help(struct buffer *out, const struct command_help *help, const struct option *table,
                    size_t count, struct error *error)
{
    ASSERT(out && help && error);
    TRY(buffer_format(out, error, "usage: %s\n\n%s\n", help->usage, help->summary));
    if (count)
        TRY(buffer_string(out, "\noptions:\n", error));
    for (size_t i = 0; i < count; i++) {
        char left[80];
        snprintf(left, sizeof left, "--%s%s%s", table[i].name, table[i].value_name ? " " : "",
                 table[i].value_name ? table[i].value_name : "");
        TRY(buffer_format(out, error, "  %-28s %s", left, table[i].help));
        if (table[i].minimum != 0 || table[i].maximum != 0)
            TRY(buffer_format(out, error, " [%.15g to %.15g]", table[i].minimum, table[i].maximum));
        TRY(buffer_string(out, "\n", error));
    }
    TRY(buffer_format(out, error, "\nexample:\n%s\n", help->example));
    if (help->more)
        TRY(buffer_format(out, error, "\n%s\n", help->more));
    return OK;
}
