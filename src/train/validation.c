/* Bits per byte on held-out documents, as lm-eval's loglikelihood_rolling cuts them. */
#include "train/train_internal.h"

static const double LN_2 = 0.6931471805599453;

/* A step that visits all of `count` in an order in which any beginning is spread evenly. */
static size_t spreading_step(size_t count)
{
    size_t step = (size_t)((double)count * 0.6180339887498949);
    for (step = step ? step : 1;; step++) {
        size_t a = count, b = step;
        while (b) {
            size_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1)
            return step;
    }
}

static uint64_t document_tokens(const struct token_file *file, size_t document)
{
    return file->start[document + 1] - file->start[document];
}

static void add_document(struct validation *out, size_t document)
{
    out->documents[out->document_count++] = document;
    out->tokens += document_tokens(out->file, document);
}

/* Documents of `limit` tokens in all, taken evenly from everything that is held out, since
 * neighbours are of one kind; the shortest one where none is short enough. */
static void choose_documents(struct validation *out, uint64_t limit)
{
    const struct token_file *file = out->file;
    size_t count = file->documents, shortest = 0;
    size_t step = count ? spreading_step(count) : 0;
    for (size_t i = 0; i < count; i++) {
        size_t document = i * step % count;
        if (document_tokens(file, document) < document_tokens(file, shortest))
            shortest = document;
        if (document_tokens(file, document) <= limit - out->tokens)
            add_document(out, document);
    }
    if (count && !out->document_count)
        add_document(out, shortest);
}

status validation_create(struct validation *out, struct gradients *gradients,
                         const struct token_file *heldout, const struct recipe *recipe,
                         struct arena *arena, struct error *error)
{
    ASSERT(out && gradients && heldout && recipe && arena && error);
    struct validation validation = {.file = heldout, .training = gradients->training};
    size_t micro = gradients->rows.count, length = gradients->rows.length;
    TRY(rows_create(&validation.rows, micro, length, arena, error));
    TRY_ALLOC(validation.loss, arena, micro * length, error);
    if (heldout->documents)
        TRY_ALLOC(validation.documents, arena, heldout->documents, error);
    uint64_t limit = recipe->validate_tokens ? (uint64_t)recipe->validate_tokens : UINT64_MAX;
    choose_documents(&validation, limit);
    *out = validation;
    return OK;
}

/* The next window to look at. */
struct window {
    size_t index;    /* among the documents looked at */
    uint64_t offset; /* of its first input in the document */
};

static bool window_fill(struct window *window, const struct validation *validation, size_t row)
{
    const struct token_file *file = validation->file;
    size_t length = validation->rows.length;
    uint32_t *tokens = validation->rows.tokens + row * length;
    uint32_t *targets = validation->rows.targets + row * length;
    while (window->index < validation->document_count &&
           window->offset + 1 >= document_tokens(file, validation->documents[window->index]))
        *window = (struct window){window->index + 1, 0};
    bool any = window->index < validation->document_count;
    size_t document = any ? validation->documents[window->index] : 0;
    uint64_t first = any ? file->start[document] + window->offset : 0;
    uint64_t left = any ? file->start[document + 1] - first - 1 : 0;
    for (size_t i = 0; i < length; i++) {
        tokens[i] = i < left ? token_at(file, (size_t)first + i) : 0;
        targets[i] = i < left ? token_at(file, (size_t)first + i + 1) : TARGET_NONE;
    }
    window->offset += length;
    return any;
}

double validation_bits_per_byte(struct validation *validation)
{
    ASSERT(validation && validation->rows.count);
    const struct rows *rows = &validation->rows;
    uint64_t bytes = 0;
    for (size_t i = 0; i < validation->document_count; i++)
        bytes += validation->file->text_bytes[validation->documents[i]];
    if (!bytes)
        return -1;
    double sum = 0;
    struct window window = {0};
    while (window.index < validation->document_count) {
        bool any = false;
        for (size_t row = 0; row < rows->count; row++)
            any = window_fill(&window, validation, row) || any;
        if (!any)
            break;
        const struct batch batch = {
            .sequences = rows->count,
            .length = rows->length,
            .tokens = rows->tokens,
            .targets = rows->targets,
        };
        model_loss(validation->training, &batch, validation->loss);
        for (size_t i = 0; i < rows->count * rows->length; i++)
            sum += (double)validation->loss[i];
    }
    return sum / LN_2 / (double)bytes;
}
