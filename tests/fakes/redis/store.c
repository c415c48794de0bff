/* The fake ledger's records, and all operations but acquire. */
#include "fakes/redis/store.h"

#include "fakes/redis/store_private.h"

#include <stdlib.h>
#include <string.h>

enum { GAP_MS = 10000, FRESH_MS = 3000, NEVER_WAS_MS = 5000, LOST_MS = 120000, LOCK_MS = 10000 };
enum { DAY_MS = 24 * 3600 * 1000 };

/* ---- texts ---- */

void store_put(char **place, const char *text)
{
    char *copy = base_strdup(text);
    free(*place);
    *place = copy;
}

bool store_is(const char *place, const char *text)
{
    return place && strcmp(place, text) == 0;
}

/* ---- claims ---- */

static void claim_free(struct claim *claim)
{
    char *texts[] = {claim->job,    claim->owner,   claim->permit, claim->payload, claim->plan,
                     claim->origin, claim->sandbox, claim->mode,   claim->status,  claim->taken};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        free(texts[i]);
    buffer_release(&claim->record);
    link_remove(&claim->link);
    free(claim);
}

struct claim *store_find_claim(struct store *store, const char *job, int64_t now_ms)
{
    LIST_EACH(&store->claims, link)
    {
        struct claim *claim = LIST_OBJECT(link, struct claim, link);
        if (strcmp(claim->job, job) != 0)
            continue;
        if (claim->expires_ms > now_ms)
            return claim;
        claim_free(claim);
        return NULL;
    }
    return NULL;
}

struct claim *store_need_claim(struct store *store, const char *job, int64_t now_ms)
{
    struct claim *claim = store_find_claim(store, job, now_ms);
    if (claim)
        return claim;
    claim = base_alloc(sizeof *claim);
    claim->job = base_strdup(job);
    claim->expires_ms = INT64_MAX;
    claim->partition = claim->offset = -1;
    list_push_back(&store->claims, &claim->link);
    return claim;
}

void store_forget_run(struct claim *claim)
{
    char **texts[] = {&claim->sandbox, &claim->mode, &claim->plan, &claim->taken};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        store_put(texts[i], NULL);
    claim->run_until_ms = 0;
}

/* ---- permits ---- */

static void permit_free(struct permit *permit)
{
    link_remove(&permit->link);
    free(permit->id);
    free(permit->worker);
    free(permit->job);
    free(permit->sandbox);
    free(permit->limits);
    free(permit);
}

struct permit *store_find_permit(struct store *store, const char *id)
{
    LIST_EACH(&store->permits, link)
    {
        struct permit *permit = LIST_OBJECT(link, struct permit, link);
        if (strcmp(permit->id, id) == 0)
            return permit;
    }
    return NULL;
}

void store_prune(struct store *store, int64_t now_ms)
{
    LIST_EACH(&store->permits, link)
    {
        struct permit *permit = LIST_OBJECT(link, struct permit, link);
        if (permit->horizon_ms <= now_ms)
            permit_free(permit);
    }
}

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += length)
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

int64_t store_used(const struct store *store, const char *limit)
{
    int64_t count = 0;
    LIST_EACH(&store->permits, link)
    count += has_word(LIST_OBJECT(link, struct permit, link)->limits, limit);
    return count;
}

/* ---- leases, waiters, operator's values, notes ---- */

static struct lease *find_lease(const struct store *store, const char *worker)
{
    LIST_EACH(&store->leases, link)
    {
        struct lease *lease = LIST_OBJECT(link, struct lease, link);
        if (strcmp(lease->worker, worker) == 0)
            return lease;
    }
    return NULL;
}

static void lease_free(struct lease *lease)
{
    link_remove(&lease->link);
    free(lease->worker);
    free(lease);
}

void store_set_lease(struct store *store, const char *worker, int64_t ends_ms)
{
    struct lease *lease = find_lease(store, worker);
    if (lease && ends_ms == 0) {
        lease_free(lease);
        return;
    }
    if (!lease && ends_ms > 0) {
        lease = base_alloc(sizeof *lease);
        lease->worker = base_strdup(worker);
        list_push_back(&store->leases, &lease->link);
    }
    if (lease)
        lease->ends_ms = ends_ms;
}

bool store_is_alive(const struct store *store, const char *worker, int64_t now_ms)
{
    const struct lease *lease = find_lease(store, worker);
    return lease && lease->ends_ms > now_ms;
}

void store_waiter_free(struct waiter *waiter)
{
    link_remove(&waiter->link);
    free(waiter->limit);
    free(waiter->tenant);
    free(waiter->worker);
    free(waiter->class);
    free(waiter);
}

struct maximum *store_find_maximum(const struct store *store, const char *limit)
{
    LIST_EACH(&store->maxima, link)
    {
        struct maximum *maximum = LIST_OBJECT(link, struct maximum, link);
        if (strcmp(maximum->limit, limit) == 0)
            return maximum;
    }
    return NULL;
}

static struct maximum *need_maximum(struct store *store, const char *limit)
{
    struct maximum *maximum = store_find_maximum(store, limit);
    if (maximum)
        return maximum;
    maximum = base_alloc(sizeof *maximum);
    *maximum = (struct maximum){.limit = base_strdup(limit), .max = -1, .cut = -1};
    list_push_back(&store->maxima, &maximum->link);
    return maximum;
}

static void maximum_free(struct maximum *maximum)
{
    link_remove(&maximum->link);
    free(maximum->limit);
    free(maximum);
}

void store_set_limit(struct store *store, const char *limit, int64_t max)
{
    need_maximum(store, limit)->max = max;
}

void store_set_cut(struct store *store, const char *limit, int64_t max, int64_t ends_ms)
{
    struct maximum *maximum = need_maximum(store, limit);
    maximum->cut = max;
    maximum->cut_ends_ms = ends_ms;
}

static void note_free(struct note *note)
{
    link_remove(&note->link);
    free(note->worker);
    free(note->job);
    free(note);
}

void store_note_cancel(struct store *store, const char *worker, const char *job)
{
    struct note *note = base_alloc(sizeof *note);
    note->worker = base_strdup(worker);
    note->job = base_strdup(job);
    list_push_back(&store->cancels, &note->link);
}

char *store_take_cancel(struct store *store, const char *worker)
{
    LIST_EACH(&store->cancels, link)
    {
        struct note *note = LIST_OBJECT(link, struct note, link);
        if (strcmp(note->worker, worker) != 0)
            continue;
        char *job = TAKE(note->job);
        note_free(note);
        return job;
    }
    return NULL;
}

/* ---- the whole ---- */

void store_init(struct store *store)
{
    *store = (struct store){0};
    struct link *heads[] = {&store->claims,  &store->permits, &store->leases,
                            &store->waiters, &store->maxima,  &store->cancels};
    for (size_t i = 0; i < ARRAY_LENGTH(heads); i++)
        list_init(heads[i]);
}

void store_clear(struct store *store)
{
    LIST_EACH(&store->claims, link)
    claim_free(LIST_OBJECT(link, struct claim, link));
    LIST_EACH(&store->permits, link)
    permit_free(LIST_OBJECT(link, struct permit, link));
    LIST_EACH(&store->leases, link)
    lease_free(LIST_OBJECT(link, struct lease, link));
    LIST_EACH(&store->waiters, link)
    store_waiter_free(LIST_OBJECT(link, struct waiter, link));
    LIST_EACH(&store->maxima, link)
    maximum_free(LIST_OBJECT(link, struct maximum, link));
    LIST_EACH(&store->cancels, link)
    note_free(LIST_OBJECT(link, struct note, link));
    free(store->rebuilder);
    int epoch = store->epoch;
    store_init(store);
    store->epoch = epoch;
}

const char *store_not_ready(const struct store *store, int64_t now_ms)
{
    if (!store->is_there)
        return "the ledger is new: no worker has pulsed yet";
    if (!store->is_ready)
        return "the ledger is being rebuilt";
    return now_ms - store->clk_ms > GAP_MS ? "no worker has pulsed for 10 s" : NULL;
}

/* ---- pulse, extend, ready ---- */

static bool is_lost(const struct store *store, int64_t since_ms, int64_t now_ms)
{
    int64_t gap_ms = now_ms - store->clk_ms;
    if (!store->is_there || gap_ms < -1000)
        return true;
    if (gap_ms <= GAP_MS)
        return false;
    return since_ms < 0 ? !list_is_empty(&store->permits) : gap_ms > since_ms + 5000;
}

struct store_pulse store_pulse(struct store *store, const char *worker, int64_t lease_ms, int64_t since_ms,
                               int64_t now_ms)
{
    const struct lease *lease = find_lease(store, worker);
    bool has_lease = lease != NULL, has_lapsed = lease ? lease->ends_ms <= now_ms : since_ms >= 0;
    if (is_lost(store, since_ms, now_ms)) {
        store->is_fresh = !store->is_there && since_ms < 0 && list_is_empty(&store->permits);
        store->is_there = true;
        store->is_ready = false;
        store->epoch++;
        store->hold_ms = now_ms + LEDGER_LEASE_MS;
        store->since_ms = now_ms;
    } else {
        if (now_ms - store->clk_ms > GAP_MS)
            store->hold_ms = now_ms + LEDGER_LEASE_MS;
        if (since_ms >= 0 && !has_lease)
            store->is_fresh = false;
    }
    store->clk_ms = now_ms;
    store_set_lease(store, worker, now_ms + lease_ms);
    return (struct store_pulse){.is_ready = store->is_ready, .has_lapsed = has_lapsed, .epoch = store->epoch};
}

bool store_extend(struct store *store, const char *worker, const char *id, int64_t horizon_ms, int64_t now_ms)
{
    struct permit *permit = store_find_permit(store, id);
    if (!permit || strcmp(permit->worker, worker) != 0)
        return false;
    permit->horizon_ms = MAX(permit->horizon_ms, now_ms + horizon_ms);
    return true;
}

bool store_ready(struct store *store, const char *worker, int64_t now_ms)
{
    if (store->is_there && store->is_ready)
        return true;
    if (!store->is_there || now_ms - store->clk_ms > GAP_MS)
        return false;
    if (store->rebuilder && store->rebuilder_ends_ms > now_ms && strcmp(store->rebuilder, worker) != 0)
        return false;
    store_put(&store->rebuilder, worker);
    store->rebuilder_ends_ms = now_ms + LOCK_MS;
    if (now_ms - store->since_ms < (store->is_fresh ? NEVER_WAS_MS : LOST_MS))
        return false;
    LIST_EACH(&store->permits, link)
    {
        struct permit *permit = LIST_OBJECT(link, struct permit, link);
        if (permit->epoch != store->epoch)
            permit_free(permit);
    }
    store->is_ready = true;
    store_put(&store->rebuilder, NULL);
    return true;
}

/* ---- bind, seal ---- */

static enum ledger_answer superseded(struct store *store, const char *worker, const char *id,
                                     const struct claim *claim)
{
    const struct permit *permit = store_find_permit(store, id);
    if (permit && strcmp(permit->worker, worker) != 0)
        return LEDGER_SUPERSEDED_PERMIT;
    if (claim && claim->state == CLAIM_RUNNING && store_is(claim->permit, id) &&
        !store_is(claim->owner, worker))
        return LEDGER_SUPERSEDED_PERMIT;
    return LEDGER_SUPERSEDED;
}

bool store_bind(struct store *store, const char *worker, const struct ledger_bind *bind, int64_t now_ms,
                enum ledger_answer *ret)
{
    if (store_not_ready(store, now_ms))
        return false;
    struct claim *claim = store_find_claim(store, bind->job, now_ms);
    struct permit *permit = store_find_permit(store, bind->permit);
    bool is_mine = claim && (claim->state == CLAIM_RUNNING || claim->state == CLAIM_SEALED) &&
                   store_is(claim->owner, worker) && store_is(claim->permit, bind->permit);
    bool has_permit = permit && strcmp(permit->worker, worker) == 0;
    if (has_permit) {
        store_put(&permit->sandbox, bind->sandbox);
        permit->horizon_ms = MAX(permit->horizon_ms, now_ms + bind->horizon_ms);
    }
    if (!is_mine || !has_permit) {
        *ret = is_mine ? LEDGER_SUPERSEDED : superseded(store, worker, bind->permit, claim);
        return true;
    }
    if (claim->state == CLAIM_RUNNING) {
        store_put(&claim->sandbox, bind->sandbox);
        store_put(&claim->mode, bind->mode);
        store_put(&claim->plan, bind->plan);
        claim->until_ms = now_ms + bind->until_ms;
        claim->run_until_ms = now_ms + bind->run_until_ms;
    }
    *ret = LEDGER_OK;
    return true;
}

static bool is_record(const struct claim *claim, struct bytes record)
{
    return claim->record.length == record.length &&
           (record.length == 0 || memcmp(claim->record.data, record.data, record.length) == 0);
}

enum ledger_answer store_seal(struct store *store, const char *worker, const struct ledger_seal *seal,
                              int64_t now_ms)
{
    if (store_not_ready(store, now_ms))
        return LEDGER_SEAL_NOT_READY;
    struct claim *claim = store_find_claim(store, seal->job, now_ms);
    enum claim_state state = claim ? claim->state : CLAIM_NONE;
    if (claim && claim->payload && strcmp(claim->payload, seal->payload) != 0)
        return LEDGER_SEAL_CONFLICT;
    if (state == CLAIM_DONE)
        return LEDGER_SEAL_DONE;
    bool is_mine = claim && store_is(claim->owner, worker) && store_is(claim->permit, seal->permit);
    if (state == CLAIM_SEALED && is_mine)
        return is_record(claim, seal->record) ? LEDGER_OK : LEDGER_SEAL_ELSEWHERE;
    if (seal->permit[0] != '\0') {
        if (state != CLAIM_RUNNING || !is_mine)
            return superseded(store, worker, seal->permit, claim);
    } else if (state == CLAIM_RUNNING || state == CLAIM_SEALED) {
        claim->is_watched = true;
        return LEDGER_SEAL_ELSEWHERE;
    }
    claim = store_need_claim(store, seal->job, now_ms);
    claim->state = CLAIM_SEALED;
    store_put(&claim->owner, worker);
    store_put(&claim->permit, seal->permit);
    store_put(&claim->payload, seal->payload);
    if (!claim->origin)
        store_put(&claim->origin, seal->origin);
    store_put(&claim->status, seal->status);
    store_put(&claim->taken, NULL);
    claim->until_ms = now_ms + seal->until_ms;
    claim->expires_ms = INT64_MAX;
    buffer_clear(&claim->record);
    buffer_append(&claim->record, seal->record.data, seal->record.length);
    return LEDGER_OK;
}

/* ---- done, release, snapshot ---- */

bool store_done(struct store *store, const char *job, const char *status, int64_t partition, int64_t offset,
                int64_t ttl_ms, int64_t now_ms)
{
    struct claim *claim = store_need_claim(store, job, now_ms);
    if (claim->state == CLAIM_RUNNING || claim->state == CLAIM_DONE)
        return false;
    bool is_watched = claim->is_watched;
    claim->state = CLAIM_DONE;
    store_put(&claim->status, status);
    claim->partition = partition;
    claim->offset = offset;
    claim->expires_ms = now_ms + ttl_ms;
    store_forget_run(claim);
    store_put(&claim->owner, NULL);
    store_put(&claim->permit, NULL);
    claim->hop = claim->attempt = claim->crashes = 0;
    claim->is_cancelled = claim->is_watched = false;
    buffer_release(&claim->record);
    return is_watched;
}

char *store_release(struct store *store, const char *worker, const char *id, const char *job, int what,
                    int64_t now_ms)
{
    struct claim *claim = what & LEDGER_RELEASE_CLAIM ? store_find_claim(store, job, now_ms) : NULL;
    if (claim && claim->state == CLAIM_RUNNING && store_is(claim->owner, worker) &&
        store_is(claim->permit, id)) {
        claim->state = CLAIM_IDLE;
        if (what & LEDGER_UNCOUNT)
            claim->attempt = MAX(0, claim->attempt - 1);
        store_put(&claim->owner, "");
        store_put(&claim->permit, NULL);
        store_forget_run(claim);
        claim->expires_ms = now_ms + DAY_MS;
    }
    struct permit *permit = store_find_permit(store, id);
    if (!(what & LEDGER_RELEASE_PERMIT) || !permit || strcmp(permit->worker, worker) != 0)
        return NULL;
    char *limits = TAKE(permit->limits);
    permit->limits = base_strdup("");
    permit_free(permit);
    return limits;
}

struct table {
    struct ledger_usage *rows;
    size_t count;
    struct arena *arena;
};

static struct ledger_usage *see(struct table *table, const char *limit, int64_t age_ms)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].limit, limit) == 0) {
            table->rows[i].oldest_ms = MAX(table->rows[i].oldest_ms, age_ms);
            return &table->rows[i];
        }
    table->rows = base_realloc(table->rows, (table->count + 1) * sizeof *table->rows);
    table->rows[table->count] =
        (struct ledger_usage){.limit = arena_strdup(table->arena, limit), .max = -1, .oldest_ms = age_ms};
    return &table->rows[table->count++];
}

size_t store_snapshot(struct store *store, int64_t now_ms, struct arena *arena, struct ledger_usage **ret)
{
    struct table table = {.arena = arena};
    LIST_EACH(&store->permits, link)
    {
        struct permit *permit = LIST_OBJECT(link, struct permit, link);
        char *words = arena_strdup(arena, permit->limits), *rest = NULL;
        for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
            see(&table, word, now_ms - permit->born_ms)->used++;
    }
    LIST_EACH(&store->maxima, link)
    {
        struct maximum *maximum = LIST_OBJECT(link, struct maximum, link);
        struct ledger_usage *usage = see(&table, maximum->limit, 0);
        usage->max = maximum->max;
        if (maximum->cut >= 0 && maximum->cut_ends_ms > now_ms)
            usage->max = usage->max < 0 ? maximum->cut : MIN(usage->max, maximum->cut);
    }
    LIST_EACH(&store->waiters, link)
    {
        struct waiter *waiter = LIST_OBJECT(link, struct waiter, link);
        if (waiter->seen_ms >= now_ms - FRESH_MS)
            for (size_t i = 0; i < table.count; i++)
                table.rows[i].waiters += strcmp(table.rows[i].limit, waiter->limit) == 0;
    }
    *ret = table.rows;
    return table.count;
}
