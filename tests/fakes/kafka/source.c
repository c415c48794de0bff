/* kafka/source.h on the world in memory, with the real books. */
#include "fakes/kafka/inside.h"

#include <assert.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 1000,
    COMMIT_AFTER = 500,
    RECORDS_PER_TURN = 64,
    WAIT_MOST_MS = 60000,
    AWAY_MAX_MS = 60000,
    FORGET_MS = 600000
};

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

void fake_source_tell_state(struct kafka_source *source)
{
    struct parcel *parcel = parcel_new(PARCEL_STATE);
    parcel->is_up = source->world->is_up;
    (void)snprintf(parcel->why, sizeof parcel->why, "%s", source->world->why);
    parcel_deliver(source, parcel);
}

/* ---- commits ---- */

static char *text_of(const struct partition *partition)
{
    struct buffer text = {0};
    offset_map_encode(&partition->map, &text);
    return buffer_take(&text);
}

static void commit(struct kafka_source *source)
{
    struct parcel *parcel = NULL;
    if (source->is_committing)
        return;
    for (size_t i = 0; i < source->count; i++) {
        const struct partition *partition = source->partitions[i];
        if (!partition_is_dirty(partition))
            continue;
        if (!parcel)
            parcel = parcel_new(PARCEL_COMMIT);
        struct parcel_item *item = parcel_add(parcel, partition->topic, partition->number);
        item->committed = partition->map.base;
        item->metadata = text_of(partition);
        item->change = partition->change;
    }
    if (!parcel)
        return;
    parcel->generation = source->generation;
    source->is_committing = true;
    parcel_send(source, parcel);
}

static void on_committed(struct kafka_source *source, const struct parcel *parcel)
{
    source->is_committing = false;
    if (parcel->is_refused) {
        source->stats.commit_failures++;
        return;
    }
    source->stats.commits++;
    for (size_t i = 0; i < parcel->count; i++) {
        const struct parcel_item *item = &parcel->items[i];
        struct partition *partition = fake_source_find(source, item->topic, item->number);
        if (!partition)
            continue;
        partition->change_kept = item->change;
        partition->base_kept = MAX(partition->base_kept, item->committed);
    }
}

void kafka_world_commit(struct kafka_source *source)
{
    for (size_t i = 0; i < source->count; i++) {
        struct partition *partition = source->partitions[i];
        if (!partition_is_dirty(partition))
            continue;
        if (!source->member || !source->world->is_up) {
            source->stats.commit_failures++;
            return;
        }
        world_commit(source->world, source->group, partition->topic, partition->number, partition->map.base,
                     text_of(partition));
        partition->change_kept = partition->change;
        partition->base_kept = partition->map.base;
        source->stats.commits++;
    }
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
    int64_t now_ms = loop_now_ms(source->loop);
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

static bool has_memory(struct kafka_source *source, struct partition *partition)
{
    partition->is_resting = source->events.has_memory && !source->events.has_memory(source->events.arg);
    return !partition->is_resting;
}

static bool deliver_one(struct kafka_source *source, struct partition *partition)
{
    if (partition->phase != PARTITION_RUNNING)
        return false;
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
    if (verdict == PARTITION_RECOVER && !has_memory(source, partition))
        return false;
    partition_pass(partition, offset, verdict);
    message.was_pulled = verdict == PARTITION_RECOVER;
    if (verdict == PARTITION_SKIP)
        return true;
    const struct kafka_world_eye *eye = source->world->eye;
    if (eye && eye->on_delivered)
        eye->on_delivered(eye->arg, source, &message);
    source->events.on_message(source->events.arg, &message);
    return true;
}

static bool is_stopped(const struct kafka_source *source)
{
    return source->closed || source->is_held || !source->world->is_up;
}

static void deliver(void *arg);

static void wait_for_due(struct kafka_source *source)
{
    int64_t first_ms = INT64_MAX;
    for (size_t i = 0; i < source->count; i++)
        if (source->partitions[i]->wait_until_ms > 0)
            first_ms = MIN(first_ms, source->partitions[i]->wait_until_ms);
    if (first_ms != INT64_MAX && !is_stopped(source))
        loop_timer_start(source->loop, &source->due, MAX(first_ms - loop_now_ms(source->loop), 1), deliver,
                         source);
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
        loop_timer_start(source->loop, &source->next, 0, deliver, source);
    wait_for_due(source);
}

static void deliver_soon(struct kafka_source *source)
{
    if (source->is_delivering)
        loop_timer_start(source->loop, &source->next, 0, deliver, source);
    else
        loop_defer(source->loop, &source->deliver, deliver, source);
}

static void on_wake(void *arg)
{
    deliver_soon(arg);
}

/* Records have come, and are fetched. */
void fake_source_wake(struct kafka_source *source, const char *topic, int32_t number)
{
    if (!timer_is_active(&source->waking) && fake_source_find(source, topic, number))
        virtual_arrive(source->loop, &source->waking, world_delay(source->world, 0), on_wake, source);
}

/* ---- assignments ---- */

static void drop(struct kafka_source *source, struct partition *partition)
{
    for (size_t i = 0; i < source->count; i++)
        if (source->partitions[i] == partition) {
            source->partitions[i] = source->partitions[--source->count];
            break;
        }
    if (partition->is_announced)
        source->events.on_revoked(source->events.arg, partition->topic, partition->number,
                                  /* is_lost= */ false);
    partition_free(partition);
}

/* It is another's; but what is finished stays known, should it come back soon. */
static void lose(struct kafka_source *source, struct partition *partition, bool is_lost)
{
    partition_lose(partition);
    partition->away_since_ms = loop_now_ms(source->loop);
    if (!partition->is_announced)
        return;
    partition->is_announced = false;
    source->events.on_revoked(source->events.arg, partition->topic, partition->number, is_lost);
}

static void lose_all(struct kafka_source *source)
{
    for (size_t i = source->count; i-- > 0;)
        lose(source, source->partitions[i], /* is_lost= */ true);
}

static struct partition *add_partition(struct kafka_source *source, const char *topic, int32_t number)
{
    source->partitions = base_realloc(source->partitions, (source->count + 1) * sizeof(struct partition *));
    return source->partitions[source->count++] = partition_new(topic, number);
}

static void start(struct kafka_source *source, struct partition *partition, const struct parcel_item *item)
{
    const struct partition_facts facts = {
        .committed = item->committed,
        .metadata = {item->metadata, item->metadata ? strlen(item->metadata) : 0},
        .low = item->low,
        .high = item->high,
    };
    struct error error;
    source->stats.overtaken += partition_load(partition, &facts, &error) == PARTITION_OVERTAKEN;
    partition->phase = PARTITION_RUNNING;
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
    deliver_soon(source);
}

static void on_facts(struct kafka_source *source, const struct parcel *parcel)
{
    for (size_t i = 0; i < parcel->count && parcel->generation == source->generation; i++) {
        struct partition *partition =
            fake_source_find(source, parcel->items[i].topic, parcel->items[i].number);
        if (partition && partition->phase == PARTITION_READING)
            start(source, partition, &parcel->items[i]);
    }
    announce(source);
}

/* Everything is given back; what comes again goes on as if nothing had happened. */
static void on_revoke(struct kafka_source *source)
{
    source->is_committing = false; /* what is under way counts, or is said again */
    commit(source);
    for (size_t i = 0; i < source->count; i++) {
        struct partition *partition = source->partitions[i];
        if (partition->phase == PARTITION_AWAY)
            continue;
        partition->phase = PARTITION_AWAY;
        partition->away_since_ms = loop_now_ms(source->loop);
    }
    parcel_send(source, parcel_new(PARCEL_JOIN));
}

static bool has_item(const struct parcel *parcel, const struct partition *partition)
{
    for (size_t i = 0; i < parcel->count; i++)
        if (parcel->items[i].number == partition->number &&
            strcmp(parcel->items[i].topic, partition->topic) == 0)
            return true;
    return false;
}

static void on_assign(struct kafka_source *source, const struct parcel *parcel)
{
    struct parcel *question = parcel_new(PARCEL_FACTS);
    source->has_joined = true;
    source->stats.rebalances++;
    source->generation = question->generation = parcel->generation;
    for (size_t i = source->count; i-- > 0;)
        if (!has_item(parcel, source->partitions[i]) &&
            (source->partitions[i]->is_announced || source->partitions[i]->phase != PARTITION_AWAY))
            lose(source, source->partitions[i], /* is_lost= */ false);
    for (size_t i = 0; i < parcel->count; i++) {
        const struct parcel_item *item = &parcel->items[i];
        struct partition *partition = fake_source_find(source, item->topic, item->number);
        if (!partition)
            partition = add_partition(source, item->topic, item->number);
        partition->phase = PARTITION_READING;
        (void)parcel_add(question, item->topic, item->number);
    }
    if (question->count > 0)
        parcel_send(source, question);
    else
        parcel_free(question);
}

static void on_lost(struct kafka_source *source)
{
    lose_all(source);
    source->is_expelled = source->is_committing = source->has_joined = false;
    parcel_send(source, parcel_new(PARCEL_JOIN));
}

static void away_too_long(struct kafka_source *source)
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

static void on_tick(void *arg)
{
    struct kafka_source *source = arg;
    loop_timer_start(source->loop, &source->tick, TICK_MS, on_tick, source);
    away_too_long(source);
    if (source->world->is_up)
        commit(source);
    else
        source->stats.commit_failures++;
}

/* ---- by hand ---- */

void kafka_world_revoke(struct kafka_source *source, const char *topic, int32_t number, bool is_lost)
{
    struct partition *partition = fake_source_find(source, topic, number);
    assert(partition && partition->is_announced);
    if (!is_lost)
        kafka_world_commit(source);
    partition->is_announced = false;
    source->events.on_revoked(source->events.arg, partition->topic, partition->number, is_lost);
    drop(source, partition);
}

void kafka_world_assign(struct kafka_source *source, const char *topic, int32_t number)
{
    const struct world_offset *offset = world_offset(source->world, source->group, topic, number);
    const struct world_topic *log = world_topic(source->world, topic);
    assert(log && number < log->count && !fake_source_find(source, topic, number));
    const struct parcel_item item = {.committed = offset ? offset->committed : -1,
                                     .metadata = offset ? offset->metadata : NULL,
                                     .low = log->partitions[number].low,
                                     .high = log->partitions[number].count};
    start(source, add_partition(source, topic, number), &item);
    announce(source);
}

void kafka_world_expel(struct kafka_source *source)
{
    source->is_expelled = true;
    group_forget(source);
}

void kafka_world_tell(struct kafka_source *source)
{
    assert(source->is_expelled);
    source->is_expelled = false;
    if (source->loop == source->world->loop)
        on_lost(source);
    else
        parcel_deliver(source, parcel_new(PARCEL_LOST));
}

/* ---- life cycle ---- */

struct kafka_source *kafka_source_new(const struct kafka_source_options *options, struct error *reterr)
{
    (void)reterr;
    struct kafka_source *source = base_alloc(sizeof *source);
    source->world = world_at(options->cluster.bootstrap_servers);
    source->loop = options->loop;
    source->events = options->events;
    source->group = base_strdup(options->group_id);
    source->topic_count = options->topic_count;
    source->topics = base_alloc(options->topic_count * sizeof(char *));
    for (size_t i = 0; i < options->topic_count; i++)
        source->topics[i] = base_strdup(options->topics[i]);
    parcels_init(source);
    list_push_back(&source->world->sources, &source->link);
    loop_timer_start(source->loop, &source->tick, TICK_MS, on_tick, source);
    fake_source_tell_state(source);
    parcel_send(source, parcel_new(PARCEL_JOIN));
    if (source->loop != source->world->loop)
        group_watch(source->world);
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
    struct loop *loop = source->loop;
    link_remove(&source->link);
    group_forget(source);
    parcels_stop(source);
    loop_timer_stop(loop, &source->tick);
    loop_timer_stop(loop, &source->next);
    loop_timer_stop(loop, &source->due);
    loop_timer_stop(loop, &source->closing);
    virtual_arrive_cancel(loop, &source->waking);
    loop_defer_cancel(loop, &source->deliver);
    loop_reap(loop, source, source_free);
}

void kafka_world_kill_source(struct kafka_source *source)
{
    stop(source);
}

static void finish_closing(void *arg)
{
    struct kafka_source *source = arg;
    while (source->count > 0)
        drop(source, source->partitions[0]);
    stop(source);
    source->closed(source->closed_arg);
}

static void ignore(void *arg)
{
    (void)arg;
}

void kafka_source_close(struct kafka_source *source, int64_t grace_ms, void (*closed)(void *arg), void *arg)
{
    if (!source)
        return;
    assert(!source->closed);
    source->closed = closed ? closed : ignore;
    source->closed_arg = arg;
    source->is_committing = false;
    commit(source);
    parcel_send(source, parcel_new(PARCEL_LEAVE));
    loop_timer_start(source->loop, &source->closing, grace_ms, finish_closing, source);
}

void fake_source_take(struct kafka_source *source, struct parcel *parcel)
{
    if (source->closed && parcel->kind != PARCEL_LEAVE)
        return;
    switch (parcel->kind) {
    case PARCEL_COMMIT:
        on_committed(source, parcel);
        return;
    case PARCEL_FACTS:
        on_facts(source, parcel);
        return;
    case PARCEL_REVOKE:
        on_revoke(source);
        return;
    case PARCEL_ASSIGN:
        on_assign(source, parcel);
        return;
    case PARCEL_LOST:
        on_lost(source);
        return;
    case PARCEL_STATE:
        source->events.on_state(source->events.arg, parcel->is_up, parcel->why);
        deliver_soon(source);
        return;
    case PARCEL_LEAVE:
        loop_timer_start(source->loop, &source->closing, 0, finish_closing, source);
        return;
    case PARCEL_JOIN:
        break;
    }
    assert(!"this goes the other way");
}

/* ---- use ---- */

void kafka_source_pull(struct kafka_source *source)
{
    for (size_t i = 0; i < source->count; i++)
        source->partitions[i]->is_resting = false;
    deliver_soon(source);
}

void kafka_source_hold(struct kafka_source *source, bool is_held)
{
    source->is_held = is_held;
    if (!is_held)
        deliver_soon(source);
}

void kafka_source_finish(struct kafka_source *source, const char *topic, int32_t number, int64_t offset)
{
    struct partition *partition = fake_source_find(source, topic, number);
    virtual_place(source->loop);
    if (partition && partition_finish(partition, offset) &&
        partition->change - partition->change_kept > COMMIT_AFTER)
        commit(source);
    if (partition)
        deliver_soon(source);
}

bool kafka_source_owns(const struct kafka_source *source, const char *topic, int32_t number)
{
    const struct partition *partition = fake_source_find(source, topic, number);
    return partition && partition_is_owned(partition);
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
    for (size_t i = 0; i < source->count; i++) {
        struct partition *partition = source->partitions[i];
        if (!partition_is_owned(partition))
            continue;
        partition->high = kafka_world_end(source->world, partition->topic, partition->number);
        ret->partitions++;
        ret->in_flight += partition->in_flight;
        ret->backlog += partition_backlog(partition);
        ret->deferred += partition_deferred(partition);
    }
}
