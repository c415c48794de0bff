/* A real redis-server on the real loop; the hand writes records directly. */
#include "contract/real_world.h"

#include "loop/on_uv.h"
#include "test.h"

#include <inttypes.h>
#include <signal.h>

#define L WORLD_PREFIX

struct world {
    struct loop *loop;
    struct redis_server *server;
};

struct world *world_new(void)
{
    struct world *world = base_alloc(sizeof *world);
    (void)signal(SIGPIPE, SIG_IGN); /* as every program that uses the ledger: see connection.h */
    world->loop = loop_new();
    world->server = redis_server_new();
    return world;
}

void world_free(struct world *world)
{
    loop_free(world->loop, NULL, NULL);
    redis_server_free(world->server);
    free(world);
}

struct loop *world_loop(struct world *world)
{
    return world->loop;
}

struct redis_server *world_server(struct world *world)
{
    return world->server;
}

const char *world_url(struct world *world)
{
    return redis_server_url(world->server);
}

void world_empty(struct world *world)
{
    redis_server_tell(world->server, "FLUSHALL");
}

void world_age_rebuild(struct world *world, int64_t ms)
{
    redis_server_tell(world->server, "HINCRBY " L "led since %" PRId64, -ms);
}

void world_end_hold(struct world *world)
{
    redis_server_tell(world->server, "HSET " L "led hold 0");
}

void world_lapse(struct world *world, const char *worker)
{
    redis_server_tell(world->server, "ZADD " L "w XX 1 %s", worker);
}

void world_end_claim(struct world *world, const char *job)
{
    redis_server_tell(world->server, "HSET " L "j:%s until 1", job);
}

void world_end_permit(struct world *world, const char *permit)
{
    redis_server_tell(world->server, "ZADD " L "p XX 1 %s", permit);
}

void world_park(struct world *world, const char *job, int64_t hop)
{
    redis_server_tell(world->server, "HSET " L "j:%s state parked owner %s hop %" PRId64, job, "", hop);
}

void world_cancel(struct world *world, const char *job)
{
    redis_server_tell(world->server, "HSET " L "j:%s cancel 1", job);
    redis_server_tell(world->server, "HSETNX " L "j:%s state idle", job);
    redisReply *owner = redis_server_ask(world->server, "HGET " L "j:%s owner", job);
    if (owner->type == REDIS_REPLY_STRING && owner->len > 0)
        redis_server_tell(world->server, "SADD " L "x:%s %s", owner->str, job);
    freeReplyObject(owner);
    redis_server_tell(world->server, "PUBLISH " L "ev %b", "cancel x", (size_t)8);
}

void world_set_limit(struct world *world, const char *limit, int64_t max)
{
    redis_server_tell(world->server, "HSET " L "lim %s %" PRId64, limit, max);
}

void world_set_cut(struct world *world, const char *limit, int64_t max, int64_t for_ms)
{
    redisReply *time = redis_server_ask(world->server, "TIME");
    int64_t now_ms = strtoll(time->element[0]->str, NULL, 10) * 1000;
    freeReplyObject(time);
    redis_server_tell(world->server, "HSET " L "cut %s %" PRId64 ":%" PRId64, limit, max, now_ms + for_ms);
}

int64_t world_used(struct world *world, const char *limit)
{
    return redis_server_ask_int(world->server, "SCARD " L "l:%s", limit);
}

bool world_has_permit(struct world *world, const char *permit)
{
    return redis_server_ask_int(world->server, "EXISTS " L "p:%s", permit) == 1;
}
