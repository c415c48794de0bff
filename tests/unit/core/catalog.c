#include "core/catalog.h"
#include "core/fixture.h"
#include "test.h"

struct fixture {
    struct arena arena;
    struct catalog catalog;
    struct job job;
};

static int set_up(void **state)
{
    struct fixture *fixture = base_alloc(sizeof *fixture);
    arena_init(&fixture->arena, 0);
    fixture->catalog = fixture_catalog();
    fixture->job = fixture_job();
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    arena_release(&fixture->arena);
    free(fixture);
    return 0;
}

static void assert_chosen(struct fixture *fixture, const char *name, const char *reason)
{
    struct placement placement = {0};
    const char *message = "none";
    enum code code = catalog_choose(&fixture->catalog, &fixture->job, &fixture->arena, &placement, &message);
    assert_text(code_name(code), "");
    assert_text(message, "none");
    assert_text(placement.entry->name, name);
    assert_text(placement.reason, reason);
}

static void assert_refused(struct fixture *fixture, enum code expected, const char *sentence)
{
    struct placement placement = {0};
    const char *message = NULL;
    enum code code = catalog_choose(&fixture->catalog, &fixture->job, &fixture->arena, &placement, &message);
    assert_text(code_name(code), code_name(expected));
    assert_text(message, sentence);
    assert_null(placement.entry);
}

static void entries_are_found_by_name_and_task_type(void **state)
{
    struct fixture *fixture = *state;
    assert_text(catalog_find(&fixture->catalog, "visualization")->name, "visualization");
    assert_text(catalog_find_task_type(&fixture->catalog, "ml")->name, "machine_learning");
    assert_null(catalog_find(&fixture->catalog, "ml"));
    assert_null(catalog_find_task_type(&fixture->catalog, "default"));
}

static void a_task_type_has_its_template(void **state)
{
    struct fixture *fixture = *state;
    fixture->job.task_type = "ml";
    assert_chosen(fixture, "machine_learning", "task type ml");
}

static void entries_of_several_sizes_on_one_template_say_whose_size_counts(void **state)
{
    struct fixture *fixture = *state;
    fixture->catalog.entries[1].template_id = fixture->catalog.entries[0].template_id;
    fixture->job.task_type = "general";
    assert_chosen(fixture, "default",
                  "task type general; several entries name E2B's default, whose own memory and CPU count");
}

static void the_own_template_is_kept_where_it_satisfies(void **state)
{
    struct fixture *fixture = *state;
    fixture->job.task_type = "ml";
    fixture->job.requirements = (struct requirements){.is_given = true, .memory_mb = 256};
    assert_chosen(fixture, "machine_learning", "task type ml");
}

static void else_the_smallest_that_fits(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        struct requirements needed;
        const char *name, *reason;
    } cases[] = {
        {{.memory_mb = 600}, "data_analysis", "smallest that offers 600 MB"},
        {{.memory_mb = 2048}, "machine_learning", "smallest that offers 2,048 MB"},
        {{.cpu_milli = 1000}, "machine_learning", "smallest that offers 1 vCPU"},
        {{.cpu_milli = 700}, "data_analysis", "smallest that offers 0.7 vCPU"},
        {{.timeout_ms = 600000}, "data_analysis", "smallest that offers 600 s"},
        {{.timeout_ms = 600001}, "machine_learning", "smallest that offers 601 s"},
        {{.memory_mb = 700, .cpu_milli = 1000, .timeout_ms = 1200000},
         "machine_learning",
         "smallest that offers 700 MB, 1 vCPU and 1,200 s"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        fixture->job.task_type = NULL;
        fixture->job.requirements = cases[i].needed;
        fixture->job.requirements.is_given = true;
        assert_chosen(fixture, cases[i].name, cases[i].reason);
    }
    fixture->job.requirements = (struct requirements){.is_given = true};
    assert_chosen(fixture, "quick_script", "smallest that offers python");
}

static void packages_are_matched_by_name_or_module_in_any_case(void **state)
{
    struct fixture *fixture = *state;
    fixture->job.task_type = "new_kind_of_task"; /* unknown, but it says what it needs */
    fixture->job.requirements = (struct requirements){.is_given = true, .packages = TEXTS("Pandas")};
    assert_chosen(fixture, "data_analysis", "smallest that offers Pandas");
    fixture->job.requirements.packages = TEXTS("pandas", "SKLearn");
    assert_chosen(fixture, "machine_learning", "smallest that offers pandas and SKLearn");
    fixture->job.requirements.packages = TEXTS("Scikit-Learn");
    fixture->job.requirements.memory_mb = 100;
    assert_chosen(fixture, "machine_learning", "smallest that offers 100 MB and Scikit-Learn");
    fixture->job.requirements = (struct requirements){.is_given = true, .packages = TEXTS("seaborn")};
    assert_chosen(fixture, "visualization", "smallest that offers seaborn");
}

static void what_lies_above_the_own_template_is_tried_first(void **state)
{
    struct fixture *fixture = *state;
    fixture->job.task_type = "data_analysis";
    fixture->job.requirements = (struct requirements){.is_given = true, .packages = TEXTS("torch")};
    assert_chosen(fixture, "machine_learning", "smallest from data_analysis up that offers torch");
    fixture->job.requirements.packages = TEXTS("oiq");
    assert_chosen(fixture, "quick_script", "smallest that offers oiq");
}

static void the_language_counts(void **state)
{
    struct fixture *fixture = *state;
    fixture->job.language = LANGUAGE_R;
    fixture->job.task_type = "data_analysis";
    assert_refused(
        fixture, CODE_UNSUPPORTED_LANGUAGE,
        "template data_analysis does not offer r, but python, javascript; templates that offer it: "
        "default");
    fixture->job.requirements = (struct requirements){.is_given = true, .memory_mb = 100};
    assert_chosen(fixture, "default", "smallest that offers 100 MB");
    fixture->job.requirements.memory_mb = 1024;
    assert_refused(fixture, CODE_UNSUPPORTED_LANGUAGE,
                   "no template that would do offers r; templates that offer it: default");
    fixture->catalog.entries[0].languages = 0;
    assert_refused(fixture, CODE_UNSUPPORTED_LANGUAGE,
                   "no template that would do offers r; templates that offer it: none");
}

static void a_named_template_is_taken_whatever_the_task_type(void **state)
{
    struct fixture *fixture = *state;
    fixture->job.task_type = "never heard of";
    fixture->job.template_name = "quick_script";
    assert_chosen(fixture, "quick_script", "named by the job");
    fixture->job.requirements = (struct requirements){.is_given = true, .memory_mb = 256};
    assert_chosen(fixture, "quick_script", "named by the job");
}

static void a_named_template_must_satisfy_by_itself(void **state)
{
    struct fixture *fixture = *state;
    fixture->job.template_name = "quick_script";
    fixture->job.requirements =
        (struct requirements){.is_given = true, .memory_mb = 1024, .packages = TEXTS("pandas")};
    assert_refused(
        fixture, CODE_NO_TEMPLATE_FITS,
        "the template that the job names does not offer 1,024 MB and pandas: quick_script has 256 MB, "
        "0.25 vCPU, 60 s");
    fixture->job.requirements = (struct requirements){0};
    fixture->job.language = LANGUAGE_JAVA;
    assert_refused(
        fixture, CODE_UNSUPPORTED_LANGUAGE,
        "template quick_script does not offer java, but python, javascript, bash; templates that offer "
        "it: default");
}

static void unknown_names_are_answered_with_the_nearest(void **state)
{
    struct fixture *fixture = *state;
    fixture->job.template_name = "data_analisys";
    assert_refused(fixture, CODE_UNKNOWN_TEMPLATE,
                   "there is no template \"data_analisys\"; did you mean \"data_analysis\"? known: default, "
                   "data_analysis, machine_learning, quick_script, visualization");
    fixture->job.template_name = "gpu";
    assert_refused(
        fixture, CODE_UNKNOWN_TEMPLATE,
        "there is no template \"gpu\"; known: default, data_analysis, machine_learning, quick_script, "
        "visualization");
    fixture->job.template_name = NULL;
    fixture->job.task_type = "generall";
    assert_refused(fixture, CODE_UNKNOWN_TASK_TYPE,
                   "no template is for task type \"generall\"; did you mean \"general\"? known: general, "
                   "data_analysis, machine_learning, ml, quick, quick_script, visualization");
    fixture->job.task_type = NULL;
    assert_refused(fixture, CODE_UNKNOWN_TASK_TYPE,
                   "the job has no task type and names neither a template nor requirements");
}

static void what_nobody_offers_is_refused_with_what_there_is(void **state)
{
    struct fixture *fixture = *state;
    fixture->job.requirements = (struct requirements){.is_given = true, .memory_mb = 16384};
    assert_refused(
        fixture, CODE_NO_TEMPLATE_FITS,
        "no template offers 16,384 MB; the largest, machine_learning, has 2,048 MB, 1 vCPU, 1,800 s");
    fixture->job.requirements = (struct requirements){.is_given = true, .packages = TEXTS("pandsa")};
    assert_refused(
        fixture, CODE_NO_TEMPLATE_FITS,
        "no template offers pandsa; the largest, machine_learning, has 2,048 MB, 1 vCPU, 1,800 s; none "
        "has pandsa, did you mean \"pandas\"?");
    fixture->job.requirements.packages = TEXTS("numpy", "torch");
    assert_refused(
        fixture, CODE_NO_TEMPLATE_FITS,
        "no template offers numpy and torch; the largest, machine_learning, has 2,048 MB, 1 vCPU, 1,800 s");
}

static void an_empty_catalogue_fits_nothing(void **state)
{
    struct fixture *fixture = *state;
    fixture->catalog.count = 0;
    assert_refused(fixture, CODE_UNKNOWN_TASK_TYPE, "no template is for task type \"general\"; known: none");
    fixture->job.requirements = (struct requirements){.is_given = true, .memory_mb = 1};
    assert_refused(fixture, CODE_NO_TEMPLATE_FITS, "no template offers 1 MB");
    fixture->job.template_name = "default";
    assert_refused(fixture, CODE_UNKNOWN_TEMPLATE, "there is no template \"default\"; known: none");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(entries_are_found_by_name_and_task_type),
        TEST(a_task_type_has_its_template),
        TEST(entries_of_several_sizes_on_one_template_say_whose_size_counts),
        TEST(the_own_template_is_kept_where_it_satisfies),
        TEST(else_the_smallest_that_fits),
        TEST(packages_are_matched_by_name_or_module_in_any_case),
        TEST(what_lies_above_the_own_template_is_tried_first),
        TEST(the_language_counts),
        TEST(a_named_template_is_taken_whatever_the_task_type),
        TEST(a_named_template_must_satisfy_by_itself),
        TEST(unknown_names_are_answered_with_the_nearest),
        TEST(what_nobody_offers_is_refused_with_what_there_is),
        TEST(an_empty_catalogue_fits_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
