#ifndef E2B_WORKER_STATUS_SHOW_H
#define E2B_WORKER_STATUS_SHOW_H
#include "codec/event_view.h"
#include "command.h"
#include "redis/ledger.h"

/* Where a job is, from what the ledger and the results topic say about it: for `status`, without asking
 * anybody. */

enum job_place {
    JOB_UNKNOWN, /* nobody has heard of it */
    JOB_WAITING, /* for its first or its next attempt */
    JOB_PARKED,  /* ... as a copy in a retry topic */
    JOB_RUNNING, /* a worker has it, and a sandbox or the permit to make one */
    JOB_PUBLISHING /* its verdict is fixed, its result is on the way */,
    JOB_FINISHED,
};
const char *job_place_name(enum job_place place); /* "running": contract, for scripts */

/* The last event that is about the job. */
struct last_event {
    struct event_view view;
    int64_t unix_ms;
    int32_t partition;
    int64_t offset;
};

/* What was heard. Everything borrowed. */
struct job_facts {
    const struct command_job *job;
    const char *ledger_why; /* the ledger cannot be asked; NULL: it was */
    const struct ledger_condition *condition;
    const struct ledger_claim *claim; /* NULL: the ledger was not asked */
    const char *results;              /* the topic */
    int64_t looked_back_ms;           /* so far into the topic's past; -1: it was not read */

    const struct last_event *event; /* NULL: none was found */
    int64_t now_unix_ms;
};

enum job_place status_place(const struct job_facts *facts);
/* The ledger does not say all that there is to say: the results topic may. */
bool status_needs_events(const struct ledger_claim *claim);

void status_show(const struct job_facts *facts, struct buffer *out);   /* a few lines */
void status_encode(const struct job_facts *facts, struct buffer *out); /* JSON */

#endif
