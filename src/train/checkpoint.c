/* Checkpoints: a folder written aside, synced, then renamed; readers see all of it or none.
 *
 *   RUN/checkpoints/step-000100/   model.safetensors optimizer.safetensors state.json config.json
 *                                  tokenizer.json
 *   .part-*                        being written;  .old-*  being removed;  *.damaged  set aside */
#include "train/train_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static const char *const MODEL_FILE = "model.safetensors";
static const char *const OPTIMIZER_FILE = "optimizer.safetensors";
static const char *const STATE_FILE = "state.json";
static const char *const CONFIG_FILE = "config.json";
static const char *const TOKENIZER_FILE = "tokenizer.json";

enum { STEP_NAME_BYTES = 64 };

static void step_name(char out[STEP_NAME_BYTES], const char *prefix, int64_t step)
{
    snprintf(out, STEP_NAME_BYTES, "%sstep-%06lld", prefix, (long long)step);
}

static status checkpoints_folder(char out[PATH_BYTES], const char *run, struct error *error)
{
    return path_join(out, PATH_BYTES, run, "checkpoints", error);
}

/* ---- which there are ---- */

static bool parse_step(int64_t *out, const char *name)
{
    char canonical[STEP_NAME_BYTES];
    if (strncmp(name, "step-", 5) != 0)
        return false;
    *out = strtoll(name + 5, NULL, 10);
    step_name(canonical, "", *out);
    return *out >= 0 && strcmp(canonical, name) == 0;
}

static int compare_steps(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

struct steps {
    int64_t *list; /* ascending */
    size_t count;
};

static status list_steps(struct steps *out, const char *folder, struct arena *arena,
                         struct error *error)
{
    *out = (struct steps){0};
    if (!folder_exists(folder))
        return OK;
    char **names = NULL;
    size_t count = 0;
    TRY(folder_list(&names, &count, folder, arena, error));
    TRY_ALLOC(out->list, arena, count + 1, error);
    for (size_t i = 0; i < count; i++)
        if (parse_step(&out->list[out->count], names[i]))
            out->count++;
    qsort(out->list, out->count, sizeof *out->list, compare_steps);
    return OK;
}

/* Renames first, so that a step's folder is whole or absent at any instant. */
static status remove_step(const char *folder, int64_t step, struct error *error)
{
    char name[STEP_NAME_BYTES], from[PATH_BYTES], aside[PATH_BYTES];
    step_name(name, "", step);
    TRY(path_join(from, sizeof from, folder, name, error));
    step_name(name, ".old-", step);
    TRY(path_join(aside, sizeof aside, folder, name, error));
    TRY(path_remove_tree(aside, error));
    TRY(path_rename(from, aside, error));
    return path_remove_tree(aside, error);
}

static status remove_leftovers(const char *folder, char **names, size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        char path[PATH_BYTES];
        if (!view_starts(view_of(names[i]), ".part-") && !view_starts(view_of(names[i]), ".old-") &&
            !strstr(names[i], ".tmp-"))
            continue;
        TRY(path_join(path, sizeof path, folder, names[i], error));
        TRY(path_remove_tree(path, error));
    }
    return OK;
}

status folder_clean(const char *folder, struct error *error)
{
    ASSERT(folder && error);
    if (!folder_exists(folder))
        return OK;
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    char **names = NULL;
    size_t count = 0;
    status result = folder_list(&names, &count, folder, arena, error);
    if (result == OK)
        result = remove_leftovers(folder, names, count, error);
    arena_destroy(arena);
    return result;
}

/* ---- writing ---- */

status checkpoint_hash(struct hashes *out, const struct checkpoint *checkpoint, struct error *error)
{
    ASSERT(out && checkpoint && error);
    const struct model *model = checkpoint->model;
    struct hashes hashes;
    TRY(moments_hash(&hashes.first, &hashes.second, checkpoint->optimizer, error));
    TRY(weights_hash(&hashes.weights, &model->table, model->weights, model->compute, error));
    TRY(state_hash(&hashes, checkpoint->position, error));
    *out = hashes;
    return OK;
}

static status copy_file(const char *from, const char *to, struct error *error)
{
    struct file_bytes bytes;
    TRY(file_map(&bytes, from, error));
    status result = file_write_atomic(to, bytes.data, bytes.len, error);
    file_unmap(&bytes);
    return result;
}

static status save_state(const struct state *state, const char *path, struct error *error)
{
    struct buffer text;
    buffer_create(&text, STATE_BYTES_MAX);
    status result = state_write(&text, state, error);
    if (result == OK)
        result = file_write_atomic(path, text.data, text.len, error);
    buffer_destroy(&text);
    return result;
}

static status write_folder(const struct checkpoint *checkpoint, const char *run, const char *folder,
                           struct error *error)
{
    char path[PATH_BYTES], tokenizer[PATH_BYTES];
    const struct model *model = checkpoint->model;
    struct state state = {.position = *checkpoint->position,
                          .segment = *checkpoint->segment,
                          .identity = *checkpoint->identity,
                          .hashes = *checkpoint->hashes,
                          .precision = (int)model->type};
    TRY(path_join(path, sizeof path, folder, MODEL_FILE, error));
    TRY(weights_save(path, &model->table, model->weights, NULL, error));
    TRY(path_join(path, sizeof path, folder, OPTIMIZER_FILE, error));
    TRY(moments_save(checkpoint->optimizer, path, error));
    TRY(path_join(path, sizeof path, folder, CONFIG_FILE, error));
    TRY(model_config_save(&model->config, path, error));
    TRY(sha256_of_file(&state.config_file, path, error));
    TRY(path_join(tokenizer, sizeof tokenizer, run, TOKENIZER_FILE, error));
    TRY(path_join(path, sizeof path, folder, TOKENIZER_FILE, error));
    TRY(copy_file(tokenizer, path, error));
    TRY(sha256_of_file(&state.tokenizer_file, path, error));
    TRY(path_join(path, sizeof path, folder, STATE_FILE, error));
    return save_state(&state, path, error);
}

static status prune(const char *folder, int64_t keep, struct error *error)
{
    struct arena *arena = NULL;
    struct steps steps;
    TRY(arena_create(&arena, 0, error));
    status result = list_steps(&steps, folder, arena, error);
    for (size_t i = 0; result == OK && i + (size_t)keep < steps.count; i++)
        result = remove_step(folder, steps.list[i], error);
    arena_destroy(arena);
    return result;
}

status checkpoint_save(const struct checkpoint *checkpoint, const char *run, int64_t keep,
                       struct error *error)
{
    ASSERT(checkpoint && run && keep >= 1 && error);
    char folder[PATH_BYTES], part[PATH_BYTES], path[PATH_BYTES], name[STEP_NAME_BYTES];
    int64_t step = checkpoint->position->step;
    TRY(checkpoints_folder(folder, run, error));
    step_name(name, ".part-", step);
    TRY(path_join(part, sizeof part, folder, name, error));
    step_name(name, "", step);
    TRY(path_join(path, sizeof path, folder, name, error));
    TRY(path_remove_tree(part, error));
    TRY(folder_make(part, error));
    status result = write_folder(checkpoint, run, part, error);
    if (result == OK && folder_exists(path))
        result = remove_step(folder, step, error);
    if (result == OK)
        result = path_rename(part, path, error);
    if (result != OK) {
        struct error ignored = {0}; /* the first failure is the one to tell */
        if (path_remove_tree(part, &ignored) != OK)
            log_warning("%s", ignored.text);
        return result;
    }
    return prune(folder, keep, error);
}

/* ---- reading ---- */

static status read_state(struct state *out, const char *folder, struct error *error)
{
    char path[PATH_BYTES];
    struct arena *arena = NULL;
    struct view text;
    TRY(path_join(path, sizeof path, folder, STATE_FILE, error));
    TRY(arena_create(&arena, 0, error));
    status result = file_read(&text, path, STATE_BYTES_MAX, arena, error);
    if (result == OK)
        result = state_parse(out, text, path, error);
    arena_destroy(arena);
    return result;
}

static status check_file(const char *folder, const char *name, const struct sha256 *expected,
                         struct error *error)
{
    char path[PATH_BYTES];
    struct sha256 found;
    TRY(path_join(path, sizeof path, folder, name, error));
    TRY(sha256_of_file(&found, path, error));
    if (!sha256_equal(&found, expected))
        return fail(error, ERR_FORMAT, "%s: does not have the SHA-256 stated in %s", path,
                    STATE_FILE);
    return OK;
}

static status check_identity(const struct identity *found, const struct identity *expected,
                             const char *folder, struct error *error)
{
    const char *what = !sha256_equal(&found->recipe, &expected->recipe)         ? "recipe"
                       : !sha256_equal(&found->corpus, &expected->corpus)       ? "corpus"
                       : !sha256_equal(&found->tokenizer, &expected->tokenizer) ? "tokenizer"
                       : !sha256_equal(&found->tokens, &expected->tokens)       ? "token files"
                                                                                : NULL;
    if (what)
        return fail(error, ERR_CONFLICT, "%s: was made with another %s than the run's", folder,
                    what);
    return OK;
}

/* Loads everything and hashes it again: what passes is what was saved, bit for bit. */
static status load_folder(const struct checkpoint *checkpoint, const char *folder,
                          struct error *error)
{
    char path[PATH_BYTES];
    struct state state;
    struct moments_hashes moments;
    struct hashes hashes;
    struct model *model = checkpoint->model;
    TRY(read_state(&state, folder, error));
    TRY(check_identity(&state.identity, checkpoint->identity, folder, error));
    TRY(check_file(folder, CONFIG_FILE, &state.config_file, error));
    TRY(check_file(folder, TOKENIZER_FILE, &state.tokenizer_file, error));
    TRY(path_join(path, sizeof path, folder, MODEL_FILE, error));
    TRY(weights_load(model->weights, &model->table, path, error));
    TRY(path_join(path, sizeof path, folder, OPTIMIZER_FILE, error));
    TRY(moments_load(checkpoint->optimizer, path, &moments, error));
    hashes.first = moments.first;
    hashes.second = moments.second;
    TRY(weights_hash(&hashes.weights, &model->table, model->weights, model->compute, error));
    TRY(state_hash(&hashes, &state.position, error));
    if (memcmp(&hashes, &state.hashes, sizeof hashes) != 0)
        return fail(error, ERR_FORMAT,
                    "%s: its weights or moments do not have the SHA-256 stated in %s", folder,
                    STATE_FILE);
    *checkpoint->position = state.position;
    *checkpoint->segment = state.segment;
    *checkpoint->hashes = hashes;
    model_refresh(model);
    return OK;
}

/* The folders of steps[from ..) are not valid: they make room for the steps done again. */
static status set_aside(const char *folder, const struct steps *steps, size_t from,
                        struct error *error)
{
    for (size_t i = from; i < steps->count; i++) {
        char name[STEP_NAME_BYTES], path[PATH_BYTES], aside[PATH_BYTES + 16];
        step_name(name, "", steps->list[i]);
        TRY(path_join(path, sizeof path, folder, name, error));
        snprintf(aside, sizeof aside, "%s.damaged", path);
        TRY(path_remove_tree(aside, error));
        TRY(path_rename(path, aside, error));
    }
    return OK;
}

static status load_newest(bool *found, const struct checkpoint *checkpoint, const char *folder,
                          const struct steps *steps, struct error *error)
{
    struct error newest = {0};
    for (size_t i = steps->count; i-- > 0;) {
        char name[STEP_NAME_BYTES], path[PATH_BYTES];
        struct error why = {0};
        step_name(name, "", steps->list[i]);
        TRY(path_join(path, sizeof path, folder, name, error));
        status result = load_folder(checkpoint, path, &why);
        if (result == OK) {
            *found = true;
            return set_aside(folder, steps, i + 1, error);
        }
        if (result == ERR_MEMORY || result == ERR_CONFLICT)
            return fail(error, result, "%s", why.text);
        log_warning("%s; trying an older checkpoint", why.text);
        if (newest.code == OK)
            newest = why;
    }
    if (newest.code != OK)
        return fail(error, ERR_FORMAT, "%s: holds no valid checkpoint: %s", folder, newest.text);
    *found = false;
    return OK;
}

status checkpoint_load(bool *found, const struct checkpoint *checkpoint, const char *run,
                       struct error *error)
{
    ASSERT(found && checkpoint && run && error);
    char folder[PATH_BYTES];
    struct arena *arena = NULL;
    struct steps steps;
    TRY(checkpoints_folder(folder, run, error));
    TRY(arena_create(&arena, 0, error));
    status result = list_steps(&steps, folder, arena, error);
    if (result == OK)
        result = load_newest(found, checkpoint, folder, &steps, error);
    arena_destroy(arena);
    return result;
}

status checkpoint_moments_path(char out[PATH_BYTES], const char *run, int64_t step,
                               struct error *error)
{
    ASSERT(out && run && error);
    char folder[PATH_BYTES], path[PATH_BYTES], name[STEP_NAME_BYTES];
    TRY(checkpoints_folder(folder, run, error));
    step_name(name, "", step);
    TRY(path_join(path, sizeof path, folder, name, error));
    return path_join(out, PATH_BYTES, path, OPTIMIZER_FILE, error);
}

/* ---- for readers of a run ---- */

static bool looks_complete(const char *folder)
{
    static const char *const *const names[] = {&MODEL_FILE, &OPTIMIZER_FILE, &CONFIG_FILE,
                                               &TOKENIZER_FILE};
    struct error ignored = {0};
    struct state state;
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (path_join(path, sizeof path, folder, *names[i], &ignored) != OK || !file_exists(path))
            return false;
    return read_state(&state, folder, &ignored) == OK;
}

static status find_complete(char *out, size_t out_bytes, const char *folder, int64_t step,
                            const struct steps *steps, struct error *error)
{
    for (size_t i = steps->count; i-- > 0;) {
        char name[STEP_NAME_BYTES], path[PATH_BYTES];
        if (step >= 0 && steps->list[i] != step)
            continue;
        step_name(name, "", steps->list[i]);
        TRY(path_join(path, sizeof path, folder, name, error));
        if (!looks_complete(path))
            continue;
        if (strlen(path) >= out_bytes)
            return fail(error, ERR_LIMIT, "%s: the path is longer than %zu bytes", path, out_bytes);
        memcpy(out, path, strlen(path) + 1);
        return OK;
    }
    if (step >= 0)
        return fail(error, ERR_CONFLICT, "%s: holds no complete checkpoint of step %lld", folder,
                    (long long)step);
    return fail(error, ERR_CONFLICT, "%s: holds no complete checkpoint", folder);
}

status run_checkpoint_path(char *out, size_t out_bytes, const char *run, int64_t step,
                           struct error *error)
{
    ASSERT(out && out_bytes && run && error);
    char folder[PATH_BYTES];
    struct arena *arena = NULL;
    struct steps steps;
    TRY(checkpoints_folder(folder, run, error));
    TRY(arena_create(&arena, 0, error));
    status result = list_steps(&steps, folder, arena, error);
    if (result == OK)
        result = find_complete(out, out_bytes, folder, step, &steps, error);
    arena_destroy(arena);
    return result;
}
