#include "core/code.h"
#include "test.h"

enum { NO = 0, RETRIED = 1, WAITS = 2, DLQ = 4 };

/* The contract, written out: a change here breaks callers and dashboards. */
static const struct {
    const char *name, *status, *category;
    unsigned flags;
} contract[] = {
    {"JOB_ID_CONFLICT", "rejected", "user", DLQ},
    {"INVALID_JOB", "rejected", "user", DLQ},
    {"UNKNOWN_TASK_TYPE", "rejected", "user", NO},
    {"UNKNOWN_TEMPLATE", "rejected", "user", NO},
    {"UNSUPPORTED_LANGUAGE", "rejected", "user", NO},
    {"UNSUPPORTED_FEATURE", "rejected", "user", NO},
    {"PAYLOAD_TOO_LARGE", "rejected", "user", NO},
    {"FILE_PATH_INVALID", "rejected", "user", NO},
    {"FILE_CONFLICT", "rejected", "user", NO},
    {"NO_TEMPLATE_FITS", "rejected", "user", NO},
    {"SECRET_DETECTED", "rejected", "policy", NO},
    {"SECRET_NOT_FOUND", "rejected", "user", NO},
    {"POLICY_DENIED", "rejected", "policy", NO},
    {"BUDGET_EXCEEDED", "rejected", "policy", NO},
    {"SYNTAX_ERROR", "failed", "user", NO},
    {"RUNTIME_ERROR", "failed", "user", NO},
    {"NONZERO_EXIT", "failed", "user", NO},
    {"SIGNALED", "failed", "user", NO},
    {"OUT_OF_MEMORY", "failed", "user", NO},
    {"DISK_FULL", "failed", "user", NO},
    {"DEPENDENCY_INSTALL_FAILED", "failed", "user", NO},
    {"INPUT_FETCH_FAILED", "failed", "user", NO},
    {"RUN_TIMEOUT", "timed_out", "user", NO},
    {"STEP_TIMEOUT", "timed_out", "user", NO},
    {"REPO_NOT_FOUND", "failed", "user", NO},
    {"REPO_AUTH_FAILED", "failed", "user", NO},
    {"CLONE_FAILED", "failed", "provider", RETRIED},
    {"CLONE_TIMEOUT", "timed_out", "user", NO},
    {"AGENT_FAILED", "failed", "user", NO},
    {"AGENT_TIMEOUT", "timed_out", "user", NO},
    {"AGENT_NO_CHANGES", "failed", "user", NO},
    {"PUSH_FAILED", "failed", "user", NO},
    {"SESSION_LOST", "failed", "provider", NO},
    {"SESSION_BUSY", "failed", "capacity", NO},
    {"CANCELLED", "cancelled", "user", NO},
    {"JOB_EXPIRED", "expired", "capacity", NO},
    {"QUEUE_TIMEOUT", "expired", "capacity", NO},
    {"TEMPLATE_NOT_FOUND", "failed", "platform", NO},
    {"TEMPLATE_MISCONFIGURED", "failed", "platform", NO},
    {"SANDBOX_CREATE_FAILED", "failed", "provider", RETRIED},
    {"SANDBOX_LOST", "failed", "provider", RETRIED},
    {"SANDBOX_UNRESPONSIVE", "failed", "provider", RETRIED},
    {"STREAM_BROKEN", "failed", "provider", RETRIED},
    {"INTERNAL", "failed", "platform", RETRIED},
    {"ARTIFACT_FAILED", "failed", "provider", NO},
    {"WORKER_CRASHED", "failed", "platform", DLQ},
    {"E2B_AUTH", "failed", "platform", WAITS},
    {"E2B_RATE_LIMITED", "failed", "capacity", WAITS},
    {"E2B_QUOTA", "failed", "capacity", WAITS},
    {"E2B_CAPACITY", "failed", "capacity", WAITS},
    {"LIMITER_NOT_READY", "failed", "platform", WAITS},
};

static void codes_follow_the_contract_row_by_row(void **state)
{
    (void)state;
    assert_int_equal(ARRAY_LENGTH(contract), CODE_COUNT - 1);
    for (size_t i = 0; i < ARRAY_LENGTH(contract); i++) {
        enum code code = (enum code)(i + 1);
        assert_text(code_name(code), contract[i].name);
        assert_text(status_name(code_status(code)), contract[i].status);
        assert_text(category_name(code_category(code)), contract[i].category);
        assert_int_equal(code_is_retried(code), (contract[i].flags & RETRIED) != 0);
        assert_int_equal(code_waits(code), (contract[i].flags & WAITS) != 0);
        assert_int_equal(code_goes_to_dlq(code), (contract[i].flags & DLQ) != 0);
    }
}

static void names_are_unique_and_parse_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(contract); i++) {
        enum code code = CODE_NONE;
        assert_true(code_parse(contract[i].name, &code));
        assert_int_equal(code, i + 1);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(contract[i].name, contract[j].name);
    }
    enum code code = CODE_INTERNAL;
    assert_false(code_parse("", &code));
    assert_false(code_parse("internal", &code));
    assert_false(code_parse("NONE", &code));
    assert_int_equal(code, CODE_INTERNAL);
}

static void no_code_is_success(void **state)
{
    (void)state;
    assert_text(code_name(CODE_NONE), "");
    assert_int_equal(code_status(CODE_NONE), STATUS_SUCCEEDED);
    assert_false(code_is_retried(CODE_NONE) || code_waits(CODE_NONE) || code_goes_to_dlq(CODE_NONE));
}

static void hints_are_sentences_or_nothing(void **state)
{
    (void)state;
    for (unsigned code = 0; code < CODE_COUNT; code++) {
        const char *hint = code_hint((enum code)code);
        assert_non_null(hint);
        if (hint[0])
            assert_int_equal(hint[strlen(hint) - 1], '.');
    }
}

static void statuses_parse_back(void **state)
{
    (void)state;
    static const char *const names[] = {"succeeded", "failed",   "timed_out",
                                        "cancelled", "rejected", "expired"};
    assert_int_equal(ARRAY_LENGTH(names), STATUS_COUNT);
    for (unsigned i = 0; i < STATUS_COUNT; i++) {
        enum status status = STATUS_COUNT;
        assert_true(status_parse(names[i], &status));
        assert_int_equal(status, i);
        assert_text(status_name(status), names[i]);
    }
    enum status status = STATUS_FAILED;
    assert_false(status_parse("done", &status));
    assert_int_equal(status, STATUS_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_follow_the_contract_row_by_row),
        cmocka_unit_test(names_are_unique_and_parse_back),
        cmocka_unit_test(no_code_is_success),
        cmocka_unit_test(hints_are_sentences_or_nothing),
        cmocka_unit_test(statuses_parse_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
