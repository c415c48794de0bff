/* The cluster in memory: logs, offsets, faults. */
#include "fakes/kafka/inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- life cycle ---- */

struct kafka_world *kafka_world_new(struct loop *loop)
{
    struct kafka_world *world = base_alloc(sizeof *world);
    world->loop = loop;
    world->is_up = true;
    world->session_ms = 45000;
    world->report_delay_ms = 1;
    world->record_max = 1 << 20;
    (void)snprintf(world->address, sizeof world->address, "world:%p", (void *)world);
    list_init(&world->topics);
    list_init(&world->offsets);
    list_init(&world->sources);
    list_init(&world->sinks);
    list_init(&world->groups);
    return world;
}

const char *kafka_world_address(const struct kafka_world *world)
{
    return world->address;
}

struct kafka_world *world_at(const char *address)
{
    void *world = NULL;
    if (sscanf(address, "world:%p", &world) != 1)
        base_die("\"%s\" is no address of a fake Kafka; use kafka_world_address", address);
    return world;
}

static void free_topic(struct world_topic *topic)
{
    for (int32_t i = 0; i < topic->count; i++) {
        for (int64_t k = 0; k < topic->partitions[i].count; k++)
            free(topic->partitions[i].records[k]);
        free(topic->partitions[i].records);
        free(topic->partitions[i].stamps);
    }
    free(topic->partitions);
    free(topic->name);
    free(topic);
}

static void free_offset(struct world_offset *offset)
{
    free(offset->group);
    free(offset->topic);
    free(offset->metadata);
    free(offset);
}

void kafka_world_free(struct kafka_world *world)
{
    struct link *link;
    assert(list_is_empty(&world->sources) && list_is_empty(&world->sinks));
    loop_timer_stop(world->loop, &world->heartbeats);
    groups_free(world);
    while ((link = list_pop_front(&world->topics)))
        free_topic(LIST_OBJECT(link, struct world_topic, link));
    while ((link = list_pop_front(&world->offsets)))
        free_offset(LIST_OBJECT(link, struct world_offset, link));
    free(world);
}

/* ---- the log ---- */

struct world_topic *world_topic(const struct kafka_world *world, const char *name)
{
    LIST_EACH(&world->topics, link)
    {
        struct world_topic *topic = LIST_OBJECT(link, struct world_topic, link);
        if (strcmp(topic->name, name) == 0)
            return topic;
    }
    return NULL;
}

void kafka_world_add_topic(struct kafka_world *world, const char *name, int32_t partitions)
{
    assert(!world_topic(world, name) && partitions > 0);
    struct world_topic *topic = base_alloc(sizeof *topic);
    topic->name = base_strdup(name);
    topic->count = partitions;
    topic->partitions = base_alloc((size_t)partitions * sizeof *topic->partitions);
    list_push_back(&world->topics, &topic->link);
    world_rebalance(world);
}

static const void *put(char **place, const void *data, size_t length)
{
    if (!data)
        return NULL;
    void *copy = *place;
    if (length > 0)
        memcpy(copy, data, length);
    *place += length;
    return copy;
}

struct kafka_record *world_copy(const struct kafka_record *record, bool is_value_copied)
{
    size_t size =
        strlen(record->topic) + 1 + record->key.length + (is_value_copied ? record->value.length : 0);
    for (size_t i = 0; i < record->header_count; i++)
        size += strlen(record->headers[i].name) + 1 + record->headers[i].value.length;
    size_t table = record->header_count * sizeof(struct kafka_header);
    struct kafka_record *copy = base_alloc(sizeof *copy + table + size);
    struct kafka_header *headers = (struct kafka_header *)(copy + 1);
    char *place = (char *)headers + table;
    *copy = *record;
    copy->headers = headers;
    copy->topic = put(&place, record->topic, strlen(record->topic) + 1);
    copy->key.data = put(&place, record->key.data, record->key.length);
    if (is_value_copied)
        copy->value.data = put(&place, record->value.data, record->value.length);
    for (size_t i = 0; i < record->header_count; i++) {
        const struct kafka_header *from = &record->headers[i];
        headers[i].name = put(&place, from->name, strlen(from->name) + 1);
        headers[i].value.data = put(&place, from->value.data, from->value.length);
        headers[i].value.length = from->value.length;
    }
    return copy;
}

int64_t kafka_world_push(struct kafka_world *world, int32_t number, const struct kafka_record *record)
{
    if (!world_topic(world, record->topic))
        kafka_world_add_topic(world, record->topic, number + 1);
    struct world_topic *topic = world_topic(world, record->topic);
    assert(number < topic->count);
    struct world_partition *partition = &topic->partitions[number];
    if (partition->count == partition->capacity) {
        partition->capacity = MAX(partition->capacity * 2, 16);
        partition->records =
            base_realloc(partition->records, (size_t)partition->capacity * sizeof *partition->records);
        partition->stamps =
            base_realloc(partition->stamps, (size_t)partition->capacity * sizeof *partition->stamps);
    }
    partition->stamps[partition->count] = loop_unix_ms(world->loop);
    partition->records[partition->count] = world_copy(record, /* is_value_copied= */ true);
    const struct kafka_record *copy = partition->records[partition->count];
    int64_t offset = partition->count++;
    LIST_EACH(&world->sources, link)
    fake_source_wake(LIST_OBJECT(link, struct kafka_source, link), topic->name, number);
    if (world->eye && world->eye->on_record)
        world->eye->on_record(world->eye->arg, topic->name, number, offset, copy);
    return offset;
}

static struct world_partition *find(const struct kafka_world *world, const char *name, int32_t number)
{
    struct world_topic *topic = world_topic(world, name);
    return topic && number < topic->count ? &topic->partitions[number] : NULL;
}

int64_t kafka_world_end(const struct kafka_world *world, const char *topic, int32_t number)
{
    const struct world_partition *partition = find(world, topic, number);
    return partition ? partition->count : 0;
}

const struct kafka_record *kafka_world_record(const struct kafka_world *world, const char *topic,
                                              int32_t number, int64_t offset)
{
    const struct world_partition *partition = find(world, topic, number);
    bool is_there = partition && offset >= partition->low && offset < partition->count;
    return is_there ? partition->records[offset] : NULL;
}

void kafka_world_expire(struct kafka_world *world, const char *topic, int32_t number, int64_t low)
{
    struct world_partition *partition = find(world, topic, number);
    assert(partition && low <= partition->count);
    partition->low = MAX(partition->low, low);
}

/* ---- groups ---- */

const struct world_offset *world_offset(const struct kafka_world *world, const char *group, const char *topic,
                                        int32_t partition)
{
    LIST_EACH(&world->offsets, link)
    {
        struct world_offset *offset = LIST_OBJECT(link, struct world_offset, link);
        if (offset->partition == partition && strcmp(offset->group, group) == 0 &&
            strcmp(offset->topic, topic) == 0)
            return offset;
    }
    return NULL;
}

static struct world_offset *need_offset(struct kafka_world *world, const char *group, const char *topic,
                                        int32_t partition)
{
    const struct world_offset *found = world_offset(world, group, topic, partition);
    if (found)
        return (struct world_offset *)(uintptr_t)found;
    struct world_offset *offset = base_alloc(sizeof *offset);
    offset->group = base_strdup(group);
    offset->topic = base_strdup(topic);
    offset->partition = partition;
    offset->committed = -1;
    list_push_back(&world->offsets, &offset->link);
    return offset;
}

static void tell_commit(struct kafka_world *world, const struct world_offset *before, int64_t committed,
                        const char *metadata)
{
    struct offset_map map;
    bool is_read =
        offset_map_decode((struct bytes){metadata, strlen(metadata)}, committed, INT64_MAX, &map, NULL);
    assert(is_read);
    if (is_read)
        world->eye->on_commit(world->eye->arg, before->topic, before->partition, before, &map);
    offset_map_release(&map);
}

void world_commit(struct kafka_world *world, const char *group, const char *topic, int32_t number,
                  int64_t committed, char *metadata)
{
    struct world_offset *offset = need_offset(world, group, topic, number);
    if (world->eye && world->eye->on_commit)
        tell_commit(world, offset, committed, metadata);
    free(offset->metadata);
    offset->metadata = metadata;
    offset->committed = committed;
}

int64_t kafka_world_committed(const struct kafka_world *world, const char *group, const char *topic,
                              int32_t partition)
{
    const struct world_offset *offset = world_offset(world, group, topic, partition);
    return offset ? offset->committed : -1;
}

bool kafka_world_is_finished(const struct kafka_world *world, const char *group, const char *topic,
                             int32_t partition, int64_t place)
{
    const struct world_offset *offset = world_offset(world, group, topic, partition);
    struct offset_map map;
    if (!offset)
        return false;
    bool is_read = offset_map_decode((struct bytes){offset->metadata, strlen(offset->metadata)},
                                     offset->committed, INT64_MAX, &map, NULL);
    assert(is_read);
    (void)is_read;
    bool is_finished = offset_map_is_finished(&map, place);
    offset_map_release(&map);
    return is_finished;
}

/* ---- faults ---- */

void kafka_world_set_up(struct kafka_world *world, bool is_up, const char *why)
{
    world->is_up = is_up;
    (void)snprintf(world->why, sizeof world->why, "%s", is_up ? "" : why);
    LIST_EACH(&world->sources, link)
    fake_source_tell_state(LIST_OBJECT(link, struct kafka_source, link));
    LIST_EACH(&world->sinks, link)
    fake_sink_tell_state(LIST_OBJECT(link, struct kafka_sink, link));
}

void kafka_world_vary(struct kafka_world *world, struct random *random, int64_t most_ms)
{
    world->random = random;
    world->most_ms = most_ms;
}

int64_t world_delay(struct kafka_world *world, int64_t usual_ms)
{
    return world->random ? (int64_t)random_below(world->random, (uint64_t)world->most_ms + 1) : usual_ms;
}

void kafka_world_kill(struct kafka_world *world, struct loop *loop)
{
    LIST_EACH(&world->sources, link)
    if (LIST_OBJECT(link, struct kafka_source, link)->loop == loop)
        link_remove(link);
    LIST_EACH(&world->sinks, link)
    if (LIST_OBJECT(link, struct kafka_sink, link)->loop == loop)
        link_remove(link);
}

void kafka_world_delay_reports(struct kafka_world *world, int64_t ms)
{
    world->report_delay_ms = ms;
}

void kafka_world_fail_reports(struct kafka_world *world, int count, bool is_written)
{
    world->failing = count;
    world->is_failing_written = is_written;
}

void kafka_world_set_record_max(struct kafka_world *world, size_t bytes)
{
    world->record_max = bytes;
}
