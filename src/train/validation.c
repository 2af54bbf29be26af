/* Bits per byte on held-out documents, as lm-eval's loglikelihood_rolling cuts them. */
#include "train/train_internal.h"

static const double LN_2 = 0.6931471805599453;

status validation_create(struct validation *out, struct gradients *gradients,
                         const struct token_file *heldout, const struct recipe *recipe,
                         struct arena *arena, struct error *error)
{
    ASSERT(out && gradients && heldout && recipe && arena && error);
    struct validation validation = {.file = heldout, .training = gradients->training};
    size_t micro = gradients->rows.count, length = gradients->rows.length;
    TRY(rows_create(&validation.rows, micro, length, arena, error));
    TRY_ALLOC(validation.loss, arena, micro * length, error);
    uint64_t limit = recipe->validate_tokens ? (uint64_t)recipe->validate_tokens : UINT64_MAX;
    while (validation.documents < heldout->documents &&
           (validation.documents == 0 || heldout->start[validation.documents + 1] <= limit))
        validation.documents++;
    *out = validation;
    return OK;
}

/* The next window to look at. */
struct window {
    size_t document;
    uint64_t offset; /* of its first input in the document */
};

static bool window_fill(struct window *window, const struct validation *validation, size_t row)
{
    const struct token_file *file = validation->file;
    size_t length = validation->rows.length;
    uint32_t *tokens = validation->rows.tokens + row * length;
    uint32_t *targets = validation->rows.targets + row * length;
    while (window->document < validation->documents &&
           file->start[window->document] + window->offset + 1 >= file->start[window->document + 1])
        *window = (struct window){window->document + 1, 0};
    bool any = window->document < validation->documents;
    uint64_t first = any ? file->start[window->document] + window->offset : 0;
    uint64_t left = any ? file->start[window->document + 1] - first - 1 : 0;
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
    for (size_t i = 0; i < validation->documents; i++)
        bytes += validation->file->text_bytes[i];
    if (!bytes)
        return -1;
    double sum = 0;
    struct window window = {0};
    while (window.document < validation->documents) {
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
