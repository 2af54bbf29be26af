/* Messages for people on standard error: plain sentences on a terminal or in a pipe, one JSON
 * object a line if asked. Thread-safe. */
#ifndef RODNIK_BASE_LOG_H
#define RODNIK_BASE_LOG_H

#include "base/error.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

struct log_settings {
    enum log_level level;
    bool json;
};

void log_setup(struct log_settings settings); /* default: LOG_INFO, text */
void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_error(...)   log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_INFO, __VA_ARGS__)

#endif
