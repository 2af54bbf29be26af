/* What the files of serve/ share. */
#ifndef RODNIK_SERVE_SERVE_INTERNAL_H
#define RODNIK_SERVE_SERVE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "serve/serve.h"

/* ---- access ---- */

enum { ACCESS_KEYS_MAX = 10000 };
struct access {
    struct sha256 *keys; /* NULL: nobody needs one */
    size_t count;
};
/* Refuses a file that others than its owner can read. */
MUST_USE status access_load(struct access *out, const char *path, struct arena *arena,
                            struct error *error);
/* The value of an Authorization header ("Bearer KEY"), or NULL.  Takes the same time whatever it
 * compares. */
bool access_allows(const struct access *access, const char *authorization);

/* ---- answers ---- */

struct answer { /* names of one answer, for its JSON */
    const char *model;
    char id[48];
    int64_t created_unix;
    bool chat;
};
/* Each appends to `out`: an error object; a whole answer; one event of a stream ("data:
 * {...}\n\n"). */
MUST_USE status answer_error(struct buffer *out, const struct api_error *problem,
                             struct error *error);
MUST_USE status answer_whole(struct buffer *out, const struct answer *answer, struct view text,
                             const struct generation *generation, struct error *error);
/* text and finish may be NULL (a chat's first event names the role only). */
MUST_USE status answer_event(struct buffer *out, const struct answer *answer,
                             const struct view *text, const char *finish, struct error *error);
MUST_USE status answer_usage(struct buffer *out, const struct answer *answer,
                             const struct generation *generation, struct error *error);
MUST_USE status answer_models(struct buffer *out, const struct engine_info *info, size_t context,
                              struct error *error);

/* ---- the worker: makes tokens for one request after the other ---- */

struct job; /* one request in work; shared by its connection and the worker */
struct worker;

/* How the worker lets a connection sleep and wakes it; both are called under the
 * worker's lock, so that a wake never comes before
 * its sleep. */
struct connection_hooks {
    void (*sleep)(void *connection);
    void (*wake)(void *connection);
};

/* Makes one token before it returns; fails if that fails. */
MUST_USE status worker_create(struct worker **out, const struct engine *engine, size_t context,
                              struct connection_hooks hooks, struct error *error);
/* Cancels all jobs and wakes their connections; no job is taken any more. */
void worker_stop(struct worker *worker);
void worker_destroy(struct worker *worker); /* after all jobs were released */
/* It made a token and still takes jobs. */
bool worker_healthy(struct worker *worker);
size_t worker_context(const struct worker *worker);

/* A job takes the arena, in which the request lives, also on failure.  ERR_LIMIT when too many
 * wait. */
MUST_USE status worker_submit(struct job **out, struct worker *worker,
                              const struct api_request *request, struct arena *arena,
                              void *connection, struct error *error);
/* The connection lets go: the job is cancelled if it is not done. */
void job_release(struct job *job);

enum job_state { JOB_WORKING, JOB_DONE, JOB_FAILED };
/* Moves up to `len` bytes that are ready into `out`; *state tells whether more will come.
 * When nothing is ready and the job works
 * on, the connection is put to sleep until there is. */
size_t job_read(struct job *job, char *out, size_t len, enum job_state *state);
/* Whether the job has ended; if not, the connection is put to sleep until it has. */
bool job_ended(struct job *job, enum job_state *state);
/* Of a job that ended: its whole text and its sentence if it failed. */
struct view job_text(const struct job *job);
const char *job_failure(const struct job *job);

#endif
