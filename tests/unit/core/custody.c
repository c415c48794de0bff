#include "core/custody.h"
#include "test.h"
#include "walk.h"

#include <stdio.h>

static const struct custody_times times = {
    .live_ms = 300000, .is_rolling = true, .slack_ms = 120000, .lead_ms = 600000, .doubt_ends_ms = 120000};

static enum custody_order tell(struct custody *custody, enum custody_event_kind kind, int64_t now_ms)
{
    struct custody_event event = {.kind = kind, .now_ms = now_ms};
    return custody_advance(custody, &event);
}

/* A list that took long shows what was there when it was asked for: a create that is carried out after that,
 * and still in time, is not on it. */
static void an_answer_counts_from_when_the_look_was_begun(void **state)
{
    (void)state;
    struct custody custody;
    custody_init(&custody, &times, 0);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_UNANSWERED, 30000), CUSTODY_ORDER_WAIT);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_DEADLINE, 114000), CUSTODY_ORDER_LOOK);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_ABSENT, 122000), CUSTODY_ORDER_WAIT);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_DEADLINE, custody.deadline_ms), CUSTODY_ORDER_LOOK);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_ABSENT, custody.look_ms + 8000), CUSTODY_ORDER_RELEASE);
}

/* E2B extends it every time and no answer arrives: it lives long after the end that was last confirmed. */
static void a_sandbox_whose_extensions_are_not_answered_is_not_given_up_early(void **state)
{
    (void)state;
    struct custody custody;
    custody_init(&custody, &times, 0);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_CREATED, 0), CUSTODY_ORDER_WAIT);
    int64_t now_ms = 0;
    while (now_ms < 10 * times.live_ms) {
        now_ms = custody.deadline_ms;
        assert_int_equal(tell(&custody, CUSTODY_EVENT_DEADLINE, now_ms), CUSTODY_ORDER_EXTEND_PERMIT);
        assert_int_equal(tell(&custody, CUSTODY_EVENT_PERMIT_EXTENDED, now_ms), CUSTODY_ORDER_EXTEND_SANDBOX);
        assert_int_equal(tell(&custody, CUSTODY_EVENT_SANDBOX_NOT_EXTENDED, now_ms + 10000),
                         CUSTODY_ORDER_WAIT);
    }
    assert_int_equal(tell(&custody, CUSTODY_EVENT_UNWANTED, now_ms), CUSTODY_ORDER_KILL);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_KILL_FAILED, now_ms), CUSTODY_ORDER_WAIT);
    int64_t over_ms = now_ms + times.live_ms + times.slack_ms;
    assert_int_equal(tell(&custody, CUSTODY_EVENT_KILL_FAILED, over_ms), CUSTODY_ORDER_FORGET);
}

/* Redis is away for nine minutes: the lead that each extension books is there to be used. */
static void a_rolling_sandbox_outlives_an_outage_of_the_ledger(void **state)
{
    (void)state;
    struct custody custody;
    custody_init(&custody, &times, 0);
    (void)tell(&custody, CUSTODY_EVENT_CREATED, 0);
    struct custody_event bound = {.kind = CUSTODY_EVENT_BOUND, .now_ms = 20, .asked_ms = 10};
    assert_int_equal(custody_advance(&custody, &bound), CUSTODY_ORDER_WAIT);
    int64_t sandbox_ends_ms = times.live_ms;
    for (int i = 0; i < 6; i++) {
        int64_t now_ms = custody.deadline_ms;
        assert_true(now_ms < sandbox_ends_ms);
        assert_int_equal(tell(&custody, CUSTODY_EVENT_DEADLINE, now_ms), CUSTODY_ORDER_EXTEND_PERMIT);
        assert_int_equal(tell(&custody, CUSTODY_EVENT_PERMIT_NOT_EXTENDED, now_ms),
                         CUSTODY_ORDER_EXTEND_SANDBOX);
        sandbox_ends_ms = now_ms + times.live_ms;
        assert_true(sandbox_ends_ms + times.slack_ms <= 10 + custody_horizon_ms(&times));
        assert_int_equal(tell(&custody, CUSTODY_EVENT_SANDBOX_EXTENDED, now_ms), CUSTODY_ORDER_WAIT);
    }
    int64_t now_ms = custody.deadline_ms;
    assert_int_equal(tell(&custody, CUSTODY_EVENT_DEADLINE, now_ms), CUSTODY_ORDER_EXTEND_PERMIT);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_PERMIT_NOT_EXTENDED, now_ms), CUSTODY_ORDER_WAIT);
}

/* Stopped for minutes with the answer in its socket: the horizon counts from the asking, and E2B would give
 * the sandbox a whole life from now. */
static void an_old_extension_of_the_permit_is_asked_for_anew(void **state)
{
    (void)state;
    struct custody_times once = times;
    once.is_rolling = false;
    struct custody custody;
    assert_int_equal(custody_init_adopted(&custody, &once, 0), CUSTODY_ORDER_EXTEND_PERMIT);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_PERMIT_EXTENDED, 130000), CUSTODY_ORDER_EXTEND_PERMIT);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_PERMIT_EXTENDED, 135000), CUSTODY_ORDER_EXTEND_SANDBOX);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_SANDBOX_EXTENDED, 136000), CUSTODY_ORDER_WAIT);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_HAND_OVER, 140000), CUSTODY_ORDER_EXTEND_PERMIT);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_PERMIT_EXTENDED, 270000), CUSTODY_ORDER_EXTEND_PERMIT);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_PERMIT_EXTENDED, 271000), CUSTODY_ORDER_EXTEND_SANDBOX);
}

static void an_adopted_sandbox_is_extended_before_it_is_used(void **state)
{
    (void)state;
    struct custody custody;
    assert_int_equal(custody_init_adopted(&custody, &times, 5), CUSTODY_ORDER_EXTEND_PERMIT);
    assert_int_equal(custody.state, CUSTODY_LIVE);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_PERMIT_NOT_EXTENDED, 6), CUSTODY_ORDER_WAIT);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_DEADLINE, custody.deadline_ms),
                     CUSTODY_ORDER_EXTEND_PERMIT);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_PERMIT_EXTENDED, 3000), CUSTODY_ORDER_EXTEND_SANDBOX);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_SANDBOX_EXTENDED, 3001), CUSTODY_ORDER_WAIT);
    assert_int_equal(custody.deadline_ms, 3001 + times.live_ms / 3);
}

static void a_run_that_is_handed_over_is_extended_then_yielded(void **state)
{
    (void)state;
    struct custody custody;
    custody_init(&custody, &times, 0);
    (void)tell(&custody, CUSTODY_EVENT_CREATED, 0);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_HAND_OVER, 50), CUSTODY_ORDER_EXTEND_PERMIT);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_PERMIT_EXTENDED, 60), CUSTODY_ORDER_EXTEND_SANDBOX);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_SANDBOX_EXTENDED, 70), CUSTODY_ORDER_YIELD);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_YIELDED, 80), CUSTODY_ORDER_FORGET);
}

/* ---- every state and every event ---- */

enum situation {
    CREATING,
    CREATING_UNWANTED,
    DOUBTFUL,      /* a look begun before the doubt ends */
    DOUBTFUL_LATE, /* ... and one begun after it */
    DOUBTFUL_OVER, /* the sandbox's latest end and the slack behind it have passed */
    LIVE,
    LIVE_COVERED, /* the permit is sure to stand for long */
    LIVE_STALE,   /* its extension was asked for long ago */
    HANDING,
    HANDING_STALE,
    KILLING,
    KILLING_OVER,
    GONE,
    SITUATION_COUNT
};

/* The order and the state after it. What is not there may not come. */
/* clang-format off */
static const char *const table[SITUATION_COUNT][CUSTODY_EVENT_COUNT] = {
    [CREATING] = {
        [CUSTODY_EVENT_CREATED] = "wait live", [CUSTODY_EVENT_REFUSED] = "release gone",
        [CUSTODY_EVENT_UNANSWERED] = "wait doubtful",
        [CUSTODY_EVENT_UNWANTED] = "wait creating",
        [CUSTODY_EVENT_SUPERSEDED] = "forget gone"},
    [CREATING_UNWANTED] = {
        [CUSTODY_EVENT_CREATED] = "kill killing", [CUSTODY_EVENT_REFUSED] = "release gone",
        [CUSTODY_EVENT_UNANSWERED] = "wait doubtful",
        [CUSTODY_EVENT_UNWANTED] = "wait creating",
        [CUSTODY_EVENT_SUPERSEDED] = "forget gone"},
    [DOUBTFUL] = {
        [CUSTODY_EVENT_FOUND] = "kill killing", [CUSTODY_EVENT_ABSENT] = "wait doubtful",
        [CUSTODY_EVENT_LOOK_FAILED] = "wait doubtful",
        [CUSTODY_EVENT_DEADLINE] = "look doubtful",
        [CUSTODY_EVENT_UNWANTED] = "wait doubtful",
        [CUSTODY_EVENT_SUPERSEDED] = "forget gone"},
    [DOUBTFUL_LATE] = {
        [CUSTODY_EVENT_FOUND] = "kill killing", [CUSTODY_EVENT_ABSENT] = "release gone",
        [CUSTODY_EVENT_LOOK_FAILED] = "wait doubtful",
        [CUSTODY_EVENT_DEADLINE] = "look doubtful",
        [CUSTODY_EVENT_UNWANTED] = "wait doubtful",
        [CUSTODY_EVENT_SUPERSEDED] = "forget gone"},
    [DOUBTFUL_OVER] = {
        [CUSTODY_EVENT_FOUND] = "kill killing", [CUSTODY_EVENT_ABSENT] = "release gone",
        [CUSTODY_EVENT_LOOK_FAILED] = "forget gone",
        [CUSTODY_EVENT_DEADLINE] = "look doubtful",
        [CUSTODY_EVENT_UNWANTED] = "wait doubtful",
        [CUSTODY_EVENT_SUPERSEDED] = "forget gone"},
    [LIVE] = {
        [CUSTODY_EVENT_DEADLINE] = "extend permit live",
        [CUSTODY_EVENT_BOUND] = "wait live",
        [CUSTODY_EVENT_PERMIT_EXTENDED] = "extend sandbox live",
        [CUSTODY_EVENT_PERMIT_NOT_EXTENDED] = "wait live",
        [CUSTODY_EVENT_SANDBOX_EXTENDED] = "wait live",
        [CUSTODY_EVENT_SANDBOX_NOT_EXTENDED] = "wait live",
        [CUSTODY_EVENT_HAND_OVER] = "extend permit handing",
        [CUSTODY_EVENT_UNWANTED] = "kill killing",
        [CUSTODY_EVENT_SUPERSEDED] = "forget gone"},
    [LIVE_COVERED] = {
        [CUSTODY_EVENT_DEADLINE] = "extend permit live", [CUSTODY_EVENT_BOUND] = "wait live",
        [CUSTODY_EVENT_PERMIT_EXTENDED] = "extend sandbox live",
        [CUSTODY_EVENT_PERMIT_NOT_EXTENDED] = "extend sandbox live",
        [CUSTODY_EVENT_SANDBOX_EXTENDED] = "wait live",
        [CUSTODY_EVENT_SANDBOX_NOT_EXTENDED] = "wait live",
        [CUSTODY_EVENT_HAND_OVER] = "extend permit handing", [CUSTODY_EVENT_UNWANTED] = "kill killing",
        [CUSTODY_EVENT_SUPERSEDED] = "forget gone"},
    [LIVE_STALE] = {
        [CUSTODY_EVENT_DEADLINE] = "extend permit live",
        [CUSTODY_EVENT_BOUND] = "wait live",
        [CUSTODY_EVENT_PERMIT_EXTENDED] = "extend permit live",
        [CUSTODY_EVENT_PERMIT_NOT_EXTENDED] = "wait live",
        [CUSTODY_EVENT_SANDBOX_EXTENDED] = "wait live",
        [CUSTODY_EVENT_SANDBOX_NOT_EXTENDED] = "wait live",
        [CUSTODY_EVENT_HAND_OVER] = "extend permit handing",
        [CUSTODY_EVENT_UNWANTED] = "kill killing",
        [CUSTODY_EVENT_SUPERSEDED] = "forget gone"},
    [HANDING_STALE] = {
        [CUSTODY_EVENT_BOUND] = "wait handing",
        [CUSTODY_EVENT_PERMIT_EXTENDED] = "extend permit handing",
        [CUSTODY_EVENT_PERMIT_NOT_EXTENDED] = "yield handing",
        [CUSTODY_EVENT_SANDBOX_EXTENDED] = "yield handing",
        [CUSTODY_EVENT_SANDBOX_NOT_EXTENDED] = "yield handing",
        [CUSTODY_EVENT_YIELDED] = "forget gone", [CUSTODY_EVENT_NOT_YIELDED] = "forget gone",
        [CUSTODY_EVENT_UNWANTED] = "kill killing", [CUSTODY_EVENT_SUPERSEDED] = "forget gone"},
    [HANDING] = {
        [CUSTODY_EVENT_BOUND] = "wait handing",
        [CUSTODY_EVENT_PERMIT_EXTENDED] = "extend sandbox handing",
        [CUSTODY_EVENT_PERMIT_NOT_EXTENDED] = "yield handing",
        [CUSTODY_EVENT_SANDBOX_EXTENDED] = "yield handing",
        [CUSTODY_EVENT_SANDBOX_NOT_EXTENDED] = "yield handing",
        [CUSTODY_EVENT_YIELDED] = "forget gone", [CUSTODY_EVENT_NOT_YIELDED] = "forget gone",
        [CUSTODY_EVENT_UNWANTED] = "kill killing", [CUSTODY_EVENT_SUPERSEDED] = "forget gone"},
    [KILLING] = {
        [CUSTODY_EVENT_BOUND] = "wait killing",
        [CUSTODY_EVENT_DEADLINE] = "kill killing",
        [CUSTODY_EVENT_UNWANTED] = "wait killing",
        [CUSTODY_EVENT_KILLED] = "release gone", [CUSTODY_EVENT_KILL_FAILED] = "wait killing",
        [CUSTODY_EVENT_SUPERSEDED] = "forget gone"},
    [KILLING_OVER] = {
        [CUSTODY_EVENT_BOUND] = "wait killing",
        [CUSTODY_EVENT_DEADLINE] = "kill killing",
        [CUSTODY_EVENT_UNWANTED] = "wait killing",
        [CUSTODY_EVENT_KILLED] = "release gone", [CUSTODY_EVENT_KILL_FAILED] = "forget gone",
        [CUSTODY_EVENT_SUPERSEDED] = "forget gone"},
    [GONE] = {NULL}};
/* clang-format on */

static const char *const orders[] = {
    [CUSTODY_ORDER_WAIT] = "wait",
    [CUSTODY_ORDER_LOOK] = "look",
    [CUSTODY_ORDER_EXTEND_PERMIT] = "extend permit",
    [CUSTODY_ORDER_EXTEND_SANDBOX] = "extend sandbox",
    [CUSTODY_ORDER_YIELD] = "yield",
    [CUSTODY_ORDER_KILL] = "kill",
    [CUSTODY_ORDER_RELEASE] = "release",
    [CUSTODY_ORDER_FORGET] = "forget",
};

/* Returns: the time in that situation. */
static int64_t enter_situation(struct custody *custody, enum situation situation)
{
    static const int64_t times_ms[SITUATION_COUNT] = {
        [DOUBTFUL] = 100000,     [DOUBTFUL_LATE] = 120000, [DOUBTFUL_OVER] = 420000,
        [KILLING_OVER] = 420000, [LIVE_STALE] = 700000,    [HANDING_STALE] = 700000};
    int64_t now_ms = times_ms[situation];
    custody_init(custody, &times, 0);
    if (situation == CREATING_UNWANTED)
        (void)tell(custody, CUSTODY_EVENT_UNWANTED, 0);
    if (situation >= LIVE && situation <= KILLING_OVER)
        (void)tell(custody, CUSTODY_EVENT_CREATED, 0);
    if (situation == LIVE_COVERED)
        (void)tell(custody, CUSTODY_EVENT_PERMIT_EXTENDED, 0);
    if (situation == HANDING || situation == HANDING_STALE)
        (void)tell(custody, CUSTODY_EVENT_HAND_OVER, 0);
    if (situation == KILLING || situation == KILLING_OVER)
        (void)tell(custody, CUSTODY_EVENT_UNWANTED, 0);
    if (situation == DOUBTFUL || situation == DOUBTFUL_LATE || situation == DOUBTFUL_OVER) {
        (void)tell(custody, CUSTODY_EVENT_UNANSWERED, 30000);
        (void)tell(custody, CUSTODY_EVENT_DEADLINE, now_ms);
    }
    if (situation == GONE)
        (void)tell(custody, CUSTODY_EVENT_REFUSED, 0);
    return now_ms;
}

static void every_state_answers_every_event_as_the_table_says(void **state)
{
    (void)state;
    for (int situation = 0; situation < SITUATION_COUNT; situation++) {
        for (int kind = 0; kind < CUSTODY_EVENT_COUNT; kind++) {
            struct custody custody;
            int64_t now_ms = enter_situation(&custody, (enum situation)situation);
            char actual[64] = "-";
            if (custody_accepts(custody.state, (enum custody_event_kind)kind)) {
                enum custody_order order = tell(&custody, (enum custody_event_kind)kind, now_ms);
                (void)snprintf(actual, sizeof actual, "%s %s", orders[order],
                               custody_state_name(custody.state));
            }
            const char *expected = table[situation][kind];
            assert_text(actual, expected ? expected : "-");
        }
    }
}

static void what_a_predecessor_left_is_killed_or_looked_for(void **state)
{
    (void)state;
    struct custody custody;
    assert_int_equal(custody_init_left(&custody, &times, /* is_known= */ true, 5), CUSTODY_ORDER_KILL);
    assert_int_equal(custody.state, CUSTODY_KILLING);
    assert_int_equal(custody_init_left(&custody, &times, /* is_known= */ false, 5), CUSTODY_ORDER_LOOK);
    assert_int_equal(custody.state, CUSTODY_DOUBTFUL);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_ABSENT, 10), CUSTODY_ORDER_WAIT);
}

/* ---- random walks beside a small world: one sandbox at E2B, one permit in the ledger ---- */

enum {
    CREATE_MS = 30000, /* deadline of a create */
    LATE_MS = 75000,   /* a request may still be carried out so long after its client left */
    CALL_MS = 10000,   /* deadline of every other call */
    GRANT_MS = 10000,
    NEVER = -1,
};

struct world {
    struct walk walk;
    struct custody custody;
    int64_t now_ms;
    unsigned events, unwanted_events;
    /* E2B */
    int64_t made_ms; /* NEVER: a create is not, or will not be, carried out */
    int64_t dead_ms; /* killed at; NEVER: not yet */
    int64_t ends_ms; /* the latest own end that an accepted request gives it */
    /* the ledger */
    int64_t horizon_ms;
    int64_t permit_asked_ms;
    /* the call under way */
    enum custody_order call; /* WAIT: none, or the create while CREATING */
    bool was_yielded;
    bool is_ledger_away; /* in all of this walk, but for what bind said */
    bool is_leaky;       /* E2B answers nothing well in this walk's later part */
};

static bool is_alive_at(const struct world *world, int64_t at_ms)
{
    bool was_killed = world->dead_ms != NEVER && world->dead_ms <= at_ms;
    return world->made_ms != NEVER && world->made_ms <= at_ms && at_ms < world->ends_ms && !was_killed;
}

/* Whether it lives now or may come to life later. */
static bool may_live(const struct world *world)
{
    bool is_coming = world->made_ms != NEVER && world->made_ms > world->now_ms;
    return is_coming || is_alive_at(world, world->now_ms);
}

static void begin(struct world *world)
{
    struct walk *walk = &world->walk;
    struct custody_times own = times;
    own.live_ms = walk_one_in(walk, 3) ? 40000 : times.live_ms;
    own.is_rolling = own.live_ms == times.live_ms && !walk_one_in(walk, 4);
    world->now_ms = walk_below(walk, GRANT_MS); /* acquire was sent at 0 */
    world->horizon_ms = GRANT_MS + CREATE_MS + LATE_MS + own.live_ms + own.slack_ms;
    world->made_ms = world->dead_ms = NEVER;
    world->is_leaky = walk_one_in(walk, 5);
    world->is_ledger_away = walk_one_in(walk, 5);
    if (!walk_one_in(walk, 5)) {
        custody_init(&world->custody, &own, world->now_ms);
        return;
    }
    /* Or: what a predecessor left, made by the same rules a while ago; perhaps its create is still on its
     * way. */
    bool is_known = walk_one_in(walk, 2);
    bool is_run = is_known && walk_one_in(walk, 2); /* that goes on */
    if (is_known || !walk_one_in(walk, 3))
        world->made_ms = world->now_ms + (is_known ? 0 : walk_below(walk, CREATE_MS + LATE_MS));
    world->ends_ms = world->made_ms + own.live_ms;
    world->call = is_run ? custody_init_adopted(&world->custody, &own, world->now_ms)
                         : custody_init_left(&world->custody, &own, is_known, world->now_ms);
}

/* Bind, now or at any time after the create. */
static struct custody_event bound(struct world *world)
{
    struct custody_event event = {
        .kind = CUSTODY_EVENT_BOUND, .now_ms = world->now_ms, .asked_ms = world->now_ms};
    world->horizon_ms = MAX(world->horizon_ms, world->now_ms + custody_horizon_ms(&world->custody.times));
    return event;
}

static enum custody_event_kind answer_create(struct world *world)
{
    struct walk *walk = &world->walk;
    int64_t booked_ms = world->custody.init_ms;
    int64_t sent_ms = booked_ms + walk_below(walk, GRANT_MS - booked_ms); /* as long as the grant is good */
    int64_t answered_ms = sent_ms + walk_below(walk, CREATE_MS);
    switch (walk_below(walk, 4)) {
    case 0:
        world->now_ms = MAX(world->now_ms, answered_ms);
        return CUSTODY_EVENT_REFUSED;
    case 1: /* no answer: made before, made late, or never */
        world->now_ms =
            MAX(world->now_ms, sent_ms + (walk_one_in(walk, 2) ? CREATE_MS : answered_ms - sent_ms));
        if (!walk_one_in(walk, 3)) {
            world->made_ms = walk_one_in(walk, 2) ? sent_ms : sent_ms + walk_below(walk, CREATE_MS + LATE_MS);
            world->ends_ms = world->made_ms + world->custody.times.live_ms;
        }
        return CUSTODY_EVENT_UNANSWERED;
    default:
        world->now_ms = MAX(world->now_ms, answered_ms);
        world->made_ms = world->now_ms - walk_below(walk, world->now_ms - sent_ms + 1);
        world->ends_ms = world->made_ms + world->custody.times.live_ms;
        return CUSTODY_EVENT_CREATED;
    }
}

static enum custody_event_kind answer_look(struct world *world, int64_t begun_ms)
{
    bool is_listed = is_alive_at(world, begun_ms + walk_below(&world->walk, world->now_ms - begun_ms + 1));
    if (walk_one_in(&world->walk, world->is_leaky ? 1 : 6))
        return CUSTODY_EVENT_LOOK_FAILED;
    return is_listed ? CUSTODY_EVENT_FOUND : CUSTODY_EVENT_ABSENT;
}

static enum custody_event_kind answer_permit(struct world *world, int64_t begun_ms)
{
    struct walk *walk = &world->walk;
    int64_t done_ms = begun_ms + walk_below(walk, world->now_ms - begun_ms + 1);
    bool is_done = !world->is_ledger_away && !walk_one_in(walk, 4);
    if (is_done)
        world->horizon_ms = MAX(world->horizon_ms, done_ms + custody_horizon_ms(&world->custody.times));
    if (walk_one_in(walk, 10)) /* stopped before it hears of it */
        world->now_ms += walk_below(walk, 2 * world->custody.times.slack_ms);
    return is_done && !walk_one_in(walk, 4) ? CUSTODY_EVENT_PERMIT_EXTENDED
                                            : CUSTODY_EVENT_PERMIT_NOT_EXTENDED;
}

/* An answer is given within the call's time; a request without one may be carried out late. */
static enum custody_event_kind answer_sandbox(struct world *world, int64_t begun_ms)
{
    struct walk *walk = &world->walk;
    bool is_answered = !world->is_leaky && !walk_one_in(walk, 3);
    int64_t late_ms = is_answered ? world->now_ms - begun_ms + 1 : CALL_MS + LATE_MS;
    int64_t done_ms = begun_ms + walk_below(walk, late_ms);
    bool is_done = is_alive_at(world, done_ms) && (is_answered || !walk_one_in(walk, 3));
    if (is_done)
        world->ends_ms = MAX(world->ends_ms, done_ms + world->custody.times.live_ms);
    if (is_answered && !is_done)
        return CUSTODY_EVENT_UNWANTED; /* 404: it seems gone */
    return is_answered ? CUSTODY_EVENT_SANDBOX_EXTENDED : CUSTODY_EVENT_SANDBOX_NOT_EXTENDED;
}

static enum custody_event_kind answer_kill(struct world *world)
{
    struct walk *walk = &world->walk;
    bool fails = walk_one_in(walk, world->is_leaky ? 1 : 3);
    bool is_done = !world->is_leaky && (!fails || walk_one_in(walk, 2));
    if (is_done && is_alive_at(world, world->now_ms))
        world->dead_ms = world->now_ms;
    return fails ? CUSTODY_EVENT_KILL_FAILED : CUSTODY_EVENT_KILLED;
}

static enum custody_event_kind answer(struct world *world)
{
    int64_t begun_ms = world->now_ms;
    if (world->custody.state == CUSTODY_CREATING)
        return answer_create(world);
    world->now_ms += walk_below(&world->walk, CALL_MS + 1);
    switch (world->call) {
    case CUSTODY_ORDER_LOOK:
        return answer_look(world, begun_ms);
    case CUSTODY_ORDER_EXTEND_PERMIT:
        return answer_permit(world, begun_ms);
    case CUSTODY_ORDER_EXTEND_SANDBOX:
        return answer_sandbox(world, begun_ms);
    case CUSTODY_ORDER_KILL:
        return answer_kill(world);
    case CUSTODY_ORDER_YIELD:
        world->was_yielded = walk_one_in(&world->walk, 2);
        return world->was_yielded ? CUSTODY_EVENT_YIELDED : CUSTODY_EVENT_NOT_YIELDED;
    case CUSTODY_ORDER_WAIT:
    case CUSTODY_ORDER_RELEASE:
    case CUSTODY_ORDER_FORGET:
        break;
    }
    if (world->custody.deadline_ms == INT64_MAX) /* nothing but its user can move it */
        return CUSTODY_EVENT_UNWANTED;
    world->now_ms = MAX(world->now_ms, world->custody.deadline_ms) + walk_below(&world->walk, 20);
    return CUSTODY_EVENT_DEADLINE;
}

/* What was sent before its answer is no longer wanted is carried out all the same, or not. */
static void drop_call(struct world *world)
{
    if (world->call == CUSTODY_ORDER_EXTEND_SANDBOX)
        (void)answer_sandbox(world, world->now_ms);
}

static struct custody_event next_event(struct world *world)
{
    struct walk *walk = &world->walk;
    struct custody_event event = {.kind = CUSTODY_EVENT_COUNT};
    if (custody_accepts(world->custody.state, CUSTODY_EVENT_BOUND) && walk_one_in(walk, 10))
        return bound(world);
    if (world->custody.state == CUSTODY_LIVE && walk_one_in(walk, 15))
        event.kind = CUSTODY_EVENT_HAND_OVER;
    else if (walk_one_in(walk, 15) || world->events > 60)
        event.kind = CUSTODY_EVENT_UNWANTED;
    else if (walk_one_in(walk, 150))
        event.kind = CUSTODY_EVENT_SUPERSEDED;
    else
        event.kind = answer(world);
    if (world->events > 60 && (world->custody.is_unwanted || world->custody.state == CUSTODY_KILLING))
        event.kind = answer(world);
    event.now_ms = world->now_ms;
    return event;
}

static void check_end(struct world *world, enum custody_order order, enum custody_event_kind kind)
{
    if (order == CUSTODY_ORDER_RELEASE)
        WALK_HOLDS(&world->walk, !may_live(world));
    else if (kind != CUSTODY_EVENT_SUPERSEDED && kind != CUSTODY_EVENT_YIELDED &&
             kind != CUSTODY_EVENT_NOT_YIELDED)
        WALK_HOLDS(&world->walk, !may_live(world));
    WALK_HOLDS(&world->walk, world->made_ms == NEVER || world->dead_ms != NEVER ||
                                 order == CUSTODY_ORDER_RELEASE || world->horizon_ms >= world->ends_ms);
}

/* Returns: whether it is over. */
static bool advance(struct world *world, unsigned long cells[][CUSTODY_EVENT_COUNT])
{
    struct custody *custody = &world->custody;
    struct custody before = *custody;
    enum custody_order call = world->call;
    struct custody_event event = next_event(world);
    cells[before.state][event.kind]++;
    enum custody_order order = custody_advance(custody, &event);
    bool is_answer = event.kind != CUSTODY_EVENT_UNWANTED && event.kind != CUSTODY_EVENT_SUPERSEDED &&
                     event.kind != CUSTODY_EVENT_BOUND && event.kind != CUSTODY_EVENT_HAND_OVER;
    if (!is_answer && order != CUSTODY_ORDER_WAIT)
        drop_call(world);
    if (is_answer || order != CUSTODY_ORDER_WAIT)
        world->call = order;
    WALK_HOLDS(&world->walk, custody->state >= before.state);
    WALK_HOLDS(&world->walk, order != CUSTODY_ORDER_EXTEND_SANDBOX || call == CUSTODY_ORDER_EXTEND_PERMIT);
    WALK_HOLDS(&world->walk, order != CUSTODY_ORDER_LOOK || before.state == CUSTODY_DOUBTFUL);
    /* The permit outlives the sandbox at every moment. */
    WALK_HOLDS(&world->walk, world->made_ms == NEVER || world->horizon_ms >= world->ends_ms);
    bool is_over = order == CUSTODY_ORDER_RELEASE || order == CUSTODY_ORDER_FORGET;
    WALK_HOLDS(&world->walk, is_over == (custody->state == CUSTODY_GONE));
    if (is_over)
        check_end(world, order, event.kind);
    else /* something will happen by itself, or its user has it */
        WALK_HOLDS(&world->walk, world->call != CUSTODY_ORDER_WAIT || custody->deadline_ms != INT64_MAX ||
                                     custody->state == CUSTODY_CREATING || custody->state == CUSTODY_LIVE);
    world->events++;
    if (custody->is_unwanted || custody->state == CUSTODY_KILLING)
        world->unwanted_events++;
    WALK_HOLDS(&world->walk, world->unwanted_events < 400);
    return is_over;
}

static void a_million_random_walks_keep_the_promise(void **state)
{
    (void)state;
    static unsigned long cells[CUSTODY_STATE_COUNT][CUSTODY_EVENT_COUNT];
    memset(cells, 0, sizeof cells);
    for (uint64_t i = 0; i < WALK_COUNT; i++) {
        struct world world = {.now_ms = 0};
        walk_begin(&world.walk, WALK_FIRST_SEED + i);
        begin(&world);
        while (!advance(&world, cells))
            ;
    }
    for (int s = 0; s < CUSTODY_STATE_COUNT; s++)
        for (int k = 0; k < CUSTODY_EVENT_COUNT; k++)
            assert_true(custody_accepts((enum custody_state)s, (enum custody_event_kind)k) ==
                        (cells[s][k] > 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_counts_from_when_the_look_was_begun),
        cmocka_unit_test(a_sandbox_whose_extensions_are_not_answered_is_not_given_up_early),
        cmocka_unit_test(a_rolling_sandbox_outlives_an_outage_of_the_ledger),
        cmocka_unit_test(an_old_extension_of_the_permit_is_asked_for_anew),
        cmocka_unit_test(an_adopted_sandbox_is_extended_before_it_is_used),
        cmocka_unit_test(a_run_that_is_handed_over_is_extended_then_yielded),
        cmocka_unit_test(every_state_answers_every_event_as_the_table_says),
        cmocka_unit_test(what_a_predecessor_left_is_killed_or_looked_for),
        cmocka_unit_test(a_million_random_walks_keep_the_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
