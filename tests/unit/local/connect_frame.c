#include "connect_frame.h"
#include "test.h"

static void a_frame_is_flags_then_length_then_message(void **state)
{
    (void)state;
    struct buffer out = {0};
    connect_frame_append(&out, CONNECT_END, (struct bytes){"{}", 2});
    assert_int_equal(out.length, 7);
    assert_memory_equal(out.data, "\x02\x00\x00\x00\x02{}", 7);
    buffer_release(&out);
}

static void lengths_are_big_endian(void **state)
{
    (void)state;
    char text[70000] = {0};
    struct buffer out = {0};
    connect_frame_append(&out, 0, (struct bytes){text, sizeof text});
    assert_memory_equal(out.data, "\x00\x00\x01\x11\x70", 5);
    buffer_release(&out);
}

static void frames_are_taken_one_by_one(void **state)
{
    (void)state;
    struct buffer out = {0};
    connect_frame_append(&out, 0, (struct bytes){"{\"a\":1}", 7});
    connect_frame_append(&out, 0, (struct bytes){"", 0});
    connect_frame_append(&out, CONNECT_END, (struct bytes){"{}", 2});
    struct bytes rest = buffer_bytes(&out);
    struct connect_frame frame;
    assert_true(connect_frame_parse(&rest, &frame, NULL));
    assert_int_equal(frame.message.length, 7);
    assert_memory_equal(frame.message.data, "{\"a\":1}", 7);
    assert_true(connect_frame_parse(&rest, &frame, NULL));
    assert_int_equal(frame.message.length, 0);
    assert_true(connect_frame_parse(&rest, &frame, NULL));
    assert_int_equal(frame.flags, CONNECT_END);
    assert_int_equal(rest.length, 0);
    buffer_release(&out);
}

static void what_is_no_envelope_is_refused_in_envds_words(void **state)
{
    (void)state;
    static const char text[] = "{\"process\":{\"cmd\":\"/bin/true\"}}";
    struct bytes rest = {text, sizeof text - 1};
    struct connect_frame frame;
    struct error error;
    assert_false(connect_frame_parse(&rest, &frame, &error));
    assert_text(error.text, "protocol error: promised 577794671 bytes in enveloped message, got 26 bytes");
    assert_int_equal(rest.length, sizeof text - 1);
}

static void every_cut_of_a_frame_is_refused(void **state)
{
    (void)state;
    struct buffer out = {0};
    connect_frame_append(&out, 0, (struct bytes){"{\"a\":1}", 7});
    for (size_t length = 0; length < out.length; length++) {
        struct bytes rest = {out.data, length};
        struct connect_frame frame;
        assert_false(connect_frame_parse(&rest, &frame, NULL));
    }
    buffer_release(&out);
}

static void compressed_messages_are_refused(void **state)
{
    (void)state;
    struct buffer out = {0};
    connect_frame_append(&out, CONNECT_COMPRESSED, (struct bytes){"x", 1});
    struct bytes rest = buffer_bytes(&out);
    struct connect_frame frame;
    assert_false(connect_frame_parse(&rest, &frame, NULL));
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_flags_then_length_then_message),
        cmocka_unit_test(lengths_are_big_endian),
        cmocka_unit_test(frames_are_taken_one_by_one),
        cmocka_unit_test(what_is_no_envelope_is_refused_in_envds_words),
        cmocka_unit_test(every_cut_of_a_frame_is_refused),
        cmocka_unit_test(compressed_messages_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
