/* Every kind of file, in small pieces that show one rule each, and the sample files as a whole. */
#include "reader_support.h"

#include <archive.h>
#include <archive_entry.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/thread.h"
#include "corpus/corpus.h"
#include "corpus/pdf.h"

static const char samples[] = "../shared/data/raw_samples";

/* ---- text and tables ---- */

static void text_is_told_from_other_bytes(void **state)
{
    (void)state;
    expect_reading("a.txt", view_of("слово\n"), "a.txt [txt]: слово\n\n");
    expect_reading("README", view_of("слово"), "README [txt]: слово\n");
    expect_reading("a.xyz", view_of("слово"), "a.xyz refused: is of an unknown kind\n");
    expect_reading("a.txt", (struct view){"a\0b\1\2\3", 6}, "a.txt refused: is binary, not text\n");
    expect_reading("a.txt", view_of(""), "a.txt refused: is empty\n");
    expect_reading("a.txt", view_of(" \n\t"), "a.txt refused: holds no text\n");
    expect_reading("a.xml", view_of("<?xml version='1.0'?><book/>"),
                   "a.xml refused: is XML of an unknown kind (known: TEI, FictionBook, XHTML)\n");
}

static void lines_of_json_are_records(void **state)
{
    (void)state;
    expect_reading("a.jsonl",
                   view_of("{\"text\":\"one\",\"id\":\"x\",\"source\":\"s\",\"license\":\"l\"}\n\n"
                           "{\"text\":3}\nnone\n{\"text\":\"two\"}"),
                   "a.jsonl#x [jsonl] source=s license=l: one\n"
                   "a.jsonl#000000003 refused: a line has no text in the field asked for\n"
                   "a.jsonl#000000004 refused: a line is not a JSON object\n"
                   "a.jsonl#000000005 [jsonl]: two\n");
}

static void tables_have_a_column_of_text(void **state)
{
    (void)state;
    expect_reading(
        "a.csv",
        view_of("id,Text,source\r\n7,\"one, \"\"two\"\"\nthree\",s\r\n8,four\r\n\r\n9,,\r\n"),
        "a.csv#7 [csv] source=s: one, \"two\"\nthree\n"
        "a.csv#8 [csv]: four\n"
        "a.csv#9 refused: holds no text\n");
    expect_reading("a.csv", view_of("id;text\n1;а, б\n"), "a.csv#1 [csv]: а, б\n");
    expect_reading("a.tsv", view_of("text\tx\nа\tb\n"), "a.tsv#000000002 [tsv]: а\n");
    expect_reading("a.csv", view_of("a,b\n1,2\n"),
                   "a.csv refused: has no column named text in its first row (a,b); the option "
                   "--field names it\n");
    expect_reading("a.csv", view_of("text\n\xcf\xf0\xe8\xe2\xe5\xf2\n"),
                   "a.csv#000000002 [csv]: Привет\n");
}

/* ---- encodings ---- */

static const char prose[] = "Съешь же ещё этих мягких французских булок, да выпей чаю. В чащах юга "
                            "жил бы цитрус? Да, но фальшивый экземпляр! Она говорила о погоде.";

static void expect_decoded(const char *bytes, size_t len, enum text_encoding encoding)
{
    struct buffer out;
    struct error error = {0};
    struct view view = {bytes, len};
    assert_string_equal(encoding_name(encoding_detect(view)), encoding_name(encoding));
    buffer_create(&out, 1 << 20);
    assert_ok(encoding_decode(&out, view, encoding, &error), error);
    assert_string_equal(out.data, prose);
    buffer_destroy(&out);
}

/* The C library's converter is the reference. */
#include <iconv.h>
static size_t convert(char *out, size_t room, const char *to, const char *from, struct view text)
{
    iconv_t state = iconv_open(to, from);
    char *in = (char *)(uintptr_t)text.data, *start = out;
    assert_true(state != (iconv_t)-1);
    assert_true(iconv(state, &in, &text.len, &out, &room) != (size_t)-1);
    iconv_close(state);
    return (size_t)(out - start);
}

static void every_encoding_is_told_and_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum text_encoding encoding;
    } each[] = {{"CP1251", ENCODING_CP1251},    {"KOI8-R", ENCODING_KOI8_R},
                {"CP866", ENCODING_CP866},      {"ISO-8859-5", ENCODING_ISO8859_5},
                {"UTF-16", ENCODING_UTF16},     {"UTF-16LE", ENCODING_UTF16LE},
                {"UTF-16BE", ENCODING_UTF16BE}, {"UTF-8", ENCODING_UTF8}};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        char bytes[2000];
        size_t len = convert(bytes, sizeof bytes, each[i].name, "UTF-8", view_of(prose));
        expect_decoded(bytes, len, each[i].encoding);
    }
}

static void text_encoded_twice_is_repaired_or_refused(void **state)
{
    (void)state;
    static const char *const readings[] = {"CP1251", "ISO-8859-1", "KOI8-R", "CP866"};
    char expected[1000];
    snprintf(expected, sizeof expected, "a.txt [txt]: %s\n", prose);
    for (size_t i = 0; i < sizeof readings / sizeof *readings; i++) {
        char twice[4000];
        /* И is D0 98, and 98 is nothing in CP1251: without it the text comes back */
        size_t len = convert(twice, sizeof twice, "UTF-8", readings[i], view_of(prose));
        expect_reading("a.txt", (struct view){twice, len}, expected);
    }
    char spoilt[4000];
    size_t len = convert(spoilt, sizeof spoilt, "UTF-8", "CP1251", view_of(prose));
    memcpy(spoilt + 2, "\xE2\x98\x83", 3); /* a snowman in the second letter */
    spoilt[5] = '?';
    expect_reading("a.txt", (struct view){spoilt, len},
                   "a.txt refused: was encoded twice and can't be brought back\n");
    expect_reading("a.txt", view_of("СССР и РСФСР, Русь, Роза, Слово, СРС"),
                   "a.txt [txt]: СССР и РСФСР, Русь, Роза, Слово, СРС\n");
}

/* ---- archives ---- */

struct entry {
    const char *name, *text;
    size_t len;
};
#define ENTRY(name, text)                                                                          \
    {                                                                                              \
        name, text, sizeof(text) - 1                                                               \
    }

static size_t pack(char *out, size_t room, bool zip, const struct entry *entries, size_t count)
{
    size_t used = 0;
    struct archive *archive = archive_write_new();
    assert_int_equal(zip ? archive_write_set_format_zip(archive)
                         : archive_write_set_format_ustar(archive),
                     ARCHIVE_OK);
    if (!zip)
        archive_write_add_filter_gzip(archive);
    assert_int_equal(archive_write_open_memory(archive, out, room, &used), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, entries[i].name);
        archive_entry_set_size(entry, (la_int64_t)entries[i].len);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
        archive_write_data(archive, entries[i].text, entries[i].len);
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
    archive_write_free(archive);
    return used;
}

static void archives_are_read_like_folders(void **state)
{
    (void)state;
    static char inner[1 << 16], outer[1 << 17];
    const struct entry entries[] = {ENTRY("b/a.txt", "one"), ENTRY(".hidden", "x"),
                                    ENTRY("c.jsonl", "{\"text\":\"two\"}"), ENTRY("d.bin", "\1\2")};
    size_t len = pack(inner, sizeof inner, false, entries, 4);
    const struct entry packed[] = {{"in.tar.gz", inner, len}, ENTRY("e.txt", "three")};
    size_t outer_len = pack(outer, sizeof outer, true, packed, 2);
    expect_reading("x.zip", (struct view){outer, outer_len},
                   "x.zip/in.tar.gz/b/a.txt [txt]: one\n"
                   "x.zip/in.tar.gz/c.jsonl#000000001 [jsonl]: two\n"
                   "x.zip/in.tar.gz/d.bin refused: is of an unknown kind, and binary\n"
                   "x.zip/e.txt [txt]: three\n");
    expect_reading("x.zip", (struct view){outer, outer_len / 2},
                   "x.zip/in.tar.gz refused: is damaged or cut off\n"
                   "x.zip refused: is damaged or cut off\n");
    static const char nothing[10240]; /* how an empty tar looks */
    len = pack(inner, sizeof inner, true, entries, 0);
    expect_reading("y.zip", (struct view){inner, len}, "y.zip refused: holds no files\n");
    expect_reading("y.tar", (struct view){nothing, sizeof nothing},
                   "y.tar refused: is of an unknown kind, and binary\n");
}

static void a_bomb_is_refused(void **state)
{
    (void)state;
    enum { ZEROS = 300 << 20 };
    static char bomb[4 << 20];
    char *zeros = calloc(1, ZEROS);
    assert_non_null(zeros);
    const struct entry entries[] = {{"a.txt", zeros, ZEROS}};
    size_t len = pack(bomb, sizeof bomb, true, entries, 1);
    free(zeros);
    assert_true(len < ZEROS / 500);
    expect_reading("x.zip", (struct view){bomb, len},
                   "x.zip failed: unpacks to more than 256 times its size\n");
}

static void archives_in_archives_end_somewhere(void **state)
{
    (void)state;
    static char bytes[2][1 << 16];
    const struct entry first[] = {ENTRY("a.txt", "deep")};
    size_t len = pack(bytes[0], sizeof bytes[0], true, first, 1);
    for (int i = 1; i < 5; i++) {
        const struct entry next[] = {{"n.zip", bytes[(i + 1) % 2], len}};
        len = pack(bytes[i % 2], sizeof bytes[0], true, next, 1);
    }
    expect_reading("x.zip", (struct view){bytes[0], len},
                   "x.zip/n.zip/n.zip/n.zip/n.zip refused: lies in too many archives\n");
}

/* ---- documents ---- */

static void a_fiction_book_is_its_body(void **state)
{
    (void)state;
    expect_reading(
        "a.fb2",
        view_of("<?xml version='1.0' encoding='utf-8'?><FictionBook xmlns:l='x'><description>"
                "<title-info><book-title>Имя\n книги</book-title><annotation><p>no</p></annotation>"
                "</title-info></description><body><section><title><p>Глава</p></title><p>Один "
                "<emphasis>два</emphasis>&nbsp;три<a l:href='#1' type='note'>[1]</a>.</p><poem>"
                "<stanza><v>Стих</v><v>стих</v></stanza></poem><p>Конец</p></section></body>"
                "<binary>AAAA</binary></FictionBook>"),
        "a.fb2 [fb2] title=Имя книги: Глава\n\nОдин два\u00a0три.\n\nСтих\nстих\n\nКонец\n");
}

static void tei_leaves_out_what_editors_wrote(void **state)
{
    (void)state;
    expect_reading(
        "a.xml",
        view_of("<TEI xmlns='http://www.tei-c.org/ns/1.0'><teiHeader><title>Пьеса</title><licence "
                "target='CC0'>x</licence></teiHeader><text><body><sp><speaker>Анна.</speaker><p>Да"
                "<note>no</note> <choice><sic>нт</sic><corr>нет</corr></choice> <del>x</del>!</p>"
                "</sp><lg><l>а</l><l>б</l></lg></body></text></TEI>"),
        "a.xml [tei] license=CC0 title=Пьеса: Анна.\nДа нет !\n\nа\nб\n");
}

static void office_documents_are_their_paragraphs(void **state)
{
    (void)state;
    static char bytes[1 << 16];
    const struct entry docx[] = {
        ENTRY("[Content_Types].xml", "<Types/>"),
        ENTRY("docProps/core.xml", "<c:p xmlns:c='x'><dc:title>Т</dc:title></c:p>"),
        ENTRY("word/document.xml",
              "<w:document xmlns:w='x'><w:body><w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:r>"
              "<w:t>Один </w:t></w:r><w:r><w:t>два</w:t><w:tab/><w:t>три</w:t></w:r></w:p>"
              "<w:p><w:instrText>no</w:instrText><w:del><w:t>no</w:t></w:del><w:t>А&amp;Б</w:t>"
              "</w:p></w:body></w:document>")};
    size_t len = pack(bytes, sizeof bytes, true, docx, 3);
    expect_reading("a.docx", (struct view){bytes, len},
                   "a.docx [docx] title=Т: Один два\tтри\nА&Б\n");
    const struct entry odt[] = {
        ENTRY("mimetype", "application/vnd.oasis.opendocument.text"),
        ENTRY("content.xml",
              "<o:d xmlns:o='x'><o:text><text:h>Глава</text:h><text:p>Один<text:s/>два<text:note>"
              "no</text:note><text:line-break/>три</text:p></o:text></o:d>")};
    len = pack(bytes, sizeof bytes, true, odt, 2);
    expect_reading("a.odt", (struct view){bytes, len}, "a.odt [odt]: Глава\n\nОдин два\nтри\n");
}

static void a_book_of_pages_keeps_the_order_of_its_spine(void **state)
{
    (void)state;
    static char bytes[1 << 16];
    const struct entry epub[] = {
        ENTRY("mimetype", "application/epub+zip"),
        ENTRY("META-INF/container.xml", "<c><rootfile full-path='O/b.opf'/></c>"),
        ENTRY("O/b.opf",
              "<package><dc:title>Книга</dc:title><manifest>"
              "<item id='b' href='t/b%20b.xhtml' media-type='application/xhtml+xml'/>"
              "<item id='a' href='a.xhtml' media-type='application/xhtml+xml'/>"
              "<item id='n' href='n.xhtml' properties='nav' media-type='application/xhtml+xml'/>"
              "</manifest><spine><itemref idref='n'/><itemref idref='b'/><itemref idref='a'/>"
              "</spine></package>"),
        ENTRY("O/a.xhtml", "<html><title>x</title><p>второй<p><a href=a>1</a><p><a "
                           "href=b>2</a><li><a href=c>3</a></html>"),
        ENTRY("O/t/b b.xhtml", "<html><p>первый</p></html>"),
        ENTRY("O/n.xhtml", "<html><p>no</p></html>")};
    size_t len = pack(bytes, sizeof bytes, true, epub, 6);
    expect_reading("a.epub", (struct view){bytes, len},
                   "a.epub [epub] title=Книга: первый\n\nвторой\n\n\n");
}

/* ---- mail ---- */

static void mail_is_its_plain_text(void **state)
{
    (void)state;
    expect_reading(
        "a.eml",
        view_of("From: a@example.org\r\nSubject: =?utf-8?B?0J/RgNC4?=\r\n "
                "=?koi8-r?Q?=D7=C5=D4?= x\r\nContent-Type: text/plain; charset=koi8-r\r\n"
                "Content-Transfer-Encoding: quoted-printable\r\n\r\n=F0=D2=C9=D7=C5=D4, "
                "=CB=C1=CB=20=\r\n=C4=C5=CC=C1?\r\n"),
        "a.eml [eml] title=Привет x: Привет, как дела?\r\n\n");
    expect_reading(
        "a.eml",
        view_of("Content-Type: multipart/mixed; boundary=\"b\"\n\nno\n--b\nContent-Type: "
                "multipart/alternative; boundary=c\n\n--c\nContent-Type: text/html\n\n"
                "<p>html</p>\n--c\nContent-Type: text/plain\nContent-Transfer-Encoding: "
                "base64\n\n0YLQtdC60YHRgg==\n--c--\n--b\nContent-Disposition: attachment\n"
                "\nno\n--b--\nno\n"),
        "a.eml [eml]: текст\n");
    expect_reading("a.mbox",
                   view_of("From a Mon\nSubject: 1\n\none\nFrom the first line\n\nFrom b Tue\n"
                           "Content-Type: text/html\n\n<p>two</p>\n"),
                   "a.mbox#000000001 [mbox] title=1: one\nFrom the first line\n\n\n"
                   "a.mbox#000000002 [mbox]: two\n\n");
}

/* ---- WARC ---- */

static void records_are_documents_with_their_address(void **state)
{
    (void)state;
    static const char warc[] =
        "WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 3\r\n\r\nx: \r\n\r\n"
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a/1\r\nContent-Length: "
        "123\r\n\r\n"
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=windows-1251\r\nTransfer-Encoding: "
        "chunked\r\n\r\n7\r\n<p>\xcf\xf0\xe8\xe2\r\n6\r\n\xe5\xf2</p>\r\n0\r\n\r\n\r\n\r\n"
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a/2\r\nContent-Length: "
        "26\r\n\r\n"
        "HTTP/1.1 404 No\r\n\r\n<p>no</\r\n\r\n"
        "damage\r\n"
        "WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: <http://a/3>\r\nContent-Type: "
        "text/plain\r\nContent-Length: 5\r\n\r\nthree\r\n\r\n"
        "WARC/1.0\r\nWARC-Type: resource\r\nContent-Length: 99\r\n\r\ncut";
    expect_reading("a.warc", (struct view){warc, sizeof warc - 1},
                   "a.warc#000000002 [html] source=http://a/1: Привет\n\n"
                   "a.warc#000000003 refused: is an answer other than 200 (404)\n"
                   "a.warc#000000004 refused: is not the beginning of a record\n"
                   "a.warc#000000005 [txt] source=http://a/3: three\n"
                   "a.warc#000000006 refused: is cut off\n");
}

/* ---- PDF ---- */

static void lines_of_pages_become_running_text(void **state)
{
    (void)state;
    struct buffer out;
    struct error error = {0};
    buffer_create(&out, 1000);
    assert_ok(pdf_join_lines(&out,
                             view_of("Заголовок\n\nПервая строка, пере-\nнос и ещё из-за\n"
                                     "Ростова-\nНа.\n\n12\n\fНовая\n\n1 Глава . . . 7\n\n"
                                     ". . . .\n"),
                             &error),
              error);
    assert_string_equal(out.data, "Заголовок\nПервая строка, перенос и ещё из-за Ростова- На.\n"
                                  "Новая\n1 Глава");
    buffer_destroy(&out);
    expect_reading("a.pdf", view_of("%PDF-1.4 x"), "a.pdf handed over: 10 bytes\n");
}

/* ---- the samples ---- */

static void build_samples(struct corpus_counts *counts, struct sha256 hashes[2], int threads)
{
    char folder[] = "/tmp/rodnik-readers-XXXXXX", out[100], path[200];
    static const char *const names[] = {"texts.bin", "documents.jsonl"};
    const char *inputs[] = {samples};
    struct error error = {0};
    struct corpus_job job = {
        .settings = corpus_settings_default(), .inputs = inputs, .input_count = 1, .out = out};
    job.settings.profile = "none";
    job.settings.duplicates = "exact";
    job.settings.line_documents = 0;
    job.settings.personal = "none";
    assert_non_null(mkdtemp(folder));
    snprintf(out, sizeof out, "%s/c", folder);
    assert_ok(thread_pool_create(&job.pool, threads, &error), error);
    assert_ok(corpus_build(counts, &job, &error), error);
    thread_pool_destroy(job.pool);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", out, names[i]);
        assert_ok(sha256_of_file(&hashes[i], path, &error), error);
    }
    assert_ok(path_remove_tree(folder, &error), error);
}

static void the_samples_give_the_same_for_any_number_of_readers(void **state)
{
    (void)state;
    struct corpus_counts counts, again;
    struct sha256 one[2], more[2];
    if (!folder_exists(samples))
        skip_because("%s is not here", samples);
    build_samples(&counts, one, 1);
    build_samples(&again, more, 4);
    assert_memory_equal(one, more, sizeof one);
    bool pdf = file_exists("/usr/bin/pdftotext");
    assert_int_equal(counts.documents, pdf ? 115 : 112);
    assert_int_equal(counts.left[CORPUS_DUPLICATE], 20);
    assert_int_equal(counts.refused, pdf ? 20 : 23);
}

static void expect_sample(const char *name, size_t documents, size_t refusals)
{
    static struct notes notes;
    char path[300];
    struct arena *arena;
    struct view bytes;
    struct error error = {0};
    snprintf(path, sizeof path, "%s/%s", samples, name);
    assert_ok(arena_create(&arena, 0, &error), error);
    assert_ok(file_read(&bytes, path, 64 << 20, arena, &error), error);
    notes = (struct notes){.quiet = true};
    read_into(&notes, name, bytes);
    if (notes.documents != documents || notes.refusals != refusals)
        fail_msg("%s: %zu documents and %zu refusals, expected %zu and %zu", name, notes.documents,
                 notes.refusals, documents, refusals);
    arena_destroy(arena);
}

static void the_samples_of_each_kind_are_read(void **state)
{
    (void)state;
    if (!folder_exists(samples))
        skip_because("%s is not here", samples);
    expect_sample("docx/appendix_a.docx", 1, 0);
    expect_sample("epub/developers-reference.epub", 1, 0);
    expect_sample("fb2/cr3-manual-ru.fb2", 1, 0);
    expect_sample("tei_xml/chekhov-chaika.xml", 1, 0);
    expect_sample("txt_encodings/lermontov_cp866.txt", 1, 0);
    expect_sample("docbook_xml/context.xml", 0, 1);
    expect_sample("po/backups.po", 0, 1);
    expect_sample("man/cat.1.gz", 0, 1);
    expect_sample("warc/ru_pages.warc.gz", 41, 0);
    expect_sample("wet/ru_pages.warc.wet.gz", 41, 0);
    expect_sample("warc/example.warc", 1, 0);
    expect_sample("warc/example.warc.gz", 1, 0);
    expect_sample("warc/example-trunc.warc", 0, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_told_from_other_bytes),
        cmocka_unit_test(lines_of_json_are_records),
        cmocka_unit_test(tables_have_a_column_of_text),
        cmocka_unit_test(every_encoding_is_told_and_decoded),
        cmocka_unit_test(text_encoded_twice_is_repaired_or_refused),
        cmocka_unit_test(archives_are_read_like_folders),
        cmocka_unit_test(a_bomb_is_refused),
        cmocka_unit_test(archives_in_archives_end_somewhere),
        cmocka_unit_test(a_fiction_book_is_its_body),
        cmocka_unit_test(tei_leaves_out_what_editors_wrote),
        cmocka_unit_test(office_documents_are_their_paragraphs),
        cmocka_unit_test(a_book_of_pages_keeps_the_order_of_its_spine),
        cmocka_unit_test(mail_is_its_plain_text),
        cmocka_unit_test(records_are_documents_with_their_address),
        cmocka_unit_test(lines_of_pages_become_running_text),
        cmocka_unit_test(the_samples_give_the_same_for_any_number_of_readers),
        cmocka_unit_test(the_samples_of_each_kind_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
