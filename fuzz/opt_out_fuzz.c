/* modules: base text corpus proof */
#include "corpus/opt_out.h"

#include <string.h>

#include "base/arena.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Up to the first NUL a list, after it a URL. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct arena *arena = NULL;
    struct opt_out *list;
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t len = end ? (size_t)(end - data) : size;
    struct view url = {(const char *)data + (end ? len + 1 : 0), end ? size - len - 1 : size};
    if (arena_create(&arena, 64 << 20, &error) != OK)
        return 0;
    if (opt_out_parse(&list, (struct view){(const char *)data, len}, "list", arena, &error) == OK) {
        struct opt_out_match match = opt_out_match(list, NULL, url);
        ASSERT((match.reason == OPT_OUT_NO) == (match.line == 0));
    } else
        ASSERT(error.text[0]);
    arena_destroy(arena);
    return 0;
}
