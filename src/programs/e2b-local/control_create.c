/* POST /sandboxes and /v2/sandboxes. */
#include "control.h"

#include "answer.h"
#include "base/digest.h"
#include "http/server.h"
#include "sandbox.h"
#include "service.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TIMEOUT_V1_S = 15, DEFAULT_TIMEOUT_V2_S = 300, MAX_HOURS = 24, MAX_REMEMBERED = 4096 };

/* A create that was made under a key: the same key with the same body gets the same answer. */
struct remembered {
    struct link link;
    char *key;
    char digest[DIGEST_HEX_SIZE];
    char *answer;
};

struct creation {
    struct service *service;
    struct http_exchange *exchange;
    bool is_version_2;
};

/* ---- idempotency ---- */

static void free_remembered(struct service *service, struct remembered *remembered)
{
    link_remove(&remembered->link);
    service->remembered_count--;
    free(remembered->key);
    free(remembered->answer);
    free(remembered);
}

void control_forget(struct service *service)
{
    struct link *link;
    while ((link = list_pop_front(&service->remembered)))
        free_remembered(service, LIST_OBJECT(link, struct remembered, link));
}

static struct remembered *find_remembered(struct service *service, const char *key)
{
    LIST_EACH(&service->remembered, link)
    {
        struct remembered *remembered = LIST_OBJECT(link, struct remembered, link);
        if (strcmp(remembered->key, key) == 0)
            return remembered;
    }
    return NULL;
}

static void remember(struct service *service, const char *key, struct bytes body, const char *answer)
{
    if (service->remembered_count >= MAX_REMEMBERED)
        free_remembered(service, LIST_OBJECT(service->remembered.next, struct remembered, link));
    struct remembered *remembered = base_alloc(sizeof *remembered);
    remembered->key = base_strdup(key);
    remembered->answer = base_strdup(answer);
    digest_sha256_hex(body, remembered->digest);
    list_push_back(&service->remembered, &remembered->link);
    service->remembered_count++;
}

static bool is_key_valid(const char *key)
{
    size_t length = strlen(key);
    for (size_t i = 0; i < length; i++)
        if (!islower((unsigned char)key[i]) && !isdigit((unsigned char)key[i]) && key[i] != '-')
            return false;
    return length >= 1 && length <= 255;
}

/* Returns: whether the key settled the request. */
static bool answer_repeat(struct service *service, struct http_exchange *exchange, const char *key)
{
    if (!is_key_valid(key)) {
        answer_error(exchange, 400, "Idempotency-Key must be 1-255 of [a-z0-9-]");
        return true;
    }
    const struct remembered *remembered = find_remembered(service, key);
    if (!remembered)
        return false;
    char digest[DIGEST_HEX_SIZE];
    digest_sha256_hex(http_exchange_body(exchange), digest);
    if (strcmp(digest, remembered->digest) != 0) {
        answer_json(exchange, 422,
                    json_pack("{s:i,s:s,s:s}", "code", 422, "message",
                              "Idempotency-Key was already used with a different request", "error_code",
                              "idempotency_request_mismatch"));
        return true;
    }
    http_exchange_set_header(exchange, "Content-Type", "application/json; charset=utf-8");
    http_exchange_reply(exchange, 201, (struct bytes){remembered->answer, strlen(remembered->answer)});
    return true;
}

/* ---- the request ---- */

static bool is_text_map(const json_t *value)
{
    const char *name;
    json_t *item;
    if (value && !json_is_null(value) && !json_is_object(value))
        return false;
    json_object_foreach((json_t *)(uintptr_t)value, name, item) if (!json_is_string(item)) return false;
    return true;
}

static bool decode_timeout(struct http_exchange *exchange, const json_t *body, bool is_version_2,
                           int64_t *ret)
{
    json_t *value = json_object_get(body, "timeout");
    if (!value || json_is_null(value)) {
        *ret = is_version_2 ? DEFAULT_TIMEOUT_V2_S : DEFAULT_TIMEOUT_V1_S;
        return true;
    }
    if (!json_is_integer(value) || json_integer_value(value) <= 0) {
        answer_error(exchange, 400, "Timeout must be greater than 0");
        return false;
    }
    if (json_integer_value(value) > MAX_HOURS * 3600) {
        answer_error(exchange, 400, "Timeout cannot be greater than %d hours", MAX_HOURS);
        return false;
    }
    *ret = json_integer_value(value);
    return true;
}

/* Returns: false, the exchange answered. */
static bool decode_request(struct creation *creation, const json_t *body, struct sandbox_request *ret)
{
    struct http_exchange *exchange = creation->exchange;
    const char *name = json_string_value(json_object_get(body, "templateID"));
    json_t *network = json_object_get(body, "network");
    if (!name) {
        answer_error(exchange, 400, "Error when parsing request: templateID is required");
        return false;
    }
    ret->metadata = json_object_get(body, "metadata");
    ret->variables = json_object_get(body, "envVars");
    if (!is_text_map(ret->metadata) || !is_text_map(ret->variables)) {
        answer_error(exchange, 400, "Error when parsing request: metadata and envVars hold strings only");
        return false;
    }
    if (json_is_null(ret->metadata))
        ret->metadata = NULL;
    ret->template = sandbox_find_template(creation->service, name);
    if (!ret->template) {
        answer_error(exchange, 404, "template '%s' not found", name);
        return false;
    }
    ret->is_secure = creation->is_version_2 || json_is_true(json_object_get(body, "secure"));
    ret->pauses_at_timeout = json_is_true(json_object_get(body, "autoPause"));
    ret->has_internet = !json_is_false(json_object_get(body, "allow_internet_access"));
    ret->hides_traffic = json_is_false(json_object_get(network, "allowPublicTraffic"));
    return decode_timeout(exchange, body, creation->is_version_2, &ret->timeout_s);
}

/* ---- the answer ---- */

static json_t *encode_sandbox(const struct sandbox *sandbox)
{
    json_t *body = json_pack("{s:s,s:s,s:s,s:s,s:s,s:n}", "templateID", sandbox->template->id, "alias",
                             sandbox->template->name, "sandboxID", sandbox->id, "clientID", "6532622b",
                             "envdVersion", ENVD_VERSION, "domain");
    if (sandbox->is_secure)
        json_object_set_new(body, "envdAccessToken", json_string(sandbox->token));
    if (sandbox->hides_traffic)
        json_object_set_new(body, "trafficAccessToken", json_string(sandbox->traffic_token));
    return body;
}

void control_answer_sandbox(struct sandbox *sandbox, struct http_exchange *exchange, unsigned status)
{
    answer_json(exchange, status, encode_sandbox(sandbox));
}

static void cut(void *arg)
{
    http_exchange_cut(arg);
}

static void answer_created(struct creation *creation, struct sandbox *sandbox, const char *key)
{
    struct service *service = creation->service;
    json_auto_t *answer = encode_sandbox(sandbox);
    if (key) {
        CLEANUP(base_freep) char *text = json_dumps(answer, JSON_COMPACT);
        remember(service, key, http_exchange_body(creation->exchange), text);
    }
    if (service->faults.create_silent_count > 0) {
        service->faults.create_silent_count--;
        log_info(&service->journal, "create.unanswered", LOG_TEXT("sandbox", sandbox->id));
        faults_delay(service, service->faults.create_silent_after_ms, cut, creation->exchange);
        return;
    }
    answer_json(creation->exchange, 201, json_incref(answer));
}

static void create(struct creation *creation)
{
    struct service *service = creation->service;
    struct http_exchange *exchange = creation->exchange;
    const char *key = http_exchange_header(exchange, "Idempotency-Key");
    if (faults_fail_create(service, exchange)) {
        log_info(&service->journal, "create.refused", LOG_TEXT("key", key), LOG_TEXT("why", "fault"));
        return;
    }
    if (!creation->is_version_2 || service->faults.ignores_idempotency)
        key = NULL;
    if (key && answer_repeat(service, exchange, key))
        return;
    json_auto_t *body = answer_parse_body(exchange);
    struct sandbox_request request = {0};
    if (!body || !decode_request(creation, body, &request))
        return;
    if (service->sandbox_count >= service->max_sandboxes) {
        service->stats.refused++;
        log_info(&service->journal, "create.refused", LOG_TEXT("key", key), LOG_TEXT("why", "full"));
        sandbox_refuse_concurrency(service, exchange);
        return;
    }
    struct error error;
    struct sandbox *sandbox = sandbox_new(service, &request, &error);
    if (!sandbox) {
        log_error(&service->log, "sandbox.create_failed", LOG_TEXT("why", error.text));
        answer_error(exchange, 500, "Failed to place sandbox: %s", error.text);
        return;
    }
    log_debug(&service->log, "sandbox.created", LOG_TEXT("sandbox", sandbox->id),
              LOG_TEXT("template", sandbox->template->name));
    answer_created(creation, sandbox, key);
}

static void on_create_due(void *arg)
{
    create(arg);
    free(arg);
}

void control_create(struct service *service, struct http_exchange *exchange, bool is_version_2)
{
    service->stats.create_requests++;
    log_info(&service->journal, "create.asked",
             LOG_TEXT("key", http_exchange_header(exchange, "Idempotency-Key")));
    if (is_version_2 && service->faults.lacks_v2) {
        answer_error(exchange, 405, "method not allowed");
        return;
    }
    struct creation *creation = base_alloc(sizeof *creation);
    *creation = (struct creation){.service = service, .exchange = exchange, .is_version_2 = is_version_2};
    faults_delay(service, service->faults.create_delay_ms, on_create_due, creation);
}
