/* INI files (inih) read through one table of keys: unknown keys, wrong types and values out of
 * range are errors that name file, line, key, value found and values allowed.  The same table
 * prints help and writes the file back as used. */
#ifndef RODNIK_BASE_CONFIG_H
#define RODNIK_BASE_CONFIG_H

#include "base/buffer.h"
#include "base/string.h"

enum config_type { CONFIG_INT, CONFIG_DOUBLE, CONFIG_BOOL, CONFIG_STRING, CONFIG_CHOICE };

enum { CONFIG_STRING_BYTES = 256 };

struct config_key {
    const char *section, *name;
    enum config_type type;
    size_t offset;           /* of the field in the settings struct: int64_t, double, bool,
                                char[CONFIG_STRING_BYTES], int */
    double minimum, maximum; /* for numbers */
    const char *choices;     /* for CONFIG_CHOICE: "a|b|c"; the field holds the index */
    const char *initial;     /* default as text */
    const char *unit;        /* "tokens", "steps", "" */
    const char *help;        /* one line */
};

struct config_table {
    const struct config_key *keys;
    size_t count;
};

void config_defaults(void *settings, struct config_table table);
/* Reads `path` over the settings present; name is what errors call it. */
MUST_USE status config_read(void *settings, struct config_table table, const char *path,
                            struct error *error);
MUST_USE status config_parse(void *settings, struct config_table table, struct view text,
                             const char *name, struct error *error);
/* Sets one key from "section.name" and text, as an override on the command line does. */
MUST_USE status config_set(void *settings, struct config_table table, const char *key,
                           const char *value, struct error *error);
/* Writes all keys with their values (doubles so that they read back to the same bits).  ERR_LIMIT:
 * a value is too long to be read again (199 bytes with its key). */
MUST_USE status config_write(struct buffer *out, const void *settings, struct config_table table,
                             struct error *error);
/* One line a key: name, default, range, unit, help. */
MUST_USE status config_help(struct buffer *out, struct config_table table, struct error *error);

#endif
