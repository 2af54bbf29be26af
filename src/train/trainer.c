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
    struct trainer trainer = {
        .recipe = recipe, .identity = run->identity, .comm = settings->comm, .run = settings->run};
    const struct loader_settings rows = {(uint64_t)recipe->seed, (size_t)recipe->sequence};
    TRY(recipe_hash(&trainer.identity.recipe, recipe, error));
    TRY(model_create(&trainer.model, &recipe->model, (enum dtype)recipe->precision,
                     settings->compute, arena, error));
    TRY(optimizer_create(&trainer.optimizer, trainer.model, recipe, settings->comm, arena, error));
    TRY(loader_create(&trainer.loader, &run->train, &rows, arena, error));
    TRY(gradients_create(&trainer.gradients, trainer.optimizer, trainer.loader, recipe, arena,
                         error));
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
    double norm = optimizer_norm(trainer->optimizer, trainer->gradients.tree.level[0]);
    struct step_result result = {.loss = loss, .norm = (float)norm};
    result.verdict = watch_judge(&position->watch, result.loss, result.norm);
    if (result.verdict == WATCH_FINE)
        update(trainer, norm);
    else
        tell_skip(trainer, &result);
    extend_segment(&trainer->segment, loss);
    return result;
}

/* ---- processes: what rank 0 tells the others to do ---- */

enum order {
    ORDER_RESET,  /* take rank 0's position and weights, begin with no moments */
    ORDER_LOAD,   /* the same, with the moments of the checkpoint of that position */
    ORDER_RECIPE, /* take rank 0's recipe */
    ORDER_STEP,
    ORDER_HASH, /* the moments */
    ORDER_SAVE, /* send the moments */
    ORDER_END
};

static void lead(struct trainer *trainer, enum order order)
{
    ASSERT(comm_rank(trainer->comm) == 0);
    comm_broadcast(trainer->comm, &order, sizeof order);
}

static void share_state(struct trainer *trainer)
{
    const struct comm *comm = trainer->comm;
    struct model *model = trainer->model;
    comm_broadcast(comm, trainer->recipe, sizeof *trainer->recipe);
    comm_broadcast(comm, &trainer->position, sizeof trainer->position);
    comm_broadcast(comm, model->weights, model->table.total * sizeof *model->weights);
}

static status follow_load(struct trainer *trainer, struct error *error)
{
    char path[PATH_BYTES];
    TRY(checkpoint_moments_path(path, trainer->run, trainer->position.step, error));
    return moments_load(trainer->optimizer, path, NULL, error);
}

static status follow(struct trainer *trainer, enum order order, struct error *error)
{
    struct sha256 first, second;
    switch (order) {
    case ORDER_RESET:
    case ORDER_LOAD:
        share_state(trainer);
        model_refresh(trainer->model);
        moments_reset(trainer->optimizer);
        return order == ORDER_LOAD ? follow_load(trainer, error) : OK;
    case ORDER_RECIPE:
        comm_broadcast(trainer->comm, trainer->recipe, sizeof *trainer->recipe);
        return OK;
    case ORDER_STEP:
        (void)take_step(trainer);
        return OK;
    case ORDER_HASH:
        return moments_hash(&first, &second, trainer->optimizer, error);
    case ORDER_SAVE:
        moments_send(trainer->optimizer);
        return OK;
    case ORDER_END:
        break;
    }
    return OK;
}

status trainer_follow(struct trainer *trainer, struct error *error)
{
    ASSERT(trainer && comm_rank(trainer->comm) > 0 && error);
    enum order order = ORDER_END;
    do {
        comm_broadcast(trainer->comm, &order, sizeof order);
        TRY(follow(trainer, order, error));
    } while (order != ORDER_END);
    return OK;
}

void trainer_end(struct trainer *trainer)
{
    ASSERT(trainer);
    lead(trainer, ORDER_END);
}

/* ---- in rank 0, together with the others ---- */

void trainer_share_recipe(struct trainer *trainer)
{
    ASSERT(trainer);
    lead(trainer, ORDER_RECIPE);
    comm_broadcast(trainer->comm, trainer->recipe, sizeof *trainer->recipe);
}

struct step_result trainer_step(struct trainer *trainer)
{
    ASSERT(trainer && trainer->position.step < trainer->recipe->steps);
    lead(trainer, ORDER_STEP);
    return take_step(trainer);
}

status trainer_hash(struct trainer *trainer, struct error *error)
{
    ASSERT(trainer && error);
    struct checkpoint checkpoint = trainer_checkpoint(trainer);
    lead(trainer, ORDER_HASH);
    return checkpoint_hash(&trainer->hashes, &checkpoint, error);
}

status trainer_save(struct trainer *trainer, struct error *error)
{
    ASSERT(trainer && error);
    struct checkpoint checkpoint = trainer_checkpoint(trainer);
    lead(trainer, ORDER_SAVE);
    return checkpoint_save(&checkpoint, trainer->run, trainer->recipe->keep, error);
}

status trainer_reset(struct trainer *trainer, struct error *error)
{
    ASSERT(trainer && error);
    model_init(trainer->model, (uint64_t)trainer->recipe->seed);
    moments_reset(trainer->optimizer);
    trainer->position = (struct position){0};
    lead(trainer, ORDER_RESET);
    share_state(trainer);
    TRY(trainer_hash(trainer, error));
    trainer->segment = (struct segment){.before = trainer->hashes.state};
    return OK;
}

/* Hashed once more by all, so that nobody goes on with another file under the same name. */
status trainer_load(bool *found, struct trainer *trainer, struct error *error)
{
    ASSERT(found && trainer && error);
    struct checkpoint checkpoint = trainer_checkpoint(trainer);
    TRY(checkpoint_load(found, &checkpoint, trainer->run, error));
    if (!*found || comm_count(trainer->comm) == 1)
        return OK;
    struct sha256 loaded = trainer->hashes.state;
    lead(trainer, ORDER_LOAD);
    share_state(trainer);
    TRY(trainer_hash(trainer, error));
    if (!sha256_equal(&loaded, &trainer->hashes.state))
        return fail(error, ERR_CONFLICT,
                    "%s: the processes do not read the same checkpoint of step %lld there",
                    trainer->run, (long long)trainer->position.step);
    return OK;
}
