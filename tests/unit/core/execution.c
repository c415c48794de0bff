#include "core/execution.h"
#include "test.h"

/* The two shapes of plans: an interpreter's, whose code may not be sent twice, and one of processes, whose
 * second step is allowed to fail. */
static const struct step code_steps[] = {
    {.name = "files",
     .timeout_ms = 30000,
     .verb = STEP_PUT_FILES,
     .on_failure = CODE_DISK_FULL,
     .on_timeout = CODE_STREAM_BROKEN},
    {.name = "run",
     .timeout_ms = 60000,
     .verb = STEP_RUN_CODE,
     .on_failure = CODE_RUNTIME_ERROR,
     .on_timeout = CODE_RUN_TIMEOUT},
    {.name = "artifacts",
     .timeout_ms = 20000,
     .verb = STEP_GET_FILES,
     .on_failure = CODE_ARTIFACT_FAILED,
     .on_timeout = CODE_ARTIFACT_FAILED},
    {.name = "more artifacts",
     .timeout_ms = 20000,
     .verb = STEP_GET_FILES,
     .on_failure = CODE_ARTIFACT_FAILED,
     .on_timeout = CODE_ARTIFACT_FAILED},
};
static const struct plan code_plan = {
    .steps = code_steps, .step_count = 4, .final_from = 2, .main_ms = 60000, .final_ms = 30000};

static const struct step process_steps[] = {
    {.name = "clone",
     .timeout_ms = 30000,
     .verb = STEP_RUN_PROCESS,
     .on_failure = CODE_REPO_NOT_FOUND,
     .on_timeout = CODE_CLONE_TIMEOUT},
    {.name = "lint",
     .timeout_ms = 30000,
     .verb = STEP_RUN_PROCESS,
     .continue_on_failure = true,
     .on_failure = CODE_NONZERO_EXIT,
     .on_timeout = CODE_STEP_TIMEOUT},
    {.name = "agent",
     .timeout_ms = 90000,
     .verb = STEP_RUN_PROCESS,
     .on_failure = CODE_AGENT_FAILED,
     .on_timeout = CODE_AGENT_TIMEOUT},
    {.name = "diff",
     .timeout_ms = 20000,
     .verb = STEP_RUN_PROCESS,
     .on_failure = CODE_ARTIFACT_FAILED,
     .on_timeout = CODE_ARTIFACT_FAILED},
    {.name = "patch",
     .timeout_ms = 20000,
     .verb = STEP_GET_FILES,
     .on_failure = CODE_ARTIFACT_FAILED,
     .on_timeout = CODE_ARTIFACT_FAILED},
};
static const struct plan process_plan = {
    .steps = process_steps, .step_count = 5, .final_from = 3, .main_ms = 100000, .final_ms = 30000};

static enum execution_order tell(struct execution *execution, enum execution_event_kind kind, int64_t now_ms,
                                 enum code code)
{
    struct execution_event event = {.kind = kind, .now_ms = now_ms, .code = code};
    return execution_advance(execution, &event);
}

static struct execution begun(const struct plan *plan, size_t first_step, int64_t now_ms)
{
    struct execution execution;
    execution_init(&execution, plan);
    struct execution_event event = {
        .kind = EXECUTION_EVENT_SANDBOX_READY, .now_ms = now_ms, .first_step = first_step};
    assert_int_equal(execution_advance(&execution, &event), EXECUTION_ORDER_START);
    return execution;
}

/* The loop may be late: a step's end can be told after the time of its section was over. */
static void a_used_up_budget_starts_no_further_step(void **state)
{
    (void)state;
    struct execution run = begun(&process_plan, 1, 0);
    assert_int_equal(tell(&run, EXECUTION_EVENT_STEP_ENDED, 100000, CODE_NONE), EXECUTION_ORDER_START);
    assert_int_equal(run.verdict, CODE_AGENT_TIMEOUT);
    assert_int_equal(run.step, 3);
    assert_int_equal(tell(&run, EXECUTION_EVENT_STEP_ENDED, 130000, CODE_NONE), EXECUTION_ORDER_END);
}

static void a_step_that_breaks_at_its_deadline_is_out_of_time(void **state)
{
    (void)state;
    struct execution run = begun(&process_plan, 0, 0);
    assert_int_equal(tell(&run, EXECUTION_EVENT_STEP_BROKEN, 30000, CODE_STREAM_BROKEN),
                     EXECUTION_ORDER_STOP);
    assert_int_equal(run.verdict, CODE_CLONE_TIMEOUT);
}

static void an_adopted_run_goes_on_where_its_records_say(void **state)
{
    (void)state;
    static const struct {
        const struct plan *plan;
        size_t first_step;
        enum code code;
        enum execution_order order;
        size_t step;
    } samples[] = {
        {&process_plan, 2, CODE_NONE, EXECUTION_ORDER_START, 2},
        {&process_plan, 1, CODE_REPO_NOT_FOUND, EXECUTION_ORDER_START, 3}, /* no main step after a failure */
        {&process_plan, 4, CODE_AGENT_FAILED, EXECUTION_ORDER_START, 4},
        {&process_plan, 5, CODE_NONE, EXECUTION_ORDER_END, 0},
        {&process_plan, 1, CODE_CLONE_FAILED, EXECUTION_ORDER_END, 0}, /* repeated: collects nothing */
        {&code_plan, 2, CODE_STREAM_BROKEN, EXECUTION_ORDER_END, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        struct execution run;
        execution_init(&run, samples[i].plan);
        struct execution_event event = {.kind = EXECUTION_EVENT_SANDBOX_READY,
                                        .first_step = samples[i].first_step,
                                        .code = samples[i].code};
        assert_int_equal(execution_advance(&run, &event), samples[i].order);
        assert_int_equal(run.verdict, samples[i].code);
        if (samples[i].order == EXECUTION_ORDER_START)
            assert_int_equal(run.step, samples[i].step);
    }
}

/* "lint" may fail; that E2B refuses us is no failure of lint. */
static void what_makes_a_job_wait_is_not_forgiven(void **state)
{
    (void)state;
    struct execution run = begun(&process_plan, 1, 0);
    assert_int_equal(tell(&run, EXECUTION_EVENT_STEP_ENDED, 10, CODE_E2B_AUTH), EXECUTION_ORDER_END);
    assert_int_equal(run.verdict, CODE_E2B_AUTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_used_up_budget_starts_no_further_step),
        cmocka_unit_test(a_step_that_breaks_at_its_deadline_is_out_of_time),
        cmocka_unit_test(an_adopted_run_goes_on_where_its_records_say),
        cmocka_unit_test(what_makes_a_job_wait_is_not_forgiven),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
