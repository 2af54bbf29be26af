/* The safetensors format: u64 header length, a JSON header, data without holes.  Everything read
 * from a file is checked before
 * it is used: a file that is accepted maps every tensor to bytes inside it. */
#include "model/model.h"

#include <cjson/cJSON.h>
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"

enum {
    HEADER_BYTES_MAX = 100 << 20,
    TENSORS_MAX = 65536,
    NAME_BYTES_MAX = 256,
    PREFIX_BYTES = 8,
};

static const struct {
    const char *name;
    size_t bytes;
} types[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8}, {"I32", 4},
             {"I16", 2}, {"I8", 1},  {"U8", 1},  {"BOOL", 1}, {"U32", 4}, {"U64", 8}};

/* 0 when the type is unknown. */
static size_t type_bytes(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            return types[i].bytes;
    return 0;
}

/* ---- writing ---- */

static status write_header(struct buffer *header, const struct safetensor *tensors, size_t count,
                           const char *metadata_json, struct error *error)
{
    TRY(buffer_format(header, error, "{\"__metadata__\":%s",
                      metadata_json ? metadata_json : "{\"format\":\"pt\"}"));
    uint64_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        const struct safetensor *tensor = &tensors[i];
        ASSERT(type_bytes(tensor->dtype) && strpbrk(tensor->name, "\"\\") == NULL);
        TRY(buffer_format(header, error, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", tensor->name,
                          tensor->dtype));
        for (size_t d = 0; d < tensor->dimensions; d++)
            TRY(buffer_format(header, error, "%s%zu", d ? "," : "", tensor->shape[d]));
        TRY(buffer_format(header, error, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", offset,
                          offset + tensor->bytes));
        offset += tensor->bytes;
    }
    TRY(buffer_string(header, "}", error));
    while (header->len % 8)
        TRY(buffer_string(header, " ", error));
    return OK;
}

/* Data that stand in memory, tensor by tensor. */
struct standing {
    const struct safetensor *next;
};

static status next_standing(void *context, struct view *piece, struct error *error)
{
    struct standing *standing = context;
    (void)error;
    *piece = (struct view){standing->next->data, standing->next->bytes};
    standing->next++;
    return OK;
}

static status write_file(struct file_writer *writer, const struct buffer *header, uint64_t bytes,
                         const struct safetensors_source *source, struct error *error)
{
    uint64_t length = htole64(header->len);
    TRY(file_writer_add(writer, &length, sizeof length, error));
    TRY(file_writer_add(writer, header->data, header->len, error));
    while (bytes) {
        struct view piece;
        TRY(source->next(source->context, &piece, error));
        ASSERT(piece.len <= bytes);
        TRY(file_writer_add(writer, piece.data, piece.len, error));
        bytes -= piece.len;
    }
    return OK;
}

static status write_with_header(const char *path, const struct buffer *header, uint64_t bytes,
                                const struct safetensors_source *source, struct error *error)
{
    struct file_writer writer = {0};
    TRY(file_writer_open(&writer, path, error));
    status result = write_file(&writer, header, bytes, source, error);
    if (result == OK)
        return file_writer_commit(&writer, error);
    file_writer_abort(&writer);
    return result;
}

static status write_all(const char *path, const struct safetensor *tensors, size_t count,
                        const char *metadata_json, const struct safetensors_source *source,
                        struct error *error)
{
    ASSERT(path && tensors && count <= TENSORS_MAX && error);
    struct buffer header;
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += tensors[i].bytes;
    buffer_create(&header, HEADER_BYTES_MAX);
    status result = write_header(&header, tensors, count, metadata_json, error);
    if (result == OK)
        result = write_with_header(path, &header, bytes, source, error);
    buffer_destroy(&header);
    return result;
}

status safetensors_write(const char *path, const struct safetensor *tensors, size_t count,
                         const char *metadata_json, struct error *error)
{
    struct standing standing = {tensors};
    return write_all(path, tensors, count, metadata_json,
                     &(struct safetensors_source){next_standing, &standing}, error);
}

status safetensors_write_from(const char *path, const struct safetensor *tensors, size_t count,
                              const struct safetensors_source *source, struct error *error)
{
    ASSERT(source);
    return write_all(path, tensors, count, NULL, source, error);
}

/* ---- reading ---- */

struct reader {
    const char *name; /* of the file, for errors */
    const char *data;
    uint64_t data_len;
    struct arena *arena;
    struct error *error;
};

static bool whole_number(uint64_t *out, const cJSON *item)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= 9e15))
        return false;
    *out = (uint64_t)item->valuedouble;
    return (double)*out == item->valuedouble;
}

static status read_shape(struct safetensor *out, const cJSON *shape, size_t element_bytes,
                         const struct reader *reader)
{
    int dimensions = cJSON_IsArray(shape) ? cJSON_GetArraySize(shape) : -1;
    if (dimensions < 0 || dimensions > 4)
        return fail(reader->error, ERR_FORMAT,
                    "%s: tensor %s has %d dimensions, allowed are 0 to 4", reader->name, out->name,
                    dimensions);
    out->dimensions = (size_t)dimensions;
    out->bytes = element_bytes;
    size_t i = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, shape)
    {
        uint64_t size;
        if (!whole_number(&size, item) ||
            __builtin_mul_overflow(out->bytes, (size_t)size, &out->bytes) ||
            out->bytes > reader->data_len)
            return fail(reader->error, ERR_FORMAT,
                        "%s: tensor %s has a shape larger than the file's %" PRIu64 " bytes",
                        reader->name, out->name, reader->data_len);
        out->shape[i++] = (size_t)size;
    }
    return OK;
}

static status read_tensor(struct safetensor *out, const cJSON *entry, uint64_t *expected,
                          const struct reader *reader)
{
    struct error *error = reader->error;
    const char *file = reader->name;
    if (strlen(entry->string) > NAME_BYTES_MAX)
        return fail(error, ERR_LIMIT, "%s: a tensor's name is longer than %d bytes", file,
                    NAME_BYTES_MAX);
    out->name = arena_string(reader->arena, entry->string, error);
    if (!out->name)
        return error->code;
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(entry, "dtype");
    size_t element_bytes = cJSON_IsString(type) ? type_bytes(type->valuestring) : 0;
    if (!element_bytes)
        return fail(error, ERR_FORMAT, "%s: tensor %s has no known dtype", file, out->name);
    out->dtype = arena_string(reader->arena, type->valuestring, error);
    if (!out->dtype)
        return error->code;
    TRY(read_shape(out, cJSON_GetObjectItemCaseSensitive(entry, "shape"), element_bytes, reader));
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
    uint64_t begin, end;
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 ||
        !whole_number(&begin, offsets->child) || !whole_number(&end, offsets->child->next))
        return fail(error, ERR_FORMAT, "%s: tensor %s has no data_offsets", file, out->name);
    if (begin != *expected || end < begin || end - begin != out->bytes || end > reader->data_len)
        return fail(error, ERR_FORMAT,
                    "%s: tensor %s lies at %" PRIu64 " to %" PRIu64 ", expected %" PRIu64
                    " to %" PRIu64,
                    file, out->name, begin, end, *expected, *expected + out->bytes);
    out->data = reader->data + begin;
    *expected = end;
    return OK;
}

static status read_metadata(struct safetensors *out, const cJSON *entry,
                            const struct reader *reader)
{
    if (!cJSON_IsObject(entry))
        return fail(reader->error, ERR_FORMAT, "%s: __metadata__ is not an object", reader->name);
    char *text = cJSON_PrintUnformatted(entry);
    if (!text)
        return fail(reader->error, ERR_MEMORY, "%s: no memory for its metadata", reader->name);
    out->metadata_json = arena_string(reader->arena, text, reader->error);
    cJSON_free(text);
    return out->metadata_json ? OK : reader->error->code;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const struct safetensor *const *)a)->name,
                  (*(const struct safetensor *const *)b)->name);
}

static status check_names(const struct safetensors *file, const struct reader *reader)
{
    const struct safetensor **sorted;
    TRY_ALLOC(sorted, reader->arena, file->count + 1, reader->error);
    for (size_t i = 0; i < file->count; i++)
        sorted[i] = &file->tensors[i];
    if (file->count)
        qsort(sorted, file->count, sizeof *sorted, compare_names);
    for (size_t i = 1; i < file->count; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            return fail(reader->error, ERR_FORMAT, "%s: tensor %s stands twice", reader->name,
                        sorted[i]->name);
    return OK;
}

/* Tensors must stand in the header in the order of their data, as every writer puts them. */
static status read_entries(struct safetensors *out, const cJSON *header,
                           const struct reader *reader)
{
    int count = cJSON_GetArraySize(header);
    if (count > TENSORS_MAX)
        return fail(reader->error, ERR_LIMIT, "%s: holds %d tensors, allowed are %d", reader->name,
                    count, TENSORS_MAX);
    TRY_ALLOC(out->tensors, reader->arena, (size_t)count + 1, reader->error);
    uint64_t expected = 0;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, header)
    {
        if (strcmp(entry->string, "__metadata__") == 0)
            TRY(read_metadata(out, entry, reader));
        else
            TRY(read_tensor(&out->tensors[out->count++], entry, &expected, reader));
    }
    if (expected != reader->data_len)
        return fail(reader->error, ERR_FORMAT,
                    "%s: its tensors end at byte %" PRIu64 " of %" PRIu64 " bytes of data",
                    reader->name, expected, reader->data_len);
    return check_names(out, reader);
}

status safetensors_parse(struct safetensors *out, const void *data, size_t len, const char *name,
                         struct arena *arena, struct error *error)
{
    ASSERT(out && (data || !len) && name && arena && error);
    uint64_t header_len = 0;
    if (len >= PREFIX_BYTES)
        memcpy(&header_len, data, PREFIX_BYTES);
    header_len = le64toh(header_len);
    if (len < PREFIX_BYTES || header_len > len - PREFIX_BYTES || header_len > HEADER_BYTES_MAX)
        return fail(error, ERR_FORMAT,
                    "%s: %zu bytes are too few for its header of %" PRIu64 " bytes (at most %d)",
                    name, len, header_len, HEADER_BYTES_MAX);
    const char *text = (const char *)data + PREFIX_BYTES;
    cJSON *header = header_len && text[0] == '{' ? cJSON_ParseWithLength(text, header_len) : NULL;
    if (!cJSON_IsObject(header)) {
        cJSON_Delete(header);
        return fail(error, ERR_FORMAT, "%s: its header is not a JSON object", name);
    }
    struct reader reader = {.name = name,
                            .data = text + header_len,
                            .data_len = len - PREFIX_BYTES - header_len,
                            .arena = arena,
                            .error = error};
    struct safetensors file = {0};
    status result = read_entries(&file, header, &reader);
    cJSON_Delete(header);
    if (result == OK)
        *out = file;
    return result;
}

status safetensors_open(struct safetensors *out, const char *path, struct arena *arena,
                        struct error *error)
{
    ASSERT(out && path && arena && error);
    struct file_bytes bytes;
    TRY(file_map(&bytes, path, error));
    struct safetensors file = {0};
    status result = safetensors_parse(&file, bytes.data, bytes.len, path, arena, error);
    if (result != OK) {
        file_unmap(&bytes);
        return result;
    }
    file.mapping = bytes;
    *out = file;
    return OK;
}

void safetensors_close(struct safetensors *file)
{
    ASSERT(file);
    file_unmap(&file->mapping);
    *file = (struct safetensors){0};
}

const struct safetensor *safetensors_find(const struct safetensors *file, const char *name)
{
    ASSERT(file && name);
    for (size_t i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}
