/* What dead workers leave: list first, ask second. */
#include "worker/reaper.h"

#include "worker/account.h"
#include "worker/context.h"
#include "worker/custody_runner.h"
#include "worker/listing.h"
#include "worker/observe.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROUND_MS = 30000,
    WAIT_MS = 2000,      /* for a ledger that is not ready, and before a new worker's first round */
    LOCK_MS = 90000,     /* over a round that takes long; a dead reaper is missed for so long */
    ABSENT_MS = 30000,   /* between two lists that do not show a permit's sandbox */
    UNBOUND_MS = 120000, /* a create is over: grant, deadline, late execution, and a little */
};

#define LOCK "reaper"

/* A dead worker's permit whose sandbox was not listed. */
struct absence {
    struct link link;
    char *permit;
    int64_t since_ms; /* the beginning of the first list without it */
    bool is_seen;     /* in this round as well */
};

struct reaper {
    struct worker *worker;
    struct timer timer;
    struct ledger_call call;
    struct e2b_call inspect;
    struct listing listing;
    struct arena arena; /* of the census */
    struct ledger_permit *permits;
    size_t permit_count;
    struct link absences;
    size_t next; /* sandbox, then permit, that is looked at */
};

static void begin_round(void *arg);
static void judge_sandboxes(struct reaper *reaper);
static void judge_permits(struct reaper *reaper);

static void end_round(struct reaper *reaper)
{
    struct worker *worker = reaper->worker;
    loop_timer_start(worker->loop, &reaper->timer, random_jitter_ms(worker->random, ROUND_MS), begin_round,
                     reaper);
}

static bool may_work(const struct reaper *reaper)
{
    const struct worker *worker = reaper->worker;
    return worker->phase == WORKER_RUNNING && ledger_state(worker->ledger) == LEDGER_READY;
}

/* ---- sandboxes without right ---- */

void reaped_free(struct reaped *reaped)
{
    if (!reaped)
        return;
    free(reaped->tenant);
    free(reaped->job);
    free(reaped->template_name);
    free(reaped->template_id);
    free(reaped);
}

/* The template that its metadata names, else what E2B says of it at the price of the first. */
static void set_price(struct reaped *reaped, const struct catalog *catalog, const struct listed *listed)
{
    const struct template_entry *entry = catalog_find(catalog, listed->template_name);
    if (entry) {
        reaped->template_name = base_strdup(entry->name);
        reaped->priced = *entry;
    } else if (catalog->count > 0) {
        reaped->priced = catalog->entries[0];
        reaped->priced.cpu_milli = listed->cpu_count * 1000;
        reaped->priced.memory_mb = listed->memory_mb;
    }
}

static char *name_or_null(const char *text)
{
    return job_is_name(text) ? base_strdup(text) : NULL;
}

static struct reaped *note(const struct reaper *reaper, const struct listed *listed, const char *reason)
{
    const struct worker *worker = reaper->worker;
    struct reaped *reaped = base_alloc(sizeof *reaped);
    const char *slash = strchr(listed->job, '/');
    reaped->reason = reason;
    reaped->tenant = name_or_null(listed->tenant);
    reaped->job = name_or_null(slash ? slash + 1 : "");
    reaped->template_id = base_strdup(listed->template_id);
    reaped->age_ms = listed->age_ms;
    reaped->noted_ms = reaper->listing.begun_ms;
    set_price(reaped, &worker->config->catalog, listed);
    return reaped;
}

/* NULL: the census, which is older than the list, does not know it. */
static const struct ledger_permit *find_permit(const struct reaper *reaper, const char *permit)
{
    for (size_t i = 0; i < reaper->permit_count; i++)
        if (strcmp(reaper->permits[i].permit, permit) == 0)
            return &reaper->permits[i];
    return NULL;
}

/* By a worker that lives. Our own without a custody may be one whose condemning was never answered: condemn
 * knows that, and keeps all others. */
static bool is_held(const struct reaper *reaper, const struct ledger_permit *permit)
{
    const struct worker *worker = reaper->worker;
    bool is_ours = strcmp(permit->worker, ledger_worker(worker->ledger)) == 0;
    return permit->is_owner_alive && (!is_ours || custody_runner_find(worker, permit->permit));
}

static const char *reason_of(const struct ledger_permit *permit)
{
    if (!permit)
        return "no_permit";
    return permit->worker[0] != '\0' ? "worker_dead" : "abandoned";
}

static void on_sandbox_condemned(struct ledger_call *call, const struct error *error,
                                 enum ledger_answer answer)
{
    struct reaper *reaper = call->arg;
    const struct listed *listed = &reaper->listing.items[reaper->next];
    if (!error && answer == LEDGER_OK) {
        const char *reason = reason_of(find_permit(reaper, listed->permit));
        struct reaped *reaped = note(reaper, listed, reason);
        custody_runner_reap(reaper->worker, listed->permit, listed->id, listed->job, reaped);
    }
    if (error || answer == LEDGER_NOT_NOW) {
        end_round(reaper);
        return;
    }
    reaper->next++;
    judge_sandboxes(reaper);
}

static bool is_suspicious(const struct reaper *reaper, const struct listed *listed)
{
    const struct ledger_permit *permit = find_permit(reaper, listed->permit);
    return !(permit && is_held(reaper, permit)) && !custody_runner_find(reaper->worker, listed->permit);
}

static void judge_sandboxes(struct reaper *reaper)
{
    if (!may_work(reaper)) {
        end_round(reaper);
        return;
    }
    while (reaper->next < reaper->listing.count &&
           !is_suspicious(reaper, &reaper->listing.items[reaper->next]))
        reaper->next++;
    if (reaper->next < reaper->listing.count) {
        ledger_condemn(reaper->worker->ledger, &reaper->call, reaper->listing.items[reaper->next].permit,
                       on_sandbox_condemned);
        return;
    }
    reaper->next = 0;
    judge_permits(reaper);
}

/* ---- permits without a sandbox ---- */

static void forget_absence(struct absence *absence)
{
    link_remove(&absence->link);
    free(absence->permit);
    free(absence);
}

static struct absence *find_absence(const struct reaper *reaper, const char *permit)
{
    LIST_EACH(&reaper->absences, link)
    {
        struct absence *absence = LIST_OBJECT(link, struct absence, link);
        if (strcmp(absence->permit, permit) == 0)
            return absence;
    }
    return NULL;
}

/* Those that the census knew before the list was begun, and that the list does not show. */
static void note_absences(struct reaper *reaper)
{
    for (size_t i = 0; i < reaper->permit_count; i++) {
        const struct ledger_permit *permit = &reaper->permits[i];
        if (is_held(reaper, permit) || listing_find(&reaper->listing, permit->permit))
            continue;
        struct absence *absence = find_absence(reaper, permit->permit);
        if (!absence) {
            absence = base_alloc(sizeof *absence);
            absence->permit = base_strdup(permit->permit);
            absence->since_ms = reaper->listing.begun_ms;
            list_push_back(&reaper->absences, &absence->link);
        }
        absence->is_seen = true;
    }
    LIST_EACH(&reaper->absences, link)
    {
        struct absence *absence = LIST_OBJECT(link, struct absence, link);
        if (absence->is_seen)
            absence->is_seen = false;
        else
            forget_absence(absence);
    }
}

static bool is_free(const struct reaper *reaper, const struct ledger_permit *permit)
{
    const struct absence *absence = find_absence(reaper, permit->permit);
    bool is_over = permit->sandbox[0] != '\0' || permit->age_ms >= UNBOUND_MS;
    return absence && is_over && reaper->listing.begun_ms - absence->since_ms >= ABSENT_MS;
}

static void go_on_with_permits(struct reaper *reaper)
{
    reaper->next++;
    judge_permits(reaper);
}

static void on_permit_condemned(struct ledger_call *call, const struct error *error,
                                enum ledger_answer answer)
{
    struct reaper *reaper = call->arg;
    const struct ledger_permit *permit = &reaper->permits[reaper->next];
    if (!error && answer == LEDGER_OK) {
        ledger_release(reaper->worker->ledger, permit->permit, NULL, LEDGER_RELEASE_PERMIT);
        observe_permit_freed(reaper->worker, permit);
    }
    if (error || answer == LEDGER_NOT_NOW)
        end_round(reaper);
    else
        go_on_with_permits(reaper);
}

static void condemn_permit(struct reaper *reaper)
{
    ledger_condemn(reaper->worker->ledger, &reaper->call, reaper->permits[reaper->next].permit,
                   on_permit_condemned);
}

static void on_inspected(struct e2b_call *call, const struct e2b_error *error,
                         const struct e2b_sandbox_info *info)
{
    struct reaper *reaper = call->arg;
    (void)info;
    if (error && error->kind == E2B_ERROR_GONE)
        condemn_permit(reaper);
    else
        go_on_with_permits(reaper); /* it is there, or nobody knows */
}

static void judge_permits(struct reaper *reaper)
{
    while (reaper->next < reaper->permit_count && !is_free(reaper, &reaper->permits[reaper->next]))
        reaper->next++;
    if (reaper->next == reaper->permit_count || !may_work(reaper)) {
        end_round(reaper);
        return;
    }
    const char *sandbox = reaper->permits[reaper->next].sandbox;
    reaper->inspect.timeout_ms = 0;
    if (sandbox[0] != '\0')
        e2b_sandbox_inspect(reaper->worker->e2b, &reaper->inspect, sandbox, on_inspected);
    else
        condemn_permit(reaper);
}

/* ---- a round ---- */

static void on_listed(void *arg, bool is_whole)
{
    struct reaper *reaper = arg;
    if (!is_whole) {
        end_round(reaper);
        return;
    }
    account_note_listing(reaper->worker->account, &reaper->listing);
    note_absences(reaper);
    reaper->next = 0;
    judge_sandboxes(reaper);
}

static void on_census(struct ledger_call *call, const struct error *error,
                      const struct ledger_permit *permits, size_t count)
{
    struct reaper *reaper = call->arg;
    if (error) {
        end_round(reaper);
        return;
    }
    arena_release(&reaper->arena);
    arena_init(&reaper->arena, 4096);
    reaper->permits = ARENA_ARRAY(&reaper->arena, struct ledger_permit, MAX(count, 1));
    reaper->permit_count = count;
    for (size_t i = 0; i < count; i++) {
        reaper->permits[i] = permits[i];
        reaper->permits[i].permit = arena_strdup(&reaper->arena, permits[i].permit);
        reaper->permits[i].worker = arena_strdup(&reaper->arena, permits[i].worker);
        reaper->permits[i].job = arena_strdup(&reaper->arena, permits[i].job);
        reaper->permits[i].sandbox = arena_strdup(&reaper->arena, permits[i].sandbox);
    }
    listing_start(&reaper->listing);
}

static void forget_absences(struct reaper *reaper)
{
    LIST_EACH(&reaper->absences, link)
    forget_absence(LIST_OBJECT(link, struct absence, link));
}

static void on_locked(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct reaper *reaper = call->arg;
    if (error || answer != LEDGER_OK) {
        if (!error)
            forget_absences(reaper); /* another looks after them */
        end_round(reaper);
        return;
    }
    ledger_census(reaper->worker->ledger, &reaper->call, on_census);
}

static void begin_round(void *arg)
{
    struct reaper *reaper = arg;
    struct worker *worker = reaper->worker;
    if (may_work(reaper))
        ledger_lock(worker->ledger, &reaper->call, LOCK, LOCK_MS, on_locked);
    else
        loop_timer_start(worker->loop, &reaper->timer, WAIT_MS, begin_round, reaper);
}

struct reaper *reaper_new(struct worker *worker)
{
    struct reaper *reaper = base_alloc(sizeof *reaper);
    reaper->worker = worker;
    reaper->call.arg = reaper->inspect.arg = reaper;
    arena_init(&reaper->arena, 0);
    list_init(&reaper->absences);
    listing_init(&reaper->listing, worker, on_listed, reaper);
    loop_timer_start(worker->loop, &reaper->timer, random_jitter_ms(worker->random, WAIT_MS), begin_round,
                     reaper);
    return reaper;
}

void reaper_free(struct reaper *reaper)
{
    if (!reaper)
        return;
    loop_timer_stop(reaper->worker->loop, &reaper->timer);
    ledger_call_cancel(reaper->worker->ledger, &reaper->call);
    e2b_call_cancel(&reaper->inspect);
    listing_release(&reaper->listing);
    forget_absences(reaper);
    arena_release(&reaper->arena);
    free(reaper);
}
