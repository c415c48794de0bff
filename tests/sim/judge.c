/* What is promised, looked at while it happens. */
#include "sim/sim.h"

#include "fakes/redis/store_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 1000 };

/* A permit, as it was granted. */
struct grant {
    struct index_node node;
    char *permit;
    int64_t at_ms, max; /* of the global limit, in force then */
};

/* Others were granted later, under a higher limit. */
static int64_t max_since(const struct sim *sim, const struct grant *grant)
{
    int64_t max = grant->max;
    for (int i = 0; i < MIN(sim->raise_count, SIM_RAISES); i++)
        if (sim->raises[i].at_ms >= grant->at_ms)
            max = MAX(max, sim->raises[i].max);
    return max;
}

static void note_max(struct sim *sim, int64_t max)
{
    if (max > sim->last_max)
        sim->raises[sim->raise_count++ % SIM_RAISES] = (struct raise){sim_now_ms(sim), max};
    sim->last_max = max;
}

static int64_t redis_now_ms(const struct sim *sim)
{
    return fake_redis_now_ms(sim->redis);
}

/* The ledger counts: it is not being rebuilt, nor lost without anybody knowing it yet. */
static bool is_ledger_good(struct sim *sim)
{
    const struct store *store = fake_redis_store(sim->redis);
    return store_not_ready(store, redis_now_ms(sim)) == NULL && store->run == store->server_run;
}

/* ---- permits ---- */

static int64_t max_in_force(const struct store *store, const struct ledger_acquire *acquire, int64_t now_ms)
{
    for (size_t i = 0; i < acquire->limit_count; i++) {
        if (strcmp(acquire->limits[i].name, "g") != 0)
            continue;
        const struct maximum *maximum = store_find_maximum(store, "g");
        int64_t max = maximum && maximum->max >= 0 ? maximum->max : acquire->limits[i].max;
        return maximum && maximum->cut >= 0 && maximum->cut_ends_ms > now_ms ? MIN(max, maximum->cut) : max;
    }
    return INT64_MAX;
}

static void on_granted(void *arg, const struct permit *permit, const struct ledger_acquire *acquire)
{
    struct sim *sim = arg;
    const struct store *store = fake_redis_store(sim->redis);
    struct grant *grant = base_alloc(sizeof *grant);
    grant->permit = base_strdup(permit->id);
    grant->max = max_in_force(store, acquire, redis_now_ms(sim));
    grant->at_ms = sim_now_ms(sim);
    note_max(sim, grant->max);
    index_put(&sim->grants, &grant->node, grant->permit);
    sim_trace(sim, permit->job, "granted to %s: permit %s, %lld of %lld", permit->worker, permit->id,
              (long long)store_used(store, "g"), (long long)grant->max);
    if (store_used(store, "g") > grant->max)
        sim_breach(sim, permit->job, "permit %s was granted as number %lld of %lld", permit->id,
                   (long long)store_used(store, "g"), (long long)grant->max);
}

static void on_permit_gone(void *arg, const struct permit *permit, bool is_pruned)
{
    struct sim *sim = arg;
    const struct place *place = place_find_by_permit(sim->e2b, permit->id);
    sim_trace(sim, permit->job, "permit %s of %s is %s", permit->id, permit->worker,
              is_pruned ? "pruned" : "released");
    if (place && is_ledger_good(sim))
        sim_breach(sim, permit->job, "permit %s is %s, and its %s lives for %lld ms more", permit->id,
                   is_pruned ? "pruned" : "released", place->id,
                   (long long)(place->ends_ms - loop_boot_ms(sim->loop)));
}

/* ---- sandboxes ---- */

static void check_cover(struct sim *sim, const struct place *place, const char *when)
{
    if (!is_ledger_good(sim))
        return;
    const struct store *store = fake_redis_store(sim->redis);
    const struct permit *permit = store_find_permit((struct store *)(uintptr_t)store, place->permit);
    int64_t life_ms = place->ends_ms - loop_boot_ms(sim->loop);
    if (!permit)
        sim_breach(sim, place->job, "%s %s without its permit %s", place->id, when, place->permit);
    int64_t left_ms = permit->horizon_ms - redis_now_ms(sim);
    if (left_ms < life_ms)
        sim_breach(sim, place->job, "%s %s: it lives for %lld ms, its permit %s for %lld ms", place->id, when,
                   (long long)life_ms, place->permit, (long long)left_ms);
}

static void on_made(void *arg, const struct place *place)
{
    struct sim *sim = arg;
    struct index_node *node = index_find(&sim->grants, place->permit);
    sim->report->creates++;
    sim_trace(sim, place->job, "%s is made under %s, number %zu", place->id, place->permit, sim->e2b->live);
    if (!node)
        sim_breach(sim, place->job, "%s is made under %s, which was never granted", place->id, place->permit);
    const struct grant *grant = INDEX_OBJECT(node, struct grant, node);
    if ((int64_t)sim->e2b->live > max_since(sim, grant))
        sim_breach(sim, place->job, "%s is number %zu, and the limit was %lld when %s was granted", place->id,
                   sim->e2b->live, (long long)grant->max, place->permit);
    check_cover(sim, place, "is made");
}

static void on_moved(void *arg, const struct place *place)
{
    struct sim *sim = arg;
    sim_trace(sim, place->job, "%s lives until %.3f", place->id,
              (double)(place->ends_ms - sim->began_ms) / 1000);
    check_cover(sim, place, "is extended");
}

/* Whose permit it is under, could have extended it. */
static bool is_tended(struct sim *sim, const struct place *place)
{
    struct store *store = fake_redis_store(sim->redis);
    const struct permit *permit = store_find_permit(store, place->permit);
    const struct seat *seat = permit ? seat_of_owner(sim, permit->worker) : NULL;
    return seat && seat->state != SEAT_STOPPED && store_is_alive(store, permit->worker, redis_now_ms(sim));
}

static void on_ended(void *arg, const struct place *place, const char *why)
{
    struct sim *sim = arg;
    struct sim_job *job = jobs_find_key(sim, place->job);
    sim_trace(sim, place->job, "%s is %s", place->id, why);
    if (job && (strcmp(why, "vanished") == 0 || (strcmp(why, "over") == 0 && !is_tended(sim, place)))) {
        job->hits++;
        job->losses++;
    }
}

/* Nobody ends what another runs, who is there and has a place in the ledger that it is in. */
static void on_killed(void *arg, const struct place *place, const struct loop *client)
{
    struct sim *sim = arg;
    struct store *store = fake_redis_store(sim->redis);
    const struct claim *claim = store_find_claim(store, place->job, redis_now_ms(sim));
    bool is_running = claim && claim->state == CLAIM_RUNNING && store_is(claim->permit, place->permit) &&
                      claim->epoch == store->epoch;
    if (!is_running || !is_ledger_good(sim) || !store_is_alive(store, claim->owner, redis_now_ms(sim)))
        return;
    const struct seat *seat = seat_of_owner(sim, claim->owner);
    if (seat && seat->process->loop != client)
        sim_breach(sim, place->job, "%s is killed by another than %s, who runs it", place->id, claim->owner);
}

static void on_started(void *arg, const struct place *place)
{
    struct sim *sim = arg;
    struct sim_job *job = jobs_find_key(sim, place->job);
    if (!job)
        return;
    job->starts++;
    sim_trace(sim, place->job, "its program starts in %s, for the %d. time", place->id, job->starts);
    if (job->is_never && job->starts > 1)
        sim_breach(sim, place->job, "a job that must not start twice starts for the %d. time", job->starts);
    if (job->is_process && job->starts > 1 + job->losses && !job->is_poison)
        sim_breach(sim, place->job, "a process starts for the %d. time, after %d losses of its sandbox",
                   job->starts, job->losses);
}

/* Its output kills whoever reads it. */
static void on_attached(void *arg, const struct place *place, const char *text, const struct loop *client)
{
    struct sim *sim = arg;
    if (strncmp(text, "poison", 6) != 0)
        return;
    sim_trace(sim, place->job, "poison");
    for (int i = 0; i < sim->seat_count; i++)
        if (sim->seats[i].process && sim->seats[i].process->loop == client)
            seat_poison(&sim->seats[i]);
}

static void on_fault(void *arg, enum e2b_world_call call, const char *key)
{
    struct sim *sim = arg;
    struct sim_job *job = jobs_find_key(sim, key);
    sim_trace(sim, key, "a call fails: %s", e2b_world_call_name(call));
    if (!job)
        return;
    job->hits++;
    job->losses++;
}

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
    if (job->natural == CODE_RUN_TIMEOUT && code == CODE_NONE) /* its worker was stopped longer than it ran */
        return job->hits > 0 && !job->is_process;
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
    if (code != job->verdict)
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

static void on_record(void *arg, const char *topic, int32_t partition, int64_t offset,
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

static void on_commit(void *arg, const char *topic, int32_t partition, const struct world_offset *before,
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

static void on_delivered(void *arg, const struct kafka_source *source, const struct kafka_message *message)
{
    struct sim *sim = arg;
    const struct sim_record *record = jobs_record(sim, message->topic, message->partition, message->offset);
    (void)source;
    sim_trace(sim, record && record->job ? record->job->key : NULL, "%s/%d/%lld is delivered%s",
              message->topic, message->partition, (long long)message->offset,
              message->was_pulled ? " again" : "");
}

/* ---- looking from time to time ---- */

/* What a rebuild must have brought back. */
static void on_look(void *arg)
{
    struct sim *sim = arg;
    struct store *store = fake_redis_store(sim->redis);
    loop_timer_start(sim->loop, &sim->judge_timer, LOOK_MS, on_look, sim);
    if (!is_ledger_good(sim) || sim->judged_epoch == store->epoch)
        return;
    sim->judged_epoch = store->epoch;
    sim_trace(sim, NULL, "the ledger is ready: %zu sandboxes, %zu permits", sim->e2b->live, store->ids.count);
    LIST_EACH(&sim->e2b->sandboxes, link)
    check_cover(sim, LIST_OBJECT(link, struct place, link), "lives after a rebuild");
}

void judge_hit_all(struct sim *sim, bool is_lost)
{
    struct sim_job *job;
    for (size_t i = 0; (job = jobs_each(sim, i)); i++)
        if (job->results == 0) {
            job->hits++;
            job->losses += is_lost;
        }
}

/* ---- life and end ---- */

void judge_open(struct sim *sim)
{
    sim->store_watch = (struct store_watch){.arg = sim, .granted = on_granted, .gone = on_permit_gone};
    sim->e2b_eye = (struct e2b_world_eye){.arg = sim,
                                          .on_made = on_made,
                                          .on_moved = on_moved,
                                          .on_ended = on_ended,
                                          .on_killed = on_killed,
                                          .on_started = on_started,
                                          .on_attached = on_attached,
                                          .on_fault = on_fault};
    sim->kafka_eye = (struct kafka_world_eye){
        .arg = sim, .on_record = on_record, .on_commit = on_commit, .on_delivered = on_delivered};
    fake_redis_store(sim->redis)->watch = &sim->store_watch;
    sim->e2b->eye = &sim->e2b_eye;
    sim->kafka->eye = &sim->kafka_eye;
    loop_timer_start(sim->loop, &sim->judge_timer, LOOK_MS, on_look, sim);
}

static bool are_records_finished(const struct sim *sim)
{
    for (int i = 0; i < SIM_TOPICS; i++)
        for (int32_t k = 0; k < sim->topics[i].partitions; k++)
            for (int64_t n = 0; n < sim->topics[i].at[k].count; n++)
                if (!sim->topics[i].at[k].records[n].is_finished)
                    return false;
    return true;
}

bool judge_is_settled(struct sim *sim)
{
    struct sim_job *job;
    for (size_t i = 0; (job = jobs_each(sim, i)); i++)
        if (job->results == 0)
            return false;
    return are_records_finished(sim);
}

void judge_unsettled(struct sim *sim)
{
    static const char *const states[] = {"none", "idle", "running", "sealed", "parked", "done"};
    struct sim_job *job;
    for (size_t i = 0; (job = jobs_each(sim, i)); i++) {
        const struct claim *claim =
            store_find_claim(fake_redis_store(sim->redis), job->key, redis_now_ms(sim));
        if (job->results == 0)
            sim_breach(sim, job->key, "no result; its claim is %s of '%s' under %s",
                       states[claim ? claim->state : 0], claim && claim->owner ? claim->owner : "",
                       claim && claim->permit ? claim->permit : "nothing");
    }
    for (int i = 0; i < SIM_TOPICS; i++)
        for (int32_t k = 0; k < sim->topics[i].partitions; k++)
            for (int64_t n = 0; n < sim->topics[i].at[k].count; n++)
                if (!sim->topics[i].at[k].records[n].is_finished)
                    sim_breach(sim,
                               sim->topics[i].at[k].records[n].job ? sim->topics[i].at[k].records[n].job->key
                                                                   : "",
                               "%s/%d/%lld is not finished", sim->topics[i].name, k, (long long)n);
}

void judge_end(struct sim *sim)
{
    struct store *store = fake_redis_store(sim->redis);
    LIST_EACH(&sim->e2b->sandboxes, link)
    {
        const struct place *place = LIST_OBJECT(link, struct place, link);
        sim_breach(sim, place->job, "%s is left, under %s", place->id, place->permit);
    }
    LIST_EACH(&store->permits, link)
    {
        const struct permit *permit = LIST_OBJECT(link, struct permit, link);
        if (permit->horizon_ms > redis_now_ms(sim))
            sim_breach(sim, permit->job, "permit %s of %s is left for %lld ms", permit->id, permit->worker,
                       (long long)(permit->horizon_ms - redis_now_ms(sim)));
    }
}

void judge_close(struct sim *sim)
{
    loop_timer_stop(sim->loop, &sim->judge_timer);
    fake_redis_store(sim->redis)->watch = NULL;
    sim->e2b->eye = NULL;
    sim->kafka->eye = NULL;
    for (size_t i = 0; i < sim->grants.capacity; i++)
        while (sim->grants.buckets[i]) {
            struct grant *grant = INDEX_OBJECT(sim->grants.buckets[i], struct grant, node);
            index_remove(&sim->grants, &grant->node);
            free(grant->permit);
            free(grant);
        }
    index_release(&sim->grants);
}
