/* Counters over HTTP. */
#include "stats.h"

#include "answer.h"
#include "http/server.h"
#include "service.h"

#include <jansson.h>
#include <string.h>

static json_t *encode(const struct service *service)
{
    const struct stats *stats = &service->stats;
    const struct {
        const char *name;
        int64_t value;
    } rows[] = {
        {"create_requests", stats->create_requests},
        {"created", stats->created},
        {"killed", stats->killed},
        {"expired", stats->expired},
        {"lost", stats->lost},
        {"live", service->sandbox_count},
        {"dying", service->dying_count},
        {"max_live", stats->max_live},
        {"kill_requests", stats->kill_requests},
        {"executions", stats->executions},
        {"processes", stats->processes},
        {"files_written", stats->files_written},
        {"files_read", stats->files_read},
        {"refused", stats->refused},
    };
    json_t *object = json_object();
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        json_object_set_new(object, rows[i].name, json_integer(rows[i].value));
    return object;
}

void stats_handle(struct service *service, struct http_exchange *exchange)
{
    const char *method = http_exchange_method(exchange);
    bool is_reset = strcmp(http_exchange_path(exchange), "/__stats/reset") == 0;
    if (strcmp(method, is_reset ? "POST" : "GET") != 0) {
        answer_error(exchange, 405, "GET /__stats or POST /__stats/reset");
        return;
    }
    if (is_reset)
        service->stats = (struct stats){.max_live = service->sandbox_count};
    answer_json(exchange, 200, encode(service));
}
