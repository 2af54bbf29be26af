#include "base/config.h"

#include <ini.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"

/* inih reads no longer lines (INI_MAX_LINE), so none are written. */
enum { CONFIG_FILE_BYTES_MAX = 1 << 20, LINE_BYTES_MAX = 199 };

static void *field(void *settings, const struct config_key *key)
{
    return (char *)settings + key->offset;
}

static const void *field_of(const void *settings, const struct config_key *key)
{
    return (const char *)settings + key->offset;
}

/* ---- one value ---- */

struct place { /* where a value stands, for the sentence */
    const char *name;
    int line; /* 0: not in a file */
};

static status refuse(const struct place *place, const struct config_key *key, const char *value,
                     const char *allowed, struct error *error)
{
    if (place->line)
        return fail(error, ERR_USAGE, "%s:%d: %s.%s is '%s', %s", place->name, place->line,
                    key->section, key->name, value, allowed);
    return fail(error, ERR_USAGE, "%s: %s.%s is '%s', %s", place->name, key->section, key->name,
                value, allowed);
}

static void describe_allowed(char *out, size_t out_bytes, const struct config_key *key)
{
    switch (key->type) {
    case CONFIG_INT:
        snprintf(out, out_bytes, "allowed are whole numbers from %.0f to %.0f", key->minimum,
                 key->maximum);
        break;
    case CONFIG_DOUBLE:
        snprintf(out, out_bytes, "allowed are numbers from %g to %g", key->minimum, key->maximum);
        break;
    case CONFIG_BOOL:
        snprintf(out, out_bytes, "allowed are true and false");
        break;
    case CONFIG_CHOICE:
        snprintf(out, out_bytes, "allowed are %s", key->choices);
        break;
    case CONFIG_STRING:
        snprintf(out, out_bytes, "allowed are up to %d bytes without line breaks",
                 CONFIG_STRING_BYTES - 1);
        break;
    }
}

static bool find_choice(int *out, const char *choices, const char *value)
{
    size_t len = strlen(value);
    for (int index = 0;; index++) {
        const char *end = strchrnul(choices, '|');
        if ((size_t)(end - choices) == len && memcmp(choices, value, len) == 0) {
            *out = index;
            return true;
        }
        if (!*end)
            return false;
        choices = end + 1;
    }
}

static bool store(void *target, const struct config_key *key, const char *value)
{
    int64_t integer;
    double real;
    switch (key->type) {
    case CONFIG_INT:
        if (!parse_i64(&integer, view_of(value)) || (double)integer < key->minimum ||
            (double)integer > key->maximum)
            return false;
        memcpy(target, &integer, sizeof integer);
        return true;
    case CONFIG_DOUBLE:
        if (!parse_double(&real, view_of(value)) || real < key->minimum || real > key->maximum)
            return false;
        memcpy(target, &real, sizeof real);
        return true;
    case CONFIG_BOOL:
        return parse_bool(target, view_of(value));
    case CONFIG_CHOICE:
        return find_choice(target, key->choices, value);
    case CONFIG_STRING:
        if (strlen(value) >= CONFIG_STRING_BYTES)
            return false;
        snprintf(target, CONFIG_STRING_BYTES, "%s", value);
        return true;
    }
    return false;
}

static status set_value(void *settings, const struct config_key *key, const char *value,
                        const struct place *place, struct error *error)
{
    if (store(field(settings, key), key, value))
        return OK;
    char allowed[256];
    describe_allowed(allowed, sizeof allowed, key);
    return refuse(place, key, value, allowed, error);
}

/* ---- finding keys ---- */

static const struct config_key *find_key(struct config_table table, const char *section,
                                         const char *name)
{
    for (size_t i = 0; i < table.count; i++)
        if (strcmp(table.keys[i].section, section) == 0 && strcmp(table.keys[i].name, name) == 0)
            return &table.keys[i];
    return NULL;
}

/* Names of the section's keys, or of the sections when there is none of that name. */
static void list_names(char *out, size_t out_bytes, struct config_table table, const char *section)
{
    size_t len = 0;
    bool known = false;
    out[0] = 0;
    for (size_t i = 0; i < table.count; i++)
        known = known || strcmp(table.keys[i].section, section) == 0;
    for (size_t i = 0; i < table.count && len < out_bytes; i++) {
        const struct config_key *key = &table.keys[i];
        bool first = i == 0 || strcmp(table.keys[i - 1].section, key->section) != 0;
        if (known ? strcmp(key->section, section) != 0 : !first)
            continue;
        int added = snprintf(out + len, out_bytes - len, "%s%s%s%s", len ? " " : "",
                             known ? "" : "[", known ? key->name : key->section, known ? "" : "]");
        len += added > 0 ? (size_t)added : 0;
    }
}

static status unknown_key(struct config_table table, const char *section, const char *name,
                          const struct place *place, struct error *error)
{
    char names[700], line[16] = "";
    list_names(names, sizeof names, table, section);
    if (place->line)
        snprintf(line, sizeof line, ":%d", place->line);
    return fail(error, ERR_USAGE, "%s%s: there is no key '%s' in [%s]; allowed are %s", place->name,
                line, name, section, names);
}

/* ---- the door ---- */

void config_defaults(void *settings, struct config_table table)
{
    struct error error = {0};
    const struct place place = {"default", 0};
    for (size_t i = 0; i < table.count; i++) {
        status result = set_value(settings, &table.keys[i], table.keys[i].initial, &place, &error);
        ASSERT(result == OK);
    }
}

struct parse {
    void *settings;
    struct config_table table;
    const char *name;
    struct error *error;
    struct view rest;
    int line; /* of the text handed to inih last */
};

/* inih asks for lines in the manner of fgets. */
static char *next_line(char *out, int out_bytes, void *context)
{
    struct parse *parse = context;
    struct view line;
    if (!view_line(&line, &parse->rest))
        return NULL;
    parse->line++;
    if (line.len >= (size_t)out_bytes) {
        (void)!fail(parse->error, ERR_LIMIT, "%s:%d: the line has %zu bytes, allowed are %d",
                    parse->name, parse->line, line.len, out_bytes - 1);
        return NULL;
    }
    memcpy(out, line.data, line.len);
    out[line.len] = 0;
    return out;
}

static int on_value(void *context, const char *section, const char *name, const char *value)
{
    struct parse *parse = context;
    const struct place place = {parse->name, parse->line};
    const struct config_key *key = find_key(parse->table, section, name);
    status result = key ? set_value(parse->settings, key, value, &place, parse->error)
                        : unknown_key(parse->table, section, name, &place, parse->error);
    return result == OK;
}

status config_parse(void *settings, struct config_table table, struct view text, const char *name,
                    struct error *error)
{
    ASSERT(settings && name && error);
    if (text.len > CONFIG_FILE_BYTES_MAX || (text.len && memchr(text.data, 0, text.len)))
        return fail(error, ERR_FORMAT, "%s: is not a text of at most %d bytes", name,
                    CONFIG_FILE_BYTES_MAX);
    struct parse parse = {settings, table, name, error, text, 0};
    int line = ini_parse_stream(next_line, &parse, on_value, &parse);
    if (error->code != OK)
        return error->code;
    if (line < 0)
        return fail(error, ERR_MEMORY, "%s: no memory for reading it", name);
    if (line > 0)
        return fail(error, ERR_USAGE, "%s:%d: is neither [section] nor 'key = value' nor a comment",
                    name, line);
    return OK;
}

status config_read(void *settings, struct config_table table, const char *path, struct error *error)
{
    struct file_bytes bytes;
    TRY(file_map(&bytes, path, error));
    status result = config_parse(settings, table,
                                 (struct view){(const char *)bytes.data, bytes.len}, path, error);
    file_unmap(&bytes);
    return result;
}

status config_set(void *settings, struct config_table table, const char *key, const char *value,
                  struct error *error)
{
    char section[64];
    const struct place place = {"setting", 0};
    const char *dot = strchr(key, '.');
    if (!dot || (size_t)(dot - key) >= sizeof section)
        return fail(error, ERR_USAGE, "'%s' is not of the form section.key", key);
    memcpy(section, key, (size_t)(dot - key));
    section[dot - key] = 0;
    const struct config_key *found = find_key(table, section, dot + 1);
    if (!found)
        return unknown_key(table, section, dot + 1, &place, error);
    return set_value(settings, found, value, &place, error);
}

/* ---- writing ---- */

/* The shortest form that reads back to the same bits. */
static void format_double(char *out, size_t out_bytes, double value)
{
    for (int digits = 1; digits <= 17; digits++) {
        double back;
        snprintf(out, out_bytes, "%.*g", digits, value);
        if (parse_double(&back, view_of(out)) && back == value)
            return;
    }
}

static void format_choice(char *out, size_t out_bytes, const char *choices, int index)
{
    for (; index > 0; index--)
        choices = strchr(choices, '|') + 1;
    snprintf(out, out_bytes, "%.*s", (int)(strchrnul(choices, '|') - choices), choices);
}

static void format_value(char *out, size_t out_bytes, const void *settings,
                         const struct config_key *key)
{
    const void *value = field_of(settings, key);
    int64_t integer;
    double real;
    switch (key->type) {
    case CONFIG_INT:
        memcpy(&integer, value, sizeof integer);
        snprintf(out, out_bytes, "%lld", (long long)integer);
        break;
    case CONFIG_DOUBLE:
        memcpy(&real, value, sizeof real);
        format_double(out, out_bytes, real);
        break;
    case CONFIG_BOOL:
        snprintf(out, out_bytes, "%s", *(const bool *)value ? "true" : "false");
        break;
    case CONFIG_CHOICE:
        format_choice(out, out_bytes, key->choices, *(const int *)value);
        break;
    case CONFIG_STRING:
        snprintf(out, out_bytes, "%s", (const char *)value);
        break;
    }
}

static bool new_section(struct config_table table, size_t i)
{
    return i == 0 || strcmp(table.keys[i - 1].section, table.keys[i].section) != 0;
}

status config_write(struct buffer *out, const void *settings, struct config_table table,
                    struct error *error)
{
    ASSERT(out && settings && error);
    for (size_t i = 0; i < table.count; i++) {
        char value[CONFIG_STRING_BYTES + 64];
        if (new_section(table, i))
            TRY(buffer_format(out, error, "%s[%s]\n", i ? "\n" : "", table.keys[i].section));
        format_value(value, sizeof value, settings, &table.keys[i]);
        size_t len = strlen(table.keys[i].name) + strlen(" = ") + strlen(value);
        if (len > LINE_BYTES_MAX)
            return fail(error, ERR_LIMIT, "%s.%s is '%s', too long for a line of %d bytes",
                        table.keys[i].section, table.keys[i].name, value, LINE_BYTES_MAX);
        TRY(buffer_format(out, error, "%s = %s\n", table.keys[i].name, value));
    }
    return OK;
}

status config_help(struct buffer *out, struct config_table table, struct error *error)
{
    ASSERT(out && error);
    for (size_t i = 0; i < table.count; i++) {
        const struct config_key *key = &table.keys[i];
        char range[160] = "";
        if (new_section(table, i))
            TRY(buffer_format(out, error, "  [%s]\n", key->section));
        if (key->type == CONFIG_CHOICE)
            snprintf(range, sizeof range, ", %s", key->choices);
        else if (key->type == CONFIG_INT || key->type == CONFIG_DOUBLE)
            snprintf(range, sizeof range, ", %.10g to %.10g%s%s", key->minimum, key->maximum,
                     *key->unit ? " " : "", key->unit);
        TRY(buffer_format(out, error, "  %-18s %s (default %s%s)\n", key->name, key->help,
                          *key->initial ? key->initial : "none", range));
    }
    return OK;
}
