/* A client: options checked, three pools of connections, one end for everything. */
#include "e2b/client.h"

#include "e2b/operation.h"
#include "e2b/text.h"
#include "http/client.h"
#include "loop/on_uv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    API_CONNECTIONS = 64,
    ENVD_CONNECTIONS = 32,
    API_LOST_MS = 20000,
    MAX_ANSWER_BYTES = 8 << 20,
    MAX_LINE_BYTES = 16 << 20,
};

static bool is_http_url(const char *url)
{
    return !strncmp(url, "http://", 7) || !strncmp(url, "https://", 8);
}

static char *without_slash(char *url)
{
    size_t length = url ? strlen(url) : 0;
    while (length > 0 && url[length - 1] == '/')
        url[--length] = '\0';
    return url;
}

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static const char *mistake_in(const struct e2b_client_options *options)
{
    if (!options->api_key && !options->api_url)
        return "no api_key in the client's options: create one in E2B's dashboard, set E2B_API_KEY";
    if (options->api_key && (!*options->api_key || !text_is_header_safe(options->api_key)))
        return "the client's api_key is empty or holds control characters: check where it was read from";
    if (options->user_agent && !text_is_header_safe(options->user_agent))
        return "the client's user_agent holds control characters";
    if (options->api_url && !is_http_url(options->api_url))
        return "the client's api_url does not begin with http:// or https://";
    if (options->sandbox_url && !is_http_url(options->sandbox_url))
        return "the client's sandbox_url does not begin with http:// or https://";
    if (options->domain && (!*options->domain || strpbrk(options->domain, "/ \t\r\n@?#")))
        return "the client's domain is no domain name";
    return NULL;
}

static void open_pools(struct e2b_client *client, const struct e2b_client_options *options)
{
    const char *user_agent = options->user_agent ? options->user_agent : "libe2b/" E2BW_VERSION;
    int api = options->api_connections > 0 ? options->api_connections : API_CONNECTIONS;
    int envd = options->envd_connections > 0 ? options->envd_connections : ENVD_CONNECTIONS;
    struct http_client_options pool = {.user_agent = user_agent, .ca_file = options->ca_file};

    pool.version = HTTP_SHARED;
    pool.max_connections = api;
    pool.is_always_limited = true;
    pool.max_idle = api;
    pool.lost_ms = API_LOST_MS;
    client->api = http_client_new(client->loop, &pool);
    pool.sibling = client->api;

    /* Streams of processes stay open for long: without HTTP/2 each needs a connection of its own. */
    pool.max_connections = envd;
    pool.is_always_limited = false;
    pool.max_idle = options->idle_connections;
    pool.lost_ms = 0; /* a run outlives a gap in the network that TCP bridges */
    client->envd = http_client_new(client->loop, &pool);

    pool.version = HTTP_SINGLE;
    pool.max_connections = 0;
    client->interpreter = http_client_new(client->loop, &pool);
    client->open_pools = 3;
}

struct e2b_client *e2b_client_new(struct uv_loop_s *uv, const struct e2b_client_options *options)
{
    const struct e2b_client_options usual = {.api_key = from_environment("E2B_API_KEY"),
                                             .domain = from_environment("E2B_DOMAIN"),
                                             .api_url = from_environment("E2B_API_URL"),
                                             .sandbox_url = from_environment("E2B_SANDBOX_URL")};
    struct e2b_client *client = base_alloc(sizeof *client);
    options = options ? options : &usual;
    client->loop = loop_new_on(uv);
    list_init(&client->operations);
    texts_init(&client->texts);
    client->mistake = mistake_in(options);
    client->domain = base_strdup(options->domain ? options->domain : "e2b.app");
    client->api_url = without_slash(options->api_url ? base_strdup(options->api_url)
                                                     : base_printf("https://api.%s", client->domain));
    client->sandbox_url = without_slash(base_strdup(options->sandbox_url));
    if (options->api_key)
        client->key_line = base_printf("X-API-KEY: %s", options->api_key);
    client->max_answer_bytes = options->max_answer_bytes > 0 ? options->max_answer_bytes : MAX_ANSWER_BYTES;
    client->max_line_bytes = options->max_line_bytes > 0 ? options->max_line_bytes : MAX_LINE_BYTES;
    open_pools(client, options);
    return client;
}

/* ---- the end ---- */

static void on_loop_freed(void *arg)
{
    struct e2b_client *client = arg;
    e2b_closed_fn closed = client->closed;
    void *closed_arg = client->closed_arg;
    texts_release(&client->texts);
    free(client->domain);
    free(client->api_url);
    free(client->sandbox_url);
    free(client->key_line);
    free(client);
    if (closed)
        closed(closed_arg);
}

static void on_pool_closed(void *arg)
{
    struct e2b_client *client = arg;
    if (--client->open_pools == 0)
        loop_free(client->loop, on_loop_freed, client);
}

static void close_now(void *arg)
{
    struct e2b_client *client = arg;
    operation_close_all(client);
    http_client_close(client->api, on_pool_closed, client);
    http_client_close(client->envd, on_pool_closed, client);
    http_client_close(client->interpreter, on_pool_closed, client);
}

void e2b_client_close(struct e2b_client *client, e2b_closed_fn closed, void *arg)
{
    if (!client)
        return;
    assert(!client->is_closing);
    client->is_closing = true;
    client->closed = closed;
    client->closed_arg = arg;
    loop_defer(client->loop, &client->close, close_now, client);
}
