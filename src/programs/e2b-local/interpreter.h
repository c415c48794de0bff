#ifndef E2B_LOCAL_INTERPRETER_H
#define E2B_LOCAL_INTERPRETER_H

/* Port 49999 of a sandbox: the code interpreter's HTTP side. What runs is context.h. */

struct http_exchange;
struct sandbox;

void interpreter_handle(struct sandbox *sandbox, struct http_exchange *exchange);

#endif
