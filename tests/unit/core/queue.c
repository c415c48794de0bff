#include "core/queue.h"
#include "base/random.h"
#include "test.h"

#include <stdio.h>

static struct queue_entry entry_of(const char *tenant, enum priority priority, int64_t weight)
{
    return (struct queue_entry){.tenant_id = tenant, .priority = priority, .weight = weight, .bytes = 10};
}

static void drain(struct queue *queue)
{
    while (queue_pop(queue))
        ;
    queue_free(queue);
}

static void an_empty_queue_gives_nothing(void **state)
{
    (void)state;
    struct queue *queue = queue_new();
    struct queue_entry entry = entry_of("a", PRIORITY_STANDARD, 1);
    assert_null(queue_pop(queue));
    queue_remove(queue, &entry);
    queue_free_limit(queue, "g", SIZE_MAX);
    assert_int_equal(queue_count(queue), 0);
    assert_int_equal(queue_aside_count(queue, "g"), 0);
    assert_int_equal(queue_share_of(queue, "a", PRIORITY_BATCH).bytes, 0);
    queue_free(queue);
    queue_free(NULL);
}

static void classes_come_in_their_order(void **state)
{
    (void)state;
    struct queue_entry batch = entry_of("a", PRIORITY_BATCH, 1),
                       standard = entry_of("a", PRIORITY_STANDARD, 1),
                       interactive = entry_of("b", PRIORITY_INTERACTIVE, 1);
    struct queue *queue = queue_new();
    queue_push(queue, &batch);
    queue_push(queue, &standard);
    queue_push(queue, &interactive);
    assert_int_equal(queue_share_of(queue, "a", PRIORITY_BATCH).bytes, 20);
    assert_ptr_equal(queue_pop(queue), &interactive);
    assert_ptr_equal(queue_pop(queue), &standard);
    assert_ptr_equal(queue_pop(queue), &batch);
    queue_free(queue);
}

/* ... nor does a backlog of the others that never ends keep the lowest from ever being served, or asking. */
static void the_lowest_class_is_served_every_eighth_time(void **state)
{
    (void)state;
    struct queue_entry batch = entry_of("a", PRIORITY_BATCH, 1), standard[20];
    struct queue *queue = queue_new();
    queue_push(queue, &batch);
    for (size_t i = 0; i < 20; i++) {
        standard[i] = entry_of("b", PRIORITY_STANDARD, 1);
        queue_push(queue, &standard[i]);
    }
    for (size_t i = 1; i < QUEUE_LOWEST_TURN; i++)
        assert_int_equal(queue_pop(queue)->priority, PRIORITY_STANDARD);
    assert_ptr_equal(queue_pop(queue), &batch);
    queue_set_aside(queue, &batch, "g");
    while (queue_ready_count(queue) > 0)
        queue_set_aside(queue, queue_pop(queue), "g");
    queue_free_limit(queue, "g", QUEUE_LOWEST_TURN - 1);
    assert_non_null(batch.aside);
    queue_free_limit(queue, "g", 1);
    assert_null(batch.aside);
    queue_free_limit(queue, "g", SIZE_MAX);
    while (queue_pop(queue))
        ;
    queue_free(queue);
}

static void a_tenant_keeps_its_order_over_being_set_aside(void **state)
{
    (void)state;
    struct queue_entry entries[5];
    struct queue *queue = queue_new();
    for (size_t i = 0; i < 5; i++) {
        entries[i] = entry_of("a", PRIORITY_STANDARD, 1);
        queue_push(queue, &entries[i]);
    }
    queue_set_aside(queue, queue_pop(queue), "n:a");
    queue_set_aside(queue, queue_pop(queue), "t:x");
    queue_set_aside(queue, queue_pop(queue), "n:a");
    assert_int_equal(queue_aside_count(queue, "n:a"), 2);
    assert_int_equal(queue_ready_count(queue), 2);
    assert_int_equal(queue_count(queue), 5);
    assert_int_equal(queue_bytes(queue), 50);
    queue_free_limit(queue, "n:a", 1);
    queue_free_limit(queue, "t:x", SIZE_MAX);
    assert_ptr_equal(queue_pop(queue), &entries[0]);
    assert_ptr_equal(queue_pop(queue), &entries[1]);
    assert_ptr_equal(queue_pop(queue), &entries[3]);
    queue_free_limit(queue, "n:a", 7);
    assert_ptr_equal(queue_pop(queue), &entries[2]);
    assert_ptr_equal(queue_pop(queue), &entries[4]);
    assert_null(queue_pop(queue));
    queue_free(queue);
}

static void a_tenants_oldest_is_freed_by_its_name(void **state)
{
    (void)state;
    struct queue_entry entries[] = {entry_of("a", PRIORITY_STANDARD, 1), entry_of("b", PRIORITY_BATCH, 1),
                                    entry_of("b", PRIORITY_STANDARD, 1), entry_of("b", PRIORITY_STANDARD, 1)};
    struct queue *queue = queue_new();
    assert_false(queue_free_tenant(queue, "g", "b"));
    for (size_t i = 0; i < ARRAY_LENGTH(entries); i++)
        queue_push(queue, &entries[i]);
    for (size_t i = 0; i < ARRAY_LENGTH(entries); i++)
        queue_set_aside(queue, queue_pop(queue), "g");
    assert_false(queue_free_tenant(queue, "g", "c"));
    assert_false(queue_free_tenant(queue, "t:x", "b"));
    assert_null(queue_pop(queue));
    assert_true(queue_free_tenant(queue, "g", "b"));
    assert_true(entries[2].is_freed);
    assert_int_equal(queue_ready_count(queue), 1);
    assert_ptr_equal(queue_pop(queue), &entries[2]);
    assert_true(queue_free_tenant(queue, "g", "b"));
    assert_true(queue_free_tenant(queue, "g", "b"));
    assert_ptr_equal(queue_pop(queue), &entries[3]);
    assert_ptr_equal(queue_pop(queue), &entries[1]);
    assert_true(queue_free_tenant(queue, "g", "a"));
    assert_int_equal(queue_aside_count(queue, "g"), 0);
    assert_ptr_equal(queue_pop(queue), &entries[0]);
    queue_free(queue);
}

static void a_freed_limit_frees_the_higher_class_first(void **state)
{
    (void)state;
    struct queue_entry batch = entry_of("a", PRIORITY_BATCH, 1),
                       interactive = entry_of("a", PRIORITY_INTERACTIVE, 1);
    struct queue *queue = queue_new();
    queue_push(queue, &batch);
    queue_set_aside(queue, queue_pop(queue), "g");
    queue_push(queue, &interactive);
    queue_set_aside(queue, queue_pop(queue), "g");
    queue_free_limit(queue, "g", 1);
    assert_ptr_equal(queue_pop(queue), &interactive);
    assert_null(queue_pop(queue));
    queue_remove(queue, &batch);
    assert_int_equal(queue_count(queue), 0);
    queue_free(queue);
}

/* Else the tenant whose job has waited longest asks for ever, and the others, who may have a right to the
 * next place, are not even known to the ledger. */
static void a_tenant_that_is_denied_again_lets_the_others_ask(void **state)
{
    (void)state;
    struct queue_entry entries[6];
    struct queue *queue = queue_new();
    for (size_t i = 0; i < 6; i++) {
        entries[i] = entry_of(i < 4 ? "a" : i == 4 ? "b" : "c", PRIORITY_STANDARD, 1);
        queue_push(queue, &entries[i]);
    }
    for (size_t i = 0; i < 6; i++)
        queue_set_aside(queue, queue_pop(queue), "g");
    bool has_asked[6] = {false};
    for (int n = 0; n < 3; n++) {
        queue_free_limit(queue, "g", 1);
        struct queue_entry *entry = queue_pop(queue);
        has_asked[entry - entries] = true;
        queue_set_aside(queue, entry, "g");
    }
    assert_true(has_asked[0] && has_asked[4] && has_asked[5]); /* and of "a" its oldest */
    queue_free_limit(queue, "g", SIZE_MAX);
    drain(queue);
}

static void a_poll_frees_one_of_every_limit(void **state)
{
    (void)state;
    static const char *const limits[] = {"g", "g", "n:a", "rate"};
    struct queue_entry entries[4];
    struct queue *queue = queue_new();
    queue_poll(queue, 4);
    for (size_t i = 0; i < 4; i++) {
        entries[i] = entry_of("a", PRIORITY_STANDARD, 1);
        queue_push(queue, &entries[i]);
        queue_set_aside(queue, queue_pop(queue), limits[i]);
    }
    queue_poll(queue, 4);
    assert_int_equal(queue_ready_count(queue), 3);
    assert_int_equal(queue_aside_count(queue, "g"), 1);
    queue_poll(queue, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(queue_pop(queue)->is_freed);
    assert_null(queue_pop(queue));
    queue_free(queue);
}

/* However heavy others are: a weight is for places, and a poll gives none. */
static void after_as_many_polls_every_tenant_has_asked(void **state)
{
    (void)state;
    enum { COUNT = 9, EACH = 3, SHARE = 4 };
    struct queue_entry entries[COUNT * EACH];
    char names[COUNT][4];
    struct queue *queue = queue_new();
    for (size_t i = 0; i < COUNT * EACH; i++) {
        size_t tenant = i % COUNT;
        (void)snprintf(names[tenant], sizeof names[tenant], "%zu", tenant);
        entries[i] =
            entry_of(names[tenant], tenant % 2 ? PRIORITY_STANDARD : PRIORITY_BATCH, tenant < 6 ? 1000 : 1);
        queue_push(queue, &entries[i]);
    }
    for (size_t i = 0; i < COUNT * EACH; i++)
        queue_set_aside(queue, queue_pop(queue), "g");
    for (size_t round = 0; round < 20; round++) {
        bool has_asked[COUNT] = {false};
        for (size_t polls = 0; polls < SHARE; polls++) {
            struct queue_entry *asking[COUNT];
            size_t count = 0;
            queue_poll(queue, SHARE);
            assert_int_equal(queue_ready_count(queue), 1 + 2); /* a quarter of four and of five */
            while ((asking[count] = queue_pop(queue)))
                has_asked[(size_t)(asking[count++] - entries) % COUNT] = true;
            for (size_t i = 0; i < count; i++)
                queue_set_aside(queue, asking[i], "g");
        }
        for (size_t i = 0; i < COUNT; i++)
            assert_true(has_asked[i]);
    }
    queue_free_limit(queue, "g", SIZE_MAX);
    drain(queue);
}

enum { TENANTS = 3, BACKLOG = 20 };

static void a_held_entry_counts_and_is_not_served(void **state)
{
    (void)state;
    struct queue_entry held = entry_of("a", PRIORITY_STANDARD, 1), other = entry_of("a", PRIORITY_BATCH, 1);
    struct queue *queue = queue_new();
    queue_hold(queue, &held);
    queue_push(queue, &other);
    assert_int_equal(queue_count(queue), 2);
    assert_int_equal(queue_ready_count(queue), 1);
    assert_int_equal(queue_share_of(queue, "a", PRIORITY_BATCH).count, 2);
    assert_int_equal(queue_share_of(queue, "a", PRIORITY_STANDARD).count, 1);
    assert_int_equal(queue_share_of(queue, "a", PRIORITY_INTERACTIVE).count, 0);
    assert_ptr_equal(queue_pop(queue), &other);
    assert_null(queue_pop(queue));
    queue_push(queue, &held);
    assert_ptr_equal(queue_pop(queue), &held);
    queue_hold(queue, &held);
    queue_remove(queue, &held);
    assert_int_equal(queue_count(queue), 0);
    queue_free(queue);
}

static void what_is_set_aside_again_was_not_served(void **state)
{
    (void)state;
    struct queue_entry entries[4];
    struct queue *queue = queue_new();
    for (size_t i = 0; i < 4; i++) {
        entries[i] = entry_of("a", PRIORITY_STANDARD, 1);
        queue_push(queue, &entries[i]);
    }
    assert_ptr_equal(queue_pop(queue), &entries[0]);
    assert_ptr_equal(queue_pop(queue), &entries[1]);
    assert_int_equal(queue_share_of(queue, "a", PRIORITY_BATCH).served, 2);
    queue_set_aside(queue, &entries[1], "n:a");
    assert_int_equal(queue_share_of(queue, "a", PRIORITY_BATCH).served, 1);
    queue_free_limit(queue, "n:a", 1);
    assert_ptr_equal(queue_pop(queue), &entries[1]);
    queue_remove(queue, &entries[3]); /* nor what leaves in another way */
    assert_int_equal(queue_share_of(queue, "a", PRIORITY_BATCH).served, 2);
    drain(queue);
}

static void backlogged_tenants_share_by_weight(void **state)
{
    (void)state;
    static const char *const names[TENANTS] = {"one", "two", "four"};
    static struct queue_entry entries[TENANTS][BACKLOG];
    int served[TENANTS] = {0};
    struct queue *queue = queue_new();
    for (size_t t = 0; t < TENANTS; t++) {
        for (size_t i = 0; i < BACKLOG; i++) {
            entries[t][i] = entry_of(names[t], PRIORITY_STANDARD, 1 << t);
            queue_push(queue, &entries[t][i]);
        }
    }
    for (int n = 0; n < 7000; n++) {
        struct queue_entry *entry = queue_pop(queue);
        served[entry->weight == 1 ? 0 : entry->weight == 2 ? 1 : 2]++;
        queue_push(queue, entry);
    }
    for (int t = 0; t < TENANTS; t++)
        assert_in_range(served[t], (1000 << t) * 95 / 100, (1000 << t) * 105 / 100);
    drain(queue);
}

/* One tenant always has work; another sends one job at a time, and a crowd of others one job each, ever. */
static void newcomers_and_one_at_a_time_senders_starve_nobody(void **state)
{
    (void)state;
    enum { ROUNDS = 1000 };
    static struct queue_entry steady[ROUNDS * 2], crowd[ROUNDS];
    static char names[ROUNDS][16];
    struct queue_entry single = entry_of("single", PRIORITY_STANDARD, 1);
    struct queue *queue = queue_new();
    for (size_t i = 0; i < ROUNDS * 2; i++) {
        steady[i] = entry_of("steady", PRIORITY_STANDARD, 1);
        queue_push(queue, &steady[i]);
    }
    int from_steady = 0, from_single = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        if (!single.tenant)
            queue_push(queue, &single);
        (void)snprintf(names[i], sizeof names[i], "crowd-%zu", i);
        crowd[i] = entry_of(names[i], PRIORITY_STANDARD, 1);
        queue_push(queue, &crowd[i]);
        for (int n = 0; n < 3; n++) {
            struct queue_entry *entry = queue_pop(queue);
            from_steady += entry >= steady && entry < steady + ROUNDS * 2;
            from_single += entry == &single;
        }
    }
    assert_in_range(from_steady, ROUNDS * 95 / 100, ROUNDS * 105 / 100);
    assert_in_range(from_single, ROUNDS * 95 / 100, ROUNDS * 105 / 100);
    drain(queue);
}

static void a_pause_saves_up_no_turns(void **state)
{
    (void)state;
    static struct queue_entry busy[200], late[100];
    struct queue *queue = queue_new();
    for (size_t i = 0; i < 200; i++) {
        busy[i] = entry_of("busy", PRIORITY_STANDARD, 1);
        queue_push(queue, &busy[i]);
    }
    for (size_t i = 0; i < 100; i++)
        assert_ptr_equal(queue_pop(queue), &busy[i]);
    for (size_t i = 0; i < 100; i++) {
        late[i] = entry_of("late", PRIORITY_STANDARD, 1);
        queue_push(queue, &late[i]);
    }
    int from_late = 0;
    for (int i = 0; i < 40; i++)
        from_late += queue_pop(queue)->tenant_id[0] == 'l';
    assert_in_range(from_late, 19, 21);
    drain(queue);
}

static void ten_thousand_entries_of_ten_thousand_tenants_pass(void **state)
{
    (void)state;
    enum { MANY = 10000 };
    static struct queue_entry entries[MANY];
    static char names[MANY][16];
    struct queue *queue = queue_new();
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof names[i], "t%zu", i * 7919 % MANY);
        entries[i] = entry_of(names[i], (enum priority)(i % PRIORITY_COUNT), 1 + (int64_t)(i % 5));
        queue_push(queue, &entries[i]);
    }
    for (size_t i = 0; i < MANY; i++)
        queue_set_aside(queue, queue_pop(queue), i % 2 ? "g" : "c:batch");
    assert_null(queue_pop(queue));
    assert_int_equal(queue_aside_count(queue, "g"), MANY / 2);
    queue_free_limit(queue, "g", SIZE_MAX);
    queue_free_limit(queue, "c:batch", SIZE_MAX);
    assert_int_equal(queue_ready_count(queue), MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_non_null(queue_pop(queue));
    queue_free(queue);
}

/* ---- Against a naive model ---- */

enum { ENTRIES = 60, LIMITS = 4, NAMES = 5 };
enum where { OUT, POPPED, READY, ASIDE, HELD };

static const char *const limit_names[LIMITS] = {"g", "n:a", "t:x", "c:batch"};
static const char *const tenant_names[NAMES] = {"a", "b", "c", "dd", "e"};

struct model {
    struct queue *queue;
    struct random random;
    struct queue_entry entries[ENTRIES];
    enum where where[ENTRIES];
    bool is_freed[ENTRIES];
    size_t limit[ENTRIES];
    int64_t arrival[ENTRIES], arrivals;
    uint64_t pops, frees;
};

static bool is_same_line(const struct queue_entry *a, const struct queue_entry *b)
{
    return a->priority == b->priority && strcmp(a->tenant_id, b->tenant_id) == 0;
}

static void model_ready(struct model *model, size_t i)
{
    queue_push(model->queue, &model->entries[i]);
    model->where[i] = READY;
    model->is_freed[i] = false;
    model->arrival[i] = ++model->arrivals;
}

static void model_push(struct model *model, size_t i)
{
    if (model->where[i] == HELD)
        model_ready(model, i);
    if (model->where[i] == READY || model->where[i] == ASIDE)
        return;
    struct queue_entry *entry = &model->entries[i];
    *entry = entry_of(tenant_names[random_below(&model->random, NAMES)],
                      (enum priority)random_below(&model->random, PRIORITY_COUNT),
                      1 + (int64_t)random_below(&model->random, 9));
    entry->bytes = random_below(&model->random, 1000);
    if (random_below(&model->random, 5) == 0) {
        queue_hold(model->queue, entry);
        model->where[i] = HELD;
    } else {
        model_ready(model, i);
    }
}

/* `chosen` came before `other` could. */
static bool is_rightly_first(const struct queue_entry *chosen, const struct queue_entry *other, uint64_t turn)
{
    return turn % QUEUE_LOWEST_TURN == 0 ? chosen->priority >= other->priority
                                         : chosen->priority <= other->priority;
}

/* Whatever comes is of the class whose turn it is, and its tenant's oldest there. */
static void model_pop(struct model *model)
{
    struct queue_entry *entry = queue_pop(model->queue);
    size_t popped = entry ? (size_t)(entry - model->entries) : ENTRIES;
    model->pops += entry != NULL;
    for (size_t i = 0; i < ENTRIES; i++) {
        if (model->where[i] != READY)
            continue;
        assert_non_null(entry);
        assert_true(is_rightly_first(entry, &model->entries[i], model->pops));
        if (is_same_line(entry, &model->entries[i]))
            assert_true(model->arrival[popped] <= model->arrival[i]);
    }
    if (!entry)
        return;
    assert_int_equal(model->where[popped], READY);
    assert_null(entry->tenant);
    assert_int_equal(entry->is_freed, model->is_freed[popped]);
    model->where[popped] = POPPED;
    if (random_below(&model->random, 2) == 0) {
        size_t limit = random_below(&model->random, LIMITS);
        queue_set_aside(model->queue, entry, limit_names[limit]);
        model->where[popped] = ASIDE;
        model->is_freed[popped] = false;
        model->limit[popped] = limit;
    }
}

/* Likewise of those that the limit keeps. */
static bool model_free_one(struct model *model, size_t limit)
{
    const struct queue_entry *freed = NULL;
    queue_free_limit(model->queue, limit_names[limit], 1);
    for (size_t i = 0; i < ENTRIES && !freed; i++)
        if (model->where[i] == ASIDE && !model->entries[i].aside)
            freed = &model->entries[i];
    size_t of_freed = freed ? (size_t)(freed - model->entries) : ENTRIES;
    model->frees += freed != NULL;
    for (size_t i = 0; i < ENTRIES; i++) {
        if (model->where[i] != ASIDE || model->limit[i] != limit)
            continue;
        assert_non_null(freed);
        assert_true(is_rightly_first(freed, &model->entries[i], model->frees));
        if (is_same_line(freed, &model->entries[i]))
            assert_true(model->arrival[of_freed] <= model->arrival[i]);
    }
    if (!freed)
        return false;
    assert_int_equal(model->limit[of_freed], limit);
    model->where[of_freed] = READY;
    model->is_freed[of_freed] = true;
    return true;
}

static void model_free_limit(struct model *model, size_t limit, size_t count)
{
    while (count-- > 0 && model_free_one(model, limit))
        ;
}

static void model_remove(struct model *model, size_t i)
{
    queue_remove(model->queue, &model->entries[i]);
    model->where[i] = OUT;
}

static void model_check(const struct model *model)
{
    size_t ready = 0, count = 0, bytes = 0, of_limit[LIMITS] = {0}, of_tenant[NAMES] = {0},
           count_of_tenant[NAMES] = {0};
    for (size_t i = 0; i < ENTRIES; i++) {
        const struct queue_entry *entry = &model->entries[i];
        bool is_queued = model->where[i] == READY || model->where[i] == ASIDE || model->where[i] == HELD;
        assert_int_equal(entry->tenant != NULL, is_queued);
        assert_int_equal(entry->aside != NULL, model->where[i] == ASIDE);
        if (!is_queued)
            continue;
        assert_true(model->where[i] == HELD || entry->sequence == model->arrival[i]);
        count++;
        ready += model->where[i] == READY;
        bytes += entry->bytes;
        if (model->where[i] == ASIDE)
            of_limit[model->limit[i]]++;
        for (size_t t = 0; t < NAMES; t++) {
            bool is_its = strcmp(entry->tenant_id, tenant_names[t]) == 0;
            of_tenant[t] += is_its ? entry->bytes : 0;
            count_of_tenant[t] += is_its;
        }
    }
    assert_int_equal(queue_count(model->queue), count);
    assert_int_equal(queue_ready_count(model->queue), ready);
    assert_int_equal(queue_bytes(model->queue), bytes);
    for (size_t l = 0; l < LIMITS; l++)
        assert_int_equal(queue_aside_count(model->queue, limit_names[l]), of_limit[l]);
    for (size_t t = 0; t < NAMES; t++) {
        struct queue_share share = queue_share_of(model->queue, tenant_names[t], PRIORITY_BATCH);
        assert_int_equal(share.bytes, of_tenant[t]);
        assert_int_equal(share.count, count_of_tenant[t]);
    }
}

static void random_walks_agree_with_a_naive_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct model model = {.queue = queue_new()};
        random_init_seed(&model.random, seed);
        for (int n = 0; n < 2000; n++) {
            uint64_t dice = random_below(&model.random, 100);
            size_t i = random_below(&model.random, ENTRIES);
            if (dice < 40)
                model_push(&model, i);
            else if (dice < 75)
                model_pop(&model);
            else if (dice < 90)
                model_free_limit(&model, i % LIMITS, dice % 3 ? dice % 5 : SIZE_MAX);
            else
                model_remove(&model, i);
            model_check(&model);
        }
        for (size_t i = 0; i < ENTRIES; i++)
            model_remove(&model, i);
        model_check(&model);
        queue_free(model.queue);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_queue_gives_nothing),
        cmocka_unit_test(classes_come_in_their_order),
        cmocka_unit_test(the_lowest_class_is_served_every_eighth_time),
        cmocka_unit_test(a_tenant_keeps_its_order_over_being_set_aside),
        cmocka_unit_test(a_tenants_oldest_is_freed_by_its_name),
        cmocka_unit_test(a_freed_limit_frees_the_higher_class_first),
        cmocka_unit_test(a_tenant_that_is_denied_again_lets_the_others_ask),
        cmocka_unit_test(a_poll_frees_one_of_every_limit),
        cmocka_unit_test(after_as_many_polls_every_tenant_has_asked),
        cmocka_unit_test(a_held_entry_counts_and_is_not_served),
        cmocka_unit_test(what_is_set_aside_again_was_not_served),
        cmocka_unit_test(backlogged_tenants_share_by_weight),
        cmocka_unit_test(newcomers_and_one_at_a_time_senders_starve_nobody),
        cmocka_unit_test(a_pause_saves_up_no_turns),
        cmocka_unit_test(ten_thousand_entries_of_ten_thousand_tenants_pass),
        cmocka_unit_test(random_walks_agree_with_a_naive_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
