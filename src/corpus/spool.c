/* What was read so far: texts, records, signals and refusals grow in files of a folder; a state
 * file says up to where they hold.  After a kill they are cut back to that and reading goes on. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "corpus/corpus_internal.h"
#include "text/utf8.h"

#define SPOOL_MAGIC "rodnik spool 1\n"
enum {
    ID_BYTES_MAX = 4096,
    NAME_BYTES_MAX = 2048, /* of source, licence, kind, title */
    URL_BYTES_MAX = 8192,
    PENDING_BYTES = 256 << 10, /* what is in the processor's cache is written at half the cost */
    WINDOW_BYTES = 4 << 20,    /* of records on their way back: more than the longest */
    LOCK_TRIES = 20,
    LOCK_WAIT_NS = 50000000,
    STRINGS = 6
};

_Static_assert(WINDOW_BYTES > RECORD_BYTES_MAX + sizeof(uint32_t), "a window holds a record");

enum pending { TEXTS, RECORDS, SIGNALS_FILE, REFUSALS };

struct state_file {
    char magic[16];
    struct sha256 key;
    struct spool_state state;
    struct sha256 check; /* of all before it */
};

/* ---- the state ---- */

static struct sha256 check_of(const struct state_file *file)
{
    return sha256_of(file, offsetof(struct state_file, check));
}

static status state_path(char out[PATH_BYTES], const struct spool *spool, struct error *error)
{
    return path_join(out, PATH_BYTES, spool->folder, "state", error);
}

static status write_state(const struct spool *spool, struct error *error)
{
    char path[PATH_BYTES];
    struct state_file file = {.magic = SPOOL_MAGIC, .key = spool->key, .state = spool->state};
    file.check = check_of(&file);
    TRY(state_path(path, spool, error));
    return file_write_atomic(path, &file, sizeof file, error);
}

/* False when there is none of this key. */
static bool read_state(struct spool_state *out, const struct spool *spool)
{
    char path[PATH_BYTES];
    struct error error = {0};
    struct file_bytes bytes;
    struct state_file file;
    if (state_path(path, spool, &error) != OK || !file_exists(path) ||
        file_map(&bytes, path, &error) != OK)
        return false;
    bool whole = bytes.len == sizeof file;
    if (whole)
        memcpy(&file, bytes.data, sizeof file);
    file_unmap(&bytes);
    if (!whole || memcmp(file.magic, SPOOL_MAGIC, sizeof SPOOL_MAGIC) != 0 ||
        !sha256_equal(&file.key, &spool->key))
        return false;
    struct sha256 check = check_of(&file);
    if (!sha256_equal(&check, &file.check))
        return false;
    *out = file.state;
    return true;
}

/* ---- opening ---- */

static status open_file(struct file_scratch *out, const struct spool *spool, const char *name,
                        uint64_t len, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, sizeof path, spool->folder, name, error));
    return file_scratch_open_named(out, path, len, error);
}

static status open_files(struct spool *spool, struct error *error)
{
    const struct spool_state *state = &spool->state;
    TRY(open_file(&spool->texts, spool, "texts", state->texts, error));
    TRY(open_file(&spool->records, spool, "records", state->records, error));
    TRY(open_file(&spool->signals, spool, "signals", state->signals, error));
    return open_file(&spool->refusals, spool, "refusals", state->refusals, error);
}

static void close_files(struct spool *spool)
{
    file_scratch_close(&spool->texts);
    file_scratch_close(&spool->records);
    file_scratch_close(&spool->signals);
    file_scratch_close(&spool->refusals);
}

/* A folder whose files are shorter than its state says begins anew, too. */
static status open_locked(struct spool *spool, struct error *error)
{
    struct error lost = {0};
    if (read_state(&spool->state, spool) && open_files(spool, &lost) == OK)
        return OK;
    close_files(spool);
    spool->state = (struct spool_state){0};
    TRY(write_state(spool, error));
    return open_files(spool, error);
}

/* A folder that someone else filled is not cut, nor removed with what stands there. */
static bool is_own_name(const char *name)
{
    static const char *const names[] = {".lock",   "state",    "texts", "records",
                                        "signals", "refusals", "corpus"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return strncmp(name, "state.tmp-", 10) == 0 || strncmp(name, ".part-", 6) == 0;
}

static status check_names(const char *folder, struct arena *arena, struct error *error)
{
    char **names;
    size_t count;
    TRY(folder_list(&names, &count, folder, arena, error));
    for (size_t i = 0; i < count; i++)
        if (!is_own_name(names[i]))
            return fail(error, ERR_CONFLICT,
                        "%s: is needed for what is being read, but holds other files, such as %s; "
                        "remove it or name another folder of the corpus",
                        folder, names[i]);
    return OK;
}

static status check_folder(const char *folder, struct error *error)
{
    struct arena *arena;
    if (!path_exists(folder))
        return OK;
    TRY(arena_create(&arena, 0, error));
    status result = check_names(folder, arena, error);
    arena_destroy(arena);
    return result;
}

/* The process that held the lock before may have removed the folder with it. */
static bool is_removed(int lock)
{
    struct stat info;
    return fstat(lock, &info) != 0 || info.st_nlink == 0;
}

/* Makes the folder.  Readers of a process that was killed hold its lock for an instant longer. */
static status lock_folder(int *lock, const char *folder, struct error *error)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        struct error busy = {0};
        TRY(folder_make(folder, error));
        status result = folder_lock(lock, folder, &busy);
        if (result == OK && !is_removed(*lock))
            return OK;
        if (result == OK)
            folder_unlock(*lock);
        else if (result != ERR_CONFLICT && folder_exists(folder))
            return fail(error, result, "%s", busy.text);
        nanosleep(&(struct timespec){.tv_nsec = LOCK_WAIT_NS}, NULL);
    }
    return fail(error, ERR_CONFLICT, "%s: another process is building there", folder);
}

status spool_open(struct spool *out, const char *folder, const struct sha256 *key,
                  struct error *error)
{
    ASSERT(out && folder && key && error);
    *out = (struct spool){.key = *key, .lock = -1};
    if (snprintf(out->folder, sizeof out->folder, "%s", folder) >= PATH_BYTES)
        return fail(error, ERR_LIMIT, "%s: the path is longer than %d bytes", folder, PATH_BYTES);
    TRY(check_folder(folder, error));
    TRY(lock_folder(&out->lock, folder, error));
    for (int i = 0; i < 4; i++)
        buffer_create(&out->pending[i], PENDING_BYTES);
    buffer_create(&out->record, 1 << 20);
    buffer_create(&out->string, 1 << 20);
    status result = open_locked(out, error);
    if (result != OK)
        spool_close(out);
    return result;
}

static status remove_own(const struct spool *spool, struct arena *arena, struct error *error)
{
    char path[PATH_BYTES], **names;
    size_t count;
    TRY(folder_list(&names, &count, spool->folder, arena, error));
    for (size_t i = 0; i < count; i++) {
        if (!is_own_name(names[i]) || strcmp(names[i], ".lock") == 0)
            continue;
        TRY(path_join(path, sizeof path, spool->folder, names[i], error));
        TRY(path_remove_tree(path, error));
    }
    /* The lock goes last: who takes it until then finds that it was removed, and begins anew. */
    TRY(path_join(path, sizeof path, spool->folder, ".lock", error));
    TRY(path_remove_tree(path, error));
    if (rmdir(spool->folder) != 0 && errno != ENOENT && errno != ENOTEMPTY)
        return fail_errno(error, "%s: can't be removed", spool->folder);
    return OK;
}

status spool_remove(struct spool *spool, struct error *error)
{
    ASSERT(spool && spool->lock >= 0 && error);
    struct arena *arena;
    close_files(spool);
    TRY(arena_create(&arena, 0, error));
    status result = remove_own(spool, arena, error);
    arena_destroy(arena);
    return result;
}

void spool_close(struct spool *spool)
{
    ASSERT(spool);
    close_files(spool);
    for (int i = 0; i < 4; i++)
        buffer_destroy(&spool->pending[i]);
    buffer_destroy(&spool->record);
    buffer_destroy(&spool->string);
    if (spool->lock >= 0)
        folder_unlock(spool->lock);
    spool->lock = -1;
}

/* ---- adding ---- */

static struct file_scratch *file_of(struct spool *spool, enum pending which)
{
    struct file_scratch *const files[] = {&spool->texts, &spool->records, &spool->signals,
                                          &spool->refusals};
    return files[which];
}

static status flush(struct spool *spool, enum pending which, struct error *error)
{
    struct buffer *pending = &spool->pending[which];
    if (pending->len)
        TRY(file_scratch_add(file_of(spool, which), pending->data, pending->len, error));
    buffer_clear(pending);
    return OK;
}

static status add(struct spool *spool, enum pending which, struct view bytes, struct error *error)
{
    if (bytes.len > PENDING_BYTES - spool->pending[which].len)
        TRY(flush(spool, which, error));
    if (bytes.len > PENDING_BYTES)
        return file_scratch_add(file_of(spool, which), bytes.data, bytes.len, error);
    return buffer_append(&spool->pending[which], bytes.data, bytes.len, error);
}

static uint64_t end_of(struct spool *spool, enum pending which)
{
    return file_of(spool, which)->len + spool->pending[which].len;
}

/* Strings end where a NUL stands, and at most after `max` bytes, between characters; bytes that are
 * no UTF-8, as names of files may have, become U+FFFD: what is told of them is JSON. */
static status add_string(struct spool *spool, struct buffer *out, struct view text, size_t max,
                         struct error *error)
{
    const char *nul = text.len ? memchr(text.data, 0, text.len) : NULL;
    if (nul)
        text.len = (size_t)(nul - text.data);
    text.len = utf8_floor(text, max);
    if (!utf8_valid(text)) {
        buffer_clear(&spool->string);
        TRY(utf8_lossy(&spool->string, text, error));
        text = (struct view){spool->string.data, spool->string.len};
        text.len = utf8_floor(text, max);
    }
    TRY(buffer_append(out, text.data, text.len, error));
    return buffer_append(out, "", 1, error);
}

static status fill_record(struct spool *spool, const struct prepared *document,
                          const struct spool_facts *facts, struct error *error)
{
    const struct found *found = &document->found;
    struct buffer *record = &spool->record;
    buffer_clear(record);
    TRY(add_string(spool, record, found->id, ID_BYTES_MAX, error));
    TRY(buffer_append(record, &document->read, sizeof document->read, error));
    TRY(add_string(spool, record, found->source, NAME_BYTES_MAX, error));
    TRY(add_string(spool, record, found->license, NAME_BYTES_MAX, error));
    TRY(add_string(spool, record, found->kind, NAME_BYTES_MAX, error));
    TRY(add_string(spool, record, found->url, URL_BYTES_MAX, error));
    TRY(add_string(spool, record, found->title, NAME_BYTES_MAX, error));
    return buffer_append(record, facts, sizeof *facts, error);
}

static status add_signals(struct spool *spool, struct spool_facts *facts,
                          const struct signals *signals, struct error *error)
{
    facts->language = signals->language;
    facts->signals = ++spool->state.signal_records;
    return add(spool, SIGNALS_FILE, (struct view){(const char *)signals, sizeof *signals}, error);
}

status spool_add(struct spool *spool, const struct prepared *document, struct error *error)
{
    ASSERT(spool && document && !document->refused && error);
    if (spool->state.documents == DOCUMENTS_MAX)
        return fail(error, ERR_LIMIT, "more than %d documents", DOCUMENTS_MAX);
    struct spool_facts facts = {.place = end_of(spool, RECORDS),
                                .offset = end_of(spool, TEXTS),
                                .len = document->found.text.len,
                                .left = document->left,
                                .detail = document->detail};
    if (document->measured)
        TRY(add_signals(spool, &facts, &document->signals, error));
    if (document->left == CORPUS_KEPT)
        TRY(add(spool, TEXTS, document->found.text, error));
    TRY(fill_record(spool, document, &facts, error));
    uint32_t len = (uint32_t)spool->record.len;
    TRY(add(spool, RECORDS, (struct view){(const char *)&len, sizeof len}, error));
    TRY(add(spool, RECORDS, (struct view){spool->record.data, len}, error));
    spool->state.documents++;
    return OK;
}

status spool_refuse(struct spool *spool, const char *what, const char *reason, struct error *error)
{
    ASSERT(spool && what && reason && error);
    if (spool->state.refused++ >= REFUSALS_LISTED_MAX)
        return OK;
    buffer_clear(&spool->record);
    TRY(add_string(spool, &spool->record, view_of(what), ID_BYTES_MAX, error));
    TRY(add_string(spool, &spool->record, view_of(reason), ERROR_TEXT_BYTES, error));
    return add(spool, REFUSALS, (struct view){spool->record.data, spool->record.len}, error);
}

status spool_mark(struct spool *spool, struct error *error)
{
    ASSERT(spool && error);
    for (int i = 0; i < 4; i++) {
        TRY(flush(spool, (enum pending)i, error));
        TRY(file_scratch_sync(file_of(spool, (enum pending)i), error));
    }
    spool->state.texts = spool->texts.len;
    spool->state.records = spool->records.len;
    spool->state.signals = spool->signals.len;
    spool->state.refusals = spool->refusals.len;
    return write_state(spool, error);
}

/* ---- reading ---- */

static status damaged(const struct spool *spool, struct error *error)
{
    return fail(error, ERR_FORMAT, "%s: holds a damaged record; remove the folder", spool->folder);
}

status spool_record_at(struct view *out, struct buffer *into, const struct spool *spool,
                       uint64_t place, struct error *error)
{
    ASSERT(out && into && spool && error);
    uint32_t len;
    TRY(file_scratch_read(&len, &spool->records, place, sizeof len, error));
    if (len > RECORD_BYTES_MAX)
        return damaged(spool, error);
    buffer_clear(into);
    TRY(buffer_reserve(into, len, error));
    TRY(file_scratch_read(into->data, &spool->records, place + sizeof len, len, error));
    *out = (struct view){into->data, len};
    return OK;
}

/* Sorts the whole records of a window; *used of its bytes. */
static status sort_window(struct record_sort *sort, const struct spool *spool, struct view window,
                          size_t *used, struct error *error)
{
    uint32_t len;
    *used = 0;
    while (window.len - *used >= sizeof len) {
        memcpy(&len, window.data + *used, sizeof len);
        if (len > RECORD_BYTES_MAX)
            return damaged(spool, error);
        if (len > window.len - *used - sizeof len)
            return OK;
        struct view record = {window.data + *used + sizeof len, len};
        TRY(record_sort_add(sort, record, error));
        *used += sizeof len + len;
    }
    return OK;
}

status spool_sort(struct record_sort *sort, const struct spool *spool, struct error *error)
{
    ASSERT(sort && spool && error);
    struct buffer window;
    status result = OK;
    uint64_t at = 0, end = spool->records.len;
    buffer_create(&window, WINDOW_BYTES);
    while (at < end && result == OK) {
        size_t used = 0, len = end - at < WINDOW_BYTES ? (size_t)(end - at) : WINDOW_BYTES;
        result = buffer_reserve(&window, len, error);
        if (result == OK)
            result = file_scratch_read(window.data, &spool->records, at, len, error);
        if (result == OK)
            result = sort_window(sort, spool, (struct view){window.data, len}, &used, error);
        if (result == OK && used == 0)
            result = damaged(spool, error);
        at += used;
    }
    buffer_destroy(&window);
    return result == OK ? record_sort_finish(sort, error) : result;
}

static bool take_string(struct view *out, struct view *rest)
{
    const char *nul = rest->len ? memchr(rest->data, 0, rest->len) : NULL;
    if (!nul)
        return false;
    *out = (struct view){rest->data, (size_t)(nul - rest->data)};
    rest->len -= out->len + 1;
    rest->data = nul + 1;
    return true;
}

static bool take_bytes(void *out, size_t len, struct view *rest)
{
    if (rest->len < len)
        return false;
    memcpy(out, rest->data, len);
    rest->data += len;
    rest->len -= len;
    return true;
}

status spool_parse(struct spool_record *out, const struct spool *spool, struct view record,
                   struct error *error)
{
    ASSERT(out && spool && record.data && error);
    struct view *const strings[STRINGS - 1] = {&out->source, &out->license, &out->kind, &out->url,
                                               &out->title};
    bool good = take_string(&out->id, &record) && take_bytes(&out->read, sizeof out->read, &record);
    for (size_t i = 0; i < STRINGS - 1 && good; i++)
        good = take_string(strings[i], &record);
    if (!good || !take_bytes(&out->facts, sizeof out->facts, &record) || record.len ||
        out->facts.left >= CORPUS_LEFT_REASONS)
        return damaged(spool, error);
    return OK;
}

status spool_signals(struct signals *out, const struct spool *spool,
                     const struct spool_record *record, struct error *error)
{
    ASSERT(out && spool && record && record->facts.signals && error);
    return file_scratch_read(out, &spool->signals, (record->facts.signals - 1) * sizeof *out,
                             sizeof *out, error);
}
