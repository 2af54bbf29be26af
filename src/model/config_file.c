/* config.json, as transformers writes and reads it. */
#include "model/model.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "base/file.h"
#include "model/model_internal.h"

static cJSON *config_to_json(const struct model_config *config)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *names = cJSON_AddArrayToObject(json, "architectures");
    const char *name = config->qk_norm ? "Qwen3ForCausalLM" : "LlamaForCausalLM";
    cJSON_AddItemToArray(names, cJSON_CreateString(name));
    cJSON_AddStringToObject(json, "model_type", config->qk_norm ? "qwen3" : "llama");
    cJSON_AddNumberToObject(json, "hidden_size", (double)config->width);
    cJSON_AddNumberToObject(json, "intermediate_size", (double)config->ffn_width);
    cJSON_AddNumberToObject(json, "num_hidden_layers", (double)config->layers);
    cJSON_AddNumberToObject(json, "num_attention_heads", (double)config->heads);
    cJSON_AddNumberToObject(json, "num_key_value_heads", (double)config->kv_heads);
    cJSON_AddNumberToObject(json, "head_dim", (double)config->head_size);
    cJSON_AddNumberToObject(json, "vocab_size", (double)config->vocabulary);
    cJSON_AddNumberToObject(json, "max_position_embeddings", (double)config->context);
    cJSON_AddNumberToObject(json, "rms_norm_eps", config->norm_epsilon);
    cJSON_AddNumberToObject(json, "rope_theta", config->rope_theta);
    cJSON *rope = cJSON_AddObjectToObject(json, "rope_parameters");
    cJSON_AddStringToObject(rope, "rope_type", "default");
    cJSON_AddNumberToObject(rope, "rope_theta", config->rope_theta);
    cJSON_AddNullToObject(json, "rope_scaling");
    cJSON_AddStringToObject(json, "hidden_act", "silu");
    cJSON_AddBoolToObject(json, "attention_bias", false);
    cJSON_AddBoolToObject(json, "mlp_bias", false);
    cJSON_AddBoolToObject(json, "tie_word_embeddings", config->tied);
    cJSON_AddStringToObject(json, "torch_dtype", "float32");
    cJSON_AddStringToObject(json, "dtype", "float32");
    cJSON_AddBoolToObject(json, "use_cache", true);
    return json;
}

status model_config_save(const struct model_config *config, const char *path, struct error *error)
{
    ASSERT(config && path && error);
    cJSON *json = config_to_json(config);
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    if (!text)
        return fail(error, ERR_MEMORY, "%s: no memory for its text", path);
    status result = file_write_atomic(path, text, strlen(text), error);
    cJSON_free(text);
    return result;
}

static status read_int(int64_t *out, const cJSON *json, const char *key, const char *path,
                       struct error *error)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    if (!cJSON_IsNumber(item))
        return fail(error, ERR_FORMAT, "%s: number '%s' is missing", path, key);
    if (!(item->valuedouble >= 0 && item->valuedouble <= 1e9) ||
        item->valuedouble != (double)(int64_t)item->valuedouble)
        return fail(error, ERR_FORMAT, "%s: '%s' is %g, allowed are whole numbers up to 1e9", path,
                    key, item->valuedouble);
    *out = (int64_t)item->valuedouble;
    return OK;
}

static status read_double(double *out, const cJSON *json, const char *key, const char *path,
                          struct error *error)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    if (!cJSON_IsNumber(item))
        return fail(error, ERR_FORMAT, "%s: number '%s' is missing", path, key);
    *out = item->valuedouble;
    return OK;
}

static status config_from_json(struct model_config *out, const cJSON *json, const char *path,
                               struct error *error)
{
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(json, "model_type");
    if (!cJSON_IsString(type) ||
        (strcmp(type->valuestring, "llama") && strcmp(type->valuestring, "qwen3")))
        return fail(error, ERR_FORMAT, "%s: model_type is '%s', allowed are llama and qwen3", path,
                    cJSON_IsString(type) ? type->valuestring : "missing");
    struct {
        const char *key;
        int64_t *value;
    } keys[] = {{"hidden_size", &out->width},
                {"intermediate_size", &out->ffn_width},
                {"num_hidden_layers", &out->layers},
                {"num_attention_heads", &out->heads},
                {"num_key_value_heads", &out->kv_heads},
                {"head_dim", &out->head_size},
                {"vocab_size", &out->vocabulary},
                {"max_position_embeddings", &out->context}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        TRY(read_int(keys[i].value, json, keys[i].key, path, error));
    TRY(read_double(&out->norm_epsilon, json, "rms_norm_eps", path, error));
    TRY(read_double(&out->rope_theta, json, "rope_theta", path, error));
    out->tied = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "tie_word_embeddings"));
    out->qk_norm = strcmp(type->valuestring, "qwen3") == 0;
    return model_config_check(out, error);
}

enum { CONFIG_JSON_BYTES_MAX = 1 << 20 };

status model_config_load(struct model_config *out, const char *path, struct error *error)
{
    ASSERT(out && path && error);
    struct file_bytes bytes;
    TRY(file_map(&bytes, path, error));
    cJSON *json = bytes.len <= CONFIG_JSON_BYTES_MAX
                      ? cJSON_ParseWithLength((const char *)bytes.data, bytes.len)
                      : NULL;
    file_unmap(&bytes);
    if (!cJSON_IsObject(json)) {
        cJSON_Delete(json);
        return fail(error, ERR_FORMAT, "%s: is not a JSON object of at most %d bytes", path,
                    CONFIG_JSON_BYTES_MAX);
    }
    struct model_config config = {0};
    status result = config_from_json(&config, json, path, error);
    cJSON_Delete(json);
    if (result == OK)
        *out = config;
    return result;
}
