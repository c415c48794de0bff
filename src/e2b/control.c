/* The control plane's calls, by id. */
#include "base/quoted.h"
#include "e2b/answers.h"
#include "e2b/operation.h"
#include "e2b/sandbox.h"
#include "e2b/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
    CREATE_MS = 30000,
    CONTROL_MS = 10000,
    LIVE_MS = 300000,
    PAGE_SIZE = 100,
    BODY_BYTES = 511,  /* of most creates */
    ARENA_BYTES = 640, /* what an answer's texts usually take */
};

static const char json_line[] = "Content-Type: application/json";

/* ---- a control plane call ---- */

/* What a send needs beyond the operation. path may hold one id, already encoded. */
struct control {
    enum http_method method;
    const char *path;
    const char *extra_line; /* NULL: none; lives as long as the operation */
    int64_t send_before_boot_ms;
};

static void send_control(struct e2b_operation *operation, const struct control *control)
{
    struct e2b_client *client = operation->client;
    struct buffer CLEANUP(buffer_release) url = {0};
    struct sandbox_lines lines = {0};
    buffer_append_text(&url, client->api_url);
    buffer_append_text(&url, control->path);
    if (client->key_line)
        sandbox_add_line(&lines, client->key_line);
    if (control->method == HTTP_POST)
        sandbox_add_line(&lines, json_line);
    if (control->extra_line)
        sandbox_add_line(&lines, control->extra_line);
    struct http_request request = {.method = control->method,
                                   .url = url.data,
                                   .headers = lines.items,
                                   .header_count = lines.count,
                                   .send_before_boot_ms = control->send_before_boot_ms,
                                   .is_repeatable = control->method != HTTP_POST};
    operation_send(operation, client->api, &request);
}

/* A call about one sandbox: /sandboxes/<id><tail>. Returns: NULL when the id is none; the failure is on its
 * way. */
static char *path_of(struct e2b_operation *operation, const char *id, const char *tail)
{
    if (!id || !*id) {
        operation_refuse(operation, "no sandbox id was given");
        return NULL;
    }
    struct buffer path = {0};
    buffer_append_text(&path, "/sandboxes/");
    text_append_percent(&path, id);
    buffer_append_text(&path, tail);
    return buffer_take(&path);
}

static int64_t seconds_of(int64_t live_ms)
{
    return (live_ms + 999) / 1000;
}

static void control_by_id(struct e2b_operation *operation, enum http_method method, const char *id,
                          const char *tail)
{
    char CLEANUP(base_freep) *path = path_of(operation, id, tail);
    operation->place = PLACE_SANDBOX;
    if (path)
        send_control(operation, &(struct control){.method = method, .path = path});
}

/* ---- create ---- */

struct create {
    struct e2b_operation operation;
    char *key_line; /* NULL: no idempotency key */
    int64_t send_before_boot_ms;
    bool is_v1;
};

static void create_release(struct e2b_operation *operation)
{
    free(((struct create *)operation)->key_line);
}

static void append_network(struct buffer *body, const struct e2b_network *network)
{
    static const char *const everywhere[] = {"0.0.0.0/0"};
    if (!network)
        return;
    if (network->is_off) {
        buffer_append_text(body, ",\"allow_internet_access\":false");
        return;
    }
    if (network->allow_count == 0 && network->deny_count == 0)
        return;
    /* An allow list alone allows nothing less than before: everything else has to be denied. */
    bool is_closed = network->allow_count > 0 && network->deny_count == 0;
    buffer_append_text(body, ",\"network\":{\"allowOut\":");
    text_append_json_list(body, network->allow, network->allow_count);
    buffer_append_text(body, ",\"denyOut\":");
    text_append_json_list(body, is_closed ? everywhere : network->deny, is_closed ? 1 : network->deny_count);
    buffer_append_byte(body, '}');
}

/* v2's body; v1's default for `secure` is false, see add_secure. */
static void write_create(struct buffer *body, const struct e2b_sandbox_options *options)
{
    buffer_reserve(body, BODY_BYTES);
    buffer_append_text(body, "{\"templateID\":");
    quoted_append_text(body, options->template_id ? options->template_id : "code-interpreter-v1");
    buffer_append_format(body, ",\"timeout\":%lld,\"autoPause\":false",
                         (long long)seconds_of(options->live_ms > 0 ? options->live_ms : LIVE_MS));
    if (options->metadata.count > 0) {
        buffer_append_text(body, ",\"metadata\":");
        text_append_json_map(body, &options->metadata);
    }
    if (options->env.count > 0) {
        buffer_append_text(body, ",\"envVars\":");
        text_append_json_map(body, &options->env);
    }
    append_network(body, options->network);
    buffer_append_byte(body, '}');
}

static void send_create(struct create *create)
{
    send_control(&create->operation, &(struct control){.method = HTTP_POST,
                                                       .path = create->is_v1 ? "/sandboxes" : "/v2/sandboxes",
                                                       .extra_line = create->key_line,
                                                       .send_before_boot_ms = create->send_before_boot_ms});
}

static void add_secure(struct buffer *body)
{
    body->length--; /* the closing brace */
    buffer_append_text(body, ",\"secure\":true}");
}

static bool is_about_path(const struct e2b_error *error)
{
    if (error->http_status == 405)
        return true;
    return error->http_status == 404 && !strcasestr(error->message, "template") &&
           !strcasestr(error->message, "team") && !strcasestr(error->message, "tag '");
}

static bool create_refused(struct e2b_operation *operation, const struct e2b_error *error)
{
    struct create *create = (struct create *)operation;
    struct e2b_client *client = operation->client;
    if (create->is_v1 || client->create_path == CREATE_V2 || !is_about_path(error))
        return false;
    client->create_path = CREATE_V1;
    create->is_v1 = true;
    add_secure(&operation->body);
    send_create(create);
    return true;
}

static void give_handle(struct e2b_operation *operation, const struct http_response *response)
{
    struct arena arena;
    struct answer_handle answer;
    arena_init(&arena, ARENA_BYTES);
    struct e2b_sandbox *sandbox =
        answers_handle(response->body, &arena, &answer) ? sandbox_new(operation->client, &answer) : NULL;
    arena_release(&arena);
    if (sandbox)
        operation_succeed(operation, sandbox);
    else
        operation_fail_nonsense(operation, response);
}

static void create_answered(struct e2b_operation *operation, const struct http_response *response)
{
    if (!((struct create *)operation)->is_v1)
        operation->client->create_path = CREATE_V2;
    give_handle(operation, response);
}

static bool are_good(const char *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!text_is_good(items[i]))
            return false;
    return true;
}

static const char *mistake_in(const struct e2b_sandbox_options *options)
{
    const char *key = options->idempotency_key;
    const struct e2b_network *network = options->network;
    if (options->template_id && (!text_is_good(options->template_id) || !*options->template_id))
        return "template_id is empty or not UTF-8";
    if (key &&
        (!*key || strlen(key) > 255 || strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(key)))
        return "idempotency_key must be 1 to 255 of a-z, 0-9 and -";
    if (!text_are_good(&options->metadata) || !text_are_good(&options->env))
        return "a name or value of metadata or env is NULL or not UTF-8";
    if (network &&
        (!are_good(network->allow, network->allow_count) || !are_good(network->deny, network->deny_count)))
        return "an entry of network is NULL or not UTF-8";
    return NULL;
}

void e2b_sandbox_create(struct e2b_client *client, struct e2b_call *call,
                        const struct e2b_sandbox_options *options, e2b_sandbox_fn done)
{
    static const struct e2b_sandbox_options usual;
    struct create *create = operation_new(client, call, sizeof *create,
                                          (struct done){.kind = DONE_SANDBOX, .sandbox = done}, CREATE_MS);
    struct e2b_operation *operation = &create->operation;
    operation->place = PLACE_CREATE;
    operation->answered = create_answered;
    operation->refused = create_refused;
    operation->release = create_release;
    options = options ? options : &usual;
    const char *mistake = mistake_in(options);
    if (mistake) {
        operation_refuse(operation, mistake);
        return;
    }
    if (options->idempotency_key)
        create->key_line = base_printf("Idempotency-Key: %s", options->idempotency_key);
    create->send_before_boot_ms = options->send_before_boot_ms;
    create->is_v1 = client->create_path == CREATE_V1;
    write_create(&operation->body, options);
    if (create->is_v1)
        add_secure(&operation->body);
    send_create(create);
}

/* ---- handles for sandboxes that live ---- */

void e2b_sandbox_open(struct e2b_client *client, struct e2b_call *call, const char *id, e2b_sandbox_fn done)
{
    struct e2b_operation *operation = operation_new(
        client, call, sizeof *operation, (struct done){.kind = DONE_SANDBOX, .sandbox = done}, CREATE_MS);
    operation->answered = give_handle;
    control_by_id(operation, HTTP_GET, id, "");
}

void e2b_sandbox_connect(struct e2b_client *client, struct e2b_call *call, const char *id, int64_t live_ms,
                         e2b_sandbox_fn done)
{
    struct e2b_operation *operation = operation_new(
        client, call, sizeof *operation, (struct done){.kind = DONE_SANDBOX, .sandbox = done}, CREATE_MS);
    operation->answered = give_handle;
    buffer_append_format(&operation->body, "{\"timeout\":%lld}",
                         (long long)seconds_of(live_ms > 0 ? live_ms : LIVE_MS));
    control_by_id(operation, HTTP_POST, id, "/connect");
}

/* ---- looking ---- */

/* Against the answer's own date, so that no clock of ours decides how long a sandbox has to live; a server
 * that says no date is taken to share ours. */
static void set_remaining(struct e2b_operation *operation, const struct http_response *response,
                          struct e2b_sandbox_info *items, size_t count)
{
    const char *date = http_response_header(response, "Date");
    int64_t date_unix_ms;
    if (!date || !http_date_parse(date, &date_unix_ms))
        date_unix_ms = loop_unix_ms(operation->client->loop);
    for (size_t i = 0; i < count; i++)
        items[i].remaining_ms = items[i].ends_unix_ms - date_unix_ms;
}

static void info_answered(struct e2b_operation *operation, const struct http_response *response)
{
    struct arena CLEANUP(arena_release) arena;
    struct e2b_sandbox_info info;
    arena_init(&arena, ARENA_BYTES);
    if (!answers_info(response->body, &arena, &info)) {
        operation_fail_nonsense(operation, response);
        return;
    }
    set_remaining(operation, response, &info, 1);
    operation_succeed(operation, &info);
}

void e2b_sandbox_inspect(struct e2b_client *client, struct e2b_call *call, const char *id, e2b_info_fn done)
{
    struct e2b_operation *operation = operation_new(
        client, call, sizeof *operation, (struct done){.kind = DONE_INFO, .info = done}, CONTROL_MS);
    operation->answered = info_answered;
    control_by_id(operation, HTTP_GET, id, "");
}

static void page_answered(struct e2b_operation *operation, const struct http_response *response)
{
    struct arena CLEANUP(arena_release) arena;
    struct e2b_sandbox_page page = {0};
    arena_init(&arena, response->body.length + ARENA_BYTES);
    if (!answers_page(response->body, &arena, &page)) {
        operation_fail_nonsense(operation, response);
        return;
    }
    set_remaining(operation, response, (struct e2b_sandbox_info *)page.items, page.count);
    const char *next = http_response_header(response, "X-Next-Token");
    const char *total = http_response_header(response, "X-Total-Running");
    page.next = next && *next ? next : NULL;
    page.total_running = total && isdigit((unsigned char)*total) ? strtoll(total, NULL, 10) : -1;
    operation_succeed(operation, &page);
}

/* metadata is a query of its own, encoded once more as one parameter. */
static void write_query(struct buffer *path, const struct e2b_sandbox_filter *filter)
{
    struct buffer CLEANUP(buffer_release) metadata = {0};
    for (size_t i = 0; i < filter->metadata.count; i++) {
        if (i > 0)
            buffer_append_byte(&metadata, '&');
        text_append_percent(&metadata, filter->metadata.items[i].name);
        buffer_append_byte(&metadata, '=');
        text_append_percent(&metadata, filter->metadata.items[i].value);
    }
    buffer_append_format(path, "/v2/sandboxes?limit=%d&state=running%s",
                         filter->limit > 0 ? MIN(filter->limit, PAGE_SIZE) : PAGE_SIZE,
                         filter->with_paused ? ",paused" : "");
    if (metadata.length > 0) {
        buffer_append_text(path, "&metadata=");
        text_append_percent(path, metadata.data);
    }
    if (filter->next) {
        buffer_append_text(path, "&nextToken=");
        text_append_percent(path, filter->next);
    }
}

void e2b_sandbox_list(struct e2b_client *client, struct e2b_call *call,
                      const struct e2b_sandbox_filter *filter, e2b_page_fn done)
{
    struct e2b_operation *operation = operation_new(
        client, call, sizeof *operation, (struct done){.kind = DONE_PAGE, .page = done}, CONTROL_MS);
    struct buffer CLEANUP(buffer_release) path = {0};
    operation->place = PLACE_ACCOUNT;
    operation->answered = page_answered;
    if (!text_are_good(&filter->metadata)) {
        operation_refuse(operation, "a name or value of the filter's metadata is NULL or not UTF-8");
        return;
    }
    write_query(&path, filter);
    send_control(operation, &(struct control){.method = HTTP_GET, .path = path.data});
}

/* ---- life ---- */

static struct e2b_operation *plain_new(struct e2b_client *client, struct e2b_call *call, e2b_done_fn done)
{
    struct e2b_operation *operation = operation_new(
        client, call, sizeof *operation, (struct done){.kind = DONE_PLAIN, .plain = done}, CONTROL_MS);
    operation->answered = operation_answered_plainly;
    return operation;
}

void e2b_sandbox_keep(struct e2b_client *client, struct e2b_call *call, const char *id, int64_t live_ms,
                      e2b_done_fn done)
{
    struct e2b_operation *operation = plain_new(client, call, done);
    buffer_append_format(&operation->body, "{\"timeout\":%lld}",
                         (long long)seconds_of(live_ms > 0 ? live_ms : LIVE_MS));
    control_by_id(operation, HTTP_POST, id, "/timeout");
}

void e2b_sandbox_pause(struct e2b_client *client, struct e2b_call *call, const char *id, e2b_done_fn done)
{
    struct e2b_operation *operation = plain_new(client, call, done);
    buffer_append_text(&operation->body, "{}");
    control_by_id(operation, HTTP_POST, id, "/pause");
}

/* What is not there need not be killed. */
static bool kill_refused(struct e2b_operation *operation, const struct e2b_error *error)
{
    if (error->kind != E2B_ERROR_GONE)
        return false;
    operation_succeed(operation, NULL);
    return true;
}

void e2b_sandbox_kill(struct e2b_client *client, struct e2b_call *call, const char *id, e2b_done_fn done)
{
    struct e2b_operation *operation = plain_new(client, call, done);
    operation->refused = kill_refused;
    control_by_id(operation, HTTP_DELETE, id, "");
}
