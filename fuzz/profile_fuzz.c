/* modules: base text proof corpus */
#include <stdlib.h>
#include <string.h>

#include "corpus/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A profile that is read must be written and read back to the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct profile profile, back;
    struct buffer text;
    if (profile_parse(&profile, (struct view){(const char *)data, size}, "fuzz", &error) != OK)
        return 0;
    buffer_create(&text, 1 << 20);
    if (profile_write(&text, &profile, &error) == OK &&
        (profile_parse(&back, (struct view){text.data, text.len}, "back", &error) != OK ||
         memcmp(&profile, &back, sizeof profile) != 0))
        abort();
    buffer_destroy(&text);
    return 0;
}
