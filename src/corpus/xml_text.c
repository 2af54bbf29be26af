#include "corpus/xml_text.h"

#include <string.h>

#include "corpus/markup.h"

enum { SAID_BYTES_MAX = 4096 };

struct walk {
    struct buffer *out;
    const struct xml_rule *rules;
    size_t begin;                /* where the document's text begins in `out` */
    bool only_marked;            /* only text in XML_TEXT elements counts */
    size_t skip, marked, choice; /* depths; 0: outside */
    size_t depth;
    int gap; /* line ends that stand before the next text */
    bool space;
    struct buffer title, license; /* as they come */
    struct buffer *catching;      /* NULL: none of them */
    size_t catching_depth;
};

static const struct xml_rule *rule_of(const struct walk *walk, struct view name)
{
    for (const struct xml_rule *rule = walk->rules; rule->name; rule++)
        if (view_is(name, rule->name))
            return rule;
    return NULL;
}

static bool has_text(const struct walk *walk)
{
    return walk->out->len > walk->begin;
}

static status settle_gap(struct walk *walk, struct error *error)
{
    if (walk->gap && has_text(walk))
        TRY(buffer_append(walk->out, "\n\n", (size_t)walk->gap, error));
    else if (walk->space && has_text(walk))
        TRY(buffer_append(walk->out, " ", 1, error));
    walk->gap = 0;
    walk->space = false;
    return OK;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* White space between words is one space, at line ends none. */
static status add_words(struct walk *walk, struct view text, struct error *error)
{
    size_t at = 0;
    while (at < text.len) {
        size_t begin = at;
        while (at < text.len && is_space(text.data[at]))
            at++;
        walk->space |= at > begin;
        begin = at;
        while (at < text.len && !is_space(text.data[at]))
            at++;
        if (at > begin) {
            TRY(settle_gap(walk, error));
            TRY(buffer_append(walk->out, text.data + begin, at - begin, error));
        }
    }
    return OK;
}

/* References become characters before words are told apart: &#160; is no space, &#10; is one. */
static status add_text(struct walk *walk, const struct markup_token *token, struct error *error)
{
    bool counts = !walk->skip && (!walk->only_marked || walk->marked);
    if ((!counts && !walk->catching) || token->text.len == 0)
        return OK;
    struct view text = token->text;
    struct buffer plain;
    buffer_create(&plain, 2 * text.len + 16);
    status result = OK;
    if (!token->literal && memchr(text.data, '&', text.len)) {
        result = markup_unescape(&plain, text, error);
        text = (struct view){plain.data, plain.len};
    }
    if (result == OK && walk->catching && walk->catching->len + text.len < SAID_BYTES_MAX)
        result = buffer_append(walk->catching, text.data, text.len, error);
    if (result == OK && counts && walk->only_marked) {
        result = settle_gap(walk, error);
        if (result == OK)
            result = buffer_append(walk->out, text.data, text.len, error);
    } else if (result == OK && counts)
        result = add_words(walk, text, error);
    buffer_destroy(&plain);
    return result;
}

static void catch_said(struct walk *walk, struct buffer *what, const struct markup_token *token)
{
    if (walk->catching || what->len || token->empty)
        return;
    walk->catching = what;
    walk->catching_depth = walk->depth;
}

static status catch_license(struct walk *walk, const struct markup_token *token,
                            struct error *error)
{
    struct view target;
    if (!walk->license.len && markup_attribute(&target, token->attributes, "target") &&
        target.len < SAID_BYTES_MAX)
        return buffer_append(&walk->license, target.data, target.len, error);
    catch_said(walk, &walk->license, token);
    return OK;
}

static bool is_skipped(const struct walk *walk, const struct xml_rule *rule,
                       const struct markup_token *token)
{
    struct view type;
    return rule->action == XML_SKIP || (rule->action == XML_SKIP_IN_CHOICE && walk->choice) ||
           (rule->action == XML_SKIP_NOTE && markup_attribute(&type, token->attributes, "type") &&
            view_is(type, "note"));
}

static void widen_gap(struct walk *walk, enum xml_action action)
{
    int wanted = action == XML_STANZA ? 2 : action == XML_BLOCK || action == XML_BREAK ? 1 : 0;
    if (wanted > walk->gap)
        walk->gap = wanted;
}

static status open_element(struct walk *walk, const struct markup_token *token, struct error *error)
{
    const struct xml_rule *rule = rule_of(walk, token->name);
    walk->depth += !token->empty;
    if (rule && rule->action == XML_TITLE)
        catch_said(walk, &walk->title, token);
    else if (rule && rule->action == XML_LICENSE)
        TRY(catch_license(walk, token, error));
    if (!rule || walk->skip)
        return OK;
    widen_gap(walk, rule->action);
    if (is_skipped(walk, rule, token))
        walk->skip = token->empty ? 0 : walk->depth;
    else if (rule->action == XML_CHOICE && !walk->choice && !token->empty)
        walk->choice = walk->depth;
    else if (rule->action == XML_TEXT && !walk->marked && !token->empty)
        walk->marked = walk->depth;
    else if (rule->action == XML_TAB && has_text(walk) && !walk->gap)
        return buffer_append(walk->out, "\t", 1, error);
    else if (rule->action == XML_SPACE)
        walk->space = true;
    return OK;
}

static void close_element(struct walk *walk, const struct markup_token *token)
{
    const struct xml_rule *rule = rule_of(walk, token->name);
    if (rule && !walk->skip)
        widen_gap(walk, rule->action);
    if (walk->catching && walk->depth <= walk->catching_depth)
        walk->catching = NULL;
    if (walk->skip >= walk->depth)
        walk->skip = 0;
    if (walk->choice >= walk->depth)
        walk->choice = 0;
    if (walk->marked >= walk->depth)
        walk->marked = 0;
    walk->depth -= walk->depth > 0;
}

static status keep(struct view *out, struct buffer *from, struct arena *arena, struct error *error)
{
    struct view text = view_trim((struct view){from->data ? from->data : "", from->len});
    char *copy = arena_alloc(arena, text.len + 1, 1, error);
    if (!copy)
        return error->code;
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) /* titles stand over several lines */
        if (!is_space(text.data[i]))
            copy[len++] = text.data[i];
        else if (copy[len - 1] != ' ')
            copy[len++] = ' ';
    *out = (struct view){copy, len};
    return OK;
}

static status walk_through(struct walk *walk, struct view bytes, struct error *error)
{
    struct markup markup = markup_of(bytes, true);
    struct markup_token token;
    while (markup_next(&token, &markup)) {
        if (token.kind == MARKUP_TEXT)
            TRY(add_text(walk, &token, error));
        else if (token.kind == MARKUP_OPEN)
            TRY(open_element(walk, &token, error));
        else
            close_element(walk, &token);
    }
    return OK;
}

status xml_text(struct buffer *out, struct xml_said *said, struct view bytes,
                const struct xml_rule *rules, struct arena *arena, struct error *error)
{
    ASSERT(out && said && rules && arena && error);
    struct walk walk = {.out = out, .rules = rules, .begin = out->len};
    for (const struct xml_rule *rule = rules; rule->name; rule++)
        walk.only_marked |= rule->action == XML_TEXT;
    buffer_create(&walk.title, SAID_BYTES_MAX);
    buffer_create(&walk.license, SAID_BYTES_MAX);
    status result = walk_through(&walk, bytes, error);
    if (result == OK)
        result = keep(&said->title, &walk.title, arena, error);
    if (result == OK)
        result = keep(&said->license, &walk.license, arena, error);
    buffer_destroy(&walk.title);
    buffer_destroy(&walk.license);
    return result;
}
