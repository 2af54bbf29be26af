/* The corpus folder: written as a whole, mapped for reading. */
#include "corpus/corpus.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "corpus/corpus_internal.h"
#include "proof/merkle.h"

#define TEXTS_MAGIC "rodnik texts 1\n"
enum {
    TEXTS_HEADER_BYTES = 24,
    MANIFEST_BYTES_MAX = 64 << 20,
    MANIFEST_FORMAT = 1,
    SITE_BYTES = 300
};
static const size_t DOCUMENTS_FILE_BYTES_MAX = (size_t)64 << 30;

/* ---- writing ---- */

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

struct store_paths {
    char texts[PATH_BYTES], documents[PATH_BYTES], manifest[PATH_BYTES];
};

static status store_paths_of(struct store_paths *out, const char *folder, struct error *error)
{
    TRY(path_join(out->texts, PATH_BYTES, folder, "texts.bin", error));
    TRY(path_join(out->documents, PATH_BYTES, folder, "documents.jsonl", error));
    return path_join(out->manifest, PATH_BYTES, folder, "manifest.json", error);
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

/* ---- reading ---- */

struct corpus {
    struct file_bytes texts;
    struct document *documents;
    size_t count;
    struct sha256 root;
    const char *folder;
};

static bool hash_member(struct sha256 *out, const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsString(item) && sha256_parse(out, item->valuestring);
}

static bool size_member(uint64_t *out, const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble < 9e15))
        return false;
    *out = (uint64_t)item->valuedouble;
    return true;
}

static bool string_member(const char **out, const cJSON *json, const char *name,
                          struct arena *arena)
{
    struct error error = {0};
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    *out = cJSON_IsString(item) ? arena_string(arena, item->valuestring, &error) : NULL;
    return *out != NULL;
}

static enum corpus_language language_member(const cJSON *json)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, "language");
    for (int i = 0; i <= CORPUS_EN && cJSON_IsString(item); i++)
        if (strcmp(item->valuestring, corpus_language_name((enum corpus_language)i)) == 0)
            return (enum corpus_language)i;
    return CORPUS_OTHER;
}

/* The texts lie without gaps, in the order of the lines. */
static bool read_document(struct document *out, const struct corpus *corpus, const cJSON *json,
                          uint64_t *expected, struct arena *arena)
{
    uint64_t offset, length;
    if (!size_member(&offset, json, "offset") || !size_member(&length, json, "length") ||
        offset != *expected || length > corpus->texts.len - TEXTS_HEADER_BYTES - offset)
        return false;
    *expected = offset + length;
    out->text.data = (const char *)corpus->texts.data + TEXTS_HEADER_BYTES + offset;
    out->text.len = (size_t)length;
    out->language = language_member(json);
    out->held_out = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "held_out"));
    return hash_member(&out->hash, json, "sha256") && hash_member(&out->leaf, json, "leaf") &&
           string_member(&out->id, json, "id", arena) &&
           string_member(&out->source, json, "source", arena) &&
           string_member(&out->license, json, "license", arena);
}

static size_t count_lines(struct file_bytes bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes.len; i++)
        count += bytes.data[i] == '\n';
    return count;
}

static status read_documents(struct corpus *corpus, struct file_bytes bytes, const char *path,
                             struct arena *arena, struct error *error)
{
    struct view rest = {(const char *)bytes.data, bytes.len}, line;
    TRY_ALLOC(corpus->documents, arena, count_lines(bytes) + 1, error);
    uint64_t expected = 0;
    while (view_line(&line, &rest)) {
        cJSON *json = cJSON_ParseWithLength(line.data, line.len);
        bool good = json && read_document(&corpus->documents[corpus->count], corpus, json,
                                          &expected, arena);
        cJSON_Delete(json);
        if (!good)
            return fail(error, ERR_FORMAT, "%s: line %zu does not describe a document", path,
                        corpus->count + 1);
        corpus->count++;
    }
    if (expected != corpus->texts.len - TEXTS_HEADER_BYTES)
        return fail(error, ERR_FORMAT, "%s: its documents have %" PRIu64 " bytes, the texts %zu",
                    path, expected, corpus->texts.len - TEXTS_HEADER_BYTES);
    return OK;
}

static status check_texts(const struct corpus *corpus, const char *path, struct error *error)
{
    uint64_t length = 0;
    bool header = corpus->texts.len >= TEXTS_HEADER_BYTES &&
                  memcmp(corpus->texts.data, TEXTS_MAGIC, sizeof TEXTS_MAGIC) == 0;
    if (header)
        memcpy(&length, corpus->texts.data + 16, sizeof length);
    if (!header || length != corpus->texts.len - TEXTS_HEADER_BYTES)
        return fail(error, ERR_FORMAT, "%s: is cut off or is no file of texts (%zu bytes)", path,
                    corpus->texts.len);
    return OK;
}

static status check_manifest(struct corpus *corpus, const struct store_paths *paths,
                             struct file_bytes documents, struct arena *arena, struct error *error)
{
    struct view text;
    TRY(file_read(&text, paths->manifest, MANIFEST_BYTES_MAX, arena, error));
    cJSON *json = cJSON_ParseWithLength(text.data, text.len);
    struct sha256 listed, found = sha256_of(documents.data, documents.len);
    status result = OK;
    if (!hash_member(&corpus->root, json, "root") ||
        !hash_member(&listed, json, "documents_sha256"))
        result = fail(error, ERR_FORMAT, "%s: is no manifest of a corpus", paths->manifest);
    else if (!sha256_equal(&listed, &found))
        result = fail(error, ERR_FORMAT, "%s: is not the file that the manifest names",
                      paths->documents);
    cJSON_Delete(json);
    return result;
}

static status open_files(struct corpus *corpus, const char *folder, struct arena *arena,
                         struct error *error)
{
    struct store_paths paths;
    struct file_bytes documents;
    TRY(store_paths_of(&paths, folder, error));
    TRY(file_map(&corpus->texts, paths.texts, error));
    TRY(check_texts(corpus, paths.texts, error));
    TRY(file_map(&documents, paths.documents, error));
    status result = check_manifest(corpus, &paths, documents, arena, error);
    if (result == OK)
        result = read_documents(corpus, documents, paths.documents, arena, error);
    file_unmap(&documents);
    return result;
}

status corpus_open(struct corpus **out, const char *folder, struct arena *arena,
                   struct error *error)
{
    ASSERT(out && folder && arena && error);
    struct corpus *corpus;
    char manifest[PATH_BYTES];
    TRY(path_join(manifest, sizeof manifest, folder, "manifest.json", error));
    if (!file_exists(manifest))
        return fail(error, ERR_FORMAT,
                    "%s: is not a corpus folder, manifest.json is missing (rodnik corpus build "
                    "makes one)",
                    folder);
    TRY_ALLOC(corpus, arena, 1, error);
    corpus->folder = arena_string(arena, folder, error);
    if (!corpus->folder)
        return error->code;
    status result = open_files(corpus, folder, arena, error);
    if (result != OK) {
        corpus_close(corpus);
        return result;
    }
    *out = corpus;
    return OK;
}

void corpus_close(struct corpus *corpus)
{
    ASSERT(corpus);
    file_unmap(&corpus->texts);
    corpus->count = 0;
}

size_t corpus_count(const struct corpus *corpus)
{
    return corpus->count;
}

const struct document *corpus_document(const struct corpus *corpus, size_t index)
{
    ASSERT(index < corpus->count);
    return &corpus->documents[index];
}

struct sha256 corpus_root(const struct corpus *corpus)
{
    return corpus->root;
}

/* ---- verifying ---- */

struct verification {
    const struct corpus *corpus;
    struct sha256 *leaves;
    bool *good;
};

static void verify_some(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    struct verification *job = context;
    for (size_t i = begin; i < end; i++) {
        const struct document *document = &job->corpus->documents[i];
        struct error error = {0};
        struct sha256 hash = sha256_of(document->text.data, document->text.len);
        job->good[i] = sha256_equal(&hash, &document->hash) &&
                       document_leaf(&job->leaves[i], document, &error) == OK &&
                       sha256_equal(&job->leaves[i], &document->leaf);
    }
}

static status verify_in(const struct corpus *corpus, struct thread_pool *pool, struct arena *arena,
                        struct error *error)
{
    struct verification job = {.corpus = corpus};
    struct sha256 root;
    TRY_ALLOC(job.leaves, arena, corpus->count + 1, error);
    TRY_ALLOC(job.good, arena, corpus->count + 1, error);
    parallel_for(pool, corpus->count, 16, verify_some, &job);
    for (size_t i = 0; i < corpus->count; i++)
        if (!job.good[i])
            return fail(error, ERR_FORMAT, "%s: document %s is not what its hashes say",
                        corpus->folder, corpus->documents[i].id);
    TRY(merkle_root(&root, job.leaves, corpus->count, error));
    if (!sha256_equal(&root, &corpus->root))
        return fail(error, ERR_FORMAT, "%s: the root is not that of its documents", corpus->folder);
    return OK;
}

status corpus_verify(const struct corpus *corpus, struct thread_pool *pool, struct error *error)
{
    ASSERT(corpus && pool && error);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    status result = verify_in(corpus, pool, arena, error);
    arena_destroy(arena);
    return result;
}
