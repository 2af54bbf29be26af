/* Processes started by mpirun.  One thread makes every call of MPI, begins and ends the exchanges
 * that are handed to it and looks after the other processes; the caller only waits. */
#include "tensor/comm.h"

#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "tensor/comm_mpi_watch.h"
#include "tensor/comm_plan.h"
#include "tensor/tensor_internal.h"

enum {
    QUEUE_MAX = 256,      /* handed over and not begun; a power of two */
    TAG_JOB = 16,         /* and above: one tag for each job under way */
    TAG_COUNT = 1 << 14,  /* of these */
    PIECE_BYTES = 1 << 30 /* of a broadcast: lengths are int */
};

/* While the caller waits its processor is free: the thread keeps at it, until nothing has come for
 * this long. */
static const double EAGER_S = 10e-3;
static const long REST_NS = 50000, IDLE_NS = 5000000;
/* MPI_Finalize is given this long. */
enum { FINALIZE_SECONDS = 60 };

enum job_kind { JOB_SUM, JOB_SHARE, JOB_BROADCAST, JOB_COLLECT };

struct job {
    enum job_kind kind;
    const struct comm_map *map;
    const struct compute *compute;
    char *data; /* of the whole array */
    size_t item_bytes, begin, end;
    int owner;
};

struct active { /* a job under way */
    struct job job;
    bool busy;
    int tag, round;
    struct comm_span spans[BUCKET_PARTS_MAX];
    MPI_Request requests[BUCKET_PARTS_MAX];
    int count;       /* of both */
    float *received; /* [BUCKET_BYTES_MAX] */
};

struct engine {
    int rank, count;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under the lock */
    struct job queue[QUEUE_MAX];
    uint64_t handed, begun, done; /* jobs so far */
    bool started, stop, waiting;
    int abort_status; /* 0: none */
    status result;    /* of starting */
    struct error error;
    /* the thread's */
    struct active active[EXCHANGES_MAX];
    double progress_s;
    struct arena *arena;
    struct watch *watch;
    const char *advice;
    double silence_s;
    int local_count;              /* of this machine */
    int share_index, share_count; /* of those who may run on the same processors */
};

struct comm {
    struct engine *engine;
};

/* ---- rounds of a job, in the thread ---- */

static void check(struct engine *engine, int result)
{
    char text[MPI_MAX_ERROR_STRING];
    int len;
    if (result == MPI_SUCCESS)
        return;
    MPI_Error_string(result, text, &len);
    watch_end_failed(engine->watch, text);
}

static void send_to(struct engine *engine, struct active *active, int rank, struct comm_span span)
{
    size_t size = active->job.item_bytes;
    span.send = true;
    active->spans[active->count] = span;
    check(engine, MPI_Isend(active->job.data + span.begin * size,
                            (int)((span.end - span.begin) * size), MPI_BYTE, rank, active->tag,
                            MPI_COMM_WORLD, &active->requests[active->count++]));
}

static void receive_from(struct engine *engine, struct active *active, int rank,
                         struct comm_span span)
{
    size_t size = active->job.item_bytes;
    char *into = active->job.data + span.begin * size;
    if (active->job.kind == JOB_SUM)
        into = (char *)(active->received + (span.begin - active->job.begin));
    span.send = false;
    active->spans[active->count] = span;
    check(engine, MPI_Irecv(into, (int)((span.end - span.begin) * size), MPI_BYTE, rank,
                            active->tag, MPI_COMM_WORLD, &active->requests[active->count++]));
}

static bool begin_exchange(struct engine *engine, struct active *active)
{
    const struct job *job = &active->job;
    enum exchange kind = job->kind == JOB_SUM ? EXCHANGE_SUM : EXCHANGE_SHARE;
    int distance = comm_round_distance(kind, engine->count, active->round);
    if (!distance)
        return false;
    const struct comm_round round = {kind, engine->rank, distance, job->begin, job->end};
    struct comm_span spans[BUCKET_PARTS_MAX];
    size_t count = comm_round_spans(spans, job->map, &round);
    for (size_t i = 0; i < count; i++)
        if (spans[i].send)
            send_to(engine, active, engine->rank ^ distance, spans[i]);
        else
            receive_from(engine, active, engine->rank ^ distance, spans[i]);
    return true;
}

/* Round r: ranks below 2^r, which have the data, give them to those 2^r above. */
static bool begin_broadcast(struct engine *engine, struct active *active)
{
    int distance = 1 << active->round;
    const struct comm_span all = {active->job.begin, active->job.end, false};
    if (distance >= engine->count)
        return false;
    if (engine->rank < distance && engine->rank + distance < engine->count)
        send_to(engine, active, engine->rank + distance, all);
    else if (engine->rank >= distance && engine->rank < 2 * distance)
        receive_from(engine, active, engine->rank - distance, all);
    return true;
}

static bool begin_collect(struct engine *engine, struct active *active)
{
    const struct comm_span all = {active->job.begin, active->job.end, false};
    if (active->round || (engine->rank && engine->rank != active->job.owner))
        return false;
    if (engine->rank == 0)
        receive_from(engine, active, active->job.owner, all);
    else
        send_to(engine, active, 0, all);
    return true;
}

/* False: the job has no further round. */
static bool begin_round(struct engine *engine, struct active *active)
{
    active->count = 0;
    switch (active->job.kind) {
    case JOB_BROADCAST:
        return begin_broadcast(engine, active);
    case JOB_COLLECT:
        return begin_collect(engine, active);
    case JOB_SUM:
    case JOB_SHARE:
        break;
    }
    return begin_exchange(engine, active);
}

/* Of floats, since only sums come here; addition commutes, so who is left needs no telling. */
static void add_received(const struct active *active)
{
    const struct job *job = &active->job;
    for (int i = 0; i < active->count; i++) {
        struct comm_span span = active->spans[i];
        float *data = (float *)(void *)job->data + span.begin;
        if (!span.send)
            job->compute->row->add(data, data, active->received + (span.begin - job->begin),
                                   span.end - span.begin);
    }
}

static void finish(struct engine *engine, struct active *active)
{
    active->busy = false;
    pthread_mutex_lock(&engine->lock);
    engine->done++;
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
}

static void advance(struct engine *engine, struct active *active)
{
    for (;;) {
        int all = 1;
        check(engine, MPI_Testall(active->count, active->requests, &all, MPI_STATUSES_IGNORE));
        if (!all)
            return;
        engine->progress_s = time_monotonic_s();
        if (active->job.kind == JOB_SUM)
            add_received(active);
        active->round++;
        if (!begin_round(engine, active)) {
            finish(engine, active);
            return;
        }
    }
}

/* ---- the thread ---- */

static void take_job(struct engine *engine, struct active *active)
{
    pthread_mutex_lock(&engine->lock);
    if (engine->begun < engine->handed) {
        active->job = engine->queue[engine->begun % QUEUE_MAX];
        active->tag = TAG_JOB + (int)(engine->begun % TAG_COUNT);
        active->busy = true;
        engine->begun++;
        pthread_cond_broadcast(&engine->changed);
    }
    pthread_mutex_unlock(&engine->lock);
    if (!active->busy)
        return;
    active->round = 0;
    engine->progress_s = time_monotonic_s();
    if (!begin_round(engine, active))
        finish(engine, active);
}

/* Returns whether a job is under way. */
static bool work(struct engine *engine)
{
    bool busy = false;
    for (int i = 0; i < EXCHANGES_MAX; i++) {
        if (engine->active[i].busy)
            advance(engine, &engine->active[i]);
        if (!engine->active[i].busy)
            take_job(engine, &engine->active[i]);
        busy = busy || engine->active[i].busy;
    }
    return busy;
}

static struct timespec time_in(long ns)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_nsec += ns;
    time.tv_sec += time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

/* Leaves the processor to those who compute.  Returns false when the job is over. */
static bool rest(struct engine *engine, bool busy)
{
    pthread_mutex_lock(&engine->lock);
    bool waiting = engine->waiting, idle = !busy && engine->begun == engine->handed;
    if (idle && !engine->stop && !engine->abort_status) {
        struct timespec time = time_in(IDLE_NS);
        pthread_cond_timedwait(&engine->changed, &engine->lock, &time);
    }
    bool stop = engine->stop && engine->begun == engine->handed && !busy;
    int abort_status = engine->abort_status;
    pthread_mutex_unlock(&engine->lock);
    if (abort_status)
        watch_end_told(engine->watch, abort_status);
    if (busy && waiting && time_monotonic_s() - engine->progress_s < EAGER_S)
        sched_yield();
    else if (busy)
        nanosleep(&(struct timespec){0, REST_NS}, NULL);
    return !stop;
}

/* Those of this machine who may run on the same processors share them. */
static void share_processors(struct engine *engine)
{
    MPI_Comm machine;
    cpu_set_t own;
    int rank, count = 1;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
    MPI_Comm_rank(machine, &rank);
    MPI_Comm_size(machine, &count);
    engine->local_count = count;
    CPU_ZERO(&own);
    sched_getaffinity(0, sizeof own, &own);
    for (int i = 0; i < count; i++) {
        cpu_set_t other = own;
        MPI_Bcast(&other, sizeof other, MPI_BYTE, i, machine);
        if (!CPU_EQUAL(&own, &other))
            continue;
        engine->share_index += i < rank;
        engine->share_count++;
    }
    MPI_Comm_free(&machine);
    processors_take_share(engine->share_index, engine->share_count);
}

/* It works seldom and is waited for, so it comes before those who compute. */
static void come_first(void)
{
    struct sched_param parameters;
    int policy;
    prctl(PR_SET_TIMERSLACK, 1000UL);
    if (pthread_getschedparam(pthread_self(), &policy, &parameters) != 0 ||
        (policy != SCHED_FIFO && policy != SCHED_RR))
        return;
    parameters.sched_priority++;
    (void)!pthread_setschedparam(pthread_self(), policy, &parameters);
}

/* What each can do alone. */
static status prepare(struct engine *engine, int threading, struct error *error)
{
    if (threading < MPI_THREAD_FUNNELED)
        return fail(error, ERR_IO, "MPI knows no threads");
    for (int i = 0; i < EXCHANGES_MAX && engine->count > 1; i++)
        TRY_ALLOC(engine->active[i].received, engine->arena, BUCKET_BYTES_MAX / sizeof(float),
                  error);
    return watch_silence_s(&engine->silence_s, error);
}

/* Does not return when a process failed while others wait for it: the first of those that did
 * says why. */
static void agree(const struct engine *engine, status result, const struct error *error)
{
    int failed = result == OK ? engine->count : engine->rank, first = failed;
    if (engine->count == 1)
        return;
    MPI_Allreduce(&failed, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (first < engine->count)
        watch_end_unstarted(first == engine->rank ? error->text : NULL);
}

static status start_mpi(struct engine *engine, struct error *error)
{
    int threading;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &threading) != MPI_SUCCESS)
        return fail(error, ERR_IO, "MPI does not start");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &engine->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &engine->count);
    status result = prepare(engine, threading, error);
    agree(engine, result, error);
    if (result == OK) {
        share_processors(engine);
        result =
            watch_create(&engine->watch, engine->arena, engine->advice, engine->silence_s, error);
    }
    if (result != OK && engine->count > 1)
        watch_end_unstarted(error->text);
    if (result != OK)
        MPI_Finalize();
    return result;
}

static void stop_mpi(struct engine *engine)
{
    if (engine->watch)
        watch_close(engine->watch);
    signal(SIGALRM, SIG_DFL);
    alarm(FINALIZE_SECONDS);
    MPI_Finalize();
    alarm(0);
}

static void *engine_main(void *argument)
{
    struct engine *engine = argument;
    float_environment_set();
    struct error error = {0};
    status result = start_mpi(engine, &error);
    come_first();
    pthread_mutex_lock(&engine->lock);
    engine->result = result;
    engine->error = error;
    engine->started = true;
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
    if (result != OK)
        return NULL;
    do
        watch_step(engine->watch);
    while (rest(engine, work(engine)));
    stop_mpi(engine);
    return NULL;
}

/* ---- the door ---- */

static status wait_for_start(struct engine *engine, struct error *error)
{
    pthread_mutex_lock(&engine->lock);
    while (!engine->started)
        pthread_cond_wait(&engine->changed, &engine->lock);
    pthread_mutex_unlock(&engine->lock);
    if (engine->result != OK)
        *error = engine->error;
    else
        processors_take_share(engine->share_index, engine->share_count);
    return engine->result;
}

static status start_engine(struct engine *engine, struct error *error)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&engine->lock, NULL);
    pthread_cond_init(&engine->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&engine->thread, NULL, engine_main, engine) != 0)
        return fail(error, ERR_MEMORY, "no thread for the processes' exchange");
    status result = wait_for_start(engine, error);
    if (result != OK)
        pthread_join(engine->thread, NULL);
    return result;
}

int comm_launched(void)
{
    return 1;
}

status comm_start(const struct comm **out, const char *advice, struct error *error)
{
    ASSERT(out && advice && error);
    struct arena *arena = NULL;
    struct comm *comm = NULL;
    TRY(arena_create(&arena, 0, error));
    comm = arena_alloc(arena, 1, sizeof *comm, error);
    status result = comm ? OK : error->code;
    if (result == OK) {
        comm->engine = arena_alloc(arena, 1, sizeof *comm->engine, error);
        result = comm->engine ? OK : error->code;
    }
    if (result == OK) {
        comm->engine->arena = arena;
        comm->engine->advice = arena_string(arena, advice, error);
        result = comm->engine->advice ? start_engine(comm->engine, error) : error->code;
    }
    if (result == OK)
        *out = comm;
    else
        arena_destroy(arena);
    return result;
}

void comm_stop(const struct comm *comm)
{
    if (!comm)
        return;
    struct engine *engine = comm->engine;
    pthread_mutex_lock(&engine->lock);
    engine->stop = true;
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
    pthread_join(engine->thread, NULL);
    pthread_cond_destroy(&engine->changed);
    pthread_mutex_destroy(&engine->lock);
    arena_destroy(engine->arena);
}

void comm_abort(const struct comm *comm, int exit_status)
{
    if (!comm || comm->engine->count == 1)
        return;
    struct engine *engine = comm->engine;
    pthread_mutex_lock(&engine->lock);
    engine->abort_status = exit_status;
    pthread_cond_broadcast(&engine->changed);
    for (;;) /* the thread ends the process */
        pthread_cond_wait(&engine->changed, &engine->lock);
}

int comm_rank(const struct comm *comm)
{
    return comm->engine->rank;
}

int comm_count(const struct comm *comm)
{
    return comm->engine->count;
}

int comm_local(const struct comm *comm)
{
    return comm->engine->local_count;
}

static void hand_over(struct engine *engine, const struct job *job)
{
    pthread_mutex_lock(&engine->lock);
    while (engine->handed - engine->begun == QUEUE_MAX)
        pthread_cond_wait(&engine->changed, &engine->lock);
    engine->queue[engine->handed++ % QUEUE_MAX] = *job;
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
}

void comm_wait(const struct comm *comm)
{
    ASSERT(comm);
    struct engine *engine = comm->engine;
    pthread_mutex_lock(&engine->lock);
    engine->waiting = true;
    while (engine->done < engine->handed)
        pthread_cond_wait(&engine->changed, &engine->lock);
    engine->waiting = false;
    pthread_mutex_unlock(&engine->lock);
}

static void begin_buckets(struct engine *engine, const struct job *whole)
{
    ASSERT((engine->count & (engine->count - 1)) == 0);
    for (size_t at = whole->begin; at < whole->end && engine->count > 1;) {
        struct job bucket = *whole;
        bucket.begin = at;
        bucket.end = at = comm_bucket_end(whole->map, at, whole->end, whole->item_bytes);
        hand_over(engine, &bucket);
    }
}

void comm_sum_begin(const struct comm *comm, const struct comm_map *map,
                    const struct compute *compute, float *data, size_t begin, size_t end)
{
    ASSERT(comm && map && compute && data);
    const struct job job = {.kind = JOB_SUM,
                            .map = map,
                            .compute = compute,
                            .data = (char *)data,
                            .item_bytes = sizeof *data,
                            .begin = begin,
                            .end = end};
    begin_buckets(comm->engine, &job);
}

void comm_share_begin(const struct comm *comm, const struct comm_map *map, void *data,
                      size_t item_bytes, size_t begin, size_t end)
{
    ASSERT(comm && map && data && item_bytes);
    const struct job job = {.kind = JOB_SHARE,
                            .map = map,
                            .data = data,
                            .item_bytes = item_bytes,
                            .begin = begin,
                            .end = end};
    begin_buckets(comm->engine, &job);
}

static void hand_pieces(struct engine *engine, const struct job *whole)
{
    for (size_t at = 0; at < whole->end; at += PIECE_BYTES) {
        struct job piece = *whole;
        piece.begin = at;
        piece.end = whole->end - at < PIECE_BYTES ? whole->end : at + PIECE_BYTES;
        hand_over(engine, &piece);
    }
}

void comm_broadcast(const struct comm *comm, void *data, size_t bytes)
{
    ASSERT(comm && (data || !bytes));
    if (comm->engine->count == 1)
        return;
    const struct job job = {.kind = JOB_BROADCAST, .data = data, .item_bytes = 1, .end = bytes};
    hand_pieces(comm->engine, &job);
    comm_wait(comm);
}

void comm_collect(const struct comm *comm, int owner, void *data, size_t bytes)
{
    ASSERT(comm && owner >= 0 && owner < comm->engine->count);
    if (owner == 0)
        return;
    const struct job job = {
        .kind = JOB_COLLECT, .data = data, .item_bytes = 1, .end = bytes, .owner = owner};
    hand_pieces(comm->engine, &job);
    comm_wait(comm);
}
