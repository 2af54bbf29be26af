#include "eval/report.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "eval/chart.h"
#include "eval/corpus_page.h"
#include "eval/page.h"

enum { PAGE_BYTES_MAX = 64 << 20, FILE_BYTES_MAX = 256 << 20 };

struct page {
    struct buffer text;
    struct arena *arena;
    const struct report *report;
};

static status add_row(struct buffer *out, const char *name, const char *value, struct error *error)
{
    TRY(buffer_string(out, "<tr><th>", error));
    TRY(page_escape(out, name, error));
    TRY(buffer_string(out, "</th><td><code>", error));
    TRY(page_escape(out, value, error));
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
    TRY(page_begin(out, info->name, error));
    TRY(buffer_string(out, "<h1>", error));
    TRY(page_escape(out, info->name, error));
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

static status add_corpus(struct page *page, struct error *error)
{
    struct view text;
    if (!page->report->corpus)
        return OK;
    TRY(read_part(&text, page, page->report->corpus, "manifest.json", error));
    cJSON *manifest = cJSON_ParseWithLength(text.data, text.len);
    status result =
        cJSON_IsObject(manifest) ? corpus_page_tables(&page->text, manifest, error) : OK;
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
        TRY(page_escape(out, page->report->samples[i].prompt, error));
        TRY(buffer_string(out, "</span>", error));
        TRY(page_escape(out, page->report->samples[i].text, error));
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
    TRY(page_escape(&page->text, text.data, error));
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
    return page_end(&page->text, error);
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
