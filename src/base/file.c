#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PENDING_BYTES = 1 << 20 };

/* ---- writes, with faults for tests ---- */

struct fault {
    atomic_size_t writes_left; /* 0: none planned */
    atomic_int number;         /* errno once they fail, 0 before */
    atomic_int planned;
};

static struct fault *fault(void)
{
    static struct fault planned;
    return &planned;
}

void file_fail_after(size_t nth_write, int error_number)
{
    atomic_store(&fault()->number, 0);
    atomic_store(&fault()->planned, error_number);
    atomic_store(&fault()->writes_left, error_number ? nth_write : 0);
}

static bool write_fails(void)
{
    struct fault *plan = fault();
    size_t left = atomic_load(&plan->writes_left);
    if (left && atomic_fetch_sub(&plan->writes_left, 1) == 1)
        atomic_store(&plan->number, atomic_load(&plan->planned));
    errno = atomic_load(&plan->number);
    return errno != 0;
}

static bool write_all(int descriptor, const void *data, size_t len)
{
    const char *at = data;
    while (len) {
        if (write_fails())
            return false;
        ssize_t done = write(descriptor, at, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            if (done == 0)
                errno = ENOSPC;
            return false;
        }
        at += done;
        len -= (size_t)done;
    }
    return true;
}

/* ---- reading ---- */

status file_map(struct file_bytes *out, const char *path, struct error *error)
{
    ASSERT(out && path && error);
    /* Opening a pipe would wait for its writer. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat stat;
    if (descriptor < 0)
        return fail_errno(error, "%s: can't be opened", path);
    status result = OK;
    struct file_bytes bytes = {0};
    if (fstat(descriptor, &stat) != 0)
        result = fail_errno(error, "%s: can't be read", path);
    else if (!S_ISREG(stat.st_mode))
        result = fail(error, ERR_IO, "%s: is not a regular file", path);
    else if (stat.st_size > 0) {
        void *data = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (data == MAP_FAILED)
            result = fail_errno(error, "%s: can't be mapped", path);
        else
            bytes = (struct file_bytes){data, (size_t)stat.st_size};
    }
    close(descriptor);
    if (result == OK)
        *out = bytes;
    return result;
}

void file_unmap(struct file_bytes *bytes)
{
    if (bytes->data)
        munmap((void *)(uintptr_t)bytes->data, bytes->len);
    *bytes = (struct file_bytes){0};
}

status file_read(struct view *out, const char *path, size_t len_max, struct arena *arena,
                 struct error *error)
{
    ASSERT(out && path && arena && error);
    struct file_bytes bytes;
    TRY(file_map(&bytes, path, error));
    status result = OK;
    if (bytes.len > len_max)
        result =
            fail(error, ERR_LIMIT, "%s: has %zu bytes, allowed are %zu", path, bytes.len, len_max);
    char *copy = result == OK ? arena_alloc(arena, bytes.len + 1, 1, error) : NULL;
    if (copy) {
        if (bytes.len)
            memcpy(copy, bytes.data, bytes.len);
        *out = (struct view){copy, bytes.len};
    } else if (result == OK)
        result = error->code;
    file_unmap(&bytes);
    return result;
}

/* ---- atomic writing ---- */

status file_writer_open(struct file_writer *out, const char *path, struct error *error)
{
    ASSERT(out && path && error);
    struct file_writer writer = {.descriptor = -1};
    if (snprintf(writer.path, PATH_BYTES, "%s", path) >= PATH_BYTES ||
        snprintf(writer.part, PATH_BYTES, "%s.tmp-%d", path, (int)getpid()) >= PATH_BYTES)
        return fail(error, ERR_LIMIT, "%s: the path is longer than %d bytes", path, PATH_BYTES);
    writer.pending = memory_take(PENDING_BYTES);
    if (!writer.pending)
        return fail(error, ERR_MEMORY, "%s: no memory for writing", path);
    writer.descriptor = open(writer.part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (writer.descriptor < 0) {
        status result = fail_errno(error, "%s: can't be written", path);
        memory_give(writer.pending);
        return result;
    }
    *out = writer;
    return OK;
}

static status flush(struct file_writer *writer, struct error *error)
{
    size_t len = writer->pending_len;
    writer->pending_len = 0;
    if (!write_all(writer->descriptor, writer->pending, len))
        return fail_errno(error, "%s: can't be written", writer->path);
    return OK;
}

status file_writer_add(struct file_writer *writer, const void *data, size_t len,
                       struct error *error)
{
    ASSERT(writer && writer->pending && (data || !len) && error);
    writer->written += len;
    if (len > PENDING_BYTES - writer->pending_len)
        TRY(flush(writer, error));
    if (len >= PENDING_BYTES) {
        if (!write_all(writer->descriptor, data, len))
            return fail_errno(error, "%s: can't be written", writer->path);
        return OK;
    }
    if (len)
        memcpy(writer->pending + writer->pending_len, data, len);
    writer->pending_len += len;
    return OK;
}

static status sync_parent(const char *path, struct error *error)
{
    char copy[PATH_BYTES];
    snprintf(copy, sizeof copy, "%s", path);
    return folder_sync(dirname(copy), error);
}

status file_writer_patch(struct file_writer *writer, uint64_t offset, const void *data, size_t len,
                         struct error *error)
{
    ASSERT(writer && writer->pending && data && offset + len <= writer->written && error);
    TRY(flush(writer, error));
    const char *from = data;
    while (len) {
        ssize_t done = pwrite(writer->descriptor, from, len, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return fail_errno(error, "%s: can't be written", writer->path);
        from += done;
        offset += (uint64_t)done;
        len -= (size_t)done;
    }
    return OK;
}

status file_writer_commit(struct file_writer *writer, struct error *error)
{
    ASSERT(writer && writer->pending && error);
    status result = flush(writer, error);
    if (result == OK && fsync(writer->descriptor) != 0)
        result = fail_errno(error, "%s: can't be written to the disk", writer->path);
    if (close(writer->descriptor) != 0 && result == OK)
        result = fail_errno(error, "%s: can't be written", writer->path);
    writer->descriptor = -1;
    if (result == OK && rename(writer->part, writer->path) != 0)
        result = fail_errno(error, "%s: can't be replaced", writer->path);
    if (result != OK) {
        file_writer_abort(writer);
        return result;
    }
    memory_give(writer->pending);
    writer->pending = NULL;
    return sync_parent(writer->path, error);
}

void file_writer_abort(struct file_writer *writer)
{
    if (!writer->pending)
        return;
    if (writer->descriptor >= 0)
        close(writer->descriptor);
    unlink(writer->part);
    memory_give(writer->pending);
    writer->pending = NULL;
    writer->descriptor = -1;
}

status file_write_atomic(const char *path, const void *data, size_t len, struct error *error)
{
    struct file_writer writer;
    TRY(file_writer_open(&writer, path, error));
    status result = file_writer_add(&writer, data, len, error);
    if (result == OK)
        return file_writer_commit(&writer, error);
    file_writer_abort(&writer);
    return result;
}

/* ---- scratch files ---- */

/* O_TMPFILE leaves no name at any moment; where the file system does not know it, the name lives
 * for two system calls. */
static int open_nameless(const char *folder, char name[PATH_BYTES])
{
    int descriptor = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (descriptor >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
        return descriptor;
    if (snprintf(name, PATH_BYTES, "%s/.part-scratch-XXXXXX", folder) >= PATH_BYTES) {
        errno = ENAMETOOLONG;
        return -1;
    }
    descriptor = mkostemp(name, O_CLOEXEC);
    if (descriptor >= 0)
        unlink(name);
    return descriptor;
}

status file_scratch_open(struct file_scratch *out, const char *folder, struct error *error)
{
    ASSERT(out && folder && error);
    struct file_scratch scratch = {0};
    char name[PATH_BYTES];
    if (snprintf(scratch.folder, PATH_BYTES, "%s", folder) >= PATH_BYTES)
        return fail(error, ERR_LIMIT, "%s: the path is longer than %d bytes", folder, PATH_BYTES);
    scratch.descriptor = open_nameless(folder, name);
    if (scratch.descriptor < 0)
        return fail_errno(error, "%s: a temporary file can't be made there", folder);
    *out = scratch;
    return OK;
}

status file_scratch_open_named(struct file_scratch *out, const char *path, uint64_t len,
                               struct error *error)
{
    ASSERT(out && path && error);
    struct file_scratch scratch = {.len = len};
    if (snprintf(scratch.folder, PATH_BYTES, "%s", path) >= PATH_BYTES)
        return fail(error, ERR_LIMIT, "%s: the path is longer than %d bytes", path, PATH_BYTES);
    scratch.descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (scratch.descriptor < 0)
        return fail_errno(error, "%s: can't be opened for writing", path);
    off_t end = lseek(scratch.descriptor, 0, SEEK_END);
    status result = OK;
    if (end < 0 || (uint64_t)end < len)
        result = fail(error, ERR_FORMAT, "%s: has %lld bytes, at least %" PRIu64 " were expected",
                      path, (long long)end, len);
    else if (ftruncate(scratch.descriptor, (off_t)len) != 0 ||
             lseek(scratch.descriptor, (off_t)len, SEEK_SET) < 0)
        result = fail_errno(error, "%s: can't be cut", path);
    if (result != OK)
        close(scratch.descriptor);
    else
        *out = scratch;
    return result;
}

status file_scratch_sync(struct file_scratch *scratch, struct error *error)
{
    ASSERT(scratch && error);
    if (fdatasync(scratch->descriptor) != 0)
        return fail_errno(error, "%s: can't be written to the disk", scratch->folder);
    return OK;
}

status file_scratch_add(struct file_scratch *scratch, const void *data, size_t len,
                        struct error *error)
{
    ASSERT(scratch && (data || !len) && error);
    if (!write_all(scratch->descriptor, data, len))
        return fail_errno(error, "%s: a temporary file of %" PRIu64 " bytes can't grow",
                          scratch->folder, scratch->len);
    scratch->len += len;
    return OK;
}

status file_scratch_read(void *out, const struct file_scratch *scratch, uint64_t offset, size_t len,
                         struct error *error)
{
    ASSERT(out && scratch && offset <= scratch->len && len <= scratch->len - offset && error);
    char *to = out;
    while (len) {
        ssize_t done = pread(scratch->descriptor, to, len, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fail_errno(error, "%s: a temporary file can't be read", scratch->folder);
        if (done == 0)
            return fail(error, ERR_IO, "%s: a temporary file of %" PRIu64 " bytes ends at %" PRIu64,
                        scratch->folder, scratch->len, offset);
        to += done;
        offset += (uint64_t)done;
        len -= (size_t)done;
    }
    return OK;
}

void file_scratch_close(struct file_scratch *scratch)
{
    if (*scratch->folder)
        close(scratch->descriptor);
    *scratch = (struct file_scratch){0};
}

status file_append(const char *path, const void *data, size_t len, struct error *error)
{
    ASSERT(path && (data || !len) && error);
    int descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0)
        return fail_errno(error, "%s: can't be opened for appending", path);
    status result = OK;
    struct stat before;
    if (fstat(descriptor, &before) != 0)
        result = fail_errno(error, "%s: can't be read", path);
    else if (!write_all(descriptor, data, len) || fsync(descriptor) != 0) {
        result = fail_errno(error, "%s: can't be appended to", path);
        /* What did fit must not stand before the next line.  If cutting fails too, the torn end
         * stays for the reader. */
        (void)!ftruncate(descriptor, before.st_size);
    }
    close(descriptor);
    return result;
}

status file_truncate(const char *path, uint64_t len, struct error *error)
{
    int descriptor = open(path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0)
        return fail_errno(error, "%s: can't be opened", path);
    status result = OK;
    if (ftruncate(descriptor, (off_t)len) != 0 || fsync(descriptor) != 0)
        result = fail_errno(error, "%s: can't be cut to %llu bytes", path, (unsigned long long)len);
    close(descriptor);
    return result;
}

/* ---- what is there ---- */

bool file_exists(const char *path)
{
    struct stat stat_;
    return stat(path, &stat_) == 0 && S_ISREG(stat_.st_mode);
}

bool folder_exists(const char *path)
{
    struct stat stat_;
    return stat(path, &stat_) == 0 && S_ISDIR(stat_.st_mode);
}

bool path_exists(const char *path)
{
    struct stat stat_;
    return stat(path, &stat_) == 0;
}

bool folder_is_link(const char *path)
{
    struct stat stat_;
    return folder_exists(path) && lstat(path, &stat_) == 0 && S_ISLNK(stat_.st_mode);
}

status file_size(uint64_t *out, const char *path, struct error *error)
{
    struct stat stat_;
    if (stat(path, &stat_) != 0)
        return fail_errno(error, "%s: can't be read", path);
    *out = (uint64_t)stat_.st_size;
    return OK;
}

/* ---- folders ---- */

status folder_make(const char *path, struct error *error)
{
    ASSERT(path && error);
    char copy[PATH_BYTES];
    if (!*path)
        return fail(error, ERR_USAGE, "a folder's path is empty");
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
        return fail(error, ERR_LIMIT, "%s: the path is longer than %d bytes", path, PATH_BYTES);
    for (char *slash = strchr(copy + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = 0;
        if (mkdir(copy, 0755) != 0 && errno != EEXIST)
            return fail_errno(error, "%s: can't be made", copy);
        if (!slash)
            break;
        *slash = '/';
    }
    if (!folder_exists(path))
        return fail(error, ERR_IO, "%s: is there and is not a folder", path);
    return OK;
}

status folder_sync(const char *path, struct error *error)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return fail_errno(error, "%s: can't be opened", path);
    status result = OK;
    if (fsync(descriptor) != 0 && errno != EINVAL) /* some file systems can't */
        result = fail_errno(error, "%s: can't be written to the disk", path);
    close(descriptor);
    return result;
}

status path_rename(const char *from, const char *to, struct error *error)
{
    if (rename(from, to) != 0)
        return fail_errno(error, "%s: can't be renamed to %s", from, to);
    return sync_parent(to, error);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

status path_remove_tree(const char *path, struct error *error)
{
    struct stat info;
    if (lstat(path, &info) != 0 && errno == ENOENT)
        return OK;
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        return fail_errno(error, "%s: can't be removed", path);
    return OK;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
    char **list;
    size_t count, capacity;
};

static status add_name(struct names *names, const char *name, struct arena *arena,
                       struct error *error)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? 2 * names->capacity : 64;
        char **list;
        TRY_ALLOC(list, arena, capacity, error);
        if (names->count)
            memcpy(list, names->list, names->count * sizeof *list);
        names->list = list;
        names->capacity = capacity;
    }
    names->list[names->count] = arena_string(arena, name, error);
    return names->list[names->count++] ? OK : error->code;
}

status folder_list(char ***out, size_t *count, const char *path, struct arena *arena,
                   struct error *error)
{
    ASSERT(out && count && path && arena && error);
    DIR *folder = opendir(path);
    if (!folder)
        return fail_errno(error, "%s: can't be opened", path);
    struct names names = {0};
    status result = OK;
    struct dirent *entry;
    errno = 0;
    while (result == OK && (entry = readdir(folder))) {
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            result = add_name(&names, entry->d_name, arena, error);
        errno = 0;
    }
    if (result == OK && errno)
        result = fail_errno(error, "%s: can't be read", path);
    closedir(folder);
    if (result != OK)
        return result;
    if (names.count)
        qsort(names.list, names.count, sizeof *names.list, compare_strings);
    *out = names.list;
    *count = names.count;
    return OK;
}

status folder_lock(int *descriptor, const char *path, struct error *error)
{
    char name[PATH_BYTES];
    TRY(path_join(name, sizeof name, path, ".lock", error));
    int opened = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (opened < 0)
        return fail_errno(error, "%s: can't be opened", name);
    if (flock(opened, LOCK_EX | LOCK_NB) != 0) {
        close(opened);
        return fail(error, ERR_CONFLICT, "%s: another process is working there", path);
    }
    *descriptor = opened;
    return OK;
}

void folder_unlock(int descriptor)
{
    close(descriptor);
}
