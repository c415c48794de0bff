/* Handles: where a sandbox is, and what to show at its door. */
#include "e2b/sandbox.h"

#include "e2b/answers.h"
#include "e2b/client.h"
#include "e2b/text.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define ID_LINE "E2b-Sandbox-Id: "

enum { AROUND_BYTES = 176 }; /* what stands around the answer's words in a handle's texts, and between them */

/* Where E2B serves every sandbox under one host, so that connections can be shared. */
static bool has_shared_host(const char *domain)
{
    static const char *const domains[] = {"e2b.app", "e2b.dev", "e2b.pro"};
    for (size_t i = 0; i < ARRAY_LENGTH(domains); i++)
        if (!strcmp(domain, domains[i]))
            return true;
    return false;
}

static const char *base_url(struct e2b_sandbox *sandbox, const char *domain, int port)
{
    if (sandbox->client->sandbox_url)
        return sandbox->client->sandbox_url;
    if (has_shared_host(domain) && sandbox->base[SANDBOX_ENVD])
        return sandbox->base[SANDBOX_ENVD];
    if (has_shared_host(domain))
        return ARENA_JOIN(&sandbox->arena, "https://sandbox.", domain);
    return arena_printf(&sandbox->arena, "https://%d-%s.%s", port, sandbox->id, domain);
}

static size_t length_of(const char *text)
{
    return text ? strlen(text) : 0;
}

/* Thousands of handles lie in memory: each takes what it needs. */
static size_t texts_bytes(const struct e2b_client *client, const struct answer_handle *answer,
                          const char *domain)
{
    size_t id = strlen(answer->id);
    size_t base = client->sandbox_url       ? 0
                  : has_shared_host(domain) ? strlen(domain)
                                            : 2 * (id + strlen(domain));
    return AROUND_BYTES + id + base + length_of(answer->token) + length_of(answer->traffic_token);
}

static bool is_safe(const char *text)
{
    return !text || text_is_header_safe(text);
}

struct e2b_sandbox *sandbox_new(struct e2b_client *client, const struct answer_handle *answer)
{
    const char *domain = answer->domain && *answer->domain ? answer->domain : client->domain;
    for (const char *id = answer->id; *id; id++)
        if (!isalnum((unsigned char)*id) && *id != '-' && *id != '_')
            return NULL;
    if (!is_safe(answer->token) || !is_safe(answer->traffic_token) || strpbrk(domain, "/ \t\r\n@?#"))
        return NULL;
    struct e2b_sandbox *sandbox = base_alloc(sizeof *sandbox);
    arena_init(&sandbox->arena, texts_bytes(client, answer, domain));
    sandbox->client = client;
    sandbox->id_line = ARENA_JOIN(&sandbox->arena, ID_LINE, answer->id);
    sandbox->id = sandbox->id_line + strlen(ID_LINE);
    sandbox->base[SANDBOX_ENVD] = base_url(sandbox, domain, 49983);
    sandbox->base[SANDBOX_INTERPRETER] = base_url(sandbox, domain, 49999);
    if (answer->token)
        sandbox->token_line = ARENA_JOIN(&sandbox->arena, "X-Access-Token: ", answer->token);
    if (answer->traffic_token)
        sandbox->traffic_line =
            ARENA_JOIN(&sandbox->arena, "E2B-Traffic-Access-Token: ", answer->traffic_token);
    return sandbox;
}

const char *e2b_sandbox_id(const struct e2b_sandbox *sandbox)
{
    return sandbox->id;
}

void e2b_sandbox_free(struct e2b_sandbox *sandbox)
{
    if (!sandbox)
        return;
    arena_release(&sandbox->arena);
    free(sandbox);
}

void sandbox_add_line(struct sandbox_lines *lines, const char *line)
{
    assert(lines->count < ARRAY_LENGTH(lines->items));
    lines->items[lines->count++] = line;
}

void sandbox_route(const struct e2b_sandbox *sandbox, enum sandbox_port port, struct buffer *url,
                   struct sandbox_lines *lines)
{
    lines->count = 0;
    buffer_append_text(url, sandbox->base[port]);
    sandbox_add_line(lines, sandbox->id_line);
    sandbox_add_line(lines, port == SANDBOX_ENVD ? "E2b-Sandbox-Port: 49983" : "E2b-Sandbox-Port: 49999");
    if (sandbox->token_line)
        sandbox_add_line(lines, sandbox->token_line);
    if (sandbox->traffic_line)
        sandbox_add_line(lines, sandbox->traffic_line);
}
