/* Files become documents: they are read in a sandbox, and what comes back is handed on. */
#include "corpus/corpus_internal.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/sandbox.h"
#include "corpus/html.h"
#include "corpus/pdf.h"
#include "corpus/reader.h"

enum {
    READER_ITEM_S = 20, /* of processor time for one document */
    READER_SILENCE_S = 600,
    FRAME_FIELDS = 7
};

static const uint64_t READER_MEMORY_BYTES = (uint64_t)2 << 30; /* beyond the file itself */

/* ---- frames: a document, a refusal or a file for another program ---- */

enum frame_kind { FRAME_DOCUMENT = 'D', FRAME_REFUSAL = 'R', FRAME_FILE = 'F' };

struct frame_head {
    uint32_t kind;
    uint32_t length[FRAME_FIELDS];
};

static struct view *field_of(struct found *found, size_t field)
{
    struct view *const fields[FRAME_FIELDS] = {&found->id,      &found->text, &found->source,
                                               &found->license, &found->kind, &found->url,
                                               &found->title};
    return fields[field];
}

/* ---- in the child ---- */

struct reader_child {
    struct sandbox_channel *channel;
};

static bool begin_item(void *context, const char **reason)
{
    struct reader_child *child = context;
    enum sandbox_turn turn = sandbox_item_begin(child->channel);
    if (turn == SANDBOX_REFUSED)
        *reason = sandbox_reason(child->channel);
    return turn != SANDBOX_SKIP;
}

static status end_item(void *context, struct error *error)
{
    struct reader_child *child = context;
    return sandbox_item_end(child->channel, error);
}

static status send_frame(struct reader_child *child, enum frame_kind kind, struct found *found,
                         struct error *error)
{
    struct frame_head head = {.kind = kind};
    struct view pieces[FRAME_FIELDS + 1] = {{(const char *)&head, sizeof head}};
    for (size_t i = 0; i < FRAME_FIELDS; i++) {
        pieces[i + 1] = *field_of(found, i);
        if (pieces[i + 1].len > UINT32_MAX)
            return fail(error, ERR_LIMIT, "has more text than is allowed");
        head.length[i] = (uint32_t)pieces[i + 1].len;
    }
    return sandbox_frame(child->channel, pieces, FRAME_FIELDS + 1, error);
}

static status send_document(void *context, const struct found *found, struct error *error)
{
    struct found copy = *found;
    return send_frame(context, FRAME_DOCUMENT, &copy, error);
}

static status send_refusal(void *context, struct view what, const char *reason, struct error *error)
{
    struct found found = {.id = what, .text = view_of(reason)};
    return send_frame(context, FRAME_REFUSAL, &found, error);
}

static status send_file(void *context, const struct found *found, struct error *error)
{
    struct found copy = *found;
    return send_frame(context, FRAME_FILE, &copy, error);
}

static status read_in_child(void *context, const struct sandbox_input *input,
                            struct sandbox_channel *channel, struct error *error)
{
    struct reader_child child = {channel};
    struct reading_sink sink = {&child,        begin_item,   end_item,
                                send_document, send_refusal, send_file};
    return reading_run(context, &sink, input->label, input->bytes, error);
}

/* ---- the files, in order ---- */

struct reading_order {
    const struct gathering *gathering;
    size_t next;
};

static bool next_file(void *context, struct sandbox_request *out)
{
    struct reading_order *order = context;
    const struct input_files *files = order->gathering->files;
    if (order->next == files->count)
        return false;
    const struct input_file *file = &files->list[order->next++];
    *out = (struct sandbox_request){.label = file->id, .descriptor = -1, .reason = file->reason};
    if (!file->reason)
        out->descriptor = open(file->path, O_RDONLY | O_CLOEXEC);
    return true;
}

/* ---- what comes back ---- */

static bool parse_frame(struct found *out, uint32_t *kind, struct view frame)
{
    struct frame_head head;
    if (frame.len < sizeof head)
        return false;
    memcpy(&head, frame.data, sizeof head);
    struct view rest = {frame.data + sizeof head, frame.len - sizeof head};
    for (size_t i = 0; i < FRAME_FIELDS; i++) {
        if (head.length[i] > rest.len)
            return false;
        *field_of(out, i) = (struct view){rest.data, head.length[i]};
        rest.data += head.length[i];
        rest.len -= head.length[i];
    }
    *kind = head.kind;
    return rest.len == 0;
}

/* What the parts of a file are called, by its name. */
static const char *part_noun(const char *path)
{
    static const char *const nouns[][2] = {{".warc", "record"},  {".wet", "record"},
                                           {".mbox", "message"}, {".mbx", "message"},
                                           {".csv", "row"},      {".tsv", "row"}};
    for (size_t i = 0; i < sizeof nouns / sizeof *nouns; i++)
        if (strstr(path, nouns[i][0]))
            return nouns[i][1];
    return "line";
}

static bool is_number(struct view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.len > 0;
}

/* The file's path and what stands behind its id: "a.jsonl, line 7", "b.zip/c.txt". */
static status name_part(struct buffer *out, const struct input_file *file, struct view part,
                        struct error *error)
{
    struct view number = {part.data + 1, part.len ? part.len - 1 : 0};
    if (part.len == 0 || part.data[0] != '#' || !is_number(number))
        return buffer_format(out, error, "%s%.*s", file->path, (int)part.len, part.data);
    while (number.len > 1 && *number.data == '0') {
        number.data++;
        number.len--;
    }
    return buffer_format(out, error, "%s, %s %.*s", file->path, part_noun(file->path),
                         (int)number.len, number.data);
}

static status refuse_found(const struct gathering *gathering, const struct input_file *file,
                           struct view id, struct view reason, struct error *error)
{
    size_t own = strlen(file->id);
    bool below = id.len >= own && memcmp(id.data, file->id, own) == 0;
    struct buffer what, why;
    buffer_create(&what, 8 * PATH_BYTES);
    buffer_create(&why, ERROR_TEXT_BYTES);
    if (reason.len >= ERROR_TEXT_BYTES)
        reason.len = ERROR_TEXT_BYTES - 1;
    struct view part = below ? (struct view){id.data + own, id.len - own} : (struct view){"", 0};
    if (part.len > PATH_BYTES)
        part.len = PATH_BYTES;
    status result = name_part(&what, file, part, error);
    if (result == OK)
        result = buffer_append(&why, reason.data, reason.len, error);
    if (result == OK)
        result = gathering->refuse(gathering->context, what.data, why.data ? why.data : "", error);
    buffer_destroy(&what);
    buffer_destroy(&why);
    return result;
}

static status read_by_program(const struct gathering *gathering, const struct input_file *file,
                              const struct found *found, struct error *error)
{
    struct buffer text;
    const char *reason;
    buffer_create(&text, DOCUMENT_BYTES_MAX);
    status result = pdf_read(&text, &reason, found->text, error);
    if (result == OK && reason)
        result = refuse_found(gathering, file, found->id, view_of(reason), error);
    else if (result == OK) {
        struct found document = *found;
        document.text = (struct view){text.data ? text.data : "", text.len};
        result = gathering->take(gathering->context, &document, error);
    }
    buffer_destroy(&text);
    return result;
}

static status take_frame(void *context, size_t input, struct view frame, struct error *error)
{
    const struct gathering *gathering = ((struct reading_order *)context)->gathering;
    const struct input_file *file = &gathering->files->list[gathering->first + input];
    struct found found;
    uint32_t kind;
    if (!parse_frame(&found, &kind, frame)) /* what a reader sends is trusted as little as a file */
        return gathering->refuse(gathering->context, file->path, "makes its reader answer nonsense",
                                 error);
    if (kind == FRAME_DOCUMENT)
        return gathering->take(gathering->context, &found, error);
    if (kind == FRAME_FILE)
        return read_by_program(gathering, file, &found, error);
    return refuse_found(gathering, file, found.id, found.text, error);
}

static status end_file(void *context, size_t input, const char *reason, struct error *error)
{
    const struct gathering *gathering = ((struct reading_order *)context)->gathering;
    size_t file = gathering->first + input;
    if (reason)
        TRY(gathering->refuse(gathering->context, gathering->files->list[file].path, reason,
                              error));
    return gathering->end(gathering->context, file, !reason, error);
}

status gather(const struct gathering *gathering, struct error *error)
{
    ASSERT(gathering && error);
    struct reading_order order = {gathering, gathering->first};
    struct reading_options options = {.text_field = gathering->settings->text_field,
                                      .whole_pages = gathering->settings->whole_pages};
    struct sandbox_settings settings = {.task = read_in_child,
                                        .context = &options,
                                        .children = gathering->readers,
                                        .memory_bytes = READER_MEMORY_BYTES,
                                        .item_s = READER_ITEM_S,
                                        .silence_s = READER_SILENCE_S,
                                        .item_bytes = DOCUMENT_BYTES_MAX};
    struct sandbox_feed feed = {&order, next_file, take_frame, end_file};
    struct arena *arena;
    TRY(arena_create(&arena, 0, error));
    status result = html_words_create(&options.words, arena, error);
    if (result == OK)
        result = sandbox_run(&settings, &feed, error);
    arena_destroy(arena);
    return result;
}

const char *corpus_sandbox_notice(void)
{
    return confinement_notice(confinement_possible());
}
