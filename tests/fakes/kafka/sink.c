/* kafka/sink.h on the world in memory. */
#include "fakes/kafka/inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_MS = 100, LOOK_MS = 10, DEFAULT_MAX_BYTES = 64 << 20 };

static size_t record_bytes(const struct kafka_record *record)
{
    return record->key.length + record->value.length;
}

static int32_t partition_of(const struct world_topic *topic, struct bytes key)
{
    uint32_t hash = 2166136261u; /* any that is stable will do here */
    for (size_t i = 0; i < key.length; i++)
        hash = (hash ^ ((const unsigned char *)key.data)[i]) * 16777619u;
    return (int32_t)(hash % (uint32_t)topic->count);
}

static int64_t append(struct kafka_world *world, const struct kafka_record *record, int32_t *ret_partition)
{
    if (!world_topic(world, record->topic))
        kafka_world_add_topic(world, record->topic, 1);
    *ret_partition = partition_of(world_topic(world, record->topic), record->key);
    return kafka_world_push(world, *ret_partition, record);
}

static void forget(struct kafka_delivery *delivery)
{
    struct kafka_sink *sink = delivery->sink;
    loop_timer_stop(sink->threads, &delivery->leaving);
    virtual_arrive_cancel(sink->world->loop, &delivery->writing);
    virtual_arrive_cancel(sink->loop, &delivery->report);
    link_remove(&delivery->link);
    sink->bytes -= (size_t)delivery->bytes;
    sink->stats.waiting--;
    if (delivery->send)
        delivery->send->delivery = NULL;
    free(delivery->record);
    free(delivery->copy);
    free(delivery);
}

/* ---- here, on the loop ---- */

static void on_report(void *arg)
{
    struct kafka_delivery *delivery = arg;
    const struct kafka_delivery copy = *delivery;
    struct error error;
    if (copy.is_refused)
        (void)error_set(&error, ERROR_REJECTED, "kafka", 10, "the record is larger than Kafka allows");
    else
        copy.sink->stats.sent++;
    forget(delivery);
    copy.sent(copy.send, copy.is_refused ? &error : NULL, copy.partition, copy.offset);
}

/* ---- there ---- */

static void leave(void *arg);

static void again(struct kafka_delivery *delivery)
{
    loop_timer_start(delivery->sink->threads, &delivery->leaving, RETRY_MS, leave, delivery);
}

static void report(struct kafka_delivery *delivery)
{
    struct kafka_sink *sink = delivery->sink;
    struct kafka_world *world = sink->world;
    int64_t late_ms = world->report_delay_ms > 1 ? world->report_delay_ms - 1 : world_delay(world, 0);
    virtual_arrive(sink->loop, &delivery->report, late_ms, on_report, delivery);
}

static void write_record(void *arg)
{
    struct kafka_delivery *delivery = arg;
    struct kafka_sink *sink = delivery->sink;
    struct kafka_world *world = sink->world;
    if (!world->is_up) {
        again(delivery);
    } else if (delivery->copy->value.length > world->record_max) {
        delivery->is_refused = true;
        delivery->partition = -1;
        delivery->offset = -1;
        report(delivery);
    } else if (world->failing > 0) {
        world->failing--;
        sink->stats.failed_reports++;
        if (world->is_failing_written)
            (void)append(world, delivery->copy, &delivery->partition);
        again(delivery);
    } else {
        delivery->offset = append(world, delivery->copy, &delivery->partition);
        report(delivery);
    }
}

/* ---- here, on librdkafka's threads ---- */

static void leave(void *arg)
{
    struct kafka_delivery *delivery = arg;
    struct kafka_world *world = delivery->sink->world;
    if (!world->is_up) {
        again(delivery);
        return;
    }
    if (!delivery->copy)
        delivery->copy = world_copy(delivery->record, /* is_value_copied= */ true);
    virtual_arrive(world->loop, &delivery->writing, world_delay(world, 0), write_record, delivery);
}

static void on_state(void *arg)
{
    struct kafka_sink *sink = arg;
    if (!sink->is_closing)
        sink->on_state(sink->arg, sink->world->is_up, sink->world->why);
}

void fake_sink_tell_state(struct kafka_sink *sink)
{
    virtual_arrive(sink->loop, &sink->state, 0, on_state, sink);
}

/* ---- life cycle ---- */

struct kafka_sink *kafka_sink_new(const struct kafka_sink_options *options, struct error *reterr)
{
    (void)reterr;
    struct kafka_sink *sink = base_alloc(sizeof *sink);
    sink->world = world_at(options->cluster.bootstrap_servers);
    sink->loop = options->loop;
    sink->threads = virtual_loop_thread(options->loop);
    sink->arg = options->arg;
    sink->on_state = options->on_state;
    sink->max_bytes = options->max_bytes > 0 ? options->max_bytes : DEFAULT_MAX_BYTES;
    list_init(&sink->deliveries);
    list_push_back(&sink->world->sinks, &sink->link);
    fake_sink_tell_state(sink);
    return sink;
}

void kafka_world_kill_sink(struct kafka_sink *sink)
{
    struct loop *loop = sink->loop;
    LIST_EACH(&sink->deliveries, link)
    forget(LIST_OBJECT(link, struct kafka_delivery, link));
    link_remove(&sink->link);
    virtual_arrive_cancel(loop, &sink->state);
    loop_timer_stop(loop, &sink->deadline);
    loop_timer_stop(loop, &sink->look);
    loop_reap(loop, sink, free);
}

static void finish_closing(void *arg)
{
    struct kafka_sink *sink = arg;
    void (*closed)(void *) = sink->closed;
    void *closed_arg = sink->closed_arg;
    kafka_world_kill_sink(sink);
    if (closed)
        closed(closed_arg);
}

static void on_look(void *arg)
{
    struct kafka_sink *sink = arg;
    if (list_is_empty(&sink->deliveries))
        finish_closing(sink);
    else
        loop_timer_start(sink->loop, &sink->look, LOOK_MS, on_look, sink);
}

void kafka_sink_close(struct kafka_sink *sink, int64_t grace_ms, void (*closed)(void *arg), void *arg)
{
    if (!sink)
        return;
    sink->is_closing = true;
    sink->closed = closed;
    sink->closed_arg = arg;
    loop_timer_start(sink->loop, &sink->deadline, grace_ms, finish_closing, sink);
    loop_timer_start(sink->loop, &sink->look, 0, on_look, sink);
}

/* ---- use ---- */

void kafka_sink_send(struct kafka_sink *sink, struct kafka_send *send, const struct kafka_record *record,
                     kafka_sent_fn sent)
{
    assert(!send->delivery && !sink->is_closing);
    virtual_place(sink->loop);
    struct kafka_delivery *delivery = base_alloc(sizeof *delivery);
    delivery->sink = sink;
    delivery->send = send;
    delivery->sent = sent;
    delivery->record = world_copy(record, /* is_value_copied= */ false);
    send->delivery = delivery;
    delivery->bytes = (int64_t)record_bytes(record);
    sink->bytes += record_bytes(record);
    sink->stats.waiting++;
    list_push_back(&sink->deliveries, &delivery->link);
    loop_timer_start(sink->threads, &delivery->leaving, 1, leave, delivery);
    virtual_place(sink->loop);
}

void kafka_sink_post(struct kafka_sink *sink, const struct kafka_record *record)
{
    int32_t partition;
    if (!sink->world->is_up || sink->bytes > sink->max_bytes) {
        sink->stats.dropped++;
        return;
    }
    sink->stats.posted++;
    (void)append(sink->world, record, &partition);
}

bool kafka_sink_has_room(const struct kafka_sink *sink)
{
    return sink->world->is_up && sink->bytes < sink->max_bytes / 2;
}

void kafka_sink_stats(const struct kafka_sink *sink, struct kafka_sink_stats *ret)
{
    *ret = sink->stats;
}
