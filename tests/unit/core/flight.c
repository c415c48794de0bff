#include "core/flight.h"
#include "test.h"
#include "walk.h"

#include <stdio.h>

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
    flight_init(&flight, 3, 3);
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
    flight_init(&flight, 3, 3);
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
    flight_init(&flight, 3, 3);
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

/* It may not begin earlier because the retry topic is set up wrong. */
static void a_copy_that_no_topic_takes_waits_here_as_long(void **state)
{
    (void)state;
    struct flight flight;
    flight_init(&flight, 3, 3);
    assert_int_equal(TELL(&flight, BEGIN, .park_ms = 7200000), FLIGHT_ORDER_PARK);
    assert_int_equal(flight.delay_ms, 7200000);
    assert_int_equal(TELL(&flight, TOO_LARGE), FLIGHT_ORDER_SLEEP);
    assert_int_equal(flight.delay_ms, 7200000);
    assert_int_equal(TELL(&flight, WAKE), FLIGHT_ORDER_ENQUEUE);
}

/* Which is said before it is known: the record is kept for it. */
static void only_many_attempts_end_in_a_retry_topic(void **state)
{
    (void)state;
    for (int64_t max = 1; max <= 10; max++) {
        bool is_parked = false;
        for (int64_t attempt = 1; attempt <= max; attempt++) {
            struct flight flight;
            flight_init(&flight, max, 3);
            (void)TELL(&flight, BEGIN);
            (void)TELL(&flight, TURN);
            (void)TELL(&flight, GRANTED, .attempt = attempt);
            is_parked |= TELL(&flight, ENDED, .code = CODE_SANDBOX_LOST) == FLIGHT_ORDER_PARK;
        }
        struct flight flight;
        flight_init(&flight, max, 3);
        assert_int_equal(flight_may_park(&flight), is_parked);
        assert_int_equal(is_parked, max >= 8);
    }
}

/* ---- every state and every event ---- */

enum situation {
    QUEUED,
    ACQUIRING,
    ACQUIRING_LEAVING,
    ACQUIRING_REFUSED,
    WAITING_TO_QUEUE,
    WAITING_TO_ACQUIRE,
    WAITING_TO_SEAL,
    WAITING_TO_PUBLISH,
    EXECUTING,      /* the first of three attempts */
    EXECUTING_LAST, /* the third */
    EXECUTING_LATE, /* the seventh of nine: the next is far away */
    EXECUTING_LEAVING,
    SEALING,
    SEALING_LEAVING,
    SEALING_REFUSED,
    PUBLISHING,
    PUBLISHING_SMALL,
    PUBLISHING_FOUND,
    PUBLISHING_UNSEALED,
    ASKING_PLACE,
    ASKING_PLACE_LEAVING,
    DIVERTING,
    PARKING,
    PARKING_LEAVING,
    PARKING_CLAIM,
    FINISHED,
    SITUATION_COUNT
};

enum column {
    BEGIN,
    BEGIN_REFUSED,
    BEGIN_PARKED,
    TURN,
    TURN_REFUSED,
    TURN_PARKED,
    WAKE,
    GRANTED,
    GRANTED_TOO_OFTEN, /* the fourth attempt */
    GRANTED_CRASHED,   /* its third worker died */
    GRANTED_SUSPECT,   /* one worker died, and no other suspect runs here */
    GRANTED_BUSY,      /* ... and another suspect does */
    GRANTED_EARLY,     /* out of turn, and there is no room */
    GRANTED_FINAL,     /* begun here before, and it must not begin again */
    DENIED,
    ELSEWHERE,
    ADOPT,
    ADOPT_FINAL,
    ADOPT_RUN,         /* a process that can be followed */
    ADOPT_RUN_SUSPECT, /* ... and that two of its followers may have died of */
    ADOPT_RUN_BUSY,    /* ... while another suspect runs here */
    ADOPT_RUN_CRASHED, /* its third worker died */
    FOUND_SEALED,
    FOUND_SEALED_COPY,
    FOUND_DONE,
    STALE,
    FOUND_CANCELLED,
    CONFLICT,
    NOT_NOW,
    NOT_NOW_FOR_LONG,
    ENDED,         /* RUNTIME_ERROR */
    ENDED_RETRIED, /* SANDBOX_LOST */
    ENDED_FINAL,   /* ... and the job forbids a second beginning */
    ENDED_WAITS,
    LEFT,
    LEFT_RUN, /* ... which can be followed */
    SEALED,
    SUPERSEDED,
    DELIVERED,
    TOO_LARGE,
    DISOWNED,
    FORGOTTEN,
    CANCEL,
    LEAVE,
    COLUMN_COUNT
};

static const struct flight_event columns[COLUMN_COUNT] = {
    [BEGIN] = {.kind = FLIGHT_EVENT_BEGIN},
    [BEGIN_REFUSED] = {.kind = FLIGHT_EVENT_BEGIN, .code = CODE_INVALID_JOB},
    [BEGIN_PARKED] = {.kind = FLIGHT_EVENT_BEGIN, .park_ms = 60000},
    [TURN] = {.kind = FLIGHT_EVENT_TURN},
    [TURN_REFUSED] = {.kind = FLIGHT_EVENT_TURN, .code = CODE_JOB_EXPIRED},
    [TURN_PARKED] = {.kind = FLIGHT_EVENT_TURN, .park_ms = 60000},
    [WAKE] = {.kind = FLIGHT_EVENT_WAKE},
    [GRANTED] = {.kind = FLIGHT_EVENT_GRANTED, .attempt = 1},
    [GRANTED_TOO_OFTEN] = {.kind = FLIGHT_EVENT_GRANTED, .attempt = 4},
    [GRANTED_CRASHED] = {.kind = FLIGHT_EVENT_GRANTED, .attempt = 1, .crashes = 3},
    [GRANTED_SUSPECT] = {.kind = FLIGHT_EVENT_GRANTED, .attempt = 1, .crashes = 1},
    [GRANTED_BUSY] = {.kind = FLIGHT_EVENT_GRANTED, .attempt = 1, .crashes = 1, .is_busy = true},
    [GRANTED_EARLY] = {.kind = FLIGHT_EVENT_GRANTED, .attempt = 1, .is_early = true},
    [GRANTED_FINAL] = {.kind = FLIGHT_EVENT_GRANTED, .attempt = 1, .is_final = true},
    [DENIED] = {.kind = FLIGHT_EVENT_DENIED},
    [ELSEWHERE] = {.kind = FLIGHT_EVENT_ELSEWHERE},
    [ADOPT] = {.kind = FLIGHT_EVENT_ADOPT},
    [ADOPT_FINAL] = {.kind = FLIGHT_EVENT_ADOPT, .is_final = true},
    [ADOPT_RUN] = {.kind = FLIGHT_EVENT_ADOPT, .attempt = 1, .can_attach = true, .is_final = true},
    [ADOPT_RUN_SUSPECT] = {.kind = FLIGHT_EVENT_ADOPT, .attempt = 1, .crashes = 2, .can_attach = true},
    [ADOPT_RUN_BUSY] =
        {.kind = FLIGHT_EVENT_ADOPT, .attempt = 1, .crashes = 2, .is_busy = true, .can_attach = true},
    [ADOPT_RUN_CRASHED] = {.kind = FLIGHT_EVENT_ADOPT, .attempt = 1, .crashes = 3, .can_attach = true},
    [FOUND_SEALED] = {.kind = FLIGHT_EVENT_FOUND_SEALED},
    [FOUND_SEALED_COPY] = {.kind = FLIGHT_EVENT_FOUND_SEALED, .is_copy = true},
    [FOUND_DONE] = {.kind = FLIGHT_EVENT_FOUND_DONE},
    [STALE] = {.kind = FLIGHT_EVENT_STALE},
    [FOUND_CANCELLED] = {.kind = FLIGHT_EVENT_FOUND_CANCELLED},
    [CONFLICT] = {.kind = FLIGHT_EVENT_CONFLICT},
    [NOT_NOW] = {.kind = FLIGHT_EVENT_NOT_NOW},
    [NOT_NOW_FOR_LONG] = {.kind = FLIGHT_EVENT_NOT_NOW, .may_go_unsealed = true},
    [ENDED] = {.kind = FLIGHT_EVENT_ENDED, .code = CODE_RUNTIME_ERROR},
    [ENDED_RETRIED] = {.kind = FLIGHT_EVENT_ENDED, .code = CODE_SANDBOX_LOST},
    [ENDED_FINAL] = {.kind = FLIGHT_EVENT_ENDED, .code = CODE_SANDBOX_LOST, .is_final = true},
    [ENDED_WAITS] = {.kind = FLIGHT_EVENT_ENDED, .code = CODE_E2B_QUOTA},
    [LEFT] = {.kind = FLIGHT_EVENT_LEFT},
    [LEFT_RUN] = {.kind = FLIGHT_EVENT_LEFT, .can_attach = true},
    [SEALED] = {.kind = FLIGHT_EVENT_SEALED},
    [SUPERSEDED] = {.kind = FLIGHT_EVENT_SUPERSEDED},
    [DELIVERED] = {.kind = FLIGHT_EVENT_DELIVERED},
    [TOO_LARGE] = {.kind = FLIGHT_EVENT_TOO_LARGE},
    [DISOWNED] = {.kind = FLIGHT_EVENT_DISOWNED},
    [FORGOTTEN] = {.kind = FLIGHT_EVENT_FORGOTTEN},
    [CANCEL] = {.kind = FLIGHT_EVENT_CANCEL},
    [LEAVE] = {.kind = FLIGHT_EVENT_LEAVE},
};

/* What a flight that asks about its claim makes of each answer: the ledger's, or of the other record. */
/* clang-format off */
#define ANSWERS \
        [GRANTED] = "execute executing", [GRANTED_TOO_OFTEN] = "seal sealing WORKER_CRASHED", \
        [GRANTED_CRASHED] = "seal sealing WORKER_CRASHED", [GRANTED_SUSPECT] = "execute executing", \
        [GRANTED_BUSY] = "return queued", [GRANTED_EARLY] = "return queued", \
        [GRANTED_FINAL] = "seal sealing WORKER_CRASHED", \
        [DENIED] = "set aside queued", [ELSEWHERE] = "sleep waiting acquiring", [ADOPT] = "clear queued", \
        [ADOPT_FINAL] = "clear waiting sealing WORKER_CRASHED", [ADOPT_RUN] = "attach executing", \
        [ADOPT_RUN_SUSPECT] = "attach executing", [ADOPT_RUN_BUSY] = "return run queued", \
        [ADOPT_RUN_CRASHED] = "clear waiting sealing WORKER_CRASHED", \
        [FOUND_SEALED] = "publish found publishing", [FOUND_SEALED_COPY] = "ask place acquiring", \
        [FOUND_DONE] = "note duplicate finished", \
        [STALE] = "finish finished", [FOUND_CANCELLED] = "seal sealing CANCELLED", \
        [CONFLICT] = "divert publishing JOB_ID_CONFLICT", [NOT_NOW] = "sleep waiting queued", \
        [NOT_NOW_FOR_LONG] = "sleep waiting queued", [CANCEL] = "wait acquiring CANCELLED", \
        [LEAVE] = "wait acquiring"
#define ANSWERS_LEAVING \
        [GRANTED] = "drop finished", [GRANTED_TOO_OFTEN] = "drop finished", \
        [GRANTED_CRASHED] = "drop finished", [GRANTED_SUSPECT] = "drop finished", \
        [GRANTED_BUSY] = "drop finished", [GRANTED_EARLY] = "drop finished", \
        [GRANTED_FINAL] = "seal sealing WORKER_CRASHED", \
        [DENIED] = "drop finished", [ELSEWHERE] = "drop finished", [ADOPT] = "clear finished", \
        [ADOPT_FINAL] = "clear waiting sealing WORKER_CRASHED", [ADOPT_RUN] = "drop finished", \
        [ADOPT_RUN_SUSPECT] = "drop finished", [ADOPT_RUN_BUSY] = "drop finished", \
        [ADOPT_RUN_CRASHED] = "drop finished", \
        [FOUND_SEALED] = "publish found publishing", [FOUND_SEALED_COPY] = "ask place acquiring", \
        [FOUND_DONE] = "note duplicate finished", \
        [STALE] = "finish finished", [FOUND_CANCELLED] = "seal sealing CANCELLED", \
        [CONFLICT] = "divert publishing JOB_ID_CONFLICT", [NOT_NOW] = "drop finished", \
        [NOT_NOW_FOR_LONG] = "drop finished", [CANCEL] = "wait acquiring CANCELLED", \
        [LEAVE] = "wait acquiring"
/* clang-format on */

/* The order, the state after it (of WAITING: and what it waits for), the verdict. What is not there may not
 * come. */
/* clang-format off */
static const char *const table[SITUATION_COUNT][COLUMN_COUNT] = {
    [QUEUED] = {
        [BEGIN] = "enqueue queued", [BEGIN_REFUSED] = "seal sealing INVALID_JOB", [BEGIN_PARKED] = "park parking",
        [TURN] = "acquire acquiring", [TURN_REFUSED] = "seal sealing JOB_EXPIRED",
        [TURN_PARKED] = "park parking", [FOUND_DONE] = "note duplicate finished", [STALE] = "finish finished",
        [FOUND_CANCELLED] = "seal sealing CANCELLED",
        [CANCEL] = "seal sealing CANCELLED", [LEAVE] = "drop finished"},
    [ACQUIRING] = {ANSWERS},
    [ACQUIRING_LEAVING] = {ANSWERS_LEAVING},
    [ACQUIRING_REFUSED] = {
        [GRANTED] = "seal sealing JOB_EXPIRED", [GRANTED_TOO_OFTEN] = "seal sealing JOB_EXPIRED",
        [GRANTED_CRASHED] = "seal sealing JOB_EXPIRED", [GRANTED_SUSPECT] = "seal sealing JOB_EXPIRED",
        [GRANTED_BUSY] = "seal sealing JOB_EXPIRED", [GRANTED_EARLY] = "seal sealing JOB_EXPIRED",
        [GRANTED_FINAL] = "seal sealing JOB_EXPIRED",
        [DENIED] = "sleep waiting sealing JOB_EXPIRED", [ELSEWHERE] = "sleep waiting acquiring JOB_EXPIRED",
        [ADOPT] = "clear waiting sealing JOB_EXPIRED",
        [ADOPT_FINAL] = "clear waiting sealing JOB_EXPIRED", [ADOPT_RUN] = "attach executing",
        [ADOPT_RUN_SUSPECT] = "attach executing", [ADOPT_RUN_BUSY] = "return run queued JOB_EXPIRED",
        [ADOPT_RUN_CRASHED] = "clear waiting sealing WORKER_CRASHED",
        [FOUND_SEALED] = "publish found publishing JOB_EXPIRED",
        [FOUND_SEALED_COPY] = "ask place acquiring JOB_EXPIRED",
        [FOUND_DONE] = "note duplicate finished JOB_EXPIRED",
        [STALE] = "finish finished JOB_EXPIRED", [FOUND_CANCELLED] = "seal sealing JOB_EXPIRED",
        [CONFLICT] = "divert publishing JOB_ID_CONFLICT", [NOT_NOW] = "sleep waiting acquiring JOB_EXPIRED",
        [NOT_NOW_FOR_LONG] = "sleep waiting acquiring JOB_EXPIRED", [CANCEL] = "wait acquiring JOB_EXPIRED",
        [LEAVE] = "wait acquiring JOB_EXPIRED"},
    [WAITING_TO_QUEUE] = {[WAKE] = "enqueue queued", [CANCEL] = "seal sealing CANCELLED", [LEAVE] = "drop finished"},
    [WAITING_TO_ACQUIRE] = {
        [WAKE] = "acquire acquiring", [CANCEL] = "seal sealing CANCELLED", [LEAVE] = "drop finished"},
    [WAITING_TO_SEAL] = {
        [WAKE] = "seal sealing RUNTIME_ERROR", [CANCEL] = "wait waiting sealing RUNTIME_ERROR",
        [LEAVE] = "wait waiting sealing RUNTIME_ERROR"},
    [WAITING_TO_PUBLISH] = {
        [WAKE] = "publish small publishing RUNTIME_ERROR", [CANCEL] = "wait waiting publishing RUNTIME_ERROR",
        [LEAVE] = "wait waiting publishing RUNTIME_ERROR"},
    [EXECUTING] = {
        [ENDED] = "seal sealing RUNTIME_ERROR", [ENDED_RETRIED] = "give back waiting queued",
        [ENDED_FINAL] = "seal sealing SANDBOX_LOST",
        [ENDED_WAITS] = "give back waiting queued",
        [SUPERSEDED] = "sleep waiting acquiring", [CANCEL] = "wait executing", [LEAVE] = "wait executing"},
    [EXECUTING_LAST] = {
        [ENDED] = "seal sealing RUNTIME_ERROR", [ENDED_RETRIED] = "seal sealing SANDBOX_LOST",
        [ENDED_FINAL] = "seal sealing SANDBOX_LOST",
        [ENDED_WAITS] = "give back waiting queued",
        [SUPERSEDED] = "sleep waiting acquiring", [CANCEL] = "wait executing", [LEAVE] = "wait executing"},
    [EXECUTING_LATE] = {
        [ENDED] = "seal sealing RUNTIME_ERROR", [ENDED_RETRIED] = "park parking",
        [ENDED_FINAL] = "seal sealing SANDBOX_LOST",
        [ENDED_WAITS] = "give back waiting queued",
        [SUPERSEDED] = "sleep waiting acquiring", [CANCEL] = "wait executing", [LEAVE] = "wait executing"},
    [EXECUTING_LEAVING] = {
        [ENDED] = "seal sealing RUNTIME_ERROR", [ENDED_RETRIED] = "drop finished",
        [ENDED_FINAL] = "seal sealing SANDBOX_LOST",
        [ENDED_WAITS] = "drop finished", [LEFT] = "drop finished", [LEFT_RUN] = "hand over finished",
        [SUPERSEDED] = "drop finished", [CANCEL] = "wait executing", [LEAVE] = "wait executing"},
    [SEALING] = {
        [ELSEWHERE] = "sleep waiting acquiring", [FOUND_DONE] = "note duplicate finished RUNTIME_ERROR",
        [CONFLICT] = "divert publishing JOB_ID_CONFLICT", [NOT_NOW] = "sleep waiting sealing RUNTIME_ERROR",
        [NOT_NOW_FOR_LONG] = "publish publishing RUNTIME_ERROR",
        [SEALED] = "publish publishing RUNTIME_ERROR", [SUPERSEDED] = "sleep waiting acquiring",
        [CANCEL] = "wait sealing RUNTIME_ERROR", [LEAVE] = "wait sealing RUNTIME_ERROR"},
    [SEALING_LEAVING] = {
        [ELSEWHERE] = "drop finished", [FOUND_DONE] = "note duplicate finished RUNTIME_ERROR",
        [CONFLICT] = "divert publishing JOB_ID_CONFLICT", [NOT_NOW] = "sleep waiting sealing RUNTIME_ERROR",
        [NOT_NOW_FOR_LONG] = "publish publishing RUNTIME_ERROR",
        [SEALED] = "publish publishing RUNTIME_ERROR", [SUPERSEDED] = "drop finished",
        [CANCEL] = "wait sealing RUNTIME_ERROR", [LEAVE] = "wait sealing RUNTIME_ERROR"},
    [SEALING_REFUSED] = {
        [ELSEWHERE] = "sleep waiting acquiring JOB_EXPIRED", [FOUND_DONE] = "note duplicate finished JOB_EXPIRED",
        [CONFLICT] = "divert publishing JOB_ID_CONFLICT", [NOT_NOW] = "sleep waiting sealing JOB_EXPIRED",
        [NOT_NOW_FOR_LONG] = "publish publishing JOB_EXPIRED",
        [SEALED] = "publish publishing JOB_EXPIRED", [SUPERSEDED] = "sleep waiting acquiring JOB_EXPIRED",
        [CANCEL] = "wait sealing JOB_EXPIRED", [LEAVE] = "wait sealing JOB_EXPIRED"},
    [PUBLISHING] = {
        [DELIVERED] = "finish finished RUNTIME_ERROR", [TOO_LARGE] = "publish small publishing RUNTIME_ERROR",
        [DISOWNED] = "leave sealed finished RUNTIME_ERROR",
        [FORGOTTEN] = "seal sealing RUNTIME_ERROR", [CANCEL] = "wait publishing RUNTIME_ERROR",
        [LEAVE] = "wait publishing RUNTIME_ERROR"},
    [PUBLISHING_SMALL] = {
        [DELIVERED] = "finish finished RUNTIME_ERROR", [TOO_LARGE] = "sleep waiting publishing RUNTIME_ERROR",
        [DISOWNED] = "leave sealed finished RUNTIME_ERROR",
        [FORGOTTEN] = "seal sealing RUNTIME_ERROR", [CANCEL] = "wait publishing RUNTIME_ERROR",
        [LEAVE] = "wait publishing RUNTIME_ERROR"},
    [PUBLISHING_FOUND] = {
        [DELIVERED] = "finish finished", [TOO_LARGE] = "publish small publishing",
        [DISOWNED] = "leave sealed finished",
        [FORGOTTEN] = "sleep waiting acquiring", [CANCEL] = "wait publishing", [LEAVE] = "wait publishing"},
    [PUBLISHING_UNSEALED] = {
        [DELIVERED] = "finish finished RUNTIME_ERROR", [TOO_LARGE] = "publish small publishing RUNTIME_ERROR",
        [DISOWNED] = "seal sealing RUNTIME_ERROR",
        [FORGOTTEN] = "seal sealing RUNTIME_ERROR", [CANCEL] = "wait publishing RUNTIME_ERROR",
        [LEAVE] = "wait publishing RUNTIME_ERROR"},
    [ASKING_PLACE] = {ANSWERS},
    [ASKING_PLACE_LEAVING] = {ANSWERS_LEAVING},
    [DIVERTING] = {
        [DELIVERED] = "finish finished JOB_ID_CONFLICT", [TOO_LARGE] = "divert small publishing JOB_ID_CONFLICT",
        [CANCEL] = "wait publishing JOB_ID_CONFLICT", [LEAVE] = "wait publishing JOB_ID_CONFLICT"},
    [PARKING] = {
        [DELIVERED] = "finish finished", [TOO_LARGE] = "sleep waiting queued", [CANCEL] = "wait parking",
        [LEAVE] = "wait parking"},
    [PARKING_LEAVING] = {
        [DELIVERED] = "finish finished", [TOO_LARGE] = "drop finished", [CANCEL] = "wait parking",
        [LEAVE] = "wait parking"},
    [PARKING_CLAIM] = {
        [DELIVERED] = "finish finished", [TOO_LARGE] = "give back waiting queued", [CANCEL] = "wait parking",
        [LEAVE] = "wait parking"},
    [FINISHED] = {[BEGIN] = NULL},
};

/* How each situation is come by, from QUEUED. */
static const enum column ways[SITUATION_COUNT][8] = {
    [ACQUIRING] = {TURN},
    [ACQUIRING_LEAVING] = {TURN, LEAVE},
    [ACQUIRING_REFUSED] = {TURN_REFUSED, ELSEWHERE, WAKE},
    [WAITING_TO_QUEUE] = {TURN, NOT_NOW},
    [WAITING_TO_ACQUIRE] = {TURN, ELSEWHERE},
    [WAITING_TO_SEAL] = {TURN, GRANTED, ENDED, NOT_NOW},
    [WAITING_TO_PUBLISH] = {TURN, GRANTED, ENDED, SEALED, TOO_LARGE, TOO_LARGE},
    [EXECUTING] = {TURN, GRANTED},
    [EXECUTING_LAST] = {TURN, GRANTED},
    [EXECUTING_LATE] = {TURN, GRANTED},
    [EXECUTING_LEAVING] = {TURN, GRANTED, LEAVE},
    [SEALING] = {TURN, GRANTED, ENDED},
    [SEALING_LEAVING] = {TURN, GRANTED, ENDED, LEAVE},
    [SEALING_REFUSED] = {TURN_REFUSED},
    [PUBLISHING] = {TURN, GRANTED, ENDED, SEALED},
    [PUBLISHING_SMALL] = {TURN, GRANTED, ENDED, SEALED, TOO_LARGE},
    [PUBLISHING_FOUND] = {TURN, FOUND_SEALED},
    [PUBLISHING_UNSEALED] = {TURN, GRANTED, ENDED, NOT_NOW_FOR_LONG},
    [ASKING_PLACE] = {TURN, FOUND_SEALED_COPY},
    [ASKING_PLACE_LEAVING] = {TURN, FOUND_SEALED_COPY, LEAVE},
    [DIVERTING] = {TURN, CONFLICT},
    [PARKING] = {BEGIN_PARKED},
    [PARKING_LEAVING] = {BEGIN_PARKED, LEAVE},
    [PARKING_CLAIM] = {TURN, GRANTED},
    [FINISHED] = {TURN, STALE},
};
/* clang-format on */

static const char *const orders[] = {
    [FLIGHT_ORDER_WAIT] = "wait",
    [FLIGHT_ORDER_ENQUEUE] = "enqueue",
    [FLIGHT_ORDER_SET_ASIDE] = "set aside",
    [FLIGHT_ORDER_SLEEP] = "sleep",
    [FLIGHT_ORDER_ASK_PLACE] = "ask place",
    [FLIGHT_ORDER_ACQUIRE] = "acquire",
    [FLIGHT_ORDER_EXECUTE] = "execute",
    [FLIGHT_ORDER_ATTACH] = "attach",
    [FLIGHT_ORDER_RETURN] = "return",
    [FLIGHT_ORDER_RETURN_RUN] = "return run",
    [FLIGHT_ORDER_CLEAR] = "clear",
    [FLIGHT_ORDER_GIVE_BACK] = "give back",
    [FLIGHT_ORDER_SEAL] = "seal",
    [FLIGHT_ORDER_PUBLISH] = "publish",
    [FLIGHT_ORDER_PUBLISH_FOUND] = "publish found",
    [FLIGHT_ORDER_PUBLISH_SMALL] = "publish small",
    [FLIGHT_ORDER_DIVERT] = "divert",
    [FLIGHT_ORDER_DIVERT_SMALL] = "divert small",
    [FLIGHT_ORDER_PARK] = "park",
    [FLIGHT_ORDER_FINISH] = "finish",
    [FLIGHT_ORDER_NOTE_DUPLICATE] = "note duplicate",
    [FLIGHT_ORDER_DROP] = "drop",
    [FLIGHT_ORDER_HAND_OVER] = "hand over",
    [FLIGHT_ORDER_LEAVE_SEALED] = "leave sealed",
};

static struct flight in_situation(enum situation situation)
{
    struct flight flight;
    flight_init(&flight, 3, 3);
    for (size_t i = 0; i < ARRAY_LENGTH(ways[situation]) && ways[situation][i] != BEGIN; i++)
        (void)tell(&flight, columns[ways[situation][i]]);
    if (situation == EXECUTING_LAST)
        flight.attempt = 3;
    if (situation == EXECUTING_LATE || situation == PARKING_CLAIM)
        flight.attempt = 7, flight.max_attempts = 9;
    if (situation == PARKING_CLAIM)
        (void)tell(&flight, columns[ENDED_RETRIED]);
    return flight;
}

static void every_state_answers_every_event_as_the_table_says(void **state)
{
    (void)state;
    for (int situation = 0; situation < SITUATION_COUNT; situation++) {
        for (int column = 0; column < COLUMN_COUNT; column++) {
            struct flight flight = in_situation((enum situation)situation);
            const char *expected = table[situation][column];
            char actual[80] = "may not come";
            if (flight_accepts(&flight, columns[column].kind)) {
                enum flight_order order = flight_advance(&flight, &columns[column]);
                bool waits = flight.state == FLIGHT_WAITING;
                (void)snprintf(actual, sizeof actual, "%s %s%s%s%s%s", orders[order],
                               flight_state_name(flight.state), waits ? " " : "",
                               waits ? flight_state_name(flight.next) : "", flight.code ? " " : "",
                               code_name(flight.code));
            }
            assert_text(actual, expected ? expected : "may not come");
        }
    }
}

/* ---- random walks beside a small ledger with another worker ---- */

enum claim { IDLE, RUNNING, SEAL_FIXED, DONE };

enum { STORM_EVENTS = 40, EVENTS_MAX = 160, ATTEMPTS_MAX = 8, CRASHES_MAX = 3 };

struct world {
    struct walk walk;
    struct flight flight;
    unsigned events;
    /* the ledger's claim on the job */
    enum claim claim;
    bool is_ours, is_taken; /* taken: over from another, not granted */
    bool is_dead;           /* the other's: its lease is gone, or `until` has passed */
    bool is_cancelled, is_parked, is_conflict;
    bool is_asking;  /* whether the other record that it is sealed for is finished */
    bool is_process; /* its run can be followed by another */
    int64_t attempt, crashes;
    /* what happened here */
    bool has_begun, has_run, is_final, we_sealed, we_heard_sealed, is_delivered, was_diverted, was_stale,
        was_found_sealed, was_final_grant, was_early_grant, is_parking;
    unsigned publishes;
};

static bool is_stormy(const struct world *world)
{
    return world->events < STORM_EVENTS;
}

static bool sometimes(struct world *world, uint64_t n)
{
    return is_stormy(world) && walk_one_in(&world->walk, n);
}

/* The other worker has a copy of the job, and we may be stopped for so long that ours counts as dead. */
static void others_act(struct world *world)
{
    struct walk *walk = &world->walk;
    bool is_theirs = !world->is_ours && (world->claim == RUNNING || world->claim == SEAL_FIXED);
    if (world->claim == IDLE && !world->is_cancelled && sometimes(world, 12)) {
        world->claim = RUNNING;
        world->is_ours = world->is_taken = world->is_dead = false;
        world->attempt++;
    } else if (is_theirs && !world->is_dead && walk_one_in(walk, 3)) {
        bool gives_up = world->claim == RUNNING && sometimes(world, 3);
        world->claim = gives_up ? IDLE : world->claim + 1;
    } else if (is_theirs && sometimes(world, 8)) {
        world->is_dead = true;
    } else if (world->is_ours && world->claim != DONE && world->claim != IDLE && sometimes(world, 25)) {
        world->is_ours = world->is_taken = world->is_dead = false; /* taken over */
    }
    if (world->claim <= RUNNING && sometimes(world, 60))
        world->is_cancelled = true;
}

static enum flight_event_kind take_over(struct world *world)
{
    world->is_ours = world->is_taken = true;
    world->crashes += world->claim == RUNNING;
    return world->claim == RUNNING ? FLIGHT_EVENT_ADOPT : FLIGHT_EVENT_FOUND_SEALED;
}

static enum flight_event_kind acquire_script(struct world *world)
{
    bool is_held = world->claim == RUNNING || world->claim == SEAL_FIXED;
    if (world->is_conflict)
        return FLIGHT_EVENT_CONFLICT;
    if (world->claim == DONE)
        return FLIGHT_EVENT_FOUND_DONE;
    if (world->is_parked)
        return FLIGHT_EVENT_STALE;
    if (is_held && world->is_ours && world->claim == RUNNING && !world->is_taken)
        return FLIGHT_EVENT_GRANTED; /* the answer was lost */
    if (is_held && !world->is_ours && !world->is_dead)
        return FLIGHT_EVENT_ELSEWHERE;
    if (is_held)
        return take_over(world);
    if (world->is_cancelled)
        return FLIGHT_EVENT_FOUND_CANCELLED;
    if (sometimes(world, 5))
        return FLIGHT_EVENT_DENIED;
    world->claim = RUNNING;
    world->is_ours = true;
    world->is_taken = false;
    world->attempt++;
    return FLIGHT_EVENT_GRANTED;
}

static enum flight_event_kind seal_script(struct world *world)
{
    if (world->is_conflict)
        return FLIGHT_EVENT_CONFLICT;
    if (world->claim == DONE)
        return FLIGHT_EVENT_FOUND_DONE;
    if (world->claim == SEAL_FIXED && world->is_ours && !world->is_taken)
        return FLIGHT_EVENT_SEALED; /* the answer was lost */
    bool is_mine = world->claim == RUNNING && world->is_ours && !world->is_taken;
    if (world->flight.holds_claim && !is_mine)
        return FLIGHT_EVENT_SUPERSEDED;
    if (!world->flight.holds_claim && world->claim != IDLE)
        return FLIGHT_EVENT_ELSEWHERE;
    WALK_HOLDS(&world->walk, !world->we_sealed);
    world->claim = SEAL_FIXED;
    world->is_ours = true;
    world->is_taken = false;
    world->we_sealed = true;
    return FLIGHT_EVENT_SEALED;
}

static struct flight_event of_place(struct world *world)
{
    bool is_finished = walk_one_in(&world->walk, 2);
    world->is_asking = world->is_ours = world->is_taken = false;
    world->is_dead = true; /* nobody's */
    if (is_finished)
        world->claim = DONE;
    return (struct flight_event){.kind = is_finished ? FLIGHT_EVENT_FOUND_DONE : FLIGHT_EVENT_ELSEWHERE};
}

static struct flight_event of_ledger(struct world *world)
{
    struct flight_event event = {.kind = FLIGHT_EVENT_NOT_NOW};
    if (!world->is_asking && sometimes(world, 8))
        return event;
    bool is_acquire = world->flight.state == FLIGHT_ACQUIRING;
    if (world->is_asking)
        return of_place(world);
    event.may_go_unsealed = !is_acquire && sometimes(world, 3);
    enum flight_event_kind answer = is_acquire ? acquire_script(world) : seal_script(world);
    if (sometimes(world, 8)) /* carried out, the answer lost */
        return event;
    event.kind = answer;
    event.attempt = world->attempt;
    event.crashes = world->crashes;
    event.is_busy = sometimes(world, 3);
    event.is_copy = event.kind == FLIGHT_EVENT_FOUND_SEALED && !world->we_sealed && sometimes(world, 2);
    event.is_early = event.kind == FLIGHT_EVENT_GRANTED && sometimes(world, 8);
    event.can_attach = world->is_process;
    event.is_final = event.kind == FLIGHT_EVENT_GRANTED && sometimes(world, 20);
    event.may_go_unsealed = false;
    return event;
}

static struct flight_event of_attempt(struct world *world)
{
    static const enum code codes[] = {CODE_NONE, CODE_RUNTIME_ERROR, CODE_CANCELLED, CODE_RUN_TIMEOUT};
    static const enum code bad[] = {CODE_SANDBOX_LOST, CODE_STREAM_BROKEN, CODE_E2B_QUOTA, CODE_E2B_AUTH};
    struct walk *walk = &world->walk;
    bool is_lost = !world->is_ours;
    if (is_lost && walk_one_in(walk, 2))
        return (struct flight_event){.kind = FLIGHT_EVENT_SUPERSEDED};
    if (world->flight.is_leaving && walk_one_in(walk, 3))
        return (struct flight_event){.kind = FLIGHT_EVENT_LEFT, .can_attach = world->is_process};
    bool is_bad = sometimes(world, 2);
    return (struct flight_event){.kind = FLIGHT_EVENT_ENDED,
                                 .code = is_bad ? bad[walk_below(walk, ARRAY_LENGTH(bad))]
                                                : codes[walk_below(walk, ARRAY_LENGTH(codes))],
                                 .is_final = walk_one_in(walk, 3)};
}

/* Seen before anything of it is produced. */
static struct flight_event of_broker(struct world *world)
{
    if (!world->was_diverted && sometimes(world, 6)) {
        world->claim = IDLE;
        world->is_ours = world->is_taken = world->is_cancelled = false;
        world->we_sealed = world->we_heard_sealed = false;
        world->publishes = 0;
        world->attempt = world->crashes = 0;
        return (struct flight_event){.kind = FLIGHT_EVENT_FORGOTTEN};
    }
    if (!world->was_diverted && sometimes(world, 6))
        return (struct flight_event){.kind = FLIGHT_EVENT_DISOWNED};
    return (struct flight_event){.kind =
                                     sometimes(world, 3) ? FLIGHT_EVENT_TOO_LARGE : FLIGHT_EVENT_DELIVERED};
}

static struct flight_event begin_event(struct world *world)
{
    return (struct flight_event){.kind = FLIGHT_EVENT_BEGIN,
                                 .code = sometimes(world, 8) ? CODE_INVALID_JOB : CODE_NONE,
                                 .park_ms = sometimes(world, 8) ? 60000 : 0};
}

static struct flight_event turn_event(struct world *world)
{
    return (struct flight_event){.kind = FLIGHT_EVENT_TURN,
                                 .code = sometimes(world, 8) ? CODE_JOB_EXPIRED : CODE_NONE,
                                 .park_ms = !world->has_run && sometimes(world, 12) ? 60000 : 0};
}

/* Returns: false when the claim says nothing to a job that waits. */
static bool look_script(const struct world *world, enum flight_event_kind *ret)
{
    if (world->claim == DONE)
        *ret = FLIGHT_EVENT_FOUND_DONE;
    else if (world->is_parked)
        *ret = FLIGHT_EVENT_STALE;
    else if (world->is_cancelled && world->claim == IDLE)
        *ret = FLIGHT_EVENT_FOUND_CANCELLED;
    else
        return false;
    return true;
}

static struct flight_event next_event(struct world *world)
{
    struct flight_event event = {.kind = FLIGHT_EVENT_COUNT};
    if (sometimes(world, 50))
        return (struct flight_event){.kind = FLIGHT_EVENT_LEAVE};
    if (sometimes(world, 60)) {
        world->is_cancelled = true;
        return (struct flight_event){.kind = FLIGHT_EVENT_CANCEL};
    }
    switch (world->flight.state) {
    case FLIGHT_QUEUED:
        if (sometimes(world, 6) && look_script(world, &event.kind))
            return event;
        return world->has_begun ? turn_event(world) : begin_event(world);
    case FLIGHT_WAITING:
        return (struct flight_event){.kind = FLIGHT_EVENT_WAKE};
    case FLIGHT_ACQUIRING:
    case FLIGHT_SEALING:
        return of_ledger(world);
    case FLIGHT_EXECUTING:
        return of_attempt(world);
    case FLIGHT_PUBLISHING:
        return of_broker(world);
    case FLIGHT_PARKING:
        return (struct flight_event){.kind = sometimes(world, 3) ? FLIGHT_EVENT_TOO_LARGE
                                                                 : FLIGHT_EVENT_DELIVERED};
    case FLIGHT_FINISHED:
    case FLIGHT_STATE_COUNT:
        break;
    }
    WALK_HOLDS(&world->walk, false);
    return event;
}

static void note_event(struct world *world, const struct flight_event *event)
{
    if (event->kind == FLIGHT_EVENT_BEGIN)
        world->has_begun = true;
    else if (event->kind == FLIGHT_EVENT_SEALED)
        world->we_heard_sealed = true;
    else if (event->kind == FLIGHT_EVENT_DELIVERED)
        world->is_delivered = true;
    else if (event->kind == FLIGHT_EVENT_STALE)
        world->was_stale = true;
    else if (event->kind == FLIGHT_EVENT_ENDED)
        world->is_final = event->is_final && code_is_retried(event->code);
    world->was_found_sealed = event->kind == FLIGHT_EVENT_FOUND_SEALED;
    if (event->kind == FLIGHT_EVENT_DISOWNED && world->flight.is_unsealed)
        world->publishes = 0; /* nothing was sent */
    world->was_final_grant = event->kind == FLIGHT_EVENT_GRANTED && event->is_final;
    world->was_early_grant = event->kind == FLIGHT_EVENT_GRANTED && event->is_early;
    world->is_parking = world->flight.state == FLIGHT_PARKING;
}

/* The ledger's release: whatever does not name us is left alone. */
static void release(struct world *world, bool is_uncounted)
{
    if (world->claim != RUNNING || !world->is_ours || world->is_taken)
        return;
    world->claim = IDLE;
    world->attempt -= is_uncounted ? 1 : 0;
}

static void check_end(struct world *world, enum flight_order order)
{
    bool is_sure = world->is_delivered || world->was_stale;
    WALK_HOLDS(&world->walk, order != FLIGHT_ORDER_FINISH || is_sure);
    WALK_HOLDS(&world->walk, order != FLIGHT_ORDER_NOTE_DUPLICATE || world->claim == DONE);
    WALK_HOLDS(&world->walk, (order != FLIGHT_ORDER_DROP && order != FLIGHT_ORDER_CLEAR) ||
                                 (world->flight.is_leaving && !world->we_heard_sealed));
    /* No claim is left behind but to be adopted; one that was taken over unheard ends by its own `until`. */
    bool is_left = order == FLIGHT_ORDER_HAND_OVER || world->is_taken || world->flight.is_unsealed;
    WALK_HOLDS(&world->walk, world->claim != RUNNING || !world->is_ours || is_left);
}

static void obey(struct world *world, enum flight_order order)
{
    struct flight *flight = &world->flight;
    if (order == FLIGHT_ORDER_EXECUTE) {
        WALK_HOLDS(&world->walk, flight->refusal == CODE_NONE && flight->attempt <= ATTEMPTS_MAX);
        WALK_HOLDS(&world->walk, flight->holds_claim && !flight->is_leaving);
        WALK_HOLDS(&world->walk, world->crashes < CRASHES_MAX && !world->was_final_grant);
        WALK_HOLDS(&world->walk, !world->was_early_grant);
        world->has_run = true;
    } else if (order == FLIGHT_ORDER_ATTACH) {
        WALK_HOLDS(&world->walk, world->claim == RUNNING && world->is_taken && world->is_process);
        WALK_HOLDS(&world->walk, world->crashes < CRASHES_MAX);
        world->is_taken = false;
        world->has_run = true;
        world->crashes -= world->crashes > 0 && walk_one_in(&world->walk, 2); /* it was followed for long */
    } else if (order == FLIGHT_ORDER_RETURN_RUN) {
        WALK_HOLDS(&world->walk, world->crashes > 1 && world->is_process);
        world->is_ours = world->is_taken = false;
        world->is_dead = true; /* anybody's, and uncounted */
        world->crashes--;
    } else if (order == FLIGHT_ORDER_RETURN) {
        WALK_HOLDS(&world->walk, world->crashes > 0 || world->was_early_grant);
        release(world, true);
    } else if (order == FLIGHT_ORDER_PARK) {
        WALK_HOLDS(&world->walk, flight->delay_ms > 30000 && !world->is_final);
    } else if (order == FLIGHT_ORDER_FINISH && world->is_parking) {
        release(world, false);
    } else if (order == FLIGHT_ORDER_GIVE_BACK) {
        WALK_HOLDS(&world->walk, !world->is_final);
        release(world, flight->is_uncounted);
    } else if (order == FLIGHT_ORDER_DROP && flight->may_hold_claim) {
        release(world, flight->is_uncounted);
    } else if (order == FLIGHT_ORDER_CLEAR) {
        WALK_HOLDS(&world->walk, world->claim == RUNNING && world->is_taken);
        world->is_taken = false;
        if (!flight->holds_claim)
            release(world, false);
    } else if (order == FLIGHT_ORDER_PUBLISH) {
        WALK_HOLDS(&world->walk, (world->we_heard_sealed || flight->is_unsealed) && world->publishes++ == 0);
    } else if (order == FLIGHT_ORDER_PUBLISH_FOUND) {
        WALK_HOLDS(&world->walk, world->was_found_sealed && world->publishes++ == 0);
    } else if (order == FLIGHT_ORDER_PUBLISH_SMALL) {
        WALK_HOLDS(&world->walk, world->publishes == 1 && !world->was_diverted);
    } else if (order == FLIGHT_ORDER_ASK_PLACE) {
        WALK_HOLDS(&world->walk, world->was_found_sealed);
        world->is_asking = true;
    } else if (order == FLIGHT_ORDER_LEAVE_SEALED) { /* what has a verdict is never left without its seal */
        WALK_HOLDS(&world->walk, world->publishes == 1 && !world->flight.is_unsealed && !world->is_delivered);
        WALK_HOLDS(&world->walk, world->claim >= SEAL_FIXED);
    } else if (order == FLIGHT_ORDER_DIVERT) {
        WALK_HOLDS(&world->walk, world->publishes == 0 && !world->was_diverted);
        world->was_diverted = true;
    } else if (order == FLIGHT_ORDER_DIVERT_SMALL) {
        WALK_HOLDS(&world->walk, world->publishes == 0 && world->was_diverted);
    }
    if (order == FLIGHT_ORDER_SLEEP || order == FLIGHT_ORDER_SET_ASIDE || order == FLIGHT_ORDER_GIVE_BACK)
        WALK_HOLDS(&world->walk,
                   flight->delay_ms >= 100 && flight->delay_ms <= (world->is_parking ? 3600000 : 30000));
}

static bool is_last(enum flight_order order)
{
    return order == FLIGHT_ORDER_FINISH || order == FLIGHT_ORDER_NOTE_DUPLICATE ||
           order == FLIGHT_ORDER_DROP || order == FLIGHT_ORDER_HAND_OVER ||
           order == FLIGHT_ORDER_LEAVE_SEALED;
}

static void advance(struct world *world, unsigned long cells[][FLIGHT_EVENT_COUNT])
{
    struct flight *flight = &world->flight;
    others_act(world);
    struct flight_event event = next_event(world);
    cells[flight->state][event.kind]++;
    note_event(world, &event);
    enum flight_order order = tell(flight, event);
    obey(world, order);
    bool is_over = flight->state == FLIGHT_FINISHED;
    WALK_HOLDS(&world->walk, is_over ? is_last(order) || order == FLIGHT_ORDER_CLEAR : !is_last(order));
    WALK_HOLDS(&world->walk, !flight->holds_claim || flight->may_hold_claim);
    if (is_over)
        check_end(world, order);
    WALK_HOLDS(&world->walk, ++world->events < EVENTS_MAX);
}

static void a_million_random_walks_keep_the_promise(void **state)
{
    (void)state;
    static unsigned long cells[FLIGHT_STATE_COUNT][FLIGHT_EVENT_COUNT];
    memset(cells, 0, sizeof cells);
    for (uint64_t i = 0; i < WALK_COUNT; i++) {
        struct world world = {.events = 0};
        walk_begin(&world.walk, WALK_FIRST_SEED + i);
        flight_init(&world.flight, ATTEMPTS_MAX, CRASHES_MAX);
        world.is_process = walk_one_in(&world.walk, 2);
        world.attempt = walk_one_in(&world.walk, 20) ? 6 : 0; /* earlier copies of the record */
        world.is_conflict = walk_one_in(&world.walk, 40);
        world.is_parked = walk_one_in(&world.walk, 40);
        while (world.flight.state != FLIGHT_FINISHED)
            advance(&world, cells);
    }
    for (int s = 0; s < FLIGHT_STATE_COUNT; s++) {
        for (int k = 0; k < FLIGHT_EVENT_COUNT; k++) {
            struct flight flight = {.state = (enum flight_state)s, .is_leaving = true};
            assert_true(flight_accepts(&flight, (enum flight_event_kind)k) == (cells[s][k] > 0));
        }
    }
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
        cmocka_unit_test(a_copy_that_no_topic_takes_waits_here_as_long),
        cmocka_unit_test(only_many_attempts_end_in_a_retry_topic),
        cmocka_unit_test(every_state_answers_every_event_as_the_table_says),
        cmocka_unit_test(a_million_random_walks_keep_the_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
