#ifndef WORKER_CONTROL_H
#define WORKER_CONTROL_H
#include "kafka/source.h"
#include "worker/context.h"

/* Orders over the control topic. A cancellation is written into the job's claim, where whoever has the job,
 * or will have it, finds it; only then the record is finished. What cannot be read goes to the DLQ. */

/* Borrows the record for the call. */
void control_begin(struct worker *worker, const struct kafka_message *message);
/* Whether one more may come: the ledger can be written to, and not too many wait for its answer. */
bool control_has_room(const struct worker *worker);
/* Orders of this partition are another worker's now; topic NULL: all are. */
void control_forget(struct worker *worker, const char *topic, int32_t partition);

#endif
