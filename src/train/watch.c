/* Decides which steps are skipped.  Doubles with one written order of adding and correctly rounded
 * roots: the verdict is the same on every machine. */
#include "train/train_internal.h"

#include <math.h>

static const double DEVIATIONS = 6, DEVIATION_SHARE_MIN = 0.01;

/* The largest value that passes, and the largest that enters the window; infinite while too little
 * was seen.  Entering at up to twice the distance, a lasting change widens the limit by almost half
 * at each step, while one spike widens it by no more than that. */
struct limit {
    double pass, enter;
};

static struct limit limit_of(const float *window, int64_t seen)
{
    if (seen < WATCH_MINIMUM)
        return (struct limit){INFINITY, INFINITY};
    int64_t count = seen < WATCH_WINDOW ? seen : WATCH_WINDOW;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)window[i];
    double mean = sum / (double)count;
    for (int64_t i = 0; i < count; i++) {
        double difference = (double)window[i] - mean;
        squares += difference * difference;
    }
    double deviation = sqrt(squares / (double)count);
    double floor = DEVIATION_SHARE_MIN * fabs(mean);
    double distance = DEVIATIONS * (deviation > floor ? deviation : floor);
    return (struct limit){mean + distance, mean + 2 * distance};
}

static float cut(float value, double limit)
{
    return (double)value > limit ? (float)limit : value;
}

enum watch_verdict watch_judge(struct watch *watch, float loss, float norm)
{
    ASSERT(watch && watch->seen >= 0);
    enum watch_verdict verdict = WATCH_FINE;
    if (!isfinite(loss) || !isfinite(norm)) {
        verdict = WATCH_NOT_FINITE;
    } else {
        struct limit loss_limit = limit_of(watch->loss, watch->seen);
        struct limit norm_limit = limit_of(watch->norm, watch->seen);
        if ((double)loss > loss_limit.pass)
            verdict = WATCH_LOSS_SPIKE;
        else if ((double)norm > norm_limit.pass)
            verdict = WATCH_NORM_SPIKE;
        int64_t at = watch->seen++ % WATCH_WINDOW;
        watch->loss[at] = cut(loss, loss_limit.enter);
        watch->norm[at] = cut(norm, norm_limit.enter);
    }
    watch->skips_in_row = verdict == WATCH_FINE ? 0 : watch->skips_in_row + 1;
    watch->skips += verdict == WATCH_FINE ? 0 : 1;
    return verdict;
}
