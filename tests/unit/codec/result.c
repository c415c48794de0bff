/* Results: the fields of the contract, texts made clean, and that the verdict survives every size. */
#include "codec/result.h"
#include "base/random.h"
#include "base/utf8.h"
#include "test.h"

#include <jansson.h>
#include <stdio.h>

static const struct output_limits limits = {65536, 65536, 524288, 16};

static struct template_entry entry = {
    .name = "data_analysis", .template_id = "code-interpreter-v1", .memory_mb = 1024, .cpu_milli = 2000};
static struct plan plan = {.placement = {.entry = &entry, .reason = "task type data_analysis"},
                           .run_mode = RUN_MODE_INTERPRETER};
static struct pair labels[] = {{"team", "blue"}};
static struct job job = {.job_id = "j1",
                         .tenant_id = "default",
                         .key = "default/j1",
                         .task_type = "data_analysis",
                         .labels = {labels, 1},
                         .correlation_id = "c1",
                         .from = {.topic = "e2b.jobs.data_analysis", .partition = 2, .offset = 7}};

static struct result_source source_of(const struct outcome *outcome)
{
    return (struct result_source){.job = &job,
                                  .plan = &plan,
                                  .outcome = outcome,
                                  .worker_id = "w1",
                                  .worker_version = "0.1.0",
                                  .price_version = "2026-01"};
}

static void append(struct capture *capture, const char *text)
{
    capture_append(capture, (struct bytes){text, strlen(text)});
}

static json_t *encode(const struct outcome *outcome, size_t max_bytes, enum result_cut expected)
{
    CLEANUP(buffer_release) struct buffer out = {0};
    struct result_source source = source_of(outcome);
    assert_int_equal(result_encode(&source, max_bytes, &out), expected);
    assert_true(out.length <= max_bytes);
    json_error_t why;
    json_t *root = json_loadb(out.data, out.length, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        fail_msg("%s: %s", why.text, out.data);
    return root;
}

static void a_succeeded_result_is_as_the_contract_says(void **state)
{
    (void)state;
    struct outcome outcome;
    outcome_init(&outcome, &limits);
    append(&outcome.out, "hi\n");
    outcome.exit_code = 0;
    outcome.nano_usd = 32500;
    outcome.sandbox_ms = 1001;
    outcome.timing = (struct timing){1, 2, 3, 4, 5, -1, 15, 1700000000000, 1700000000015};
    outcome.usage =
        (struct usage){.cpu_ms = 9, .peak_memory_bytes = -1, .disk_bytes = -1, .source = "sandbox"};
    *outcome_attempt(&outcome) =
        (struct attempt_report){.n = 1, .sandbox_id = "sb1", .ms = 1001, .nano_usd = 32500};
    outcome_count_attempt(&outcome);
    static struct step_report steps[] = {{.name = "run", .ms = 5}};
    outcome.steps = steps;
    outcome.step_count = 1;
    static const char bundle[] = "{\"text\":\"2\",\"is_main_result\":true}";
    outcome_add_result(&outcome, (struct bytes){bundle, strlen(bundle)});
    struct buffer content = {0};
    buffer_append_text(&content, "a,b");
    assert_true(outcome_add_artifact(&outcome, "out/x.csv", &content, 1000, 10));
    CLEANUP(buffer_release) struct buffer out = {0};
    struct result_source source = source_of(&outcome);
    assert_int_equal(result_encode(&source, 65536, &out), RESULT_WHOLE);
    assert_text(
        out.data,
        "{\"job_id\":\"j1\",\"task_type\":\"data_analysis\",\"tenant_id\":\"default\",\"labels\":{\"team\":"
        "\"blue\"},"
        "\"correlation_id\":\"c1\",\"batch_id\":null,\"status\":\"succeeded\",\"error\":null,\"exit_code\":0,"
        "\"signal\":null,\"stdout\":{\"text\":\"hi\\n\",\"bytes_total\":3,\"truncated\":false},"
        "\"stderr\":{\"text\":\"\",\"bytes_total\":0,\"truncated\":false},"
        "\"results\":[{\"text\":\"2\",\"is_main_result\":true}],"
        "\"steps\":[{\"name\":\"run\",\"code\":null,\"exit_code\":0,\"ms\":5,\"output\":null}],"
        "\"artifacts\":[{\"path\":\"out/x.csv\",\"bytes\":3,"
        "\"sha256\":\"1eb7c54d52831bbfe8942af0b1c56b7409523a59ed6ca99c1174fef7eb32c1b5\",\"mime\":\"text/"
        "csv\","
        "\"content_base64\":\"YSxi\",\"uri\":null}],"
        "\"attempts\":[{\"n\":1,\"sandbox_id\":\"sb1\",\"code\":null,\"ms\":1001,\"nano_usd\":32500,"
        "\"adopted\":"
        "false}],"
        "\"timing\":{\"queued_ms\":1,\"permit_wait_ms\":2,\"create_ms\":3,\"prepare_ms\":4,\"run_ms\":5,"
        "\"collect_ms\":null,\"total_ms\":15,\"started_at\":\"2023-11-14T22:13:20.000Z\","
        "\"finished_at\":\"2023-11-14T22:13:20.015Z\"},"
        "\"usage\":{\"cpu_ms\":9,\"peak_memory_bytes\":null,\"disk_bytes\":null,\"source\":\"sandbox\"},"
        "\"cost\":{\"nano_usd\":32500,\"wasted_nano_usd\":0,\"vcpu\":2,\"memory_mb\":1024,\"seconds\":2,"
        "\"price_version\":\"2026-01\"},"
        "\"placement\":{\"template\":\"data_analysis\",\"template_id\":\"code-interpreter-v1\",\"vcpu\":2,"
        "\"memory_mb\":1024,\"reason\":\"task type data_analysis\"},"
        "\"ran_on\":{\"worker_id\":\"w1\",\"worker_version\":\"0.1.0\",\"run_mode\":\"interpreter\","
        "\"topic\":\"e2b.jobs.data_analysis\",\"partition\":2,\"offset\":7},"
        "\"cache\":{\"hit\":false,\"key\":null,\"source_job_id\":null},\"warnings\":[],"
        "\"hints\":{\"missing_modules\":[]},\"possible_repeat\":false}");
    outcome_release(&outcome);
}

static void every_code_has_its_status_and_category(void **state)
{
    (void)state;
    for (int code = CODE_NONE + 1; code < CODE_COUNT; code++) {
        struct outcome outcome;
        outcome_init(&outcome, &limits);
        outcome_blame(&outcome, (enum code)code, "run", "it went wrong");
        json_auto_t *root = encode(&outcome, 65536, RESULT_WHOLE);
        const json_t *error = json_object_get(root, "error");
        assert_text(json_string_value(json_object_get(error, "code")), code_name((enum code)code));
        assert_text(json_string_value(json_object_get(root, "status")),
                    status_name(code_status((enum code)code)));
        assert_true(json_is_boolean(json_object_get(error, "retryable")));
        assert_true(json_is_null(json_object_get(error, "provider")));
        outcome_release(&outcome);
    }
}

static void a_users_exception_names_the_missing_modules(void **state)
{
    (void)state;
    struct outcome outcome;
    outcome_init(&outcome, &limits);
    outcome_blame(&outcome, CODE_RUNTIME_ERROR, "run", "the code raised ModuleNotFoundError");
    outcome_set_exception(&outcome, "ModuleNotFoundError", "No module named 'xgboost.core'", "Traceback");
    append(&outcome.err, "No module named pip\nNo module named 'xgboost.core'\nNo module named ");
    json_auto_t *root = encode(&outcome, 65536, RESULT_WHOLE);
    const json_t *modules = json_object_get(json_object_get(root, "hints"), "missing_modules");
    assert_int_equal(json_array_size(modules), 2);
    assert_text(json_string_value(json_array_get(modules, 0)), "xgboost.core");
    assert_text(json_string_value(json_array_get(modules, 1)), "pip");
    outcome_release(&outcome);
}

static void what_a_sandbox_made_up_is_left_out(void **state)
{
    (void)state;
    static const char *const hostile[] = {
        "", "{", "[1]", "{\"a\":1}}", "{\"a\":\"\xff\"}", "{\"a\":NaN}", "{\"text\":\"ok\"}"};
    struct outcome outcome;
    outcome_init(&outcome, &limits);
    for (size_t i = 0; i < ARRAY_LENGTH(hostile); i++)
        outcome_add_result(&outcome, (struct bytes){hostile[i], strlen(hostile[i])});
    CLEANUP(buffer_release) struct buffer deep = {0};
    buffer_append_text(&deep, "{\"a\":");
    for (int i = 0; i < 500; i++)
        buffer_append_byte(&deep, '[');
    for (int i = 0; i < 500; i++)
        buffer_append_byte(&deep, ']');
    buffer_append_byte(&deep, '}');
    outcome_add_result(&outcome, buffer_bytes(&deep));
    append(&outcome.out, "\xff\x01\"\\");
    json_auto_t *root = encode(&outcome, 65536, RESULT_WHOLE);
    assert_int_equal(json_array_size(json_object_get(root, "results")), 1);
    assert_text(json_string_value(json_object_get(json_object_get(root, "stdout"), "text")),
                "\xef\xbf\xbd\x01\"\\");
    assert_int_equal(json_array_size(json_object_get(root, "warnings")), 1);
    outcome_release(&outcome);
}

static void bodies_go_in_the_order_that_is_promised(void **state)
{
    (void)state;
    struct outcome outcome;
    outcome_init(&outcome, &limits);
    static char large[30000];
    memset(large, 'x', sizeof large);
    for (int i = 0; i < 2; i++) {
        struct buffer content = {0};
        buffer_append(&content, large, i == 0 ? 20000 : 1000);
        assert_true(outcome_add_artifact(&outcome, i == 0 ? "large" : "small", &content, 100000, 10));
    }
    CLEANUP(buffer_release) struct buffer bundle = {0};
    buffer_append_text(&bundle, "{\"png\":\"");
    buffer_append(&bundle, large, 5000);
    buffer_append_text(&bundle, "\",\"is_main_result\":true}");
    outcome_add_result(&outcome, buffer_bytes(&bundle));
    capture_append(&outcome.out, (struct bytes){large, 4000});
    json_auto_t *first = encode(&outcome, 20000, RESULT_CUT);
    json_t *artifacts = json_object_get(first, "artifacts");
    assert_true(json_is_null(json_object_get(json_array_get(artifacts, 0), "content_base64")));
    assert_true(json_is_string(json_object_get(json_array_get(artifacts, 1), "content_base64")));
    assert_text(json_string_value(json_array_get(json_object_get(first, "warnings"), 0)),
                "left out to fit into 20000 bytes: bodies of artifacts");
    json_auto_t *second = encode(&outcome, 8000, RESULT_CUT);
    json_t *result = json_array_get(json_object_get(second, "results"), 0);
    assert_true(json_is_true(json_object_get(result, "is_main_result")));
    assert_true(json_integer_value(json_object_get(result, "left_out_bytes")) > 5000);
    json_t *out = json_object_get(second, "stdout");
    assert_int_equal(json_string_length(json_object_get(out, "text")), 4000);
    json_auto_t *third = encode(&outcome, 4096, RESULT_CUT);
    out = json_object_get(third, "stdout");
    assert_true(json_is_true(json_object_get(out, "truncated")));
    assert_int_equal(json_integer_value(json_object_get(out, "bytes_total")), 4000);
    assert_true(json_string_length(json_object_get(out, "text")) > 900);
    outcome_release(&outcome);
}

/* A text of up to max bytes, of the worst that each byte can be. */
static char *hostile_text(struct random *random, size_t max)
{
    static const char *const pieces[] = {"a",    "\x01",         "\"", "\\",
                                         "\xff", "\xe2\x82\xac", "\n", "No module named 'a'"};
    CLEANUP(buffer_release) struct buffer text = {0};
    const char *favourite = pieces[random_below(random, ARRAY_LENGTH(pieces))];
    size_t length = random_below(random, max + 1);
    while (text.length + 20 < length)
        buffer_append_text(
            &text, random_below(random, 4) ? favourite : pieces[random_below(random, ARRAY_LENGTH(pieces))]);
    return buffer_take(&text);
}

static void fill_hostile(struct random *random, struct outcome *outcome, struct step_report *steps)
{
    outcome->code = (enum code)random_below(random, CODE_COUNT);
    enum { MESSAGE_BYTES = 320, STAGE_BYTES = 32, CODE_BYTES = 48 };
    outcome->message = hostile_text(random, MESSAGE_BYTES);
    outcome->stage = memset(base_alloc(STAGE_BYTES), 1, STAGE_BYTES - 1);
    outcome->provider_code = memset(base_alloc(CODE_BYTES), '"', CODE_BYTES - 1);
    CLEANUP(base_freep) char *value = hostile_text(random, 20000), *traceback = hostile_text(random, 20000);
    outcome_set_exception(outcome, value, value, traceback);
    CLEANUP(base_freep) char *out = hostile_text(random, 70000), *err = hostile_text(random, 5000);
    append(&outcome->out, out);
    append(&outcome->err, err);
    for (size_t i = 0; i < random_below(random, 20); i++) {
        CLEANUP(base_freep) char *body = hostile_text(random, 3000);
        struct buffer content = {0};
        buffer_append_text(&content, body);
        if (!outcome_add_artifact(outcome, value, &content, 1 << 20, 16))
            buffer_release(&content);
        outcome_add_result(outcome, (struct bytes){"{\"text\":\"0123456789\"}", 21});
        outcome_warn(outcome, "%s", body);
    }
    for (size_t i = random_below(random, OUTCOME_ATTEMPTS_MAX + 1); i > 0; i--) {
        struct attempt_report *attempt = outcome_attempt(outcome);
        *attempt = (struct attempt_report){
            .n = INT64_MAX, .ms = INT64_MAX, .nano_usd = INT64_MAX, .code = CODE_DEPENDENCY_INSTALL_FAILED};
        memset(attempt->sandbox_id, 1, sizeof attempt->sandbox_id - 1);
        outcome_count_attempt(outcome);
    }
    outcome->steps = steps;
    outcome->step_count = 40;
    outcome->nano_usd = outcome->wasted_nano_usd = INT64_MAX;
    outcome->timing = (struct timing){INT64_MAX, INT64_MAX, INT64_MAX,     INT64_MAX,    INT64_MAX,
                                      INT64_MAX, INT64_MAX, 1700000000000, 1700000000000};
}

static void the_verdict_survives_every_size(void **state)
{
    (void)state;
    struct random random;
    random_init_seed(&random, 42);
    for (int round = 0; round < 400; round++) {
        static const size_t sizes[] = {4096, 4097, 5000, 10000, 70000, 900 * 1024};
        static struct step_report steps[40];
        struct outcome outcome;
        outcome_init(&outcome, &limits);
        for (size_t i = 0; i < ARRAY_LENGTH(steps); i++)
            steps[i] = (struct step_report){
                .name = "a step with a long name", .code = CODE_DEPENDENCY_INSTALL_FAILED, .exit_code = 255};
        fill_hostile(&random, &outcome, steps);
        char id[65], long_id[257], label[257];
        memset(id, 'x', 64);
        id[64] = '\0';
        memset(long_id, '"', 256);
        memset(label, '\\', 256);
        long_id[256] = label[256] = '\0';
        struct pair many[] = {{"a", label}, {"b", label}, {"c", label}, {"d", label}, {"e", label}};
        struct job hostile = job;
        hostile.job_id = hostile.tenant_id = hostile.task_type = id;
        hostile.correlation_id = hostile.batch_id = long_id;
        hostile.labels = (struct pair_list){many, ARRAY_LENGTH(many)};
        struct template_entry long_entry = entry;
        long_entry.name = long_entry.template_id = label;
        struct plan long_plan = plan;
        long_plan.placement = (struct placement){&long_entry, label};
        struct result_source source = source_of(&outcome);
        source.job = &hostile;
        source.plan = random_below(&random, 2) ? &long_plan : NULL;
        source.worker_id = source.worker_version = source.price_version = label;
        size_t max = sizes[random_below(&random, ARRAY_LENGTH(sizes))];
        CLEANUP(buffer_release) struct buffer out = {0};
        buffer_append_text(&out, "before");
        enum result_cut cut = result_encode(&source, max, &out);
        assert_true(out.length - 6 <= max);
        json_error_t why;
        json_auto_t *root = json_loadb(out.data + 6, out.length - 6, JSON_REJECT_DUPLICATES, &why);
        if (!root)
            fail_msg("%s", why.text);
        assert_text(json_string_value(json_object_get(root, "job_id")), id);
        assert_text(json_string_value(json_object_get(root, "status")),
                    status_name(code_status(outcome.code)));
        if (outcome.code != CODE_NONE)
            assert_text(json_string_value(json_object_get(json_object_get(root, "error"), "code")),
                        code_name(outcome.code));
        assert_int_equal(json_object_size(root), 25);
        if (cut == RESULT_CUT)
            assert_non_null(strstr(json_string_value(json_array_get(json_object_get(root, "warnings"), 0)),
                                   "left out to fit"));
        outcome_release(&outcome);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_succeeded_result_is_as_the_contract_says),
        cmocka_unit_test(every_code_has_its_status_and_category),
        cmocka_unit_test(a_users_exception_names_the_missing_modules),
        cmocka_unit_test(what_a_sandbox_made_up_is_left_out),
        cmocka_unit_test(bodies_go_in_the_order_that_is_promised),
        cmocka_unit_test(the_verdict_survives_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
