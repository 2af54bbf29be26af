/* metrics.jsonl: one line a step, for people and charts.  Nothing in it decides about numbers. */
#include "train/train_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double FLUSH_AFTER_S = 1;
enum { PENDING_BYTES_MAX = 64 << 20 };

static const char *const STEP_MARK = "{\"step\":";
static const char *const SECONDS_MARK = "\"seconds\":";

/* The lines of steps up to `step`; the rest was written by steps that will be done again, but the
 * time they took is used. */
static size_t kept_bytes(struct view text, int64_t step, double *seconds)
{
    size_t kept = 0, at = 0;
    while (at < text.len) {
        const char *line = text.data + at;
        const char *end = memchr(line, '\n', text.len - at);
        if (!end || (size_t)(end - line) < strlen(STEP_MARK) ||
            memcmp(line, STEP_MARK, strlen(STEP_MARK)) != 0)
            break;
        const char *mark = memmem(line, (size_t)(end - line), SECONDS_MARK, strlen(SECONDS_MARK));
        if (mark)
            *seconds = strtod(mark + strlen(SECONDS_MARK), NULL);
        at = (size_t)(end + 1 - text.data);
        if (strtoll(line + strlen(STEP_MARK), NULL, 10) <= step)
            kept = at;
    }
    return kept;
}

status metrics_open(struct metrics *out, const char *run, int64_t step, struct error *error)
{
    ASSERT(out && run && step >= 0 && error);
    struct metrics metrics = {0};
    TRY(path_join(metrics.path, sizeof metrics.path, run, "metrics.jsonl", error));
    if (file_exists(metrics.path)) {
        struct file_bytes bytes;
        TRY(file_map(&bytes, metrics.path, error));
        size_t len = bytes.len;
        size_t kept =
            kept_bytes((struct view){(const char *)bytes.data, len}, step, &metrics.seconds_before);
        file_unmap(&bytes);
        if (kept < len)
            TRY(file_truncate(metrics.path, kept, error));
    }
    buffer_create(&metrics.pending, PENDING_BYTES_MAX);
    metrics.flushed_s = time_monotonic_s();
    *out = metrics;
    return OK;
}

static status add_number(struct buffer *out, const char *name, double value, struct error *error)
{
    if (!isfinite(value))
        return buffer_format(out, error, ",\"%s\":null", name);
    return buffer_format(out, error, ",\"%s\":%.9g", name, value);
}

static status add_line(struct buffer *out, const struct train_report *report,
                       const struct recipe *recipe, double seconds, struct error *error)
{
    double share = schedule_share(recipe, report->step);
    TRY(buffer_format(out, error, "%s%lld", STEP_MARK, (long long)report->step));
    TRY(add_number(out, "loss", report->loss, error));
    TRY(add_number(out, "gradient_norm", report->gradient_norm, error));
    TRY(add_number(out, "learning_rate", share * recipe->learning_rate, error));
    TRY(add_number(out, "embedding_rate", share * recipe->embedding_rate, error));
    TRY(add_number(out, "head_rate", share * recipe->head_rate, error));
    TRY(add_number(out, "vector_rate", share * recipe->vector_rate, error));
    TRY(buffer_format(out, error, ",\"tokens\":%lld,%s%.3f", (long long)report->tokens,
                      SECONDS_MARK, seconds));
    if (report->skipped)
        TRY(buffer_string(out, ",\"skipped\":true", error));
    if (report->validation_bits_per_byte >= 0)
        TRY(add_number(out, "validation_bits_per_byte", report->validation_bits_per_byte, error));
    return buffer_string(out, "}\n", error);
}

status metrics_add(struct metrics *metrics, const struct train_report *report,
                   const struct recipe *recipe, struct error *error)
{
    ASSERT(metrics && report && recipe && error);
    double seconds = metrics->seconds_before + report->elapsed_s;
    TRY(add_line(&metrics->pending, report, recipe, seconds, error));
    if (time_monotonic_s() - metrics->flushed_s < FLUSH_AFTER_S)
        return OK;
    return metrics_flush(metrics, error);
}

status metrics_flush(struct metrics *metrics, struct error *error)
{
    ASSERT(metrics && error);
    if (metrics->pending.len)
        TRY(file_append(metrics->path, metrics->pending.data, metrics->pending.len, error));
    buffer_clear(&metrics->pending);
    metrics->flushed_s = time_monotonic_s();
    return OK;
}

void metrics_close(struct metrics *metrics)
{
    ASSERT(metrics);
    buffer_destroy(&metrics->pending);
}
