#include "eval/report.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "eval/chart.h"

enum { PAGE_BYTES_MAX = 64 << 20, FILE_BYTES_MAX = 256 << 20 };

struct page {
    struct buffer text;
    struct arena *arena;
    const struct report *report;
};

static const char style[] =
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
    "padding:.2rem 0 .2rem 1rem;border-left:3px solid var(--line);white-space:pre-wrap}";

static status add_escaped(struct buffer *out, const char *text, struct error *error)
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

static status add_row(struct buffer *out, const char *name, const char *value, struct error *error)
{
    TRY(buffer_string(out, "<tr><th>", error));
    TRY(add_escaped(out, name, error));
    TRY(buffer_string(out, "</th><td><code>", error));
    TRY(add_escaped(out, value, error));
    return buffer_string(out, "</code></td></tr>\n", error);
}

/* A file of the run as text; empty when it isn't there. */
static status read_part(struct view *out, const struct page *page, const char *folder,
                        const char *name, struct error *error)
{
    char path[PATH_BYTES];
    *out = (struct view){"", 0};
    TRY(path_join(path, sizeof path, folder, name, error));
    if (!file_exists(path))
        return OK;
    return file_read(out, path, FILE_BYTES_MAX, page->arena, error);
}

/* ---- curves from metrics.jsonl ---- */

struct curves {
    double *step, *loss, *rate, *validation_step, *validation;
    size_t count, validation_count;
};

static double member(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static void add_point(struct curves *curves, const cJSON *json, const cJSON *before)
{
    size_t i = curves->count++;
    double tokens = member(json, "tokens") - (before ? member(before, "tokens") : 0);
    double seconds = member(json, "seconds") - (before ? member(before, "seconds") : 0);
    curves->step[i] = member(json, "step");
    curves->loss[i] = member(json, "loss");
    curves->rate[i] = seconds > 0 ? tokens / seconds : NAN;
    double validation = member(json, "validation_bits_per_byte");
    if (isfinite(validation) && validation >= 0) {
        curves->validation_step[curves->validation_count] = curves->step[i];
        curves->validation[curves->validation_count++] = validation;
    }
}

static status read_curves(struct curves *out, struct page *page, struct error *error)
{
    struct view text, rest, line;
    struct curves curves = {0};
    size_t lines = 1;
    TRY(read_part(&text, page, page->report->run, "metrics.jsonl", error));
    for (rest = text; view_line(&line, &rest);)
        lines++;
    double **const lists[] = {&curves.step, &curves.loss, &curves.rate, &curves.validation_step,
                              &curves.validation};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        TRY_ALLOC(*lists[i], page->arena, lines, error);
    cJSON *before = NULL;
    for (rest = text; view_line(&line, &rest);) {
        cJSON *json = cJSON_ParseWithLength(line.data, line.len);
        if (!json)
            continue; /* a torn last line */
        add_point(&curves, json, before);
        cJSON_Delete(before);
        before = json;
    }
    cJSON_Delete(before);
    *out = curves;
    return OK;
}

static status add_curves(struct page *page, struct error *error)
{
    struct curves curves;
    TRY(read_curves(&curves, page, error));
    if (curves.count == 0)
        return OK;
    const struct chart_series loss = {"training loss", curves.step, curves.loss, curves.count};
    const struct chart_series validation = {"held-out", curves.validation_step, curves.validation,
                                            curves.validation_count};
    const struct chart_series rate = {"tokens/s", curves.step, curves.rate, curves.count};
    const struct chart charts[] = {
        {"Training loss by step", "step", "nats per token", &loss, 1, false},
        {"Held-out bits per byte by step", "step", "bits per byte", &validation, 1, false},
        {"Rate by step", "step", "tokens per second", &rate, 1, true}};
    TRY(buffer_string(&page->text, "<h2>Curves</h2>\n", error));
    for (size_t i = 0; i < sizeof charts / sizeof *charts; i++)
        if (charts[i].series->count)
            TRY(chart_write(&page->text, &charts[i], error));
    return OK;
}

/* ---- tables ---- */

static status add_head(struct page *page, struct error *error)
{
    const struct engine_info *info = page->report->info;
    struct buffer *out = &page->text;
    TRY(buffer_string(out,
                      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta "
                      "name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>",
                      error));
    TRY(add_escaped(out, info->name, error));
    TRY(buffer_format(out, error, "</title><style>%s</style></head><body>\n<h1>", style));
    TRY(add_escaped(out, info->name, error));
    return buffer_format(
        out, error,
        "</h1>\n<p>%.2f million parameters: %lld layers of width %lld, %lld heads, vocabulary "
        "%lld, context %lld tokens; step %lld.</p>\n<table>\n<tr><th>state "
        "sha256</th><td><code>%s</code></td></tr>\n",
        (double)info->parameters * 1e-6, (long long)info->config.layers,
        (long long)info->config.width, (long long)info->config.heads,
        (long long)info->config.vocabulary, (long long)info->config.context, (long long)info->step,
        *info->state ? info->state : "unknown");
}

static status add_tally(struct page *page, const cJSON *manifest, const char *name,
                        struct error *error)
{
    const cJSON *entry, *tallies = cJSON_GetObjectItemCaseSensitive(manifest, name);
    TRY(buffer_format(&page->text, error,
                      "<table><tr><th>%s</th><th>documents</th><th>MB</th></tr>\n", name));
    cJSON_ArrayForEach(entry, tallies)
    {
        TRY(buffer_string(&page->text, "<tr><td>", error));
        TRY(add_escaped(&page->text, entry->string, error));
        TRY(buffer_format(&page->text, error,
                          "</td><td class=\"n\">%.0f</td><td class=\"n\">%.2f</td></tr>\n",
                          member(entry, "documents"), member(entry, "bytes") * 1e-6));
    }
    return buffer_string(&page->text, "</table>\n", error);
}

static status add_manifest(struct page *page, const cJSON *manifest, struct error *error)
{
    const cJSON *root = cJSON_GetObjectItemCaseSensitive(manifest, "root");
    TRY(buffer_format(&page->text, error,
                      "<h2>Corpus</h2>\n<p>%.0f documents, %.2f MB; %.0f held out. Merkle root "
                      "<code>%s</code></p>\n",
                      member(manifest, "documents"), member(manifest, "bytes") * 1e-6,
                      member(manifest, "held_out_documents"),
                      cJSON_IsString(root) ? root->valuestring : "unknown"));
    TRY(add_tally(page, manifest, "languages", error));
    TRY(add_tally(page, manifest, "sources", error));
    return add_tally(page, manifest, "licenses", error);
}

static status add_corpus(struct page *page, struct error *error)
{
    struct view text;
    if (!page->report->corpus)
        return OK;
    TRY(read_part(&text, page, page->report->corpus, "manifest.json", error));
    cJSON *manifest = cJSON_ParseWithLength(text.data, text.len);
    status result = cJSON_IsObject(manifest) ? add_manifest(page, manifest, error) : OK;
    cJSON_Delete(manifest);
    return result;
}

static status add_samples(struct page *page, struct error *error)
{
    struct buffer *out = &page->text;
    if (page->report->sample_count)
        TRY(buffer_string(out, "<h2>Samples</h2>\n", error));
    for (size_t i = 0; i < page->report->sample_count; i++) {
        TRY(buffer_string(out, "<blockquote><span class=\"given\">", error));
        TRY(add_escaped(out, page->report->samples[i].prompt, error));
        TRY(buffer_string(out, "</span>", error));
        TRY(add_escaped(out, page->report->samples[i].text, error));
        TRY(buffer_string(out, "</blockquote>\n", error));
    }
    return OK;
}

static status add_preformatted(struct page *page, const char *title, const char *name,
                               struct error *error)
{
    struct view text;
    TRY(read_part(&text, page, page->report->run, name, error));
    if (text.len == 0)
        return OK;
    TRY(buffer_format(&page->text, error, "<h2>%s</h2>\n<pre><code>", title));
    TRY(add_escaped(&page->text, text.data, error));
    return buffer_string(&page->text, "</code></pre>\n", error);
}

static status add_ledger(struct page *page, struct error *error)
{
    struct view text, line, last = {"", 0};
    size_t lines = 0;
    char hash[SHA256_HEX_BYTES], count[32];
    TRY(read_part(&text, page, page->report->run, "ledger.jsonl", error));
    while (view_line(&line, &text)) {
        last = line;
        lines++;
    }
    struct sha256 sha = sha256_of(last.data, last.len);
    sha256_hex(hash, &sha);
    snprintf(count, sizeof count, "%zu lines", lines);
    TRY(add_row(&page->text, "ledger", count, error));
    TRY(add_row(&page->text, "last line sha256", lines ? hash : "none", error));
    return buffer_string(&page->text, "</table>\n", error);
}

static status compose(struct page *page, struct error *error)
{
    TRY(add_head(page, error));
    TRY(add_ledger(page, error));
    TRY(add_curves(page, error));
    TRY(add_samples(page, error));
    TRY(add_corpus(page, error));
    TRY(add_preformatted(page, "Recipe", "recipe.ini", error));
    return buffer_string(&page->text, "</body></html>\n", error);
}

status report_write(const char *path, const struct report *report, struct error *error)
{
    ASSERT(path && report && report->run && report->info && error);
    struct page page = {.report = report};
    TRY(arena_create(&page.arena, 0, error));
    buffer_create(&page.text, PAGE_BYTES_MAX);
    status result = compose(&page, error);
    if (result == OK)
        result = file_write_atomic(path, page.text.data, page.text.len, error);
    buffer_destroy(&page.text);
    arena_destroy(page.arena);
    return result;
}
