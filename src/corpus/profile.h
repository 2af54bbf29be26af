/* Profiles: INI files of thresholds over signals.  A document is kept when every number lies within
 * its limits; else the first rule that it breaks, in the order of the table, is the reason.  Needs
 * the record of signals and the label of the language, not the text.  Plain values, any thread. */
#ifndef RODNIK_CORPUS_PROFILE_H
#define RODNIK_CORPUS_PROFILE_H

#include "base/config.h"
#include "corpus/signals.h"

enum { PROFILE_RULES_MAX = 48, PROFILE_KEPT = -1 };

struct profile {
    char languages[CONFIG_STRING_BYTES]; /* labels with spaces between; empty: any */
    double limit[PROFILE_RULES_MAX];     /* by rule; those that are not set let everything pass */
};

/* Profiles that the program carries; NULL after the last. */
const char *profile_name(size_t index);

/* Reads one of those by its name, or else the file of that path.  ERR_USAGE with file, line, key
 * and what is allowed, or the names there are. */
MUST_USE status profile_open(struct profile *out, const char *name_or_path, struct error *error);
MUST_USE status profile_parse(struct profile *out, struct view text, const char *name,
                              struct error *error);
/* All keys with their values; the keys with help and limits. */
MUST_USE status profile_write(struct buffer *out, const struct profile *profile,
                              struct error *error);
MUST_USE status profile_help(struct buffer *out, struct error *error);

/* PROFILE_KEPT, or the rule (0 to profile_rules - 1) that the document breaks first. */
int profile_decide(const struct profile *profile, const struct signals *signals,
                   const char *language);
int profile_rules(void);
/* As "repetition.top_2_max": key of the profile and reason of the manifest. */
const char *profile_rule_name(int rule);
/* The number that the rule looks at. */
double profile_rule_value(int rule, const struct signals *signals, const char *language);

#endif
