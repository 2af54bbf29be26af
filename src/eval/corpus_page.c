#include "eval/corpus_page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "eval/page.h"

enum { PAGE_BYTES_MAX = 64 << 20, ROWS_MAX = 200, ITEMS_MAX = 64 };

static double number(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static const char *string(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

/* ---- tables ---- */

/* An entry is {documents, bytes} or a number. */
static double documents_of(const cJSON *entry)
{
    return cJSON_IsNumber(entry) ? entry->valuedouble : number(entry, "documents");
}

static status add_table(struct buffer *out, const cJSON *manifest, const char *name,
                        const char *title, struct error *error)
{
    const cJSON *entry, *table = cJSON_GetObjectItemCaseSensitive(manifest, name);
    size_t rows = 0, more = 0;
    if (!table || !table->child)
        return OK;
    TRY(buffer_format(out, error, "<table><tr><th>%s</th><th>documents</th><th>MB</th></tr>\n",
                      title));
    cJSON_ArrayForEach(entry, table)
    {
        if (rows++ >= ROWS_MAX) {
            more++;
            continue;
        }
        TRY(buffer_string(out, "<tr><td>", error));
        TRY(page_escape(out, entry->string, error));
        TRY(buffer_format(out, error,
                          "</td><td class=\"n\">%.0f</td><td class=\"n\">%.2f</td></tr>\n",
                          documents_of(entry), number(entry, "bytes") * 1e-6));
    }
    if (more)
        TRY(buffer_format(out, error, "<tr><td>%zu more in manifest.json</td></tr>\n", more));
    return buffer_string(out, "</table>\n", error);
}

static status add_histogram(struct buffer *out, const cJSON *manifest, const char *name,
                            const char *title, struct error *error)
{
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(manifest, "histograms"), *item;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(all, name);
    double counts[ITEMS_MAX];
    size_t count = 0;
    cJSON_ArrayForEach(item, list)
    {
        if (count < ITEMS_MAX)
            counts[count++] = cJSON_IsNumber(item) ? item->valuedouble : 0;
    }
    return count ? page_histogram(out, title, counts, count, error) : OK;
}

static status add_refused(struct buffer *out, const cJSON *manifest, struct error *error)
{
    const cJSON *entry, *list = cJSON_GetObjectItemCaseSensitive(manifest, "refused");
    size_t rows = 0;
    if (!list || !list->child)
        return OK;
    TRY(buffer_string(out, "<table><tr><th>not readable</th><th>why</th></tr>\n", error));
    cJSON_ArrayForEach(entry, list)
    {
        const char *what = string(entry, "what"), *reason = string(entry, "reason");
        if (rows++ >= ROWS_MAX || !what || !reason)
            continue;
        TRY(buffer_string(out, "<tr><td>", error));
        TRY(page_escape(out, what, error));
        TRY(buffer_string(out, "</td><td>", error));
        TRY(page_escape(out, reason, error));
        TRY(buffer_string(out, "</td></tr>\n", error));
    }
    return buffer_string(out, "</table>\n", error);
}

status corpus_page_tables(struct buffer *out, const cJSON *manifest, struct error *error)
{
    ASSERT(out && error);
    static const struct {
        const char *name, *title;
    } tables[] = {{"languages", "language"},
                  {"licenses", "licence"},
                  {"kinds", "kind"},
                  {"sources", "source"},
                  {"left_out", "left out"},
                  {"filtered", "left out by rule of the profile"},
                  {"personal", "personal data"}},
      histograms[] = {
          {"document_bytes", "Documents by bytes"},
          {"cluster_documents", "Documents kept by size of their cluster of duplicates"},
          {"lines_lost", "Documents by repeated lines taken out"},
          {"masked", "Documents by personal data masked"}};
    TRY(buffer_format(out, error,
                      "<h2>Corpus</h2>\n<p>%.0f documents, %.2f MB; %.0f held out. Root <code>",
                      number(manifest, "documents"), number(manifest, "bytes") * 1e-6,
                      number(manifest, "held_out_documents")));
    const char *root = string(manifest, "root");
    TRY(page_escape(out, root ? root : "unknown", error));
    TRY(buffer_string(out, "</code></p>\n", error));
    for (size_t i = 0; i < sizeof histograms / sizeof *histograms; i++)
        TRY(add_histogram(out, manifest, histograms[i].name, histograms[i].title, error));
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        TRY(add_table(out, manifest, tables[i].name, tables[i].title, error));
    return add_refused(out, manifest, error);
}

/* ---- the card ---- */

struct card_writer {
    struct buffer *out;
    const struct corpus_card *card;
    bool html;
    struct buffer value; /* of one field */
};

static status heading(struct card_writer *writer, const char *text, struct error *error)
{
    return writer->html ? buffer_format(writer->out, error, "<h3>%s</h3>\n", text)
                        : buffer_format(writer->out, error, "\n## %s\n\n", text);
}

static status field(struct card_writer *writer, const char *name, const char *value,
                    struct error *error)
{
    if (!value || !*value)
        value = "to be filled in by the provider / заполняет поставщик";
    TRY(buffer_format(writer->out, error, writer->html ? "<p><b>%s</b>: " : "- **%s**: ", name));
    TRY(writer->html ? page_escape(writer->out, value, error)
                     : buffer_string(writer->out, value, error));
    return buffer_string(writer->out, writer->html ? "</p>\n" : "\n", error);
}

/* A field whose text is composed in writer->value. */
static status composed(struct card_writer *writer, const char *name, struct error *error)
{
    TRY(field(writer, name, writer->value.len ? writer->value.data : "none / нет", error));
    buffer_clear(&writer->value);
    return OK;
}

/* "ru 120 documents, 3.40 MB (81.0 %); ..." */
static status list_table(struct card_writer *writer, const char *name, struct error *error)
{
    enum { LISTED_MAX = 40 };
    const cJSON *entry, *table = cJSON_GetObjectItemCaseSensitive(writer->card->manifest, name);
    double bytes = number(writer->card->manifest, "bytes");
    size_t listed = 0;
    cJSON_ArrayForEach(entry, table)
    {
        if (listed++ >= LISTED_MAX)
            continue;
        TRY(buffer_format(&writer->value, error, "%s%s %.0f documents, %.2f MB (%.1f %%)",
                          listed > 1 ? "; " : "", entry->string, documents_of(entry),
                          number(entry, "bytes") * 1e-6,
                          bytes > 0 ? 100 * number(entry, "bytes") / bytes : 0));
    }
    return listed > LISTED_MAX
               ? buffer_format(&writer->value, error, "; and %zu more", listed - LISTED_MAX)
               : OK;
}

static status general(struct card_writer *writer, struct error *error)
{
    const struct corpus_card *card = writer->card;
    TRY(heading(writer, "1. Общие сведения / General information", error));
    TRY(field(writer, "Поставщик / Provider", card->provider, error));
    TRY(field(writer, "Связь / Contact", card->contact, error));
    TRY(field(writer, "Модель / Model", card->model, error));
    TRY(field(writer, "Дата выпуска / Date of placement on the market", card->released, error));
    TRY(field(writer, "Вид данных / Modality", "text / текст", error));
    double bytes = number(card->manifest, "bytes");
    TRY(buffer_format(&writer->value, error, "%.0f documents, %.0f bytes of UTF-8",
                      number(card->manifest, "documents"), bytes));
    if (card->tokens)
        TRY(buffer_format(&writer->value, error, ", %" PRIu64 " tokens (class: %s)", card->tokens,
                          card->tokens < 1000000000           ? "less than 1 billion"
                          : card->tokens <= 10000000000000ull ? "1 billion to 10 trillion"
                                                              : "more than 10 trillion"));
    else
        TRY(buffer_string(&writer->value, ", tokens not counted (--run)", error));
    TRY(composed(writer, "Объём / Size of the training data", error));
    TRY(list_table(writer, "kinds", error));
    TRY(composed(writer, "Виды содержания / Types of content", error));
    TRY(list_table(writer, "languages", error));
    TRY(composed(writer, "Языки / Linguistic characteristics", error));
    TRY(field(writer, "Последнее получение данных / Latest date of acquisition", card->acquired,
              error));
    return field(writer, "Корень / Merkle root of the corpus", string(card->manifest, "root"),
                 error);
}

static bool is_site(const cJSON *entry)
{
    return strncmp(entry->string, "http://", 7) == 0 || strncmp(entry->string, "https://", 8) == 0;
}

/* The tenth of all sites that gave most, at least one. */
static status list_sites(struct card_writer *writer, struct error *error)
{
    const cJSON *entry,
        *sources = cJSON_GetObjectItemCaseSensitive(writer->card->manifest, "sources");
    size_t sites = 0;
    cJSON_ArrayForEach(entry, sources) sites += is_site(entry);
    size_t wanted = (sites + 9) / 10;
    const cJSON *last = NULL;
    for (size_t listed = 0; listed < wanted && listed < ROWS_MAX; listed++) {
        const cJSON *best = NULL;
        bool behind = last == NULL; /* in the table, for equal sizes */
        cJSON_ArrayForEach(entry, sources)
        {
            double bytes = number(entry, "bytes");
            bool left = !last || bytes < number(last, "bytes") ||
                        (behind && bytes <= number(last, "bytes"));
            if (is_site(entry) && left && (!best || bytes > number(best, "bytes")))
                best = entry;
            behind = behind || entry == last;
        }
        if (!best)
            break;
        TRY(buffer_format(&writer->value, error, "%s%s %.2f MB", listed ? "; " : "", best->string,
                          number(best, "bytes") * 1e-6));
        last = best;
    }
    if (sites)
        TRY(buffer_format(&writer->value, error, " (%zu of %zu sites)", wanted, sites));
    return OK;
}

static status sources(struct card_writer *writer, struct error *error)
{
    TRY(heading(writer, "2. Источники / Data sources", error));
    TRY(list_table(writer, "sources", error));
    TRY(composed(writer, "Наборы и собрания / Data sets and collections, as their files say",
                 error));
    TRY(list_table(writer, "licenses", error));
    TRY(composed(writer, "Лицензии / Licences", error));
    TRY(list_sites(writer, error));
    TRY(composed(writer,
                 "Сайты, 10 % крупнейших / Crawled domains, the top 10 % by size of content",
                 error));
    TRY(field(writer, "Данные пользователей / User data", NULL, error));
    return field(writer, "Синтетические данные / Synthetic data", NULL, error);
}

static status measures(struct card_writer *writer, struct error *error)
{
    const cJSON *manifest = writer->card->manifest;
    const cJSON *left_out = cJSON_GetObjectItemCaseSensitive(manifest, "left_out"), *entry;
    TRY(heading(writer, "3. Обработка / Data processing", error));
    TRY(buffer_format(&writer->value, error,
                      "%.0f documents left out by an opt-out list, %.0f forgotten after the corpus "
                      "was built",
                      documents_of(cJSON_GetObjectItemCaseSensitive(left_out, "opt-out")),
                      documents_of(cJSON_GetObjectItemCaseSensitive(left_out, "forgotten"))));
    TRY(composed(writer, "Отказы правообладателей / Reservations of rights (opt-out)", error));
    TRY(field(writer, "Противоправное содержание / Removal of illegal content",
              writer->card->illegal, error));
    const cJSON *personal = cJSON_GetObjectItemCaseSensitive(manifest, "personal");
    cJSON_ArrayForEach(entry, personal)
        TRY(buffer_format(&writer->value, error, "%s%s %.0f", writer->value.len ? "; " : "",
                          entry->string, documents_of(entry)));
    if (!personal)
        TRY(buffer_string(&writer->value, "not searched for when the corpus was built", error));
    TRY(composed(writer, "Личные данные / Personal data found, by type", error));
    TRY(list_table(writer, "left_out", error));
    return composed(writer, "Отсев / Left out, by reason", error);
}

static status write_card(struct card_writer *writer, struct error *error)
{
    TRY(writer->html ? buffer_string(writer->out, "<h2>Паспорт данных / Data card</h2>\n", error)
                     : buffer_string(writer->out, "# Паспорт данных / Data card\n", error));
    TRY(general(writer, error));
    TRY(sources(writer, error));
    return measures(writer, error);
}

status corpus_card_write(struct buffer *out, const struct corpus_card *card, enum card_form form,
                         struct error *error)
{
    ASSERT(out && card && card->manifest && error);
    struct card_writer writer = {.out = out, .card = card, .html = form == CARD_HTML};
    buffer_create(&writer.value, PAGE_BYTES_MAX);
    status result = write_card(&writer, error);
    buffer_destroy(&writer.value);
    return result;
}

static status compose(struct buffer *out, const char *title, const struct corpus_card *card,
                      struct error *error)
{
    TRY(page_begin(out, title, error));
    TRY(buffer_string(out, "<h1>", error));
    TRY(page_escape(out, title, error));
    TRY(buffer_string(out, "</h1>\n", error));
    TRY(corpus_page_tables(out, card->manifest, error));
    TRY(corpus_card_write(out, card, CARD_HTML, error));
    return page_end(out, error);
}

status corpus_page_write(const char *path, const char *title, const struct corpus_card *card,
                         struct error *error)
{
    ASSERT(path && title && card && error);
    struct buffer page;
    buffer_create(&page, PAGE_BYTES_MAX);
    status result = compose(&page, title, card, error);
    if (result == OK)
        result = file_write_atomic(path, page.data, page.len, error);
    buffer_destroy(&page);
    return result;
}
