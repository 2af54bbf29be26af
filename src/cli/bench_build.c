/* The whole way of building a corpus: speed of one core (seconds of CPU time of all processes, what
 * the kernel does for them included) beside the SHA-256 of the same bytes, which no corpus that is
 * proven can do without. */
#include "cli/bench_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/file.h"
#include "corpus/corpus.h"

enum { RUNS = 3, DOCUMENT_BYTES = 16 << 10 };

static double seconds_of(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static double all_seconds(void)
{
    return seconds_of(RUSAGE_SELF) + seconds_of(RUSAGE_CHILDREN);
}

/* ---- inputs ---- */

/* A piece of about DOCUMENT_BYTES that ends at a line's end, or the rest. */
static struct view next_piece(struct view *rest)
{
    size_t len = rest->len < DOCUMENT_BYTES ? rest->len : DOCUMENT_BYTES;
    const char *end = memchr(rest->data + len, '\n', rest->len - len);
    struct view piece = {rest->data, end ? (size_t)(end + 1 - rest->data) : rest->len};
    rest->data += piece.len;
    rest->len -= piece.len;
    return piece;
}

/* Each piece a file of plain text. */
static status write_texts(const char *folder, struct view rest, struct error *error)
{
    char path[PATH_BYTES];
    for (int number = 0; rest.len; number++) {
        struct view piece = next_piece(&rest);
        if (snprintf(path, sizeof path, "%s/%06d.txt", folder, number) >= (int)sizeof path)
            return fail(error, ERR_LIMIT, "%s: the path is too long", folder);
        struct file_writer writer = {0};
        TRY(file_writer_open(&writer, path, error));
        status result = file_writer_add(&writer, piece.data, piece.len, error);
        if (result != OK) {
            file_writer_abort(&writer);
            return result;
        }
        TRY(file_writer_commit(&writer, error));
    }
    return OK;
}

static const char page_head[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<!DOCTYPE html>\n<html "
    "lang=\"ru\"><head><title>Page</title><script>var a = "
    "1;</script></head>\n<body><nav><ul><li><a "
    "href=\"/\">Home</a></li><li><a href=\"/news\">News</a></li><li><a href=\"/about\">About "
    "us</a></li></ul></nav>\n<div class=\"content\"><h1>Page</h1>\n";
static const char page_end[] =
    "</div><footer><p>All rights <a href=\"/legal\">reserved</a></p></footer></body></html>\r\n";

static status add_page(struct buffer *out, struct buffer *page, struct view piece, int number,
                       struct error *error)
{
    struct view line;
    buffer_clear(page);
    TRY(buffer_string(page, page_head, error));
    while (view_line(&line, &piece))
        TRY(buffer_format(page, error, "<p class=\"text\">%.*s</p>\n", (int)line.len, line.data));
    TRY(buffer_string(page, page_end, error));
    TRY(buffer_format(out, error,
                      "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: "
                      "https://www.example.org/%d\r\nContent-Type: application/http; "
                      "msgtype=response\r\nContent-Length: %zu\r\n\r\n",
                      number, page->len));
    TRY(buffer_append(out, page->data, page->len, error));
    return buffer_string(out, "\r\n\r\n", error);
}

/* Each piece a page of one WARC file. */
static status write_pages(const char *folder, struct view rest, struct error *error)
{
    char path[PATH_BYTES];
    struct buffer out, page;
    status result = OK;
    buffer_create(&out, 2 * rest.len + (64 << 20));
    buffer_create(&page, 64 << 20);
    for (int number = 0; rest.len && result == OK; number++)
        result = add_page(&out, &page, next_piece(&rest), number, error);
    if (result == OK)
        result = path_join(path, sizeof path, folder, "pages.warc", error);
    if (result == OK)
        result = file_write_atomic(path, out.data, out.len, error);
    buffer_destroy(&out);
    buffer_destroy(&page);
    return result;
}

/* ---- building ---- */

static status build(struct corpus_counts *counts, double *seconds, const char *folder,
                    struct thread_pool *pool, struct error *error)
{
    char in[PATH_BYTES], out[PATH_BYTES];
    TRY(path_join(in, sizeof in, folder, "in", error));
    TRY(path_join(out, sizeof out, folder, "out", error));
    const char *const inputs[] = {in};
    const struct corpus_job job = {.settings = corpus_settings_default(),
                                   .inputs = inputs,
                                   .input_count = 1,
                                   .out = out,
                                   .pool = pool};
    double start = all_seconds();
    TRY(corpus_build(counts, &job, error));
    *seconds = all_seconds() - start;
    return OK;
}

static status bench_inputs(const char *name, const char *folder, uint64_t bytes, struct view text,
                           const struct bench_build *bench, struct error *error)
{
    double rates[RUNS], limits[RUNS], shares[RUNS], megabytes = (double)bytes * 1e-6;
    struct corpus_counts counts;
    char more[200];
    for (int i = 0; i < RUNS; i++) {
        double seconds, start = all_seconds();
        (void)sha256_of(text.data, text.len);
        limits[i] = (double)text.len * 1e-6 / (all_seconds() - start);
        TRY(build(&counts, &seconds, folder, bench->pool, error));
        rates[i] = megabytes / seconds;
        shares[i] = rates[i] / limits[i];
    }
    snprintf(more, sizeof more,
             bench->json ? ", \"megabytes\": %.0f, \"documents\": %zu"
                         : ", %.0f MB, %zu documents stay",
             megabytes, counts.documents);
    bench_print(&(struct bench_row){"corpus", name, "MB/s", bench_median(rates, RUNS),
                                    bench_median(limits, RUNS), bench_median(shares, RUNS), more},
                bench->json);
    return OK;
}

/* A folder's bytes: what it was filled with. */
static status bench_kind(const struct bench_build *bench, const char *name, struct view text,
                         status (*fill)(const char *, struct view, struct error *),
                         struct error *error)
{
    char folder[PATH_BYTES], in[PATH_BYTES], pages[PATH_BYTES];
    uint64_t bytes = text.len;
    if (snprintf(folder, sizeof folder, "%s/rodnik-build-XXXXXX", bench->folder) >=
            (int)sizeof folder ||
        !mkdtemp(folder))
        return fail_errno(error, "%s: a folder can't be made there", bench->folder);
    status result = path_join(in, sizeof in, folder, "in", error);
    if (result == OK)
        result = folder_make(in, error);
    if (result == OK)
        result = fill(in, text, error);
    if (result == OK && path_join(pages, sizeof pages, in, "pages.warc", error) == OK &&
        file_exists(pages))
        result = file_size(&bytes, pages, error);
    if (result == OK)
        result = bench_inputs(name, folder, bytes, text, bench, error);
    struct error removing = {0};
    status removed = path_remove_tree(folder, &removing);
    if (result == OK && removed != OK)
        result = fail(error, removed, "%s", removing.text);
    return result;
}

status bench_build(const struct bench_build *bench, const char *name, struct view text,
                   struct error *error)
{
    ASSERT(bench && bench->pool && bench->folder && name && error);
    char label[64];
    snprintf(label, sizeof label, "build, plain text %s", name);
    TRY(bench_kind(bench, label, text, write_texts, error));
    snprintf(label, sizeof label, "build, pages in WARC %s", name);
    return bench_kind(bench, label, text, write_pages, error);
}
