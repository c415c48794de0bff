#include "core/plan.h"
#include "base/buffer.h"
#include "core/cost.h"
#include "core/fixture.h"
#include "test.h"

struct fixture {
    struct arena arena;
    struct catalog catalog;
    struct plan_rules rules;
    struct job job;
    struct plan plan;
    const char *message;
};

static int set_up(void **state)
{
    struct fixture *fixture = base_alloc(sizeof *fixture);
    arena_init(&fixture->arena, 0);
    fixture->catalog = fixture_catalog();
    fixture->job = fixture_job();
    fixture->rules =
        (struct plan_rules){.global_max = 19, .max_attempts = 3, .outputs = {65536, 65536, 524288, 16}};
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

static enum code compile(struct fixture *fixture)
{
    fixture->message = "";
    return plan_compile(&fixture->job, &fixture->catalog, &fixture->rules, &fixture->arena, &fixture->plan,
                        &fixture->message);
}

static const struct plan *compiled(struct fixture *fixture)
{
    enum code code = compile(fixture);
    assert_text(fixture->message, "");
    assert_text(code_name(code), "");
    return &fixture->plan;
}

static void assert_refused(struct fixture *fixture, enum code expected, const char *sentence)
{
    fixture->plan = (struct plan){.digest = 77};
    assert_text(code_name(compile(fixture)), code_name(expected));
    assert_text(fixture->message, sentence);
    assert_int_equal(fixture->plan.digest, 77);
}

static void assert_step(const struct step *step, const char *name, enum step_verb verb, int64_t timeout_ms,
                        enum code on_failure, enum code on_timeout)
{
    assert_text(step->name, name);
    assert_int_equal(step->verb, verb);
    assert_int_equal(step->timeout_ms, timeout_ms);
    assert_int_equal(step->on_failure, on_failure);
    assert_int_equal(step->on_timeout, on_timeout);
    assert_false(step->continue_on_failure);
}

static void assert_texts(const struct text_list *texts, const char *joined)
{
    CLEANUP(buffer_release) struct buffer text = {0};
    for (size_t i = 0; i < texts->count; i++)
        buffer_append_format(&text, "%s%s", i ? " " : "", texts->items[i]);
    assert_text(text.data, joined);
}

/* ---- Steps ---- */

static void plain_code_is_one_step(void **state)
{
    const struct plan *plan = compiled(*state);
    assert_int_equal(plan->step_count, 1);
    assert_int_equal(plan->final_from, 1);
    assert_step(&plan->steps[0], "run", STEP_RUN_CODE, 300000, CODE_RUNTIME_ERROR, CODE_RUN_TIMEOUT);
    assert_text(plan->steps[0].as.code->text, "print(1)");
    assert_int_equal(plan->main_ms, 300000);
    assert_int_equal(plan->final_ms, 60000);
    assert_int_equal(plan->run_mode, RUN_MODE_INTERPRETER);
    assert_text(plan->placement.reason, "task type general");
}

static void every_language_runs_by_the_interpreter(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[LANGUAGE_COUNT] = {"python", "javascript", "typescript",
                                                      "bash",   "r",          "java"};
    for (unsigned language = 0; language < LANGUAGE_COUNT; language++) {
        fixture->job.language = (enum language)language;
        const struct plan *plan = compiled(fixture);
        assert_int_equal(plan->steps[0].verb, STEP_RUN_CODE);
        assert_text(plan->steps[0].as.code->language, names[language]);
    }
}

static void every_language_but_typescript_runs_as_a_process(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        enum language language;
        const char *argv, *source;
    } cases[] = {
        {LANGUAGE_PYTHON, "python3 -u {driver} .e2b-worker/code/main.py one two", ".e2b-worker/code/main.py"},
        {LANGUAGE_JAVASCRIPT, "node .e2b-worker/code/main.js one two", ".e2b-worker/code/main.js"},
        {LANGUAGE_BASH, "bash .e2b-worker/code/main.sh one two", ".e2b-worker/code/main.sh"},
        {LANGUAGE_R, "Rscript .e2b-worker/code/main.R one two", ".e2b-worker/code/main.R"},
        {LANGUAGE_JAVA, "java .e2b-worker/code/main.java one two", ".e2b-worker/code/main.java"},
    };
    fixture->job.run_mode = RUN_MODE_PROCESS;
    fixture->job.args = TEXTS("one", "two");
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        fixture->job.language = cases[i].language;
        const struct plan *plan = compiled(fixture);
        assert_int_equal(plan->run_mode, RUN_MODE_PROCESS);
        assert_int_equal(plan->step_count, 2);
        assert_int_equal(plan->final_from, 2);
        assert_step(&plan->steps[0], "files", STEP_PUT_FILES, 60000, CODE_STREAM_BROKEN,
                    CODE_SANDBOX_UNRESPONSIVE);
        const struct put_files *put = plan->steps[0].as.put;
        assert_int_equal(put->count, 1);
        assert_text(put->items[0].path, cases[i].source);
        assert_int_equal(put->items[0].content.length, 8);
        assert_step(&plan->steps[1], "run", STEP_RUN_PROCESS, 300000, CODE_NONZERO_EXIT, CODE_RUN_TIMEOUT);
        const struct process_spec *process = plan->steps[1].as.process;
        assert_texts(&process->argv, cases[i].argv);
        assert_int_equal(process->has_rich_results, cases[i].language == LANGUAGE_PYTHON);
        assert_null(process->input);
        assert_null(process->cwd);
        assert_int_equal(plan->main_ms, 360000);
    }
    fixture->job.language = LANGUAGE_TYPESCRIPT;
    assert_refused(
        fixture, CODE_UNSUPPORTED_LANGUAGE,
        "typescript runs by the interpreter only: say run_mode interpreter, and use neither args nor "
        "stdin");
}

static void javascript_modules_are_named_so(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *code;
        bool is_module;
    } cases[] = {
        {"import fs from 'fs'\n", true},
        {"// x\n  import {a} from 'b'\n", true},
        {"import'x'", true},
        {"const a = 1\nexport default a\n", true},
        {"const a = await import('b')\n", false},
        {"import('b').then(f)\n", false},
        {"const fs = require('fs')\n", false},
        {"/* import x\nimport y */ const fs = require('fs')\n", false},
        {"important = 1\nexports.a = 1\n", false},
        {"import", false},
        {"", false},
    };
    fixture->job.language = LANGUAGE_JAVASCRIPT;
    fixture->job.run_mode = RUN_MODE_PROCESS;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        fixture->job.code = cases[i].code;
        fixture->job.code_length = strlen(cases[i].code);
        const char *path = compiled(fixture)->steps[0].as.put->items[0].path;
        assert_text(path, cases[i].is_module ? ".e2b-worker/code/main.mjs" : ".e2b-worker/code/main.js");
    }
}

static void files_come_first_and_artifacts_last(void **state)
{
    struct fixture *fixture = *state;
    struct input_file files[] = {{.path = "a.csv", .content = {"1,2", 3}, .mode = 0600},
                                 {.path = "b/c.txt", .content = {"x", 1}}};
    fixture->job.files = files;
    fixture->job.file_count = 2;
    fixture->job.artifacts = TEXTS("*.png", "out/**");
    const struct plan *plan = compiled(fixture);
    assert_int_equal(plan->step_count, 3);
    assert_int_equal(plan->final_from, 2);
    assert_int_equal(plan->steps[0].verb, STEP_PUT_FILES);
    assert_int_equal(plan->steps[0].as.put->count, 2);
    assert_int_equal(plan->steps[0].as.put->items[0].mode, 0600);
    assert_int_equal(plan->steps[1].verb, STEP_RUN_CODE);
    assert_step(&plan->steps[2], "artifacts", STEP_GET_FILES, 60000, CODE_ARTIFACT_FAILED,
                CODE_ARTIFACT_FAILED);
    assert_int_equal(plan->steps[2].as.get->max_bytes, 524288);
    assert_int_equal(plan->steps[2].as.get->max_count, 16);
    assert_texts(plan->steps[2].as.get->globs, "*.png out/**");
    assert_int_equal(plan->main_ms, 360000);
    fixture->job.run_mode = RUN_MODE_PROCESS;
    plan = compiled(fixture);
    assert_int_equal(plan->steps[0].as.put->count, 3);
    assert_text(plan->steps[0].as.put->items[2].path, ".e2b-worker/code/main.py");
}

static void no_input_file_may_lie_in_our_directory(void **state)
{
    struct fixture *fixture = *state;
    static const char *const ours[] = {".e2b-worker", ".e2b-worker/x", "/home/user/.e2b-worker/code/main.py"};
    static const char *const theirs[] = {".e2b-workers/x", "a/.e2b-worker/x", "/tmp/.e2b-worker/x"};
    struct input_file file = {0};
    fixture->job.files = &file;
    fixture->job.file_count = 1;
    for (size_t i = 0; i < ARRAY_LENGTH(ours); i++) {
        file.path = ours[i];
        assert_int_equal(compile(fixture), CODE_FILE_PATH_INVALID);
    }
    assert_text(fixture->message,
                "/files/0/path: \"/home/user/.e2b-worker/code/main.py\" lies in .e2b-worker, "
                "which is the worker's own");
    for (size_t i = 0; i < ARRAY_LENGTH(theirs); i++) {
        file.path = theirs[i];
        (void)compiled(fixture);
    }
}

static void the_mode_is_the_jobs_else_the_templates(void **state)
{
    struct fixture *fixture = *state;
    fixture->job.task_type = "ml";
    assert_int_equal(compiled(fixture)->run_mode, RUN_MODE_PROCESS);
    fixture->job.run_mode = RUN_MODE_INTERPRETER;
    assert_int_equal(compiled(fixture)->run_mode, RUN_MODE_INTERPRETER);
}

static void input_and_environment_go_where_the_mode_says(void **state)
{
    struct fixture *fixture = *state;
    struct pair pairs[] = {{"A", "1"}};
    fixture->job.env = (struct pair_list){pairs, 1};
    const struct plan *plan = compiled(fixture);
    assert_int_equal(plan->sandbox_env.count, 1);
    fixture->job.run_mode = RUN_MODE_PROCESS;
    fixture->job.has_input = true;
    fixture->job.input = "line\n";
    fixture->job.input_length = 5;
    fixture->catalog.entries[0].cpu_percent = 50;
    plan = compiled(fixture);
    assert_int_equal(plan->sandbox_env.count, 0);
    assert_int_equal(plan->steps[1].as.process->env.count, 1);
    assert_text(plan->steps[1].as.process->input, "line\n");
    assert_int_equal(plan->steps[1].as.process->input_length, 5);
    assert_int_equal(plan->steps[1].as.process->cpu_percent, 50);
}

static void the_timeout_is_capped_by_the_template(void **state)
{
    struct fixture *fixture = *state;
    fixture->job.timeout_ms = 5000;
    assert_int_equal(compiled(fixture)->steps[0].timeout_ms, 5000);
    fixture->job.timeout_ms = 900000;
    assert_int_equal(compiled(fixture)->steps[0].timeout_ms, 300000);
}

static void other_kinds_are_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture->job.kind = JOB_AGENT;
    assert_refused(fixture, CODE_UNSUPPORTED_FEATURE,
                   "/kind: this version runs jobs of kind code, not agent");
    fixture->job.kind = JOB_COMMANDS;
    assert_refused(fixture, CODE_UNSUPPORTED_FEATURE,
                   "/kind: this version runs jobs of kind code, not commands");
}

/* ---- Limits, bounds, network ---- */

static void assert_limits(const struct plan *plan, const struct plan_limit *expected, size_t count)
{
    assert_int_equal(plan->limit_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_text(plan->limits[i].name, expected[i].name);
        assert_int_equal(plan->limits[i].max, expected[i].max);
    }
}

static void limits_come_from_narrow_to_wide(void **state)
{
    struct fixture *fixture = *state;
    static const struct plan_limit widest[] = {
        {"n:acme", PLAN_UNBOUNDED}, {"t:default", PLAN_UNBOUNDED}, {"c:standard", PLAN_UNBOUNDED}, {"g", 19}};
    assert_limits(compiled(fixture), widest, ARRAY_LENGTH(widest));
    fixture->catalog.entries[0].max_concurrent = 5;
    fixture->rules.tenant_max = 7;
    fixture->rules.class_max[PRIORITY_BATCH] = 13;
    fixture->rules.interactive_reserve = 3;
    fixture->job.priority = PRIORITY_BATCH;
    static const struct plan_limit narrow[] = {
        {"n:acme", 7}, {"t:default", 5}, {"c:batch", 13}, {"g", 19}, {"r:interactive", 3}};
    assert_limits(compiled(fixture), narrow, ARRAY_LENGTH(narrow));
}

static void tenants_have_their_own_maximum_and_weight(void **state)
{
    struct fixture *fixture = *state;
    const struct plan_limit own[] = {{"other", 1}, {"acme", 4}}, weights[] = {{"acme", 3}};
    assert_int_equal(compiled(fixture)->tenant_weight, 1);
    fixture->rules.tenants = own;
    fixture->rules.tenant_count = 2;
    fixture->rules.weights = weights;
    fixture->rules.weight_count = 1;
    const struct plan *plan = compiled(fixture);
    assert_text(plan->limits[0].name, "n:acme");
    assert_int_equal(plan->limits[0].max, 4);
    assert_int_equal(plan->tenant_weight, 3);
    fixture->job.tenant_id = "third";
    plan = compiled(fixture);
    assert_text(plan->limits[0].name, "n:third");
    assert_int_equal(plan->limits[0].max, PLAN_UNBOUNDED);
}

static void jobs_may_only_lower_bounds_and_attempts(void **state)
{
    struct fixture *fixture = *state;
    fixture->catalog.entries[0].limits.stderr_bytes = 1000;
    fixture->catalog.entries[0].limits.artifact_count = 99;
    const struct plan *plan = compiled(fixture);
    assert_int_equal(plan->outputs.stdout_bytes, 65536);
    assert_int_equal(plan->outputs.stderr_bytes, 1000);
    assert_int_equal(plan->outputs.artifact_bytes, 524288);
    assert_int_equal(plan->outputs.artifact_count, 99);
    assert_int_equal(plan->max_attempts, 3);
    fixture->job.limits = (struct output_limits){0, 2000, 600000, 50};
    fixture->job.max_attempts = 1;
    plan = compiled(fixture);
    assert_int_equal(plan->outputs.stdout_bytes, 0);
    assert_int_equal(plan->outputs.stderr_bytes, 1000);
    assert_int_equal(plan->outputs.artifact_bytes, 524288);
    assert_int_equal(plan->outputs.artifact_count, 50);
    assert_int_equal(plan->max_attempts, 1);
    fixture->job.max_attempts = 10;
    assert_int_equal(compiled(fixture)->max_attempts, 3);
    fixture->rules.max_attempts = 0;
    assert_int_equal(compiled(fixture)->max_attempts, 1);
}

static void requirements_and_network_agree_or_are_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture->job.requirements = (struct requirements){.is_given = true, .forbids_network = true};
    assert_int_equal(compiled(fixture)->network->mode, NETWORK_OFF);
    fixture->job.network.mode = NETWORK_RULES;
    assert_refused(fixture, CODE_INVALID_JOB,
                   "/requirements/network forbids the network that /network has rules for");
    fixture->job.requirements = (struct requirements){.is_given = true, .needs_network = true};
    assert_int_equal(compiled(fixture)->network->mode, NETWORK_RULES);
    fixture->job.network.mode = NETWORK_OFF;
    assert_refused(fixture, CODE_INVALID_JOB,
                   "/requirements/network needs the network that /network turns off");
}

static void the_choice_of_a_template_is_passed_on(void **state)
{
    struct fixture *fixture = *state;
    fixture->job.template_name = "defalt";
    assert_int_equal(compile(fixture), CODE_UNKNOWN_TEMPLATE);
    assert_non_null(strstr(fixture->message, "did you mean \"default\"?"));
}

static void the_highest_cost_counts_final_steps_only_where_there_are_any(void **state)
{
    struct fixture *fixture = *state;
    const struct template_entry *entry = &fixture->catalog.entries[0];
    assert_int_equal(plan_highest_cost(compiled(fixture)), cost_nano_usd(entry, 300000));
    fixture->job.artifacts = TEXTS("*.png");
    assert_int_equal(plan_highest_cost(compiled(fixture)), cost_nano_usd(entry, 360000));
}

static void verbs_have_names(void **state)
{
    (void)state;
    assert_text(step_verb_name(STEP_PUT_FILES), "put_files");
    assert_text(step_verb_name(STEP_RUN_CODE), "run_code");
    assert_text(step_verb_name(STEP_RUN_PROCESS), "run_process");
    assert_text(step_verb_name(STEP_GET_FILES), "get_files");
}

/* ---- Digest ---- */

/* A job with everything said; each number changes one thing of it or of its surroundings; from 101 on
 * nothing that would be done. */
static uint64_t digest_with(struct fixture *fixture, enum run_mode mode, unsigned change)
{
    fixture->catalog = fixture_catalog();
    struct input_file files[] = {{.path = change == 1 ? "b" : "a",
                                  .content = {change == 2 ? "y" : "x", 1},
                                  .mode = change == 3 ? 0755 : 0644}};
    struct pair pairs[] = {{change == 4 ? "B" : "A", change == 5 ? "2" : "1"}};
    const char *allow[] = {change == 6 ? "b.org" : "a.org"};
    struct job *job = &fixture->job;
    *job = fixture_job();
    job->files = files;
    job->file_count = 1;
    job->env = (struct pair_list){pairs, 1};
    job->network = (struct network){.mode = NETWORK_RULES, .allow = {allow, change == 7 ? 0 : 1}};
    job->artifacts = change == 8 ? TEXTS("*.jpg") : TEXTS("*.png");
    job->code = change == 9 ? "print(2)" : "print(1)";
    job->language = change == 10 ? LANGUAGE_BASH : LANGUAGE_PYTHON;
    job->timeout_ms = change == 11 ? 1001 : 1000;
    job->limits = UNSAID;
    job->limits.stdout_bytes = change == 12 ? 11 : 10;
    job->limits.artifact_count = change == 13 ? 3 : 2;
    job->run_mode = mode;
    if (change == 14)
        fixture->catalog.entries[0].template_id = "other";
    const char *args[] = {change == 15 ? "a" : "ab", "b"};
    if (mode == RUN_MODE_PROCESS) {
        job->args = (struct text_list){args, change == 19 ? 2 : 1};
        job->has_input = change != 16;
        job->input = change == 17 ? "j" : "i";
        job->input_length = 1;
        fixture->catalog.entries[0].cpu_percent = change == 18 ? 50 : 25;
    }
    job->job_id = change == 101 ? "j2" : "j1";
    job->priority = change == 102 ? PRIORITY_BATCH : PRIORITY_STANDARD;
    job->template_name = change == 103 ? "default" : NULL;
    job->max_attempts = change == 104 ? 1 : 0;
    fixture->catalog.entries[0].max_concurrent = change == 105 ? 2 : 0;
    fixture->catalog.entries[0].nano_usd_per_gib_s = change == 106 ? 1 : 4500;
    return compiled(fixture)->digest;
}

static void the_digest_changes_with_everything_that_is_done(void **state)
{
    struct fixture *fixture = *state;
    uint64_t seen[40];
    size_t count = 0;
    for (unsigned change = 0; change <= 14; change++)
        seen[count++] = digest_with(fixture, RUN_MODE_INTERPRETER, change);
    for (unsigned change = 0; change <= 19; change++)
        seen[count++] = digest_with(fixture, RUN_MODE_PROCESS, change);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
}

static void the_digest_stays_whatever_else_changes(void **state)
{
    struct fixture *fixture = *state;
    const struct plan_limit own[] = {{"acme", 4}};
    uint64_t digest = digest_with(fixture, RUN_MODE_PROCESS, 0);
    assert_true(digest == digest_with(fixture, RUN_MODE_PROCESS, 0));
    fixture->rules.tenants = own;
    fixture->rules.tenant_count = 1;
    fixture->rules.global_max = 3;
    fixture->rules.class_max[PRIORITY_STANDARD] = 2;
    fixture->rules.max_attempts = 1;
    fixture->rules.weights = own;
    fixture->rules.weight_count = 1;
    assert_true(digest == digest_with(fixture, RUN_MODE_PROCESS, 0));
    for (unsigned change = 101; change <= 106; change++)
        assert_true(digest == digest_with(fixture, RUN_MODE_PROCESS, change));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(plain_code_is_one_step),
        TEST(every_language_runs_by_the_interpreter),
        TEST(every_language_but_typescript_runs_as_a_process),
        TEST(javascript_modules_are_named_so),
        TEST(files_come_first_and_artifacts_last),
        TEST(no_input_file_may_lie_in_our_directory),
        TEST(the_mode_is_the_jobs_else_the_templates),
        TEST(input_and_environment_go_where_the_mode_says),
        TEST(the_timeout_is_capped_by_the_template),
        TEST(other_kinds_are_refused),
        TEST(limits_come_from_narrow_to_wide),
        TEST(tenants_have_their_own_maximum_and_weight),
        TEST(jobs_may_only_lower_bounds_and_attempts),
        TEST(requirements_and_network_agree_or_are_refused),
        TEST(the_choice_of_a_template_is_passed_on),
        TEST(the_highest_cost_counts_final_steps_only_where_there_are_any),
        TEST(verbs_have_names),
        TEST(the_digest_changes_with_everything_that_is_done),
        TEST(the_digest_stays_whatever_else_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
