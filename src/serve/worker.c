/* One thread makes tokens; connections wait asleep. */
#include "serve/serve_internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/thread.h"

enum { OUTPUT_BYTES_MAX = 64 << 20 };

struct job {
    struct worker *worker;
    struct job *next;
    struct arena *arena;
    struct api_request request;
    void *connection; /* NULL: it let go */
    bool asleep, cancelled, owned_by_worker;
    enum job_state state;
    struct buffer output;
    size_t sent;
    struct answer answer;
    char failure[ERROR_TEXT_BYTES];
};

struct worker {
    const struct engine *engine;
    struct session *session;
    struct arena *arena;
    struct connection_hooks hooks;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t submitted;
    struct job *first, **last; /* waiting */
    struct job *current;
    size_t waiting;
    uint64_t numbered; /* jobs so far */
    bool stopping, healthy;
};

/* ---- jobs ---- */

static void job_destroy(struct job *job)
{
    buffer_destroy(&job->output);
    arena_destroy(job->arena);
}

static void wake(struct job *job)
{
    if (!job->asleep)
        return;
    job->asleep = false;
    job->worker->hooks.wake(job->connection);
}

static void put_to_sleep(struct job *job)
{
    job->asleep = true;
    job->worker->hooks.sleep(job->connection);
}

/* Under the lock.  Returns whether nobody holds the job any more. */
static bool end_job(struct job *job, enum job_state state)
{
    job->state = state;
    job->owned_by_worker = false;
    wake(job);
    return job->connection == NULL;
}

status worker_submit(struct job **out, struct worker *worker, const struct api_request *request,
                     struct arena *arena, void *connection, struct error *error)
{
    ASSERT(out && worker && request && arena && connection && error);
    struct job *job = arena_alloc(arena, 1, sizeof *job, error);
    if (!job) {
        arena_destroy(arena);
        return error->code;
    }
    *job = (struct job){.worker = worker,
                        .arena = arena,
                        .request = *request,
                        .connection = connection,
                        .owned_by_worker = true};
    job->request.sampling.stop = job->request.stops;
    buffer_create(&job->output, OUTPUT_BYTES_MAX);
    pthread_mutex_lock(&worker->lock);
    bool taken = !worker->stopping && worker->waiting < SERVE_QUEUE_MAX;
    if (taken) {
        job->answer = (struct answer){.model = engine_info(worker->engine)->name,
                                      .created_unix = (int64_t)time(NULL),
                                      .chat = request->chat};
        snprintf(job->answer.id, sizeof job->answer.id, "%s-%llu",
                 request->chat ? "chatcmpl" : "cmpl", (unsigned long long)++worker->numbered);
        *worker->last = job;
        worker->last = &job->next;
        worker->waiting++;
        pthread_cond_signal(&worker->submitted);
    }
    pthread_mutex_unlock(&worker->lock);
    if (!taken) {
        job_destroy(job);
        return fail(error, ERR_LIMIT, "too many requests wait (%d); try again later",
                    SERVE_QUEUE_MAX);
    }
    *out = job;
    return OK;
}

void job_release(struct job *job)
{
    struct worker *worker = job->worker;
    pthread_mutex_lock(&worker->lock);
    job->connection = NULL;
    job->asleep = false;
    job->cancelled = true;
    bool last = !job->owned_by_worker;
    pthread_mutex_unlock(&worker->lock);
    if (last)
        job_destroy(job);
}

size_t job_read(struct job *job, char *out, size_t len, enum job_state *state)
{
    pthread_mutex_lock(&job->worker->lock);
    size_t ready = job->output.len - job->sent, moved = ready < len ? ready : len;
    if (moved)
        memcpy(out, job->output.data + job->sent, moved);
    job->sent += moved;
    *state = moved ? JOB_WORKING : job->state;
    if (!moved && job->state == JOB_WORKING)
        put_to_sleep(job);
    pthread_mutex_unlock(&job->worker->lock);
    return moved;
}

bool job_ended(struct job *job, enum job_state *state)
{
    pthread_mutex_lock(&job->worker->lock);
    *state = job->state;
    bool ended = job->state != JOB_WORKING;
    if (!ended)
        put_to_sleep(job);
    pthread_mutex_unlock(&job->worker->lock);
    return ended;
}

struct view job_text(const struct job *job)
{
    return (struct view){job->output.data ? job->output.data : "", job->output.len};
}

const char *job_failure(const struct job *job)
{
    return job->failure;
}

/* ---- making tokens ---- */

struct writing {
    struct job *job;
    struct buffer text; /* of a whole answer */
    struct error error;
};

/* Under the lock: events become visible to the connection. */
static void publish(struct job *job, status (*append)(struct writing *, struct view),
                    struct writing *writing, struct view text)
{
    pthread_mutex_lock(&job->worker->lock);
    if (append(writing, text) != OK)
        job->cancelled = true;
    wake(job);
    pthread_mutex_unlock(&job->worker->lock);
}

static status append_event(struct writing *writing, struct view text)
{
    return answer_event(&writing->job->output, &writing->job->answer, &text, NULL, &writing->error);
}

static status append_role(struct writing *writing, struct view text)
{
    (void)text;
    return answer_event(&writing->job->output, &writing->job->answer, NULL, NULL, &writing->error);
}

static bool is_cancelled(struct job *job)
{
    pthread_mutex_lock(&job->worker->lock);
    bool cancelled = job->cancelled;
    pthread_mutex_unlock(&job->worker->lock);
    return cancelled;
}

static bool on_text(void *context, struct view piece)
{
    struct writing *writing = context;
    struct job *job = writing->job;
    if (job->request.stream)
        publish(job, append_event, writing, piece);
    else if (buffer_append(&writing->text, piece.data, piece.len, &writing->error) != OK)
        return false;
    return !is_cancelled(job);
}

static status append_end(struct job *job, struct writing *writing,
                         const struct generation *generation)
{
    struct error *error = &writing->error;
    if (!job->request.stream)
        return answer_whole(&job->output, &job->answer,
                            (struct view){writing->text.data, writing->text.len}, generation,
                            error);
    TRY(answer_event(&job->output, &job->answer, NULL,
                     generation->finish == FINISH_STOP ? "stop" : "length", error));
    if (job->request.include_usage)
        TRY(answer_usage(&job->output, &job->answer, generation, error));
    return buffer_string(&job->output, "data: [DONE]\n\n", error);
}

static status make_prompt(struct tokens *out, const struct worker *worker,
                          const struct api_request *request, struct error *error)
{
    if (request->chat)
        return prompt_chat(out, worker->engine, request->messages, request->message_count, error);
    return prompt_text(out, worker->engine, request->prompt, error);
}

static status run_job(struct worker *worker, struct job *job, struct writing *writing)
{
    struct tokens prompt;
    struct generation generation;
    if (is_cancelled(job)) /* while it waited */
        return fail(&writing->error, ERR_INTERRUPTED, "the connection was closed");
    tokens_create(&prompt, SERVE_BODY_BYTES_MAX + 64);
    if (job->request.stream && job->request.chat)
        publish(job, append_role, writing, (struct view){NULL, 0});
    status result = make_prompt(&prompt, worker, &job->request, &writing->error);
    if (result == OK)
        result = generate(&generation, worker->session, &prompt, &job->request.sampling, on_text,
                          writing, &writing->error);
    tokens_destroy(&prompt);
    if (result != OK)
        return result;
    if (is_cancelled(job)) /* a cut answer must not look like a whole one */
        return fail(&writing->error, ERR_INTERRUPTED, "the server is stopping");
    pthread_mutex_lock(&worker->lock);
    result = append_end(job, writing, &generation);
    worker->healthy = worker->healthy || generation.completion_tokens > 0;
    pthread_mutex_unlock(&worker->lock);
    return result;
}

static void work(struct worker *worker, struct job *job)
{
    struct writing writing = {.job = job};
    buffer_create(&writing.text, OUTPUT_BYTES_MAX);
    status result = run_job(worker, job, &writing);
    buffer_destroy(&writing.text);
    pthread_mutex_lock(&worker->lock);
    worker->current = NULL;
    if (result != OK)
        snprintf(job->failure, sizeof job->failure, "%s", writing.error.text);
    bool nobody = end_job(job, result == OK ? JOB_DONE : JOB_FAILED);
    pthread_mutex_unlock(&worker->lock);
    if (nobody)
        job_destroy(job);
}

static struct job *next_job(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    while (!worker->stopping && !worker->first)
        pthread_cond_wait(&worker->submitted, &worker->lock);
    struct job *job = worker->stopping ? NULL : worker->first;
    if (job) {
        worker->first = job->next;
        if (!worker->first)
            worker->last = &worker->first;
        worker->waiting--;
        worker->current = job;
    }
    pthread_mutex_unlock(&worker->lock);
    return job;
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct job *job;
    float_environment_set();
    while ((job = next_job(worker)))
        work(worker, job);
    return NULL;
}

/* ---- life ---- */

static bool ignore_text(void *context, struct view piece)
{
    (void)context;
    (void)piece;
    return true;
}

static status make_one_token(struct worker *worker, struct error *error)
{
    struct tokens prompt;
    struct generation generation;
    struct sampling sampling = sampling_default();
    sampling.max_tokens = 1;
    tokens_create(&prompt, 16);
    status result = prompt_text(&prompt, worker->engine, (struct view){"", 0}, error);
    if (result == OK)
        result =
            generate(&generation, worker->session, &prompt, &sampling, ignore_text, NULL, error);
    tokens_destroy(&prompt);
    worker->healthy = result == OK && generation.completion_tokens == 1;
    return result;
}

status worker_create(struct worker **out, const struct engine *engine, size_t context,
                     struct connection_hooks hooks, struct error *error)
{
    ASSERT(out && engine && hooks.sleep && hooks.wake && error);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct worker *worker = arena_alloc(arena, 1, sizeof *worker, error);
    status result = worker ? OK : error->code;
    if (worker) {
        worker->arena = arena;
        worker->engine = engine;
        worker->hooks = hooks;
        worker->last = &worker->first;
        result = session_create(&worker->session, engine, context, error);
    }
    if (result == OK)
        result = make_one_token(worker, error);
    if (result == OK) {
        pthread_mutex_init(&worker->lock, NULL);
        pthread_cond_init(&worker->submitted, NULL);
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0)
            result = fail(error, ERR_MEMORY, "the system refuses a thread");
    }
    if (result != OK) {
        session_destroy(worker ? worker->session : NULL);
        arena_destroy(arena);
        return result;
    }
    *out = worker;
    return OK;
}

void worker_stop(struct worker *worker)
{
    struct job *orphans = NULL;
    pthread_mutex_lock(&worker->lock);
    worker->stopping = true;
    if (worker->current)
        worker->current->cancelled = true;
    for (struct job *job = worker->first, *next; job; job = next) {
        next = job->next;
        snprintf(job->failure, sizeof job->failure, "the server stops");
        if (end_job(job, JOB_FAILED)) {
            job->next = orphans;
            orphans = job;
        }
    }
    worker->first = NULL;
    worker->last = &worker->first;
    worker->waiting = 0;
    pthread_cond_broadcast(&worker->submitted);
    pthread_mutex_unlock(&worker->lock);
    for (struct job *job = orphans, *next; job; job = next) {
        next = job->next;
        job_destroy(job);
    }
    pthread_join(worker->thread, NULL);
}

void worker_destroy(struct worker *worker)
{
    pthread_mutex_destroy(&worker->lock);
    pthread_cond_destroy(&worker->submitted);
    session_destroy(worker->session);
    arena_destroy(worker->arena);
}

bool worker_healthy(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    bool healthy = worker->healthy && !worker->stopping;
    pthread_mutex_unlock(&worker->lock);
    return healthy;
}

size_t worker_context(const struct worker *worker)
{
    return session_context(worker->session);
}
