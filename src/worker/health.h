#ifndef WORKER_HEALTH_H
#define WORKER_HEALTH_H
#include "base/error.h"

/* The worker over HTTP, for operators and their tools: /healthz (the loop turns), /readyz (it could take a
 * job now, with the reason), /metrics (Prometheus text), /stats (JSON, live). It reads; it changes
 * nothing. */

struct worker;
struct loop;
struct health;

/* Returns: NULL when the address is not usable (reterr names it). */
struct health *health_new(struct loop *loop, struct worker *worker, const char *listen,
                          struct error *reterr) MUST_USE;
void health_free(struct health *health); /* NULL: nothing */
unsigned health_port(const struct health *health);

#endif
