/* The corpus folder is written as a whole, beside its place. */
#include "corpus/corpus.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "corpus/corpus_internal.h"
#include "corpus/manifest.h"
#include "corpus/store_lines.h"
#include "corpus/tallies.h"

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

static struct document document_of(const struct candidate *candidate)
{
    return (struct document){.text = candidate->text,
                             .id = candidate->id,
                             .source = candidate->source,
                             .license = candidate->license,
                             .language = candidate->language,
                             .kind = candidate->kind,
                             .url = candidate->url,
                             .title = candidate->title,
                             .hash = candidate->hash,
                             .leaf = candidate->leaf,
                             .read = candidate->hash,
                             .cluster = candidate->cluster,
                             .held_out = candidate->held_out};
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
        const struct document document = document_of(candidate);
        result = document_line_write(&lines, &document, offset, error);
        offset += candidate->text.len;
    }
    if (result == OK)
        result = file_write_atomic(path, lines.data, lines.len, error);
    buffer_destroy(&lines);
    return result;
}

/* ---- what was not kept ---- */

/* NULL: it could not be read, which is a refusal. */
static const char *reason_of(const struct candidate *candidate)
{
    return candidate->filtered                                              ? "filtered"
           : candidate->equal                                               ? "duplicate"
           : strcmp(candidate->dropped, "is shorter than the minimum") == 0 ? "short"
                                                                            : NULL;
}

static struct decision decision_of(const struct candidate *candidate)
{
    const struct candidate *equal = candidate->equal;
    return (struct decision){.id = candidate->id,
                             .source = candidate->source,
                             .license = candidate->license,
                             .language = candidate->language ? candidate->language : "other",
                             .reason = reason_of(candidate),
                             .detail = candidate->filtered ? candidate->dropped : NULL,
                             .of = equal ? equal->id : NULL,
                             .read = candidate->hash,
                             .bytes = candidate->text.len,
                             .cluster = equal ? equal->cluster : 1};
}

static status write_decisions(const struct gathering *gathering, const char *path,
                              struct error *error)
{
    struct buffer lines;
    buffer_create(&lines, DOCUMENTS_FILE_BYTES_MAX);
    status result = OK;
    for (size_t i = 0; i < gathering->count && result == OK; i++) {
        const struct candidate *candidate = &gathering->list[i];
        if (is_kept(candidate) || !reason_of(candidate))
            continue;
        const struct decision decision = decision_of(candidate);
        result = decision_write(&lines, &decision, error);
    }
    if (result == OK)
        result = file_write_atomic(path, lines.len ? lines.data : "", lines.len, error);
    buffer_destroy(&lines);
    return result;
}

/* ---- the manifest ---- */

static void add_left_out(cJSON *json, const struct gathering *gathering)
{
    cJSON *left_out = cJSON_AddObjectToObject(json, "left_out"), *filtered = NULL;
    if (gathering->settings->profile)
        filtered = cJSON_AddObjectToObject(json, "filtered");
    for (size_t i = 0; i < gathering->count; i++) {
        const struct candidate *candidate = &gathering->list[i];
        if (is_kept(candidate) || !reason_of(candidate))
            continue;
        tally_count(left_out, reason_of(candidate), 1, (double)candidate->text.len);
        if (candidate->filtered)
            tally_count(filtered, candidate->dropped, 1, (double)candidate->text.len);
    }
    cJSON_AddNumberToObject(json, "refused_count", (double)gathering->refused_count);
    cJSON *refused = cJSON_AddArrayToObject(json, "refused");
    for (size_t i = 0; i < gathering->refused_count && i < REFUSALS_LISTED_MAX; i++) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "what", gathering->refused[i].what);
        cJSON_AddStringToObject(entry, "reason", gathering->refused[i].reason);
        cJSON_AddItemToArray(refused, entry);
    }
}

static status roots_of(struct corpus_roots *out, const struct gathering *gathering,
                       const char *folder, struct error *error)
{
    enum { SORT_BYTES = 64 << 20 };
    struct corpus_roots_maker *maker;
    const struct corpus_roots_settings settings = {SORT_BYTES, folder, NULL};
    TRY(corpus_roots_create(&maker, &settings, error));
    status result = OK;
    for (size_t i = 0; i < gathering->count && result == OK; i++) {
        const struct candidate *candidate = &gathering->list[i];
        const struct document_hashes hashes = {candidate->leaf, candidate->hash, candidate->hash};
        if (is_kept(candidate))
            result = corpus_roots_add(maker, &hashes, error);
    }
    if (result == OK)
        result = corpus_roots_finish(out, maker, error);
    corpus_roots_destroy(maker);
    return result;
}

static void add_settings(cJSON *json, const struct corpus_settings *from)
{
    cJSON *settings = cJSON_AddObjectToObject(json, "settings");
    cJSON_AddStringToObject(settings, "text_field", from->text_field);
    cJSON_AddNumberToObject(settings, "held_out_share", from->held_out);
    cJSON_AddNumberToObject(settings, "minimum_bytes", (double)from->minimum_bytes);
    if (from->profile)
        cJSON_AddStringToObject(settings, "profile", from->profile);
}

static status fill_manifest(cJSON *json, const struct gathering *gathering,
                            const struct corpus_counts *counts, const char *folder,
                            struct error *error)
{
    struct corpus_roots roots;
    TRY(roots_of(&roots, gathering, folder, error));
    cJSON_AddNumberToObject(json, "format", MANIFEST_FORMAT);
    manifest_put_roots(json, &roots);
    TRY(manifest_put_file(json, folder, "texts.bin", error));
    TRY(manifest_put_file(json, folder, "documents.jsonl", error));
    TRY(manifest_put_file(json, folder, "decisions.jsonl", error));
    if (gathering->settings->profile)
        TRY(manifest_put_file(json, folder, "signals.bin", error));
    cJSON_AddNumberToObject(json, "bytes", (double)counts->bytes);
    cJSON_AddNumberToObject(json, "held_out_documents", (double)counts->held_out);
    cJSON_AddNumberToObject(json, "held_out_bytes", (double)counts->held_out_bytes);
    cJSON_AddNumberToObject(json, "files_read", (double)counts->files);
    add_settings(json, gathering->settings);
    for (size_t i = 0; i < gathering->count; i++)
        if (is_kept(&gathering->list[i])) {
            const struct document document = document_of(&gathering->list[i]);
            tallies_count(json, &document, 1);
        }
    add_left_out(json, gathering);
    return OK;
}

static status write_manifest(const struct gathering *gathering, const struct corpus_counts *counts,
                             const char *folder, const char *path, struct error *error)
{
    cJSON *json = cJSON_CreateObject();
    status result = fill_manifest(json, gathering, counts, folder, error);
    if (result == OK)
        result = manifest_write(json, path, error);
    cJSON_Delete(json);
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
    TRY(write_decisions(gathering, paths.decisions, error));
    return write_manifest(gathering, counts, folder, paths.manifest, error);
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
