/* From a run folder to its last step: what happens between the steps. */
#include "train/train.h"

#include <math.h>

#include "base/log.h"
#include "train/train_internal.h"

struct loop {
    const struct train_settings *settings;
    struct run run;
    struct trainer trainer;
    struct validation validation;
    struct run_ledger ledger;
    struct metrics metrics;
    struct run_clock clock;
    double started_s;
    double validation_s, save_s; /* what the last ones took */
    int64_t first_step, saved_step;
    struct train_result result;
};

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
    double began = time_monotonic_s();
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
    loop->save_s = time_monotonic_s() - began;
    return OK;
}

static status resume(struct loop *loop, struct error *error)
{
    struct trainer *trainer = &loop->trainer;
    bool found = false;
    TRY(trainer_load(&found, trainer, error));
    if (!found) {
        TRY(clock_choose_steps(&loop->clock, trainer, &loop->validation, error));
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
    int64_t done = loop->trainer.position.step, rows = schedule_rows(recipe, done);
    double elapsed = time_monotonic_s() - loop->started_s;
    double row_s = elapsed / (double)(rows - schedule_rows(recipe, loop->first_step));
    int64_t rows_left = schedule_rows(recipe, recipe->steps) - rows;
    return (struct train_report){
        .step = done,
        .steps = recipe->steps,
        .loss = (double)step->loss,
        .gradient_norm = (double)step->norm,
        .learning_rate = schedule_share(recipe, done) * recipe->learning_rate,
        .validation_bits_per_byte = -1,
        .tokens_per_second = row_s > 0 ? (double)recipe->sequence / row_s : 0,
        .elapsed_s = elapsed,
        .left_s = row_s * (double)rows_left,
        .tokens = rows * recipe->sequence,
        .tokens_total = (rows + rows_left) * recipe->sequence,
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

/* Changes how many steps there shall be, when time says so. */
static status keep_time(struct loop *loop, struct error *error)
{
    bool changed = false;
    TRY(clock_keep(&changed, &loop->clock, loop->trainer.position.step,
                   run_ledger_step(&loop->ledger, &loop->run.recipe),
                   loop->validation_s + loop->save_s, error));
    if (changed)
        trainer_share_recipe(&loop->trainer);
    return OK;
}

static status do_step(struct loop *loop, struct error *error)
{
    struct trainer *trainer = &loop->trainer;
    const struct recipe *recipe = trainer->recipe;
    struct step_result step = trainer_step(trainer);
    struct train_report report = report_of(loop, &step);
    if (validation_is_due(recipe, report.step)) {
        double began = time_monotonic_s();
        report.validation_bits_per_byte = validation_bits_per_byte(&loop->validation);
        loop->validation_s = time_monotonic_s() - began;
    }
    loop->result.loss = report.loss;
    loop->result.validation_bits_per_byte = report.validation_bits_per_byte;
    TRY(metrics_add(&loop->metrics, &report, recipe, error));
    if (loop->settings->report)
        loop->settings->report(loop->settings->context, &report);
    if (trainer->position.watch.skips_in_row >= WATCH_SKIPS_MAX) {
        TRY(metrics_flush(&loop->metrics, error));
        return give_up(loop, error);
    }
    if (on_grid(recipe, report.step))
        TRY(save(loop, error));
    return keep_time(loop, error);
}

/* The last step of this process; the number of steps may have changed. */
static int64_t end_of(const struct loop *loop)
{
    int64_t limit = loop->settings->steps_limit, end = loop->run.recipe.steps;
    return limit > 0 && limit < end ? limit : end;
}

static status do_steps(struct loop *loop, struct error *error)
{
    const struct position *position = &loop->trainer.position;
    while (position->step < end_of(loop) && !interrupt_requested())
        TRY(do_step(loop, error));
    loop->result.interrupted = position->step < end_of(loop);
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
    TRY(clock_begin_steps(&loop->clock, loop->metrics.seconds_before, error));
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
    double started_s =
        loop->settings->started_s > 0 ? loop->settings->started_s : time_monotonic_s();
    TRY(run_open(&loop->run, loop->settings, arena, error));
    status result = clock_open(&loop->clock, &loop->run, started_s, error);
    if (result == OK)
        result = run_ledger_open(&loop->ledger, loop->run.path, error);
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
