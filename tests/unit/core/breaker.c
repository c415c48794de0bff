#include "core/breaker.h"
#include "test.h"
#include "walk.h"

#include <stdio.h>

static enum breaker_order tell(struct breaker *breaker, enum breaker_event_kind kind, int64_t now_ms)
{
    struct breaker_event event = {.kind = kind, .now_ms = now_ms};
    return breaker_advance(breaker, &event);
}

static void pass_deadline(struct breaker *breaker, bool is_wanted)
{
    struct breaker_event event = {
        .kind = BREAKER_EVENT_DEADLINE, .now_ms = breaker->deadline_ms, .is_wanted = is_wanted};
    (void)breaker_advance(breaker, &event);
}

static void fail_creates(struct breaker *breaker, int count, int64_t now_ms)
{
    for (int i = 0; i < count; i++) {
        (void)tell(breaker, BREAKER_EVENT_SENT, now_ms);
        (void)tell(breaker, BREAKER_EVENT_CREATE_FAILED, now_ms);
    }
}

static void begin_closed(struct breaker *breaker)
{
    assert_int_equal(breaker_init(breaker, 0), BREAKER_ORDER_ASK);
    assert_false(breaker_admits(breaker));
    assert_int_equal(tell(breaker, BREAKER_EVENT_LISTED, 0), BREAKER_ORDER_WAIT);
    assert_int_equal(breaker->state, BREAKER_CLOSED);
}

static void nothing_goes_before_the_first_answer(void **state)
{
    (void)state;
    struct breaker breaker;
    assert_int_equal(breaker_init(&breaker, 7), BREAKER_ORDER_ASK);
    assert_false(breaker_admits(&breaker));
    assert_int_equal(tell(&breaker, BREAKER_EVENT_LIST_FAILED, 20), BREAKER_ORDER_WAIT);
    assert_int_equal(breaker.since_ms, 7);
    assert_int_equal(tell(&breaker, BREAKER_EVENT_DEADLINE, breaker.deadline_ms), BREAKER_ORDER_ASK);
    assert_int_equal(tell(&breaker, BREAKER_EVENT_LISTED, 5000), BREAKER_ORDER_WAIT);
    assert_true(breaker_admits(&breaker));
}

static void five_failed_creates_in_a_row_open_it(void **state)
{
    (void)state;
    struct breaker breaker;
    begin_closed(&breaker);
    fail_creates(&breaker, 4, 10);
    (void)tell(&breaker, BREAKER_EVENT_SENT, 11);
    (void)tell(&breaker, BREAKER_EVENT_CREATED, 12);
    fail_creates(&breaker, 4, 13);
    (void)tell(&breaker, BREAKER_EVENT_LISTED, 14); /* says nothing about creates */
    assert_true(breaker_admits(&breaker));
    fail_creates(&breaker, 1, 15);
    assert_false(breaker_admits(&breaker));
    assert_int_equal(breaker.since_ms, 15);
}

static void what_only_lists_is_tried_with_one_create_at_a_time(void **state)
{
    (void)state;
    struct breaker breaker;
    begin_closed(&breaker);
    fail_creates(&breaker, 5, 10);
    assert_int_equal(tell(&breaker, BREAKER_EVENT_DEADLINE, breaker.deadline_ms), BREAKER_ORDER_ASK);
    (void)tell(&breaker, BREAKER_EVENT_LISTED, 2000);
    assert_true(breaker_admits(&breaker));
    (void)tell(&breaker, BREAKER_EVENT_SENT, 2001);
    assert_false(breaker_admits(&breaker));
    (void)tell(&breaker, BREAKER_EVENT_CREATE_FAILED, 2002);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    (void)tell(&breaker, BREAKER_EVENT_DEADLINE, breaker.deadline_ms);
    (void)tell(&breaker, BREAKER_EVENT_LISTED, 5000);
    (void)tell(&breaker, BREAKER_EVENT_SENT, 5001);
    (void)tell(&breaker, BREAKER_EVENT_CREATED, 5002);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_int_equal(breaker.since_ms, 10);
}

/* A create from before that is not answered yet counts as the one. */
static void an_older_create_that_is_under_way_is_waited_for(void **state)
{
    (void)state;
    struct breaker breaker;
    begin_closed(&breaker);
    (void)tell(&breaker, BREAKER_EVENT_SENT, 5);
    fail_creates(&breaker, 5, 10);
    (void)tell(&breaker, BREAKER_EVENT_DEADLINE, breaker.deadline_ms);
    (void)tell(&breaker, BREAKER_EVENT_LISTED, 2000);
    assert_int_equal(breaker.state, BREAKER_TRYING);
    assert_false(breaker_admits(&breaker));
    (void)tell(&breaker, BREAKER_EVENT_DEADLINE, breaker.deadline_ms);
    assert_int_equal(breaker.state, BREAKER_TRYING);
    (void)tell(&breaker, BREAKER_EVENT_UNSENT, 70000);
    assert_true(breaker_admits(&breaker));
}

static void the_waits_between_questions_double_and_have_an_end(void **state)
{
    (void)state;
    static const int64_t waits_ms[] = {1000, 2000, 4000, 8000, 15000, 15000, 15000, 15000, 15000, 15000};
    struct breaker breaker;
    int64_t now_ms = 0;
    (void)breaker_init(&breaker, now_ms);
    for (size_t i = 0; i < ARRAY_LENGTH(waits_ms); i++) {
        (void)tell(&breaker, BREAKER_EVENT_LIST_FAILED, now_ms);
        assert_int_equal(breaker.deadline_ms - now_ms, waits_ms[i]);
        (void)tell(&breaker, BREAKER_EVENT_LIST_FAILED, now_ms + 1); /* another's */
        assert_int_equal(breaker.deadline_ms - now_ms, waits_ms[i]);
        now_ms = breaker.deadline_ms;
        assert_int_equal(tell(&breaker, BREAKER_EVENT_DEADLINE, now_ms), BREAKER_ORDER_ASK);
    }
}

static void with_nothing_to_try_the_list_has_to_do(void **state)
{
    (void)state;
    struct breaker breaker;
    begin_closed(&breaker);
    fail_creates(&breaker, 5, 10);
    (void)tell(&breaker, BREAKER_EVENT_DEADLINE, breaker.deadline_ms);
    (void)tell(&breaker, BREAKER_EVENT_LISTED, 2000);
    pass_deadline(&breaker, /* is_wanted= */ true); /* somebody will, who is kept by a limit now */
    assert_int_equal(breaker.state, BREAKER_TRYING);
    pass_deadline(&breaker, /* is_wanted= */ false);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void a_refused_key_is_closed_by_a_list_alone(void **state)
{
    (void)state;
    struct breaker breaker;
    begin_closed(&breaker);
    (void)tell(&breaker, BREAKER_EVENT_SENT, 9);
    (void)tell(&breaker, BREAKER_EVENT_REFUSED, 10);
    assert_false(breaker_admits(&breaker));
    (void)tell(&breaker, BREAKER_EVENT_CREATED, 11); /* sent before */
    assert_false(breaker_admits(&breaker));
    (void)tell(&breaker, BREAKER_EVENT_DEADLINE, breaker.deadline_ms);
    (void)tell(&breaker, BREAKER_EVENT_LISTED, 6000);
    assert_true(breaker_admits(&breaker));
}

/* ---- every state and every event ---- */

enum situation {
    CLOSED,
    CLOSED_UNDER_WAY,
    CLOSED_NEAR, /* one more failure of either kind opens it */
    OPEN,
    OPEN_ASKING,
    OPEN_EARLY,       /* must create, and it is not time yet; a create of before is under way */
    OPEN_MUST_CREATE, /* asking; creates of before are under way */
    OPEN_REFUSED,     /* asking; a create of before is under way */
    TRYING,
    TRYING_UNDER_WAY,
    SITUATION_COUNT
};

/* The order, the state after it, and + where a create may be sent then. What is not there may not come. */
/* clang-format off */
static const char *const table[SITUATION_COUNT][BREAKER_EVENT_COUNT] = {
    [CLOSED] = {
        [BREAKER_EVENT_LISTED] = "wait closed+", [BREAKER_EVENT_LIST_FAILED] = "wait closed+",
        [BREAKER_EVENT_SENT] = "wait closed+", [BREAKER_EVENT_REFUSED] = "wait open"},
    [CLOSED_UNDER_WAY] = {
        [BREAKER_EVENT_LISTED] = "wait closed+", [BREAKER_EVENT_LIST_FAILED] = "wait closed+",
        [BREAKER_EVENT_SENT] = "wait closed+",
        [BREAKER_EVENT_CREATED] = "wait closed+", [BREAKER_EVENT_CREATE_FAILED] = "wait closed+",
        [BREAKER_EVENT_UNSENT] = "wait closed+", [BREAKER_EVENT_REFUSED] = "wait open"},
    [CLOSED_NEAR] = {
        [BREAKER_EVENT_LISTED] = "wait closed+", [BREAKER_EVENT_LIST_FAILED] = "wait open",
        [BREAKER_EVENT_SENT] = "wait closed+",
        [BREAKER_EVENT_CREATED] = "wait closed+", [BREAKER_EVENT_CREATE_FAILED] = "wait open",
        [BREAKER_EVENT_UNSENT] = "wait closed+", [BREAKER_EVENT_REFUSED] = "wait open"},
    [OPEN] = {
        [BREAKER_EVENT_LISTED] = "wait closed+", [BREAKER_EVENT_LIST_FAILED] = "wait open",
        [BREAKER_EVENT_REFUSED] = "wait open", [BREAKER_EVENT_DEADLINE] = "ask open"},
    [OPEN_ASKING] = {
        [BREAKER_EVENT_LISTED] = "wait closed+", [BREAKER_EVENT_LIST_FAILED] = "wait open",
        [BREAKER_EVENT_REFUSED] = "wait open"},
    [OPEN_EARLY] = {
        [BREAKER_EVENT_LISTED] = "wait open", [BREAKER_EVENT_LIST_FAILED] = "wait open",
        [BREAKER_EVENT_CREATED] = "wait closed+", [BREAKER_EVENT_CREATE_FAILED] = "wait open",
        [BREAKER_EVENT_UNSENT] = "wait open", [BREAKER_EVENT_REFUSED] = "wait open",
        [BREAKER_EVENT_DEADLINE] = "ask open"},
    [OPEN_MUST_CREATE] = {
        [BREAKER_EVENT_LISTED] = "wait trying", [BREAKER_EVENT_LIST_FAILED] = "wait open",
        [BREAKER_EVENT_CREATED] = "wait closed+", [BREAKER_EVENT_CREATE_FAILED] = "wait open",
        [BREAKER_EVENT_UNSENT] = "wait open", [BREAKER_EVENT_REFUSED] = "wait open"},
    [OPEN_REFUSED] = {
        [BREAKER_EVENT_LISTED] = "wait closed+", [BREAKER_EVENT_LIST_FAILED] = "wait open",
        [BREAKER_EVENT_CREATED] = "wait open", [BREAKER_EVENT_CREATE_FAILED] = "wait open",
        [BREAKER_EVENT_UNSENT] = "wait open", [BREAKER_EVENT_REFUSED] = "wait open"},
    [TRYING] = {
        [BREAKER_EVENT_LISTED] = "wait trying+", [BREAKER_EVENT_LIST_FAILED] = "wait open",
        [BREAKER_EVENT_SENT] = "wait trying", [BREAKER_EVENT_REFUSED] = "wait open",
        [BREAKER_EVENT_DEADLINE] = "wait closed+"},
    [TRYING_UNDER_WAY] = {
        [BREAKER_EVENT_LISTED] = "wait trying", [BREAKER_EVENT_LIST_FAILED] = "wait open",
        [BREAKER_EVENT_CREATED] = "wait closed+", [BREAKER_EVENT_CREATE_FAILED] = "wait open",
        [BREAKER_EVENT_UNSENT] = "wait trying+", [BREAKER_EVENT_REFUSED] = "wait open",
        [BREAKER_EVENT_DEADLINE] = "wait trying"}};
/* clang-format on */

static void enter_situation(struct breaker *breaker, enum situation situation)
{
    begin_closed(breaker);
    if (situation == CLOSED_UNDER_WAY || situation == CLOSED_NEAR || situation == OPEN_EARLY ||
        situation == OPEN_MUST_CREATE || situation == OPEN_REFUSED)
        (void)tell(breaker, BREAKER_EVENT_SENT, 10);
    if (situation == CLOSED_NEAR)
        fail_creates(breaker, 4, 10);
    for (int i = 0; situation == CLOSED_NEAR && i < 4; i++)
        (void)tell(breaker, BREAKER_EVENT_LIST_FAILED, 10);
    for (int i = 0; (situation == OPEN || situation == OPEN_ASKING) && i < 5; i++)
        (void)tell(breaker, BREAKER_EVENT_LIST_FAILED, 10);
    if (situation == OPEN_EARLY || situation == OPEN_MUST_CREATE || situation >= TRYING)
        fail_creates(breaker, 5, 10);
    if (situation == OPEN_REFUSED)
        (void)tell(breaker, BREAKER_EVENT_REFUSED, 10);
    if (situation > OPEN && situation != OPEN_EARLY)
        (void)tell(breaker, BREAKER_EVENT_DEADLINE, 1010);
    if (situation >= TRYING)
        (void)tell(breaker, BREAKER_EVENT_LISTED, 1020);
    if (situation == TRYING_UNDER_WAY)
        (void)tell(breaker, BREAKER_EVENT_SENT, 1030);
}

static void every_state_answers_every_event_as_the_table_says(void **state)
{
    (void)state;
    for (int situation = 0; situation < SITUATION_COUNT; situation++) {
        for (int kind = 0; kind < BREAKER_EVENT_COUNT; kind++) {
            struct breaker breaker;
            char actual[64] = "-";
            enter_situation(&breaker, (enum situation)situation);
            if (breaker_accepts(&breaker, (enum breaker_event_kind)kind)) {
                enum breaker_order order = tell(&breaker, (enum breaker_event_kind)kind, 100000);
                (void)snprintf(actual, sizeof actual, "%s %s%s", order == BREAKER_ORDER_ASK ? "ask" : "wait",
                               breaker_state_name(breaker.state), breaker_admits(&breaker) ? "+" : "");
            }
            const char *expected = table[situation][kind];
            assert_text(actual, expected ? expected : "-");
        }
    }
}

/* ---- random walks beside a small world: an E2B that fails and recovers, jobs that want sandboxes ---- */

enum { CREATES_MAX = 16, BUSY_EVENTS = 120, CALM_EVENTS = 400 };

struct world {
    struct walk walk;
    struct breaker breaker;
    int64_t now_ms;
    bool does_list, does_create, knows_key, has_jobs;
    bool is_asked;      /* our list is under way */
    unsigned under_way; /* creates */
    unsigned
        failed_row; /* creates that failed since one was answered, the list worked or the key was refused */
};

static void change_weather(struct world *world)
{
    struct walk *walk = &world->walk;
    world->does_list = !walk_one_in(walk, 3);
    world->does_create = world->does_list && !walk_one_in(walk, 2);
    world->knows_key = !walk_one_in(walk, 8);
    world->has_jobs = !walk_one_in(walk, 4);
}

static enum breaker_event_kind answer_list(struct world *world)
{
    if (!world->does_list)
        return BREAKER_EVENT_LIST_FAILED;
    return world->knows_key ? BREAKER_EVENT_LISTED : BREAKER_EVENT_REFUSED;
}

static enum breaker_event_kind answer_create(struct world *world)
{
    if (walk_one_in(&world->walk, 12) || (world->does_create && !world->knows_key))
        return BREAKER_EVENT_UNSENT;
    return world->does_create ? BREAKER_EVENT_CREATED : BREAKER_EVENT_CREATE_FAILED;
}

/* The next that may happen: somebody else lists, a job creates, something is answered, or time passes. */
static enum breaker_event_kind next_event(struct world *world)
{
    struct walk *walk = &world->walk;
    if (walk_one_in(walk, 10))
        return answer_list(world);
    if (world->has_jobs && world->under_way < CREATES_MAX && breaker_admits(&world->breaker) &&
        !walk_one_in(walk, 3))
        return BREAKER_EVENT_SENT;
    if (world->under_way > 0 && !walk_one_in(walk, 3))
        return answer_create(world);
    if (world->is_asked) {
        world->is_asked = false;
        return answer_list(world);
    }
    if (world->breaker.deadline_ms == INT64_MAX)
        return world->under_way > 0 ? answer_create(world) : answer_list(world);
    world->now_ms = MAX(world->now_ms, world->breaker.deadline_ms);
    return BREAKER_EVENT_DEADLINE;
}

static void advance(struct world *world, unsigned long cells[][BREAKER_EVENT_COUNT])
{
    struct walk *walk = &world->walk;
    struct breaker *breaker = &world->breaker, before = *breaker;
    world->now_ms += walk_below(walk, 500);
    enum breaker_event_kind kind = next_event(world);
    cells[before.state][kind]++;
    bool is_end =
        kind == BREAKER_EVENT_CREATED || kind == BREAKER_EVENT_CREATE_FAILED || kind == BREAKER_EVENT_UNSENT;
    if (kind == BREAKER_EVENT_SENT)
        WALK_HOLDS(walk, before.state == BREAKER_CLOSED ||
                             (before.state == BREAKER_TRYING && world->under_way == 0));
    world->under_way += kind == BREAKER_EVENT_SENT;
    world->under_way -= is_end;
    world->failed_row = kind == BREAKER_EVENT_CREATE_FAILED ? world->failed_row + 1
                        : kind == BREAKER_EVENT_CREATED     ? 0
                                                            : world->failed_row;
    const struct breaker_event event = {.kind = kind, .now_ms = world->now_ms, .is_wanted = world->has_jobs};
    if (breaker_advance(breaker, &event) == BREAKER_ORDER_ASK)
        world->is_asked = true;
    WALK_HOLDS(walk, breaker->under_way == world->under_way);
    /* It opens for a reason, and closes for one. */
    if (before.state == BREAKER_CLOSED && breaker->state != BREAKER_CLOSED)
        WALK_HOLDS(walk, kind == BREAKER_EVENT_REFUSED || kind == BREAKER_EVENT_LIST_FAILED ||
                             (kind == BREAKER_EVENT_CREATE_FAILED && world->failed_row >= 5));
    if (before.state != BREAKER_CLOSED && breaker->state == BREAKER_CLOSED)
        WALK_HOLDS(
            walk, kind == BREAKER_EVENT_CREATED || kind == BREAKER_EVENT_LISTED ||
                      (kind == BREAKER_EVENT_DEADLINE && !world->has_jobs && before.state == BREAKER_TRYING));
    WALK_HOLDS(walk, before.state == BREAKER_CLOSED || breaker->since_ms == before.since_ms);
    /* It always asks again. */
    bool waits = breaker->deadline_ms != INT64_MAX || world->is_asked;
    WALK_HOLDS(walk, breaker->state == BREAKER_CLOSED || waits);
    WALK_HOLDS(walk, breaker->state != BREAKER_OPEN || !breaker_admits(breaker));
}

static void a_million_random_walks_keep_the_promise(void **state)
{
    (void)state;
    static unsigned long cells[BREAKER_STATE_COUNT][BREAKER_EVENT_COUNT];
    memset(cells, 0, sizeof cells);
    for (uint64_t i = 0; i < WALK_COUNT; i++) {
        struct world world = {.is_asked = true};
        walk_begin(&world.walk, WALK_FIRST_SEED + i);
        (void)breaker_init(&world.breaker, 0);
        change_weather(&world);
        for (int event = 0; event < BUSY_EVENTS; event++) {
            if (walk_one_in(&world.walk, 20))
                change_weather(&world);
            advance(&world, cells);
        }
        /* All is well again: so it is found, with jobs or without. */
        world.does_list = world.does_create = world.knows_key = true;
        int left = CALM_EVENTS;
        while (world.breaker.state != BREAKER_CLOSED && left-- > 0)
            advance(&world, cells);
        WALK_HOLDS(&world.walk, left > 0);
    }
    for (int kind = 0; kind < BREAKER_EVENT_COUNT; kind++)
        for (int s = 0; s < BREAKER_STATE_COUNT; s++)
            assert_true(cells[s][kind] > 0 || (s == BREAKER_CLOSED && kind == BREAKER_EVENT_DEADLINE) ||
                        (s == BREAKER_OPEN && kind == BREAKER_EVENT_SENT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_goes_before_the_first_answer),
        cmocka_unit_test(five_failed_creates_in_a_row_open_it),
        cmocka_unit_test(what_only_lists_is_tried_with_one_create_at_a_time),
        cmocka_unit_test(an_older_create_that_is_under_way_is_waited_for),
        cmocka_unit_test(the_waits_between_questions_double_and_have_an_end),
        cmocka_unit_test(with_nothing_to_try_the_list_has_to_do),
        cmocka_unit_test(a_refused_key_is_closed_by_a_list_alone),
        cmocka_unit_test(every_state_answers_every_event_as_the_table_says),
        cmocka_unit_test(a_million_random_walks_keep_the_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
