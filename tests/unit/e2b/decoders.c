/* What takes bytes: lines, frames, events, answers. */
#include "e2b/answers.h"
#include "e2b/connect.h"
#include "e2b/events.h"
#include "e2b/ndjson.h"
#include "e2b/text.h"
#include "test.h"

#include <signal.h>

static struct bytes text(const char *text)
{
    return (struct bytes){.data = text, .length = strlen(text)};
}

/* ---- lines ---- */

static void lines_are_the_same_in_any_chunks(void **state)
{
    (void)state;
    static const char stream[] = "one\n\n\r\ntwo\r\nthree\nfour";
    for (size_t size = 1; size <= sizeof stream; size++) {
        struct ndjson lines = {.max_line_bytes = 10};
        struct buffer seen = {0};
        for (size_t at = 0; at < sizeof stream - 1; at += size) {
            struct bytes line;
            ndjson_feed(&lines,
                        (struct bytes){.data = stream + at, .length = MIN(size, sizeof stream - 1 - at)});
            while (ndjson_next(&lines, &line) == DECODED_ONE) {
                buffer_append(&seen, line.data, line.length);
                buffer_append_byte(&seen, '|');
            }
        }
        assert_text(seen.data, "one|two|three|");
        assert_int_equal(lines.rest.length, 4);
        buffer_release(&seen);
        ndjson_release(&lines);
    }
}

static void a_line_over_the_bound_is_told_even_without_its_end(void **state)
{
    (void)state;
    struct ndjson lines = {.max_line_bytes = 5};
    struct bytes line;
    ndjson_feed(&lines, text("12345\n"));
    assert_int_equal(ndjson_next(&lines, &line), DECODED_ONE);
    assert_int_equal(ndjson_next(&lines, &line), DECODED_NONE);
    ndjson_feed(&lines, text("123"));
    assert_int_equal(ndjson_next(&lines, &line), DECODED_NONE);
    ndjson_feed(&lines, text("456"));
    assert_int_equal(ndjson_next(&lines, &line), DECODED_TOO_LARGE);
    ndjson_release(&lines);
}

/* ---- frames ---- */

static void frames_are_the_same_in_any_chunks(void **state)
{
    (void)state;
    static const char stream[] = "\0\0\0\0\3abc"
                                 "\0\0\0\0\0"
                                 "\2\0\0\0\2{}"
                                 "\0\0\0";
    for (size_t size = 1; size <= sizeof stream; size++) {
        struct connect_frames frames = {.max_frame_bytes = 3};
        struct buffer seen = {0};
        for (size_t at = 0; at < sizeof stream - 1; at += size) {
            struct connect_frame frame;
            connect_feed(&frames,
                         (struct bytes){.data = stream + at, .length = MIN(size, sizeof stream - 1 - at)});
            while (connect_next(&frames, &frame) == DECODED_ONE) {
                buffer_append_format(&seen, "%u:", frame.flags);
                buffer_append(&seen, frame.payload.data, frame.payload.length);
                buffer_append_byte(&seen, '|');
            }
        }
        assert_text(seen.data, "0:abc|0:|2:{}|");
        buffer_release(&seen);
        connect_release(&frames);
    }
}

static void a_frame_over_the_bound_is_told_from_its_head(void **state)
{
    (void)state;
    struct connect_frames frames = {.max_frame_bytes = 3};
    struct connect_frame frame;
    connect_feed(&frames, (struct bytes){.data = "\0\0\0\0\4", .length = 5});
    assert_int_equal(connect_next(&frames, &frame), DECODED_TOO_LARGE);
    connect_release(&frames);
    frames = (struct connect_frames){.max_frame_bytes = 3};
    for (size_t i = 0; i < 4; i++) {
        connect_feed(&frames, (struct bytes){.data = &"\0\xff\xff\xff"[i], .length = 1});
        assert_int_equal(connect_next(&frames, &frame), DECODED_NONE);
    }
    connect_feed(&frames, (struct bytes){.data = "\xff", .length = 1});
    assert_int_equal(connect_next(&frames, &frame), DECODED_TOO_LARGE);
    connect_release(&frames);
}

static void writes_a_frame(void **state)
{
    (void)state;
    struct buffer out = {0};
    connect_begin(&out);
    buffer_append_text(&out, "{}");
    connect_finish(&out, 0);
    assert_int_equal(out.length, 7);
    assert_memory_equal(out.data, "\0\0\0\0\2{}", 7);
    buffer_release(&out);
}

/* ---- events ---- */

static void a_result_loses_its_type_and_nothing_else(void **state)
{
    (void)state;
    struct event event;
    assert_true(
        event_of_code(text("{\"type\": \"result\", \"text\": \"1\", \"is_main_result\": true}"), &event));
    assert_int_equal(event.kind, EVENT_RESULT);
    assert_text(event.bytes.data, "{\"text\": \"1\", \"is_main_result\": true}");
    event_release(&event);
    assert_true(event_of_code(text("{\"text\":\"1\",\"type\":\"result\"}"), &event));
    assert_text(event.bytes.data, "{\"text\":\"1\"}");
    event_release(&event);
    assert_true(event_of_code(text("{\"type\":\"result\"}"), &event));
    assert_text(event.bytes.data, "{}");
    event_release(&event);
}

static void lines_of_a_type_alone_are_known_by_their_bytes_or_by_their_tree(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool is_good;
        enum event_kind kind;
    } samples[] = {
        {"{\"type\": \"end_of_execution\"}", true, EVENT_END},
        {"{\"type\":\"end_of_execution\"}", true, EVENT_END},
        {"{\"type\": \"end_of_execution\", \"new\": 1}", true, EVENT_END},
        {"{\"type\": \"end_of_execution\"", false, 0},
        {"{\"type\": \"end_of_execution\"}}", false, 0},
        {"{\"type\": \"keepalive\"}", true, EVENT_IGNORED},
        {"{\"type\": \"number_of_executions\", \"execution_count\": 12}", true, EVENT_STARTED},
        {"{\"execution_count\": 12, \"type\": \"number_of_executions\"}", true, EVENT_STARTED},
        {"{\"type\": \"number_of_executions\", \"execution_count\": 12, \"new\": 1}", true, EVENT_STARTED},
        {"{\"type\": \"number_of_executions\", \"execution_count\": null}", true, EVENT_STARTED},
        {"{\"type\": \"number_of_executions\", \"execution_count\": }", false, 0},
        {"{\"type\": \"number_of_executions\", \"execution_count\": 1", false, 0},
        {"{\"type\": \"number_of_executions\", \"execution_count\": 1}]", false, 0},
        {"{\"type\": \"number_of_executions\", \"execution_count\": ", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        struct event event;
        assert_int_equal(event_of_code(text(samples[i].line), &event), samples[i].is_good);
        if (!samples[i].is_good)
            continue;
        assert_int_equal(event.kind, samples[i].kind);
        event_release(&event);
    }
}

static void what_is_unknown_is_ignored_and_what_is_no_object_is_refused(void **state)
{
    (void)state;
    struct event event;
    assert_true(event_of_code(text("{\"type\":\"from_the_future\"}"), &event));
    assert_int_equal(event.kind, EVENT_IGNORED);
    event_release(&event);
    assert_true(event_of_code(text("{\"type\":17}"), &event));
    event_release(&event);
    assert_true(event_of_process(text("{\"event\":{\"keepalive\":{}}}"), &event));
    assert_int_equal(event.kind, EVENT_IGNORED);
    event_release(&event);
    assert_false(event_of_code(text("[1]"), &event));
    assert_false(event_of_code(text("{\"type\":"), &event));
    assert_false(event_of_code((struct bytes){0}, &event));
    assert_false(event_of_process(text("{\"event\":{\"data\":{\"stdout\":\"???\"}}}"), &event));
}

static void text_may_hold_a_nul(void **state)
{
    (void)state;
    struct event event;
    assert_true(event_of_code(text("{\"type\":\"stdout\",\"text\":\"a\\u0000b\"}"), &event));
    assert_int_equal(event.bytes.length, 3);
    assert_memory_equal(event.bytes.data, "a\0b", 3);
    event_release(&event);
}

static void an_exit_code_that_is_absent_is_zero(void **state)
{
    (void)state;
    struct event event;
    assert_true(event_of_process(text("{\"event\":{\"end\":{\"exited\":true,\"status\":\"exit status 0\"}}}"),
                                 &event));
    assert_int_equal(event.kind, EVENT_END);
    assert_int_equal(event.exit_code, 0);
    assert_int_equal(event.exit_signal, 0);
    event_release(&event);
    assert_true(event_of_process(
        text("{\"event\":{\"end\":{\"exitCode\":-1,\"status\":\"signal: killed\"}}}"), &event));
    assert_int_equal(event.exit_code, -1);
    assert_int_equal(event.exit_signal, SIGKILL);
    event_release(&event);
}

static void signals_are_known_by_their_words(void **state)
{
    (void)state;
    assert_int_equal(event_signal_of("signal: terminated"), SIGTERM);
    assert_int_equal(event_signal_of("signal: segmentation fault (core dumped)"), SIGSEGV);
    assert_int_equal(event_signal_of("signal: aborted"), SIGABRT);
    assert_int_equal(event_signal_of("signal: signal 40"), 40);
    assert_int_equal(event_signal_of("signal: something new"), SIGKILL);
    assert_int_equal(event_signal_of("exit status 1"), 0);
    assert_int_equal(event_signal_of(""), 0);
}

/* ---- answers ---- */

static void reads_a_sandbox(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct e2b_sandbox_info info;
    assert_true(answers_info(
        text("{\"sandboxID\":\"i1\",\"templateID\":\"t1\",\"alias\":\"base\",\"state\":\"paused\","
             "\"cpuCount\":2,"
             "\"memoryMB\":512,\"startedAt\":\"2026-11-21T05:00:00Z\",\"endAt\":\"2026-11-21T05:05:00.5Z\","
             "\"metadata\":{\"permit\":\"p\",\"n\":1},\"new\":[]}"),
        &arena, &info));
    assert_text(info.id, "i1");
    assert_text(info.alias, "base");
    assert_int_equal(info.state, E2B_SANDBOX_PAUSED);
    assert_int_equal(info.ends_unix_ms - info.started_unix_ms, 300500);
    assert_int_equal(info.cpu_count, 2);
    assert_int_equal(info.memory_mb, 512);
    assert_int_equal(info.metadata.count, 1);
    assert_text(info.metadata.items[0].value, "p");
    assert_false(answers_info(text("{\"sandboxID\":\"i1\"}"), &arena, &info));
    struct e2b_sandbox_page page;
    assert_true(answers_page(text("[]"), &arena, &page));
    assert_int_equal(page.count, 0);
    assert_false(answers_page(text("[{}]"), &arena, &page));
    assert_false(answers_page(text("{}"), &arena, &page));
    arena_release(&arena);
}

static void reads_a_refusal_in_any_shape(void **state)
{
    (void)state;
    char code[16], message[24];
    assert_true(answers_refusal(text("{\"code\":503,\"message\":\"full\",\"error_code\":\"cap\"}"), code,
                                sizeof code, message, sizeof message));
    assert_text(code, "cap");
    assert_text(message, "full");
    assert_true(answers_refusal(text("{\"code\":\"not_found\",\"message\":\"gone\"}"), code, sizeof code,
                                message, sizeof message));
    assert_text(code, "not_found");
    assert_true(answers_refusal(text("{\"detail\":[{\"msg\":\"Field required\"}]}"), code, sizeof code,
                                message, sizeof message));
    assert_text(message, "Field required");
    assert_false(answers_refusal(text("plain\ntext, and a long one at that: \xc3\xa4"), code, sizeof code,
                                 message, sizeof message));
    assert_text(message, "plain text, and a long");
    assert_false(answers_refusal((struct bytes){0}, code, sizeof code, message, sizeof message));
    assert_text(message, "");
}

/* ---- what we write ---- */

static void writes_percents_and_knows_good_text(void **state)
{
    (void)state;
    struct buffer out = {0};
    text_append_percent(&out, "a b/\xc3\xa4~+&");
    assert_text(out.data, "a%20b%2F%C3%A4~%2B%26");
    buffer_release(&out);
    assert_false(text_is_good("\xff"));
    assert_false(text_is_good(NULL));
    assert_false(text_is_header_safe("a\r\nb"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_the_same_in_any_chunks),
        cmocka_unit_test(a_line_over_the_bound_is_told_even_without_its_end),
        cmocka_unit_test(frames_are_the_same_in_any_chunks),
        cmocka_unit_test(a_frame_over_the_bound_is_told_from_its_head),
        cmocka_unit_test(writes_a_frame),
        cmocka_unit_test(a_result_loses_its_type_and_nothing_else),
        cmocka_unit_test(lines_of_a_type_alone_are_known_by_their_bytes_or_by_their_tree),
        cmocka_unit_test(what_is_unknown_is_ignored_and_what_is_no_object_is_refused),
        cmocka_unit_test(text_may_hold_a_nul),
        cmocka_unit_test(an_exit_code_that_is_absent_is_zero),
        cmocka_unit_test(signals_are_known_by_their_words),
        cmocka_unit_test(reads_a_sandbox),
        cmocka_unit_test(reads_a_refusal_in_any_shape),
        cmocka_unit_test(writes_percents_and_knows_good_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
