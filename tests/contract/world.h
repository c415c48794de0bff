#ifndef TESTS_CONTRACT_WORLD_H
#define TESTS_CONTRACT_WORLD_H
#include "redis/ledger.h"

/* What the contract of the ledger is tested against: a loop, a Redis, and a hand that reaches into its
 * records to make happen at once what would take half a minute. Two bodies: a real redis-server on the real
 * loop, and the fake ledger on the virtual clock. The tests cannot tell them apart. */

struct world;

struct world *world_new(void); /* with an empty Redis */
void world_free(struct world *world);
struct loop *world_loop(struct world *world);
const char *world_url(struct world *world);

/* Turns the loop until *flag; fails the test when that takes more than 20 s of the loop's time. */
void world_wait(struct world *world, const bool *flag);
/* ... until *left is 0, within 2 s: so many answers are still to come. */
void world_wait_none(struct world *world, const size_t *left);
void world_sleep(struct world *world, int64_t ms);

/* The hand. */
void world_empty(struct world *world);                  /* all records are gone */
void world_save(struct world *world);                   /* a snapshot ... */
void world_restore(struct world *world);                /* ... and a server that comes back with it */
void world_step_clock(struct world *world, int64_t ms); /* the server's, forward or back */
void world_break(struct world *world);                  /* all connections */
void world_plant_worker(struct world *world,
                        const char *worker);             /* one that is alive, and never seen again */
void world_age_rebuild(struct world *world, int64_t ms); /* it began so much earlier */
void world_late(struct world *world);     /* ... and creates of whoever was there before are over */
void world_end_hold(struct world *world); /* the time without take-overs is over */
void world_lapse(struct world *world, const char *worker);              /* its lease is over */
void world_end_claim(struct world *world, const char *job);             /* its `until` has passed */
void world_age_claim(struct world *world, const char *job, int64_t ms); /* Redis forgets it so much sooner */
void world_end_permit(struct world *world, const char *permit);         /* its horizon has passed */

int64_t world_lease_left(struct world *world, const char *worker); /* 0: it has none */
int64_t world_used(struct world *world, const char *limit);
bool world_has_permit(struct world *world, const char *permit);

#endif
