/* The transactor's instances of librdkafka: made, replaced, and what became of the last transaction read
 * back. */
#include "kafka/source_inside.h"
#include "kafka/transactor_inside.h"

enum {
    AGAIN_MS = 500, /* STARTING and READING */
    REBUILD_MIN_MS = 1000,
    REBUILD_MAX_MS = 30000,
    REBUILD_CALM_MS = 60000, /* an instance that lasted so long is replaced at once */
};

/* ---- properties ---- */

rd_kafka_conf_t *transactor_conf(const struct kafka_transactor_options *options, struct error *reterr)
{
    const struct kafka_property own[] = {
        {"transactional.id", options->transactional_id},
        {"transaction.timeout.ms", "15000"}, /* what a dead worker's readers and successors wait for */
        {"queue.buffering.max.kbytes", "65536"},
    };
    rd_kafka_conf_t *conf =
        delivery_conf(&options->cluster, options->client_id, own, ARRAY_LENGTH(own), reterr);
    if (!conf)
        return NULL;
    char text[160];
    /* An operator's value is for records that are sent alone: here it cannot be longer than a transaction. */
    (void)rd_kafka_conf_set(conf, "message.timeout.ms", "15000", text, sizeof text);
    return conf;
}

/* ---- instances ---- */

void transactor_start(struct kafka_transactor *transactor, enum transactor_phase phase,
                      enum transaction_step kind)
{
    transactor->phase = phase;
    transactor->call =
        transaction_call_start(transactor->handle, kind, NULL, NULL, transactor_on_call, transactor);
}

static void init(void *arg)
{
    transactor_start(arg, TRANSACTOR_STARTING, TRANSACTION_INIT);
}

void transactor_init_later(struct kafka_transactor *transactor)
{
    loop_timer_start(transactor->loop, &transactor->again, AGAIN_MS, init, transactor);
}

bool transactor_open(struct kafka_transactor *transactor, struct error *reterr)
{
    transactor->handle = handle_new(transactor->loop, RD_KAFKA_PRODUCER, transactor->conf, reterr);
    if (!transactor->handle)
        return false;
    transactor->queue = handle_open_queue(transactor->handle, transactor->wakeup);
    init(transactor);
    wakeup_send(transactor->wakeup);
    return true;
}

void transactor_close_handle(struct kafka_transactor *transactor, void (*destroyed)(void *arg))
{
    transaction_call_forget(TAKE(transactor->call));
    facts_cancel(TAKE(transactor->facts));
    loop_timer_stop(transactor->loop, &transactor->again);
    handle_close_queue(&transactor->queue);
    if (!transactor->handle)
        return;
    transactor->ending = destroyed ? transactor->handle : NULL;
    handle_release(TAKE(transactor->handle), destroyed, transactor);
}

static void on_rebuild(void *arg)
{
    struct kafka_transactor *transactor = arg;
    struct error error;
    if (transactor_open(transactor, &error))
        return;
    log_error(&transactor->log, "kafka.transactor_failed", LOG_TEXT("text", error.text));
    loop_timer_start(transactor->loop, &transactor->rebuild, REBUILD_MAX_MS, on_rebuild, transactor);
}

/* What was committed of the batch, nobody knows: it stays where it is until it is read back. */
void transactor_rebuild(struct kafka_transactor *transactor, const char *why)
{
    int64_t now_ms = loop_now_ms(transactor->loop);
    transactor->phase = TRANSACTOR_REBUILDING;
    transactor->stats.rebuilt++;
    log_warn(&transactor->log, "kafka.transactor_rebuild", LOG_TEXT("text", why),
             LOG_INT("waiting", transactor->stats.waiting));
    transactor_close_handle(transactor, NULL);
    if (now_ms - transactor->rebuilt_at_ms > REBUILD_CALM_MS)
        transactor->rebuild_delay_ms = 0;
    loop_timer_start(transactor->loop, &transactor->rebuild, transactor->rebuild_delay_ms, on_rebuild,
                     transactor);
    transactor->rebuilt_at_ms = now_ms;
    transactor->rebuild_delay_ms = MIN(MAX(transactor->rebuild_delay_ms * 2, REBUILD_MIN_MS), REBUILD_MAX_MS);
    transactor_judge(transactor);
}

/* ---- reading back ---- */

static void on_read_back(void *arg, struct facts *facts)
{
    struct kafka_transactor *transactor = arg;
    rd_kafka_resp_err_t code = facts->error;
    transactor->facts = NULL;
    for (int i = 0; !code && i < facts->list->cnt; i++)
        code = facts->list->elems[i].err;
    if (code || !transactor->source) {
        log_warn(&transactor->log, "kafka.offsets_unread", LOG_TEXT("code", rd_kafka_err2name(code)));
        loop_timer_start(transactor->loop, &transactor->again, AGAIN_MS, transactor_read_back, transactor);
        return;
    }
    transactor_batch_judged(transactor, facts->list);
    transactor_be_idle(transactor);
}

/* A source that is gone asks nobody any more: whoever owns the partitions reads the same. */
void transactor_read_back(void *arg)
{
    struct kafka_transactor *transactor = arg;
    transactor->phase = TRANSACTOR_READING;
    if (!transactor->source || list_is_empty(&transactor->batch)) {
        transactor_batch_again(transactor);
        transactor_be_idle(transactor);
        return;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    LIST_EACH(&transactor->batch, link)
    {
        const struct kafka_place *place = &LIST_OBJECT(link, struct kafka_delivery, in_queue)->place;
        if (!rd_kafka_topic_partition_list_find(list, place->topic, place->partition))
            rd_kafka_topic_partition_list_add(list, place->topic, place->partition);
    }
    transactor->facts = source_ask_committed(transactor->source, list, on_read_back, transactor);
    if (!transactor->facts)
        loop_timer_start(transactor->loop, &transactor->again, AGAIN_MS, transactor_read_back, transactor);
}
