#ifndef TESTS_FAKES_REDIS_STORE_PRIVATE_H
#define TESTS_FAKES_REDIS_STORE_PRIVATE_H
#include "fakes/redis/store.h"

/* The lesser records, and what the store's files lend each other. */

enum {
    STORE_GAP_MS = 10000,
    STORE_FRESH_MS = 3000,
    STORE_TOLD_MS = 100,
    STORE_LATE_MS = 120000,
    STORE_AFTER_MS = 110000,
    STORE_DAY_MS = 24 * 3600 * 1000,
    STORE_WEEK_MS = 7 * STORE_DAY_MS,
    STORE_UNLIMITED_MILLI = 20000 /* what a create rate without limit counts as once it was halved */
};

struct lease {
    struct link link;
    char *worker;
    int64_t ends_ms;
};

struct waiter {
    struct link link;
    char *limit, *tenant, *worker, *class;
    int64_t since_ms, seen_ms, told_ms, weight;
};

struct maximum {
    struct link link;
    char *limit;
    int64_t max, cut, cut_ends_ms; /* -1: not set */
};

struct note {
    struct link link;
    char *worker, *job;
};

struct lock {
    struct link link;
    char *what, *worker;
    int64_t ends_ms;
};

struct name {
    struct link link;
    char *text;
    int64_t over_ms; /* of the remembered: its creates are over */
};

void store_put(char **place, const char *text); /* a copy; NULL: not set */
bool store_is(const char *place, const char *text);
void store_prune(struct store *store, int64_t now_ms);
void store_add_permit(struct store *store, struct permit *permit); /* a new one, filled in */
void store_drop_permit(struct store *store, struct permit *permit);
void store_set_limits(struct store *store, struct permit *permit, char *limits); /* takes them */
void store_lock_free(struct lock *lock);
bool store_is_alive(const struct store *store, const char *worker, int64_t now_ms);
void store_waiter_free(struct waiter *waiter);
bool store_ranks_before(const struct store *store, const struct waiter *waiter, const struct waiter *other);
bool store_waits(const struct waiter *waiter, const char *limit, int64_t now_ms);
bool store_may_come(const struct waiter *waiter, int64_t now_ms); /* else it was told, and did not come */
void store_tell_turn(const struct store *store, struct waiter *waiter, int64_t now_ms);
/* The first of those who have not been told, and of whom `may` (NULL: nobody is asked) is
 * true; who has been told counts as having a place. Returns: whether there is one. */
bool store_tell_next(const struct store *store, const char *limit,
                     bool (*may)(const void *arg, const struct waiter *waiter), const void *arg,
                     int64_t now_ms);
struct maximum *store_find_maximum(const struct store *store, const char *limit);
void store_drop_cuts(struct store *store);
struct lease *store_find_lease(const struct store *store, const char *worker);
void store_lease_free(struct lease *lease);
const char *store_not_ready(const struct store *store, int64_t now_ms); /* NULL: it is */

size_t store_count_missing(const struct store *store, int64_t now_ms); /* in a rebuild */

struct name *store_find_name(const struct link *names, const char *text);
void store_add_name(struct link *names, const char *text, int64_t over_ms); /* once, the latest end */
void store_clear_names(struct link *names);
bool store_has_word(const char *words, const char *word); /* of a space-separated list */

/* The create rate in force, in creates per 1000 s; 0: unlimited. */
double store_rate(struct store *store, int64_t milli, int64_t now_ms);

/* A run that is over: what the claim knows of it is forgotten. */
void store_forget_run(struct claim *claim);
void store_give_up(struct claim *claim, enum claim_state state, int64_t expires_ms);
bool store_is_record(const struct claim *claim, struct bytes record);

#endif
