#ifndef WORKER_REBUILD_LEADER_H
#define WORKER_REBUILD_LEADER_H
#include "base/base.h"

/* The leader's part in the rebuild of a lost ledger. While the ledger is REBUILDING every worker asks to lead
 * it; the one that does reads the latest results back from Kafka (what is done), asserts every sandbox that
 * E2B lists and no worker claims (what lives), and then vouches, so that grants may begin. */

struct worker;
struct rebuild_leader;

struct rebuild_leader *rebuild_leader_new(struct worker *worker) MUST_USE;
void rebuild_leader_free(struct rebuild_leader *leader); /* its calls fall silent; NULL: nothing */

/* The ledger's state changed: begins or ends. */
void rebuild_leader_look(struct rebuild_leader *leader);

#endif
