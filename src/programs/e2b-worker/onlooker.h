#ifndef E2B_WORKER_ONLOOKER_H
#define E2B_WORKER_ONLOOKER_H
#include "config/config.h"
#include "redis/ledger.h"

/* The ledger as a command has it: connected without being a worker, and given up when Redis does not answer
 * in time. One question at a time, by `call`. */

struct onlooker {
    struct ledger *ledger;
    struct ledger_call call; /* its arg is whoever opened it */

    struct loop *loop;
    struct log log;
    struct random random;
    struct timer timer;
    void (*found)(void *arg, const char *why);
    bool is_found;
};

enum { ONLOOKER_MS = 5000 };

/* `found` runs once, from the loop: the ledger may be asked (why NULL), or not within ONLOOKER_MS, and why.
 * Returns: false for a URL that cannot be read or is not supported. Owns: onlooker_close, also after
 * false. */
bool onlooker_open(struct onlooker *onlooker, struct loop *loop, const struct config *config,
                   void (*found)(void *arg, const char *why), void *arg, struct error *reterr) MUST_USE;
/* `closed` runs once, from the loop, unless it was never opened: then at once. */
void onlooker_close(struct onlooker *onlooker, void (*closed)(void *arg), void *arg);

/* Where Redis is, as messages may show it: "127.0.0.1:6379/0", no user and no password. Borrowed. */
const char *onlooker_place(const struct config *config);

#endif
