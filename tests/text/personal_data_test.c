/* Recall and precision on texts with marked personal data, and how often prose is taken for such.
 * The data lie in ../shared/data or in $RODNIK_DATA; without them the tests are skipped. */
#include "support.h"

#include <cjson/cJSON.h>
#include <time.h>
#include <zstd.h>

#include "base/arena.h"
#include "base/file.h"
#include "text/personal.h"
#include "text/unicode.h"

enum { FILE_BYTES_MAX = 1 << 27, PROSE_BYTES_MAX = 8000000 };

/* ---- files ---- */

/* The unpacked file in the arena, or skips. */
static struct view data_file(struct arena *arena, const char *name)
{
    struct error error = {0};
    const char *folder = getenv("RODNIK_DATA");
    char path[PATH_BYTES];
    assert_ok(path_join(path, sizeof path, folder ? folder : "../shared/data", name, &error),
              error);
    struct file_bytes packed;
    if (file_map(&packed, path, &error) != OK)
        skip_because("%s is not here", path);
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 27);
    char *text = arena_alloc(arena, FILE_BYTES_MAX, 1, &error);
    assert_non_null(text);
    ZSTD_inBuffer in = {packed.data, packed.len, 0};
    ZSTD_outBuffer out = {text, FILE_BYTES_MAX, 0};
    size_t left = 1;
    while (in.pos < in.size && out.pos < out.size && !ZSTD_isError(left))
        left = ZSTD_decompressStream(context, &out, &in);
    assert_false(ZSTD_isError(left));
    ZSTD_freeDCtx(context);
    file_unmap(&packed);
    return (struct view){text, out.pos};
}

static const char *string_of(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    assert_true(cJSON_IsString(item));
    return item->valuestring;
}

static size_t number_of(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    assert_true(cJSON_IsNumber(item));
    return (size_t)item->valuedouble;
}

/* ---- scores ---- */

struct score {
    size_t found, missed, wrong; /* marked spans, and findings where nothing is marked */
};

static double share(size_t part, size_t rest)
{
    return part + rest ? 100.0 * (double)part / (double)(part + rest) : 100;
}

static void print_scores(const char *title, const struct score scores[PERSONAL_TYPES])
{
    for (int i = 0; i < PERSONAL_TYPES; i++) {
        const struct score *score = &scores[i];
        if (score->found + score->missed + score->wrong)
            print_message("%s %-16s %5zu marked, recall %6.2f %%, precision %6.2f %%\n", title,
                          personal_type_name((enum personal_type)i), score->found + score->missed,
                          share(score->found, score->missed), share(score->found, score->wrong));
    }
}

static enum personal_type type_of_label(const char *label)
{
    static const struct {
        const char *label;
        enum personal_type type;
    } table[] = {
        {"PERSON", PERSONAL_PERSON},
        {"PHONE", PERSONAL_PHONE},
        {"PHONE_NUMBER", PERSONAL_PHONE},
        {"DATE_OF_BIRTH", PERSONAL_BIRTH_DATE},
        {"SNILS", PERSONAL_SNILS},
        {"PASSPORT", PERSONAL_PASSPORT},
        {"ADDRESS", PERSONAL_ADDRESS},
        {"CARD", PERSONAL_CARD},
        {"CREDIT_CARD", PERSONAL_CARD},
        {"MED_RECORD", PERSONAL_MEDICAL_RECORD},
        {"EMAIL", PERSONAL_EMAIL},
        {"EMAIL_ADDRESS", PERSONAL_EMAIL},
        {"INN_PERSON", PERSONAL_INN},
        {"OMS_POLICY", PERSONAL_OMS},
        {"OGRNIP", PERSONAL_OGRNIP},
        {"IP", PERSONAL_IP},
        {"IP_ADDRESS", PERSONAL_IP},
        {"BANK_ACCOUNT", PERSONAL_ACCOUNT},
        {"BIK", PERSONAL_BIK},
        {"US_SSN", PERSONAL_SSN},
        {"SSN", PERSONAL_SSN},
        {"IBAN_CODE", PERSONAL_IBAN},
        {"IBAN", PERSONAL_IBAN},
        {"DOMAIN_NAME", PERSONAL_URL},
        {"US_DRIVER_LICENSE", PERSONAL_DRIVER_LICENCE},
        {"DRIVER_LICENSE", PERSONAL_DRIVER_LICENCE},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].label, label) == 0)
            return table[i].type;
    }
    return PERSONAL_TYPES;
}

/* The byte at which the character `index` of the text begins. */
static size_t byte_of(const char *text, size_t index)
{
    size_t at = 0;
    for (; text[at] && index > 0; index--) {
        at++;
        while (((unsigned char)text[at] & 0xC0) == 0x80)
            at++;
    }
    return at;
}

/* Bytes that both have. */
static size_t overlap(const struct personal_finding *finding, size_t start, size_t end)
{
    size_t from = finding->start > start ? finding->start : start;
    size_t to = finding->end < end ? finding->end : end;
    return to > from ? to - from : 0;
}

/* A marked span is found when a finding of its type covers half of it or more; a finding is wrong
 * when no marked span of its type touches it. */
static void score_text(struct score scores[PERSONAL_TYPES], const cJSON *record,
                       const struct personal_findings *findings)
{
    const char *text = string_of(record, "text");
    const cJSON *span, *spans = cJSON_GetObjectItemCaseSensitive(record, "spans");
    bool *touched = test_calloc(findings->count + 1, sizeof *touched);
    cJSON_ArrayForEach(span, spans)
    {
        enum personal_type type = type_of_label(string_of(span, "label"));
        size_t start = byte_of(text, number_of(span, "start"));
        size_t end = byte_of(text, number_of(span, "end"));
        bool found = false;
        for (size_t i = 0; i < findings->count && type < PERSONAL_TYPES; i++) {
            const struct personal_finding *finding = personal_finding_at(findings, i);
            size_t both = finding->type == type ? overlap(finding, start, end) : 0;
            found |= 2 * both >= end - start;
            touched[i] |= both > 0;
        }
        if (type < PERSONAL_TYPES)
            *(found ? &scores[type].found : &scores[type].missed) += 1;
    }
    for (size_t i = 0; i < findings->count; i++)
        scores[personal_finding_at(findings, i)->type].wrong += !touched[i];
    test_free(touched);
}

static void score_file(struct score scores[PERSONAL_TYPES], const char *name)
{
    struct error error = {0};
    struct arena *arena;
    struct personal_findings findings;
    assert_ok(arena_create(&arena, 0, &error), error);
    struct view line, rest = data_file(arena, name);
    personal_findings_create(&findings);
    memset(scores, 0, PERSONAL_TYPES * sizeof *scores);
    while (view_line(&line, &rest)) {
        cJSON *record = cJSON_ParseWithLength(line.data, line.len);
        assert_non_null(record);
        assert_ok(personal_scan(&findings, view_of(string_of(record, "text")), PERSONAL_ALL,
                                PERSONAL_CONFIDENCE_MIN, &error),
                  error);
        score_text(scores, record, &findings);
        cJSON_Delete(record);
    }
    personal_findings_destroy(&findings);
    arena_destroy(arena);
    print_scores(name, scores);
}

static void check_score(const struct score *score, enum personal_type type, double recall,
                        double precision)
{
    if (share(score->found, score->missed) < recall ||
        share(score->found, score->wrong) < precision)
        fail_msg("%s: recall %.2f %%, wanted %.0f; precision %.2f %%, wanted %.0f",
                 personal_type_name(type), share(score->found, score->missed), recall,
                 share(score->found, score->wrong), precision);
}

/* ---- tests ---- */

static void russian_texts_with_marked_personal_data(void **state)
{
    (void)state;
    struct score scores[PERSONAL_TYPES];
    score_file(scores, "pii/ru_pii_synth.jsonl.zst");
    static const enum personal_type checked[] = {
        PERSONAL_SNILS, PERSONAL_INN,     PERSONAL_OGRNIP, PERSONAL_CARD, PERSONAL_PHONE,
        PERSONAL_EMAIL, PERSONAL_ACCOUNT, PERSONAL_BIK,    PERSONAL_OMS,  PERSONAL_PASSPORT};
    for (size_t i = 0; i < sizeof checked / sizeof *checked; i++)
        check_score(&scores[checked[i]], checked[i], 98, 97);
    check_score(&scores[PERSONAL_PERSON], PERSONAL_PERSON, 95, 97);
    check_score(&scores[PERSONAL_ADDRESS], PERSONAL_ADDRESS, 95, 97);
    /* a fifth of these dates stand in a log without a word about birth */
    check_score(&scores[PERSONAL_BIRTH_DATE], PERSONAL_BIRTH_DATE, 79, 97);
}

/* Some addresses and numbers of this set are not marked, so that precision is asked only where
 * they all are. */
static void english_texts_with_marked_personal_data(void **state)
{
    (void)state;
    struct score scores[PERSONAL_TYPES];
    score_file(scores, "pii/en_pii.jsonl.zst");
    check_score(&scores[PERSONAL_CARD], PERSONAL_CARD, 98, 97);
    check_score(&scores[PERSONAL_PHONE], PERSONAL_PHONE, 98, 97);
    check_score(&scores[PERSONAL_EMAIL], PERSONAL_EMAIL, 98, 90);
    check_score(&scores[PERSONAL_IP], PERSONAL_IP, 98, 97);
    check_score(&scores[PERSONAL_URL], PERSONAL_URL, 98, 97);
    check_score(&scores[PERSONAL_SSN], PERSONAL_SSN, 95, 85);
    check_score(&scores[PERSONAL_PERSON], PERSONAL_PERSON, 35, 90);
}

/* Whether a finding of type a or b covers the text from `from` to its end. */
static bool finds(struct personal_findings *findings, const char *text, size_t from,
                  enum personal_type a, enum personal_type b)
{
    struct error error = {0};
    assert_ok(personal_scan(findings, view_of(text), PERSONAL_ALL, PERSONAL_CONFIDENCE_MIN, &error),
              error);
    for (size_t i = 0; i < findings->count; i++) {
        const struct personal_finding *finding = personal_finding_at(findings, i);
        if ((finding->type == a || finding->type == b) && finding->start == from &&
            finding->end == strlen(text))
            return true;
    }
    return false;
}

static void identifiers_right_and_wrong_beside_their_word_and_bare(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *word;
        enum personal_type a, b;
        double bare_recall; /* INN of ten digits are not taken without a word */
    } kinds[] = {{"inn", "ИНН ", PERSONAL_INN, PERSONAL_INN_ORG, 45},
                 {"ogrn", "ОГРН ", PERSONAL_OGRN, PERSONAL_OGRNIP, 98},
                 {"snils", "СНИЛС ", PERSONAL_SNILS, PERSONAL_SNILS, 98},
                 {"card_luhn", "карта ", PERSONAL_CARD, PERSONAL_CARD, 98}};
    struct error error = {0};
    struct arena *arena;
    struct personal_findings findings;
    struct score scores[2][4] = {0};
    assert_ok(arena_create(&arena, 0, &error), error);
    personal_findings_create(&findings);
    struct view line, rest = data_file(arena, "pii/ids.jsonl.zst");
    while (view_line(&line, &rest)) {
        cJSON *record = cJSON_ParseWithLength(line.data, line.len);
        assert_non_null(record);
        bool valid = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(record, "valid"));
        for (int k = 0; k < 4; k++) {
            if (strcmp(kinds[k].kind, string_of(record, "kind")) != 0)
                continue;
            for (int bare = 0; bare < 2; bare++) {
                char text[128];
                const char *word = bare ? "" : kinds[k].word;
                snprintf(text, sizeof text, "%s%s", word, string_of(record, "value"));
                bool found = finds(&findings, text, strlen(word), kinds[k].a, kinds[k].b);
                struct score *score = &scores[bare][k];
                score->found += valid && found;
                score->missed += valid && !found;
                score->wrong += !valid && found;
            }
        }
        cJSON_Delete(record);
    }
    for (int k = 0; k < 4; k++) {
        for (int bare = 0; bare < 2; bare++) {
            const struct score *score = &scores[bare][k];
            print_message("%-9s %s: %zu right ones, recall %.2f %%, precision %.2f %%\n",
                          kinds[k].kind, bare ? "bare" : "beside its word",
                          score->found + score->missed, share(score->found, score->missed),
                          share(score->found, score->wrong));
            check_score(score, kinds[k].a, bare ? kinds[k].bare_recall : 98, 97);
        }
    }
    personal_findings_destroy(&findings);
    arena_destroy(arena);
}

/* Of this thread, so that other work on the machine does not count. */
static double processor_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Findings a megabyte of what nobody hides in such texts, and speed. */
static void check_prose(const char *name, double numbers_max, double persons_max)
{
    struct error error = {0};
    struct arena *arena;
    struct personal_findings findings;
    size_t counts[PERSONAL_TYPES] = {0}, bytes = 0;
    double seconds = 0;
    assert_ok(arena_create(&arena, 0, &error), error);
    personal_findings_create(&findings);
    struct view line, rest = data_file(arena, name);
    while (view_line(&line, &rest) && bytes < PROSE_BYTES_MAX) {
        cJSON *record = cJSON_ParseWithLength(line.data, line.len);
        assert_non_null(record);
        struct view text = view_of(string_of(record, "text"));
        double start = processor_s();
        assert_ok(personal_scan(&findings, text, PERSONAL_ALL, PERSONAL_CONFIDENCE_MIN, &error),
                  error);
        seconds += processor_s() - start;
        bytes += text.len;
        for (size_t i = 0; i < findings.count; i++)
            counts[personal_finding_at(&findings, i)->type]++;
        cJSON_Delete(record);
    }
    personal_findings_destroy(&findings);
    arena_destroy(arena);
    double megabytes = (double)bytes * 1e-6, numbers = 0;
    print_message("%s: %.1f MB at %.0f MB/s, findings a megabyte:", name, megabytes,
                  megabytes / seconds);
    for (int i = 0; i < PERSONAL_TYPES; i++) {
        bool number = i != PERSONAL_PERSON && i != PERSONAL_URL && i != PERSONAL_EMAIL &&
                      i != PERSONAL_IP && i != PERSONAL_BIRTH_DATE && i != PERSONAL_ADDRESS;
        numbers += number ? (double)counts[i] / megabytes : 0;
        if (counts[i])
            print_message(" %s %.2f", personal_type_name((enum personal_type)i),
                          (double)counts[i] / megabytes);
    }
    print_message("\n");
    if (numbers > numbers_max || (double)counts[PERSONAL_PERSON] / megabytes > persons_max)
        fail_msg("%s: %.2f numbers a megabyte, allowed are %.2f; %.2f persons, allowed are %.2f",
                 name, numbers, numbers_max, (double)counts[PERSONAL_PERSON] / megabytes,
                 persons_max);
}

static void prose_and_laws_are_not_taken_for_personal_data(void **state)
{
    (void)state;
    check_prose("pretrain/ru_law.jsonl.zst", 0.2, 3);
    check_prose("pretrain/ru_classics.jsonl.zst", 0.2, 1000); /* of named people */
    check_prose("pretrain/ru_techdocs.jsonl.zst", 1, 40);
    check_prose("pretrain/ru_news.jsonl.zst", 2, 1500);
    check_prose("pretrain/en_misc.jsonl.zst", 0.5, 300);
}

/* ---- names drawn evenly from long lists, most of them rare ---- */

enum { NAMES_MAX = 120000, DRAWN = 3000 };
struct name_list {
    struct view names[2][NAMES_MAX]; /* of men, of women */
    size_t counts[2];
};

/* The first column with one capital, by gender in the second: мр, жр or мр-жр. */
static struct name_list *read_names(struct arena *arena, const char *file)
{
    struct error error = {0};
    struct name_list *list = arena_alloc(arena, 1, sizeof *list, &error);
    assert_non_null(list);
    struct view line, rest = data_file(arena, file);
    assert_true(view_line(&line, &rest));
    while (view_line(&line, &rest)) {
        const char *tab = memchr(line.data, '\t', line.len);
        assert_non_null(tab);
        struct view gender = {tab + 1, line.len - (size_t)(tab + 1 - line.data)};
        char *name = arena_alloc(arena, 1, 2 * line.len + 1, &error);
        assert_non_null(name);
        size_t len = 0;
        bool first = true;
        for (size_t at = 0; at < (size_t)(tab - line.data);) {
            uint32_t code_point;
            at += utf8_decode(&code_point, line.data + at, line.len - at);
            len += utf8_encode(name + len, first ? code_point : unicode_to_lower(code_point));
            first = code_point == '-';
        }
        for (int g = 0; g < 2; g++) {
            bool of = memmem(gender.data, gender.len, g ? "жр" : "мр", strlen("жр")) != NULL;
            if (of && list->counts[g] < NAMES_MAX)
                list->names[g][list->counts[g]++] = (struct view){name, len};
        }
    }
    return list;
}

static const char *draw(const struct name_list *list, int gender, uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return list->names[gender][(*seed >> 20) % list->counts[gender]].data;
}

/* Share of names of which at least half is found; S, G, P stand for surname, given name,
 * patronymic, I and J for the initials of the latter two. */
static double drawn_share(const struct name_list *const lists[3], const char *pattern)
{
    static const char *const frames[][2] = {{"вчера ", " пришёл домой"},
                                            {"Заявитель: ", ", тел."},
                                            {"в списке есть ", " и другие"},
                                            {"(", ")"}};
    struct error error = {0};
    struct personal_findings findings;
    uint64_t seed = 3;
    int found = 0;
    personal_findings_create(&findings);
    for (int i = 0; i < DRAWN; i++) {
        char name[512] = "", text[1024];
        int gender = i % 2;
        for (const char *part = pattern; *part; part++) {
            int which = *part == 'S' ? 0 : *part == 'G' || *part == 'I' ? 1 : 2;
            const char *drawn = draw(lists[which], gender, &seed);
            char initial[8];
            snprintf(initial, sizeof initial, "%.2s.", drawn);
            strcat(strcat(name, part > pattern ? " " : ""),
                   *part == 'I' || *part == 'J' ? initial : drawn);
        }
        snprintf(text, sizeof text, "%s%s%s", frames[i % 4][0], name, frames[i % 4][1]);
        assert_ok(
            personal_scan(&findings, view_of(text), PERSONAL_ALL, PERSONAL_CONFIDENCE_MIN, &error),
            error);
        size_t start = strlen(frames[i % 4][0]);
        bool half = false;
        for (size_t k = 0; k < findings.count; k++) {
            const struct personal_finding *finding = personal_finding_at(&findings, k);
            half |= finding->type == PERSONAL_PERSON &&
                    2 * overlap(finding, start, start + strlen(name)) >= strlen(name);
        }
        found += half;
    }
    personal_findings_destroy(&findings);
    return 100.0 * found / DRAWN;
}

static void names_drawn_from_long_lists(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        double wanted;
    } patterns[] = {{"SGP", 98}, {"GPS", 98}, {"GP", 98}, {"IJS", 98},
                    {"SIJ", 98}, {"GS", 70},  {"SG", 70}};
    struct error error = {0};
    struct arena *arena;
    assert_ok(arena_create(&arena, 0, &error), error);
    const struct name_list *lists[3] = {read_names(arena, "pii/surnames_ru.tsv.zst"),
                                        read_names(arena, "pii/firstnames_ru.tsv.zst"),
                                        read_names(arena, "pii/patronymics_ru.tsv.zst")};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        double share_found = drawn_share(lists, patterns[i].pattern);
        print_message("names drawn, %-3s: recall %.1f %%\n", patterns[i].pattern, share_found);
        if (share_found < patterns[i].wanted)
            fail_msg("%s: %.1f %% found, wanted %.0f", patterns[i].pattern, share_found,
                     patterns[i].wanted);
    }
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(russian_texts_with_marked_personal_data),
        cmocka_unit_test(english_texts_with_marked_personal_data),
        cmocka_unit_test(identifiers_right_and_wrong_beside_their_word_and_bare),
        cmocka_unit_test(names_drawn_from_long_lists),
        cmocka_unit_test(prose_and_laws_are_not_taken_for_personal_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
