/* Inputs become candidates: folders are walked here, files are read in a sandbox by readers. */
#include "corpus/corpus_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sandbox.h"
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

/* ---- candidates ---- */

status gathering_refuse(struct gathering *gathering, const char *what, const char *reason,
                        struct error *error)
{
    size_t at = gathering->refused_count++;
    if (at >= REFUSALS_LISTED_MAX)
        return OK;
    struct refusal *refusal = &gathering->refused[at];
    refusal->what = arena_string(gathering->arena, what, error);
    refusal->reason = arena_string(gathering->arena, reason, error);
    return refusal->what && refusal->reason ? OK : error->code;
}

static status add_candidate(struct gathering *gathering, const struct candidate *candidate,
                            struct error *error)
{
    if (gathering->count == DOCUMENTS_MAX)
        return fail(error, ERR_LIMIT, "more than %d documents", DOCUMENTS_MAX);
    if (gathering->count == gathering->capacity) {
        size_t capacity = gathering->capacity ? 2 * gathering->capacity : 1024;
        struct candidate *list;
        TRY_ALLOC(list, gathering->arena, capacity, error);
        if (gathering->count)
            memcpy(list, gathering->list, gathering->count * sizeof *list);
        gathering->list = list;
        gathering->capacity = capacity;
    }
    gathering->list[gathering->count++] = *candidate;
    return OK;
}

static char *string_of(struct gathering *gathering, struct view text, const char *otherwise,
                       struct error *error)
{
    if (text.len == 0)
        return otherwise ? arena_string(gathering->arena, otherwise, error) : NULL;
    char *copy = arena_alloc(gathering->arena, text.len + 1, 1, error);
    if (copy)
        memcpy(copy, text.data, text.len);
    return copy;
}

static status add_found(struct gathering *gathering, const struct found *found, struct error *error)
{
    const struct corpus_settings *settings = gathering->settings;
    struct candidate candidate = {
        .id = string_of(gathering, found->id, "?", error),
        .source = string_of(gathering, found->source, settings->source, error),
        .license = string_of(gathering, found->license, settings->license, error),
        .kind = string_of(gathering, found->kind, NULL, error),
        .url = string_of(gathering, found->url, NULL, error),
        .title = string_of(gathering, found->title, NULL, error)};
    char *text = arena_alloc(gathering->arena, found->text.len + 1, 1, error);
    if (error->code != OK || !text)
        return error->code;
    if (found->text.len)
        memcpy(text, found->text.data, found->text.len);
    candidate.bytes = (struct view){text, found->text.len};
    return add_candidate(gathering, &candidate, error);
}

/* ---- the files, in order ---- */

struct file {
    const char *path, *id;
    uint64_t size;
    const char *reason; /* why it can't be read at all; NULL: it can */
};

struct reading_order {
    struct gathering *gathering;
    struct file *files;
    size_t count, capacity, next;
};

static status add_file(struct reading_order *order, const struct file *file, struct error *error)
{
    if (order->count == order->capacity) {
        size_t capacity = order->capacity ? 2 * order->capacity : 1024;
        struct file *files;
        TRY_ALLOC(files, order->gathering->arena, capacity, error);
        if (order->count)
            memcpy(files, order->files, order->count * sizeof *files);
        order->files = files;
        order->capacity = capacity;
    }
    order->files[order->count++] = *file;
    return OK;
}

static status add_refused(struct reading_order *order, const char *path, const char *reason,
                          struct error *error)
{
    struct file file = {
        .path = arena_string(order->gathering->arena, path, error), .id = "", .reason = reason};
    return file.path ? add_file(order, &file, error) : error->code;
}

static status add_regular(struct reading_order *order, const char *path, const char *id,
                          struct error *error)
{
    struct file file = {.path = arena_string(order->gathering->arena, path, error), .id = id};
    if (!file.path)
        return error->code;
    if (!file_exists(path))
        file.reason = "is not a regular file";
    else if (file_size(&file.size, path, &(struct error){0}) != OK)
        file.reason = "can't be opened";
    return add_file(order, &file, error);
}

static status walk_entry(struct reading_order *order, const char *path, const char *id,
                         size_t depth, struct error *error);

static status walk_folder(struct reading_order *order, const char *path, const char *id,
                          size_t depth, struct error *error)
{
    char **names;
    size_t count;
    struct error local = {0};
    struct arena *arena = order->gathering->arena;
    if (depth > FOLDER_DEPTH_MAX)
        return add_refused(order, path, "lies too deep", error);
    if (folder_list(&names, &count, path, arena, &local) != OK)
        return add_refused(order, path, "can't be opened", error);
    for (size_t i = 0; i < count; i++) {
        char below[PATH_BYTES];
        if (names[i][0] == '.')
            continue;
        if (path_join(below, sizeof below, path, names[i], &local) != OK) {
            TRY(add_refused(order, path, "holds a name that is too long", error));
            continue;
        }
        const char *below_id = *id ? arena_format(arena, error, "%s/%s", id, names[i]) : names[i];
        if (!below_id)
            return error->code;
        if (folder_is_link(below)) /* it may lead back here */
            TRY(add_refused(order, below, "is a link to a folder; name the folder itself", error));
        else
            TRY(walk_entry(order, below, below_id, depth + 1, error));
    }
    return OK;
}

static status walk_entry(struct reading_order *order, const char *path, const char *id,
                         size_t depth, struct error *error)
{
    if (interrupt_requested())
        return fail(error, ERR_INTERRUPTED, "stopped before %s", path);
    return folder_exists(path) ? walk_folder(order, path, id, depth, error)
                               : add_regular(order, path, id, error);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static status walk_inputs(struct reading_order *order, const char *const *inputs, size_t count,
                          struct error *error)
{
    const char **sorted;
    TRY_ALLOC(sorted, order->gathering->arena, count + 1, error);
    for (size_t i = 0; i < count; i++)
        sorted[i] = inputs[i];
    qsort(sorted, count, sizeof *sorted, compare_paths);
    for (size_t i = 0; i < count; i++) {
        if (!path_exists(sorted[i]))
            return fail(error, ERR_USAGE, "%s: there is no such file or folder", sorted[i]);
        const char *slash = strrchr(sorted[i], '/');
        const char *id = folder_exists(sorted[i]) ? "" : slash ? slash + 1 : sorted[i];
        TRY(walk_entry(order, sorted[i], id, 0, error));
    }
    return OK;
}

/* ---- what comes back ---- */

static bool next_file(void *context, struct sandbox_request *out)
{
    struct reading_order *order = context;
    if (order->next == order->count)
        return false;
    const struct file *file = &order->files[order->next++];
    *out = (struct sandbox_request){.label = file->id, .descriptor = -1, .reason = file->reason};
    if (!file->reason)
        out->descriptor = open(file->path, O_RDONLY | O_CLOEXEC);
    return true;
}

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
static status name_part(struct buffer *out, const struct file *file, struct view part,
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

static status refuse_found(struct gathering *gathering, const struct file *file, struct view id,
                           struct view reason, struct error *error)
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
        result = gathering_refuse(gathering, what.data, why.data ? why.data : "", error);
    buffer_destroy(&what);
    buffer_destroy(&why);
    return result;
}

static status read_by_program(struct gathering *gathering, const struct file *file,
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
        result = add_found(gathering, &document, error);
    }
    buffer_destroy(&text);
    return result;
}

static status take_frame(void *context, size_t input, struct view frame, struct error *error)
{
    struct reading_order *order = context;
    const struct file *file = &order->files[input];
    struct found found;
    uint32_t kind;
    if (!parse_frame(&found, &kind, frame)) /* what a reader sends is trusted as little as a file */
        return gathering_refuse(order->gathering, file->path, "makes its reader answer nonsense",
                                error);
    if (kind == FRAME_DOCUMENT)
        return add_found(order->gathering, &found, error);
    if (kind == FRAME_FILE)
        return read_by_program(order->gathering, file, &found, error);
    return refuse_found(order->gathering, file, found.id, found.text, error);
}

static status end_file(void *context, size_t input, const char *reason, struct error *error)
{
    struct reading_order *order = context;
    struct gathering *gathering = order->gathering;
    const struct file *file = &order->files[input];
    gathering->done_bytes += (double)file->size;
    if (gathering->progress)
        gathering->progress(gathering->context, gathering->done_bytes);
    if (reason)
        return gathering_refuse(gathering, file->path, reason, error);
    gathering->files++;
    return OK;
}

status gather(struct gathering *gathering, const char *const *inputs, size_t count,
              struct error *error)
{
    struct reading_order order = {.gathering = gathering};
    struct reading_options options = {.text_field = gathering->settings->text_field,
                                      .whole_pages = gathering->settings->whole_pages};
    TRY(walk_inputs(&order, inputs, count, error));
    struct sandbox_settings settings = {.task = read_in_child,
                                        .context = &options,
                                        .children = gathering->readers,
                                        .memory_bytes = READER_MEMORY_BYTES,
                                        .item_s = READER_ITEM_S,
                                        .silence_s = READER_SILENCE_S,
                                        .item_bytes = DOCUMENT_BYTES_MAX};
    struct sandbox_feed feed = {&order, next_file, take_frame, end_file};
    return sandbox_run(&settings, &feed, error);
}

const char *corpus_kinds(void)
{
    return reader_names();
}

const char *corpus_sandbox_notice(void)
{
    return confinement_notice(confinement_possible());
}
