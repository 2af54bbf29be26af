#include "corpus/profile.h"

#include <string.h>

/* ---- the rules -------------------------------------------------------------------------------
 * In the order in which they decide, FineWeb-2's: language, repetition, lines, words; then what is
 * not there.  Each looks at the quotient of two signals. */

/* Numbers that are no field of a record. */
enum {
    ONE = SIGNAL_COUNT,
    TEN_THOUSAND,
    LINE_CHARACTERS, /* all but newlines */
    STOP_WORDS       /* distinct ones, in the language of the document */
};
#define FIELD(name) ((int)(offsetof(struct signals, name) / sizeof(uint64_t)))

enum side { MIN, MAX };
struct rule {
    const char *section, *name, *key; /* key: section.name */
    enum side side;
    int over, under;
    const char *help;
};

#define RULE(section, name, side, over, under, help)                                               \
    {                                                                                              \
        section, name, section "." name, side, over, under, help                                   \
    }

/* clang-format off */
static const struct rule rules[] = {
    RULE("language", "score_min", MIN, FIELD(language_score), TEN_THOUSAND, "share of the language among all that are told apart"),
    RULE("repetition", "lines_max", MAX, FIELD(lines_again), FIELD(lines), "lines that stood before, of all lines"),
    RULE("repetition", "paragraphs_max", MAX, FIELD(paragraphs_again), FIELD(paragraphs), "paragraphs that stood before, of all paragraphs"),
    RULE("repetition", "line_characters_max", MAX, FIELD(lines_again_characters), LINE_CHARACTERS, "characters of lines that stood before, of all but newlines"),
    RULE("repetition", "paragraph_characters_max", MAX, FIELD(paragraphs_again_characters), FIELD(characters), "characters of paragraphs that stood before"),
    RULE("repetition", "top_2_max", MAX, FIELD(top_2), FIELD(measured_characters), "characters of the commonest pair of tokens"),
    RULE("repetition", "top_3_max", MAX, FIELD(top_3), FIELD(measured_characters), "characters of the commonest three tokens"),
    RULE("repetition", "top_4_max", MAX, FIELD(top_4), FIELD(measured_characters), "characters of the commonest four tokens"),
    RULE("repetition", "again_5_max", MAX, FIELD(again_5), FIELD(measured_characters), "characters of 5 tokens in a row that stood before"),
    RULE("repetition", "again_6_max", MAX, FIELD(again_6), FIELD(measured_characters), "characters of 6 tokens in a row that stood before"),
    RULE("repetition", "again_7_max", MAX, FIELD(again_7), FIELD(measured_characters), "characters of 7 tokens in a row that stood before"),
    RULE("repetition", "again_8_max", MAX, FIELD(again_8), FIELD(measured_characters), "characters of 8 tokens in a row that stood before"),
    RULE("repetition", "again_9_max", MAX, FIELD(again_9), FIELD(measured_characters), "characters of 9 tokens in a row that stood before"),
    RULE("repetition", "again_10_max", MAX, FIELD(again_10), FIELD(measured_characters), "characters of 10 tokens in a row that stood before"),
    RULE("lines", "end_min", MIN, FIELD(lines_end), FIELD(lines), "lines that end as prose does"),
    RULE("lines", "end_narrow_min", MIN, FIELD(lines_end_narrow), FIELD(lines), "lines that end with a full stop, ! or ?"),
    RULE("lines", "short_max", MAX, FIELD(lines_short), FIELD(lines), "lines of at most 30 characters"),
    RULE("lines", "newlines_max", MAX, FIELD(lines), FIELD(tokens), "ends of lines that are not blank, for each token"),
    RULE("lines", "words_min", MIN, FIELD(words), FIELD(lines), "words a line"),
    RULE("lines", "bullets_max", MAX, FIELD(lines_bullet), FIELD(lines), "lines that begin with a bullet or a hyphen"),
    RULE("lines", "ellipses_max", MAX, FIELD(lines_ellipsis), FIELD(lines), "lines that end with an ellipsis"),
    RULE("words", "count_min", MIN, FIELD(words), ONE, "words"),
    RULE("words", "count_max", MAX, FIELD(words), ONE, "words"),
    RULE("words", "length_min", MIN, FIELD(word_characters), FIELD(words), "mean length in characters"),
    RULE("words", "length_max", MAX, FIELD(word_characters), FIELD(words), "mean length in characters"),
    RULE("words", "longest_max", MAX, FIELD(word_longest), ONE, "characters of the longest word"),
    RULE("words", "hashes_max", MAX, FIELD(hashes), FIELD(words), "number signs for each word"),
    RULE("words", "ellipses_max", MAX, FIELD(ellipses), FIELD(words), "ellipses for each word"),
    RULE("words", "alphabetic_min", MIN, FIELD(words_alphabetic), FIELD(words), "words with a letter, of all words"),
    RULE("words", "alphabetic_of_tokens_min", MIN, FIELD(words_alphabetic), FIELD(tokens), "words with a letter, of all words and symbols"),
    RULE("words", "stop_words_min", MIN, STOP_WORDS, ONE, "distinct stop words (Russian, English)"),
    RULE("words", "stop_hits_min", MIN, FIELD(stop_hits), FIELD(words), "stop words, of all words (Russian, English)"),
    RULE("characters", "damaged_max", MAX, FIELD(damaged), FIELD(characters), "U+FFFD, control and private-use characters, of all characters"),
    RULE("characters", "upper_max", MAX, FIELD(upper), FIELD(letters), "upper-case letters, of all letters"),
    RULE("characters", "digits_max", MAX, FIELD(digits), FIELD(characters), "digits, of all characters"),
    RULE("characters", "braces_max", MAX, FIELD(braces), FIELD(characters), "{ and }, of all characters"),
};
/* clang-format on */
enum { RULES = sizeof rules / sizeof *rules };
_Static_assert((int)RULES <= (int)PROFILE_RULES_MAX, "room for every rule");
_Static_assert(sizeof(struct signals) == SIGNAL_COUNT * sizeof(uint64_t), "fields are numbers");

static double number(int which, const struct signals *signals, const char *language)
{
    switch (which) {
    case ONE:
        return 1;
    case TEN_THOUSAND:
        return SIGNAL_TEN_THOUSAND;
    case LINE_CHARACTERS:
        return (double)(signals->characters - signals->newlines);
    case STOP_WORDS:
        return (double)(strcmp(language, "en") == 0 ? signals->stop_en : signals->stop_ru);
    default:
        return (double)signals_value(signals, which);
    }
}

static double quotient(const struct rule *rule, const struct signals *signals, const char *language)
{
    double under = number(rule->under, signals, language);
    return under > 0 ? number(rule->over, signals, language) / under : 0;
}

/* There are lists of stop words for two languages; for others the rules on them are silent. */
static bool applies(const struct rule *rule, const char *language)
{
    bool on_stop_words = rule->over == STOP_WORDS || rule->over == FIELD(stop_hits);
    return !on_stop_words || strcmp(language, "ru") == 0 || strcmp(language, "en") == 0;
}

/* ---- deciding ---- */

static bool names_language(const char *languages, const char *language)
{
    size_t len = strlen(language);
    for (const char *at = languages; *at;) {
        size_t word = strcspn(at, " ");
        if (word == len && memcmp(at, language, len) == 0)
            return true;
        at += word;
        at += strspn(at, " ");
    }
    return false;
}

/* Rule 0 of the door is the language itself; those of the table follow. */
int profile_decide(const struct profile *profile, const struct signals *signals,
                   const char *language)
{
    ASSERT(profile && signals && language);
    if (profile->languages[0] && !names_language(profile->languages, language))
        return 0;
    for (int i = 0; i < RULES; i++) {
        if (!applies(&rules[i], language))
            continue;
        double value = quotient(&rules[i], signals, language);
        if (rules[i].side == MAX ? value > profile->limit[i] : value < profile->limit[i])
            return i + 1;
    }
    return PROFILE_KEPT;
}

int profile_rules(void)
{
    return RULES + 1;
}

const char *profile_rule_name(int rule)
{
    ASSERT(rule >= 0 && rule <= RULES);
    return rule == 0 ? "language.allowed" : rules[rule - 1].key;
}

double profile_rule_value(int rule, const struct signals *signals, const char *language)
{
    ASSERT(rule >= 0 && rule <= RULES);
    return rule == 0 ? 0 : quotient(&rules[rule - 1], signals, language);
}

/* ---- the file ---- */

/* What a key that is not set stands for: everything passes. */
#define PASS_MIN "0"
#define PASS_MAX "1e18"

/* Keys of base/config, in memory of the caller since they are made from the rules. */
struct keys {
    struct config_key key[RULES + 1];
};

static struct config_table make_keys(struct keys *out)
{
    out->key[0] = (struct config_key){.section = "language",
                                      .name = "allowed",
                                      .type = CONFIG_STRING,
                                      .offset = offsetof(struct profile, languages),
                                      .initial = "",
                                      .unit = "",
                                      .help = "labels with spaces between; empty: any"};
    for (size_t i = 0; i < RULES; i++)
        out->key[i + 1] =
            (struct config_key){.section = rules[i].section,
                                .name = rules[i].name,
                                .type = CONFIG_DOUBLE,
                                .offset = offsetof(struct profile, limit) + i * sizeof(double),
                                .minimum = 0,
                                .maximum = 1e18,
                                .initial = rules[i].side == MAX ? PASS_MAX : PASS_MIN,
                                .unit = "",
                                .help = rules[i].help};
    return (struct config_table){out->key, RULES + 1};
}

status profile_parse(struct profile *out, struct view text, const char *name, struct error *error)
{
    ASSERT(out && name && error);
    struct keys keys;
    struct profile profile = {0};
    struct config_table table = make_keys(&keys);
    config_defaults(&profile, table);
    TRY(config_parse(&profile, table, text, name, error));
    *out = profile;
    return OK;
}

status profile_write(struct buffer *out, const struct profile *profile, struct error *error)
{
    struct keys keys;
    return config_write(out, profile, make_keys(&keys), error);
}

status profile_help(struct buffer *out, struct error *error)
{
    struct keys keys;
    return config_help(out, make_keys(&keys), error);
}

/* ---- profiles of the program ---- */

#define OWN(name)                                                                                  \
    extern const unsigned char profile_##name##_ini[];                                             \
    extern const unsigned long profile_##name##_ini_len;
OWN(web_ru)
OWN(web_en)
OWN(fiction)
OWN(verse)
OWN(law)
OWN(dialogue)
OWN(plain)

static const struct {
    const char *name;
    const unsigned char *text;
    const unsigned long *len;
} own[] = {{"web-ru", profile_web_ru_ini, &profile_web_ru_ini_len},
           {"web-en", profile_web_en_ini, &profile_web_en_ini_len},
           {"fiction", profile_fiction_ini, &profile_fiction_ini_len},
           {"verse", profile_verse_ini, &profile_verse_ini_len},
           {"law", profile_law_ini, &profile_law_ini_len},
           {"dialogue", profile_dialogue_ini, &profile_dialogue_ini_len},
           {"plain", profile_plain_ini, &profile_plain_ini_len}};

const char *profile_name(size_t index)
{
    return index < sizeof own / sizeof *own ? own[index].name : NULL;
}

status profile_open(struct profile *out, const char *name_or_path, struct error *error)
{
    ASSERT(out && name_or_path && error);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(name_or_path, own[i].name) == 0)
            return profile_parse(out, (struct view){(const char *)own[i].text, *own[i].len},
                                 own[i].name, error);
    if (!file_exists(name_or_path))
        return fail(error, ERR_USAGE,
                    "there is no profile '%s'; allowed are web-ru, web-en, fiction, verse, law, "
                    "dialogue, plain and files (to build also auto and none)",
                    name_or_path);
    struct file_bytes bytes;
    TRY(file_map(&bytes, name_or_path, error));
    struct view text = {bytes.data ? (const char *)bytes.data : "", bytes.len};
    status result = profile_parse(out, text, name_or_path, error);
    file_unmap(&bytes);
    return result;
}
