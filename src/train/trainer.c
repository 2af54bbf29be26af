/* One optimizer step: gradient of the global batch, verdict, update. */
#include "train/train_internal.h"

#include <math.h>
#include <string.h>

#include "base/log.h"

status trainer_create(struct trainer *out, struct run *run, const struct train_settings *settings,
                      struct arena *arena, struct error *error)
{
    ASSERT(out && run && settings && arena && error);
    struct recipe *recipe = &run->recipe;
    struct trainer trainer = {.recipe = recipe, .identity = run->identity, .comm = settings->comm};
    const struct loader_settings rows = {(uint64_t)recipe->seed, (size_t)recipe->sequence};
    TRY(recipe_hash(&trainer.identity.recipe, recipe, error));
    TRY(model_create(&trainer.model, &recipe->model, (enum dtype)recipe->precision,
                     settings->compute, arena, error));
    TRY(optimizer_create(&trainer.optimizer, trainer.model, recipe, arena, error));
    TRY(loader_create(&trainer.loader, &run->train, &rows, arena, error));
    TRY(gradients_create(&trainer.gradients, trainer.model, trainer.loader, recipe, settings->comm,
                         arena, error));
    *out = trainer;
    return OK;
}

struct checkpoint trainer_checkpoint(struct trainer *trainer)
{
    return (struct checkpoint){.model = trainer->model,
                               .optimizer = trainer->optimizer,
                               .position = &trainer->position,
                               .segment = &trainer->segment,
                               .identity = &trainer->identity,
                               .hashes = &trainer->hashes};
}

status trainer_reset(struct trainer *trainer, struct error *error)
{
    ASSERT(trainer && error);
    struct optimizer *optimizer = trainer->optimizer;
    model_init(trainer->model, (uint64_t)trainer->recipe->seed);
    memset(optimizer->first, 0, trainer->model->table.total * sizeof *optimizer->first);
    memset(optimizer->second, 0, optimizer->seconds.total * sizeof *optimizer->second);
    trainer->position = (struct position){0};
    struct checkpoint checkpoint = trainer_checkpoint(trainer);
    TRY(checkpoint_hash(&trainer->hashes, &checkpoint, error));
    trainer->segment = (struct segment){.before = trainer->hashes.state};
    return OK;
}

/* Once per event: at its first step. */
static void tell_skip(const struct trainer *trainer, const struct step_result *result)
{
    static const char *const reasons[] = {
        [WATCH_NOT_FINITE] = "the loss or a gradient is not a finite number",
        [WATCH_LOSS_SPIKE] = "the loss stands far above the last steps",
        [WATCH_NORM_SPIKE] = "the gradient stands far above the last steps"};
    if (trainer->position.watch.skips_in_row == 1 && comm_rank(trainer->comm) == 0)
        log_warning("step %lld is skipped: %s (loss %g, gradient norm %g)",
                    (long long)trainer->position.step, reasons[result->verdict],
                    (double)result->loss, (double)result->norm);
}

/* A NaN's sign and payload differ between processors: one stands for all. */
static float canonical(float value)
{
    const uint32_t bits = 0x7fc00000;
    float nan;
    memcpy(&nan, &bits, sizeof nan);
    return isnan(value) ? nan : value;
}

static void extend_segment(struct segment *segment, float loss)
{
    uint8_t link[sizeof segment->losses + sizeof loss];
    segment->loss = canonical(loss);
    memcpy(link, &segment->losses, sizeof segment->losses);
    memcpy(link + sizeof segment->losses, &segment->loss, sizeof loss);
    segment->losses = sha256_of(link, sizeof link);
}

static void update(struct trainer *trainer, double norm)
{
    const struct recipe *recipe = trainer->recipe;
    bool clip = recipe->clip > 0 && norm > recipe->clip;
    const struct optimizer_update settings = {.rate_share =
                                                  schedule_share(recipe, trainer->position.step),
                                              .grad_scale = clip ? (float)(recipe->clip / norm) : 1,
                                              .count = ++trainer->position.updates};
    optimizer_step(trainer->optimizer, trainer->gradients.tree.level[0], &settings);
}

static struct step_result take_step(struct trainer *trainer)
{
    struct position *position = &trainer->position;
    position->step++;
    float loss = gradients_compute(&trainer->gradients, position->step);
    double norm = gradient_norm(trainer->model, trainer->gradients.tree.level[0]);
    struct step_result result = {.loss = loss, .norm = (float)norm};
    result.verdict = watch_judge(&position->watch, result.loss, result.norm);
    if (result.verdict == WATCH_FINE)
        update(trainer, norm);
    else
        tell_skip(trainer, &result);
    extend_segment(&trainer->segment, loss);
    return result;
}

struct step_result trainer_step(struct trainer *trainer)
{
    ASSERT(trainer && trainer->position.step < trainer->recipe->steps);
    trainer_lead(trainer, ORDER_STEP);
    return take_step(trainer);
}

/* ---- processes ---- */

/* All that the next step depends on. */
static void share_state(struct trainer *trainer)
{
    const struct comm *comm = trainer->comm;
    const struct optimizer *optimizer = trainer->optimizer;
    struct model *model = trainer->model;
    comm_broadcast(comm, trainer->recipe, sizeof *trainer->recipe);
    comm_broadcast(comm, &trainer->position, sizeof trainer->position);
    comm_broadcast(comm, model->weights, model->table.total * sizeof *model->weights);
    comm_broadcast(comm, optimizer->first, model->table.total * sizeof *optimizer->first);
    comm_broadcast(comm, optimizer->second, optimizer->seconds.total * sizeof *optimizer->second);
}

void trainer_lead(struct trainer *trainer, enum order order)
{
    ASSERT(trainer && comm_rank(trainer->comm) == 0);
    if (comm_count(trainer->comm) == 1)
        return;
    comm_broadcast(trainer->comm, &order, sizeof order);
    if (order == ORDER_STATE)
        share_state(trainer);
}

void trainer_follow(struct trainer *trainer)
{
    ASSERT(trainer && comm_rank(trainer->comm) > 0);
    for (;;) {
        enum order order;
        comm_broadcast(trainer->comm, &order, sizeof order);
        if (order == ORDER_END)
            return;
        if (order == ORDER_STEP)
            (void)take_step(trainer);
        else {
            share_state(trainer);
            model_refresh(trainer->model);
        }
    }
}
