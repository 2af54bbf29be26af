/* What passes between a sandbox's parent and its children. */
#ifndef RODNIK_BASE_SANDBOX_INTERNAL_H
#define RODNIK_BASE_SANDBOX_INTERNAL_H

#include <stdatomic.h>

#include "base/sandbox.h"

enum { LABEL_BYTES_MAX = 1 << 16, REASON_BYTES = 256 };
#define NO_ITEM UINT64_MAX

/* Parent to child, with the descriptor beside it and the label behind it. */
struct request_head {
    uint64_t size;    /* of the file */
    uint64_t skip;    /* items that are done */
    uint64_t refused; /* the item that ended a child, or NO_ITEM */
    uint32_t label_bytes;
    char reason[REASON_BYTES]; /* why it ended it */
};

/* Child to parent: frames of whole items only (each a u32 length and its bytes), so that a child
 * that dies leaves no half of an item. */
enum batch_kind { BATCH_ITEMS = 0x52424954, BATCH_END, BATCH_FAILED, BATCH_UNCONFINED };
struct batch_head {
    uint32_t kind;
    uint32_t zero;
    uint64_t items; /* that have ended so far */
    uint64_t bytes; /* frames, or the reason of a failed input */
};

/* Shared memory: 2 * items that ended, and one more while an item is worked on. */
struct sandbox_state {
    _Atomic uint64_t place;
};

/* The child's life: takes rights away, then serves requests until the socket closes.  Ends the
 * process. */
void sandbox_child_run(const struct sandbox_settings *settings, struct sandbox_state *state,
                       int socket) __attribute__((noreturn));

#endif
