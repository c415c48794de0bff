#ifndef TESTS_FAKES_REDIS_STORE_PRIVATE_H
#define TESTS_FAKES_REDIS_STORE_PRIVATE_H
#include "fakes/redis/store.h"

/* The lesser records, and what store.c lends to acquire.c. */

struct lease {
    struct link link;
    char *worker;
    int64_t ends_ms;
};

struct waiter {
    struct link link;
    char *limit, *tenant, *worker, *class;
    int64_t since_ms, seen_ms, weight;
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

void store_put(char **place, const char *text); /* a copy; NULL: not set */
bool store_is(const char *place, const char *text);
void store_forget_run(struct claim *claim);
void store_prune(struct store *store, int64_t now_ms);
bool store_is_alive(const struct store *store, const char *worker, int64_t now_ms);
void store_waiter_free(struct waiter *waiter);
struct maximum *store_find_maximum(const struct store *store, const char *limit);
const char *store_not_ready(const struct store *store, int64_t now_ms); /* NULL: it is */

#endif
