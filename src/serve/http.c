/* Connections: routes, bodies, streams.  libmicrohttpd polls them in a thread of its own. */
#include "serve/serve.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"
#include "base/thread.h"
#include "serve/serve_internal.h"

extern const unsigned char page_index_html[], page_style_css[], page_page_js[];
extern const unsigned long page_index_html_len, page_style_css_len, page_page_js_len;

struct server {
    const struct engine *engine;
    struct worker *worker;
    struct access access;
    struct arena *arena;
};

enum { DROPPED_BYTES_MAX = 16 << 20 };

/* One request on a connection. */
struct exchange {
    struct arena *arena; /* of the request; the job takes it */
    struct buffer body;
    struct job *job;
    bool answered;
    bool stream;
    size_t dropped; /* bytes of a body that is too large */
};

typedef struct MHD_Connection connection;

/* ---- answers ---- */

static void add_headers(struct MHD_Response *response, const char *type)
{
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(
        response, "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
}

static enum MHD_Result send_bytes(connection *to, unsigned code, const char *type,
                                  struct view bytes)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        bytes.len, (void *)(uintptr_t)bytes.data, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    add_headers(response, type);
    if (code == 401)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    enum MHD_Result result = MHD_queue_response(to, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_problem(connection *to, const struct api_error *problem)
{
    struct buffer text;
    struct error error = {0};
    buffer_create(&text, 1 << 16);
    enum MHD_Result result = MHD_NO;
    if (answer_error(&text, problem, &error) == OK)
        result = send_bytes(to, (unsigned)problem->http, "application/json",
                            (struct view){text.data, text.len});
    buffer_destroy(&text);
    return result;
}

static enum MHD_Result send_sentence(connection *to, int code, const char *type,
                                     const char *sentence)
{
    struct api_error problem = {.http = code, .type = type};
    snprintf(problem.message, sizeof problem.message, "%s", sentence);
    return send_problem(to, &problem);
}

/* ---- streams ---- */

static void sleep_connection(void *connection_)
{
    MHD_suspend_connection(connection_);
}

static void wake_connection(void *connection_)
{
    MHD_resume_connection(connection_);
}

static ssize_t read_stream(void *context, uint64_t position, char *out, size_t len)
{
    (void)position;
    struct exchange *exchange = context;
    enum job_state state;
    size_t moved = job_read(exchange->job, out, len, &state);
    if (moved)
        return (ssize_t)moved;
    if (state == JOB_WORKING)
        return 0; /* asleep until there is more */
    return state == JOB_DONE ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static enum MHD_Result send_stream(connection *to, struct exchange *exchange)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 << 10, read_stream, exchange, NULL);
    if (!response)
        return MHD_NO;
    add_headers(response, "text/event-stream; charset=utf-8");
    exchange->answered = true;
    enum MHD_Result result = MHD_queue_response(to, 200, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- completions ---- */

static enum MHD_Result answer_job(connection *to, struct exchange *exchange)
{
    enum job_state state;
    if (exchange->stream)
        return send_stream(to, exchange);
    if (!job_ended(exchange->job, &state))
        return MHD_YES; /* asleep; called again then */
    exchange->answered = true;
    if (state == JOB_FAILED)
        return send_sentence(to, 500, "server_error", job_failure(exchange->job));
    return send_bytes(to, 200, "application/json", job_text(exchange->job));
}

static enum MHD_Result start_job(connection *to, struct server *server, struct exchange *exchange,
                                 bool chat)
{
    struct api_request request;
    struct api_error problem = {0};
    struct error error = {0};
    struct view body = {exchange->body.data, exchange->body.len};
    if (arena_create(&exchange->arena, 16 * (size_t)SERVE_BODY_BYTES_MAX, &error) != OK)
        return send_sentence(to, 503, "server_error", error.text);
    if (!api_parse(&request, &problem, chat, body, engine_info(server->engine)->name,
                   exchange->arena))
        return send_problem(to, &problem);
    size_t context = worker_context(server->worker);
    if ((size_t)request.sampling.max_tokens > context)
        request.sampling.max_tokens = (int64_t)context;
    struct arena *arena = exchange->arena;
    exchange->arena = NULL;
    exchange->stream = request.stream;
    if (worker_submit(&exchange->job, server->worker, &request, arena, to, &error) != OK)
        return send_sentence(to, error.code == ERR_LIMIT ? 429 : 503, "rate_limit_exceeded",
                             error.text);
    return answer_job(to, exchange);
}

/* ---- other routes ---- */

static enum MHD_Result send_models(connection *to, struct server *server)
{
    struct buffer text;
    struct error error = {0};
    buffer_create(&text, 1 << 20);
    enum MHD_Result result = MHD_NO;
    if (answer_models(&text, engine_info(server->engine), worker_context(server->worker), &error) ==
        OK)
        result = send_bytes(to, 200, "application/json", (struct view){text.data, text.len});
    buffer_destroy(&text);
    return result;
}

static enum MHD_Result send_health(connection *to, struct server *server)
{
    bool healthy = worker_healthy(server->worker);
    return send_bytes(to, healthy ? 200 : 503, "application/json",
                      view_of(healthy ? "{\"status\":\"ok\"}" : "{\"status\":\"unavailable\"}"));
}

static bool send_page(enum MHD_Result *result, connection *to, const char *url)
{
    const struct {
        const char *url, *type;
        struct view bytes;
    } files[] = {
        {"/", "text/html; charset=utf-8", {(const char *)page_index_html, page_index_html_len}},
        {"/style.css",
         "text/css; charset=utf-8",
         {(const char *)page_style_css, page_style_css_len}},
        {"/page.js",
         "text/javascript; charset=utf-8",
         {(const char *)page_page_js, page_page_js_len}},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(url, files[i].url) == 0) {
            *result = send_bytes(to, 200, files[i].type, files[i].bytes);
            return true;
        }
    return false;
}

enum route { ROUTE_NONE, ROUTE_PAGE, ROUTE_HEALTH, ROUTE_MODELS, ROUTE_CHAT, ROUTE_COMPLETIONS };

static enum route route_of(const char *url)
{
    static const struct {
        const char *url;
        enum route route;
    } routes[] = {{"/", ROUTE_PAGE},
                  {"/style.css", ROUTE_PAGE},
                  {"/page.js", ROUTE_PAGE},
                  {"/health", ROUTE_HEALTH},
                  {"/v1/models", ROUTE_MODELS},
                  {"/v1/chat/completions", ROUTE_CHAT},
                  {"/v1/completions", ROUTE_COMPLETIONS}};
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(url, routes[i].url) == 0)
            return routes[i].route;
    return ROUTE_NONE;
}

static bool method_fits(enum route route, const char *method)
{
    bool post = route == ROUTE_CHAT || route == ROUTE_COMPLETIONS;
    return strcmp(method, post ? "POST" : "GET") == 0 || (!post && strcmp(method, "HEAD") == 0);
}

/* What needs neither body nor work; false: go on. */
static bool answer_early(enum MHD_Result *result, connection *from, struct server *server,
                         const char *url, const char *method)
{
    enum route route = route_of(url);
    const char *key = MHD_lookup_connection_value(from, MHD_HEADER_KIND, "Authorization");
    const char *length = MHD_lookup_connection_value(from, MHD_HEADER_KIND, "Content-Length");
    uint64_t bytes = 0;
    if (route >= ROUTE_MODELS && !access_allows(&server->access, key))
        *result = send_sentence(from, 401, "authentication_error", "an access key is needed");
    else if (route == ROUTE_NONE)
        *result =
            send_sentence(from, 404, "invalid_request_error", "there is nothing at this path");
    else if (!method_fits(route, method))
        *result = send_sentence(from, 405, "invalid_request_error",
                                "this path does not take this method");
    else if (length && (!parse_u64(&bytes, view_of(length)) || bytes > SERVE_BODY_BYTES_MAX))
        *result =
            send_sentence(from, 413, "invalid_request_error", "the body is larger than 1 MiB");
    else
        return false;
    return true;
}

static enum MHD_Result answer_request(connection *from, struct server *server,
                                      struct exchange *exchange, const char *url)
{
    enum MHD_Result result = MHD_NO;
    if (exchange->job)
        return answer_job(from, exchange);
    switch (route_of(url)) {
    case ROUTE_HEALTH:
        return send_health(from, server);
    case ROUTE_MODELS:
        return send_models(from, server);
    case ROUTE_CHAT:
        return start_job(from, server, exchange, true);
    case ROUTE_COMPLETIONS:
        return start_job(from, server, exchange, false);
    case ROUTE_PAGE:
    case ROUTE_NONE:
        break;
    }
    (void)send_page(&result, from, url);
    return result;
}

static struct exchange *exchange_create(void)
{
    struct exchange *exchange = memory_take(sizeof *exchange);
    if (exchange) {
        *exchange = (struct exchange){0};
        buffer_create(&exchange->body, SERVE_BODY_BYTES_MAX);
    }
    return exchange;
}

/* libmicrohttpd calls this once for the headers, once for each part of the body, and once at its
 * end (and again after a sleep). Its signature is the library's. */
static enum MHD_Result on_request(void *context, connection *from, const char *url,
                                  const char *method, const char *version, const char *part,
                                  size_t *part_len, void **state)
{
    (void)version;
    struct exchange *exchange = *state;
    struct error error = {0};
    enum MHD_Result result;
    if (!exchange) {
        if (answer_early(&result, from, context, url, method))
            return result;
        *state = exchange_create();
        return *state ? MHD_YES : MHD_NO;
    }
    if (*part_len) {
        /* A client reads the answer only when its body has been taken, so what is too much is
         * dropped; up to a limit. */
        if (exchange->dropped || buffer_append(&exchange->body, part, *part_len, &error) != OK)
            exchange->dropped += *part_len;
        *part_len = 0;
        return exchange->dropped <= DROPPED_BYTES_MAX ? MHD_YES : MHD_NO;
    }
    if (exchange->dropped)
        return send_sentence(from, 413, "invalid_request_error", "the body is larger than 1 MiB");
    if (exchange->answered)
        return MHD_YES;
    return answer_request(from, context, exchange, url);
}

static void on_completed(void *context, connection *from, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)from;
    (void)code;
    struct exchange *exchange = *state;
    if (!exchange)
        return;
    if (exchange->job)
        job_release(exchange->job);
    arena_destroy(exchange->arena);
    buffer_destroy(&exchange->body);
    memory_give(exchange);
    *state = NULL;
}

/* ---- life ---- */

static status start_daemon(struct MHD_Daemon **out, const struct serve_settings *settings,
                           struct server *server, struct error *error)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(settings->port)};
    if (inet_pton(AF_INET, settings->host, &address.sin_addr) != 1)
        return fail(error, ERR_USAGE, "--host is '%s', allowed are IPv4 addresses", settings->host);
    *out = MHD_start_daemon(
        MHD_USE_AUTO_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, settings->port, NULL, NULL,
        on_request, server, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SERVE_TIMEOUT_S, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)SERVE_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32 << 10,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    if (!*out)
        return fail_errno(error, "%s:%u can't be listened on", settings->host, settings->port);
    return OK;
}

static uint16_t port_of(struct MHD_Daemon *daemon, uint16_t wanted)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info ? info->port : wanted;
}

static void wait_for_end(void)
{
    const struct timespec pause = {0, 50 * 1000 * 1000};
    while (!interrupt_requested())
        nanosleep(&pause, NULL);
}

static status serve_with(const struct serve_settings *settings, struct server *server,
                         struct error *error)
{
    struct MHD_Daemon *daemon = NULL;
    const struct connection_hooks hooks = {sleep_connection, wake_connection};
    if (settings->keys_path)
        TRY(access_load(&server->access, settings->keys_path, server->arena, error));
    TRY(worker_create(&server->worker, server->engine, settings->context, hooks, error));
    status result = start_daemon(&daemon, settings, server, error);
    if (result == OK) {
        if (settings->ready)
            settings->ready(settings->ready_context, port_of(daemon, settings->port));
        wait_for_end();
    }
    worker_stop(server->worker);
    if (daemon)
        MHD_stop_daemon(daemon);
    worker_destroy(server->worker);
    return result;
}

status serve_run(const struct serve_settings *settings, const struct engine *engine,
                 struct error *error)
{
    ASSERT(settings && settings->host && engine && error);
    struct server server = {.engine = engine};
    TRY(arena_create(&server.arena, 0, error));
    status result = serve_with(settings, &server, error);
    arena_destroy(server.arena);
    return result;
}
