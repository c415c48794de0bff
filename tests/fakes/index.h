#ifndef TESTS_FAKES_INDEX_H
#define TESTS_FAKES_INDEX_H
#include "base/base.h"

/* Finds objects by a text of theirs: a hash table of nodes that are embedded in what they find. Zero is an
 * empty index; it owns its buckets, never the nodes. Whoever must walk in an order keeps a list besides. */

struct index_node {
    struct index_node *next;
    const char *key; /* borrowed while the node is in an index */
    uint64_t hash;
};

struct index {
    struct index_node **buckets;
    size_t count, capacity;
};

void index_release(struct index *index);

void index_put(struct index *index, struct index_node *node, const char *key);
void index_remove(struct index *index, struct index_node *node); /* must be in it */
/* Returns: the one that was put last of those with the key; NULL: none. */
struct index_node *index_find(const struct index *index, const char *key);

#define INDEX_OBJECT(node, type, member) CONTAINER_OF(node, type, member)

#endif
