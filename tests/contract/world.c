/* What both worlds do the same way: they turn the loop. */
#include "contract/world.h"

#include "test.h"

struct wait {
    struct loop *loop;
    const bool *flag;
    struct turn_hook hook;
    struct timer limit;
    bool is_late;
};

static void on_turn(void *arg)
{
    struct wait *wait = arg;
    if (*wait->flag)
        loop_stop(wait->loop);
}

static void on_limit(void *arg)
{
    struct wait *wait = arg;
    wait->is_late = true;
    loop_stop(wait->loop);
}

static void wait_for(struct world *world, const bool *flag, int64_t ms, bool may_end)
{
    struct wait wait = {.loop = world_loop(world), .flag = flag};
    if (*flag)
        return;
    loop_hook_add(wait.loop, &wait.hook, on_turn, &wait);
    loop_timer_start(wait.loop, &wait.limit, ms, on_limit, &wait);
    loop_run(wait.loop);
    loop_timer_stop(wait.loop, &wait.limit);
    loop_hook_remove(wait.loop, &wait.hook);
    if (wait.is_late && !may_end)
        fail_msg("what the test waits for did not happen within 20 s");
}

void world_wait(struct world *world, const bool *flag)
{
    wait_for(world, flag, 20000, /* may_end= */ false);
}

void world_sleep(struct world *world, int64_t ms)
{
    static const bool never = false;
    wait_for(world, &never, ms, /* may_end= */ true);
}

void world_wait_none(struct world *world, const size_t *left)
{
    for (int i = 0; i < 2000 && *left > 0; i++)
        world_sleep(world, 1);
    assert_int_equal(*left, 0);
}
