/* Dates of birth and postal addresses. */
#include "text/personal_internal.h"

#include <string.h>

/* ---- dates ---- */

static int value_of(const struct number *number, int group)
{
    int value = 0;
    for (int i = 0; i < number->groups[group].count && i < 4; i++)
        value = value * 10 + number->digits[number->groups[group].first + i] - '0';
    return value;
}

static bool is_year(int year)
{
    return year >= 1900 && year < 2100;
}

/* The end of "15.03.1950", "3/15/1950", "1950-03-15"; 0: no such date. */
static size_t date_in_digits(const struct scanner *scanner, const struct number *number)
{
    const struct group *groups = number->groups;
    if (number->group_count < 3 || groups[1].count > 2 || groups[1].gap != groups[2].gap ||
        !(groups[1].gap == GAP_DOT || groups[1].gap == GAP_SLASH || groups[1].gap == GAP_HYPHEN) ||
        groups[1].start != groups[0].end + 1)
        return 0;
    int first = value_of(number, 0), second = value_of(number, 1), third = value_of(number, 2);
    bool year_last = groups[0].count <= 2 && groups[2].count == 4 && is_year(third);
    bool year_first = groups[0].count == 4 && groups[2].count <= 2 && is_year(first);
    int day = year_first ? third : first;
    bool plausible =
        day >= 1 && second >= 1 && day <= 31 && second <= 31 && (day <= 12 || second <= 12);
    if (!(year_last || year_first) || !plausible || letter_at(scanner, groups[2].end))
        return 0;
    return groups[2].end;
}

/* The end of "15.03.85", which is a date only beside words of birth. */
static size_t short_date(const struct scanner *scanner, const struct number *number)
{
    if (!number_shape(number, "222") || number->groups[1].gap != GAP_DOT ||
        number->groups[2].gap != GAP_DOT || value_of(number, 0) > 31 || value_of(number, 1) > 12)
        return 0;
    return number_ends(scanner, number->groups[2].end) ? number->groups[2].end : 0;
}

static bool is_month(const struct word *word)
{
    static const char *const months[] = {"январ", "феврал", "март",    "апрел",  "мая",   "июн",
                                         "июл",   "август", "сентябр", "октябр", "ноябр", "декабр",
                                         "janu",  "febr",   "marc",    "apri",   "june",  "july",
                                         "augu",  "sept",   "octo",    "nove",   "dece",  "may"};
    for (size_t i = 0; i < sizeof months / sizeof *months; i++) {
        if (strncmp(word->fold, months[i], strlen(months[i])) == 0)
            return true;
    }
    return false;
}

/* The end of four digits of a year at `at`, with "г." after it; 0: none. */
static size_t year_end(const struct scanner *scanner, size_t at)
{
    if (!is_digit(byte_at(scanner, at)))
        return 0;
    struct number number;
    number_read(&number, scanner, at);
    if (number.groups[0].count != 4 || !is_year(value_of(&number, 0)))
        return 0;
    at = number.groups[0].end;
    size_t mark = at + blank_at(scanner, at);
    return text_at(scanner, mark, "г.") ? mark + strlen("г.") : at;
}

/* "15 марта 1950 г.", "15 March 1950". */
static size_t date_in_words(const struct scanner *scanner, const struct number *number)
{
    const struct group *first = &number->groups[0];
    size_t blank = blank_at(scanner, first->end);
    if (first->count > 2 || !blank || !letter_at(scanner, first->end + blank))
        return 0;
    struct word word;
    word_read(&word, scanner, first->end + blank);
    int day = value_of(number, 0);
    if (day < 1 || day > 31 || word.too_long || !is_month(&word))
        return 0;
    size_t at = word.end;
    at += byte_at(scanner, at) == ',';
    return year_end(scanner, at + blank_at(scanner, at));
}

/* Whether "д.р." stands right before `at`. */
static bool birth_before(const struct scanner *scanner, size_t at)
{
    size_t end = at - blank_before(scanner, at);
    end -= byte_at(scanner, end - 1) == ':';
    return text_at(scanner, end - strlen("д.р."), "д.р.") ||
           text_at(scanner, end - strlen("д. р."), "д. р.");
}

/* Whether "г.р.", "года рождения" stand after the date. */
static bool born_after(const struct scanner *scanner, size_t end)
{
    size_t at = end + blank_at(scanner, end);
    if (text_at(scanner, at, "г. р") || text_at(scanner, at, "г.р") || text_at(scanner, at, "гр."))
        return true;
    if (text_at(scanner, end, " р."))
        return text_at(scanner, end - strlen("г."), "г.");
    return about_after(scanner, end) & ABOUT_BIRTH;
}

size_t find_date(struct scanner *scanner, struct number *number)
{
    if (number->groups[0].count > 2 && number->groups[0].count != 4)
        return 0;
    size_t end = date_in_digits(scanner, number);
    if (!end)
        end = date_in_words(scanner, number);
    bool full = end > 0;
    if (!end)
        end = short_date(scanner, number);
    if (!end || number->glued)
        return 0;
    if (!scanner_wants(scanner, PERSONAL_BIRTH_DATE))
        return full ? end : 0;
    const struct about *about = number_about(number, scanner);
    bool told = (about->near & ABOUT_BIRTH && about->gap < 60 && !about->spent) ||
                born_after(scanner, end) || birth_before(scanner, number->start);
    if (!full && !told)
        return 0;
    size_t after_name = number->start - scanner->person_end;
    if (told)
        scanner_add(scanner, PERSONAL_BIRTH_DATE, number->start, end, 92, "date and context");
    else if (scanner->person_end && number->start > scanner->person_end && after_name <= 2 &&
             (byte_at(scanner, scanner->person_end) == ',' ||
              byte_at(scanner, number->start - 1) == '('))
        scanner_add(scanner, PERSONAL_BIRTH_DATE, number->start, end, 65, "date beside a name");
    return end;
}

/* ---- addresses ---- */

enum { ADDRESS_BYTES_MAX = 220, SEGMENTS_MAX = 8 };
enum { PART_STREET = 1, PART_PLACE = 2, PART_HOUSE = 4, PART_FLAT = 8, PART_INDEX = 16 };

static const struct stem part_items[] = {
    /* clang-format off */
    STEM("аллея", PART_STREET, true), STEM("б-р", PART_STREET, true), STEM("бул", PART_STREET, true),
    STEM("бульвар", PART_STREET, false), STEM("г", PART_PLACE, true), STEM("гор", PART_PLACE, true),
    STEM("город", PART_PLACE, false), STEM("д", PART_HOUSE, true), STEM("дер", PART_PLACE, true),
    STEM("деревн", PART_PLACE, false), STEM("дом", PART_HOUSE, true), STEM("к", PART_FLAT, true),
    STEM("кв", PART_FLAT, true), STEM("квартал", PART_STREET, true), STEM("квартира", PART_FLAT, true),
    STEM("корп", PART_FLAT, true), STEM("корпус", PART_FLAT, true), STEM("край", PART_PLACE, true),
    STEM("края", PART_PLACE, true), STEM("литера", PART_FLAT, true), STEM("микрорайон", PART_STREET, false),
    STEM("мкр", PART_STREET, true), STEM("наб", PART_STREET, true), STEM("набережн", PART_STREET, false),
    STEM("обл", PART_PLACE, true), STEM("област", PART_PLACE, false), STEM("округ", PART_PLACE, false), STEM("оф", PART_FLAT, true),
    STEM("офис", PART_FLAT, true), STEM("пер", PART_STREET, true), STEM("переулок", PART_STREET, false),
    STEM("пл", PART_STREET, true), STEM("площадь", PART_STREET, true), STEM("пом", PART_FLAT, true),
    STEM("пос", PART_PLACE, true), STEM("поселок", PART_PLACE, true), STEM("пр", PART_STREET, true),
    STEM("пр-кт", PART_STREET, true), STEM("пр-т", PART_STREET, true), STEM("проезд", PART_STREET, true),
    STEM("просп", PART_STREET, true), STEM("проспект", PART_STREET, false), STEM("р-н", PART_PLACE, true),
    STEM("район", PART_PLACE, false), STEM("респ", PART_PLACE, true), STEM("республик", PART_PLACE, false),
    STEM("с", PART_PLACE, true), STEM("село", PART_PLACE, true), STEM("стр", PART_FLAT, true),
    STEM("строение", PART_FLAT, true), STEM("тупик", PART_STREET, true), STEM("ул", PART_STREET, true),
    STEM("улиц", PART_STREET, false), STEM("ш", PART_STREET, true), STEM("шоссе", PART_STREET, true),
    /* clang-format on */
};
const struct stem_list personal_address_stems = {part_items,
                                                 sizeof part_items / sizeof *part_items};

static uint32_t part_of(const struct word *word)
{
    return word->too_long ? 0 : stem_find(personal_address_stems, word->fold, word->len);
}

/* What stands between two commas. */
struct segment {
    size_t start, end;
    size_t marked;  /* where its first telling word begins, or the capitalized words before it */
    uint32_t parts; /* PART_ bits of its words */
    int before;     /* words before the first telling one, or all */
    int after;      /* words after it */
    bool adjective; /* one word alone that ends like Московская */
};

static bool six_digits(const struct scanner *scanner, size_t at)
{
    for (size_t i = 0; i < 6; i++) {
        if (!is_digit(byte_at(scanner, at + i)))
            return false;
    }
    return !is_digit(byte_at(scanner, at + 6));
}

/* What a word says of a segment: letters that are also prepositions say something only with a
 * dot. */
static uint32_t segment_part(const struct scanner *scanner, const struct word *word)
{
    uint32_t part = part_of(word);
    bool dotted = byte_at(scanner, word->end) == '.';
    return word->letters == 1 && !dotted && !(part & PART_HOUSE) ? 0 : part;
}

static void segment_word(struct segment *segment, size_t *capitals, const struct word *word,
                         uint32_t part)
{
    if (part & (PART_STREET | PART_PLACE) && segment->marked == segment->end)
        segment->marked = *capitals < segment->end ? *capitals : word->start;
    *capitals = word->upper_first && *capitals < segment->end ? *capitals
                : word->upper_first                           ? word->start
                                                              : segment->end;
    segment->parts |= part;
    *(segment->marked == segment->end ? &segment->before : &segment->after) += 1;
    segment->adjective = segment->before == 1 && word->upper_first && word->len > 8 &&
                         (strcmp(word->fold + word->len - 4, "ая") == 0 ||
                          strcmp(word->fold + word->len - 4, "ий") == 0);
}

static void segment_read(struct segment *out, const struct scanner *scanner, size_t start,
                         size_t end)
{
    while (start < end && (blank_at(scanner, start) || byte_at(scanner, start) == '\n'))
        start += blank_at(scanner, start) ? blank_at(scanner, start) : 1;
    *out = (struct segment){.start = start, .end = end, .marked = end};
    size_t capitals = end;
    if (six_digits(scanner, start)) {
        out->parts = PART_INDEX;
        out->marked = start;
    }
    for (size_t at = start; at < end;) {
        struct word word;
        word_read(&word, scanner, at);
        if (word.letters)
            segment_word(out, &capitals, &word, segment_part(scanner, &word));
        at = word.end > at ? word.end : at + 1;
    }
}

/* Where the segment that ends at `end` begins: after a comma (*more), or after what ends the
 * address. */
static size_t segment_start(bool *more, const struct scanner *scanner, size_t end, size_t limit)
{
    size_t at = end;
    *more = false;
    while (at > limit) {
        unsigned char before = byte_at(scanner, at - 1);
        *more = before == ',';
        if (before && strchr(",;:!?()\n\"<>|", before))
            return at;
        at--;
    }
    *more = false;
    return limit && letter_before(scanner, limit) ? end : limit;
}

/* Where the address of the house number at `number` begins; `number` if there is none. */
static size_t address_start(uint32_t *parts, const struct scanner *scanner, size_t number)
{
    enum { WORDS_MAX = 6 };
    size_t limit = number > ADDRESS_BYTES_MAX ? number - ADDRESS_BYTES_MAX : 0;
    size_t end = number, start = number;
    bool more = true;
    *parts = 0;
    for (int i = 0; i < SEGMENTS_MAX && more; i++) {
        struct segment segment;
        size_t from = segment_start(&more, scanner, end, limit);
        segment_read(&segment, scanner, from, end);
        bool own = end == number && !(segment.parts & (PART_STREET | PART_PLACE | PART_INDEX));
        bool region = segment.adjective && !segment.parts && *parts & PART_PLACE;
        if (own && (segment.start == end || segment.parts & PART_HOUSE)) { /* "д. " of the number */
            *parts |= segment.parts;
            end = from - more;
            start = segment.start;
            continue;
        }
        if (segment.after > WORDS_MAX || (!region && segment.marked == segment.end))
            break;
        *parts |= segment.parts;
        start = region ? segment.start : segment.marked;
        if (start > segment.start || segment.parts & PART_INDEX)
            break;
        end = from - more;
    }
    return start;
}

/* The end of a house number with its letter and fraction: "12а", "12/3". */
static size_t house_end(const struct scanner *scanner, size_t at)
{
    while (is_digit(byte_at(scanner, at)))
        at++;
    unsigned char mark = byte_at(scanner, at);
    if ((mark == '/' || mark == '-') && is_digit(byte_at(scanner, at + 1))) {
        at++;
        while (is_digit(byte_at(scanner, at)))
            at++;
    }
    size_t letter = byte_at(scanner, at) < 0x80 ? 1 : 2;
    if (letter_at(scanner, at) && !letter_at(scanner, at + letter))
        at += letter;
    return at;
}

/* Goes on over ", корп. 2, кв. 15"; bounded since every step needs a word of the list. */
static size_t address_end(uint32_t *parts, const struct scanner *scanner, size_t at)
{
    for (int i = 0; i < SEGMENTS_MAX; i++) {
        size_t next = at;
        next += byte_at(scanner, next) == ',';
        next += blank_at(scanner, next);
        struct word word;
        word_read(&word, scanner, next);
        if (!word.letters || !(part_of(&word) & (PART_FLAT | PART_HOUSE)))
            break;
        next = word.end;
        next += byte_at(scanner, next) == '.';
        next += blank_at(scanner, next);
        if (text_at(scanner, next, "№"))
            next += strlen("№");
        if (!is_digit(byte_at(scanner, next)))
            break;
        *parts |= PART_FLAT;
        at = house_end(scanner, next);
    }
    return at;
}

/* Whether "д.", "д" or "дом" ends at `at`. */
static bool house_before(const struct scanner *scanner, size_t at)
{
    size_t end = at - (byte_at(scanner, at - 1) == '.'), start = word_start(scanner, end);
    struct word word;
    word_read(&word, scanner, start);
    return word.letters && word.end == end && part_of(&word) == PART_HOUSE;
}

size_t find_address(struct scanner *scanner, struct number *number)
{
    const struct group *first = &number->groups[0];
    if (!scanner_wants(scanner, PERSONAL_ADDRESS) || first->count > 4 || number->glued)
        return 0;
    size_t before = number->start;
    for (size_t blank; (blank = blank_before(scanner, before)) > 0 && number->start - before < 4;)
        before -= blank;
    unsigned char mark = byte_at(scanner, before - 1);
    bool after_comma =
        mark == ',' && (letter_before(scanner, before - 1) || byte_at(scanner, before - 2) == '.');
    bool after_house = house_before(scanner, before);
    bool flat_after = letter_before(scanner, before) && (text_at(scanner, first->end, ", кв") ||
                                                         text_at(scanner, first->end, ", корп"));
    if (before < 4 || !(after_comma || after_house || flat_after))
        return 0;
    uint32_t parts;
    size_t start = address_start(&parts, scanner, number->start);
    if (!(parts & PART_STREET) || start >= number->start || letter_before(scanner, start))
        return 0;
    size_t end = address_end(&parts, scanner, house_end(scanner, first->end));
    if (!(parts & (PART_HOUSE | PART_FLAT | PART_PLACE | PART_INDEX)))
        return 0;
    bool place = parts & (PART_PLACE | PART_INDEX);
    scanner_add(scanner, PERSONAL_ADDRESS, start, end,
                parts & PART_FLAT ? 90
                : place           ? 80
                                  : 60,
                parts & PART_FLAT ? "street, house and flat"
                : place           ? "place, street and house"
                                  : "street and house");
    return end;
}
