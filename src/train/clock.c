/* Runs that have to end in time: how many steps fit, chosen before the first step counts, and
 * changed while time passes.  Every change is written into the run's recipe before the steps that
 * it concerns, so that the recipe alone says what was done. */
#include "train/train_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* ---- RUN/clock.ini ---- */

#define SECONDS(field_, help_)                                                                     \
    {                                                                                              \
        .section = "clock", .name = #field_, .type = CONFIG_DOUBLE,                                \
        .offset = offsetof(struct run_clock, field_), .minimum = 0, .maximum = 1e12,               \
        .initial = "0", .unit = "seconds", .help = help_                                           \
    }
static const struct config_key keys[] = {
    SECONDS(budget_s, "in all"),
    SECONDS(outside_s, "used so far outside of the steps that metrics.jsonl counts"),
};
#undef SECONDS
static const struct config_table clock_table = {keys, sizeof keys / sizeof *keys};

static status save_clock(const struct run_clock *clock, struct error *error)
{
    char path[PATH_BYTES];
    struct buffer text;
    TRY(path_join(path, sizeof path, clock->run->path, "clock.ini", error));
    buffer_create(&text, RECIPE_BYTES_MAX);
    status result = config_write(&text, clock, clock_table, error);
    if (result == OK)
        result = file_write_atomic(path, text.data, text.len, error);
    buffer_destroy(&text);
    return result;
}

status clock_open(struct run_clock *out, struct run *run, double started_s, struct error *error)
{
    ASSERT(out && run && error);
    char path[PATH_BYTES];
    struct run_clock clock = {.run = run, .started_s = started_s};
    TRY(path_join(path, sizeof path, run->path, "clock.ini", error));
    if (file_exists(path))
        TRY(config_read(&clock, clock_table, path, error));
    else if (run->recipe.minutes > 0)
        clock.budget_s = run->recipe.minutes * 60;
    *out = clock;
    return clock.budget_s > 0 ? save_clock(&clock, error) : OK;
}

status run_budget_s(double *out, const char *run, struct error *error)
{
    ASSERT(out && run && error);
    char path[PATH_BYTES];
    struct run_clock clock = {0};
    TRY(path_join(path, sizeof path, run, "clock.ini", error));
    if (file_exists(path))
        TRY(config_read(&clock, clock_table, path, error));
    *out = clock.budget_s;
    return OK;
}

status clock_begin_steps(struct run_clock *clock, double trained_s, struct error *error)
{
    ASSERT(clock && error);
    double now = time_monotonic_s();
    if (!(clock->budget_s > 0))
        return OK;
    clock->outside_s += now - clock->started_s;
    clock->steps_began_s = clock->mark_s = now;
    clock->trained_s = trained_s;
    clock->mark_left_s = clock_left_s(clock);
    clock->mark_step = clock->run->recipe.steps; /* until the first look */
    return save_clock(clock, error);
}

double clock_left_s(const struct run_clock *clock)
{
    ASSERT(clock);
    double now = time_monotonic_s();
    double steps_s = clock->steps_began_s > 0 ? now - clock->steps_began_s : now - clock->started_s;
    return clock->budget_s - clock->outside_s - clock->trained_s - steps_s;
}

/* ---- how many steps fit at first ---- */

enum { MEASURED_STEPS_MIN = 3, MEASURED_STEPS_MAX = 50 };
static const double MEASURED_SHARE = 0.02, MEASURED_S_MAX = 60;
/* A forward pass is a third of a step; held-out windows are mostly not full. */
static const double VALIDATION_COST = 0.5;

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds a row of the first batches takes, which are the smallest and so the dearest a row. */
static double measure_row_s(struct trainer *trainer, double budget_s)
{
    double seconds[MEASURED_STEPS_MAX];
    int count = 0;
    double started = time_monotonic_s();
    trainer_step(trainer); /* warms caches and pages */
    while (count < MEASURED_STEPS_MAX && !interrupt_requested() &&
           (count < MEASURED_STEPS_MIN || time_monotonic_s() - started < budget_s)) {
        double before = time_monotonic_s();
        trainer_step(trainer);
        int64_t rows = schedule_batch(trainer->recipe, trainer->position.step);
        seconds[count++] = (time_monotonic_s() - before) / (double)rows;
    }
    qsort(seconds, (size_t)count, sizeof *seconds, compare_doubles);
    return count ? seconds[count / 2] : 0;
}

static int64_t steps_that_fit(const struct recipe *recipe, uint64_t validation_tokens, double row_s,
                              double left_s)
{
    double token_s = row_s / (double)recipe->sequence, step_s = row_s * schedule_mean_batch(recipe);
    double validation_s = VALIDATION_COST * token_s * (double)validation_tokens;
    double every_s = recipe->validate_every ? validation_s / (double)recipe->validate_every : 0;
    double steps = (left_s - validation_s) / (step_s + every_s);
    return steps < 1 ? 1 : steps > 1e9 ? (int64_t)1e9 : (int64_t)steps;
}

status clock_choose_steps(const struct run_clock *clock, struct trainer *trainer,
                          const struct validation *validation, struct error *error)
{
    ASSERT(clock && trainer && validation && error);
    struct recipe *recipe = &clock->run->recipe;
    if (!(recipe->minutes > 0))
        return OK;
    recipe->steps = MEASURED_STEPS_MAX + 1;
    memset(recipe->revisions, 0, sizeof recipe->revisions); /* another run's */
    TRY(trainer_reset(trainer, error));
    double wanted_s = MEASURED_SHARE * clock->budget_s;
    double row_s = measure_row_s(trainer, wanted_s < MEASURED_S_MAX ? wanted_s : MEASURED_S_MAX);
    if (interrupt_requested())
        return fail(error, ERR_INTERRUPTED, "%s: stopped before the first step", clock->run->path);
    recipe->steps = steps_that_fit(recipe, validation->tokens, row_s, clock_left_s(clock));
    recipe->minutes = 0;
    TRY(run_save_recipe(clock->run, error));
    TRY(recipe_hash(&trainer->identity.recipe, recipe, error));
    log_info("a step takes %.2f s: %lld steps", row_s * (double)recipe->batch,
             (long long)recipe->steps);
    return OK;
}

/* ---- changes while time passes ---- */

/* Looks come when the time left has shrunk to these shares of what it was at the last one; what a
 * look can't see is the time left after the last, some hundredths of the whole. */
static const double FIRST_LOOK = 0.95, NEXT_LOOK = 0.75;
/* A smaller change of what is left is not worth a line. */
static const double CHANGE_MIN = 0.005;

/* False when no more fit into the recipe, whose lines have a limit. */
static bool add_revision(struct recipe *recipe, int64_t step, int64_t steps)
{
    enum { TEXT_BYTES_MAX = 180 };
    char text[CONFIG_STRING_BYTES];
    struct revisions revisions;
    bool known = revisions_parse(&revisions, recipe);
    ASSERT(known);
    int len = snprintf(text, sizeof text, "%s%s%lld:%lld", recipe->revisions,
                       *recipe->revisions ? " " : "", (long long)step, (long long)recipe->steps);
    if (revisions.count == REVISIONS_MAX || len > TEXT_BYTES_MAX)
        return false;
    memcpy(recipe->revisions, text, sizeof text);
    recipe->steps = steps;
    return true;
}

/* Steps in all that end in time at the pace, by rows, since the last look. */
static int64_t steps_at_pace(const struct run_clock *clock, int64_t step, double left_s)
{
    const struct recipe *recipe = &clock->run->recipe;
    int64_t rows = schedule_rows(recipe, step) - schedule_rows(recipe, clock->mark_step);
    double row_s = (time_monotonic_s() - clock->mark_s) / (double)rows;
    int64_t steps = schedule_steps(recipe, step, left_s > 0 ? left_s / row_s : 0);
    return steps > step ? steps : step + 1;
}

/* The step after which the last change came; 0: none. */
static int64_t last_change(const struct recipe *recipe)
{
    struct revisions revisions;
    bool known = revisions_parse(&revisions, recipe);
    ASSERT(known);
    return revisions.count ? revisions.items[revisions.count - 1].step : 0;
}

status clock_keep(bool *changed, struct run_clock *clock, int64_t step, int64_t settled,
                  double reserve_s, struct error *error)
{
    ASSERT(changed && clock && error);
    struct recipe *recipe = &clock->run->recipe;
    *changed = false;
    if (!(clock->budget_s > 0) || step + 1 >= recipe->steps)
        return OK;
    if (step <= settled || step <= last_change(recipe))
        return OK;                 /* done again after a kill, as it was done */
    if (clock->mark_step > step) { /* the first step of this process warms up */
        clock->mark_step = step;
        clock->mark_s = time_monotonic_s();
        return OK;
    }
    double left_s = clock_left_s(clock) - reserve_s;
    double share = clock->looked ? NEXT_LOOK : FIRST_LOOK;
    if (left_s > share * clock->mark_left_s)
        return OK;
    int64_t steps = steps_at_pace(clock, step, left_s), change = llabs(steps - recipe->steps);
    clock->looked = true;
    clock->mark_s = time_monotonic_s();
    clock->mark_step = step;
    clock->mark_left_s = left_s;
    if ((double)change < CHANGE_MIN * (double)(recipe->steps - step) || change == 0)
        return OK;
    *changed = add_revision(recipe, step, steps);
    return *changed ? run_save_recipe(clock->run, error) : OK;
}
