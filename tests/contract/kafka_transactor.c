/* What a transactor promises, against a real cluster: whoever reads what is committed sees each result once,
 * and each record that has one is finished. The mock's transactions undo nothing, so it proves nothing
 * here. */
#include "base/random.h"
#include "kafka/source_inside.h"
#include "kafka/transactor_inside.h"
#include "kafka_cluster.h"
#include "loop/on_uv.h"
#include "test.h"

#include <stdio.h>

enum { PARTITIONS = 3, EACH_MAX = 1000, PATIENCE_MS = 60000, VALUE_MAX = 900000 };

static struct cluster *cluster;

/* A worker in miniature: a record's result is sent at once, and its offset is finished with it. */
struct member {
    struct loop *loop; /* borrowed */
    const char *results;
    char id[CLUSTER_NAME_SIZE];
    struct kafka_source *source;
    struct kafka_transactor *transactor;
    struct link items;
    int64_t delivered, sent, refused, disowned, revoked;
    size_t (*length_of)(int32_t partition, int64_t offset); /* NULL: small */
    bool (*is_silent)(int64_t offset);                      /* finished without a result; NULL: none is */
    bool is_source_closed, is_closed, is_usable, is_full;
    char why[500];
};

struct item {
    struct link link;
    struct member *member;
    struct kafka_send send;
    struct kafka_place place;
    bool is_small;
};

static char bulk[VALUE_MAX];

/* ---- a member ---- */

static bool has_room(void *arg, const char *topic)
{
    (void)topic;
    return !((struct member *)arg)->is_full;
}

static void send_result(struct item *item);

static void on_sent(struct kafka_send *send, const struct error *error, int32_t partition, int64_t offset)
{
    struct item *item = send->arg;
    struct member *member = item->member;
    assert_null(send->delivery);
    if (error && error->kind == ERROR_REJECTED) {
        assert_false(item->is_small);
        member->refused++;
        item->is_small = true;
        send_result(item);
        return;
    }
    if (error) {
        assert_int_equal(error->code, KAFKA_DISOWNED);
        assert_int_equal(partition, -1);
        member->disowned++;
    } else {
        assert_true((partition < 0) == (offset < 0));
        member->sent++;
    }
    link_remove(&item->link);
    free((char *)(uintptr_t)item->place.topic);
    free(item);
}

static void send_result(struct item *item)
{
    struct member *member = item->member;
    char key[40];
    int length =
        snprintf(key, sizeof key, "%d-%lld", (int)item->place.partition, (long long)item->place.offset);
    size_t size = member->length_of && !item->is_small
                      ? member->length_of(item->place.partition, item->place.offset)
                      : 100;
    const struct kafka_header header = {"ce_id", {key, (size_t)length}};
    const struct kafka_record record = {.topic = member->results,
                                        .key = {key, (size_t)length},
                                        .value = {bulk, size},
                                        .headers = &header,
                                        .header_count = 1};
    kafka_transactor_send(member->transactor, &item->send, &record, &item->place, on_sent);
}

static void on_message(void *arg, const struct kafka_message *message)
{
    struct member *member = arg;
    member->delivered++;
    if (member->is_silent && member->is_silent(message->offset)) {
        kafka_source_finish(member->source, message->topic, message->partition, message->offset);
        return;
    }
    struct item *item = base_alloc(sizeof *item);
    item->member = member;
    item->send.arg = item;
    item->place = (struct kafka_place){base_strdup(message->topic), message->partition, message->offset};
    list_push_back(&member->items, &item->link);
    send_result(item);
}

static void on_revoked(void *arg, const char *topic, int32_t partition, bool is_lost)
{
    (void)topic, (void)partition, (void)is_lost;
    ((struct member *)arg)->revoked++;
}

static void on_assigned(void *arg, const char *topic, int32_t partition)
{
    (void)arg, (void)topic, (void)partition;
}

static void on_source_state(void *arg, bool is_usable, const char *why)
{
    (void)arg, (void)is_usable, (void)why;
}

static void on_state(void *arg, bool is_usable, const char *why)
{
    struct member *member = arg;
    member->is_usable = is_usable;
    (void)snprintf(member->why, sizeof member->why, "%s", why);
    assert_true(is_usable == (why[0] == '\0'));
}

struct scene {
    struct loop *loop;
    char jobs[CLUSTER_NAME_SIZE], results[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    int each;
    struct member *members[2];
};

static struct member *join(struct scene *scene, size_t (*length_of)(int32_t, int64_t))
{
    static const struct log log = {.component = "test", .level = LOG_LEVEL_ERROR};
    struct error error = {0};
    struct member *member = base_alloc(sizeof *member);
    const char *topic = scene->jobs;
    member->loop = scene->loop;
    member->results = scene->results;
    member->length_of = length_of;
    list_init(&member->items);
    cluster_name(cluster, "txn", member->id);
    member->source = kafka_source_new(&(struct kafka_source_options){.loop = scene->loop,
                                                                     .log = &log,
                                                                     .cluster = cluster_address(cluster),
                                                                     .group_id = scene->group,
                                                                     .topics = &topic,
                                                                     .topic_count = 1,
                                                                     .client_id = "contract",
                                                                     .events = {.arg = member,
                                                                                .has_room = has_room,
                                                                                .on_message = on_message,
                                                                                .on_assigned = on_assigned,
                                                                                .on_revoked = on_revoked,
                                                                                .on_state = on_source_state}},
                                      &error);
    assert_non_null(member->source);
    member->transactor =
        kafka_transactor_new(&(struct kafka_transactor_options){.loop = scene->loop,
                                                                .log = &log,
                                                                .cluster = cluster_address(cluster),
                                                                .client_id = "contract",
                                                                .transactional_id = member->id,
                                                                .source = member->source,
                                                                .interval_ms = 100,
                                                                .arg = member,
                                                                .on_state = on_state},
                             &error);
    if (!member->transactor)
        fail_msg("%s", error.text);
    return member;
}

/* ---- waiting ---- */

struct wait {
    struct scene *scene;
    bool (*is_over)(struct scene *scene);
    struct timer timer;
    int64_t until_ms;
    bool is_late;
};

static void on_look(void *arg)
{
    struct wait *wait = arg;
    wait->is_late = loop_now_ms(wait->scene->loop) > wait->until_ms;
    if (wait->is_late || wait->is_over(wait->scene))
        loop_stop(wait->scene->loop);
    else
        loop_timer_start(wait->scene->loop, &wait->timer, 5, on_look, wait);
}

static bool wait_for(struct scene *scene, int64_t ms, bool (*is_over)(struct scene *scene))
{
    struct wait wait = {.scene = scene, .is_over = is_over};
    wait.until_ms = loop_now_ms(scene->loop) + ms;
    loop_timer_start(scene->loop, &wait.timer, 1, on_look, &wait);
    loop_run(scene->loop);
    loop_timer_stop(scene->loop, &wait.timer);
    return !wait.is_late;
}

static bool never(struct scene *scene)
{
    (void)scene;
    return false;
}

/* ---- a scene ---- */

static void scene_begin(struct scene *scene, int each)
{
    *scene = (struct scene){.loop = loop_new(), .each = each};
    cluster_topic(cluster, "jobs", PARTITIONS, scene->jobs);
    cluster_topic(cluster, "results", PARTITIONS, scene->results);
    cluster_name(cluster, "g", scene->group);
    if (each > 0)
        cluster_fill(cluster, scene->jobs, PARTITIONS, each);
}

static bool is_group_done(struct scene *scene)
{
    int64_t count = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(scene->members); i++)
        count += scene->members[i] ? scene->members[i]->sent : 0;
    return count >= (int64_t)PARTITIONS * scene->each;
}

static void on_source_closed(void *arg)
{
    ((struct member *)arg)->is_source_closed = true;
}

static void on_closed(void *arg)
{
    ((struct member *)arg)->is_closed = true;
}

static struct member *leaving;

static bool has_source_left(struct scene *scene)
{
    (void)scene;
    return leaving->is_source_closed;
}

static bool has_left(struct scene *scene)
{
    (void)scene;
    return leaving->is_closed;
}

static bool has_nothing(struct scene *scene)
{
    (void)scene;
    return list_is_empty(&leaving->items);
}

/* As a worker drains: the source first, which brings every record an answer; the transactor last. */
static void leave(struct scene *scene, struct member *member)
{
    leaving = member;
    kafka_source_close(TAKE(member->source), 15000, on_source_closed, member);
    assert_true(wait_for(scene, 20000, has_source_left));
    assert_true(wait_for(scene, 10000, has_nothing));
    kafka_transactor_close(TAKE(member->transactor), 5000, on_closed, member);
    assert_true(wait_for(scene, 10000, has_left));
}

static void scene_end(struct scene *scene)
{
    for (size_t i = 0; i < ARRAY_LENGTH(scene->members); i++)
        if (scene->members[i] && scene->members[i]->source)
            leave(scene, scene->members[i]);
    for (size_t i = 0; i < ARRAY_LENGTH(scene->members); i++)
        free(scene->members[i]);
    loop_free(scene->loop, NULL, NULL);
}

/* ---- a reader of what is committed ---- */

static int seen[PARTITIONS][EACH_MAX];

static rd_kafka_t *open_reader(const struct scene *scene, const char *isolation)
{
    char text[200];
    struct kafka_cluster address = cluster_address(cluster);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", address.bootstrap_servers, text, sizeof text);
    (void)rd_kafka_conf_set(conf, "group.id", "reader", text, sizeof text);
    (void)rd_kafka_conf_set(conf, "isolation.level", isolation, text, sizeof text);
    (void)rd_kafka_conf_set(conf, "enable.partition.eof", "true", text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int32_t i = 0; i < PARTITIONS; i++)
        rd_kafka_topic_partition_list_add(list, scene->results, i)->offset = 0;
    assert_int_equal(rd_kafka_assign(rk, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    return rk;
}

static int64_t read_all(const struct scene *scene, const char *isolation)
{
    int64_t count = 0;
    int ends = 0;
    memset(seen, 0, sizeof seen);
    rd_kafka_t *rk = open_reader(scene, isolation);
    while (ends < PARTITIONS) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 20000);
        assert_non_null(message);
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            ends++;
        } else {
            char key[40];
            int partition;
            long long offset;
            assert_int_equal(message->err, 0);
            (void)snprintf(key, sizeof key, "%.*s", (int)message->key_len, (const char *)message->key);
            assert_int_equal(sscanf(key, "%d-%lld", &partition, &offset), 2);
            seen[partition][offset]++;
            count++;
        }
        rd_kafka_message_destroy(message);
    }
    rd_kafka_destroy(rk);
    return count;
}

static void assert_each_once(const struct scene *scene)
{
    assert_int_equal(read_all(scene, "read_committed"), (int64_t)PARTITIONS * scene->each);
    for (int32_t partition = 0; partition < PARTITIONS; partition++) {
        struct offset_map map;
        for (int offset = 0; offset < scene->each; offset++)
            assert_int_equal(seen[partition][offset], 1);
        assert_int_equal(cluster_committed(cluster, scene->group, scene->jobs, partition, &map), scene->each);
        offset_map_release(&map);
    }
}

/* ---- cases ---- */

static void results_and_offsets_are_committed_together(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 700);
    struct member *member = scene.members[0] = join(&scene, NULL);
    assert_true(wait_for(&scene, PATIENCE_MS, is_group_done));
    struct kafka_transactor_stats stats;
    kafka_transactor_stats(member->transactor, &stats);
    assert_true(member->is_usable && kafka_transactor_has_room(member->transactor));
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.aborted, 0);
    assert_true(stats.committed >= PARTITIONS * 700 / TRANSACTOR_BATCH_MAX);
    assert_each_once(&scene);
    assert_int_equal(member->refused + member->disowned, 0);
    scene_end(&scene);
}

static bool is_silent(int64_t offset)
{
    return offset % 3 != 0;
}

static bool is_quiet_and_committed(struct scene *scene)
{
    return scene->members[0]->sent == PARTITIONS * 10 && !source_has_dirty(scene->members[0]->source);
}

/* A duplicate, a parked job: finished without a result of ours. */
static void offsets_without_a_result_are_committed_too(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 30);
    struct member *member = scene.members[0] = join(&scene, NULL);
    member->is_silent = is_silent;
    assert_true(wait_for(&scene, PATIENCE_MS, is_quiet_and_committed));
    assert_int_equal(read_all(&scene, "read_committed"), PARTITIONS * 10);
    struct offset_map map;
    assert_int_equal(cluster_committed(cluster, scene.group, scene.jobs, 1, &map), 30);
    offset_map_release(&map);
    scene_end(&scene);
}

static size_t one_is_huge(int32_t partition, int64_t offset)
{
    return partition == 1 && offset == 5 ? sizeof bulk : 100;
}

static void set_topic(const char *topic, const char *name, const char *value)
{
    char text[200];
    struct kafka_cluster address = cluster_address(cluster);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", address.bootstrap_servers, text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    assert_int_equal(rd_kafka_ConfigResource_set_config(resource, name, value), 0);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AlterConfigs(rk, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 20000);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), 0);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_destroy(rk);
}

static void one_too_large_for_the_broker_comes_back_and_the_others_go(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 40);
    set_topic(scene.results, "max.message.bytes", "20000");
    for (size_t i = 0; i < sizeof bulk; i++) /* or compression makes it small */
        bulk[i] = (char)(i * 2654435761u >> 13);
    struct member *member = scene.members[0] = join(&scene, one_is_huge);
    assert_true(wait_for(&scene, PATIENCE_MS, is_group_done));
    assert_int_equal(member->refused, 1);
    assert_each_once(&scene);
    scene_end(&scene);
}

static void whoever_has_the_partition_next_goes_on_from_there(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 900);
    scene.members[0] = join(&scene, NULL);
    (void)wait_for(&scene, 4000, never); /* in the middle of it */
    scene.members[1] = join(&scene, NULL);
    (void)wait_for(&scene, 6000, never);
    cluster_fill(cluster, scene.jobs, PARTITIONS, 50);
    scene.each += 50;
    (void)wait_for(&scene, 150, never);
    leave(&scene, scene.members[0]);
    assert_true(wait_for(&scene, PATIENCE_MS, is_group_done));
    assert_each_once(&scene);
    scene_end(&scene);
}

/* ---- faults ---- */

static rd_kafka_t *open_producer(const char *id, const char *timeout_ms)
{
    char text[200];
    struct kafka_cluster address = cluster_address(cluster);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", address.bootstrap_servers, text, sizeof text);
    (void)rd_kafka_conf_set(conf, "transactional.id", id, text, sizeof text);
    (void)rd_kafka_conf_set(conf, "transaction.timeout.ms", timeout_ms, text, sizeof text);
    (void)rd_kafka_conf_set(conf, "message.timeout.ms", timeout_ms, text, sizeof text);
    (void)rd_kafka_conf_set(conf, "log_level", "2", text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(rk);
    rd_kafka_error_t *error = rd_kafka_init_transactions(rk, 20000);
    if (error)
        fail_msg("%s", rd_kafka_error_string(error));
    return rk;
}

/* The namesake comes at any moment, also between the asking for a commit and its answer: then nobody has said
 * what became of it. */
static void a_namesake_makes_nothing_lost_and_nothing_twice(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 0);
    struct member *member = scene.members[0] = join(&scene, NULL);
    struct random random;
    random_init_seed(&random, 11);
    for (int round = 0; round < 12; round++) {
        cluster_fill(cluster, scene.jobs, PARTITIONS, 20);
        scene.each += 20;
        (void)wait_for(&scene, (int64_t)random_below(&random, 250), never);
        rd_kafka_destroy(open_producer(member->id, "10000"));
        (void)wait_for(&scene, 300, never);
    }
    assert_true(wait_for(&scene, PATIENCE_MS, is_group_done));
    struct kafka_transactor_stats stats;
    kafka_transactor_stats(member->transactor, &stats);
    assert_true(stats.rebuilt > 0);
    assert_each_once(&scene);
    scene_end(&scene);
}

static void (*real_done)(void *arg, struct transaction_call *call);
static int answers_lost;

static void lose_answer(void *arg, struct transaction_call *call)
{
    assert_int_equal(call->outcome, TRANSACTION_DONE);
    call->outcome = TRANSACTION_BROKEN;
    answers_lost++;
    real_done(arg, call);
}

static bool is_ending(struct scene *scene)
{
    return scene->members[0]->transactor->phase == TRANSACTOR_ENDING;
}

/* Committed, and the answer is lost: what the group's offsets say is what happened. */
static void an_end_that_nobody_heard_of_is_read_back(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 0);
    struct member *member = scene.members[0] = join(&scene, NULL);
    answers_lost = 0;
    for (int round = 0; round < 5; round++) {
        cluster_fill(cluster, scene.jobs, PARTITIONS, 20);
        scene.each += 20;
        assert_true(wait_for(&scene, PATIENCE_MS, is_ending));
        if (member->transactor->call->done != lose_answer)
            real_done = member->transactor->call->done;
        member->transactor->call->done = lose_answer;
        (void)wait_for(&scene, 50, never);
    }
    assert_true(wait_for(&scene, PATIENCE_MS, is_group_done));
    assert_true(answers_lost > 0);
    struct kafka_transactor_stats stats;
    kafka_transactor_stats(member->transactor, &stats);
    assert_int_equal(stats.rebuilt, answers_lost);
    assert_each_once(&scene);
    scene_end(&scene);
}

static bool has_assignment(rd_kafka_t *consumer)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    assert_int_equal(rd_kafka_assignment(consumer, &list), 0);
    int count = list->cnt;
    rd_kafka_topic_partition_list_destroy(list);
    return count > 0;
}

static rd_kafka_t *open_predecessor(const struct scene *scene)
{
    char text[200];
    struct kafka_cluster address = cluster_address(cluster);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", address.bootstrap_servers, text, sizeof text);
    (void)rd_kafka_conf_set(conf, "group.id", scene->group, text, sizeof text);
    (void)rd_kafka_conf_set(conf, "session.timeout.ms", "6000", text, sizeof text);
    (void)rd_kafka_conf_set(conf, "enable.auto.commit", "false", text, sizeof text);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    rd_kafka_poll_set_consumer(rk);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, scene->jobs, RD_KAFKA_PARTITION_UA);
    assert_int_equal(rd_kafka_subscribe(rk, topics), 0);
    rd_kafka_topic_partition_list_destroy(topics);
    while (!has_assignment(rk)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
        if (message)
            rd_kafka_message_destroy(message);
    }
    return rk;
}

static void send_offset_and_result(const struct scene *scene, rd_kafka_t *producer, rd_kafka_t *consumer)
{
    assert_null(rd_kafka_begin_transaction(producer));
    assert_int_equal(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(scene->results), RD_KAFKA_V_PARTITION(0),
                                       RD_KAFKA_V_KEY("0-0", 3), RD_KAFKA_V_VALUE("x", 1), RD_KAFKA_V_END),
                     0);
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(offsets, scene->jobs, 0)->offset = 1;
    rd_kafka_consumer_group_metadata_t *metadata = rd_kafka_consumer_group_metadata(consumer);
    assert_null(rd_kafka_send_offsets_to_transaction(producer, offsets, metadata, 20000));
    assert_int_equal(rd_kafka_flush(producer, 20000), 0);
    rd_kafka_consumer_group_metadata_destroy(metadata);
    rd_kafka_topic_partition_list_destroy(offsets);
}

/* A predecessor died between send_offsets and commit. Nobody starts at an offset that may still change: what
 * it left open is undone by its timeout, and only then is the record pulled. */
static void a_death_between_offsets_and_commit_is_waited_out(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 10);
    rd_kafka_t *consumer = open_predecessor(&scene);
    rd_kafka_t *producer = open_producer(scene.group, "10000");
    send_offset_and_result(&scene, producer, consumer);
    rd_kafka_destroy(producer);
    rd_kafka_destroy(consumer);
    scene.members[0] = join(&scene, NULL);
    assert_true(wait_for(&scene, PATIENCE_MS, is_group_done));
    assert_each_once(&scene);
    assert_int_equal(read_all(&scene, "read_uncommitted"), PARTITIONS * 10 + 1);
    scene_end(&scene);
}

static int asked;
static bool was_finished;

static void on_place(struct kafka_place_call *call, const struct error *error, bool is_finished)
{
    (void)call;
    assert_null(error);
    asked++;
    was_finished = is_finished;
}

static bool is_answered(struct scene *scene)
{
    (void)scene;
    return asked > 0;
}

static bool ask(struct scene *scene, const char *topic, int32_t partition, int64_t offset)
{
    struct kafka_place_call call = {0};
    const struct kafka_place place = {topic, partition, offset};
    asked = 0;
    kafka_source_ask_place(scene->members[0]->source, &call, &place, on_place);
    assert_int_equal(asked, 0);
    assert_true(wait_for(scene, 10000, is_answered));
    return was_finished;
}

static void a_place_is_finished_once_it_is_committed(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, 10);
    scene.members[0] = join(&scene, NULL);
    assert_true(wait_for(&scene, PATIENCE_MS, is_group_done));
    assert_true(ask(&scene, scene.jobs, 2, 9));
    assert_false(ask(&scene, scene.jobs, 2, 10));
    assert_false(ask(&scene, scene.results, 0, 0));
    struct kafka_place_call call = {0};
    kafka_source_ask_place(scene.members[0]->source, &call, &(struct kafka_place){scene.jobs, 0, 0},
                           on_place);
    kafka_place_cancel(&call);
    assert_null(call.request);
    asked = 0;
    (void)wait_for(&scene, 500, never);
    assert_int_equal(asked, 0);
    scene_end(&scene);
}

int main(void)
{
    if (!getenv("E2BW_KAFKA"))
        return 77; /* skipped */
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_and_offsets_are_committed_together),
        cmocka_unit_test(offsets_without_a_result_are_committed_too),
        cmocka_unit_test(one_too_large_for_the_broker_comes_back_and_the_others_go),
        cmocka_unit_test(whoever_has_the_partition_next_goes_on_from_there),
        cmocka_unit_test(a_namesake_makes_nothing_lost_and_nothing_twice),
        cmocka_unit_test(an_end_that_nobody_heard_of_is_read_back),
        cmocka_unit_test(a_death_between_offsets_and_commit_is_waited_out),
        cmocka_unit_test(a_place_is_finished_once_it_is_committed),
    };
    cluster = cluster_new(/* is_real= */ true);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cluster_free(cluster);
    return failed;
}
