#include "base/buffer.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/quoted.h"
#include "base/utf8.h"
#include "test.h"

#include <stdio.h>
#include <unistd.h>

static void invalid_bytes_become_replacement_characters(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *repaired;
    } samples[] = {
        {"plain", 5, "plain"},
        {"gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f"},
        {"a\xff"
         "b",
         3,
         "a\xef\xbf\xbd"
         "b"},
        {"\xe2\x82", 2, "\xef\xbf\xbd\xef\xbf\xbd"},                 /* cut short */
        {"\xc0\x80", 2, "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong NUL */
        {"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* surrogate */
        {"a\0b", 3,
         "a\xef\xbf\xbd"
         "b"},
        {"\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        CLEANUP(buffer_release) struct buffer out = {0};
        utf8_append_repaired(&out, (struct bytes){samples[i].bytes, samples[i].length});
        assert_text(out.data, samples[i].repaired);
        assert_true(utf8_is_valid(buffer_bytes(&out)));
    }
}

static void a_prefix_does_not_cut_a_character(void **state)
{
    (void)state;
    struct bytes text = {"a\xe2\x82\xac"
                         "b",
                         5};
    static const size_t expected[] = {0, 1, 1, 1, 4, 5, 5};
    for (size_t limit = 0; limit < ARRAY_LENGTH(expected); limit++)
        assert_int_equal(utf8_prefix(text, limit), expected[limit]);
}

static void digests_separate_their_parts(void **state)
{
    (void)state;
    char hex[DIGEST_HEX_SIZE];
    digest_sha256_hex((struct bytes){"abc", 3}, hex);
    assert_text(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    struct digest *one = digest_new(), *two = digest_new(), *three = digest_new();
    digest_add_text(one, "ab");
    digest_add_text(one, "c");
    digest_add_text(two, "a");
    digest_add_text(two, "bc");
    digest_add_text(three, "ab");
    digest_add_text(three, "c");
    uint64_t first = digest_finish64(one);
    assert_int_not_equal(first, digest_finish64(two));
    assert_int_equal(first, digest_finish64(three));
}

/* Parts shorter and longer than what is fed at once give what their bytes give in one piece. */
static void a_digest_is_the_same_however_its_parts_are_fed(void **state)
{
    (void)state;
    static const char text[300] = "some text, and NULs";
    static const size_t lengths[] = {0, 1, 100, 120, 121, 128, 129, 300, 7, 3};
    struct digest *digest = digest_new();
    CLEANUP(buffer_release) struct buffer whole = {0};
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        int64_t length = (int64_t)lengths[i];
        digest_add(digest, (struct bytes){text, lengths[i]});
        digest_add_int(digest, length);
        buffer_append(&whole, &length, sizeof length);
        buffer_append(&whole, text, lengths[i]);
        buffer_append(&whole, &length, sizeof length);
    }
    uint64_t first = digest_finish64(digest);
    CLEANUP(buffer_release) struct buffer expected = {0};
    for (size_t i = 0; i < sizeof first; i++)
        buffer_append_format(&expected, "%02x", ((const unsigned char *)&first)[i]);
    char hex[DIGEST_HEX_SIZE];
    digest_sha256_hex(buffer_bytes(&whole), hex);
    assert_memory_equal(hex, expected.data, expected.length);
}

static void quotes_escapes_and_repairs(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *quoted;
    } samples[] = {
        {NULL, 0, "\"\""},
        {"plain, longer than a word", 25, "\"plain, longer than a word\""},
        {"a\"b\\c\nd\te\rf\x01\xc3\xa4/\x7f", 16, "\"a\\\"b\\\\c\\nd\\te\\rf\\u0001\xc3\xa4/\x7f\""},
        {"a\0\xff", 3, "\"a\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        CLEANUP(buffer_release) struct buffer out = {0};
        quoted_append(&out, (struct bytes){samples[i].bytes, samples[i].length});
        assert_text(out.data, samples[i].quoted);
    }
}

/* Every byte at every place of texts up to three words long, so that no word hides one. */
static void no_place_hides_what_needs_an_escape(void **state)
{
    (void)state;
    for (size_t length = 1; length <= 24; length++)
        for (size_t place = 0; place < length; place++)
            for (unsigned byte = 1; byte < 0x80; byte++) {
                char text[25] = "abcdefghijklmnopqrstuvwx", escaped[8] = {(char)byte};
                text[length] = '\0';
                text[place] = (char)byte;
                const char *letters = strchr("\nn\"\"\\\\\tt\rr", (int)byte);
                if (byte == '"' || byte == '\\' || (byte < 0x20 && letters))
                    (void)snprintf(escaped, sizeof escaped, "\\%c", letters[1]);
                else if (byte < 0x20)
                    (void)snprintf(escaped, sizeof escaped, "\\u%04x", byte);
                CLEANUP(buffer_release) struct buffer out = {0}, expected = {0};
                buffer_append_format(&expected, "\"%.*s%s%s\"", (int)place, text, escaped, text + place + 1);
                quoted_append_text(&out, text);
                assert_text(out.data, expected.data);
            }
}

static void a_log_line_is_one_json_object(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct log log = {.component = "test", .level = LOG_LEVEL_INFO, .fd = ends[1]};
    log_debug(&log, "job.hidden");
    log_info(&log, "job.seen", LOG_TEXT("text", "a\"b\\\n\xff"), LOG_TEXT("none", NULL), LOG_INT("ms", -5),
             LOG_BOOL("ok", true));
    char line[512] = {0};
    ssize_t length = read(ends[0], line, sizeof line - 1);
    assert_true(length > 0);
    assert_non_null(strstr(line,
                           "\"level\":\"info\",\"event\":\"job.seen\",\"component\":\"test\","
                           "\"text\":\"a\\\"b\\\\\\n\xef\xbf\xbd\",\"none\":null,\"ms\":-5,\"ok\":true}\n"));
    assert_null(strstr(line, "hidden"));
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invalid_bytes_become_replacement_characters),
        cmocka_unit_test(a_prefix_does_not_cut_a_character),
        cmocka_unit_test(digests_separate_their_parts),
        cmocka_unit_test(a_digest_is_the_same_however_its_parts_are_fed),
        cmocka_unit_test(quotes_escapes_and_repairs),
        cmocka_unit_test(no_place_hides_what_needs_an_escape),
        cmocka_unit_test(a_log_line_is_one_json_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
