/* What doctor can ask at once: configuration, open files, Kafka, Redis. */
#include "doctor.h"

#include "descriptors.h"
#include "kafka/topics.h"
#include "kafka/transactor.h"
#include "redis/inspect.h"
#include "topic_list.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum {
    KAFKA_MS = 5000,
    REDIS_MS = 5000,
    CLOCK_AHEAD_MS = 1000, /* more is told: messages carry wall time */
    GOOD_REDIS = 0x060200, /* 6.2 */
};

/* "6.2.7" -> 0x060207; what is not there is 0. */
static int version_number(const char *text)
{
    unsigned major = 0, minor = 0, patch = 0;
    (void)sscanf(text, "%3u.%3u.%3u", &major, &minor, &patch);
    return (int)(major << 16 | MIN(minor, 255U) << 8 | MIN(patch, 255U));
}

void check_config(const struct config *config, struct report *report)
{
    struct text_list warnings = {0};
    config_warnings(config, report->arena, &warnings);
    report_add(report, "config", FINDING_OK, "deployment %s, ledger %s, %zu templates", config->deployment,
               config->ledger, config->catalog.count);
    if (config->mode == MODE_SIMULATION)
        report_add(
            report, "mode", FINDING_WARN,
            "SIMULATION: sandboxes come from e2b-local at %s, no code runs at E2B; set E2B_API_KEY for "
            "the real thing",
            config->e2b_api_url ? config->e2b_api_url : "its default port");
    for (size_t i = 0; i < warnings.count; i++)
        if (config->mode != MODE_SIMULATION || !strstr(warnings.items[i], "simulation"))
            report_add(report, "config", FINDING_WARN, "%s", warnings.items[i]);
}

void check_system(const struct config *config, struct report *report)
{
    struct rlimit limit;
    long long needed = (long long)descriptors_needed(config);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    bool is_enough = limit.rlim_max == RLIM_INFINITY || (long long)limit.rlim_max >= needed;
    report_add(report, "files", is_enough ? FINDING_OK : FINDING_FAIL,
               "%lld open files are needed at least, %llu are allowed%s", needed,
               (unsigned long long)limit.rlim_max,
               is_enough ? "" : ": raise the hard limit (ulimit -Hn) or lower worker.max_in_flight");
}

/* ---- Kafka ---- */

static void check_library(const struct config *config, struct report *report)
{
    bool is_wanted = strcmp(config->kafka_assignor, "cooperative-sticky") == 0;
    if (kafka_library_is_cooperative())
        report_add(report, "kafka", FINDING_OK, "librdkafka %s", kafka_library_version());
    else if (!is_wanted)
        report_add(report, "kafka", FINDING_OK,
                   "librdkafka %s; before " KAFKA_COOPERATIVE_SINCE
                   " only eager rebalances are safe, as kafka.assignor says",
                   kafka_library_version());
    else
        report_add(report, "kafka", FINDING_FAIL,
                   "librdkafka %s: kafka.assignor=cooperative-sticky needs " KAFKA_COOPERATIVE_SINCE
                   "; set eager, or use a newer library",
                   kafka_library_version());
}

static void report_topic(const struct config *config, const struct kafka_topic *topic,
                         const struct kafka_topic_report *found, struct report *report)
{
    bool is_jobs = strncmp(topic->name, config->topics.jobs_prefix, strlen(config->topics.jobs_prefix)) == 0;
    bool is_well = found->state == KAFKA_TOPIC_EXISTS || found->state == KAFKA_TOPIC_CREATED;
    if (!is_well)
        report_add(report, "kafka", is_jobs ? FINDING_WARN : FINDING_FAIL, "topic %s: %s%s", topic->name,
                   found->text[0] ? found->text : "it is not usable",
                   found->state == KAFKA_TOPIC_MISSING ? " (e2b-worker topics create)" : "");
}

/* By an id as workers have them: the group's name stands first. */
static void check_transactions(const struct config *config, const struct kafka_cluster *cluster,
                               struct report *report)
{
    struct error error;
    if (strcmp(config->results_delivery, "transactional") != 0)
        return;
    const char *id = arena_printf(report->arena, "%s.doctor", config->kafka_group_id);
    if (kafka_transactions_check(cluster, id, KAFKA_MS, &error))
        report_add(report, "kafka", FINDING_OK,
                   "transactions may be used; readers of results must set isolation.level=read_committed");
    else
        report_add(report, "kafka", FINDING_FAIL, "results.delivery=transactional: %s", error.text);
}

void check_kafka(const struct config *config, struct report *report)
{
    struct error error;
    const struct topic_shape shape = {.partitions = 1, .replication = -1, .retention_ms = -1};
    struct kafka_cluster cluster = cluster_of(config, report->arena);
    struct topic_list list = topic_list_of(config, &shape, report->arena);
    struct kafka_topic_report *found = ARENA_ARRAY(report->arena, struct kafka_topic_report, list.count + 1);
    size_t good = 0;
    check_library(config, report);
    if (!kafka_topics_check(&cluster, list.items, list.count, KAFKA_MS, found, &error)) {
        report_add(report, "kafka", FINDING_FAIL, "%s: %s", config->kafka_bootstrap_servers, error.text);
        return;
    }
    for (size_t i = 0; i < list.count; i++)
        good += found[i].state == KAFKA_TOPIC_EXISTS ? 1 : 0;
    report_add(report, "kafka", FINDING_OK, "%s answers; %zu of %zu topics are as they should be",
               config->kafka_bootstrap_servers, good, list.count);
    for (size_t i = 0; i < list.count; i++)
        report_topic(config, &list.items[i], &found[i], report);
    check_transactions(config, &cluster, report);
}

/* ---- Redis ---- */

static void check_memory(const struct redis_facts *facts, struct report *report)
{
    if (strcmp(facts->memory_policy, "noeviction") != 0)
        report_add(report, "redis", FINDING_FAIL,
                   "maxmemory-policy is %s: claims and permits could be evicted; CONFIG SET maxmemory-policy "
                   "noeviction",
                   facts->memory_policy[0] ? facts->memory_policy : "not known");
    if (facts->max_bytes > 0 && facts->used_bytes > facts->max_bytes / 5 * 4)
        report_add(report, "redis", FINDING_WARN, "%lld of %lld MB of memory are used: raise maxmemory",
                   (long long)facts->used_bytes >> 20, (long long)facts->max_bytes >> 20);
}

static void check_keeping(const struct redis_facts *facts, struct report *report)
{
    if (!facts->has_append_file)
        report_add(report, "redis", FINDING_WARN,
                   "appendonly is off: a restart forgets which jobs are done, and repeats of them run again; "
                   "CONFIG SET appendonly yes keeps the marks");
    if (strcmp(facts->role, "master") != 0)
        report_add(report, "redis", FINDING_FAIL, "it is a replica (role %s): REDIS_URL must name the master",
                   facts->role);
    if (facts->clock_ahead_ms > CLOCK_AHEAD_MS || facts->clock_ahead_ms < -CLOCK_AHEAD_MS)
        report_add(report, "redis", FINDING_WARN,
                   "its clock is %lld ms %s ours: nothing depends on it but times in messages; look at NTP",
                   (long long)(facts->clock_ahead_ms < 0 ? -facts->clock_ahead_ms : facts->clock_ahead_ms),
                   facts->clock_ahead_ms < 0 ? "behind" : "before");
}

void check_redis(const struct config *config, struct report *report)
{
    struct redis_facts facts;
    struct error error;
    if (!redis_inspect(config->redis_url, REDIS_MS, &facts, &error)) {
        report_add(report, "redis", FINDING_FAIL, "%s (REDIS_URL)", error.text);
        return;
    }
    report_add(report, "redis", FINDING_OK,
               "version %s, %s, policy %s, round trip %lld ms, clock difference %lld ms", facts.version,
               facts.mode, facts.memory_policy, (long long)facts.round_trip_ms,
               (long long)facts.clock_ahead_ms);
    if (version_number(facts.version) < GOOD_REDIS)
        report_add(report, "redis", FINDING_WARN, "version %s is older than what is tested (6.2): upgrade it",
                   facts.version);
    check_memory(&facts, report);
    check_keeping(&facts, report);
}
