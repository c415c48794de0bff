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

void source_add_offset(rd_kafka_topic_partition_list_t *list, struct partition *partition,
                       const struct offset_map *map)
{
    struct buffer text = {0};
    rd_kafka_topic_partition_t *element =
        rd_kafka_topic_partition_list_add(list, partition->topic, partition->number);
    offset_map_encode(map, &text);
    element->offset = map->base;
    element->metadata_size = text.length;
    element->metadata = buffer_take(&text); /* the list frees it */
    partition->change_sent = partition->change;
}

/* The next try is the tick's. */
static void on_failure(struct kafka_source *source, rd_kafka_resp_err_t code, int partitions)
{
    source->commit_failures++;
    source->is_commit_resting = true;
    log_warn(&source->log, "kafka.commit_failed", LOG_INT("partitions", partitions),
             LOG_TEXT("code", rd_kafka_err2name(code)), LOG_TEXT("text", rd_kafka_err2str(code)));
}

void source_commit(struct kafka_source *source)
{
    if (source->transactor) {
        if (source_has_dirty(source))
            transactor_flush(source->transactor);
        source->finished = 0;
        return;
    }
    if (source->is_committing || source->is_frozen || source->is_commit_resting || !source->handle ||
        !source_has_dirty(source))
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)source->count);
    for (size_t i = 0; i < source->count; i++)
        if (partition_is_dirty(source->partitions[i]))
            source_add_offset(list, source->partitions[i], &source->partitions[i]->map);
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(source->handle->rk, list, source->queue, NULL, NULL);
    source->finished = 0;
    source->is_committing = code == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (code)
        on_failure(source, code, list->cnt);
    rd_kafka_topic_partition_list_destroy(list);
}

/* offset.metadata.max.bytes is set lower than usual: rest earlier from now on. */
void source_shorten(struct partition *partition, size_t refused_length)
{
    if (refused_length > TEXT_MIN)
        partition->text_max = MIN(partition->text_max, refused_length * 3 / 4);
}

static void on_element(struct kafka_source *source, const rd_kafka_topic_partition_t *element)
{
    struct partition *partition = source_find(source, element->topic, element->partition);
    if (!partition)
        return;
    if (!element->err) {
        partition->change_kept = partition->change_sent;
        partition->base_kept = MAX(partition->base_kept, element->offset);
    } else if (element->err == RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE) {
        source_shorten(partition, element->metadata_size);
    }
}

void source_on_commit_event(struct kafka_source *source, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    int failed = 0;
    source->is_committing = false;
    for (int i = 0; list && i < list->cnt; i++) {
        rd_kafka_resp_err_t own = list->elems[i].err;
        failed += own || code;
        code = code ? code : own;
        if (own || !rd_kafka_event_error(event))
            on_element(source, &list->elems[i]);
    }
    if (code)
        on_failure(source, code, failed);
    else
        source->commits++;
    source_on_committed(source);
}
