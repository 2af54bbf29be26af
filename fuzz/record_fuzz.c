/* modules: base text proof corpus */
#include "base/arena.h"
#include "corpus/corpus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A line of JSON as a record, and the same bytes as text in an unknown encoding. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct arena *arena = NULL;
    struct record record;
    const char *reason = NULL;
    struct view bytes = {(const char *)data, size};
    struct buffer text;
    if (arena_create(&arena, 64 << 20, &error) != OK)
        return 0;
    if (!record_parse(&record, &reason, bytes, "text", arena))
        ASSERT(reason);
    buffer_create(&text, 16 << 20);
    enum text_encoding encoding = encoding_detect(bytes);
    if (encoding > ENCODING_BINARY)
        (void)!encoding_decode(&text, bytes, encoding, &error);
    buffer_destroy(&text);
    arena_destroy(arena);
    return 0;
}
