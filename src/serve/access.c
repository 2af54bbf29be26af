/* Who may ask: access keys, kept as hashes. */
#include "serve/serve_internal.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"

enum { KEYS_BYTES_MAX = 1 << 20, KEY_BYTES_MIN = 8 };

static status check_mode(const char *path, struct error *error)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return fail_errno(error, "%s: can't be read", path);
    if (info.st_mode & 077)
        return fail(error, ERR_USAGE, "%s: others can read it (mode %03o), allowed is 600", path,
                    (unsigned)info.st_mode & 0777);
    return OK;
}

status access_load(struct access *out, const char *path, struct arena *arena, struct error *error)
{
    ASSERT(out && path && arena && error);
    struct access access = {0};
    struct view text, line;
    TRY(check_mode(path, error));
    TRY(file_read(&text, path, KEYS_BYTES_MAX, arena, error));
    TRY_ALLOC(access.keys, arena, ACCESS_KEYS_MAX, error);
    while (view_line(&line, &text)) {
        line = view_trim(line);
        if (line.len == 0 || line.data[0] == '#')
            continue;
        if (line.len < KEY_BYTES_MIN)
            return fail(error, ERR_USAGE, "%s: a key has %zu characters, allowed are %d and more",
                        path, line.len, KEY_BYTES_MIN);
        if (access.count == ACCESS_KEYS_MAX)
            return fail(error, ERR_LIMIT, "%s: holds more than %d keys", path, ACCESS_KEYS_MAX);
        access.keys[access.count++] = sha256_of(line.data, line.len);
    }
    if (access.count == 0)
        return fail(error, ERR_USAGE, "%s: holds no key", path);
    *out = access;
    return OK;
}

static unsigned difference(const struct sha256 *a, const struct sha256 *b)
{
    unsigned sum = 0;
    for (size_t i = 0; i < SHA256_BYTES; i++)
        sum |= (unsigned)(a->byte[i] ^ b->byte[i]);
    return sum;
}

bool access_allows(const struct access *access, const char *authorization)
{
    ASSERT(access);
    static const char scheme[] = "Bearer ";
    if (!access->keys)
        return true;
    if (!authorization || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return false;
    struct view key = view_trim(view_of(authorization + sizeof scheme - 1));
    struct sha256 hash = sha256_of(key.data, key.len);
    unsigned found = 0;
    for (size_t i = 0; i < access->count; i++)
        found |= difference(&hash, &access->keys[i]) == 0;
    return found != 0;
}
