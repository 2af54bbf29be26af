/* The items of evaluations, as what must not be in a corpus: stretches of words to look for.
 *
 * An item is a line of JSON.  Its passages are the texts of the members context, premise,
 * hypothesis, prompt, text, sentence1, sentence2, good, bad, choices, answer, rationale and test,
 * in this order, where they are strings or lists of strings; of other members only id and task are
 * read.  Words are those of text/words.h in the form WORDS_EXACT.
 *  - Every 13 words in a row of a passage are a gram of the item.
 *  - An item without any gram is searched for by the longest of its passages of 5 to 12 words (of
 *    equally long ones the first), as a whole.
 *  - Only grams and whole passages count in which at least 5 words hold a letter: numbers in a row
 *    prove nothing.
 *  - What remains can't be searched for.
 * Items are owned by whoever reads them; reading from them is thread-safe. */
#ifndef RODNIK_CORPUS_EVALUATION_ITEMS_H
#define RODNIK_CORPUS_EVALUATION_ITEMS_H

#include "base/arena.h"
#include "corpus/gram_index.h"
#include "text/words.h"

enum { ITEM_GRAM_WORDS = 13, ITEM_WHOLE_WORDS = 5, ITEM_LETTER_WORDS = 5 };

enum item_search { ITEM_NOT_SEARCHED, ITEM_BY_GRAMS, ITEM_AS_A_WHOLE };
const char *item_search_name(enum item_search search); /* none, 13 words, whole */

struct evaluation_item {
    const char *id, *task;
    enum item_search search;
    uint32_t grams;          /* places of grams; of a whole item 1 */
    size_t whole, whole_len; /* in `normal`, of an item that is searched for as a whole */
};

struct evaluation_items {
    struct arena *arena;
    struct evaluation_item *list;
    size_t count, capacity;
    struct buffer normal;     /* the passages in normal form, one after the other */
    struct gram_index grams;  /* of 13 words; value: item << 32 | place in `normal` */
    struct gram_index wholes; /* of the first 5 words; value: item << 32 */
    size_t searched[3];       /* how many items are searched for how */
};

/* Reads all .jsonl files of a folder, also .gz, .zst and .xz, in the order of names.  A line that
 * is no JSON object, a damaged file, and a folder without items are ERR_FORMAT. */
MUST_USE status evaluation_items_read(struct evaluation_items **out, const char *folder,
                                      struct error *error);
/* The same from lines in memory; `name` stands for the file. */
MUST_USE status evaluation_items_parse(struct evaluation_items **out, struct view lines,
                                       const char *name, struct error *error);
void evaluation_items_destroy(struct evaluation_items *items); /* NULL is allowed */

#endif
