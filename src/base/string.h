/* Strings as views: a pointer and a length, not NUL-terminated, never owned.  Parsing numbers
 * strictly. */
#ifndef RODNIK_BASE_STRING_H
#define RODNIK_BASE_STRING_H

#include "base/error.h"

struct view {
    const char *data;
    size_t len;
};

struct view view_of(const char *text);
bool view_equal(struct view a, struct view b);
bool view_is(struct view a, const char *text);
bool view_starts(struct view a, const char *prefix);
bool view_ends(struct view a, const char *suffix);
struct view view_trim(struct view a); /* ASCII white space off both ends */
/* Takes the next line (without \n or \r\n) off `rest`; false at the end. */
bool view_line(struct view *line, struct view *rest);

/* Whole-string numbers in C notation; false if anything else stands there or the value is out of
 * range. */
bool parse_i64(int64_t *out, struct view text);
bool parse_u64(uint64_t *out, struct view text);
bool parse_double(double *out, struct view text); /* finite only */
bool parse_bool(bool *out, struct view text);     /* true false yes no on off 1 0 */

/* Joins two path parts with one slash into `out`; ERR_LIMIT if it doesn't fit. */
MUST_USE status path_join(char *out, size_t out_bytes, const char *folder, const char *name,
                          struct error *error);
enum { PATH_BYTES = 4096 };

/* Text as the inside of a JSON string, cut where `out` is full; bytes beyond ASCII pass.  Returns
 * its length. */
size_t json_escape(char *out, size_t out_bytes, const char *text);

#endif
