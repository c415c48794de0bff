/* e2b-worker cancel: nobody wants a job's result any more. */
#include "command.h"

#include "base/clock.h"
#include "codec/control.h"
#include "codec/writer.h"
#include "kafka/sink.h"
#include "loop/on_uv.h"
#include "message_event.h"
#include "onlooker.h"
#include "show.h"
#include "topic_list.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int run(const struct command *command, int argc, char **argv);

const struct command command_cancel = {
    .name = "cancel",
    .arguments = "JOB_ID [--tenant TENANT] [--wait] [--json] [OPTIONS]",
    .summary = "cancels a job",
    .help =
        "Sends the wish to topics.control, where a worker reads it. A job that waits ends cancelled before "
        "it\n"
        "starts, one that runs is stopped and ends with what it printed so far. A verdict that stands is "
        "not\n"
        "changed: whoever is first wins. A job that comes later under this id is cancelled, too, for a "
        "while.\n\n"
        "  --tenant TENANT    of the job; default: default\n"
        "  --wait             until the job has ended, however it does; Redis is asked whether it had ended "
        "before\n"
        "  --timeout SECONDS  how long to wait; default: 300\n" COMMAND_CONNECT_HELP
        "  --json             where the record is; with --wait the job's result, or what is known of "
        "it\n" COMMAND_CONFIG_HELP
        "\nExit codes: 0 sent, or with --wait cancelled; 1 it ended otherwise; 2 usage; 69 Kafka cannot be\n"
        "used; 75 no result in time; 78 configuration; 130 interrupted.\n",
    .run = run,
};

enum {
    TIMEOUT_S = 300,
    STALL_MS = 30000, /* a cluster that answers, and does not take the record for so long, is given up */
    CLOSE_MS = 2000,
    LOOK_AGAIN_MS = 1000,
};

struct cancelling {
    struct loop *loop;
    struct arena *arena;
    const struct config *config;
    const struct command_job *job;
    struct log log;
    bool is_waiting, is_json;
    int64_t timeout_ms, connect_timeout_ms;

    struct kafka_sink *sink;
    struct kafka_send send;
    struct buffer value;
    struct kafka_reader *reader; /* NULL: nobody waits */
    struct onlooker onlooker;
    struct signal_watch *interrupt, *terminate;
    struct timer deadline, again;
    struct timer stall; /* until Kafka answers, then until it took the record */
    char why[500];
    bool can_send, can_read; /* Kafka has answered the producer, and whoever reads */
    bool is_sent, was_done, is_closing;
    int open; /* that are not closed yet */
    int status;
};

/* ---- the end ---- */

static void on_closed(void *arg)
{
    struct cancelling *cancelling = arg;
    if (--cancelling->open > 0)
        return;
    signal_watch_close(cancelling->interrupt);
    signal_watch_close(cancelling->terminate);
    loop_stop(cancelling->loop);
}

/* All at once: nobody calls back any more but the sink, whose record may arrive meanwhile. */
static void finish(struct cancelling *cancelling, int status)
{
    if (cancelling->is_closing)
        return;
    cancelling->is_closing = true;
    cancelling->status = status;
    loop_timer_stop(cancelling->loop, &cancelling->deadline);
    loop_timer_stop(cancelling->loop, &cancelling->stall);
    loop_timer_stop(cancelling->loop, &cancelling->again);
    cancelling->open = cancelling->sink ? 3 : 2;
    if (cancelling->sink)
        kafka_sink_close(TAKE(cancelling->sink), cancelling->can_send ? CLOSE_MS : 0, on_closed, cancelling);
    kafka_reader_close(TAKE(cancelling->reader), on_closed, cancelling);
    onlooker_close(&cancelling->onlooker, on_closed, cancelling);
}

static void on_signal(void *arg)
{
    struct cancelling *cancelling = arg;
    fprintf(stderr, "e2b-worker cancel: interrupted; %s\n",
            cancelling->is_sent ? "the cancel was sent" : "whether the cancel was sent is not known");
    finish(cancelling, EXIT_INTERRUPTED);
}

static bool is_reached(const struct cancelling *cancelling)
{
    return cancelling->can_send && (!cancelling->is_waiting || cancelling->can_read);
}

static void on_stalled(void *arg)
{
    struct cancelling *cancelling = arg;
    fprintf(stderr, "e2b-worker cancel: Kafka at %s %s: %s\n", cancelling->config->kafka_bootstrap_servers,
            is_reached(cancelling) ? "does not take the cancel" : "cannot be used",
            cancelling->why[0] ? cancelling->why
                               : "it does not answer; check KAFKA_BOOTSTRAP_SERVERS and the network");
    finish(cancelling, EXIT_UNAVAILABLE);
}

static void on_deadline(void *arg)
{
    struct cancelling *cancelling = arg;
    fprintf(stderr,
            "e2b-worker cancel: no result of job %s within %lld s; the cancel stands. e2b-worker status says "
            "where the job is\n",
            cancelling->job->job_id, (long long)cancelling->timeout_ms / 1000);
    finish(cancelling, EXIT_TIMED_OUT);
}

static void hear_state(struct cancelling *cancelling, bool *is_answered, bool is_usable, const char *why)
{
    bool was_reached = is_reached(cancelling);
    *is_answered = *is_answered || is_usable;
    base_copy_text(cancelling->why, sizeof cancelling->why, is_usable ? "" : why);
    if (!was_reached && is_reached(cancelling) && !cancelling->is_sent && !cancelling->is_closing)
        loop_timer_start(cancelling->loop, &cancelling->stall, STALL_MS, on_stalled, cancelling);
}

static void on_sink_state(void *arg, bool is_usable, const char *why)
{
    struct cancelling *cancelling = arg;
    hear_state(cancelling, &cancelling->can_send, is_usable, why);
}

static void on_reader_state(void *arg, bool is_usable, const char *why)
{
    struct cancelling *cancelling = arg;
    hear_state(cancelling, &cancelling->can_read, is_usable, why);
}

static int code_of(const char *status)
{
    return status && strcmp(status, "cancelled") == 0 ? EXIT_OK : EXIT_FAILED;
}

/* ---- had it ended before? ---- */

static void tell_ended_before(struct cancelling *cancelling, const struct ledger_claim *claim)
{
    CLEANUP(buffer_release) struct buffer out = {0};
    struct writer writer = {.out = &out};
    const char *status = claim->status[0] != '\0' ? claim->status : NULL;
    fprintf(stderr, "job %s had ended before\n", cancelling->job->job_id);
    if (!cancelling->is_json) {
        printf("%s\n", status ? status : "status not known");
    } else {
        writer_begin_object(&writer);
        writer_field_text(&writer, "job_id", cancelling->job->job_id);
        writer_field_text(&writer, "tenant_id", cancelling->job->tenant_id);
        writer_field_text(&writer, "status", status);
        writer_field_count(&writer, "partition", claim->partition);
        writer_field_count(&writer, "offset", claim->offset);
        writer_end_object(&writer);
        printf("%s\n", out.data);
    }
    finish(cancelling, code_of(status));
}

static void look(void *arg);

/* What is not yet done will be, and the reader sees it; but a result that was sealed may have been published
 * just before the reader began. Where it is done already, the reader has its chance to show it first. */
static void on_claim(struct ledger_call *call, const struct error *error, const struct ledger_claim *claim)
{
    struct cancelling *cancelling = call->arg;
    bool is_done = !error && strcmp(claim->state, "done") == 0;
    if (is_done && cancelling->was_done)
        tell_ended_before(cancelling, claim);
    else if (error || is_done || strcmp(claim->state, "sealed") == 0)
        loop_timer_start(cancelling->loop, &cancelling->again, LOOK_AGAIN_MS, look, cancelling);
    cancelling->was_done = is_done;
}

static void look(void *arg)
{
    struct cancelling *cancelling = arg;
    ledger_look(cancelling->onlooker.ledger, &cancelling->onlooker.call, cancelling->job->key, on_claim);
}

static void on_found(void *arg, const char *why)
{
    struct cancelling *cancelling = arg;
    if (why)
        fprintf(stderr,
                "e2b-worker cancel: Redis at %s cannot be asked whether the job had ended before: %s "
                "(REDIS_URL)\n",
                onlooker_place(cancelling->config), why);
    else
        look(cancelling);
}

/* ---- following ---- */

static void follow(struct cancelling *cancelling, const struct event_view *view)
{
    CLEANUP(buffer_release) struct buffer line = {0};
    show_event(view, &line);
    if (view->kind != EVENT_KIND_FINISHED) {
        fprintf(stderr, "job %s %s: %s\n", cancelling->job->job_id, event_kind_name(view->kind),
                line.data ? line.data : "");
        return;
    }
    if (cancelling->is_json)
        printf("%.*s\n", (int)view->data.length, (const char *)view->data.data);
    else
        printf("%s\n", line.data);
    finish(cancelling, code_of(view->status));
}

static void on_message(void *arg, const struct kafka_message *message)
{
    struct cancelling *cancelling = arg;
    struct arena arena = {0};
    struct event_view view;
    if (!cancelling->is_closing &&
        message_event_read_of(message, cancelling->job->tenant_id, cancelling->job->job_id, &arena, &view))
        follow(cancelling, &view);
    arena_release(&arena);
}

/* ---- sending ---- */

static void print_sent(const struct cancelling *cancelling, int32_t partition, int64_t offset)
{
    const char *topic = cancelling->config->topics.control;
    CLEANUP(buffer_release) struct buffer out = {0};
    struct writer writer = {.out = &out};
    if (cancelling->is_waiting || !cancelling->is_json) {
        fprintf(cancelling->is_waiting ? stderr : stdout,
                "cancel of job %s of tenant %s sent to %s, partition %d, offset %lld\n",
                cancelling->job->job_id, cancelling->job->tenant_id, topic, (int)partition,
                (long long)offset);
        return;
    }
    writer_begin_object(&writer);
    writer_field_text(&writer, "job_id", cancelling->job->job_id);
    writer_field_text(&writer, "tenant_id", cancelling->job->tenant_id);
    writer_field_text(&writer, "topic", topic);
    writer_field_int(&writer, "partition", partition);
    writer_field_int(&writer, "offset", offset);
    writer_end_object(&writer);
    printf("%s\n", out.data);
}

static void on_sent(struct kafka_send *send, const struct error *error, int32_t partition, int64_t offset)
{
    struct cancelling *cancelling = send->arg;
    struct error wrong;
    if (cancelling->is_closing)
        return;
    loop_timer_stop(cancelling->loop, &cancelling->stall);
    if (error) {
        fprintf(stderr, "e2b-worker cancel: the cancel was not sent: %s\n", error->text);
        finish(cancelling, EXIT_UNAVAILABLE);
        return;
    }
    cancelling->is_sent = true;
    print_sent(cancelling, partition, offset);
    if (!cancelling->is_waiting) {
        finish(cancelling, EXIT_OK);
    } else if (!onlooker_open(&cancelling->onlooker, cancelling->loop, cancelling->config, on_found,
                              cancelling, &wrong)) {
        fprintf(stderr, "e2b-worker cancel: %s (REDIS_URL)\n", wrong.text);
        finish(cancelling, EXIT_CONFIG);
    }
}

static void send_cancel(void *arg)
{
    struct cancelling *cancelling = arg;
    const struct command_job *job = cancelling->job;
    const struct control control = {CONTROL_CANCEL, job->job_id, job->tenant_id};
    const struct envelope envelope = {.id = arena_printf(cancelling->arena, "%s:cancel", job->job_id),
                                      .source = "e2b-worker/cancel",
                                      .type = CONTROL_TYPE,
                                      .subject = job->job_id,
                                      .time_unix_ms = clock_unix_ms()};
    struct envelope_headers written;
    struct kafka_header headers[ENVELOPE_HEADERS_MAX];
    envelope_write(&envelope, &written);
    for (size_t i = 0; i < written.count; i++)
        headers[i] = (struct kafka_header){written.items[i].name, written.items[i].value};
    control_encode(&control, &cancelling->value);
    const struct kafka_record record = {.topic = cancelling->config->topics.control,
                                        .key = {job->job_id, strlen(job->job_id)},
                                        .value = buffer_bytes(&cancelling->value),
                                        .headers = headers,
                                        .header_count = written.count};
    cancelling->send.arg = cancelling;
    kafka_sink_send(cancelling->sink, &cancelling->send, &record, on_sent);
}

/* ---- the beginning ---- */

static bool open_sink(struct cancelling *cancelling, struct error *reterr)
{
    const struct kafka_sink_options options = {.loop = cancelling->loop,
                                               .log = &cancelling->log,
                                               .cluster = cluster_of(cancelling->config, cancelling->arena),
                                               .client_id = "e2b-worker-cancel",
                                               .topics = &cancelling->config->topics.control,
                                               .topic_count = 1,
                                               .arg = cancelling,
                                               .on_state = on_sink_state};
    cancelling->sink = kafka_sink_new(&options, reterr);
    return cancelling->sink != NULL;
}

static bool open_reader(struct cancelling *cancelling, struct error *reterr)
{
    const struct kafka_reader_options options = {.loop = cancelling->loop,
                                                 .log = &cancelling->log,
                                                 .cluster = cluster_of(cancelling->config, cancelling->arena),
                                                 .client_id = "e2b-worker-cancel",
                                                 .topic = cancelling->config->topics.results,
                                                 .from_unix_ms = KAFKA_READER_FROM_END,
                                                 .events = {.arg = cancelling,
                                                            .on_message = on_message,
                                                            .on_caught_up = send_cancel,
                                                            .on_state = on_reader_state}};
    cancelling->reader = kafka_reader_new(&options, reterr);
    return cancelling->reader != NULL;
}

static void begin(struct cancelling *cancelling)
{
    struct error error;
    cancelling->interrupt = loop_signal_new(cancelling->loop, SIGINT, on_signal, cancelling);
    cancelling->terminate = loop_signal_new(cancelling->loop, SIGTERM, on_signal, cancelling);
    if (!open_sink(cancelling, &error) || (cancelling->is_waiting && !open_reader(cancelling, &error))) {
        fprintf(stderr, "e2b-worker cancel: %s\n", error.text);
        finish(cancelling, EXIT_CONFIG);
        return;
    }
    loop_timer_start(cancelling->loop, &cancelling->stall, cancelling->connect_timeout_ms, on_stalled,
                     cancelling);
    if (cancelling->is_waiting)
        loop_timer_start(cancelling->loop, &cancelling->deadline, cancelling->timeout_ms, on_deadline,
                         cancelling);
    else
        send_cancel(cancelling);
}

static int cancel(struct cancelling *cancelling)
{
    cancelling->loop = loop_new();
    begin(cancelling);
    loop_run(cancelling->loop);
    loop_free(cancelling->loop, NULL, NULL);
    buffer_release(&cancelling->value);
    return cancelling->status;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct command_options options;
    const char *tenant = NULL, *wait = NULL, *json = NULL, *timeout = NULL, *connect_timeout = NULL;
    int64_t timeout_s = TIMEOUT_S, connect_s = COMMAND_CONNECT_S;
    const struct command_option own[] = {{"--tenant", true, &tenant},
                                         {"--wait", false, &wait},
                                         {"--json", false, &json},
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
        command_number(command, "--timeout", timeout, 1, 7 * 86400, &timeout_s) &&
        command_number(command, "--connect-timeout", connect_timeout, 1, COMMAND_CONNECT_MAX_S, &connect_s))
        status = command_load(&options, &arena, &config);
    (void)signal(SIGPIPE, SIG_IGN);
    struct cancelling cancelling = {.arena = &arena,
                                    .config = &config,
                                    .job = &job,
                                    .log = {.level = LOG_LEVEL_ERROR, .component = "cancel"},
                                    .is_waiting = wait != NULL,
                                    .is_json = json != NULL,
                                    .timeout_ms = timeout_s * 1000,
                                    .connect_timeout_ms = connect_s * 1000};
    if (status == EXIT_OK)
        status = cancel(&cancelling);
    arena_release(&arena);
    return status;
}
