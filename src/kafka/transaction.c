/* Calls of the transactional producer that block, in a thread job. */
#include "kafka/transaction.h"

#include <stdlib.h>

/* One try; librdkafka goes on by itself in between, so a try that is over can be taken up again. */
enum { TRY_MS = 2000, INIT_TRY_MS = 5000 };

static enum transaction_outcome judge(struct transaction_call *call, rd_kafka_error_t *error)
{
    if (!error)
        return TRANSACTION_DONE;
    call->code = rd_kafka_error_code(error);
    base_copy_text(call->text, sizeof call->text, rd_kafka_error_string(error));
    enum transaction_outcome outcome = TRANSACTION_BROKEN;
    if (rd_kafka_error_txn_requires_abort(error))
        outcome = TRANSACTION_ABORTABLE;
    else if (rd_kafka_error_is_retriable(error) && !rd_kafka_error_is_fatal(error))
        outcome = TRANSACTION_AGAIN;
    rd_kafka_error_destroy(error);
    return outcome;
}

static enum transaction_outcome send_offsets(struct transaction_call *call)
{
    enum transaction_outcome outcome;
    do
        outcome = judge(call, rd_kafka_send_offsets_to_transaction(call->handle->rk, call->offsets,
                                                                   call->member, TRY_MS));
    while (outcome == TRANSACTION_AGAIN && !call->is_cancelled);
    /* Of what was not committed the end is known: there was none. */
    return outcome == TRANSACTION_AGAIN ? TRANSACTION_ABORTABLE : outcome;
}

static enum transaction_outcome commit(struct transaction_call *call)
{
    enum transaction_outcome outcome;
    do
        outcome = judge(call, rd_kafka_commit_transaction(call->handle->rk, TRY_MS));
    while (outcome == TRANSACTION_AGAIN && !call->is_cancelled);
    return outcome == TRANSACTION_AGAIN ? TRANSACTION_BROKEN : outcome;
}

static enum transaction_outcome end(struct transaction_call *call)
{
    enum transaction_outcome outcome = send_offsets(call);
    return outcome == TRANSACTION_DONE ? commit(call) : outcome;
}

static enum transaction_outcome undo(struct transaction_call *call)
{
    enum transaction_outcome outcome;
    do
        outcome = judge(call, rd_kafka_abort_transaction(call->handle->rk, TRY_MS));
    while (outcome == TRANSACTION_AGAIN && !call->is_cancelled);
    return outcome == TRANSACTION_DONE ? TRANSACTION_DONE : TRANSACTION_BROKEN;
}

static void on_thread(void *arg)
{
    struct transaction_call *call = arg;
    switch (call->kind) {
    case TRANSACTION_INIT:
        call->outcome = judge(call, rd_kafka_init_transactions(call->handle->rk, INIT_TRY_MS));
        break;
    case TRANSACTION_BEGIN:
        call->outcome = judge(call, rd_kafka_begin_transaction(call->handle->rk));
        if (call->outcome == TRANSACTION_AGAIN)
            call->outcome = TRANSACTION_BROKEN; /* it asks no broker: there is nothing to wait for */
        break;
    case TRANSACTION_END:
        call->outcome = end(call);
        break;
    case TRANSACTION_ABORT:
        call->outcome = undo(call);
        break;
    }
}

static void on_done(void *arg)
{
    struct transaction_call *call = arg;
    if (call->done)
        call->done(call->arg, call);
    handle_leave(call->handle);
    if (call->offsets)
        rd_kafka_topic_partition_list_destroy(call->offsets);
    if (call->member)
        rd_kafka_consumer_group_metadata_destroy(call->member);
    free(call);
}

struct transaction_call *transaction_call_start(struct handle *handle, enum transaction_step kind,
                                                rd_kafka_topic_partition_list_t *offsets,
                                                rd_kafka_consumer_group_metadata_t *member,
                                                void (*done)(void *arg, struct transaction_call *call),
                                                void *arg)
{
    struct transaction_call *call = base_alloc(sizeof *call);
    *call = (struct transaction_call){
        .handle = handle, .kind = kind, .offsets = offsets, .member = member, .done = done, .arg = arg};
    handle_enter(handle);
    loop_work(handle->loop, on_thread, on_done, call);
    return call;
}

void transaction_call_cancel(struct transaction_call *call)
{
    if (call)
        call->is_cancelled = true;
}

void transaction_call_forget(struct transaction_call *call)
{
    if (!call)
        return;
    call->done = NULL;
    call->is_cancelled = true;
}
