#include "metadata_filter.h"
#include "test.h"

static void filters_match_as_the_table_says(void **state)
{
    (void)state;
    static const struct {
        const char *filter;
        bool matches;
    } rows[] = {
        {"", true},
        {"permit=1", true},
        {"permit=2", false},
        {"permit=1&worker=w%201", true},
        {"permit=1&worker=w+1", true},
        {"permit=1&worker=other", false},
        {"nobody=1", false},
        {"permit", false},
        {"empty=", true},
        {"empty", true},
        {"a%26b=c%3Dd", true},
        {"a%2526b=c%253Dd", true},
        {"%C3%BC=%E2%82%AC", true},
        {"&&permit=1&", true},
        {"permit=1%", false},
        {"permit=%3", false},
        {"permit=%zz", false},
    };
    json_t *metadata = json_pack("{s:s,s:s,s:s,s:s,s:s}", "permit", "1", "worker", "w 1", "empty", "", "a&b",
                                 "c=d", "\xc3\xbc", "\xe2\x82\xac");
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        if (metadata_filter_matches(rows[i].filter, metadata) != rows[i].matches)
            fail_msg("filter \"%s\"", rows[i].filter);
    json_decref(metadata);
}

static void a_sandbox_without_metadata_matches_only_the_empty_filter(void **state)
{
    (void)state;
    json_t *metadata = json_object();
    assert_true(metadata_filter_matches("", metadata));
    assert_false(metadata_filter_matches("a=b", metadata));
    json_decref(metadata);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_match_as_the_table_says),
        cmocka_unit_test(a_sandbox_without_metadata_matches_only_the_empty_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
