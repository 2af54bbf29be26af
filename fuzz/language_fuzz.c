/* modules: base text */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "text/language.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

/* A model whose hash and length are made right, so that the rest of the file is looked at; what
 * opens must guess the language of any bytes, the input itself. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct arena *arena;
    struct language_model *model;
    if (size < 128 || size > 1 << 20 || arena_create(&arena, 0, &error) != OK)
        return 0;
    char *file = arena_alloc(arena, size, 1, &error);
    must(file != NULL);
    memcpy(file, data, size);
    uint64_t bytes = size;
    memcpy(file + 40, &bytes, sizeof bytes);
    struct sha256 hash = sha256_of(file, size - SHA256_BYTES);
    memcpy(file + size - SHA256_BYTES, hash.byte, SHA256_BYTES);
    if (language_open(&model, (struct view){file, size}, "fuzz", arena, &error) == OK) {
        double shares[LANGUAGES_MAX];
        struct view text = {(const char *)data, size};
        struct language_guess guess = language_detect(model, text);
        must(guess.language < language_count(model) && guess.score >= 0 && guess.score <= 1);
        guess = language_detect_all(model, text, shares);
        must(guess.language < 0 || shares[guess.language] == guess.score);
    } else
        must(error.code == ERR_FORMAT && error.text[0]);
    arena_destroy(arena);
    return 0;
}
