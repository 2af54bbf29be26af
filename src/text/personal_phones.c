/* Telephone numbers: Russian forms, international ones, North American ones; others by context. */
#include "text/personal_internal.h"

#include <string.h>

enum { PHONE_GAPS = GAP_SPACE | GAP_HYPHEN | GAP_DOT | GAP_OPEN | GAP_CLOSE };

struct phone {
    size_t start, end;
    int confidence;
    const char *reason;
};

/* The last of the groups from the first on that together have `count` digits; -1: none. */
static int groups_of(const struct number *number, int count)
{
    for (int i = 0; i < number->group_count; i++) {
        if (i > 0 && number->groups[i].gap & ~PHONE_GAPS)
            return -1;
        int digits = number->groups[i].first + number->groups[i].count;
        if (digits >= count)
            return digits == count ? i : -1;
    }
    return -1;
}

/* All bits of the gaps of groups 1 to `last`. */
static int gaps_of(const struct number *number, int last)
{
    int gaps = 0;
    for (int i = 1; i <= last; i++)
        gaps |= number->groups[i].gap;
    return gaps;
}

static bool any_shape(const struct number *number, const char *const *shapes, int last)
{
    for (; *shapes; shapes++) {
        if ((int)strlen(*shapes) == last + 1 && number_shape(number, *shapes))
            return true;
    }
    return false;
}

/* The end of "x123", " доб. 123", " ext. 123" after a number, or `end`. */
static size_t with_extension(const struct scanner *scanner, size_t end)
{
    static const char *const words[] = {"x", "ext. ", "ext ", "доб. ", "доб ", "доб."};
    size_t at = end;
    at += byte_at(scanner, at) == ',';
    at += blank_at(scanner, at);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!text_at(scanner, i == 0 ? end : at, words[i]))
            continue;
        size_t digits = (i == 0 ? end : at) + strlen(words[i]), last = digits;
        while (last - digits < 7 && is_digit(byte_at(scanner, last)))
            last++;
        return last > digits && last - digits < 7 ? last : end;
    }
    return end;
}

static bool dated(const struct number *number)
{
    return number_shape(number, "224") || number_shape(number, "422") ||
           number_shape(number, "124") || number_shape(number, "114");
}

/* 1 200 000: spaces before groups of three only. */
static bool thousands(const struct number *number, int last)
{
    if (last < 1 || gaps_of(number, last) != GAP_SPACE || number->groups[0].count > 3)
        return false;
    for (int i = 1; i <= last; i++) {
        if (number->groups[i].count != 3)
            return false;
    }
    return true;
}

/* Pages 287-288, the digits one by one, columns of decimals. */
static bool counted(const struct number *number, int last)
{
    int gaps = gaps_of(number, last), longest = 0;
    for (int i = 0; i <= last; i++)
        longest = number->groups[i].count > longest ? number->groups[i].count : longest;
    bool pages =
        last == 1 && gaps == GAP_HYPHEN && number->groups[0].count == number->groups[1].count;
    return pages || longest < 2 || (gaps & GAP_DOT && gaps & GAP_SPACE);
}

/* Where a number that begins with a plus or a bracket begins. */
static size_t phone_start(const struct scanner *scanner, const struct number *number)
{
    size_t start = number->start - (number->plus || number->open);
    return start > 0 && number->open && byte_at(scanner, start - 1) == '+' ? start - 1 : start;
}

/* +7 and ten digits; + and another country's code. */
static bool international(struct phone *out, struct scanner *scanner, struct number *number)
{
    if (!number->plus || number->digits[0] == '0')
        return false;
    size_t start = number->start - 1;
    if (start > 0 &&
        (is_alphanumeric(byte_at(scanner, start - 1)) || letter_before(scanner, start)))
        return false;
    bool national = number->digits[0] == '7' || number->digits[0] == '1';
    int last = groups_of(number, 11);
    if (!national) {
        int digits = 0;
        last = -1;
        for (int i = 0; i < number->group_count && !(i && number->groups[i].gap & ~PHONE_GAPS);
             i++) {
            digits = number->groups[i].first + number->groups[i].count;
            if (digits > 15)
                break;
            last = digits >= 8 ? i : last;
        }
    }
    if (last < 0)
        return false;
    int digits = number->groups[last].first + number->groups[last].count;
    bool told = digits >= 10 || number_about(number, scanner)->any & (ABOUT_PHONE | ABOUT_CALL);
    if (!told || thousands(number, last))
        return false;
    *out = (struct phone){start, number->groups[last].end, number->digits[0] == '7' ? 97 : 90,
                          "plus, country's code and length"};
    return true;
}

/* 8 or 7 and ten digits, the way Russians write them. */
static bool russian(struct phone *out, struct scanner *scanner, struct number *number)
{
    static const char *const shapes[] = {"13322", "1334",  "137",  "14222", "15122",
                                         "13232", "13223", "1343", "1433",  NULL};
    int last = groups_of(number, 11);
    char trunk = number->digits[0];
    if (last < 0 || (trunk != '8' && trunk != '7') || number->plus || number->glued ||
        !strchr("34589", number->digits[1]))
        return false;
    const struct about *about = number_about(number, scanner);
    bool told = about->near & ABOUT_PHONE || (!about->near && about->any & ABOUT_CALL);
    *out = (struct phone){number->start, number->groups[last].end, 97, "Russian form and context"};
    if (last == 0) {
        if (told || (about->any & ABOUT_PHONE && !(about->near & ABOUT_OTHER)))
            return true;
        out->confidence = trunk == '8' && number->digits[1] == '9' ? 80 : 55;
        out->reason = "eleven digits of a Russian number";
        return !about->near && (trunk == '8' || number->digits[1] == '9');
    }
    int gaps = gaps_of(number, last);
    bool brackets = gaps & GAP_OPEN && gaps & GAP_CLOSE;
    if (number->groups[0].count != 1 || (!brackets && !any_shape(number, shapes, last)))
        return false;
    if (told)
        return true;
    out->confidence = brackets ? 95 : gaps & GAP_HYPHEN ? 92 : 80;
    out->reason = "Russian form";
    return trunk == '8' || brackets || number->digits[1] == '9';
}

/* (495) 123-45-67, 916 123-45-67, 212-555-0199, 001-212-555-0199. */
static bool without_trunk(struct phone *out, struct scanner *scanner, struct number *number)
{
    static const char *const bracketed[] = {"3322", "334", "4222", "433", "5122", "37", NULL};
    if (number->glued || number->plus)
        return false;
    bool prefix = number_shape(number, "3334") && memcmp(number->digits, "001", 3) == 0;
    int last = groups_of(number, prefix ? 13 : 10);
    if (last < 1)
        return false;
    int gaps = gaps_of(number, last);
    const struct about *about = number_about(number, scanner);
    bool told = about->near & ABOUT_PHONE || about->any & ABOUT_CALL;
    *out = (struct phone){phone_start(scanner, number), number->groups[last].end, 80,
                          "form of a number with its area"};
    if (number->open && gaps & GAP_CLOSE && any_shape(number, bracketed, last))
        out->confidence = told ? 95 : 85;
    else if (prefix && !(gaps & (gaps - 1)))
        out->confidence = 85;
    else if (number_shape(number, "334") && last == 2 && gaps & (GAP_HYPHEN | GAP_DOT) &&
             number->groups[1].gap == number->groups[2].gap &&
             (told || (number->digits[0] > '1' && number->digits[3] > '1')))
        out->confidence = told ? 92 : 75;
    else if (number_shape(number, "3322") && last == 3 && number->groups[3].gap == GAP_HYPHEN &&
             strchr("3489", number->digits[0]))
        out->confidence = told ? 92 : 70;
    else
        return false;
    return true;
}

/* Anything of the length of a number right after words that speak of calling. */
static bool by_context(struct phone *out, struct scanner *scanner, struct number *number)
{
    enum { GAP_MAX = 40, RIGHT_AFTER = 5, DIGITS_LEAST = 5, DIGITS_MOST = 13 };
    int last = -1;
    for (int i = 0; i < number->group_count; i++) {
        int digits = number->groups[i].first + number->groups[i].count;
        if ((i && number->groups[i].gap & ~PHONE_GAPS) || digits > DIGITS_MOST)
            break;
        last = digits >= DIGITS_LEAST ? i : last;
    }
    if (last < 0 || number->glued || dated(number) || counted(number, last))
        return false;
    const struct about *about = number_about(number, scanner);
    size_t end = number->groups[last].end;
    bool told = about->near & ABOUT_PHONE && about->gap <= GAP_MAX;
    if (!told && (about->near || !(about_after(scanner, end) & ABOUT_PHONE)))
        return false;
    int digits = number->groups[last].first + number->groups[last].count;
    bool right_after = told && about->gap <= RIGHT_AFTER;
    if (thousands(number, last) && told && (!right_after || digits < 8))
        return false;
    if (digits < 6 && !(gaps_of(number, last) & GAP_HYPHEN))
        return false;
    *out = (struct phone){phone_start(scanner, number), end, 75, "context"};
    return true;
}

size_t find_phone(struct scanner *scanner, struct number *number)
{
    static bool (*const finders[])(struct phone *, struct scanner *, struct number *) = {
        international, russian, without_trunk, by_context};
    struct phone phone;
    for (size_t i = 0; i < sizeof finders / sizeof *finders; i++) {
        if (!finders[i](&phone, scanner, number))
            continue;
        size_t end = with_extension(scanner, phone.end);
        if (end == phone.end && !number_ends(scanner, end))
            continue;
        scanner_add(scanner, PERSONAL_PHONE, phone.start, end, phone.confidence, phone.reason);
        return end;
    }
    return 0;
}
