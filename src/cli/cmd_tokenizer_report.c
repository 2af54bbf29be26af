/* rodnik tokenizer report: how well a vocabulary packs texts, beside others. */
#include "cli/cmd_tokenizer.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "corpus/corpus.h"
#include "text/language.h"
#include "text/unicode.h"
#include "tokenizer/tokenizer.h"

enum {
    TOKENIZERS_MAX = 8,
    DOMAINS_MAX = 256,
    NAME_BYTES = 64,
    MEGABYTE = 1000000,
    DEAD_SHOWN = 20
};

struct packed { /* tokens of one tokenizer */
    uint64_t tokens, upper, folded, numbers;
};

struct domain {
    char name[NAME_BYTES], language[LANGUAGE_LABEL_BYTES];
    uint64_t bytes, characters, words, yo_words, digits;
    struct packed packed[TOKENIZERS_MAX];
};

struct candidate {
    char name[NAME_BYTES];
    struct tokenizer *tokenizer;
    struct tokenizer_encoder *encoder;
};

struct report {
    const char *tokenizer, *corpus;
    struct option_list compare;
    int64_t megabytes; /* of a domain, at most, that are measured */
    bool held_out, all_dead, json;
    struct candidate candidates[TOKENIZERS_MAX]; /* the first is the one reported on */
    size_t candidate_count;
    struct domain *domains; /* [DOMAINS_MAX] */
    size_t domain_count;
    uint64_t *seen; /* [vocabulary] how often each token was produced */
    uint64_t seen_bytes;
    struct language_model *languages;
    struct tokens tokens;
    struct buffer changed;
    struct arena *arena;
};

/* ---- counting ---- */

/* The text letter by letter; what is no UTF-8 becomes U+FFFD. */
static status change(struct buffer *out, struct view text, uint32_t (*map)(uint32_t),
                     struct error *error)
{
    buffer_clear(out);
    TRY(buffer_reserve(out, 2 * text.len + UTF8_BYTES_MAX, error));
    for (size_t at = 0; at < text.len;) {
        uint32_t code_point;
        char bytes[UTF8_BYTES_MAX];
        at += utf8_decode(&code_point, text.data + at, text.len - at);
        size_t len =
            utf8_encode(bytes, code_point == UTF8_BAD ? UTF8_REPLACEMENT : map(code_point));
        TRY(buffer_append(out, bytes, len, error));
    }
    return OK;
}

static uint32_t without_yo(uint32_t code_point)
{
    return code_point == 0x451 ? 0x435 : code_point == 0x401 ? 0x415 : code_point;
}

static status count_tokens(uint64_t *total, struct report *report, size_t candidate,
                           struct view text, struct error *error)
{
    tokens_clear(&report->tokens);
    TRY(tokenizer_encode(&report->tokens, report->candidates[candidate].encoder, text, false,
                         error));
    *total += report->tokens.count;
    return OK;
}

/* Runs of digits, each encoded by itself. */
static status count_numbers(struct report *report, struct domain *domain, size_t candidate,
                            struct view text, struct error *error)
{
    for (size_t at = 0, end; at < text.len; at = end) {
        end = at;
        while (end < text.len && text.data[end] >= '0' && text.data[end] <= '9')
            end++;
        if (end == at) {
            end++;
            continue;
        }
        domain->digits += candidate == 0 ? end - at : 0;
        TRY(count_tokens(&domain->packed[candidate].numbers, report, candidate,
                         (struct view){text.data + at, end - at}, error));
    }
    return OK;
}

/* Words are runs of letters; those with ё are counted apart. */
static void count_words(struct domain *domain, struct view text)
{
    bool in_word = false, yo = false;
    for (size_t at = 0; at < text.len;) {
        uint32_t code_point;
        at += utf8_decode(&code_point, text.data + at, text.len - at);
        bool letter = code_point != UTF8_BAD && unicode_kind(code_point) == UNICODE_LETTER;
        if (in_word && !letter) {
            domain->words++;
            domain->yo_words += yo;
            yo = false;
        }
        in_word = letter;
        yo = yo || (letter && without_yo(code_point) != code_point);
    }
    domain->words += in_word;
    domain->yo_words += yo;
}

static status measure(struct report *report, struct domain *domain, struct view text,
                      struct error *error)
{
    domain->bytes += text.len;
    domain->characters += utf8_count(text);
    count_words(domain, text);
    for (size_t i = 0; i < report->candidate_count; i++) {
        struct packed *packed = &domain->packed[i];
        TRY(count_tokens(&packed->tokens, report, i, text, error));
        TRY(count_numbers(report, domain, i, text, error));
    }
    TRY(change(&report->changed, text, unicode_to_upper, error));
    struct view changed = {report->changed.data, report->changed.len};
    for (size_t i = 0; i < report->candidate_count; i++)
        TRY(count_tokens(&domain->packed[i].upper, report, i, changed, error));
    TRY(change(&report->changed, text, without_yo, error));
    changed = (struct view){report->changed.data, report->changed.len};
    for (size_t i = 0; i < report->candidate_count; i++)
        TRY(count_tokens(&domain->packed[i].folded, report, i, changed, error));
    return OK;
}

static status note_seen(struct report *report, struct view text, struct error *error)
{
    uint64_t count = 0;
    TRY(count_tokens(&count, report, 0, text, error));
    for (size_t i = 0; i < report->tokens.count; i++)
        report->seen[report->tokens.ids[i]]++;
    report->seen_bytes += text.len;
    return OK;
}

/* ---- texts ---- */

static status find_domain(struct domain **out, struct report *report, const char *name,
                          const char *language, struct error *error)
{
    for (size_t i = 0; i < report->domain_count; i++) {
        *out = &report->domains[i];
        if (strncmp((*out)->name, name, NAME_BYTES - 1) == 0 &&
            strcmp((*out)->language, language) == 0)
            return OK;
    }
    if (report->domain_count == DOMAINS_MAX)
        return fail(error, ERR_LIMIT, "more than %d sources and languages", DOMAINS_MAX);
    *out = &report->domains[report->domain_count++];
    (void)snprintf((*out)->name, NAME_BYTES, "%s", name);
    (void)snprintf((*out)->language, LANGUAGE_LABEL_BYTES, "%s", language);
    return OK;
}

static status add_text(struct report *report, struct view text, const char *name, bool measured,
                       struct error *error)
{
    struct domain *domain;
    TRY(note_seen(report, text, error));
    if (!measured || !text.len)
        return OK;
    struct language_guess guess = language_detect(report->languages, text);
    TRY(find_domain(&domain, report, name,
                    guess.language < 0 ? "-" : language_label(report->languages, guess.language),
                    error));
    uint64_t limit = (uint64_t)report->megabytes * MEGABYTE;
    if (domain->bytes >= limit)
        return OK;
    if (text.len > limit - domain->bytes)
        text.len = utf8_floor(text, limit - domain->bytes);
    return measure(report, domain, text, error);
}

static status add_file(struct report *report, const char *path, struct error *error)
{
    struct file_bytes bytes;
    const char *slash = strrchr(path, '/');
    TRY(file_map(&bytes, path, error));
    struct view text = {bytes.len ? (const char *)bytes.data : "", bytes.len};
    status result = add_text(report, text, slash ? slash + 1 : path, true, error);
    file_unmap(&bytes);
    return result;
}

static status add_corpus(struct report *report, struct error *error)
{
    struct corpus *corpus;
    TRY(corpus_open(&corpus, report->corpus, report->arena, error));
    status result = OK;
    for (size_t i = 0; i < corpus_count(corpus) && result == OK; i++) {
        const struct document *document = corpus_document(corpus, i);
        result = add_text(report, document->text, document->source,
                          !report->held_out || document->held_out, error);
    }
    corpus_close(corpus);
    return result;
}

/* ---- what is shown ---- */

/* A row for each language. */
static status add_totals(struct report *report, struct error *error)
{
    size_t count = report->domain_count;
    for (size_t d = 0; d < count; d++) {
        const struct domain from = report->domains[d];
        struct domain *total;
        TRY(find_domain(&total, report, "all", from.language, error));
        total->bytes += from.bytes;
        total->characters += from.characters;
        total->words += from.words;
        total->yo_words += from.yo_words;
        total->digits += from.digits;
        for (size_t i = 0; i < report->candidate_count; i++) {
            total->packed[i].tokens += from.packed[i].tokens;
            total->packed[i].upper += from.packed[i].upper;
            total->packed[i].folded += from.packed[i].folded;
            total->packed[i].numbers += from.packed[i].numbers;
        }
    }
    return OK;
}

static double ratio(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : 0;
}

/* Tokens that a word costs more for its ё. */
static double yo_cost(const struct domain *domain, const struct packed *packed)
{
    double more = (double)packed->tokens - (double)packed->folded;
    return domain->yo_words ? more / (double)domain->yo_words : 0;
}

static void print_json(const struct report *report)
{
    for (size_t d = 0; d < report->domain_count; d++)
        for (size_t i = 0; i < report->candidate_count; i++) {
            const struct domain *domain = &report->domains[d];
            const struct packed *packed = &domain->packed[i];
            printf("{\"tokenizer\": ");
            cli_print_json_string(report->candidates[i].name);
            printf(", \"domain\": ");
            cli_print_json_string(domain->name);
            printf(", \"language\": \"%s\", \"bytes\": %llu, \"characters\": %llu, \"tokens\": "
                   "%llu, \"characters_per_token\": %.4f, \"upper_case_ratio\": %.4f, "
                   "\"yo_word_share\": %.5f, \"yo_tokens_per_word\": %.3f, "
                   "\"digits_per_token\": %.3f}\n",
                   domain->language, (unsigned long long)domain->bytes,
                   (unsigned long long)domain->characters, (unsigned long long)packed->tokens,
                   ratio(domain->characters, packed->tokens), ratio(packed->upper, packed->tokens),
                   ratio(domain->yo_words, domain->words), yo_cost(domain, packed),
                   ratio(domain->digits, packed->numbers));
        }
}

enum column { COLUMN_PACKING, COLUMN_UPPER, COLUMN_YO, COLUMN_DIGITS, COLUMN_COUNT };

static double cell(const struct domain *domain, size_t candidate, enum column column)
{
    const struct packed *packed = &domain->packed[candidate];
    switch (column) {
    case COLUMN_PACKING:
        return ratio(domain->characters, packed->tokens);
    case COLUMN_UPPER:
        return ratio(packed->upper, packed->tokens);
    case COLUMN_YO:
        return yo_cost(domain, packed);
    case COLUMN_DIGITS:
    case COLUMN_COUNT:
        break;
    }
    return ratio(domain->digits, packed->numbers);
}

static void print_table(const struct report *report, enum column column)
{
    static const char *const titles[COLUMN_COUNT] = {
        "characters per token", "tokens in UPPER CASE, times those of the text as it is",
        "tokens that a word with ё costs more than with е", "digits per token"};
    printf("%s%s\n%-28s %-4s %9s", column ? "\n" : "", titles[column], "domain", "", "MB");
    for (size_t i = 0; i < report->candidate_count; i++)
        printf(" %14.14s", report->candidates[i].name);
    printf("%s\n", column == COLUMN_YO ? "    share of words" : "");
    for (size_t d = 0; d < report->domain_count; d++) {
        const struct domain *domain = &report->domains[d];
        if ((column == COLUMN_YO && !domain->yo_words) ||
            (column == COLUMN_DIGITS && !domain->digits))
            continue;
        printf("%-28.28s %-4s %9.2f", domain->name, domain->language,
               (double)domain->bytes / MEGABYTE);
        for (size_t i = 0; i < report->candidate_count; i++)
            printf(" %14.3f", cell(domain, i, column));
        if (column == COLUMN_YO)
            printf(" %16.3f %%", 100 * ratio(domain->yo_words, domain->words));
        printf("\n");
    }
}

/* Single bytes and special tokens are there for what may come. */
static bool is_dead(const struct report *report, uint32_t id)
{
    const struct tokenizer *tokenizer = report->candidates[0].tokenizer;
    return !report->seen[id] && !tokenizer_is_special(tokenizer, id) &&
           tokenizer_bytes(tokenizer, id).len > 1;
}

/* As text where it is text, else in the printable alphabet. */
static status print_token(struct report *report, uint32_t id, struct error *error)
{
    const struct tokenizer *tokenizer = report->candidates[0].tokenizer;
    struct view bytes = tokenizer_bytes(tokenizer, id);
    buffer_clear(&report->changed);
    if (utf8_valid(bytes) && !memchr(bytes.data, 0, bytes.len))
        TRY(buffer_append(&report->changed, bytes.data, bytes.len, error));
    else
        TRY(tokenizer_printable(&report->changed, tokenizer, id, error));
    cli_print_json_string(report->changed.data);
    return OK;
}

static status print_dead(struct report *report, struct error *error)
{
    uint32_t vocabulary = tokenizer_vocabulary(report->candidates[0].tokenizer), dead = 0;
    uint32_t shown = 0;
    for (uint32_t id = 0; id < vocabulary; id++)
        dead += is_dead(report, id);
    printf(report->json ? "{\"dead_tokens\": %u, \"vocabulary\": %u, \"bytes\": %llu, "
                          "\"examples\": ["
                        : "\ndead tokens: %u of %u, never produced by %llu bytes",
           dead, vocabulary, (unsigned long long)report->seen_bytes);
    for (uint32_t id = 0; id < vocabulary; id++) {
        if (!is_dead(report, id) || (!report->all_dead && shown == DEAD_SHOWN))
            continue;
        printf("%s", report->json ? (shown ? ", " : "") : (shown ? " " : ": "));
        TRY(print_token(report, id, error));
        shown++;
    }
    printf("%s\n", report->json ? "]}" : dead > shown ? " ..." : "");
    return OK;
}

/* ---- the command ---- */

static status open_candidate(struct report *report, const char *path, struct error *error)
{
    if (report->candidate_count == TOKENIZERS_MAX)
        return fail(error, ERR_USAGE, "more than %d tokenizers", TOKENIZERS_MAX);
    struct candidate *candidate = &report->candidates[report->candidate_count];
    const char *slash = strrchr(path, '/');
    (void)snprintf(candidate->name, NAME_BYTES, "%s", slash ? slash + 1 : path);
    char *end = strstr(candidate->name, ".json");
    if (end && end != candidate->name)
        *end = 0;
    TRY(tokenizer_load(&candidate->tokenizer, path, report->arena, error));
    TRY(tokenizer_encoder_create(&candidate->encoder, candidate->tokenizer, report->arena, error));
    report->candidate_count++;
    return OK;
}

static status gather(struct report *report, const struct options_result *options,
                     struct error *error)
{
    TRY(open_candidate(report, report->tokenizer, error));
    for (size_t i = 0; i < report->compare.count; i++)
        TRY(open_candidate(report, report->compare.items[i], error));
    TRY(language_open_own(&report->languages, report->arena, error));
    TRY_ALLOC(report->domains, report->arena, DOMAINS_MAX, error);
    TRY_ALLOC(report->seen, report->arena, tokenizer_vocabulary(report->candidates[0].tokenizer),
              error);
    if (report->corpus)
        TRY(add_corpus(report, error));
    for (size_t i = 0; i < options->positional_count; i++)
        TRY(add_file(report, options->positional[i], error));
    TRY(add_totals(report, error));
    if (!report->json)
        for (enum column column = 0; column < COLUMN_COUNT; column++)
            print_table(report, column);
    else
        print_json(report);
    return print_dead(report, error);
}

int tokenizer_report(int argc, char **argv, struct arena *arena)
{
    struct report report = {.arena = arena, .megabytes = 8};
    const struct option table[] = {
        {"tokenizer", OPTION_STRING, &report.tokenizer, 0, 0, "FILE", "tokenizer.json (needed)"},
        {"compare", OPTION_LIST, &report.compare, 0, 0, "FILE",
         "another tokenizer.json, or a table of ranks; may be given seven times"},
        {"corpus", OPTION_STRING, &report.corpus, 0, 0, "DIR",
         "documents of a corpus, by source and language"},
        {"held-out", OPTION_FLAG, &report.held_out, 0, 0, NULL,
         "measure held-out documents only; dead tokens are those of all documents"},
        {"megabytes", OPTION_INT, &report.megabytes, 1, 100000, "N",
         "measure at most N megabytes of a domain (default 8)"},
        {"dead", OPTION_FLAG, &report.all_dead, 0, 0, NULL,
         "list all dead tokens, not the first 20"},
        {"json", OPTION_FLAG, &report.json, 0, 0, NULL, "one JSON object a line"},
    };
    const struct command_help help = {
        "rodnik tokenizer report --tokenizer FILE [options] [--corpus DIR] [TEXT-FILE...]",
        "Measures how a vocabulary packs texts, by domain (a source or a file) and language, "
        "beside "
        "others:\ncharacters per token, what upper case and ё cost, digits per token; and which "
        "tokens no text produces.",
        "  rodnik tokenizer report --tokenizer tokenizer.json --corpus out/corpus --held-out\n"
        "  rodnik tokenizer report --tokenizer tokenizer.json --compare o200k_base.json law.txt",
        NULL};
    struct options_result options;
    struct error error = {0};
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    tokens_create(&report.tokens, TOKENIZER_TEXT_BYTES_MAX);
    buffer_create(&report.changed, SIZE_MAX / 4);
    if (!report.tokenizer || (!report.corpus && !options.positional_count))
        (void)!fail(&error, ERR_USAGE, "--tokenizer FILE and a text or --corpus DIR are needed");
    else
        (void)!gather(&report, &options, &error);
    for (size_t i = 0; i < report.candidate_count; i++)
        tokenizer_encoder_destroy(report.candidates[i].encoder);
    buffer_destroy(&report.changed);
    tokens_destroy(&report.tokens);
    return error.code ? cli_fail("tokenizer report", &error) : 0;
}
