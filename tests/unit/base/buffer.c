#include "base/buffer.h"
#include "base/arena.h"
#include "base/base64.h"
#include "base/list.h"
#include "test.h"

static void grows_and_stays_terminated(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    for (int i = 0; i < 1000; i++)
        buffer_append_format(&buffer, "%d,", i);
    assert_int_equal(buffer.length, strlen(buffer.data));
    buffer_drop_front(&buffer, 2);
    assert_int_equal(strncmp(buffer.data, "1,2,", 4), 0);
    CLEANUP(base_freep) char *taken = buffer_take(&buffer);
    assert_int_equal(strncmp(taken, "1,2,", 4), 0);
    assert_null(buffer.data);
    CLEANUP(base_freep) char *empty = buffer_take(&buffer);
    assert_text(empty, "");
}

static void numbers_and_texts_are_written_as_printf_writes_them(void **state)
{
    (void)state;
    static const int64_t numbers[] = {0, 1, -1, 9, 10, -10, 99, 100, 1234567890, INT64_MAX, INT64_MIN};
    CLEANUP(buffer_release) struct buffer ours = {0}, expected = {0};
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
        buffer_append_int(&ours, numbers[i]);
        buffer_append_format(&expected, "%lld", (long long)numbers[i]);
        assert_int_equal(ours.length, expected.length);
        assert_text(ours.data, expected.data);
    }
    char hex[17];
    base_hex_text(0x0123456789abcdef, 16, hex);
    assert_text(hex, "0123456789abcdef");
    base_hex_text(0x0123456789abcdef, 5, hex);
    assert_text(hex, "bcdef");
    char text[4] = "xyz";
    base_copy_text(text, sizeof text, "abcdef");
    assert_text(text, "abc");
    base_copy_text(text, sizeof text, "");
    assert_text(text, "");
}

static void arena_memory_is_aligned_zeroed_and_counted(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100);
    for (size_t size = 0; size < 5000; size += 37) {
        char *memory = arena_alloc(&arena, size);
        assert_int_equal((uintptr_t)memory % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 'x', size);
    }
    assert_true(arena.bytes > 5000);
    assert_text(arena_printf(&arena, "%s-%d", "a", 1), "a-1");
    assert_null(arena_strdup(&arena, NULL));
    assert_text(ARENA_JOIN(&arena, "a"), "a");
    assert_text(ARENA_JOIN(&arena, "a", "", "bc"), "abc");
    assert_text(arena_join(&arena, NULL, 0), "");
    arena_release(&arena);
    assert_int_equal(arena.bytes, 0);
}

static void base64_is_strict(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *encoded;
    } samples[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        CLEANUP(buffer_release) struct buffer encoded = {0}, decoded = {0};
        base64_encode((struct bytes){samples[i].plain, strlen(samples[i].plain)}, &encoded);
        assert_int_equal(encoded.length, strlen(samples[i].encoded));
        assert_memory_equal(encoded.data, samples[i].encoded, encoded.length);
        assert_true(base64_decode(buffer_bytes(&encoded), &decoded));
        assert_int_equal(decoded.length, strlen(samples[i].plain));
    }
    static const char *const bad[] = {"Z",    "Zg",   "Zg=",      " Zg==", "Zg==\n",
                                      "Z===", "====", "Zm9v!Zm9", "Zm=v",  "Zg-_"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        CLEANUP(buffer_release) struct buffer decoded = {0};
        assert_false(base64_decode((struct bytes){bad[i], strlen(bad[i])}, &decoded));
        assert_int_equal(decoded.length, 0);
    }
}

static void base64url_has_no_padding_and_round_trips(void **state)
{
    (void)state;
    unsigned char bytes[64];
    for (size_t n = 0; n < sizeof bytes; n++) {
        bytes[n] = (unsigned char)(n * 37 + 251);
        CLEANUP(buffer_release) struct buffer encoded = {0}, decoded = {0};
        base64url_encode((struct bytes){bytes, n}, &encoded);
        assert_true(!encoded.data || !strpbrk(encoded.data, "+/="));
        assert_true(base64url_decode(buffer_bytes(&encoded), &decoded));
        assert_int_equal(decoded.length, n);
        if (n)
            assert_memory_equal(decoded.data, bytes, n);
    }
}

static void lists_keep_their_order_and_forget_removed_links(void **state)
{
    (void)state;
    struct link head, items[3] = {0};
    list_init(&head);
    for (int i = 0; i < 3; i++)
        list_push_back(&head, &items[i]);
    link_remove(&items[1]);
    link_remove(&items[1]);
    assert_false(link_is_on_list(&items[1]));
    assert_ptr_equal(list_pop_front(&head), &items[0]);
    LIST_EACH(&head, link)
    link_remove(link);
    assert_true(list_is_empty(&head));
    assert_null(list_pop_front(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_stays_terminated),
        cmocka_unit_test(numbers_and_texts_are_written_as_printf_writes_them),
        cmocka_unit_test(arena_memory_is_aligned_zeroed_and_counted),
        cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(base64url_has_no_padding_and_round_trips),
        cmocka_unit_test(lists_keep_their_order_and_forget_removed_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
