#include "core/execution.h"
#include "test.h"

/* The two shapes of plans: an interpreter's, whose code may not be sent twice, and one of processes, whose
 * second step is allowed to fail. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_used_up_budget_starts_no_further_step),
        cmocka_unit_test(a_step_that_breaks_at_its_deadline_is_out_of_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
