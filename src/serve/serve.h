/* The server: OpenAI's protocol over HTTP and a web page, one model, nothing that leaves the
 * building (there is no outbound client). Knows engines, sessions and texts (infer/), never
 * tensors.
 * serve_run owns its threads: one that polls connections, one that makes tokens. */
#ifndef RODNIK_SERVE_SERVE_H
#define RODNIK_SERVE_SERVE_H

#include "infer/infer.h"

enum {
    SERVE_BODY_BYTES_MAX = 1 << 20,
    SERVE_QUEUE_MAX = 64, /* requests that wait; one more is a 429 */
    SERVE_CONNECTIONS_MAX = 512,
    SERVE_TIMEOUT_S = 30, /* of a connection on which nothing moves */
    SERVE_MESSAGES_MAX = 1024
};

struct serve_settings {
    const char *host;      /* an IPv4 address */
    uint16_t port;         /* 0: any */
    const char *keys_path; /* file with an access key a line, or NULL: no key needed */
    size_t context;        /* 0: the model's */
    void (*ready)(void *context, uint16_t port); /* called once when requests are taken */
    void *ready_context;
};

/* Serves until interrupt_requested(). */
MUST_USE status serve_run(const struct serve_settings *settings, const struct engine *engine,
                          struct error *error);

/* ---- requests: a pure function of the body, for tests and fuzzing ---- */

struct api_error {
    int http;          /* 400, 404 ... */
    const char *type;  /* invalid_request_error ... */
    const char *param; /* field, or NULL */
    char message[512];
};

struct api_request {
    bool chat, stream, include_usage;
    struct message *messages; /* chat */
    size_t message_count;
    struct view prompt; /* completions */
    struct sampling sampling;
    const char *stops[SAMPLING_STOPS_MAX];
};

/* False with `error` filled.  `model`: the name that requests may give (or none).  Texts live in
 * the arena. */
bool api_parse(struct api_request *out, struct api_error *error, bool chat, struct view body,
               const char *model, struct arena *arena);

#endif
