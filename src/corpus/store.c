/* The corpus folder, mapped for reading. */
#include "corpus/corpus.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/corpus_internal.h"
#include "corpus/manifest.h"
#include "corpus/store_lines.h"

status store_paths_of(struct store_paths *out, const char *folder, struct error *error)
{
    TRY(path_join(out->texts, PATH_BYTES, folder, "texts.bin", error));
    TRY(path_join(out->documents, PATH_BYTES, folder, "documents.jsonl", error));
    TRY(path_join(out->decisions, PATH_BYTES, folder, "decisions.jsonl", error));
    return path_join(out->manifest, PATH_BYTES, folder, "manifest.json", error);
}

/* ---- reading ---- */

struct corpus {
    struct file_bytes texts;
    struct document *documents;
    size_t count;
    struct corpus_roots roots;
    const char *folder;
    cJSON *manifest;
};

static size_t count_lines(struct file_bytes bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes.len; i++)
        count += bytes.data[i] == '\n';
    return count;
}

/* Most documents say what the one before said: the text is kept once. */
static void share(const char **text, const char *before)
{
    if (*text && before && strcmp(*text, before) == 0)
        *text = before;
}

static bool read_line(struct document *out, const struct document *before, struct view line,
                      struct arena *scratch, struct arena *arena)
{
    struct error error = {0};
    struct document read;
    uint64_t offset;
    if (!document_line_parse(&read, &offset, line, scratch))
        return false;
    const char **texts[] = {&read.id,   &read.source, &read.license, &read.language,
                            &read.kind, &read.url,    &read.title};
    const char *const none[7] = {0};
    const char *const earlier[] = {NULL,         before->source, before->license, before->language,
                                   before->kind, before->url,    before->title};
    const char *const *had = before->id ? earlier : none;
    for (size_t i = 0; i < 7; i++) {
        share(texts[i], had[i]);
        if (*texts[i] && *texts[i] != had[i])
            *texts[i] = arena_string(arena, *texts[i], &error);
    }
    read.text.data = NULL;
    *out = read;
    return error.code == OK;
}

/* The texts lie without gaps, in the order of the lines. */
static status place_text(struct document *document, const struct corpus *corpus, uint64_t *end,
                         const char *path, struct error *error)
{
    uint64_t texts = corpus->texts.len - TEXTS_HEADER_BYTES;
    if (document->text.len > texts - *end)
        return fail(error, ERR_FORMAT,
                    "%s: document %s has %zu bytes, %" PRIu64 " are left of the texts", path,
                    document->id, document->text.len, texts - *end);
    document->text.data = (const char *)corpus->texts.data + TEXTS_HEADER_BYTES + *end;
    *end += document->text.len;
    return OK;
}

static status read_documents_in(struct corpus *corpus, struct file_bytes bytes, const char *path,
                                struct arena *arena, struct arena *scratch, struct error *error)
{
    struct view rest = {(const char *)bytes.data, bytes.len}, line;
    static const struct document none;
    TRY_ALLOC(corpus->documents, arena, count_lines(bytes) + 1, error);
    uint64_t end = 0;
    while (view_line(&line, &rest)) {
        struct document *document = &corpus->documents[corpus->count];
        arena_reset(scratch);
        if (!read_line(document, corpus->count ? document - 1 : &none, line, scratch, arena))
            return fail(error, ERR_FORMAT, "%s: line %zu does not describe a document", path,
                        corpus->count + 1);
        TRY(place_text(document, corpus, &end, path, error));
        corpus->count++;
    }
    if (end != corpus->texts.len - TEXTS_HEADER_BYTES ||
        corpus->count != corpus->roots.document_count)
        return fail(error, ERR_FORMAT,
                    "%s: has %zu documents of %" PRIu64 " bytes, the manifest %" PRIu64
                    " and the texts %zu bytes",
                    path, corpus->count, end, corpus->roots.document_count,
                    corpus->texts.len - TEXTS_HEADER_BYTES);
    return OK;
}

static status read_documents(struct corpus *corpus, struct file_bytes bytes, const char *path,
                             struct arena *arena, struct error *error)
{
    struct arena *scratch = NULL;
    TRY(arena_create(&scratch, 0, error));
    status result = read_documents_in(corpus, bytes, path, arena, scratch, error);
    arena_destroy(scratch);
    return result;
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

/* Signals may be measured again (corpus/signals.h) and carry a hash of their own. */
static bool is_checked_elsewhere(const char *name)
{
    return strcmp(name, "signals.bin") == 0;
}

static status check_lengths(const struct corpus *corpus, struct error *error)
{
    const cJSON *entry, *files = cJSON_GetObjectItemCaseSensitive(corpus->manifest, "files");
    cJSON_ArrayForEach(entry, files)
    {
        char path[PATH_BYTES];
        struct manifest_file file;
        uint64_t bytes;
        if (strchr(entry->string, '/') || !manifest_file_of(&file, corpus->manifest, entry->string))
            return fail(error, ERR_FORMAT, "%s/manifest.json: names a file in another form",
                        corpus->folder);
        if (is_checked_elsewhere(entry->string))
            continue;
        TRY(path_join(path, sizeof path, corpus->folder, entry->string, error));
        TRY(file_size(&bytes, path, error));
        if (bytes != file.bytes)
            return fail(error, ERR_FORMAT,
                        "%s: has %" PRIu64 " bytes, the manifest says %" PRIu64
                        ": it was cut off or changed",
                        path, bytes, file.bytes);
    }
    return OK;
}

static status check_hash(const struct corpus *corpus, const char *name, struct file_bytes bytes,
                         struct error *error)
{
    struct manifest_file file;
    struct sha256 found = sha256_of(bytes.data, bytes.len);
    if (!manifest_file_of(&file, corpus->manifest, name) || !sha256_equal(&file.sha256, &found))
        return fail(error, ERR_FORMAT, "%s/%s: is not the file that the manifest names",
                    corpus->folder, name);
    return OK;
}

static status open_files(struct corpus *corpus, struct arena *arena, struct error *error)
{
    struct store_paths paths;
    struct file_bytes documents;
    TRY(store_paths_of(&paths, corpus->folder, error));
    TRY(manifest_read(&corpus->manifest, corpus->folder, error));
    manifest_roots(&corpus->roots, corpus->manifest);
    TRY(check_lengths(corpus, error));
    TRY(file_map(&corpus->texts, paths.texts, error));
    TRY(check_texts(corpus, paths.texts, error));
    TRY(file_map(&documents, paths.documents, error));
    status result = check_hash(corpus, "documents.jsonl", documents, error);
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
    TRY_ALLOC(corpus, arena, 1, error);
    corpus->folder = arena_string(arena, folder, error);
    if (!corpus->folder)
        return error->code;
    status result = open_files(corpus, arena, error);
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
    cJSON_Delete(corpus->manifest);
    corpus->manifest = NULL;
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
    return corpus->roots.root;
}

const struct corpus_roots *corpus_all_roots(const struct corpus *corpus)
{
    return &corpus->roots;
}

static int by_bytes(const void *a, const void *b)
{
    return sha256_compare(a, b);
}

status corpus_keys(struct sha256 **out, size_t *count, const struct corpus *corpus,
                   struct arena *arena, struct error *error)
{
    ASSERT(out && count && corpus && arena && error);
    struct sha256 *keys;
    TRY_ALLOC(keys, arena, corpus->count + 1, error);
    for (size_t i = 0; i < corpus->count; i++)
        keys[i] = corpus_key(&corpus->roots.salt, &corpus->documents[i].read);
    qsort(keys, corpus->count, sizeof *keys, by_bytes);
    size_t unique = 0;
    for (size_t i = 0; i < corpus->count; i++)
        if (!unique || !sha256_equal(&keys[unique - 1], &keys[i]))
            keys[unique++] = keys[i];
    *out = keys;
    *count = unique;
    return OK;
}

static status give_lines(struct file_bytes bytes, corpus_line *give, void *context,
                         struct error *error)
{
    struct view rest = {(const char *)bytes.data, bytes.len}, line;
    for (size_t number = 1; view_line(&line, &rest); number++)
        TRY(give(context, line, number, error));
    return OK;
}

status corpus_lines(const struct corpus *corpus, const char *name, corpus_line *line, void *context,
                    struct error *error)
{
    ASSERT(corpus && name && line && error);
    char path[PATH_BYTES];
    struct manifest_file file;
    struct file_bytes bytes;
    if (!manifest_file_of(&file, corpus->manifest, name))
        return OK;
    TRY(path_join(path, sizeof path, corpus->folder, name, error));
    TRY(file_map(&bytes, path, error));
    status result = check_hash(corpus, name, bytes, error);
    if (result == OK)
        result = give_lines(bytes, line, context, error);
    file_unmap(&bytes);
    return result;
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

static status verify_documents(const struct corpus *corpus, struct thread_pool *pool,
                               struct arena *arena, struct error *error)
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
    if (!sha256_equal(&root, &corpus->roots.documents))
        return fail(error, ERR_FORMAT, "%s: the root is not that of its documents", corpus->folder);
    return OK;
}

static status verify_salt(const struct corpus *corpus, struct error *error)
{
    struct sha256_state state;
    TRY(sha256_begin(&state, error));
    sha256_add(&state, CORPUS_SALT_DOMAIN, sizeof CORPUS_SALT_DOMAIN - 1);
    for (size_t i = 0; i < corpus->count; i++)
        sha256_add(&state, corpus->documents[i].hash.byte, SHA256_BYTES);
    struct sha256 salt = sha256_end(&state);
    if (!sha256_equal(&salt, &corpus->roots.salt))
        return fail(error, ERR_FORMAT, "%s: the salt is not that of its documents", corpus->folder);
    return OK;
}

static status verify_keys(const struct corpus *corpus, struct arena *arena, struct error *error)
{
    struct sha256 *keys, leaf;
    size_t count;
    struct merkle_stream tree = {0};
    TRY(verify_salt(corpus, error));
    TRY(corpus_keys(&keys, &count, corpus, arena, error));
    for (size_t i = 0; i < count; i++) {
        TRY(corpus_key_leaf(&leaf, &keys[i], error));
        merkle_stream_add(&tree, &leaf);
    }
    struct sha256 root = merkle_stream_root(&tree);
    if (!sha256_equal(&root, &corpus->roots.keys) || count != corpus->roots.key_count)
        return fail(error, ERR_FORMAT, "%s: the root is not that of its keys", corpus->folder);
    return OK;
}

static status verify_files(const struct corpus *corpus, struct error *error)
{
    const cJSON *entry, *files = cJSON_GetObjectItemCaseSensitive(corpus->manifest, "files");
    cJSON_ArrayForEach(entry, files)
    {
        char path[PATH_BYTES];
        struct file_bytes bytes;
        TRY(path_join(path, sizeof path, corpus->folder, entry->string, error));
        TRY(file_map(&bytes, path, error));
        status result = check_hash(corpus, entry->string, bytes, error);
        file_unmap(&bytes);
        TRY(result);
    }
    return OK;
}

status corpus_verify(const struct corpus *corpus, struct thread_pool *pool, struct error *error)
{
    ASSERT(corpus && pool && error);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    status result = verify_documents(corpus, pool, arena, error);
    if (result == OK)
        result = verify_keys(corpus, arena, error);
    if (result == OK)
        result = verify_files(corpus, error);
    arena_destroy(arena);
    return result;
}
