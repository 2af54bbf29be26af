/* Pages of HTML as paragraphs with numbers, and which of them are the main text (after jusText,
 * Pomikalek 2011).  Linear in the page.  Memory is the arena's; one thread. */
#ifndef RODNIK_CORPUS_HTML_H
#define RODNIK_CORPUS_HTML_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/string.h"

/* Hashes of the words that running text is full of, Russian and English. */
struct html_words;
MUST_USE status html_words_create(const struct html_words **out, struct arena *arena,
                                  struct error *error);
/* Words in the text and how many of them are stop words. */
void html_words_count(size_t *words, size_t *stop_words, struct view text,
                      const struct html_words *list);

enum paragraph_class { PARAGRAPH_BAD, PARAGRAPH_SHORT, PARAGRAPH_NEAR_GOOD, PARAGRAPH_GOOD };

struct paragraph {
    size_t at, len;                         /* in the page's text */
    uint32_t link_characters;               /* that stand inside links */
    uint32_t characters, words, stop_words; /* counted by html_main_text */
    bool heading;                           /* h1 to h6 */
    bool aside;                             /* in navigation, a footer and the like */
    enum paragraph_class alone, in_context; /* filled by html_main_text */
};

struct page {
    struct buffer text; /* all paragraphs, white space made one space; created by the caller */
    struct buffer scratch;
    struct paragraph *list;
    size_t count, capacity;
    struct view title, license; /* in the arena; empty: not said */
};

/* Takes the page apart; it is UTF-8. */
MUST_USE status html_take_apart(struct page *out, struct view page, struct arena *arena,
                                struct error *error);
/* The encoding that the page itself names; empty: none. */
struct view html_charset(struct view page);

/* Fills the paragraphs' classes and appends the good ones, a line each. */
MUST_USE status html_main_text(struct buffer *out, struct page *page,
                               const struct html_words *words, struct error *error);

#endif
