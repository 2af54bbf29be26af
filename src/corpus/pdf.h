/* PDF by the external program pdftotext (poppler-utils), under the limits of base/sandbox.h. */
#ifndef RODNIK_CORPUS_PDF_H
#define RODNIK_CORPUS_PDF_H

#include "base/buffer.h"
#include "base/string.h"

/* Appends the text of the file; *reason says why there is none (a static text), NULL: there is. */
MUST_USE status pdf_read(struct buffer *out, const char **reason, struct view bytes,
                         struct error *error);

/* What pdftotext wrote, as running text: lines of a block are joined, words divided at line ends
 * put together, page numbers left out. */
MUST_USE status pdf_join_lines(struct buffer *out, struct view text, struct error *error);

#endif
