#include "cli/train_dial.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "corpus/corpus.h"
#include "plan/dial.h"

/* Of the machine's memory, what a run may take. */
static const double MEMORY_SHARE = 0.7;
/* Of the time, what measuring the machine may take, and at most seconds. */
static const double MEASURE_SHARE = 0.02, MEASURE_S_MAX = 12;
/* Of the time, what tokenizer and token files take is not known before; a text byte costs about
 * this on one thread. */
static const double PREPARE_S_PER_BYTE = 4e-8;

/* ---- texts ---- */

static status build_corpus(const char *texts, const char *out, struct compute *compute,
                           struct error *error)
{
    const char *inputs[] = {texts};
    const struct corpus_job job = {.settings = corpus_settings_default(),
                                   .inputs = inputs,
                                   .input_count = 1,
                                   .out = out,
                                   .pool = compute_pool(compute)};
    struct corpus_counts counts;
    log_info("building the corpus");
    return corpus_build(&counts, &job, error);
}

static status count_bytes(double *out, const char *folder, struct error *error)
{
    struct arena *arena = NULL;
    struct corpus *corpus = NULL;
    TRY(arena_create(&arena, 0, error));
    status result = corpus_open(&corpus, folder, arena, error);
    if (result == OK) {
        double bytes = 0;
        for (size_t i = 0; i < corpus_count(corpus); i++) {
            const struct document *document = corpus_document(corpus, i);
            bytes += document->held_out ? 0 : (double)document->text.len;
        }
        *out = bytes;
        corpus_close(corpus);
    }
    arena_destroy(arena);
    return result;
}

/* The corpus named, or one built from the texts named into the run. */
static status find_corpus(char out[CONFIG_STRING_BYTES], double *bytes,
                          const struct train_dial *dial, struct error *error)
{
    char manifest[PATH_BYTES], built[PATH_BYTES];
    const char *folder = dial->corpus;
    if (!folder_exists(folder))
        return fail(error, ERR_USAGE, "--corpus is %s, which is not a folder", folder);
    TRY(path_join(manifest, sizeof manifest, folder, "manifest.json", error));
    if (!file_exists(manifest)) {
        TRY(folder_make(dial->run, error));
        TRY(path_join(built, sizeof built, dial->run, "corpus", error));
        TRY(path_join(manifest, sizeof manifest, built, "manifest.json", error));
        if (!file_exists(manifest))
            TRY(build_corpus(folder, built, dial->compute, error));
        folder = built;
    }
    if (snprintf(out, CONFIG_STRING_BYTES, "%s", folder) >= CONFIG_STRING_BYTES)
        return fail(error, ERR_LIMIT, "%s: the path is longer than %d bytes", folder,
                    CONFIG_STRING_BYTES - 1);
    return count_bytes(bytes, folder, error);
}

/* ---- saying what and why ---- */

static const char *remark(const struct dial_candidate *candidate, bool best)
{
    if (candidate->verdict == DIAL_NO_MEMORY)
        return "too large for the memory";
    if (best)
        return candidate->text_ends ? "chosen; the texts end first" : "chosen";
    if (candidate->verdict == DIAL_NO_TEXT)
        return "more parameters than tokens it would see";
    if (candidate->verdict == DIAL_TOO_SMALL)
        return "too small for so many tokens";
    return candidate->text_ends ? "the texts end first" : "";
}

static void show(const struct dial_candidate candidates[DIAL_SHAPES], size_t best,
                 const struct dial_question *question)
{
    size_t first = best > 3 ? best - 3 : 0, last = best + 3;
    log_info("%.1f MB of text, %.3g hours for steps; predicted by the scaling law of "
             "docs/training.md, on its texts:",
             question->text_bytes * 1e-6, question->seconds / 3600);
    log_info("parameters  shape     vocabulary  tokens/s   tokens  epochs  bits per byte");
    for (size_t i = first; i <= last && i < DIAL_SHAPES; i++) {
        const struct dial_candidate *at = &candidates[i];
        const struct model_config *model = &at->recipe.model;
        log_info("%8.1f M  %2lld x %-4lld  %10lld  %8.0f  %6.1fM  %6.2f  %13.3f  %s",
                 (double)at->parameters * 1e-6, (long long)model->layers, (long long)model->width,
                 (long long)at->recipe.vocabulary, at->tokens_per_second, at->tokens * 1e-6,
                 at->epochs, at->bits_per_byte, remark(at, i == best));
    }
    const struct dial_candidate *chosen = &candidates[best];
    const struct recipe *recipe = &chosen->recipe;
    log_info("batches of %lld rows of %lld tokens, %lld at once%s; Muon at %g, falling over the "
             "last %.0f %% of steps",
             (long long)recipe->batch, (long long)recipe->sequence, (long long)recipe->micro_batch,
             recipe->recompute ? ", recomputing" : "", recipe->learning_rate, recipe->decay * 100);
    if (chosen->verdict == DIAL_NO_TEXT)
        log_warning("there is little text even for the smallest model: it will know it by heart");
    if (chosen->text_ends)
        log_warning("the texts are read %d times at most, which takes about %.2g hours; more texts "
                    "would use the rest",
                    DIAL_EPOCHS_MAX, chosen->tokens / chosen->tokens_per_second / 3600);
}

/* ---- the whole ---- */

/* A run that stands goes on with what was chosen. */
static status check_run(bool *stands, const struct train_dial *dial, struct error *error)
{
    char path[PATH_BYTES];
    double budget_s = 0;
    TRY(path_join(path, sizeof path, dial->run, "recipe.ini", error));
    *stands = file_exists(path);
    if (!*stands)
        return OK;
    TRY(run_budget_s(&budget_s, dial->run, error));
    if (budget_s > 0 && fabs(budget_s - dial->hours * 3600) > 1)
        return fail(error, ERR_CONFLICT,
                    "%s: was begun with %g hours, --hours is %g; give the same, or another --out",
                    dial->run, budget_s / 3600, dial->hours);
    return OK;
}

/* Its recipe, with the corpus named where that is one, so that another corpus is noticed. */
static status read_run(struct recipe *out, const struct train_dial *dial, struct error *error)
{
    char path[PATH_BYTES], manifest[PATH_BYTES];
    TRY(path_join(path, sizeof path, dial->run, "recipe.ini", error));
    TRY(recipe_read(out, path, error));
    TRY(path_join(manifest, sizeof manifest, dial->corpus, "manifest.json", error));
    if (file_exists(manifest) &&
        snprintf(out->corpus, sizeof out->corpus, "%s", dial->corpus) >= (int)sizeof out->corpus)
        return fail(error, ERR_LIMIT, "%s: the path is longer than %zu bytes", dial->corpus,
                    sizeof out->corpus - 1);
    return OK;
}

/* Each process gets a shard, so before any work is done. */
static status check_processes(const struct comm *comm, struct error *error)
{
    int processes = comm_count(comm);
    if ((processes & (processes - 1)) == 0)
        return OK;
    return fail(error, ERR_USAGE,
                "%d processes can't share what --hours chooses; allowed are powers of two",
                processes);
}

static status measure(struct dial_machine *out, const struct train_dial *dial, struct error *error)
{
    double wanted_s = MEASURE_SHARE * dial->hours * 3600;
    log_info("measuring the machine");
    TRY(dial_measure(out, wanted_s < MEASURE_S_MAX ? wanted_s : MEASURE_S_MAX, dial->compute,
                     error));
    out->processes = comm_count(dial->comm);
    out->memory_bytes = MEMORY_SHARE * (double)sysconf(_SC_PHYS_PAGES) *
                        (double)sysconf(_SC_PAGESIZE) / comm_local(dial->comm);
    return OK;
}

status train_dial(struct recipe *out, const struct train_dial *dial, struct error *error)
{
    ASSERT(out && dial && dial->corpus && dial->hours > 0 && error);
    struct dial_candidate candidates[DIAL_SHAPES];
    struct dial_question question = {0};
    struct dial_machine machine;
    char corpus[CONFIG_STRING_BYTES];
    bool stands;
    size_t best;
    TRY(check_run(&stands, dial, error));
    if (stands)
        return read_run(out, dial, error);
    TRY(check_processes(dial->comm, error));
    TRY(find_corpus(corpus, &question.text_bytes, dial, error));
    TRY(measure(&machine, dial, error));
    double used_s = time_monotonic_s() - dial->started_s;
    double prepare_s = PREPARE_S_PER_BYTE * question.text_bytes;
    question.seconds = dial->hours * 3600 - used_s - prepare_s;
    if (!(question.seconds > 0))
        return fail(error, ERR_USAGE,
                    "--hours is %g, of which reading and measuring took %.0f seconds and the "
                    "tokenizer will take about %.0f: give more",
                    dial->hours, used_s, prepare_s);
    TRY(dial_choose(candidates, &best, &question, &machine, error));
    show(candidates, best, &question);
    *out = candidates[best].recipe;
    memcpy(out->corpus, corpus, sizeof corpus);
    if (out->minutes > 0)
        out->minutes = dial->hours * 60; /* all of the time, what is used included */
    return OK;
}
