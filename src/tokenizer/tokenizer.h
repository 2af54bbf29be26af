/* Byte-level BPE: training, encoding, decoding, and Hugging Face's tokenizer.json in and out.
 *
 * Any bytes encode and decode back to themselves.  Text is cut into pre-tokens by the `qwen2`
 * pattern (split.c), each of which is merged exactly as its merge ranks say.  Not for normalising
 * text (text/unicode.h, before training), not for chat templates (infer/).
 *
 * A struct tokenizer lives in the arena it was made in and is immutable: any number of threads may
 * use it. An encoder has a cache and scratch memory: one a thread. */
#ifndef RODNIK_TOKENIZER_TOKENIZER_H
#define RODNIK_TOKENIZER_TOKENIZER_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/string.h"
#include "base/thread.h"

enum {
    TOKENIZER_VOCABULARY_MAX = 1000000,
    TOKENIZER_TOKEN_BYTES_MAX = 1024,
    TOKENIZER_SPECIALS_MAX = 1024,
    TOKENIZER_FILE_BYTES_MAX = 64 << 20,
    TOKENIZER_TEXT_BYTES_MAX = 1 << 30 /* of one call to tokenizer_encode */
};

#define TOKEN_NONE UINT32_MAX

/* The special tokens of every tokenizer trained here, the last ids of its vocabulary in this order.
 */
enum token_special {
    TOKEN_DOCUMENT,   /* <|endoftext|>: starts and ends a document */
    TOKEN_TURN_START, /* <|im_start|> */
    TOKEN_TURN_END,   /* <|im_end|>: ends generation of a reply */
    TOKEN_PAD,        /* <|pad|> */
    TOKEN_SPECIAL_COUNT
};

struct tokenizer;

/* Reads a tokenizer.json.  ERR_FORMAT names the field that is missing, wrong or not supported. */
MUST_USE status tokenizer_load(struct tokenizer **out, const char *path, struct arena *arena,
                               struct error *error);
/* The same from memory; `name` is what errors call it. */
MUST_USE status tokenizer_parse(struct tokenizer **out, struct view json, const char *name,
                                struct arena *arena, struct error *error);
/* Writes a tokenizer.json, atomically; equal tokenizers give equal bytes. */
MUST_USE status tokenizer_save(const struct tokenizer *tokenizer, const char *path,
                               struct error *error);
MUST_USE status tokenizer_write(struct buffer *out, const struct tokenizer *tokenizer,
                                struct error *error);

/* Gives the next document, or text->data == NULL after the last; the call after that gives the
 * first again.  The text stays valid until the next call. */
typedef status tokenizer_next(void *context, struct view *text, struct error *error);

struct tokenizer_training {
    uint32_t vocabulary;       /* tokens in all, special tokens included: at least 261 */
    size_t sample_max_bytes;   /* of documents, at most, to learn from; 0: 500 MB */
    uint32_t upper_case_every; /* a pre-token that stands there N times counts N / this times,
                                * rounded, in upper case, too; 0: 24, TOKENIZER_NEVER: never */
    struct thread_pool *pool;  /* counts pre-tokens; NULL: the calling thread alone */
    tokenizer_next *next;
    void *context;
};

enum { TOKENIZER_VOCABULARY_MIN = 256 + 1 + TOKEN_SPECIAL_COUNT };
#define TOKENIZER_NEVER UINT32_MAX

/* Learns merges from documents: the most frequent pair of neighbours first; of equally frequent
 * pairs the one whose (left id, right id) is smaller.  Goes through the documents twice; of more
 * than the sample's bytes it takes pieces of some 32 KiB, those of the smallest hashes.  The result
 * depends only on the documents' bytes, not on their order, not on threads.  Memory depends on the
 * sample and 16 bytes for every 32 KiB of documents.  The vocabulary is smaller than asked for if
 * no pair occurs twice any more.  Stops with ERR_INTERRUPTED on Ctrl-C. */
MUST_USE status tokenizer_train(struct tokenizer **out, const struct tokenizer_training *training,
                                struct arena *arena, struct error *error);

uint32_t tokenizer_vocabulary(const struct tokenizer *tokenizer);
/* The id of a special token, TOKEN_NONE if this tokenizer has none of that text. */
uint32_t tokenizer_special(const struct tokenizer *tokenizer, enum token_special special);
bool tokenizer_is_special(const struct tokenizer *tokenizer, uint32_t id);
/* The raw bytes of a token (a special token's text).  id < vocabulary. */
struct view tokenizer_bytes(const struct tokenizer *tokenizer, uint32_t id);
/* The token with exactly these bytes or this special text, or TOKEN_NONE. */
uint32_t tokenizer_find(const struct tokenizer *tokenizer, struct view bytes);
/* Merges in rank order, for export: left and right are ids; index < tokenizer_merge_count. */
uint32_t tokenizer_merge_count(const struct tokenizer *tokenizer);
void tokenizer_merge(uint32_t *left, uint32_t *right, const struct tokenizer *tokenizer,
                     uint32_t index);
/* The token's text in the printable alphabet of GPT-2 (byte <-> code point), as files store it;
 * a special token's text as it is. */
MUST_USE status tokenizer_printable(struct buffer *out, const struct tokenizer *tokenizer,
                                    uint32_t id, struct error *error);
extern const char *const tokenizer_pattern; /* the regular expression, as written to files */

/* A list of token ids that grows up to count_max.  Owned by its creator; one thread at a time. */
struct tokens {
    uint32_t *ids; /* NULL while empty */
    size_t count;
    struct buffer storage;
};
void tokens_create(struct tokens *out, size_t count_max);
void tokens_destroy(struct tokens *tokens);
void tokens_clear(struct tokens *tokens);
MUST_USE status tokens_append(struct tokens *tokens, const uint32_t *ids, size_t count,
                              struct error *error);

/* The length in bytes of the pre-token at the start of `text` (len >= 1): at least 1, at most
 * text.len. */
size_t tokenizer_pre_token(const struct tokenizer *tokenizer, struct view text);

struct tokenizer_encoder;
/* An encoder holds 8 MiB of cache in the arena, and scratch that destroy gives back. */
MUST_USE status tokenizer_encoder_create(struct tokenizer_encoder **out,
                                         const struct tokenizer *tokenizer, struct arena *arena,
                                         struct error *error);
void tokenizer_encoder_destroy(struct tokenizer_encoder *encoder); /* NULL is allowed */

/* Appends the ids of `text` to `out`.  Text of special tokens stands for itself unless
 * `allow_specials`.  O(n log n) in the length of the longest pre-token.  Fails on memory, on
 * TOKENIZER_TEXT_BYTES_MAX and past the maximum of `out`, which may then hold a part. */
MUST_USE status tokenizer_encode(struct tokens *out, struct tokenizer_encoder *encoder,
                                 struct view text, bool allow_specials, struct error *error);
/* Appends the bytes of the tokens; special tokens give their text.  An id outside the vocabulary is
 * ERR_FORMAT. */
MUST_USE status tokenizer_decode(struct buffer *out, const struct tokenizer *tokenizer,
                                 const uint32_t *ids, size_t count, struct error *error);

#endif
