#ifndef TESTS_CONTRACT_SCENE_H
#define TESTS_CONTRACT_SCENE_H
#include "contract/desk.h"
#include "test.h"

/* Two workers on one ledger that is ready: where most of the ledger's contract plays. */

struct scene {
    struct world *world;
    struct desk one, two;
};

enum { BOTH = LEDGER_RELEASE_PERMIT | LEDGER_RELEASE_CLAIM };

int scene_set_up(void **state);
int scene_tear_down(void **state); /* closes the desks that are open */
#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene_set_up, scene_tear_down)

void scene_lapse(struct scene *scene, struct desk *desk); /* its lease is over */

/* The ledger is lost, and both workers have heard of it. Neither says by itself what it holds. */
void scene_silence(struct scene *scene); /* before the loss, where a test makes one of its own */
void scene_empty(struct scene *scene);
void scene_restore(struct scene *scene); /* ... and came back as it was at world_save */
/* Both have said all; the rebuild is as old as it must be, and is over. Take-overs wait for the hold. */
void scene_open(struct scene *scene);
void scene_open_as(struct scene *scene, struct desk *leader,
                   int64_t listed);                               /* ... who leads, and sees so many */
void scene_await_rebuild(struct scene *scene, struct desk *desk); /* it has heard of a new epoch */

const struct ledger_acquired *scene_ask_limits(struct desk *desk, const char *job, const char *tenant,
                                               const struct ledger_limit *limits, size_t count);

#endif
