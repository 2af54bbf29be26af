/* Files and folders become candidates. */
#include "corpus/corpus_internal.h"

#include <archive.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t FILE_BYTES_MAX = (uint64_t)8 << 30;

status gathering_refuse(struct gathering *gathering, const char *what, const char *reason,
                        struct error *error)
{
    size_t at = gathering->refused_count++;
    if (at >= REFUSALS_LISTED_MAX)
        return OK;
    struct refusal *refusal = &gathering->refused[at];
    refusal->what = arena_string(gathering->arena, what, error);
    refusal->reason = arena_string(gathering->arena, reason, error);
    return refusal->what && refusal->reason ? OK : error->code;
}

static status add_candidate(struct gathering *gathering, const struct candidate *candidate,
                            struct error *error)
{
    if (gathering->count == DOCUMENTS_MAX)
        return fail(error, ERR_LIMIT, "more than %d documents", DOCUMENTS_MAX);
    if (gathering->count == gathering->capacity) {
        size_t capacity = gathering->capacity ? 2 * gathering->capacity : 1024;
        struct candidate *list;
        TRY_ALLOC(list, gathering->arena, capacity, error);
        if (gathering->count)
            memcpy(list, gathering->list, gathering->count * sizeof *list);
        gathering->list = list;
        gathering->capacity = capacity;
    }
    gathering->list[gathering->count++] = *candidate;
    return OK;
}

/* ---- whole files, unpacked ---- */

static bool is_packed(const char *path)
{
    struct view name = view_of(path);
    return view_ends(name, ".gz") || view_ends(name, ".zst") || view_ends(name, ".xz");
}

/* Reads all data; on a fault of the data, *reason says why and the result is OK. */
static status unpack_stream(struct buffer *out, const char **reason, struct archive *archive,
                            struct error *error)
{
    struct archive_entry *entry;
    int state = archive_read_next_header(archive, &entry);
    char chunk[1 << 16];
    while (state == ARCHIVE_OK || state == ARCHIVE_WARN) {
        la_ssize_t len = archive_read_data(archive, chunk, sizeof chunk);
        if (len == 0)
            return OK;
        if (len < 0)
            break;
        if (out->len + (size_t)len > out->len_max) {
            *reason = "unpacks to more bytes than are allowed";
            return OK;
        }
        TRY(buffer_append(out, chunk, (size_t)len, error));
    }
    *reason = "is damaged or cut off";
    return OK;
}

static status unpack_file(struct buffer *out, const char **reason, const char *path,
                          struct error *error)
{
    struct archive *archive = archive_read_new();
    if (!archive)
        return fail(error, ERR_MEMORY, "%s: no memory for unpacking", path);
    archive_read_support_filter_gzip(archive);
    archive_read_support_filter_zstd(archive);
    archive_read_support_filter_xz(archive);
    archive_read_support_format_raw(archive);
    status result = OK;
    if (archive_read_open_filename(archive, path, 1 << 16) != ARCHIVE_OK)
        *reason = "can't be opened";
    else
        result = unpack_stream(out, reason, archive, error);
    archive_read_free(archive);
    return result;
}

static status read_file(struct view *out, const char **reason, const char *path,
                        struct arena *arena, struct error *error)
{
    if (!is_packed(path)) {
        struct error local = {0};
        status result = file_read(out, path, FILE_BYTES_MAX, arena, &local);
        if (result == ERR_MEMORY)
            return fail(error, result, "%s", local.text);
        if (result != OK)
            *reason = result == ERR_LIMIT ? "is larger than allowed" : "can't be opened";
        return OK;
    }
    struct buffer buffer;
    buffer_create(&buffer, FILE_BYTES_MAX);
    status result = unpack_file(&buffer, reason, path, error);
    if (result == OK && !*reason) {
        char *copy = arena_alloc(arena, buffer.len + 1, 1, error);
        if (copy && buffer.len)
            memcpy(copy, buffer.data, buffer.len);
        *out = (struct view){copy, buffer.len};
        result = copy ? OK : error->code;
    }
    buffer_destroy(&buffer);
    return result;
}

/* ---- readers by kind ---- */

struct source_file {
    const char *path, *id; /* id: the path below the input */
    struct view bytes;
};

static status read_text(struct gathering *gathering, const struct source_file *file,
                        struct error *error)
{
    struct candidate candidate = {.bytes = file->bytes,
                                  .id = file->id,
                                  .source = gathering->settings->source,
                                  .license = gathering->settings->license};
    return add_candidate(gathering, &candidate, error);
}

static status read_line(struct gathering *gathering, const struct source_file *file,
                        struct view line, size_t number, struct error *error)
{
    struct record record;
    const char *reason;
    if (line.len > LINE_BYTES_MAX ||
        !record_parse(&record, &reason, line, gathering->settings->text_field, gathering->arena)) {
        char what[PATH_BYTES];
        snprintf(what, sizeof what, "%s, line %zu", file->path, number);
        return gathering_refuse(gathering, what,
                                line.len > LINE_BYTES_MAX ? "a line is too long" : reason, error);
    }
    struct candidate candidate = {
        .bytes = record.text,
        .decoded = true,
        .source = record.source ? record.source : gathering->settings->source,
        .license = record.license ? record.license : gathering->settings->license};
    candidate.id =
        arena_format(gathering->arena, error, "%s#%s", file->id, record.id ? record.id : "");
    if (candidate.id && !record.id)
        candidate.id = arena_format(gathering->arena, error, "%s#%09zu", file->id, number);
    if (!candidate.id)
        return error->code;
    return add_candidate(gathering, &candidate, error);
}

static status read_json_lines(struct gathering *gathering, const struct source_file *file,
                              struct error *error)
{
    struct view rest = file->bytes, line;
    for (size_t number = 1; view_line(&line, &rest); number++) {
        if (interrupt_requested())
            return fail(error, ERR_INTERRUPTED, "stopped while reading %s", file->path);
        if (view_trim(line).len)
            TRY(read_line(gathering, file, line, number, error));
    }
    return OK;
}

typedef status reader(struct gathering *gathering, const struct source_file *file,
                      struct error *error);

static const struct {
    const char *suffix;
    reader *read;
} readers[] = {{".txt", read_text},
               {".md", read_text},
               {".jsonl", read_json_lines},
               {".ndjson", read_json_lines}};

static reader *find_reader(const char *path)
{
    struct view name = view_of(path);
    static const char *const packings[] = {".gz", ".zst", ".xz"};
    for (size_t i = 0; i < sizeof packings / sizeof *packings; i++)
        if (view_ends(name, packings[i])) {
            name.len -= strlen(packings[i]);
            break;
        }
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (view_ends(name, readers[i].suffix))
            return readers[i].read;
    return NULL;
}

/* ---- walking ---- */

static status gather_file(struct gathering *gathering, const char *path, const char *id,
                          struct error *error)
{
    if (interrupt_requested())
        return fail(error, ERR_INTERRUPTED, "stopped before %s", path);
    reader *read = find_reader(path);
    if (!read)
        return gathering_refuse(gathering, path,
                                "is of an unknown kind (known: .txt .md .jsonl, also .gz .zst .xz)",
                                error);
    if (!file_exists(path))
        return gathering_refuse(gathering, path, "is not a regular file", error);
    const char *reason = NULL;
    struct source_file file = {.path = path, .id = id};
    uint64_t size = 0;
    if (file_size(&size, path, &(struct error){0}) == OK)
        gathering->done_bytes += (double)size;
    TRY(read_file(&file.bytes, &reason, path, gathering->arena, error));
    if (!reason && file.bytes.len == 0)
        reason = "is empty";
    if (reason)
        return gathering_refuse(gathering, path, reason, error);
    gathering->files++;
    if (gathering->progress)
        gathering->progress(gathering->context, gathering->done_bytes);
    return read(gathering, &file, error);
}

static status gather_folder(struct gathering *gathering, const char *path, const char *id,
                            size_t depth, struct error *error);

static status gather_entry(struct gathering *gathering, const char *path, const char *id,
                           size_t depth, struct error *error)
{
    if (folder_exists(path))
        return gather_folder(gathering, path, id, depth, error);
    return gather_file(gathering, path, id, error);
}

static status gather_folder(struct gathering *gathering, const char *path, const char *id,
                            size_t depth, struct error *error)
{
    char **names;
    size_t count;
    struct error local = {0};
    if (depth > FOLDER_DEPTH_MAX)
        return gathering_refuse(gathering, path, "lies too deep", error);
    if (folder_list(&names, &count, path, gathering->arena, &local) != OK)
        return gathering_refuse(gathering, path, "can't be opened", error);
    for (size_t i = 0; i < count; i++) {
        char below[PATH_BYTES];
        if (names[i][0] == '.')
            continue;
        if (path_join(below, sizeof below, path, names[i], &local) != OK) {
            TRY(gathering_refuse(gathering, path, "holds a name that is too long", error));
            continue;
        }
        const char *below_id =
            *id ? arena_format(gathering->arena, error, "%s/%s", id, names[i]) : names[i];
        if (!below_id)
            return error->code;
        if (folder_is_link(below)) /* it may lead back here */
            TRY(gathering_refuse(gathering, below, "is a link to a folder; name the folder itself",
                                 error));
        else
            TRY(gather_entry(gathering, below, below_id, depth + 1, error));
    }
    return OK;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

status gather(struct gathering *gathering, const char *const *inputs, size_t count,
              struct error *error)
{
    const char **sorted;
    TRY_ALLOC(sorted, gathering->arena, count + 1, error);
    for (size_t i = 0; i < count; i++)
        sorted[i] = inputs[i];
    qsort(sorted, count, sizeof *sorted, compare_paths);
    for (size_t i = 0; i < count; i++) {
        if (!path_exists(sorted[i]))
            return fail(error, ERR_USAGE, "%s: there is no such file or folder", sorted[i]);
        const char *slash = strrchr(sorted[i], '/');
        const char *id = folder_exists(sorted[i]) ? "" : slash ? slash + 1 : sorted[i];
        TRY(gather_entry(gathering, sorted[i], id, 0, error));
    }
    return OK;
}
