/* modules: base text */
#include <string.h>

#include "text/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The words of a text, as pieces tell them, and checked against its places one by one. */
static size_t count_words(struct view text)
{
    struct error error = {0};
    struct words words, one;
    struct words_piece piece, word;
    size_t count = 0, at = 0;
    words_open(&words);
    words_open(&one);
    words_begin(&words, text);
    do {
        ASSERT(words_read(&piece, &words, &error) == OK);
        ASSERT(piece.before == count && !piece.count == !piece.normal.len);
        for (size_t i = 0; i < piece.count; i++) {
            struct view place;
            ASSERT(words_next_place(&place, text, &at));
            words_begin(&one, place);
            ASSERT(words_read(&word, &one, &error) == OK && word.count == 1);
            ASSERT(word.hash[0] == piece.hash[i] && word.folded[0] == piece.folded[i]);
            ASSERT(word.hash[0] == word_hash((struct view){word.normal.data, word.normal.len - 1}));
        }
        for (size_t i = 0; i < piece.line_count; i++)
            ASSERT(piece.line_ends[i] <= piece.count &&
                   (i == 0 || piece.line_ends[i] > piece.line_ends[i - 1]));
        count += piece.count;
    } while (piece.count);
    words_close(&words);
    words_close(&one);
    return count;
}

/* Words are the same, however they are read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = {(const char *)data, size}, place;
    size_t count = 0;
    for (size_t at = 0; words_next_place(&place, text, &at); count++)
        ASSERT(place.len > 0);
    ASSERT(count_words(text) == count);
    return 0;
}
