/* libe2b by hand or from a test: reads one operation a line from standard input (a JSON array: its name, its
 * arguments), runs them one after the other, and prints what came as JSON lines.
 *
 *   e2b_probe API_URL SANDBOX_URL KEY [CA_FILE]
 *
 *   ["timeout", MS]              for all that follow; 0: defaults
 *   ["create", TEMPLATE, {metadata}?]   ["open", ID]   ["connect", ID, LIVE_MS]   ["kill"]   ["keep",
 * LIVE_MS]
 *   ["pause"]   ["inspect"]   ["sandboxes", {metadata}?]
 *   ["run", CODE, LANGUAGE?]     ["start", ARGUMENT...]     ["follow", PID]     ["signal", PID, NUMBER]
 *   ["type", PID, TEXT]          ["close_input", PID]
 *   ["put", PATH, TEXT, PATH, TEXT...]   ["get", PATH]   ["stat", PATH]   ["list", PATH, DEPTH]   ["remove",
 * PATH] */
#include <e2b/e2b.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { MAX_ITEMS = 32 };

struct probe {
    struct e2b_client *client;
    struct e2b_sandbox *sandbox;
    char id[128];
    struct e2b_call call;
    json_t *line; /* the operation under way */
};

static void next(struct probe *probe);

static const char *text(const struct probe *probe, size_t i)
{
    return json_string_value(json_array_get(probe->line, i));
}

static int64_t number(const struct probe *probe, size_t i)
{
    return json_integer_value(json_array_get(probe->line, i));
}

static void print(json_t *object)
{
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(object);
}

static void finish(struct e2b_call *call, const struct e2b_error *error, json_t *more)
{
    struct probe *probe = call->arg;
    json_t *line = json_pack("{s:s, s:b}", "done", text(probe, 0), "ok", !error);
    if (more)
        json_object_update_new(line, more);
    if (error)
        json_object_update_new(line, json_pack("{s:i, s:b, s:i, s:I, s:s, s:s}", "kind", (int)error->kind,
                                               "undecided", error->undecided, "http", error->http_status,
                                               "retry_after_ms", (json_int_t)error->retry_after_ms, "code",
                                               error->code, "message", error->message));
    print(line);
    next(probe);
}

static json_t *bytes(struct e2b_bytes value)
{
    json_t *string = json_stringn(value.data ? value.data : "", value.length);
    return string ? string : json_integer((json_int_t)value.length); /* no UTF-8: how many */
}

static void on_done(struct e2b_call *call, const struct e2b_error *error)
{
    finish(call, error, NULL);
}

static void on_killed(struct e2b_call *call, const struct e2b_error *error)
{
    struct probe *probe = call->arg;
    e2b_sandbox_free(probe->sandbox);
    probe->sandbox = NULL;
    finish(call, error, NULL);
}

static void on_sandbox(struct e2b_call *call, const struct e2b_error *error, struct e2b_sandbox *sandbox)
{
    struct probe *probe = call->arg;
    if (sandbox) {
        e2b_sandbox_free(probe->sandbox);
        probe->sandbox = sandbox;
        snprintf(probe->id, sizeof probe->id, "%s", e2b_sandbox_id(sandbox));
    }
    finish(call, error, json_pack("{s:s}", "id", probe->id));
}

static json_t *info_json(const struct e2b_sandbox_info *info)
{
    json_t *metadata = json_object();
    for (size_t i = 0; i < info->metadata.count; i++)
        json_object_set_new(metadata, info->metadata.items[i].name,
                            json_string(info->metadata.items[i].value));
    return json_pack("{s:s, s:s, s:s*, s:b, s:I, s:I, s:I, s:o}", "id", info->id, "template",
                     info->template_id, "alias", info->alias, "paused", info->state == E2B_SANDBOX_PAUSED,
                     "remaining_ms", (json_int_t)info->remaining_ms, "cpu_count", (json_int_t)info->cpu_count,
                     "memory_mb", (json_int_t)info->memory_mb, "metadata", metadata);
}

static void on_info(struct e2b_call *call, const struct e2b_error *error, const struct e2b_sandbox_info *info)
{
    finish(call, error, info ? info_json(info) : NULL);
}

static void on_page(struct e2b_call *call, const struct e2b_error *error, const struct e2b_sandbox_page *page)
{
    json_t *items = json_array();
    for (size_t i = 0; page && i < page->count; i++)
        json_array_append_new(items, info_json(&page->items[i]));
    finish(call, error,
           json_pack("{s:o, s:s*, s:I}", "sandboxes", items, "next", page ? page->next : NULL, "running",
                     (json_int_t)(page ? page->total_running : -1)));
}

static void on_output(struct e2b_call *call, const struct e2b_output *output)
{
    static const char *const names[] = {"started", "stdout", "stderr", "result"};
    (void)call;
    print(json_pack("{s:s, s:o, s:I}", "output", names[output->kind], "text", bytes(output->bytes), "pid",
                    (json_int_t)output->pid));
}

static void on_code(struct e2b_call *call, const struct e2b_error *error,
                    const struct e2b_exception *exception)
{
    finish(call, error,
           exception ? json_pack("{s:s, s:s, s:s}", "exception", exception->name, "value", exception->value,
                                 "traceback", exception->traceback)
                     : NULL);
}

static void on_process_exit(struct e2b_call *call, const struct e2b_error *error, const struct e2b_exit *exit)
{
    finish(call, error, exit ? json_pack("{s:i, s:i}", "exit", exit->code, "signal", exit->signal) : NULL);
}

static void on_bytes(struct e2b_call *call, struct e2b_bytes value)
{
    (void)call;
    print(json_pack("{s:o}", "bytes", bytes(value)));
}

static json_t *file_json(const struct e2b_file_info *info)
{
    return json_pack("{s:s, s:s, s:i, s:I, s:i}", "name", info->name, "path", info->path, "file_kind",
                     (int)info->kind, "bytes", (json_int_t)info->bytes, "mode", (int)info->mode);
}

static void on_file(struct e2b_call *call, const struct e2b_error *error, const struct e2b_file_info *info)
{
    finish(call, error, info ? file_json(info) : NULL);
}

static void on_files(struct e2b_call *call, const struct e2b_error *error, const struct e2b_file_page *page)
{
    json_t *items = json_array();
    for (size_t i = 0; page && i < page->count; i++)
        json_array_append_new(items, file_json(&page->items[i]));
    finish(call, error, json_pack("{s:o}", "files", items));
}

/* ---- the operations ---- */

static struct e2b_pairs pairs(json_t *object, struct e2b_pair items[MAX_ITEMS])
{
    size_t count = 0;
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (count < MAX_ITEMS)
            items[count++] = (struct e2b_pair){.name = name, .value = json_string_value(value)};
    }
    return (struct e2b_pairs){.items = items, .count = count};
}

static void start_create(struct probe *probe)
{
    struct e2b_pair items[MAX_ITEMS];
    e2b_sandbox_create(
        probe->client, &probe->call,
        &(struct e2b_sandbox_options){.template_id = text(probe, 1),
                                      .metadata = pairs(json_array_get(probe->line, 2), items)},
        on_sandbox);
}

static void start_sandboxes(struct probe *probe)
{
    struct e2b_pair items[MAX_ITEMS];
    e2b_sandbox_list(probe->client, &probe->call,
                     &(struct e2b_sandbox_filter){.metadata = pairs(json_array_get(probe->line, 1), items)},
                     on_page);
}

static void start_process(struct probe *probe)
{
    const char *argv[MAX_ITEMS] = {NULL};
    for (size_t i = 1; i < json_array_size(probe->line) && i < MAX_ITEMS; i++)
        argv[i - 1] = text(probe, i);
    e2b_process_start(probe->sandbox, &probe->call, &(struct e2b_process_options){.argv = argv}, on_output,
                      on_process_exit);
}

static void start_put(struct probe *probe)
{
    struct e2b_file files[MAX_ITEMS];
    size_t count = 0;
    for (size_t i = 1; i + 1 < json_array_size(probe->line) && count < MAX_ITEMS; i += 2) {
        json_t *content = json_array_get(probe->line, i + 1);
        files[count++] = (struct e2b_file){
            .path = text(probe, i),
            .content = {.data = json_string_value(content), .length = json_string_length(content)}};
    }
    e2b_files_write(probe->sandbox, &probe->call, files, count, on_done);
}

static void start_type(struct probe *probe)
{
    const char *input = text(probe, 2);
    e2b_process_write(probe->sandbox, &probe->call, (uint32_t)number(probe, 1),
                      (struct e2b_bytes){.data = input, .length = strlen(input)}, on_done);
}

/* Returns: false: no such operation of the control plane. */
static bool start_control(struct probe *probe, const char *name)
{
    struct e2b_call *call = &probe->call;
    if (!strcmp(name, "create"))
        start_create(probe);
    else if (!strcmp(name, "open"))
        e2b_sandbox_open(probe->client, call, text(probe, 1), on_sandbox);
    else if (!strcmp(name, "connect"))
        e2b_sandbox_connect(probe->client, call, text(probe, 1), number(probe, 2), on_sandbox);
    else if (!strcmp(name, "kill"))
        e2b_sandbox_kill(probe->client, call, probe->id, on_killed);
    else if (!strcmp(name, "keep"))
        e2b_sandbox_keep(probe->client, call, probe->id, number(probe, 1), on_done);
    else if (!strcmp(name, "pause"))
        e2b_sandbox_pause(probe->client, call, probe->id, on_done);
    else if (!strcmp(name, "inspect"))
        e2b_sandbox_inspect(probe->client, call, probe->id, on_info);
    else if (!strcmp(name, "sandboxes"))
        start_sandboxes(probe);
    else
        return false;
    return true;
}

static bool start_data(struct probe *probe, const char *name)
{
    struct e2b_call *call = &probe->call;
    struct e2b_sandbox *sandbox = probe->sandbox;
    if (!sandbox)
        return false;
    if (!strcmp(name, "run"))
        e2b_code_run(sandbox, call, &(struct e2b_code){.text = text(probe, 1), .language = text(probe, 2)},
                     on_output, on_code);
    else if (!strcmp(name, "start"))
        start_process(probe);
    else if (!strcmp(name, "follow"))
        e2b_process_follow(sandbox, call, (uint32_t)number(probe, 1), on_output, on_process_exit);
    else if (!strcmp(name, "signal"))
        e2b_process_signal(sandbox, call, (uint32_t)number(probe, 1), (int)number(probe, 2), on_done);
    else if (!strcmp(name, "type"))
        start_type(probe);
    else if (!strcmp(name, "close_input"))
        e2b_process_close_input(sandbox, call, (uint32_t)number(probe, 1), on_done);
    else if (!strcmp(name, "put"))
        start_put(probe);
    else if (!strcmp(name, "get"))
        e2b_file_read(sandbox, call, text(probe, 1), on_bytes, on_done);
    else if (!strcmp(name, "stat"))
        e2b_file_stat(sandbox, call, text(probe, 1), on_file);
    else if (!strcmp(name, "list"))
        e2b_file_list(sandbox, call, text(probe, 1), (unsigned)number(probe, 2), on_files);
    else if (!strcmp(name, "remove"))
        e2b_file_remove(sandbox, call, text(probe, 1), on_done);
    else
        return false;
    return true;
}

/* Starts the next operation, or ends with the input. Standard input is read blocking: it is a script. */
static void next(struct probe *probe)
{
    for (;;) {
        json_decref(probe->line);
        probe->line = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, NULL);
        const char *name = text(probe, 0);
        if (!name) {
            e2b_sandbox_free(probe->sandbox);
            e2b_client_close(probe->client, NULL, NULL);
            return;
        }
        if (!strcmp(name, "timeout"))
            probe->call.timeout_ms = number(probe, 1);
        else if (start_control(probe, name) || start_data(probe, name))
            return;
        else
            print(json_pack("{s:s, s:b, s:s}", "done", name, "ok", 0, "message",
                            "no such operation, or no sandbox"));
    }
}

int main(int argc, char **argv)
{
    struct probe probe = {.call.arg = &probe};
    if (argc < 4) {
        fprintf(stderr, "usage: e2b_probe API_URL SANDBOX_URL KEY [CA_FILE] < operations\n");
        return 2;
    }
    probe.client = e2b_client_new(uv_default_loop(), &(struct e2b_client_options){.api_url = argv[1],
                                                                                  .sandbox_url = argv[2],
                                                                                  .api_key = argv[3],
                                                                                  .ca_file = argv[4]});
    next(&probe);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    json_decref(probe.line);
    return uv_loop_close(uv_default_loop()) == 0 ? 0 : 1;
}
