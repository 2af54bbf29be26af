/* A corpus on paper, from its manifest: tables and histograms in HTML, and the data card, whose
 * fields are those of the European Commission's template for the public summary of training content
 * (AI Act, article 53 (1) (d), template of 24 July 2025).  Not for reading a corpus.  No state. */
#ifndef RODNIK_EVAL_CORPUS_PAGE_H
#define RODNIK_EVAL_CORPUS_PAGE_H

#include <cjson/cJSON.h>

#include "base/buffer.h"

/* The section "Corpus" of a page. */
MUST_USE status corpus_page_tables(struct buffer *out, const cJSON *manifest, struct error *error);

struct corpus_card {
    const cJSON *manifest;
    const char *provider, *contact, *model, *released, *acquired, *illegal; /* NULL: not said */
    uint64_t tokens;                                                        /* 0: not counted */
};
enum card_form { CARD_MARKDOWN, CARD_HTML };
/* Appends the card, headings in Russian and English. */
MUST_USE status corpus_card_write(struct buffer *out, const struct corpus_card *card,
                                  enum card_form form, struct error *error);
/* The whole page: tables, histograms, card. */
MUST_USE status corpus_page_write(const char *path, const char *title,
                                  const struct corpus_card *card, struct error *error);

#endif
