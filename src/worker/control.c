/* Orders over the control topic. */
#include "worker/control.h"

#include "codec/control.h"
#include "worker/divert.h"
#include "worker/observe.h"

#include <stdlib.h>
#include <string.h>

enum {
    WAITING_MAX = 1024, /* for the ledger's answer */
    HEADERS_MAX = 64,
    AGAIN_MS = 1000,
    CANCEL_MS = 24 * 3600 * 1000, /* a job that nobody knows yet may come so much later */
};

struct order {
    struct link link; /* worker->orders */
    struct worker *worker;
    struct ledger_call call;
    struct timer timer;
    char *key; /* "<tenant>/<job id>" */
    char *topic;
    int32_t partition;
    int64_t offset;
};

static void order_free(void *object)
{
    struct order *order = object;
    free(order->key);
    free(order->topic);
    free(order);
}

static void end(struct order *order)
{
    struct worker *worker = order->worker;
    ledger_call_cancel(worker->ledger, &order->call);
    loop_timer_stop(worker->loop, &order->timer);
    link_remove(&order->link);
    worker->order_count--;
    loop_reap(worker->loop, order, order_free);
    worker_poke(worker);
}

static void ask(void *arg);

static void on_answer(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct order *order = call->arg;
    struct worker *worker = order->worker;
    if (error || answer == LEDGER_NOT_NOW) {
        loop_timer_start(worker->loop, &order->timer, random_jitter_ms(worker->random, AGAIN_MS), ask, order);
        return;
    }
    observe_cancel(worker, order->key, /* is_late= */ answer != LEDGER_OK);
    if (worker->source)
        kafka_source_finish(worker->source, order->topic, order->partition, order->offset);
    end(order);
}

static void ask(void *arg)
{
    struct order *order = arg;
    ledger_cancel(order->worker->ledger, &order->call, order->key, CANCEL_MS, on_answer);
}

static void begin(struct worker *worker, const struct kafka_message *message, const struct control *control)
{
    struct order *order = base_alloc(sizeof *order);
    order->worker = worker;
    order->call.arg = order;
    order->key = base_printf("%s/%s", control->tenant_id, control->job_id);
    order->topic = base_strdup(message->topic);
    order->partition = message->partition;
    order->offset = message->offset;
    list_push_back(&worker->orders, &order->link);
    worker->order_count++;
    ask(order);
}

void control_begin(struct worker *worker, const struct kafka_message *message)
{
    struct header headers[HEADERS_MAX];
    struct control control;
    struct error error;
    struct arena arena = {0};
    size_t count = MIN(message->header_count, ARRAY_LENGTH(headers));
    for (size_t i = 0; i < count; i++)
        headers[i] = (struct header){message->headers[i].name, message->headers[i].value};
    if (control_decode(headers, count, message->value, &arena, &control, &error))
        begin(worker, message, &control);
    else
        divert_record(worker, message, "INVALID_CONTROL", error.text);
    arena_release(&arena);
}

bool control_has_room(const struct worker *worker)
{
    return worker->phase == WORKER_RUNNING && ledger_state(worker->ledger) != LEDGER_CONNECTING &&
           worker->order_count < WAITING_MAX;
}

void control_forget(struct worker *worker, const char *topic, int32_t partition)
{
    LIST_EACH(&worker->orders, link)
    {
        struct order *order = LIST_OBJECT(link, struct order, link);
        if (!topic || (order->partition == partition && strcmp(order->topic, topic) == 0))
            end(order);
    }
}
