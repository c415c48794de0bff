#ifndef TESTS_FAKES_REDIS_STORE_H
#define TESTS_FAKES_REDIS_STORE_H
#include "base/arena.h"
#include "base/buffer.h"
#include "base/list.h"
#include "fakes/index.h"
#include "redis/ledger.h"

/* The ledger's records and operations in memory: what the Lua scripts do, once more, in C. Several fake
 * ledgers share one. Every operation is told what time it is. Claims and permits are many: they are found
 * by an index; the other lists are walked. */

enum claim_state { CLAIM_NONE, CLAIM_IDLE, CLAIM_RUNNING, CLAIM_SEALED, CLAIM_PARKED, CLAIM_DONE };

struct claim {
    struct link link;
    struct index_node node; /* by job */
    enum claim_state state;
    char *job, *owner, *permit, *payload, *plan, *origin, *sandbox, *mode, *status, *taken, *place,
        *moved; /* NULL: not set */
    int64_t hop, attempt, crashes, until_ms, run_until_ms, partition, offset;
    int64_t expires_ms; /* INT64_MAX: not written yet */
    int epoch;          /* in which its owner wrote it last; 0: none */
    bool is_cancelled, is_watched;
    bool is_counted;  /* its take-over counted a crash */
    bool is_followed; /* ... and whoever took it over has bound it */
    bool has_begun;   /* an attempt that was given up with its sandbox */
    struct buffer record;
};

struct permit {
    struct link link;
    struct index_node node;                     /* by id */
    char *id, *worker, *job, *sandbox, *limits; /* names, space-separated; sandbox NULL: not known */
    int64_t born_ms, horizon_ms;
    int epoch;
    bool is_condemned;
};

struct store {
    /* led */
    bool is_there, is_ready, is_fresh;
    int run, epoch, crew;
    int64_t clk_ms, hold_ms, since_ms, behind_ms;
    char *rebuilder; /* lock:rebuild */
    int64_t rebuilder_ends_ms;
    struct link claims, permits, leases, waiters, maxima, cancels, locks;
    struct index jobs, ids, usages; /* of claims, of permits, of limits that are in use */
    int64_t prune_ms;               /* no permit's horizon lies before */
    char *doubter;                  /* who found the clock in doubt; NULL: nobody */
    int64_t doubted_ms;
    struct link said, remembered;   /* names of workers, in a rebuild */
    int64_t tat_micro;              /* of the create bucket, in microseconds, for steps are no whole ms */
    int64_t milli, cut_ms, rest_ms; /* milli 0: not halved */
    int server_run, last_epoch, last_crew; /* of the server, not of its data */
    const struct store_watch *watch;       /* NULL: nobody looks */
    const struct store_herald *herald;     /* NULL: nobody is told */
};

/* Tells a worker that it is its waiter's turn at a limit. */
struct store_herald {
    void *arg;
    void (*tell)(void *arg, const char *worker, const char *limit, const char *tenant);
};

/* Told after each change of a permit, so that a test can judge it. */
struct store_watch {
    void *arg;
    void (*granted)(void *arg, const struct permit *permit, const struct ledger_acquire *acquire);
    void (*gone)(void *arg, const struct permit *permit, bool is_pruned); /* about to be freed */
};

void store_init(struct store *store);
void store_free_records(struct store *store);
void store_clear(struct store *store); /* emptied; epochs are not used again */
/* A snapshot, and a server that comes back with it. */
void store_save(const struct store *store, struct store *ret);
void store_restore(struct store *store, const struct store *saved);

/* Records. Find: NULL when there is none (or it has expired). */
struct claim *store_find_claim(struct store *store, const char *job, int64_t now_ms);
struct claim *store_need_claim(struct store *store, const char *job, int64_t now_ms);
struct permit *store_find_permit(struct store *store, const char *id);
void store_set_horizon(struct store *store, struct permit *permit, int64_t horizon_ms);
int64_t store_used(const struct store *store, const char *limit);
void store_set_limit(struct store *store, const char *limit, int64_t max); /* -1: none */
void store_set_cut(struct store *store, const char *limit, int64_t max, int64_t ends_ms);
void store_set_lease(struct store *store, const char *worker, int64_t ends_ms); /* 0: none */
void store_note_cancel(struct store *store, const char *worker, const char *job);

/* Operations, each as its script. */
struct store_pulse {
    bool is_ready, has_lapsed;
    bool is_in_doubt; /* nothing was renewed */
    int epoch;
    int64_t crew; /* which list of workers it is; 0: none */
};
/* has_crew: the caller remembers workers from a ledger that was ready. */
struct store_pulse store_pulse(struct store *store, const char *worker, int64_t lease_ms, int64_t since_ms,
                               bool has_crew, int64_t now_ms);
void store_leave(struct store *store, const char *worker, bool has_permits, int64_t now_ms);
/* "<worker>=<ms for which its creates may come | -1: it is alive> ...". Owns: the caller frees. */
char *store_workers(const struct store *store, int64_t now_ms);
/* OK, SUPERSEDED_PERMIT, SUPERSEDED: it is not there. */
enum ledger_answer store_extend(struct store *store, const char *worker, const char *id, int64_t horizon_ms,
                                int64_t now_ms);
/* The worker's cancelled jobs, until their claims show that it heard of them. Owns: the caller frees each,
 * and *ret. */
size_t store_cancelled(struct store *store, const char *worker, int64_t now_ms, char ***ret);

enum ledger_answer store_assert(struct store *store, const char *worker,
                                const struct ledger_assertion *assertion, int64_t now_ms);
enum ledger_answer store_asserted(struct store *store, const char *worker, int epoch, const char *crew,
                                  int64_t now_ms);
void store_lead(struct store *store, const char *worker, int64_t now_ms, struct ledger_lead *ret);
enum ledger_answer store_ready(struct store *store, const char *worker, int epoch, int64_t listed,
                               int64_t now_ms);

/* The answer's texts live in `arena`. */
void store_acquire(struct store *store, const char *worker, const struct ledger_acquire *acquire,
                   int64_t now_ms, struct arena *arena, struct ledger_acquired *ret);
enum ledger_answer store_bind(struct store *store, const char *worker, const struct ledger_bind *bind,
                              int64_t now_ms);
enum ledger_answer store_seal(struct store *store, const char *worker, const struct ledger_seal *seal,
                              int64_t now_ms);
enum ledger_answer store_yield(struct store *store, const char *worker, const char *job, const char *permit,
                               int64_t until_ms, int64_t now_ms, bool *ret_is_watched);
void store_moved(struct store *store, const char *job, const char *place, int64_t now_ms);
/* Returns: whether somebody watched. */
bool store_leave_sealed(struct store *store, const char *worker, const char *job, int64_t until_ms,
                        int64_t now_ms);
enum ledger_answer store_cancel(struct store *store, const char *job, int64_t ttl_ms, int64_t now_ms);
enum ledger_answer store_lock(struct store *store, const char *worker, const char *what, int64_t ttl_ms,
                              int64_t now_ms);
enum ledger_answer store_condemn(struct store *store, const char *worker, const char *id, int64_t now_ms);
bool store_done(struct store *store, const char *job, const char *status, int64_t partition, int64_t offset,
                int64_t ttl_ms, int64_t now_ms); /* Returns: whether somebody watched */
/* Tells the first who waits at each limit that has a place more. */
void store_release(struct store *store, const char *worker, const char *id, const char *job, int what,
                   int64_t now_ms);
void store_park(struct store *store, const char *worker, const char *id, const char *job, int64_t hop,
                int64_t delay_ms, int64_t now_ms);
void store_slower(struct store *store, int64_t retry_after_ms, int64_t milli, int64_t now_ms);

/* Owns: the caller frees *ret; texts live in `arena`. */
size_t store_snapshot(struct store *store, int64_t now_ms, struct arena *arena, struct ledger_usage **ret);
size_t store_census(struct store *store, int64_t now_ms, struct arena *arena, struct ledger_permit **ret);
void store_look(struct store *store, const char *job, int64_t now_ms, struct arena *arena,
                struct ledger_claim *ret);
void store_condition(const struct store *store, int64_t now_ms, struct ledger_condition *ret);

#endif
