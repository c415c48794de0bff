#include "core/flight.h"
#include "test.h"

static enum flight_order tell(struct flight *flight, struct flight_event event)
{
    assert_true(flight_accepts(flight, event.kind));
    return flight_advance(flight, &event);
}

#define TELL(flight, kind_, ...)                                                                             \
    tell((flight), (struct flight_event){.kind = FLIGHT_EVENT_##kind_, ##__VA_ARGS__})

static struct flight asked(void)
{
    struct flight flight;
    flight_init(&flight, 3);
    assert_int_equal(TELL(&flight, BEGIN), FLIGHT_ORDER_ENQUEUE);
    assert_int_equal(TELL(&flight, TURN), FLIGHT_ORDER_ACQUIRE);
    return flight;
}

static struct flight granted(int64_t attempt)
{
    struct flight flight = asked();
    assert_int_equal(TELL(&flight, GRANTED, .attempt = attempt), FLIGHT_ORDER_EXECUTE);
    return flight;
}

/* A diverted record owes no result: what is too large for the DLQ is never answered with one. */
static void a_record_too_large_for_the_dlq_is_diverted_smaller(void **state)
{
    (void)state;
    struct flight flight = asked();
    assert_int_equal(TELL(&flight, CONFLICT), FLIGHT_ORDER_DIVERT);
    assert_int_equal(TELL(&flight, TOO_LARGE), FLIGHT_ORDER_DIVERT_SMALL);
    assert_int_equal(TELL(&flight, TOO_LARGE), FLIGHT_ORDER_SLEEP);
    assert_int_equal(TELL(&flight, WAKE), FLIGHT_ORDER_DIVERT_SMALL);
    assert_int_equal(TELL(&flight, DELIVERED), FLIGHT_ORDER_FINISH);
}

static void a_result_too_large_even_without_bodies_is_kept_and_tried_at_times(void **state)
{
    (void)state;
    struct flight flight = granted(1);
    assert_int_equal(TELL(&flight, ENDED), FLIGHT_ORDER_SEAL);
    assert_int_equal(TELL(&flight, SEALED), FLIGHT_ORDER_PUBLISH);
    assert_int_equal(TELL(&flight, TOO_LARGE), FLIGHT_ORDER_PUBLISH_SMALL);
    assert_int_equal(TELL(&flight, TOO_LARGE), FLIGHT_ORDER_SLEEP);
    assert_true(flight.delay_ms >= 1000);
    assert_int_equal(TELL(&flight, LEAVE), FLIGHT_ORDER_WAIT);
    assert_int_equal(TELL(&flight, WAKE), FLIGHT_ORDER_PUBLISH_SMALL);
    assert_int_equal(TELL(&flight, DELIVERED), FLIGHT_ORDER_FINISH);
}

/* An expired copy of a job whose worker died: a seal without a permit is answered "elsewhere" as long as the
 * claim stands, and only acquire takes it over. */
static void a_refused_job_takes_over_from_a_dead_worker(void **state)
{
    (void)state;
    struct flight flight;
    flight_init(&flight, 3);
    assert_int_equal(TELL(&flight, BEGIN), FLIGHT_ORDER_ENQUEUE);
    assert_int_equal(TELL(&flight, TURN, .code = CODE_JOB_EXPIRED), FLIGHT_ORDER_SEAL);
    assert_int_equal(TELL(&flight, ELSEWHERE), FLIGHT_ORDER_SLEEP);
    assert_int_equal(TELL(&flight, WAKE), FLIGHT_ORDER_ACQUIRE);
    assert_int_equal(TELL(&flight, ADOPT), FLIGHT_ORDER_CLEAR);
    assert_int_equal(TELL(&flight, WAKE), FLIGHT_ORDER_SEAL);
    assert_int_equal(flight.code, CODE_JOB_EXPIRED);
    assert_int_equal(TELL(&flight, SEALED), FLIGHT_ORDER_PUBLISH);
}

static void a_refused_job_is_never_executed(void **state)
{
    (void)state;
    struct flight flight;
    flight_init(&flight, 3);
    assert_int_equal(TELL(&flight, BEGIN, .code = CODE_INVALID_JOB), FLIGHT_ORDER_SEAL);
    assert_int_equal(TELL(&flight, ELSEWHERE), FLIGHT_ORDER_SLEEP);
    assert_int_equal(TELL(&flight, WAKE), FLIGHT_ORDER_ACQUIRE);
    assert_int_equal(TELL(&flight, NOT_NOW), FLIGHT_ORDER_SLEEP);
    assert_int_equal(TELL(&flight, WAKE), FLIGHT_ORDER_ACQUIRE);
    assert_int_equal(TELL(&flight, GRANTED, .attempt = 1), FLIGHT_ORDER_SEAL);
    assert_int_equal(flight.code, CODE_INVALID_JOB);
    assert_int_equal(TELL(&flight, SUPERSEDED), FLIGHT_ORDER_SLEEP);
    assert_int_equal(TELL(&flight, WAKE), FLIGHT_ORDER_ACQUIRE);
    assert_int_equal(TELL(&flight, GRANTED, .attempt = 2), FLIGHT_ORDER_SEAL);
    assert_int_equal(flight.code, CODE_INVALID_JOB);
}

/* A revoked key, a full account: every grant ends the same way, and each time we ask less often. */
static void a_job_that_waits_for_e2b_asks_less_and_less_often(void **state)
{
    (void)state;
    struct flight flight = asked();
    int64_t before_ms = 0;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(TELL(&flight, GRANTED, .attempt = 1), FLIGHT_ORDER_EXECUTE);
        assert_int_equal(TELL(&flight, ENDED, .code = CODE_E2B_QUOTA), FLIGHT_ORDER_GIVE_BACK);
        assert_true(flight.is_uncounted);
        assert_true(flight.delay_ms > before_ms);
        before_ms = flight.delay_ms;
        assert_int_equal(TELL(&flight, WAKE), FLIGHT_ORDER_ENQUEUE);
        assert_int_equal(TELL(&flight, TURN), FLIGHT_ORDER_ACQUIRE);
    }
}

static void an_acquire_without_an_answer_is_given_back_by_a_drain(void **state)
{
    (void)state;
    struct flight flight = asked();
    assert_int_equal(TELL(&flight, NOT_NOW), FLIGHT_ORDER_SLEEP);
    assert_int_equal(TELL(&flight, LEAVE), FLIGHT_ORDER_DROP);
    assert_true(flight.may_hold_claim);

    flight = asked();
    assert_int_equal(TELL(&flight, NOT_NOW), FLIGHT_ORDER_SLEEP);
    assert_int_equal(TELL(&flight, WAKE), FLIGHT_ORDER_ENQUEUE);
    assert_int_equal(TELL(&flight, TURN), FLIGHT_ORDER_ACQUIRE);
    assert_int_equal(TELL(&flight, ELSEWHERE), FLIGHT_ORDER_SLEEP); /* a clear answer */
    assert_int_equal(TELL(&flight, LEAVE), FLIGHT_ORDER_DROP);
    assert_false(flight.may_hold_claim);
}

/* LEFT drops the offset for the partition's next owner; a worker that stays is that owner itself. */
static void only_a_leaving_worker_gives_an_attempt_up(void **state)
{
    (void)state;
    struct flight flight = granted(1);
    assert_false(flight_accepts(&flight, FLIGHT_EVENT_LEFT));
    assert_int_equal(TELL(&flight, LEAVE), FLIGHT_ORDER_WAIT);
    assert_int_equal(TELL(&flight, LEFT), FLIGHT_ORDER_DROP);
    assert_true(flight.holds_claim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_too_large_for_the_dlq_is_diverted_smaller),
        cmocka_unit_test(a_result_too_large_even_without_bodies_is_kept_and_tried_at_times),
        cmocka_unit_test(a_refused_job_takes_over_from_a_dead_worker),
        cmocka_unit_test(a_refused_job_is_never_executed),
        cmocka_unit_test(a_job_that_waits_for_e2b_asks_less_and_less_often),
        cmocka_unit_test(an_acquire_without_an_answer_is_given_back_by_a_drain),
        cmocka_unit_test(only_a_leaving_worker_gives_an_attempt_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
