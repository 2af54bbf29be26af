/* modules: base text corpus proof */
#include "corpus/contamination.h"

#include <string.h>

#include "base/thread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Finds in `text` what was searched for; the stretches lie inside of it. */
static void search(const struct evaluation_items *items, struct view text)
{
    struct error error = {0};
    struct thread_pool *pool = NULL;
    struct contamination *search = NULL;
    struct overlap overlap;
    struct evidence evidence;
    bool found = true;
    const struct numbered_text document = {7, text};
    ASSERT(thread_pool_create(&pool, 1, &error) == OK);
    const struct contamination_settings settings = {items, SORT_MEMORY_BYTES_MIN, "/tmp", pool};
    ASSERT(contamination_create(&search, &settings, &error) == OK);
    ASSERT(contamination_add(&overlap, search, &document, 1, &error) == OK);
    ASSERT(contamination_finish(search, &error) == OK);
    while (found) {
        ASSERT(contamination_next(&found, &evidence, search, &error) == OK);
        ASSERT(!found || (evidence.from < evidence.to && evidence.to <= text.len &&
                          evidence.grams >= 1 && evidence.grams <= evidence.item->grams));
    }
    contamination_destroy(search);
    thread_pool_destroy(pool);
}

/* Up to the first NUL items of evaluations, which are searched for in what follows and in
 * themselves. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct evaluation_items *items;
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t len = end ? (size_t)(end - data) : size;
    struct view lines = {(const char *)data, len};
    if (evaluation_items_parse(&items, lines, "lines", &error) != OK) {
        ASSERT(error.text[0]);
        return 0;
    }
    search(items, (struct view){(const char *)data, size});
    evaluation_items_destroy(items);
    return 0;
}
