#include "corpus/tallies.h"

#include <stdio.h>
#include <string.h>

static cJSON *object_of(cJSON *json, const char *name)
{
    cJSON *object = cJSON_GetObjectItemCaseSensitive(json, name);
    return object ? object : cJSON_AddObjectToObject(json, name);
}

static double add(cJSON *json, const char *name, double by)
{
    cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    if (!item)
        item = cJSON_AddNumberToObject(json, name, 0);
    if (!cJSON_IsNumber(item))
        return 1;
    cJSON_SetNumberValue(item, item->valuedouble + by);
    return item->valuedouble;
}

void tally_count(cJSON *table, const char *name, double documents, double bytes)
{
    ASSERT(name);
    cJSON *entry = object_of(table, name);
    double left = add(entry, "documents", documents);
    add(entry, "bytes", bytes);
    if (left <= 0)
        cJSON_DeleteItemFromObjectCaseSensitive(table, name);
}

const char *tally_source(char out[TALLY_NAME_BYTES], const char *source)
{
    ASSERT(out && source);
    const char *host = strstr(source, "://");
    if (!host)
        return source;
    size_t len = (size_t)(host - source) + 3;
    len += strcspn(source + len, "/?#");
    snprintf(out, TALLY_NAME_BYTES, "%.*s", (int)len, source);
    return out;
}

int histogram_item(uint64_t value)
{
    return value ? 63 - __builtin_clzll(value) : 0;
}

static void count_value(cJSON *histograms, const char *name, uint64_t value, int by)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(histograms, name);
    if (!list)
        list = cJSON_AddArrayToObject(histograms, name);
    int at = histogram_item(value), count = cJSON_GetArraySize(list);
    for (; count <= at; count++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(0));
    cJSON *item = cJSON_GetArrayItem(list, at);
    if (cJSON_IsNumber(item))
        cJSON_SetNumberValue(item, item->valuedouble + by);
    for (; count > 0; count--) { /* the last item is never zero */
        const cJSON *last = cJSON_GetArrayItem(list, count - 1);
        if (!cJSON_IsNumber(last) || last->valuedouble > 0)
            break;
        cJSON_DeleteItemFromArray(list, count - 1);
    }
}

void tallies_count(cJSON *manifest, const struct document *document, int by)
{
    ASSERT(document && (by == 1 || by == -1));
    char site[TALLY_NAME_BYTES];
    const char *const tables[] = {"sources", "licenses", "languages", "kinds"};
    const char *const names[] = {tally_source(site, document->source), document->license,
                                 document->language, document->kind};
    for (size_t i = 0; i < 4; i++)
        if (names[i])
            tally_count(object_of(manifest, tables[i]), names[i], by,
                        by * (double)document->text.len);
    cJSON *histograms = object_of(manifest, "histograms");
    count_value(histograms, "document_bytes", document->text.len, by);
    if (document->cluster > 1)
        count_value(histograms, "cluster_documents", document->cluster, by);
    if (document->lines_lost)
        count_value(histograms, "lines_lost", document->lines_lost, by);
    if (document->masked)
        count_value(histograms, "masked", document->masked, by);
}
