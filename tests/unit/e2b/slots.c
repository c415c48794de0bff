/* The contract of slots: done once, never from inside start, with the slot idle again; cancel is silence at
 * every stage; close is heard by all, once. */
#include "world.h"

#include <stdio.h>

static const char ran[] = "{\"type\": \"number_of_executions\", \"execution_count\": 1}\n"
                          "{\"type\": \"stdout\", \"text\": \"one\\n\"}\n"
                          "{\"type\": \"stdout\", \"text\": \"two\\n\"}\n"
                          "{\"type\": \"end_of_execution\"}\n";

static void run(struct world *world)
{
    START(world, e2b_code_run(world->sandbox, &world->call, &(struct e2b_code){.text = "print('hi')"},
                              world_on_output, world_on_code));
    assert_true(e2b_call_is_active(&world->call));
}

/* ---- chains ---- */

static void on_ran(struct e2b_call *call, const struct e2b_error *error,
                   const struct e2b_exception *exception)
{
    struct world *world = call->arg;
    world_on_code(call, error, exception);
    START(world, e2b_sandbox_kill(world->client, call, e2b_sandbox_id(world->sandbox), world_on_done));
}

static void on_created(struct e2b_call *call, const struct e2b_error *error, struct e2b_sandbox *sandbox)
{
    struct world *world = call->arg;
    world_on_sandbox(call, error, sandbox);
    START(world,
          e2b_code_run(sandbox, call, &(struct e2b_code){.text = "print('hi')"}, world_on_output, on_ran));
}

static void chains_create_run_kill_in_one_slot(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->answers[0] = server_says(201, NULL, world_handle);
    world->answers[1] = server_says(200, NULL, ran);
    world->answers[2] = server_says(204, NULL, "");
    START(world, e2b_sandbox_create(world->client, &world->call,
                                    &(struct e2b_sandbox_options){.template_id = "base"}, on_created));
    world_wait(world, "done");
    assert_text(world->story.data, "sandbox start: out:one\n out:two\n ran done ");
    assert_non_null(strstr(world->heads[0], "POST /v2/sandboxes HTTP/1.1\r\n"));
    assert_non_null(strstr(world->heads[0], "\r\nX-API-KEY: e2b_key\r\n"));
    assert_null(strstr(world->heads[0], "Expect"));
    assert_non_null(strstr(world->heads[1], "POST /execute HTTP/1.1\r\n"));
    assert_non_null(strstr(world->heads[1], "\r\nE2b-Sandbox-Id: isandbox1\r\n"));
    assert_non_null(strstr(world->heads[1], "\r\nE2b-Sandbox-Port: 49999\r\n"));
    assert_non_null(strstr(world->heads[1], "\r\nX-Access-Token: token1\r\n"));
    assert_non_null(strstr(world->heads[2], "DELETE /sandboxes/isandbox1 HTTP/1.1\r\n"));
    assert_text(world->bodies[1].data, "{\"code\":\"print('hi')\"}");
    world_free(world);
}

/* ---- bad arguments arrive like everything else ---- */

static void tells_bad_arguments_later_and_once(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_open(world);
    START(world, e2b_sandbox_kill(world->client, &world->call, "", world_on_done));
    world_wait(world, "done!1 ");
    buffer_clear(&world->story);
    START(world, e2b_code_run(world->sandbox, &world->call, &(struct e2b_code){.text = "\xff"}, NULL,
                              world_on_code));
    world_wait(world, "ran!1 ");
    buffer_clear(&world->story);
    START(world, e2b_process_signal(world->sandbox, &world->call, 1, 2, world_on_done));
    world_wait(world, "done!1 ");
    assert_int_equal(world->asked, 0);
    world_free(world);
}

static void tells_bad_client_options_with_the_first_call(void **state)
{
    (void)state;
    struct world *world = world_new(&(struct e2b_client_options){.api_url = "ftp://nowhere"});
    START(world, e2b_sandbox_kill(world->client, &world->call, "i1", world_on_done));
    world_wait(world, "done!1 ");
    assert_non_null(strstr(world->error.message, "api_url"));
    world_free(world);
}

/* ---- cancel ---- */

static void cancel_in_start_is_silent(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_open(world);
    run(world);
    e2b_call_cancel(&world->call);
    assert_false(e2b_call_is_active(&world->call));
    e2b_call_cancel(&world->call); /* idle: nothing */
    world_run_ms(world, 30);
    assert_int_equal(world->story.length, 0);
    world_free(world);
}

static void cancel_of_a_bad_argument_is_silent(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    START(world, e2b_sandbox_kill(world->client, &world->call, "", world_on_done));
    e2b_call_cancel(&world->call);
    world_run_ms(world, 10);
    assert_int_equal(world->story.length, 0);
    world_free(world);
}

static void cancel_while_waiting_closes_the_connection_in_silence(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_open(world);
    world->answers[0] = (struct server_answer){.then = SERVER_HANGS};
    run(world);
    while (world->asked == 0)
        uv_run(&world->uv, UV_RUN_ONCE);
    e2b_call_cancel(&world->call);
    world_run_ms(world, 30);
    assert_int_equal(world->story.length, 0);
    /* and the slot can be used again at once */
    world->answers[1] = server_says(200, NULL, ran);
    run(world);
    world_wait(world, "ran ");
    world_free(world);
}

static void on_output_cancel(struct e2b_call *call, const struct e2b_output *output)
{
    world_on_output(call, output);
    if (output->kind != E2B_OUTPUT_STDOUT)
        return;
    e2b_call_cancel(call);
    assert_false(e2b_call_is_active(call));
}

static void cancel_inside_output_is_silent(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_open(world);
    world->answers[0] = server_says(200, NULL, ran);
    START(world, e2b_code_run(world->sandbox, &world->call, &(struct e2b_code){.text = "1"}, on_output_cancel,
                              world_on_code));
    world_wait(world, "out:");
    world_run_ms(world, 30);
    assert_text(world->story.data, "start: out:one\n ");
    world_free(world);
}

static void on_output_restart(struct e2b_call *call, const struct e2b_output *output)
{
    struct world *world = call->arg;
    world_on_output(call, output);
    if (output->kind != E2B_OUTPUT_STDOUT)
        return;
    e2b_call_cancel(call);
    e2b_sandbox_kill(world->client, call, "isandbox1", world_on_done);
}

static void cancel_inside_output_frees_the_slot_for_the_next_call(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_open(world);
    world->answers[0] = server_says(200, NULL, ran);
    world->answers[1] = server_says(404, NULL, "{\"code\":404,\"message\":\"gone\"}");
    START(world, e2b_code_run(world->sandbox, &world->call, &(struct e2b_code){.text = "1"},
                              on_output_restart, world_on_code));
    world_wait(world, "done");
    assert_text(world->story.data, "start: out:one\n done ");
    world_free(world);
}

/* One call's output cancels another call that is about to be sent, and frees what that one borrowed. */
static void on_output_cancel_other(struct e2b_call *call, const struct e2b_output *output)
{
    struct world *world = ((struct e2b_call *)call->arg)->arg;
    (void)output;
    if (!e2b_call_is_active(call->arg))
        return;
    e2b_call_cancel(call->arg);
    buffer_append_text(&world->story, "cancelled ");
}

static void on_other_code(struct e2b_call *call, const struct e2b_error *error,
                          const struct e2b_exception *exception)
{
    struct world *world = ((struct e2b_call *)call->arg)->arg;
    (void)exception;
    buffer_append_text(&world->story, error ? "other! " : "other ");
}

static void cancel_from_another_calls_output_is_silent(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_open(world);
    struct e2b_call other = {.arg = &world->call};
    world->answers[0] = server_says(200, NULL, ran);
    world->answers[1] = (struct server_answer){.then = SERVER_HANGS};
    e2b_code_run(world->sandbox, &other, &(struct e2b_code){.text = "1"}, on_output_cancel_other,
                 on_other_code);
    char *content = base_strdup("borrowed until the call is idle");
    START(world, e2b_files_write(world->sandbox, &world->call,
                                 &(struct e2b_file){.path = "a", .content = {.data = content, .length = 31}},
                                 1, world_on_done));
    world_wait(world, "cancelled");
    free(content);
    world_wait(world, "other ");
    world_run_ms(world, 20);
    assert_text(world->story.data, "cancelled other ");
    world_free(world);
}

static void cancel_while_probing_is_silent(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_open(world);
    world->answers[0] = (struct server_answer){.then = SERVER_RESETS};
    world->answers[1] = (struct server_answer){.then = SERVER_HANGS};
    run(world);
    while (world->asked < 2)
        uv_run(&world->uv, UV_RUN_ONCE);
    assert_non_null(strstr(world->heads[1], "GET /health HTTP/1.1\r\n"));
    assert_true(e2b_call_is_active(&world->call));
    e2b_call_cancel(&world->call);
    world_run_ms(world, 20);
    assert_int_equal(world->story.length, 0);
    world_free(world);
}

/* ---- close ---- */

static void close_is_heard_by_every_call_once(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_open(world);
    struct e2b_call calls[3] = {{.arg = world}, {.arg = world}, {.arg = world}};
    for (int i = 0; i < 3; i++)
        world->answers[i] = (struct server_answer){.then = SERVER_HANGS};
    e2b_sandbox_kill(world->client, &calls[0], "i1", world_on_done);
    e2b_sandbox_kill(world->client, &calls[1], "", world_on_done); /* failing already */
    run(world);
    while (world->asked < 2)
        uv_run(&world->uv, UV_RUN_ONCE);
    e2b_sandbox_kill(world->client, &calls[2], "i1", world_on_done);
    buffer_clear(&world->story);
    START(world, world_close(world));
    world_wait(world, "ran!15? ");
    assert_non_null(strstr(world->story.data, "done!15"));
    world_free(world);
}

static void on_closed_start_again(struct e2b_call *call, const struct e2b_error *error)
{
    struct world *world = call->arg;
    world_on_done(call, error);
    START(world, e2b_sandbox_kill(world->client, call, "i1", world_on_done));
}

static void a_call_started_while_closing_is_closed_too(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->answers[0] = (struct server_answer){.then = SERVER_HANGS};
    START(world, e2b_sandbox_kill(world->client, &world->call, "i1", on_closed_start_again));
    world_run_ms(world, 10);
    START(world, world_close(world));
    world_wait(world, "done!15? done!15 ");
    world_free(world);
}

static void on_output_close(struct e2b_call *call, const struct e2b_output *output)
{
    struct world *world = call->arg;
    world_on_output(call, output);
    if (output->kind == E2B_OUTPUT_STARTED)
        world_close(world);
}

static void close_inside_output_ends_the_call(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_open(world);
    world->answers[0] = server_says(200, NULL, ran);
    START(world, e2b_code_run(world->sandbox, &world->call, &(struct e2b_code){.text = "1"}, on_output_close,
                              world_on_code));
    world_wait(world, "ran");
    world_free(world);
}

/* ---- pause ---- */

static void on_output_pause(struct e2b_call *call, const struct e2b_output *output)
{
    struct world *world = call->arg;
    world_on_output(call, output);
    if (world->is_patient)
        e2b_call_pause(call);
}

static void pause_holds_every_single_event(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_open(world);
    world->answers[0] = server_says(200, NULL, ran);
    START(world, e2b_code_run(world->sandbox, &world->call, &(struct e2b_code){.text = "1"}, on_output_pause,
                              world_on_code));
    world_wait(world, "start: ");
    world_run_ms(world, 30);
    assert_text(world->story.data, "start: ");
    e2b_call_resume(&world->call);
    world_run_ms(world, 30);
    assert_text(world->story.data, "start: out:one\n ");
    e2b_call_resume(&world->call);
    e2b_call_pause(&world->call);
    world_run_ms(world, 10);
    assert_text(world->story.data, "start: out:one\n ");
    e2b_call_resume(&world->call);
    world_wait(world, "out:two");
    e2b_call_resume(&world->call);
    world_wait(world, "ran ");
    world_free(world);
}

/* More than is kept for a paused caller: the server has to wait, and nothing is lost or told twice. */
static void a_long_pause_holds_the_server_and_loses_nothing(void **state)
{
    (void)state;
    static const char line[] = "{\"type\": \"stdout\", \"text\": \"0123456789abcdef\"}\n";
    static const char end[] = "{\"type\": \"end_of_execution\"}\n";
    enum { LINES = 200000 };
    struct world *world = world_new(NULL);
    struct buffer body = {0};
    world_open(world);
    buffer_append_format(&body, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                         LINES * (sizeof line - 1) + sizeof end - 1);
    for (int i = 0; i < LINES; i++)
        buffer_append(&body, line, sizeof line - 1);
    buffer_append_text(&body, end);
    world->answers[0] = (struct server_answer){.bytes = buffer_bytes(&body), .then = SERVER_KEEPS};
    START(world, e2b_code_run(world->sandbox, &world->call, &(struct e2b_code){.text = "1"}, on_output_pause,
                              world_on_code));
    world_wait(world, "out:");
    world_run_ms(world, 100);
    assert_text(world->story.data, "out:0123456789abcdef ");
    assert_true(server_is_sending(world->server));
    for (int i = 0; i < 10; i++) { /* one event each */
        e2b_call_resume(&world->call);
        world_run_ms(world, 2);
    }
    assert_int_equal(world->story.length, 11 * strlen("out:0123456789abcdef "));
    world->is_patient = false;
    e2b_call_resume(&world->call);
    world_wait(world, "ran ");
    assert_int_equal(world->story.length, LINES * strlen("out:0123456789abcdef ") + strlen("ran "));
    world_free(world);
    buffer_release(&body);
}

static void cancel_while_paused_is_silent(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_open(world);
    world->answers[0] = server_says(200, NULL, ran);
    START(world, e2b_code_run(world->sandbox, &world->call, &(struct e2b_code){.text = "1"}, on_output_pause,
                              world_on_code));
    world_wait(world, "start: ");
    e2b_call_resume(&world->call);
    e2b_call_cancel(&world->call);
    world_run_ms(world, 20);
    assert_text(world->story.data, "start: ");
    world_free(world);
}

/* ---- deadlines ---- */

static void a_run_over_its_deadline_is_a_timeout(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_open(world);
    world->answers[0] = (struct server_answer){.then = SERVER_HANGS};
    world->call.timeout_ms = 60;
    run(world);
    world_wait(world, "ran!11? ");
    world_free(world);
}

static void a_process_over_its_deadline_is_told_so_by_the_server_first(void **state)
{
    (void)state;
    static const char *const argv[] = {"sleep", "9", NULL};
    struct world *world = world_new(NULL);
    world_open(world);
    world->answers[0] = (struct server_answer){.then = SERVER_HANGS};
    world->call.timeout_ms = 50;
    START(world, e2b_process_start(world->sandbox, &world->call,
                                   &(struct e2b_process_options){.argv = argv, .user = "root"},
                                   world_on_output, world_on_exit));
    while (world->asked == 0)
        uv_run(&world->uv, UV_RUN_ONCE);
    assert_non_null(strstr(world->heads[0], "\r\nConnect-Timeout-Ms: 50\r\n"));
    assert_non_null(strstr(world->heads[0], "\r\nKeepalive-Ping-Interval: 50\r\n"));
    assert_non_null(strstr(world->heads[0], "\r\nAuthorization: Basic cm9vdDo=\r\n"));
    assert_memory_equal(world->bodies[0].data, "\0\0\0\0", 4);
    assert_text(world->bodies[0].data + 5,
                "{\"process\":{\"cmd\":\"sleep\",\"args\":[\"9\"]},\"stdin\":false}");
    assert_int_equal(world->bodies[0].data[4], strlen(world->bodies[0].data + 5));
    world_run_ms(world, 300);
    assert_int_equal(world->story.length, 0); /* its word is waited for */
    world_wait(world, "exit!11? ");
    world_free(world);
}

/* ---- long words ---- */

/* Returns: a word that begins with `mark` and has something to escape. Owns: the caller. */
static char *long_word(char mark, size_t length)
{
    char *word = base_alloc(length + 1);
    memset(word, 'x', length);
    word[0] = mark;
    word[length / 2] = '\n';
    return word;
}

static void append_word(struct buffer *out, const char *word)
{
    const char *line = strchr(word, '\n');
    buffer_append_format(out, "\"%.*s\\n%s\"", (int)(line - word), word, line + 1);
}

/* A script that many command lines have in common is sent from where it lies; nobody sees it in the body. */
static void a_process_with_long_words_is_asked_for_as_any_other(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    struct buffer expected = {0};
    world_open(world);
    for (int i = 0; i < 12; i++) {
        CLEANUP(base_freep) char *script = long_word('s', 9000);
        CLEANUP(base_freep) char *own = long_word((char)('a' + i), 5000);
        CLEANUP(base_freep) char *more = long_word('m', 5000);
        const char *const argv[] = {"bash", "-c", script, own, "1", more, NULL};
        world->answers[i] = (struct server_answer){.then = SERVER_HANGS};
        START(world,
              e2b_process_start(world->sandbox, &world->call, &(struct e2b_process_options){.argv = argv},
                                world_on_output, world_on_exit));
        while (world->asked <= i)
            uv_run(&world->uv, UV_RUN_ONCE);
        e2b_call_cancel(&world->call);
        buffer_clear(&expected);
        buffer_append_text(&expected, "{\"process\":{\"cmd\":\"bash\",\"args\":[\"-c\",");
        append_word(&expected, script);
        buffer_append_byte(&expected, ',');
        append_word(&expected, own);
        buffer_append_text(&expected, ",\"1\",");
        append_word(&expected, more);
        buffer_append_text(&expected, "]},\"stdin\":false}");
        const unsigned char *body = (const unsigned char *)world->bodies[i].data;
        assert_int_equal(world->bodies[i].length, 5 + expected.length);
        assert_int_equal(body[0] << 30 | body[1] << 24 | body[2] << 16 | body[3] << 8 | body[4],
                         expected.length);
        assert_text((const char *)body + 5, expected.data);
    }
    buffer_release(&expected);
    world_free(world);
}

/* ---- at every moment ---- */

/* One step of each kind, told in pieces; the n-th turn of the loop is where something happens to it. */
static bool run_turns(struct world *world, int act, int turns)
{
    static const char *const argv[] = {"x", NULL};
    static const char exited[] = "HTTP/1.1 200 OK\r\nContent-Type: application/connect+json\r\n"
                                 "Content-Length: 56\r\n\r\n"
                                 "\0\0\0\0\x1d{\"event\":{\"start\":{\"pid\":7}}}"
                                 "\0\0\0\0\x10{\"event\":{\"end\":"; /* and then nothing: it is cut */
    world->answers[0] = server_says(200, NULL, ran);
    if (act == 1)
        world->answers[0] = (struct server_answer){.bytes = {.data = exited, .length = sizeof exited - 1}};
    world->answers[0].split = SPLIT_RANDOM;
    world->answers[1] = server_says(204, NULL, ""); /* the probe, or nothing */
    if (act == 0)
        e2b_code_run(world->sandbox, &world->call, &(struct e2b_code){.text = "1"}, world_on_output,
                     world_on_code);
    else if (act == 1)
        e2b_process_start(world->sandbox, &world->call, &(struct e2b_process_options){.argv = argv},
                          world_on_output, world_on_exit);
    else
        e2b_file_read(world->sandbox, &world->call, "a", NULL, world_on_done);
    for (int i = 0; i < turns && e2b_call_is_active(&world->call); i++)
        uv_run(&world->uv, UV_RUN_NOWAIT);
    return e2b_call_is_active(&world->call);
}

static void a_cancel_in_any_turn_is_silent(void **state)
{
    (void)state;
    for (int act = 0; act < 3; act++) {
        bool was_active = true;
        for (int turns = 0; was_active; turns++) {
            struct world *world = world_new(NULL);
            world_open(world);
            was_active = run_turns(world, act, turns);
            size_t told = world->story.length;
            e2b_call_cancel(&world->call);
            for (int i = 0; i < 30; i++)
                uv_run(&world->uv, UV_RUN_NOWAIT);
            assert_int_equal(world->story.length, told);
            world_free(world);
        }
    }
}

static void a_close_in_any_turn_is_heard_once(void **state)
{
    (void)state;
    for (int act = 0; act < 3; act++) {
        bool was_active = true;
        for (int turns = 0; was_active; turns++) {
            struct world *world = world_new(NULL);
            world_open(world);
            was_active = run_turns(world, act, turns);
            world_close(world);
            uv_run(&world->uv, UV_RUN_DEFAULT);
            assert_false(e2b_call_is_active(&world->call));
            const char *end = strstr(world->story.data, "!15");
            assert_true(!was_active || end);
            assert_true(!end || !strstr(end + 1, "!15"));
            world_free(world);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_create_run_kill_in_one_slot),
        cmocka_unit_test(tells_bad_arguments_later_and_once),
        cmocka_unit_test(tells_bad_client_options_with_the_first_call),
        cmocka_unit_test(cancel_in_start_is_silent),
        cmocka_unit_test(cancel_of_a_bad_argument_is_silent),
        cmocka_unit_test(cancel_while_waiting_closes_the_connection_in_silence),
        cmocka_unit_test(cancel_inside_output_is_silent),
        cmocka_unit_test(cancel_inside_output_frees_the_slot_for_the_next_call),
        cmocka_unit_test(cancel_from_another_calls_output_is_silent),
        cmocka_unit_test(cancel_while_probing_is_silent),
        cmocka_unit_test(close_is_heard_by_every_call_once),
        cmocka_unit_test(a_call_started_while_closing_is_closed_too),
        cmocka_unit_test(close_inside_output_ends_the_call),
        cmocka_unit_test(pause_holds_every_single_event),
        cmocka_unit_test(a_long_pause_holds_the_server_and_loses_nothing),
        cmocka_unit_test(cancel_while_paused_is_silent),
        cmocka_unit_test(a_cancel_in_any_turn_is_silent),
        cmocka_unit_test(a_close_in_any_turn_is_heard_once),
        cmocka_unit_test(a_run_over_its_deadline_is_a_timeout),
        cmocka_unit_test(a_process_over_its_deadline_is_told_so_by_the_server_first),
        cmocka_unit_test(a_process_with_long_words_is_asked_for_as_any_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
