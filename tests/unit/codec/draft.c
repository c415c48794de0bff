#include "codec/draft.h"
#include "test.h"

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static void assert_value(const struct draft *draft, const char *expected)
{
    assert_int_equal(draft->value.length, strlen(expected));
    assert_memory_equal(draft->value.data, expected, strlen(expected));
}

static void a_job_alone_keeps_its_bytes(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct draft *drafts;
    size_t count;
    assert_true(drafts_read(bytes_of(" {\"job_id\": \"a\",  \"x\": 1.50}\n"), &arena, &drafts, &count, NULL));
    assert_int_equal(count, 1);
    assert_value(&drafts[0], "{\"job_id\": \"a\",  \"x\": 1.50}");
    assert_text(drafts[0].job_id, "a");
    assert_true(drafts[0].has_id);
    assert_null(drafts[0].task_type);
    arena_release(&arena);
}

static void arrays_and_lines_may_be_mixed(void **state)
{
    (void)state;
    static const char text[] = "\xEF\xBB\xBF[{\"job_id\": \"a\"}, {\"task_type\": \"t\"}]\n"
                               "{\"job_id\": 5}\n\n{\"tenant_id\": \"n\"}{}";
    struct arena arena = {0};
    struct draft *drafts;
    size_t count;
    assert_true(drafts_read(bytes_of(text), &arena, &drafts, &count, NULL));
    assert_int_equal(count, 5);
    assert_value(&drafts[0], "{\"job_id\":\"a\"}");
    assert_text(drafts[1].task_type, "t");
    assert_false(drafts[1].has_id);
    assert_null(drafts[2].job_id);
    assert_true(drafts[2].has_id);
    assert_text(drafts[3].tenant_id, "n");
    assert_value(&drafts[4], "{}");
    arena_release(&arena);
}

static void a_cloud_event_is_looked_into(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct draft *drafts;
    size_t count;
    static const char text[] =
        "{\"specversion\": \"1.0\", \"id\": \"e1\", \"data\": {\"task_type\": \"t\", \"code\": \"1\"}}";
    assert_true(drafts_read(bytes_of(text), &arena, &drafts, &count, NULL));
    assert_true(drafts[0].is_structured);
    assert_text(drafts[0].job_id, "e1");
    assert_text(drafts[0].task_type, "t");
    struct draft named = draft_with_id(&drafts[0], "other", &arena);
    assert_value(&named,
                 "{\"specversion\":\"1.0\",\"id\":\"e1\",\"data\":{\"task_type\":\"t\",\"code\":\"1\","
                 "\"job_id\":\"other\"}}");
    arena_release(&arena);
}

static void another_id_changes_nothing_else(void **state)
{
    (void)state;
    struct arena arena = {0};
    const struct draft draft = {.value = bytes_of("{\"job_id\": \"a\", \"code\": \"\\u0000\xC3\xA4\"}")};
    struct draft named = draft_with_id(&draft, "b", &arena);
    assert_text(named.job_id, "b");
    assert_value(&named, "{\"job_id\":\"b\",\"code\":\"\\u0000\xC3\xA4\"}");
    arena_release(&arena);
}

static void mistakes_are_named_by_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "there is no job in it"},   {" \n\t", "there is no job in it"},
        {"5", "line 1, column 1"},       {"{\"a\": 1}\n\n{\"b\": }", "line 3"},
        {"{\"a\": ", "line 1"},          {"[{}, {}, 3]", "element 2 of the array"},
        {"{\"a\": \"\xFF\"}", "line 1"}, {"{} x", "line 1"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct arena arena = {0};
        struct draft *drafts = NULL;
        size_t count = 7;
        struct error error = {0};
        assert_false(drafts_read(bytes_of(cases[i].text), &arena, &drafts, &count, &error));
        assert_non_null(strstr(error.text, cases[i].said));
        assert_int_equal(error.kind, ERROR_REJECTED);
        assert_int_equal(count, 7);
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_alone_keeps_its_bytes),
        cmocka_unit_test(arrays_and_lines_may_be_mixed),
        cmocka_unit_test(a_cloud_event_is_looked_into),
        cmocka_unit_test(another_id_changes_nothing_else),
        cmocka_unit_test(mistakes_are_named_by_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
