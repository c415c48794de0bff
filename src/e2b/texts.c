/* Few are looked at, and few are kept: those that came more than once. */
#include "e2b/texts.h"

#include "base/buffer.h"
#include "base/quoted.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT = 4 }; /* without users; and so many are compared */

void texts_init(struct texts *texts)
{
    list_init(&texts->items);
    texts->count = 0;
}

static void drop(struct texts *texts, struct shared_text *shared)
{
    link_remove(&shared->link);
    texts->count--;
    free(shared->text);
    free((char *)shared->json.data);
    free(shared);
}

void texts_release(struct texts *texts)
{
    LIST_EACH(&texts->items, link)
    {
        struct shared_text *shared = LIST_OBJECT(link, struct shared_text, link);
        assert(shared->users == 0);
        drop(texts, shared);
    }
}

static struct shared_text *find(struct texts *texts, const char *text, size_t length)
{
    int looks = 0;
    LIST_EACH(&texts->items, link)
    {
        struct shared_text *shared = LIST_OBJECT(link, struct shared_text, link);
        if (looks++ == KEPT)
            break;
        if (shared->length == length && memcmp(shared->text, text, length) == 0)
            return shared;
    }
    return NULL;
}

static struct shared_text *add(struct texts *texts, const char *text, size_t length)
{
    struct shared_text *shared = base_alloc(sizeof *shared);
    struct buffer json = {0};
    quoted_append_text(&json, text);
    shared->length = length;
    shared->text = base_strndup(text, length);
    shared->json = buffer_bytes(&json);
    list_push_front(&texts->items, &shared->link);
    texts->count++;
    return shared;
}

/* The one that has had no user for longest. */
static void drop_oldest(struct texts *texts)
{
    struct link *link = texts->items.previous;
    for (int looks = 0; looks < KEPT; looks++, link = link->previous) {
        struct shared_text *shared = LIST_OBJECT(link, struct shared_text, link);
        if (shared->users > 0)
            continue;
        drop(texts, shared);
        return;
    }
}

struct shared_text *texts_use(struct texts *texts, const char *text, size_t length)
{
    struct shared_text *shared = find(texts, text, length);
    if (!shared) {
        if (texts->count >= KEPT)
            drop_oldest(texts);
        shared = add(texts, text, length);
    } else if (texts->items.next != &shared->link) {
        link_remove(&shared->link);
        list_push_front(&texts->items, &shared->link);
    }
    shared->users++;
    shared->uses++;
    return shared;
}

void texts_let_go(struct texts *texts, struct shared_text *shared)
{
    assert(shared->users > 0);
    if (--shared->users == 0 && (texts->count > KEPT || shared->uses == 1))
        drop(texts, shared);
}
