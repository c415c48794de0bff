#ifndef E2B_CLIENT_H
#define E2B_CLIENT_H
#include "base/list.h"
#include "e2b/e2b.h"
#include "e2b/texts.h"
#include "loop/loop.h"

/* What all operations of a client share: three pools of connections, the account's header lines, bounds.
 * Private to libe2b. */

struct http_client;

enum client_create_path {
    CREATE_UNKNOWN, /* the first create finds out */
    CREATE_V2,
    CREATE_V1, /* an older or self-hosted control plane */
};

struct e2b_client {
    struct loop *loop;
    struct http_client *api;         /* control plane: few connections */
    struct http_client *envd;        /* processes and files: shared connections */
    struct http_client *interpreter; /* code: HTTP/1.1, a connection a run */
    struct link operations;
    struct texts texts;                   /* that requests have in common */
    char *domain, *api_url, *sandbox_url; /* without a slash at the end; sandbox_url may be NULL */
    char *key_line;                       /* "X-API-KEY: ..."; NULL: none given */
    const char *mistake;                  /* what is wrong with the options; NULL: nothing */
    enum client_create_path create_path;
    size_t max_answer_bytes, max_line_bytes;
    bool is_closing;
    struct task close;
    int open_pools;
    e2b_closed_fn closed;
    void *closed_arg;
};

#endif
