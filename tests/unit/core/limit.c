#include "core/limit.h"

#include "test.h"

static int setup(void **state)
{
    struct arena *arena = base_alloc(sizeof *arena);
    arena_init(arena, 256);
    *state = arena;
    return 0;
}

static int teardown(void **state)
{
    arena_release(*state);
    free(*state);
    return 0;
}

static void each_limit_has_a_key_and_a_name(void **state)
{
    static const struct {
        enum limit_kind kind;
        const char *of, *key, *name;
    } cases[] = {
        {LIMIT_GLOBAL, "", "g", "global"},
        {LIMIT_TENANT, "acme", "n:acme", "tenant:acme"},
        {LIMIT_TENANT, "a:b", "n:a:b", "tenant:a:b"},
        {LIMIT_TENANT, "g", "n:g", "tenant:g"},
        {LIMIT_TEMPLATE, "data_analysis", "t:data_analysis", "template:data_analysis"},
        {LIMIT_CLASS, "batch", "c:batch", "class:batch"},
        {LIMIT_SESSION, "notebook-7", "s:notebook-7", "session:notebook-7"},
        {LIMIT_RESERVE, "interactive", "r:interactive", "reserve:interactive"},
        {LIMIT_CREATE_RATE, "", "rate", "create_rate"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct limit limit;
        assert_text(limit_key(cases[i].kind, cases[i].of, *state), cases[i].key);
        assert_text(limit_name(cases[i].key, *state), cases[i].name);
        assert_true(limit_parse(cases[i].key, &limit));
        assert_int_equal(limit.kind, cases[i].kind);
        assert_text(limit.of, cases[i].of);
        assert_true(limit_parse_name(cases[i].name, &limit));
        assert_int_equal(limit.kind, cases[i].kind);
        assert_text(limit.of, cases[i].of);
    }
}

static void what_is_no_limit_of_ours_stays_as_it_is(void **state)
{
    static const char *const keys[] = {"", "x:new", "n:", "t", "gg", "g:", "rate:x", "global", ":"};
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
        struct limit limit;
        assert_false(limit_parse(keys[i], &limit));
        assert_text(limit_name(keys[i], *state), keys[i]);
    }
    static const char *const names[] = {
        "", "g", "n:acme", "tenant", "tenant:", "global:", "globals", "Global", ":"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        struct limit limit;
        assert_false(limit_parse_name(names[i], &limit));
    }
}

static void a_denial_says_what_is_in_the_way(void **state)
{
    static const struct {
        struct limit_answer answer;
        struct limit_denial denial;
    } cases[] = {
        {{"g", 19, 19, 19, NULL}, {"global", 19, 19, 0, "19 of 19 places are taken"}},
        {{"n:acme", 1, 1, 19, "interactive"}, {"tenant:acme", 1, 1, 0, "1 of 1 places is taken"}},
        /* lowered while more of them lived */
        {{"g", 21, 19, 19, "interactive"}, {"global", 21, 19, 0, "21 of 19 places are taken"}},
        {{"g", 0, 0, 0, NULL}, {"global", 0, 0, 0, "0 of 0 places are taken"}},
        {{"g", 17, 17, 19, "interactive"},
         {"reserve:interactive", 17, 19, 2,
          "17 of 19 places are taken, 2 are reserved for interactive jobs"}},
        {{"g", 18, 18, 19, "interactive"},
         {"reserve:interactive", 18, 19, 1, "18 of 19 places are taken, 1 is reserved for interactive jobs"}},
        /* no reserve would help either */
        {{"g", 19, 17, 19, "interactive"},
         {"global", 19, 19, 2, "19 of 19 places are taken, 2 are reserved for interactive jobs"}},
        /* a higher maximum was set since max was learnt */
        {{"g", 25, 25, 19, "interactive"}, {"global", 25, 25, 0, "25 of 25 places are taken"}},
        /* nobody has a reserve: what the ledger says is the whole */
        {{"g", 7, 7, 19, NULL}, {"global", 7, 7, 0, "7 of 7 places are taken"}},
        {{"t:big", 3, 4, 4, NULL},
         {"template:big", 3, 4, 0,
          "3 of 4 places are taken, the rest goes first to tenants that hold less and to jobs that waited "
          "longer"}},
        {{"g", 16, 17, 19, "interactive"},
         {"global", 16, 19, 2,
          "16 of 19 places are taken, 2 are reserved for interactive jobs, the rest goes first to tenants "
          "that hold less and to jobs that waited longer"}},
        {{"rate", 0, 5000, 0, "interactive"},
         {"create_rate", -1, -1, -1, "all workers together create at most 5 sandboxes a second"}},
        {{"rate", 0, 2500, 0, NULL},
         {"create_rate", -1, -1, -1, "all workers together create at most 2.5 sandboxes a second"}},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct limit_denial denial = limit_explain(&cases[i].answer, *state);
        assert_text(denial.limit, cases[i].denial.limit);
        assert_text(denial.message, cases[i].denial.message);
        assert_int_equal(denial.used, cases[i].denial.used);
        assert_int_equal(denial.max, cases[i].denial.max);
        assert_int_equal(denial.reserved, cases[i].denial.reserved);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_limit_has_a_key_and_a_name, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_limit_of_ours_stays_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(a_denial_says_what_is_in_the_way, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
