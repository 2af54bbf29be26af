#include "infer/infer.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "infer/infer_internal.h"

enum { STATE_BYTES_MAX = 1 << 20 };

/* ---- which folder ---- */

/* "step-N" folders in order of N; the newest complete one holds all files. */
static status newest_checkpoint(char *out, const char *folder, struct arena *arena,
                                struct error *error)
{
    char **names, path[PATH_BYTES], file[PATH_BYTES];
    size_t count;
    long long best = -1;
    TRY(folder_list(&names, &count, folder, arena, error));
    for (size_t i = 0; i < count; i++) {
        int64_t step;
        if (strncmp(names[i], "step-", 5) || !parse_i64(&step, view_of(names[i] + 5)) ||
            step <= best)
            continue;
        TRY(path_join(path, sizeof path, folder, names[i], error));
        TRY(path_join(file, sizeof file, path, "state.json", error));
        if (file_exists(file)) {
            best = step;
            memcpy(out, path, sizeof path);
        }
    }
    if (best < 0)
        return fail(error, ERR_CONFLICT, "%s: holds no complete checkpoint", folder);
    return OK;
}

static status find_model(char *out, const char *path, struct arena *arena, struct error *error)
{
    char name[PATH_BYTES];
    if (!folder_exists(path))
        return fail(error, ERR_USAGE, "%s: there is no such folder", path);
    TRY(path_join(name, sizeof name, path, "checkpoints", error));
    if (folder_exists(name))
        return newest_checkpoint(out, name, arena, error);
    TRY(path_join(name, sizeof name, path, "model.safetensors", error));
    if (!file_exists(name))
        return fail(error, ERR_USAGE,
                    "%s: is neither a run (checkpoints/) nor a model (model.safetensors)", path);
    snprintf(out, PATH_BYTES, "%s", path);
    return OK;
}

/* ---- what state.json says ---- */

static void read_state(struct engine_info *info, enum dtype *type, const cJSON *state)
{
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(state, "step");
    const cJSON *hash = cJSON_GetObjectItemCaseSensitive(state, "state");
    const cJSON *precision = cJSON_GetObjectItemCaseSensitive(state, "precision");
    if (cJSON_IsNumber(step) && step->valuedouble >= 0 && step->valuedouble < 9e15)
        info->step = (int64_t)step->valuedouble;
    if (cJSON_IsString(hash) && strlen(hash->valuestring) == SHA256_HEX_BYTES - 1)
        snprintf(info->state, sizeof info->state, "%s", hash->valuestring);
    if (cJSON_IsString(precision) && strcmp(precision->valuestring, "f32") == 0)
        *type = DTYPE_F32;
    info->chat = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(state, "chat"));
}

static status load_state(struct engine_info *info, enum dtype *type, const char *folder,
                         struct arena *arena, struct error *error)
{
    char path[PATH_BYTES];
    struct view text;
    info->step = -1;
    *type = DTYPE_BF16;
    TRY(path_join(path, sizeof path, folder, "state.json", error));
    if (!file_exists(path))
        return OK;
    TRY(file_read(&text, path, STATE_BYTES_MAX, arena, error));
    cJSON *state = cJSON_ParseWithLength(text.data, text.len);
    if (!cJSON_IsObject(state)) {
        cJSON_Delete(state);
        return fail(error, ERR_FORMAT, "%s: is not a JSON object", path);
    }
    read_state(info, type, state);
    cJSON_Delete(state);
    return OK;
}

/* The last part of the path the user gave, as the model's name. */
static void name_engine(struct engine_info *info, const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    size_t start = len;
    while (start && path[start - 1] != '/')
        start--;
    snprintf(info->name, sizeof info->name, "%.*s", (int)(len - start), path + start);
}

/* ---- opening ---- */

static status load_parts(struct engine *engine, const char *folder, struct compute *compute,
                         struct arena *arena, struct error *error)
{
    char path[PATH_BYTES];
    enum dtype type;
    struct stat info;
    TRY(load_state(&engine->info, &type, folder, arena, error));
    TRY(path_join(path, sizeof path, folder, "config.json", error));
    TRY(model_config_load(&engine->info.config, path, error));
    TRY(path_join(path, sizeof path, folder, "tokenizer.json", error));
    struct tokenizer *tokenizer;
    TRY(tokenizer_load(&tokenizer, path, arena, error));
    engine->tokenizer = tokenizer;
    if ((int64_t)tokenizer_vocabulary(tokenizer) > engine->info.config.vocabulary)
        return fail(error, ERR_CONFLICT, "%s: has %u tokens, the model knows %lld", path,
                    tokenizer_vocabulary(tokenizer), (long long)engine->info.config.vocabulary);
    TRY(model_create(&engine->model, &engine->info.config, type, compute, arena, error));
    TRY(path_join(path, sizeof path, folder, "model.safetensors", error));
    TRY(weights_load(engine->model->weights, &engine->model->table, path, error));
    if (!all_finite(compute, engine->model->weights, engine->model->table.total))
        return fail(error, ERR_FORMAT, "%s: holds values that are not finite", path);
    if (stat(path, &info) == 0)
        engine->info.created_unix = (int64_t)info.st_mtime;
    model_refresh(engine->model);
    return model_pack(engine->model, arena, error);
}

status engine_open(struct engine **out, const char *path, struct compute *compute,
                   struct arena *arena, struct error *error)
{
    ASSERT(out && path && compute && arena && error);
    char folder[PATH_BYTES];
    struct engine *engine;
    TRY(find_model(folder, path, arena, error));
    TRY_ALLOC(engine, arena, 1, error);
    name_engine(&engine->info, path);
    TRY(load_parts(engine, folder, compute, arena, error));
    engine->info.parameters = model_parameters(&engine->info.config);
    *out = engine;
    return OK;
}

status engine_wrap(struct engine **out, struct model *model, const struct tokenizer *tokenizer,
                   const char *name, struct arena *arena, struct error *error)
{
    ASSERT(out && model && tokenizer && name && arena && error);
    struct engine *engine;
    TRY_ALLOC(engine, arena, 1, error);
    engine->model = model;
    engine->tokenizer = tokenizer;
    engine->info = (struct engine_info){
        .config = model->config, .parameters = model_parameters(&model->config), .step = -1};
    snprintf(engine->info.name, sizeof engine->info.name, "%s", name);
    *out = engine;
    return OK;
}

const struct engine_info *engine_info(const struct engine *engine)
{
    return &engine->info;
}

const struct tokenizer *engine_tokenizer(const struct engine *engine)
{
    return engine->tokenizer;
}

struct model *engine_model(const struct engine *engine)
{
    return engine->model;
}
