/* What the files of corpus/ share: a document's way from a file to the folder.
 *
 *   input.c    files and folders, in order                     struct input_files
 *   gather.c   files are read in a sandbox                     gather -> struct found, one by one
 *   prepare.c  one document, alone: clean, hash, judge         prepare -> struct prepared
 *   spool.c    what was read so far, on disk, to go on from    struct spool
 *   compare.c  all documents, in the order of their ids        struct comparison
 *   store_write.c  what stays becomes the folder               store_write
 */
#ifndef RODNIK_CORPUS_CORPUS_INTERNAL_H
#define RODNIK_CORPUS_CORPUS_INTERNAL_H

#include "base/record_sort.h"
#include "corpus/corpus.h"
#include "corpus/reader.h"
#include "corpus/signals.h"

enum { DOCUMENTS_MAX = 50000000, REFUSALS_LISTED_MAX = 1000, FOLDER_DEPTH_MAX = 64 };

/* ---- inputs ---- */

struct input_file {
    const char *path, *id;
    uint64_t size;
    const char *reason; /* why it can't be read at all; NULL: it can */
};

struct input_files {
    struct arena *arena;
    struct input_file *list;
    size_t count, capacity;
    uint64_t bytes;
    struct sha256 identity; /* of paths, sizes and times */
};

/* Finds all files of files and folders; the order does not depend on that of the inputs.  A missing
 * input is ERR_USAGE; files that can't be opened are listed with the reason. */
MUST_USE status input_files_find(struct input_files *out, const char *const *inputs, size_t count,
                                 struct arena *arena, struct error *error);

/* ---- reading ---- */

struct gathering {
    const struct corpus_settings *settings;
    const struct input_files *files;
    size_t first; /* files before it are left alone */
    int readers;  /* processes that read at once */
    void *context;
    status (*take)(void *context, const struct found *found, struct error *error);
    status (*refuse)(void *context, const char *what, const char *reason, struct error *error);
    /* All documents of the files up to and with this one were taken. */
    status (*end)(void *context, size_t file, bool was_read, struct error *error);
};

MUST_USE status gather(const struct gathering *gathering, struct error *error);

/* ---- one document ---- */

struct prepared {
    struct found found;  /* as it was read; the text is cleaned, if it was not refused */
    const char *refused; /* reason, a static text, or NULL */
    struct sha256 read;  /* hash of the clean text */
    enum corpus_left left;
    uint64_t detail; /* rule of the profile, or line of the opt-out list */
    bool measured;   /* signals are there */
    struct signals signals;
};

struct preparer;
MUST_USE status preparer_create(struct preparer **out, const struct corpus_settings *settings,
                                struct thread_pool *pool, struct arena *arena, struct error *error);
void preparer_destroy(struct preparer *preparer); /* NULL is allowed */
/* Cleans, hashes and judges documents on all threads; texts live until the next call. */
MUST_USE status prepare(struct preparer *preparer, struct prepared *list, size_t count,
                        struct error *error);
const struct language_model *preparer_model(const struct preparer *preparer);
/* What settings name beside themselves: contents of profiles and of the list. */
MUST_USE status preparer_identify(const struct preparer *preparer, struct sha256_state *state,
                                  struct error *error);

/* The text without what is no text: one kind of line end, no control characters, NFC, trimmed.  It
 * lies in `text` itself or in one of the buffers.  NULL, or why it is refused. */
MUST_USE status clean_text(struct view *out, const char **refused, struct buffer buffers[2],
                           struct view text, struct error *error);

/* ---- what was read so far ---- */

struct spool_facts {
    uint64_t place;  /* of the record in the spool */
    uint64_t offset; /* of the text; CORPUS_KEPT only */
    uint64_t len, left, detail;
    uint64_t signals;  /* number of the record of signals + 1; 0: none */
    uint64_t language; /* 1 + number, 0: other */
};

/* Strings end with a NUL that their length does not count; the record is in order of ids, then of
 * hashes, when compared by bytes. */
struct spool_record {
    struct view id, source, license, kind, url, title;
    struct sha256 read;
    struct spool_facts facts;
};

struct spool_state {
    uint64_t files_done, files_read, documents, refused, signal_records;
    uint64_t texts, records, signals, refusals; /* bytes */
    uint64_t complete;                          /* all files were read */
};

struct spool {
    char folder[PATH_BYTES];
    int lock;
    struct sha256 key;
    struct spool_state state;
    struct file_scratch texts, records, signals, refusals;
    struct buffer pending[4], record;
};

/* Opens the folder, alone.  What is there is gone on with if it was made for the same key, else
 * removed. */
MUST_USE status spool_open(struct spool *out, const char *folder, const struct sha256 *key,
                           struct error *error);
MUST_USE status spool_add(struct spool *spool, const struct prepared *document,
                          struct error *error);
MUST_USE status spool_refuse(struct spool *spool, const char *what, const char *reason,
                             struct error *error);
/* Everything up to here is kept from now on. */
MUST_USE status spool_mark(struct spool *spool, struct error *error);
/* The record at a place, put into the buffer. */
MUST_USE status spool_record_at(struct view *out, struct buffer *into, const struct spool *spool,
                                uint64_t place, struct error *error);
/* Adds all records and finishes the sort. */
MUST_USE status spool_sort(struct record_sort *sort, const struct spool *spool,
                           struct error *error);
MUST_USE status spool_parse(struct spool_record *out, const struct spool *spool, struct view record,
                            struct error *error);
MUST_USE status spool_signals(struct signals *out, const struct spool *spool,
                              const struct spool_record *record, struct error *error);
void spool_close(struct spool *spool);

/* ---- all documents ---- */

/* What comparing says of a document. */
struct verdict {
    enum corpus_left left;
    uint64_t detail;       /* contaminated: evaluation items */
    uint64_t cluster_size; /* 0: in no cluster */
    uint64_t first;        /* of a duplicate: place of the record of the document that stays */
    const uint64_t *line_keys;
    size_t line_count; /* lines to lose */
};

struct comparison;
MUST_USE status comparison_create(struct comparison **out, const struct corpus_settings *settings,
                                  struct spool *spool, struct thread_pool *pool,
                                  struct error *error);
void comparison_destroy(struct comparison *comparison); /* NULL is allowed */
/* Reads all texts once, in the order of ids. */
MUST_USE status comparison_run(struct comparison *comparison, corpus_progress *progress,
                               void *context, struct error *error);
/* All documents again, in that order: *record.id.data is NULL after the last.  Valid until the next
 * call. */
MUST_USE status comparison_next(struct spool_record *record, struct verdict *verdict,
                                struct comparison *comparison, struct error *error);
/* The evidence of overlaps with evaluations; nothing without such. */
MUST_USE status comparison_write_evidence(struct comparison *comparison, const char *path,
                                          struct error *error);

/* ---- the folder ---- */

#define TEXTS_MAGIC "rodnik texts 1\n"
enum { TEXTS_HEADER_BYTES = 24 };
struct store_paths {
    char texts[PATH_BYTES], documents[PATH_BYTES], decisions[PATH_BYTES], manifest[PATH_BYTES];
};
MUST_USE status store_paths_of(struct store_paths *out, const char *folder, struct error *error);

struct store_job {
    const struct corpus_job *job;
    struct spool *spool;
    struct comparison *comparison;
    const struct preparer *preparer;
    struct corpus_counts *counts;
};
/* Writes the folder beside its place and puts it there. */
MUST_USE status store_write(const struct store_job *job, struct error *error);

/* leaf = H(0 | salt | text | 0 | license | 0 | source | 0 | origin), salt = SHA-256("rodnik salt" |
 * id | text hash) */
MUST_USE status document_leaf(struct sha256 *out, const struct document *document,
                              struct error *error);

#endif
