/* The ledger: a file of JSON lines, each of which holds the hash of the one before, so that no line
 * can be changed, taken out or
 * put elsewhere without breaking the chain.
 *
 *     {"index":0,"previous":"000...0",MEMBERS}
 *
 * `previous` is the SHA-256 of the previous line's bytes without its newline (64 zeros for the
 * first).  Lines are appended with one
 * write and fsync.  Not for what lines mean: the caller gives members and reads them.  One process
 * at a time (folder_lock). */
#ifndef RODNIK_PROOF_LEDGER_H
#define RODNIK_PROOF_LEDGER_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/string.h"

enum { LEDGER_LINE_BYTES_MAX = 1 << 20, LEDGER_LINES_MAX = 10000000 };

struct ledger {
    const char *path; /* borrowed */
    size_t lines;
    uint64_t bytes;     /* length of the whole lines */
    struct sha256 last; /* hash of the last line; zeros when there is none */
    bool torn;          /* behind the whole lines stand torn_bytes of a line that a crash cut */
    uint64_t torn_bytes;
};

/* Called for each line in order; may be NULL.  `json` is the line without its newline. */
typedef status ledger_line(void *context, size_t index, struct view json, struct error *error);

/* Reads and checks the whole chain; an absent file is an empty ledger.  A last line without its
 * newline is torn (ledger->torn) and
 * not counted; anything else that doesn't chain is ERR_FORMAT with the line's number (from 1). */
MUST_USE status ledger_open(struct ledger *out, const char *path, ledger_line *on_line,
                            void *context, struct error *error);
/* Cuts a torn end off. */
MUST_USE status ledger_mend(struct ledger *ledger, struct error *error);
/* Keeps the first `lines` lines (a run that resumes from an older checkpoint writes the later ones
 * again, bit for bit). */
MUST_USE status ledger_cut(struct ledger *ledger, size_t lines, struct error *error);
/* Appends a line with these members: JSON text without the outer braces, such as
 * "\"step\":5,\"loss\":\"3f800000\"". */
MUST_USE status ledger_append(struct ledger *ledger, const char *members, struct error *error);

#endif
