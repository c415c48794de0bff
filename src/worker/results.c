/* Sink and transactor as one part of the worker. */
#include "worker/results.h"

#include "worker/observe.h"

#include <stdio.h>
#include <string.h>

enum {
    SINK_GRACE_MS = 30000,      /* for records that somebody waits for */
    POSTS_GRACE_MS = 1000,      /* for events that nobody does, where Kafka takes any */
    TRANSACTOR_GRACE_MS = 5000, /* nobody waits any more: it only lets go of its connections */
};

bool results_are_transactional(const struct worker *worker)
{
    return worker->transactor != NULL;
}

const char *results_why(const struct worker *worker)
{
    if (!worker->sink_is_usable)
        return worker->sink_why;
    return worker->transactor && !worker->transactor_is_usable ? worker->transactor_why : "";
}

bool results_has_room(const struct worker *worker)
{
    return kafka_sink_has_room(worker->sink) &&
           (!worker->transactor || kafka_transactor_has_room(worker->transactor));
}

static void tell(struct worker *worker)
{
    const char *why = results_why(worker);
    observe_state(worker, PART_KAFKA_RESULTS, *why == '\0', why);
    worker_poke(worker);
}

static void on_sink_state(void *arg, bool is_usable, const char *why)
{
    struct worker *worker = arg;
    worker->sink_is_usable = is_usable;
    base_copy_text(worker->sink_why, sizeof worker->sink_why, why);
    tell(worker);
}

static void on_transactor_state(void *arg, bool is_usable, const char *why)
{
    struct worker *worker = arg;
    worker->transactor_is_usable = is_usable;
    base_copy_text(worker->transactor_why, sizeof worker->transactor_why, why);
    tell(worker);
}

/* ---- beginning ---- */

bool results_open_sink(struct worker *worker, struct error *reterr)
{
    const struct config *config = worker->config;
    const char *const topics[] = {config->topics.results, config->topics.dlq, worker->intake.retry_topics[0],
                                  worker->intake.retry_topics[1], worker->intake.retry_topics[2]};
    const struct kafka_sink_options options = {.loop = worker->loop,
                                               .log = &worker->kafka_log,
                                               .cluster = worker_cluster(worker),
                                               .client_id = config->worker_name,
                                               .topics = topics,
                                               .topic_count = ARRAY_LENGTH(topics),
                                               .arg = worker,
                                               .on_state = on_sink_state};
    worker->sink = kafka_sink_new(&options, reterr);
    return worker->sink != NULL;
}

/* The group's name stands first, so that one rule permits all workers of a deployment; the incarnation last:
 * two processes under one id would fence each other off. */
bool results_open_transactor(struct worker *worker, struct error *reterr)
{
    const struct config *config = worker->config;
    if (strcmp(config->results_delivery, "transactional") != 0)
        return true;
    CLEANUP(base_freep)
    char *id = base_printf("%s.%s", config->kafka_group_id, ledger_worker(worker->ledger));
    const struct kafka_transactor_options options = {.loop = worker->loop,
                                                     .log = &worker->kafka_log,
                                                     .cluster = worker_cluster(worker),
                                                     .client_id = config->worker_name,
                                                     .transactional_id = id,
                                                     .source = worker->source,
                                                     .interval_ms = config->results_transaction_ms,
                                                     .arg = worker,
                                                     .on_state = on_transactor_state};
    (void)snprintf(worker->transactor_why, sizeof worker->transactor_why,
                   "Kafka's transaction coordinator has not answered yet");
    worker->transactor = kafka_transactor_new(&options, reterr);
    return worker->transactor != NULL;
}

/* ---- use ---- */

void results_send(struct worker *worker, struct kafka_send *send, const struct kafka_record *record,
                  const struct kafka_place *place, kafka_sent_fn sent)
{
    if (worker->transactor)
        kafka_transactor_send(worker->transactor, send, record, place, sent);
    else
        kafka_sink_send(worker->sink, send, record, sent);
}

/* ---- closing ---- */

static void on_sink_closed(void *arg)
{
    struct worker *worker = arg;
    worker->sink = NULL;
    worker->results_closed(worker);
}

static int64_t sink_grace_ms(const struct worker *worker)
{
    struct kafka_sink_stats stats;
    kafka_sink_stats(worker->sink, &stats);
    if (stats.waiting > 0)
        return SINK_GRACE_MS;
    return worker->sink_is_usable ? POSTS_GRACE_MS : 0;
}

static void on_transactor_closed(void *arg)
{
    struct worker *worker = arg;
    worker->transactor = NULL;
    if (worker->sink)
        kafka_sink_close(worker->sink, sink_grace_ms(worker), on_sink_closed, worker);
    else
        on_sink_closed(worker);
}

void results_close(struct worker *worker, void (*closed)(void *arg))
{
    worker->results_closed = closed;
    if (worker->transactor)
        kafka_transactor_close(worker->transactor, TRANSACTOR_GRACE_MS, on_transactor_closed, worker);
    else
        on_transactor_closed(worker);
}
