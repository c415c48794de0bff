/* The fake ledger's acquire. */
#include "fakes/redis/store_private.h"

#include <string.h>

enum { BOOK_MS = 1000, MOST_CLASSES = 32 };

struct asking {
    struct store *store;
    const char *worker;
    const struct ledger_acquire *acquire;
    int64_t now_ms;
    struct arena *arena;
    struct ledger_acquired *answer;
    const char *class;
    int64_t unmet_all;
};

static const char *lend(struct asking *asking, const char *text)
{
    return text ? arena_strdup(asking->arena, text) : "";
}

/* ---- the claim ---- */

static void answer_taken(struct asking *asking, struct claim *claim)
{
    struct ledger_acquired *answer = asking->answer;
    answer->permit = lend(asking, claim->permit);
    answer->sandbox = lend(asking, claim->sandbox);
    if (claim->state == CLAIM_SEALED) {
        answer->verdict = LEDGER_SEALED;
        answer->place = claim->epoch == asking->store->epoch ? lend(asking, claim->place) : "";
        if (answer->place[0] == '\0' && asking->acquire->place[0] != '\0')
            store_put(&claim->place, asking->acquire->place);
        answer->record.length = claim->record.length;
        if (claim->record.length > 0)
            answer->record.data = arena_copy(asking->arena, claim->record.data, claim->record.length);
        return;
    }
    answer->verdict = LEDGER_ADOPT;
    answer->mode = lend(asking, claim->mode);
    answer->plan = lend(asking, claim->plan);
    answer->attempt = claim->attempt;
    answer->crashes = claim->crashes;
    answer->run_until_ms = MAX(0, claim->run_until_ms - asking->now_ms);
}

static void take_over(struct asking *asking, struct claim *claim)
{
    bool is_crash = claim->owner[0] != '\0' && !store_is(claim->owner, asking->worker) && !claim->taken;
    store_put(&claim->owner, asking->worker);
    store_put(&claim->taken, asking->acquire->permit);
    if (!claim->payload) {
        store_put(&claim->payload, asking->acquire->payload);
        if (!claim->origin)
            store_put(&claim->origin, asking->acquire->origin);
    }
    claim->until_ms = asking->now_ms + asking->acquire->until_ms;
    claim->expires_ms = asking->now_ms + STORE_WEEK_MS;
    if (claim->state == CLAIM_RUNNING) {
        struct permit *permit = store_find_permit(asking->store, claim->permit);
        if (permit) {
            store_put(&permit->worker, asking->worker);
            store_put(&permit->job, claim->job);
        }
        claim->crashes += is_crash;
        claim->is_counted = claim->is_counted || is_crash;
        if (claim->is_cancelled)
            store_note_cancel(asking->store, asking->worker, claim->job);
    }
    answer_taken(asking, claim); /* which looks at the epoch that it was of */
    claim->epoch = asking->store->epoch;
}

static void answer_granted(struct asking *asking, const struct claim *claim, int64_t wait_ms)
{
    asking->answer->verdict = LEDGER_GRANTED;
    asking->answer->permit = lend(asking, claim->permit);
    asking->answer->attempt = claim->attempt;
    asking->answer->crashes = claim->crashes;
    asking->answer->wait_ms = wait_ms;
    asking->answer->has_begun = claim->has_begun;
}

/* Returns: true when this was the answer; false when the claim is free. */
static bool ask_owned(struct asking *asking, struct claim *claim)
{
    const struct ledger_acquire *acquire = asking->acquire;
    bool is_own = store_is(claim->owner, asking->worker);
    if (is_own && store_is(claim->taken, acquire->permit)) {
        claim->until_ms = asking->now_ms + acquire->until_ms;
        claim->epoch = asking->store->epoch;
        answer_taken(asking, claim);
        return true;
    }
    if (claim->state == CLAIM_RUNNING && is_own && store_is(claim->permit, acquire->permit) &&
        !claim->sandbox) {
        struct permit *permit = store_find_permit(asking->store, acquire->permit);
        if (!permit) {
            claim->attempt--;
            return false;
        }
        store_set_horizon(asking->store, permit,
                          MAX(permit->horizon_ms, asking->now_ms + BOOK_MS + acquire->horizon_ms));
        claim->until_ms = asking->now_ms + BOOK_MS + acquire->until_ms;
        claim->epoch = asking->store->epoch;
        answer_granted(asking, claim, MAX(0, BOOK_MS - (asking->now_ms - permit->born_ms)));
        return true;
    }
    bool is_over = claim->epoch != asking->store->epoch || claim->until_ms <= asking->now_ms;
    bool is_kept = asking->now_ms < asking->store->hold_ms ||
                   (!is_over && (is_own || store_is_alive(asking->store, claim->owner, asking->now_ms)));
    if (claim->owner[0] != '\0' && is_kept) {
        claim->is_watched = true;
        asking->answer->verdict = LEDGER_ELSEWHERE;
        asking->answer->owner = lend(asking, claim->owner);
        return true;
    }
    take_over(asking, claim);
    return true;
}

static bool ask_claim(struct asking *asking, struct claim *claim)
{
    struct ledger_acquired *answer = asking->answer;
    if (claim->payload && strcmp(claim->payload, asking->acquire->payload) != 0) {
        answer->verdict = LEDGER_CONFLICT;
    } else if (claim->state == CLAIM_DONE) {
        answer->verdict = LEDGER_DONE;
        answer->status = lend(asking, claim->status);
        answer->origin = lend(asking, claim->origin);
        answer->partition = claim->partition;
        answer->offset = claim->offset;
    } else if (claim->state == CLAIM_PARKED && asking->acquire->hop < claim->hop) {
        answer->verdict = LEDGER_STALE;
    } else if ((claim->state == CLAIM_RUNNING || claim->state == CLAIM_SEALED) && ask_owned(asking, claim)) {
        return true;
    } else if (claim->is_cancelled) {
        answer->verdict = LEDGER_CANCELLED;
    } else {
        return false;
    }
    return true;
}

/* ---- limits ---- */

static int64_t maximum_of(const struct asking *asking, const struct ledger_limit *limit)
{
    const struct maximum *maximum = store_find_maximum(asking->store, limit->name);
    int64_t max = maximum && maximum->max >= 0 ? maximum->max : limit->max;
    if (maximum && maximum->cut >= 0 && maximum->cut_ends_ms > asking->now_ms)
        max = MIN(max, maximum->cut);
    return max;
}

/* Places reserved for the class and not taken by it. */
static int64_t unmet_of(const struct asking *asking, const char *class)
{
    for (size_t i = 0; i < asking->acquire->limit_count; i++) {
        const struct ledger_limit *limit = &asking->acquire->limits[i];
        if (strncmp(limit->name, "r:", 2) != 0 || strcmp(limit->name + 2, class) != 0)
            continue;
        const char *name = arena_printf(asking->arena, "c:%s", class);
        return MAX(0, maximum_of(asking, limit) - store_used(asking->store, name));
    }
    return 0;
}

static void count_unmet(struct asking *asking)
{
    asking->unmet_all = 0;
    for (size_t i = 0; i < asking->acquire->limit_count; i++)
        if (strncmp(asking->acquire->limits[i].name, "r:", 2) == 0)
            asking->unmet_all += unmet_of(asking, asking->acquire->limits[i].name + 2);
}

static int64_t free_for(const struct asking *asking, const struct ledger_limit *limit, const char *class)
{
    int64_t free = maximum_of(asking, limit) - store_used(asking->store, limit->name);
    return strcmp(limit->name, "g") == 0 ? free - (asking->unmet_all - unmet_of(asking, class)) : free;
}

static struct waiter *find_waiter(const struct asking *asking, const char *limit)
{
    LIST_EACH(&asking->store->waiters, link)
    {
        struct waiter *waiter = LIST_OBJECT(link, struct waiter, link);
        if (strcmp(waiter->limit, limit) == 0 && strcmp(waiter->tenant, asking->acquire->tenant) == 0 &&
            strcmp(waiter->worker, asking->worker) == 0)
            return waiter;
    }
    return NULL;
}

/* Places that waiters of better rank may take; each class at most as many as are free for it. *ret_first: the
 * best of those that may have a place, or NULL: it is the asker. */
static int64_t rivals(const struct asking *asking, struct waiter *mine, const struct ledger_limit *limit,
                      const struct waiter *own, struct waiter **ret_first)
{
    struct waiter *first = free_for(asking, limit, mine->class) > 0 ? mine : NULL;
    struct {
        const char *class;
        int64_t count;
    } classes[MOST_CLASSES] = {{0}};
    LIST_EACH(&asking->store->waiters, link)
    {
        struct waiter *waiter = LIST_OBJECT(link, struct waiter, link);
        if (waiter == own || strcmp(waiter->limit, limit->name) != 0)
            continue;
        if (!store_waits(waiter, limit->name, asking->now_ms)) {
            store_waiter_free(waiter);
            continue;
        }
        if (!store_may_come(waiter, asking->now_ms))
            continue;
        size_t i = 0;
        while (i + 1 < MOST_CLASSES && classes[i].class && strcmp(classes[i].class, waiter->class) != 0)
            i++;
        classes[i].class = waiter->class;
        classes[i].count += store_ranks_before(asking->store, waiter, mine);
        if (free_for(asking, limit, waiter->class) > 0 &&
            (!first || store_ranks_before(asking->store, waiter, first)))
            first = waiter;
    }
    int64_t count = 0;
    for (size_t i = 0; i < MOST_CLASSES && classes[i].class; i++)
        count += MIN(classes[i].count, MAX(0, free_for(asking, limit, classes[i].class)));
    *ret_first = first == mine ? NULL : first;
    return count;
}

/* A wait has one beginning, at whatever limits it has stood: so ranks have one order at all of them. */
static int64_t waits_since(const struct asking *asking)
{
    int64_t since_ms = asking->now_ms;
    for (size_t i = 0; i < asking->acquire->limit_count; i++) {
        const struct waiter *own = find_waiter(asking, asking->acquire->limits[i].name);
        if (own && own->seen_ms >= asking->now_ms - STORE_FRESH_MS)
            since_ms = MIN(since_ms, own->since_ms);
    }
    return since_ms;
}

static void wait_at(struct asking *asking, const char *limit, struct waiter *waiter, int64_t since_ms)
{
    if (!waiter) {
        waiter = base_alloc(sizeof *waiter);
        store_put(&waiter->limit, limit);
        store_put(&waiter->tenant, asking->acquire->tenant);
        store_put(&waiter->worker, asking->worker);
        list_push_back(&asking->store->waiters, &waiter->link);
    }
    store_put(&waiter->class, asking->class);
    waiter->since_ms = since_ms;
    waiter->weight = asking->acquire->weight;
    waiter->seen_ms = asking->now_ms;
    waiter->told_ms = 0;
}

/* Returns: false with the answer set at the first limit that denies. */
static bool pass_limits(struct asking *asking)
{
    const struct ledger_acquire *acquire = asking->acquire;
    struct waiter mine = {.tenant = (char *)(uintptr_t)acquire->tenant,
                          .class = (char *)(uintptr_t)asking->class,
                          .since_ms = waits_since(asking),
                          .weight = acquire->weight};
    for (size_t i = 0; i < acquire->limit_count; i++) {
        const struct ledger_limit *limit = &acquire->limits[i];
        if (strncmp(limit->name, "r:", 2) == 0)
            continue;
        struct waiter *own = find_waiter(asking, limit->name);
        int64_t free = free_for(asking, limit, asking->class), used = store_used(asking->store, limit->name);
        struct waiter *first = NULL;
        if (maximum_of(asking, limit) > used && rivals(asking, &mine, limit, own, &first) < free)
            continue;
        wait_at(asking, limit->name, own, mine.since_ms);
        if (first && first->told_ms == 0)
            store_tell_turn(asking->store, first, asking->now_ms);
        asking->answer->verdict = LEDGER_DENIED;
        asking->answer->limit = lend(asking, limit->name);
        asking->answer->used = used;
        asking->answer->max = used + free;
        asking->answer->retry_ms = 250;
        return false;
    }
    return true;
}

/* Returns: false with the answer set when the bucket is booked for more than a second. */
static bool pass_rate(struct asking *asking, int64_t *ret_wait_ms)
{
    const struct ledger_acquire *acquire = asking->acquire;
    double rate = store_rate(asking->store, acquire->create_milli_per_s, asking->now_ms);
    int64_t now_micro = asking->now_ms * 1000, step_micro = rate > 0 ? (int64_t)(1e9 / rate) : 0;
    int64_t at_once_micro = (MAX(acquire->create_burst, 1) - 1) * step_micro;
    int64_t tat_micro = MAX(asking->store->tat_micro, now_micro);
    if (asking->store->rest_ms > asking->now_ms)
        tat_micro = MAX(tat_micro, asking->store->rest_ms * 1000 + at_once_micro);
    int64_t wait_micro = tat_micro - now_micro - at_once_micro;
    *ret_wait_ms = wait_micro > 0 ? (wait_micro + 999) / 1000 : 0;
    if (*ret_wait_ms > BOOK_MS) {
        asking->answer->verdict = LEDGER_DENIED;
        asking->answer->limit = "rate";
        asking->answer->max = (int64_t)rate;
        asking->answer->retry_ms = *ret_wait_ms - BOOK_MS;
        return false;
    }
    if (step_micro > 0)
        asking->store->tat_micro = tat_micro + step_micro;
    return true;
}

/* ---- the grant ---- */

static void write_permit(struct asking *asking, int64_t wait_ms)
{
    const struct ledger_acquire *acquire = asking->acquire;
    struct buffer limits = {0};
    for (size_t i = 0; i < acquire->limit_count; i++)
        if (strncmp(acquire->limits[i].name, "r:", 2) != 0)
            buffer_append_format(&limits, "%s%s", limits.length > 0 ? " " : "", acquire->limits[i].name);
    struct permit *permit = base_alloc(sizeof *permit);
    store_put(&permit->id, acquire->permit);
    store_put(&permit->worker, asking->worker);
    store_put(&permit->job, acquire->job);
    permit->limits = buffer_take(&limits);
    permit->born_ms = asking->now_ms;
    permit->horizon_ms = asking->now_ms + wait_ms + acquire->horizon_ms;
    permit->epoch = asking->store->epoch;
    store_add_permit(asking->store, permit);
    if (asking->store->watch)
        asking->store->watch->granted(asking->store->watch->arg, permit, acquire);
}

static void grant(struct asking *asking, int64_t wait_ms)
{
    const struct ledger_acquire *acquire = asking->acquire;
    for (size_t i = 0; i < acquire->limit_count; i++) {
        struct waiter *own = find_waiter(asking, acquire->limits[i].name);
        if (own)
            store_waiter_free(own);
    }
    struct claim *claim = store_need_claim(asking->store, acquire->job, asking->now_ms);
    claim->state = CLAIM_RUNNING;
    store_put(&claim->owner, asking->worker);
    store_put(&claim->permit, acquire->permit);
    store_put(&claim->payload, acquire->payload);
    store_put(&claim->origin, acquire->origin);
    store_forget_run(claim);
    claim->hop = acquire->hop;
    claim->attempt++;
    claim->until_ms = asking->now_ms + wait_ms + acquire->until_ms;
    claim->epoch = asking->store->epoch;
    claim->expires_ms = asking->now_ms + STORE_WEEK_MS;
    write_permit(asking, wait_ms);
    answer_granted(asking, claim, wait_ms);
}

struct place {
    const struct asking *asking;
    const struct ledger_limit *limit;
};

static bool may_have(const void *arg, const struct waiter *waiter)
{
    const struct place *place = arg;
    return free_for(place->asking, place->limit, waiter->class) > 0;
}

/* Where a place is left, whoever comes next is told. */
static void tell_others(const struct asking *asking)
{
    for (size_t i = 0; i < asking->acquire->limit_count; i++) {
        const struct place place = {asking, &asking->acquire->limits[i]};
        const char *name = place.limit->name;
        if (strncmp(name, "r:", 2) != 0 && maximum_of(asking, place.limit) > store_used(asking->store, name))
            (void)store_tell_next(asking->store, name, may_have, &place, asking->now_ms);
    }
}

void store_acquire(struct store *store, const char *worker, const struct ledger_acquire *acquire,
                   int64_t now_ms, struct arena *arena, struct ledger_acquired *ret)
{
    struct asking asking = {.store = store,
                            .worker = worker,
                            .acquire = acquire,
                            .now_ms = now_ms,
                            .arena = arena,
                            .answer = ret,
                            .class = ""};
    *ret = (struct ledger_acquired){.permit = "",
                                    .owner = "",
                                    .limit = "",
                                    .why = "",
                                    .sandbox = "",
                                    .mode = "",
                                    .plan = "",
                                    .record = {.data = ""},
                                    .status = "",
                                    .place = "",
                                    .origin = "",
                                    .partition = -1,
                                    .offset = -1};
    const char *why = store_not_ready(store, now_ms);
    if (why) {
        ret->verdict = LEDGER_NOT_READY;
        ret->why = why;
        return;
    }
    struct claim *claim = store_find_claim(store, acquire->job, now_ms);
    if (claim && ask_claim(&asking, claim))
        return;
    store_prune(store, now_ms);
    for (size_t i = 0; i < acquire->limit_count; i++)
        if (strncmp(acquire->limits[i].name, "c:", 2) == 0)
            asking.class = acquire->limits[i].name + 2;
    count_unmet(&asking);
    int64_t wait_ms = 0;
    if (!pass_limits(&asking) || !pass_rate(&asking, &wait_ms))
        return;
    grant(&asking, wait_ms);
    count_unmet(&asking);
    tell_others(&asking);
}
