/* A byte buffer that grows up to a stated maximum.  Owned by its creator; one thread at a time. */
#ifndef RODNIK_BASE_BUFFER_H
#define RODNIK_BASE_BUFFER_H

#include "base/error.h"

struct buffer {
    char *
        data; /* always followed by a NUL that `len` does not count; NULL while nothing was added */
    size_t len;
    size_t capacity;
    size_t len_max; /* appending past it fails with ERR_LIMIT */
};

void buffer_create(struct buffer *out, size_t len_max);
void buffer_destroy(struct buffer *buffer);
void buffer_clear(struct buffer *buffer);
MUST_USE status buffer_reserve(struct buffer *buffer, size_t extra, struct error *error);
MUST_USE status buffer_append(struct buffer *buffer, const void *data, size_t len,
                              struct error *error);
MUST_USE status buffer_string(struct buffer *buffer, const char *text, struct error *error);
MUST_USE status buffer_format(struct buffer *buffer, struct error *error, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif
