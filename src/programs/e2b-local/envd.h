#ifndef E2B_LOCAL_ENVD_H
#define E2B_LOCAL_ENVD_H
#include "base/base.h"

#include <jansson.h>

/* Port 49983 of a sandbox: envd. envd.c routes and guards; the services stand in envd_process.c,
 * envd_filesystem.c and envd_files.c. */

struct http_exchange;
struct sandbox;

void envd_handle(struct sandbox *sandbox, struct http_exchange *exchange);

/* Returns: whether the caller showed the sandbox's token, or needs none. */
bool envd_has_token(const struct sandbox *sandbox, struct http_exchange *exchange);
void envd_refuse(struct http_exchange *exchange);

void envd_process_handle(struct sandbox *sandbox, struct http_exchange *exchange, const char *method);
void envd_filesystem_handle(struct sandbox *sandbox, struct http_exchange *exchange, const char *method);
void envd_files_handle(struct sandbox *sandbox, struct http_exchange *exchange);
void envd_compose(struct sandbox *sandbox, struct http_exchange *exchange);

/* Of envd_files.c, for those who write files: the answer to a write that failed by errno, all bytes or false,
 * the row that tells of a written file, the folders above a path. */
void envd_refuse_write(struct http_exchange *exchange, const char *path);
bool envd_write_all(int fd, struct bytes data) MUST_USE;
json_t *envd_encode_written(const char *path, const json_t *metadata) MUST_USE;
bool envd_make_parent(struct sandbox *sandbox, const char *path) MUST_USE;

/* Unary answers of Connect: {} or {"code","message"}. Each ends the exchange; message is stolen. */
void envd_answer(struct http_exchange *exchange, json_t *message);
void envd_answer_error(struct http_exchange *exchange, const char *code, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Returns: the request of a unary call; NULL, and the exchange answered, when it is no JSON object. */
json_t *envd_parse(struct http_exchange *exchange) MUST_USE;

#endif
