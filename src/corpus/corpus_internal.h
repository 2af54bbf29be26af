/* What the files of corpus/ share: documents on their way from a file to the store. */
#ifndef RODNIK_CORPUS_CORPUS_INTERNAL_H
#define RODNIK_CORPUS_CORPUS_INTERNAL_H

#include "corpus/corpus.h"

struct signals;
struct language_model;

enum { DOCUMENTS_MAX = 50000000, REFUSALS_LISTED_MAX = 1000, FOLDER_DEPTH_MAX = 64 };

struct candidate {
    struct view bytes; /* as a reader gave it: UTF-8 */
    const char *id, *source, *license;
    const char *kind, *url, *title; /* NULL: not said */
    /* filled by cleaning */
    struct view text;
    struct sha256 hash, leaf;
    uint64_t cluster;              /* equal texts; 0 or 1: it is alone */
    const struct candidate *equal; /* the one that stays */
    const char *language;
    const char *dropped; /* reason, a static text; NULL: kept */
    bool held_out;
    /* filled by judging */
    const struct signals *signals; /* NULL: not measured */
    bool filtered;                 /* dropped by the profile */
};

struct refusal {
    const char *what, *reason;
};

/* Everything that was read, in an arena. */
struct gathering {
    struct arena *arena;
    const struct corpus_settings *settings;
    corpus_progress *progress;
    void *context;
    struct candidate *list;
    size_t count, capacity;
    struct refusal refused[REFUSALS_LISTED_MAX];
    size_t refused_count; /* may exceed what is listed */
    size_t files;
    int readers; /* processes that read at once */
    double done_bytes;
    const struct language_model *model; /* NULL: nothing is judged */
};

/* Reads all inputs; what can't be read is refused by name.  Fails only for memory, limits and
 * interrupts. */
MUST_USE status gather(struct gathering *gathering, const char *const *inputs, size_t count,
                       struct error *error);
MUST_USE status gathering_refuse(struct gathering *gathering, const char *what, const char *reason,
                                 struct error *error);

/* Decodes, normalises, hashes and measures every candidate on all threads; texts go to the threads'
 * arenas. */
MUST_USE status clean(struct gathering *gathering, struct thread_pool *pool, struct arena **arenas,
                      struct error *error);

/* Measures every candidate that is still kept and drops what the profile of the settings does not
 * allow; nothing without one. */
MUST_USE status judge(struct gathering *gathering, struct thread_pool *pool, struct error *error);
/* Writes the signals of all that were measured, dropped ones too, to signals.bin in the folder. */
MUST_USE status judge_write(const struct gathering *gathering, const char *folder,
                            struct error *error);

#define TEXTS_MAGIC "rodnik texts 1\n"
enum { TEXTS_HEADER_BYTES = 24 };
struct store_paths {
    char texts[PATH_BYTES], documents[PATH_BYTES], decisions[PATH_BYTES], manifest[PATH_BYTES];
};
MUST_USE status store_paths_of(struct store_paths *out, const char *folder, struct error *error);

/* Writes the folder beside `out` and puts it in its place. */
MUST_USE status store_write(const struct gathering *gathering, const struct corpus_counts *counts,
                            const char *out, struct error *error);

/* leaf = H(0 | salt | text | 0 | license | 0 | source | 0 | origin), salt = SHA-256("rodnik salt" |
 * id | text hash) */
MUST_USE status document_leaf(struct sha256 *out, const struct document *document,
                              struct error *error);

#endif
