/* The wrapper's report and the driver's results, read from bytes that a hostile program may have written. */
#include "worker/process_record.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"

static struct bytes text(const char *literal)
{
    return (struct bytes){literal, strlen(literal)};
}

static bool parse(const char *tail, struct process_report *ret, size_t *ret_at)
{
    return process_report_parse(text(tail), MARK, ret, ret_at);
}

static void reads_every_end(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum process_end end;
        int number;
    } cases[] = {
        {MARK " exit 0 5 4096 0 0 0 0\n", PROCESS_EXITED, 0},
        {MARK " exit 255 5 4096 0 1 12 3\n", PROCESS_EXITED, 255},
        {MARK " signal 9 -1 -1 1 0 0 0\n", PROCESS_SIGNALED, 9},
        {MARK " timeout 0 5 4096 0 0 0 0\n", PROCESS_TIMED_OUT, 0},
        {MARK " lost 0 -1 -1 1 0 0 0\n", PROCESS_LOST, 0},
        {MARK " unstarted 0 -1 -1 0 0 0 0\n", PROCESS_UNSTARTED, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct process_report report;
        size_t at;
        assert_true(parse(cases[i].line, &report, &at));
        assert_int_equal(report.end, cases[i].end);
        assert_int_equal(report.number, cases[i].number);
        assert_int_equal(at, 0);
    }
}

static void reads_the_measures(void **state)
{
    (void)state;
    struct process_report report;
    size_t at;
    assert_true(parse("the program's own" MARK " signal 9 1234 5368709120 1 1 314572805 7\n", &report, &at));
    assert_int_equal(at, strlen("the program's own"));
    assert_int_equal(report.cpu_ms, 1234);
    assert_int_equal(report.peak_bytes, 5368709120);
    assert_true(report.saw_oom);
    assert_true(report.has_results);
    assert_int_equal(report.out_bytes, 314572805);
    assert_int_equal(report.err_bytes, 7);
}

static void half_a_report_is_none(void **state)
{
    (void)state;
    const char whole[] = MARK " exit 0 5 4096 0 0 1 2\n";
    struct process_report report;
    size_t at;
    for (size_t length = 0; length < sizeof whole - 1; length++)
        assert_false(process_report_parse((struct bytes){whole, length}, MARK, &report, &at));
    static const char *const wrong[] = {
        "",
        "\n",
        "no mark exit 0 0 0 0 0 0 0\n",
        MARK " exit 0 5 4096 0 0 0 0\nmore\n",
        MARK " ended 0 5 4096 0 0 0 0\n",
        MARK " exit zero 5 4096 0 0 0 0\n",
        MARK "\n",
        MARK " exit 0 5 4096 0 0\n",
        MARK " exit 0 5 4096 0 0 0 0 0\n",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
        assert_false(parse(wrong[i], &report, &at));
}

/* A program can forge the report of its own job, but no number that is none. */
static void a_stream_of_an_impossible_length_is_no_report(void **state)
{
    (void)state;
    struct process_report report;
    size_t at;
    assert_true(parse(MARK " exit 0 5 4096 0 0 1125899906842624 0\n", &report, &at));
    assert_false(parse(MARK " exit 0 5 4096 0 0 1125899906842625 0\n", &report, &at));
    assert_false(parse(MARK " exit 0 5 4096 0 0 0 99999999999999999999\n", &report, &at));
    assert_false(parse(MARK " exit 0 5 4096 0 0 -1 0\n", &report, &at));
    assert_false(parse(MARK " exit 0 5 4096 0 0 0 -1\n", &report, &at));
}

static void set_up(struct outcome *outcome)
{
    outcome_init(outcome, &(struct output_limits){.stdout_bytes = 100, .stderr_bytes = 100});
}

static void reads_results_and_the_exception(void **state)
{
    (void)state;
    struct outcome outcome;
    set_up(&outcome);
    process_results_read(
        text("{\"text\": \"1\"}\n{\"text\": \"2\"}\n!exception 10 5 11\nValueErrora\nb\ncTraceback\n.\n"
             "!dropped 7\n{\"text\": \"3\"}\n"),
        &outcome);
    assert_int_equal(outcome.result_count, 3);
    assert_text(outcome.results[1].json, "{\"text\": \"2\"}");
    assert_int_equal(outcome.results_dropped, 7);
    assert_text(outcome.user_name, "ValueError");
    assert_text(outcome.user_value, "a\nb\nc");
    assert_text(outcome.user_traceback, "Traceback\n.");
    outcome_release(&outcome);
}

static void skips_what_it_does_not_understand(void **state)
{
    (void)state;
    static const char *const files[] = {
        "",
        "\n\n\n",
        "{\"text\": \"cut in the mid",
        "garbage\n",
        "!exception 10 10 10\nshort\n",
        "!exception 99999999999999999999 1 1\nab\n",
        "!exception 18446744073709551615 18446744073709551615 2\nab\n",
        "!exception -1 -1 -1\nab\n",
        "!exception\n!\n!dropped x\n",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        struct outcome outcome;
        set_up(&outcome);
        process_results_read(text(files[i]), &outcome);
        assert_int_equal(outcome.result_count, 0);
        assert_null(outcome.user_name);
        outcome_release(&outcome);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_end),
        cmocka_unit_test(reads_the_measures),
        cmocka_unit_test(half_a_report_is_none),
        cmocka_unit_test(a_stream_of_an_impossible_length_is_no_report),
        cmocka_unit_test(reads_results_and_the_exception),
        cmocka_unit_test(skips_what_it_does_not_understand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
