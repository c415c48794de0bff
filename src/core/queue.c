/* The fair queue. Per class a line of what is ready; per limit and class a line of what is set aside. A line
 * holds a lane per tenant: the lanes take turns, by their tags, and in a lane the order is that of arrival.
 *
 * A lane's tag is the line's clock at the time it came into being, or its last tag, plus a stride that is the
 * shorter the heavier the tenant; the line's clock is the tag of the lane served last. So a tenant that comes
 * back after a pause has neither saved up turns nor lost any, nothing need be remembered about tenants that
 * have no entries, and whoever waits is reached, however many newcomers there are. A turn counts when it is
 * given: a tenant whose entry is set aside has had it, and one that was freed and denied again stands behind
 * the others that the limit keeps: each of them comes to ask, whoever has waited longest. */
#include "core/queue.h"

#include <assert.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t stride_of_weight_one = 1u << 30;

struct lane {
    char *name; /* first: see compare_names. The tenant's */
    struct line *line;
    struct heap entries;
    struct heap_node node; /* on the line's heap */
    uint64_t polled;       /* the queue's count of polled lanes when it came into being, or was polled last */
};

struct line {
    void *lanes;       /* tree by name */
    struct heap queue; /* lanes, none of them empty */
    uint64_t clock;
};

struct queue_tenant {
    char *name; /* first: see compare_names */
    struct queue_class *class;
    size_t count, bytes; /* ready, set aside and held */
    uint64_t served;     /* popped and not set aside again */
};

struct queue_limit {
    char *name; /* first: see compare_names */
    struct line aside[PRIORITY_COUNT];
    size_t count;
};

struct queue_class {
    void *tenants; /* tree by name */
    struct line ready;
};

struct queue {
    struct queue_class classes[PRIORITY_COUNT];
    void *limits; /* tree by name */
    uint64_t turns, pops, frees, polls;
    int64_t arrivals;
    size_t count, ready_count, bytes;
};

/* ---- Trees of things whose first member is their name ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void *tree_find(void *const *tree, const char *name)
{
    void *const *found = tfind(&name, tree, compare_names);
    return found ? *found : NULL;
}

static void tree_add(void **tree, void *object)
{
    if (!tsearch(object, tree, compare_names))
        base_die("out of memory");
}

/* ---- Tenants ---- */

static struct queue_tenant *tenant_of(struct queue *queue, const struct queue_entry *entry)
{
    assert(entry->priority < PRIORITY_COUNT);
    struct queue_class *class = &queue->classes[entry->priority];
    struct queue_tenant *tenant = tree_find(&class->tenants, entry->tenant_id);
    if (!tenant) {
        tenant = base_alloc(sizeof *tenant);
        *tenant = (struct queue_tenant){.name = base_strdup(entry->tenant_id), .class = class};
        tree_add(&class->tenants, tenant);
    }
    return tenant;
}

static void tenant_free(struct queue_tenant *tenant)
{
    (void)tdelete(tenant, &tenant->class->tenants, compare_names);
    free(tenant->name);
    free(tenant);
}

static void enter(struct queue *queue, struct queue_entry *entry)
{
    entry->tenant = tenant_of(queue, entry);
    entry->node = (struct heap_node){.key = (uint64_t)entry->sequence};
    entry->tenant->count++;
    entry->tenant->bytes += entry->bytes;
    queue->count++;
    queue->bytes += entry->bytes;
}

static void leave(struct queue *queue, struct queue_entry *entry)
{
    struct queue_tenant *tenant = TAKE(entry->tenant);
    tenant->bytes -= entry->bytes;
    queue->bytes -= entry->bytes;
    queue->count--;
    if (--tenant->count == 0)
        tenant_free(tenant);
}

/* ---- Lines ---- */

static struct queue_entry *entry_at(struct heap_node *node)
{
    return CONTAINER_OF(node, struct queue_entry, node);
}

/* Puts the lane in its place for its next turn, `from` being where its last one ended. */
static void line_up(struct queue *queue, struct lane *lane, uint64_t from)
{
    const struct queue_entry *first = entry_at(heap_first(&lane->entries));
    lane->node.key = from + MAX(stride_of_weight_one / (uint64_t)first->weight, 1);
    lane->node.tie = queue->turns++;
    heap_push(&lane->line->queue, &lane->node);
}

/* Not on the line's heap any more. */
static void lane_free(struct lane *lane)
{
    (void)tdelete(lane, &lane->line->lanes, compare_names);
    heap_release(&lane->entries);
    free(lane->name);
    free(lane);
}

static void line_add(struct queue *queue, struct line *line, struct queue_entry *entry)
{
    struct lane *lane = tree_find(&line->lanes, entry->tenant_id);
    if (lane) {
        heap_push(&lane->entries, &entry->node);
        return;
    }
    lane = base_alloc(sizeof *lane);
    *lane = (struct lane){.name = base_strdup(entry->tenant_id), .line = line, .polled = queue->polls++};
    tree_add(&line->lanes, lane);
    heap_push(&lane->entries, &entry->node);
    line_up(queue, lane, line->clock);
}

/* NULL: it is empty. */
static struct queue_entry *line_take(struct queue *queue, struct line *line)
{
    struct heap_node *first = heap_pop(&line->queue);
    if (!first)
        return NULL;
    struct lane *lane = CONTAINER_OF(first, struct lane, node);
    line->clock = first->key;
    struct queue_entry *entry = entry_at(heap_pop(&lane->entries));
    if (lane->entries.count > 0)
        line_up(queue, lane, line->clock);
    else
        lane_free(lane);
    return entry;
}

static void line_remove(struct line *line, struct queue_entry *entry)
{
    struct lane *lane = tree_find(&line->lanes, entry->tenant_id);
    heap_remove(&lane->entries, &entry->node);
    if (lane->entries.count > 0)
        return;
    heap_remove(&line->queue, &lane->node);
    lane_free(lane);
}

/* ---- Limits ---- */

static struct queue_limit *limit_of(struct queue *queue, const char *name)
{
    struct queue_limit *limit = tree_find(&queue->limits, name);
    if (!limit) {
        limit = base_alloc(sizeof *limit);
        limit->name = base_strdup(name);
        tree_add(&queue->limits, limit);
    }
    return limit;
}

/* One of its entries is gone. Returns: false when that was its last one, and the limit is gone too. */
static bool limit_lost_one(struct queue *queue, struct queue_limit *limit)
{
    if (--limit->count > 0)
        return true;
    (void)tdelete(limit, &queue->limits, compare_names);
    for (size_t i = 0; i < PRIORITY_COUNT; i++)
        heap_release(&limit->aside[i].queue);
    free(limit->name);
    free(limit);
    return false;
}

/* ---- Public ---- */

struct queue *queue_new(void)
{
    return base_alloc(sizeof(struct queue));
}

void queue_free(struct queue *queue)
{
    if (!queue)
        return;
    assert(queue->count == 0 && !queue->limits);
    for (size_t i = 0; i < PRIORITY_COUNT; i++)
        heap_release(&queue->classes[i].ready.queue);
    free(queue);
}

/* In the order of the classes, but in every QUEUE_LOWEST_TURN-th turn from the lowest up. Returns: NULL when
 * all are empty, which is no turn. */
static struct queue_entry *take(struct queue *queue, struct line *const lines[PRIORITY_COUNT],
                                uint64_t *turns)
{
    bool is_lowest_first = (*turns + 1) % QUEUE_LOWEST_TURN == 0;
    for (size_t i = 0; i < PRIORITY_COUNT; i++) {
        struct queue_entry *entry = line_take(queue, lines[is_lowest_first ? PRIORITY_COUNT - 1 - i : i]);
        if (entry) {
            ++*turns;
            return entry;
        }
    }
    return NULL;
}

static void make_ready(struct queue *queue, struct queue_entry *entry)
{
    line_add(queue, &queue->classes[entry->priority].ready, entry);
    queue->ready_count++;
}

void queue_push(struct queue *queue, struct queue_entry *entry)
{
    if (entry->is_held)
        queue_remove(queue, entry);
    assert(!entry->tenant && !entry->aside && entry->weight > 0);
    entry->sequence = ++queue->arrivals;
    entry->is_freed = false;
    enter(queue, entry);
    make_ready(queue, entry);
}

struct queue_entry *queue_pop(struct queue *queue)
{
    struct line *lines[PRIORITY_COUNT];
    for (size_t i = 0; i < PRIORITY_COUNT; i++)
        lines[i] = &queue->classes[i].ready;
    struct queue_entry *entry = take(queue, lines, &queue->pops);
    if (!entry)
        return NULL;
    queue->ready_count--;
    entry->tenant->served++;
    leave(queue, entry);
    return entry;
}

void queue_remove(struct queue *queue, struct queue_entry *entry)
{
    if (!entry->tenant)
        return;
    if (entry->is_held) {
        entry->is_held = false;
    } else if (entry->aside) {
        struct queue_limit *limit = TAKE(entry->aside);
        line_remove(&limit->aside[entry->priority], entry);
        (void)limit_lost_one(queue, limit);
    } else {
        line_remove(&queue->classes[entry->priority].ready, entry);
        queue->ready_count--;
    }
    leave(queue, entry);
}

void queue_hold(struct queue *queue, struct queue_entry *entry)
{
    assert(!entry->tenant && !entry->aside);
    enter(queue, entry);
    entry->is_held = true;
}

void queue_set_aside(struct queue *queue, struct queue_entry *entry, const char *limit)
{
    assert(!entry->tenant && !entry->aside && entry->sequence > 0);
    enter(queue, entry);
    if (entry->tenant->served > 0)
        entry->tenant->served--;
    entry->is_freed = false;
    entry->aside = limit_of(queue, limit);
    entry->aside->count++;
    line_add(queue, &entry->aside->aside[entry->priority], entry);
}

/* Off its line already. Returns: false when nothing is left that the limit keeps. */
static bool free_entry(struct queue *queue, struct queue_limit *limit, struct queue_entry *entry)
{
    entry->aside = NULL;
    entry->is_freed = true;
    make_ready(queue, entry);
    return limit_lost_one(queue, limit);
}

void queue_free_limit(struct queue *queue, const char *limit, size_t count)
{
    struct queue_limit *found = tree_find(&queue->limits, limit);
    if (!found)
        return;
    struct line *lines[PRIORITY_COUNT];
    for (size_t i = 0; i < PRIORITY_COUNT; i++)
        lines[i] = &found->aside[i];
    for (; count > 0; count--) {
        if (!free_entry(queue, found, take(queue, lines, &queue->frees)))
            return;
    }
}

bool queue_free_tenant(struct queue *queue, const char *limit, const char *tenant_id)
{
    struct queue_limit *found = tree_find(&queue->limits, limit);
    for (size_t i = 0; found && i < PRIORITY_COUNT; i++) {
        struct lane *lane = tree_find(&found->aside[i].lanes, tenant_id);
        if (!lane)
            continue;
        struct queue_entry *entry = entry_at(heap_first(&lane->entries));
        line_remove(&found->aside[i], entry);
        (void)free_entry(queue, found, entry);
        return true;
    }
    return false;
}

struct limit_names {
    char **items;
    size_t count;
};

static void note_name(const void *node, VISIT visit, void *arg)
{
    struct limit_names *names = arg;
    const struct queue_limit *limit = *(const struct queue_limit *const *)node;
    if (visit != postorder && visit != leaf)
        return;
    names->items = base_realloc(names->items, (names->count + 1) * sizeof *names->items);
    names->items[names->count++] = base_strdup(limit->name);
}

/* Takes the oldest of the lane that was polled longest ago, whatever its weight: it is not its turn that
 * comes, it only asks. */
static struct queue_entry *line_poll(struct queue *queue, struct line *line)
{
    struct lane *longest = CONTAINER_OF(heap_first(&line->queue), struct lane, node);
    for (size_t i = 1; i < line->queue.count; i++) {
        struct lane *lane = CONTAINER_OF(line->queue.nodes[i], struct lane, node);
        if (lane->polled < longest->polled)
            longest = lane;
    }
    longest->polled = queue->polls++;
    struct queue_entry *entry = entry_at(heap_first(&longest->entries));
    line_remove(line, entry);
    return entry;
}

static void poll_limit(struct queue *queue, struct queue_limit *limit, size_t share)
{
    for (size_t i = 0; i < PRIORITY_COUNT; i++)
        for (size_t count = (limit->aside[i].queue.count + share - 1) / share; count > 0; count--)
            if (!free_entry(queue, limit, line_poll(queue, &limit->aside[i])))
                return;
}

void queue_poll(struct queue *queue, size_t share)
{
    struct limit_names names = {0}; /* copied: freeing takes empty limits out of the tree */
    twalk_r(queue->limits, note_name, &names);
    for (size_t i = 0; i < names.count; i++) {
        poll_limit(queue, tree_find(&queue->limits, names.items[i]), share);
        free(names.items[i]);
    }
    free(names.items);
}

size_t queue_count(const struct queue *queue)
{
    return queue->count;
}

size_t queue_ready_count(const struct queue *queue)
{
    return queue->ready_count;
}

size_t queue_bytes(const struct queue *queue)
{
    return queue->bytes;
}

struct queue_share queue_share_of(const struct queue *queue, const char *tenant_id, enum priority lowest)
{
    struct queue_share share = {0};
    for (size_t i = 0; i <= (size_t)lowest; i++) {
        const struct queue_tenant *tenant = tree_find(&queue->classes[i].tenants, tenant_id);
        if (!tenant)
            continue;
        share.count += tenant->count;
        share.bytes += tenant->bytes;
        share.served += tenant->served;
    }
    return share;
}

size_t queue_aside_count(const struct queue *queue, const char *limit)
{
    const struct queue_limit *found = tree_find(&queue->limits, limit);
    return found ? found->count : 0;
}
