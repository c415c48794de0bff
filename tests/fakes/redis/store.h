#ifndef TESTS_FAKES_REDIS_STORE_H
#define TESTS_FAKES_REDIS_STORE_H
#include "base/arena.h"
#include "base/buffer.h"
#include "base/list.h"
#include "redis/ledger.h"

/* The ledger's records and operations in memory: what the Lua scripts do, once more, in C. Several fake
 * ledgers share one. Every operation is told what time it is; lists are walked, for tests have few records.
 */

enum claim_state { CLAIM_NONE, CLAIM_IDLE, CLAIM_RUNNING, CLAIM_SEALED, CLAIM_PARKED, CLAIM_DONE };

struct claim {
    struct link link;
    enum claim_state state;
    char *job, *owner, *permit, *payload, *plan, *origin, *sandbox, *mode, *status,
        *taken; /* NULL: not set */
    int64_t hop, attempt, crashes, until_ms, run_until_ms, partition, offset;
    int64_t expires_ms; /* INT64_MAX: never */
    bool is_cancelled, is_watched;
    struct buffer record;
};

struct permit {
    struct link link;
    char *id, *worker, *job, *sandbox, *limits; /* names, space-separated */
    int64_t born_ms, horizon_ms;
    int epoch;
};

struct store {
    bool is_there, is_ready, is_fresh; /* led */
    int epoch;
    int64_t clk_ms, hold_ms, since_ms;
    char *rebuilder; /* lock:rebuild */
    int64_t rebuilder_ends_ms;
    struct link claims, permits, leases, waiters, maxima, cancels;
    int64_t tat_micro; /* of the create bucket, in microseconds, for steps are no whole ms */
};

void store_init(struct store *store);
void store_clear(struct store *store); /* emptied; zero epochs are not used again */

/* Records. Find: NULL when there is none (or it has expired). */
struct claim *store_find_claim(struct store *store, const char *job, int64_t now_ms);
struct claim *store_need_claim(struct store *store, const char *job, int64_t now_ms);
struct permit *store_find_permit(struct store *store, const char *id);
int64_t store_used(const struct store *store, const char *limit);
void store_set_limit(struct store *store, const char *limit, int64_t max);
void store_set_cut(struct store *store, const char *limit, int64_t max, int64_t ends_ms);
void store_set_lease(struct store *store, const char *worker, int64_t ends_ms); /* 0: none */
void store_note_cancel(struct store *store, const char *worker, const char *job);

/* Operations, each as its script. */
struct store_pulse {
    bool is_ready, has_lapsed;
    int epoch;
};
struct store_pulse store_pulse(struct store *store, const char *worker, int64_t lease_ms, int64_t since_ms,
                               int64_t now_ms);
bool store_extend(struct store *store, const char *worker, const char *id, int64_t horizon_ms,
                  int64_t now_ms);
char *store_take_cancel(struct store *store, const char *worker); /* Owns: the caller. NULL: no more */
bool store_ready(struct store *store, const char *worker, int64_t now_ms);
/* The answer's texts live in `arena`. */
void store_acquire(struct store *store, const char *worker, const struct ledger_acquire *acquire,
                   int64_t now_ms, struct arena *arena, struct ledger_acquired *ret);
/* Returns: false while the ledger is not ready. */
bool store_bind(struct store *store, const char *worker, const struct ledger_bind *bind, int64_t now_ms,
                enum ledger_answer *ret);
enum ledger_answer store_seal(struct store *store, const char *worker, const struct ledger_seal *seal,
                              int64_t now_ms);
bool store_done(struct store *store, const char *job, const char *status, int64_t partition, int64_t offset,
                int64_t ttl_ms, int64_t now_ms); /* Returns: whether somebody watched */
/* Returns: the limits that became free, or NULL. Owns: the caller frees. */
char *store_release(struct store *store, const char *worker, const char *id, const char *job, int what,
                    int64_t now_ms);
/* Owns: the caller frees *ret; names live in `arena`. */
size_t store_snapshot(struct store *store, int64_t now_ms, struct arena *arena, struct ledger_usage **ret);

#endif
