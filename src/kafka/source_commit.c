/* Commits: base and map of every partition that changed, one request in flight. */
#include "kafka/source_inside.h"

#include <string.h>

/* Below this no broker is configured; a refusal of so short a text has another reason. */
enum { TEXT_MIN = 64 };

bool source_has_dirty(const struct kafka_source *source)
{
    for (size_t i = 0; i < source->count; i++)
        if (partition_is_dirty(source->partitions[i]))
            return true;
    return false;
}

static void add(rd_kafka_topic_partition_list_t *list, struct partition *partition)
{
    struct buffer text = {0};
    rd_kafka_topic_partition_t *element =
        rd_kafka_topic_partition_list_add(list, partition->topic, partition->number);
    offset_map_encode(&partition->map, &text);
    element->offset = partition->map.base;
    element->metadata_size = text.length;
    element->metadata = buffer_take(&text); /* the list frees it */
    partition->change_sent = partition->change;
}

static void on_failure(struct kafka_source *source, rd_kafka_resp_err_t code, const char *topic,
                       int32_t number)
{
    source->commit_failures++;
    log_warn(&source->log, "kafka.commit_failed", LOG_TEXT("topic", topic), LOG_INT("partition", number),
             LOG_TEXT("code", rd_kafka_err2name(code)), LOG_TEXT("text", rd_kafka_err2str(code)));
}

void source_commit(struct kafka_source *source)
{
    if (source->is_committing || source->is_frozen || !source->handle || !source_has_dirty(source))
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)source->count);
    for (size_t i = 0; i < source->count; i++)
        if (partition_is_dirty(source->partitions[i]))
            add(list, source->partitions[i]);
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(source->handle->rk, list, source->queue, NULL, NULL);
    rd_kafka_topic_partition_list_destroy(list);
    source->finished = 0;
    source->is_committing = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (code)
        on_failure(source, code, NULL, -1);
}

static void on_element(struct kafka_source *source, const rd_kafka_topic_partition_t *element)
{
    struct partition *partition = source_find(source, element->topic, element->partition);
    if (element->err)
        on_failure(source, element->err, element->topic, element->partition);
    if (!partition)
        return;
    if (!element->err) {
        partition->change_kept = partition->change_sent;
        partition->base_kept = MAX(partition->base_kept, element->offset);
    } else if (element->err == RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE &&
               element->metadata_size > TEXT_MIN) {
        /* offset.metadata.max.bytes is set lower than usual: rest earlier from now on. */
        partition->text_max = MIN(partition->text_max, element->metadata_size * 3 / 4);
    }
}

void source_on_commit_event(struct kafka_source *source, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    bool has_elements = false;
    source->is_committing = false;
    for (int i = 0; list && i < list->cnt; i++) {
        has_elements = has_elements || list->elems[i].err;
        if (!code || list->elems[i].err)
            on_element(source, &list->elems[i]);
    }
    if (code && !has_elements)
        on_failure(source, code, NULL, -1);
    if (!code)
        source->commits++;
    source_on_committed(source);
}
