/* rodnik: one table of commands. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "tensor/comm.h"
#include "version.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
    bool together; /* processes that a launcher started may share its work */
};

static const struct command commands[] = {
    {"demo", command_demo, "the whole way on a default corpus, ending in a served page", false},
    {"corpus", command_corpus, "read texts, clean them, drop duplicates; documents and manifest",
     false},
    {"tokenizer", command_tokenizer, "train, show and apply a byte-level BPE tokenizer", false},
    {"train", command_train, "grow a model from random weights; resumes by itself", true},
    {"plan", command_plan, "memory, time and cost of a run, and what limits, before it is begun",
     false},
    {"eval", command_eval, "bits per byte on held-out documents beside xz and PPMd", false},
    {"generate", command_generate, "continue a text", false},
    {"chat", command_chat, "talk to a model on the terminal", false},
    {"serve", command_serve, "serve a model: OpenAI's protocol and a web page", false},
    {"guard", command_guard, "find personal data in text, or mask it", false},
    {"report", command_report, "one HTML file: curves, samples, corpus, hashes", false},
    {"bench", command_bench, "speed beside the limits of this machine", true},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void print_usage(FILE *out)
{
    fputs("rodnik grows an institution's own language model from raw text, proves that it is its "
          "own, and serves it.\n\nusage: rodnik COMMAND [options]\n\n",
          out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
    fputs("\nrodnik COMMAND --help tells more and gives an example.  rodnik --version tells what "
          "this is.\nEnvironment: RODNIK_THREADS (number of threads), RODNIK_ISA "
          "(scalar|avx2|avx512|avx512bf16),\nRODNIK_PEER_SECONDS (built with MPI=1: how long "
          "another process may be silent, 30).\n",
          out);
}

/* Built for one process but started as one of several: the program built with MPI=1 beside it takes
 * over, if there is one; comm_start complains otherwise. */
static void hand_over(char **argv)
{
    char path[PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (comm_launched() < 2 || len < 0)
        return;
    path[len] = 0;
    char *name = strrchr(path, '/');
    size_t left = sizeof path - (size_t)(name - path);
    if (snprintf(name, left, "/variants/mpi/rodnik") < (int)left)
        execv(path, argv);
}

/* Everything but this file is built for AVX2 and fused multiply-adds. */
static bool processor_suffices(void)
{
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__builtin_cpu_supports("bmi2")) {
        fputs("rodnik: this processor has no AVX2 or no fused multiply-add, which are needed\n",
              stderr);
        return false;
    }
#endif
    return true;
}

int main(int argc, char **argv)
{
    if (!processor_suffices())
        return 1;
    const char *name = argc > 1 ? argv[1] : "--help";
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) != 0)
            continue;
        if (commands[i].together)
            hand_over(argv);
        return commands[i].run(argc - 1, argv + 1);
    }
    if (strcmp(name, "--version") == 0) {
        printf("rodnik %s (%s)\n", RODNIK_VERSION, RODNIK_COMMIT);
        return 0;
    }
    bool help = strcmp(name, "--help") == 0 || strcmp(name, "help") == 0 || strcmp(name, "-h") == 0;
    if (!help)
        fprintf(stderr, "rodnik: there is no command '%s'\n\n", name);
    print_usage(help ? stdout : stderr);
    return help && argc > 1 ? 0 : 2;
}
