/* The fake ledger on the virtual clock; the hand reaches into its store. */
#include "contract/world.h"
#include "fakes/loop/virtual.h"
#include "fakes/redis/fake.h"
#include "fakes/redis/store_private.h"
#include "test.h"

struct world {
    struct loop *loop;
    struct fake_redis *redis;
    struct timer mend_timer;
};

struct world *world_new(void)
{
    struct world *world = base_alloc(sizeof *world);
    world->loop = virtual_loop_new();
    world->redis = fake_redis_new(world->loop);
    return world;
}

void world_free(struct world *world)
{
    virtual_loop_free(world->loop);
    fake_redis_free(world->redis);
    free(world);
}

struct loop *world_loop(struct world *world)
{
    return world->loop;
}

const char *world_url(struct world *world)
{
    return fake_redis_url(world->redis);
}

static struct store *store_of(struct world *world)
{
    return fake_redis_store(world->redis);
}

void world_empty(struct world *world)
{
    fake_redis_empty(world->redis);
}

void world_save(struct world *world)
{
    fake_redis_save(world->redis);
}

void world_restore(struct world *world)
{
    fake_redis_restore(world->redis);
}

void world_step_clock(struct world *world, int64_t ms)
{
    fake_redis_step_clock(world->redis, ms);
}

static void mend(void *arg)
{
    struct world *world = arg;
    fake_redis_set_reachable(world->redis, true);
}

void world_break(struct world *world)
{
    fake_redis_set_reachable(world->redis, false);
    loop_timer_start(world->loop, &world->mend_timer, 4000, mend, world); /* longer than to the next pulse */
}

void world_plant_worker(struct world *world, const char *worker)
{
    struct store *store = store_of(world);
    store_set_lease(store, worker, fake_redis_now_ms(world->redis) + LEDGER_LEASE_MS);
    store->crew = ++store->last_crew;
}

void world_age_rebuild(struct world *world, int64_t ms)
{
    store_of(world)->since_ms -= ms;
}

void world_late(struct world *world)
{
    LIST_EACH(&store_of(world)->remembered, link)
    LIST_OBJECT(link, struct name, link)->over_ms = 1;
}

void world_end_hold(struct world *world)
{
    store_of(world)->hold_ms = 0;
}

void world_lapse(struct world *world, const char *worker)
{
    store_set_lease(store_of(world), worker, 1);
}

static struct claim *claim_of(struct world *world, const char *job)
{
    return store_need_claim(store_of(world), job, fake_redis_now_ms(world->redis));
}

void world_end_claim(struct world *world, const char *job)
{
    claim_of(world, job)->until_ms = 1;
}

void world_age_claim(struct world *world, const char *job, int64_t ms)
{
    struct claim *claim = claim_of(world, job);
    if (claim->expires_ms != INT64_MAX)
        claim->expires_ms -= ms;
}

void world_end_permit(struct world *world, const char *permit)
{
    store_set_horizon(store_of(world), store_find_permit(store_of(world), permit), 1);
}

int64_t world_lease_left(struct world *world, const char *worker)
{
    const struct lease *lease = store_find_lease(store_of(world), worker);
    return lease ? lease->ends_ms - fake_redis_now_ms(world->redis) : 0;
}

int64_t world_used(struct world *world, const char *limit)
{
    return store_used(store_of(world), limit);
}

bool world_has_permit(struct world *world, const char *permit)
{
    return store_find_permit(store_of(world), permit) != NULL;
}
