/* kafka/source.h on the world in memory, with the real books. */
#include "fakes/kafka/inside.h"

#include <assert.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 1000, COMMIT_AFTER = 500, RECORDS_PER_TURN = 64, WAIT_MOST_MS = 60000 };

const char *kafka_library_version(void)
{
    return "fake";
}

struct partition *fake_source_find(const struct kafka_source *source, const char *topic, int32_t number)
{
    for (size_t i = 0; i < source->count; i++)
        if (source->partitions[i]->number == number && strcmp(source->partitions[i]->topic, topic) == 0)
            return source->partitions[i];
    return NULL;
}

bool fake_source_wants(const struct kafka_source *source, const char *topic)
{
    for (size_t i = 0; i < source->topic_count; i++) {
        regex_t pattern;
        if (source->topics[i][0] != '^') {
            if (strcmp(source->topics[i], topic) == 0)
                return true;
            continue;
        }
        if (regcomp(&pattern, source->topics[i], REG_EXTENDED | REG_NOSUB) != 0)
            base_die("\"%s\" is no pattern", source->topics[i]);
        bool matches = regexec(&pattern, topic, 0, NULL, 0) == 0;
        regfree(&pattern);
        if (matches)
            return true;
    }
    return false;
}

void fake_source_on_state(struct kafka_source *source)
{
    source->events.on_state(source->events.arg, source->world->is_up, source->world->why);
}

/* ---- commits ---- */

void kafka_world_commit(struct kafka_source *source)
{
    for (size_t i = 0; i < source->count; i++) {
        struct partition *partition = source->partitions[i];
        if (!partition_is_dirty(partition))
            continue;
        if (source->is_expelled || !source->world->is_up) {
            source->stats.commit_failures++;
            return;
        }
        world_commit(source->world, source->group, partition);
        partition->change_kept = partition->change;
        partition->base_kept = partition->map.base;
        source->stats.commits++;
    }
}

static void on_tick(void *arg)
{
    struct kafka_source *source = arg;
    loop_timer_start(source->world->loop, &source->tick, TICK_MS, on_tick, source);
    kafka_world_commit(source);
}

/* ---- delivery ---- */

static struct kafka_message message_at(const struct partition *partition, const struct world_partition *log,
                                       int64_t offset)
{
    const struct kafka_record *record = log->records[offset];
    return (struct kafka_message){.topic = partition->topic,
                                  .partition = partition->number,
                                  .offset = offset,
                                  .timestamp_unix_ms = log->stamps[offset],
                                  .key = record->key,
                                  .value = record->value,
                                  .headers = record->headers,
                                  .header_count = record->header_count};
}

/* As the real one: asked about again once a minute at least. */
static bool is_waiting(struct kafka_source *source, struct partition *partition,
                       const struct kafka_message *message)
{
    int64_t now_ms = loop_now_ms(source->world->loop);
    if (!source->events.wait_ms)
        return false;
    if (partition->wait_until_ms <= now_ms) {
        int64_t wait_ms = source->events.wait_ms(source->events.arg, message);
        partition->wait_until_ms = wait_ms > 0 ? now_ms + MIN(wait_ms, WAIT_MOST_MS) : 0;
    }
    return partition->wait_until_ms > now_ms;
}

static bool has_room(struct kafka_source *source, struct partition *partition)
{
    if (partition->is_resting || !partition_has_room(partition))
        return false;
    partition->is_resting = !source->events.has_room(source->events.arg, partition->topic);
    return !partition->is_resting;
}

static bool deliver_one(struct kafka_source *source, struct partition *partition)
{
    const struct world_topic *topic = world_topic(source->world, partition->topic);
    const struct world_partition *log = &topic->partitions[partition->number];
    int64_t offset = MAX(partition->position, log->low);
    partition->high = MAX(partition->high, log->count);
    if (offset >= log->count)
        return false;
    struct kafka_message message = message_at(partition, log, offset);
    enum partition_verdict verdict = partition_judge(partition, offset);
    if (verdict == PARTITION_DELIVER &&
        (is_waiting(source, partition, &message) || !has_room(source, partition)))
        return false;
    partition_pass(partition, offset, verdict);
    message.was_pulled = verdict == PARTITION_RECOVER;
    if (verdict != PARTITION_SKIP)
        source->events.on_message(source->events.arg, &message);
    return true;
}

static bool is_stopped(const struct kafka_source *source)
{
    return source->closed_arg || source->closed || source->is_held || !source->world->is_up;
}

static void deliver(void *arg);

static void wait_for_due(struct kafka_source *source)
{
    struct loop *loop = source->world->loop;
    int64_t first_ms = INT64_MAX;
    for (size_t i = 0; i < source->count; i++)
        if (source->partitions[i]->wait_until_ms > 0)
            first_ms = MIN(first_ms, source->partitions[i]->wait_until_ms);
    if (first_ms != INT64_MAX && !is_stopped(source))
        loop_timer_start(loop, &source->due, MAX(first_ms - loop_now_ms(loop), 1), deliver, source);
}

static void deliver(void *arg)
{
    struct kafka_source *source = arg;
    int budget = RECORDS_PER_TURN;
    source->is_delivering = true;
    for (size_t idle = 0; idle < source->count && budget > 0 && !is_stopped(source);) {
        source->turn = (source->turn + 1) % source->count;
        bool has_moved = deliver_one(source, source->partitions[source->turn]);
        idle = has_moved ? 0 : idle + 1;
        budget -= has_moved;
    }
    source->is_delivering = false;
    if (budget == 0)
        loop_timer_start(source->world->loop, &source->next, 0, deliver, source);
    wait_for_due(source);
}

void fake_source_deliver_soon(struct kafka_source *source)
{
    if (source->is_delivering)
        loop_timer_start(source->world->loop, &source->next, 0, deliver, source);
    else
        loop_defer(source->world->loop, &source->deliver, deliver, source);
}

/* ---- assignments ---- */

static struct partition *take_out(struct kafka_source *source, struct partition *partition)
{
    for (size_t i = 0; i < source->count; i++)
        if (source->partitions[i] == partition) {
            source->partitions[i] = source->partitions[--source->count];
            break;
        }
    return partition;
}

void fake_source_revoke(struct kafka_source *source, struct partition *partition, bool is_lost)
{
    if (!is_lost)
        kafka_world_commit(source);
    (void)take_out(source, partition);
    source->events.on_revoked(source->events.arg, partition->topic, partition->number, is_lost);
    partition_free(partition);
}

void kafka_world_revoke(struct kafka_source *source, const char *topic, int32_t number, bool is_lost)
{
    struct partition *partition = fake_source_find(source, topic, number);
    assert(partition);
    fake_source_revoke(source, partition, is_lost);
}

void kafka_world_assign(struct kafka_source *source, const char *topic, int32_t number)
{
    struct kafka_world *world = source->world;
    const struct world_offset *offset = world_offset(world, source->group, topic, number);
    const struct world_topic *log = world_topic(world, topic);
    assert(log && number < log->count && !fake_source_find(source, topic, number));
    struct partition *partition = partition_new(topic, number);
    struct partition_facts facts = {.committed = offset ? offset->committed : -1,
                                    .low = log->partitions[number].low,
                                    .high = log->partitions[number].count};
    struct error error;
    if (offset)
        facts.metadata = (struct bytes){offset->metadata, strlen(offset->metadata)};
    source->stats.overtaken += partition_load(partition, &facts, &error) == PARTITION_OVERTAKEN;
    partition->phase = PARTITION_RUNNING;
    source->partitions = base_realloc(source->partitions, (source->count + 1) * sizeof(struct partition *));
    source->partitions[source->count++] = partition;
    source->events.on_assigned(source->events.arg, partition->topic, number);
    fake_source_deliver_soon(source);
}

void kafka_world_expel(struct kafka_source *source)
{
    source->is_expelled = true;
    world_rebalance_soon(source->world);
}

void kafka_world_tell(struct kafka_source *source)
{
    assert(source->is_expelled);
    while (source->count > 0)
        fake_source_revoke(source, source->partitions[0], /* is_lost= */ true);
    source->is_expelled = false;
    world_rebalance_soon(source->world);
}

/* ---- life cycle ---- */

static void on_first_state(void *arg)
{
    fake_source_on_state(arg);
}

struct kafka_source *kafka_source_new(const struct kafka_source_options *options, struct error *reterr)
{
    (void)reterr;
    struct kafka_source *source = base_alloc(sizeof *source);
    source->world = world_at(options->cluster.bootstrap_servers);
    source->events = options->events;
    source->group = base_strdup(options->group_id);
    source->topic_count = options->topic_count;
    source->topics = base_alloc(options->topic_count * sizeof(char *));
    for (size_t i = 0; i < options->topic_count; i++)
        source->topics[i] = base_strdup(options->topics[i]);
    list_push_back(&source->world->sources, &source->link);
    loop_timer_start(source->world->loop, &source->tick, TICK_MS, on_tick, source);
    loop_timer_start(source->world->loop, &source->next, 0, on_first_state, source);
    world_rebalance_soon(source->world);
    return source;
}

static void source_free(void *object)
{
    struct kafka_source *source = object;
    for (size_t i = 0; i < source->topic_count; i++)
        free(source->topics[i]);
    for (size_t i = 0; i < source->count; i++)
        partition_free(source->partitions[i]);
    free(source->topics);
    free(source->partitions);
    free(source->group);
    free(source);
}

static void stop(struct kafka_source *source)
{
    struct loop *loop = source->world->loop;
    link_remove(&source->link);
    loop_timer_stop(loop, &source->tick);
    loop_timer_stop(loop, &source->next);
    loop_timer_stop(loop, &source->due);
    loop_timer_stop(loop, &source->closing);
    loop_defer_cancel(loop, &source->deliver);
    world_rebalance_soon(source->world);
    loop_reap(loop, source, source_free);
}

void kafka_world_kill_source(struct kafka_source *source)
{
    stop(source);
}

static void on_closing(void *arg)
{
    struct kafka_source *source = arg;
    kafka_world_commit(source);
    while (source->count > 0)
        fake_source_revoke(source, source->partitions[0], /* is_lost= */ false);
    stop(source);
    if (source->closed)
        source->closed(source->closed_arg);
}

static void ignore(void *arg)
{
    (void)arg;
}

void kafka_source_close(struct kafka_source *source, int64_t grace_ms, void (*closed)(void *arg), void *arg)
{
    (void)grace_ms;
    if (!source)
        return;
    source->closed = closed ? closed : ignore;
    source->closed_arg = arg;
    loop_timer_start(source->world->loop, &source->closing, 0, on_closing, source);
}

/* ---- use ---- */

void kafka_source_pull(struct kafka_source *source)
{
    for (size_t i = 0; i < source->count; i++)
        source->partitions[i]->is_resting = false;
    fake_source_deliver_soon(source);
}

void kafka_source_hold(struct kafka_source *source, bool is_held)
{
    source->is_held = is_held;
    if (!is_held)
        fake_source_deliver_soon(source);
}

void kafka_source_finish(struct kafka_source *source, const char *topic, int32_t number, int64_t offset)
{
    struct partition *partition = fake_source_find(source, topic, number);
    if (partition && partition_finish(partition, offset) &&
        partition->change - partition->change_kept > COMMIT_AFTER)
        kafka_world_commit(source);
    if (partition)
        fake_source_deliver_soon(source);
}

bool kafka_source_owns(const struct kafka_source *source, const char *topic, int32_t number)
{
    return fake_source_find(source, topic, number) != NULL;
}

const char *kafka_source_cluster_id(const struct kafka_source *source)
{
    (void)source;
    return "fake-cluster";
}

void kafka_source_stats(const struct kafka_source *source, struct kafka_source_stats *ret)
{
    *ret = source->stats;
    ret->has_joined = source->has_joined;
    ret->partitions = (int32_t)source->count;
    for (size_t i = 0; i < source->count; i++) {
        struct partition *partition = source->partitions[i];
        partition->high = kafka_world_end(source->world, partition->topic, partition->number);
        ret->in_flight += partition->in_flight;
        ret->backlog += partition_backlog(partition);
        ret->deferred += partition_deferred(partition);
    }
}
