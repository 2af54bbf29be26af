/* One external program under limits: a descriptor is its standard input, its output is
 * collected. */
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/thread.h"

enum { NOT_STARTED = 126, LOOK_MS = 100, READ_BYTES = 64 << 10, CLOCK_FACTOR = 10 };

static void become(const struct sandbox_program *program, int output)
{
    static char *const environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL};
    struct error error = {0};
    rlim_t seconds = (rlim_t)program->limit_s + 1;
    struct rlimit limit = {seconds, seconds};
    int null = open("/dev/null", O_WRONLY);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN);
    signal(SIGPIPE, SIG_DFL);
    if (null < 0 || dup2(program->input, 0) < 0 || dup2(output, 1) < 0 || dup2(null, 2) < 0)
        _exit(NOT_STARTED);
    syscall(SYS_close_range, 3, ~0U, 0);
    lseek(0, 0, SEEK_SET);
    if (setrlimit(RLIMIT_CPU, &limit) != 0 ||
        confine_to_reading_system(program->memory_bytes, &error) != OK)
        _exit(NOT_STARTED);
    execve(program->arguments[0], (char *const *)(uintptr_t)program->arguments, environment);
    _exit(NOT_STARTED);
}

/* Until the program closes its output or a limit is reached. */
static status collect(struct buffer *out, const char **reason, int pipe_end, double end_s,
                      struct error *error)
{
    char chunk[READ_BYTES];
    for (;;) {
        struct pollfd look = {pipe_end, POLLIN, 0};
        int ready = poll(&look, 1, LOOK_MS);
        if (interrupt_requested())
            return fail(error, ERR_INTERRUPTED, "stopped while reading");
        if (ready < 0 && errno != EINTR)
            return fail_errno(error, "waiting for a program");
        if (time_monotonic_s() > end_s) {
            *reason = "takes the program that reads it too long";
            return OK;
        }
        if (ready <= 0)
            continue;
        ssize_t got = read(pipe_end, chunk, sizeof chunk);
        if (got <= 0)
            return OK;
        if ((size_t)got > out->len_max - out->len) {
            *reason = "has more text than is allowed";
            return OK;
        }
        TRY(buffer_append(out, chunk, (size_t)got, error));
    }
}

status sandbox_program_run(struct buffer *out, const char **reason,
                           const struct sandbox_program *program, struct error *error)
{
    ASSERT(out && reason && program && program->arguments[0] && error);
    int pipes[2], how = 0;
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return fail_errno(error, "no pipe for %s", program->arguments[0]);
    *reason = NULL;
    pid_t pid = fork();
    if (pid == 0)
        become(program, pipes[1]);
    close(pipes[1]);
    if (pid < 0) {
        close(pipes[0]);
        return fail_errno(error, "%s can't be started", program->arguments[0]);
    }
    double end_s = time_monotonic_s() + CLOCK_FACTOR * program->limit_s;
    status result = collect(out, reason, pipes[0], end_s, error);
    close(pipes[0]);
    if (result != OK || *reason)
        kill(pid, SIGKILL);
    while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
        ;
    if (result != OK || *reason)
        return result;
    if (WIFEXITED(how) && WEXITSTATUS(how) == NOT_STARTED)
        *reason = "can't be read: its program can't be started under its limits";
    else if (WIFSIGNALED(how) && (WTERMSIG(how) == SIGXCPU || WTERMSIG(how) == SIGKILL))
        *reason = "takes the program that reads it too long";
    else if (!WIFEXITED(how) || WEXITSTATUS(how) != 0)
        *reason = "can't be read by the program for its kind (damaged or protected)";
    return OK;
}
