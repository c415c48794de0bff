/* Sandboxes: registry, clocks, ends. */
#include "sandbox.h"

#include "answer.h"
#include "base/base64.h"
#include "base/clock.h"
#include "cell.h"
#include "context.h"
#include "loop/loop.h"
#include "process.h"
#include "service.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { PROCESS_LIMIT = 512 };

static void make_id(struct service *service, char id[SANDBOX_ID_SIZE])
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    id[0] = 'i';
    for (int i = 1; i < SANDBOX_ID_SIZE - 1; i++)
        id[i] = alphabet[random_below(&service->random, sizeof alphabet - 1)];
    id[SANDBOX_ID_SIZE - 1] = '\0';
}

static void make_token(char token[SANDBOX_TOKEN_SIZE])
{
    unsigned char secret[32];
    if (getrandom(secret, sizeof secret, 0) != (ssize_t)sizeof secret)
        base_die("the system gives no random numbers");
    (void)snprintf(token, 4, "ea_");
    for (size_t i = 0; i < sizeof secret; i++)
        (void)snprintf(token + 3 + 2 * i, 3, "%02x", secret[i]);
}

static void set_variables(struct sandbox *sandbox, json_t *given)
{
    sandbox->variables = json_pack("{s:s,s:s,s:s}", "E2B_SANDBOX", "true", "E2B_SANDBOX_ID", sandbox->id,
                                   "E2B_TEMPLATE_ID", sandbox->template->id);
    if (given)
        json_object_update(sandbox->variables, given);
}

/* ---- the journal ---- */

/* With the number of those that live already: whoever gave a limit can be held to it. */
static void note_created(const struct sandbox *sandbox)
{
    const struct log *journal = &sandbox->service->journal;
    if (!log_is_on(journal, LOG_LEVEL_INFO))
        return;
    CLEANUP(base_freep) char *metadata = json_dumps(sandbox->metadata, JSON_COMPACT);
    log_info(journal, "sandbox.created", LOG_TEXT("sandbox", sandbox->id),
             LOG_INT("live", sandbox->service->sandbox_count), LOG_TEXT("metadata", metadata));
}

static void note_ended(const struct sandbox *sandbox, enum sandbox_end why)
{
    static const char *const names[] = {
        [SANDBOX_END_KILLED] = "killed", [SANDBOX_END_EXPIRED] = "expired", [SANDBOX_END_LOST] = "lost"};
    log_info(&sandbox->service->journal, "sandbox.ended", LOG_TEXT("sandbox", sandbox->id),
             LOG_INT("live", sandbox->service->sandbox_count), LOG_TEXT("why", names[why]));
}

/* ---- life ---- */

static void free_sandbox(struct sandbox *sandbox)
{
    json_decref(sandbox->metadata);
    json_decref(sandbox->variables);
    free(sandbox);
}

struct sandbox *sandbox_new(struct service *service, const struct sandbox_request *request,
                            struct error *reterr)
{
    struct sandbox *sandbox = base_alloc(sizeof *sandbox);
    sandbox->service = service;
    sandbox->template = request->template;
    sandbox->is_secure = request->is_secure;
    sandbox->pauses_at_timeout = request->pauses_at_timeout;
    sandbox->hides_traffic = request->hides_traffic;
    sandbox->has_internet = request->has_internet;
    list_init(&sandbox->processes);
    list_init(&sandbox->contexts);
    make_id(service, sandbox->id);
    make_token(sandbox->token);
    make_token(sandbox->traffic_token);
    sandbox->metadata = request->metadata ? json_deep_copy(request->metadata) : json_object();
    set_variables(sandbox, request->variables);
    struct cgroup_limits limits = {.memory_bytes = (int64_t)request->template->memory_mb << 20,
                                   .process_count = PROCESS_LIMIT,
                                   .cpu_percent = request->template->cpu_percent};
    sandbox->cell = cell_new(service->cells, sandbox->id, &limits, reterr);
    if (!sandbox->cell) {
        free_sandbox(sandbox);
        return NULL;
    }
    list_push_back(&service->sandboxes, &sandbox->link);
    note_created(sandbox);
    service->sandbox_count++;
    service->stats.created++;
    service->stats.max_live = MAX(service->stats.max_live, service->sandbox_count);
    sandbox->started_unix_ms = clock_unix_ms();
    sandbox_set_end(sandbox, request->timeout_s * 1000);
    return sandbox;
}

struct ending {
    struct service *service;
    void (*on_gone)(void *arg);
    void *arg;
};

static void on_cell_gone(void *arg)
{
    struct ending *ending = arg;
    ending->service->dying_count--;
    if (ending->on_gone)
        ending->on_gone(ending->arg);
    free(ending);
}

static void count_end(struct stats *stats, enum sandbox_end why)
{
    switch (why) {
    case SANDBOX_END_KILLED:
        stats->killed++;
        break;
    case SANDBOX_END_EXPIRED:
        stats->expired++;
        break;
    case SANDBOX_END_LOST:
        stats->lost++;
        break;
    }
}

void sandbox_end(struct sandbox *sandbox, enum sandbox_end why, void (*on_gone)(void *arg), void *arg)
{
    struct service *service = sandbox->service;
    count_end(&service->stats, why);
    link_remove(&sandbox->link);
    service->sandbox_count--;
    note_ended(sandbox, why);
    service->dying_count++;
    loop_timer_stop(service->loop, &sandbox->expiry);
    contexts_end(sandbox);
    processes_end(sandbox);
    struct ending *ending = base_alloc(sizeof *ending);
    *ending = (struct ending){.service = service, .on_gone = on_gone, .arg = arg};
    cell_destroy(TAKE(sandbox->cell), on_cell_gone, ending);
    free_sandbox(sandbox);
}

/* ---- clocks ---- */

static void on_expiry(void *arg)
{
    struct sandbox *sandbox = arg;
    if (sandbox->pauses_at_timeout)
        sandbox_pause(sandbox);
    else
        sandbox_end(sandbox, SANDBOX_END_EXPIRED, NULL, NULL);
}

void sandbox_set_end(struct sandbox *sandbox, int64_t left_ms)
{
    sandbox->end_unix_ms = clock_unix_ms() + left_ms;
    log_info(&sandbox->service->journal, "sandbox.end_set", LOG_TEXT("sandbox", sandbox->id),
             LOG_INT("left_ms", left_ms));
    loop_timer_start(sandbox->service->loop, &sandbox->expiry, left_ms, on_expiry, sandbox);
}

void sandbox_pause(struct sandbox *sandbox)
{
    assert(sandbox->state == SANDBOX_RUNNING);
    sandbox->state = SANDBOX_PAUSED;
    loop_timer_stop(sandbox->service->loop, &sandbox->expiry);
    cell_freeze(sandbox->cell);
}

void sandbox_resume(struct sandbox *sandbox, int64_t left_ms)
{
    assert(sandbox->state == SANDBOX_PAUSED);
    sandbox->state = SANDBOX_RUNNING;
    cell_thaw(sandbox->cell);
    sandbox_set_end(sandbox, left_ms);
}

/* ---- looking ---- */

struct sandbox *sandbox_find(struct service *service, const char *id)
{
    size_t length = strcspn(id, "-");
    if (length != SANDBOX_ID_SIZE - 1)
        return NULL;
    LIST_EACH(&service->sandboxes, link)
    {
        struct sandbox *sandbox = LIST_OBJECT(link, struct sandbox, link);
        if (memcmp(sandbox->id, id, length) == 0)
            return sandbox;
    }
    return NULL;
}

const struct template *sandbox_find_template(struct service *service, const char *name)
{
    const char *slash = strrchr(name, '/'); /* "namespace/name:tag" */
    const char *bare = slash ? slash + 1 : name;
    size_t length = strcspn(bare, ":");
    const char *tag = bare + length;
    if (*tag && strcmp(tag, ":default") != 0 && strcmp(tag, ":latest") != 0)
        return NULL;
    for (const struct template *template = service->templates; template; template = template->next)
        if ((strlen(template->name) == length && memcmp(template->name, bare, length) == 0) ||
            (strlen(template->id) == length && memcmp(template->id, bare, length) == 0))
            return template;
    return NULL;
}

void sandbox_refuse_concurrency(struct service *service, struct http_exchange *exchange)
{
    answer_error(
        exchange, 429,
        "you have reached the maximum number of concurrent E2B sandboxes (%d). If you need more, please "
        "contact us at 'https://e2b.dev/docs/getting-help'",
        service->max_sandboxes);
}
