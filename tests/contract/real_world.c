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
    redis_server_tell(world->server, "FLUSHDB");
}

/* Database 1 holds the snapshot: one cannot have Redis load a file again without starting it anew. */
void world_save(struct world *world)
{
    static const char script[] = "redis.call('SELECT', 1) redis.call('FLUSHDB') redis.call('SELECT', 0) "
                                 "for _, key in ipairs(redis.call('KEYS', '*')) do "
                                 "redis.call('COPY', key, key, 'DB', 1) end return 1";
    redis_server_tell(world->server, "EVAL %s 0", script);
}

void world_restore(struct world *world)
{
    static const char script[] =
        "redis.call('FLUSHDB') redis.call('SELECT', 1) "
        "for _, key in ipairs(redis.call('KEYS', '*')) do redis.call('COPY', key, key, 'DB', 0) end "
        "redis.call('SELECT', 0) "
        "if redis.call('HEXISTS', KEYS[1], 'run') == 1 then redis.call('HSET', KEYS[1], 'run', 'another') "
        "end "
        "return 1";
    redis_server_tell(world->server, "EVAL %s 1 " L "led", script);
}

/* The clock itself cannot be set: so everything that was read from it moves the other way. */
void world_step_clock(struct world *world, int64_t ms)
{
    static const char script[] =
        "local L, by, call = KEYS[1], tonumber(ARGV[1]), redis.call "
        "local function move(key, ...) for _, f in ipairs({...}) do "
        "  local at = tonumber(call('HGET', key, f) or nil) "
        "  if at and at > 0 then call('HSET', key, f, string.format('%.0f', at - by)) end end end "
        "move(L .. 'led', 'clk', 'hold', 'since') move(L .. 'rate', 'tat', 'cut', 'rest') "
        "for _, key in ipairs(call('KEYS', L .. 'j:*')) do move(key, 'until', 'run_until') end "
        "for _, key in ipairs(call('KEYS', L .. 'p:*')) do move(key, 'born') end "
        "for _, key in ipairs({L .. 'w', L .. 'p'}) do for _, m in ipairs(call('ZRANGE', key, 0, -1)) do "
        "  call('ZINCRBY', key, string.format('%.0f', -by), m) end end return 1";
    redis_server_tell(world->server, "EVAL %s 1 " L " %" PRId64, script, ms);
}

void world_break(struct world *world)
{
    redis_server_tell(world->server, "CLIENT KILL TYPE normal SKIPME yes");
}

void world_plant_worker(struct world *world, const char *worker)
{
    static const char script[] = "local at = redis.call('TIME')[1] * 1000 + 30000 "
                                 "redis.call('ZADD', KEYS[1] .. 'w', at, ARGV[1]) "
                                 "return redis.call('HINCRBY', KEYS[1] .. 'led', 'crew', 1)";
    redis_server_tell(world->server, "EVAL %s 1 " L " %s", script, worker);
}

void world_age_rebuild(struct world *world, int64_t ms)
{
    redis_server_tell(world->server, "HINCRBY " L "led since %" PRId64, -ms);
}

void world_late(struct world *world)
{
    static const char script[] = "for _, w in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do "
                                 "redis.call('ZADD', KEYS[1], 1, w) end return 1";
    redis_server_tell(world->server, "EVAL %s 1 " L "crew", script);
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

void world_age_claim(struct world *world, const char *job, int64_t ms)
{
    static const char script[] =
        "for _, kind in ipairs({'j:', 'o:'}) do "
        "  local key = KEYS[1] .. kind .. ARGV[1] local left = redis.call('PTTL', key) "
        "  if left >= 0 then redis.call('PEXPIRE', key, left - ARGV[2]) end end return 1";
    redis_server_tell(world->server, "EVAL %s 1 " L " %s %" PRId64, script, job, ms);
}

void world_end_permit(struct world *world, const char *permit)
{
    redis_server_tell(world->server, "ZADD " L "p XX 1 %s", permit);
}

int64_t world_lease_left(struct world *world, const char *worker)
{
    static const char script[] =
        "local time, ends = redis.call('TIME'), redis.call('ZSCORE', KEYS[1], ARGV[1]) "
        "return ends and ends - time[1] * 1000 - math.floor(time[2] / 1000) or 0";
    return redis_server_ask_int(world->server, "EVAL %s 1 " L "w %s", script, worker);
}

int64_t world_used(struct world *world, const char *limit)
{
    return redis_server_ask_int(world->server, "SCARD " L "l:%s", limit);
}

bool world_has_permit(struct world *world, const char *permit)
{
    return redis_server_ask_int(world->server, "EXISTS " L "p:%s", permit) == 1;
}
