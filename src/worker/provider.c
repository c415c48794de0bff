/* Whether E2B can be used just now: obeys core/breaker.h. */
#include "worker/provider.h"

#include "base/clock.h"
#include "core/breaker.h"
#include "worker/account.h"
#include "worker/context.h"
#include "worker/flight_runner.h"
#include "worker/observe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct provider {
    struct worker *worker;
    struct breaker breaker;
    int64_t made;  /* sandboxes, so far */
    char why[480]; /* a sentence around an address and a message of E2B, see describe */
    struct e2b_call call;
    struct timer timer;
    int64_t timer_for_ms; /* the deadline that it runs for */
};

/* ---- the breaker ---- */

static void ask(struct provider *provider);

static void describe(struct provider *provider, const struct e2b_error *error)
{
    const struct worker *worker = provider->worker;
    const char *url = config_e2b_place(worker->config);
    char since[CLOCK_TEXT_SIZE];
    clock_format(loop_unix_ms(worker->loop) - (loop_now_ms(worker->loop) - provider->breaker.since_ms),
                 since);
    if (error->kind == E2B_ERROR_AUTH)
        (void)snprintf(
            provider->why, sizeof provider->why,
            "E2B_AUTH: E2B at %.100s refuses the key since %s: %s. Set E2B_API_KEY to a key of your "
            "team.",
            url, since, error->message);
    else if (provider->breaker.must_create)
        (void)snprintf(provider->why, sizeof provider->why,
                       "E2B at %.100s makes no sandboxes since %s: %s. It is tried with one at a time.", url,
                       since, error->message);
    else
        (void)snprintf(
            provider->why, sizeof provider->why,
            "E2B at %.100s does not answer as it should since %s: %s. It is asked again and again.", url,
            since, error->message);
}

/* Whether some job here waits for a sandbox. */
static bool is_wanted(const struct worker *worker)
{
    LIST_EACH(&worker->flights, link)
    {
        const struct flight *flight = &LIST_OBJECT(link, struct flight_runner, link)->flight;
        enum flight_state state = flight->state == FLIGHT_WAITING ? flight->next : flight->state;
        if (state == FLIGHT_QUEUED || state == FLIGHT_ACQUIRING)
            return true;
    }
    return false;
}

static void tell(struct provider *provider, enum breaker_event_kind kind, const struct e2b_error *error);

static void on_timer(void *arg)
{
    struct provider *provider = arg;
    provider->timer_for_ms = 0;
    tell(provider, BREAKER_EVENT_DEADLINE, NULL);
}

static void set_timer(struct provider *provider)
{
    struct loop *loop = provider->worker->loop;
    int64_t deadline_ms = provider->breaker.deadline_ms;
    if (deadline_ms == provider->timer_for_ms)
        return;
    provider->timer_for_ms = deadline_ms;
    if (deadline_ms == INT64_MAX)
        loop_timer_stop(loop, &provider->timer);
    else
        loop_timer_start(loop, &provider->timer,
                         random_jitter_ms(provider->worker->random, deadline_ms - loop_now_ms(loop)),
                         on_timer, provider);
}

/* error: what the event was, where it is a failure. Of many failures of one outage one is told. */
static void tell(struct provider *provider, enum breaker_event_kind kind, const struct e2b_error *error)
{
    struct worker *worker = provider->worker;
    const struct breaker_event event = {.kind = kind,
                                        .now_ms = loop_now_ms(worker->loop),
                                        .is_wanted = kind == BREAKER_EVENT_DEADLINE && is_wanted(worker)};
    struct breaker before = provider->breaker;
    enum breaker_order order = breaker_advance(&provider->breaker, &event);
    bool is_usable = provider_is_usable(provider);
    bool is_news = error && provider->breaker.tries > before.tries;
    set_timer(provider);
    if (is_news)
        describe(provider, error);
    if (is_usable)
        provider->why[0] = '\0';
    if (is_news || is_usable != (before.state == BREAKER_CLOSED))
        observe_state(worker, PART_E2B, is_usable, provider->why);
    if (provider_has_room(provider))
        worker_poke(worker);
    if (order == BREAKER_ORDER_ASK)
        ask(provider);
}

static void on_listed(struct e2b_call *call, const struct e2b_error *error,
                      const struct e2b_sandbox_page *page)
{
    (void)page;
    provider_note_list(call->arg, error);
}

/* The cheapest question that needs the key. */
static void ask(struct provider *provider)
{
    struct worker *worker = provider->worker;
    const struct e2b_pair metadata[] = {{"svc", "e2b-worker"}, {"ledger", worker->config->ledger}};
    const struct e2b_sandbox_filter filter = {.metadata = {metadata, ARRAY_LENGTH(metadata)}, .limit = 1};
    if (e2b_call_is_active(&provider->call))
        return;
    provider->call.timeout_ms = 0;
    e2b_sandbox_list(worker->e2b, &provider->call, &filter, on_listed);
}

struct provider *provider_new(struct worker *worker)
{
    struct provider *provider = base_alloc(sizeof *provider);
    provider->worker = worker;
    provider->call.arg = provider;
    (void)snprintf(provider->why, sizeof provider->why, "E2B was not asked yet");
    (void)breaker_init(&provider->breaker, loop_now_ms(worker->loop));
    ask(provider);
    return provider;
}

void provider_free(struct provider *provider)
{
    if (!provider)
        return;
    e2b_call_cancel(&provider->call);
    loop_timer_stop(provider->worker->loop, &provider->timer);
    free(provider);
}

bool provider_is_usable(const struct provider *provider)
{
    return provider->breaker.state == BREAKER_CLOSED;
}

const char *provider_why(const struct provider *provider)
{
    return provider->why;
}

/* ---- how calls end ---- */

bool provider_has_room(const struct provider *provider)
{
    return breaker_admits(&provider->breaker);
}

bool provider_admit(struct provider *provider)
{
    if (!breaker_admits(&provider->breaker))
        return false;
    tell(provider, BREAKER_EVENT_SENT, NULL);
    return true;
}

void provider_withdraw(struct provider *provider)
{
    tell(provider, BREAKER_EVENT_UNSENT, NULL);
}

/* Neither the job's fault nor surely E2B's: a server's failure, or none that answered. */
static bool is_unclear(const struct e2b_error *error)
{
    return error->kind == E2B_ERROR_BROKEN || error->kind == E2B_ERROR_TIMEOUT ||
           error->kind == E2B_ERROR_TOO_LARGE;
}

static enum breaker_event_kind event_of_create(const struct e2b_error *error)
{
    if (is_unclear(error) || error->kind == E2B_ERROR_CAPACITY)
        return BREAKER_EVENT_CREATE_FAILED;
    bool was_heard = error->http_status != 0 && error->kind != E2B_ERROR_RATE_LIMITED &&
                     error->kind != E2B_ERROR_QUOTA && error->kind != E2B_ERROR_AUTH;
    return was_heard ? BREAKER_EVENT_CREATED : BREAKER_EVENT_UNSENT;
}

void provider_note_create(struct provider *provider, const struct e2b_error *error)
{
    struct worker *worker = provider->worker;
    provider->made += error == NULL;
    tell(provider, error ? event_of_create(error) : BREAKER_EVENT_CREATED, error);
    if (!error)
        return;
    provider_note(provider, error);
    if (error->kind == E2B_ERROR_RATE_LIMITED)
        ledger_slower(worker->ledger, error->retry_after_ms, worker->config->create_milli_per_s);
    if (error->kind == E2B_ERROR_QUOTA)
        account_note_quota(worker->account, error->message);
}

void provider_note_list(struct provider *provider, const struct e2b_error *error)
{
    if (!error || error->kind == E2B_ERROR_RATE_LIMITED)
        tell(provider, BREAKER_EVENT_LISTED, NULL);
    else if (error->kind != E2B_ERROR_AUTH)
        tell(provider, BREAKER_EVENT_LIST_FAILED, error);
    else
        provider_note(provider, error);
}

void provider_note(struct provider *provider, const struct e2b_error *error)
{
    if (error->kind == E2B_ERROR_AUTH)
        tell(provider, BREAKER_EVENT_REFUSED, error);
}

/* ---- what an error means for the attempt ---- */

static const struct {
    enum e2b_error_kind kind;
    enum code create, call;
} CODES[] = {
    {E2B_ERROR_INVALID, CODE_SANDBOX_CREATE_FAILED, CODE_INTERNAL},
    {E2B_ERROR_AUTH, CODE_E2B_AUTH, CODE_SANDBOX_UNRESPONSIVE},
    {E2B_ERROR_NOT_FOUND, CODE_TEMPLATE_NOT_FOUND, CODE_INTERNAL},
    {E2B_ERROR_CONFLICT, CODE_SANDBOX_CREATE_FAILED, CODE_SANDBOX_UNRESPONSIVE},
    {E2B_ERROR_RATE_LIMITED, CODE_E2B_RATE_LIMITED, CODE_SANDBOX_UNRESPONSIVE},
    {E2B_ERROR_QUOTA, CODE_E2B_QUOTA, CODE_SANDBOX_UNRESPONSIVE},
    {E2B_ERROR_CAPACITY, CODE_E2B_CAPACITY, CODE_SANDBOX_UNRESPONSIVE},
    {E2B_ERROR_GONE, CODE_SANDBOX_LOST, CODE_SANDBOX_LOST},
    {E2B_ERROR_PORT_CLOSED, CODE_TEMPLATE_MISCONFIGURED, CODE_TEMPLATE_MISCONFIGURED},
    {E2B_ERROR_DISK_FULL, CODE_SANDBOX_CREATE_FAILED, CODE_DISK_FULL},
    {E2B_ERROR_TIMEOUT, CODE_SANDBOX_CREATE_FAILED, CODE_SANDBOX_UNRESPONSIVE},
    {E2B_ERROR_TOO_LARGE, CODE_SANDBOX_CREATE_FAILED, CODE_STREAM_BROKEN},
    {E2B_ERROR_BROKEN, CODE_SANDBOX_CREATE_FAILED, CODE_STREAM_BROKEN},
    {E2B_ERROR_EXPIRED, CODE_LIMITER_NOT_READY,
     CODE_INTERNAL}, /* we came too late for our own grant: ask for another */
    {E2B_ERROR_CLOSED, CODE_SANDBOX_CREATE_FAILED, CODE_INTERNAL},
};

enum code provider_create_code(const struct provider *provider, const struct e2b_error *error, int64_t *mark)
{
    if (is_unclear(error)) {
        bool was_job = *mark >= 0 && provider->made > *mark;
        *mark = provider->made;
        return was_job ? CODE_SANDBOX_CREATE_FAILED : CODE_E2B_CAPACITY;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(CODES); i++)
        if (CODES[i].kind == error->kind)
            return CODES[i].create;
    return CODE_SANDBOX_CREATE_FAILED;
}

enum code provider_call_code(const struct e2b_error *error)
{
    for (size_t i = 0; i < ARRAY_LENGTH(CODES); i++)
        if (CODES[i].kind == error->kind)
            return CODES[i].call;
    return CODE_INTERNAL;
}
