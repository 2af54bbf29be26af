/* (seed, row) -> tokens.  The order of an epoch is a Fisher-Yates shuffle of the documents with
 * Philox draws (RANDOM_ORDER, stream = epoch, index = place).  The rows that begin in an epoch are
 * shuffled likewise (stream = epoch + ROW_STREAM), so that a batch holds pieces of many documents
 * and not one piece of a long book.  Two epochs are kept at hand. */
#include "train/train_internal.h"

#include "base/random.h"

struct epoch {
    bool ready;
    uint64_t number;
    uint32_t *document; /* [documents] in the order of this epoch */
    uint64_t *start;    /* [documents + 1] where the document at this place begins */
    uint64_t first_row; /* rows that begin in this epoch: [first_row, first_row + rows) */
    uint32_t *row;      /* [rows] in the order they are given out, from first_row */
    size_t rows;
};

static const uint64_t ROW_STREAM = (uint64_t)1 << 63;

struct loader {
    const struct token_file *file;
    struct loader_settings settings;
    struct epoch epochs[2];
};

status rows_create(struct rows *out, size_t count, size_t length, struct arena *arena,
                   struct error *error)
{
    ASSERT(out && count && length && arena && error);
    struct rows rows = {.count = count, .length = length};
    TRY_ALLOC(rows.tokens, arena, count * length, error);
    TRY_ALLOC(rows.targets, arena, count * length, error);
    TRY_ALLOC(rows.first_key, arena, count * length, error);
    *out = rows;
    return OK;
}

status loader_create(struct loader **out, const struct token_file *file,
                     const struct loader_settings *settings, struct arena *arena,
                     struct error *error)
{
    ASSERT(out && file && settings && settings->sequence && arena && error);
    if (!file->documents)
        return fail(error, ERR_CONFLICT, "the corpus holds no documents to train on");
    if (file->documents > UINT32_MAX)
        return fail(error, ERR_LIMIT, "the corpus holds %zu documents, allowed are %lu",
                    file->documents, (unsigned long)UINT32_MAX);
    struct loader *loader;
    size_t rows_most = file->count / settings->sequence + 2;
    if (rows_most > UINT32_MAX)
        return fail(error, ERR_LIMIT, "the corpus holds %zu rows, allowed are %lu", rows_most,
                    (unsigned long)UINT32_MAX);
    TRY_ALLOC(loader, arena, 1, error);
    loader->file = file;
    loader->settings = *settings;
    for (int i = 0; i < 2; i++) {
        TRY_ALLOC(loader->epochs[i].document, arena, file->documents, error);
        TRY_ALLOC(loader->epochs[i].start, arena, file->documents + 1, error);
        TRY_ALLOC(loader->epochs[i].row, arena, rows_most, error);
    }
    *out = loader;
    return OK;
}

/* 0 .. count - 1 in a random order (Fisher and Yates). */
static void shuffle(uint32_t *out, size_t count, struct random_key key)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (uint32_t)i;
    for (size_t i = count; i-- > 1;) {
        size_t other = (size_t)random_below(key, i, i + 1);
        uint32_t swap = out[i];
        out[i] = out[other];
        out[other] = swap;
    }
}

static uint64_t first_row_of(const struct loader *loader, uint64_t epoch)
{
    uint64_t length = loader->settings.sequence;
    return (epoch * loader->file->count + length - 1) / length;
}

static const struct epoch *epoch_of(struct loader *loader, uint64_t number)
{
    struct epoch *epoch = &loader->epochs[number % 2];
    if (epoch->ready && epoch->number == number)
        return epoch;
    const struct token_file *file = loader->file;
    uint64_t seed = loader->settings.seed, at = 0;
    shuffle(epoch->document, file->documents, (struct random_key){seed, RANDOM_ORDER, number});
    for (size_t i = 0; i < file->documents; i++) {
        uint32_t document = epoch->document[i];
        epoch->start[i] = at;
        at += file->start[document + 1] - file->start[document];
    }
    epoch->start[file->documents] = at;
    ASSERT(at == file->count);
    epoch->first_row = first_row_of(loader, number);
    epoch->rows = (size_t)(first_row_of(loader, number + 1) - epoch->first_row);
    shuffle(epoch->row, epoch->rows, (struct random_key){seed, RANDOM_ORDER, number + ROW_STREAM});
    epoch->number = number;
    epoch->ready = true;
    return epoch;
}

uint64_t loader_place(struct loader *loader, uint64_t row)
{
    const struct epoch *epoch =
        epoch_of(loader, row * loader->settings.sequence / loader->file->count);
    if (row < epoch->first_row) /* it begins in the epoch before */
        epoch = epoch_of(loader, epoch->number - 1);
    ASSERT(row - epoch->first_row < epoch->rows);
    return epoch->first_row + epoch->row[row - epoch->first_row];
}

uint64_t loader_row_of(struct loader *loader, uint64_t place)
{
    ASSERT(loader);
    const struct epoch *epoch =
        epoch_of(loader, place * loader->settings.sequence / loader->file->count);
    uint32_t wanted = (uint32_t)(place - epoch->first_row);
    ASSERT(place >= epoch->first_row && wanted < epoch->rows);
    size_t row = 0;
    while (epoch->row[row] != wanted)
        row++;
    return epoch->first_row + row;
}

uint64_t loader_document_at(struct loader *loader, uint64_t epoch_number, size_t document)
{
    ASSERT(loader && document < loader->file->documents);
    const struct epoch *epoch = epoch_of(loader, epoch_number);
    size_t place = 0;
    while (epoch->document[place] != document)
        place++;
    return epoch_number * loader->file->count + epoch->start[place];
}

/* A place in the endless stream. */
struct cursor {
    uint64_t epoch;
    size_t place;    /* of the document in the epoch's order */
    uint64_t offset; /* in the document */
    uint64_t length; /* of the document */
    uint64_t first;  /* index of the document's first token in the file */
};

static void cursor_enter(struct cursor *cursor, struct loader *loader)
{
    const struct token_file *file = loader->file;
    uint32_t document = epoch_of(loader, cursor->epoch)->document[cursor->place];
    cursor->first = file->start[document];
    cursor->length = file->start[document + 1] - cursor->first;
}

static struct cursor cursor_at(struct loader *loader, uint64_t position)
{
    struct cursor cursor = {.epoch = position / loader->file->count};
    uint64_t inside = position % loader->file->count;
    const struct epoch *epoch = epoch_of(loader, cursor.epoch);
    size_t low = 0, high = loader->file->documents;
    while (high - low > 1) { /* start[low] <= inside < start[high] */
        size_t middle = low + (high - low) / 2;
        if (epoch->start[middle] <= inside)
            low = middle;
        else
            high = middle;
    }
    cursor.place = low;
    cursor.offset = inside - epoch->start[low];
    cursor_enter(&cursor, loader);
    return cursor;
}

static uint32_t cursor_take(struct cursor *cursor, struct loader *loader)
{
    uint32_t token = token_at(loader->file, (size_t)(cursor->first + cursor->offset));
    if (++cursor->offset == cursor->length) {
        cursor->offset = 0;
        if (++cursor->place == loader->file->documents) {
            cursor->place = 0;
            cursor->epoch++;
        }
        cursor_enter(cursor, loader);
    }
    return token;
}

static void fill_row(struct loader *loader, uint64_t row, const struct rows *out, size_t at)
{
    size_t length = out->length;
    uint32_t *tokens = out->tokens + at * length, *targets = out->targets + at * length;
    uint32_t *first_key = out->first_key + at * length;
    struct cursor cursor = cursor_at(loader, row * length);
    uint32_t begin = 0;
    for (size_t i = 0; i < length; i++) {
        if (cursor.offset == 0)
            begin = (uint32_t)i;
        first_key[i] = begin;
        tokens[i] = cursor_take(&cursor, loader);
        if (i)
            targets[i - 1] = tokens[i];
    }
    targets[length - 1] = cursor_take(&cursor, loader);
}

void loader_rows(struct loader *loader, uint64_t first, const struct rows *out)
{
    ASSERT(loader && out && out->length == loader->settings.sequence);
    for (size_t i = 0; i < out->count; i++)
        fill_row(loader, loader_place(loader, first + i), out, i);
}
