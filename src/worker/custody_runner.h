#ifndef WORKER_CUSTODY_RUNNER_H
#define WORKER_CUSTODY_RUNNER_H
#include "base/list.h"
#include "core/custody.h"
#include "core/plan.h"
#include "e2b/e2b.h"
#include "loop/loop.h"
#include "redis/ledger.h"
#include "worker/gate.h"

/* Carries out what core/custody.h orders for one sandbox: create, look, extend, yield, kill, release. It
 * outlives the flight that asked for the sandbox (the kill comes after the result), frees itself when the
 * custody is over, and is on the worker's list until then. */

struct worker;
struct flight_runner;
struct reaped;

enum {
    CUSTODY_CLAIM_MARGIN_MS = 60000
}; /* a claim's `until` lies behind the run's clock and the collecting by this */

/* What only the flight knew of a run that is handed over: a ledger that is rebuilt meanwhile must be told. */
struct handed_run {
    char payload[33], origin[9], plan[PLAN_DIGEST_SIZE];
    int64_t hop, crashes, main_ms;
};

struct custody_runner {
    struct link link; /* worker->custodies */
    struct worker *worker;
    struct custody custody;
    struct flight_runner *flight; /* who uses the sandbox; NULL: nobody any more */
    char permit[RANDOM_UUID_SIZE];
    char sandbox_id[64];            /* "": not known */
    struct e2b_sandbox *sandbox;    /* NULL: none, or left by a predecessor */
    struct e2b_call call;           /* create, look, extend, kill */
    struct ledger_call ledger_call; /* extend, yield */
    struct gate_wait gate;
    struct timer timer;
    const struct plan *plan; /* the flight's; used while it creates */
    char *job;               /* key, for metadata and logs */
    char *tenant;
    char *limits; /* space-separated; as the permit is counted */
    int64_t attempt;
    bool is_adopted;
    bool is_sent; /* its create is under way, as the provider knows it */
    struct handed_run handed;
    struct reaped *reaped; /* the reaper's; NULL: somebody's */
    int64_t send_before_boot_ms;
    int64_t began_ms, created_ms, kill_asked_ms; /* loop time; 0: not yet */
    int64_t until_ms;                            /* of the claim, when it is yielded: from then */
    int64_t run_ran_ms;                          /* adopted: how long it ran before us */
};

/* Begins a create under `permit`, after wait_ms; the flight hears of its end by flight_runner_on_sandbox. */
struct custody_runner *custody_runner_create(struct worker *worker, struct flight_runner *flight,
                                             const char *permit, int64_t wait_ms,
                                             int64_t send_before_boot_ms) MUST_USE;
/* Follows a run that a predecessor left: extends its sandbox and connects to it. The flight hears as above;
 * run_ran_ms: how much of the run's clock is used up. */
struct custody_runner *custody_runner_adopt(struct worker *worker, struct flight_runner *flight,
                                            const char *permit, const char *sandbox_id,
                                            int64_t run_ran_ms) MUST_USE;
/* The claim's bind, asked for at asked_ms, gave the permit a whole horizon. */
void custody_runner_bound(struct custody_runner *runner, int64_t asked_ms);
/* This worker goes and the run stays, for whoever has the job's record next. */
void custody_runner_hand_over(struct custody_runner *runner);
/* Takes over what a predecessor left, to kill it. sandbox_id "": unknown, to be looked for. */
void custody_runner_clear(struct worker *worker, const char *permit, const char *sandbox_id, const char *job);

/* Kills what nobody has a right to: the permit, if there is one, is ours. Owns: `reaped`, to be told of at
 * the sandbox's end. */
void custody_runner_reap(struct worker *worker, const char *permit, const char *sandbox_id, const char *job,
                         struct reaped *reaped);

/* The flight needs it no more: it is killed. The pointer is the flight's no longer. NULL: nothing. */
void custody_runner_unwanted(struct custody_runner *runner);
/* The permit is another worker's: hands off. */
void custody_runner_superseded(struct custody_runner *runner);
/* The ledger says that the permit is another's, or is no more. */
void custody_runner_on_lost(struct custody_runner *runner, enum ledger_loss loss);
/* This worker ends: silence; permit and sandbox are left to their times. */
void custody_runner_abandon(struct custody_runner *runner);
/* What a sandbox for this plan is given; the permit's horizon depends on it. */
struct custody_times custody_runner_times(const struct plan *plan);
/* Finds by permit; NULL: none. */
struct custody_runner *custody_runner_find(const struct worker *worker, const char *permit);

#endif
