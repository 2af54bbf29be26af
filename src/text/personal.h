/* Personal data in text: where it stands, what it is, how sure that is, and the text without it.
 * Identifiers are checked by their control digits, others by their form and the words beside them,
 * names by a short list and morphology (Russian; English in a plain way).  Not for restoring what
 * was masked, and no promise: docs/guard.md has recall and precision.
 * Findings point into a borrowed text; nothing here keeps or writes a value.  No state, any thread.
 * Time is linear in the text: every place is looked at with bounded views to both sides. */
#ifndef RODNIK_TEXT_PERSONAL_H
#define RODNIK_TEXT_PERSONAL_H

#include "base/buffer.h"
#include "base/string.h"

enum personal_type {
    PERSONAL_PERSON,     /* a name: surname, given name, patronymic, initials */
    PERSONAL_BIRTH_DATE, /* beside "born", a year of birth, a name */
    PERSONAL_ADDRESS,    /* Russian postal addresses down to the house */
    PERSONAL_PHONE,
    PERSONAL_EMAIL,
    PERSONAL_CARD,     /* Luhn, issuer's range, length */
    PERSONAL_IBAN,     /* country's length, mod 97 */
    PERSONAL_ACCOUNT,  /* Russian bank account, 20 digits; key against a BIK nearby */
    PERSONAL_BIK,      /* Russian bank */
    PERSONAL_INN,      /* Russian taxpayer, a person: 12 digits */
    PERSONAL_INN_ORG,  /* ... an organization: 10 digits */
    PERSONAL_SNILS,    /* Russian pension insurance */
    PERSONAL_OGRN,     /* Russian register of organizations */
    PERSONAL_OGRNIP,   /* ... of entrepreneurs */
    PERSONAL_PASSPORT, /* Russian by form and context, others by context */
    PERSONAL_OMS,      /* Russian medical insurance, 16 digits */
    PERSONAL_DRIVER_LICENCE,
    PERSONAL_PLATE, /* Russian car plate */
    PERSONAL_MEDICAL_RECORD,
    PERSONAL_DIAGNOSIS, /* ICD-10 code beside context */
    PERSONAL_SSN,       /* US social security number or ITIN */
    PERSONAL_IP,        /* version 4 or 6, not version numbers */
    PERSONAL_URL,
    PERSONAL_TYPES
};
#define PERSONAL_ALL ((1u << PERSONAL_TYPES) - 1)

/* "phone", "inn_org"; the placeholder is the same in capitals in brackets: [PHONE]. */
const char *personal_type_name(enum personal_type type);
const char *personal_placeholder(enum personal_type type);
/* PERSONAL_TYPES if no type has this name. */
enum personal_type personal_type_named(struct view name);

/* ---- findings ---- */

struct personal_finding {
    size_t start, end; /* bytes of the text, end exclusive, never inside a character */
    enum personal_type type;
    int confidence;     /* per cent: 95 and more checked or unmistakable, 50 as good as open */
    const char *reason; /* a static sentence; never holds a value */
};
enum { PERSONAL_CONFIDENCE_MIN = 50 }; /* what policies and the command begin with */

/* A list that grows; owned by its creator, reused by one thread at a time. */
struct personal_findings {
    struct buffer bytes;
    size_t count;
};
void personal_findings_create(struct personal_findings *out);
void personal_findings_destroy(struct personal_findings *findings);
/* index < count */
const struct personal_finding *personal_finding_at(const struct personal_findings *findings,
                                                   size_t index);

/* Replaces the list by what is in the text (any bytes; bad UTF-8 is skipped), in the text's order,
 * without overlaps: only `types` (bits 1 << type) and from `confidence_min` on.  The types decide
 * what is looked for: a passport known only by the name before it needs PERSONAL_PERSON. */
MUST_USE status personal_scan(struct personal_findings *out, struct view text, uint32_t types,
                              int confidence_min, struct error *error);

/* ---- policies ---- */

enum personal_action {
    PERSONAL_IGNORE,  /* not looked for */
    PERSONAL_KEEP,    /* counted, text untouched */
    PERSONAL_REPLACE, /* by the type's placeholder */
    PERSONAL_DROP     /* the whole document goes */
};

struct personal_policy {
    enum personal_action actions[PERSONAL_TYPES];
    int confidence_min;
};
/* What must not leave the house: replaces all but web addresses and what registers publish about
 * organizations (INN, OGRN, BIK), which are kept. */
struct personal_policy personal_policy_guard(void);
/* What a model must not learn: as above, but names, diagnoses and car plates stay, since novels,
 * news and textbooks are made of them and hold nobody's secret. */
struct personal_policy personal_policy_corpus(void);
/* Changes a policy by "guard" or "corpus", or a list such as "phone=drop,person=keep,all=replace",
 * left to right; ERR_USAGE names what is wrong. */
MUST_USE status personal_policy_change(struct personal_policy *policy, struct view text,
                                       struct error *error);

/* What was done with one text or, added up, with many.  Counts, never values. */
struct personal_counts {
    uint64_t found[PERSONAL_TYPES];
    uint64_t replaced;
    bool drop;                   /* the policy drops the document */
    enum personal_type drop_for; /* the first type in the text that made it so */
};

/* Applies a policy to a document: fills `counts`, and appends to `out` the text with placeholders
 * (nothing if the document is to be dropped).  `findings` is working memory that keeps the list.
 * This is the door for building corpora. */
MUST_USE status personal_apply(struct buffer *out, struct personal_counts *counts,
                               struct personal_findings *findings, struct view text,
                               const struct personal_policy *policy, struct error *error);

#endif
