/* A set of texts on tsearch(3). */
#include "redis/permits.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

void permits_add(struct permits *permits, const char *permit)
{
    char *copy = base_strdup(permit);
    char **node = tsearch(copy, &permits->root, compare);
    if (!node)
        base_die("out of memory for the set of permits");
    if (*node == copy)
        permits->count++;
    else
        free(copy);
}

bool permits_remove(struct permits *permits, const char *permit)
{
    char **node = tfind(permit, &permits->root, compare);
    if (!node)
        return false;
    char *text = *node;
    (void)tdelete(permit, &permits->root, compare);
    free(text);
    permits->count--;
    return true;
}

bool permits_has(const struct permits *permits, const char *permit)
{
    return tfind(permit, &permits->root, compare) != NULL;
}

void permits_release(struct permits *permits)
{
    tdestroy(permits->root, free);
    *permits = (struct permits){0};
}

struct walk {
    void (*fn)(void *arg, const char *permit);
    void *arg;
};

static void visit(const void *node, VISIT order, void *arg)
{
    const struct walk *walk = arg;
    if (order == postorder || order == leaf)
        walk->fn(walk->arg, *(char *const *)node);
}

void permits_each(const struct permits *permits, void (*fn)(void *arg, const char *permit), void *arg)
{
    struct walk walk = {.fn = fn, .arg = arg};
    twalk_r(permits->root, visit, &walk);
}
