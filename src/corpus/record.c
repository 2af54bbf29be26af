/* A line of JSON becomes a record. */
#include "corpus/corpus.h"

#include <cjson/cJSON.h>
#include <string.h>

static const char *text_member(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsString(item) && *item->valuestring ? item->valuestring : NULL;
}

static bool copy_member(const char **out, const cJSON *json, const char *name, struct arena *arena)
{
    struct error error = {0};
    const char *text = text_member(json, name);
    *out = text ? arena_string(arena, text, &error) : NULL;
    return !text || *out;
}

static bool fill(struct record *out, const char **reason, const cJSON *json, const char *text_field,
                 struct arena *arena)
{
    struct error error = {0};
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(json, text_field);
    if (!cJSON_IsObject(json)) {
        *reason = "a line is not a JSON object";
        return false;
    }
    if (!cJSON_IsString(text)) {
        *reason = "a line has no text in the field asked for";
        return false;
    }
    const char *copy = arena_string(arena, text->valuestring, &error);
    struct record record = {.text = {copy, copy ? strlen(copy) : 0}};
    *reason = "no memory";
    if (!copy || !copy_member(&record.id, json, "id", arena) ||
        !copy_member(&record.source, json, "source", arena) ||
        !copy_member(&record.license, json, "license", arena) ||
        !copy_member(&record.url, json, "url", arena) ||
        !copy_member(&record.title, json, "title", arena))
        return false;
    *out = record;
    return true;
}

bool record_parse(struct record *out, const char **reason, struct view line, const char *text_field,
                  struct arena *arena)
{
    ASSERT(out && reason && text_field && arena);
    cJSON *json = cJSON_ParseWithLength(line.data, line.len);
    bool filled = fill(out, reason, json, text_field, arena);
    cJSON_Delete(json);
    return filled;
}
