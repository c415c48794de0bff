/* Records on their way to the DLQ. */
#include "worker/divert.h"

#include "codec/envelope.h"
#include "worker/observe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAUSE_HEADERS = 5, HEADERS_MAX = 64 };

struct diversion {
    struct link link; /* worker->diversions */
    struct worker *worker;
    struct kafka_send send;
    struct buffer raw, key;
    struct arena arena; /* what is unpacked of raw */
    char *topic;
    int32_t partition;
    int64_t offset;
};

static struct kafka_header text_header(const char *name, const char *text)
{
    return (struct kafka_header){name, {text, strlen(text)}};
}

bool divert_send(struct worker *worker, struct kafka_send *send, struct arena *arena, struct bytes raw,
                 struct bytes key, const struct divert_cause *cause, kafka_sent_fn sent)
{
    struct header headers[HEADERS_MAX];
    struct bytes value;
    size_t count = 0;
    bool is_there =
        raw.length > 0 && record_unpack(raw, headers, ARRAY_LENGTH(headers), arena, &count, &value, NULL);
    if (is_there) {
        struct kafka_header copies[HEADERS_MAX + CAUSE_HEADERS];
        for (size_t i = 0; i < count; i++)
            copies[i] = (struct kafka_header){headers[i].name, headers[i].value};
        char partition[16], offset[24];
        (void)snprintf(partition, sizeof partition, "%d", cause->partition);
        (void)snprintf(offset, sizeof offset, "%lld", (long long)cause->offset);
        copies[count++] = text_header("__connect.errors.topic", cause->topic);
        copies[count++] = text_header("__connect.errors.partition", partition);
        copies[count++] = text_header("__connect.errors.offset", offset);
        copies[count++] = text_header("__connect.errors.exception.class.name", cause->code);
        copies[count++] = text_header("__connect.errors.exception.message", cause->message);
        const struct kafka_record record = {.topic = worker->config->topics.dlq,
                                            .key = key,
                                            .value = cause->without_value ? (struct bytes){0} : value,
                                            .headers = copies,
                                            .header_count = count};
        kafka_sink_send(worker->sink, send, &record, sent);
        observe_diverted(worker, cause->topic, cause->partition, cause->offset, cause->code, cause->message);
    }
    return is_there;
}

static void free_diversion(void *object)
{
    struct diversion *diversion = object;
    buffer_release(&diversion->raw);
    arena_release(&diversion->arena);
    buffer_release(&diversion->key);
    free(diversion->topic);
    free(diversion);
}

/* A record that the DLQ cannot take either (too large for the broker) is finished too: it could never become
 * a job, and the log names it. */
static void on_sent(struct kafka_send *send, const struct error *error, int32_t partition, int64_t offset)
{
    (void)partition, (void)offset;
    struct diversion *diversion = send->arg;
    struct worker *worker = diversion->worker;
    if (error)
        log_error(&worker->log, "dlq.refused", LOG_TEXT("topic", diversion->topic),
                  LOG_INT("partition", diversion->partition), LOG_INT("offset", diversion->offset),
                  LOG_TEXT("error", error->text));
    if (worker->source)
        kafka_source_finish(worker->source, diversion->topic, diversion->partition, diversion->offset);
    link_remove(&diversion->link);
    worker->diversion_count--;
    loop_reap(worker->loop, diversion, free_diversion);
    worker_ended(worker);
}

void divert_record(struct worker *worker, const struct kafka_message *message, const char *code,
                   const char *text)
{
    struct diversion *diversion = base_alloc(sizeof *diversion);
    diversion->worker = worker;
    diversion->send.arg = diversion;
    diversion->topic = base_strdup(message->topic);
    diversion->partition = message->partition;
    diversion->offset = message->offset;
    struct header headers[HEADERS_MAX];
    size_t count = MIN(message->header_count, ARRAY_LENGTH(headers));
    for (size_t i = 0; i < count; i++)
        headers[i] = (struct header){message->headers[i].name, message->headers[i].value};
    record_pack(headers, count, message->value, &diversion->raw);
    buffer_append(&diversion->key, message->key.data, message->key.length);
    list_push_back(&worker->diversions, &diversion->link);
    worker->diversion_count++;
    const struct divert_cause cause = {.topic = diversion->topic,
                                       .partition = message->partition,
                                       .offset = message->offset,
                                       .code = code,
                                       .message = text};
    if (!divert_send(worker, &diversion->send, &diversion->arena, buffer_bytes(&diversion->raw),
                     buffer_bytes(&diversion->key), &cause, on_sent))
        on_sent(&diversion->send, NULL, -1, -1);
}
