/* The transactional producer: transactions, state, beginning and end. Its header says what for. */
#include "kafka/source_inside.h"
#include "kafka/transactor_inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 1000,
    OVERDUE_MS = 10000,
    REST_MIN_MS = 100,
    REST_MAX_MS = 5000,
    CLOSE_LATE_MS = 1000,
};

rd_kafka_t *transactor_librdkafka(const struct kafka_transactor *transactor)
{
    return transactor->handle ? transactor->handle->rk : NULL;
}

/* ---- state ---- */

void transactor_judge(struct kafka_transactor *transactor)
{
    if (transactor->is_closing)
        return;
    char why[EXPLAIN_SIZE] = "";
    int64_t oldest_ms = 0;
    if (!list_is_empty(&transactor->all))
        oldest_ms = loop_now_ms(transactor->loop) -
                    LIST_OBJECT(transactor->all.next, struct kafka_delivery, in_all)->since_ms;
    bool is_starting = transactor->phase == TRANSACTOR_STARTING || transactor->phase == TRANSACTOR_REBUILDING;
    const char *trouble = transactor->trouble_why;
    if (transactor->needs_hands || (is_starting && *trouble))
        base_copy_text(why, sizeof why, trouble);
    else if (is_starting)
        (void)snprintf(why, sizeof why, "Kafka's transaction coordinator has not answered yet");
    else if (oldest_ms > OVERDUE_MS)
        (void)snprintf(why, sizeof why, "no transaction could be committed for more than %d s%s%.140s",
                       OVERDUE_MS / 1000, *trouble ? ": " : "", trouble);
    bool is_usable = why[0] == '\0';
    if (is_usable == transactor->is_usable && strcmp(why, transactor->why) == 0)
        return;
    transactor->is_usable = is_usable;
    memcpy(transactor->why, why, sizeof why);
    transactor->on_state(transactor->arg, is_usable, transactor->why);
}

static void trouble(struct kafka_transactor *transactor, const struct transaction_call *call,
                    const char *event)
{
    transactor->needs_hands = explain_needs_hands(call->code);
    handle_explain(call->handle, call->code, NULL, transactor->trouble_why);
    log_warn(&transactor->log, event, LOG_TEXT("code", rd_kafka_err2name(call->code)),
             LOG_TEXT("text", call->text), LOG_INT("waiting", transactor->stats.waiting));
}

static void calm(struct kafka_transactor *transactor)
{
    transactor->needs_hands = false;
    transactor->trouble_why[0] = '\0';
    handle_answered(transactor->handle);
}

/* ---- transactions ---- */

static void begin_if_needed(struct kafka_transactor *transactor)
{
    struct kafka_source *source = transactor->source;
    if (transactor->phase != TRANSACTOR_IDLE || timer_is_active(&transactor->rest) ||
        (source && !source_may_commit(source)))
        return;
    bool has_records = transactor_sort(transactor);
    if (!source || (!has_records && !source_has_dirty(source)))
        return;
    loop_timer_stop(transactor->loop, &transactor->interval);
    transactor->is_wanted = false;
    transactor_start(transactor, TRANSACTOR_BEGINNING, TRANSACTION_BEGIN);
}

static void on_interval(void *arg)
{
    struct kafka_transactor *transactor = arg;
    if (!transactor->source || !source_is_revoking(transactor->source))
        begin_if_needed(transactor);
}

void transactor_be_idle(struct kafka_transactor *transactor)
{
    transactor->phase = TRANSACTOR_IDLE;
    if (transactor->source)
        source_on_committed(transactor->source);
    transactor_judge(transactor);
    bool is_due = !list_is_empty(&transactor->gathered) && !timer_is_active(&transactor->interval);
    if (is_due || !list_is_empty(&transactor->alone) || transactor->is_wanted || !transactor->source)
        on_interval(transactor);
    wakeup_send(transactor->wakeup); /* an end that waits */
}

static void on_rested(void *arg)
{
    on_interval(arg);
}

static void rest(struct kafka_transactor *transactor)
{
    transactor->rest_ms = MIN(MAX(transactor->rest_ms * 2, REST_MIN_MS), REST_MAX_MS);
    loop_timer_start(transactor->loop, &transactor->rest, transactor->rest_ms, on_rested, transactor);
}

static void fill(struct kafka_transactor *transactor)
{
    rd_kafka_topic_partition_list_t *offsets = transactor_fill(transactor);
    if (!offsets) {
        transactor_start(transactor, TRANSACTOR_ABORTING, TRANSACTION_ABORT);
        return;
    }
    transactor->phase = TRANSACTOR_ENDING;
    transactor->call =
        transaction_call_start(transactor->handle, TRANSACTION_END, offsets,
                               source_member(transactor->source), transactor_on_call, transactor);
}

static void on_ended(struct kafka_transactor *transactor, const struct transaction_call *call)
{
    transactor->stats.committed++;
    transactor->rest_ms = 0;
    calm(transactor);
    if (transactor->source)
        source_offsets_kept(transactor->source, call->offsets, &transactor->batch);
    transactor_batch_committed(transactor);
    transactor_be_idle(transactor);
}

static void on_aborted(struct kafka_transactor *transactor)
{
    bool has_too_large = false;
    if (list_is_empty(&transactor->batch)) /* nothing failed: there was nothing to send after all */
        transactor->rest_ms = 0;
    LIST_EACH(&transactor->batch, link)
    has_too_large |= LIST_OBJECT(link, struct kafka_delivery, in_queue)->is_too_large;
    transactor->stats.aborted++;
    transactor_batch_again(transactor);
    if (!has_too_large)
        rest(transactor);
    transactor_be_idle(transactor);
}

static void on_broken(struct kafka_transactor *transactor, const struct transaction_call *call)
{
    trouble(transactor, call, "kafka.transaction_broken");
    transactor_rebuild(transactor, call->text);
}

static void on_abortable(struct kafka_transactor *transactor, const struct transaction_call *call)
{
    trouble(transactor, call, "kafka.transaction_aborted");
    if (transactor->source && call->offsets)
        source_offsets_refused(transactor->source, call->offsets, call->code);
    transactor_start(transactor, TRANSACTOR_ABORTING, TRANSACTION_ABORT);
}

static void on_done(struct kafka_transactor *transactor, const struct transaction_call *call)
{
    switch (call->kind) {
    case TRANSACTION_INIT:
        calm(transactor);
        transactor_read_back(transactor);
        return;
    case TRANSACTION_BEGIN:
        fill(transactor);
        return;
    case TRANSACTION_END:
        on_ended(transactor, call);
        return;
    case TRANSACTION_ABORT:
        on_aborted(transactor);
        return;
    }
}

void transactor_on_call(void *arg, struct transaction_call *call)
{
    struct kafka_transactor *transactor = arg;
    transactor->call = NULL;
    switch (call->outcome) {
    case TRANSACTION_DONE:
        on_done(transactor, call);
        return;
    case TRANSACTION_AGAIN:
        trouble(transactor, call, "kafka.transactor_not_started");
        transactor_judge(transactor);
        transactor_init_later(transactor);
        return;
    case TRANSACTION_ABORTABLE:
        on_abortable(transactor, call);
        return;
    case TRANSACTION_BROKEN:
        on_broken(transactor, call);
        return;
    }
}

/* ---- events ---- */

static void end(struct kafka_transactor *transactor);

static void on_error(struct kafka_transactor *transactor, rd_kafka_event_t *event)
{
    handle_hear(transactor->handle, event);
    log_debug(&transactor->log, "kafka.error",
              LOG_TEXT("code", rd_kafka_err2name(rd_kafka_event_error(event))),
              LOG_TEXT("text", rd_kafka_event_error_string(event)));
    /* A call that is under way will say so itself. */
    if (rd_kafka_event_error_is_fatal(event) && !transactor->call)
        transactor_rebuild(transactor, rd_kafka_event_error_string(event));
}

static void on_event(struct kafka_transactor *transactor, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_DR:
        transactor_on_reports(transactor, event);
        break;
    case RD_KAFKA_EVENT_ERROR:
        on_error(transactor, event);
        break;
    case RD_KAFKA_EVENT_LOG:
        handle_log(transactor->handle, &transactor->log, event);
        break;
    default:
        break;
    }
}

static void on_wakeup(void *arg)
{
    struct kafka_transactor *transactor = arg;
    struct handle *handle = transactor->handle;
    rd_kafka_event_t *event;
    while (transactor->queue && transactor->handle == handle &&
           (event = rd_kafka_queue_poll(transactor->queue, 0))) {
        on_event(transactor, event);
        rd_kafka_event_destroy(event);
    }
    bool can_end = transactor->phase == TRANSACTOR_IDLE || transactor->phase == TRANSACTOR_STARTING ||
                   transactor->phase == TRANSACTOR_REBUILDING;
    if (transactor->is_closing && can_end && list_is_empty(&transactor->all))
        end(transactor);
}

static void on_tick(void *arg)
{
    struct kafka_transactor *transactor = arg;
    loop_timer_start(transactor->loop, &transactor->tick, TICK_MS, on_tick, transactor);
    transactor_judge(transactor);
    if (!list_is_empty(&transactor->gathered) && !timer_is_active(&transactor->interval))
        on_interval(transactor);
    on_wakeup(transactor);
}

/* ---- what the source says ---- */

void transactor_flush(struct kafka_transactor *transactor)
{
    transactor->is_wanted = true;
    on_interval(transactor);
}

bool transactor_settle(struct kafka_transactor *transactor)
{
    begin_if_needed(transactor);
    return transactor->phase == TRANSACTOR_BEGINNING || transactor->phase == TRANSACTOR_ENDING ||
           transactor->phase == TRANSACTOR_ABORTING;
}

void transactor_source_gone(struct kafka_transactor *transactor)
{
    transactor->source = NULL;
    transaction_call_cancel(transactor->call); /* what is late is fenced: the group has been left */
    if (transactor->phase == TRANSACTOR_STARTING || transactor->phase == TRANSACTOR_READING ||
        transactor->phase == TRANSACTOR_REBUILDING)
        transactor_batch_again(transactor);
    (void)transactor_sort(transactor);
}

void transactor_gathered(struct kafka_transactor *transactor)
{
    if (!transactor->source)
        (void)transactor_sort(transactor);
    else if (transactor->gathered_count >= TRANSACTOR_BATCH_MAX)
        on_interval(transactor);
    else if (!timer_is_active(&transactor->interval))
        loop_timer_start(transactor->loop, &transactor->interval, transactor->interval_ms, on_interval,
                         transactor);
}

/* ---- life cycle ---- */

static void transactor_free(void *object)
{
    struct kafka_transactor *transactor = object;
    rd_kafka_conf_destroy(transactor->conf);
    free(transactor);
}

static void set_up(struct kafka_transactor *transactor, const struct kafka_transactor_options *options)
{
    struct link *lists[] = {&transactor->all,    &transactor->gathered,  &transactor->alone,
                            &transactor->batch,  &transactor->committed, &transactor->disowned,
                            &transactor->refused};
    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++)
        list_init(lists[i]);
    transactor->loop = options->loop;
    transactor->log = options->log ? *options->log : (struct log){.level = LOG_LEVEL_NONE};
    transactor->arg = options->arg;
    transactor->on_state = options->on_state;
    transactor->interval_ms = options->interval_ms;
    transactor->source = options->source;
    (void)snprintf(transactor->why, sizeof transactor->why,
                   "Kafka's transaction coordinator has not answered yet");
}

struct kafka_transactor *kafka_transactor_new(const struct kafka_transactor_options *options,
                                              struct error *reterr)
{
    rd_kafka_conf_t *conf = transactor_conf(options, reterr);
    if (!conf)
        return NULL;
    struct kafka_transactor *transactor = base_alloc(sizeof *transactor);
    set_up(transactor, options);
    transactor->conf = conf;
    transactor->wakeup = loop_wakeup_new(transactor->loop, on_wakeup, transactor);
    if (!transactor_open(transactor, reterr)) {
        wakeup_close(transactor->wakeup);
        transactor_free(transactor);
        return NULL;
    }
    source_attach(transactor->source, transactor);
    loop_timer_start(transactor->loop, &transactor->tick, TICK_MS, on_tick, transactor);
    return transactor;
}

/* ---- closing ---- */

static void finish_closing(struct kafka_transactor *transactor)
{
    struct timer *timers[] = {&transactor->tick,     &transactor->rebuild, &transactor->again,
                              &transactor->interval, &transactor->rest,    &transactor->deadline};
    for (size_t i = 0; i < ARRAY_LENGTH(timers); i++)
        loop_timer_stop(transactor->loop, timers[i]);
    transactor_silence(transactor);
    wakeup_close(transactor->wakeup);
    void (*closed)(void *) = transactor->closed;
    void *arg = transactor->closed_arg;
    loop_reap(transactor->loop, transactor, transactor_free);
    if (closed)
        closed(arg);
}

static void on_last_destroyed(void *arg)
{
    finish_closing(arg);
}

/* A call that ignores its own deadline: its thread is left behind. */
static void on_end_late(void *arg)
{
    struct kafka_transactor *transactor = arg;
    log_warn(&transactor->log, "kafka.transactor_close_late");
    if (transactor->ending)
        transactor->ending->destroyed = NULL;
    finish_closing(transactor);
}

static void end(struct kafka_transactor *transactor)
{
    bool has_handle = transactor->handle != NULL;
    transactor->phase = TRANSACTOR_ENDED;
    loop_timer_stop(transactor->loop, &transactor->rebuild);
    loop_timer_start(transactor->loop, &transactor->deadline, CLOSE_LATE_MS, on_end_late, transactor);
    transactor_close_handle(transactor, on_last_destroyed);
    if (!has_handle)
        finish_closing(transactor);
}

static void on_grace_over(void *arg)
{
    struct kafka_transactor *transactor = arg;
    if (transactor->stats.waiting > 0)
        log_warn(&transactor->log, "kafka.transactor_closed_early",
                 LOG_INT("waiting", transactor->stats.waiting));
    end(transactor);
}

void kafka_transactor_close(struct kafka_transactor *transactor, int64_t grace_ms, void (*closed)(void *arg),
                            void *arg)
{
    if (!transactor)
        return;
    assert(!transactor->is_closing);
    transactor->is_closing = true;
    transactor->closed = closed;
    transactor->closed_arg = arg;
    if (transactor->source)
        source_attach(TAKE(transactor->source), NULL);
    (void)transactor_sort(transactor);
    loop_timer_start(transactor->loop, &transactor->deadline, grace_ms, on_grace_over, transactor);
    wakeup_send(transactor->wakeup);
}
