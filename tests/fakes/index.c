/* A chained hash table. */
#include "fakes/index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 16 };

static uint64_t hash_of(const char *key)
{
    uint64_t hash = 14695981039346656037u;
    for (const unsigned char *p = (const unsigned char *)key; *p; p++)
        hash = (hash ^ *p) * 1099511628211u;
    return hash ^ hash >> 29;
}

static struct index_node **bucket_of(const struct index *index, uint64_t hash)
{
    return &index->buckets[hash & (index->capacity - 1)];
}

static void grow(struct index *index)
{
    struct index_node **old = index->buckets;
    size_t old_capacity = index->capacity;
    index->capacity = MAX(old_capacity * 2, (size_t)SMALLEST);
    index->buckets = base_alloc(index->capacity * sizeof *index->buckets);
    for (size_t i = 0; i < old_capacity; i++) {
        struct index_node *reversed = NULL;
        for (struct index_node *node = old[i], *next; node; node = next) {
            next = node->next;
            node->next = reversed;
            reversed = node;
        }
        for (struct index_node *node = reversed, *next; node; node = next) {
            next = node->next;
            struct index_node **bucket = bucket_of(index, node->hash);
            node->next = *bucket;
            *bucket = node;
        }
    }
    free(old);
}

void index_release(struct index *index)
{
    assert(index->count == 0);
    free(index->buckets);
    *index = (struct index){0};
}

void index_put(struct index *index, struct index_node *node, const char *key)
{
    if (index->count >= index->capacity)
        grow(index);
    node->key = key;
    node->hash = hash_of(key);
    struct index_node **bucket = bucket_of(index, node->hash);
    node->next = *bucket;
    *bucket = node;
    index->count++;
}

void index_remove(struct index *index, struct index_node *node)
{
    struct index_node **place = bucket_of(index, node->hash);
    while (*place != node)
        place = &(*place)->next;
    *place = node->next;
    index->count--;
}

struct index_node *index_find(const struct index *index, const char *key)
{
    if (index->count == 0)
        return NULL;
    uint64_t hash = hash_of(key);
    for (struct index_node *node = *bucket_of(index, hash); node; node = node->next)
        if (node->hash == hash && strcmp(node->key, key) == 0)
            return node;
    return NULL;
}
