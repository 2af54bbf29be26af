/* What every test program needs: cmocka with its prerequisites, and skipping with a reason. */
#ifndef RODNIK_TESTS_SUPPORT_H
#define RODNIK_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* cmocka's macro of this name would hide the project's function. */
#undef fail
#undef fail_msg
#define fail_msg(...)                                                                              \
    do {                                                                                           \
        print_error("ERROR: " __VA_ARGS__);                                                        \
        print_error("\n");                                                                         \
        _fail(__FILE__, __LINE__);                                                                 \
    } while (0)

#include "base/error.h"

/* Fails the test with the error's sentence. */
#define assert_ok(expression, error)                                                               \
    do {                                                                                           \
        if ((expression) != OK)                                                                    \
            fail_msg("%s: %s", #expression, (error).text);                                         \
    } while (0)

#define skip_because(...)                                                                          \
    do {                                                                                           \
        print_message("skipped: " __VA_ARGS__);                                                    \
        print_message("\n");                                                                       \
        skip();                                                                                    \
    } while (0)

#endif
