#include "core/cost.h"
#include "base/random.h"
#include "test.h"

static void a_known_sandbox_costs_what_the_price_list_says(void **state)
{
    (void)state;
    /* Two cores and 512 MB at 14,000 nano-USD per core and 4,500 per GiB, each second: 30,250. */
    const struct template_entry entry = {
        .cpu_milli = 2000, .memory_mb = 512, .nano_usd_per_vcpu_s = 14000, .nano_usd_per_gib_s = 4500};
    assert_int_equal(cost_nano_usd(&entry, 1000), 30250);
    assert_int_equal(cost_nano_usd(&entry, 3600000), 108900000);
    assert_int_equal(cost_nano_usd(&entry, 1), 31);
    assert_int_equal(cost_nano_usd(&entry, 0), 0);
    assert_int_equal(cost_nano_usd(&entry, -5), 0);
}

static void no_price_is_no_cost(void **state)
{
    (void)state;
    const struct template_entry entry = {.cpu_milli = 2000, .memory_mb = 512};
    assert_int_equal(cost_nano_usd(&entry, 1000000), 0);
}

static void absurd_prices_saturate(void **state)
{
    (void)state;
    const struct template_entry entry = {.cpu_milli = INT64_MAX,
                                         .memory_mb = INT64_MAX,
                                         .nano_usd_per_vcpu_s = INT64_MAX,
                                         .nano_usd_per_gib_s = INT64_MAX};
    assert_true(cost_nano_usd(&entry, INT64_MAX) == INT64_MAX);
}

/* The sum of both parts over their own divisors, each with its remainder, brought together at the end. */
static int64_t recomputed(const struct template_entry *entry, int64_t ms)
{
    __extension__ typedef unsigned __int128 wide;
    wide cores = (wide)entry->cpu_milli * (wide)entry->nano_usd_per_vcpu_s * (wide)ms; /* in 1e-6 */
    wide memory = (wide)entry->memory_mb * (wide)entry->nano_usd_per_gib_s * (wide)ms; /* in 1/1,024,000 */
    wide whole = cores / 1000000 + memory / 1024000;
    wide rest = (cores % 1000000) * 1024 + (memory % 1024000) * 1000; /* in 1/1,024,000,000 */
    return (int64_t)(whole + (rest + 1023999999) / 1024000000);
}

static void costs_are_exact_and_rounded_up(void **state)
{
    (void)state;
    struct random random;
    random_init_seed(&random, 11);
    for (int i = 0; i < 100000; i++) {
        const struct template_entry entry = {.cpu_milli = (int64_t)random_below(&random, 1 << 20),
                                             .memory_mb = (int64_t)random_below(&random, 1 << 24),
                                             .nano_usd_per_vcpu_s = (int64_t)random_below(&random, 1 << 22),
                                             .nano_usd_per_gib_s = (int64_t)random_below(&random, 1 << 22)};
        int64_t ms = (int64_t)random_below(&random, i % 2 ? 5000 : 1ull << 32);
        assert_int_equal(cost_nano_usd(&entry, ms), recomputed(&entry, ms));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_sandbox_costs_what_the_price_list_says),
        cmocka_unit_test(no_price_is_no_cost),
        cmocka_unit_test(absurd_prices_saturate),
        cmocka_unit_test(costs_are_exact_and_rounded_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
