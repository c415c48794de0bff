#ifndef E2B_SANDBOX_H
#define E2B_SANDBOX_H
#include "base/arena.h"
#include "base/buffer.h"
#include "e2b/e2b.h"
#include "http/client.h"

/* A handle: what the data plane needs to reach one sandbox. Private to libe2b. */

enum sandbox_port { SANDBOX_ENVD, SANDBOX_INTERPRETER };

struct e2b_sandbox {
    struct e2b_client *client; /* borrowed */
    struct arena arena;        /* all texts below, but for a URL of the client's */
    const char *id;
    const char *base[2]; /* URL by enum sandbox_port, without a slash at the end */
    const char *id_line, *token_line, *traffic_line; /* header lines; the tokens' may be NULL */
};

struct answer_handle;

/* From what the control plane said. Returns: NULL when its texts cannot stand in a header or a host name.
 * Owns: e2b_sandbox_free. */
struct e2b_sandbox *sandbox_new(struct e2b_client *client, const struct answer_handle *answer) MUST_USE;

/* Header lines of one request. The lines belong to the handle or are literals; add your own. */
struct sandbox_lines {
    const char *items[HTTP_MAX_HEADERS];
    size_t count;
};

void sandbox_route(const struct e2b_sandbox *sandbox, enum sandbox_port port, struct buffer *url,
                   struct sandbox_lines *lines);
void sandbox_add_line(struct sandbox_lines *lines, const char *line);

#endif
