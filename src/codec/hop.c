/* The headers of a record that waits in a retry topic. */
#include "codec/hop.h"

#include "core/job.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HOPS_MAX = 1000000, NUMBER_DIGITS_MAX = 15 };

enum name { NUMBER, NOT_BEFORE, WAKE, FIRST_SEEN, JOB_ID, ORIGIN, TOPIC };
static const char *const names[HOP_HEADERS_MAX] = {"x-hop",    "x-not-before", "x-wake-at", "x-first-seen",
                                                   "x-job-id", "x-origin",     "x-topic"};

static bool is_ours(const char *name)
{
    for (size_t i = 0; i < HOP_HEADERS_MAX; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

/* The last of a name wins, as Kafka's own clients have it. Returns: whether it is there and fits. */
static bool find_text(const struct header *headers, size_t count, enum name name, char *text, size_t size)
{
    size_t i = count;
    while (i > 0 && strcasecmp(headers[i - 1].name, names[name]) != 0)
        i--;
    if (i == 0)
        return false;
    struct bytes value = headers[i - 1].value;
    if (value.length == 0 || value.length >= size || memchr(value.data, '\0', value.length))
        return false;
    memcpy(text, value.data, value.length);
    text[value.length] = '\0';
    return true;
}

/* Returns: -1 when it is not there, or no number. */
static int64_t find_number(const struct header *headers, size_t count, enum name name)
{
    char text[NUMBER_DIGITS_MAX + 1];
    if (!find_text(headers, count, name, text, sizeof text) || strspn(text, "0123456789") != strlen(text))
        return -1;
    return strtoll(text, NULL, 10);
}

/* What Kafka allows as one. */
static bool is_topic(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    return strspn(text, letters) == strlen(text);
}

void hop_read(const struct header *headers, size_t count, struct hop *ret)
{
    *ret = (struct hop){
        .number = MIN(MAX(find_number(headers, count, NUMBER), 0), HOPS_MAX),
        .not_before_unix_ms = find_number(headers, count, NOT_BEFORE),
        .wake_unix_ms = find_number(headers, count, WAKE),
        .first_seen_unix_ms = find_number(headers, count, FIRST_SEEN),
    };
    if (!find_text(headers, count, JOB_ID, ret->job_id, sizeof ret->job_id) || !job_is_name(ret->job_id))
        ret->job_id[0] = '\0';
    if (!find_text(headers, count, ORIGIN, ret->origin, sizeof ret->origin) ||
        strspn(ret->origin, "0123456789abcdef") != HOP_ORIGIN_SIZE - 1)
        ret->origin[0] = '\0';
    if (!find_text(headers, count, TOPIC, ret->topic, sizeof ret->topic) || !is_topic(ret->topic))
        ret->topic[0] = '\0';
}

struct list {
    struct header *items;
    size_t count;
    struct arena *arena;
};

static void add_text(struct list *list, enum name name, const char *text)
{
    if (text[0] != '\0')
        list->items[list->count++] =
            (struct header){names[name], {arena_strdup(list->arena, text), strlen(text)}};
}

static void add_number(struct list *list, enum name name, int64_t number)
{
    if (number >= 0)
        add_text(list, name, arena_printf(list->arena, "%lld", (long long)number));
}

size_t hop_write(const struct hop *hop, const struct header *headers, size_t count, struct arena *arena,
                 struct header **ret)
{
    struct list list = {.items = ARENA_ARRAY(arena, struct header, count + HOP_HEADERS_MAX), .arena = arena};
    for (size_t i = 0; i < count; i++)
        if (!is_ours(headers[i].name))
            list.items[list.count++] = headers[i];
    add_number(&list, NUMBER, hop->number);
    add_number(&list, NOT_BEFORE, hop->not_before_unix_ms);
    add_number(&list, WAKE, hop->wake_unix_ms);
    add_number(&list, FIRST_SEEN, hop->first_seen_unix_ms);
    add_text(&list, JOB_ID, hop->job_id);
    add_text(&list, ORIGIN, hop->origin);
    add_text(&list, TOPIC, hop->topic);
    *ret = list.items;
    return list.count;
}
