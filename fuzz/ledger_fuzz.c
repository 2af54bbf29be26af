/* modules: base proof */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "proof/ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static status count_line(void *context, size_t index, struct view json, struct error *error)
{
    (void)error;
    size_t *count = context;
    ASSERT(index == *count && json.len > 0);
    ++*count;
    return OK;
}

/* A file is a ledger or named as none; a torn one is mended to one that can be appended to. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[] = "/tmp/rodnik_ledger_fuzz_XXXXXX";
    static int descriptor = -1;
    struct error error = {0};
    struct ledger ledger;
    size_t lines = 0;
    if (descriptor < 0)
        descriptor = mkstemp(path);
    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, data, size, 0) != (ssize_t)size)
        abort();
    if (ledger_open(&ledger, path, count_line, &lines, &error) != OK)
        return 0;
    ASSERT(ledger.lines == lines);
    ASSERT(ledger_mend(&ledger, &error) == OK);
    ASSERT(ledger_append(&ledger, "\"kind\":\"fuzz\"", &error) == OK);
    ASSERT(ledger_open(&ledger, path, NULL, NULL, &error) == OK && ledger.lines == lines + 1);
    return 0;
}
