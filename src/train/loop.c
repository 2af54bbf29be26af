/* From a run folder to its last step: what happens between the steps. */
#include "train/train.h"

#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "train/train_internal.h"

struct loop {
    const struct train_settings *settings;
    struct run run;
    struct trainer trainer;
    struct validation validation;
    struct run_ledger ledger;
    struct metrics metrics;
    double started_s;
    int64_t first_step, saved_step;
    struct train_result result;
};

/* ---- how many steps fit into the minutes: the only use of a clock that decides anything, and it
 * is settled and written down before the first step counts ---- */

enum { MEASURED_STEPS_MIN = 3, MEASURED_STEPS_MAX = 50 };
static const double MEASURED_SHARE = 0.03;
/* A forward pass is a third of a step; held-out windows are mostly not full. */
static const double VALIDATION_COST = 0.5;

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double measure_step_s(struct trainer *trainer, double budget_s)
{
    double seconds[MEASURED_STEPS_MAX];
    int count = 0;
    double started = time_monotonic_s();
    trainer_step(trainer); /* warms caches and pages */
    while (count < MEASURED_STEPS_MAX && !interrupt_requested() &&
           (count < MEASURED_STEPS_MIN || time_monotonic_s() - started < budget_s)) {
        double before = time_monotonic_s();
        trainer_step(trainer);
        seconds[count++] = time_monotonic_s() - before;
    }
    qsort(seconds, (size_t)count, sizeof *seconds, compare_doubles);
    return count ? seconds[count / 2] : 0;
}

static int64_t steps_that_fit(const struct loop *loop, double step_s, double left_s)
{
    const struct recipe *recipe = &loop->run.recipe;
    double token_s = step_s / (double)(recipe->batch * recipe->sequence);
    const struct validation *validation = &loop->validation;
    double validation_s = VALIDATION_COST * token_s * (double)validation->tokens;
    double every_s = recipe->validate_every ? validation_s / (double)recipe->validate_every : 0;
    double steps = (left_s - validation_s) / (step_s + every_s);
    return steps < 1 ? 1 : steps > 1e9 ? (int64_t)1e9 : (int64_t)steps;
}

static status choose_steps(struct loop *loop, struct error *error)
{
    struct recipe *recipe = &loop->run.recipe;
    double budget_s = recipe->minutes * 60;
    if (!(budget_s > 0))
        return OK;
    double started = time_monotonic_s();
    recipe->steps = MEASURED_STEPS_MAX + 1;
    TRY(trainer_reset(&loop->trainer, error));
    double step_s = measure_step_s(&loop->trainer, MEASURED_SHARE * budget_s);
    if (interrupt_requested())
        return fail(error, ERR_INTERRUPTED, "%s: stopped before the first step", loop->run.path);
    double spent_s = time_monotonic_s() - started;
    recipe->steps = steps_that_fit(loop, step_s, budget_s - spent_s);
    recipe->minutes = 0;
    TRY(run_save_recipe(&loop->run, error));
    TRY(recipe_hash(&loop->trainer.identity.recipe, recipe, error));
    log_info("a step takes %.2f s: %lld steps", step_s, (long long)recipe->steps);
    return OK;
}

/* ---- checkpoints ---- */

static bool on_grid(const struct recipe *recipe, int64_t step)
{
    return step % recipe->checkpoint_every == 0 || step == recipe->steps;
}

/* The ledger's line comes first: when the process dies in between, the steps are done again and the
 * line must come out the same. */
static status save(struct loop *loop, struct error *error)
{
    struct trainer *trainer = &loop->trainer;
    struct checkpoint checkpoint = trainer_checkpoint(trainer);
    TRY(metrics_flush(&loop->metrics, error));
    TRY(trainer_hash(trainer, error));
    if (on_grid(trainer->recipe, trainer->position.step)) {
        TRY(run_ledger_segment(&loop->ledger, trainer->recipe, &checkpoint, error));
        trainer->segment = (struct segment){.from = trainer->position.step,
                                            .before = trainer->hashes.state,
                                            .loss = trainer->segment.loss};
    }
    TRY(trainer_save(trainer, error));
    loop->saved_step = trainer->position.step;
    return OK;
}

static status resume(struct loop *loop, struct error *error)
{
    struct trainer *trainer = &loop->trainer;
    bool found = false;
    TRY(trainer_load(&found, trainer, error));
    if (!found) {
        TRY(choose_steps(loop, error));
        TRY(trainer_reset(trainer, error));
        TRY(run_ledger_begin(&loop->ledger, &trainer->identity, &trainer->hashes.state, error));
    }
    TRY(run_ledger_check(&loop->ledger, trainer->recipe, &trainer->segment, error));
    loop->first_step = loop->saved_step = trainer->position.step;
    if (found)
        log_info("%s: going on after step %lld", loop->run.path, (long long)trainer->position.step);
    return metrics_open(&loop->metrics, loop->run.path, trainer->position.step, error);
}

/* ---- steps ---- */

static bool validation_is_due(const struct recipe *recipe, int64_t step)
{
    return step == recipe->steps || (recipe->validate_every && step % recipe->validate_every == 0);
}

static struct train_report report_of(const struct loop *loop, const struct step_result *step)
{
    const struct recipe *recipe = &loop->run.recipe;
    int64_t done = loop->trainer.position.step, row_tokens = recipe->batch * recipe->sequence;
    double elapsed = time_monotonic_s() - loop->started_s;
    double step_s = elapsed / (double)(done - loop->first_step);
    return (struct train_report){.step = done,
                                 .steps = recipe->steps,
                                 .loss = (double)step->loss,
                                 .gradient_norm = (double)step->norm,
                                 .learning_rate =
                                     schedule_share(recipe, done) * recipe->learning_rate,
                                 .validation_bits_per_byte = -1,
                                 .tokens_per_second = step_s > 0 ? (double)row_tokens / step_s : 0,
                                 .elapsed_s = elapsed,
                                 .left_s = step_s * (double)(recipe->steps - done),
                                 .tokens = done * row_tokens,
                                 .skipped = step->verdict != WATCH_FINE};
}

static status give_up(const struct loop *loop, struct error *error)
{
    const struct recipe *recipe = &loop->run.recipe;
    return fail(error, ERR_NUMERIC,
                "%s: %d steps in a row were skipped, the last at step %lld; begin another run with "
                "lower rates (optimizer.learning_rate is %g) or a longer optimizer.warmup (%g)",
                loop->run.path, WATCH_SKIPS_MAX, (long long)loop->trainer.position.step,
                recipe->learning_rate, recipe->warmup);
}

static status do_step(struct loop *loop, struct error *error)
{
    struct trainer *trainer = &loop->trainer;
    const struct recipe *recipe = trainer->recipe;
    struct step_result step = trainer_step(trainer);
    struct train_report report = report_of(loop, &step);
    if (validation_is_due(recipe, report.step))
        report.validation_bits_per_byte = validation_bits_per_byte(&loop->validation);
    loop->result.loss = report.loss;
    loop->result.validation_bits_per_byte = report.validation_bits_per_byte;
    TRY(metrics_add(&loop->metrics, &report, recipe, error));
    if (loop->settings->report)
        loop->settings->report(loop->settings->context, &report);
    if (trainer->position.watch.skips_in_row >= WATCH_SKIPS_MAX) {
        TRY(metrics_flush(&loop->metrics, error));
        return give_up(loop, error);
    }
    return on_grid(recipe, report.step) ? save(loop, error) : OK;
}

static status do_steps(struct loop *loop, struct error *error)
{
    const struct recipe *recipe = &loop->run.recipe;
    const struct position *position = &loop->trainer.position;
    int64_t limit = loop->settings->steps_limit, end = recipe->steps;
    if (limit > 0 && limit < end)
        end = limit;
    while (position->step < end && !interrupt_requested())
        TRY(do_step(loop, error));
    loop->result.interrupted = position->step < end;
    if (loop->saved_step != position->step)
        TRY(save(loop, error));
    return OK;
}

/* ---- the whole ---- */

static status run_loop(struct loop *loop, struct arena *arena, struct error *error)
{
    struct trainer *trainer = &loop->trainer;
    TRY(trainer_create(trainer, &loop->run, loop->settings, arena, error));
    TRY(validation_create(&loop->validation, &trainer->gradients, &loop->run.heldout,
                          &loop->run.recipe, arena, error));
    if (!loop->run.heldout.documents)
        log_info("the corpus holds no document out: there will be no bits per byte");
    TRY(resume(loop, error));
    loop->started_s = time_monotonic_s();
    TRY(do_steps(loop, error));
    /* A finished run that is opened again is measured again. */
    if (trainer->position.step == trainer->recipe->steps &&
        loop->result.validation_bits_per_byte < 0)
        loop->result.validation_bits_per_byte = validation_bits_per_byte(&loop->validation);
    loop->result.steps_done = trainer->position.step;
    loop->result.steps = trainer->recipe->steps;
    loop->result.state = trainer->hashes.state;
    trainer_end(trainer);
    return OK;
}

static status open_loop(struct loop *loop, struct arena *arena, struct error *error)
{
    TRY(run_open(&loop->run, loop->settings, arena, error));
    status result = run_ledger_open(&loop->ledger, loop->run.path, error);
    if (result == OK)
        result = processes_check(&loop->run.recipe, loop->settings->comm, error);
    if (result == OK) {
        run_lead(&loop->run, loop->settings->comm);
        result = run_loop(loop, arena, error);
        metrics_close(&loop->metrics);
        run_ledger_close(&loop->ledger);
    }
    run_close(&loop->run);
    return result;
}

static status follow(struct loop *loop, struct arena *arena, struct error *error)
{
    TRY(run_follow(&loop->run, loop->settings, error));
    status result = trainer_create(&loop->trainer, &loop->run, loop->settings, arena, error);
    if (result == OK)
        result = trainer_follow(&loop->trainer, error);
    run_close(&loop->run);
    return result;
}

status train_run(struct train_result *out, const struct train_settings *settings,
                 struct error *error)
{
    ASSERT(out && settings && settings->run && settings->compute && settings->comm && error);
    struct loop loop = {.settings = settings,
                        .result = {.loss = NAN, .validation_bits_per_byte = -1}};
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    bool leads = comm_rank(settings->comm) == 0;
    status result = leads ? open_loop(&loop, arena, error) : follow(&loop, arena, error);
    if (result == OK)
        *out = loop.result;
    arena_destroy(arena);
    return result;
}
