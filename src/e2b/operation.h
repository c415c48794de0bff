#ifndef E2B_OPERATION_H
#define E2B_OPERATION_H
#include "base/buffer.h"
#include "e2b/client.h"
#include "e2b/error.h"
#include "http/client.h"

/* One operation in a caller's slot, from its start to its `done`: exactly once, never from inside the start
 * function, with the slot idle again; or cancelled, and then never. The concrete operations (code_run, ...)
 * embed it as their first member and fill in the hooks. Private to libe2b. */

enum done_kind {
    DONE_PLAIN,
    DONE_SANDBOX,
    DONE_INFO,
    DONE_PAGE,
    DONE_CODE,
    DONE_EXIT,
    DONE_FILE,
    DONE_FILES
};

struct done {
    enum done_kind kind;
    union {
        e2b_done_fn plain;
        e2b_sandbox_fn sandbox;
        e2b_info_fn info;
        e2b_page_fn page;
        e2b_code_fn code;
        e2b_exit_fn exit;
        e2b_file_fn file;
        e2b_files_fn files;
    };
};

struct e2b_operation {
    struct link link;            /* in the client's operations */
    struct e2b_client *client;   /* borrowed */
    struct e2b_call *call;       /* borrowed; NULL: cancelled, waits for the reaper */
    struct e2b_sandbox *sandbox; /* borrowed; NULL: a control plane call */
    struct done done;
    enum error_place place;
    struct http_exchange *exchange; /* NULL: none under way */
    int64_t deadline_ms;            /* loop time; INT64_MAX: none */
    struct buffer body;             /* of the request */
    struct bytes piece;             /* the body as http wants it */
    struct task task;               /* something to be done off the caller's stack */
    struct e2b_error *failure;      /* to be told; NULL: none so far */
    struct buffer held;             /* streamed bytes that a paused caller has not been told */
    bool is_paused;
    bool is_over;    /* the stream has ended, what is held has not been told */
    bool is_aborted; /* by our own verdict; `failure` is on its way */

    /* Hooks. */
    /* The whole answer, 2xx. Ends the operation or sends the next request. */
    void (*answered)(struct e2b_operation *operation, const struct http_response *response);
    /* May take a refusal for something else and go on. Returns: false: it is what it looks like. */
    bool (*refused)(struct e2b_operation *operation, const struct e2b_error *error);
    /* The next bytes of a 2xx answer. What it must leave because of a pause goes to `held`. NULL:
     * collected. */
    void (*pump)(struct e2b_operation *operation, struct bytes chunk);
    /* The stream is over and told. Returns: false: without a proper end. Ends the operation if true. */
    bool (*concluded)(struct e2b_operation *operation); /* with pump, instead of answered */
    void (*release)(struct e2b_operation *operation);
};

enum { OPERATION_NO_DEADLINE = -1 };

/* Occupies the slot. size: of the struct that embeds it. */
void *operation_new(struct e2b_client *client, struct e2b_call *call, size_t size, struct done done,
                    int64_t default_ms) MUST_USE;

/* Sends over `pool`. The request's url, headers, method, idle_ms, is_repeatable and send_before_boot_ms are
 * the caller's, the rest is filled in; without pieces, `body` is what is sent. Fails (later) instead if the
 * client is closing or was given bad options. */
void operation_send(struct e2b_operation *operation, struct http_client *pool, struct http_request *request);

/* Three ways to fail. At once (only from hooks): */
void operation_fail(struct e2b_operation *operation, const struct e2b_error *error);
/* From start functions: a bad argument. */
void operation_refuse(struct e2b_operation *operation, const char *why);
/* From pump: the stream makes no sense; the rest is not read. */
void operation_abort(struct e2b_operation *operation, enum e2b_error_kind kind, const char *why);

/* Kept until the stream's end, when `concluded` may want it. */
void operation_keep_failure(struct e2b_operation *operation, const struct e2b_error *error);

/* The answer was 2xx and makes no sense. */
void operation_fail_nonsense(struct e2b_operation *operation, const struct http_response *response);

/* A hook for `answered` where the answer says nothing more. */
void operation_answered_plainly(struct e2b_operation *operation, const struct http_response *response);

/* The end. result: what done.kind wants, NULL with an error. Frees the operation. */
void operation_succeed(struct e2b_operation *operation, const void *result);

/* Is there still somebody to tell? False after a cancel inside one of the caller's callbacks. */
static inline bool operation_is_live(const struct e2b_operation *operation)
{
    return operation->call != NULL;
}

/* Ends everything with E2B_ERROR_CLOSED. */
void operation_close_all(struct e2b_client *client);

#endif
