/* What a source promises, against a mock or a real cluster: nothing lost, nothing twice without need. */
#include "base/clock.h"
#include "base/random.h"
#include "kafka/source.h"
#include "kafka/source_inside.h"
#include "kafka_cluster.h"
#include "loop/on_uv.h"
#include "test.h"

#include <stdio.h>

enum { PARTITIONS = 6, RECORDS_MAX = 20000, PATIENCE_MS = 90000, WORK_PER_TICK = 400 };

static struct cluster *cluster;
static bool is_real;
static const char *assignor = "eager";

struct flight {
    int32_t partition;
    int64_t offset;
};

/* A worker in miniature: takes records up to a limit, finishes them in random order. */
struct member {
    struct loop *loop; /* borrowed */
    struct kafka_source *source;
    const char *topic;
    struct random random;
    struct flight *flights;
    size_t count, limit;
    uint8_t delivered[PARTITIONS][RECORDS_MAX], finished[PARTITIONS][RECORDS_MAX];
    int64_t delivered_count, finished_count, pulled_before, assigned, revoked, lost;
    bool (*keeps)(int32_t partition, int64_t offset);    /* NULL: nothing is kept */
    int64_t (*waits)(int32_t partition, int64_t offset); /* ms; NULL: nothing waits */
    int64_t asked;                                       /* ... and was answered with a wait */
    bool is_idle;                                        /* finishes nothing */
    bool is_out_of_memory;
    int64_t memory_asked; /* ... and was told so */
    bool is_usable, is_closed;
    char why[500];
    struct timer work;
};

static bool has_room(void *arg, const char *topic)
{
    (void)topic;
    struct member *member = arg;
    return member->count < member->limit;
}

static bool has_memory(void *arg)
{
    struct member *member = arg;
    member->memory_asked += member->is_out_of_memory;
    return !member->is_out_of_memory;
}

static int64_t wait_ms(void *arg, const struct kafka_message *message)
{
    struct member *member = arg;
    int64_t ms = member->waits ? member->waits(message->partition, message->offset) : 0;
    assert_int_equal(message->header_count, 1);
    assert_false(message->was_pulled);
    assert_false(member->delivered[message->partition][message->offset]);
    member->asked += ms > 0;
    return ms;
}

static void on_message(void *arg, const struct kafka_message *message)
{
    struct member *member = arg;
    assert_text(message->topic, member->topic);
    assert_true(strlen(kafka_source_cluster_id(member->source)) > 0);
    char number[32];
    (void)snprintf(number, sizeof number, "%lld", (long long)message->offset);
    assert_int_equal(message->value.length, strlen(number));
    assert_memory_equal(message->value.data, number, strlen(number));
    assert_int_equal(message->header_count, 1);
    assert_text(message->headers[0].name, "number");
    assert_false(member->finished[message->partition][message->offset]);
    for (size_t i = 0; i < member->count && member->delivered[message->partition][message->offset]; i++)
        assert_false(member->flights[i].partition == message->partition &&
                     member->flights[i].offset == message->offset);
    member->delivered[message->partition][message->offset] = 1;
    member->delivered_count++;
    member->pulled_before += message->was_pulled;
    assert_true(member->count < RECORDS_MAX);
    member->flights[member->count++] = (struct flight){message->partition, message->offset};
}

static void on_assigned(void *arg, const char *topic, int32_t partition)
{
    struct member *member = arg;
    assert_true(kafka_source_owns(member->source, topic, partition));
    member->assigned++;
}

static void on_revoked(void *arg, const char *topic, int32_t partition, bool is_lost)
{
    struct member *member = arg;
    assert_false(kafka_source_owns(member->source, topic, partition));
    member->revoked++;
    member->lost += is_lost;
    size_t kept = 0;
    for (size_t i = 0; i < member->count; i++)
        if (member->flights[i].partition != partition)
            member->flights[kept++] = member->flights[i];
    member->count = kept;
}

static void on_state(void *arg, bool is_usable, const char *why)
{
    struct member *member = arg;
    member->is_usable = is_usable;
    (void)snprintf(member->why, sizeof member->why, "%s", why);
    assert_true(is_usable == (why[0] == '\0'));
}

static void on_closed(void *arg)
{
    struct member *member = arg;
    member->is_closed = true;
    member->source = NULL;
}

static void on_work(void *arg)
{
    struct member *member = arg;
    loop_timer_start(member->loop, &member->work, 2, on_work, member);
    for (int i = 0; i < WORK_PER_TICK && member->count > 0 && !member->is_idle; i++) {
        size_t place = random_below(&member->random, member->count);
        struct flight flight = member->flights[place];
        if (member->keeps && member->keeps(flight.partition, flight.offset))
            continue;
        member->flights[place] = member->flights[--member->count];
        member->finished[flight.partition][flight.offset] = 1;
        member->finished_count++;
        kafka_source_finish(member->source, member->topic, flight.partition, flight.offset);
    }
    if (member->source && member->count < member->limit)
        kafka_source_pull(member->source);
}

static struct kafka_source *open_source(struct loop *loop, const char *topic, const char *group,
                                        struct kafka_source_events events)
{
    static const struct log log = {.component = "test", .level = LOG_LEVEL_WARN};
    struct error error = {0};
    struct kafka_source *source =
        kafka_source_new(&(struct kafka_source_options){.loop = loop,
                                                        .log = &log,
                                                        .cluster = cluster_address(cluster),
                                                        .group_id = group,
                                                        .topics = &topic,
                                                        .topic_count = 1,
                                                        .assignor = assignor,
                                                        .client_id = "contract",
                                                        .events = events},
                         &error);
    if (!source)
        fail_msg("%s", error.text);
    return source;
}

static struct member *member_new(struct loop *loop, const char *topic, const char *group, size_t limit)
{
    struct member *member = base_alloc(sizeof *member);
    member->loop = loop;
    member->topic = topic;
    member->limit = limit;
    member->flights = base_alloc(RECORDS_MAX * sizeof *member->flights);
    random_init_seed(&member->random, 7);
    member->source = open_source(loop, topic, group,
                                 (struct kafka_source_events){.arg = member,
                                                              .has_room = has_room,
                                                              .has_memory = has_memory,
                                                              .wait_ms = wait_ms,
                                                              .on_message = on_message,
                                                              .on_assigned = on_assigned,
                                                              .on_revoked = on_revoked,
                                                              .on_state = on_state});
    loop_timer_start(loop, &member->work, 2, on_work, member);
    return member;
}

/* ---- waiting ---- */

struct wait {
    struct loop *loop;
    bool (*is_over)(void *arg);
    void *arg;
    struct timer timer;
    int64_t until_ms;
    bool is_late;
};

static void on_look(void *arg)
{
    struct wait *wait = arg;
    wait->is_late = loop_now_ms(wait->loop) > wait->until_ms;
    if (wait->is_late || wait->is_over(wait->arg))
        loop_stop(wait->loop);
    else
        loop_timer_start(wait->loop, &wait->timer, 5, on_look, wait);
}

static bool wait_for(struct loop *loop, int64_t ms, bool (*is_over)(void *arg), void *arg)
{
    struct wait wait = {.loop = loop, .is_over = is_over, .arg = arg};
    wait.until_ms = loop_now_ms(loop) + ms;
    loop_timer_start(loop, &wait.timer, 1, on_look, &wait);
    loop_run(loop);
    loop_timer_stop(loop, &wait.timer);
    return !wait.is_late;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static bool is_closed(void *arg)
{
    return ((struct member *)arg)->is_closed;
}

static void member_close(struct member *member)
{
    kafka_source_close(member->source, 15000, on_closed, member);
    assert_true(wait_for(member->loop, 20000, is_closed, member));
}

static void member_free(struct member *member)
{
    loop_timer_stop(member->loop, &member->work);
    free(member->flights);
    free(member);
}

static int64_t wanted;

static bool has_finished(void *arg)
{
    return ((struct member *)arg)->finished_count >= wanted;
}

static bool has_delivered(void *arg)
{
    return ((struct member *)arg)->delivered_count >= wanted;
}

static void assert_committed(const char *group, const char *topic, int32_t partition, int64_t base)
{
    struct offset_map map;
    assert_int_equal(cluster_committed(cluster, group, topic, partition, &map), base);
    assert_int_equal(map.count, 0);
    offset_map_release(&map);
}

/* ---- cases ---- */

static void everything_finished_in_any_order_moves_the_base_to_the_end(void **state)
{
    (void)state;
    enum { EACH = 3334 };
    char topic[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "order", PARTITIONS, topic);
    cluster_name(cluster, "g", group);
    cluster_fill(cluster, topic, PARTITIONS, EACH);
    struct loop *loop = loop_new();
    struct member *member = member_new(loop, topic, group, 2000);
    wanted = PARTITIONS * EACH;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, member));
    struct kafka_source_stats stats;
    kafka_source_stats(member->source, &stats);
    assert_true(stats.has_joined && member->is_usable);
    assert_int_equal(stats.partitions, PARTITIONS);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.backlog, 0);
    assert_int_equal(member->delivered_count, wanted);
    assert_int_equal(member->pulled_before, 0);
    member_close(member);
    assert_int_equal(member->revoked, PARTITIONS);
    for (int32_t partition = 0; partition < PARTITIONS; partition++)
        assert_committed(group, topic, partition, EACH);
    member_free(member);
    loop_free(loop, NULL, NULL);
}

static bool keeps_a_third(int32_t partition, int64_t offset)
{
    return (offset * 31 + partition) % 3 == 0;
}

static void a_restart_delivers_exactly_what_was_not_finished(void **state)
{
    (void)state;
    enum { EACH = 800 };
    char topic[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "restart", PARTITIONS, topic);
    cluster_name(cluster, "g", group);
    cluster_fill(cluster, topic, PARTITIONS, EACH);
    struct loop *loop = loop_new();
    struct member *first = member_new(loop, topic, group, RECORDS_MAX - 1);
    first->keeps = keeps_a_third;
    wanted = 0;
    for (int32_t partition = 0; partition < PARTITIONS; partition++)
        for (int64_t offset = 0; offset < EACH; offset++)
            wanted += !keeps_a_third(partition, offset);
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, first));
    member_close(first);
    struct member *second = member_new(loop, topic, group, 100);
    int64_t rest = PARTITIONS * EACH - wanted;
    wanted = rest;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, second));
    (void)wait_for(loop, 300, never, NULL);
    assert_int_equal(second->delivered_count, rest);
    assert_int_equal(second->pulled_before, rest);
    for (int32_t partition = 0; partition < PARTITIONS; partition++)
        for (int64_t offset = 0; offset < EACH; offset++)
            assert_int_equal(second->delivered[partition][offset], !first->finished[partition][offset]);
    member_close(second);
    for (int32_t partition = 0; partition < PARTITIONS; partition++)
        assert_committed(group, topic, partition, EACH);
    member_free(first);
    member_free(second);
    loop_free(loop, NULL, NULL);
}

struct pair {
    struct member *first, *second;
};

static bool have_finished(void *arg)
{
    struct pair *pair = arg;
    int64_t count = 0;
    for (int32_t partition = 0; partition < PARTITIONS; partition++)
        for (int64_t offset = 0; offset < RECORDS_MAX; offset++)
            count += pair->first->finished[partition][offset] ||
                     (pair->second && pair->second->finished[partition][offset]);
    return count >= wanted;
}

static bool is_busy(void *arg)
{
    const struct member *member = arg;
    return member->finished_count > 200 || member->count >= member->limit;
}

static void share(void)
{
    enum { EACH = 1500 };
    char topic[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "share", PARTITIONS, topic);
    cluster_name(cluster, "g", group);
    cluster_fill(cluster, topic, PARTITIONS, EACH);
    struct loop *loop = loop_new();
    struct pair pair = {.first = member_new(loop, topic, group, 60)};
    pair.first->keeps = keeps_a_third; /* in flight during the rebalance */
    assert_true(wait_for(loop, PATIENCE_MS, is_busy, pair.first));
    pair.second = member_new(loop, topic, group, 60);
    assert_true(wait_for(loop, PATIENCE_MS, is_busy, pair.second));
    pair.first->keeps = NULL;
    assert_int_equal(pair.first->revoked, PARTITIONS / 2); /* what came back was never gone */
    assert_int_equal(pair.first->assigned, PARTITIONS);
    member_close(pair.second);
    wanted = PARTITIONS * EACH;
    assert_true(wait_for(loop, PATIENCE_MS, have_finished, &pair));
    assert_int_equal(pair.first->lost, 0);
    member_close(pair.first);
    for (int32_t partition = 0; partition < PARTITIONS; partition++)
        assert_committed(group, topic, partition, EACH);
    member_free(pair.first);
    member_free(pair.second);
    loop_free(loop, NULL, NULL);
}

static void two_members_share_and_lose_nothing_in_rebalances(void **state)
{
    (void)state;
    share();
}

static void cooperative_members_share_too(void **state)
{
    (void)state;
    if (!kafka_library_is_cooperative())
        skip(); /* refused there: wrong_properties_are_named */
    assignor = "cooperative-sticky";
    share();
    assignor = "eager";
}

static bool keeps_the_first(int32_t partition, int64_t offset)
{
    (void)partition;
    return offset == 0;
}

static void one_record_that_runs_long_holds_back_nothing_but_the_base(void **state)
{
    (void)state;
    enum { EACH = 9000 };
    char topic[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "head", 1, topic);
    cluster_name(cluster, "g", group);
    cluster_fill(cluster, topic, 1, EACH);
    struct loop *loop = loop_new();
    struct member *first = member_new(loop, topic, group, 100);
    first->keeps = keeps_the_first;
    wanted = EACH - 1;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, first));
    member_close(first);
    struct offset_map map;
    assert_int_equal(cluster_committed(cluster, group, topic, 0, &map), 0);
    assert_int_equal(map.count, 1);
    assert_int_equal(map.runs[0].first, 1);
    assert_int_equal(map.runs[0].end, EACH);
    offset_map_release(&map);
    struct member *second = member_new(loop, topic, group, 100);
    wanted = 1;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, second));
    (void)wait_for(loop, 500, never, NULL);
    assert_int_equal(second->delivered_count, 1);
    assert_int_equal(second->delivered[0][0], 1);
    member_close(second);
    assert_committed(group, topic, 0, EACH);
    member_free(first);
    member_free(second);
    loop_free(loop, NULL, NULL);
}

static void without_room_nothing_is_pulled(void **state)
{
    (void)state;
    enum { EACH = 200, ROOM = 10 };
    char topic[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "room", PARTITIONS, topic);
    cluster_name(cluster, "g", group);
    cluster_fill(cluster, topic, PARTITIONS, EACH);
    struct loop *loop = loop_new();
    struct member *member = member_new(loop, topic, group, ROOM);
    member->is_idle = true;
    wanted = ROOM;
    assert_true(wait_for(loop, PATIENCE_MS, has_delivered, member));
    (void)wait_for(loop, 1500, never, NULL);
    assert_int_equal(member->delivered_count, ROOM);
    struct kafka_source_stats stats;
    kafka_source_stats(member->source, &stats);
    assert_int_equal(stats.in_flight, ROOM);
    assert_int_equal(stats.backlog, PARTITIONS * EACH);
    kafka_source_hold(member->source, true);
    member->is_idle = false;
    (void)wait_for(loop, 300, never, NULL);
    assert_int_equal(member->delivered_count, ROOM);
    kafka_source_hold(member->source, false);
    wanted = PARTITIONS * EACH;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, member));
    member_close(member);
    member_free(member);
    loop_free(loop, NULL, NULL);
}

enum { HEAD_THAT_WAITS = 50 };
static int64_t head_wait_ms;

static int64_t one_head_waits(int32_t partition, int64_t offset)
{
    return partition == 0 && offset == HEAD_THAT_WAITS ? head_wait_ms : 0;
}

static void a_head_that_waits_holds_back_its_own_partition_only(void **state)
{
    (void)state;
    enum { EACH = 200, BEFORE = (PARTITIONS - 1) * EACH + HEAD_THAT_WAITS };
    char topic[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "waits", PARTITIONS, topic);
    cluster_name(cluster, "g", group);
    cluster_fill(cluster, topic, PARTITIONS, EACH);
    struct loop *loop = loop_new();
    struct member *member = member_new(loop, topic, group, 100);
    struct kafka_source_stats stats;
    int64_t start_ms = loop_now_ms(loop);
    member->waits = one_head_waits;
    head_wait_ms = 4000;
    wanted = BEFORE;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, member));
    (void)wait_for(loop, 500, never, NULL);
    assert_int_equal(member->delivered_count, BEFORE);
    kafka_source_stats(member->source, &stats);
    assert_int_equal(stats.backlog, 0);
    assert_int_equal(stats.deferred, EACH - HEAD_THAT_WAITS);
    assert_int_equal(stats.in_flight, 0);
    /* However often there was room meanwhile. */
    assert_in_range(member->asked, 1, 1 + (loop_now_ms(loop) - start_ms) / head_wait_ms);
    head_wait_ms = 0;
    wanted = PARTITIONS * EACH;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, member)); /* found without a word from us */
    kafka_source_stats(member->source, &stats);
    assert_int_equal(stats.deferred, 0);
    member_close(member);
    for (int32_t partition = 0; partition < PARTITIONS; partition++)
        assert_committed(group, topic, partition, EACH);
    member_free(member);
    loop_free(loop, NULL, NULL);
}

static int64_t everything_waits(int32_t partition, int64_t offset)
{
    (void)partition, (void)offset;
    return 3600000;
}

static bool has_asked_for_memory(void *arg)
{
    return ((struct member *)arg)->memory_asked > 0;
}

static void what_waits_was_not_pulled_and_what_was_pulled_does_not_wait(void **state)
{
    (void)state;
    enum { EACH = 100 };
    char topic[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "recovered", 1, topic);
    cluster_name(cluster, "g", group);
    cluster_fill(cluster, topic, 1, EACH);
    struct loop *loop = loop_new();
    struct member *first = member_new(loop, topic, group, 100);
    first->waits = one_head_waits;
    first->is_idle = true;
    head_wait_ms = 3600000;
    wanted = HEAD_THAT_WAITS;
    assert_true(wait_for(loop, PATIENCE_MS, has_delivered, first));
    (void)wait_for(loop, 300, never, NULL);
    member_close(first);
    struct offset_map map;
    assert_int_equal(cluster_committed(cluster, group, topic, 0, &map), 0);
    assert_int_equal(map.seen, HEAD_THAT_WAITS);
    offset_map_release(&map);
    struct member *second = member_new(loop, topic, group, 100);
    second->waits = everything_waits;
    second->is_out_of_memory = true; /* which alone keeps it where it is */
    assert_true(wait_for(loop, PATIENCE_MS, has_asked_for_memory, second));
    (void)wait_for(loop, 300, never, NULL);
    assert_int_equal(second->delivered_count, 0);
    second->is_out_of_memory = false;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, second));
    (void)wait_for(loop, 300, never, NULL);
    assert_int_equal(second->delivered_count, HEAD_THAT_WAITS);
    assert_int_equal(second->pulled_before, HEAD_THAT_WAITS);
    assert_int_equal(second->asked, 1);
    member_close(second);
    assert_committed(group, topic, 0, HEAD_THAT_WAITS);
    member_free(first);
    member_free(second);
    loop_free(loop, NULL, NULL);
}

static bool has_asked(void *arg)
{
    return ((struct member *)arg)->asked > 0;
}

static bool has_partitions(void *arg)
{
    struct kafka_source_stats stats;
    struct member *member = arg;
    kafka_source_stats(member->source, &stats);
    return stats.partitions > 0;
}

static void a_partition_with_a_waiting_head_changes_hands(void **state)
{
    (void)state;
    enum { EACH = 20 };
    char topic[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "moves", 2, topic);
    cluster_name(cluster, "g", group);
    cluster_fill(cluster, topic, 2, EACH);
    struct loop *loop = loop_new();
    struct pair pair = {.first = member_new(loop, topic, group, 100)};
    pair.first->waits = everything_waits;
    assert_true(wait_for(loop, PATIENCE_MS, has_asked, pair.first));
    pair.second = member_new(loop, topic, group, 100);
    assert_true(wait_for(loop, PATIENCE_MS, has_partitions, pair.second));
    wanted = EACH;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, pair.second));
    assert_int_equal(pair.first->delivered_count, 0);
    assert_int_equal(pair.second->pulled_before, 0);
    member_close(pair.first);
    wanted = 2 * EACH;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, pair.second));
    member_close(pair.second);
    for (int32_t partition = 0; partition < 2; partition++)
        assert_committed(group, topic, partition, EACH);
    member_free(pair.first);
    member_free(pair.second);
    loop_free(loop, NULL, NULL);
}

/* Two topics, of which one has room. */
struct two {
    const char *roomy;
    int64_t of_roomy, of_other;
    bool has_room, is_closed;
};

static bool only_one_has_room(void *arg, const char *topic)
{
    const struct two *two = arg;
    return two->has_room || strcmp(topic, two->roomy) == 0;
}

static void count_by_topic(void *arg, const struct kafka_message *message)
{
    struct two *two = arg;
    *(strcmp(message->topic, two->roomy) == 0 ? &two->of_roomy : &two->of_other) += 1;
}

static void ignore_partition(void *arg, const char *topic, int32_t partition)
{
    (void)arg, (void)topic, (void)partition;
}

static void ignore_revoked(void *arg, const char *topic, int32_t partition, bool is_lost)
{
    (void)arg, (void)topic, (void)partition, (void)is_lost;
}

static void ignore_state(void *arg, bool is_usable, const char *why)
{
    (void)arg, (void)is_usable, (void)why;
}

static void on_two_closed(void *arg)
{
    ((struct two *)arg)->is_closed = true;
}

static bool are_two_closed(void *arg)
{
    return ((struct two *)arg)->is_closed;
}

static bool has_all_of_roomy(void *arg)
{
    return ((struct two *)arg)->of_roomy >= wanted;
}

static bool has_all_of_other(void *arg)
{
    return ((struct two *)arg)->of_other >= wanted;
}

static void room_is_a_matter_of_the_topic(void **state)
{
    (void)state;
    enum { EACH = 300 };
    char full[CLUSTER_NAME_SIZE], roomy[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "full", 2, full);
    cluster_topic(cluster, "roomy", 1, roomy);
    cluster_name(cluster, "g", group);
    cluster_fill(cluster, full, 2, EACH);
    cluster_fill(cluster, roomy, 1, EACH);
    struct loop *loop = loop_new();
    struct two two = {.roomy = roomy};
    const char *const topics[] = {full, roomy};
    struct error error;
    struct kafka_source *source =
        kafka_source_new(&(struct kafka_source_options){.loop = loop,
                                                        .cluster = cluster_address(cluster),
                                                        .group_id = group,
                                                        .topics = topics,
                                                        .topic_count = 2,
                                                        .client_id = "two",
                                                        .events = {.arg = &two,
                                                                   .has_room = only_one_has_room,
                                                                   .on_message = count_by_topic,
                                                                   .on_revoked = ignore_revoked,
                                                                   .on_assigned = ignore_partition,
                                                                   .on_state = ignore_state}},
                         &error);
    assert_non_null(source);
    wanted = EACH;
    assert_true(wait_for(loop, PATIENCE_MS, has_all_of_roomy, &two));
    (void)wait_for(loop, 300, never, NULL);
    assert_int_equal(two.of_other, 0);
    two.has_room = true;
    kafka_source_pull(source);
    wanted = 2 * EACH;
    assert_true(wait_for(loop, PATIENCE_MS, has_all_of_other, &two));
    kafka_source_close(source, 15000, on_two_closed, &two);
    assert_true(wait_for(loop, 20000, are_two_closed, &two));
    loop_free(loop, NULL, NULL);
}

static bool keeps_even_of_one(int32_t partition, int64_t offset)
{
    return partition == 0 && offset % 2 == 0;
}

static void a_map_that_would_not_fit_rests_its_own_partition_only(void **state)
{
    (void)state;
    enum { EACH = 6000 };
    char topic[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "full", 2, topic);
    cluster_name(cluster, "g", group);
    cluster_fill(cluster, topic, 2, EACH);
    struct loop *loop = loop_new();
    struct member *member = member_new(loop, topic, group, RECORDS_MAX - 1);
    member->keeps = keeps_even_of_one;
    wanted = EACH + 100;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, member));
    int64_t before;
    do { /* until nothing more comes */
        before = member->delivered_count;
        (void)wait_for(loop, 2500, never, NULL);
    } while (member->delivered_count != before);
    int64_t of_first = 0, of_second = 0;
    for (int64_t offset = 0; offset < EACH; offset++) {
        of_first += member->delivered[0][offset];
        of_second += member->delivered[1][offset];
    }
    assert_int_equal(of_second, EACH);
    assert_in_range(of_first, 500, EACH - 1);
    struct offset_map map;
    assert_int_equal(cluster_committed(cluster, group, topic, 0, &map), 0);
    assert_int_equal(map.seen, of_first);
    assert_in_range(offset_map_text_length(&map), 500, OFFSET_MAP_TEXT_MAX);
    offset_map_release(&map);
    member->keeps = NULL;
    wanted = 2 * EACH;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, member));
    member_close(member);
    assert_committed(group, topic, 0, EACH);
    member_free(member);
    loop_free(loop, NULL, NULL);
}

static void a_base_beyond_the_end_starts_at_the_earliest_record(void **state)
{
    (void)state;
    enum { EACH = 20 };
    char topic[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "foreign", 2, topic);
    cluster_name(cluster, "g", group);
    cluster_fill(cluster, topic, 2, EACH);
    cluster_commit(cluster, group, topic, 0, 1000, "");
    cluster_commit(cluster, group, topic, 1, 5, "somebody else's note");
    struct loop *loop = loop_new();
    struct member *member = member_new(loop, topic, group, 100);
    wanted = EACH + EACH - 5;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, member));
    (void)wait_for(loop, 300, never, NULL);
    assert_int_equal(member->delivered_count, wanted);
    member_close(member);
    assert_committed(group, topic, 0, EACH);
    member_free(member);
    loop_free(loop, NULL, NULL);
}

static void a_base_that_retention_passed_starts_at_the_earliest_record(void **state)
{
    (void)state;
    enum { EACH = 100 };
    if (!is_real)
        skip(); /* the mock cannot delete records */
    char topic[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "overtaken", 1, topic);
    cluster_name(cluster, "g", group);
    cluster_fill(cluster, topic, 1, EACH);
    cluster_commit(cluster, group, topic, 0, 10, "");
    cluster_delete_below(cluster, topic, 0, 40);
    struct loop *loop = loop_new();
    struct member *member = member_new(loop, topic, group, 5);
    member->is_idle = true;
    wanted = 5;
    assert_true(wait_for(loop, PATIENCE_MS, has_delivered, member));
    assert_int_equal(member->delivered[0][40], 1);
    struct kafka_source_stats stats;
    kafka_source_stats(member->source, &stats);
    assert_int_equal(stats.overtaken, 1);
    member->is_idle = false;
    wanted = EACH - 40;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, member));
    member_close(member);
    assert_committed(group, topic, 0, EACH);
    member_free(member);
    loop_free(loop, NULL, NULL);
}

static bool has_no_backlog(void *arg)
{
    struct kafka_source_stats stats;
    struct member *member = arg;
    kafka_source_stats(member->source, &stats);
    return stats.has_joined && stats.partitions > 0 && stats.backlog == 0;
}

static void aborted_records_and_markers_do_not_hold_back_the_base(void **state)
{
    (void)state;
    if (!is_real)
        skip(); /* the mock's transactions leave nothing in the log */
    char topic[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "markers", 1, topic);
    cluster_name(cluster, "g", group);
    cluster_fill_transaction(cluster, topic, 10, true);  /* 0 to 9, marker 10 */
    cluster_fill_transaction(cluster, topic, 10, false); /* 11 to 20 aborted, marker 21 */
    cluster_fill_transaction(cluster, topic, 10, true);  /* 22 to 31, marker 32 */
    cluster_fill_transaction(cluster, topic, 5, false);  /* 33 to 37 aborted, marker 38 */
    struct loop *loop = loop_new();
    struct member *member = member_new(loop, topic, group, 100);
    wanted = 20;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, member));
    assert_true(wait_for(loop, PATIENCE_MS, has_no_backlog, member));
    assert_int_equal(member->delivered_count, 20);
    member_close(member);
    assert_committed(group, topic, 0, 39);
    member_free(member);
    loop_free(loop, NULL, NULL);
}

static bool is_back(void *arg)
{
    struct member *member = arg;
    return member->source && member->lost > 0 && member->assigned > PARTITIONS && member->is_usable;
}

static void a_fatal_error_ends_the_membership_and_a_new_one_goes_on(void **state)
{
    (void)state;
    enum { EACH = 1000 };
    char topic[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    cluster_topic(cluster, "fatal", PARTITIONS, topic);
    cluster_name(cluster, "g", group);
    cluster_fill(cluster, topic, PARTITIONS, EACH);
    struct loop *loop = loop_new();
    struct member *first = member_new(loop, topic, group, 50);
    first->keeps = keeps_a_third;
    assert_true(wait_for(loop, PATIENCE_MS, is_busy, first));
    (void)rd_kafka_test_fatal_error(source_librdkafka(first->source), RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
                                    "a test");
    assert_true(wait_for(loop, PATIENCE_MS, is_back, first));
    assert_int_equal(first->lost, PARTITIONS);
    first->keeps = NULL;
    wanted = PARTITIONS * EACH;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, first));
    member_close(first);
    for (int32_t partition = 0; partition < PARTITIONS; partition++)
        assert_committed(group, topic, partition, EACH);
    member_free(first);
    loop_free(loop, NULL, NULL);
}

static bool names_its_topic(void *arg)
{
    const struct member *member = arg;
    return !member->is_usable && strstr(member->why, member->topic);
}

static bool is_usable_again(void *arg)
{
    return ((struct member *)arg)->is_usable;
}

static void a_missing_topic_is_a_state_until_it_is_made(void **state)
{
    (void)state;
    enum { EACH = 10 };
    if (!is_real)
        skip(); /* the mock makes every topic that somebody asks for */
    char topic[CLUSTER_NAME_SIZE], group[CLUSTER_NAME_SIZE];
    cluster_name(cluster, "missing", topic);
    cluster_name(cluster, "g", group);
    struct loop *loop = loop_new();
    struct member *member = member_new(loop, topic, group, 100);
    assert_true(wait_for(loop, PATIENCE_MS, names_its_topic, member));
    cluster_make(cluster, topic, 2);
    cluster_fill(cluster, topic, 2, EACH);
    wanted = 2 * EACH;
    assert_true(wait_for(loop, PATIENCE_MS, has_finished, member));
    assert_true(wait_for(loop, PATIENCE_MS, is_usable_again, member));
    member_close(member);
    member_free(member);
    loop_free(loop, NULL, NULL);
}

static void wrong_properties_are_named(void **state)
{
    (void)state;
    const struct {
        struct kafka_property property;
        const char *assignor, *expected;
    } samples[] = {
        {{"no.such.thing", "1"}, "eager", "no.such.thing"},
        {{"session.timeout.ms", "soon"}, "eager", "session.timeout.ms"},
        {{"enable.auto.commit", "true"}, "eager", "enable.auto.commit"},
        {{"client.rack", "a"}, "sticky", "kafka.assignor"},
        {{"no.such.thing", "1"},
         "cooperative-sticky",
         kafka_library_is_cooperative() ? "no.such.thing" : "librdkafka " KAFKA_COOPERATIVE_SINCE},
    };
    struct loop *loop = loop_new();
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        struct error error = {0};
        struct kafka_cluster address = {
            .bootstrap_servers = "127.0.0.1:1", .properties = &samples[i].property, .property_count = 1};
        const char *topic = "t";
        assert_null(kafka_source_new(&(struct kafka_source_options){.loop = loop,
                                                                    .cluster = address,
                                                                    .group_id = "g",
                                                                    .topics = &topic,
                                                                    .topic_count = 1,
                                                                    .assignor = samples[i].assignor,
                                                                    .client_id = "c"},
                                     &error));
        assert_non_null(strstr(error.text, samples[i].expected));
    }
    loop_free(loop, NULL, NULL);
}

static void an_absent_cluster_is_a_state_and_holds_up_no_end(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct member *member = base_alloc(sizeof *member);
    const char *topic = "t";
    struct error error = {0};
    member->loop = loop;
    member->is_usable = true;
    member->source = kafka_source_new(
        &(struct kafka_source_options){
            .loop = loop,
            .cluster = {.bootstrap_servers = "127.0.0.1:1"},
            .group_id = "g",
            .topics = &topic,
            .topic_count = 1,
            .client_id = "c",
            .events = {.arg = member, .has_room = has_room, .on_message = on_message, .on_state = on_state}},
        &error);
    assert_non_null(member->source);
    (void)wait_for(loop, 5500, never, NULL); /* now it asks again whether the cluster is there */
    assert_false(member->is_usable);
    assert_non_null(strstr(member->why, "Connection refused"));
    int64_t start_ms = clock_monotonic_ms();
    kafka_source_close(member->source, 30000, on_closed, member);
    assert_true(wait_for(loop, 10000, is_closed, member));
    free(member);
    loop_free(loop, NULL, NULL);
    assert_in_range(clock_monotonic_ms() - start_ms, 0, 2500);
}

int main(int argc, char **argv)
{
    is_real = argc > 1 && strcmp(argv[1], "real") == 0;
    if (is_real && !getenv("E2BW_KAFKA"))
        return 77; /* skipped */
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_finished_in_any_order_moves_the_base_to_the_end),
        cmocka_unit_test(a_restart_delivers_exactly_what_was_not_finished),
        cmocka_unit_test(two_members_share_and_lose_nothing_in_rebalances),
        cmocka_unit_test(cooperative_members_share_too),
        cmocka_unit_test(one_record_that_runs_long_holds_back_nothing_but_the_base),
        cmocka_unit_test(without_room_nothing_is_pulled),
        cmocka_unit_test(a_head_that_waits_holds_back_its_own_partition_only),
        cmocka_unit_test(what_waits_was_not_pulled_and_what_was_pulled_does_not_wait),
        cmocka_unit_test(a_partition_with_a_waiting_head_changes_hands),
        cmocka_unit_test(room_is_a_matter_of_the_topic),
        cmocka_unit_test(a_map_that_would_not_fit_rests_its_own_partition_only),
        cmocka_unit_test(a_base_beyond_the_end_starts_at_the_earliest_record),
        cmocka_unit_test(a_base_that_retention_passed_starts_at_the_earliest_record),
        cmocka_unit_test(aborted_records_and_markers_do_not_hold_back_the_base),
        cmocka_unit_test(a_fatal_error_ends_the_membership_and_a_new_one_goes_on),
        cmocka_unit_test(a_missing_topic_is_a_state_until_it_is_made),
        cmocka_unit_test(wrong_properties_are_named),
        cmocka_unit_test(an_absent_cluster_is_a_state_and_holds_up_no_end),
    };
    cluster = cluster_new(is_real);
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cluster_free(cluster);
    return failed;
}
