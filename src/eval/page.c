#include "eval/page.h"

#include <math.h>
#include <stdio.h>

const char page_style[] =
    ":root{color-scheme:light dark;--ink:#1c2528;--quiet:#5c6a70;--line:#d9dfe1;--ground:#fff;"
    "--a:#1f6f8b;--b:#b3541e}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4eaec;--quiet:#93a3a9;--line:#2d393d;"
    "--ground:#12181a;--a:#5fb3cf;--b:#e09a6a}}"
    "body{margin:2rem auto;max-width:50rem;padding:0 "
    "1rem;background:var(--ground);color:var(--ink);"
    "font:1rem/1.5 system-ui,sans-serif}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}"
    "table{border-collapse:collapse;width:100%;font-size:.9rem}td,th{text-align:left;"
    "padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:.85rem;"
    "overflow-wrap:anywhere}svg{width:100%;height:auto}svg text{font:11px system-ui,sans-serif;"
    "fill:var(--quiet)}.grid{stroke:var(--line)}polyline{fill:none;stroke-width:1.6}"
    ".series-0{stroke:var(--a)}.series-1{stroke:var(--b)}svg .name-0{fill:var(--a)}"
    "svg .name-1{fill:var(--b)}.given{color:var(--quiet)}blockquote{margin:.8rem 0;"
    "padding:.2rem 0 .2rem 1rem;border-left:3px solid "
    "var(--line);white-space:pre-wrap}.bar{fill:var(--a)}";

status page_escape(struct buffer *out, const char *text, struct error *error)
{
    for (; *text; text++) {
        const char *entity = *text == '<'   ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '&' ? "&amp;"
                             : *text == '"' ? "&quot;"
                                            : NULL;
        TRY(entity ? buffer_string(out, entity, error) : buffer_append(out, text, 1, error));
    }
    return OK;
}

status page_begin(struct buffer *out, const char *title, struct error *error)
{
    TRY(buffer_string(out,
                      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta "
                      "name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>",
                      error));
    TRY(page_escape(out, title, error));
    return buffer_format(out, error, "</title><style>%s</style></head><body>\n", page_style);
}

status page_end(struct buffer *out, struct error *error)
{
    return buffer_string(out, "</body></html>\n", error);
}

/* 1, 32, 1K, 2M: a power of two in short. */
static void short_power(char out[16], size_t power)
{
    static const char units[] = " KMGTPE";
    size_t unit = power / 10 < sizeof units - 2 ? power / 10 : sizeof units - 2;
    if (unit)
        snprintf(out, 16, "%.0f%c", ldexp(1, (int)(power - 10 * unit)), units[unit]);
    else
        snprintf(out, 16, "%.0f", ldexp(1, (int)power));
}

status page_histogram(struct buffer *out, const char *title, const double *counts, size_t count,
                      struct error *error)
{
    enum { WIDTH = 720, HEIGHT = 190, TOP = 40, BOTTOM = 24, ITEMS_MAX = 64 };
    double most = 1;
    count = count < ITEMS_MAX ? count : ITEMS_MAX;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, counts[i]);
    double step = (double)WIDTH / (count ? (double)count : 1);
    TRY(buffer_format(out, error, "<svg viewBox=\"0 0 %d %d\" role=\"img\"><text x=\"0\" y=\"14\">",
                      WIDTH, HEIGHT));
    TRY(page_escape(out, title, error));
    TRY(buffer_string(out, "</text>\n", error));
    for (size_t i = 0; i < count; i++) {
        char label[16];
        double height = (HEIGHT - TOP - BOTTOM) * counts[i] / most;
        double x = step * (double)i, top = HEIGHT - BOTTOM - height;
        short_power(label, i);
        TRY(buffer_format(out, error, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", x, HEIGHT - 8,
                          label));
        if (counts[i] > 0)
            TRY(buffer_format(out, error,
                              "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                              "height=\"%.1f\"/><text x=\"%.1f\" y=\"%.1f\">%.0f</text>\n",
                              x, top, step * 0.85, height, x, top - 4, counts[i]));
    }
    return buffer_string(out, "</svg>\n", error);
}
