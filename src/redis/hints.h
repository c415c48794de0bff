#ifndef REDIS_HINTS_H
#define REDIS_HINTS_H
#include "base/random.h"
#include "loop/loop.h"
#include "redis/url.h"

/* The ledger's announcements, on a connection of their own: Redis's pub/sub, a channel for all workers and
 * one for this one. A hint may be lost, late or repeated; it shortens a wait and decides nothing. */

struct hints;

struct hints_options {
    struct loop *loop;     /* borrowed */
    struct random *random; /* borrowed */
    const struct url *url; /* borrowed */
    const char *prefix;    /* the ledger's */
    const char *worker;    /* as it asks; borrowed */
    void *arg;
    void (*on_free)(void *arg, const char *limits);
    void (*on_turn)(void *arg, const char *limit, const char *tenant);
    void (*on_done)(void *arg, const char *job);
    void (*on_cancel)(void *arg, const char *job);
};

struct hints *hints_new(const struct hints_options *options) MUST_USE;
void hints_free(struct hints *hints);

/* One message to its callback; anything unknown, too long or with a NUL in it is passed over. */
void hints_read(const struct hints_options *options, struct bytes message);

#endif
