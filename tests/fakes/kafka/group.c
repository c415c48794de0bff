/* Groups: who is a member, who has which partitions, whose commits count. */
#include "fakes/kafka/inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { HEARTBEATS_MS = 1000, MEMBERS_MAX = 64 };

static struct group *need_group(struct kafka_world *world, const char *name)
{
    LIST_EACH(&world->groups, link)
    {
        struct group *group = LIST_OBJECT(link, struct group, link);
        if (strcmp(group->name, name) == 0)
            return group;
    }
    struct group *group = base_alloc(sizeof *group);
    group->name = base_strdup(name);
    list_init(&group->members);
    list_push_back(&world->groups, &group->link);
    return group;
}

void groups_free(struct kafka_world *world)
{
    struct link *link;
    while ((link = list_pop_front(&world->groups))) {
        struct group *group = LIST_OBJECT(link, struct group, link);
        assert(list_is_empty(&group->members));
        free(group->name);
        free(group);
    }
}

/* ---- rebalances, eager ones: everybody gives back, joins, and is told ---- */

/* The partitions of a topic in turn to those who want it. */
static void deal_topic(const struct world_topic *topic, struct parcel **parcels, struct member **members,
                       size_t count)
{
    size_t wanting[MEMBERS_MAX], wanting_count = 0;
    for (size_t i = 0; i < count; i++)
        if (fake_source_wants(members[i]->source, topic->name))
            wanting[wanting_count++] = i;
    for (int32_t i = 0; i < topic->count && wanting_count > 0; i++)
        (void)parcel_add(parcels[wanting[(size_t)i % wanting_count]], topic->name, i);
}

static void deal(struct kafka_world *world, struct group *group)
{
    struct member *members[MEMBERS_MAX];
    struct parcel *parcels[MEMBERS_MAX];
    size_t count = 0;
    group->generation++;
    group->is_preparing = false;
    LIST_EACH(&group->members, link)
    {
        assert(count < MEMBERS_MAX);
        members[count] = LIST_OBJECT(link, struct member, link);
        members[count]->is_ready = false;
        parcels[count] = parcel_new(PARCEL_ASSIGN);
        parcels[count++]->generation = group->generation;
    }
    LIST_EACH(&world->topics, link)
    deal_topic(LIST_OBJECT(link, struct world_topic, link), parcels, members, count);
    for (size_t i = 0; i < count; i++)
        parcel_deliver(members[i]->source, parcels[i]);
}

static void complete(struct kafka_world *world, struct group *group)
{
    LIST_EACH(&group->members, link)
    if (!LIST_OBJECT(link, struct member, link)->is_ready)
        return;
    deal(world, group);
}

static void prepare(struct kafka_world *world, struct group *group)
{
    if (!group->is_preparing) {
        group->is_preparing = true;
        LIST_EACH(&group->members, link)
        {
            struct member *member = LIST_OBJECT(link, struct member, link);
            if (!member->is_ready)
                parcel_deliver(member->source, parcel_new(PARCEL_REVOKE));
        }
    }
    complete(world, group);
}

void world_rebalance(struct kafka_world *world)
{
    LIST_EACH(&world->groups, link)
    prepare(world, LIST_OBJECT(link, struct group, link));
}

void group_forget(struct kafka_source *source)
{
    struct member *member = TAKE(source->member);
    if (!member)
        return;
    struct group *group = member->group;
    link_remove(&member->link);
    free(member);
    prepare(source->world, group);
}

static void join(struct kafka_source *source)
{
    struct group *group = need_group(source->world, source->group);
    if (source->is_expelled)
        return;
    if (!source->member) {
        source->member = base_alloc(sizeof *source->member);
        source->member->group = group;
        source->member->source = source;
        list_push_back(&group->members, &source->member->link);
    }
    source->member->is_ready = true;
    prepare(source->world, group);
}

/* ---- heartbeats ---- */

static void on_heartbeats(void *arg)
{
    struct kafka_world *world = arg;
    int64_t now_ms = loop_now_ms(world->loop);
    loop_timer_start(world->loop, &world->heartbeats, HEARTBEATS_MS, on_heartbeats, world);
    LIST_EACH(&world->groups, link)
    {
        struct group *group = LIST_OBJECT(link, struct group, link);
        struct kafka_source *expired = NULL;
        for (struct link *each = group->members.next; each != &group->members; each = each->next) {
            struct member *member = LIST_OBJECT(each, struct member, link);
            if (virtual_loop_is_running(member->source->loop))
                member->silent_since_ms = 0;
            else if (member->silent_since_ms == 0)
                member->silent_since_ms = now_ms;
            else if (now_ms - member->silent_since_ms >= world->session_ms)
                expired = member->source;
        }
        if (!expired)
            continue;
        parcel_deliver(expired, parcel_new(PARCEL_LOST));
        group_forget(expired);
    }
}

void group_watch(struct kafka_world *world)
{
    if (!timer_is_active(&world->heartbeats))
        loop_timer_start(world->loop, &world->heartbeats, HEARTBEATS_MS, on_heartbeats, world);
}

/* ---- parcels ---- */

static void take_commit(struct kafka_source *source, struct parcel *parcel)
{
    const struct member *member = source->member;
    parcel->is_refused = !member || parcel->generation != member->group->generation;
    for (size_t i = 0; i < parcel->count && !parcel->is_refused; i++) {
        struct parcel_item *item = &parcel->items[i];
        world_commit(source->world, source->group, item->topic, item->number, item->committed,
                     TAKE(item->metadata));
    }
    parcel_deliver(source, parcel);
}

static void take_facts(struct kafka_source *source, struct parcel *parcel)
{
    for (size_t i = 0; i < parcel->count; i++) {
        struct parcel_item *item = &parcel->items[i];
        const struct world_topic *topic = world_topic(source->world, item->topic);
        const struct world_offset *offset =
            world_offset(source->world, source->group, item->topic, item->number);
        item->committed = offset ? offset->committed : -1;
        item->metadata = offset ? base_strdup(offset->metadata) : NULL;
        item->low = topic->partitions[item->number].low;
        item->high = topic->partitions[item->number].count;
    }
    parcel_deliver(source, parcel);
}

void group_take(struct kafka_source *source, struct parcel *parcel)
{
    switch (parcel->kind) {
    case PARCEL_JOIN:
        join(source);
        parcel_free(parcel);
        return;
    case PARCEL_LEAVE:
        group_forget(source);
        parcel_deliver(source, parcel);
        return;
    case PARCEL_COMMIT:
        take_commit(source, parcel);
        return;
    case PARCEL_FACTS:
        take_facts(source, parcel);
        return;
    case PARCEL_REVOKE:
    case PARCEL_ASSIGN:
    case PARCEL_LOST:
    case PARCEL_STATE:
        break;
    }
    assert(!"these go the other way");
}
