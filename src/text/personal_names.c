/* Names.  A chain of capitalized words and initials is read once; what each word can be (a given
 * name by the list, a patronymic or surname by its ending) decides which part of it is a name. */
#include "text/personal_internal.h"

#include <string.h>

enum { CHAIN_MAX = 12, NAME_WORDS_MAX = 4, LETTER_BYTES = 2 };

/* ---- what a word can be ---- */

struct ending {
    const char *text;
    uint8_t len;
};
#define E(text)                                                                                    \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }

/* Most endings differ in their last byte. */
static bool ends_with(const struct word *word, const struct ending *ending)
{
    size_t len = ending->len;
    return len == 0 || (word->len >= len && word->fold[word->len - 1] == ending->text[len - 1] &&
                        memcmp(word->fold + word->len - len, ending->text, len) == 0);
}

/* Whether the word ends in one of the endings, the last without text, with `least` letters
 * before it. */
static bool ends_in(const struct word *word, const struct ending *ending, size_t least)
{
    for (; ending->text; ending++) {
        if (ends_with(word, ending) && word->len >= ending->len + least * LETTER_BYTES)
            return true;
    }
    return false;
}

static bool patronymic(const struct word *word)
{
    static const struct ending male[] = {E("ович"), E("евич"), E("ьич"), E("ович"), {0}};
    static const struct ending cases[] = {E("а"), E("у"), E("ем"), E("е"), E("ом"), E("")};
    static const struct ending others[] = {
        E("овна"), E("овны"), E("овне"),  E("овну"),  E("овной"), E("овною"), E("евна"),
        E("евны"), E("евне"), E("евну"),  E("евной"), E("евною"), E("ична"),  E("ичны"),
        E("ичне"), E("ичну"), E("ичной"), E("ичною"), {0}};
    static const struct ending short_ones[] = {E("ильич"),   E("лукич"),  E("фомич"), E("кузьмич"),
                                               E("никитич"), E("саввич"), E("фокич"), {0}};
    if (ends_in(word, others, 2))
        return true;
    struct word stem = *word;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!ends_with(word, &cases[i]))
            continue;
        stem.len = (uint8_t)(word->len - cases[i].len);
        if (ends_in(&stem, male, 2) || ends_in(&stem, short_ones, 0))
            return true;
    }
    return false;
}

static bool surname(const struct word *word)
{
    static const struct ending russian[] = {
        E("ов"),    E("ова"),   E("ову"),   E("овым"),  E("ове"),   E("овой"),  E("овою"),
        E("овы"),   E("овых"),  E("овыми"), E("ев"),    E("ева"),   E("еву"),   E("евым"),
        E("еве"),   E("евой"),  E("евою"),  E("евы"),   E("евых"),  E("евыми"), E("ин"),
        E("ина"),   E("ину"),   E("иным"),  E("ине"),   E("иной"),  E("ины"),   E("иных"),
        E("ын"),    E("ына"),   E("ыну"),   E("ыным"),  E("ыне"),   E("ыной"),  E("ский"),
        E("ского"), E("скому"), E("ским"),  E("ском"),  E("ская"),  E("скую"),  E("ской"),
        E("ские"),  E("ских"),  E("цкий"),  E("цкого"), E("цкому"), E("цким"),  E("цком"),
        E("цкая"),  E("цкую"),  E("цкой"),  E("цкие"),  E("цких"),  E("енко"),  E("чук"),
        E("чука"),  E("чуку"),  E("чуком"), E("чуке"),  E("юк"),    E("юка"),   E("юку"),
        E("юком"),  E("юке"),   E("ян"),    E("яна"),   E("яну"),   E("яном"),  E("яне"),
        E("дзе"),   E("швили"), E("ович"),  E("евич"),  E("овича"), E("евича"), E("ых"),
        E("их"),    E("ец"),    E("ко"),    E("ич"),    E("ук"),    E("як"),    E("ык"),
        E("ик"),    E("аев"),   {0}};
    static const struct ending latin[] = {E("ov"),    E("ova"), E("ev"),     E("eva"),  E("skiy"),
                                          E("skaya"), E("ski"), E("sky"),    E("enko"), E("vich"),
                                          E("yan"),   E("dze"), E("shvili"), E("sson"), E("ssen"),
                                          E("nsen"),  E("ová"), {0}};
    if (word->cyrillic)
        return word->letters >= 4 && ends_in(word, russian, 2);
    return word->letters >= 4 && ends_in(word, latin, 1);
}

/* Whether the word ends as adjectives do and surnames do not. */
static bool adjective(const struct word *word)
{
    static const struct ending endings[] = {
        E("ый"), E("ая"), E("ое"), E("ые"), E("ого"), E("ому"), E("ую"),  E("ым"),
        E("ых"), E("ий"), E("яя"), E("ее"), E("ие"),  E("его"), E("ему"), E("юю"),
        E("им"), E("их"), E("ой"), E("ей"), E("ыми"), E("ими"), {0}};
    return ends_in(word, endings, 2);
}

/* Whether the ending goes with one of the classes. */
static bool ending_fits(const char *ending, size_t len, uint32_t classes)
{
    static const struct {
        uint32_t class;
        const char *endings; /* each between blanks */
    } table[] = {
        {GIVEN_HARD, "  а у ом ем е "},
        {GIVEN_Y, " й я ю ем е и "},
        {GIVEN_SOFT, " ь я ю ем е и ью "},
        {GIVEN_A, " а ы и е у ой ей ою "},
        {GIVEN_YA, " я и е ю ей ею "},
        {GIVEN_IYA, " я и ю ей ею "},
        {GIVEN_FIXED, "  "},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!(classes & table[i].class))
            continue;
        const char *at = table[i].endings;
        while (*at == ' ' && at[1]) {
            size_t one = strcspn(at + 1, " ");
            if (one == len && memcmp(at + 1, ending, len) == 0)
                return true;
            at += 1 + one;
        }
    }
    return false;
}

static uint32_t given_russian(const struct word *word)
{
    for (size_t off = 0; off <= 3 * LETTER_BYTES && off + LETTER_BYTES < word->len;
         off += LETTER_BYTES) {
        uint32_t classes = stem_exact(personal_given_stems, word->fold, word->len - off);
        if (classes && ending_fits(word->fold + word->len - off, off, classes))
            return classes & GIVEN_AMBIGUOUS ? NAME_GIVEN | NAME_AMBIGUOUS : NAME_GIVEN;
    }
    return 0;
}

uint32_t name_kinds(const struct word *word)
{
    if (word->too_long || word->letters < 2)
        return NAME_STOP;
    uint32_t kinds = stem_exact(personal_name_words, word->fold, word->len);
    if (word->cyrillic && !word->latin) {
        kinds |= given_russian(word);
        if (!(kinds & NAME_GIVEN) && patronymic(word))
            kinds |= ends_with(word, &(struct ending)E("ной")) ? NAME_PATRONYMIC | NAME_DOUBTFUL
                                                               : NAME_PATRONYMIC;
    } else if (word->latin && !word->cyrillic)
        kinds |= stem_exact(personal_latin_given, word->fold, word->len);
    else
        return NAME_STOP;
    if (!(kinds & (NAME_STOP | NAME_TITLE)) && surname(word))
        kinds |= NAME_SURNAME;
    if (adjective(word))
        kinds |= NAME_ADJECTIVE;
    return kinds;
}

/* ---- the chain ---- */

struct link {
    size_t start, end; /* an initial ends after its dot */
    uint32_t kinds;
    bool initial, cyrillic, upper_all;
};
struct chain {
    struct link links[CHAIN_MAX];
    int count;
    bool opens;  /* the first word stands where a sentence begins */
    bool called; /* "my name is", "зовут", a title in small letters stands before */
};

/* Bytes of a capital letter at `at`, 0 if none. */
static size_t capital_at(const struct scanner *scanner, size_t at)
{
    unsigned char byte = byte_at(scanner, at), next = byte_at(scanner, at + 1);
    if (is_latin_upper(byte))
        return 1;
    if (byte == 0xD0)
        return (next >= 0x90 && next <= 0xAF) || next == 0x81 ? 2 : 0;
    if (byte < 0xC3 || byte > 0xC5 || !letter_at(scanner, at))
        return 0;
    struct word word;
    word_read(&word, scanner, at);
    return word.upper_first ? 2 : 0;
}

/* The end of "-С." after an initial that ends at `end`, else `end`. */
static size_t double_initial(const struct scanner *scanner, size_t end)
{
    size_t capital = byte_at(scanner, end) == '-' ? capital_at(scanner, end + 1) : 0;
    return capital && byte_at(scanner, end + 1 + capital) == '.' ? end + 2 + capital : end;
}

/* The end of " оглы" or " кызы" after a father's name that ends at `end`, else `end`. */
static size_t son_or_daughter(const struct scanner *scanner, size_t end)
{
    static const char *const words[] = {"оглы", "Оглы", "кызы", "Кызы", "ОГЛЫ", "КЫЗЫ"};
    size_t blank = blank_at(scanner, end);
    for (size_t i = 0; blank && i < sizeof words / sizeof *words; i++) {
        if (text_at(scanner, end + blank, words[i]))
            return end + blank + strlen(words[i]);
    }
    return end;
}

/* Reads one capitalized word or initial at `at`; false if there is none. */
static bool link_read(struct link *out, const struct scanner *scanner, size_t at)
{
    size_t capital = capital_at(scanner, at);
    if (!capital)
        return false;
    struct word word;
    word_read(&word, scanner, at);
    bool initial = word.end == at + capital && byte_at(scanner, word.end) == '.';
    *out = (struct link){.start = at,
                         .end = word.end + initial,
                         .initial = initial,
                         .cyrillic = word.cyrillic,
                         .upper_all = word.upper_all};
    out->kinds = initial ? 0 : name_kinds(&word);
    if (out->kinds & NAME_TITLE && byte_at(scanner, word.end) == '.')
        out->end++;
    if (initial)
        out->end = double_initial(scanner, out->end);
    size_t end = son_or_daughter(scanner, word.end);
    if (!initial && word.cyrillic && end > word.end) {
        out->end = end;
        out->kinds = NAME_PATRONYMIC;
    }
    return true;
}

/* Bytes between two words of one name: one blank, one line end, or nothing after an initial. */
static bool joint(size_t *next, bool *new_line, const struct scanner *scanner,
                  const struct link *last)
{
    size_t at = last->end, blank = blank_at(scanner, at);
    *new_line = !blank && byte_at(scanner, at) == '\n';
    if (*new_line)
        blank = 1;
    if (!blank && !last->initial)
        return false;
    *next = at + blank;
    return true;
}

static bool sentence_opens(const struct scanner *scanner, size_t at)
{
    for (size_t blank; (blank = blank_before(scanner, at)) > 0;) {
        at -= blank;
        if (at == 0)
            return true;
    }
    unsigned char before = byte_at(scanner, at - 1);
    if (at == 0 || strchr(".!?\n\"", before))
        return true;
    return text_at(scanner, at - 2, "«") || text_at(scanner, at - 3, "…") ||
           text_at(scanner, at - 3, "—") || text_at(scanner, at - 3, "“");
}

/* Whether words before `at` announce a name: "пациент", "гр.", "Заявитель:", "name is", "Name:". */
static bool announced(const struct scanner *scanner, size_t at)
{
    size_t end = at;
    while (end > 0 && at - end < 4 && blank_before(scanner, end))
        end -= blank_before(scanner, end);
    unsigned char mark = byte_at(scanner, end - 1);
    bool marked = end > 0 && (mark == '.' || mark == ':');
    end -= marked;
    size_t start = word_start(scanner, end);
    if (start > 0 && byte_at(scanner, start - 1) == '-') /* г-н */
        start = word_start(scanner, start - 1);
    if (start == end || letter_before(scanner, start))
        return false;
    struct word word;
    word_read(&word, scanner, start);
    if (word.too_long || word.end > at || (marked && mark == '.' && word.letters > 3))
        return false;
    if (text_at(scanner, start, "is "))
        return start >= 5 &&
               (text_at(scanner, start - 5, "name ") || text_at(scanner, start - 5, "Name "));
    if (text_at(scanner, start, "Name:"))
        return true;
    return word.cyrillic && stem_exact(personal_name_words, word.fold, word.len) & NAME_TITLE;
}

/* Reads words from `at` on until something else than capitalized words follows. */
static void chain_read(struct chain *out, const struct scanner *scanner, size_t at)
{
    bool new_line = false;
    out->count = 0;
    while (out->count < CHAIN_MAX && link_read(&out->links[out->count], scanner, at)) {
        const struct link *link = &out->links[out->count], *last = link - 1;
        bool goes_on = new_line && (last->initial ||
                                    (last->kinds & NAME_GIVEN && link->kinds & NAME_PATRONYMIC));
        if (new_line && !goes_on) /* lists have a name on each line */
            break;
        out->count++;
        if (!joint(&at, &new_line, scanner, link))
            break;
    }
}

/* ---- which links are a name ---- */

struct name {
    int first, count; /* links */
    int confidence;
    const char *reason;
};

static const struct link *link_at(const struct chain *chain, int index)
{
    static const struct link none = {.kinds = NAME_STOP};
    return index >= 0 && index < chain->count ? &chain->links[index] : &none;
}

static bool is(const struct chain *chain, int index, uint32_t kind)
{
    return link_at(chain, index)->kinds & kind;
}

/* A capitalized word that could be anybody's surname. */
static bool any_word(const struct chain *chain, int index)
{
    const struct link *link = link_at(chain, index);
    return !link->initial && !(link->kinds & (NAME_STOP | NAME_TITLE | NAME_PATRONYMIC));
}

/* As above, but what ends like a patronymic (Рабинович) may be one. */
static bool any_surname(const struct chain *chain, int index)
{
    const struct link *link = link_at(chain, index);
    return !link->initial && !(link->kinds & (NAME_STOP | NAME_TITLE));
}

static bool initial(const struct chain *chain, int index)
{
    return link_at(chain, index)->initial;
}

static bool set(struct name *out, int first, int count, int confidence, const char *reason)
{
    *out = (struct name){first, count, confidence, reason};
    return true;
}

/* Given name and patronymic, with a surname on either side. */
static bool with_patronymic(struct name *out, const struct chain *chain, int i)
{
    if (any_word(chain, i) && is(chain, i + 1, NAME_GIVEN) && is(chain, i + 2, NAME_PATRONYMIC)) {
        bool opens = i == 0 && chain->opens && !is(chain, i, NAME_SURNAME);
        bool surname_after = is(chain, i + 3, NAME_SURNAME) && !is(chain, i, NAME_SURNAME);
        if (!surname_after && !opens)
            return set(out, i, 3, 97, "surname, given name, patronymic");
    }
    /* a given name that no list has */
    bool sure = is(chain, i + 2, NAME_PATRONYMIC) && !is(chain, i + 2, NAME_DOUBTFUL);
    if (sure && is(chain, i, NAME_SURNAME) && any_word(chain, i + 1) &&
        !is(chain, i + 3, NAME_SURNAME))
        return set(out, i, 3, 80, "surname, a word and patronymic");
    if (!is(chain, i + 1, NAME_PATRONYMIC) || link_at(chain, i)->initial)
        return false;
    if (is(chain, i, NAME_GIVEN)) {
        bool same = link_at(chain, i + 2)->upper_all == link_at(chain, i)->upper_all;
        if (is(chain, i + 2, NAME_SURNAME) || (any_word(chain, i + 2) && same))
            return set(out, i, 3, is(chain, i + 2, NAME_SURNAME) ? 97 : 90,
                       "given name, patronymic, surname");
        return set(out, i, 2, 95, "given name and patronymic");
    }
    if (any_word(chain, i) && any_word(chain, i + 2) && is(chain, i + 2, NAME_SURNAME))
        return set(out, i, 3, 80, "patronymic between two names");
    if (any_word(chain, i) && !is(chain, i + 1, NAME_DOUBTFUL))
        return set(out, i, 2, 65, "word and patronymic");
    return false;
}

/* Surname and initials in either order. */
static bool with_initials(struct name *out, const struct chain *chain, int i)
{
    if (initial(chain, i)) {
        int next = i + 1 + initial(chain, i + 1);
        bool strong = is(chain, next, NAME_SURNAME);
        if (!any_surname(chain, next) || (next == i + 1 && !strong))
            return false;
        return set(out, i, next - i + 1, next > i + 1 ? (strong ? 95 : 75) : 65,
                   "initials and surname");
    }
    if (!any_surname(chain, i) || !initial(chain, i + 1))
        return false;
    bool two = initial(chain, i + 2), strong = is(chain, i, NAME_SURNAME);
    if (!two && any_surname(chain, i + 2) &&
        (is(chain, i, NAME_GIVEN) || !link_at(chain, i)->cyrillic))
        return set(out, i, 3, is(chain, i, NAME_GIVEN) ? 85 : 65, "given name, initial, surname");
    /* "И. Иванова С. Петров": the initial belongs to what follows */
    if (!two && (!strong || any_surname(chain, i + 2)))
        return false;
    return set(out, i, two ? 3 : 2, two ? (strong ? 95 : 75) : 60, "surname and initials");
}

/* Given name and surname in either order. */
static bool two_names(struct name *out, const struct chain *chain, int i)
{
    bool given = is(chain, i, NAME_GIVEN) && !is(chain, i, NAME_STOP);
    bool plain = given && !is(chain, i, NAME_AMBIGUOUS);
    bool next_given = is(chain, i + 1, NAME_GIVEN) && !is(chain, i + 1, NAME_AMBIGUOUS);
    bool strong = is(chain, i, NAME_SURNAME), next_strong = is(chain, i + 1, NAME_SURNAME);
    /* Mary Jane Watson */
    if (given && is(chain, i + 1, NAME_GIVEN) && any_word(chain, i + 2))
        return set(out, i, 3, 75, "two given names and a capitalized word");
    if (given && next_strong)
        return set(out, i, 2, plain ? 90 : 75, "given name and surname");
    if (strong && next_given && !given)
        return set(out, i, 2, 85, "surname and given name");
    if (plain && any_word(chain, i + 1))
        return set(out, i, 2, 70, "given name and a capitalized word");
    if (given && any_word(chain, i + 1) && !(i == 0 && chain->opens))
        return set(out, i, 2, 55, "given name and a capitalized word");
    if (next_given && any_word(chain, i) && !(i == 0 && chain->opens) && !given &&
        link_at(chain, i)->cyrillic)
        return set(out, i, 2, 55, "capitalized word and a given name");
    return false;
}

/* Two capitalized words within a sentence of which one ends like a surname and the other like no
 * adjective. */
static bool by_ending(struct name *out, const struct chain *chain, int i)
{
    bool opens = i == 0 && chain->opens, goes_on = initial(chain, i + 2);
    if (opens || goes_on || !any_word(chain, i) || !any_word(chain, i + 1))
        return false;
    if (!link_at(chain, i)->cyrillic || link_at(chain, i)->upper_all ||
        is(chain, i, NAME_ADJECTIVE) || is(chain, i + 1, NAME_ADJECTIVE))
        return false;
    if (is(chain, i + 1, NAME_SURNAME))
        return set(out, i, 2, 52, "word and an ending of surnames");
    return is(chain, i, NAME_SURNAME) && set(out, i, 2, 51, "ending of surnames and a word");
}

/* After a title or "my name is" even a single word is a name; a Russian one must look like one,
 * since titles stand before institutions too. */
static bool after_title(struct name *out, const struct chain *chain, int i)
{
    const struct link *title = link_at(chain, i - 1);
    bool told =
        i > 0 ? title->kinds & NAME_TITLE && (title->cyrillic || !title->upper_all) : chain->called;
    const struct link *link = link_at(chain, i);
    bool known = link->kinds & (NAME_SURNAME | NAME_GIVEN);
    if (!told || !any_word(chain, i) || (!known && (link->cyrillic || link->upper_all)))
        return false;
    return set(out, i, 1 + any_word(chain, i + 1), known ? 75 : 60, "title or announcement before");
}

/* Says little about anybody, but is there for those who ask for less sure findings. */
static bool given_alone(struct name *out, const struct chain *chain, int i)
{
    bool given = is(chain, i, NAME_GIVEN) && !is(chain, i, NAME_AMBIGUOUS | NAME_STOP | NAME_TITLE);
    return given && set(out, i, 1, 40, "given name alone");
}

/* A name is written in one script. */
static bool one_script(const struct chain *chain, const struct name *name)
{
    const struct link *links = chain->links + name->first;
    for (int i = 1; i < name->count; i++) {
        if (links[i].cyrillic != links[0].cyrillic)
            return false;
    }
    return true;
}

static bool find_name(struct name *out, const struct chain *chain, int i)
{
    static bool (*const finders[])(struct name *, const struct chain *, int) = {
        with_patronymic, with_initials, two_names, after_title, by_ending, given_alone};
    for (size_t k = 0; k < sizeof finders / sizeof *finders; k++) {
        if (finders[k](out, chain, i) && one_script(chain, out))
            return true;
    }
    return false;
}

/* A chain that is as long as fits may go on: its last words are read again. */
size_t find_person(struct scanner *scanner, size_t at)
{
    struct chain chain = {.opens = sentence_opens(scanner, at)};
    chain.called = announced(scanner, at);
    chain_read(&chain, scanner, at);
    if (chain.count == 0)
        return at + 1;
    int usable = chain.count == CHAIN_MAX ? CHAIN_MAX - NAME_WORDS_MAX : chain.count, i = 0;
    while (i < usable) {
        struct name name;
        if (!find_name(&name, &chain, i)) {
            i++;
            continue;
        }
        const struct link *last = &chain.links[name.first + name.count - 1];
        if (name.count > 1)
            scanner->person_end = last->end;
        scanner_add(scanner, PERSONAL_PERSON, chain.links[name.first].start, last->end,
                    name.confidence, name.reason);
        i = name.first + name.count;
    }
    return i < chain.count ? chain.links[i].start : chain.links[chain.count - 1].end;
}
