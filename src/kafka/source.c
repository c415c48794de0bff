/* A member of the consumer group: beginning, events, state. Its parts are named in source_inside.h. */
#include "kafka/source_inside.h"

#include "kafka/conf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 1000,
    COMMIT_AFTER = 500, /* records finished */
    PROBE_TICKS = 5,    /* while not usable */
    WATERMARK_TICKS = 10,
    CLOSE_TICK_MS = 50,
    REBUILD_MIN_MS = 1000,
    REBUILD_MAX_MS = 30000,
};

struct partition *source_find(const struct kafka_source *source, const char *topic, int32_t number)
{
    for (size_t i = 0; i < source->count; i++)
        if (source->partitions[i]->number == number && strcmp(source->partitions[i]->topic, topic) == 0)
            return source->partitions[i];
    return NULL;
}

rd_kafka_t *source_librdkafka(const struct kafka_source *source)
{
    return source->handle ? source->handle->rk : NULL;
}

/* ---- state ---- */

void source_state(struct kafka_source *source, bool is_usable, const char *why)
{
    if (source->phase != SOURCE_RUNNING || (source->is_usable == is_usable && strcmp(source->why, why) == 0))
        return;
    source->is_usable = is_usable;
    base_copy_text(source->why, sizeof source->why, why);
    source->events.on_state(source->events.arg, is_usable, source->why);
}

static void on_probed(void *arg, struct facts *facts)
{
    struct kafka_source *source = arg;
    source->probe = NULL;
    if (!facts->error)
        handle_answered(source->handle);
    if (!facts->error && source->has_joined && !source->facts && !timer_is_active(&source->retry)) {
        source_state(source, true, "");
    } else if (facts->error) {
        char text[EXPLAIN_SIZE];
        handle_explain(source->handle, facts->error, facts->failed_topic, text);
        source_state(source, false, text);
    }
}

/* No event says that trouble is over: ask. Patterns name no topic that could be missing. */
static void probe(struct kafka_source *source)
{
    if (source->probe)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(source->subscription->cnt);
    for (int i = 0; i < source->subscription->cnt; i++)
        if (source->subscription->elems[i].topic[0] != '^')
            rd_kafka_topic_partition_list_add(list, source->subscription->elems[i].topic, 0);
    source->probe = facts_ask(source->handle, list, FACTS_TOPICS, on_probed, source);
}

static void on_watermarks(void *arg, struct facts *facts)
{
    struct kafka_source *source = arg;
    source->probe = NULL;
    for (int i = 0; i < facts->list->cnt; i++) {
        const rd_kafka_topic_partition_t *element = &facts->list->elems[i];
        struct partition *partition = source_find(source, element->topic, element->partition);
        if (partition && !facts->error && !element->err)
            partition->high = MAX(partition->high, facts->watermarks[i].high);
    }
}

/* While records wait in a partition's queue nothing is fetched, and librdkafka does not hear how far the
 * partition has grown; yet the backlog is what the autoscaler sees. */
static void refresh_watermarks(struct kafka_source *source)
{
    if (source->probe)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)source->count);
    for (size_t i = 0; i < source->count; i++) {
        struct partition *partition = source->partitions[i];
        if (partition->phase == PARTITION_RUNNING &&
            (partition->message || rd_kafka_queue_length(partition->queue) > 0))
            rd_kafka_topic_partition_list_add(list, partition->topic, partition->number);
    }
    if (list->cnt > 0)
        source->probe = facts_ask(source->handle, list, FACTS_WATERMARKS, on_watermarks, source);
    else
        rd_kafka_topic_partition_list_destroy(list);
}

/* ---- events ---- */

/* librdkafka says of a subscribed topic only that something is wrong with one: ask which. */
static bool is_about_some_topic(rd_kafka_resp_err_t code, const rd_kafka_topic_partition_t *where)
{
    return !where && (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                      code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
                      code == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION);
}

static void on_error(struct kafka_source *source, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (rd_kafka_event_error_is_fatal(event)) {
        source_rebuild(source, rd_kafka_event_error_string(event));
        return;
    }
    rd_kafka_topic_partition_t *where = rd_kafka_event_topic_partition(event);
    handle_hear(source->handle, event);
    log_debug(&source->log, "kafka.error", LOG_TEXT("code", rd_kafka_err2name(code)),
              LOG_TEXT("text", rd_kafka_event_error_string(event)));
    if (is_about_some_topic(code, where)) {
        probe(source);
    } else if (explain_needs_hands(code) || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        char text[EXPLAIN_SIZE];
        handle_explain(source->handle, code, where ? where->topic : NULL, text);
        source_state(source, false, text);
    }
    if (where)
        rd_kafka_topic_partition_destroy(where);
}

static void on_event(struct kafka_source *source, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_REBALANCE:
        source_on_rebalance(source, event);
        break;
    case RD_KAFKA_EVENT_OFFSET_COMMIT:
        source_on_commit_event(source, event);
        break;
    case RD_KAFKA_EVENT_ERROR:
        on_error(source, event);
        break;
    case RD_KAFKA_EVENT_LOG:
        handle_log(source->handle, &source->log, event);
        break;
    default:
        break;
    }
}

static void serve(struct kafka_source *source)
{
    struct handle *handle = source->handle;
    for (int i = 0; i < 2; i++) {
        rd_kafka_event_t *event = NULL;
        /* A fatal error takes the instance away under our hands. */
        while (source->handle == handle && handle && source->phase != SOURCE_ENDING) {
            rd_kafka_queue_t *queue = i == 0 ? source->queue : source->close_queue;
            if (!queue || !(event = rd_kafka_queue_poll(queue, 0)))
                break;
            on_event(source, event);
            rd_kafka_event_destroy(event);
        }
    }
}

static void on_wakeup(void *arg)
{
    struct kafka_source *source = arg;
    serve(source);
    if (source->phase == SOURCE_RUNNING && source->handle)
        source_deliver(source);
    else if (source->phase != SOURCE_RUNNING)
        source_go_on_closing(source);
}

/* Polls the consumer's queue even when nothing happens: that is what tells librdkafka that we live
 * (max.poll.interval.ms). */
void source_tick(void *arg)
{
    struct kafka_source *source = arg;
    loop_timer_start(source->loop, &source->tick, source->phase == SOURCE_RUNNING ? TICK_MS : CLOSE_TICK_MS,
                     source_tick, source);
    on_wakeup(source);
    source->is_commit_resting = false;
    if (source->phase != SOURCE_RUNNING || !source->handle)
        return;
    source_commit(source);
    source_away_too_long(source);
    source->ticks++;
    if (!source->is_usable && source->ticks % PROBE_TICKS == 0)
        probe(source);
    else if (source->ticks % WATERMARK_TICKS == 0)
        refresh_watermarks(source);
}

/* ---- the instance ---- */

static bool open_handle(struct kafka_source *source, struct error *reterr)
{
    source->handle = handle_new(source->loop, RD_KAFKA_CONSUMER, source->conf, reterr);
    if (!source->handle)
        return false;
    rd_kafka_t *rk = source->handle->rk;
    (void)rd_kafka_poll_set_consumer(rk); /* errors and logs come through the consumer's queue too */
    source->queue = rd_kafka_queue_get_consumer(rk);
    (void)rd_kafka_set_log_queue(rk, source->queue);
    handle_watch(source->queue, source->wakeup);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(rk, source->subscription);
    if (code)
        return error_set(reterr, ERROR_REJECTED, "config", code, "topics.jobs: %s", rd_kafka_err2str(code));
    wakeup_send(source->wakeup);
    return true;
}

void source_close_handle(struct kafka_source *source, void (*destroyed)(void *arg))
{
    for (size_t i = 0; i < source->count; i++)
        source_close_queue(source->partitions[i]);
    handle_close_queue(&source->queue);
    handle_close_queue(&source->close_queue);
    facts_cancel(TAKE(source->probe));
    source_group_cancel(source);
    loop_timer_stop(source->loop, &source->due);
    source->is_committing = source->is_commit_resting = source->owes_assign = source->has_joined = false;
    if (!source->handle)
        return;
    source->ending = destroyed ? source->handle : NULL;
    handle_release(TAKE(source->handle), destroyed, source);
}

static void on_rebuild(void *arg)
{
    struct kafka_source *source = arg;
    struct error error;
    source->is_frozen = false;
    if (open_handle(source, &error))
        return;
    source_close_handle(source, NULL);
    source->rebuild_delay_ms = MIN(source->rebuild_delay_ms * 2, REBUILD_MAX_MS);
    loop_timer_start(source->loop, &source->rebuild, source->rebuild_delay_ms, on_rebuild, source);
    log_error(&source->log, "kafka.source_failed", LOG_TEXT("text", error.text));
}

void source_rebuild(struct kafka_source *source, const char *why)
{
    char text[EXPLAIN_SIZE];
    (void)snprintf(text, sizeof text, "Kafka ended this worker's membership: %s", why);
    log_error(&source->log, "kafka.source_fatal", LOG_TEXT("text", why));
    source_state(source, false, text);
    source_close_handle(source, NULL);
    source_lose_all(source);
    if (source->phase != SOURCE_RUNNING)
        return; /* closing goes on without an instance */
    source->rebuild_delay_ms = MIN(MAX(source->rebuild_delay_ms * 2, REBUILD_MIN_MS), REBUILD_MAX_MS);
    loop_timer_start(source->loop, &source->rebuild, source->rebuild_delay_ms, on_rebuild, source);
}

/* ---- life cycle ---- */

static rd_kafka_conf_t *make_conf(const struct kafka_source_options *options, bool is_cooperative,
                                  struct error *reterr)
{
    const struct kafka_property wanted[] = {
        {"group.id", options->group_id},
        {"partition.assignment.strategy", is_cooperative ? "cooperative-sticky" : "range,roundrobin"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"enable.partition.eof", "true"},
        {"isolation.level", "read_committed"},
        {"check.crcs", "true"},
        /* Prefetch is per partition, and a floor: whole batches arrive. Every rebalance throws it away. */
        {"queued.min.messages", "50"},
        {"queued.max.messages.kbytes", "512"},
        {"fetch.message.max.bytes", "262144"},
        {"fetch.max.bytes", "8388608"},
    };
    const struct conf_client client = {RD_KAFKA_CONSUMER, options->client_id, wanted, ARRAY_LENGTH(wanted)};
    rd_kafka_conf_t *conf = conf_new(&options->cluster, &client, reterr);
    if (conf)
        rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_REBALANCE |
                                           RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_ERROR |
                                           RD_KAFKA_EVENT_LOG);
    return conf;
}

static bool choose_assignor(const char *name, bool *ret_cooperative, struct error *reterr)
{
    *ret_cooperative = strcmp(name, "cooperative-sticky") == 0;
    if (!*ret_cooperative && strcmp(name, "eager") != 0)
        return error_set(reterr, ERROR_REJECTED, "config", 0,
                         "kafka.assignor is \"%s\"; it must be eager or cooperative-sticky", name);
    if (*ret_cooperative && !kafka_library_is_cooperative())
        return error_set(reterr, ERROR_REJECTED, "config", 0,
                         "kafka.assignor cooperative-sticky needs librdkafka " KAFKA_COOPERATIVE_SINCE
                         " or newer, this is %s; "
                         "use eager or a newer library",
                         kafka_library_version());
    return true;
}

void source_free(void *object)
{
    struct kafka_source *source = object;
    assert(source->count == 0);
    rd_kafka_topic_partition_list_destroy(source->subscription);
    rd_kafka_conf_destroy(source->conf);
    free(source->partitions);
    headers_release(&source->headers);
    free(source->cluster_id);
    free(source);
}

struct kafka_source *kafka_source_new(const struct kafka_source_options *options, struct error *reterr)
{
    bool is_cooperative;
    rd_kafka_conf_t *conf;
    if (!choose_assignor(options->assignor ? options->assignor : "eager", &is_cooperative, reterr) ||
        !(conf = make_conf(options, is_cooperative, reterr)))
        return NULL;
    struct kafka_source *source = base_alloc(sizeof *source);
    source->loop = options->loop;
    source->log = options->log ? *options->log : (struct log){.level = LOG_LEVEL_NONE};
    source->events = options->events;
    source->conf = conf;
    source->is_cooperative = is_cooperative;
    source->subscription = rd_kafka_topic_partition_list_new((int)options->topic_count);
    for (size_t i = 0; i < options->topic_count; i++)
        rd_kafka_topic_partition_list_add(source->subscription, options->topics[i], RD_KAFKA_PARTITION_UA);
    source->wakeup = loop_wakeup_new(source->loop, on_wakeup, source);
    if (!open_handle(source, reterr)) {
        source_close_handle(source, NULL);
        wakeup_close(source->wakeup);
        source_free(source);
        return NULL;
    }
    loop_timer_start(source->loop, &source->tick, TICK_MS, source_tick, source);
    return source;
}

/* ---- use ---- */

static void on_deliver(void *arg)
{
    struct kafka_source *source = arg;
    if (source->phase == SOURCE_RUNNING && source->handle)
        source_deliver(source);
}

void kafka_source_pull(struct kafka_source *source)
{
    for (size_t i = 0; i < source->count; i++)
        source->partitions[i]->is_resting = false;
    if (source->is_delivering)
        wakeup_send(source->wakeup); /* a deferred call would run in this same turn, again and again */
    else
        loop_defer(source->loop, &source->deliver, on_deliver, source);
}

void kafka_source_hold(struct kafka_source *source, bool is_held)
{
    source->is_held = is_held;
    if (!is_held)
        loop_defer(source->loop, &source->deliver, on_deliver, source);
}

bool source_finish(struct kafka_source *source, const struct kafka_place *place)
{
    struct partition *found = source_find(source, place->topic, place->partition);
    if (!found || !partition_finish(found, place->offset))
        return false;
    if (found->is_full && partition_has_room(found)) {
        found->is_full = false;
        wakeup_send(source->wakeup);
    }
    return true;
}

void kafka_source_finish(struct kafka_source *source, const char *topic, int32_t partition, int64_t offset)
{
    const struct kafka_place place = {topic, partition, offset};
    if (source_finish(source, &place) && ++source->finished >= COMMIT_AFTER)
        source_commit(source);
}

bool kafka_source_owns(const struct kafka_source *source, const char *topic, int32_t partition)
{
    const struct partition *found = source_find(source, topic, partition);
    return found && partition_is_owned(found);
}

const char *kafka_source_cluster_id(const struct kafka_source *source)
{
    return source->cluster_id ? source->cluster_id : "";
}

static void hear_watermark(const struct kafka_source *source, struct partition *partition)
{
    int64_t low, high;
    if (source->handle && rd_kafka_get_watermark_offsets(source->handle->rk, partition->topic,
                                                         partition->number, &low, &high) == 0)
        partition->high = MAX(partition->high, high);
}

void kafka_source_stats(const struct kafka_source *source, struct kafka_source_stats *ret)
{
    *ret = (struct kafka_source_stats){
        .has_joined = source->has_joined,
        .commits = source->commits,
        .commit_failures = source->commit_failures,
        .rebalances = source->rebalances,
        .overtaken = source->overtaken,
    };
    for (size_t i = 0; i < source->count; i++) {
        struct partition *partition = source->partitions[i];
        if (!partition_is_owned(partition))
            continue;
        hear_watermark(source, partition);
        ret->partitions++;
        ret->in_flight += partition->in_flight;
        ret->backlog += partition_backlog(partition);
        ret->deferred += partition_deferred(partition);
    }
}
