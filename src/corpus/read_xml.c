/* Readers of books and office documents that are XML: FictionBook, TEI, DOCX, ODT. */
#include "corpus/html.h"
#include "corpus/reader_internal.h"
#include "corpus/xml_text.h"

/* ---- rules ---- */

static const struct xml_rule fb2_rules[] = {
    {"book-title", XML_TITLE}, {"description", XML_SKIP},  {"binary", XML_SKIP},
    {"stylesheet", XML_SKIP},  {"a", XML_SKIP_NOTE},       {"p", XML_BLOCK},
    {"v", XML_BLOCK},          {"subtitle", XML_BLOCK},    {"title", XML_STANZA},
    {"stanza", XML_STANZA},    {"empty-line", XML_STANZA}, {"section", XML_STANZA},
    {"epigraph", XML_STANZA},  {"cite", XML_BLOCK},        {"poem", XML_STANZA},
    {"tr", XML_BLOCK},         {"td", XML_SPACE},          {"th", XML_SPACE},
    {"date", XML_BLOCK},       {"text-author", XML_BLOCK}, {NULL, XML_SKIP}};

static const struct xml_rule tei_rules[] = {{"title", XML_TITLE},
                                            {"licence", XML_LICENSE},
                                            {"teiHeader", XML_SKIP},
                                            {"note", XML_SKIP},
                                            {"fw", XML_SKIP},
                                            {"del", XML_SKIP},
                                            {"choice", XML_CHOICE},
                                            {"sic", XML_SKIP_IN_CHOICE},
                                            {"orig", XML_SKIP_IN_CHOICE},
                                            {"abbr", XML_SKIP_IN_CHOICE},
                                            {"standOff", XML_SKIP},
                                            {"facsimile", XML_SKIP},
                                            {"p", XML_BLOCK},
                                            {"l", XML_BLOCK},
                                            {"lg", XML_STANZA},
                                            {"head", XML_STANZA},
                                            {"div", XML_STANZA},
                                            {"speaker", XML_BLOCK},
                                            {"sp", XML_BLOCK},
                                            {"stage", XML_BLOCK},
                                            {"item", XML_BLOCK},
                                            {"ab", XML_BLOCK},
                                            {"row", XML_BLOCK},
                                            {"cell", XML_SPACE},
                                            {"castItem", XML_BLOCK},
                                            {"titlePart", XML_BLOCK},
                                            {"docAuthor", XML_BLOCK},
                                            {"byline", XML_BLOCK},
                                            {"opener", XML_BLOCK},
                                            {"closer", XML_BLOCK},
                                            {"dateline", XML_BLOCK},
                                            {"signed", XML_BLOCK},
                                            {"trailer", XML_BLOCK},
                                            {"lb", XML_SPACE},
                                            {"front", XML_STANZA},
                                            {"quote", XML_BLOCK},
                                            {NULL, XML_SKIP}};

static const struct xml_rule docx_rules[] = {
    {"t", XML_TEXT},   {"p", XML_BLOCK},       {"tr", XML_BLOCK},      {"tab", XML_TAB},
    {"br", XML_BREAK}, {"cr", XML_BREAK},      {"pPr", XML_SKIP},      {"rPr", XML_SKIP},
    {"del", XML_SKIP}, {"moveFrom", XML_SKIP}, {"Fallback", XML_SKIP}, {NULL, XML_SKIP}};

static const struct xml_rule odt_rules[] = {{"p", XML_BLOCK},
                                            {"h", XML_STANZA},
                                            {"tab", XML_TAB},
                                            {"s", XML_SPACE},
                                            {"line-break", XML_BREAK},
                                            {"annotation", XML_SKIP},
                                            {"note", XML_SKIP},
                                            {"tracked-changes", XML_SKIP},
                                            {"forms", XML_SKIP},
                                            {"table-row", XML_BLOCK},
                                            {"object", XML_SKIP},
                                            {"desc", XML_SKIP},
                                            {"meta", XML_SKIP},
                                            {"styles", XML_SKIP},
                                            {"automatic-styles", XML_SKIP},
                                            {"font-face-decls", XML_SKIP},
                                            {"scripts", XML_SKIP},
                                            {NULL, XML_SKIP}};

static const struct xml_rule title_rules[] = {{"title", XML_TITLE}, {NULL, XML_SKIP}};

/* ---- one file of XML ---- */

static status emit(struct reading *reading, const struct item *item, const struct xml_said *said,
                   struct error *error)
{
    struct item found = *item;
    if (said->title.len)
        found.title = said->title;
    if (said->license.len)
        found.license = said->license;
    return reading_emit(reading, &found, (struct view){reading->text.data, reading->text.len},
                        error);
}

static status read_by_rules(struct reading *reading, const struct item *item,
                            const struct xml_rule *rules, struct error *error)
{
    struct item decoded = *item;
    struct xml_said said = {{"", 0}, {"", 0}};
    decoded.charset = html_charset(item->bytes);
    TRY(reading_decode(&decoded.bytes, reading, &decoded, error));
    TRY(xml_text(&reading->text, &said, decoded.bytes, rules, reading->arena, error));
    return emit(reading, item, &said, error);
}

status read_fb2(struct reading *reading, const struct item *item, struct error *error)
{
    return read_by_rules(reading, item, fb2_rules, error);
}

status read_tei(struct reading *reading, const struct item *item, struct error *error)
{
    return read_by_rules(reading, item, tei_rules, error);
}

/* ---- packed: the text in one member, the title in another ---- */

static bool is_docx_member(struct view name)
{
    return view_is(name, "word/document.xml") || view_is(name, "docProps/core.xml");
}

static bool is_odt_member(struct view name)
{
    return view_is(name, "content.xml") || view_is(name, "meta.xml");
}

struct packed_form {
    const char *text, *about;
    bool (*wanted)(struct view name);
    const struct xml_rule *rules;
};

static status read_packed(struct reading *reading, const struct item *item,
                          const struct packed_form *form, struct error *error)
{
    struct member *members;
    struct xml_said said = {{"", 0}, {"", 0}}, ignored = said;
    TRY(archive_members(&members, reading, item->bytes, form->wanted, error));
    const struct member *text = member_named(members, view_of(form->text));
    const struct member *about = member_named(members, view_of(form->about));
    if (!text)
        return fail(error, ERR_FORMAT, "has no member %s", form->text);
    if (about) {
        TRY(xml_text(&reading->text, &said, about->bytes, title_rules, reading->arena, error));
        buffer_clear(&reading->text);
    }
    TRY(xml_text(&reading->text, &ignored, text->bytes, form->rules, reading->arena, error));
    return emit(reading, item, &said, error);
}

status read_docx(struct reading *reading, const struct item *item, struct error *error)
{
    static const struct packed_form form = {"word/document.xml", "docProps/core.xml",
                                            is_docx_member, docx_rules};
    return read_packed(reading, item, &form, error);
}

status read_odt(struct reading *reading, const struct item *item, struct error *error)
{
    static const struct packed_form form = {"content.xml", "meta.xml", is_odt_member, odt_rules};
    return read_packed(reading, item, &form, error);
}
