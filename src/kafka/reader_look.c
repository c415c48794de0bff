/* Where a reader begins: questions to the cluster that block, in a thread job. */
#include "kafka/reader_look.h"

#include "kafka/reader.h"

#include <stdlib.h>

enum {
    ANSWER_MS = 5000,
    /* Where the cluster names no record of that time or later, so many are read and looked at nevertheless:
     * librdkafka's mock cluster never names one. */
    UNNAMED_MAX = 20000,
};

/* Returns: the topic's partitions, -1 when it is not usable (look->error). */
static int32_t count_partitions(struct look *look)
{
    const struct rd_kafka_metadata *metadata = NULL;
    int32_t count = -1;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(look->handle->rk, look->topic, NULL);
    look->error =
        topic ? rd_kafka_metadata(look->handle->rk, 0, topic, &metadata, ANSWER_MS) : rd_kafka_last_error();
    if (metadata && metadata->topic_cnt == 1) {
        look->error = metadata->topics[0].err;
        count = look->error ? -1 : metadata->topics[0].partition_cnt;
    }
    if (metadata)
        rd_kafka_metadata_destroy(metadata);
    if (topic)
        rd_kafka_topic_destroy(topic);
    return count;
}

static void read_ends(struct look *look)
{
    for (size_t i = 0; i < look->found_count && !look->error && !look->is_cancelled; i++) {
        struct look_partition *partition = &look->found[i];
        int64_t low = 0;
        look->error = rd_kafka_query_watermark_offsets(look->handle->rk, look->topic, partition->number, &low,
                                                       &partition->end, ANSWER_MS);
        partition->next = look->from_unix_ms == KAFKA_READER_FROM_END ? partition->end : low;
    }
}

/* Asked after the ends: where no record is named, what came since the end was read counts. */
static void read_times(struct look *look)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)look->found_count);
    for (size_t i = 0; i < look->found_count; i++)
        rd_kafka_topic_partition_list_add(list, look->topic, look->found[i].number)->offset =
            look->from_unix_ms;
    look->error = rd_kafka_offsets_for_times(look->handle->rk, list, ANSWER_MS);
    for (int i = 0; i < list->cnt && !look->error; i++) {
        struct look_partition *partition = &look->found[i];
        look->error = list->elems[i].err;
        if (list->elems[i].offset >= 0)
            partition->next = list->elems[i].offset;
        else
            partition->next = MAX(partition->next, partition->end - UNNAMED_MAX);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void on_thread(void *arg)
{
    struct look *look = arg;
    look->error = handle_reach(look->handle, &look->is_cancelled);
    int32_t count = look->error || look->is_cancelled ? -1 : count_partitions(look);
    if (count <= look->known)
        return;
    look->found_count = (size_t)(count - look->known);
    look->found = base_alloc(sizeof *look->found * look->found_count);
    for (size_t i = 0; i < look->found_count; i++)
        look->found[i].number = look->known + (int32_t)i;
    read_ends(look);
    if (!look->error && !look->is_cancelled && look->from_unix_ms > 0)
        read_times(look);
}

static void on_done(void *arg)
{
    struct look *look = arg;
    if (look->done)
        look->done(look->arg, look);
    handle_leave(look->handle);
    free(look->topic);
    free(look->found);
    free(look);
}

struct look *look_start(struct handle *handle, const char *topic, int32_t known, int64_t from_unix_ms,
                        void (*done)(void *arg, const struct look *look), void *arg)
{
    struct look *look = base_alloc(sizeof *look);
    *look = (struct look){.handle = handle,
                          .topic = base_strdup(topic),
                          .known = known,
                          .from_unix_ms = from_unix_ms,
                          .done = done,
                          .arg = arg};
    handle_enter(handle);
    loop_work(handle->loop, on_thread, on_done, look);
    return look;
}

void look_cancel(struct look *look)
{
    if (!look)
        return;
    look->done = NULL;
    look->is_cancelled = true;
}
