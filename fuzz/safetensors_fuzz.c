/* modules: base text proof tensor model */
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct arena *arena = NULL;
    if (arena_create(&arena, 64 << 20, &error) != OK)
        return 0;
    struct safetensors file = {0};
    if (safetensors_parse(&file, data, size, "fuzz", arena, &error) == OK)
        for (size_t i = 0; i < file.count; i++)
            if (file.tensors[i].bytes) /* every byte must be readable */
                (void)*((const volatile uint8_t *)file.tensors[i].data + file.tensors[i].bytes - 1);
    arena_destroy(arena);
    return 0;
}
