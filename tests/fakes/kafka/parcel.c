/* What a source and the cluster say to each other, in order. */
#include "fakes/kafka/inside.h"

#include <stdlib.h>

enum { THERE_MS = 1, AGAIN_MS = 100 };

struct parcel *parcel_new(enum parcel_kind kind)
{
    struct parcel *parcel = base_alloc(sizeof *parcel);
    parcel->kind = kind;
    return parcel;
}

void parcel_free(struct parcel *parcel)
{
    link_remove(&parcel->link);
    for (size_t i = 0; i < parcel->count; i++) {
        free(parcel->items[i].topic);
        free(parcel->items[i].metadata);
    }
    free(parcel->items);
    free(parcel);
}

struct parcel_item *parcel_add(struct parcel *parcel, const char *topic, int32_t number)
{
    parcel->items = base_realloc(parcel->items, (parcel->count + 1) * sizeof *parcel->items);
    struct parcel_item *item = &parcel->items[parcel->count++];
    *item = (struct parcel_item){.topic = base_strdup(topic), .number = number};
    return item;
}

static struct parcel *first_of(const struct link *list)
{
    return list_is_empty(list) ? NULL : LIST_OBJECT(list->next, struct parcel, link);
}

/* Due after all that went before. */
static void add(struct link *list, struct parcel *parcel, int64_t due_ms)
{
    const struct parcel *last = list_is_empty(list) ? NULL : LIST_OBJECT(list->previous, struct parcel, link);
    parcel->due_ms = last ? MAX(due_ms, last->due_ms) : due_ms;
    list_push_back(list, &parcel->link);
}

/* ---- to the cluster ---- */

static void on_sent(void *arg)
{
    struct kafka_source *source = arg;
    struct kafka_world *world = source->world;
    int64_t now_ms = loop_boot_ms(world->loop);
    struct parcel *parcel;
    while (world->is_up && (parcel = first_of(&source->outgoing)) && parcel->due_ms <= now_ms) {
        link_remove(&parcel->link);
        group_take(source, parcel);
    }
    parcel = first_of(&source->outgoing);
    if (parcel)
        virtual_arrive(world->loop, &source->sending, world->is_up ? parcel->due_ms - now_ms : AGAIN_MS,
                       on_sent, source);
}

void parcel_send(struct kafka_source *source, struct parcel *parcel)
{
    struct kafka_world *world = source->world;
    virtual_place(source->loop);
    int64_t now_ms = loop_boot_ms(world->loop);
    add(&source->outgoing, parcel, now_ms + world_delay(world, THERE_MS));
    if (!timer_is_active(&source->sending))
        virtual_arrive(world->loop, &source->sending, first_of(&source->outgoing)->due_ms - now_ms, on_sent,
                       source);
    virtual_place(source->loop);
}

/* ---- to the source ---- */

static void on_arrival(void *arg)
{
    struct kafka_source *source = arg;
    struct parcel *parcel;
    while ((parcel = first_of(&source->coming))) {
        int64_t wait_ms = parcel->due_ms - loop_boot_ms(source->world->loop);
        if (wait_ms > 0) {
            virtual_arrive(source->loop, &source->arrival, wait_ms, on_arrival, source);
            return;
        }
        link_remove(&parcel->link);
        fake_source_take(source, parcel);
        parcel_free(parcel);
    }
}

void parcel_deliver(struct kafka_source *source, struct parcel *parcel)
{
    struct kafka_world *world = source->world;
    int64_t now_ms = loop_boot_ms(world->loop);
    add(&source->coming, parcel, now_ms + world_delay(world, 0));
    if (!timer_is_active(&source->arrival))
        virtual_arrive(source->loop, &source->arrival, first_of(&source->coming)->due_ms - now_ms, on_arrival,
                       source);
}

void parcels_init(struct kafka_source *source)
{
    list_init(&source->outgoing);
    list_init(&source->coming);
}

void parcels_stop(struct kafka_source *source)
{
    virtual_arrive_cancel(source->world->loop, &source->sending);
    virtual_arrive_cancel(source->loop, &source->arrival);
    struct parcel *parcel;
    while ((parcel = first_of(&source->outgoing)) || (parcel = first_of(&source->coming)))
        parcel_free(parcel);
}
