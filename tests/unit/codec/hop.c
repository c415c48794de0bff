/* Headers of a copy in a retry topic: written, read back, replaced, and not believed when they are odd. */
#include "codec/hop.h"
#include "test.h"

#include <stdio.h>

static struct header text_header(const char *name, const char *value)
{
    return (struct header){name, {value, strlen(value)}};
}

static const struct hop usual = {.number = 2,
                                 .not_before_unix_ms = 1700000600000,
                                 .wake_unix_ms = 1700000060000,
                                 .first_seen_unix_ms = 1700000000000,
                                 .job_id = "j1",
                                 .origin = "0123abcd",
                                 .topic = "e2b.jobs.general"};

static void assert_same(const struct hop *a, const struct hop *b)
{
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->not_before_unix_ms, b->not_before_unix_ms);
    assert_int_equal(a->wake_unix_ms, b->wake_unix_ms);
    assert_int_equal(a->first_seen_unix_ms, b->first_seen_unix_ms);
    assert_text(a->job_id, b->job_id);
    assert_text(a->origin, b->origin);
    assert_text(a->topic, b->topic);
}

static void what_is_written_is_read_back_beside_the_records_own(void **state)
{
    (void)state;
    const struct header own[] = {text_header("traceparent", "00-ab"), text_header("ce_id", "e1")};
    struct arena arena = {0};
    struct header *written;
    struct hop read;
    size_t count = hop_write(&usual, own, 2, &arena, &written);
    assert_int_equal(count, 2 + HOP_HEADERS_MAX);
    assert_text(written[0].name, "traceparent");
    assert_text(written[1].name, "ce_id");
    assert_text(written[2].name, "x-hop");
    assert_memory_equal(written[2].value.data, "2", 1);
    assert_text(written[3].name, "x-not-before");
    assert_memory_equal(written[3].value.data, "1700000600000", 13);
    hop_read(written, count, &read);
    assert_same(&read, &usual);
    arena_release(&arena);
}

static void the_headers_of_the_hop_before_are_replaced(void **state)
{
    (void)state;
    const struct header own[] = {text_header("X-Hop", "1"), text_header("ce_id", "e1"),
                                 text_header("x-not-before", "5"), text_header("x-hop", "1")};
    struct arena arena = {0};
    struct header *written;
    struct hop read, next = usual;
    next.wake_unix_ms = -1;
    size_t count = hop_write(&next, own, ARRAY_LENGTH(own), &arena, &written);
    assert_int_equal(count, 1 + HOP_HEADERS_MAX - 1);
    assert_text(written[0].name, "ce_id");
    hop_read(written, count, &read);
    assert_same(&read, &next);
    arena_release(&arena);
}

static void what_is_odd_counts_as_not_said(void **state)
{
    (void)state;
    static const struct header samples[][2] = {
        {{"x-hop", {"-1", 2}}, {"x-hop", {"", 0}}},
        {{"x-hop", {"3", 1}}, {"x-hop", {"1e3", 3}}}, /* the last of a name counts */
        {{"x-not-before", {"1234567890123456", 16}}, {"x-wake-at", {" 5", 2}}},
        {{"x-job-id", {"a b", 3}}, {"x-origin", {"0123ABCD", 8}}},
        {{"x-job-id", {"a\0b", 3}}, {"x-origin", {"0123abc", 7}}},
        {{"x-topic", {"a/b", 3}}, {"x-first-seen", {"soon", 4}}},
    };
    static const struct hop nothing = {
        .not_before_unix_ms = -1, .wake_unix_ms = -1, .first_seen_unix_ms = -1};
    struct hop read;
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        hop_read(samples[i], 2, &read);
        assert_same(&read, &nothing);
    }
    hop_read(NULL, 0, &read);
    assert_same(&read, &nothing);
    char topic[HOP_TOPIC_SIZE + 1] = "";
    memset(topic, 't', HOP_TOPIC_SIZE);
    const struct header longer = text_header("x-topic", topic);
    hop_read(&longer, 1, &read);
    assert_text(read.topic, "");
    const struct header many = text_header("x-hop", "999999999999999");
    hop_read(&many, 1, &read);
    assert_int_equal(read.number, 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back_beside_the_records_own),
        cmocka_unit_test(the_headers_of_the_hop_before_are_replaced),
        cmocka_unit_test(what_is_odd_counts_as_not_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
