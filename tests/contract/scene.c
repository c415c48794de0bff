/* Two workers. */
#include "contract/scene.h"

#include <stdio.h>

int scene_set_up(void **state)
{
    struct scene *scene = base_alloc(sizeof *scene);
    scene->world = world_new();
    desk_open(&scene->one, scene->world, "one");
    desk_make_ready(&scene->one);
    desk_open(&scene->two, scene->world, "two");
    desk_wait_ready(&scene->two);
    desk_pulse(&scene->one); /* and it knows that there are two */
    *state = scene;
    return 0;
}

int scene_tear_down(void **state)
{
    struct scene *scene = *state;
    if (scene->one.ledger)
        desk_close(&scene->one);
    if (scene->two.ledger)
        desk_close(&scene->two);
    world_free(scene->world);
    free(scene);
    return 0;
}

void scene_lapse(struct scene *scene, struct desk *desk)
{
    world_lapse(scene->world, ledger_worker(desk->ledger));
}

static void wait_rebuild(struct scene *scene)
{
    struct desk *desks[] = {&scene->one, &scene->two};
    for (size_t i = 0; i < ARRAY_LENGTH(desks); i++) {
        desk_pulse(desks[i]);
        world_wait(scene->world, &desks[i]->has_rebuild);
        assert_int_equal(ledger_state(desks[i]->ledger), LEDGER_REBUILDING);
    }
}

static void silence(struct desk *desk)
{
    desk->is_silent = true;
    desk->has_rebuild = false;
}

void scene_empty(struct scene *scene)
{
    silence(&scene->one);
    silence(&scene->two);
    world_empty(scene->world);
    wait_rebuild(scene);
}

void scene_restore(struct scene *scene)
{
    silence(&scene->one);
    silence(&scene->two);
    world_restore(scene->world);
    wait_rebuild(scene);
}

void scene_open(struct scene *scene)
{
    assert_int_equal(desk_asserted(&scene->one), LEDGER_OK);
    assert_int_equal(desk_asserted(&scene->two), LEDGER_OK);
    world_age_rebuild(scene->world, 6000);
    assert_int_equal(desk_ready(&scene->one, 0), LEDGER_OK);
    desk_wait_ready(&scene->one);
    desk_pulse(&scene->two);
    desk_wait_ready(&scene->two);
}

const struct ledger_acquired *scene_ask_limits(struct desk *desk, const char *job, const char *tenant,
                                               const struct ledger_limit *limits, size_t count)
{
    char permit[64];
    snprintf(permit, sizeof permit, "permit-of-%s", job);
    struct ledger_acquire wish = desk_wish(job, permit);
    wish.tenant = tenant;
    wish.limits = limits;
    wish.limit_count = count;
    return desk_acquire(desk, &wish);
}
