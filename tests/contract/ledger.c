/* The contract of redis/ledger.h: what every body of it must do. Written against the port alone. */
#include "contract/scene.h"

#include <stdio.h>

/* ---- the ledger as a whole ---- */

static void a_lease_is_valid_once_a_pulse_was_answered(void **state)
{
    struct scene *scene = *state;
    assert_true(ledger_lease_is_valid(scene->one.ledger));
    assert_string_not_equal(ledger_worker(scene->one.ledger), "one");
    assert_int_equal(strncmp(ledger_worker(scene->one.ledger), "one", 3), 0);
}

static void closing_gives_the_lease_back_and_sends_what_is_left(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_ask(&scene->one, "acme/2", "p2");
    ledger_release(scene->one.ledger, "p2", "acme/2", BOTH);
    desk_close(&scene->one);
    assert_int_equal(world_used(scene->world, "g"), 1);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p3")->verdict, LEDGER_ADOPT);
}

static void a_cancelled_call_stays_silent(void **state)
{
    struct scene *scene = *state;
    struct desk *desk = &scene->one;
    struct ledger_acquire wish = desk_wish("acme/1", "p1");
    (void)desk_ask(desk, "acme/0", "p0");
    desk->is_answered = false;
    ledger_call_cancel(desk->ledger, &desk->call); /* idle: nothing */
    ledger_extend(desk->ledger, &desk->call, "p0", 600000, NULL);
    ledger_call_cancel(desk->ledger, &desk->call);
    assert_null(desk->call.request);
    ledger_acquire(desk->ledger, &desk->call, &wish, NULL);
    ledger_call_cancel(desk->ledger, &desk->call);
    desk_release(desk, "p1", "acme/1", BOTH); /* what was granted in the meantime is given back */
    assert_false(desk->is_answered);
    assert_int_equal(world_used(scene->world, "g"), 1);
}

/* ---- running ---- */

static void a_grant_is_given_again_when_its_answer_was_lost(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < 3; i++) {
        const struct ledger_acquired *answer = desk_ask(&scene->one, "acme/1", "p1");
        assert_int_equal(answer->verdict, LEDGER_GRANTED);
        assert_text(answer->permit, "p1");
        assert_int_equal(answer->attempt, 1);
        assert_int_equal(answer->crashes, 0);
        assert_int_equal(world_used(scene->world, "g"), 1);
    }
    assert_int_equal(desk_bind(&scene->one, "acme/1", "p1"), LEDGER_OK);
    assert_int_equal(desk_bind(&scene->one, "acme/1", "p1"), LEDGER_OK);
    /* Bound: a second create under this permit would be a second sandbox. */
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p1")->verdict, LEDGER_ELSEWHERE);
}

static void a_grant_asked_again_after_its_permit_ended_is_a_new_one_of_the_same_attempt(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    world_end_permit(scene->world, "p1");
    (void)desk_ask(&scene->two, "acme/2", "p2"); /* prunes */
    assert_false(world_has_permit(scene->world, "p1"));
    const struct ledger_acquired *answer = desk_ask(&scene->one, "acme/1", "p1");
    assert_int_equal(answer->verdict, LEDGER_GRANTED);
    assert_int_equal(answer->attempt, 1);
    assert_int_equal(world_used(scene->world, "g"), 2);
}

static void a_running_job_is_elsewhere_for_everybody(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    const struct ledger_acquired *answer = desk_ask(&scene->two, "acme/1", "p2");
    assert_int_equal(answer->verdict, LEDGER_ELSEWHERE);
    assert_text(answer->owner, ledger_worker(scene->one.ledger));
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p3")->verdict, LEDGER_ELSEWHERE);
    assert_int_equal(world_used(scene->world, "g"), 1);
}

static void a_refused_create_gives_both_back_and_counts_as_told(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    desk_release(&scene->one, "p1", "acme/1", BOTH | LEDGER_UNCOUNT);
    assert_int_equal(world_used(scene->world, "g"), 0);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->attempt, 1);
    desk_release(&scene->two, "p2", "acme/1", BOTH);
    desk_release(&scene->two, "p2", "acme/1", BOTH); /* a repeat does nothing */
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p3")->attempt, 2);
}

static void a_create_in_doubt_keeps_its_permit_while_the_next_attempt_runs(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    desk_release(&scene->one, "p1", "acme/1", LEDGER_RELEASE_CLAIM);
    const struct ledger_acquired *answer = desk_ask(&scene->one, "acme/1", "p2");
    assert_int_equal(answer->verdict, LEDGER_GRANTED);
    assert_int_equal(answer->attempt, 2);
    assert_int_equal(world_used(scene->world, "g"), 2);
    desk_release(&scene->one, "p1", NULL, LEDGER_RELEASE_PERMIT);
    assert_int_equal(world_used(scene->world, "g"), 1);
    assert_true(world_has_permit(scene->world, "p2"));
}

static void a_permit_is_extended_only_by_its_holder_and_only_while_it_exists(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    assert_int_equal(desk_extend(&scene->one, "p1", 900000), LEDGER_OK);
    assert_int_equal(desk_extend(&scene->two, "p1", 900000), LEDGER_SUPERSEDED_PERMIT);
    assert_int_equal(scene->two.lost_count, 0); /* it never held it */
    world_end_permit(scene->world, "p1");
    (void)desk_ask(&scene->two, "acme/2", "p2");
    assert_int_equal(desk_extend(&scene->one, "p1", 900000), LEDGER_SUPERSEDED);
    assert_int_equal(scene->one.lost_count, 1);
    assert_text(scene->one.lost, "p1");
    assert_int_equal(scene->one.loss, LEDGER_LOST_FOR_GOOD);
    assert_int_equal(desk_bind(&scene->one, "acme/1", "p1"), LEDGER_SUPERSEDED);
    assert_false(world_has_permit(scene->world, "p1")); /* no ghost */
}

/* ---- taking over ---- */

static void a_dead_workers_run_is_adopted_and_the_zombie_can_do_nothing(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    assert_int_equal(desk_bind(&scene->one, "acme/1", "p1"), LEDGER_OK);
    scene_lapse(scene, &scene->one);
    for (int i = 0; i < 2; i++) { /* the second time after a lost answer */
        const struct ledger_acquired *answer = desk_ask(&scene->two, "acme/1", "p2");
        assert_int_equal(answer->verdict, LEDGER_ADOPT);
        assert_text(answer->permit, "p1");
        assert_text(answer->sandbox, "sandbox-1");
        assert_text(answer->mode, "process");
        assert_text(answer->plan, "abcd");
        assert_int_equal(answer->attempt, 1);
        assert_int_equal(answer->crashes, 1);
        assert_in_range(answer->run_until_ms, 290000, 300000);
    }
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "zombie"), LEDGER_SUPERSEDED_PERMIT);
    assert_int_equal(desk_bind(&scene->one, "acme/1", "p1"), LEDGER_SUPERSEDED_PERMIT);
    assert_int_equal(desk_extend(&scene->one, "p1", 900000), LEDGER_SUPERSEDED_PERMIT);
    desk_release(&scene->one, "p1", "acme/1", BOTH);
    assert_int_equal(world_used(scene->world, "g"), 1);
    assert_int_equal(desk_extend(&scene->two, "p1", 900000), LEDGER_OK);
    assert_int_equal(desk_seal(&scene->two, "acme/1", "p1", "right"), LEDGER_OK);
    desk_release(&scene->two, "p1", NULL, LEDGER_RELEASE_PERMIT);
    assert_int_equal(world_used(scene->world, "g"), 0);
}

static void a_worker_that_lapsed_is_told_what_it_lost(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_ask(&scene->one, "acme/2", "p2");
    scene_lapse(scene, &scene->one);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p3")->verdict, LEDGER_ADOPT);
    (void)desk_extend(&scene->one, "p2", 600000);
    world_wait(scene->world, &scene->one.has_lost);
    assert_text(scene->one.lost, "p1");
    assert_int_equal(scene->one.loss, LEDGER_LOST_TO_OTHER);
    assert_int_equal(scene->one.lost_count, 1);
    assert_true(ledger_lease_is_valid(scene->one.ledger));
}

static void a_claim_that_its_living_owner_forgot_is_taken_after_its_end(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    world_end_claim(scene->world, "acme/1");
    const struct ledger_acquired *answer = desk_ask(&scene->two, "acme/1", "p2");
    assert_int_equal(answer->verdict, LEDGER_ADOPT);
    assert_text(answer->sandbox, "");
    assert_int_equal(answer->run_until_ms, 0);
    desk_release(&scene->two, "p1", "acme/1", BOTH);
    assert_int_equal(world_used(scene->world, "g"), 0);
    answer = desk_ask(&scene->two, "acme/1", "p3");
    assert_int_equal(answer->verdict, LEDGER_GRANTED);
    assert_int_equal(answer->attempt, 2);
    assert_int_equal(answer->crashes, 1);
    /* The first owner, late: its permit is gone and the claim is another's under another one. */
    assert_int_equal(desk_bind(&scene->one, "acme/1", "p1"), LEDGER_SUPERSEDED);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "late"), LEDGER_SUPERSEDED);
}

static void its_own_owner_may_take_it_too(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    world_end_claim(scene->world, "acme/1");
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p2")->verdict, LEDGER_ADOPT);
    assert_int_equal(desk_extend(&scene->one, "p1", 600000), LEDGER_OK);
}

static void an_adopter_gets_the_permits_name_even_when_the_permit_is_gone(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_bind(&scene->one, "acme/1", "p1");
    world_end_permit(scene->world, "p1");
    (void)desk_ask(&scene->two, "acme/9", "p9");
    scene_lapse(scene, &scene->one);
    const struct ledger_acquired *answer = desk_ask(&scene->two, "acme/1", "p2");
    assert_int_equal(answer->verdict, LEDGER_ADOPT);
    assert_text(answer->permit, "p1");
    assert_text(answer->sandbox, "sandbox-1");
    assert_false(world_has_permit(scene->world, "p1"));
    assert_int_equal(desk_extend(&scene->two, "p1", 600000), LEDGER_SUPERSEDED);
    assert_false(world_has_permit(scene->world, "p1"));
}

static void nobody_is_taken_over_after_the_ledger_was_lost_for_one_lease(void **state)
{
    struct scene *scene = *state;
    scene_empty(scene);
    scene_open(scene);
    (void)desk_ask(&scene->one, "acme/1", "p1");
    scene_lapse(scene, &scene->one);
    world_end_claim(scene->world, "acme/1");
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->verdict, LEDGER_ELSEWHERE);
    world_end_hold(scene->world);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->verdict, LEDGER_ADOPT);
}

/* ---- seal and done ---- */

static void a_verdict_is_sealed_once(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    assert_int_equal(desk_seal(&scene->two, "acme/1", "", "other"), LEDGER_SEAL_ELSEWHERE);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "record"), LEDGER_OK);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "record"), LEDGER_OK); /* a lost answer */
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "changed"), LEDGER_SEAL_ELSEWHERE);
    assert_int_equal(desk_seal(&scene->two, "acme/1", "", "other"), LEDGER_SEAL_ELSEWHERE);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->verdict, LEDGER_ELSEWHERE);
    desk_release(&scene->one, "p1", NULL, LEDGER_RELEASE_PERMIT);
    desk_done(&scene->one, "acme/1");
    desk_done(&scene->one, "acme/1");
    const struct ledger_acquired *answer = desk_ask(&scene->two, "acme/1", "p2");
    assert_int_equal(answer->verdict, LEDGER_DONE);
    assert_text(answer->status, "succeeded");
    assert_text(answer->origin, "0a0b0c0d");
    assert_int_equal(answer->partition, 3);
    assert_int_equal(answer->offset, 42);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "record"), LEDGER_SEAL_DONE);
    assert_int_equal(desk_seal(&scene->two, "acme/1", "", "record"), LEDGER_SEAL_DONE);
    assert_int_equal(world_used(scene->world, "g"), 0);
}

static void a_dead_workers_sealed_bytes_are_handed_to_who_asks(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_bind(&scene->one, "acme/1", "p1");
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "the bytes"), LEDGER_OK);
    scene_lapse(scene, &scene->one);
    for (int i = 0; i < 2; i++) {
        const struct ledger_acquired *answer = desk_ask(&scene->two, "acme/1", "p2");
        assert_int_equal(answer->verdict, LEDGER_SEALED);
        assert_int_equal(answer->record.length, 9);
        assert_memory_equal(answer->record.data, "the bytes", 9);
        assert_text(answer->permit, "p1");
        assert_text(answer->sandbox, "sandbox-1");
    }
    /* The sandbox is still the first worker's to end, should it wake. */
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "the bytes"), LEDGER_SUPERSEDED);
    desk_release(&scene->one, "p1", NULL, LEDGER_RELEASE_PERMIT);
    assert_int_equal(world_used(scene->world, "g"), 0);
    desk_done(&scene->two, "acme/1");
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p4")->verdict, LEDGER_DONE);
}

static void a_job_that_never_ran_is_sealed_without_a_permit(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(desk_seal(&scene->one, "acme/1", "", "rejected"), LEDGER_OK);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "", "rejected"), LEDGER_OK);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "", "again, differently"), LEDGER_SEAL_ELSEWHERE);
    assert_int_equal(desk_seal(&scene->two, "acme/1", "", "rejected"), LEDGER_SEAL_ELSEWHERE);
    (void)desk_ask(&scene->one, "acme/2", "p2");
    desk_release(&scene->one, "p2", "acme/2", BOTH);
    assert_int_equal(desk_seal(&scene->two, "acme/2", "", "expired"), LEDGER_OK);
    (void)desk_ask(&scene->one, "acme/3", "p3");
    desk_release(&scene->one, "p3", "acme/3", BOTH);
    desk_park(&scene->one, "p3", "acme/3", 1);
    assert_int_equal(desk_seal(&scene->two, "acme/3", "", "expired"), LEDGER_OK);
    desk_done(&scene->two, "acme/3");
    assert_int_equal(desk_ask(&scene->one, "acme/3", "p4")->verdict, LEDGER_DONE);
}

/* A result is in Kafka, and the ledger had forgotten the verdict: no second one may follow. */
static void done_ends_a_claim_in_any_state_and_marks_an_unknown_job(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    desk_done(&scene->two, "acme/1");
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->verdict, LEDGER_DONE);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "a second result"), LEDGER_SEAL_DONE);
    assert_int_equal(desk_bind(&scene->one, "acme/1", "p1"), LEDGER_SUPERSEDED);
    desk_release(&scene->one, "p1", "acme/1", BOTH);
    assert_int_equal(world_used(scene->world, "g"), 0);
    desk_done(&scene->two, "acme/2");
    assert_int_equal(desk_ask(&scene->one, "acme/2", "p2")->verdict, LEDGER_DONE);
    (void)desk_ask(&scene->one, "acme/3", "p3");
    desk_park(&scene->one, "p3", "acme/3", 1);
    desk_done(&scene->two, "acme/3");
    assert_int_equal(desk_ask(&scene->one, "acme/3", "p4")->verdict, LEDGER_DONE);
}

static void another_payload_under_the_same_id_is_a_conflict_in_every_state(void **state)
{
    struct scene *scene = *state;
    struct ledger_acquire other = desk_wish("acme/1", "p2");
    other.payload = "ffffffffffffffffffffffffffffffff";
    (void)desk_ask(&scene->one, "acme/1", "p1");
    assert_int_equal(desk_acquire(&scene->two, &other)->verdict, LEDGER_CONFLICT);
    (void)desk_seal(&scene->one, "acme/1", "p1", "r");
    assert_int_equal(desk_acquire(&scene->two, &other)->verdict, LEDGER_CONFLICT);
    desk_done(&scene->one, "acme/1");
    assert_int_equal(desk_acquire(&scene->two, &other)->verdict, LEDGER_CONFLICT);
    (void)desk_acquire(&scene->two, &(struct ledger_acquire){.job = "acme/2",
                                                             .payload = other.payload,
                                                             .origin = "1",
                                                             .place = "",
                                                             .tenant = "acme",
                                                             .weight = 1,
                                                             .permit = "p7",
                                                             .horizon_ms = 1000,
                                                             .until_ms = 1000});
    assert_int_equal(desk_seal(&scene->one, "acme/2", "", "r"), LEDGER_SEAL_CONFLICT);
}

static void an_older_copy_of_a_parked_job_is_stale(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    desk_park(&scene->one, "p1", "acme/1", 2);
    assert_true(world_has_permit(scene->world, "p1"));
    desk_release(&scene->one, "p1", NULL, LEDGER_RELEASE_PERMIT);
    struct ledger_acquire wish = desk_wish("acme/1", "p2");
    wish.hop = 1;
    assert_int_equal(desk_acquire(&scene->two, &wish)->verdict, LEDGER_STALE);
    wish.hop = 2;
    assert_int_equal(desk_acquire(&scene->two, &wish)->verdict, LEDGER_GRANTED);
}

/* A record that shall wait before anybody has had its job: a copy of it is in Kafka. */
static void a_job_is_parked_by_whoever_has_no_claim_on_it(void **state)
{
    struct scene *scene = *state;
    desk_park(&scene->one, "", "acme/1", 2);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p1")->verdict, LEDGER_STALE);
    desk_park(&scene->two, "", "acme/1", 1);
    assert_int_equal(desk_peek(&scene->one, "acme/1")->hop, 2); /* never back */
    struct ledger_acquire wish = desk_wish("acme/1", "p2");
    wish.hop = 2;
    assert_int_equal(desk_acquire(&scene->two, &wish)->verdict, LEDGER_GRANTED);
    desk_park(&scene->one, "", "acme/1", 3); /* it runs: the later copy will learn how it ended */
    assert_text(desk_peek(&scene->one, "acme/1")->state, "running");
    assert_int_equal(desk_seal(&scene->two, "acme/1", "p2", "r"), LEDGER_OK);
}

static void a_copy_that_waits_on_learns_that_it_need_not(void **state)
{
    struct scene *scene = *state;
    assert_text(desk_peek(&scene->one, "acme/1")->state, "none");
    desk_park(&scene->one, "", "acme/1", 1);
    assert_text(desk_peek(&scene->one, "acme/1")->state, "parked");
    assert_int_equal(desk_peek(&scene->one, "acme/1")->hop, 1);
    assert_false(desk_peek(&scene->one, "acme/1")->is_cancelled);
    assert_int_equal(desk_cancel(&scene->two, "acme/1"), LEDGER_OK);
    assert_true(desk_peek(&scene->one, "acme/1")->is_cancelled);
    desk_park(&scene->one, "", "acme/1", 2);
    assert_true(desk_peek(&scene->one, "acme/1")->is_cancelled);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "", "cancelled"), LEDGER_OK);
    desk_done(&scene->one, "acme/1");
    assert_text(desk_peek(&scene->two, "acme/1")->state, "done");
    const struct ledger_limit one[] = {{"n:beta", 9}, {"g", 1}};
    (void)desk_ask(&scene->one, "acme/2", "p1");
    (void)scene_ask_limits(&scene->two, "beta/1", "beta", one, ARRAY_LENGTH(one));
    assert_text(desk_look(&scene->one, "beta/1")->waits_at, "g");
    assert_text(desk_peek(&scene->one, "beta/1")->waits_at, "");
}

static void a_cancelled_job_is_not_granted_but_may_be_sealed(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(desk_cancel(&scene->two, "acme/1"), LEDGER_OK);
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p1")->verdict, LEDGER_CANCELLED);
    assert_int_equal(world_used(scene->world, "g"), 0);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "", "cancelled"), LEDGER_OK);
}

static void the_owner_of_a_cancelled_job_is_told_and_so_is_its_adopter(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    assert_int_equal(desk_cancel(&scene->two, "acme/1"), LEDGER_OK);
    world_wait(scene->world, &scene->one.has_cancelled);
    assert_text(scene->one.cancelled, "acme/1");
    world_wait(scene->world, &scene->two.has_cancelled); /* it has none of it, as far as the ledger knows */
    scene->two.has_cancelled = false;
    scene_lapse(scene, &scene->one);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->verdict, LEDGER_ADOPT);
    (void)desk_extend(&scene->two, "p1", 600000);
    world_wait(scene->world, &scene->two.has_cancelled);
    assert_text(scene->two.cancelled, "acme/1");
}

static void a_cancel_is_told_until_its_claim_shows_that_it_was_heard(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    assert_int_equal(desk_cancel(&scene->two, "acme/1"), LEDGER_OK);
    for (int i = 0; i < 2; i++) {
        scene->one.has_cancelled = false;
        desk_pulse(&scene->one);
        world_wait(scene->world, &scene->one.has_cancelled);
        assert_text(scene->one.cancelled, "acme/1");
    }
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "cancelled"), LEDGER_OK);
    world_sleep(scene->world, 100);
    int count = scene->one.cancelled_count;
    for (int i = 0; i < 3; i++)
        desk_pulse(&scene->one);
    world_sleep(scene->world, 100);
    assert_int_equal(scene->one.cancelled_count, count);
}

/* It may wait in anybody's queue: they need not wait for its turn to hear. */
static void a_cancel_of_a_job_that_nobody_runs_is_told_to_everybody(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(desk_cancel(&scene->two, "acme/1"), LEDGER_OK);
    world_wait(scene->world, &scene->one.has_cancelled);
    world_wait(scene->world, &scene->two.has_cancelled);
    assert_text(scene->one.cancelled, "acme/1");
    scene->one.has_cancelled = false;
    desk_park(&scene->one, "", "acme/2", 1);
    assert_int_equal(desk_cancel(&scene->two, "acme/2"), LEDGER_OK);
    world_wait(scene->world, &scene->one.has_cancelled);
    assert_text(scene->one.cancelled, "acme/2");
}

/* ---- limits ---- */

static void each_kind_of_limit_denies_in_its_order(void **state)
{
    struct scene *scene = *state;
    struct ledger_limit limits[] = {{"s:x", 1}, {"n:acme", 1}, {"t:big", 1}, {"c:batch", 1}, {"g", 1}};
    assert_int_equal(scene_ask_limits(&scene->one, "acme/1", "acme", limits, 5)->verdict, LEDGER_GRANTED);
    char job[32];
    for (size_t i = 0; i < ARRAY_LENGTH(limits); i++) {
        snprintf(job, sizeof job, "acme/next-%zu", i);
        const struct ledger_acquired *answer = scene_ask_limits(&scene->two, job, "acme", limits, 5);
        assert_int_equal(answer->verdict, LEDGER_DENIED);
        assert_text(answer->limit, limits[i].name);
        assert_int_equal(answer->used, 1);
        assert_int_equal(answer->max, 1);
        assert_true(answer->retry_ms > 0);
        limits[i].max = 2;
    }
    assert_int_equal(scene_ask_limits(&scene->two, job, "acme", limits, 5)->verdict, LEDGER_GRANTED);
    for (size_t i = 0; i < ARRAY_LENGTH(limits); i++)
        assert_int_equal(world_used(scene->world, limits[i].name), 2);
}

static void an_ended_permit_makes_room(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit limits[] = {{"n:acme", 9}, {"g", 1}};
    (void)scene_ask_limits(&scene->one, "acme/1", "acme", limits, 2);
    assert_int_equal(scene_ask_limits(&scene->two, "acme/2", "acme", limits, 2)->verdict, LEDGER_DENIED);
    world_end_permit(scene->world, "permit-of-acme/1");
    assert_int_equal(scene_ask_limits(&scene->two, "acme/2", "acme", limits, 2)->verdict, LEDGER_GRANTED);
    assert_int_equal(world_used(scene->world, "g"), 1);
    assert_int_equal(world_used(scene->world, "n:acme"), 1);
}

static void an_operators_limit_replaces_the_callers_and_a_cut_lowers_both(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit limits[] = {{"n:acme", 9}, {"g", 1}};
    assert_int_equal(desk_limit_set(&scene->two, "g", 3), LEDGER_OK);
    (void)scene_ask_limits(&scene->one, "acme/1", "acme", limits, 2);
    assert_int_equal(scene_ask_limits(&scene->one, "acme/2", "acme", limits, 2)->verdict, LEDGER_GRANTED);
    ledger_cut(scene->two.ledger, "g", 2, 60000);
    desk_flush(&scene->two);
    const struct ledger_acquired *answer = scene_ask_limits(&scene->one, "acme/3", "acme", limits, 2);
    assert_int_equal(answer->verdict, LEDGER_DENIED);
    assert_int_equal(answer->max, 2);
    ledger_cut(scene->two.ledger, "g", 2, -60000);
    desk_flush(&scene->two);
    assert_int_equal(scene_ask_limits(&scene->one, "acme/3", "acme", limits, 2)->verdict, LEDGER_GRANTED);
    assert_int_equal(desk_limit_set(&scene->two, "g", 0), LEDGER_OK);
    assert_int_equal(scene_ask_limits(&scene->one, "acme/4", "acme", limits, 2)->verdict, LEDGER_DENIED);
    assert_int_equal(desk_limit_set(&scene->two, "g", -1), LEDGER_OK);
    answer = scene_ask_limits(&scene->one, "acme/4", "acme", limits, 2);
    assert_int_equal(answer->verdict, LEDGER_DENIED);
    assert_int_equal(answer->max, 1);
}

static void places_of_a_class_are_kept_for_it_and_its_rivals_do_not_block_it(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit batch[] = {{"n:a", 9}, {"c:batch", 9}, {"g", 3}, {"r:live", 1}};
    const struct ledger_limit live[] = {{"n:b", 9}, {"c:live", 9}, {"g", 3}, {"r:live", 1}};
    assert_int_equal(scene_ask_limits(&scene->one, "a/1", "a", batch, 4)->verdict, LEDGER_GRANTED);
    assert_int_equal(scene_ask_limits(&scene->one, "a/2", "a", batch, 4)->verdict, LEDGER_GRANTED);
    const struct ledger_acquired *answer = scene_ask_limits(&scene->one, "a/3", "a", batch, 4);
    assert_int_equal(answer->verdict, LEDGER_DENIED);
    assert_text(answer->limit, "g");
    assert_int_equal(answer->max, 2);
    /* A waiter of the kept-out class with the better rank (tenant c holds nothing) stands in the queue. */
    const struct ledger_limit waiter[] = {{"n:c", 9}, {"c:batch", 9}, {"g", 3}, {"r:live", 1}};
    assert_int_equal(scene_ask_limits(&scene->two, "c/1", "c", waiter, 4)->verdict, LEDGER_DENIED);
    assert_int_equal(scene_ask_limits(&scene->two, "b/1", "b", live, 4)->verdict, LEDGER_GRANTED);
    assert_int_equal(scene_ask_limits(&scene->two, "b/2", "b", live, 4)->verdict, LEDGER_DENIED);
}

static void waiters_are_served_by_rank(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit rich[] = {{"n:rich", 9}, {"g", 2}}, poor[] = {{"n:poor", 9}, {"g", 2}};
    (void)scene_ask_limits(&scene->one, "rich/1", "rich", rich, 2);
    (void)scene_ask_limits(&scene->one, "rich/2", "rich", rich, 2);
    assert_int_equal(scene_ask_limits(&scene->one, "rich/3", "rich", rich, 2)->verdict, LEDGER_DENIED);
    assert_int_equal(scene_ask_limits(&scene->two, "poor/1", "poor", poor, 2)->verdict, LEDGER_DENIED);
    desk_release(&scene->one, "permit-of-rich/1", "rich/1", BOTH);
    assert_int_equal(scene_ask_limits(&scene->one, "rich/3", "rich", rich, 2)->verdict, LEDGER_DENIED);
    assert_int_equal(scene_ask_limits(&scene->two, "poor/1", "poor", poor, 2)->verdict, LEDGER_GRANTED);
}

/* What is said in one turn of the loop arrives, all of it, and of what is another's nothing. */
static void dones_and_releases_of_one_turn_arrive(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit limits[] = {{"g", 9}};
    static const char *const jobs[] = {"a/1", "a/2", "a/3"};
    for (size_t i = 0; i < ARRAY_LENGTH(jobs); i++)
        assert_int_equal(scene_ask_limits(&scene->one, jobs[i], "a", limits, 1)->verdict, LEDGER_GRANTED);
    assert_int_equal(scene_ask_limits(&scene->two, "b/1", "b", limits, 1)->verdict, LEDGER_GRANTED);
    struct ledger *ledger = scene->one.ledger;
    ledger_release(ledger, "permit-of-a/1", NULL, LEDGER_RELEASE_PERMIT);
    ledger_done(ledger, "a/1", "succeeded", 0, 7, 60000);
    ledger_release(ledger, "permit-of-b/1", NULL, LEDGER_RELEASE_PERMIT);
    ledger_release(ledger, "permit-of-a/3", NULL, LEDGER_RELEASE_PERMIT);
    ledger_done(ledger, "a/2", "failed", 1, 8, 60000);
    assert_in_range(ledger_background_count(ledger), 2, 5);
    ledger_release(ledger, "permit-of-a/2", "a/2",
                   BOTH); /* comes after the done, and changes nothing of it */
    world_sleep(scene->world, 20);
    assert_int_equal(ledger_background_count(ledger), 0);
    desk_snapshot(&scene->two);
    assert_int_equal(desk_usage(&scene->two, "g")->used, 1); /* b's */
    const struct ledger_acquired *answer = scene_ask_limits(&scene->two, "a/1", "a", limits, 1);
    assert_int_equal(answer->verdict, LEDGER_DONE);
    assert_int_equal(answer->offset, 7);
    answer = scene_ask_limits(&scene->two, "a/2", "a", limits, 1);
    assert_int_equal(answer->verdict, LEDGER_DONE);
    assert_text(answer->status, "failed");
    assert_int_equal(answer->offset, 8);
}

struct asking {
    struct ledger_call call;
    size_t *left;
    enum ledger_verdict verdict;
    enum ledger_answer answer;
};

static void on_verdict(struct ledger_call *call, const struct error *error,
                       const struct ledger_acquired *answer)
{
    struct asking *asking = call->arg;
    assert_null(error);
    asking->verdict = answer->verdict;
    --*asking->left;
}

static void on_answer(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct asking *asking = call->arg;
    assert_null(error);
    asking->answer = answer;
    --*asking->left;
}

/* More than one command takes, and of all sorts: in the order in which they were asked, each has its own
 * answer. */
static void what_is_asked_in_one_turn_has_each_its_own_answer(void **state)
{
    enum { MANY = 40, PLACES = 30, DONE = 3, OTHERS = 5 };
    struct scene *scene = *state;
    struct ledger *ledger = scene->one.ledger;
    const struct ledger_limit limit = {"g", PLACES};
    struct asking all[MANY] = {0};
    char jobs[MANY][16];
    size_t left = MANY;
    for (size_t i = 0; i < MANY; i++) {
        snprintf(jobs[i], sizeof jobs[i], "a/%zu", i);
        all[i].call.arg = &all[i];
        all[i].left = &left;
    }
    desk_done(&scene->two, jobs[DONE]);
    assert_int_equal(scene_ask_limits(&scene->two, jobs[OTHERS], "a", &limit, 1)->verdict, LEDGER_GRANTED);
    for (size_t i = 0; i < MANY; i++) {
        struct ledger_acquire wish = desk_wish(jobs[i], jobs[i]);
        wish.limits = &limit;
        wish.limit_count = i == DONE ? 0 : 1;
        ledger_acquire(ledger, &all[i].call, &wish, on_verdict);
    }
    world_wait_none(scene->world, &left);
    for (size_t i = 0; i < MANY; i++) {
        bool is_in_time = i < PLACES + 1; /* one is done, one has the other's place */
        assert_int_equal(all[i].verdict, i == DONE     ? LEDGER_DONE
                                         : i == OTHERS ? LEDGER_ELSEWHERE
                                         : is_in_time  ? LEDGER_GRANTED
                                                       : LEDGER_DENIED);
    }
    left = PLACES + 1;
    for (size_t i = 0; i < PLACES + 1; i++) {
        const struct ledger_bind bind = {.job = jobs[i],
                                         .permit = jobs[i],
                                         .sandbox = "s",
                                         .mode = "process",
                                         .plan = "",
                                         .horizon_ms = 60000,
                                         .until_ms = 60000,
                                         .run_until_ms = 60000};
        ledger_bind(ledger, &all[i].call, &bind, on_answer);
    }
    world_wait_none(scene->world, &left);
    for (size_t i = 0; i < PLACES + 1; i++)
        assert_int_equal(all[i].answer, i == DONE || i == OTHERS ? LEDGER_SUPERSEDED : LEDGER_OK);
    struct ledger_acquire wish = desk_wish("", "");
    left = PLACES + 1;
    for (size_t i = 0; i < PLACES + 1; i++) {
        const struct ledger_seal seal = {.job = jobs[i],
                                         .permit = jobs[i],
                                         .payload = wish.payload,
                                         .origin = wish.origin,
                                         .status = "failed",
                                         .record = {jobs[i], strlen(jobs[i])},
                                         .until_ms = 60000,
                                         .place = ""};
        ledger_seal(ledger, &all[i].call, &seal, on_answer);
    }
    world_wait_none(scene->world, &left);
    for (size_t i = 0; i < PLACES + 1; i++)
        assert_int_equal(all[i].answer, i == DONE     ? LEDGER_SEAL_DONE
                                        : i == OTHERS ? LEDGER_SUPERSEDED
                                                      : LEDGER_OK);
}

/* What is asked and said of one permit stays in its order, whatever goes together with what. */
static void one_permits_operations_keep_their_order_within_a_turn(void **state)
{
    struct scene *scene = *state;
    struct ledger *ledger = scene->one.ledger;
    size_t left = 2;
    struct asking all[3] = {0};
    for (size_t i = 0; i < ARRAY_LENGTH(all); i++) {
        all[i].call.arg = &all[i];
        all[i].left = &left;
    }
    /* A grant that is given back at once; a place that is given back, and taken by the next. */
    const struct ledger_limit limit = {"g", 1};
    struct ledger_acquire wish = desk_wish("a/1", "p1"), next = desk_wish("a/2", "p2");
    wish.limits = next.limits = &limit;
    wish.limit_count = next.limit_count = 1;
    ledger_acquire(ledger, &all[0].call, &wish, on_verdict);
    ledger_release(ledger, "p1", NULL, LEDGER_RELEASE_PERMIT);
    ledger_acquire(ledger, &all[1].call, &next, on_verdict);
    world_wait_none(scene->world, &left);
    assert_int_equal(all[0].verdict, LEDGER_GRANTED);
    assert_int_equal(all[1].verdict, LEDGER_GRANTED);
    assert_false(world_has_permit(scene->world, "p1"));
    assert_true(world_has_permit(scene->world, "p2"));
    /* A verdict that is sealed and left to whoever comes. */
    const struct ledger_seal seal = {.job = "a/2",
                                     .permit = "p2",
                                     .payload = wish.payload,
                                     .origin = wish.origin,
                                     .status = "failed",
                                     .record = {"verdict", 7},
                                     .until_ms = 60000,
                                     .place = ""};
    left = 1;
    ledger_seal(ledger, &all[2].call, &seal, on_answer);
    ledger_leave_sealed(ledger, "a/2", 60000);
    world_wait_none(scene->world, &left);
    assert_int_equal(all[2].answer, LEDGER_OK);
    desk_flush(&scene->one);
    assert_int_equal(desk_ask(&scene->two, "a/2", "p3")->verdict, LEDGER_SEALED);
}

/* A free place is one waiter's: by rank, wherever it waits. Whoever asks for it out of turn tells that one
 * again. */
static void who_comes_first_is_told(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit rich[] = {{"n:rich", 9}, {"g", 3}}, poor[] = {{"n:poor", 9}, {"g", 3}};
    const struct ledger_limit modest[] = {{"n:modest", 9}, {"g", 3}};
    struct desk *one = &scene->one, *two = &scene->two;
    world_sleep(scene->world, 50); /* hints begin once they are subscribed */
    (void)scene_ask_limits(one, "rich/1", "rich", rich, 2);
    (void)scene_ask_limits(one, "rich/2", "rich", rich, 2);
    (void)scene_ask_limits(one, "modest/1", "modest", modest, 2);
    (void)scene_ask_limits(one, "modest/2", "modest", modest, 2);
    (void)scene_ask_limits(two, "poor/1", "poor", poor, 2);
    (void)scene_ask_limits(one, "rich/3", "rich", rich, 2);
    world_sleep(scene->world, 50);
    assert_text(two->turns, ""); /* there is no room */
    desk_release(one, "permit-of-rich/1", "rich/1", BOTH);
    world_wait(scene->world, &two->has_turn);
    assert_text(two->turns, "g>poor "); /* it holds nothing, modest one */
    two->has_turn = false;
    const struct ledger_acquired *answer = scene_ask_limits(one, "rich/3", "rich", rich, 2);
    assert_int_equal(answer->verdict, LEDGER_DENIED);
    assert_text(answer->limit, "g");
    world_sleep(scene->world, 20);
    assert_text(two->turns, "g>poor "); /* it was on its way */
    assert_int_equal(scene_ask_limits(two, "poor/1", "poor", poor, 2)->verdict, LEDGER_GRANTED);
    world_sleep(scene->world, 20);
    assert_text(one->turns, "");
    assert_text(two->turns, "g>poor ");
}

/* It was cancelled, or waits at another limit, or its worker is full: until it asks again others come before
 * it. */
static void who_is_told_and_does_not_come_loses_its_turn(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit a[] = {{"n:a", 9}, {"g", 1}}, b[] = {{"n:b", 9}, {"g", 1}},
                              h[] = {{"n:h", 9}, {"g", 1}};
    struct desk *one = &scene->one, *two = &scene->two;
    world_sleep(scene->world, 50); /* hints begin once they are subscribed */
    (void)scene_ask_limits(one, "h/1", "h", h, 2);
    (void)scene_ask_limits(one, "a/1", "a", a, 2);
    world_sleep(scene->world, 5);
    (void)scene_ask_limits(two, "b/1", "b", b, 2);
    desk_release(one, "permit-of-h/1", "h/1", BOTH);
    world_wait(scene->world, &one->has_turn);
    assert_text(one->turns, "g>a ");
    world_sleep(scene->world, 150);
    assert_int_equal(scene_ask_limits(two, "b/1", "b", b, 2)->verdict, LEDGER_GRANTED);
}

/* As many are told as there are places, whether these are given back one by one or found by who was told. */
static void every_free_place_is_told_to_another(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit a[] = {{"n:a", 9}, {"g", 2}}, b[] = {{"n:b", 9}, {"g", 2}};
    const struct ledger_limit c[] = {{"n:c", 9}, {"g", 2}}, h[] = {{"n:h", 9}, {"g", 2}};
    struct desk *one = &scene->one, *two = &scene->two;
    world_sleep(scene->world, 50); /* hints begin once they are subscribed */
    (void)scene_ask_limits(one, "h/1", "h", h, 2);
    (void)scene_ask_limits(one, "h/2", "h", h, 2);
    (void)scene_ask_limits(one, "a/1", "a", a, 2);
    world_sleep(scene->world, 5);
    (void)scene_ask_limits(two, "a/2", "a", a, 2);
    world_sleep(scene->world, 5);
    (void)scene_ask_limits(two, "b/1", "b", b, 2);
    world_sleep(scene->world, 5);
    (void)scene_ask_limits(two, "c/1", "c", c, 2);
    desk_release(one, "permit-of-h/1", "h/1", BOTH);
    desk_release(one, "permit-of-h/2", "h/2", BOTH);
    world_wait(scene->world, &two->has_turn);
    assert_text(one->turns, "g>a ");
    assert_text(two->turns, "g>b "); /* "a" counts as if it had its place */
    assert_int_equal(scene_ask_limits(one, "a/1", "a", a, 2)->verdict, LEDGER_GRANTED);
    world_wait(scene->world, &two->has_turn);
    world_sleep(scene->world, 20);
    assert_text(two->turns, "g>b g>c "); /* a place is left, and "b" has been told */
    assert_int_equal(scene_ask_limits(two, "b/1", "b", b, 2)->verdict, LEDGER_GRANTED);
}

/* The place that a class kept for itself was taken from none of the others. */
static void a_kept_place_that_is_taken_leaves_the_others(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit batch[] = {{"n:b", 9}, {"c:batch", 9}, {"g", 2}, {"r:live", 1}};
    const struct ledger_limit live[] = {{"n:l", 9}, {"c:live", 9}, {"g", 2}, {"r:live", 1}};
    const struct ledger_limit hold[] = {{"n:h", 9}, {"g", 2}};
    struct desk *one = &scene->one, *two = &scene->two;
    world_sleep(scene->world, 50); /* hints begin once they are subscribed */
    (void)scene_ask_limits(one, "h/1", "h", hold, 2);
    (void)scene_ask_limits(one, "h/2", "h", hold, 2);
    assert_int_equal(scene_ask_limits(one, "l/1", "l", live, 4)->verdict, LEDGER_DENIED);
    world_sleep(scene->world, 5);
    assert_int_equal(scene_ask_limits(two, "b/1", "b", batch, 4)->verdict, LEDGER_DENIED);
    assert_int_equal(desk_limit_set(one, "g", 4),
                     LEDGER_OK); /* two places at once, of which nobody is told */
    assert_int_equal(scene_ask_limits(one, "l/1", "l", live, 4)->verdict, LEDGER_GRANTED);
    world_wait(scene->world, &two->has_turn);
    assert_text(two->turns, "g>b ");
    assert_int_equal(scene_ask_limits(two, "b/1", "b", batch, 4)->verdict, LEDGER_GRANTED);
}

/* Who is first by rank may have no right to the last places: then it tells whoever has. */
static void a_place_kept_for_a_class_is_told_to_that_class(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit batch[] = {{"n:b", 9}, {"c:batch", 9}, {"g", 1}, {"r:interactive", 1}};
    const struct ledger_limit interactive[] = {
        {"n:i", 9}, {"c:interactive", 9}, {"g", 1}, {"r:interactive", 1}};
    struct desk *one = &scene->one, *two = &scene->two;
    world_sleep(scene->world, 50); /* hints begin once they are subscribed */
    assert_int_equal(scene_ask_limits(two, "i/1", "i", interactive, 4)->verdict, LEDGER_GRANTED);
    assert_int_equal(scene_ask_limits(one, "b/1", "b", batch, 4)->verdict, LEDGER_DENIED);
    world_sleep(scene->world, 20);
    assert_int_equal(scene_ask_limits(two, "i/2", "i", interactive, 4)->verdict, LEDGER_DENIED);
    desk_release(two, "permit-of-i/1", "i/1", BOTH);
    world_wait(scene->world, &one->has_turn);
    assert_text(one->turns, "g>b ");
    assert_int_equal(scene_ask_limits(one, "b/1", "b", batch, 4)->verdict, LEDGER_DENIED);
    world_wait(scene->world, &two->has_turn);
    assert_text(two->turns, "g>i ");
    assert_int_equal(scene_ask_limits(two, "i/2", "i", interactive, 4)->verdict, LEDGER_GRANTED);
}

/* Or those who wait at one limit keep each other from another, with all places free. */
static void a_wait_counts_from_its_beginning_at_every_limit(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit shape[] = {{"n:h", 9}, {"t:x", 1}}, place[] = {{"n:k", 9}, {"g", 1}};
    const struct ledger_limit both[] = {{"n:a", 9}, {"t:x", 1}, {"g", 1}}, late[] = {{"n:b", 9}, {"g", 1}};
    assert_int_equal(scene_ask_limits(&scene->one, "h/1", "h", shape, 2)->verdict, LEDGER_GRANTED);
    assert_int_equal(scene_ask_limits(&scene->one, "k/1", "k", place, 2)->verdict, LEDGER_GRANTED);
    const struct ledger_acquired *answer = scene_ask_limits(&scene->one, "a/1", "a", both, 3);
    assert_int_equal(answer->verdict, LEDGER_DENIED);
    assert_text(answer->limit, "t:x");
    world_sleep(scene->world, 20);
    assert_int_equal(scene_ask_limits(&scene->two, "b/1", "b", late, 2)->verdict, LEDGER_DENIED);
    desk_release(&scene->one, "permit-of-h/1", "h/1", BOTH);
    desk_release(&scene->one, "permit-of-k/1", "k/1", BOTH);
    assert_int_equal(scene_ask_limits(&scene->one, "a/1", "a", both, 3)->verdict, LEDGER_GRANTED);
}

static void a_wait_that_nobody_kept_up_is_not_inherited(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit hold[] = {{"n:h", 9}, {"g", 1}}, mine[] = {{"n:a", 9}, {"g", 1}};
    const struct ledger_limit late[] = {{"n:b", 9}, {"g", 1}};
    assert_int_equal(scene_ask_limits(&scene->one, "h/1", "h", hold, 2)->verdict, LEDGER_GRANTED);
    assert_int_equal(scene_ask_limits(&scene->one, "a/1", "a", mine, 2)->verdict, LEDGER_DENIED);
    for (int i = 0; i < 8; i++) { /* it never asks again; b keeps asking, and finds no place */
        world_sleep(scene->world, 500);
        assert_int_equal(scene_ask_limits(&scene->two, "b/1", "b", late, 2)->verdict, LEDGER_DENIED);
    }
    assert_int_equal(scene_ask_limits(&scene->one, "a/2", "a", mine, 2)->verdict, LEDGER_DENIED);
    desk_release(&scene->one, "permit-of-h/1", "h/1", BOTH);
    assert_int_equal(scene_ask_limits(&scene->one, "a/2", "a", mine, 2)->verdict, LEDGER_DENIED);
    assert_int_equal(scene_ask_limits(&scene->two, "b/1", "b", late, 2)->verdict, LEDGER_GRANTED);
}

static void two_workers_that_race_for_one_place_get_half_each(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit limits[] = {{"n:acme", 99}, {"g", 1}};
    struct desk *desks[] = {&scene->one, &scene->two};
    char jobs[2][32] = {"", ""};
    int grants[2] = {0, 0}, number = 0, holder = -1;
    while (grants[0] + grants[1] < 2000) {
        /* The holder frees its place and asks again in the same turn; the other one asks after it. */
        int first = holder < 0 ? 0 : holder;
        if (holder >= 0) {
            char permit[64];
            snprintf(permit, sizeof permit, "permit-of-%s", jobs[holder]);
            ledger_release(desks[holder]->ledger, permit, jobs[holder], BOTH);
        }
        int asking = first;
        holder = -1;
        for (int i = 0; i < 2; i++, asking = 1 - asking) {
            char job[32];
            snprintf(job, sizeof job, "acme/%d", ++number);
            if (scene_ask_limits(desks[asking], job, "acme", limits, 2)->verdict != LEDGER_GRANTED)
                continue;
            assert_int_equal(holder, -1);
            holder = asking;
            grants[asking]++;
            snprintf(jobs[asking], sizeof jobs[asking], "%s", job);
        }
        assert_true(holder >= 0);
    }
    assert_in_range(grants[0], 900, 1100);
}

static void the_create_bucket_books_for_a_second_and_then_denies(void **state)
{
    struct scene *scene = *state;
    char job[32], permit[32];
    int64_t last_wait_ms = -1;
    int granted = 0;
    for (int i = 0; i < 12; i++) {
        snprintf(job, sizeof job, "acme/%d", i);
        snprintf(permit, sizeof permit, "p%d", i);
        struct ledger_acquire wish = desk_wish(job, permit);
        wish.create_milli_per_s = 5000;
        wish.create_burst = 2;
        const struct ledger_acquired *answer = desk_acquire(i % 2 ? &scene->one : &scene->two, &wish);
        if (answer->verdict == LEDGER_DENIED) {
            assert_text(answer->limit, "rate");
            assert_true(answer->retry_ms > 0);
            break;
        }
        assert_int_equal(answer->verdict, LEDGER_GRANTED);
        assert_true(answer->wait_ms >= last_wait_ms && answer->wait_ms <= 1000);
        if (i < 2)
            assert_int_equal(answer->wait_ms, 0);
        last_wait_ms = answer->wait_ms;
        granted++;
    }
    assert_in_range(granted, 6, 9);
    assert_int_equal(world_used(scene->world, "g"), granted);
}

/* ---- hints and numbers ---- */

static void awaited_ends_and_new_limits_are_announced(void **state)
{
    struct scene *scene = *state;
    world_sleep(scene->world, 50); /* hints begin once they are subscribed */
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_ask(&scene->one, "acme/2", "p2");
    (void)desk_ask(&scene->two, "acme/1", "p3"); /* watches */
    (void)desk_seal(&scene->one, "acme/1", "p1", "r");
    (void)desk_seal(&scene->one, "acme/2", "p2", "r");
    (void)desk_limit_set(&scene->one, "n:acme", 7);
    world_wait(scene->world, &scene->two.has_free);
    assert_text(scene->two.freed, "n:acme");
    desk_done(&scene->one, "acme/2");
    desk_done(&scene->one, "acme/1");
    world_wait(scene->world, &scene->two.has_done);
    assert_text(scene->two.done, "acme/1");
    assert_int_equal(scene->two.done_count, 1);
}

static void a_snapshot_shows_usage_and_waiters(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit limits[] = {{"n:acme", 9}, {"g", 1}};
    desk_snapshot(&scene->one);
    assert_int_equal(scene->one.usage_count, 0);
    (void)scene_ask_limits(&scene->one, "acme/1", "acme", limits, 2);
    (void)scene_ask_limits(&scene->two, "acme/2", "acme", limits, 2);
    (void)desk_limit_set(&scene->one, "t:never", 7);
    desk_snapshot(&scene->one);
    assert_int_equal(scene->one.usage_count, 3);
    const struct ledger_usage *usage = desk_usage(&scene->one, "g");
    assert_non_null(usage);
    assert_int_equal(usage->used, 1);
    assert_int_equal(usage->max, -1);
    assert_int_equal(usage->waiters, 1);
    assert_in_range(usage->oldest_ms, 0, 10000);
    usage = desk_usage(&scene->one, "t:never");
    assert_non_null(usage);
    assert_int_equal(usage->used, 0);
    assert_int_equal(usage->max, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCENE(a_lease_is_valid_once_a_pulse_was_answered),
        IN_SCENE(closing_gives_the_lease_back_and_sends_what_is_left),
        IN_SCENE(a_cancelled_call_stays_silent),
        IN_SCENE(a_grant_is_given_again_when_its_answer_was_lost),
        IN_SCENE(a_grant_asked_again_after_its_permit_ended_is_a_new_one_of_the_same_attempt),
        IN_SCENE(a_running_job_is_elsewhere_for_everybody),
        IN_SCENE(a_refused_create_gives_both_back_and_counts_as_told),
        IN_SCENE(a_create_in_doubt_keeps_its_permit_while_the_next_attempt_runs),
        IN_SCENE(a_permit_is_extended_only_by_its_holder_and_only_while_it_exists),
        IN_SCENE(a_dead_workers_run_is_adopted_and_the_zombie_can_do_nothing),
        IN_SCENE(a_worker_that_lapsed_is_told_what_it_lost),
        IN_SCENE(a_claim_that_its_living_owner_forgot_is_taken_after_its_end),
        IN_SCENE(its_own_owner_may_take_it_too),
        IN_SCENE(an_adopter_gets_the_permits_name_even_when_the_permit_is_gone),
        IN_SCENE(nobody_is_taken_over_after_the_ledger_was_lost_for_one_lease),
        IN_SCENE(a_verdict_is_sealed_once),
        IN_SCENE(a_dead_workers_sealed_bytes_are_handed_to_who_asks),
        IN_SCENE(a_job_that_never_ran_is_sealed_without_a_permit),
        IN_SCENE(done_ends_a_claim_in_any_state_and_marks_an_unknown_job),
        IN_SCENE(another_payload_under_the_same_id_is_a_conflict_in_every_state),
        IN_SCENE(an_older_copy_of_a_parked_job_is_stale),
        IN_SCENE(a_job_is_parked_by_whoever_has_no_claim_on_it),
        IN_SCENE(a_copy_that_waits_on_learns_that_it_need_not),
        IN_SCENE(a_cancelled_job_is_not_granted_but_may_be_sealed),
        IN_SCENE(the_owner_of_a_cancelled_job_is_told_and_so_is_its_adopter),
        IN_SCENE(a_cancel_is_told_until_its_claim_shows_that_it_was_heard),
        IN_SCENE(a_cancel_of_a_job_that_nobody_runs_is_told_to_everybody),
        IN_SCENE(each_kind_of_limit_denies_in_its_order),
        IN_SCENE(an_ended_permit_makes_room),
        IN_SCENE(an_operators_limit_replaces_the_callers_and_a_cut_lowers_both),
        IN_SCENE(places_of_a_class_are_kept_for_it_and_its_rivals_do_not_block_it),
        IN_SCENE(waiters_are_served_by_rank),
        IN_SCENE(who_comes_first_is_told),
        IN_SCENE(who_is_told_and_does_not_come_loses_its_turn),
        IN_SCENE(every_free_place_is_told_to_another),
        IN_SCENE(a_kept_place_that_is_taken_leaves_the_others),
        IN_SCENE(a_place_kept_for_a_class_is_told_to_that_class),
        IN_SCENE(dones_and_releases_of_one_turn_arrive),
        IN_SCENE(what_is_asked_in_one_turn_has_each_its_own_answer),
        IN_SCENE(one_permits_operations_keep_their_order_within_a_turn),
        IN_SCENE(a_wait_counts_from_its_beginning_at_every_limit),
        IN_SCENE(a_wait_that_nobody_kept_up_is_not_inherited),
        IN_SCENE(two_workers_that_race_for_one_place_get_half_each),
        IN_SCENE(the_create_bucket_books_for_a_second_and_then_denies),
        IN_SCENE(awaited_ends_and_new_limits_are_announced),
        IN_SCENE(a_snapshot_shows_usage_and_waiters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
