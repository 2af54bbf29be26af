/* Running text out of XML by rules that say what elements do.  Not for HTML: html.h.  Memory is the
 * arena's and the buffer's; one thread. */
#ifndef RODNIK_CORPUS_XML_TEXT_H
#define RODNIK_CORPUS_XML_TEXT_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/string.h"

enum xml_action {
    XML_BLOCK,          /* begins and ends a line */
    XML_STANZA,         /* an empty line before and behind */
    XML_SKIP,           /* with all that is in it */
    XML_SKIP_IN_CHOICE, /* when a <choice> offers something better */
    XML_SKIP_NOTE,      /* where its type is "note" */
    XML_CHOICE,
    XML_BREAK, /* a line end */
    XML_TAB,
    XML_SPACE,
    XML_TEXT,   /* where rules have one, only text inside such elements counts, as it stands */
    XML_TITLE,  /* the first is the title; its text counts only outside of skipped elements */
    XML_LICENSE /* its target, else its text */
};

struct xml_rule {
    const char *name; /* without a prefix */
    enum xml_action action;
};

struct xml_said {
    struct view title, license; /* in the arena; empty: not said */
};

/* Appends the text; `rules` end with a NULL name.  The bytes are UTF-8. */
MUST_USE status xml_text(struct buffer *out, struct xml_said *said, struct view bytes,
                         const struct xml_rule *rules, struct arena *arena, struct error *error);

#endif
