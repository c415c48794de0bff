/* What fake ledgers share. */
#include "fakes/redis/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_redis {
    struct loop *loop;
    struct store store, saved;
    int64_t clock_ahead_ms;
    struct link listeners;
    char url[64];
    bool is_unreachable;
    int replies_to_lose;
    int skip; /* before the one that fails; -1: none does */
    bool is_skipped_done;
    int64_t count;
};

struct fake_redis *fake_redis_new(struct loop *loop)
{
    struct fake_redis *redis = base_alloc(sizeof *redis);
    redis->loop = loop;
    store_init(&redis->store);
    store_init(&redis->saved);
    list_init(&redis->listeners);
    redis->skip = -1;
    /* A url is all that a ledger is told, so it names the object. */
    snprintf(redis->url, sizeof redis->url, "fake:%p", (void *)redis);
    return redis;
}

void fake_redis_free(struct fake_redis *redis)
{
    if (!redis)
        return;
    store_clear(&redis->store);
    store_clear(&redis->saved);
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

struct store *fake_redis_store(struct fake_redis *redis)
{
    return &redis->store;
}

int64_t fake_redis_now_ms(const struct fake_redis *redis)
{
    return loop_unix_ms(redis->loop) + redis->clock_ahead_ms;
}

void fake_redis_empty(struct fake_redis *redis)
{
    store_clear(&redis->store);
}

void fake_redis_save(struct fake_redis *redis)
{
    store_clear(&redis->saved);
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

void fake_redis_set_reachable(struct fake_redis *redis, bool is_reachable)
{
    redis->is_unreachable = !is_reachable;
}

bool fake_redis_is_reachable(const struct fake_redis *redis)
{
    return !redis->is_unreachable;
}

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

/* Returns: true when the operation fails without being done. */
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

void fake_redis_listen(struct fake_redis *redis, struct fake_listener *listener)
{
    list_push_back(&redis->listeners, &listener->link);
}

void fake_redis_announce(struct fake_redis *redis, const char *kind, const char *text)
{
    LIST_EACH(&redis->listeners, link)
    {
        struct fake_listener *listener = LIST_OBJECT(link, struct fake_listener, link);
        listener->on_hint(listener->arg, kind, text);
    }
}
