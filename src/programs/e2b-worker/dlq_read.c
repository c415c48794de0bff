/* Records of the dead-letter topic, collected. */
#include "dlq_read.h"

#include "base/clock.h"
#include "kafka/reader.h"
#include "loop/on_uv.h"
#include "topic_list.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct loop *loop;
    const struct config *config;
    const struct dlq_wish *wish;
    struct dlq_list *list;
    struct log log;
    struct arena arena; /* of the call */
    struct kafka_reader *reader;
    struct signal_watch *interrupt, *terminate;
    struct timer deadline, connecting;
    size_t capacity, bytes;
    char why[500];
    bool is_closing;
    int status;
};

/* ---- the list ---- */

static void entry_free(struct dlq_entry *entry)
{
    if (!entry)
        return;
    arena_release(&entry->arena);
    free(entry);
}

void dlq_list_release(struct dlq_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        entry_free(list->items[i]);
    free(list->items);
    *list = (struct dlq_list){0};
}

static int by_age(const void *one, const void *other)
{
    const struct dlq_record *a = &(*(struct dlq_entry *const *)one)->record,
                            *b = &(*(struct dlq_entry *const *)other)->record;
    if (a->unix_ms != b->unix_ms)
        return a->unix_ms < b->unix_ms ? -1 : 1;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* Sorts, and keeps the newest that are wanted. */
static void tidy(struct reading *reading)
{
    struct dlq_list *list = reading->list;
    size_t excess = list->count > reading->wish->max_count ? list->count - reading->wish->max_count : 0;
    if (list->count > 0)
        qsort(list->items, list->count, sizeof(struct dlq_entry *), by_age);
    for (size_t i = 0; i < excess; i++) {
        reading->bytes -= list->items[i]->arena.bytes;
        entry_free(list->items[i]);
    }
    if (excess > 0)
        memmove(list->items, list->items + excess, (list->count - excess) * sizeof(struct dlq_entry *));
    list->count -= excess;
}

static void keep(struct reading *reading, struct dlq_entry *entry)
{
    struct dlq_list *list = reading->list;
    if (list->count == reading->capacity) {
        reading->capacity = MAX(reading->capacity * 2, (size_t)64);
        list->items = base_realloc(list->items, reading->capacity * sizeof(struct dlq_entry *));
    }
    list->items[list->count++] = entry;
    list->matched++;
    reading->bytes += entry->arena.bytes;
    if (list->count / 2 >= reading->wish->max_count)
        tidy(reading);
}

/* ---- the end ---- */

static void on_closed(void *arg)
{
    struct reading *reading = arg;
    signal_watch_close(reading->interrupt);
    signal_watch_close(reading->terminate);
    loop_stop(reading->loop);
}

static void finish(struct reading *reading, int status)
{
    if (reading->is_closing)
        return;
    reading->is_closing = true;
    reading->status = status;
    loop_timer_stop(reading->loop, &reading->deadline);
    loop_timer_stop(reading->loop, &reading->connecting);
    kafka_reader_close(TAKE(reading->reader), on_closed, reading);
}

static void on_signal(void *arg)
{
    finish(arg, EXIT_INTERRUPTED);
}

static void on_unreachable(void *arg)
{
    struct reading *reading = arg;
    fprintf(stderr, "e2b-worker dlq: %s at %s cannot be read: %s\n", reading->config->topics.dlq,
            reading->config->kafka_bootstrap_servers,
            reading->why[0] ? reading->why
                            : "it does not answer; check KAFKA_BOOTSTRAP_SERVERS and the network");
    finish(reading, EXIT_UNAVAILABLE);
}

static void on_deadline(void *arg)
{
    struct reading *reading = arg;
    fprintf(stderr, "e2b-worker dlq: %s at %s was not read to its end within %lld s (--timeout)%s%s\n",
            reading->config->topics.dlq, reading->config->kafka_bootstrap_servers,
            (long long)reading->wish->timeout_ms / 1000, reading->why[0] ? ": " : "", reading->why);
    finish(reading, EXIT_TIMED_OUT);
}

static void on_caught_up(void *arg)
{
    finish(arg, EXIT_OK);
}

static void on_state(void *arg, bool is_usable, const char *why)
{
    struct reading *reading = arg;
    base_copy_text(reading->why, sizeof reading->why, is_usable ? "" : why);
    if (is_usable)
        loop_timer_stop(reading->loop, &reading->connecting);
}

/* ---- records ---- */

static struct bytes copied(struct bytes bytes, struct arena *arena)
{
    return bytes.length > 0 ? (struct bytes){arena_copy(arena, bytes.data, bytes.length), bytes.length}
                            : (struct bytes){0};
}

static struct dlq_entry *entry_new(const struct kafka_message *message, bool without_value)
{
    struct dlq_entry *entry = base_alloc(sizeof *entry);
    struct arena *arena = &entry->arena;
    struct header *headers = ARENA_ARRAY(arena, struct header, message->header_count + 1);
    for (size_t i = 0; i < message->header_count; i++)
        headers[i] = (struct header){arena_strdup(arena, message->headers[i].name),
                                     copied(message->headers[i].value, arena)};
    dlq_record_read(headers, message->header_count, copied(message->key, arena), message->value, arena,
                    &entry->record);
    entry->record.unix_ms = message->timestamp_unix_ms;
    entry->record.partition = message->partition;
    entry->record.offset = message->offset;
    entry->value_bytes = message->value.length;
    entry->record.value = without_value ? (struct bytes){0} : copied(message->value, arena);
    return entry;
}

static void on_message(void *arg, const struct kafka_message *message)
{
    struct reading *reading = arg;
    if (reading->is_closing)
        return;
    struct dlq_entry *entry = entry_new(message, reading->wish->without_value);
    if (!dlq_selection_has(&reading->wish->selection, &entry->record)) {
        entry_free(entry);
        return;
    }
    keep(reading, entry);
    if (reading->bytes <= DLQ_BYTES_MAX)
        return;
    reading->list->is_over_budget = true;
    finish(reading, EXIT_OK);
}

static void begin(struct reading *reading)
{
    struct error error;
    const struct dlq_wish *wish = reading->wish;
    const struct kafka_reader_options options = {
        .loop = reading->loop,
        .log = &reading->log,
        .cluster = cluster_of(reading->config, &reading->arena),
        .client_id = "e2b-worker-dlq",
        .topic = reading->config->topics.dlq,
        .from_unix_ms = wish->since_ms < 0 ? 0 : MAX(clock_unix_ms() - wish->since_ms, 0),
        .events = {
            .arg = reading, .on_message = on_message, .on_caught_up = on_caught_up, .on_state = on_state}};
    reading->interrupt = loop_signal_new(reading->loop, SIGINT, on_signal, reading);
    reading->terminate = loop_signal_new(reading->loop, SIGTERM, on_signal, reading);
    loop_timer_start(reading->loop, &reading->connecting, wish->connect_timeout_ms, on_unreachable, reading);
    loop_timer_start(reading->loop, &reading->deadline, wish->timeout_ms, on_deadline, reading);
    reading->reader = kafka_reader_new(&options, &error);
    if (reading->reader)
        return;
    fprintf(stderr, "e2b-worker dlq: %s\n", error.text);
    finish(reading, EXIT_CONFIG);
}

int dlq_read(const struct config *config, const struct dlq_wish *wish, struct dlq_list *ret)
{
    *ret = (struct dlq_list){0};
    struct reading reading = {.loop = loop_new(),
                              .config = config,
                              .wish = wish,
                              .list = ret,
                              .log = {.level = LOG_LEVEL_ERROR, .component = "dlq"}};
    begin(&reading);
    loop_run(reading.loop);
    loop_free(reading.loop, NULL, NULL);
    arena_release(&reading.arena);
    tidy(&reading);
    return reading.status;
}
