#include "corpus/store_lines.h"

#include <cjson/cJSON.h>
#include <string.h>

/* ---- members ---- */

static const cJSON *member(const cJSON *json, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(json, name);
}

static bool read_hash(struct sha256 *out, const cJSON *json, const char *name)
{
    const cJSON *item = member(json, name);
    return cJSON_IsString(item) && sha256_parse(out, item->valuestring);
}

static bool read_number(uint64_t *out, const cJSON *json, const char *name)
{
    const cJSON *item = member(json, name);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble < 0x1p53))
        return false;
    *out = (uint64_t)item->valuedouble;
    return (double)*out == item->valuedouble;
}

/* A member that may be missing, then it is `otherwise`. */
static bool read_count(uint64_t *out, const cJSON *json, const char *name, uint64_t otherwise)
{
    *out = otherwise;
    return !member(json, name) || read_number(out, json, name);
}

static bool read_text(const char **out, const cJSON *json, const char *name, struct arena *arena)
{
    struct error error = {0};
    const cJSON *item = member(json, name);
    *out = cJSON_IsString(item) ? arena_string(arena, item->valuestring, &error) : NULL;
    return *out != NULL;
}

static bool read_text_or_none(const char **out, const cJSON *json, const char *name,
                              struct arena *arena)
{
    *out = NULL;
    return !member(json, name) || read_text(out, json, name, arena);
}

static bool read_flag(bool *out, const cJSON *json, const char *name)
{
    const cJSON *item = member(json, name);
    *out = cJSON_IsTrue(item);
    return !item || cJSON_IsBool(item);
}

static cJSON *parse(struct view line)
{
    if (line.len > STORE_LINE_BYTES_MAX)
        return NULL;
    return cJSON_ParseWithLength(line.data, line.len);
}

static void put_hash(cJSON *json, const char *name, const struct sha256 *hash)
{
    char hex[SHA256_HEX_BYTES];
    sha256_hex(hex, hash);
    cJSON_AddStringToObject(json, name, hex);
}

static void put_text(cJSON *json, const char *name, const char *text)
{
    if (text)
        cJSON_AddStringToObject(json, name, text);
}

static void put_count(cJSON *json, const char *name, uint64_t count, uint64_t otherwise)
{
    if (count != otherwise)
        cJSON_AddNumberToObject(json, name, (double)count);
}

/* Takes the object. */
static status put_line(struct buffer *out, cJSON *json, struct error *error)
{
    char *text = json ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    if (!text)
        return fail(error, ERR_MEMORY, "no memory for a line of the corpus");
    status result = buffer_string(out, text, error);
    cJSON_free(text);
    return result == OK ? buffer_string(out, "\n", error) : result;
}

/* ---- documents ---- */

static bool read_document(struct document *out, uint64_t *offset, const cJSON *json,
                          struct arena *arena)
{
    uint64_t length, cluster, lines_lost, masked;
    if (!read_text(&out->id, json, "id", arena) || !read_number(offset, json, "offset") ||
        !read_number(&length, json, "length") || !read_hash(&out->hash, json, "sha256") ||
        !read_hash(&out->leaf, json, "leaf") || !read_text(&out->source, json, "source", arena) ||
        !read_text(&out->license, json, "license", arena) ||
        !read_text(&out->language, json, "language", arena) ||
        !read_text_or_none(&out->kind, json, "kind", arena) ||
        !read_text_or_none(&out->url, json, "url", arena) ||
        !read_text_or_none(&out->title, json, "title", arena) ||
        !read_flag(&out->held_out, json, "held_out") || !read_count(&cluster, json, "cluster", 1) ||
        !read_count(&lines_lost, json, "lines_lost", 0) || !read_count(&masked, json, "masked", 0))
        return false;
    out->read = out->hash;
    if (member(json, "read") && !read_hash(&out->read, json, "read"))
        return false;
    out->text.len = (size_t)length;
    out->cluster = cluster;
    out->lines_lost = lines_lost;
    out->masked = masked;
    return true;
}

bool document_line_parse(struct document *out, uint64_t *offset, struct view line,
                         struct arena *arena)
{
    ASSERT(out && offset && arena);
    cJSON *json = parse(line);
    bool good = read_document(out, offset, json, arena);
    cJSON_Delete(json);
    return good;
}

status document_line_write(struct buffer *out, const struct document *document, uint64_t offset,
                           struct error *error)
{
    ASSERT(out && document && error);
    cJSON *json = cJSON_CreateObject();
    put_text(json, "id", document->id);
    cJSON_AddNumberToObject(json, "offset", (double)offset);
    cJSON_AddNumberToObject(json, "length", (double)document->text.len);
    put_hash(json, "sha256", &document->hash);
    put_hash(json, "leaf", &document->leaf);
    if (!sha256_equal(&document->read, &document->hash))
        put_hash(json, "read", &document->read);
    put_text(json, "source", document->source);
    put_text(json, "license", document->license);
    put_text(json, "language", document->language);
    put_text(json, "kind", document->kind);
    put_text(json, "url", document->url);
    put_text(json, "title", document->title);
    cJSON_AddBoolToObject(json, "held_out", document->held_out);
    put_count(json, "cluster", document->cluster, 1);
    put_count(json, "lines_lost", document->lines_lost, 0);
    put_count(json, "masked", document->masked, 0);
    return put_line(out, json, error);
}

/* ---- decisions ---- */

static bool read_decision(struct decision *out, const cJSON *json, struct arena *arena)
{
    return read_text(&out->id, json, "id", arena) && read_hash(&out->read, json, "read") &&
           read_number(&out->bytes, json, "bytes") &&
           read_text(&out->source, json, "source", arena) &&
           read_text(&out->license, json, "license", arena) &&
           read_text(&out->language, json, "language", arena) &&
           read_text(&out->reason, json, "reason", arena) &&
           read_text_or_none(&out->detail, json, "detail", arena) &&
           read_text_or_none(&out->of, json, "of", arena) &&
           read_count(&out->cluster, json, "cluster", 1);
}

bool decision_parse(struct decision *out, struct view line, struct arena *arena)
{
    ASSERT(out && arena);
    cJSON *json = parse(line);
    bool good = read_decision(out, json, arena);
    cJSON_Delete(json);
    return good;
}

status decision_write(struct buffer *out, const struct decision *decision, struct error *error)
{
    ASSERT(out && decision && error);
    cJSON *json = cJSON_CreateObject();
    put_text(json, "id", decision->id);
    put_hash(json, "read", &decision->read);
    cJSON_AddNumberToObject(json, "bytes", (double)decision->bytes);
    put_text(json, "source", decision->source);
    put_text(json, "license", decision->license);
    put_text(json, "language", decision->language);
    put_text(json, "reason", decision->reason);
    put_text(json, "detail", decision->detail);
    put_text(json, "of", decision->of);
    put_count(json, "cluster", decision->cluster, 1);
    return put_line(out, json, error);
}

/* ---- tombstones ---- */

static bool read_tombstone(struct tombstone *out, const cJSON *json, struct arena *arena)
{
    return read_hash(&out->read, json, "read") && read_hash(&out->text, json, "sha256") &&
           read_hash(&out->leaf, json, "leaf") && read_hash(&out->root, json, "root") &&
           read_number(&out->place, json, "place") &&
           read_text_or_none(&out->id, json, "id", arena) &&
           read_text(&out->reason, json, "reason", arena) &&
           read_flag(&out->held_out, json, "held_out");
}

bool tombstone_parse(struct tombstone *out, struct view line, struct arena *arena)
{
    ASSERT(out && arena);
    cJSON *json = parse(line);
    bool good = read_tombstone(out, json, arena);
    cJSON_Delete(json);
    return good;
}

status tombstone_write(struct buffer *out, const struct tombstone *tombstone, struct error *error)
{
    ASSERT(out && tombstone && error);
    cJSON *json = cJSON_CreateObject();
    put_hash(json, "read", &tombstone->read);
    put_hash(json, "sha256", &tombstone->text);
    put_hash(json, "leaf", &tombstone->leaf);
    put_text(json, "id", tombstone->id);
    put_text(json, "reason", tombstone->reason);
    put_hash(json, "root", &tombstone->root);
    cJSON_AddNumberToObject(json, "place", (double)tombstone->place);
    cJSON_AddBoolToObject(json, "held_out", tombstone->held_out);
    return put_line(out, json, error);
}
