/* The courses of the learning rate (linear warm-up, constant, decay) and of the batch; and how they
 * go on when the number of steps changes on the way. */
#include "train/train.h"

#include <stdlib.h>
#include <string.h>

#include "tensor/math.h"
#include "train/train_internal.h"

static const double PI = 3.14159265358979312;

/* ---- revisions ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool parse_pair(struct revision *out, const char **at)
{
    char *end;
    out->step = strtoll(*at, &end, 10);
    if (!is_digit(**at) || *end != ':' || !is_digit(end[1]))
        return false;
    const char *second = end + 1;
    out->before = strtoll(second, &end, 10);
    *at = end;
    return out->step >= 1 && out->step < out->before;
}

bool revisions_parse(struct revisions *out, const struct recipe *recipe)
{
    ASSERT(out && recipe);
    struct revisions list = {0};
    const char *at = recipe->revisions;
    int64_t last = 0;
    while (*at) {
        struct revision pair;
        if (list.count == REVISIONS_MAX || !parse_pair(&pair, &at) || pair.step <= last)
            return false;
        last = pair.step;
        list.items[list.count++] = pair;
        if (*at == ' ' && at[1])
            at++;
        else if (*at)
            return false;
    }
    for (size_t i = 0; i < list.count; i++) /* each was below the number that then held */
        if (list.items[i].step >= (i + 1 < list.count ? list.items[i + 1].before : recipe->steps))
            return false;
    *out = list;
    return true;
}

int64_t revisions_first_steps(const struct recipe *recipe)
{
    struct revisions list;
    bool known = revisions_parse(&list, recipe);
    return known && list.count ? list.items[0].before : recipe->steps;
}

/* Where a step stands in the course over the steps first chosen.  After each revision the rest of
 * the course goes evenly over the steps left. */
static double place_of(const struct recipe *recipe, int64_t step, double *course)
{
    struct revisions list;
    bool known = revisions_parse(&list, recipe);
    ASSERT(known);
    *course = (double)(list.count ? list.items[0].before : recipe->steps);
    double place = 0, pace = 1;
    int64_t from = 0;
    for (size_t i = 0; i < list.count && step > list.items[i].step; i++) {
        const struct revision *at = &list.items[i];
        int64_t after = i + 1 < list.count ? at[1].before : recipe->steps;
        place = place + pace * (double)(at->step - from);
        from = at->step;
        pace = (*course - place) / (double)(after - from);
    }
    return step == recipe->steps ? *course : place + pace * (double)(step - from);
}

/* ---- the course ---- */

/* Half up; shares and steps are not negative. */
static double share_of(double share, double steps)
{
    return (double)(int64_t)(share * steps + 0.5);
}

/* How much of the way from the final rate to the peak is left; 1 where the decay begins. */
static double decay_left(const struct recipe *recipe, double share)
{
    double sine, cosine;
    if (recipe->decay_shape == DECAY_LINEAR)
        return share;
    math_sincos_double(&sine, &cosine, PI * share);
    return (1 - cosine) / 2;
}

double schedule_share(const struct recipe *recipe, int64_t step)
{
    ASSERT(recipe && step >= 1 && step <= recipe->steps);
    double course, place = place_of(recipe, step, &course);
    double warmup = share_of(recipe->warmup, course), decay = share_of(recipe->decay, course);
    double left = course - place, share = 1;
    if (left < decay)
        share = recipe->final_rate + (1 - recipe->final_rate) * decay_left(recipe, left / decay);
    if (place < warmup) {
        double rise = place / warmup;
        share = rise < share ? rise : share;
    }
    ASSERT(share >= 0 && share <= 1);
    return share;
}

/* ---- batch ---- */

/* Doublings from the first batch to the full one. */
static int64_t doublings(const struct recipe *recipe)
{
    int64_t count = 0;
    if (recipe->batch_start)
        while (recipe->batch_start << count < recipe->batch)
            count++;
    return count;
}

/* Steps before the batch was doubled `count` times; the ramp is cut into equal stages.  Revisions
 * don't move it: what was done stays. */
static int64_t stage_end(const struct recipe *recipe, int64_t count, int64_t stages)
{
    int64_t ramp = (int64_t)share_of(recipe->ramp, (double)revisions_first_steps(recipe));
    return stages ? ramp * count / stages : 0;
}

int64_t schedule_batch(const struct recipe *recipe, int64_t step)
{
    ASSERT(recipe && step >= 1 && step <= recipe->steps);
    int64_t stages = doublings(recipe), done = 0;
    while (done < stages && step > stage_end(recipe, done + 1, stages))
        done++;
    return recipe->batch >> (stages - done);
}

/* Rows up to `step`, also beyond the last one. */
static int64_t rows_until(const struct recipe *recipe, int64_t step)
{
    int64_t stages = doublings(recipe), rows = step * recipe->batch;
    for (int64_t done = 0; done < stages; done++) {
        int64_t begin = stage_end(recipe, done, stages), end = stage_end(recipe, done + 1, stages);
        int64_t steps = step < begin ? 0 : step < end ? step - begin : end - begin;
        rows -= steps * (recipe->batch - (recipe->batch >> (stages - done)));
    }
    return rows;
}

int64_t schedule_rows(const struct recipe *recipe, int64_t step)
{
    ASSERT(recipe && step >= 0 && step <= recipe->steps);
    return rows_until(recipe, step);
}

double schedule_mean_batch(const struct recipe *recipe)
{
    ASSERT(recipe);
    struct recipe long_run = *recipe;
    long_run.steps = 1 << 20;
    memset(long_run.revisions, 0, sizeof long_run.revisions);
    return (double)rows_until(&long_run, long_run.steps) / (double)long_run.steps;
}

int64_t schedule_steps(const struct recipe *recipe, int64_t step, double rows)
{
    ASSERT(recipe && step >= 0 && rows >= 0);
    const int64_t most = 1000000000;
    double wanted = (double)rows_until(recipe, step) + rows - (double)recipe->batch / 2;
    int64_t low = step, high = most;
    while (low < high) { /* the first that does about that */
        int64_t middle = low + (high - low) / 2;
        if ((double)rows_until(recipe, middle) < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
