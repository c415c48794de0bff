/* dlq requeue: records of the dead-letter topic go back to where they came from. */
#include "dlq.h"

#include "codec/writer.h"
#include "kafka/sink.h"
#include "loop/on_uv.h"
#include "show.h"
#include "topic_list.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STALL_MS = 30000, /* a cluster that takes no record for so long is given up */
    CLOSE_MS = 2000,
};

/* One record on its way back. */
struct parcel {
    const struct dlq_entry *entry;
    struct dlq_way way;
    const char *why; /* it cannot go; NULL: it can */
    struct kafka_send send;
};

struct requeueing {
    struct loop *loop;
    const struct config *config;
    const struct dlq_options *options;
    struct arena arena; /* of the call */
    struct log log;
    struct parcel *parcels;
    size_t count, good, sent, failed; /* good: can go */
    size_t repeats;                   /* left out: the same record once more */
    struct kafka_sink *sink;
    struct signal_watch *interrupt, *terminate;
    struct timer stall;
    char why[500];
    bool is_closing;
    int status;
};

/* ---- choosing ---- */

static int by_origin(const void *one, const void *other)
{
    const struct parcel *a = one, *b = other;
    const struct dlq_record *x = &a->entry->record, *y = &b->entry->record;
    int order = strcmp(x->from_topic ? x->from_topic : "", y->from_topic ? y->from_topic : "");
    if (order != 0)
        return order;
    if (x->from_partition != y->from_partition)
        return x->from_partition < y->from_partition ? -1 : 1;
    if (x->from_offset != y->from_offset)
        return x->from_offset < y->from_offset ? -1 : 1;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static bool is_same_origin(const struct dlq_record *a, const struct dlq_record *b)
{
    return a->from_topic && b->from_topic && strcmp(a->from_topic, b->from_topic) == 0 &&
           a->from_offset >= 0 && a->from_partition == b->from_partition && a->from_offset == b->from_offset;
}

/* In the order of where they came from, so that a partition's records stay in theirs. A worker that died may
 * have brought a record here twice; it goes back once. */
static void choose(struct requeueing *requeueing, const struct dlq_list *list)
{
    struct parcel *parcels = requeueing->parcels =
        ARENA_ARRAY(&requeueing->arena, struct parcel, list->count + 1);
    for (size_t i = 0; i < list->count; i++)
        parcels[i].entry = list->items[i];
    qsort(parcels, list->count, sizeof *parcels, by_origin);
    for (size_t i = 0; i < list->count; i++) {
        struct parcel parcel = {.entry = parcels[i].entry};
        const struct dlq_record *record = &parcel.entry->record;
        if (requeueing->count > 0 && is_same_origin(&parcels[requeueing->count - 1].entry->record, record)) {
            requeueing->repeats++;
            continue;
        }
        if (dlq_way_back(record, requeueing->config, &requeueing->arena, &parcel.way, &parcel.why))
            parcel.why = NULL;
        requeueing->good += parcel.why == NULL;
        parcels[requeueing->count++] = parcel;
    }
}

/* ---- telling ---- */

static void print_text(const struct parcel *parcel, const char *verb, int64_t partition, int64_t offset)
{
    const struct dlq_record *record = &parcel->entry->record;
    CLEANUP(buffer_release) struct buffer line = {0};
    dlq_show_origin(record, &line);
    buffer_append_format(&line, " %s", verb);
    if (parcel->why)
        buffer_append_format(&line, ": %s", parcel->why);
    else
        buffer_append_format(&line, " to %s", parcel->way.topic);
    if (offset >= 0)
        buffer_append_format(&line, ", partition %lld, offset %lld", (long long)partition, (long long)offset);
    buffer_append_format(&line, " (%s", record->code ? record->code : "no code");
    if (record->job_id)
        buffer_append_format(&line, ", job %s", record->job_id);
    buffer_append_text(&line, ", ");
    show_size((int64_t)parcel->entry->value_bytes, &line);
    printf("%s)\n", line.data);
}

static void print_json(const struct parcel *parcel, const char *verb, int64_t partition, int64_t offset)
{
    const struct dlq_record *record = &parcel->entry->record;
    CLEANUP(buffer_release) struct buffer out = {0};
    struct writer writer = {.out = &out};
    writer_begin_object(&writer);
    writer_field_text(&writer, "done", verb);
    writer_field_text(&writer, "why_not", parcel->why);
    writer_field_text(&writer, "job_id", record->job_id);
    writer_field_text(&writer, "code", record->code);
    writer_field_int(&writer, "dlq_partition", record->partition);
    writer_field_int(&writer, "dlq_offset", record->offset);
    writer_field_text(&writer, "topic", parcel->why ? NULL : parcel->way.topic);
    writer_field_count(&writer, "partition", partition);
    writer_field_count(&writer, "offset", offset);
    writer_end_object(&writer);
    printf("%s\n", out.data);
}

static void print(const struct requeueing *requeueing, const struct parcel *parcel, const char *verb,
                  int64_t partition, int64_t offset)
{
    if (requeueing->options->is_json)
        print_json(parcel, verb, partition, offset);
    else
        print_text(parcel, verb, partition, offset);
}

static void print_all(const struct requeueing *requeueing, const char *verb, bool is_refused)
{
    for (size_t i = 0; i < requeueing->count; i++)
        if ((requeueing->parcels[i].why != NULL) == is_refused)
            print(requeueing, &requeueing->parcels[i], verb, -1, -1);
}

/* ---- sending ---- */

static void on_closed(void *arg)
{
    struct requeueing *requeueing = arg;
    signal_watch_close(requeueing->interrupt);
    signal_watch_close(requeueing->terminate);
    loop_stop(requeueing->loop);
}

static void finish(struct requeueing *requeueing, int status)
{
    if (requeueing->is_closing)
        return;
    requeueing->is_closing = true;
    requeueing->status = status;
    loop_timer_stop(requeueing->loop, &requeueing->stall);
    if (requeueing->sink)
        kafka_sink_close(TAKE(requeueing->sink), CLOSE_MS, on_closed, requeueing);
    else
        on_closed(requeueing);
}

static void on_signal(void *arg)
{
    struct requeueing *requeueing = arg;
    fprintf(stderr, "e2b-worker dlq: interrupted: %zu of %zu are known to be sent\n", requeueing->sent,
            requeueing->good);
    finish(requeueing, EXIT_INTERRUPTED);
}

static void on_stalled(void *arg)
{
    struct requeueing *requeueing = arg;
    fprintf(stderr, "e2b-worker dlq: Kafka at %s takes no more records: %s; %zu of %zu were sent\n",
            requeueing->config->kafka_bootstrap_servers,
            requeueing->why[0] ? requeueing->why : "it does not answer", requeueing->sent, requeueing->good);
    finish(requeueing, EXIT_UNAVAILABLE);
}

static void on_state(void *arg, bool is_usable, const char *why)
{
    struct requeueing *requeueing = arg;
    base_copy_text(requeueing->why, sizeof requeueing->why, is_usable ? "" : why);
}

static void on_sent(struct kafka_send *send, const struct error *error, int32_t partition, int64_t offset)
{
    struct requeueing *requeueing = send->arg;
    struct parcel *parcel = CONTAINER_OF(send, struct parcel, send);
    if (error) {
        parcel->why = arena_strdup(&requeueing->arena, error->text);
        requeueing->failed++;
        print(requeueing, parcel, "not sent", -1, -1);
    } else {
        requeueing->sent++;
        print(requeueing, parcel, "sent", partition, offset);
    }
    if (requeueing->sent + requeueing->failed == requeueing->good)
        finish(requeueing, EXIT_OK);
    else if (!requeueing->is_closing) /* interrupted: what is under way may arrive yet */
        loop_timer_start(requeueing->loop, &requeueing->stall, STALL_MS, on_stalled, requeueing);
}

static void send_one(struct requeueing *requeueing, struct parcel *parcel)
{
    const struct dlq_record *record = &parcel->entry->record;
    struct kafka_header *headers =
        ARENA_ARRAY(&requeueing->arena, struct kafka_header, parcel->way.header_count);
    for (size_t i = 0; i < parcel->way.header_count; i++)
        headers[i] = (struct kafka_header){parcel->way.headers[i].name, parcel->way.headers[i].value};
    const struct kafka_record out = {.topic = parcel->way.topic,
                                     .key = record->key,
                                     .value = record->value,
                                     .headers = headers,
                                     .header_count = parcel->way.header_count};
    parcel->send.arg = requeueing;
    kafka_sink_send(requeueing->sink, &parcel->send, &out, on_sent);
}

static void begin(struct requeueing *requeueing)
{
    struct error error;
    const struct kafka_sink_options options = {.loop = requeueing->loop,
                                               .log = &requeueing->log,
                                               .cluster = cluster_of(requeueing->config, &requeueing->arena),
                                               .client_id = "e2b-worker-dlq",
                                               .arg = requeueing,
                                               .on_state = on_state};
    requeueing->interrupt = loop_signal_new(requeueing->loop, SIGINT, on_signal, requeueing);
    requeueing->terminate = loop_signal_new(requeueing->loop, SIGTERM, on_signal, requeueing);
    requeueing->sink = kafka_sink_new(&options, &error);
    if (!requeueing->sink) {
        fprintf(stderr, "e2b-worker dlq: %s\n", error.text);
        finish(requeueing, EXIT_CONFIG);
        return;
    }
    loop_timer_start(requeueing->loop, &requeueing->stall, STALL_MS, on_stalled, requeueing);
    for (size_t i = 0; i < requeueing->count; i++)
        if (!requeueing->parcels[i].why)
            send_one(requeueing, &requeueing->parcels[i]);
}

static void send_all(struct requeueing *requeueing)
{
    requeueing->loop = loop_new();
    begin(requeueing);
    loop_run(requeueing->loop);
    loop_free(requeueing->loop, NULL, NULL);
}

/* ---- the whole ---- */

static bool is_agreed(const struct requeueing *requeueing)
{
    if (requeueing->good <= 1 || requeueing->options->is_sure)
        return true;
    char answer[16] = "";
    print_all(requeueing, "would go", /* is_refused= */ false);
    (void)fflush(stdout);
    fprintf(stderr, "requeue %zu records? [y/N] ", requeueing->good);
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return true;
    fprintf(stderr, "nothing was requeued; --yes does it without asking\n");
    return false;
}

/* Returns: false after saying what is wrong. */
static bool check(const struct requeueing *requeueing, const struct dlq_list *list)
{
    const char *topic = requeueing->config->topics.dlq;
    if (list->is_over_budget)
        fprintf(stderr,
                "e2b-worker dlq: these records are larger than %d MiB together: narrow them by --code, "
                "--topic or "
                "--since; nothing was requeued\n",
                DLQ_BYTES_MAX >> 20);
    else if (list->count == 0)
        fprintf(stderr, "e2b-worker dlq: no such record in %s\n", topic);
    return !list->is_over_budget && list->count > 0;
}

static int work(struct requeueing *requeueing, const struct dlq_list *list)
{
    if (!check(requeueing, list))
        return EXIT_FAILED;
    choose(requeueing, list);
    if (requeueing->repeats > 0)
        fprintf(stderr, "e2b-worker dlq: %zu are the same records once more, and are left out\n",
                requeueing->repeats);
    size_t refused = requeueing->count - requeueing->good;
    print_all(requeueing, "stays", /* is_refused= */ true);
    if (requeueing->options->is_dry_run) {
        print_all(requeueing, "would go", /* is_refused= */ false);
        return refused > 0 ? EXIT_FAILED : EXIT_OK;
    }
    if (requeueing->good == 0 || !is_agreed(requeueing))
        return EXIT_FAILED;
    send_all(requeueing);
    fprintf(stderr, "e2b-worker dlq: %zu requeued, %zu not\n", requeueing->sent,
            requeueing->count - requeueing->sent);
    bool is_whole = requeueing->sent == requeueing->count && fflush(stdout) == 0;
    return requeueing->status == EXIT_OK && !is_whole ? EXIT_FAILED : requeueing->status;
}

int dlq_requeue(const struct config *config, const struct dlq_options *options)
{
    struct dlq_list list;
    struct requeueing requeueing = {
        .config = config, .options = options, .log = {.level = LOG_LEVEL_ERROR, .component = "dlq"}};
    int status = dlq_read(config, &options->wish, &list);
    if (status == EXIT_OK)
        status = work(&requeueing, &list);
    arena_release(&requeueing.arena);
    dlq_list_release(&list);
    return status;
}
