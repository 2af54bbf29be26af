#include "text/personal.h"

#include <string.h>

#include "text/personal_internal.h"

struct type_row {
    const char *name, *placeholder;
    enum personal_action guard, corpus;
};
static const struct type_row types[PERSONAL_TYPES] = {
    [PERSONAL_PERSON] = {"person", "[PERSON]", PERSONAL_REPLACE, PERSONAL_IGNORE},
    [PERSONAL_BIRTH_DATE] = {"birth_date", "[BIRTH_DATE]", PERSONAL_REPLACE, PERSONAL_KEEP},
    [PERSONAL_ADDRESS] = {"address", "[ADDRESS]", PERSONAL_REPLACE, PERSONAL_REPLACE},
    [PERSONAL_PHONE] = {"phone", "[PHONE]", PERSONAL_REPLACE, PERSONAL_REPLACE},
    [PERSONAL_EMAIL] = {"email", "[EMAIL]", PERSONAL_REPLACE, PERSONAL_REPLACE},
    [PERSONAL_CARD] = {"card", "[CARD]", PERSONAL_REPLACE, PERSONAL_REPLACE},
    [PERSONAL_IBAN] = {"iban", "[IBAN]", PERSONAL_REPLACE, PERSONAL_REPLACE},
    [PERSONAL_ACCOUNT] = {"account", "[ACCOUNT]", PERSONAL_REPLACE, PERSONAL_REPLACE},
    [PERSONAL_BIK] = {"bik", "[BIK]", PERSONAL_KEEP, PERSONAL_KEEP},
    [PERSONAL_INN] = {"inn", "[INN]", PERSONAL_REPLACE, PERSONAL_REPLACE},
    [PERSONAL_INN_ORG] = {"inn_org", "[INN_ORG]", PERSONAL_KEEP, PERSONAL_KEEP},
    [PERSONAL_SNILS] = {"snils", "[SNILS]", PERSONAL_REPLACE, PERSONAL_REPLACE},
    [PERSONAL_OGRN] = {"ogrn", "[OGRN]", PERSONAL_KEEP, PERSONAL_KEEP},
    [PERSONAL_OGRNIP] = {"ogrnip", "[OGRNIP]", PERSONAL_REPLACE, PERSONAL_REPLACE},
    [PERSONAL_PASSPORT] = {"passport", "[PASSPORT]", PERSONAL_REPLACE, PERSONAL_REPLACE},
    [PERSONAL_OMS] = {"oms", "[OMS]", PERSONAL_REPLACE, PERSONAL_REPLACE},
    [PERSONAL_DRIVER_LICENCE] = {"driver_licence", "[DRIVER_LICENCE]", PERSONAL_REPLACE,
                                 PERSONAL_REPLACE},
    [PERSONAL_PLATE] = {"plate", "[PLATE]", PERSONAL_REPLACE, PERSONAL_KEEP},
    [PERSONAL_MEDICAL_RECORD] = {"medical_record", "[MEDICAL_RECORD]", PERSONAL_REPLACE,
                                 PERSONAL_REPLACE},
    [PERSONAL_DIAGNOSIS] = {"diagnosis", "[DIAGNOSIS]", PERSONAL_REPLACE, PERSONAL_KEEP},
    [PERSONAL_SSN] = {"ssn", "[SSN]", PERSONAL_REPLACE, PERSONAL_REPLACE},
    [PERSONAL_IP] = {"ip", "[IP]", PERSONAL_REPLACE, PERSONAL_REPLACE},
    [PERSONAL_URL] = {"url", "[URL]", PERSONAL_KEEP, PERSONAL_IGNORE},
};

const char *personal_type_name(enum personal_type type)
{
    ASSERT(type < PERSONAL_TYPES);
    return types[type].name;
}

const char *personal_placeholder(enum personal_type type)
{
    ASSERT(type < PERSONAL_TYPES);
    return types[type].placeholder;
}

enum personal_type personal_type_named(struct view name)
{
    for (int i = 0; i < PERSONAL_TYPES; i++) {
        if (view_is(name, types[i].name))
            return (enum personal_type)i;
    }
    return PERSONAL_TYPES;
}

/* ---- findings ---- */

enum { FINDINGS_BYTES_MAX = 1 << 30 };

void personal_findings_create(struct personal_findings *out)
{
    buffer_create(&out->bytes, FINDINGS_BYTES_MAX);
    out->count = 0;
}

void personal_findings_destroy(struct personal_findings *findings)
{
    buffer_destroy(&findings->bytes);
    findings->count = 0;
}

const struct personal_finding *personal_finding_at(const struct personal_findings *findings,
                                                   size_t index)
{
    ASSERT(index < findings->count);
    return (const struct personal_finding *)(const void *)findings->bytes.data + index;
}

/* An e-mail address is what it is wherever it stands; a web address gives way to all inside it. */
static int rank(enum personal_type type)
{
    return type == PERSONAL_URL ? 0 : type == PERSONAL_EMAIL ? 2 : 1;
}

/* Whether `b` takes the place of `a`, which it overlaps. */
static bool beats(const struct personal_finding *b, const struct personal_finding *a)
{
    if (rank(b->type) != rank(a->type))
        return rank(b->type) > rank(a->type);
    bool contains =
        b->start <= a->start && b->end >= a->end && b->end - b->start > a->end - a->start;
    return contains || b->confidence > a->confidence;
}

void scanner_add(struct scanner *scanner, enum personal_type type, size_t start, size_t end,
                 int confidence, const char *reason)
{
    struct personal_finding finding = {start, end, type, confidence, reason};
    if (!scanner_wants(scanner, type) || confidence < scanner->confidence_min ||
        scanner->result != OK)
        return;
    struct personal_findings *found = scanner->found;
    size_t keep = found->count;
    while (keep > 0 && personal_finding_at(found, keep - 1)->end > start) {
        const struct personal_finding *last = personal_finding_at(found, keep - 1);
        if (last->start < end && !beats(&finding, last))
            return;
        keep--;
    }
    found->count = keep;
    found->bytes.len = keep * sizeof finding;
    scanner->result = buffer_append(&found->bytes, &finding, sizeof finding, scanner->error);
    if (scanner->result == OK)
        found->count++;
}

/* ---- the scan: a skim for telling bytes, then a look at each ---- */

enum sign {
    SIGN_NONE,
    SIGN_DIGIT,
    SIGN_AT,
    SIGN_COLON,
    SIGN_W,
    SIGN_BRACKET,
    SIGN_LATIN,      /* a capital letter */
    SIGN_LATIN_LEAD, /* of a two-byte letter with marks (0xC3 to 0xC5), perhaps a capital */
    SIGN_CYRILLIC    /* the second byte of what is a capital letter after 0xD0 */
};
static const uint8_t signs[256] = {
    /* clang-format off */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 0x00 */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, /* 0x18 */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 0, 0, 0, 0, 0, 2, 6, 6, 6, 6, 6, 6, 6, /* 0x30 */
    6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 5, 0, 0, 0, 0, /* 0x48 */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, /* 0x60 */
    0, 0, 0, 5, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 0x78 */
    8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, /* 0x90 */
    8, 8, 8, 8, 8, 8, 8, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 0xA8 */
    0, 0, 0, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 0xC0 */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 0xD8 */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 0xF0 */
    /* clang-format on */
};

static size_t look_at_number(struct scanner *scanner, size_t at)
{
    struct number number;
    number_read(&number, scanner, at);
    number.glued |= at < scanner->url_end;
    size_t end = find_letters_and_digits(scanner, &number);
    if (!end && number.digit_count >= 4)
        end = find_ip4(scanner, &number);
    if (!end)
        end = find_date(scanner, &number);
    if (!end && number.digit_count >= 4) {
        end = find_identifier(scanner, &number);
        if (!end)
            end = find_bank(scanner, &number);
        if (!end)
            end = find_phone(scanner, &number);
    }
    if (!end)
        end = find_address(scanner, &number);
    return end > number.groups[0].end ? end : number.groups[0].end;
}

/* at: a byte with a sign.  Returns where to go on, beyond `at`. */
static size_t look_at(struct scanner *scanner, size_t at, enum sign sign)
{
    size_t end = 0;
    if (sign == SIGN_DIGIT)
        return look_at_number(scanner, at);
    if (sign == SIGN_AT)
        end = find_email(scanner, at);
    else if (sign == SIGN_BRACKET)
        end = find_spelt_email(scanner, at);
    else if (sign == SIGN_COLON) {
        end = find_url(scanner, at);
        if (!end)
            end = find_ip6(scanner, at);
    } else if (sign == SIGN_W) {
        if (text_at(scanner, at, "www.") && !letter_before(scanner, at))
            end = find_url(scanner, at);
    } else if (scanner_wants(scanner, PERSONAL_PERSON) && at >= scanner->url_end) {
        size_t first = at - (sign == SIGN_CYRILLIC);
        if ((sign != SIGN_CYRILLIC || (at > 0 && scanner->text[first] == 0xD0)) &&
            !letter_before(scanner, first))
            end = find_person(scanner, first);
    }
    return end > at ? end : at + 1;
}

status personal_scan(struct personal_findings *out, struct view text, uint32_t wanted,
                     int confidence_min, struct error *error)
{
    struct context context = {0};
    struct scanner scanner = {.text = (const unsigned char *)text.data,
                              .len = text.len,
                              .types = wanted,
                              .confidence_min = confidence_min,
                              .context = &context,
                              .found = out,
                              .error = error};
    buffer_clear(&out->bytes);
    out->count = 0;
    size_t at = 0;
    while (scanner.result == OK) {
        while (at < text.len && !signs[scanner.text[at]])
            at++;
        if (at >= text.len)
            break;
        at = look_at(&scanner, at, (enum sign)signs[scanner.text[at]]);
    }
    return scanner.result;
}

/* ---- policies ---- */

static struct personal_policy policy_of(bool corpus)
{
    struct personal_policy policy = {.confidence_min = PERSONAL_CONFIDENCE_MIN};
    for (int i = 0; i < PERSONAL_TYPES; i++)
        policy.actions[i] = corpus ? types[i].corpus : types[i].guard;
    return policy;
}

struct personal_policy personal_policy_guard(void)
{
    return policy_of(false);
}

struct personal_policy personal_policy_corpus(void)
{
    return policy_of(true);
}

static bool action_named(enum personal_action *out, struct view name)
{
    static const char *const names[] = {"ignore", "keep", "replace", "drop"};
    for (int i = 0; i < 4; i++) {
        if (view_is(name, names[i])) {
            *out = (enum personal_action)i;
            return true;
        }
    }
    return false;
}

/* One "type=action", or a whole policy's name. */
static status change_one(struct personal_policy *policy, struct view item, struct error *error)
{
    int shown = item.len < 64 ? (int)item.len : 64;
    if (view_is(item, "guard") || view_is(item, "corpus")) {
        *policy = policy_of(view_is(item, "corpus"));
        return OK;
    }
    const char *equals = item.len ? memchr(item.data, '=', item.len) : NULL;
    enum personal_action action;
    size_t name_len = equals ? (size_t)(equals - item.data) : item.len;
    struct view name = {item.data, name_len};
    enum personal_type type = personal_type_named(name);
    bool all = view_is(name, "all");
    if (!equals || !action_named(&action, (struct view){equals + 1, item.len - name_len - 1}) ||
        (type == PERSONAL_TYPES && !all))
        return fail(error, ERR_USAGE,
                    "the policy says '%.*s', allowed are guard, corpus and TYPE=ACTION with a type "
                    "of findings or all, and ignore, keep, replace or drop",
                    shown, item.data ? item.data : "");
    for (int i = 0; i < PERSONAL_TYPES; i++) {
        if (all || i == (int)type)
            policy->actions[i] = action;
    }
    return OK;
}

status personal_policy_change(struct personal_policy *policy, struct view text, struct error *error)
{
    struct personal_policy changed = *policy;
    while (text.len > 0) {
        const char *comma = memchr(text.data, ',', text.len);
        size_t len = comma ? (size_t)(comma - text.data) : text.len;
        TRY(change_one(&changed, view_trim((struct view){text.data, len}), error));
        text.data += len + (comma != NULL);
        text.len -= len + (comma != NULL);
    }
    *policy = changed;
    return OK;
}

static uint32_t wanted_types(const struct personal_policy *policy)
{
    uint32_t wanted = 0;
    for (int i = 0; i < PERSONAL_TYPES; i++)
        wanted |= policy->actions[i] == PERSONAL_IGNORE ? 0 : 1u << i;
    return wanted;
}

status personal_apply(struct buffer *out, struct personal_counts *counts,
                      struct personal_findings *findings, struct view text,
                      const struct personal_policy *policy, struct error *error)
{
    *counts = (struct personal_counts){0};
    TRY(personal_scan(findings, text, wanted_types(policy), policy->confidence_min, error));
    for (size_t i = 0; i < findings->count; i++) {
        enum personal_type type = personal_finding_at(findings, i)->type;
        counts->found[type]++;
        if (policy->actions[type] == PERSONAL_DROP && !counts->drop) {
            counts->drop = true;
            counts->drop_for = type;
        }
    }
    if (counts->drop)
        return OK;
    size_t done = 0;
    for (size_t i = 0; i < findings->count; i++) {
        const struct personal_finding *finding = personal_finding_at(findings, i);
        if (policy->actions[finding->type] != PERSONAL_REPLACE)
            continue;
        TRY(buffer_append(out, text.data + done, finding->start - done, error));
        TRY(buffer_string(out, types[finding->type].placeholder, error));
        done = finding->end;
        counts->replaced++;
    }
    if (done < text.len)
        TRY(buffer_append(out, text.data + done, text.len - done, error));
    return OK;
}
