/* The fair queue. Per class a heap of tenants that have something ready, by their tag; per tenant a heap of
 * its ready entries, by arrival; per limit and class a heap of those set aside, by arrival.
 *
 * A tenant's tag is the class's clock at the time it got something ready, or its last tag, plus a stride that
 * is the shorter the heavier the tenant; the class's clock is the tag of the tenant served last. So a tenant
 * that comes back after a pause has neither saved up turns nor lost any, nothing need be remembered about
 * tenants that have no entries, and whoever waits is reached, however many newcomers there are. A turn counts
 * when it is given: a tenant whose entries are set aside has had it. */
#include "core/queue.h"

#include <assert.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t stride_of_weight_one = 1u << 30;

struct queue_tenant {
    char *name; /* first: see compare_names */
    struct queue_class *class;
    struct heap ready;     /* entries */
    struct heap_node node; /* on the class's heap while something is ready */
    size_t count, bytes;   /* ready, set aside and held */
    uint64_t served;       /* popped and not set aside again */
};

struct queue_limit {
    char *name; /* first: see compare_names */
    struct heap aside[PRIORITY_COUNT];
    size_t count;
};

struct queue_class {
    void *tenants;     /* tree by name */
    struct heap ready; /* tenants */
    uint64_t clock;
};

struct queue {
    struct queue_class classes[PRIORITY_COUNT];
    void *limits; /* tree by name */
    uint64_t turns;
    int64_t arrivals;
    size_t count, ready_count, bytes;
};

/* ---- Trees of things whose first member is their name ----------------------------------------------------
 */

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

/* ---- Tenants ---------------------------------------------------------------------------------------------
 */

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
    heap_release(&tenant->ready);
    free(tenant->name);
    free(tenant);
}

static struct queue_entry *entry_at(struct heap_node *node)
{
    return CONTAINER_OF(node, struct queue_entry, node);
}

/* Puts the tenant in its place for its next turn, `from` being where its last one ended. */
static void tenant_line_up(struct queue *queue, struct queue_tenant *tenant, uint64_t from)
{
    const struct queue_entry *first = entry_at(heap_first(&tenant->ready));
    tenant->node.key = from + MAX(stride_of_weight_one / (uint64_t)first->weight, 1);
    tenant->node.tie = queue->turns++;
    heap_push(&tenant->class->ready, &tenant->node);
}

static void make_ready(struct queue *queue, struct queue_entry *entry)
{
    struct queue_tenant *tenant = entry->tenant;
    heap_push(&tenant->ready, &entry->node);
    queue->ready_count++;
    if (tenant->ready.count == 1)
        tenant_line_up(queue, tenant, tenant->class->clock);
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

/* ---- Limits ----------------------------------------------------------------------------------------------
 */

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

static void take_from_limit(struct queue *queue, struct queue_entry *entry)
{
    struct queue_limit *limit = TAKE(entry->aside);
    heap_remove(&limit->aside[entry->priority], &entry->node);
    if (--limit->count > 0)
        return;
    (void)tdelete(limit, &queue->limits, compare_names);
    for (size_t i = 0; i < PRIORITY_COUNT; i++)
        heap_release(&limit->aside[i]);
    free(limit->name);
    free(limit);
}

/* ---- Public ----------------------------------------------------------------------------------------------
 */

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
        heap_release(&queue->classes[i].ready);
    free(queue);
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
    for (size_t i = 0; i < PRIORITY_COUNT; i++) {
        struct queue_class *class = &queue->classes[i];
        struct heap_node *first = heap_pop(&class->ready);
        if (!first)
            continue;
        struct queue_tenant *tenant = CONTAINER_OF(first, struct queue_tenant, node);
        class->clock = first->key;
        struct queue_entry *entry = entry_at(heap_pop(&tenant->ready));
        queue->ready_count--;
        if (tenant->ready.count > 0)
            tenant_line_up(queue, tenant, class->clock);
        tenant->served++;
        leave(queue, entry);
        return entry;
    }
    return NULL;
}

void queue_remove(struct queue *queue, struct queue_entry *entry)
{
    struct queue_tenant *tenant = entry->tenant;
    if (!tenant)
        return;
    if (entry->is_held) {
        entry->is_held = false;
    } else if (entry->aside) {
        take_from_limit(queue, entry);
    } else {
        heap_remove(&tenant->ready, &entry->node);
        queue->ready_count--;
        if (tenant->ready.count == 0)
            heap_remove(&tenant->class->ready, &tenant->node);
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
    heap_push(&entry->aside->aside[entry->priority], &entry->node);
}

void queue_free_limit(struct queue *queue, const char *limit, size_t count)
{
    struct queue_limit *found = tree_find(&queue->limits, limit);
    if (!found)
        return;
    size_t left = MIN(count, found->count); /* the limit is gone with its last one */
    for (size_t i = 0; i < PRIORITY_COUNT; i++) {
        for (; left > 0 && found->aside[i].count > 0; left--) {
            struct queue_entry *entry = entry_at(heap_first(&found->aside[i]));
            bool is_last = found->count == 1;
            take_from_limit(queue, entry);
            entry->is_freed = true;
            make_ready(queue, entry);
            if (is_last)
                return;
        }
    }
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

void queue_free_each(struct queue *queue, size_t count)
{
    struct limit_names names = {0}; /* copied: freeing takes empty limits out of the tree */
    twalk_r(queue->limits, note_name, &names);
    for (size_t i = 0; i < names.count; i++) {
        queue_free_limit(queue, names.items[i], count);
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
