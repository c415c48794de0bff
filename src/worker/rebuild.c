/* What this worker holds, asserted. */
#include "worker/rebuild.h"

#include "codec/envelope.h"
#include "codec/event_view.h"
#include "worker/context.h"
#include "worker/custody_runner.h"
#include "worker/flight_attempt.h"
#include "worker/flight_publish.h"
#include "worker/flight_runner.h"

#include <stdlib.h>
#include <string.h>

enum {
    AGAIN_MS = 500,
    BROUGHT_MS = 1000 /* a permit that goes back as soon as its assertion was answered */
};

/* Every permit and every claim has one; all are sent in one turn. It names its subject, for that may be gone
 * when the answer comes. */
struct assertion {
    struct rebuild *rebuild;
    struct ledger_call call;
    char permit[RANDOM_UUID_SIZE];
    char *job;       /* NULL: the permit alone */
    bool is_brought; /* the permit stands for its claim only: it goes back at once */
};

struct rebuild {
    struct worker *worker;
    struct assertion *assertions;
    size_t count, answered;
    bool has_failed;
    struct ledger_call asserted;
    struct timer timer;
};

static void begin(void *arg);

static void stop(struct rebuild *rebuild)
{
    for (size_t i = 0; i < rebuild->count; i++)
        ledger_call_cancel(rebuild->worker->ledger, &rebuild->assertions[i].call);
    ledger_call_cancel(rebuild->worker->ledger, &rebuild->asserted);
    loop_timer_stop(rebuild->worker->loop, &rebuild->timer);
}

static void forget(struct rebuild *rebuild)
{
    for (size_t i = 0; i < rebuild->count; i++)
        free(rebuild->assertions[i].job);
    free(TAKE(rebuild->assertions));
    rebuild->count = rebuild->answered = 0;
    rebuild->has_failed = false;
}

static void again(struct rebuild *rebuild)
{
    if (ledger_state(rebuild->worker->ledger) == LEDGER_REBUILDING) /* a broken connection asks by itself */
        loop_timer_start(rebuild->worker->loop, &rebuild->timer, AGAIN_MS, begin, rebuild);
}

/* ---- answers ---- */

static void on_asserted(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct rebuild *rebuild = call->arg;
    if (error || answer != LEDGER_OK)
        again(rebuild);
}

static struct flight_runner *find_flight(struct worker *worker, const char *job)
{
    LIST_EACH(&worker->flights, link)
    {
        struct flight_runner *runner = LIST_OBJECT(link, struct flight_runner, link);
        if (job && strcmp(runner->job.key, job) == 0)
            return runner;
    }
    return NULL;
}

/* Somebody else came first with the claim, or it is done: what runs here is worth nothing any more. */
static void lose_claim(struct assertion *assertion)
{
    struct flight_runner *runner = find_flight(assertion->rebuild->worker, assertion->job);
    if (runner && strcmp(runner->permit, assertion->permit) == 0)
        flight_runner_superseded(runner);
}

static void count_answer(struct rebuild *rebuild, bool has_failed)
{
    rebuild->has_failed |= has_failed;
    if (++rebuild->answered < rebuild->count)
        return;
    if (rebuild->has_failed)
        again(rebuild);
    else
        ledger_asserted(rebuild->worker->ledger, &rebuild->asserted, on_asserted);
}

/* The answer is obeyed last: what it ends may be the last thing here, and then a drain ends with it. */
static void on_answer(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct assertion *assertion = call->arg;
    struct rebuild *rebuild = assertion->rebuild;
    struct custody_runner *custody = custody_runner_find(rebuild->worker, assertion->permit);
    bool has_failed = error || answer == LEDGER_NOT_NOW;
    if (assertion->is_brought && !error && !custody)
        ledger_release(rebuild->worker->ledger, assertion->permit, NULL, LEDGER_RELEASE_PERMIT);
    count_answer(rebuild, has_failed);
    if (has_failed)
        return;
    if (answer == LEDGER_SUPERSEDED_PERMIT && custody)
        custody_runner_on_lost(custody, LEDGER_LOST_TO_OTHER);
    else if (answer != LEDGER_OK)
        lose_claim(assertion);
}

/* ---- what is held ---- */

static bool runs(const struct flight_runner *runner)
{
    const struct flight *flight = &runner->flight;
    bool is_sealing = flight->state == FLIGHT_SEALING ||
                      (flight->state == FLIGHT_WAITING && flight->next == FLIGHT_SEALING);
    return flight->holds_claim && runner->has_plan && (flight->state == FLIGHT_EXECUTING || is_sealing);
}

static bool waits_to_publish(const struct flight *flight)
{
    return flight->state == FLIGHT_WAITING && flight->next == FLIGHT_PUBLISHING;
}

/* Sealed, and not in Kafka yet as far as we know. What another sealed is asked for anew, unless it was handed
 * to librdkafka already: then nobody but us knows that it will be there. */
static bool is_sealed(const struct flight_runner *runner)
{
    const struct flight *flight = &runner->flight;
    return (flight->state == FLIGHT_PUBLISHING || waits_to_publish(flight)) && !flight->is_diverted &&
           runner->is_found == flight->is_found && !flight->is_unsealed;
}

/* What another sealed says it itself. */
static const char *status_of(const struct flight_runner *runner, struct arena *arena)
{
    struct header headers[ENVELOPE_HEADERS_MAX];
    struct event_view event;
    struct bytes value;
    size_t count = 0;
    bool is_told = runner->is_found &&
                   record_unpack(buffer_bytes(&runner->sealed), headers, ARRAY_LENGTH(headers), arena, &count,
                                 &value, NULL) &&
                   event_view_read(headers, count, value, arena, &event, NULL) && event.status;
    return is_told ? event.status : status_name(code_status(runner->flight.code));
}

static void add_claim(const struct flight_runner *runner, struct ledger_assertion *ret)
{
    const struct plan *plan = &runner->plan;
    ret->job = runner->job.key;
    ret->payload = runner->job.from.payload;
    ret->origin = runner->job.from.origin;
    ret->hop = runner->job.from.hop;
    ret->attempt = runner->flight.attempt;
    ret->crashes = runner->crashes;
    if (!runner->has_plan)
        return;
    ret->mode = run_mode_name(plan->run_mode);
    int64_t ran_ms = runner->custody && runner->custody->created_ms != 0
                         ? loop_now_ms(runner->worker->loop) - runner->custody->created_ms
                         : 0;
    ret->until_ms = plan->main_ms + plan->final_ms + CUSTODY_CLAIM_MARGIN_MS;
    ret->run_until_ms = MAX(plan->main_ms - ran_ms, 1);
}

static void send(struct rebuild *rebuild, struct assertion *slot, const struct ledger_assertion *assertion)
{
    slot->rebuild = rebuild;
    slot->call.arg = slot;
    base_copy_text(slot->permit, sizeof slot->permit, assertion->permit);
    slot->job = assertion->job[0] != '\0' ? base_strdup(assertion->job) : NULL;
    ledger_assert(rebuild->worker->ledger, &slot->call, assertion, on_answer);
}

static const struct ledger_assertion nothing = {.holder = LEDGER_MINE,
                                                .permit = "",
                                                .sandbox = "",
                                                .limits = "g",
                                                .job = "",
                                                .mode = "",
                                                .plan = "",
                                                .payload = "",
                                                .origin = "",
                                                .status = "",
                                                .place = ""};

/* It is on its way to be nobody's: asserted as what the yield makes of it, which may not come any more. So
 * whatever the leader of the rebuild says of it, before or after, is the same with less in it. */
static void give_away(const struct custody_runner *custody, struct ledger_assertion *ret)
{
    const struct handed_run *handed = &custody->handed;
    int64_t since_ms =
        custody->created_ms != 0 ? custody->created_ms : custody->began_ms - custody->run_ran_ms;
    int64_t ran_ms = loop_now_ms(custody->worker->loop) - since_ms;
    ret->holder = LEDGER_NOBODYS;
    ret->job = custody->job;
    ret->mode = run_mode_name(RUN_MODE_PROCESS);
    ret->plan = handed->plan;
    ret->payload = handed->payload;
    ret->origin = handed->origin;
    ret->hop = handed->hop;
    ret->attempt = custody->attempt;
    ret->crashes = handed->crashes;
    ret->until_ms = custody->until_ms;
    ret->run_until_ms = MAX(handed->main_ms - ran_ms, 1);
}

static void assert_custody(struct rebuild *rebuild, struct assertion *slot, struct custody_runner *custody)
{
    struct ledger_assertion assertion = nothing;
    char digest[PLAN_DIGEST_SIZE] = "";
    assertion.permit = custody->permit;
    assertion.sandbox = custody->sandbox_id;
    if (custody->limits)
        assertion.limits = custody->limits;
    /* Whatever it is at, its sandbox is over by then. */
    assertion.horizon_ms = custody_horizon_ms(&custody->custody.times) + LEDGER_GRANT_MS + LEDGER_CREATE_MS +
                           LEDGER_LATE_CREATE_MS;
    const struct flight_runner *flight = custody->flight;
    if (flight && runs(flight)) {
        plan_digest_text(&flight->plan, digest);
        assertion.plan = digest;
        add_claim(flight, &assertion);
    } else if (custody->custody.state == CUSTODY_HANDING) {
        give_away(custody, &assertion);
    }
    send(rebuild, slot, &assertion);
}

/* Its sandbox is gone, its verdict waits for the ledger. A claim is told by its permit, so that comes along,
 * and the sandbox's name, which says that the program has begun. It is asserted as a run, no more: only what
 * was sealed may be in Kafka, and that must win. */
static bool waits_to_seal(const struct flight_runner *runner)
{
    return runs(runner) && (!runner->custody || runner->custody->flight != runner);
}

static void assert_run(struct rebuild *rebuild, struct assertion *slot, struct flight_runner *runner)
{
    struct ledger_assertion assertion = nothing;
    char digest[PLAN_DIGEST_SIZE];
    plan_digest_text(&runner->plan, digest);
    add_claim(runner, &assertion);
    assertion.permit = runner->permit;
    assertion.sandbox = flight_attempt_last_sandbox(runner);
    assertion.plan = digest;
    assertion.horizon_ms = BROUGHT_MS;
    slot->is_brought = true;
    send(rebuild, slot, &assertion);
}

static void assert_verdict(struct rebuild *rebuild, struct assertion *slot, struct flight_runner *runner)
{
    struct ledger_assertion assertion = nothing;
    CLEANUP(arena_release) struct arena arena = {0};
    arena_init(&arena, 1024);
    add_claim(runner, &assertion);
    assertion.limits = "";
    assertion.until_ms = FLIGHT_SEALED_UNTIL_MS;
    assertion.status = status_of(runner, &arena);
    assertion.record = flight_publish_sealed(runner);
    send(rebuild, slot, &assertion);
}

static void begin(void *arg)
{
    struct rebuild *rebuild = arg;
    struct worker *worker = rebuild->worker;
    stop(rebuild);
    forget(rebuild);
    size_t verdicts = 0;
    LIST_EACH(&worker->flights, link)
    {
        const struct flight_runner *runner = LIST_OBJECT(link, struct flight_runner, link);
        verdicts += is_sealed(runner) || waits_to_seal(runner);
    }
    rebuild->count = worker->custody_count + verdicts;
    log_info(&worker->log, "ledger.asserting", LOG_INT("sandboxes", worker->custody_count),
             LOG_INT("verdicts", verdicts));
    if (rebuild->count == 0) {
        ledger_asserted(worker->ledger, &rebuild->asserted, on_asserted);
        return;
    }
    rebuild->assertions = base_alloc(rebuild->count * sizeof *rebuild->assertions);
    size_t next = 0;
    LIST_EACH(&worker->custodies, link)
    assert_custody(rebuild, &rebuild->assertions[next++], LIST_OBJECT(link, struct custody_runner, link));
    LIST_EACH(&worker->flights, link)
    {
        struct flight_runner *runner = LIST_OBJECT(link, struct flight_runner, link);
        if (is_sealed(runner))
            assert_verdict(rebuild, &rebuild->assertions[next++], runner);
        else if (waits_to_seal(runner))
            assert_run(rebuild, &rebuild->assertions[next++], runner);
    }
}

/* ---- use ---- */

struct rebuild *rebuild_new(struct worker *worker)
{
    struct rebuild *rebuild = base_alloc(sizeof *rebuild);
    rebuild->worker = worker;
    rebuild->asserted.arg = rebuild;
    return rebuild;
}

static void free_rebuild(void *object)
{
    forget(object);
    free(object);
}

void rebuild_free(struct rebuild *rebuild)
{
    if (!rebuild)
        return;
    stop(rebuild);
    loop_reap(rebuild->worker->loop, rebuild, free_rebuild);
}

void rebuild_begin(struct rebuild *rebuild)
{
    begin(rebuild);
}
