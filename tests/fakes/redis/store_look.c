/* What people see of the fake ledger. */
#include "fakes/redis/store_private.h"

#include <stdlib.h>
#include <string.h>

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
    table->rows[table->count] = (struct ledger_usage){.limit = arena_strdup(table->arena, limit),
                                                      .max = -1,
                                                      .set = -1,
                                                      .cut_left_ms = -1,
                                                      .oldest_ms = age_ms};
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
        if (maximum->max < 0 && maximum->cut < 0)
            continue;
        struct ledger_usage *usage = see(&table, maximum->limit, 0);
        usage->max = usage->set = maximum->max;
        if (maximum->cut < 0 || maximum->cut_ends_ms <= now_ms)
            continue;
        usage->cut_left_ms = maximum->cut_ends_ms - now_ms;
        usage->max = usage->set < 0 ? maximum->cut : MIN(usage->set, maximum->cut);
    }
    LIST_EACH(&store->waiters, link)
    {
        struct waiter *waiter = LIST_OBJECT(link, struct waiter, link);
        if (waiter->seen_ms >= now_ms - STORE_FRESH_MS)
            for (size_t i = 0; i < table.count; i++)
                table.rows[i].waiters += strcmp(table.rows[i].limit, waiter->limit) == 0;
    }
    *ret = table.rows;
    return table.count;
}

static const char *lend(struct arena *arena, const char *text)
{
    return text ? arena_strdup(arena, text) : "";
}

static int is_older(const void *a, const void *b)
{
    const struct ledger_permit *one = a, *two = b;
    if (one->age_ms != two->age_ms)
        return one->age_ms > two->age_ms ? -1 : 1;
    return strcmp(one->permit, two->permit);
}

size_t store_census(struct store *store, int64_t now_ms, struct arena *arena, struct ledger_permit **ret)
{
    size_t count = 0;
    *ret = NULL;
    LIST_EACH(&store->permits, link)
    {
        const struct permit *permit = LIST_OBJECT(link, struct permit, link);
        *ret = base_realloc(*ret, (count + 1) * sizeof **ret);
        (*ret)[count++] = (struct ledger_permit){
            .permit = lend(arena, permit->id),
            .worker = lend(arena, permit->worker),
            .job = lend(arena, permit->job),
            .sandbox = lend(arena, permit->sandbox),
            .is_owner_alive = store_is_alive(store, permit->worker, now_ms),
            .age_ms = MAX(0, now_ms - permit->born_ms),
            .horizon_ms = MAX(0, permit->horizon_ms - now_ms),
        };
    }
    if (count > 0)
        qsort(*ret, count, sizeof **ret, is_older);
    return count;
}

static void look_at_waiters(const struct store *store, const char *job, int64_t now_ms, struct arena *arena,
                            struct ledger_claim *ret)
{
    const char *tenant = arena_strndup(arena, job, strcspn(job, "/"));
    int64_t last_seen_ms = 0;
    LIST_EACH(&store->waiters, link)
    {
        const struct waiter *waiter = LIST_OBJECT(link, struct waiter, link);
        int64_t waits_ms = now_ms - waiter->since_ms;
        if (strcmp(waiter->tenant, tenant) != 0 || waiter->seen_ms < now_ms - STORE_FRESH_MS ||
            (ret->waits_at[0] != '\0' &&
             (waits_ms < ret->waits_ms || (waits_ms == ret->waits_ms && waiter->seen_ms <= last_seen_ms))))
            continue;
        last_seen_ms = waiter->seen_ms;
        ret->waits_at = lend(arena, waiter->limit);
        ret->waits_ms = MAX(0, waits_ms);
    }
}

void store_look(struct store *store, const char *job, int64_t now_ms, struct arena *arena,
                struct ledger_claim *ret)
{
    static const char *const states[] = {"none", "idle", "running", "sealed", "parked", "done"};
    static const struct claim none = {.partition = -1, .offset = -1};
    const struct claim *claim = store_find_claim(store, job, now_ms);
    if (!claim)
        claim = &none;
    *ret = (struct ledger_claim){
        .state = states[claim->state],
        .owner = lend(arena, claim->owner),
        .permit = lend(arena, claim->permit),
        .sandbox = lend(arena, claim->sandbox),
        .mode = lend(arena, claim->mode),
        .status = lend(arena, claim->status),
        .origin = lend(arena, claim->origin),
        .is_owner_alive = claim->owner && store_is_alive(store, claim->owner, now_ms),
        .is_cancelled = claim->is_cancelled,
        .hop = claim->hop,
        .attempt = claim->attempt,
        .crashes = claim->crashes,
        .until_ms = claim->until_ms > 0 ? MAX(0, claim->until_ms - now_ms) : -1,
        .run_until_ms = claim->run_until_ms > 0 ? MAX(0, claim->run_until_ms - now_ms) : -1,
        .partition = claim->partition,
        .offset = claim->offset,
        .waits_at = "",
    };
    look_at_waiters(store, job, now_ms, arena, ret);
}

void store_condition(const struct store *store, int64_t now_ms, struct ledger_condition *ret)
{
    const char *why = store_not_ready(store, now_ms);
    bool is_rebuilding = store->is_there && !store->is_ready;
    *ret = (struct ledger_condition){.why = why ? why : "", .rebuilding_ms = -1};
    LIST_EACH(&store->leases, link)
    ret->workers += LIST_OBJECT(link, struct lease, link)->ends_ms > now_ms;
    if (!is_rebuilding)
        return;
    ret->rebuilding_ms = MAX(0, now_ms - store->since_ms);
    ret->waiting_for = (int64_t)store_count_missing(store, now_ms);
}
