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

void scene_await_rebuild(struct scene *scene, struct desk *desk)
{
    desk_pulse(desk);
    world_wait(scene->world, &desk->has_rebuild);
    desk->has_rebuild = false;
    assert_int_equal(ledger_state(desk->ledger), LEDGER_REBUILDING);
}

static void wait_rebuild(struct scene *scene)
{
    scene_await_rebuild(scene, &scene->one);
    scene_await_rebuild(scene, &scene->two);
}

void scene_silence(struct scene *scene)
{
    scene->one.is_silent = scene->two.is_silent = true;
    scene->one.has_rebuild = scene->two.has_rebuild = false;
}

void scene_empty(struct scene *scene)
{
    scene_silence(scene);
    world_empty(scene->world);
    wait_rebuild(scene);
}

void scene_restore(struct scene *scene)
{
    scene_silence(scene);
    world_restore(scene->world);
    wait_rebuild(scene);
}

void scene_open_as(struct scene *scene, struct desk *leader, int64_t listed)
{
    struct desk *other = leader == &scene->one ? &scene->two : &scene->one;
    assert_int_equal(desk_asserted(&scene->one), LEDGER_OK);
    assert_int_equal(desk_asserted(&scene->two), LEDGER_OK);
    world_age_rebuild(scene->world, 6000);
    assert_int_equal(desk_ready(leader, listed), LEDGER_OK);
    desk_wait_ready(leader);
    desk_pulse(other);
    desk_wait_ready(other);
}

void scene_open(struct scene *scene)
{
    scene_open_as(scene, &scene->one, 0);
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
