/* The lines of a corpus folder's lists, parsed and written: documents.jsonl, decisions.jsonl and
 * forgotten.jsonl (docs/formats.md).  Lines come from files that may be hostile: any bytes are
 * refused or read.  Not for what they mean together (corpus/corpus.h).  What is read lies in the
 * arena given; no state. */
#ifndef RODNIK_CORPUS_STORE_LINES_H
#define RODNIK_CORPUS_STORE_LINES_H

#include "corpus/corpus.h"

enum { STORE_LINE_BYTES_MAX = 16 << 20 };

/* A kept document: text.len is its length, text.data is left alone; *offset is where it lies. */
bool document_line_parse(struct document *out, uint64_t *offset, struct view line,
                         struct arena *arena);
MUST_USE status document_line_write(struct buffer *out, const struct document *document,
                                    uint64_t offset, struct error *error);

/* A document that was read but not kept. */
struct decision {
    const char *id, *source, *license, *language;
    const char *reason, *detail, *of; /* detail and of: NULL when there is none */
    struct sha256 read;               /* SHA-256 of its clean text */
    uint64_t bytes;                   /* of that text */
    uint64_t cluster;                 /* documents in its cluster of duplicates; 1: in none */
};
bool decision_parse(struct decision *out, struct view line, struct arena *arena);
MUST_USE status decision_write(struct buffer *out, const struct decision *decision,
                               struct error *error);

/* A document that was kept once and taken out again. */
struct tombstone {
    struct sha256 read, text, leaf, root; /* root: of the corpus that still held it */
    uint64_t place;                       /* among that corpus's documents, from 0 */
    const char *id;                       /* NULL: not kept */
    const char *reason;                   /* as the one who asked for it wrote it */
    bool held_out;
};
bool tombstone_parse(struct tombstone *out, struct view line, struct arena *arena);
MUST_USE status tombstone_write(struct buffer *out, const struct tombstone *tombstone,
                                struct error *error);

#endif
