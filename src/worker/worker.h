#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "config/config.h"
#include "loop/loop.h"

/* One worker: takes jobs from Kafka, runs each in an E2B sandbox under a permit from the ledger, publishes
 * one result each. All state hangs from here, so that several fit into one process (tests do it). */

struct worker;

struct worker_options {
    struct loop *loop; /* borrowed, as is all the rest */
    const struct config *config;
    const struct log *log;
    struct random *random;
    struct uv_loop_s *uv; /* the loop that libe2b runs on: the same one; a fake ignores it */
    size_t max_active;    /* jobs past the queue, with runs that dead workers left; 0: twice max_in_flight */
    int idle_connections; /* as e2b_client_options has it */
    size_t readback_max_bytes;  /* of results in a rebuild, at a time; 0: 1 GiB */
    void (*stopped)(void *arg); /* after worker_stop, when everything has ended; may call worker_free */
    void *arg;
};

/* Connects to everything in the background: what is absent is a state, no error.
 * Returns: NULL when the configuration cannot work at all (reterr says what to change); `stopped` comes then,
 * too, from the loop, when what was begun has ended, and nothing is to be freed. */
struct worker *worker_new(const struct worker_options *options, struct error *reterr) MUST_USE;

/* Drains: leaves the group at once, runs on what runs for at most the configured grace, gives back the rest,
 * publishes what stands, then `stopped`. The second call gives up everything that has no verdict yet. */
void worker_stop(struct worker *worker);
void worker_free(struct worker *worker); /* after stopped; NULL: nothing */

/* ---- Looking: for health, metrics, statistics ---- */

/* Whether it could take a job now; *ret_why names every part that is in the way ("" when ready), valid until
 * the next call. */
bool worker_is_ready(struct worker *worker, const char **ret_why);
const char *worker_mode(const struct worker *worker); /* "production" | "simulation" */
/* Prometheus text, and the live statistics as JSON. Append. */
void worker_metrics(struct worker *worker, struct buffer *out);
void worker_stats(const struct worker *worker, struct buffer *out);

#endif
