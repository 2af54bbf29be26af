/* The file of signals: a header, records of variable length, a trailer with count, length, hash. */
#include "corpus/signals.h"

#include <string.h>

#define SIGNALS_MAGIC "rodnik signals\n"
enum {
    SIGNALS_VERSION = 1,
    HEADER_BYTES = 32,  /* magic (16), u32 version, u32 fields, u32 labels, u32 zero */
    TRAILER_BYTES = 48, /* u64 records, u64 bytes of the file, SHA-256 of all before it */
    NUMBER_BYTES_MAX = 10,
    RECORD_BYTES_MAX = SHA256_BYTES + SIGNAL_COUNT * NUMBER_BYTES_MAX
};

/* ---- writing ---- */

static status add(struct signals_writer *writer, const void *data, size_t len, struct error *error)
{
    sha256_add(&writer->hash, data, len);
    return file_writer_add(&writer->file, data, len, error);
}

static status add_header(struct signals_writer *writer, const struct language_model *model,
                         struct error *error)
{
    char header[HEADER_BYTES] = SIGNALS_MAGIC;
    const uint32_t numbers[3] = {SIGNALS_VERSION, SIGNAL_COUNT,
                                 model ? (uint32_t)language_count(model) : 0};
    memcpy(header + 16, numbers, sizeof numbers);
    TRY(add(writer, header, sizeof header, error));
    for (uint32_t i = 0; i < numbers[2]; i++) {
        char label[LANGUAGE_LABEL_BYTES] = "";
        const char *name = language_label(model, (int)i);
        memcpy(label, name, strlen(name));
        TRY(add(writer, label, sizeof label, error));
    }
    return OK;
}

status signals_writer_open(struct signals_writer *out, const char *path,
                           const struct language_model *model, struct error *error)
{
    ASSERT(out && path && error);
    *out = (struct signals_writer){0};
    TRY(sha256_begin(&out->hash, error));
    status result = file_writer_open(&out->file, path, error);
    if (result != OK) {
        (void)sha256_end(&out->hash);
        return result;
    }
    result = add_header(out, model, error);
    if (result != OK)
        signals_writer_abort(out);
    return result;
}

static size_t put_number(uint8_t *out, uint64_t value)
{
    size_t len = 0;
    while (value >= 0x80) {
        out[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[len++] = (uint8_t)value;
    return len;
}

status signals_writer_add(struct signals_writer *writer, const struct sha256 *text,
                          const struct signals *signals, struct error *error)
{
    ASSERT(writer && text && signals && error);
    uint8_t record[RECORD_BYTES_MAX];
    size_t len = SHA256_BYTES;
    memcpy(record, text->byte, SHA256_BYTES);
    for (int i = 0; i < SIGNAL_COUNT; i++)
        len += put_number(record + len, signals_value(signals, i));
    writer->records++;
    return add(writer, record, len, error);
}

status signals_writer_commit(struct signals_writer *writer, struct error *error)
{
    ASSERT(writer && error);
    uint64_t numbers[2] = {writer->records, writer->file.written + TRAILER_BYTES};
    status result = add(writer, numbers, sizeof numbers, error);
    struct sha256 hash = sha256_end(&writer->hash);
    if (result == OK)
        result = file_writer_add(&writer->file, hash.byte, sizeof hash.byte, error);
    if (result == OK)
        return file_writer_commit(&writer->file, error);
    file_writer_abort(&writer->file);
    return result;
}

void signals_writer_abort(struct signals_writer *writer)
{
    (void)sha256_end(&writer->hash);
    file_writer_abort(&writer->file);
}

/* ---- reading ---- */

static status bad(const char *name, const char *what, struct error *error)
{
    return fail(error, ERR_FORMAT, "%s: %s; allowed is a whole file of signals, version %d", name,
                what, SIGNALS_VERSION);
}

static status check_hash(uint64_t *records, struct view file, const char *name, struct error *error)
{
    const char *trailer = file.data + file.len - TRAILER_BYTES;
    uint64_t numbers[2];
    memcpy(numbers, trailer, sizeof numbers);
    struct sha256 hash = sha256_of(file.data, file.len - SHA256_BYTES);
    if (numbers[1] != file.len)
        return bad(name, "is cut off", error);
    if (memcmp(hash.byte, trailer + sizeof numbers, SHA256_BYTES) != 0)
        return bad(name, "is damaged (its hash differs)", error);
    if (numbers[0] > file.len / SHA256_BYTES)
        return bad(name, "names more records than it holds", error);
    *records = numbers[0];
    return OK;
}

static bool label_is_good(const char label[LANGUAGE_LABEL_BYTES])
{
    size_t len = strnlen(label, LANGUAGE_LABEL_BYTES);
    for (size_t i = 0; i < len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", label[i]))
            return false;
    return len > 0 && len < LANGUAGE_LABEL_BYTES;
}

status signals_reader_open(struct signals_reader *out, struct view file, const char *name,
                           struct error *error)
{
    ASSERT(out && name && error);
    struct signals_reader reader = {.name = name};
    uint32_t numbers[3];
    if (file.len < HEADER_BYTES + TRAILER_BYTES || memcmp(file.data, SIGNALS_MAGIC, 16) != 0)
        return bad(name, "is no file of signals", error);
    memcpy(numbers, file.data + 16, sizeof numbers);
    if (numbers[0] != SIGNALS_VERSION || numbers[1] != SIGNAL_COUNT)
        return bad(name, "is of another version", error);
    size_t header = HEADER_BYTES + (size_t)numbers[2] * LANGUAGE_LABEL_BYTES;
    if (numbers[2] > LANGUAGES_MAX || file.len < header + TRAILER_BYTES)
        return bad(name, "names more languages than are allowed", error);
    TRY(check_hash(&reader.records, file, name, error));
    reader.labels = (int)numbers[2];
    for (int i = 0; i < reader.labels; i++) {
        memcpy(reader.label[i], file.data + HEADER_BYTES + i * LANGUAGE_LABEL_BYTES,
               LANGUAGE_LABEL_BYTES);
        if (!label_is_good(reader.label[i]))
            return bad(name, "has a label that is not allowed", error);
    }
    reader.rest = (struct view){file.data + header, file.len - header - TRAILER_BYTES};
    *out = reader;
    return OK;
}

static bool take_number(uint64_t *out, struct view *rest)
{
    uint64_t value = 0;
    for (size_t i = 0; i < NUMBER_BYTES_MAX && i < rest->len; i++) {
        uint8_t byte = (uint8_t)rest->data[i];
        if (i == NUMBER_BYTES_MAX - 1 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7F) << 7 * i;
        if (byte < 0x80) {
            *out = value;
            *rest = (struct view){rest->data + i + 1, rest->len - i - 1};
            return true;
        }
    }
    return false;
}

static bool take_record(struct sha256 *text, struct signals *signals, struct signals_reader *reader)
{
    if (reader->rest.len < SHA256_BYTES)
        return false;
    memcpy(text->byte, reader->rest.data, SHA256_BYTES);
    reader->rest.data += SHA256_BYTES;
    reader->rest.len -= SHA256_BYTES;
#define TAKE(name, meaning)                                                                        \
    if (!take_number(&signals->name, &reader->rest))                                               \
        return false;
    SIGNALS(TAKE)
#undef TAKE
    return signals->language <= (uint64_t)reader->labels &&
           signals->language_score <= SIGNAL_TEN_THOUSAND;
}

status signals_reader_next(bool *more, struct sha256 *text, struct signals *signals,
                           struct signals_reader *reader, struct error *error)
{
    ASSERT(more && text && signals && reader && error);
    *more = reader->rest.len > 0;
    if (!*more)
        return OK;
    return take_record(text, signals, reader) ? OK : bad(reader->name, "has a bad record", error);
}

const char *signals_language(const struct signals_reader *reader, const struct signals *signals)
{
    ASSERT(signals->language <= (uint64_t)reader->labels);
    return signals->language ? reader->label[signals->language - 1] : "none";
}
