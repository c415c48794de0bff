/* A queue that is sent through a window. */
#include "redis/background.h"

#include "base/list.h"

#include <stdlib.h>

enum {
    WINDOW = 512
}; /* operations sent at once: after an outage the backlog must not stand before everybody's acquire */

struct background {
    struct connection *connection; /* borrowed */
    const struct log *log;         /* borrowed */
    void (*on_empty)(void *arg);
    void *arg;
    struct link entries;      /* in front those that are under way */
    size_t count, sent_count; /* operations */
    bool is_open;
};

struct entry {
    struct link link;
    struct background *background;
    const char *what;
    struct bytes command;
    size_t operations;
    bool is_sent;
};

struct background *background_new(struct connection *connection, const struct log *log,
                                  void (*on_empty)(void *arg), void *arg)
{
    struct background *background = base_alloc(sizeof *background);
    *background = (struct background){.connection = connection, .log = log, .on_empty = on_empty, .arg = arg};
    list_init(&background->entries);
    return background;
}

static void entry_free(struct entry *entry)
{
    link_remove(&entry->link);
    entry->background->count -= entry->operations;
    free((void *)entry->command.data);
    free(entry);
}

void background_free(struct background *background)
{
    if (!background)
        return;
    LIST_EACH(&background->entries, link)
    entry_free(LIST_OBJECT(link, struct entry, link));
    free(background);
}

static void pump(struct background *background);

static void on_answer(void *arg, const struct error *error, const struct redisReply *reply)
{
    (void)reply;
    struct entry *entry = arg;
    struct background *background = entry->background;
    entry->is_sent = false;
    background->sent_count -= entry->operations;
    if (error && error->kind == ERROR_TRANSIENT) {
        background->is_open = false; /* the connection is going: the others come back the same way */
        return;
    }
    if (error)
        log_error(background->log, "ledger.background_failed", LOG_TEXT("what", entry->what),
                  LOG_INT("operations", (int64_t)entry->operations), LOG_TEXT("error", error->text));
    entry_free(entry);
    if (background->count == 0)
        background->on_empty(background->arg);
    else if (background->sent_count <= WINDOW / 2) /* not for every answer: pump walks over what is sent */
        pump(background);
}

static void pump(struct background *background)
{
    LIST_EACH(&background->entries, link)
    {
        if (!background->is_open || background->sent_count >= WINDOW)
            return;
        struct entry *entry = LIST_OBJECT(link, struct entry, link);
        if (entry->is_sent)
            continue;
        if (!connection_send(background->connection, entry->command, on_answer, entry))
            return;
        entry->is_sent = true;
        background->sent_count += entry->operations;
    }
}

void background_add(struct background *background, const char *what, struct bytes command, size_t operations)
{
    if (background->count >= BACKGROUND_LIMIT) {
        log_error(background->log, "ledger.background_full", LOG_TEXT("lost", what),
                  LOG_INT("operations", (int64_t)operations), LOG_INT("limit", BACKGROUND_LIMIT));
        free((void *)command.data);
        return;
    }
    struct entry *entry = base_alloc(sizeof *entry);
    *entry =
        (struct entry){.background = background, .what = what, .command = command, .operations = operations};
    bool is_next = background->count == background->sent_count;
    list_push_back(&background->entries, &entry->link);
    background->count += operations;
    if (is_next && background->is_open && background->sent_count < WINDOW &&
        connection_send(background->connection, entry->command, on_answer, entry)) {
        entry->is_sent = true;
        background->sent_count += operations;
    }
}

void background_open(struct background *background)
{
    background->is_open = true;
    pump(background);
}

void background_shut(struct background *background)
{
    background->is_open = false;
}

size_t background_count(const struct background *background)
{
    return background->count;
}
