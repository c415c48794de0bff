/* Places, and what a transactor commits in the source's stead. */
#include "kafka/source_inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void source_attach(struct kafka_source *source, struct kafka_transactor *transactor)
{
    assert(!transactor || !source->transactor);
    source->transactor = transactor;
}

bool source_may_commit(const struct kafka_source *source)
{
    return source->handle && !source->is_frozen &&
           (source->phase == SOURCE_RUNNING || source->phase == SOURCE_COMMITTING);
}

bool source_is_revoking(const struct kafka_source *source)
{
    return source->revoked != NULL;
}

/* A record that retention took counts as finished, though its result may not be there: that is not what
 * "committed" means. */
enum source_judgement source_judge(const struct kafka_source *source, const struct kafka_place *place)
{
    const struct partition *partition = source_find(source, place->topic, place->partition);
    if (!partition || (partition->phase == PARTITION_AWAY && !partition->is_announced))
        return SOURCE_PLACE_GONE;
    if (partition->phase != PARTITION_RUNNING) /* or it may come back out of this rebalance */
        return SOURCE_PLACE_LATER;
    bool is_finished =
        place->offset >= partition->overtaken_end && offset_map_is_finished(&partition->map, place->offset);
    return is_finished ? SOURCE_PLACE_FINISHED : SOURCE_PLACE_OWNED;
}

/* ---- offsets for a transaction ---- */

static bool is_in(const struct partition *partition, const struct kafka_place *place)
{
    return partition->number == place->partition && strcmp(partition->topic, place->topic) == 0;
}

static struct kafka_delivery *delivery_of(struct link *link)
{
    return LIST_OBJECT(link, struct kafka_delivery, in_queue);
}

static void hold_back(const struct partition *partition, struct link *batch)
{
    LIST_EACH(batch, link)
    if (is_in(partition, &delivery_of(link)->place))
        delivery_of(link)->is_held_back = true;
}

static bool has_place_of(const struct partition *partition, struct link *batch)
{
    LIST_EACH(batch, link)
    if (is_in(partition, &delivery_of(link)->place))
        return true;
    return false;
}

/* The map as it will be. */
static void future(const struct partition *partition, struct link *batch, struct offset_map *ret)
{
    offset_map_copy(&partition->map, ret);
    LIST_EACH(batch, link)
    {
        const struct kafka_place *place = &delivery_of(link)->place;
        if (is_in(partition, place))
            offset_map_finish(ret, place->offset, place->offset + 1);
    }
}

rd_kafka_topic_partition_list_t *source_offsets(struct kafka_source *source, struct link *batch)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)source->count);
    for (size_t i = 0; i < source->count; i++) {
        struct partition *partition = source->partitions[i];
        struct offset_map map;
        if (partition->phase != PARTITION_RUNNING ||
            (!partition_is_dirty(partition) && !has_place_of(partition, batch)))
            continue;
        future(partition, batch, &map);
        if (map.base >= partition->base_kept && offset_map_text_length(&map) <= partition->text_max)
            source_add_offset(list, partition, &map);
        else
            hold_back(partition, batch);
        offset_map_release(&map);
    }
    if (list->cnt > 0)
        return list;
    rd_kafka_topic_partition_list_destroy(list);
    return NULL;
}

rd_kafka_consumer_group_metadata_t *source_member(const struct kafka_source *source)
{
    return rd_kafka_consumer_group_metadata(source->handle->rk);
}

void source_place_kept(struct kafka_source *source, const struct kafka_place *place)
{
    (void)source_finish(source, place);
}

void source_offsets_kept(struct kafka_source *source, const rd_kafka_topic_partition_list_t *list,
                         struct link *batch)
{
    source->commits++;
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *element = &list->elems[i];
        struct partition *partition = source_find(source, element->topic, element->partition);
        if (!partition)
            continue;
        bool is_all = partition->change == partition->change_sent; /* nothing else has happened since */
        LIST_EACH(batch, link)
        if (is_in(partition, &delivery_of(link)->place))
            source_place_kept(source, &delivery_of(link)->place);
        partition->change_kept = is_all ? partition->change : partition->change_sent;
        partition->base_kept = MAX(partition->base_kept, element->offset);
    }
}

void source_offsets_refused(struct kafka_source *source, const rd_kafka_topic_partition_list_t *list,
                            rd_kafka_resp_err_t code)
{
    source->commit_failures++;
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE; i++) {
        const rd_kafka_topic_partition_t *element = &list->elems[i];
        struct partition *partition = source_find(source, element->topic, element->partition);
        if (partition)
            source_shorten(partition, element->metadata_size);
    }
}

/* ---- what is committed ---- */

struct facts *source_ask_committed(struct kafka_source *source, rd_kafka_topic_partition_list_t *list,
                                   void (*done)(void *arg, struct facts *facts), void *arg)
{
    if (source->handle)
        return facts_ask(source->handle, list, FACTS_COMMITTED, done, arg);
    rd_kafka_topic_partition_list_destroy(list);
    return NULL;
}

bool source_has_committed(const rd_kafka_topic_partition_t *element, int64_t offset)
{
    struct offset_map map;
    struct error error;
    if (element->offset < 0)
        return false;
    if (element->metadata_size == 0)
        return offset < element->offset;
    struct bytes text = {element->metadata, element->metadata_size};
    (void)!offset_map_decode(text, element->offset, INT64_MAX, &map, &error); /* else the base alone */
    bool is_finished = offset_map_is_finished(&map, offset);
    offset_map_release(&map);
    return is_finished;
}

struct kafka_place_request {
    struct loop *loop;
    struct kafka_place_call *call;
    kafka_place_fn done;
    int64_t offset;
    struct facts *facts; /* NULL: nobody could be asked */
    struct task fail;
};

static void complete(struct kafka_place_request *request, const struct error *error, bool is_finished)
{
    struct kafka_place_call *call = request->call;
    kafka_place_fn done = request->done;
    call->request = NULL;
    free(request);
    done(call, error, is_finished);
}

static void on_asked(void *arg, struct facts *facts)
{
    struct kafka_place_request *request = arg;
    const rd_kafka_topic_partition_t *element = &facts->list->elems[0];
    rd_kafka_resp_err_t code = facts->error ? facts->error : element->err;
    struct error error;
    if (code)
        error_set(&error, explain_kind(code), "kafka", code, "the group's offsets: %s",
                  rd_kafka_err2str(code));
    complete(request, code ? &error : NULL, !code && source_has_committed(element, request->offset));
}

static void on_nobody(void *arg)
{
    struct error error;
    error_set(&error, ERROR_TRANSIENT, "kafka", RD_KAFKA_RESP_ERR__TRANSPORT, "there is no membership now");
    complete(arg, &error, false);
}

void kafka_source_ask_place(struct kafka_source *source, struct kafka_place_call *call,
                            const struct kafka_place *place, kafka_place_fn done)
{
    assert(!call->request);
    struct kafka_place_request *request = base_alloc(sizeof *request);
    *request = (struct kafka_place_request){
        .loop = source->loop, .call = call, .done = done, .offset = place->offset};
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, place->topic, place->partition);
    call->request = request;
    request->facts = source_ask_committed(source, list, on_asked, request);
    if (!request->facts)
        loop_defer(request->loop, &request->fail, on_nobody, request);
}

void kafka_place_cancel(struct kafka_place_call *call)
{
    struct kafka_place_request *request = TAKE(call->request);
    if (!request)
        return;
    facts_cancel(request->facts);
    if (!request->facts)
        loop_defer_cancel(request->loop, &request->fail);
    free(request);
}
