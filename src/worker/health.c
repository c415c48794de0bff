/* The worker over HTTP. */
#include "worker/health.h"

#include "base/buffer.h"
#include "http/server.h"
#include "worker/worker.h"

#include <stdlib.h>
#include <string.h>

struct health {
    struct worker *worker;
    struct http_server *server;
};

static void reply(struct http_exchange *exchange, unsigned status, const char *type,
                  const struct buffer *body)
{
    http_exchange_set_header(exchange, "Content-Type", type);
    http_exchange_reply(exchange, status, buffer_bytes(body));
}

static void answer_ready(struct health *health, struct http_exchange *exchange, struct buffer *body)
{
    const char *why;
    bool is_ready = worker_is_ready(health->worker, &why);
    const char *mode = worker_mode(health->worker);
    buffer_append_format(body, "%s mode=%s\n", is_ready ? "ready" : why, mode);
    reply(exchange, is_ready ? 200 : 503, "text/plain; charset=utf-8", body);
}

static void on_request(void *arg, struct http_exchange *exchange)
{
    struct health *health = arg;
    CLEANUP(buffer_release) struct buffer body = {0};
    const char *path = http_exchange_path(exchange);
    if (strcmp(http_exchange_method(exchange), "GET") != 0) {
        buffer_append_text(&body, "only GET is answered here\n");
        reply(exchange, 405, "text/plain", &body);
    } else if (strcmp(path, "/healthz") == 0) {
        buffer_append_text(&body, "ok\n");
        reply(exchange, 200, "text/plain", &body);
    } else if (strcmp(path, "/readyz") == 0) {
        answer_ready(health, exchange, &body);
    } else if (strcmp(path, "/metrics") == 0) {
        worker_metrics(health->worker, &body);
        reply(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
    } else if (strcmp(path, "/stats") == 0) {
        worker_stats(health->worker, &body);
        reply(exchange, 200, "application/json", &body);
    } else {
        buffer_append_text(&body, "there are /healthz, /readyz, /metrics and /stats\n");
        reply(exchange, 404, "text/plain", &body);
    }
}

struct health *health_new(struct loop *loop, struct worker *worker, const char *listen, struct error *reterr)
{
    struct health *health = base_alloc(sizeof *health);
    health->worker = worker;
    const struct http_server_options options = {
        .listen = listen, .handler = on_request, .arg = health, .max_connections = 64};
    health->server = http_server_new(loop, &options, reterr);
    if (!health->server) {
        free(health);
        return NULL;
    }
    return health;
}

void health_free(struct health *health)
{
    if (!health)
        return;
    http_server_free(health->server);
    free(health);
}

unsigned health_port(const struct health *health)
{
    return http_server_port(health->server);
}
