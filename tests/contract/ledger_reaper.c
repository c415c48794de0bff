/* What the reaper asks of the ledger. */
#include "contract/scene.h"

static void a_condemned_permit_is_the_reapers_until_another_takes_it(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->two, "acme/1", "p1");
    world_end_claim(scene->world, "acme/1");
    scene_lapse(scene, &scene->two);
    assert_int_equal(desk_condemn(&scene->one, "p1"), LEDGER_OK);
    desk_pulse(&scene->two);
    /* The reaper is stopped before it kills: it must hear that it was too slow. */
    scene_lapse(scene, &scene->one);
    assert_int_equal(desk_condemn(&scene->two, "p1"), LEDGER_OK);
    scene->one.has_lost = false;
    desk_pulse(&scene->one);
    world_wait(scene->world, &scene->one.has_lost);
    assert_text(scene->one.lost, "p1");
    assert_int_equal(scene->one.loss, LEDGER_LOST_TO_OTHER);
    desk_release(&scene->two, "p1", NULL, LEDGER_RELEASE_PERMIT);
    assert_int_equal(world_used(scene->world, "g"), 0);
}

/* Whoever has the job next must know that it may have begun: it is not to be told by a sandbox any more. */
static void a_run_that_was_given_up_is_remembered_if_it_was_bound(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->two, "acme/1", "p1");
    (void)desk_bind(&scene->two, "acme/1", "p1");
    (void)desk_ask(&scene->two, "acme/2", "p2");
    world_end_claim(scene->world, "acme/1");
    world_end_claim(scene->world, "acme/2");
    scene_lapse(scene, &scene->two);
    assert_int_equal(desk_condemn(&scene->one, "p1"), LEDGER_OK);
    assert_int_equal(desk_condemn(&scene->one, "p2"), LEDGER_OK);
    for (int i = 0; i < 2; i++) { /* the answer may be lost */
        const struct ledger_acquired *answer = desk_ask(&scene->one, "acme/1", "p3");
        assert_int_equal(answer->verdict, LEDGER_GRANTED);
        assert_true(answer->has_begun);
    }
    assert_int_equal(desk_ask(&scene->one, "acme/2", "p4")->verdict, LEDGER_GRANTED);
    assert_false(desk_ask(&scene->one, "acme/2", "p4")->has_begun);
    assert_false(desk_ask(&scene->one, "acme/3", "p5")->has_begun);
}

static void asking_about_ones_own_permit_changes_nothing(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    assert_int_equal(desk_condemn(&scene->one, "p1"), LEDGER_SUPERSEDED_PERMIT);
    world_end_claim(scene->world, "acme/1");
    scene_lapse(scene, &scene->one);
    assert_int_equal(desk_condemn(&scene->two, "p1"), LEDGER_OK);
    scene->one.has_lost = false;
    desk_pulse(&scene->one);
    world_wait(scene->world, &scene->one.has_lost);
    assert_text(scene->one.lost, "p1");
}

static void one_worker_at_a_time_has_a_lock(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(desk_lock(&scene->one, "reaper", 60000), LEDGER_OK);
    assert_int_equal(desk_lock(&scene->two, "reaper", 60000), LEDGER_NOT_NOW);
    assert_int_equal(desk_lock(&scene->two, "other", 60000), LEDGER_OK);
    assert_int_equal(desk_lock(&scene->one, "reaper", 1), LEDGER_OK);
    enum ledger_answer answer = LEDGER_NOT_NOW;
    for (int i = 0; i < 100 && answer != LEDGER_OK; i++)
        answer = desk_lock(&scene->two, "reaper", 60000);
    assert_int_equal(answer, LEDGER_OK);
    assert_int_equal(desk_lock(&scene->one, "reaper", 60000), LEDGER_NOT_NOW);
}

static void a_snapshot_tells_an_operators_value_from_a_cut(void **state)
{
    struct scene *scene = *state;
    (void)desk_limit_set(&scene->one, "g", 9);
    ledger_cut(scene->one.ledger, "g", 4, 60000);
    ledger_cut(scene->one.ledger, "n:acme", 4, 60000);
    desk_flush(&scene->one);
    desk_snapshot(&scene->one);
    const struct ledger_usage *usage = desk_usage(&scene->one, "g");
    assert_non_null(usage);
    assert_int_equal(usage->max, 4);
    assert_int_equal(usage->set, 9);
    usage = desk_usage(&scene->one, "n:acme");
    assert_non_null(usage);
    assert_int_equal(usage->max, 4);
    assert_int_equal(usage->set, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCENE(a_condemned_permit_is_the_reapers_until_another_takes_it),
        IN_SCENE(a_run_that_was_given_up_is_remembered_if_it_was_bound),
        IN_SCENE(asking_about_ones_own_permit_changes_nothing),
        IN_SCENE(one_worker_at_a_time_has_a_lock),
        IN_SCENE(a_snapshot_tells_an_operators_value_from_a_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
