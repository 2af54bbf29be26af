/* modules: base text */
#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

/* A lossy copy is valid, equals valid input, and its NFC is valid and stays as it is under NFC. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct buffer lossy, once, twice;
    struct view text = {(const char *)data, size};
    buffer_create(&lossy, 1 << 24);
    buffer_create(&once, 1 << 24);
    buffer_create(&twice, 1 << 24);
    must(utf8_lossy(&lossy, text, &error) == OK);
    struct view clean = {lossy.data ? lossy.data : "", lossy.len};
    must(utf8_valid(clean) && utf8_count(clean) <= clean.len);
    must(utf8_valid(text) == (size == lossy.len && (size == 0 || !memcmp(data, clean.data, size))));
    must(utf8_floor(clean, size / 2) <= clean.len);
    status refused = unicode_nfc(&once, text, &error);
    must((refused == OK) == utf8_valid(text));
    buffer_clear(&once);
    must(unicode_nfc(&once, clean, &error) == OK);
    struct view normal = {once.data ? once.data : "", once.len};
    must(utf8_valid(normal));
    must(unicode_nfc(&twice, normal, &error) == OK);
    must(view_equal(normal, (struct view){twice.data, twice.len}));
    buffer_destroy(&lossy);
    buffer_destroy(&once);
    buffer_destroy(&twice);
    return 0;
}
