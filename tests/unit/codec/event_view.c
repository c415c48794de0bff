#include "codec/event_view.h"

#include "codec/event.h"
#include "codec/result.h"
#include "test.h"

static struct event_view view_of(const char *type, struct bytes value, struct arena *arena)
{
    const struct envelope envelope = {
        .id = "x", .source = "test", .type = type, .time_unix_ms = 1700000000123};
    struct envelope_headers headers;
    struct event_view view;
    struct error error;
    envelope_write(&envelope, &headers);
    assert_true(event_view_read(headers.items, headers.count, value, arena, &view, &error));
    return view;
}

static const struct job job = {.job_id = "j", .tenant_id = "t", .key = "t/j", .from = {.topic = "topic"}};

static void a_result_comes_back_as_it_was_written(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct buffer value = {0};
    struct outcome outcome;
    const struct output_limits limits = {1000, 1000, 1000, 10};
    outcome_init(&outcome, &limits);
    capture_append(&outcome.out, (struct bytes){"hi\n", 3});
    static const char bundle[] = "{\"is_main_result\":true,\"text\":\"42\"}";
    outcome_add_result(&outcome, (struct bytes){bundle, sizeof bundle - 1});
    outcome_blame(&outcome, CODE_NONZERO_EXIT, "run", "the program ended with exit code 7");
    outcome.exit_code = 7;
    outcome.nano_usd = 1234;
    outcome.timing.total_ms = 99;
    outcome_warn(&outcome, "careful");
    const struct result_source source = {.job = &job, .outcome = &outcome, .worker_id = "w"};
    (void)result_encode(&source, 100000, &value);
    struct event_view view = view_of(EVENT_FINISHED, buffer_bytes(&value), &arena);
    assert_int_equal(view.kind, EVENT_KIND_FINISHED);
    assert_int_equal(view.time_unix_ms, 1700000000123);
    assert_text(view.job_id, "j");
    assert_text(view.tenant_id, "t");
    assert_text(view.status, "failed");
    assert_text(view.code, "NONZERO_EXIT");
    assert_text(view.message, "the program ended with exit code 7");
    assert_int_equal(view.exit_code, 7);
    assert_int_equal(view.signal, -1);
    assert_int_equal(view.out.text.length, 3);
    assert_int_equal(view.out.bytes_total, 3);
    assert_false(view.out.is_truncated);
    assert_int_equal(view.main_result.length, 2);
    assert_memory_equal(view.main_result.data, "42", 2);
    assert_int_equal(view.total_ms, 99);
    assert_int_equal(view.nano_usd, 1234);
    assert_true(view.warnings.count >= 1);
    outcome_release(&outcome);
    buffer_release(&value);
    arena_release(&arena);
}

static void lifecycle_events_come_back(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct buffer value = {0};
    const struct event_waiting waiting = {
        .reason = "limit", .message = "full", .limit = "global", .used = 19, .max = 19, .waited_ms = 250};
    event_waiting(&job, &waiting, &value);
    struct event_view view = view_of(EVENT_WAITING, buffer_bytes(&value), &arena);
    assert_int_equal(view.kind, EVENT_KIND_WAITING);
    assert_text(view.reason, "limit");
    assert_text(view.limit, "global");
    assert_text(view.message, "full");
    assert_int_equal(view.max, 19);
    assert_int_equal(view.waited_ms, 250);
    buffer_clear(&value);
    const struct event_duplicate duplicate = {CODE_NONE, "succeeded", 3, 77};
    event_duplicate(&job, &duplicate, &value);
    view = view_of(EVENT_DUPLICATE, buffer_bytes(&value), &arena);
    assert_null(view.code);
    assert_text(view.first_status, "succeeded");
    assert_int_equal(view.first_offset, 77);
    buffer_clear(&value);
    const struct event_reaped reaped = {
        .sandbox_id = "sb1", .permit = "p", .reason = "no_permit", .age_ms = 12, .nano_usd = 34};
    event_reaped(&reaped, &value);
    view = view_of(EVENT_REAPED, buffer_bytes(&value), &arena);
    assert_int_equal(view.kind, EVENT_KIND_REAPED);
    assert_null(view.job_id);
    assert_text(view.sandbox_id, "sb1");
    assert_text(view.reason, "no_permit");
    assert_int_equal(view.age_ms, 12);
    assert_int_equal(view.nano_usd, 34);
    buffer_release(&value);
    arena_release(&arena);
}

/* The topic may hold anything: wrong types are as if absent. */
static void nothing_is_believed(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const char wrong[] =
        "{\"job_id\":5,\"status\":[],\"stdout\":7,\"results\":{},\"attempts\":\"x\","
        "\"error\":\"E\",\"timing\":null,\"cost\":{\"nano_usd\":\"1\"},\"warnings\":[1]}";
    struct event_view view = view_of(EVENT_FINISHED, (struct bytes){wrong, sizeof wrong - 1}, &arena);
    assert_null(view.job_id);
    assert_null(view.status);
    assert_null(view.code);
    assert_int_equal(view.out.text.length, 0);
    assert_int_equal(view.nano_usd, -1);
    assert_int_equal(view.warnings.count, 0);
    view = view_of("org.example.other", (struct bytes){"{}", 2}, &arena);
    assert_int_equal(view.kind, EVENT_KIND_OTHER);
    struct error error;
    assert_false(event_view_read(NULL, 0, (struct bytes){"[1]", 3}, &arena, &view, &error));
    assert_false(event_view_read(NULL, 0, (struct bytes){"", 0}, &arena, &view, &error));
    arena_release(&arena);
}

static void kinds_have_names(void **state)
{
    (void)state;
    enum event_kind kind;
    for (enum event_kind i = EVENT_KIND_SUBMITTED; i <= EVENT_KIND_STATS; i++) {
        assert_true(event_kind_parse(event_kind_name(i), &kind));
        assert_int_equal(kind, i);
    }
    assert_false(event_kind_parse("other", &kind));
    assert_false(event_kind_parse("", &kind));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_comes_back_as_it_was_written),
        cmocka_unit_test(lifecycle_events_come_back),
        cmocka_unit_test(nothing_is_believed),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
