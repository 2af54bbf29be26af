/* E-mail and web addresses, addresses of the internet protocol. */
#include "text/personal_internal.h"

#include <string.h>

/* ---- e-mail ---- */

enum { LOCAL_BYTES_MAX = 64, LABEL_BYTES_MAX = 126, DOMAIN_BYTES_MAX = 256 };

static bool local_sign(unsigned char byte)
{
    return byte && strchr("._%+-", byte);
}

/* Where the part before the @ begins; `at` if there is none. */
static size_t local_start(const struct scanner *scanner, size_t at)
{
    size_t start = at;
    while (at - start <= LOCAL_BYTES_MAX) {
        if (start > 0 && (is_alphanumeric(byte_at(scanner, start - 1)) ||
                          local_sign(byte_at(scanner, start - 1))))
            start--;
        else if (letter_before(scanner, start))
            start -= 2;
        else
            break;
    }
    if (at - start > LOCAL_BYTES_MAX || byte_at(scanner, at - 1) == '.')
        return at;
    while (start < at && local_sign(byte_at(scanner, start)))
        start++;
    return start;
}

/* The end of letters, digits and hyphens from `at`; *letters: whether they are letters alone. */
static size_t label_end(bool *letters, const struct scanner *scanner, size_t at)
{
    size_t start = at;
    *letters = true;
    while (at - start < LABEL_BYTES_MAX) {
        unsigned char byte = byte_at(scanner, at);
        if (is_digit(byte) || byte == '-') {
            *letters = false;
            at++;
        } else if (letter_at(scanner, at))
            at += byte < 0x80 ? 1 : 2;
        else
            break;
    }
    while (at > start && byte_at(scanner, at - 1) == '-')
        at--;
    return at;
}

/* Whether what stands at `at` begins a sentence and not one more label: another script, or a
 * capital after a small letter. */
static bool sentence_begins(const struct scanner *scanner, size_t label, size_t at)
{
    unsigned char before = byte_at(scanner, label), after = byte_at(scanner, at);
    bool script = (before >= 0xD0) != (after >= 0xD0);
    return script || (is_latin_upper(after) && !is_latin_upper(before));
}

static bool file_ending(const struct scanner *scanner, size_t start, size_t end)
{
    static const char *const endings[] = {"png",   "jpg",     "jpeg",   "gif",    "svg",
                                          "webp",  "service", "socket", "target", "timer",
                                          "mount", "slice",   "html",   "json",   "local"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (strlen(endings[i]) == end - start && text_at(scanner, start, endings[i]))
            return true;
    }
    return false;
}

/* The end of a domain name with two labels or more, the last of letters; 0 if none is at `at`. */
static size_t domain_end(const struct scanner *scanner, size_t at)
{
    size_t end = 0, start = at, label = at;
    while (at - start < DOMAIN_BYTES_MAX) {
        bool letters;
        size_t next = label_end(&letters, scanner, at);
        if (next == at || (at > start && sentence_begins(scanner, label, at)))
            break;
        bool top = (letters && next - at >= 2) || text_at(scanner, at, "xn--");
        if (at > start)
            end = top && !file_ending(scanner, at, next) ? next : 0;
        label = at;
        at = next;
        if (byte_at(scanner, at) != '.')
            break;
        at++;
    }
    return end;
}

size_t find_email(struct scanner *scanner, size_t at)
{
    size_t start = local_start(scanner, at);
    if (start == at)
        return 0;
    size_t end = domain_end(scanner, at + 1);
    if (!end || (at - start == 3 && text_at(scanner, start, "git@")))
        return 0;
    scanner_add(scanner, PERSONAL_EMAIL, start, end, 98, "form of an address");
    return end;
}

/* "name [at] example.org", "name (собака) example.org". */
size_t find_spelt_email(struct scanner *scanner, size_t at)
{
    static const char *const words[] = {"(at)", "[at]",     "{at}",     "(AT)",
                                        "[AT]", "(собака)", "[собака]", "(dog)"};
    size_t next = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words && !next; i++)
        next = text_at(scanner, at, words[i]) ? at + strlen(words[i]) : 0;
    if (!next)
        return 0;
    size_t last = at - blank_before(scanner, at), start = local_start(scanner, last);
    size_t end = domain_end(scanner, next + blank_at(scanner, next));
    if (start == last || !end)
        return 0;
    scanner_add(scanner, PERSONAL_EMAIL, start, end, 85, "form of an address, spelt");
    return end;
}

/* ---- web addresses ---- */

enum { SCHEME_BYTES_MAX = 12, URL_BYTES_MAX = 2048 };

/* Bytes of what a web address may hold at `at`; 0: it ends. */
static size_t url_bytes(const struct scanner *scanner, size_t at)
{
    unsigned char byte = byte_at(scanner, at);
    if (byte < 0x80)
        return byte > ' ' && byte != 0x7F && !strchr("<>\"`|\\^{}", byte);
    return letter_at(scanner, at) ? 2 : 0;
}

/* Signs at the end belong to the sentence, brackets to whoever opened them. */
static size_t url_trim(const struct scanner *scanner, size_t start, size_t end)
{
    bool opened = memchr(scanner->text + start, '(', end - start) != NULL;
    while (end > start) {
        unsigned char last = scanner->text[end - 1];
        if (!strchr(".,;:!?'*_]", last) && (last != ')' || opened))
            break;
        end--;
    }
    return end;
}

size_t find_url(struct scanner *scanner, size_t at)
{
    if (at < scanner->url_end)
        return 0;
    size_t start = at, host = at;
    if (byte_at(scanner, at) == ':') {
        if (!text_at(scanner, at, "://"))
            return 0;
        while (at - start < SCHEME_BYTES_MAX && start > 0 && is_latin(byte_at(scanner, start - 1)))
            start--;
        host = at + 3;
        if (at - start < 2 || (!url_bytes(scanner, host) || byte_at(scanner, host) == '/'))
            return 0;
    } else if (!is_alphanumeric(byte_at(scanner, at + 4)) && !letter_at(scanner, at + 4))
        return 0;
    size_t end = host, bytes;
    while (end - start < URL_BYTES_MAX && (bytes = url_bytes(scanner, end)) > 0)
        end += bytes;
    scanner->url_end = end;
    end = url_trim(scanner, host, end);
    if (end - host < 3)
        return 0;
    scanner_add(scanner, PERSONAL_URL, start, end, 97, "form of an address");
    return host; /* what stands inside is looked at too */
}

/* ---- internet protocol ---- */

/* Four numbers of one to three digits with dots, without leading zeros, none over 255. */
static bool four_octets(int octets[4], const struct number *number)
{
    if (number->group_count < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        const struct group *group = &number->groups[i];
        if (group->count > 3 || (group->count > 1 && number->digits[group->first] == '0'))
            return false;
        if (i > 0 && (group->gap != GAP_DOT || group->start != group[-1].end + 1))
            return false;
        octets[i] = 0;
        for (int k = 0; k < group->count; k++)
            octets[i] = octets[i] * 10 + number->digits[group->first + k] - '0';
        if (octets[i] > 255)
            return false;
    }
    return number->group_count == 4 || !(number->groups[4].gap & GAP_DOT) ||
           number->groups[4].start != number->groups[3].end + 1;
}

static bool ip4_stands_alone(const struct scanner *scanner, size_t start, size_t end)
{
    unsigned char before = byte_at(scanner, start - 1), after = byte_at(scanner, end);
    if (start > 0 && (letter_before(scanner, start) || (before && strchr("._-", before))))
        return false;
    return !letter_at(scanner, end) && after != '_' &&
           (after != '-' || !letter_at(scanner, end + 1));
}

/* Networks of nobody: this host, masks, examples in documentation (RFC 5737). */
static bool ip4_of_nobody(const int octets[4])
{
    static const int examples[3][3] = {{192, 0, 2}, {198, 51, 100}, {203, 0, 113}};
    for (int i = 0; i < 3; i++) {
        if (memcmp(examples[i], octets, sizeof examples[i]) == 0)
            return true;
    }
    return octets[0] == 0 || octets[0] == 127 || octets[0] == 255 ||
           (octets[1] == 0 && octets[2] == 0 && octets[3] == 0);
}

static bool ip4_private(const int octets[4])
{
    return octets[0] == 10 || (octets[0] == 192 && octets[1] == 168) ||
           (octets[0] == 172 && octets[1] >= 16 && octets[1] < 32) ||
           (octets[0] == 169 && octets[1] == 254);
}

size_t find_ip4(struct scanner *scanner, struct number *number)
{
    int octets[4], large = 0;
    if (!four_octets(octets, number) ||
        !ip4_stands_alone(scanner, number->start, number->groups[3].end) || ip4_of_nobody(octets))
        return 0;
    for (int i = 0; i < 4; i++)
        large += octets[i] >= 32;
    const struct about *about = number_about(number, scanner);
    size_t end = number->groups[3].end;
    bool told = about->any & ABOUT_IP;
    if (about->near & ABOUT_VERSION && about->gap < 40)
        return end;
    if (ip4_private(octets))
        scanner_add(scanner, PERSONAL_IP, number->start, end, told ? 55 : 40, "private network");
    else if (told)
        scanner_add(scanner, PERSONAL_IP, number->start, end, 97, "four octets and context");
    else
        scanner_add(scanner, PERSONAL_IP, number->start, end, large >= 2 ? 85 : 40, "four octets");
    return end;
}

static bool is_hex(unsigned char byte)
{
    return is_digit(byte) || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
}

struct groups6 {
    int count, long_ones, digits;
    bool shortened;
    size_t end;
};

/* Groups of hexadecimal digits with colons from `at` on. */
static struct groups6 read_groups6(const struct scanner *scanner, size_t at)
{
    struct groups6 groups = {.end = at};
    while (groups.count < 9) {
        size_t start = at;
        for (; at - start < 5 && is_hex(byte_at(scanner, at)); at++)
            groups.digits += is_digit(byte_at(scanner, at));
        if (at == start || at - start > 4)
            break;
        groups.count++;
        groups.long_ones += at - start > 2;
        groups.end = at;
        if (text_at(scanner, at, "::") && !groups.shortened) {
            groups.shortened = true;
            at += 2;
        } else if (byte_at(scanner, at) == ':')
            at++;
        else
            break;
    }
    return groups;
}

size_t find_ip6(struct scanner *scanner, size_t at)
{
    size_t start = at;
    while (start > 0 && at - start < 4 && is_hex(byte_at(scanner, start - 1)))
        start--;
    unsigned char before = byte_at(scanner, start - 1);
    if (start == at || (start > 0 && (is_alphanumeric(before) || before == ':' || before == '_' ||
                                      letter_before(scanner, start))))
        return 0;
    struct groups6 groups = read_groups6(scanner, start);
    unsigned char after = byte_at(scanner, groups.end);
    if (letter_at(scanner, groups.end) || is_digit(after) ||
        (after == ':' && is_hex(byte_at(scanner, groups.end + 1))))
        return 0;
    bool whole = groups.count == 8 && !groups.shortened;
    bool part = groups.shortened && groups.count >= 3 && groups.count < 8 && groups.digits >= 3;
    if ((!whole && !part) || groups.long_ones < 2 || text_at(scanner, start, "2001:db8:"))
        return 0;
    scanner_add(scanner, PERSONAL_IP, start, groups.end, whole ? 95 : 80, "groups of version 6");
    return groups.end;
}
