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
        {RD_KAFKA_RESP_ERR__TRANSPORT, ERROR_TRANSIENT, false, "KAFKA_BOOTSTRAP_SERVERS"},
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

static void a_trouble_says_why_nobody_answers(void **state)
{
    (void)state;
    static const char refused[] =
        "h:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed: Connection refused (after 0ms in "
        "state CONNECT, 1 identical error(s) suppressed)";
    static const struct {
        rd_kafka_resp_err_t heard;
        const char *text;
        rd_kafka_resp_err_t asked;
        const char *sentence;
    } samples[] = {
        {RD_KAFKA_RESP_ERR_NO_ERROR, "", RD_KAFKA_RESP_ERR__TRANSPORT,
         "no Kafka broker answers; check KAFKA_BOOTSTRAP_SERVERS, the network and security.protocol in "
         "kafka.properties"},
        {RD_KAFKA_RESP_ERR__TRANSPORT, refused, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
         "no Kafka broker answers (h:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed: Connection refused); "
         "check "
         "KAFKA_BOOTSTRAP_SERVERS, the network and security.protocol in kafka.properties"},
        {RD_KAFKA_RESP_ERR__RESOLVE, "h:1/bootstrap: Failed to resolve 'h:1': Name or service not known",
         RD_KAFKA_RESP_ERR__TRANSPORT,
         "a broker's name does not resolve (h:1/bootstrap: Failed to resolve 'h:1': Name or service not "
         "known); "
         "check KAFKA_BOOTSTRAP_SERVERS and the brokers' advertised names"},
        {RD_KAFKA_RESP_ERR__SSL, "ssl://h:1: SSL handshake failed: wrong version number",
         RD_KAFKA_RESP_ERR__TIMED_OUT,
         "TLS with the broker fails (ssl://h:1: SSL handshake failed: wrong version number); check ssl.* and "
         "security.protocol in kafka.properties"},
        {RD_KAFKA_RESP_ERR__AUTHENTICATION, "sasl_ssl://h:1: SASL authentication error: no such user",
         RD_KAFKA_RESP_ERR__TRANSPORT,
         "the broker does not accept our credentials (sasl_ssl://h:1: SASL authentication error: no such "
         "user); "
         "check sasl.* and security.protocol in kafka.properties"},
        {RD_KAFKA_RESP_ERR__TRANSPORT, refused, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
         "Kafka has no topic \"jobs\"; create it: e2b-worker topics create"},
        {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "1/1 brokers are down", RD_KAFKA_RESP_ERR__TIMED_OUT,
         "Kafka did not answer in time"},
        {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "no such topic", RD_KAFKA_RESP_ERR__TIMED_OUT,
         "Kafka did not answer in time"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        struct trouble trouble = {0};
        char text[EXPLAIN_SIZE];
        trouble_hear(&trouble, 1000, samples[i].heard, samples[i].text);
        trouble_explain(&trouble, 1000, samples[i].asked, "jobs", text);
        assert_text(text, samples[i].sentence);
    }
}

static void a_trouble_stays_a_while_unless_another_says_more(void **state)
{
    (void)state;
    struct trouble trouble = {0};
    trouble_hear(&trouble, 1000, RD_KAFKA_RESP_ERR__TRANSPORT, "b1: closed");
    trouble_hear(&trouble, 2000, RD_KAFKA_RESP_ERR__TRANSPORT, "b2: closed");
    assert_text(trouble.text, "b1: closed");
    trouble_hear(&trouble, 3000, RD_KAFKA_RESP_ERR__TRANSPORT, "b1: closed, is it a TLS listener?");
    assert_text(trouble.text, "b1: closed, is it a TLS listener?");
    trouble_hear(&trouble, 4000, RD_KAFKA_RESP_ERR__SSL, "b2: TLS");
    assert_text(trouble.text, "b2: TLS");
    trouble_hear(&trouble, 63000, RD_KAFKA_RESP_ERR__TRANSPORT, "b1: closed, is it a TLS listener?");
    assert_text(trouble.text, "b2: TLS");
    trouble_hear(&trouble, 64000, RD_KAFKA_RESP_ERR__TRANSPORT, "five");
    assert_text(trouble.text, "five");
    char text[EXPLAIN_SIZE];
    trouble_explain(&trouble, 123000, RD_KAFKA_RESP_ERR__TRANSPORT, NULL, text);
    assert_non_null(strstr(text, "five"));
    trouble_explain(&trouble, 124000, RD_KAFKA_RESP_ERR__TRANSPORT, NULL, text);
    assert_null(strstr(text, "five"));
}

static void a_long_text_is_cut(void **state)
{
    (void)state;
    char topic[400], text[EXPLAIN_SIZE];
    memset(topic, 'x', sizeof topic - 1);
    topic[sizeof topic - 1] = '\0';
    explain(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, topic, text);
    assert_in_range(strlen(text), 100, EXPLAIN_SIZE - 1);
    struct trouble trouble = {0};
    trouble_hear(&trouble, 0, RD_KAFKA_RESP_ERR__SSL, topic);
    trouble_explain(&trouble, 0, RD_KAFKA_RESP_ERR__TRANSPORT, topic, text);
    assert_non_null(strstr(text, "x); check ssl.*"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_say_what_to_do),
        cmocka_unit_test(a_trouble_says_why_nobody_answers),
        cmocka_unit_test(a_trouble_stays_a_while_unless_another_says_more),
        cmocka_unit_test(a_long_text_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
