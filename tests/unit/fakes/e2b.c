/* The fake E2B: what the worker's tests rely on. */
#include "fakes/e2b/world.h"
#include "fakes/loop/virtual.h"

#include "base/base.h"
#include "test.h"

struct fixture {
    struct loop *loop;
    struct e2b_world *world;
    struct e2b_client *client;
    struct e2b_call call;
    struct e2b_sandbox *sandbox;
    struct e2b_error error;
    int answers, events;
    int64_t total;
};

static void on_sandbox(struct e2b_call *call, const struct e2b_error *error, struct e2b_sandbox *sandbox)
{
    struct fixture *fixture = call->arg;
    fixture->answers++;
    fixture->sandbox = sandbox;
    fixture->error = error ? *error : (struct e2b_error){0};
}

static void on_output(struct e2b_call *call, const struct e2b_output *output)
{
    struct fixture *fixture = call->arg;
    fixture->events += output->kind == E2B_OUTPUT_STDOUT;
}

static void on_ran(struct e2b_call *call, const struct e2b_error *error,
                   const struct e2b_exception *exception)
{
    struct fixture *fixture = call->arg;
    (void)exception;
    fixture->answers++;
    fixture->error = error ? *error : (struct e2b_error){0};
}

/* Goes on to the last page, as with a cursor. */
static void on_page(struct e2b_call *call, const struct e2b_error *error, const struct e2b_sandbox_page *page)
{
    struct fixture *fixture = call->arg;
    assert_null(error);
    assert_true(page->count <= 2);
    fixture->answers++;
    fixture->events += (int)page->count;
    fixture->total = page->total_running;
    if (page->next)
        e2b_sandbox_list(fixture->client, call, &(struct e2b_sandbox_filter){.limit = 2, .next = page->next},
                         on_page);
}

static void on_info(struct e2b_call *call, const struct e2b_error *error, const struct e2b_sandbox_info *info)
{
    struct fixture *fixture = call->arg;
    fixture->answers++;
    fixture->error = error ? *error : (struct e2b_error){0};
    if (info)
        fixture->total = info->ends_unix_ms - info->started_unix_ms - info->remaining_ms; /* its age */
}

static void create(struct fixture *fixture, int64_t live_ms)
{
    static const struct e2b_pair metadata[] = {{"permit", "p"}, {"job", "j"}};
    const struct e2b_sandbox_options options = {
        .template_id = "t", .live_ms = live_ms, .metadata = {metadata, ARRAY_LENGTH(metadata)}};
    e2b_sandbox_create(fixture->client, &fixture->call, &options, on_sandbox);
}

static int setup(void **state)
{
    struct fixture *fixture = base_alloc(sizeof *fixture);
    fixture->loop = virtual_loop_new();
    fixture->world = e2b_world_new(fixture->loop);
    fixture->client =
        e2b_client_new(NULL, &(struct e2b_client_options){.api_url = e2b_world_url(fixture->world)});
    fixture->call.arg = fixture;
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    e2b_call_cancel(&fixture->call);
    e2b_sandbox_free(fixture->sandbox);
    e2b_client_close(fixture->client, NULL, NULL);
    virtual_loop_advance(fixture->loop, 400000);
    e2b_world_free(fixture->world);
    virtual_loop_free(fixture->loop);
    free(fixture);
    return 0;
}

static void a_sandbox_lives_for_its_time(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, 2000);
    assert_int_equal(fixture->answers, 0); /* never from inside */
    virtual_loop_advance(fixture->loop, 1000);
    assert_int_equal(fixture->answers, 1);
    assert_int_equal(e2b_world_live(fixture->world), 1);
    virtual_loop_advance(fixture->loop, 1500);
    assert_int_equal(e2b_world_live(fixture->world), 0);
}

static void a_cancelled_create_is_silent_and_carried_out(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, 2000);
    e2b_call_cancel(&fixture->call);
    virtual_loop_advance(fixture->loop, 1000);
    assert_int_equal(fixture->answers, 0);
    assert_int_equal(e2b_world_live(fixture->world), 1);
}

static void a_silent_create_may_come_late(void **state)
{
    struct fixture *fixture = *state;
    e2b_world_fail(fixture->world,
                   &(struct e2b_world_fault){.call = E2B_WORLD_CREATE, .is_silent = true, .late_ms = 60000});
    create(fixture, 2000);
    virtual_loop_advance(fixture->loop, 31000);
    assert_int_equal(fixture->error.kind, E2B_ERROR_TIMEOUT);
    assert_true(fixture->error.undecided);
    assert_int_equal(e2b_world_max_live(fixture->world), 0);
    virtual_loop_advance(fixture->loop, 30000);
    assert_int_equal(e2b_world_live(fixture->world), 1);
}

static void code_prints_and_dies_with_its_sandbox(void **state)
{
    struct fixture *fixture = *state;
    create(fixture, 10000);
    virtual_loop_advance(fixture->loop, 200);
    e2b_code_run(fixture->sandbox, &fixture->call,
                 &(struct e2b_code){.text = "print a\nsleep 100\nprint b\nhang"}, on_output, on_ran);
    virtual_loop_advance(fixture->loop, 1000);
    assert_int_equal(fixture->events, 2);
    assert_int_equal(fixture->answers, 1);
    assert_true(e2b_world_vanish(fixture->world, "j"));
    virtual_loop_advance(fixture->loop, 100);
    assert_int_equal(fixture->error.kind, E2B_ERROR_GONE);
    assert_int_equal(e2b_world_starts(fixture->world, "j"), 1);
}

static void a_list_has_pages_and_counts_what_its_filter_lets_through(void **state)
{
    struct fixture *fixture = *state;
    static const struct e2b_pair metadata[] = {{"svc", "other"}};
    for (int i = 0; i < 5; i++)
        (void)e2b_world_plant_foreign(fixture->world, (struct e2b_pairs){metadata, i < 2 ? 1 : 0}, 60000);
    e2b_sandbox_list(fixture->client, &fixture->call, &(struct e2b_sandbox_filter){.limit = 2}, on_page);
    virtual_loop_advance(fixture->loop, 1000);
    assert_int_equal(fixture->answers, 3);
    assert_int_equal(fixture->events, 5);
    assert_int_equal(fixture->total, 5);
    const struct e2b_sandbox_filter filter = {.metadata = {metadata, 1}};
    e2b_sandbox_list(fixture->client, &fixture->call, &filter, on_page);
    virtual_loop_advance(fixture->loop, 1000);
    assert_int_equal(fixture->answers, 4);
    assert_int_equal(fixture->total, 2);
}

static void a_sandbox_is_inspected_until_it_is_gone(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP(base_freep)
    char *id = base_strdup(e2b_world_plant_foreign(fixture->world, (struct e2b_pairs){0}, 10000));
    virtual_loop_advance(fixture->loop, 4000);
    e2b_sandbox_inspect(fixture->client, &fixture->call, id, on_info);
    virtual_loop_advance(fixture->loop, 100);
    assert_int_equal(fixture->error.kind, 0);
    assert_in_range(fixture->total, 4000, 4100);
    virtual_loop_advance(fixture->loop, 10000);
    assert_false(e2b_world_is_live(fixture->world, id));
    e2b_sandbox_inspect(fixture->client, &fixture->call, id, on_info);
    virtual_loop_advance(fixture->loop, 100);
    assert_int_equal(fixture->answers, 2);
    assert_int_equal(fixture->error.kind, E2B_ERROR_GONE);
}

static void a_full_account_refuses_and_names_its_limit(void **state)
{
    struct fixture *fixture = *state;
    e2b_world_limit(fixture->world, 1);
    (void)e2b_world_plant_foreign(fixture->world, (struct e2b_pairs){0}, 10000);
    create(fixture, 2000);
    virtual_loop_advance(fixture->loop, 1000);
    assert_int_equal(fixture->error.kind, E2B_ERROR_QUOTA);
    assert_non_null(strstr(fixture->error.message, "sandboxes (1)."));
    assert_int_equal(e2b_world_live(fixture->world), 1);
}

static void a_fault_may_be_one_jobs_alone(void **state)
{
    struct fixture *fixture = *state;
    struct e2b_world_fault fault = {
        .call = E2B_WORLD_CREATE, .job = "another", .error = {.kind = E2B_ERROR_BROKEN}};
    e2b_world_fail(fixture->world, &fault);
    create(fixture, 2000);
    virtual_loop_advance(fixture->loop, 1000);
    assert_int_equal(fixture->error.kind, 0);
    assert_int_equal(e2b_world_faults_left(fixture->world), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_sandbox_lives_for_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_create_is_silent_and_carried_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_silent_create_may_come_late, setup, teardown),
        cmocka_unit_test_setup_teardown(code_prints_and_dies_with_its_sandbox, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_has_pages_and_counts_what_its_filter_lets_through, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_sandbox_is_inspected_until_it_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_account_refuses_and_names_its_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fault_may_be_one_jobs_alone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
