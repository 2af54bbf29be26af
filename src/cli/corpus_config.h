/* A file of settings for `rodnik corpus build --config`: section [corpus], keys as the options. */
#ifndef RODNIK_CLI_CORPUS_CONFIG_H
#define RODNIK_CLI_CORPUS_CONFIG_H

#include "base/config.h"
#include "corpus/corpus.h"

/* Strings of the settings lie here. */
struct corpus_config {
    char field[CONFIG_STRING_BYTES], source[CONFIG_STRING_BYTES], license[CONFIG_STRING_BYTES];
    char profile[CONFIG_STRING_BYTES], personal[CONFIG_STRING_BYTES], opt_out[CONFIG_STRING_BYTES];
    char evaluations[CONFIG_STRING_BYTES];
    double held_out;
    int64_t minimum, repeated_lines;
    int duplicates;
    bool whole_pages, report_overlaps;
};

/* Reads the file that --config names among the arguments, if any does; else the defaults.  Options
 * are parsed over it later. */
MUST_USE status corpus_config_read(struct corpus_settings *out, struct corpus_config *config,
                                   int argc, char **argv, struct error *error);

#endif
