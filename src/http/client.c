/* Connections: curl's multi interface driven by our loop, and the pool of easy handles. */
#include "http/client.h"

#include "http/curl_memory.h"
#include "http/exchange.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    DEFAULT_CONNECT_MS = 10000,
    POOL_SIZE = 128, /* idle easy handles kept; 9 KiB each */
    LEAST_KEPT = 16, /* connections */
    SOCKETS_AT_FIRST = 64,
    KICKS_IN_A_TURN = 64,
    LOOKS_IN_VAIN = 4,
    UNSENT_MOST = 32,    /* requests to a shared connection that curl has a buffer for, or will have */
    UNSENT_MS = 20,      /* by then they hold up nobody */
    STREAMS_MOST = 1000, /* the server says how many it takes; of curl's own bound, 100, a burst opens ten
                          * times the connections */
};

/* One descriptor that curl uses. A connection stays watched for reading between two requests: every change of
 * what is watched costs two system calls. But only one that a request was sent on: of others curl does not
 * tell when it closes them, and the number may be another's by then. */
struct http_socket {
    struct http_client *client; /* borrowed */
    curl_socket_t fd;
    struct watch *watch; /* NULL: not yet */
    int wanted;          /* as curl asked last; 0: nothing */
    bool is_proven;      /* a request was sent on it */
};

/* ---- exchanges come and go ---- */

static void recycle(struct http_exchange *exchange)
{
    struct http_client *client = exchange->client;
    exchange->state = EXCHANGE_IDLE;
    buffer_release(&exchange->body);
    curl_url_cleanup(TAKE(exchange->url));
    if (exchange->is_buffered) /* of a connection that others use as well curl keeps it */
        exchange_free_buffer(exchange);
    if (client->is_closing || client->pool->count == POOL_SIZE) {
        exchange_free(exchange);
        return;
    }
    exchange->next_pooled = client->pool->first;
    client->pool->first = exchange;
    client->pool->count++;
}

static void on_due(void *arg);

/* It is sent, or ended, or takes too long. */
static void uncount(struct http_exchange *exchange)
{
    if (exchange->unsent_round == exchange->client->unsent_round)
        exchange->client->unsent--;
    exchange->unsent_round = 0;
}

static void take_from_curl(struct http_exchange *exchange)
{
    struct http_client *client = exchange->client;
    if (!exchange->is_added)
        return;
    link_remove(&exchange->place); /* of those that send */
    uncount(exchange);
    curl_multi_remove_handle(client->multi, exchange->easy);
    exchange->is_added = false;
    client->added--;
    if (!list_is_empty(&client->queued) && !client->is_closing)
        loop_defer(client->loop, &client->kick, on_due, client);
}

/* What shares a connection goes out one after the other anyway. Elsewhere each would wait for the others'
 * handshakes. */
static bool has_enough_unsent(const struct http_client *client)
{
    return client->unsent >= UNSENT_MOST && !client->is_single && client->options.version == HTTP_SHARED;
}

/* Requests wait here for a connection rather than in curl, which would take each of them up twice. A host
 * that may speak HTTP/2 gets them all: curl knows how many share a connection. */
static bool has_room(const struct http_client *client)
{
    if (has_enough_unsent(client))
        return false;
    return !client->is_single || !client->options.is_always_limited ||
           client->added < client->options.max_connections;
}

/* So many connections are kept as were in use at once: of curl's own rule, four for each request in flight,
 * little is left between two bursts. */
static void keep_connections(struct http_client *client)
{
    if (client->options.max_idle > 0 || client->added <= client->most_added)
        return;
    client->most_added = client->added;
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)MAX(client->most_added, LEAST_KEPT));
}

static void add_now(struct http_client *client, struct http_exchange *exchange)
{
    exchange->state = EXCHANGE_RUNNING;
    exchange->is_added = true;
    exchange->opened = 0;
    client->added++;
    exchange->unsent_round = exchange->is_buffered ? client->unsent_round : 0;
    client->unsent += exchange->is_buffered;
    keep_connections(client);
    CURLMcode code = curl_multi_add_handle(client->multi, exchange->easy);
    if (code != CURLM_OK)
        base_die("curl_multi_add_handle: %s", curl_multi_strerror(code));
}

static void on_unsent_long(void *arg);

static void watch_queue(struct http_client *client)
{
    if (list_is_empty(&client->queued) || !has_enough_unsent(client) || timer_is_active(&client->patience))
        return;
    loop_timer_start(client->loop, &client->patience, UNSENT_MS, on_unsent_long, client);
}

/* What piled up while curl was on the stack, or had enough to do. */
static void flush(struct http_client *client)
{
    struct link *link;
    if (client->is_in_curl)
        return;
    while ((link = list_pop_front(&client->dead))) {
        struct http_exchange *exchange = LIST_OBJECT(link, struct http_exchange, place);
        take_from_curl(exchange);
        recycle(exchange);
    }
    while (has_room(client) && (link = list_pop_front(&client->queued)))
        add_now(client, LIST_OBJECT(link, struct http_exchange, place));
    watch_queue(client);
}

/* A server that does not read, or a host that cannot be reached, is no reason for others to wait. */
static void on_unsent_long(void *arg)
{
    struct http_client *client = arg;
    client->unsent_round++;
    client->unsent = 0;
    flush(client);
}

void client_add(struct http_exchange *exchange)
{
    struct http_client *client = exchange->client;
    if (!client->is_in_curl && list_is_empty(&client->queued) && has_room(client)) {
        add_now(client, exchange);
        return;
    }
    exchange->state = EXCHANGE_QUEUED;
    list_push_back(&client->queued, &exchange->place);
    watch_queue(client);
}

void client_remove(struct http_exchange *exchange)
{
    struct http_client *client = exchange->client;
    exchange->state = EXCHANGE_DEAD;
    link_remove(&exchange->place);
    if (client->is_in_curl) {
        list_push_back(&client->dead, &exchange->place);
        return;
    }
    take_from_curl(exchange);
    recycle(exchange);
}

void client_sends(struct http_exchange *exchange)
{
    link_remove(&exchange->place);
    list_push_back(&exchange->client->sending, &exchange->place);
}

/* curl's buffer for a request is as large as all that a job takes here, and the answer may be an hour away.
 * Most requests leave at once: those that do not go to the end. */
static void free_buffers(struct http_client *client)
{
    struct link *link;
    int most = has_enough_unsent(client) ? LOOKS_IN_VAIN + UNSENT_MOST : LOOKS_IN_VAIN;
    for (int looks = 0; looks < most && (link = list_pop_front(&client->sending));) {
        struct http_exchange *exchange = LIST_OBJECT(link, struct http_exchange, place);
        if (exchange_is_sent(exchange)) {
            exchange_free_buffer(exchange);
            uncount(exchange);
            continue;
        }
        list_push_back(&client->sending, link);
        looks++;
    }
}

/* ---- curl's wishes ---- */

static void reap(struct http_client *client)
{
    CURLMsg *message;
    int left;
    while (!client->is_closing && (message = curl_multi_info_read(client->multi, &left))) {
        struct http_exchange *exchange = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode result = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
        take_from_curl(exchange);
        if (exchange->state == EXCHANGE_RUNNING)
            exchange_ended(exchange, result);
    }
}

static void leave_curl(struct http_client *client)
{
    client->is_in_curl = false;
    free_buffers(client);
    flush(client);
    reap(client);
}

static void drive(struct http_client *client, curl_socket_t fd, int events)
{
    int running;
    client->is_in_curl = true;
    curl_multi_socket_action(client->multi, fd, events, &running);
    leave_curl(client);
}

/* ---- descriptors ---- */

static struct http_socket **place_of(struct http_client *client, curl_socket_t fd)
{
    size_t index = (size_t)fd;
    if (index >= client->socket_count) {
        size_t count = 2 * index + SOCKETS_AT_FIRST;
        client->sockets = base_realloc(client->sockets, count * sizeof(struct http_socket *));
        memset(client->sockets + client->socket_count, 0,
               (count - client->socket_count) * sizeof(struct http_socket *));
        client->socket_count = count;
    }
    return &client->sockets[index];
}

static void forget_socket(struct http_client *client, curl_socket_t fd)
{
    struct http_socket *socket = TAKE(*place_of(client, fd));
    if (!socket)
        return;
    if (socket->watch)
        watch_close(socket->watch);
    free(socket);
}

static struct http_socket *socket_of(struct http_client *client, curl_socket_t fd)
{
    struct http_socket **place = place_of(client, fd);
    if (!*place) {
        *place = base_alloc(sizeof **place);
        **place = (struct http_socket){.client = client, .fd = fd};
    }
    return *place;
}

void client_opened(struct http_client *client, curl_socket_t fd)
{
    forget_socket(client, fd);
    client->connections++;
}

void client_sent_first(struct http_client *client, curl_socket_t fd)
{
    socket_of(client, fd)->is_proven = true;
}

int client_close_socket(void *arg, curl_socket_t fd)
{
    forget_socket(arg, fd);
    return close(fd);
}

/* A socket with a pending error is readable and writable to curl: so it sees the error itself, and knows a
 * lost connection from a failed one. The loop has stopped such a watch; curl may still want it. */
static void on_socket_ready(void *arg, int events, int error)
{
    struct http_socket *socket = arg;
    int seen = (events & WATCH_READ ? CURL_CSELECT_IN : 0) | (events & WATCH_WRITE ? CURL_CSELECT_OUT : 0);
    if (socket->wanted == 0) {
        watch_set(socket->watch, 0); /* its server closes it: curl finds out when it takes it */
        return;
    }
    if (error < 0) {
        seen = CURL_CSELECT_IN | CURL_CSELECT_OUT | CURL_CSELECT_ERR;
        watch_set(socket->watch, 0);
        watch_set(socket->watch, socket->wanted);
    }
    drive(socket->client, socket->fd, seen);
}

static void let_rest(struct http_client *client, curl_socket_t fd)
{
    struct http_socket *socket = *place_of(client, fd);
    if (!socket)
        return;
    if (!socket->is_proven) {
        forget_socket(client, fd);
        return;
    }
    if (socket->watch && socket->wanted != WATCH_READ)
        watch_set(socket->watch, 0);
    socket->wanted = 0;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    (void)easy, (void)known;
    struct http_client *client = arg;
    if (what == CURL_POLL_REMOVE) {
        let_rest(client, fd);
        return 0;
    }
    struct http_socket *socket = socket_of(client, fd);
    if (!socket->watch)
        socket->watch = loop_watch_new(client->loop, fd, on_socket_ready, socket);
    socket->wanted = (what & CURL_POLL_IN ? WATCH_READ : 0) | (what & CURL_POLL_OUT ? WATCH_WRITE : 0);
    watch_set(socket->watch, socket->wanted);
    return 0;
}

static void on_due(void *arg)
{
    drive(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* Zero means "at once". A timer would make that a millisecond, so it is a deferred call; but not without end
 * in one turn. */
static int on_curl_timer(CURLM *multi, long delay_ms, void *arg)
{
    (void)multi;
    struct http_client *client = arg;
    if (client->is_closing)
        return 0;
    if (delay_ms < 0) {
        loop_timer_stop(client->loop, &client->timer);
        return 0;
    }
    int64_t now_ms = loop_now_ms(client->loop);
    if (client->kick_ms != now_ms) {
        client->kick_ms = now_ms;
        client->kicks = 0;
    }
    if (delay_ms == 0 && client->kicks++ < KICKS_IN_A_TURN) {
        loop_timer_stop(client->loop, &client->timer);
        loop_defer(client->loop, &client->kick, on_due, client);
        return 0;
    }
    loop_timer_start(client->loop, &client->timer, delay_ms, on_due, client);
    return 0;
}

/* ---- use ---- */

struct http_exchange *client_take(struct http_client *client)
{
    struct http_exchange *exchange = client->pool->first;
    if (!exchange)
        return exchange_new(client);
    client->pool->first = exchange->next_pooled;
    client->pool->count--;
    if (exchange->client != client)
        exchange_move(exchange, client);
    return exchange;
}

void client_unpause(struct http_exchange *exchange)
{
    struct http_client *client = exchange->client;
    client->is_in_curl = true;
    curl_easy_pause(exchange->easy, CURLPAUSE_CONT);
    leave_curl(client);
}

void client_met(struct http_client *client, bool is_shared)
{
    client->is_single = !is_shared;
    if (is_shared || !client->is_limited || client->options.is_always_limited)
        return;
    client->is_limited = false;
    curl_multi_setopt(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS, 0L);
}

int64_t http_client_connections(const struct http_client *client)
{
    return client->connections;
}

/* ---- life cycle ---- */

/* curl would search the environment for every request: where it names none, once is enough. */
static bool find_proxy(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        const char *value = getenv(names[i]);
        if (value && value[0] != '\0')
            return true;
    }
    return false;
}

struct http_client *http_client_new(struct loop *loop, const struct http_client_options *options)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT; /* the one global: curl's own */
    pthread_once(&once, curl_memory_init);
    struct http_client *client = base_alloc(sizeof *client);
    client->loop = loop;
    client->options = *options;
    client->agent_line = options->user_agent ? base_printf(AGENT "%s", options->user_agent) : NULL;
    client->options.user_agent = NULL;
    client->options.ca_file = base_strdup(options->ca_file);
    if (client->options.connect_ms <= 0)
        client->options.connect_ms = DEFAULT_CONNECT_MS;
    client->has_proxy = find_proxy();
    list_init(&client->live);
    list_init(&client->queued);
    list_init(&client->dead);
    list_init(&client->sending);
    client->unsent_round = 1;
    client->pool = options->sibling ? options->sibling->pool : base_alloc(sizeof *client->pool);
    client->pool->users++;
    client->multi = curl_multi_init();
    client->share = curl_share_init();
    if (!client->multi || !client->share)
        base_die("out of memory: curl_multi_init");
    curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_PIPELINING,
                      options->version == HTTP_SHARED ? CURLPIPE_MULTIPLEX : CURLPIPE_NOTHING);
    if (options->max_idle > 0)
        curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)options->max_idle);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)STREAMS_MOST);
    client->is_limited = options->max_connections > 0;
    if (client->is_limited)
        curl_multi_setopt(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)options->max_connections);
    return client;
}

/* curl is done with this client's share only when no handle at rest holds it. */
static void leave_pool(struct http_client *client)
{
    struct exchange_pool *pool = client->pool;
    while (pool->first) {
        struct http_exchange *exchange = pool->first;
        pool->first = exchange->next_pooled;
        pool->count--;
        exchange_free(exchange);
    }
    if (--pool->users == 0)
        free(pool);
}

static void destroy(void *arg)
{
    struct http_client *client = arg;
    flush(client);
    leave_pool(client);
    curl_multi_cleanup(client->multi);
    curl_share_cleanup(client->share);
    loop_timer_stop(client->loop, &client->timer);
    loop_timer_stop(client->loop, &client->patience);
    loop_defer_cancel(client->loop, &client->kick);
    free(client->agent_line);
    free((char *)client->options.ca_file);
    free(client->sockets);
    void (*closed)(void *) = client->closed;
    void *closed_arg = client->closed_arg;
    free(client);
    if (closed)
        closed(closed_arg);
}

void http_client_close(struct http_client *client, void (*closed)(void *), void *arg)
{
    if (!client)
        return;
    assert(!client->is_closing);
    client->closed = closed;
    client->closed_arg = arg;
    LIST_EACH(&client->live, link)
    http_exchange_cancel(LIST_OBJECT(link, struct http_exchange, live));
    client->is_closing = true;
    loop_defer(client->loop, &client->flush, destroy, client);
}
