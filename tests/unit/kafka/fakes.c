/* The fakes keep the ports' promises on a virtual clock. */
#include "fakes/kafka/world.h"
#include "fakes/loop/virtual.h"
#include "test.h"

#include <stdio.h>

enum { RECORDS = 50 };

struct member {
    struct loop *loop;
    struct kafka_source *source;
    int delivered[2][RECORDS], total, revoked, lost, limit, pulled_before;
    bool is_usable, is_closed;
};

static bool has_room(void *arg, const char *topic)
{
    (void)topic;
    struct member *member = arg;
    return member->total < member->limit;
}

static void on_message(void *arg, const struct kafka_message *message)
{
    struct member *member = arg;
    member->delivered[message->partition][message->offset]++;
    member->total++;
    member->pulled_before += message->was_pulled;
}

static void on_revoked(void *arg, const char *topic, int32_t partition, bool is_lost)
{
    struct member *member = arg;
    (void)topic;
    (void)partition;
    member->revoked++;
    member->lost += is_lost;
}

static void on_assigned(void *arg, const char *topic, int32_t partition)
{
    (void)arg;
    (void)topic;
    (void)partition;
}

static void on_state(void *arg, bool is_usable, const char *why)
{
    struct member *member = arg;
    (void)why;
    member->is_usable = is_usable;
}

static void on_closed(void *arg)
{
    ((struct member *)arg)->is_closed = true;
}

static int64_t wait_ms(void *arg, const struct kafka_message *message);

static struct kafka_source *join(struct loop *loop, struct kafka_world *world, struct member *member,
                                 int limit)
{
    static const char *const topics[] = {"^jobs\\..*$"};
    struct error error;
    *member = (struct member){.loop = loop, .limit = limit};
    return member->source = kafka_source_new(
               &(struct kafka_source_options){.loop = loop,
                                              .cluster = {.bootstrap_servers = kafka_world_address(world)},
                                              .group_id = "g",
                                              .topics = topics,
                                              .topic_count = 1,
                                              .events = {.arg = member,
                                                         .has_room = has_room,
                                                         .wait_ms = wait_ms,
                                                         .on_message = on_message,
                                                         .on_revoked = on_revoked,
                                                         .on_assigned = on_assigned,
                                                         .on_state = on_state}},
               &error);
}

static void fill(struct kafka_world *world)
{
    kafka_world_add_topic(world, "jobs.a", 2);
    for (int i = 0; i < RECORDS; i++)
        for (int32_t partition = 0; partition < 2; partition++) {
            struct kafka_record record = {.topic = "jobs.a", .value = {"job", 3}};
            assert_int_equal(kafka_world_push(world, partition, &record), i);
        }
}

static void a_killed_members_successor_gets_what_was_not_finished(void **state)
{
    (void)state;
    struct loop *loop = virtual_loop_new();
    struct kafka_world *world = kafka_world_new(loop);
    struct member first, second;
    fill(world);
    join(loop, world, &first, 30);
    virtual_loop_advance(loop, 10);
    assert_int_equal(first.total, 30);
    assert_true(first.is_usable);
    kafka_source_finish(first.source, "jobs.a", 0, 3);
    virtual_loop_advance(loop, 1500);
    assert_true(kafka_world_is_finished(world, "g", "jobs.a", 0, 3));
    kafka_source_finish(first.source, "jobs.a", 0, 4); /* not committed: dies with it */
    kafka_world_kill_source(first.source);
    join(loop, world, &second, 0);
    virtual_loop_advance(loop, 10);
    assert_int_equal(second.total, 29); /* pulled before: without asking for room */
    assert_int_equal(second.pulled_before, 29);
    assert_int_equal(second.delivered[0][3], 0);
    assert_int_equal(second.delivered[0][4], 1);
    kafka_source_close(second.source, 1000, on_closed, &second);
    virtual_loop_advance(loop, 10);
    assert_true(second.is_closed && second.revoked == 2);
    kafka_world_free(world);
    virtual_loop_free(loop);
}

static void two_members_share_and_an_expelled_one_commits_nothing(void **state)
{
    (void)state;
    struct loop *loop = virtual_loop_new();
    struct kafka_world *world = kafka_world_new(loop);
    struct member first, second;
    fill(world);
    join(loop, world, &first, 2 * RECORDS);
    join(loop, world, &second, 2 * RECORDS);
    virtual_loop_advance(loop, 10);
    assert_int_equal(first.total + second.total, 2 * RECORDS);
    assert_int_equal(first.total, RECORDS);
    kafka_world_expel(first.source);
    virtual_loop_advance(loop, 10);
    assert_int_equal(second.total, 2 * RECORDS);
    assert_int_equal(first.revoked, 0);
    kafka_source_finish(first.source, "jobs.a", 0, 0);
    kafka_source_finish(first.source, "jobs.a", 1, 0);
    virtual_loop_advance(loop, 2000);
    struct kafka_source_stats stats;
    kafka_source_stats(first.source, &stats);
    assert_true(stats.commit_failures > 0);
    kafka_world_tell(first.source);
    assert_int_equal(first.lost, 1);
    virtual_loop_advance(loop, 10);
    kafka_source_close(first.source, 1000, NULL, NULL);
    kafka_source_close(second.source, 1000, NULL, NULL);
    virtual_loop_advance(loop, 10);
    kafka_world_free(world);
    virtual_loop_free(loop);
}

enum { HEAD_THAT_WAITS = 10 };
static int64_t due_ms;

static int64_t wait_ms(void *arg, const struct kafka_message *message)
{
    const struct member *member = arg;
    bool waits = message->partition == 0 && message->offset == HEAD_THAT_WAITS;
    return waits ? MAX(due_ms - loop_now_ms(member->loop), 0) : 0;
}

static void a_head_that_waits_holds_back_its_own_partition_only(void **state)
{
    (void)state;
    struct loop *loop = virtual_loop_new();
    struct kafka_world *world = kafka_world_new(loop);
    struct member first, second;
    struct kafka_source_stats stats;
    fill(world);
    due_ms = loop_now_ms(loop) + 3600000;
    join(loop, world, &first, 2 * RECORDS);
    virtual_loop_advance(loop, 3500000);
    assert_int_equal(first.total, RECORDS + HEAD_THAT_WAITS);
    kafka_source_stats(first.source, &stats);
    assert_int_equal(stats.deferred, RECORDS - HEAD_THAT_WAITS);
    assert_int_equal(stats.backlog, RECORDS + HEAD_THAT_WAITS);
    for (int64_t offset = 0; offset < HEAD_THAT_WAITS; offset++)
        kafka_source_finish(first.source, "jobs.a", 0, offset);
    virtual_loop_advance(loop, 2000);
    assert_int_equal(kafka_world_committed(world, "g", "jobs.a", 0), HEAD_THAT_WAITS);
    kafka_world_kill_source(first.source);
    join(loop, world, &second, 2 * RECORDS);
    virtual_loop_advance(loop, 10);
    assert_int_equal(second.pulled_before, RECORDS); /* of the other partition */
    assert_int_equal(second.total, RECORDS);
    due_ms = loop_now_ms(loop) + 500; /* a clock was set */
    virtual_loop_advance(loop, 60000);
    assert_int_equal(second.total, 2 * RECORDS - HEAD_THAT_WAITS);
    kafka_source_close(second.source, 1000, NULL, NULL);
    virtual_loop_advance(loop, 10);
    kafka_world_free(world);
    virtual_loop_free(loop);
}

struct item {
    struct kafka_send send;
    int good, refused;
};

static void on_sent(struct kafka_send *send, const struct error *error, int32_t partition, int64_t offset)
{
    struct item *item = send->arg;
    (void)partition;
    (void)offset;
    item->good += !error;
    item->refused += error != NULL;
}

static void records_are_sent_until_they_are_there(void **state)
{
    (void)state;
    struct loop *loop = virtual_loop_new();
    struct kafka_world *world = kafka_world_new(loop);
    struct member member = {0};
    struct error error;
    struct kafka_sink *sink = kafka_sink_new(
        &(struct kafka_sink_options){.loop = loop,
                                     .cluster = {.bootstrap_servers = kafka_world_address(world)},
                                     .arg = &member,
                                     .on_state = on_state},
        &error);
    struct item items[3] = {0};
    struct kafka_record record = {.topic = "results", .key = {"k", 1}, .value = {"0123456789", 10}};
    for (int i = 0; i < 3; i++)
        items[i].send.arg = &items[i];
    kafka_world_fail_reports(world, 1, /* is_written= */ true);
    kafka_sink_send(sink, &items[0].send, &record, on_sent);
    virtual_loop_advance(loop, 200);
    assert_int_equal(items[0].good, 1);
    assert_int_equal(kafka_world_end(world, "results", 0), 2); /* a repeat */
    kafka_world_set_up(world, false, "it is off");
    virtual_loop_advance(loop, 1);
    assert_false(member.is_usable || kafka_sink_has_room(sink));
    kafka_sink_send(sink, &items[1].send, &record, on_sent);
    virtual_loop_advance(loop, 5000);
    assert_int_equal(items[1].good, 0);
    kafka_world_set_up(world, true, "");
    virtual_loop_advance(loop, 200);
    assert_int_equal(items[1].good, 1);
    kafka_world_set_record_max(world, 5);
    kafka_sink_send(sink, &items[2].send, &record, on_sent);
    virtual_loop_advance(loop, 10);
    assert_int_equal(items[2].refused, 1);
    assert_memory_equal(kafka_world_record(world, "results", 0, 2)->value.data, "0123456789", 10);
    kafka_sink_close(sink, 100, on_closed, &member);
    virtual_loop_advance(loop, 200);
    assert_true(member.is_closed);
    kafka_world_free(world);
    virtual_loop_free(loop);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_members_successor_gets_what_was_not_finished),
        cmocka_unit_test(two_members_share_and_an_expelled_one_commits_nothing),
        cmocka_unit_test(a_head_that_waits_holds_back_its_own_partition_only),
        cmocka_unit_test(records_are_sent_until_they_are_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
