/* The end of a source: last commits, out of the group, librdkafka destroyed; each step within the grace. */
#include "kafka/source_inside.h"

#include <assert.h>

enum { LAST_COMMIT_MS = 2000, LAST_TRANSACTION_MS = 5000 };

static void finish_closing(struct kafka_source *source)
{
    loop_timer_stop(source->loop, &source->tick);
    loop_timer_stop(source->loop, &source->deadline);
    loop_timer_stop(source->loop, &source->commit_deadline);
    loop_timer_stop(source->loop, &source->rebuild);
    loop_defer_cancel(source->loop, &source->deliver);
    wakeup_close(source->wakeup);
    if (source->transactor)
        transactor_source_gone(TAKE(source->transactor));
    void (*closed)(void *) = source->closed;
    void *arg = source->closed_arg;
    loop_reap(source->loop, source, source_free);
    if (closed)
        closed(arg);
}

static void on_destroyed(void *arg)
{
    finish_closing(arg);
}

static void end(struct kafka_source *source, void (*destroyed)(void *arg))
{
    bool has_handle = source->handle != NULL;
    source->phase = SOURCE_ENDING;
    source_close_handle(source, destroyed);
    source_drop_all(source);
    if (!has_handle || !destroyed)
        finish_closing(source);
}

/* librdkafka has hung here in more than one version: its thread is left behind. */
static void on_deadline(void *arg)
{
    struct kafka_source *source = arg;
    log_warn(&source->log, "kafka.source_close_late");
    if (source->phase != SOURCE_ENDING) {
        end(source, NULL);
        return;
    }
    source->ending->destroyed = NULL;
    finish_closing(source);
}

static void source_leave(struct kafka_source *source)
{
    source->phase = SOURCE_LEAVING;
    rd_kafka_t *rk = source->handle->rk;
    source->close_queue = rd_kafka_queue_new(rk);
    handle_watch(source->close_queue, source->wakeup);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(rk, source->close_queue);
    if (error) {
        log_warn(&source->log, "kafka.leave_failed", LOG_TEXT("text", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
        end(source, on_destroyed);
        return;
    }
    if (source->owes_assign) { /* an assignment without an answer would hold up the leaving */
        source->owes_assign = false;
        (void)rd_kafka_assign(rk, NULL);
    }
    wakeup_send(source->wakeup);
}

static void on_last_commit_late(void *arg)
{
    struct kafka_source *source = arg;
    if (source->phase == SOURCE_COMMITTING)
        source_leave(source);
}

void source_go_on_closing(struct kafka_source *source)
{
    if (source->phase == SOURCE_ENDING)
        return;
    if (!source->handle) {
        end(source, NULL);
        return;
    }
    if (source->phase == SOURCE_COMMITTING) {
        if (!source->transactor)
            source_commit(source);
        bool is_busy = source->transactor ? transactor_settle(source->transactor) : source->is_committing;
        if (!is_busy)
            source_leave(source);
    } else if (rd_kafka_consumer_closed(source->handle->rk)) {
        end(source, on_destroyed);
    }
}

void kafka_source_close(struct kafka_source *source, int64_t grace_ms, void (*closed)(void *arg), void *arg)
{
    if (!source)
        return;
    assert(source->phase == SOURCE_RUNNING);
    source->phase = SOURCE_COMMITTING;
    source->closed = closed;
    source->closed_arg = arg;
    facts_cancel(TAKE(source->facts));
    facts_cancel(TAKE(source->probe));
    loop_timer_stop(source->loop, &source->retry);
    loop_timer_stop(source->loop, &source->rebuild);
    loop_timer_start(source->loop, &source->deadline, grace_ms, on_deadline, source);
    int64_t last_ms = source->transactor ? LAST_TRANSACTION_MS : LAST_COMMIT_MS;
    loop_timer_start(source->loop, &source->commit_deadline, MIN(grace_ms / 2, last_ms), on_last_commit_late,
                     source);
    loop_timer_start(source->loop, &source->tick, 0, source_tick, source);
}
