#include "corpus/forget.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "corpus/corpus_internal.h"
#include "corpus/manifest.h"
#include "corpus/signals.h"
#include "corpus/store_lines.h"
#include "corpus/tallies.h"

struct packing {
    const struct forget_job *job;
    struct forget_result *result;
    struct corpus *corpus;
    cJSON *manifest;
    char part[PATH_BYTES];
    bool *forgotten;              /* [documents] */
    const struct document **gone; /* [result->documents] */
    struct arena *scratch;        /* of one line */
    struct file_writer writer;
    struct buffer line;
};

static bool is_named(const struct forget_job *job, const struct sha256 *hash)
{
    for (size_t i = 0; i < job->count; i++)
        if (sha256_equal(&job->texts[i], hash))
            return true;
    return false;
}

/* ---- writing lists ---- */

static status begin_file(struct packing *packing, const char *name, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, sizeof path, packing->part, name, error));
    return file_writer_open(&packing->writer, path, error);
}

/* The file becomes one of the new folder. */
static status end_file(struct packing *packing, const char *name, status result,
                       struct error *error)
{
    if (result != OK) {
        file_writer_abort(&packing->writer);
        return result;
    }
    TRY(file_writer_commit(&packing->writer, error));
    return manifest_put_file(packing->manifest, packing->part, name, error);
}

static status put_line(struct packing *packing, struct error *error)
{
    TRY(file_writer_add(&packing->writer, packing->line.data, packing->line.len, error));
    buffer_clear(&packing->line);
    return OK;
}

static status copy_line(struct packing *packing, struct view line, struct error *error)
{
    TRY(file_writer_add(&packing->writer, line.data, line.len, error));
    return file_writer_add(&packing->writer, "\n", 1, error);
}

static status write_texts(struct packing *packing, struct error *error)
{
    char header[TEXTS_HEADER_BYTES] = TEXTS_MAGIC;
    uint64_t total = 0;
    for (size_t i = 0; i < corpus_count(packing->corpus); i++)
        if (!packing->forgotten[i])
            total += corpus_document(packing->corpus, i)->text.len;
    memcpy(header + 16, &total, sizeof total);
    TRY(file_writer_add(&packing->writer, header, sizeof header, error));
    for (size_t i = 0; i < corpus_count(packing->corpus); i++) {
        struct view text = corpus_document(packing->corpus, i)->text;
        if (!packing->forgotten[i] && text.len)
            TRY(file_writer_add(&packing->writer, text.data, text.len, error));
    }
    return OK;
}

static status write_documents(struct packing *packing, struct error *error)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < corpus_count(packing->corpus); i++) {
        const struct document *document = corpus_document(packing->corpus, i);
        if (packing->forgotten[i])
            continue;
        TRY(document_line_write(&packing->line, document, offset, error));
        TRY(put_line(packing, error));
        offset += document->text.len;
    }
    return OK;
}

/* ---- decisions, evidence and tombstones ---- */

static const struct document *forgotten_of(const struct packing *packing, const char *id)
{
    for (size_t i = 0; id && i < packing->result->documents; i++)
        if (strcmp(packing->gone[i]->id, id) == 0)
            return packing->gone[i];
    return NULL;
}

enum { NAME_BYTES = 40 };
/* How lists name a forgotten document. */
static const char *name_of(char out[NAME_BYTES], const struct packing *packing,
                           const struct document *document)
{
    char hex[SHA256_HEX_BYTES];
    if (!packing->job->without_id)
        return document->id;
    sha256_hex(hex, &document->read);
    snprintf(out, NAME_BYTES, "forgotten-%.16s", hex);
    return out;
}

static status copy_decision(void *context, struct view line, size_t number, struct error *error)
{
    struct packing *packing = context;
    struct decision decision;
    char name[NAME_BYTES];
    arena_reset(packing->scratch);
    if (!decision_parse(&decision, line, packing->scratch))
        return fail(error, ERR_FORMAT, "%s/decisions.jsonl: line %zu is no decision",
                    packing->job->folder, number);
    const struct document *of = forgotten_of(packing, decision.of);
    if (!of)
        return copy_line(packing, line, error);
    packing->result->relatives++;
    decision.of = name_of(name, packing, of);
    TRY(decision_write(&packing->line, &decision, error));
    return put_line(packing, error);
}

static status write_decisions(struct packing *packing, struct error *error)
{
    TRY(corpus_lines(packing->corpus, "decisions.jsonl", copy_decision, packing, error));
    for (size_t i = 0; i < corpus_count(packing->corpus); i++) {
        char name[NAME_BYTES];
        const struct document *document = corpus_document(packing->corpus, i);
        if (!packing->forgotten[i])
            continue;
        const struct decision decision = {.id = name_of(name, packing, document),
                                          .source = document->source,
                                          .license = document->license,
                                          .language = document->language,
                                          .reason = "forgotten",
                                          .read = document->read,
                                          .bytes = document->text.len,
                                          .cluster = document->cluster};
        TRY(decision_write(&packing->line, &decision, error));
        TRY(put_line(packing, error));
    }
    return OK;
}

static status copy_any(void *context, struct view line, size_t number, struct error *error)
{
    (void)number;
    return copy_line(context, line, error);
}

static status write_tombstones(struct packing *packing, struct error *error)
{
    TRY(corpus_lines(packing->corpus, "forgotten.jsonl", copy_any, packing, error));
    for (size_t i = 0; i < corpus_count(packing->corpus); i++) {
        const struct document *document = corpus_document(packing->corpus, i);
        if (!packing->forgotten[i])
            continue;
        const struct tombstone tombstone = {.read = document->read,
                                            .text = document->hash,
                                            .leaf = document->leaf,
                                            .root = packing->result->before.root,
                                            .place = i,
                                            .id = packing->job->without_id ? NULL : document->id,
                                            .reason = packing->job->reason,
                                            .held_out = document->held_out};
        TRY(tombstone_write(&packing->line, &tombstone, error));
        TRY(put_line(packing, error));
    }
    return OK;
}

static status copy_evidence(void *context, struct view line, size_t number, struct error *error)
{
    struct packing *packing = context;
    (void)number;
    cJSON *json = cJSON_ParseWithLength(line.data, line.len);
    bool drop = forgotten_of(packing, manifest_text(json, "document")) != NULL;
    cJSON_Delete(json);
    return drop ? OK : copy_line(packing, line, error);
}

/* ---- signals: records of forgotten texts go, the others stay byte for byte ---- */

static bool signals_go(const struct packing *packing, const struct sha256 *text)
{
    for (size_t i = 0; i < packing->result->documents; i++)
        if (sha256_equal(&packing->gone[i]->read, text) ||
            sha256_equal(&packing->gone[i]->hash, text))
            return true;
    return false;
}

static status add_signals(struct packing *packing, struct sha256_state *hash, const void *data,
                          size_t len, struct error *error)
{
    sha256_add(hash, data, len);
    return file_writer_add(&packing->writer, data, len, error);
}

static status copy_signals(struct packing *packing, struct view file, struct sha256_state *hash,
                           struct error *error)
{
    struct signals_reader reader;
    struct signals signals;
    struct sha256 text;
    uint64_t counts[2] = {0};
    TRY(signals_reader_open(&reader, file, "signals.bin", error));
    const char *from = reader.rest.data;
    TRY(add_signals(packing, hash, file.data, (size_t)(from - file.data), error));
    for (bool more;;) {
        TRY(signals_reader_next(&more, &text, &signals, &reader, error));
        if (!more)
            break;
        if (!signals_go(packing, &text)) {
            TRY(add_signals(packing, hash, from, (size_t)(reader.rest.data - from), error));
            counts[0]++;
        }
        from = reader.rest.data;
    }
    counts[1] = packing->writer.written + sizeof counts + SHA256_BYTES;
    return add_signals(packing, hash, counts, sizeof counts, error);
}

static status write_signals(struct packing *packing, struct error *error)
{
    char path[PATH_BYTES];
    struct file_bytes bytes;
    struct sha256_state hash;
    TRY(path_join(path, sizeof path, packing->job->folder, "signals.bin", error));
    TRY(file_map(&bytes, path, error));
    status result = sha256_begin(&hash, error);
    if (result == OK) {
        const struct view file = {bytes.data ? (const char *)bytes.data : "", bytes.len};
        result = copy_signals(packing, file, &hash, error);
        struct sha256 whole = sha256_end(&hash);
        if (result == OK)
            result = file_writer_add(&packing->writer, &whole, sizeof whole, error);
    }
    file_unmap(&bytes);
    return result;
}

/* ---- the manifest ---- */

static void put_number(cJSON *json, const char *name, double value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(json, name);
    cJSON_AddNumberToObject(json, name, value);
}

static void count_anew(struct packing *packing)
{
    cJSON *json = packing->manifest;
    double bytes = 0, held = 0, held_bytes = 0;
    cJSON *left_out = cJSON_GetObjectItemCaseSensitive(json, "left_out");
    if (!left_out)
        left_out = cJSON_AddObjectToObject(json, "left_out");
    for (size_t i = 0; i < corpus_count(packing->corpus); i++) {
        const struct document *document = corpus_document(packing->corpus, i);
        if (packing->forgotten[i]) {
            tallies_count(json, document, -1);
            tally_count(left_out, "forgotten", 1, (double)document->text.len);
            continue;
        }
        bytes += (double)document->text.len;
        held += document->held_out;
        held_bytes += document->held_out ? (double)document->text.len : 0;
    }
    put_number(json, "bytes", bytes);
    put_number(json, "held_out_documents", held);
    put_number(json, "held_out_bytes", held_bytes);
}

static status find_roots(struct packing *packing, struct error *error)
{
    enum { SORT_BYTES = 64 << 20 };
    struct corpus_roots_maker *maker;
    const struct corpus_roots_settings settings = {SORT_BYTES, packing->part, NULL};
    TRY(corpus_roots_create(&maker, &settings, error));
    status result = OK;
    for (size_t i = 0; i < corpus_count(packing->corpus) && result == OK; i++) {
        const struct document *document = corpus_document(packing->corpus, i);
        const struct document_hashes hashes = {document->leaf, document->hash, document->read};
        if (!packing->forgotten[i])
            result = corpus_roots_add(maker, &hashes, error);
    }
    if (result == OK)
        result = corpus_roots_finish(&packing->result->after, maker, error);
    corpus_roots_destroy(maker);
    return result;
}

/* ---- the folder ---- */

static status write_list(struct packing *packing, const char *name,
                         status (*write)(struct packing *, struct error *), struct error *error)
{
    TRY(begin_file(packing, name, error));
    return end_file(packing, name, write(packing, error), error);
}

static status write_evidence(struct packing *packing, struct error *error)
{
    return corpus_lines(packing->corpus, "contamination.jsonl", copy_evidence, packing, error);
}

static status write_folder(struct packing *packing, struct error *error)
{
    char path[PATH_BYTES];
    struct manifest_file file;
    TRY(folder_make(packing->part, error));
    TRY(write_list(packing, "texts.bin", write_texts, error));
    TRY(write_list(packing, "documents.jsonl", write_documents, error));
    TRY(write_list(packing, "decisions.jsonl", write_decisions, error));
    TRY(write_list(packing, "forgotten.jsonl", write_tombstones, error));
    if (manifest_file_of(&file, packing->manifest, "contamination.jsonl"))
        TRY(write_list(packing, "contamination.jsonl", write_evidence, error));
    if (manifest_file_of(&file, packing->manifest, "signals.bin"))
        TRY(write_list(packing, "signals.bin", write_signals, error));
    TRY(find_roots(packing, error));
    count_anew(packing);
    manifest_put_roots(packing->manifest, &packing->result->after);
    TRY(path_join(path, sizeof path, packing->part, "manifest.json", error));
    return manifest_write(packing->manifest, path, error);
}

static status choose(struct packing *packing, struct arena *arena, struct error *error)
{
    size_t count = corpus_count(packing->corpus);
    struct forget_result *result = packing->result;
    TRY_ALLOC(packing->forgotten, arena, count + 1, error);
    for (size_t i = 0; i < count; i++) {
        const struct document *document = corpus_document(packing->corpus, i);
        packing->forgotten[i] =
            is_named(packing->job, &document->read) || is_named(packing->job, &document->hash);
        result->documents += packing->forgotten[i];
        result->bytes += packing->forgotten[i] ? document->text.len : 0;
    }
    if (!result->documents)
        return fail(error, ERR_USAGE, "%s: has no document with this text", packing->job->folder);
    if (result->documents == count)
        return fail(error, ERR_USAGE, "%s: would have no document left; remove the folder instead",
                    packing->job->folder);
    TRY_ALLOC(packing->gone, arena, result->documents, error);
    for (size_t i = 0, at = 0; i < count; i++)
        if (packing->forgotten[i])
            packing->gone[at++] = corpus_document(packing->corpus, i);
    return OK;
}

static status repack(struct packing *packing, struct arena *arena, struct error *error)
{
    TRY(corpus_open(&packing->corpus, packing->job->folder, arena, error));
    packing->result->before = *corpus_all_roots(packing->corpus);
    TRY(manifest_read(&packing->manifest, packing->job->folder, error));
    TRY(choose(packing, arena, error));
    TRY(write_folder(packing, error));
    TRY(folder_sync(packing->part, error));
    if (renameat2(AT_FDCWD, packing->part, AT_FDCWD, packing->job->folder, RENAME_EXCHANGE) != 0)
        return fail_errno(error, "%s: can't be replaced", packing->job->folder);
    return OK;
}

/* ---- beside the folder ---- */

static status split_path(char parent[PATH_BYTES], char name[PATH_BYTES], const char *folder,
                         struct error *error)
{
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/')
        len--;
    size_t slash = len;
    while (slash > 0 && folder[slash - 1] != '/')
        slash--;
    if (len >= PATH_BYTES - 32)
        return fail(error, ERR_LIMIT, "%s: the path is longer than %d bytes", folder, PATH_BYTES);
    snprintf(parent, PATH_BYTES, "%.*s", slash ? (int)slash : 1, slash ? folder : ".");
    snprintf(name, PATH_BYTES, "%.*s", (int)(len - slash), folder + slash);
    return OK;
}

/* What killed processes left beside the folder may hold what was to be forgotten. */
static status remove_leftovers(const char *parent, const char *name, struct arena *arena,
                               struct error *error)
{
    char **names, prefix[PATH_BYTES + 8], path[PATH_BYTES];
    size_t count;
    size_t len = (size_t)snprintf(prefix, sizeof prefix, "%s.tmp-", name);
    TRY(folder_list(&names, &count, parent, arena, error));
    for (size_t i = 0; i < count; i++) {
        int64_t process;
        if (strncmp(names[i], prefix, len) != 0 || !parse_i64(&process, view_of(names[i] + len)) ||
            process <= 0)
            continue;
        if (kill((pid_t)process, 0) == 0 || errno != ESRCH)
            continue;
        TRY(path_join(path, sizeof path, parent, names[i], error));
        TRY(path_remove_tree(path, error));
    }
    return OK;
}

/* The lock lies in the folder and goes with it: one that was taken while another process exchanged
 * the folder is void. */
static status lock(int *out, const char *folder, struct error *error)
{
    char path[PATH_BYTES];
    struct stat held, there;
    int descriptor = -1;
    TRY(path_join(path, sizeof path, folder, ".lock", error));
    TRY(folder_lock(&descriptor, folder, error));
    if (fstat(descriptor, &held) != 0 || stat(path, &there) != 0 || held.st_ino != there.st_ino) {
        folder_unlock(descriptor);
        return fail(error, ERR_CONFLICT, "%s: another process is working there", folder);
    }
    *out = descriptor;
    return OK;
}

static status forget_locked(struct packing *packing, struct arena *arena, struct error *error)
{
    char parent[PATH_BYTES], name[PATH_BYTES], part[2 * PATH_BYTES];
    TRY(split_path(parent, name, packing->job->folder, error));
    TRY(remove_leftovers(parent, name, arena, error));
    snprintf(part, sizeof part, "%s.tmp-%d", name, (int)getpid());
    TRY(path_join(packing->part, sizeof packing->part, parent, part, error));
    TRY(path_remove_tree(packing->part, error));
    buffer_create(&packing->line, STORE_LINE_BYTES_MAX);
    status result = arena_create(&packing->scratch, 0, error);
    if (result == OK)
        result = repack(packing, arena, error);
    arena_destroy(packing->scratch);
    buffer_destroy(&packing->line);
    cJSON_Delete(packing->manifest);
    if (packing->corpus)
        corpus_close(packing->corpus);
    /* the old folder after an exchange, a part of the new one after a failure */
    struct error removing = {0};
    status removed = path_remove_tree(packing->part, &removing);
    if (result == OK && removed != OK)
        return fail(error, removing.code, "%s", removing.text);
    return result == OK ? folder_sync(parent, error) : result;
}

status corpus_forget(struct forget_result *out, const struct forget_job *job, struct error *error)
{
    ASSERT(out && job && job->folder && job->reason && error);
    char manifest[PATH_BYTES];
    struct forget_result result = {0};
    struct packing packing = {.job = job, .result = &result};
    struct arena *arena = NULL;
    int descriptor = -1;
    TRY(path_join(manifest, sizeof manifest, job->folder, "manifest.json", error));
    if (!file_exists(manifest))
        return fail(error, ERR_FORMAT, "%s: is not a corpus folder, manifest.json is missing",
                    job->folder);
    TRY(lock(&descriptor, job->folder, error));
    status done = arena_create(&arena, 0, error);
    if (done == OK)
        done = forget_locked(&packing, arena, error);
    arena_destroy(arena);
    folder_unlock(descriptor);
    if (done == OK)
        *out = result;
    return done;
}
