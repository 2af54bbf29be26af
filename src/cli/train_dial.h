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

/* The recipe to begin with; texts may have been built into RUN/corpus.  Of a run that stands its
 * own recipe with the corpus named now (ERR_CONFLICT when it was begun with other hours). */
MUST_USE status train_dial(struct recipe *out, const struct train_dial *dial, struct error *error);

#endif
