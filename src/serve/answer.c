/* Answers in OpenAI's form. */
#include "serve/serve_internal.h"

#include <cjson/cJSON.h>

static status print(struct buffer *out, cJSON *json, const char *before, const char *after,
                    struct error *error)
{
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    if (!text)
        return fail(error, ERR_MEMORY, "no memory for an answer");
    status result = buffer_format(out, error, "%s%s%s", before, text, after);
    cJSON_free(text);
    return result;
}

status answer_error(struct buffer *out, const struct api_error *problem, struct error *error)
{
    cJSON *json = cJSON_CreateObject(), *inner = cJSON_AddObjectToObject(json, "error");
    cJSON_AddStringToObject(inner, "message", problem->message);
    cJSON_AddStringToObject(inner, "type", problem->type);
    if (problem->param)
        cJSON_AddStringToObject(inner, "param", problem->param);
    else
        cJSON_AddNullToObject(inner, "param");
    cJSON_AddNullToObject(inner, "code");
    return print(out, json, "", "", error);
}

static cJSON *head(const struct answer *answer, const char *object)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "id", answer->id);
    cJSON_AddStringToObject(json, "object", object);
    cJSON_AddNumberToObject(json, "created", (double)answer->created_unix);
    cJSON_AddStringToObject(json, "model", answer->model);
    return json;
}

/* OpenAI knows stop and length; a detected loop is a length that was reached. */
static const char *reason(enum finish finish)
{
    return finish == FINISH_STOP ? "stop" : "length";
}

static void add_usage(cJSON *json, const struct generation *generation)
{
    cJSON *usage = cJSON_AddObjectToObject(json, "usage");
    cJSON_AddNumberToObject(usage, "prompt_tokens", (double)generation->prompt_tokens);
    cJSON_AddNumberToObject(usage, "completion_tokens", (double)generation->completion_tokens);
    cJSON_AddNumberToObject(usage, "total_tokens",
                            (double)(generation->prompt_tokens + generation->completion_tokens));
}

static cJSON *add_choice(cJSON *json)
{
    cJSON *choices = cJSON_AddArrayToObject(json, "choices"), *choice = cJSON_CreateObject();
    cJSON_AddItemToArray(choices, choice);
    cJSON_AddNumberToObject(choice, "index", 0);
    return choice;
}

static void add_finish(cJSON *choice, const char *finish)
{
    cJSON_AddNullToObject(choice, "logprobs");
    if (finish)
        cJSON_AddStringToObject(choice, "finish_reason", finish);
    else
        cJSON_AddNullToObject(choice, "finish_reason");
}

/* `text.data` must end with a NUL, as buffers' data do. */
status answer_whole(struct buffer *out, const struct answer *answer, struct view text,
                    const struct generation *generation, struct error *error)
{
    cJSON *json = head(answer, answer->chat ? "chat.completion" : "text_completion");
    cJSON *choice = add_choice(json);
    if (answer->chat) {
        cJSON *message = cJSON_AddObjectToObject(choice, "message");
        cJSON_AddStringToObject(message, "role", "assistant");
        cJSON_AddStringToObject(message, "content", text.len ? text.data : "");
        cJSON_AddNullToObject(message, "refusal");
    } else
        cJSON_AddStringToObject(choice, "text", text.len ? text.data : "");
    add_finish(choice, reason(generation->finish));
    add_usage(json, generation);
    return print(out, json, "", "", error);
}

status answer_event(struct buffer *out, const struct answer *answer, const struct view *text,
                    const char *finish, struct error *error)
{
    cJSON *json = head(answer, answer->chat ? "chat.completion.chunk" : "text_completion");
    cJSON *choice = add_choice(json);
    const char *words = text && text->len ? text->data : "";
    if (answer->chat) {
        cJSON *delta = cJSON_AddObjectToObject(choice, "delta");
        if (!text && !finish) {
            cJSON_AddStringToObject(delta, "role", "assistant");
            cJSON_AddStringToObject(delta, "content", "");
        } else if (text)
            cJSON_AddStringToObject(delta, "content", words);
    } else
        cJSON_AddStringToObject(choice, "text", words);
    add_finish(choice, finish);
    return print(out, json, "data: ", "\n\n", error);
}

status answer_usage(struct buffer *out, const struct answer *answer,
                    const struct generation *generation, struct error *error)
{
    cJSON *json = head(answer, answer->chat ? "chat.completion.chunk" : "text_completion");
    cJSON_AddArrayToObject(json, "choices");
    add_usage(json, generation);
    return print(out, json, "data: ", "\n\n", error);
}

status answer_models(struct buffer *out, const struct engine_info *info, size_t context,
                     struct error *error)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "object", "list");
    cJSON *data = cJSON_AddArrayToObject(json, "data"), *model = cJSON_CreateObject();
    cJSON_AddItemToArray(data, model);
    cJSON_AddStringToObject(model, "id", info->name);
    cJSON_AddStringToObject(model, "object", "model");
    cJSON_AddNumberToObject(model, "created", (double)info->created_unix);
    cJSON_AddStringToObject(model, "owned_by", "rodnik");
    cJSON_AddNumberToObject(model, "parameters", (double)info->parameters);
    cJSON_AddNumberToObject(model, "context_tokens", (double)context);
    cJSON_AddNumberToObject(model, "step", (double)info->step);
    cJSON_AddStringToObject(model, "state_sha256", info->state);
    cJSON_AddBoolToObject(model, "chat", info->chat);
    return print(out, json, "", "", error);
}
