/* Verdict -> bytes -> ledger -> Kafka. */
#include "worker/flight_publish.h"

#include "codec/event.h"
#include "codec/result.h"
#include "worker/divert.h"
#include "worker/observe.h"
#include "worker/results.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEALED_MAX_BYTES = 64 * 1024,     /* what the ledger keeps of a result */
    SEALED_HEADROOM_BYTES = 2 * 1024, /* headers beside the value */
    SMALL_MAX_BYTES = 16 * 1024,
    PLACE_SIZE = 300,          /* a topic's name has 249 characters at most */
    WHOLE_MAX_BYTES = 8 << 20, /* transactional: what the ledger keeps is what is published */
};

/* ---- bytes ---- */

static void finished_headers(struct flight_runner *runner, struct envelope_headers *ret)
{
    const struct job *job = &runner->job;
    struct envelope envelope = {
        .id = event_id(job, EVENT_FINISHED, 0, &runner->arena),
        .source = event_source(runner->worker->config->deployment, job->tenant_id, &runner->arena),
        .type = EVENT_FINISHED,
        .subject = job->job_id,
        .trace_parent = job->from.trace_parent,
        .time_unix_ms = runner->outcome.timing.finished_unix_ms,
    };
    envelope_write(&envelope, ret);
}

static void encode_value(struct flight_runner *runner, size_t max_bytes, struct buffer *out)
{
    const struct result_source source = {
        .job = &runner->job,
        .plan = runner->has_plan ? &runner->plan : NULL,
        .outcome = &runner->outcome,
        .worker_id = ledger_worker(runner->worker->ledger),
        .worker_version = E2BW_VERSION,
        .price_version = runner->worker->config->catalog.price_version,
    };
    buffer_clear(out);
    (void)result_encode(&source, max_bytes, out); /* what was cut is said in the value itself */
}

/* The ledger keeps a value of at most 64 KiB for whoever must publish in our place. With transactions that
 * may be anybody, so it keeps the whole. */
static void pack_for_ledger(struct flight_runner *runner)
{
    struct envelope_headers headers;
    bool is_whole = results_are_transactional(runner->worker);
    finished_headers(runner, &headers);
    CLEANUP(buffer_release) struct buffer small = {0};
    const struct buffer *kept = &runner->value;
    if (!is_whole && runner->value.length > SEALED_MAX_BYTES - SEALED_HEADROOM_BYTES) {
        encode_value(runner, SEALED_MAX_BYTES - SEALED_HEADROOM_BYTES, &small);
        kept = &small;
    }
    buffer_clear(&runner->sealed);
    record_pack(headers.items, headers.count, buffer_bytes(kept), &runner->sealed);
    flight_runner_charge(runner);
}

/* The full value is published by us. */
static void encode(struct flight_runner *runner)
{
    size_t max_bytes = (size_t)runner->worker->config->results_max_bytes;
    bool is_whole = results_are_transactional(runner->worker);
    encode_value(runner, is_whole ? MIN(max_bytes, (size_t)WHOLE_MAX_BYTES) : max_bytes, &runner->value);
    pack_for_ledger(runner);
}

/* ---- places ---- */

static struct kafka_place place_of(const struct flight_runner *runner)
{
    const struct provenance *from = &runner->job.from;
    return (struct kafka_place){from->topic, from->partition, from->offset};
}

/* As the ledger keeps it: names of topics have no slash. */
const char *flight_publish_place(struct flight_runner *runner)
{
    struct kafka_place place = place_of(runner);
    if (!results_are_transactional(runner->worker))
        return "";
    if (!runner->own_place)
        runner->own_place = arena_printf(&runner->arena, "%s/%d/%lld", place.topic, (int)place.partition,
                                         (long long)place.offset);
    return runner->own_place;
}

/* Cuts `text`, which holds the topic from then on. */
static bool parse_place(char *text, struct kafka_place *ret)
{
    char *offset = strrchr(text, '/');
    if (!offset)
        return false;
    *offset++ = '\0';
    char *partition = strrchr(text, '/');
    if (!partition)
        return false;
    *partition++ = '\0';
    *ret = (struct kafka_place){text, (int32_t)strtol(partition, NULL, 10), strtoll(offset, NULL, 10)};
    return true;
}

bool flight_publish_is_copy(struct flight_runner *runner)
{
    return results_are_transactional(runner->worker) && runner->found_place &&
           runner->found_place[0] != '\0' && strcmp(runner->found_place, flight_publish_place(runner)) != 0;
}

static void answer_place(struct flight_runner *runner, bool is_finished)
{
    if (is_finished) {
        runner->is_other_record = true;
        ledger_done(runner->worker->ledger, runner->job.key, "", -1, -1, LEDGER_DONE_MS);
    } else {
        /* Or it would be back before whoever the claim is for, again and again. */
        runner->is_giving_way = true;
        ledger_leave_sealed(runner->worker->ledger, runner->job.key, FLIGHT_SEALED_UNTIL_MS);
    }
    flight_runner_advance(runner, &(struct flight_event){.kind = is_finished ? FLIGHT_EVENT_FOUND_DONE
                                                                             : FLIGHT_EVENT_ELSEWHERE});
}

static void on_place(struct kafka_place_call *call, const struct error *error, bool is_finished)
{
    answer_place(call->arg, !error && is_finished);
}

void flight_publish_ask_place(struct flight_runner *runner)
{
    struct kafka_place place;
    char text[PLACE_SIZE];
    base_copy_text(text, sizeof text, runner->found_place ? runner->found_place : "");
    buffer_release(&runner->sealed);
    if (runner->worker->source && parse_place(text, &place))
        kafka_source_ask_place(runner->worker->source, &runner->place_call, &place, on_place);
    else
        answer_place(runner, false);
}

/* ---- seal ---- */

/* Redis has been away for so long that the caller shall not wait any more: the record's offset is ours, and
 * this worker has not been stopped since the attempt began, so nobody else can have had the job meanwhile. */
static bool may_go_unsealed(struct flight_runner *runner)
{
    struct worker *worker = runner->worker;
    const struct provenance *from = &runner->job.from;
    int64_t now_ms = loop_now_ms(worker->loop);
    /* A transaction fences: nothing is won by waiting. */
    int64_t hold_ms = results_are_transactional(worker) ? 0 : worker->config->redis_outage_hold_ms;
    if (ledger_state(worker->ledger) != LEDGER_CONNECTING || !worker->source || !runner->flight.holds_claim ||
        now_ms - runner->sealing_since_ms < hold_ms ||
        worker->steady_since_boot_ms > runner->acquire_boot_ms ||
        !kafka_source_owns(worker->source, from->topic, from->partition))
        return false;
    outcome_warn(&runner->outcome, "Redis was away: published without its seal, so it may be a repeat");
    runner->outcome.possible_repeat = true;
    encode(runner);
    return true;
}

static void on_sealed(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct flight_runner *runner = call->arg;
    if (error) {
        flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_NOT_NOW,
                                                             .may_go_unsealed = may_go_unsealed(runner)});
        return;
    }
    switch (answer) {
    case LEDGER_OK:
        runner->sealed_epoch = ledger_epoch(runner->worker->ledger);
        flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_SEALED});
        return;
    case LEDGER_SUPERSEDED:
    case LEDGER_SUPERSEDED_PERMIT:
        runner->is_permit_lost = answer == LEDGER_SUPERSEDED_PERMIT;
        flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_SUPERSEDED});
        return;
    case LEDGER_SEAL_ELSEWHERE:
        flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_ELSEWHERE});
        return;
    case LEDGER_SEAL_DONE:
        flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_FOUND_DONE});
        return;
    case LEDGER_SEAL_CONFLICT:
        flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_CONFLICT});
        return;
    case LEDGER_NOT_NOW:
        flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_NOT_NOW});
        return;
    }
}

void flight_publish_seal(struct flight_runner *runner)
{
    if (runner->sealed.length == 0)
        encode(runner);
    if (runner->sealing_since_ms == 0)
        runner->sealing_since_ms = loop_now_ms(runner->worker->loop);
    const struct ledger_seal seal = {
        .job = runner->job.key,
        .permit = runner->flight.holds_claim ? runner->permit : "",
        .payload = runner->job.from.payload,
        .origin = runner->job.from.origin,
        .status = status_name(code_status(runner->flight.code)),
        .record = buffer_bytes(&runner->sealed),
        .place = flight_publish_place(runner),
        .until_ms = FLIGHT_SEALED_UNTIL_MS,
    };
    ledger_seal(runner->worker->ledger, &runner->ledger_call, &seal, on_sealed);
}

/* While it is published, librdkafka reads the value: that stays where and as it is. */
struct bytes flight_publish_sealed(struct flight_runner *runner)
{
    if (runner->sealed.length == 0)
        pack_for_ledger(runner);
    return buffer_bytes(&runner->sealed);
}

/* ---- Kafka ---- */

static void on_delivered(struct kafka_send *send, const struct error *error, int32_t partition,
                         int64_t offset)
{
    struct flight_runner *runner = send->arg;
    if (error) {
        bool is_disowned = error->kind == ERROR_TRANSIENT && error->code == KAFKA_DISOWNED;
        flight_runner_advance(runner, &(struct flight_event){.kind = is_disowned ? FLIGHT_EVENT_DISOWNED
                                                                                 : FLIGHT_EVENT_TOO_LARGE});
        return;
    }
    runner->first_partition = partition;
    runner->first_offset = offset;
    flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_DELIVERED});
}

static void send_value(struct flight_runner *runner, const struct header *headers, size_t count,
                       struct bytes value)
{
    struct kafka_header copies[ENVELOPE_HEADERS_MAX];
    assert(count <= ARRAY_LENGTH(copies));
    for (size_t i = 0; i < count; i++)
        copies[i] = (struct kafka_header){headers[i].name, headers[i].value};
    const struct kafka_record record = {
        .topic = runner->worker->config->topics.results,
        .key = {runner->job.job_id, strlen(runner->job.job_id)},
        .value = value,
        .headers = copies,
        .header_count = count,
    };
    const struct kafka_place place = place_of(runner);
    results_send(runner->worker, &runner->send, &record, &place, on_delivered);
}

static void send_result(struct flight_runner *runner)
{
    struct envelope_headers headers;
    finished_headers(runner, &headers);
    send_value(runner, headers.items, headers.count, buffer_bytes(&runner->value));
}

static void on_diverted_first(struct kafka_send *send, const struct error *error, int32_t partition,
                              int64_t offset)
{
    (void)error; /* a DLQ that takes no such record must not keep the result back; observe tells */
    (void)partition, (void)offset;
    struct flight_runner *runner = send->arg;
    runner->is_diverted = true;
    send_result(runner);
}

static bool divert(struct flight_runner *runner, bool with_value, kafka_sent_fn sent)
{
    const struct divert_cause cause = {
        .topic = runner->job.from.topic,
        .partition = runner->job.from.partition,
        .offset = runner->job.from.offset,
        .code = code_name(runner->flight.code),
        .message = outcome_message(&runner->outcome),
        .without_value = !with_value,
    };
    struct bytes key = {runner->job.job_id, strlen(runner->job.job_id)};
    return divert_send(runner->worker, &runner->send, &runner->arena, buffer_bytes(&runner->raw), key, &cause,
                       sent);
}

void flight_publish_result(struct flight_runner *runner, bool is_small)
{
    if (is_small && runner->is_found) { /* it is as small as the ledger keeps it */
        flight_publish_found(runner);
        return;
    }
    if (is_small)
        encode_value(runner, SMALL_MAX_BYTES, &runner->value);
    bool to_dlq = code_goes_to_dlq(runner->flight.code) && !runner->is_diverted && runner->raw.length > 0;
    if (!to_dlq || !divert(runner, /* with_value= */ true, on_diverted_first))
        send_result(runner);
}

void flight_publish_found(struct flight_runner *runner)
{
    struct header headers[ENVELOPE_HEADERS_MAX];
    size_t count = 0;
    struct bytes value;
    struct error error;
    runner->is_found = true;
    if (record_unpack(buffer_bytes(&runner->sealed), headers, ARRAY_LENGTH(headers), &runner->arena, &count,
                      &value, &error)) {
        send_value(runner, headers, count, value);
        return;
    }
    /* The sealed bytes are gone from the ledger: what they said is not known, that there was a verdict is. */
    outcome_blame(&runner->outcome, CODE_INTERNAL, "publish",
                  "the sealed result was lost before it was published: %s", error.text);
    runner->flight.code = CODE_INTERNAL;
    runner->outcome.possible_repeat = true;
    encode(runner);
    send_result(runner);
}

static void on_diverted(struct kafka_send *send, const struct error *error, int32_t partition, int64_t offset)
{
    (void)partition, (void)offset;
    struct flight_runner *runner = send->arg;
    if (error) {
        flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_TOO_LARGE});
        return;
    }
    observe_duplicate(runner);
    flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_DELIVERED});
}

void flight_publish_divert(struct flight_runner *runner, bool with_value)
{
    if (!divert(runner, with_value,
                on_diverted)) /* the record is not in memory any more: the event alone has to tell */
        on_diverted(&runner->send, NULL, -1, -1);
}
