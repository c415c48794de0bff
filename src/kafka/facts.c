/* Questions to the cluster that block, in a thread job. */
#include "kafka/facts.h"

#include <stdlib.h>

/* A leader that does not answer costs this long; after so many of them the rest is left for the next try, so
 * that the thread comes back. */
enum { ANSWER_MS = 5000, LEADER_ANSWER_MS = 2000, SILENT_LEADERS_MAX = 3 };

static void read_watermarks(struct facts *facts)
{
    rd_kafka_t *rk = facts->handle->rk;
    int silent = 0;
    for (int i = 0; i < facts->list->cnt && !facts->is_cancelled; i++) {
        rd_kafka_topic_partition_t *element = &facts->list->elems[i];
        struct facts_watermarks *marks = &facts->watermarks[i];
        if (element->err)
            continue;
        element->err = silent >= SILENT_LEADERS_MAX
                           ? RD_KAFKA_RESP_ERR__TIMED_OUT
                           : rd_kafka_query_watermark_offsets(rk, element->topic, element->partition,
                                                              &marks->low, &marks->high, LEADER_ANSWER_MS);
        if (element->err == RD_KAFKA_RESP_ERR__TIMED_OUT)
            silent++;
    }
}

static void look_at_topics(struct facts *facts)
{
    for (int i = 0; i < facts->list->cnt && !facts->error && !facts->is_cancelled; i++) {
        const char *name = facts->list->elems[i].topic;
        const struct rd_kafka_metadata *metadata = NULL;
        rd_kafka_topic_t *topic = rd_kafka_topic_new(facts->handle->rk, name, NULL);
        facts->error = topic ? rd_kafka_metadata(facts->handle->rk, 0, topic, &metadata, ANSWER_MS)
                             : rd_kafka_last_error();
        if (!facts->error && metadata && metadata->topic_cnt == 1)
            facts->error = metadata->topics[0].err;
        if (facts->error)
            facts->failed_topic = name;
        if (metadata)
            rd_kafka_metadata_destroy(metadata);
        if (topic)
            rd_kafka_topic_destroy(topic);
    }
}

static void ask_cluster_id(struct facts *facts)
{
    char *id = rd_kafka_clusterid(facts->handle->rk, ANSWER_MS);
    facts->cluster_id = base_strdup(id);
    if (id)
        rd_kafka_mem_free(facts->handle->rk, id);
    else
        facts->error = RD_KAFKA_RESP_ERR__TIMED_OUT;
}

static bool is_asked(const struct facts *facts, enum facts_questions question)
{
    return !facts->error && !facts->is_cancelled && (facts->questions & question);
}

static void on_thread(void *arg)
{
    struct facts *facts = arg;
    facts->error = handle_reach(facts->handle, &facts->is_cancelled);
    if (is_asked(facts, FACTS_CLUSTER_ID))
        ask_cluster_id(facts);
    if (is_asked(facts, FACTS_COMMITTED))
        facts->error = rd_kafka_committed(facts->handle->rk, facts->list, ANSWER_MS);
    if (is_asked(facts, FACTS_WATERMARKS))
        read_watermarks(facts);
    if (is_asked(facts, FACTS_TOPICS))
        look_at_topics(facts);
}

static void on_done(void *arg)
{
    struct facts *facts = arg;
    if (facts->done)
        facts->done(facts->arg, facts);
    handle_leave(facts->handle);
    rd_kafka_topic_partition_list_destroy(facts->list);
    free(facts->watermarks);
    free(facts->cluster_id);
    free(facts);
}

struct facts *facts_ask(struct handle *handle, rd_kafka_topic_partition_list_t *list, int questions,
                        void (*done)(void *arg, struct facts *facts), void *arg)
{
    struct facts *facts = base_alloc(sizeof *facts);
    *facts = (struct facts){.handle = handle, .questions = questions, .list = list, .done = done, .arg = arg};
    facts->watermarks = base_alloc(sizeof *facts->watermarks * (size_t)MAX(list->cnt, 1));
    handle_enter(handle);
    loop_work(handle->loop, on_thread, on_done, facts);
    return facts;
}

void facts_cancel(struct facts *facts)
{
    if (!facts)
        return;
    facts->done = NULL;
    facts->is_cancelled = true;
}
