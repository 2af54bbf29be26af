/* state.json: everything of a checkpoint that is not a tensor, with a hash over itself. */
#include "train/train_internal.h"

#include <cjson/cJSON.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FORMAT     "rodnik state 1"
#define CHECK_MARK ",\"check\":\""

/* ---- the state's hash ---- */

static void add_integer(struct sha256_state *hash, int64_t value)
{
    uint64_t bytes = htole64((uint64_t)value);
    sha256_add(hash, &bytes, sizeof bytes);
}

static void add_floats(struct sha256_state *hash, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        bits = htole32(bits);
        sha256_add(hash, &bits, sizeof bits);
    }
}

status state_hash(struct hashes *hashes, const struct position *position, struct error *error)
{
    ASSERT(hashes && position && error);
    struct sha256_state hash;
    TRY(sha256_begin(&hash, error));
    sha256_add(&hash, &hashes->weights, sizeof hashes->weights);
    sha256_add(&hash, &hashes->first, sizeof hashes->first);
    sha256_add(&hash, &hashes->second, sizeof hashes->second);
    add_integer(&hash, position->step);
    add_integer(&hash, position->updates);
    add_integer(&hash, position->watch.seen);
    add_integer(&hash, position->watch.skips);
    add_integer(&hash, position->watch.skips_in_row);
    add_floats(&hash, position->watch.loss, WATCH_WINDOW);
    add_floats(&hash, position->watch.norm, WATCH_WINDOW);
    hashes->state = sha256_end(&hash);
    return OK;
}

/* ---- writing ---- */

static status write_hash(struct buffer *out, const char *name, const struct sha256 *hash,
                         struct error *error)
{
    char hex[SHA256_HEX_BYTES];
    sha256_hex(hex, hash);
    return buffer_format(out, error, "\"%s\":\"%s\"", name, hex);
}

static status write_hashes(struct buffer *out, const char *const *names,
                           const struct sha256 *const *hashes, size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        TRY(buffer_string(out, ",", error));
        TRY(write_hash(out, names[i], hashes[i], error));
    }
    return OK;
}

static status write_floats(struct buffer *out, const float *values, size_t count,
                           struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        TRY(buffer_format(out, error, "%08" PRIx32, bits));
    }
    return OK;
}

static status write_segment(struct buffer *out, const struct segment *segment, struct error *error)
{
    TRY(buffer_format(out, error, ",\"segment\":{\"from\":%" PRId64 ",", segment->from));
    TRY(write_hash(out, "before", &segment->before, error));
    TRY(buffer_string(out, ",", error));
    TRY(write_hash(out, "losses", &segment->losses, error));
    TRY(buffer_string(out, ",\"loss\":\"", error));
    TRY(write_floats(out, &segment->loss, 1, error));
    return buffer_string(out, "\"}", error);
}

static status write_watch(struct buffer *out, const struct watch *watch, struct error *error)
{
    TRY(buffer_format(out, error,
                      ",\"watch\":{\"seen\":%" PRId64 ",\"skips\":%" PRId64
                      ",\"skips_in_row\":%" PRId64 ",\"loss\":\"",
                      watch->seen, watch->skips, watch->skips_in_row));
    TRY(write_floats(out, watch->loss, WATCH_WINDOW, error));
    TRY(buffer_string(out, "\",\"norm\":\"", error));
    TRY(write_floats(out, watch->norm, WATCH_WINDOW, error));
    return buffer_string(out, "\"}", error);
}

static const char *const hash_names[STATE_HASHES] = {
    "weights", "first",  "second",    "state",  "recipe",
    "corpus",  "tokens", "tokenizer", "config", "tokenizer_file"};

static void list_hashes(const struct sha256 *out[STATE_HASHES], const struct state *state)
{
    const struct sha256 *all[STATE_HASHES] = {&state->hashes.weights,  &state->hashes.first,
                                              &state->hashes.second,   &state->hashes.state,
                                              &state->identity.recipe, &state->identity.corpus,
                                              &state->identity.tokens, &state->identity.tokenizer,
                                              &state->config_file,     &state->tokenizer_file};
    memcpy(out, all, sizeof all);
}

static const char *const precision_names[] = {[DTYPE_F32] = "f32", [DTYPE_BF16] = "bf16"};

status state_write(struct buffer *out, const struct state *state, struct error *error)
{
    ASSERT(out && out->len == 0 && state && error);
    const struct sha256 *hashes[STATE_HASHES];
    list_hashes(hashes, state);
    TRY(buffer_format(out, error,
                      "{\"format\":\"" FORMAT "\",\"step\":%" PRId64 ",\"updates\":%" PRId64
                      ",\"precision\":\"%s\"",
                      state->position.step, state->position.updates,
                      precision_names[state->precision]));
    TRY(write_hashes(out, hash_names, hashes, STATE_HASHES, error));
    TRY(write_segment(out, &state->segment, error));
    TRY(write_watch(out, &state->position.watch, error));
    struct sha256 check = sha256_of(out->data, out->len);
    char hex[SHA256_HEX_BYTES];
    sha256_hex(hex, &check);
    return buffer_format(out, error, CHECK_MARK "%s\"}\n", hex);
}

/* ---- reading: its own hash is checked first, so that only a forger meets the later refusals ----
 * */

static status check_itself(struct view text, const char *path, struct error *error)
{
    const char *mark = memmem(text.data, text.len, CHECK_MARK, strlen(CHECK_MARK));
    struct sha256 stated, found;
    char hex[SHA256_HEX_BYTES] = "";
    if (mark && (size_t)(text.data + text.len - mark) >= strlen(CHECK_MARK) + SHA256_HEX_BYTES) {
        memcpy(hex, mark + strlen(CHECK_MARK), SHA256_HEX_BYTES - 1);
        found = sha256_of(text.data, (size_t)(mark - text.data));
        if (sha256_parse(&stated, hex) && sha256_equal(&stated, &found))
            return OK;
    }
    return fail(error, ERR_FORMAT, "%s: does not have the SHA-256 it states", path);
}

static bool read_integer(int64_t *out, const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= 9e15))
        return false;
    *out = (int64_t)item->valuedouble;
    return true;
}

static bool read_hash(struct sha256 *out, const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) && sha256_parse(out, item->valuestring);
}

static bool read_floats(float *out, size_t count, const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!cJSON_IsString(item) || strlen(item->valuestring) != 8 * count)
        return false;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        char digits[9] = "";
        memcpy(digits, item->valuestring + 8 * i, 8);
        if (strspn(digits, "0123456789abcdef") != 8 || sscanf(digits, "%8" SCNx32, &bits) != 1)
            return false;
        memcpy(&out[i], &bits, sizeof bits);
    }
    return true;
}

static bool read_precision(int *out, const cJSON *object)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "precision");
    for (int type = DTYPE_F32; type <= DTYPE_BF16; type++)
        if (cJSON_IsString(item) && strcmp(item->valuestring, precision_names[type]) == 0) {
            *out = type;
            return true;
        }
    return false;
}

static bool read_object(struct state *out, const cJSON *object)
{
    const struct sha256 *hashes[STATE_HASHES];
    list_hashes(hashes, out);
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(object, "format");
    const cJSON *segment = cJSON_GetObjectItemCaseSensitive(object, "segment");
    const cJSON *watch = cJSON_GetObjectItemCaseSensitive(object, "watch");
    struct watch *values = &out->position.watch;
    if (!cJSON_IsString(format) || strcmp(format->valuestring, FORMAT) != 0)
        return false;
    for (size_t i = 0; i < STATE_HASHES; i++)
        if (!read_hash((struct sha256 *)(uintptr_t)hashes[i], object, hash_names[i]))
            return false;
    return read_precision(&out->precision, object) &&
           read_integer(&out->position.step, object, "step") &&
           read_integer(&out->position.updates, object, "updates") &&
           read_integer(&out->segment.from, segment, "from") &&
           read_hash(&out->segment.before, segment, "before") &&
           read_hash(&out->segment.losses, segment, "losses") &&
           read_floats(&out->segment.loss, 1, segment, "loss") &&
           read_integer(&values->seen, watch, "seen") &&
           read_integer(&values->skips, watch, "skips") &&
           read_integer(&values->skips_in_row, watch, "skips_in_row") &&
           read_floats(values->loss, WATCH_WINDOW, watch, "loss") &&
           read_floats(values->norm, WATCH_WINDOW, watch, "norm");
}

status state_parse(struct state *out, struct view text, const char *path, struct error *error)
{
    ASSERT(out && path && error);
    TRY(check_itself(text, path, error));
    cJSON *object = cJSON_ParseWithLength(text.data, text.len);
    struct state state = {0};
    bool fine = cJSON_IsObject(object) && read_object(&state, object);
    cJSON_Delete(object);
    if (!fine || state.segment.from > state.position.step ||
        state.position.updates > state.position.step)
        return fail(error, ERR_FORMAT, "%s: is not a state of format '" FORMAT "'", path);
    *out = state;
    return OK;
}
