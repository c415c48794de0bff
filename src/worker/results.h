#ifndef WORKER_RESULTS_H
#define WORKER_RESULTS_H
#include "worker/context.h"

/* The way out: the sink for all that is published, and with results.delivery=transactional the transactor for
 * results, which go with the offsets of their records. */

bool results_are_transactional(const struct worker *worker);

/* The sink comes first, the transactor after the source. */
bool results_open_sink(struct worker *worker, struct error *reterr) MUST_USE;
bool results_open_transactor(struct worker *worker, struct error *reterr) MUST_USE; /* where it is wanted */
/* Closes what there is; the source must have been closed. */
void results_close(struct worker *worker, void (*closed)(void *arg));

/* As kafka_sink_send or kafka_transactor_send. place: where the job's record stands. */
void results_send(struct worker *worker, struct kafka_send *send, const struct kafka_record *record,
                  const struct kafka_place *place, kafka_sent_fn sent);
bool results_has_room(const struct worker *worker);
const char *results_why(const struct worker *worker); /* why no result can be published; "" when it can */

#endif
