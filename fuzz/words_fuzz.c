/* modules: base text */
#include "text/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count_words(struct view text, enum words_form form)
{
    struct error error = {0};
    struct words words;
    struct words_piece piece;
    size_t count = 0;
    words_open(&words, form);
    words_begin(&words, text);
    do {
        ASSERT(words_read(&piece, &words, &error) == OK);
        ASSERT(piece.normal.len == 0 || piece.normal.data[piece.normal.len - 1] == ' ');
        count += piece.count;
    } while (piece.normal.len);
    words_close(&words);
    return count;
}

/* Words are the same, however they are read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = {(const char *)data, size}, place;
    size_t count = 0;
    for (size_t at = 0; words_next_place(&place, text, &at); count++)
        ASSERT(place.len > 0);
    ASSERT(count_words(text, WORDS_EXACT) == count);
    ASSERT(count_words(text, WORDS_NUMBERS_FOLDED) == count);
    return 0;
}
