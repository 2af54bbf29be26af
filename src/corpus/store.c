/* The corpus folder, mapped for reading. */
#include "corpus/corpus.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "corpus/corpus_internal.h"
#include "proof/merkle.h"

enum { MANIFEST_BYTES_MAX = 64 << 20 };

status store_paths_of(struct store_paths *out, const char *folder, struct error *error)
{
    TRY(path_join(out->texts, PATH_BYTES, folder, "texts.bin", error));
    TRY(path_join(out->documents, PATH_BYTES, folder, "documents.jsonl", error));
    return path_join(out->manifest, PATH_BYTES, folder, "manifest.json", error);
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
    const cJSON *files = cJSON_GetObjectItemCaseSensitive(json, "files");
    const cJSON *entry = cJSON_GetObjectItemCaseSensitive(files, "documents.jsonl");
    if (!hash_member(&corpus->root, json, "root") || !hash_member(&listed, entry, "sha256"))
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
