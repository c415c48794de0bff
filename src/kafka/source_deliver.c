/* Records out of the partitions' queues, in turns, as far as the user has room. */
#include "kafka/source_inside.h"

#include <stdlib.h>

/* Records taken in one turn of the loop; more of them would keep everything else waiting. */
enum { RECORDS_PER_TURN = 64 };

/* A head that waits is asked about again after this: clocks may be set. */
enum { WAIT_MOST_MS = 60000 };

static void on_partition_error(struct kafka_source *source, struct partition *partition,
                               rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        /* What lies between the last record and the end is no record (a transaction's marker, say) and would
         * hold back the base for ever. */
        rd_kafka_topic_partition_t *where = rd_kafka_event_topic_partition(event);
        if (where)
            partition_reach(partition, where->offset);
        if (where)
            rd_kafka_topic_partition_destroy(where);
        return;
    }
    log_warn(&source->log, "kafka.partition_failed", LOG_TEXT("topic", partition->topic),
             LOG_INT("partition", partition->number), LOG_TEXT("code", rd_kafka_err2name(code)),
             LOG_TEXT("text", rd_kafka_event_error_string(event)));
    if (code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        source_restart(source, partition);
        return;
    }
    if (explain_needs_hands(code)) {
        char text[EXPLAIN_SIZE];
        explain(code, partition->topic, text);
        source_state(source, false, text);
    }
}

/* Returns: true when a record stands at the head, in `message`. */
static bool fetch_next(struct kafka_source *source, struct partition *partition)
{
    while (!partition->message && partition->queue && rd_kafka_queue_length(partition->queue) > 0) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(partition->queue, 0);
        if (!event)
            return false;
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_FETCH) {
            partition->event = event;
            partition->message = rd_kafka_event_message_next(event);
        } else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR) {
            on_partition_error(source, partition, event);
        }
        if (!partition->message) {
            partition->event = NULL;
            rd_kafka_event_destroy(event);
        }
    }
    return partition->message != NULL;
}

static void next_message(struct partition *partition)
{
    if (!partition->event)
        return; /* the user's callback closed the queue */
    partition->message = rd_kafka_event_message_next(partition->event);
    if (partition->message)
        return;
    rd_kafka_event_destroy(partition->event);
    partition->event = NULL;
}

/* What stands at the head; borrowed until it leaves. */
static struct kafka_message head_of(struct kafka_source *source, struct partition *partition,
                                    enum partition_verdict verdict)
{
    const rd_kafka_message_t *record = partition->message;
    rd_kafka_timestamp_type_t kind;
    struct kafka_message message = {
        .topic = partition->topic,
        .partition = partition->number,
        .offset = record->offset,
        .timestamp_unix_ms = rd_kafka_message_timestamp(record, &kind),
        .key = {record->key, record->key_len},
        .value = {record->payload, record->len},
        .was_pulled = verdict == PARTITION_RECOVER,
    };
    message.header_count = headers_read(&source->headers, record);
    message.headers = source->headers.items;
    return message;
}

static bool is_waiting(struct kafka_source *source, struct partition *partition,
                       const struct kafka_message *head)
{
    int64_t wait_ms = source->events.wait_ms ? source->events.wait_ms(source->events.arg, head) : 0;
    partition->wait_until_ms = wait_ms > 0 ? loop_now_ms(source->loop) + MIN(wait_ms, WAIT_MOST_MS) : 0;
    return wait_ms > 0;
}

static bool has_room(struct kafka_source *source, struct partition *partition)
{
    partition->is_full = !partition_has_room(partition);
    if (!partition->is_full && !partition->is_resting)
        partition->is_resting = !source->events.has_room(source->events.arg, partition->topic);
    return !partition->is_full && !partition->is_resting;
}

/* For one that was pulled before. */
static bool has_memory(struct kafka_source *source, struct partition *partition)
{
    partition->is_resting = source->events.has_memory && !source->events.has_memory(source->events.arg);
    return !partition->is_resting;
}

/* Whether there is a record at the head that nothing is known to keep there. */
static bool has_head(struct kafka_source *source, struct partition *partition)
{
    if (partition->phase != PARTITION_RUNNING || partition->wait_until_ms > loop_now_ms(source->loop))
        return false;
    return partition->message || fetch_next(source, partition);
}

/* Returns: false when this partition has nothing for us now. */
static bool pull_one(struct kafka_source *source, struct partition *partition)
{
    if (partition->is_idle)
        return false;
    partition->is_idle = !has_head(source, partition);
    if (partition->is_idle)
        return false;
    int64_t offset = partition->message->offset;
    enum partition_verdict verdict = partition_judge(partition, offset);
    if (verdict != PARTITION_SKIP) {
        struct kafka_message head = head_of(source, partition, verdict);
        partition->is_idle = verdict == PARTITION_DELIVER
                                 ? is_waiting(source, partition, &head) || !has_room(source, partition)
                                 : !has_memory(source, partition);
        if (partition->is_idle)
            return false;
        partition_pass(partition, offset, verdict);
        source->events.on_message(source->events.arg, &head);
    } else {
        partition_pass(partition, offset, verdict);
    }
    next_message(partition);
    return true;
}

static void on_due(void *arg)
{
    source_deliver(arg);
}

static void wait_for_due(struct kafka_source *source)
{
    int64_t first_ms = INT64_MAX, now_ms = loop_now_ms(source->loop);
    if (source->is_held) /* looked at when that ends */
        return;
    for (size_t i = 0; i < source->count; i++)
        if (source->partitions[i]->wait_until_ms > 0)
            first_ms = MIN(first_ms, source->partitions[i]->wait_until_ms);
    if (first_ms != INT64_MAX)
        loop_timer_start(source->loop, &source->due, MAX(first_ms - now_ms, 1), on_due, source);
}

static void deliver(struct kafka_source *source)
{
    for (size_t i = 0; i < source->count; i++)
        source->partitions[i]->is_idle = false;
    int budget = RECORDS_PER_TURN;
    size_t idle = 0;
    while (idle < source->count && budget > 0) {
        if (source->phase != SOURCE_RUNNING || source->is_held)
            return;
        source->turn = (source->turn + 1) % source->count;
        if (pull_one(source, source->partitions[source->turn])) {
            idle = 0;
            budget--;
        } else {
            idle++;
        }
    }
    if (budget == 0)
        wakeup_send(source->wakeup); /* the rest in the next turn, after everybody else */
}

void source_deliver(struct kafka_source *source)
{
    if (!source->cluster_id || source->is_delivering)
        return;
    source->is_delivering = true;
    deliver(source);
    source->is_delivering = false;
    wait_for_due(source);
}
