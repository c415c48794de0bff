#ifndef WORKER_REBUILD_H
#define WORKER_REBUILD_H
#include "base/base.h"

/* This worker's part in the rebuild of a lost ledger: it asserts what it holds (permits, claims that run,
 * verdicts that were sealed and are not in Kafka yet) and says when it is through. Redis is a cache of three
 * truths: this is the workers'; the other two, Kafka's results and E2B's list, are the leader's
 * (rebuild_leader.h). */

struct worker;
struct rebuild;

struct rebuild *rebuild_new(struct worker *worker) MUST_USE;
void rebuild_free(struct rebuild *rebuild); /* its calls fall silent; NULL: nothing */

/* The ledger asks for it (ledger_events.on_rebuild): from the beginning. */
void rebuild_begin(struct rebuild *rebuild);

#endif
