#include "kafka/explain.h"
#include "test.h"

static void codes_say_what_to_do(void **state)
{
    (void)state;
    static const struct {
        rd_kafka_resp_err_t code;
        enum error_kind kind;
        bool needs_hands;
        const char *part;
    } samples[] = {
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, ERROR_REJECTED, false, "larger"},
        {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, ERROR_TRANSIENT, true, "\"jobs\"; create it"},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, ERROR_TRANSIENT, true, "\"jobs\""},
        {RD_KAFKA_RESP_ERR__AUTHENTICATION, ERROR_TRANSIENT, true, "sasl"},
        {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, ERROR_TRANSIENT, false, "no Kafka broker answers"},
        {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, ERROR_TIMEOUT, false, "in time"},
        {RD_KAFKA_RESP_ERR__QUEUE_FULL, ERROR_OVERLOAD, false, "full"},
        {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, ERROR_TRANSIENT, false, "Kafka: "},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        char text[EXPLAIN_SIZE];
        explain(samples[i].code, "jobs", text);
        assert_int_equal(explain_kind(samples[i].code), samples[i].kind);
        assert_int_equal(explain_needs_hands(samples[i].code), samples[i].needs_hands);
        assert_non_null(strstr(text, samples[i].part));
    }
}

static void a_long_topic_is_cut(void **state)
{
    (void)state;
    char topic[400], text[EXPLAIN_SIZE];
    memset(topic, 'x', sizeof topic - 1);
    topic[sizeof topic - 1] = '\0';
    explain(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, topic, text);
    assert_in_range(strlen(text), 100, EXPLAIN_SIZE - 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_say_what_to_do),
        cmocka_unit_test(a_long_topic_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
