/* The one dial: which model to train in a given time on given texts and machine.
 * Each shape of a ladder is planned (plan/plan.h) and judged by a scaling law fitted to runs of
 * this program (docs/scaling-runs.tsv, scripts/fit_law.py); the best prediction wins.
 * Not here: ending in time (train/), printing (cli/). */
#ifndef RODNIK_PLAN_DIAL_H
#define RODNIK_PLAN_DIAL_H

#include "plan/plan.h"

/* Held-out bits per byte of N parameters after D tokens, each seen once:
 * floor + size / N^size_power + text / D^text_power (Hoffmann et al. 2022). */
struct scaling_law {
    double floor, size, size_power, text, text_power;
};
extern const struct scaling_law dial_law;
double dial_bits_per_byte(const struct scaling_law *law, double parameters, double tokens);

/* Tokens that have not been seen that are worth as much as `tokens` drawn from `unique` ones
 * (Muennighoff et al. 2023). */
double dial_worth(double tokens, double unique);
enum { DIAL_EPOCHS_MAX = 4 };

/* A machine, measured in the shapes of some recipes. */
enum { DIAL_RATES_MAX = 4 };
struct dial_machine {
    struct plan_rates rates[DIAL_RATES_MAX]; /* of one process */
    double widths[DIAL_RATES_MAX];           /* ascending: of the models they were measured on */
    size_t count;
    double memory_bytes; /* that a process may take */
    int64_t processes;   /* on this machine or like ones; a power of two */
};
/* Measures for about `seconds`. */
MUST_USE status dial_measure(struct dial_machine *out, double seconds, struct compute *compute,
                             struct error *error);

struct dial_question {
    double seconds;    /* for steps, validation and checkpoints */
    double text_bytes; /* to train on */
};

enum dial_verdict { DIAL_FITS, DIAL_NO_MEMORY, DIAL_NO_TEXT, DIAL_TOO_SMALL };
struct dial_candidate {
    struct recipe recipe; /* whole, but for the corpus */
    size_t parameters;
    double tokens_per_second, tokens, epochs, bits_per_byte;
    bool text_ends; /* more time would only repeat the texts more often */
    enum dial_verdict verdict;
};

enum { DIAL_SHAPES = 13 };
/* All of the ladder from small to large, and the best of them: of those that fit the best
 * prediction, else the best of those too small for so many tokens, else the smallest.  ERR_USAGE
 * when the texts or the time are too little for any, ERR_LIMIT when the memory is. */
MUST_USE status dial_choose(struct dial_candidate out[DIAL_SHAPES], size_t *best,
                            const struct dial_question *question,
                            const struct dial_machine *machine, struct error *error);

#endif
