/* The fake ledger's claims and permits, once they were acquired. */
#include "fakes/redis/store_private.h"

#include <stdlib.h>
#include <string.h>

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

static bool is_held(const struct claim *claim, const char *worker, const char *id)
{
    return claim && store_is(claim->owner, worker) && store_is(claim->permit, id);
}

/* ---- bind, seal, yield ---- */

enum ledger_answer store_bind(struct store *store, const char *worker, const struct ledger_bind *bind,
                              int64_t now_ms)
{
    if (store_not_ready(store, now_ms))
        return LEDGER_NOT_NOW;
    struct claim *claim = store_find_claim(store, bind->job, now_ms);
    struct permit *permit = store_find_permit(store, bind->permit);
    bool is_mine = is_held(claim, worker, bind->permit) &&
                   (claim->state == CLAIM_RUNNING || claim->state == CLAIM_SEALED);
    bool has_permit = permit && strcmp(permit->worker, worker) == 0;
    if (has_permit) {
        store_put(&permit->sandbox, bind->sandbox);
        store_set_horizon(store, permit, MAX(permit->horizon_ms, now_ms + bind->horizon_ms));
    }
    if (!is_mine)
        return superseded(store, worker, bind->permit, claim);
    if (!has_permit)
        return LEDGER_SUPERSEDED;
    if (claim->state == CLAIM_RUNNING) {
        store_put(&claim->sandbox, bind->sandbox);
        store_put(&claim->mode, bind->mode);
        store_put(&claim->plan, bind->plan);
        store_put(&claim->taken, NULL);
        claim->until_ms = now_ms + bind->until_ms;
        claim->run_until_ms = now_ms + bind->run_until_ms;
        claim->epoch = store->epoch;
        bool was_counted = claim->is_counted || claim->is_followed;
        if (bind->is_adoption && was_counted)
            claim->crashes = MAX(0, claim->crashes - 1);
        claim->is_counted = false;
        claim->is_followed = was_counted && !bind->is_adoption;
    }
    return LEDGER_OK;
}

/* `moved`: places, each with a blank before and behind. */
static bool has_moved(const struct claim *claim, const char *place)
{
    CLEANUP(base_freep) char *name = base_printf(" %s ", place);
    return place[0] != '\0' && claim->moved && strstr(claim->moved, name);
}

void store_moved(struct store *store, const char *job, const char *place, int64_t now_ms)
{
    bool is_known = store_find_claim(store, job, now_ms) != NULL;
    struct claim *claim = store_need_claim(store, job, now_ms);
    if (claim->state == CLAIM_DONE)
        return;
    if (!is_known)
        claim->expires_ms = now_ms + STORE_DAY_MS;
    if (store_is(claim->place, place))
        store_put(&claim->place, "");
    if (has_moved(claim, place))
        return;
    char *moved = base_printf("%s %s ", claim->moved ? claim->moved : "", place);
    store_put(&claim->moved, moved);
    free(moved);
}

enum ledger_answer store_seal(struct store *store, const char *worker, const struct ledger_seal *seal,
                              int64_t now_ms)
{
    if (store_not_ready(store, now_ms))
        return LEDGER_NOT_NOW;
    struct claim *claim = store_find_claim(store, seal->job, now_ms);
    enum claim_state state = claim ? claim->state : CLAIM_NONE;
    if (claim && claim->payload && strcmp(claim->payload, seal->payload) != 0)
        return LEDGER_SEAL_CONFLICT;
    if (state == CLAIM_DONE)
        return LEDGER_SEAL_DONE;
    bool is_mine = is_held(claim, worker, seal->permit);
    if (state == CLAIM_SEALED && is_mine)
        return store_is_record(claim, seal->record) ? LEDGER_OK : LEDGER_SEAL_ELSEWHERE;
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
    store_put(&claim->place, has_moved(claim, seal->place) ? "" : seal->place);
    store_put(&claim->taken, NULL);
    claim->is_counted = false;
    claim->epoch = store->epoch;
    claim->until_ms = now_ms + seal->until_ms;
    claim->expires_ms = now_ms + STORE_WEEK_MS;
    buffer_clear(&claim->record);
    buffer_append(&claim->record, seal->record.data, seal->record.length);
    return LEDGER_OK;
}

enum ledger_answer store_yield(struct store *store, const char *worker, const char *job, const char *id,
                               int64_t until_ms, int64_t now_ms, bool *ret_is_watched)
{
    *ret_is_watched = false;
    if (store_not_ready(store, now_ms))
        return LEDGER_NOT_NOW;
    struct claim *claim = store_find_claim(store, job, now_ms);
    struct permit *permit = store_find_permit(store, id);
    bool is_claims = claim && claim->state == CLAIM_RUNNING && store_is(claim->permit, id);
    if (is_claims && store_is(claim->owner, "") && permit && store_is(permit->worker, ""))
        return LEDGER_OK;
    if (!is_claims || !store_is(claim->owner, worker))
        return superseded(store, worker, id, claim);
    if (!permit || !store_is(permit->worker, worker))
        return permit ? LEDGER_SUPERSEDED_PERMIT : LEDGER_SUPERSEDED;
    store_put(&permit->worker, "");
    store_put(&claim->owner, "");
    store_put(&claim->taken, NULL);
    claim->until_ms = now_ms + until_ms;
    claim->epoch = store->epoch;
    *ret_is_watched = claim->is_watched;
    return LEDGER_OK;
}

bool store_leave_sealed(struct store *store, const char *worker, const char *job, int64_t until_ms,
                        int64_t now_ms)
{
    struct claim *claim = store_find_claim(store, job, now_ms);
    bool is_callers = claim && (store_is(claim->owner, worker) || store_is(claim->owner, ""));
    if (store_not_ready(store, now_ms) || !is_callers || claim->state != CLAIM_SEALED)
        return false;
    store_put(&claim->owner, "");
    store_put(&claim->taken, NULL);
    claim->until_ms = now_ms + until_ms;
    claim->epoch = store->epoch;
    bool was_watched = claim->is_watched;
    claim->is_watched = false;
    return was_watched;
}

/* ---- cancel, condemn ---- */

enum ledger_answer store_cancel(struct store *store, const char *job, int64_t ttl_ms, int64_t now_ms)
{
    struct claim *claim = store_find_claim(store, job, now_ms);
    if (claim && (claim->state == CLAIM_SEALED || claim->state == CLAIM_DONE))
        return LEDGER_SEAL_DONE;
    bool is_known = claim != NULL;
    claim = store_need_claim(store, job, now_ms);
    claim->is_cancelled = true;
    if (claim->state == CLAIM_RUNNING) {
        if (claim->owner[0] != '\0')
            store_note_cancel(store, claim->owner, job);
        return LEDGER_OK;
    }
    if (!is_known)
        claim->state = CLAIM_IDLE;
    claim->expires_ms = is_known ? MAX(claim->expires_ms, now_ms + ttl_ms) : now_ms + ttl_ms;
    return LEDGER_OK;
}

enum ledger_answer store_condemn(struct store *store, const char *worker, const char *id, int64_t now_ms)
{
    if (store_not_ready(store, now_ms))
        return LEDGER_NOT_NOW;
    struct permit *permit = store_find_permit(store, id);
    if (!permit || (permit->is_condemned && store_is(permit->worker, worker)))
        return LEDGER_OK;
    if (permit->worker[0] != '\0' &&
        (now_ms < store->hold_ms || store_is_alive(store, permit->worker, now_ms)))
        return LEDGER_SUPERSEDED_PERMIT;
    struct claim *claim = store_find_claim(store, permit->job, now_ms);
    if (claim && claim->state == CLAIM_RUNNING && store_is(claim->permit, id)) {
        if (claim->until_ms > now_ms)
            return LEDGER_SUPERSEDED_PERMIT;
        claim->crashes += claim->owner[0] != '\0' && !claim->taken;
        claim->has_begun = claim->has_begun || claim->sandbox;
        store_give_up(claim, CLAIM_IDLE, now_ms + STORE_DAY_MS);
    }
    store_put(&permit->worker, worker);
    permit->is_condemned = true;
    return LEDGER_OK;
}

void store_lock_free(struct lock *lock)
{
    link_remove(&lock->link);
    free(lock->what);
    free(lock->worker);
    free(lock);
}

enum ledger_answer store_lock(struct store *store, const char *worker, const char *what, int64_t ttl_ms,
                              int64_t now_ms)
{
    struct lock *lock = NULL;
    LIST_EACH(&store->locks, link)
    if (strcmp(LIST_OBJECT(link, struct lock, link)->what, what) == 0)
        lock = LIST_OBJECT(link, struct lock, link);
    if (lock && lock->ends_ms > now_ms && strcmp(lock->worker, worker) != 0)
        return LEDGER_NOT_NOW;
    if (!lock) {
        lock = base_alloc(sizeof *lock);
        lock->what = base_strdup(what);
        list_push_back(&store->locks, &lock->link);
    }
    store_put(&lock->worker, worker);
    lock->ends_ms = now_ms + ttl_ms;
    return LEDGER_OK;
}

/* ---- done, release, park, slower ---- */

/* Or was asserted by the leader of a rebuild, from a list that was older. */
static bool is_callers(const struct store *store, const char *owner, const char *worker)
{
    return store_is(owner, worker) || (store_is(owner, "") && store->is_there && !store->is_ready);
}

static bool is_run_of(const struct store *store, const struct claim *claim, const char *worker,
                      const char *id)
{
    return claim && claim->state == CLAIM_RUNNING && store_is(claim->permit, id) &&
           is_callers(store, claim->owner, worker);
}

bool store_done(struct store *store, const char *job, const char *status, int64_t partition, int64_t offset,
                int64_t ttl_ms, int64_t now_ms)
{
    struct claim *claim = store_need_claim(store, job, now_ms);
    if (claim->state == CLAIM_DONE)
        return false;
    bool is_watched = claim->is_watched;
    if (status[0] != '\0' || !claim->status)
        store_put(&claim->status, status);
    store_give_up(claim, CLAIM_DONE, now_ms + ttl_ms);
    store_put(&claim->owner, NULL);
    store_put(&claim->place, NULL);
    store_put(&claim->moved, NULL);
    claim->partition = partition;
    claim->offset = offset;
    claim->hop = claim->attempt = claim->crashes = 0;
    claim->is_cancelled = claim->is_watched = claim->has_begun = false;
    buffer_release(&claim->record);
    return is_watched;
}

static void tell_first(struct store *store, const char *limit, int64_t now_ms)
{
    struct waiter *first = NULL;
    if (store_tell_next(store, limit, NULL, NULL, now_ms))
        return;
    LIST_EACH(&store->waiters, link)
    {
        struct waiter *waiter = LIST_OBJECT(link, struct waiter, link);
        if (store_waits(waiter, limit, now_ms) && store_may_come(waiter, now_ms) &&
            (!first || store_ranks_before(store, waiter, first)))
            first = waiter;
    }
    if (first)
        store_tell_turn(store, first, now_ms);
}

void store_release(struct store *store, const char *worker, const char *id, const char *job, int what,
                   int64_t now_ms)
{
    struct claim *claim = what & LEDGER_RELEASE_CLAIM ? store_find_claim(store, job, now_ms) : NULL;
    if (is_run_of(store, claim, worker, id)) {
        if (what & LEDGER_UNCOUNT)
            claim->attempt = MAX(0, claim->attempt - 1);
        store_give_up(claim, CLAIM_IDLE, now_ms + STORE_DAY_MS);
    }
    struct permit *permit = store_find_permit(store, id);
    if (!(what & LEDGER_RELEASE_PERMIT) || !permit || !is_callers(store, permit->worker, worker))
        return;
    claim = store_is(permit->worker, "") ? store_find_claim(store, permit->job, now_ms) : NULL;
    if (claim && claim->state == CLAIM_RUNNING && is_held(claim, "", id)) /* nor shall anybody adopt it */
        store_give_up(claim, CLAIM_IDLE, now_ms + STORE_DAY_MS);
    CLEANUP(base_freep) char *limits = base_strdup(permit->limits);
    store_drop_permit(store, permit);
    char *rest = limits;
    for (char *name; (name = strsep(&rest, " "));)
        tell_first(store, name, now_ms);
}

void store_park(struct store *store, const char *worker, const char *id, const char *job, int64_t hop,
                int64_t delay_ms, int64_t now_ms)
{
    struct claim *claim = store_need_claim(store, job, now_ms);
    bool is_mine = is_run_of(store, claim, worker, id);
    bool is_free = claim->state == CLAIM_NONE || claim->state == CLAIM_IDLE || claim->state == CLAIM_PARKED;
    if (!is_mine && (!is_free || store_not_ready(store, now_ms)))
        return;
    claim->hop = MAX(claim->hop, hop);
    store_give_up(claim, CLAIM_PARKED, now_ms + delay_ms + STORE_DAY_MS);
}

static double recovered(double milli, int64_t cut_ms, int64_t now_ms)
{
    for (int64_t i = 0; i < (now_ms - cut_ms) / 10000; i++)
        milli *= 1.1;
    return milli;
}

void store_slower(struct store *store, int64_t retry_after_ms, int64_t milli, int64_t now_ms)
{
    if (store->milli == 0 || now_ms - store->cut_ms >= 1000) {
        double rate = (double)(milli > 0 ? milli : STORE_UNLIMITED_MILLI);
        if (store->milli > 0)
            rate = MIN(rate, recovered((double)store->milli, store->cut_ms, now_ms));
        store->milli = MAX(100, (int64_t)(rate / 2));
        store->cut_ms = now_ms;
    }
    store->rest_ms = MAX(store->rest_ms, now_ms + MAX(0, retry_after_ms));
}

double store_rate(struct store *store, int64_t milli, int64_t now_ms)
{
    if (store->milli == 0)
        return (double)milli;
    double back = recovered((double)store->milli, store->cut_ms, now_ms);
    if (back < (double)(milli > 0 ? milli : STORE_UNLIMITED_MILLI))
        return back;
    store->milli = 0;
    return (double)milli;
}
