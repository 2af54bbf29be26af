/* The list of what must not be in the corpus: texts by their SHA-256, documents by URL, whole
 * domains.
 *
 * A list is text with an entry a line; empty lines and what follows a # at the beginning of a line
 * or after white space count for nothing.  An entry is
 *   64 hexadecimal digits, or sha256:DIGITS    the SHA-256 of a text as it stands in the corpus
 *   a URL: http:// or https:// in front        one page
 *   a domain: example.org, президент.рф        all pages of the domain and of those below it
 * Domains are compared in the form of IDNA 2008 (RFC 5891; non-transitional UTS 46 mapping:
 * case, width and punycode make no difference), a dot at the end counts for nothing.  URLs are
 * compared without scheme, user and fragment, the host as a domain, without port 80 or 443, an
 * empty path as /, and with escapes decoded where they stand for letters, digits, - . _ ~ or bytes
 * beyond ASCII; everything else, the query too, must be the same byte for byte.  Of a longer URL
 * the first 7,168 bytes count.
 *
 * A list lives in the arena it was read into; looking up is thread-safe. */
#ifndef RODNIK_CORPUS_OPT_OUT_H
#define RODNIK_CORPUS_OPT_OUT_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/string.h"

struct opt_out;

/* Reads a list; an entry that is none of the above is ERR_FORMAT with path and line. */
MUST_USE status opt_out_read(struct opt_out **out, const char *path, struct arena *arena,
                             struct error *error);
/* The same from memory; `path` is for messages. */
MUST_USE status opt_out_parse(struct opt_out **out, struct view list, const char *path,
                              struct arena *arena, struct error *error);
size_t opt_out_count(const struct opt_out *list);

enum opt_out_reason { OPT_OUT_NO, OPT_OUT_TEXT, OPT_OUT_URL, OPT_OUT_DOMAIN };
const char *opt_out_reason_name(enum opt_out_reason reason); /* no, text, url, domain */

struct opt_out_match {
    enum opt_out_reason reason;
    uint64_t line; /* of the list, from 1: the first that asks for it; 0: none */
};
/* Whether a document is to be left out, by the hash of its text (NULL: unknown) or by its URL
 * (len 0: none; what is no URL with a host matches none). */
struct opt_out_match opt_out_match(const struct opt_out *list, const struct sha256 *text,
                                   struct view url);

#endif
