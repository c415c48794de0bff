#include "core/outcome.h"
#include "base/random.h"
#include "base/utf8.h"
#include "test.h"

static const struct output_limits limits = {
    .stdout_bytes = 100, .stderr_bytes = 50, .artifact_bytes = 1000, .artifact_count = 3};

static void append_text(struct capture *capture, const char *text)
{
    capture_append(capture, (struct bytes){.data = text, .length = strlen(text)});
}

static void assert_capture(const struct capture *capture, const char *expected)
{
    CLEANUP(buffer_release) struct buffer text = {0};
    buffer_append_text(&text, ">"); /* capture_text appends */
    capture_text(capture, &text);
    assert_text(text.data + 1, expected);
}

/* ---- Captures ---- */

static void what_fits_is_kept_whole(void **state)
{
    (void)state;
    struct capture capture;
    capture_init(&capture, 10);
    assert_int_equal(capture_memory(&capture), 0);
    assert_capture(&capture, "");
    append_text(&capture, "");
    append_text(&capture, "abc");
    append_text(&capture, "defghij");
    assert_false(capture_is_truncated(&capture));
    assert_capture(&capture, "abcdefghij");
    capture_release(&capture);
}

static void head_and_tail_stay_with_a_line_between(void **state)
{
    (void)state;
    struct capture capture;
    capture_init(&capture, 10);
    append_text(&capture, "abcdefghijklmno");
    append_text(&capture, "pqrstuvwxyz");
    assert_true(capture_is_truncated(&capture));
    assert_int_equal(capture.total_bytes, 26);
    assert_capture(&capture, "abcde\n[... 16 bytes are missing here ...]\nvwxyz");
    append_text(&capture, "01");
    assert_capture(&capture, "abcde\n[... 18 bytes are missing here ...]\nxyz01");
    capture_release(&capture);
}

static void a_newline_before_the_gap_is_not_doubled(void **state)
{
    (void)state;
    struct capture capture;
    capture_init(&capture, 8);
    append_text(&capture, "abc\nxxxxxxxxlast");
    assert_capture(&capture, "abc\n[... 8 bytes are missing here ...]\nlast");
    capture_release(&capture);
}

static void no_room_at_all_leaves_the_count(void **state)
{
    (void)state;
    struct capture capture;
    capture_init(&capture, 0);
    append_text(&capture, "abc");
    assert_capture(&capture, "[... 3 bytes are missing here ...]\n");
    assert_int_equal(capture_memory(&capture), 0);
    capture_release(&capture);
    capture_init(&capture, 1);
    append_text(&capture, "abc");
    assert_capture(&capture, "[... 2 bytes are missing here ...]\nc");
    capture_release(&capture);
}

static void no_character_is_cut_at_the_seam(void **state)
{
    (void)state;
    struct capture capture;
    capture_init(&capture, 10); /* five bytes each: a character and a half of three */
    append_text(&capture, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac");
    assert_capture(&capture, "\xe2\x82\xac\n[... 9 bytes are missing here ...]\n\xe2\x82\xac");
    capture_release(&capture);
    capture_init(&capture, 10); /* the seam between head and tail, nothing missing */
    append_text(&capture, "abcd\xe2\x82\xac"
                          "ef");
    assert_capture(&capture, "abcd\xe2\x82\xac"
                             "ef");
    capture_release(&capture);
}

static void what_was_never_seen_is_counted(void **state)
{
    (void)state;
    struct capture capture;
    capture_init(&capture, 10);
    append_text(&capture, "abcdevwxyz"); /* both halves of thirty bytes */
    capture_skip(&capture, 0);
    assert_false(capture_is_truncated(&capture));
    capture_skip(&capture, 20);
    assert_true(capture_is_truncated(&capture));
    assert_int_equal(capture.total_bytes, 30);
    assert_capture(&capture, "abcde\n[... 20 bytes are missing here ...]\nvwxyz");
    append_text(&capture, "012"); /* of a further program */
    assert_capture(&capture, "abcde\n[... 23 bytes are missing here ...]\nyz012");
    capture_release(&capture);
    assert_int_equal(capture.total_bytes, 0);
}

static void what_was_never_seen_though_there_was_room_comes_last(void **state)
{
    (void)state;
    static const struct {
        const char *seen, *expected;
    } cases[] = {
        {"", "[... 7 bytes are missing here ...]\n"},
        {"abc", "abc\n[... 7 bytes are missing here ...]\n"},
        {"abcdefg", "abcdefg\n[... 7 bytes are missing here ...]\n"},
        {"abcdef\n", "abcdef\n[... 7 bytes are missing here ...]\n"},
        {"abcdef\xe2\x82", "abcdef\n[... 9 bytes are missing here ...]\n"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct capture capture;
        capture_init(&capture, 10);
        append_text(&capture, cases[i].seen);
        capture_skip(&capture, 7);
        assert_true(capture_is_truncated(&capture));
        assert_capture(&capture, cases[i].expected);
        capture_release(&capture);
    }
}

static void broken_text_is_repaired(void **state)
{
    (void)state;
    struct capture capture;
    capture_init(&capture, 100);
    capture_append(&capture, (struct bytes){.data = "a\0b\xff", .length = 4});
    assert_capture(&capture, "a\xef\xbf\xbd"
                             "b\xef\xbf\xbd");
    capture_release(&capture);
}

/* All that was ever printed, kept: what the capture must show is computed from it. */
struct naive {
    struct buffer all;
    size_t limit;
};

static void naive_text(const struct naive *naive, struct buffer *out)
{
    size_t length = naive->all.length, head = naive->limit / 2, tail = naive->limit - head;
    const char *data = naive->all.data ? naive->all.data : "";
    if (length <= naive->limit) {
        utf8_append_repaired(out, (struct bytes){.data = data, .length = length});
        return;
    }
    size_t from = length - tail, missing = length - head - tail;
    /* The random text has no broken characters, so a cut is where a character lies across it. */
    while (head > 0 && ((unsigned char)data[head] & 0xc0) == 0x80) {
        head--;
        missing++;
    }
    while (from < length && ((unsigned char)data[from] & 0xc0) == 0x80) {
        from++;
        missing++;
    }
    buffer_append(out, data, head);
    if (head > 0 && data[head - 1] != '\n')
        buffer_append_byte(out, '\n');
    buffer_append_format(out, "[... %zu bytes are missing here ...]\n", missing);
    buffer_append(out, data + from, length - from);
}

static void compare(const struct capture *capture, const struct naive *naive)
{
    CLEANUP(buffer_release) struct buffer shown = {0}, expected = {0};
    capture_text(capture, &shown);
    naive_text(naive, &expected);
    assert_int_equal(capture->total_bytes, naive->all.length);
    assert_int_equal(capture_is_truncated(capture), naive->all.length > naive->limit);
    assert_int_equal(shown.length, expected.length);
    if (shown.length > 0)
        assert_memory_equal(shown.data, expected.data, shown.length);
    assert_true(utf8_is_valid(buffer_bytes(&shown)));
    assert_true(capture_memory(capture) <= naive->limit + 2);
}

static void captures_agree_with_a_naive_model(void **state)
{
    (void)state;
    static const char *const characters[] = {"a", "b", "\n", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    static const size_t bounds[] = {0, 1, 2, 3, 4, 5, 7, 8, 16, 63, 64, 65, 129, 1000, 5000};
    struct random random;
    random_init_seed(&random, 5);
    for (int round = 0; round < 3000; round++) {
        CLEANUP(buffer_release) struct buffer text = {0};
        struct naive naive = {.limit = bounds[random_below(&random, ARRAY_LENGTH(bounds))]};
        struct capture capture;
        capture_init(&capture, (int64_t)naive.limit);
        size_t characters_left = random_below(&random, naive.limit * 2 + 20);
        while (characters_left-- > 0)
            buffer_append_text(&text, characters[random_below(&random, ARRAY_LENGTH(characters))]);
        for (size_t at = 0; at < text.length;) { /* in pieces that respect no character */
            size_t length = random_below(&random, text.length / 2 + 2);
            length = MIN(length, text.length - at);
            capture_append(&capture, (struct bytes){.data = text.data + at, .length = length});
            buffer_append(&naive.all, text.data + at, length);
            at += length;
        }
        compare(&capture, &naive);
        capture_release(&capture);
        buffer_release(&naive.all);
    }
}

static void random_bytes_always_show_as_valid_text(void **state)
{
    (void)state;
    struct random random;
    random_init_seed(&random, 6);
    for (int round = 0; round < 3000; round++) {
        CLEANUP(buffer_release) struct buffer shown = {0};
        struct capture capture;
        capture_init(&capture, (int64_t)random_below(&random, 40));
        for (int n = 0; n < 10; n++) {
            uint64_t bytes[2] = {random_next(&random), random_next(&random)};
            capture_append(&capture,
                           (struct bytes){.data = bytes, .length = random_below(&random, sizeof bytes + 1)});
        }
        capture_text(&capture, &shown);
        assert_true(utf8_is_valid(buffer_bytes(&shown)));
        capture_release(&capture);
    }
}

static void memory_starts_at_nothing_and_ends_at_the_bound(void **state)
{
    (void)state;
    struct capture capture;
    capture_init(&capture, 65536);
    assert_int_equal(capture_memory(&capture), 0);
    append_text(&capture, "hello\n");
    assert_true(capture_memory(&capture) <= 64);
    for (int i = 0; i < 100000; i++)
        append_text(&capture, "hello\n");
    assert_int_equal(capture_memory(&capture), 65536 + 2);
    capture_release(&capture);
    assert_int_equal(capture_memory(&capture), 0);
}

/* ---- Outcomes ---- */

static void the_first_cause_wins(void **state)
{
    (void)state;
    struct outcome outcome;
    outcome_init(&outcome, &limits);
    assert_int_equal(outcome.exit_code, -1);
    assert_int_equal(outcome.timing.run_ms, -1);
    outcome_blame(&outcome, CODE_RUN_TIMEOUT, "run", "not done after %d ms", 5);
    outcome_blame(&outcome, CODE_SANDBOX_LOST, "artifacts", "gone");
    assert_int_equal(outcome.code, CODE_RUN_TIMEOUT);
    assert_text(outcome.stage, "run");
    assert_text(outcome.message, "not done after 5 ms");
    outcome_release(&outcome);
}

static void long_messages_are_cut_between_characters(void **state)
{
    (void)state;
    char text[700] = "x";
    for (int i = 0; i < 200; i++)
        strcat(text, "\xe2\x82\xac");
    struct outcome outcome;
    outcome_init(&outcome, &limits);
    outcome_blame(&outcome, CODE_INTERNAL, text, "%s", text);
    outcome_warn(&outcome, "%s", text);
    assert_int_equal(strlen(outcome.message), 319);
    assert_int_equal(strlen(outcome.stage), 31);
    assert_int_equal(strlen(outcome.warnings[0]), 511);
    assert_true(utf8_is_valid((struct bytes){outcome.message, strlen(outcome.message)}));
    assert_true(utf8_is_valid((struct bytes){outcome.stage, strlen(outcome.stage)}));
    outcome_release(&outcome);
}

static void warnings_are_bounded_and_said_once(void **state)
{
    (void)state;
    struct outcome outcome;
    outcome_init(&outcome, &limits);
    for (int i = 0; i < 100; i++)
        outcome_warn(&outcome, "warning %d", i / 2);
    assert_int_equal(outcome.warning_count, OUTCOME_WARNINGS_MAX);
    assert_text(outcome.warnings[1], "warning 1");
    outcome_release(&outcome);
}

static void results_are_bounded_in_number_and_bytes(void **state)
{
    (void)state;
    struct outcome outcome;
    outcome_init(&outcome, &limits);
    for (int i = 0; i < OUTCOME_RESULTS_MAX + 5; i++)
        outcome_add_result(&outcome, (struct bytes){"{}", 2});
    assert_int_equal(outcome.result_count, OUTCOME_RESULTS_MAX);
    assert_int_equal(outcome.results_dropped, 5);
    outcome_clear_attempt(&outcome);
    outcome.result_limit_bytes = 5;
    outcome_add_result(&outcome, (struct bytes){"{\"a\"", 4});
    outcome_add_result(&outcome, (struct bytes){"{}", 2});
    outcome_add_result(&outcome, (struct bytes){"1", 1});
    assert_int_equal(outcome.result_count, 2);
    assert_int_equal(outcome.results_dropped, 1);
    assert_text(outcome.results[1].json, "1");
    outcome_release(&outcome);
}

static void artifacts_are_bounded_and_hashed(void **state)
{
    (void)state;
    struct outcome outcome;
    struct buffer content = {0}, empty = {0};
    outcome_init(&outcome, &limits);
    buffer_append_text(&content, "abc");
    assert_true(outcome_add_artifact(&outcome, "a.txt", &content, 4, 2));
    assert_null(content.data);
    assert_text(outcome.artifacts[0].sha256,
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    buffer_append_text(&content, "de");
    assert_false(outcome_add_artifact(&outcome, "b.txt", &content, 4, 2));
    assert_text(content.data, "de");
    assert_true(outcome_add_artifact(&outcome, "c.txt", &empty, 4, 2));
    assert_false(outcome_add_artifact(&outcome, "d.txt", &empty, 4, 2));
    assert_int_equal(outcome.artifact_count, 2);
    assert_int_equal(outcome.artifacts_dropped, 2);
    assert_int_equal(outcome.artifact_bytes, 3);
    buffer_release(&content);
    outcome_release(&outcome);
}

static void attempts_grow_up_to_their_bound(void **state)
{
    (void)state;
    struct outcome outcome;
    outcome_init(&outcome, &limits);
    for (int64_t n = 1; n <= OUTCOME_ATTEMPTS_MAX + 3; n++) {
        outcome_attempt(&outcome)->n = n;
        outcome_count_attempt(&outcome);
    }
    assert_int_equal(outcome.attempt_count, OUTCOME_ATTEMPTS_MAX);
    assert_int_equal(outcome.attempts[0].n, 1);
    assert_int_equal(outcome.attempts[OUTCOME_ATTEMPTS_MAX - 1].n, OUTCOME_ATTEMPTS_MAX + 3);
    outcome_release(&outcome);
}

static void a_new_attempt_forgets_all_but_attempts_costs_and_warnings(void **state)
{
    (void)state;
    struct step_report steps[2] = {{.name = "files"},
                                   {.name = "run", .code = CODE_NONZERO_EXIT, .exit_code = 3}};
    struct buffer content = {0};
    struct outcome outcome;
    outcome_init(&outcome, &limits);
    size_t empty_memory = outcome_memory(&outcome);
    outcome.steps = steps;
    outcome.step_count = 2;
    append_text(&outcome.out, "hello");
    append_text(&outcome.err, "oops");
    outcome_add_result(&outcome, (struct bytes){"{}", 2});
    buffer_append_text(&content, "abc");
    assert_true(outcome_add_artifact(&outcome, "a.txt", &content, 100, 2));
    outcome_set_exception(&outcome, "ValueError", "no", NULL);
    outcome_set_exception(&outcome, "TypeError", "yes", "traceback");
    outcome_blame(&outcome, CODE_SANDBOX_LOST, "run", "gone");
    outcome_blame_provider(&outcome, 502, "bad");
    outcome.exit_code = 1;
    *outcome_attempt(&outcome) = (struct attempt_report){.n = 1, .code = CODE_SANDBOX_LOST};
    outcome_count_attempt(&outcome);
    outcome.nano_usd = 77;
    outcome.timing.queued_ms = 5;
    outcome.timing.run_ms = 6;
    assert_true(outcome_memory(&outcome) > empty_memory + 64 * 2);
    outcome_clear_attempt(&outcome);
    assert_int_equal(outcome_memory(&outcome), empty_memory + sizeof(struct attempt_report));
    assert_int_equal(outcome.code, CODE_NONE);
    assert_null(outcome.message);
    assert_int_equal(outcome.provider_status, 0);
    assert_null(outcome.provider_code);
    assert_int_equal(outcome.exit_code, -1);
    assert_int_equal(outcome.out.total_bytes, 0);
    assert_int_equal(outcome.out.limit_bytes, 100);
    assert_null(outcome.user_name);
    assert_int_equal(outcome.result_count + outcome.artifact_count, 0);
    assert_text(steps[1].name, "run");
    assert_int_equal(steps[1].code, CODE_NONE);
    assert_int_equal(steps[1].exit_code, -1);
    assert_int_equal(outcome.attempt_count, 1);
    assert_int_equal(outcome.nano_usd, 77);
    assert_int_equal(outcome.timing.queued_ms, 5);
    assert_int_equal(outcome.timing.run_ms, -1);
    outcome_warn(&outcome, "kept");
    outcome_clear_attempt(&outcome);
    assert_text(outcome.warnings[0], "kept");
    outcome_release(&outcome);
    assert_int_equal(outcome_memory(&outcome), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_kept_whole),
        cmocka_unit_test(head_and_tail_stay_with_a_line_between),
        cmocka_unit_test(a_newline_before_the_gap_is_not_doubled),
        cmocka_unit_test(no_room_at_all_leaves_the_count),
        cmocka_unit_test(no_character_is_cut_at_the_seam),
        cmocka_unit_test(what_was_never_seen_is_counted),
        cmocka_unit_test(what_was_never_seen_though_there_was_room_comes_last),
        cmocka_unit_test(broken_text_is_repaired),
        cmocka_unit_test(captures_agree_with_a_naive_model),
        cmocka_unit_test(random_bytes_always_show_as_valid_text),
        cmocka_unit_test(memory_starts_at_nothing_and_ends_at_the_bound),
        cmocka_unit_test(the_first_cause_wins),
        cmocka_unit_test(long_messages_are_cut_between_characters),
        cmocka_unit_test(warnings_are_bounded_and_said_once),
        cmocka_unit_test(results_are_bounded_in_number_and_bytes),
        cmocka_unit_test(artifacts_are_bounded_and_hashed),
        cmocka_unit_test(attempts_grow_up_to_their_bound),
        cmocka_unit_test(a_new_attempt_forgets_all_but_attempts_costs_and_warnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
