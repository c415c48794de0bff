#ifndef CORE_QUEUE_H
#define CORE_QUEUE_H
#include "base/heap.h"
#include "core/job.h"

/* The fair queue of one worker: class, then tenant, then offset. Classes are served in their order
 * (interactive before standard before batch), but every eighth turn begins at the lowest: a backlog of the
 * others that never ends shall not hold it up for ever. Tenants of a class come in turn, by the least served
 * share of their weight (stride), a tenant's jobs in the order of their arrival. Entries that need a limit
 * that is full are set aside and come back when it is freed or their poll is due. It bounds nothing: how much
 * a tenant may hold is for the caller to decide. Pure and intrusive: an entry is embedded in its flight; the
 * queue owns nothing but its tenants. */

enum { QUEUE_LOWEST_TURN = 8 };

struct queue;
struct queue_entry {
    struct heap_node node;       /* among its tenant's ready ones, or among those set aside by its limit */
    struct queue_tenant *tenant; /* NULL: not queued */
    struct queue_limit *aside;   /* NULL: ready, or held */
    const char *tenant_id;       /* borrowed, as long as it is queued */
    enum priority priority;
    int64_t weight;   /* > 0 */
    int64_t sequence; /* order of arrival, given by push; kept over being set aside */
    size_t bytes;
    bool is_freed; /* ready again after being set aside: its limit may have room */
    bool is_held;  /* only counted */
};

struct queue *queue_new(void) MUST_USE;
void queue_free(struct queue *queue); /* must be empty */

/* The entry's tenant_id, priority, weight and bytes are set by the caller. */
void queue_push(struct queue *queue, struct queue_entry *entry);
/* Returns: the next one, removed; NULL: none is ready. */
struct queue_entry *queue_pop(struct queue *queue) MUST_USE;
void queue_remove(struct queue *queue, struct queue_entry *entry); /* not queued: nothing */
/* Its turn is still to come, by a later push: until then it is counted with its tenant's, and not served. */
void queue_hold(struct queue *queue, struct queue_entry *entry);

/* The popped entry was denied by this limit: it and every ready entry are judged by their own denials; this
 * one waits. It keeps its place in the order. */
void queue_set_aside(struct queue *queue, struct queue_entry *entry, const char *limit);
/* Those set aside for this limit are ready again, at most `count` (SIZE_MAX: all): by class, in a class one
 * tenant after the other, of a tenant the oldest first. Whoever is denied again waits for the others'
 * turns. */
void queue_free_limit(struct queue *queue, const char *limit, size_t count);

/* The tenant's oldest that is set aside for this limit, in the first class where it has one, is ready again.
 * Returns: false when it has none. */
bool queue_free_tenant(struct queue *queue, const char *limit, const char *tenant_id);

/* Of every limit, and of each class that it keeps, one in `share` of the tenants, and one at least, is ready
 * again by its oldest: nothing waits for a hint alone, and after `share` polls every tenant has asked. */
void queue_poll(struct queue *queue, size_t share);

size_t queue_count(const struct queue *queue); /* ready, set aside and held */
size_t queue_ready_count(const struct queue *queue);
size_t queue_bytes(const struct queue *queue);
/* What of it is a tenant's. A long queue says little: whether it moves does. */
struct queue_share {
    size_t count, bytes; /* ready, set aside and held */
    uint64_t served;     /* popped and not set aside again, since it last had nothing here */
};
/* In the classes up to `lowest`: what is served before an entry of that class, or with it. */
struct queue_share queue_share_of(const struct queue *queue, const char *tenant_id, enum priority lowest);
size_t queue_aside_count(const struct queue *queue, const char *limit);

#endif
