#include "kafka/partition.h"
#include "test.h"

static struct partition *loaded(int64_t committed, int64_t low, int64_t high)
{
    struct error error;
    struct partition *partition = partition_new("t", 3);
    struct partition_facts facts = {.committed = committed, .low = low, .high = high};
    assert_int_equal(partition_load(partition, &facts, &error), PARTITION_FINE);
    assert_int_equal(partition->phase, PARTITION_READY);
    partition->phase = PARTITION_RUNNING;
    return partition;
}

static void take(struct partition *partition, int64_t offset, enum partition_verdict expected)
{
    enum partition_verdict verdict = partition_judge(partition, offset);
    assert_int_equal(verdict, expected);
    partition_pass(partition, offset, verdict);
    assert_int_equal(partition->in_flight, offset_map_open_count(&partition->map, partition->position));
}

static void a_first_run_starts_at_the_earliest_record(void **state)
{
    (void)state;
    struct partition *partition = loaded(-1, 40, 50);
    assert_int_equal(partition->position, 40);
    assert_int_equal(partition_backlog(partition), 10);
    take(partition, 40, PARTITION_DELIVER);
    assert_true(partition_finish(partition, 40));
    assert_false(partition_finish(partition, 40));
    assert_false(partition_finish(partition, 12));
    assert_int_equal(partition->map.base, 41);
    assert_int_equal(partition->in_flight, 0);
    partition_free(partition);
}

static void gaps_count_as_finished(void **state)
{
    (void)state;
    struct partition *partition = loaded(10, 0, 50);
    take(partition, 13, PARTITION_DELIVER); /* 10 to 12 never came */
    assert_int_equal(partition->map.base, 13);
    take(partition, 20, PARTITION_DELIVER);
    assert_int_equal(partition->in_flight, 2);
    assert_true(partition_finish(partition, 13));
    assert_int_equal(partition->map.base, 20);
    partition_reach(partition, 50); /* markers up to the end */
    assert_int_equal(partition_backlog(partition), 1);
    assert_true(partition_finish(partition, 20));
    assert_int_equal(partition->map.base, 50);
    assert_int_equal(partition_judge(partition, 20), PARTITION_SKIP);
    partition_free(partition);
}

static void what_stands_behind_a_waiting_head_is_no_backlog(void **state)
{
    (void)state;
    struct partition *partition = loaded(10, 0, 50);
    take(partition, 10, PARTITION_DELIVER);
    take(partition, 11, PARTITION_DELIVER);
    assert_true(partition_finish(partition, 11));
    assert_int_equal(partition_backlog(partition), 39);
    assert_int_equal(partition_deferred(partition), 0);
    partition->wait_until_ms = 5000;
    assert_int_equal(partition_backlog(partition), 1); /* the one in flight */
    assert_int_equal(partition_deferred(partition), 38);
    partition_lose(partition);
    assert_int_equal(partition_backlog(partition), 0);
    assert_int_equal(partition_deferred(partition), 0);
    partition_free(partition);
}

static void what_an_owner_before_us_pulled_is_recovered(void **state)
{
    (void)state;
    struct offset_map map;
    CLEANUP(buffer_release) struct buffer text = {0};
    offset_map_init(&map, 10);
    offset_map_finish(&map, 12, 15);
    offset_map_see(&map, 19);
    offset_map_encode(&map, &text);
    offset_map_release(&map);
    struct error error;
    struct partition *partition = partition_new("t", 0);
    assert_true(partition_finish(partition, 11)); /* a detached job of ours, before the map is read */
    struct partition_facts facts = {.committed = 10, .metadata = buffer_bytes(&text), .low = 0, .high = 100};
    assert_int_equal(partition_load(partition, &facts, &error), PARTITION_FINE);
    take(partition, 10, PARTITION_RECOVER);
    take(partition, 11, PARTITION_SKIP);
    take(partition, 12, PARTITION_SKIP);
    take(partition, 15, PARTITION_RECOVER); /* 13 and 14 are not even fetched again */
    take(partition, 16, PARTITION_RECOVER);
    take(partition, 19, PARTITION_RECOVER);
    take(partition, 20, PARTITION_DELIVER);
    assert_int_equal(partition->in_flight, 5);
    partition_free(partition);
}

static void a_partition_that_comes_back_keeps_its_records_in_flight(void **state)
{
    (void)state;
    struct error error;
    struct partition *partition = loaded(0, 0, 100);
    for (int64_t offset = 0; offset < 10; offset++)
        take(partition, offset, PARTITION_DELIVER);
    assert_true(partition_finish(partition, 4));
    partition->phase = PARTITION_AWAY;
    assert_true(partition_finish(partition, 5)); /* while it was away */
    /* Somebody else had it meanwhile: finished 0 to 2 and 30, pulled up to 40. */
    struct offset_map map;
    CLEANUP(buffer_release) struct buffer text = {0};
    offset_map_init(&map, 3);
    offset_map_finish(&map, 30, 31);
    offset_map_see(&map, 39);
    offset_map_encode(&map, &text);
    offset_map_release(&map);
    struct partition_facts facts = {.committed = 3, .metadata = buffer_bytes(&text), .low = 0, .high = 100};
    assert_int_equal(partition_load(partition, &facts, &error), PARTITION_FINE);
    assert_int_equal(partition->map.base, 3);
    assert_int_equal(partition->position, 10);
    assert_int_equal(partition->in_flight, 5); /* 3, 6, 7, 8, 9 */
    assert_int_equal(partition_judge(partition, 9), PARTITION_SKIP);
    assert_int_equal(partition_judge(partition, 10), PARTITION_RECOVER);
    assert_int_equal(partition_judge(partition, 30), PARTITION_SKIP);
    assert_int_equal(partition_judge(partition, 40), PARTITION_DELIVER);
    partition_free(partition);
}

static void a_base_or_map_beyond_the_end_is_foreign(void **state)
{
    (void)state;
    struct error error;
    struct offset_map map;
    CLEANUP(buffer_release) struct buffer text = {0};
    offset_map_init(&map, 10);
    offset_map_finish(&map, 20, 500);
    offset_map_encode(&map, &text);
    offset_map_release(&map);
    struct partition_facts samples[] = {
        {.committed = 101, .low = 7, .high = 100},
        {.committed = 10, .metadata = buffer_bytes(&text), .low = 7, .high = 100},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        struct partition *partition = partition_new("t", 0);
        assert_int_equal(partition_load(partition, &samples[i], &error), PARTITION_FOREIGN);
        assert_int_equal(partition->position, 7);
        assert_int_equal(partition->map.base, 7);
        assert_true(strlen(error.text) > 0);
        partition_free(partition);
    }
}

static void a_log_that_shrank_under_us_is_foreign(void **state)
{
    (void)state;
    struct error error;
    struct partition *partition = loaded(90, 0, 100);
    take(partition, 90, PARTITION_DELIVER);
    take(partition, 91, PARTITION_DELIVER);
    struct partition_facts facts = {.committed = -1, .low = 0, .high = 50};
    assert_int_equal(partition_load(partition, &facts, &error), PARTITION_FOREIGN);
    assert_int_equal(partition->position, 0);
    assert_int_equal(partition->in_flight, 0);
    partition_free(partition);
}

static void metadata_of_others_leaves_the_base(void **state)
{
    (void)state;
    struct error error;
    struct partition *partition = partition_new("t", 0);
    struct partition_facts facts = {.committed = 10, .metadata = {"a note", 6}, .low = 0, .high = 100};
    assert_int_equal(partition_load(partition, &facts, &error), PARTITION_UNREADABLE);
    assert_int_equal(partition->position, 10);
    partition_free(partition);
}

static void retention_that_passed_the_base_is_found(void **state)
{
    (void)state;
    struct error error;
    struct partition *partition = partition_new("t", 0);
    struct partition_facts facts = {.committed = 10, .low = 30, .high = 100};
    assert_int_equal(partition_load(partition, &facts, &error), PARTITION_OVERTAKEN);
    assert_int_equal(partition->position, 30);
    assert_non_null(strstr(error.text, "20 records"));
    partition_free(partition);
}

static void a_map_near_its_limit_takes_no_more(void **state)
{
    (void)state;
    struct partition *partition = loaded(0, 0, 1000000);
    int64_t offset = 0;
    for (; partition_has_room(partition) && offset < 100000; offset++) {
        take(partition, offset, PARTITION_DELIVER);
        if (offset % 2 == 1)
            assert_true(partition_finish(partition, offset));
    }
    assert_in_range(offset, 1000, 5000);
    /* Whatever finishes now, in the worst of orders, the text fits at every moment. */
    for (int64_t i = 0; i < offset; i += 4) {
        (void)partition_finish(partition, i);
        assert_true(offset_map_text_length(&partition->map) <= OFFSET_MAP_TEXT_MAX);
        assert_true(partition_is_dirty(partition));
    }
    partition_free(partition);
}

static void in_flight_records_in_a_row_never_overflow_the_map(void **state)
{
    (void)state;
    struct partition *partition = loaded(0, 0, 1000000);
    int64_t offset = 0;
    for (; partition_has_room(partition) && offset < 100000; offset++)
        take(partition, offset, PARTITION_DELIVER);
    for (int64_t i = 1; i < offset; i += 2) {
        assert_true(partition_finish(partition, i));
        assert_true(offset_map_text_length(&partition->map) <= OFFSET_MAP_TEXT_MAX);
    }
    partition_free(partition);
}

/* Finished, because retention took it; whoever asks whether its result is there must know. */
static void what_vanishes_after_it_was_pulled_is_remembered(void **state)
{
    (void)state;
    struct error error;
    struct partition *partition = loaded(0, 0, 100);
    for (int64_t offset = 0; offset < 10; offset++)
        take(partition, offset, PARTITION_DELIVER);
    for (int64_t offset = 0; offset < 10; offset++)
        if (offset != 3 && offset != 7)
            assert_true(partition_finish(partition, offset));
    partition_lose(partition);
    struct partition_facts facts = {.committed = -1, .low = 0, .high = 100};
    assert_int_equal(partition_load(partition, &facts, &error), PARTITION_FINE);
    assert_int_equal(partition->overtaken_end, 0);
    take(partition, 5, PARTITION_SKIP); /* 3 is not there any more */
    assert_true(offset_map_is_finished(&partition->map, 3));
    assert_int_equal(partition->overtaken_end, 5);
    take(partition, 7, PARTITION_RECOVER);
    take(partition, 15, PARTITION_DELIVER); /* what was never pulled is no matter */
    assert_int_equal(partition->overtaken_end, 5);
    partition_free(partition);
}

static void only_changes_are_committed(void **state)
{
    (void)state;
    struct partition *partition = loaded(5, 0, 100);
    assert_true(partition_is_dirty(partition));
    partition->change_kept = partition->change;
    assert_false(partition_is_dirty(partition));
    take(partition, 5, PARTITION_DELIVER);
    assert_true(partition_is_dirty(partition));
    partition->phase = PARTITION_AWAY;
    assert_false(partition_is_dirty(partition)); /* another's now */
    partition->phase = PARTITION_RUNNING;
    partition->base_kept = 6;
    assert_false(partition_is_dirty(partition)); /* never backwards */
    partition_free(partition);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_run_starts_at_the_earliest_record),
        cmocka_unit_test(gaps_count_as_finished),
        cmocka_unit_test(what_stands_behind_a_waiting_head_is_no_backlog),
        cmocka_unit_test(what_an_owner_before_us_pulled_is_recovered),
        cmocka_unit_test(a_partition_that_comes_back_keeps_its_records_in_flight),
        cmocka_unit_test(a_base_or_map_beyond_the_end_is_foreign),
        cmocka_unit_test(a_log_that_shrank_under_us_is_foreign),
        cmocka_unit_test(metadata_of_others_leaves_the_base),
        cmocka_unit_test(retention_that_passed_the_base_is_found),
        cmocka_unit_test(a_map_near_its_limit_takes_no_more),
        cmocka_unit_test(in_flight_records_in_a_row_never_overflow_the_map),
        cmocka_unit_test(what_vanishes_after_it_was_pulled_is_remembered),
        cmocka_unit_test(only_changes_are_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
