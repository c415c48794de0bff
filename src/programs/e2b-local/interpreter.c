/* /execute, /contexts, /health. */
#include "interpreter.h"

#include "answer.h"
#include "context.h"
#include "envd.h"
#include "http/server.h"
#include "sandbox.h"
#include "service.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct execution {
    struct service *service;
    char sandbox_id[SANDBOX_ID_SIZE];
    struct http_exchange *exchange;
};

/* ---- answers in the manner of FastAPI ---- */

static void answer_detail(struct http_exchange *exchange, const char *type, json_t *place,
                          const char *message, json_t *input)
{
    json_t *detail =
        json_pack("{s:s,s:o,s:s,s:o}", "type", type, "loc", place, "msg", message, "input", input);
    answer_json(exchange, 422, json_pack("{s:[o]}", "detail", detail));
}

static void answer_unknown_language(struct http_exchange *exchange, const char *language)
{
    answer_text(
        exchange, 500,
        "Failed to create context: {\"message\": \"The '%s' kernel is not available. Please pick another "
        "suitable kernel instead, or install that kernel.\", \"short_message\": \"%s not found\"}",
        language, language);
}

static void answer_no_context(struct http_exchange *exchange, const char *id)
{
    answer_text(exchange, 404, "Context %s not found", id);
}

static json_t *parse_body(struct http_exchange *exchange)
{
    struct bytes body = http_exchange_body(exchange);
    json_t *parsed = json_loadb(body.data ? body.data : "", body.length, 0, NULL);
    if (json_is_object(parsed))
        return parsed;
    json_decref(parsed);
    json_t *detail = json_pack("{s:s,s:[s,i],s:s,s:{},s:{s:s}}", "type", "json_invalid", "loc", "body", 1,
                               "msg", "JSON decode error", "input", "ctx", "error",
                               "Expecting property name enclosed in double quotes");
    answer_json(exchange, 422, json_pack("{s:[o]}", "detail", detail));
    return NULL;
}

/* The language's own name, lower-cased and trimmed. Owns: the caller. NULL when the member is missing or
 * null. */
static char *decode_language(const json_t *body)
{
    const char *text = json_string_value(json_object_get(body, "language"));
    if (!text)
        return NULL;
    while (isspace((unsigned char)*text))
        text++;
    char *name = base_strdup(text);
    for (size_t length = strlen(name); length > 0 && isspace((unsigned char)name[length - 1]);)
        name[--length] = '\0';
    for (char *c = name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return name;
}

/* ---- /execute ---- */

/* The real server starts Python and JavaScript at boot; here their contexts exist from the first request,
 * without a process. A default context that was deleted is not made again. */
static void make_boot_contexts(struct sandbox *sandbox)
{
    if (sandbox->has_boot_contexts)
        return;
    sandbox->has_boot_contexts = true;
    (void)context_new(sandbox, "python", "/home/user", true);
    (void)context_new(sandbox, "javascript", "/home/user", true);
}

static struct context *find_default(struct sandbox *sandbox, const char *language)
{
    struct context *context = context_find_default(sandbox, language);
    bool is_boot_language = strcmp(language, "python") == 0 || strcmp(language, "javascript") == 0;
    if (context || is_boot_language)
        return context;
    return context_new(sandbox, language, "/home/user", true);
}

/* Returns: NULL, the exchange answered, when there is none. */
static struct context *choose_context(struct sandbox *sandbox, struct http_exchange *exchange,
                                      const json_t *body)
{
    const char *id = json_string_value(json_object_get(body, "context_id"));
    CLEANUP(base_freep) char *name = decode_language(body);
    if (id && name) {
        answer_text(exchange, 400, "Only one of context_id or language can be provided");
        return NULL;
    }
    make_boot_contexts(sandbox);
    if (id) {
        struct context *context = context_find(sandbox, id);
        if (!context)
            answer_no_context(exchange, id);
        return context;
    }
    const char *language = context_parse_language(name ? name : "python");
    if (!language) {
        answer_unknown_language(exchange, name);
        return NULL;
    }
    struct context *context = find_default(sandbox, language);
    if (!context && name) {
        answer_no_context(exchange, "None");
    } else if (!context) {
        http_exchange_start(exchange, 200, NULL, NULL);
        http_exchange_cut(exchange);
    }
    return context;
}

static void execute(struct sandbox *sandbox, struct http_exchange *exchange)
{
    json_auto_t *body = parse_body(exchange);
    if (!body)
        return;
    const char *code = json_string_value(json_object_get(body, "code"));
    if (!code) {
        json_t *input = json_object_get(body, "code");
        if (input)
            answer_detail(exchange, "string_type", json_pack("[s,s]", "body", "code"),
                          "Input should be a valid string", json_incref(input));
        else
            answer_detail(exchange, "missing", json_pack("[s,s]", "body", "code"), "Field required",
                          json_incref(body));
        return;
    }
    struct context *context = choose_context(sandbox, exchange, body);
    if (!context)
        return;
    json_t *variables = json_object_get(body, "env_vars");
    struct run_request request = {.code = code,
                                  .variables = json_object_size(variables) > 0 ? variables : NULL,
                                  .has_token = envd_has_token(sandbox, exchange)};
    context_run(context, exchange, &request);
}

static void answer_sandbox_gone(struct http_exchange *exchange, const char *id)
{
    answer_json(
        exchange, 502,
        json_pack("{s:s,s:s,s:i}", "sandboxId", id, "message", "The sandbox was not found", "code", 502));
}

static void on_execute_due(void *arg)
{
    struct execution *execution = arg;
    struct sandbox *sandbox = sandbox_find(execution->service, execution->sandbox_id);
    if (sandbox)
        execute(sandbox, execution->exchange);
    else
        answer_sandbox_gone(execution->exchange, execution->sandbox_id);
    free(execution);
}

static void execute_when_due(struct sandbox *sandbox, struct http_exchange *exchange)
{
    struct execution *execution = base_alloc(sizeof *execution);
    execution->service = sandbox->service;
    execution->exchange = exchange;
    memcpy(execution->sandbox_id, sandbox->id, sizeof execution->sandbox_id);
    faults_delay(sandbox->service, sandbox->service->faults.execute_delay_ms, on_execute_due, execution);
}

/* ---- /contexts ---- */

static json_t *encode_context(const struct context *context)
{
    return json_pack("{s:s,s:s,s:s}", "id", context->id, "language", context->language, "cwd",
                     context->cwd ? context->cwd : "/home/user");
}

static void create_context(struct sandbox *sandbox, struct http_exchange *exchange)
{
    json_auto_t *body = parse_body(exchange);
    if (!body)
        return;
    CLEANUP(base_freep) char *name = decode_language(body);
    const char *language = context_parse_language(name ? name : "python");
    const char *cwd = json_string_value(json_object_get(body, "cwd"));
    if (!language) {
        answer_unknown_language(exchange, name);
        return;
    }
    make_boot_contexts(sandbox);
    answer_json(exchange, 200,
                encode_context(context_new(sandbox, language, cwd ? cwd : "/home/user", false)));
}

static void list_contexts(struct sandbox *sandbox, struct http_exchange *exchange)
{
    make_boot_contexts(sandbox);
    json_t *list = json_array();
    LIST_EACH(&sandbox->contexts, link)
    {
        json_array_append_new(list, encode_context(LIST_OBJECT(link, struct context, link)));
    }
    answer_json(exchange, 200, list);
}

static void handle_context(struct sandbox *sandbox, struct http_exchange *exchange, const char *rest)
{
    size_t length = strcspn(rest, "/");
    CLEANUP(base_freep) char *id = base_strndup(rest, length);
    const char *method = http_exchange_method(exchange);
    struct context *context = context_find(sandbox, id);
    if (!context) {
        answer_no_context(exchange, id);
        return;
    }
    if (strcmp(rest + length, "/restart") == 0 && strcmp(method, "POST") == 0)
        context_restart(context);
    else if (!rest[length] && strcmp(method, "DELETE") == 0)
        context_free(context);
    else {
        answer_json(exchange, 405, json_pack("{s:s}", "detail", "Method Not Allowed"));
        return;
    }
    answer_json(exchange, 200, json_null());
}

void interpreter_handle(struct sandbox *sandbox, struct http_exchange *exchange)
{
    static const char contexts[] = "/contexts/";
    const char *path = http_exchange_path(exchange), *method = http_exchange_method(exchange);
    bool is_post = strcmp(method, "POST") == 0;
    if (strcmp(path, "/execute") == 0 && is_post)
        execute_when_due(sandbox, exchange);
    else if (strcmp(path, "/health") == 0)
        answer_json(exchange, 200, json_string("OK"));
    else if (strcmp(path, "/contexts") == 0 && is_post)
        create_context(sandbox, exchange);
    else if (strcmp(path, "/contexts") == 0 && strcmp(method, "GET") == 0)
        list_contexts(sandbox, exchange);
    else if (strncmp(path, contexts, sizeof contexts - 1) == 0)
        handle_context(sandbox, exchange, path + sizeof contexts - 1);
    else
        answer_json(exchange, 404, json_pack("{s:s}", "detail", "Not Found"));
}
