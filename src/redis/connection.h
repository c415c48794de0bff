#ifndef REDIS_CONNECTION_H
#define REDIS_CONNECTION_H
#include "base/random.h"
#include "loop/loop.h"
#include "redis/url.h"

/* One connection to Redis that is made again whenever it breaks: hiredis's asynchronous client on our loop.
 * It resolves names on a thread, logs in, selects the database, gives every command a deadline, and writes
 * all commands of one turn at once. It knows nothing of the ledger.
 *
 * hiredis writes with write(2): the program must ignore SIGPIPE.
 *
 * A connection that does not answer in time is dropped whole: its other answers would come late, too. */

struct connection;
struct redisReply;

struct connection_options {
    struct loop *loop;     /* borrowed */
    struct random *random; /* borrowed */
    const struct url *url; /* borrowed */
    void *arg;
    void (*on_open)(void *arg);                  /* logged in: commands may be sent */
    void (*on_down)(void *arg, const char *why); /* not there; the next attempt is under way by itself */
};

enum { CONNECTION_DEADLINE_MS = 5000 };

/* Life cycle. The first attempt begins in the next turn. */
struct connection *connection_new(const struct connection_options *options) MUST_USE;
/* Every command that has no answer yet fails now. NULL: nothing. */
void connection_free(struct connection *connection);

/* Use. */

/* `reply` is borrowed until the callback returns. Calls back: once, never from inside send. Errors: TRANSIENT
 * (no answer, or one that says that this server cannot serve now: the connection is dropped), REJECTED,
 * INTERNAL. */
typedef void (*connection_reply_fn)(void *arg, const struct error *error, const struct redisReply *reply);
/* Returns: false when the connection is not open; nothing is called then. */
bool connection_send(struct connection *connection, struct bytes command, connection_reply_fn fn,
                     void *arg) MUST_USE;

/* fn runs for every message of the channel, and of those before, until the connection goes down. Nothing else
 * may follow. */
typedef void (*connection_message_fn)(void *arg, struct bytes message);
void connection_subscribe(struct connection *connection, const char *channel, connection_message_fn fn,
                          void *arg);

/* Drops the connection for a reason of the caller's; on_down follows. */
void connection_fail(struct connection *connection, const char *why);
/* It works: the next reconnect waits 100 ms again, not up to 5 s. */
void connection_settle(struct connection *connection);

/* Inspect. */
bool connection_is_open(const struct connection *connection);

/* The one place that maps Redis's error texts to kinds. */
void connection_read_error(const char *text, struct error *reterr);

#endif
