#include "limits_table.h"

#include "test.h"

struct bench {
    struct arena arena;
    struct config config;
    struct buffer out;
};

static int setup(void **state)
{
    static const char *const sets[] = {"limits.global=20", "limits.tenants.acme=5",
                                       "limits.templates.agent=2", "limits.interactive_percent=20",
                                       "limits.batch_percent=50"};
    struct bench *bench = base_alloc(sizeof *bench);
    struct error error;
    const struct config_input input = {.sets = sets, .set_count = ARRAY_LENGTH(sets)};
    if (!config_load(&input, &bench->arena, &bench->config, &error))
        fail_msg("%s", error.text);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    buffer_release(&bench->out);
    arena_release(&bench->arena);
    free(bench);
    return 0;
}

static const struct ledger_usage usage[] = {
    {.limit = "n:zed", .used = 1, .max = -1, .set = -1, .cut_left_ms = -1, .oldest_ms = 1500, .waiters = 2},
    {.limit = "g", .used = 12, .max = 12, .set = 30, .cut_left_ms = 40000, .oldest_ms = 90000, .waiters = 3},
    {.limit = "c:batch", .used = 11, .max = 0, .set = 0, .cut_left_ms = -1, .oldest_ms = 5},
    {.limit = "q:unheard", .used = 1, .max = -1, .set = -1, .cut_left_ms = -1},
    {.limit = "n:\033[2J", .used = 1, .max = -1, .set = -1, .cut_left_ms = -1},
    {.limit = "t:default", .used = 0, .max = 90, .set = -1, .cut_left_ms = 1000},
    {.limit = "n:acme", .used = 0, .max = 90, .set = -1, .cut_left_ms = 1000}, /* a cut that cuts nothing */
};

static void the_table_has_what_is_configured_used_and_set(void **state)
{
    struct bench *bench = *state;
    struct limit_table table = limit_table_of(&bench->config, usage, ARRAY_LENGTH(usage), &bench->arena);
    static const struct limit_row expected[] = {
        {{0}, "global", 12, 3, 90000, 20, 30, 12, 40000},
        {{0}, "tenant:acme", 0, 0, -1, 5, -1, 5, -1},
        {{0}, "tenant:zed", 1, 2, 1500, -1, -1, -1, -1},
        {{0}, "template:agent", 0, 0, -1, 2, -1, 2, -1},
        {{0}, "template:default", 0, 0, -1, -1, -1, 90, 1000},
        {{0}, "class:batch", 11, 0, 5, 10, 0, 0, -1},
        {{0}, "reserve:interactive", 0, 0, -1, 4, -1, 4, -1},
    };
    assert_int_equal(table.count, ARRAY_LENGTH(expected));
    for (size_t i = 0; i < table.count; i++) {
        const struct limit_row *row = &table.rows[i], *wanted = &expected[i];
        assert_text(row->name, wanted->name);
        assert_int_equal(row->used, wanted->used);
        assert_int_equal(row->waiters, wanted->waiters);
        assert_int_equal(row->oldest_ms, wanted->oldest_ms);
        assert_int_equal(row->configured, wanted->configured);
        assert_int_equal(row->set, wanted->set);
        assert_int_equal(row->max, wanted->max);
        assert_int_equal(row->cut_left_ms, wanted->cut_left_ms);
    }
}

static void people_see_columns(void **state)
{
    struct bench *bench = *state;
    struct limit_table table = limit_table_of(&bench->config, usage, ARRAY_LENGTH(usage), &bench->arena);
    limit_table_show(&table, &bench->out);
    const char *const lines[] = {
        "LIMIT                  USED     MAX  CONFIGURED     SET  WAITERS  OLDEST\n",
        "global                   12      12          20      30        3  1 min 30 s  held down by E2B's "
        "quota for "
        "40.00 s\n",
        "tenant:zed                1       -           -       -        2  1.50 s\n",
        "class:batch              11       0          10       0        0  5 ms\n",
        "reserve:interactive       -       4           4       -        -  -\n",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(lines); i++)
        if (!strstr(bench->out.data, lines[i]))
            fail_msg("no \"%s\" in:\n%s", lines[i], bench->out.data);
}

static void scripts_read_json(void **state)
{
    struct bench *bench = *state;
    const struct ledger_condition condition = {.why = "", .workers = 2, .rebuilding_ms = -1};
    struct limit_table table = limit_table_of(&bench->config, usage + 1, 1, &bench->arena);
    table.count = 1;
    limit_table_encode(&table, &condition, &bench->out);
    assert_text(
        bench->out.data,
        "{\"grants\":true,\"why_not\":null,\"workers\":2,\"limits\":[{\"limit\":\"global\",\"used\":12,"
        "\"max\":12,\"configured\":20,\"set\":30,\"cut_left_ms\":40000,\"waiters\":3,"
        "\"oldest_ms\":90000}]}");
}

static void a_target_is_a_limit_that_can_be_set(void **state)
{
    struct bench *bench = *state;
    static const struct {
        const char *name, *why; /* NULL: it is one */
    } cases[] = {
        {"global", NULL},
        {"tenant:acme", NULL},
        {"tenant:never.seen", NULL},
        {"template:default", NULL},
        {"class:batch", NULL},
        {"reserve:interactive", NULL},
        {"g", "no limit has this name"},
        {"", "no limit has this name"},
        {"tenant:", "no limit has this name"},
        {"globl", "no limit has this name"},
        {"tenant:a b", "a tenant's id is"},
        {"template:defautl", "did you mean 'default'"},
        {"class:urgent", "interactive, standard and batch"},
        {"reserve:batch", "class interactive only"},
        {"session:s1", "one after the other"},
        {"create_rate", "limits.create_per_second"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct limit limit;
        struct error error;
        bool is_target = limit_target_parse(cases[i].name, &bench->config, &limit, &error);
        assert_int_equal(is_target, cases[i].why == NULL);
        if (!is_target && !strstr(error.text, cases[i].why))
            fail_msg("%s: %s", cases[i].name, error.text);
    }
}

static void a_value_is_a_number_or_default(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value; /* -2: none */
    } cases[] = {{"0", 0},
                 {"50", 50},
                 {"100000", 100000},
                 {"default", LIMIT_VALUE_DEFAULT},
                 {"", -2},
                 {"-1", -2},
                 {"100001", -2},
                 {"5x", -2},
                 {"x", -2},
                 {"1e3", -2},
                 {"99999999999999999999", -2}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct error error;
        int64_t value = -2;
        assert_int_equal(limit_value_parse(cases[i].text, &value, &error), cases[i].value != -2);
        assert_int_equal(value, cases[i].value);
    }
}

static void a_change_says_old_and_new_and_what_stands_against_it(void **state)
{
    struct bench *bench = *state;
    struct limit_table table = limit_table_of(&bench->config, usage, ARRAY_LENGTH(usage), &bench->arena);
    static const struct {
        struct limit limit;
        int64_t value;
        const char *text;
    } cases[] = {
        {{LIMIT_TENANT, "acme"},
         7,
         "tenant:acme: 5 (configured) -> 7, live for all workers of ledger main\n"},
        {{LIMIT_TENANT, "new"},
         3,
         "tenant:new: no bound (configured) -> 3, live for all workers of ledger main\n"},
        {{LIMIT_CLASS, "batch"},
         LIMIT_VALUE_DEFAULT,
         "class:batch: 0 -> 10 (configured), live for all workers of ledger main\n"
         "11 sandboxes live under it now: they run on, and none is made until fewer live\n"},
        {{LIMIT_GLOBAL, ""},
         50,
         "global: 30 -> 50, live for all workers of ledger main\n"
         "E2B's quota holds it at 12 for 40.00 s\n"},
        {{LIMIT_GLOBAL, ""},
         4,
         "global: 30 -> 4, live for all workers of ledger main\n"
         "12 sandboxes live under it now: they run on, and none is made until fewer live\n"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct limit_row row = limit_table_find(&table, &bench->config, &cases[i].limit, &bench->arena);
        buffer_clear(&bench->out);
        limit_change_show(&row, cases[i].value, "main", &bench->out);
        assert_text(bench->out.data, cases[i].text);
    }
    struct limit_row row = limit_table_find(&table, &bench->config, &cases[2].limit, &bench->arena);
    buffer_clear(&bench->out);
    limit_change_encode(&row, LIMIT_VALUE_DEFAULT, &bench->out);
    assert_text(bench->out.data,
                "{\"limit\":\"class:batch\",\"before\":0,\"set\":null,\"configured\":10,\"used\":11}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_table_has_what_is_configured_used_and_set),
        TEST(people_see_columns),
        TEST(scripts_read_json),
        TEST(a_target_is_a_limit_that_can_be_set),
        TEST(a_value_is_a_number_or_default),
        TEST(a_change_says_old_and_new_and_what_stands_against_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
