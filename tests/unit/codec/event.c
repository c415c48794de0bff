/* Events' ids and values, histograms, and the writer below them. */
#include "codec/event.h"
#include "base/random.h"
#include "codec/writer.h"
#include "test.h"

#include <jansson.h>
#include <stdio.h>

static const struct job job = {.job_id = "j1",
                               .tenant_id = "acme",
                               .task_type = NULL,
                               .from = {.topic = "t", .partition = 2, .offset = 7, .origin = "0123abcd"}};

static void ids_are_the_same_for_the_same_event(void **state)
{
    (void)state;
    struct arena arena = {0};
    assert_text(event_id(&job, EVENT_FINISHED, 3, &arena), "j1:finished");
    assert_text(event_id(&job, EVENT_SUBMITTED, 3, &arena), "j1:submitted");
    assert_text(event_id(&job, EVENT_STARTED, 3, &arena), "j1:3:started");
    assert_text(event_id(&job, EVENT_RETRYING, 3, &arena), "j1:3:retrying");
    assert_text(event_id(&job, EVENT_WAITING, 3, &arena), "j1:waiting:3");
    assert_text(event_id(&job, EVENT_DUPLICATE, 3, &arena), "j1:duplicate:0123abcd");
    assert_text(event_id(NULL, EVENT_STATS, 3, &arena), "stats:3");
    assert_text(event_source("eu", "acme", &arena), "e2b-worker/eu/acme");
    assert_text(event_source("eu", NULL, &arena), "e2b-worker/eu");
    arena_release(&arena);
}

static void a_waiting_event_says_which_limit(void **state)
{
    (void)state;
    CLEANUP(buffer_release) struct buffer out = {0};
    const struct event_waiting waiting = {.reason = "limit",
                                          .message = "17 of 19 places are taken, 2 are reserved",
                                          .limit = "reserve:interactive",
                                          .used = 17,
                                          .max = 19,
                                          .reserved = 2,
                                          .waited_ms = 120,
                                          .retry_ms = 1000};
    event_waiting(&job, &waiting, &out);
    assert_text(out.data,
                "{\"job_id\":\"j1\",\"task_type\":null,\"tenant_id\":\"acme\",\"labels\":{},"
                "\"correlation_id\":null,\"batch_id\":null,\"reason\":\"limit\","
                "\"message\":\"17 of 19 places are taken, 2 are reserved\",\"limit\":\"reserve:interactive\","
                "\"used\":17,\"max\":19,\"reserved\":2,\"waited_ms\":120,\"retry_ms\":1000}");
}

static void what_waits_for_no_limit_has_no_places(void **state)
{
    (void)state;
    CLEANUP(buffer_release) struct buffer out = {0};
    const struct event_waiting waiting = {
        .reason = "elsewhere", .message = "m", .used = -1, .max = -1, .reserved = -1, .retry_ms = -1};
    event_waiting(&job, &waiting, &out);
    assert_non_null(strstr(out.data,
                           "\"reason\":\"elsewhere\",\"message\":\"m\",\"limit\":null,\"used\":null,"
                           "\"max\":null,\"reserved\":null,\"waited_ms\":0,\"retry_ms\":null}"));
}

static void a_duplicate_tells_what_is_known_of_the_first(void **state)
{
    (void)state;
    CLEANUP(buffer_release) struct buffer out = {0};
    event_duplicate(&job, &(struct event_duplicate){CODE_JOB_ID_CONFLICT, NULL, -1, -1}, &out);
    assert_non_null(strstr(out.data,
                           "\"code\":\"JOB_ID_CONFLICT\",\"topic\":\"t\",\"partition\":2,\"offset\":7,"
                           "\"first\":{\"status\":null,\"partition\":null,\"offset\":null}"));
}

static void a_reaped_sandbox_is_told_with_its_age_and_cost(void **state)
{
    (void)state;
    CLEANUP(buffer_release) struct buffer out = {0};
    const struct event_reaped reaped = {.worker_id = "w2",
                                        .sandbox_id = "sb1",
                                        .permit = "p1",
                                        .job_id = "j1",
                                        .reason = "worker_dead",
                                        .age_ms = 1001,
                                        .nano_usd = 7,
                                        .cpu_milli = 1500,
                                        .memory_mb = 512};
    event_reaped(&reaped, &out);
    assert_text(out.data,
                "{\"sandbox_id\":\"sb1\",\"permit\":\"p1\",\"job_id\":\"j1\",\"tenant_id\":null,"
                "\"template\":null,\"template_id\":null,\"worker_id\":\"w2\",\"reason\":\"worker_dead\","
                "\"age_ms\":1001,\"cost\":{\"nano_usd\":7,\"vcpu\":1.5,\"memory_mb\":512,\"seconds\":2,"
                "\"price_version\":null}}");
}

static void each_value_is_in_its_bucket(void **state)
{
    (void)state;
    /* Bucket i: [2^(i/4), 2^((i+1)/4)). The fourth power makes the bounds whole numbers. */
    for (int64_t ms = 1; ms < 5000; ms++) {
        struct histogram histogram = {0};
        histogram_add(&histogram, ms);
        size_t i = 0;
        while (histogram.counts[i] == 0)
            i++;
        long double fourth = (long double)ms * ms * ms * ms;
        assert_true(fourth >= (long double)((unsigned __int128)1 << i));
        assert_true(fourth < (long double)((unsigned __int128)1 << (i + 1)));
    }
}

static void quantiles_are_upper_bounds_within_a_fifth(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    assert_int_equal(histogram_quantile(&histogram, 0.5), 0);
    for (int64_t ms = 1; ms <= 1000; ms++)
        histogram_add(&histogram, ms);
    int64_t median = histogram_quantile(&histogram, 0.5), last = histogram_quantile(&histogram, 1.0);
    assert_in_range(median, 500, 600);
    assert_int_equal(last, 1000);
    assert_in_range(histogram_quantile(&histogram, 0.99), 990, 1000);
    assert_int_equal(histogram.count, 1000);
    assert_int_equal(histogram.sum_ms, 500500);
    histogram_add(&histogram, -5);
    histogram_add(&histogram, INT64_MAX);
    assert_int_equal(histogram.count, 1002);
    assert_int_equal(histogram_quantile(&histogram, 1.0), 1 << 30);
}

static void rates_tell_the_callers_success_from_the_platforms(void **state)
{
    (void)state;
    CLEANUP(buffer_release) struct buffer out = {0};
    struct worker_stats stats = {.worker_id = "w", .interval_ms = 10};
    stats.by_status[STATUS_SUCCEEDED] = 6;
    stats.by_status[STATUS_FAILED] = 4;
    stats.by_code[CODE_RUNTIME_ERROR] = 3;
    stats.by_code[CODE_SANDBOX_LOST] = 1;
    event_stats(&stats, &out);
    assert_non_null(strstr(out.data, "\"success_rate\":{\"caller\":0.6,\"platform\":0.9}"));
    assert_non_null(strstr(out.data, "\"by_code\":{\"RUNTIME_ERROR\":3,\"SANDBOX_LOST\":1}"));
}

static void any_bytes_become_a_json_string(void **state)
{
    (void)state;
    struct random random;
    random_init_seed(&random, 7);
    for (int round = 0; round < 2000; round++) {
        unsigned char bytes[40];
        size_t length = random_below(&random, sizeof bytes);
        for (size_t i = 0; i < length; i++)
            bytes[i] = (unsigned char)random_below(&random, round % 2 ? 256 : 128);
        CLEANUP(buffer_release) struct buffer out = {0};
        struct writer writer = {.out = &out};
        writer_begin_array(&writer);
        writer_bytes(&writer, (struct bytes){bytes, length});
        writer_milli(&writer, (int64_t)random_next(&random) / 2);
        writer_end_array(&writer);
        json_auto_t *root = json_loadb(out.data, out.length, 0, NULL);
        assert_int_equal(json_array_size(root), 2);
    }
}

static void thousandths_are_written_short(void **state)
{
    (void)state;
    CLEANUP(buffer_release) struct buffer out = {0};
    struct writer writer = {.out = &out};
    static const int64_t values[] = {0, 1000, 1500, 1, 10, -2250, 20000};
    writer_begin_array(&writer);
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++)
        writer_milli(&writer, values[i]);
    writer_end_array(&writer);
    assert_text(out.data, "[0,1,1.5,0.001,0.01,-2.25,20]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_the_same_for_the_same_event),
        cmocka_unit_test(a_waiting_event_says_which_limit),
        cmocka_unit_test(what_waits_for_no_limit_has_no_places),
        cmocka_unit_test(a_duplicate_tells_what_is_known_of_the_first),
        cmocka_unit_test(a_reaped_sandbox_is_told_with_its_age_and_cost),
        cmocka_unit_test(each_value_is_in_its_bucket),
        cmocka_unit_test(quantiles_are_upper_bounds_within_a_fifth),
        cmocka_unit_test(rates_tell_the_callers_success_from_the_platforms),
        cmocka_unit_test(any_bytes_become_a_json_string),
        cmocka_unit_test(thousandths_are_written_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
