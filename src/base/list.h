#ifndef BASE_LIST_H
#define BASE_LIST_H
#include "base/base.h"

/* An intrusive, circular, doubly linked list. The member is a link inside the object; the head is a link too.
 * A zeroed link is on no list; removing it does nothing. Owns nothing. */

struct link {
    struct link *next, *previous;
};

static inline void list_init(struct link *head)
{
    head->next = head->previous = head;
}

static inline bool list_is_empty(const struct link *head)
{
    return head->next == head;
}

static inline bool link_is_on_list(const struct link *link)
{
    return link->next != NULL;
}

static inline void list_insert_before(struct link *place, struct link *link)
{
    link->next = place;
    link->previous = place->previous;
    place->previous->next = link;
    place->previous = link;
}

static inline void list_push_back(struct link *head, struct link *link)
{
    list_insert_before(head, link);
}

static inline void list_push_front(struct link *head, struct link *link)
{
    list_insert_before(head->next, link);
}

static inline void link_remove(struct link *link)
{
    if (!link->next)
        return;
    link->next->previous = link->previous;
    link->previous->next = link->next;
    link->next = link->previous = NULL;
}

/* Returns: the first link, removed; NULL when the list is empty. */
static inline struct link *list_pop_front(struct link *head)
{
    struct link *link = head->next;
    if (link == head)
        return NULL;
    head->next = link->next; /* and not by link_remove: so an analyser sees that the head lets go of it */
    link->next->previous = head;
    link->next = link->previous = NULL;
    return link;
}

#define LIST_OBJECT(link, type, member) CONTAINER_OF(link, type, member)

/* The current link may be removed in the body. */
#define LIST_EACH(head, link)                                                                                \
    for (struct link *link = (head)->next, *link##_next = link->next; link != (head);                        \
         link = link##_next, link##_next = link->next)

#endif
