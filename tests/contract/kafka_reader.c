/* What a reader promises, against a mock or a real cluster: all that is there, from where it was asked to. */
#include "base/clock.h"
#include "kafka/reader.h"
#include "kafka_cluster.h"
#include "loop/on_uv.h"
#include "test.h"

#include <stdio.h>

enum { PARTITIONS = 3, PATIENCE_MS = 30000, QUIET_MS = 500 };

static struct cluster *cluster;
static bool is_real;

struct onlooker {
    struct loop *loop;
    struct kafka_reader *reader;
    int64_t next[PARTITIONS + 1]; /* expected next offset; -1: any */
    int64_t seen, wanted;
    int caught_up;
    bool closes_itself, is_closed, is_usable, was_unusable;
    char why[500];
    struct timer patience;
};

static void on_closed(void *arg)
{
    struct onlooker *onlooker = arg;
    onlooker->is_closed = true;
    loop_stop(onlooker->loop);
}

static void on_message(void *arg, const struct kafka_message *message)
{
    struct onlooker *onlooker = arg;
    assert_false(onlooker->is_closed);
    assert_true(message->partition >= 0 && message->partition <= PARTITIONS);
    int64_t *next = &onlooker->next[message->partition];
    if (*next >= 0)
        assert_int_equal(message->offset, *next);
    *next = message->offset + 1;
    assert_true(message->value.length > 0);
    onlooker->seen++;
    if (onlooker->closes_itself)
        kafka_reader_close(TAKE(onlooker->reader), on_closed, onlooker);
    else if (onlooker->seen == onlooker->wanted)
        loop_stop(onlooker->loop);
}

static void on_caught_up(void *arg)
{
    struct onlooker *onlooker = arg;
    onlooker->caught_up++;
    loop_stop(onlooker->loop);
}

static void on_state(void *arg, bool is_usable, const char *why)
{
    struct onlooker *onlooker = arg;
    onlooker->is_usable = is_usable;
    onlooker->was_unusable = onlooker->was_unusable || !is_usable;
    (void)snprintf(onlooker->why, sizeof onlooker->why, "%s", why);
    loop_stop(onlooker->loop);
}

static void on_patience(void *arg)
{
    struct onlooker *onlooker = arg;
    loop_stop(onlooker->loop);
}

static void open_reader_at(struct onlooker *onlooker, struct kafka_cluster address, const char *topic,
                           int64_t from_unix_ms)
{
    static const struct log log = {.component = "test", .level = LOG_LEVEL_NONE};
    struct error error = {0};
    *onlooker = (struct onlooker){.loop = loop_new(), .wanted = -1};
    for (size_t i = 0; i < ARRAY_LENGTH(onlooker->next); i++)
        onlooker->next[i] = -1;
    const struct kafka_reader_options options = {.loop = onlooker->loop,
                                                 .log = &log,
                                                 .cluster = address,
                                                 .client_id = "contract",
                                                 .topic = topic,
                                                 .from_unix_ms = from_unix_ms,
                                                 .events = {onlooker, on_message, on_caught_up, on_state}};
    onlooker->reader = kafka_reader_new(&options, &error);
    assert_non_null(onlooker->reader);
}

static void open_reader(struct onlooker *onlooker, const char *topic, int64_t from_unix_ms)
{
    open_reader_at(onlooker, cluster_address(cluster), topic, from_unix_ms);
}

/* Turns the loop until the condition holds; fails after PATIENCE_MS. */
#define RUN_UNTIL(onlooker, condition)                                                                       \
    do {                                                                                                     \
        int64_t until_ms_ = clock_monotonic_ms() + PATIENCE_MS;                                              \
        while (!(condition)) {                                                                               \
            assert_true(clock_monotonic_ms() < until_ms_);                                                   \
            loop_timer_start((onlooker)->loop, &(onlooker)->patience, 100, on_patience, (onlooker));         \
            loop_run((onlooker)->loop);                                                                      \
            loop_timer_stop((onlooker)->loop, &(onlooker)->patience);                                        \
        }                                                                                                    \
    } while (0)

static void run_quietly(struct onlooker *onlooker, int64_t ms)
{
    int64_t until_ms = clock_monotonic_ms() + ms;
    RUN_UNTIL(onlooker, clock_monotonic_ms() >= until_ms);
}

static void close_reader(struct onlooker *onlooker)
{
    if (onlooker->reader)
        kafka_reader_close(TAKE(onlooker->reader), on_closed, onlooker);
    RUN_UNTIL(onlooker, onlooker->is_closed);
    loop_free(onlooker->loop, NULL, NULL);
}

static void from_the_end_only_what_comes_is_read(void **state)
{
    (void)state;
    char topic[CLUSTER_NAME_SIZE];
    struct onlooker onlooker;
    cluster_topic(cluster, "reader-end", PARTITIONS, topic);
    cluster_fill(cluster, topic, PARTITIONS, 5);
    open_reader(&onlooker, topic, KAFKA_READER_FROM_END);
    RUN_UNTIL(&onlooker, onlooker.caught_up > 0);
    assert_int_equal(onlooker.seen, 0);
    assert_true(onlooker.is_usable);
    cluster_fill(cluster, topic, PARTITIONS, 4);
    onlooker.wanted = (int64_t)PARTITIONS * 4;
    RUN_UNTIL(&onlooker, onlooker.seen >= onlooker.wanted);
    run_quietly(&onlooker, QUIET_MS);
    assert_int_equal(onlooker.seen, PARTITIONS * 4);
    assert_int_equal(onlooker.caught_up, 1);
    close_reader(&onlooker);
}

static void from_the_start_all_is_read_before_it_has_caught_up(void **state)
{
    (void)state;
    char topic[CLUSTER_NAME_SIZE];
    struct onlooker onlooker;
    cluster_topic(cluster, "reader-start", PARTITIONS, topic);
    cluster_fill(cluster, topic, PARTITIONS, 1000);
    open_reader(&onlooker, topic, 0);
    for (size_t i = 0; i < PARTITIONS; i++)
        onlooker.next[i] = 0;
    RUN_UNTIL(&onlooker, onlooker.caught_up > 0);
    assert_int_equal(onlooker.seen, PARTITIONS * 1000);
    close_reader(&onlooker);
}

static void from_a_time_what_is_older_is_passed_over(void **state)
{
    (void)state;
    char topic[CLUSTER_NAME_SIZE];
    struct onlooker onlooker;
    cluster_topic(cluster, "reader-time", PARTITIONS, topic);
    cluster_fill(cluster, topic, PARTITIONS, 7);
    open_reader(&onlooker, topic, clock_unix_ms() - 60000);
    RUN_UNTIL(&onlooker, onlooker.caught_up > 0);
    assert_int_equal(onlooker.seen, PARTITIONS * 7);
    close_reader(&onlooker);
    open_reader(&onlooker, topic, clock_unix_ms() + 60000);
    RUN_UNTIL(&onlooker, onlooker.caught_up > 0);
    assert_int_equal(onlooker.seen, 0);
    close_reader(&onlooker);
}

static void a_topic_that_comes_later_is_waited_for(void **state)
{
    (void)state;
    char topic[CLUSTER_NAME_SIZE];
    struct onlooker onlooker;
    if (!is_real)
        skip(); /* the mock makes a topic when it is asked for one */
    cluster_name(cluster, "reader-later", topic);
    open_reader(&onlooker, topic, 0);
    RUN_UNTIL(&onlooker, onlooker.was_unusable);
    assert_non_null(strstr(onlooker.why, topic));
    assert_int_equal(onlooker.caught_up, 0);
    cluster_make(cluster, topic, PARTITIONS);
    RUN_UNTIL(&onlooker, onlooker.caught_up > 0);
    cluster_fill(cluster, topic, PARTITIONS, 1);
    onlooker.wanted = PARTITIONS;
    RUN_UNTIL(&onlooker, onlooker.seen >= onlooker.wanted);
    close_reader(&onlooker);
}

static void a_cluster_that_goes_is_told_and_comes_back(void **state)
{
    (void)state;
    char topic[CLUSTER_NAME_SIZE];
    struct onlooker onlooker;
    if (is_real)
        skip(); /* not ours to stop */
    cluster_topic(cluster, "reader-away", PARTITIONS, topic);
    open_reader(&onlooker, topic, KAFKA_READER_FROM_END);
    RUN_UNTIL(&onlooker, onlooker.caught_up > 0);
    for (int32_t broker = 1; broker <= 3; broker++)
        (void)rd_kafka_mock_broker_set_down(cluster_mock(cluster), broker);
    RUN_UNTIL(&onlooker, !onlooker.is_usable);
    assert_true(onlooker.why[0] != '\0');
    for (int32_t broker = 1; broker <= 3; broker++)
        (void)rd_kafka_mock_broker_set_up(cluster_mock(cluster), broker);
    RUN_UNTIL(&onlooker, onlooker.is_usable);
    cluster_fill(cluster, topic, PARTITIONS, 2);
    onlooker.wanted = (int64_t)PARTITIONS * 2;
    RUN_UNTIL(&onlooker, onlooker.seen >= onlooker.wanted);
    assert_int_equal(onlooker.caught_up, 1);
    close_reader(&onlooker);
}

static void an_absent_cluster_is_a_state_and_holds_up_no_end(void **state)
{
    (void)state;
    struct onlooker onlooker;
    open_reader_at(&onlooker, (struct kafka_cluster){.bootstrap_servers = "127.0.0.1:1"}, "t", 0);
    RUN_UNTIL(&onlooker, strstr(onlooker.why, "Connection refused"));
    int64_t start_ms = clock_monotonic_ms();
    close_reader(&onlooker);
    assert_in_range(clock_monotonic_ms() - start_ms, 0, 2500);
}

static void it_may_be_closed_at_any_time(void **state)
{
    (void)state;
    char topic[CLUSTER_NAME_SIZE];
    struct onlooker onlooker;
    cluster_topic(cluster, "reader-close", PARTITIONS, topic);
    cluster_fill(cluster, topic, PARTITIONS, 20);
    open_reader(&onlooker, topic, 0); /* at once */
    close_reader(&onlooker);
    assert_int_equal(onlooker.seen, 0);
    open_reader(&onlooker, topic, 0); /* while it looks */
    run_quietly(&onlooker, 5);
    close_reader(&onlooker);
    open_reader(&onlooker, topic, 0); /* from inside an event */
    onlooker.closes_itself = true;
    RUN_UNTIL(&onlooker, onlooker.seen > 0);
    close_reader(&onlooker);
    assert_int_equal(onlooker.seen, 1);
}

static int set_up(void **state)
{
    (void)state;
    cluster = cluster_new(is_real);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cluster_free(cluster);
    return 0;
}

int main(int argc, char **argv)
{
    is_real = argc > 1 && strcmp(argv[1], "real") == 0;
    if (is_real && !getenv("E2BW_KAFKA"))
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_the_end_only_what_comes_is_read),
        cmocka_unit_test(from_the_start_all_is_read_before_it_has_caught_up),
        cmocka_unit_test(from_a_time_what_is_older_is_passed_over),
        cmocka_unit_test(a_topic_that_comes_later_is_waited_for),
        cmocka_unit_test(a_cluster_that_goes_is_told_and_comes_back),
        cmocka_unit_test(an_absent_cluster_is_a_state_and_holds_up_no_end),
        cmocka_unit_test(it_may_be_closed_at_any_time),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
