#ifndef TESTS_UNIT_E2B_SERVER_H
#define TESTS_UNIT_E2B_SERVER_H
#include "base/base.h"
#include "base/buffer.h"

#include <uv.h>

/* A scripted HTTP/1.1 server on the test's own loop: it reads a whole request, asks the test what to answer,
 * and sends those raw bytes in one piece, byte by byte, or cut at random. */

enum server_split { SPLIT_NONE, SPLIT_BYTES, SPLIT_RANDOM };

enum server_then {
    SERVER_CLOSES, /* after the last byte */
    SERVER_KEEPS,  /* the connection for the next request */
    SERVER_HANGS,  /* it neither sends more nor closes */
    SERVER_RESETS, /* instead of closing properly */
};

struct server_request {
    const char *head; /* the request line and the header lines, as they came */
    struct bytes body;
    int connection; /* 1, 2, ... */
};

struct server_answer {
    struct bytes bytes; /* borrowed until the server is closed */
    enum server_split split;
    enum server_then then;
};

typedef struct server_answer (*server_fn)(void *arg, const struct server_request *request);

struct server;
struct server *server_new(uv_loop_t *uv, server_fn fn, void *arg);
const char *server_url(const struct server *server);
bool server_is_sending(const struct server *server); /* some answer is not out yet */
/* Closes everything; the memory goes when the loop has run once more. */
void server_close(struct server *server);

/* An answer with a Content-Length that keeps the connection. Borrowed until the process ends. */
struct server_answer server_says(int status, const char *extra_headers, const char *body);

#endif
