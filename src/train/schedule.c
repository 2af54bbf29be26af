/* The learning rate's course: linear warm-up, constant, linear decay. */
#include "train/train.h"

/* Half up; shares and steps are not negative. */
static int64_t share_of(double share, int64_t steps)
{
    return (int64_t)(share * (double)steps + 0.5);
}

double schedule_share(const struct recipe *recipe, int64_t step)
{
    ASSERT(recipe && step >= 1 && step <= recipe->steps);
    int64_t warmup = share_of(recipe->warmup, recipe->steps);
    int64_t decay = share_of(recipe->decay, recipe->steps);
    int64_t left = recipe->steps - step;
    double share = 1;
    if (left < decay)
        share = recipe->final_rate + (1 - recipe->final_rate) * ((double)left / (double)decay);
    if (step < warmup) {
        double rise = (double)step / (double)warmup;
        share = rise < share ? rise : share;
    }
    ASSERT(share >= 0 && share <= 1);
    return share;
}
