/* A job's way through this worker. */
#include "core/flight.h"

#include <assert.h>

enum {
    POLL_ELSEWHERE_MS = 1000,
    POLL_DENIED_MS = 500,
    NOT_NOW_FIRST_MS = 200,
    NOT_NOW_MOST_MS = 5000,
    RETRY_FIRST_MS = 500,
    RETRY_MOST_MS = 30000, /* in memory; longer ones are parked */
    RETRY_PARKED_MOST_MS = 3600000,
};

void flight_init(struct flight *flight, int64_t max_attempts, int64_t max_crashes)
{
    assert(max_attempts > 0 && max_crashes > 0);
    *flight =
        (struct flight){.state = FLIGHT_QUEUED, .max_attempts = max_attempts, .max_crashes = max_crashes};
}

/* The runner spreads every delay by jitter; what the other side asked for is a lower bound. */
static int64_t delay(unsigned failures, int64_t first_ms, int64_t most_ms, int64_t asked_ms)
{
    int64_t ms = failures < 16 ? MIN(first_ms << failures, most_ms) : most_ms;
    return MAX(ms, asked_ms);
}

bool flight_may_park(const struct flight *flight)
{
    int64_t last_again = flight->max_attempts - 1;
    return last_again > 0 &&
           delay((unsigned)last_again - 1, RETRY_FIRST_MS, RETRY_PARKED_MOST_MS, 0) > RETRY_MOST_MS;
}

/* The one writer of the state. */
static void enter(struct flight *flight, enum flight_state state)
{
    assert(flight->state != FLIGHT_FINISHED);
    flight->state = state;
}

static enum flight_order finish(struct flight *flight, enum flight_order order)
{
    enter(flight, FLIGHT_FINISHED);
    return order;
}

static enum flight_order enqueue(struct flight *flight, enum flight_order order)
{
    if (flight->is_leaving)
        return finish(flight, FLIGHT_ORDER_DROP);
    enter(flight, FLIGHT_QUEUED);
    return order;
}

static enum flight_order sleep_until(struct flight *flight, enum flight_state next, int64_t delay_ms,
                                     enum flight_order order)
{
    if (flight->is_leaving)
        return finish(flight, FLIGHT_ORDER_DROP);
    enter(flight, FLIGHT_WAITING);
    flight->next = next;
    flight->delay_ms = delay_ms;
    return order;
}

static enum flight_order acquire(struct flight *flight)
{
    flight->is_found = false; /* what was found is forgotten */
    enter(flight, FLIGHT_ACQUIRING);
    return FLIGHT_ORDER_ACQUIRE;
}

static enum flight_order seal(struct flight *flight, enum code code)
{
    flight->code = code;
    enter(flight, FLIGHT_SEALING);
    return FLIGHT_ORDER_SEAL;
}

static enum flight_order publish(struct flight *flight, enum flight_order order)
{
    enter(flight, FLIGHT_PUBLISHING);
    return order;
}

static enum flight_order publish_small(struct flight *flight)
{
    flight->is_small = true;
    return publish(flight, flight->is_diverted ? FLIGHT_ORDER_DIVERT_SMALL : FLIGHT_ORDER_PUBLISH_SMALL);
}

/* Too large even when small: the broker is set up wrong. What is sealed is never given up, so somebody must
 * mend it. */
static enum flight_order on_too_large(struct flight *flight)
{
    if (!flight->is_small)
        return publish_small(flight);
    enter(flight, FLIGHT_WAITING);
    flight->next = FLIGHT_PUBLISHING;
    flight->delay_ms = RETRY_MOST_MS;
    return FLIGHT_ORDER_SLEEP;
}

static enum flight_order on_wake(struct flight *flight)
{
    if (flight->next == FLIGHT_SEALING) {
        enter(flight, FLIGHT_SEALING);
        return FLIGHT_ORDER_SEAL;
    }
    if (flight->next == FLIGHT_PUBLISHING)
        return publish_small(flight);
    return flight->next == FLIGHT_ACQUIRING ? acquire(flight) : enqueue(flight, FLIGHT_ORDER_ENQUEUE);
}

static enum flight_order refuse(struct flight *flight, enum code code)
{
    flight->refusal = code;
    return seal(flight, code);
}

/* Earlier starts never came back: their workers died. Or this worker began it before its claim was lost. */
static bool is_over(const struct flight *flight, const struct flight_event *grant)
{
    return grant->is_final || grant->attempt > flight->max_attempts || grant->crashes >= flight->max_crashes;
}

/* Not now: it is granted, or taken over, once more when its turn comes. */
static enum flight_order return_claim(struct flight *flight, enum flight_order order)
{
    flight->holds_claim = flight->may_hold_claim = false;
    flight->delay_ms = POLL_ELSEWHERE_MS;
    return enqueue(flight, order);
}

static enum flight_order on_granted(struct flight *flight, const struct flight_event *event)
{
    flight->holds_claim = true;
    flight->attempt = event->attempt;
    flight->failures = 0;
    if (flight->refusal != CODE_NONE && !flight->is_leaving)
        return seal(flight, flight->refusal);
    if (event->is_final) /* ends here, whoever leaves: nobody else would know */
        return seal(flight, CODE_WORKER_CRASHED);
    if (flight->is_leaving)
        return finish(flight, FLIGHT_ORDER_DROP);
    if (is_over(flight, event))
        return seal(flight, CODE_WORKER_CRASHED);
    /* A job that may have killed a worker runs beside no other such: only so does a second death tell which
     * of them it was. */
    if (event->is_early || (event->crashes > 0 && event->is_busy))
        return return_claim(flight, FLIGHT_ORDER_RETURN);
    enter(flight, FLIGHT_EXECUTING);
    return FLIGHT_ORDER_EXECUTE;
}

static enum flight_order on_denied(struct flight *flight, int64_t retry_ms)
{
    int64_t delay_ms = MAX(retry_ms, POLL_DENIED_MS);
    if (flight->refusal != CODE_NONE) /* nobody runs it: it can be sealed without a permit */
        return sleep_until(flight, FLIGHT_SEALING, delay_ms, FLIGHT_ORDER_SLEEP);
    flight->delay_ms = delay_ms;
    return enqueue(flight, FLIGHT_ORDER_SET_ASIDE);
}

/* What died with its worker and must not begin again ends here, whoever leaves: nobody else would know. Its
 * claim is kept: whoever found it free before the seal would begin the job a second time. */
static enum flight_order on_adopt_final(struct flight *flight, int64_t attempt)
{
    flight->holds_claim = flight->may_hold_claim = true;
    flight->attempt = attempt;
    if (flight->refusal == CODE_NONE)
        flight->code = flight->refusal = CODE_WORKER_CRASHED;
    enter(flight, FLIGHT_WAITING);
    flight->next = FLIGHT_SEALING;
    flight->delay_ms = 0;
    return FLIGHT_ORDER_CLEAR;
}

/* It began in time: how long its record waited since does not matter any more. */
static bool is_outrun(enum code refusal)
{
    return refusal == CODE_NONE || refusal == CODE_JOB_EXPIRED || refusal == CODE_QUEUE_TIMEOUT;
}

static enum flight_order attach(struct flight *flight, int64_t attempt)
{
    flight->holds_claim = flight->may_hold_claim = true;
    flight->attempt = attempt;
    flight->failures = 0;
    flight->code = flight->refusal = CODE_NONE;
    enter(flight, FLIGHT_EXECUTING);
    return FLIGHT_ORDER_ATTACH;
}

/* It may be what its followers die of. Of one death nobody is suspected: all that ran there are followed at
 * once, for their sandboxes do not wait. Whoever died over it so often followed it for less than a lease. */
static enum flight_order on_adopt_run(struct flight *flight, const struct flight_event *event)
{
    if (flight->is_leaving) /* the claim is adopted again once our lease is given back */
        return finish(flight, FLIGHT_ORDER_DROP);
    if (event->crashes >= flight->max_crashes) {
        flight->refusal = CODE_NONE;
        return on_adopt_final(flight, event->attempt);
    }
    if (event->crashes > 1 && event->is_busy)
        return return_claim(flight, FLIGHT_ORDER_RETURN_RUN);
    return attach(flight, event->attempt);
}

static enum flight_order on_adopt(struct flight *flight, const struct flight_event *event)
{
    if (event->can_attach && is_outrun(flight->refusal))
        return on_adopt_run(flight, event);
    if (event->is_final)
        return on_adopt_final(flight, event->attempt);
    if (flight->is_leaving)
        return finish(flight, FLIGHT_ORDER_CLEAR);
    if (flight->refusal != CODE_NONE)
        return sleep_until(flight, FLIGHT_SEALING, POLL_DENIED_MS, FLIGHT_ORDER_CLEAR);
    return enqueue(flight, FLIGHT_ORDER_CLEAR);
}

/* Somebody else runs it, or the claim went to another while we ran: that one's verdict will count, and our
 * offset is finished when it is done. Only acquire says so, and only acquire takes over from a dead owner: a
 * seal without a permit would hear "elsewhere" for ever. */
static enum flight_order on_elsewhere(struct flight *flight)
{
    if (flight->holds_claim)
        flight->holds_claim = flight->may_hold_claim = false; /* else it may be our own, granted unheard */
    flight->code = flight->refusal;
    return sleep_until(flight, FLIGHT_ACQUIRING, POLL_ELSEWHERE_MS, FLIGHT_ORDER_SLEEP);
}

static enum flight_order on_not_now(struct flight *flight, const struct flight_event *event)
{
    int64_t delay_ms = delay(flight->failures++, NOT_NOW_FIRST_MS, NOT_NOW_MOST_MS, event->retry_ms);
    if (flight->state == FLIGHT_SEALING && event->may_go_unsealed) {
        flight->is_unsealed = true;
        return publish(flight, FLIGHT_ORDER_PUBLISH);
    }
    if (flight->state ==
        FLIGHT_SEALING) { /* a verdict is never given up for want of Redis, nor for a drain */
        enter(flight, FLIGHT_WAITING);
        flight->next = FLIGHT_SEALING;
        flight->delay_ms = delay_ms;
        return FLIGHT_ORDER_SLEEP;
    }
    enum flight_state next = flight->refusal != CODE_NONE ? FLIGHT_ACQUIRING : FLIGHT_QUEUED;
    return sleep_until(flight, next, delay_ms, FLIGHT_ORDER_SLEEP);
}

/* Nobody waits here for so long: a copy of the record does, in a retry topic. The copy goes first: a claim
 * that was parked without one would wait for ever. */
static enum flight_order park(struct flight *flight, int64_t delay_ms)
{
    if (flight->is_leaving)
        return finish(flight, FLIGHT_ORDER_DROP);
    flight->delay_ms = delay_ms;
    enter(flight, FLIGHT_PARKING);
    return FLIGHT_ORDER_PARK;
}

static enum flight_order on_ended(struct flight *flight, const struct flight_event *event)
{
    bool waits = code_waits(event->code);
    bool again =
        waits || (code_is_retried(event->code) && !event->is_final && flight->attempt < flight->max_attempts);
    if (!again)
        return seal(flight, event->code);
    flight->is_uncounted = waits;
    unsigned tries = waits ? flight->waits++ : (unsigned)flight->attempt - 1;
    if (!waits)
        flight->waits = 0;
    int64_t most_ms = waits ? RETRY_MOST_MS : RETRY_PARKED_MOST_MS;
    int64_t delay_ms = delay(tries, RETRY_FIRST_MS, most_ms, event->retry_ms);
    if (delay_ms > RETRY_MOST_MS && !waits)
        return park(flight, delay_ms);
    flight->holds_claim = flight->may_hold_claim =
        flight->is_leaving; /* DROP gives it back, GIVE_BACK does */
    return sleep_until(flight, FLIGHT_QUEUED, delay_ms, FLIGHT_ORDER_GIVE_BACK);
}

static enum flight_order on_begin(struct flight *flight, const struct flight_event *event)
{
    if (event->code != CODE_NONE)
        return refuse(flight, event->code);
    return event->park_ms > 0 ? park(flight, event->park_ms) : enqueue(flight, FLIGHT_ORDER_ENQUEUE);
}

static enum flight_order on_turn(struct flight *flight, const struct flight_event *event)
{
    if (event->code != CODE_NONE)
        return refuse(flight, event->code);
    return event->park_ms > 0 ? park(flight, event->park_ms) : acquire(flight);
}

/* A copy that the retry topic does not take (too large with its headers) waits here after all. */
static enum flight_order on_not_parked(struct flight *flight)
{
    bool holds_claim = flight->holds_claim;
    if (holds_claim)
        flight->holds_claim = flight->may_hold_claim = flight->is_leaving;
    return sleep_until(flight, FLIGHT_QUEUED, flight->delay_ms,
                       holds_claim ? FLIGHT_ORDER_GIVE_BACK : FLIGHT_ORDER_SLEEP);
}

/* A verdict that stands is not changed; a run is told by its execution. */
static enum flight_order on_cancel(struct flight *flight)
{
    bool is_idle = flight->state == FLIGHT_QUEUED ||
                   (flight->state == FLIGHT_WAITING && flight->next != FLIGHT_SEALING &&
                    flight->next != FLIGHT_PUBLISHING);
    if (flight->refusal != CODE_NONE)
        return FLIGHT_ORDER_WAIT; /* it will not run anyway */
    if (is_idle)
        return refuse(flight, CODE_CANCELLED);
    if (flight->state == FLIGHT_ACQUIRING)
        flight->code = flight->refusal = CODE_CANCELLED; /* the answer is on its way */
    return FLIGHT_ORDER_WAIT;
}

/* Only the ledger's word makes it the one result: asked for anew, without the permit it has forgotten. */
static enum flight_order on_forgotten(struct flight *flight)
{
    flight->holds_claim = flight->may_hold_claim = flight->is_small = false;
    if (flight->is_found) /* whoever sealed it may have published it, too: the ledger is being told */
        return sleep_until(flight, FLIGHT_ACQUIRING, POLL_DENIED_MS, FLIGHT_ORDER_SLEEP);
    return seal(flight, flight->code);
}

/* Its result may be in Kafka already, with the other record's offset: then a second one must not follow. */
static enum flight_order on_found_sealed(struct flight *flight, bool is_copy)
{
    if (is_copy)
        return FLIGHT_ORDER_ASK_PLACE;
    flight->is_found = true;
    return publish(flight, FLIGHT_ORDER_PUBLISH_FOUND);
}

/* What nobody but us knows is not left before it is sealed. */
static enum flight_order on_disowned(struct flight *flight)
{
    if (!flight->is_unsealed)
        return finish(flight, FLIGHT_ORDER_LEAVE_SEALED);
    flight->is_unsealed = false;
    return seal(flight, flight->code);
}

static enum flight_order on_left(struct flight *flight, bool can_attach)
{
    return finish(flight, can_attach ? FLIGHT_ORDER_HAND_OVER : FLIGHT_ORDER_DROP);
}

static enum flight_order on_leave(struct flight *flight)
{
    flight->is_leaving = true;
    if (flight->state == FLIGHT_QUEUED)
        return finish(flight, FLIGHT_ORDER_DROP);
    if (flight->state == FLIGHT_WAITING &&
        (flight->next == FLIGHT_QUEUED || flight->next == FLIGHT_ACQUIRING))
        return finish(flight, FLIGHT_ORDER_DROP);
    return FLIGHT_ORDER_WAIT; /* an answer, a run or a verdict is on its way */
}

bool flight_accepts(const struct flight *flight, enum flight_event_kind kind)
{
    enum flight_state state = flight->state;
    switch (kind) {
    case FLIGHT_EVENT_BEGIN:
    case FLIGHT_EVENT_TURN:
        return state == FLIGHT_QUEUED;
    case FLIGHT_EVENT_WAKE:
        return state == FLIGHT_WAITING;
    case FLIGHT_EVENT_GRANTED:
    case FLIGHT_EVENT_DENIED:
    case FLIGHT_EVENT_ADOPT:
    case FLIGHT_EVENT_FOUND_SEALED:
        return state == FLIGHT_ACQUIRING;
    case FLIGHT_EVENT_STALE:
    case FLIGHT_EVENT_FOUND_CANCELLED:
        return state == FLIGHT_ACQUIRING || state == FLIGHT_QUEUED;
    case FLIGHT_EVENT_FOUND_DONE:
        return state == FLIGHT_ACQUIRING || state == FLIGHT_SEALING || state == FLIGHT_QUEUED;
    case FLIGHT_EVENT_ELSEWHERE:
    case FLIGHT_EVENT_CONFLICT:
    case FLIGHT_EVENT_NOT_NOW:
        return state == FLIGHT_ACQUIRING || state == FLIGHT_SEALING;
    case FLIGHT_EVENT_ENDED:
        return state == FLIGHT_EXECUTING;
    case FLIGHT_EVENT_LEFT: /* else nobody would ever finish the offset */
        return state == FLIGHT_EXECUTING && flight->is_leaving;
    case FLIGHT_EVENT_SEALED:
        return state == FLIGHT_SEALING;
    case FLIGHT_EVENT_SUPERSEDED:
        return state == FLIGHT_SEALING || state == FLIGHT_EXECUTING;
    case FLIGHT_EVENT_DELIVERED:
    case FLIGHT_EVENT_TOO_LARGE:
        return state == FLIGHT_PUBLISHING || state == FLIGHT_PARKING;
    case FLIGHT_EVENT_DISOWNED:
    case FLIGHT_EVENT_FORGOTTEN:
        return state == FLIGHT_PUBLISHING && !flight->is_diverted;
    case FLIGHT_EVENT_CANCEL:
    case FLIGHT_EVENT_LEAVE:
        return state != FLIGHT_FINISHED;
    case FLIGHT_EVENT_COUNT:
        break;
    }
    return false;
}

enum flight_order flight_advance(struct flight *flight,
                                 const struct flight_event *event) // NOLINT: one switch over all events
{
    assert(flight_accepts(flight, event->kind));
    if (flight->state == FLIGHT_ACQUIRING && event->kind != FLIGHT_EVENT_LEAVE)
        flight->may_hold_claim = event->kind == FLIGHT_EVENT_GRANTED || event->kind == FLIGHT_EVENT_NOT_NOW;
    if (flight->state != FLIGHT_PARKING)
        flight->is_uncounted = true; /* unless it ends badly by itself */
    switch (event->kind) {
    case FLIGHT_EVENT_BEGIN:
        return on_begin(flight, event);
    case FLIGHT_EVENT_TURN:
        return on_turn(flight, event);
    case FLIGHT_EVENT_WAKE:
        return on_wake(flight);
    case FLIGHT_EVENT_GRANTED:
        return on_granted(flight, event);
    case FLIGHT_EVENT_DENIED:
        return on_denied(flight, event->retry_ms);
    case FLIGHT_EVENT_ELSEWHERE:
        return on_elsewhere(flight);
    case FLIGHT_EVENT_ADOPT:
        return on_adopt(flight, event);
    case FLIGHT_EVENT_FOUND_SEALED:
        return on_found_sealed(flight, event->is_copy);
    case FLIGHT_EVENT_FOUND_DONE:
        return finish(flight, FLIGHT_ORDER_NOTE_DUPLICATE);
    case FLIGHT_EVENT_STALE:
        return finish(flight, FLIGHT_ORDER_FINISH);
    case FLIGHT_EVENT_FOUND_CANCELLED:
        return seal(flight, flight->refusal != CODE_NONE ? flight->refusal : CODE_CANCELLED);
    case FLIGHT_EVENT_CONFLICT:
        flight->code = CODE_JOB_ID_CONFLICT;
        flight->is_diverted = true;
        return publish(flight, FLIGHT_ORDER_DIVERT);
    case FLIGHT_EVENT_NOT_NOW:
        return on_not_now(flight, event);
    case FLIGHT_EVENT_ENDED:
        return on_ended(flight, event);
    case FLIGHT_EVENT_LEFT:
        return on_left(flight, event->can_attach);
    case FLIGHT_EVENT_SEALED:
        flight->is_unsealed = false;
        flight->failures = 0;
        return publish(flight, FLIGHT_ORDER_PUBLISH);
    case FLIGHT_EVENT_SUPERSEDED:
        return on_elsewhere(flight);
    case FLIGHT_EVENT_DELIVERED:
        return finish(flight, FLIGHT_ORDER_FINISH);
    case FLIGHT_EVENT_TOO_LARGE:
        return flight->state == FLIGHT_PARKING ? on_not_parked(flight) : on_too_large(flight);
    case FLIGHT_EVENT_DISOWNED:
        return on_disowned(flight);
    case FLIGHT_EVENT_FORGOTTEN:
        return on_forgotten(flight);
    case FLIGHT_EVENT_CANCEL:
        return on_cancel(flight);
    case FLIGHT_EVENT_LEAVE:
        return on_leave(flight);
    case FLIGHT_EVENT_COUNT:
        break;
    }
    assert(!"every event is handled above");
    return FLIGHT_ORDER_WAIT;
}

const char *flight_state_name(enum flight_state state)
{
    static const char *const names[FLIGHT_STATE_COUNT] = {"queued",  "acquiring",  "waiting", "executing",
                                                          "sealing", "publishing", "parking", "finished"};
    assert(state < FLIGHT_STATE_COUNT);
    return names[state];
}
