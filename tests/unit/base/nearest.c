#include "base/nearest.h"
#include "base/base.h"
#include "test.h"

static const char *const names[] = {"default", "data_analysis", "machine_learning", "quick_script", "ml"};

static void finds_slips_swaps_and_other_case(void **state)
{
    (void)state;
    static const struct {
        const char *word, *meant;
    } slips[] = {
        {"data_analisys", "data_analysis"},
        {"dafault", "default"},
        {"Default", "default"},
        {"quickscript", "quick_script"},
        {"defualt", "default"},
        {"machine-learning", "machine_learning"},
        {"mll", "ml"},
        {"default", "default"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(slips); i++)
        assert_text(nearest_name(slips[i].word, names, ARRAY_LENGTH(names)), slips[i].meant);
}

static void finds_what_the_word_is_the_beginning_of(void **state)
{
    (void)state;
    static const char *const fields[] = {
        "timeout_ms", "timer", "stdout_bytes", "artifact_count", "artifact_bytes_all", "limits.global"};
    static const struct {
        const char *word, *meant;
    } beginnings[] = {
        {"timeout", "timeout_ms"},      /* no slip is near */
        {"time", "timer"},              /* a slip is nearer */
        {"STDOUT", "stdout_bytes"},     /* case aside */
        {"artifact", "artifact_count"}, /* the shortest */
        {"ti", NULL},                   /* the beginning of too much */
        {"out", NULL},                  /* not at the beginning */
        {"timeout_ms_or_more", NULL},   /* longer than the name */
        {"limi", NULL},                 /* a group is no name */
        {"limits.glo", "limits.global"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(beginnings); i++) {
        const char *found = nearest_name(beginnings[i].word, fields, ARRAY_LENGTH(fields));
        if (beginnings[i].meant)
            assert_text(found, beginnings[i].meant);
        else
            assert_null(found);
    }
}

static void finds_nothing_far_away(void **state)
{
    (void)state;
    static const char *const far[] = {"", "x", "zebra", "analysis_of_everything", "learning"};
    for (size_t i = 0; i < ARRAY_LENGTH(far); i++)
        assert_null(nearest_name(far[i], names, ARRAY_LENGTH(names)));
    assert_null(nearest_name("default", names, 0));
    char huge[5000];
    memset(huge, 'd', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    assert_null(nearest_name(huge, names, ARRAY_LENGTH(names)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_slips_swaps_and_other_case),
        cmocka_unit_test(finds_what_the_word_is_the_beginning_of),
        cmocka_unit_test(finds_nothing_far_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
