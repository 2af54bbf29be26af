#include "model/model.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "base/file.h"
#include "model/model_internal.h"

static status check_range(const char *key, int64_t value, int64_t minimum, int64_t maximum,
                          struct error *error)
{
    if (value < minimum || value > maximum)
        return fail(error, ERR_USAGE, "model.%s is %lld, allowed are %lld to %lld", key,
                    (long long)value, (long long)minimum, (long long)maximum);
    return OK;
}

static status check_multiple(const char *key, int64_t value, int64_t of, struct error *error)
{
    if (value % of)
        return fail(error, ERR_USAGE, "model.%s is %lld, it must be a multiple of %lld", key,
                    (long long)value, (long long)of);
    return OK;
}

status model_config_check(const struct model_config *config, struct error *error)
{
    ASSERT(config && error);
    TRY(check_range("layers", config->layers, 1, MODEL_LAYERS_MAX, error));
    TRY(check_range("width", config->width, 64, MODEL_WIDTH_MAX, error));
    TRY(check_multiple("width", config->width, 64, error));
    TRY(check_range("ffn_width", config->ffn_width, 64, 4 * MODEL_WIDTH_MAX, error));
    TRY(check_multiple("ffn_width", config->ffn_width, 64, error));
    TRY(check_range("heads", config->heads, 1, MODEL_WIDTH_MAX / 64, error));
    TRY(check_range("kv_heads", config->kv_heads, 1, config->heads, error));
    TRY(check_range("vocabulary", config->vocabulary, 2, MODEL_VOCABULARY_MAX, error));
    TRY(check_range("context", config->context, 2, MODEL_CONTEXT_MAX, error));
    if (config->head_size != 64 && config->head_size != 128)
        return fail(error, ERR_USAGE, "model.head_size is %lld, allowed are 64 and 128",
                    (long long)config->head_size);
    if (config->heads % config->kv_heads)
        return fail(error, ERR_USAGE, "model.heads is %lld, it must be a multiple of kv_heads %lld",
                    (long long)config->heads, (long long)config->kv_heads);
    if (!(config->rope_theta >= 1 && config->rope_theta <= 1e9))
        return fail(error, ERR_USAGE, "model.rope_theta is %g, allowed are 1 to 1e9",
                    config->rope_theta);
    if (!(config->norm_epsilon >= 1e-12 && config->norm_epsilon <= 1e-2))
        return fail(error, ERR_USAGE, "model.norm_epsilon is %g, allowed are 1e-12 to 1e-2",
                    config->norm_epsilon);
    return OK;
}

static size_t layer_product_parameters(const struct model_config *config)
{
    size_t width = (size_t)config->width;
    return width * (qkv_width(config) + attended_width(config) + 3 * (size_t)config->ffn_width);
}

size_t model_product_parameters(const struct model_config *config)
{
    ASSERT(config);
    return (size_t)config->layers * layer_product_parameters(config) +
           (size_t)config->vocabulary * (size_t)config->width;
}

size_t model_parameters(const struct model_config *config)
{
    ASSERT(config);
    size_t norms =
        2 * (size_t)config->width + (config->qk_norm ? 2 * (size_t)config->head_size : 0);
    size_t embeddings = (config->tied ? 1 : 2) * (size_t)config->vocabulary * (size_t)config->width;
    return (size_t)config->layers * (layer_product_parameters(config) + norms) + embeddings +
           (size_t)config->width;
}

double model_flops_per_token(const struct model_config *config, size_t length)
{
    ASSERT(config);
    return 6.0 * (double)model_product_parameters(config) +
           6.0 * (double)config->layers * (double)attended_width(config) * (double)length;
}

/* ---- config.json ---- */

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
