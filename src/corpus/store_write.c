/* The corpus folder is written as a whole, beside its place. */
#include "corpus/corpus.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "corpus/corpus_internal.h"
#include "proof/merkle.h"

enum { SITE_BYTES = 300 };
static const size_t DOCUMENTS_FILE_BYTES_MAX = (size_t)64 << 30;

static bool is_kept(const struct candidate *candidate)
{
    return candidate->dropped == NULL;
}

static status write_texts(const struct gathering *gathering, const char *path, uint64_t total,
                          struct error *error)
{
    struct file_writer writer;
    char header[TEXTS_HEADER_BYTES] = TEXTS_MAGIC;
    memcpy(header + 16, &total, sizeof total);
    TRY(file_writer_open(&writer, path, error));
    status result = file_writer_add(&writer, header, sizeof header, error);
    for (size_t i = 0; i < gathering->count && result == OK; i++)
        if (is_kept(&gathering->list[i]))
            result = file_writer_add(&writer, gathering->list[i].text.data,
                                     gathering->list[i].text.len, error);
    if (result == OK)
        return file_writer_commit(&writer, error);
    file_writer_abort(&writer);
    return result;
}

static status write_document(struct buffer *out, const struct candidate *candidate, uint64_t offset,
                             struct error *error)
{
    char hash[SHA256_HEX_BYTES], leaf[SHA256_HEX_BYTES];
    sha256_hex(hash, &candidate->hash);
    sha256_hex(leaf, &candidate->leaf);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "id", candidate->id);
    cJSON_AddNumberToObject(json, "offset", (double)offset);
    cJSON_AddNumberToObject(json, "length", (double)candidate->text.len);
    cJSON_AddStringToObject(json, "sha256", hash);
    cJSON_AddStringToObject(json, "leaf", leaf);
    cJSON_AddStringToObject(json, "source", candidate->source);
    cJSON_AddStringToObject(json, "license", candidate->license);
    cJSON_AddStringToObject(json, "language", corpus_language_name(candidate->language));
    const char *const names[] = {"kind", "url", "title"};
    const char *const values[] = {candidate->kind, candidate->url, candidate->title};
    for (size_t i = 0; i < 3; i++)
        if (values[i])
            cJSON_AddStringToObject(json, names[i], values[i]);
    cJSON_AddBoolToObject(json, "held_out", candidate->held_out);
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    if (!text)
        return fail(error, ERR_MEMORY, "no memory for the list of documents");
    status result = buffer_format(out, error, "%s\n", text);
    cJSON_free(text);
    return result;
}

static status write_documents(const struct gathering *gathering, const char *path,
                              struct error *error)
{
    struct buffer lines;
    buffer_create(&lines, DOCUMENTS_FILE_BYTES_MAX);
    status result = OK;
    uint64_t offset = 0;
    for (size_t i = 0; i < gathering->count && result == OK; i++) {
        const struct candidate *candidate = &gathering->list[i];
        if (!is_kept(candidate))
            continue;
        result = write_document(&lines, candidate, offset, error);
        offset += candidate->text.len;
    }
    if (result == OK)
        result = file_write_atomic(path, lines.data, lines.len, error);
    buffer_destroy(&lines);
    return result;
}

/* ---- the manifest ---- */

static cJSON *tally_of(cJSON *tallies, const char *name)
{
    cJSON *tally = cJSON_GetObjectItemCaseSensitive(tallies, name);
    if (tally)
        return tally;
    tally = cJSON_AddObjectToObject(tallies, name);
    cJSON_AddNumberToObject(tally, "documents", 0);
    cJSON_AddNumberToObject(tally, "bytes", 0);
    return tally;
}

static void count_in(cJSON *tallies, const char *name, const struct candidate *candidate)
{
    cJSON *tally = tally_of(tallies, name);
    cJSON *documents = cJSON_GetObjectItemCaseSensitive(tally, "documents");
    cJSON *bytes = cJSON_GetObjectItemCaseSensitive(tally, "bytes");
    if (documents)
        cJSON_SetNumberValue(documents, documents->valuedouble + 1);
    if (bytes)
        cJSON_SetNumberValue(bytes, bytes->valuedouble + (double)candidate->text.len);
}

/* Pages are counted by site: their addresses differ all. */
static const char *site_of(char site[SITE_BYTES], const char *source)
{
    const char *host = strstr(source, "://");
    if (!host)
        return source;
    size_t len = (size_t)(host - source) + 3;
    len += strcspn(source + len, "/?#");
    snprintf(site, SITE_BYTES, "%.*s", (int)len, source);
    return site;
}

static void add_tallies(cJSON *json, const struct gathering *gathering)
{
    char site[SITE_BYTES];
    cJSON *sources = cJSON_AddObjectToObject(json, "sources");
    cJSON *licenses = cJSON_AddObjectToObject(json, "licenses");
    cJSON *languages = cJSON_AddObjectToObject(json, "languages");
    for (size_t i = 0; i < gathering->count; i++) {
        const struct candidate *candidate = &gathering->list[i];
        if (!is_kept(candidate))
            continue;
        count_in(sources, site_of(site, candidate->source), candidate);
        count_in(licenses, candidate->license, candidate);
        count_in(languages, corpus_language_name(candidate->language), candidate);
    }
}

static void add_left_out(cJSON *json, const struct gathering *gathering,
                         const struct corpus_counts *counts)
{
    cJSON *left_out = cJSON_AddObjectToObject(json, "left_out");
    cJSON_AddNumberToObject(left_out, "duplicates", (double)counts->duplicates);
    cJSON_AddNumberToObject(left_out, "short", (double)counts->short_documents);
    cJSON_AddNumberToObject(left_out, "refused", (double)counts->refused);
    if (gathering->settings->profile)
        cJSON_AddNumberToObject(left_out, "filtered", (double)counts->filtered);
    cJSON *refused = cJSON_AddArrayToObject(json, "refused");
    for (size_t i = 0; i < gathering->refused_count && i < REFUSALS_LISTED_MAX; i++) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "what", gathering->refused[i].what);
        cJSON_AddStringToObject(entry, "reason", gathering->refused[i].reason);
        cJSON_AddItemToArray(refused, entry);
    }
}

/* What the profile dropped, by the first rule that was broken. */
static void add_filtered(cJSON *json, const struct gathering *gathering)
{
    if (!gathering->settings->profile)
        return;
    cJSON *filtered = cJSON_AddObjectToObject(json, "filtered");
    for (size_t i = 0; i < gathering->count; i++)
        if (gathering->list[i].filtered)
            count_in(filtered, gathering->list[i].dropped, &gathering->list[i]);
}

static void add_hash(cJSON *json, const char *name, const struct sha256 *hash)
{
    char hex[SHA256_HEX_BYTES];
    sha256_hex(hex, hash);
    cJSON_AddStringToObject(json, name, hex);
}

static status root_of(struct sha256 *out, const struct gathering *gathering, struct error *error)
{
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct sha256 *leaves = arena_alloc(arena, gathering->count + 1, sizeof *leaves, error);
    size_t count = 0;
    for (size_t i = 0; leaves && i < gathering->count; i++)
        if (is_kept(&gathering->list[i]))
            leaves[count++] = gathering->list[i].leaf;
    status result = leaves ? merkle_root(out, leaves, count, error) : error->code;
    arena_destroy(arena);
    return result;
}

static status write_manifest(const struct gathering *gathering, const struct corpus_counts *counts,
                             const struct store_paths *paths, struct error *error)
{
    struct sha256 root, texts, documents;
    TRY(root_of(&root, gathering, error));
    TRY(sha256_of_file(&texts, paths->texts, error));
    TRY(sha256_of_file(&documents, paths->documents, error));
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "format", MANIFEST_FORMAT);
    add_hash(json, "root", &root);
    add_hash(json, "texts_sha256", &texts);
    add_hash(json, "documents_sha256", &documents);
    cJSON_AddNumberToObject(json, "documents", (double)counts->documents);
    cJSON_AddNumberToObject(json, "bytes", (double)counts->bytes);
    cJSON_AddNumberToObject(json, "held_out_documents", (double)counts->held_out);
    cJSON_AddNumberToObject(json, "held_out_bytes", (double)counts->held_out_bytes);
    cJSON_AddNumberToObject(json, "files_read", (double)counts->files);
    cJSON *settings = cJSON_AddObjectToObject(json, "settings");
    cJSON_AddStringToObject(settings, "text_field", gathering->settings->text_field);
    cJSON_AddNumberToObject(settings, "held_out_share", gathering->settings->held_out);
    cJSON_AddNumberToObject(settings, "minimum_bytes", (double)gathering->settings->minimum_bytes);
    if (gathering->settings->profile)
        cJSON_AddStringToObject(settings, "profile", gathering->settings->profile);
    add_tallies(json, gathering);
    add_left_out(json, gathering, counts);
    add_filtered(json, gathering);
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    if (!text)
        return fail(error, ERR_MEMORY, "%s: no memory for its text", paths->manifest);
    status result = file_write_atomic(paths->manifest, text, strlen(text), error);
    cJSON_free(text);
    return result;
}

static status write_folder(const struct gathering *gathering, const struct corpus_counts *counts,
                           const char *folder, struct error *error)
{
    struct store_paths paths;
    TRY(folder_make(folder, error));
    TRY(store_paths_of(&paths, folder, error));
    TRY(write_texts(gathering, paths.texts, counts->bytes, error));
    TRY(write_documents(gathering, paths.documents, error));
    TRY(judge_write(gathering, folder, error));
    return write_manifest(gathering, counts, &paths, error);
}

/* An older corpus changes places with the new one in one step; anything else that stands there is
 * not touched. */
static status put_in_place(const char *part, const char *out, struct error *error)
{
    struct store_paths paths;
    TRY(store_paths_of(&paths, out, error));
    if (!folder_exists(out))
        return path_rename(part, out, error);
    if (!file_exists(paths.manifest) && rmdir(out) != 0)
        return fail(error, ERR_CONFLICT, "%s: holds other files than a corpus; name a new folder",
                    out);
    if (!folder_exists(out))
        return path_rename(part, out, error);
    if (renameat2(AT_FDCWD, part, AT_FDCWD, out, RENAME_EXCHANGE) != 0)
        return fail_errno(error, "%s: can't be replaced", out);
    return path_remove_tree(part, error);
}

status store_write(const struct gathering *gathering, const struct corpus_counts *counts,
                   const char *out, struct error *error)
{
    char part[PATH_BYTES];
    size_t len = strlen(out);
    while (len > 1 && out[len - 1] == '/')
        len--;
    if (snprintf(part, sizeof part, "%.*s.tmp-%d", (int)len, out, (int)getpid()) >=
        (int)sizeof part)
        return fail(error, ERR_LIMIT, "%s: the path is longer than %d bytes", out, PATH_BYTES);
    TRY(path_remove_tree(part, error));
    status result = write_folder(gathering, counts, part, error);
    if (result == OK)
        result = put_in_place(part, out, error);
    if (result != OK)
        (void)!path_remove_tree(part, &(struct error){0});
    return result;
}
