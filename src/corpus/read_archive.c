/* Archives and packed files: what is in them is read as if it lay in a folder. */
#include "corpus/reader_internal.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "text/utf8.h"

enum { MEMBERS_MAX = 10000000, NAME_BYTES_MAX = 2048 };

static status open_archive(struct archive **out, struct view bytes, bool raw, struct error *error)
{
    struct archive *archive = archive_read_new();
    if (!archive)
        return fail(error, ERR_MEMORY, "no memory for unpacking");
    archive_read_support_filter_gzip(archive);
    archive_read_support_filter_zstd(archive);
    archive_read_support_filter_xz(archive);
    archive_read_support_filter_bzip2(archive);
    archive_read_support_format_tar(archive);
    archive_read_support_format_zip(archive);
    archive_read_support_format_7zip(archive);
    if (raw)
        archive_read_support_format_raw(archive);
    if (archive_read_open_memory(archive, bytes.data, bytes.len) != ARCHIVE_OK) {
        archive_read_free(archive);
        return fail(error, ERR_FORMAT, "is damaged or cut off");
    }
    *out = archive;
    return OK;
}

static bool is_good(int state)
{
    return state == ARCHIVE_OK || state == ARCHIVE_WARN;
}

static bool is_raw(struct archive *archive)
{
    return archive_format(archive) == ARCHIVE_FORMAT_RAW;
}

/* Names that are no UTF-8 come from old Russian Windows or DOS. */
static status member_name(struct view *out, struct archive_entry *entry, struct arena *arena,
                          struct error *error)
{
    const char *name = archive_entry_pathname(entry);
    if (!name)
        name = archive_entry_pathname_utf8(entry);
    struct view bytes = view_of(name ? name : "?");
    if (bytes.len > NAME_BYTES_MAX)
        bytes.len = NAME_BYTES_MAX;
    struct buffer decoded;
    buffer_create(&decoded, 4 * NAME_BYTES_MAX);
    enum text_encoding encoding = encoding_detect(bytes);
    status result = encoding_decode(&decoded, bytes,
                                    encoding > ENCODING_BINARY ? encoding : ENCODING_CP866, error);
    if (result == OK)
        result = view_copy(out, (struct view){decoded.data, decoded.len}, arena, error);
    buffer_destroy(&decoded);
    return result;
}

/* What programs put beside the files: __MACOSX/, .DS_Store and the like. */
static bool is_hidden(struct view name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] == '.' && (i == 0 || name.data[i - 1] == '/') && i + 1 < name.len &&
            name.data[i + 1] != '/')
            return true;
    return view_starts(name, "__MACOSX/");
}

static status read_member(struct reading *reading, struct archive *archive, struct view id,
                          struct error *error)
{
    struct source member = {.archive = archive, .reading = reading};
    buffer_create(&member.buffer, 2 * (size_t)DOCUMENT_BYTES_MAX + LINE_BYTES_MAX);
    status result = read_source(reading, &member, id, error);
    source_close(&member);
    return result;
}

/* A packed file keeps its name, members of archives stand below it. */
static status read_entry(struct reading *reading, struct archive *archive,
                         struct archive_entry *entry, struct view id, struct error *error)
{
    if (is_raw(archive))
        return read_member(reading, archive, id, error);
    struct view name, below;
    if (archive_entry_filetype(entry) != AE_IFREG)
        return OK;
    TRY(member_name(&name, entry, reading->arena, error));
    if (is_hidden(name))
        return OK;
    TRY(view_format(&below, reading->arena, error, "%.*s/%.*s", (int)id.len, id.data, (int)name.len,
                    name.data));
    if (archive_entry_is_encrypted(entry))
        return reading_refuse(reading, below, "is encrypted", error);
    return read_member(reading, archive, below, error);
}

static status read_entries(struct reading *reading, struct archive *archive, struct view id,
                           struct error *error)
{
    struct archive_entry *entry;
    for (size_t count = 0;; count++) {
        struct arena_mark mark = arena_mark(reading->arena);
        int state = archive_read_next_header(archive, &entry);
        if (state == ARCHIVE_EOF)
            return count ? OK : reading_refuse(reading, id, "holds no files", error);
        if (!is_good(state))
            return reading_refuse(reading, id, "is damaged or cut off", error);
        if (count == MEMBERS_MAX)
            return fail(error, ERR_LIMIT, "has more than %d members", MEMBERS_MAX);
        TRY(read_entry(reading, archive, entry, id, error));
        arena_rewind(reading->arena, mark);
    }
}

status read_archive(struct reading *reading, struct source *source, struct view id,
                    struct error *error)
{
    struct view bytes;
    struct archive *archive;
    struct error own = {0};
    if (reading->depth == NESTING_MAX)
        return reading_refuse(reading, id, "lies in too many archives", error);
    size_t bytes_max = source->archive ? DOCUMENT_BYTES_MAX : SIZE_MAX;
    if (source_all(&bytes, source, bytes_max, &own) != OK ||
        open_archive(&archive, bytes, true, &own) != OK) {
        if (reading->unpacked > reading->unpacked_max)
            return fail(error, own.code, "%s", own.text);
        return reading_refuse(reading, id, own.text, error);
    }
    reading->depth++;
    status result = read_entries(reading, archive, id, error);
    reading->depth--;
    archive_read_free(archive);
    return result;
}

/* ---- members of packed documents ---- */

static status take_member(struct member **list, struct reading *reading, struct archive *archive,
                          const char *name, size_t *total, struct error *error)
{
    struct source source = {.archive = archive, .reading = reading};
    struct member *member;
    struct view bytes;
    buffer_create(&source.buffer, 2 * (size_t)DOCUMENT_BYTES_MAX);
    status result = source_all(&bytes, &source, DOCUMENT_BYTES_MAX - *total, error);
    if (result == OK) {
        *total += bytes.len;
        member = arena_alloc(reading->arena, 1, sizeof *member, error);
        result =
            member ? view_copy(&member->name, view_of(name), reading->arena, error) : error->code;
        if (result == OK)
            result = view_copy(&member->bytes, bytes, reading->arena, error);
        if (result == OK) {
            member->next = *list;
            *list = member;
        }
    }
    source_close(&source);
    return result;
}

status archive_members(struct member **out, struct reading *reading, struct view bytes,
                       bool (*wanted)(struct view name), struct error *error)
{
    struct archive *archive;
    struct archive_entry *entry;
    size_t total = 0;
    *out = NULL;
    TRY(open_archive(&archive, bytes, false, error));
    status result = OK;
    int state = ARCHIVE_OK;
    while (result == OK && is_good(state = archive_read_next_header(archive, &entry))) {
        const char *name = archive_entry_pathname(entry);
        if (name && wanted(view_of(name)))
            result = take_member(out, reading, archive, name, &total, error);
    }
    if (result == OK && state != ARCHIVE_EOF)
        result = fail(error, ERR_FORMAT, "is damaged or cut off");
    archive_read_free(archive);
    return result;
}

const struct member *member_named(const struct member *members, struct view name)
{
    for (; members; members = members->next)
        if (view_equal(members->name, name))
            return members;
    return NULL;
}

status unpack_body(struct view *out, struct reading *reading, struct view bytes,
                   struct error *error)
{
    struct archive *archive;
    struct archive_entry *entry;
    struct member *list = NULL;
    size_t total = 0;
    TRY(open_archive(&archive, bytes, true, error));
    status result = is_good(archive_read_next_header(archive, &entry))
                        ? take_member(&list, reading, archive, "", &total, error)
                        : fail(error, ERR_FORMAT, "is damaged or cut off");
    archive_read_free(archive);
    if (result == OK)
        *out = list->bytes;
    return result;
}
