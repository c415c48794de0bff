/* The contract of redis/ledger.h where a job or a sandbox changes hands, or somebody from outside lays hands
 * on it: drain, adoption, retry hops, cancels, the reaper, an operator. */
#include "contract/scene.h"

#include <stdio.h>

/* ---- adoption and its crashes ---- */

static void a_run_that_goes_on_with_its_adopter_is_no_crash(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_bind(&scene->one, "acme/1", "p1");
    scene_lapse(scene, &scene->one);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->crashes, 1);
    assert_int_equal(desk_look(&scene->two, "acme/1")->crashes, 1); /* it may be the adopter whom it kills */
    for (int i = 0; i < 2; i++)                                     /* the answer may be lost */
        assert_int_equal(desk_adopt(&scene->two, "acme/1", "p1"), LEDGER_OK);
    assert_int_equal(desk_look(&scene->two, "acme/1")->crashes, 0);
    world_end_claim(scene->world, "acme/1");
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p3")->crashes, 1);
    assert_int_equal(desk_bind(&scene->one, "acme/1", "p1"), LEDGER_OK); /* not an adoption */
    assert_int_equal(desk_adopt(&scene->two, "acme/1", "p1"), LEDGER_SUPERSEDED_PERMIT);
    assert_int_equal(desk_look(&scene->two, "acme/1")->crashes, 1);
}

/* Only who asks for it says that nobody died of it: a follower's first bind does not. */
static void a_run_that_kills_its_followers_is_counted_each_time(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_bind(&scene->one, "acme/1", "p1");
    struct desk *desks[] = {&scene->one, &scene->two};
    for (int i = 0; i < 3; i++) {
        scene_lapse(scene, desks[i % 2]);
        assert_int_equal(desk_ask(desks[(i + 1) % 2], "acme/1", "p2")->crashes, i + 1);
        for (int n = 0; n < 2; n++) /* the answer may be lost */
            assert_int_equal(desk_bind(desks[(i + 1) % 2], "acme/1", "p1"), LEDGER_OK);
    }
    /* Handed over before it was followed for long: the next who does says it for both. */
    assert_int_equal(desk_yield(&scene->two, "acme/1", "p1"), LEDGER_OK);
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p3")->crashes, 3);
    assert_int_equal(desk_bind(&scene->one, "acme/1", "p1"), LEDGER_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(desk_adopt(&scene->one, "acme/1", "p1"), LEDGER_OK);
    assert_int_equal(desk_look(&scene->one, "acme/1")->crashes, 2);
}

static void a_take_over_of_a_take_over_counts_both_that_died(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_bind(&scene->one, "acme/1", "p1");
    scene_lapse(scene, &scene->one);
    (void)desk_ask(&scene->two, "acme/1", "p2");
    assert_int_equal(desk_bind(&scene->two, "acme/1", "p1"), LEDGER_OK); /* it does not go on yet */
    scene_lapse(scene, &scene->two);
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p3")->crashes, 2);
    assert_int_equal(desk_adopt(&scene->one, "acme/1", "p1"), LEDGER_OK);
    assert_int_equal(desk_look(&scene->one, "acme/1")->crashes, 1); /* the second one had not adopted it */
    desk_release(&scene->one, "p1", "acme/1", BOTH);
    const struct ledger_acquired *answer = desk_ask(&scene->two, "acme/1", "p4");
    assert_int_equal(answer->verdict, LEDGER_GRANTED);
    assert_int_equal(answer->crashes, 1);
    assert_int_equal(desk_adopt(&scene->two, "acme/1", "p4"),
                     LEDGER_OK); /* nothing was counted for this one */
    assert_int_equal(desk_look(&scene->two, "acme/1")->crashes, 1);
}

/* Its answer was lost, or whoever had it went before a byte was followed: no job harms by that. */
static void a_take_over_that_nobody_used_counts_no_more_than_its_own_crash(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_bind(&scene->one, "acme/1", "p1");
    scene_lapse(scene, &scene->one);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->crashes, 1);
    world_end_claim(scene->world, "acme/1");
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p3")->crashes, 1); /* by its owner */
    scene_lapse(scene, &scene->two);
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p4")->crashes, 1);
    assert_int_equal(desk_adopt(&scene->one, "acme/1", "p1"), LEDGER_OK);
    assert_int_equal(desk_look(&scene->one, "acme/1")->crashes, 0);
    scene_lapse(scene, &scene->one);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p5")->crashes, 1);
    scene_lapse(scene, &scene->two);
    world_end_claim(scene->world, "acme/1");
    assert_int_equal(desk_condemn(&scene->one, "p1"), LEDGER_OK);
    assert_int_equal(desk_look(&scene->one, "acme/1")->crashes, 1);
}

/* Whoever asks lives. */
static void a_claim_that_its_asker_forgot_is_no_crash(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    world_end_claim(scene->world, "acme/1");
    const struct ledger_acquired *answer = desk_ask(&scene->one, "acme/1", "p2");
    assert_int_equal(answer->verdict, LEDGER_ADOPT);
    assert_int_equal(answer->crashes, 0);
}

static void a_found_run_that_was_let_go_is_the_next_ones(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_bind(&scene->one, "acme/1", "p1");
    scene_lapse(scene, &scene->one);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->verdict, LEDGER_ADOPT);
    ledger_let_go(scene->two.ledger, "p1");
    scene_lapse(scene, &scene->two);
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p3")->verdict, LEDGER_ADOPT);
    desk_pulse(&scene->two); /* it lapsed, and asks whose its permits are */
    desk_pulse(&scene->two);
    assert_int_equal(scene->two.lost_count, 0);
    assert_true(ledger_lease_is_valid(scene->two.ledger));
}

/* ---- what nobody comes back for ---- */

enum { DAY_MS = 24 * 3600 * 1000 };

/* A worker was killed when the record was delivered and its offset finished, and Redis was not told. */
static void a_claim_that_nobody_comes_back_for_is_forgotten_within_a_week(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_ask(&scene->one, "acme/2", "p2");
    (void)desk_seal(&scene->one, "acme/2", "p2", "r");
    for (int i = 0; i < 2; i++) {
        CLEANUP(base_freep) char *job = base_printf("acme/%d", i + 1);
        world_age_claim(scene->world, job, 6 * DAY_MS);
        assert_text(desk_look(&scene->two, job)->state, i ? "sealed" : "running");
        world_age_claim(scene->world, job, DAY_MS);
        assert_text(desk_look(&scene->two, job)->state, "none");
    }
    (void)desk_ask(&scene->one, "acme/3", "p3"); /* whoever takes it over may need as long once more */
    world_age_claim(scene->world, "acme/3", 6 * DAY_MS);
    scene_lapse(scene, &scene->one);
    assert_int_equal(desk_ask(&scene->two, "acme/3", "p4")->verdict, LEDGER_ADOPT);
    world_age_claim(scene->world, "acme/3", 6 * DAY_MS);
    assert_text(desk_look(&scene->two, "acme/3")->state, "running");
}

static void sealed_bytes_are_kept_as_long_as_their_claim(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_seal(&scene->one, "acme/1", "p1", "the verdict");
    for (int i = 0; i < 2; i++) { /* taken over, they begin anew */
        struct desk *owner = i ? &scene->two : &scene->one, *other = i ? &scene->one : &scene->two;
        world_age_claim(scene->world, "acme/1", 6 * DAY_MS);
        scene_lapse(scene, owner);
        const struct ledger_acquired *answer = desk_ask(other, "acme/1", i ? "p3" : "p2");
        assert_int_equal(answer->verdict, LEDGER_SEALED);
        assert_int_equal(answer->record.length, strlen("the verdict"));
    }
}

/* ---- drain ---- */

static void a_yielded_run_is_adopted_at_once_and_is_no_crash(void **state)
{
    struct scene *scene = *state;
    world_sleep(scene->world, 50); /* hints begin once they are subscribed */
    scene_empty(scene);
    scene_open(scene); /* hold: nobody is taken over, but who wants to be is */
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_bind(&scene->one, "acme/1", "p1");
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->verdict, LEDGER_ELSEWHERE); /* watches */
    for (int i = 0; i < 2; i++) /* the answer may be lost */
        assert_int_equal(desk_yield(&scene->one, "acme/1", "p1"), LEDGER_OK);
    world_wait(scene->world, &scene->two.has_done); /* ... and is woken */
    assert_text(scene->two.done, "acme/1");
    desk_close(&scene->one);
    const struct ledger_acquired *answer = desk_ask(&scene->two, "acme/1", "p2");
    assert_int_equal(answer->verdict, LEDGER_ADOPT);
    assert_text(answer->permit, "p1");
    assert_text(answer->sandbox, "sandbox-1");
    assert_int_equal(answer->attempt, 1);
    assert_int_equal(answer->crashes, 0);
    assert_int_equal(desk_adopt(&scene->two, "acme/1", "p1"), LEDGER_OK);
    assert_int_equal(desk_look(&scene->two, "acme/1")->crashes, 0);
    assert_int_equal(desk_seal(&scene->two, "acme/1", "p1", "r"), LEDGER_OK);
    desk_release(&scene->two, "p1", NULL, LEDGER_RELEASE_PERMIT);
    assert_int_equal(world_used(scene->world, "g"), 0);
}

static void only_a_runs_owner_yields_it_and_nothing_is_made(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(desk_yield(&scene->one, "acme/1", "p1"), LEDGER_SUPERSEDED);
    assert_text(desk_look(&scene->one, "acme/1")->state, "none");
    (void)desk_ask(&scene->one, "acme/1", "p1");
    assert_int_equal(desk_yield(&scene->two, "acme/1", "p1"), LEDGER_SUPERSEDED_PERMIT);
    assert_int_equal(desk_yield(&scene->one, "acme/1", "p2"), LEDGER_SUPERSEDED);
    world_end_permit(scene->world, "p1");
    (void)desk_ask(&scene->two, "acme/2", "p3"); /* prunes */
    assert_int_equal(desk_yield(&scene->one, "acme/1", "p1"), LEDGER_SUPERSEDED);
    assert_false(world_has_permit(scene->world, "p1"));
    assert_text(desk_look(&scene->one, "acme/1")->owner, ledger_worker(scene->one.ledger));
    (void)desk_ask(&scene->one, "acme/3", "p4");
    (void)desk_seal(&scene->one, "acme/3", "p4", "r");
    assert_int_equal(desk_yield(&scene->one, "acme/3", "p4"), LEDGER_SUPERSEDED); /* sealed: publish it */
    assert_true(world_has_permit(scene->world, "p4"));
}

static void what_was_yielded_is_not_lost_by_the_one_who_yielded_it(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    assert_int_equal(desk_yield(&scene->one, "acme/1", "p1"), LEDGER_OK);
    scene_lapse(scene, &scene->one);
    desk_pulse(&scene->one);
    desk_pulse(&scene->one);
    assert_int_equal(scene->one.lost_count, 0);
}

/* ---- verdicts that are another's to publish ---- */

static void a_sealed_claim_says_in_whose_transaction_its_result_is(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    assert_int_equal(desk_seal_at(&scene->one, "acme/1", "p1", "r", "jobs/3/17"), LEDGER_OK);
    assert_int_equal(desk_seal_at(&scene->one, "acme/1", "p1", "r", "jobs/3/17"), LEDGER_OK);
    scene_lapse(scene, &scene->one);
    const struct ledger_acquired *answer = desk_ask(&scene->two, "acme/1", "p2");
    assert_int_equal(answer->verdict, LEDGER_SEALED);
    assert_text(answer->place, "jobs/3/17");
    (void)desk_ask(&scene->two, "acme/2", "p3");
    assert_int_equal(desk_seal(&scene->two, "acme/2", "p3", "r"), LEDGER_OK);
    scene_lapse(scene, &scene->two);
    assert_text(desk_ask(&scene->one, "acme/2", "p4")->place, "");
}

static void a_verdict_that_was_left_is_found_at_once_and_once(void **state)
{
    struct scene *scene = *state;
    world_sleep(scene->world, 50); /* hints begin once they are subscribed */
    (void)desk_ask(&scene->one, "acme/1", "p1");
    desk_leave_sealed(&scene->one, "acme/1"); /* a run is no verdict */
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->verdict, LEDGER_ELSEWHERE);
    assert_int_equal(desk_seal_at(&scene->one, "acme/1", "p1", "r", "jobs/3/17"), LEDGER_OK);
    desk_leave_sealed(&scene->two, "acme/1"); /* nor is it another's to leave */
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->verdict, LEDGER_ELSEWHERE);
    for (int i = 0; i < 2; i++)
        desk_leave_sealed(&scene->one, "acme/1");
    world_wait(scene->world, &scene->two.has_done);
    assert_text(scene->two.done, "acme/1");
    const struct ledger_acquired *answer = desk_ask(&scene->two, "acme/1", "p2");
    assert_int_equal(answer->verdict, LEDGER_SEALED);
    assert_int_equal(answer->record.length, 1);
    assert_text(answer->place, "jobs/3/17");
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p3")->verdict, LEDGER_ELSEWHERE);
    desk_leave_sealed(&scene->two, "acme/1"); /* whoever took it over may leave it again */
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p3")->verdict, LEDGER_SEALED);
    desk_done(&scene->one, "acme/1");
    desk_leave_sealed(&scene->one, "acme/1");
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->verdict, LEDGER_DONE);
}

/* Its offset is finished, and no result came with it. */
static void a_verdict_for_a_record_that_moved_on_is_anybodys(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < 2; i++) { /* told before the seal, or after it */
        CLEANUP(base_freep) char *job = base_printf("acme/%d", i), *permit = base_printf("p%d", i);
        (void)desk_ask(&scene->one, job, permit);
        if (i == 0)
            assert_int_equal(desk_moved(&scene->two, job, "jobs/3/17"), LEDGER_OK);
        assert_int_equal(desk_seal_at(&scene->one, job, permit, "r", "jobs/3/17"), LEDGER_OK);
        if (i == 1)
            assert_int_equal(desk_moved(&scene->two, job, "jobs/3/17"), LEDGER_OK);
        assert_int_equal(desk_moved(&scene->two, job, "jobs/3/1"), LEDGER_OK); /* of a name that begins so */
        desk_leave_sealed(&scene->one, job);
        assert_text(desk_ask_at(&scene->two, job, "p5", "retry/0/4")->place, ""); /* its own to publish */
        assert_text(desk_ask_at(&scene->two, job, "p5", "retry/0/4")->place, "retry/0/4");
        desk_leave_sealed(&scene->two, job);
        const struct ledger_acquired *answer = desk_ask_at(&scene->one, job, "p6", "jobs/2/9");
        assert_int_equal(answer->verdict, LEDGER_SEALED);
        assert_text(answer->place, "retry/0/4");
        desk_done(&scene->one, job);
        assert_int_equal(desk_moved(&scene->one, job, "retry/0/4"), LEDGER_OK);
        assert_text(desk_look(&scene->one, job)->state, "done");
    }
}

static void a_job_that_nobody_knows_may_have_moved_on(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(desk_moved(&scene->one, "acme/1", "jobs/3/17"), LEDGER_OK);
    assert_text(desk_look(&scene->one, "acme/1")->state, "none");
    assert_int_equal(desk_ask_at(&scene->one, "acme/1", "p1", "jobs/3/17")->verdict, LEDGER_GRANTED);
    assert_int_equal(desk_seal_at(&scene->one, "acme/1", "p1", "r", "jobs/3/17"), LEDGER_OK);
    desk_leave_sealed(&scene->one, "acme/1");
    assert_text(desk_ask(&scene->two, "acme/1", "p2")->place, "");
}

/* ---- retry hops ---- */

static void a_delivered_copy_makes_earlier_ones_stale_whoever_had_the_claim(void **state)
{
    struct scene *scene = *state;
    struct ledger_acquire first = desk_wish("acme/1", "p2"), second = desk_wish("acme/1", "p3");
    second.hop = 1;
    desk_park(&scene->one, "", "acme/1",
              1); /* it never had a claim: not before tomorrow, or too many of its tenant */
    assert_int_equal(desk_acquire(&scene->two, &first)->verdict, LEDGER_STALE);
    assert_int_equal(desk_acquire(&scene->two, &second)->verdict, LEDGER_GRANTED);
    assert_int_equal(desk_acquire(&scene->one, &first)->verdict, LEDGER_ELSEWHERE);
    desk_park(&scene->one, "p2", "acme/1", 7); /* somebody runs it: the claim is left alone */
    assert_text(desk_look(&scene->one, "acme/1")->state, "running");
    desk_park(&scene->two, "p3", "acme/1", 2);
    desk_park(&scene->one, "", "acme/1", 1); /* said again, late */
    const struct ledger_claim *claim = desk_look(&scene->one, "acme/1");
    assert_text(claim->state, "parked");
    assert_text(claim->owner, "");
    assert_int_equal(claim->hop, 2);
    assert_int_equal(claim->attempt, 1);
    assert_int_equal(desk_acquire(&scene->one, &second)->verdict, LEDGER_STALE);
    assert_int_equal(world_used(scene->world, "g"), 1); /* the permit goes its own way */
    desk_release(&scene->two, "p3", NULL, LEDGER_RELEASE_PERMIT);
    (void)desk_seal(&scene->two, "acme/1", "", "expired");
    desk_park(&scene->one, "", "acme/1", 9);
    assert_text(desk_look(&scene->one, "acme/1")->state, "sealed");
}

/* ---- cancels ---- */

static void a_cancel_never_changes_a_verdict(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_seal(&scene->one, "acme/1", "p1", "r");
    assert_int_equal(desk_cancel(&scene->two, "acme/1"), LEDGER_SEAL_DONE);
    desk_done(&scene->one, "acme/1");
    assert_int_equal(desk_cancel(&scene->two, "acme/1"), LEDGER_SEAL_DONE);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->verdict, LEDGER_DONE);
    assert_int_equal(scene->one.cancelled_count, 0);
}

static void a_cancel_finds_its_job_wherever_it_waits(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(desk_cancel(&scene->two, "acme/1"), LEDGER_OK); /* still in Kafka */
    assert_true(desk_look(&scene->one, "acme/1")->is_cancelled);
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p1")->verdict, LEDGER_CANCELLED);
    (void)desk_ask(&scene->one, "acme/2", "p2"); /* in a retry topic */
    desk_park(&scene->one, "p2", "acme/2", 1);
    assert_int_equal(desk_cancel(&scene->two, "acme/2"), LEDGER_OK);
    struct ledger_acquire wish = desk_wish("acme/2", "p3");
    assert_int_equal(desk_acquire(&scene->one, &wish)->verdict, LEDGER_STALE);
    wish.hop = 1;
    assert_int_equal(desk_acquire(&scene->one, &wish)->verdict, LEDGER_CANCELLED);
    (void)desk_ask(&scene->one, "acme/3", "p4"); /* between two attempts */
    desk_release(&scene->one, "p4", "acme/3", BOTH);
    assert_int_equal(desk_cancel(&scene->two, "acme/3"), LEDGER_OK);
    assert_int_equal(desk_ask(&scene->two, "acme/3", "p5")->verdict, LEDGER_CANCELLED);
    (void)desk_ask(&scene->one, "acme/4", "p6"); /* yielded: its adopter is told */
    assert_int_equal(desk_yield(&scene->one, "acme/4", "p6"), LEDGER_OK);
    assert_int_equal(desk_cancel(&scene->one, "acme/4"), LEDGER_OK);
    assert_int_equal(desk_ask(&scene->two, "acme/4", "p7")->verdict, LEDGER_ADOPT);
    desk_pulse(&scene->two);
    world_wait(scene->world, &scene->two.has_cancelled);
    assert_text(scene->two.cancelled, "acme/4");
}

static void a_cancelled_run_is_announced_to_its_owner_without_delay(void **state)
{
    struct scene *scene = *state;
    world_sleep(scene->world, 50); /* hints begin once they are subscribed */
    (void)desk_ask(&scene->one, "acme/1", "p1");
    desk_pulse(&scene->one);
    assert_int_equal(desk_cancel(&scene->two, "acme/1"), LEDGER_OK);
    for (int i = 0; i < 100 && !scene->one.has_cancelled; i++)
        world_sleep(scene->world, 10); /* well before the next pulse is due */
    assert_text(scene->one.cancelled, "acme/1");
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "it was faster"), LEDGER_OK);
}

/* ---- the reaper ---- */

static void a_sandbox_whose_permit_is_unknown_is_killed(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(desk_condemn(&scene->one, "p1"), LEDGER_OK);
    assert_false(world_has_permit(scene->world, "p1"));
}

static void a_living_workers_sandbox_is_kept_whatever_its_claim_says(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    assert_int_equal(desk_condemn(&scene->two, "p1"), LEDGER_SUPERSEDED_PERMIT);
    assert_int_equal(desk_condemn(&scene->one, "p1"), LEDGER_SUPERSEDED_PERMIT); /* its own */
    world_end_claim(scene->world, "acme/1");
    assert_int_equal(desk_condemn(&scene->two, "p1"), LEDGER_SUPERSEDED_PERMIT);
    desk_release(&scene->one, "p1", "acme/1", LEDGER_RELEASE_CLAIM); /* a create in doubt */
    assert_int_equal(desk_condemn(&scene->two, "p1"), LEDGER_SUPERSEDED_PERMIT);
}

static void a_dead_workers_run_is_kept_until_nobody_may_adopt_it(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_bind(&scene->one, "acme/1", "p1");
    scene_lapse(scene, &scene->one);
    assert_int_equal(desk_condemn(&scene->two, "p1"), LEDGER_SUPERSEDED_PERMIT);
    world_end_claim(scene->world, "acme/1");
    for (int i = 0; i < 2; i++) /* the answer may be lost */
        assert_int_equal(desk_condemn(&scene->two, "p1"), LEDGER_OK);
    const struct ledger_acquired *answer =
        desk_ask(&scene->one, "acme/1", "p2"); /* nobody adopts what is killed */
    assert_int_equal(answer->verdict, LEDGER_GRANTED);
    assert_text(answer->permit, "p2");
    assert_int_equal(answer->attempt, 2);
    assert_int_equal(answer->crashes, 1);
    assert_int_equal(world_used(scene->world, "g"), 2);
    assert_int_equal(desk_condemn(&scene->one, "p1"), LEDGER_SUPERSEDED_PERMIT); /* another reaper is at it */
    desk_release(&scene->two, "p1", NULL, LEDGER_RELEASE_PERMIT);
    assert_int_equal(world_used(scene->world, "g"), 1);
}

static void a_yielded_run_is_kept_until_nobody_may_adopt_it(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_bind(&scene->one, "acme/1", "p1");
    assert_int_equal(desk_yield(&scene->one, "acme/1", "p1"), LEDGER_OK);
    assert_int_equal(desk_condemn(&scene->two, "p1"), LEDGER_SUPERSEDED_PERMIT);
    world_end_claim(scene->world, "acme/1");
    assert_int_equal(desk_condemn(&scene->two, "p1"), LEDGER_OK);
    assert_int_equal(desk_look(&scene->two, "acme/1")->crashes, 0);
}

static void what_a_dead_worker_left_beside_its_verdict_is_killed(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_seal(&scene->one, "acme/1", "p1", "r");
    (void)desk_ask(&scene->one, "acme/2", "p2");
    desk_release(&scene->one, "p2", "acme/2", LEDGER_RELEASE_CLAIM);
    (void)desk_ask(&scene->two, "acme/2", "p3"); /* the next attempt: not under this permit */
    scene_lapse(scene, &scene->one);
    assert_int_equal(desk_condemn(&scene->two, "p1"), LEDGER_OK);
    assert_int_equal(desk_condemn(&scene->two, "p2"), LEDGER_OK);
    assert_text(desk_look(&scene->two, "acme/1")->state, "sealed");
    assert_text(desk_look(&scene->two, "acme/2")->state, "running");
}

/* In an outage for everybody all leases lapse. */
static void nothing_of_a_worker_is_killed_while_nobody_is_taken_over(void **state)
{
    struct scene *scene = *state;
    scene_empty(scene);
    struct ledger_assertion alone = desk_claim("", "p1");
    assert_int_equal(desk_assert(&scene->one, &alone), LEDGER_OK);
    scene_open(scene);
    scene_lapse(scene, &scene->one);
    assert_int_equal(desk_condemn(&scene->two, "p1"), LEDGER_SUPERSEDED_PERMIT);
    world_end_hold(scene->world);
    assert_int_equal(desk_condemn(&scene->two, "p1"), LEDGER_OK);
}

/* ---- looking ---- */

static void a_look_tells_every_state_of_a_job(void **state)
{
    struct scene *scene = *state;
    const struct ledger_claim *claim = desk_look(&scene->two, "acme/1");
    assert_text(claim->state, "none");
    assert_int_equal(claim->until_ms, -1);
    assert_int_equal(claim->partition, -1);
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_bind(&scene->one, "acme/1", "p1");
    claim = desk_look(&scene->two, "acme/1");
    assert_text(claim->state, "running");
    assert_text(claim->owner, ledger_worker(scene->one.ledger));
    assert_text(claim->permit, "p1");
    assert_text(claim->sandbox, "sandbox-1");
    assert_text(claim->mode, "process");
    assert_text(claim->origin, "0a0b0c0d");
    assert_true(claim->is_owner_alive && !claim->is_cancelled);
    assert_in_range(claim->until_ms, 390000, 400000);
    assert_in_range(claim->run_until_ms, 290000, 300000);
    assert_text(claim->waits_at, "");
    scene_lapse(scene, &scene->one);
    assert_false(desk_look(&scene->two, "acme/1")->is_owner_alive);
    (void)desk_cancel(&scene->two, "acme/1");
    assert_true(desk_look(&scene->two, "acme/1")->is_cancelled);
    desk_release(&scene->one, "p1", "acme/1", BOTH);
    assert_text(desk_look(&scene->two, "acme/1")->state, "idle");
    assert_text(desk_look(&scene->two, "acme/1")->permit, "");
    (void)desk_seal(&scene->one, "acme/1", "", "cancelled");
    assert_text(desk_look(&scene->two, "acme/1")->state, "sealed");
    assert_text(desk_look(&scene->two, "acme/1")->status, "succeeded");
    desk_done(&scene->one, "acme/1");
    claim = desk_look(&scene->two, "acme/1");
    assert_text(claim->state, "done");
    assert_text(claim->owner, "");
    assert_int_equal(claim->partition, 3);
    assert_int_equal(claim->offset, 42);
}

static void a_look_tells_where_its_tenant_waits(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit limits[] = {{"n:acme", 9}, {"t:big", 1}, {"g", 9}};
    (void)scene_ask_limits(&scene->one, "acme/1", "acme", limits, 3);
    (void)scene_ask_limits(&scene->two, "acme/2", "acme", limits, 3);
    const struct ledger_claim *claim = desk_look(&scene->two, "acme/2");
    assert_text(claim->state, "none"); /* a denial leaves no claim */
    assert_text(claim->waits_at, "t:big");
    assert_in_range(claim->waits_ms, 0, 10000);
    assert_text(desk_look(&scene->two, "other/1")->waits_at, "");
}

static void a_census_shows_every_permit_the_oldest_first(void **state)
{
    struct scene *scene = *state;
    desk_census(&scene->one);
    assert_int_equal(scene->one.permit_count, 0);
    (void)desk_ask(&scene->one, "acme/1", "p2");
    (void)desk_bind(&scene->one, "acme/1", "p2");
    world_sleep(scene->world, 5);
    (void)desk_ask(&scene->two, "acme/2", "p1");
    world_sleep(scene->world, 5);
    (void)desk_ask(&scene->two, "acme/3", "p3");
    (void)desk_yield(&scene->two, "acme/3", "p3");
    scene_lapse(scene, &scene->one);
    desk_census(&scene->two);
    const struct ledger_permit *permits = scene->two.permits;
    assert_int_equal(scene->two.permit_count, 3);
    assert_text(permits[0].permit, "p2");
    assert_text(permits[0].job, "acme/1");
    assert_text(permits[0].sandbox, "sandbox-1");
    assert_text(permits[0].worker, ledger_worker(scene->one.ledger));
    assert_false(permits[0].is_owner_alive);
    assert_true(permits[0].age_ms >= permits[1].age_ms && permits[1].age_ms >= 5);
    assert_text(permits[1].permit, "p1");
    assert_text(permits[1].sandbox, "");
    assert_true(permits[1].is_owner_alive);
    assert_in_range(permits[1].horizon_ms, 500000, 535000);
    assert_text(permits[2].worker, "");
    assert_false(permits[2].is_owner_alive);
}

/* ---- an operator, and what E2B says ---- */

static void on_word(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    assert_null(error);
    *(enum ledger_answer *)call->arg = answer;
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

/* doctor, limits, cancel: programs that come and go, and that no rebuild waits for. */
static void an_onlooker_is_no_worker(void **state)
{
    struct scene *scene = *state;
    static const struct log silent = {.level = LOG_LEVEL_NONE};
    struct error error;
    scene_empty(scene);
    struct ledger *onlooker = ledger_new(&(struct ledger_options){.loop = world_loop(scene->world),
                                                                  .random = &scene->one.random,
                                                                  .log = &silent,
                                                                  .url = world_url(scene->world),
                                                                  .name = "default",
                                                                  .worker = "cli",
                                                                  .is_onlooker = true},
                                         &error);
    assert_non_null(onlooker);
    while (ledger_state(onlooker) == LEDGER_CONNECTING)
        world_sleep(scene->world, 5);
    assert_int_equal(ledger_state(onlooker), LEDGER_READY); /* it can ask */
    assert_text(ledger_why(onlooker), "");
    assert_false(ledger_lease_is_valid(onlooker));
    assert_int_equal(ledger_epoch(onlooker), 0);
    enum ledger_answer answers[2] = {0};
    struct ledger_call calls[2] = {{.arg = &answers[0]}, {.arg = &answers[1]}};
    ledger_cancel(onlooker, &calls[0], "acme/1", 60000, on_word);
    ledger_limit_set(onlooker, &calls[1], "g", 5, on_word);
    for (int i = 0; i < 400 && (answers[0] == 0 || answers[1] == 0); i++)
        world_sleep(scene->world, 5);
    assert_int_equal(answers[0], LEDGER_OK);
    assert_int_equal(answers[1], LEDGER_OK);
    assert_int_equal(desk_lead(&scene->one)->waiting_for, 2);
    bool is_closed = false;
    ledger_close(onlooker, 1000, set_flag, &is_closed);
    world_wait(scene->world, &is_closed);
    scene_open(scene);
    assert_true(desk_look(&scene->one, "acme/1")->is_cancelled);
    desk_snapshot(&scene->one);
    assert_int_equal(desk_usage(&scene->one, "g")->max, 5);
}

static const struct ledger_acquired *create(struct desk *desk, const char *job, int64_t milli, int64_t burst)
{
    char permit[40];
    snprintf(permit, sizeof permit, "permit-of-%s", job);
    struct ledger_acquire wish = desk_wish(job, permit);
    wish.create_milli_per_s = milli;
    wish.create_burst = burst;
    return desk_acquire(desk, &wish);
}

static void a_refused_rate_rests_and_is_halved_for_everybody(void **state)
{
    struct scene *scene = *state;
    ledger_slower(scene->one.ledger, 30000, 4000);
    ledger_slower(scene->one.ledger, 10000, 4000); /* one answer comes to many */
    desk_flush(&scene->one);
    const struct ledger_acquired *answer = create(&scene->two, "acme/1", 4000, 4);
    assert_int_equal(answer->verdict, LEDGER_DENIED);
    assert_text(answer->limit, "rate");
    assert_int_equal(answer->max, 2000);
    assert_in_range(answer->retry_ms, 20000, 29000);
    assert_int_equal(create(&scene->one, "acme/2", 0, 0)->verdict, LEDGER_DENIED); /* unlimited, too */
}

/* What was refused once is not asked again all at the same moment. */
static void creates_after_a_rest_are_booked_one_after_the_other(void **state)
{
    struct scene *scene = *state;
    ledger_slower(scene->one.ledger, 400, 8000);
    desk_flush(&scene->one);
    int64_t waits[3];
    for (size_t i = 0; i < ARRAY_LENGTH(waits); i++) {
        char job[24];
        snprintf(job, sizeof job, "acme/%zu", i);
        const struct ledger_acquired *answer = create(&scene->one, job, 8000, 4);
        assert_int_equal(answer->verdict, LEDGER_GRANTED);
        waits[i] = answer->wait_ms;
    }
    assert_in_range(waits[0], 1, 400);
    assert_true(waits[1] > waits[0] && waits[2] > waits[1]); /* 4 a second, and no burst of four at once */
}

static void a_rate_without_limit_is_halved_from_where_it_would_be(void **state)
{
    struct scene *scene = *state;
    ledger_slower(scene->one.ledger, 0, 0);
    desk_flush(&scene->one);
    int64_t last_ms = 0;
    for (int i = 0; i < 4; i++) {
        char job[24];
        snprintf(job, sizeof job, "acme/%d", i);
        const struct ledger_acquired *answer = create(&scene->one, job, 0, 0);
        assert_int_equal(answer->verdict, LEDGER_GRANTED);
        last_ms = answer->wait_ms;
    }
    assert_in_range(last_ms, 100, 300); /* 10 a second */
}

static void a_cut_ends_by_itself_and_the_newest_counts(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit limits[] = {{"n:acme", 9}, {"g", 9}};
    ledger_cut(scene->one.ledger, "g", 0, 60000);
    ledger_cut(scene->one.ledger, "g", 1, 100);
    desk_flush(&scene->one);
    assert_int_equal(scene_ask_limits(&scene->two, "acme/1", "acme", limits, 2)->verdict, LEDGER_GRANTED);
    desk_snapshot(&scene->two);
    world_sleep(scene->world, 120);
    assert_int_equal(scene_ask_limits(&scene->two, "acme/2", "acme", limits, 2)->verdict, LEDGER_GRANTED);
}

static void a_snapshot_tells_what_an_operator_set_from_what_was_cut(void **state)
{
    struct scene *scene = *state;
    struct desk onlooker;
    desk_open_onlooker(&onlooker, scene->world);
    assert_int_equal(desk_limit_set(&onlooker, "g", 30), LEDGER_OK);
    ledger_cut(scene->two.ledger, "g", 12, 60000);
    ledger_cut(scene->two.ledger, "n:acme", 5, 60000);
    desk_flush(&scene->two);
    desk_snapshot(&onlooker);
    const struct ledger_usage *usage = desk_usage(&onlooker, "g");
    assert_non_null(usage);
    assert_true(usage->max == 12 && usage->set == 30);
    assert_in_range(usage->cut_left_ms, 1, 60000);
    usage = desk_usage(&onlooker, "n:acme");
    assert_non_null(usage);
    assert_true(usage->max == 5 && usage->set == -1);
    ledger_cut(scene->two.ledger, "g", 12, -60000);
    desk_flush(&scene->two);
    desk_snapshot(&onlooker);
    usage = desk_usage(&onlooker, "g");
    assert_non_null(usage);
    assert_true(usage->max == 30 && usage->set == 30 && usage->cut_left_ms == -1);
    desk_close(&onlooker);
}

static void a_ledger_that_is_ready_has_nothing_in_its_way(void **state)
{
    struct scene *scene = *state;
    const struct ledger_condition *condition = desk_condition(&scene->one);
    assert_text(condition->why, "");
    assert_int_equal(condition->workers, 2);
    assert_int_equal(condition->rebuilding_ms, -1);
    scene_lapse(scene, &scene->two);
    assert_int_equal(desk_condition(&scene->one)->workers, 1);
}

static void a_rebuild_shows_and_so_does_who_is_waited_for(void **state)
{
    struct scene *scene = *state;
    struct desk onlooker;
    desk_open_onlooker(&onlooker, scene->world);
    scene_empty(scene);
    world_age_rebuild(scene->world, 2000);
    const struct ledger_condition *condition = desk_condition(&onlooker);
    assert_string_not_equal(condition->why, "");
    assert_in_range(condition->rebuilding_ms, 2000, 30000);
    assert_int_equal(condition->waiting_for, 2);
    assert_int_equal(desk_asserted(&scene->one), LEDGER_OK);
    assert_int_equal(desk_condition(&onlooker)->waiting_for, 1);
    scene_open(scene);
    assert_text(desk_condition(&onlooker)->why, "");
    desk_close(&onlooker);
}

static void a_ledger_without_workers_says_so(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct desk onlooker;
    desk_open_onlooker(&onlooker, world);
    const struct ledger_condition *condition = desk_condition(&onlooker);
    assert_string_not_equal(condition->why, "");
    assert_true(condition->workers == 0 && condition->rebuilding_ms == -1);
    desk_close(&onlooker);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCENE(a_run_that_goes_on_with_its_adopter_is_no_crash),
        IN_SCENE(a_run_that_kills_its_followers_is_counted_each_time),
        IN_SCENE(a_take_over_of_a_take_over_counts_both_that_died),
        IN_SCENE(a_take_over_that_nobody_used_counts_no_more_than_its_own_crash),
        IN_SCENE(a_claim_that_its_asker_forgot_is_no_crash),
        IN_SCENE(a_found_run_that_was_let_go_is_the_next_ones),
        IN_SCENE(a_claim_that_nobody_comes_back_for_is_forgotten_within_a_week),
        IN_SCENE(sealed_bytes_are_kept_as_long_as_their_claim),
        IN_SCENE(a_yielded_run_is_adopted_at_once_and_is_no_crash),
        IN_SCENE(only_a_runs_owner_yields_it_and_nothing_is_made),
        IN_SCENE(what_was_yielded_is_not_lost_by_the_one_who_yielded_it),
        IN_SCENE(a_sealed_claim_says_in_whose_transaction_its_result_is),
        IN_SCENE(a_verdict_that_was_left_is_found_at_once_and_once),
        IN_SCENE(a_verdict_for_a_record_that_moved_on_is_anybodys),
        IN_SCENE(a_job_that_nobody_knows_may_have_moved_on),
        IN_SCENE(a_delivered_copy_makes_earlier_ones_stale_whoever_had_the_claim),
        IN_SCENE(a_cancel_never_changes_a_verdict),
        IN_SCENE(a_cancel_finds_its_job_wherever_it_waits),
        IN_SCENE(a_cancelled_run_is_announced_to_its_owner_without_delay),
        IN_SCENE(a_sandbox_whose_permit_is_unknown_is_killed),
        IN_SCENE(a_living_workers_sandbox_is_kept_whatever_its_claim_says),
        IN_SCENE(a_dead_workers_run_is_kept_until_nobody_may_adopt_it),
        IN_SCENE(a_yielded_run_is_kept_until_nobody_may_adopt_it),
        IN_SCENE(what_a_dead_worker_left_beside_its_verdict_is_killed),
        IN_SCENE(nothing_of_a_worker_is_killed_while_nobody_is_taken_over),
        IN_SCENE(a_look_tells_every_state_of_a_job),
        IN_SCENE(a_look_tells_where_its_tenant_waits),
        IN_SCENE(a_census_shows_every_permit_the_oldest_first),
        IN_SCENE(an_onlooker_is_no_worker),
        IN_SCENE(a_refused_rate_rests_and_is_halved_for_everybody),
        IN_SCENE(creates_after_a_rest_are_booked_one_after_the_other),
        IN_SCENE(a_rate_without_limit_is_halved_from_where_it_would_be),
        IN_SCENE(a_cut_ends_by_itself_and_the_newest_counts),
        IN_SCENE(a_snapshot_tells_what_an_operator_set_from_what_was_cut),
        IN_SCENE(a_ledger_that_is_ready_has_nothing_in_its_way),
        IN_SCENE(a_rebuild_shows_and_so_does_who_is_waited_for),
        cmocka_unit_test(a_ledger_without_workers_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
