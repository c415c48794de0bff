#ifndef WORKER_FLIGHT_PARK_H
#define WORKER_FLIGHT_PARK_H
#include "worker/flight_runner.h"

/* Jobs that are not to be run yet: they start later, failed for the infrastructure over and over, or their
 * tenant has too many waiting here. For half a minute they wait in memory, for longer as copies of their
 * records in retry topics, one hop after the other (codec/hop.h). */

/* The first step of a flight whose record is a good job: into the queue, or to wait. */
void flight_park_begin(struct flight_runner *runner, bool was_pulled);

/* Into the queue, or to wait until it is due: what was asked for out of turn, and is to begin anew. */
void flight_park_line_up(struct flight_runner *runner);

/* How long until it may begin; 0: now. */
int64_t flight_park_due_ms(const struct flight_runner *runner);

/* Whether it waits in the queue, for its turn or until it is due. */
bool flight_park_is_queued(const struct flight_runner *runner);
/* ... and may as well go on a hop: its record is here, and nobody has begun it. */
bool flight_park_may_defer(const struct flight_runner *runner);
/* Sends it, for its tenant's other jobs take all the room it has. */
void flight_park_defer(struct flight_runner *runner);
/* Somebody may be running it, and this ledger was not asked yet. */
bool flight_park_is_unheard(const struct flight_runner *runner);
/* Asks the ledger whether somebody had the job meanwhile, or it is not wanted any more. */
void flight_park_ask(struct flight_runner *runner);

#endif
