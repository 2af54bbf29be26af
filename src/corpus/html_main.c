/* Which paragraphs of a page are its main text: jusText's two passes over six numbers each. */
#include "corpus/html.h"

#include <string.h>

#include "text/utf8.h"

/* As in jusText, but for the shares of stop words (its lists have thousands of words, ours the few
 * hundred that no running text does without), LENGTH_LOW (70 there), and what stands in the
 * comments below; docs/corpus.md has the measurement. */
static const double LINK_SHARE_MAX = 0.2, STOP_SHARE_LOW = 0.12, STOP_SHARE_HIGH = 0.18;
enum { LENGTH_LOW = 50, LENGTH_HIGH = 200, HEADING_DISTANCE_MAX = 200, SHORT_DISTANCE_MAX = 200 };

static enum paragraph_class class_alone(const struct paragraph *paragraph, struct view text)
{
    double length = paragraph->characters;
    double stop_share = paragraph->words ? (double)paragraph->stop_words / paragraph->words : 0;
    if (paragraph->aside || memmem(text.data, text.len, "\xC2\xA9", 2)) /* © */
        return PARAGRAPH_BAD;
    if (paragraph->heading && length < LENGTH_HIGH) /* also where it is a link to its own page */
        return PARAGRAPH_SHORT;
    if (paragraph->link_characters > LINK_SHARE_MAX * length)
        return PARAGRAPH_BAD;
    if (length < LENGTH_LOW)
        return PARAGRAPH_SHORT;
    if (stop_share >= STOP_SHARE_HIGH)
        return length > LENGTH_HIGH ? PARAGRAPH_GOOD : PARAGRAPH_NEAR_GOOD;
    if (stop_share >= STOP_SHARE_LOW)
        return PARAGRAPH_NEAR_GOOD;
    /* lists, code, headings of laws: jusText calls them bad, here their neighbours decide */
    return paragraph->link_characters ? PARAGRAPH_BAD : PARAGRAPH_SHORT;
}

/* Short articles have no paragraph that is good by itself: then nearly good ones are. */
static void lower_the_bar(struct page *page)
{
    for (size_t i = 0; i < page->count; i++)
        if (page->list[i].in_context == PARAGRAPH_GOOD)
            return;
    for (size_t i = 0; i < page->count; i++)
        if (page->list[i].in_context == PARAGRAPH_NEAR_GOOD)
            page->list[i].in_context = PARAGRAPH_GOOD;
}

/* A short heading close before good text is nearly good. */
static void raise_headings(struct page *page, bool again)
{
    size_t good = SIZE_MAX, distance = 0; /* the next good one and how far it is */
    for (size_t i = page->count; i-- > 0;) {
        struct paragraph *each = &page->list[i];
        bool raised = again ? each->in_context == PARAGRAPH_BAD && each->alone != PARAGRAPH_BAD
                            : each->in_context == PARAGRAPH_SHORT;
        if (each->heading && raised && good != SIZE_MAX && distance <= HEADING_DISTANCE_MAX)
            each->in_context = again ? PARAGRAPH_GOOD : PARAGRAPH_NEAR_GOOD;
        if (each->in_context == PARAGRAPH_GOOD && (!again || !each->heading)) {
            good = i;
            distance = 0;
        } else
            distance += each->characters;
    }
}

/* The nearest neighbours on both sides of each paragraph, as they were before a pass. */
struct neighbour {
    enum paragraph_class firm; /* good or bad; short at the page's ends, which say nothing */
    enum paragraph_class any;  /* also nearly good */
    size_t distance;           /* characters between it and here */
};

static struct neighbour step(struct neighbour before, enum paragraph_class passed,
                             size_t characters)
{
    if (passed == PARAGRAPH_SHORT)
        return (struct neighbour){before.firm, before.any, before.distance + characters};
    if (passed == PARAGRAPH_NEAR_GOOD)
        return (struct neighbour){before.firm, passed, before.distance + characters};
    return (struct neighbour){passed, passed, 0};
}

static enum paragraph_class class_of_short(struct neighbour before, struct neighbour behind)
{
    if (before.firm == PARAGRAPH_SHORT) /* the first of the page */
        before = behind;
    if (behind.firm == PARAGRAPH_SHORT)
        behind = before;
    if (before.firm == behind.firm)
        return before.firm == PARAGRAPH_GOOD ? PARAGRAPH_GOOD : PARAGRAPH_BAD;
    /* between good and bad: jusText wants nearly good text near; here being close to the good side
     * is enough, since lists and last lines of articles are short */
    struct neighbour good = before.firm == PARAGRAPH_GOOD ? before : behind;
    struct neighbour bad = before.firm == PARAGRAPH_GOOD ? behind : before;
    return bad.any == PARAGRAPH_NEAR_GOOD || good.distance <= SHORT_DISTANCE_MAX ? PARAGRAPH_GOOD
                                                                                 : PARAGRAPH_BAD;
}

static enum paragraph_class class_of_near(struct neighbour before, struct neighbour behind)
{
    return before.firm == PARAGRAPH_GOOD || behind.firm == PARAGRAPH_GOOD ? PARAGRAPH_GOOD
                                                                          : PARAGRAPH_BAD;
}

static status settle(struct page *page, enum paragraph_class open,
                     enum paragraph_class (*decide)(struct neighbour, struct neighbour),
                     struct error *error)
{
    /* the neighbours behind, from the end; they lie in the scratch buffer */
    struct neighbour edge = {PARAGRAPH_SHORT, PARAGRAPH_SHORT, 0}, now = edge;
    buffer_clear(&page->scratch);
    TRY(buffer_reserve(&page->scratch, page->count * sizeof edge, error));
    struct neighbour *behind = (struct neighbour *)(void *)page->scratch.data;
    for (size_t i = page->count; i-- > 0;) {
        behind[i] = now;
        now = step(now, page->list[i].in_context, page->list[i].characters);
    }
    now = edge;
    for (size_t i = 0; i < page->count; i++) {
        enum paragraph_class old = page->list[i].in_context;
        if (old == open)
            page->list[i].in_context = decide(now, behind[i]);
        now = step(now, old, page->list[i].characters);
    }
    return OK;
}

static struct view text_of(const struct page *page, const struct paragraph *paragraph)
{
    return (struct view){page->text.data + paragraph->at, paragraph->len};
}

status html_main_text(struct buffer *out, struct page *page, const struct html_words *words,
                      struct error *error)
{
    ASSERT(out && page && words && error);
    for (size_t i = 0; i < page->count; i++) {
        struct paragraph *each = &page->list[i];
        struct view text = text_of(page, each);
        size_t all, stop;
        html_words_count(&all, &stop, text, words);
        each->characters = (uint32_t)utf8_count(text);
        each->words = (uint32_t)all;
        each->stop_words = (uint32_t)stop;
        each->alone = each->in_context = class_alone(each, text);
    }
    lower_the_bar(page);
    raise_headings(page, false);
    TRY(settle(page, PARAGRAPH_SHORT, class_of_short, error));
    TRY(settle(page, PARAGRAPH_NEAR_GOOD, class_of_near, error));
    raise_headings(page, true);
    for (size_t i = 0; i < page->count; i++)
        if (page->list[i].in_context == PARAGRAPH_GOOD) {
            struct view text = text_of(page, &page->list[i]);
            TRY(buffer_append(out, text.data, text.len, error));
            TRY(buffer_append(out, "\n", 1, error));
        }
    return OK;
}
