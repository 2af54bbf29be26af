/* Line charts as SVG text: axes with round numbers, one to eight series, colours from the page's
 * style sheet (classes series-0,
 * series-1, ...).  Not for: layout of pages.  No state. */
#ifndef RODNIK_EVAL_CHART_H
#define RODNIK_EVAL_CHART_H

#include "base/buffer.h"

struct chart_series {
    const char *name;
    const double *x, *y; /* x ascending; points that are not finite break the line */
    size_t count;
};

struct chart {
    const char *title, *x_label, *y_label;
    const struct chart_series *series;
    size_t series_count;
    bool y_from_zero;
};

enum { CHART_SERIES_MAX = 8 };

/* Appends an <svg> element; long series are thinned to what the eye can tell apart (extremes kept).
 * */
MUST_USE status chart_write(struct buffer *out, const struct chart *chart, struct error *error);

#endif
