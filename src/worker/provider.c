/* Whether E2B can be used just now. */
#include "worker/provider.h"

#include "worker/context.h"
#include "worker/observe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ASK_AGAIN_MS = 5000 };

struct provider {
    struct worker *worker;
    bool is_usable, is_asking;
    char why[400]; /* a sentence around an address and a message of E2B, see describe */
    struct e2b_call call;
    struct timer timer;
};

static void ask(void *arg);

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

/* What was surely never made, since E2B was not reached, is no attempt: the job waits. */
enum code provider_create_code(const struct e2b_error *error)
{
    if (!error->undecided && error->http_status == 0 &&
        (error->kind == E2B_ERROR_BROKEN || error->kind == E2B_ERROR_TIMEOUT))
        return CODE_E2B_CAPACITY;
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

static void set_state(struct provider *provider, bool is_usable, const char *why)
{
    bool has_changed = provider->is_usable != is_usable || strcmp(provider->why, why) != 0;
    provider->is_usable = is_usable;
    (void)snprintf(provider->why, sizeof provider->why, "%s", why);
    if (has_changed)
        observe_state(provider->worker, PART_E2B, is_usable, provider->why);
    if (is_usable)
        worker_poke(provider->worker);
}

static void describe(const struct provider *provider, const struct e2b_error *error, char *text, size_t size)
{
    const char *place = config_e2b_place(provider->worker->config);
    if (error->kind == E2B_ERROR_AUTH)
        (void)snprintf(text, size,
                       "E2B_AUTH: E2B at %.100s refuses the key: %s. Set E2B_API_KEY to a key of your team.",
                       place, error->message);
    else
        (void)snprintf(text, size, "E2B at %.100s does not answer as it should: %s. Trying again every %d s.",
                       place, error->message, ASK_AGAIN_MS / 1000);
}

static void ask_later(struct provider *provider, int64_t delay_ms)
{
    struct worker *worker = provider->worker;
    loop_timer_start(worker->loop, &provider->timer, random_jitter_ms(worker->random, delay_ms), ask,
                     provider);
}

static void on_listed(struct e2b_call *call, const struct e2b_error *error,
                      const struct e2b_sandbox_page *page)
{
    struct provider *provider = call->arg;
    (void)page;
    char why[sizeof provider->why] = "";
    provider->is_asking = false;
    if (error) {
        describe(provider, error, why, sizeof why);
        set_state(provider, false, why);
        ask_later(provider, ASK_AGAIN_MS);
        return;
    }
    set_state(provider, true, "");
}

/* The cheapest question that needs the key. */
static void ask(void *arg)
{
    struct provider *provider = arg;
    struct worker *worker = provider->worker;
    if (provider->is_asking)
        return;
    provider->is_asking = true;
    const struct e2b_pair metadata[] = {{"svc", "e2b-worker"}, {"ledger", worker->config->ledger}};
    const struct e2b_sandbox_filter filter = {.metadata = {metadata, ARRAY_LENGTH(metadata)},
                                              .with_paused = true};
    provider->call.timeout_ms = 0;
    e2b_sandbox_list(worker->e2b, &provider->call, &filter, on_listed);
}

struct provider *provider_new(struct worker *worker)
{
    struct provider *provider = base_alloc(sizeof *provider);
    provider->worker = worker;
    provider->call.arg = provider;
    (void)snprintf(provider->why, sizeof provider->why, "E2B was not asked yet");
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
    return provider->is_usable;
}

const char *provider_why(const struct provider *provider)
{
    return provider->why;
}

void provider_note(struct provider *provider, const struct e2b_error *error)
{
    if (error->kind != E2B_ERROR_AUTH)
        return;
    char why[sizeof provider->why];
    describe(provider, error, why, sizeof why);
    set_state(provider, false, why);
    if (!provider->is_asking && !timer_is_active(&provider->timer))
        ask_later(provider, ASK_AGAIN_MS);
}
