/* What the detectors of personal data share: the scanner, numbers as groups of digits, words in one
 * case, context.  Only for src/text/personal*.c and their tests. */
#ifndef RODNIK_TEXT_PERSONAL_INTERNAL_H
#define RODNIK_TEXT_PERSONAL_INTERNAL_H

#include "text/personal.h"

/* Telling words that were read so far, so that numbers that stand close together do not read the
 * words before them again and again. */
enum { TELLING_WORDS_MAX = 32 };
struct context {
    size_t read; /* words up to here have been looked at */
    struct telling_word {
        size_t start, end;
        uint32_t value;
    } words[TELLING_WORDS_MAX]; /* a ring */
    size_t count;               /* ever added */
};

struct scanner {
    const unsigned char *text;
    size_t len;
    uint32_t types;
    int confidence_min;
    struct context *context;
    struct personal_findings *found;
    struct error *error;
    status result;     /* of growing the list; the first failure ends the scan */
    size_t url_end;    /* end of the last web address */
    size_t person_end; /* end of the last name, 0: none yet */
};

/* Adds a finding unless a better one has the place; worse ones that overlap go. */
void scanner_add(struct scanner *scanner, enum personal_type type, size_t start, size_t end,
                 int confidence, const char *reason);
static inline bool scanner_wants(const struct scanner *scanner, enum personal_type type)
{
    return scanner->types >> type & 1;
}

/* ---- characters ---- */

/* The byte at `at`, 0 outside the text (`at` may have wrapped below 0). */
static inline unsigned char byte_at(const struct scanner *scanner, size_t at)
{
    return at < scanner->len ? scanner->text[at] : 0;
}
static inline bool is_digit(unsigned char byte)
{
    return byte >= '0' && byte <= '9';
}
static inline bool is_latin_upper(unsigned char byte)
{
    return byte >= 'A' && byte <= 'Z';
}
static inline bool is_latin(unsigned char byte)
{
    return is_latin_upper(byte & 0xDF);
}
static inline bool is_alphanumeric(unsigned char byte)
{
    return is_digit(byte) || is_latin(byte);
}
/* Whether a letter (ASCII, Latin with marks, Cyrillic) ends right before `at` or begins at `at`. */
bool letter_before(const struct scanner *scanner, size_t at);
bool letter_at(const struct scanner *scanner, size_t at);
/* Whether the text at `at` begins with `what`. */
bool text_at(const struct scanner *scanner, size_t at, const char *what);
/* Bytes of the blank (space, tab, no-break and narrow spaces) at `at`, or that ends before it; 0:
 * none. */
size_t blank_at(const struct scanner *scanner, size_t at);
size_t blank_before(const struct scanner *scanner, size_t at);

/* ---- words ---- */

enum { WORD_BYTES_MAX = 64 };
/* A run of letters, with hyphens inside, in lower case with ё as е. */
struct word {
    size_t start, end;
    char fold[WORD_BYTES_MAX + 8]; /* NUL-terminated */
    uint8_t len;                   /* of fold */
    uint8_t letters;
    bool upper_first, upper_all;
    bool cyrillic, latin;
    bool too_long; /* fold holds nothing of use */
};
/* The word that begins at `at` (letters 0 if none does). */
void word_read(struct word *out, const struct scanner *scanner, size_t at);
/* Where the letters that end before `at` begin (at most WORD_BYTES_MAX bytes back). */
size_t word_start(const struct scanner *scanner, size_t at);

/* A sorted list of folded stems; `whole` ones must be the whole word. */
struct stem {
    const char *text;
    uint32_t value;
    uint8_t len;
    bool whole;
};
#define STEM(text, value, whole)                                                                   \
    {                                                                                              \
        text, value, sizeof text - 1, whole                                                        \
    }
struct stem_list {
    const struct stem *items;
    size_t count;
};
/* The value of the longest stem that begins the word, 0 if none does. */
uint32_t stem_find(struct stem_list list, const char *fold, size_t len);
/* The value of the stem that equals the word, 0 if none does. */
uint32_t stem_exact(struct stem_list list, const char *fold, size_t len);

/* ---- context ---- */

enum {
    ABOUT_PHONE = 1 << 0,
    ABOUT_CARD = 1 << 1,
    ABOUT_INN = 1 << 2,
    ABOUT_SNILS = 1 << 3,
    ABOUT_OGRN = 1 << 4,
    ABOUT_PASSPORT = 1 << 5,
    ABOUT_OMS = 1 << 6,
    ABOUT_DRIVER = 1 << 7,
    ABOUT_PLATE = 1 << 8,
    ABOUT_MEDICAL = 1 << 9,
    ABOUT_DIAGNOSIS = 1 << 10,
    ABOUT_SSN = 1 << 11,
    ABOUT_IP = 1 << 12,
    ABOUT_VERSION = 1 << 13,
    ABOUT_ACCOUNT = 1 << 14,
    ABOUT_BIK = 1 << 15,
    ABOUT_BIRTH = 1 << 16,
    ABOUT_OTHER = 1 << 17, /* orders, articles, contracts: numbers of things */
    ABOUT_CALL = 1 << 18   /* weaker: my number, messages to */
};
/* What the words before a place speak of. */
struct about {
    uint32_t near, any; /* ABOUT_ bits of the nearest telling word, and of all in view */
    size_t gap;         /* bytes between the nearest telling word and the place */
    bool spent;         /* another long number stands between them */
};
struct about about_before(const struct scanner *scanner, size_t at);
/* ABOUT_ bits of the first two words after a place. */
uint32_t about_after(const struct scanner *scanner, size_t at);
extern const struct stem_list personal_context_stems;

/* ---- numbers ---- */

enum { DIGITS_MAX = 24, GROUPS_MAX = 12 };
enum {
    GAP_SPACE = 1,
    GAP_HYPHEN = 2,
    GAP_DOT = 4,
    GAP_OPEN = 8,
    GAP_CLOSE = 16,
    GAP_SLASH = 32,
    GAP_NUMERO = 64
};
struct group {
    size_t start, end;
    uint8_t first, count; /* digits */
    uint8_t gap;          /* what stands between the group before and this one */
};
/* Groups of digits from one place on, with what people put between them. */
struct number {
    char digits[DIGITS_MAX + 1];
    struct group groups[GROUPS_MAX];
    int digit_count, group_count;
    size_t start;
    bool plus;      /* a + right before */
    bool open;      /* a ( right before */
    bool glued;     /* a letter, or a part of a longer sign, right before: no number of its own */
    bool about_set; /* `about` is filled */
    struct about about;
};
/* at: the first digit of a run. */
void number_read(struct number *out, const struct scanner *scanner, size_t at);
const struct about *number_about(struct number *number, const struct scanner *scanner);
/* Whether the first `groups` groups have exactly these lengths, a digit each ("3332"). */
bool number_shape(const struct number *number, const char *lengths);
/* Whether a number that ends at `end` stands alone: no letter, digit, or decimals after it. */
bool number_ends(const struct scanner *scanner, size_t end);

/* Each looks at one number, adds what it finds, and returns its end, or 0. */
size_t find_identifier(struct scanner *scanner, struct number *number);
size_t find_bank(struct scanner *scanner, struct number *number);
size_t find_phone(struct scanner *scanner, struct number *number);
size_t find_ip4(struct scanner *scanner, struct number *number);
size_t find_date(struct scanner *scanner, struct number *number);
size_t find_address(struct scanner *scanner, struct number *number);
size_t find_letters_and_digits(struct scanner *scanner, struct number *number);

/* Each looks at a sign in the text and returns where to go on (0: nothing found). */
size_t find_email(struct scanner *scanner, size_t at);       /* at: the @ */
size_t find_spelt_email(struct scanner *scanner, size_t at); /* at: the bracket of [at] */
size_t find_url(struct scanner *scanner, size_t at);         /* at: the colon of ://, or www. */
size_t find_ip6(struct scanner *scanner, size_t at);         /* at: the first colon */

/* ---- checks, digits as characters ---- */
bool check_luhn(const char *digits, int count);
bool check_inn10(const char *digits);
bool check_inn12(const char *digits);
bool check_snils(const char *digits);
bool check_ogrn(const char *digits);
bool check_ogrnip(const char *digits);
bool check_account(const char *digits, const char *bik);
bool check_card(const char *digits, int count);

/* ---- names ---- */

/* at: a capital letter at the beginning of a word.  Returns where to go on, beyond `at`. */
size_t find_person(struct scanner *scanner, size_t at);

/* What a word can be in a name. */
enum {
    NAME_GIVEN = 1 << 0,
    NAME_AMBIGUOUS = 1 << 1,  /* also an everyday word: Вера, Роман, Mark */
    NAME_STOP = 1 << 2,       /* begins sentences, titles, places: no surname */
    NAME_TITLE = 1 << 3,      /* stands before names: господин, Dr */
    NAME_PATRONYMIC = 1 << 4, /* by its ending */
    NAME_SURNAME = 1 << 5,    /* by its ending */
    NAME_DOUBTFUL = 1 << 6,   /* a patronymic that may be an adjective: -овной */
    NAME_ADJECTIVE = 1 << 7   /* by its ending */
};
uint32_t name_kinds(const struct word *word);
/* Values of the given names' stems: how they are declined, and GIVEN_AMBIGUOUS. */
enum {
    GIVEN_HARD = 1 << 0,  /* Иван */
    GIVEN_Y = 1 << 1,     /* Андре-й */
    GIVEN_SOFT = 1 << 2,  /* Игор-ь, Любов-ь */
    GIVEN_A = 1 << 3,     /* Анн-а, Никит-а */
    GIVEN_YA = 1 << 4,    /* Ил-я */
    GIVEN_IYA = 1 << 5,   /* Мари-я */
    GIVEN_FIXED = 1 << 6, /* Гузель, Нелли */
    GIVEN_AMBIGUOUS = 1 << 7
};
extern const struct stem_list personal_given_stems, personal_latin_given, personal_name_words,
    personal_address_stems;

#endif
