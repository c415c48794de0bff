/* e2b-worker status: where a job is, and why it waits. */
#include "status_show.h"

#include "base/clock.h"
#include "loop/on_uv.h"
#include "message_event.h"
#include "onlooker.h"
#include "topic_list.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int run(const struct command *command, int argc, char **argv);

const struct command command_status = {
    .name = "status",
    .arguments = "JOB_ID [--tenant TENANT] [--json] [OPTIONS]",
    .summary = "says where a job is and why it waits",
    .help =
        "Asks the ledger in Redis: is the job waiting, parked in a retry topic, running (which worker, "
        "which\n"
        "sandbox, which attempt, how long still), being published or finished (where its result is), and is "
        "a\n"
        "cancel pending? For what the ledger does not say the results topic is read back: its last event of "
        "the\n"
        "job. Lifecycle events are best effort, and a record that no worker has taken yet is known to "
        "nobody.\n"
        "Exit codes: 0 told, 1 nobody knows the job, 2 usage, 69 Redis or Kafka does not answer and nothing "
        "is\n"
        "known, 78 configuration, 130 interrupted.\n\n"
        "  --tenant TENANT    of the job; default: default\n"
        "  --since SECONDS    how far the results topic is read back; default: 3600\n"
        "  --timeout SECONDS  for reading it; default: 30\n" COMMAND_CONNECT_HELP
        "  --json             the same for scripts; place is unknown, waiting, parked, running, publishing "
        "or\n"
        "                     finished\n" COMMAND_CONFIG_HELP,
    .run = run,
};

enum { SINCE_S = 3600, TIMEOUT_S = 30 };

struct asking {
    struct loop *loop;
    struct arena *arena;
    const struct config *config;
    const struct command_job *job;
    struct log log;
    int64_t since_ms, timeout_ms, connect_timeout_ms;
    bool is_json;

    struct onlooker onlooker;
    struct kafka_reader *reader;
    struct timer deadline, connecting;
    struct signal_watch *interrupt, *terminate;
    struct ledger_condition condition;
    struct ledger_claim claim;
    struct last_event event;
    struct arena event_arena; /* of the last event */
    char kafka_why[500];
    bool has_condition, has_claim, has_event, has_read, is_closing;
    const char *ledger_why;
    int open; /* that are not closed yet */
    int status;
};

/* ---- the end ---- */

static void on_closed(void *arg)
{
    struct asking *asking = arg;
    if (--asking->open > 0)
        return;
    signal_watch_close(asking->interrupt);
    signal_watch_close(asking->terminate);
    loop_stop(asking->loop);
}

/* Both at once: nobody calls back any more. */
static void finish(struct asking *asking, int status)
{
    if (asking->is_closing)
        return;
    asking->is_closing = true;
    asking->status = status;
    loop_timer_stop(asking->loop, &asking->deadline);
    loop_timer_stop(asking->loop, &asking->connecting);
    asking->open = 2;
    kafka_reader_close(TAKE(asking->reader), on_closed, asking);
    onlooker_close(&asking->onlooker, on_closed, asking);
}

static void on_signal(void *arg)
{
    finish(arg, EXIT_INTERRUPTED);
}

/* Whatever could be learnt is there. */
static void tell(struct asking *asking)
{
    CLEANUP(buffer_release) struct buffer out = {0};
    bool is_kafka_away = asking->kafka_why[0] != '\0';
    const struct job_facts facts = {.job = asking->job,
                                    .ledger_why = asking->ledger_why,
                                    .condition = asking->has_condition ? &asking->condition : NULL,
                                    .claim = asking->has_claim ? &asking->claim : NULL,
                                    .results = asking->config->topics.results,
                                    .looked_back_ms = asking->has_read ? asking->since_ms : -1,
                                    .event = asking->has_event ? &asking->event : NULL,
                                    .now_unix_ms = clock_unix_ms()};
    if (is_kafka_away)
        fprintf(stderr, "e2b-worker status: %s at %s was not read to its end: %s\n", facts.results,
                asking->config->kafka_bootstrap_servers, asking->kafka_why);
    bool is_known = status_place(&facts) != JOB_UNKNOWN;
    if (!is_known && (facts.ledger_why || is_kafka_away)) {
        fprintf(stderr, "e2b-worker status: so it is not known where job %s of tenant %s is\n",
                asking->job->job_id, asking->job->tenant_id);
        finish(asking, EXIT_UNAVAILABLE);
        return;
    }
    if (asking->is_json) {
        status_encode(&facts, &out);
        buffer_append_byte(&out, '\n');
    } else {
        status_show(&facts, &out);
    }
    bool is_written = fwrite(out.data, 1, out.length, stdout) == out.length && fflush(stdout) == 0;
    finish(asking, is_known && is_written ? EXIT_OK : EXIT_FAILED);
}

/* ---- the results topic ---- */

static void on_message(void *arg, const struct kafka_message *message)
{
    struct asking *asking = arg;
    struct event_view view;
    struct arena arena = {0};
    if (!message_event_read_of(message, asking->job->tenant_id, asking->job->job_id, &arena, &view)) {
        arena_release(&arena);
        return;
    }
    view.data.data = arena_copy(&arena, view.data.data, view.data.length);
    arena_release(&asking->event_arena);
    asking->event_arena = arena;
    asking->event = (struct last_event){.view = view,
                                        .unix_ms = message_event_unix_ms(message, &view),
                                        .partition = message->partition,
                                        .offset = message->offset};
    asking->has_event = true;
}

static void on_caught_up(void *arg)
{
    struct asking *asking = arg;
    asking->has_read = true;
    asking->kafka_why[0] = '\0';
    tell(asking);
}

static void on_state(void *arg, bool is_usable, const char *why)
{
    struct asking *asking = arg;
    base_copy_text(asking->kafka_why, sizeof asking->kafka_why, is_usable ? "" : why);
    if (is_usable)
        loop_timer_stop(asking->loop, &asking->connecting);
}

static void on_unreachable(void *arg)
{
    struct asking *asking = arg;
    if (asking->kafka_why[0] == '\0')
        (void)snprintf(asking->kafka_why, sizeof asking->kafka_why,
                       "it does not answer; check KAFKA_BOOTSTRAP_SERVERS and the network");
    tell(asking);
}

static void on_deadline(void *arg)
{
    struct asking *asking = arg;
    if (asking->kafka_why[0] == '\0')
        (void)snprintf(asking->kafka_why, sizeof asking->kafka_why, "it took longer than %lld s (--timeout)",
                       (long long)asking->timeout_ms / 1000);
    tell(asking);
}

static void read_back(struct asking *asking)
{
    struct error error;
    const struct kafka_reader_options options = {
        .loop = asking->loop,
        .log = &asking->log,
        .cluster = cluster_of(asking->config, asking->arena),
        .client_id = "e2b-worker-status",
        .topic = asking->config->topics.results,
        .from_unix_ms = MAX(clock_unix_ms() - asking->since_ms, 0),
        .events = {
            .arg = asking, .on_message = on_message, .on_caught_up = on_caught_up, .on_state = on_state}};
    asking->reader = kafka_reader_new(&options, &error);
    if (asking->reader) {
        loop_timer_start(asking->loop, &asking->connecting, asking->connect_timeout_ms, on_unreachable,
                         asking);
        loop_timer_start(asking->loop, &asking->deadline, asking->timeout_ms, on_deadline, asking);
        return;
    }
    fprintf(stderr, "e2b-worker status: %s\n", error.text);
    finish(asking, EXIT_CONFIG);
}

/* ---- the ledger ---- */

static void go_without_ledger(struct asking *asking, const char *why)
{
    asking->ledger_why = arena_strdup(asking->arena, why);
    fprintf(stderr,
            "e2b-worker status: the ledger %s in Redis at %s cannot be asked: %s (REDIS_URL); what Kafka "
            "remembers:\n",
            asking->config->ledger, onlooker_place(asking->config), why);
    read_back(asking);
}

static void keep_claim(struct asking *asking, const struct ledger_claim *claim)
{
    asking->claim = *claim;
    const char **const texts[] = {&asking->claim.state,   &asking->claim.owner,   &asking->claim.permit,
                                  &asking->claim.sandbox, &asking->claim.mode,    &asking->claim.status,
                                  &asking->claim.origin,  &asking->claim.waits_at};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        *texts[i] = arena_strdup(asking->arena, *texts[i]);
    asking->has_claim = true;
}

static void on_claim(struct ledger_call *call, const struct error *error, const struct ledger_claim *claim)
{
    struct asking *asking = call->arg;
    if (error) {
        go_without_ledger(asking, error->text);
        return;
    }
    keep_claim(asking, claim);
    if (status_needs_events(claim))
        read_back(asking);
    else
        tell(asking);
}

static void on_condition(struct ledger_call *call, const struct error *error,
                         const struct ledger_condition *condition)
{
    struct asking *asking = call->arg;
    if (error) {
        go_without_ledger(asking, error->text);
        return;
    }
    asking->condition = *condition;
    asking->condition.why = arena_strdup(asking->arena, condition->why);
    asking->has_condition = true;
    ledger_look(asking->onlooker.ledger, call, asking->job->key, on_claim);
}

static void on_found(void *arg, const char *why)
{
    struct asking *asking = arg;
    if (why)
        go_without_ledger(asking, why);
    else
        ledger_condition(asking->onlooker.ledger, &asking->onlooker.call, on_condition);
}

/* ---- the beginning ---- */

static int ask(struct asking *asking)
{
    struct error error;
    asking->loop = loop_new();
    asking->interrupt = loop_signal_new(asking->loop, SIGINT, on_signal, asking);
    asking->terminate = loop_signal_new(asking->loop, SIGTERM, on_signal, asking);
    if (!onlooker_open(&asking->onlooker, asking->loop, asking->config, on_found, asking, &error)) {
        fprintf(stderr, "e2b-worker status: %s (REDIS_URL)\n", error.text);
        finish(asking, EXIT_CONFIG);
    }
    loop_run(asking->loop);
    loop_free(asking->loop, NULL, NULL);
    arena_release(&asking->event_arena);
    return asking->status;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct command_options options;
    const char *tenant = NULL, *json = NULL, *since = NULL, *timeout = NULL, *connect_timeout = NULL;
    int64_t since_s = SINCE_S, timeout_s = TIMEOUT_S, connect_s = COMMAND_CONNECT_S;
    const struct command_option own[] = {{"--tenant", true, &tenant},
                                         {"--json", false, &json},
                                         {"--since", true, &since},
                                         {"--timeout", true, &timeout},
                                         {"--connect-timeout", true, &connect_timeout}};
    int status = command_parse(command, argc, argv, own, ARRAY_LENGTH(own), &options);
    if (status != EXIT_OK)
        return status < 0 ? EXIT_OK : status;
    struct arena arena;
    struct command_job job;
    struct config config;
    arena_init(&arena, 16384);
    status = EXIT_USAGE;
    if (command_job(command, &options, tenant, &arena, &job) &&
        command_number(command, "--since", since, 0, INT32_MAX, &since_s) &&
        command_number(command, "--timeout", timeout, 1, 3600, &timeout_s) &&
        command_number(command, "--connect-timeout", connect_timeout, 1, COMMAND_CONNECT_MAX_S, &connect_s))
        status = command_load(&options, &arena, &config);
    (void)signal(SIGPIPE, SIG_IGN);
    struct asking asking = {.arena = &arena,
                            .config = &config,
                            .job = &job,
                            .log = {.level = LOG_LEVEL_ERROR, .component = "status"},
                            .since_ms = since_s * 1000,
                            .timeout_ms = timeout_s * 1000,
                            .connect_timeout_ms = connect_s * 1000,
                            .is_json = json != NULL};
    if (status == EXIT_OK)
        status = ask(&asking);
    arena_release(&arena);
    return status;
}
