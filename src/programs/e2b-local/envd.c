/* envd's routes, its guard, and its small answers. */
#include "envd.h"

#include "answer.h"
#include "base/clock.h"
#include "http/server.h"
#include "sandbox.h"
#include "service.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- answers ---- */

static unsigned status_of(const char *code)
{
    static const struct {
        const char *code;
        unsigned status;
    } rows[] = {{"canceled", 499},
                {"unknown", 500},
                {"invalid_argument", 400},
                {"deadline_exceeded", 504},
                {"not_found", 404},
                {"already_exists", 409},
                {"permission_denied", 403},
                {"resource_exhausted", 429},
                {"failed_precondition", 400},
                {"aborted", 409},
                {"unimplemented", 501},
                {"internal", 500},
                {"unavailable", 503},
                {"unauthenticated", 401}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        if (strcmp(rows[i].code, code) == 0)
            return rows[i].status;
    return 500;
}

static void answer_with(struct http_exchange *exchange, unsigned status, json_t *message)
{
    CLEANUP(base_freep) char *text = json_dumps(message, JSON_COMPACT);
    json_decref(message);
    http_exchange_set_header(exchange, "Content-Type", "application/json");
    http_exchange_reply(exchange, status, (struct bytes){text, text ? strlen(text) : 0});
}

void envd_answer(struct http_exchange *exchange, json_t *message)
{
    answer_with(exchange, 200, message);
}

void envd_answer_error(struct http_exchange *exchange, const char *code, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    answer_with(exchange, status_of(code),
                json_pack("{s:s,s:s}", "code", code, "message", length < 0 ? "" : text));
    free(text);
}

json_t *envd_parse(struct http_exchange *exchange)
{
    struct bytes body = http_exchange_body(exchange);
    json_t *parsed = body.length == 0 ? json_object() : json_loadb(body.data, body.length, 0, NULL);
    if (json_is_object(parsed))
        return parsed;
    json_decref(parsed);
    envd_answer_error(exchange, "invalid_argument", "unmarshal message: the body is no JSON object");
    return NULL;
}

/* ---- the guard ---- */

bool envd_has_token(const struct sandbox *sandbox, struct http_exchange *exchange)
{
    const char *token = http_exchange_header(exchange, "X-Access-Token");
    return !sandbox->is_secure || (token && strcmp(token, sandbox->token) == 0);
}

void envd_refuse(struct http_exchange *exchange)
{
    answer_error(exchange, 401,
                 "unauthorized access, please provide a valid access token or method signing if supported");
}

/* ---- small answers ---- */

static void answer_metrics(struct sandbox *sandbox, struct http_exchange *exchange)
{
    int64_t total = (int64_t)sandbox->template->memory_mb << 20;
    answer_json(exchange, 200,
                json_pack("{s:I,s:i,s:f,s:i,s:i,s:I,s:I,s:I,s:I,s:I}", "ts",
                          (json_int_t)(clock_unix_ms() / 1000), "cpu_count",
                          (sandbox->template->cpu_percent + 99) / 100, "cpu_used_pct", 0.0, "mem_total_mib",
                          sandbox->template->memory_mb, "mem_used_mib", 0, "mem_total", (json_int_t)total,
                          "mem_used", (json_int_t)0, "mem_cache", (json_int_t)0, "disk_used", (json_int_t)0,
                          "disk_total", (json_int_t)1 << 30));
}

static void refuse_reserved(struct http_exchange *exchange)
{
    answer_json(
        exchange, 404,
        json_pack(
            "{s:s,s:s,s:i}", "message",
            "This endpoint is reserved for the E2B control plane and is not reachable through the sandbox "
            "URL",
            "path", http_exchange_path(exchange), "code", 404));
}

static bool is_reserved(const char *path)
{
    static const char *const paths[] = {"/init",     "/freeze", "/unfreeze", "/collapse",
                                        "/fsfreeze", "/fsthaw", "/upgrade"};
    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++)
        if (strcmp(path, paths[i]) == 0)
            return true;
    return false;
}

/* ---- routes ---- */

static bool handle_open(struct sandbox *sandbox, struct http_exchange *exchange, const char *path)
{
    if (is_reserved(path))
        refuse_reserved(exchange);
    else if (strcmp(path, "/health") == 0)
        answer_empty(exchange, 204);
    else if (strcmp(path, "/files") == 0)
        envd_files_handle(sandbox, exchange);
    else
        return false;
    return true;
}

void envd_handle(struct sandbox *sandbox, struct http_exchange *exchange)
{
    static const char process[] = "/process.Process/", filesystem[] = "/filesystem.Filesystem/";
    const char *path = http_exchange_path(exchange);
    if (handle_open(sandbox, exchange, path))
        return;
    if (!envd_has_token(sandbox, exchange))
        envd_refuse(exchange);
    else if (strncmp(path, process, sizeof process - 1) == 0)
        envd_process_handle(sandbox, exchange, path + sizeof process - 1);
    else if (strncmp(path, filesystem, sizeof filesystem - 1) == 0)
        envd_filesystem_handle(sandbox, exchange, path + sizeof filesystem - 1);
    else if (strcmp(path, "/files/compose") == 0)
        envd_compose(sandbox, exchange);
    else if (strcmp(path, "/envs") == 0)
        answer_json(exchange, 200, json_incref(sandbox->variables));
    else if (strcmp(path, "/metrics") == 0)
        answer_metrics(sandbox, exchange);
    else
        answer_text(exchange, 404, "404 page not found\n");
}
