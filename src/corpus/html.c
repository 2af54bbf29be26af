#include "corpus/html.h"

#include <string.h>

#include "corpus/markup.h"
#include "corpus/reader_internal.h"
#include "text/utf8.h"

/* ---- elements ---- */

enum element_flag {
    BLOCK = 1,     /* begins and ends a paragraph */
    HIDDEN = 2,    /* its content is never shown as text */
    ASIDE = 4,     /* its content is not the main text */
    HEADING = 8,   /* h1 to h6 */
    CONTAINER = 16 /* its class may say that it is an aside */
};

struct element {
    char name[12];
    uint8_t flags;
};

/* Sorted by name. */
static const struct element elements[] = {
    {"address", BLOCK},
    {"article", BLOCK},
    {"aside", BLOCK | ASIDE},
    {"audio", HIDDEN},
    {"blockquote", BLOCK},
    {"body", BLOCK},
    {"button", HIDDEN},
    {"canvas", HIDDEN},
    {"caption", BLOCK},
    {"center", BLOCK},
    {"col", BLOCK},
    {"colgroup", BLOCK},
    {"datalist", HIDDEN},
    {"dd", BLOCK},
    {"details", BLOCK},
    {"dialog", BLOCK | ASIDE},
    {"dir", BLOCK},
    {"div", BLOCK | CONTAINER},
    {"dl", BLOCK | CONTAINER},
    {"dt", BLOCK},
    {"fieldset", BLOCK},
    {"figcaption", BLOCK},
    {"figure", BLOCK},
    {"footer", BLOCK | ASIDE},
    {"form", BLOCK},
    {"h1", BLOCK | HEADING},
    {"h2", BLOCK | HEADING},
    {"h3", BLOCK | HEADING},
    {"h4", BLOCK | HEADING},
    {"h5", BLOCK | HEADING},
    {"h6", BLOCK | HEADING},
    {"header", BLOCK | CONTAINER},
    {"hr", BLOCK},
    {"iframe", HIDDEN},
    {"legend", BLOCK},
    {"li", BLOCK},
    {"main", BLOCK},
    {"math", HIDDEN},
    {"menu", BLOCK | ASIDE},
    {"nav", BLOCK | ASIDE},
    {"noembed", HIDDEN},
    {"noframes", HIDDEN},
    {"noscript", HIDDEN},
    {"object", HIDDEN},
    {"ol", BLOCK | CONTAINER},
    {"optgroup", BLOCK},
    {"option", BLOCK},
    {"p", BLOCK},
    {"pre", BLOCK},
    {"script", HIDDEN},
    {"section", BLOCK | CONTAINER},
    {"select", HIDDEN},
    {"style", HIDDEN},
    {"summary", BLOCK},
    {"svg", HIDDEN},
    {"table", BLOCK | CONTAINER},
    {"tbody", BLOCK},
    {"td", BLOCK},
    {"template", HIDDEN},
    {"textarea", HIDDEN},
    {"tfoot", BLOCK},
    {"th", BLOCK},
    {"thead", BLOCK},
    {"title", HIDDEN},
    {"tr", BLOCK},
    {"ul", BLOCK | CONTAINER},
    {"video", HIDDEN},
};

static int compare_name(struct view name, const char *other)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        c = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        if (c != other[i])
            return (unsigned char)c < (unsigned char)other[i] ? -1 : 1;
    }
    return other[name.len] ? -1 : 0;
}

static const struct element *element_named(struct view name)
{
    size_t low = 0, high = sizeof elements / sizeof *elements;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare_name(name, elements[middle].name);
        if (order == 0)
            return &elements[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* ---- regions: everything inside one element, however deep ---- */

struct region {
    struct view name; /* of the element; empty: not inside one */
    size_t depth;     /* of elements of the same name */
};

static bool same_name(struct view a, struct view b)
{
    return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

static void region_see(struct region *region, const struct markup_token *token)
{
    if (!region->name.len || !same_name(region->name, token->name))
        return;
    if (token->kind == MARKUP_OPEN)
        region->depth += !token->empty;
    else if (--region->depth == 0)
        region->name.len = 0;
}

static void region_enter(struct region *region, const struct markup_token *token)
{
    if (!region->name.len && !token->empty)
        *region = (struct region){token->name, 1};
}

/* ---- what attributes say ---- */

static bool is_aside_word(struct view word)
{
    static const char *const words[] = {
        "nav",     "navbar",     "navigation",  "navheader", "navfooter", "menu",     "footer",
        "sidebar", "breadcrumb", "breadcrumbs", "cookie",    "cookies",   "social",   "share",
        "sharing", "pagination", "pager",       "toolbar",   "advert",    "banner",   "copyright",
        "toc",     "related",    "skip-link",   "comments",  "login",     "subscribe"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (word.len == strlen(words[i]) && compare_name(word, words[i]) == 0)
            return true;
    return false;
}

/* "site-footer" is one, "with-sidebar" is not. */
static bool is_aside_class(struct view token)
{
    if (view_starts_caseless(token, "with") || view_starts_caseless(token, "has") ||
        view_starts_caseless(token, "no"))
        return false;
    size_t begin = token.len;
    while (begin > 0 && token.data[begin - 1] != '-' && token.data[begin - 1] != '_')
        begin--;
    return is_aside_word(token) ||
           is_aside_word((struct view){token.data + begin, token.len - begin});
}

static bool any_aside_class(struct view value)
{
    size_t at = 0;
    while (at < value.len) {
        size_t begin = at;
        while (at < value.len && value.data[at] != ' ')
            at++;
        if (at > begin && is_aside_class((struct view){value.data + begin, at - begin}))
            return true;
        at++;
    }
    return false;
}

static bool is_aside_role(struct view role)
{
    static const char *const roles[] = {"navigation", "banner",  "contentinfo", "complementary",
                                        "search",     "menubar", "menu",        "dialog"};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (compare_name(role, roles[i]) == 0)
            return true;
    return false;
}

static bool says_aside(struct view attributes)
{
    struct view value;
    return attributes.len > 4 &&
           ((markup_attribute(&value, attributes, "class") && any_aside_class(value)) ||
            (markup_attribute(&value, attributes, "id") && any_aside_class(value)) ||
            (markup_attribute(&value, attributes, "role") && is_aside_role(value)));
}

static bool says_hidden(struct view attributes)
{
    struct view value;
    if (attributes.len < 6 || !memmem(attributes.data, attributes.len, "hidden", 6))
        return false;
    if (markup_attribute(&value, attributes, "hidden"))
        return true;
    return markup_attribute(&value, attributes, "aria-hidden") && view_is_caseless(value, "true");
}

/* ---- the state of a walk ---- */

struct walk {
    struct page *page;
    struct arena *arena;
    struct region hidden, aside, heading, pre;
    bool in_link, in_title, wrote_space;
    int breaks;   /* <br> since the last text */
    size_t begin; /* of the open paragraph in the text */
    uint32_t link_characters;
};

static bool in_region(const struct region *region)
{
    return region->name.len > 0;
}

static status grow_list(struct page *page, struct arena *arena, struct error *error)
{
    if (page->count < page->capacity)
        return OK;
    size_t capacity = page->capacity ? 2 * page->capacity : 256;
    struct paragraph *list;
    TRY_ALLOC(list, arena, capacity, error);
    if (page->count)
        memcpy(list, page->list, page->count * sizeof *list);
    page->list = list;
    page->capacity = capacity;
    return OK;
}

static status end_paragraph(struct walk *walk, struct error *error)
{
    struct page *page = walk->page;
    while (page->text.len > walk->begin && (page->text.data[page->text.len - 1] == ' ' ||
                                            page->text.data[page->text.len - 1] == '\n'))
        page->text.len--;
    size_t len = page->text.len - walk->begin;
    if (len) {
        TRY(grow_list(page, walk->arena, error));
        page->list[page->count++] = (struct paragraph){.at = walk->begin,
                                                       .len = len,
                                                       .link_characters = walk->link_characters,
                                                       .heading = in_region(&walk->heading),
                                                       .aside = in_region(&walk->aside)};
    }
    walk->begin = page->text.len;
    walk->link_characters = 0;
    walk->wrote_space = true;
    walk->breaks = 0;
    return OK;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Runs of white space become one space; at the beginning of a paragraph none. */
static void append_spaced(struct walk *walk, struct view text)
{
    char *to = walk->page->text.data + walk->page->text.len, *start = to;
    bool space = walk->wrote_space;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!is_space(c)) {
            *to++ = c;
            space = false;
        } else if (!space) {
            *to++ = ' ';
            space = true;
        }
    }
    walk->wrote_space = space;
    walk->page->text.len += (size_t)(to - start);
}

static bool is_blank(struct view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_space(text.data[i]))
            return false;
    return true;
}

/* One <br> is a line end, two are a new paragraph. */
static status settle_breaks(struct walk *walk, struct error *error)
{
    struct buffer *text = &walk->page->text;
    if (walk->breaks >= 2)
        return end_paragraph(walk, error);
    if (walk->breaks == 1 && text->len > walk->begin) {
        while (text->len > walk->begin && text->data[text->len - 1] == ' ')
            text->len--;
        TRY(buffer_append(text, "\n", 1, error));
        walk->wrote_space = true;
    }
    walk->breaks = 0;
    return OK;
}

static status add_text(struct walk *walk, const struct markup_token *token, struct error *error)
{
    struct view text = token->text;
    struct buffer *scratch = &walk->page->scratch;
    if (in_region(&walk->hidden) || text.len == 0)
        return OK;
    if (!token->literal && memchr(text.data, '&', text.len)) {
        buffer_clear(scratch);
        TRY(markup_unescape(scratch, text, error));
        text = (struct view){scratch->data, scratch->len};
    }
    if (walk->breaks && !is_blank(text))
        TRY(settle_breaks(walk, error));
    size_t before = walk->page->text.len;
    if (in_region(&walk->pre))
        TRY(buffer_append(&walk->page->text, text.data, text.len, error));
    else {
        TRY(buffer_reserve(&walk->page->text, text.len, error));
        append_spaced(walk, text);
    }
    if (walk->in_link)
        walk->link_characters += (uint32_t)utf8_count(
            (struct view){walk->page->text.data + before, walk->page->text.len - before});
    return OK;
}

static status keep_title(struct walk *walk, struct view text, struct error *error)
{
    struct buffer *scratch = &walk->page->scratch;
    buffer_clear(scratch);
    TRY(markup_unescape(scratch, text, error));
    return view_copy(&walk->page->title, view_trim((struct view){scratch->data, scratch->len}),
                     walk->arena, error);
}

static void keep_license(struct walk *walk, const struct markup_token *token)
{
    struct view rel, href;
    if (!walk->page->license.len &&
        memmem(token->attributes.data, token->attributes.len, "license", 7) &&
        markup_attribute(&rel, token->attributes, "rel") && view_is_caseless(rel, "license") &&
        markup_attribute(&href, token->attributes, "href"))
        walk->page->license = href;
}

/* ---- tags ---- */

/* Elements that hold nothing never open a region. */
static bool is_void(struct view name)
{
    static const char *const names[] = {"area",  "base", "br",   "col",   "embed",  "hr", "img",
                                        "input", "link", "meta", "param", "source", "wbr"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (view_is_caseless(name, names[i]))
            return true;
    return false;
}

static status open_element(struct walk *walk, const struct markup_token *token,
                           const struct element *element, struct error *error)
{
    int flags = element ? element->flags : 0;
    if (flags & BLOCK)
        TRY(end_paragraph(walk, error));
    if (flags & HIDDEN)
        region_enter(&walk->hidden, token);
    else if (!in_region(&walk->hidden) && says_hidden(token->attributes) && !is_void(token->name))
        region_enter(&walk->hidden, token);
    if (flags & ASIDE ||
        (flags & CONTAINER && !in_region(&walk->aside) && says_aside(token->attributes)))
        region_enter(&walk->aside, token);
    if (flags & HEADING)
        region_enter(&walk->heading, token);
    if (view_is_caseless(token->name, "pre"))
        region_enter(&walk->pre, token);
    walk->in_title = view_is_caseless(token->name, "title");
    if (view_is_caseless(token->name, "a")) {
        walk->in_link = markup_attribute(&(struct view){0}, token->attributes, "href");
        keep_license(walk, token);
    } else if (view_is_caseless(token->name, "link"))
        keep_license(walk, token);
    return OK;
}

static status see_tag(struct walk *walk, const struct markup_token *token, struct error *error)
{
    const struct element *element = element_named(token->name);
    if (token->name.len == 2 && view_is_caseless(token->name, "br")) {
        walk->breaks++;
        return OK;
    }
    if (token->kind == MARKUP_CLOSE && element && element->flags & BLOCK)
        TRY(end_paragraph(walk, error));
    region_see(&walk->hidden, token);
    region_see(&walk->aside, token);
    region_see(&walk->heading, token);
    region_see(&walk->pre, token);
    if (token->kind == MARKUP_OPEN)
        return open_element(walk, token, element, error);
    walk->in_title = false;
    if (view_is_caseless(token->name, "a"))
        walk->in_link = false;
    return OK;
}

status html_take_apart(struct page *out, struct view page, struct arena *arena, struct error *error)
{
    ASSERT(out && arena && error);
    struct walk walk = {.page = out, .arena = arena, .wrote_space = true};
    struct markup markup = markup_of(page, false);
    struct markup_token token;
    while (markup_next(&token, &markup)) {
        if (token.kind != MARKUP_TEXT)
            TRY(see_tag(&walk, &token, error));
        else if (walk.in_title && !out->title.len)
            TRY(keep_title(&walk, token.text, error));
        else
            TRY(add_text(&walk, &token, error));
    }
    return end_paragraph(&walk, error);
}

/* ---- the encoding that a page names ---- */

struct view html_charset(struct view page)
{
    enum { LOOKED_AT = 4096 };
    struct view rest = {page.data, page.len < LOOKED_AT ? page.len : LOOKED_AT};
    static const char *const marks[] = {"charset", "encoding"};
    for (size_t m = 0; m < 2; m++)
        for (size_t i = 0; i + 9 < rest.len; i++) {
            size_t len = strlen(marks[m]);
            if (strncasecmp(rest.data + i, marks[m], len < rest.len - i ? len : rest.len - i) != 0)
                continue;
            size_t at = i + len;
            while (at < rest.len && (is_space(rest.data[at]) || rest.data[at] == '=' ||
                                     rest.data[at] == '"' || rest.data[at] == '\''))
                at++;
            size_t begin = at;
            while (at < rest.len && !is_space(rest.data[at]) && !strchr("\"'/>;?", rest.data[at]))
                at++;
            struct view label = {rest.data + begin, at - begin};
            if (encoding_of_label(label) != ENCODING_UNKNOWN)
                return label;
        }
    return (struct view){"", 0};
}
