/* The HTTP server on libmicrohttpd: its epoll descriptor and its timeout hang on our loop. */
#include "http/server.h"

#include "base/buffer.h"
#include "base/list.h"
#include "loop/loop.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct http_server {
    struct loop *loop; /* borrowed */
    struct http_server_options options;
    struct MHD_Daemon *daemon;
    unsigned port;
    struct watch *watch;
    struct timer timer;
    struct task run_task;
    struct link exchanges;
    bool is_running; /* inside MHD_run */
    bool is_closing;
};

struct answer_header {
    struct answer_header *next;
    char *name, *value;
};

struct http_exchange {
    struct link link;
    struct http_server *server;        /* borrowed */
    struct MHD_Connection *connection; /* borrowed; NULL: closed */
    char *method, *path;
    struct buffer body;
    bool is_too_large;
    bool is_handed;    /* the handler has seen it: somebody owns it */
    bool is_ended;     /* by its owner */
    bool is_cut;       /* the body shall stay without its end */
    bool is_left;      /* the client hung up */
    bool is_suspended; /* libmicrohttpd does not look at the connection */
    bool is_full;
    struct MHD_Response *response; /* made, not yet queued */
    unsigned status;
    struct answer_header *headers;
    struct buffer stream;
    size_t stream_sent;
    struct watch *watch; /* for the hang-up, while we make it wait */
    struct task left_task, room_task;
    http_exchange_fn on_left, on_room;
    void *on_left_arg, *on_room_arg;
};

enum { CONNECTION_MEMORY_BYTES = 64 * 1024, STREAM_BLOCK_BYTES = 32 * 1024, RUNS_IN_A_ROW = 8 };

/* ---- driving libmicrohttpd ---- */

static void run(void *arg)
{
    struct http_server *server = arg;
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    bool has_timeout = true;
    server->is_running = true;
    for (int i = 0; i < RUNS_IN_A_ROW && has_timeout && timeout_ms == 0; i++) {
        (void)MHD_run(server->daemon);
        has_timeout = MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES;
    }
    server->is_running = false;
    if (has_timeout)
        loop_timer_start(server->loop, &server->timer, (int64_t)MIN(timeout_ms, 60000u), run, server);
    else
        loop_timer_stop(server->loop, &server->timer);
}

static void on_readable(void *arg, int events, int error)
{
    (void)events;
    (void)error;
    run(arg);
}

static void run_soon(struct http_server *server)
{
    loop_defer(server->loop, &server->run_task, run, server);
}

/* ---- waiting and hang-up ---- */

static void call_left(void *arg)
{
    struct http_exchange *exchange = arg;
    if (exchange->on_left && !exchange->is_ended)
        exchange->on_left(exchange->on_left_arg, exchange);
}

static void call_room(void *arg)
{
    struct http_exchange *exchange = arg;
    if (exchange->on_room && !exchange->is_ended && !exchange->is_left)
        exchange->on_room(exchange->on_room_arg, exchange);
}

static void resume(struct http_exchange *exchange)
{
    if (!exchange->is_suspended || !exchange->connection)
        return;
    exchange->is_suspended = false;
    MHD_resume_connection(exchange->connection);
    run_soon(exchange->server);
}

static void note_left(struct http_exchange *exchange)
{
    if (exchange->is_left)
        return;
    exchange->is_left = true;
    if (exchange->is_handed && !exchange->is_ended)
        loop_defer(exchange->server->loop, &exchange->left_task, call_left, exchange);
}

static void on_hangup(void *arg, int events, int error)
{
    (void)events;
    (void)error;
    struct http_exchange *exchange = arg;
    watch_set(exchange->watch, 0);
    note_left(exchange);
    resume(exchange);
}

static int connection_fd(struct http_exchange *exchange)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

static void suspend(struct http_exchange *exchange)
{
    if (!exchange->watch) {
        exchange->watch =
            loop_watch_new(exchange->server->loop, connection_fd(exchange), on_hangup, exchange);
        watch_set(exchange->watch, WATCH_HANGUP);
    }
    exchange->is_suspended = true;
    MHD_suspend_connection(exchange->connection);
}

/* ---- the exchange's life ---- */

static void free_exchange(void *arg)
{
    struct http_exchange *exchange = arg;
    struct loop *loop = exchange->server->loop;
    loop_defer_cancel(loop, &exchange->left_task);
    loop_defer_cancel(loop, &exchange->room_task);
    link_remove(&exchange->link);
    while (exchange->headers) {
        struct answer_header *header = exchange->headers;
        exchange->headers = header->next;
        free(header->name);
        free(header->value);
        free(header);
    }
    if (exchange->response)
        MHD_destroy_response(exchange->response);
    buffer_release(&exchange->body);
    buffer_release(&exchange->stream);
    free(exchange->method);
    free(exchange->path);
    free(exchange);
}

static void free_when_done(struct http_exchange *exchange)
{
    if (!exchange->connection && (exchange->is_ended || !exchange->is_handed))
        free_exchange(exchange);
}

static struct http_exchange *exchange_new(struct http_server *server, struct MHD_Connection *connection,
                                          const char *method, const char *path)
{
    struct http_exchange *exchange = base_alloc(sizeof *exchange);
    exchange->server = server;
    exchange->connection = connection;
    exchange->method = base_strdup(method);
    exchange->path = base_strdup(path);
    list_push_back(&server->exchanges, &exchange->link);
    return exchange;
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **place,
                         enum MHD_RequestTerminationCode code)
{
    (void)arg;
    (void)connection;
    struct http_exchange *exchange = *place;
    if (!exchange)
        return;
    *place = NULL;
    if (exchange->watch)
        watch_close(TAKE(exchange->watch));
    exchange->connection = NULL;
    if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        note_left(exchange);
    free_when_done(exchange);
}

/* ---- requests ---- */

static enum MHD_Result answer_or_wait(struct http_exchange *exchange)
{
    if (exchange->response) {
        for (struct answer_header *header = exchange->headers; header; header = header->next)
            (void)MHD_add_response_header(exchange->response, header->name, header->value);
        struct MHD_Response *response = TAKE(exchange->response);
        enum MHD_Result queued = MHD_queue_response(exchange->connection, exchange->status, response);
        MHD_destroy_response(response);
        return queued;
    }
    if (exchange->is_ended || exchange->is_left)
        return MHD_NO;
    suspend(exchange);
    return MHD_YES;
}

static void refuse_too_large(struct http_exchange *exchange)
{
    static const char text[] = "the request body is larger than this server takes\n";
    http_exchange_set_header(exchange, "Content-Type", "text/plain; charset=utf-8");
    http_exchange_reply(exchange, MHD_HTTP_CONTENT_TOO_LARGE, (struct bytes){text, sizeof text - 1});
}

/* libmicrohttpd gives the parameters. NOLINTNEXTLINE(readability-function-size) */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_size, void **place)
{
    (void)version;
    struct http_server *server = arg;
    struct http_exchange *exchange = *place;
    if (!exchange) {
        *place = exchange_new(server, connection, method, path);
        return MHD_YES;
    }
    if (*data_size > 0) {
        if (exchange->body.length + *data_size > server->options.max_body_bytes)
            exchange->is_too_large = true;
        else
            buffer_append(&exchange->body, data, *data_size);
        *data_size = 0;
        return MHD_YES;
    }
    if (!exchange->is_handed) {
        exchange->is_handed = true;
        if (exchange->is_too_large)
            refuse_too_large(exchange);
        else
            server->options.handler(server->options.arg, exchange);
    }
    return answer_or_wait(exchange);
}

const char *http_exchange_method(const struct http_exchange *exchange)
{
    return exchange->method;
}

const char *http_exchange_path(const struct http_exchange *exchange)
{
    return exchange->path;
}

static const char *lookup(const struct http_exchange *exchange, enum MHD_ValueKind kind, const char *name)
{
    return exchange->connection ? MHD_lookup_connection_value(exchange->connection, kind, name) : NULL;
}

const char *http_exchange_header(const struct http_exchange *exchange, const char *name)
{
    return lookup(exchange, MHD_HEADER_KIND, name);
}

const char *http_exchange_query(const struct http_exchange *exchange, const char *name)
{
    return lookup(exchange, MHD_GET_ARGUMENT_KIND, name);
}

struct bytes http_exchange_body(const struct http_exchange *exchange)
{
    return buffer_bytes(&exchange->body);
}

struct each_header {
    http_header_fn fn;
    void *arg;
};

static enum MHD_Result on_each_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    const struct each_header *each = arg;
    each->fn(each->arg, name, value ? value : "");
    return MHD_YES;
}

void http_exchange_each_header(const struct http_exchange *exchange, http_header_fn fn, void *arg)
{
    struct each_header each = {.fn = fn, .arg = arg};
    if (exchange->connection)
        (void)MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, on_each_header, &each);
}

/* ---- answers ---- */

void http_exchange_on_left(struct http_exchange *exchange, http_exchange_fn on_left, void *arg)
{
    exchange->on_left = on_left;
    exchange->on_left_arg = arg;
}

void http_exchange_set_header(struct http_exchange *exchange, const char *name, const char *value)
{
    struct answer_header *header = base_alloc(sizeof *header);
    *header = (struct answer_header){.name = base_strdup(name), .value = base_strdup(value)};
    struct answer_header **place = &exchange->headers;
    while (*place)
        place = &(*place)->next;
    *place = header;
}

/* After this the caller no longer owns the exchange, and it may be gone. */
static void finish(struct http_exchange *exchange)
{
    assert(exchange->is_handed && !exchange->is_ended);
    exchange->is_ended = true;
    resume(exchange);
    free_when_done(exchange);
}

void http_exchange_reply(struct http_exchange *exchange, unsigned status, struct bytes body)
{
    if (exchange->connection && !exchange->is_left) {
        exchange->status = status;
        exchange->response =
            MHD_create_response_from_buffer(body.length, (void *)(uintptr_t)body.data, MHD_RESPMEM_MUST_COPY);
    }
    finish(exchange);
}

void http_exchange_reply_file(struct http_exchange *exchange, unsigned status, int fd, uint64_t offset,
                              uint64_t size)
{
    if (exchange->connection && !exchange->is_left) {
        exchange->status = status;
        exchange->response = MHD_create_response_from_fd_at_offset64(size, fd, offset);
    } else {
        (void)close(fd);
    }
    finish(exchange);
}

static ssize_t on_stream_read(void *arg, uint64_t position, char *buf, size_t max)
{
    (void)position;
    struct http_exchange *exchange = arg;
    if (exchange->is_left)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t waiting = exchange->stream.length - exchange->stream_sent;
    if (waiting == 0) {
        if (exchange->is_cut)
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (exchange->is_ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        suspend(exchange);
        return 0;
    }
    size_t taken = MIN(waiting, max);
    memcpy(buf, exchange->stream.data + exchange->stream_sent, taken);
    exchange->stream_sent += taken;
    waiting -= taken;
    if (waiting == 0) {
        buffer_clear(&exchange->stream);
        exchange->stream_sent = 0;
    }
    if (exchange->is_full && waiting < exchange->server->options.max_buffered_bytes / 2) {
        exchange->is_full = false;
        loop_defer(exchange->server->loop, &exchange->room_task, call_room, exchange);
    }
    return (ssize_t)taken;
}

void http_exchange_start(struct http_exchange *exchange, unsigned status, http_exchange_fn on_room, void *arg)
{
    exchange->on_room = on_room;
    exchange->on_room_arg = arg;
    if (!exchange->connection || exchange->is_left)
        return;
    /* Small pieces must not wait for more: the reader of a stream wants each event when it happens. */
    int on = 1;
    (void)setsockopt(connection_fd(exchange), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    exchange->status = status;
    exchange->response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES,
                                                           on_stream_read, exchange, NULL);
    resume(exchange);
}

bool http_exchange_write(struct http_exchange *exchange, struct bytes data)
{
    assert(!exchange->is_ended);
    if (!exchange->connection || exchange->is_left)
        return true;
    if (data.length > 0) {
        if (exchange->stream_sent > 0) {
            buffer_drop_front(&exchange->stream, exchange->stream_sent);
            exchange->stream_sent = 0;
        }
        buffer_append(&exchange->stream, data.data, data.length);
    }
    resume(exchange);
    exchange->is_full = exchange->stream.length >= exchange->server->options.max_buffered_bytes;
    return !exchange->is_full;
}

void http_exchange_end(struct http_exchange *exchange)
{
    finish(exchange);
}

void http_exchange_cut(struct http_exchange *exchange)
{
    exchange->is_cut = true;
    finish(exchange);
}

/* ---- life cycle ---- */

static bool parse_listen(const char *text, struct sockaddr_storage *address, struct error *reterr)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    if (!colon || end == colon + 1 || *end || port > 65535)
        return error_set(reterr, ERROR_REJECTED, "http", 0, "listen address \"%s\" is not host:port", text);
    CLEANUP(base_freep) char *host = base_strndup(text, (size_t)(colon - text));
    size_t length = strlen(host);
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        return true;
    }
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        if (inet_pton(AF_INET6, host + 1, &six->sin6_addr) == 1) {
            six->sin6_family = AF_INET6;
            six->sin6_port = htons((uint16_t)port);
            return true;
        }
    }
    return error_set(reterr, ERROR_REJECTED, "http", 0,
                     "listen address \"%s\": the host must be a numeric address", text);
}

static bool start_daemon(struct http_server *server, struct error *reterr)
{
    const struct http_server_options *options = &server->options;
    struct sockaddr_storage address = {0};
    if (!parse_listen(options->listen, &address, reterr))
        return false;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
    if (address.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    errno = 0;
    server->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, server, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, server, MHD_OPTION_CONNECTION_LIMIT, options->max_connections,
        MHD_OPTION_CONNECTION_TIMEOUT, options->idle_timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u,
        MHD_OPTION_END); /* no LISTENING_ADDRESS_REUSE: two programs would share a port and each other's
                            clients */
    if (!server->daemon)
        return error_set(reterr, ERROR_REJECTED, "http", errno, "cannot listen on %s: %s", options->listen,
                         errno ? strerror(errno) : "the HTTP library refused");
    const union MHD_DaemonInfo *port = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
    const union MHD_DaemonInfo *epoll = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!port || !epoll)
        return error_set(reterr, ERROR_INTERNAL, "http", 0, "the HTTP library was built without epoll");
    server->port = port->port;
    server->watch = loop_watch_new(server->loop, epoll->epoll_fd, on_readable, server);
    watch_set(server->watch, WATCH_READ);
    return true;
}

struct http_server *http_server_new(struct loop *loop, const struct http_server_options *options,
                                    struct error *reterr)
{
    struct http_server *server = base_alloc(sizeof *server);
    server->loop = loop;
    server->options = *options;
    if (server->options.max_body_bytes == 0)
        server->options.max_body_bytes = 64 * 1024;
    if (server->options.max_buffered_bytes == 0)
        server->options.max_buffered_bytes = 256 * 1024;
    if (server->options.max_connections == 0)
        server->options.max_connections = 1024;
    if (server->options.idle_timeout_s == 0)
        server->options.idle_timeout_s = 120;
    list_init(&server->exchanges);
    if (!start_daemon(server, reterr)) {
        http_server_free(server);
        return NULL;
    }
    return server;
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    LIST_EACH(&server->exchanges, link)
    {
        struct http_exchange *exchange = LIST_OBJECT(link, struct http_exchange, link);
        note_left(exchange);
        resume(exchange);
    }
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    LIST_EACH(&server->exchanges, link)
    {
        struct http_exchange *exchange = LIST_OBJECT(link, struct http_exchange, link);
        loop_defer_cancel(server->loop, &exchange->left_task);
        call_left(exchange);
    }
    assert(list_is_empty(&server->exchanges));
    if (server->watch)
        watch_close(server->watch);
    loop_timer_stop(server->loop, &server->timer);
    loop_defer_cancel(server->loop, &server->run_task);
    free(server);
}

unsigned http_server_port(const struct http_server *server)
{
    return server->port;
}
