/* From the configuration to the cluster and its topics. */
#include "topic_list.h"

#include "core/retry.h"

#include <regex.h>
#include <string.h>

/* A handful of workers read control messages and few people the DLQ: order matters there, not speed. */
enum { FEW_PARTITIONS = 3 };

struct kafka_cluster cluster_of(const struct config *config, struct arena *arena)
{
    const struct pair_list *pairs = &config->kafka_properties;
    struct kafka_property *properties = ARENA_ARRAY(arena, struct kafka_property, pairs->count + 1);
    for (size_t i = 0; i < pairs->count; i++)
        properties[i] = (struct kafka_property){pairs->items[i].name, pairs->items[i].value};
    return (struct kafka_cluster){config->kafka_bootstrap_servers, properties, pairs->count};
}

static void add(struct topic_list *list, const struct kafka_topic *topic, struct arena *arena)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, topic->name) == 0)
            return;
    struct kafka_topic *items = ARENA_ARRAY(arena, struct kafka_topic, list->count + 1);
    if (list->count > 0)
        memcpy(items, list->items, sizeof *items * list->count);
    items[list->count++] = *topic;
    list->items = items;
}

static void append(struct text_list *list, const char *text, struct arena *arena)
{
    const char **items = ARENA_ARRAY(arena, const char *, list->count + 1);
    if (list->count > 0)
        memcpy(items, list->items, sizeof *items * list->count);
    items[list->count++] = text;
    list->items = items;
}

static struct kafka_topic topic_of(const char *name, const struct topic_shape *shape, int64_t partitions)
{
    return (struct kafka_topic){.name = name,
                                .partitions = (int32_t)partitions,
                                .replication = (int16_t)shape->replication,
                                .retention_ms = shape->retention_ms};
}

void topic_list_add(struct topic_list *list, const char *name, const struct topic_shape *shape,
                    struct arena *arena)
{
    struct kafka_topic topic = topic_of(name, shape, shape->partitions);
    add(list, &topic, arena);
}

static struct text_list all_task_types(const struct catalog *catalog, struct arena *arena)
{
    struct text_list all = {0};
    for (size_t i = 0; i < catalog->count; i++)
        for (size_t k = 0; k < catalog->entries[i].task_types.count; k++)
            append(&all, catalog->entries[i].task_types.items[k], arena);
    return all;
}

bool topic_matches(const char *item, const char *name)
{
    regex_t regex;
    if (item[0] != '^')
        return strcmp(item, name) == 0;
    if (regcomp(&regex, item, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool is_match = regexec(&regex, name, 0, NULL, 0) == 0;
    regfree(&regex);
    return is_match;
}

static void add_matching(struct topic_list *list, const char *pattern, const struct config *config,
                         const struct topic_shape *shape, struct arena *arena)
{
    struct text_list types =
        shape->task_types.count > 0 ? shape->task_types : all_task_types(&config->catalog, arena);
    size_t matched = 0;
    for (size_t i = 0; i < types.count; i++) {
        const char *name = arena_printf(arena, "%s%s", config->topics.jobs_prefix, types.items[i]);
        if (!topic_matches(pattern, name))
            continue;
        topic_list_add(list, name, shape, arena);
        matched++;
    }
    if (matched == 0)
        append(&list->unmatched, pattern, arena);
}

struct topic_list topic_list_of(const struct config *config, const struct topic_shape *shape,
                                struct arena *arena)
{
    struct topic_list list = {0};
    const struct config_topics *topics = &config->topics;
    for (size_t i = 0; i < topics->jobs.count; i++) {
        if (topics->jobs.items[i][0] == '^')
            add_matching(&list, topics->jobs.items[i], config, shape, arena);
        else
            topic_list_add(&list, topics->jobs.items[i], shape, arena);
    }
    for (size_t i = 0; i < RETRY_TIER_COUNT; i++)
        topic_list_add(&list, arena_printf(arena, "%s%s", topics->retry, retry_tiers[i].name), shape, arena);
    topic_list_add(&list, topics->results, shape, arena);
    const char *const small[] = {topics->stats, topics->control, topics->dlq};
    for (size_t i = 0; i < ARRAY_LENGTH(small); i++) {
        if (!small[i] || small[i][0] == '\0')
            continue;
        struct kafka_topic topic = topic_of(small[i], shape, MIN(shape->partitions, FEW_PARTITIONS));
        add(&list, &topic, arena);
    }
    return list;
}

struct text_list split_list(const char *text, struct arena *arena)
{
    struct text_list list = {0};
    char *rest = arena_strdup(arena, text);
    for (char *item; (item = strsep(&rest, ","));)
        if (item[0] != '\0')
            append(&list, item, arena);
    return list;
}
