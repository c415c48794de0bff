/* Life and end of one librdkafka instance. */
#include "kafka/handle.h"

#include <assert.h>
#include <stdlib.h>

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
    /* Whoever wanted to leave the group has done so: here nothing is waited for that a broker would answer.
     */
    rd_kafka_destroy_flags(handle->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static void on_destroyed(void *arg)
{
    struct handle *handle = arg;
    if (handle->destroyed)
        handle->destroyed(handle->arg);
    free(handle);
}

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

void handle_log(const struct log *log, rd_kafka_event_t *event)
{
    static const enum log_level levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_ERROR, LOG_LEVEL_ERROR,
                                            LOG_LEVEL_WARN,  LOG_LEVEL_WARN,  LOG_LEVEL_INFO,
                                            LOG_LEVEL_INFO,  LOG_LEVEL_DEBUG};
    const char *facility = NULL, *text = NULL;
    int level = 0;
    if (rd_kafka_event_log(event, &facility, &text, &level) != 0)
        return;
    /* Its "error" is a broken connection that it mends itself: nobody must act, so it is a warning here. */
    LOG_AT(log, levels[MIN(MAX(level, 0), 7)], "kafka.library", LOG_TEXT("facility", facility),
           LOG_TEXT("text", text));
}
