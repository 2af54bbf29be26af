/* HTML and XML as a row of tokens, in one pass and without a tree.  Tolerant: whatever the bytes,
 * each is looked at a bounded number of times, and nothing is expanded but named and numbered
 * characters.  Not for meaning: what elements do is the caller's.  Views borrow the page. */
#ifndef RODNIK_CORPUS_MARKUP_H
#define RODNIK_CORPUS_MARKUP_H

#include "base/buffer.h"
#include "base/string.h"

enum markup_kind { MARKUP_TEXT, MARKUP_OPEN, MARKUP_CLOSE };

struct markup_token {
    enum markup_kind kind;
    struct view name;       /* of an element, without its prefix, as written */
    struct view attributes; /* what stands between name and > */
    struct view text;       /* with references, unless literal */
    bool literal;           /* no references in it: CDATA, scripts */
    bool empty;             /* an element that closes itself: <br/> */
};

struct markup {
    struct view left;
    bool xml;
    struct view raw; /* HTML: the element whose content is no markup, until it closes */
};
struct markup markup_of(struct view bytes, bool xml);
bool markup_next(struct markup_token *out, struct markup *markup);
/* The value as written, with references; false when there is no such attribute.  Names are compared
 * without their prefix and without case. */
bool markup_attribute(struct view *value, struct view attributes, const char *name);
/* Appends text with its references replaced: &amp; &#233; &laquo; */
MUST_USE status markup_unescape(struct buffer *out, struct view text, struct error *error);

#endif
