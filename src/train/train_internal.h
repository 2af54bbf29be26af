/* What the files of train/ share.  Order of the parts: recipe, shards, loader, gradients, watch,
 * optimizer, validation, checkpoint, records, run, trainer. */
#ifndef RODNIK_TRAIN_TRAIN_INTERNAL_H
#define RODNIK_TRAIN_TRAIN_INTERNAL_H

#include "proof/ledger.h"
#include "tensor/comm.h"
#include "tokenizer/tokenizer.h"
#include "train/train.h"

enum {
    RECIPE_BYTES_MAX = 1 << 20,
    BATCH_TOKENS_MAX = 1 << 28,
    STATE_BYTES_MAX = 1 << 20,
    SHARD_LEVELS_MAX = 11 /* log2(1024 shards) + 1 */
};

/* ---- recipe ---- */

/* The number of steps before any revision. */
int64_t revisions_first_steps(const struct recipe *recipe);
MUST_USE status recipe_save(const struct recipe *recipe, const char *path, struct error *error);
/* ERR_CONFLICT names the first key that decides about numbers and differs. */
MUST_USE status recipe_compare(const struct recipe *run, const struct recipe *wanted,
                               const char *name, struct error *error);

/* ---- shards: a corpus as tokens, once ---- */

/* A mapped file of tokens.  Document d is tokens [start[d], start[d + 1]); its first token is
 * <|endoftext|>, the rest its text of text_bytes[d] bytes. */
struct token_file {
    struct file_bytes mapping;
    size_t documents, count;    /* count: tokens of all documents */
    unsigned token_bytes;       /* 2 or 4 */
    const void *tokens;         /* u16 or u32, little-endian */
    const uint64_t *start;      /* [documents + 1] */
    const uint64_t *text_bytes; /* [documents] */
    uint32_t vocabulary;
    struct sha256 corpus, tokenizer; /* root and file it was made from */
    struct sha256 content;           /* of everything before the trailer */
};

/* Maps and verifies all of it: hash, offsets, every token below the vocabulary. */
MUST_USE status token_file_open(struct token_file *out, const char *path, struct error *error);
void token_file_close(struct token_file *file);

static inline uint32_t token_at(const struct token_file *file, size_t index)
{
    return file->token_bytes == 2 ? ((const uint16_t *)file->tokens)[index]
                                  : ((const uint32_t *)file->tokens)[index];
}

/* Writes a token file from documents in order, encoding groups of them on all threads; atomic. */
struct token_source {
    tokenizer_next *next; /* the documents' texts */
    void *context;
    const struct tokenizer *tokenizer;
    struct thread_pool *pool;
    struct sha256 corpus_root, tokenizer_file;
};
MUST_USE status token_file_write(const char *path, const struct token_source *source,
                                 struct error *error);

/* ---- loader: (seed, row) -> tokens; a pure function, epochs cached ---- */

struct loader;
struct loader_settings {
    uint64_t seed;
    size_t sequence;
};
/* The stream is every epoch's documents, one epoch after the other, each epoch in its own order;
 * place p of it is tokens [p * sequence, (p + 1) * sequence), which learn the token after each, so
 * that nothing is thrown away and nothing padded.  The places that begin in an epoch are given out
 * in a random order of their own.  ERR_CONFLICT when the file holds no documents. */
MUST_USE status loader_create(struct loader **out, const struct token_file *file,
                              const struct loader_settings *settings, struct arena *arena,
                              struct error *error);

/* Rows in memory, in model's layout. */
struct rows {
    size_t count, length;
    uint32_t *tokens, *targets, *first_key; /* [count, length] */
};
MUST_USE status rows_create(struct rows *out, size_t count, size_t length, struct arena *arena,
                            struct error *error);
/* The place in the stream that is given out as number `row`. */
uint64_t loader_place(struct loader *loader, uint64_t row);
/* Its inverse: the row that gives out a place. */
uint64_t loader_row_of(struct loader *loader, uint64_t place);
/* Where in the stream, in tokens, a document of the file begins in an epoch. */
uint64_t loader_document_at(struct loader *loader, uint64_t epoch, size_t document);
/* Rows number first, first + 1, ... */
void loader_rows(struct loader *loader, uint64_t first, const struct rows *out);

/* ---- partition: who steps what ---- */

enum { PART_CUT = 1 << 20 /* elements: AdamW's weights are cut at multiples of this */ };

/* A whole weight that Muon steps, or a piece of one that AdamW steps: its moments are kept by one
 * process. */
struct part {
    size_t weight;       /* in the table */
    size_t begin, count; /* of the flat buffers */
    int owner;
    bool muon, own;
    size_t first_at, second_at; /* of own parts: where their moments stand */
};
struct partition {
    struct part *parts; /* in the table's order */
    size_t count;
    size_t first_count, second_count; /* own moments */
    /* what the owners of parts share: the elements, sums of squares of blocks, hashes of moments;
     * and one thing of each process */
    struct comm_map elements, blocks, hashes, second_hashes, ranks;
};
struct seat {
    int rank, count;
};
/* The same parts in every process: the costliest go first, each to the process with the least to
 * do. */
MUST_USE status partition_create(struct partition *out, const struct weight_table *table,
                                 const struct recipe *recipe, struct seat seat, struct arena *arena,
                                 struct error *error);

/* ---- gradients: logical shards summed by one fixed balanced tree ---- */

struct shard_tree;
/* Writes shard's gradient over `out` and returns the sum of its losses.  With `last`, calls
 * shard_tree_final while it goes on, down to 0. */
typedef float shard_gradient(void *context, size_t shard, float *out, struct shard_tree *last);

/* The last shard's gradients are added to those before it while it is computed, in buckets, so that
 * the sums can go to other processes meanwhile. */
struct shard_tree {
    struct compute *compute;
    size_t count;                   /* elements of a gradient */
    float *level[SHARD_LEVELS_MAX]; /* log2(shards) + 1 buffers */
    shard_gradient *shard;
    void (*ready)(void *context, size_t begin, size_t end); /* of the sum, from the end to 0 */
    void *context;
    size_t open, pending; /* levels to add up; elements from here on are added */
};
/* Sum of shards [first, first + shards), shards a power of two, left in level[0]; returns the sum
 * of losses by the same tree. */
float shard_tree_sum(struct shard_tree *tree, size_t first, size_t shards);
/* Elements from `from` on of the last shard are final. */
void shard_tree_final(struct shard_tree *tree, size_t from);

struct gradients {
    struct model *model;
    struct optimizer *optimizer;
    struct loader *loader;
    struct training *training;
    struct rows rows; /* one micro-batch */
    float *loss;      /* one shard's losses by token */
    struct shard_tree tree;
    const struct recipe *recipe;
    size_t shards, shard_rows; /* rows of a shard in this step */
    uint64_t first_row;        /* of the global batch */
    bool document_mask;
    const struct comm *comm;
    const struct comm_map *ranks; /* one thing of each process */
    float *losses;                /* [processes] */
};
/* ERR_USAGE when the processes can't share the recipe's shards evenly. */
MUST_USE status processes_check(const struct recipe *recipe, const struct comm *comm,
                                struct error *error);
MUST_USE status gradients_create(struct gradients *out, struct optimizer *optimizer,
                                 struct loader *loader, const struct recipe *recipe,
                                 struct arena *arena, struct error *error);
/* Mean loss of the global batch of `step` (from 1); the gradients stand in tree.level[0], each part
 * with its owner.  Every process computes its part of the tree. */
float gradients_compute(struct gradients *gradients, int64_t step);

/* ---- watch: steps that must not be taken ---- */

enum { WATCH_WINDOW = 128, WATCH_MINIMUM = 64, WATCH_SKIPS_MAX = 10 };

/* A step is skipped when its loss or gradient norm is not finite, or, once WATCH_MINIMUM steps were
 * seen, stands more than six deviations above the mean of the last WATCH_WINDOW (OLMo-core's rule;
 * the deviation counts as at least a hundredth of the mean).  What enters the window is cut at
 * twice that distance, so that one spike does not blind it and a lasting change is learnt. */
struct watch {
    float loss[WATCH_WINDOW], norm[WATCH_WINDOW]; /* ring, at [seen % WATCH_WINDOW] next */
    int64_t seen;                                 /* values that entered */
    int64_t skips_in_row, skips;
};
enum watch_verdict { WATCH_FINE, WATCH_NOT_FINITE, WATCH_LOSS_SPIKE, WATCH_NORM_SPIKE };
enum watch_verdict watch_judge(struct watch *watch, float loss, float norm);

/* ---- optimizer ---- */

struct optimizer {
    struct model *model;
    const struct recipe *recipe;
    const struct comm *comm;
    struct partition partition;
    float *first, *second;       /* of own parts, in their order */
    struct weight_table seconds; /* the weights that have second moments; no offsets */
    float *block_sums;           /* of squares, of all weights */
    void *muon_scratch;
};

/* ---- moments: where each process keeps its own ---- */

/* The same in every process; all call it together. */
MUST_USE status moments_hash(struct sha256 *first, struct sha256 *second,
                             const struct optimizer *optimizer, struct error *error);
/* Rank 0 writes all moments to a file, having the others' sent piece by piece.  The others call
 * moments_send meanwhile. */
MUST_USE status moments_save(const struct optimizer *optimizer, const char *path,
                             struct error *error);
void moments_send(const struct optimizer *optimizer);
/* Takes this process's from a file that holds all.  Hashes all of them unless NULL is given. */
struct moments_hashes {
    struct sha256 first, second;
};
MUST_USE status moments_load(struct optimizer *optimizer, const char *path,
                             struct moments_hashes *hashes, struct error *error);
void moments_reset(struct optimizer *optimizer);

/* ---- validation ---- */

struct validation {
    const struct token_file *file;
    struct training *training;
    struct rows rows;
    float *loss;
    size_t *documents, document_count; /* looked at, spread over all that are held out */
    uint64_t tokens;                   /* of these documents */
};
MUST_USE status validation_create(struct validation *out, struct gradients *gradients,
                                  const struct token_file *heldout, const struct recipe *recipe,
                                  struct arena *arena, struct error *error);
/* Sum of -log2 p of the tokens of the documents' text / bytes of that text; < 0 without documents.
 * A document is <|endoftext|> and its tokens, cut into disjoint windows of `sequence` predictions;
 * every window after the first begins with the last token of the one before. */
double validation_bits_per_byte(struct validation *validation);

/* ---- the run's position: all that the next step depends on besides weights and moments ---- */

struct position {
    int64_t step;    /* done */
    int64_t updates; /* of these not skipped */
    struct watch watch;
};

/* The ledger's open segment: steps since the last ledger line. */
struct segment {
    int64_t from;         /* step of the last line */
    struct sha256 before; /* state there */
    struct sha256 losses; /* chain over the segment: SHA-256(chain | bits of loss) */
    float loss;           /* of the last step */
};

struct identity { /* of a run: what its weights are a function of */
    struct sha256 recipe, corpus, tokenizer;
    struct sha256 tokens; /* over both token files' contents */
};

struct hashes {
    struct sha256 weights, first, second, state;
};

/* ---- state.json ---- */

enum { STATE_HASHES = 10 };
struct state {
    struct position position;
    struct segment segment;
    struct identity identity;
    struct hashes hashes;
    struct sha256 config_file, tokenizer_file; /* of the copies beside it */
    int precision;                             /* enum dtype, of the operands of products */
};
/* hashes->state = SHA-256 over the hashes of weights, first and second moments, then step, updates
 * and the watch (i64 and f32 bits, little-endian). */
MUST_USE status state_hash(struct hashes *hashes, const struct position *position,
                           struct error *error);
MUST_USE status state_write(struct buffer *out, const struct state *state, struct error *error);
MUST_USE status state_parse(struct state *out, struct view text, const char *path,
                            struct error *error);

/* ---- checkpoint ---- */

struct checkpoint {
    struct model *model;
    struct optimizer *optimizer;
    struct position *position;
    struct segment *segment;
    const struct identity *identity;
    struct hashes *hashes;
};

/* Hashes everything as it stands now.  Processes but rank 0 call moments_hash meanwhile. */
MUST_USE status checkpoint_hash(struct hashes *out, const struct checkpoint *checkpoint,
                                struct error *error);
/* Writes RUN/checkpoints/step-N aside, syncs, renames; then removes all but the last `keep`.
 * checkpoint->hashes must be those of now.  Processes but rank 0 call moments_send meanwhile. */
MUST_USE status checkpoint_save(const struct checkpoint *checkpoint, const char *run, int64_t keep,
                                struct error *error);
/* Where the moments of a step's checkpoint stand. */
MUST_USE status checkpoint_moments_path(char out[PATH_BYTES], const char *run, int64_t step,
                                        struct error *error);
/* Loads the newest valid checkpoint; invalid newer ones are named in a warning and set aside.
 * *found false: there is none.  ERR_FORMAT when there are only invalid ones. */
MUST_USE status checkpoint_load(bool *found, const struct checkpoint *checkpoint, const char *run,
                                struct error *error);
/* Removes what killed processes left in a folder of the run. */
MUST_USE status folder_clean(const char *folder, struct error *error);

/* ---- metrics.jsonl ---- */

struct metrics {
    char path[PATH_BYTES];
    struct buffer pending; /* written once a second and before every checkpoint */
    double flushed_s;
    double seconds_before; /* of training, in earlier processes */
};
/* Cuts off the lines of steps after `step`, which will be done again. */
MUST_USE status metrics_open(struct metrics *out, const char *run, int64_t step,
                             struct error *error);
MUST_USE status metrics_add(struct metrics *metrics, const struct train_report *report,
                            const struct recipe *recipe, struct error *error);
MUST_USE status metrics_flush(struct metrics *metrics, struct error *error);
void metrics_close(struct metrics *metrics);

/* ---- ledger.jsonl: one line when the run begins, one a checkpoint on the grid ---- */

/* Lines hold no time and no path, so an interrupted run's ledger equals the uninterrupted run's
 * byte for byte: checkpoints off the grid (interrupts, steps_limit) have no line, their segment
 * goes on after resuming.  A line is written before its checkpoint; steps done again must give the
 * line that stands there already, else ERR_CONFLICT. */
struct ledger_entry {
    struct sha256 line, state;
};
struct run_ledger {
    char path[PATH_BYTES];
    struct ledger ledger;
    struct buffer known; /* struct ledger_entry of every line read or written */
};
MUST_USE status run_ledger_open(struct run_ledger *out, const char *run, struct error *error);
void run_ledger_close(struct run_ledger *run_ledger);
/* Line 0: the initial state and what the run is a function of. */
MUST_USE status run_ledger_begin(struct run_ledger *run_ledger, const struct identity *identity,
                                 const struct sha256 *state, struct error *error);
/* The line of the checkpoint at position->step, which ends `segment`. */
MUST_USE status run_ledger_segment(struct run_ledger *run_ledger, const struct recipe *recipe,
                                   const struct checkpoint *checkpoint, struct error *error);
/* The step up to which lines stand, at least. */
int64_t run_ledger_step(const struct run_ledger *run_ledger, const struct recipe *recipe);
/* The ledger must know the state in which a loaded checkpoint's segment begins. */
MUST_USE status run_ledger_check(const struct run_ledger *run_ledger, const struct recipe *recipe,
                                 const struct segment *segment, struct error *error);

/* ---- the run folder ---- */

struct run {
    const char *path;
    int lock; /* -1: none */
    struct recipe recipe;
    struct identity identity;
    struct token_file train, heldout;
};
/* Locks and cleans the folder, writes or compares its recipe, and makes what is missing: corpus,
 * tokenizer, token files. */
MUST_USE status run_open(struct run *out, const struct train_settings *settings,
                         struct arena *arena, struct error *error);
void run_close(struct run *run);
/* Writes RUN/recipe.ini as used; its paths are relative inside the run, else absolute. */
MUST_USE status run_save_recipe(const struct run *run, struct error *error);

/* ---- time: runs whose recipe says minutes ---- */

struct trainer;
struct run_clock {
    double budget_s;  /* 0: the run has all the time; kept in RUN/clock.ini */
    double outside_s; /* used before and between the steps, of all processes; kept there too */
    struct run *run;
    double started_s, steps_began_s; /* of this process; 0: not yet */
    double trained_s;                /* in the steps of earlier processes */
    double mark_s, mark_left_s;      /* the last look: when, time left */
    int64_t mark_step;
    bool looked;
};
MUST_USE status clock_open(struct run_clock *out, struct run *run, double started_s,
                           struct error *error);
/* Times steps and writes into the run's recipe how many fit, when its minutes say so.  The trainer
 * must be reset after it. */
MUST_USE status clock_choose_steps(const struct run_clock *clock, struct trainer *trainer,
                                   const struct validation *validation, struct error *error);
/* Now the steps of this process begin; trained_s: time of earlier ones. */
MUST_USE status clock_begin_steps(struct run_clock *clock, double trained_s, struct error *error);
double clock_left_s(const struct run_clock *clock);
/* After each step: from time to time changes how many there shall be, in the recipe in memory and
 * in the run.  Steps up to `settled` stand in the ledger and are done again as they were.
 * reserve_s: what the end needs besides steps. */
MUST_USE status clock_keep(bool *changed, struct run_clock *clock, int64_t step, int64_t settled,
                           double reserve_s, struct error *error);

/* ---- one step ---- */

struct trainer {
    struct recipe *recipe;
    struct model *model;
    struct optimizer *optimizer;
    struct loader *loader;
    struct gradients gradients;
    struct position position;
    struct segment segment;
    struct identity identity;
    struct hashes hashes;
    const struct comm *comm;
    const char *run; /* folder */
};
MUST_USE status trainer_create(struct trainer *out, struct run *run,
                               const struct train_settings *settings, struct arena *arena,
                               struct error *error);
/* The leading process does these together with those that follow.
 * Back to step 0: initial weights, no moments; hashes that state. */
MUST_USE status trainer_reset(struct trainer *trainer, struct error *error);
/* Loads the newest checkpoint, if there is one. */
MUST_USE status trainer_load(bool *found, struct trainer *trainer, struct error *error);
/* Hashes the state into trainer->hashes; writes it as a checkpoint. */
MUST_USE status trainer_hash(struct trainer *trainer, struct error *error);
MUST_USE status trainer_save(struct trainer *trainer, struct error *error);
struct checkpoint trainer_checkpoint(struct trainer *trainer);

struct step_result {
    float loss, norm;
    enum watch_verdict verdict;
};
/* The next step; weights change only when the verdict is WATCH_FINE. */
struct step_result trainer_step(struct trainer *trainer);

/* ---- processes: rank 0 leads, the others follow; all hold the same weights, each its part of the
 * moments ---- */

/* In the others: takes part until rank 0 calls trainer_end. */
MUST_USE status trainer_follow(struct trainer *trainer, struct error *error);
void trainer_end(struct trainer *trainer);
/* In rank 0: gives the others its recipe, whose number of steps has changed. */
void trainer_share_recipe(struct trainer *trainer);
/* Rank 0 gives the opened run; the others open its token files. */
void run_lead(const struct run *run, const struct comm *comm);
MUST_USE status run_follow(struct run *out, const struct train_settings *settings,
                           struct error *error);

#endif
