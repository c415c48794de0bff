/* What comes in from Kafka. */
#include "worker/intake.h"

#include "core/retry.h"
#include "worker/control.h"
#include "worker/flight_park.h"
#include "worker/flight_runner.h"

#include <stdlib.h>
#include <string.h>

enum {
    CLOCK_SLACK_MS = 5000, /* clocks of workers differ by less */
    HEADERS_MAX = 64,      /* more of a record are not looked at */
    /* A job in the queue does not ask the ledger. Other copies of its record may be done meanwhile, and the
     * mark of that is kept for LEDGER_DONE_MS. */
    ASK_AGAIN_MS = LEDGER_DONE_MS / 4,
    ASKED_PER_LOOK = 256,
};

/* ---- topics ---- */

void intake_init(struct worker *worker)
{
    const struct config_topics *topics = &worker->config->topics;
    struct intake *intake = &worker->intake;
    intake->topics = base_alloc((topics->jobs.count + RETRY_TIER_COUNT + 1) * sizeof *intake->topics);
    for (size_t i = 0; i < topics->jobs.count; i++)
        intake->topics[intake->topic_count++] = topics->jobs.items[i];
    for (size_t i = 0; i < RETRY_TIER_COUNT; i++) {
        intake->retry_topics[i] = base_printf("%s%s", topics->retry, retry_tiers[i].name);
        intake->topics[intake->topic_count++] = intake->retry_topics[i];
    }
    intake->topics[intake->topic_count++] = topics->control;
    /* A quarter of what has room: max_in_flight that run, and as many that wait. */
    crowd_init(&intake->crowd, (size_t)MAX(worker->config->max_in_flight / 2, 1),
               (size_t)worker->config->max_bytes / 4);
}

void intake_release(struct worker *worker)
{
    for (size_t i = 0; i < RETRY_TIER_COUNT; i++)
        free(worker->intake.retry_topics[i]);
    free(worker->intake.topics);
}

/* Returns: NULL when it is none. */
static const struct retry_tier *tier_of(const struct worker *worker, const char *topic)
{
    for (size_t i = 0; i < RETRY_TIER_COUNT; i++)
        if (strcmp(topic, worker->intake.retry_topics[i]) == 0)
            return &retry_tiers[i];
    return NULL;
}

enum intake_kind intake_kind_of(const struct worker *worker, const char *topic)
{
    if (strcmp(topic, worker->config->topics.control) == 0)
        return INTAKE_ORDER;
    return tier_of(worker, topic) ? INTAKE_COPY : INTAKE_JOB;
}

const char *intake_retry_topic(const struct worker *worker, int64_t delay_ms, int64_t *ret_tier_ms)
{
    const struct retry_tier *tier = retry_tier_of(delay_ms);
    *ret_tier_ms = tier->ms;
    return worker->intake.retry_topics[tier - retry_tiers];
}

/* ---- records ---- */

void intake_read_hop(const struct kafka_message *message, struct hop *ret)
{
    struct header headers[HEADERS_MAX];
    size_t count = MIN(message->header_count, ARRAY_LENGTH(headers));
    for (size_t i = 0; i < count; i++)
        headers[i] = (struct header){message->headers[i].name, message->headers[i].value};
    hop_read(headers, count, ret);
}

/* Whoever wrote that it waits for longer than its tier had another clock: it is copied anew, by ours. */
int64_t intake_wait_ms(void *arg, const struct kafka_message *message)
{
    struct worker *worker = arg;
    const struct retry_tier *tier = tier_of(worker, message->topic);
    struct hop hop;
    if (!tier)
        return 0;
    intake_read_hop(message, &hop);
    int64_t wait_ms = hop.wake_unix_ms - loop_unix_ms(worker->loop);
    return wait_ms > tier->ms + CLOCK_SLACK_MS ? 0 : MAX(wait_ms, 0);
}

void intake_take(void *arg, const struct kafka_message *message)
{
    struct worker *worker = arg;
    if (intake_kind_of(worker, message->topic) == INTAKE_ORDER)
        control_begin(worker, message);
    else
        flight_runner_begin(worker, message);
}

/* ---- what waits in the queue ---- */

static size_t running_of(const struct worker *worker, const char *tenant_id)
{
    size_t running = 0;
    LIST_EACH(&worker->flights, link)
    {
        const struct flight_runner *runner = LIST_OBJECT(link, struct flight_runner, link);
        running += runner->is_counted && strcmp(runner->job.tenant_id, tenant_id) == 0;
    }
    return running;
}

/* The least urgent, and of these the latest: whoever came first stays. */
static void defer_latest(struct worker *worker, const char *tenant_id, size_t allowed)
{
    for (int lowest = PRIORITY_COUNT - 1; lowest >= 0; lowest--) {
        struct link *next;
        for (struct link *link = worker->flights.previous; link != &worker->flights; link = next) {
            struct flight_runner *runner = LIST_OBJECT(link, struct flight_runner, link);
            next = link->previous;
            if (queue_share_of(worker->queue, tenant_id, PRIORITY_COUNT - 1).count <= allowed)
                return;
            if (runner->job.priority == (enum priority)lowest && flight_park_may_defer(runner) &&
                strcmp(runner->job.tenant_id, tenant_id) == 0)
                flight_park_defer(runner);
        }
    }
}

static void look_at_crowd(struct worker *worker)
{
    struct crowd *crowd = &worker->intake.crowd;
    int64_t now_ms = loop_now_ms(worker->loop);
    for (size_t i = crowd->count; i-- > 0;) {
        struct crowd_tenant tenant = crowd->tenants[i];
        size_t running = running_of(worker, tenant.tenant_id);
        size_t allowed = crowd_judge(crowd, worker->queue, i, running, now_ms);
        if (allowed != SIZE_MAX)
            defer_latest(worker, tenant.tenant_id, allowed);
    }
}

/* Whether somebody runs it, or has left it running, cannot wait for a place here: its sandbox does not. */
static bool is_to_ask(const struct flight_runner *runner, bool may_take_up, int64_t now_ms)
{
    if (!flight_park_is_queued(runner))
        return false;
    return now_ms - runner->asked_ms >= ASK_AGAIN_MS || (may_take_up && flight_park_is_unheard(runner));
}

static void ask_again(struct worker *worker)
{
    int asked = 0;
    int64_t now_ms = loop_now_ms(worker->loop);
    bool may_take_up = worker_may_take_up(worker);
    LIST_EACH(&worker->flights, link)
    {
        struct flight_runner *runner = LIST_OBJECT(link, struct flight_runner, link);
        if (asked == ASKED_PER_LOOK)
            return;
        if (!is_to_ask(runner, may_take_up, now_ms))
            continue;
        flight_park_ask(runner);
        asked++;
    }
}

void intake_look(struct worker *worker)
{
    look_at_crowd(worker);
    ask_again(worker);
}
