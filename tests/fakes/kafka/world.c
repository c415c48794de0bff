/* The cluster in memory: logs, groups, faults. */
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
    world->report_delay_ms = 1;
    world->record_max = 1 << 20;
    (void)snprintf(world->address, sizeof world->address, "world:%p", (void *)world);
    list_init(&world->topics);
    list_init(&world->offsets);
    list_init(&world->sources);
    list_init(&world->sinks);
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
    loop_defer_cancel(world->loop, &world->rebalance);
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
    world_rebalance_soon(world);
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
    LIST_EACH(&world->sources, link)
    fake_source_deliver_soon(LIST_OBJECT(link, struct kafka_source, link));
    return partition->count++;
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

void world_commit(struct kafka_world *world, const char *group, const struct partition *partition)
{
    struct world_offset *offset =
        (struct world_offset *)(uintptr_t)world_offset(world, group, partition->topic, partition->number);
    struct buffer text = {0};
    if (!offset) {
        offset = base_alloc(sizeof *offset);
        offset->group = base_strdup(group);
        offset->topic = base_strdup(partition->topic);
        offset->partition = partition->number;
        list_push_back(&world->offsets, &offset->link);
    }
    offset_map_encode(&partition->map, &text);
    free(offset->metadata);
    offset->metadata = buffer_take(&text);
    offset->committed = partition->map.base;
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

/* Whose it is when partition number `place` of a group is dealt: members in turn, those who want it. */
static struct kafka_source *dealt_to(const struct kafka_world *world, const char *group, const char *topic,
                                     int32_t place)
{
    int32_t members = 0;
    LIST_EACH(&world->sources, link)
    {
        const struct kafka_source *source = LIST_OBJECT(link, struct kafka_source, link);
        members +=
            strcmp(source->group, group) == 0 && !source->is_expelled && fake_source_wants(source, topic);
    }
    int32_t turn = members > 0 ? place % members : -1;
    LIST_EACH(&world->sources, link)
    {
        struct kafka_source *source = LIST_OBJECT(link, struct kafka_source, link);
        bool is_member =
            strcmp(source->group, group) == 0 && !source->is_expelled && fake_source_wants(source, topic);
        if (is_member && turn-- == 0)
            return source;
    }
    return NULL;
}

static void deal(struct kafka_world *world, struct kafka_source *source, bool is_giving)
{
    LIST_EACH(&world->topics, link)
    {
        struct world_topic *topic = LIST_OBJECT(link, struct world_topic, link);
        for (int32_t i = 0; i < topic->count; i++) {
            bool is_owned = fake_source_find(source, topic->name, i) != NULL;
            bool is_dealt = dealt_to(world, source->group, topic->name, i) == source;
            if (!is_giving && is_owned && !is_dealt)
                fake_source_revoke(source, fake_source_find(source, topic->name, i), /* is_lost= */ false);
            else if (is_giving && is_dealt && !is_owned)
                kafka_world_assign(source, topic->name, i);
        }
    }
    source->has_joined = true;
    source->stats.rebalances += is_giving;
}

/* Everybody gives back first, so that what one commits the next reads. */
static void rebalance(void *arg)
{
    struct kafka_world *world = arg;
    for (int is_giving = 0; is_giving < 2; is_giving++)
        LIST_EACH(&world->sources, link)
        {
            struct kafka_source *source = LIST_OBJECT(link, struct kafka_source, link);
            if (!source->is_expelled)
                deal(world, source, is_giving);
        }
}

void world_rebalance_soon(struct kafka_world *world)
{
    loop_defer(world->loop, &world->rebalance, rebalance, world);
}

/* ---- faults ---- */

void kafka_world_set_up(struct kafka_world *world, bool is_up, const char *why)
{
    world->is_up = is_up;
    (void)snprintf(world->why, sizeof world->why, "%s", is_up ? "" : why);
    LIST_EACH(&world->sources, link)
    {
        struct kafka_source *source = LIST_OBJECT(link, struct kafka_source, link);
        fake_source_on_state(source);
        fake_source_deliver_soon(source);
    }
    LIST_EACH(&world->sinks, link)
    fake_sink_on_state(LIST_OBJECT(link, struct kafka_sink, link));
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
