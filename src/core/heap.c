/* A binary heap whose nodes know their places. */
#include "core/heap.h"

#include <assert.h>
#include <stdlib.h>

enum { SMALLEST = 4 };

static bool is_before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

static void put(struct heap *heap, struct heap_node *node, size_t place)
{
    heap->nodes[place] = node;
    node->place = place;
}

static void move_up(struct heap *heap, struct heap_node *node, size_t place)
{
    while (place > 0 && is_before(node, heap->nodes[(place - 1) / 2])) {
        put(heap, heap->nodes[(place - 1) / 2], place);
        place = (place - 1) / 2;
    }
    put(heap, node, place);
}

static void move_down(struct heap *heap, struct heap_node *node, size_t place)
{
    for (;;) {
        size_t child = 2 * place + 1;
        if (child + 1 < heap->count && is_before(heap->nodes[child + 1], heap->nodes[child]))
            child++;
        if (child >= heap->count || !is_before(heap->nodes[child], node))
            break;
        put(heap, heap->nodes[child], place);
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
    if (heap->count == heap->capacity) {
        heap->capacity = MAX(heap->capacity * 2, (size_t)SMALLEST);
        heap->nodes = base_realloc(heap->nodes, heap->capacity * sizeof(struct heap_node *));
    }
    heap->count++;
    move_up(heap, node, heap->count - 1);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    assert(node->place < heap->count && heap->nodes[node->place] == node);
    struct heap_node *last = heap->nodes[--heap->count];
    if (last == node)
        return;
    if (is_before(last, node))
        move_up(heap, last, node->place);
    else
        move_down(heap, last, node->place);
}

struct heap_node *heap_pop(struct heap *heap)
{
    struct heap_node *node = heap_first(heap);
    if (node)
        heap_remove(heap, node);
    return node;
}
