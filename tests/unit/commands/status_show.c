#include "status_show.h"

#include "test.h"

#include <stdio.h>

static const struct command_job job = {"j1", "acme", "acme/j1"};
static const struct ledger_condition ready = {.why = "", .workers = 2, .rebuilding_ms = -1};
static const struct ledger_condition rebuilding = {
    .why = "the ledger is being rebuilt", .workers = 2, .rebuilding_ms = 12000, .waiting_for = 1};

static struct ledger_claim claim_of(const char *state)
{
    return (struct ledger_claim){.state = state,
                                 .owner = "",
                                 .permit = "",
                                 .sandbox = "",
                                 .mode = "",
                                 .status = "",
                                 .origin = "",
                                 .until_ms = -1,
                                 .run_until_ms = -1,
                                 .partition = -1,
                                 .offset = -1,
                                 .waits_at = ""};
}

static struct ledger_claim running(void)
{
    struct ledger_claim claim = claim_of("running");
    claim.owner = "w1.0a1b2c3d";
    claim.permit = "p-1";
    claim.sandbox = "s-1";
    claim.mode = "process";
    claim.attempt = 2;
    claim.is_owner_alive = true;
    claim.run_until_ms = 65000;
    claim.until_ms = 125000;
    return claim;
}

static struct last_event event_of(enum event_kind kind)
{
    return (struct last_event){.view = {.kind = kind,
                                        .type = "e2b-worker.job.x.v1",
                                        .data = {"{\"a\":\n1}", 8},
                                        .attempt = -1,
                                        .max_attempts = -1,
                                        .delay_ms = -1,
                                        .waited_ms = -1,
                                        .exit_code = -1,
                                        .signal = -1,
                                        .queued_ms = -1,
                                        .permit_wait_ms = -1,
                                        .create_ms = -1,
                                        .run_ms = -1,
                                        .total_ms = -1,
                                        .nano_usd = -1,
                                        .first_partition = -1,
                                        .first_offset = -1},
                               .unix_ms = 1000,
                               .partition = 1,
                               .offset = 5};
}

static struct job_facts facts_of(const struct ledger_claim *claim, const struct last_event *event)
{
    return (struct job_facts){.job = &job,
                              .condition = &ready,
                              .claim = claim,
                              .results = "e2b.results",
                              .looked_back_ms = event ? 3600000 : -1,
                              .event = event,
                              .now_unix_ms = 9000};
}

static void assert_shown(const struct job_facts *facts, const char *expected)
{
    CLEANUP(buffer_release) struct buffer out = {0};
    status_show(facts, &out);
    assert_text(out.data, expected);
}

static void assert_encoded(const struct job_facts *facts, const char *part)
{
    CLEANUP(buffer_release) struct buffer out = {0};
    status_encode(facts, &out);
    assert_null(strchr(out.data, '\n'));
    if (!strstr(out.data, part))
        fail_msg("no %s in:\n%s", part, out.data);
}

static void the_place_follows_from_claim_and_event(void **state)
{
    (void)state;
    static const struct {
        const char *claim; /* NULL: the ledger was not asked */
        enum event_kind event;
        enum job_place place;
    } cases[] = {
        {"none", EVENT_KIND_OTHER, JOB_UNKNOWN},      {"none", EVENT_KIND_WAITING, JOB_WAITING},
        {"none", EVENT_KIND_RETRYING, JOB_WAITING},   {"none", EVENT_KIND_STARTED, JOB_RUNNING},
        {"none", EVENT_KIND_FINISHED, JOB_FINISHED},  {NULL, EVENT_KIND_OTHER, JOB_UNKNOWN},
        {NULL, EVENT_KIND_STARTED, JOB_RUNNING},      {NULL, EVENT_KIND_FINISHED, JOB_FINISHED},
        {"idle", EVENT_KIND_OTHER, JOB_WAITING},      {"idle", EVENT_KIND_STARTED, JOB_WAITING},
        {"idle", EVENT_KIND_FINISHED, JOB_FINISHED}, /* a mark of a cancel that came too late */
        {"parked", EVENT_KIND_OTHER, JOB_PARKED},     {"running", EVENT_KIND_OTHER, JOB_RUNNING},
        {"sealed", EVENT_KIND_OTHER, JOB_PUBLISHING}, {"done", EVENT_KIND_OTHER, JOB_FINISHED},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct ledger_claim claim = claim_of(cases[i].claim ? cases[i].claim : "none");
        struct last_event event = event_of(cases[i].event);
        struct job_facts facts =
            facts_of(cases[i].claim ? &claim : NULL, cases[i].event != EVENT_KIND_OTHER ? &event : NULL);
        assert_int_equal(status_place(&facts), cases[i].place);
    }
    struct ledger_claim begun = claim_of("idle");
    struct last_event finished = event_of(EVENT_KIND_FINISHED); /* of a former use of this id */
    begun.attempt = 1;
    assert_int_equal(status_place(&(struct job_facts){.claim = &begun, .event = &finished}), JOB_WAITING);
}

static void a_running_job_shows_worker_sandbox_and_what_is_left(void **state)
{
    (void)state;
    struct ledger_claim claim = running();
    struct job_facts facts = facts_of(&claim, NULL);
    assert_shown(&facts, "job j1 of tenant acme: running\n"
                         "  attempt 2 by worker w1\n"
                         "  sandbox s-1, process mode, for at most 1 min 5 s more\n");
    claim.is_cancelled = true;
    claim.crashes = 1;
    claim.is_owner_alive = false;
    claim.sandbox = claim.mode = "";
    claim.run_until_ms = -1;
    assert_shown(&facts, "job j1 of tenant acme: running\n"
                         "  attempt 2 by worker w1, which does not answer: another one takes it over\n"
                         "  its sandbox is being made\n"
                         "  workers died over it: 1\n"
                         "  a cancel is pending\n");
    claim.owner = "";
    facts.condition = &rebuilding;
    assert_shown(
        &facts,
        "job j1 of tenant acme: running\n"
        "  attempt 2, left behind by a worker that drained: the next one goes on with it\n"
        "  its sandbox is being made\n"
        "  workers died over it: 1\n"
        "  a cancel is pending\n"
        "  nothing is granted now: the ledger is being rebuilt, for 12.00 s now; one worker has not said "
        "yet what it holds\n");
}

static void a_waiting_job_shows_why(void **state)
{
    (void)state;
    struct ledger_claim claim = claim_of("none");
    struct last_event event = event_of(EVENT_KIND_WAITING);
    event.view.reason = "limit";
    event.view.limit = "tenant:acme";
    event.view.message = "2 of 2 places\nare taken";
    event.view.waited_ms = 6000;
    claim.waits_at = "n:acme";
    claim.waits_ms = 7000;
    struct job_facts facts = facts_of(&claim, &event);
    assert_shown(&facts, "job j1 of tenant acme: waiting\n"
                         "  8.00 s ago: waiting: limit tenant:acme: 2 of 2 places are taken, since 6.00 s\n"
                         "  jobs of its tenant wait for limit tenant:acme, for 7.00 s now\n");
    claim = claim_of("parked");
    claim.hop = 2;
    claim.attempt = 1;
    facts.event = NULL;
    assert_shown(&facts, "job j1 of tenant acme: parked\n"
                         "  as copy 2, in a retry topic\n"
                         "  for attempt 2\n");
}

static void a_finished_job_shows_where_its_result_is(void **state)
{
    (void)state;
    struct ledger_claim claim = claim_of("done");
    claim.status = "succeeded";
    claim.partition = 3;
    claim.offset = 17;
    struct job_facts facts = facts_of(&claim, NULL);
    assert_shown(&facts, "job j1 of tenant acme: finished\n"
                         "  succeeded\n"
                         "  result: e2b.results, partition 3, offset 17\n");
    assert_encoded(&facts,
                   "\"place\":\"finished\",\"status\":\"succeeded\",\"result\":{\"topic\":\"e2b.results\","
                   "\"partition\":3,\"offset\":17}");
    claim.status = "";
    claim.partition = claim.offset = -1;
    assert_shown(&facts, "job j1 of tenant acme: finished\n"
                         "  status not known\n");
    struct last_event event = event_of(EVENT_KIND_FINISHED);
    event.view.status = "failed";
    facts = facts_of(NULL, &event);
    facts.condition = NULL;
    facts.ledger_why = "it is away";
    assert_shown(&facts, "job j1 of tenant acme: finished\n"
                         "  8.00 s ago: finished: failed\n"
                         "  result: e2b.results, partition 1, offset 5\n");
    event = event_of(EVENT_KIND_DUPLICATE);
    event.view.first_status = "failed";
    event.view.first_partition = 2;
    event.view.first_offset = 8;
    assert_encoded(&facts, "\"result\":{\"topic\":\"e2b.results\",\"partition\":2,\"offset\":8}");
    claim = claim_of("sealed");
    claim.status = "timed_out";
    claim.owner = "w1.0a1b2c3d";
    claim.is_owner_alive = true;
    facts = facts_of(&claim, NULL);
    assert_shown(&facts, "job j1 of tenant acme: publishing\n"
                         "  timed_out: worker w1 publishes the result\n");
}

static void an_unknown_job_says_where_was_looked(void **state)
{
    (void)state;
    struct ledger_claim claim = claim_of("none");
    struct job_facts facts = facts_of(&claim, NULL);
    facts.looked_back_ms = 3600000;
    assert_shown(&facts, "job j1 of tenant acme: unknown\n"
                         "  not in the ledger, and no event of it in the last 60 min 0 s of e2b.results:\n"
                         "  it was not sent, no worker has taken its record yet, or it ended longer ago\n");
    assert_encoded(&facts,
                   "\"place\":\"unknown\",\"status\":null,\"result\":null,\"claim\":null,\"last_event\":null,"
                   "\"ledger\":{\"answers\":true,\"grants\":true,\"why_not\":null}}");
}

static void scripts_read_json_of_one_line(void **state)
{
    (void)state;
    struct ledger_claim claim = running();
    struct last_event event = event_of(EVENT_KIND_STARTED);
    struct job_facts facts = facts_of(&claim, &event);
    assert_encoded(&facts, "{\"job_id\":\"j1\",\"tenant_id\":\"acme\",\"place\":\"running\",\"status\":null,"
                           "\"result\":null,\"claim\":{\"state\":\"running\",\"worker\":\"w1\","
                           "\"worker_is_alive\":true,\"sandbox_id\":\"s-1\",\"permit\":\"p-1\","
                           "\"run_mode\":\"process\",\"attempt\":2,\"crashes\":0,\"hop\":0,"
                           "\"run_left_ms\":65000,\"claim_left_ms\":125000,\"cancel_pending\":false,"
                           "\"tenant_waits_at\":null,\"tenant_waits_ms\":null}");
    assert_encoded(&facts,
                   "\"last_event\":{\"type\":\"e2b-worker.job.x.v1\",\"time\":\"1970-01-01T00:00:01.000Z\","
                   "\"partition\":1,\"offset\":5,\"data\":{\"a\": 1}}");
    facts.condition = &rebuilding;
    assert_encoded(&facts, "\"ledger\":{\"answers\":true,\"grants\":false,"
                           "\"why_not\":\"the ledger is being rebuilt\"}");
    facts.condition = NULL;
    facts.claim = NULL;
    facts.ledger_why = "it is away";
    assert_encoded(&facts, "\"ledger\":{\"answers\":false,\"grants\":false,\"why_not\":\"it is away\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_place_follows_from_claim_and_event),
        cmocka_unit_test(a_running_job_shows_worker_sandbox_and_what_is_left),
        cmocka_unit_test(a_waiting_job_shows_why),
        cmocka_unit_test(a_finished_job_shows_where_its_result_is),
        cmocka_unit_test(an_unknown_job_says_where_was_looked),
        cmocka_unit_test(scripts_read_json_of_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
