#include "core/custody.h"
#include "test.h"

static const struct custody_times times = {
    .live_ms = 300000, .is_rolling = true, .slack_ms = 120000, .doubt_ends_ms = 110000};

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
    assert_int_equal(tell(&custody, CUSTODY_EVENT_DEADLINE, 104000), CUSTODY_ORDER_LOOK);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_ABSENT, 112000), CUSTODY_ORDER_WAIT);
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
        assert_int_equal(tell(&custody, CUSTODY_EVENT_EXTEND_FAILED, now_ms + 10000), CUSTODY_ORDER_WAIT);
    }
    assert_int_equal(tell(&custody, CUSTODY_EVENT_UNWANTED, now_ms), CUSTODY_ORDER_KILL);
    assert_int_equal(tell(&custody, CUSTODY_EVENT_KILL_FAILED, now_ms), CUSTODY_ORDER_WAIT);
    int64_t over_ms = now_ms + times.live_ms + times.slack_ms;
    assert_int_equal(tell(&custody, CUSTODY_EVENT_KILL_FAILED, over_ms), CUSTODY_ORDER_FORGET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_counts_from_when_the_look_was_begun),
        cmocka_unit_test(a_sandbox_whose_extensions_are_not_answered_is_not_given_up_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
