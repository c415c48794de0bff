/* submit on the loop: results are listened to first, then all is sent, then each job is followed to
 * its end. */
#include "submit.h"

#include "codec/event_view.h"
#include "codec/writer.h"
#include "loop/on_uv.h"
#include "message_event.h"
#include "show.h"
#include "submit_result.h"
#include "topic_list.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    STALL_MS = 30000, /* a cluster that takes no record for so long is given up */
    CLOSE_MS = 2000,
};

/* A client of Kafka as we see it. */
struct link_state {
    bool was_usable;
    char why[500];
};

struct delivery {
    struct loop *loop;
    const struct config *config;
    const struct submit_options *options;
    struct submissions *submissions;
    struct log log;
    struct arena arena; /* of the call */
    struct kafka_sink *sink;
    struct kafka_reader *reader; /* NULL: nobody waits */
    struct signal_watch *interrupt, *terminate;
    struct link_state sending, reading;
    struct timer deadline, stall; /* stall: until Kafka answers, then until it takes the next record */
    size_t sent, done;
    int status;
    bool is_sending, is_closing;
};

/* Whether Kafka has answered all that must be known before the first record. */
static bool is_reached(const struct delivery *delivery)
{
    return delivery->sending.was_usable && (!delivery->options->wait || delivery->reading.was_usable);
}

/* Returns: what is in the way, "" when nothing is known to be. */
static const char *trouble_of(const struct delivery *delivery)
{
    return delivery->sending.why[0] ? delivery->sending.why : delivery->reading.why;
}

/* ---- the end ---- */

static void on_sink_closed(void *arg)
{
    struct delivery *delivery = arg;
    signal_watch_close(delivery->interrupt);
    signal_watch_close(delivery->terminate);
    loop_stop(delivery->loop);
}

static void on_reader_closed(void *arg)
{
    struct delivery *delivery = arg;
    if (delivery->sink)
        kafka_sink_close(TAKE(delivery->sink), is_reached(delivery) ? CLOSE_MS : 0, on_sink_closed, delivery);
    else
        on_sink_closed(delivery);
}

static void finish(struct delivery *delivery, int status)
{
    if (delivery->is_closing)
        return;
    delivery->is_closing = true;
    delivery->status = status;
    loop_timer_stop(delivery->loop, &delivery->deadline);
    loop_timer_stop(delivery->loop, &delivery->stall);
    kafka_reader_close(TAKE(delivery->reader), on_reader_closed, delivery);
}

static void on_signal(void *arg)
{
    struct delivery *delivery = arg;
    fprintf(stderr, "e2b-worker submit: interrupted; what was sent goes on (see: e2b-worker watch)\n");
    finish(delivery, EXIT_INTERRUPTED);
}

static void on_stalled(void *arg)
{
    struct delivery *delivery = arg;
    const char *why = trouble_of(delivery);
    fprintf(stderr, "e2b-worker submit: Kafka at %s %s: %s\n", delivery->config->kafka_bootstrap_servers,
            is_reached(delivery) ? "takes no more jobs" : "cannot be used",
            *why ? why : "it does not answer; check KAFKA_BOOTSTRAP_SERVERS and the network");
    finish(delivery, EXIT_UNAVAILABLE);
}

/* Many records take their time; what counts is that it goes on. */
static void watch_for_stalls(struct delivery *delivery)
{
    loop_timer_stop(delivery->loop, &delivery->stall);
    if (delivery->sent < delivery->submissions->count)
        loop_timer_start(delivery->loop, &delivery->stall, STALL_MS, on_stalled, delivery);
}

static void on_deadline(void *arg)
{
    struct delivery *delivery = arg;
    size_t missing = delivery->submissions->count - delivery->done;
    fprintf(stderr, "e2b-worker submit: no result of %zu of %zu jobs within %lld s; they go on%s%s\n",
            missing, delivery->submissions->count, (long long)delivery->options->timeout_ms / 1000,
            *trouble_of(delivery) ? "; Kafka: " : "", trouble_of(delivery));
    finish(delivery, EXIT_TIMED_OUT);
}

static void hear_state(struct delivery *delivery, struct link_state *state, bool is_usable, const char *why)
{
    bool was_reached = is_reached(delivery), is_new = !is_usable && strcmp(why, state->why) != 0;
    state->was_usable = state->was_usable || is_usable;
    base_copy_text(state->why, sizeof state->why, is_usable ? "" : why);
    if (delivery->is_closing)
        return;
    if (is_new && was_reached)
        fprintf(stderr, "e2b-worker submit: Kafka at %s: %s\n", delivery->config->kafka_bootstrap_servers,
                why);
    if (!was_reached && is_reached(delivery))
        watch_for_stalls(delivery);
}

static void on_sink_state(void *arg, bool is_usable, const char *why)
{
    struct delivery *delivery = arg;
    hear_state(delivery, &delivery->sending, is_usable, why);
}

static void on_reader_state(void *arg, bool is_usable, const char *why)
{
    struct delivery *delivery = arg;
    hear_state(delivery, &delivery->reading, is_usable, why);
}

/* ---- following ---- */

static struct submission *find(struct delivery *delivery, const struct event_view *view)
{
    for (size_t i = 0; view->job_id && i < delivery->submissions->count; i++) {
        struct submission *submission = &delivery->submissions->items[i];
        bool is_tenant =
            !submission->tenant_id || !view->tenant_id || strcmp(submission->tenant_id, view->tenant_id) == 0;
        if (!submission->is_done && is_tenant && strcmp(submission->job_id, view->job_id) == 0)
            return submission;
    }
    return NULL;
}

static void end_one(struct delivery *delivery, struct submission *submission, int status)
{
    bool is_single = delivery->submissions->count == 1;
    submission->is_done = true;
    delivery->done++;
    if (status != EXIT_OK)
        delivery->status = is_single ? status : EXIT_FAILED;
    if (delivery->done == delivery->submissions->count)
        finish(delivery, delivery->status);
}

static void show_progress(const struct event_view *view)
{
    CLEANUP(buffer_release) struct buffer line = {0};
    show_event(view, &line);
    fprintf(stderr, "job %s %s: %s\n", view->job_id, event_kind_name(view->kind), line.data ? line.data : "");
}

static void follow(struct delivery *delivery, struct submission *submission, const struct event_view *view)
{
    bool is_json = delivery->options->json != NULL;
    bool is_success = view->first_status && strcmp(view->first_status, "succeeded") == 0;
    switch (view->kind) {
    case EVENT_KIND_FINISHED:
        submit_show_result(view, is_json);
        end_one(delivery, submission, submit_exit_code(view));
        break;
    case EVENT_KIND_DUPLICATE:
        show_progress(view);
        if (is_json && (view->code || view->first_status))
            printf("%.*s\n", (int)view->data.length, (const char *)view->data.data);
        if (view->code || view->first_status) /* else the first one is still under way */
            end_one(delivery, submission, view->code || !is_success ? EXIT_FAILED : EXIT_OK);
        break;
    case EVENT_KIND_STARTED:
    case EVENT_KIND_WAITING:
    case EVENT_KIND_RETRYING:
        show_progress(view);
        break;
    case EVENT_KIND_SUBMITTED:
    case EVENT_KIND_REAPED:
    case EVENT_KIND_STATS:
    case EVENT_KIND_OTHER:
        break;
    }
}

static void on_message(void *arg, const struct kafka_message *message)
{
    struct delivery *delivery = arg;
    struct arena arena = {0};
    struct event_view view;
    if (delivery->is_closing)
        return;
    if (message_event_read(message, &arena, &view)) {
        struct submission *submission = find(delivery, &view);
        if (submission)
            follow(delivery, submission, &view);
    }
    arena_release(&arena);
}

/* ---- sending ---- */

static void print_sent(const struct delivery *delivery, const struct submission *submission,
                       int32_t partition, int64_t offset)
{
    if (delivery->options->wait) {
        fprintf(stderr, "job %s sent to %s, partition %d, offset %lld\n", submission->job_id,
                submission->topic, (int)partition, (long long)offset);
        return;
    }
    if (!delivery->options->json) {
        printf("%s\n", submission->job_id);
        return;
    }
    CLEANUP(buffer_release) struct buffer out = {0};
    struct writer writer = {.out = &out};
    writer_begin_object(&writer);
    writer_field_text(&writer, "job_id", submission->job_id);
    writer_field_text(&writer, "topic", submission->topic);
    writer_field_int(&writer, "partition", partition);
    writer_field_int(&writer, "offset", offset);
    writer_end_object(&writer);
    printf("%s\n", out.data);
}

static void on_sent(struct kafka_send *send, const struct error *error, int32_t partition, int64_t offset)
{
    struct delivery *delivery = send->arg;
    struct submission *submission = CONTAINER_OF(send, struct submission, send);
    submission->is_sent = true;
    delivery->sent++;
    if (error) {
        fprintf(stderr, "e2b-worker submit: job %s was not sent: %s\n", submission->job_id, error->text);
        end_one(delivery, submission, EXIT_FAILED);
    } else {
        print_sent(delivery, submission, partition, offset);
        if (!delivery->options->wait || submission->is_unreadable)
            end_one(delivery, submission, EXIT_OK); /* no result would come of what is no job */
    }
    if (!delivery->is_closing)
        watch_for_stalls(delivery);
}

static void send_all(void *arg)
{
    struct delivery *delivery = arg;
    if (delivery->is_sending || delivery->is_closing)
        return;
    delivery->is_sending = true;
    for (size_t i = 0; i < delivery->submissions->count; i++) {
        struct submission *submission = &delivery->submissions->items[i];
        struct kafka_header headers[ENVELOPE_HEADERS_MAX];
        for (size_t k = 0; k < submission->headers.count; k++)
            headers[k] =
                (struct kafka_header){submission->headers.items[k].name, submission->headers.items[k].value};
        const struct kafka_record record = {.topic = submission->topic,
                                            .key = {submission->key, strlen(submission->key)},
                                            .value = submission->value,
                                            .headers = headers,
                                            .header_count = submission->headers.count};
        submission->send.arg = delivery;
        kafka_sink_send(delivery->sink, &submission->send, &record, on_sent);
    }
}

/* ---- the beginning ---- */

/* The topics of all submissions, each once. */
static struct text_list topics_of(const struct submissions *submissions, struct arena *arena)
{
    struct text_list topics = {.items = ARENA_ARRAY(arena, const char *, submissions->count)};
    for (size_t i = 0; i < submissions->count; i++) {
        const char *topic = submissions->items[i].topic;
        size_t k = 0;
        while (k < topics.count && strcmp(topics.items[k], topic) != 0)
            k++;
        if (k == topics.count)
            topics.items[topics.count++] = topic;
    }
    return topics;
}

static bool open_sink(struct delivery *delivery, struct error *reterr)
{
    const struct text_list topics = topics_of(delivery->submissions, &delivery->arena);
    const struct kafka_sink_options options = {.loop = delivery->loop,
                                               .log = &delivery->log,
                                               .cluster = cluster_of(delivery->config, &delivery->arena),
                                               .client_id = "e2b-worker-submit",
                                               .topics = topics.items,
                                               .topic_count = topics.count,
                                               .arg = delivery,
                                               .on_state = on_sink_state};
    delivery->sink = kafka_sink_new(&options, reterr);
    return delivery->sink != NULL;
}

static bool open_reader(struct delivery *delivery, struct error *reterr)
{
    const struct kafka_reader_options options = {.loop = delivery->loop,
                                                 .log = &delivery->log,
                                                 .cluster = cluster_of(delivery->config, &delivery->arena),
                                                 .client_id = "e2b-worker-submit",
                                                 .topic = delivery->config->topics.results,
                                                 .from_unix_ms = KAFKA_READER_FROM_END,
                                                 .events = {.arg = delivery,
                                                            .on_message = on_message,
                                                            .on_caught_up = send_all,
                                                            .on_state = on_reader_state}};
    delivery->reader = kafka_reader_new(&options, reterr);
    return delivery->reader != NULL;
}

static void begin(struct delivery *delivery)
{
    struct error error;
    delivery->interrupt = loop_signal_new(delivery->loop, SIGINT, on_signal, delivery);
    delivery->terminate = loop_signal_new(delivery->loop, SIGTERM, on_signal, delivery);
    if (!open_sink(delivery, &error) || (delivery->options->wait && !open_reader(delivery, &error))) {
        fprintf(stderr, "e2b-worker submit: %s\n", error.text);
        finish(delivery, EXIT_CONFIG);
        return;
    }
    loop_timer_start(delivery->loop, &delivery->stall,
                     MIN(delivery->options->connect_timeout_ms, delivery->options->timeout_ms), on_stalled,
                     delivery);
    if (delivery->options->wait)
        loop_timer_start(delivery->loop, &delivery->deadline, delivery->options->timeout_ms, on_deadline,
                         delivery);
    else
        send_all(delivery);
}

int submit_deliver(const struct config *config, const struct submit_options *options,
                   struct submissions *submissions)
{
    struct delivery delivery = {.loop = loop_new(),
                                .config = config,
                                .options = options,
                                .submissions = submissions,
                                .log = {.level = LOG_LEVEL_ERROR, .component = "submit"},
                                .status = EXIT_OK};
    begin(&delivery);
    loop_run(delivery.loop);
    loop_free(delivery.loop, NULL, NULL);
    arena_release(&delivery.arena);
    return delivery.status;
}
