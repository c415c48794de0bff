/* One request and its answer: an easy handle, its deadline, and who is to blame when it fails. */
#include "http/exchange.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
    RECEIVE_BYTES = 1536, /* curl's buffer per transfer: most of what a waiting request costs */
    SEND_BYTES = 16384,   /* the least that curl takes */
    INLINE_BYTES = 32768, /* a body up to this leaves in one piece with its head */
    KEEPALIVE_S = 30,
    KEEPALIVE_STEP_S = 10,
    CONNECT_TRIES = 3,
    RETRY_MS = 100, /* doubles */
};

/* ---- what curl asks while it works; the exchange may be dead by then ---- */

static int on_socket_opened(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    struct http_exchange *exchange = arg;
    unsigned lost_ms = exchange->client->options.lost_ms;
    (void)purpose;
    client_opened(exchange->client, fd);
    exchange->opened++;
    exchange->opened_fd = fd;
    if (lost_ms > 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost_ms, sizeof lost_ms);
    return CURL_SOCKOPT_OK;
}

/* The last moment before bytes leave, on a new connection or a reused one. curl comes here again when it
 * wants to repeat a request whose reused connection died unanswered: only the caller knows whether that is
 * harmless. */
static int on_before_sending(void *arg, char *primary_ip, char *local_ip, int primary_port, int local_port)
{
    struct http_exchange *exchange = arg;
    (void)primary_ip, (void)local_ip, (void)primary_port, (void)local_port;
    if (exchange->state != EXCHANGE_RUNNING)
        return CURL_PREREQFUNC_ABORT;
    if (exchange->was_sent && !exchange->is_repeatable) {
        exchange->failure = HTTP_CUT;
        return CURL_PREREQFUNC_ABORT;
    }
    if (exchange->send_before_boot_ms > 0 &&
        loop_boot_ms(exchange->client->loop) >= exchange->send_before_boot_ms) {
        exchange->failure = HTTP_EXPIRED;
        return CURL_PREREQFUNC_ABORT;
    }
    if (exchange->opened == 1) /* of several that were tried curl does not say which it took */
        client_sent_first(exchange->client, exchange->opened_fd);
    exchange->opened = 0;
    exchange->was_sent = true;
    if (exchange->is_buffered)
        client_sends(exchange);
    exchange->heard_ms = loop_now_ms(exchange->client->loop);
    return CURL_PREREQFUNC_OK;
}

static size_t on_wants_body(char *out, size_t size, size_t count, void *arg)
{
    struct http_exchange *exchange = arg;
    size_t room = size * count, written = 0;
    if (exchange->state != EXCHANGE_RUNNING)
        return CURL_READFUNC_ABORT;
    while (exchange->piece < exchange->piece_count && written < room) {
        const struct bytes *piece = &exchange->pieces[exchange->piece];
        size_t take = MIN(piece->length - exchange->offset, room - written);
        if (take > 0)
            memcpy(out + written, (const char *)piece->data + exchange->offset, take);
        written += take;
        exchange->offset += take;
        if (exchange->offset == piece->length) {
            exchange->piece++;
            exchange->offset = 0;
        }
    }
    exchange->heard_ms = loop_now_ms(exchange->client->loop);
    return written;
}

static int on_rewind(void *arg, curl_off_t offset, int origin)
{
    struct http_exchange *exchange = arg;
    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    exchange->piece = exchange->offset = 0;
    return CURL_SEEKFUNC_OK;
}

/* Until a request goes out, curl tells of the one before it in the same handle. */
static int status_of(struct http_exchange *exchange)
{
    long status = 0;
    if (!exchange->was_sent)
        return 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

static size_t on_answer_bytes(char *data, size_t size, size_t count, void *arg)
{
    struct http_exchange *exchange = arg;
    size_t length = size * count;
    if (exchange->state != EXCHANGE_RUNNING)
        return 0;
    if (exchange->is_paused) {
        exchange->is_held = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    exchange->heard_ms = loop_now_ms(exchange->client->loop);
    if (exchange->status == 0) {
        exchange->status = status_of(exchange);
        exchange->is_collected = !exchange->on_bytes || exchange->status / 100 != 2;
    }
    if (!exchange->is_collected) {
        exchange->on_bytes(exchange->arg, (struct bytes){.data = data, .length = length});
        return exchange->state == EXCHANGE_RUNNING ? length : 0;
    }
    if (length > exchange->max_body_bytes - MIN(exchange->max_body_bytes, exchange->body.length)) {
        exchange->failure = HTTP_TOO_LARGE;
        return 0;
    }
    buffer_append(&exchange->body, data, length);
    return length;
}

/* ---- what was sent ---- */

bool exchange_is_sent(const struct http_exchange *exchange)
{
    curl_off_t sent = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    return (size_t)sent >= exchange->length;
}

/* curl 7.62 to 8.6 hold the buffer until the answer is whole, unless it is to have another size; later ones
 * hold it as long as the handle: see curl_memory.h. Should the request be repeated, they take another. */
void exchange_free_buffer(struct http_exchange *exchange)
{
    curl_easy_setopt(exchange->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BYTES);
}

bool http_exchange_gives_back(struct http_exchange *exchange)
{
    if (exchange->status == 0 || !exchange_is_sent(exchange))
        return false;
    exchange->is_repeatable = false;
    exchange->pieces = NULL;
    exchange->piece_count = 0;
    return true;
}

/* ---- the end ---- */

static enum http_failure failure_of(const struct http_exchange *exchange, CURLcode result)
{
    if (exchange->failure != 0)
        return exchange->failure;
    if (result == CURLE_OK)
        return 0;
    if (exchange->was_sent)
        return HTTP_CUT;
    if (result == CURLE_URL_MALFORMAT || result == CURLE_UNSUPPORTED_PROTOCOL)
        return HTTP_INVALID;
    if (result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE)
        return HTTP_UNTRUSTED;
    return HTTP_UNREACHABLE;
}

static enum error_kind kind_of(enum http_failure failure)
{
    switch (failure) {
    case HTTP_INVALID:
    case HTTP_UNTRUSTED:
        return ERROR_REJECTED;
    case HTTP_UNREACHABLE:
    case HTTP_CUT:
    case HTTP_SILENT:
        return ERROR_TRANSIENT;
    case HTTP_EXPIRED:
    case HTTP_TIMED_OUT:
        return ERROR_TIMEOUT;
    case HTTP_TOO_LARGE:
        return ERROR_OVERLOAD;
    }
    return ERROR_INTERNAL;
}

static void describe(const struct http_exchange *exchange, enum http_failure failure, CURLcode result,
                     struct error *ret)
{
    const char *why = exchange->reason[0] ? exchange->reason : curl_easy_strerror(result);
    switch (failure) {
    case HTTP_EXPIRED:
        why = "it was too late to send it";
        break;
    case HTTP_SILENT:
        why = "nothing was heard for too long";
        break;
    case HTTP_TIMED_OUT:
        why = exchange->was_sent ? "no complete answer in time" : "no connection in time";
        break;
    case HTTP_TOO_LARGE:
        why = "the answer is larger than allowed";
        break;
    case HTTP_CUT:
        if (result == CURLE_ABORTED_BY_CALLBACK)
            why = "a reused connection was lost before an answer came";
        (void)error_set(ret, kind_of(failure), "http", failure, "the connection broke: %s", why);
        return;
    case HTTP_INVALID:
    case HTTP_UNREACHABLE:
    case HTTP_UNTRUSTED:
        break;
    }
    (void)error_set(ret, kind_of(failure), "http", failure, "%s", why);
}

static void finish(struct http_exchange *exchange, enum http_failure failure, CURLcode result)
{
    struct http_response response = {.was_sent = exchange->was_sent,
                                     .status = status_of(exchange),
                                     .body = buffer_bytes(&exchange->body),
                                     .exchange = exchange};
    struct error error;
    if (failure != 0)
        describe(exchange, failure, result, &error);
    link_remove(&exchange->live);
    loop_timer_stop(exchange->client->loop, &exchange->timer);
    loop_defer_cancel(exchange->client->loop, &exchange->resume);
    exchange->done(exchange->arg, failure != 0 ? &error : NULL, &response);
    client_remove(exchange);
}

static void on_timer(void *arg);

/* Starts the timer for whatever comes first. */
static void arm(struct http_exchange *exchange)
{
    int64_t now_ms = loop_now_ms(exchange->client->loop);
    int64_t next_ms = exchange->deadline_ms;
    if (exchange->state == EXCHANGE_WAITING)
        next_ms = MIN(next_ms, exchange->retry_ms);
    else if (exchange->idle_ms > 0)
        next_ms = MIN(next_ms, exchange->heard_ms + exchange->idle_ms);
    if (next_ms != INT64_MAX)
        loop_timer_start(exchange->client->loop, &exchange->timer, next_ms - now_ms, on_timer, exchange);
}

static void on_timer(void *arg)
{
    struct http_exchange *exchange = arg;
    int64_t now_ms = loop_now_ms(exchange->client->loop);
    assert(!exchange->client->is_in_curl);
    if (exchange->is_paused || exchange->state == EXCHANGE_QUEUED)
        exchange->heard_ms = now_ms;
    if (now_ms >= exchange->deadline_ms) {
        finish(exchange, HTTP_TIMED_OUT, CURLE_OPERATION_TIMEDOUT);
        return;
    }
    if (exchange->state == EXCHANGE_WAITING && now_ms >= exchange->retry_ms)
        client_add(exchange);
    else if (exchange->idle_ms > 0 && now_ms >= exchange->heard_ms + exchange->idle_ms) {
        finish(exchange, HTTP_SILENT, CURLE_OPERATION_TIMEDOUT);
        return;
    }
    arm(exchange);
}

void exchange_ended(struct http_exchange *exchange, CURLcode result)
{
    enum http_failure failure = failure_of(exchange, result);
    struct loop *loop = exchange->client->loop;
    long version = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_HTTP_VERSION, &version);
    if (version != CURL_HTTP_VERSION_NONE)
        client_met(exchange->client, version >= CURL_HTTP_VERSION_2_0);
    int64_t pause_ms = (int64_t)RETRY_MS << exchange->tries;
    if (failure == HTTP_UNREACHABLE && exchange->tries + 1 < CONNECT_TRIES &&
        loop_now_ms(loop) + pause_ms < exchange->deadline_ms) {
        exchange->tries++;
        exchange->state = EXCHANGE_WAITING;
        exchange->retry_ms = loop_now_ms(loop) + pause_ms;
        arm(exchange);
        return;
    }
    finish(exchange, failure, result);
}

/* ---- an easy handle ---- */

void exchange_move(struct http_exchange *exchange, struct http_client *client)
{
    bool is_shared = client->options.version == HTTP_SHARED;
    exchange->client = client;
    curl_easy_setopt(exchange->easy, CURLOPT_HTTP_VERSION,
                     (long)(is_shared ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(exchange->easy, CURLOPT_SHARE, client->share);
    curl_easy_setopt(exchange->easy, CURLOPT_CLOSESOCKETDATA,
                     client); /* a connection outlives the exchange */
}

static void set_static_options(struct http_exchange *exchange)
{
    const struct http_client_options *options = &exchange->client->options;
    CURL *easy = exchange->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT,
                     1L); /* a cancel must not wait for a name that is being looked up */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BYTES);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_ms);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_STEP_S);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->reason);
    if (!exchange->client->has_proxy) {
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    } else if (exchange->client->agent_line) { /* proxies are told, too */
        curl_easy_setopt(easy, CURLOPT_USERAGENT, exchange->client->agent_line + strlen(AGENT));
    }
    if (options->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket_opened);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, client_close_socket);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_before_sending);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_wants_body);
    curl_easy_setopt(easy, CURLOPT_READDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_rewind);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
}

struct http_exchange *exchange_new(struct http_client *client)
{
    struct http_exchange *exchange = base_alloc(sizeof *exchange);
    exchange->client = client;
    exchange->easy = curl_easy_init();
    if (!exchange->easy)
        base_die("out of memory: curl_easy_init");
    set_static_options(exchange);
    exchange_move(exchange, client);
    return exchange;
}

void exchange_free(struct http_exchange *exchange)
{
    curl_easy_cleanup(exchange->easy);
    curl_url_cleanup(exchange->url);
    buffer_release(&exchange->body);
    free(exchange);
}

static bool is_https(const char *url)
{
    return !strncasecmp(url, "https:", 6);
}

/* Everything that an earlier request in this handle may have set is set again. */
static void set_method_and_body(struct http_exchange *exchange, const struct http_request *request)
{
    CURL *easy = exchange->easy;
    size_t length = 0;
    exchange->length = 0;
    exchange->is_buffered = false;
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method == HTTP_DELETE ? "DELETE" : NULL);
    if (request->method != HTTP_POST) {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        return;
    }
    for (size_t i = 0; i < request->piece_count; i++)
        length += request->pieces[i].length;
    bool is_inline = request->piece_count <= 1 && length <= INLINE_BYTES;
    exchange->length = length;
    exchange->is_buffered = length > 0 && (!is_inline || is_https(request->url));
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, !is_inline ? NULL : length > 0 ? request->pieces[0].data : "");
}

/* Of a URL as text curl would make another one, after taking it apart: 5 % of the worker's instructions.
 * Parts it copies. What it cannot take apart it refuses itself. */
static void set_url(struct http_exchange *exchange, const char *url)
{
    exchange->url = curl_url();
    if (!exchange->url)
        base_die("out of memory: curl_url");
    bool has_zone = strstr(url, "%25") != NULL; /* of an IPv6 address, perhaps: curl 7.88 loses it in parts */
    bool is_good = !has_zone && curl_url_set(exchange->url, CURLUPART_URL, url, 0) == CURLUE_OK;
    curl_easy_setopt(exchange->easy, CURLOPT_URL, url);
    curl_easy_setopt(exchange->easy, CURLOPT_CURLU, is_good ? exchange->url : NULL);
}

static void add_line(struct http_exchange *exchange, size_t *count, const char *line)
{
    struct curl_slist *place = &exchange->lines[*count];
    assert(*count < ARRAY_LENGTH(exchange->lines));
    *place = (struct curl_slist){.data = (char *)line};
    if (*count > 0)
        place[-1].next = place;
    ++*count;
}

/* curl borrows the list: its nodes live in the exchange. "Expect:" stops curl from asking for leave, which it
 * does for large bodies. As an option, the agent would be copied twice. */
static void set_lines(struct http_exchange *exchange, const struct http_request *request)
{
    assert(request->header_count <= HTTP_MAX_HEADERS);
    const char *agent = exchange->client->agent_line;
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++)
        add_line(exchange, &count, request->headers[i]);
    if (agent && !exchange->client->has_proxy)
        add_line(exchange, &count, agent);
    if (exchange->length > INLINE_BYTES)
        add_line(exchange, &count, "Expect:");
    curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, count > 0 ? exchange->lines : NULL);
}

struct http_exchange *http_start(struct http_client *client, const struct http_request *request)
{
    assert(!client->is_closing && request->done);
    struct http_exchange *exchange = client_take(client);
    int64_t now_ms = loop_now_ms(client->loop);
    exchange->was_sent = exchange->is_paused = exchange->is_held = exchange->is_collected = false;
    exchange->is_repeatable = request->is_repeatable;
    exchange->deadline_ms = request->timeout_ms > 0 ? now_ms + request->timeout_ms : INT64_MAX;
    exchange->idle_ms = request->idle_ms;
    exchange->heard_ms = now_ms;
    exchange->send_before_boot_ms = request->send_before_boot_ms;
    exchange->tries = exchange->status = 0;
    exchange->failure = 0;
    exchange->pieces = request->pieces;
    exchange->piece_count = request->piece_count;
    exchange->piece = exchange->offset = 0;
    exchange->max_body_bytes = request->max_body_bytes;
    exchange->on_bytes = request->on_bytes;
    exchange->done = request->done;
    exchange->arg = request->arg;
    exchange->reason[0] = '\0';
    set_url(exchange, request->url);
    curl_easy_setopt(exchange->easy, CURLOPT_PIPEWAIT,
                     (long)(client->options.version == HTTP_SHARED && is_https(request->url)));
    set_method_and_body(exchange, request);
    set_lines(exchange, request);
    list_push_back(&client->live, &exchange->live);
    client_add(exchange);
    arm(exchange);
    return exchange;
}

/* ---- while it runs ---- */

void http_exchange_cancel(struct http_exchange *exchange)
{
    assert(exchange->state != EXCHANGE_IDLE && exchange->state != EXCHANGE_DEAD);
    link_remove(&exchange->live);
    loop_timer_stop(exchange->client->loop, &exchange->timer);
    loop_defer_cancel(exchange->client->loop, &exchange->resume);
    client_remove(exchange);
}

void http_exchange_pause(struct http_exchange *exchange)
{
    exchange->is_paused = true;
    loop_defer_cancel(exchange->client->loop, &exchange->resume);
}

/* curl hands over what it held from inside this call, hence never on the caller's stack. */
static void on_resume(void *arg)
{
    struct http_exchange *exchange = arg;
    struct http_client *client = exchange->client;
    exchange->is_held = false;
    exchange->heard_ms = loop_now_ms(client->loop);
    if (exchange->state == EXCHANGE_RUNNING)
        client_unpause(exchange);
}

void http_exchange_resume(struct http_exchange *exchange)
{
    exchange->is_paused = false;
    if (exchange->is_held)
        loop_defer(exchange->client->loop, &exchange->resume, on_resume, exchange);
}

void http_exchange_hurry(struct http_exchange *exchange, int64_t timeout_ms)
{
    int64_t deadline_ms = loop_now_ms(exchange->client->loop) + timeout_ms;
    if (deadline_ms >= exchange->deadline_ms)
        return;
    exchange->deadline_ms = deadline_ms;
    arm(exchange);
}

/* ---- inspect ---- */

const char *http_response_header(const struct http_response *response, const char *name)
{
    struct curl_header *header;
    if (!response->was_sent)
        return NULL;
    if (curl_easy_header(response->exchange->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return header->value;
}

bool http_date_parse(const char *text, int64_t *ret_unix_ms)
{
    time_t seconds = curl_getdate(text, NULL);
    if (seconds < 0)
        return false;
    *ret_unix_ms = (int64_t)seconds * 1000;
    return true;
}
