/* The side of the sandbox that has no rights. */
#include "base/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buffer.h"

enum { BATCH_BYTES = 256 << 10, GIVE_BACK_BYTES = 64 << 20 };

struct sandbox_channel {
    const struct sandbox_settings *settings;
    struct sandbox_state *state;
    int socket;
    struct request_head request;
    /* room for a batch's head, frames of items that ended, then of the current one: what ended is
     * sent in one call, since each wakes the parent up */
    struct buffer frames;
    size_t complete; /* bytes up to the end of the items that ended */
    uint64_t items;
    bool in_item;
    void *mapping; /* of the input */
    size_t mapping_len;
    uint64_t told_bytes; /* of frames, since pages of the input were given back */
};

/* ---- moving bytes ---- */

static bool send_all(int socket, const void *data, size_t len)
{
    const char *at = data;
    while (len) {
        ssize_t sent = send(socket, at, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        at += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool receive_all(int socket, void *data, size_t len)
{
    char *at = data;
    while (len) {
        ssize_t got = recv(socket, at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        len -= (size_t)got;
    }
    return true;
}

/* The descriptor comes with the first byte of the request. */
static bool receive_request(struct sandbox_channel *channel, int *descriptor, char *label)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct request_head *request = &channel->request;
    struct iovec piece = {request, sizeof *request};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    ssize_t got = recvmsg(channel->socket, &message, 0);
    struct cmsghdr *head = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (!head || head->cmsg_type != SCM_RIGHTS)
        return false;
    memcpy(descriptor, CMSG_DATA(head), sizeof *descriptor);
    return receive_all(channel->socket, (char *)request + got, sizeof *request - (size_t)got) &&
           request->label_bytes <= LABEL_BYTES_MAX &&
           receive_all(channel->socket, label, request->label_bytes);
}

static struct batch_head head_of(const struct sandbox_channel *channel, enum batch_kind kind,
                                 size_t bytes)
{
    return (struct batch_head){.kind = kind, .items = channel->items, .bytes = bytes};
}

static bool send_batch(struct sandbox_channel *channel, enum batch_kind kind, struct view bytes)
{
    struct batch_head head = head_of(channel, kind, bytes.len);
    return send_all(channel->socket, &head, sizeof head) &&
           send_all(channel->socket, bytes.data, bytes.len);
}

static status begin_batch(struct sandbox_channel *channel, struct error *error)
{
    static const struct batch_head room;
    buffer_clear(&channel->frames);
    channel->complete = sizeof room;
    return buffer_append(&channel->frames, &room, sizeof room, error);
}

static bool has_items(const struct sandbox_channel *channel)
{
    return channel->complete > sizeof(struct batch_head);
}

/* Where what is to be sent begins: with the head of items, if there are any. */
static size_t close_batch(struct sandbox_channel *channel)
{
    struct batch_head head = head_of(channel, BATCH_ITEMS, channel->complete - sizeof head);
    if (!has_items(channel))
        return sizeof head;
    memcpy(channel->frames.data, &head, sizeof head);
    return 0;
}

static status flush(struct sandbox_channel *channel, struct error *error)
{
    size_t from = close_batch(channel);
    if (!send_all(channel->socket, channel->frames.data + from, channel->complete - from))
        return fail(error, ERR_IO, "the parent does not take results");
    return begin_batch(channel, error);
}

/* The last items of an input and its end. */
static bool send_end(struct sandbox_channel *channel, enum batch_kind kind, struct view reason)
{
    struct batch_head head = head_of(channel, kind, reason.len);
    struct buffer *frames = &channel->frames;
    frames->len = channel->complete;
    if (buffer_reserve(frames, sizeof head + reason.len, &(struct error){0}) != OK)
        return (!has_items(channel) || flush(channel, &(struct error){0}) == OK) &&
               send_batch(channel, kind, reason);
    size_t from = close_batch(channel);
    memcpy(frames->data + frames->len, &head, sizeof head);
    memcpy(frames->data + frames->len + sizeof head, reason.data, reason.len);
    frames->len += sizeof head + reason.len;
    return send_all(channel->socket, frames->data + from, frames->len - from);
}

/* ---- items and frames ---- */

enum sandbox_turn sandbox_item_begin(struct sandbox_channel *channel)
{
    ASSERT(channel && !channel->in_item);
    channel->in_item = true;
    bool refused = channel->items == channel->request.refused;
    if (!refused) /* what stands for an item that ended a child is no danger */
        atomic_store(&channel->state->place, 2 * channel->items + 1);
    return refused                                  ? SANDBOX_REFUSED
           : channel->items < channel->request.skip ? SANDBOX_SKIP
                                                    : SANDBOX_WORK;
}

/* What was read of a large input would stay in memory until its end; pages that are read again come
 * back by themselves. */
static void give_back_pages(struct sandbox_channel *channel, size_t told_bytes)
{
    channel->told_bytes += told_bytes;
    if (channel->told_bytes < GIVE_BACK_BYTES || !channel->mapping)
        return;
    madvise(channel->mapping, channel->mapping_len, MADV_DONTNEED);
    channel->told_bytes = 0;
}

status sandbox_item_end(struct sandbox_channel *channel, struct error *error)
{
    ASSERT(channel && channel->in_item);
    channel->in_item = false;
    bool refused = channel->items == channel->request.refused;
    channel->items++;
    give_back_pages(channel, channel->frames.len - channel->complete);
    channel->complete = channel->frames.len;
    atomic_store(&channel->state->place, 2 * channel->items);
    /* a refused item is told at once: should a later one end this child too, the next child need
     * not know of both */
    return channel->frames.len >= BATCH_BYTES || refused ? flush(channel, error) : OK;
}

const char *sandbox_reason(const struct sandbox_channel *channel)
{
    return channel->request.reason;
}

status sandbox_frame(struct sandbox_channel *channel, const struct view *pieces, size_t count,
                     struct error *error)
{
    ASSERT(channel && channel->in_item && (pieces || count == 0));
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += pieces[i].len;
    if (len > channel->settings->item_bytes || len > UINT32_MAX)
        return fail(error, ERR_LIMIT, "has a document of %zu bytes, allowed are %llu", len,
                    (unsigned long long)channel->settings->item_bytes);
    uint32_t size = (uint32_t)len;
    TRY(buffer_reserve(&channel->frames, sizeof size + len, error));
    TRY(buffer_append(&channel->frames, &size, sizeof size, error));
    for (size_t i = 0; i < count; i++)
        TRY(buffer_append(&channel->frames, pieces[i].data, pieces[i].len, error));
    return OK;
}

/* ---- life ---- */

static bool serve(struct sandbox_channel *channel, int descriptor, const char *label)
{
    struct error error = {0};
    struct sandbox_input input = {{label, channel->request.label_bytes}, {"", 0}};
    size_t size = (size_t)channel->request.size;
    status result = begin_batch(channel, &error);
    void *bytes =
        size && result == OK ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, descriptor, 0) : NULL;
    close(descriptor);
    channel->items = 0;
    channel->in_item = false;
    atomic_store(&channel->state->place, 0);
    channel->mapping = bytes == MAP_FAILED ? NULL : bytes;
    channel->mapping_len = size;
    if (bytes == MAP_FAILED)
        result = fail(&error, ERR_IO, "can't be mapped");
    else if (result == OK) {
        if (size)
            input.bytes = (struct view){bytes, size};
        result = channel->settings->task(channel->settings->context, &input, channel, &error);
        if (size)
            munmap(bytes, size);
        channel->mapping = NULL;
    }
    return send_end(channel, result == OK ? BATCH_END : BATCH_FAILED,
                    result == OK ? (struct view){"", 0} : view_of(error.text));
}

static void close_others(int socket)
{
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3 && null >= 0; i++)
        dup2(null, i);
    dup2(socket, 3);
    syscall(SYS_close_range, 4, ~0U, 0);
}

static void set_signals(void)
{
    signal(SIGINT, SIG_IGN); /* the terminal sends it to all; the parent decides */
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
}

void sandbox_child_run(const struct sandbox_settings *settings, struct sandbox_state *state,
                       int socket)
{
    struct error error = {0};
    struct sandbox_channel channel = {.settings = settings, .state = state, .socket = 3};
    char label[LABEL_BYTES_MAX];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    set_signals();
    close_others(socket);
    (void)!setlocale(LC_CTYPE, "C.UTF-8"); /* names in archives; part of the C library */
    buffer_create(&channel.frames, 2 * settings->item_bytes + BATCH_BYTES + 2 * ERROR_TEXT_BYTES);
    if (confine_to_computing(settings->memory_bytes, &error) != OK) {
        (void)!send_batch(&channel, BATCH_UNCONFINED, view_of(error.text));
        _exit(1);
    }
    for (int descriptor; receive_request(&channel, &descriptor, label);)
        if (!serve(&channel, descriptor, label))
            break;
    _exit(0);
}
