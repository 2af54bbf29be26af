/* Numbers with control digits or a telling form: Russian identifiers, cards, accounts, SSN. */
#include "text/personal_internal.h"

#include <string.h>

/* ---- checks ---- */

/* Sum of digits times weights. */
static int weighted(const char *digits, const uint8_t *weights, int count)
{
    int sum = 0;
    for (int i = 0; i < count; i++)
        sum += (digits[i] - '0') * weights[i];
    return sum;
}

static bool all_equal(const char *digits, int count)
{
    for (int i = 1; i < count; i++) {
        if (digits[i] != digits[0])
            return false;
    }
    return true;
}

/* ISO/IEC 7812-1, annex B. */
bool check_luhn(const char *digits, int count)
{
    int sum = 0;
    for (int i = 0; i < count; i++) {
        int digit = digits[count - 1 - i] - '0';
        if (i % 2)
            digit = digit > 4 ? 2 * digit - 9 : 2 * digit;
        sum += digit;
    }
    return sum % 10 == 0;
}

bool check_inn10(const char *digits)
{
    static const uint8_t weights[] = {2, 4, 10, 3, 5, 9, 4, 6, 8};
    return weighted(digits, weights, 9) % 11 % 10 == digits[9] - '0' && !all_equal(digits, 10);
}

bool check_inn12(const char *digits)
{
    static const uint8_t weights[] = {3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8};
    return weighted(digits, weights + 1, 10) % 11 % 10 == digits[10] - '0' &&
           weighted(digits, weights, 11) % 11 % 10 == digits[11] - '0' && !all_equal(digits, 12);
}

bool check_snils(const char *digits)
{
    static const uint8_t weights[] = {9, 8, 7, 6, 5, 4, 3, 2, 1};
    int sum = weighted(digits, weights, 9) % 101 % 100;
    return sum == (digits[9] - '0') * 10 + digits[10] - '0' && !all_equal(digits, 9);
}

static int remainder_of(const char *digits, int count, int divisor)
{
    int remainder = 0;
    for (int i = 0; i < count; i++)
        remainder = (remainder * 10 + digits[i] - '0') % divisor;
    return remainder;
}

/* The kind of record comes first, then the year since 2002, then the region. */
static bool register_form(const char *digits, const char *kinds)
{
    int year = (digits[1] - '0') * 10 + digits[2] - '0';
    return strchr(kinds, digits[0]) && year >= 2 && year < 30 &&
           (digits[3] != '0' || digits[4] != '0');
}

bool check_ogrn(const char *digits)
{
    return remainder_of(digits, 12, 11) % 10 == digits[12] - '0' && register_form(digits, "125");
}

bool check_ogrnip(const char *digits)
{
    return remainder_of(digits, 14, 13) % 10 == digits[14] - '0' && register_form(digits, "234");
}

/* Bank of Russia, order of control keys: three digits of the BIK before the account; settlement
 * centres (BIK ends in 000 to 002) give a 0 and two other digits of the BIK. */
bool check_account(const char *digits, const char *bik)
{
    static const uint8_t weights[] = {7, 1, 3, 7, 1, 3, 7, 1, 3, 7, 1, 3,
                                      7, 1, 3, 7, 1, 3, 7, 1, 3, 7, 1};
    char joined[23];
    bool centre = bik[6] == '0' && bik[7] == '0' && bik[8] <= '2';
    joined[0] = centre ? '0' : bik[6];
    joined[1] = centre ? bik[4] : bik[7];
    joined[2] = centre ? bik[5] : bik[8];
    memcpy(joined + 3, digits, 20);
    return weighted(joined, weights, 23) % 10 == 0;
}

/* ---- groups of digits ---- */

/* Bytes of one sign that people put between digits, and its bit; 0: none. */
static size_t gap_sign(uint8_t *bit, const struct scanner *scanner, size_t at)
{
    static const uint8_t bits[128] = {
        [' '] = GAP_SPACE, ['\t'] = GAP_SPACE, ['-'] = GAP_HYPHEN, ['.'] = GAP_DOT,
        ['('] = GAP_OPEN,  [')'] = GAP_CLOSE,  ['/'] = GAP_SLASH};
    unsigned char byte = byte_at(scanner, at);
    if (byte < 128) {
        *bit = bits[byte];
        return *bit ? 1 : 0;
    }
    *bit = GAP_SPACE;
    size_t blank = blank_at(scanner, at);
    if (blank)
        return blank;
    *bit = GAP_NUMERO;
    if (text_at(scanner, at, "№"))
        return strlen("№");
    *bit = GAP_HYPHEN; /* hyphen, no-break hyphen, figure dash, en dash */
    return byte == 0xE2 && byte_at(scanner, at + 1) == 0x80 && byte_at(scanner, at + 2) >= 0x90 &&
                   byte_at(scanner, at + 2) <= 0x93
               ? 3
               : 0;
}

/* Whether the digits at `start` are a part of something longer to their left. */
static bool glued_left(const struct scanner *scanner, size_t start)
{
    unsigned char before = byte_at(scanner, start - 1), second = byte_at(scanner, start - 2);
    if (start == 0)
        return false;
    if (letter_before(scanner, start) || before == '_')
        return true;
    if (before == '.' || before == ',' || before == ':')
        return start >= 2 && is_digit(second);
    if (before == '-' || before == '/' || before == '=' || before == '&' || before == '%')
        return start >= 2 && (is_alphanumeric(second) || before != '-');
    return before == '$';
}

void number_read(struct number *out, const struct scanner *scanner, size_t at)
{
    *out = (struct number){.start = at};
    unsigned char before = byte_at(scanner, at - 1);
    out->plus = at > 0 && before == '+';
    out->open = at > 0 && before == '(';
    out->glued = glued_left(scanner, at);
    uint8_t gap = 0;
    while (out->group_count < GROUPS_MAX) {
        struct group *group = &out->groups[out->group_count];
        *group = (struct group){.start = at, .first = (uint8_t)out->digit_count, .gap = gap};
        while (is_digit(byte_at(scanner, at))) {
            if (out->digit_count < DIGITS_MAX)
                out->digits[out->digit_count++] = (char)byte_at(scanner, at);
            group->count = (uint8_t)(group->count + (group->count < 255));
            at++;
        }
        group->end = at;
        out->group_count++;
        gap = 0;
        uint8_t bit;
        for (int signs = 0; signs < 4; signs++) {
            size_t bytes = gap_sign(&bit, scanner, at);
            if (!bytes)
                break;
            gap |= bit;
            at += bytes;
        }
        if (!gap || out->digit_count == DIGITS_MAX || !is_digit(byte_at(scanner, at)))
            break;
    }
}

const struct about *number_about(struct number *number, const struct scanner *scanner)
{
    if (!number->about_set) {
        number->about = about_before(scanner, number->start);
        number->about_set = true;
    }
    return &number->about;
}

bool number_shape(const struct number *number, const char *lengths)
{
    int i = 0;
    for (; lengths[i]; i++) {
        if (i >= number->group_count || number->groups[i].count != lengths[i] - '0')
            return false;
    }
    return true;
}

bool number_ends(const struct scanner *scanner, size_t end)
{
    unsigned char after = byte_at(scanner, end);
    if (is_digit(after) || after == '_' || after == '%' || letter_at(scanner, end))
        return false;
    bool mark = after == '.' || after == ',' || after == '-' || after == ':' || after == '/';
    /* INN/KPP is the one thing written with a slash */
    return !mark || after == '/' || !is_digit(byte_at(scanner, end + 1));
}

/* The first group alone, of `count` digits. */
static bool solid(const struct number *number, const struct scanner *scanner, int count)
{
    return number->groups[0].count == count && number_ends(scanner, number->groups[0].end);
}

/* Whether the gaps of groups 1 to `last` are all of the bits `allowed`. */
static bool gaps_within(const struct number *number, int last, int allowed)
{
    for (int i = 1; i <= last; i++) {
        if (number->groups[i].gap & ~allowed)
            return false;
    }
    return true;
}

/* Whether words speak of something else than `bits`, nearer than of it, and the number may be what
 * they speak of. */
static bool about_else(const struct about *about, uint32_t bits)
{
    return about->near && !(about->near & bits) && !about->spent;
}

static bool begins_as_phone(const char *digits)
{
    return (digits[0] == '8' && strchr("3489", digits[1])) || memcmp(digits, "79", 2) == 0;
}

/* ---- Russian identifiers ---- */

static size_t find_snils(struct scanner *scanner, struct number *number)
{
    bool grouped = number_shape(number, "3332") &&
                   gaps_within(number, 3, GAP_SPACE | GAP_HYPHEN | GAP_DOT) &&
                   number_ends(scanner, number->groups[3].end);
    bool halves = number_shape(number, "92") && gaps_within(number, 1, GAP_SPACE | GAP_HYPHEN) &&
                  number_ends(scanner, number->groups[1].end);
    if ((!grouped && !halves && !solid(number, scanner, 11)) || !check_snils(number->digits))
        return 0;
    size_t end = number->groups[grouped ? 3 : halves ? 1 : 0].end;
    const struct about *about = number_about(number, scanner);
    bool told = about->any & ABOUT_SNILS;
    if (!grouped && about_else(about, ABOUT_SNILS))
        return 0;
    if (told)
        scanner_add(scanner, PERSONAL_SNILS, number->start, end, 99, "control number and context");
    else if (grouped && !number->glued && gaps_within(number, 3, GAP_SPACE | GAP_HYPHEN))
        scanner_add(scanner, PERSONAL_SNILS, number->start, end, 95, "control number and form");
    else if (!number->glued && !begins_as_phone(number->digits))
        scanner_add(scanner, PERSONAL_SNILS, number->start, end, 60, "control number");
    else
        return 0;
    return end;
}

/* Digits of a number in one group, or in groups with blanks beside its word: 10, 12 or 0. */
static int taxpayer_digits(size_t *end, struct scanner *scanner, struct number *number)
{
    *end = number->groups[0].end;
    if (number->groups[0].count == 10 || number->groups[0].count == 12)
        return number_ends(scanner, *end) ? number->groups[0].count : 0;
    for (int i = 1; i < number->group_count && number->groups[i].gap == GAP_SPACE; i++) {
        int digits = number->groups[i].first + number->groups[i].count;
        bool whole = i + 1 == number->group_count || number->groups[i + 1].gap != GAP_SPACE;
        *end = number->groups[i].end;
        if (whole && (digits == 10 || digits == 12) && number_ends(scanner, *end))
            return number_about(number, scanner)->near & ABOUT_INN ? digits : 0;
    }
    return 0;
}

static size_t find_taxpayer(struct scanner *scanner, struct number *number)
{
    size_t end;
    int digits = taxpayer_digits(&end, scanner, number);
    bool person = digits == 12;
    bool right = person ? check_inn12(number->digits) : digits == 10 && check_inn10(number->digits);
    if (!right || (number->digits[0] == '0' && number->digits[1] == '0'))
        return 0;
    const struct about *about = number_about(number, scanner);
    enum personal_type type = person ? PERSONAL_INN : PERSONAL_INN_ORG;
    bool told = about->any & ABOUT_INN && !about_else(about, ABOUT_INN | ABOUT_OGRN);
    if (told)
        scanner_add(scanner, type, number->start, end, 99, "control digits and context");
    else if (person && !number->glued && !number->plus && !about->near)
        scanner_add(scanner, type, number->start, end, 60, "two control digits");
    else
        return 0;
    return end;
}

static size_t find_register_number(struct scanner *scanner, struct number *number)
{
    bool person = solid(number, scanner, 15);
    bool right = person ? check_ogrnip(number->digits)
                        : solid(number, scanner, 13) && check_ogrn(number->digits);
    if (!right || number->plus)
        return 0;
    size_t end = number->groups[0].end;
    const struct about *about = number_about(number, scanner);
    enum personal_type type = person ? PERSONAL_OGRNIP : PERSONAL_OGRN;
    if (about->any & ABOUT_OGRN)
        scanner_add(scanner, type, number->start, end, 99, "control digit and context");
    else if (!number->glued && !about->near)
        scanner_add(scanner, type, number->start, end, 55, "control digit, kind, year and region");
    else
        return 0;
    return end;
}

/* Bytes between the last name and the number: a name and a ten-digit number are how registers
 * write a passport. */
static bool beside_person(const struct scanner *scanner, size_t at)
{
    return scanner->person_end && at > scanner->person_end && at - scanner->person_end <= 2;
}

/* How a passport's ten digits are written; returns the last group, or -1. */
static int passport_form(const struct number *number, bool *sign)
{
    static const char *const shapes[] = {"226", "46", "223", "43", "9"};
    *sign = false;
    if (number->groups[0].count == 10)
        return 0;
    for (int i = 0; i < 2; i++) {
        int last = (int)strlen(shapes[i]) - 1;
        if (number_shape(number, shapes[i]) &&
            gaps_within(number, last, GAP_SPACE | GAP_HYPHEN | GAP_NUMERO)) {
            *sign = number->groups[last].gap & GAP_NUMERO;
            return last;
        }
    }
    return -1;
}

/* "4510 номер 123456", "45 10 N 123456": the end of the six digits after a series, or 0. */
static size_t series_then_number(const struct scanner *scanner, const struct number *number)
{
    int last = number_shape(number, "22") ? 1 : number_shape(number, "4") ? 0 : -1;
    if (last < 0 || number->group_count != last + 1)
        return 0;
    size_t at = number->groups[last].end;
    static const char *const words[] = {"номер", "ном.", "N", "No", "н."};
    while (blank_at(scanner, at) || byte_at(scanner, at) == ',')
        at += byte_at(scanner, at) == ',' ? 1 : blank_at(scanner, at);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!text_at(scanner, at, words[i]))
            continue;
        size_t digits = at + strlen(words[i]), end;
        digits += blank_at(scanner, digits);
        for (end = digits; end < digits + 7 && is_digit(byte_at(scanner, end)); end++)
            ;
        return end == digits + 6 ? end : 0;
    }
    return 0;
}

static size_t find_passport(struct scanner *scanner, struct number *number)
{
    bool sign = false;
    int last = passport_form(number, &sign);
    size_t end = last >= 0 ? number->groups[last].end : series_then_number(scanner, number);
    bool foreign = !end && (number_shape(number, "27") || solid(number, scanner, 9));
    if (foreign)
        end = number->groups[number->groups[0].count == 9 ? 0 : 1].end;
    if (!end || !number_ends(scanner, end) || number->plus)
        return 0;
    if (number->digits[0] == '0' && number->digits[1] == '0')
        return 0;
    const struct about *about = number_about(number, scanner);
    bool told = about->any & ABOUT_PASSPORT && !about_else(about, ABOUT_PASSPORT);
    int confidence = 0;
    const char *reason = NULL;
    if (told && about->gap < 80) {
        confidence = foreign ? 80 : 95;
        reason = "form and context";
    } else if (about_else(about, ABOUT_PASSPORT) || number->glued || foreign)
        return 0;
    else if (sign) {
        confidence = 85;
        reason = "series and number with the number sign";
    } else if (last >= 0 && beside_person(scanner, number->start)) {
        confidence = 65;
        reason = "ten digits beside a name";
    }
    if (!confidence)
        return 0;
    scanner_add(scanner, PERSONAL_PASSPORT, number->start, end, confidence, reason);
    return end;
}

static size_t find_medical_policy(struct scanner *scanner, struct number *number)
{
    int last =
        number_shape(number, "4444") && gaps_within(number, 3, GAP_SPACE | GAP_HYPHEN) ? 3 : 0;
    if ((last == 0 && number->groups[0].count != 16) ||
        !number_ends(scanner, number->groups[last].end))
        return 0;
    const struct about *about = number_about(number, scanner);
    /* "полис обязательного медицинского страхования" has three telling words */
    if (!(about->any & ABOUT_OMS) || about_else(about, ABOUT_OMS | ABOUT_MEDICAL | ABOUT_SNILS))
        return 0;
    bool right = check_luhn(number->digits, 16);
    scanner_add(scanner, PERSONAL_OMS, number->start, number->groups[last].end, right ? 97 : 85,
                right ? "control digit and context" : "sixteen digits and context");
    return number->groups[last].end;
}

/* "карта № 40780/26", "history 1234-20". */
static size_t find_medical_record(struct scanner *scanner, struct number *number)
{
    const struct group *groups = number->groups;
    bool form = number->group_count >= 2 && groups[0].count >= 3 && groups[0].count <= 7 &&
                groups[1].count == 2 && !(groups[1].gap & ~(GAP_SLASH | GAP_HYPHEN)) &&
                number_ends(scanner, groups[1].end);
    if (!form)
        return 0;
    const struct about *about = number_about(number, scanner);
    if (!(about->near & ABOUT_MEDICAL) || about->gap > 24)
        return 0;
    scanner_add(scanner, PERSONAL_MEDICAL_RECORD, number->start, groups[1].end, 80,
                "form and context");
    return groups[1].end;
}

static size_t find_driver_licence(struct scanner *scanner, struct number *number)
{
    bool sign;
    int last = passport_form(number, &sign);
    if (last < 0 || !number_ends(scanner, number->groups[last].end) || number->glued)
        return 0;
    const struct about *about = number_about(number, scanner);
    if (!(about->near & ABOUT_DRIVER))
        return 0;
    scanner_add(scanner, PERSONAL_DRIVER_LICENCE, number->start, number->groups[last].end, 90,
                "form and context");
    return number->groups[last].end;
}

/* Areas 000 and 666, groups 00 and serials 0000 were never given; areas from 900 are ITINs. */
static bool ssn_given(const char *digits, bool *itin)
{
    int area = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + digits[2] - '0';
    *itin = area >= 900;
    return area != 0 && area != 666 && memcmp(digits + 3, "00", 2) != 0 &&
           memcmp(digits + 5, "0000", 4) != 0;
}

static size_t find_ssn(struct scanner *scanner, struct number *number)
{
    bool grouped = number_shape(number, "324") && number->groups[1].gap == number->groups[2].gap &&
                   gaps_within(number, 2, GAP_HYPHEN | GAP_SPACE);
    size_t end = number->groups[grouped ? 2 : 0].end;
    if ((!grouped && number->groups[0].count != 9) || !number_ends(scanner, end) || number->glued)
        return 0;
    bool itin, given = ssn_given(number->digits, &itin);
    const struct about *about = number_about(number, scanner);
    bool told = about->any & ABOUT_SSN && !about_else(about, ABOUT_SSN);
    if (told)
        scanner_add(scanner, PERSONAL_SSN, number->start, end, grouped && given ? 95 : 80,
                    itin ? "form of an ITIN and context" : "form and context");
    else if (grouped && given && !itin && number->groups[1].gap == GAP_HYPHEN && !about->near)
        scanner_add(scanner, PERSONAL_SSN, number->start, end, 70, "form, a number that is given");
    else
        return 0;
    return end;
}

size_t find_identifier(struct scanner *scanner, struct number *number)
{
    static size_t (*const finders[])(struct scanner *, struct number *) = {
        find_snils,    find_taxpayer,       find_register_number, find_driver_licence,
        find_passport, find_medical_policy, find_medical_record,  find_ssn};
    for (size_t i = 0; i < sizeof finders / sizeof *finders; i++) {
        size_t end = finders[i](scanner, number);
        if (end)
            return end;
    }
    return 0;
}

/* ---- banks ---- */

struct issuer {
    uint32_t first, last; /* the first six digits */
    uint32_t lengths;     /* bits 1 << length */
};
#define LENGTHS_16_TO_19 (1u << 16 | 1u << 17 | 1u << 18 | 1u << 19)
/* ISO/IEC 7812 issuer ranges, in order. */
static const struct issuer issuers[] = {
    {180000, 180099, 1u << 15},                                  /* JCB */
    {213100, 213199, 1u << 15},                                  /* JCB */
    {220000, 220499, LENGTHS_16_TO_19},                          /* Mir */
    {220500, 220599, LENGTHS_16_TO_19},                          /* BORICA */
    {222100, 272099, 1u << 16},                                  /* Mastercard */
    {300000, 305999, LENGTHS_16_TO_19 | 1u << 14},               /* Diners */
    {309500, 309599, LENGTHS_16_TO_19 | 1u << 14},               /* Diners */
    {340000, 349999, 1u << 15},                                  /* American Express */
    {352800, 358999, LENGTHS_16_TO_19},                          /* JCB */
    {360000, 369999, LENGTHS_16_TO_19 | 1u << 14},               /* Diners */
    {370000, 379999, 1u << 15},                                  /* American Express */
    {380000, 399999, LENGTHS_16_TO_19 | 1u << 14},               /* Diners */
    {400000, 499999, 1u << 13 | 1u << 16 | 1u << 18 | 1u << 19}, /* Visa */
    {500000, 509999, LENGTHS_16_TO_19 | 15u << 12},              /* Maestro */
    {510000, 559999, 1u << 16},                                  /* Mastercard */
    {560000, 699999, LENGTHS_16_TO_19 | 15u << 12}, /* Maestro, Discover, UnionPay, RuPay */
    {810000, 829999, LENGTHS_16_TO_19},             /* UnionPay, RuPay */
    {860000, 860099, 1u << 16},                     /* Uzcard */
    {911200, 911299, 1u << 16},                     /* Belkart */
    {979200, 979299, 1u << 16},                     /* Troy */
    {986000, 986099, 1u << 16},                     /* Humo */
};

bool check_card(const char *digits, int count)
{
    if (count < 12 || count > 19 || !check_luhn(digits, count) || all_equal(digits, count))
        return false;
    uint32_t prefix = 0;
    for (int i = 0; i < 6; i++)
        prefix = prefix * 10 + (uint32_t)(digits[i] - '0');
    for (size_t i = 0; i < sizeof issuers / sizeof *issuers; i++) {
        if (prefix >= issuers[i].first && prefix <= issuers[i].last)
            return issuers[i].lengths >> count & 1;
    }
    return false;
}

/* Digits of a card in the groups printed on cards, or in one; *last is its last group. */
static int card_digits(const struct number *number, int *last)
{
    static const char *const shapes[] = {"44443", "4444", "465", "464", "88"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (!number_shape(number, shapes[i]))
            continue;
        *last = (int)strlen(shapes[i]) - 1;
        if (gaps_within(number, *last, GAP_SPACE | GAP_HYPHEN))
            return number->groups[*last].first + number->groups[*last].count;
    }
    *last = 0;
    return number->groups[0].count;
}

static size_t find_card(struct scanner *scanner, struct number *number)
{
    int last, count = card_digits(number, &last);
    size_t end = number->groups[last].end;
    if (count < 12 || count > 19 || number->plus || !number_ends(scanner, end) ||
        !check_luhn(number->digits, count) || all_equal(number->digits, count))
        return 0;
    const struct about *about = number_about(number, scanner);
    bool issued = check_card(number->digits, count);
    if (about->any & ABOUT_CARD && !about_else(about, ABOUT_CARD | ABOUT_ACCOUNT | ABOUT_PHONE))
        scanner_add(scanner, PERSONAL_CARD, number->start, end, issued ? 99 : 85,
                    issued ? "control digit, issuer and context" : "control digit and context");
    else if (!issued || number->glued || about_else(about, ABOUT_CARD | ABOUT_ACCOUNT))
        return 0;
    else if (last > 0)
        scanner_add(scanner, PERSONAL_CARD, number->start, end, 95, "control digit, issuer, form");
    else if (count >= 15)
        scanner_add(scanner, PERSONAL_CARD, number->start, end, 80, "control digit and issuer");
    else
        return 0;
    return end;
}

/* Nine digits that can be a BIK stand at `at`, and end there. */
static bool bik_at(const struct scanner *scanner, size_t at)
{
    size_t end = at;
    while (end - at < 10 && is_digit(byte_at(scanner, end)))
        end++;
    return end - at == 9 && scanner->text[at] == '0' && scanner->text[at + 1] >= '0' &&
           scanner->text[at + 1] <= '4' && !is_digit(byte_at(scanner, at - 1));
}

/* Whether the account's key fits a BIK within 160 bytes to either side. */
static bool key_fits_near(const struct scanner *scanner, const struct number *number)
{
    enum { NEAR_BYTES = 160 };
    size_t at = number->start > NEAR_BYTES ? number->start - NEAR_BYTES : 0;
    size_t limit = number->groups[0].end + NEAR_BYTES;
    for (; at < limit && at < scanner->len; at++) {
        if (scanner->text[at] == '0' && bik_at(scanner, at) &&
            check_account(number->digits, (const char *)scanner->text + at))
            return true;
    }
    return false;
}

/* Accounts of the first and second order that the chart of accounts has for customers and banks,
 * with the currency at the sixth digit. */
static bool account_form(const char *digits)
{
    static const char *const orders[] = {
        "301", "302", "303", "401", "402", "403", "404", "405", "406", "407", "408", "410",
        "411", "412", "413", "414", "415", "416", "417", "418", "419", "420", "421", "422",
        "423", "424", "425", "426", "452", "453", "454", "455", "457", "474", "032"};
    static const char *const currencies[] = {"810", "643", "840", "978", "156", "398", "933", "826",
                                             "756", "392", "344", "949", "051", "860", "784"};
    bool order = false, currency = false;
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        order |= memcmp(digits, orders[i], 3) == 0;
    for (size_t i = 0; i < sizeof currencies / sizeof *currencies; i++)
        currency |= memcmp(digits + 5, currencies[i], 3) == 0;
    return order && currency;
}

static size_t find_account(struct scanner *scanner, struct number *number)
{
    if (!solid(number, scanner, 20) || !account_form(number->digits))
        return 0;
    size_t end = number->groups[0].end;
    bool key = key_fits_near(scanner, number);
    bool told = number_about(number, scanner)->any & (ABOUT_ACCOUNT | ABOUT_BIK);
    scanner_add(scanner, PERSONAL_ACCOUNT, number->start, end,
                key    ? 99
                : told ? 90
                       : 75,
                key    ? "key fits the bank's BIK"
                : told ? "account, currency and context"
                       : "account and currency");
    return end;
}

static size_t find_bik(struct scanner *scanner, struct number *number)
{
    if (!solid(number, scanner, 9) || !bik_at(scanner, number->start))
        return 0;
    const struct about *about = number_about(number, scanner);
    if (!(about->near & ABOUT_BIK) || about->gap > 24)
        return 0;
    scanner_add(scanner, PERSONAL_BIK, number->start, number->groups[0].end, 95,
                "form and context");
    return number->groups[0].end;
}

size_t find_bank(struct scanner *scanner, struct number *number)
{
    size_t end = find_card(scanner, number);
    if (!end)
        end = find_account(scanner, number);
    return end ? end : find_bik(scanner, number);
}
