/* Work on untrusted files in children that can do nothing but compute (base/confine.h), with the
 * results in the order of the inputs, whatever child was faster.  An input is worked on in items;
 * an item that crashes its child, or takes too long, is refused by the next child, and the input
 * goes on behind it.  Not for threads: base/thread.h.  Called by one thread; children end with the
 * call. */
#ifndef RODNIK_BASE_SANDBOX_H
#define RODNIK_BASE_SANDBOX_H

#include "base/confine.h"
#include "base/string.h"

/* ---- in the child ---- */

struct sandbox_channel;

struct sandbox_input {
    struct view label; /* as the parent named it */
    struct view bytes; /* the whole file, mapped */
};

/* Works on one input.  A failure ends the input with its sentence as the reason; frames of items
 * that ended before it count. */
typedef status sandbox_task(void *context, const struct sandbox_input *input,
                            struct sandbox_channel *channel, struct error *error);

enum sandbox_turn {
    SANDBOX_WORK,   /* do it */
    SANDBOX_SKIP,   /* was done by a child that ended: send nothing */
    SANDBOX_REFUSED /* ended a child: send what stands for it, with sandbox_reason */
};
/* Items are counted by these two calls, which must come in the same order each time the same input
 * is worked on; frames are sent between them. */
enum sandbox_turn sandbox_item_begin(struct sandbox_channel *channel);
MUST_USE status sandbox_item_end(struct sandbox_channel *channel, struct error *error);
const char *sandbox_reason(const struct sandbox_channel *channel);
/* Adds one frame made of `count` pieces. */
MUST_USE status sandbox_frame(struct sandbox_channel *channel, const struct view *pieces,
                              size_t count, struct error *error);

/* ---- in the parent ---- */

struct sandbox_settings {
    sandbox_task *task;
    void *context; /* as it was when the call began: children are copies of this process */
    int children;
    uint64_t memory_bytes; /* of a child, beyond what the process has */
    double item_s;         /* processor seconds of an item */
    double silence_s;    /* seconds without a sign of life, for items that wait and don't compute */
    uint64_t item_bytes; /* of an item's frames */
};

struct sandbox_request {
    const char *label; /* read before `next` is called again */
    int descriptor;    /* of a regular file; closed by the sandbox; -1: `reason` says why not */
    const char *reason;
};

struct sandbox_feed {
    void *context;
    bool (*next)(void *context, struct sandbox_request *out); /* false: no more inputs */
    /* Frames and ends of the inputs, each input's frames before its end, in the order of inputs. */
    status (*frame)(void *context, size_t input, struct view frame, struct error *error);
    status (*end)(void *context, size_t input, const char *reason, struct error *error);
};

/* Returns when all inputs have ended; fails when a callback does, when no child can be made or
 * confined, and on a request to stop. */
MUST_USE status sandbox_run(const struct sandbox_settings *settings,
                            const struct sandbox_feed *feed, struct error *error);

/* ---- one external program ---- */

struct sandbox_program {
    const char *const *arguments; /* the program's path first, NULL last */
    int input;                    /* descriptor that becomes its standard input */
    uint64_t memory_bytes;
    double limit_s; /* processor seconds; ten times as many by the clock */
};
struct buffer;
/* Appends what the program writes; on a fault of the program *reason says what (a static text) and
 * the result is OK. */
MUST_USE status sandbox_program_run(struct buffer *out, const char **reason,
                                    const struct sandbox_program *program, struct error *error);

#endif
