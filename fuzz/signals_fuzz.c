/* modules: base text proof corpus */
#include <stdlib.h>
#include <string.h>

#include "corpus/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

/* Any bytes are measured, and what is counted fits together. */
static void measure(struct view text, struct arena *arena)
{
    struct error error = {0};
    struct signals_work *work;
    struct signals s;
    must(signals_work_create(&work, NULL, arena, &error) == OK);
    must(signals_measure(&s, work, text, &error) == OK);
    must(s.bytes == text.len && s.characters <= s.bytes && s.tokens <= s.characters);
    must(s.letters + s.digits + s.spaces <= s.characters && s.damaged <= s.characters);
    must(s.words <= s.tokens && s.words_alphabetic <= s.words && s.upper <= s.letters);
    must(s.lines <= s.newlines + 1 && s.lines_again < s.lines + (s.lines == 0));
    must(s.paragraphs <= s.lines + 1 && s.stop_ru <= 22 && s.stop_en <= 8);
    signals_work_destroy(work);
}

/* A file of signals whose hash and length are made right. */
static void read_back(struct view input, struct arena *arena)
{
    enum { TRAILER = 48 };
    struct error error = {0};
    struct signals_reader reader;
    char *file = arena_alloc(arena, input.len, 1, &error);
    must(file != NULL);
    memcpy(file, input.data, input.len);
    uint64_t bytes = input.len;
    memcpy(file + input.len - TRAILER + 8, &bytes, sizeof bytes);
    struct sha256 hash = sha256_of(file, input.len - SHA256_BYTES);
    memcpy(file + input.len - SHA256_BYTES, hash.byte, SHA256_BYTES);
    if (signals_reader_open(&reader, (struct view){file, input.len}, "fuzz", &error) != OK)
        return;
    struct profile profile;
    must(profile_open(&profile, "web-ru", &error) == OK);
    for (bool more = true; more;) {
        struct sha256 text;
        struct signals s = {0};
        if (signals_reader_next(&more, &text, &s, &reader, &error) != OK)
            break;
        if (more)
            must(profile_decide(&profile, &s, signals_language(&reader, &s)) < profile_rules());
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct arena *arena;
    struct view input = {(const char *)data, size};
    if (arena_create(&arena, 0, &error) != OK)
        return 0;
    measure(input, arena);
    if (size >= 80)
        read_back(input, arena);
    arena_destroy(arena);
    return 0;
}
