/* An engine opened for a command, with what it stands on. */
#ifndef RODNIK_CLI_CLI_ENGINE_H
#define RODNIK_CLI_CLI_ENGINE_H

#include "infer/infer.h"

struct cli_engine {
    struct arena *arena;
    struct compute *compute;
    struct engine *engine;
};

MUST_USE status cli_engine_open(struct cli_engine *out, const char *path, int threads,
                                struct error *error);
void cli_engine_close(struct cli_engine *engine);

/* Sampling options for a command's table; the targets are `sampling` and `stops`. */
#define CLI_SAMPLING_OPTIONS(sampling, seed, stops)                                                \
    {"max-tokens",                                                                                 \
     OPTION_INT,                                                                                   \
     &(sampling).max_tokens,                                                                       \
     1,                                                                                            \
     SAMPLING_TOKENS_MAX,                                                                          \
     "N",                                                                                          \
     "longest answer in tokens (default 200)"},                                                    \
        {"temperature",                                                                            \
         OPTION_DOUBLE,                                                                            \
         &(sampling).temperature,                                                                  \
         0,                                                                                        \
         10,                                                                                       \
         "T",                                                                                      \
         "0 takes the likeliest token (default 0.8)"},                                             \
        {"top-k",                                                                                  \
         OPTION_INT,                                                                               \
         &(sampling).top_k,                                                                        \
         0,                                                                                        \
         TOKENIZER_VOCABULARY_MAX,                                                                 \
         "K",                                                                                      \
         "only the K likeliest tokens (default 0: off)"},                                          \
        {"top-p",                                                                                  \
         OPTION_DOUBLE,                                                                            \
         &(sampling).top_p,                                                                        \
         0,                                                                                        \
         1,                                                                                        \
         "P",                                                                                      \
         "only the likeliest tokens that hold this share (default 0.95)"},                         \
        {"min-p",                                                                                  \
         OPTION_DOUBLE,                                                                            \
         &(sampling).min_p,                                                                        \
         0,                                                                                        \
         1,                                                                                        \
         "P",                                                                                      \
         "only tokens this likely beside the likeliest (default 0.02)"},                           \
        {"repetition-penalty",    OPTION_DOUBLE, &(sampling).repetition_penalty, 0.1, 10, "R",     \
         "1 is off (default 1.1)"},                                                                \
        {"seed",                                                                                   \
         OPTION_INT,                                                                               \
         &(seed),                                                                                  \
         0,                                                                                        \
         9e15,                                                                                     \
         "N",                                                                                      \
         "the same seed gives the same text (default 1)"},                                         \
    {                                                                                              \
        "stop", OPTION_LIST, &(stops), 0, 0, "TEXT", "ends the answer; may stand several times"    \
    }

#endif
