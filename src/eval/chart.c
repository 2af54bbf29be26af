#include "eval/chart.h"

#include <math.h>

enum { WIDTH = 720, HEIGHT = 280, LEFT = 64, RIGHT = 16, TOP = 34, BOTTOM = 44, COLUMNS = 320 };

struct range {
    double low, high;
};

struct frame {
    struct range x, y;
};

static void widen(struct range *range, double value)
{
    if (!isfinite(value))
        return;
    range->low = fmin(range->low, value);
    range->high = fmax(range->high, value);
}

static struct frame frame_of(const struct chart *chart)
{
    struct frame frame = {{INFINITY, -INFINITY}, {INFINITY, -INFINITY}};
    for (size_t s = 0; s < chart->series_count; s++)
        for (size_t i = 0; i < chart->series[s].count; i++) {
            widen(&frame.x, chart->series[s].x[i]);
            widen(&frame.y, chart->series[s].y[i]);
        }
    if (chart->y_from_zero)
        widen(&frame.y, 0);
    struct range *both[] = {&frame.x, &frame.y};
    for (int i = 0; i < 2; i++) {
        if (!(both[i]->low <= both[i]->high))
            *both[i] = (struct range){0, 1};
        if (both[i]->high - both[i]->low < 1e-9 * fmax(1, fabs(both[i]->high)))
            both[i]->high = both[i]->low + 1;
    }
    return frame;
}

static double place_x(const struct frame *frame, double x)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * (x - frame->x.low) / (frame->x.high - frame->x.low);
}

static double place_y(const struct frame *frame, double y)
{
    double share = (y - frame->y.low) / (frame->y.high - frame->y.low);
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share;
}

/* A step of 1, 2 or 5 times a power of ten that gives about `wanted` ticks. */
static double tick_step(struct range range, int wanted)
{
    double raw = (range.high - range.low) / wanted;
    double power = pow(10, floor(log10(raw)));
    double lead = raw / power;
    return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
}

static status write_axes(struct buffer *out, const struct frame *frame, struct error *error)
{
    double step = tick_step(frame->y, 5);
    for (double y = ceil(frame->y.low / step) * step; y <= frame->y.high + step * 1e-6; y += step) {
        double at = place_y(frame, y);
        TRY(buffer_format(out, error,
                          "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                          "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                          LEFT, WIDTH - RIGHT, at, at, LEFT - 8, at + 4,
                          fabs(y) < step * 1e-6 ? 0 : y));
    }
    step = tick_step(frame->x, 8);
    for (double x = ceil(frame->x.low / step) * step; x <= frame->x.high + step * 1e-6; x += step)
        TRY(buffer_format(out, error,
                          "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n",
                          place_x(frame, x), HEIGHT - BOTTOM + 18, x));
    return OK;
}

static status write_points(struct buffer *out, const struct frame *frame,
                           const struct chart_series *series, size_t begin, size_t end,
                           struct error *error)
{
    size_t low = begin, high = begin;
    for (size_t i = begin; i < end; i++) {
        if (!(series->y[i] >= series->y[low]))
            low = i;
        if (!(series->y[i] <= series->y[high]))
            high = i;
    }
    size_t first = low < high ? low : high, second = low < high ? high : low;
    TRY(buffer_format(out, error, "%.1f,%.1f ", place_x(frame, series->x[first]),
                      place_y(frame, series->y[first])));
    if (second != first)
        TRY(buffer_format(out, error, "%.1f,%.1f ", place_x(frame, series->x[second]),
                          place_y(frame, series->y[second])));
    return OK;
}

/* Each of COLUMNS slices of the finite points keeps its lowest and its highest value. */
static status write_series(struct buffer *out, const struct frame *frame,
                           const struct chart_series *series, size_t number, struct error *error)
{
    size_t slice = series->count / COLUMNS + 1;
    for (size_t i = 0; i < series->count;) {
        if (!isfinite(series->y[i])) {
            i++;
            continue;
        }
        TRY(buffer_format(out, error, "<polyline class=\"series-%zu\" points=\"", number));
        while (i < series->count && isfinite(series->y[i])) {
            size_t end = i;
            while (end < series->count && end < i + slice && isfinite(series->y[end]))
                end++;
            TRY(write_points(out, frame, series, i, end, error));
            i = end;
        }
        TRY(buffer_string(out, "\"/>\n", error));
    }
    return buffer_format(out, error, "<text class=\"name-%zu\" x=\"%zu\" y=\"%d\">%s</text>\n",
                         number, (size_t)LEFT + 8 + number * 170, TOP - 8, series->name);
}

status chart_write(struct buffer *out, const struct chart *chart, struct error *error)
{
    ASSERT(out && chart && error);
    ASSERT(chart->series_count <= CHART_SERIES_MAX);
    struct frame frame = frame_of(chart);
    TRY(buffer_format(out, error,
                      "<svg viewBox=\"0 0 %d %d\" role=\"img\"><title>%s</title>\n"
                      "<text class=\"axis\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n"
                      "<text class=\"axis\" x=\"%d\" y=\"14\">%s</text>\n",
                      WIDTH, HEIGHT, chart->title, WIDTH - RIGHT, HEIGHT - 8, chart->x_label, 4,
                      chart->y_label));
    TRY(write_axes(out, &frame, error));
    for (size_t s = 0; s < chart->series_count; s++)
        TRY(write_series(out, &frame, &chart->series[s], s, error));
    return buffer_string(out, "</svg>\n", error);
}
