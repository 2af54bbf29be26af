/* rodnik bench: speed beside the limits of this machine. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/thread.h"
#include "cli/bench.h"
#include "cli/bench_train.h"

/* Processes that mpirun started share the batch. */
static int run_train(status (*bench)(const struct bench_train *, struct error *),
                     struct bench_train *train, struct error *error)
{
    if (comm_start(&train->comm, "a benchmark keeps nothing", error) != OK)
        return cli_fail("bench", error);
    int exit_status = bench(train, error) == OK ? 0 : cli_fail("bench", error);
    if (exit_status)
        comm_abort(train->comm, exit_status);
    comm_stop(train->comm);
    return exit_status;
}

int command_bench(int argc, char **argv)
{
    struct bench_train train = {
        .shape = "gpt2-small", .batch = 4, .sequence = 256, .optimizer = "adamw"};
    int64_t threads = 0;
    const char *only = NULL;
    struct bench_corpus corpus = {0};
    const struct option table[] = {
        {"json", OPTION_FLAG, &train.json, 0, 0, NULL, "one JSON object a row"},
        {"only", OPTION_STRING, &only, 0, 0, "TEXT", "kernels: cases whose names hold TEXT"},
        {"shape", OPTION_STRING, &train.shape, 0, 0, "NAME",
         "train: gpt2-small, 14m or 350m (default gpt2-small)"},
        {"batch", OPTION_INT, &train.batch, 1, 4096, "N", "train: rows (default 4)"},
        {"micro-batch", OPTION_INT, &train.micro_batch, 1, 4096, "N",
         "train: rows at once (default all)"},
        {"sequence", OPTION_INT, &train.sequence, 1, 65536, "N",
         "train: tokens in a row (default 256)"},
        {"optimizer", OPTION_STRING, &train.optimizer, 0, 0, "NAME",
         "train: adamw or muon (default adamw)"},
        {"recompute", OPTION_FLAG, &train.recompute, 0, 0, NULL,
         "train: activations are computed again on the way back"},
        {"text", OPTION_STRING, &corpus.text, 0, 0, "FILE",
         "corpus, tokenizer: a real text instead of made-up ones"},
        {"megabytes", OPTION_INT, &corpus.megabytes, 1, 10000000, "N",
         "corpus: all stages and their memory over a made-up corpus of this size"},
        {"threads", OPTION_INT, &threads, 1, THREAD_COUNT_MAX, "N", "threads (default all)"},
    };
    const struct command_help help = {
        "rodnik bench kernels|train|optimizer|fair|corpus|tokenizer [options]",
        "Measures matrix products, whole training steps, a step of AdamW, or training and decoding "
        "beside three busy\nprocesses, which must not run at a priority of its own; or finding "
        "duplicates in texts; or training a tokenizer\nand encoding.  `limit` is of the same run: "
        "the multiply-add peak, the memory's speed, the fair share of the\nprocessors, the inner "
        "loop alone, cutting text into pre-tokens; of worst cases the speed at a tenth of the "
        "length.",
        "  rodnik bench kernels --json\n  rodnik bench train --shape 14m --batch 8 --sequence 256\n"
        "  mpirun -np 2 rodnik bench train --shape 14m --batch 8 --threads 1    (built with "
        "MPI=1)\n"
        "  rodnik bench fair\n  rodnik bench corpus --megabytes 2000\n"
        "  rodnik bench tokenizer --text prose.txt --json",
        NULL};
    struct options_result options;
    struct error error = {0};
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    const char *what = options.positional_count == 1 ? options.positional[0] : "";
    train.threads = cli_threads(threads);
    if (strcmp(what, "kernels") == 0)
        (void)!bench_kernels(&(struct bench_kernels){train.threads, train.json, only}, &error);
    else if (strcmp(what, "train") == 0)
        return run_train(bench_train, &train, &error);
    else if (strcmp(what, "optimizer") == 0)
        (void)!bench_optimizer(train.json, train.threads, &error);
    else if (strcmp(what, "fair") == 0)
        return run_train(bench_fair, &train, &error);
    else if (strcmp(what, "corpus") == 0) {
        corpus.json = train.json;
        corpus.threads = train.threads;
        (void)!bench_corpus(&corpus, &error);
    } else if (strcmp(what, "tokenizer") == 0) {
        (void)!bench_tokenizer(&(struct bench_tokenizer){train.threads, train.json, corpus.text},
                               &error);
    } else
        (void)!fail(&error, ERR_USAGE,
                    "the benchmark is '%s', allowed are kernels, train, optimizer, fair, corpus "
                    "and tokenizer",
                    what);
    return error.code ? cli_fail("bench", &error) : 0;
}
