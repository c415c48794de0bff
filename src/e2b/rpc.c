/* Connect's single messages. */
#include "e2b/rpc.h"

#include "e2b/sandbox.h"

void rpc_send(struct e2b_operation *operation, const char *path, enum rpc_repeat repeat)
{
    struct buffer CLEANUP(buffer_release) url = {0};
    struct sandbox_lines lines;
    sandbox_route(operation->sandbox, SANDBOX_ENVD, &url, &lines);
    buffer_append_text(&url, path);
    sandbox_add_line(&lines, "Content-Type: application/json");
    sandbox_add_line(&lines, "Connect-Protocol-Version: 1");
    struct http_request request = {.method = HTTP_POST,
                                   .url = url.data,
                                   .headers = lines.items,
                                   .header_count = lines.count,
                                   .is_repeatable = repeat == RPC_REPEATABLE};
    operation_send(operation, operation->client->envd, &request);
}
