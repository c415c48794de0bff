/* What comes out: results, copies, finished records. */
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- results ---- */

static struct bytes header_of(const struct kafka_record *record, const char *name)
{
    for (size_t i = 0; i < record->header_count; i++)
        if (strcmp(record->headers[i].name, name) == 0)
            return record->headers[i].value;
    return (struct bytes){"", 0};
}

static bool is_text(struct bytes bytes, const char *text)
{
    return bytes.length == strlen(text) && memcmp(bytes.data, text, bytes.length) == 0;
}

static uint64_t hash_of(struct bytes bytes)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < bytes.length; i++)
        hash = (hash ^ ((const unsigned char *)bytes.data)[i]) * 1099511628211u;
    return hash;
}

static bool has(struct bytes json, const char *text)
{
    return memmem(json.data, json.length, text, strlen(text)) != NULL;
}

/* The word behind `before`, wherever it first is. */
static void word_after(struct bytes json, const char *before, char *text, size_t size)
{
    const char *found = memmem(json.data, json.length, before, strlen(before));
    text[0] = '\0';
    if (!found)
        return;
    found += strlen(before);
    size_t left = json.length - (size_t)(found - (const char *)json.data), length = 0;
    while (length < left && length + 1 < size && found[length] != '"')
        length++;
    memcpy(text, found, length);
    text[length] = '\0';
}

static enum code verdict_of(struct bytes value)
{
    char name[48];
    enum code code = CODE_NONE;
    if (has(value, "\"error\":null"))
        return CODE_NONE;
    const char *error = memmem(value.data, value.length, "\"error\":{", 9);
    if (!error)
        return CODE_COUNT;
    struct bytes rest = {error, value.length - (size_t)(error - (const char *)value.data)};
    word_after(rest, "\"code\":\"", name, sizeof name);
    return code_parse(name, &code) ? code : CODE_COUNT;
}

static bool is_infrastructure(enum code code)
{
    return code >= CODE_SANDBOX_CREATE_FAILED && code <= CODE_WORKER_CRASHED;
}

static bool is_expected(const struct sim_job *job, enum code code)
{
    if (code == job->natural || (job->other != CODE_NONE && code == job->other) ||
        (job->was_cancelled && code == CODE_CANCELLED))
        return true;
    if (job->natural == CODE_RUN_TIMEOUT && !job->is_process && code == CODE_NONE)
        return job->hits > 0;     /* its worker was stopped for longer than it ran */
    if (code == CODE_RUN_TIMEOUT) /* E2B did not say in time how it ended */
        return job->losses > 0;
    if (!is_infrastructure(code))
        return false;
    if (is_infrastructure(job->natural) && !job->is_poison)
        return job->hits > 0;
    return job->hits >= (job->is_never ? 1 : SIM_ATTEMPTS);
}

static const char *name_of(enum code code)
{
    return code == CODE_NONE ? "succeeded" : code < CODE_COUNT ? code_name(code) : "unreadable";
}

static void judge_result(struct sim *sim, struct sim_job *job, struct bytes value)
{
    enum code code = verdict_of(value);
    uint64_t hash = hash_of(value);
    sim_trace(sim, job->key, "result: %.*s", (int)value.length, (const char *)value.data);
    job->is_flagged = job->is_flagged || has(value, "\"possible_repeat\":true");
    job->results++;
    sim->report->results++;
    if (job->results == 1) {
        job->verdict = code;
        job->first_hash = hash;
        sim->report->adoptions += has(value, "\"adopted\":true");
        sim->report->by_code[MIN(code, CODE_COUNT - 1)]++;
        if (!is_expected(job, code))
            sim_breach(sim, job->key, "it ends %s, and should end %s (%d faults may have hit it)",
                       name_of(code), name_of(job->natural), job->hits);
        return;
    }
    sim->report->repeats++;
    /* While Redis is away from one worker, which publishes without a seal, another record of the job may have
     * gone to a worker that sees Redis: told of, and no more can be done. */
    bool is_accepted = job->is_flagged && job->records > 1;
    if (code != job->verdict && !is_accepted)
        sim_breach(sim, job->key, "two verdicts: %s, then %s", name_of(job->verdict), name_of(code));
    if (hash != job->first_hash && !job->is_flagged)
        sim_breach(sim, job->key, "a second result with other bytes (%s), and nobody says that it may be one",
                   name_of(code));
}

static void note_diverted(struct sim *sim, const struct kafka_record *record)
{
    char topic[100], number[24];
    struct bytes from = header_of(record, "__connect.errors.topic");
    struct bytes partition = header_of(record, "__connect.errors.partition");
    struct bytes offset = header_of(record, "__connect.errors.offset");
    (void)snprintf(topic, sizeof topic, "%.*s", (int)from.length, (const char *)from.data);
    (void)snprintf(number, sizeof number, "%.*s", (int)partition.length, (const char *)partition.data);
    int32_t at = (int32_t)strtol(number, NULL, 10);
    (void)snprintf(number, sizeof number, "%.*s", (int)offset.length, (const char *)offset.data);
    struct sim_record *found = jobs_record(sim, topic, at, strtoll(number, NULL, 10));
    if (!found)
        sim_breach(sim, topic, "the DLQ has a record that was never pushed: %s/%d/%s", topic, at, number);
    found->is_diverted = true;
}

/* A job that waits goes on as a copy of its record. */
static bool note_copy(struct sim *sim, const char *topic, int32_t partition, int64_t offset,
                      const struct kafka_record *record)
{
    struct bytes id = header_of(record, "x-job-id"), number = header_of(record, "x-hop");
    char text[80];
    (void)snprintf(text, sizeof text, "%.*s", (int)number.length, (const char *)number.data);
    int64_t hop = strtoll(text, NULL, 10);
    (void)snprintf(text, sizeof text, "%.*s", (int)id.length, (const char *)id.data);
    struct sim_job *job = jobs_find(sim, text);
    if (!jobs_note_copy(sim, topic, partition, offset, job, hop))
        return false;
    if (!job || hop <= 0)
        sim_breach(sim, text, "%s/%d/%lld is a copy of no job", topic, partition, (long long)offset);
    job->last_hop = MAX(job->last_hop, hop);
    sim->report->hops++;
    sim_trace(sim, job->key, "copy %s/%d/%lld, number %lld", topic, partition, (long long)offset,
              (long long)hop);
    return true;
}

void verdict_on_record(void *arg, const char *topic, int32_t partition, int64_t offset,
                       const struct kafka_record *record)
{
    struct sim *sim = arg;
    if (note_copy(sim, topic, partition, offset, record))
        return;
    if (strcmp(topic, sim->config.topics.dlq) == 0)
        note_diverted(sim, record);
    if (strcmp(topic, sim->config.topics.results) != 0)
        return;
    struct bytes type = header_of(record, "ce_type"), subject = header_of(record, "ce_subject");
    char id[80];
    (void)snprintf(id, sizeof id, "%.*s", (int)subject.length, (const char *)subject.data);
    struct sim_job *job = jobs_find(sim, id);
    if (is_text(type, "e2b-worker.job.duplicate.v1"))
        sim->report->duplicates++;
    if (!is_text(type, "e2b-worker.job.finished.v1"))
        return;
    if (!job)
        sim_breach(sim, id, "a result of a job that nobody asked for");
    judge_result(sim, job, record->value);
}

/* ---- offsets ---- */

static void judge_finished(struct sim *sim, const char *topic, int32_t partition, int64_t from, int64_t end)
{
    for (int64_t offset = from; offset < end; offset++) {
        struct sim_record *record = jobs_record(sim, topic, partition, offset);
        if (!record || record->is_finished)
            continue;
        record->is_finished = true;
        sim_trace(sim, record->job ? record->job->key : NULL, "%s/%d/%lld is finished", topic, partition,
                  (long long)offset);
        const struct sim_job *job = record->job;
        bool has_end = record->is_diverted || record->is_order || (job && job->results > 0);
        if (!has_end && !(job && job->last_hop > record->hop))
            sim_breach(
                sim, job ? job->key : "",
                "%s/%d/%lld is finished, and has neither a result nor a copy in the DLQ or a retry topic",
                topic, partition, (long long)offset);
    }
}

void verdict_on_commit(void *arg, const char *topic, int32_t partition, const struct world_offset *before,
                       const struct offset_map *map)
{
    struct sim *sim = arg;
    if (before->committed > map->base)
        sim_breach(sim, topic, "the base of %s/%d goes back from %lld to %lld", topic, partition,
                   (long long)before->committed, (long long)map->base);
    judge_finished(sim, topic, partition, MAX(before->committed, 0), map->base);
    for (size_t i = 0; i < map->count; i++)
        judge_finished(sim, topic, partition, map->runs[i].first, map->runs[i].end);
}

void verdict_on_delivered(void *arg, const struct kafka_source *source, const struct kafka_message *message)
{
    struct sim *sim = arg;
    const struct sim_record *record = jobs_record(sim, message->topic, message->partition, message->offset);
    (void)source;
    sim_trace(sim, record && record->job ? record->job->key : NULL, "%s/%d/%lld is delivered%s",
              message->topic, message->partition, (long long)message->offset,
              message->was_pulled ? " again" : "");
}
