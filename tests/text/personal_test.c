#include "support.h"

#include "base/arena.h"
#include "text/personal_internal.h"
#include "text/unicode.h"

/* ---- what the text becomes ---- */

struct tools {
    struct personal_findings findings;
    struct buffer out;
    struct error error;
};

static void tools_create(struct tools *tools)
{
    personal_findings_create(&tools->findings);
    buffer_create(&tools->out, 1 << 26);
    tools->error = (struct error){0};
}

static void tools_destroy(struct tools *tools)
{
    personal_findings_destroy(&tools->findings);
    buffer_destroy(&tools->out);
}

/* The text with everything replaced, web addresses too. */
static const char *masked(struct tools *tools, const char *text)
{
    struct personal_policy policy = personal_policy_guard();
    struct personal_counts counts;
    assert_ok(personal_policy_change(&policy, view_of("all=replace"), &tools->error), tools->error);
    buffer_clear(&tools->out);
    assert_ok(personal_apply(&tools->out, &counts, &tools->findings, view_of(text), &policy,
                             &tools->error),
              tools->error);
    return tools->out.len ? tools->out.data : "";
}

struct pair {
    const char *text, *wanted; /* NULL: the text stays */
};

static void check_pairs(const struct pair *pairs, size_t count)
{
    struct tools tools;
    tools_create(&tools);
    int wrong = 0;
    for (size_t i = 0; i < count; i++) {
        const char *wanted = pairs[i].wanted ? pairs[i].wanted : pairs[i].text;
        const char *got = masked(&tools, pairs[i].text);
        if (strcmp(got, wanted) != 0) {
            print_error("text   %s\nwanted %s\ngot    %s\n", pairs[i].text, wanted, got);
            wrong++;
        }
    }
    tools_destroy(&tools);
    assert_int_equal(wrong, 0);
}
#define CHECK_PAIRS(pairs) check_pairs(pairs, sizeof(pairs) / sizeof *(pairs))

static void russian_identifiers_with_right_control_digits_are_found(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"Мой ИНН 500100200303, спасибо", "Мой ИНН [INN], спасибо"},
        {"ИНН/КПП 7700000016/770101001", "ИНН/КПП [INN_ORG]/770101001"},
        {"инн: 5001 0020 0303.", "инн: [INN]."},
        {"Номер СНИЛС 112.233.445.95", "Номер СНИЛС [SNILS]"},
        {"Полис обязательного медицинского страхования № 1234567890123452",
         "Полис обязательного медицинского страхования № [OMS]"},
        {"ИНН организации — 7700000016.", "ИНН организации — [INN_ORG]."},
        {"СНИЛС 112-233-445 95", "СНИЛС [SNILS]"},
        {"СНИЛС: 11223344595", "СНИЛС: [SNILS]"},
        {"снилс 112 233 445 95 получен", "снилс [SNILS] получен"},
        {"без слов 112-233-445 95", "без слов [SNILS]"},
        {"ОГРН 1027700000019", "ОГРН [OGRN]"},
        {"ОГРНИП 304770000000127, тел. 8-926-850-56-03", "ОГРНИП [OGRNIP], тел. [PHONE]"},
        {"счёт 40817810200012345678 в банке (БИК 044525225)", "счёт [ACCOUNT] в банке (БИК [BIK])"},
        {"полис ОМС 1234567890123452", "полис ОМС [OMS]"},
        {"полис 1234 5678 9012 3452", "полис [OMS]"},
        {"паспорт 45 10 123456 выдан", "паспорт [PASSPORT] выдан"},
        {"паспорт серии 4510 номер 123456", "паспорт серии [PASSPORT]"},
        {"документ 4510№123456", "документ [PASSPORT]"},
        {"Иванов Иван Иванович 4510 123456", "[PERSON] [PASSPORT]"},
        {"загранпаспорт 71 1234567", "загранпаспорт [PASSPORT]"},
        {"водительское удостоверение 77 12 345678", "водительское удостоверение [DRIVER_LICENCE]"},
        {"водительское удостоверение 77 УЕ 345678", "водительское удостоверение [DRIVER_LICENCE]"},
        {"машина А123ВС77 стоит", "машина [PLATE] стоит"},
        {"машина А 123 ВС 777", "машина [PLATE]"},
        {"госномер А123ВС", "госномер [PLATE]"},
        {"карта № 40780/26", "карта № [MEDICAL_RECORD]"},
        {"Диагноз: I10, E11.9", "Диагноз: [DIAGNOSIS], [DIAGNOSIS]"},
    };
    CHECK_PAIRS(pairs);
}

static void wrong_control_digits_and_other_numbers_stay(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"ИНН 500100200304", NULL},
        {"ИНН 7700000017", NULL},
        {"СНИЛС 112-233-445 96", NULL},
        {"ОГРН 1027700000018", NULL},
        {"ОГРНИП 304770000000128", NULL},
        {"7700000016 строк", NULL}, /* one number of eleven has right digits */
        {"КБК 18210102010011000110, ОКТМО 45382000", NULL},
        {"артикул 4601234567890, ОКВЭД 85.14, КПП 770101001", NULL},
        {"заказ № 4276000011112223", NULL},
        {"карта 4276000011112224", NULL},
        {"полиса 12345 рублей", NULL},
        {"4510 123456 штук", NULL},
        {"паспорт изделия РТ-12", NULL},
        {"0000000000, 111111111111, 00000000000", NULL},
        {"a1b2c3d4-500100200303", NULL},
        {"3.14159265358979323846", NULL},
        {"0,500100200303 и 12.500100200303", NULL},
        {"дома А123 и ВС77", NULL},
        {"код I10 в таблице", NULL},
        {"5f4dcc3b5aa765d61d8327deb882cf99", NULL},
        {"время 1700000000000 мс", NULL},
    };
    CHECK_PAIRS(pairs);
}

static void cards_need_luhn_and_an_issuer_or_words(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"карта 2200 1234 5678 9019", "карта [CARD]"},
        {"2200-1234-5678-9019", "[CARD]"},
        {"оплата 2200123456789019 не прошла", "оплата [CARD] не прошла"},
        {"Amex 3782 822463 10005", "Amex [CARD]"},
        {"2200 1234 5678 9018", NULL},
        {"1234567890123452", NULL},
        {"my card 1234567890123452", "my card [CARD]"},
        {"id=2200123456789019", NULL},
    };
    CHECK_PAIRS(pairs);
}

static void phones_in_the_forms_people_use(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"+7 (926) 850-56-03", "[PHONE]"},
        {"+79268505603!", "[PHONE]!"},
        {"8(926)850-56-03", "[PHONE]"},
        {"8 926 850-56-03", "[PHONE]"},
        {"8-926-850-56-03", "[PHONE]"},
        {"8 926 850 56 03", "[PHONE]"},
        {"8 (35231) 2-33-50", "[PHONE]"},
        {"+7\u00A0926\u00A0850\u201156\u201103", "[PHONE]"},
        {"89268505603", "[PHONE]"},
        {"звоните 9268505603", "звоните [PHONE]"},
        {"(495) 123-45-67", "[PHONE]"},
        {"тел. 2-33-50", "тел. [PHONE]"},
        {"тел.: 123-45-67, доб. 12", "тел.: [PHONE]"},
        {"+44 20 7946 0958", "[PHONE]"},
        {"+1-202-555-0143x123", "[PHONE]"},
        {"202-555-0143", "[PHONE]"},
        {"(202) 555-0143", "[PHONE]"},
        {"call me on 9472 7916 please", "call me on [PHONE] please"},
        {"416 60 039 office", "[PHONE] office"},
    };
    CHECK_PAIRS(pairs);
}

static void what_looks_like_a_phone_stays(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"заказ 89268505603 отправлен", NULL},
        {"8 926 850 рублей", NULL},
        {"телефон стоит 15 000 рублей", NULL},
        {"телефон стоит 1 200 000 рублей", NULL},
        {"позвонил 12.05.2020 в 12:30", NULL},
        {"с. 287–288 и 12-345", NULL},
        {"итого 8 123 456 789", NULL},
        {"8.926 850.56 03.11", NULL},
        {"12.5 13.75 14.125 15.0625 16.03125", NULL},
        {"горячая линия 122, с 8:00 до 20:00", NULL},
        {"2020-11-25 10:22:33.123456", NULL},
        {"x+79268505603y", NULL},
        {"ISBN 978-5-17-118366-4", NULL},
        {"+ 15 %, +2 °C, +100500", NULL},
    };
    CHECK_PAIRS(pairs);
}

static void addresses_of_mail_web_and_protocol(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"пишите на ivan.petrov@mail.ru.", "пишите на [EMAIL]."},
        {"<a_b+c@sub.example.co.uk>", "<[EMAIL]>"},
        {"почта@пример.рф", "[EMAIL]"},
        {"89268505603@mail.ru", "[EMAIL]"},
        {"ivanov [at] mail.ru, petrov(собака)mail.ru", "[EMAIL], [EMAIL]"},
        {"look (at) the sky, [at] example", NULL},
        {"mail.ru.Далее: x@mail.ru.Далее", "mail.ru.Далее: [EMAIL].Далее"},
        {"a@b, @name, user@host, foo@1.2.3, icon@2x.png, getty@tty1.service", NULL},
        {"git@github.com:user/repo", NULL},
        {"см. https://example.org/a_(b)?q=1.", "см. [URL]."},
        {"(www.example.org)", "([URL])"},
        {"https://example.org/?mail=a@example.org", "https://example.org/?mail=[EMAIL]"},
        {"http://, std::string, a://b", NULL},
        {"вход с адреса 113.233.249.69", "вход с адреса [IP]"},
        {"113.233.249.69", "[IP]"},
        {"6e40:4041:c617:e898:c11:40d2:c669:2eb4", "[IP]"},
        {"fe80::5054:ff:fe99", "[IP]"},
        {"версия 113.233.249.69, v10.20.30.40", NULL},
        {"п. 1.2.3.4 и 127.0.0.1, 255.255.255.0, 1.2.3.4.5, 256.1.1.1", NULL},
        {"12:30:45 ab:cd:ef std::a::b 00:50:bf:25:68:f3", NULL},
        {"IBAN GB82 WEST 1234 5698 7654 32", "IBAN [IBAN]"},
        {"DE89370400440532013000", "[IBAN]"},
        {"GB82WEST12345698765433", NULL},
    };
    CHECK_PAIRS(pairs);
}

static void american_numbers_and_documents(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"Here's my SSN: 460-89-9847", "Here's my SSN: [SSN]"},
        {"number 460-89-9847 is his", "number [SSN] is his"},
        {"social security number is 937-42-6810", "social security number is [SSN]"},
        {"937-42-6810, 000-12-3456, 666-12-3456, 460-00-1234", NULL},
        {"my driver's license number is F162823540116",
         "my driver's license number is [DRIVER_LICENCE]"},
        {"passport number XG9382049", "passport number [PASSPORT]"},
        {"order 460-89-9847", NULL},
        {"She was born on 2/8/1935", "She was born on [BIRTH_DATE]"},
    };
    CHECK_PAIRS(pairs);
}

static void dates_of_birth_and_addresses(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"дата рождения 15/01/2009", "дата рождения [BIRTH_DATE]"},
        {"15 марта 1950 г. рождения", "[BIRTH_DATE] рождения"},
        {"родился 1950-03-15", "родился [BIRTH_DATE]"},
        {"д.р. 05.05.1985, дата рождения: 05.05.85",
         "д.р. [BIRTH_DATE], дата рождения: [BIRTH_DATE]"},
        {"версия 05.05.85", NULL},
        {"прож. г. Казань, пр-т Победы, 15-23", "прож. [ADDRESS]"},
        {"Иванов И.И., 12.05.1980 г.р.", "[PERSON], [BIRTH_DATE] г.р."},
        {"от 27.07.2006 № 152-ФЗ, 15.12.2014, 23 ноября", NULL},
        {"Живу: 428000, г. Чебоксары, ул. Садовая, д. 64, кв. 3.", "Живу: [ADDRESS]."},
        {"проживает по адресу г. Урюпинск, Центральная ул., 56", "проживает по адресу [ADDRESS]"},
        {"Белгородская область, город Старый Оскол, улица Школьная, дом 142а", "[ADDRESS]"},
        {"в классе 25 учеников, школа № 1534, дом 5 этажей", NULL},
        {"улица длинная, 25 домов", NULL},
        {"площадь занимает 172, и ещё 14", NULL},
    };
    CHECK_PAIRS(pairs);
}

static void names_in_their_orders_and_cases(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"Иванов Иван Иванович", "[PERSON]"},
        {"ИВАНОВА АННА СЕРГЕЕВНА", "[PERSON]"},
        {"Анна Сергеевна Иванова", "[PERSON]"},
        {"видел Ивана Ивановича Петрова вчера", "видел [PERSON] вчера"},
        {"письмо Татьяне Геннадьевне", "письмо [PERSON]"},
        {"говорил с Игорем Кузнецовым", "говорил с [PERSON]"},
        {"Павла Ильича и Льва Толстого", "[PERSON] и [PERSON]"},
        {"И. И. Королёва, Петров А.С.", "[PERSON], [PERSON]"},
        {"А.С.Пушкин", "[PERSON]"},
        {"Д. С. Рабинович и Корневич Д.С.", "[PERSON] и [PERSON]"},
        {"Казея Андрей Викторович", "Казея [PERSON]"}, /* may be the sentence's first word */
        {"врач: Казея Андрей Викторович", "врач: [PERSON]"},
        {"Врач Наталья Ивановна Миронова назначила", "Врач [PERSON] назначила"},
        {"пациент Соколов пришёл", "пациент [PERSON] пришёл"},
        {"Mr. Smith met Mary Jane Watson", "Mr. [PERSON] met [PERSON]"},
        {"My name is Rubija", "My name is [PERSON]"},
        {"Faina D. Yefremova and John Brown", "[PERSON] and [PERSON]"},
        {"Jim\nSmithson Street", NULL},
        {"Сергею\u00A0Фёдоровичу", "[PERSON]"},
        {"Анна Викторовна\nСалтыков-Щедрин Михаил Евграфович", "[PERSON]\n[PERSON]"},
        {"видел Ивана\nПетровича, А.\nС. Пушкина", "видел [PERSON], [PERSON]"},
        {"гр-н Сидоров; г-жа Кузнецова", "гр-н [PERSON]; г-жа [PERSON]"},
        {"Магомедов М.-С. А.", "[PERSON]"},
        {"Абдуллаев Рустам Ахмед оглы", "[PERSON]"},
    };
    CHECK_PAIRS(pairs);
}

static void capitals_that_are_no_names_stay(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"Российская Федерация, Верховный Суд, Государственная Дума", NULL},
        {"Председатель Верховного Суда Российской Федерации", NULL},
        {"Когда Анна пришла, Вера ушла", NULL},
        {"ГЛАВА ПЕРВАЯ. ОСОБЕННОСТИ УГОЛОВНОЙ ОТВЕТСТВЕННОСТИ", NULL},
        {"Роман. Новый год. Мир и Любовь", NULL},
        {"заявителем подписи судьи. Дети и родители", NULL},
        {"New York, United States, The White House, Mr. President", NULL},
        {"т. е. А. Потом", NULL},
        {"США. Москва. СССР", NULL},
        {"P.O. Box 104", NULL},
    };
    CHECK_PAIRS(pairs);
}

static uint64_t random_below(uint64_t *seed, uint64_t limit)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (*seed >> 11) % limit;
}

/* One random line of a kind of column. */
static void column_line(char line[256], int kind, uint64_t *seed)
{
    unsigned long long r[6];
    for (int i = 0; i < 6; i++)
        r[i] = random_below(seed, kind == 2 ? 30 : kind == 6 ? UINT32_MAX : 10000000);
    unsigned ten = (unsigned)(r[0] % 12 + 1), day = (unsigned)(r[1] % 28 + 1);
    switch (kind) {
    case 0:
        snprintf(line, 256, "%llu.%03llu %llu.%03llu %llu.%03llu", r[0] % 10000, r[1] % 1000,
                 r[2] % 10000, r[3] % 1000, r[4] % 10000, r[5] % 1000);
        break;
    case 1:
        snprintf(line, 256, "%llu,%llu,%llu,%llu,%llu", r[0], r[1] % 1000, r[2], r[3] % 100, r[4]);
        break;
    case 2:
        snprintf(line, 256, "пакет %llu.%llu.%llu-%llu", r[0], r[1], r[2], r[3]);
        break;
    case 3:
        snprintf(line, 256, "2024-%02u-%02u %02llu:%02llu:%02llu.%06llu", ten, day, r[2] % 24,
                 r[3] % 60, r[4] % 60, r[5] % 1000000);
        break;
    case 4:
        snprintf(line, 256, "итого %llu %03llu %03llu руб. за %llu шт.", r[0] % 1000, r[1] % 1000,
                 r[2] % 1000, r[3] % 100);
        break;
    case 5:
        snprintf(line, 256, "Заказ № %llu%04llu от %02u.%02u.2024", 1000000 + r[0], r[1] % 10000,
                 day, ten);
        break;
    default:
        snprintf(line, 256, "%08llx-%04llx-%04llx-%04llx-%08llx%04llx", r[0], r[1] & 0xFFFF,
                 r[2] & 0xFFFF, r[3] & 0xFFFF, r[4], r[5] & 0xFFFF);
    }
}

static void columns_of_numbers_are_seldom_taken_for_personal_data(void **state)
{
    (void)state;
    static const char *const kinds[] = {"decimals", "integers", "versions", "times with dates",
                                        "prices",   "orders",   "UUIDs"};
    enum { LINES = 100000, KINDS = sizeof kinds / sizeof *kinds };
    struct tools tools;
    struct buffer text;
    uint64_t seed = 5;
    tools_create(&tools);
    buffer_create(&text, 1 << 26);
    for (int kind = 0; kind < KINDS; kind++) {
        buffer_clear(&text);
        for (int i = 0; i < LINES; i++) {
            char line[256];
            column_line(line, kind, &seed);
            assert_ok(buffer_format(&text, &tools.error, "%s\n", line), tools.error);
        }
        assert_ok(personal_scan(&tools.findings, (struct view){text.data, text.len}, PERSONAL_ALL,
                                PERSONAL_CONFIDENCE_MIN, &tools.error),
                  tools.error);
        print_message("%d lines of %s: %zu findings\n", LINES, kinds[kind], tools.findings.count);
        assert_true(tools.findings.count <= LINES / 2000);
    }
    buffer_destroy(&text);
    tools_destroy(&tools);
}

/* ---- the list of findings ---- */

static void findings_are_in_order_apart_and_cut_at_characters(void **state)
{
    (void)state;
    struct tools tools;
    tools_create(&tools);
    const char *text = "Иванов И.И., тел. +7 (926) 850-56-03, ИНН 500100200303, a@example.org";
    assert_ok(personal_scan(&tools.findings, view_of(text), PERSONAL_ALL, 50, &tools.error),
              tools.error);
    assert_int_equal(tools.findings.count, 4);
    size_t end = 0;
    static const enum personal_type wanted[] = {PERSONAL_PERSON, PERSONAL_PHONE, PERSONAL_INN,
                                                PERSONAL_EMAIL};
    for (size_t i = 0; i < tools.findings.count; i++) {
        const struct personal_finding *finding = personal_finding_at(&tools.findings, i);
        assert_int_equal(finding->type, wanted[i]);
        assert_true(finding->start >= end && finding->end > finding->start);
        assert_int_equal(utf8_floor(view_of(text), finding->start), finding->start);
        assert_int_equal(utf8_floor(view_of(text), finding->end), finding->end);
        assert_true(finding->confidence >= 50 && finding->confidence <= 99);
        end = finding->end;
    }
    assert_int_equal(personal_finding_at(&tools.findings, 0)->end, strlen("Иванов И.И."));
    uint32_t phone = 1u << PERSONAL_PHONE;
    assert_ok(personal_scan(&tools.findings, view_of(text), phone, 50, &tools.error), tools.error);
    assert_int_equal(tools.findings.count, 1);
    assert_ok(personal_scan(&tools.findings, view_of(text), phone, 98, &tools.error), tools.error);
    assert_int_equal(tools.findings.count, 0);
    tools_destroy(&tools);
}

static void what_is_found_does_not_depend_on_what_stands_far_away(void **state)
{
    (void)state;
    struct tools tools;
    tools_create(&tools);
    static const char *const parts[] = {"ИНН 500100200303",     "Анна Петровна Иванова",
                                        "тел. 8 926 850-56-03", "x@example.org",
                                        "113.233.249.69",       "просто слова"};
    enum { PARTS = sizeof parts / sizeof *parts };
    char one[PARTS][256], text[8192] = "", wanted[8192] = "", gap[401];
    memset(gap, ' ', sizeof gap);
    gap[400] = 0;
    gap[200] = gap[201] = '\n';
    for (int i = 0; i < PARTS; i++) {
        snprintf(one[i], sizeof one[i], "%s", masked(&tools, parts[i]));
        strcat(strcat(text, parts[i]), gap);
        strcat(strcat(wanted, one[i]), gap);
    }
    assert_string_equal(masked(&tools, text), wanted);
    tools_destroy(&tools);
}

/* ---- policies ---- */

static void policies_ignore_keep_replace_and_drop(void **state)
{
    (void)state;
    struct tools tools;
    struct personal_counts counts;
    struct personal_policy policy = personal_policy_corpus();
    tools_create(&tools);
    struct view text = view_of("Анна Сергеевна Иванова, 8 926 850-56-03, карта 2200123456789019, "
                               "ИНН 7700000016");
    assert_ok(personal_apply(&tools.out, &counts, &tools.findings, text, &policy, &tools.error),
              tools.error);
    assert_string_equal(tools.out.data,
                        "Анна Сергеевна Иванова, [PHONE], карта [CARD], ИНН 7700000016");
    assert_int_equal(counts.found[PERSONAL_PERSON], 0);
    assert_int_equal(counts.found[PERSONAL_INN_ORG], 1);
    assert_int_equal(counts.replaced, 2);
    assert_ok(personal_policy_change(&policy, view_of("phone=keep, card=drop"), &tools.error),
              tools.error);
    buffer_clear(&tools.out);
    assert_ok(personal_apply(&tools.out, &counts, &tools.findings, text, &policy, &tools.error),
              tools.error);
    assert_true(counts.drop && counts.drop_for == PERSONAL_CARD && tools.out.len == 0);
    assert_int_equal(counts.found[PERSONAL_PHONE], 1);
    struct personal_policy before = policy;
    static const char *const bad[] = {"phone",       "phone=", "fone=keep",
                                      "phone=kept",  "=keep",  "phone=keep,,card=drop",
                                      "card=drop,no"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error = {0};
        assert_int_equal(personal_policy_change(&policy, view_of(bad[i]), &error), ERR_USAGE);
        assert_non_null(strstr(error.text, "ignore, keep, replace or drop"));
        assert_memory_equal(&policy, &before, sizeof policy);
    }
    tools_destroy(&tools);
}

static void every_type_has_a_name_and_a_placeholder_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < PERSONAL_TYPES; i++) {
        const char *name = personal_type_name((enum personal_type)i);
        const char *placeholder = personal_placeholder((enum personal_type)i);
        assert_int_equal(personal_type_named(view_of(name)), i);
        assert_int_equal(strlen(placeholder), strlen(name) + 2);
        for (size_t k = 0; name[k]; k++)
            assert_int_equal(placeholder[k + 1], name[k] == '_' ? '_' : name[k] - 'a' + 'A');
    }
    assert_int_equal(personal_type_named(view_of("")), PERSONAL_TYPES);
}

/* ---- beside naive references ---- */

static void check_sorted(struct stem_list list)
{
    for (size_t i = 1; i < list.count; i++) {
        if (strcmp(list.items[i - 1].text, list.items[i].text) >= 0)
            fail_msg("'%s' stands before '%s'", list.items[i - 1].text, list.items[i].text);
    }
}

static uint32_t naive_stem(struct stem_list list, const char *word)
{
    size_t best = 0;
    uint32_t value = 0;
    for (size_t i = 0; i < list.count; i++) {
        size_t len = strlen(list.items[i].text);
        bool fits =
            strncmp(list.items[i].text, word, len) == 0 && (!list.items[i].whole || word[len] == 0);
        if (fits && len >= best) {
            best = len;
            value = list.items[i].value;
        }
    }
    return value;
}

static void lists_are_sorted_and_lookups_agree_with_a_plain_search(void **state)
{
    (void)state;
    const struct stem_list lists[] = {personal_context_stems, personal_given_stems,
                                      personal_latin_given, personal_name_words,
                                      personal_address_stems};
    static const char *const endings[] = {"", "а", "ом", "ия", "s", "ный", "\xD0"};
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
        check_sorted(lists[k]);
        for (size_t i = 0; i < lists[k].count; i++) {
            for (size_t e = 0; e < sizeof endings / sizeof *endings; e++) {
                char word[128];
                int len = snprintf(word, sizeof word, "%s%s", lists[k].items[i].text, endings[e]);
                for (size_t cut = 0; cut < 3 && (size_t)len > cut; cut++) {
                    word[(size_t)len - cut] = 0;
                    assert_int_equal(stem_find(lists[k], word, strlen(word)),
                                     naive_stem(lists[k], word));
                }
            }
            assert_int_equal(
                stem_exact(lists[k], lists[k].items[i].text, strlen(lists[k].items[i].text)),
                lists[k].items[i].value);
        }
    }
}

/* What was read before may not change what the words say: the reference begins anew each time. */
static void words_before_a_place_say_the_same_whatever_was_read_before(void **state)
{
    (void)state;
    static const char *const pieces[] = {"ИНН",   "телефон", "по", "договору", "\n\n", "12345",
                                         "card",  "паспорт", "—",  "a",        "\n",   ", ",
                                         "снилс", "8",       "x",  "номер",    ". ",   " "};
    enum { PIECES = sizeof pieces / sizeof *pieces, WORDS = 20000 };
    struct error error = {0};
    struct buffer text;
    buffer_create(&text, 1 << 20);
    uint64_t seed = 99;
    for (int i = 0; i < WORDS; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        assert_ok(buffer_string(&text, pieces[(seed >> 40) % PIECES], &error), error);
        assert_ok(buffer_string(&text, " ", &error), error);
    }
    struct context running = {0}, fresh;
    struct scanner scanner = {
        .text = (const unsigned char *)text.data, .len = text.len, .context = &running};
    for (size_t at = 0; at < text.len; at++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        if (text.data[at] != ' ' || seed >> 62 == 0)
            continue;
        scanner.context = &running;
        struct about a = about_before(&scanner, at);
        fresh = (struct context){0};
        scanner.context = &fresh;
        struct about b = about_before(&scanner, at);
        assert_true(a.near == b.near && a.any == b.any && a.gap == b.gap && a.spent == b.spent);
    }
    buffer_destroy(&text);
}

/* Lower case by the tables of Unicode, ё as е. */
static void words_fold_as_the_tables_of_unicode_say(void **state)
{
    (void)state;
    for (uint32_t code_point = 0xC0; code_point < 0x530; code_point++) {
        char text[UTF8_BYTES_MAX + 1] = "", wanted[UTF8_BYTES_MAX + 1] = "";
        text[utf8_encode(text, code_point)] = 0;
        struct scanner scanner = {.text = (const unsigned char *)text, .len = strlen(text)};
        if (!letter_at(&scanner, 0) || code_point >= 0x500)
            continue;
        uint32_t lower = unicode_to_lower(code_point);
        lower = lower == 0x451 ? 0x435 : lower;
        wanted[utf8_encode(wanted, lower)] = 0;
        struct word word;
        word_read(&word, &scanner, 0);
        assert_string_equal(word.fold, wanted);
        assert_int_equal(word.upper_first, unicode_is_upper(code_point));
        assert_int_equal(word.end, scanner.len);
    }
}

/* Digit by digit, from the texts of the rules, on numbers of every remainder. */
static int naive_inn10(const int *d)
{
    return (2 * d[0] + 4 * d[1] + 10 * d[2] + 3 * d[3] + 5 * d[4] + 9 * d[5] + 4 * d[6] + 6 * d[7] +
            8 * d[8]) %
           11 % 10;
}

static int naive_snils(const int *d)
{
    int sum = 0;
    for (int i = 0; i < 9; i++)
        sum += d[i] * (9 - i);
    if (sum > 101)
        sum %= 101;
    return sum == 100 || sum == 101 ? 0 : sum;
}

static int naive_luhn(const int *d, int count)
{
    int sum = 0;
    for (int i = count - 1, twice = 1; i >= 0; i--, twice = !twice)
        sum += twice ? d[i] * 2 / 10 + d[i] * 2 % 10 : d[i];
    return (10 - sum % 10) % 10;
}

static void checks_agree_with_the_rules_written_out(void **state)
{
    (void)state;
    uint64_t seed = 12345;
    for (int round = 0; round < 20000; round++) {
        char text[24] = {0};
        int d[16];
        for (int i = 0; i < 15; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            d[i] = (int)(seed >> 60) % 10;
            text[i] = (char)('0' + d[i]);
        }
        assert_int_equal(check_inn10(text), naive_inn10(d) == d[9]);
        assert_int_equal(check_snils(text), naive_snils(d) == d[9] * 10 + d[10]);
        text[15] = (char)('0' + naive_luhn(d, 15));
        assert_true(check_luhn(text, 16));
        text[15] = (char)('0' + (text[15] - '0' + 1) % 10);
        assert_false(check_luhn(text, 16));
        uint64_t whole = strtoull(text, NULL, 10) / 10; /* 15 digits */
        bool form = strchr("234", text[0]) && (d[1] || d[2] > 1) && d[1] < 3 && (d[3] || d[4]);
        assert_int_equal(check_ogrnip(text), form && whole / 10 % 13 % 10 == (uint64_t)d[14]);
    }
    assert_true(check_inn12("500100200303") && !check_inn12("500100200313"));
    assert_true(check_account("40817810200012345678", "044525225"));
    assert_false(check_account("40817810300012345678", "044525225"));
}

/* ---- hostile input ---- */

static void long_runs_of_telling_bytes_take_linear_time(void **state)
{
    (void)state;
    static const char *const pieces[] = {"1",   "1 ",      "@",       "a@",  "@a.",
                                         "://", "www.",    ":",       "a:",  "Я",
                                         "Ян ", "А. ",     "Иванов ", "8 9", "+7",
                                         "(",   "д. 5, ",  "ул. ",    "a",   "я",
                                         "\n",  "IBAN DE", "х-",      "1:",  "0"};
    enum { BYTES = 1 << 20 };
    struct tools tools;
    struct buffer text;
    tools_create(&tools);
    buffer_create(&text, BYTES + 64);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        buffer_clear(&text);
        while (text.len < BYTES)
            assert_ok(buffer_string(&text, pieces[i], &tools.error), tools.error);
        alarm(20); /* seconds; a quadratic step would take hours */
        assert_ok(personal_scan(&tools.findings, (struct view){text.data, text.len}, PERSONAL_ALL,
                                1, &tools.error),
                  tools.error);
        alarm(0);
    }
    buffer_destroy(&text);
    tools_destroy(&tools);
}

static void bytes_that_are_no_text_are_passed_over(void **state)
{
    (void)state;
    struct tools tools;
    tools_create(&tools);
    char bytes[4096];
    uint64_t seed = 7;
    for (int round = 0; round < 500; round++) {
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bytes[i] = (char)(seed >> 56);
        }
        assert_ok(personal_scan(&tools.findings, (struct view){bytes, sizeof bytes}, PERSONAL_ALL,
                                1, &tools.error),
                  tools.error);
    }
    assert_ok(personal_scan(&tools.findings, (struct view){0}, PERSONAL_ALL, 1, &tools.error),
              tools.error);
    assert_int_equal(tools.findings.count, 0);
    tools_destroy(&tools);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(russian_identifiers_with_right_control_digits_are_found),
        cmocka_unit_test(wrong_control_digits_and_other_numbers_stay),
        cmocka_unit_test(cards_need_luhn_and_an_issuer_or_words),
        cmocka_unit_test(phones_in_the_forms_people_use),
        cmocka_unit_test(what_looks_like_a_phone_stays),
        cmocka_unit_test(addresses_of_mail_web_and_protocol),
        cmocka_unit_test(american_numbers_and_documents),
        cmocka_unit_test(dates_of_birth_and_addresses),
        cmocka_unit_test(names_in_their_orders_and_cases),
        cmocka_unit_test(capitals_that_are_no_names_stay),
        cmocka_unit_test(columns_of_numbers_are_seldom_taken_for_personal_data),
        cmocka_unit_test(findings_are_in_order_apart_and_cut_at_characters),
        cmocka_unit_test(what_is_found_does_not_depend_on_what_stands_far_away),
        cmocka_unit_test(policies_ignore_keep_replace_and_drop),
        cmocka_unit_test(every_type_has_a_name_and_a_placeholder_of_its_own),
        cmocka_unit_test(lists_are_sorted_and_lookups_agree_with_a_plain_search),
        cmocka_unit_test(words_before_a_place_say_the_same_whatever_was_read_before),
        cmocka_unit_test(words_fold_as_the_tables_of_unicode_say),
        cmocka_unit_test(checks_agree_with_the_rules_written_out),
        cmocka_unit_test(long_runs_of_telling_bytes_take_linear_time),
        cmocka_unit_test(bytes_that_are_no_text_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
