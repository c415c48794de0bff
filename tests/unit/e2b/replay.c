/* Every recording of the real envd and the real interpreter, answered to the call that would have got it: in
 * one piece, byte by byte, and cut at random. The expected outcomes were read off the recordings. */
#include "base/buffer.h"
#include "world.h"

#include <dirent.h>
#include <stdio.h>

/* Which call gets the recording. What libe2b has no call for is read as a file: its bytes or its error must
 * arrive. */
enum act {
    CODE,
    START_IT,
    FOLLOW,
    WRITE_IN,
    CLOSE_IN,
    SIGNAL,
    WRITE_ONE,
    WRITE_TWO,
    READ,
    STAT,
    LIST,
    REMOVE
};

struct recording {
    const char *name;
    enum act act;
    const char *expected;
};

static const struct recording recordings[] = {
#include "replay.inc"
};

struct outcome {
    int started, results;
    size_t out, err, read;
    struct buffer text;
    uint32_t pid;
    bool is_done;
};

static struct outcome outcome;

static void finish(struct e2b_call *call, const struct e2b_error *error)
{
    assert_false(e2b_call_is_active(call));
    assert_false(outcome.is_done);
    outcome.is_done = true;
    if (outcome.started)
        buffer_append_text(&outcome.text, "started ");
    if (outcome.pid)
        buffer_append_format(&outcome.text, "pid=%u ", outcome.pid);
    if (outcome.out)
        buffer_append_format(&outcome.text, "out=%zu ", outcome.out);
    if (outcome.err)
        buffer_append_format(&outcome.text, "err=%zu ", outcome.err);
    if (outcome.results)
        buffer_append_format(&outcome.text, "results=%d ", outcome.results);
    if (outcome.read)
        buffer_append_format(&outcome.text, "read=%zu ", outcome.read);
    if (error)
        buffer_append_format(&outcome.text, "error=%d%s http=%d code='%s' '%s'", (int)error->kind,
                             error->undecided ? "?" : "", error->http_status, error->code, error->message);
}

static void on_output(struct e2b_call *call, const struct e2b_output *output)
{
    assert_true(e2b_call_is_active(call));
    switch (output->kind) {
    case E2B_OUTPUT_STARTED:
        outcome.started++;
        outcome.pid = output->pid;
        break;
    case E2B_OUTPUT_STDOUT:
        outcome.out += output->bytes.length;
        break;
    case E2B_OUTPUT_STDERR:
        outcome.err += output->bytes.length;
        break;
    case E2B_OUTPUT_RESULT:
        outcome.results++;
        assert_int_equal(((const char *)output->bytes.data)[0], '{');
        assert_int_equal(((const char *)output->bytes.data)[output->bytes.length - 1], '}');
        assert_null(strstr(output->bytes.data, "\"type\": \"result\""));
        break;
    }
}

static void on_code(struct e2b_call *call, const struct e2b_error *error,
                    const struct e2b_exception *exception)
{
    finish(call, error);
    if (exception)
        buffer_append_format(&outcome.text, "raised '%s' '%s'", exception->name, exception->value);
    else if (!error)
        buffer_append_text(&outcome.text, "ok");
}

static void on_exit_(struct e2b_call *call, const struct e2b_error *error, const struct e2b_exit *exit)
{
    finish(call, error);
    if (exit)
        buffer_append_format(&outcome.text, "exit=%d signal=%d", exit->code, exit->signal);
}

static void on_done(struct e2b_call *call, const struct e2b_error *error)
{
    finish(call, error);
    if (!error)
        buffer_append_text(&outcome.text, "ok");
}

static void on_bytes(struct e2b_call *call, struct e2b_bytes bytes)
{
    (void)call;
    outcome.read += bytes.length;
}

static void on_file(struct e2b_call *call, const struct e2b_error *error, const struct e2b_file_info *info)
{
    finish(call, error);
    if (info)
        buffer_append_format(&outcome.text, "%s %s kind=%d bytes=%lld mode=%o", info->name, info->path,
                             (int)info->kind, (long long)info->bytes, info->mode);
}

static void on_files(struct e2b_call *call, const struct e2b_error *error, const struct e2b_file_page *page)
{
    finish(call, error);
    for (size_t i = 0; page && i < page->count; i++)
        buffer_append_format(&outcome.text, "%s%s:%d:%lld", i > 0 ? " " : "", page->items[i].name,
                             (int)page->items[i].kind, (long long)page->items[i].bytes);
}

static void start(struct world *world, enum act act)
{
    static const char *const argv[] = {"/bin/true", NULL};
    const struct e2b_file files[] = {{.path = "m1", .content = {.data = "one", .length = 3}},
                                     {.path = "dir/m2", .content = {.data = "two", .length = 3}}};
    struct e2b_sandbox *sandbox = world->sandbox;
    struct e2b_call *call = &world->call;
    switch (act) {
    case CODE:
        e2b_code_run(sandbox, call, &(struct e2b_code){.text = "1"}, on_output, on_code);
        break;
    case START_IT:
        e2b_process_start(sandbox, call, &(struct e2b_process_options){.argv = argv}, on_output, on_exit_);
        break;
    case FOLLOW:
        e2b_process_follow(sandbox, call, 20, on_output, on_exit_);
        break;
    case WRITE_IN:
        e2b_process_write(sandbox, call, 20, (struct e2b_bytes){.data = "x", .length = 1}, on_done);
        break;
    case CLOSE_IN:
        e2b_process_close_input(sandbox, call, 20, on_done);
        break;
    case SIGNAL:
        e2b_process_signal(sandbox, call, 20, 15, on_done);
        break;
    case WRITE_ONE:
    case WRITE_TWO:
        e2b_files_write(sandbox, call, files, act == WRITE_ONE ? 1 : 2, on_done);
        break;
    case READ:
        e2b_file_read(sandbox, call, "a.txt", on_bytes, on_done);
        break;
    case STAT:
        e2b_file_stat(sandbox, call, "meta.txt", on_file);
        break;
    case LIST:
        e2b_file_list(sandbox, call, "/home/user", 2, on_files);
        break;
    case REMOVE:
        e2b_file_remove(sandbox, call, "d1", on_done);
        break;
    }
}

static struct buffer read_recording(const char *name)
{
    char path[512], part[8192];
    struct buffer bytes = {0};
    snprintf(path, sizeof path, TEST_DATA "/transcripts/%s.raw", name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot read %s", path);
    for (size_t n; (n = fread(part, 1, sizeof part, file)) > 0;)
        buffer_append(&bytes, part, n);
    fclose(file);
    return bytes;
}

static void replay(struct world *world, const struct recording *recording, enum server_split split)
{
    struct buffer raw = read_recording(recording->name), health = read_recording("kill-02-health");
    bool is_dead = !strncmp(recording->name, "kill-", 5);
    world_open(world);
    world->answers[0] =
        (struct server_answer){.bytes = buffer_bytes(&raw), .split = split, .then = SERVER_CLOSES};
    world->answers[1] = is_dead ? (struct server_answer){.bytes = buffer_bytes(&health), .then = SERVER_KEEPS}
                                : server_says(204, NULL, "");
    outcome = (struct outcome){0};
    START(world, start(world, recording->act));
    while (!outcome.is_done)
        uv_run(&world->uv, UV_RUN_ONCE);
    buffer_append_text(&outcome.text, "");
    if (strcmp(outcome.text.data, recording->expected))
        fail_msg("%s, split %d:\n  {\"%s\", X, \"%s\"},", recording->name, (int)split, recording->name,
                 outcome.text.data);
    world_run_ms(world, 0); /* the server sees the connections end before their bytes go */
    e2b_sandbox_free(TAKE(world->sandbox));
    buffer_release(&outcome.text);
    buffer_release(&raw);
    buffer_release(&health);
}

static void replay_all(enum server_split split)
{
    struct world *world = world_new(NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(recordings); i++)
        replay(world, &recordings[i], split);
    world_free(world);
}

static void in_one_piece(void **state)
{
    (void)state;
    replay_all(SPLIT_NONE);
}

static void byte_by_byte(void **state)
{
    (void)state;
    replay_all(SPLIT_BYTES);
}

static void cut_at_random(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        replay_all(SPLIT_RANDOM);
}

static void every_recording_is_listed(void **state)
{
    (void)state;
    DIR *directory = opendir(TEST_DATA "/transcripts");
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        const char *dot = strstr(entry->d_name, ".raw");
        bool is_listed = !dot;
        for (size_t i = 0; !is_listed && i < ARRAY_LENGTH(recordings); i++)
            is_listed = strlen(recordings[i].name) == (size_t)(dot - entry->d_name) &&
                        !strncmp(recordings[i].name, entry->d_name, strlen(recordings[i].name));
        if (!is_listed)
            fail_msg("%s has no line in replay.inc", entry->d_name);
    }
    closedir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recording_is_listed),
        cmocka_unit_test(in_one_piece),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(cut_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
