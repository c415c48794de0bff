/* What the real ledger does when its Redis misbehaves: stopped, emptied, frozen, unfit, refusing. */
#include "contract/desk.h"
#include "contract/real_world.h"
#include "test.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct scene {
    struct world *world;
    struct desk desk;
};

static int set_up(void **state)
{
    struct scene *scene = base_alloc(sizeof *scene);
    scene->world = world_new();
    desk_open(&scene->desk, scene->world, "one");
    desk_make_ready(&scene->desk);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;
    desk_close(&scene->desk);
    world_free(scene->world);
    free(scene);
    return 0;
}

static void wait_state(struct scene *scene, enum ledger_state wanted)
{
    for (int i = 0; i < 2000 && ledger_state(scene->desk.ledger) != wanted; i++)
        world_sleep(scene->world, 10);
    assert_int_equal(ledger_state(scene->desk.ledger), wanted);
}

static void on_acquired(struct ledger_call *call, const struct error *error,
                        const struct ledger_acquired *answer)
{
    struct desk *desk = call->arg;
    (void)answer;
    desk->is_answered = true;
    desk->is_error = error != NULL;
    if (error)
        desk->error = *error;
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static void acquire_fails(struct scene *scene, const char *job)
{
    struct ledger_acquire wish = desk_wish(job, job);
    scene->desk.is_answered = false;
    scene->desk.call.arg = &scene->desk;
    ledger_acquire(scene->desk.ledger, &scene->desk.call, &wish, on_acquired);
    world_wait(scene->world, &scene->desk.is_answered);
    assert_true(scene->desk.is_error);
    assert_int_equal(scene->desk.error.kind, ERROR_TRANSIENT);
    assert_string_not_equal(scene->desk.error.text, "");
}

static void a_restarted_redis_is_a_lost_ledger_and_the_background_waits_for_it(void **state)
{
    struct scene *scene = *state;
    struct desk *desk = &scene->desk;
    (void)desk_ask(desk, "acme/1", "p1");
    redis_server_stop(world_server(scene->world));
    wait_state(scene, LEDGER_CONNECTING);
    acquire_fails(scene, "acme/2");
    ledger_done(desk->ledger, "acme/3", "succeeded", 1, 7, 60000);
    world_sleep(scene->world, 100);
    assert_int_equal(ledger_background_count(desk->ledger), 1);
    redis_server_start(world_server(scene->world));
    wait_state(scene, LEDGER_REBUILDING);
    desk_flush(desk);
    assert_int_equal(desk_ask(desk, "acme/1", "p1")->verdict, LEDGER_NOT_READY);
    assert_int_equal(desk_ready(desk, 0), LEDGER_NOT_NOW);
    world_age_rebuild(scene->world, 6000); /* everybody is back: 5 s */
    assert_int_equal(desk_ready(desk, 0), LEDGER_OK);
    desk_wait_ready(desk);
    assert_int_equal(desk_ask(desk, "acme/3", "p3")->verdict, LEDGER_DONE);
}

static void a_server_with_an_old_snapshot_is_rebuilt_and_its_permits_are_dropped(void **state)
{
    struct scene *scene = *state;
    struct desk *desk = &scene->desk;
    (void)desk_ask(desk, "acme/1", "p1");
    redis_server_tell(world_server(scene->world), "HSET " WORLD_PREFIX "led run another");
    assert_int_equal(desk_extend(desk, "p1", 600000), LEDGER_NOT_NOW);
    assert_int_equal(ledger_state(desk->ledger), LEDGER_REBUILDING);
    desk_make_ready(desk);
    assert_int_equal(world_used(scene->world, "g"), 0);
    assert_false(world_has_permit(scene->world, "p1"));
    /* The claim is still there, of an epoch that is over, and names its permit. */
    const struct ledger_acquired *answer = desk_ask(desk, "acme/1", "p2");
    assert_int_equal(answer->verdict, LEDGER_ADOPT);
    assert_text(answer->permit, "p1");
}

/* What Debian's default configuration makes of a kill -9: the minutes since the last snapshot never were. */
static void a_redis_that_restarts_with_an_old_snapshot_knows_only_what_is_asserted(void **state)
{
    struct scene *scene = *state;
    struct desk *desk = &scene->desk;
    (void)desk_ask(desk, "acme/1", "p1");
    (void)desk_bind(desk, "acme/1", "p1");
    (void)desk_ask(desk, "acme/2", "p2");
    redis_server_save(world_server(scene->world));
    desk_release(desk, "p2", "acme/2", LEDGER_RELEASE_PERMIT | LEDGER_RELEASE_CLAIM);
    (void)desk_ask(desk, "acme/3", "p3");
    (void)desk_seal(desk, "acme/1", "p1", "the verdict");
    desk->is_silent = true;
    desk->has_rebuild = false;
    redis_server_stop(world_server(scene->world));
    wait_state(scene, LEDGER_CONNECTING);
    redis_server_start(world_server(scene->world));
    world_wait(scene->world, &desk->has_rebuild);
    assert_int_equal(ledger_state(desk->ledger), LEDGER_REBUILDING);
    assert_int_equal(world_used(scene->world, "g"), 2); /* p1 and p2: the snapshot's */
    assert_true(desk_lead(desk)->behind_ms >= 0);
    struct ledger_assertion verdict = desk_claim("acme/1", "p1"), run = desk_claim("acme/3", "p3");
    verdict.status = "succeeded";
    verdict.record = (struct bytes){.data = "the verdict", .length = 11};
    assert_int_equal(desk_assert(desk, &verdict), LEDGER_OK);
    assert_int_equal(desk_assert(desk, &run), LEDGER_OK);
    assert_int_equal(desk_asserted(desk), LEDGER_OK);
    world_age_rebuild(scene->world, 6000);
    assert_int_equal(desk_ready(desk, 2), LEDGER_OK);
    desk_wait_ready(desk);
    assert_false(world_has_permit(scene->world, "p2"));
    assert_int_equal(world_used(scene->world, "g"), 2);
    assert_text(desk_look(desk, "acme/1")->state, "sealed");
    assert_int_equal(desk_extend(desk, "p3", 600000), LEDGER_OK);
    assert_int_equal(desk->lost_count, 0);
}

static void set_clock_back(struct scene *scene, int64_t ms)
{
    redis_server_tell(world_server(scene->world), "HINCRBY " WORLD_PREFIX "led clk %lld", (long long)-ms);
}

static void a_clock_that_steps_forward_or_back_means_a_rebuild(void **state)
{
    struct scene *scene = *state;
    struct desk *desk = &scene->desk;
    (void)desk_ask(desk, "acme/1", "p1");
    set_clock_back(scene, 3600000); /* as if the server's clock had gone forward by an hour */
    assert_int_equal(desk_ask(desk, "acme/2", "p2")->verdict, LEDGER_NOT_READY);
    assert_int_equal(desk_extend(desk, "p1", 600000), LEDGER_OK); /* in doubt, then proven */
    wait_state(scene, LEDGER_REBUILDING);
    desk_make_ready(desk);
    set_clock_back(scene, -5000);
    (void)desk_extend(desk, "p1", 600000);
    wait_state(scene, LEDGER_REBUILDING);
}

static void a_frozen_redis_fails_calls_by_their_deadline_and_is_not_rebuilt_after(void **state)
{
    struct scene *scene = *state;
    struct desk *desk = &scene->desk;
    (void)desk_ask(desk, "acme/1", "p1");
    redis_server_freeze(world_server(scene->world));
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    acquire_fails(scene, "acme/2");
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_in_range(after.tv_sec - before.tv_sec, 2, 6);
    assert_true(ledger_lease_is_valid(desk->ledger));
    world_sleep(scene->world, 17000);
    assert_false(ledger_lease_is_valid(desk->ledger));
    assert_int_equal(ledger_state(desk->ledger), LEDGER_CONNECTING);
    redis_server_thaw(world_server(scene->world));
    wait_state(scene, LEDGER_READY); /* the gap is explained: nothing was lost */
    assert_true(ledger_lease_is_valid(desk->ledger));
    assert_true(redis_server_ask_int(world_server(scene->world), "HGET " WORLD_PREFIX "led hold") > 0);
    assert_int_equal(desk_extend(desk, "p1", 600000), LEDGER_OK);
    assert_int_equal(desk->lost_count, 0);
}

static void an_evicting_redis_is_refused_with_what_to_set(void **state)
{
    (void)state;
    struct scene scene = {.world = world_new()};
    redis_server_tell(world_server(scene.world), "CONFIG SET maxmemory-policy allkeys-lru");
    desk_open(&scene.desk, scene.world, "one");
    world_sleep(scene.world, 300);
    assert_int_equal(ledger_state(scene.desk.ledger), LEDGER_CONNECTING);
    assert_non_null(strstr(ledger_why(scene.desk.ledger), "maxmemory-policy noeviction"));
    acquire_fails(&scene, "acme/1");
    redis_server_tell(world_server(scene.world), "CONFIG SET maxmemory-policy noeviction");
    wait_state(&scene, LEDGER_REBUILDING);
    desk_close(&scene.desk);
    world_free(scene.world);
}

static void a_wrong_password_is_named(void **state)
{
    (void)state;
    struct scene scene = {.world = world_new()};
    redis_server_tell(world_server(scene.world), "CONFIG SET requirepass secret");
    desk_open(&scene.desk, scene.world, "one");
    world_sleep(scene.world, 200);
    assert_int_equal(ledger_state(scene.desk.ledger), LEDGER_CONNECTING);
    assert_non_null(strstr(ledger_why(scene.desk.ledger), "password"));
    redis_server_tell(world_server(scene.world), "CONFIG SET requirepass %s", "");
    wait_state(&scene, LEDGER_REBUILDING);
    desk_close(&scene.desk);
    world_free(scene.world);
}

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void it_logs_in_over_tcp_by_name_with_user_and_database(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct redis_server *server = world_server(world);
    int port = free_port();
    redis_server_tell(server, "CONFIG SET port %d", port);
    redis_server_tell(server, "ACL SETUSER me on >p@ss ~{e2b:acct}:* &{e2b:acct}:* +@all");
    CLEANUP(base_freep) char *url = base_printf("redis://me:p%%40ss@localhost:%d/3", port);
    static const struct log silent = {.level = LOG_LEVEL_NONE};
    struct random random;
    random_init(&random);
    struct ledger_options options = {.loop = world_loop(world),
                                     .random = &random,
                                     .log = &silent,
                                     .url = url,
                                     .name = "acct",
                                     .worker = "one"};
    struct error error;
    struct ledger *ledger = ledger_new(&options, &error);
    assert_non_null(ledger);
    for (int i = 0; i < 300 && ledger_state(ledger) == LEDGER_CONNECTING; i++)
        world_sleep(world, 10);
    assert_text(ledger_state(ledger) == LEDGER_REBUILDING ? "" : ledger_why(ledger), "");
    redisReply *keys = redis_server_ask(server, "INFO keyspace");
    assert_non_null(strstr(keys->str, "db3:"));
    freeReplyObject(keys);
    bool is_closed = false;
    ledger_close(ledger, 1000, set_flag, &is_closed);
    world_wait(world, &is_closed);
    options.url = "rediss://localhost";
    assert_null(ledger_new(&options, &error));
    options.url = "redis://localhost";
    options.name = "no} name";
    assert_null(ledger_new(&options, &error));
    world_free(world);
}

static void a_ledger_closes_wherever_it_stands(void **state)
{
    (void)state;
    static const char *const urls[] = {"redis://127.0.0.1:1", "redis://no-such-host.invalid",
                                       "unix:/nowhere"};
    static const struct log silent = {.level = LOG_LEVEL_NONE};
    static const int64_t moments_ms[] = {0, 1, 30, 400};
    struct world *world = world_new();
    struct random random;
    random_init(&random);
    for (size_t i = 0; i < ARRAY_LENGTH(urls) * ARRAY_LENGTH(moments_ms); i++) {
        struct error error;
        struct ledger *ledger = ledger_new(&(struct ledger_options){.loop = world_loop(world),
                                                                    .random = &random,
                                                                    .log = &silent,
                                                                    .url = urls[i % ARRAY_LENGTH(urls)],
                                                                    .name = "default",
                                                                    .worker = "one"},
                                           &error);
        ledger_done(ledger, "acme/1", "succeeded", 0, 0, 1000);
        int64_t moment_ms = moments_ms[i / ARRAY_LENGTH(urls)];
        if (moment_ms > 0)
            world_sleep(world, moment_ms);
        assert_int_equal(ledger_state(ledger), LEDGER_CONNECTING);
        bool is_closed = false;
        ledger_close(ledger, 20, set_flag, &is_closed);
        world_wait(world, &is_closed);
    }
    world_free(world);
}

static void forgotten_scripts_and_lost_rights_are_repaired_by_a_new_connection(void **state)
{
    struct scene *scene = *state;
    redis_server_tell(world_server(scene->world), "SCRIPT FLUSH");
    acquire_fails(scene, "acme/1");
    wait_state(scene, LEDGER_READY);
    assert_int_equal(desk_ask(&scene->desk, "acme/1", "p1")->verdict, LEDGER_GRANTED);
    redis_server_tell(world_server(scene->world), "REPLICAOF 127.0.0.1 1");
    acquire_fails(scene, "acme/2");
    wait_state(scene, LEDGER_CONNECTING);
    redis_server_tell(world_server(scene->world), "REPLICAOF NO ONE");
    wait_state(scene, LEDGER_READY);
    redis_server_tell(world_server(scene->world), "CONFIG SET maxmemory 1");
    acquire_fails(scene, "acme/2");
    redis_server_tell(world_server(scene->world), "CONFIG SET maxmemory 0");
    wait_state(scene, LEDGER_READY);
}

static void a_lost_answer_of_the_background_is_asked_again(void **state)
{
    struct scene *scene = *state;
    struct desk *desk = &scene->desk;
    (void)desk_ask(desk, "acme/1", "p1");
    ledger_release(desk->ledger, "p1", "acme/1", LEDGER_RELEASE_PERMIT | LEDGER_RELEASE_CLAIM);
    ledger_done(desk->ledger, "acme/2", "succeeded", 0, 0, 60000);
    redis_server_tell(world_server(scene->world), "CLIENT KILL TYPE normal SKIPME yes");
    wait_state(scene, LEDGER_CONNECTING);
    assert_int_equal(ledger_background_count(desk->ledger), 2);
    wait_state(scene, LEDGER_READY);
    desk_flush(desk);
    assert_int_equal(world_used(scene->world, "g"), 0);
    assert_int_equal(desk_ask(desk, "acme/2", "p2")->verdict, LEDGER_DONE);
}

static void on_many(struct ledger_call *call, const struct error *error, const struct ledger_acquired *answer)
{
    size_t *left = call->arg;
    assert_null(error);
    assert_int_equal(answer->verdict, LEDGER_GRANTED);
    --*left;
}

static int64_t told_by(struct scene *scene, const char *section, const char *name)
{
    redisReply *info = redis_server_ask(world_server(scene->world), section);
    const char *line = strstr(info->str, name);
    assert_non_null(line);
    int64_t value = strtoll(line + strlen(name), NULL, 10);
    freeReplyObject(info);
    return value;
}

/* The server's read(2) calls that brought a command. */
static int64_t reads(struct scene *scene)
{
    return told_by(scene, "INFO stats", "total_reads_processed:");
}

static int64_t scripts_run(struct scene *scene)
{
    return told_by(scene, "INFO commandstats", "cmdstat_evalsha:calls=");
}

static void the_commands_of_one_turn_leave_in_one_write(void **state)
{
    struct scene *scene = *state;
    enum { MANY = 20 };
    struct ledger_call calls[MANY] = {{0}};
    size_t left = MANY;
    world_sleep(scene->world, 50);
    int64_t scripts_before = scripts_run(scene);
    int64_t before = reads(scene);
    for (int i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof name, "acme/%d", i);
        struct ledger_acquire wish = desk_wish(name, name);
        calls[i].arg = &left;
        ledger_acquire(scene->desk.ledger, &calls[i], &wish, on_many);
    }
    world_wait_none(scene->world, &left);
    /* One for our own INFO; a pulse may have come in between. */
    assert_in_range(reads(scene) - before, 1, 3);
    assert_in_range(scripts_run(scene) - scripts_before, 2, 3);
}

struct asking {
    struct ledger_call call;
    size_t *left;
    bool is_granted;
    struct error error;
};

static void on_any(struct ledger_call *call, const struct error *error, const struct ledger_acquired *answer)
{
    struct asking *asking = call->arg;
    asking->is_granted = !error && answer->verdict == LEDGER_GRANTED;
    if (error)
        asking->error = *error;
    --*asking->left;
}

/* Another program wrote where a claim stands: of those that are asked for with it, in one command, none
 * fails. */
static void a_record_of_another_kind_fails_its_own_job_alone(void **state)
{
    struct scene *scene = *state;
    struct asking all[3] = {0};
    size_t left = ARRAY_LENGTH(all);
    redis_server_tell(world_server(scene->world), "SET " WORLD_PREFIX "j:acme/1 foreign");
    for (size_t i = 0; i < ARRAY_LENGTH(all); i++) {
        char name[32];
        snprintf(name, sizeof name, "acme/%zu", i);
        struct ledger_acquire wish = desk_wish(name, name);
        all[i].call.arg = &all[i];
        all[i].left = &left;
        ledger_acquire(scene->desk.ledger, &all[i].call, &wish, on_any);
    }
    world_wait_none(scene->world, &left);
    assert_true(all[0].is_granted);
    assert_true(all[2].is_granted);
    assert_int_equal(all[1].error.kind, ERROR_INTERNAL);
    assert_non_null(strstr(all[1].error.text, "WRONGTYPE"));
    assert_int_equal(ledger_state(scene->desk.ledger), LEDGER_READY);
}

/* Nor do those that are given back with it keep their places. */
static void a_permit_of_another_kind_keeps_no_other_from_going(void **state)
{
    struct scene *scene = *state;
    static const char *const names[] = {"acme/0", "acme/1", "acme/2"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        (void)desk_ask(&scene->desk, names[i], names[i]);
    redis_server_tell(world_server(scene->world), "SET " WORLD_PREFIX "p:acme/1 foreign");
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        ledger_release(scene->desk.ledger, names[i], NULL, LEDGER_RELEASE_PERMIT);
    desk_flush(&scene->desk);
    assert_int_equal(world_used(scene->world, "g"), 1); /* the broken one's, until its horizon */
}

#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCENE(a_restarted_redis_is_a_lost_ledger_and_the_background_waits_for_it),
        IN_SCENE(a_server_with_an_old_snapshot_is_rebuilt_and_its_permits_are_dropped),
        IN_SCENE(a_redis_that_restarts_with_an_old_snapshot_knows_only_what_is_asserted),
        IN_SCENE(a_clock_that_steps_forward_or_back_means_a_rebuild),
        IN_SCENE(a_frozen_redis_fails_calls_by_their_deadline_and_is_not_rebuilt_after),
        cmocka_unit_test(an_evicting_redis_is_refused_with_what_to_set),
        cmocka_unit_test(a_wrong_password_is_named),
        cmocka_unit_test(a_ledger_closes_wherever_it_stands),
        cmocka_unit_test(it_logs_in_over_tcp_by_name_with_user_and_database),
        IN_SCENE(forgotten_scripts_and_lost_rights_are_repaired_by_a_new_connection),
        IN_SCENE(a_lost_answer_of_the_background_is_asked_again),
        IN_SCENE(the_commands_of_one_turn_leave_in_one_write),
        IN_SCENE(a_record_of_another_kind_fails_its_own_job_alone),
        IN_SCENE(a_permit_of_another_kind_keeps_no_other_from_going),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
