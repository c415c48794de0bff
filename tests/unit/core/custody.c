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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_counts_from_when_the_look_was_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
