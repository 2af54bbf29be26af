/* Where the folder is to stand: what may be replaced there, and the step that replaces it. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "corpus/corpus_internal.h"

/* Whatever a folder of a corpus may hold; with anything else in it nobody may replace it. */
static bool is_part_of_corpus(const char *name)
{
    static const char *const names[] = {
        "texts.bin",           "documents.jsonl", "decisions.jsonl", "forgotten.jsonl",
        "contamination.jsonl", "signals.bin",     "manifest.json",   ".lock"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0 ||
            (strncmp(name, names[i], strlen(names[i])) == 0 &&
             strncmp(name + strlen(names[i]), ".tmp-", 5) == 0)) /* of a writer that was killed */
            return true;
    return false;
}

static bool is_mounted(const char *path)
{
    struct statx info;
    return statx(AT_FDCWD, path, 0, STATX_TYPE, &info) == 0 &&
           (info.stx_attributes_mask & info.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static status check_names(const char *out, struct arena *arena, struct error *error)
{
    char **names;
    size_t count;
    bool manifest = false;
    TRY(folder_list(&names, &count, out, arena, error));
    for (size_t i = 0; i < count; i++) {
        if (!is_part_of_corpus(names[i]))
            return fail(error, ERR_CONFLICT,
                        "%s: holds other files than a corpus, such as %s; name a new folder", out,
                        names[i]);
        manifest |= strcmp(names[i], "manifest.json") == 0;
    }
    if (count && !manifest)
        return fail(error, ERR_CONFLICT,
                    "%s: holds parts of a corpus, but no manifest.json; "
                    "name a new folder",
                    out);
    return OK;
}

status place_check(const char *out, struct error *error)
{
    ASSERT(out && error);
    char path[PATH_BYTES];
    struct stat info;
    struct arena *arena;
    TRY(place_name(path, out, "", error));
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return fail(error, ERR_USAGE,
                    "'%s' can't be the folder of a corpus, which is replaced as a whole: "
                    "name a folder in it",
                    out);
    if (lstat(path, &info) != 0)
        return OK; /* what else may be wrong is said when it is made */
    if (!S_ISDIR(info.st_mode))
        return fail(error, ERR_CONFLICT, "%s: is there and is %s; name a new folder", out,
                    S_ISLNK(info.st_mode) ? "a link" : "no folder");
    if (is_mounted(path))
        return fail(error, ERR_CONFLICT,
                    "%s: is where a file system is mounted, which can't be replaced as a whole: "
                    "name a folder in it",
                    out);
    TRY(arena_create(&arena, 0, error));
    status result = check_names(path, arena, error);
    arena_destroy(arena);
    return result;
}

status place_name(char path[PATH_BYTES], const char *out, const char *suffix, struct error *error)
{
    ASSERT(path && out && suffix && error);
    size_t len = strlen(out);
    while (len > 1 && out[len - 1] == '/')
        len--;
    if (snprintf(path, PATH_BYTES, "%.*s%s", (int)len, out, suffix) >= PATH_BYTES)
        return fail(error, ERR_LIMIT, "%s: the path is longer than %d bytes", out, PATH_BYTES);
    return OK;
}

/* Nobody may change the older corpus meanwhile, as forgetting does. */
static status exchange(const char *part, const char *path, struct error *error)
{
    int lock;
    TRY(folder_lock(&lock, path, error));
    status result = OK;
    if (renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_EXCHANGE) != 0)
        result = fail_errno(error, "%s: can't be replaced", path);
    else
        result = path_remove_tree(part, error);
    folder_unlock(lock);
    return result;
}

/* An older corpus changes places with the new one in one step. */
status place_put(const char *part, const char *out, struct error *error)
{
    ASSERT(part && out && error);
    char path[PATH_BYTES];
    TRY(place_check(out, error)); /* it may have changed since the beginning */
    TRY(place_name(path, out, "", error));
    if (!folder_exists(path) || rmdir(path) == 0)
        return path_rename(part, path, error);
    return exchange(part, path, error);
}
