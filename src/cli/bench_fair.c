/* Training and decoding beside busy processes: the throughput kept, beside the fair share of the
 * processors. */
#include "cli/bench.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/bench_stage.h"
#include "infer/infer.h"
#include "tensor/comm.h"

enum { BUSY_PROCESSES = 3, ROUNDS = 3, WINDOW_S = 4, CONTEXT = 256 };

/* ---- the neighbours ---- */

struct neighbours {
    pid_t process[BUSY_PROCESSES];
    int count;
};

/* Ends with the parent, also when that is killed. */
static void spin_forever(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    for (volatile uint64_t rounds = 0;; rounds = rounds + 1)
        ;
}

static void neighbours_signal(const struct neighbours *neighbours, int number)
{
    for (int i = 0; i < neighbours->count; i++)
        kill(neighbours->process[i], number);
}

static void neighbours_end(const struct neighbours *neighbours)
{
    neighbours_signal(neighbours, SIGKILL);
    for (int i = 0; i < neighbours->count; i++)
        waitpid(neighbours->process[i], NULL, 0);
}

/* Started before the threads that compute, and halted until they are wanted. */
static status neighbours_start(struct neighbours *out, struct error *error)
{
    pid_t parent = getpid();
    for (out->count = 0; out->count < BUSY_PROCESSES; out->count++) {
        pid_t child = fork();
        if (child == 0)
            spin_forever(parent);
        if (child < 0) {
            neighbours_end(out);
            return fail_errno(error, "busy process %d of %d", out->count + 1, (int)BUSY_PROCESSES);
        }
        kill(child, SIGSTOP);
        out->process[out->count] = child;
    }
    return OK;
}

/* ---- the work ---- */

struct work {
    const char *name, *unit;
    void *context;
    double (*once)(void *context); /* units of work done */
};

static double train_once(void *context)
{
    struct bench_stage *stage = context;
    bench_stage_step(stage);
    return (double)stage->tokens;
}

/* A sequence from empty to full, so that every window holds contexts of all lengths. */
static double decode_once(void *context)
{
    static const uint32_t token = 1;
    struct session *session = context;
    struct error error = {0};
    session_clear(session);
    for (int i = 0; i < CONTEXT; i++)
        if (session_feed(session, &token, 1, NULL, &error) != OK)
            return 0;
    return CONTEXT;
}

static double rate_of(const struct work *work)
{
    double done = 0, started = time_monotonic_s(), now = started;
    while (now - started < WINDOW_S) {
        done += work->once(work->context);
        now = time_monotonic_s();
    }
    return done / (now - started);
}

/* What each of equal threads gets: a processor, or its part of too few. */
static double fair_share(int threads)
{
    double processors = processors_allowed(), wanted = threads + BUSY_PROCESSES;
    double alone = threads > processors ? processors / threads : 1;
    return (wanted > processors ? processors / wanted : 1) / alone;
}

static void measure(const struct work *work, const struct neighbours *neighbours, int threads,
                    bool json)
{
    double rates[ROUNDS], limits[ROUNDS], shares[ROUNDS];
    work->once(work->context);
    for (int i = 0; i < ROUNDS; i++) {
        double alone = rate_of(work);
        neighbours_signal(neighbours, SIGCONT);
        rates[i] = rate_of(work);
        neighbours_signal(neighbours, SIGSTOP);
        limits[i] = alone * fair_share(threads);
        shares[i] = rates[i] / limits[i];
    }
    char name[96];
    snprintf(name, sizeof name, "%s beside %d busy processes", work->name, (int)BUSY_PROCESSES);
    struct bench_row row = {.bench = "fair",
                            .name = name,
                            .unit = work->unit,
                            .value = bench_median(rates, ROUNDS),
                            .limit = bench_median(limits, ROUNDS),
                            .fraction = bench_median(shares, ROUNDS)};
    bench_print(&row, json);
}

/* ---- the whole ---- */

static status no_text(void *context, struct view *text, struct error *error)
{
    (void)context, (void)error;
    *text = (struct view){0};
    return OK;
}

static status open_session(struct session **out, struct model *model, struct arena *arena,
                           struct error *error)
{
    struct tokenizer *tokenizer;
    struct engine *engine;
    const struct tokenizer_training training = {.vocabulary = TOKENIZER_VOCABULARY_MIN,
                                                .next = no_text};
    TRY(tokenizer_train(&tokenizer, &training, arena, error));
    TRY(model_pack(model, arena, error));
    TRY(engine_wrap(&engine, model, tokenizer, "random", arena, error));
    return session_create(out, engine, CONTEXT, error);
}

static status bench_works(const struct neighbours *neighbours, const struct bench_train *bench,
                          struct compute *compute, struct arena *arena, struct error *error)
{
    const struct bench_train settings = {
        .shape = "14m", .batch = 4, .sequence = CONTEXT, .optimizer = "adamw", .comm = bench->comm};
    struct bench_stage stage;
    struct session *session;
    TRY(bench_stage_create(&stage, &settings, compute, arena, error));
    int threads = compute_threads(compute);
    measure(&(struct work){"training 14m 4x256", "tokens/s", &stage, train_once}, neighbours,
            threads, bench->json);
    TRY(open_session(&session, stage.model, arena, error));
    measure(&(struct work){"decoding 14m", "tokens/s", session, decode_once}, neighbours, threads,
            bench->json);
    session_destroy(session);
    return OK;
}

status bench_fair(const struct bench_train *bench, struct error *error)
{
    ASSERT(bench && bench->comm && error);
    struct neighbours neighbours;
    struct compute *compute = NULL;
    struct arena *arena = NULL;
    if (comm_count(bench->comm) > 1)
        return fail(error, ERR_USAGE, "%d processes were started, this benchmark is for one",
                    comm_count(bench->comm));
    TRY(neighbours_start(&neighbours, error));
    status result = compute_create(&compute, bench->threads, error);
    if (result == OK)
        result = arena_create(&arena, 0, error);
    if (result == OK)
        result = bench_works(&neighbours, bench, compute, arena, error);
    arena_destroy(arena);
    compute_destroy(compute);
    neighbours_end(&neighbours);
    return result;
}
