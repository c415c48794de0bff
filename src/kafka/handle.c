/* Life and end of one librdkafka instance. */
#include "kafka/handle.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { COMPLAINT_MS = 60000, REACH_SLICE_MS = 200, REACH_SLICES = 25 };

struct handle *handle_new(struct loop *loop, rd_kafka_type_t type, const rd_kafka_conf_t *conf,
                          struct error *reterr)
{
    char text[160] = "";
    rd_kafka_conf_t *copy = rd_kafka_conf_dup(conf);
    rd_kafka_t *rk = rd_kafka_new(type, copy, text, sizeof text);
    if (!rk) {
        rd_kafka_conf_destroy(copy);
        error_set(reterr, ERROR_REJECTED, "config", 0, "kafka.properties: %s", text);
        return NULL;
    }
    struct handle *handle = base_alloc(sizeof *handle);
    *handle = (struct handle){.loop = loop, .rk = rk, .users = 1};
    return handle;
}

static void on_destroy_work(void *arg)
{
    struct handle *handle = arg;
    /* Whoever wanted to leave the group has done so: here nothing is waited for that a broker would
     * answer. */
    rd_kafka_destroy_flags(handle->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static void on_destroyed(void *arg)
{
    struct handle *handle = arg;
    if (handle->destroyed)
        handle->destroyed(handle->arg);
    free(handle);
}

/* ---- queues ---- */

static void on_queue(rd_kafka_t *rk, void *arg)
{
    (void)rk;
    wakeup_send(arg); /* librdkafka's thread: nothing else here */
}

void handle_watch(rd_kafka_queue_t *queue, struct wakeup *wakeup)
{
    rd_kafka_queue_cb_event_enable(queue, on_queue, wakeup);
}

rd_kafka_queue_t *handle_open_queue(struct handle *handle, struct wakeup *wakeup)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(handle->rk);
    (void)rd_kafka_set_log_queue(handle->rk, queue);
    handle_watch(queue, wakeup);
    return queue;
}

void handle_close_queue(rd_kafka_queue_t **queue)
{
    if (!*queue)
        return;
    rd_kafka_queue_cb_event_enable(*queue, NULL, NULL);
    rd_kafka_queue_destroy(TAKE(*queue));
}

/* ---- users ---- */

void handle_enter(struct handle *handle)
{
    handle->users++;
}

void handle_leave(struct handle *handle)
{
    assert(handle->users > 0);
    if (--handle->users == 0)
        loop_work(handle->loop, on_destroy_work, on_destroyed, handle);
}

void handle_release(struct handle *handle, void (*destroyed)(void *arg), void *arg)
{
    handle->destroyed = destroyed;
    handle->arg = arg;
    handle_leave(handle);
}

rd_kafka_resp_err_t handle_reach(struct handle *handle, const atomic_bool *is_cancelled)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TRANSPORT;
    for (int i = 0; i < REACH_SLICES && code == RD_KAFKA_RESP_ERR__TRANSPORT && !*is_cancelled; i++) {
        const struct rd_kafka_metadata *metadata = NULL;
        code = rd_kafka_metadata(handle->rk, 0, NULL, &metadata, REACH_SLICE_MS);
        if (metadata)
            rd_kafka_metadata_destroy(metadata);
    }
    /* Connected, and slower than a slice: whoever asks next has more patience. */
    return code == RD_KAFKA_RESP_ERR__TIMED_OUT ? RD_KAFKA_RESP_ERR_NO_ERROR : code;
}

void handle_hear(struct handle *handle, rd_kafka_event_t *event)
{
    trouble_hear(&handle->trouble, loop_now_ms(handle->loop), rd_kafka_event_error(event),
                 rd_kafka_event_error_string(event));
}

void handle_answered(struct handle *handle)
{
    handle->trouble = (struct trouble){0};
}

void handle_explain(const struct handle *handle, rd_kafka_resp_err_t code, const char *topic,
                    char text[EXPLAIN_SIZE])
{
    trouble_explain(&handle->trouble, loop_now_ms(handle->loop), code, topic, text);
}

static bool is_about_connection(const char *facility)
{
    return strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0 ||
           strcmp(facility, "REQTMOUT") == 0;
}

/* Returns: whether this one is to be written; *ret_unsaid is how many were not, since the last. */
static bool may_complain(struct handle *handle, int64_t *ret_unsaid)
{
    int64_t now_ms = loop_now_ms(handle->loop);
    if (handle->complained_at_ms > 0 && now_ms - handle->complained_at_ms < COMPLAINT_MS) {
        handle->unsaid++;
        return false;
    }
    handle->complained_at_ms = MAX(now_ms, 1);
    *ret_unsaid = handle->unsaid;
    handle->unsaid = 0;
    return true;
}

void handle_log(struct handle *handle, const struct log *log, rd_kafka_event_t *event)
{
    static const enum log_level levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_ERROR, LOG_LEVEL_ERROR,
                                            LOG_LEVEL_WARN,  LOG_LEVEL_WARN,  LOG_LEVEL_INFO,
                                            LOG_LEVEL_INFO,  LOG_LEVEL_DEBUG};
    const char *facility = "", *text = "";
    int number = 0;
    int64_t unsaid = 0;
    if (rd_kafka_event_log(event, &facility, &text, &number) != 0)
        return;
    /* Its "error" is a broken connection that it mends itself: nobody must act, so it is a warning here. */
    enum log_level level = levels[MIN(MAX(number, 0), 7)];
    if (is_about_connection(facility) && !may_complain(handle, &unsaid))
        level = LOG_LEVEL_DEBUG;
    LOG_AT(log, level, "kafka.library", LOG_TEXT("facility", facility), LOG_TEXT("text", text),
           LOG_INT("unsaid", unsaid));
}
