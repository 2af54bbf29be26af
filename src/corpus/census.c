#include "corpus/census.h"

#include <string.h>

#include "corpus/manifest.h"
#include "corpus/tallies.h"

enum { REFUSALS_BYTES_MAX = 64 << 20 };

/* ---- counting ---- */

void census_create(struct census *out, struct arena *arena)
{
    ASSERT(out && arena);
    *out = (struct census){0};
    struct tally *const tallies[] = {&out->sources, &out->licenses, &out->languages,
                                     &out->kinds,   &out->filtered, &out->left};
    for (size_t i = 0; i < sizeof tallies / sizeof *tallies; i++)
        tallies[i]->arena = arena;
}

static void count_value(uint64_t bins[HISTOGRAM_BINS], uint64_t value)
{
    int item = histogram_item(value);
    bins[item < HISTOGRAM_BINS ? item : HISTOGRAM_BINS - 1]++;
}

status census_count(struct census *census, const struct document *document, struct error *error)
{
    ASSERT(census && document && error);
    char site[TALLY_NAME_BYTES];
    uint64_t bytes = document->text.len;
    count_value(census->document_bytes, bytes);
    if (document->cluster > 1) {
        count_value(census->cluster_documents, document->cluster);
        census->clusters++;
        census->in_clusters += document->cluster;
    }
    if (document->lines_lost)
        count_value(census->lines_lost, document->lines_lost);
    if (document->masked)
        count_value(census->masked, document->masked);
    TRY(tally_add(&census->sources, tally_source(site, document->source), bytes, error));
    TRY(tally_add(&census->licenses, document->license, bytes, error));
    TRY(tally_add(&census->languages, document->language, bytes, error));
    return document->kind ? tally_add(&census->kinds, document->kind, bytes, error) : OK;
}

status census_count_left(struct census *census, enum corpus_left left, const char *rule,
                         uint64_t bytes, struct error *error)
{
    ASSERT(census && error);
    if (rule)
        TRY(tally_add(&census->filtered, rule, bytes, error));
    return tally_add(&census->left, corpus_left_name(left), bytes, error);
}

/* ---- writing ---- */

static void add_number(cJSON *json, const char *name, uint64_t value)
{
    cJSON_AddNumberToObject(json, name, (double)value);
}

static status add_files(cJSON *json, const struct census_facts *facts, struct error *error)
{
    TRY(manifest_put_file(json, facts->folder, "texts.bin", error));
    TRY(manifest_put_file(json, facts->folder, "documents.jsonl", error));
    TRY(manifest_put_file(json, facts->folder, "decisions.jsonl", error));
    TRY(manifest_put_file(json, facts->folder, "signals.bin", error));
    return facts->settings->evaluations
               ? manifest_put_file(json, facts->folder, "contamination.jsonl", error)
               : OK;
}

static void add_settings(cJSON *json, const struct corpus_settings *settings)
{
    cJSON *object = cJSON_AddObjectToObject(json, "settings");
    cJSON_AddStringToObject(object, "text_field", settings->text_field);
    cJSON_AddNumberToObject(object, "held_out_share", settings->held_out);
    cJSON_AddNumberToObject(object, "minimum_bytes", (double)settings->minimum_bytes);
    cJSON_AddBoolToObject(object, "whole_pages", settings->whole_pages);
    cJSON_AddStringToObject(object, "profile", settings->profile);
    cJSON_AddStringToObject(object, "duplicates", settings->duplicates);
    cJSON_AddNumberToObject(object, "line_documents", (double)settings->line_documents);
    cJSON_AddStringToObject(object, "personal", settings->personal);
    cJSON_AddBoolToObject(object, "opt_out", settings->opt_out != NULL);
    cJSON_AddBoolToObject(object, "evaluations", settings->evaluations != NULL);
    cJSON_AddBoolToObject(object, "report_overlaps", settings->report_overlaps);
}

static void add_counts(cJSON *json, const struct corpus_counts *counts)
{
    add_number(json, "bytes", counts->bytes);
    add_number(json, "held_out_documents", counts->held_out);
    add_number(json, "held_out_bytes", counts->held_out_bytes);
    add_number(json, "files_read", counts->files);
    add_number(json, "lines_lost", counts->lines_lost);
    add_number(json, "masked", counts->masked);
}

static void add_personal(cJSON *json, const struct census *census)
{
    cJSON *object = cJSON_AddObjectToObject(json, "personal");
    for (int i = 0; i < PERSONAL_TYPES; i++)
        if (census->personal[i])
            add_number(object, personal_type_name((enum personal_type)i), census->personal[i]);
}

static void add_histogram(cJSON *json, const char *name, const uint64_t bins[HISTOGRAM_BINS])
{
    int used = HISTOGRAM_BINS;
    while (used && !bins[used - 1])
        used--;
    if (!used)
        return;
    cJSON *array = cJSON_AddArrayToObject(json, name);
    for (int i = 0; i < used; i++)
        cJSON_AddItemToArray(array, cJSON_CreateNumber((double)bins[i]));
}

static void add_histograms(cJSON *json, const struct census *census)
{
    cJSON *histograms = cJSON_AddObjectToObject(json, "histograms");
    add_histogram(histograms, "document_bytes", census->document_bytes);
    add_histogram(histograms, "cluster_documents", census->cluster_documents);
    add_histogram(histograms, "lines_lost", census->lines_lost);
    add_histogram(histograms, "masked", census->masked);
}

/* The spool holds what and why, each with a NUL. */
static void add_refused(cJSON *json, struct view rest)
{
    cJSON *refused = cJSON_AddArrayToObject(json, "refused");
    while (rest.len) {
        const char *what = rest.data, *reason = what + strlen(what) + 1;
        size_t len = strlen(what) + strlen(reason) + 2;
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "what", what);
        cJSON_AddStringToObject(entry, "reason", reason);
        cJSON_AddItemToArray(refused, entry);
        rest.data += len;
        rest.len -= len;
    }
}

static status read_refused(cJSON *json, const struct spool *spool, struct error *error)
{
    struct buffer text;
    size_t len = (size_t)spool->refusals.len;
    buffer_create(&text, REFUSALS_BYTES_MAX);
    status result = buffer_reserve(&text, len, error);
    if (result == OK)
        result = file_scratch_read(text.data, &spool->refusals, 0, len, error);
    if (result == OK)
        add_refused(json, (struct view){text.data, len});
    buffer_destroy(&text);
    return result;
}

static status fill(cJSON *json, struct census *census, const struct census_facts *facts,
                   struct error *error)
{
    add_number(json, "format", MANIFEST_FORMAT);
    manifest_put_roots(json, facts->roots);
    TRY(add_files(json, facts, error));
    add_counts(json, facts->counts);
    add_settings(json, facts->settings);
    tally_write(json, "sources", &census->sources);
    tally_write(json, "licenses", &census->licenses);
    tally_write(json, "languages", &census->languages);
    tally_write(json, "kinds", &census->kinds);
    add_histograms(json, census);
    tally_write(json, "left_out", &census->left);
    tally_write(json, "filtered", &census->filtered);
    cJSON *clusters = cJSON_AddObjectToObject(json, "clusters");
    add_number(clusters, "count", census->clusters);
    add_number(clusters, "documents", census->in_clusters);
    add_personal(json, census);
    add_number(json, "refused_count", facts->counts->refused);
    return read_refused(json, facts->spool, error);
}

status census_write(struct census *census, const struct census_facts *facts, struct error *error)
{
    ASSERT(census && facts && error);
    char path[PATH_BYTES];
    TRY(path_join(path, sizeof path, facts->folder, "manifest.json", error));
    cJSON *json = cJSON_CreateObject();
    status result = fill(json, census, facts, error);
    if (result == OK)
        result = manifest_write(json, path, error);
    cJSON_Delete(json);
    return result;
}
