/* An onlooker: every partition of one topic into one queue, by explicit offsets, without a group. */
#include "kafka/reader.h"

#include "kafka/conf.h"
#include "kafka/headers.h"
#include "kafka/reader_look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One turn of the loop gives at most so many records: everything else must have its turn, too. */
enum { RECORDS_PER_TURN = 256, TICK_MS = 1000, LOOK_EVERY_MS = 30000 };

struct kafka_reader {
    struct loop *loop; /* borrowed */
    struct log log;
    struct kafka_reader_events events;
    char *topic;
    int64_t from_unix_ms;   /* of the next look: whatever is found after the first is read from its start */
    int64_t oldest_unix_ms; /* older records are passed over; 0: none */

    struct handle *handle;
    rd_kafka_topic_t *kept;  /* the topic that is read */
    rd_kafka_queue_t *queue; /* records of all partitions, errors, logs */
    struct wakeup *wakeup;
    struct timer tick;
    struct look *look;                 /* under way; NULL: none */
    int64_t looked_at_ms;              /* -1: to be done at the next tick */
    struct look_partition *partitions; /* by number */
    size_t count;
    struct headers headers; /* of the record that is delivered */

    bool has_caught_up, is_closing, has_state, is_usable;
    char why[EXPLAIN_SIZE];
    void (*closed)(void *arg);
    void *closed_arg;
};

static void set_state(struct kafka_reader *reader, bool is_usable, const char *why)
{
    if (reader->has_state && reader->is_usable == is_usable && strcmp(reader->why, why) == 0)
        return;
    reader->has_state = true;
    reader->is_usable = is_usable;
    base_copy_text(reader->why, sizeof reader->why, why);
    if (reader->events.on_state && !reader->is_closing)
        reader->events.on_state(reader->events.arg, is_usable, reader->why);
}

static void look_at_catching_up(struct kafka_reader *reader)
{
    if (reader->has_caught_up || reader->count == 0 || reader->is_closing)
        return;
    for (size_t i = 0; i < reader->count; i++)
        if (reader->partitions[i].next < reader->partitions[i].end)
            return;
    reader->has_caught_up = true;
    if (reader->events.on_caught_up)
        reader->events.on_caught_up(reader->events.arg);
}

static void reach(struct kafka_reader *reader, int32_t number, int64_t next)
{
    if (number >= 0 && (size_t)number < reader->count && reader->partitions[number].next < next)
        reader->partitions[number].next = next;
}

/* ---- looking where to begin ---- */

static void on_look(void *arg, const struct look *look)
{
    struct kafka_reader *reader = arg;
    reader->look = NULL;
    if (look->error) {
        char text[EXPLAIN_SIZE];
        handle_explain(reader->handle, look->error, reader->topic, text);
        set_state(reader, false, text);
        return;
    }
    handle_answered(reader->handle);
    reader->looked_at_ms = loop_now_ms(reader->loop);
    if (look->found_count > 0) {
        size_t count = reader->count + look->found_count;
        reader->partitions = base_realloc(reader->partitions, sizeof *reader->partitions * count);
        memcpy(reader->partitions + reader->count, look->found, sizeof *look->found * look->found_count);
        reader->from_unix_ms = 0;
    }
    for (size_t i = 0; i < look->found_count; i++, reader->count++)
        if (rd_kafka_consume_start_queue(reader->kept, look->found[i].number, look->found[i].next,
                                         reader->queue) != 0)
            log_error(&reader->log, "kafka.reader_failed", LOG_TEXT("topic", reader->topic),
                      LOG_INT("partition", look->found[i].number),
                      LOG_TEXT("text", rd_kafka_err2str(rd_kafka_last_error())));
    set_state(reader, true, "");
    look_at_catching_up(reader);
}

static void look_when_due(struct kafka_reader *reader)
{
    int64_t age_ms = loop_now_ms(reader->loop) - reader->looked_at_ms;
    if (!reader->look && (reader->looked_at_ms < 0 || !reader->is_usable || age_ms >= LOOK_EVERY_MS))
        reader->look = look_start(reader->handle, reader->topic, (int32_t)reader->count, reader->from_unix_ms,
                                  on_look, reader);
}

/* ---- records ---- */

static void deliver(struct kafka_reader *reader, const rd_kafka_message_t *record)
{
    rd_kafka_timestamp_type_t kind;
    struct kafka_message message = {
        .topic = reader->topic,
        .partition = record->partition,
        .offset = record->offset,
        .timestamp_unix_ms = rd_kafka_message_timestamp(record, &kind),
        .key = {record->key, record->key_len},
        .value = {record->payload, record->len},
    };
    message.header_count = headers_read(&reader->headers, record);
    message.headers = reader->headers.items;
    if (message.timestamp_unix_ms < 0 || message.timestamp_unix_ms >= reader->oldest_unix_ms)
        reader->events.on_message(reader->events.arg, &message);
    if (!reader->is_closing)
        reach(reader, record->partition, record->offset + 1);
}

static void on_error(struct kafka_reader *reader, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        /* Behind the last record there may be a transaction's marker, which is no record. */
        rd_kafka_topic_partition_t *where = rd_kafka_event_topic_partition(event);
        if (where) {
            reach(reader, where->partition, where->offset);
            rd_kafka_topic_partition_destroy(where);
        }
        return;
    }
    handle_hear(reader->handle, event);
    log_debug(&reader->log, "kafka.reader_error", LOG_TEXT("code", rd_kafka_err2name(code)),
              LOG_TEXT("text", rd_kafka_event_error_string(event)));
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || explain_needs_hands(code)) {
        char text[EXPLAIN_SIZE];
        handle_explain(reader->handle, code, reader->topic, text);
        set_state(reader, false, text);
    }
}

static void on_event(struct kafka_reader *reader, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *record;
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_FETCH:
        while (!reader->is_closing && (record = rd_kafka_event_message_next(event)))
            deliver(reader, record);
        break;
    case RD_KAFKA_EVENT_ERROR:
        on_error(reader, event);
        break;
    case RD_KAFKA_EVENT_LOG:
        handle_log(reader->handle, &reader->log, event);
        break;
    }
}

static void drain(void *arg)
{
    struct kafka_reader *reader = arg;
    int budget = RECORDS_PER_TURN;
    while (!reader->is_closing && budget > 0) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(reader->queue, 0);
        if (!event)
            break;
        on_event(reader, event);
        rd_kafka_event_destroy(event);
        budget--;
    }
    look_at_catching_up(reader);
    if (budget == 0 && !reader->is_closing)
        wakeup_send(reader->wakeup);
}

static void on_tick(void *arg)
{
    struct kafka_reader *reader = arg;
    loop_timer_start(reader->loop, &reader->tick, TICK_MS, on_tick, reader);
    look_when_due(reader);
    drain(reader);
}

/* ---- life cycle ---- */

static rd_kafka_conf_t *make_conf(const struct kafka_reader_options *options, struct error *reterr)
{
    const struct kafka_property wanted[] = {
        {"auto.offset.reset", "earliest"}, /* what retention took meanwhile is gone: go on where it begins */
        {"enable.partition.eof", "true"},
        {"isolation.level", "read_committed"},
        {"check.crcs", "true"},
        {"fetch.wait.max.ms", "100"},
        {"queued.min.messages", "1000"},
        {"queued.max.messages.kbytes", "4096"},
    };
    const struct conf_client client = {RD_KAFKA_CONSUMER, options->client_id, wanted, ARRAY_LENGTH(wanted)};
    rd_kafka_conf_t *conf = conf_new(&options->cluster, &client, reterr);
    if (conf)
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
    return conf;
}

struct kafka_reader *kafka_reader_new(const struct kafka_reader_options *options, struct error *reterr)
{
    rd_kafka_conf_t *conf = make_conf(options, reterr);
    struct handle *handle = conf ? handle_new(options->loop, RD_KAFKA_CONSUMER, conf, reterr) : NULL;
    if (conf)
        rd_kafka_conf_destroy(conf);
    if (!handle)
        return NULL;
    rd_kafka_topic_t *kept = rd_kafka_topic_new(handle->rk, options->topic, NULL);
    if (!kept) {
        error_set(reterr, ERROR_REJECTED, "config", rd_kafka_last_error(), "topic \"%s\": %s", options->topic,
                  rd_kafka_err2str(rd_kafka_last_error()));
        handle_release(handle, NULL, NULL);
        return NULL;
    }
    struct kafka_reader *reader = base_alloc(sizeof *reader);
    *reader =
        (struct kafka_reader){.loop = options->loop,
                              .log = options->log ? *options->log : (struct log){.level = LOG_LEVEL_NONE},
                              .events = options->events,
                              .topic = base_strdup(options->topic),
                              .from_unix_ms = options->from_unix_ms,
                              .oldest_unix_ms = MAX(options->from_unix_ms, 0),
                              .handle = handle,
                              .kept = kept,
                              .looked_at_ms = -1};
    reader->wakeup = loop_wakeup_new(reader->loop, drain, reader);
    reader->queue = handle_open_queue(handle, reader->wakeup);
    loop_timer_start(reader->loop, &reader->tick, 0, on_tick, reader);
    return reader;
}

/* ---- closing ---- */

static void reader_free(void *object)
{
    struct kafka_reader *reader = object;
    free(reader->topic);
    free(reader->partitions);
    headers_release(&reader->headers);
    free(reader);
}

static void on_destroyed(void *arg)
{
    struct kafka_reader *reader = arg;
    void (*closed)(void *) = reader->closed;
    void *closed_arg = reader->closed_arg;
    loop_reap(reader->loop, reader, reader_free);
    if (closed)
        closed(closed_arg);
}

/* Stopping a partition waits for librdkafka's own thread. */
static void on_stop_thread(void *arg)
{
    struct kafka_reader *reader = arg;
    for (size_t i = 0; i < reader->count; i++)
        (void)rd_kafka_consume_stop(reader->kept, reader->partitions[i].number);
    rd_kafka_topic_destroy(reader->kept);
    rd_kafka_queue_destroy(reader->queue);
}

static void on_stopped(void *arg)
{
    struct kafka_reader *reader = arg;
    handle_release(reader->handle, on_destroyed, reader);
}

void kafka_reader_close(struct kafka_reader *reader, void (*closed)(void *arg), void *arg)
{
    if (!reader) {
        if (closed)
            closed(arg);
        return;
    }
    reader->is_closing = true;
    reader->closed = closed;
    reader->closed_arg = arg;
    look_cancel(TAKE(reader->look));
    loop_timer_stop(reader->loop, &reader->tick);
    rd_kafka_queue_cb_event_enable(reader->queue, NULL, NULL);
    wakeup_close(TAKE(reader->wakeup));
    loop_work(reader->loop, on_stop_thread, on_stopped, reader);
}
