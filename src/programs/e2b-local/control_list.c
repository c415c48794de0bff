/* GET /sandboxes, /v2/sandboxes and /sandboxes/{id}. */
#include "control.h"

#include "answer.h"
#include "base/clock.h"
#include "http/server.h"
#include "metadata_filter.h"
#include "sandbox.h"
#include "service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DISK_MB = 1024, PAGE_LIMIT = 100 };

struct query {
    const char *metadata;
    bool wants_running, wants_paused, is_ascending;
    const char *after; /* the id after which the page begins; NULL: the first */
    const char *template;
    size_t limit;
};

static json_t *encode(const struct sandbox *sandbox)
{
    char started[CLOCK_TEXT_SIZE], end[CLOCK_TEXT_SIZE];
    clock_format(sandbox->started_unix_ms, started);
    clock_format(sandbox->end_unix_ms, end);
    const struct template *template = sandbox->template;
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:s,s:s,s:O,s:[]}", "templateID", template->id,
                     "alias", template->name, "sandboxID", sandbox->id, "clientID", "6532622b", "startedAt",
                     started, "endAt", end, "cpuCount", (template->cpu_percent + 99) / 100, "memoryMB",
                     template->memory_mb, "diskSizeMB", DISK_MB, "state",
                     sandbox->state == SANDBOX_PAUSED ? "paused" : "running", "envdVersion", ENVD_VERSION,
                     "metadata", sandbox->metadata, "volumeMounts");
}

void control_show(struct sandbox *sandbox, struct http_exchange *exchange)
{
    json_t *body = encode(sandbox);
    if (sandbox->is_secure)
        json_object_set_new(body, "envdAccessToken", json_string(sandbox->token));
    json_object_set_new(body, "domain", json_null());
    json_object_set_new(body, "allowInternetAccess", json_boolean(sandbox->has_internet));
    json_object_set_new(
        body, "lifecycle",
        json_pack("{s:b,s:s}", "autoResume", 0, "onTimeout", sandbox->pauses_at_timeout ? "pause" : "kill"));
    answer_json(exchange, 200, body);
}

/* ---- lists ---- */

static bool matches(const struct query *query, const struct sandbox *sandbox)
{
    bool is_paused = sandbox->state == SANDBOX_PAUSED;
    if (is_paused ? !query->wants_paused : !query->wants_running)
        return false;
    if (query->template && strcmp(query->template, sandbox->template->id) != 0 &&
        strcmp(query->template, sandbox->template->name) != 0)
        return false;
    return !query->metadata || metadata_filter_matches(query->metadata, sandbox->metadata);
}

static bool decode_query(struct http_exchange *exchange, bool is_version_2, struct query *ret)
{
    const char *state = http_exchange_query(exchange, "state");
    const char *limit = http_exchange_query(exchange, "limit");
    const char *order = http_exchange_query(exchange, "order");
    *ret = (struct query){.metadata = http_exchange_query(exchange, "metadata"),
                          .wants_running = !state || strstr(state, "running"),
                          .wants_paused = is_version_2 && (!state || strstr(state, "paused")),
                          .is_ascending = order && strcmp(order, "asc") == 0,
                          .template = http_exchange_query(exchange, "template"),
                          .after = http_exchange_query(exchange, "nextToken"),
                          .limit = is_version_2 ? PAGE_LIMIT : SIZE_MAX};
    if (!is_version_2 || !limit)
        return true;
    char *end;
    long number = strtol(limit, &end, 10);
    if (*end || number < 1 || number > PAGE_LIMIT) {
        answer_error(exchange, 400, "limit must be between 1 and %d", PAGE_LIMIT);
        return false;
    }
    ret->limit = (size_t)number;
    return true;
}

/* A token names the last sandbox of the page before, by start and id, so that it survives that sandbox's
 * end. */
static bool is_after_token(const struct query *query, const struct sandbox *sandbox)
{
    long long started = 0;
    char id[SANDBOX_ID_SIZE] = "";
    if (!query->after || sscanf(query->after, "%lld_%21s", &started, id) != 2)
        return true;
    if (sandbox->started_unix_ms != started)
        return query->is_ascending ? sandbox->started_unix_ms > started : sandbox->started_unix_ms < started;
    return query->is_ascending ? strcmp(sandbox->id, id) > 0 : strcmp(sandbox->id, id) < 0;
}

static int compare_ascending(const void *left, const void *right)
{
    const struct sandbox *a = *(struct sandbox *const *)left, *b = *(struct sandbox *const *)right;
    if (a->started_unix_ms != b->started_unix_ms)
        return a->started_unix_ms < b->started_unix_ms ? -1 : 1;
    return strcmp(a->id, b->id);
}

static int compare_descending(const void *left, const void *right)
{
    return compare_ascending(right, left);
}

void control_list(struct service *service, struct http_exchange *exchange, bool is_version_2)
{
    struct query query;
    if (!decode_query(exchange, is_version_2, &query))
        return;
    CLEANUP(base_freep)
    void *memory = base_alloc(sizeof(void *) * (size_t)(service->sandbox_count + 1));
    struct sandbox **found = memory;
    size_t count = 0, running_count = 0;
    LIST_EACH(&service->sandboxes, link)
    {
        struct sandbox *sandbox = LIST_OBJECT(link, struct sandbox, link);
        if (!matches(&query, sandbox))
            continue;
        running_count += sandbox->state == SANDBOX_RUNNING;
        if (is_after_token(&query, sandbox))
            found[count++] = sandbox;
    }
    qsort(found, count, sizeof(void *), query.is_ascending ? compare_ascending : compare_descending);
    json_t *list = json_array();
    for (size_t i = 0; i < count && i < query.limit; i++)
        json_array_append_new(list, encode(found[i]));
    if (count > query.limit) {
        const struct sandbox *last = found[query.limit - 1];
        CLEANUP(base_freep) char *token = base_printf("%lld_%s", (long long)last->started_unix_ms, last->id);
        http_exchange_set_header(exchange, "X-Next-Token", token);
    }
    if (is_version_2 && query.wants_running) {
        CLEANUP(base_freep) char *total = base_printf("%zu", running_count);
        http_exchange_set_header(exchange, "X-Total-Running", total);
    }
    answer_json(exchange, 200, list);
}
