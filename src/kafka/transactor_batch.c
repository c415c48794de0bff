/* Records on their way into a transaction, and out of it. */
#include "kafka/source_inside.h"
#include "kafka/transactor_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_BYTES_MAX = 16 << 20, ROOM_BYTES = 32 << 20, INDEX_BITS = 10 };

static struct kafka_delivery *of(struct link *link)
{
    return LIST_OBJECT(link, struct kafka_delivery, in_queue);
}

static void move(struct kafka_delivery *delivery, struct link *queue)
{
    link_remove(&delivery->in_queue);
    list_push_back(queue, &delivery->in_queue);
}

/* ---- answers ---- */

static void forget(struct kafka_transactor *transactor, struct kafka_delivery *delivery)
{
    link_remove(&delivery->in_all);
    link_remove(&delivery->in_queue);
    transactor->bytes -= delivery_bytes(&delivery->record);
    transactor->stats.waiting--;
    delivery->send->delivery = NULL;
    free(delivery);
}

static void answer(struct kafka_transactor *transactor, struct link *queue, const struct error *error)
{
    struct link *link;
    while ((link = list_pop_front(queue))) {
        struct kafka_delivery *delivery = of(link);
        struct kafka_send *send = delivery->send;
        kafka_sent_fn sent = delivery->sent;
        struct kafka_place landed = delivery->landed;
        struct error too_large;
        if (queue == &transactor->refused) {
            delivery_explain_too_large(&delivery->record, &too_large);
            error = &too_large;
        }
        transactor->stats.sent += !error;
        transactor->stats.disowned += queue == &transactor->disowned;
        forget(transactor, delivery);
        sent(send, error, error ? -1 : landed.partition, error ? -1 : landed.offset);
    }
}

static void on_answer(void *arg)
{
    struct kafka_transactor *transactor = arg;
    struct error disowned;
    error_set(&disowned, ERROR_TRANSIENT, "kafka", KAFKA_DISOWNED,
              "the record's partition is another worker's now");
    answer(transactor, &transactor->committed, NULL);
    answer(transactor, &transactor->disowned, &disowned);
    answer(transactor, &transactor->refused, NULL);
}

void transactor_answer_soon(struct kafka_transactor *transactor)
{
    if (!list_is_empty(&transactor->committed) || !list_is_empty(&transactor->disowned) ||
        !list_is_empty(&transactor->refused))
        loop_defer(transactor->loop, &transactor->answer, on_answer, transactor);
}

void transactor_silence(struct kafka_transactor *transactor)
{
    loop_defer_cancel(transactor->loop, &transactor->answer);
    LIST_EACH(&transactor->all, link)
    forget(transactor, LIST_OBJECT(link, struct kafka_delivery, in_all));
}

/* ---- gathering ---- */

static bool sort_queue(struct kafka_transactor *transactor, struct link *queue)
{
    bool has_owned = false;
    LIST_EACH(queue, link)
    {
        struct kafka_delivery *delivery = of(link);
        enum source_judgement judgement =
            transactor->source ? source_judge(transactor->source, &delivery->place) : SOURCE_PLACE_GONE;
        has_owned |= judgement == SOURCE_PLACE_OWNED;
        /* Who finished it otherwise knows whether there is a result: the ledger says so to whoever asks. */
        if (judgement != SOURCE_PLACE_FINISHED && judgement != SOURCE_PLACE_GONE)
            continue;
        move(delivery, &transactor->disowned);
        transactor->gathered_count -= queue == &transactor->gathered;
    }
    return has_owned;
}

bool transactor_sort(struct kafka_transactor *transactor)
{
    bool has_gathered = sort_queue(transactor, &transactor->gathered);
    bool has_alone = sort_queue(transactor, &transactor->alone);
    transactor_answer_soon(transactor);
    return has_gathered || has_alone;
}

/* Two flights may have the same record when its partition went and came back: one of them publishes. */
static bool has_place(const struct kafka_transactor *transactor, const struct kafka_place *place)
{
    LIST_EACH(&transactor->batch, link)
    {
        const struct kafka_place *other = &of(link)->place;
        if (other->offset == place->offset && other->partition == place->partition &&
            strcmp(other->topic, place->topic) == 0)
            return true;
    }
    return false;
}

static void choose(struct kafka_transactor *transactor, struct link *queue, size_t max)
{
    size_t count = 0, bytes = 0;
    LIST_EACH(queue, link)
    {
        struct kafka_delivery *delivery = of(link);
        bytes += delivery_bytes(&delivery->record);
        if (count == max || (count > 0 && bytes > BATCH_BYTES_MAX))
            return;
        if (source_judge(transactor->source, &delivery->place) != SOURCE_PLACE_OWNED ||
            has_place(transactor, &delivery->place))
            continue;
        count++;
        delivery->was_alone = queue == &transactor->alone;
        delivery->is_reported = delivery->is_too_large = delivery->is_held_back = false;
        transactor->gathered_count -= queue == &transactor->gathered;
        move(delivery, &transactor->batch);
    }
}

static void give_back(struct kafka_transactor *transactor, struct kafka_delivery *delivery)
{
    link_remove(&delivery->in_queue);
    list_push_front(&transactor->gathered, &delivery->in_queue);
    transactor->gathered_count++;
}

/* ---- producing ---- */

static void *opaque_of(const struct kafka_transactor *transactor, size_t index)
{
    return (void *)(((uintptr_t)transactor->sequence << INDEX_BITS) | index);
}

/* Returns: false when librdkafka takes no more: the transaction is to be aborted. */
static bool produce(struct kafka_transactor *transactor)
{
    transactor->sequence++;
    transactor->flying_count = 0;
    LIST_EACH(&transactor->batch, link)
    {
        struct kafka_delivery *delivery = of(link);
        size_t index = transactor->flying_count++;
        transactor->flying[index] = delivery;
        rd_kafka_resp_err_t code = delivery_produce(transactor->handle->rk, &delivery->record,
                                                    RD_KAFKA_MSG_F_COPY, opaque_of(transactor, index));
        if (!code)
            continue;
        delivery->is_too_large = delivery_is_too_large(code);
        delivery->was_alone |= delivery->is_too_large; /* the library judges each by itself */
        log_warn(&transactor->log, "kafka.not_sent", LOG_TEXT("topic", delivery->record.topic),
                 LOG_TEXT("code", rd_kafka_err2name(code)));
        return false;
    }
    return true;
}

rd_kafka_topic_partition_list_t *transactor_fill(struct kafka_transactor *transactor)
{
    assert(list_is_empty(&transactor->batch));
    if (!transactor->source || !source_may_commit(transactor->source))
        return NULL;
    if (list_is_empty(&transactor->alone))
        choose(transactor, &transactor->gathered, TRANSACTOR_BATCH_MAX);
    else
        choose(transactor, &transactor->alone, 1);
    transactor->losses = transactor->source->losses;
    rd_kafka_topic_partition_list_t *offsets = source_offsets(transactor->source, &transactor->batch);
    LIST_EACH(&transactor->batch, link)
    if (of(link)->is_held_back)
        give_back(transactor, of(link));
    if (offsets && produce(transactor))
        return offsets;
    if (offsets)
        rd_kafka_topic_partition_list_destroy(offsets);
    return NULL;
}

/* ---- reports ---- */

static void on_report(struct kafka_transactor *transactor, const rd_kafka_message_t *message)
{
    uintptr_t opaque = (uintptr_t)message->_private;
    size_t index = opaque & (((uintptr_t)1 << INDEX_BITS) - 1);
    if (index >= transactor->flying_count || message->_private != opaque_of(transactor, index))
        return;
    struct kafka_delivery *delivery = transactor->flying[index];
    if (message->err) { /* the commit will say so, too */
        delivery->is_too_large = delivery_is_too_large(message->err);
        return;
    }
    delivery->is_reported = true;
    delivery->landed = (struct kafka_place){.partition = message->partition, .offset = message->offset};
}

void transactor_on_reports(struct kafka_transactor *transactor, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message;
    while ((message = rd_kafka_event_message_next(event)))
        on_report(transactor, message);
}

/* ---- the end of a batch ---- */

void transactor_batch_committed(struct kafka_transactor *transactor)
{
    transactor->flying_count = 0;
    struct link *link;
    while ((link = list_pop_front(&transactor->batch)))
        list_push_back(&transactor->committed, link);
    transactor_answer_soon(transactor);
}

/* One that was too large among others goes once more, alone. The order of the others stays. */
void transactor_batch_again(struct kafka_transactor *transactor)
{
    transactor->flying_count = 0;
    struct link *link;
    while (!list_is_empty(&transactor->batch)) {
        link = transactor->batch.previous;
        struct kafka_delivery *delivery = of(link);
        delivery->landed = (struct kafka_place){.partition = -1, .offset = -1};
        if (delivery->is_too_large)
            move(delivery, delivery->was_alone ? &transactor->refused : &transactor->alone);
        else
            give_back(transactor, delivery);
    }
    transactor_answer_soon(transactor);
}

/* Finished means committed by us, as long as nobody else can have finished it. */
void transactor_batch_judged(struct kafka_transactor *transactor,
                             const rd_kafka_topic_partition_list_t *committed)
{
    bool is_ours = transactor->losses == transactor->source->losses;
    LIST_EACH(&transactor->batch, link)
    {
        struct kafka_delivery *delivery = of(link);
        const struct kafka_place *place = &delivery->place;
        const rd_kafka_topic_partition_t *element = rd_kafka_topic_partition_list_find(
            (rd_kafka_topic_partition_list_t *)committed, place->topic, place->partition);
        if (element && source_has_committed(element, place->offset)) {
            source_place_kept(transactor->source, place);
            move(delivery, is_ours ? &transactor->committed : &transactor->disowned);
        }
    }
    transactor_batch_again(transactor);
}

/* ---- use ---- */

void kafka_transactor_send(struct kafka_transactor *transactor, struct kafka_send *send,
                           const struct kafka_record *record, const struct kafka_place *place,
                           kafka_sent_fn sent)
{
    assert(!send->delivery && !transactor->is_closing);
    struct kafka_delivery *delivery = delivery_new(record, place);
    delivery->send = send;
    delivery->sent = sent;
    delivery->since_ms = loop_now_ms(transactor->loop);
    send->delivery = delivery;
    transactor->bytes += delivery_bytes(record);
    transactor->stats.waiting++;
    list_push_back(&transactor->all, &delivery->in_all);
    list_push_back(&transactor->gathered, &delivery->in_queue);
    transactor->gathered_count++;
    transactor_gathered(transactor);
}

bool kafka_transactor_has_room(const struct kafka_transactor *transactor)
{
    return transactor->is_usable && transactor->bytes < ROOM_BYTES;
}

void kafka_transactor_stats(const struct kafka_transactor *transactor, struct kafka_transactor_stats *ret)
{
    *ret = transactor->stats;
}
