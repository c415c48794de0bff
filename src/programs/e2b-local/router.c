/* Which part answers: the test switches, the control plane, or a port of a sandbox. */
#include "answer.h"
#include "control.h"
#include "envd.h"
#include "http/server.h"
#include "interpreter.h"
#include "sandbox.h"
#include "service.h"

#include <stdlib.h>
#include <string.h>

struct address {
    char id[64];
    int port;
};

static bool parse_port(const char *text, size_t length, int *ret)
{
    char *end;
    CLEANUP(base_freep) char *copy = base_strndup(text, length);
    long port = strtol(copy, &end, 10);
    if (end == copy || *end || port < 1 || port > 65535)
        return false;
    *ret = (int)port;
    return true;
}

/* "49999-<id>.anything" names a port of a sandbox. */
static bool parse_host(const char *host, struct address *ret)
{
    size_t label = strcspn(host, "."), dash = strcspn(host, "-");
    if (dash >= label || !host[label] || label - dash - 1 >= sizeof ret->id ||
        !parse_port(host, dash, &ret->port))
        return false;
    memcpy(ret->id, host + dash + 1, label - dash - 1);
    ret->id[label - dash - 1] = '\0';
    return true;
}

enum routing { ROUTING_CONTROL, ROUTING_SANDBOX, ROUTING_REFUSED };

static enum routing find_address(struct http_exchange *exchange, struct address *ret)
{
    const char *host = http_exchange_header(exchange, "Host");
    const char *id = http_exchange_header(exchange, "E2b-Sandbox-Id");
    const char *port = http_exchange_header(exchange, "E2b-Sandbox-Port");
    if (host && parse_host(host, ret))
        return ROUTING_SANDBOX;
    if (!id && !port)
        return ROUTING_CONTROL;
    if (!id || !port) {
        answer_text(exchange, 400, "missing header");
        return ROUTING_REFUSED;
    }
    if (strlen(id) >= sizeof ret->id) {
        answer_text(exchange, 400, "Invalid sandbox ID");
        return ROUTING_REFUSED;
    }
    if (!parse_port(port, strlen(port), &ret->port)) {
        answer_text(exchange, 400, "Invalid sandbox port");
        return ROUTING_REFUSED;
    }
    memcpy(ret->id, id, strlen(id) + 1);
    return ROUTING_SANDBOX;
}

static bool may_reach(const struct sandbox *sandbox, struct http_exchange *exchange, int port)
{
    if (!sandbox->hides_traffic || port == PORT_ENVD)
        return true;
    const char *token = http_exchange_header(exchange, "E2B-Traffic-Access-Token");
    if (token && strcmp(token, sandbox->traffic_token) == 0)
        return true;
    answer_json(
        exchange, 403,
        json_pack(
            "{s:s,s:i,s:s}", "sandboxId", sandbox->id, "code", 403, "message",
            token ? "Sandbox is secured with traffic access token. Provided traffic access token is invalid"
                  : "Sandbox is secured with traffic access token. Token header "
                    "'e2b-traffic-access-token' is missing"));
    return false;
}

static void handle_sandbox(struct service *service, struct http_exchange *exchange,
                           const struct address *address)
{
    struct sandbox *sandbox = sandbox_find(service, address->id);
    if (!sandbox || sandbox->state == SANDBOX_PAUSED) {
        answer_json(exchange, 502,
                    json_pack("{s:s,s:s,s:i}", "sandboxId", address->id, "message",
                              "The sandbox was not found", "code", 502));
        return;
    }
    if (!may_reach(sandbox, exchange, address->port))
        return;
    if (address->port == PORT_ENVD)
        envd_handle(sandbox, exchange);
    else if (address->port == PORT_INTERPRETER)
        interpreter_handle(sandbox, exchange);
    else
        answer_json(exchange, 502,
                    json_pack("{s:s,s:s,s:i,s:i}", "sandboxId", sandbox->id, "message",
                              "The sandbox is running but port is not open", "port", address->port, "code",
                              502));
}

void router_handle(void *arg, struct http_exchange *exchange)
{
    struct service *service = arg;
    const char *path = http_exchange_path(exchange);
    if (strcmp(path, "/__stats") == 0 || strcmp(path, "/__stats/reset") == 0) {
        stats_handle(service, exchange);
        return;
    }
    if (strcmp(path, "/__faults") == 0) {
        faults_handle(service, exchange);
        return;
    }
    struct address address;
    switch (find_address(exchange, &address)) {
    case ROUTING_CONTROL:
        if (strcmp(path, "/health") == 0)
            answer_text(exchange, 200, "Health check successful");
        else
            control_handle(service, exchange);
        break;
    case ROUTING_SANDBOX:
        handle_sandbox(service, exchange, &address);
        break;
    case ROUTING_REFUSED:
        break;
    }
}
