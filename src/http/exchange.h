#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H
#include "base/buffer.h"
#include "base/list.h"
#include "http/client.h"
#include "loop/loop.h"

#include <curl/curl.h>

/* The two structs behind client.h and what client.c (connections, curl's multi) and exchange.c (one request
 * and its answer) ask of each other. */

/* Easy handles at rest. */
struct exchange_pool {
    int users; /* clients */
    int count;
    struct http_exchange *first;
};

#define AGENT "User-Agent: "

struct http_client {
    struct loop *loop; /* borrowed */
    CURLM *multi;
    CURLSH *share;      /* TLS sessions, so that every new connection may resume */
    struct timer timer; /* what curl waits for */
    struct task kick;   /* curl wants to be called at once */
    struct task flush;  /* exchanges changed hands while curl was on the stack */
    int64_t kick_ms;    /* the turn of the last kick, and how many it saw: see on_curl_timer */
    int kicks;
    bool is_in_curl; /* curl is on the stack: nothing may be added to it or removed */
    bool is_closing;
    bool is_limited;                    /* max_connections is in force */
    bool is_single;                     /* the host spoke HTTP/1.1 last: a connection for each request */
    bool has_proxy;                     /* the environment names one, for some host */
    char *agent_line;                   /* AGENT "..."; NULL: none */
    struct http_client_options options; /* ca_file is ours, the agent in agent_line */
    struct link live;                   /* all exchanges that have a caller */
    struct link queued;  /* to be added when there is room, and curl off the stack (by `place`) */
    struct link dead;    /* to be removed when curl has returned (by `place`) */
    struct link sending; /* curl has a buffer for what they send (by `place`) */
    struct exchange_pool *pool;
    int added, most_added; /* exchanges that curl has; at once, ever */
    int unsent;            /* ... of this round, and to be sent from a buffer of curl's */
    unsigned unsent_round; /* who is unsent for too long is of an earlier one */
    struct timer patience; /* until then */
    int64_t connections;
    struct http_socket **sockets; /* by descriptor; NULL: not curl's */
    size_t socket_count;
    void (*closed)(void *);
    void *closed_arg;
};

enum exchange_state {
    EXCHANGE_IDLE,    /* in the pool */
    EXCHANGE_QUEUED,  /* waits for a connection, or until curl is off the stack */
    EXCHANGE_RUNNING, /* curl has it */
    EXCHANGE_WAITING, /* for the next try to connect */
    EXCHANGE_DEAD,    /* cancelled; curl may have it still */
};

struct http_exchange {
    struct http_client *client; /* borrowed */
    CURL *easy;
    CURLU *url; /* of the request; NULL: while idle */
    enum exchange_state state;
    bool is_added, was_sent, is_repeatable;
    bool is_paused;    /* asked for */
    bool is_held;      /* curl was told */
    bool is_collected; /* this answer goes to `body` */
    bool is_buffered;  /* curl copies what is sent to a buffer of its own */
    struct link live, place;
    unsigned unsent_round; /* in which it counts; 0: in none */
    struct http_exchange *next_pooled;
    struct timer timer; /* the deadline, the silence, or the next try, whichever is first */
    struct task resume;
    int64_t deadline_ms, idle_ms, heard_ms, retry_ms, send_before_boot_ms;
    int tries;
    int opened; /* sockets, in this try; the last one is opened_fd */
    curl_socket_t opened_fd;
    int status;
    enum http_failure failure; /* decided by us, over whatever curl says */
    const struct bytes *pieces;
    size_t piece_count, piece, offset; /* where the sending stands */
    size_t length;                     /* of all pieces */
    size_t max_body_bytes;
    struct buffer body;
    http_bytes_fn on_bytes;
    http_done_fn done;
    void *arg;
    struct curl_slist lines[HTTP_MAX_HEADERS + 2]; /* two are ours */
    char reason[CURL_ERROR_SIZE];
};

/* exchange.c */
struct http_exchange *exchange_new(struct http_client *client) MUST_USE;
void exchange_free(struct http_exchange *exchange);
void exchange_move(struct http_exchange *exchange, struct http_client *client); /* to a sibling's */
void exchange_ended(struct http_exchange *exchange, CURLcode result);
bool exchange_is_sent(const struct http_exchange *exchange); /* the last byte of its body has left */
void exchange_free_buffer(struct http_exchange *exchange);   /* curl's, for a body that is sent */

/* client.c */
void client_add(struct http_exchange *exchange);
void client_remove(struct http_exchange *exchange); /* and back into the pool, when curl allows */
struct http_exchange *client_take(struct http_client *client) MUST_USE; /* from the pool */
void client_unpause(struct http_exchange *exchange);
void client_met(struct http_client *client, bool is_shared); /* an answer came over HTTP/2, or over HTTP/1 */
/* Connections, as curl's callbacks tell of them. */
void client_opened(struct http_client *client, curl_socket_t fd);
void client_sends(struct http_exchange *exchange);                    /* with a buffer of curl's */
void client_sent_first(struct http_client *client, curl_socket_t fd); /* its first request goes out */
int client_close_socket(void *arg, curl_socket_t fd);                 /* arg: the client */

#endif
