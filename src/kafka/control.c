/* Calls of the transactional producer that block, in a thread job. */
#include "kafka/control.h"

#include <stdio.h>
#include <stdlib.h>

/* One try; librdkafka goes on by itself in between, so a try that is over can be taken up again. */
enum { TRY_MS = 2000, INIT_TRY_MS = 5000 };

static enum control_outcome judge(struct control *control, rd_kafka_error_t *error)
{
    if (!error)
        return CONTROL_DONE;
    control->code = rd_kafka_error_code(error);
    (void)snprintf(control->text, sizeof control->text, "%s", rd_kafka_error_string(error));
    enum control_outcome outcome = CONTROL_BROKEN;
    if (rd_kafka_error_txn_requires_abort(error))
        outcome = CONTROL_ABORTABLE;
    else if (rd_kafka_error_is_retriable(error) && !rd_kafka_error_is_fatal(error))
        outcome = CONTROL_AGAIN;
    rd_kafka_error_destroy(error);
    return outcome;
}

static enum control_outcome send_offsets(struct control *control)
{
    enum control_outcome outcome;
    do
        outcome = judge(control, rd_kafka_send_offsets_to_transaction(control->handle->rk, control->offsets,
                                                                      control->member, TRY_MS));
    while (outcome == CONTROL_AGAIN && !control->is_cancelled);
    /* Of what was not committed the end is known: there was none. */
    return outcome == CONTROL_AGAIN ? CONTROL_ABORTABLE : outcome;
}

static enum control_outcome commit(struct control *control)
{
    enum control_outcome outcome;
    do
        outcome = judge(control, rd_kafka_commit_transaction(control->handle->rk, TRY_MS));
    while (outcome == CONTROL_AGAIN && !control->is_cancelled);
    return outcome == CONTROL_AGAIN ? CONTROL_BROKEN : outcome;
}

static enum control_outcome end(struct control *control)
{
    enum control_outcome outcome = send_offsets(control);
    return outcome == CONTROL_DONE ? commit(control) : outcome;
}

static enum control_outcome undo(struct control *control)
{
    enum control_outcome outcome;
    do
        outcome = judge(control, rd_kafka_abort_transaction(control->handle->rk, TRY_MS));
    while (outcome == CONTROL_AGAIN && !control->is_cancelled);
    return outcome == CONTROL_DONE ? CONTROL_DONE : CONTROL_BROKEN;
}

static void on_thread(void *arg)
{
    struct control *control = arg;
    switch (control->kind) {
    case CONTROL_INIT:
        control->outcome = judge(control, rd_kafka_init_transactions(control->handle->rk, INIT_TRY_MS));
        break;
    case CONTROL_BEGIN:
        control->outcome = judge(control, rd_kafka_begin_transaction(control->handle->rk));
        if (control->outcome == CONTROL_AGAIN)
            control->outcome = CONTROL_BROKEN; /* it asks no broker: there is nothing to wait for */
        break;
    case CONTROL_END:
        control->outcome = end(control);
        break;
    case CONTROL_ABORT:
        control->outcome = undo(control);
        break;
    }
}

static void on_done(void *arg)
{
    struct control *control = arg;
    if (control->done)
        control->done(control->arg, control);
    handle_leave(control->handle);
    if (control->offsets)
        rd_kafka_topic_partition_list_destroy(control->offsets);
    if (control->member)
        rd_kafka_consumer_group_metadata_destroy(control->member);
    free(control);
}

struct control *control_start(struct handle *handle, enum control_kind kind,
                              rd_kafka_topic_partition_list_t *offsets,
                              rd_kafka_consumer_group_metadata_t *member,
                              void (*done)(void *arg, struct control *control), void *arg)
{
    struct control *control = base_alloc(sizeof *control);
    *control = (struct control){
        .handle = handle, .kind = kind, .offsets = offsets, .member = member, .done = done, .arg = arg};
    handle_enter(handle);
    loop_work(handle->loop, on_thread, on_done, control);
    return control;
}

void control_cancel(struct control *control)
{
    if (control)
        control->is_cancelled = true;
}

void control_forget(struct control *control)
{
    if (!control)
        return;
    control->done = NULL;
    control->is_cancelled = true;
}
