/* kafka/reader.h on the world in memory. */
#include "kafka/reader.h"
#include "fakes/kafka/inside.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 10, PARTITIONS_MAX = 64 };

struct kafka_reader {
    struct kafka_world *world;
    struct loop *loop;
    struct kafka_reader_events events;
    char *topic;
    int64_t from_unix_ms;
    int64_t next[PARTITIONS_MAX];
    bool has_started, has_caught_up, was_up, is_closed;
    struct timer look;
    struct task ended;
    void (*closed)(void *arg);
    void *closed_arg;
};

static void look(void *arg);

static void look_later(struct kafka_reader *reader)
{
    loop_timer_start(reader->loop, &reader->look, LOOK_MS, look, reader);
}

static void deliver(struct kafka_reader *reader, const struct world_partition *log, int32_t number,
                    int64_t offset)
{
    const struct kafka_record *record = log->records[offset];
    const struct kafka_message message = {.topic = reader->topic,
                                          .partition = number,
                                          .offset = offset,
                                          .timestamp_unix_ms = log->stamps[offset],
                                          .key = record->key,
                                          .value = record->value,
                                          .headers = record->headers,
                                          .header_count = record->header_count};
    reader->events.on_message(reader->events.arg, &message);
}

static void read_topic(struct kafka_reader *reader, const struct world_topic *topic)
{
    for (int32_t i = 0; i < MIN(topic->count, PARTITIONS_MAX) && !reader->is_closed; i++) {
        const struct world_partition *log = &topic->partitions[i];
        if (!reader->has_started && reader->from_unix_ms == KAFKA_READER_FROM_END)
            reader->next[i] = log->count;
        for (; reader->next[i] < log->count && !reader->is_closed; reader->next[i]++)
            if (reader->next[i] >= log->low && log->stamps[reader->next[i]] >= reader->from_unix_ms)
                deliver(reader, log, i, reader->next[i]);
    }
    reader->has_started = true;
}

static void look(void *arg)
{
    struct kafka_reader *reader = arg;
    const struct world_topic *topic = world_topic(reader->world, reader->topic);
    bool is_up = reader->world->is_up;
    if (is_up != reader->was_up && reader->events.on_state)
        reader->events.on_state(reader->events.arg, is_up, reader->world->why);
    reader->was_up = is_up;
    if (!reader->is_closed && is_up && topic)
        read_topic(reader, topic);
    if (!reader->is_closed && is_up && !reader->has_caught_up) { /* a topic that is not there holds nothing */
        reader->has_caught_up = true;
        if (reader->events.on_caught_up)
            reader->events.on_caught_up(reader->events.arg);
    }
    if (!reader->is_closed)
        look_later(reader);
}

struct kafka_reader *kafka_reader_new(const struct kafka_reader_options *options, struct error *reterr)
{
    (void)reterr;
    struct kafka_reader *reader = base_alloc(sizeof *reader);
    reader->world = world_at(options->cluster.bootstrap_servers);
    reader->loop = options->loop;
    reader->events = options->events;
    reader->topic = base_strdup(options->topic);
    reader->from_unix_ms = options->from_unix_ms;
    look_later(reader);
    return reader;
}

static void free_reader(void *object)
{
    struct kafka_reader *reader = object;
    free(reader->topic);
    free(reader);
}

static void on_ended(void *arg)
{
    struct kafka_reader *reader = arg;
    loop_reap(reader->loop, reader, free_reader);
    if (reader->closed)
        reader->closed(reader->closed_arg);
}

void kafka_reader_close(struct kafka_reader *reader, void (*closed)(void *arg), void *arg)
{
    if (!reader) {
        if (closed)
            closed(arg);
        return;
    }
    reader->is_closed = true;
    reader->closed = closed;
    reader->closed_arg = arg;
    loop_timer_stop(reader->loop, &reader->look);
    loop_defer(reader->loop, &reader->ended, on_ended, reader);
}
