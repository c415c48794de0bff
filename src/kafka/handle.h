#ifndef KAFKA_HANDLE_H
#define KAFKA_HANDLE_H
#include "base/error.h"
#include "base/log.h"
#include "kafka/explain.h"
#include "loop/loop.h"

#include <librdkafka/rdkafka.h>

#include <stdatomic.h>

/* One instance of librdkafka and its end. Calls that block run as thread jobs, and each keeps the instance
 * alive; when its owner let go and the last job is done, rd_kafka_destroy, which may block, runs in a thread
 * too. A source or sink outlives its instances: a fatal error replaces one. Private to the layer. */

struct handle {
    struct loop *loop;
    rd_kafka_t *rk;
    int users; /* the owner and the thread jobs under way */
    void (*destroyed)(void *arg);
    void *arg;
    struct trouble trouble;   /* of its connections; whoever got an answer clears it */
    int64_t complained_at_ms; /* the last line about a broken connection, 0: none */
    int64_t unsaid;           /* such lines since */
};

/* Takes nothing: `conf` is copied. Returns: NULL when librdkafka refuses.
 * Owns: handle_release. */
struct handle *handle_new(struct loop *loop, rd_kafka_type_t type, const rd_kafka_conf_t *conf,
                          struct error *reterr) MUST_USE;

/* Whatever comes into this queue wakes the loop. */
void handle_watch(rd_kafka_queue_t *queue, struct wakeup *wakeup);
/* The instance's main queue, watched, its log in it. Owns: handle_close_queue. */
rd_kafka_queue_t *handle_open_queue(struct handle *handle, struct wakeup *wakeup) MUST_USE;
/* After this returns librdkafka's threads do not call us for this queue any more. *queue is NULL then. NULL:
 * nothing. */
void handle_close_queue(rd_kafka_queue_t **queue);

/* Keeps the instance until handle_leave: for one thread job. */
void handle_enter(struct handle *handle);
void handle_leave(struct handle *handle);

/* For thread jobs, before they ask: waits until a broker can be asked, 5 s at most, or until *is_cancelled.
 * What librdkafka's own calls wait for cannot be called off, and the instance lives as long as they do.
 * Returns: __TRANSPORT when there is none. Thread: any. */
rd_kafka_resp_err_t handle_reach(struct handle *handle, const atomic_bool *is_cancelled) MUST_USE;

/* Keeps what an error event says of a connection, for handle_explain. */
void handle_hear(struct handle *handle, rd_kafka_event_t *event);
void handle_answered(struct handle *handle);
/* What happened and what to do, with what was heard. */
void handle_explain(const struct handle *handle, rd_kafka_resp_err_t code, const char *topic,
                    char text[EXPLAIN_SIZE]);

/* The owner lets go; its queues and topics must have been destroyed. destroyed (may be NULL) runs on the loop
 * once nothing of the instance is left. */
void handle_release(struct handle *handle, void (*destroyed)(void *arg), void *arg);

/* Writes a log event of librdkafka as one of ours. Of what it says about broken connections, again and again
 * while it mends them, a line now and then; the rest is for debugging. */
void handle_log(struct handle *handle, const struct log *log, rd_kafka_event_t *event);

#endif
