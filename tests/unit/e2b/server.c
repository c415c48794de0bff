#include "server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BYTEWISE_BYTES = 3000, PIECE_BYTES = 4999 };

struct connection {
    uv_tcp_t tcp;
    struct server *server;
    struct connection *next;
    struct buffer in;
    struct server_answer answer;
    size_t sent;
    bool is_sending, is_closing;
    int number;
};

struct server {
    uv_tcp_t listener;
    uv_idle_t idle; /* one piece a turn */
    server_fn fn;
    void *arg;
    struct connection *connections;
    int opened, handles;
    unsigned random;
    char url[64];
};

static void on_connection_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    buffer_release(&connection->in);
    free(connection);
}

static void drop(struct connection *connection)
{
    if (connection->is_closing)
        return;
    connection->is_closing = true;
    struct connection **place = &connection->server->connections;
    while (*place != connection)
        place = &(*place)->next;
    *place = connection->next;
    uv_close((uv_handle_t *)&connection->tcp, on_connection_closed);
}

static void take_request(struct connection *connection)
{
    struct buffer *in = &connection->in;
    const char *head_end = in->data ? strstr(in->data, "\r\n\r\n") : NULL;
    if (!head_end || connection->is_sending)
        return;
    size_t head = (size_t)(head_end - in->data) + 4;
    const char *length_line = strcasestr(in->data, "\r\nContent-Length: ");
    size_t length = length_line && length_line < head_end ? strtoul(length_line + 18, NULL, 10) : 0;
    if (in->length < head + length)
        return;
    char *copy = base_strndup(in->data, head);
    connection->answer = connection->server->fn(
        connection->server->arg, &(struct server_request){.head = copy,
                                                          .body = {.data = in->data + head, .length = length},
                                                          .connection = connection->number});
    free(copy);
    buffer_drop_front(in, head + length);
    connection->sent = 0;
    connection->is_sending = true;
}

static size_t piece_of(struct connection *connection)
{
    size_t left = connection->answer.bytes.length - connection->sent;
    size_t piece = left;
    if (connection->answer.split == SPLIT_BYTES)
        piece = connection->sent < BYTEWISE_BYTES ? 1 : PIECE_BYTES;
    if (connection->answer.split == SPLIT_RANDOM) {
        connection->server->random = connection->server->random * 1103515245u + 12345u;
        piece = 1 + (connection->server->random >> 8) % (1 + connection->answer.bytes.length / 7);
    }
    return MIN(piece, left);
}

static void finish(struct connection *connection)
{
    switch (connection->answer.then) {
    case SERVER_CLOSES:
        drop(connection);
        break;
    case SERVER_RESETS:
        connection->is_closing = true;
        struct connection **place = &connection->server->connections;
        while (*place != connection)
            place = &(*place)->next;
        *place = connection->next;
        uv_tcp_close_reset(&connection->tcp, on_connection_closed);
        break;
    case SERVER_KEEPS:
        connection->is_sending = false;
        take_request(connection);
        break;
    case SERVER_HANGS:
        break;
    }
}

static void on_idle(uv_idle_t *idle)
{
    struct server *server = idle->data;
    bool is_busy = false;
    for (struct connection *connection = server->connections, *next; connection; connection = next) {
        next = connection->next;
        if (!connection->is_sending || connection->sent > connection->answer.bytes.length)
            continue;
        size_t piece = piece_of(connection);
        if (piece > 0) {
            uv_buf_t out =
                uv_buf_init((char *)connection->answer.bytes.data + connection->sent, (unsigned)piece);
            int sent = uv_try_write((uv_stream_t *)&connection->tcp, &out, 1);
            if (sent < 0 && sent != UV_EAGAIN) {
                drop(connection);
                continue;
            }
            connection->sent += sent > 0 ? (size_t)sent : 0;
        }
        is_busy = true;
        if (connection->sent == connection->answer.bytes.length) {
            connection->sent++; /* told once */
            finish(connection);
        }
    }
    if (!is_busy)
        uv_idle_stop(idle);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    struct connection *connection = handle->data;
    buffer_reserve(&connection->in, size);
    *buf = uv_buf_init(connection->in.data + connection->in.length, (unsigned)size);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct connection *connection = stream->data;
    (void)buf;
    if (count < 0) {
        drop(connection);
        return;
    }
    connection->in.length += (size_t)count;
    connection->in.data[connection->in.length] = '\0';
    take_request(connection);
    if (connection->is_sending)
        uv_idle_start(&connection->server->idle, on_idle);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct server *server = listener->data;
    assert(status == 0);
    struct connection *connection = base_alloc(sizeof *connection);
    connection->server = server;
    connection->number = ++server->opened;
    connection->next = server->connections;
    server->connections = connection;
    uv_tcp_init(listener->loop, &connection->tcp);
    connection->tcp.data = connection;
    uv_accept(listener, (uv_stream_t *)&connection->tcp);
    uv_tcp_nodelay(&connection->tcp, 1);
    uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read);
}

struct server *server_new(uv_loop_t *uv, server_fn fn, void *arg)
{
    struct server *server = base_alloc(sizeof *server);
    struct sockaddr_in address;
    int size = sizeof address;
    server->fn = fn;
    server->arg = arg;
    server->handles = 2;
    server->random = 7;
    uv_idle_init(uv, &server->idle);
    server->idle.data = server;
    uv_tcp_init(uv, &server->listener);
    server->listener.data = server;
    uv_ip4_addr("127.0.0.1", 0, &address);
    int failed = uv_tcp_bind(&server->listener, (struct sockaddr *)&address, 0) ||
                 uv_listen((uv_stream_t *)&server->listener, 128, on_connection) ||
                 uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &size);
    if (failed)
        base_die("the test server cannot listen on the loopback");
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    return server;
}

const char *server_url(const struct server *server)
{
    return server->url;
}

bool server_is_sending(const struct server *server)
{
    for (const struct connection *connection = server->connections; connection; connection = connection->next)
        if (connection->is_sending && connection->sent < connection->answer.bytes.length)
            return true;
    return false;
}

static void on_own_closed(uv_handle_t *handle)
{
    struct server *server = handle->data;
    if (--server->handles == 0)
        free(server);
}

void server_close(struct server *server)
{
    while (server->connections)
        drop(server->connections);
    uv_close((uv_handle_t *)&server->listener, on_own_closed);
    uv_close((uv_handle_t *)&server->idle, on_own_closed);
}

struct server_answer server_says(int status, const char *extra_headers, const char *body)
{
    static char texts[64][4096]; /* the tests never have more answers on their way */
    static int next;
    char *text = texts[next++ % 64];
    int length = snprintf(text, sizeof texts[0], "HTTP/1.1 %d Status\r\n%sContent-Length: %zu\r\n\r\n%s",
                          status, extra_headers ? extra_headers : "", strlen(body), body);
    if (status == 204)
        length = snprintf(text, sizeof texts[0], "HTTP/1.1 204 No Content\r\n\r\n");
    assert(length > 0 && (size_t)length < sizeof texts[0]);
    return (struct server_answer){.bytes = {.data = text, .length = (size_t)length}, .then = SERVER_KEEPS};
}
