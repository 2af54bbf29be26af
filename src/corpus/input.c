/* Inputs become a list of files: folders are walked, links to folders are not followed. */
#include "corpus/corpus_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static status add_file(struct input_files *files, const struct input_file *file,
                       struct error *error)
{
    if (files->count == files->capacity) {
        size_t capacity = files->capacity ? 2 * files->capacity : 1024;
        struct input_file *list;
        TRY_ALLOC(list, files->arena, capacity, error);
        if (files->count)
            memcpy(list, files->list, files->count * sizeof *list);
        files->list = list;
        files->capacity = capacity;
    }
    files->list[files->count++] = *file;
    return OK;
}

static status add_refused(struct input_files *files, const char *path, const char *reason,
                          struct error *error)
{
    struct input_file file = {
        .path = arena_string(files->arena, path, error), .id = "", .reason = reason};
    return file.path ? add_file(files, &file, error) : error->code;
}

static status add_regular(struct input_files *files, const char *path, const char *id,
                          const struct stat *about, struct error *error)
{
    struct input_file file = {.path = arena_string(files->arena, path, error), .id = id};
    if (!file.path)
        return error->code;
    if (S_ISREG(about->st_mode))
        file.size = (uint64_t)about->st_size;
    else
        file.reason = "is not a regular file";
    return add_file(files, &file, error);
}

/* ---- what is to be made is no input ---- */

static bool is_left_alone(const struct input_files *files, const char *path)
{
    struct stat found;
    if (!files->left_alone_count || stat(path, &found) != 0 || !S_ISDIR(found.st_mode))
        return false;
    for (size_t i = 0; i < files->left_alone_count; i++)
        if (found.st_dev == files->left_alone[i].device &&
            found.st_ino == files->left_alone[i].node)
            return true;
    return false;
}

static void leave_alone(struct input_files *files, const struct input_request *request)
{
    struct stat found;
    for (size_t i = 0; i < 2; i++)
        if (request->left_alone[i] && stat(request->left_alone[i], &found) == 0)
            files->left_alone[files->left_alone_count++] =
                (struct input_folder){found.st_dev, found.st_ino};
}

/* ---- walking ---- */

static status walk_entry(struct input_files *files, const char *path, const char *id, size_t depth,
                         struct error *error);

static status walk_folder(struct input_files *files, const char *path, const char *id, size_t depth,
                          struct error *error)
{
    char **names;
    size_t count;
    struct error local = {0};
    struct arena *arena = files->arena;
    if (depth > FOLDER_DEPTH_MAX)
        return add_refused(files, path, "lies too deep", error);
    if (folder_list(&names, &count, path, arena, &local) != OK)
        return add_refused(files, path, "can't be opened", error);
    for (size_t i = 0; i < count; i++) {
        char below[PATH_BYTES];
        if (names[i][0] == '.')
            continue;
        if (path_join(below, sizeof below, path, names[i], &local) != OK) {
            TRY(add_refused(files, path, "holds a name that is too long", error));
            continue;
        }
        const char *below_id = *id ? arena_format(arena, error, "%s/%s", id, names[i]) : names[i];
        if (!below_id)
            return error->code;
        if (!is_left_alone(files, below))
            TRY(walk_entry(files, below, below_id, depth + 1, error));
    }
    return OK;
}

static status walk_entry(struct input_files *files, const char *path, const char *id, size_t depth,
                         struct error *error)
{
    if (interrupt_requested())
        return fail(error, ERR_INTERRUPTED, "stopped before %s", path);
    struct stat about = {0};
    if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode))
        return add_regular(files, path, id, &about, error);
    if (depth > 0 && folder_is_link(path)) /* it may lead back here */
        return add_refused(files, path, "is a link to a folder; name the folder itself", error);
    return walk_folder(files, path, id, depth, error);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static status walk_inputs(struct input_files *files, const struct input_request *request,
                          struct error *error)
{
    const char **sorted;
    TRY_ALLOC(sorted, files->arena, request->count + 1, error);
    for (size_t i = 0; i < request->count; i++)
        sorted[i] = request->inputs[i];
    qsort(sorted, request->count, sizeof *sorted, compare_paths);
    for (size_t i = 0; i < request->count; i++) {
        if (!path_exists(sorted[i]))
            return fail(error, ERR_USAGE, "%s: there is no such file or folder", sorted[i]);
        if (is_left_alone(files, sorted[i]))
            return fail(error, ERR_USAGE,
                        "%s: is an input and the folder to be written; name another one to write",
                        sorted[i]);
        const char *slash = strrchr(sorted[i], '/');
        const char *id = folder_exists(sorted[i]) ? "" : slash ? slash + 1 : sorted[i];
        TRY(walk_entry(files, sorted[i], id, 0, error));
    }
    return OK;
}

static status identify(struct input_files *files, struct error *error)
{
    struct sha256_state state;
    TRY(sha256_begin(&state, error));
    for (size_t i = 0; i < files->count; i++) {
        const struct input_file *file = &files->list[i];
        struct stat found = {0};
        if (stat(file->path, &found) != 0)
            found.st_size = -1;
        const int64_t numbers[3] = {found.st_size, found.st_mtim.tv_sec, found.st_mtim.tv_nsec};
        sha256_add(&state, file->path, strlen(file->path) + 1);
        sha256_add(&state, file->id, strlen(file->id) + 1);
        sha256_add(&state, numbers, sizeof numbers);
        files->bytes += file->size;
    }
    files->identity = sha256_end(&state);
    return OK;
}

status input_files_find(struct input_files *out, const struct input_request *request,
                        struct arena *arena, struct error *error)
{
    ASSERT(out && request && request->inputs && arena && error);
    *out = (struct input_files){.arena = arena};
    leave_alone(out, request);
    TRY(walk_inputs(out, request, error));
    return identify(out, error);
}
