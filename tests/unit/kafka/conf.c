/* Properties from the operator: each kind of client gets what it takes, and no other. */
#include "kafka/conf.h"
#include "kafka/properties.h"
#include "test.h"

#include <stdio.h>

static void the_library_says_whose_a_property_is(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum property_scope scope;
    } samples[] = {
        {"security.protocol", PROPERTY_BOTH},
        {"sasl.password", PROPERTY_BOTH},
        {"socket.timeout.ms", PROPERTY_BOTH},
        {"client.rack", PROPERTY_BOTH},
        {"fetch.wait.max.ms", PROPERTY_CONSUMER},
        {"session.timeout.ms", PROPERTY_CONSUMER},
        {"auto.offset.reset", PROPERTY_CONSUMER}, /* of topics */
        {"linger.ms", PROPERTY_PRODUCER},
        {"queue.buffering.max.ms", PROPERTY_PRODUCER}, /* its alias */
        {"compression.codec", PROPERTY_PRODUCER},
        {"message.timeout.ms", PROPERTY_PRODUCER}, /* of topics */
        {"linger", PROPERTY_UNKNOWN},
        {"Property", PROPERTY_UNKNOWN},
        {"", PROPERTY_UNKNOWN},
    };
    struct properties properties;
    properties_init(&properties);
    assert_in_range(properties.count, 100, 1000);
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++)
        if (properties_find(&properties, samples[i].name) != samples[i].scope)
            fail_msg("%s: %d", samples[i].name, properties_find(&properties, samples[i].name));
    assert_text(properties_near(&properties, "secrity.protocol"), "security.protocol");
    assert_null(properties_near(&properties, "colour"));
    properties_release(&properties);
}

static rd_kafka_conf_t *make(rd_kafka_type_t type, const struct kafka_property *properties, size_t count,
                             struct error *reterr)
{
    const struct kafka_cluster cluster = {"127.0.0.1:1", properties, count};
    const struct conf_client client = {type, "test", NULL, 0};
    return conf_new(&cluster, &client, reterr);
}

/* Returns: what librdkafka has to say about a configuration at its start. */
static int count_warnings(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char text[160];
    int warnings = 0, level;
    const char *facility, *message;
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof text);
    assert_non_null(rk);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(rk);
    (void)rd_kafka_set_log_queue(rk, queue);
    for (rd_kafka_event_t *event; (event = rd_kafka_queue_poll(queue, 100)); rd_kafka_event_destroy(event)) {
        if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_LOG ||
            rd_kafka_event_log(event, &facility, &message, &level) != 0 || strcmp(facility, "CONFWARN") != 0)
            continue;
        print_message("%s\n", message);
        warnings++;
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
    return warnings;
}

static void each_kind_gets_what_it_takes_without_a_warning(void **state)
{
    (void)state;
    static const struct kafka_property properties[] = {
        {"fetch.wait.max.ms", "20"},   {"session.timeout.ms", "6000"}, {"linger.ms", "7"},
        {"compression.codec", "gzip"}, {"socket.timeout.ms", "9000"},
    };
    static const struct {
        rd_kafka_type_t type;
        const char *name, *value;
    } samples[] = {
        {RD_KAFKA_CONSUMER, "fetch.wait.max.ms", "20"},   {RD_KAFKA_CONSUMER, "socket.timeout.ms", "9000"},
        {RD_KAFKA_CONSUMER, "compression.codec", "none"}, {RD_KAFKA_PRODUCER, "linger.ms", "7"},
        {RD_KAFKA_PRODUCER, "compression.codec", "gzip"}, {RD_KAFKA_PRODUCER, "socket.timeout.ms", "9000"},
        {RD_KAFKA_PRODUCER, "fetch.wait.max.ms", "500"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        char value[40] = "";
        size_t size = sizeof value;
        struct error error = {0};
        rd_kafka_conf_t *conf = make(samples[i].type, properties, ARRAY_LENGTH(properties), &error);
        assert_text(error.text, "");
        assert_int_equal(rd_kafka_conf_get(conf, samples[i].name, value, &size), RD_KAFKA_CONF_OK);
        assert_text(value, samples[i].value);
        rd_kafka_conf_destroy(conf);
    }
    rd_kafka_conf_t *all = make(RD_KAFKA_PRODUCER, properties, ARRAY_LENGTH(properties), NULL);
    (void)rd_kafka_conf_set(all, "fetch.wait.max.ms", "20", NULL, 0);
    assert_int_equal(count_warnings(RD_KAFKA_PRODUCER, all), 1);
    assert_int_equal(count_warnings(RD_KAFKA_CONSUMER, make(RD_KAFKA_CONSUMER, properties, 5, NULL)), 0);
    assert_int_equal(count_warnings(RD_KAFKA_PRODUCER, make(RD_KAFKA_PRODUCER, properties, 5, NULL)), 0);
}

static void what_is_wrong_is_named_whoever_would_take_it(void **state)
{
    (void)state;
    static const struct {
        struct kafka_property property;
        const char *begins, *ends;
    } samples[] = {
        {{"no.such.thing", "1"}, "kafka.properties: librdkafka ", " has no property \"no.such.thing\""},
        {{"linger.msec", "1"},
         "kafka.properties: librdkafka ",
         "\"linger.msec\"; did you mean \"linger.ms\"?"},
        {{"linger.ms", "soon"}, "kafka.properties: ", "linger.ms: Invalid value"},
        {{"session.timeout.ms", "soon"}, "kafka.properties: ", "session.timeout.ms: Invalid value"},
        {{"acks", "1"}, "kafka.properties: \"acks\" is set by the worker itself", "remove it"},
        {{"isolation.level", "read_uncommitted"},
         "kafka.properties: \"isolation.level\" is set by the worker",
         "remove it"},
        {{"transaction.timeout.ms", "60000"},
         "kafka.properties: \"transaction.timeout.ms\" is set by",
         "remove it"},
    };
    static const rd_kafka_type_t types[] = {RD_KAFKA_CONSUMER, RD_KAFKA_PRODUCER};
    for (size_t i = 0; i < ARRAY_LENGTH(samples) * 2; i++) {
        struct error error = {0};
        assert_null(make(types[i % 2], &samples[i / 2].property, 1, &error));
        assert_int_equal(error.kind, ERROR_REJECTED);
        assert_text(error.origin, "config");
        if (strncmp(error.text, samples[i / 2].begins, strlen(samples[i / 2].begins)) != 0 ||
            !strstr(error.text, samples[i / 2].ends))
            fail_msg("%s", error.text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_library_says_whose_a_property_is),
        cmocka_unit_test(each_kind_gets_what_it_takes_without_a_warning),
        cmocka_unit_test(what_is_wrong_is_named_whoever_would_take_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
