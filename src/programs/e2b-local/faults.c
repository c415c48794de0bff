/* The switches of /__faults. */
#include "faults.h"

#include "answer.h"
#include "http/server.h"
#include "loop/loop.h"
#include "sandbox.h"
#include "service.h"

#include <stdlib.h>
#include <string.h>

void faults_release(struct faults *faults)
{
    json_decref(faults->create_fail);
    *faults = (struct faults){0};
}

/* ---- setting ---- */

static void set_number(const json_t *object, const char *name, int64_t *place)
{
    const json_t *value = json_object_get(object, name);
    if (json_is_integer(value))
        *place = json_integer_value(value);
}

static void set_create_fail(struct faults *faults, json_t *value)
{
    json_decref(faults->create_fail);
    faults->create_fail = json_incref(value);
    faults->create_fail_count = 1;
    set_number(value, "count", &faults->create_fail_count);
}

static enum stream_plane parse_plane(const char *name)
{
    if (name && strcmp(name, "interpreter") == 0)
        return STREAM_INTERPRETER;
    return name && strcmp(name, "process") == 0 ? STREAM_PROCESS : STREAM_ANY;
}

static void end_sandbox(struct service *service, const char *id, enum sandbox_end why)
{
    struct sandbox *sandbox = NULL;
    if (id && strcmp(id, "any") != 0)
        sandbox = sandbox_find(service, id);
    else if (!list_is_empty(&service->sandboxes))
        sandbox = LIST_OBJECT(service->sandboxes.next, struct sandbox, link);
    if (sandbox)
        sandbox_end(sandbox, why, NULL, NULL);
}

static bool set_one(struct service *service, const char *name, json_t *value)
{
    struct faults *faults = &service->faults;
    if (strcmp(name, "create_fail") == 0) {
        set_create_fail(faults, value);
    } else if (strcmp(name, "create_silent") == 0) {
        faults->create_silent_count = 1;
        set_number(value, "count", &faults->create_silent_count);
        set_number(value, "after_ms", &faults->create_silent_after_ms);
    } else if (strcmp(name, "kill_fail") == 0) {
        faults->kill_fail_count = 1;
        faults->kill_fail_status = 500;
        set_number(value, "count", &faults->kill_fail_count);
        set_number(value, "status", &faults->kill_fail_status);
    } else if (strcmp(name, "cut_stream") == 0) {
        faults->cut_stream_count = 1;
        set_number(value, "count", &faults->cut_stream_count);
        set_number(value, "after_bytes", &faults->cut_stream_bytes);
        faults->cut_stream_plane = parse_plane(json_string_value(json_object_get(value, "plane")));
    } else if (strcmp(name, "create_delay_ms") == 0) {
        faults->create_delay_ms = json_integer_value(value);
    } else if (strcmp(name, "execute_delay_ms") == 0) {
        faults->execute_delay_ms = json_integer_value(value);
    } else if (strcmp(name, "keep_delay_ms") == 0) {
        faults->keep_delay_ms = json_integer_value(value);
    } else if (strcmp(name, "kill_delay_ms") == 0) {
        faults->kill_delay_ms = json_integer_value(value);
    } else if (strcmp(name, "idempotency") == 0) {
        faults->ignores_idempotency =
            json_is_string(value) && strcmp(json_string_value(value), "ignore") == 0;
    } else if (strcmp(name, "v2") == 0) {
        faults->lacks_v2 = json_is_false(value);
    } else if (strcmp(name, "reject_all") == 0) {
        faults->rejects_all = json_is_true(value);
    } else if (strcmp(name, "lose") == 0) {
        end_sandbox(service, json_string_value(value), SANDBOX_END_LOST);
    } else if (strcmp(name, "expire") == 0) {
        end_sandbox(service, json_string_value(value), SANDBOX_END_EXPIRED);
    } else {
        return false;
    }
    return true;
}

static json_t *encode(const struct faults *faults)
{
    json_t *object = json_pack(
        "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:b,s:b}", "create_fail", (json_int_t)faults->create_fail_count,
        "create_silent", (json_int_t)faults->create_silent_count, "create_delay_ms",
        (json_int_t)faults->create_delay_ms, "execute_delay_ms", (json_int_t)faults->execute_delay_ms,
        "keep_delay_ms", (json_int_t)faults->keep_delay_ms, "kill_delay_ms",
        (json_int_t)faults->kill_delay_ms, "kill_fail", (json_int_t)faults->kill_fail_count, "cut_stream",
        (json_int_t)faults->cut_stream_count, "idempotency",
        faults->ignores_idempotency ? "ignore" : "honour", "v2", !faults->lacks_v2, "reject_all",
        faults->rejects_all);
    return object;
}

static void set_all(struct service *service, struct http_exchange *exchange)
{
    json_auto_t *body = answer_parse_body(exchange);
    if (!body)
        return;
    const char *name;
    json_t *value;
    json_object_foreach(body, name, value)
    {
        if (!set_one(service, name, value)) {
            answer_error(exchange, 400, "there is no fault \"%s\"; e2b-local --help lists them", name);
            return;
        }
    }
    answer_json(exchange, 200, encode(&service->faults));
}

void faults_handle(struct service *service, struct http_exchange *exchange)
{
    const char *method = http_exchange_method(exchange);
    if (strcmp(method, "POST") == 0) {
        set_all(service, exchange);
        return;
    }
    if (strcmp(method, "DELETE") == 0)
        faults_release(&service->faults);
    answer_json(exchange, 200, encode(&service->faults));
}

/* ---- applying ---- */

static void add_headers(struct http_exchange *exchange, const json_t *headers)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)headers, name, value) if (json_is_string(value))
        http_exchange_set_header(exchange, name, json_string_value(value));
}

static void refuse_for_rate(struct http_exchange *exchange, const json_t *fault)
{
    json_t *seconds = json_object_get(fault, "retry_after");
    CLEANUP(base_freep)
    char *text = base_printf("%d", json_is_integer(seconds) ? (int)json_integer_value(seconds) : 1);
    http_exchange_set_header(exchange, "Retry-After", text);
    http_exchange_set_header(exchange, "RateLimit-Limit", "1");
    http_exchange_set_header(exchange, "RateLimit-Remaining", "0");
    http_exchange_set_header(exchange, "RateLimit-Reset", text);
    answer_error(exchange, 429, "Rate limit exceeded");
}

bool faults_fail_create(struct service *service, struct http_exchange *exchange)
{
    struct faults *faults = &service->faults;
    if (faults->create_fail_count <= 0)
        return false;
    faults->create_fail_count--;
    const json_t *fault = faults->create_fail;
    const char *kind = json_string_value(json_object_get(fault, "kind"));
    if (kind && strcmp(kind, "rate") == 0) {
        refuse_for_rate(exchange, fault);
        return true;
    }
    if (kind && strcmp(kind, "concurrency") == 0) {
        sandbox_refuse_concurrency(service, exchange);
        return true;
    }
    json_t *status_value = json_object_get(fault, "status");
    unsigned status = json_is_integer(status_value) ? (unsigned)json_integer_value(status_value) : 500;
    const char *raw = json_string_value(json_object_get(fault, "body"));
    add_headers(exchange, json_object_get(fault, "headers"));
    if (raw) {
        http_exchange_reply(exchange, status, (struct bytes){raw, strlen(raw)});
        return true;
    }
    const char *message = json_string_value(json_object_get(fault, "message"));
    const char *error_code = json_string_value(json_object_get(fault, "error_code"));
    json_t *body =
        json_pack("{s:i,s:s}", "code", (int)status, "message", message ? message : "Failed to place sandbox");
    if (error_code)
        json_object_set_new(body, "error_code", json_string(error_code));
    answer_json(exchange, status, body);
    return true;
}

bool faults_fail_kill(struct service *service, struct http_exchange *exchange)
{
    struct faults *faults = &service->faults;
    if (faults->kill_fail_count <= 0)
        return false;
    faults->kill_fail_count--;
    answer_error(exchange, (unsigned)faults->kill_fail_status,
                 "Error killing sandbox: a fault was asked for");
    return true;
}

int64_t faults_stream_budget(struct service *service, enum stream_plane plane)
{
    struct faults *faults = &service->faults;
    if (faults->cut_stream_count <= 0 || !(faults->cut_stream_plane & plane))
        return -1;
    faults->cut_stream_count--;
    return faults->cut_stream_bytes;
}

struct delayed {
    struct service *service;
    struct timer timer;
    void (*fn)(void *arg);
    void *arg;
};

static void on_delay_over(void *arg)
{
    struct delayed *delayed = arg;
    delayed->fn(delayed->arg);
    free(delayed);
}

void faults_delay(struct service *service, int64_t delay_ms, void (*fn)(void *arg), void *arg)
{
    if (delay_ms <= 0) {
        fn(arg);
        return;
    }
    struct delayed *delayed = base_alloc(sizeof *delayed);
    *delayed = (struct delayed){.service = service, .fn = fn, .arg = arg};
    loop_timer_start(service->loop, &delayed->timer, delay_ms, on_delay_over, delayed);
}
