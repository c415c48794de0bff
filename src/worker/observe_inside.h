#ifndef WORKER_OBSERVE_INSIDE_H
#define WORKER_OBSERVE_INSIDE_H
#include "worker/flight_runner.h"
#include "worker/observe.h"

/* The parts of observe know each other: observe.c, observe_waiting.c. */

#define JOB_FIELDS(runner) LOG_TEXT("job", (runner)->job.job_id), LOG_TEXT("tenant", (runner)->job.tenant_id)

/* An event of this job, the n-th of its type: best effort. */
void observe_post(struct flight_runner *runner, const char *type, int64_t n, const struct buffer *value);

#endif
