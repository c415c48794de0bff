/* What is asked of the workers: jobs of all kinds and lengths, copies of them, cancellations. */
#include "sim/sim.h"

#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GAP_MOST_MS = 2000, CANCEL_TTL_MS = 24 * 3600 * 1000, CONTROL_TOPIC = SIM_TOPICS - 1 };

enum mode { MODE_INTERPRETER, MODE_PROCESS, MODE_EITHER };

/* How a job is made. %lld in `code` is a time between the two. */
struct recipe {
    int weight;
    enum mode mode;
    const char *code, *fields;
    int64_t low_ms, high_ms;
    enum code ends, ends_as_process;
};

static const struct recipe recipes[] = {
    {30, MODE_EITHER, "print x", NULL, 0, 0, CODE_NONE, CODE_NONE},
    {30, MODE_EITHER, "sleep %lld\\nprint x", NULL, 1, 300, CODE_NONE, CODE_NONE},
    {20, MODE_EITHER, "print a\\nsleep %lld\\nprint b", NULL, 300, 3000, CODE_NONE, CODE_NONE},
    {6, MODE_EITHER, "sleep %lld\\nprint x", NULL, 3000, 20000, CODE_NONE, CODE_NONE},
    {2, MODE_EITHER, "sleep %lld\\nprint x", NULL, 20000, 55000, CODE_NONE, CODE_NONE},
    {4, MODE_EITHER, "sleep %lld\\nwrite a.txt y\\nprint x", "\"artifacts\":[\"*.txt\"]", 1, 500, CODE_NONE,
     CODE_NONE},
    {3, MODE_EITHER, "sleep %lld\\nraise ValueError no", NULL, 1, 1000, CODE_RUNTIME_ERROR,
     CODE_NONZERO_EXIT},
    {3, MODE_PROCESS, "sleep %lld\\nexit 3", NULL, 1, 1000, CODE_NONZERO_EXIT, CODE_NONZERO_EXIT},
    {1, MODE_PROCESS, "sleep %lld\\nsignal 11", NULL, 1, 1000, CODE_SIGNALED, CODE_SIGNALED},
    {2, MODE_EITHER, "print x\\nsleep %lld", "\"timeout_ms\":1500", 40000, 50000, CODE_RUN_TIMEOUT,
     CODE_RUN_TIMEOUT},
    {2, MODE_PROCESS, "print x\\nsleep %lld\\ncut\\nsleep 50\\nprint y", NULL, 1, 500, CODE_NONE, CODE_NONE},
    {1, MODE_INTERPRETER, "print x\\nsleep %lld\\ncut\\nprint y", NULL, 1, 200, CODE_STREAM_BROKEN,
     CODE_NONE},
    {1, MODE_EITHER, "print x\\nsleep %lld\\nvanish", NULL, 1, 200, CODE_SANDBOX_LOST, CODE_SANDBOX_LOST},
    {2, MODE_EITHER, "print x", "\"template\":\"none\"", 0, 0, CODE_UNKNOWN_TEMPLATE, CODE_UNKNOWN_TEMPLATE},
    {1, MODE_INTERPRETER, "print x", "\"timeout_ms\":\"soon\"", 0, 0, CODE_INVALID_JOB, CODE_INVALID_JOB},
    {1, MODE_EITHER, "print x", "\"expires_at\":\"2026-01-01T00:00:00Z\"", 0, 0, CODE_JOB_EXPIRED,
     CODE_JOB_EXPIRED},
};

/* With a not_before. */
static const struct recipe later_recipe = {0,         MODE_EITHER, "sleep %lld\\nprint x", NULL, 1, 300,
                                           CODE_NONE, CODE_NONE};
static const struct recipe long_recipe = {
    0, MODE_PROCESS, "print a\\nsleep %lld\\nprint b", NULL, 60000, 900000, CODE_NONE, CODE_NONE};
static const struct recipe poison_recipe = {0,     MODE_INTERPRETER,    "poison\\nsleep %lld", NULL, 50000,
                                            55000, CODE_WORKER_CRASHED, CODE_WORKER_CRASHED};

/* Something that comes later: a copy, a cancellation. */
struct later {
    struct link link;
    struct sim *sim;
    struct timer timer;
    struct sim_job *job;
    int topic;
    struct buffer value; /* empty: a cancellation */
    struct ledger_call call;
};

struct jobs {
    struct sim *sim;
    struct sim_job **items;
    size_t count;
    struct index ids;
    struct sim_job *poison;
    struct link laters;
    struct timer next;
    int64_t gap_ms; /* between two, in the mean */
    int weights;
};

/* ---- records ---- */

static struct sim_topic *topic_of(struct sim *sim, const char *name)
{
    for (int i = 0; i < SIM_TOPICS; i++)
        if (strcmp(sim->topics[i].name, name) == 0)
            return &sim->topics[i];
    return NULL;
}

struct sim_record *jobs_record(struct sim *sim, const char *topic, int32_t partition, int64_t offset)
{
    struct sim_topic *found = topic_of(sim, topic);
    bool is_there = found && partition >= 0 && partition < found->partitions && offset >= 0 &&
                    offset < found->at[partition].count;
    return is_there ? &found->at[partition].records[offset] : NULL;
}

static void add_record(struct sim_partition *partition, struct sim_record record)
{
    if (partition->count == partition->capacity) {
        partition->capacity = MAX(partition->capacity * 2, 64);
        partition->records =
            base_realloc(partition->records, (size_t)partition->capacity * sizeof *partition->records);
    }
    partition->records[partition->count++] = record;
}

bool jobs_note_copy(struct sim *sim, const char *topic, int32_t partition, int64_t offset,
                    struct sim_job *job, int64_t hop)
{
    struct sim_topic *to = topic_of(sim, topic);
    int i = to ? (int)(to - sim->topics) : 0;
    if (i < SIM_JOB_TOPICS || i == CONTROL_TOPIC)
        return false;
    assert(offset == to->at[partition].count);
    add_record(&to->at[partition], (struct sim_record){.job = job, .hop = hop});
    return true;
}

static void push(struct sim *sim, int topic, struct sim_job *job, struct bytes value)
{
    struct sim_topic *to = &sim->topics[topic];
    int32_t number = (int32_t)sim_below(sim, to->partitions);
    struct sim_partition *partition = &to->at[number];
    const struct kafka_record record = {.topic = to->name, .key = {"key", 3}, .value = value};
    add_record(partition, (struct sim_record){.job = job, .is_order = topic == CONTROL_TOPIC});
    if (job && topic != CONTROL_TOPIC)
        job->records++;
    int64_t offset = kafka_world_push(sim->kafka, number, &record);
    assert(offset == partition->count - 1);
    sim_trace(sim, job ? job->key : NULL, "record %s/%d/%lld: %.*s", to->name, number, (long long)offset,
              (int)value.length, (const char *)value.data);
}

/* ---- later ---- */

static void free_later(struct later *later)
{
    link_remove(&later->link);
    loop_timer_stop(later->sim->loop, &later->timer);
    buffer_release(&later->value);
    free(later);
}

static void on_cancelled(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    (void)error, (void)answer;
    struct later *later = call->arg;
    free_later(later);
}

static void push_cancel(struct sim *sim, struct sim_job *job)
{
    CLEANUP(buffer_release) struct buffer value = {0};
    buffer_append_format(&value, "{\"action\":\"cancel\",\"job_id\":\"%s\",\"tenant_id\":\"%.*s\"}", job->id,
                         (int)strcspn(job->key, "/"), job->key);
    push(sim, CONTROL_TOPIC, job, buffer_bytes(&value));
}

static void on_later(void *arg)
{
    struct later *later = arg;
    struct sim *sim = later->sim;
    if (later->value.length > 0) {
        push(sim, later->topic, later->job, buffer_bytes(&later->value));
        free_later(later);
        return;
    }
    sim_trace(sim, later->job->key, "cancelled");
    later->job->was_cancelled = true;
    if (later->topic == CONTROL_TOPIC) {
        push_cancel(sim, later->job);
        free_later(later);
        return;
    }
    later->call.arg = later;
    ledger_cancel(sim->operator, & later->call, later->job->key, CANCEL_TTL_MS, on_cancelled);
}

static struct later *add_later(struct sim *sim, struct sim_job *job, int topic, int64_t ms)
{
    struct later *later = base_alloc(sizeof *later);
    later->sim = sim;
    later->job = job;
    later->topic = topic;
    list_push_back(&sim->jobs->laters, &later->link);
    loop_timer_start(sim->loop, &later->timer, ms, on_later, later);
    return later;
}

/* ---- making ---- */

static const struct recipe *choose(struct sim *sim)
{
    int64_t at = sim_below(sim, sim->jobs->weights);
    const struct recipe *recipe = recipes;
    while (at >= recipe->weight)
        at -= recipe++->weight;
    return recipe;
}

static void write_job(struct sim *sim, const struct sim_job *job, const struct recipe *recipe,
                      const char *more, struct buffer *out)
{
    static const char *const priorities[] = {"interactive", "standard", "standard", "batch"};
    buffer_append_format(out, "{\"job_id\":\"%s\",\"tenant_id\":\"%.*s\",\"code\":\"", job->id,
                         (int)strcspn(job->key, "/"), job->key);
    if (strstr(recipe->code, "%lld")) {
        const char *at = strstr(recipe->code, "%lld");
        buffer_append_format(out, "%.*s%lld%s", (int)(at - recipe->code), recipe->code,
                             (long long)sim_between(sim, recipe->low_ms, recipe->high_ms), at + 4);
    } else {
        buffer_append_text(out, recipe->code);
    }
    buffer_append_format(out, "\",\"priority\":\"%s\"", priorities[sim_below(sim, 4)]);
    if (job->is_process)
        buffer_append_text(out, ",\"run_mode\":\"process\"");
    if (job->is_never)
        buffer_append_text(out, ",\"retry\":{\"after_start\":\"never\"}");
    if (recipe->fields)
        buffer_append_format(out, ",%s", recipe->fields);
    if (more)
        buffer_append_format(out, ",%s", more);
    if (recipe == &later_recipe) {
        char due[CLOCK_TEXT_SIZE];
        clock_format(loop_unix_ms(sim->loop) + sim_between(sim, 1000, sim_chance(sim, 10) ? 1500000 : 100000),
                     due);
        buffer_append_format(out, ",\"not_before\":\"%s\"", due);
    }
    buffer_append_byte(out, '}');
}

static struct sim_job *new_job(struct sim *sim, const struct recipe *recipe)
{
    struct jobs *jobs = sim->jobs;
    struct sim_job *job = base_alloc(sizeof *job);
    (void)snprintf(job->id, sizeof job->id, "j%zu", jobs->count);
    (void)snprintf(job->key, sizeof job->key, "t%lld/%s", (long long)sim_below(sim, SIM_TENANTS), job->id);
    job->is_process = recipe->mode == MODE_PROCESS || (recipe->mode == MODE_EITHER && sim_chance(sim, 40));
    job->is_never = recipe != &poison_recipe && sim_chance(sim, 5);
    job->natural = job->is_process ? recipe->ends_as_process : recipe->ends;
    job->is_poison = recipe == &poison_recipe;
    jobs->items = base_realloc(jobs->items, (jobs->count + 1) * sizeof *jobs->items);
    jobs->items[jobs->count++] = job;
    index_put(&jobs->ids, &job->node, job->id);
    sim->report->jobs++;
    return job;
}

/* The same id again: the same bytes, or others that are no job, or too late, or another job. */
static void add_copies(struct sim *sim, struct sim_job *job, const struct recipe *recipe, int topic,
                       struct bytes value)
{
    static const struct {
        const char *fields;
        enum code ends;
    } others[] = {{"\"timeout_ms\":\"soon\"", CODE_INVALID_JOB},
                  {"\"expires_at\":\"2026-01-01T00:00:00Z\"", CODE_JOB_EXPIRED},
                  {"\"template\":\"none\"", CODE_UNKNOWN_TEMPLATE}};
    if (sim_chance(sim, 4)) {
        struct later *later = add_later(sim, job, topic, sim_between(sim, 1, 60000));
        buffer_append(&later->value, value.data, value.length);
    }
    if (!sim_chance(sim, 2) || job->is_poison)
        return;
    size_t which = (size_t)sim_below(sim, ARRAY_LENGTH(others));
    if (recipe->fields || recipe == &later_recipe)
        return;
    struct later *later = add_later(sim, job, topic, sim_between(sim, 1, 20000));
    write_job(sim, job, recipe, others[which].fields, &later->value);
    job->other = others[which].ends;
}

static struct sim_job *submit(struct sim *sim, const struct recipe *recipe, int topic)
{
    struct sim_job *job = new_job(sim, recipe);
    CLEANUP(buffer_release) struct buffer value = {0};
    write_job(sim, job, recipe, NULL, &value);
    push(sim, topic, job, buffer_bytes(&value));
    add_copies(sim, job, recipe, topic, buffer_bytes(&value));
    if (!job->is_poison && sim_chance(sim, 2))
        (void)add_later(sim, job, sim_chance(sim, 50) ? CONTROL_TOPIC : topic, sim_between(sim, 1, 15000));
    return job;
}

void jobs_submit_poison(struct sim *sim)
{
    sim->jobs->poison = submit(sim, &poison_recipe, 0);
}

static void on_next(void *arg)
{
    struct jobs *jobs = arg;
    struct sim *sim = jobs->sim;
    if (jobs_are_submitted(sim))
        return;
    loop_timer_start(sim->loop, &jobs->next, sim_between(sim, 1, 2 * jobs->gap_ms), on_next, jobs);
    if (sim_below(sim, 1000) == 0)
        push(sim, 0, NULL, (struct bytes){"no job at all", 13});
    else if (sim_below(sim, 300) == 0)
        (void)submit(sim, &long_recipe, 1);
    else if (sim_below(sim, 100) == 0)
        (void)submit(sim, &later_recipe, 0);
    else
        (void)submit(sim, choose(sim), 0);
}

/* ---- use ---- */

void jobs_open(struct sim *sim)
{
    struct jobs *jobs = base_alloc(sizeof *jobs);
    sim->jobs = jobs;
    jobs->sim = sim;
    list_init(&jobs->laters);
    for (size_t i = 0; i < ARRAY_LENGTH(recipes); i++)
        jobs->weights += recipes[i].weight;
    /* A job holds a place for about 3.5 s in the mean. */
    int64_t tenants = sim->config.limit_tenant > 0 ? sim->config.limit_tenant * SIM_TENANTS : INT64_MAX;
    int64_t places = MIN(sim->config.limit_global, tenants);
    jobs->gap_ms = MIN(3500 * 100 / (places * sim_between(sim, 40, 90)), GAP_MOST_MS);
    loop_timer_start(sim->loop, &jobs->next, 1, on_next, jobs);
}

void jobs_close(struct sim *sim)
{
    struct jobs *jobs = sim->jobs;
    LIST_EACH(&jobs->laters, link)
    free_later(LIST_OBJECT(link, struct later, link));
    for (size_t i = 0; i < jobs->count; i++) {
        index_remove(&jobs->ids, &jobs->items[i]->node);
        free(jobs->items[i]);
    }
    index_release(&jobs->ids);
    free(jobs->items);
    free(jobs);
    for (int i = 0; i < SIM_TOPICS; i++)
        for (int32_t k = 0; k < SIM_PARTITIONS_MAX; k++)
            free(sim->topics[i].at[k].records);
}

bool jobs_are_submitted(const struct sim *sim)
{
    return (int64_t)sim->jobs->count >= sim->options.jobs;
}

bool jobs_are_quiet(const struct sim *sim)
{
    return jobs_are_submitted(sim) && list_is_empty(&sim->jobs->laters);
}

struct sim_job *jobs_find(const struct sim *sim, const char *id)
{
    struct index_node *node = index_find(&sim->jobs->ids, id);
    return node ? INDEX_OBJECT(node, struct sim_job, node) : NULL;
}

struct sim_job *jobs_find_key(const struct sim *sim, const char *key)
{
    const char *slash = strchr(key, '/');
    return slash ? jobs_find(sim, slash + 1) : NULL;
}

struct sim_job *jobs_each(const struct sim *sim, size_t i)
{
    return i < sim->jobs->count ? sim->jobs->items[i] : NULL;
}

struct sim_job *jobs_poison(const struct sim *sim)
{
    return sim->jobs->poison;
}
