#ifndef BASE_HEAP_H
#define BASE_HEAP_H
#include "base/base.h"

/* A binary heap of nodes that are embedded in what they order, so that any of them can be taken out. Smallest
 * key first, of equal keys the smallest tie. Zero is an empty heap; it owns its array, never the nodes. */

struct heap_node {
    uint64_t key, tie; /* set before the push, not changed while on a heap */
    size_t place;      /* the heap's: 1-based, 0 while on none */
};

struct heap {
    struct heap_node **nodes;
    size_t count, capacity;
};

void heap_release(struct heap *heap); /* must be empty */

void heap_push(struct heap *heap, struct heap_node *node);   /* must be on none */
struct heap_node *heap_pop(struct heap *heap) MUST_USE;      /* NULL: empty */
void heap_remove(struct heap *heap, struct heap_node *node); /* must be on this heap */

static inline struct heap_node *heap_first(const struct heap *heap) /* NULL: empty */
{
    return heap->count > 0 ? heap->nodes[0] : NULL;
}

#endif
