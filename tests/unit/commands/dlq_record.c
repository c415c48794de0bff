#include "dlq_record.h"

#include "test.h"

#include <stdio.h>

#define TEXT(text) ((struct bytes){(text), strlen(text)})
#define CAUSE(topic, partition, offset, code)                                                                \
    {"__connect.errors.topic", TEXT(topic)}, {"__connect.errors.partition", TEXT(partition)},                \
        {"__connect.errors.offset", TEXT(offset)}, {"__connect.errors.exception.class.name", TEXT(code)},    \
    {                                                                                                        \
        "__connect.errors.exception.message", TEXT("why")                                                    \
    }

struct bench {
    struct arena arena;
    struct config config;
};

static int setup(void **state)
{
    struct bench *bench = base_alloc(sizeof *bench);
    struct error error;
    const struct config_input input = {0};
    assert_true(config_load(&input, &bench->arena, &bench->config, &error));
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    arena_release(&bench->arena);
    free(bench);
    return 0;
}

static struct dlq_record read_record(struct bench *bench, const struct header *headers, size_t count,
                                     const char *key, const char *value)
{
    struct dlq_record record;
    dlq_record_read(headers, count, TEXT(key), TEXT(value), &bench->arena, &record);
    record.partition = 2;
    record.offset = 9;
    return record;
}

static void a_record_says_where_it_came_from_and_why(void **state)
{
    const struct header headers[] = {{"mine", TEXT("1")},
                                     CAUSE("e2b.jobs.general", "3", "17", "INVALID_JOB")};
    struct dlq_record record = read_record(*state, headers, ARRAY_LENGTH(headers), "k", "{\"job_id\":\"j\"}");
    assert_text(record.from_topic, "e2b.jobs.general");
    assert_int_equal(record.from_partition, 3);
    assert_int_equal(record.from_offset, 17);
    assert_text(record.code, "INVALID_JOB");
    assert_text(record.message, "why");
    assert_text(record.job_id, "j");
    assert_text(record.key_text, "k");
    assert_int_equal(record.header_count, 1);
    assert_text(record.headers[0].name, "mine");
}

static void what_a_record_brought_itself_is_not_taken_for_our_word(void **state)
{
    const struct header headers[] = {CAUSE("e2b.results", "7", "7", "FORGED"),
                                     CAUSE("e2b.jobs.general", "3", "17", "INVALID_JOB")};
    struct dlq_record record = read_record(*state, headers, ARRAY_LENGTH(headers), "", "x");
    assert_text(record.from_topic, "e2b.jobs.general");
    assert_text(record.code, "INVALID_JOB");
    assert_int_equal(record.header_count, 0);
    assert_null(record.key_text);
}

static void what_is_missing_or_odd_is_not_said(void **state)
{
    static const char *const numbers[] = {"", "-1", "x", "3x", "99999999999999999999"};
    struct dlq_record record = read_record(*state, NULL, 0, "", "");
    assert_null(record.from_topic);
    assert_null(record.code);
    assert_null(record.job_id);
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
        const struct header headers[] = {CAUSE("t", numbers[i], numbers[i], "c")};
        record = read_record(*state, headers, ARRAY_LENGTH(headers), "", "");
        assert_int_equal(record.from_partition, -1);
        assert_int_equal(record.from_offset, -1);
    }
    const struct header headers[] = {CAUSE("t\n\x1b[2J", "1", "2", "c")};
    record = read_record(*state, headers, ARRAY_LENGTH(headers), "a\tb", "");
    assert_text(record.from_topic, "t  [2J");
    assert_text(record.key_text, "a b");
}

static void the_job_is_found_in_every_envelope(void **state)
{
    static const struct header binary[] = {{"ce_specversion", {"1.0", 3}},
                                           {"ce_id", {"of-event", 8}},
                                           {"ce_source", {"s", 1}},
                                           {"ce_type", {"t", 1}}};
    static const struct header structured[] = {{"content-type", {"application/cloudevents+json", 28}}};
    static const char event[] = "{\"specversion\":\"1.0\",\"id\":\"e\",\"source\":\"s\",\"type\":\"t\","
                                "\"data\":{\"job_id\":\"inside\"}}";
    assert_text(read_record(*state, binary, 4, "k", "{\"code\":1}").job_id, "of-event");
    assert_text(read_record(*state, binary, 4, "k", "{\"job_id\":\"own\"}").job_id, "own");
    assert_text(read_record(*state, structured, 1, "k", event).job_id, "inside");
    assert_null(read_record(*state, NULL, 0, "k", "{\"job_id\":\"a b\"}").job_id);
    assert_null(read_record(*state, NULL, 0, "k", "[1]").job_id);
}

static void a_selection_means_what_all_its_words_are_true_of(void **state)
{
    const struct header headers[] = {CAUSE("e2b.jobs.general", "3", "17", "INVALID_JOB")};
    struct dlq_record record = read_record(*state, headers, ARRAY_LENGTH(headers), "k", "{\"job_id\":\"j\"}");
    struct dlq_record bare = read_record(*state, NULL, 0, "k", "no job");
    static const struct {
        struct dlq_selection selection;
        bool has_record, has_bare;
    } cases[] = {
        {{.partition = -1, .offset = -1}, true, true},
        {{.partition = 3, .offset = 17}, true, false},
        {{.partition = 3, .offset = -1}, true, false},
        {{.partition = 2, .offset = 9}, false, false}, /* where it stands now */
        {{.topic = "e2b.jobs.general", .partition = -1, .offset = -1}, true, false},
        {{.topic = "e2b.jobs", .partition = -1, .offset = -1}, false, false},
        {{.job_id = "j", .partition = -1, .offset = -1}, true, false},
        {{.job_id = "k", .partition = -1, .offset = -1}, false, true},
        {{.code = "INVALID_JOB", .partition = -1, .offset = -1}, true, false},
        {{.code = "INVALID_JOB", .job_id = "k", .partition = -1, .offset = -1}, false, false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_int_equal(dlq_selection_has(&cases[i].selection, &record), cases[i].has_record);
        assert_int_equal(dlq_selection_has(&cases[i].selection, &bare), cases[i].has_bare);
    }
}

static void assert_header(const struct dlq_way *way, size_t i, const char *name, const char *value)
{
    assert_true(i < way->header_count);
    assert_text(way->headers[i].name, name);
    assert_int_equal(way->headers[i].value.length, strlen(value));
    assert_memory_equal(way->headers[i].value.data, value, strlen(value));
}

static void a_record_goes_back_with_its_own_headers_and_says_so(void **state)
{
    struct bench *bench = *state;
    const struct header headers[] = {{"x-hop", TEXT("4")},
                                     {DLQ_REQUEUED, TEXT("before")},
                                     CAUSE("e2b.jobs.general", "3", "17", "INTERNAL")};
    struct dlq_record record = read_record(bench, headers, ARRAY_LENGTH(headers), "k", "{}");
    struct dlq_way way;
    const char *why = NULL;
    assert_true(dlq_way_back(&record, &bench->config, &bench->arena, &way, &why));
    assert_text(way.topic, "e2b.jobs.general");
    assert_int_equal(way.header_count, 2);
    assert_header(&way, 0, "x-hop", "4"); /* on this topic it means nothing */
    assert_header(&way, 1, DLQ_REQUEUED, "e2b.dlq/2/9");
}

static void a_copy_goes_back_as_the_record_that_it_is_a_copy_of(void **state)
{
    struct bench *bench = *state;
    const struct header headers[] = {{"x-hop", TEXT("4")},
                                     {"mine", TEXT("1")},
                                     {"x-topic", TEXT("e2b.jobs.quick")},
                                     {"x-job-id", TEXT("j")},
                                     CAUSE("e2b.retry.10m", "3", "17", "WORKER_CRASHED")};
    struct dlq_record record = read_record(bench, headers, ARRAY_LENGTH(headers), "k", "{}");
    struct dlq_way way;
    const char *why = NULL;
    assert_true(dlq_way_back(&record, &bench->config, &bench->arena, &way, &why));
    assert_text(way.topic, "e2b.jobs.quick");
    assert_int_equal(way.header_count, 2);
    assert_header(&way, 0, "mine", "1");
}

static void what_cannot_go_back_stays_and_it_is_said_why(void **state)
{
    struct bench *bench = *state;
    const struct header unknown[] = {{"mine", TEXT("1")}};
    const struct header elsewhere[] = {CAUSE("e2b.results", "0", "1", "X")};
    const struct header lost_copy[] = {CAUSE("e2b.retry.1m", "0", "1", "X")};
    const struct header good[] = {CAUSE("e2b.jobs.general", "0", "1", "X")};
    const struct {
        const struct header *headers;
        size_t count;
        const char *value, *why;
    } cases[] = {
        {unknown, 1, "{}", "no header says"},
        {elsewhere, ARRAY_LENGTH(elsewhere), "{}", "\"e2b.results\", which topics.jobs does not name"},
        {lost_copy, ARRAY_LENGTH(lost_copy), "{}", "topics.jobs does not name"},
        {good, ARRAY_LENGTH(good), "", "it has no value"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct dlq_record record = read_record(bench, cases[i].headers, cases[i].count, "k", cases[i].value);
        struct dlq_way way;
        const char *why = NULL;
        assert_false(dlq_way_back(&record, &bench->config, &bench->arena, &way, &why));
        assert_non_null(strstr(why, cases[i].why));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_says_where_it_came_from_and_why),
        TEST(what_a_record_brought_itself_is_not_taken_for_our_word),
        TEST(what_is_missing_or_odd_is_not_said),
        TEST(the_job_is_found_in_every_envelope),
        TEST(a_selection_means_what_all_its_words_are_true_of),
        TEST(a_record_goes_back_with_its_own_headers_and_says_so),
        TEST(a_copy_goes_back_as_the_record_that_it_is_a_copy_of),
        TEST(what_cannot_go_back_stays_and_it_is_said_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
