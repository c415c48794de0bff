/* The contract of redis/ledger.h when the ledger was lost: who must say what, whose word counts, and when
 * grants begin again. */
#include "contract/scene.h"

#include <stdio.h>

static struct ledger_assertion listed(const char *job, const char *permit, const char *sandbox)
{
    struct ledger_assertion assertion = desk_claim(job, permit);
    assertion.holder = LEDGER_NOBODYS;
    assertion.sandbox = sandbox;
    assertion.mode = assertion.plan = assertion.payload = assertion.origin = "";
    assertion.attempt = 0;
    return assertion;
}

static struct ledger_assertion verdict(const char *job, const char *permit, const char *record)
{
    struct ledger_assertion assertion = desk_claim(job, permit);
    assertion.status = "succeeded";
    assertion.record = (struct bytes){.data = record, .length = strlen(record)};
    return assertion;
}

static enum ledger_answer say(struct desk *desk, struct ledger_assertion assertion)
{
    return desk_assert(desk, &assertion);
}

/* ---- when it is ready ---- */

static void a_new_ledger_grants_nothing_until_ready_and_waits_5_s(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct desk desk;
    desk_open(&desk, world, "one");
    assert_int_equal(ledger_state(desk.ledger), LEDGER_CONNECTING);
    assert_string_not_equal(ledger_why(desk.ledger), "");
    assert_int_equal(ledger_epoch(desk.ledger), 0);
    while (ledger_state(desk.ledger) == LEDGER_CONNECTING)
        world_sleep(world, 5);
    assert_int_equal(ledger_state(desk.ledger), LEDGER_REBUILDING);
    assert_int_equal(ledger_epoch(desk.ledger), 1);
    world_wait(world, &desk.has_rebuild);
    assert_int_equal(desk_ask(&desk, "acme/1", "p1")->verdict, LEDGER_NOT_READY);
    assert_int_equal(desk_seal(&desk, "acme/1", "", "r"), LEDGER_NOT_NOW);
    assert_int_equal(desk_bind(&desk, "acme/1", "p1"), LEDGER_NOT_NOW);
    assert_int_equal(desk_yield(&desk, "acme/1", "p1"), LEDGER_NOT_NOW);
    assert_int_equal(desk_condemn(&desk, "p1"), LEDGER_NOT_NOW);
    assert_int_equal(desk_ready(&desk, 0), LEDGER_NOT_NOW);
    const struct ledger_lead *lead = desk_lead(&desk);
    assert_true(lead->is_leader && lead->waiting_for == 0);
    assert_int_equal(lead->behind_ms, -1);
    world_age_rebuild(world, 4000);
    assert_int_equal(desk_ready(&desk, 0), LEDGER_NOT_NOW);
    world_age_rebuild(world, 2000);
    assert_int_equal(desk_ready(&desk, 1), LEDGER_NOT_NOW); /* something lives, so there was a ledger */
    assert_int_equal(desk_ready(&desk, 0), LEDGER_OK);
    desk_wait_ready(&desk);
    assert_int_equal(desk_ready(&desk, 0), LEDGER_OK);
    assert_int_equal(desk_ask(&desk, "acme/1", "p1")->verdict, LEDGER_GRANTED);
    desk_close(&desk);
    world_free(world);
}

static void sandboxes_of_a_ledger_that_nobody_remembers_mean_120_s(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct desk desk;
    desk_open(&desk, world, "one");
    world_wait(world, &desk.has_rebuild);
    assert_int_equal(desk_asserted(&desk), LEDGER_OK);
    world_age_rebuild(world, 110000);
    assert_int_equal(desk_ready(&desk, 1), LEDGER_NOT_NOW);
    world_age_rebuild(world, 11000);
    assert_int_equal(desk_ready(&desk, 1), LEDGER_OK);
    desk_close(&desk);
    world_free(world);
}

static void an_emptied_ledger_is_ready_after_5_s_once_all_have_asserted(void **state)
{
    struct scene *scene = *state;
    unsigned epoch = ledger_epoch(scene->one.ledger);
    scene_empty(scene);
    assert_int_equal(ledger_epoch(scene->one.ledger), epoch + 1);
    assert_int_equal(desk_asserted(&scene->one), LEDGER_OK);
    assert_int_equal(desk_ready(&scene->one, 3), LEDGER_NOT_NOW);
    world_age_rebuild(scene->world, 6000);
    const struct ledger_lead *lead = desk_lead(&scene->one);
    assert_true(lead->is_leader);
    assert_int_equal(lead->behind_ms, -1);
    assert_int_equal(lead->waiting_for, 1);
    assert_false(desk_lead(&scene->two)->is_leader);
    world_age_rebuild(scene->world, 200000);
    assert_int_equal(desk_ready(&scene->one, 3),
                     LEDGER_NOT_NOW); /* a worker with a lease is waited for, always */
    assert_int_equal(desk_asserted(&scene->two), LEDGER_OK);
    assert_int_equal(desk_ready(&scene->two, 3), LEDGER_NOT_NOW); /* the other one leads */
    assert_int_equal(desk_ready(&scene->one, 3), LEDGER_OK);
    desk_wait_ready(&scene->one);
    lead = desk_lead(&scene->one);
    assert_false(lead->is_leader);
    assert_int_equal(lead->waiting_for, 0);
    assert_int_equal(desk_asserted(&scene->one), LEDGER_NOT_NOW);
    struct ledger_assertion late = desk_claim("acme/1", "p1");
    assert_int_equal(desk_assert(&scene->one, &late), LEDGER_NOT_NOW);
    assert_int_equal(world_used(scene->world, "g"), 0);
}

/* Its create may be under way, and nobody asserts it. */
static void a_worker_that_does_not_come_back_is_waited_for_120_s(void **state)
{
    struct scene *scene = *state;
    world_plant_worker(scene->world, "ghost");
    desk_pulse(&scene->two); /* one of them has seen it: that is enough */
    scene_empty(scene);
    assert_int_equal(desk_asserted(&scene->one), LEDGER_OK);
    assert_int_equal(desk_asserted(&scene->two), LEDGER_OK);
    assert_int_equal(desk_lead(&scene->one)->waiting_for, 1);
    world_age_rebuild(scene->world, 119000);
    assert_int_equal(desk_ready(&scene->one, 0), LEDGER_NOT_NOW);
    world_late(scene->world); /* the ghost's time is over */
    assert_int_equal(desk_lead(&scene->one)->waiting_for, 0);
    assert_int_equal(desk_ready(&scene->one, 0), LEDGER_OK);
}

static void who_left_with_permits_is_remembered_and_who_left_with_none_is_not(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->two, "acme/1", "p1");
    desk_close(&scene->two);
    desk_open(&scene->two, scene->world, "three");
    desk_wait_ready(&scene->two);
    desk_pulse(&scene->one);
    desk_close(&scene->two); /* with nothing */
    desk_open(&scene->two, scene->world, "four");
    desk_wait_ready(&scene->two);
    desk_pulse(&scene->one);
    scene_empty(scene);
    assert_int_equal(desk_asserted(&scene->one), LEDGER_OK);
    assert_int_equal(desk_asserted(&scene->two), LEDGER_OK);
    assert_int_equal(desk_lead(&scene->one)->waiting_for, 1);
}

static void who_leaves_during_a_rebuild_is_not_waited_for(void **state)
{
    struct scene *scene = *state;
    scene_empty(scene);
    assert_int_equal(desk_asserted(&scene->one), LEDGER_OK);
    assert_int_equal(desk_lead(&scene->one)->waiting_for, 1);
    desk_close(&scene->two);
    assert_int_equal(desk_lead(&scene->one)->waiting_for, 0);
    world_age_rebuild(scene->world, 6000);
    assert_int_equal(desk_ready(&scene->one, 0), LEDGER_OK);
}

/* What it read back from Kafka must be marked before anything is granted. */
static void a_ledger_is_not_ready_before_its_leaders_marks_have_arrived(void **state)
{
    struct scene *scene = *state;
    scene_empty(scene);
    assert_int_equal(desk_asserted(&scene->one), LEDGER_OK);
    assert_int_equal(desk_asserted(&scene->two), LEDGER_OK);
    world_age_rebuild(scene->world, 6000);
    ledger_done(scene->one.ledger, "acme/1", "succeeded", 0, 1, LEDGER_DONE_MS);
    assert_int_equal(desk_ready(&scene->one, 0), LEDGER_NOT_NOW);
    desk_flush(&scene->one);
    assert_int_equal(desk_ready(&scene->one, 0), LEDGER_OK);
    desk_wait_ready(&scene->one);
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p1")->verdict, LEDGER_DONE);
}

static void what_was_said_before_a_second_loss_does_not_count(void **state)
{
    struct scene *scene = *state;
    scene_empty(scene);
    assert_int_equal(say(&scene->one, desk_claim("acme/1", "p1")), LEDGER_OK);
    assert_int_equal(desk_asserted(&scene->one), LEDGER_OK);
    assert_int_equal(desk_asserted(&scene->two), LEDGER_OK);
    world_empty(scene->world);
    scene_await_rebuild(scene, &scene->two);
    assert_int_equal(desk_asserted(&scene->one),
                     LEDGER_NOT_NOW); /* of the first one: it has not heard of the second */
    assert_int_equal(desk_ready(&scene->one, 0), LEDGER_NOT_NOW);
    scene_await_rebuild(scene, &scene->one);
    assert_int_equal(world_used(scene->world, "g"), 0);
    assert_int_equal(say(&scene->one, desk_claim("acme/1", "p1")), LEDGER_OK);
    assert_int_equal(desk_asserted(&scene->two), LEDGER_OK);
    world_save(scene->world);
    scene_restore(scene); /* with what was said in an epoch that is over */
    assert_int_equal(desk_lead(&scene->one)->waiting_for, 2);
    assert_int_equal(say(&scene->one, desk_claim("acme/1", "p1")), LEDGER_OK);
    scene_open(scene); /* and they still remember each other from before the first loss: 5 s */
    assert_int_equal(world_used(scene->world, "g"), 1);
}

static void a_broken_connection_asks_again_until_all_was_asserted(void **state)
{
    struct scene *scene = *state;
    scene_empty(scene);
    int count = scene->one.rebuild_count;
    world_break(scene->world);
    world_wait(scene->world, &scene->one.has_rebuild);
    assert_int_equal(scene->one.rebuild_count, count + 1);
    desk_wait_serving(&scene->one);
    assert_int_equal(desk_asserted(&scene->one), LEDGER_OK);
    world_break(scene->world);
    desk_wait_gone(&scene->one);
    desk_wait_serving(&scene->one);
    desk_pulse(&scene->one);
    assert_int_equal(scene->one.rebuild_count, count + 1);
}

/* Grants are given by a ledger that stands still: for a lease nobody loses what it has. */
static void a_verdict_that_waited_for_the_ledger_comes_before_adoption(void **state)
{
    struct scene *scene = *state;
    scene_empty(scene);
    assert_int_equal(say(&scene->one, desk_claim("acme/1", "p1")), LEDGER_OK);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "verdict"), LEDGER_NOT_NOW);
    scene_open(scene);
    scene_lapse(scene, &scene->one);
    world_end_claim(scene->world, "acme/1");
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->verdict, LEDGER_ELSEWHERE);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "verdict"), LEDGER_OK);
}

/* ---- what a worker holds ---- */

static void a_permit_that_was_not_asserted_is_not_there(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_ask(&scene->one, "acme/2", "p2");
    assert_true(ledger_lease_is_valid(scene->one.ledger));
    scene_empty(scene);
    assert_false(ledger_lease_is_valid(scene->one.ledger)); /* it is open what is ours */
    assert_int_equal(desk_extend(&scene->one, "p1", 600000), LEDGER_NOT_NOW);
    assert_int_equal(scene->one.lost_count, 0);
    assert_int_equal(say(&scene->one, desk_claim("acme/1", "p1")), LEDGER_OK);
    assert_int_equal(desk_extend(&scene->one, "p1", 600000), LEDGER_OK);
    assert_int_equal(desk_extend(&scene->one, "p2", 600000), LEDGER_NOT_NOW);
    assert_false(ledger_lease_is_valid(scene->one.ledger));
    scene_open(scene);
    world_wait(scene->world, &scene->one.has_lost);
    assert_int_equal(scene->one.lost_count, 1);
    assert_text(scene->one.lost, "p2");
    assert_int_equal(scene->one.loss, LEDGER_LOST_FOR_GOOD);
    assert_int_equal(desk_extend(&scene->one, "p2", 600000), LEDGER_SUPERSEDED);
    assert_true(ledger_lease_is_valid(scene->one.ledger));
    assert_int_equal(world_used(scene->world, "g"), 1);
}

static void a_lease_is_valid_again_once_all_was_asserted_or_released(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_ask(&scene->one, "acme/2", "p2");
    scene_empty(scene);
    assert_int_equal(say(&scene->one, desk_claim("acme/1", "p1")), LEDGER_OK);
    desk_release(&scene->one, "p2", NULL, LEDGER_RELEASE_PERMIT);
    assert_int_equal(desk_asserted(&scene->one), LEDGER_OK);
    desk_pulse(&scene->one);
    assert_true(ledger_lease_is_valid(scene->one.ledger));
    assert_int_equal(scene->one.lost_count, 0);
}

static void an_asserted_run_is_its_owners_as_before(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    scene_empty(scene);
    struct ledger_assertion run = desk_claim("acme/1", "p1");
    run.attempt = 3;
    run.crashes = 1;
    run.hop = 2;
    for (int i = 0; i < 2; i++) /* it may be said twice */
        assert_int_equal(desk_assert(&scene->one, &run), LEDGER_OK);
    assert_int_equal(world_used(scene->world, "g"), 1);
    assert_int_equal(world_used(scene->world, "n:acme"), 1);
    assert_int_equal(world_used(scene->world, "t:default"), 1);
    scene_open(scene);
    world_end_hold(scene->world);
    const struct ledger_claim *claim = desk_look(&scene->two, "acme/1");
    assert_text(claim->state, "running");
    assert_text(claim->owner, ledger_worker(scene->one.ledger));
    assert_text(claim->sandbox, "sandbox-1");
    assert_text(claim->mode, "process");
    assert_int_equal(claim->attempt, 3);
    assert_int_equal(claim->crashes, 1);
    assert_int_equal(claim->hop, 2);
    assert_in_range(claim->run_until_ms, 290000, 300000);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->verdict, LEDGER_ELSEWHERE);
    assert_int_equal(desk_extend(&scene->one, "p1", 900000), LEDGER_OK);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "r"), LEDGER_OK);
    desk_release(&scene->one, "p1", NULL, LEDGER_RELEASE_PERMIT);
    assert_int_equal(world_used(scene->world, "g"), 0);
}

/* The create is under way: nobody can list it, and its permit must count. */
static void an_unbound_permit_is_asserted_and_bound_later(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    scene_empty(scene);
    struct ledger_assertion run = desk_claim("acme/1", "p1");
    run.sandbox = run.mode = run.plan = "";
    assert_int_equal(desk_assert(&scene->one, &run), LEDGER_OK);
    scene_open(scene);
    assert_int_equal(world_used(scene->world, "g"), 1);
    assert_text(desk_look(&scene->one, "acme/1")->sandbox, "");
    assert_int_equal(desk_bind(&scene->one, "acme/1", "p1"), LEDGER_OK);
    assert_text(desk_look(&scene->one, "acme/1")->sandbox, "sandbox-1");
}

static void assertions_count_above_every_limit(void **state)
{
    struct scene *scene = *state;
    const struct ledger_limit limits[] = {{"n:acme", 9}, {"g", 2}};
    scene_empty(scene);
    assert_int_equal(say(&scene->one, desk_claim("acme/1", "p1")), LEDGER_OK);
    assert_int_equal(say(&scene->one, desk_claim("acme/2", "p2")), LEDGER_OK);
    assert_int_equal(say(&scene->two, desk_claim("acme/3", "p3")), LEDGER_OK);
    scene_open(scene);
    const struct ledger_acquired *answer = scene_ask_limits(&scene->one, "acme/4", "acme", limits, 2);
    assert_int_equal(answer->verdict, LEDGER_DENIED);
    assert_int_equal(answer->used, 3);
    desk_release(&scene->one, "p1", "acme/1", BOTH);
    assert_int_equal(scene_ask_limits(&scene->one, "acme/4", "acme", limits, 2)->verdict, LEDGER_DENIED);
}

/* A stopped worker was taken over, wakes, and the ledger does not know any more. */
static void the_second_holder_of_a_permit_lets_go_of_it(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_bind(&scene->one, "acme/1", "p1");
    scene_lapse(scene, &scene->one);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->verdict, LEDGER_ADOPT);
    scene_empty(scene);
    assert_int_equal(say(&scene->two, desk_claim("acme/1", "p1")), LEDGER_OK);
    assert_int_equal(say(&scene->one, desk_claim("acme/1", "p1")), LEDGER_SUPERSEDED_PERMIT);
    scene_open(scene);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "zombie"), LEDGER_SUPERSEDED_PERMIT);
    desk_release(&scene->one, "p1", NULL, LEDGER_RELEASE_PERMIT);
    assert_int_equal(world_used(scene->world, "g"), 1);
    assert_int_equal(desk_seal(&scene->two, "acme/1", "p1", "right"), LEDGER_OK);
}

static void a_later_attempt_has_the_claim_whoever_speaks_first(void **state)
{
    struct scene *scene = *state;
    struct ledger_assertion first = desk_claim("acme/1", "p1"), second = desk_claim("acme/1", "p2");
    second.attempt = 2;
    scene_empty(scene);
    assert_int_equal(desk_assert(&scene->one, &first), LEDGER_OK);
    assert_int_equal(desk_assert(&scene->two, &second), LEDGER_OK);
    assert_int_equal(desk_assert(&scene->one, &first), LEDGER_SUPERSEDED);
    assert_int_equal(world_used(scene->world, "g"), 2); /* both live */
    scene_open(scene);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "first"), LEDGER_SUPERSEDED);
    assert_int_equal(desk_seal(&scene->two, "acme/1", "p2", "second"), LEDGER_OK);
}

/* The bytes may be in Kafka already: whoever sealed has the last word. */
static void a_verdict_beats_a_run_whoever_speaks_first(void **state)
{
    struct scene *scene = *state;
    scene_empty(scene);
    struct ledger_assertion run = desk_claim("acme/1", "p1");
    run.attempt = 5;
    assert_int_equal(desk_assert(&scene->one, &run), LEDGER_OK);
    assert_int_equal(say(&scene->two, verdict("acme/1", "p2", "bytes")), LEDGER_OK);
    assert_int_equal(say(&scene->two, verdict("acme/1", "p2", "bytes")), LEDGER_OK);
    assert_int_equal(say(&scene->two, verdict("acme/1", "", "bytes")),
                     LEDGER_OK); /* its permit went back meanwhile */
    assert_int_equal(desk_assert(&scene->one, &run), LEDGER_SUPERSEDED);
    assert_int_equal(say(&scene->one, verdict("acme/1", "p1", "others")), LEDGER_SUPERSEDED);
    assert_int_equal(say(&scene->one, verdict("acme/1", "", "others")), LEDGER_SEAL_ELSEWHERE);
    assert_int_equal(say(&scene->two, verdict("acme/1", "p2", "changed")), LEDGER_SEAL_ELSEWHERE);
    assert_int_equal(say(&scene->two, verdict("acme/2", "", "never ran, or its sandbox is dead")), LEDGER_OK);
    scene_open(scene);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "others"), LEDGER_SUPERSEDED);
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p3")->verdict, LEDGER_ELSEWHERE);
    world_end_hold(scene->world);
    scene_lapse(scene, &scene->two);
    const struct ledger_acquired *answer = desk_ask(&scene->one, "acme/1", "p3");
    assert_int_equal(answer->verdict, LEDGER_SEALED);
    assert_int_equal(answer->record.length, 5);
    assert_memory_equal(answer->record.data, "bytes", 5);
}

static void what_kafka_holds_is_done_whoever_says_that_it_runs(void **state)
{
    struct scene *scene = *state;
    scene_empty(scene);
    assert_int_equal(say(&scene->one, desk_claim("acme/1", "p1")), LEDGER_OK);
    desk_done(&scene->two, "acme/1"); /* read back */
    desk_done(&scene->two, "acme/2");
    assert_int_equal(say(&scene->one, desk_claim("acme/1", "p1")), LEDGER_SEAL_DONE);
    assert_int_equal(say(&scene->one, desk_claim("acme/2", "p2")), LEDGER_SEAL_DONE);
    assert_int_equal(say(&scene->one, verdict("acme/2", "p2", "not published yet")), LEDGER_SEAL_DONE);
    assert_int_equal(world_used(scene->world, "g"), 2); /* their sandboxes live until they were killed */
    scene_open(scene);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "second result"), LEDGER_SEAL_DONE);
    assert_int_equal(desk_ask(&scene->two, "acme/2", "p3")->verdict, LEDGER_DONE);
    assert_int_equal(desk_extend(&scene->one, "p2", 600000), LEDGER_OK);
}

static void a_cancel_of_a_job_that_is_asserted_later_reaches_its_owner(void **state)
{
    struct scene *scene = *state;
    scene_empty(scene);
    assert_int_equal(desk_cancel(&scene->two, "acme/1"), LEDGER_OK);
    assert_int_equal(say(&scene->one, desk_claim("acme/1", "p1")), LEDGER_OK);
    desk_pulse(&scene->one);
    world_wait(scene->world, &scene->one.has_cancelled);
    assert_text(scene->one.cancelled, "acme/1");
}

/* In doubt the answer is not listened to. */
static void a_cancel_outlives_a_doubt_about_the_clock(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    desk_pulse(&scene->one);
    world_sleep(scene->world, 50); /* hints begin once they are subscribed */
    assert_int_equal(desk_cancel(&scene->two, "acme/1"), LEDGER_OK);
    world_wait(scene->world, &scene->one.has_cancelled);
    scene_silence(scene);
    world_step_clock(scene->world, 3600000);
    scene->one.has_cancelled = false;
    scene_await_rebuild(scene, &scene->one);
    world_wait(scene->world, &scene->one.has_cancelled);
    assert_text(scene->one.cancelled, "acme/1");
    scene_await_rebuild(scene, &scene->two);
}

/* ---- what E2B lists ---- */

static void what_nobody_asserts_is_adopted_by_the_next_who_asks(void **state)
{
    struct scene *scene = *state;
    scene_empty(scene);
    for (int i = 0; i < 2; i++)
        assert_int_equal(say(&scene->one, listed("acme/1", "p1", "sandbox-9")), LEDGER_OK);
    assert_int_equal(say(&scene->one, listed("", "p2", "sandbox-8")), LEDGER_OK); /* it has no job */
    scene_open_as(scene, &scene->one, 2);
    assert_int_equal(world_used(scene->world, "g"), 2);
    const struct ledger_acquired *answer =
        desk_ask(&scene->two, "acme/1", "p3"); /* no hold: it has no owner */
    assert_int_equal(answer->verdict, LEDGER_ADOPT);
    assert_text(answer->permit, "p1");
    assert_text(answer->sandbox, "sandbox-9");
    assert_text(answer->plan, "");
    assert_int_equal(answer->attempt, 1);
    assert_int_equal(answer->crashes, 0);
    assert_int_equal(desk_extend(&scene->two, "p1", 600000), LEDGER_OK);
    struct ledger_acquire other = desk_wish("acme/1", "p4");
    other.payload = "ffffffffffffffffffffffffffffffff";
    assert_int_equal(desk_acquire(&scene->one, &other)->verdict,
                     LEDGER_CONFLICT); /* the adopter's payload counts */
    assert_int_equal(desk_condemn(&scene->one, "p2"), LEDGER_OK);
    desk_release(&scene->one, "p2", NULL, LEDGER_RELEASE_PERMIT);
    assert_int_equal(world_used(scene->world, "g"), 1);
}

static void an_owners_word_beats_the_leaders(void **state)
{
    struct scene *scene = *state;
    scene_empty(scene);
    assert_int_equal(say(&scene->two, listed("acme/1", "p1", "sandbox-1")), LEDGER_OK);
    assert_int_equal(say(&scene->one, desk_claim("acme/1", "p1")), LEDGER_OK);
    assert_int_equal(say(&scene->two, listed("acme/1", "p1", "sandbox-1")), LEDGER_SUPERSEDED_PERMIT);
    /* ... also where the leader has listed what an earlier attempt left, and found it first. */
    assert_int_equal(say(&scene->two, listed("acme/2", "p2", "sandbox-2")), LEDGER_OK);
    assert_int_equal(say(&scene->one, desk_claim("acme/2", "p3")), LEDGER_OK);
    assert_int_equal(say(&scene->two, listed("acme/2", "p2", "sandbox-2")), LEDGER_SUPERSEDED);
    scene_open(scene);
    world_end_hold(scene->world);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p4")->verdict, LEDGER_ELSEWHERE);
    assert_int_equal(desk_ask(&scene->two, "acme/2", "p4")->verdict, LEDGER_ELSEWHERE);
    assert_text(desk_look(&scene->two, "acme/1")->mode, "process");
    assert_int_equal(world_used(scene->world, "g"), 3);
    assert_int_equal(desk_condemn(&scene->two, "p2"), LEDGER_OK);
    assert_int_equal(desk_condemn(&scene->two, "p1"), LEDGER_SUPERSEDED_PERMIT);
}

static void a_leader_that_was_faster_takes_nothing_from_an_owner(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    scene_empty(scene);
    assert_int_equal(say(&scene->two, listed("acme/1", "p1", "sandbox-1")), LEDGER_OK);
    assert_int_equal(desk_extend(&scene->one, "p1", 600000), LEDGER_NOT_NOW);
    desk_pulse(&scene->one);
    assert_int_equal(scene->one.lost_count, 0);
    assert_false(ledger_lease_is_valid(scene->one.ledger));
    assert_int_equal(say(&scene->one, desk_claim("acme/1", "p1")), LEDGER_OK);
    assert_int_equal(desk_extend(&scene->one, "p1", 600000), LEDGER_OK);
    scene_open(scene);
    assert_int_equal(scene->one.lost_count, 0);
    assert_true(ledger_lease_is_valid(scene->one.ledger));
}

/* The leader's list was older than the kill. */
static void a_sandbox_that_its_holder_killed_meanwhile_is_released(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    scene_empty(scene);
    assert_int_equal(say(&scene->two, listed("acme/1", "p1", "sandbox-1")), LEDGER_OK);
    desk_release(&scene->one, "p1", "acme/1", BOTH);
    assert_int_equal(world_used(scene->world, "g"), 0);
    assert_text(desk_look(&scene->one, "acme/1")->state, "idle");
    assert_int_equal(say(&scene->two, listed("acme/4", "p4", "sandbox-4")), LEDGER_OK);
    desk_release(&scene->one, "p4", NULL, LEDGER_RELEASE_PERMIT); /* its custody knows of no claim */
    assert_text(desk_look(&scene->one, "acme/4")->state, "idle");
    (void)say(&scene->one,
              desk_claim("acme/3", "p3")); /* its claim stays, and names the permit that went back */
    desk_release(&scene->one, "p3", NULL, LEDGER_RELEASE_PERMIT);
    assert_int_equal(say(&scene->two, listed("acme/3", "p3", "sandbox-3")), LEDGER_SUPERSEDED_PERMIT);
    assert_int_equal(world_used(scene->world, "g"), 0);
    assert_int_equal(say(&scene->two, listed("acme/2", "p2", "sandbox-2")), LEDGER_OK);
    scene_open(scene);
    desk_release(&scene->one, "p2", "acme/2", BOTH); /* now it is whose turn comes */
    assert_int_equal(world_used(scene->world, "g"), 1);
    assert_text(desk_look(&scene->one, "acme/2")->state, "running");
}

/* Its holder is about to kill it: nobody shall adopt it meanwhile. */
static void a_sandbox_that_its_holder_asserts_without_a_claim_is_not_adopted(void **state)
{
    struct scene *scene = *state;
    struct ledger_assertion alone = desk_claim("", "p1");
    scene_empty(scene);
    assert_int_equal(say(&scene->two, listed("acme/1", "p1", "sandbox-1")), LEDGER_OK);
    assert_int_equal(desk_assert(&scene->one, &alone), LEDGER_OK);
    assert_int_equal(say(&scene->two, listed("acme/1", "p1", "sandbox-1")), LEDGER_SUPERSEDED_PERMIT);
    struct ledger_assertion other = desk_claim("", "p9");
    assert_int_equal(say(&scene->one, desk_claim("acme/9", "p9")), LEDGER_OK);
    assert_int_equal(desk_assert(&scene->one, &other), LEDGER_OK); /* its run ended meanwhile */
    assert_text(desk_look(&scene->one, "acme/9")->state, "idle");
    desk_release(&scene->one, "p9", NULL, LEDGER_RELEASE_PERMIT);
    scene_open(scene);
    const struct ledger_acquired *answer = desk_ask(&scene->two, "acme/1", "p2");
    assert_int_equal(answer->verdict, LEDGER_GRANTED);
    assert_text(answer->permit, "p2");
    assert_int_equal(world_used(scene->world, "g"), 2);
    desk_release(&scene->one, "p1", NULL, LEDGER_RELEASE_PERMIT);
    assert_int_equal(world_used(scene->world, "g"), 1);
}

/* A permit that was asserted without it would not name it: the reaper would find no claim that may still be
 * adopted. */
static void the_permit_of_an_adopted_run_names_its_job(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_bind(&scene->one, "acme/1", "p1");
    desk_release(&scene->one, "p1", NULL, LEDGER_RELEASE_PERMIT);
    world_save(scene->world);
    scene_restore(scene);
    assert_int_equal(say(&scene->two, listed("", "p1", "sandbox-1")), LEDGER_OK);
    scene_open(scene);
    world_end_hold(scene->world);
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p2")->verdict, LEDGER_ADOPT);
    scene_lapse(scene, &scene->one);
    assert_int_equal(desk_condemn(&scene->two, "p1"), LEDGER_SUPERSEDED_PERMIT); /* it is kept */
    world_end_claim(scene->world, "acme/1");
    assert_int_equal(desk_condemn(&scene->two, "p1"), LEDGER_OK);
    assert_text(desk_look(&scene->two, "acme/1")->state, "idle");
}

/* It was cut off from Redis and not from E2B. */
static void a_worker_that_comes_back_too_late_keeps_its_hands_off(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    scene_empty(scene);
    assert_int_equal(say(&scene->two, listed("acme/1", "p1", "sandbox-1")), LEDGER_OK);
    scene_open_as(scene, &scene->two, 1); /* one says that it has asserted all, and has not */
    world_wait(scene->world, &scene->one.has_lost);
    assert_text(scene->one.lost, "p1");
    assert_int_equal(scene->one.loss, LEDGER_LOST_TO_OTHER);
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "late"), LEDGER_SUPERSEDED_PERMIT);
}

/* ---- old snapshots ---- */

static void a_claim_of_an_old_snapshot_is_taken_over_though_its_owner_lives(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_bind(&scene->one, "acme/1", "p1");
    world_save(scene->world);
    desk_release(&scene->one, "p1", "acme/1", BOTH); /* the snapshot does not know */
    scene_restore(scene);
    assert_int_equal(world_used(scene->world, "g"), 1);
    assert_int_equal(desk_extend(&scene->one, "p1", 1000), LEDGER_NOT_NOW); /* of an epoch that is over */
    scene_open(scene);
    assert_int_equal(world_used(scene->world, "g"), 0);
    assert_false(world_has_permit(scene->world, "p1"));
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->verdict, LEDGER_ELSEWHERE); /* hold */
    world_end_hold(scene->world);
    const struct ledger_acquired *answer = desk_ask(&scene->two, "acme/1", "p2");
    assert_int_equal(answer->verdict, LEDGER_ADOPT);
    assert_text(answer->permit, "p1");
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p4")->verdict,
                     LEDGER_ELSEWHERE); /* of this epoch now */
    assert_int_equal(desk_extend(&scene->two, "p1", 1000),
                     LEDGER_SUPERSEDED); /* it is not there: look, clear, run anew */
    desk_release(&scene->two, "p1", "acme/1", BOTH);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p3")->verdict, LEDGER_GRANTED);
}

static void an_owner_takes_its_own_forgotten_claim_too(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    world_save(scene->world);
    desk_release(&scene->one, "p1", "acme/1", BOTH);
    scene_restore(scene);
    scene_open(scene);
    world_end_hold(scene->world);
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p2")->verdict, LEDGER_ADOPT);
}

static void sealed_bytes_of_an_old_snapshot_are_published_by_whoever_finds_them(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    assert_int_equal(desk_seal(&scene->one, "acme/1", "p1", "the bytes"), LEDGER_OK);
    world_save(scene->world);
    scene_restore(scene);
    /* A sandbox that is still listed does not undo the verdict, nor does a run. */
    assert_int_equal(say(&scene->two, listed("acme/1", "p1", "sandbox-1")), LEDGER_SUPERSEDED);
    assert_int_equal(say(&scene->two, desk_claim("acme/1", "p9")), LEDGER_SUPERSEDED);
    scene_open(scene);
    world_end_hold(scene->world);
    const struct ledger_acquired *answer = desk_ask(&scene->two, "acme/1", "p2");
    assert_int_equal(answer->verdict, LEDGER_SEALED);
    assert_int_equal(answer->record.length, 9);
    assert_memory_equal(answer->record.data, "the bytes", 9);
}

static void what_is_asserted_overwrites_an_old_snapshot(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_ask(&scene->one, "acme/2", "p3");
    assert_int_equal(desk_seal(&scene->one, "acme/2", "p3", "of the snapshot"), LEDGER_OK);
    world_save(scene->world);
    desk_release(&scene->one, "p1", "acme/1", BOTH);
    (void)desk_ask(&scene->two, "acme/1", "p2");
    scene_restore(scene);
    struct ledger_assertion run = desk_claim("acme/1", "p2");
    run.attempt = 2;
    assert_int_equal(desk_assert(&scene->two, &run), LEDGER_OK);
    assert_int_equal(say(&scene->two, verdict("acme/2", "p4", "sealed again since")), LEDGER_OK);
    scene_open(scene);
    world_end_hold(scene->world);
    const struct ledger_claim *claim = desk_look(&scene->one, "acme/1");
    assert_text(claim->permit, "p2");
    assert_text(claim->owner, ledger_worker(scene->two.ledger));
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p5")->verdict, LEDGER_ELSEWHERE);
    assert_int_equal(world_used(scene->world, "g"), 2); /* p2 and p4 */
    scene_lapse(scene, &scene->two);
    assert_memory_equal(desk_ask(&scene->one, "acme/2", "p5")->record.data, "sealed again since", 18);
}

static void a_listed_run_of_an_old_snapshot_keeps_what_is_known_of_it(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    desk_release(&scene->one, "p1", "acme/1", BOTH);
    (void)desk_ask(&scene->one, "acme/1", "p2");
    (void)desk_bind(&scene->one, "acme/1", "p2");
    world_save(scene->world);
    scene_restore(scene);
    struct ledger_assertion seen = listed("acme/1", "p2", "sandbox-1");
    seen.limits = "g";
    assert_int_equal(desk_assert(&scene->two, &seen), LEDGER_OK);
    scene_open_as(scene, &scene->two, 1);
    assert_int_equal(world_used(scene->world, "n:acme"), 1);
    const struct ledger_acquired *answer = desk_ask(&scene->two, "acme/1", "p3");
    assert_int_equal(answer->verdict, LEDGER_ADOPT);
    assert_text(answer->permit, "p2");
    assert_text(answer->plan, "abcd");
    assert_int_equal(answer->attempt, 2);
    assert_in_range(answer->run_until_ms, 280000, 300000);
}

/* ... also the crash that its last take-over counted: nobody takes it back for an adopter of the adopter. */
static void a_crash_that_an_old_snapshot_counted_stays_counted(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    (void)desk_bind(&scene->one, "acme/1", "p1");
    scene_lapse(scene, &scene->one);
    assert_int_equal(desk_ask(&scene->two, "acme/1", "p2")->crashes, 1);
    world_save(scene->world);
    scene_restore(scene);
    assert_int_equal(say(&scene->two, listed("acme/1", "p1", "sandbox-1")), LEDGER_OK);
    scene_open_as(scene, &scene->two, 1);
    assert_int_equal(desk_ask(&scene->one, "acme/1", "p3")->crashes, 1);
    assert_int_equal(desk_adopt(&scene->one, "acme/1", "p1"), LEDGER_OK);
    assert_int_equal(desk_look(&scene->one, "acme/1")->crashes, 1);
}

static void an_earlier_copy_of_a_parked_job_cannot_be_asserted(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    desk_park(&scene->one, "p1", "acme/1", 2);
    world_save(scene->world);
    scene_restore(scene);
    struct ledger_assertion run = desk_claim("acme/1", "p2");
    run.hop = 1;
    assert_int_equal(desk_assert(&scene->two, &run), LEDGER_SUPERSEDED);
    assert_int_equal(say(&scene->two, listed("acme/1", "p1", "sandbox-1")), LEDGER_SUPERSEDED);
    run.hop = 2;
    assert_int_equal(desk_assert(&scene->two, &run), LEDGER_OK);
    scene_open(scene);
    assert_text(desk_look(&scene->one, "acme/1")->state, "running");
}

/* Another record of the job waited for its turn for long, and nobody has yet said that the job runs. */
static void a_copy_that_is_parked_in_a_rebuild_voids_no_run(void **state)
{
    struct scene *scene = *state;
    (void)desk_ask(&scene->one, "acme/1", "p1");
    scene_empty(scene);
    desk_park(&scene->one, "", "acme/1", 1);
    desk_park(&scene->two, "", "acme/1", 1);
    struct ledger_assertion run = desk_claim("acme/1", "p1");
    assert_int_equal(desk_assert(&scene->one, &run), LEDGER_OK);
    scene_open(scene);
    assert_text(desk_look(&scene->two, "acme/1")->state, "running");
    desk_park(&scene->two, "", "acme/2", 1);
    assert_text(desk_look(&scene->two, "acme/2")->state, "parked");
}

static void a_leader_is_told_how_far_behind_a_snapshot_is(void **state)
{
    struct scene *scene = *state;
    world_save(scene->world);
    world_sleep(scene->world, 300);
    scene_restore(scene);
    const struct ledger_lead *lead = desk_lead(&scene->one);
    assert_in_range(lead->behind_ms, 300, 20000);
    int64_t behind_ms = lead->behind_ms;
    world_age_rebuild(scene->world, 60000);
    world_save(scene->world);
    scene_restore(scene); /* once more, before it was ready: what was missing then is missing now */
    assert_true(desk_lead(&scene->one)->behind_ms >= behind_ms + 60000);
    scene_empty(scene);
    assert_int_equal(desk_lead(&scene->one)->behind_ms, -1);
    world_save(scene->world);
    scene_restore(scene);
    assert_int_equal(desk_lead(&scene->one)->behind_ms, -1);
}

/* ---- clocks ---- */

static void a_clock_that_steps_means_a_rebuild_and_its_times_do_not_last(void **state)
{
    struct scene *scene = *state;
    static const int64_t steps_ms[] = {3600000, -3600000};
    for (size_t i = 0; i < ARRAY_LENGTH(steps_ms); i++) {
        char permit[8], job[16];
        snprintf(permit, sizeof permit, "p%zu", i);
        snprintf(job, sizeof job, "acme/%zu", i);
        struct ledger_acquire wish = desk_wish(job, permit);
        wish.create_milli_per_s = 1000;
        assert_int_equal(desk_acquire(&scene->one, &wish)->verdict, LEDGER_GRANTED);
        world_plant_worker(scene->world, "ghost"); /* its lease must not last an hour */
        scene_silence(scene);
        world_step_clock(scene->world, steps_ms[i]);
        scene_await_rebuild(scene, &scene->one);
        scene_await_rebuild(scene, &scene->two);
        assert_int_equal(desk_ask(&scene->two, "acme/9", "p9")->verdict, LEDGER_NOT_READY);
        assert_int_equal(say(&scene->one, desk_claim(job, permit)), LEDGER_OK);
        desk_census(&scene->one);
        for (size_t k = 0; k < scene->one.permit_count; k++)
            if (strcmp(scene->one.permits[k].permit, permit) == 0)
                assert_in_range(scene->one.permits[k].horizon_ms, 400000, 420000);
        assert_true(world_lease_left(scene->world, "ghost") <= LEDGER_LEASE_MS);
        world_lapse(scene->world, "ghost");
        scene_open(scene);
        world_end_hold(scene->world);
        assert_int_equal(desk_ask(&scene->two, job, "p8")->verdict, LEDGER_ELSEWHERE);
        /* The bucket's bookings were of another time. */
        wish.job = "acme/7";
        wish.permit = "p7";
        assert_int_equal(desk_acquire(&scene->one, &wish)->verdict, LEDGER_GRANTED);
        desk_release(&scene->one, "p7", "acme/7", BOTH);
        desk_release(&scene->one, permit, job, BOTH);
    }
}

/* ---- a program that asserts nothing ---- */

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static void on_granted(struct ledger_call *call, const struct error *error,
                       const struct ledger_acquired *answer)
{
    assert_null(error);
    assert_int_equal(answer->verdict, LEDGER_GRANTED);
    *(bool *)call->arg = true;
}

static void a_rebuild_waits_until_who_asserts_nothing_holds_nothing(void **state)
{
    struct scene *scene = *state;
    static const struct log silent = {.level = LOG_LEVEL_NONE};
    struct error error;
    struct ledger *plain = ledger_new(&(struct ledger_options){.loop = world_loop(scene->world),
                                                               .random = &scene->one.random,
                                                               .log = &silent,
                                                               .url = world_url(scene->world),
                                                               .name = "default",
                                                               .worker = "plain"},
                                      &error);
    assert_non_null(plain);
    while (ledger_state(plain) != LEDGER_READY)
        world_sleep(scene->world, 5);
    bool is_granted = false, is_closed = false;
    struct ledger_call call = {.arg = &is_granted};
    struct ledger_acquire wish = desk_wish("acme/1", "p1");
    ledger_acquire(plain, &call, &wish, on_granted);
    world_wait(scene->world, &is_granted);
    scene_empty(scene);
    while (ledger_state(plain) != LEDGER_REBUILDING)
        world_sleep(scene->world, 5);
    assert_int_equal(desk_asserted(&scene->one), LEDGER_OK);
    assert_int_equal(desk_asserted(&scene->two), LEDGER_OK);
    world_age_rebuild(scene->world, 6000);
    assert_int_equal(desk_ready(&scene->one, 0), LEDGER_NOT_NOW);
    ledger_release(plain, "p1", "acme/1", BOTH);
    for (int i = 0; i < 1000 && desk_ready(&scene->one, 0) != LEDGER_OK; i++)
        world_sleep(scene->world, 10);
    desk_wait_ready(&scene->one);
    ledger_close(plain, 1000, set_flag, &is_closed);
    world_wait(scene->world, &is_closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_ledger_grants_nothing_until_ready_and_waits_5_s),
        cmocka_unit_test(sandboxes_of_a_ledger_that_nobody_remembers_mean_120_s),
        IN_SCENE(an_emptied_ledger_is_ready_after_5_s_once_all_have_asserted),
        IN_SCENE(a_worker_that_does_not_come_back_is_waited_for_120_s),
        IN_SCENE(who_left_with_permits_is_remembered_and_who_left_with_none_is_not),
        IN_SCENE(who_leaves_during_a_rebuild_is_not_waited_for),
        IN_SCENE(a_ledger_is_not_ready_before_its_leaders_marks_have_arrived),
        IN_SCENE(what_was_said_before_a_second_loss_does_not_count),
        IN_SCENE(a_broken_connection_asks_again_until_all_was_asserted),
        IN_SCENE(a_verdict_that_waited_for_the_ledger_comes_before_adoption),
        IN_SCENE(a_permit_that_was_not_asserted_is_not_there),
        IN_SCENE(a_lease_is_valid_again_once_all_was_asserted_or_released),
        IN_SCENE(an_asserted_run_is_its_owners_as_before),
        IN_SCENE(an_unbound_permit_is_asserted_and_bound_later),
        IN_SCENE(assertions_count_above_every_limit),
        IN_SCENE(the_second_holder_of_a_permit_lets_go_of_it),
        IN_SCENE(a_later_attempt_has_the_claim_whoever_speaks_first),
        IN_SCENE(a_verdict_beats_a_run_whoever_speaks_first),
        IN_SCENE(what_kafka_holds_is_done_whoever_says_that_it_runs),
        IN_SCENE(a_cancel_of_a_job_that_is_asserted_later_reaches_its_owner),
        IN_SCENE(a_cancel_outlives_a_doubt_about_the_clock),
        IN_SCENE(what_nobody_asserts_is_adopted_by_the_next_who_asks),
        IN_SCENE(an_owners_word_beats_the_leaders),
        IN_SCENE(a_leader_that_was_faster_takes_nothing_from_an_owner),
        IN_SCENE(a_sandbox_that_its_holder_killed_meanwhile_is_released),
        IN_SCENE(a_sandbox_that_its_holder_asserts_without_a_claim_is_not_adopted),
        IN_SCENE(the_permit_of_an_adopted_run_names_its_job),
        IN_SCENE(a_worker_that_comes_back_too_late_keeps_its_hands_off),
        IN_SCENE(a_claim_of_an_old_snapshot_is_taken_over_though_its_owner_lives),
        IN_SCENE(an_owner_takes_its_own_forgotten_claim_too),
        IN_SCENE(sealed_bytes_of_an_old_snapshot_are_published_by_whoever_finds_them),
        IN_SCENE(what_is_asserted_overwrites_an_old_snapshot),
        IN_SCENE(a_listed_run_of_an_old_snapshot_keeps_what_is_known_of_it),
        IN_SCENE(a_crash_that_an_old_snapshot_counted_stays_counted),
        IN_SCENE(an_earlier_copy_of_a_parked_job_cannot_be_asserted),
        IN_SCENE(a_copy_that_is_parked_in_a_rebuild_voids_no_run),
        IN_SCENE(a_leader_is_told_how_far_behind_a_snapshot_is),
        IN_SCENE(a_clock_that_steps_means_a_rebuild_and_its_times_do_not_last),
        IN_SCENE(a_rebuild_waits_until_who_asserts_nothing_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
