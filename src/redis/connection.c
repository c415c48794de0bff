/* hiredis on our loop: connect, log in, deadlines, back-off. */
#include "redis/connection.h"

#include "base/list.h"
#include "redis/command.h"
#include "redis/resolve.h"

#include <assert.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BACKOFF_FIRST_MS = 100, BACKOFF_LAST_MS = 5000 };

struct connection {
    struct connection_options options;
    redisAsyncContext *context; /* hiredis's: it frees itself; NULL while none */
    struct watch *watch;
    struct resolve *resolve;
    struct timer retry, deadline;
    struct task flush, report;
    struct link requests; /* in the order of sending, which is the order of answers */
    connection_message_fn on_message;
    void *message_arg;
    int64_t backoff_ms;
    unsigned attempts;
    bool is_connected, is_open, is_failing, is_closed;
    bool is_flushing, is_flush_last, is_late;
    char why[200];
};

struct request {
    struct link link;
    struct connection *connection;
    connection_reply_fn fn;
    void *arg;
    int64_t sent_ms;
};

static void connect_now(void *arg);
static void fail(struct connection *connection, const char *why);

/* ---- errors ---- */

struct known_error {
    const char *code;
    enum error_kind kind;
    const char *hint;
};

static const struct known_error known_errors[] = {
    {"LOADING", ERROR_TRANSIENT, "it is still loading its data"},
    {"READONLY", ERROR_TRANSIENT, "it is a read-only replica: point the URL at the primary"},
    {"MASTERDOWN", ERROR_TRANSIENT, "its primary is down"},
    {"OOM", ERROR_TRANSIENT, "its memory is full: raise maxmemory"},
    {"NOSCRIPT", ERROR_TRANSIENT, "it forgot the scripts: they are loaded again"},
    {"BUSY", ERROR_TRANSIENT, "another client's script blocks it"},
    {"MISCONF", ERROR_TRANSIENT, "it cannot save and refuses writes: look at its log"},
    {"NOREPLICAS", ERROR_TRANSIENT, "it has too few replicas to accept writes"},
    {"CLUSTERDOWN", ERROR_TRANSIENT, "the cluster is down"},
    {"TRYAGAIN", ERROR_TRANSIENT, "the cluster is moving slots"},
    {"ERR max number of clients", ERROR_TRANSIENT, "raise maxclients"},
    {"MOVED", ERROR_REJECTED, "it is a cluster: point the URL at the node which owns the ledger's slot"},
    {"NOAUTH", ERROR_REJECTED, "it wants a password: write redis://user:password@host"},
    {"WRONGPASS", ERROR_REJECTED, "user or password in the URL is wrong"},
    {"ERR invalid password", ERROR_REJECTED, "user or password in the URL is wrong"},
    {"ERR AUTH", ERROR_REJECTED, "it has no such login: leave user and password out of the URL"},
    {"ERR Client sent AUTH", ERROR_REJECTED, "it has no password: leave it out of the URL"},
    {"NOPERM", ERROR_REJECTED,
     "its ACL lacks a right: allow evalsha, script, info, subscribe and the ledger's keys and channels"},
    {"ERR DB index", ERROR_REJECTED, "it has no such database"},
};

/* The code stands first, or, from inside a script of an older server, after a dash within the text. */
static bool has_code(const char *text, const char *code)
{
    size_t length = strlen(code);
    if (strncmp(text, code, length) == 0)
        return true;
    for (const char *dash = text; (dash = strstr(dash, " -")); dash += 2)
        if (strncmp(dash + 2, code, length) == 0 && dash[2 + length] == ' ')
            return true;
    return false;
}

void connection_read_error(const char *text, struct error *reterr)
{
    for (size_t i = 0; i < ARRAY_LENGTH(known_errors); i++)
        if (has_code(text, known_errors[i].code)) {
            (void)error_set(reterr, known_errors[i].kind, "redis", 0, "Redis: %s (%.100s)",
                            known_errors[i].hint, text);
            return;
        }
    (void)error_set(reterr, ERROR_INTERNAL, "redis", 0, "Redis: %.160s", text);
}

/* ---- answers ---- */

static void watch_deadline(struct connection *connection);

static void end_request(struct request *request, const struct error *error, const redisReply *reply)
{
    link_remove(&request->link);
    connection_reply_fn fn = request->fn;
    void *arg = request->arg;
    free(request);
    fn(arg, error, reply);
}

static void on_reply(redisAsyncContext *context, void *answer, void *arg)
{
    struct request *request = arg;
    struct connection *connection = request->connection;
    const redisReply *reply = answer;
    struct error error = {0};
    if (!reply) {
        if (connection->why[0] == '\0')
            snprintf(connection->why, sizeof connection->why, "the connection to Redis broke: %.120s",
                     context->errstr ? context->errstr : "no reason given");
        (void)error_set(&error, ERROR_TRANSIENT, "redis", 0, "%s", connection->why);
        end_request(request, &error, NULL);
        return;
    }
    connection->is_late = false;
    if (reply->type == REDIS_REPLY_ERROR) {
        connection_read_error(reply->str, &error);
        if (error.kind == ERROR_TRANSIENT)
            fail(connection, error.text);
        end_request(request, &error, NULL);
        return;
    }
    end_request(request, NULL, reply);
}

/* A process that was stopped finds deadlines passed whose answers wait in the socket: they get one turn to be
 * read. */
static void on_deadline(void *arg)
{
    struct connection *connection = arg;
    if (list_is_empty(&connection->requests))
        return;
    struct request *oldest = LIST_OBJECT(connection->requests.next, struct request, link);
    if (loop_now_ms(connection->options.loop) < oldest->sent_ms + CONNECTION_DEADLINE_MS) {
        connection->is_late = false;
        watch_deadline(connection);
    } else if (!connection->is_late) {
        connection->is_late = true;
        loop_timer_start(connection->options.loop, &connection->deadline, 1, on_deadline, connection);
    } else {
        fail(connection, "Redis did not answer within 5 s");
    }
}

static void watch_deadline(struct connection *connection)
{
    if (timer_is_active(&connection->deadline) || list_is_empty(&connection->requests))
        return;
    struct request *oldest = LIST_OBJECT(connection->requests.next, struct request, link);
    int64_t wait_ms = oldest->sent_ms + CONNECTION_DEADLINE_MS - loop_now_ms(connection->options.loop);
    loop_timer_start(connection->options.loop, &connection->deadline, wait_ms, on_deadline, connection);
}

/* ---- the loop's side of hiredis ---- */

static void on_watch(void *arg, int events, int error)
{
    struct connection *connection = arg;
    redisAsyncContext *context = connection->context;
    /* hiredis finds out itself what is wrong with a socket, by reading, or by writing while it connects. */
    if (error != 0)
        events = connection->is_connected ? WATCH_READ : WATCH_WRITE;
    if (context && (events & WATCH_READ))
        redisAsyncHandleRead(context);
    context = connection->context;
    if (context && (events & WATCH_WRITE))
        redisAsyncHandleWrite(context);
    if (error != 0 && connection->context)
        fail(connection, "the connection to Redis broke");
}

static void set_write(struct connection *connection, bool is_wanted)
{
    if (connection->watch)
        watch_set(connection->watch, WATCH_READ | (is_wanted ? WATCH_WRITE : 0));
}

static void on_flush(void *arg)
{
    struct connection *connection = arg;
    if (!connection->is_flush_last) {
        /* Once more to the end of the queue: what this turn's other tasks send goes out with it. */
        connection->is_flush_last = true;
        loop_defer(connection->options.loop, &connection->flush, on_flush, connection);
        return;
    }
    connection->is_flush_last = false;
    if (!connection->context || !connection->is_connected)
        return;
    connection->is_flushing = true;
    redisAsyncHandleWrite(connection->context);
    connection->is_flushing = false;
}

static void add_read(void *arg)
{
    struct connection *connection = arg;
    if (connection->watch && !connection->is_connected)
        watch_set(connection->watch, WATCH_READ | WATCH_WRITE);
}

static void add_write(void *arg)
{
    struct connection *connection = arg;
    if (!connection->is_connected || connection->is_flushing) /* to connect, or the socket is full */
        set_write(connection, true);
    else
        loop_defer(connection->options.loop, &connection->flush, on_flush, connection);
}

static void remove_write(void *arg)
{
    set_write(arg, false);
}

static void remove_read(void *arg)
{
    (void)arg; /* a closed peer must be noticed even while nothing is asked */
}

static void retry_later(struct connection *connection)
{
    if (connection->is_closed)
        return;
    connection->backoff_ms =
        connection->backoff_ms == 0 ? BACKOFF_FIRST_MS : MIN(connection->backoff_ms * 2, BACKOFF_LAST_MS);
    loop_timer_start(connection->options.loop, &connection->retry,
                     random_jitter_ms(connection->options.random, connection->backoff_ms), connect_now,
                     connection);
}

static void on_report(void *arg)
{
    struct connection *connection = arg;
    retry_later(connection);
    connection->options.on_down(connection->options.arg, connection->why);
}

/* hiredis calls this when a context ends, however it ends, before it closes the socket. */
static void on_context_gone(void *arg)
{
    struct connection *connection = arg;
    if (connection->why[0] == '\0')
        snprintf(connection->why, sizeof connection->why, "the connection to Redis broke: %.120s",
                 connection->context->errstr ? connection->context->errstr : "closed by the server");
    connection->context = NULL;
    connection->is_connected = connection->is_open = false;
    loop_defer_cancel(connection->options.loop, &connection->flush);
    connection->is_flush_last = false;
    loop_timer_stop(connection->options.loop, &connection->deadline);
    watch_close(connection->watch);
    connection->watch = NULL;
    if (!connection->is_closed)
        loop_defer(connection->options.loop, &connection->report, on_report, connection);
}

/* ---- connecting ---- */

static void fail(struct connection *connection, const char *why)
{
    if (connection->is_failing)
        return;
    snprintf(connection->why, sizeof connection->why, "%.*s", (int)sizeof connection->why - 1, why);
    connection->is_open = false;
    if (connection->context) {
        connection->is_failing = true;
        redisAsyncFree(connection->context); /* inside one of its callbacks: when that has returned */
        return;
    }
    loop_timer_stop(connection->options.loop, &connection->deadline);
    loop_defer(connection->options.loop, &connection->report, on_report, connection);
}

static bool send(struct connection *connection, struct bytes command, connection_reply_fn fn, void *arg)
{
    if (!connection->context || connection->is_failing)
        return false;
    struct request *request = base_alloc(sizeof *request);
    request->connection = connection;
    request->fn = fn;
    request->arg = arg;
    request->sent_ms = loop_now_ms(connection->options.loop);
    list_push_back(&connection->requests, &request->link);
    if (redisAsyncFormattedCommand(connection->context, on_reply, request, command.data, command.length) !=
        REDIS_OK) {
        link_remove(&request->link);
        free(request);
        return false;
    }
    watch_deadline(connection);
    return true;
}

static void send_greeting(struct connection *connection, struct command *command, connection_reply_fn fn)
{
    struct bytes wire = command_format(command);
    if (!send(connection, wire, fn, connection))
        fail(connection, "the connection to Redis broke before the login");
    free((void *)wire.data);
}

static void on_greeted(void *arg, const struct error *error, const redisReply *reply)
{
    struct connection *connection = arg;
    (void)reply;
    if (error) {
        fail(connection, error->text);
        return;
    }
    connection->is_open = true;
    connection->options.on_open(connection->options.arg);
}

static void on_logged_in(void *arg, const struct error *error, const redisReply *reply)
{
    (void)reply;
    if (error)
        fail(arg, error->text); /* the SELECT behind it fails with it */
}

/* AUTH and SELECT leave together; SELECT is sent always, so that there is one answer to wait for. */
static void greet(struct connection *connection)
{
    const struct url *url = connection->options.url;
    struct command command = {0};
    if (url->password[0] != '\0') {
        command_text(&command, "AUTH");
        if (url->user[0] != '\0')
            command_text(&command, url->user);
        command_text(&command, url->password);
        send_greeting(connection, &command, on_logged_in);
    }
    command_text(&command, "SELECT");
    command_int(&command, url->database);
    send_greeting(connection, &command, on_greeted);
}

static void on_connected(const redisAsyncContext *context, int status)
{
    struct connection *connection = context->data;
    if (status != REDIS_OK) {
        if (connection->why[0] == '\0')
            snprintf(connection->why, sizeof connection->why, "cannot connect to Redis: %.120s",
                     context->c.errstr[0] ? context->c.errstr : "refused");
        return;
    }
    loop_timer_stop(connection->options.loop, &connection->deadline);
    connection->is_connected = true;
    set_write(connection, false);
    greet(connection);
}

static void on_connect_deadline(void *arg)
{
    struct connection *connection = arg;
    resolve_cancel(TAKE(connection->resolve));
    fail(connection, "cannot connect to Redis within 5 s: check the URL, the network and the server");
}

/* `address` is numeric; NULL for a unix socket. */
static void open_context(struct connection *connection, const char *address)
{
    const struct url *url = connection->options.url;
    redisAsyncContext *context =
        address ? redisAsyncConnect(address, url->port) : redisAsyncConnectUnix(url->path);
    if (!context || context->err != 0) {
        char why[160];
        snprintf(why, sizeof why, "cannot connect to Redis: %.100s",
                 context && context->errstr ? context->errstr : "out of memory");
        if (context)
            redisAsyncFree(context);
        fail(connection, why);
        return;
    }
    connection->context = context;
    connection->is_failing = false;
    connection->why[0] = '\0';
    connection->watch = loop_watch_new(connection->options.loop, context->c.fd, on_watch, connection);
    context->data = connection;
    context->ev.data = connection;
    context->ev.addRead = add_read;
    context->ev.delRead = remove_read;
    context->ev.addWrite = add_write;
    context->ev.delWrite = remove_write;
    context->ev.cleanup = on_context_gone;
    (void)redisAsyncSetConnectCallback(context, on_connected);
    if (address)
        (void)redisEnableKeepAlive(
            &context->c); /* a subscriber never asks: the kernel finds its dead peers */
    watch_set(connection->watch, WATCH_READ | WATCH_WRITE);
}

static void on_resolved(void *arg, const char *address, const char *why)
{
    struct connection *connection = arg;
    connection->resolve = NULL;
    if (address)
        open_context(connection, address);
    else
        fail(connection, why);
}

static void connect_now(void *arg)
{
    struct connection *connection = arg;
    const struct url *url = connection->options.url;
    connection->is_failing = false;
    loop_timer_start(connection->options.loop, &connection->deadline, CONNECTION_DEADLINE_MS,
                     on_connect_deadline, connection);
    if (url->path[0] != '\0')
        open_context(connection, NULL);
    else
        connection->resolve =
            resolve_new(connection->options.loop, url->host, connection->attempts++, on_resolved, connection);
}

/* ---- public ---- */

struct connection *connection_new(const struct connection_options *options)
{
    struct connection *connection = base_alloc(sizeof *connection);
    connection->options = *options;
    list_init(&connection->requests);
    loop_timer_start(options->loop, &connection->retry, 0, connect_now, connection);
    return connection;
}

void connection_free(struct connection *connection)
{
    if (!connection || connection->is_closed)
        return;
    connection->is_closed = true;
    struct loop *loop = connection->options.loop;
    loop_timer_stop(loop, &connection->retry);
    loop_timer_stop(loop, &connection->deadline);
    resolve_cancel(TAKE(connection->resolve));
    fail(connection, "the connection to Redis was closed");
    loop_defer_cancel(loop, &connection->report);
    loop_defer_cancel(loop, &connection->flush);
    loop_reap(loop, connection, free); /* hiredis may still be on the stack, and ends its context after us */
}

bool connection_send(struct connection *connection, struct bytes command, connection_reply_fn fn, void *arg)
{
    return connection->is_open && send(connection, command, fn, arg);
}

static void on_message(redisAsyncContext *context, void *answer, void *arg)
{
    (void)context;
    struct connection *connection = arg;
    const redisReply *reply = answer;
    if (!reply || connection->is_closed || reply->type != REDIS_REPLY_ARRAY || reply->elements != 3)
        return;
    const redisReply *kind = reply->element[0], *message = reply->element[2];
    if (kind->type != REDIS_REPLY_STRING || strcmp(kind->str, "message") != 0 ||
        message->type != REDIS_REPLY_STRING)
        return;
    connection->on_message(connection->message_arg,
                           (struct bytes){.data = message->str, .length = message->len});
}

void connection_subscribe(struct connection *connection, const char *channel, connection_message_fn fn,
                          void *arg)
{
    assert(connection->is_open);
    connection->on_message = fn;
    connection->message_arg = arg;
    if (redisAsyncCommand(connection->context, on_message, connection, "SUBSCRIBE %s", channel) != REDIS_OK)
        fail(connection, "the connection to Redis broke before SUBSCRIBE");
}

void connection_fail(struct connection *connection, const char *why)
{
    fail(connection, why);
}

void connection_settle(struct connection *connection)
{
    connection->backoff_ms = 0;
}

bool connection_is_open(const struct connection *connection)
{
    return connection->is_open;
}
