/* Answers. */
#include "answer.h"

#include "base/utf8.h"
#include "http/server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void answer_json(struct http_exchange *exchange, unsigned status, json_t *body)
{
    CLEANUP(base_freep) char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(body);
    http_exchange_set_header(exchange, "Content-Type", "application/json; charset=utf-8");
    http_exchange_reply(exchange, status, (struct bytes){text, text ? strlen(text) : 0});
}

void answer_text(struct http_exchange *exchange, unsigned status, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    http_exchange_set_header(exchange, "Content-Type", "text/plain; charset=utf-8");
    http_exchange_reply(exchange, status, (struct bytes){text, length > 0 ? (size_t)length : 0});
    free(text);
}

void answer_empty(struct http_exchange *exchange, unsigned status)
{
    http_exchange_reply(exchange, status, (struct bytes){0});
}

/* A message may quote what the client sent, which need not be UTF-8. */
static json_t *text_value(const char *text)
{
    struct buffer repaired = {0};
    utf8_append_repaired(&repaired, (struct bytes){text, strlen(text)});
    json_t *value = json_stringn(repaired.data ? repaired.data : "", repaired.length);
    buffer_release(&repaired);
    return value;
}

void answer_error(struct http_exchange *exchange, unsigned status, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&text, format, args);
    va_end(args);
    answer_json(exchange, status,
                json_pack("{s:i,s:o}", "code", (int)status, "message", text_value(length < 0 ? "" : text)));
    free(text);
}

json_t *answer_parse_body(struct http_exchange *exchange)
{
    struct bytes body = http_exchange_body(exchange);
    if (body.length == 0)
        return json_object();
    json_error_t error;
    json_t *parsed = json_loadb(body.data, body.length, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(parsed))
        return parsed;
    answer_error(exchange, 400, "Error when parsing request: %s",
                 parsed ? "the body is no JSON object" : error.text);
    json_decref(parsed);
    return NULL;
}
