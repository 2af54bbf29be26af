#include "base/progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/thread.h"

static const double TERMINAL_INTERVAL_S = 0.1, PIPE_INTERVAL_S = 10;
enum { BAR_CELLS = 24, LINE_BYTES = 512 };

void progress_begin(struct progress *out, const char *label, const char *unit, double total,
                    bool silent)
{
    ASSERT(out && label && unit);
    double now = time_monotonic_s();
    *out = (struct progress){.label = label,
                             .unit = unit,
                             .total = total,
                             .start_s = now,
                             .last_s = now,
                             .done_at_start = -1,
                             .terminal = isatty(STDERR_FILENO) != 0,
                             .silent = silent};
}

static void format_count(char *out, size_t out_bytes, double value)
{
    static const char *const suffix[] = {"", "k", "M", "G", "T"};
    int step = 0;
    for (; fabs(value) >= 10000 && step < 4; step++)
        value /= 1000;
    snprintf(out, out_bytes, "%.*f%s", step && value < 100 ? 1 : 0, value, suffix[step]);
}

static void format_time(char *out, size_t out_bytes, double seconds)
{
    if (!(seconds >= 0 && seconds < 1e7)) {
        snprintf(out, out_bytes, "?");
        return;
    }
    long whole = (long)(seconds + 0.5);
    if (whole >= 3600)
        snprintf(out, out_bytes, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(out, out_bytes, "%ld:%02ld", whole / 60, whole % 60);
}

static size_t terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 10)
        return size.ws_col;
    return 80;
}

/* Cuts after `columns` code points, never inside one. */
static void cut(char *text, size_t columns)
{
    size_t seen = 0;
    for (char *at = text; *at; at++)
        if (((unsigned char)*at & 0xC0) != 0x80 && ++seen > columns) {
            *at = 0;
            return;
        }
}

static void draw_bar(char *out, double share)
{
    int full = (int)(fmin(fmax(share, 0), 1) * BAR_CELLS);
    *out++ = '[';
    for (int i = 0; i < BAR_CELLS; i++)
        *out++ = i < full ? '=' : i == full ? '>' : ' ';
    *out++ = ']';
    *out = 0;
}

struct state { /* of the work at this moment */
    double done, share, left_s, rate;
    const char *note;
};

static void render(char *line, const struct progress *progress, const struct state *state)
{
    char done[32], total[32] = "", rate[32], left[32] = "", bar[BAR_CELLS + 4] = "";
    format_count(done, sizeof done, state->done);
    format_count(rate, sizeof rate, state->rate);
    if (progress->total > 0) {
        strcpy(total, "/");
        format_count(total + 1, sizeof total - 1, progress->total);
    }
    if (state->share >= 0) {
        draw_bar(bar, state->share);
        strcpy(left, ", left ");
        format_time(left + 7, sizeof left - 7, state->left_s);
    }
    snprintf(line, LINE_BYTES, "%s %s%s%s%s %s, %s %s/s%s%s%s", progress->label, bar,
             *bar ? " " : "", done, total, progress->unit, rate, progress->unit, left,
             state->note ? ", " : "", state->note ? state->note : "");
}

static void show(struct progress *progress, const struct state *state, bool last)
{
    char line[LINE_BYTES];
    render(line, progress, state);
    if (progress->terminal) {
        cut(line, terminal_columns() - 1);
        fprintf(stderr, "\r\033[K%s%s", line, last ? "\n" : "");
    } else
        fprintf(stderr, "%s\n", line);
    fflush(stderr);
    progress->shown = true;
}

static bool due(struct progress *progress, double now)
{
    double interval = progress->terminal ? TERMINAL_INTERVAL_S : PIPE_INTERVAL_S;
    if (progress->silent || now - progress->last_s < interval)
        return false;
    progress->last_s = now;
    return true;
}

static double rate_of(struct progress *progress, double done, double now)
{
    if (progress->done_at_start < 0)
        progress->done_at_start = 0;
    return now > progress->start_s ? (done - progress->done_at_start) / (now - progress->start_s)
                                   : 0;
}

void progress_update(struct progress *progress, double done, const char *note)
{
    double now = time_monotonic_s(), rate = rate_of(progress, done, now);
    if (!due(progress, now))
        return;
    struct state state = {.done = done, .share = -1, .rate = rate, .note = note};
    if (progress->total > 0) {
        state.share = done / progress->total;
        state.left_s = rate > 0 ? (progress->total - done) / rate : -1;
    }
    show(progress, &state, false);
}

void progress_update_time(struct progress *progress, double done, double share, double left_s,
                          const char *note)
{
    double now = time_monotonic_s(), rate = rate_of(progress, done, now);
    if (!due(progress, now))
        return;
    show(progress, &(struct state){done, share, left_s, rate, note}, false);
}

void progress_end(struct progress *progress, double done)
{
    double now = time_monotonic_s(), rate = rate_of(progress, done, now);
    if (progress->silent || (!progress->shown && now - progress->start_s < 2))
        return;
    struct state state = {.done = done, .share = -1, .rate = rate};
    if (progress->terminal)
        show(progress, &state, true);
}
