#ifndef WORKER_OBSERVE_H
#define WORKER_OBSERVE_H
#include "codec/event.h"
#include "core/custody.h"
#include "worker/context.h"
#include "worker/places.h"

/* The one place where what happens becomes a log line, a number and an event. Nothing else in worker/ logs
 * the life of jobs and sandboxes. */

struct flight_runner;
struct custody_runner;

struct observe {
    struct worker *worker;
    int64_t by_status[STATUS_COUNT], by_code[CODE_COUNT];
    int64_t accepted, attempts, adopted, retries, hops, cancels, duplicates, diverted, repeats;
    int64_t creates, create_failures, kills, kill_failures, doubts, reaped, freed;
    int64_t nano_usd, wasted_nano_usd;
    struct histogram queued_ms, permit_wait_ms, create_ms, run_ms, total_ms, kill_ms, loop_lag_ms;
    int64_t started_unix_ms;
    int64_t loop_lag_max_ms, lag_checked_ms;
    struct timer stats_timer, lag_timer;
    struct places places;
};

struct observe *observe_new(struct worker *worker) MUST_USE;
void observe_free(struct observe *observe); /* NULL: nothing */

/* The life of a job. */
void observe_accepted(struct flight_runner *runner);
/* The ledger's answer is DENIED, NOT_READY or ELSEWHERE. */
void observe_waiting(struct flight_runner *runner, const struct ledger_acquired *answer);
/* It waits for another that may have killed its worker. */
void observe_suspect(struct flight_runner *runner);
/* All that wait in the queue, a few seconds apart: what was not asked for either says why it waits. */
void observe_queue(struct worker *worker);
/* A copy of its record goes to a retry topic, before any attempt: runner->park_reason says why. */
void observe_parked(struct flight_runner *runner);
/* ... and is there. */
void observe_hop(struct flight_runner *runner);
void observe_started(struct flight_runner *runner);
void observe_retrying(struct flight_runner *runner, enum code code, bool is_counted);
void observe_sealed(struct flight_runner *runner);
void observe_finished(struct flight_runner *runner);
void observe_duplicate(struct flight_runner *runner);
void observe_dropped(struct flight_runner *runner);
void observe_adopted(struct flight_runner *runner);
void observe_handed_over(struct flight_runner *runner);
void observe_taken_over(struct flight_runner *runner);
void observe_diverted(struct worker *worker, const char *topic, int32_t partition, int64_t offset,
                      const char *code, const char *message);

/* Somebody does not want a job's result any more; is_late: it has one. */
void observe_cancel(struct worker *worker, const char *job, bool is_late);

/* The life of a sandbox. */
void observe_custody(struct custody_runner *custody, enum custody_state from, enum custody_order order,
                     const struct e2b_error *error);
/* A dead worker's permit went back: its sandbox is not there. */
void observe_permit_freed(struct worker *worker, const struct ledger_permit *permit);

/* The state of the worker. */
void observe_state(struct worker *worker, enum part part, bool is_usable, const char *why);

#endif
