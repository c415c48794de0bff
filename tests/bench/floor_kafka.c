/* The floor of a job's Kafka part: takes jobs, sends each one's value to the results topic, and commits once
 * a second what was delivered. Runs in a worker's place: its words are in the environment, SIGTERM or SIGINT
 * ends it. Prints one JSON line then; exit code 1 when a result or the last offsets could not be delivered.
 *
 *   KAFKA_BOOTSTRAP=HOST:PORT KAFKA_GROUP=NAME JOBS_TOPIC=NAME|^REGEX RESULTS_TOPIC=NAME floor_kafka
 *
 * LINGER_MS (0) is the producer's linger.ms.
 *
 * It promises what a worker promises of Kafka: acks=all, no result twice by a retry (idempotence), nothing is
 * committed that stands behind a result that is not delivered. A payload is never copied: a consumed message
 * is kept, and its memory sent, until the result's delivery is reported.
 *
 * One alone keeps its partitions. librdkafka before 2.10 loses them all when a commit meets a cooperative
 * rebalance; then some results come twice. */
#include "usage.h"

#include <librdkafka/rdkafka.h>
#include <signal.h>

enum {
    BATCH = 512,
    WAIT_MS = 100, /* for a first message; as long may a stop and a delivery report wait when nothing comes */
    FULL_MS = 10,
    FLUSH_MS = 10000,
    ERRORS_SHOWN = 5,
};

/* A job whose result is under way. */
struct flight {
    struct flight *next; /* by offset in the place's list, or the next free one */
    struct place *place;
    rd_kafka_message_t *message;
    int64_t offset;
    bool is_delivered;
};

/* A partition that is or was ours. */
struct place {
    struct place *next;
    char *topic;
    int32_t partition;
    bool is_ours;
    int64_t delivered, committed; /* the offset behind the last one; -1: none yet */
    struct flight *first, *last;
};

struct bench {
    rd_kafka_t *producer, *consumer;
    rd_kafka_topic_t *results;
    rd_kafka_queue_t *queue;
    struct place *places, *recent; /* recent: of the last message; messages come in runs of one partition */
    struct flight *free;
    long delivered, failed, in_flight, complaints;
    time_t committed_at;
};

static volatile sig_atomic_t is_over;

static void on_signal(int number)
{
    (void)number;
    is_over = 1;
}

static void complain(struct bench *bench, const char *what, const char *why)
{
    if (bench->complaints++ < ERRORS_SHOWN)
        fprintf(stderr, "floor_kafka: %s: %s\n", what, why);
}

static void *alloc_zeroed(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory)
        abort();
    return memory;
}

/* ---- Places and flights ---- */

static struct place *place_find(struct bench *bench, const char *topic, int32_t partition)
{
    struct place *place = bench->recent;
    if (place && place->partition == partition && !strcmp(place->topic, topic))
        return place;
    for (place = bench->places; place; place = place->next)
        if (place->partition == partition && !strcmp(place->topic, topic))
            break;
    bench->recent = place;
    return place;
}

static void place_take(struct bench *bench, const char *topic, int32_t partition)
{
    struct place *place = place_find(bench, topic, partition);
    if (!place) {
        place = alloc_zeroed(sizeof *place);
        place->topic = strdup(topic);
        place->partition = partition;
        place->next = bench->places;
        bench->places = place;
    }
    place->is_ours = true;
    place->delivered = place->committed = -1;
}

static struct flight *flight_new(struct bench *bench, struct place *place, rd_kafka_message_t *message)
{
    struct flight *flight = bench->free;
    if (flight)
        bench->free = flight->next;
    else
        flight = alloc_zeroed(sizeof *flight);
    *flight = (struct flight){.place = place, .message = message, .offset = message->offset};
    if (place->first)
        place->last->next = flight;
    else
        place->first = flight;
    place->last = flight;
    bench->in_flight++;
    return flight;
}

/* Results are delivered in any order; offsets count only up to the first job whose result is not. */
static void place_advance(struct bench *bench, struct place *place)
{
    struct flight *flight;
    while ((flight = place->first) && flight->is_delivered) {
        place->delivered = flight->offset + 1;
        place->first = flight->next;
        flight->next = bench->free;
        bench->free = flight;
    }
}

/* ---- Results ---- */

static void fail(struct bench *bench, const char *why)
{
    complain(bench, "a result was not delivered", why);
    bench->failed++;
    is_over = 1; /* nothing behind it would ever be committed */
}

static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *report, void *arg)
{
    struct bench *bench = arg;
    struct flight *flight = report->_private;
    (void)producer;
    rd_kafka_message_destroy(flight->message);
    flight->message = NULL;
    bench->in_flight--;
    if (report->err) {
        fail(bench, rd_kafka_err2str(report->err));
        return;
    }
    bench->delivered++;
    flight->is_delivered = true;
    if (flight == flight->place->first)
        place_advance(bench, flight->place);
}

/* Those that the producer has no room for come to the front again. */
static int keep_refused(struct bench *bench, rd_kafka_message_t *results, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++) {
        if (results[i].err == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            results[kept++] = results[i];
        } else if (results[i].err) {
            struct flight *flight = results[i]._private;
            rd_kafka_message_destroy(flight->message);
            flight->message = NULL;
            bench->in_flight--;
            fail(bench, rd_kafka_err2str(results[i].err));
        }
    }
    return kept;
}

static void send_results(struct bench *bench, rd_kafka_message_t *results, int count)
{
    while (count > 0) {
        int sent =
            rd_kafka_produce_batch(bench->results, RD_KAFKA_PARTITION_UA, /* msgflags= */ 0, results, count);
        count = sent == count ? 0 : keep_refused(bench, results, count);
        if (count > 0)
            rd_kafka_poll(bench->producer, FULL_MS);
    }
}

/* ---- Jobs ---- */

static void take_jobs(struct bench *bench)
{
    rd_kafka_message_t *jobs[BATCH], results[BATCH];
    int taken = 0;
    /* A batch call waits for a full batch: so one message is waited for, and what else is there comes too. */
    jobs[0] = rd_kafka_consume_queue(bench->queue, WAIT_MS);
    if (!jobs[0]) {
        rd_kafka_poll(bench->producer, 0);
        return;
    }
    ssize_t more = rd_kafka_consume_batch_queue(bench->queue, 0, jobs + 1, BATCH - 1);
    ssize_t count = 1 + (more > 0 ? more : 0);
    for (ssize_t i = 0; i < count; i++) {
        rd_kafka_message_t *job = jobs[i];
        struct place *place =
            job->err ? NULL : place_find(bench, rd_kafka_topic_name(job->rkt), job->partition);
        if (job->err)
            complain(bench, "no job", rd_kafka_message_errstr(job));
        if (place && place->is_ours)
            results[taken++] = (rd_kafka_message_t){.payload = job->payload,
                                                    .len = job->len,
                                                    .key = job->key,
                                                    .key_len = job->key_len,
                                                    ._private = flight_new(bench, place, job)};
        else
            rd_kafka_message_destroy(job); /* its partition left us while the batch was taken */
    }
    send_results(bench, results, taken);
    rd_kafka_poll(bench->producer, 0);
}

/* ---- Offsets ---- */

/* What the group has not taken, is committed again with the next. */
static void on_committed(rd_kafka_t *consumer, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *offsets, void *arg)
{
    struct bench *bench = arg;
    (void)consumer;
    if (code)
        complain(bench, "offsets were not committed", rd_kafka_err2str(code));
    for (int i = 0; !code && i < offsets->cnt; i++) {
        const rd_kafka_topic_partition_t *offset = &offsets->elems[i];
        struct place *place = place_find(bench, offset->topic, offset->partition);
        if (place && !offset->err && offset->offset > place->committed)
            place->committed = offset->offset;
    }
}

static rd_kafka_topic_partition_list_t *uncommitted(const struct bench *bench)
{
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(8);
    for (const struct place *place = bench->places; place; place = place->next)
        if (place->is_ours && place->delivered > place->committed)
            rd_kafka_topic_partition_list_add(offsets, place->topic, place->partition)->offset =
                place->delivered;
    return offsets;
}

static void commit_and_wait(struct bench *bench)
{
    rd_kafka_topic_partition_list_t *offsets = uncommitted(bench);
    if (offsets->cnt > 0) {
        rd_kafka_resp_err_t code = rd_kafka_commit(bench->consumer, offsets, /* async= */ 0);
        on_committed(bench->consumer, code, offsets, bench);
        if (code)
            bench->failed++;
    }
    rd_kafka_topic_partition_list_destroy(offsets);
}

static void commit_each_second(struct bench *bench)
{
    time_t now = time(NULL);
    if (now == bench->committed_at)
        return;
    bench->committed_at = now;
    rd_kafka_topic_partition_list_t *offsets = uncommitted(bench);
    if (offsets->cnt > 0)
        rd_kafka_commit(bench->consumer, offsets, /* async= */ 1);
    rd_kafka_topic_partition_list_destroy(offsets);
}

/* What is under way for partitions that go is delivered and committed first, so that the next owner does not
 * repeat it. All ends come here: closing the consumer gives all partitions up. */
static void give_up(struct bench *bench, const rd_kafka_topic_partition_list_t *partitions)
{
    if (rd_kafka_flush(bench->producer, FLUSH_MS)) {
        rd_kafka_purge(bench->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(bench->producer, FULL_MS);
    }
    if (!rd_kafka_assignment_lost(bench->consumer))
        commit_and_wait(bench);
    for (int i = 0; i < partitions->cnt; i++) {
        struct place *place = place_find(bench, partitions->elems[i].topic, partitions->elems[i].partition);
        if (place)
            place->is_ours = false;
    }
}

static void on_rebalance(rd_kafka_t *consumer, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *partitions, void *arg)
{
    struct bench *bench = arg;
    rd_kafka_error_t *error;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        for (int i = 0; i < partitions->cnt; i++)
            place_take(bench, partitions->elems[i].topic, partitions->elems[i].partition);
        error = rd_kafka_incremental_assign(consumer, partitions);
    } else {
        give_up(bench, partitions);
        error = rd_kafka_incremental_unassign(consumer, partitions);
    }
    if (error)
        complain(bench, "rebalance", rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
}

/* ---- Clients ---- */

struct property {
    const char *name, *value;
};

/* Ends the program when a value is wrong. */
static rd_kafka_t *client_new(struct bench *bench, rd_kafka_type_t type, const struct property *properties)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_opaque(conf, bench);
    if (type == RD_KAFKA_PRODUCER) {
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    } else {
        rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
        rd_kafka_conf_set_offset_commit_cb(conf, on_committed);
    }
    for (const struct property *property = properties; property->name; property++)
        if (rd_kafka_conf_set(conf, property->name, property->value, why, sizeof why) != RD_KAFKA_CONF_OK) {
            fprintf(stderr, "floor_kafka: %s\n", why);
            exit(2);
        }
    rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof why);
    if (!client) {
        fprintf(stderr, "floor_kafka: %s\n", why);
        exit(2);
    }
    return client;
}

static void open_clients(struct bench *bench)
{
    const char *bootstrap = getenv("KAFKA_BOOTSTRAP"), *linger_ms = getenv("LINGER_MS");
    bench->producer = client_new(bench, RD_KAFKA_PRODUCER,
                                 (struct property[]){{"bootstrap.servers", bootstrap},
                                                     {"enable.idempotence", "true"},
                                                     {"acks", "all"},
                                                     {"linger.ms", linger_ms && *linger_ms ? linger_ms : "0"},
                                                     {"socket.nagle.disable", "true"},
                                                     {NULL, NULL}});
    bench->consumer = client_new(bench, RD_KAFKA_CONSUMER,
                                 (struct property[]){{"bootstrap.servers", bootstrap},
                                                     {"group.id", getenv("KAFKA_GROUP")},
                                                     {"enable.auto.commit", "false"},
                                                     {"enable.auto.offset.store", "false"},
                                                     {"auto.offset.reset", "earliest"},
                                                     {"partition.assignment.strategy", "cooperative-sticky"},
                                                     {"socket.nagle.disable", "true"},
                                                     {NULL, NULL}});
    bench->results = rd_kafka_topic_new(bench->producer, getenv("RESULTS_TOPIC"), NULL);
    rd_kafka_poll_set_consumer(bench->consumer);
    bench->queue = rd_kafka_queue_get_consumer(bench->consumer);
}

static bool subscribe(struct bench *bench)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, getenv("JOBS_TOPIC"), RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(bench->consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (code)
        complain(bench, "no subscription", rd_kafka_err2str(code));
    return code == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void close_clients(struct bench *bench)
{
    rd_kafka_resp_err_t code = rd_kafka_consumer_close(bench->consumer);
    if (code)
        complain(bench, "close", rd_kafka_err2str(code));
    bench->failed += bench->in_flight;
    rd_kafka_queue_destroy(bench->queue);
    rd_kafka_topic_destroy(bench->results);
    rd_kafka_destroy(bench->producer);
    rd_kafka_destroy(bench->consumer);
}

static void free_places(struct bench *bench)
{
    struct place *place;
    struct flight *flight;
    while ((place = bench->places)) {
        bench->places = place->next;
        while ((flight = place->first)) {
            place->first = flight->next;
            free(flight);
        }
        free(place->topic);
        free(place);
    }
    while ((flight = bench->free)) {
        bench->free = flight->next;
        free(flight);
    }
}

static bool has_all_words(void)
{
    static const char *const names[] = {"KAFKA_BOOTSTRAP", "KAFKA_GROUP", "JOBS_TOPIC", "RESULTS_TOPIC"};
    bool has_all = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (!value || !*value)
            has_all = false;
    }
    return has_all;
}

int main(int argc, char **argv)
{
    struct bench bench = {0};
    (void)argv;
    if (argc != 1 || !has_all_words()) {
        fprintf(
            stderr,
            "usage: KAFKA_BOOTSTRAP=HOST:PORT KAFKA_GROUP=NAME JOBS_TOPIC=NAME|^REGEX RESULTS_TOPIC=NAME \\\n"
            "       [LINGER_MS=0] floor_kafka\n"
            "Sends the value of every job on as its result, until SIGTERM. Prints one JSON line then.\n");
        return 2;
    }
    (void)signal(SIGTERM, on_signal);
    (void)signal(SIGINT, on_signal);
    open_clients(&bench);
    if (subscribe(&bench))
        while (!is_over) {
            take_jobs(&bench);
            commit_each_second(&bench);
        }
    else
        bench.failed++;
    close_clients(&bench);
    free_places(&bench);
    struct usage used = usage_now();
    printf("{\"name\":\"floor_kafka\",\"delivered\":%ld,\"failed\":%ld,\"user_s\":%.3f,\"system_s\":%.3f,"
           "\"cpu_s\":%.3f}\n",
           bench.delivered, bench.failed, used.user_s, used.system_s, used.user_s + used.system_s);
    return bench.failed ? 1 : 0;
}
