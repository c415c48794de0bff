#include "base/random.h"
#include "test.h"

#include <stdio.h>

/* Ids of permits and jobs are UUIDs: collisions are what 122 random bits make of them, so every bit but the
 * six fixed ones must be seen both ways. */
static void every_free_bit_of_a_uuid_is_random(void **state)
{
    (void)state;
    struct random random;
    char text[RANDOM_UUID_SIZE];
    unsigned ones[32] = {0}, all[32];
    memset(all, 0xff, sizeof all);
    random_init_seed(&random, 1);
    for (int n = 0; n < 200; n++) {
        random_uuid(&random, text);
        assert_int_equal(strlen(text), 36);
        for (size_t i = 0, digit = 0; text[i] != '\0'; i++) {
            if (text[i] == '-')
                continue;
            const char one[2] = {text[i], '\0'};
            unsigned value = (unsigned)strtoul(one, NULL, 16);
            ones[digit] |= value;
            all[digit++] &= value;
        }
    }
    for (size_t digit = 0; digit < 32; digit++) {
        unsigned expected_ones = digit == 12 ? 4 : digit == 16 ? 0xb : 0xf;
        unsigned expected_all = digit == 12 ? 4 : digit == 16 ? 8 : 0;
        assert_int_equal(ones[digit], expected_ones);
        assert_int_equal(all[digit], expected_all);
    }
}

static void a_seed_repeats_and_bounds_hold(void **state)
{
    (void)state;
    struct random first, second;
    random_init_seed(&first, 7);
    random_init_seed(&second, 7);
    for (int n = 0; n < 1000; n++) {
        uint64_t value = random_below(&first, 10);
        assert_true(value < 10);
        assert_int_equal(value, random_below(&second, 10));
        int64_t jittered = random_jitter_ms(&first, 1000);
        assert_true(jittered >= 800 && jittered < 1200);
        (void)random_jitter_ms(&second, 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_free_bit_of_a_uuid_is_random),
        cmocka_unit_test(a_seed_repeats_and_bounds_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
