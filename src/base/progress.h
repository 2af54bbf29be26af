/* A progress line for people: on a terminal one line redrawn at most ten times a second (bar, done
 * of total, rate, time left, a note), in a pipe one plain line at most every ten seconds.  Writes
 * to standard error.  One thread at a time. */
#ifndef RODNIK_BASE_PROGRESS_H
#define RODNIK_BASE_PROGRESS_H

#include "base/error.h"

struct progress {
    const char *label, *unit; /* "training", "tokens" */
    double total;             /* 0: unknown */
    double start_s, last_s, done_at_start;
    bool terminal, silent, shown;
};

void progress_begin(struct progress *out, const char *label, const char *unit, double total,
                    bool silent);
/* note: free text such as "loss 3.21"; may be NULL */
void progress_update(struct progress *progress, double done, const char *note);
/* When the time is known better than the rate tells (a run limited by minutes): share in [0, 1] and
 * seconds left. */
void progress_update_time(struct progress *progress, double done, double share, double left_s,
                          const char *note);
void progress_end(struct progress *progress, double done);

#endif
