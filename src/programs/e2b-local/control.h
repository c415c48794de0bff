#ifndef E2B_LOCAL_CONTROL_H
#define E2B_LOCAL_CONTROL_H
#include "base/base.h"

/* The control plane: /sandboxes and what stands under it, as E2B's REST API answers. Looking is
 * control_list.c. */

struct http_exchange;
struct sandbox;
struct service;

void control_handle(struct service *service, struct http_exchange *exchange);

/* control_list.c: GET /sandboxes, GET /v2/sandboxes, GET /sandboxes/{id}. */
void control_list(struct service *service, struct http_exchange *exchange, bool is_version_2);
void control_show(struct sandbox *sandbox, struct http_exchange *exchange);
/* control_create.c: POST /sandboxes and /v2/sandboxes; forget frees the remembered idempotency keys. */
void control_create(struct service *service, struct http_exchange *exchange, bool is_version_2);
void control_forget(struct service *service);
/* The answer of create, connect and resume. */
void control_answer_sandbox(struct sandbox *sandbox, struct http_exchange *exchange, unsigned status);

#endif
