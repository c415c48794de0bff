/* Envelopes of all three modes, headers written, and records packed into blobs and back. */
#include "codec/envelope.h"
#include "test.h"

#include <stdio.h>

static struct header text_header(const char *name, const char *value)
{
    return (struct header){.name = name, .value = {value, strlen(value)}};
}

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static void assert_bytes(struct bytes actual, const char *expected)
{
    assert_int_equal(actual.length, strlen(expected));
    assert_memory_equal(actual.data, expected, actual.length);
}

struct fixture {
    struct arena arena;
    struct envelope envelope;
    struct error error;
};

static void release(struct fixture *fixture)
{
    arena_release(&fixture->arena);
}

#define FIXTURE(name) CLEANUP(release) struct fixture name = {0}

static void binary_mode_has_its_attributes_in_headers(void **state)
{
    (void)state;
    FIXTURE(it);
    const struct header headers[] = {text_header("content-type", "application/json"),
                                     text_header("ce_id", "old"),
                                     text_header("ce_id", "e1"),
                                     text_header("ce_source", "router"),
                                     text_header("ce_type", "t"),
                                     text_header("CE_SUBJECT", "s"),
                                     text_header("ce_time", "1970-01-01T00:00:01Z"),
                                     text_header("ce_traceparent", "00-aa-bb-01"),
                                     text_header("tracestate", "x=1")};
    assert_true(
        envelope_read(headers, ARRAY_LENGTH(headers), bytes_of("{}"), &it.arena, &it.envelope, &it.error));
    assert_text(it.envelope.id, "e1"); /* the last of a name */
    assert_text(it.envelope.source, "router");
    assert_text(it.envelope.type, "t");
    assert_text(it.envelope.subject, "s");
    assert_int_equal(it.envelope.time_unix_ms, 1000);
    assert_text(it.envelope.trace_parent, "00-aa-bb-01");
    assert_text(it.envelope.trace_state, "x=1");
    assert_bytes(it.envelope.data, "{}");
}

static void bare_json_has_no_attributes(void **state)
{
    (void)state;
    FIXTURE(it);
    const struct header odd[] = {
        {"ce_id", {"\xff", 1}}, {"ce_time", {"soon", 4}}, {"ce_type", {"a\0b", 3}}, {"ce_source", {NULL, 0}}};
    assert_true(envelope_read(odd, ARRAY_LENGTH(odd), bytes_of("x"), &it.arena, &it.envelope, &it.error));
    assert_null(it.envelope.id);
    assert_null(it.envelope.type);
    assert_null(it.envelope.source);
    assert_int_equal(it.envelope.time_unix_ms, -1);
    assert_bytes(it.envelope.data, "x");
}

static void structured_mode_has_everything_inside(void **state)
{
    (void)state;
    static const char *const types[] = {"application/cloudevents+json",
                                        "Application/CloudEvents+JSON; charset=utf-8"};
    for (size_t i = 0; i < ARRAY_LENGTH(types); i++) {
        FIXTURE(it);
        const struct header headers[] = {text_header("Content-Type", types[i]),
                                         text_header("ce_id", "outer")};
        assert_true(
            envelope_read(headers, 2,
                          bytes_of("{\"specversion\":\"1.0\",\"id\":\"e2\",\"source\":\"s\",\"type\":\"t\","
                                   "\"time\":\"1970-01-01T00:00:02Z\",\"traceparent\":\"00-cc\","
                                   "\"data\":{\"b\": 1, \"a\": \"\\u00fc\"}}"),
                          &it.arena, &it.envelope, &it.error));
        assert_text(it.envelope.id, "e2");
        assert_int_equal(it.envelope.time_unix_ms, 2000);
        assert_text(it.envelope.trace_parent, "00-cc");
        assert_bytes(it.envelope.data, "{\"b\":1,\"a\":\"\xc3\xbc\"}");
    }
}

static void structured_data_may_be_base64_or_missing(void **state)
{
    (void)state;
    const struct header header = text_header("content-type", "application/cloudevents+json");
    FIXTURE(encoded);
    assert_true(envelope_read(&header, 1, bytes_of("{\"data_base64\":\"e30=\"}"), &encoded.arena,
                              &encoded.envelope, &encoded.error));
    assert_bytes(encoded.envelope.data, "{}");
    FIXTURE(none);
    assert_true(envelope_read(&header, 1, bytes_of("{\"id\":7}"), &none.arena, &none.envelope, &none.error));
    assert_null(none.envelope.id);
    assert_int_equal(none.envelope.data.length, 0);
}

static void what_is_no_event_is_refused_with_a_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *type, *value, *contains;
    } samples[] = {
        {"application/cloudevents+json", "{", "not JSON"},
        {"application/cloudevents+json", "", "not JSON"},
        {"application/cloudevents+json", "[]", "no JSON object"},
        {"application/cloudevents+json", "{\"data_base64\":\"!\"}", "data_base64"},
        {"application/cloudevents-batch+json", "[]", "application/cloudevents+json"},
        {"application/cloudevents+avro", "x", "application/cloudevents+json"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        FIXTURE(it);
        const struct header header = text_header("content-type", samples[i].type);
        assert_false(
            envelope_read(&header, 1, bytes_of(samples[i].value), &it.arena, &it.envelope, &it.error));
        assert_int_equal(it.error.kind, ERROR_REJECTED);
        if (!strstr(it.error.text, samples[i].contains))
            fail_msg("%s: %s", samples[i].value, it.error.text);
    }
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    FIXTURE(it);
    const struct envelope written = {.id = "i",
                                     .source = "s",
                                     .type = "t",
                                     .subject = "j",
                                     .trace_parent = "00-a",
                                     .time_unix_ms = 1700000000123};
    struct envelope_headers headers;
    envelope_write(&written, &headers);
    assert_text(headers.items[0].name, "content-type");
    assert_int_equal(headers.count, 8);
    assert_true(
        envelope_read(headers.items, headers.count, bytes_of("{}"), &it.arena, &it.envelope, &it.error));
    assert_text(it.envelope.id, "i");
    assert_text(it.envelope.subject, "j");
    assert_text(it.envelope.trace_parent, "00-a");
    assert_null(it.envelope.trace_state);
    assert_int_equal(it.envelope.time_unix_ms, 1700000000123);
}

static void a_packed_record_is_unpacked_as_it_was(void **state)
{
    (void)state;
    const struct header headers[] = {
        text_header("ce_id", "a:finished"), {"empty", {"", 0}}, {"bin", {"\0\xff\n", 3}}};
    for (size_t count = 0; count <= ARRAY_LENGTH(headers); count++) {
        CLEANUP(buffer_release) struct buffer blob = {0};
        struct arena arena = {0};
        struct header back[4];
        size_t back_count;
        struct bytes value;
        struct error error;
        record_pack(headers, count, (struct bytes){"{\"a\":\0}", 7}, &blob);
        assert_true(record_unpack(buffer_bytes(&blob), back, 4, &arena, &back_count, &value, &error));
        assert_int_equal(back_count, count);
        assert_int_equal(value.length, 7);
        for (size_t i = 0; i < count; i++) {
            assert_text(back[i].name, headers[i].name);
            assert_int_equal(back[i].value.length, headers[i].value.length);
            assert_memory_equal(back[i].value.data, headers[i].value.data, headers[i].value.length);
        }
        for (size_t length = 0; length < blob.length; length++)
            assert_false(record_unpack((struct bytes){blob.data, length}, back, 4, &arena, &back_count,
                                       &value, &error));
        buffer_append_byte(&blob, 'x');
        assert_false(record_unpack(buffer_bytes(&blob), back, 4, &arena, &back_count, &value, &error));
        arena_release(&arena);
    }
}

static void a_foreign_blob_is_refused(void **state)
{
    (void)state;
    static const char *const blobs[] = {"record2 0 0\n",
                                        "record1 9 0\n",
                                        "record1 -1 0\n",
                                        "record1 0 99999999999\n",
                                        "record1 1 0\n1 999999999999\nx",
                                        "record1  0\n"};
    struct arena arena = {0};
    struct header back[4];
    size_t count;
    struct bytes value;
    struct error error;
    for (size_t i = 0; i < ARRAY_LENGTH(blobs); i++)
        assert_false(record_unpack(bytes_of(blobs[i]), back, 4, &arena, &count, &value, &error));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_mode_has_its_attributes_in_headers),
        cmocka_unit_test(bare_json_has_no_attributes),
        cmocka_unit_test(structured_mode_has_everything_inside),
        cmocka_unit_test(structured_data_may_be_base64_or_missing),
        cmocka_unit_test(what_is_no_event_is_refused_with_a_sentence),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(a_packed_record_is_unpacked_as_it_was),
        cmocka_unit_test(a_foreign_blob_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
