#ifndef E2B_RPC_H
#define E2B_RPC_H
#include "e2b/operation.h"

/* Connect's single messages to envd: JSON in, JSON out. Private to libe2b. */

enum rpc_repeat {
    RPC_ONCE,       /* it must not happen twice */
    RPC_REPEATABLE, /* it may be sent again when a reused connection died unanswered */
};

/* Sends operation->body to `path` of the operation's sandbox. */
void rpc_send(struct e2b_operation *operation, const char *path, enum rpc_repeat repeat);

#endif
