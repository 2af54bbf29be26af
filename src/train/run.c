/* The run folder and what training needs in it: recipe, corpus, tokenizer, token files. */
#include "train/train_internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "corpus/corpus.h"

/* What preparing works with. */
struct preparation {
    struct run *run;
    const struct train_settings *settings;
    struct thread_pool *pool;
    struct arena *arena;
    struct tokenizer *tokenizer;
    struct corpus *corpus; /* NULL until needed */
};

static void tell(const struct preparation *work, const char *what)
{
    if (work->settings->stage)
        work->settings->stage(work->settings->context, what);
}

static bool has_file(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    struct error ignored = {0};
    return path_join(path, sizeof path, folder, name, &ignored) == OK && file_exists(path);
}

/* ---- recipe ---- */

static status store_path(char path[CONFIG_STRING_BYTES], const char *run, struct error *error)
{
    char whole[PATH_MAX], root[PATH_MAX];
    if (!*path)
        return OK;
    if (!realpath(path, whole))
        return fail_errno(error, "%s: can't be found", path);
    if (!realpath(run, root))
        return fail_errno(error, "%s: can't be found", run);
    const char *stored = whole;
    size_t len = strlen(root);
    if (strncmp(whole, root, len) == 0 && whole[len] == '/')
        stored = whole + len + 1;
    if (snprintf(path, CONFIG_STRING_BYTES, "%s", stored) >= CONFIG_STRING_BYTES)
        return fail(error, ERR_LIMIT, "%s: the path is longer than %d bytes", stored,
                    CONFIG_STRING_BYTES - 1);
    return OK;
}

status run_save_recipe(const struct run *run, struct error *error)
{
    ASSERT(run && error);
    char path[PATH_BYTES];
    struct recipe stored = run->recipe;
    TRY(store_path(stored.corpus, run->path, error));
    TRY(store_path(stored.tokenizer, run->path, error));
    TRY(path_join(path, sizeof path, run->path, "recipe.ini", error));
    return recipe_save(&stored, path, error);
}

static status wanted_recipe(struct recipe *out, bool *any, const struct train_settings *settings,
                            struct error *error)
{
    *any = settings->recipe || settings->recipe_path;
    if (settings->recipe)
        *out = *settings->recipe;
    else if (settings->recipe_path)
        TRY(recipe_read(out, settings->recipe_path, error));
    return *any ? recipe_check(out, error) : OK;
}

/* The run's own recipe when there is one; keys that change no number are taken from the wanted. */
static status settle_recipe(struct run *run, const struct train_settings *settings,
                            struct error *error)
{
    char path[PATH_BYTES];
    struct recipe wanted;
    bool any;
    TRY(wanted_recipe(&wanted, &any, settings, error));
    TRY(path_join(path, sizeof path, run->path, "recipe.ini", error));
    if (file_exists(path)) {
        TRY(recipe_read(&run->recipe, path, error));
        TRY(recipe_check(&run->recipe, error));
        if (!any)
            return OK;
        TRY(recipe_compare(&run->recipe, &wanted, run->path, error));
        run->recipe.keep = wanted.keep;
        run->recipe.micro_batch = wanted.micro_batch;
        run->recipe.recompute = wanted.recompute;
        return OK;
    }
    if (!any)
        return fail(error, ERR_USAGE, "%s: holds no run; name a recipe to begin one", run->path);
    if (!*wanted.corpus)
        return fail(error, ERR_USAGE, "data.corpus is empty, it must name a folder");
    run->recipe = wanted;
    return run_save_recipe(run, error);
}

/* ---- corpus ---- */

static status build_corpus(struct preparation *work, const char *out, struct error *error)
{
    const char *inputs[] = {work->run->recipe.corpus};
    const struct corpus_job job = {.settings = corpus_settings_default(),
                                   .inputs = inputs,
                                   .input_count = 1,
                                   .out = out,
                                   .pool = work->pool};
    struct corpus_counts counts;
    tell(work, "building the corpus");
    return corpus_build(&counts, &job, error);
}

static status keep_path(char out[CONFIG_STRING_BYTES], const char *path, struct error *error)
{
    if (snprintf(out, CONFIG_STRING_BYTES, "%s", path) < CONFIG_STRING_BYTES)
        return OK;
    return fail(error, ERR_LIMIT, "%s: the path is longer than %d bytes", path,
                CONFIG_STRING_BYTES - 1);
}

/* A folder without a manifest is texts: the corpus is built from it into the run. */
static status need_corpus(struct preparation *work, struct error *error)
{
    struct recipe *recipe = &work->run->recipe;
    if (work->corpus)
        return OK;
    if (!folder_exists(recipe->corpus))
        return fail(error, ERR_USAGE, "data.corpus is %s, which is not a folder", recipe->corpus);
    if (!has_file(recipe->corpus, "manifest.json")) {
        char built[PATH_BYTES];
        TRY(path_join(built, sizeof built, work->run->path, "corpus", error));
        char kept[CONFIG_STRING_BYTES];
        TRY(keep_path(kept, built, error)); /* before the work */
        TRY(build_corpus(work, built, error));
        memcpy(recipe->corpus, kept, sizeof kept);
    }
    return corpus_open(&work->corpus, recipe->corpus, work->arena, error);
}

/* The documents of one side of the held-out split, in the corpus's order. */
struct document_list {
    const struct corpus *corpus;
    size_t next;
    bool held_out;
};

static status next_document(void *context, struct view *text, struct error *error)
{
    struct document_list *list = context;
    (void)error;
    *text = (struct view){0};
    while (list->next < corpus_count(list->corpus)) {
        const struct document *document = corpus_document(list->corpus, list->next++);
        if (document->held_out != list->held_out || !document->text.len)
            continue;
        *text = document->text;
        return OK;
    }
    list->next = 0;
    return OK;
}

/* ---- tokenizer ---- */

static status train_tokenizer(struct preparation *work, const char *path, struct error *error)
{
    TRY(need_corpus(work, error));
    tell(work, "training the tokenizer");
    struct document_list list = {.corpus = work->corpus};
    const struct tokenizer_training training = {.vocabulary =
                                                    (uint32_t)work->run->recipe.vocabulary,
                                                .pool = work->pool,
                                                .next = next_document,
                                                .context = &list};
    struct tokenizer *tokenizer;
    TRY(tokenizer_train(&tokenizer, &training, work->arena, error));
    return tokenizer_save(tokenizer, path, error);
}

/* The copy is byte for byte, so that its hash is the original's. */
static status take_tokenizer(const struct preparation *work, const char *path, struct error *error)
{
    struct file_bytes bytes;
    TRY(file_map(&bytes, work->run->recipe.tokenizer, error));
    status result = file_write_atomic(path, bytes.data, bytes.len, error);
    file_unmap(&bytes);
    return result;
}

static status need_tokenizer(struct preparation *work, struct error *error)
{
    struct run *run = work->run;
    char path[PATH_BYTES];
    TRY(path_join(path, sizeof path, run->path, "tokenizer.json", error));
    if (!file_exists(path)) {
        if (*run->recipe.tokenizer)
            TRY(take_tokenizer(work, path, error));
        else
            TRY(train_tokenizer(work, path, error));
    }
    TRY(tokenizer_load(&work->tokenizer, path, work->arena, error));
    TRY(sha256_of_file(&run->identity.tokenizer, path, error));
    TRY(keep_path(run->recipe.tokenizer, path, error));
    int64_t vocabulary = tokenizer_vocabulary(work->tokenizer);
    if (!run->recipe.model.vocabulary)
        run->recipe.model.vocabulary = vocabulary;
    if (run->recipe.model.vocabulary < vocabulary)
        return fail(error, ERR_USAGE,
                    "model.vocabulary is %lld, the tokenizer has %lld tokens: allowed are that "
                    "many, more, or 0",
                    (long long)run->recipe.model.vocabulary, (long long)vocabulary);
    return OK;
}

/* ---- token files ---- */

static bool open_tokens(struct run *run, const char *train, const char *heldout)
{
    struct error why = {0};
    if (!file_exists(train) || !file_exists(heldout))
        return false;
    if (token_file_open(&run->train, train, &why) == OK) {
        if (token_file_open(&run->heldout, heldout, &why) == OK) {
            if (sha256_equal(&run->train.tokenizer, &run->identity.tokenizer) &&
                sha256_equal(&run->heldout.tokenizer, &run->identity.tokenizer) &&
                sha256_equal(&run->heldout.corpus, &run->train.corpus))
                return true;
            fail(&why, ERR_FORMAT, "%s: was made with another tokenizer or corpus", train);
            token_file_close(&run->heldout);
        }
        token_file_close(&run->train);
    }
    log_warning("%s; making the token files again", why.text);
    return false;
}

static status write_tokens(struct preparation *work, const char *path, bool held_out,
                           struct error *error)
{
    struct document_list list = {.corpus = work->corpus, .held_out = held_out};
    const struct token_source source = {.next = next_document,
                                        .context = &list,
                                        .tokenizer = work->tokenizer,
                                        .pool = work->pool,
                                        .corpus_root = corpus_root(work->corpus),
                                        .tokenizer_file = work->run->identity.tokenizer};
    return token_file_write(path, &source, error);
}

static status need_tokens(struct preparation *work, struct error *error)
{
    struct run *run = work->run;
    char folder[PATH_BYTES], train[PATH_BYTES], heldout[PATH_BYTES];
    TRY(path_join(folder, sizeof folder, run->path, "shards", error));
    TRY(path_join(train, sizeof train, folder, "train.bin", error));
    TRY(path_join(heldout, sizeof heldout, folder, "heldout.bin", error));
    TRY(folder_make(folder, error));
    TRY(folder_clean(folder, error));
    if (!open_tokens(run, train, heldout)) {
        TRY(need_corpus(work, error));
        tell(work, "making tokens of the texts");
        TRY(write_tokens(work, train, false, error));
        TRY(write_tokens(work, heldout, true, error));
        TRY(token_file_open(&run->train, train, error));
        TRY(token_file_open(&run->heldout, heldout, error));
    }
    const struct sha256 contents[2] = {run->train.content, run->heldout.content};
    run->identity.tokens = sha256_of(contents, sizeof contents);
    run->identity.corpus = run->train.corpus;
    return OK;
}

/* ---- the folder ---- */

/* When a recipe is named for a run that stands, its files must be those the run was begun with. */
static status compare_files(struct preparation *work, const struct recipe *wanted,
                            struct error *error)
{
    const struct identity *identity = &work->run->identity;
    if (*wanted->tokenizer && file_exists(wanted->tokenizer)) {
        struct sha256 hash;
        TRY(sha256_of_file(&hash, wanted->tokenizer, error));
        if (!sha256_equal(&hash, &identity->tokenizer))
            return fail(error, ERR_CONFLICT, "%s: was begun with another tokenizer than %s",
                        work->run->path, wanted->tokenizer);
    }
    if (work->corpus || !*wanted->corpus || !has_file(wanted->corpus, "manifest.json"))
        return OK;
    struct corpus *corpus;
    TRY(corpus_open(&corpus, wanted->corpus, work->arena, error));
    struct sha256 root = corpus_root(corpus);
    corpus_close(corpus);
    if (!sha256_equal(&root, &identity->corpus))
        return fail(error, ERR_CONFLICT, "%s: was begun with another corpus than what %s is now",
                    work->run->path, wanted->corpus);
    return OK;
}

static status prepare(struct preparation *work, struct error *error)
{
    struct run *run = work->run;
    struct recipe wanted;
    bool any;
    TRY(need_tokenizer(work, error));
    TRY(need_tokens(work, error));
    TRY(wanted_recipe(&wanted, &any, work->settings, error));
    if (any)
        TRY(compare_files(work, &wanted, error));
    return run_save_recipe(run, error);
}

static status open_folder(struct run *run, const struct train_settings *settings,
                          struct arena *arena, struct error *error)
{
    char checkpoints[PATH_BYTES];
    if (!settings->recipe && !settings->recipe_path && !folder_exists(run->path))
        return fail(error, ERR_USAGE, "%s: is not there; name a recipe to begin a run", run->path);
    TRY(folder_make(run->path, error));
    TRY(folder_lock(&run->lock, run->path, error));
    TRY(path_join(checkpoints, sizeof checkpoints, run->path, "checkpoints", error));
    TRY(folder_clean(run->path, error));
    TRY(folder_clean(checkpoints, error));
    TRY(settle_recipe(run, settings, error));
    struct preparation work = {
        .run = run, .settings = settings, .pool = compute_pool(settings->compute), .arena = arena};
    status result = prepare(&work, error);
    if (work.corpus)
        corpus_close(work.corpus);
    return result;
}

status run_open(struct run *out, const struct train_settings *settings, struct arena *arena,
                struct error *error)
{
    ASSERT(out && settings && settings->run && settings->compute && arena && error);
    struct run run = {.path = settings->run, .lock = -1};
    status result = open_folder(&run, settings, arena, error);
    if (result == OK)
        *out = run;
    else
        run_close(&run);
    return result;
}

/* ---- processes ---- */

void run_lead(const struct run *run, const struct comm *comm)
{
    ASSERT(run && comm);
    struct recipe recipe = run->recipe;
    struct identity identity = run->identity;
    comm_broadcast(comm, &recipe, sizeof recipe);
    comm_broadcast(comm, &identity, sizeof identity);
}

status run_follow(struct run *out, const struct train_settings *settings, struct error *error)
{
    ASSERT(out && settings && error);
    char path[PATH_BYTES];
    struct run run = {.path = settings->run, .lock = -1};
    comm_broadcast(settings->comm, &run.recipe, sizeof run.recipe);
    comm_broadcast(settings->comm, &run.identity, sizeof run.identity);
    TRY(path_join(path, sizeof path, run.path, "shards/train.bin", error));
    TRY(token_file_open(&run.train, path, error));
    *out = run;
    return OK;
}

void run_close(struct run *run)
{
    ASSERT(run);
    token_file_close(&run->train);
    token_file_close(&run->heldout);
    if (run->lock >= 0)
        folder_unlock(run->lock);
    run->lock = -1;
}
