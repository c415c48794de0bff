#ifndef REDIS_RESOLVE_H
#define REDIS_RESOLVE_H
#include "loop/loop.h"

/* A host name to a numeric address, by getaddrinfo on a thread: it blocks, and a slow name server must not
 * stop the loop. A numeric host needs no thread. */

struct resolve;

/* `address` is borrowed until the callback returns; NULL when there is none (why says). Calls back: once,
 * never from inside resolve_new. Of several addresses the `turn`-th is taken, so that repeated attempts walk
 * them all. */
typedef void (*resolve_fn)(void *arg, const char *address, const char *why);
struct resolve *resolve_new(struct loop *loop, const char *host, unsigned turn, resolve_fn fn,
                            void *arg) MUST_USE;
/* The callback does not run any more. NULL: nothing. */
void resolve_cancel(struct resolve *resolve);

#endif
