#ifndef E2B_LOCAL_SANDBOX_H
#define E2B_LOCAL_SANDBOX_H
#include "base/base.h"
#include "base/error.h"
#include "base/list.h"
#include "loop/timers.h"

#include <jansson.h>

/* One sandbox from create to its end, and the registry of those alive. What runs in it belongs to process.c
 * and context.c; it only keeps their lists, so that the end reaches all of them. */

struct cell;
struct http_exchange;
struct service;
struct template;

enum { SANDBOX_ID_SIZE = 22, SANDBOX_TOKEN_SIZE = 68 };

enum sandbox_state { SANDBOX_RUNNING, SANDBOX_PAUSED };
enum sandbox_end { SANDBOX_END_KILLED, SANDBOX_END_EXPIRED, SANDBOX_END_LOST };

struct sandbox {
    struct link link;        /* in service->sandboxes */
    struct service *service; /* borrowed */
    char id[SANDBOX_ID_SIZE];
    const struct template *template; /* borrowed */
    enum sandbox_state state;
    bool is_secure, pauses_at_timeout, hides_traffic, has_internet;
    char token[SANDBOX_TOKEN_SIZE];         /* "ea_" + 64 hex digits */
    char traffic_token[SANDBOX_TOKEN_SIZE]; /* when hides_traffic */
    json_t *metadata;                       /* string -> string */
    json_t *variables;                      /* string -> string: envVars and E2B_* */
    int64_t started_unix_ms, end_unix_ms, paused_left_ms;
    struct timer expiry;
    struct cell *cell;
    struct link processes; /* process.c: struct process */
    struct link contexts;  /* context.c: struct context */
    bool has_boot_contexts;
};

struct sandbox_request {
    const struct template *template;
    int64_t timeout_s;
    bool is_secure, pauses_at_timeout, hides_traffic, has_internet;
    json_t *metadata, *variables; /* borrowed; NULL: none */
};

/* Returns: NULL with *reterr. Owns: the registry; it goes by sandbox_end. */
struct sandbox *sandbox_new(struct service *service, const struct sandbox_request *request,
                            struct error *reterr) MUST_USE;

/* Ends it: at once it is not found any more, its streams are cut and its processes killed; `on_gone` (may be
 * NULL) runs when nothing of it is left. */
void sandbox_end(struct sandbox *sandbox, enum sandbox_end why, void (*on_gone)(void *arg), void *arg);

/* Sets the end to now + ms. */
void sandbox_set_end(struct sandbox *sandbox, int64_t left_ms);
void sandbox_pause(struct sandbox *sandbox);
void sandbox_resume(struct sandbox *sandbox, int64_t left_ms);

/* Returns: the living sandbox, or NULL. Ids with "-<client>" behind are accepted as well. */
struct sandbox *sandbox_find(struct service *service, const char *id);
const struct template *sandbox_find_template(struct service *service, const char *name);

/* E2B's 429 for an account that is full. */
void sandbox_refuse_concurrency(struct service *service, struct http_exchange *exchange);

#endif
