#ifndef E2B_LOCAL_ANSWER_H
#define E2B_LOCAL_ANSWER_H
#include "base/base.h"

#include <jansson.h>

/* The forms that answers take here. Each ends the exchange. */

struct http_exchange;

void answer_json(struct http_exchange *exchange, unsigned status, json_t *body); /* steals body */
void answer_text(struct http_exchange *exchange, unsigned status, const char *format, ...) PRINTF_LIKE(3, 4);
void answer_empty(struct http_exchange *exchange, unsigned status);
/* {"code":status,"message":text}: the control plane's form, and that of envd's plain HTTP half. */
void answer_error(struct http_exchange *exchange, unsigned status, const char *format, ...) PRINTF_LIKE(3, 4);

/* Reads the request's body as a JSON object; an empty body is an empty object.
 * Returns: NULL, the exchange answered 400, when it is something else. Owns: the caller. */
json_t *answer_parse_body(struct http_exchange *exchange) MUST_USE;

#endif
