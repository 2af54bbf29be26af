/* Signs of letters and digits: IBAN, car plates, codes of diseases, licences and passports by
 * context. */
#include "text/personal_internal.h"

#include <string.h>

/* ---- IBAN ---- */

enum { IBAN_CHARACTERS_MAX = 34 };
/* ISO 13616 registry: country and length. */
static const char iban_lengths[] =
    "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24"
    "FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21"
    "LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22"
    "RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";

static int iban_length(const unsigned char *country)
{
    for (size_t i = 0; i + 4 < sizeof iban_lengths; i += 4) {
        if (memcmp(iban_lengths + i, country, 2) == 0)
            return (iban_lengths[i + 2] - '0') * 10 + iban_lengths[i + 3] - '0';
    }
    return 0;
}

/* The remainder by 97 with the first four characters moved to the end, letters as 10 to 35. */
static bool iban_right(const char *characters, int count)
{
    int remainder = 0;
    for (int i = 0; i < count; i++) {
        char sign = characters[(i + 4) % count];
        bool digit = sign >= '0' && sign <= '9';
        remainder = digit ? remainder * 10 + sign - '0' : remainder * 100 + sign - 'A' + 10;
        remainder %= 97;
    }
    return remainder == 1;
}

static size_t find_iban(struct scanner *scanner, const struct number *number)
{
    size_t start = number->start - 2, at = start;
    if (number->start < 2 || number->groups[0].count < 2 ||
        !is_latin_upper(byte_at(scanner, start)) || !is_latin_upper(byte_at(scanner, start + 1)) ||
        letter_before(scanner, start) || is_digit(byte_at(scanner, start - 1)))
        return 0;
    char characters[IBAN_CHARACTERS_MAX];
    int count = 0, wanted = iban_length(scanner->text + start);
    while (count < wanted) {
        unsigned char byte = byte_at(scanner, at);
        if (byte == ' ' && count > 0 && byte_at(scanner, at - 1) != ' ') {
            at++;
            continue;
        }
        if (!is_digit(byte) && !is_latin_upper(byte))
            return 0;
        characters[count++] = (char)byte;
        at++;
    }
    if (!count || is_alphanumeric(byte_at(scanner, at)) || !iban_right(characters, count))
        return 0;
    scanner_add(scanner, PERSONAL_IBAN, start, at, 99, "country's length and remainder by 97");
    return at;
}

/* ---- car plates ---- */

/* Bytes of one of the twelve letters that both alphabets have, in Cyrillic; 0: none. */
static size_t plate_letter(const struct scanner *scanner, size_t at)
{
    static const char *const letters[] = {"А", "В", "Е", "К", "М", "Н",
                                          "О", "Р", "С", "Т", "У", "Х"};
    if (byte_at(scanner, at) != 0xD0)
        return 0;
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
        if (text_at(scanner, at, letters[i]))
            return 2;
    }
    return 0;
}

static size_t digits_end(const struct scanner *scanner, size_t at)
{
    size_t start = at;
    while (at - start < DIGITS_MAX && is_digit(byte_at(scanner, at)))
        at++;
    return at;
}

/* А 123 ВС 77: letter, three digits, two letters, region. */
static size_t find_plate(struct scanner *scanner, const struct number *number)
{
    if (number->groups[0].count != 3 || memcmp(number->digits, "000", 3) == 0)
        return 0;
    size_t start = number->start - blank_before(scanner, number->start) - 2;
    if (number->start < 2 || start > number->start || !plate_letter(scanner, start) ||
        letter_before(scanner, start) || is_digit(byte_at(scanner, start - 1)))
        return 0;
    size_t at = number->groups[0].end;
    at += blank_at(scanner, at);
    if (!plate_letter(scanner, at) || !plate_letter(scanner, at + 2))
        return 0;
    at += 4;
    size_t region = at + blank_at(scanner, at), end = digits_end(scanner, region);
    bool with_region =
        end - region == 2 || (end - region == 3 && strchr("1279", byte_at(scanner, region)));
    if (!with_region && (end > region || letter_at(scanner, at) ||
                         !(about_before(scanner, start).near & ABOUT_PLATE)))
        return 0;
    end = with_region ? end : at;
    if (letter_at(scanner, end))
        return 0;
    scanner_add(scanner, PERSONAL_PLATE, start, end, with_region ? 90 : 75,
                with_region ? "letters, digits and region" : "letters, digits and context");
    return end;
}

/* ---- by context ---- */

/* I10, E11.9 beside "diagnosis" or ICD. */
static size_t find_diagnosis(struct scanner *scanner, const struct number *number)
{
    size_t start = number->start - 1, end = number->groups[0].end;
    if (number->start < 1 || number->groups[0].count != 2 ||
        !is_latin_upper(byte_at(scanner, start)) || letter_before(scanner, start) ||
        is_digit(byte_at(scanner, start - 1)))
        return 0;
    if (byte_at(scanner, end) == '.' && is_digit(byte_at(scanner, end + 1)))
        end = digits_end(scanner, end + 1);
    if (letter_at(scanner, end) || !(about_before(scanner, start).near & ABOUT_DIAGNOSIS))
        return 0;
    scanner_add(scanner, PERSONAL_DIAGNOSIS, start, end, 85, "form of a code and context");
    return end;
}

static bool token_sign(const struct scanner *scanner, size_t at)
{
    unsigned char byte = byte_at(scanner, at);
    return is_alphanumeric(byte) || (byte == '-' && is_alphanumeric(byte_at(scanner, at + 1)));
}

/* A sign of Latin letters and digits right after "licence" or "passport". */
static size_t find_document(struct scanner *scanner, const struct number *number)
{
    enum { TOKEN_BYTES_MIN = 6, TOKEN_BYTES_MAX = 20, GAP_MAX = 24 };
    size_t start = number->start, end = number->start, digits = 0;
    while (start > 0 && number->start - start < 4 && is_latin(byte_at(scanner, start - 1)))
        start--;
    if (letter_before(scanner, start) || is_digit(byte_at(scanner, start - 1)))
        return 0;
    for (; end - start <= TOKEN_BYTES_MAX && token_sign(scanner, end); end++)
        digits += is_digit(byte_at(scanner, end));
    if (end - start < TOKEN_BYTES_MIN || end - start > TOKEN_BYTES_MAX || digits < 5 ||
        letter_at(scanner, end))
        return 0;
    struct about about = about_before(scanner, start);
    bool letters = start < number->start || end > number->groups[0].end;
    if (about.gap > GAP_MAX)
        return 0;
    bool passport =
        about.near & ABOUT_PASSPORT || (about.near == ABOUT_OTHER && about.any & ABOUT_PASSPORT);
    if (about.near & ABOUT_DRIVER)
        scanner_add(scanner, PERSONAL_DRIVER_LICENCE, start, end, 80, "form and context");
    else if (passport && letters && start < number->start)
        scanner_add(scanner, PERSONAL_PASSPORT, start, end, 80, "form and context");
    else
        return 0;
    return end;
}

/* 77УЕ123456 beside "driving licence", 99 АА 123456. */
static size_t find_lettered_licence(struct scanner *scanner, const struct number *number)
{
    size_t at = number->groups[0].end;
    at += blank_at(scanner, at);
    if (number->groups[0].count != 2 || !plate_letter(scanner, at) ||
        !plate_letter(scanner, at + 2))
        return 0;
    at += 4;
    at += blank_at(scanner, at);
    size_t end = digits_end(scanner, at);
    if (end - at != 6 || letter_at(scanner, end) ||
        !(about_before(scanner, number->start).any & ABOUT_DRIVER))
        return 0;
    scanner_add(scanner, PERSONAL_DRIVER_LICENCE, number->start, end, 90, "form and context");
    return end;
}

size_t find_letters_and_digits(struct scanner *scanner, struct number *number)
{
    size_t end = 0;
    if (letter_before(scanner, number->start)) {
        end = find_iban(scanner, number);
        if (!end)
            end = find_diagnosis(scanner, number);
    }
    if (!end && number->groups[0].count == 3)
        end = find_plate(scanner, number);
    if (!end && number->groups[0].count == 2)
        end = find_lettered_licence(scanner, number);
    if (!end && number->groups[0].count >= 2 &&
        (number->digit_count >= 6 || letter_before(scanner, number->start)))
        end = find_document(scanner, number);
    return end;
}
