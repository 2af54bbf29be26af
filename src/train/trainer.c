/* One optimizer step: gradient of the global batch, verdict, update. */
#include "train/train_internal.h"

#include <math.h>
#include <string.h>

#include "base/log.h"

status trainer_create(struct trainer *out, struct run *run, struct compute *compute,
                      struct arena *arena, struct error *error)
{
    ASSERT(out && run && compute && arena && error);
    struct recipe *recipe = &run->recipe;
    struct trainer trainer = {.recipe = recipe, .identity = run->identity};
    const struct loader_settings settings = {(uint64_t)recipe->seed, (size_t)recipe->sequence};
    TRY(recipe_hash(&trainer.identity.recipe, recipe, error));
    TRY(model_create(&trainer.model, &recipe->model, (enum dtype)recipe->precision, compute, arena,
                     error));
    TRY(optimizer_create(&trainer.optimizer, trainer.model, recipe, arena, error));
    TRY(loader_create(&trainer.loader, &run->train, &settings, arena, error));
    TRY(gradients_create(&trainer.gradients, trainer.model, trainer.loader, recipe, arena, error));
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
    if (trainer->position.watch.skips_in_row == 1)
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

struct step_result trainer_step(struct trainer *trainer)
{
    ASSERT(trainer && trainer->position.step < trainer->recipe->steps);
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
