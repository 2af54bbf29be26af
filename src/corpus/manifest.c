#include "corpus/manifest.h"

#include <stdio.h>
#include <string.h>

enum { SITE_BYTES = 300, REFUSALS_BYTES_MAX = 64 << 20 };

/* ---- counting ---- */

void manifest_create(struct manifest *out, struct arena *arena)
{
    ASSERT(out && arena);
    *out = (struct manifest){0};
    struct tally *const tallies[] = {&out->sources, &out->licenses, &out->languages,
                                     &out->kinds,   &out->filtered, &out->left};
    for (size_t i = 0; i < sizeof tallies / sizeof *tallies; i++)
        tallies[i]->arena = arena;
}

static size_t bin_of(uint64_t bytes)
{
    size_t bin = 0;
    while (bytes >>= 1)
        bin++;
    return bin < HISTOGRAM_BINS ? bin : HISTOGRAM_BINS - 1;
}

/* Pages are counted by site: their addresses differ all. */
static const char *site_of(char site[SITE_BYTES], const char *source)
{
    const char *host = strstr(source, "://");
    if (!host)
        return source;
    size_t len = (size_t)(host - source) + 3;
    len += strcspn(source + len, "/?#");
    snprintf(site, SITE_BYTES, "%.*s", (int)len, source);
    return site;
}

status manifest_count(struct manifest *manifest, const struct spool_record *record,
                      const char *language, uint64_t bytes, struct error *error)
{
    ASSERT(manifest && record && language && error);
    char site[SITE_BYTES];
    manifest->kept_bytes[bin_of(bytes)]++;
    TRY(tally_add(&manifest->sources, site_of(site, record->source.data), bytes, error));
    TRY(tally_add(&manifest->licenses, record->license.data, bytes, error));
    TRY(tally_add(&manifest->languages, language, bytes, error));
    return tally_add(&manifest->kinds, record->kind.len ? record->kind.data : "unknown", bytes,
                     error);
}

status manifest_count_left(struct manifest *manifest, enum corpus_left left, const char *rule,
                           uint64_t bytes, struct error *error)
{
    ASSERT(manifest && error);
    manifest->left_bytes[bin_of(bytes)]++;
    if (rule)
        TRY(tally_add(&manifest->filtered, rule, bytes, error));
    return tally_add(&manifest->left, corpus_left_name(left), bytes, error);
}

/* ---- writing ---- */

static void add_hash(cJSON *json, const char *name, const struct sha256 *hash)
{
    char hex[SHA256_HEX_BYTES];
    sha256_hex(hex, hash);
    cJSON_AddStringToObject(json, name, hex);
}

static void add_number(cJSON *json, const char *name, uint64_t value)
{
    cJSON_AddNumberToObject(json, name, (double)value);
}

static void add_roots(cJSON *json, const struct corpus_roots *roots)
{
    add_hash(json, "root", &roots->root);
    add_hash(json, "documents_root", &roots->documents);
    add_hash(json, "keys_root", &roots->keys);
    add_hash(json, "salt", &roots->salt);
}

static status add_file(cJSON *files, const char *folder, const char *name, struct error *error)
{
    char path[PATH_BYTES];
    struct sha256 hash;
    uint64_t bytes;
    TRY(path_join(path, sizeof path, folder, name, error));
    if (!file_exists(path))
        return OK;
    TRY(file_size(&bytes, path, error));
    TRY(sha256_of_file(&hash, path, error));
    cJSON *file = cJSON_AddObjectToObject(files, name);
    add_number(file, "bytes", bytes);
    add_hash(file, "sha256", &hash);
    return OK;
}

static status add_files(cJSON *json, const char *folder, struct error *error)
{
    static const char *const names[] = {"texts.bin", "documents.jsonl", "decisions.jsonl",
                                        "signals.bin", "contamination.jsonl"};
    cJSON *files = cJSON_AddObjectToObject(json, "files");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        TRY(add_file(files, folder, names[i], error));
    return OK;
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
}

static void add_counts(cJSON *json, const struct corpus_counts *counts)
{
    add_number(json, "documents", counts->documents);
    add_number(json, "bytes", counts->bytes);
    add_number(json, "held_out_documents", counts->held_out);
    add_number(json, "held_out_bytes", counts->held_out_bytes);
    add_number(json, "files_read", counts->files);
    add_number(json, "lines_lost", counts->lines_lost);
    add_number(json, "masked", counts->masked);
}

static void add_personal(cJSON *json, const struct manifest *manifest)
{
    cJSON *object = cJSON_AddObjectToObject(json, "personal");
    for (int i = 0; i < PERSONAL_TYPES; i++)
        if (manifest->personal[i])
            add_number(object, personal_type_name((enum personal_type)i), manifest->personal[i]);
}

static void add_histogram(cJSON *json, const char *name, const uint64_t bins[HISTOGRAM_BINS])
{
    int used = HISTOGRAM_BINS;
    while (used && !bins[used - 1])
        used--;
    cJSON *array = cJSON_AddArrayToObject(json, name);
    for (int i = 0; i < used; i++)
        cJSON_AddItemToArray(array, cJSON_CreateNumber((double)bins[i]));
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
    buffer_create(&text, REFUSALS_BYTES_MAX);
    status result = buffer_reserve(&text, (size_t)spool->refusals.len, error);
    if (result == OK)
        result =
            file_scratch_read(text.data, &spool->refusals, 0, (size_t)spool->refusals.len, error);
    if (result == OK)
        add_refused(json, (struct view){text.data, (size_t)spool->refusals.len});
    buffer_destroy(&text);
    return result;
}

static status fill(cJSON *json, struct manifest *manifest, const struct manifest_facts *facts,
                   struct error *error)
{
    add_number(json, "format", MANIFEST_FORMAT);
    add_roots(json, facts->roots);
    TRY(add_files(json, facts->folder, error));
    add_counts(json, facts->counts);
    add_settings(json, facts->settings);
    tally_write(json, "sources", &manifest->sources);
    tally_write(json, "licenses", &manifest->licenses);
    tally_write(json, "languages", &manifest->languages);
    tally_write(json, "kinds", &manifest->kinds);
    tally_write(json, "left_out", &manifest->left);
    tally_write(json, "filtered", &manifest->filtered);
    cJSON *clusters = cJSON_AddObjectToObject(json, "clusters");
    add_number(clusters, "count", manifest->clusters);
    add_number(clusters, "documents", manifest->in_clusters);
    add_personal(json, manifest);
    cJSON *histograms = cJSON_AddObjectToObject(json, "histograms");
    add_histogram(histograms, "kept_bytes_log2", manifest->kept_bytes);
    add_histogram(histograms, "left_out_bytes_log2", manifest->left_bytes);
    add_number(json, "refused_count", facts->counts->refused);
    return read_refused(json, facts->spool, error);
}

status manifest_seal(const char *path, char *text, struct error *error)
{
    ASSERT(path && text && error);
    char hex[SHA256_HEX_BYTES];
    char *end = strrchr(text, '}');
    ASSERT(end);
    while (end > text && (end[-1] == '\n' || end[-1] == ' '))
        end--;
    struct sha256 check = sha256_of(text, (size_t)(end - text));
    struct buffer whole;
    buffer_create(&whole, (size_t)(end - text) + 256);
    sha256_hex(hex, &check);
    status result = buffer_append(&whole, text, (size_t)(end - text), error);
    if (result == OK)
        result = buffer_format(&whole, error, ",\"check\":\"%s\"}\n", hex);
    if (result == OK)
        result = file_write_atomic(path, whole.data, whole.len, error);
    buffer_destroy(&whole);
    return result;
}

status manifest_write(struct manifest *manifest, const struct manifest_facts *facts,
                      struct error *error)
{
    ASSERT(manifest && facts && error);
    char path[PATH_BYTES];
    TRY(path_join(path, sizeof path, facts->folder, "manifest.json", error));
    cJSON *json = cJSON_CreateObject();
    status result = fill(json, manifest, facts, error);
    char *text = result == OK ? cJSON_Print(json) : NULL;
    cJSON_Delete(json);
    if (result == OK && !text)
        result = fail(error, ERR_MEMORY, "%s: no memory for its text", path);
    if (result == OK)
        result = manifest_seal(path, text, error);
    cJSON_free(text);
    return result;
}
