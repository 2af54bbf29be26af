/* The texts of a file as `rodnik corpus build` would read them, for commands that ask about a
 * document by naming its file: any kind that a corpus is built from, archives too.  The readers run
 * in their sandbox; the temporary folder goes when the texts are closed. */
#ifndef RODNIK_CLI_CLI_TEXTS_H
#define RODNIK_CLI_CLI_TEXTS_H

#include "base/file.h"
#include "base/hash.h"
#include "corpus/corpus.h"

struct cli_text {
    const char *id;
    struct sha256 read; /* of the clean text */
    struct view
        stored; /* as a corpus with the usual settings would store it; data NULL: not kept */
};
struct cli_texts {
    struct cli_text *list; /* as the folder's lists have them, kept ones first */
    size_t count, capacity;
    char folder[PATH_BYTES];
    struct corpus *corpus;
    struct arena *arena;
};
/* `path` "-": standard input, as plain text.  Settings: text_field and whole_pages count. */
MUST_USE status cli_texts_open(struct cli_texts *out, const char *path,
                               const struct corpus_settings *settings, struct arena *arena,
                               struct error *error);
void cli_texts_close(struct cli_texts *texts);

#endif
