#include "core/job.h"
#include "test.h"

static void names_parse_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= JOB_AGENT; i++) {
        enum job_kind kind = (enum job_kind)99;
        assert_true(job_kind_parse(job_kind_name((enum job_kind)i), &kind));
        assert_int_equal(kind, i);
    }
    for (unsigned i = 0; i < PRIORITY_COUNT; i++) {
        enum priority priority = PRIORITY_COUNT;
        assert_true(priority_parse(priority_name((enum priority)i), &priority));
        assert_int_equal(priority, i);
    }
    for (unsigned i = 0; i < LANGUAGE_COUNT; i++) {
        enum language language = LANGUAGE_COUNT;
        assert_true(language_parse(language_name((enum language)i), &language));
        assert_int_equal(language, i);
    }
    enum run_mode mode = RUN_MODE_DEFAULT;
    assert_true(run_mode_parse("interpreter", &mode));
    assert_int_equal(mode, RUN_MODE_INTERPRETER);
    assert_true(run_mode_parse("process", &mode));
    assert_text(run_mode_name(mode), "process");
    assert_text(run_mode_name(RUN_MODE_DEFAULT), "default");
}

static void languages_have_short_names_too(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum language language;
    } samples[] = {{"py", LANGUAGE_PYTHON},
                   {"js", LANGUAGE_JAVASCRIPT},
                   {"ts", LANGUAGE_TYPESCRIPT},
                   {"sh", LANGUAGE_BASH}};
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        enum language language = LANGUAGE_COUNT;
        assert_true(language_parse(samples[i].name, &language));
        assert_int_equal(language, samples[i].language);
    }
    assert_text(language_name(LANGUAGE_R), "r");
}

static void unknown_names_change_nothing(void **state)
{
    (void)state;
    enum job_kind kind = JOB_AGENT;
    enum priority priority = PRIORITY_BATCH;
    enum language language = LANGUAGE_JAVA;
    enum run_mode mode = RUN_MODE_PROCESS;
    assert_false(job_kind_parse("Code", &kind));
    assert_false(priority_parse("", &priority));
    assert_false(language_parse("cobol", &language));
    assert_false(run_mode_parse("default", &mode));
    assert_int_equal(kind, JOB_AGENT);
    assert_int_equal(priority, PRIORITY_BATCH);
    assert_int_equal(language, LANGUAGE_JAVA);
    assert_int_equal(mode, RUN_MODE_PROCESS);
}

static void names_of_keys_are_bounded(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "A.b_c:d-9", "...", "0"};
    static const char *const bad[] = {"", " ", "a b", "a/b", "a\n", "\xc3\xa9", "a{b}", "a*"};
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++)
        assert_true(job_is_name(good[i]));
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        assert_false(job_is_name(bad[i]));
    char text[66] = {0};
    memset(text, 'x', 64);
    assert_true(job_is_name(text));
    text[64] = 'x';
    assert_false(job_is_name(text));
}

static void paths_are_normalised(void **state)
{
    (void)state;
    static const struct {
        const char *path, *clean;
    } samples[] = {
        {"a", "a"},
        {"a//./b", "a/b"},
        {"./a", "a"},
        {"././a/././b", "a/b"},
        {"/a/b", "/a/b"},
        {"//a///b", "/a/b"},
        {"/./a", "/a"},
        {"..a/b..", "..a/b.."},
        {".hidden/...", ".hidden/..."},
        {"data/\xc3\xa9t\xc3\xa9 1.csv", "data/\xc3\xa9t\xc3\xa9 1.csv"},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        const char *clean = NULL;
        assert_true(job_path_normalise(samples[i].path, &arena, &clean));
        assert_text(clean, samples[i].clean);
        const char *again = NULL;
        assert_true(job_path_normalise(clean, &arena, &again));
        assert_text(again, clean);
    }
    arena_release(&arena);
}

static void bad_paths_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "/",     "//",     ".",    "./",      "a/",
                                      "..",   "../a",  "a/../b", "a/..", "a/.",     "/..",
                                      "a\nb", "a\x01", "\x7f",   "/.",   "a/./../b"};
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        const char *clean = "untouched";
        assert_false(job_path_normalise(bad[i], &arena, &clean));
        assert_text(clean, "untouched");
    }
    char path[1026] = {0};
    const char *clean = NULL;
    memset(path, 'x', 1024);
    assert_true(job_path_normalise(path, &arena, &clean));
    path[1024] = 'x';
    assert_false(job_path_normalise(path, &arena, &clean));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_parse_back),
        cmocka_unit_test(languages_have_short_names_too),
        cmocka_unit_test(unknown_names_change_nothing),
        cmocka_unit_test(names_of_keys_are_bounded),
        cmocka_unit_test(paths_are_normalised),
        cmocka_unit_test(bad_paths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
