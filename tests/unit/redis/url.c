#include "redis/url.h"
#include "test.h"

static void good_urls_are_read(void **state)
{
    (void)state;
    static const struct row {
        const char *text, *path, *host, *user, *password;
        int port, database;
    } rows[] = {
        {"redis://localhost", "", "localhost", "", "", 6379, 0},
        {"redis://localhost/", "", "localhost", "", "", 6379, 0},
        {"redis://10.0.0.1:7000/3", "", "10.0.0.1", "", "", 7000, 3},
        {"redis://[::1]:7000", "", "::1", "", "", 7000, 0},
        {"redis://[::1]", "", "::1", "", "", 6379, 0},
        {"redis://:secret@host", "", "host", "", "secret", 6379, 0},
        {"redis://me:se%40c%2fret@host:1/15", "", "host", "me", "se@c/ret", 1, 15},
        {"redis://me:a@b@host", "", "host", "me", "a@b", 6379, 0},
        {"redis://me:a:b@host", "", "host", "me", "a:b", 6379, 0},
        {"unix:/run/redis.sock", "/run/redis.sock", "", "", "", 0, 0},
        {"unix:///run/redis.sock", "/run/redis.sock", "", "", "", 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct url url;
        struct error error;
        if (!url_parse(rows[i].text, &url, &error))
            fail_msg("%s: %s", rows[i].text, error.text);
        assert_text(url.path, rows[i].path);
        assert_text(url.host, rows[i].host);
        assert_int_equal(url.port, rows[i].port);
        assert_text(url.user, rows[i].user);
        assert_text(url.password, rows[i].password);
        assert_int_equal(url.database, rows[i].database);
        url_release(&url);
    }
}

static void bad_urls_are_named_and_never_shown(void **state)
{
    (void)state;
    static const struct row {
        const char *text, *says;
    } rows[] = {
        {"", "scheme"},
        {"http://hunter2", "scheme"},
        {"rediss://u:hunter2@host", "TLS"},
        {"redis://", "no host"},
        {"redis://:hunter2@", "no host"},
        {"redis://:7000", "no host"},
        {"redis://hunter2@host", "no password"},
        {"redis://u:hunter2%4@host", "%-escape"},
        {"redis://u:hunter2%zz@host", "%-escape"},
        {"redis://u:hunter2%00@host", "%-escape"},
        {"redis://host:0", "port"},
        {"redis://host:65536", "port"},
        {"redis://host:", "port"},
        {"redis://host:7x", "port"},
        {"redis://[::1", "]"},
        {"redis://[::1]7000", "port"},
        {"redis://host/x", "database"},
        {"redis://host/1/2", "database"},
        {"redis://host/999999", "database"},
        {"unix:", "socket"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct url url;
        struct error error = {0};
        if (url_parse(rows[i].text, &url, &error))
            fail_msg("%s was accepted", rows[i].text);
        if (!strstr(error.text, rows[i].says))
            fail_msg("%s: %s", rows[i].text, error.text);
        assert_null(strstr(error.text, "hunter2"));
        assert_int_equal(error.kind, ERROR_REJECTED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls_are_read),
        cmocka_unit_test(bad_urls_are_named_and_never_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
