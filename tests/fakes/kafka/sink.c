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
    loop_timer_stop(sink->world->loop, &delivery->timer);
    link_remove(&delivery->link);
    sink->bytes -= record_bytes(delivery->record);
    sink->stats.waiting--;
    delivery->send->delivery = NULL;
    free(delivery->record);
    free(delivery);
}

static void complete(struct kafka_delivery *delivery, const struct error *error, int32_t partition,
                     int64_t offset)
{
    struct kafka_send *send = delivery->send;
    kafka_sent_fn sent = delivery->sent;
    delivery->sink->stats.sent += !error;
    forget(delivery);
    sent(send, error, partition, offset);
}

static void on_report(void *arg)
{
    struct kafka_delivery *delivery = arg;
    struct kafka_world *world = delivery->sink->world;
    struct error error;
    int32_t partition;
    if (!world->is_up) {
        loop_timer_start(world->loop, &delivery->timer, RETRY_MS, on_report, delivery);
    } else if (delivery->record->value.length > world->record_max) {
        error_set(&error, ERROR_REJECTED, "kafka", 10, "the record is larger than Kafka allows");
        complete(delivery, &error, -1, -1);
    } else if (world->failing > 0) {
        world->failing--;
        delivery->sink->stats.failed_reports++;
        if (world->is_failing_written)
            (void)append(world, delivery->record, &partition);
        loop_timer_start(world->loop, &delivery->timer, RETRY_MS, on_report, delivery);
    } else {
        int64_t offset = append(world, delivery->record, &partition);
        complete(delivery, NULL, partition, offset);
    }
}

void fake_sink_on_state(struct kafka_sink *sink)
{
    sink->on_state(sink->arg, sink->world->is_up, sink->world->why);
}

/* ---- life cycle ---- */

static void on_first_state(void *arg)
{
    fake_sink_on_state(arg);
}

struct kafka_sink *kafka_sink_new(const struct kafka_sink_options *options, struct error *reterr)
{
    (void)reterr;
    struct kafka_sink *sink = base_alloc(sizeof *sink);
    sink->world = world_at(options->cluster.bootstrap_servers);
    sink->arg = options->arg;
    sink->on_state = options->on_state;
    sink->max_bytes = options->max_bytes > 0 ? options->max_bytes : DEFAULT_MAX_BYTES;
    list_init(&sink->deliveries);
    list_push_back(&sink->world->sinks, &sink->link);
    loop_defer(sink->world->loop, &sink->state, on_first_state, sink);
    return sink;
}

void kafka_world_kill_sink(struct kafka_sink *sink)
{
    struct link *link;
    struct loop *loop = sink->world->loop;
    while ((link = list_pop_front(&sink->deliveries)))
        forget(LIST_OBJECT(link, struct kafka_delivery, link));
    link_remove(&sink->link);
    loop_defer_cancel(loop, &sink->state);
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
        loop_timer_start(sink->world->loop, &sink->look, LOOK_MS, on_look, sink);
}

void kafka_sink_close(struct kafka_sink *sink, int64_t grace_ms, void (*closed)(void *arg), void *arg)
{
    if (!sink)
        return;
    sink->is_closing = true;
    sink->closed = closed;
    sink->closed_arg = arg;
    loop_timer_start(sink->world->loop, &sink->deadline, grace_ms, finish_closing, sink);
    loop_timer_start(sink->world->loop, &sink->look, 0, on_look, sink);
}

/* ---- use ---- */

void kafka_sink_send(struct kafka_sink *sink, struct kafka_send *send, const struct kafka_record *record,
                     kafka_sent_fn sent)
{
    assert(!send->delivery && !sink->is_closing);
    struct kafka_delivery *delivery = base_alloc(sizeof *delivery);
    delivery->sink = sink;
    delivery->send = send;
    delivery->sent = sent;
    delivery->record = world_copy(record, /* is_value_copied= */ false);
    send->delivery = delivery;
    sink->bytes += record_bytes(record);
    sink->stats.waiting++;
    list_push_back(&sink->deliveries, &delivery->link);
    loop_timer_start(sink->world->loop, &delivery->timer, sink->world->report_delay_ms, on_report, delivery);
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
