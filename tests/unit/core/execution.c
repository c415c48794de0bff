#include "core/execution.h"
#include "test.h"
#include "walk.h"

#include <stdio.h>

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

enum { LOOK_MS = 10000, LOOKS_MAX = 3, LONG_MS = 1000000 };

static enum execution_order tell_after_stop(struct execution *execution, enum execution_event_kind kind,
                                            int64_t now_ms, int64_t awake_ms)
{
    struct execution_event event = {.kind = kind, .now_ms = now_ms, .awake_ms = awake_ms};
    event.code = kind == EXECUTION_EVENT_STEP_BROKEN ? CODE_STREAM_BROKEN : CODE_NONE;
    return execution_advance(execution, &event);
}

static enum execution_order tell(struct execution *execution, enum execution_event_kind kind, int64_t now_ms,
                                 enum code code)
{
    struct execution_event event = {.kind = kind, .now_ms = now_ms, .awake_ms = LONG_MS, .code = code};
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
    run.deadline_ms = 99000;
    assert_int_equal(tell(&run, EXECUTION_EVENT_STEP_ENDED, 100000, CODE_NONE), EXECUTION_ORDER_START);
    assert_int_equal(run.verdict, CODE_AGENT_TIMEOUT);
    assert_int_equal(run.verdict_step, 2);
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

/* Who was stopped comes late to its deadlines: how the run ended may lie in a socket, or in the sandbox, or
 * its start was only just sent. */
static void a_deadline_in_a_stop_leaves_a_moment_to_look(void **state)
{
    (void)state;
    struct execution run = begun(&code_plan, 1, 0);
    assert_int_equal(tell_after_stop(&run, EXECUTION_EVENT_DEADLINE, 80000, 0), EXECUTION_ORDER_WAIT);
    assert_int_equal(run.state, EXECUTION_RUNNING);
    assert_int_equal(run.deadline_ms, 90000);
    struct execution ended = run;
    assert_int_equal(tell_after_stop(&ended, EXECUTION_EVENT_STEP_ENDED, 80100, 100), EXECUTION_ORDER_START);
    assert_int_equal(ended.verdict, CODE_NONE);
    assert_int_equal(ended.step, 2);
    struct execution again = run; /* another stop */
    assert_int_equal(tell_after_stop(&again, EXECUTION_EVENT_DEADLINE, 99000, 0), EXECUTION_ORDER_WAIT);
    assert_int_equal(again.deadline_ms, 109000);
    assert_int_equal(tell_after_stop(&run, EXECUTION_EVENT_DEADLINE, 90000, LOOK_MS), EXECUTION_ORDER_STOP);
    assert_int_equal(run.verdict, CODE_RUN_TIMEOUT);
}

/* However little time there was between the deadline and the end of the stop, in either order. */
static void a_deadline_near_the_end_of_a_stop_leaves_a_moment_too(void **state)
{
    (void)state;
    for (int64_t awake_ms = 0; awake_ms < LOOK_MS; awake_ms += 50) {
        struct execution run = begun(&code_plan, 1, 0);
        int64_t deadline_ms = run.deadline_ms;
        assert_int_equal(tell_after_stop(&run, EXECUTION_EVENT_DEADLINE, deadline_ms, awake_ms),
                         EXECUTION_ORDER_WAIT);
        assert_int_equal(run.deadline_ms, deadline_ms + LOOK_MS - awake_ms);
        assert_int_equal(tell(&run, EXECUTION_EVENT_DEADLINE, run.deadline_ms, CODE_NONE),
                         EXECUTION_ORDER_STOP);
    }
}

static void a_start_that_was_held_back_keeps_its_time(void **state)
{
    (void)state;
    struct execution run = begun(&process_plan, 2, 0);
    int64_t deadline_ms = run.deadline_ms;
    execution_delay(&run, 20000);
    assert_int_equal(run.deadline_ms, deadline_ms + 20000);
    assert_int_equal(tell(&run, EXECUTION_EVENT_STEP_ENDED, deadline_ms + 19000, CODE_NONE),
                     EXECUTION_ORDER_START);
    assert_int_equal(run.verdict, CODE_NONE);
}

static void who_stumbles_on_and_on_times_out_in_the_end(void **state)
{
    (void)state;
    struct execution run = begun(&code_plan, 1, 0);
    int64_t deadline_ms = run.deadline_ms, now_ms = deadline_ms;
    for (int i = 0; i < LOOKS_MAX; i++, now_ms = run.deadline_ms)
        assert_int_equal(tell_after_stop(&run, EXECUTION_EVENT_DEADLINE, now_ms, 100), EXECUTION_ORDER_WAIT);
    assert_int_equal(tell_after_stop(&run, EXECUTION_EVENT_DEADLINE, now_ms, 100), EXECUTION_ORDER_STOP);
    assert_true(now_ms <= deadline_ms + LOOKS_MAX * LOOK_MS);
}

static void a_look_lasts_until_the_stream_had_its_chance(void **state)
{
    (void)state;
    struct execution run = begun(&process_plan, 2, 0);
    int64_t now_ms = run.deadline_ms;
    assert_int_equal(tell_after_stop(&run, EXECUTION_EVENT_STEP_BROKEN, now_ms, LOOK_MS - 1),
                     EXECUTION_ORDER_START);
    assert_true(run.deadline_ms >= run.start_at_ms + LOOK_MS / 2);
}

static void a_broken_stream_that_is_seen_after_a_stop_is_followed_once_more(void **state)
{
    (void)state;
    struct execution run = begun(&process_plan, 2, 0);
    assert_int_equal(tell_after_stop(&run, EXECUTION_EVENT_STEP_BROKEN, 200000, 0), EXECUTION_ORDER_START);
    assert_int_equal(run.step, 2);
    assert_int_equal(tell(&run, EXECUTION_EVENT_STEP_ENDED, 200100, CODE_NONE), EXECUTION_ORDER_START);
    assert_int_equal(run.verdict, CODE_NONE);
    assert_int_equal(run.step, 3);
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

static void the_clock_of_an_adopted_run_goes_on(void **state)
{
    (void)state;
    struct execution run;
    execution_init(&run, &process_plan);
    struct execution_event event = {
        .kind = EXECUTION_EVENT_SANDBOX_READY, .now_ms = 1000, .first_step = 2, .main_left_ms = 7};
    assert_int_equal(execution_advance(&run, &event), EXECUTION_ORDER_START);
    assert_int_equal(run.deadline_ms, 1007);
    assert_int_equal(tell(&run, EXECUTION_EVENT_DEADLINE, 1007, CODE_NONE), EXECUTION_ORDER_STOP);
}

/* "lint" may fail; that E2B refuses us is no failure of lint. */
static void what_makes_a_job_wait_is_not_forgiven(void **state)
{
    (void)state;
    struct execution run = begun(&process_plan, 1, 0);
    assert_int_equal(tell(&run, EXECUTION_EVENT_STEP_ENDED, 10, CODE_E2B_AUTH), EXECUTION_ORDER_END);
    assert_int_equal(run.verdict, CODE_E2B_AUTH);
}

/* ---- every state and every event ---- */

enum situation {
    WAITING,
    RUNNING_CLONE,
    RUNNING_LINT, /* may fail */
    RUNNING_AGENT,
    RUNNING_CODE, /* of the other plan: cannot be repeated */
    STOPPING_AGENT,
    COLLECTING_DIFF, /* for an agent that failed */
    COLLECTING_PATCH,
    ENDED,
    SITUATION_COUNT
};

struct row {
    enum situation situation;
    const char *ready, *adopted, *ended, *failed, *lost, *broken, *deadline, *gone, *cancel, *leave;
};

/* The order, the state after it, the step that is started, the verdict so far; "-": the event may not come.
 * adopted: at "patch", after AGENT_FAILED. failed: NONZERO_EXIT. lost: the step ended with SANDBOX_LOST. */
/* clang-format off */
static const struct row table[] = {
    {WAITING,
     .ready = "start running 0", .adopted = "start collecting 4 AGENT_FAILED",
     .ended = "-", .failed = "-", .lost = "-", .broken = "-", .deadline = "-",
     .gone = "end ended SANDBOX_LOST", .cancel = "end ended CANCELLED", .leave = "end ended left"},
    {RUNNING_CLONE,
     .ready = "-", .adopted = "-",
     .ended = "start running 1", .failed = "start collecting 3 NONZERO_EXIT", .lost = "end ended SANDBOX_LOST",
     .broken = "start running 0", .deadline = "stop stopping CLONE_TIMEOUT",
     .gone = "end ended SANDBOX_LOST", .cancel = "stop stopping CANCELLED", .leave = "end ended left"},
    {RUNNING_LINT,
     .ready = "-", .adopted = "-",
     .ended = "start running 2", .failed = "start running 2", .lost = "end ended SANDBOX_LOST",
     .broken = "start running 1", .deadline = "stop stopping STEP_TIMEOUT",
     .gone = "end ended SANDBOX_LOST", .cancel = "stop stopping CANCELLED", .leave = "end ended left"},
    {RUNNING_AGENT,
     .ready = "-", .adopted = "-",
     .ended = "start collecting 3", .failed = "start collecting 3 NONZERO_EXIT", .lost = "end ended SANDBOX_LOST",
     .broken = "start running 2", .deadline = "stop stopping AGENT_TIMEOUT",
     .gone = "end ended SANDBOX_LOST", .cancel = "stop stopping CANCELLED", .leave = "end ended left"},
    {RUNNING_CODE,
     .ready = "-", .adopted = "-",
     .ended = "start collecting 2", .failed = "start collecting 2 NONZERO_EXIT", .lost = "end ended SANDBOX_LOST",
     .broken = "end ended STREAM_BROKEN", .deadline = "stop stopping RUN_TIMEOUT",
     .gone = "end ended SANDBOX_LOST", .cancel = "stop stopping CANCELLED", .leave = "end ended left"},
    {STOPPING_AGENT,
     .ready = "-", .adopted = "-",
     .ended = "start collecting 3 AGENT_TIMEOUT", .failed = "start collecting 3 AGENT_TIMEOUT",
     .lost = "start collecting 3 AGENT_TIMEOUT", .broken = "start collecting 3 AGENT_TIMEOUT",
     .deadline = "start collecting 3 AGENT_TIMEOUT",
     .gone = "end ended AGENT_TIMEOUT", .cancel = "wait stopping AGENT_TIMEOUT",
     .leave = "end ended AGENT_TIMEOUT left"},
    {COLLECTING_DIFF,
     .ready = "-", .adopted = "-",
     .ended = "start collecting 4 NONZERO_EXIT", .failed = "start collecting 4 NONZERO_EXIT",
     .lost = "start collecting 4 NONZERO_EXIT", .broken = "start collecting 3 NONZERO_EXIT",
     .deadline = "start collecting 4 NONZERO_EXIT",
     .gone = "end ended NONZERO_EXIT", .cancel = "end ended NONZERO_EXIT", .leave = "end ended NONZERO_EXIT left"},
    {COLLECTING_PATCH,
     .ready = "-", .adopted = "-",
     .ended = "end ended", .failed = "end ended", .lost = "end ended", .broken = "start collecting 4",
     .deadline = "end ended",
     .gone = "end ended", .cancel = "end ended", .leave = "end ended left"},
    {ENDED,
     .ready = "-", .adopted = "-", .ended = "-", .failed = "-", .lost = "-", .broken = "-", .deadline = "-",
     .gone = "-", .cancel = "-", .leave = "-"},
};
/* clang-format on */

static struct execution in_situation(enum situation situation)
{
    struct execution run;
    execution_init(&run, situation == RUNNING_CODE ? &code_plan : &process_plan);
    if (situation == WAITING)
        return run;
    (void)tell(&run, EXECUTION_EVENT_SANDBOX_READY, 0, CODE_NONE);
    size_t steps_before[SITUATION_COUNT] = {
        [RUNNING_LINT] = 1,    [RUNNING_AGENT] = 2,    [RUNNING_CODE] = 1, [STOPPING_AGENT] = 2,
        [COLLECTING_DIFF] = 2, [COLLECTING_PATCH] = 4, [ENDED] = 5};
    for (size_t i = 0; i < steps_before[situation]; i++)
        (void)tell(&run, EXECUTION_EVENT_STEP_ENDED, 0, CODE_NONE);
    if (situation == STOPPING_AGENT)
        (void)tell(&run, EXECUTION_EVENT_DEADLINE, run.deadline_ms, CODE_NONE);
    if (situation == COLLECTING_DIFF)
        (void)tell(&run, EXECUTION_EVENT_STEP_ENDED, 0, CODE_NONZERO_EXIT);
    return run;
}

static void expect_cell(enum situation situation, struct execution_event event, const char *expected)
{
    static const char *const orders[] = {"wait", "start", "stop", "end"};
    struct execution run = in_situation(situation);
    char actual[80] = "-";
    if (execution_accepts(run.state, event.kind)) {
        event.now_ms = event.kind == EXECUTION_EVENT_DEADLINE ? run.deadline_ms : 10;
        event.awake_ms = LONG_MS;
        enum execution_order order = execution_advance(&run, &event);
        char step[24] = "";
        if (order == EXECUTION_ORDER_START)
            (void)snprintf(step, sizeof step, " %zu", run.step);
        (void)snprintf(actual, sizeof actual, "%s %s%s%s%s%s", orders[order], execution_state_name(run.state),
                       step, run.verdict ? " " : "", code_name(run.verdict), run.has_left ? " left" : "");
    }
    assert_text(actual, expected);
}

static void every_state_answers_every_event_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
        const struct row *row = &table[i];
        const struct {
            struct execution_event event;
            const char *expected;
        } cells[] = {
            {{.kind = EXECUTION_EVENT_SANDBOX_READY}, row->ready},
            {{.kind = EXECUTION_EVENT_SANDBOX_READY, .first_step = 4, .code = CODE_AGENT_FAILED},
             row->adopted},
            {{.kind = EXECUTION_EVENT_STEP_ENDED}, row->ended},
            {{.kind = EXECUTION_EVENT_STEP_ENDED, .code = CODE_NONZERO_EXIT}, row->failed},
            {{.kind = EXECUTION_EVENT_STEP_ENDED, .code = CODE_SANDBOX_LOST}, row->lost},
            {{.kind = EXECUTION_EVENT_STEP_BROKEN, .code = CODE_STREAM_BROKEN}, row->broken},
            {{.kind = EXECUTION_EVENT_DEADLINE}, row->deadline},
            {{.kind = EXECUTION_EVENT_SANDBOX_GONE, .code = CODE_SANDBOX_LOST}, row->gone},
            {{.kind = EXECUTION_EVENT_CANCEL}, row->cancel},
            {{.kind = EXECUTION_EVENT_LEAVE}, row->leave},
        };
        for (size_t k = 0; k < ARRAY_LENGTH(cells); k++)
            expect_cell(row->situation, cells[k].event, cells[k].expected);
    }
}

/* The ledger tells a cancel until it has the verdict; only another one ends what saves the outcome. */
static void a_cancel_that_is_told_again_does_not_cut_the_final_steps_short(void **state)
{
    (void)state;
    struct execution run = in_situation(RUNNING_LINT);
    assert_int_equal(tell(&run, EXECUTION_EVENT_CANCEL, 10, CODE_NONE), EXECUTION_ORDER_STOP);
    assert_int_equal(tell(&run, EXECUTION_EVENT_STEP_ENDED, 20, CODE_NONE), EXECUTION_ORDER_START);
    assert_int_equal(tell(&run, EXECUTION_EVENT_CANCEL, 30, CODE_NONE), EXECUTION_ORDER_WAIT);
    assert_int_equal(run.state, EXECUTION_COLLECTING);
    assert_int_equal(run.verdict, CODE_CANCELLED);
}

/* ---- random walks ---- */

struct stroll {
    struct walk walk;
    struct execution run;
    const struct plan *plan;
    int64_t now_ms, main_until_ms;
    size_t first_step;
    unsigned starts[5];
    bool is_done[5]; /* main steps that ended well, or badly and are allowed to */
    unsigned events, stops;
};

static enum execution_event_kind next_kind(struct stroll *stroll)
{
    static const enum execution_event_kind often[] = {
        EXECUTION_EVENT_SANDBOX_READY, EXECUTION_EVENT_STEP_ENDED,  EXECUTION_EVENT_STEP_ENDED,
        EXECUTION_EVENT_STEP_ENDED,    EXECUTION_EVENT_STEP_BROKEN, EXECUTION_EVENT_DEADLINE};
    static const enum execution_event_kind seldom[] = {EXECUTION_EVENT_SANDBOX_GONE, EXECUTION_EVENT_CANCEL,
                                                       EXECUTION_EVENT_LEAVE};
    struct walk *walk = &stroll->walk;
    enum execution_event_kind kind;
    do
        kind = walk_one_in(walk, 30) ? seldom[walk_below(walk, ARRAY_LENGTH(seldom))]
                                     : often[walk_below(walk, ARRAY_LENGTH(often))];
    while (!execution_accepts(stroll->run.state, kind));
    return kind;
}

static struct execution_event next_event(struct stroll *stroll)
{
    static const enum code ends[] = {CODE_NONE,         CODE_NONE,         CODE_NONE,     CODE_NONE,
                                     CODE_NONZERO_EXIT, CODE_SANDBOX_LOST, CODE_E2B_AUTH, CODE_DISK_FULL};
    struct walk *walk = &stroll->walk;
    struct execution_event event = {.kind = next_kind(stroll)};
    if (event.kind == EXECUTION_EVENT_DEADLINE)
        stroll->now_ms = MAX(stroll->now_ms, stroll->run.deadline_ms) + walk_below(walk, 3);
    else if (walk_one_in(walk, 8) && stroll->run.deadline_ms != INT64_MAX) /* around the deadline, or late */
        stroll->now_ms = MAX(stroll->now_ms, stroll->run.deadline_ms - 2 + walk_below(walk, 5));
    else
        stroll->now_ms += walk_below(walk, 9000);
    event.awake_ms = LONG_MS;
    if (walk_one_in(walk, 200)) { /* this worker was stopped */
        stroll->now_ms += walk_below(walk, 200000);
        event.awake_ms = walk_below(walk, 2 * LOOK_MS);
    }
    event.now_ms = stroll->now_ms;
    if (event.kind == EXECUTION_EVENT_STEP_ENDED)
        event.code = ends[walk_below(walk, ARRAY_LENGTH(ends))];
    else if (event.kind == EXECUTION_EVENT_STEP_BROKEN)
        event.code = walk_one_in(walk, 4) ? CODE_INPUT_FETCH_FAILED : CODE_STREAM_BROKEN;
    else if (event.kind == EXECUTION_EVENT_SANDBOX_GONE)
        event.code = CODE_SANDBOX_LOST;
    else if (event.kind == EXECUTION_EVENT_SANDBOX_READY && walk_one_in(walk, 4)) {
        event.first_step = (size_t)walk_below(walk, (int64_t)stroll->plan->step_count + 1);
        event.code = ends[walk_below(walk, ARRAY_LENGTH(ends))];
        event.main_left_ms = walk_below(walk, 2 * stroll->plan->main_ms);
    }
    return event;
}

static void note_event(struct stroll *stroll, const struct execution_event *event)
{
    const struct execution *run = &stroll->run;
    if (event->kind == EXECUTION_EVENT_SANDBOX_READY) {
        stroll->first_step = event->first_step;
        stroll->main_until_ms = event->now_ms + stroll->plan->main_ms;
    }
    bool is_end = event->kind == EXECUTION_EVENT_STEP_ENDED ||
                  (event->kind == EXECUTION_EVENT_STEP_BROKEN && !code_is_retried(event->code));
    if (run->state != EXECUTION_RUNNING || !is_end)
        return;
    bool is_forgiven = stroll->plan->steps[run->step].continue_on_failure && !code_is_retried(event->code) &&
                       !code_waits(event->code);
    stroll->is_done[run->step] = event->code == CODE_NONE || is_forgiven;
}

static void check_start(struct stroll *stroll, size_t step_before)
{
    const struct execution *run = &stroll->run;
    const struct plan *plan = stroll->plan;
    bool is_final = run->step >= plan->final_from;
    WALK_HOLDS(&stroll->walk, run->step < plan->step_count && run->step >= step_before);
    WALK_HOLDS(&stroll->walk, is_final == (run->state == EXECUTION_COLLECTING));
    WALK_HOLDS(&stroll->walk, run->deadline_ms > stroll->now_ms && run->start_at_ms >= stroll->now_ms);
    WALK_HOLDS(&stroll->walk, is_final || run->verdict == CODE_NONE);
    WALK_HOLDS(&stroll->walk, is_final || run->deadline_ms <= stroll->main_until_ms);
    WALK_HOLDS(&stroll->walk, !is_final || (!code_is_retried(run->verdict) && !code_waits(run->verdict)));
    unsigned starts = ++stroll->starts[run->step];
    WALK_HOLDS(&stroll->walk, starts <= (plan->steps[run->step].verb == STEP_RUN_CODE ? 1 : 3));
}

static void check_end(struct stroll *stroll)
{
    const struct execution *run = &stroll->run;
    WALK_HOLDS(&stroll->walk, run->deadline_ms == INT64_MAX);
    if (run->verdict != CODE_NONE || run->has_left)
        return;
    for (size_t i = stroll->first_step; i < stroll->plan->final_from; i++)
        WALK_HOLDS(&stroll->walk, stroll->is_done[i]); /* success is never claimed for what was not done */
}

static void step_once(struct stroll *stroll, unsigned long cells[][EXECUTION_EVENT_COUNT])
{
    struct execution *run = &stroll->run;
    struct execution before = *run;
    struct execution_event event = next_event(stroll);
    cells[run->state][event.kind]++;
    note_event(stroll, &event);
    enum execution_order order = execution_advance(run, &event);
    WALK_HOLDS(&stroll->walk, run->looks <= LOOKS_MAX);
    if (run->looks > before.looks) {
        int64_t late_ms = event.now_ms - before.deadline_ms;
        WALK_HOLDS(&stroll->walk, late_ms >= 0 && event.awake_ms < LOOK_MS);
        stroll->main_until_ms = MAX(stroll->main_until_ms + late_ms, event.now_ms + LOOK_MS);
    }
    WALK_HOLDS(&stroll->walk, run->state >= before.state);
    WALK_HOLDS(&stroll->walk, before.verdict == CODE_NONE || run->verdict == before.verdict);
    WALK_HOLDS(&stroll->walk, before.state != EXECUTION_COLLECTING || run->verdict == before.verdict);
    WALK_HOLDS(&stroll->walk, event.kind != EXECUTION_EVENT_LEAVE || run->verdict == before.verdict);
    WALK_HOLDS(&stroll->walk, run->has_left == (event.kind == EXECUTION_EVENT_LEAVE));
    WALK_HOLDS(&stroll->walk, (order == EXECUTION_ORDER_END) == (run->state == EXECUTION_ENDED));
    WALK_HOLDS(&stroll->walk, (order == EXECUTION_ORDER_STOP) ==
                                  (run->state == EXECUTION_STOPPING && before.state != EXECUTION_STOPPING));
    if (order == EXECUTION_ORDER_START)
        check_start(stroll, before.state == EXECUTION_WAITING ? 0 : before.step);
    if (order == EXECUTION_ORDER_STOP)
        WALK_HOLDS(&stroll->walk, run->deadline_ms > stroll->now_ms);
    if (order == EXECUTION_ORDER_END)
        check_end(stroll);
}

static void a_million_random_walks_keep_the_promise(void **state)
{
    (void)state;
    static unsigned long cells[EXECUTION_STATE_COUNT][EXECUTION_EVENT_COUNT];
    memset(cells, 0, sizeof cells);
    for (uint64_t i = 0; i < WALK_COUNT; i++) {
        struct stroll stroll = {.plan = i % 2 ? &code_plan : &process_plan};
        walk_begin(&stroll.walk, WALK_FIRST_SEED + i);
        execution_init(&stroll.run, stroll.plan);
        while (stroll.run.state != EXECUTION_ENDED) {
            step_once(&stroll, cells);
            WALK_HOLDS(&stroll.walk, ++stroll.events < 100);
        }
    }
    for (int s = 0; s < EXECUTION_STATE_COUNT; s++)
        for (int k = 0; k < EXECUTION_EVENT_COUNT; k++)
            assert_true(execution_accepts((enum execution_state)s, (enum execution_event_kind)k) ==
                        (cells[s][k] > 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_used_up_budget_starts_no_further_step),
        cmocka_unit_test(a_step_that_breaks_at_its_deadline_is_out_of_time),
        cmocka_unit_test(a_deadline_in_a_stop_leaves_a_moment_to_look),
        cmocka_unit_test(a_deadline_near_the_end_of_a_stop_leaves_a_moment_too),
        cmocka_unit_test(a_start_that_was_held_back_keeps_its_time),
        cmocka_unit_test(who_stumbles_on_and_on_times_out_in_the_end),
        cmocka_unit_test(a_look_lasts_until_the_stream_had_its_chance),
        cmocka_unit_test(a_broken_stream_that_is_seen_after_a_stop_is_followed_once_more),
        cmocka_unit_test(an_adopted_run_goes_on_where_its_records_say),
        cmocka_unit_test(the_clock_of_an_adopted_run_goes_on),
        cmocka_unit_test(what_makes_a_job_wait_is_not_forgiven),
        cmocka_unit_test(every_state_answers_every_event_as_the_table_says),
        cmocka_unit_test(a_cancel_that_is_told_again_does_not_cut_the_final_steps_short),
        cmocka_unit_test(a_million_random_walks_keep_the_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
