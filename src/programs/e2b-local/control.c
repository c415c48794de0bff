/* The control plane's routes, and everything that changes a sandbox's life. */
#include "control.h"

#include "answer.h"
#include "base/clock.h"
#include "http/server.h"
#include "sandbox.h"
#include "service.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_CONNECT_S = 300, DEFAULT_RESUME_S = 15, MIN_REFRESH_S = 15, MAX_REFRESH_S = 3600 };

/* ---- who may ask ---- */

static bool is_key_well_formed(const char *key)
{
    if (strncmp(key, "e2b_", 4) != 0 || !key[4])
        return false;
    for (const char *c = key + 4; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return false;
    return true;
}

static bool may_ask(struct service *service, struct http_exchange *exchange)
{
    const char *key = http_exchange_header(exchange, "X-API-KEY");
    if (!key) {
        answer_error(exchange, 401, "authorization header is missing");
        return false;
    }
    bool is_known = service->api_key ? strcmp(key, service->api_key) == 0 : is_key_well_formed(key);
    if (!is_known || service->faults.rejects_all) {
        answer_error(
            exchange, 401,
            "Invalid API key, please visit https://e2b.dev/docs/api-key to get your API key.\nCannot get the "
            "team for the given API key");
        return false;
    }
    return true;
}

static void answer_gone(struct http_exchange *exchange, const char *id)
{
    answer_error(exchange, 404, "Sandbox \"%s\" doesn't exist or you don't have access to it", id);
}

/* ---- kill ---- */

struct killing {
    struct service *service;
    struct http_exchange *exchange;
    char id[SANDBOX_ID_SIZE];
};

static void on_gone(void *arg)
{
    answer_empty(arg, 204);
}

static void kill_now(void *arg)
{
    struct killing *killing = arg;
    struct sandbox *sandbox = sandbox_find(killing->service, killing->id);
    if (sandbox)
        sandbox_end(sandbox, SANDBOX_END_KILLED, on_gone, killing->exchange);
    else
        answer_gone(killing->exchange, killing->id);
    free(killing);
}

static void kill_sandbox(struct sandbox *sandbox, struct http_exchange *exchange)
{
    struct service *service = sandbox->service;
    log_info(&service->journal, "kill.asked", LOG_TEXT("sandbox", sandbox->id));
    if (faults_fail_kill(service, exchange))
        return;
    struct killing *killing = base_alloc(sizeof *killing);
    killing->service = service;
    killing->exchange = exchange;
    memcpy(killing->id, sandbox->id, sizeof killing->id);
    faults_delay(service, service->faults.kill_delay_ms, kill_now, killing);
}

/* ---- life ---- */

/* Returns: false, the exchange answered, when the member is there and no integer within the bounds. */
static bool decode_seconds(struct http_exchange *exchange, const char *name, int64_t least, int64_t most,
                           int64_t *value)
{
    json_auto_t *body = answer_parse_body(exchange);
    if (!body)
        return false;
    json_t *member = json_object_get(body, name);
    if (!member || json_is_null(member)) {
        if (*value >= 0)
            return true;
        answer_error(exchange, 400, "Error when parsing request: %s is required", name);
        return false;
    }
    int64_t seconds = json_integer_value(member);
    if (!json_is_integer(member) || seconds < least || seconds > most) {
        answer_error(exchange, 400, "validation error: %s must be between %lld and %lld", name,
                     (long long)least, (long long)most);
        return false;
    }
    *value = seconds;
    return true;
}

struct keeping {
    struct service *service;
    struct http_exchange *exchange;
    char id[SANDBOX_ID_SIZE];
    int64_t live_ms;
};

static void keep_now(void *arg)
{
    struct keeping *keeping = arg;
    struct sandbox *sandbox = sandbox_find(keeping->service, keeping->id);
    if (!sandbox) {
        answer_gone(keeping->exchange, keeping->id);
    } else if (sandbox->state == SANDBOX_PAUSED) {
        answer_error(keeping->exchange, 409, "Sandbox %s is paused", sandbox->id);
    } else {
        sandbox_set_end(sandbox, keeping->live_ms);
        answer_empty(keeping->exchange, 204);
    }
    free(keeping);
}

static void set_timeout(struct sandbox *sandbox, struct http_exchange *exchange)
{
    struct service *service = sandbox->service;
    int64_t seconds = -1;
    if (!decode_seconds(exchange, "timeout", 0, INT32_MAX, &seconds))
        return;
    struct keeping *keeping = base_alloc(sizeof *keeping);
    keeping->service = service;
    keeping->exchange = exchange;
    keeping->live_ms = MIN(seconds, 24 * 3600) * 1000;
    memcpy(keeping->id, sandbox->id, sizeof keeping->id);
    faults_delay(service, service->faults.keep_delay_ms, keep_now, keeping);
}

static void extend(struct sandbox *sandbox, int64_t seconds)
{
    if (clock_unix_ms() + seconds * 1000 > sandbox->end_unix_ms)
        sandbox_set_end(sandbox, seconds * 1000);
}

static void refresh(struct sandbox *sandbox, struct http_exchange *exchange)
{
    int64_t seconds = MIN_REFRESH_S;
    if (!decode_seconds(exchange, "duration", 0, MAX_REFRESH_S, &seconds))
        return;
    extend(sandbox, MAX(seconds, MIN_REFRESH_S));
    answer_empty(exchange, 204);
}

static void connect_again(struct sandbox *sandbox, struct http_exchange *exchange, bool is_version_2)
{
    int64_t seconds = is_version_2 ? DEFAULT_CONNECT_S : -1;
    if (!decode_seconds(exchange, "timeout", 0, 24 * 3600, &seconds))
        return;
    bool was_paused = sandbox->state == SANDBOX_PAUSED;
    if (was_paused)
        sandbox_resume(sandbox, seconds * 1000);
    else
        extend(sandbox, seconds);
    control_answer_sandbox(sandbox, exchange, was_paused ? 201 : 200);
}

static void pause_now(struct sandbox *sandbox, struct http_exchange *exchange)
{
    if (sandbox->state == SANDBOX_PAUSED) {
        answer_error(exchange, 409, "Sandbox '%s' is already paused", sandbox->id);
        return;
    }
    sandbox_pause(sandbox);
    answer_empty(exchange, 204);
}

static void resume_now(struct sandbox *sandbox, struct http_exchange *exchange)
{
    int64_t seconds = DEFAULT_RESUME_S;
    if (!decode_seconds(exchange, "timeout", 0, 24 * 3600, &seconds))
        return;
    if (sandbox->state == SANDBOX_RUNNING) {
        answer_error(exchange, 409, "Sandbox %s is already running", sandbox->id);
        return;
    }
    sandbox_resume(sandbox, seconds * 1000);
    control_answer_sandbox(sandbox, exchange, 201);
}

/* ---- routes ---- */

static void handle_one(struct sandbox *sandbox, struct http_exchange *exchange, const char *action,
                       bool is_version_2)
{
    const char *method = http_exchange_method(exchange);
    if (!*action && strcmp(method, "DELETE") == 0)
        kill_sandbox(sandbox, exchange);
    else if (!*action && strcmp(method, "GET") == 0)
        control_show(sandbox, exchange);
    else if (strcmp(action, "metrics") == 0 && strcmp(method, "GET") == 0)
        answer_json(exchange, 200, json_array());
    else if (strcmp(method, "POST") != 0)
        answer_error(exchange, 405, "method not allowed");
    else if (strcmp(action, "timeout") == 0)
        set_timeout(sandbox, exchange);
    else if (strcmp(action, "refreshes") == 0)
        refresh(sandbox, exchange);
    else if (strcmp(action, "connect") == 0)
        connect_again(sandbox, exchange, is_version_2);
    else if (strcmp(action, "pause") == 0)
        pause_now(sandbox, exchange);
    else if (strcmp(action, "resume") == 0)
        resume_now(sandbox, exchange);
    else
        answer_error(exchange, 404, "no matching operation was found");
}

static void handle_id(struct service *service, struct http_exchange *exchange, const char *rest,
                      bool is_version_2)
{
    size_t length = strcspn(rest, "/");
    CLEANUP(base_freep) char *id = base_strndup(rest, length);
    const char *action = rest[length] == '/' ? rest + length + 1 : "";
    struct sandbox *sandbox = sandbox_find(service, id);
    if (strcmp(http_exchange_method(exchange), "DELETE") == 0)
        service->stats.kill_requests++;
    if (sandbox)
        handle_one(sandbox, exchange, action, is_version_2);
    else
        answer_gone(exchange, id);
}

static json_t *encode_templates(const struct service *service)
{
    json_t *list = json_array();
    for (const struct template *template = service->templates; template; template = template->next)
        json_array_append_new(list, json_pack("{s:s,s:s,s:i,s:i,s:i,s:b,s:[s],s:[s],s:s,s:s}", "templateID",
                                              template->id, "buildID", "00000000-0000-4000-8000-000000000000",
                                              "cpuCount", (template->cpu_percent + 99) / 100, "memoryMB",
                                              template->memory_mb, "diskSizeMB", 1024, "public", 1, "names",
                                              template->name, "aliases", template->name, "envdVersion",
                                              ENVD_VERSION, "buildStatus", "ready"));
    return list;
}

static void show_alias(struct service *service, struct http_exchange *exchange, const char *alias)
{
    const struct template *template = sandbox_find_template(service, alias);
    if (template)
        answer_json(exchange, 200, json_pack("{s:s,s:b}", "templateID", template->id, "public", 1));
    else
        answer_error(exchange, 404, "template alias '%s' not found", alias);
}

static bool takes_prefix(const char **path, const char *prefix)
{
    size_t length = strlen(prefix);
    if (strncmp(*path, prefix, length) != 0)
        return false;
    *path += length;
    return true;
}

void control_handle(struct service *service, struct http_exchange *exchange)
{
    if (!may_ask(service, exchange))
        return;
    const char *path = http_exchange_path(exchange);
    const char *method = http_exchange_method(exchange);
    bool is_version_2 = takes_prefix(&path, "/v2/");
    if (!is_version_2)
        path += *path == '/';
    if (strcmp(path, "sandboxes") == 0 && strcmp(method, "POST") == 0)
        control_create(service, exchange, is_version_2);
    else if (strcmp(path, "sandboxes") == 0 && strcmp(method, "GET") == 0)
        control_list(service, exchange, is_version_2);
    else if (takes_prefix(&path, "sandboxes/"))
        handle_id(service, exchange, path, is_version_2);
    else if (strcmp(path, "templates") == 0 && strcmp(method, "GET") == 0)
        answer_json(exchange, 200, encode_templates(service));
    else if (takes_prefix(&path, "templates/aliases/"))
        show_alias(service, exchange, path);
    else
        answer_error(exchange, 404, "no matching operation was found");
}
