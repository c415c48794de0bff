#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H
#include "base/base.h"
#include "base/error.h"

/* An HTTP/1.1 server on our loop (libmicrohttpd inside). It reads whole requests, bounded, hands each one
 * over as an exchange, and sends a whole answer or a stream. It knows no routes, no JSON and no TLS: it is
 * for loopback and for the inside of a cluster. */

struct loop;
struct http_server;
struct http_exchange;

typedef void (*http_exchange_fn)(void *arg, struct http_exchange *exchange);

struct http_server_options {
    const char *listen;    /* "host:port", the host numeric ("127.0.0.1:9464", "[::1]:0"); port 0 picks one */
    size_t max_body_bytes; /* a larger request is answered 413 without you; 0: 64 KiB */
    size_t max_buffered_bytes; /* of one stream: from here on http_exchange_write says "full"; 0: 256 KiB */
    unsigned max_connections;  /* further ones wait in the backlog; 0: 1024 */
    unsigned idle_timeout_s;   /* of a connection that sends nothing and waits for nothing of ours; 0: 120 */
    http_exchange_fn handler;  /* called once for each complete request */
    void *arg;
};

/* Life cycle. */

/* Listens. Returns: NULL with *reterr when the address is not usable. */
struct http_server *http_server_new(struct loop *loop, const struct http_server_options *options,
                                    struct error *reterr) MUST_USE;
/* Stops listening and cuts every connection; exchanges that were not ended yet see their client leave. All of
 * them must have been ended when the call returns. May be NULL. */
void http_server_free(struct http_server *server);

/* Inspect. */
unsigned http_server_port(const struct http_server *server);

/* The request. Texts are borrowed until the exchange ends; NULL where there is none, and after the client
 * left. Header names are matched without regard to case, query arguments are decoded. */
const char *http_exchange_method(const struct http_exchange *exchange);
const char *http_exchange_path(const struct http_exchange *exchange); /* decoded, without the query */
const char *http_exchange_header(const struct http_exchange *exchange, const char *name);
const char *http_exchange_query(const struct http_exchange *exchange, const char *name);
struct bytes http_exchange_body(const struct http_exchange *exchange);
typedef void (*http_header_fn)(void *arg, const char *name, const char *value);
void http_exchange_each_header(const struct http_exchange *exchange, http_header_fn fn, void *arg);

/* The answer. An exchange is yours from the handler's call until you end it, once, by reply, reply_file, end
 * or cut, then or later. When the client leaves before that, `on_left` runs (from the loop, never from inside
 * a call of yours), and from then on every call is accepted and does nothing; you still end it. */
void http_exchange_on_left(struct http_exchange *exchange, http_exchange_fn on_left, void *arg);
void http_exchange_set_header(struct http_exchange *exchange, const char *name, const char *value);

void http_exchange_reply(struct http_exchange *exchange, unsigned status, struct bytes body); /* copies */
/* Sends `size` bytes of a file from `offset`. Takes fd. */
void http_exchange_reply_file(struct http_exchange *exchange, unsigned status, int fd, uint64_t offset,
                              uint64_t size);

/* A stream: start sends the head at once; each write goes out as soon as the client takes it.
 * Returns: false when the client is slower than you: the bytes are taken, but write no more until `on_room`
 * runs. */
void http_exchange_start(struct http_exchange *exchange, unsigned status, http_exchange_fn on_room,
                         void *arg);
bool http_exchange_write(struct http_exchange *exchange, struct bytes data);
void http_exchange_end(struct http_exchange *exchange);
/* Closes the connection: what was written goes out first, an end of the body does not. */
void http_exchange_cut(struct http_exchange *exchange);

#endif
