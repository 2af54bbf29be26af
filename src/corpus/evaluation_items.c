#include "corpus/evaluation_items.h"

#include <archive.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "text/unicode.h"

enum {
    FILE_BYTES_MAX = 1 << 30,
    NORMAL_BYTES_MAX = 1 << 30,
    ITEMS_MAX = 1 << 28,
    LISTS_DEPTH_MAX = 8
};

const char *item_search_name(enum item_search search)
{
    static const char *const names[] = {"none", "13 words", "whole"};
    ASSERT(search < sizeof names / sizeof *names);
    return names[search];
}

/* What is being read. */
struct loading {
    struct evaluation_items *items;
    struct words words;
    const char *file, *path; /* its name, for items; where it lies, for messages */
    size_t line;
    /* of the item */
    struct evaluation_item item;
    size_t longest_words;
};

/* ---- passages ---- */

/* Does a word in normal form hold a letter? */
static bool has_letter(struct view word)
{
    for (size_t at = 0; at < word.len;) {
        uint32_t c;
        at += utf8_decode(&c, word.data + at, word.len - at);
        if (c != UTF8_BAD && unicode_kind(c) == UNICODE_LETTER)
            return true;
    }
    return false;
}

/* The last words of a passage. */
struct window {
    struct gram gram;
    size_t begin[ITEM_GRAM_WORDS]; /* rings */
    bool lettered[ITEM_GRAM_WORDS];
    size_t words, letter_words; /* of the passage; letters: of the window */
    size_t letters;
};

static uint64_t window_add(struct window *window, struct view word, size_t begin)
{
    size_t place = window->words++ % ITEM_GRAM_WORDS;
    bool lettered = has_letter(word);
    window->letters += lettered;
    window->letters -= window->lettered[place];
    window->letter_words += lettered;
    window->lettered[place] = lettered;
    window->begin[place] = begin;
    return gram_add(&window->gram, word_hash(word));
}

/* Adds the grams of the passage that stands at the end of `normal`. */
static status index_passage(struct window *window, struct loading *loading, size_t begin,
                            struct error *error)
{
    struct evaluation_items *items = loading->items;
    uint64_t item = (uint64_t)items->count << 32;
    *window = (struct window){0};
    gram_begin(&window->gram, ITEM_GRAM_WORDS);
    for (size_t at = begin, end; at < items->normal.len; at = end + 1) {
        const char *space = memchr(items->normal.data + at, ' ', items->normal.len - at);
        ASSERT(space);
        end = (size_t)(space - items->normal.data);
        uint64_t hash = window_add(window, (struct view){items->normal.data + at, end - at}, at);
        if (window->words < ITEM_GRAM_WORDS || window->letters < ITEM_LETTER_WORDS)
            continue;
        TRY(gram_index_add(&items->grams, hash,
                           item | window->begin[window->words % ITEM_GRAM_WORDS], error));
        loading->item.grams++;
    }
    return OK;
}

static status add_passage(struct loading *loading, struct view text, struct error *error)
{
    struct evaluation_items *items = loading->items;
    struct words_piece piece;
    struct window window;
    size_t begin = items->normal.len;
    words_begin(&loading->words, text);
    for (;;) {
        TRY(words_read(&piece, &loading->words, error));
        if (!piece.normal.len)
            break;
        TRY(buffer_append(&items->normal, piece.normal.data, piece.normal.len, error));
    }
    TRY(index_passage(&window, loading, begin, error));
    if (window.words < ITEM_GRAM_WORDS && window.letter_words >= ITEM_LETTER_WORDS &&
        window.words > loading->longest_words) {
        loading->longest_words = window.words;
        loading->item.whole = begin;
        loading->item.whole_len = items->normal.len - begin;
    }
    return OK;
}

static status add_passages(struct loading *loading, const cJSON *json, int depth,
                           struct error *error)
{
    const cJSON *entry;
    if (cJSON_IsString(json))
        return add_passage(loading, view_of(json->valuestring), error);
    if (cJSON_IsArray(json) && depth < LISTS_DEPTH_MAX)
        cJSON_ArrayForEach(entry, json) TRY(add_passages(loading, entry, depth + 1, error));
    return OK;
}

/* ---- items ---- */

/* An item without grams is searched for by its longest passage. */
static status index_whole(struct loading *loading, struct error *error)
{
    struct evaluation_item *item = &loading->item;
    struct gram gram;
    uint64_t hash = 0;
    item->search = item->grams ? ITEM_BY_GRAMS : ITEM_NOT_SEARCHED;
    if (item->grams || loading->longest_words < ITEM_WHOLE_WORDS)
        return OK;
    const char *at = loading->items->normal.data + item->whole;
    const char *end = at + item->whole_len;
    gram_begin(&gram, ITEM_WHOLE_WORDS);
    while (gram.seen < ITEM_WHOLE_WORDS) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        ASSERT(space);
        hash = gram_add(&gram, word_hash((struct view){at, (size_t)(space - at)}));
        at = space + 1;
    }
    item->grams = 1;
    item->search = ITEM_AS_A_WHOLE;
    return gram_index_add(&loading->items->wholes, hash, (uint64_t)loading->items->count << 32,
                          error);
}

static const char *name_of(const struct loading *loading, const cJSON *json, struct error *error)
{
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(json, "id");
    struct arena *arena = loading->items->arena;
    if (cJSON_IsString(id) && *id->valuestring)
        return arena_string(arena, id->valuestring, error);
    return arena_format(arena, error, "%s:%zu", loading->file, loading->line);
}

static status keep_item(struct evaluation_items *items, const struct evaluation_item *item,
                        struct error *error)
{
    if (items->count == ITEMS_MAX)
        return fail(error, ERR_LIMIT, "more than %d items of evaluations", ITEMS_MAX);
    if (items->count == items->capacity) {
        struct evaluation_item *list;
        size_t capacity = items->capacity ? 2 * items->capacity : 1024;
        TRY_ALLOC(list, items->arena, capacity, error);
        if (items->count)
            memcpy(list, items->list, items->count * sizeof *list);
        items->list = list;
        items->capacity = capacity;
    }
    items->searched[item->search]++;
    items->list[items->count++] = *item;
    return OK;
}

static status add_item(struct loading *loading, const cJSON *json, struct error *error)
{
    static const char *const members[] = {
        "context", "premise", "hypothesis", "prompt", "text",      "sentence1", "sentence2",
        "good",    "bad",     "choices",    "answer", "rationale", "test"};
    const cJSON *task = cJSON_GetObjectItemCaseSensitive(json, "task");
    struct arena *arena = loading->items->arena;
    loading->item = (struct evaluation_item){.id = name_of(loading, json, error)};
    loading->item.task =
        arena_string(arena, cJSON_IsString(task) ? task->valuestring : loading->file, error);
    loading->longest_words = 0;
    if (!loading->item.id || !loading->item.task)
        return error->code;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        TRY(add_passages(loading, cJSON_GetObjectItemCaseSensitive(json, members[i]), 0, error));
    TRY(index_whole(loading, error));
    return keep_item(loading->items, &loading->item, error);
}

static status add_lines(struct loading *loading, struct view lines, struct error *error)
{
    struct view line;
    for (loading->line = 1; view_line(&line, &lines); loading->line++) {
        if (view_trim(line).len == 0)
            continue;
        cJSON *json = cJSON_ParseWithLength(line.data, line.len);
        status result = cJSON_IsObject(json)
                            ? add_item(loading, json, error)
                            : fail(error, ERR_FORMAT, "%s: line %zu is not a JSON object",
                                   loading->path, loading->line);
        cJSON_Delete(json);
        TRY(result);
    }
    return OK;
}

/* ---- files ---- */

static status unpack(struct buffer *out, struct archive *archive, const char *path,
                     struct error *error)
{
    struct archive_entry *entry;
    char chunk[1 << 16];
    la_ssize_t len;
    archive_read_support_filter_all(archive);
    archive_read_support_format_raw(archive);
    if (archive_read_open_filename(archive, path, sizeof chunk) != ARCHIVE_OK)
        return fail(error, ERR_IO, "%s: %s", path, archive_error_string(archive));
    int state = archive_read_next_header(archive, &entry);
    if (state == ARCHIVE_EOF)
        return OK;
    while (state >= ARCHIVE_WARN && (len = archive_read_data(archive, chunk, sizeof chunk)) != 0) {
        if (len < 0)
            break;
        TRY(buffer_append(out, chunk, (size_t)len, error));
    }
    return archive_errno(archive) == 0 ? OK
                                       : fail(error, ERR_FORMAT, "%s: is damaged or cut off (%s)",
                                              path, archive_error_string(archive));
}

static status add_file(struct loading *loading, const char *path, const char *name,
                       struct error *error)
{
    struct buffer bytes;
    struct archive *archive = archive_read_new();
    if (!archive)
        return fail(error, ERR_MEMORY, "%s: no memory for reading", path);
    buffer_create(&bytes, FILE_BYTES_MAX);
    status result = unpack(&bytes, archive, path, error);
    archive_read_free(archive);
    loading->file = name;
    loading->path = path;
    if (result == OK)
        result = add_lines(loading, (struct view){bytes.data, bytes.len}, error);
    buffer_destroy(&bytes);
    return result;
}

static bool is_item_file(const char *name)
{
    static const char *const endings[] = {".jsonl", ".jsonl.gz", ".jsonl.zst", ".jsonl.xz"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (*name != '.' && view_ends(view_of(name), endings[i]))
            return true;
    return false;
}

static status add_folder(struct loading *loading, const char *folder, struct error *error)
{
    char **names, path[PATH_BYTES];
    size_t count;
    TRY(folder_list(&names, &count, folder, loading->items->arena, error));
    for (size_t i = 0; i < count; i++) {
        if (!is_item_file(names[i]))
            continue;
        TRY(path_join(path, sizeof path, folder, names[i], error));
        TRY(add_file(loading, path, names[i], error));
    }
    if (loading->items->count == 0)
        return fail(error, ERR_FORMAT,
                    "%s: holds no items of evaluations (.jsonl files, also .gz, .zst and .xz)",
                    folder);
    return OK;
}

/* ---- the whole ---- */

static status create(struct evaluation_items **out, struct error *error)
{
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct evaluation_items *items = arena_alloc(arena, 1, sizeof *items, error);
    if (!items) {
        arena_destroy(arena);
        return error->code;
    }
    items->arena = arena;
    buffer_create(&items->normal, NORMAL_BYTES_MAX);
    gram_index_open(&items->grams);
    gram_index_open(&items->wholes);
    *out = items;
    return OK;
}

void evaluation_items_destroy(struct evaluation_items *items)
{
    if (!items)
        return;
    buffer_destroy(&items->normal);
    gram_index_close(&items->grams);
    gram_index_close(&items->wholes);
    arena_destroy(items->arena);
}

/* From a folder, or from lines if that is NULL. */
static status read_items(struct evaluation_items **out, const char *folder, struct view lines,
                         const char *name, struct error *error)
{
    struct loading loading = {.file = name, .path = name};
    TRY(create(&loading.items, error));
    words_open(&loading.words);
    status result =
        folder ? add_folder(&loading, folder, error) : add_lines(&loading, lines, error);
    words_close(&loading.words);
    if (result == OK)
        result = gram_index_build(&loading.items->grams, error);
    if (result == OK)
        result = gram_index_build(&loading.items->wholes, error);
    if (result != OK) {
        evaluation_items_destroy(loading.items);
        return result;
    }
    *out = loading.items;
    return OK;
}

status evaluation_items_read(struct evaluation_items **out, const char *folder, struct error *error)
{
    ASSERT(out && folder && error);
    return read_items(out, folder, (struct view){NULL, 0}, NULL, error);
}

status evaluation_items_parse(struct evaluation_items **out, struct view lines, const char *name,
                              struct error *error)
{
    ASSERT(out && (lines.data || !lines.len) && name && error);
    return read_items(out, NULL, lines, name, error);
}
