#include "corpus/manifest.h"

#include <string.h>

#include "base/file.h"

#define CHECK_MARK ",\"check\":\""
/* Behind the hash: a quotation mark, a brace and white space. */
enum { CHECK_BYTES = sizeof CHECK_MARK - 1 + SHA256_HEX_BYTES - 1, END_BYTES_MAX = 8 };

double manifest_number(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

const char *manifest_text(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

/* ---- reading: its own hash comes first, so that only a forger meets the later refusals ---- */

static status check_itself(struct view text, const char *path, struct error *error)
{
    struct sha256 stated, found;
    char hex[SHA256_HEX_BYTES] = {0};
    text = view_trim(text);
    size_t at = text.len > CHECK_BYTES ? text.len - CHECK_BYTES : 0;
    size_t first = at > END_BYTES_MAX ? at - END_BYTES_MAX : 0;
    while (at > first && memcmp(text.data + at, CHECK_MARK, sizeof CHECK_MARK - 1) != 0)
        at--;
    if (at == first)
        return fail(error, ERR_FORMAT,
                    "%s: is no manifest of this program or is cut off (%zu bytes, without the hash "
                    "over itself at the end)",
                    path, text.len);
    memcpy(hex, text.data + at + sizeof CHECK_MARK - 1, sizeof hex - 1);
    found = sha256_of(text.data, at);
    if (!sha256_parse(&stated, hex) || !sha256_equal(&stated, &found))
        return fail(error, ERR_FORMAT,
                    "%s: was changed, it has another hash than the one it states", path);
    return OK;
}

static bool hash_member(struct sha256 *out, const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsString(item) && sha256_parse(out, item->valuestring);
}

static bool count_member(uint64_t *out, const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble < 0x1p53))
        return false;
    *out = (uint64_t)item->valuedouble;
    return true;
}

static bool roots_of(struct corpus_roots *out, const cJSON *json)
{
    return hash_member(&out->root, json, "root") &&
           hash_member(&out->documents, json, "documents_root") &&
           hash_member(&out->keys, json, "keys_root") && hash_member(&out->salt, json, "salt") &&
           count_member(&out->document_count, json, "documents") &&
           count_member(&out->key_count, json, "keys");
}

static status check_contents(const cJSON *json, const char *path, struct error *error)
{
    struct corpus_roots roots;
    double format = manifest_number(json, "format");
    if (format != MANIFEST_FORMAT)
        return fail(error, ERR_FORMAT,
                    "%s: has format %.0f, this program reads %d; build the corpus again", path,
                    format, MANIFEST_FORMAT);
    if (!roots_of(&roots, json))
        return fail(error, ERR_FORMAT, "%s: lacks a root or a count", path);
    struct sha256 root = corpus_root_of(&roots);
    if (!sha256_equal(&root, &roots.root))
        return fail(error, ERR_FORMAT, "%s: its root is not that of its parts", path);
    return OK;
}

status manifest_parse(cJSON **out, struct view text, const char *path, struct error *error)
{
    ASSERT(out && path && error);
    cJSON *json = cJSON_ParseWithLength(text.data, text.len);
    /* an older manifest has no hash over itself, and a clearer sentence */
    bool older = cJSON_IsObject(json) && manifest_number(json, "format") == 1;
    status result = older ? OK : check_itself(text, path, error);
    if (result == OK && !cJSON_IsObject(json))
        result = fail(error, ERR_FORMAT, "%s: is not JSON", path);
    if (result == OK)
        result = check_contents(json, path, error);
    if (result == OK)
        *out = json;
    else
        cJSON_Delete(json);
    return result;
}

status manifest_read(cJSON **out, const char *folder, struct error *error)
{
    ASSERT(out && folder && error);
    char path[PATH_BYTES];
    struct view text;
    struct arena *arena = NULL;
    TRY(path_join(path, sizeof path, folder, "manifest.json", error));
    if (!file_exists(path))
        return fail(error, ERR_FORMAT,
                    "%s: is not a corpus folder, manifest.json is missing (rodnik corpus build "
                    "makes one)",
                    folder);
    TRY(arena_create(&arena, 0, error));
    status result = file_read(&text, path, MANIFEST_BYTES_MAX, arena, error);
    if (result == OK)
        result = manifest_parse(out, text, path, error);
    arena_destroy(arena);
    return result;
}

void manifest_roots(struct corpus_roots *out, const cJSON *manifest)
{
    ASSERT(out && manifest);
    bool found = roots_of(out, manifest);
    ASSERT(found); /* manifest_parse checked it */
}

/* ---- writing ---- */

static status write_sealed(char *text, const char *path, struct error *error)
{
    char hex[SHA256_HEX_BYTES];
    struct buffer sealed;
    size_t len = strlen(text);
    len -= len > 0; /* the last brace */
    while (len && text[len - 1] == '\n')
        len--;
    struct sha256 check = sha256_of(text, len);
    sha256_hex(hex, &check);
    buffer_create(&sealed, MANIFEST_BYTES_MAX);
    status result = buffer_append(&sealed, text, len, error);
    if (result == OK)
        result = buffer_format(&sealed, error, CHECK_MARK "%s\"\n}\n", hex);
    if (result == OK)
        result = file_write_atomic(path, sealed.data, sealed.len, error);
    buffer_destroy(&sealed);
    return result;
}

status manifest_write(cJSON *manifest, const char *path, struct error *error)
{
    ASSERT(path && error);
    cJSON_DeleteItemFromObjectCaseSensitive(manifest, "check");
    char *text = manifest ? cJSON_Print(manifest) : NULL;
    if (!text)
        return fail(error, ERR_MEMORY, "%s: no memory for its text", path);
    status result = write_sealed(text, path, error);
    cJSON_free(text);
    return result;
}

static void put(cJSON *json, const char *name, cJSON *item)
{
    if (cJSON_GetObjectItemCaseSensitive(json, name))
        cJSON_ReplaceItemInObjectCaseSensitive(json, name, item);
    else
        cJSON_AddItemToObject(json, name, item);
}

static void put_hash(cJSON *json, const char *name, const struct sha256 *hash)
{
    char hex[SHA256_HEX_BYTES];
    sha256_hex(hex, hash);
    put(json, name, cJSON_CreateString(hex));
}

void manifest_put_roots(cJSON *manifest, const struct corpus_roots *roots)
{
    ASSERT(roots);
    put_hash(manifest, "root", &roots->root);
    put_hash(manifest, "documents_root", &roots->documents);
    put_hash(manifest, "keys_root", &roots->keys);
    put_hash(manifest, "salt", &roots->salt);
    put(manifest, "documents", cJSON_CreateNumber((double)roots->document_count));
    put(manifest, "keys", cJSON_CreateNumber((double)roots->key_count));
}

/* ---- files ---- */

bool manifest_file_of(struct manifest_file *out, const cJSON *manifest, const char *name)
{
    ASSERT(out && name);
    const cJSON *files = cJSON_GetObjectItemCaseSensitive(manifest, "files");
    const cJSON *file = cJSON_GetObjectItemCaseSensitive(files, name);
    return count_member(&out->bytes, file, "bytes") && hash_member(&out->sha256, file, "sha256");
}

status manifest_put_file(cJSON *manifest, const char *folder, const char *name, struct error *error)
{
    ASSERT(folder && name && error);
    char path[PATH_BYTES];
    uint64_t bytes;
    struct sha256 hash;
    TRY(path_join(path, sizeof path, folder, name, error));
    TRY(file_size(&bytes, path, error));
    TRY(sha256_of_file(&hash, path, error));
    cJSON *files = cJSON_GetObjectItemCaseSensitive(manifest, "files");
    if (!files)
        files = cJSON_AddObjectToObject(manifest, "files");
    cJSON *file = cJSON_CreateObject();
    cJSON_AddNumberToObject(file, "bytes", (double)bytes);
    put_hash(file, "sha256", &hash);
    put(files, name, file);
    return OK;
}

status manifest_refresh(const char *folder, const char *name, struct error *error)
{
    ASSERT(folder && name && error);
    char path[PATH_BYTES];
    cJSON *manifest;
    struct manifest_file file;
    TRY(path_join(path, sizeof path, folder, "manifest.json", error));
    TRY(manifest_read(&manifest, folder, error));
    status result = OK;
    if (manifest_file_of(&file, manifest, name)) {
        result = manifest_put_file(manifest, folder, name, error);
        if (result == OK)
            result = manifest_write(manifest, path, error);
    }
    cJSON_Delete(manifest);
    return result;
}
