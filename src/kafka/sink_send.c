/* Records on their way: produced, reported, produced again. */
#include "kafka/sink_inside.h"

#include <assert.h>
#include <stdlib.h>

enum { RETRY_MIN_MS = 100, RETRY_MAX_MS = 5000 };

/* ---- a delivery ---- */

static void set_troubled(struct kafka_delivery *delivery, bool is_troubled)
{
    if (delivery->is_troubled == is_troubled)
        return;
    delivery->is_troubled = is_troubled;
    delivery->sink->troubled += is_troubled ? 1 : -1;
}

static void forget(struct kafka_delivery *delivery)
{
    struct kafka_sink *sink = delivery->sink;
    assert(!delivery->is_flying);
    loop_timer_stop(sink->loop, &delivery->retry);
    set_troubled(delivery, false);
    link_remove(&delivery->in_all);
    link_remove(&delivery->in_queue);
    sink->bytes -= delivery_bytes(&delivery->record);
    sink->stats.waiting--;
    delivery->send->delivery = NULL;
    free(delivery);
}

static void complete(struct kafka_delivery *delivery, const struct error *error, int32_t partition,
                     int64_t offset)
{
    struct kafka_send *send = delivery->send;
    kafka_sent_fn sent = delivery->sent;
    forget(delivery);
    sent(send, error, partition, offset);
}

static void answer_refused(void *arg)
{
    struct kafka_sink *sink = arg;
    struct link *link;
    while ((link = list_pop_front(&sink->refused))) {
        struct kafka_delivery *delivery = LIST_OBJECT(link, struct kafka_delivery, in_queue);
        struct error error;
        delivery_explain_too_large(&delivery->record, &error);
        complete(delivery, &error, -1, -1);
    }
}

static void refuse(struct kafka_delivery *delivery)
{
    list_push_back(&delivery->sink->refused, &delivery->in_queue);
    loop_defer(delivery->sink->loop, &delivery->sink->answer, answer_refused, delivery->sink);
}

/* ---- producing ---- */

static rd_kafka_resp_err_t produce(struct kafka_sink *sink, const struct kafka_record *record, int flags,
                                   void *opaque)
{
    return delivery_produce(sink->handle->rk, record, flags, opaque);
}

static void on_retry(void *arg)
{
    struct kafka_delivery *delivery = arg;
    list_push_back(&delivery->sink->waiting, &delivery->in_queue);
    sink_pump(delivery->sink);
}

static void retry_later(struct kafka_delivery *delivery, rd_kafka_resp_err_t code)
{
    struct kafka_sink *sink = delivery->sink;
    bool needs_hands = explain_needs_hands(code);
    if (needs_hands || !sink->troubled)
        explain(code, delivery->record.topic, sink->trouble_why);
    set_troubled(delivery, needs_hands);
    delivery->retry_delay_ms = MIN(MAX(delivery->retry_delay_ms * 2, RETRY_MIN_MS), RETRY_MAX_MS);
    loop_timer_start(sink->loop, &delivery->retry, delivery->retry_delay_ms, on_retry, delivery);
    log_warn(&sink->log, "kafka.not_sent", LOG_TEXT("topic", delivery->record.topic),
             LOG_TEXT("code", rd_kafka_err2name(code)), LOG_INT("retry_ms", delivery->retry_delay_ms));
}

/* Returns: false when nothing more can be produced now. */
static bool fly(struct kafka_sink *sink, struct kafka_delivery *delivery)
{
    rd_kafka_resp_err_t code = produce(sink, &delivery->record, 0, delivery);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        delivery->is_flying = true;
        sink->flying++;
        return true;
    }
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL || code == RD_KAFKA_RESP_ERR__FATAL) {
        list_push_front(&sink->waiting, &delivery->in_queue);
        sink->is_full = code == RD_KAFKA_RESP_ERR__QUEUE_FULL;
        if (!sink->is_full)
            sink_rebuild(sink, "a record was refused after a fatal error");
        return false;
    }
    if (delivery_is_too_large(code))
        refuse(delivery);
    else
        retry_later(delivery, code);
    return true;
}

static struct kafka_delivery *take(struct link *queue)
{
    struct link *link = list_pop_front(queue);
    return link ? LIST_OBJECT(link, struct kafka_delivery, in_queue) : NULL;
}

void sink_pump(struct kafka_sink *sink)
{
    if (!sink->handle || sink->phase != SINK_RUNNING || sink->is_full)
        return;
    struct kafka_delivery *delivery;
    if (!list_is_empty(&sink->alone)) {
        if (sink->flying == 0 && (delivery = take(&sink->alone))) {
            delivery->was_alone = true;
            (void)fly(sink, delivery);
        }
        return;
    }
    while (list_is_empty(&sink->alone) && (delivery = take(&sink->waiting)))
        if (!fly(sink, delivery))
            return;
}

void kafka_sink_send(struct kafka_sink *sink, struct kafka_send *send, const struct kafka_record *record,
                     kafka_sent_fn sent)
{
    assert(!send->delivery && !sink->is_closing);
    struct kafka_delivery *delivery = delivery_new(record, /* from= */ NULL);
    delivery->sink = sink;
    delivery->send = send;
    delivery->sent = sent;
    delivery->since_ms = loop_now_ms(sink->loop);
    send->delivery = delivery;
    sink->bytes += delivery_bytes(record);
    sink->stats.waiting++;
    list_push_back(&sink->all, &delivery->in_all);
    list_push_back(&sink->waiting, &delivery->in_queue);
    sink_pump(sink);
}

void kafka_sink_post(struct kafka_sink *sink, const struct kafka_record *record)
{
    size_t bytes = delivery_bytes(record);
    bool is_taken = sink->handle && sink->phase == SINK_RUNNING && !sink->is_full &&
                    sink->bytes + bytes <= sink->max_bytes;
    if (!is_taken || produce(sink, record, RD_KAFKA_MSG_F_COPY, NULL)) {
        sink->stats.dropped++;
        return;
    }
    sink->bytes += bytes;
}

/* ---- reports ---- */

static void on_bad_report(struct kafka_delivery *delivery, rd_kafka_resp_err_t code)
{
    struct kafka_sink *sink = delivery->sink;
    if (sink->phase != SINK_RUNNING)
        return; /* it goes again, or falls silent, with all the others */
    sink->stats.failed_reports++;
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        sink_rebuild(sink, "a record failed after a fatal error");
    } else if (!delivery_is_too_large(code)) {
        retry_later(delivery, code);
    } else if (delivery->was_alone) {
        refuse(delivery);
    } else {
        /* A broker judges batches: perhaps its neighbours made it too large. */
        list_push_back(&sink->alone, &delivery->in_queue);
    }
}

static void on_report(struct kafka_sink *sink, const rd_kafka_message_t *message)
{
    struct kafka_delivery *delivery = message->_private;
    if (!delivery) {
        sink->bytes -= message->key_len + message->len;
        sink->stats.posted += !message->err;
        sink->stats.dropped += message->err != 0;
        return;
    }
    assert(delivery->is_flying);
    delivery->is_flying = false;
    sink->flying--;
    if (message->err) {
        on_bad_report(delivery, message->err);
        return;
    }
    sink->stats.sent++;
    complete(delivery, NULL, message->partition, message->offset);
}

void sink_on_reports(struct kafka_sink *sink, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message;
    while ((message = rd_kafka_event_message_next(event)))
        on_report(sink, message);
    sink->is_full = false;
    sink_judge(sink);
    sink_pump(sink);
}

void sink_requeue(struct kafka_sink *sink)
{
    sink->flying = 0;
    sink->is_full = false;
    answer_refused(sink); /* what is left goes again */
    sink->bytes = 0;      /* posted records went with the old instance */
    LIST_EACH(&sink->all, link)
    {
        struct kafka_delivery *delivery = LIST_OBJECT(link, struct kafka_delivery, in_all);
        delivery->is_flying = delivery->was_alone = false;
        sink->bytes += delivery_bytes(&delivery->record);
        loop_timer_stop(sink->loop, &delivery->retry);
        link_remove(&delivery->in_queue);
        list_push_back(&sink->waiting, &delivery->in_queue);
    }
}

void sink_silence(struct kafka_sink *sink)
{
    loop_defer_cancel(sink->loop, &sink->answer);
    LIST_EACH(&sink->all, link)
    {
        struct kafka_delivery *delivery = LIST_OBJECT(link, struct kafka_delivery, in_all);
        delivery->is_flying = false;
        forget(delivery);
    }
}
