#include "proof/ledger.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"

/* What a line must say to follow the ledger as it stands. */
static status check_line(const struct ledger *ledger, struct view line, struct error *error)
{
    size_t number = ledger->lines + 1;
    cJSON *json = cJSON_ParseWithLength(line.data, line.len);
    const cJSON *index = cJSON_GetObjectItemCaseSensitive(json, "index");
    const cJSON *previous = cJSON_GetObjectItemCaseSensitive(json, "previous");
    struct sha256 hash;
    status result = OK;
    if (!cJSON_IsObject(json))
        result = fail(error, ERR_FORMAT, "%s: line %zu is not a JSON object", ledger->path, number);
    else if (!cJSON_IsNumber(index) || index->valuedouble != (double)ledger->lines)
        result = fail(error, ERR_FORMAT, "%s: line %zu does not have the index %zu", ledger->path,
                      number, ledger->lines);
    else if (!cJSON_IsString(previous) || !sha256_parse(&hash, previous->valuestring) ||
             !sha256_equal(&hash, &ledger->last))
        result = fail(error, ERR_FORMAT, "%s: line %zu does not follow from the line before it",
                      ledger->path, number);
    cJSON_Delete(json);
    return result;
}

static status read_lines(struct ledger *ledger, struct view text, ledger_line *on_line,
                         void *context, struct error *error)
{
    while (text.len) {
        const char *end = memchr(text.data, '\n', text.len);
        if (!end) {
            ledger->torn = true;
            ledger->torn_bytes = text.len;
            return OK;
        }
        struct view line = {text.data, (size_t)(end - text.data)};
        if (line.len > LEDGER_LINE_BYTES_MAX || ledger->lines == LEDGER_LINES_MAX)
            return fail(error, ERR_LIMIT, "%s: line %zu has %zu bytes, allowed are %d",
                        ledger->path, ledger->lines + 1, line.len, LEDGER_LINE_BYTES_MAX);
        TRY(check_line(ledger, line, error));
        if (on_line)
            TRY(on_line(context, ledger->lines, line, error));
        ledger->last = sha256_of(line.data, line.len);
        ledger->lines++;
        ledger->bytes += line.len + 1;
        text.data += line.len + 1;
        text.len -= line.len + 1;
    }
    return OK;
}

status ledger_open(struct ledger *out, const char *path, ledger_line *on_line, void *context,
                   struct error *error)
{
    ASSERT(out && path && error);
    struct ledger ledger = {.path = path};
    struct file_bytes bytes = {0};
    if (file_exists(path))
        TRY(file_map(&bytes, path, error));
    status result = read_lines(&ledger, (struct view){(const char *)bytes.data, bytes.len}, on_line,
                               context, error);
    file_unmap(&bytes);
    if (result == OK)
        *out = ledger;
    return result;
}

status ledger_mend(struct ledger *ledger, struct error *error)
{
    ASSERT(ledger && error);
    if (!ledger->torn)
        return OK;
    TRY(file_truncate(ledger->path, ledger->bytes, error));
    ledger->torn = false;
    ledger->torn_bytes = 0;
    return OK;
}

struct cutting {
    size_t lines;
    uint64_t bytes;
};

static status measure_line(void *context, size_t index, struct view json, struct error *error)
{
    (void)error;
    struct cutting *cutting = context;
    if (index < cutting->lines)
        cutting->bytes += json.len + 1;
    return OK;
}

status ledger_cut(struct ledger *ledger, size_t lines, struct error *error)
{
    ASSERT(ledger && lines <= ledger->lines && error);
    struct cutting cutting = {.lines = lines};
    struct ledger whole;
    TRY(ledger_open(&whole, ledger->path, measure_line, &cutting, error));
    if (whole.torn || cutting.bytes < whole.bytes)
        TRY(file_truncate(ledger->path, cutting.bytes, error));
    return ledger_open(ledger, ledger->path, NULL, NULL, error);
}

status ledger_append(struct ledger *ledger, const char *members, struct error *error)
{
    ASSERT(ledger && !ledger->torn && members && error);
    char previous[SHA256_HEX_BYTES];
    sha256_hex(previous, &ledger->last);
    struct buffer line;
    buffer_create(&line, LEDGER_LINE_BYTES_MAX + 1);
    status result = buffer_format(&line, error, "{\"index\":%zu,\"previous\":\"%s\"%s%s}",
                                  ledger->lines, previous, *members ? "," : "", members);
    size_t len = line.len;
    if (result == OK)
        result = buffer_string(&line, "\n", error);
    if (result == OK)
        result = file_append(ledger->path, line.data, line.len, error);
    if (result == OK) {
        ledger->last = sha256_of(line.data, len);
        ledger->lines++;
        ledger->bytes += len + 1;
    }
    buffer_destroy(&line);
    return result;
}
