#include "corpus/pdf.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sandbox.h"
#include "text/unicode.h"

static const char *const programs[] = {"/usr/bin/pdftotext", "/usr/local/bin/pdftotext"};
enum { PDF_MEMORY_BYTES = 1 << 30, PDF_LIMIT_S = 60, PDF_TEXT_BYTES_MAX = 256 << 20 };

static const char *find_program(void)
{
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        if (file_exists(programs[i]))
            return programs[i];
    return NULL;
}

static status memory_file(int *out, struct view bytes, struct error *error)
{
    int file = memfd_create("pdf", MFD_CLOEXEC);
    if (file < 0)
        return fail_errno(error, "no memory for a PDF");
    while (bytes.len) {
        ssize_t done = write(file, bytes.data, bytes.len);
        if (done <= 0) {
            close(file);
            return fail_errno(error, "no memory for a PDF of %zu bytes", bytes.len);
        }
        bytes.data += done;
        bytes.len -= (size_t)done;
    }
    *out = file;
    return OK;
}

/* ---- lines into running text ---- */

static bool is_page_number(struct view line)
{
    bool digits = false;
    for (size_t i = 0; i < line.len; i++) {
        bool digit = line.data[i] >= '0' && line.data[i] <= '9';
        if (!digit && line.data[i] != '-' && line.data[i] != ' ')
            return false;
        digits |= digit;
    }
    return digits && line.len <= 8;
}

/* "Chapter 1 . . . . . 23" of a table of contents ends before its dots. */
static struct view without_leader(struct view line)
{
    const char *dots = line.len ? memmem(line.data, line.len, ". . .", 5) : NULL;
    if (!dots)
        return line;
    size_t at = (size_t)(dots - line.data);
    for (size_t i = at; i < line.len; i++)
        if (!strchr(". 0123456789", line.data[i]))
            return line;
    return view_trim((struct view){line.data, at});
}

static bool begins_small(struct view line)
{
    uint32_t c = UTF8_BAD;
    if (line.len)
        utf8_decode(&c, line.data, line.len);
    return c != UTF8_BAD && unicode_properties(c) & UNICODE_LOWER;
}

static bool ends_letter(struct view text)
{
    size_t at = text.len;
    uint32_t c = UTF8_BAD;
    while (at > 0 && ((unsigned char)text.data[at - 1] & 0xC0) == 0x80)
        at--;
    at -= at > 0;
    if (text.len)
        utf8_decode(&c, text.data + at, text.len - at);
    return c != UTF8_BAD && unicode_kind(c) == UNICODE_LETTER;
}

/* How the next line follows: a divided word loses its hyphen. */
static status join_to(struct buffer *out, struct view line, struct error *error)
{
    bool hyphen = out->len > 1 && out->data[out->len - 1] == '-' &&
                  ends_letter((struct view){out->data, out->len - 1});
    if (hyphen && begins_small(line)) {
        out->len--;
        return OK;
    }
    return buffer_append(out, " ", 1, error);
}

status pdf_join_lines(struct buffer *out, struct view text, struct error *error)
{
    ASSERT(out && error);
    struct view line;
    size_t begin = out->len;
    bool open = false; /* the last line may go on */
    while (view_line(&line, &text)) {
        while (line.len && line.data[0] == '\f') { /* a new page */
            line.data++;
            line.len--;
        }
        line = view_trim(line);
        if (line.len == 0)
            open = false;
        line = without_leader(line);
        if (line.len == 0 || (!open && is_page_number(line)))
            continue;
        if (open)
            TRY(join_to(out, line, error));
        else if (out->len > begin)
            TRY(buffer_append(out, "\n", 1, error));
        TRY(buffer_append(out, line.data, line.len, error));
        open = true;
    }
    return OK;
}

status pdf_read(struct buffer *out, const char **reason, struct view bytes, struct error *error)
{
    ASSERT(out && reason && error);
    const char *path = find_program();
    int file = -1;
    if (!path) {
        *reason = "is PDF, which pdftotext reads; it is not installed (Debian: poppler-utils)";
        return OK;
    }
    TRY(memory_file(&file, bytes, error));
    const char *const arguments[] = {path, "-q", "-enc", "UTF-8", "-", "-", NULL};
    struct sandbox_program program = {arguments, file, PDF_MEMORY_BYTES, PDF_LIMIT_S};
    struct buffer text;
    buffer_create(&text, PDF_TEXT_BYTES_MAX);
    status result = sandbox_program_run(&text, reason, &program, error);
    close(file);
    struct view written = {text.data ? text.data : "", text.len};
    if (result == OK && !*reason)
        result = pdf_join_lines(out, written, error);
    if (result == OK && !*reason && out->len == 0)
        *reason = "is PDF without text (pictures of pages?)";
    buffer_destroy(&text);
    return result;
}
