#include "core/crowd.h"
#include "test.h"

enum { ENTRIES = 400, SHARE = 100, SHARE_BYTES = 10000 };

struct scene {
    struct queue *queue;
    struct crowd crowd;
    struct queue_entry entries[ENTRIES];
    size_t count;
    int64_t now_ms;
};

static void open_scene(struct scene *scene)
{
    *scene = (struct scene){.queue = queue_new(), .now_ms = 5000};
    crowd_init(&scene->crowd, SHARE, SHARE_BYTES);
}

static void close_scene(struct scene *scene)
{
    for (size_t i = 0; i < scene->count; i++)
        queue_remove(scene->queue, &scene->entries[i]);
    queue_free(scene->queue);
}

/* Returns: whether it was let in. */
static bool come(struct scene *scene, const char *tenant, enum priority priority, size_t bytes)
{
    assert_true(scene->count < ENTRIES);
    if (!crowd_has_room(&scene->crowd, scene->queue, tenant, priority, scene->now_ms))
        return false;
    struct queue_entry *entry = &scene->entries[scene->count++];
    *entry = (struct queue_entry){.tenant_id = tenant, .priority = priority, .weight = 1, .bytes = bytes};
    queue_push(scene->queue, entry);
    return true;
}

static void come_many(struct scene *scene, const char *tenant, enum priority priority, int count)
{
    for (int i = 0; i < count; i++)
        assert_true(come(scene, tenant, priority, 10));
}

static void serve(struct scene *scene, int count)
{
    for (int i = 0; i < count; i++)
        assert_non_null(queue_pop(scene->queue));
}

static size_t judge(struct scene *scene, size_t running, int64_t after_ms)
{
    scene->now_ms += after_ms;
    return crowd_judge(&scene->crowd, scene->queue, 0, running, scene->now_ms);
}

static void whoever_is_below_its_share_is_not_looked_at(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    come_many(&scene, "a", PRIORITY_STANDARD, SHARE);
    come_many(&scene, "b", PRIORITY_STANDARD, SHARE);
    assert_int_equal(scene.crowd.count, 0);
    close_scene(&scene);
}

static void a_slow_tenant_keeps_its_share_and_no_more(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    come_many(&scene, "a", PRIORITY_STANDARD, 300); /* nothing is known of it yet */
    assert_int_equal(scene.crowd.count, 1);
    assert_int_equal(judge(&scene, 1, CROWD_LOOK_MS - 1), SIZE_MAX);
    assert_int_equal(judge(&scene, 1, 1), SHARE);
    assert_false(come(&scene, "a", PRIORITY_STANDARD, 10));
    assert_false(come(&scene, "a", PRIORITY_BATCH, 10));
    assert_true(come(&scene, "a", PRIORITY_INTERACTIVE, 10)); /* it goes before all of them */
    assert_true(come(&scene, "b", PRIORITY_BATCH, 10));
    close_scene(&scene);
}

static void a_fast_tenant_keeps_what_it_needs_for_a_minute(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    come_many(&scene, "a", PRIORITY_STANDARD, 300);
    assert_int_equal(judge(&scene, 20, 1000), 1200); /* each of the 20 may end at any moment */
    assert_true(come(&scene, "a", PRIORITY_STANDARD, 10));
    assert_int_equal(judge(&scene, 20, 5000), 200); /* ... and none did within 6 s */
    assert_false(come(&scene, "a", PRIORITY_STANDARD, 10));
    serve(&scene, 40);
    assert_int_equal(judge(&scene, 20, 4000), 360); /* 60 in 10 s */
    assert_true(come(&scene, "a", PRIORITY_STANDARD, 10));
    close_scene(&scene);
}

static void what_was_long_ago_counts_for_less(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    come_many(&scene, "a", PRIORITY_STANDARD, 350);
    serve(&scene, 200);
    assert_int_equal(judge(&scene, 0, 60000), 200);
    assert_int_equal(judge(&scene, 0, 30000), 100); /* of the last minute */
    assert_int_equal(judge(&scene, 0, 3600000), SHARE);
    close_scene(&scene);
}

static void bytes_count_too(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    for (int i = 0; i < 20; i++)
        assert_true(come(&scene, "a", PRIORITY_STANDARD, 1000));
    assert_int_equal(judge(&scene, 0, 2000), 10);
    assert_false(come(&scene, "a", PRIORITY_STANDARD, 1000));
    close_scene(&scene);
    open_scene(&scene);
    assert_true(come(&scene, "a", PRIORITY_STANDARD, 50 * SHARE_BYTES));
    assert_true(come(&scene, "a", PRIORITY_STANDARD, 10));
    assert_int_equal(judge(&scene, 0, 2000), 1); /* one is always let in: it would never come in else */
    close_scene(&scene);
}

static void a_tenant_stays_on_the_list_until_it_is_clearly_small(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    come_many(&scene, "a", PRIORITY_STANDARD, 120);
    come_many(&scene, "b", PRIORITY_STANDARD, 120);
    assert_int_equal(scene.crowd.count, 2);
    assert_int_equal(judge(&scene, 0, 2000), SHARE);
    for (int i = 0; i < 30; i++)
        queue_remove(scene.queue, &scene.entries[i]);
    assert_int_equal(judge(&scene, 0, 2000), SHARE);
    assert_true(come(&scene, "a", PRIORITY_STANDARD, 10));
    for (int i = 30; i < 90; i++)
        queue_remove(scene.queue, &scene.entries[i]);
    assert_int_equal(judge(&scene, 0, 2000), SIZE_MAX);
    assert_int_equal(scene.crowd.count, 1);
    assert_text(scene.crowd.tenants[0].tenant_id, "b");
    close_scene(&scene);
}

static void after_an_outage_everybody_is_looked_at_anew(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    come_many(&scene, "a", PRIORITY_STANDARD, 200);
    assert_int_equal(judge(&scene, 0, 60000), SHARE);
    crowd_forget(&scene.crowd);
    assert_true(come(&scene, "a", PRIORITY_STANDARD, 10));
    serve(&scene, 100);
    assert_int_equal(judge(&scene, 0, 1000), 6000);
    close_scene(&scene);
}

static void more_tenants_than_can_be_over_their_share_are_let_in(void **state)
{
    (void)state;
    struct scene scene;
    static const char *const names[CROWD_TENANTS_MAX + 1] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    open_scene(&scene);
    for (int i = 0; i <= CROWD_TENANTS_MAX; i++) {
        assert_true(come(&scene, names[i], PRIORITY_STANDARD, SHARE_BYTES));
        assert_true(come(&scene, names[i], PRIORITY_STANDARD, 10));
    }
    assert_int_equal(scene.crowd.count, CROWD_TENANTS_MAX);
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_is_below_its_share_is_not_looked_at),
        cmocka_unit_test(a_slow_tenant_keeps_its_share_and_no_more),
        cmocka_unit_test(a_fast_tenant_keeps_what_it_needs_for_a_minute),
        cmocka_unit_test(what_was_long_ago_counts_for_less),
        cmocka_unit_test(bytes_count_too),
        cmocka_unit_test(a_tenant_stays_on_the_list_until_it_is_clearly_small),
        cmocka_unit_test(after_an_outage_everybody_is_looked_at_anew),
        cmocka_unit_test(more_tenants_than_can_be_over_their_share_are_let_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
