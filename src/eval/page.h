/* What self-contained HTML pages share: the style sheet, escaped text, bars.  Not for what stands
 * on a page.  No state. */
#ifndef RODNIK_EVAL_PAGE_H
#define RODNIK_EVAL_PAGE_H

#include "base/buffer.h"

extern const char page_style[]; /* of a <style> element; series and svg of chart.h too */
/* The document up to and with <body>. */
MUST_USE status page_begin(struct buffer *out, const char *title, struct error *error);
MUST_USE status page_end(struct buffer *out, struct error *error);
MUST_USE status page_escape(struct buffer *out, const char *text, struct error *error);
/* An <svg> of bars: counts[k] of values from 2^k to 2^(k+1) - 1. */
MUST_USE status page_histogram(struct buffer *out, const char *title, const double *counts,
                               size_t count, struct error *error);

#endif
