/* A binary heap whose nodes know their places. */
#include "base/heap.h"

#include <assert.h>
#include <stdlib.h>

enum { SMALLEST = 4 };

static bool is_before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

/* nodes[] is 0-based, places are 1-based: the parent of place p is p / 2. */
static struct heap_node *at(const struct heap *heap, size_t place)
{
    return heap->nodes[place - 1];
}

static void put(struct heap *heap, struct heap_node *node, size_t place)
{
    heap->nodes[place - 1] = node;
    node->place = place;
}

static void move_up(struct heap *heap, struct heap_node *node, size_t place)
{
    for (; place > 1 && is_before(node, at(heap, place / 2)); place /= 2)
        put(heap, at(heap, place / 2), place);
    put(heap, node, place);
}

static void move_down(struct heap *heap, struct heap_node *node, size_t place)
{
    for (;;) {
        size_t child = 2 * place;
        if (child < heap->count && is_before(at(heap, child + 1), at(heap, child)))
            child++;
        if (child > heap->count || !is_before(at(heap, child), node))
            break;
        put(heap, at(heap, child), place);
        place = child;
    }
    put(heap, node, place);
}

void heap_release(struct heap *heap)
{
    assert(heap->count == 0);
    free(heap->nodes);
    *heap = (struct heap){0};
}

void heap_push(struct heap *heap, struct heap_node *node)
{
    assert(node->place == 0);
    if (heap->count == heap->capacity) {
        heap->capacity = MAX(heap->capacity * 2, (size_t)SMALLEST);
        heap->nodes = base_realloc(heap->nodes, heap->capacity * sizeof(struct heap_node *));
    }
    move_up(heap, node, ++heap->count);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    size_t place = node->place;
    assert(place > 0 && place <= heap->count && at(heap, place) == node);
    struct heap_node *last = at(heap, heap->count--);
    node->place = 0;
    if (last == node)
        return;
    if (is_before(last, node))
        move_up(heap, last, place);
    else
        move_down(heap, last, place);
}

struct heap_node *heap_pop(struct heap *heap)
{
    struct heap_node *node = heap_first(heap);
    if (node)
        heap_remove(heap, node);
    return node;
}
