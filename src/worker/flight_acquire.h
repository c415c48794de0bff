#ifndef WORKER_FLIGHT_ACQUIRE_H
#define WORKER_FLIGHT_ACQUIRE_H
#include "worker/flight_runner.h"

/* The first call of a flight's attempt: claim and permit, asked for under a fresh permit. The answer comes
 * back to the flight by flight_runner_advance, with what was found noted in the runner. */

void flight_acquire(struct flight_runner *runner);

#endif
