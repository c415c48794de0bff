/* What a sink promises, against a mock or a real cluster: a record is sent until it is there. */
#include "base/clock.h"
#include "kafka/sink.h"
#include "kafka/sink_inside.h"
#include "kafka/topics.h"
#include "kafka_cluster.h"
#include "loop/on_uv.h"
#include "test.h"

#include <stdio.h>
#include <time.h>

enum { SENDS_MAX = 10000, PATIENCE_MS = 60000, API_PRODUCE = 0 };

static struct cluster *cluster;
static bool is_real;

struct item {
    struct kafka_send send;
    struct sender *sender;
    int64_t sent_us;
    int answers;
};

struct sender {
    struct loop *loop;
    struct kafka_sink *sink;
    const char *topic;
    struct item items[SENDS_MAX];
    int64_t good, refused, latency_us[SENDS_MAX];
    bool is_usable, was_unusable, is_inside_send, is_closed;
    char why[500];
};

static int64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void on_sent(struct kafka_send *send, const struct error *error, int32_t partition, int64_t offset)
{
    struct item *item = send->arg;
    struct sender *sender = item->sender;
    assert_false(sender->is_inside_send);
    assert_null(send->delivery);
    assert_int_equal(item->answers++, 0);
    if (error) {
        assert_int_equal(error->kind, ERROR_REJECTED);
        assert_int_equal(partition, -1);
        sender->refused++;
        return;
    }
    assert_true(partition >= 0 && offset >= 0);
    sender->latency_us[sender->good++] = now_us() - item->sent_us;
}

static void on_state(void *arg, bool is_usable, const char *why)
{
    struct sender *sender = arg;
    sender->is_usable = is_usable;
    sender->was_unusable = sender->was_unusable || !is_usable;
    (void)snprintf(sender->why, sizeof sender->why, "%s", why);
}

static struct sender *sender_new(struct loop *loop, const char *topic)
{
    static const struct log log = {.component = "test", .level = LOG_LEVEL_ERROR};
    struct sender *sender = base_alloc(sizeof *sender);
    struct error error = {0};
    sender->loop = loop;
    sender->topic = topic;
    sender->sink = kafka_sink_new(&(struct kafka_sink_options){.loop = loop,
                                                               .log = &log,
                                                               .cluster = cluster_address(cluster),
                                                               .client_id = "contract",
                                                               .topics = &topic,
                                                               .topic_count = 1,
                                                               .arg = sender,
                                                               .on_state = on_state},
                                  &error);
    if (!sender->sink)
        fail_msg("%s", error.text);
    return sender;
}

static void send_bytes(struct sender *sender, int i, struct bytes value)
{
    char key[24];
    struct item *item = &sender->items[i];
    *item = (struct item){.sender = sender, .sent_us = now_us()};
    item->send.arg = item;
    int length = snprintf(key, sizeof key, "job-%d", i);
    const struct kafka_header headers[] = {{"ce_type", {"finished", 8}}, {"ce_id", {key, (size_t)length}}};
    struct kafka_record record = {.topic = sender->topic,
                                  .key = {key, (size_t)length},
                                  .value = value,
                                  .headers = headers,
                                  .header_count = ARRAY_LENGTH(headers)};
    sender->is_inside_send = true;
    kafka_sink_send(sender->sink, &item->send, &record, on_sent);
    sender->is_inside_send = false;
}

static void send_some(struct sender *sender, int first, int end)
{
    static const char value[200] = "a result";
    for (int i = first; i < end; i++)
        send_bytes(sender, i, (struct bytes){value, sizeof value});
}

/* ---- waiting ---- */

struct wait {
    struct sender *sender;
    bool (*is_over)(const struct sender *sender, int64_t wanted);
    int64_t wanted, until_ms;
    struct timer timer;
    bool is_late;
};

static void on_look(void *arg)
{
    struct wait *wait = arg;
    struct loop *loop = wait->sender->loop;
    wait->is_late = loop_now_ms(loop) > wait->until_ms;
    if (wait->is_late || wait->is_over(wait->sender, wait->wanted))
        loop_stop(loop);
    else
        loop_timer_start(loop, &wait->timer, 1, on_look, wait);
}

static bool wait_for(struct sender *sender, int64_t ms,
                     bool (*is_over)(const struct sender *sender, int64_t wanted), int64_t number)
{
    struct wait wait = {.sender = sender, .is_over = is_over, .wanted = number};
    wait.until_ms = loop_now_ms(sender->loop) + ms;
    loop_timer_start(sender->loop, &wait.timer, 1, on_look, &wait);
    loop_run(sender->loop);
    loop_timer_stop(sender->loop, &wait.timer);
    return !wait.is_late;
}

static bool is_usable(const struct sender *sender, int64_t number)
{
    return sender->is_usable == (number != 0);
}

static bool is_sent(const struct sender *sender, int64_t number)
{
    return sender->good >= number;
}

static bool is_refused(const struct sender *sender, int64_t number)
{
    return sender->refused >= number;
}

static bool never(const struct sender *sender, int64_t number)
{
    (void)sender;
    (void)number;
    return false;
}

static bool has_heard_why(const struct sender *sender, int64_t number)
{
    (void)number;
    return strstr(sender->why, "Connection refused") != NULL;
}

static bool is_closed(const struct sender *sender, int64_t number)
{
    (void)number;
    return sender->is_closed;
}

static void on_closed(void *arg)
{
    ((struct sender *)arg)->is_closed = true;
}

static void close_sender(struct sender *sender, int64_t grace_ms)
{
    kafka_sink_close(sender->sink, grace_ms, on_closed, sender);
    assert_true(wait_for(sender, grace_ms + 5000, is_closed, 0));
    free(sender);
}

static int64_t ends(const char *topic, int partitions)
{
    int64_t sum = 0;
    for (int32_t partition = 0; partition < partitions; partition++)
        sum += cluster_end(cluster, topic, partition);
    return sum;
}

static int by_size(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

/* ---- cases ---- */

static void ten_thousand_records_are_there_once(void **state)
{
    (void)state;
    char topic[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "many", 4, topic);
    struct loop *loop = loop_new();
    struct sender *sender = sender_new(loop, topic);
    assert_true(wait_for(sender, PATIENCE_MS, is_usable, 1));
    assert_true(kafka_sink_has_room(sender->sink));
    send_some(sender, 0, SENDS_MAX);
    assert_true(wait_for(sender, PATIENCE_MS, is_sent, SENDS_MAX));
    struct kafka_sink_stats stats;
    kafka_sink_stats(sender->sink, &stats);
    assert_int_equal(stats.sent, SENDS_MAX);
    assert_int_equal(stats.waiting, 0);
    for (int i = 0; i < 50; i++) {
        struct kafka_record record = {.topic = topic, .value = {"stats", 5}};
        kafka_sink_post(sender->sink, &record);
    }
    close_sender(sender, 10000);
    assert_int_equal(ends(topic, 4), SENDS_MAX + 50);
    loop_free(loop, NULL, NULL);
}

static void one_record_at_a_time_is_quick(void **state)
{
    (void)state;
    enum { ROUNDS = 500 };
    char topic[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "quick", 1, topic);
    struct loop *loop = loop_new();
    struct sender *sender = sender_new(loop, topic);
    assert_true(wait_for(sender, PATIENCE_MS, is_usable, 1));
    for (int i = 0; i < ROUNDS; i++) {
        send_some(sender, i, i + 1);
        assert_true(wait_for(sender, PATIENCE_MS, is_sent, i + 1));
    }
    qsort(sender->latency_us, ROUNDS, sizeof sender->latency_us[0], by_size);
    print_message("send to report: p50 %lld us, p99 %lld us\n", (long long)sender->latency_us[ROUNDS / 2],
                  (long long)sender->latency_us[ROUNDS * 99 / 100]);
    close_sender(sender, 5000);
    loop_free(loop, NULL, NULL);
}

static void a_broker_that_was_away_gets_everything(void **state)
{
    (void)state;
    if (is_real)
        skip(); /* the integration tests stop a real one */
    char topic[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "away", 4, topic);
    struct loop *loop = loop_new();
    struct sender *sender = sender_new(loop, topic);
    assert_true(wait_for(sender, PATIENCE_MS, is_usable, 1));
    send_some(sender, 0, 100);
    assert_true(wait_for(sender, PATIENCE_MS, is_sent, 100));
    (void)rd_kafka_mock_broker_set_down(cluster_mock(cluster), 1);
    send_some(sender, 100, 1000);
    assert_true(wait_for(sender, 20000, is_usable, 0));
    assert_non_null(strstr(sender->why, "not confirmed"));
    assert_false(kafka_sink_has_room(sender->sink));
    (void)rd_kafka_mock_broker_set_up(cluster_mock(cluster), 1);
    assert_true(wait_for(sender, PATIENCE_MS, is_sent, 1000));
    assert_true(wait_for(sender, PATIENCE_MS, is_usable, 1));
    close_sender(sender, 5000);
    assert_in_range(ends(topic, 4), 1000, 1900);
    loop_free(loop, NULL, NULL);
}

static void failed_reports_are_sent_again(void **state)
{
    (void)state;
    if (is_real)
        skip();
    char topic[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "failing", 4, topic);
    struct loop *loop = loop_new();
    struct sender *sender = sender_new(loop, topic);
    assert_true(wait_for(sender, PATIENCE_MS, is_usable, 1));
    rd_kafka_mock_push_request_errors(
        cluster_mock(cluster), API_PRODUCE, 4, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS,
        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    send_some(sender, 0, 500);
    assert_true(wait_for(sender, PATIENCE_MS, is_sent, 500));
    assert_true(sender->was_unusable);
    assert_true(wait_for(sender, PATIENCE_MS, is_usable, 1));
    struct kafka_sink_stats stats;
    kafka_sink_stats(sender->sink, &stats);
    assert_true(stats.failed_reports > 0);
    close_sender(sender, 5000);
    loop_free(loop, NULL, NULL);
}

static void too_large_is_the_only_refusal(void **state)
{
    (void)state;
    char topic[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "large", 1, topic);
    struct loop *loop = loop_new();
    struct sender *sender = sender_new(loop, topic);
    assert_true(wait_for(sender, PATIENCE_MS, is_usable, 1));
    struct bytes value = {base_alloc(3 << 20), 3 << 20};
    send_bytes(sender, 0, value);
    send_some(sender, 1, 10);
    assert_true(wait_for(sender, PATIENCE_MS, is_refused, 1));
    assert_true(wait_for(sender, PATIENCE_MS, is_sent, 9));
    if (!is_real) {
        /* Two records of one batch are refused together, and each goes once more, alone. */
        rd_kafka_mock_push_request_errors(cluster_mock(cluster), API_PRODUCE, 1,
                                          RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
        send_some(sender, 10, 12);
        assert_true(wait_for(sender, PATIENCE_MS, is_sent, 11));
        rd_kafka_mock_push_request_errors(cluster_mock(cluster), API_PRODUCE, 2,
                                          RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                          RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
        send_some(sender, 12, 13);
        assert_true(wait_for(sender, PATIENCE_MS, is_refused, 2));
    }
    close_sender(sender, 5000);
    free((void *)(uintptr_t)value.data);
    loop_free(loop, NULL, NULL);
}

static void a_fatal_error_builds_a_new_producer_and_loses_nothing(void **state)
{
    (void)state;
    char topic[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "fatal", 4, topic);
    struct loop *loop = loop_new();
    struct sender *sender = sender_new(loop, topic);
    assert_true(wait_for(sender, PATIENCE_MS, is_usable, 1));
    send_some(sender, 0, 2000);
    (void)rd_kafka_test_fatal_error(sink_librdkafka(sender->sink),
                                    RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "a test");
    send_some(sender, 2000, 4000);
    assert_true(wait_for(sender, PATIENCE_MS, is_sent, 4000));
    (void)rd_kafka_test_fatal_error(sink_librdkafka(sender->sink), RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
                                    "again");
    send_some(sender, 4000, 5000);
    assert_true(wait_for(sender, PATIENCE_MS, is_sent, 5000));
    struct kafka_sink_stats stats;
    kafka_sink_stats(sender->sink, &stats);
    assert_int_equal(stats.rebuilt, 2);
    assert_int_equal(stats.waiting, 0);
    close_sender(sender, 5000);
    assert_in_range(ends(topic, 4), 5000, 9000);
    loop_free(loop, NULL, NULL);
}

static void a_missing_topic_is_a_state_until_it_is_made(void **state)
{
    (void)state;
    char topic[CLUSTER_NAME_SIZE];
    cluster_name(cluster, "missing", topic);
    if (!is_real)
        rd_kafka_mock_topic_set_error(cluster_mock(cluster), topic, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    struct loop *loop = loop_new();
    struct sender *sender = sender_new(loop, topic);
    send_some(sender, 0, 10);
    (void)wait_for(sender, 8000, never, 0);
    assert_false(kafka_sink_has_room(sender->sink));
    assert_int_equal(sender->good, 0);
    assert_non_null(strstr(sender->why, topic));
    if (is_real)
        cluster_make(cluster, topic, 4);
    else
        rd_kafka_mock_topic_set_error(cluster_mock(cluster), topic, RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_true(wait_for(sender, PATIENCE_MS, is_sent, 10));
    assert_true(wait_for(sender, PATIENCE_MS, is_usable, 1));
    close_sender(sender, 5000);
    loop_free(loop, NULL, NULL);
}

static void closing_keeps_its_deadline_and_silences_what_waits(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct sender *sender = base_alloc(sizeof *sender);
    struct error error = {0};
    sender->loop = loop;
    sender->topic = "t";
    sender->sink =
        kafka_sink_new(&(struct kafka_sink_options){.loop = loop,
                                                    .cluster = {.bootstrap_servers = "127.0.0.1:1"},
                                                    .client_id = "c",
                                                    .arg = sender,
                                                    .on_state = on_state},
                       &error);
    assert_non_null(sender->sink);
    send_some(sender, 0, 100);
    int64_t start_ms = clock_monotonic_ms();
    kafka_sink_close(sender->sink, 500, on_closed, sender);
    assert_true(wait_for(sender, 5000, is_closed, 0));
    assert_in_range(clock_monotonic_ms() - start_ms, 450, 1700);
    for (int i = 0; i < 100; i++)
        assert_true(sender->items[i].answers == 0 && !sender->items[i].send.delivery);
    free(sender);
    loop_free(loop, NULL, NULL);
}

static void an_absent_cluster_is_a_state_and_holds_up_no_end(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct sender *sender = base_alloc(sizeof *sender);
    struct error error = {0};
    const char *topic = "t";
    sender->loop = loop;
    sender->sink =
        kafka_sink_new(&(struct kafka_sink_options){.loop = loop,
                                                    .cluster = {.bootstrap_servers = "127.0.0.1:1"},
                                                    .client_id = "c",
                                                    .topics = &topic,
                                                    .topic_count = 1,
                                                    .arg = sender,
                                                    .on_state = on_state},
                       &error);
    assert_non_null(sender->sink);
    assert_true(wait_for(sender, PATIENCE_MS, has_heard_why, 0));
    int64_t start_ms = clock_monotonic_ms();
    kafka_sink_close(sender->sink, 30000, on_closed, sender);
    assert_true(wait_for(sender, 10000, is_closed, 0));
    free(sender);
    loop_free(loop, NULL, NULL);
    assert_in_range(clock_monotonic_ms() - start_ms, 0, 2500);
}

static void topics_are_checked(void **state)
{
    (void)state;
    char topic[CLUSTER_NAME_SIZE], other[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "checked", 4, topic);
    cluster_name(cluster, "absent", other);
    struct kafka_topic topics[] = {{.name = topic, .partitions = 4, .replication = -1, .retention_ms = -1},
                                   {.name = topic, .partitions = 9, .replication = -1, .retention_ms = -1},
                                   {.name = other, .partitions = 1, .replication = -1, .retention_ms = -1},
                                   {.name = topic, .partitions = 1, .replication = -1, .is_compacted = true}};
    struct kafka_topic_report reports[4];
    struct error error = {0};
    struct kafka_cluster address = {.bootstrap_servers = cluster_address(cluster).bootstrap_servers};
    assert_true(kafka_topics_check(&address, topics, 3, 5000, reports, &error));
    assert_int_equal(reports[0].state, KAFKA_TOPIC_EXISTS);
    assert_int_equal(reports[0].partitions, 4);
    assert_int_equal(reports[1].state, KAFKA_TOPIC_DIFFERS);
    assert_int_equal(reports[2].state, KAFKA_TOPIC_MISSING);
    address.bootstrap_servers = "127.0.0.1:1";
    assert_false(kafka_topics_check(&address, topics, 1, 500, reports, &error));
    if (!is_real)
        return; /* the mock knows no Admin API */
    address = (struct kafka_cluster){.bootstrap_servers = cluster_address(cluster).bootstrap_servers};
    assert_true(kafka_topics_check(&address, topics + 3, 1, 5000, reports, &error));
    assert_int_equal(reports[0].state, KAFKA_TOPIC_DIFFERS);
    topics[1].name = other;
    topics[1].is_compacted = true;
    assert_true(kafka_topics_create(&address, topics, 2, 10000, reports, &error));
    assert_int_equal(reports[0].state, KAFKA_TOPIC_EXISTS);
    assert_int_equal(reports[1].state, KAFKA_TOPIC_CREATED);
    topics[1].is_compacted = false;
    int64_t until_ms =
        clock_monotonic_ms() + 5000; /* a broker hears of a topic's configuration a little later */
    do
        assert_true(kafka_topics_create(&address, topics + 1, 1, 10000, reports, &error));
    while (reports[0].state != KAFKA_TOPIC_DIFFERS && clock_monotonic_ms() < until_ms);
    assert_int_equal(reports[0].state, KAFKA_TOPIC_DIFFERS);
}

int main(int argc, char **argv)
{
    is_real = argc > 1 && strcmp(argv[1], "real") == 0;
    if (is_real && !getenv("E2BW_KAFKA"))
        return 77; /* skipped */
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_records_are_there_once),
        cmocka_unit_test(one_record_at_a_time_is_quick),
        cmocka_unit_test(a_broker_that_was_away_gets_everything),
        cmocka_unit_test(failed_reports_are_sent_again),
        cmocka_unit_test(too_large_is_the_only_refusal),
        cmocka_unit_test(a_fatal_error_builds_a_new_producer_and_loses_nothing),
        cmocka_unit_test(a_missing_topic_is_a_state_until_it_is_made),
        cmocka_unit_test(an_absent_cluster_is_a_state_and_holds_up_no_end),
        cmocka_unit_test(closing_keeps_its_deadline_and_silences_what_waits),
        cmocka_unit_test(topics_are_checked),
    };
    cluster = cluster_new(is_real);
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cluster_free(cluster);
    return failed;
}
