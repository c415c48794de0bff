/* kafka/transactor.h on the world in memory: what is gathered is appended and finished in one step, or
 * neither. */
#include "fakes/kafka/transactor.h"

#include "fakes/kafka/inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct transacted {
    struct kafka_delivery delivery; /* first: a slot points to it */
    struct kafka_transactor *transactor;
    char *topic;
    int32_t partition;
    int64_t offset;
};

struct kafka_transactor {
    struct kafka_world *world;
    struct kafka_source *source;
    void *arg;
    kafka_state_fn on_state;
    int64_t interval_ms;
    struct link gathered;
    struct timer interval, look, deadline;
    struct task state;
    bool was_up;
    void (*committed)(void *arg);
    void *committed_arg;
    void (*closed)(void *arg);
    void *closed_arg;
    struct kafka_transactor_stats stats;
};

static struct transacted *of(struct link *link)
{
    return CONTAINER_OF(LIST_OBJECT(link, struct kafka_delivery, link), struct transacted, delivery);
}

static void complete(struct transacted *item, const struct error *error, int32_t partition, int64_t offset)
{
    struct kafka_send *send = item->delivery.send;
    kafka_sent_fn sent = item->delivery.sent;
    item->transactor->stats.waiting--;
    item->transactor->stats.sent += !error;
    link_remove(&item->delivery.link);
    send->delivery = NULL;
    free(item->delivery.record);
    free(item->topic);
    free(item);
    if (sent)
        sent(send, error, partition, offset);
}

/* ---- transactions ---- */

static bool is_member(const struct kafka_transactor *transactor)
{
    LIST_EACH(&transactor->world->sources, link)
    if (LIST_OBJECT(link, struct kafka_source, link) == transactor->source)
        return true;
    return false;
}

static int64_t append(struct kafka_world *world, const struct kafka_record *record)
{
    if (!world_topic(world, record->topic))
        kafka_world_add_topic(world, record->topic, 1);
    return kafka_world_push(world, 0, record);
}

static void disown(struct transacted *item)
{
    struct error error;
    error_set(&error, ERROR_TRANSIENT, "kafka", KAFKA_DISOWNED, "the partition is another's now");
    item->transactor->stats.disowned++;
    complete(item, &error, -1, -1);
}

static void settle(struct transacted *item)
{
    struct kafka_transactor *transactor = item->transactor;
    struct error error;
    struct partition *partition =
        is_member(transactor) ? fake_source_find(transactor->source, item->topic, item->partition) : NULL;
    if (!partition || offset_map_is_finished(&partition->map, item->offset)) {
        disown(item);
    } else if (item->delivery.record->value.length > transactor->world->record_max) {
        error_set(&error, ERROR_REJECTED, "kafka", 10, "the record is larger than Kafka allows");
        complete(item, &error, -1, -1);
    } else {
        int64_t offset = append(transactor->world, item->delivery.record);
        kafka_source_finish(transactor->source, item->topic, item->partition, item->offset);
        kafka_world_commit(transactor->source);
        complete(item, NULL, 0, offset);
    }
}

static bool is_fenced(const struct kafka_transactor *transactor)
{
    return !transactor->world->is_up || (is_member(transactor) && !transactor->source->member);
}

static void on_interval(void *arg)
{
    struct kafka_transactor *transactor = arg;
    struct loop *loop = transactor->world->loop;
    struct link batch;
    if (is_fenced(transactor)) {
        loop_timer_start(loop, &transactor->interval, transactor->interval_ms, on_interval, transactor);
        return;
    }
    list_init(&batch);
    for (struct link *link; (link = list_pop_front(&transactor->gathered));)
        list_push_back(&batch, link);
    transactor->stats.committed++;
    while (!list_is_empty(&batch))
        settle(of(batch.next));
    if (transactor->committed)
        transactor->committed(transactor->committed_arg);
}

/* ---- life cycle ---- */

static void on_state(void *arg)
{
    struct kafka_transactor *transactor = arg;
    if (transactor->was_up != transactor->world->is_up) {
        transactor->was_up = transactor->world->is_up;
        transactor->on_state(transactor->arg, transactor->was_up, transactor->world->why);
    }
    loop_timer_start(transactor->world->loop, &transactor->look, 100, on_state, transactor);
}

struct kafka_transactor *kafka_transactor_new(const struct kafka_transactor_options *options,
                                              struct error *reterr)
{
    (void)reterr;
    struct kafka_transactor *transactor = base_alloc(sizeof *transactor);
    transactor->world = world_at(options->cluster.bootstrap_servers);
    transactor->source = options->source;
    transactor->arg = options->arg;
    transactor->on_state = options->on_state;
    transactor->interval_ms = options->interval_ms;
    list_init(&transactor->gathered);
    loop_defer(transactor->world->loop, &transactor->state, on_state, transactor);
    return transactor;
}

static void finish_closing(void *arg)
{
    struct kafka_transactor *transactor = arg;
    struct loop *loop = transactor->world->loop;
    void (*closed)(void *) = transactor->closed;
    void *closed_arg = transactor->closed_arg;
    while (!list_is_empty(&transactor->gathered)) {
        of(transactor->gathered.next)->delivery.sent = NULL; /* falls silent */
        complete(of(transactor->gathered.next), NULL, -1, -1);
    }
    loop_defer_cancel(loop, &transactor->state);
    loop_timer_stop(loop, &transactor->interval);
    loop_timer_stop(loop, &transactor->look);
    loop_timer_stop(loop, &transactor->deadline);
    loop_reap(loop, transactor, free);
    if (closed)
        closed(closed_arg);
}

void kafka_transactor_close(struct kafka_transactor *transactor, int64_t grace_ms, void (*closed)(void *arg),
                            void *arg)
{
    (void)grace_ms;
    if (!transactor)
        return;
    transactor->closed = closed;
    transactor->closed_arg = arg;
    loop_timer_start(transactor->world->loop, &transactor->deadline, 0, finish_closing, transactor);
}

/* ---- use ---- */

void kafka_transactor_send(struct kafka_transactor *transactor, struct kafka_send *send,
                           const struct kafka_record *record, const struct kafka_place *place,
                           kafka_sent_fn sent)
{
    assert(!send->delivery && !transactor->closed);
    struct transacted *item = base_alloc(sizeof *item);
    item->transactor = transactor;
    item->delivery.send = send;
    item->delivery.sent = sent;
    item->delivery.record = world_copy(record, /* is_value_copied= */ false);
    item->topic = base_strdup(place->topic);
    item->partition = place->partition;
    item->offset = place->offset;
    send->delivery = &item->delivery;
    transactor->stats.waiting++;
    list_push_back(&transactor->gathered, &item->delivery.link);
    if (!timer_is_active(&transactor->interval))
        loop_timer_start(transactor->world->loop, &transactor->interval, transactor->interval_ms, on_interval,
                         transactor);
}

bool kafka_transactor_has_room(const struct kafka_transactor *transactor)
{
    return transactor->world->is_up;
}

void kafka_transactor_stats(const struct kafka_transactor *transactor, struct kafka_transactor_stats *ret)
{
    *ret = transactor->stats;
}

void kafka_world_on_committed(struct kafka_transactor *transactor, void (*committed)(void *arg), void *arg)
{
    transactor->committed = committed;
    transactor->committed_arg = arg;
}

/* ---- places ---- */

struct kafka_place_request {
    struct kafka_world *world;
    struct kafka_place_call *call;
    kafka_place_fn done;
    char *group, *topic;
    int32_t partition;
    int64_t offset;
    struct timer timer;
};

static struct kafka_place_call *request_end(struct kafka_place_request *request)
{
    struct kafka_place_call *call = request->call;
    loop_timer_stop(request->world->loop, &request->timer);
    call->request = NULL;
    free(request->group);
    free(request->topic);
    free(request);
    return call;
}

static void on_asked(void *arg)
{
    struct kafka_place_request *request = arg;
    struct error error;
    error_set(&error, ERROR_TRANSIENT, "kafka", 0, "%s", request->world->why);
    bool is_up = request->world->is_up, is_finished;
    is_finished = is_up && world_topic(request->world, request->topic) &&
                  kafka_world_is_finished(request->world, request->group, request->topic, request->partition,
                                          request->offset);
    kafka_place_fn done = request->done;
    done(request_end(request), is_up ? NULL : &error, is_finished);
}

void kafka_source_ask_place(struct kafka_source *source, struct kafka_place_call *call,
                            const struct kafka_place *place, kafka_place_fn done)
{
    assert(!call->request);
    struct kafka_place_request *request = base_alloc(sizeof *request);
    *request = (struct kafka_place_request){.world = source->world,
                                            .call = call,
                                            .done = done,
                                            .group = base_strdup(source->group),
                                            .topic = base_strdup(place->topic),
                                            .partition = place->partition,
                                            .offset = place->offset};
    call->request = request;
    loop_timer_start(source->world->loop, &request->timer, 3, on_asked, request);
}

void kafka_place_cancel(struct kafka_place_call *call)
{
    if (call->request)
        (void)request_end(call->request);
}
