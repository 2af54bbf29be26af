/* Requests: JSON becomes a checked struct, or an error that names the field. */
#include "serve/serve.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/utf8.h"

struct parser {
    const cJSON *json;
    struct api_error *error;
    struct arena *arena;
};

static bool refuse(struct parser *parser, const char *param, const char *format, ...)
    PRINTF_LIKE(3, 4);
static bool refuse(struct parser *parser, const char *param, const char *format, ...)
{
    struct api_error *error = parser->error;
    *error = (struct api_error){.http = 400, .type = "invalid_request_error", .param = param};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return false;
}

/* The field, or NULL when it is missing or null. */
static const cJSON *field(const struct parser *parser, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(parser->json, name);
    return cJSON_IsNull(item) ? NULL : item;
}

struct range {
    double minimum, maximum;
    bool whole;
};

static bool read_number(double *out, struct parser *parser, const char *name, struct range range)
{
    const cJSON *item = field(parser, name);
    if (!item)
        return true;
    if (!cJSON_IsNumber(item))
        return refuse(parser, name, "%s must be a number", name);
    double value = item->valuedouble;
    if (!(value >= range.minimum && value <= range.maximum) ||
        (range.whole && value != floor(value)))
        return refuse(parser, name, "%s is %g, allowed are %s from %g to %g", name, value,
                      range.whole ? "whole numbers" : "numbers", range.minimum, range.maximum);
    *out = value;
    return true;
}

static bool read_flag(bool *out, struct parser *parser, const cJSON *item, const char *name)
{
    if (!item || cJSON_IsNull(item))
        return true;
    if (!cJSON_IsBool(item))
        return refuse(parser, name, "%s must be true or false", name);
    *out = cJSON_IsTrue(item);
    return true;
}

static bool copy_text(struct view *out, struct parser *parser, const char *text)
{
    struct error error = {0};
    const char *copy = arena_string(parser->arena, text, &error);
    if (!copy)
        return refuse(parser, NULL, "the request is too large");
    *out = view_of(copy);
    return true;
}

/* ---- sampling ---- */

static bool read_stops(struct api_request *out, struct parser *parser)
{
    const cJSON *stop = field(parser, "stop"), *item;
    struct view text;
    size_t count = 0;
    if (!stop)
        return true;
    if (!cJSON_IsString(stop) && !cJSON_IsArray(stop))
        return refuse(parser, "stop", "stop must be a text or a list of texts");
    for (item = cJSON_IsString(stop) ? stop : stop->child; item;
         item = cJSON_IsString(stop) ? NULL : item->next) {
        if (!cJSON_IsString(item) || !*item->valuestring ||
            strlen(item->valuestring) > SAMPLING_STOP_BYTES_MAX)
            return refuse(parser, "stop", "a stop text must have 1 to %d bytes",
                          SAMPLING_STOP_BYTES_MAX);
        if (count == SAMPLING_STOPS_MAX)
            return refuse(parser, "stop", "stop holds more than %d texts", SAMPLING_STOPS_MAX);
        if (!copy_text(&text, parser, item->valuestring))
            return false;
        out->stops[count++] = text.data;
    }
    out->sampling.stop_count = count;
    return true;
}

static bool read_sampling(struct api_request *out, struct parser *parser)
{
    struct sampling *sampling = &out->sampling;
    double top_k = (double)sampling->top_k, seed = (double)sampling->seed;
    double max_tokens = (double)sampling->max_tokens;
    const struct range tokens = {1, SAMPLING_TOKENS_MAX, true};
    const struct range share = {0, 1, false};
    if (!read_number(&sampling->temperature, parser, "temperature", (struct range){0, 2, false}) ||
        !read_number(&sampling->top_p, parser, "top_p", share) ||
        !read_number(&sampling->min_p, parser, "min_p", share) ||
        !read_number(&top_k, parser, "top_k", (struct range){0, TOKENIZER_VOCABULARY_MAX, true}) ||
        !read_number(&sampling->repetition_penalty, parser, "repetition_penalty",
                     (struct range){0.1, 10, false}) ||
        !read_number(&seed, parser, "seed", (struct range){0, 9007199254740991.0, true}) ||
        !read_number(&max_tokens, parser, "max_tokens", tokens) ||
        !read_number(&max_tokens, parser, "max_completion_tokens", tokens))
        return false;
    sampling->top_k = (int64_t)top_k;
    sampling->seed = (uint64_t)seed;
    sampling->max_tokens = (int64_t)max_tokens;
    return read_stops(out, parser);
}

/* ---- what would change the answer and is not there ---- */

static bool is_neutral(const cJSON *item)
{
    if (!item || cJSON_IsNull(item) || cJSON_IsFalse(item))
        return true;
    if (cJSON_IsArray(item) || cJSON_IsObject(item))
        return cJSON_GetArraySize(item) == 0;
    if (cJSON_IsString(item))
        return !*item->valuestring;
    return cJSON_IsNumber(item) && item->valuedouble == 0;
}

static bool check_unsupported(struct parser *parser)
{
    static const char *const names[] = {
        "tools",         "functions",        "tool_choice",
        "function_call", "logit_bias",       "logprobs",
        "top_logprobs",  "presence_penalty", "frequency_penalty",
        "echo",          "suffix",           "modalities",
        "audio",         "prediction",       "web_search_options",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!is_neutral(field(parser, names[i])))
            return refuse(parser, names[i], "%s is not supported by this server", names[i]);
    if (cJSON_IsNumber(field(parser, "logprobs"))) /* of completions: 0 asks for the token's own */
        return refuse(parser, "logprobs", "logprobs is not supported by this server");
    static const char *const ones[] = {"n", "best_of"};
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++) {
        const cJSON *item = field(parser, ones[i]);
        if (item && !(cJSON_IsNumber(item) && item->valuedouble == 1))
            return refuse(parser, ones[i], "%s must be 1", ones[i]);
    }
    const cJSON *format = field(parser, "response_format");
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(format, "type");
    if (format && !(cJSON_IsString(type) && strcmp(type->valuestring, "text") == 0))
        return refuse(parser, "response_format", "response_format must be of type text");
    return true;
}

static bool read_stream(struct api_request *out, struct parser *parser)
{
    if (!read_flag(&out->stream, parser, field(parser, "stream"), "stream"))
        return false;
    const cJSON *options = field(parser, "stream_options");
    if (!options)
        return true;
    if (!out->stream)
        return refuse(parser, "stream_options", "stream_options needs stream to be true");
    if (!cJSON_IsObject(options))
        return refuse(parser, "stream_options", "stream_options must be an object");
    return read_flag(&out->include_usage, parser,
                     cJSON_GetObjectItemCaseSensitive(options, "include_usage"), "stream_options");
}

/* ---- messages and prompts ---- */

static bool join_parts(struct view *out, struct parser *parser, const cJSON *parts)
{
    struct buffer text;
    struct error error = {0};
    const cJSON *part;
    buffer_create(&text, SERVE_BODY_BYTES_MAX);
    bool good = true;
    cJSON_ArrayForEach(part, parts)
    {
        const cJSON *type = cJSON_GetObjectItemCaseSensitive(part, "type");
        const cJSON *words = cJSON_GetObjectItemCaseSensitive(part, "text");
        good = good && cJSON_IsString(type) && strcmp(type->valuestring, "text") == 0 &&
               cJSON_IsString(words) && buffer_string(&text, words->valuestring, &error) == OK;
    }
    good = good ? copy_text(out, parser, text.len ? text.data : "")
                : refuse(parser, "messages", "content must be a text or a list of text parts");
    buffer_destroy(&text);
    return good;
}

static bool read_message(struct message *out, struct parser *parser, const cJSON *json)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    const cJSON *role = cJSON_GetObjectItemCaseSensitive(json, "role");
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(json, "content");
    out->role = NULL;
    for (size_t i = 0; i < sizeof roles / sizeof *roles && cJSON_IsString(role); i++)
        if (strcmp(role->valuestring, roles[i]) == 0)
            out->role = roles[i];
    if (!out->role)
        return refuse(parser, "messages",
                      "role must be system, developer, user, assistant or tool");
    if (cJSON_IsArray(content))
        return join_parts(&out->content, parser, content);
    if (!cJSON_IsString(content))
        return refuse(parser, "messages", "content must be a text or a list of text parts");
    return copy_text(&out->content, parser, content->valuestring);
}

static bool read_messages(struct api_request *out, struct parser *parser)
{
    const cJSON *list = field(parser, "messages"), *item;
    struct error error = {0};
    int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    if (count < 1 || count > SERVE_MESSAGES_MAX)
        return refuse(parser, "messages", "messages must be a list of 1 to %d messages",
                      SERVE_MESSAGES_MAX);
    out->messages = arena_alloc(parser->arena, (size_t)count, sizeof *out->messages, &error);
    if (!out->messages)
        return refuse(parser, "messages", "the request is too large");
    cJSON_ArrayForEach(item, list)
    {
        if (!read_message(&out->messages[out->message_count++], parser, item))
            return false;
    }
    return true;
}

static bool read_prompt(struct api_request *out, struct parser *parser)
{
    const cJSON *prompt = field(parser, "prompt");
    if (cJSON_IsArray(prompt) && cJSON_GetArraySize(prompt) == 1)
        prompt = prompt->child;
    if (!cJSON_IsString(prompt))
        return refuse(parser, "prompt", "prompt must be one text");
    return copy_text(&out->prompt, parser, prompt->valuestring);
}

static bool check_model(struct parser *parser, const char *model)
{
    const cJSON *item = field(parser, "model");
    if (!item)
        return true;
    if (!cJSON_IsString(item))
        return refuse(parser, "model", "model must be a text");
    if (strcmp(item->valuestring, model) == 0)
        return true;
    refuse(parser, "model", "there is no model '%.100s' here, only '%s'", item->valuestring, model);
    parser->error->http = 404;
    return false;
}

/* NULL unless the whole body is one JSON value.  cJSON would pass over what follows it, and would
 * cut a text at \u0000 or at an escape that is no number: both would change the request unseen. */
static cJSON *parse_body(struct view body)
{
    const char *end = NULL;
    for (size_t i = 0; i < body.len; i++) {
        if (body.data[i] == '\0')
            return NULL;
        if (body.data[i] != '\\' || ++i == body.len || body.data[i] != 'u')
            continue;
        char digits[5] = {0};
        memcpy(digits, body.data + i + 1, body.len - i - 1 < 4 ? body.len - i - 1 : 4);
        if (strspn(digits, "0123456789abcdefABCDEF") != 4 || strcmp(digits, "0000") == 0)
            return NULL;
    }
    cJSON *json = body.len ? cJSON_ParseWithLengthOpts(body.data, body.len, &end, false) : NULL;
    while (json && end < body.data + body.len && strchr(" \t\r\n", *end))
        end++;
    if (json && end < body.data + body.len) {
        cJSON_Delete(json);
        return NULL;
    }
    return json;
}

bool api_parse(struct api_request *out, struct api_error *error, bool chat, struct view body,
               const char *model, struct arena *arena)
{
    ASSERT(out && error && model && arena);
    struct parser parser = {.error = error, .arena = arena};
    *out = (struct api_request){.chat = chat, .sampling = sampling_default()};
    if (!utf8_valid(body))
        return refuse(&parser, NULL, "the body is not valid UTF-8");
    cJSON *json = parse_body(body);
    parser.json = json;
    bool good =
        cJSON_IsObject(json) || refuse(&parser, NULL,
                                       "the body is not one JSON object (or nested too deep, or "
                                       "with a NUL character)");
    good = good && check_model(&parser, model) && check_unsupported(&parser) &&
           read_sampling(out, &parser) && read_stream(out, &parser) &&
           (chat ? read_messages(out, &parser) : read_prompt(out, &parser));
    cJSON_Delete(json);
    return good;
}
