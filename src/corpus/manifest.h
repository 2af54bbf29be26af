/* manifest.json of a corpus folder: what is in it, with the hash of every other file and one over
 * itself (docs/formats.md).  Not for the lists (corpus/store_lines.h).  A manifest in memory is
 * cJSON's, deleted by who asked for it; no state. */
#ifndef RODNIK_CORPUS_MANIFEST_H
#define RODNIK_CORPUS_MANIFEST_H

#include <cjson/cJSON.h>

#include "corpus/membership.h"

enum { MANIFEST_FORMAT = 2, MANIFEST_BYTES_MAX = 64 << 20 };

/* Checks the hash over itself, the format and the root; `path` is for messages. */
MUST_USE status manifest_parse(cJSON **out, struct view text, const char *path,
                               struct error *error);
MUST_USE status manifest_read(cJSON **out, const char *folder, struct error *error);
/* Writes it with its hash, in one step; a member `check` that it has is replaced. */
MUST_USE status manifest_write(cJSON *manifest, const char *path, struct error *error);

void manifest_roots(struct corpus_roots *out, const cJSON *manifest);
void manifest_put_roots(cJSON *manifest, const struct corpus_roots *roots);

struct manifest_file {
    uint64_t bytes;
    struct sha256 sha256;
};
/* What it says of a file of the folder; false: it does not name it. */
bool manifest_file_of(struct manifest_file *out, const cJSON *manifest, const char *name);
/* Puts down the file as it is now. */
MUST_USE status manifest_put_file(cJSON *manifest, const char *folder, const char *name,
                                  struct error *error);
/* Of one file that was written anew in a finished folder, when the manifest names it. */
MUST_USE status manifest_refresh(const char *folder, const char *name, struct error *error);

double manifest_number(const cJSON *json, const char *name);    /* 0 when it is missing */
const char *manifest_text(const cJSON *json, const char *name); /* "" when it is missing */

#endif
