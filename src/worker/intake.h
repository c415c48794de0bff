#ifndef WORKER_INTAKE_H
#define WORKER_INTAKE_H
#include "codec/hop.h"
#include "kafka/source.h"
#include "worker/context.h"

/* What comes in from Kafka, by its topic: jobs, copies of jobs' records that waited, orders. Also whom the
 * queue has no room for: the jobs of one tenant take at most a part of it. */

enum intake_kind { INTAKE_JOB, INTAKE_COPY, INTAKE_ORDER };

void intake_init(struct worker *worker);
void intake_release(struct worker *worker);

enum intake_kind intake_kind_of(const struct worker *worker, const char *topic);
/* The retry topic for a delay, and how long its records wait. Borrowed from the worker. */
const char *intake_retry_topic(const struct worker *worker, int64_t delay_ms, int64_t *ret_tier_ms);
/* The headers of a record by which it waits, and goes on as the job that it is a copy of. */
void intake_read_hop(const struct kafka_message *message, struct hop *ret);

/* For struct kafka_source_events; arg: the worker. */
int64_t intake_wait_ms(void *arg, const struct kafka_message *message);
void intake_take(void *arg, const struct kafka_message *message);

/* Once a second: tenants whose jobs crowd the queue have the latest of them sent on a hop; jobs that have
 * been in the queue for long ask whether anybody had them meanwhile. */
void intake_look(struct worker *worker);

#endif
