/* What fake ledgers share. */
#include "fakes/redis/ledger_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THERE_MS = 1 };

struct fake_redis {
    struct loop *loop;
    struct store store, saved;
    struct store_herald herald;
    int64_t clock_ahead_ms;
    struct link ledgers;
    struct link orphans; /* struct ledger_request */
    struct random *random;
    int64_t most_ms;
    char url[64];
    bool is_unreachable, is_frozen, keeps_orphans;
    struct loop *breaking; /* its connection breaks after so many more commands; NULL: none does */
    int break_after;
    int replies_to_lose;
    int skip; /* before the one that fails; -1: none does */
    bool is_skipped_done;
    int64_t count;
};

static void tell(void *arg, const char *worker, const char *limit, const char *tenant)
{
    struct fake_redis *redis = arg;
    CLEANUP(base_freep) char *text = base_printf("%s %s", limit, tenant);
    LIST_EACH(&redis->ledgers, link)
    {
        struct ledger *ledger = LIST_OBJECT(link, struct ledger, link);
        if (strcmp(ledger->worker, worker) == 0)
            fake_wire_hint(ledger, "turn", text);
    }
}

struct fake_redis *fake_redis_new(struct loop *loop)
{
    struct fake_redis *redis = base_alloc(sizeof *redis);
    redis->loop = loop;
    store_init(&redis->store);
    store_init(&redis->saved);
    redis->herald = (struct store_herald){redis, tell};
    redis->store.herald = &redis->herald;
    list_init(&redis->ledgers);
    list_init(&redis->orphans);
    redis->skip = -1;
    /* A url is all that a ledger is told, so it names the object. */
    snprintf(redis->url, sizeof redis->url, "fake:%p", (void *)redis);
    return redis;
}

void fake_redis_free(struct fake_redis *redis)
{
    if (!redis)
        return;
    store_free_records(&redis->store);
    store_free_records(&redis->saved);
    free(redis);
}

const char *fake_redis_url(const struct fake_redis *redis)
{
    return redis->url;
}

struct fake_redis *fake_redis_find(const char *url)
{
    void *redis = NULL;
    return sscanf(url, "fake:%p", &redis) == 1 ? redis : NULL;
}

struct loop *fake_redis_loop(const struct fake_redis *redis)
{
    return redis->loop;
}

struct store *fake_redis_store(struct fake_redis *redis)
{
    return &redis->store;
}

int64_t fake_redis_now_ms(const struct fake_redis *redis)
{
    return loop_unix_ms(redis->loop) + redis->clock_ahead_ms;
}

/* ---- the way ---- */

void fake_redis_vary(struct fake_redis *redis, struct random *random, int64_t most_ms)
{
    redis->random = random;
    redis->most_ms = most_ms;
}

static int64_t delay(struct fake_redis *redis, int64_t usual_ms)
{
    return redis->random ? (int64_t)random_below(redis->random, (uint64_t)redis->most_ms + 1) : usual_ms;
}

int64_t fake_redis_delay_there(struct fake_redis *redis)
{
    return delay(redis, THERE_MS);
}

int64_t fake_redis_delay_back(struct fake_redis *redis)
{
    return delay(redis, 0);
}

/* ---- what happens to it ---- */

void fake_redis_empty(struct fake_redis *redis)
{
    store_clear(&redis->store);
}

void fake_redis_save(struct fake_redis *redis)
{
    store_free_records(&redis->saved);
    store_save(&redis->store, &redis->saved);
}

void fake_redis_restore(struct fake_redis *redis)
{
    store_restore(&redis->store, &redis->saved);
}

void fake_redis_step_clock(struct fake_redis *redis, int64_t ms)
{
    redis->clock_ahead_ms += ms;
}

void fake_redis_break(struct fake_redis *redis)
{
    LIST_EACH(&redis->ledgers, link)
    fake_wire_drop(LIST_OBJECT(link, struct ledger, link));
}

void fake_redis_set_reachable(struct fake_redis *redis, bool is_reachable)
{
    redis->is_unreachable = !is_reachable;
    if (!is_reachable)
        fake_redis_break(redis);
}

bool fake_redis_is_reachable(const struct fake_redis *redis)
{
    return !redis->is_unreachable;
}

void fake_redis_set_reachable_from(struct fake_redis *redis, struct loop *loop, bool is_reachable)
{
    LIST_EACH(&redis->ledgers, link)
    {
        struct ledger *ledger = LIST_OBJECT(link, struct ledger, link);
        if (ledger->options.loop != loop)
            continue;
        ledger->is_cut = !is_reachable;
        if (!is_reachable)
            fake_wire_drop(ledger);
    }
}

void fake_redis_break_after(struct fake_redis *redis, struct loop *loop, int count)
{
    redis->breaking = loop;
    redis->break_after = count;
}

bool fake_redis_breaks_now(struct fake_redis *redis, const struct ledger *ledger)
{
    if (!redis->breaking || redis->breaking != ledger->options.loop || --redis->break_after > 0)
        return false;
    redis->breaking = NULL;
    return true;
}

static void free_orphan(struct ledger_request *orphan)
{
    link_remove(&orphan->link);
    arena_release(&orphan->arena);
    free(orphan);
}

void fake_redis_set_frozen(struct fake_redis *redis, bool is_frozen, bool keeps_orphans)
{
    redis->is_frozen = is_frozen;
    redis->keeps_orphans = keeps_orphans;
    if (is_frozen)
        return;
    LIST_EACH(&redis->orphans, link)
    {
        struct ledger_request *orphan = LIST_OBJECT(link, struct ledger_request, link);
        fake_wire_perform_late(orphan);
        free_orphan(orphan);
    }
    LIST_EACH(&redis->ledgers, link)
    fake_wire_resume(LIST_OBJECT(link, struct ledger, link));
}

bool fake_redis_is_frozen(const struct fake_redis *redis)
{
    return redis->is_frozen;
}

bool fake_redis_keeps_orphans(const struct fake_redis *redis)
{
    return redis->keeps_orphans;
}

void fake_redis_adopt(struct fake_redis *redis, struct ledger_request *request)
{
    struct ledger_request *orphan = base_alloc(sizeof *orphan);
    *orphan = *request;
    orphan->link = (struct link){0};
    orphan->call = NULL;
    arena_init(&request->arena, 16);
    list_push_back(&redis->orphans, &orphan->link);
}

void fake_redis_disown(struct fake_redis *redis, const struct ledger *ledger)
{
    LIST_EACH(&redis->orphans, link)
    {
        struct ledger_request *orphan = LIST_OBJECT(link, struct ledger_request, link);
        if (orphan->ledger == ledger)
            free_orphan(orphan);
    }
}

/* ---- single operations that fail ---- */

void fake_redis_lose_answers(struct fake_redis *redis, int count)
{
    redis->replies_to_lose = count;
}

void fake_redis_fail_later(struct fake_redis *redis, int skip, bool is_done)
{
    redis->skip = skip;
    redis->is_skipped_done = is_done;
}

bool fake_redis_has_failed(const struct fake_redis *redis)
{
    return redis->skip < 0;
}

bool fake_redis_take_failure(struct fake_redis *redis)
{
    if (redis->skip < 0 || redis->skip-- > 0)
        return false;
    redis->replies_to_lose += redis->is_skipped_done;
    return !redis->is_skipped_done;
}

bool fake_redis_take_lost_answer(struct fake_redis *redis)
{
    if (redis->replies_to_lose == 0)
        return false;
    redis->replies_to_lose--;
    return true;
}

int64_t fake_redis_count(const struct fake_redis *redis)
{
    return redis->count;
}

void fake_redis_count_one(struct fake_redis *redis)
{
    redis->count++;
}

/* ---- its ledgers ---- */

struct link *fake_redis_ledgers(struct fake_redis *redis)
{
    return &redis->ledgers;
}

void fake_redis_kill(struct fake_redis *redis, struct loop *loop)
{
    LIST_EACH(&redis->ledgers, link)
    {
        struct ledger *ledger = LIST_OBJECT(link, struct ledger, link);
        ledger->is_dead = ledger->is_dead || ledger->options.loop == loop;
    }
}

void fake_redis_join(struct fake_redis *redis, struct ledger *ledger)
{
    list_push_back(&redis->ledgers, &ledger->link);
}

void fake_redis_announce(struct fake_redis *redis, const char *kind, const char *text)
{
    LIST_EACH(&redis->ledgers, link)
    fake_wire_hint(LIST_OBJECT(link, struct ledger, link), kind, text);
}
