/* The fake ledger's pulse, and its rebuild. */
#include "fakes/redis/store_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { QUIET_MS = 5000, LOCK_MS = 10000 };

/* ---- pulse ---- */

enum finding { FOUND_FINE, FOUND_GAP, FOUND_DOUBT, FOUND_LOST };

/* A gap that its teller's own time does not explain may be one that the pulse lay in the socket of a frozen
 * server: the next one, sent after that answer, tells. */
static enum finding judge(struct store *store, const char *worker, int64_t since_ms, int64_t now_ms)
{
    int64_t gap_ms = now_ms - store->clk_ms;
    if (!store->is_there || store->run != store->server_run || gap_ms < -1000)
        return FOUND_LOST;
    if (gap_ms <= STORE_GAP_MS)
        return FOUND_FINE;
    if (since_ms < 0)
        return list_is_empty(&store->permits) ? FOUND_GAP : FOUND_LOST;
    if (gap_ms <= since_ms + 5000)
        return FOUND_GAP;
    if (store->doubter && (strcmp(store->doubter, worker) == 0 || now_ms - store->doubted_ms > 5000))
        return FOUND_LOST;
    if (!store->doubter) {
        store_put(&store->doubter, worker);
        store->doubted_ms = now_ms;
    }
    return FOUND_DOUBT;
}

static void begin_rebuild(struct store *store, bool has_crew, int64_t now_ms)
{
    bool was_rebuilding = store->is_there && !store->is_ready;
    int64_t gap_ms = MAX(0, now_ms - store->clk_ms);
    if (!was_rebuilding)
        store->behind_ms = store->is_there ? gap_ms : -1;
    else if (store->behind_ms >= 0)
        store->behind_ms += MAX(0, now_ms - store->since_ms);
    store->is_fresh = !store->is_there && !has_crew && list_is_empty(&store->permits);
    store->is_there = true;
    store->is_ready = false;
    store->run = store->server_run;
    store->epoch = ++store->last_epoch;
    store->hold_ms = now_ms + LEDGER_LEASE_MS;
    store->since_ms = now_ms;
    store_clear_names(&store->said);
    store_clear_names(&store->remembered);
    store_put(&store->rebuilder, NULL);
    store_put(&store->doubter, NULL);
    store_drop_cuts(store);
    store->tat_micro = store->milli = store->rest_ms = 0;
    LIST_EACH(&store->leases, link)
    {
        struct lease *lease = LIST_OBJECT(link, struct lease, link);
        lease->ends_ms = MIN(lease->ends_ms, now_ms + LEDGER_LEASE_MS);
    }
}

static bool forget_leases(struct store *store, int64_t now_ms)
{
    bool has_forgotten = false;
    LIST_EACH(&store->leases, link)
    {
        struct lease *lease = LIST_OBJECT(link, struct lease, link);
        if (lease->ends_ms > now_ms - STORE_AFTER_MS)
            continue;
        store_lease_free(lease);
        has_forgotten = true;
    }
    return has_forgotten;
}

struct store_pulse store_pulse(struct store *store, const char *worker, int64_t lease_ms, int64_t since_ms,
                               bool has_crew, int64_t now_ms)
{
    const struct lease *lease = store_find_lease(store, worker);
    bool has_lease = lease != NULL, has_lapsed = lease ? lease->ends_ms <= now_ms : since_ms >= 0;
    enum finding finding = judge(store, worker, since_ms, now_ms);
    if (finding == FOUND_LOST)
        begin_rebuild(store, has_crew, now_ms);
    else if (has_crew)
        store->is_fresh = false;
    if (finding == FOUND_DOUBT)
        return (struct store_pulse){.is_in_doubt = true};
    if (finding == FOUND_GAP) {
        store->hold_ms = now_ms + LEDGER_LEASE_MS;
        store_put(&store->doubter, NULL);
    }
    store->clk_ms = now_ms;
    store_set_lease(store, worker, now_ms + lease_ms);
    if (forget_leases(store, now_ms) || !has_lease)
        store->crew = ++store->last_crew;
    int64_t lapsed = 0;
    LIST_EACH(&store->leases, link)
    lapsed += LIST_OBJECT(link, struct lease, link)->ends_ms <= now_ms;
    return (struct store_pulse){.is_ready = store->is_ready,
                                .has_lapsed = has_lapsed,
                                .epoch = store->epoch,
                                .crew = (int64_t)store->crew * 1000000 + lapsed};
}

void store_leave(struct store *store, const char *worker, bool has_permits, int64_t now_ms)
{
    struct lease *lease = store_find_lease(store, worker);
    if (lease && has_permits) {
        store_set_lease(store, worker, MIN(lease->ends_ms, now_ms));
        return;
    }
    store_set_lease(store, worker, 0);
    store->crew = ++store->last_crew;
    if (store->is_there && !store->is_ready)
        store_add_name(&store->said, worker, 0);
}

char *store_workers(const struct store *store, int64_t now_ms)
{
    struct buffer names = {0};
    LIST_EACH(&store->leases, link)
    {
        const struct lease *lease = LIST_OBJECT(link, struct lease, link);
        int64_t left_ms = lease->ends_ms - now_ms;
        buffer_append_format(&names, "%s=%" PRId64 " ", lease->worker,
                             left_ms > 0 ? -1 : left_ms + STORE_AFTER_MS);
    }
    return buffer_take(&names);
}

enum ledger_answer store_extend(struct store *store, const char *worker, const char *id, int64_t horizon_ms,
                                int64_t now_ms)
{
    struct permit *permit = store_find_permit(store, id);
    bool is_unclaimed = permit && permit->worker[0] == '\0' && !store->is_ready;
    if (!permit || permit->epoch != store->epoch || is_unclaimed)
        return LEDGER_SUPERSEDED;
    if (strcmp(permit->worker, worker) != 0)
        return LEDGER_SUPERSEDED_PERMIT;
    store_set_horizon(store, permit, MAX(permit->horizon_ms, now_ms + horizon_ms));
    return LEDGER_OK;
}

/* ---- assert ---- */

static void merge_limits(struct store *store, struct permit *permit, const char *more)
{
    struct buffer merged = {0};
    buffer_append_text(&merged, permit->limits);
    CLEANUP(base_freep) char *words = base_strdup(more);
    char *rest = NULL;
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        if (!store_has_word(permit->limits, word))
            buffer_append_format(&merged, "%s%s", merged.length > 0 ? " " : "", word);
    store_set_limits(store, permit, buffer_take(&merged));
}

/* Its holder says that no claim goes with it. */
static void free_claim_under(struct store *store, const char *worker, const struct permit *permit,
                             int64_t now_ms)
{
    struct claim *claim = store_find_claim(store, permit->job, now_ms);
    if (claim && claim->state == CLAIM_RUNNING && store_is(claim->permit, permit->id) &&
        (store_is(claim->owner, "") || store_is(claim->owner, worker) || claim->epoch != store->epoch))
        store_give_up(claim, CLAIM_IDLE, now_ms + STORE_DAY_MS);
}

static bool assert_permit(struct store *store, const char *owner, const struct ledger_assertion *assertion,
                          int64_t now_ms)
{
    bool is_mine = assertion->holder == LEDGER_MINE;
    struct permit *permit = store_find_permit(store, assertion->permit);
    bool is_now = permit && permit->epoch == store->epoch;
    if (is_now && strcmp(permit->worker, owner) != 0 && permit->worker[0] != '\0')
        return false;
    const struct claim *claim = store_find_claim(store, assertion->job, now_ms);
    if (claim && claim->epoch == store->epoch && !store_is(claim->owner, "") &&
        !store_is(claim->owner, owner) && store_is(claim->permit, assertion->permit))
        return false;
    if (permit && is_mine && permit->job[0] != '\0' && strcmp(permit->job, assertion->job) != 0)
        free_claim_under(store, owner, permit, now_ms);
    if (!permit) {
        permit = base_alloc(sizeof *permit);
        permit->id = base_strdup(assertion->permit);
        permit->job = base_strdup("");
        permit->limits = base_strdup("");
        permit->born_ms = now_ms;
        permit->horizon_ms = now_ms + assertion->horizon_ms;
        store_add_permit(store, permit);
    }
    store_put(&permit->worker, owner);
    if (is_mine || assertion->job[0] != '\0')
        store_put(&permit->job, assertion->job);
    if (assertion->sandbox[0] != '\0')
        store_put(&permit->sandbox, assertion->sandbox);
    merge_limits(store, permit, assertion->limits);
    int64_t horizon_ms = now_ms + assertion->horizon_ms;
    store_set_horizon(store, permit, is_now ? MAX(permit->horizon_ms, horizon_ms) : horizon_ms);
    permit->epoch = store->epoch;
    permit->is_condemned = false;
    return true;
}

/* Returns: 0 when the claim is the caller's to write. */
static enum ledger_answer refuse(const struct store *store, const struct claim *claim, const char *owner,
                                 const struct ledger_assertion *assertion)
{
    bool is_mine = assertion->holder == LEDGER_MINE, is_now = claim->epoch == store->epoch;
    bool is_same = is_now && store_is(claim->owner, owner) && store_is(claim->permit, assertion->permit);
    enum ledger_answer refused = assertion->permit[0] != '\0' ? LEDGER_SUPERSEDED : LEDGER_SEAL_ELSEWHERE;
    if (claim->state == CLAIM_DONE)
        return LEDGER_SEAL_DONE;
    if (assertion->status[0] != '\0') {
        if (claim->state != CLAIM_SEALED || !is_now)
            return 0;
        if (!store_is(claim->owner, owner))
            return refused;
        return store_is_record(claim, assertion->record) ? LEDGER_OK : LEDGER_SEAL_ELSEWHERE;
    }
    if (claim->state == CLAIM_SEALED)
        return refused;
    if (claim->state == CLAIM_PARKED && (!is_mine || assertion->hop < claim->hop))
        return refused;
    if (claim->state != CLAIM_RUNNING || !is_now || is_same)
        return 0;
    bool is_stronger = is_mine && (store_is(claim->owner, "") || MAX(1, assertion->attempt) > claim->attempt);
    return is_stronger ? 0 : refused;
}

static void write_claim(struct store *store, struct claim *claim, const char *owner, const char *sandbox,
                        const struct ledger_assertion *assertion, int64_t now_ms)
{
    bool is_sealed = assertion->status[0] != '\0';
    store_forget_run(claim);
    claim->state = is_sealed ? CLAIM_SEALED : CLAIM_RUNNING;
    store_put(&claim->owner, owner);
    store_put(&claim->permit, assertion->permit);
    claim->epoch = store->epoch;
    claim->hop = assertion->hop;
    claim->attempt = MAX(1, assertion->attempt);
    claim->crashes = assertion->crashes;
    claim->until_ms = now_ms + assertion->until_ms;
    claim->expires_ms = now_ms + STORE_WEEK_MS;
    if (assertion->payload[0] != '\0')
        store_put(&claim->payload, assertion->payload);
    if (assertion->origin[0] != '\0')
        store_put(&claim->origin, assertion->origin);
    if (sandbox[0] != '\0') {
        store_put(&claim->sandbox, sandbox);
        store_put(&claim->mode, assertion->mode);
        store_put(&claim->plan, assertion->plan);
        claim->run_until_ms = now_ms + assertion->run_until_ms;
    }
    store_put(&claim->place, is_sealed ? assertion->place : NULL);
    if (is_sealed) {
        store_put(&claim->status, assertion->status);
        buffer_clear(&claim->record);
        buffer_append(&claim->record, assertion->record.data, assertion->record.length);
    } else if (claim->is_cancelled && owner[0] != '\0') {
        store_note_cancel(store, owner, claim->job);
    }
}

enum ledger_answer store_assert(struct store *store, const char *worker,
                                const struct ledger_assertion *assertion, int64_t now_ms)
{
    const char *owner = assertion->holder == LEDGER_MINE ? worker : "";
    if (!store->is_there || store->is_ready)
        return LEDGER_NOT_NOW;
    if (assertion->permit[0] != '\0' && !assert_permit(store, owner, assertion, now_ms))
        return LEDGER_SUPERSEDED_PERMIT;
    if (assertion->job[0] == '\0')
        return LEDGER_OK;
    const struct permit *permit = store_find_permit(store, assertion->permit);
    const char *sandbox = permit && permit->sandbox ? permit->sandbox : assertion->sandbox;
    struct claim *claim = store_find_claim(store, assertion->job, now_ms);
    enum ledger_answer refused = claim ? refuse(store, claim, owner, assertion) : 0;
    if (refused)
        return refused;
    bool is_listed = assertion->holder == LEDGER_NOBODYS && assertion->status[0] == '\0';
    if (claim && is_listed && claim->state == CLAIM_RUNNING && store_is(claim->permit, assertion->permit)) {
        store_put(&claim->owner, "");
        claim->epoch = store->epoch;
        claim->until_ms = now_ms + assertion->until_ms;
        claim->is_counted = claim->is_followed = false;
        if (sandbox[0] != '\0')
            store_put(&claim->sandbox, sandbox);
        return LEDGER_OK;
    }
    write_claim(store, store_need_claim(store, assertion->job, now_ms), owner, sandbox, assertion, now_ms);
    return LEDGER_OK;
}

/* ---- asserted, lead, ready ---- */

enum ledger_answer store_asserted(struct store *store, const char *worker, int epoch, const char *crew,
                                  int64_t now_ms)
{
    if (!store->is_there || store->is_ready || store->epoch != epoch)
        return LEDGER_NOT_NOW;
    store_add_name(&store->said, worker, 0);
    CLEANUP(base_freep) char *names = base_strdup(crew);
    char *rest = NULL;
    for (char *name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(name, '=');
        *value++ = '\0';
        int64_t left_ms = strtoll(value, NULL, 10), late_ms = store->since_ms + STORE_LATE_MS;
        store_add_name(&store->remembered, name, left_ms < 0 ? late_ms : MIN(now_ms + left_ms, late_ms));
    }
    return LEDGER_OK;
}

size_t store_count_missing(const struct store *store, int64_t now_ms)
{
    size_t count = 0;
    LIST_EACH(&store->leases, link)
    {
        const struct lease *lease = LIST_OBJECT(link, struct lease, link);
        count += lease->ends_ms > now_ms && !store_find_name(&store->said, lease->worker);
    }
    LIST_EACH(&store->remembered, link)
    {
        const struct name *name = LIST_OBJECT(link, struct name, link);
        count += name->over_ms > now_ms && !store_find_name(&store->said, name->text) &&
                 !store_is_alive(store, name->text, now_ms);
    }
    return count;
}

static bool take_lock(struct store *store, const char *worker, int64_t now_ms)
{
    if (store->rebuilder && store->rebuilder_ends_ms > now_ms && strcmp(store->rebuilder, worker) != 0)
        return false;
    store_put(&store->rebuilder, worker);
    store->rebuilder_ends_ms = now_ms + LOCK_MS;
    return true;
}

void store_lead(struct store *store, const char *worker, int64_t now_ms, struct ledger_lead *ret)
{
    *ret = (struct ledger_lead){.behind_ms = 0};
    if (!store->is_there || store->is_ready)
        return;
    ret->is_leader = take_lock(store, worker, now_ms);
    ret->behind_ms = store->behind_ms < 0 ? -1 : store->behind_ms + MAX(0, now_ms - store->since_ms);
    ret->waiting_for = (int64_t)store_count_missing(store, now_ms);
}

enum ledger_answer store_ready(struct store *store, const char *worker, int epoch, int64_t listed,
                               int64_t now_ms)
{
    int64_t gap_ms = now_ms - store->clk_ms;
    if (store->is_there && store->is_ready)
        return LEDGER_OK;
    if (!store->is_there || store->epoch != epoch || gap_ms > STORE_GAP_MS || gap_ms < -1000 ||
        !take_lock(store, worker, now_ms))
        return LEDGER_NOT_NOW;
    bool is_known = !list_is_empty(&store->remembered) || (store->is_fresh && listed == 0);
    if (now_ms - store->since_ms < (is_known ? QUIET_MS : STORE_LATE_MS) ||
        store_count_missing(store, now_ms) > 0)
        return LEDGER_NOT_NOW;
    LIST_EACH(&store->permits, link)
    {
        struct permit *permit = LIST_OBJECT(link, struct permit, link);
        if (permit->epoch != store->epoch)
            store_drop_permit(store, permit);
    }
    store->is_ready = true;
    store->is_fresh = false;
    store->hold_ms = now_ms + LEDGER_LEASE_MS;
    store_put(&store->rebuilder, NULL);
    store_clear_names(&store->said);
    store_clear_names(&store->remembered);
    return LEDGER_OK;
}
