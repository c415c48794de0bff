#ifndef WORKER_REAPER_H
#define WORKER_REAPER_H
#include "core/catalog.h"

/* Kills the sandboxes of this ledger that nobody has a right to any more, before E2B ends them, and gives
 * back the permits of dead workers whose sandbox is not there. One worker at a time does so, about every half
 * minute.
 *
 * A list is old as soon as it is there: it only names whom to ask about. Each kill is asked for just before
 * (ledger_condemn), and is a custody's like any other: behind the gate, repeated until E2B confirms it, then
 * the permit goes. What carries another ledger's name, no permit, or none of our metadata is never
 * touched. */

struct worker;
struct reaper;

struct reaper *reaper_new(struct worker *worker) MUST_USE;
void reaper_free(struct reaper *reaper); /* its calls fall silent; NULL: nothing */

/* What is told of a sandbox once it is dead. Its custody keeps it. */
struct reaped {
    const char *reason;  /* of struct event_reaped */
    char *tenant, *job;  /* of its metadata, where they are names; NULL: not known */
    char *template_name; /* NULL: not known */
    char *template_id;
    struct template_entry priced; /* size and price, nothing else */
    int64_t age_ms, noted_ms;     /* how old it was, and when */
};
void reaped_free(struct reaped *reaped); /* NULL: nothing */

#endif
