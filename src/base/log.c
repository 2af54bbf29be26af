#include "base/log.h"

#include "base/string.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct log_settings settings = {LOG_INFO, false};

static const char *const names[] = {"error", "warning", "info", "debug"};

void log_setup(struct log_settings wanted)
{
    pthread_mutex_lock(&lock);
    settings = wanted;
    pthread_mutex_unlock(&lock);
}

static size_t render(char *out, size_t out_bytes, enum log_level level, const char *text)
{
    int len;
    if (settings.json) {
        char escaped[3 * 1024], stamp[32];
        json_escape(escaped, sizeof escaped, text);
        time_t now = time(NULL);
        struct tm parts;
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
        len = snprintf(out, out_bytes, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"%s\"}\n",
                       stamp, names[level], escaped);
    } else {
        const char *prefix = level == LOG_INFO ? "" : names[level];
        len = snprintf(out, out_bytes, "%s%s%s\n", prefix, *prefix ? ": " : "", text);
    }
    return len < 0 ? 0 : (size_t)len < out_bytes ? (size_t)len : out_bytes - 1;
}

void log_write(enum log_level level, const char *format, ...)
{
    char text[2048], line[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&lock);
    if (level <= settings.level) {
        size_t len = render(line, sizeof line, level, text);
        if (write(STDERR_FILENO, line, len) < 0)
            len = 0; /* nobody to tell */
    }
    pthread_mutex_unlock(&lock);
}
