/* The corpus: files become clean documents with a source, a licence, a language and a hash, in a
 * folder that proves what is in it (docs/formats.md): texts.bin, documents.jsonl, decisions.jsonl
 * and manifest.json.
 * The same inputs give the same bytes, whatever their order on the command line and however many
 * threads work.
 * Not for tokens (train/).  A corpus lives in the arena it was opened in; reading is thread-safe.
 * */
#ifndef RODNIK_CORPUS_CORPUS_H
#define RODNIK_CORPUS_CORPUS_H

#include "base/buffer.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/thread.h"

/* ---- building ---- */

struct corpus_settings {
    const char *text_field;       /* of JSON lines and tables */
    const char *source, *license; /* of documents that don't say */
    double held_out;              /* share of documents, chosen by their hash */
    int64_t minimum_bytes;        /* shorter documents are left out */
    bool whole_pages;             /* of HTML all text, not the main text alone */
    /* Name or file (corpus/profile.h); auto: web-ru or web-en for web pages in these languages,
     * plain for all else; none: nothing is filtered. */
    const char *profile;
    const char *opt_out;     /* list (corpus/opt_out.h) or NULL */
    const char *evaluations; /* folder of items (corpus/evaluation_items.h) or NULL */
    bool report_overlaps;    /* with them: what overlaps is reported, but stays */
    const char
        *personal; /* changes of the corpus' policy (text/personal.h); none: not looked for */
    const char *duplicates; /* near, exact or none */
    int64_t line_documents; /* lines in more documents stay in the first only; 0: all stay */
};
struct corpus_settings corpus_settings_default(void);

enum corpus_left { /* why a document is left out; the first that applies */
                   CORPUS_KEPT,
                   CORPUS_SHORT,
                   CORPUS_OPT_OUT,
                   CORPUS_FILTERED,
                   CORPUS_CONTAMINATED,
                   CORPUS_DUPLICATE,
                   CORPUS_NEAR_DUPLICATE,
                   CORPUS_PERSONAL,
                   CORPUS_LEFT_REASONS
};
const char *corpus_left_name(enum corpus_left left); /* kept, short, opt-out, filtered ... */

struct corpus_counts {
    size_t documents, held_out, files;
    uint64_t bytes, held_out_bytes;
    size_t left[CORPUS_LEFT_REASONS];
    size_t refused;
    size_t lines_lost, masked; /* lines and personal data taken out of documents that stay */
    size_t resumed_files;      /* read by a build that did not end */
};

/* What is being done, and how much of it. */
typedef void corpus_progress(void *context, const char *stage, double done_bytes, double bytes);

struct corpus_job {
    struct corpus_settings settings;
    const char *const *inputs; /* files and folders */
    size_t input_count;
    const char *out; /* folder; replaced as a whole */
    struct thread_pool *pool;
    corpus_progress *progress; /* may be NULL */
    void *context;
    double mark_bytes; /* of input, after which what was read outlasts a kill; 0: 64 MB */
};

/* Reads all inputs (corpus/reader.h), cleans and judges each document, then compares them all and
 * writes what stays.  What can't be read is named with its reason in the manifest and counted,
 * never fatal; a corpus without any document is ERR_FORMAT.  What was read lies in OUT.building
 * until the end: after a kill or an interrupt the same job on the same files goes on from there, to
 * the same result.  Memory does not grow with the texts; disk: the texts twice. */
MUST_USE status corpus_build(struct corpus_counts *out, const struct corpus_job *job,
                             struct error *error);

/* What this machine's kernel lacks for holding readers, as a sentence; NULL: nothing. */
const char *corpus_sandbox_notice(void);

/* ---- reading ---- */

struct corpus_roots; /* corpus/membership.h */

struct document {
    struct view text;
    const char *id, *source, *license;
    const char *language;           /* a label such as ru, or other */
    const char *kind, *url, *title; /* NULL: not said */
    struct sha256 hash;             /* of the text */
    struct sha256 leaf;             /* in the Merkle tree */
    struct sha256 read;             /* of the clean text as it was read */
    uint64_t cluster;               /* documents in its cluster of duplicates; 1: in none */
    uint64_t lines_lost, masked;    /* between reading and storing */
    bool held_out;
};

struct corpus;
/* Maps the folder and checks its form: the manifest, lengths of files, every line.  What was cut
 * off or changed, or has another format, is ERR_FORMAT. */
MUST_USE status corpus_open(struct corpus **out, const char *folder, struct arena *arena,
                            struct error *error);
void corpus_close(struct corpus *corpus);
/* Checks every text's hash, every leaf, the roots, and the hash of every other file. */
MUST_USE status corpus_verify(const struct corpus *corpus, struct thread_pool *pool,
                              struct error *error);
size_t corpus_count(const struct corpus *corpus);
/* index < corpus_count; documents stand in the order of their ids. */
const struct document *corpus_document(const struct corpus *corpus, size_t index);
struct sha256 corpus_root(const struct corpus *corpus);
const struct corpus_roots *corpus_all_roots(const struct corpus *corpus);
/* The keys of its texts (corpus/membership.h), ascending, equal ones once. */
MUST_USE status corpus_keys(struct sha256 **out, size_t *count, const struct corpus *corpus,
                            struct arena *arena, struct error *error);

/* The lines of another file of the folder, such as decisions.jsonl: each is given to `line`
 * (number from 1).  A file that the manifest does not name has none; a cut one is ERR_FORMAT. */
typedef status corpus_line(void *context, struct view line, size_t number, struct error *error);
MUST_USE status corpus_lines(const struct corpus *corpus, const char *name, corpus_line *line,
                             void *context, struct error *error);

/* ---- encodings ---- */

enum text_encoding {
    ENCODING_UNKNOWN,
    ENCODING_BINARY,
    ENCODING_UTF8,
    ENCODING_UTF16, /* by its mark */
    ENCODING_UTF16LE,
    ENCODING_UTF16BE,
    ENCODING_CP1251,
    ENCODING_KOI8_R,
    ENCODING_CP866,
    ENCODING_ISO8859_5,
    ENCODING_CP1252 /* only where it is said */
};
const char *encoding_name(enum text_encoding encoding);
/* UTF-8 when valid or nearly, UTF-16 by its mark or its zeros, else the single-byte encoding in
 * which the bytes look most like Russian; binary when control characters stand there. */
enum text_encoding encoding_detect(struct view bytes);
/* Text in UTF-8 without a mark, whatever a label says: all that encoding_choose and encoding_decode
 * would do leaves it as it is. */
bool encoding_is_plain(struct view bytes);
/* As a page or a mail names encodings; ENCODING_UNKNOWN for names not known here. */
enum text_encoding encoding_of_label(struct view label);
/* The encoding that is said (its label may be empty), unless the bytes show another. */
enum text_encoding encoding_choose(struct view bytes, struct view label);
/* Appends the text as UTF-8, without a byte order mark; what the encoding does not have becomes
 * U+FFFD. */
MUST_USE status encoding_decode(struct buffer *out, struct view bytes, enum text_encoding encoding,
                                struct error *error);

enum double_encoding {
    DOUBLE_NONE,     /* nothing was appended */
    DOUBLE_REPAIRED, /* the text that it was is in `out` */
    DOUBLE_ENCODED   /* it was encoded twice and can't be brought back */
};
/* UTF-8 text whose UTF-8 bytes were read as CP1251, CP1252, KOI8-R or CP866 and encoded again, in
 * whole or in lines. */
MUST_USE status encoding_undouble(struct buffer *out, enum double_encoding *result,
                                  struct view text, struct error *error);

/* ---- JSON lines, for tests and fuzzing ---- */

struct record {
    struct view text;
    const char *id, *source, *license, *url, *title;
}; /* NULL: not said */
/* One line into a record; its strings lie in `room`, whose content they replace, or in the arena.
 * False with a reason (a static text) when it is none. */
bool record_parse(struct record *out, const char **reason, struct view line, const char *text_field,
                  struct buffer *room, struct arena *arena);
/* The same by cJSON alone: what record_parse is held against. */
bool record_parse_slowly(struct record *out, const char **reason, struct view line,
                         const char *text_field, struct arena *arena);

#endif
