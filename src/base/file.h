/* Files: mapped reads, atomic replacement, folders.  Every error names the path.  Thread-safe, no
 * state. */
#ifndef RODNIK_BASE_FILE_H
#define RODNIK_BASE_FILE_H

#include "base/arena.h"
#include "base/string.h"

struct file_bytes {
    const uint8_t *data;
    size_t len;
}; /* a read-only mapping; len 0 has data NULL */

MUST_USE status file_map(struct file_bytes *out, const char *path, struct error *error);
void file_unmap(struct file_bytes *bytes);
/* Reads a whole file of at most len_max bytes into the arena, NUL-terminated. */
MUST_USE status file_read(struct view *out, const char *path, size_t len_max, struct arena *arena,
                          struct error *error);

/* Writes beside (`path.tmp-PID`), fsyncs, renames, fsyncs the folder: readers see the old or the
 * new file, never a part. */
MUST_USE status file_write_atomic(const char *path, const void *data, size_t len,
                                  struct error *error);

/* The same in pieces.  file_writer_commit publishes; file_writer_abort removes the part.  One of
 * them ends the writer. A writer must be zeroed or ended before reuse. */
struct file_writer {
    int descriptor;
    uint64_t written;
    char path[PATH_BYTES];
    char part[PATH_BYTES];
    uint8_t *pending;
    size_t pending_len;
};
MUST_USE status file_writer_open(struct file_writer *out, const char *path, struct error *error);
MUST_USE status file_writer_add(struct file_writer *writer, const void *data, size_t len,
                                struct error *error);
MUST_USE status file_writer_commit(struct file_writer *writer, struct error *error);
void file_writer_abort(struct file_writer *writer);
/* Puts other bytes in the place of some that were added. */
MUST_USE status file_writer_patch(struct file_writer *writer, uint64_t offset, const void *data,
                                  size_t len, struct error *error);

/* A file without a name, for what does not fit into memory: gone when it is closed, also by kill
 * -9.  A scratch must be zeroed or closed before reuse. */
struct file_scratch {
    int descriptor;
    uint64_t len;
    char folder[PATH_BYTES];
};
MUST_USE status file_scratch_open(struct file_scratch *out, const char *folder,
                                  struct error *error);
/* Writes at the end. */
MUST_USE status file_scratch_add(struct file_scratch *scratch, const void *data, size_t len,
                                 struct error *error);
/* Fills `out` with `len` bytes from `offset` on; any thread, while nothing is added. */
MUST_USE status file_scratch_read(void *out, const struct file_scratch *scratch, uint64_t offset,
                                  size_t len, struct error *error);
void file_scratch_close(struct file_scratch *scratch);
/* The same with a name, for what is to outlast the process: the file is made or cut to `len` bytes;
 * one that has fewer is ERR_FORMAT. */
MUST_USE status file_scratch_open_named(struct file_scratch *out, const char *path, uint64_t len,
                                        struct error *error);
/* What was added is on the disk when this returns. */
MUST_USE status file_scratch_sync(struct file_scratch *scratch, struct error *error);

/* Appends bytes with one write and fsyncs (ledger lines, metrics); on failure takes back what was
 * written of them. */
MUST_USE status file_append(const char *path, const void *data, size_t len, struct error *error);
/* Cuts the file to `len` bytes and fsyncs. */
MUST_USE status file_truncate(const char *path, uint64_t len, struct error *error);

bool file_exists(const char *path);
bool folder_exists(const char *path);
bool path_exists(const char *path); /* as anything: file, folder, pipe, device */
bool folder_is_link(const char *path);
MUST_USE status file_size(uint64_t *out, const char *path, struct error *error);
MUST_USE status folder_make(const char *path,
                            struct error *error); /* with its parents; there already is OK */
MUST_USE status folder_sync(const char *path, struct error *error);
MUST_USE status path_rename(const char *from, const char *to, struct error *error);
MUST_USE status path_remove_tree(const char *path,
                                 struct error *error); /* never follows links; absent is OK */
/* Names in the folder (without . and ..), sorted by bytes. */
MUST_USE status folder_list(char ***out, size_t *count, const char *path, struct arena *arena,
                            struct error *error);
/* Only one process works in a folder: takes an exclusive lock on `path/.lock`, ERR_CONFLICT if
 * another
 * holds it. The lock ends with the descriptor (also by kill -9). */
MUST_USE status folder_lock(int *descriptor, const char *path, struct error *error);
void folder_unlock(int descriptor);

/* Fault injection for tests: from the nth write on, writes of this process fail with `error_number`
 * (0: never). */
void file_fail_after(size_t nth_write, int error_number);

#endif
