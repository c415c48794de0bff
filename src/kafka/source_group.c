/* Membership: rebalances, reading what is committed, starting partitions at explicit offsets.
 *
 * librdkafka asks (an assignment event) and waits for our answer (rd_kafka_assign). In between a thread job
 * reads committed offsets and watermarks, so that no partition starts anywhere but where it must. An eager
 * group gives everything back in each rebalance; what comes back goes on as if nothing had happened. */
#include "kafka/source_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_MIN_MS = 200,
    RETRY_MAX_MS = 10000,
    UNSTABLE_MS = 500,
    REVOKE_COMMIT_MS = 2000, /* how long a revocation waits for the commit under way */
    REVOKE_TRANSACTION_MS = 5000,
    AWAY_MAX_MS = 60000, /* a rebalance takes less; then the partition is somebody else's for sure */
    FORGET_MS = 600000,  /* how long we remember what was finished of a partition that went */
};

/* ---- the set of partitions ---- */

static struct partition *add_partition(struct kafka_source *source, const char *topic, int32_t number)
{
    if (source->count == source->capacity) {
        source->capacity = MAX(source->capacity * 2, (size_t)8);
        source->partitions = base_realloc(source->partitions, source->capacity * sizeof(struct partition *));
    }
    return source->partitions[source->count++] = partition_new(topic, number);
}

void source_close_queue(struct partition *partition)
{
    partition->message = NULL;
    partition->wait_until_ms = 0;
    if (partition->event)
        rd_kafka_event_destroy(TAKE(partition->event));
    handle_close_queue(&partition->queue);
}

static void drop(struct kafka_source *source, struct partition *partition)
{
    for (size_t i = 0; i < source->count; i++)
        if (source->partitions[i] == partition) {
            source->partitions[i] = source->partitions[--source->count];
            break;
        }
    source_close_queue(partition);
    source->losses++;
    if (partition->is_announced)
        source->events.on_revoked(source->events.arg, partition->topic, partition->number,
                                  /* is_lost= */ false);
    partition_free(partition);
}

/* It is another's; but what is finished stays finished, should it come back soon: the last commit may have
 * been refused, and jobs that go on without the partition still finish. */
static void lose(struct kafka_source *source, struct partition *partition, bool is_lost)
{
    source_close_queue(partition);
    source->losses++;
    partition_lose(partition);
    partition->away_since_ms = loop_now_ms(source->loop);
    if (!partition->is_announced)
        return;
    partition->is_announced = false;
    source->events.on_revoked(source->events.arg, partition->topic, partition->number, is_lost);
}

void source_lose_all(struct kafka_source *source)
{
    for (size_t i = source->count; i-- > 0;)
        lose(source, source->partitions[i], /* is_lost= */ true);
}

void source_drop_all(struct kafka_source *source)
{
    while (source->count > 0)
        drop(source, source->partitions[source->count - 1]);
}

void source_away_too_long(struct kafka_source *source)
{
    for (size_t i = source->count; i-- > 0;) {
        struct partition *partition = source->partitions[i];
        int64_t away_ms = loop_now_ms(source->loop) - partition->away_since_ms;
        if (partition->phase != PARTITION_AWAY)
            continue;
        if (partition->is_announced && away_ms > AWAY_MAX_MS)
            lose(source, partition, /* is_lost= */ true);
        else if (!partition->is_announced && away_ms > FORGET_MS)
            drop(source, partition);
    }
}

/* ---- starting ---- */

static void open_queue(struct kafka_source *source, struct partition *partition)
{
    source_close_queue(partition);
    partition->queue = rd_kafka_queue_get_partition(source->handle->rk, partition->topic, partition->number);
    assert(partition->queue);
    rd_kafka_queue_forward(partition->queue, NULL);
    handle_watch(partition->queue, source->wakeup);
}

static void announce(struct kafka_source *source)
{
    for (size_t i = 0; i < source->count; i++) {
        struct partition *partition = source->partitions[i];
        if (partition->phase != PARTITION_RUNNING || partition->is_announced)
            continue;
        partition->is_announced = true;
        source->events.on_assigned(source->events.arg, partition->topic, partition->number);
    }
}

static void add_to_list(rd_kafka_topic_partition_list_t *list, const struct partition *partition)
{
    rd_kafka_topic_partition_list_add(list, partition->topic, partition->number)->offset =
        partition->position;
}

static rd_kafka_error_t *assign(struct kafka_source *source, rd_kafka_topic_partition_list_t *list)
{
    if (source->is_cooperative)
        return rd_kafka_incremental_assign(source->handle->rk, list);
    rd_kafka_resp_err_t code = rd_kafka_assign(source->handle->rk, list);
    return code ? rd_kafka_error_new(code, "%s", rd_kafka_err2str(code)) : NULL;
}

/* Hands what is READY to librdkafka. An eager assignment is always the whole: what runs already is named
 * again at its place, and only its prefetched records are fetched anew. */
static void start_ready(struct kafka_source *source)
{
    size_t ready = 0;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)source->count);
    for (size_t i = 0; i < source->count; i++) {
        struct partition *partition = source->partitions[i];
        bool is_ready = partition->phase == PARTITION_READY;
        if (!is_ready && (partition->phase != PARTITION_RUNNING || source->is_cooperative))
            continue;
        ready += is_ready;
        open_queue(source, partition);
        partition->phase = PARTITION_RUNNING;
        add_to_list(list, partition);
    }
    if (ready > 0 || source->owes_assign) {
        rd_kafka_error_t *error = assign(source, list);
        if (error)
            log_warn(&source->log, "kafka.assign_failed", LOG_TEXT("text", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
        source->owes_assign = false;
        source->is_frozen = false;
    }
    rd_kafka_topic_partition_list_destroy(list);
    announce(source);
    if (source->transactor)
        transactor_flush(source->transactor); /* what waited for the rebalance */
}

/* ---- reading ---- */

static void on_facts(void *arg, struct facts *facts);

static void read_facts(void *arg)
{
    struct kafka_source *source = arg;
    if (source->facts || !source->handle)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)source->count);
    for (size_t i = 0; i < source->count; i++)
        if (source->partitions[i]->phase == PARTITION_READING)
            add_to_list(list, source->partitions[i]);
    if (list->cnt == 0) {
        rd_kafka_topic_partition_list_destroy(list);
        return;
    }
    int questions = FACTS_COMMITTED | FACTS_WATERMARKS | (source->cluster_id ? 0 : FACTS_CLUSTER_ID);
    source->facts = facts_ask(source->handle, list, questions, on_facts, source);
}

static void load(struct kafka_source *source, struct partition *partition,
                 const rd_kafka_topic_partition_t *element, const struct facts_watermarks *marks)
{
    static const char *const findings[] = {NULL, "kafka.map_unreadable", "kafka.map_foreign",
                                           "kafka.base_overtaken"};
    struct error error;
    struct partition_facts known = {
        .committed = element->offset >= 0 ? element->offset : -1,
        .metadata = {element->metadata, element->metadata ? element->metadata_size : 0},
        .low = marks->low,
        .high = marks->high,
    };
    enum partition_finding finding = partition_load(partition, &known, &error);
    source->overtaken += finding == PARTITION_OVERTAKEN;
    if (finding != PARTITION_FINE)
        log_warn(&source->log, findings[finding], LOG_TEXT("topic", partition->topic),
                 LOG_INT("partition", partition->number), LOG_INT("committed", known.committed),
                 LOG_INT("low", known.low), LOG_INT("high", known.high), LOG_INT("from", partition->position),
                 LOG_TEXT("text", error.text));
}

/* An owner that died left a transaction open: it is undone within its timeout. */
static void read_once_stable(struct kafka_source *source)
{
    loop_timer_start(source->loop, &source->retry, UNSTABLE_MS, read_facts, source);
    log_info(&source->log, "kafka.offsets_unstable", LOG_INT("retry_ms", UNSTABLE_MS));
}

static void read_later(struct kafka_source *source, rd_kafka_resp_err_t code, const char *topic)
{
    if (code == RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT) {
        read_once_stable(source);
        return;
    }
    source->retry_delay_ms = MIN(MAX(source->retry_delay_ms * 2, RETRY_MIN_MS), RETRY_MAX_MS);
    loop_timer_start(source->loop, &source->retry, source->retry_delay_ms, read_facts, source);
    log_warn(&source->log, "kafka.offsets_unread", LOG_TEXT("topic", topic),
             LOG_TEXT("code", rd_kafka_err2name(code)), LOG_INT("retry_ms", source->retry_delay_ms));
    char text[EXPLAIN_SIZE];
    handle_explain(source->handle, code, topic, text);
    source_state(source, false, text);
}

static void on_facts(void *arg, struct facts *facts)
{
    struct kafka_source *source = arg;
    source->facts = NULL;
    rd_kafka_resp_err_t failure = facts->error;
    const char *failed_topic = NULL;
    if (facts->cluster_id && !source->cluster_id)
        source->cluster_id = base_strdup(facts->cluster_id);
    for (int i = 0; !facts->error && i < facts->list->cnt; i++) {
        const rd_kafka_topic_partition_t *element = &facts->list->elems[i];
        struct partition *partition = source_find(source, element->topic, element->partition);
        if (element->err) {
            failure = element->err;
            failed_topic = element->topic;
        } else if (partition && partition->phase == PARTITION_READING) {
            load(source, partition, element, &facts->watermarks[i]);
        }
    }
    start_ready(source);
    if (failure) {
        read_later(source, failure, failed_topic);
    } else {
        handle_answered(source->handle);
        source->retry_delay_ms = 0;
        source_state(source, true, "");
        read_facts(source); /* what was added meanwhile */
    }
    wakeup_send(source->wakeup);
}

void source_restart(struct kafka_source *source, struct partition *partition)
{
    source_close_queue(partition);
    if (source->is_cooperative) {
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
        add_to_list(list, partition);
        rd_kafka_error_destroy(rd_kafka_incremental_unassign(source->handle->rk, list));
        rd_kafka_topic_partition_list_destroy(list);
    }
    partition->phase = PARTITION_READING;
    if (!timer_is_active(&source->retry))
        loop_timer_start(source->loop, &source->retry, RETRY_MIN_MS, read_facts, source);
}

void source_group_cancel(struct kafka_source *source)
{
    facts_cancel(TAKE(source->facts));
    loop_timer_stop(source->loop, &source->retry);
    loop_timer_stop(source->loop, &source->revoke_deadline);
    if (source->revoked)
        rd_kafka_topic_partition_list_destroy(TAKE(source->revoked));
}

/* ---- rebalances ---- */

static bool list_has(const rd_kafka_topic_partition_list_t *list, const struct partition *partition)
{
    return rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)list, partition->topic,
                                              partition->number) != NULL;
}

static void on_assign(struct kafka_source *source, const rd_kafka_topic_partition_list_t *list)
{
    source_group_cancel(source);
    source->has_joined = source->owes_assign = source->is_frozen = true;
    for (size_t i = source->count; i-- > 0 && !source->is_cooperative;)
        if (!list_has(list, source->partitions[i]) &&
            (source->partitions[i]->is_announced || source->partitions[i]->phase != PARTITION_AWAY))
            lose(source, source->partitions[i], /* is_lost= */ false);
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *element = &list->elems[i];
        struct partition *partition = source_find(source, element->topic, element->partition);
        if (!partition)
            partition = add_partition(source, element->topic, element->partition);
        partition->phase = PARTITION_READING;
    }
    source->retry_delay_ms = 0;
    if (list->cnt > 0) {
        read_facts(source);
        return;
    }
    start_ready(source);
    source_state(source, true, "");
}

static void give_back(struct kafka_source *source, struct partition *partition)
{
    source_close_queue(partition);
    bool may_come_back = !source->is_cooperative && !source->is_revoked_lost;
    if (source->phase != SOURCE_RUNNING) {
        drop(source, partition);
    } else if (may_come_back && partition->phase != PARTITION_AWAY) {
        partition->phase = PARTITION_AWAY;
        partition->away_since_ms = loop_now_ms(source->loop);
    } else if (!may_come_back) {
        lose(source, partition, source->is_revoked_lost);
    }
}

/* librdkafka sends the commit before it rejoins, and waits for its answer by itself. */
static void finish_revoke(void *arg)
{
    struct kafka_source *source = arg;
    rd_kafka_topic_partition_list_t *list = TAKE(source->revoked);
    loop_timer_stop(source->loop, &source->revoke_deadline);
    if (!source->is_revoked_lost && !source->transactor)
        source_commit(source);
    source->is_frozen = true;
    source->owes_assign = false;
    for (size_t i = source->count; i-- > 0;)
        if (!source->is_cooperative || list_has(list, source->partitions[i]))
            give_back(source, source->partitions[i]);
    rd_kafka_error_t *error = NULL;
    if (source->is_cooperative)
        error = rd_kafka_incremental_unassign(source->handle->rk, list);
    else
        (void)rd_kafka_assign(source->handle->rk, NULL);
    if (error)
        log_warn(&source->log, "kafka.unassign_failed", LOG_TEXT("text", rd_kafka_error_string(error)));
    rd_kafka_error_destroy(error);
    rd_kafka_topic_partition_list_destroy(list);
}

/* Nobody else may have the partitions while what is being committed of them is not known. A transaction that
 * is later than that is fenced: the group has a new generation then. */
static bool is_committing(struct kafka_source *source)
{
    return source->transactor ? transactor_settle(source->transactor) : source->is_committing;
}

static void on_revoke(struct kafka_source *source, const rd_kafka_topic_partition_list_t *list)
{
    source_group_cancel(source);
    source->is_revoked_lost = rd_kafka_assignment_lost(source->handle->rk);
    bool waits = !source->is_revoked_lost && is_committing(source);
    int64_t wait_ms = source->transactor ? REVOKE_TRANSACTION_MS : REVOKE_COMMIT_MS;
    source->revoked = rd_kafka_topic_partition_list_copy(list);
    source->has_joined = source->has_joined && !source->is_revoked_lost;
    if (waits)
        loop_timer_start(source->loop, &source->revoke_deadline, wait_ms, finish_revoke, source);
    else
        finish_revoke(source);
}

void source_on_committed(struct kafka_source *source)
{
    if (source->revoked)
        finish_revoke(source);
}

void source_on_rebalance(struct kafka_source *source, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    bool is_assign = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    log_info(&source->log, "kafka.rebalance", LOG_BOOL("assigned", is_assign),
             LOG_INT("partitions", list ? list->cnt : 0),
             LOG_BOOL("lost", !is_assign && rd_kafka_assignment_lost(source->handle->rk)));
    source->rebalances += is_assign;
    if (!is_assign)
        on_revoke(source, list);
    else if (source->phase == SOURCE_RUNNING)
        on_assign(source, list);
    else
        source->owes_assign = true; /* answered in source_leave: with nothing */
}
