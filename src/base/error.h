/* Errors as values: every operation that can fail returns a `status`; the first failure writes one
 * sentence. Not for programmers' errors: those ASSERT. An error belongs to the caller, who zeroes
 * it (`struct error error = {0};`) and may share it down the call chain; one error per thread. */
#ifndef RODNIK_BASE_ERROR_H
#define RODNIK_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum status {
    OK = 0,
    ERR_IO,         /* the system refused a read, write, open, rename, socket */
    ERR_FORMAT,     /* bytes do not have the form they must have */
    ERR_MEMORY,     /* an allocation failed */
    ERR_LIMIT,      /* a size, count or depth exceeds a named limit */
    ERR_USAGE,      /* an option, key or argument of the user is wrong: exit status 2 */
    ERR_CONFLICT,   /* valid input that doesn't fit what is already there (another recipe, another
                       corpus) */
    ERR_NUMERIC,    /* NaN or divergence that the work cannot go on with */
    ERR_INTERRUPTED /* Ctrl-C or SIGTERM: stopped cleanly at a safe point */
} status;

enum { ERROR_TEXT_BYTES = 1024 };

struct error {
    status code;
    char text[ERROR_TEXT_BYTES]; /* one sentence without a newline: path, found, allowed */
};

#define MUST_USE                         __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first) __attribute__((format(printf, format_index, first)))

/* Records the sentence if `error` holds none yet (the first failure is the cause) and returns
 * `code`. */
status fail(struct error *error, status code, const char *format, ...) PRINTF_LIKE(3, 4);

/* As fail(), with ": " and the meaning of errno at the end.  Code ERR_IO (ERR_MEMORY for ENOMEM).
 */
status fail_errno(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

#define TRY(expression)                                                                            \
    do {                                                                                           \
        status try_status_ = (expression);                                                         \
        if (try_status_ != OK)                                                                     \
            return try_status_;                                                                    \
    } while (0)

/* As TRY, but leaves through the label `done` with the local variable `status result` set. */
#define TRY_DONE(expression)                                                                       \
    do {                                                                                           \
        result = (expression);                                                                     \
        if (result != OK)                                                                          \
            goto done;                                                                             \
    } while (0)

/* A programmer's error: writes the place to standard error and aborts.  Stays on in release. */
#define ASSERT(condition) ((condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__))
void assert_failed(const char *condition, const char *file, int line) __attribute__((noreturn));

#endif
