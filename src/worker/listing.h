#ifndef WORKER_LISTING_H
#define WORKER_LISTING_H
#include "base/arena.h"
#include "e2b/e2b.h"

/* One look at everything that runs in the E2B account, over all pages: the ledger's own sandboxes one by one,
 * the others counted. It is as old as its beginning: what came later may be missing, what is in it may be
 * gone. Texts are E2B's, and were once ours, or somebody's who writes like us. */

struct worker;

/* A sandbox of this ledger. Texts are "" where there is none. */
struct listed {
    const char *id, *permit;
    const char *job; /* key: "<tenant>/<job id>" */
    const char *tenant, *template_name, *template_id;
    int64_t age_ms; /* when it was listed */
    int64_t cpu_count, memory_mb;
};

struct listing {
    struct worker *worker;
    struct e2b_call call;
    struct arena arena;
    struct listed *items; /* sorted by nothing */
    size_t count, capacity;
    size_t foreign_count;    /* running, and not of this ledger */
    size_t permitless_count; /* among them: they say that they are of this ledger, and carry no permit */
    int64_t begun_ms;
    char *next;
    unsigned pages;
    void (*done)(void *arg, bool is_whole);
    void *arg;
};

void listing_init(struct listing *listing, struct worker *worker, void (*done)(void *arg, bool is_whole),
                  void *arg);
void listing_release(struct listing *listing);

/* Forgets what it has and looks anew. done: once, with is_whole false when a page could not be had; the
 * provider hears of it, too. */
void listing_start(struct listing *listing);
bool listing_is_active(const struct listing *listing);
const struct listed *listing_find(const struct listing *listing, const char *permit); /* NULL: not listed */

#endif
