#include "model/model.h"

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
