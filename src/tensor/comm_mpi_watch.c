#include "tensor/comm_mpi_watch.h"

#include <mpi.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/string.h"
#include "base/thread.h"

enum { TAG_PING = 1, HOST_BYTES = 64, TEXT_BYTES = 512 };
static const double LOOK_EVERY_S = 0.02, PING_EVERY_S = 1, SILENCE_S = 30, SILENCE_MIN_S = 2;
/* Who was not the one to speak waits this long for the end that the speaker brings. */
static const double PATIENCE_S = 3;
static const double PASS_ON_S = 1;
/* MPI_Abort asks a launcher that may hang itself. */
enum { ABORT_SECONDS = 3 };

enum ping { PING_ALIVE, PING_ENDING /* the sender has said why the job ends */ };

struct member { /* of the job */
    int rank, id;
    char host[HOST_BYTES];
};

struct peer {
    int rank;
    unsigned char out, in; /* enum ping */
    MPI_Request send, receive;
    _Atomic double heard_s;
};

/* Two threads: that of the exchanges sends and receives the pings; an own one, which calls nothing
 * of MPI and so can't be held up by it, looks. */
struct watch {
    int rank, count;
    const char *advice;
    double silence_s;
    struct member *members; /* [count] */
    struct peer *peers;
    size_t peer_count;
    int *local; /* ranks on this machine, ascending, this one too */
    int local_count;
    struct pollfd *processes; /* [local_count + 1]: the local ones, then the launcher */
    int launcher;
    atomic_bool ending; /* somebody has said that the job ends, and why */
    atomic_bool abort;  /* the looking thread wants MPI_Abort */
    atomic_bool stop;
    double stepped_s, pinged_s; /* the exchanges' thread */
    pthread_t thread;
    double looked_s; /* the looking thread */
    double asked_s;  /* since when this process is asked to end; 0: it is not */
    atomic_bool asked_is_said;
};

/* ---- ending ---- */

static void sleep_s(double seconds)
{
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

/* Beyond a link that is cut, Open MPI's daemons wait for each other for a quarter of an hour. */
static bool launcher_is_daemon(const struct watch *watch)
{
    static const char *const daemons[] = {"orted", "prted", "mpirun", "orterun", "prterun"};
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", watch->launcher);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    bool read = fgets(name, sizeof name, file) != NULL;
    fclose(file);
    name[strcspn(name, "\n")] = 0;
    for (size_t i = 0; read && i < sizeof daemons / sizeof *daemons; i++)
        if (strcmp(name, daemons[i]) == 0)
            return true;
    return false;
}

/* In the exchanges' thread. */
static _Noreturn void end_job(int exit_status)
{
    signal(SIGALRM, SIG_DFL);
    alarm(ABORT_SECONDS);
    MPI_Abort(MPI_COMM_WORLD, exit_status);
    for (;;)
        pause();
}

/* In the looking thread: the other one ends the job, unless MPI holds it. */
static _Noreturn void have_job_ended(struct watch *watch)
{
    atomic_store(&watch->abort, true);
    sleep_s(ABORT_SECONDS);
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* The launcher passes the sentence on before it goes; the processes it leaves see it gone. */
static _Noreturn void end_beside_a_cut(struct watch *watch)
{
    sleep_s(PASS_ON_S);
    if (getppid() == watch->launcher && launcher_is_daemon(watch)) {
        kill(watch->launcher, SIGKILL);
        kill(getpid(), SIGKILL);
    }
    have_job_ended(watch);
}

/* Not when the last one is still on its way.  What fails is not told further: the peer hears
 * nothing, and silence ends the job. */
static void ping(struct peer *peer, enum ping what)
{
    int sent = 1;
    if (MPI_Test(&peer->send, &sent, MPI_STATUS_IGNORE) != MPI_SUCCESS || !sent)
        return;
    peer->out = what;
    if (MPI_Isend(&peer->out, 1, MPI_BYTE, peer->rank, TAG_PING, MPI_COMM_WORLD, &peer->send) !=
        MPI_SUCCESS)
        peer->send = MPI_REQUEST_NULL;
}

/* Tells everybody that this process has said why the job ends. */
static void tell_ending(struct watch *watch)
{
    for (size_t i = 0; i < watch->peer_count; i++)
        ping(&watch->peers[i], PING_ENDING);
    for (int i = 0; i < 20; i++) {
        int flag;
        MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
        sleep_s(0.002);
    }
}

static bool lives(const struct watch *watch, int local)
{
    struct pollfd process = watch->processes[local];
    return process.fd < 0 || poll(&process, 1, 0) <= 0;
}

/* One voice a machine: the living process of the lowest rank. */
static bool speaks(const struct watch *watch)
{
    for (int i = 0; i < watch->local_count; i++)
        if (lives(watch, i))
            return watch->local[i] == watch->rank;
    return true;
}

static void say(struct watch *watch, const char *sentence)
{
    if (atomic_load(&watch->ending) || !speaks(watch))
        sleep_s(PATIENCE_S);
    if (!atomic_exchange(&watch->ending, true) && !atomic_load(&watch->asked_is_said))
        log_error("%s, so the job ends; %s", sentence, watch->advice);
}

static _Noreturn void end_with(struct watch *watch, const char *sentence)
{
    say(watch, sentence);
    have_job_ended(watch);
}

void watch_end_told(struct watch *watch, int exit_status)
{
    ASSERT(watch);
    atomic_store(&watch->ending, true);
    tell_ending(watch);
    end_job(exit_status);
}

void watch_end_failed(struct watch *watch, const char *what)
{
    ASSERT(watch && what);
    char text[TEXT_BYTES];
    snprintf(text, sizeof text, "process %d of %d (on %s): MPI fails: %s", watch->rank,
             watch->count, watch->members[watch->rank].host, what);
    say(watch, text);
    tell_ending(watch);
    end_job(1);
}

void watch_end_unstarted(const char *sentence)
{
    if (sentence)
        log_error("%s", sentence);
    else
        sleep_s(PATIENCE_S);
    end_job(1);
}

/* ---- looking ---- */

static void look_at_processes(struct watch *watch)
{
    char text[TEXT_BYTES];
    if (poll(watch->processes, (nfds_t)watch->local_count + 1, 0) <= 0)
        return;
    for (int i = 0; i < watch->local_count; i++) {
        const struct member *member = &watch->members[watch->local[i]];
        if (!watch->processes[i].revents)
            continue;
        snprintf(text, sizeof text, "process %d of %d (id %d on %s) has ended", member->rank,
                 watch->count, member->id, member->host);
        end_with(watch, text);
    }
    snprintf(text, sizeof text, "what started the processes on %s (id %d) has ended",
             watch->members[watch->rank].host, watch->launcher);
    end_with(watch, text);
}

static void look_at_peers(struct watch *watch, double now)
{
    char text[TEXT_BYTES];
    for (size_t i = 0; i < watch->peer_count && !atomic_load(&watch->ending); i++) {
        struct peer *peer = &watch->peers[i];
        double silent_s = now - atomic_load(&peer->heard_s);
        if (silent_s < watch->silence_s)
            continue;
        snprintf(text, sizeof text,
                 "process %d of %d (on %s) has heard nothing from process %d (on %s) for %.0f s",
                 watch->rank, watch->count, watch->members[watch->rank].host, peer->rank,
                 watch->members[peer->rank].host, silent_s);
        say(watch, text);
        end_beside_a_cut(watch);
    }
}

/* When a process dies the launcher asks the others to end and kills them a second later.  One of
 * them says so: process 0, else who waits the shortest. */
static void look_at_request(struct watch *watch, double now)
{
    if (!interrupt_requested() || atomic_load(&watch->asked_is_said))
        return;
    if (watch->asked_s == 0)
        watch->asked_s = now;
    double patience = watch->rank == 0 ? 0 : 0.2 + 0.1 * (watch->rank < 6 ? watch->rank : 6);
    if (now - watch->asked_s < patience)
        return;
    atomic_store(&watch->asked_is_said, true);
    if (!speaks(watch) || atomic_load(&watch->ending))
        return;
    log_warning("process %d of %d (on %s) is asked to end, since another one died or by whoever "
                "stops the job; %s",
                watch->rank, watch->count, watch->members[watch->rank].host, watch->advice);
}

static void *look(void *argument)
{
    struct watch *watch = argument;
    watch->looked_s = time_monotonic_s();
    while (!atomic_load(&watch->stop)) {
        double now = time_monotonic_s();
        bool was_away = now - watch->looked_s > watch->silence_s / 2; /* stopped, then continued */
        watch->looked_s = now;
        for (size_t i = 0; was_away && i < watch->peer_count; i++)
            atomic_store(&watch->peers[i].heard_s, now);
        look_at_processes(watch);
        look_at_peers(watch, now);
        look_at_request(watch, now);
        sleep_s(LOOK_EVERY_S);
    }
    return NULL;
}

/* ---- pings, in the exchanges' thread ---- */

/* Where that fails nothing is received any more, and silence ends the job. */
static void listen_to(struct peer *peer)
{
    if (MPI_Irecv(&peer->in, 1, MPI_BYTE, peer->rank, TAG_PING, MPI_COMM_WORLD, &peer->receive) !=
        MPI_SUCCESS)
        peer->receive = MPI_REQUEST_NULL;
}

static void hear(struct watch *watch, struct peer *peer)
{
    while (peer->receive != MPI_REQUEST_NULL) {
        int heard = 0;
        if (MPI_Test(&peer->receive, &heard, MPI_STATUS_IGNORE) != MPI_SUCCESS || !heard)
            return;
        atomic_store(&peer->heard_s, time_monotonic_s());
        if (peer->in == PING_ENDING)
            atomic_store(&watch->ending, true);
        listen_to(peer);
    }
}

void watch_step(struct watch *watch)
{
    ASSERT(watch);
    double now = time_monotonic_s();
    if (watch->count == 1 || now - watch->stepped_s < LOOK_EVERY_S)
        return;
    watch->stepped_s = now;
    for (size_t i = 0; i < watch->peer_count; i++)
        hear(watch, &watch->peers[i]);
    if (atomic_load(&watch->abort))
        watch_end_told(watch, 1);
    if (now - watch->pinged_s < PING_EVERY_S)
        return;
    watch->pinged_s = now;
    for (size_t i = 0; i < watch->peer_count; i++)
        ping(&watch->peers[i], PING_ALIVE);
}

/* ---- beginning and end ---- */

status watch_silence_s(double *out, struct error *error)
{
    ASSERT(out && error);
    const char *text = getenv("RODNIK_PEER_SECONDS");
    char *end = NULL;
    double silence_s = text ? strtod(text, &end) : SILENCE_S;
    if (text && (end == text || *end || !(silence_s >= SILENCE_MIN_S && silence_s <= 86400)))
        return fail(error, ERR_USAGE, "RODNIK_PEER_SECONDS is '%s', allowed are %.0f to 86400",
                    text, SILENCE_MIN_S);
    *out = silence_s;
    return OK;
}

static status learn_members(struct watch *watch, struct arena *arena, struct error *error)
{
    struct member own = {.rank = watch->rank, .id = (int)getpid()};
    gethostname(own.host, sizeof own.host - 1);
    TRY_ALLOC(watch->members, arena, (size_t)watch->count, error);
    MPI_Allgather(&own, sizeof own, MPI_BYTE, watch->members, sizeof own, MPI_BYTE, MPI_COMM_WORLD);
    return OK;
}

static int open_process(int id)
{
    return (int)syscall(SYS_pidfd_open, id, 0);
}

static status learn_processes(struct watch *watch, struct arena *arena, struct error *error)
{
    MPI_Comm machine;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
    MPI_Comm_size(machine, &watch->local_count);
    watch->local = arena_alloc(arena, (size_t)watch->local_count, sizeof *watch->local, error);
    watch->processes =
        arena_alloc(arena, (size_t)watch->local_count + 1, sizeof *watch->processes, error);
    if (!watch->local || !watch->processes)
        return error->code;
    MPI_Allgather(&watch->rank, 1, MPI_INT, watch->local, 1, MPI_INT, machine);
    MPI_Comm_free(&machine);
    for (int i = 0; i < watch->local_count; i++) {
        int rank = watch->local[i];
        watch->processes[i] = (struct pollfd){
            rank == watch->rank ? -1 : open_process(watch->members[rank].id), POLLIN, 0};
    }
    watch->launcher = (int)getppid();
    watch->processes[watch->local_count] =
        (struct pollfd){watch->count > 1 ? open_process(watch->launcher) : -1, POLLIN, 0};
    return OK;
}

/* Those it exchanges with; and process 0 hears everybody, since it collects and broadcasts. */
static bool is_peer(const struct watch *watch, int rank)
{
    int way = watch->rank ^ rank;
    return way && ((way & (way - 1)) == 0 || rank == 0 || watch->rank == 0);
}

static status learn_peers(struct watch *watch, struct arena *arena, struct error *error)
{
    TRY_ALLOC(watch->peers, arena, (size_t)watch->count, error);
    double now = time_monotonic_s();
    for (int rank = 0; rank < watch->count; rank++) {
        if (!is_peer(watch, rank))
            continue;
        struct peer *peer = &watch->peers[watch->peer_count++];
        peer->rank = rank;
        peer->send = MPI_REQUEST_NULL;
        atomic_store(&peer->heard_s, now);
        listen_to(peer);
    }
    return OK;
}

static status learn(struct watch *watch, struct arena *arena, struct error *error)
{
    TRY(learn_members(watch, arena, error));
    TRY(learn_processes(watch, arena, error));
    return learn_peers(watch, arena, error);
}

status watch_create(struct watch **out, struct arena *arena, const char *advice, double silence_s,
                    struct error *error)
{
    ASSERT(out && arena && advice && silence_s > 0 && error);
    struct watch *watch;
    TRY_ALLOC(watch, arena, 1, error);
    watch->advice = advice;
    watch->silence_s = silence_s;
    MPI_Comm_rank(MPI_COMM_WORLD, &watch->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &watch->count);
    TRY(learn(watch, arena, error));
    if (watch->count > 1 && pthread_create(&watch->thread, NULL, look, watch) != 0)
        return fail(error, ERR_MEMORY, "no thread to look after the other processes");
    *out = watch;
    return OK;
}

void watch_close(struct watch *watch)
{
    ASSERT(watch);
    MPI_Request all = MPI_REQUEST_NULL;
    MPI_Ibarrier(MPI_COMM_WORLD, &all); /* who is still at work is still watched over */
    for (int passed = 0; MPI_Test(&all, &passed, MPI_STATUS_IGNORE) == MPI_SUCCESS && !passed;) {
        watch_step(watch);
        sleep_s(50e-6);
    }
    atomic_store(&watch->stop, true);
    if (watch->count > 1)
        pthread_join(watch->thread, NULL);
    for (size_t i = 0; i < watch->peer_count; i++) {
        struct peer *peer = &watch->peers[i];
        MPI_Wait(&peer->send, MPI_STATUS_IGNORE);
        if (peer->receive != MPI_REQUEST_NULL)
            MPI_Cancel(&peer->receive);
        MPI_Wait(&peer->receive, MPI_STATUS_IGNORE);
    }
    for (int i = 0; i <= watch->local_count; i++)
        if (watch->processes[i].fd >= 0)
            close(watch->processes[i].fd);
}
