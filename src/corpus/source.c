/* Bytes that come in pieces, from memory or out of an archive. */
#include "corpus/reader_internal.h"

#include <archive.h>
#include <string.h>

enum { PIECE_BYTES = 1 << 20, LINE_BEGINS_BYTES = 1 << 16 };

struct source source_of(struct view bytes)
{
    return (struct source){.left = bytes, .complete = true};
}

void source_close(struct source *source)
{
    buffer_destroy(&source->buffer);
    source->left = (struct view){NULL, 0};
}

/* What was taken goes, so that the buffer holds no more than is asked for. */
static void move_to_front(struct source *source)
{
    struct buffer *buffer = &source->buffer;
    if (source->left.len && source->left.data != buffer->data)
        memmove(buffer->data, source->left.data, source->left.len);
    buffer->len = source->left.len;
}

static status take_more(struct source *source, size_t bytes, struct error *error)
{
    struct reading *reading = source->reading;
    TRY(buffer_reserve(&source->buffer, bytes, error));
    la_ssize_t got =
        archive_read_data(source->archive, source->buffer.data + source->buffer.len, bytes);
    if (got <= 0) {
        source->complete = true;
        if (got < 0)
            source->fault = "is damaged or cut off";
        return OK;
    }
    source->buffer.len += (size_t)got;
    reading->unpacked += (uint64_t)got;
    if (reading->unpacked > reading->unpacked_max)
        return fail(error, ERR_LIMIT, "unpacks to more than %d times its size", UNPACKED_RATIO);
    return OK;
}

status source_want(struct source *source, size_t bytes, struct error *error)
{
    if (source->complete || source->left.len >= bytes)
        return OK;
    move_to_front(source);
    status result = OK;
    while (result == OK && !source->complete && source->buffer.len < bytes) {
        size_t lacking = bytes - source->buffer.len;
        result = take_more(source, lacking < PIECE_BYTES ? PIECE_BYTES : lacking, error);
    }
    source->left = (struct view){source->buffer.data, source->buffer.len};
    return result;
}

void source_take(struct source *source, size_t bytes)
{
    ASSERT(bytes <= source->left.len);
    source->left.data += bytes;
    source->left.len -= bytes;
}

/* Drops the rest of a line that is too long. */
static status skip_line(struct source *source, struct error *error)
{
    for (;;) {
        const char *end =
            source->left.len ? memchr(source->left.data, '\n', source->left.len) : NULL;
        if (end) {
            source_take(source, (size_t)(end - source->left.data) + 1);
            return OK;
        }
        source_take(source, source->left.len);
        TRY(source_want(source, PIECE_BYTES, error));
        if (!source->left.len)
            return OK;
    }
}

status source_line(bool *found, struct view *line, bool *too_long, struct source *source,
                   struct error *error)
{
    size_t seen = 0;
    const char *end = NULL;
    *too_long = false;
    TRY(source_want(source, 1, error));
    *found = source->left.len > 0;
    while (*found && !end) {
        if (source->left.len > seen)
            end = memchr(source->left.data + seen, '\n', source->left.len - seen);
        seen = source->left.len;
        if (end || source->complete || seen > LINE_BYTES_MAX)
            break;
        TRY(source_want(source, 2 * seen + LINE_BEGINS_BYTES, error));
    }
    size_t len = end ? (size_t)(end - source->left.data) : seen;
    *line = (struct view){source->left.data, len};
    if (len > LINE_BYTES_MAX) {
        *too_long = true;
        return skip_line(source, error);
    }
    if (len && line->data[len - 1] == '\r')
        line->len--;
    if (*found)
        source_take(source, len + (end != NULL));
    return OK;
}

status source_all(struct view *out, struct source *source, size_t bytes_max, struct error *error)
{
    /* twice what is there each time, so that it is moved a bounded number of times */
    while (!source->complete && source->left.len <= bytes_max)
        TRY(source_want(source, 2 * source->left.len + PIECE_BYTES, error));
    if (source->left.len > bytes_max)
        return fail(error, ERR_LIMIT, "has more than %zu bytes", bytes_max);
    if (source->fault)
        return fail(error, ERR_FORMAT, "%s", source->fault);
    *out = source->left;
    return OK;
}
