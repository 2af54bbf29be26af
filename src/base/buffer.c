#include "base/buffer.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"

void buffer_create(struct buffer *out, size_t len_max)
{
    ASSERT(out && len_max < SIZE_MAX / 2);
    *out = (struct buffer){.len_max = len_max};
}

void buffer_destroy(struct buffer *buffer)
{
    memory_give(buffer->data);
    *buffer = (struct buffer){.len_max = buffer->len_max};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->len = 0;
    if (buffer->data)
        buffer->data[0] = 0;
}

status buffer_reserve(struct buffer *buffer, size_t extra, struct error *error)
{
    ASSERT(buffer && error && buffer->len <= buffer->len_max);
    if (extra > buffer->len_max - buffer->len)
        return fail(error, ERR_LIMIT, "a text of more than %zu bytes exceeds the limit of %zu",
                    buffer->len, buffer->len_max);
    size_t wanted = buffer->len + extra + 1;
    if (wanted <= buffer->capacity)
        return OK;
    size_t capacity = buffer->capacity + buffer->capacity / 2;
    if (capacity < wanted)
        capacity = wanted;
    if (capacity < 64)
        capacity = 64;
    char *data = memory_resize(buffer->data, capacity);
    if (!data)
        return fail(error, ERR_MEMORY, "the system has no %zu bytes of memory left", capacity);
    buffer->data = data;
    buffer->capacity = capacity;
    return OK;
}

status buffer_append(struct buffer *buffer, const void *data, size_t len, struct error *error)
{
    TRY(buffer_reserve(buffer, len, error));
    if (len)
        memcpy(buffer->data + buffer->len, data, len);
    buffer->len += len;
    buffer->data[buffer->len] = 0;
    return OK;
}

status buffer_string(struct buffer *buffer, const char *text, struct error *error)
{
    return buffer_append(buffer, text, strlen(text), error);
}

status buffer_format(struct buffer *buffer, struct error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    ASSERT(len >= 0);
    TRY(buffer_reserve(buffer, (size_t)len, error));
    va_start(arguments, format);
    vsnprintf(buffer->data + buffer->len, (size_t)len + 1, format, arguments);
    va_end(arguments);
    buffer->len += (size_t)len;
    return OK;
}
