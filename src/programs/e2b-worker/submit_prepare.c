/* From what somebody wrote to submissions: ids, topics, and a worker's eye on each job. */
#include "submit.h"

#include "base/clock.h"
#include "base/random.h"
#include "codec/draft.h"
#include "codec/event.h"
#include "codec/job.h"
#include "topic_list.h"

#include <stdio.h>
#include <string.h>

#define GENERAL "general" /* the task type of jobs that name none */

struct preparing {
    const struct config *config;
    const struct submit_options *options;
    struct arena *arena;
    struct random random;
    struct plan_rules rules;
};

/* ---- topic ---- */

/* Returns: where workers of this configuration look for such a job. */
static const char *choose_topic(const struct preparing *preparing, const char *task_type)
{
    const struct config_topics *topics = &preparing->config->topics;
    const char *plain = NULL;
    const char *own =
        arena_printf(preparing->arena, "%s%s", topics->jobs_prefix, task_type ? task_type : GENERAL);
    bool is_subscribed = false;
    for (size_t i = 0; i < topics->jobs.count; i++) {
        is_subscribed = is_subscribed || topic_matches(topics->jobs.items[i], own);
        if (!plain && topics->jobs.items[i][0] != '^')
            plain = topics->jobs.items[i];
    }
    if (plain && (!task_type || !is_subscribed))
        return plain;
    return own;
}

/* ---- headers ---- */

static void write_headers(struct submission *submission)
{
    const struct envelope envelope = {.id = submission->job_id,
                                      .source = "e2b-worker/submit",
                                      .type = EVENT_SUBMITTED,
                                      .subject = submission->job_id,
                                      .time_unix_ms = clock_unix_ms()};
    envelope_write(&envelope, &submission->headers);
}

/* ---- a worker's eye ---- */

static void set_topic_rules(const struct config *config, const char *topic, struct job_rules *rules)
{
    size_t prefix = strlen(config->topics.jobs_prefix);
    if (prefix > 0 && strncmp(topic, config->topics.jobs_prefix, prefix) == 0)
        rules->task_type = topic + prefix;
    for (size_t i = 0; i < config->tenants_by_topic.count; i++)
        if (strcmp(config->tenants_by_topic.items[i].name, topic) == 0)
            rules->tenant_of_topic = config->tenants_by_topic.items[i].value;
}

static void look_at(struct preparing *preparing, struct submission *submission)
{
    const struct config *config = preparing->config;
    const struct job_record record = {.topic = submission->topic,
                                      .timestamp_unix_ms = clock_unix_ms(),
                                      .headers = submission->headers.items,
                                      .header_count = submission->headers.count,
                                      .value = submission->value};
    struct job_rules rules = {.cluster_id = "submit",
                              .max_value_bytes = (size_t)config->job_max_bytes,
                              .max_code_bytes = (size_t)config->job_max_bytes,
                              .now_unix_ms = clock_unix_ms()};
    set_topic_rules(config, submission->topic, &rules);
    enum job_verdict verdict = job_decode(&record, &rules, preparing->arena, &submission->job,
                                          &submission->code, &submission->message);
    submission->is_decoded = verdict == JOB_ACCEPTED;
    submission->is_unreadable = verdict == JOB_UNREADABLE;
    if (verdict != JOB_UNREADABLE) {
        submission->job_id = submission->job.job_id;
        submission->tenant_id = submission->job.tenant_id;
    }
    if (verdict == JOB_ACCEPTED)
        submission->code = plan_compile(&submission->job, &config->catalog, &preparing->rules,
                                        preparing->arena, &submission->plan, &submission->message);
}

static void prepare(struct preparing *preparing, const struct draft *draft, struct submission *ret)
{
    const struct submit_options *options = preparing->options;
    *ret = (struct submission){
        .job_id = draft->job_id, .topic = options->topic, .value = draft->value, .message = ""};
    if (!ret->topic)
        ret->topic = choose_topic(preparing, draft->task_type);
    if (!draft->is_structured)
        write_headers(ret);
    look_at(preparing, ret);
    ret->key = options->key ? options->key : ret->job_id;
}

/* ---- ids ---- */

static const char *new_id(struct preparing *preparing)
{
    char text[RANDOM_UUID_SIZE];
    random_uuid(&preparing->random, text);
    return arena_strdup(preparing->arena, text);
}

static struct draft named(struct preparing *preparing, const struct draft *draft, int64_t n)
{
    if (!draft->has_id)
        return draft_with_id(draft, new_id(preparing), preparing->arena);
    if (!draft->job_id) { /* a mistake to be told, not mended */
        struct draft bad = *draft;
        bad.job_id = new_id(preparing);
        return bad;
    }
    if (preparing->options->count == 1)
        return *draft;
    const char *id = arena_printf(preparing->arena, "%s-%lld", draft->job_id, (long long)n);
    return draft_with_id(draft, id, preparing->arena);
}

bool submit_prepare(const struct config *config, const struct submit_options *options, struct bytes text,
                    struct arena *arena, struct submissions *ret, struct error *reterr)
{
    struct preparing preparing = {
        .config = config, .options = options, .arena = arena, .rules = config_plan_rules(config)};
    struct draft *drafts = NULL;
    size_t count = 0;
    random_init(&preparing.random);
    if (!drafts_read(text, arena, &drafts, &count, reterr)) {
        if (!options->force)
            return false;
        struct submission *only = ret->items = ARENA_NEW(arena, struct submission);
        const struct draft raw = {.value = text, .job_id = new_id(&preparing)};
        prepare(&preparing, &raw, only);
        ret->count = 1;
        return true;
    }
    ret->items = ARENA_ARRAY(arena, struct submission, count * (size_t)options->count);
    for (size_t i = 0; i < count; i++) {
        for (int64_t n = 1; n <= options->count; n++) {
            struct draft draft = named(&preparing, &drafts[i], n);
            prepare(&preparing, &draft, &ret->items[ret->count++]);
        }
    }
    return true;
}
