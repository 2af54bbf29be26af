/* rodnik train --corpus DIR --hours N: measures, chooses, says what and why. */
#ifndef RODNIK_CLI_TRAIN_DIAL_H
#define RODNIK_CLI_TRAIN_DIAL_H

#include "tensor/comm.h"
#include "train/train.h"

struct train_dial {
    const char *corpus; /* folder of `rodnik corpus build`, or of texts; NULL: not asked */
    double hours;       /* in all; 0: not asked */
    const char *run;
    double started_s;
    struct compute *compute;
    const struct comm *comm;
};

/* *chosen false: the run stands already and goes on as it was begun (ERR_CONFLICT when with other
 * hours).  Else the recipe to begin with; texts may have been built into RUN/corpus. */
MUST_USE status train_dial(struct recipe *out, bool *chosen, const struct train_dial *dial,
                           struct error *error);

#endif
