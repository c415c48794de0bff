#ifndef WORKER_PLACES_H
#define WORKER_PLACES_H
#include "codec/event.h"
#include "redis/ledger.h"

/* How many places are taken under each limit, all workers together: the ledger's last picture, under the
 * names that the outside knows, each with its maximum. Limits that this version does not know are left
 * out. */

struct worker;

enum { PLACES_MAX = 64 };

struct places {
    struct worker *worker;
    struct ledger_call call;
    /* The global limit is the first, and always there. Then those that somebody holds a place under. */
    struct stats_permit items[PLACES_MAX]; /* the names are ours */
    size_t count;
};

void places_init(struct places *places, struct worker *worker);
void places_release(struct places *places);
/* Asks for a new picture; the old one stays until it is there. */
void places_look(struct places *places);

/* Places that there are under the limit of this key, by the picture, else by the configuration.
 * Returns: -1 for a limit without a bound of its own: it is as wide as the global one. */
int64_t places_max(const struct places *places, const char *key);

#endif
