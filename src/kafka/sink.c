/* The idempotent producer: life cycle, state, and a new instance after a fatal error. */
#include "kafka/sink_inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 1000,
    PROBE_TICKS = 5,
    OVERDUE_MS = 10000,
    REBUILD_PAUSE_MS = 1000, /* when the one before is as fresh */
    REBUILD_FRESH_MS = 5000,
    GIVE_BACK_MS = 5000,       /* for librdkafka to report what it was asked to drop */
    CLOSE_GIVE_BACK_MS = 1000, /* ... at the end, beyond the grace */
    DEFAULT_MAX_BYTES = 64 << 20,
};

rd_kafka_t *sink_librdkafka(const struct kafka_sink *sink)
{
    return sink->handle ? sink->handle->rk : NULL;
}

/* ---- state ---- */

void sink_judge(struct kafka_sink *sink)
{
    if (sink->is_closing)
        return;
    char why[EXPLAIN_SIZE] = "";
    int64_t oldest_ms = 0;
    if (!list_is_empty(&sink->all))
        oldest_ms =
            loop_now_ms(sink->loop) - LIST_OBJECT(sink->all.next, struct kafka_delivery, in_all)->since_ms;
    if (sink->troubled > 0)
        base_copy_text(why, sizeof why, sink->trouble_why);
    else if (sink->needs_probe)
        base_copy_text(why, sizeof why, sink->probe_why);
    else if (oldest_ms > OVERDUE_MS)
        (void)snprintf(why, sizeof why, "Kafka has not confirmed a result for more than %d s%s%.140s",
                       OVERDUE_MS / 1000, sink->trouble_why[0] ? ": " : "", sink->trouble_why);
    bool is_usable = why[0] == '\0';
    if (is_usable == sink->is_usable && strcmp(why, sink->why) == 0)
        return;
    sink->is_usable = is_usable;
    memcpy(sink->why, why, sizeof why);
    if (is_usable)
        sink->trouble_why[0] = '\0';
    sink->on_state(sink->arg, is_usable, sink->why);
}

static void on_probed(void *arg, struct facts *facts)
{
    struct kafka_sink *sink = arg;
    sink->probe = NULL;
    sink->needs_probe = facts->error != RD_KAFKA_RESP_ERR_NO_ERROR;
    if (facts->error)
        handle_explain(sink->handle, facts->error, facts->failed_topic, sink->probe_why);
    else
        handle_answered(sink->handle);
    sink_judge(sink);
}

static void probe(struct kafka_sink *sink)
{
    if (!sink->probe && sink->handle && sink->phase == SINK_RUNNING && !sink->is_closing)
        sink->probe = facts_ask(sink->handle, rd_kafka_topic_partition_list_copy(sink->topics), FACTS_TOPICS,
                                on_probed, sink);
}

/* ---- events ---- */

static void on_error(struct kafka_sink *sink, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (rd_kafka_event_error_is_fatal(event)) {
        if (sink->phase == SINK_RUNNING)
            sink_rebuild(sink, rd_kafka_event_error_string(event));
        return;
    }
    handle_hear(sink->handle, event);
    log_debug(&sink->log, "kafka.error", LOG_TEXT("code", rd_kafka_err2name(code)),
              LOG_TEXT("text", rd_kafka_event_error_string(event)));
    /* Connections that break are mended; before the first one nothing else says why there is none. */
    bool is_first = sink->needs_probe && code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
    if (explain_needs_hands(code) || is_first) {
        sink->needs_probe = true;
        handle_explain(sink->handle, code, NULL, sink->probe_why);
        sink_judge(sink);
    }
}

static void on_event(struct kafka_sink *sink, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_DR:
        sink_on_reports(sink, event);
        break;
    case RD_KAFKA_EVENT_ERROR:
        on_error(sink, event);
        break;
    case RD_KAFKA_EVENT_LOG:
        handle_log(sink->handle, &sink->log, event);
        break;
    default:
        break;
    }
}

static void go_on(struct kafka_sink *sink);

static void on_wakeup(void *arg)
{
    struct kafka_sink *sink = arg;
    rd_kafka_event_t *event;
    while (sink->queue && (event = rd_kafka_queue_poll(sink->queue, 0))) {
        on_event(sink, event);
        rd_kafka_event_destroy(event);
    }
    go_on(sink);
}

static void on_tick(void *arg)
{
    struct kafka_sink *sink = arg;
    loop_timer_start(sink->loop, &sink->tick, TICK_MS, on_tick, sink);
    sink->ticks++;
    sink->is_full = false;
    sink_pump(sink);
    sink_judge(sink);
    if (sink->needs_probe && sink->ticks % PROBE_TICKS == 0)
        probe(sink);
    on_wakeup(sink);
}

/* ---- instances ---- */

static bool open_handle(struct kafka_sink *sink, struct error *reterr)
{
    sink->handle = handle_new(sink->loop, RD_KAFKA_PRODUCER, sink->conf, reterr);
    if (!sink->handle)
        return false;
    sink->queue = handle_open_queue(sink->handle, sink->wakeup);
    for (int i = 0; i < sink->topics->cnt; i++)
        sink->kept_topics[i] = rd_kafka_topic_new(sink->handle->rk, sink->topics->elems[i].topic, NULL);
    probe(sink);
    wakeup_send(sink->wakeup);
    return true;
}

static void close_handle(struct kafka_sink *sink, void (*destroyed)(void *arg))
{
    facts_cancel(TAKE(sink->probe));
    for (int i = 0; i < sink->topics->cnt; i++)
        if (sink->kept_topics[i])
            rd_kafka_topic_destroy(TAKE(sink->kept_topics[i]));
    handle_close_queue(&sink->queue);
    if (!sink->handle)
        return;
    sink->ending = destroyed ? sink->handle : NULL;
    handle_release(TAKE(sink->handle), destroyed, sink);
}

static void on_rebuild(void *arg)
{
    struct kafka_sink *sink = arg;
    struct error error;
    sink->phase = SINK_RUNNING;
    sink->rebuilt_at_ms = loop_now_ms(sink->loop);
    if (open_handle(sink, &error)) {
        sink_requeue(sink);
        sink_pump(sink);
        return;
    }
    log_error(&sink->log, "kafka.sink_failed", LOG_TEXT("text", error.text));
    sink->phase = SINK_REBUILDING;
    loop_timer_start(sink->loop, &sink->rebuild, REBUILD_FRESH_MS, on_rebuild, sink);
}

static void end(struct kafka_sink *sink);

/* Nothing of the old instance refers to our values any more. */
static void replace(struct kafka_sink *sink)
{
    loop_timer_stop(sink->loop, &sink->rebuild);
    close_handle(sink, NULL);
    int64_t age_ms = loop_now_ms(sink->loop) - sink->rebuilt_at_ms;
    bool is_fresh = sink->was_rebuilt && age_ms < REBUILD_FRESH_MS;
    sink->was_rebuilt = true;
    loop_timer_start(sink->loop, &sink->rebuild, is_fresh ? REBUILD_PAUSE_MS : 0, on_rebuild, sink);
}

static void on_old_destroyed(void *arg)
{
    struct kafka_sink *sink = arg;
    sink->ending = NULL;
    sink->flying = 0;
    if (sink->phase == SINK_REBUILDING)
        replace(sink);
    else
        end(sink);
}

/* Its reports do not come: once the instance is destroyed, its memory refers to nothing. */
static void on_give_back_late(void *arg)
{
    struct kafka_sink *sink = arg;
    close_handle(sink, on_old_destroyed);
}

void sink_rebuild(struct kafka_sink *sink, const char *why)
{
    assert(sink->phase == SINK_RUNNING);
    sink->phase = SINK_REBUILDING;
    sink->stats.rebuilt++;
    log_warn(&sink->log, "kafka.sink_rebuild", LOG_TEXT("text", why), LOG_INT("again", sink->stats.waiting));
    facts_cancel(TAKE(sink->probe));
    (void)rd_kafka_purge(sink->handle->rk,
                         RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    loop_timer_start(sink->loop, &sink->rebuild, GIVE_BACK_MS, on_give_back_late, sink);
    wakeup_send(sink->wakeup);
}

/* ---- life cycle ---- */

static rd_kafka_conf_t *make_conf(const struct kafka_sink_options *options, size_t max_bytes,
                                  struct error *reterr)
{
    char kilobytes[24];
    (void)snprintf(kilobytes, sizeof kilobytes, "%zu", MAX(max_bytes / 1024, (size_t)1));
    const struct kafka_property own[] = {
        {"enable.idempotence", "true"},
        {"queue.buffering.max.kbytes", kilobytes},
        {"message.timeout.ms", "30000"}, /* ours to try again: the list of what is not sent lives here */
    };
    return delivery_conf(&options->cluster, options->client_id, own, ARRAY_LENGTH(own), reterr);
}

static void sink_free(void *object)
{
    struct kafka_sink *sink = object;
    rd_kafka_topic_partition_list_destroy(sink->topics);
    rd_kafka_conf_destroy(sink->conf);
    free(sink->kept_topics);
    free(sink);
}

struct kafka_sink *kafka_sink_new(const struct kafka_sink_options *options, struct error *reterr)
{
    size_t max_bytes = options->max_bytes > 0 ? options->max_bytes : DEFAULT_MAX_BYTES;
    rd_kafka_conf_t *conf = make_conf(options, max_bytes, reterr);
    if (!conf)
        return NULL;
    struct kafka_sink *sink = base_alloc(sizeof *sink);
    sink->loop = options->loop;
    sink->log = options->log ? *options->log : (struct log){.level = LOG_LEVEL_NONE};
    sink->arg = options->arg;
    sink->on_state = options->on_state;
    sink->conf = conf;
    sink->max_bytes = max_bytes;
    sink->needs_probe = true;
    (void)snprintf(sink->probe_why, sizeof sink->probe_why,
                   "Kafka has not answered yet; check KAFKA_BOOTSTRAP_SERVERS and the network");
    sink->topics = rd_kafka_topic_partition_list_new((int)options->topic_count);
    for (size_t i = 0; i < options->topic_count; i++)
        rd_kafka_topic_partition_list_add(sink->topics, options->topics[i], 0);
    sink->kept_topics = base_alloc((options->topic_count + 1) * sizeof(rd_kafka_topic_t *));
    list_init(&sink->all);
    list_init(&sink->waiting);
    list_init(&sink->alone);
    list_init(&sink->refused);
    sink->wakeup = loop_wakeup_new(sink->loop, on_wakeup, sink);
    if (!open_handle(sink, reterr)) {
        wakeup_close(sink->wakeup);
        sink_free(sink);
        return NULL;
    }
    loop_timer_start(sink->loop, &sink->tick, TICK_MS, on_tick, sink);
    return sink;
}

/* ---- closing ---- */

static void finish_closing(struct kafka_sink *sink)
{
    sink_silence(sink);
    loop_timer_stop(sink->loop, &sink->tick);
    loop_timer_stop(sink->loop, &sink->rebuild);
    loop_timer_stop(sink->loop, &sink->deadline);
    wakeup_close(sink->wakeup);
    void (*closed)(void *) = sink->closed;
    void *arg = sink->closed_arg;
    loop_reap(sink->loop, sink, sink_free);
    if (closed)
        closed(arg);
}

static void on_last_destroyed(void *arg)
{
    finish_closing(arg);
}

static void end(struct kafka_sink *sink)
{
    bool has_handle = sink->handle != NULL;
    sink->phase = SINK_ENDING;
    loop_timer_stop(sink->loop, &sink->rebuild);
    close_handle(sink, on_last_destroyed);
    if (!has_handle && !sink->ending)
        finish_closing(sink);
}

static void on_end_late(void *arg)
{
    struct kafka_sink *sink = arg;
    log_warn(&sink->log, "kafka.sink_close_late");
    if (sink->ending)
        sink->ending->destroyed = NULL; /* its thread is left behind */
    close_handle(sink, NULL);
    finish_closing(sink);
}

static void on_grace_over(void *arg)
{
    struct kafka_sink *sink = arg;
    sink->phase = SINK_PURGING;
    if (sink->stats.waiting > 0)
        log_warn(&sink->log, "kafka.sink_closed_early", LOG_INT("waiting", sink->stats.waiting));
    loop_timer_stop(sink->loop, &sink->rebuild);
    loop_timer_start(sink->loop, &sink->deadline, CLOSE_GIVE_BACK_MS, on_end_late, sink);
    if (sink->handle)
        (void)rd_kafka_purge(sink->handle->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                                   RD_KAFKA_PURGE_F_NON_BLOCKING);
    wakeup_send(sink->wakeup);
}

static bool has_posts(const struct kafka_sink *sink)
{
    return sink->handle && rd_kafka_outq_len(sink->handle->rk) > 0;
}

/* What may go on when events have been served. */
static void go_on(struct kafka_sink *sink)
{
    bool is_drained = list_is_empty(&sink->all) && !has_posts(sink);
    if (sink->phase == SINK_REBUILDING && sink->handle && sink->flying == 0)
        replace(sink);
    else if (sink->phase == SINK_RUNNING && sink->is_closing && is_drained)
        end(sink);
    else if (sink->phase == SINK_PURGING && sink->flying == 0)
        end(sink);
}

void kafka_sink_close(struct kafka_sink *sink, int64_t grace_ms, void (*closed)(void *arg), void *arg)
{
    if (!sink)
        return;
    assert(!sink->is_closing);
    sink->is_closing = true;
    sink->closed = closed;
    sink->closed_arg = arg;
    facts_cancel(TAKE(sink->probe)); /* its thread would hold up the end */
    loop_timer_start(sink->loop, &sink->deadline, grace_ms, on_grace_over, sink);
    wakeup_send(sink->wakeup);
}

/* ---- use ---- */

bool kafka_sink_has_room(const struct kafka_sink *sink)
{
    return sink->is_usable && !sink->is_full && sink->bytes < sink->max_bytes / 2;
}

void kafka_sink_stats(const struct kafka_sink *sink, struct kafka_sink_stats *ret)
{
    *ret = sink->stats;
}
