#ifndef REDIS_SETUP_H
#define REDIS_SETUP_H
#include "redis/connection.h"

/* What stands between a fresh connection and its first pulse: is this Redis fit to hold a ledger, and does it
 * know our scripts. All questions leave together. */

/* `why` is NULL when all is well, else a sentence that says what to set. Calls back: once, also when the
 * connection breaks; `is_broken` then, and nothing more is to be done about it. */
typedef void (*setup_fn)(void *arg, const char *why, bool is_broken);
void setup_start(struct connection *connection, setup_fn fn, void *arg);

#endif
