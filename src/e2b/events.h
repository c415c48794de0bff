#ifndef E2B_EVENTS_H
#define E2B_EVENTS_H
#include "base/buffer.h"

/* One event of a stream: a line of the interpreter's, a frame of a process's. Texts are borrowed from the
 * event until its release; what is unknown is an event to be ignored. Private to libe2b. */

enum event_kind {
    EVENT_IGNORED, /* keepalives, and types from the future */
    EVENT_STARTED,
    EVENT_STDOUT,
    EVENT_STDERR,
    EVENT_RESULT, /* code: bytes is the JSON object without its type */
    EVENT_ERROR,  /* code: name, value, traceback; process: a stream's error with code and message */
    EVENT_END,    /* code: end_of_execution; process: the end event, with its exit */
};

struct event {
    enum event_kind kind;
    struct bytes bytes;
    const char *name, *value, *traceback; /* of code's error; never NULL there */
    const char *code, *message;           /* of a stream's error; never NULL there */
    uint32_t pid;
    int exit_code, exit_signal;
    void *tree;          /* ours */
    struct buffer owned; /* ours: bytes that had to be made */
};

/* All return false when the bytes are no such JSON; then there is nothing to release. */
bool event_of_code(struct bytes line, struct event *ret) MUST_USE;
bool event_of_process(struct bytes payload, struct event *ret) MUST_USE;
/* The payload of a frame that ends a stream: EVENT_IGNORED when all is well, else EVENT_ERROR. */
bool event_of_stream_end(struct bytes payload, struct event *ret) MUST_USE;
void event_release(struct event *event);

/* From "signal: killed" and the like. Returns: 0: it is no signal. */
int event_signal_of(const char *status) MUST_USE;

#endif
