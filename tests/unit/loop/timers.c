#include "loop/timers.h"
#include "base/random.h"
#include "test.h"

static void never(void *arg)
{
    (void)arg;
    fail();
}

static void random_starts_and_stops_come_out_in_order(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    struct random random;
    random_init_seed(&random, 1);
    for (int round = 0; round < 200; round++) {
        struct timers timers = {0};
        static struct timer all[COUNT];
        memset(all, 0, sizeof all);
        size_t active = 0;
        for (int i = 0; i < 1000; i++) {
            struct timer *timer = &all[random_below(&random, COUNT)];
            if (random_below(&random, 3) == 0) {
                active -= timer_is_active(timer);
                timers_stop(&timers, timer);
            } else {
                active += !timer_is_active(timer);
                timers_start(&timers, timer, (int64_t)random_below(&random, 50), never, NULL);
            }
        }
        assert_int_equal(timers.heap.count, active);
        struct timer *timer, *last = NULL;
        assert_null(timers_pop_due(&timers, -1));
        for (; (timer = timers_pop_due(&timers, 50)); last = timer, active--)
            if (last)
                assert_true(last->node.key < timer->node.key ||
                            (last->node.key == timer->node.key && last->node.tie < timer->node.tie));
        assert_int_equal(active, 0);
        assert_int_equal(timers_next_ms(&timers), INT64_MAX);
        timers_release(&timers);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_starts_and_stops_come_out_in_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
