#include "kafka/offset_map.h"
#include "base/base64.h"
#include "base/random.h"
#include "test.h"

enum { SPAN = 300, BASE = 1000 };

/* The same thing, as simple as can be. */
struct model {
    bool is_finished[SPAN];
    int64_t seen;
};

static void assert_invariants(const struct offset_map *map)
{
    int64_t end = map->base;
    for (size_t i = 0; i < map->count; i++) {
        assert_true(map->runs[i].first > end);
        assert_true(map->runs[i].end > map->runs[i].first);
        end = map->runs[i].end;
    }
    assert_true(map->seen >= end);
}

static void assert_equals_model(const struct offset_map *map, const struct model *model)
{
    int64_t base = 0, open = 0;
    while (base < SPAN && model->is_finished[base])
        base++;
    assert_int_equal(map->base, BASE + base);
    assert_int_equal(map->seen, MAX(model->seen, map->base));
    for (int64_t i = 0; i < SPAN; i++) {
        assert_int_equal(offset_map_is_finished(map, BASE + i), model->is_finished[i]);
        assert_int_equal(offset_map_open_count(map, BASE + i), open);
        open += !model->is_finished[i];
    }
}

static void assert_equal_maps(const struct offset_map *one, const struct offset_map *other)
{
    assert_int_equal(one->base, other->base);
    assert_int_equal(one->seen, other->seen);
    assert_int_equal(one->count, other->count);
    for (size_t i = 0; i < one->count; i++) {
        assert_int_equal(one->runs[i].first, other->runs[i].first);
        assert_int_equal(one->runs[i].end, other->runs[i].end);
    }
}

static void assert_round_trip(const struct offset_map *map)
{
    CLEANUP(buffer_release) struct buffer text = {0};
    struct offset_map back;
    struct error error = {0};
    offset_map_encode(map, &text);
    assert_int_equal(text.length, offset_map_text_length(map));
    assert_int_equal(strlen(text.data), text.length);
    if (!offset_map_decode(buffer_bytes(&text), map->base, map->seen, &back, &error))
        fail_msg("%s", error.text);
    assert_invariants(&back);
    assert_equal_maps(map, &back);
    offset_map_release(&back);
}

static void it_agrees_with_a_bitmap(void **state)
{
    (void)state;
    struct random random;
    random_init_seed(&random, 1);
    for (int round = 0; round < 60; round++) {
        struct model model = {.seen = BASE};
        struct offset_map map;
        offset_map_init(&map, BASE);
        int64_t widest = 1 + (int64_t)random_below(&random, 12);
        for (int step = 0; step < 150; step++) {
            int64_t first = (int64_t)random_below(&random, SPAN);
            int64_t end = first + (int64_t)random_below(&random, (uint64_t)widest);
            end = MIN(end, SPAN);
            if (random_below(&random, 4) == 0) {
                offset_map_see(&map, BASE + first);
                model.seen = MAX(model.seen, BASE + first + 1);
                continue;
            }
            offset_map_finish(&map, BASE + first, BASE + end);
            for (int64_t i = first; i < end; i++)
                model.is_finished[i] = true;
            if (end > first)
                model.seen = MAX(model.seen, BASE + end);
            assert_invariants(&map);
            if (step % 10 == 0)
                assert_equals_model(&map, &model);
        }
        assert_equals_model(&map, &model);
        assert_round_trip(&map);
        offset_map_release(&map);
    }
}

static void far_offsets_and_long_runs_survive_the_text(void **state)
{
    (void)state;
    struct offset_map map;
    offset_map_init(&map, INT64_MAX / 2);
    assert_round_trip(&map);
    offset_map_finish(&map, INT64_MAX / 2 + 1, INT64_MAX / 2 + 2);
    offset_map_finish(&map, INT64_MAX / 2 + 130, INT64_MAX / 2 + 20000000);
    offset_map_finish(&map, INT64_MAX - 10, INT64_MAX - 1);
    assert_round_trip(&map);
    offset_map_release(&map);
}

static void one_straggler_in_front_of_millions_costs_a_few_characters(void **state)
{
    (void)state;
    struct offset_map map;
    offset_map_init(&map, 5);
    offset_map_finish(&map, 6, 10000000);
    assert_in_range(offset_map_text_length(&map), 10, 24);
    offset_map_release(&map);
}

static void a_thousand_stragglers_fit(void **state)
{
    (void)state;
    struct offset_map map;
    offset_map_init(&map, 0);
    for (int64_t i = 1; i <= 1000; i++)
        offset_map_finish(&map, i * 100, i * 100 + 99);
    assert_int_equal(map.count, 1000);
    assert_in_range(offset_map_text_length(&map), 1000, OFFSET_MAP_TEXT_MAX);
    assert_round_trip(&map);
    offset_map_release(&map);
}

static void assert_foreign(const char *text, size_t length, int64_t base, int64_t high, long code)
{
    struct offset_map map;
    struct error error = {0};
    assert_false(offset_map_decode((struct bytes){text, length}, base, high, &map, &error));
    assert_int_equal(error.kind, ERROR_REJECTED);
    assert_int_equal(error.code, code);
    assert_int_equal(map.base, base);
    assert_int_equal(map.seen, base);
    assert_int_equal(map.count, 0);
    offset_map_release(&map);
}

static void foreign_texts_leave_the_base_alone(void **state)
{
    (void)state;
    static const char *const texts[] = {"",           "e",    "e1.",     "e1.AAAAAA",
                                        "e2.AAAAAAA", "note", "e1.AA=A", "e1.!!!!!!!!"};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        assert_foreign(texts[i], strlen(texts[i]), 7, 100, 0);
    char long_text[OFFSET_MAP_TEXT_MAX + 2] = "e1.";
    memset(long_text + 3, 'A', sizeof long_text - 3);
    assert_foreign(long_text, sizeof long_text, 7, 100, 0);
}

static void a_changed_character_is_noticed(void **state)
{
    (void)state;
    struct offset_map map;
    CLEANUP(buffer_release) struct buffer text = {0};
    offset_map_init(&map, 50);
    offset_map_finish(&map, 60, 70);
    offset_map_finish(&map, 90, 400);
    offset_map_encode(&map, &text);
    for (size_t i = 0; i < text.length; i++) {
        char before = text.data[i];
        text.data[i] = before == 'B' ? 'C' : 'B';
        assert_foreign(text.data, text.length, 50, 1000, 0);
        text.data[i] = before;
        assert_foreign(text.data, i, 50, 1000, 0);
    }
    assert_foreign(text.data, text.length, 51, 1000, 0); /* another base */
    offset_map_release(&map);
}

static void what_lies_beyond_the_end_is_of_another_log(void **state)
{
    (void)state;
    struct offset_map map;
    CLEANUP(buffer_release) struct buffer text = {0};
    offset_map_init(&map, 50);
    offset_map_finish(&map, 60, 2000000000); /* a claim of two billion finished records */
    offset_map_encode(&map, &text);
    assert_foreign(text.data, text.length, 50, 1999999999, OFFSET_MAP_BEYOND);
    assert_foreign(text.data, text.length, 50, 10, OFFSET_MAP_BEYOND);
    offset_map_release(&map);
}

static void a_copy_goes_its_own_way(void **state)
{
    (void)state;
    struct offset_map map, copy, empty;
    offset_map_init(&map, 10);
    offset_map_copy(&map, &empty);
    offset_map_finish(&map, 12, 13);
    offset_map_finish(&map, 20, 25);
    offset_map_copy(&map, &copy);
    assert_equal_maps(&map, &copy);
    offset_map_finish(&copy, 30, 31);
    offset_map_finish(&copy, 10, 12);
    assert_int_equal(copy.base, 13);
    assert_int_equal(map.base, 10);
    assert_false(offset_map_is_finished(&map, 30));
    assert_int_equal(empty.count, 0);
    offset_map_release(&map);
    offset_map_release(&copy);
    offset_map_release(&empty);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_agrees_with_a_bitmap),
        cmocka_unit_test(far_offsets_and_long_runs_survive_the_text),
        cmocka_unit_test(one_straggler_in_front_of_millions_costs_a_few_characters),
        cmocka_unit_test(a_thousand_stragglers_fit),
        cmocka_unit_test(foreign_texts_leave_the_base_alone),
        cmocka_unit_test(a_changed_character_is_noticed),
        cmocka_unit_test(a_copy_goes_its_own_way),
        cmocka_unit_test(what_lies_beyond_the_end_is_of_another_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
