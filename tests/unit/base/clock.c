#include "base/clock.h"
#include "base/random.h"
#include "base/uuid.h"
#include "test.h"

static void rfc3339_is_read_and_written(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t unix_ms;
    } samples[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-21T08:15:30.123Z", 1795248930123},
        {"2026-11-21T08:15:30.123456789+00:00", 1795248930123},
        {"2026-11-21T09:45:30.123+01:30", 1795248930123},
        {"2026-11-21t06:15:30.123-02:00", 1795248930123},
        {"2024-02-29T00:00:00z", 1709164800000},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        int64_t unix_ms = -1;
        assert_true(clock_parse(samples[i].text, &unix_ms));
        assert_int_equal(unix_ms, samples[i].unix_ms);
    }
    char text[CLOCK_TEXT_SIZE];
    clock_format(1795248930123, text);
    assert_text(text, "2026-11-21T08:15:30.123Z");
    clock_format(1709164800004, text);
    assert_text(text, "2024-02-29T00:00:00.004Z");
    clock_format(INT64_MIN, text);
    assert_text(text, "1970-01-01T00:00:00.000Z");
    clock_format(INT64_MAX, text);
    assert_text(text, "9999-12-31T23:59:59.999Z");
}

static void what_is_no_rfc3339_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "2026-11-21",
                                      "2026-11-21T08:15:30",
                                      "2026-13-21T08:15:30Z",
                                      "2026-02-30T08:15:30Z",
                                      "2026-11-21T24:15:30Z",
                                      "2026-11-21T08:15:30+1:30",
                                      "2026-11-21T08:15:30Zx",
                                      " 2026-11-21T08:15:30Z",
                                      "-026-11-21T08:15:30Z",
                                      "2026-11-21T08:15:30+01:30 "};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        int64_t unix_ms = 77;
        assert_false(clock_parse(bad[i], &unix_ms));
        assert_int_equal(unix_ms, 77);
    }
}

static void a_seed_repeats_and_uuids_have_their_form(void **state)
{
    (void)state;
    struct random a, b;
    random_init_seed(&a, 7);
    random_init_seed(&b, 7);
    char uuid[RANDOM_UUID_SIZE];
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(random_next(&a), random_next(&b));
        assert_in_range(random_below(&a, 10), 0, 9);
        assert_in_range(random_jitter_ms(&a, 1000), 800, 1199);
        random_uuid(&a, uuid);
        assert_int_equal(strlen(uuid), 36);
        assert_int_equal(uuid[14], '4');
        assert_non_null(strchr("89ab", uuid[19]));
        b = a;
    }
    random_init(&a);
    random_init(&b);
    assert_int_not_equal(random_next(&a), random_next(&b));
}

static void a_name_always_gives_the_same_uuid(void **state)
{
    (void)state;
    char one[UUID_TEXT_SIZE], two[UUID_TEXT_SIZE];
    uuid_from_name("a/0/1", 5, one);
    uuid_from_name("a/0/1", 5, two);
    assert_text(one, two);
    assert_int_equal(one[14], '5');
    uuid_from_name("a/0/2", 5, two);
    assert_string_not_equal(one, two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc3339_is_read_and_written),
        cmocka_unit_test(what_is_no_rfc3339_is_refused),
        cmocka_unit_test(a_seed_repeats_and_uuids_have_their_form),
        cmocka_unit_test(a_name_always_gives_the_same_uuid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
