#ifndef WORKER_EXECUTION_RUNNER_H
#define WORKER_EXECUTION_RUNNER_H
#include "core/execution.h"
#include "loop/loop.h"
#include "worker/gate.h"
#include "worker/step.h"

/* Carries out what core/execution.h orders for one attempt: starts steps, keeps the one timer, drops what is
 * under way. The end is told to the flight by flight_runner_on_run_ended, never from inside start. */

struct flight_runner;

struct execution_runner {
    struct flight_runner *flight; /* borrowed */
    struct execution execution;
    struct e2b_sandbox *sandbox; /* borrowed from the custody */
    struct e2b_call call;
    struct step_run step;
    bool is_step_active;
    int64_t started_boot_ms;  /* the step, just before that was sent; 0: what may have been is made up for */
    int64_t at_gate_ms;       /* since when the step might start, but for the gate */
    bool waits_for_bind;      /* the step, until the claim names the sandbox */
    struct timer timer;       /* the deadline */
    struct timer start_timer; /* a start that is to come later */
    struct task ended, stopped;
    struct gate_wait act, late; /* to start or stop a step; to call it out of time */
    int64_t main_left_ms;       /* of an adopted run */
    size_t first_step;          /* ... that is to be followed */
    unsigned looks;             /* for its record */
    int64_t step_began_ms;
    struct e2b_error *cause; /* of the break that became the verdict; NULL: none */
};

void execution_runner_init(struct execution_runner *run, struct flight_runner *flight,
                           const struct plan *plan);
/* Silence: everything under way is dropped. */
void execution_runner_release(struct execution_runner *run);

void execution_runner_start(struct execution_runner *run, struct e2b_sandbox *sandbox);
/* Follows the run that a predecessor left in the sandbox: finds where it stands, then goes on. main_left_ms:
 * of its clock. */
void execution_runner_resume(struct execution_runner *run, struct e2b_sandbox *sandbox, int64_t main_left_ms);
/* The claim names the sandbox: processes may start. */
void execution_runner_bound(struct execution_runner *run);
/* Keeps it as the cause. */
void execution_runner_blame(struct execution_runner *run, const struct e2b_error *error);
/* The sandbox could not be had. */
void execution_runner_gone(struct execution_runner *run, enum code code);
void execution_runner_cancel(struct execution_runner *run);
void execution_runner_leave(struct execution_runner *run);

#endif
