#include "base/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/sandbox_internal.h"
#include "base/thread.h"

enum {
    CHILDREN_MAX = 1024,
    WINDOW_PER_CHILD = 16, /* inputs that may be open at once */
    DEATHS_MAX = 16,       /* children that one input may end before the rest of it is refused */
    LOOK_MS = 50,          /* between looks at the clocks */
    READ_BYTES = 256 << 10
};
static const uint64_t HELD_BYTES_MAX = (uint64_t)256 << 20; /* results that wait for their turn */

enum progress { WAITS, RUNS, ENDED };

struct input {
    char *label;
    int descriptor;
    uint64_t size;
    enum progress progress;
    struct buffer frames; /* complete items, not delivered yet */
    uint64_t items;       /* whose frames have come */
    uint64_t refused;
    int deaths;
    char refused_reason[REASON_BYTES];
    bool failed;
    char reason[ERROR_TEXT_BYTES];
};

struct child {
    pid_t pid;
    int socket;
    struct sandbox_state *state; /* shared with the child */
    struct input *input;         /* NULL: idle */
    struct buffer incoming;      /* of a batch that is not complete */
    uint64_t place;              /* last seen */
    double cpu_s, sign_s;        /* when the item began, when something was last heard */
    char killed[REASON_BYTES];   /* why, when the parent did it */
};

struct sandbox {
    const struct sandbox_settings *settings;
    const struct sandbox_feed *feed;
    struct child *children;                         /* [settings->children] */
    struct pollfd *polls;                           /* [settings->children] */
    struct input *inputs;                           /* a ring [window] */
    size_t window, first, count, opened, delivered; /* delivered: inputs that left the ring */
    uint64_t held;
    bool no_more;
    char *chunk;
};

static struct input *nth_input(struct sandbox *sandbox, size_t nth)
{
    return &sandbox->inputs[(sandbox->first + nth) % sandbox->window];
}

/* ---- children ---- */

static double child_cpu_s(pid_t pid)
{
    clockid_t clock;
    struct timespec now = {0};
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &now) != 0)
        return 0;
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static status start_child(struct sandbox *sandbox, struct child *child, struct error *error)
{
    int sockets[2];
    if (!child->state) {
        void *shared = mmap(NULL, sizeof *child->state, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED)
            return fail_errno(error, "no memory to share with a child");
        child->state = shared;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
        return fail_errno(error, "a child can't be connected");
    child->pid = fork();
    if (child->pid < 0) {
        close(sockets[0]);
        close(sockets[1]);
        child->pid = 0;
        return fail_errno(error, "a child can't be started");
    }
    if (child->pid == 0)
        sandbox_child_run(sandbox->settings, child->state, sockets[1]);
    close(sockets[1]);
    child->socket = sockets[0];
    child->killed[0] = 0;
    buffer_clear(&child->incoming);
    return OK;
}

static int bury(struct child *child)
{
    int how = 0;
    if (!child->pid)
        return 0;
    kill(child->pid, SIGKILL);
    while (waitpid(child->pid, &how, 0) < 0 && errno == EINTR)
        ;
    close(child->socket);
    child->pid = 0;
    return how;
}

static void end_input(struct input *input, bool failed, const char *reason)
{
    input->progress = ENDED;
    input->failed = failed;
    snprintf(input->reason, sizeof input->reason, "%s", reason);
    if (input->descriptor >= 0)
        close(input->descriptor);
    input->descriptor = -1;
}

/* The item it died of is refused, and another child goes on behind it. */
static void on_death(struct child *child)
{
    struct input *input = child->input;
    child->input = NULL;
    uint64_t place = child->state ? atomic_load(&child->state->place) : 0;
    int how = bury(child);
    if (!input)
        return;
    char reason[REASON_BYTES];
    if (child->killed[0])
        snprintf(reason, sizeof reason, "%s", child->killed);
    else if (WIFSIGNALED(how))
        snprintf(reason, sizeof reason, "makes its reader crash (signal %d)", WTERMSIG(how));
    else
        snprintf(reason, sizeof reason, "makes its reader end (status %d)", WEXITSTATUS(how));
    bool in_item = place % 2 == 1 && place / 2 >= input->items && place / 2 != input->refused;
    if (!in_item || ++input->deaths > DEATHS_MAX) {
        end_input(input, true, reason);
        return;
    }
    input->refused = place / 2;
    snprintf(input->refused_reason, sizeof input->refused_reason, "%s", reason);
    input->progress = WAITS;
}

static void send_bytes(int socket, const void *data, size_t len)
{
    const char *at = data;
    while (len) {
        ssize_t sent = send(socket, at, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return;
        at += sent;
        len -= (size_t)sent;
    }
}

static void send_request(int socket, const struct input *input)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    size_t label_bytes = strlen(input->label);
    struct request_head request = {.size = input->size,
                                   .skip = input->items,
                                   .refused = input->refused,
                                   .label_bytes = (uint32_t)label_bytes};
    memcpy(request.reason, input->refused_reason, sizeof request.reason);
    struct iovec pieces[2] = {{&request, sizeof request}, {input->label, label_bytes}};
    struct msghdr message = {.msg_iov = pieces,
                             .msg_iovlen = 2,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &input->descriptor, sizeof(int));
    ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent <= 0)
        return;
    size_t of_head = (size_t)sent < sizeof request ? (size_t)sent : sizeof request;
    size_t of_label = (size_t)sent - of_head;
    send_bytes(socket, (char *)&request + of_head, sizeof request - of_head);
    send_bytes(socket, input->label + of_label, label_bytes - of_label);
}

static status give_work(struct sandbox *sandbox, struct child *child, struct input *input,
                        struct error *error)
{
    if (!child->pid)
        TRY(start_child(sandbox, child, error));
    child->input = input;
    child->place = 0;
    child->cpu_s = child_cpu_s(child->pid);
    child->sign_s = time_monotonic_s();
    atomic_store(&child->state->place, 0);
    input->progress = RUNS;
    send_request(child->socket,
                 input); /* where it fails the child has ended, which is heard next */
    return OK;
}

/* ---- results ---- */

/* A child that answers in another form than agreed ends, as one that crashed. */
static void on_nonsense(struct child *child)
{
    snprintf(child->killed, sizeof child->killed, "makes its reader answer nonsense");
    on_death(child);
}

/* Each a length and as many bytes. */
static bool are_frames(struct view bytes)
{
    while (bytes.len) {
        uint32_t len;
        if (bytes.len < sizeof len)
            return false;
        memcpy(&len, bytes.data, sizeof len);
        if (bytes.len - sizeof len < len)
            return false;
        bytes.data += sizeof len + len;
        bytes.len -= sizeof len + len;
    }
    return true;
}

static status take_batch(struct sandbox *sandbox, struct child *child, const char *bytes,
                         struct error *error)
{
    struct batch_head head;
    memcpy(&head, bytes, sizeof head);
    struct input *input = child->input;
    if (head.kind == BATCH_UNCONFINED)
        return fail(error, ERR_IO, "readers can't be confined: %.*s",
                    (int)(head.bytes < 500 ? head.bytes : 500), bytes + sizeof head);
    if (head.kind == BATCH_ITEMS) {
        if (!are_frames((struct view){bytes + sizeof head, (size_t)head.bytes})) {
            on_nonsense(child);
            return OK;
        }
        TRY(buffer_append(&input->frames, bytes + sizeof head, head.bytes, error));
        input->items = head.items;
        sandbox->held += head.bytes;
        return OK;
    }
    char reason[ERROR_TEXT_BYTES];
    snprintf(reason, sizeof reason, "%.*s", (int)(head.bytes < 1000 ? head.bytes : 1000),
             bytes + sizeof head);
    end_input(input, head.kind == BATCH_FAILED, reason);
    child->input = NULL;
    return OK;
}

static bool is_sound(const struct batch_head *head, const struct child *child, uint64_t bytes_max)
{
    return head->kind >= BATCH_ITEMS && head->kind <= BATCH_UNCONFINED &&
           head->bytes <= bytes_max && (child->input || head->kind == BATCH_UNCONFINED) &&
           (head->kind != BATCH_ITEMS || head->items > child->input->items);
}

static status take_batches(struct sandbox *sandbox, struct child *child, struct error *error)
{
    struct batch_head head;
    size_t at = 0;
    struct buffer *incoming = &child->incoming;
    while (incoming->len - at >= sizeof head) {
        memcpy(&head, incoming->data + at, sizeof head);
        if (!is_sound(&head, child, 2 * sandbox->settings->item_bytes + READ_BYTES + 64)) {
            on_nonsense(child);
            return OK;
        }
        if (incoming->len - at - sizeof head < head.bytes)
            break;
        TRY(take_batch(sandbox, child, incoming->data + at, error));
        if (!child->pid)
            return OK;
        at += sizeof head + (size_t)head.bytes;
    }
    if (at) {
        memmove(incoming->data, incoming->data + at, incoming->len - at);
        incoming->len -= at;
    }
    return OK;
}

static status hear(struct sandbox *sandbox, struct child *child, struct error *error)
{
    ssize_t got = recv(child->socket, sandbox->chunk, READ_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return OK;
    if (got <= 0) {
        on_death(child);
        return OK;
    }
    child->sign_s = time_monotonic_s();
    TRY(buffer_append(&child->incoming, sandbox->chunk, (size_t)got, error));
    return take_batches(sandbox, child, error);
}

static status deliver_frames(struct sandbox *sandbox, struct input *input, struct error *error)
{
    struct view rest = {input->frames.data, input->frames.len};
    while (rest.len) {
        uint32_t len;
        memcpy(&len, rest.data, sizeof len);
        ASSERT(rest.len - sizeof len >= len); /* are_frames */
        struct view frame = {rest.data + sizeof len, len};
        TRY(sandbox->feed->frame(sandbox->feed->context, sandbox->delivered, frame, error));
        rest.data += sizeof len + len;
        rest.len -= sizeof len + len;
    }
    sandbox->held -= input->frames.len;
    buffer_destroy(&input->frames);
    return OK;
}

/* What stands first in the ring goes to the feed; what ended leaves. */
static status deliver(struct sandbox *sandbox, struct error *error)
{
    while (sandbox->count) {
        struct input *input = nth_input(sandbox, 0);
        if (input->frames.len)
            TRY(deliver_frames(sandbox, input, error));
        if (input->progress != ENDED)
            return OK;
        const char *reason = input->failed ? input->reason : NULL;
        TRY(sandbox->feed->end(sandbox->feed->context, sandbox->delivered, reason, error));
        memory_give(input->label);
        input->label = NULL;
        sandbox->delivered++;
        sandbox->first = (sandbox->first + 1) % sandbox->window;
        sandbox->count--;
    }
    return OK;
}

/* ---- the loop ---- */

static status open_input(struct sandbox *sandbox, const struct sandbox_request *request,
                         struct error *error)
{
    struct input *input = nth_input(sandbox, sandbox->count);
    size_t label_bytes = strlen(request->label);
    *input = (struct input){.descriptor = request->descriptor, .refused = NO_ITEM};
    buffer_create(&input->frames, SIZE_MAX / 4);
    input->label = memory_take(label_bytes + 1);
    if (!input->label) {
        end_input(input, true, "");
        return fail(error, ERR_MEMORY, "no memory for a name");
    }
    memcpy(input->label, request->label, label_bytes + 1);
    sandbox->count++;
    struct stat about;
    if (request->descriptor < 0)
        end_input(input, true, request->reason ? request->reason : "can't be opened");
    else if (fstat(request->descriptor, &about) != 0 || !S_ISREG(about.st_mode))
        end_input(input, true, "is not a regular file");
    else if (label_bytes > LABEL_BYTES_MAX)
        end_input(input, true, "has a name that is too long");
    else
        input->size = (uint64_t)about.st_size;
    return OK;
}

static status fill_window(struct sandbox *sandbox, struct error *error)
{
    while (!sandbox->no_more && sandbox->count < sandbox->window) {
        struct sandbox_request request = {.descriptor = -1};
        if (!sandbox->feed->next(sandbox->feed->context, &request))
            sandbox->no_more = true;
        else
            TRY(open_input(sandbox, &request, error));
    }
    return OK;
}

static struct input *next_waiting(struct sandbox *sandbox)
{
    for (size_t i = 0; i < sandbox->count; i++)
        if (nth_input(sandbox, i)->progress == WAITS)
            return nth_input(sandbox, i);
    return NULL;
}

static status give_all(struct sandbox *sandbox, struct error *error)
{
    for (int i = 0; i < sandbox->settings->children; i++) {
        struct child *child = &sandbox->children[i];
        struct input *input = child->input ? NULL : next_waiting(sandbox);
        if (input)
            TRY(give_work(sandbox, child, input, error));
    }
    return OK;
}

static bool may_talk(struct sandbox *sandbox, const struct child *child)
{
    return child->input == nth_input(sandbox, 0) || sandbox->held < HELD_BYTES_MAX;
}

static void look_at_clocks(struct sandbox *sandbox, struct child *child, double now)
{
    const struct sandbox_settings *settings = sandbox->settings;
    uint64_t place = atomic_load(&child->state->place);
    double cpu_s = child_cpu_s(child->pid);
    if (place != child->place || !may_talk(sandbox, child)) {
        child->place = place;
        child->cpu_s = cpu_s;
        child->sign_s = now;
    } else if (cpu_s - child->cpu_s > settings->item_s)
        snprintf(child->killed, sizeof child->killed,
                 "takes its reader more than %g s of processor time", settings->item_s);
    else if (now - child->sign_s > settings->silence_s)
        snprintf(child->killed, sizeof child->killed, "keeps its reader silent for more than %g s",
                 settings->silence_s);
    if (child->killed[0])
        on_death(child);
}

static status wait_and_hear(struct sandbox *sandbox, struct error *error)
{
    int children = sandbox->settings->children;
    for (int i = 0; i < children; i++) {
        struct child *child = &sandbox->children[i];
        bool listen = child->input && may_talk(sandbox, child);
        sandbox->polls[i] = (struct pollfd){listen ? child->socket : -1, POLLIN, 0};
    }
    if (poll(sandbox->polls, (nfds_t)children, LOOK_MS) < 0 && errno != EINTR)
        return fail_errno(error, "waiting for readers");
    double now = time_monotonic_s();
    for (int i = 0; i < children; i++) {
        struct child *child = &sandbox->children[i];
        if (sandbox->polls[i].fd >= 0 && sandbox->polls[i].revents)
            TRY(hear(sandbox, child, error));
        else if (child->input)
            look_at_clocks(sandbox, child, now);
    }
    return OK;
}

static status run_loop(struct sandbox *sandbox, struct error *error)
{
    for (;;) {
        if (interrupt_requested())
            return fail(error, ERR_INTERRUPTED, "stopped while reading");
        TRY(fill_window(sandbox, error));
        if (sandbox->count == 0)
            return OK;
        TRY(give_all(sandbox, error));
        if (nth_input(sandbox, 0)->progress != ENDED)
            TRY(wait_and_hear(sandbox, error));
        TRY(deliver(sandbox, error));
    }
}

static status create(struct sandbox *sandbox, struct arena *arena, struct error *error)
{
    size_t children = (size_t)sandbox->settings->children;
    sandbox->window = children * WINDOW_PER_CHILD;
    TRY_ALLOC(sandbox->children, arena, children, error);
    TRY_ALLOC(sandbox->polls, arena, children, error);
    TRY_ALLOC(sandbox->inputs, arena, sandbox->window, error);
    TRY_ALLOC(sandbox->chunk, arena, READ_BYTES, error);
    for (size_t i = 0; i < children; i++)
        buffer_create(&sandbox->children[i].incoming, SIZE_MAX / 4);
    return OK;
}

static void destroy(struct sandbox *sandbox)
{
    for (int i = 0; sandbox->chunk && i < sandbox->settings->children; i++) {
        struct child *child = &sandbox->children[i];
        (void)bury(child);
        buffer_destroy(&child->incoming);
        if (child->state)
            munmap(child->state, sizeof *child->state);
    }
    for (size_t i = 0; i < sandbox->count; i++) {
        struct input *input = nth_input(sandbox, i);
        if (input->descriptor >= 0)
            close(input->descriptor);
        buffer_destroy(&input->frames);
        memory_give(input->label);
    }
}

status sandbox_run(const struct sandbox_settings *settings, const struct sandbox_feed *feed,
                   struct error *error)
{
    ASSERT(settings && settings->task && feed && feed->next && feed->frame && feed->end && error);
    ASSERT(settings->item_bytes > 0 && settings->item_bytes < UINT32_MAX);
    if (settings->children < 1 || settings->children > CHILDREN_MAX)
        return fail(error, ERR_USAGE, "the number of readers is %d, allowed are 1 to %d",
                    settings->children, CHILDREN_MAX);
    struct sandbox sandbox = {.settings = settings, .feed = feed};
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    status result = create(&sandbox, arena, error);
    if (result == OK)
        result = run_loop(&sandbox, error);
    destroy(&sandbox);
    arena_destroy(arena);
    return result;
}
