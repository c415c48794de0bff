#include "multipart.h"
#include "test.h"

static void the_boundary_is_found_bare_and_quoted(void **state)
{
    (void)state;
    char *bare = multipart_boundary("multipart/form-data; boundary=X");
    char *quoted = multipart_boundary("multipart/form-data; charset=utf-8; boundary=\"a b\"");
    assert_text(bare, "X");
    assert_text(quoted, "a b");
    assert_null(multipart_boundary("multipart/form-data"));
    free(bare);
    free(quoted);
}

static void parts_come_in_order_with_names_and_bytes(void **state)
{
    (void)state;
    static const char body[] =
        "--X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"/home/user/m1\"\r\n"
        "Content-Type: text/plain\r\n\r\none\r\ntwo\r\n"
        "--X\r\ncontent-disposition: form-data; name=\"file\"; filename=\"q\\\"q\"\r\n\r\n\r\n"
        "--X--\r\n";
    struct bytes rest = {body, sizeof body - 1};
    struct multipart_part part;
    assert_true(multipart_next(&rest, "X", &part));
    assert_text(part.name, "file");
    assert_text(part.filename, "/home/user/m1");
    assert_int_equal(part.data.length, 8);
    assert_memory_equal(part.data.data, "one\r\ntwo", 8);
    multipart_part_release(&part);
    assert_true(multipart_next(&rest, "X", &part));
    assert_text(part.filename, "q\"q");
    assert_int_equal(part.data.length, 0);
    multipart_part_release(&part);
    assert_false(multipart_next(&rest, "X", &part));
}

static void a_cut_body_has_no_whole_part(void **state)
{
    (void)state;
    static const char body[] =
        "--X\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\ndata\r\n--X--\r\n";
    for (size_t length = 0; length + sizeof "--\r\n" <= sizeof body - 1; length++) {
        char *copy = malloc(length + 1); /* exactly as long as it is, so that a read beyond shows */
        memcpy(copy, body, length);
        struct bytes rest = {copy, length};
        struct multipart_part part;
        if (length < sizeof body - 1 - sizeof "--\r\n" && multipart_next(&rest, "X", &part))
            fail_msg("cut at %zu", length);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_boundary_is_found_bare_and_quoted),
        cmocka_unit_test(parts_come_in_order_with_names_and_bytes),
        cmocka_unit_test(a_cut_body_has_no_whole_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
