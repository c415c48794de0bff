#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H
#include "base/base.h"
#include "base/error.h"

/* An asynchronous HTTP client: libcurl's multi interface on our loop, built for thousands of requests in
 * flight. One client is one pool of connections with one policy (version, limits); make several where the
 * policies differ. It knows nothing of E2B: whoever uses it judges statuses and bodies.
 *
 * It follows no redirects, speaks http and https only, asks for no compression, and goes through the proxies
 * that the environment names (http_proxy, https_proxy, all_proxy; no_proxy) when it is made. It repeats
 * nothing on its own but what was never sent: a connection that could not be opened is tried three times
 * within the deadline. `was_sent` is exact in the safe direction: false means that not a byte of the request
 * has left. */

struct loop;
struct http_client;
struct http_exchange;

enum http_version {
    HTTP_SHARED, /* HTTP/2 where TLS offers it, many requests to a connection; else HTTP/1.1 */
    HTTP_SINGLE, /* HTTP/1.1 always: leaving closes the connection, which the server sees */
};

struct http_client_options {
    enum http_version version;
    const char *user_agent; /* NULL: none */
    const char *ca_file;    /* NULL: the system's */
    int max_connections;    /* to one host, for HTTP_SHARED as long as they really are shared or
                               always_limited */
    bool is_always_limited; /* also when the host only speaks HTTP/1.1: requests wait for a free connection */
    int max_idle;           /* no connection is kept for later beyond so many, used ones included; 0: as many
                               as were ever in use at once */
    int64_t connect_ms;     /* 0: 10,000 */
    struct http_client *sibling; /* with the same user_agent, ca_file and connect_ms: handles at rest are
                                    common to both; NULL: none */
    unsigned lost_ms; /* sent bytes unacknowledged for so long: the path is dead; 0: as the system does */
};

/* ---- Life cycle ---- */

struct http_client *http_client_new(struct loop *loop, const struct http_client_options *options) MUST_USE;
/* Cancels what is in flight, silently. Calls back: once, in a later turn, when nothing of it is left. */
void http_client_close(struct http_client *client, void (*closed)(void *arg), void *arg);

/* ---- Use ---- */

enum http_method { HTTP_GET, HTTP_POST, HTTP_DELETE };

enum http_failure {
    HTTP_INVALID = 1, /* no such scheme, a URL that is none */
    HTTP_UNREACHABLE, /* name, connection or handshake failed; nothing was sent */
    HTTP_UNTRUSTED,   /* the peer's certificate; nothing was sent */
    HTTP_EXPIRED,     /* send_before_boot_ms had passed; nothing was sent */
    HTTP_CUT,         /* the connection ended before the answer did */
    HTTP_SILENT,      /* nothing came for idle_ms */
    HTTP_TIMED_OUT,   /* timeout_ms */
    HTTP_TOO_LARGE,   /* more than max_body_bytes */
};

enum { HTTP_MAX_HEADERS = 10 };

struct http_response {
    bool was_sent;
    int status;                           /* 0: no answer */
    struct bytes body;                    /* what was collected; borrowed until `done` returns */
    const struct http_exchange *exchange; /* for http_response_header */
};

/* The next bytes of a 2xx answer. Calling http_exchange_pause inside holds the ones after these. */
typedef void (*http_bytes_fn)(void *arg, struct bytes bytes);
/* error: NULL when the answer is whole, whatever its status; else code is an http_failure. response: never
 * NULL. */
typedef void (*http_done_fn)(void *arg, const struct error *error, const struct http_response *response);

struct http_request {
    enum http_method method;
    const char *url;
    const char *const *headers; /* "Name: value"; the lines are borrowed until the end, the array is not */
    size_t header_count;        /* <= HTTP_MAX_HEADERS */
    const struct bytes *pieces; /* the body, in pieces; all borrowed until the end */
    size_t piece_count;
    int64_t timeout_ms;          /* whole, connection included; 0: none */
    int64_t idle_ms;             /* longest silence, sending or receiving, not counted while paused; 0: any */
    int64_t send_before_boot_ms; /* CLOCK_BOOTTIME, judged just before the first byte leaves; 0: no bound */
    size_t max_body_bytes;       /* of what is collected */
    bool is_repeatable;     /* may be sent again on a fresh connection when a reused one died unanswered */
    http_bytes_fn on_bytes; /* NULL: 2xx answers are collected, as all others are */
    http_done_fn done;
    void *arg;
};

/* Calls back: `done` once, never from inside start. Owns: the exchange is the client's; the pointer is good
 * until `done` or cancel. */
struct http_exchange *http_start(struct http_client *client, const struct http_request *request) MUST_USE;
/* No callback afterwards; borrowed memory is let go of. From anywhere, its own on_bytes too. */
void http_exchange_cancel(struct http_exchange *exchange);
void http_exchange_pause(struct http_exchange *exchange);
void http_exchange_resume(struct http_exchange *exchange);
/* From inside on_bytes: the answer has begun. Returns: the whole body is sent; its pieces are not borrowed
 * any more. */
bool http_exchange_gives_back(struct http_exchange *exchange) MUST_USE;
/* The deadline moves to timeout_ms from now, if that is earlier. */
void http_exchange_hurry(struct http_exchange *exchange, int64_t timeout_ms);

/* ---- Inspect ---- */

/* Returns: the value, borrowed until `done` returns; NULL: no such header. Name in any case. */
const char *http_response_header(const struct http_response *response, const char *name);

/* Reads an HTTP date. Returns: false, *ret untouched, when it is none. */
bool http_date_parse(const char *text, int64_t *ret_unix_ms) MUST_USE;
/* Connections opened so far: for tests and statistics. */
int64_t http_client_connections(const struct http_client *client);

#endif
