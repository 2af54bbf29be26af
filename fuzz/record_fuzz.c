/* modules: base text proof corpus */
#include <string.h>

#include "base/arena.h"
#include "corpus/corpus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What is read in one go is what cJSON reads. */
static void read_both_ways(struct view line, struct buffer *room, struct arena *arena)
{
    struct record fast, slow;
    const char *fast_reason = NULL, *slow_reason = NULL;
    bool good = record_parse(&fast, &fast_reason, line, "text", room, arena);
    ASSERT(good == record_parse_slowly(&slow, &slow_reason, line, "text", arena));
    if (good)
        ASSERT(view_equal(fast.text, slow.text) && same(fast.id, slow.id) &&
               same(fast.source, slow.source) && same(fast.license, slow.license) &&
               same(fast.url, slow.url) && same(fast.title, slow.title));
    else
        ASSERT(same(fast_reason, slow_reason));
}

/* A line of JSON as a record, and the same bytes as text in an unknown encoding. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct arena *arena = NULL;
    struct view bytes = {(const char *)data, size};
    struct buffer text;
    enum double_encoding doubled;
    if (arena_create(&arena, 64 << 20, &error) != OK)
        return 0;
    buffer_create(&text, 16 << 20);
    read_both_ways(bytes, &text, arena);
    buffer_clear(&text);
    (void)!encoding_undouble(&text, &doubled, bytes, &error);
    buffer_clear(&text);
    enum text_encoding encoding = encoding_detect(bytes);
    if (encoding > ENCODING_BINARY)
        (void)!encoding_decode(&text, bytes, encoding, &error);
    buffer_destroy(&text);
    arena_destroy(arena);
    return 0;
}
