#include "core/retry.h"
#include "test.h"

static void delays_double_up_to_the_most(void **state)
{
    (void)state;
    static const int64_t expected[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000};
    struct random random;
    random_init_seed(&random, 1);
    for (size_t i = 0; i < ARRAY_LENGTH(expected); i++) {
        for (int n = 0; n < 200; n++) {
            int64_t ms = retry_delay_ms(&random, (int64_t)i + 1, 100, 5000, 0);
            assert_in_range(ms, expected[i] * 8 / 10, expected[i] * 12 / 10);
        }
    }
    assert_in_range(retry_delay_ms(&random, INT64_MAX, 100, 5000, 0), 4000, 6000);
    assert_in_range(retry_delay_ms(&random, 1000, 1, INT64_MAX / 8, 0), INT64_MAX / 8 / 10 * 8,
                    INT64_MAX / 8 / 10 * 12 + 100);
    assert_int_equal(retry_delay_ms(&random, 5, 0, 5000, 0), 0);
}

static void delays_never_fall_below_what_was_asked_and_are_spread(void **state)
{
    (void)state;
    struct random random;
    random_init_seed(&random, 2);
    int at_once = 0;
    for (int n = 0; n < 1000; n++) {
        int64_t ms = retry_delay_ms(&random, 1, 100, 5000, 10000);
        assert_in_range(ms, 10000, 12000);
        at_once += ms == 10000;
        assert_in_range(retry_delay_ms(&random, 7, 100, 5000, 4500), 4500, 6000);
    }
    assert_true(at_once < 10);
}

static void a_delay_waits_in_the_longest_tier_that_it_fills(void **state)
{
    (void)state;
    static const struct {
        int64_t delay_ms;
        const char *name;
    } samples[] = {{0, "1m"},       {31000, "1m"},    {60000, "1m"},   {599999, "1m"},
                   {600000, "10m"}, {3599999, "10m"}, {3600000, "1h"}, {INT64_MAX, "1h"}};
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++)
        assert_text(retry_tier_of(samples[i].delay_ms)->name, samples[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_double_up_to_the_most),
        cmocka_unit_test(delays_never_fall_below_what_was_asked_and_are_spread),
        cmocka_unit_test(a_delay_waits_in_the_longest_tier_that_it_fills),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
