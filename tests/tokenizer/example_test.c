/* How another C program uses tokenizer.h: learn a vocabulary, keep it in a file, read it back, encode
 * and decode.  Build it against build/lib/tokenizer.a, text.a and base.a:
 *     gcc -std=gnu11 -D_GNU_SOURCE -Isrc example.c build/lib/tokenizer.a build/lib/text.a \
 *         build/lib/base.a -lcjson -lutf8proc -lxxhash -lcrypto -lm -pthread
 * It is compiled and run by `make check`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/tokenizer.h"

/* The documents: three texts, over and over. */
static status next_text(void *context, struct view *text, struct error *error)
{
    static const char *const texts[] = {"Мороз и солнце; день чудесный!", "The frost and the sun.",
                                        "Ещё ты дремлешь, друг прелестный."};
    size_t *at = context;
    (void)error; /* a text that can't be read: return fail(error, ERR_IO, "...") */
    *text = *at < 300 ? view_of(texts[*at % 3]) : (struct view){0};
    *at = *at < 300 ? *at + 1 : 0; /* after the end the next call begins again */
    return OK;
}

static status learn(const char *path, struct arena *arena, struct error *error)
{
    size_t at = 0;
    struct tokenizer *tokenizer;
    const struct tokenizer_training training = {
        .vocabulary = 320, .next = next_text, .context = &at};
    TRY(tokenizer_train(&tokenizer, &training, arena, error));
    return tokenizer_save(tokenizer, path, error);
}

/* Prints each token of the text in brackets; the text must come back from its ids. */
static status show(const char *path, const char *text, struct arena *arena, struct error *error)
{
    struct tokenizer *tokenizer;
    struct tokenizer_encoder *encoder;
    struct tokens tokens;
    struct buffer back;
    TRY(tokenizer_load(&tokenizer, path, arena, error));
    TRY(tokenizer_encoder_create(&encoder, tokenizer, arena, error));
    tokens_create(&tokens, 1 << 20);
    buffer_create(&back, 1 << 20);
    status result = tokenizer_encode(&tokens, encoder, view_of(text), false, error);
    if (result == OK)
        result = tokenizer_decode(&back, tokenizer, tokens.ids, tokens.count, error);
    for (size_t i = 0; result == OK && i < tokens.count; i++) {
        struct view bytes = tokenizer_bytes(tokenizer, tokens.ids[i]);
        printf("[%.*s]", (int)bytes.len, bytes.data);
    }
    if (result == OK) {
        printf(" %zu tokens of %zu bytes\n", tokens.count, strlen(text));
        if (!view_is((struct view){back.data, back.len}, text))
            result = fail(error, ERR_FORMAT, "the text did not come back");
    }
    buffer_destroy(&back);
    tokens_destroy(&tokens);
    tokenizer_encoder_destroy(encoder);
    return result;
}

int main(void)
{
    char path[] = "/tmp/rodnik-example-XXXXXX";
    struct error error = {0};
    struct arena *arena = NULL;
    int file = mkstemp(path);
    if (file < 0 || arena_create(&arena, 0, &error) != OK)
        return 1;
    bool done = learn(path, arena, &error) == OK &&
                show(path, "Мороз и солнце, друг! The sun.", arena, &error) == OK;
    if (!done)
        fprintf(stderr, "%s\n", error.text);
    arena_destroy(arena); /* the tokenizer and the encoder's cache lived in it */
    (void)remove(path);
    printf("%s the_example_of_the_header_runs\n", done ? "[       OK ]" : "[  FAILED  ]");
    return done ? 0 : 1;
}
